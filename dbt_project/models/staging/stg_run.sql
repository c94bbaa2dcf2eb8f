select
    run_id,
    as_of,
    territory_on,
    now_at,
    code_version,
    is_synthetic
from {{ source('inputs', 'run') }}
