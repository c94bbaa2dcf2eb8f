-- The same for every municipality × service: it is operational while all authorities competent for it are.
with intervals as (
    select
        land_code,
        service_id,
        ags,
        valid_from,
        valid_to,
        1 as competent,
        0 as operational
    from {{ ref('int_competence_region') }}

    union all

    select
        regions.land_code,
        regions.service_id,
        regions.ags,
        greatest(regions.valid_from, phases.valid_from) as valid_from,
        least(regions.valid_to, phases.valid_to) as valid_to,
        0 as competent,
        1 as operational
    from {{ ref('int_competence_region') }} as regions
    inner join {{ ref('fct_connection_phase') }} as phases
        on
            regions.authority_id = phases.authority_id
            and regions.service_id = phases.service_id
            and {{ overlap('regions', 'phases') }}
    where phases.phase = 'operational'
),

changes as (
    select
        land_code,
        service_id,
        ags,
        valid_from as changed_on,
        competent,
        operational
    from intervals

    union all

    select
        land_code,
        service_id,
        ags,
        valid_to as changed_on,
        -competent as competent,
        -operational as operational
    from intervals
    where valid_to is not null
),

daily as (
    select
        land_code,
        service_id,
        ags,
        changed_on,
        sum(competent) as competent,
        sum(operational) as operational
    from changes
    group by land_code, service_id, ags, changed_on
),

steps as (
    select
        land_code,
        service_id,
        ags,
        changed_on as valid_from,
        lead(changed_on) over life as valid_to,
        sum(competent) over life as competent,
        sum(operational) over life as operational
    from daily
    window life as (partition by land_code, service_id, ags order by changed_on)
)

-- the pieces are cut where a municipality's row ends, so every step lies within exactly one of its rows
select
    steps.land_code,
    steps.service_id,
    steps.ags,
    steps.valid_from,
    steps.valid_to,
    regions.is_municipality,
    regions.population,
    steps.operational = steps.competent as is_operational
from steps
inner join {{ ref('dim_region') }} as regions
    on
        steps.ags = regions.ags
        and {{ holds_on('regions', 'steps.valid_from') }}
where steps.competent > 0
