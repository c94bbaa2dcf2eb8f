-- How many connections of a service there had been from a day on: first acceptances within the programme, each from the day after
-- it, in all Länder whose programme has the service, and what a Land had before the programme, from the day on which it joined.
with laender as (
    select
        programme.land_code,
        programme.service_id,
        programme.baseline_connections as stated_connections,
        lands.programme_start
    from {{ ref('stg_land_service') }} as programme
    inner join {{ ref('stg_land') }} as lands on programme.land_code = lands.land_code
    where lands.programme_start is not null
),

accepted as (
    select
        connections.service_id,
        connections.land_code,
        connections.accepted_on,
        connections.is_baseline
    from {{ ref('int_connection') }} as connections
    inner join laender
        on
            connections.land_code = laender.land_code
            and connections.service_id = laender.service_id
    where connections.accepted_on is not null
),

steps as (
    select
        service_id,
        accepted_on + 1 as valid_from,
        1 as connections,
        0 as baseline
    from accepted
    where not is_baseline

    union all

    -- the number that a Land states stands in where it delivers no event from before the programme
    select
        laender.service_id,
        laender.programme_start as valid_from,
        coalesce(nullif(count(accepted.service_id), 0), min(laender.stated_connections), 0) as connections,
        coalesce(nullif(count(accepted.service_id), 0), min(laender.stated_connections), 0) as baseline
    from laender
    left join accepted
        on
            laender.land_code = accepted.land_code
            and laender.service_id = accepted.service_id
            and accepted.is_baseline
    group by laender.land_code, laender.service_id, laender.programme_start
),

days as (
    select
        service_id,
        valid_from,
        sum(connections) as connections,
        sum(baseline) as baseline
    from steps
    group by service_id, valid_from
)

select
    service_id,
    valid_from,
    lead(valid_from) over (partition by service_id order by valid_from) as valid_to,
    cast(sum(connections) over (partition by service_id order by valid_from) as bigint) as cumulative_connections,
    cast(sum(baseline) over (partition by service_id order by valid_from) as bigint) as baseline_connections
from days
