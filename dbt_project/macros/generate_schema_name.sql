{#- Schemas are named exactly staging, intermediate, core, metrics and meta: the release's public names carry no prefix. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
