-- Our own classes follow from what the Länder report; the catalogue's are those of its entries under verified keys on as_of. An
-- entry made for the Land or the Bund reaches a Kreis without anybody there having done anything: it is inherited, as is one that
-- the catalogue shows for the Kreis but that reaches further.
with kreise as (
    select coverage.*
    from {{ ref('coverage_by_kreis') }} as coverage
    inner join {{ ref('int_programme_service') }} as programme
        on
            coverage.land_code = programme.land_code
            and coverage.service_id = programme.service_id
            and coverage.as_of = programme.as_of
),

laender as (
    select
        coverage.land_code,
        coverage.service_id,
        coverage.is_area_wide,
        count(*) filter (where coverage.is_area_wide) over (partition by coverage.service_id)
        = (select count(*) from {{ ref('german_land') }}) as is_area_wide_in_all
    from {{ ref('coverage_daily') }} as coverage
    inner join {{ ref('int_programme_service') }} as programme
        on
            coverage.land_code = programme.land_code
            and coverage.service_id = programme.service_id
            and coverage.as_of = programme.as_of
),

verified_keys as (
    select
        keys.service_id,
        keys.leika_key
    from {{ ref('service_leika_key') }} as keys
    cross join {{ ref('stg_run') }} as run
    where keys.is_verified and {{ holds_on('keys', 'run.as_of') }}
),

-- the digits of an ARS that name its area
entries as (
    select
        listings.land_code,
        listings.service_id,
        listings.coverage_class,
        listings.is_inherited,
        classes.class_order,
        case
            when listings.ars like '%0000000000' then left(listings.ars, 2)
            else left(listings.ars, 5)
        end as area_key
    from {{ ref('fct_listing') }} as listings
    inner join verified_keys
        on
            listings.service_id = verified_keys.service_id
            and listings.leika_key = verified_keys.leika_key
    cross join {{ ref('stg_run') }} as run
    left join {{ ref('coverage_class') }} as classes on listings.coverage_class = classes.coverage_class
    where
        listings.evidence in ('listed', 'reachable')
        and listings.first_observed_on <= run.as_of
        and coalesce(listings.retired_on > run.as_of, true)
),

catalogue as (
    select
        kreise.land_code,
        kreise.service_id,
        kreise.kreis_code,
        count(*) as entries_count,
        count(entries.class_order) as classes_count,
        count(*) filter (where entries.area_key = kreise.kreis_code and not entries.is_inherited) as local_entries_count,
        max(entries.class_order) filter (where entries.area_key = kreise.kreis_code and not entries.is_inherited)
            as local_order,
        max(entries.class_order) filter (where entries.area_key <> kreise.kreis_code or entries.is_inherited)
            as inherited_order
    from kreise
    inner join entries
        on
            kreise.service_id = entries.service_id
            and entries.area_key in ('00', kreise.land_code, kreise.kreis_code)
    group by kreise.land_code, kreise.service_id, kreise.kreis_code
),

compared as (
    select
        kreise.land_code,
        kreise.service_id,
        kreise.kreis_code,
        kreise.kreis_name,
        kreise.as_of,
        coalesce(programme.verifiable_from <= programme.as_of, false) as is_comparable,
        coalesce(catalogue.entries_count, 0) as entries_count,
        catalogue.local_order,
        catalogue.inherited_order,
        greatest(catalogue.local_order, catalogue.inherited_order) as catalogue_order,
        coalesce(catalogue.classes_count = 0, false) as is_class_unknown,
        catalogue.local_order is null and coalesce(catalogue.local_entries_count > 0, false) as is_local_class_unknown,
        case
            when kreise.authorities_competent = 0 then 0
            when laender.is_area_wide_in_all then 4
            when laender.is_area_wide then 3
            when kreise.is_area_wide then 2
            when kreise.municipalities_operational > 0 then 1
        end as own_order
    from kreise
    inner join laender
        on
            kreise.land_code = laender.land_code
            and kreise.service_id = laender.service_id
    inner join {{ ref('int_programme_service') }} as programme
        on
            kreise.land_code = programme.land_code
            and kreise.service_id = programme.service_id
    left join catalogue
        on
            kreise.land_code = catalogue.land_code
            and kreise.service_id = catalogue.service_id
            and kreise.kreis_code = catalogue.kreis_code
)

select
    compared.land_code,
    compared.service_id,
    compared.kreis_code,
    compared.kreis_name,
    compared.as_of,
    own.coverage_class as own_coverage_class,
    catalogue_class.coverage_class as catalogue_coverage_class,
    local_class.coverage_class as catalogue_local_coverage_class,
    inherited_class.coverage_class as catalogue_inherited_coverage_class,
    case when compared.is_comparable then compared.entries_count end as catalogue_entries_count,
    case
        when compared.is_comparable
            then (compared.own_order is not distinct from compared.catalogue_order) and not compared.is_class_unknown
    end as is_equal,
    case
        when compared.is_comparable
            then (compared.own_order is not distinct from compared.local_order) and not compared.is_local_class_unknown
    end as is_local_equal,
    case
        when not compared.is_comparable then 'not_comparable'
        when compared.is_class_unknown then 'class_unknown'
        when (compared.own_order is not distinct from compared.catalogue_order) then null
        when compared.entries_count = 0 then 'not_in_catalogue'
        when compared.catalogue_order = 0 then 'not_considered_there'
        when compared.catalogue_order < compared.own_order then 'catalogue_narrower'
        when compared.local_order > coalesce(compared.own_order, 0) then 'catalogue_wider'
        else 'inherited'
    end as difference_reason
from compared
left join {{ ref('coverage_class') }} as own on compared.own_order = own.class_order
left join {{ ref('coverage_class') }} as catalogue_class
    on
        compared.is_comparable
        and compared.catalogue_order = catalogue_class.class_order
left join {{ ref('coverage_class') }} as local_class
    on
        compared.is_comparable
        and compared.local_order = local_class.class_order
left join {{ ref('coverage_class') }} as inherited_class
    on
        compared.is_comparable
        and compared.inherited_order = inherited_class.class_order
