{{ config(alias='coverage_daily') }}
-- On the day an authority becomes operational, the sum of cases grows by its cases: where one of them is small, none is shown.
with rules as (
    select max(value) as small_count_max
    from {{ ref('disclosure_rule') }}
    where rule_id = 'small_count_max' and service_id is null
),

known as (
    select distinct
        steps.land_code,
        steps.service_id,
        volumes.authority_id,
        volumes.cases
    from {{ ref('int_authority_step') }} as steps
    inner join {{ ref('int_case_volume') }} as volumes
        on
            steps.authority_id = volumes.authority_id
            and steps.service_id = volumes.service_id
),

small as (
    select distinct
        known.land_code,
        known.service_id
    from known
    cross join rules
    left join {{ ref('disclosure_rule') }} as own_limit
        on own_limit.rule_id = 'small_count_max' and known.service_id = own_limit.service_id
    where known.cases <= coalesce(own_limit.value, rules.small_count_max)
)

select
    coverage.land_code,
    coverage.service_id,
    coverage.as_of,
    coverage.authorities_competent,
    coverage.authorities_operational,
    coverage.coverage_authority_share,
    coverage.population_competent,
    coverage.population_operational,
    coverage.coverage_population_share,
    case when small.land_code is null then coverage.cases_competent end as cases_competent,
    case when small.land_code is null then coverage.cases_operational end as cases_operational,
    case when small.land_code is null then coverage.coverage_case_share end as coverage_case_share,
    coverage.municipalities_competent,
    coverage.municipalities_operational,
    coverage.is_area_wide,
    coverage.authorities_verified,
    coverage.verified_share,
    small.land_code is not null and coverage.cases_competent is not null as is_suppressed
from {{ ref('coverage_daily') }} as coverage
left join small
    on
        coverage.land_code = small.land_code
        and coverage.service_id = small.service_id
