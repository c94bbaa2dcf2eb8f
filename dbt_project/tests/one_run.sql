-- Everything hangs on one as_of: the inputs describe exactly one run.
select count(*) as runs
from {{ ref('stg_run') }}
having count(*) <> 1
