with newest as (
    {{ newest_revisions(source('inputs', 'costs'), ['source', 'entry_id'], retractable=true) }}
)

select
    entry_id,
    booked_on,
    period_start,
    period_end,
    authority_id,
    cast(service_id as varchar) as service_id,
    wave,
    call_off,
    contractor,
    cast(category as varchar) as category,
    cast(behaviour as varchar) as behaviour,
    cast(payer as varchar) as payer,
    recurring,
    cast(entry_status as varchar) as entry_status,
    amount_eur,
    vat_nonrecoverable_eur,
    cast(price_mechanism as varchar) as price_mechanism,
    deflator_class,
    land_code,
    source,
    delivery_id,
    delivered_at
from newest
