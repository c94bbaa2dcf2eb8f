{#- The Kreise of the reported status for which anybody is competent, with their inhabitants. -#}
{% macro kreise_with_competence() -%}
    select
        land_code,
        kreis_code,
        any_value(kreis_name) as kreis_name,
        cast(sum(population) as bigint) as population
    from {{ ref('dim_region') }}
    where
        is_reported
        and kreis_code in (
            select regions.kreis_code
            from {{ ref('int_reported_competence') }} as competences
            inner join {{ ref('dim_region') }} as regions
                on
                    competences.ags = regions.ags
                    and regions.is_reported
        )
    group by land_code, kreis_code
{%- endmacro %}

{#- The authorities of the reported status whose jurisdiction for a service lies within one Kreis, and that Kreis. -#}
{% macro authorities_of_one_kreis() -%}
    select
        competences.authority_id,
        competences.service_id,
        any_value(regions.kreis_code) as kreis_code
    from {{ ref('int_reported_competence') }} as competences
    inner join {{ ref('dim_region') }} as regions
        on
            competences.ags = regions.ags
            and regions.is_reported
    group by competences.authority_id, competences.service_id
    having count(distinct regions.kreis_code) = 1
{%- endmacro %}
