-- Of the authorities competent on a day: how many are in each phase, and how many have ever come as far.
with competent as (
    select
        land_code,
        authority_id,
        service_id,
        valid_from,
        valid_to
    from {{ ref('int_authority_step') }}
),

-- the first day on which a phase of the roll-out, or one beyond it, was reached; suspended and withdrawn lie on no way forward
reached as (
    select
        states.authority_id,
        states.service_id,
        phases.phase,
        min(states.valid_from) as valid_from,
        cast(null as date) as valid_to
    from {{ ref('int_reported_phase') }} as states
    inner join {{ ref('phase') }} as phases
        on
            phases.is_progress
            and states.reached_order >= phases.phase_order
    group by states.authority_id, states.service_id, phases.phase

    union all

    select
        events.reported_authority_id as authority_id,
        events.service_id,
        events.phase,
        min(events.effective_on) as valid_from,
        cast(null as date) as valid_to
    from {{ ref('int_reported_event') }} as events
    where not events.is_progress
    group by events.reported_authority_id, events.service_id, events.phase
),

intervals as (
    select
        competent.land_code,
        competent.service_id,
        'none' as phase,
        competent.valid_from,
        competent.valid_to,
        1 as in_phase,
        1 as in_reach
    from competent

    union all

    -- whoever is in a phase has left 'none'
    select
        competent.land_code,
        competent.service_id,
        unnest([phases.phase, 'none']) as phase,
        greatest(competent.valid_from, phases.valid_from) as valid_from,
        least(competent.valid_to, phases.valid_to) as valid_to,
        unnest([1, -1]) as in_phase,
        0 as in_reach
    from competent
    inner join {{ ref('int_reported_phase') }} as phases
        on
            competent.authority_id = phases.authority_id
            and competent.service_id = phases.service_id
            and phases.phase <> 'none'
            and {{ overlap('competent', 'phases') }}

    union all

    select
        competent.land_code,
        competent.service_id,
        reached.phase,
        greatest(competent.valid_from, reached.valid_from) as valid_from,
        least(competent.valid_to, reached.valid_to) as valid_to,
        0 as in_phase,
        1 as in_reach
    from competent
    inner join reached
        on
            competent.authority_id = reached.authority_id
            and competent.service_id = reached.service_id
            and {{ overlap('competent', 'reached') }}
),

changes as (
    select
        land_code,
        service_id,
        phase,
        valid_from as changed_on,
        in_phase,
        in_reach
    from intervals

    union all

    select
        land_code,
        service_id,
        phase,
        valid_to as changed_on,
        -in_phase as in_phase,
        -in_reach as in_reach
    from intervals
    where valid_to is not null

    union all

    -- every phase has a first day
    select
        programme.land_code,
        programme.service_id,
        phases.phase,
        programme.observed_from as changed_on,
        0 as in_phase,
        0 as in_reach
    from {{ ref('int_programme_service') }} as programme
    cross join {{ ref('phase') }} as phases
),

daily as (
    select
        changes.land_code,
        changes.service_id,
        changes.phase,
        programme.as_of as last_day,
        greatest(changes.changed_on, programme.observed_from) as changed_on,
        sum(changes.in_phase) as in_phase,
        sum(changes.in_reach) as in_reach
    from changes
    inner join {{ ref('int_programme_service') }} as programme
        on
            changes.land_code = programme.land_code
            and changes.service_id = programme.service_id
    where changes.changed_on <= programme.as_of
    group by
        changes.land_code,
        changes.service_id,
        changes.phase,
        programme.as_of,
        greatest(changes.changed_on, programme.observed_from)
),

-- days are written out last: nothing changes between two changes
cumulated as (
    select
        land_code,
        service_id,
        phase,
        changed_on,
        coalesce(lead(changed_on) over history - 1, last_day) as unchanged_until,
        cast(sum(in_phase) over history as bigint) as authorities_current_count,
        cast(sum(in_reach) over history as bigint) as authorities_reached_count
    from daily
    window history as (partition by land_code, service_id, phase order by changed_on)
)

select
    cumulated.land_code,
    cumulated.service_id,
    cast(unnest(generate_series(cumulated.changed_on, cumulated.unchanged_until, interval 1 day)) as date) as as_of,
    cumulated.phase,
    phases.phase_order,
    cumulated.authorities_current_count,
    cumulated.authorities_reached_count
from cumulated
inner join {{ ref('phase') }} as phases on cumulated.phase = phases.phase
