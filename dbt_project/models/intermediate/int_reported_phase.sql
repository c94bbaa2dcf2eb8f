-- The phase of every connection of the reported status: along one line the last event holds, also across a change of keys;
-- where several lines lead to an authority, its phase is that of the line furthest from being operational, and it has come as
-- far as the one that came least far. So it is operational before a merger only while all its predecessors were, and from then
-- on by its own events; it keeps its predecessors' phase until it has one.
with sequences as (
    select
        *,
        lead(effective_on) over along as next_effective_on,
        max(case when is_progress then phase_order else 0 end) over (
            partition by reported_authority_id, service_id, line
            order by joined_on, event_number
            rows between unbounded preceding and current row
        ) as reached_order
    from {{ ref('int_reported_event') }}
    window along as (partition by reported_authority_id, service_id, line order by joined_on, event_number)
),

services as (
    select distinct
        reported_authority_id,
        service_id
    from sequences
),

moments as (
    select
        reported_authority_id,
        service_id,
        effective_on as valid_from
    from sequences

    union

    select
        services.reported_authority_id,
        services.service_id,
        lines.valid_from
    from services
    inner join {{ ref('int_authority_line') }} as lines on services.reported_authority_id = lines.reported_authority_id

    union

    select
        services.reported_authority_id,
        services.service_id,
        lines.valid_to as valid_from
    from services
    inner join {{ ref('int_authority_line') }} as lines on services.reported_authority_id = lines.reported_authority_id
    where lines.valid_to is not null
),

states as (
    select
        moments.reported_authority_id,
        moments.service_id,
        moments.valid_from,
        coalesce(sequences.phase, 'none') as phase,
        coalesce(sequences.reached_order, 0) as reached_order,
        case
            when sequences.phase is null then 0
            when sequences.is_progress then 10 + sequences.phase_order
            else 9 - sequences.phase_order
        end as nearness
    from moments
    inner join {{ ref('int_authority_line') }} as lines
        on
            moments.reported_authority_id = lines.reported_authority_id
            and {{ holds_on('lines', 'moments.valid_from') }}
    left join sequences
        on
            moments.reported_authority_id = sequences.reported_authority_id
            and moments.service_id = sequences.service_id
            and lines.line = sequences.line
            and sequences.effective_on <= moments.valid_from
            and coalesce(sequences.next_effective_on > moments.valid_from, true)
),

merged as (
    select
        reported_authority_id,
        service_id,
        valid_from,
        min_by(phase, nearness) as phase,
        min(reached_order) as reached_order
    from states
    group by reported_authority_id, service_id, valid_from
)

select
    moments.reported_authority_id as authority_id,
    moments.service_id,
    moments.valid_from,
    lead(moments.valid_from) over (
        partition by moments.reported_authority_id, moments.service_id order by moments.valid_from
    ) as valid_to,
    coalesce(merged.phase, 'none') as phase,
    coalesce(merged.reached_order, 0) as reached_order
from moments
left join merged
    on
        moments.reported_authority_id = merged.reported_authority_id
        and moments.service_id = merged.service_id
        and moments.valid_from = merged.valid_from
