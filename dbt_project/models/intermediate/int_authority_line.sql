-- The lines of authorities that lead to one of the reported status: a merger has a line for each predecessor, a key change makes
-- one line of two keys. A line passes on, the day an authority ends, to those that begin in its place; where nobody does, because
-- one that lives on took it over, it ends. Who stood for none of the inhabitants is no predecessor.
with recursive counted as (
    select
        reported_authority_id,
        authority_id,
        valid_from,
        valid_to,
        case
            when lag(valid_to) over stint = valid_from then 0
            else 1
        end as begins
    from {{ ref('bridge_authority_successor') }}
    where
        reported_authority_id = authority_id
        or population > 0
    window stint as (partition by reported_authority_id, authority_id order by valid_from)
),

numbered as (
    select
        *,
        sum(begins) over (
            partition by reported_authority_id, authority_id order by valid_from rows unbounded preceding
        ) as stint_number
    from counted
),

stints as (
    select
        reported_authority_id,
        authority_id,
        min(valid_from) as valid_from,
        case when bool_and(valid_to is not null) then max(valid_to) end as valid_to
    from numbered
    group by reported_authority_id, authority_id, stint_number
),

begins as (
    select stints.*
    from stints
    anti join stints as earlier
        on
            stints.reported_authority_id = earlier.reported_authority_id
            and stints.valid_from = earlier.valid_to
),

ways as (
    select
        reported_authority_id,
        authority_id || ' ' || valid_from as line,
        valid_to,
        [struct_pack(authority_id := authority_id, valid_from := valid_from, valid_to := valid_to)] as authorities
    from begins

    union all

    select
        ways.reported_authority_id,
        ways.line || ' > ' || later.authority_id as line,
        later.valid_to,
        list_append(
            ways.authorities,
            struct_pack(authority_id := later.authority_id, valid_from := later.valid_from, valid_to := later.valid_to)
        ) as authorities
    from ways
    inner join stints as later
        on
            ways.reported_authority_id = later.reported_authority_id
            and ways.valid_to = later.valid_from
),

-- only the ways to their end: the others are their beginnings
lines as (
    select
        ways.reported_authority_id,
        ways.line,
        unnest(ways.authorities) as step
    from ways
    anti join stints as later
        on
            ways.reported_authority_id = later.reported_authority_id
            and ways.valid_to = later.valid_from
),

steps as (
    select
        lines.reported_authority_id,
        lines.line,
        lines.step.authority_id,
        lines.step.valid_from,
        lines.step.valid_to,
        min(lines.step.valid_from) over everybody as first_valid_from,
        max(coalesce(lines.step.valid_to, date '9999-12-31')) over everybody as last_valid_to
    from lines
    window everybody as (partition by lines.reported_authority_id)
)

-- what happened before the first authority began, or after the last one ended, is theirs
select
    reported_authority_id,
    line,
    authority_id,
    case
        when valid_from > first_valid_from then valid_from
        else date '1900-01-01'
    end as valid_from,
    case when valid_to < last_valid_to then valid_to end as valid_to
from steps
