-- The estimates that SQL can make are those of the estimators: to 1e-10, from the same connections, and missing together.
select
    coalesce(estimates.outcome, twins.outcome) as outcome,
    coalesce(estimates.specification, twins.specification) as specification,
    estimates.coefficient,
    twins.coefficient as twin_coefficient,
    estimates.se,
    twins.se as twin_se,
    estimates.n,
    twins.n as twin_n
from (
    select *
    from {{ ref('scale_estimate') }}
    where claim = 'C1' and specification in ('bivariate', 'within') and term = 'ln_n'
) as estimates
full outer join {{ ref('int_scale_twin') }} as twins
    on
        estimates.outcome = twins.outcome
        and estimates.specification = twins.specification
where
    (estimates.coefficient is null) <> (twins.coefficient is null)
    or abs(estimates.coefficient - twins.coefficient) > 1e-10 * greatest(abs(twins.coefficient), 1)
    or abs(estimates.se - twins.se) > 1e-10 * greatest(twins.se, 1)
    or estimates.n <> twins.n
