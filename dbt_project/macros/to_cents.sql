{#- EUR to the cent, half away from zero. Sums of shares lie a hair beside the exact amount: six digits first make its halves whole. -#}
{% macro to_cents(amount) -%}
    cast(cast({{ amount }} as decimal(38, 6)) as decimal(18, 2))
{%- endmacro %}
