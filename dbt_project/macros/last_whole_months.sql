{#- The last so many whole months up to as_of as the half-open period [window_from, window_to). -#}
{% macro last_whole_months(months) -%}
    select
        cast(date_trunc('month', as_of + 1) - interval {{ months }} month as date) as window_from,
        cast(date_trunc('month', as_of + 1) as date) as window_to
    from {{ ref('stg_run') }}
{%- endmacro %}
