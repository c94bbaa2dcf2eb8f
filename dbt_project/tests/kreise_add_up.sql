-- Inhabitants and municipalities of the Kreise add up to those of the Land; the Land is area-wide exactly where every Kreis is in
-- which anybody is competent. Authorities of several Kreise count in each of them.
with kreise as (
    select
        land_code,
        service_id,
        as_of,
        sum(population_competent) as population_competent,
        sum(population_operational) as population_operational,
        sum(municipalities_competent) as municipalities_competent,
        sum(municipalities_operational) as municipalities_operational,
        sum(authorities_competent) as authorities_competent,
        coalesce(bool_and(is_area_wide) filter (where authorities_competent > 0), false) as is_area_wide
    from {{ ref('coverage_by_kreis') }}
    group by land_code, service_id, as_of
)

select
    kreise.land_code,
    kreise.service_id,
    kreise.as_of
from kreise
left join {{ ref('coverage_daily') }} as coverage
    on
        kreise.land_code = coverage.land_code
        and kreise.service_id = coverage.service_id
        and kreise.as_of = coverage.as_of
where
    kreise.population_competent is distinct from coverage.population_competent
    or kreise.population_operational is distinct from coverage.population_operational
    or kreise.municipalities_competent is distinct from coverage.municipalities_competent
    or kreise.municipalities_operational is distinct from coverage.municipalities_operational
    or kreise.is_area_wide is distinct from coverage.is_area_wide
    or coalesce(kreise.authorities_competent < coverage.authorities_competent, true)
