-- Every competent authority is in exactly one phase, and those in phase operational are the ones that coverage counts.
with funnel as (
    select
        land_code,
        service_id,
        as_of,
        sum(authorities_current_count) as authorities_competent,
        sum(authorities_current_count) filter (where phase = 'operational') as authorities_operational
    from {{ ref('phase_funnel_daily') }}
    group by land_code, service_id, as_of
)

select
    coverage.land_code,
    coverage.service_id,
    coverage.as_of
from {{ ref('coverage_daily') }} as coverage
full outer join funnel
    on
        coverage.land_code = funnel.land_code
        and coverage.service_id = funnel.service_id
        and coverage.as_of = funnel.as_of
where
    coverage.authorities_competent is distinct from funnel.authorities_competent
    or coverage.authorities_operational is distinct from funnel.authorities_operational
