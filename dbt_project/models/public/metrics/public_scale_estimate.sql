{{ config(alias='scale_estimate') }}
-- Means of groups (S0), levels of waves (S4) and of services may rest on a connection or two: what one of them cost would follow.
-- Public are the savings per doubling and the degression of fixed cost.
select *
from {{ ref('scale_estimate') }}
where
    specification not in ('S0', 'S4')
    and (rate is not null or claim = 'C0' or status = 'unavailable')
