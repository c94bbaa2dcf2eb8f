{#- An empty table never passes, unless rows of it are only expected where a table was `delivered` and nobody delivered it. -#}
{% test not_empty(model, delivered=none) %}
select 'empty' as problem
where
    not exists (select 1 from {{ model }})
    {% if delivered -%}
    and exists (select 1 from {{ ref('stg_delivery') }} where table_name = '{{ delivered }}' and is_in_force and rows_clean > 0)
    {%- endif %}
{% endtest %}
