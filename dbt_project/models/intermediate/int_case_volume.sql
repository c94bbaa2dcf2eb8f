{{ config(materialized='view') }}
-- One number of cases per authority × service: that of the latest year delivered.
select
    authority_id,
    service_id,
    max_by(cases, year) as cases
from {{ ref('stg_case_volumes') }}
group by authority_id, service_id
