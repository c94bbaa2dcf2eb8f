-- One-off cost, invoiced or reversed, gross. Entries with the same dimensions are summed, then shared equally among the begun
-- connections that match every dimension they state; a federal entry (land_code 00) states no Land. What matches no connection
-- keeps one row without a connection: the unallocated rest stays visible. Authorities are those of the reported status.
-- Beside gross: net, at prices of 2026-Q1 (real), by consumer prices (cpi); unknown where an entry of the group has none such.
{% set amounts = {
    'share_eur': 'gross_eur',
    'share_net_eur': 'net_eur',
    'share_real_eur': 'gross_real_eur',
    'share_cpi_eur': 'gross_cpi_eur',
    'share_net_real_eur': 'net_real_eur',
    'share_net_cpi_eur': 'net_cpi_eur',
} -%}
with booked as (
    select
        costs.land_code,
        coalesce(mapping.reported_authority_id, costs.authority_id) as authority_id,
        costs.service_id,
        costs.wave,
        costs.call_off,
        costs.payer,
        costs.behaviour,
        costs.price_mechanism,
        {{ shared_part('costs.gross_eur', 'mapping', 2) }} as gross_eur,
        {{ shared_part('costs.net_eur', 'mapping', 2) }} as net_eur,
        {{ shared_part('costs.gross_real_eur', 'mapping', 10) }} as gross_real_eur,
        {{ shared_part('costs.gross_cpi_eur', 'mapping', 10) }} as gross_cpi_eur,
        {{ shared_part('costs.net_real_eur', 'mapping', 10) }} as net_real_eur,
        {{ shared_part('costs.net_cpi_eur', 'mapping', 10) }} as net_cpi_eur,
        case when costs.entry_status = 'invoiced' then costs.booked_on end as invoiced_on
    from {{ ref('int_cost_entry') }} as costs
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            costs.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'costs.booked_on') }}
    where
        not costs.recurring
        and costs.entry_status in ('invoiced', 'reversal')
),

entries as (
    select
        land_code,
        authority_id,
        service_id,
        wave,
        call_off,
        payer,
        behaviour,
        price_mechanism,
        {% for amount in amounts.values() -%}
        {{ known_sum(amount, 'true') }} as {{ amount }},
        {% endfor -%}
        max(invoiced_on) as last_invoiced_on
    from booked
    group by land_code, authority_id, service_id, wave, call_off, payer, behaviour, price_mechanism
),

connections as (
    select *
    from {{ ref('int_connection') }}
    where is_begun
),

-- two joins, so that the many entries that name their authority are matched by it and only the few others by conditions
matches as (
    select
        entries.*,
        connections.land_code as connection_land_code,
        connections.authority_id as connection_authority_id,
        connections.service_id as connection_service_id,
        connections.wave as connection_wave,
        connections.is_completed
    from entries
    inner join connections on entries.authority_id = connections.authority_id
    where
        (entries.land_code = '00' or entries.land_code = connections.land_code)
        and coalesce(entries.service_id = connections.service_id, entries.service_id is null)
        and coalesce(entries.wave = connections.wave, entries.wave is null)
        and coalesce(entries.call_off = connections.call_off, entries.call_off is null)

    union all

    select
        entries.*,
        connections.land_code as connection_land_code,
        connections.authority_id as connection_authority_id,
        connections.service_id as connection_service_id,
        connections.wave as connection_wave,
        connections.is_completed
    from entries
    inner join connections
        on
            (entries.land_code = '00' or entries.land_code = connections.land_code)
            and coalesce(entries.service_id = connections.service_id, entries.service_id is null)
            and coalesce(entries.wave = connections.wave, entries.wave is null)
            and coalesce(entries.call_off = connections.call_off, entries.call_off is null)
    where entries.authority_id is null
),

counted as (
    select
        *,
        count(*) over (
            partition by land_code, authority_id, service_id, wave, call_off, payer, behaviour, price_mechanism
        ) as sharing_connections
    from matches
),

unmatched as (
    select entries.*
    from entries
    where not exists (
        select 1
        from matches
        where
            entries.land_code = matches.land_code
            and entries.authority_id is not distinct from matches.authority_id
            and entries.service_id is not distinct from matches.service_id
            and entries.wave is not distinct from matches.wave
            and entries.call_off is not distinct from matches.call_off
    )
)

-- a share is rounded once, to ten decimals, and kept exact from there: sums do not depend on their order
select
    land_code as entry_land_code,
    authority_id as entry_authority_id,
    service_id as entry_service_id,
    wave as entry_wave,
    call_off as entry_call_off,
    payer,
    behaviour,
    price_mechanism,
    last_invoiced_on,
    connection_land_code as land_code,
    connection_authority_id as authority_id,
    connection_service_id as service_id,
    connection_wave as wave,
    is_completed,
    sharing_connections,
    {% for share, amount in amounts.items() -%}
    cast({{ amount }} / sharing_connections as decimal(38, 10)) as {{ share }}{% if not loop.last %},{% endif %}
    {% endfor -%}
from counted

union all

select
    land_code as entry_land_code,
    authority_id as entry_authority_id,
    service_id as entry_service_id,
    wave as entry_wave,
    call_off as entry_call_off,
    payer,
    behaviour,
    price_mechanism,
    last_invoiced_on,
    null as land_code,
    null as authority_id,
    null as service_id,
    null as wave,
    null as is_completed,
    0 as sharing_connections,
    {% for share, amount in amounts.items() -%}
    cast({{ amount }} as decimal(38, 10)) as {{ share }}{% if not loop.last %},{% endif %}
    {% endfor -%}
from unmatched
