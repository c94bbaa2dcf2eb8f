{{ config(alias='service_adoption_monthly') }}
-- Made of what the public tier shows of each Land and of nothing else: where one of them withholds a count of a month, the sum
-- would stand without it, and is withheld.
{% set measures = ['submitted_online_count', 'paired_online_count', 'paired_total_count'] -%}
with summed as (
    select
        service_id,
        month,
        bool_or(is_suppressed) as is_suppressed,
        {% for measure in measures -%}
        cast(sum({{ measure }}) as bigint) as {{ measure }},
        {% endfor -%}
        sum(paired_online_count) / nullif(sum(paired_total_count), 0) as take_up_share,
        cast(sum(reporting_authorities) as bigint) as reporting_authorities,
        cast(sum(live_authorities) as bigint) as live_authorities
    from {{ ref('public_adoption_monthly') }}
    group by service_id, month
)

select
    service_id,
    month,
    {% for measure in measures + ['take_up_share'] -%}
    case when not is_suppressed then {{ measure }} end as {{ measure }},
    {% endfor -%}
    reporting_authorities,
    live_authorities,
    is_suppressed
from summed
