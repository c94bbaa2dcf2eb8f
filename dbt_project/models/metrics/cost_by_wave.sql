-- Arithmetic, not evidence: fixed cost F over N connections falls with every further one, whether or not anybody learns anything.
-- AC(N) = F / N + v splits the fall of the average cost into that degression and the change of the variable cost; only the latter
-- can hold learning. F is all fixed cost of today, so that the first part is degression alone.
with bases as (
    select unnest(['nominal', 'real']) as price_basis
),

shares as (
    select
        bases.price_basis,
        shares.land_code,
        shares.service_id,
        shares.wave,
        shares.behaviour,
        shares.is_completed,
        case bases.price_basis when 'nominal' then shares.share_eur else shares.share_real_eur end as share_eur
    from {{ ref('int_cost_allocation') }} as shares
    cross join bases
    where shares.authority_id is not null
),

fixed as (
    select
        price_basis,
        land_code,
        service_id,
        {{ known_sum('share_eur', "behaviour <> 'variable'") }} as cost_fixed_eur
    from shares
    group by price_basis, land_code, service_id
),

variable as (
    select
        price_basis,
        land_code,
        service_id,
        wave,
        {{ known_sum('share_eur', "is_completed and behaviour = 'variable'") }} as cost_variable_eur
    from shares
    group by price_basis, land_code, service_id, wave
),

waves as (
    select
        bases.price_basis,
        connections.land_code,
        connections.service_id,
        connections.wave,
        count(*) filter (where connections.is_completed) as connections_completed
    from {{ ref('int_connection') }} as connections
    cross join bases
    where
        connections.is_begun
        and connections.wave is not null
    group by bases.price_basis, connections.land_code, connections.service_id, connections.wave
),

-- an average over waves one of which has no known cost is unknown; a wave in which nothing is completed adds nothing
cumulated as (
    select
        waves.*,
        variable.cost_variable_eur,
        fixed.cost_fixed_eur,
        cast(sum(waves.connections_completed) over history as bigint) as connections_completed_cumulative,
        case
            when bool_and(waves.connections_completed = 0 or variable.cost_variable_eur is not null) over history
                then sum(case when waves.connections_completed > 0 then variable.cost_variable_eur end) over history
        end as cost_variable_cumulative_eur
    from waves
    left join variable
        on
            waves.price_basis = variable.price_basis
            and waves.land_code = variable.land_code
            and waves.service_id = variable.service_id
            and waves.wave = variable.wave
    left join fixed
        on
            waves.price_basis = fixed.price_basis
            and waves.land_code = fixed.land_code
            and waves.service_id = fixed.service_id
    window history as (partition by waves.price_basis, waves.land_code, waves.service_id order by waves.wave)
),

averages as (
    select
        *,
        cost_fixed_eur / nullif(connections_completed_cumulative, 0) as fixed_each,
        cost_variable_cumulative_eur / nullif(connections_completed_cumulative, 0) as variable_each
    from cumulated
),

compared as (
    select
        *,
        fixed_each - lag(fixed_each) over life as fixed_change,
        variable_each - lag(variable_each) over life as variable_change,
        first_value(fixed_each) over reached as first_fixed_each,
        first_value(variable_each) over reached as first_variable_each
    from averages
    window
        life as (partition by price_basis, land_code, service_id order by wave),
        reached as (partition by price_basis, land_code, service_id, connections_completed_cumulative > 0 order by wave)
)

select
    land_code,
    service_id,
    wave,
    price_basis,
    connections_completed,
    connections_completed_cumulative,
    {{ to_cents('cost_variable_eur') }} as cost_variable_eur,
    {{ to_cents('cost_variable_eur / nullif(connections_completed, 0)') }} as cost_marginal_per_connection_eur,
    {{ to_cents('cost_fixed_eur') }} as cost_fixed_eur,
    {{ to_cents('cost_variable_cumulative_eur') }} as cost_variable_cumulative_eur,
    {{ to_cents('fixed_each') }} as cost_fixed_average_eur,
    {{ to_cents('variable_each') }} as cost_variable_average_eur,
    {{ to_cents('fixed_each + variable_each') }} as cost_average_eur,
    {{ to_cents('fixed_change') }} as degression_change_eur,
    {{ to_cents('variable_change') }} as variable_change_eur,
    {{ to_cents('fixed_change + variable_change') }} as cost_average_change_eur,
    {{ to_cents('first_fixed_each + first_variable_each') }} as cost_average_first_wave_eur,
    (fixed_each - first_fixed_each) / nullif(first_fixed_each + first_variable_each, 0) as degression_change_ratio,
    (fixed_each - first_fixed_each + variable_each - first_variable_each) / nullif(first_fixed_each + first_variable_each, 0)
        as cost_average_change_ratio
from compared
