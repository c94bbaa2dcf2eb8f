{{ config(alias='adoption_monthly') }}
-- A total is shown where the mask says that nothing follows from it; what is made of several totals, where all of them are shown.
{% set measures = {
    'submitted_online_count': 'is_online_shown', 'submitted_assisted_count': 'is_assisted_shown',
    'submitted_offline_count': 'is_offline_shown', 'submitted_total_count': 'is_total_shown',
    'paired_online_count': 'is_pairing_shown', 'paired_total_count': 'is_pairing_shown',
} -%}
with settled as (
    select distinct month
    from {{ ref('int_public_cell') }}
),

masked as (
    select
        adoption.land_code,
        adoption.service_id,
        adoption.month,
        {% for measure, is_shown in measures.items() %}
        case when coalesce(shown.{{ is_shown }}, true) then adoption.{{ measure }} end as {{ measure }},
        {% endfor %}
        false
        {%- for measure, is_shown in measures.items() %}
        or (adoption.{{ measure }} is not null and not coalesce(shown.{{ is_shown }}, true))
        {%- endfor %} as is_suppressed,
        adoption.inhabitant_years,
        adoption.take_up_share,
        adoption.submissions_per_1000_inhabitants,
        adoption.reporting_authorities,
        adoption.live_authorities
    from {{ ref('adoption_monthly') }} as adoption
    inner join settled on adoption.month = settled.month
    left join {{ ref('int_public_total') }} as shown
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
