-- Sees every usage row, so it is a table, and it keeps to the SQL that DuckDB and Spark share.
{{ config(materialized='table') }}

with newest as (
    {{
        newest_revisions(
            source('inputs', 'usage'),
            ['authority_id', 'service_id', 'period', 'grain', 'channel', 'account', 'is_test'],
            retractable=true
        )
    }}
)

select
    authority_id,
    cast(service_id as string) as service_id,
    period,
    cast(grain as string) as grain,
    cast(channel as string) as channel,
    cast(account as string) as account,
    started,
    submitted,
    completed,
    is_test,
    land_code,
    source,
    delivery_id
from newest
