with leika_keys as (
    select
        keys.service_id,
        string_agg(keys.leika_key, ' ' order by keys.leika_key) as leika_keys,
        string_agg(keys.leika_key, ' ' order by keys.leika_key) filter (where keys.is_verified) as verified_leika_keys
    from {{ ref('service_leika_key') }} as keys
    cross join {{ ref('stg_run') }} as run
    where {{ holds_on('keys', 'run.as_of') }}
    group by keys.service_id
)

select
    services.service_id,
    services.name_de,
    services.name_en,
    services.authority_kind,
    services.ozg_ids,
    leika_keys.leika_keys,
    leika_keys.verified_leika_keys,
    services.is_focus
from {{ ref('stg_service') }} as services
left join leika_keys on services.service_id = leika_keys.service_id
