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

first_months as (
    select
        live.land_code,
        live.service_id,
        min(live.month) as first_month
    from {{ ref('int_adoption_month') }} as live
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
    sums.submitted_online as submitted_online_count,
    sums.submitted_assisted as submitted_assisted_count,
    sums.submitted_offline as submitted_offline_count,
    cast(
        case
            when coalesce(sums.submitted_online, sums.submitted_assisted, sums.submitted_offline) is not null
                then
                    coalesce(sums.submitted_online, 0)
                    + coalesce(sums.submitted_assisted, 0)
                    + coalesce(sums.submitted_offline, 0)
        end as bigint
    ) as submitted_total_count,
    sums.paired_online as paired_online_count,
    sums.paired_total as paired_total_count,
    sums.paired_online / nullif(sums.paired_total, 0) as take_up_share,
    sums.completion_started as completion_started_count,
    sums.completion_completed as completion_completed_count,
    case
        when sums.completion_completed <= sums.completion_started
            then sums.completion_completed / nullif(sums.completion_started, 0)
    end as completion_share,
    case
        when sums.completion_started is null then 'not_delivered'
        when sums.completion_completed > sums.completion_started then 'more_completed_than_started'
        when sums.completion_started = 0 then 'nothing_started'
    end as completion_null_reason,
    cast(sums.inhabitant_days / 365.25 as double) as inhabitant_years,
    cast(1000 * sums.submitted_online / nullif(sums.inhabitant_days / 365.25, 0) as double) as submissions_per_1000_inhabitants,
    bases.population_date,
    bases.census_base,
    coalesce(sums.reporting_authorities, 0) as reporting_authorities,
    coalesce(sums.live_authorities, 0) as live_authorities
from months
left join bases on months.land_code = bases.land_code
left join {{ ref('int_adoption_month') }} as sums
    on
        months.land_code = sums.land_code
        and months.service_id = sums.service_id
        and months.month = sums.month
