-- An event is known by its event_id where the portal gives one, else by authority, service, phase and day.
with newest as (
    {{
        newest_revisions(
            source('inputs', 'connections'),
            [
                'case when event_id is not null then source end',
                'event_id',
                'case when event_id is null then authority_id end',
                'case when event_id is null then service_id end',
                'case when event_id is null then phase end',
                'case when event_id is null then effective_on end',
            ],
            retractable=true
        )
    }}
)

select
    event_id,
    authority_id,
    cast(service_id as varchar) as service_id,
    cast(phase as varchar) as phase,
    effective_on,
    reported_at,
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
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
