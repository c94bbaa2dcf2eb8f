-- Every count of the public tier is the exact one or none, and no small count is shown unless the release before showed it
-- already.
with doubtful as (
    select
        shown.land_code,
        shown.authority_id,
        shown.service_id,
        shown.month,
        shown.channel,
        shown.submitted,
        cells.submitted as exact_submitted
    from {{ ref('public_fct_usage_monthly') }} as shown
    left join {{ ref('int_public_cell') }} as cells
        on
            shown.land_code = cells.land_code
            and shown.authority_id = cells.authority_id
            and shown.service_id = cells.service_id
            and shown.month = cells.month
            and shown.channel = cells.channel
    where
        shown.submitted is not null
        and (
            cells.submitted is distinct from shown.submitted
            or (cells.submitted <= cells.small_count_max and not cells.is_structural_zero)
        )
)

select
    doubtful.land_code,
    doubtful.authority_id,
    doubtful.service_id,
    doubtful.month,
    doubtful.channel
from doubtful
left join {{ source('inputs', 'public_usage') }} as known
    on
        doubtful.land_code = known.land_code
        and doubtful.authority_id = known.authority_id
        and doubtful.service_id = known.service_id
        and doubtful.month = known.month
        and doubtful.channel = known.channel
where
    doubtful.exact_submitted is distinct from doubtful.submitted
    or known.submitted is distinct from doubtful.submitted
