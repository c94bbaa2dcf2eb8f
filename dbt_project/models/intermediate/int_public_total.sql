-- Which of a Land's totals of a month the mask lets show: nothing may follow from one, nor from a succession that divides it.
-- depends_on: {{ ref('int_usage_state') }}
{{ config(materialized='months', state='public') }}

with judged as (
    select
        masked.land_code,
        masked.service_id,
        masked.month,
        masked.channel,
        bool_and(masked.is_total_shown and not cells.is_total_divided) as is_total_shown,
        bool_and(masked.is_pairing_shown and not cells.is_pairing_divided and not cells.is_total_divided) as is_pairing_shown
    from {{ ref('int_public_usage') }} as masked
    inner join {{ ref('int_public_cell') }} as cells
        on
            masked.land_code = cells.land_code
            and masked.authority_id = cells.authority_id
            and masked.service_id = cells.service_id
            and masked.month = cells.month
            and masked.channel = cells.channel
    where {{ in_month('masked.month') }} and {{ in_month('cells.month') }}
    group by masked.land_code, masked.service_id, masked.month, masked.channel
)

select
    land_code,
    service_id,
    month,
    bool_and(is_total_shown or channel <> 'online') as is_online_shown,
    bool_and(is_total_shown or channel <> 'assisted') as is_assisted_shown,
    bool_and(is_total_shown or channel <> 'offline') as is_offline_shown,
    bool_and(is_total_shown) as is_total_shown,
    bool_and(is_pairing_shown) as is_pairing_shown
from judged
group by land_code, service_id, month
