"""Probe: one small question to a source, to see whether it would answer tonight. Nothing is landed.

Belongs here: what is asked, what can be told from the beginning of an answer. Does not: which sources there are and how they are shown
(``orchestration``), how a format is asked for (its portal: a probe is the portal's own first request, with pages of one row).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ingest.landfile import Auth, LandFile, NotConfigured, Source
from ingest.landing import Landing, Part
from ingest.locations import Found, open_location
from ingest.portals import PORTALS, IncompleteDelivery, Question, Request, UnreadableDelivery, read_delivery
from ingest.portals.base import instead, kind_of
from ingest.portals.documents import lookup
from ingest.transport import Client, Limits, TransportError

HEAD_BYTES = 65_536
LIMITS = Limits(
    connect_seconds=10.0,
    read_seconds=20.0,
    request_seconds=30.0,
    total_seconds=60.0,
    attempts=2,
    wait_max_seconds=5.0,
    requests=10,
)
#: Query parameters that say how many rows a page has.
_SIZES = ("size", "itemsPerPage", "limit")
#: Where envelopes promise the number of all rows.
_TOTALS = ("totalElements", "page.totalElements", "hydra:totalItems", "totalItems", "totalCount", "totalHits")
#: What the first bytes of a format look like.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "json": ("ein JSON-Dokument",),
    "ndjson": ("ein JSON-Dokument",),
    "csv": ("unbekannter Inhalt",),
    "xlsx": ("ein ZIP-Archiv oder eine Office-Datei",),
    "gebietsaenderungen": ("ein ZIP-Archiv oder eine Office-Datei",),
    "parquet": ("eine Parquet-Datei",),
    "gv100ad": ("ein ZIP-Archiv oder eine Office-Datei", "unbekannter Inhalt"),
    "open_pvog": ("ein JSON-Dokument", "unbekannter Inhalt"),
}
#: Formats whose first answer says nothing without those that follow.
_NOT_ALONE = ("ozg_nrw",)


@dataclass(frozen=True)
class ProbeOutcome:
    """What a probe saw. ``problem`` is one German sentence with its remedy, ``problem_en`` the same in English, like FetchOutcome's.

    ``status``: ``ok``, ``not_configured`` (``missing_variables`` are to be set), ``failing``. ``found``/``found_en``: what came, in a few
    words. ``rows_promised``: rows that the portal says it has. ``files``: files of a location; ``newest_file`` is the one changed last,
    at ``newest_modified_at``, ``newest_age_days`` ago (days). ``bytes``: received; ``milliseconds``: from the first to the last byte and
    before.
    """

    land_code: str
    source: str
    table: str
    format: str
    is_required: bool
    status: Literal["ok", "not_configured", "failing"]
    found: str | None = None
    found_en: str | None = None
    problem: str | None = None
    problem_en: str | None = None
    missing_variables: tuple[str, ...] = ()
    http_status: int | None = None
    content_type: str | None = None
    bytes: int = 0
    rows_promised: int | None = None
    files: int | None = None
    newest_file: str | None = None
    newest_modified_at: datetime | None = None
    newest_age_days: float | None = None
    milliseconds: int = 0


def probe_source(
    land: LandFile,
    source: Source,
    *,
    now: datetime,
    land_codes: Sequence[str] = (),
    questions: Sequence[Question] = (),
    environ: Mapping[str, str] | None = None,
    limits: Limits = LIMITS,
) -> ProbeOutcome:
    """Ask a source for as little as shows that it answers, as who we are, in the format that the Land file declares.

    ``now`` is what ages count from, ``land_codes`` the Länder of a federal catalogue, ``questions`` those of a catalogue that answers
    questions: the first is asked. Never raises for anything the other side does; ends within about ``limits.total_seconds``.
    """
    outcome = ProbeOutcome(land.land_code, source.name, source.table, source.format, source.required, "failing")
    begun = time.monotonic()
    try:
        location, auth = source.resolved_location(environ), source.resolved_auth(environ)
        is_file = "://" not in location or location.startswith("sftp://")
        if is_file:
            seen = _files(source, location, auth, now, limits)
        else:
            request = Request(location, tuple(land_codes), None, tuple(questions[:1]))
            seen = _answer(land, source, request, auth, now, limits)
        outcome = replace(outcome, status="ok", **seen)
    except NotConfigured:
        missing = source.missing_variables(environ)
        names = ", ".join(missing)
        outcome = replace(
            outcome,
            status="not_configured",
            missing_variables=tuple(missing),
            problem=f"Nicht eingerichtet oder abgeschaltet: Umgebungsvariable {names} setzen.",
            problem_en=f"Not configured or switched off: set the environment variable {names}.",
        )
    except _Unfit as unfit:
        outcome = replace(outcome, **unfit.seen, problem=unfit.problem.sentence_de, problem_en=unfit.problem.sentence_en)
    except (TransportError, UnreadableDelivery, IncompleteDelivery) as error:
        status = error.status if isinstance(error, TransportError) else None
        outcome = replace(outcome, http_status=status, problem=error.sentence_de, problem_en=error.sentence_en)
    except ValueError as error:
        outcome = replace(
            outcome, problem=f"Adresse oder Zugang ist unbrauchbar: {error}", problem_en=f"address or access is unusable: {error}"
        )
    except Exception as error:  # whatever an answer made our own code do, the other sources are tried too
        name = type(error).__name__
        outcome = replace(
            outcome,
            problem=f"Der Versuch scheiterte an einem unerwarteten Fehler ({name}): an die Entwicklung geben.",
            problem_en=f"The attempt failed on an unexpected error ({name}): hand it to the developers.",
        )
    return replace(outcome, milliseconds=round((time.monotonic() - begun) * 1000))


# -- files ------------------------------------------------------------------------------------------------------------------


def _files(source: Source, location: str, auth: Auth, now: datetime, limits: Limits) -> dict[str, Any]:
    """A listing, and what the newest file begins with. Raises TransportError, _Unfit."""
    with open_location(location, auth, limits) as place:
        found = place.files()
        if not found:
            raise TransportError(
                f"Unter {location} liegt keine Datei: die Lieferung ablegen oder 'location' im Land-File prüfen.",
                f"There is no file at {location}: put the delivery there or check 'location' in the Land file.",
            )
        newest: Found = max(found, key=lambda one: one.modified_ns)
        with place.open(newest) as file:
            head = file.read(2000)
    age = (now - newest.modified_at).total_seconds() / 86_400
    name = Path(newest.path).name
    seen = {
        "files": len(found),
        "newest_file": name,
        "newest_modified_at": newest.modified_at,
        "newest_age_days": round(age, 2),
        "bytes": len(head),
        "found": f"{len(found):,} {'Datei' if len(found) == 1 else 'Dateien'}, die neueste {name}, vor {max(age, 0):.0f} Tagen geändert",
        "found_en": f"{len(found):,} file{'s' * (len(found) != 1)}, the newest {name}, changed {max(age, 0):.0f} days ago",
    }
    _check_kind(seen, head, source)
    return seen


# -- answers ----------------------------------------------------------------------------------------------------------------


class _Unfit(Exception):
    """An answer that came, and is not what the Land file says. ``seen``: what is known of it."""

    def __init__(self, seen: dict[str, Any], problem: UnreadableDelivery):
        self.seen, self.problem = seen, problem
        super().__init__(str(problem))


class _Enough(Exception):
    """How a portal's walk ends after its first answer."""

    def __init__(self, part: Part):
        self.part = part


class _FirstAnswer(Client):
    """Ends a portal's fetch with the first answer, of which it asks for one row."""

    def get(
        self, address: str, accept: str, params: Mapping[str, str | int] | None = None, *, empty_status: int | None = None
    ) -> Part:
        smaller = {name: 1 if name in _SIZES else value for name, value in (params or {}).items()}
        raise _Enough(super().get(address, accept, smaller, empty_status=empty_status))


def _answer(land: LandFile, source: Source, request: Request, auth: Auth, now: datetime, limits: Limits) -> dict[str, Any]:
    if source.pages.kind != "none" and getattr(source.pages, "size", None):
        source = source.model_copy(update={"pages": source.pages.model_copy(update={"size": 1})})
    with tempfile.TemporaryDirectory(prefix="rollin-probe-") as folder:
        landing = Landing(Path(folder))
        with _FirstAnswer(landing, auth, limits=limits, head_bytes=HEAD_BYTES) as client:
            try:
                PORTALS[source.format].fetch(client, source, request)
            except _Enough as enough:
                part = enough.part
        data = landing.path(part).read_bytes()
        is_cut = part.bytes >= HEAD_BYTES
        promised = None if is_cut else _promised(data, source)
        seen: dict[str, Any] = {
            "http_status": part.status,
            "content_type": part.content_type,
            "bytes": part.bytes,
            "rows_promised": promised,
        }
        size = f"{'mehr als ' if is_cut else ''}{part.bytes:,} Bytes"
        size_en = f"{'more than ' if is_cut else ''}{part.bytes:,} bytes"
        seen["found"] = f"HTTP {part.status}, {part.content_type or 'ohne Content-Type'}, {size}"
        seen["found_en"] = f"HTTP {part.status}, {part.content_type or 'no Content-Type'}, {size_en}"
        if promised is not None:
            seen["found"] += f", {promised:,} Zeilen angekündigt"
            seen["found_en"] += f", {promised:,} rows promised"
        if part.status == 404:  # a portal's way to say that it found nothing
            return seen
        _check_kind(seen, data[:2000], source)
        if not is_cut and source.format not in _NOT_ALONE:
            delivery = landing.store(
                land_code=land.land_code,
                source=source.name,
                table=source.table,
                format=source.format,
                delivered_at=now,
                parts=[part],
            )
            try:
                read_delivery(landing, delivery, source)
            except UnreadableDelivery as unreadable:
                raise _Unfit(seen, unreadable) from None
        return seen


def _check_kind(seen: dict[str, Any], head: bytes, source: Source) -> None:
    """Raises _Unfit where a beginning is not that of the declared format."""
    if kind_of(head) not in _KINDS.get(source.format, ("ein JSON-Dokument",)):
        advice = ("Adresse und Format im Land-File prüfen", "check address and format in the Land file")
        raise _Unfit(seen, instead(head, f"Format {source.format}", f"format {source.format}", *advice))


def _promised(data: bytes, source: Source) -> int | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    totals = [total for total in (getattr(source.pages, "total", None), *_TOTALS) if total]
    found = next((total for path in totals if (total := lookup(document, path)) is not None), None)
    return found if type(found) is int and found >= 0 else None
