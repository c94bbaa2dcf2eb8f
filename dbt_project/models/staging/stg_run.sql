select
    run_id,
    as_of,
    now_at,
    code_version,
    is_synthetic
from {{ source('inputs', 'run') }}
