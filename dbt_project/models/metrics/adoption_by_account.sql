-- With which user account are online applications submitted? Only live authorities that deliver accounts enter.
select
    sums.land_code,
    sums.service_id,
    sums.month,
    sums.account,
    sums.submitted_online as submitted_online_count,
    cast(sum(sums.submitted_online) over all_accounts as bigint) as all_accounts_online_count,
    sums.submitted_online / nullif(sum(sums.submitted_online) over all_accounts, 0) as account_share,
    sums.reporting_authorities
from {{ ref('int_account_month') }} as sums
inner join {{ ref('int_programme_service') }} as programme
    on
        sums.land_code = programme.land_code
        and sums.service_id = programme.service_id
window all_accounts as (partition by sums.land_code, sums.service_id, sums.month)
