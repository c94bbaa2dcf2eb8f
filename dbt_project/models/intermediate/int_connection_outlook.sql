-- Every competent authority × programme service as it stands on as_of, with what a prediction of its future rests on.
with competent as (
    select
        competences.land_code,
        competences.authority_id,
        competences.service_id,
        sum(case when competences.is_partial then 0 else competences.population end) as population
    from {{ ref('int_reported_competence') }} as competences
    inner join {{ ref('stg_land_service') }} as programme
        on
            competences.land_code = programme.land_code
            and competences.service_id = programme.service_id
    group by competences.land_code, competences.authority_id, competences.service_id
),

phases_today as (
    select
        phases.authority_id,
        phases.service_id,
        phases.phase,
        phases.valid_from
    from {{ ref('int_reported_phase') }} as phases
    cross join {{ ref('stg_run') }} as run
    where {{ holds_on('phases', 'run.as_of') }}
),

plans as (
    select
        mapping.reported_authority_id as authority_id,
        events.service_id,
        max_by(events.planned_start_on, events.reported_at) as planned_start_on,
        max_by(events.planned_wave, events.reported_at) as planned_wave,
        max_by(events.difficulty, events.reported_at) as difficulty
    from {{ ref('stg_connections') }} as events
    inner join {{ ref('int_authority_mapping') }} as mapping
        on
            events.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'events.effective_on') }}
    group by mapping.reported_authority_id, events.service_id
),

spells as (
    select
        authority_id,
        service_id,
        sum(operational_days) as operational_days,
        count(valid_to) as suspensions,
        max(valid_to) as last_valid_to
    from {{ ref('int_operational_spell') }}
    group by authority_id, service_id
)

select
    competent.land_code,
    competent.authority_id,
    competent.service_id,
    cast(competent.population as bigint) as population,
    connections.contractor,
    connections.wave,
    concat_ws(' ', connections.contractor, cast(coalesce(connections.wave, plans.planned_wave) as varchar)) as cluster,
    coalesce(connections.is_pilot, false) as is_pilot,
    plans.difficulty,
    case
        when phases_today.phase = 'operational' then 'operational'
        when phases_today.phase = 'withdrawn' then 'withdrawn'
        -- whatever phase it fell back to: it has been operational and is no more
        when connections.accepted_on is not null then 'suspended'
        when connections.started_on is not null then 'started'
        when plans.planned_start_on is not null then 'planned'
        else 'unplanned'
    end as state,
    plans.planned_start_on,
    connections.started_on,
    connections.accepted_on,
    case when phases_today.phase = 'withdrawn' then phases_today.valid_from end as withdrawn_on,
    case when coalesce(phases_today.phase != 'operational', true) then spells.last_valid_to end as suspended_on,
    cast(coalesce(spells.operational_days, 0) as bigint) as operational_days,
    cast(coalesce(spells.suspensions, 0) as bigint) as suspensions,
    lands.target_on,
    -- what began within the programme is experience of it; what was operational before is not
    coalesce(connections.is_begun and not connections.is_baseline, false) as is_experience
from competent
inner join {{ ref('stg_land') }} as lands on competent.land_code = lands.land_code
left join {{ ref('int_connection') }} as connections
    on
        competent.authority_id = connections.authority_id
        and competent.service_id = connections.service_id
left join phases_today
    on
        competent.authority_id = phases_today.authority_id
        and competent.service_id = phases_today.service_id
left join plans
    on
        competent.authority_id = plans.authority_id
        and competent.service_id = plans.service_id
left join spells
    on
        competent.authority_id = spells.authority_id
        and competent.service_id = spells.service_id
