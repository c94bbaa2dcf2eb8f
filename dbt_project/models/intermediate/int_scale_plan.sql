-- What was known of a begun connection before its work: the wave first planned for it, and its difficulty as last recorded before
-- its wave began; where it was recorded later only, as first recorded, so that its date shows that it came too late. Authorities
-- are those of the reported status.
with connections as (
    select
        authority_id,
        service_id,
        started_on,
        case
            when contractor is not null and wave is not null
                then min(started_on) over (partition by land_code, contractor, wave)
        end as wave_started_on
    from {{ ref('int_connection') }}
    where is_begun
),

stated as (
    select
        coalesce(mapping.reported_authority_id, events.authority_id) as authority_id,
        events.service_id,
        events.planned_wave,
        events.difficulty,
        events.difficulty_recorded_on,
        row_number() over (
            partition by coalesce(mapping.reported_authority_id, events.authority_id), events.service_id
            order by events.effective_on, events.authority_id, events.event_number
        ) as order_number
    from {{ ref('int_connection_event') }} as events
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            events.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'events.effective_on') }}
),

assessed as (
    select
        connections.authority_id,
        connections.service_id,
        stated.difficulty,
        stated.difficulty_recorded_on,
        stated.order_number,
        case
            when stated.difficulty_recorded_on < coalesce(connections.wave_started_on, connections.started_on)
                then stated.difficulty_recorded_on
        end as recorded_in_time_on
    from connections
    inner join stated
        on
            connections.authority_id = stated.authority_id
            and connections.service_id = stated.service_id
    where stated.difficulty is not null
),

difficulties as (
    select *
    from assessed
    qualify
        row_number() over (
            partition by authority_id, service_id
            -- of one day the newer statement
            order by recorded_in_time_on desc nulls last, difficulty_recorded_on asc nulls last, order_number desc
        ) = 1
),

plans as (
    select
        authority_id,
        service_id,
        min_by(planned_wave, order_number) as planned_wave
    from stated
    where planned_wave is not null
    group by authority_id, service_id
)

select
    connections.authority_id,
    connections.service_id,
    connections.wave_started_on,
    plans.planned_wave,
    difficulties.difficulty,
    difficulties.difficulty_recorded_on
from connections
left join plans
    on
        connections.authority_id = plans.authority_id
        and connections.service_id = plans.service_id
left join difficulties
    on
        connections.authority_id = difficulties.authority_id
        and connections.service_id = difficulties.service_id
