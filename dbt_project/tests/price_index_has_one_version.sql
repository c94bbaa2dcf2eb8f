-- Amounts of one release are deflated by one index.
select count(distinct index_version) as versions
from {{ ref('price_index') }}
having count(distinct index_version) <> 1
