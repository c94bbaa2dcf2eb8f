-- Will every competent authority be operational on the target date? Paces are net of regressions, per week.
with today as (
    select
        coverage.land_code,
        coverage.service_id,
        coverage.as_of,
        lands.programme_start,
        programme.baseline_connections,
        lands.target_on,
        lands.target_share,
        coverage.authorities_competent,
        coverage.authorities_operational,
        coverage.authorities_competent - coverage.authorities_operational as authorities_open,
        cast(ceil(coverage.authorities_competent * lands.target_share - 1e-9) as bigint) as authorities_promised,
        earlier.authorities_operational as authorities_operational_earlier,
        {{ days_between('coverage.as_of', 'lands.target_on') }} as days_to_target
    from {{ ref('coverage_daily') }} as coverage
    inner join {{ ref('int_programme_service') }} as programme
        on
            coverage.land_code = programme.land_code
            and coverage.service_id = programme.service_id
            and coverage.as_of = programme.as_of
    inner join {{ ref('stg_land') }} as lands on coverage.land_code = lands.land_code
    left join {{ ref('coverage_daily') }} as earlier
        on
            coverage.land_code = earlier.land_code
            and coverage.service_id = earlier.service_id
            and earlier.as_of = coverage.as_of - 56
),

-- the year before the programme: what was already coming without it
before_programme as (
    select
        today.land_code,
        today.service_id,
        sum(case when {{ holds_on('steps', '(today.programme_start - 1)') }} then 1 else 0 end)
        - sum(case when {{ holds_on('steps', '(today.programme_start - 365)') }} then 1 else 0 end) as gained,
        count(*) filter (where steps.valid_from < today.programme_start) as began_before
    from today
    inner join {{ ref('int_authority_step') }} as steps
        on
            today.land_code = steps.land_code
            and today.service_id = steps.service_id
    where steps.is_operational
    group by today.land_code, today.service_id
),

paces as (
    select
        today.*,
        case
            when today.days_to_target > 0
                then greatest(today.authorities_promised - today.authorities_operational, 0) / (today.days_to_target / 7)
        end as required_pace_per_week,
        (today.authorities_operational - today.authorities_operational_earlier) / 8 as actual_pace_per_week,
        -- a baseline that is stated, of which no event is delivered, came at a pace that is not known
        case
            when coalesce(before_programme.began_before, 0) > 0 or coalesce(today.baseline_connections, 0) = 0
                then coalesce(before_programme.gained, 0) / 52
        end as before_programme_pace_per_week,
        -- from the eve on: what goes live on the first day belongs to the programme
        case
            when today.as_of >= today.programme_start
                then
                    (today.authorities_operational - coalesce(eve.authorities_operational, 0))
                    / (({{ days_between('today.programme_start', 'today.as_of') }} + 1) / 7)
        end as programme_pace_per_week
    from today
    left join before_programme
        on
            today.land_code = before_programme.land_code
            and today.service_id = before_programme.service_id
    left join {{ ref('coverage_daily') }} as eve
        on
            today.land_code = eve.land_code
            and today.service_id = eve.service_id
            and today.programme_start = eve.as_of + 1
),

arrivals as (
    select
        *,
        case when authorities_promised is not null then greatest(authorities_promised - authorities_operational, 0) end
            as authorities_lacking,
        case
            when authorities_competent = 0 then 'no_competent_authority'
            when authorities_promised is null then 'no_target'
            when authorities_operational >= authorities_promised then 'arrived'
            when actual_pace_per_week is null then 'too_early'
            when actual_pace_per_week <= 0 then 'no_progress'
            when (authorities_promised - authorities_operational) / actual_pace_per_week > 5200 then 'more_than_a_century'
        end as linear_arrival_reason
    from paces
)

select
    arrivals.land_code,
    arrivals.service_id,
    arrivals.as_of,
    arrivals.target_on,
    arrivals.target_share,
    cast(arrivals.days_to_target as bigint) as days_to_target,
    arrivals.authorities_competent,
    arrivals.authorities_operational,
    arrivals.authorities_open,
    arrivals.authorities_lacking,
    arrivals.required_pace_per_week,
    arrivals.actual_pace_per_week,
    arrivals.required_pace_per_week - arrivals.actual_pace_per_week as pace_gap_per_week,
    arrivals.programme_pace_per_week,
    arrivals.before_programme_pace_per_week,
    case
        when arrivals.linear_arrival_reason is null
            then arrivals.as_of + cast(ceil(7 * arrivals.authorities_lacking / arrivals.actual_pace_per_week) as integer)
    end as linear_arrival_on,
    arrivals.linear_arrival_reason,
    forecast.open_predicted_count,
    forecast.open_predicted_low_count,
    forecast.open_predicted_high_count,
    1 - forecast.open_predicted_count / nullif(arrivals.authorities_competent, 0) as coverage_predicted_share,
    1 - forecast.open_predicted_high_count / nullif(arrivals.authorities_competent, 0) as coverage_predicted_low_share,
    1 - forecast.open_predicted_low_count / nullif(arrivals.authorities_competent, 0) as coverage_predicted_high_share,
    forecast.area_wide_probability,
    case
        when arrivals.authorities_competent = 0 then 'no_competent_authority'
        else coalesce(forecast.reason, case when forecast.land_code is null then 'no_competent_authority' end)
    end as prediction_reason
from arrivals
left join {{ ref('int_open_forecast') }} as forecast
    on
        arrivals.land_code = forecast.land_code
        and arrivals.service_id = forecast.service_id
