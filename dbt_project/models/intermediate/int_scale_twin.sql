-- The two simplest estimates of learning a second time, by DuckDB's own regression: ln outcome on ln N over all connections of
-- the cohort (bivariate), and about the means of service and Land (within). What cannot be told (fewer observations than
-- parameters, no variation of N) is NULL.
with cohort as (
    select max(accepted_by) as accepted_by
    from {{ ref('int_scale_estimate') }}
),

accepted as (
    select observations.*
    from {{ ref('scale_observation') }} as observations
    cross join cohort
    where
        observations.cumulative_connections > 0
        and observations.is_accepted
        and coalesce(observations.accepted_on <= cohort.accepted_by, true)
),

logarithms as (
    select
        'cost' as outcome,
        land_code,
        service_id,
        ln(cast(cost_variable_eur as double)) as y,
        ln(cumulative_connections) as x
    from accepted
    where
        cost_variable_eur > 0
        and is_invoiced
        and price_mechanism = 'actual'

    union all

    select
        'person_days' as outcome,
        land_code,
        service_id,
        ln(person_days) as y,
        ln(cumulative_connections) as x
    from accepted
    where person_days > 0
),

points as (
    select
        outcome,
        'bivariate' as specification,
        1 as levels,
        y,
        x
    from logarithms

    union all

    select
        outcome,
        'within' as specification,
        (dense_rank() over (partition by outcome order by service_id, land_code))
        + (dense_rank() over (partition by outcome order by service_id desc, land_code desc)) - 1 as levels,
        y - avg(y) over level as y,
        -- a level at which N never varies says nothing: exactly zero, not what rounding leaves of it
        case when min(x) over level < max(x) over level then x - avg(x) over level else 0 end as x
    from logarithms
    window level as (partition by outcome, service_id, land_code)
),

sums as (
    select
        outcome,
        specification,
        count(*) as n,
        count(*) - max(levels) - 1 as df,
        regr_sxx(y, x) as sxx,
        regr_sxy(y, x) as sxy,
        regr_syy(y, x) as syy,
        case when regr_sxx(y, x) > 0 then regr_slope(y, x) end as coefficient
    from points
    group by outcome, specification
)

select
    outcome,
    specification,
    n,
    df,
    case when df > 0 then coefficient end as coefficient,
    case when df > 0 and sxx > 0 then sqrt(greatest(syy - coefficient * sxy, 0) / df / sxx) end as se,
    case when syy > 0 then coefficient * sxy / syy end as r_squared
from sums
