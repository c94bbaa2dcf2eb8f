{#- The days of a month from one date to another, which is not among them: bit 0 is the first of the month. -#}
{% macro days_mask(month, day_from, day_to) -%}
    (
        (1::bigint << greatest(least({{ day_to }} - {{ month }}, 31), 0))
        - (1::bigint << least(greatest({{ day_from }} - {{ month }}, 0), 31))
    )
{%- endmacro %}
