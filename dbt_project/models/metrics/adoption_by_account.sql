-- With which user account are online applications submitted? Only live authorities that deliver accounts enter.
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
        reports.channel = 'online'
        and reports.account is not null
        and reports.submitted is not null
    group by
        reports.land_code, coalesce(mapping.reported_authority_id, reports.authority_id),
        reports.service_id, reports.month, reports.account
),

sums as (
    select
        live.land_code,
        live.service_id,
        live.month,
        counts.account,
        sum(counts.submitted) as submitted_online_count,
        count(*) as reporting_authorities
    from counts
    inner join {{ ref('int_live_month') }} as live
        on
            counts.authority_id = live.authority_id
            and counts.service_id = live.service_id
            and counts.month = live.month
    group by live.land_code, live.service_id, live.month, counts.account
)

select
    sums.land_code,
    sums.service_id,
    sums.month,
    sums.account,
    cast(sums.submitted_online_count as bigint) as submitted_online_count,
    cast(sum(sums.submitted_online_count) over all_accounts as bigint) as all_accounts_online_count,
    sums.submitted_online_count / nullif(sum(sums.submitted_online_count) over all_accounts, 0) as account_share,
    sums.reporting_authorities
from sums
inner join {{ ref('int_programme_service') }} as programme
    on
        sums.land_code = programme.land_code
        and sums.service_id = programme.service_id
window all_accounts as (partition by sums.land_code, sums.service_id, sums.month)
