-- The rows that are read are the rows that cleaning wrote: every admitted delivery is there whole, or not at all where a newer
-- snapshot, or a newer delivery under the same id, has replaced it, and no row comes from a delivery that was not admitted.
-- Territory and competence are left out: they are worked out from their deliveries and have rows of their own.
{% set tables = ['connections', 'usage', 'case_volumes', 'costs', 'listings', 'page_visits'] -%}
with found as (
    {% for table in tables -%}
    select
        '{{ table }}' as table_name,
        source,
        delivery_id,
        count(*) as row_count
    from {{ source('inputs', table) }}
    group by source, delivery_id
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

said as (
    select
        deliveries.table_name,
        deliveries.source,
        deliveries.delivery_id,
        sum(deliveries.rows_clean) as rows_clean,
        bool_and(
            (deliveries.table_name = 'listings' or coalesce(sources.delivers = 'changes', false)) and deliveries.is_in_force
        ) as is_never_replaced
    from {{ ref('stg_delivery') }} as deliveries
    left join {{ ref('stg_source') }} as sources
        on
            deliveries.land_code = sources.land_code
            and deliveries.source = sources.source
    where
        deliveries.is_admitted
        and deliveries.table_name in ('{{ tables | join("', '") }}')
        and deliveries.rows_clean > 0
    group by deliveries.table_name, deliveries.source, deliveries.delivery_id
)

select
    coalesce(found.table_name, said.table_name) as table_name,
    coalesce(found.source, said.source) as source,
    coalesce(found.delivery_id, said.delivery_id) as delivery_id,
    found.row_count,
    said.rows_clean
from found
full outer join said
    on
        found.table_name = said.table_name
        and found.source = said.source
        and found.delivery_id = said.delivery_id
where
    case
        when found.row_count is null then said.is_never_replaced
        else found.row_count is distinct from said.rows_clean
    end
