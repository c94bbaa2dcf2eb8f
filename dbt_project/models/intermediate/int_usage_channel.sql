-- Usage by channel, under the keys of the day. A source may deliver the whole of a channel (account NULL), its accounts, or both:
-- the whole counts; the accounts add up only where it is not delivered, and one account without a number leaves the sum unknown.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='exact') }}

with whole as (
    select *
    from {{ ref('fct_usage_monthly') }}
    where account is null and {{ in_month('month') }}
),

accounts as (
    select
        land_code,
        authority_id,
        service_id,
        month,
        channel,
        {% for measure in ['started', 'submitted', 'completed'] -%}
        case when count({{ measure }}) = count(*) then sum({{ measure }}) end as {{ measure }},
        {% endfor -%}
        min(days_reported) as days_reported,
        max(live_days) as live_days,
        bool_and(reporting_status = 'missing') as is_missing,
        bool_or(reporting_status = 'partial') as is_partial
    from {{ ref('fct_usage_monthly') }}
    where account is not null and {{ in_month('month') }}
    group by land_code, authority_id, service_id, month, channel
)

select
    coalesce(whole.land_code, accounts.land_code) as land_code,
    coalesce(whole.authority_id, accounts.authority_id) as authority_id,
    coalesce(whole.service_id, accounts.service_id) as service_id,
    coalesce(whole.month, accounts.month) as month,
    coalesce(whole.channel, accounts.channel) as channel,
    {% for measure in ['started', 'submitted', 'completed'] -%}
    cast(coalesce(whole.{{ measure }}, accounts.{{ measure }}) as bigint) as {{ measure }},
    {% endfor -%}
    coalesce(whole.days_reported, accounts.days_reported) as days_reported,
    greatest(whole.live_days, accounts.live_days) as live_days,
    case
        when whole.reporting_status = 'reported' then 'reported'
        when coalesce(whole.reporting_status = 'missing', true) and coalesce(accounts.is_missing, true) then 'missing'
        when whole.reporting_status = 'partial' or accounts.is_partial then 'partial'
        else 'reported'
    end as reporting_status
from whole
full join accounts
    on
        whole.land_code = accounts.land_code
        and whole.authority_id = accounts.authority_id
        and whole.service_id = accounts.service_id
        and whole.month = accounts.month
        and whole.channel = accounts.channel
