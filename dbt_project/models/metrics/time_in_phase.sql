-- How long authorities stay in each phase, and who is stuck: longer in it than nine in ten of those who left it, in any Land.
{% set stretches_needed = 20 -%}
with counted as (
    select
        land_code,
        service_id,
        phase,
        count(*) filter (where ended_on is not null) as completed_count,
        median(days) filter (where ended_on is not null) as completed_median_days,
        quantile_cont(days, 0.9) filter (where ended_on is not null) as completed_p90_days,
        count(*) filter (where ended_on is null) as authorities_in_phase,
        median(days) filter (where ended_on is null) as current_median_days,
        quantile_cont(days, 0.9) filter (where ended_on is null) as current_p90_days,
        max(days) filter (where ended_on is null) as current_longest_days
    from {{ ref('int_phase_spell') }}
    group by land_code, service_id, phase
),

thresholds as (
    select
        service_id,
        phase,
        quantile_cont(days, 0.9) as stuck_threshold_days
    from {{ ref('int_phase_spell') }}
    where ended_on is not null and phase not in ('operational', 'withdrawn')
    group by service_id, phase
    having count(*) >= {{ stretches_needed }}
),

stuck as (
    select
        spells.land_code,
        spells.service_id,
        spells.phase,
        count(*) as authorities_stuck
    from {{ ref('int_phase_spell') }} as spells
    inner join thresholds
        on
            spells.service_id = thresholds.service_id
            and spells.phase = thresholds.phase
    where spells.ended_on is null and spells.days > thresholds.stuck_threshold_days
    group by spells.land_code, spells.service_id, spells.phase
)

select
    programme.land_code,
    programme.service_id,
    programme.as_of,
    phases.phase,
    phases.phase_order,
    coalesce(counted.authorities_in_phase, 0) as authorities_in_phase,
    counted.current_median_days,
    counted.current_p90_days,
    counted.current_longest_days,
    coalesce(counted.completed_count, 0) as completed_count,
    counted.completed_median_days,
    counted.completed_p90_days,
    thresholds.stuck_threshold_days,
    case when thresholds.stuck_threshold_days is not null then coalesce(stuck.authorities_stuck, 0) end as authorities_stuck,
    case
        when phases.phase in ('operational', 'withdrawn') then 'no_next_phase'
        when thresholds.stuck_threshold_days is null then 'too_few_completed'
    end as stuck_reason
from {{ ref('int_programme_service') }} as programme
inner join {{ ref('phase') }} as phases on phases.phase <> 'none'
left join counted
    on
        programme.land_code = counted.land_code
        and programme.service_id = counted.service_id
        and phases.phase = counted.phase
left join thresholds
    on
        programme.service_id = thresholds.service_id
        and phases.phase = thresholds.phase
left join stuck
    on
        programme.land_code = stuck.land_code
        and programme.service_id = stuck.service_id
        and phases.phase = stuck.phase
