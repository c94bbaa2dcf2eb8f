-- Sees usage rows: keeps to the SQL that DuckDB and Spark share. Online submissions at operational authorities in 90 days.
-- A monthly count lies within the 90 days where its month begins in them; one whose month began before cannot be placed.
with bounds as (
    select
        as_of,
        as_of - 89 as window_from
    from {{ ref('stg_run') }}
),

live as (
    select
        steps.authority_id,
        steps.service_id,
        greatest(steps.valid_from, bounds.window_from) as live_from,
        least(coalesce(steps.valid_to, bounds.as_of + 1), bounds.as_of + 1) as live_to
    from {{ ref('int_authority_step') }} as steps
    cross join bounds
    where
        steps.is_operational
        and steps.valid_from <= bounds.as_of
        and coalesce(steps.valid_to > bounds.window_from, true)
),

marked as (
    select
        counts.authority_id,
        counts.service_id,
        counts.period,
        counts.grain,
        counts.submitted,
        -- where both grains arrive for a month, the monthly count holds
        max(case when counts.grain = 'month' then 1 else 0 end) over (
            partition by
                counts.authority_id, counts.service_id, date_trunc('month', counts.period), counts.account
        ) as has_month
    from {{ ref('stg_usage') }} as counts
    cross join bounds
    where
        counts.channel = 'online'
        and not counts.is_test
        and counts.submitted is not null
        and counts.period <= bounds.as_of
        and counts.period >= date_trunc('month', bounds.window_from)
),

reports as (
    select
        mapping.reported_authority_id as authority_id,
        marked.service_id,
        marked.grain,
        marked.period as period_from,
        case when marked.grain = 'month' then last_day(marked.period) + 1 else marked.period + 1 end as period_to,
        sum(marked.submitted) as submitted
    from marked
    inner join {{ ref('int_authority_mapping') }} as mapping
        on
            marked.authority_id = mapping.authority_id
            and mapping.is_main
            and {{ holds_on('mapping', 'marked.period') }}
    where marked.grain = 'month' or marked.has_month = 0
    group by mapping.reported_authority_id, marked.service_id, marked.grain, marked.period
),

-- a count that cannot be placed says nothing of the 90 days, unless it is zero
placed as (
    select
        live.authority_id,
        live.service_id,
        max(reports.submitted) as submitted_max
    from live
    inner join reports
        on
            live.authority_id = reports.authority_id
            and live.service_id = reports.service_id
            and live.live_from < reports.period_to
            and live.live_to > reports.period_from
    cross join bounds
    where reports.period_from >= bounds.window_from or reports.submitted = 0
    group by live.authority_id, live.service_id
)

select
    authority_id,
    service_id,
    submitted_max > 0 as is_used
from placed
