with newest as (
    {{ newest_revisions(source('inputs', 'page_visits'), ['source_url', 'period_start', 'period_end', 'country', 'device']) }}
)

select
    source_url,
    period_start,
    period_end,
    country,
    cast(device as varchar) as device,
    visits,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
