{% set window_days = 90 -%}
{% set stale_months = 3 -%}
{% set false_discovery_rate = 0.05 -%}
{% set measures = [
    'reported_days', 'inhabitant_days', 'submitted_online', 'started_online', 'mu', 'alpha', 'alpha_estimate', 'zero_probability'
] -%}
-- Connected, but dead? Only one without any online submission in two consecutive windows of 90 reported days can be,
-- and only where its peers say that so few are too unlikely, with the false discovery rate of the night held at 5 per cent.
with windows as (
    select
        land_code,
        authority_id,
        service_id,
        as_of,
        window_number,
        min(month) as first_month,
        max(month) as last_month,
        sum(reported_days) as reported_days,
        sum(inhabitant_days) as inhabitant_days,
        sum(submitted_online) as submitted_online,
        case when bool_and(started_online is not null) then sum(started_online) end as started_online
    from {{ ref('int_dormancy_month') }}
    group by land_code, authority_id, service_id, as_of, window_number
),

likelihoods as (
    select
        windows.*,
        expected.mu,
        expected.alpha,
        expected.alpha_estimate,
        -- negative binomial; without overdispersion it is Poisson's
        case
            when expected.alpha * expected.mu < 1e-9 then exp(-expected.mu)
            else power(1 + expected.alpha * expected.mu, -1 / expected.alpha)
        end as zero_probability
    from windows
    left join {{ ref('int_dormancy_expected') }} as expected
        on
            windows.authority_id = expected.authority_id
            and windows.service_id = expected.service_id
            and windows.window_number = expected.window_number
),

live_days as (
    select
        authority_id,
        service_id,
        -- up to the newest month that anybody reports: what is not delivered yet is no silence
        sum(live_days) filter (where month <= newest_month) as live_days
    from (
        select
            *,
            max(month) filter (where window_number is not null) over (partition by land_code, service_id) as newest_month
        from {{ ref('int_dormancy_month') }}
    ) as months
    group by authority_id, service_id
),

connections as (
    select
        likelihoods.land_code,
        likelihoods.authority_id,
        likelihoods.service_id,
        likelihoods.as_of,
        {% for number in [2, 1] -%}
        min(likelihoods.first_month) filter (where likelihoods.window_number = {{ number }}) as window_{{ number }}_first_month,
        max(likelihoods.last_month) filter (where likelihoods.window_number = {{ number }}) as window_{{ number }}_last_month,
        {% for name in measures -%}
        max(likelihoods.{{ name }}) filter (where likelihoods.window_number = {{ number }}) as window_{{ number }}_{{ name }},
        {% endfor -%}
        {% endfor -%}
        min(live_days.live_days) as live_days
    from likelihoods
    inner join live_days
        on
            likelihoods.authority_id = live_days.authority_id
            and likelihoods.service_id = live_days.service_id
    group by likelihoods.land_code, likelihoods.authority_id, likelihoods.service_id, likelihoods.as_of
),

-- every connection with two whole windows and peers is a test of the night; where anything was submitted it has no evidence
tests as (
    select
        *,
        least(coalesce(window_1_reported_days, 0), coalesce(window_2_reported_days, 0)) >= {{ window_days }} as is_observed,
        coalesce(window_1_submitted_online, 0) + coalesce(window_2_submitted_online, 0) > 0 as is_used,
        coalesce(window_1_last_month < date_trunc('month', as_of) - interval {{ stale_months }} month, true) as is_stale,
        case
            when
                window_1_reported_days >= {{ window_days }} and window_2_reported_days >= {{ window_days }}
                and window_1_zero_probability is not null and window_2_zero_probability is not null
                then
                    case
                        when window_1_submitted_online + window_2_submitted_online > 0 then 1.0
                        -- both windows must tell: the weaker of the two counts
                        else greatest(window_1_zero_probability, window_2_zero_probability)
                    end
        end as p_value
    from connections
),

ranked as (
    select
        *,
        row_number() over (order by p_value nulls last, authority_id, service_id) as position,
        count(p_value) over () as tests_count
    from tests
),

adjusted as (
    select
        *,
        -- Benjamini–Hochberg: the smallest rate at which the connection would be among those named
        case
            when p_value is not null
                then least(
                    1, min(p_value * tests_count / position) over higher
                )
        end as q_value
    from ranked
    window higher as (order by position rows between current row and unbounded following)
),

unreachable as (
    select distinct
        authority_id,
        service_id
    from {{ ref('evidence_conflict') }}
    where kind = 'listed_not_reachable'
),

judged as (
    select
        adjusted.*,
        coalesce(
            not adjusted.is_used
            and not adjusted.is_stale
            and adjusted.live_days >= 2 * {{ window_days }}
            and adjusted.q_value <= {{ false_discovery_rate }},
            false
        ) as is_dead,
        case
            when adjusted.window_1_started_online = 0 and adjusted.window_2_started_online = 0 then 'nothing_started'
            when unreachable.authority_id is not null then 'not_reachable'
            when adjusted.window_1_started_online + adjusted.window_2_started_online > 0 then 'started_and_not_submitted'
            else 'no_technical_evidence'
        end as evidence
    from adjusted
    left join unreachable
        on
            adjusted.authority_id = unreachable.authority_id
            and adjusted.service_id = unreachable.service_id
)

select
    land_code,
    authority_id,
    service_id,
    as_of,
    case
        when is_used and not is_stale then 'active'
        when coalesce(live_days, 0) < 2 * {{ window_days }} then 'too_small_or_too_early'
        when is_stale or not is_observed then 'unknown'
        when is_dead and evidence in ('nothing_started', 'not_reachable') then 'dead_technical'
        when is_dead then 'dead_demand'
        else 'too_small_or_too_early'
    end as answer,
    case when is_dead then evidence end as death_evidence,
    {% for number in [1, 2] -%}
    window_{{ number }}_first_month,
    window_{{ number }}_last_month,
    coalesce(window_{{ number }}_reported_days, 0) as window_{{ number }}_reported_days,
    coalesce(window_{{ number }}_inhabitant_days, 0) / 365.25 as window_{{ number }}_inhabitant_years,
    cast(window_{{ number }}_submitted_online as bigint) as window_{{ number }}_submitted_online_count,
    cast(window_{{ number }}_started_online as bigint) as window_{{ number }}_started_online_count,
    window_{{ number }}_mu,
    window_{{ number }}_alpha_estimate,
    window_{{ number }}_alpha,
    window_{{ number }}_zero_probability,
    {% endfor -%}
    p_value,
    case when p_value is not null then tests_count end as tests_count,
    cast(q_value as double) as q_value
from judged
