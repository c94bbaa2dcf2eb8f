-- The months from the first in which anything was operational to that of as_of; a month ends with as_of.
with bounds as (
    select
        date_trunc('month', min(steps.valid_from)) as first_month,
        date_trunc('month', min(run.as_of)) as last_month,
        min(run.as_of) as as_of
    from {{ ref('int_authority_step') }} as steps
    cross join {{ ref('stg_run') }} as run
    where steps.is_operational and steps.valid_from <= run.as_of
),

months as (
    select
        cast(unnest(generate_series(first_month, last_month, interval 1 month)) as date) as month,
        as_of
    from bounds
)

select
    month,
    month as valid_from,
    cast(least(month + interval 1 month, as_of + interval 1 day) as date) as valid_to
from months
