-- An authority counts in every Kreis that holds a part of its jurisdiction, as in coverage_by_kreis.
select
    kreise.land_code,
    kreise.kreis_code,
    min(kreise.kreis_name) as kreis_name,
    kreise.as_of,
    cast(max(kreise.population_competent) as bigint) as population,
    cast(sum(kreise.authorities_competent) as bigint) as authority_service_pairs_competent,
    cast(sum(kreise.authorities_operational) as bigint) as authority_service_pairs_operational,
    cast(sum(kreise.population_competent) as bigint) as population_service_pairs_competent,
    cast(sum(kreise.population_operational) as bigint) as population_service_pairs_operational,
    sum(kreise.population_operational) / nullif(sum(kreise.population_competent), 0) as coverage_population_share
from {{ ref('coverage_by_kreis') }} as kreise
inner join {{ ref('int_programme_service') }} as programme
    on
        kreise.land_code = programme.land_code
        and kreise.service_id = programme.service_id
        and kreise.as_of = programme.as_of
group by kreise.land_code, kreise.kreis_code, kreise.as_of
