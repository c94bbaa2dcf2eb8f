-- The denominators: who is competent where on the reported status, which the metrics take for every day.
select
    competences.land_code,
    competences.authority_id,
    competences.service_id,
    competences.ags,
    competences.is_partial,
    regions.is_municipality,
    regions.population
from {{ ref('bridge_competence') }} as competences
inner join {{ ref('dim_region') }} as regions on competences.ags = regions.ags
where competences.is_reported and regions.is_reported
