-- A connection is an authority of the reported status × service, with the events of all authorities that it continues: merged
-- ones are one connection, accepted when the last of them was. What identifies a connection is taken from the event that began
-- the work; where that is silent, from the newest that speaks.
{% set dimensions = ['wave', 'team', 'contractor', 'call_off'] -%}
with accepted as (
    select
        phases.authority_id,
        phases.service_id,
        min(phases.valid_from) as accepted_on
    from {{ ref('int_reported_phase') }} as phases
    inner join {{ ref('phase') }} as operational on operational.phase = 'operational'
    where phases.reached_order >= operational.phase_order
    group by phases.authority_id, phases.service_id
),

begun as (
    select
        reported_authority_id as authority_id,
        service_id,
        min(land_code) as land_code,
        min(effective_on) filter (where phase = 'integrating') as started_on,
        {% for dimension in dimensions -%}
        coalesce(
            min_by({{ dimension }}, order_number) filter (where phase = 'integrating'),
            max_by({{ dimension }}, order_number)
        ) as {{ dimension }},
        {% endfor -%}
        bool_or(is_pilot) as is_pilot
    from {{ ref('int_reported_event') }}
    group by reported_authority_id, service_id
),

connections as (
    select
        begun.*,
        accepted.accepted_on
    from begun
    left join accepted
        on
            begun.authority_id = accepted.authority_id
            and begun.service_id = accepted.service_id
)

select
    connections.land_code,
    connections.authority_id,
    connections.service_id,
    connections.started_on,
    connections.accepted_on,
    {% for dimension in dimensions -%}
    connections.{{ dimension }},
    {% endfor -%}
    connections.is_pilot,
    coalesce(connections.accepted_on < lands.programme_start, false) as is_baseline,
    coalesce(
        programme.service_id is not null
        and connections.started_on is not null
        and (connections.accepted_on is null or connections.accepted_on >= lands.programme_start),
        false
    ) as is_begun,
    connections.accepted_on is not null as is_completed
from connections
left join {{ ref('stg_land') }} as lands on connections.land_code = lands.land_code
left join {{ ref('stg_land_service') }} as programme
    on
        connections.land_code = programme.land_code
        and connections.service_id = programme.service_id
