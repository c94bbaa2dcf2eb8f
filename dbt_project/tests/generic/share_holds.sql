{#- A share lies between 0 and 1, is its numerator over its denominator, and is NULL exactly where that says nothing. -#}
{% test share_holds(model, share, numerator, denominator) %}
select
    {{ share }},
    {{ numerator }},
    {{ denominator }}
from {{ model }}
where
    coalesce(not ({{ share }} between 0 and 1), false)
    or coalesce({{ numerator }} < 0 or {{ numerator }} > {{ denominator }}, false)
    or ({{ share }} is null) <> ({{ numerator }} is null or coalesce({{ denominator }}, 0) = 0)
    or coalesce(abs({{ share }} - {{ numerator }} / nullif({{ denominator }}, 0)) > 1e-12, false)
{% endtest %}
