-- nominal and gross where a name says nothing else; net, at prices of 2026-Q1 (real), and by consumer prices (cpi)
{% set bases = ['', '_net', '_real', '_cpi'] -%}
{% set earned_bases = ['', '_real'] -%}
with waves as (
    select
        land_code,
        service_id,
        wave,
        count(*) as connections_begun,
        count(*) filter (where is_completed) as connections_completed,
        sum(phase_weight) as connections_earned,
        count(person_days) filter (where is_completed) as connections_with_person_days,
        sum(person_days) filter (where is_completed) as person_days,
        count(person_days_municipal) filter (where is_completed) as connections_with_person_days_municipal,
        sum(person_days_municipal) filter (where is_completed) as person_days_municipal
    from {{ ref('int_connection_effort') }}
    group by land_code, service_id, wave
),

allocated as (
    select *
    from {{ ref('int_cost_allocation') }}
    where authority_id is not null
),

shares as (
    select * from allocated
    union all
    select * replace ('total' as payer) from allocated
),

-- a sum with a share that has no such amount is unknown
payers as (
    select
        land_code,
        service_id,
        wave,
        {% for base in bases -%}
        {{ known_sum('share' ~ base ~ '_eur', "is_completed and behaviour = 'variable'") }}
            as cost_variable{{ base }}_eur,
        {{ known_sum('share' ~ base ~ '_eur', 'is_completed') }} as cost_full{{ base }}_eur,
        {% endfor -%}
        {% for base in earned_bases -%}
        {{ known_sum('share' ~ base ~ '_eur', "behaviour = 'variable'") }} as cost_variable_begun{{ base }}_eur,
        {{ known_sum('share' ~ base ~ '_eur', 'true') }} as cost_full_begun{{ base }}_eur,
        {% endfor -%}
        payer
    from shares
    group by land_code, service_id, wave, payer
),

price_index as (
    select
        any_value(index_version) as price_index_version,
        bool_or(is_placeholder) as is_price_index_placeholder
    from {{ ref('price_index') }}
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
        waves.connections_earned,
        {% for base in bases -%}
        {{ to_cents('payers.cost_variable' ~ base ~ '_eur') }} as cost_variable{{ base }}_eur,
        {{ to_cents('payers.cost_full' ~ base ~ '_eur') }} as cost_full{{ base }}_eur,
        {% endfor -%}
        {% for base in earned_bases -%}
        {{ to_cents('payers.cost_variable_begun' ~ base ~ '_eur') }} as cost_variable_begun{{ base }}_eur,
        {{ to_cents('payers.cost_full_begun' ~ base ~ '_eur') }} as cost_full_begun{{ base }}_eur,
        {% endfor -%}
        -- work is nobody's bill: it stands once, beside the total
        case when coalesce(payers.payer, 'total') = 'total' then waves.connections_with_person_days end
            as connections_with_person_days,
        case when coalesce(payers.payer, 'total') = 'total' then waves.person_days end as person_days,
        case when coalesce(payers.payer, 'total') = 'total' then waves.connections_with_person_days_municipal end
            as connections_with_person_days_municipal,
        case when coalesce(payers.payer, 'total') = 'total' then waves.person_days_municipal end as person_days_municipal,
        price_index.price_index_version,
        price_index.is_price_index_placeholder
    from waves
    cross join price_index
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
    {% for base in bases -%}
    cost_variable{{ base }}_eur,
    cost_full{{ base }}_eur,
    {{ to_cents('cost_variable' ~ base ~ '_eur / nullif(connections_completed, 0)') }}
        as cost_variable{{ base }}_per_connection_eur,
    {{ to_cents('cost_full' ~ base ~ '_eur / nullif(connections_completed, 0)') }}
        as cost{{ base }}_per_connection_eur,
    {% endfor -%}
    cast(connections_earned as double) as connections_earned,
    {% for base in earned_bases -%}
    cost_variable_begun{{ base }}_eur,
    cost_full_begun{{ base }}_eur,
    {{ to_cents('cost_variable_begun' ~ base ~ '_eur / nullif(connections_earned, 0)') }}
        as cost_variable{{ base }}_per_earned_connection_eur,
    {{ to_cents('cost_full_begun' ~ base ~ '_eur / nullif(connections_earned, 0)') }}
        as cost{{ base }}_per_earned_connection_eur,
    {% endfor -%}
    connections_with_person_days,
    cast(person_days as double) as person_days,
    person_days / nullif(connections_with_person_days, 0) as person_days_per_connection,
    connections_with_person_days_municipal,
    cast(person_days_municipal as double) as person_days_municipal,
    person_days_municipal / nullif(connections_with_person_days_municipal, 0)
        as person_days_municipal_per_connection,
    price_index_version,
    is_price_index_placeholder
from costs
