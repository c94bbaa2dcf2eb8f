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

    union all

    -- pilots and others have a first day, also where there are none
    select
        programme.land_code,
        programme.service_id,
        pilots.is_pilot,
        programme.observed_from as changed_on,
        0 as authorities_competent,
        0 as authorities_operational
    from {{ ref('int_programme_service') }} as programme
    cross join (values (true), (false)) as pilots (is_pilot)
),

daily as (
    select
        changes.land_code,
        changes.service_id,
        changes.is_pilot,
        programme.as_of as last_day,
        greatest(changes.changed_on, programme.observed_from) as changed_on,
        sum(changes.authorities_competent) as authorities_competent,
        sum(changes.authorities_operational) as authorities_operational
    from changes
    inner join {{ ref('int_programme_service') }} as programme
        on
            changes.land_code = programme.land_code
            and changes.service_id = programme.service_id
    where changes.changed_on <= programme.as_of
    group by
        changes.land_code,
        changes.service_id,
        changes.is_pilot,
        programme.as_of,
        greatest(changes.changed_on, programme.observed_from)
),

cumulated as (
    select
        land_code,
        service_id,
        is_pilot,
        changed_on,
        coalesce(lead(changed_on) over history - 1, last_day) as unchanged_until,
        cast(sum(authorities_competent) over history as bigint) as authorities_competent,
        cast(sum(authorities_operational) over history as bigint) as authorities_operational
    from daily
    window history as (partition by land_code, service_id, is_pilot order by changed_on)
)

select
    land_code,
    service_id,
    cast(unnest(generate_series(changed_on, unchanged_until, interval 1 day)) as date) as as_of,
    is_pilot,
    authorities_competent,
    authorities_operational,
    authorities_operational / nullif(authorities_competent, 0) as coverage_authority_share
from cumulated
