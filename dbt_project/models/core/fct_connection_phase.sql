-- Each event opens an interval that the next one ends; what the same day replaced is not a phase that anybody was in.
select
    land_code,
    authority_id,
    service_id,
    phase,
    effective_on as valid_from,
    next_effective_on as valid_to,
    next_effective_on is null as is_current,
    wave,
    team,
    contractor,
    call_off,
    is_pilot,
    planned_wave,
    planned_start_on,
    difficulty,
    difficulty_recorded_on,
    person_days,
    person_days_municipal,
    reported_at,
    event_id,
    source,
    delivery_id
from {{ ref('int_connection_event') }}
where coalesce(next_effective_on > effective_on, true)
