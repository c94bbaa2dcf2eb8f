select
    funnel.land_code,
    funnel.as_of,
    funnel.phase,
    funnel.phase_order,
    cast(sum(funnel.authorities_current_count) as bigint) as authority_service_pairs_current,
    cast(sum(funnel.authorities_reached_count) as bigint) as authority_service_pairs_reached
from {{ ref('phase_funnel_daily') }} as funnel
inner join {{ ref('int_programme_service') }} as programme
    on
        funnel.land_code = programme.land_code
        and funnel.service_id = programme.service_id
        and funnel.as_of = programme.as_of
group by funnel.land_code, funnel.as_of, funnel.phase, funnel.phase_order
