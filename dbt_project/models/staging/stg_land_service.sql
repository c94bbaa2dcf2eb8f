select
    land_code,
    cast(service_id as varchar) as service_id,
    baseline_connections
from {{ source('inputs', 'land_service') }}
