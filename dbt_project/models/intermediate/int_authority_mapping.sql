-- Which authorities of the reported status a fact of a day counts for. The periods cover all days: a fact from before or after an
-- authority's time counts as in the period next to it. Amounts and counts are shared by running shares: a part is
-- round(amount × share_to) - round(amount × share_from), so that the parts add up to the amount, to the cent and the unit.
with periods as (
    select
        authority_id,
        valid_from as begins_on,
        row_number() over authority = 1 as is_first,
        lead(valid_from) over authority as valid_to
    from (
        select distinct
            authority_id,
            valid_from
        from {{ ref('bridge_authority_successor') }}
    ) as begun
    window authority as (partition by authority_id order by valid_from)
)

select
    successors.authority_id,
    case when periods.is_first then date '1900-01-01' else periods.begins_on end as valid_from,
    periods.valid_to,
    successors.reported_authority_id,
    coalesce(sum(successors.population_share) over before, 0) as share_from,
    -- the last share ends at 1 exactly, whatever the sum of the fractions
    case
        when lead(successors.reported_authority_id) over shares is null then 1
        else coalesce(sum(successors.population_share) over before, 0) + successors.population_share
    end as share_to,
    row_number() over shares = 1 as is_main
from {{ ref('bridge_authority_successor') }} as successors
inner join periods
    on
        successors.authority_id = periods.authority_id
        and successors.valid_from = periods.begins_on
window
    shares as (
        partition by successors.authority_id, successors.valid_from
        order by successors.population_share desc, successors.reported_authority_id asc
    ),
    before as (
        partition by successors.authority_id, successors.valid_from
        order by successors.population_share desc, successors.reported_authority_id asc
        rows between unbounded preceding and 1 preceding
    )
