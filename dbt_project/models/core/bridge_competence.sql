select
    competences.land_code,
    competences.authority_id,
    competences.service_id,
    competences.ags,
    competences.is_partial,
    competences.valid_from,
    competences.valid_to,
    {{ holds_on('competences', 'run.as_of') }} as is_current,
    {{ holds_on('competences', 'run.territory_on') }} as is_reported
from {{ ref('stg_competences') }} as competences
cross join {{ ref('stg_run') }} as run
