-- Coverage by authorities of the pilots and of all others; changes of a day are summed and cumulated, as in coverage_daily.
with steps as (
    select
        steps.land_code,
        steps.service_id,
        steps.valid_from,
        steps.valid_to,
        steps.is_operational,
        coalesce(connections.is_pilot, false) as is_pilot
    from {{ ref('int_authority_step') }} as steps
    left join {{ ref('int_connection') }} as connections
        on
            steps.authority_id = connections.authority_id
            and steps.service_id = connections.service_id
),

changes as (
    select
        land_code,
        service_id,
        is_pilot,
        valid_from as changed_on,
        1 as authorities_competent,
        case when is_operational then 1 else 0 end as authorities_operational
    from steps

    union all

    select
        land_code,
        service_id,
        is_pilot,
        valid_to as changed_on,
        -1 as authorities_competent,
        case when is_operational then -1 else 0 end as authorities_operational
    from steps
    where valid_to is not null
),

daily as (
    select
        changes.land_code,
        changes.service_id,
        changes.is_pilot,
        greatest(changes.changed_on, programme.observed_from) as as_of,
        sum(changes.authorities_competent) as authorities_competent,
        sum(changes.authorities_operational) as authorities_operational
    from changes
    inner join {{ ref('int_programme_service') }} as programme
        on
            changes.land_code = programme.land_code
            and changes.service_id = programme.service_id
    where changes.changed_on <= programme.as_of
    group by
        changes.land_code, changes.service_id, changes.is_pilot, greatest(changes.changed_on, programme.observed_from)
),

days as (
    select
        programme.land_code,
        programme.service_id,
        pilots.is_pilot,
        cast(unnest(generate_series(programme.observed_from, programme.as_of, interval 1 day)) as date) as as_of
    from {{ ref('int_programme_service') }} as programme
    cross join (values (true), (false)) as pilots (is_pilot)
),

cumulated as (
    select
        days.land_code,
        days.service_id,
        days.as_of,
        days.is_pilot,
        cast(coalesce(sum(daily.authorities_competent) over history, 0) as bigint) as authorities_competent,
        cast(coalesce(sum(daily.authorities_operational) over history, 0) as bigint) as authorities_operational
    from days
    left join daily
        on
            days.land_code = daily.land_code
            and days.service_id = daily.service_id
            and days.is_pilot = daily.is_pilot
            and days.as_of = daily.as_of
    window history as (partition by days.land_code, days.service_id, days.is_pilot order by days.as_of)
)

select
    land_code,
    service_id,
    as_of,
    is_pilot,
    authorities_competent,
    authorities_operational,
    authorities_operational / nullif(authorities_competent, 0) as coverage_authority_share
from cumulated
