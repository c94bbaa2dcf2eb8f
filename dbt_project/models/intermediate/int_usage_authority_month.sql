-- Usage of the authorities of the reported status, with the counts of all that they continue, whether live or not.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

{% set counts = ['submitted_online', 'submitted_assisted', 'submitted_offline', 'started_online', 'completed_online'] -%}
with counts_of_the_day as (
    select
        authority_id,
        service_id,
        month,
        sum(submitted) filter (where channel = 'online') as submitted_online,
        sum(submitted) filter (where channel = 'assisted') as submitted_assisted,
        sum(submitted) filter (where channel in ('counter', 'post', 'other')) as submitted_offline,
        sum(started) filter (where channel = 'online') as started_online,
        sum(completed) filter (where channel = 'online') as completed_online,
        max(live_days) filter (where channel = 'online') as live_days,
        -- a month of which more is reported than it was live is wholly reported
        max(case when submitted is null then 0 else least(days_reported, live_days) end) filter (where channel = 'online')
            as live_days_reported,
        bool_and(submitted is not null and reporting_status = 'reported') filter (where channel = 'online') as is_online_complete
    from {{ ref('int_usage_channel') }}
    where {{ in_month('month') }}
    group by authority_id, service_id, month
)

select
    coalesce(mapping.reported_authority_id, counts.authority_id) as authority_id,
    counts.service_id,
    counts.month,
    {% for count in counts -%}
    sum({{ shared_part('counts.' ~ count, 'mapping', 0) }}) as {{ count }},
    {% endfor -%}
    -- begun and completed compare only where every authority that counts for this one delivers both
    coalesce(bool_and(counts.started_online is not null and counts.completed_online is not null), false) as is_completion_paired,
    coalesce(sum(counts.live_days_reported) / nullif(sum(counts.live_days), 0), 0) as online_reported_share,
    coalesce(bool_and(counts.is_online_complete), false) as is_online_complete
from counts_of_the_day as counts
left join {{ ref('int_authority_mapping') }} as mapping
    on
        counts.authority_id = mapping.authority_id
        and {{ holds_on('mapping', 'counts.month') }}
group by coalesce(mapping.reported_authority_id, counts.authority_id), counts.service_id, counts.month
