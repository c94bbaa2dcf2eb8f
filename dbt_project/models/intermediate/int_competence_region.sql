-- Competence cut by the validity of the municipality: within a piece nothing changes but the connection.
select
    competences.land_code,
    competences.authority_id,
    competences.service_id,
    competences.ags,
    competences.is_partial,
    regions.is_municipality,
    regions.population,
    greatest(competences.valid_from, regions.valid_from) as valid_from,
    least(competences.valid_to, regions.valid_to) as valid_to
from {{ ref('bridge_competence') }} as competences
inner join {{ ref('dim_region') }} as regions
    on
        competences.ags = regions.ags
        and {{ overlap('competences', 'regions') }}
