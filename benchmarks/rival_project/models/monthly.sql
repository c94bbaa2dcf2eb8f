-- Monthly facts; where a month and its days arrive, the month wins.
with months as (
    select
        counts.land_code,
        counts.authority_id,
        counts.service_id,
        cast(date_trunc('month', counts.period) as date) as month,
        counts.channel,
        counts.account,
        counts.grain,
        cast(sum(counts.submitted) as bigint) as submitted,
        cast(
            case
                when counts.grain = 'month'
                    then
                        least(
                            cast(date_trunc('month', min(counts.period)) + interval '1' month as date) - 1, max(run.as_of)
                        ) - cast(date_trunc('month', min(counts.period)) as date) + 1
                else count(*)
            end as bigint
        ) as days_reported
    from {{ ref('usage_newest') }} as counts
    cross join {{ source('raw', 'run') }} as run
    where
        not counts.is_test
        and counts.period <= run.as_of
        and coalesce(counts.submitted, counts.completed, counts.started) is not null
    group by
        counts.land_code, counts.authority_id, counts.service_id, cast(date_trunc('month', counts.period) as date),
        counts.channel, counts.account, counts.grain
)

select
    land_code,
    authority_id,
    service_id,
    month,
    channel,
    account,
    submitted,
    days_reported
from (
    select
        months.*,
        row_number() over (
            partition by land_code, authority_id, service_id, month, channel, account
            order by case when grain = 'month' then 0 else 1 end
        ) as choice
    from months
) as chosen
where choice = 1
