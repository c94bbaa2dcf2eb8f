-- Every time an authority that was operational is no more, whatever it fell back to.
with regressions as (
    select
        left_phase.land_code,
        left_phase.authority_id,
        left_phase.service_id,
        left_phase.ended_on as regressed_on,
        left_phase.next_phase as to_phase,
        left_phase.days as operational_days,
        min(again.began_on) as resumed_on
    from {{ ref('int_phase_spell') }} as left_phase
    left join {{ ref('int_phase_spell') }} as again
        on
            left_phase.authority_id = again.authority_id
            and left_phase.service_id = again.service_id
            and again.phase = 'operational'
            and left_phase.ended_on < again.began_on
    where left_phase.phase = 'operational' and left_phase.ended_on is not null
    group by
        left_phase.land_code, left_phase.authority_id, left_phase.service_id, left_phase.ended_on, left_phase.next_phase,
        left_phase.days
)

select
    regressions.land_code,
    regressions.authority_id,
    regressions.service_id,
    regressions.regressed_on,
    regressions.to_phase,
    regressions.operational_days,
    regressions.resumed_on,
    cast({{ days_between('regressions.regressed_on', 'coalesce(regressions.resumed_on, run.as_of + 1)') }} as bigint)
        as interrupted_days,
    regressions.resumed_on is null as is_interrupted
from regressions
cross join {{ ref('stg_run') }} as run
