{% set works = ['person_days', 'person_days_municipal'] -%}
-- What a begun connection has earned and what work it took. An open one has earned the weight of the furthest phase that it ever
-- reached, suspended or not; one that is withdrawn has earned nothing, though its cost was spent. Authorities are those of the
-- reported status; the work for the connections of all that they continue is theirs.
with stages as (
    select
        reported.authority_id,
        reported.service_id,
        max(weights.value) as phase_weight,
        max_by(reported.phase, reported.valid_from) as phase
    from {{ ref('int_reported_phase') }} as reported
    left join {{ ref('phase') }} as phases
        on
            reported.reached_order = phases.phase_order
            and phases.is_progress
    left join {{ ref('cost_assumption') }} as weights on 'phase_weight_' || phases.phase = weights.assumption
    group by reported.authority_id, reported.service_id
),

-- a later event states the person-days anew; it does not add to them. Decimals, so that sums do not depend on their order
{% for work in works -%}
stated_{{ work }} as (
    select
        authority_id,
        service_id,
        cast(max_by({{ work }}, event_number) as decimal(18, 4)) as {{ work }},
        max_by(effective_on, event_number) as stated_on
    from {{ ref('int_connection_event') }}
    where {{ work }} is not null
    group by authority_id, service_id
),

reported_{{ work }} as (
    select
        coalesce(mapping.reported_authority_id, stated.authority_id) as authority_id,
        stated.service_id,
        cast(sum({{ shared_part('stated.' ~ work, 'mapping', 4) }}) as decimal(18, 4)) as {{ work }}
    from stated_{{ work }} as stated
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            stated.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'stated.stated_on') }}
    group by coalesce(mapping.reported_authority_id, stated.authority_id), stated.service_id
),

{% endfor -%}
begun as (
    select
        land_code,
        authority_id,
        service_id,
        wave,
        is_completed
    from {{ ref('int_connection') }}
    where is_begun
)

select
    begun.land_code,
    begun.authority_id,
    begun.service_id,
    begun.wave,
    begun.is_completed,
    case
        when begun.is_completed then 1
        when stages.phase = 'withdrawn' then 0
        else coalesce(stages.phase_weight, 0)
    end as phase_weight,
    reported_person_days.person_days,
    reported_person_days_municipal.person_days_municipal
from begun
left join stages
    on
        begun.authority_id = stages.authority_id
        and begun.service_id = stages.service_id
left join reported_person_days
    on
        begun.authority_id = reported_person_days.authority_id
        and begun.service_id = reported_person_days.service_id
left join reported_person_days_municipal
    on
        begun.authority_id = reported_person_days_municipal.authority_id
        and begun.service_id = reported_person_days_municipal.service_id
