{{ config(alias='programme_adoption_by_kreis') }}
-- Made of the cells that the public tier shows and of nothing else: a month of an authority of which a channel is suppressed is
-- left out with all its channels, and counted.
with kreise as (
    {{ kreise_with_competence() }}
),

places as (
    {{ authorities_of_one_kreis() }}
),

period as (
    {{ last_whole_months(3) }}
),

counted as (
    select
        cells.authority_id,
        cells.service_id,
        cells.month,
        bool_or(cells.is_suppressed) as is_suppressed,
        sum(cells.submitted) filter (where cells.channel = 'online') as online,
        sum(cells.submitted) filter (where cells.channel = 'offline') as offline,
        sum(cells.submitted) as total
    from {{ ref('public_fct_usage_monthly') }} as cells
    inner join period
        on
            cells.month >= period.window_from
            and cells.month < period.window_to
    group by cells.authority_id, cells.service_id, cells.month
),

submissions as (
    select
        places.kreis_code,
        count(*) filter (where counted.is_suppressed) as authority_months_suppressed,
        sum(counted.online) filter (
            where not counted.is_suppressed and counted.online is not null and counted.offline is not null
        ) as paired_online_count,
        sum(counted.total) filter (
            where not counted.is_suppressed and counted.online is not null and counted.offline is not null
        ) as paired_total_count
    from counted
    inner join places
        on
            counted.authority_id = places.authority_id
            and counted.service_id = places.service_id
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
    submissions.paired_online_count / nullif(submissions.paired_total_count, 0) as take_up_share,
    coalesce(submissions.authority_months_suppressed, 0) as authority_months_suppressed
from kreise
cross join period
left join submissions on kreise.kreis_code = submissions.kreis_code
