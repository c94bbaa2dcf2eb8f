-- Where a service is connected, is it used? Only the months of live authorities enter.
-- what the inhabitants are counted by
with bases as (
    select
        land_code,
        max(population_date) as population_date,
        string_agg(distinct census_base, ' ' order by census_base) as census_base
    from {{ ref('dim_region') }}
    where is_reported
    group by land_code
),

live as (
    select
        months.land_code,
        months.service_id,
        months.month,
        months.inhabitant_days,
        counts.submitted_online,
        counts.submitted_assisted,
        counts.submitted_offline,
        counts.submitted_online + coalesce(counts.submitted_assisted, 0) + counts.submitted_offline as submitted_total,
        -- take-up compares channels, so it needs both: a month that reports online only is not a month without post
        counts.submitted_online is not null and counts.submitted_offline is not null as is_paired,
        counts.started_online,
        counts.completed_online,
        coalesce(counts.is_completion_paired, false) as is_completion_paired
    from {{ ref('int_live_month') }} as months
    left join {{ ref('int_usage_authority_month') }} as counts
        on
            months.authority_id = counts.authority_id
            and months.service_id = counts.service_id
            and months.month = counts.month
),

sums as (
    select
        land_code,
        service_id,
        month,
        sum(submitted_online) as submitted_online_count,
        sum(submitted_assisted) as submitted_assisted_count,
        sum(submitted_offline) as submitted_offline_count,
        sum(submitted_online) filter (where is_paired) as paired_online_count,
        sum(submitted_total) filter (where is_paired) as paired_total_count,
        sum(started_online) filter (where is_completion_paired) as completion_started_count,
        sum(completed_online) filter (where is_completion_paired) as completion_completed_count,
        sum(inhabitant_days) filter (where submitted_online is not null) / 365.25 as inhabitant_years,
        count(*) filter (where submitted_online is not null) as reporting_authorities,
        count(*) as live_authorities
    from live
    group by land_code, service_id, month
),

first_months as (
    select
        live.land_code,
        live.service_id,
        min(live.month) as first_month
    from live
    inner join {{ ref('int_programme_service') }} as programme
        on
            live.land_code = programme.land_code
            and live.service_id = programme.service_id
    group by live.land_code, live.service_id
),

months as (
    select
        first_months.land_code,
        first_months.service_id,
        calendar.month
    from first_months
    inner join {{ ref('int_month') }} as calendar on first_months.first_month <= calendar.month
)

select
    months.land_code,
    months.service_id,
    months.month,
    cast(sums.submitted_online_count as bigint) as submitted_online_count,
    cast(sums.submitted_assisted_count as bigint) as submitted_assisted_count,
    cast(sums.submitted_offline_count as bigint) as submitted_offline_count,
    cast(
        case
            when coalesce(sums.submitted_online_count, sums.submitted_assisted_count, sums.submitted_offline_count) is not null
                then
                    coalesce(sums.submitted_online_count, 0)
                    + coalesce(sums.submitted_assisted_count, 0)
                    + coalesce(sums.submitted_offline_count, 0)
        end as bigint
    ) as submitted_total_count,
    cast(sums.paired_online_count as bigint) as paired_online_count,
    cast(sums.paired_total_count as bigint) as paired_total_count,
    sums.paired_online_count / nullif(sums.paired_total_count, 0) as take_up_share,
    cast(sums.completion_started_count as bigint) as completion_started_count,
    cast(sums.completion_completed_count as bigint) as completion_completed_count,
    case
        when sums.completion_completed_count <= sums.completion_started_count
            then sums.completion_completed_count / nullif(sums.completion_started_count, 0)
    end as completion_share,
    case
        when sums.completion_started_count is null then 'not_delivered'
        when sums.completion_completed_count > sums.completion_started_count then 'more_completed_than_started'
        when sums.completion_started_count = 0 then 'nothing_started'
    end as completion_null_reason,
    cast(sums.inhabitant_years as double) as inhabitant_years,
    cast(1000 * sums.submitted_online_count / nullif(sums.inhabitant_years, 0) as double) as submissions_per_1000_inhabitants,
    bases.population_date,
    bases.census_base,
    coalesce(sums.reporting_authorities, 0) as reporting_authorities,
    coalesce(sums.live_authorities, 0) as live_authorities
from months
left join bases on months.land_code = bases.land_code
left join sums
    on
        months.land_code = sums.land_code
        and months.service_id = sums.service_id
        and months.month = sums.month
