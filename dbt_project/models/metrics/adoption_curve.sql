-- How use grows after the go-live. An authority is at risk in a month if it was live, and reported online submissions, on every
-- day of that month and of every full month before it: who goes live late, is suspended or stops reporting leaves, and is not
-- taken for zero. The first full month of the very same authorities stands beside it, so that a change of who is left shows.
with connections as (
    select
        connections.land_code,
        connections.authority_id,
        connections.service_id,
        cast(date_trunc('month', connections.accepted_on - 1) + interval 1 month as date) as first_month
    from {{ ref('int_connection') }} as connections
    inner join {{ ref('int_programme_service') }} as programme
        on
            connections.land_code = programme.land_code
            and connections.service_id = programme.service_id
    where connections.accepted_on is not null
),

-- the months that are over, counted from 1
due as (
    select
        connections.land_code,
        connections.authority_id,
        connections.service_id,
        calendar.month,
        calendar.valid_to,
        datediff('month', connections.first_month, calendar.month) + 1 as full_month
    from connections
    inner join {{ ref('int_month') }} as calendar on connections.first_month <= calendar.month
    where calendar.valid_to > last_day(calendar.month)
),

followed as (
    select
        due.land_code,
        due.authority_id,
        due.service_id,
        due.full_month,
        live.inhabitant_days / 365.25 as inhabitant_years,
        counts.submitted_online,
        counts.submitted_offline is not null as is_paired,
        counts.submitted_online + coalesce(counts.submitted_assisted, 0) + counts.submitted_offline as submitted_total,
        coalesce(
            counts.is_online_complete and live.live_days = {{ days_between('due.month', 'due.valid_to') }}, false
        ) as is_complete
    from due
    left join {{ ref('int_live_month') }} as live
        on
            due.authority_id = live.authority_id
            and due.service_id = live.service_id
            and due.month = live.month
    left join {{ ref('int_usage_authority_month') }} as counts
        on
            due.authority_id = counts.authority_id
            and due.service_id = counts.service_id
            and due.month = counts.month
),

lives as (
    select
        authority_id,
        service_id,
        min(full_month) filter (where not is_complete) as left_in,
        arg_min(submitted_online, full_month) as first_submitted_online,
        arg_min(inhabitant_years, full_month) as first_inhabitant_years
    from followed
    group by authority_id, service_id
),

with_first as (
    select
        followed.*,
        lives.first_submitted_online,
        lives.first_inhabitant_years,
        lives.left_in is null or followed.full_month < lives.left_in as is_at_risk
    from followed
    inner join lives
        on
            followed.authority_id = lives.authority_id
            and followed.service_id = lives.service_id
),

sums as (
    select
        case
            when grouping(land_code) = 0 and grouping(service_id) = 0 then 'land_service'
            when grouping(service_id) = 0 then 'service'
            when grouping(land_code) = 0 then 'land'
            else 'all'
        end as stratum_kind,
        land_code,
        service_id,
        full_month,
        count(*) as due_count,
        count(*) filter (where is_at_risk) as at_risk_count,
        sum(submitted_online) filter (where is_at_risk) as submitted_online_count,
        sum(inhabitant_years) filter (where is_at_risk) as inhabitant_years,
        sum(submitted_online) filter (where is_at_risk and is_paired) as paired_online_count,
        sum(submitted_total) filter (where is_at_risk and is_paired) as paired_total_count,
        sum(first_submitted_online) filter (where is_at_risk) as first_month_submitted_online_count,
        sum(first_inhabitant_years) filter (where is_at_risk) as first_month_inhabitant_years
    from with_first
    group by grouping sets ((land_code, service_id, full_month), (service_id, full_month), (land_code, full_month), (full_month))
    having count(*) filter (where is_at_risk) > 0
)

select
    stratum_kind,
    coalesce(land_code || ' ' || service_id, service_id, land_code, 'all') as stratum,
    land_code,
    service_id,
    full_month,
    due_count as connections_due,
    at_risk_count,
    cast(submitted_online_count as bigint) as submitted_online_count,
    cast(inhabitant_years as double) as inhabitant_years,
    cast(1000 * submitted_online_count / nullif(inhabitant_years, 0) as double) as submissions_per_1000_inhabitants,
    cast(paired_online_count as bigint) as paired_online_count,
    cast(paired_total_count as bigint) as paired_total_count,
    paired_online_count / nullif(paired_total_count, 0) as take_up_share,
    cast(first_month_submitted_online_count as bigint) as first_month_submitted_online_count,
    cast(first_month_inhabitant_years as double) as first_month_inhabitant_years,
    cast(1000 * first_month_submitted_online_count / nullif(first_month_inhabitant_years, 0) as double)
        as first_month_per_1000_inhabitants
from sums
