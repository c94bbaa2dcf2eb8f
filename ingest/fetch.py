"""Fetch: bring what is new of one source into landing, whatever the other side does.

Belongs here: files, globs and addresses as deliveries; what is new and what is not; failures as sentences. Does not: HTTP
(``ingest.transport``), folders here and on servers (``ingest.locations``), formats (``ingest.portals``), whether a delivery is
admitted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from ingest.landfile import QUESTION_FORMATS, Auth, LandFile, NotConfigured, Source, is_pattern
from ingest.landing import Delivery, Landing, LandingError, Part
from ingest.locations import Found, being_written, land_file, open_location
from ingest.portals import PORTALS, IncompleteDelivery, Question, Request, UnreadableDelivery
from ingest.transport import Client, Limits, TransportError

_SAFE_AGE = timedelta(minutes=2)
#: No catalogue is asked for longer than this, whatever there is to ask.
_LONGEST_SECONDS = 12 * 3600.0
_log = logging.getLogger(__name__)


@dataclass
class FetchOutcome:
    """What a fetch brought. ``problem`` is one German sentence with its remedy, ``problem_en`` the same in English.

    ``new``: ``deliveries`` were landed; with a ``problem`` when some files of a glob could not be read.
    ``unchanged``: the other side has nothing that is not landed already.
    ``failed``: nothing usable came. ``not_configured``: environment variables are missing, nothing was asked for.
    ``repeats``: the delivery_id of the landed delivery whose bytes an address served once more; None where it told of no change.
    ``requests`` counts requests or files read, ``bytes`` what was received.
    """

    status: Literal["new", "unchanged", "failed", "not_configured"]
    deliveries: list[Delivery] = field(default_factory=list)
    problem: str | None = None
    problem_en: str | None = None
    repeats: str | None = None
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
    questions: Sequence[Question] = (),
    environ: Mapping[str, str] | None = None,
    is_synthetic: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    limits: Limits | None = None,
) -> FetchOutcome:
    """Fetch one source. ``now`` is the instant of receipt, ``since`` that of the last admitted delivery (for portals that can answer
    changes), ``land_codes`` the Länder that take part (for federal portals), ``questions`` what is asked of a catalogue that answers one
    at a time, ``on_progress`` is told requests and bytes so far. Without ``limits`` those that the source needs.

    Never raises for anything the other side does; raises LandingError when our own disk refuses.
    """
    store = _Store(land, source, landing, now, is_synthetic or land.is_synthetic)
    try:
        location = source.resolved_location(environ)
        auth = source.resolved_auth(environ)
    except NotConfigured as missing:
        names = ", ".join(missing.variables)
        if missing.is_switched_off:
            return FetchOutcome(
                "not_configured",
                problem=f"Die Quelle {store.title} ist abgeschaltet: statt 'off' eine Adresse in {names} setzen.",
                problem_en=f"The source {store.title} is switched off: set {names} to an address instead of 'off'.",
            )
        return FetchOutcome(
            "not_configured",
            problem=f"Die Quelle {store.title} ist nicht eingerichtet: Umgebungsvariable {names} setzen.",
            problem_en=f"The source {store.title} is not configured: set the environment variable {names}.",
        )
    except ValueError as error:
        return FetchOutcome(
            "failed",
            problem=f"{store.title}: Adresse oder Zugang ist unbrauchbar: {error}",
            problem_en=f"{store.title}: address or access is unusable: {error}",
        )
    if "://" not in location or location.startswith("sftp://"):
        return _fetch_files(store, location, auth, on_progress, limits or Limits())

    outcome = FetchOutcome("failed")
    limits = limits or _limits(source, len(questions))
    with Client(
        landing, auth, newest=landing.newest(land.land_code, source.name), limits=limits, on_progress=on_progress
    ) as client:
        try:
            request = Request(location, tuple(land_codes), since, tuple(questions))
            parts = PORTALS[source.format].fetch(client, source, request)
            if parts and source.since and since and _is_empty(landing, source, parts):
                parts = []
            if not parts:
                outcome.status = "unchanged"
            elif (delivery := store.store_unless_newest(parts)) is not None:
                outcome.status, outcome.deliveries = "new", [delivery]
            else:
                newest = landing.newest(land.land_code, source.name)
                outcome.status, outcome.repeats = "unchanged", newest.delivery_id if newest else None
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


def _limits(source: Source, questions: int) -> Limits:
    """The bounds of a fetch at the source's pace. Small answers to many questions take hours: as many as half the pace would need."""
    if source.format not in QUESTION_FORMATS:
        return Limits(requests_per_second=source.requests_per_second)
    requests = 1_000 + 2 * questions
    return Limits(
        requests=requests,
        requests_per_second=source.requests_per_second,
        total_seconds=min(_LONGEST_SECONDS, 600 + 2 * requests / (source.requests_per_second or 1)),
        response_bytes=64 * 1024**2,
    )


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
        if newest and [_said(part) for part in newest.parts] == [_said(part) for part in parts]:
            return None
        return self.store(parts)


def _said(part: Part) -> tuple[str, str]:
    """What was answered, and to what: the same answer to another question is news."""
    return part.sha256, urlsplit(part.address).query if "://" in part.address else ""


def _is_empty(landing: Landing, source: Source, parts: Sequence[Part]) -> bool:
    """Whether an answer to "what changed since" holds no row. What cannot be read is left for cleaning to say so."""
    try:
        frame = PORTALS[source.format].read([landing.path(part) for part in parts], source)
    except UnreadableDelivery:
        return False
    return frame.head(1).collect().is_empty()


def _fetch_files(
    store: _Store, location: str, auth: Auth, on_progress: Callable[[int, int], None] | None, limits: Limits
) -> FetchOutcome:
    """A path is one delivery unless its content is the newest; each file of a pattern is one unless it was landed so last.

    A file that returns to an earlier content is delivered anew: it takes a correction back. What is unchanged, by size and time of
    change, is not transferred or read again.
    """
    outcome = FetchOutcome("unchanged")
    earlier = store.landing.deliveries(store.land.land_code, store.source.name)
    known = {part.address: (part, delivery) for delivery in earlier for part in delivery.parts}

    def tell(error: TransportError) -> None:
        outcome.problem = outcome.problem or f"{store.title}: {error.sentence_de}"
        outcome.problem_en = outcome.problem_en or f"{store.title}: {error.sentence_en}"

    try:
        with open_location(location, auth, limits) as place:
            found = place.files()
            if not found and not known:
                tell(
                    TransportError(
                        f"Unter {location} liegt keine Datei: die Lieferung ablegen oder 'location' im Land-File prüfen.",
                        f"There is no file at {location}: put the delivery there or check 'location' in the Land file.",
                    )
                )
            wanted = [file for file in found if not _is_unchanged(file, known.get(file.address))]
            settled = place.settled(wanted)
            for file in wanted:
                try:
                    if file.address not in settled:
                        raise being_written(file)
                    part = land_file(store.landing, place, file, replace(limits, total_bytes=limits.total_bytes - outcome.bytes))
                except TransportError as error:
                    tell(error)
                    continue
                outcome.requests += 1
                outcome.bytes += part.bytes
                if on_progress:
                    on_progress(outcome.requests, outcome.bytes)
                if not is_pattern(location):
                    delivery = store.store_unless_newest([part])
                else:
                    last = known.get(part.address)
                    is_landed = last is not None and last[0].sha256 == part.sha256
                    delivery = None if is_landed else store.store([part], len(outcome.deliveries) + 1)
                if delivery:
                    outcome.deliveries.append(delivery)
    except TransportError as error:
        tell(error)
    if outcome.deliveries:
        outcome.status = "new"
    elif outcome.problem:
        outcome.status = "failed"
    return outcome


def _is_unchanged(file: Found, known: tuple[Part, Delivery] | None) -> bool:
    """Whether a file is the one that was landed last: same size, same time of change to the second.

    A file that was landed within minutes of its change may have been changed again in the same second (or the two clocks differ): it
    is transferred again, and its content decides.
    """
    if known is None:
        return False
    part, delivery = known
    is_same = (file.bytes, file.last_modified) == (part.bytes, part.last_modified)
    return is_same and delivery.delivered_at - file.modified_at > _SAFE_AGE


def _unexpected(title: str, error: Exception) -> tuple[str, str]:
    name = type(error).__name__
    return (
        f"{title}: Der Abruf scheiterte an einem unerwarteten Fehler ({name}): das Protokoll an die Entwicklung geben.",
        f"{title}: The fetch failed on an unexpected error ({name}): hand the log to the developers.",
    )
