{{ config(alias='cost_forecast') }}
-- The level of a single service may rest on a connection or two: the whole Land alone is public.
select
    as_of,
    outcome,
    unit,
    land_effect_sd,
    connections,
    doublings_beyond_experience,
    total_predicted,
    total_low,
    total_high,
    per_connection_predicted,
    per_connection_low,
    per_connection_high,
    interval_level,
    learning_rate,
    n,
    clusters,
    hindcast_clusters,
    hindcast_covered_clusters,
    hindcast_covered_share,
    reason
from {{ ref('cost_forecast') }}
where service_id is null
