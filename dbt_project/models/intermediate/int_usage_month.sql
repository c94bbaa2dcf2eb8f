-- Sees every usage row, a month of a Land at a time, and only where deliveries have changed it (macros/parts.sql): keeps to the
-- SQL that DuckDB and Spark share. A row without any count reports nothing; test traffic is out. Of the days only whether is
-- kept: bit 0 of a mask is the first of the month (a monthly count is known by that day).
{{ config(materialized='parts', tags=['heavy']) }}

select
    land_code,
    authority_id,
    service_id,
    cast(date_trunc('month', period) as date) as month,
    channel,
    account,
    grain,
    cast(sum(started) as bigint) as started,
    cast(sum(submitted) as bigint) as submitted,
    cast(sum(completed) as bigint) as completed,
    count(*) as row_count,
    cast(sum(case when submitted is not null then power(2, day(period) - 1) else 0 end) as bigint) as days_known_mask,
    cast(sum(case when submitted > 0 then power(2, day(period) - 1) else 0 end) as bigint) as days_used_mask
from {{ ref('stg_usage') }}
where
    not is_test
    and coalesce(submitted, completed, started) is not null
    and {{ in_part('land_code', 'period') }}
group by land_code, authority_id, service_id, cast(date_trunc('month', period) as date), channel, account, grain
