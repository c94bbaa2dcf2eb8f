-- Authorities and municipalities enter and leave on single days: the changes of a day are summed and cumulated over the days, so
-- that cost grows with changes and not with days × authorities. What changed before the first day counts on it.
{% set counts = [
    'authorities_competent', 'authorities_operational', 'authorities_verified', 'case_volumes_known',
    'cases_competent', 'cases_operational', 'population_competent', 'population_operational',
    'municipalities_competent', 'municipalities_operational',
] -%}
with authority_steps as (
    select
        steps.land_code,
        steps.service_id,
        steps.valid_from,
        steps.valid_to,
        1 as authorities_competent,
        case when steps.is_operational then 1 else 0 end as authorities_operational,
        case when steps.is_operational and steps.is_listed then 1 else 0 end as authorities_verified,
        case when volumes.cases is not null then 1 else 0 end as case_volumes_known,
        coalesce(volumes.cases, 0) as cases_competent,
        case when steps.is_operational then coalesce(volumes.cases, 0) else 0 end as cases_operational,
        0 as population_competent,
        0 as population_operational,
        0 as municipalities_competent,
        0 as municipalities_operational
    from {{ ref('int_authority_step') }} as steps
    left join {{ ref('int_case_volume') }} as volumes
        on
            steps.authority_id = volumes.authority_id
            and steps.service_id = volumes.service_id
),

municipality_steps as (
    select
        land_code,
        service_id,
        valid_from,
        valid_to,
        0 as authorities_competent,
        0 as authorities_operational,
        0 as authorities_verified,
        0 as case_volumes_known,
        0 as cases_competent,
        0 as cases_operational,
        population as population_competent,
        case when is_operational then population else 0 end as population_operational,
        case when is_municipality then 1 else 0 end as municipalities_competent,
        case when is_municipality and is_operational then 1 else 0 end as municipalities_operational
    from {{ ref('int_municipality_step') }}
),

steps as (
    select * from authority_steps
    union all
    select * from municipality_steps
),

changes as (
    select
        land_code,
        service_id,
        valid_from as changed_on,
        {{ counts | join(', ') }}
    from steps

    union all

    select
        land_code,
        service_id,
        valid_to as changed_on,
        {% for count in counts %}
        -{{ count }} as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from steps
    where valid_to is not null

    union all

    -- every service has a first day
    select
        land_code,
        service_id,
        observed_from as changed_on,
        {% for count in counts %}
        0 as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_programme_service') }}
),

daily as (
    select
        changes.land_code,
        changes.service_id,
        programme.verifiable_from,
        programme.as_of as last_day,
        greatest(changes.changed_on, programme.observed_from) as changed_on,
        {% for count in counts %}
        sum(changes.{{ count }}) as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from changes
    inner join {{ ref('int_programme_service') }} as programme
        on
            changes.land_code = programme.land_code
            and changes.service_id = programme.service_id
    where changes.changed_on <= programme.as_of
    group by
        changes.land_code,
        changes.service_id,
        programme.verifiable_from,
        programme.as_of,
        greatest(changes.changed_on, programme.observed_from)
),

cumulated as (
    select
        land_code,
        service_id,
        verifiable_from,
        changed_on,
        coalesce(lead(changed_on) over history - 1, last_day) as unchanged_until,
        {% for count in counts %}
        cast(sum({{ count }}) over history as bigint) as {{ count }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from daily
    window history as (partition by land_code, service_id order by changed_on)
),

-- days are written out last: nothing changes between two changes
days as (
    select
        * exclude (changed_on, unchanged_until),
        cast(unnest(generate_series(changed_on, unchanged_until, interval 1 day)) as date) as as_of
    from cumulated
),

known as (
    select
        * replace (
            case when case_volumes_known > 0 then cases_competent end as cases_competent,
            case when case_volumes_known > 0 then cases_operational end as cases_operational,
            case when as_of >= verifiable_from then authorities_verified end as authorities_verified
        )
    from days
)

select
    land_code,
    service_id,
    as_of,
    authorities_competent,
    authorities_operational,
    authorities_operational / nullif(authorities_competent, 0) as coverage_authority_share,
    population_competent,
    population_operational,
    population_operational / nullif(population_competent, 0) as coverage_population_share,
    cases_competent,
    cases_operational,
    cases_operational / nullif(cases_competent, 0) as coverage_case_share,
    municipalities_competent,
    municipalities_operational,
    authorities_competent > 0 and authorities_operational = authorities_competent as is_area_wide,
    authorities_verified,
    authorities_verified / nullif(authorities_operational, 0) as verified_share
from known
