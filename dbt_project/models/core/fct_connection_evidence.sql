-- What says that an authority is connected, by whom and when. Only entries of its own are evidence: an inherited one is about the
-- level above. Several keys and addresses of one source are one piece of evidence while any of them is shown.
{% set piece = 'land_code, authority_id, service_id, evidence, source, is_verified' -%}
with entries as (
    select
        listings.land_code,
        listings.authority_id,
        listings.service_id,
        listings.evidence,
        listings.source,
        leika_keys.is_verified,
        listings.url,
        greatest(listings.first_observed_on, leika_keys.valid_from) as valid_from,
        least(listings.last_observed_on, leika_keys.valid_to - 1) as last_observed_on,
        least(listings.retired_on, leika_keys.valid_to) as valid_to
    from {{ ref('fct_listing') }} as listings
    inner join {{ ref('service_leika_key') }} as leika_keys
        on
            listings.leika_key = leika_keys.leika_key
            and listings.service_id = leika_keys.service_id
    where
        not listings.is_inherited
        and listings.authority_id is not null
        and listings.first_observed_on < coalesce(leika_keys.valid_to, date '9999-12-31')
        and leika_keys.valid_from <= listings.last_observed_on
),

intervals as (
    select *
    from entries

    union all

    -- what a catalogue shows as reachable it lists
    select * replace ('listed' as evidence)
    from entries
    where evidence = 'reachable'

    union all

    select
        phases.land_code,
        phases.authority_id,
        phases.service_id,
        'reported' as evidence,
        phases.source,
        cast(null as boolean) as is_verified,
        cast(null as varchar) as url,
        phases.valid_from,
        coalesce(phases.valid_to - 1, run.as_of) as last_observed_on,
        phases.valid_to
    from {{ ref('fct_connection_phase') }} as phases
    cross join {{ ref('stg_run') }} as run
    where phases.phase = 'operational'
),

marked as (
    select
        *,
        max(coalesce(valid_to, date '9999-12-31')) over earlier as earlier_valid_to
    from intervals
    window earlier as (partition by {{ piece }} order by valid_from rows between unbounded preceding and 1 preceding)
),

numbered as (
    select
        *,
        sum(case when valid_from <= earlier_valid_to then 0 else 1 end) over (
            -- of intervals that begin on one day the one that was counted first above comes first here
            partition by {{ piece }} order by valid_from, earlier_valid_to nulls first rows unbounded preceding
        ) as period_number
    from marked
)

select
    land_code,
    authority_id,
    service_id,
    evidence,
    source,
    is_verified,
    min(valid_from) as first_observed_on,
    max(last_observed_on) as last_observed_on,
    case when bool_and(valid_to is not null) then max(valid_to) end as retired_on,
    bool_or(valid_to is null) as is_current,
    min(url) as url
from numbered
group by {{ piece }}, period_number
