-- Sharing a ledger neither loses nor makes a cent.
with allocated as (
    select coalesce(sum(share_eur), 0) as amount_eur
    from {{ ref('int_cost_allocation') }}
),

booked as (
    select coalesce(sum(gross_eur), 0) as amount_eur
    from {{ ref('fct_cost') }}
    where not recurring and entry_status in ('invoiced', 'reversal')
)

select
    allocated.amount_eur as allocated_eur,
    booked.amount_eur as booked_eur
from allocated
cross join booked
where abs(allocated.amount_eur - booked.amount_eur) > 0.01
