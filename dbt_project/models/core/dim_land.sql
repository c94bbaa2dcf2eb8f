with inhabitants as (
    select
        regions.land_code,
        cast(sum(regions.population) as bigint) as population,
        cast(count(*) filter (where regions.is_municipality) as bigint) as municipalities
    from {{ ref('dim_region') }} as regions
    where regions.is_current
    group by regions.land_code
)

select
    german_land.land_code,
    coalesce(lands.name, german_land.name) as name,
    lands.programme_start is not null as is_participating,
    lands.programme_start,
    lands.target_on,
    lands.target_share,
    inhabitants.population,
    inhabitants.municipalities
from {{ ref('german_land') }} as german_land
left join {{ ref('stg_land') }} as lands on german_land.land_code = lands.land_code
left join inhabitants on german_land.land_code = inhabitants.land_code
