with newest as (
    {{ newest_revisions(source('inputs', 'territory_changes'), ['old_ags', 'new_ags', 'kind', 'effective_on']) }}
)

select
    old_ags,
    new_ags,
    cast(kind as varchar) as kind,
    effective_on,
    population_moved,
    area_moved_m2,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
