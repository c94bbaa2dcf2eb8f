-- depends_on: {{ ref('int_usage_state') }}
{{ config(alias='fct_usage_monthly', materialized='months', state='public') }}
select
    cells.land_code,
    cells.authority_id,
    cells.service_id,
    cells.month,
    cells.channel,
    case when not masked.is_suppressed then cells.submitted end as submitted,
    coalesce(masked.is_suppressed, false) as is_suppressed,
    masked.suppression_pool,
    cells.reporting_status
from {{ ref('int_public_cell') }} as cells
left join {{ ref('int_public_usage') }} as masked
    on
        cells.land_code = masked.land_code
        and cells.authority_id = masked.authority_id
        and cells.service_id = masked.service_id
        and cells.month = masked.month
        and cells.channel = masked.channel
where {{ in_month('cells.month') }}
