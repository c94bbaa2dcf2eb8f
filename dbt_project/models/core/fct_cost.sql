select
    costs.source,
    costs.entry_id,
    costs.land_code,
    costs.booked_on,
    costs.period_start,
    costs.period_end,
    costs.authority_id,
    mapping.reported_authority_id,
    costs.service_id,
    costs.wave,
    costs.call_off,
    costs.contractor,
    costs.category,
    costs.behaviour,
    costs.payer,
    costs.recurring,
    costs.entry_status,
    costs.amount_eur,
    costs.vat_nonrecoverable_eur,
    cast(costs.amount_eur + coalesce(costs.vat_nonrecoverable_eur, 0) as decimal(18, 2)) as gross_eur,
    costs.price_mechanism,
    costs.deflator_class,
    costs.delivery_id
from {{ ref('stg_costs') }} as costs
left join {{ ref('int_authority_mapping') }} as mapping
    on
        costs.authority_id = mapping.authority_id
        and mapping.is_main
        and {{ holds_on('mapping', 'costs.booked_on') }}
