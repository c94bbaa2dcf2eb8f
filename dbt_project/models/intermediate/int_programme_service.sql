-- One row per Land × programme service, with the days its daily metrics run over. Every service of a Land starts on the same day
-- (the first day anything of the programme was operational, or the programme's start), so that sums over services are whole.
with first_operational as (
    select
        phases.land_code,
        min(phases.valid_from) as first_operational_on
    from {{ ref('fct_connection_phase') }} as phases
    inner join {{ ref('stg_land_service') }} as programme
        on
            phases.land_code = programme.land_code
            and phases.service_id = programme.service_id
    where phases.phase = 'operational'
    group by phases.land_code
),

first_listing as (
    select
        land_code,
        min(first_observed_on) as first_listing_on
    from {{ ref('fct_listing') }}
    where evidence in ('listed', 'reachable')
    group by land_code
),

verified_services as (
    select
        service_id,
        min(valid_from) as first_verified_key_on
    from {{ ref('service_leika_key') }}
    where is_verified
    group by service_id
)

select
    programme.land_code,
    programme.service_id,
    programme.baseline_connections,
    lands.programme_start,
    least(lands.programme_start, first_operational.first_operational_on) as observed_from,
    run.as_of,
    -- NULL where the service has no verified key or nothing was observed in that Land yet
    case
        when verified_services.service_id is not null and first_listing.land_code is not null
            then greatest(first_listing.first_listing_on, verified_services.first_verified_key_on)
    end as verifiable_from
from {{ ref('stg_land_service') }} as programme
inner join {{ ref('stg_land') }} as lands on programme.land_code = lands.land_code
cross join {{ ref('stg_run') }} as run
left join first_operational on programme.land_code = first_operational.land_code
left join first_listing on programme.land_code = first_listing.land_code
left join verified_services on programme.service_id = verified_services.service_id
