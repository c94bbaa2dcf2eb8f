-- The newest revision of every row of usage.
select
    land_code,
    authority_id,
    service_id,
    period,
    grain,
    channel,
    account,
    started,
    submitted,
    completed,
    is_test
from (
    select
        rows.*,
        row_number() over (
            partition by land_code, authority_id, service_id, period, grain, channel, account, is_test
            order by delivery_id desc, source desc
        ) as revision
    from {{ source('raw', 'usage') }} as rows
) as numbered
where revision = 1 and not is_retracted
