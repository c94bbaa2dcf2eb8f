-- Usage of live authorities, summed over a Land's: what a month's adoption is made of.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

with live as (
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
            and {{ in_month('counts.month') }}
    where {{ in_month('months.month') }}
)

select
    land_code,
    service_id,
    month,
    cast(sum(submitted_online) as bigint) as submitted_online,
    cast(sum(submitted_assisted) as bigint) as submitted_assisted,
    cast(sum(submitted_offline) as bigint) as submitted_offline,
    cast(sum(submitted_online) filter (where is_paired) as bigint) as paired_online,
    cast(sum(submitted_total) filter (where is_paired) as bigint) as paired_total,
    cast(sum(started_online) filter (where is_completion_paired) as bigint) as completion_started,
    cast(sum(completed_online) filter (where is_completion_paired) as bigint) as completion_completed,
    cast(sum(inhabitant_days) filter (where submitted_online is not null) as bigint) as inhabitant_days,
    count(*) filter (where submitted_online is not null) as reporting_authorities,
    count(*) as live_authorities
from live
group by land_code, service_id, month
