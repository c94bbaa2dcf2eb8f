-- The one-off cost of all rows is that of the ledger, but for the rounding of each row.
with owned as (
    select
        coalesce(sum(one_off_cost_eur), 0) as amount_eur,
        count(*) as row_count
    from {{ ref('total_cost_of_ownership') }}
    where payer <> 'total'
),

booked as (
    select coalesce(sum(gross_eur), 0) as amount_eur
    from {{ ref('fct_cost') }}
    where not recurring and entry_status in ('invoiced', 'reversal')
)

select
    owned.amount_eur as owned_eur,
    booked.amount_eur as booked_eur
from owned
cross join booked
where abs(owned.amount_eur - booked.amount_eur) > 0.01 * owned.row_count
