"""What ``rollin status`` tells. Belongs here: reading what is on disk, quickly. Does not: judging it (``health``)."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.landing import Landing
from orchestration import health, publication, withdrawals
from orchestration.deliveries import sources_of
from orchestration.settings import Settings


def read_status(settings: Settings) -> dict[str, Any]:
    """The current release (None before the first), the last run (likewise), the sources as of that release, and what is withdrawn.

    ``confirmed_at``: the instant of the last run that published the current release or found nothing newer; ``running_since``: of a run
    that has not ended; ``damage``: what is wrong with the current release's files, as far as one look tells; ``health``: see ``health.problems``.
    Raises UsageError for a clock or a limit that cannot be read.
    """
    now = settings.now()
    release: dict[str, Any] | None = None
    sources: list[dict[str, Any]] = []
    damage: str | None = None
    if os.path.lexists(settings.current):
        damage = next(iter(publication.verify(settings.current, in_passing=True)), None)
        release, sources, unreadable = _read_release(settings)
        damage = damage or unreadable
    landing = Landing(settings.home)
    taken_back = [
        {"land_code": code, "source": source, "delivery_id": w.delivery_id, "withdrawn_at": w.at, "reason": w.reason}
        for code, source in sources_of(landing)
        for w in withdrawals.recorded(landing, code, source, now).values()
    ]
    runs = list(_runs(settings.build))
    state: dict[str, Any] = {
        "home": str(settings.home),
        "now": now,
        "release": release,
        "confirmed_at": _confirmed_at(release, runs),
        "last_run": runs[0] if runs else None,
        "running_since": _running_since(settings.build),
        "damage": damage,
        "sources": sources,
        "withdrawn": taken_back,
    }
    found = health.problems(settings, state, now)
    state["health"] = {
        "is_well": not any(problem.severity == "error" for problem in found),
        "problems": health.to_dicts(found),
    }
    return state


def _read_release(settings: Settings) -> tuple[dict[str, Any] | None, list[dict[str, Any]], str | None]:
    import duckdb

    try:
        with duckdb.connect(str(settings.current / "warehouse.duckdb"), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            return _rows(con, "from meta.release")[0], _rows(con, "from meta.source_status order by land_code, source"), None
    except (duckdb.Error, IndexError):
        return None, [], "warehouse.duckdb cannot be read."


def _rows(con: Any, query: str) -> list[dict[str, Any]]:
    result = con.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _runs(build: Path) -> Iterator[dict[str, Any]]:
    """The records of runs, the newest first; those that rebuilt a past day are no night's."""
    for path in sorted(build.glob("*-*/run.json"), key=_written_at, reverse=True):
        with contextlib.suppress(OSError, ValueError):
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not str(record.get("release_id") or "").endswith("-asof"):
                yield record


def _written_at(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _confirmed_at(release: dict[str, Any] | None, runs: list[dict[str, Any]]) -> datetime | None:
    if release is None:
        return None
    published_at: datetime = release["published_at"]
    good = [
        datetime.fromisoformat(run["started_at"])
        for run in runs
        if run["release_id"] == release["release_id"] and run["outcome"] in ("published", "unchanged")
    ]
    return max([published_at, *good])


def _running_since(build: Path) -> datetime | None:
    """When the newest run began, where it has left no record: it is running, or it was killed."""
    with contextlib.suppress(OSError):
        tonight = (build / "tonight").resolve(strict=True)
        if not (tonight / "run.json").is_file():
            return datetime.fromtimestamp(tonight.stat().st_mtime, UTC)
    return None
