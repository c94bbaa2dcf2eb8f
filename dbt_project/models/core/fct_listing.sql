with observations as (
    select
        listings.*,
        -- a federal delivery holds rows of many Länder, and its source is one
        coalesce(deliveries.land_code, listings.land_code) as delivery_land_code
    from {{ ref('stg_listings') }} as listings
    left join {{ ref('stg_delivery') }} as deliveries
        on
            listings.source = deliveries.source
            and listings.delivery_id = deliveries.delivery_id
            and deliveries.land_code in (listings.land_code, '00')
),

-- a source that delivers only changes does not retire what it leaves out
deliveries as (
    select
        observations.delivery_land_code,
        observations.source,
        observations.delivery_id,
        case
            when min(coalesce(sources.delivers, 'snapshot')) = 'snapshot'
                then lead(max(observations.observed_on)) over (
                    partition by observations.delivery_land_code, observations.source
                    order by observations.delivery_id
                )
        end as next_observed_on
    from observations
    left join {{ ref('stg_source') }} as sources
        on
            observations.delivery_land_code = sources.land_code
            and observations.source = sources.source
    group by observations.delivery_land_code, observations.source, observations.delivery_id
),

listings as (
    select
        leika_key,
        ars,
        url,
        evidence,
        source,
        land_code,
        delivery_land_code,
        max_by(is_inherited, delivery_id) as is_inherited,
        max_by(coverage_class, delivery_id) as coverage_class,
        arg_max_null(retracted_on, delivery_id) as retracted_on,
        min(observed_on) as first_observed_on,
        max(observed_on) as last_observed_on,
        max(delivery_id) as delivery_id
    from observations
    group by leika_key, ars, url, evidence, source, land_code, delivery_land_code
),

services as (
    select
        leika_key,
        min(service_id) as service_id
    from {{ ref('service_leika_key') }}
    group by leika_key
)

select
    listings.land_code,
    listings.leika_key,
    listings.ars,
    listings.url,
    listings.evidence,
    listings.source,
    listings.is_inherited,
    listings.coverage_class,
    services.service_id,
    authorities.authority_id,
    listings.first_observed_on,
    listings.last_observed_on,
    case
        when listings.retracted_on is null then deliveries.next_observed_on
        -- a retraction may state an earlier day than the last observation
        else greatest(least(listings.retracted_on, deliveries.next_observed_on), listings.last_observed_on)
    end as retired_on,
    listings.delivery_id
from listings
inner join deliveries
    on
        listings.delivery_land_code = deliveries.delivery_land_code
        and listings.source = deliveries.source
        and listings.delivery_id = deliveries.delivery_id
left join services on listings.leika_key = services.leika_key
left join {{ ref('int_authority_ars') }} as authorities
    on
        services.service_id = authorities.service_id
        and listings.ars = authorities.ars
