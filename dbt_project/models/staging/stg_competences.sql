with newest as (
    {{ newest_revisions(source('inputs', 'competences'), ['authority_id', 'service_id', 'ags', 'valid_from']) }}
)

select
    authority_id,
    cast(service_id as varchar) as service_id,
    ags,
    is_partial,
    valid_from,
    valid_to,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
