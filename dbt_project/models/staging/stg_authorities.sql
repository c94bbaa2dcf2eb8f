with newest as (
    {{ newest_revisions(source('inputs', 'authorities'), ['authority_id', 'valid_from']) }}
)

select
    authority_id,
    cast(kind as varchar) as kind,
    name,
    seat_key,
    valid_from,
    valid_to,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
