-- Counts by month with what of the month they speak for, and the live months without a count.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

with months as (
    select
        counts.land_code,
        counts.authority_id,
        counts.service_id,
        counts.month,
        counts.channel,
        counts.account,
        counts.grain,
        counts.started,
        counts.submitted,
        counts.completed,
        -- a monthly count speaks for every day of its month that has passed; daily rows for their own day
        cast(
            case
                when counts.grain = 'month'
                    then {{ days_between('counts.month', 'least(last_day(counts.month), run.as_of)') }} + 1
                else counts.row_count
            end as bigint
        ) as days_reported
    from {{ ref('int_usage_month') }} as counts
    cross join {{ ref('stg_run') }} as run
    where {{ in_month('counts.month') }}
),

live_months as (
    select *
    from {{ ref('int_authority_live_month') }}
    where {{ in_month('month') }}
),

-- where both grains arrive for a month, the monthly count holds
monthly as (
    select distinct
        land_code,
        authority_id,
        service_id,
        month,
        channel,
        account
    from months
    where grain = 'month'
),

reported as (
    select months.*
    from months
    left join monthly
        on
            months.land_code = monthly.land_code
            and months.authority_id = monthly.authority_id
            and months.service_id = monthly.service_id
            and months.month = monthly.month
            and months.channel = monthly.channel
            and months.account is not distinct from monthly.account
    where months.grain = 'month' or monthly.authority_id is null
),

online as (
    select distinct
        authority_id,
        service_id,
        month
    from reported
    where channel = 'online'
),

counts_of_the_day as (
    select
        reported.land_code,
        reported.authority_id,
        reported.service_id,
        reported.month,
        reported.channel,
        reported.account,
        reported.grain,
        reported.started,
        reported.submitted,
        reported.completed,
        reported.days_reported,
        coalesce(live.live_days, 0) as live_days,
        case
            when reported.days_reported >= coalesce(live.live_days, 0) then 'reported'
            else 'partial'
        end as reporting_status
    from reported
    left join live_months as live
        on
            reported.authority_id = live.authority_id
            and reported.service_id = live.service_id
            and reported.month = live.month

    union all

    select
        live.land_code,
        live.authority_id,
        live.service_id,
        live.month,
        'online' as channel,
        cast(null as string) as account,
        cast(null as string) as grain,
        cast(null as bigint) as started,
        cast(null as bigint) as submitted,
        cast(null as bigint) as completed,
        cast(0 as bigint) as days_reported,
        live.live_days,
        'missing' as reporting_status
    from live_months as live
    left join online
        on
            live.authority_id = online.authority_id
            and live.service_id = online.service_id
            and live.month = online.month
    where online.authority_id is null
)

select
    counts_of_the_day.land_code,
    counts_of_the_day.authority_id,
    mapping.reported_authority_id,
    counts_of_the_day.service_id,
    counts_of_the_day.month,
    counts_of_the_day.channel,
    counts_of_the_day.account,
    counts_of_the_day.grain,
    counts_of_the_day.started,
    counts_of_the_day.submitted,
    counts_of_the_day.completed,
    counts_of_the_day.days_reported,
    counts_of_the_day.live_days,
    counts_of_the_day.reporting_status
from counts_of_the_day
left join {{ ref('int_authority_mapping') }} as mapping
    on
        counts_of_the_day.authority_id = mapping.authority_id
        and mapping.is_main
        and {{ holds_on('mapping', 'counts_of_the_day.month') }}
