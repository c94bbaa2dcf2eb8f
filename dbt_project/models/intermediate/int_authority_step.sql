-- The life of every competent authority × service as steps between changes. Each interval adds its weight on its first day and
-- takes it off on the day it ends; running sums give the state. The number of rows follows the number of changes, not of days.
with intervals as (
    select
        land_code,
        authority_id,
        service_id,
        valid_from,
        valid_to,
        1 as competent,
        0 as municipalities,
        0 as population,
        0 as operational,
        0 as listed
    from {{ ref('bridge_competence') }}

    union all

    -- an authority that takes a part of the cases only shares its inhabitants with another: they count once, there
    select
        land_code,
        authority_id,
        service_id,
        valid_from,
        valid_to,
        0 as competent,
        case when is_municipality then 1 else 0 end as municipalities,
        population,
        0 as operational,
        0 as listed
    from {{ ref('int_competence_region') }}
    where not is_partial

    union all

    select
        land_code,
        authority_id,
        service_id,
        valid_from,
        valid_to,
        0 as competent,
        0 as municipalities,
        0 as population,
        1 as operational,
        0 as listed
    from {{ ref('fct_connection_phase') }}
    where phase = 'operational'

    union all

    select
        listings.land_code,
        listings.authority_id,
        listings.service_id,
        greatest(listings.first_observed_on, leika_keys.valid_from) as valid_from,
        least(listings.retired_on, leika_keys.valid_to) as valid_to,
        0 as competent,
        0 as municipalities,
        0 as population,
        0 as operational,
        1 as listed
    from {{ ref('fct_listing') }} as listings
    inner join {{ ref('service_leika_key') }} as leika_keys
        on
            listings.leika_key = leika_keys.leika_key
            and listings.service_id = leika_keys.service_id
    -- what a catalogue shows as reachable it lists; a delivery point (addressable) is no listing
    where
        listings.evidence in ('listed', 'reachable')
        and not listings.is_inherited
        and listings.authority_id is not null
        and leika_keys.is_verified
        and listings.first_observed_on < coalesce(leika_keys.valid_to, date '9999-12-31')
        and leika_keys.valid_from < coalesce(listings.retired_on, date '9999-12-31')
),

changes as (
    select
        authority_id,
        service_id,
        land_code,
        valid_from as changed_on,
        competent,
        municipalities,
        population,
        operational,
        listed
    from intervals

    union all

    select
        authority_id,
        service_id,
        land_code,
        valid_to as changed_on,
        -competent as competent,
        -municipalities as municipalities,
        -population as population,
        -operational as operational,
        -listed as listed
    from intervals
    where valid_to is not null
),

daily as (
    select
        land_code,
        authority_id,
        service_id,
        changed_on,
        sum(competent) as competent,
        sum(municipalities) as municipalities,
        sum(population) as population,
        sum(operational) as operational,
        sum(listed) as listed
    from changes
    group by land_code, authority_id, service_id, changed_on
),

steps as (
    select
        land_code,
        authority_id,
        service_id,
        changed_on as valid_from,
        lead(changed_on) over life as valid_to,
        sum(competent) over life as competent,
        sum(municipalities) over life as municipalities,
        sum(population) over life as population,
        sum(operational) over life as operational,
        sum(listed) over life as listed
    from daily
    window life as (partition by land_code, authority_id, service_id order by changed_on)
)

select
    land_code,
    authority_id,
    service_id,
    valid_from,
    valid_to,
    cast(municipalities as bigint) as municipalities,
    cast(population as bigint) as population,
    operational > 0 as is_operational,
    listed > 0 as is_listed
from steps
where competent > 0
