-- Where what a Land reports and what public catalogues show contradict each other on as_of. A catalogue takes up to 72 hours to
-- show what has become so (Redaktionsfrist): until it was looked at after that, there is no contradiction yet.
{% set editorial_delay_days = 3 -%}
with pairs as (
    select distinct
        competences.land_code,
        competences.authority_id,
        competences.service_id
    from {{ ref('int_reported_competence') }} as competences
    inner join {{ ref('stg_land_service') }} as programme
        on
            competences.land_code = programme.land_code
            and competences.service_id = programme.service_id
),

-- what is told of, or listed under, a key of yesterday is about the authority of today
reported_authorities as (
    select distinct
        authority_id,
        reported_authority_id
    from {{ ref('int_authority_mapping') }}
),

phases as (
    select
        phases.authority_id,
        phases.service_id,
        phases.phase,
        phases.valid_from,
        phases.valid_to,
        max(case when {{ holds_on('phases', 'run.as_of') }} then phases.phase end) over (
            partition by phases.authority_id, phases.service_id
        ) as present_phase
    from {{ ref('int_reported_phase') }} as phases
    cross join {{ ref('stg_run') }} as run
    where phases.valid_from <= run.as_of
),

-- since when a Land has said operational without a break, or since when it no longer does: NULL where it never did
reported as (
    select
        authority_id,
        service_id,
        min(present_phase) as reported_phase,
        case
            when min(present_phase) = 'operational'
                then coalesce(max(valid_to) filter (where phase <> 'operational'), min(valid_from))
            else max(valid_to) filter (where phase = 'operational')
        end as reported_since_on
    from phases
    group by authority_id, service_id
),

reports as (
    select
        reported_authorities.reported_authority_id as authority_id,
        phases.service_id,
        max_by(phases.source, phases.valid_from) as reported_source
    from {{ ref('fct_connection_phase') }} as phases
    inner join reported_authorities on phases.authority_id = reported_authorities.authority_id
    group by reported_authorities.reported_authority_id, phases.service_id
),

-- only some catalogues try whether an address works: of the others nothing follows
judging as (
    select distinct
        land_code,
        source
    from {{ ref('fct_listing') }}
    where evidence = 'reachable'
),

verified as (
    select
        reported_authorities.reported_authority_id as authority_id,
        evidence.service_id,
        evidence.evidence,
        evidence.source,
        evidence.first_observed_on,
        evidence.last_observed_on,
        evidence.retired_on,
        evidence.is_current,
        evidence.url,
        judging.source is not null as is_judged
    from {{ ref('fct_connection_evidence') }} as evidence
    inner join reported_authorities on evidence.authority_id = reported_authorities.authority_id
    left join judging
        on
            evidence.land_code = judging.land_code
            and evidence.source = judging.source
    where
        evidence.is_verified
        and evidence.evidence in ('listed', 'reachable')
),

listed as (
    select
        authority_id,
        service_id,
        bool_or(is_current) as is_listed,
        min(first_observed_on) filter (where is_current) as listed_since_on,
        max(last_observed_on) as last_listed_on,
        max(retired_on) as delisted_on,
        string_agg(distinct source, ' ' order by source) filter (where is_current) as listing_sources,
        coalesce(min(url) filter (where is_current), max_by(url, last_observed_on)) as url,
        min(first_observed_on) filter (where is_current and is_judged) as judged_since_on
    from verified
    where evidence = 'listed'
    group by authority_id, service_id
),

reachable as (
    select
        authority_id,
        service_id,
        bool_or(is_current) as is_reachable,
        max(retired_on) as unreachable_since_on
    from verified
    where evidence = 'reachable'
    group by authority_id, service_id
),

addressable as (
    select distinct
        reported_authorities.reported_authority_id as authority_id,
        evidence.service_id
    from {{ ref('fct_connection_evidence') }} as evidence
    inner join reported_authorities on evidence.authority_id = reported_authorities.authority_id
    where evidence.evidence = 'addressable' and evidence.is_current
),

-- the newest day that any catalogue shows of a Land
looks as (
    select
        land_code,
        max(last_observed_on) as catalogue_observed_on
    from {{ ref('fct_listing') }}
    where evidence in ('listed', 'reachable')
    group by land_code
),

verifiable as (
    select distinct leika_keys.service_id
    from {{ ref('service_leika_key') }} as leika_keys
    cross join {{ ref('stg_run') }} as run
    where leika_keys.is_verified and {{ holds_on('leika_keys', 'run.as_of') }}
),

states as (
    select
        pairs.land_code,
        pairs.authority_id,
        pairs.service_id,
        run.as_of,
        coalesce(reported.reported_phase, 'none') as reported_phase,
        coalesce(reported.reported_phase = 'operational', false) as is_operational,
        reported.reported_since_on,
        reports.reported_source,
        coalesce(listed.is_listed, false) as is_listed,
        listed.listed_since_on,
        listed.last_listed_on,
        listed.delisted_on,
        listed.listing_sources,
        listed.url,
        listed.judged_since_on,
        coalesce(reachable.is_reachable, false) as is_reachable,
        reachable.unreachable_since_on,
        looks.catalogue_observed_on,
        addressable.authority_id is not null as is_addressable
    from pairs
    inner join verifiable on pairs.service_id = verifiable.service_id
    inner join looks on pairs.land_code = looks.land_code
    cross join {{ ref('stg_run') }} as run
    left join reported
        on
            pairs.authority_id = reported.authority_id
            and pairs.service_id = reported.service_id
    left join reports
        on
            pairs.authority_id = reports.authority_id
            and pairs.service_id = reports.service_id
    left join listed
        on
            pairs.authority_id = listed.authority_id
            and pairs.service_id = listed.service_id
    left join reachable
        on
            pairs.authority_id = reachable.authority_id
            and pairs.service_id = reachable.service_id
    left join addressable
        on
            pairs.authority_id = addressable.authority_id
            and pairs.service_id = addressable.service_id
),

conflicts as (
    select
        *,
        case
            when is_operational and not is_listed then 'reported_not_listed'
            when not is_operational and is_listed then 'listed_not_reported'
            when is_operational and judged_since_on is not null and not is_reachable then 'listed_not_reachable'
        end as kind
    from states
),

dated as (
    select
        *,
        -- the later of the two statements that contradict each other; greatest passes over NULL
        case kind
            when 'reported_not_listed' then greatest(reported_since_on, delisted_on)
            when 'listed_not_reported' then greatest(listed_since_on, reported_since_on)
            else greatest(reported_since_on, judged_since_on, unreachable_since_on)
        end as conflict_since_on,
        -- the day after which a catalogue must have been looked at: none where the entry was there before anything was reported
        case kind
            when 'reported_not_listed' then greatest(reported_since_on, delisted_on)
            when 'listed_not_reported' then reported_since_on
        end as awaited_since_on,
        case kind when 'reported_not_listed' then catalogue_observed_on else last_listed_on end as looked_on
    from conflicts
    where kind is not null
)

select
    land_code,
    authority_id,
    service_id,
    kind,
    as_of,
    reported_phase,
    reported_since_on,
    reported_source,
    listed_since_on,
    last_listed_on,
    listing_sources,
    url,
    catalogue_observed_on,
    is_addressable,
    conflict_since_on,
    {{ days_between('conflict_since_on', 'as_of') }} as conflict_days
from dated
where coalesce({{ days_between('awaited_since_on', 'looked_on') }} > {{ editorial_delay_days }}, true)
