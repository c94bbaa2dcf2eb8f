-- The payers of a wave add up to its total, to a cent per payer.
select
    land_code,
    service_id,
    wave,
    sum(cost_full_eur) filter (where payer = 'total') as total_eur,
    sum(cost_full_eur) filter (where payer <> 'total') as payers_eur
from {{ ref('cost_per_connection') }}
group by land_code, service_id, wave
having
    abs(
        coalesce(sum(cost_full_eur) filter (where payer = 'total'), 0)
        - coalesce(sum(cost_full_eur) filter (where payer <> 'total'), 0)
    ) > 0.03
    or count(*) filter (where payer = 'total') <> 1
