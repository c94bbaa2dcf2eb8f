select
    service_id,
    month,
    cast(sum(submitted_online_count) as bigint) as submitted_online_count,
    cast(sum(paired_online_count) as bigint) as paired_online_count,
    cast(sum(paired_total_count) as bigint) as paired_total_count,
    sum(paired_online_count) / nullif(sum(paired_total_count), 0) as take_up_share,
    cast(sum(reporting_authorities) as bigint) as reporting_authorities,
    cast(sum(live_authorities) as bigint) as live_authorities
from {{ ref('adoption_monthly') }}
group by service_id, month
