-- Time from the first integrating to the first operational, in every stratum it belongs to. Still open ones are censored on
-- as_of, those given up on the day they were; work that had begun before the programme is observed from its first day on.
{% set rollout = "case when is_pilot then 'pilot' when wave >= 0 then 'wave ' || lpad(cast(wave as varchar), 2, '0') end" -%}
{% set kinds = [
    ('all', "'all'", 'null', 'null'),
    ('land', 'land_code', 'land_code', 'null'),
    ('service', 'service_id', 'null', 'service_id'),
    ('land_service', "land_code || ' ' || service_id", 'land_code', 'service_id'),
    ('size_class', 'size_class', 'null', 'null'),
    ('difficulty_class', 'difficulty_class', 'null', 'null'),
    ('rollout', rollout, 'null', 'null'),
] -%}
with spells as (
    select
        outlook.land_code,
        outlook.service_id,
        outlook.is_pilot,
        outlook.wave,
        case
            when outlook.population < 5000 then '1 below 5,000'
            when outlook.population < 20000 then '2 5,000 to 19,999'
            when outlook.population < 100000 then '3 20,000 to 99,999'
            else '4 100,000 and more'
        end as size_class,
        case
            when outlook.difficulty is null then null
            when outlook.difficulty < -0.5 then '1 easy'
            when outlook.difficulty <= 0.5 then '2 medium'
            else '3 hard'
        end as difficulty_class,
        greatest({{ days_between('outlook.started_on', 'lands.programme_start') }}, 0) as entry_days,
        {{ days_between('outlook.started_on', 'coalesce(outlook.accepted_on, outlook.withdrawn_on, run.as_of)') }} as days,
        outlook.accepted_on is not null as is_event
    from {{ ref('int_connection_outlook') }} as outlook
    inner join {{ ref('stg_land') }} as lands on outlook.land_code = lands.land_code
    cross join {{ ref('stg_run') }} as run
    where
        outlook.is_experience
        and coalesce(outlook.accepted_on >= outlook.started_on, true)
),

strata as (
    {% for kind, stratum, land_code, service_id in kinds %}
    select
        '{{ kind }}' as stratum_kind,
        {{ stratum }} as stratum,
        {{ land_code }} as land_code,
        {{ service_id }} as service_id,
        entry_days,
        days,
        is_event
    from spells
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    stratum_kind,
    stratum,
    cast(land_code as varchar) as land_code,
    cast(service_id as varchar) as service_id,
    cast(entry_days as bigint) as entry_days,
    cast(days as bigint) as days,
    is_event
from strata
where
    stratum is not null
    -- who was done or given up before the observation began was never at risk in it
    and (entry_days = 0 or days > entry_days)
