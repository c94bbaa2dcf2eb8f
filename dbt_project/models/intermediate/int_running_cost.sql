{% set shared_days = days_between(
    'greatest(entries.first_on, period.window_from)', 'least(entries.until_on, period.window_to)'
) -%}
{% set all_days = days_between('entries.first_on', 'entries.until_on') -%}
-- Running cost of the last twelve whole months, gross. An entry that states the period it pays for is spread over its days: a
-- licence paid once a year weighs every month alike. One that states none belongs to the day of its booking.
with period as (
    {{ last_whole_months(12) }}
),

entries as (
    select
        land_code,
        service_id,
        payer,
        gross_eur,
        coalesce(period_start, least(booked_on, period_end)) as first_on,
        cast(coalesce(period_end, greatest(booked_on, period_start)) + 1 as date) as until_on
    from {{ ref('fct_cost') }}
    where
        recurring
        and entry_status in ('invoiced', 'reversal')
),

parts as (
    select
        entries.land_code,
        entries.service_id,
        entries.payer,
        entries.first_on,
        cast(
            case
                when {{ shared_days }} > 0 then entries.gross_eur * {{ shared_days }} / {{ all_days }}
                else 0
            end as decimal(38, 10)
        ) as cost_eur
    from entries
    cross join period
),

firsts as (
    select
        land_code,
        service_id,
        min(first_on) as first_cost_on
    from parts
    group by land_code, service_id
)

select
    parts.land_code,
    parts.service_id,
    parts.payer,
    firsts.first_cost_on,
    period.window_from,
    period.window_to,
    firsts.first_cost_on <= period.window_from as is_whole_year,
    sum(parts.cost_eur) as cost_eur
from parts
cross join period
inner join firsts
    on
        parts.land_code = firsts.land_code
        and parts.service_id is not distinct from firsts.service_id
group by
    parts.land_code, parts.service_id, parts.payer, firsts.first_cost_on, period.window_from, period.window_to
