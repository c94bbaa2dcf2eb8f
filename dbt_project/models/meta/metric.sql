select
    metric_id,
    table_name,
    column_name,
    name_de,
    name_en,
    definition_en,
    formula,
    unit,
    grain,
    caveats,
    source,
    version
from {{ ref('metric_catalogue') }}
