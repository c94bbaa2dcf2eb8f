select
    service_id,
    name_de,
    name_en,
    authority_kind,
    ozg_ids,
    is_focus
from {{ source('inputs', 'service') }}
