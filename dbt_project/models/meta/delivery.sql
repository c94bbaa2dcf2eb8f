-- What became of every row of every delivery: rows_delivered = rows_current + rows_superseded + rows_quarantined where admitted.
{% set tables = ['territory_changes', 'connections', 'case_volumes', 'costs', 'page_visits'] -%}
{% set directory_tables = ['regions', 'authorities', 'competences'] -%}
with current_rows as (
    {% for table in tables -%}
    select
        '{{ table }}' as table_name,
        land_code,
        source,
        delivery_id,
        count(*) as row_count
    from {{ ref('stg_' ~ table) }}
    group by land_code, source, delivery_id

    union all

    {% endfor -%}
    select
        'usage' as table_name,
        land_code,
        source,
        delivery_id,
        cast(sum(row_count) as bigint) as row_count
    from {{ ref('int_usage_delivery') }}
    group by land_code, source, delivery_id

    union all

    -- territory and competence are worked out from a whole delivery: where one is in use, so is every row of it
    {% for table in directory_tables -%}
    select distinct
        '{{ table }}' as table_name,
        land_code,
        source,
        delivery_id,
        null as row_count
    from {{ ref('stg_' ~ table) }}

    union all

    {% endfor -%}
    -- a listing that its source's newest snapshot no longer shows is retired
    select
        'listings' as table_name,
        land_code,
        source,
        delivery_id,
        count(*) as row_count
    from {{ ref('fct_listing') }}
    where retired_on is null
    group by land_code, source, delivery_id
),

-- the rows of a federal delivery belong to their own Länder
found as (
    select
        deliveries.land_code,
        deliveries.source,
        deliveries.delivery_id,
        count(*) as parts,
        sum(current_rows.row_count) as row_count
    from {{ ref('stg_delivery') }} as deliveries
    inner join current_rows
        on
            deliveries.table_name = current_rows.table_name
            and deliveries.source = current_rows.source
            and deliveries.delivery_id = current_rows.delivery_id
            and deliveries.land_code in (current_rows.land_code, '00')
    group by deliveries.land_code, deliveries.source, deliveries.delivery_id
),

counted as (
    select
        deliveries.*,
        cast(
            case
                when found.parts is null then 0
                else coalesce(found.row_count, deliveries.rows_clean)
            end as bigint
        ) as rows_current
    from {{ ref('stg_delivery') }} as deliveries
    left join found
        on
            deliveries.land_code = found.land_code
            and deliveries.source = found.source
            and deliveries.delivery_id = found.delivery_id
)

select
    land_code,
    source,
    table_name,
    delivery_id,
    delivered_at,
    is_admitted,
    is_in_force,
    rows_delivered,
    rows_clean,
    rows_quarantined,
    case when is_admitted then rows_clean - rows_current else 0 end as rows_superseded,
    rows_current,
    refusal_de,
    refusal_en,
    withdrawn_at,
    withdrawal_reason
from counted
