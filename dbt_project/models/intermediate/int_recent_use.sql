-- Online submissions at operational authorities in 90 days, from the days that a month's mask names (int_usage_month).
-- A monthly count lies within the 90 days where its month begins in them; one whose month began before cannot be placed, and says
-- nothing of them unless it is zero.
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
        counts.month,
        counts.grain,
        counts.days_known_mask,
        counts.days_used_mask,
        counts.month >= bounds.window_from as is_placed,
        -- where both grains arrive for a month, the monthly count holds
        bool_or(counts.grain = 'month') over (
            partition by counts.authority_id, counts.service_id, counts.month, counts.account
        ) as has_month
    from {{ ref('int_usage_month') }} as counts
    cross join bounds
    where
        counts.channel = 'online'
        and counts.days_known_mask > 0
        and counts.month >= date_trunc('month', bounds.window_from)
),

mapped as (
    select
        mapping.reported_authority_id as authority_id,
        marked.service_id,
        marked.month,
        marked.grain,
        marked.is_placed,
        marked.days_known_mask,
        marked.days_used_mask,
        {{ days_mask('marked.month', 'mapping.valid_from', "coalesce(mapping.valid_to, date '9999-12-31')") }} as days_mask
    from marked
    inner join {{ ref('int_authority_mapping') }} as mapping
        on
            marked.authority_id = mapping.authority_id
            and mapping.is_main
            and last_day(marked.month) >= mapping.valid_from
            and marked.month < coalesce(mapping.valid_to, date '9999-12-31')
    where marked.grain = 'month' or not marked.has_month
),

-- a monthly count is zero where those of all accounts and predecessors are
reports as (
    select
        authority_id,
        service_id,
        month,
        grain,
        is_placed,
        bit_or(days_known_mask & days_mask) as days_known_mask,
        bit_or(days_used_mask & days_mask) as days_used_mask
    from mapped
    group by authority_id, service_id, month, grain, is_placed
),

-- what of a month's report lies in a live spell: a monthly count wholly or not at all, daily ones by their days
placed as (
    select
        live.authority_id,
        live.service_id,
        reports.days_known_mask,
        reports.days_used_mask,
        case
            when reports.grain = 'month' then 1
            else {{ days_mask('reports.month', 'live.live_from', 'live.live_to') }}
        end as days_mask
    from live
    inner join reports
        on
            live.authority_id = reports.authority_id
            and live.service_id = reports.service_id
            and live.live_from <= last_day(reports.month)
            and live.live_to > reports.month
    where reports.grain = 'day' or reports.is_placed or reports.days_used_mask = 0
)

select
    authority_id,
    service_id,
    bool_or(days_used_mask & days_mask > 0) as is_used
from placed
where days_known_mask & days_mask > 0
group by authority_id, service_id
