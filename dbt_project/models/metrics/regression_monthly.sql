-- Regressions and resumptions by month. Who is interrupted at the end of a month fell back in it or before and has not resumed.
with months as (
    select
        land_code,
        service_id,
        as_of,
        cast(unnest(generate_series(date_trunc('month', observed_from), as_of, interval 1 month)) as date) as month
    from {{ ref('int_programme_service') }}
),

changes as (
    select
        land_code,
        service_id,
        cast(date_trunc('month', regressed_on) as date) as month,
        1 as regressions,
        0 as resumptions
    from {{ ref('regression') }}

    union all

    select
        land_code,
        service_id,
        cast(date_trunc('month', resumed_on) as date) as month,
        0 as regressions,
        1 as resumptions
    from {{ ref('regression') }}
    where resumed_on is not null
),

monthly as (
    select
        land_code,
        service_id,
        month,
        sum(regressions) as regressions,
        sum(resumptions) as resumptions
    from changes
    group by land_code, service_id, month
)

select
    months.land_code,
    months.service_id,
    months.month,
    cast(coalesce(monthly.regressions, 0) as bigint) as regressions_count,
    cast(coalesce(monthly.resumptions, 0) as bigint) as resumptions_count,
    cast(coalesce(sum(monthly.regressions - monthly.resumptions) over history, 0) as bigint) as authorities_interrupted
from months
left join monthly
    on
        months.land_code = monthly.land_code
        and months.service_id = monthly.service_id
        and months.month = monthly.month
window history as (partition by months.land_code, months.service_id order by months.month)
