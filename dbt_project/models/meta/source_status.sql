{% set delivered_on = "cast(sources.last_delivered_at at time zone 'Europe/Berlin' as date)" -%}
with deliveries as (
    select
        land_code,
        source,
        count(*) as deliveries,
        count(*) filter (where not is_admitted) as deliveries_refused,
        cast(sum(rows_delivered) as bigint) as rows_delivered,
        cast(sum(rows_quarantined) as bigint) as rows_quarantined
    from {{ ref('stg_delivery') }}
    group by land_code, source
)

select
    sources.land_code,
    sources.source,
    sources.table_name,
    sources.format,
    sources.delivers,
    sources.is_required,
    sources.max_age_days,
    sources.licence,
    sources.status,
    sources.last_delivery_id,
    sources.last_delivered_at,
    sources.last_attempt_at,
    -- a day ends at midnight in Berlin
    case
        when sources.last_delivered_at is not null
            then greatest({{ days_between(delivered_on, 'run.as_of') }}, 0)
    end as age_days,
    coalesce(deliveries.deliveries, 0) as deliveries,
    coalesce(deliveries.deliveries_refused, 0) as deliveries_refused,
    coalesce(deliveries.rows_delivered, 0) as rows_delivered,
    coalesce(deliveries.rows_quarantined, 0) as rows_quarantined,
    sources.message_de,
    sources.message_en
from {{ ref('stg_source') }} as sources
cross join {{ ref('stg_run') }} as run
left join deliveries
    on
        sources.land_code = deliveries.land_code
        and sources.source = deliveries.source
