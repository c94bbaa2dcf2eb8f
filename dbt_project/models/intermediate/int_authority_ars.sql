-- The regional key (ARS) under which a catalogue lists an authority itself, not somebody above or below it: its own key padded
-- to 12 digits; the municipality's ARS where the authority is known by an AGS, and also where a 9-digit key names a municipality
-- that is its own Verband (verbandsfreie Gemeinde). An ARS moves with the Verband, so every ARS a municipality ever had counts.
with authorities as (
    select distinct
        authority_id,
        service_id,
        split_part(authority_id, '/', 2) as authority_key
    from {{ ref('bridge_competence') }}
),

single_municipalities as (
    select
        verband_code,
        min(ars) as ars
    from {{ ref('dim_region') }}
    where is_municipality
    group by verband_code
    having count(distinct ags) = 1
),

keys as (
    select
        authority_id,
        service_id,
        rpad(authority_key, 12, '0') as ars
    from authorities
    where length(authority_key) <> 8

    union all

    select
        authorities.authority_id,
        authorities.service_id,
        single_municipalities.ars
    from authorities
    inner join single_municipalities on authorities.authority_key = single_municipalities.verband_code

    union all

    select
        authorities.authority_id,
        authorities.service_id,
        regions.ars
    from authorities
    inner join {{ ref('dim_region') }} as regions on authorities.authority_key = regions.ags
)

select
    service_id,
    ars,
    min(authority_id) as authority_id
from keys
group by service_id, ars
