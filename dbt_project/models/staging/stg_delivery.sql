select
    land_code,
    source,
    table_name,
    delivery_id,
    delivered_at,
    rows_delivered,
    rows_clean,
    rows_quarantined,
    is_admitted,
    is_in_force,
    refusal_de,
    refusal_en,
    withdrawn_at,
    withdrawal_reason
from {{ source('inputs', 'delivery') }}
