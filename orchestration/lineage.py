"""Where a published table comes from: the deliveries in force, the files that they consist of, and the terms of their sources.

Belongs here: tracing a table through dbt's graph to the canonical tables and from there to landing. Does not: what a licence permits
(``licences``), writing files (``publication``).

A table is traced as a whole: it rests on every source of every canonical table that one of its models reads, whichever of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ingest.landing import Landing
from orchestration import licences
from orchestration.licences import Licence

#: Canonical tables of a run that no source delivers under that name, and what they are worked out from.
_WORKED_OUT = {
    "authorities": ("authorities", "regions", "territory_changes"),
    "competences": ("competences", "regions", "territory_changes"),
    "regions": ("regions", "territory_changes"),
    "region_successors": ("regions", "territory_changes"),
    "authority_successors": ("authorities", "regions", "territory_changes"),
}
FEDERAL = "00"

#: The condition that no row of a table meets.
NOTHING = "false"


class LineageError(RuntimeError):
    """What a release rests on is no longer in landing."""


@dataclass(frozen=True)
class File:
    """A file of a delivery in force, as received. ``part`` counts from 1 within the delivery."""

    delivery_id: str
    delivered_at: datetime
    part: int
    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Source:
    """A source with data in force. ``stated``: its licence as the Land file has it; ``licence``: what that is, None if not known."""

    land_code: str
    name: str
    table: str
    provider: str
    stated: str | None
    licence: Licence | None
    files: tuple[File, ...]

    @property
    def attribution(self) -> str | None:
        """Its source note; None where nothing of it may be published."""
        return licences.attribution(self.licence, self.provider, self.name) if self.licence else None


@dataclass(frozen=True)
class Lineage:
    """``tables``: by ``schema.table`` what it is made of, see ``warehouse.inputs``; ``sources``: every source with data in force."""

    tables: Mapping[str, frozenset[str]] | None
    sources: tuple[Source, ...]

    def of(self, table: str) -> list[tuple[str, Source]]:
        """(canonical table, source) that a published table rests on, sorted; all where its making is not known."""
        if self.tables is None or table not in self.tables:
            inputs = {source.table for source in self.sources}
        else:
            inputs = {delivered for one in self.tables[table] for delivered in _WORKED_OUT.get(one, (one,))}
        return sorted(
            ((source.table, source) for source in self.sources if source.table in inputs),
            key=lambda pair: (pair[0], pair[1].land_code, pair[1].name),
        )

    def withheld(self, table: str) -> list[Source]:
        """Sources that a table rests on and that nothing may be published of."""
        return [source for _, source in self.of(table) if source.licence is None]

    def published(self, table: str, columns: Sequence[str]) -> list[Source]:
        """Sources that the public rows of a table rest on. ``columns``: those that are public."""
        if restriction(self, table, columns) == NOTHING:
            return []
        withheld = {source.land_code for source in self.withheld(table)}
        return [source for _, source in self.of(table) if source.land_code not in withheld]


def read(build: Path, home: Path, tables: Mapping[str, frozenset[str]] | None) -> Lineage:
    """The lineage of a closed build. Raises LineageError where a delivery in force has no sidecar in landing any more."""
    with duckdb.connect(str(build), read_only=True, config={"autoinstall_known_extensions": "false"}) as con:
        con.execute("set TimeZone = 'UTC'")
        names: dict[str, str] = dict(con.execute("select land_code, name from core.dim_land").fetchall())
        names.setdefault(FEDERAL, "Bund")
        stated: dict[tuple[str, str], str | None] = {
            (land_code, source): licence
            for land_code, source, licence in con.execute("select land_code, source, licence from meta.source_status").fetchall()
        }
        in_force: dict[tuple[str, str, str], set[str]] = {}
        query = "select land_code, source, table_name, delivery_id from meta.delivery where is_admitted and is_in_force"
        for land_code, source, table, delivery_id in con.execute(query).fetchall():
            in_force.setdefault((land_code, source, table), set()).add(delivery_id)
    landing = Landing(home)
    return Lineage(
        tables,
        tuple(
            Source(
                land_code,
                source,
                table,
                names.get(land_code, land_code),
                stated.get((land_code, source)),
                licences.read(stated.get((land_code, source))),
                _files(landing, land_code, source, delivery_ids),
            )
            for (land_code, source, table), delivery_ids in sorted(in_force.items())
        ),
    )


def _files(landing: Landing, land_code: str, source: str, delivery_ids: set[str]) -> tuple[File, ...]:
    found = [delivery for delivery in landing.deliveries(land_code, source) if delivery.delivery_id in delivery_ids]
    if missing := sorted(delivery_ids - {delivery.delivery_id for delivery in found}):
        raise LineageError(
            f"Delivery {missing[0]} of {land_code}/{source} is in the build and not in landing: restore landing from a back-up and "
            "run the refresh again."
        )
    return tuple(
        File(delivery.delivery_id, delivery.delivered_at, number, part.name, part.sha256, part.bytes)
        for delivery in found
        for number, part in enumerate(delivery.parts, 1)
    )


def restriction(lineage: Lineage, table: str, columns: Sequence[str]) -> str | None:
    """The SQL condition on the rows of a table that may be published; None where all may.

    Rows belong to the Land that they name. What does not say whose it is, or rests on a federal source without a licence, is not
    published at all.
    """
    withheld = sorted({source.land_code for source in lineage.withheld(table)})
    if not withheld:
        return None
    if FEDERAL in withheld or "land_code" not in columns:
        return NOTHING
    lands = ", ".join(f"'{land_code}'" for land_code in withheld)
    # NULL and 00 stand for several Länder at once
    return f"land_code is not null and land_code not in ('{FEDERAL}', {lands})"


def described(source: Source, *, with_files: bool) -> dict[str, Any]:
    """A source as JSON types."""
    document: dict[str, Any] = {
        "title": f"{source.provider}: {source.name}",
        "land_code": source.land_code,
        "source": source.name,
        "licence": source.stated,
        "attribution": source.attribution,
    }
    if source.licence is not None and source.licence.url is not None:
        document["path"] = source.licence.url
    if with_files:
        document["files"] = [
            {"delivery_id": file.delivery_id, "delivered_at": file.delivered_at.isoformat(), "part": file.part, "name": file.name}
            | {"sha256": file.sha256, "bytes": file.bytes}
            for file in source.files
        ]
    return document
