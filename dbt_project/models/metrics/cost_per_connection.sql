with waves as (
    select
        land_code,
        service_id,
        wave,
        count(*) as connections_begun,
        count(*) filter (where is_completed) as connections_completed
    from {{ ref('int_connection') }}
    where is_begun
    group by land_code, service_id, wave
),

shares as (
    select
        land_code,
        service_id,
        wave,
        payer,
        behaviour,
        is_completed,
        share_eur
    from {{ ref('int_cost_allocation') }}
    where authority_id is not null

    union all

    select
        land_code,
        service_id,
        wave,
        'total' as payer,
        behaviour,
        is_completed,
        share_eur
    from {{ ref('int_cost_allocation') }}
    where authority_id is not null
),

payers as (
    select
        land_code,
        service_id,
        wave,
        payer,
        coalesce(sum(share_eur) filter (where is_completed and behaviour = 'variable'), 0) as cost_variable_eur,
        coalesce(sum(share_eur) filter (where is_completed), 0) as cost_full_eur
    from shares
    group by land_code, service_id, wave, payer
),

-- a wave to which nothing is booked yet has a total whose cost is not known, which is not a cost of zero
costs as (
    select
        waves.land_code,
        waves.service_id,
        waves.wave,
        coalesce(payers.payer, 'total') as payer,
        waves.connections_begun,
        waves.connections_completed,
        {{ to_cents('payers.cost_variable_eur') }} as cost_variable_eur,
        {{ to_cents('payers.cost_full_eur') }} as cost_full_eur
    from waves
    left join payers
        on
            waves.land_code = payers.land_code
            and waves.service_id = payers.service_id
            and waves.wave is not distinct from payers.wave
)

select
    land_code,
    service_id,
    wave,
    payer,
    connections_begun,
    connections_completed,
    cost_variable_eur,
    cost_full_eur,
    {{ to_cents('cost_variable_eur / nullif(connections_completed, 0)') }} as cost_variable_per_connection_eur,
    {{ to_cents('cost_full_eur / nullif(connections_completed, 0)') }} as cost_per_connection_eur
from costs
