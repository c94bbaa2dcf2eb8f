select
    regions.ags,
    regions.valid_from,
    regions.valid_to,
    {{ holds_on('regions', 'run.as_of') }} as is_current,
    {{ holds_on('regions', 'run.territory_on') }} as is_reported,
    regions.ars,
    regions.name,
    regions.kind,
    regions.kind not in ('gemeindefrei_bewohnt', 'gemeindefrei_unbewohnt') as is_municipality,
    regions.kreis_code,
    regions.kreis_name,
    regions.regierungsbezirk_code,
    regions.regierungsbezirk_name,
    regions.verband_code,
    regions.verband_name,
    regions.land_code,
    regions.population,
    regions.population_date,
    regions.census_base,
    regions.area_km2
from {{ ref('stg_regions') }} as regions
cross join {{ ref('stg_run') }} as run
