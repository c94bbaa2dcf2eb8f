-- Every competent authority is a pilot or is none.
with both_kinds as (
    select
        land_code,
        service_id,
        as_of,
        sum(authorities_competent) as authorities_competent,
        sum(authorities_operational) as authorities_operational
    from {{ ref('pilot_coverage_daily') }}
    group by land_code, service_id, as_of
)

select
    coverage.land_code,
    coverage.service_id,
    coverage.as_of
from {{ ref('coverage_daily') }} as coverage
full outer join both_kinds
    on
        coverage.land_code = both_kinds.land_code
        and coverage.service_id = both_kinds.service_id
        and coverage.as_of = both_kinds.as_of
where
    coverage.authorities_competent is distinct from both_kinds.authorities_competent
    or coverage.authorities_operational is distinct from both_kinds.authorities_operational
