"""Publishes small releases one after another, from a prepared build: for tests of readers and feeds, which need no whole night.

Every release carries its number in the run's id and in three tables of different size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from dbt_project import public_tier
from dbt_project.public_tier import PublicTable
from orchestration import publication
from orchestration.settings import Settings

FIRST = datetime(2026, 6, 15, 22, tzinfo=UTC)
LAND = "printf('%02d', 1 + i % 16)"
#: By table its rows and the columns that are more than their own name; ``{n}`` is the release's number.
TABLES = {
    "core.dim_land": (16, {"land_code": LAND, "population": "{n}::bigint", "target_share": "1.0::double"}),
    "metrics.programme_coverage_daily": (
        2_000,
        {"land_code": LAND, "as_of": "date '2026-01-01' + (i // 16)::integer", "services": "{n}::integer"},
    ),
    "metrics.phase_funnel_daily": (
        4_000,
        {
            "land_code": LAND,
            "as_of": "date '2026-01-01' + (i // 16)::integer",
            "authorities_current_count": "{n}::bigint",
            "phase_order": "i::integer",
        },
    ),
}


@dataclass
class Press:
    """``home``: where it publishes. ``more``: SQL that changes a build before it is audited. ``by_month``: by table the files of its
    months, which the build shows as views; a table that the public tier has masked is so masked as it is."""

    home: Path
    more: list[str] = field(default_factory=list)
    decided: Mapping[str, PublicTable] = field(default_factory=public_tier.load)
    by_month: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def publish(self, number: int) -> str:
        """Publish release ``number``; returns its id."""
        run_id = f"{number:08d}-0000-0000-0000-000000000000"
        build = self.home / "build" / run_id / "warehouse.duckdb"
        build.parent.mkdir(parents=True)
        marts, masked = [], []
        with duckdb.connect(str(build)) as con:
            for schema in publication.SCHEMAS:
                con.execute(f"create schema {schema}")
            # nothing is known of where the rows are from
            con.execute("create table meta.source_status (land_code varchar, source varchar, licence varchar)")
            con.execute(
                "create table meta.delivery (land_code varchar, source varchar, table_name varchar, delivery_id varchar,"
                " is_admitted boolean, is_in_force boolean)"
            )
            for table, (rows, given) in TABLES.items():
                columns = {column: f"'{column}'" for column in self.decided[table].columns} | given
                cells = ", ".join(f"{cell.format(n=number)} as {column}" for column, cell in columns.items())
                con.execute(f"create table {table} as select {cells} from range({rows}) as r(i)")
            for change in self.more:
                con.execute(change)
            for table in TABLES:
                found = con.execute(f"select column_name from (describe {table})").fetchall()
                marts.append(_node(table, [str(column) for (column,) in found]))
            for table, months in self.by_month.items():
                for schema, nodes in (("", marts), ("public_", masked)):
                    con.execute(f"create schema if not exists {schema}{table.split('.')[0]}")
                    con.execute(f"create view {schema}{table} as from read_parquet({[str(month) for month in months]})")
                    nodes.append(_node(schema + table, [column for column, *_ in con.execute(f"describe {table}").fetchall()]))
        audit = publication.Audit(
            run_id=run_id,
            as_of=date(2026, 6, 15),
            territory_on=date(2026, 6, 15),
            build_sha256=publication.sha256_of_build(build),
            inputs_sha256="0" * 64,
            code_version="test",
            is_synthetic=True,
            passed=True,
            results=[],
            rebuilt=[node["name"] for node in [*marts, *masked]],
        )
        build.with_name("audit.json").write_text(audit.to_json())
        now = FIRST + timedelta(minutes=number)
        return publication.publish(self.settings, build, run_id=run_id, now=now, marts=marts, masked=masked)


def _node(table: str, columns: list[str]) -> dict[str, Any]:
    """What dbt's manifest says of a model."""
    schema, name = table.split(".")
    described = {column: {"name": column, "description": f"What {column} means.", "meta": {}} for column in columns}
    return {"schema": schema, "name": name, "alias": name, "description": f"One row per row of {name}.", "columns": described}
