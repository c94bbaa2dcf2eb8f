-- A delivery of a catalogue is a look at it, also one that shows nothing any more. A snapshot ends what it leaves out, a source
-- that delivers changes only what it retracts. An entry that was not gone for a day between two looks has one period.
{% set entry = 'leika_key, ars, url, evidence, source, land_code' -%}
with observed as (
    select
        source,
        delivery_id,
        max(observed_on) as observed_on
    from {{ ref('stg_listings') }}
    group by source, delivery_id
),

looks as (
    select
        deliveries.land_code,
        deliveries.source,
        deliveries.delivery_id,
        row_number() over source_looks as look_number,
        -- a look without an entry shows the day of its receipt
        case
            when coalesce(sources.delivers, 'snapshot') = 'snapshot'
                then lead(coalesce(observed.observed_on, cast(deliveries.delivered_at as date))) over source_looks
        end as next_observed_on
    from {{ ref('stg_delivery') }} as deliveries
    left join {{ ref('stg_source') }} as sources
        on
            deliveries.land_code = sources.land_code
            and deliveries.source = sources.source
    left join observed
        on
            deliveries.source = observed.source
            and deliveries.delivery_id = observed.delivery_id
    where
        deliveries.table_name = 'listings'
        and deliveries.is_admitted
    window source_looks as (partition by deliveries.land_code, deliveries.source order by deliveries.delivery_id)
),

observations as (
    select
        listings.*,
        looks.look_number,
        looks.next_observed_on,
        lead(looks.look_number) over (
            partition by
                listings.leika_key, listings.ars, listings.url, listings.evidence, listings.source, listings.land_code
            order by looks.look_number
        ) as next_look_number
    from {{ ref('stg_listings') }} as listings
    inner join looks
        on
            listings.source = looks.source
            and listings.delivery_id = looks.delivery_id
            -- a federal delivery holds rows of many Länder, and its source is one
            and looks.land_code in (listings.land_code, '00')
),

endings as (
    select
        *,
        case
            when coalesce(next_look_number = look_number + 1, false) then retracted_on
            else least(next_observed_on, retracted_on)
        end as ended_on
    from observations
    -- a catalogue that was not refreshed between two looks shows one day twice: the later look holds
    qualify row_number() over (partition by {{ entry }}, observed_on order by look_number desc) = 1
),

days as (
    select
        * replace (
            -- a catalogue may state an earlier day than before: an entry was there on every day on which it was observed
            case when ended_on is not null then greatest(ended_on, observed_on) end as ended_on
        )
    from endings
),

marked as (
    select
        *,
        max(coalesce(ended_on, date '9999-12-31')) over earlier as earlier_ended_on,
        lag(is_inherited) over (partition by {{ entry }} order by observed_on) as earlier_is_inherited
    from days
    window earlier as (partition by {{ entry }} order by observed_on rows between unbounded preceding and 1 preceding)
),

numbered as (
    select
        *,
        sum(
            case when observed_on <= earlier_ended_on and is_inherited = earlier_is_inherited then 0 else 1 end
        ) over (partition by {{ entry }} order by observed_on) as period_number
    from marked
),

periods as (
    select
        {{ entry }},
        is_inherited,
        max_by(coverage_class, look_number) as coverage_class,
        arg_max_null(is_signature_verified, look_number) as is_signature_verified,
        min(observed_on) as first_observed_on,
        max(observed_on) as last_observed_on,
        arg_max_null(ended_on, look_number) as ended_on,
        max(delivery_id) as delivery_id
    from numbered
    group by {{ entry }}, is_inherited, period_number
),

services as (
    select
        leika_key,
        max_by(service_id, valid_from) as service_id
    from {{ ref('service_leika_key') }}
    group by leika_key
)

select
    periods.land_code,
    periods.leika_key,
    periods.ars,
    periods.url,
    periods.evidence,
    periods.source,
    periods.is_inherited,
    periods.coverage_class,
    periods.is_signature_verified,
    services.service_id,
    authorities.authority_id,
    periods.first_observed_on,
    periods.last_observed_on,
    -- an entry that goes on as inherited, or as an own one, ends where that begins
    least(
        periods.ended_on,
        lead(periods.first_observed_on) over (
            partition by periods.leika_key, periods.ars, periods.url, periods.evidence, periods.source, periods.land_code
            order by periods.first_observed_on
        )
    ) as retired_on,
    periods.delivery_id
from periods
left join services on periods.leika_key = services.leika_key
left join {{ ref('int_authority_ars') }} as authorities
    on
        services.service_id = authorities.service_id
        and periods.ars = authorities.ars
