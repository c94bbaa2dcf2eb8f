select
    regions.land_code,
    successors.ags,
    successors.valid_from,
    regions.valid_to,
    successors.reported_ags,
    successors.kind,
    successors.population_share,
    successors.area_share,
    regions.population
from {{ ref('stg_region_successors') }} as successors
inner join {{ ref('stg_regions') }} as regions
    on
        successors.ags = regions.ags
        and successors.valid_from = regions.valid_from
