{#-
The revision rule: within a Land the newest delivery of a key wins; where that newest word is a retraction, nothing is left.
`key` lists the columns or expressions of the key (NULL is a value like any other). delivery_id sorts by the instant of receipt.
`once`: a condition on no row under which every row is of one delivery, whose keys cleaning has made unique: nothing is compared then.
-#}
{% macro newest_revisions(relation, key, retractable=false, once='false') -%}
    select *
    from (
        select *
        from {{ relation }}
        {%- if once != 'false' %}
        where not ({{ once }})
        {%- endif %}
        qualify row_number() over (
            partition by land_code, {{ key | join(', ') }}
            order by delivery_id desc, source desc
        ) = 1
        {%- if once != 'false' %}
        union all
        select *
        from {{ relation }}
        where {{ once }}
        {%- endif %}
    ) as newest
    {%- if retractable %}
    where not is_retracted
    {%- endif %}
{%- endmacro %}
