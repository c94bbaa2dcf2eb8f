-- As many rows lie in quarantine as the records of the deliveries in force say; a replaced snapshot took its own with it.
with found as (
    select
        land_code,
        source,
        delivery_id,
        count(*) as row_count
    from {{ ref('stg_quarantine') }}
    group by land_code, source, delivery_id
)

select
    deliveries.land_code,
    deliveries.source,
    deliveries.delivery_id,
    deliveries.rows_quarantined,
    found.row_count
from {{ ref('stg_delivery') }} as deliveries
full outer join found
    on
        deliveries.land_code = found.land_code
        and deliveries.source = found.source
        and deliveries.delivery_id = found.delivery_id
where
    coalesce(deliveries.is_in_force, true)
    and coalesce(found.row_count, 0) is distinct from deliveries.rows_quarantined
