-- Every admitted observation is kept: the history of a listing is what fct_listing is made of. A retraction is the day on which
-- the observations before it end, and no observation itself; it ends an entry of a catalogue whether that was reachable or not.
select
    leika_key,
    ars,
    url,
    is_inherited,
    coverage_class,
    observed_on,
    cast(evidence as varchar) as evidence,
    is_signature_verified,
    land_code,
    source,
    delivery_id,
    delivered_at,
    -- an entry that one delivery shows as inactive and as active is active
    min(case when is_retracted then observed_on end) over (
        partition by land_code, source, leika_key, ars, url, evidence = 'addressable'
        order by delivery_id, not is_retracted
        rows between 1 following and unbounded following
    ) as retracted_on
from {{ source('inputs', 'listings') }}
qualify not is_retracted
