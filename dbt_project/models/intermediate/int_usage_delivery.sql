-- Sees every usage row, part by part as int_usage_month does.
{{ config(materialized='parts', tags=['heavy']) }}

select
    land_code,
    cast(date_trunc('month', period) as date) as month,
    source,
    delivery_id,
    count(*) as row_count
from {{ ref('stg_usage') }}
where {{ in_part('land_code', 'period') }}
group by land_code, cast(date_trunc('month', period) as date), source, delivery_id
