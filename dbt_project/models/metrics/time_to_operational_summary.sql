-- The quantiles of the curve: the first day on which so many are operational; NULL where the curve never falls so far.
with spells as (
    select
        stratum_kind,
        stratum,
        min(land_code) as land_code,
        min(service_id) as service_id,
        count(*) as connections_begun,
        count(*) filter (where is_event) as connections_completed,
        max(days) as longest_observed_days
    from {{ ref('int_survival_spell') }}
    group by stratum_kind, stratum
),

quantiles as (
    select
        stratum_kind,
        stratum,
        min(days) filter (where survival_share <= 0.75) as p25_days,
        min(days) filter (where survival_share <= 0.5) as median_days,
        min(days) filter (where survival_low_share <= 0.5) as median_low_days,
        min(days) filter (where survival_high_share <= 0.5) as median_high_days,
        min(days) filter (where survival_share <= 0.25) as p75_days,
        min(days) filter (where survival_share <= 0.1) as p90_days
    from {{ ref('time_to_operational') }}
    group by stratum_kind, stratum
)

select
    spells.stratum_kind,
    spells.stratum,
    spells.land_code,
    spells.service_id,
    spells.connections_begun,
    spells.connections_completed,
    spells.connections_begun - spells.connections_completed as connections_censored,
    spells.longest_observed_days,
    quantiles.p25_days,
    quantiles.median_days,
    quantiles.median_low_days,
    quantiles.median_high_days,
    quantiles.p75_days,
    quantiles.p90_days
from spells
inner join quantiles
    on
        spells.stratum_kind = quantiles.stratum_kind
        and spells.stratum = quantiles.stratum
