{{ config(severity='warn') }}
-- What a Land delivers of the time before the programme and what its Land file states cross-check each other. Experience takes
-- the events, and the stated number only where there are none.
with delivered as (
    select
        land_code,
        service_id,
        count(*) as connections
    from {{ ref('int_connection') }}
    where is_baseline
    group by land_code, service_id
)

select
    programme.land_code,
    programme.service_id,
    programme.baseline_connections as stated_connections,
    delivered.connections as delivered_connections
from {{ ref('stg_land_service') }} as programme
inner join delivered
    on
        programme.land_code = delivered.land_code
        and programme.service_id = delivered.service_id
where programme.baseline_connections <> delivered.connections
