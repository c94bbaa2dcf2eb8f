-- What the test of the economies of scale looks at. Cost is net of VAT: the ledger's own amounts.
with inhabitants as (
    -- those of whom it takes all cases; an authority that shares every municipality has those of them all
    select
        authority_id,
        service_id,
        coalesce(sum(population) filter (where not is_partial), sum(population)) as population
    from {{ ref('int_reported_competence') }}
    group by authority_id, service_id
),

assumptions as (
    select
        max(value) filter (where assumption = 'invoice_settling_days') as settling_days,
        max(value) filter (where assumption = 'municipal_person_day_eur') as municipal_person_day_eur
    from {{ ref('cost_assumption') }}
)

select
    connections.authority_id,
    connections.service_id,
    connections.land_code,
    authorities.kind as authority_kind,
    connections.call_off,
    connections.contractor,
    connections.wave,
    connections.team,
    connections.contractor || ' / ' || cast(connections.wave as varchar) as cluster,
    plans.planned_wave,
    connections.is_pilot,
    plans.wave_started_on,
    connections.started_on,
    connections.accepted_on,
    connections.is_completed as is_accepted,
    coalesce(
        costs.last_invoiced_on >= connections.accepted_on
        and {{ days_between('connections.accepted_on', 'run.as_of') }} >= assumptions.settling_days,
        false
    ) as is_invoiced,
    cast(efforts.phase_weight as double) as phase_weight,
    {{ to_cents('costs.cost_variable_eur') }} as cost_variable_eur,
    {{ to_cents('costs.cost_variable_nominal_eur') }} as cost_variable_nominal_eur,
    {{ to_cents('costs.cost_variable_cpi_eur') }} as cost_variable_cpi_eur,
    {{ to_cents('costs.cost_full_eur') }} as cost_full_eur,
    {{ to_cents('costs.cost_variable_eur + efforts.person_days_municipal * assumptions.municipal_person_day_eur') }}
        as payer_total_eur,
    cast(costs.allocation_direct_share as double) as allocation_direct_share,
    cast(efforts.person_days as double) as person_days,
    cast(efforts.person_days_municipal as double) as person_days_municipal,
    -- a connection is no experience for itself, whatever the order in which its phases were told
    coalesce(experience.cumulative_connections, 0)
    - case when connections.accepted_on < connections.started_on then 1 else 0 end as cumulative_connections,
    coalesce(experience.baseline_connections, 0) as baseline_connections,
    cast(inhabitants.population as bigint) as population,
    plans.difficulty,
    plans.difficulty_recorded_on,
    costs.price_mechanism
from {{ ref('int_connection') }} as connections
cross join {{ ref('stg_run') }} as run
cross join assumptions
inner join {{ ref('int_connection_effort') }} as efforts
    on
        connections.authority_id = efforts.authority_id
        and connections.service_id = efforts.service_id
inner join {{ ref('int_scale_plan') }} as plans
    on
        connections.authority_id = plans.authority_id
        and connections.service_id = plans.service_id
left join {{ ref('dim_authority') }} as authorities on connections.authority_id = authorities.authority_id
left join inhabitants
    on
        connections.authority_id = inhabitants.authority_id
        and connections.service_id = inhabitants.service_id
left join {{ ref('int_scale_cost') }} as costs
    on
        connections.authority_id = costs.authority_id
        and connections.service_id = costs.service_id
left join {{ ref('int_scale_experience') }} as experience
    on
        connections.service_id = experience.service_id
        and {{ holds_on('experience', 'connections.started_on') }}
where connections.is_begun
