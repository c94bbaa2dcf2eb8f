-- One window for cost and counts: the last twelve whole months, so that no season weighs twice.
with period as (
    {{ last_whole_months(12) }}
),

costs as (
    select
        land_code,
        service_id,
        bool_and(is_whole_year) as is_whole_year,
        sum(cost_eur) as cost_eur
    from {{ ref('int_running_cost') }}
    group by land_code, service_id
),

counts_of_the_day as (
    select
        authority_id,
        service_id,
        month,
        sum(submitted) filter (where channel = 'online') as submitted_online,
        sum(submitted) filter (where channel = 'assisted') as submitted_assisted,
        sum(submitted) filter (where channel in ('counter', 'post', 'other')) as submitted_offline,
        sum(completed) filter (where channel in ('online', 'assisted')) as completed_digital,
        -- a digital count that came without its completed ones
        bool_or(submitted is not null and completed is null) filter (where channel in ('online', 'assisted'))
            as is_completed_missing
    from {{ ref('int_usage_channel') }}
    where
        month >= (select period.window_from from period)
        and month < (select period.window_to from period)
    group by authority_id, service_id, month
),

-- of the authorities of the reported status, with the counts of all that they continue
authority_months as (
    select
        coalesce(mapping.reported_authority_id, counts.authority_id) as authority_id,
        counts.service_id,
        counts.month,
        sum({{ shared_part('counts.submitted_online', 'mapping', 0) }}) as submitted_online,
        sum({{ shared_part('counts.submitted_assisted', 'mapping', 0) }}) as submitted_assisted,
        sum({{ shared_part('counts.submitted_offline', 'mapping', 0) }}) as submitted_offline,
        sum({{ shared_part('counts.completed_digital', 'mapping', 0) }}) as completed_digital,
        bool_or(counts.is_completed_missing) as is_completed_missing
    from counts_of_the_day as counts
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            counts.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'counts.month') }}
    group by coalesce(mapping.reported_authority_id, counts.authority_id), counts.service_id, counts.month
),

counts as (
    select
        months.land_code,
        months.service_id,
        count(*) as authority_months_live,
        count(counts.submitted_online) as authority_months_reported,
        sum(counts.submitted_online) as submitted_online_count,
        sum(counts.submitted_assisted) as submitted_assisted_count,
        sum(counts.submitted_offline) as submitted_offline_count,
        sum(counts.completed_digital) as completed_digital_count,
        coalesce(bool_or(counts.is_completed_missing), false) as is_completed_missing
    from {{ ref('int_live_month') }} as months
    inner join period
        on
            months.month >= period.window_from
            and months.month < period.window_to
    left join authority_months as counts
        on
            months.authority_id = counts.authority_id
            and months.service_id = counts.service_id
            and months.month = counts.month
    group by months.land_code, months.service_id
),

first_live as (
    select
        land_code,
        service_id,
        min(month) as first_month
    from {{ ref('int_live_month') }}
    group by land_code, service_id
),

keys as (
    select
        land_code,
        service_id
    from {{ ref('int_programme_service') }}
    union
    select
        land_code,
        service_id
    from costs
),

found as (
    select
        keys.land_code,
        keys.service_id,
        period.window_from,
        cast(period.window_to - 1 as date) as window_until,
        costs.cost_eur,
        counts.authority_months_live,
        counts.authority_months_reported,
        counts.submitted_online_count,
        counts.submitted_assisted_count,
        counts.submitted_offline_count,
        counts.submitted_online_count + coalesce(counts.submitted_assisted_count, 0) as submitted_digital_count,
        case when not counts.is_completed_missing then counts.completed_digital_count end as completed_digital_count,
        case
            when keys.service_id is null then 'not_booked_to_a_service'
            when costs.cost_eur is null then 'no_running_cost'
            when not costs.is_whole_year then 'cost_shorter_than_12_months'
            when coalesce(first_live.first_month > period.window_from, true) then 'live_shorter_than_12_months'
            when coalesce(counts.authority_months_reported, 0) = 0 then 'nothing_reported'
            when counts.submitted_online_count + coalesce(counts.submitted_assisted_count, 0) = 0 then 'no_submission'
        end as null_reason
    from keys
    cross join period
    left join costs
        on
            keys.land_code = costs.land_code
            and keys.service_id is not distinct from costs.service_id
    left join counts
        on
            keys.land_code = counts.land_code
            and keys.service_id = counts.service_id
    left join first_live
        on
            keys.land_code = first_live.land_code
            and keys.service_id = first_live.service_id
)

select
    land_code,
    service_id,
    window_from,
    window_until,
    {{ to_cents('cost_eur') }} as running_cost_eur,
    coalesce(authority_months_reported, 0) as authority_months_reported,
    coalesce(authority_months_live, 0) as authority_months_live,
    authority_months_reported / nullif(authority_months_live, 0) as reporting_share,
    cast(submitted_online_count as bigint) as submitted_online_count,
    cast(submitted_assisted_count as bigint) as submitted_assisted_count,
    cast(submitted_offline_count as bigint) as submitted_offline_count,
    cast(submitted_digital_count as bigint) as submitted_digital_count,
    cast(submitted_digital_count + coalesce(submitted_offline_count, 0) as bigint) as submitted_total_count,
    cast(completed_digital_count as bigint) as completed_digital_count,
    case
        when null_reason is null
            then {{ to_cents('cost_eur / (submitted_digital_count + coalesce(submitted_offline_count, 0))') }}
    end as running_cost_per_submission_eur,
    case
        when null_reason is null then {{ to_cents('cost_eur / submitted_digital_count') }}
    end as running_cost_per_digital_submission_eur,
    case
        when null_reason is null then {{ to_cents('cost_eur / nullif(completed_digital_count, 0)') }}
    end as running_cost_per_digital_completed_eur,
    null_reason
from found
