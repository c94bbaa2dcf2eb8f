-- The verdicts by the rule of preregistration.yml (estimators/scale.py); that of claim C1 on cost is the programme's.
select
    claim,
    outcome,
    verdict,
    label,
    look_on,
    signed_on,
    first_cost_on,
    frozen_on,
    estimate,
    se,
    df,
    ci_low,
    ci_high,
    delta,
    n,
    clusters,
    power_05,
    power_10,
    power_20,
    gates_failed,
    prereg_sha256
from {{ ref('int_scale_verdict') }}
