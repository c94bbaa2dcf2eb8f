-- The same for every municipality × service: it is operational while all authorities competent for it are.
with competent as (
    select
        land_code,
        service_id,
        ags,
        min(is_municipality) as is_municipality,
        min(population) as population,
        count(*) as authorities
    from {{ ref('int_reported_competence') }}
    group by land_code, service_id, ags
),

intervals as (
    select
        service_id,
        ags,
        date '1900-01-01' as valid_from,
        cast(null as date) as valid_to,
        0 as operational
    from competent

    union all

    select
        competences.service_id,
        competences.ags,
        phases.valid_from,
        phases.valid_to,
        1 as operational
    from {{ ref('int_reported_competence') }} as competences
    inner join {{ ref('int_reported_phase') }} as phases
        on
            competences.authority_id = phases.authority_id
            and competences.service_id = phases.service_id
    where phases.phase = 'operational'
),

changes as (
    select
        service_id,
        ags,
        valid_from as changed_on,
        operational
    from intervals

    union all

    select
        service_id,
        ags,
        valid_to as changed_on,
        -operational as operational
    from intervals
    where valid_to is not null
),

daily as (
    select
        service_id,
        ags,
        changed_on,
        sum(operational) as operational
    from changes
    group by service_id, ags, changed_on
),

steps as (
    select
        service_id,
        ags,
        changed_on as valid_from,
        lead(changed_on) over life as valid_to,
        sum(operational) over life as operational
    from daily
    window life as (partition by service_id, ags order by changed_on)
)

select
    competent.land_code,
    competent.service_id,
    competent.ags,
    steps.valid_from,
    steps.valid_to,
    competent.is_municipality,
    competent.population,
    steps.operational = competent.authorities as is_operational
from steps
inner join competent
    on
        steps.service_id = competent.service_id
        and steps.ags = competent.ags
