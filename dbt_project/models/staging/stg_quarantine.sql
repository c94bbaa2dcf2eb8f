select
    land_code,
    source,
    cast("table" as varchar) as table_name,  -- noqa: RF06
    delivery_id,
    row_number,
    cast(rule as varchar) as rule
from {{ source('inputs', 'quarantine') }}
