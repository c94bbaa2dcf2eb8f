{#-
The grain: no two rows agree in these columns. NULL equals NULL. Rows are grouped by one number, and by the columns themselves only
where two have the same: a fraction of the cost on millions of rows.
-#}
{% test unique_grain(model, columns) %}
{%- set grain = columns | join(', ') -%}
select
    {{ grain }},
    count(*) as row_count
from {{ model }}
where hash({{ grain }}) in (select hash({{ grain }}) from {{ model }} group by hash({{ grain }}) having count(*) > 1)
group by {{ grain }}
having count(*) > 1
{% endtest %}
