-- Submissions of an authority are told of a Kreis where its jurisdiction lies within it; of no Kreis where it has several.
with kreise as (
    {{ kreise_with_competence() }}
),

places as (
    {{ authorities_of_one_kreis() }}
),

period as (
    {{ last_whole_months(3) }}
),

-- take-up compares channels, so it needs both, as in adoption_monthly
paired as (
    select
        live.authority_id,
        live.service_id,
        counts.submitted_online as online,
        counts.submitted_online + coalesce(counts.submitted_assisted, 0) + counts.submitted_offline as total
    from {{ ref('int_live_month') }} as live
    inner join period
        on
            live.month >= period.window_from
            and live.month < period.window_to
    inner join {{ ref('int_usage_authority_month') }} as counts
        on
            live.authority_id = counts.authority_id
            and live.service_id = counts.service_id
            and live.month = counts.month
    where
        counts.submitted_online is not null
        and counts.submitted_offline is not null
),

submissions as (
    select
        places.kreis_code,
        sum(paired.online) as paired_online_count,
        sum(paired.total) as paired_total_count
    from paired
    inner join places
        on
            paired.authority_id = places.authority_id
            and paired.service_id = places.service_id
    group by places.kreis_code
)

select
    kreise.land_code,
    kreise.kreis_code,
    kreise.kreis_name,
    kreise.population,
    period.window_from,
    cast(period.window_to - 1 as date) as window_until,
    cast(submissions.paired_online_count as bigint) as paired_online_count,
    cast(submissions.paired_total_count as bigint) as paired_total_count,
    submissions.paired_online_count / nullif(submissions.paired_total_count, 0) as take_up_share
from kreise
cross join period
left join submissions on kreise.kreis_code = submissions.kreis_code
