-- What the disclosure rule takes for the cells of a total is what the total adds up, or it would protect something else.
with cells as (
    select
        land_code,
        service_id,
        month,
        bool_or(is_total_divided) as is_divided,
        sum(submitted) filter (where channel = 'online') as online,
        sum(submitted) filter (where channel = 'assisted') as assisted,
        sum(submitted) filter (where channel = 'offline') as offline,
        sum(submitted) filter (where channel = 'online' and is_paired) as paired_online,
        sum(submitted) filter (where is_paired) as paired_total,
        bool_or(is_pairing_divided) as is_pairing_divided
    from {{ ref('int_public_cell') }}
    where is_in_total
    group by land_code, service_id, month
)

select
    cells.*,
    adoption.submitted_online_count,
    adoption.submitted_assisted_count,
    adoption.submitted_offline_count,
    adoption.paired_online_count,
    adoption.paired_total_count
from cells
inner join {{ ref('adoption_monthly') }} as adoption
    on
        cells.land_code = adoption.land_code
        and cells.service_id = adoption.service_id
        and cells.month = adoption.month
where
    not cells.is_divided
    and (
        cells.online is distinct from adoption.submitted_online_count
        or cells.assisted is distinct from adoption.submitted_assisted_count
        or cells.offline is distinct from adoption.submitted_offline_count
        or (not cells.is_pairing_divided and cells.paired_online is distinct from adoption.paired_online_count)
        or (not cells.is_pairing_divided and cells.paired_total is distinct from adoption.paired_total_count)
    )
