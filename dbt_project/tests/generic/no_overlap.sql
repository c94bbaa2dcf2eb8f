{#- Half-open intervals [valid_from, valid_to) of one key last at least a day and share none. -#}
{% test no_overlap(model, key) %}
select *
from (
    select
        {{ key | join(', ') }},
        valid_from,
        valid_to,
        lead(valid_from) over (partition by {{ key | join(', ') }} order by valid_from) as next_valid_from
    from {{ model }}
) as intervals
where
    coalesce(valid_to <= valid_from, false)
    or next_valid_from < coalesce(valid_to, date '9999-12-31')
{% endtest %}
