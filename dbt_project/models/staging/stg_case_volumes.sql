with newest as (
    {{ newest_revisions(source('inputs', 'case_volumes'), ['authority_id', 'service_id', 'year'], retractable=true) }}
)

select
    authority_id,
    cast(service_id as varchar) as service_id,
    year,
    cases,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
