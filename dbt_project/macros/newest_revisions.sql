{#-
The revision rule: within a Land the newest delivery of a key wins; where that newest word is a retraction, nothing is left.
`key` lists the columns or expressions of the key (NULL is a value like any other). delivery_id sorts by the instant of receipt.
`once`: a condition on no row under which every row is of one delivery, whose keys cleaning has made unique: nothing is compared then.
Of the other rows of such a relation only those are compared whose key may be there twice, as far as its hash tells: few, where
deliveries correct some rows. `within`: a condition on columns of the key that says which rows are asked for at all.
-#}
{% macro newest_revisions(relation, key, retractable=false, once=none, within='true') -%}
    {%- set whole_key = 'land_code, ' ~ key | join(', ') -%}
    {%- set compared = within if once is none else within ~ ' and not (' ~ once ~ ')' -%}
    {%- set maybe_twice -%}
        (select hash({{ whole_key }}) from {{ relation }} where {{ compared }} group by hash({{ whole_key }}) having count(*) > 1)
    {%- endset -%}
    select *
    from (
        select *
        from (
            select *
            from {{ relation }}
            where {{ compared }}
            {%- if once is not none %} and hash({{ whole_key }}) in {{ maybe_twice }}{% endif %}
        ) as revised
        qualify row_number() over (
            partition by {{ whole_key }}
            order by delivery_id desc, source desc
        ) = 1
        {%- if once is not none %}
        union all
        select *
        from {{ relation }}
        where {{ compared }} and hash({{ whole_key }}) not in {{ maybe_twice }}
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
