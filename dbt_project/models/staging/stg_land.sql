select
    land_code,
    name,
    programme_start,
    target_on,
    target_share
from {{ source('inputs', 'land') }}
