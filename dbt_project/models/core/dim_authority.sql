with authorities as (
    select
        authority_id,
        min(land_code) as land_code,
        min(kind) as kind,
        max_by(name, valid_from) as name,
        max_by(seat_key, valid_from) as seat_key,
        min(valid_from) as valid_from,
        case when bool_and(valid_to is not null) then max(valid_to) end as valid_to
    from {{ ref('stg_authorities') }}
    group by authority_id
),

-- the day for which a jurisdiction is described: as_of, or its last day where it has ended before
jurisdictions as (
    select
        competences.authority_id,
        least(min(run.as_of), max(coalesce(competences.valid_to, date '9999-12-31')) - 1) as described_on
    from {{ ref('bridge_competence') }} as competences
    cross join {{ ref('stg_run') }} as run
    group by competences.authority_id
),

-- an authority competent for several services has its inhabitants once
pieces as (
    select distinct
        jurisdictions.authority_id,
        regions.ags,
        regions.is_municipality,
        regions.population
    from jurisdictions
    inner join {{ ref('int_competence_region') }} as regions
        on
            jurisdictions.authority_id = regions.authority_id
            and {{ holds_on('regions', 'jurisdictions.described_on') }}
    where not regions.is_partial
),

inhabitants as (
    select
        authority_id,
        sum(population) as population,
        count(*) filter (where is_municipality) as municipalities
    from pieces
    group by authority_id
),

reported as (
    select distinct authority_id
    from {{ ref('bridge_competence') }}
    where is_reported
)

select
    authorities.authority_id,
    authorities.land_code,
    authorities.kind,
    authorities.name,
    authorities.seat_key,
    authorities.valid_from,
    authorities.valid_to,
    {{ holds_on('authorities', 'run.as_of') }} as is_current,
    reported.authority_id is not null as is_reported,
    coalesce(mapping.reported_authority_id, authorities.authority_id) as reported_authority_id,
    cast(coalesce(inhabitants.population, 0) as bigint) as population,
    cast(coalesce(inhabitants.municipalities, 0) as bigint) as municipalities
from authorities
cross join {{ ref('stg_run') }} as run
left join inhabitants on authorities.authority_id = inhabitants.authority_id
left join reported on authorities.authority_id = reported.authority_id
-- where its facts of today count: one that has ended has been continued by then
left join {{ ref('int_authority_mapping') }} as mapping
    on
        authorities.authority_id = mapping.authority_id
        and mapping.is_main
        and mapping.valid_to is null
