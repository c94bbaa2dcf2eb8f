-- What identifies a connection is taken from the event that began the work; where that is silent, from the newest that speaks.
{% set dimensions = ['wave', 'team', 'contractor', 'call_off'] -%}
with connections as (
    select
        land_code,
        authority_id,
        service_id,
        min(effective_on) filter (where phase = 'integrating') as started_on,
        min(effective_on) filter (where phase = 'operational') as accepted_on,
        {% for dimension in dimensions -%}
        coalesce(
            min_by({{ dimension }}, event_number) filter (where phase = 'integrating'),
            max_by({{ dimension }}, event_number)
        ) as {{ dimension }},
        {% endfor -%}
        bool_or(is_pilot) as is_pilot
    from {{ ref('int_connection_event') }}
    group by land_code, authority_id, service_id
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
