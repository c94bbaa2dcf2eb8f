{#-
How tables, views and data tests reach DuckDB. dbt's own ways make a relation under another name, rename it, drop what was there before
and put every test into a transaction: half of all statements of a build. Nobody reads a build before it is whole, and it begins in a new
file; a relation of the same name is there only where a model is built again by hand. Hooks, grants, indexes, comments and stored
failures are left out: the project has none.
-#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] -%}
    {%- set relation = this.incorporate(type='table') -%}
    {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
    {%- call statement('main', language=model.language) -%}
        {{ create_table_as(false, relation, compiled_code, model.language) }}
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [relation]}) }}
{%- endmaterialization %}

{% materialization view, adapter='duckdb' -%}
    {%- set relation = this.incorporate(type='view') -%}
    {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
    {%- call statement('main') -%}
        {{ create_view_as(relation, sql) }}
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [relation]}) }}
{%- endmaterialization %}

{% materialization test, adapter='duckdb' -%}
    {%- call statement('main', fetch_result=True, auto_begin=False) -%}
        {{ get_test_sql(sql, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), config.get('limit')) }}
    {%- endcall -%}
    {{ return({'relations': []}) }}
{%- endmaterialization %}
