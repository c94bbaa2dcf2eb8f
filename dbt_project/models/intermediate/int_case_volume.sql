{{ config(materialized='view') }}
-- One number of cases per authority of the reported status × service: those of the latest year delivered, of all authorities
-- that it continues. Cases of a year belong to the authority of its last day.
with cases_by_year as (
    select
        coalesce(mapping.reported_authority_id, volumes.authority_id) as authority_id,
        volumes.service_id,
        volumes.year,
        sum({{ shared_part('volumes.cases', 'mapping', 0) }}) as cases
    from {{ ref('stg_case_volumes') }} as volumes
    left join {{ ref('int_authority_mapping') }} as mapping
        on
            volumes.authority_id = mapping.authority_id
            and {{ holds_on('mapping', 'make_date(volumes.year, 12, 31)') }}
    group by all
)

select
    authority_id,
    service_id,
    cast(max_by(cases, year) as bigint) as cases
from cases_by_year
group by authority_id, service_id
