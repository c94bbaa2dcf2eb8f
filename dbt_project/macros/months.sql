{#-
A table kept by month: one Parquet file per month, named after everything that the month is made of (int_usage_state), so that a month
is computed once, and again only where something that it rests on has changed. The table is a view of the files, month by month in the
order of all columns. ROLLIN_PARTS names the folder that they are kept in (orchestration/parts.py); without it, where there is little
usage, this is an ordinary table. `state`: the column of int_usage_state that tells of this model.
-#}
{% materialization months, adapter='duckdb' %}
    {%- set store = env_var('ROLLIN_PARTS', '') -%}
    {%- set target = this.incorporate(type='view' if store else 'table') -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(compiled_code) }}
    {%- endif -%}
    {%- if not store -%}
        {%- call statement('main') -%}
            create or replace table {{ target }} as ({{ compiled_code }})
        {%- endcall -%}
    {%- else -%}
        {%- set months -%}
            select state.month, state.{{ config.require('state') }} as digest, kept.file is not null as is_kept
            from {{ ref('int_usage_state') }} as state
            left join glob({{ kept_month(store, '*') }}) as kept
                on parse_filename(kept.file, true) = strftime(state.month, '%Y-%m') || '.' || state.{{ config.require('state') }}
            order by state.month
        {%- endset -%}
        {%- set paths = [] -%}
        {%- for row in run_query(months).rows -%}
            {%- set path = kept_month(store, row['month'].strftime('%Y-%m') ~ '.' ~ row['digest']) -%}
            {%- do paths.append(path) -%}
            {%- if not row['is_kept'] -%}
                {%- call statement('month') -%}
                    set variable of_month = date '{{ row['month'] }}';
                    copy (select * from ({{ compiled_code }}) order by all)
                    to ({{ path }}) (format parquet, compression zstd, use_tmp_file true)
                {%- endcall -%}
            {%- endif -%}
        {%- endfor -%}
        {%- call statement('reset') -%}
            reset variable of_month
        {%- endcall -%}
        {%- call statement('main') -%}
            {{ view_of_files(target, paths, compiled_code) }}
        {%- endcall -%}
    {%- endif -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- The file of a month of this model in a store: one literal, by which the audit finds it (orchestration/publication.py). -#}
{% macro kept_month(store, name) -%}
    {{ dbt.string_literal((store ~ '/' ~ model['name'] ~ '/' ~ name ~ '.parquet') | replace("'", "''")) }}
{%- endmacro %}

{#- Whether a row belongs to the month that is being computed; where none is, every row does. -#}
{% macro in_month(month) -%}
    (getvariable('of_month') is null or {{ month }} = getvariable('of_month'))
{%- endmacro %}
