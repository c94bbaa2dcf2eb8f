-- What the public tier may hold of usage at most: one count per authority × service × month × channel, of months whose deliveries
-- are in. Without accounts; counter, post and other are offline; the running month is left out (its nightly differences
-- would be daily counts). Authorities are those of the day: a later merger must not rewrite what was public before it.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

with rules as (
    select
        max(value) filter (where rule_id = 'small_count_max' and service_id is null) as small_count_max,
        max(value) filter (where rule_id = 'settling_days') as settling_days
    from {{ ref('disclosure_rule') }}
),

cells as (
    select
        land_code,
        authority_id,
        service_id,
        month,
        case when channel in ('counter', 'post', 'other') then 'offline' else channel end as channel,
        cast(sum(submitted) as bigint) as submitted,
        max(live_days) > 0 as is_live,
        case
            when bool_and(reporting_status = 'missing') then 'missing'
            when bool_or(reporting_status = 'partial') then 'partial'
            else 'reported'
        end as reporting_status
    from {{ ref('int_usage_channel') }}
    where {{ in_month('month') }}
    group by all
),

-- which live authorities of the reported status a count enters the totals with (adoption_monthly)
parts as (
    select
        units.authority_id,
        units.service_id,
        units.month,
        live.authority_id is not null as is_part_live,
        coalesce(counts.submitted_online is not null and counts.submitted_offline is not null, false) as is_part_paired
    from (
        select distinct
            authority_id,
            service_id,
            month
        from cells
    ) as units
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            units.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'units.month') }}
    left join {{ ref('int_live_month') }} as live
        on
            coalesce(mapping.reported_authority_id, units.authority_id) = live.authority_id
            and units.service_id = live.service_id
            and units.month = live.month
            and {{ in_month('live.month') }}
    left join {{ ref('int_usage_authority_month') }} as counts
        on
            coalesce(mapping.reported_authority_id, units.authority_id) = counts.authority_id
            and units.service_id = counts.service_id
            and units.month = counts.month
            and {{ in_month('counts.month') }}
),

places as (
    select
        authority_id,
        service_id,
        month,
        bool_or(is_part_live) as is_in_total,
        bool_and(is_part_live) as is_wholly_in_total,
        bool_or(is_part_live and is_part_paired) as is_paired,
        bool_and(is_part_live and is_part_paired) as is_wholly_paired
    from parts
    group by authority_id, service_id, month
)

select
    cells.land_code,
    cells.authority_id,
    cells.service_id,
    cells.month,
    cells.channel,
    cells.submitted,
    cells.reporting_status,
    places.is_in_total,
    places.is_paired,
    -- an authority whose parts now belong to several: a sum that only some of them enter is no sum of cells
    places.is_in_total <> places.is_wholly_in_total as is_total_divided,
    places.is_paired <> places.is_wholly_paired as is_pairing_divided,
    cells.submitted = 0
    and (
        (not cells.is_live and not places.is_in_total and cells.channel in ('online', 'assisted'))
        or not_offered.rule_id is not null
    ) as is_structural_zero,
    cast(coalesce(own_limit.value, rules.small_count_max) as bigint) as small_count_max
from cells
inner join places
    on
        cells.authority_id = places.authority_id
        and cells.service_id = places.service_id
        and cells.month = places.month
cross join rules
cross join {{ ref('stg_run') }} as run
left join {{ ref('disclosure_rule') }} as own_limit
    on own_limit.rule_id = 'small_count_max' and cells.service_id = own_limit.service_id
left join {{ ref('disclosure_rule') }} as not_offered
    on
        not_offered.rule_id = 'channel_not_offered'
        and cells.service_id = not_offered.service_id
        and cells.channel = not_offered.channel
where run.as_of >= last_day(cells.month) + cast(rules.settling_days as integer)
