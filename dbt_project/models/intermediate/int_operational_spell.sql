-- Every stretch of being operational, and how long the interruption after it lasted or has lasted.
with spells as (
    select
        authority_id,
        service_id,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by authority_id, service_id order by valid_from) as next_valid_from
    from {{ ref('int_reported_phase') }}
    where phase = 'operational'
),

-- consecutive periods of the same phase are one stretch
stretches as (
    select
        *,
        sum(case when previous_valid_to = valid_from then 0 else 1 end) over (
            partition by authority_id, service_id order by valid_from rows unbounded preceding
        ) as stretch
    from (
        select
            *,
            lag(valid_to) over (partition by authority_id, service_id order by valid_from) as previous_valid_to
        from spells
    ) as following
),

merged as (
    select
        authority_id,
        service_id,
        min(valid_from) as valid_from,
        case when bool_and(valid_to is not null) then max(valid_to) end as valid_to
    from stretches
    group by authority_id, service_id, stretch
)

select
    merged.authority_id,
    merged.service_id,
    merged.valid_from,
    merged.valid_to,
    cast({{ days_between('merged.valid_from', 'coalesce(merged.valid_to, run.as_of + 1)') }} as bigint) as operational_days,
    lead(merged.valid_from) over life as resumed_on,
    case
        when merged.valid_to is not null
            then cast({{ days_between('merged.valid_to', 'coalesce(lead(merged.valid_from) over life, run.as_of)') }} as bigint)
    end as interrupted_days
from merged
cross join {{ ref('stg_run') }} as run
window life as (partition by merged.authority_id, merged.service_id order by merged.valid_from)
