-- Who is in a phase today is who the funnel shows there on as_of.
select
    phases.land_code,
    phases.service_id,
    phases.phase
from {{ ref('time_in_phase') }} as phases
left join {{ ref('phase_funnel_daily') }} as funnel
    on
        phases.land_code = funnel.land_code
        and phases.service_id = funnel.service_id
        and phases.as_of = funnel.as_of
        and phases.phase = funnel.phase
where phases.authorities_in_phase is distinct from funnel.authorities_current_count
