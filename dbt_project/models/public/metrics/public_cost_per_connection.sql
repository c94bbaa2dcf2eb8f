{{ config(alias='cost_per_connection') }}
-- Land × wave is shown once the wave is complete and large enough. Its services are shown all or none, so that none follows from
-- the others: each must be large enough, and no supplier may make up most of its cost. All payers of a cell are shown or none.
with rules as (
    select
        max(value) filter (where rule_id = 'supplier_share_max') as supplier_share_max,
        max(value) filter (where rule_id = 'connections_min') as connections_min
    from {{ ref('disclosure_rule') }}
),

-- entries are allocated to connections by these dimensions; within them a supplier has its share of what was booked
booked as (
    select
        costs.land_code,
        coalesce(mapping.reported_authority_id, costs.authority_id) as authority_id,
        costs.service_id,
        costs.wave,
        costs.call_off,
        costs.payer,
        costs.behaviour,
        costs.contractor,
        {{ shared_part('costs.gross_eur', 'mapping', 2) }} as gross_eur
    from {{ ref('fct_cost') }} as costs
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            costs.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'costs.booked_on') }}
    where not costs.recurring and costs.entry_status in ('invoiced', 'reversal')
),

supplier_shares as (
    select
        land_code,
        authority_id,
        service_id,
        wave,
        call_off,
        payer,
        behaviour,
        contractor,
        cast(sum(gross_eur) as double) / nullif(
            sum(sum(gross_eur)) over (
                partition by land_code, authority_id, service_id, wave, call_off, payer, behaviour
            ), 0
        ) as supplier_share
    from booked
    group by land_code, authority_id, service_id, wave, call_off, payer, behaviour, contractor
),

supplied as (
    select
        shares.land_code,
        shares.service_id,
        shares.wave,
        shares.payer,
        booked.contractor,
        sum(cast(shares.share_eur as double) * booked.supplier_share) as full_eur,
        sum(cast(shares.share_eur as double) * booked.supplier_share) filter (
            where shares.behaviour = 'variable'
        ) as variable_eur
    from {{ ref('int_cost_allocation') }} as shares
    inner join supplier_shares as booked
        on
            shares.entry_land_code = booked.land_code
            and shares.entry_authority_id is not distinct from booked.authority_id
            and shares.entry_service_id is not distinct from booked.service_id
            and shares.entry_wave is not distinct from booked.wave
            and shares.entry_call_off is not distinct from booked.call_off
            and shares.payer = booked.payer
            and shares.behaviour = booked.behaviour
    where shares.is_completed
    group by shares.land_code, shares.service_id, shares.wave, shares.payer, booked.contractor
),

suppliers as (
    select
        land_code,
        service_id,
        wave,
        payer,
        contractor,
        full_eur,
        variable_eur
    from supplied

    union all

    select
        land_code,
        service_id,
        wave,
        'total' as payer,
        contractor,
        sum(full_eur) as full_eur,
        sum(variable_eur) as variable_eur
    from supplied
    group by land_code, service_id, wave, contractor
),

dominated as (
    select distinct
        suppliers.land_code,
        suppliers.service_id,
        suppliers.wave
    from suppliers
    cross join rules
    window cell as (partition by suppliers.land_code, suppliers.service_id, suppliers.wave, suppliers.payer)
    qualify
        greatest(suppliers.full_eur, 0)
        > rules.supplier_share_max * sum(greatest(suppliers.full_eur, 0)) over cell
        or greatest(suppliers.variable_eur, 0)
        > rules.supplier_share_max * sum(greatest(suppliers.variable_eur, 0)) over cell
),

known as (
    select distinct
        land_code,
        service_id,
        wave,
        connections_published
    from {{ source('inputs', 'public_cost') }}
    where connections_published is not null
),

waves as (
    select
        land_code,
        wave,
        cast(sum(connections_begun) as bigint) as connections_begun,
        cast(sum(connections_completed) as bigint) as connections_completed,
        bool_and(cost_full_eur is not null) as is_booked
    from {{ ref('cost_per_connection') }}
    where payer = 'total'
    group by land_code, wave
),

-- every cell, those of all services together included (service_id NULL)
cells as (
    select
        land_code,
        service_id,
        wave,
        payer,
        connections_begun,
        connections_completed,
        cost_variable_eur,
        cost_full_eur
    from {{ ref('cost_per_connection') }}

    union all

    select
        costs.land_code,
        cast(null as varchar) as service_id,
        costs.wave,
        costs.payer,
        max(waves.connections_begun) as connections_begun,
        max(waves.connections_completed) as connections_completed,
        -- a service whose cost is not known makes that of all of them unknown
        case when bool_and(waves.is_booked) then sum(costs.cost_variable_eur) end as cost_variable_eur,
        case when bool_and(waves.is_booked) then sum(costs.cost_full_eur) end as cost_full_eur
    from {{ ref('cost_per_connection') }} as costs
    inner join waves
        on
            costs.land_code = waves.land_code
            and costs.wave is not distinct from waves.wave
    group by costs.land_code, costs.wave, costs.payer
),

judged as (
    select
        cells.*,
        known.connections_published as connections_published_before,
        cells.connections_completed = cells.connections_begun
        and cells.connections_completed >= rules.connections_min
        -- the difference to what was shown before must not be the cost of a few
        and coalesce(
            known.connections_published = cells.connections_completed
            or abs(known.connections_published - cells.connections_completed) >= rules.connections_min,
            true
        )
        and dominated.land_code is null as is_safe
    from cells
    cross join rules
    left join dominated
        on
            cells.land_code = dominated.land_code
            and cells.service_id = dominated.service_id
            and cells.wave is not distinct from dominated.wave
    left join known
        on
            cells.land_code = known.land_code
            and cells.service_id is not distinct from known.service_id
            and cells.wave is not distinct from known.wave
),

decided as (
    select
        *,
        bool_and(is_safe) over (
            partition by land_code, wave, service_id is null
        ) as is_shown
    from judged
)

select
    land_code,
    service_id,
    wave,
    payer,
    connections_begun,
    connections_completed,
    cast(case when is_shown then cost_variable_eur end as decimal(18, 2)) as cost_variable_eur,
    cast(case when is_shown then cost_full_eur end as decimal(18, 2)) as cost_full_eur,
    {{ to_cents('case when is_shown then cost_variable_eur / nullif(connections_completed, 0) end') }}
        as cost_variable_per_connection_eur,
    {{ to_cents('case when is_shown then cost_full_eur / nullif(connections_completed, 0) end') }} as cost_per_connection_eur,
    not is_shown and cost_full_eur is not null as is_suppressed,
    case when is_shown and cost_full_eur is not null then connections_completed else connections_published_before end
        as connections_published
from decided
