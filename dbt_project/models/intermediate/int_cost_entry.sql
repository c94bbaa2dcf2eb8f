{{ config(materialized='view') }}
-- The ledger at the prices of the day and of the first quarter of 2026, net (as invoiced) and gross (what the payer bears). The
-- price of an entry is that of the quarter in which it was booked. An entry whose class has no index for that quarter has no real
-- amount, which is not its nominal one.
{% set base_quarter = "date '2026-01-01'" -%}
with price_levels as (
    select
        levels.price_class,
        levels.quarter,
        bases.index_value / levels.index_value as to_base_prices
    from {{ ref('price_index') }} as levels
    inner join {{ ref('price_index') }} as bases on levels.price_class = bases.price_class
    where bases.quarter = {{ base_quarter }}
)

select
    costs.*,
    costs.amount_eur as net_eur,
    cast(costs.amount_eur * own_class.to_base_prices as decimal(38, 10)) as net_real_eur,
    cast(costs.gross_eur * own_class.to_base_prices as decimal(38, 10)) as gross_real_eur,
    cast(costs.amount_eur * consumer.to_base_prices as decimal(38, 10)) as net_cpi_eur,
    cast(costs.gross_eur * consumer.to_base_prices as decimal(38, 10)) as gross_cpi_eur
from {{ ref('fct_cost') }} as costs
left join price_levels as own_class
    on
        costs.deflator_class = own_class.price_class
        and date_trunc('quarter', costs.booked_on) = own_class.quarter
left join price_levels as consumer
    on
        consumer.price_class = 'cpi'
        and date_trunc('quarter', costs.booked_on) = consumer.quarter
