-- Online applications of live authorities by user account, summed over a Land's.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

with counts as (
    select
        reports.land_code,
        coalesce(mapping.reported_authority_id, reports.authority_id) as authority_id,
        reports.service_id,
        reports.month,
        reports.account,
        sum({{ shared_part('reports.submitted', 'mapping', 0) }}) as submitted
    from {{ ref('fct_usage_monthly') }} as reports
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            reports.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'reports.month') }}
    where
        {{ in_month('reports.month') }}
        and reports.channel = 'online'
        and reports.account is not null
        and reports.submitted is not null
    group by
        reports.land_code, coalesce(mapping.reported_authority_id, reports.authority_id),
        reports.service_id, reports.month, reports.account
)

select
    live.land_code,
    live.service_id,
    live.month,
    counts.account,
    cast(sum(counts.submitted) as bigint) as submitted_online,
    count(*) as reporting_authorities
from counts
inner join {{ ref('int_live_month') }} as live
    on
        counts.authority_id = live.authority_id
        and counts.service_id = live.service_id
        and counts.month = live.month
where {{ in_month('live.month') }}
group by live.land_code, live.service_id, live.month, counts.account
