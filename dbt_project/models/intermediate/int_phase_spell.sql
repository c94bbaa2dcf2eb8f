-- Every stretch that a competent authority spent in a phase, up to as_of; consecutive periods of the same phase are one.
with competent as (
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

periods as (
    select
        competent.land_code,
        phases.authority_id,
        phases.service_id,
        phases.phase,
        phases.valid_from,
        phases.valid_to,
        lag(phases.phase) over (
            partition by phases.authority_id, phases.service_id order by phases.valid_from
        ) as previous_phase,
        run.as_of
    from {{ ref('int_reported_phase') }} as phases
    inner join competent
        on
            phases.authority_id = competent.authority_id
            and phases.service_id = competent.service_id
    cross join {{ ref('stg_run') }} as run
    where phases.valid_from <= run.as_of
),

stretches as (
    select
        *,
        count(*) filter (where previous_phase is distinct from phase) over (
            partition by authority_id, service_id order by valid_from rows unbounded preceding
        ) as stretch
    from periods
),

merged as (
    select
        land_code,
        authority_id,
        service_id,
        phase,
        min(valid_from) as began_on,
        case when bool_and(coalesce(valid_to <= as_of, false)) then max(valid_to) end as ended_on,
        min(as_of) as as_of
    from stretches
    group by land_code, authority_id, service_id, phase, stretch
)

select
    land_code,
    authority_id,
    service_id,
    phase,
    began_on,
    ended_on,
    lead(phase) over life as next_phase,
    cast({{ days_between('began_on', 'coalesce(ended_on, as_of)') }} as bigint) as days
from merged
window life as (partition by authority_id, service_id order by began_on)
