-- What a begun connection cost, one-off, net of VAT, of all payers: variable cost alone can show learning, full cost holds its
-- part of what is fixed. Where nothing variable is booked, the variable cost is not known, which is not a cost of zero.
with shares as (
    select *
    from {{ ref('int_cost_allocation') }}
    where authority_id is not null
),

costs as (
    select
        authority_id,
        service_id,
        count(*) filter (where behaviour = 'variable') as variable_shares,
        {{ known_sum('share_net_real_eur', "behaviour = 'variable'") }} as cost_variable_eur,
        {{ known_sum('share_net_eur', "behaviour = 'variable'") }} as cost_variable_nominal_eur,
        {{ known_sum('share_net_cpi_eur', "behaviour = 'variable'") }} as cost_variable_cpi_eur,
        {{ known_sum('share_net_real_eur', 'true') }} as cost_full_eur,
        -- credits count with their size: a share stays a share
        sum(abs(share_net_eur)) filter (
            where behaviour = 'variable' and entry_authority_id is not null and entry_service_id is not null
        ) as direct_eur,
        sum(abs(share_net_eur)) filter (where behaviour = 'variable') as variable_eur,
        -- invoices of its own tell when it is invoiced; where there are none, those of its call-off do
        coalesce(
            max(last_invoiced_on) filter (where behaviour = 'variable' and entry_authority_id is not null),
            max(last_invoiced_on) filter (where behaviour = 'variable' and entry_call_off is not null)
        ) as last_invoiced_on
    from shares
    group by authority_id, service_id
),

-- what was credited in full was not paid by any mechanism
mechanisms as (
    select
        authority_id,
        service_id,
        price_mechanism
    from shares
    where behaviour = 'variable'
    group by authority_id, service_id, price_mechanism
    having sum(share_net_eur) <> 0
),

prices as (
    select
        authority_id,
        service_id,
        case
            when count(*) = 1 then min(price_mechanism)
            when count(price_mechanism) > 0 then 'mixed'
        end as price_mechanism
    from mechanisms
    group by authority_id, service_id
)

select
    costs.authority_id,
    costs.service_id,
    case when costs.variable_shares > 0 then costs.cost_variable_eur end as cost_variable_eur,
    case when costs.variable_shares > 0 then costs.cost_variable_nominal_eur end as cost_variable_nominal_eur,
    case when costs.variable_shares > 0 then costs.cost_variable_cpi_eur end as cost_variable_cpi_eur,
    costs.cost_full_eur,
    case when costs.variable_eur > 0 then coalesce(costs.direct_eur, 0) / costs.variable_eur end as allocation_direct_share,
    costs.last_invoiced_on,
    prices.price_mechanism
from costs
left join prices
    on
        costs.authority_id = prices.authority_id
        and costs.service_id = prices.service_id
