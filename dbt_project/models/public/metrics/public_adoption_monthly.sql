{{ config(alias='adoption_monthly') }}
-- A total is shown where the mask says that nothing follows from it; what is made of several totals, where all of them are shown.
{% set measures = [
    'submitted_online_count', 'submitted_assisted_count', 'submitted_offline_count', 'submitted_total_count',
    'paired_online_count', 'paired_total_count',
] -%}
with judged as (
    select
        masked.land_code,
        masked.service_id,
        masked.month,
        masked.channel,
        bool_and(masked.is_total_shown and not cells.is_total_divided) as is_total_shown,
        bool_and(masked.is_pairing_shown and not cells.is_pairing_divided and not cells.is_total_divided) as is_pairing_shown
    from {{ ref('int_public_usage') }} as masked
    inner join {{ ref('int_public_cell') }} as cells
        on
            masked.land_code = cells.land_code
            and masked.authority_id = cells.authority_id
            and masked.service_id = cells.service_id
            and masked.month = cells.month
            and masked.channel = cells.channel
    group by masked.land_code, masked.service_id, masked.month, masked.channel
),

shown as (
    select
        land_code,
        service_id,
        month,
        bool_and(is_total_shown or channel <> 'online') as submitted_online_count,
        bool_and(is_total_shown or channel <> 'assisted') as submitted_assisted_count,
        bool_and(is_total_shown or channel <> 'offline') as submitted_offline_count,
        bool_and(is_total_shown) as submitted_total_count,
        bool_and(is_pairing_shown) as paired_online_count,
        bool_and(is_pairing_shown) as paired_total_count
    from judged
    group by land_code, service_id, month
),

settled as (
    select distinct month
    from {{ ref('int_public_cell') }}
),

masked as (
    select
        adoption.land_code,
        adoption.service_id,
        adoption.month,
        {% for measure in measures %}
        case when coalesce(shown.{{ measure }}, true) then adoption.{{ measure }} end as {{ measure }},
        {% endfor %}
        false
        {%- for measure in measures %}
        or (adoption.{{ measure }} is not null and not coalesce(shown.{{ measure }}, true))
        {%- endfor %} as is_suppressed,
        adoption.inhabitant_years,
        adoption.take_up_share,
        adoption.submissions_per_1000_inhabitants,
        adoption.reporting_authorities,
        adoption.live_authorities
    from {{ ref('adoption_monthly') }} as adoption
    inner join settled on adoption.month = settled.month
    left join shown
        on
            adoption.land_code = shown.land_code
            and adoption.service_id = shown.service_id
            and adoption.month = shown.month
)

select
    land_code,
    service_id,
    month,
    submitted_online_count,
    submitted_assisted_count,
    submitted_offline_count,
    submitted_total_count,
    paired_online_count,
    paired_total_count,
    case when paired_total_count is not null then take_up_share end as take_up_share,
    inhabitant_years,
    case
        when submitted_online_count is not null then submissions_per_1000_inhabitants
    end as submissions_per_1000_inhabitants,
    reporting_authorities,
    live_authorities,
    is_suppressed
from masked
