{% set window_days = 90 -%}
-- The last year of every connection that is live on as_of, month by month, and the window that a month belongs to: back from the
-- newest reported month, window 1 takes months until it holds 90 reported days, window 2 goes on where window 1 ends.
-- A monthly count speaks for all its days, so for monthly deliveries a window is three months. Days without a count are in no
-- window and no exposure.
with connections as (
    select distinct
        steps.land_code,
        steps.authority_id,
        steps.service_id,
        run.as_of
    from {{ ref('int_authority_step') }} as steps
    cross join {{ ref('stg_run') }} as run
    inner join {{ ref('int_programme_service') }} as programme
        on
            steps.land_code = programme.land_code
            and steps.service_id = programme.service_id
    where
        steps.is_operational
        and {{ holds_on('steps', 'run.as_of') }}
),

last_counts as (
    select counts.*
    from {{ ref('int_usage_authority_month') }} as counts
    inner join {{ ref('stg_run') }} as run on counts.month > run.as_of - interval 12 month
),

months as (
    select
        connections.land_code,
        connections.authority_id,
        connections.service_id,
        connections.as_of,
        live.month,
        -- a connection of which no acceptance is known counts with the old ones
        coalesce(datediff('month', accepted.accepted_on, live.month), 12) as months_live,
        live.live_days,
        {% for days in ['live_days', 'inhabitant_days'] -%}
        case
            when counts.submitted_online is not null then live.{{ days }} * counts.online_reported_share else 0
        end as {{ 'reported_days' if days == 'live_days' else days }},
        {% endfor -%}
        counts.submitted_online,
        counts.started_online
    from connections
    inner join {{ ref('int_live_month') }} as live
        on
            connections.authority_id = live.authority_id
            and connections.service_id = live.service_id
    left join {{ ref('int_connection') }} as accepted
        on
            connections.authority_id = accepted.authority_id
            and connections.service_id = accepted.service_id
    left join last_counts as counts
        on
            live.authority_id = counts.authority_id
            and live.service_id = counts.service_id
            and live.month = counts.month
    where live.month > connections.as_of - interval 12 month
),

cumulated as (
    select
        *,
        coalesce(sum(reported_days) over before, 0) as days_after
    from months
    window before as (
        partition by authority_id, service_id order by month desc rows between unbounded preceding and 1 preceding
    )
),

first_windows as (
    select
        *,
        max(case when days_after < {{ window_days }} then days_after + reported_days end) over connection as first_window_days
    from cumulated
    window connection as (partition by authority_id, service_id)
)

select
    land_code,
    authority_id,
    service_id,
    as_of,
    month,
    months_live,
    cast(live_days as bigint) as live_days,
    cast(reported_days as double) as reported_days,
    cast(inhabitant_days as double) as inhabitant_days,
    cast(submitted_online as bigint) as submitted_online,
    cast(started_online as bigint) as started_online,
    case
        when reported_days = 0 then null
        when days_after < {{ window_days }} then 1
        when days_after < first_window_days + {{ window_days }} then 2
    end as window_number
from first_windows
