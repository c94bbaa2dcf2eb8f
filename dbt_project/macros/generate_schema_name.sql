{#-
Schemas are named exactly staging, intermediate, core, metrics and meta: the release's public names carry no prefix. On Spark, which
others may use too, they have one.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {{ name if target.type == 'duckdb' or not custom_schema_name else target.schema ~ '_' ~ name }}
{%- endmacro %}
