-- Live under the keys of the day: the days of a month on which an authority existed and what it counts for was live. Where it
-- counts for several, they were live together until it ended; the longest time is its own.
{% set first_day = 'greatest(steps.valid_from, successors.valid_from, months.valid_from)' -%}
{% set last_day = 'least(steps.valid_to, successors.valid_to, months.valid_to)' -%}
with live as (
    select
        steps.land_code,
        successors.authority_id,
        successors.reported_authority_id,
        steps.service_id,
        months.month,
        sum({{ days_between(first_day, last_day) }}) as live_days
    from {{ ref('int_authority_step') }} as steps
    inner join {{ ref('bridge_authority_successor') }} as successors
        on
            steps.authority_id = successors.reported_authority_id
            and {{ overlap('steps', 'successors') }}
    inner join {{ ref('int_month') }} as months
        on
            {{ overlap('steps', 'months') }}
            and {{ overlap('successors', 'months') }}
    where
        steps.is_operational
        and {{ first_day }} < {{ last_day }}
    group by steps.land_code, successors.authority_id, successors.reported_authority_id, steps.service_id, months.month
)

select
    land_code,
    authority_id,
    service_id,
    month,
    cast(max(live_days) as bigint) as live_days
from live
group by land_code, authority_id, service_id, month
