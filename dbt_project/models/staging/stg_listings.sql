-- Every admitted observation is kept: the history of a listing is what fct_listing is made of.
select
    leika_key,
    ars,
    url,
    is_inherited,
    coverage_class,
    observed_on,
    cast(evidence as varchar) as evidence,
    land_code,
    source,
    delivery_id,
    delivered_at
from {{ source('inputs', 'listings') }}
