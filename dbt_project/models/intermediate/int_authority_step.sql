-- The life of every authority × service of the reported status as steps between changes. Each interval adds its weight on its
-- first day and takes it off on the day it ends; running sums give the state. Rows follow the number of changes, not of days.
with competent as (
    -- an authority that takes a part of the cases only shares its inhabitants with another: they count once, there
    select
        land_code,
        authority_id,
        service_id,
        count(*) filter (where is_municipality and not is_partial) as municipalities,
        coalesce(sum(population) filter (where not is_partial), 0) as population
    from {{ ref('int_reported_competence') }}
    group by land_code, authority_id, service_id
),

reported_authorities as (
    select distinct
        authority_id,
        reported_authority_id
    from {{ ref('int_authority_mapping') }}
),

intervals as (
    select
        authority_id,
        service_id,
        date '1900-01-01' as valid_from,
        cast(null as date) as valid_to,
        0 as operational,
        0 as listed
    from competent

    union all

    select
        authority_id,
        service_id,
        valid_from,
        valid_to,
        1 as operational,
        0 as listed
    from {{ ref('int_reported_phase') }}
    where phase = 'operational'

    union all

    -- a catalogue that still lists a key of yesterday lists the authority of today
    select
        reported_authorities.reported_authority_id as authority_id,
        listings.service_id,
        greatest(listings.first_observed_on, leika_keys.valid_from) as valid_from,
        least(listings.retired_on, leika_keys.valid_to) as valid_to,
        0 as operational,
        1 as listed
    from {{ ref('fct_listing') }} as listings
    inner join {{ ref('service_leika_key') }} as leika_keys
        on
            listings.leika_key = leika_keys.leika_key
            and listings.service_id = leika_keys.service_id
    inner join reported_authorities on listings.authority_id = reported_authorities.authority_id
    -- what a catalogue shows as reachable it lists; a delivery point (addressable) is no listing
    where
        listings.evidence in ('listed', 'reachable')
        and not listings.is_inherited
        and leika_keys.is_verified
        and listings.first_observed_on < coalesce(leika_keys.valid_to, date '9999-12-31')
        and leika_keys.valid_from < coalesce(listings.retired_on, date '9999-12-31')
),

changes as (
    select
        authority_id,
        service_id,
        valid_from as changed_on,
        operational,
        listed
    from intervals

    union all

    select
        authority_id,
        service_id,
        valid_to as changed_on,
        -operational as operational,
        -listed as listed
    from intervals
    where valid_to is not null
),

daily as (
    select
        authority_id,
        service_id,
        changed_on,
        sum(operational) as operational,
        sum(listed) as listed
    from changes
    group by authority_id, service_id, changed_on
),

steps as (
    select
        authority_id,
        service_id,
        changed_on as valid_from,
        lead(changed_on) over life as valid_to,
        sum(operational) over life as operational,
        sum(listed) over life as listed
    from daily
    window life as (partition by authority_id, service_id order by changed_on)
)

select
    competent.land_code,
    competent.authority_id,
    competent.service_id,
    steps.valid_from,
    steps.valid_to,
    cast(competent.municipalities as bigint) as municipalities,
    cast(competent.population as bigint) as population,
    steps.operational > 0 as is_operational,
    steps.listed > 0 as is_listed
from steps
inner join competent
    on
        steps.authority_id = competent.authority_id
        and steps.service_id = competent.service_id
