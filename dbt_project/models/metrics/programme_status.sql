-- What is said first about a Land. A sum of which a part is unknown is unknown.
select
    commitments.land_code,
    commitments.as_of,
    count(*) as services,
    min(commitments.target_on) as target_on,
    min(commitments.target_share) as target_share,
    min(commitments.days_to_target) as days_to_target,
    cast({{ known_sum('commitments.authorities_lacking', 'true') }} as bigint) as authority_service_pairs_lacking,
    {{ known_sum('commitments.required_pace_per_week', 'true') }} as required_pace_per_week,
    {{ known_sum('commitments.actual_pace_per_week', 'true') }} as actual_pace_per_week,
    {{ known_sum('commitments.before_programme_pace_per_week', 'true') }} as before_programme_pace_per_week,
    count(*) filter (
        where commitments.linear_arrival_reason = 'arrived' or commitments.linear_arrival_on <= commitments.target_on
    ) as services_in_time,
    count(commitments.area_wide_probability) as services_predicted,
    count(*) filter (where commitments.area_wide_probability >= 0.5) as services_likely,
    cast(
        sum(coverage.authorities_operational) filter (where coverage.authorities_verified is not null) as bigint
    ) as authority_service_pairs_verifiable,
    cast(sum(coverage.authorities_verified) as bigint) as authority_service_pairs_verified,
    sum(coverage.authorities_verified)
    / nullif(sum(coverage.authorities_operational) filter (where coverage.authorities_verified is not null), 0)
        as verified_share
from {{ ref('commitment_status') }} as commitments
inner join {{ ref('coverage_daily') }} as coverage
    on
        commitments.land_code = coverage.land_code
        and commitments.service_id = coverage.service_id
        and commitments.as_of = coverage.as_of
group by commitments.land_code, commitments.as_of
