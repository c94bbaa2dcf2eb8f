-- The waves of a Land over all its services: what a connection cost, what of it is invoiced, and the average so far in two parts.
-- A service in which nothing is completed yet adds no unknown; one with completed connections and no known cost does.
with waves as (
    select
        land_code,
        wave,
        sum(connections_begun) as connections_begun,
        sum(connections_completed) as connections_completed,
        {{ known_sum('cost_variable_eur', 'connections_completed > 0') }} as cost_variable_eur,
        {{ known_sum('cost_full_eur', 'connections_completed > 0') }} as cost_full_eur
    from {{ ref('cost_per_connection') }}
    where
        payer = 'total'
        and wave is not null
    group by land_code, wave
),

invoices as (
    select
        land_code,
        wave,
        count(*) filter (where is_invoiced) as connections_invoiced
    from {{ ref('scale_observation') }}
    where is_accepted
    group by land_code, wave
),

services as (
    select
        land_code,
        service_id,
        any_value(cost_fixed_eur) as cost_fixed_eur,
        sum(connections_completed) as connections_completed
    from {{ ref('cost_by_wave') }}
    where price_basis = 'nominal'
    group by land_code, service_id
),

fixed as (
    select
        land_code,
        case
            when count(*) filter (where connections_completed > 0 and cost_fixed_eur is null) = 0 then sum(cost_fixed_eur)
        end as cost_fixed_eur
    from services
    group by land_code
),

cumulated as (
    select
        waves.*,
        coalesce(invoices.connections_invoiced, 0) as connections_invoiced,
        fixed.cost_fixed_eur,
        sum(waves.connections_completed) over history as connections_completed_cumulative,
        case
            when bool_and(waves.cost_variable_eur is not null) over history then sum(waves.cost_variable_eur) over history
        end as cost_variable_cumulative_eur
    from waves
    left join invoices
        on
            waves.land_code = invoices.land_code
            and waves.wave = invoices.wave
    left join fixed on waves.land_code = fixed.land_code
    window history as (partition by waves.land_code order by waves.wave)
),

averages as (
    select
        *,
        cost_fixed_eur / nullif(connections_completed_cumulative, 0) as fixed_each,
        cost_variable_cumulative_eur / nullif(connections_completed_cumulative, 0) as variable_each
    from cumulated
)

select
    land_code,
    wave,
    cast(connections_begun as bigint) as connections_begun,
    cast(connections_completed as bigint) as connections_completed,
    connections_invoiced,
    connections_invoiced / nullif(connections_completed, 0) as invoiced_share,
    {{ to_cents('cost_variable_eur') }} as cost_variable_eur,
    {{ to_cents('cost_full_eur') }} as cost_full_eur,
    {{ to_cents('cost_variable_eur / nullif(connections_completed, 0)') }} as cost_variable_per_connection_eur,
    {{ to_cents('cost_full_eur / nullif(connections_completed, 0)') }} as cost_per_connection_eur,
    cast(connections_completed_cumulative as bigint) as connections_completed_cumulative,
    {{ to_cents('cost_fixed_eur') }} as cost_fixed_eur,
    {{ to_cents('cost_variable_cumulative_eur') }} as cost_variable_cumulative_eur,
    {{ to_cents('fixed_each') }} as cost_fixed_average_eur,
    {{ to_cents('variable_each') }} as cost_variable_average_eur,
    {{ to_cents('fixed_each + variable_each') }} as cost_average_eur
from averages
