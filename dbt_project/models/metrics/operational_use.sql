-- The step beyond operational: who received an online submission within the last 90 days.
with counted as (
    select
        steps.land_code,
        steps.service_id,
        count(*) as authorities_operational,
        count(recent.is_used) as authorities_reporting,
        count(*) filter (where recent.is_used) as authorities_used
    from {{ ref('int_authority_step') }} as steps
    cross join {{ ref('stg_run') }} as run
    left join {{ ref('int_recent_use') }} as recent
        on
            steps.authority_id = recent.authority_id
            and steps.service_id = recent.service_id
    where steps.is_operational and {{ holds_on('steps', 'run.as_of') }}
    group by steps.land_code, steps.service_id
)

select
    programme.land_code,
    programme.service_id,
    programme.as_of,
    coalesce(counted.authorities_operational, 0) as authorities_operational,
    coalesce(counted.authorities_reporting, 0) as authorities_reporting_count,
    case
        when counted.land_code is null then 0
        when counted.authorities_reporting > 0 then counted.authorities_used
    end as authorities_used_count
from {{ ref('int_programme_service') }} as programme
left join counted
    on
        programme.land_code = counted.land_code
        and programme.service_id = counted.service_id
