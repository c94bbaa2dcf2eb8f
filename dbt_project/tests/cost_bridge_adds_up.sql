-- Every entry of the ledger is in exactly one cell: by status, entries and euros are the ledger's, to the cent.
with ledger as (
    select
        entry_status,
        count(*) as entries,
        sum(amount_eur) as amount_eur,
        sum(gross_eur) as gross_eur
    from {{ ref('fct_cost') }}
    group by entry_status
),

bridge as (
    select
        entry_status,
        sum(entries_count) as entries,
        sum(amount_eur) as amount_eur,
        sum(gross_eur) as gross_eur
    from {{ ref('cost_bridge') }}
    group by entry_status
)

select
    coalesce(ledger.entry_status, bridge.entry_status) as entry_status,
    ledger.gross_eur as ledger_eur,
    bridge.gross_eur as bridge_eur
from ledger
full outer join bridge on ledger.entry_status = bridge.entry_status
where
    ledger.entries is distinct from bridge.entries
    or ledger.amount_eur is distinct from bridge.amount_eur
    or ledger.gross_eur is distinct from bridge.gross_eur
