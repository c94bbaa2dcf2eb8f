"""Fetch: bring what is new of one source into landing, whatever the other side does.

Belongs here: files, globs and addresses as deliveries; what is new and what is not; failures as sentences. Does not: HTTP
(``ingest.transport``), formats (``ingest.portals``), whether a delivery is admitted.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from ingest.landfile import LandFile, NotConfigured, Source
from ingest.landing import Delivery, Landing, LandingError, Part
from ingest.portals import PORTALS, IncompleteDelivery, Request, UnreadableDelivery
from ingest.transport import Client, Limits, TransportError

MAX_FILES = 10_000
_CHUNK = 1024**2
_log = logging.getLogger(__name__)


@dataclass
class FetchOutcome:
    """What a fetch brought. ``problem`` is one German sentence with its remedy, ``problem_en`` the same in English.

    ``new``: ``deliveries`` were landed; with a ``problem`` when some files of a glob could not be read.
    ``unchanged``: the other side has nothing that is not landed already.
    ``failed``: nothing usable came. ``not_configured``: environment variables are missing, nothing was asked for.
    ``requests`` counts requests or files read, ``bytes`` what was received.
    """

    status: Literal["new", "unchanged", "failed", "not_configured"]
    deliveries: list[Delivery] = field(default_factory=list)
    problem: str | None = None
    problem_en: str | None = None
    requests: int = 0
    bytes: int = 0


def fetch_source(
    land: LandFile,
    source: Source,
    landing: Landing,
    *,
    land_codes: Sequence[str] = (),
    now: datetime,
    since: datetime | None = None,
    environ: Mapping[str, str] | None = None,
    is_synthetic: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    limits: Limits | None = None,
) -> FetchOutcome:
    """Fetch one source. ``now`` is the instant of receipt, ``since`` that of the last admitted delivery (for portals that can answer
    changes), ``land_codes`` the Länder that take part (for federal portals), ``on_progress`` is told requests and bytes so far.

    Never raises for anything the other side does; raises LandingError when our own disk refuses.
    """
    store = _Store(land, source, landing, now, is_synthetic or land.is_synthetic)
    try:
        location = source.resolved_location(environ)
        auth = source.resolved_auth(environ)
    except NotConfigured as missing:
        names = ", ".join(missing.variables)
        return FetchOutcome(
            "not_configured",
            problem=f"Die Quelle {store.title} ist nicht eingerichtet: Umgebungsvariable {names} setzen.",
            problem_en=f"The source {store.title} is not configured: set the environment variable {names}.",
        )
    except ValueError as error:
        return FetchOutcome(
            "failed",
            problem=f"Die Adresse der Quelle {store.title} ist unbrauchbar: {error}",
            problem_en=f"The address of source {store.title} is unusable: {error}",
        )
    if "://" not in location:
        return _fetch_files(store, location, on_progress)

    outcome = FetchOutcome("failed")
    with Client(
        landing, auth, newest=landing.newest(land.land_code, source.name), limits=limits, on_progress=on_progress
    ) as client:
        try:
            request = Request(location, tuple(land_codes), since)
            parts = PORTALS[source.format].fetch(client, source, request)
            if parts and source.since and since and _is_empty(landing, source, parts):
                parts = []
            if not parts:
                outcome.status = "unchanged"
            elif (delivery := store.store_unless_newest(parts)) is not None:
                outcome.status, outcome.deliveries = "new", [delivery]
            else:
                outcome.status = "unchanged"
        except (TransportError, UnreadableDelivery, IncompleteDelivery) as error:
            outcome.problem = f"{store.title}: {error.sentence_de}"
            outcome.problem_en = f"{store.title}: {error.sentence_en}"
        except LandingError:
            raise
        except Exception as error:  # whatever an answer made our own code do, the night goes on
            _log.exception("fetch of %s failed", store.title)
            outcome.problem, outcome.problem_en = _unexpected(store.title, error)
        outcome.requests, outcome.bytes = client.requests, client.bytes
    return outcome


@dataclass(frozen=True)
class _Store:
    """Where the deliveries of one fetch go."""

    land: LandFile
    source: Source
    landing: Landing
    now: datetime
    is_synthetic: bool

    @property
    def title(self) -> str:
        return f"{self.land.land_code}/{self.source.name}"

    def store(self, parts: Sequence[Part], sequence: int = 1) -> Delivery:
        return self.landing.store(
            land_code=self.land.land_code,
            source=self.source.name,
            table=self.source.table,
            format=self.source.format,
            delivered_at=self.now,
            parts=parts,
            licence=self.source.licence,
            is_synthetic=self.is_synthetic,
            sequence=sequence,
        )

    def store_unless_newest(self, parts: Sequence[Part]) -> Delivery | None:
        newest = self.landing.newest(self.land.land_code, self.source.name)
        if newest and [part.sha256 for part in newest.parts] == [part.sha256 for part in parts]:
            return None
        return self.store(parts)


def _is_empty(landing: Landing, source: Source, parts: Sequence[Part]) -> bool:
    """Whether an answer to "what changed since" holds no row. What cannot be read is left for cleaning to say so."""
    try:
        frame = PORTALS[source.format].read([landing.path(part) for part in parts], source)
    except UnreadableDelivery:
        return False
    return frame.head(1).collect().is_empty()


def _fetch_files(store: _Store, location: str, on_progress: Callable[[int, int], None] | None) -> FetchOutcome:
    """A path is one delivery unless its content is the newest; each file of a glob is one unless it was landed before."""
    outcome = FetchOutcome("unchanged")
    is_glob = any(sign in location for sign in "*?[") and not Path(location).is_file()
    landed = {
        (part.address, part.sha256) for d in store.landing.deliveries(store.land.land_code, store.source.name) for part in d.parts
    }
    paths = list(_matches(location)) if is_glob else [Path(location)]
    if not paths and not landed:
        outcome.status = "failed"
        outcome.problem = (
            f"{store.title}: Unter {location} liegt keine Datei: die Lieferung ablegen oder 'location' im Land-File prüfen."
        )
        outcome.problem_en = (
            f"{store.title}: There is no file at {location}: put the delivery there or check 'location' in the Land file."
        )
    for path in paths:
        try:
            part = _land_file(store.landing, path)
        except TransportError as error:
            outcome.problem = outcome.problem or f"{store.title}: {error.sentence_de}"
            outcome.problem_en = outcome.problem_en or f"{store.title}: {error.sentence_en}"
            continue
        outcome.requests += 1
        outcome.bytes += part.bytes
        if on_progress:
            on_progress(outcome.requests, outcome.bytes)
        if not is_glob:
            delivery = store.store_unless_newest([part])
        else:
            delivery = None if (part.address, part.sha256) in landed else store.store([part], len(outcome.deliveries) + 1)
        if delivery:
            outcome.deliveries.append(delivery)
    if outcome.deliveries:
        outcome.status = "new"
    elif outcome.problem:
        outcome.status = "failed"
    return outcome


def _matches(pattern: str) -> Iterator[Path]:
    """Files of a glob in natural order of their names: 2 before 10."""
    found = [path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)][:MAX_FILES]
    yield from sorted(
        map(Path, found), key=lambda path: [(int(t), "") if t.isdigit() else (-1, t) for t in re.split(r"(\d+)", str(path))]
    )


def _land_file(landing: Landing, path: Path) -> Part:
    """Copy a file into landing. Raises TransportError for a file that is missing, too large, unreadable or still being written."""
    limits = Limits()
    try:
        with path.open("rb") as file, landing.incoming() as incoming:
            before = os.fstat(file.fileno())
            while chunk := file.read(_CHUNK):
                incoming.write(chunk)
                if incoming.bytes > limits.total_bytes:
                    raise TransportError(
                        f"{path} ist größer als {limits.total_bytes:,} Bytes: in Teilen liefern.",
                        f"{path} is larger than {limits.total_bytes:,} bytes: deliver it in parts.",
                    )
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or incoming.bytes != after.st_size:
                raise TransportError(
                    f"{path} wird gerade geschrieben: der nächste Lauf liest die Datei, wenn sie fertig ist.",
                    f"{path} is being written: the next run reads the file once it is done.",
                )
            sha256 = incoming.commit()
            return Part(
                address=str(path),
                sha256=sha256,
                bytes=incoming.bytes,
                status=None,
                etag=None,
                last_modified=None,
                content_type=None,
                name=path.name,
            )
    except FileNotFoundError:
        raise TransportError(
            f"Die Datei {path} fehlt: die Lieferung ablegen oder 'location' im Land-File prüfen.",
            f"The file {path} is missing: put the delivery there or check 'location' in the Land file.",
        ) from None
    except OSError as error:
        raise TransportError(
            f"Die Datei {path} ist nicht lesbar ({error.strerror}): Rechte und Laufwerk prüfen.",
            f"The file {path} cannot be read ({error.strerror}): check its rights and the drive.",
        ) from error


def _unexpected(title: str, error: Exception) -> tuple[str, str]:
    name = type(error).__name__
    return (
        f"{title}: Der Abruf scheiterte an einem unerwarteten Fehler ({name}): das Protokoll an die Entwicklung geben.",
        f"{title}: The fetch failed on an unexpected error ({name}): hand the log to the developers.",
    )
