-- Competent and operational authorities per Land, service and day of the programme, on today's territory.
with recursive competent as (
    select distinct
        rows.land_code,
        rows.service_id,
        rows.authority_id
    from {{ source('raw', 'competences') }} as rows
    inner join {{ source('raw', 'land_service') }} as programme
        on rows.land_code = programme.land_code and rows.service_id = programme.service_id
    where rows.valid_to is null
),

mine as (
    select
        competent.land_code,
        competent.service_id,
        spells.valid_from,
        spells.valid_to
    from {{ ref('spells') }} as spells
    inner join competent on spells.authority_id = competent.authority_id and spells.service_id = competent.service_id
),

-- a Land is told from its programme's start on, or from its first operational connection
begun as (
    select
        land.land_code,
        least(land.programme_start, min(mine.valid_from)) as programme_start
    from {{ source('raw', 'land') }} as land
    left join mine on land.land_code = mine.land_code
    group by land.land_code, land.programme_start
),

programme as (
    select
        competent.land_code,
        competent.service_id,
        begun.programme_start,
        count(*) as authorities_competent
    from competent
    inner join begun on competent.land_code = begun.land_code
    group by competent.land_code, competent.service_id, begun.programme_start
),

calendar as (
    select min(programme_start) as day from programme

    union all

    select calendar.day + 1
    from calendar
    cross join {{ source('raw', 'run') }} as run
    where calendar.day < run.as_of
),

changes as (
    select
        land_code,
        service_id,
        valid_from as day,
        1 as change
    from mine

    union all

    select
        land_code,
        service_id,
        valid_to as day,
        -1 as change
    from mine
    where valid_to is not null
),

daily as (
    select
        changes.land_code,
        changes.service_id,
        greatest(changes.day, programme.programme_start) as day,
        sum(changes.change) as change
    from changes
    inner join programme on changes.land_code = programme.land_code and changes.service_id = programme.service_id
    group by changes.land_code, changes.service_id, greatest(changes.day, programme.programme_start)
)

select
    programme.land_code,
    programme.service_id,
    calendar.day as as_of,
    programme.authorities_competent,
    cast(
        coalesce(sum(daily.change) over (partition by programme.land_code, programme.service_id order by calendar.day), 0) as bigint
    ) as authorities_operational
from programme
inner join calendar on programme.programme_start <= calendar.day
left join daily
    on programme.land_code = daily.land_code and programme.service_id = daily.service_id and calendar.day = daily.day
