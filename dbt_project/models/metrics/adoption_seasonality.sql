{% set months_min = 13 -%}
-- The season of demand, by all channels, beside that of online submissions: the newest twelve months of the authorities that
-- delivered every month of the newest thirteen whole. With fewer, growth and season cannot be told apart, and nothing is said.
with paired as (
    select
        live.land_code,
        live.authority_id,
        live.service_id,
        live.month,
        counts.submitted_online,
        counts.submitted_online + coalesce(counts.submitted_assisted, 0) + counts.submitted_offline as submitted_total
    from {{ ref('int_live_month') }} as live
    inner join {{ ref('int_month') }} as calendar on live.month = calendar.month
    inner join {{ ref('int_usage_authority_month') }} as counts
        on
            live.authority_id = counts.authority_id
            and live.service_id = counts.service_id
            and live.month = counts.month
    where
        counts.is_online_complete
        and counts.submitted_offline is not null
        and live.live_days = {{ days_between('calendar.month', 'calendar.valid_to') }}
        and calendar.valid_to > last_day(calendar.month)
),

newest as (
    select
        land_code,
        service_id,
        max(month) as last_month,
        datediff('month', min(month), max(month)) + 1 as months_observed
    from paired
    group by land_code, service_id
),

complete as (
    select
        paired.authority_id,
        paired.service_id
    from paired
    inner join newest
        on
            paired.land_code = newest.land_code
            and paired.service_id = newest.service_id
    where paired.month > newest.last_month - interval {{ months_min }} month
    group by paired.authority_id, paired.service_id
    having count(*) = {{ months_min }}
),

sums as (
    select
        paired.land_code,
        paired.service_id,
        month(paired.month) as month_of_year,
        min(paired.month) as month,
        sum(paired.submitted_total) as submitted_total_count,
        sum(paired.submitted_online) as submitted_online_count,
        count(*) as authorities_complete
    from paired
    inner join complete
        on
            paired.authority_id = complete.authority_id
            and paired.service_id = complete.service_id
    inner join newest
        on
            paired.land_code = newest.land_code
            and paired.service_id = newest.service_id
    where paired.month > newest.last_month - interval 12 month
    group by paired.land_code, paired.service_id, month(paired.month)
),

years as (
    select
        programme.land_code,
        programme.service_id,
        cast(calendar.month_of_year as bigint) as month_of_year,
        sums.month,
        coalesce(newest.months_observed, 0) as months_observed,
        coalesce(sums.authorities_complete, 0) as authorities_complete,
        sums.submitted_total_count,
        sum(sums.submitted_total_count) over whole_year as submitted_total_12_months_count,
        sums.submitted_online_count,
        sum(sums.submitted_online_count) over whole_year as submitted_online_12_months_count
    from {{ ref('int_programme_service') }} as programme
    cross join generate_series(1, 12) as calendar (month_of_year)
    left join newest
        on
            programme.land_code = newest.land_code
            and programme.service_id = newest.service_id
    left join sums
        on
            programme.land_code = sums.land_code
            and programme.service_id = sums.service_id
            and calendar.month_of_year = sums.month_of_year
    window whole_year as (partition by programme.land_code, programme.service_id)
)

select
    land_code,
    service_id,
    month_of_year,
    month,
    months_observed,
    authorities_complete,
    cast(submitted_total_count as bigint) as submitted_total_count,
    cast(submitted_total_12_months_count as bigint) as submitted_total_12_months_count,
    submitted_total_count / nullif(submitted_total_12_months_count, 0) as total_month_share,
    cast(submitted_online_count as bigint) as submitted_online_count,
    cast(submitted_online_12_months_count as bigint) as submitted_online_12_months_count,
    submitted_online_count / nullif(submitted_online_12_months_count, 0) as online_month_share,
    case
        when months_observed = 0 then 'no_channel_paired'
        when months_observed < {{ months_min }} then 'shorter_than_13_months'
        when authorities_complete = 0 then 'no_authority_complete'
        when submitted_total_12_months_count = 0 then 'no_submission'
    end as null_reason
from years
