"""Cleaning: a landed delivery becomes clean Parquet, quarantine Parquet and a record, once.

Belongs here: which files cleaning writes, when it has nothing to do, and what it records. Does not: the rules (``engine`` and one
module per canonical table), reading formats (``ingest.portals``), whether a delivery is good enough to be admitted.

On disk, under the home folder::

    clean/<table>/<land_code>/<source>/<delivery_id>.<fingerprint>.parquet
    quarantine/<table>/<land_code>/<source>/<delivery_id>.<fingerprint>.parquet
    clean/records/<land_code>/<source>/<delivery_id>.<fingerprint>.json          written last: its presence says that the others are whole
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from ingest import portals, services
from ingest.clean import (
    authorities,
    case_volumes,
    connections,
    costs,
    listings,
    page_visits,
    regions,
    territory_changes,
    usage,
)
from ingest.clean.engine import QUARANTINE_SCHEMA, Context, Outcome, TableRules, clean_frame
from ingest.directory import Reference
from ingest.landfile import LandFile, Source
from ingest.landing import Delivery, Landing, LandingError, make_folder
from ingest.tables import TABLES

__all__ = [
    "CLEANING_VERSION",
    "QUARANTINE_SCHEMA",
    "RULES",
    "CleaningRecord",
    "clean_deliveries",
    "clean_delivery",
    "fingerprint_of",
]


def _version_of_sources() -> str:
    sha = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted([*package.glob("*.py"), *(package / "clean").glob("*.py"), *(package / "portals").glob("*.py")]):
        sha.update(path.read_bytes())
    sha.update(services.PATH.read_bytes())
    return sha.hexdigest()[:12]


#: Part of every fingerprint: a digest of the code that reads and cleans and of the list of services, so that a changed rule cleans every delivery again.
#: (A number to be raised by hand would be forgotten once, and old rows would stay under new rules.)
CLEANING_VERSION = _version_of_sources()

#: So many deliveries are cleaned at once, where there are several of at least so many bytes: memory is that of as many.
_AT_ONCE, _LARGE_BYTES = 2, 1_000_000

RULES: dict[str, TableRules] = {
    "regions": regions.RULES,
    "territory_changes": territory_changes.RULES,
    "authorities": authorities.AUTHORITIES,
    "competences": authorities.COMPETENCES,
    "connections": connections.RULES,
    "usage": usage.RULES,
    "case_volumes": case_volumes.RULES,
    "costs": costs.RULES,
    "listings": listings.RULES,
    "page_visits": page_visits.RULES,
}


@dataclass(frozen=True)
class CleaningRecord:
    """What became of one delivery. ``rows_delivered`` = ``rows_clean`` + the sum of ``quarantined`` (rule -> rows).

    ``problem`` is one German sentence with its remedy when no row of the delivery can be used, ``problem_en`` the same in English.
    The paths are relative to the home folder; both files exist even where they hold no row.
    ``statement_id``: the delivery's own id, under which a later delivery of its source replaces it whole.
    """

    land_code: str
    source: str
    table: str
    delivery_id: str
    delivered_at: datetime
    fingerprint: str
    rows_delivered: int
    rows_clean: int
    quarantined: dict[str, int]
    unknown_columns: list[str]
    missing_columns: list[str]
    problem: str | None
    problem_en: str | None
    clean_path: str
    quarantine_path: str
    statement_id: str | None = None

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(asdict(self) | {"delivered_at": self.delivered_at.isoformat()}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, document: str | bytes) -> CleaningRecord:
        """The record that ``to_json`` wrote. Raises ValueError, KeyError or TypeError where the text is none."""
        fields = json.loads(document)
        return cls(**fields | {"delivered_at": datetime.fromisoformat(fields["delivered_at"])})


def fingerprint_of(land: LandFile, source: Source, delivery: Delivery, reference: Reference | None) -> str:
    """12 hex digits over everything that decides what cleaning makes of a delivery: its bytes, the Land file's words, our rules, the
    key of its signatures and, where the table looks up authorities, who is competent where."""
    return _fingerprint(_words_and_rules(land, source, reference), delivery)


def _words_and_rules(land: LandFile, source: Source, reference: Reference | None) -> bytes:
    """What the fingerprints of all deliveries of a source have in common."""
    key = source.resolved_verification_key()
    content = {
        "source": source.model_dump(mode="json"),
        "land_code": land.land_code,
        "version": CLEANING_VERSION,
        "reference": reference.fingerprint if reference is not None and TABLES[source.table].day else None,
        "verification_key": hashlib.sha256(key.encode()).hexdigest() if key else None,
    }
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


def _fingerprint(common: bytes, delivery: Delivery) -> str:
    return hashlib.sha256(b"\n".join([*[part.sha256.encode() for part in delivery.parts], common])).hexdigest()[:12]


def clean_deliveries(
    home: Path,
    landing: Landing,
    land: LandFile,
    source: Source,
    deliveries: Sequence[Delivery],
    reference: Reference | None,
    now: datetime,
) -> Iterator[CleaningRecord]:
    """Clean the deliveries of one source as ``clean_delivery`` does; their records, in their order. Large ones are cleaned at once."""
    common = _words_and_rules(land, source, reference)

    def cleaned(delivery: Delivery) -> CleaningRecord:
        return _cleaned(Path(home), landing, land, source, delivery, reference, now, _fingerprint(common, delivery))

    if sum(delivery.bytes >= _LARGE_BYTES for delivery in deliveries) < 2:
        yield from map(cleaned, deliveries)
        return
    # half of the work is not Polars' own: one delivery alone leaves other cores idle
    pool = ThreadPoolExecutor(_AT_ONCE, "clean")
    try:
        yield from pool.map(cleaned, deliveries)
    finally:
        pool.shutdown(cancel_futures=True)


def clean_delivery(
    home: Path,
    landing: Landing,
    land: LandFile,
    source: Source,
    delivery: Delivery,
    reference: Reference | None,
    now: datetime,
    *,
    as_seen: bool = False,
) -> CleaningRecord:
    """Clean one landed delivery, or return the record of having done so: an unchanged delivery is not parsed again.

    Whatever the delivery holds, the outcome is a record; one that cannot be read has ``problem`` and no rows.
    The result depends on nothing but the fingerprint; ``now`` guards against a delivery from the future. ``as_seen``: rows are told by
    the numbers that people see beside them in the file; for trials, in a home of their own.
    Raises ValueError for a delivery received after ``now``, LandingError where its landed bytes are damaged, OSError where the disk
    refuses.
    """
    fingerprint = fingerprint_of(land, source, delivery, reference)
    return _cleaned(Path(home), landing, land, source, delivery, reference, now, fingerprint, as_seen)


def _cleaned(
    home: Path,
    landing: Landing,
    land: LandFile,
    source: Source,
    delivery: Delivery,
    reference: Reference | None,
    now: datetime,
    fingerprint: str,
    as_seen: bool = False,
) -> CleaningRecord:
    if delivery.delivered_at > now:
        raise ValueError(
            f"Delivery {delivery.delivery_id} was received after {now.isoformat()}: leave it out, or correct the clock (ROLLIN_NOW)."
        )
    file = f"{delivery.delivery_id}.{fingerprint}"
    record_file = os.path.join(home, "clean", "records", land.land_code, source.name, f"{file}.json")
    if (known := _known(home, record_file)) is not None:
        return known

    record_path = Path(record_file)
    clean_path = home / "clean" / source.table / land.land_code / source.name / f"{file}.parquet"
    quarantine_path = home / "quarantine" / source.table / land.land_code / source.name / f"{file}.parquet"
    clean_aside, quarantine_aside = (path.with_name(f".{path.name}.{os.getpid()}") for path in (clean_path, quarantine_path))
    for path in (clean_path, quarantine_path, record_path):
        make_folder(path.parent)
    for part in delivery.parts:
        if not landing.verify(part):
            raise LandingError(
                f"The landed bytes of '{part.name}' ({part.sha256}) are damaged: restore landing/objects from a backup."
            )

    table = TABLES[source.table]
    context = Context(
        table=table,
        land_code=land.land_code,
        source=source.name,
        delivery_id=delivery.delivery_id,
        delivered_at=delivery.delivered_at,
        reference=reference if table.day else None,
        columns=source.columns,
        constants=source.constants,
        values=source.values,
        reading=source.reading,
    )
    try:
        try:
            raw = portals.read_delivery(landing, delivery, source, as_seen=as_seen)
            outcome = clean_frame(raw, context, RULES[source.table], clean_aside, quarantine_aside)
        except portals.UnreadableDelivery as unreadable:
            outcome = _unreadable(context, unreadable, clean_aside, quarantine_aside)
        for aside, path in ((clean_aside, clean_path), (quarantine_aside, quarantine_path)):
            _commit(aside, path)
    finally:
        clean_aside.unlink(missing_ok=True)
        quarantine_aside.unlink(missing_ok=True)
    record = CleaningRecord(
        land_code=land.land_code,
        source=source.name,
        table=source.table,
        delivery_id=delivery.delivery_id,
        delivered_at=delivery.delivered_at,
        fingerprint=fingerprint,
        clean_path=str(clean_path.relative_to(home)),
        quarantine_path=str(quarantine_path.relative_to(home)),
        statement_id=portals.statement_id(landing, delivery),
        **asdict(outcome),
    )
    record_aside = record_path.with_name(f".{record_path.name}.{os.getpid()}")
    record_aside.write_text(record.to_json(), encoding="utf-8")
    _commit(record_aside, record_path)
    return record


def _known(home: Path, record_file: str) -> CleaningRecord | None:
    """The record of a delivery that is cleaned already, unless it or its files are gone. Asked of every delivery every night."""
    try:
        record = CleaningRecord.from_json(Path(record_file).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = all(os.path.isfile(os.path.join(home, path)) for path in (record.clean_path, record.quarantine_path))
    return record if is_whole else None


def _unreadable(context: Context, unreadable: portals.UnreadableDelivery, clean_path: Path, quarantine_path: Path) -> Outcome:
    pl.DataFrame(schema=context.table.polars_schema()).write_parquet(clean_path)
    pl.DataFrame(schema=QUARANTINE_SCHEMA).write_parquet(quarantine_path)
    return Outcome(0, 0, {}, [], [], unreadable.sentence_de, unreadable.sentence_en)


def _commit(aside: Path, path: Path) -> None:
    """Make a file that was written aside the file: whole or not at all, also after a power cut."""
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(aside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
