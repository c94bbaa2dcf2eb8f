-- A plan, an estimate and an invoice for the same thing are three entries: they stand beside each other and are never added.
with payers as (
    select
        land_code,
        payer,
        recurring,
        sum(gross_eur) filter (where entry_status = 'planned') as planned_eur,
        sum(gross_eur) filter (where entry_status = 'estimate') as estimated_eur,
        coalesce(sum(gross_eur) filter (where entry_status in ('invoiced', 'reversal')), 0) as invoiced_eur
    from {{ ref('fct_cost') }}
    group by land_code, payer, recurring
),

-- where nobody stated a plan or an estimate it is unknown; where a ledger holds no invoice, nothing is invoiced
sums as (
    select
        *,
        planned_eur is not null as is_plan_complete
    from payers

    union all

    select
        land_code,
        'total' as payer,
        recurring,
        sum(planned_eur) as planned_eur,
        sum(estimated_eur) as estimated_eur,
        sum(invoiced_eur) as invoiced_eur,
        bool_and(planned_eur is not null) as is_plan_complete
    from payers
    group by land_code, recurring
)

-- one payer's plan says nothing about another's invoices
select
    land_code,
    payer,
    recurring,
    cast(planned_eur as decimal(18, 2)) as planned_eur,
    cast(estimated_eur as decimal(18, 2)) as estimated_eur,
    cast(invoiced_eur as decimal(18, 2)) as invoiced_eur,
    is_plan_complete,
    cast(case when is_plan_complete then planned_eur - invoiced_eur end as decimal(18, 2)) as open_eur,
    cast(case when is_plan_complete then invoiced_eur / nullif(planned_eur, 0) end as double) as invoiced_to_planned_ratio
from sums
