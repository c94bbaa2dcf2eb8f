select
    ags,
    valid_from,
    reported_ags,
    population_share,
    area_share,
    kind
from {{ source('inputs', 'region_successors') }}
