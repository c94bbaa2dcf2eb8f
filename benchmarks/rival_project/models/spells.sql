-- When every connection was operational: half-open, up to the run's day.
with newest as (
    select *
    from (
        select
            rows.*,
            row_number() over (
                partition by
                    land_code,
                    case when event_id is not null then source end,
                    event_id,
                    case when event_id is null then authority_id end,
                    case when event_id is null then service_id end,
                    case when event_id is null then phase end,
                    case when event_id is null then effective_on end
                order by delivery_id desc, source desc
            ) as revision
        from {{ source('raw', 'connections') }} as rows
    ) as numbered
    where revision = 1 and not is_retracted
),

events as (
    select
        newest.authority_id,
        newest.service_id,
        newest.phase,
        newest.effective_on,
        lead(newest.effective_on) over (
            partition by newest.authority_id, newest.service_id
            order by
                newest.effective_on,
                case newest.phase
                    when 'planned' then 1
                    when 'contracted' then 2
                    when 'integrating' then 3
                    when 'onboarding' then 4
                    when 'operational' then 5
                    when 'suspended' then 6
                    else 7
                end,
                newest.reported_at,
                newest.delivery_id,
                newest.source,
                coalesce(newest.event_id, '')
        ) as next_on
    from newest
    cross join {{ source('raw', 'run') }} as run
    where newest.effective_on <= run.as_of
)

select
    authority_id,
    service_id,
    effective_on as valid_from,
    next_on as valid_to
from events
where phase = 'operational' and (next_on is null or next_on > effective_on)
