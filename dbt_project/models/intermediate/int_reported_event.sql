-- The events along every line to an authority of the reported status. What an authority had reached before the line came to it
-- counts from that day on; what is told of it after it has passed on is another's.
select
    lines.reported_authority_id,
    events.service_id,
    lines.line,
    lines.valid_from as joined_on,
    events.event_number,
    greatest(events.effective_on, lines.valid_from) as effective_on,
    events.phase,
    phases.phase_order,
    phases.is_progress,
    events.wave,
    events.team,
    events.contractor,
    events.call_off,
    events.is_pilot,
    -- the order of all events of the connection, whichever line they came on
    dense_rank() over (
        partition by lines.reported_authority_id, events.service_id
        order by
            greatest(events.effective_on, lines.valid_from), lines.valid_from, events.effective_on,
            events.authority_id, events.event_number
    ) as order_number,
    events.land_code
from {{ ref('int_authority_line') }} as lines
inner join {{ ref('int_connection_event') }} as events
    on
        lines.authority_id = events.authority_id
        and coalesce(lines.valid_to > events.effective_on, true)
inner join {{ ref('phase') }} as phases on events.phase = phases.phase
