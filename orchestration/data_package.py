"""``datapackage.json``: what a tier consists of, for programs (Data Package v2, https://datapackage.org/standard/data-package/).

Belongs here: describing the files of a tier with types, units, sizes, hashes, sources and terms. Does not: the catalogue entry that is
made from it (``dcat``), what a licence permits (``licences``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration import licences, lineage
from orchestration.lineage import Lineage, Source

NAME = "datapackage.json"
_PROFILES = "https://datapackage.org/profiles/2.0"
_MEDIA_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "duckdb": "application/vnd.duckdb",
    "html": "text/html",
}
_TYPES: dict[str, dict[str, str]] = {
    "VARCHAR": {"type": "string"},
    "DATE": {"type": "date"},
    "BOOLEAN": {"type": "boolean"},
    "INTEGER": {"type": "integer"},
    "BIGINT": {"type": "integer"},
    "DOUBLE": {"type": "number"},
    "DECIMAL": {"type": "number"},
    # 2026-06-15 21:59:00+00: ISO 8601 with a blank, which the default of the standard is not
    "TIMESTAMP WITH TIME ZONE": {"type": "datetime", "format": "any"},
}


def described(
    folder: Path,
    traced: Lineage,
    *,
    is_public: bool,
    sums: Mapping[Path, str],
    keys: Mapping[str, Sequence[str]],
    contributors: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The descriptor of a tier whose files are written. ``sums``: their sha256; ``keys``: by ``schema.table`` what identifies a row.

    Of the exact tier it names every file in landing that a source brought; of the public one the sources and their terms.
    """
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        cursor = con.execute("from meta.release")
        release = dict(zip([column[0] for column in cursor.description or []], cursor.fetchall()[0], strict=True))
        tables = _tables(con)
    shown = _distinct(source for table, (_, fields) in tables.items() for source in _sources(traced, table, fields, is_public))
    resources = [
        resource
        for table, (description, fields) in tables.items()
        for resource in _resources(folder, traced, table, description, fields, is_public, sums, keys.get(table), shown)
    ]
    for name, title in (
        ("warehouse.duckdb", "Alle Tabellen als DuckDB-Datenbank"),
        ("rollin.xlsx", "Alle Tabellen als Arbeitsmappe"),
        ("report/index.html", "Bericht: die Kennzahlen in Bildern"),
    ):
        if (folder / name).is_file():
            resources.append({"name": name.replace("/", "."), "path": name, "title": title, **_file(folder / name, sums)})
    synthetic = "Synthetische Daten: erfunden, nicht von Behörden gemeldet (synthetic data). " if release["is_synthetic"] else ""
    package: dict[str, Any] = {
        "$schema": f"{_PROFILES}/datapackage.json",
        "name": "rollin-public" if is_public else "rollin",
        "id": f"{release['release_id']}{'-public' if is_public else ''}",
        "title": "Rollout digitaler Verwaltungsleistungen: Abdeckung, Nutzung, Kosten je Anbindung",
        "description": synthetic
        + (
            "Öffentlicher Teil einer Veröffentlichung: kleine Fallzahlen sind unterdrückt. (Public tier: small counts are suppressed.)"
            if is_public
            else "Genauer Teil einer Veröffentlichung, nur für den internen Gebrauch. (Exact tier: to be kept in the house.)"
        ),
        "version": release["code_version"],
        "created": _instant(release["published_at"]),
        "keywords": ["OZG", "Verwaltungsdigitalisierung", "Rollout", *(["synthetisch"] if release["is_synthetic"] else [])],
        "resources": resources,
        "release": {
            "release_id": release["release_id"],
            "run_id": release["run_id"],
            "as_of": release["as_of"].isoformat(),
            "territory_on": release["territory_on"].isoformat(),
            "code_version": release["code_version"],
            "is_synthetic": release["is_synthetic"],
            "tier": "public" if is_public else "exact",
        },
    }
    if contributors:
        package["contributors"] = list(contributors)
    if shown:
        package["sources"] = [lineage.described(source, with_files=not is_public) for source in shown]
    if is_public and (terms := licences.combined([source.licence for source in shown if source.licence])):
        package["licenses"] = [_licence(terms)]
    return package


def write(folder: Path, package: Mapping[str, Any]) -> Path:
    """Write a descriptor beside the files that it describes: a line for each resource, for those who read it or compare two."""
    path = folder / NAME
    lines = []
    for name, value in package.items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in value) + "\n ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f" {json.dumps(name)}: {text}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def _tables(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """By ``schema.table`` its description and its fields."""
    tables: dict[str, tuple[str, list[dict[str, Any]]]] = {
        f"{schema}.{name}": (comment or "", [])
        for schema, name, comment in con.execute(
            "select schema_name, table_name, comment from duckdb_tables() order by 1, 2"
        ).fetchall()
    }
    for schema, table, name, kind, description, unit in con.execute(
        'select schema_name, table_name, column_name, data_type, description, unit from meta."column" order by 1, 2, position'
    ).fetchall():
        if (plain := kind.split("(")[0]) not in _TYPES:
            raise TypeError(
                f"{schema}.{table}.{name} is of type {kind}, for which no type of the standard is chosen: add it to _TYPES."
            )
        field = {"name": name, **_TYPES[plain], "description": description or ""}
        tables[f"{schema}.{table}"][1].append(field | ({"unit": unit} if unit else {}))
    return tables


def _resources(
    folder: Path,
    traced: Lineage,
    table: str,
    description: str,
    fields: list[dict[str, Any]],
    is_public: bool,
    sums: Mapping[Path, str],
    key: Sequence[str] | None,
    shown: Sequence[Source],
) -> list[dict[str, Any]]:
    schema: dict[str, Any] = {"$schema": f"{_PROFILES}/tableschema.json", "fields": fields}
    if key and set(key) <= {field["name"] for field in fields}:
        schema["uniqueKeys"] = [list(key)]
    sources = _sources(traced, table, fields, is_public)
    shared: dict[str, Any] = {"type": "table", "description": description, "schema": schema}
    if sources:
        shared["sources"] = [{"title": f"{source.provider}: {source.name}"} for source in sources]
    # what rests on no delivery (names, definitions, sources) is handed on under what holds for the whole
    terms = licences.combined([source.licence for source in sources or shown if source.licence])
    if is_public and terms:
        shared["licenses"] = [_licence(terms)]
    if is_public and (note := attributions(sources or shown)):
        shared["attribution"] = note
    if is_public and lineage.restriction(traced, table, [field["name"] for field in fields]) == lineage.NOTHING:
        shared["is_withheld"] = True
    found = []
    for kind, suffix in (("csv", ""), ("parquet", ".parquet")):
        path = folder / kind / Path(*table.split(".")).with_suffix(f".{kind}")
        # none where it is too long for CSV; a folder where there is a file for each month
        for file in sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []:
            part = "" if file == path else f".{file.stem}"
            place = {"name": f"{table}{part}{suffix}", "path": str(file.relative_to(folder)), "title": table}
            found.append(place | _file(file, sums) | ({"encoding": "utf-8"} if kind == "csv" else {}) | shared)
    return found


def attributions(sources: Sequence[Source]) -> str:
    """The source notes of some sources, as one text."""
    return "; ".join(source.attribution for source in _distinct(sources) if source.licence and source.attribution)


def _sources(traced: Lineage, table: str, fields: Sequence[Mapping[str, Any]], is_public: bool) -> list[Source]:
    return (
        traced.published(table, [field["name"] for field in fields])
        if is_public
        else _distinct(source for _, source in traced.of(table))
    )


def _distinct(sources: Any) -> list[Source]:
    return sorted({(source.land_code, source.name): source for source in sources}.values(), key=lambda s: (s.land_code, s.name))


def _file(path: Path, sums: Mapping[Path, str]) -> dict[str, Any]:
    kind = path.suffix[1:]
    return {"format": kind, "mediatype": _MEDIA_TYPES[kind], "bytes": path.stat().st_size, "hash": f"sha256:{sums[path]}"}


def _licence(licence: licences.Licence) -> dict[str, str]:
    """A licence needs a name of the Open Definition or a path; terms that have neither stand in a file of the tier."""
    document = {"title": licence.title, "path": licence.url or "LICENCES.md", "dcat": licence.dcat}
    return document | ({"name": licence.open_definition} if licence.open_definition else {})


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
