select
    authority_id,
    valid_from,
    valid_to,
    reported_authority_id,
    population_share,
    population
from {{ source('inputs', 'authority_successors') }}
