select
    land_code,
    as_of,
    count(*) as services,
    cast(sum(authorities_competent) as bigint) as authority_service_pairs_competent,
    cast(sum(authorities_operational) as bigint) as authority_service_pairs_operational,
    sum(authorities_operational) / nullif(sum(authorities_competent), 0) as coverage_micro_share,
    avg(coverage_authority_share) as coverage_mean_share,
    min(coverage_authority_share) as coverage_min_share,
    case
        when min(coverage_authority_share) is not null
            then first(service_id order by coverage_authority_share nulls last, service_id)
    end as coverage_min_service_id
from {{ ref('coverage_daily') }}
group by land_code, as_of
