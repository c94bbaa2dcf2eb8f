-- The map on every month end and on as_of. An authority counts in every Kreis that holds a part of its jurisdiction, so that
-- authorities do not add up over Kreise; inhabitants and municipalities lie in one Kreis each and do.
with month_ends as (
    select
        land_code,
        service_id,
        cast(least(last_day(month), as_of) as date) as as_of
    from (
        select
            land_code,
            service_id,
            as_of,
            cast(unnest(generate_series(date_trunc('month', observed_from), as_of, interval 1 month)) as date) as month
        from {{ ref('int_programme_service') }}
    ) as months
),

kreise as (
    select distinct
        land_code,
        kreis_code,
        kreis_name
    from {{ ref('dim_region') }}
    where is_reported
),

areas as (
    select
        competences.service_id,
        competences.authority_id,
        competences.ags,
        regions.kreis_code
    from {{ ref('int_reported_competence') }} as competences
    inner join {{ ref('dim_region') }} as regions
        on
            competences.ags = regions.ags
            and regions.is_reported
),

authority_areas as (
    select distinct
        service_id,
        authority_id,
        kreis_code
    from areas
),

municipality_areas as (
    select distinct
        service_id,
        ags,
        kreis_code
    from areas
),

authorities as (
    select
        areas.service_id,
        areas.kreis_code,
        month_ends.as_of,
        count(*) as authorities_competent,
        count(*) filter (where steps.is_operational) as authorities_operational
    from month_ends
    inner join {{ ref('int_authority_step') }} as steps
        on
            month_ends.land_code = steps.land_code
            and month_ends.service_id = steps.service_id
            and {{ holds_on('steps', 'month_ends.as_of') }}
    inner join authority_areas as areas
        on
            steps.authority_id = areas.authority_id
            and steps.service_id = areas.service_id
    group by areas.service_id, areas.kreis_code, month_ends.as_of
),

municipalities as (
    select
        areas.service_id,
        areas.kreis_code,
        month_ends.as_of,
        sum(steps.population) as population_competent,
        sum(steps.population) filter (where steps.is_operational) as population_operational,
        count(*) filter (where steps.is_municipality) as municipalities_competent,
        count(*) filter (where steps.is_municipality and steps.is_operational) as municipalities_operational
    from month_ends
    inner join {{ ref('int_municipality_step') }} as steps
        on
            month_ends.land_code = steps.land_code
            and month_ends.service_id = steps.service_id
            and {{ holds_on('steps', 'month_ends.as_of') }}
    inner join municipality_areas as areas
        on
            steps.ags = areas.ags
            and steps.service_id = areas.service_id
    group by areas.service_id, areas.kreis_code, month_ends.as_of
),

counted as (
    select
        month_ends.land_code,
        month_ends.service_id,
        kreise.kreis_code,
        kreise.kreis_name,
        month_ends.as_of,
        coalesce(authorities.authorities_competent, 0) as authorities_competent,
        coalesce(authorities.authorities_operational, 0) as authorities_operational,
        cast(coalesce(municipalities.population_competent, 0) as bigint) as population_competent,
        cast(coalesce(municipalities.population_operational, 0) as bigint) as population_operational,
        coalesce(municipalities.municipalities_competent, 0) as municipalities_competent,
        coalesce(municipalities.municipalities_operational, 0) as municipalities_operational
    from month_ends
    inner join kreise on month_ends.land_code = kreise.land_code
    left join authorities
        on
            month_ends.service_id = authorities.service_id
            and kreise.kreis_code = authorities.kreis_code
            and month_ends.as_of = authorities.as_of
    left join municipalities
        on
            month_ends.service_id = municipalities.service_id
            and kreise.kreis_code = municipalities.kreis_code
            and month_ends.as_of = municipalities.as_of
)

select
    land_code,
    service_id,
    kreis_code,
    kreis_name,
    as_of,
    authorities_competent,
    authorities_operational,
    authorities_operational / nullif(authorities_competent, 0) as coverage_authority_share,
    population_competent,
    population_operational,
    population_operational / nullif(population_competent, 0) as coverage_population_share,
    municipalities_competent,
    municipalities_operational,
    authorities_competent > 0 and authorities_operational = authorities_competent as is_area_wide
from counted
