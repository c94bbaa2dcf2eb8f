-- The events of a connection up to as_of in their order: by day, then phase, then report. Ties cannot change from run to run.
with numbered as (
    select
        events.*,
        phases.phase_order,
        row_number() over (
            partition by events.authority_id, events.service_id
            order by
                events.effective_on, phases.phase_order, events.reported_at,
                events.delivery_id, events.source, coalesce(events.event_id, '')
        ) as event_number
    from {{ ref('stg_connections') }} as events
    inner join {{ ref('phase') }} as phases on events.phase = phases.phase
    cross join {{ ref('stg_run') }} as run
    where events.effective_on <= run.as_of
)

select
    *,
    lead(effective_on) over (partition by authority_id, service_id order by event_number) as next_effective_on
from numbered
