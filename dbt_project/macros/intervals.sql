{#- Do two half-open intervals [valid_from, valid_to) share a day? A NULL valid_to is open. -#}
{% macro overlap(a, b) -%}
    {{ a }}.valid_from < coalesce({{ b }}.valid_to, date '9999-12-31')
    and {{ b }}.valid_from < coalesce({{ a }}.valid_to, date '9999-12-31')
{%- endmacro %}

{#- Does the half-open interval of `a` hold the given day? -#}
{% macro holds_on(a, day) -%}
    {{ a }}.valid_from <= {{ day }} and coalesce({{ a }}.valid_to > {{ day }}, true)
{%- endmacro %}

{#- Whole days from one date to a later one. -#}
{% macro days_between(first, later) -%}
    {{ dbt.datediff(first, later, 'day') }}
{%- endmacro %}
