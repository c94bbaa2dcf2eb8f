"""From an audited build to a release, and back to an older one.

Belongs here: the audit record, writing a release aside, the flip of ``current``, verification, rollback, retention. Does not: what is
checked (``expectations``), what a table holds (``dbt_project``).

A release is exact; its folder ``public/`` is the tier that may leave the house (``dbt_project/public_tier.yaml`` says what of it).
A release is a folder that never changes. It is written aside, synced, renamed into ``releases/`` and only then does ``current`` flip
to it, in one rename of a link: whatever is killed when, ``current`` names a whole release.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from dbt_project import public_tier
from expectations.release import GRAIN
from ingest.landing import make_folder
from orchestration import attribution, changes, data_package, dcat, lineage, report, settled, workbook
from orchestration.csv_file import CSV_ROWS_MAX, write_csv
from orchestration.durable import sync_folder, write_atomically
from orchestration.lineage import Lineage
from orchestration.publisher import Publisher
from orchestration.settings import Refused, Settings, UsageError

log = logging.getLogger("rollin.publication")

#: The oldest DuckDB that opens a release (DESIGN: 1.2 and later).
STORAGE_VERSION = "v1.2.0"

SUMS = "SHA256SUMS"
SCHEMAS = ("core", "metrics", "meta")

#: The folder of a release that may leave the house.
PUBLIC = "public"
#: A file in a view's SQL.
_PARQUET = re.compile(r"'((?:[^']|'')+[.]parquet)'")
_CHANGED = "The build changed while it was copied: run the refresh again and let nobody open the build file."
_SUM = re.compile(rb"([0-9a-f]{64})  (.+)")
_RELEASE_ID = re.compile(r"^\d{8}T\d{6}Z-[0-9a-f]{8}(-asof)?$")

#: Tables that only the publisher can know, with their columns: type, description.
_OWN: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "release": (
        "One row: what this release is.",
        {
            "release_id": ("varchar", "Identifier of the release, sorts by time."),
            "run_id": ("varchar", "Run that built it, as in Dagster and audit.json."),
            "as_of": ("date", "Berlin day that the metrics describe."),
            "territory_on": ("date", "Day whose municipalities and authorities they are reported on (Gebietsstand)."),
            "published_at": ("timestamptz", "Instant of publication (UTC)."),
            "is_synthetic": ("boolean", "Whether any of the data is invented."),
            "code_version": ("varchar", "Version of the package and a digest of its sources."),
        },
    ),
    "check_result": (
        "One row per check that this release passed or was warned by.",
        {
            "suite": ("varchar", "Suite that the check belongs to; dbt for the tests of the build."),
            "table_name": ("varchar", "Table it is about."),
            "check_name": ("varchar", "Stable identifier of the check."),
            "column_name": ("varchar", "Column it is about, NULL for the whole table."),
            "severity": ("varchar", "error refuses a release, warn reports."),
            "is_passed": ("boolean", "Whether it passed."),
            "is_broken": ("boolean", "Whether it could not run; it then counts as failed."),
            "observed": ("varchar", "What was found."),
            "expected": ("varchar", "What is demanded."),
            "unexpected_count": ("bigint", "Rows that break the rule, NULL where it is not about rows."),
            "description_de": ("varchar", "What is checked, in German."),
            "description_en": ("varchar", "What is checked, in English."),
        },
    ),
    "column": (
        "One row per column of every published table.",
        {
            "schema_name": ("varchar", "Schema of the table."),
            "table_name": ("varchar", "Table."),
            "column_name": ("varchar", "Column."),
            "position": ("integer", "Place within the table, from 1."),
            "data_type": ("varchar", "DuckDB type."),
            "description": ("varchar", "Meaning."),
            "unit": ("varchar", "Unit; NULL for keys, words, dates and truth values."),
        },
    ),
    "lineage": (
        "One row per published table, source and canonical table that it rests on; the files are in meta.landing_file.",
        {
            "schema_name": ("varchar", "Schema of the published table."),
            "table_name": ("varchar", "Published table."),
            "land_code": ("varchar", "Land file that names the source; 00 for the federation."),
            "source": ("varchar", "Name of the source in the Land file."),
            "input_table": ("varchar", "Canonical table that the source delivers."),
            "licence": ("varchar", "Licence of the source; NULL where none is stated."),
            "is_licensed": (
                "boolean",
                "Whether that licence is known to permit publication; the public tier holds nothing else.",
            ),
            "code_version": ("varchar", "Version of the package and a digest of its sources, that made the table."),
        },
    ),
    "landing_file": (
        "One row per file of a delivery in force, as it lies in landing.",
        {
            "land_code": ("varchar", "Land file that names the source; 00 for the federation."),
            "source": ("varchar", "Name of the source in the Land file."),
            "delivery_id": ("varchar", "Delivery; sorts by the instant of receipt."),
            "delivered_at": ("timestamptz", "Instant of receipt (UTC)."),
            "part": ("integer", "Place within the delivery, from 1."),
            "file_name": ("varchar", "Name of the file as delivered."),
            "sha256": ("varchar", "SHA-256 of its bytes, and its name in landing/objects."),
            "bytes": ("bigint", "Size in bytes."),
        },
    ),
}

#: Those of _OWN that are public: checks quote deliveries, and names of deliveries and files are internal.
_PUBLIC_OWN = ("release", "column")


class PublicationRefused(RuntimeError):
    """The build is not the one that was audited, or the audit did not pass: nothing was published."""


class DamagedRelease(Refused):
    """A release that the next one has to be compared with is not what was published."""


class UnknownRelease(UsageError):
    """No such release, or it is damaged."""


@dataclass(frozen=True)
class _Copy:
    """A table of a warehouse: where it is written, the relation of the build (schema, name) and the query on it that it is a copy of, and
    what is said of it. ``is_all``: the query leaves out no column and no row."""

    schema: str
    name: str
    source: tuple[str, str]
    query: str
    is_all: bool
    description: str
    columns: dict[str, str]
    units: dict[str, str]

    @property
    def table(self) -> str:
        """Its name with its schema."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Audit:
    """What the gate recorded about one build. ``results``: what the gate and dbt's data tests found, as dictionaries."""

    run_id: str
    as_of: date
    territory_on: date
    build_sha256: str
    inputs_sha256: str
    code_version: str
    is_synthetic: bool
    passed: bool
    results: list[dict[str, Any]]
    rebuilt: list[str]

    def to_json(self) -> str:
        """The record as it stands in ``audit.json``."""
        days = {name: getattr(self, name).isoformat() for name in ("as_of", "territory_on")}
        return json.dumps(asdict(self) | days, ensure_ascii=False, indent=1, default=str)

    @classmethod
    def read(cls, path: Path) -> Audit:
        """The record in a file. Raises OSError, ValueError, KeyError or TypeError where it is none."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(**document | {name: date.fromisoformat(document[name]) for name in ("as_of", "territory_on")})


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_beside(build: Path) -> list[Path]:
    """The files beside a closed build that its published views show (``orchestration/parts.py``).

    Raises duckdb.Error where the build is no database.
    """
    with duckdb.connect(str(build), read_only=True) as con:
        views = con.execute(
            "select sql from duckdb_views() where not internal and schema_name not in ('staging', 'intermediate')"
        )
        return sorted({file for (sql,) in views.fetchall() for file in _files_of(sql)})


def _files_of(view: str) -> list[Path]:
    """The files that a view's SQL names."""
    return [Path(name.replace("''", "'")) for name in _PARQUET.findall(view)]


def sha256_of_build(build: Path) -> str:
    """Hex sha256 of a closed build: of its file and of those beside it. Raises duckdb.Error where it is no database."""
    beside = files_beside(build)
    if not beside:
        return sha256_of(build)
    with ThreadPoolExecutor() as pool:
        return hashlib.sha256(" ".join(pool.map(sha256_of, [build, *beside])).encode()).hexdigest()


def _is_audited(build: Path, audit: Audit) -> bool:
    """Whether a build still has the bytes that were audited."""
    try:
        return audit.build_sha256 == sha256_of_build(build)
    except duckdb.Error:  # no database any more, or one with a block that contradicts its own sum
        return False


def current_audit(settings: Settings) -> Audit | None:
    """The audit of the release that ``current`` names, None where there is none."""
    try:
        return Audit.read(settings.current / "audit.json")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def publish(
    settings: Settings,
    build: Path,
    *,
    run_id: str,
    now: datetime,
    marts: Sequence[dict[str, Any]],
    masked: Sequence[dict[str, Any]] = (),
    inputs: Mapping[str, frozenset[str]] | None = None,
) -> str:
    """Write the release of an audited build, make it ``current`` unless the past was rebuilt, and return its id.

    ``build``: the closed DuckDB file, ``audit.json`` beside it. ``marts``: the models to publish, as dbt's manifest has them.
    ``masked``: the models of the public tier. A rebuilt past has none: it would tell what the nights since then hid.
    ``inputs``: what each table is made of (``warehouse.inputs``); without it each is taken to rest on every source.
    Raises PublicationRefused where the audit did not pass, is of another run, or of other bytes than the build now has, or where a
    copied table differs from the built one, UsageError where the configured publisher cannot be one. Nothing half is ever readable.
    """
    publisher = Publisher.from_environ(settings.environ)
    audit = Audit.read(build.with_name("audit.json"))
    if not audit.passed:
        raise PublicationRefused("The audit did not pass: see audit.json beside the build.")
    if audit.run_id != run_id:
        raise PublicationRefused(f"The audit is of run {audit.run_id}, not of this run {run_id}: run the refresh again.")
    if not _is_audited(build, audit):
        raise PublicationRefused("The build changed after its audit: run the refresh again and let nobody open the build file.")
    missing = sorted({node["name"] for node in [*marts, *masked]} - set(audit.rebuilt))
    if missing:
        raise PublicationRefused(f"Not rebuilt in this run: {', '.join(missing)}. Run the refresh again with --full.")

    releases = settings.published / "releases"
    make_folder(releases)
    release_id = f"{now:%Y%m%dT%H%M%SZ}-{run_id.replace('-', '')[:8]}" + ("-asof" if settings.as_of else "")
    aside = releases / f".{release_id}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        traced = lineage.read(build, settings.home, inputs)
    except lineage.LineageError as error:
        raise PublicationRefused(str(error)) from None
    exact = [_exact(node) for node in marts]
    _write_warehouse(build, aside, audit, release_id, now, exact, tuple(_OWN), traced)
    before = settings.current / "warehouse.duckdb"
    changes.write(aside / "CHANGES.md", aside / "warehouse.duckdb", before if before.is_file() else None)
    attribution.write(aside, traced, {copy.table: list(copy.columns) for copy in exact}, is_public=False)
    _write_workbook(aside, audit, release_id)
    gate = build.with_name("gate")  # the gate's page of this run (gate_report)
    leads = ["gate/index.html"] if gate.is_dir() else []
    if settings.has_report:
        report.write(aside, aside / "warehouse.duckdb", tier="exact", leads=leads, boundaries=settings.boundaries)
    sums = _sums(aside)
    package = data_package.described(aside, traced, is_public=False, sums=sums, keys=GRAIN, contributors=publisher.contributors)
    data_package.write(aside, package)
    if settings.as_of is None:
        public = aside / PUBLIC
        public.mkdir()
        _publish_public(settings, public, build, audit, release_id, now, public_copies(marts, masked), traced, publisher)
    if not _is_audited(build, audit):
        raise PublicationRefused(_CHANGED)
    shutil.copyfile(build.with_name("audit.json"), aside / "audit.json")
    if gate.is_dir():
        shutil.copytree(gate, aside / "gate")
    _seal(aside, sums)
    os.rename(aside, releases / release_id)
    sync_folder(releases)
    if settings.as_of is None:
        point_to(settings, release_id)
        try:
            retain(settings)
        except OSError as error:  # it is published; what is too old goes another night
            log.warning("Older releases could not be removed: %s.", error.strerror)
    return release_id


def point_to(settings: Settings, release_id: str) -> None:
    """Make a release ``current``: one rename of a link, the only act by which readers see anything new."""
    aside = settings.published / ".current"
    aside.unlink(missing_ok=True)
    os.symlink(Path("releases") / release_id, aside)
    os.replace(aside, settings.current)
    sync_folder(settings.published)


def verify(release: Path, *, in_passing: bool = False) -> list[str]:
    """What is wrong with the files of a release, one sentence each: changed, missing or unlisted ones; empty where it is whole.

    ``in_passing``: the bytes only of files that were written after their sums; what a disk loses by itself is not seen then.
    """
    try:
        sums = (release / SUMS).read_bytes()
        sealed = (release / SUMS).stat().st_mtime_ns
    except OSError:
        return [f"{release.name} has no {SUMS}: it is not a whole release."]
    lines = [_SUM.fullmatch(line) for line in sums.split(b"\n")]
    # to the byte as it was written: nothing but the line end after the last line is empty
    if not sums.endswith(b"\n") or any(line is None for line in lines[:-1]):
        return [f"{SUMS} was changed."]
    listed = {os.fsdecode(line[2]): line[1].decode() for line in lines if line is not None}
    found = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()} - {SUMS}
    read = [path for path in sorted(set(listed) & found) if not in_passing or _written_ns(release / path) > sealed]
    with ThreadPoolExecutor() as pool:
        hashes = dict(zip(read, pool.map(_hash_or_none, (release / path for path in read)), strict=True))
    return [
        *(f"{path} is missing." for path in sorted(set(listed) - found)),
        *(f"{path} is not listed in {SUMS}." for path in sorted(found - set(listed))),
        *(f"{path} was changed." for path in read if hashes[path] != listed[path]),
    ]


def own_tables() -> tuple[str, ...]:
    """Names of the tables in schema meta that the publisher writes and the build does not have."""
    return tuple(_OWN)


def _written_ns(path: Path) -> float:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # gone or out of reach by now: to be looked at
        return math.inf


def _hash_or_none(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:  # what cannot be read is not what was published
        return None


def require_whole(settings: Settings, memory: Sequence[Path]) -> None:
    """Raise DamagedRelease where the current release, or the newest of ``memory``, is damaged: the next one is compared with the one
    and continues the suppressions of the other. ``memory``: the releases with a public tier, oldest first.
    """
    if os.path.lexists(settings.current) and (problems := verify(settings.current)):
        raise DamagedRelease(
            f"The current release {current_id(settings)} is damaged ({problems[0]} {len(problems)} in all): return to the one before with "
            "'rollin rollback', or restore it from the back-up; then run the refresh again."
        )
    for release in memory[-1:]:
        if problems := verify(release / PUBLIC):
            raise DamagedRelease(
                f"The public tier of release {release.name} is damaged ({problems[0]} {len(problems)} in all), and the next one must not "
                "contradict it: restore that release from the back-up; then run the refresh again."
            )


def require_clock(settings: Settings, now: datetime) -> None:
    """Raise UsageError where the clock is behind the newest release: what was received since would not count, and releases sort by time."""
    nights = [r for r in release_ids(settings) if not r.endswith("-asof")]
    if nights and nights[-1][:16] > f"{now:%Y%m%dT%H%M%SZ}":
        raise UsageError(
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC and release {nights[-1]} is from later: set the clock of this machine "
            "(or ROLLIN_NOW). Where the clock was ahead then, restore the home from the back-up before it; a past day is rebuilt with "
            "--as-of."
        )


def release_ids(settings: Settings) -> list[str]:
    """All releases, oldest first, rebuilt pasts included."""
    try:
        return sorted(p.name for p in (settings.published / "releases").iterdir() if _RELEASE_ID.match(p.name))
    except FileNotFoundError:
        return []


def current_id(settings: Settings) -> str | None:
    """The release that ``current`` names."""
    try:
        return Path(os.readlink(settings.current)).name
    except OSError:
        return None


def rollback(settings: Settings, release_id: str | None) -> str:
    """Make an older release ``current`` again: the named one, or the one before the current. Returns its id.

    Raises UnknownRelease where there is none or its files do not verify.
    """
    nights = [r for r in release_ids(settings) if not r.endswith("-asof")]
    if release_id is None:
        present = current_id(settings)
        older = [r for r in nights if present is not None and r < present]
        if not older:
            raise UnknownRelease("There is no release before the current one: 'rollin status' lists what there is.")
        release_id = older[-1]
    if release_id not in nights:
        raise UnknownRelease(f"There is no release '{release_id}'. Known: {', '.join(nights[-5:]) or 'none'}.")
    problems = verify(settings.published / "releases" / release_id)
    if problems:
        raise UnknownRelease(f"Release {release_id} is damaged ({problems[0]} {len(problems)} in all): choose another one.")
    point_to(settings, release_id)
    return release_id


def retain(settings: Settings) -> None:
    """Delete the oldest nightly releases beyond ``ROLLIN_KEEP_RELEASES`` (default 30, at least 2); never the current one."""
    try:
        keep = max(2, int(settings.environ.get("ROLLIN_KEEP_RELEASES", "30")))
    except ValueError:
        raise UsageError("ROLLIN_KEEP_RELEASES is no number: set it to how many releases to keep, for example 30.") from None
    nights = [r for r in release_ids(settings) if not r.endswith("-asof")]
    for old in nights[:-keep]:
        if old != current_id(settings):
            # renamed first: a folder that is half deleted must not look like a release
            doomed = settings.published / "releases" / f".{old}.deleted"
            os.rename(settings.published / "releases" / old, doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def sweep(settings: Settings) -> None:
    """Remove what a killed publication left aside."""
    releases = settings.published / "releases"
    for left in releases.glob(".*") if releases.is_dir() else ():
        shutil.rmtree(left, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------------------ the files


def _publish_public(
    settings: Settings,
    folder: Path,
    build: Path,
    audit: Audit,
    release_id: str,
    now: datetime,
    decided: Sequence[_Copy],
    traced: Lineage,
    publisher: Publisher,
) -> None:
    """Write the public tier into a folder, with sums of its own: it leaves the house without the rest."""
    copies = []
    for copy in decided:
        condition = lineage.restriction(traced, copy.table, list(copy.columns))
        copies.append(copy if condition is None else replace(copy, query=f"{copy.query} where {condition}", is_all=False))
    _write_warehouse(build, folder, audit, release_id, now, copies, _PUBLIC_OWN, traced)
    attribution.write(folder, traced, {copy.table: list(copy.columns) for copy in copies}, is_public=True)
    _write_workbook(folder, audit, release_id)
    if settings.has_report:
        report.write(
            folder, folder / "warehouse.duckdb", tier="public", boundaries=settings.boundaries, drawn_before=folder.parent
        )
    sums = _sums(folder)
    keys = {table: key for table, key in GRAIN.items() if table in {copy.table for copy in copies}}
    package = data_package.described(folder, traced, is_public=True, sums=sums, keys=keys, contributors=publisher.contributors)
    data_package.write(folder, package)
    lands = {source.land_code for source in traced.sources if source.licence and source.land_code != lineage.FEDERAL}
    dcat.write(folder, package, lands, publisher)
    _seal(folder, sums)


def _write_workbook(folder: Path, audit: Audit, release_id: str) -> None:
    is_public = folder.name == PUBLIC
    notes = [
        ("Rollin", "Rollout digitaler Verwaltungsleistungen: Abdeckung, Nutzung, Kosten je Anbindung"),
        *([("Synthetisch", "Alle Daten sind erfunden. (Synthetic data: all of it is invented.)")] if audit.is_synthetic else []),
        ("Veröffentlichung (release)", release_id),
        ("Stichtag (as of)", audit.as_of.isoformat()),
        ("Version des Programms (code)", audit.code_version),
        (
            "Teil (tier)",
            "Öffentlich: kleine Fallzahlen sind unterdrückt, siehe is_suppressed. (Public tier.)"
            if is_public
            else "Genau, nur für den internen Gebrauch. (Exact tier: to be kept in the house.)",
        ),
        ("Leere Zellen (empty cells)", "Unbekannt oder unterdrückt, nie null. (Unknown or suppressed, never zero.)"),
        ("Zeiten (instants)", "UTC"),
        ("Spalten (columns)", "Bedeutung und Einheit jeder Spalte stehen im Blatt column, die Kennzahlen im Blatt metric."),
        ("Lizenzen (licences)", f"Quellenvermerke stehen in {attribution.NAME}."),
    ]
    workbook.write(folder / "rollin.xlsx", folder, notes)


def _exact(node: dict[str, Any]) -> _Copy:
    return _copy(node, node["schema"], [column["name"] for column in node["columns"].values()], select="*")


def public_copies(marts: Sequence[dict[str, Any]], masked: Sequence[dict[str, Any]]) -> list[_Copy]:
    """The tables of the public tier: of each decided table that is published, its public columns, masked where the rule applies.

    Raises PublicationRefused where a table must be masked and no model masks it, or where a public column does not exist.
    """
    masks = {f"{node['schema'].removeprefix('public_')}.{node['alias']}": node for node in masked}
    decisions = public_tier.load()
    copies = []
    for node in marts:
        table = f"{node['schema']}.{node['name']}"
        decided = decisions.get(table)
        if decided is None or decided.not_public:
            continue
        if decided.is_masked != (table in masks):
            raise PublicationRefused(
                f"{table} is {'to be' if decided.is_masked else 'not to be'} masked in the public tier, and models/public says "
                f"otherwise: correct {public_tier.PATH.name}."
            )
        source = masks.get(table, node)
        unknown = sorted(set(decided.columns) - {column["name"] for column in source["columns"].values()})
        if unknown:
            raise PublicationRefused(f"{table} has no column {', '.join(unknown)}: correct {public_tier.PATH.name}.")
        copies.append(_copy(source, node["schema"], decided.columns))
    return copies


def _copy(node: dict[str, Any], schema: str, columns: Sequence[str], select: str | None = None) -> _Copy:
    described = {column["name"]: column for column in node["columns"].values()}
    names = select or ", ".join(f'"{column}"' for column in columns)
    return _Copy(
        schema,
        node["alias"],
        (node["schema"], node["alias"]),
        f'select {names} from build."{node["schema"]}"."{node["alias"]}"',
        list(columns) == list(described),
        node["description"],
        {column: described[column].get("description", "") for column in columns},
        {column: unit for column in columns if (unit := described[column].get("meta", {}).get("unit"))},
    )


def _write_warehouse(
    build: Path,
    folder: Path,
    audit: Audit,
    release_id: str,
    now: datetime,
    copies: Sequence[_Copy],
    own: Sequence[str],
    traced: Lineage,
) -> None:
    with duckdb.connect() as con:
        con.execute("set autoinstall_known_extensions = false; set threads = 2; set memory_limit = '4GB'; set TimeZone = 'UTC'")
        con.execute(f"set temp_directory = {_text(str(folder.parent / '.spill'))}")
        try:
            con.execute(f"attach {_text(str(build))} as build (read_only)")
        except duckdb.Error:  # it was one when the audit was compared
            raise PublicationRefused(_CHANGED) from None
        kept = _copy_tables(con, folder, copies, build.parent.parent / settled.FOLDER, audit.as_of)
        descriptions = _own_tables(con, audit, release_id, now, own)
        if "lineage" in own:
            _insert_lineage(con, traced, [copy.table for copy in copies], audit.code_version)
        descriptions |= {(copy.schema, copy.name): (copy.description, copy.columns) for copy in copies}
        units = [(copy.schema, copy.name, column, unit) for copy in copies for column, unit in copy.units.items()]
        _describe(con, descriptions, units)
        con.execute("checkpoint out")
        for schema, name in _tables_of(con):
            _export(con, folder, schema, name, kept.get((schema, name), ()))
        con.execute("detach out")


def _copy_tables(
    con: duckdb.DuckDBPyConnection, folder: Path, copies: Sequence[_Copy], store: Path, as_of: date
) -> dict[tuple[str, str], list[Path]]:
    """Attach the warehouse of a tier as ``out`` and fill it from ``build``; what is kept by month begins with the months that are settled.

    Returns, by schema and table, the files of their months of those that are just what these hold.
    """
    path, opened = folder / "warehouse.duckdb", settled.first_open(as_of)
    views = "select schema_name, view_name, sql from duckdb_views() where database_name = 'build' and not internal"
    kept = {(schema, name): files for schema, name, sql in con.execute(views).fetchall() if (files := _files_of(sql))}
    by_month = [copy for copy in copies if copy.source in kept and "month" in copy.columns]
    tier = PUBLIC if folder.name == PUBLIC else "exact"
    begun = settled.file_of(
        con,
        store,
        tier,
        {(copy.schema, copy.name): (copy.query, kept[copy.source]) for copy in by_month},
        opened,
        STORAGE_VERSION,
    )
    taken_over = [] if begun is None else by_month
    if begun is not None:
        shutil.copyfile(begun, path)
    try:
        con.execute(f"attach {_text(str(path))} as out (storage_version '{STORAGE_VERSION}')")
        for copy in taken_over:
            con.execute(f'insert into out.{copy.schema}."{copy.name}" from ({copy.query}) where month >= ?', [opened])
            _require_same(con, copy)
    except (duckdb.Error, PublicationRefused) as error:
        if begun is None:
            raise
        begun.unlink(missing_ok=True)
        raise PublicationRefused(
            f"{begun.name}, the settled months of an earlier night, could not be taken over ({error}): run the refresh again, "
            "which writes it anew."
        ) from error
    for schema in SCHEMAS:
        con.execute(f"create schema if not exists out.{schema}")
    for copy in copies:
        if copy not in taken_over:
            # ordered, so that equal tables make equal files and row groups can be skipped; what is kept by month is so already
            order = "" if copy.source in kept else "order by all"
            con.execute(f'create table out.{copy.schema}."{copy.name}" as {copy.query} {order}')
            _require_same(con, copy)
    return {(copy.schema, copy.name): kept[copy.source] for copy in copies if copy.is_all and copy.source in kept}


def _require_same(con: duckdb.DuckDBPyConnection, copy: _Copy) -> None:
    if _digest(con, copy.query) != _digest(con, f'from out.{copy.schema}."{copy.name}"'):
        raise PublicationRefused(
            f"The copy of {copy.schema}.{copy.name} differs from the build: check the disk and run the refresh again."
        )


def _own_tables(
    con: duckdb.DuckDBPyConnection, audit: Audit, release_id: str, now: datetime, own: Sequence[str]
) -> dict[tuple[str, str], tuple[str, dict[str, str]]]:
    """Create the tables ``own`` of _OWN (meta.column empty); returns their descriptions."""
    described = {}
    for name in own:
        description, columns = _OWN[name]
        con.execute(f'create table out.meta."{name}" ({", ".join(f"{column} {kind}" for column, (kind, _) in columns.items())})')
        described["meta", name] = (description, {column: text for column, (_, text) in columns.items()})
    con.execute(
        "insert into out.meta.release values (?, ?, ?, ?, ?, ?, ?)",
        [release_id, audit.run_id, audit.as_of, audit.territory_on, now, audit.is_synthetic, audit.code_version],
    )
    if "check_result" in own:
        fields = (
            "suite",
            "table",
            "name",
            "column",
            "severity",
            "passed",
            "is_broken",
            "observed",
            "expected",
            "unexpected_count",
        )
        texts = ("description_de", "description_en")
        _insert(con, "out.meta.check_result", [[result[field] for field in (*fields, *texts)] for result in audit.results])
    return described


def _insert_lineage(con: duckdb.DuckDBPyConnection, traced: Lineage, tables: Sequence[str], code_version: str) -> None:
    rows = [
        [*table.split("."), source.land_code, source.name, delivered, source.stated, source.licence is not None, code_version]
        for table in tables
        for delivered, source in traced.of(table)
    ]
    _insert(con, "out.meta.lineage", sorted(rows, key=lambda row: [str(value) for value in row]))
    files = [
        [
            source.land_code,
            source.name,
            *(getattr(file, name) for name in ("delivery_id", "delivered_at", "part", "name", "sha256", "bytes")),
        ]
        for source in traced.sources
        for file in source.files
    ]
    for start in range(0, len(files), 1000):
        _insert(con, "out.meta.landing_file", files[start : start + 1000])


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """In one statement: one for each row takes a millisecond each."""
    if rows:
        marks = f"({', '.join('?' * len(rows[0]))})"
        con.execute(f"insert into {table} values {', '.join([marks] * len(rows))}", [value for row in rows for value in row])


def _describe(
    con: duckdb.DuckDBPyConnection,
    descriptions: dict[tuple[str, str], tuple[str, dict[str, str]]],
    units: list[tuple[str, str, str, str]],
) -> None:
    """Comments on tables and columns, and meta.column with the same words and the units (schema, table, column, unit)."""
    con.begin()  # a commit for each of a thousand comments would cost more than they do
    for (schema, name), (description, columns) in descriptions.items():
        con.execute(f'comment on table out.{schema}."{name}" is {_text(description)}')
        for column, text in columns.items():
            con.execute(f'comment on column out.{schema}."{name}"."{column}" is {_text(text)}')
    con.commit()
    con.execute("create temp table unit (schema_name varchar, table_name varchar, column_name varchar, unit varchar)")
    _insert(con, "unit", units)
    con.execute(
        'insert into out.meta."column"'
        " select schema_name, table_name, column_name, column_index::integer, data_type, comment, unit"
        " from duckdb_columns() left join unit using (schema_name, table_name, column_name)"
        " where database_name = 'out' order by all"
    )


def _tables_of(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    query = "select schema_name, table_name from duckdb_tables() where database_name = 'out' order by all"
    return [(str(schema), str(name)) for schema, name in con.execute(query).fetchall()]


def _digest(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Rows and an order-free digest of what a query gives."""
    return con.execute(f"select count(*), bit_xor(hash(t)), sum(hash(t)::hugeint) from ({query}) as t").fetchall()


def _export(con: duckdb.DuckDBPyConnection, folder: Path, schema: str, name: str, months: Sequence[Path]) -> None:
    """A table as Parquet and, where it is not too long for that, as CSV. ``months``: the files that it is kept in, if it is: they are
    copied as they are, so that a month that did not change is the same file in every release."""
    table, parquet = f'out.{schema}."{name}"', folder / "parquet" / schema / f"{name}.parquet"
    parquet.parent.mkdir(parents=True, exist_ok=True)
    if months:
        parquet.mkdir()
        for month in months:
            shutil.copyfile(month, parquet / f"{month.name[:7]}.parquet")
    else:
        con.execute(f"copy {table} to {_text(str(parquet))} (format parquet, compression zstd)")
    if con.execute(f"select count(*) <= {CSV_ROWS_MAX} from {table}").fetchall()[0][0]:
        write_csv(con, table, folder / "csv" / schema / f"{name}.csv")


def _sums(folder: Path) -> dict[Path, str]:
    """The sha256 of every file that is written by now."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor() as pool:
        return dict(zip(files, pool.map(sha256_of, files), strict=True))


def _seal(folder: Path, known: Mapping[Path, str]) -> None:
    """Hash, protect and sync every file; SHA256SUMS comes last, so that its presence says that all others are whole.

    ``known``: what of it is hashed already.
    """
    shutil.rmtree(folder.parent / ".spill", ignore_errors=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:  # which mostly wait for the disk
        list(pool.map(_protect, files))
    sums = "".join(f"{known.get(path) or sha256_of(path)}  {path.relative_to(folder)}\n" for path in files)
    write_atomically(folder / SUMS, sums)
    _protect(folder / SUMS)
    for inner in _folders(folder):
        sync_folder(inner)


def _folders(folder: Path) -> Iterable[Path]:
    return [*(path for path in folder.rglob("*") if path.is_dir()), folder]


def _protect(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.chmod(0o444)


def _text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
