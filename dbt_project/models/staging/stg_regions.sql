with newest as (
    {{ newest_revisions(source('inputs', 'regions'), ['ags', 'valid_from']) }}
)

select
    ags,
    ars,
    name,
    cast(kind as varchar) as kind,
    kreis_code,
    kreis_name,
    regierungsbezirk_code,
    regierungsbezirk_name,
    verband_code,
    verband_name,
    population,
    population_date,
    cast(census_base as varchar) as census_base,
    area_km2,
    valid_from,
    valid_to,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
