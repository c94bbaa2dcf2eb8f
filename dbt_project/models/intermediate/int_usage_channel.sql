-- Usage by channel, under the keys of the day. A source may deliver the whole of a channel (account NULL), its accounts, or both:
-- the whole counts; the accounts add up only where it is not delivered, and one account without a number leaves the sum unknown.
select
    land_code,
    authority_id,
    service_id,
    month,
    channel,
    {% for measure in ['started', 'submitted', 'completed'] -%}
    cast(
        coalesce(
            max({{ measure }}) filter (where account is null),
            case
                when bool_and({{ measure }} is not null) filter (where account is not null)
                    then sum({{ measure }}) filter (where account is not null)
            end
        ) as bigint
    ) as {{ measure }},
    {% endfor -%}
    coalesce(max(days_reported) filter (where account is null), min(days_reported)) as days_reported,
    max(live_days) as live_days,
    case
        when bool_or(account is null and reporting_status = 'reported') then 'reported'
        when bool_and(reporting_status = 'missing') then 'missing'
        when bool_or(reporting_status = 'partial') then 'partial'
        else 'reported'
    end as reporting_status
from {{ ref('fct_usage_monthly') }}
group by land_code, authority_id, service_id, month, channel
