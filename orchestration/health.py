"""Whether all is well: what a monitoring asks, what an operator is told at once, and what is told only once.

Belongs here: judging what ``status`` reads from disk, and the memory of what was told. Does not: reading it (``status``), the ways of a
message (``alerts``), Dagster (``sensors``).

``build/told.json``: the problems that were told last and when, so that a problem is told once a day and its end once.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestration import alerts
from orchestration.settings import Settings, UsageError

#: A release older than this was missed by a night; ``ROLLIN_STALE_HOURS`` sets it.
STALE_HOURS = 36.0

#: A night that takes longer than this hangs.
_RUN_HOURS = 6.0

#: What a release needs at least to be written, beside the size of the current one twice over.
_FREE_BYTES = 1_000_000_000

_REPEATED_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``code``: stable, for programs. ``severity``: error (somebody has to act) or warn. ``subject``: the
    source that it is about, empty for the house. ``message_de``, ``message_en``: one sentence with its remedy."""

    code: str
    severity: str
    subject: str
    message_de: str
    message_en: str

    @property
    def key(self) -> str:
        """What makes it the same problem as yesterday's."""
        return f"{self.code} {self.subject}".rstrip()


def problems(settings: Settings, state: dict[str, Any], now: datetime) -> list[Problem]:
    """What is wrong, by what ``read_status`` told; the gravest first. Raises UsageError for a limit that is no number."""
    found = [*_of_release(settings, state, now), *_of_run(state, now), *_of_sources(state, now), *_of_disk(settings)]
    return sorted(found, key=lambda problem: problem.severity != "error")


def stale_hours(settings: Settings) -> float:
    """After how many hours a release is stale. Raises UsageError where ``ROLLIN_STALE_HOURS`` is no number."""
    try:
        hours = float(settings.environ.get("ROLLIN_STALE_HOURS") or STALE_HOURS)
    except ValueError:
        hours = 0.0
    if not 0.0 < hours < 10_000.0:
        raise UsageError(
            "ROLLIN_STALE_HOURS is no number of hours: set it to the age at which a release is stale, for example 36."
        )
    return hours


def _of_release(settings: Settings, state: dict[str, Any], now: datetime) -> list[Problem]:
    release = state["release"]
    if state.get("damage"):
        return [
            Problem(
                "release_damaged",
                "error",
                "",
                f"Der aktuelle Stand ist beschädigt ({state['damage']}): mit 'rollin rollback' zum vorigen zurückkehren oder aus der "
                "Sicherung wiederherstellen.",
                f"The current release is damaged ({state['damage']}): return to the one before with 'rollin rollback', or restore it "
                "from the back-up.",
            )
        ]
    if release is None:
        return [
            Problem(
                "nothing_published",
                "error",
                "",
                "Es ist noch nichts veröffentlicht: 'rollin refresh' ausführen.",
                "Nothing is published yet: run 'rollin refresh'.",
            )
        ]
    hours, limit = (now - state["confirmed_at"]) / timedelta(hours=1), stale_hours(settings)
    if hours < -1:
        return [
            Problem(
                "clock_behind",
                "error",
                "",
                f"Die Uhr geht {-hours:.0f} Stunden hinter dem aktuellen Stand: die Uhr des Rechners stellen.",
                f"The clock is {-hours:.0f} hours behind the current release: set the clock of this machine.",
            )
        ]
    if hours > limit:
        return [
            Problem(
                "release_stale",
                "error",
                "",
                f"Der aktuelle Stand ist seit {hours:.0f} Stunden nicht bestätigt (Grenze {limit:.0f}): prüfen, ob der nächtliche Lauf "
                "gestartet wird und wie er endet.",
                f"The current release has not been confirmed for {hours:.0f} hours (limit {limit:.0f}): look whether the nightly run is "
                "started, and how it ends.",
            )
        ]
    return []


def _of_run(state: dict[str, Any], now: datetime) -> list[Problem]:
    run = state["last_run"]
    if run is not None and run["outcome"] not in ("published", "unchanged", "incomplete"):
        return [
            Problem(
                f"run_{run['outcome']}",
                "error",
                "",
                f"Der letzte Lauf hat nichts veröffentlicht ({run['outcome']}): {run['message']}",
                f"The last run published nothing ({run['outcome']}): {run['message']}",
            )
        ]
    running = state.get("running_since")
    if running is not None and (now - running) / timedelta(hours=1) > _RUN_HOURS:
        return [
            Problem(
                "run_unfinished",
                "error",
                "",
                f"Ein Lauf begann vor {(now - running) / timedelta(hours=1):.0f} Stunden und hat kein Ende: er hängt oder wurde getötet; ihn "
                "beenden, der nächste braucht keine Reparatur.",
                f"A run began {(now - running) / timedelta(hours=1):.0f} hours ago and has not ended: it hangs or was killed; end it, the "
                "next one needs no repair.",
            )
        ]
    return []


def _of_sources(state: dict[str, Any], now: datetime) -> list[Problem]:
    found = []
    for source in state["sources"]:
        if source["status"] not in ("stale", "missing"):
            continue
        where = f"{source['land_code']}/{source['source']}"
        since = source["last_delivered_at"]
        age = f"{(now - since) / timedelta(days=1):.0f}" if since is not None else None
        found.append(
            Problem(
                f"source_{source['status']}",
                "error" if source["is_required"] else "warn",
                where,
                f"{where}: {'letzte Lieferung vor ' + age + ' Tagen' if age else 'keine Lieferung'}. {source['message_de'] or ''}".strip(),
                f"{where}: {'last delivery ' + age + ' days ago' if age else 'no delivery'}. {source['message_en'] or ''}".strip(),
            )
        )
    return found


def _of_disk(settings: Settings) -> list[Problem]:
    try:
        free = shutil.disk_usage(settings.home).free
    except OSError:
        return []
    with contextlib.suppress(OSError):
        needed = _FREE_BYTES + 2 * sum(path.stat().st_size for path in settings.current.rglob("*") if path.is_file())
        if free < needed:
            return [
                Problem(
                    "disk_low",
                    "warn",
                    "",
                    f"Unter {settings.home} sind noch {free / 1e9:.1f} GB frei, {needed / 1e9:.1f} GB sollten es sein: Platz schaffen oder "
                    "weniger Stände behalten (ROLLIN_KEEP_RELEASES).",
                    f"{free / 1e9:.1f} GB are free below {settings.home}, it should be {needed / 1e9:.1f} GB: make room, or keep fewer "
                    "releases (ROLLIN_KEEP_RELEASES).",
                )
            ]
    return []


def tell(settings: Settings, found: list[Problem], now: datetime) -> list[Problem]:
    """Send what is new among the errors, or a day old, and that all is well again; returns the problems that were sent."""
    path = settings.build / "told.json"
    told: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        document = json.loads(path.read_text(encoding="utf-8"))
        told = {str(key): str(at) for key, at in document.items()}
    errors = [problem for problem in found if problem.severity == "error"]
    due = [problem for problem in errors if _is_due(told.get(problem.key), now)]
    for problem in due:
        alerts.send(settings, outcome=problem.code, message=problem.message_en, run_id="")
    if told and not errors:
        alerts.send(settings, outcome="recovered", message="All is well again.", run_id="")
    sent = {problem.key for problem in due}
    document = {p.key: now.isoformat() if p.key in sent else told[p.key] for p in errors}
    if document != told:
        from orchestration.durable import write_atomically

        try:
            write_atomically(path, json.dumps(document, ensure_ascii=False, indent=1))
        except OSError as error:  # told twice is better than not at all
            alerts.log.error("What was told could not be noted: %s", error.strerror)
    return due


def _is_due(told_at: str | None, now: datetime) -> bool:
    if told_at is None:
        return True
    try:
        since = now - datetime.fromisoformat(told_at)
    except (ValueError, TypeError):
        return True
    return since >= _REPEATED_AFTER or since < timedelta(0)


def to_dicts(found: list[Problem]) -> list[dict[str, Any]]:
    """The problems as JSON types."""
    return [asdict(problem) for problem in found]
