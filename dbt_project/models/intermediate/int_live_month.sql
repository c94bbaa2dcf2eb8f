{% set shared = days_between(
    'greatest(steps.valid_from, months.valid_from)', 'least(steps.valid_to, months.valid_to)'
) -%}
-- Live: competent and operational on at least one day of the month.
select
    steps.land_code,
    steps.authority_id,
    steps.service_id,
    months.month,
    cast(sum({{ shared }}) as bigint) as live_days,
    cast(sum(steps.population * {{ shared }}) as bigint) as inhabitant_days
from {{ ref('int_authority_step') }} as steps
inner join {{ ref('int_month') }} as months on {{ overlap('steps', 'months') }}
where steps.is_operational
group by steps.land_code, steps.authority_id, steps.service_id, months.month
