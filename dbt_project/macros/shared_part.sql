{#-
The part of an amount or count that an authority of the reported status takes (`mapping` is int_authority_mapping), rounded to
`decimals`: the difference of two rounded running sums, so that the parts of one amount add up to it exactly. The whole amount where
it stays in one hand or names no authority.
-#}
{% macro shared_part(amount, mapping, decimals) -%}
    case
        when coalesce({{ mapping }}.share_from = 0 and {{ mapping }}.share_to = 1, true) then {{ amount }}
        else
            cast(round(cast({{ amount }} as double) * {{ mapping }}.share_to, {{ decimals }}) as decimal(38, {{ decimals }}))
            - cast(round(cast({{ amount }} as double) * {{ mapping }}.share_from, {{ decimals }}) as decimal(38, {{ decimals }}))
    end
{%- endmacro %}
