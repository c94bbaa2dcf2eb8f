-- As booked: nothing is allocated here, so that what is booked to no service or wave has cells of its own.
select
    land_code,
    service_id,
    wave,
    category,
    behaviour,
    payer,
    recurring,
    entry_status,
    cast(date_trunc('month', booked_on) as date) as month,
    count(*) as entries_count,
    cast(sum(amount_eur) as decimal(18, 2)) as amount_eur,
    cast(coalesce(sum(vat_nonrecoverable_eur), 0) as decimal(18, 2)) as vat_nonrecoverable_eur,
    cast(sum(gross_eur) as decimal(18, 2)) as gross_eur
from {{ ref('fct_cost') }}
group by
    land_code, service_id, wave, category, behaviour, payer, recurring, entry_status, date_trunc('month', booked_on)
