{#- An empty table never passes. -#}
{% test not_empty(model) %}
select 'empty' as problem
where not exists (select 1 from {{ model }})
{% endtest %}
