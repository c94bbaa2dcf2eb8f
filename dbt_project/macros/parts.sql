{#-
A table kept in parts: one Parquet file per Land and month, named after everything that it is made of, so that a part is computed
once, and again only where deliveries have changed it. Which parts there are, what each reads and where it lies is an input of the
run (`part`, orchestration/parts.py); the table is a view of the files.
-#}
{% materialization parts, adapter='duckdb' %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set parts -%}
        select land_code, month, path, is_kept
        from {{ source('inputs', 'part') }}
        where model = '{{ this.name }}'
        order by land_code, month
    {%- endset -%}
    {%- set paths = [] -%}
    {%- for row in run_query(parts).rows -%}
        {%- set path = dbt.string_literal(row['path'] | replace("'", "''")) -%}
        {%- do paths.append(path) -%}
        {%- if not row['is_kept'] -%}
            {%- call statement('part') -%}
                set variable part_land_code = '{{ row['land_code'] }}';
                set variable part_month = date '{{ row['month'] }}';
                set variable part_files = (select files from {{ source('inputs', 'part') }} where path = {{ path }});
                set variable part_is_single = (select is_single from {{ source('inputs', 'part') }} where path = {{ path }});
                copy ({{ compiled_code }}) to {{ path }} (format parquet, compression zstd, use_tmp_file true)
            {%- endcall -%}
        {%- endif -%}
    {%- endfor -%}
    {%- call statement('reset') -%}
        reset variable part_land_code; reset variable part_month; reset variable part_files; reset variable part_is_single
    {%- endcall -%}

    {%- call statement('main') -%}
        create or replace view {{ target }} as
        {% if paths -%}
        select * from read_parquet([{{ paths | join(', ') }}])
        {%- else -%}
        select * from ({{ compiled_code }}) where false
        {%- endif %}
    {%- endcall -%}

    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- Whether the part that is being computed is of one delivery. -#}
{% macro is_single_part() -%}
    {{ "coalesce(getvariable('part_is_single'), false)" if target.type == 'duckdb' else 'false' }}
{%- endmacro %}

{#- Whether a row belongs to the part that is being computed; where none is, every row does. -#}
{% macro in_part(land_code, day) -%}
    {% if target.type == 'duckdb' -%}
    (getvariable('part_land_code') is null or {{ land_code }} = getvariable('part_land_code'))
    and (getvariable('part_month') is null or {{ day }} between getvariable('part_month') and last_day(getvariable('part_month')))
    {%- else -%}
    true
    {%- endif %}
{%- endmacro %}
