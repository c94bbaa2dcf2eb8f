select
    land_code,
    source,
    rule,
    count(*) as row_count
from {{ ref('stg_quarantine') }}
group by land_code, source, rule
