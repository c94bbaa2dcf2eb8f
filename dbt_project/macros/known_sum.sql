{#- A sum over the rows that a condition names: NULL where one of them has no amount, 0 where there is none. -#}
{% macro known_sum(amount, condition) -%}
    case
        when count(*) filter (where {{ condition }} and {{ amount }} is null) = 0
            then coalesce(sum({{ amount }}) filter (where {{ condition }}), 0)
    end
{%- endmacro %}
