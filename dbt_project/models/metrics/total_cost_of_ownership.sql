-- What is spent once, and today's running cost of a year for every year of the horizon, discounted. One-off cost that belongs to
-- no connection stands where it is booked, so that the one-off cost of all rows is the ledger's.
with assumptions as (
    select
        cast(max(value) filter (where assumption = 'ownership_horizon_years') as bigint) as horizon_years,
        cast(max(value) filter (where assumption = 'discount_rate') as double) as discount_rate
    from {{ ref('cost_assumption') }}
),

one_off as (
    select
        coalesce(land_code, entry_land_code) as land_code,
        coalesce(service_id, entry_service_id) as service_id,
        payer,
        sum(share_eur) as cost_eur
    from {{ ref('int_cost_allocation') }}
    group by coalesce(land_code, entry_land_code), coalesce(service_id, entry_service_id), payer
),

running as (
    select
        land_code,
        service_id,
        payer,
        cost_eur
    from {{ ref('int_running_cost') }}
),

years as (
    select
        land_code,
        service_id,
        bool_and(is_whole_year) as is_whole_year
    from {{ ref('int_running_cost') }}
    group by land_code, service_id
),

amounts as (
    select
        land_code,
        service_id,
        payer,
        cost_eur as one_off_eur,
        0 as running_eur
    from one_off

    union all

    select
        land_code,
        service_id,
        payer,
        0 as one_off_eur,
        cost_eur as running_eur
    from running
),

payers as (
    select
        land_code,
        service_id,
        payer,
        sum(one_off_eur) as one_off_eur,
        sum(running_eur) as running_eur
    from amounts
    group by land_code, service_id, payer

    union all

    select
        land_code,
        service_id,
        'total' as payer,
        sum(one_off_eur) as one_off_eur,
        sum(running_eur) as running_eur
    from amounts
    group by land_code, service_id
),

known as (
    select
        payers.land_code,
        payers.service_id,
        payers.payer,
        payers.one_off_eur,
        case when years.is_whole_year then payers.running_eur end as running_eur,
        case
            when years.is_whole_year is null then 'no_running_cost'
            when not years.is_whole_year then 'cost_shorter_than_12_months'
        end as null_reason
    from payers
    left join years
        on
            payers.land_code = years.land_code
            and payers.service_id is not distinct from years.service_id
),

-- the present value of one euro at the end of each year of the horizon
factors as (
    select
        horizon_years,
        discount_rate,
        case
            when discount_rate = 0 then horizon_years
            else (1 - power(1 + discount_rate, -horizon_years)) / discount_rate
        end as present_value_factor
    from assumptions
)

select
    known.land_code,
    known.service_id,
    known.payer,
    factors.horizon_years,
    factors.discount_rate,
    cast(factors.present_value_factor as double) as present_value_factor,
    {{ to_cents('known.one_off_eur') }} as one_off_cost_eur,
    {{ to_cents('known.running_eur') }} as running_cost_annual_eur,
    {{ to_cents('known.running_eur * factors.present_value_factor') }} as running_cost_discounted_eur,
    {{ to_cents('known.one_off_eur + known.running_eur * factors.present_value_factor') }} as total_cost_of_ownership_eur,
    known.null_reason
from known
cross join factors
