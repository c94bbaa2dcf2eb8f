-- Each event opens an interval that the next one ends; what the same day replaced is not a phase that anybody was in.
select
    events.land_code,
    events.authority_id,
    mapping.reported_authority_id,
    events.service_id,
    events.phase,
    events.effective_on as valid_from,
    events.next_effective_on as valid_to,
    events.next_effective_on is null as is_current,
    events.wave,
    events.team,
    events.contractor,
    events.call_off,
    events.is_pilot,
    events.planned_wave,
    events.planned_start_on,
    events.difficulty,
    events.difficulty_recorded_on,
    events.person_days,
    events.person_days_municipal,
    events.reported_at,
    events.event_id,
    events.source,
    events.delivery_id
from {{ ref('int_connection_event') }} as events
left join {{ ref('int_authority_mapping') }} as mapping
    on
        events.authority_id = mapping.authority_id
        and mapping.is_main
        and {{ holds_on('mapping', 'events.effective_on') }}
where coalesce(events.next_effective_on > events.effective_on, true)
