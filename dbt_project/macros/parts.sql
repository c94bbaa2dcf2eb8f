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
        {{ view_of_files(target, paths, compiled_code) }}
    {%- endcall -%}

    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- A view of the rows of files, given as SQL; where there are none, one without rows, of the query that they would have been made by. -#}
{% macro view_of_files(target, paths, query) -%}
    create or replace view {{ target }} as
    {% if paths -%}
    select * from read_parquet([{{ paths | join(', ') }}], hive_partitioning = false)
    {%- else -%}
    select * from ({{ query }}) where false
    {%- endif %}
{%- endmacro %}

{#-
The same on Spark, which computes all missing parts at once: a folder of files for each, named by Land and month, from where
orchestration/spark.py takes them over. Its input `part` holds the missing parts alone. Land and month are columns of the files too.
-#}
{% materialization parts, adapter='spark' %}
    {%- set target = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- do run_query('drop table if exists ' ~ target) -%}
    {%- call statement('main') -%}
        create table {{ target }}
        using parquet
        options ('compression' 'zstd')
        partitioned by (part_land_code, part_month)
        location '{{ env_var('ROLLIN_SPARK_RESULTS') }}/{{ this.name }}'
        as
        select *, land_code as part_land_code, month as part_month
        from ({{ compiled_code }}) as computed
        distribute by land_code, month
    {%- endcall -%}
    {%- do run_query('drop table ' ~ target) -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{#- Whether a row belongs to a part that is being computed and is of one delivery. -#}
{% macro is_single_part(land_code, day) -%}
    {{
        "coalesce(getvariable('part_is_single'), false)"
        if target.type == 'duckdb' else in_months(land_code, day, 'is_single')
    }}
{%- endmacro %}

{#- Whether a row belongs to a part that is being computed; where none is, every row does. -#}
{% macro in_part(land_code, day) -%}
    {% if target.type == 'duckdb' -%}
    (getvariable('part_land_code') is null or {{ land_code }} = getvariable('part_land_code'))
    and (getvariable('part_month') is null or {{ day }} between getvariable('part_month') and last_day(getvariable('part_month')))
    {%- else -%}
    {{ in_months(land_code, day, "model = '" ~ this.name ~ "'") }}
    {%- endif %}
{%- endmacro %}

{#- The same for those who see every row on the way to a part; Spark finds out by itself which rows its parts need. -#}
{% macro in_asked_part(land_code, day) -%}
    {{ in_part(land_code, day) if target.type == 'duckdb' else 'true' }}
{%- endmacro %}

{#- Spark: whether a row belongs to one of the missing parts that a condition names, as ranges of days that its readers can skip by. -#}
{% macro in_months(land_code, day, condition) -%}
    {%- set months = [] -%}
    {%- set ranges = [] -%}
    {%- if execute -%}
        {%- set found -%}
            select land_code, cast(month as string) as month from {{ source('inputs', 'part') }} where {{ condition }}
        {%- endset -%}
        {%- for row in run_query(found).rows -%}
            {%- do months.append((row['land_code'], modules.datetime.date.fromisoformat(row['month']))) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for land, month in months | unique | sort -%}
        {%- set next = (month + modules.datetime.timedelta(days=31)).replace(day=1) -%}
        {%- if ranges and ranges[-1]['land'] == land and ranges[-1]['until'] == month -%}
            {%- do ranges[-1].update({'until': next}) -%}
        {%- else -%}
            {%- do ranges.append({'land': land, 'from': month, 'until': next}) -%}
        {%- endif -%}
    {%- endfor -%}
    (
        {% for range in ranges -%}
        ({{ land_code }} = '{{ range['land'] }}' and {{ day }} >= date '{{ range['from'] }}' and {{ day }} < date '{{ range['until'] }}') or
        {% endfor -%}
        false
    )
{%- endmacro %}
