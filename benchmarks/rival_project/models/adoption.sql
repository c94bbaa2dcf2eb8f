-- What live authorities reported, per Land, service and month.
select
    monthly.land_code,
    monthly.service_id,
    monthly.month,
    cast(sum(case when monthly.channel = 'online' then monthly.submitted end) as bigint) as submitted_online_count,
    cast(sum(monthly.submitted) as bigint) as submitted_total_count
from {{ ref('monthly') }} as monthly
inner join (
    select distinct
        spells.authority_id,
        spells.service_id,
        months.month
    from {{ ref('spells') }} as spells
    inner join (select distinct month from {{ ref('monthly') }}) as months
        on
            spells.valid_from < cast(months.month + interval '1' month as date)
            and coalesce(spells.valid_to > months.month, true)
) as live
    on
        monthly.authority_id = live.authority_id
        and monthly.service_id = live.service_id
        and monthly.month = live.month
group by monthly.land_code, monthly.service_id, monthly.month
