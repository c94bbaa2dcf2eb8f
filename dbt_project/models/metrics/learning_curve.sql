-- The dots of the learning curve: each connection relative to the geometric means of its service in its Land, so that neither the
-- level of a service nor that of a Land is in it. The curve itself stands in scale_estimate (C1, cost, S2, ln_n).
with used as (
    select
        authority_id,
        service_id,
        land_code,
        wave,
        cumulative_connections,
        cost_variable_eur
    from {{ ref('scale_observation') }}
    where
        is_accepted
        and is_invoiced
        and price_mechanism = 'actual'
        and cost_variable_eur > 0
        and cumulative_connections > 0
),

-- rounded: the last digits of a mean of logarithms are those of the order in which they are added
levels as (
    select
        land_code,
        service_id,
        round(exp(avg(ln(cumulative_connections))), 6) as experience_geometric_mean,
        round(exp(avg(ln(cost_variable_eur))), 6) as cost_variable_geometric_mean_eur
    from used
    group by land_code, service_id
)

select
    used.authority_id,
    used.service_id,
    used.land_code,
    used.wave,
    used.cumulative_connections,
    levels.experience_geometric_mean,
    used.cumulative_connections / levels.experience_geometric_mean as experience_ratio,
    used.cost_variable_eur,
    levels.cost_variable_geometric_mean_eur,
    used.cost_variable_eur / levels.cost_variable_geometric_mean_eur as cost_variable_ratio
from used
inner join levels
    on
        used.land_code = levels.land_code
        and used.service_id = levels.service_id
