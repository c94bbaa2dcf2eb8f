"""Whatever a ledger holds, the cost bridge holds it to the cent, and sharing it among connections neither loses nor makes a euro.

The models' own SQL, as dbt compiles it, runs on random ledgers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dbt_inputs import run_dbt, world, write_inputs

LANDS, SERVICES, AUTHORITIES = ("00", "06", "09"), ("aufenthalt", "ummeldung"), ("a", "b", "c", "gone", "split")
EUR = pl.Decimal(18, 2)
STATED: dict[str, st.SearchStrategy[Any]] = {
    "land_code": st.sampled_from(LANDS),
    "authority_id": st.none() | st.sampled_from(AUTHORITIES),
    "service_id": st.none() | st.sampled_from(SERVICES),
    "wave": st.none() | st.integers(0, 2),
    "call_off": st.none() | st.sampled_from("xy"),
    "category": st.sampled_from(("integration", "training", "hosting")),
    "behaviour": st.sampled_from(("variable", "fixed_land", "fixed_programme")),
    "payer": st.sampled_from(("bund", "land", "kommune")),
    "recurring": st.booleans(),
    "entry_status": st.sampled_from(("planned", "estimate", "invoiced", "reversal")),
    "booked_on": st.dates(date(2025, 11, 1), date(2026, 4, 30)),
    "price_mechanism": st.none() | st.sampled_from(("actual", "fixed_price", "step_price")),
    "deflator_class": st.none() | st.sampled_from(("it_services", "public_pay", "gold")),
}
MONEY = st.decimals(Decimal(-(10**9)), Decimal(10**9), places=2)
ENTRIES = st.lists(
    st.fixed_dictionaries({**STATED, "amount_eur": MONEY, "vat_nonrecoverable_eur": st.none() | MONEY}), max_size=30
)
CONNECTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "land_code": st.sampled_from(LANDS[1:]),
            "authority_id": st.sampled_from(AUTHORITIES),
            "service_id": st.sampled_from(SERVICES),
            "wave": st.none() | st.integers(0, 2),
            "call_off": st.none() | st.sampled_from("xy"),
            "is_begun": st.booleans(),
            "is_completed": st.booleans(),
        }
    ),
    max_size=8,
    unique_by=lambda row: (row["authority_id"], row["service_id"]),
)
LEDGER_TYPES = {
    **dict.fromkeys(
        ("land_code", "authority_id", "service_id", "call_off", "category", "behaviour", "payer", "entry_status"), pl.String
    ),
    "price_mechanism": pl.String,
    "deflator_class": pl.String,
    "wave": pl.Int64,
    "recurring": pl.Boolean,
    "booked_on": pl.Date,
    **dict.fromkeys(("amount_eur", "vat_nonrecoverable_eur", "gross_eur"), EUR),
}
CONNECTION_TYPES = {
    **dict.fromkeys(("land_code", "authority_id", "service_id", "call_off"), pl.String),
    "wave": pl.Int64,
    "is_begun": pl.Boolean,
    "is_completed": pl.Boolean,
}
MAPPING = """
create table warehouse.intermediate.int_authority_mapping as
from (values
    ('a', 'a', 0.0, 1.0, true), ('b', 'b', 0.0, 1.0, true), ('c', 'c', 0.0, 1.0, true), ('gone', 'a', 0.0, 1.0, true),
    ('split', 'b', 0.0, 0.3333333333333333, false), ('split', 'c', 0.3333333333333333, 1.0, true)
) as m(authority_id, reported_authority_id, share_from, share_to, is_main), (values (date '1900-01-01', null::date)) as p(valid_from, valid_to)
"""


@dataclass(frozen=True, repr=False)
class Models:
    """A database with the seeds and a mapping of authorities, and the compiled SQL of the models by name."""

    db: duckdb.DuckDBPyConnection
    sql: dict[str, str]
    folder: Path

    def put(self, table: str, rows: pl.DataFrame) -> None:
        """Replace a table of the database."""
        rows.write_parquet(self.folder / "rows.parquet")
        self.db.execute(f"create or replace table {table} as from '{self.folder / 'rows.parquet'}'")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """Compiled once for all ledgers."""
    folder = tmp_path_factory.mktemp("compiled")
    write_inputs(folder / "inputs", world())
    run_dbt(folder, "seed", "--select", "price_index")
    names = ("cost_bridge", "int_cost_entry", "int_cost_allocation")
    run_dbt(folder, "compile", "--select", *names)
    sql = {
        name: next((folder / "target" / "compiled").rglob(f"models/**/{name}.sql")).read_text(encoding="utf-8") for name in names
    }
    with duckdb.connect() as db:
        db.execute(f"attach '{folder / 'warehouse.duckdb'}' as seeds (read_only)")
        db.execute("attach ':memory:' as warehouse")
        for schema in ("staging", "core", "intermediate"):
            db.execute(f"create schema warehouse.{schema}")
        db.execute("create table warehouse.staging.price_index as from seeds.staging.price_index")
        db.execute(MAPPING)
        yield Models(db, sql, folder)


@given(entries=ENTRIES, connections=CONNECTIONS)
def test_every_ledger_is_held_to_the_cent(
    models: Models, entries: list[dict[str, Any]], connections: list[dict[str, Any]]
) -> None:
    db, sql = models.db, models.sql
    for row in entries:
        row["gross_eur"] = row["amount_eur"] + (row["vat_nonrecoverable_eur"] or 0)
    models.put("warehouse.core.fct_cost", pl.DataFrame(entries, schema=LEDGER_TYPES))
    models.put("warehouse.intermediate.int_connection", pl.DataFrame(connections, schema=CONNECTION_TYPES))

    bridge = db.execute(
        f"select entry_status, payer, service_id, entries_count, amount_eur, vat_nonrecoverable_eur, gross_eur from ({sql['cost_bridge']})"
    ).fetchall()
    held: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0)])
    booked: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0)])
    for *key, count, net, vat, gross in bridge:
        held[tuple(key)] = [old + new for old, new in zip(held[tuple(key)], (count, net, vat, gross), strict=True)]
    for row in entries:
        key = (row["entry_status"], row["payer"], row["service_id"])
        numbers = (1, row["amount_eur"], row["vat_nonrecoverable_eur"] or 0, row["gross_eur"])
        booked[key] = [old + new for old, new in zip(booked[key], numbers, strict=True)]
    assert held == booked
    cells = db.execute(
        f"select count(*), count(distinct (land_code, service_id, wave, category, behaviour, payer, recurring, entry_status, month)) from ({sql['cost_bridge']})"
    ).fetchall()
    assert cells[0][0] == cells[0][1]

    db.execute(f"create or replace table warehouse.intermediate.int_cost_entry as {sql['int_cost_entry']}")
    [(shared, net, count)] = db.execute(
        f"select coalesce(sum(share_eur), 0), coalesce(sum(share_net_eur), 0), count(*) from ({sql['int_cost_allocation']})"
    ).fetchall()
    spent = [row for row in entries if not row["recurring"] and row["entry_status"] in ("invoiced", "reversal")]
    # a share is rounded at the tenth decimal, of amounts of up to 10^9 in doubles at the seventh
    assert abs(shared - sum(row["gross_eur"] for row in spent)) <= Decimal("0.000001") * (count + 1)
    assert abs(net - sum(row["amount_eur"] for row in spent)) <= Decimal("0.000001") * (count + 1)
