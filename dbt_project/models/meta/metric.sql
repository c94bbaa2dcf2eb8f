{% set checksums = computation_checksums() -%}
with computations as (
    select
        unnest({{ checksums | map(attribute=0) | list }}) as table_name,
        unnest({{ checksums | map(attribute=1) | list }}) as computation_md5
)

select
    metrics.metric_id,
    metrics.table_name,
    metrics.column_name,
    metrics.name_de,
    metrics.name_en,
    metrics.definition_de,
    metrics.definition_en,
    metrics.formula,
    metrics.unit,
    metrics.grain,
    metrics.caveats_de,
    metrics.caveats,
    metrics.source,
    metrics.version,
    sha256(
        concat_ws(
            chr(31),
            metrics.table_name, metrics.column_name, metrics.definition_en, metrics.formula, metrics.unit, metrics.grain
        )
    ) as definition_sha256,
    computations.computation_md5
from {{ ref('metric_catalogue') }} as metrics
left join computations on metrics.table_name = computations.table_name
