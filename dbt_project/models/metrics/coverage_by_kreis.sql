-- The map on every month end and on as_of. An authority counts in every Kreis that holds a part of its jurisdiction, so that
-- authorities do not add up over Kreise; inhabitants and municipalities lie in one Kreis each and do. Changes are summed and
-- cumulated, as in coverage_daily: a change counts from the first month end on that it has come to.
{% set counts = [
    'authorities_competent', 'authorities_operational', 'population_competent', 'population_operational',
    'municipalities_competent', 'municipalities_operational',
] -%}
with kreise as (
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

steps as (
    select
        areas.kreis_code,
        steps.service_id,
        steps.valid_from,
        steps.valid_to,
        1 as authorities_competent,
        case when steps.is_operational then 1 else 0 end as authorities_operational,
        0 as population_competent,
        0 as population_operational,
        0 as municipalities_competent,
        0 as municipalities_operational
    from {{ ref('int_authority_step') }} as steps
    inner join authority_areas as areas
        on
            steps.authority_id = areas.authority_id
            and steps.service_id = areas.service_id

    union all

    select
        areas.kreis_code,
        steps.service_id,
        steps.valid_from,
        steps.valid_to,
        0 as authorities_competent,
        0 as authorities_operational,
        steps.population as population_competent,
        case when steps.is_operational then steps.population else 0 end as population_operational,
        case when steps.is_municipality then 1 else 0 end as municipalities_competent,
        case when steps.is_municipality and steps.is_operational then 1 else 0 end as municipalities_operational
    from {{ ref('int_municipality_step') }} as steps
    inner join municipality_areas as areas
        on
            steps.ags = areas.ags
            and steps.service_id = areas.service_id
),

changes as (
    select
        kreis_code,
        service_id,
        valid_from as changed_on,
        {{ counts | join(', ') }}
    from steps

    union all

    select
        kreis_code,
        service_id,
        valid_to as changed_on,
        {% for count in counts %}
        -{{ count }} as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from steps
    where valid_to is not null

    union all

    -- every Kreis has a first month end
    select
        kreise.kreis_code,
        programme.service_id,
        programme.observed_from as changed_on,
        {% for count in counts %}
        0 as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_programme_service') }} as programme
    inner join kreise on programme.land_code = kreise.land_code
),

monthly as (
    select
        kreise.land_code,
        changes.service_id,
        kreise.kreis_code,
        kreise.kreis_name,
        programme.as_of,
        cast(date_trunc('month', greatest(changes.changed_on, programme.observed_from)) as date) as month,
        {% for count in counts %}
        sum(changes.{{ count }}) as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from changes
    inner join kreise on changes.kreis_code = kreise.kreis_code
    inner join {{ ref('int_programme_service') }} as programme
        on
            kreise.land_code = programme.land_code
            and changes.service_id = programme.service_id
    where changes.changed_on <= programme.as_of
    group by
        kreise.land_code,
        changes.service_id,
        kreise.kreis_code,
        kreise.kreis_name,
        programme.as_of,
        date_trunc('month', greatest(changes.changed_on, programme.observed_from))
),

cumulated as (
    select
        land_code,
        service_id,
        kreis_code,
        kreis_name,
        as_of,
        month,
        coalesce(lead(month) over history - 1, as_of) as unchanged_until,
        {% for count in counts %}
        cast(sum({{ count }}) over history as bigint) as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from monthly
    window history as (partition by service_id, kreis_code order by month)
),

counted as (
    select
        land_code,
        service_id,
        kreis_code,
        kreis_name,
        cast(least(last_day(unnest(generate_series(month, unchanged_until, interval 1 month))), as_of) as date) as as_of,
        {{ counts | join(', ') }}
    from cumulated
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
