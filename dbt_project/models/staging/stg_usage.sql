-- Sees every usage row: a view, so that a month of a Land is read by itself. Keeps to the SQL that DuckDB and Spark share.
with newest as (
    {{
        newest_revisions(
            source('inputs', 'usage'),
            ['authority_id', 'service_id', 'period', 'grain', 'channel', 'account', 'is_test'],
            retractable=true,
            once=is_single_part('land_code', 'period'),
            within=in_asked_part('land_code', 'period')
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
