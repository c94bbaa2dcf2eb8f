select
    land_code,
    source,
    table_name,
    format,
    delivers,
    is_required,
    max_age_days,
    licence,
    status,
    last_delivery_id,
    last_delivered_at,
    last_attempt_at,
    message_de,
    message_en
from {{ ref('stg_source') }}
