-- Kaplan and Meier (1958), with Greenwood's variance and an interval on the log(-log) scale, which keeps it within 0 and 1.
{% set z = '1.959963984540054' -%}
with moments as (
    select
        stratum_kind,
        stratum,
        days,
        min(land_code) as land_code,
        min(service_id) as service_id,
        count(*) filter (where is_event) as event_count,
        count(*) filter (where not is_event) as censored_count
    from {{ ref('int_survival_spell') }}
    group by stratum_kind, stratum, days
),

-- at risk on a day: entered before it (or at the start) and not left before it
entries as (
    select
        stratum_kind,
        stratum,
        entry_days as days,
        count(*) as entered
    from {{ ref('int_survival_spell') }}
    group by stratum_kind, stratum, entry_days
),

at_risk as (
    select
        moments.*,
        (
            select sum(entries.entered)
            from entries
            where
                entries.stratum_kind = moments.stratum_kind
                and entries.stratum = moments.stratum
                and (entries.days = 0 or entries.days < moments.days)
        )
        - coalesce(sum(moments.event_count + moments.censored_count) over before, 0) as at_risk_count
    from moments
    window before as (
        partition by moments.stratum_kind, moments.stratum order by moments.days
        rows between unbounded preceding and 1 preceding
    )
),

curve as (
    select
        *,
        product(1 - event_count / cast(at_risk_count as double)) over past as survival_share,
        sum(event_count / nullif(cast(at_risk_count as double) * (at_risk_count - event_count), 0)) over past as hazard_variance
    from at_risk
    window past as (partition by stratum_kind, stratum order by days rows unbounded preceding)
),

scaled as (
    select
        *,
        survival_share * sqrt(hazard_variance) as survival_se,
        case
            when survival_share > 0 and survival_share < 1
                then exp({{ z }} * sqrt(hazard_variance) / abs(ln(survival_share)))
        end as spread
    from curve
)

select
    stratum_kind,
    stratum,
    land_code,
    service_id,
    days,
    cast(at_risk_count as bigint) as at_risk_count,
    event_count,
    censored_count,
    survival_share,
    1 - survival_share as operational_share,
    case when spread is not null then 1 - power(survival_share, 1 / spread) end as operational_low_share,
    case when spread is not null then 1 - power(survival_share, spread) end as operational_high_share,
    case when survival_share > 0 then survival_se end as survival_se_share,
    case when spread is not null then power(survival_share, spread) end as survival_low_share,
    case when spread is not null then power(survival_share, 1 / spread) end as survival_high_share
from scaled
