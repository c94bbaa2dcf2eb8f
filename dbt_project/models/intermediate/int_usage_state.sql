-- What the usage tables of a month are made of, as one word for each tier: where it is what it was, so is every row of that month
-- (macros/months.sql keeps them by it). The code is part of it, and so is the day of the run as long as the month moves with it.
{% set of_rows = "md5(concat_ws(' ', count(*), bit_xor(hash(counted)), sum(cast(hash(counted) as hugeint))))" -%}
with rules as (
    select max(value) as settling_days
    from {{ ref('disclosure_rule') }}
    where rule_id = 'settling_days'
),

part as (
    select
        month,
        md5(string_agg(parse_filename(path), ' ' order by path)) as digest
    from {{ source('inputs', 'part') }}
    where model = 'int_usage_month'
    group by month
),

live as (
    select
        counted.month,
        {{ of_rows }} as digest
    from {{ ref('int_authority_live_month') }} as counted
    group by counted.month
),

reported_live as (
    select
        counted.month,
        {{ of_rows }} as digest
    from {{ ref('int_live_month') }} as counted
    group by counted.month
),

months as (
    select month from part
    union
    select month from live
    union
    select month from reported_live
),

mapping as (
    select
        months.month,
        {{ of_rows }} as digest
    from months
    inner join {{ ref('int_authority_mapping') }} as counted on {{ holds_on('counted', 'months.month') }}
    group by months.month
),

known as (
    select
        counted.month,
        {{ of_rows }} as digest
    from {{ source('inputs', 'public_usage') }} as counted
    group by counted.month
),

states as (
    select
        months.month,
        concat_ws(
            ' ',
            run.code_version,
            version(),
            least(run.as_of, last_day(months.month) + cast(rules.settling_days as integer)),
            coalesce(part.digest, '-'),
            coalesce(live.digest, '-'),
            coalesce(reported_live.digest, '-'),
            coalesce(mapping.digest, '-')
        ) as made_of,
        coalesce(known.digest, '-') as known
    from months
    cross join {{ ref('stg_run') }} as run
    cross join rules
    left join part on months.month = part.month
    left join live on months.month = live.month
    left join reported_live on months.month = reported_live.month
    left join mapping on months.month = mapping.month
    left join known on months.month = known.month
)

select
    month,
    left(sha256(made_of), 24) as exact,
    left(sha256(made_of || ' ' || known), 24) as public
from states
