"""What ``rollin status`` tells. Belongs here: reading what is on disk, quickly. Does not: judging it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ingest.landing import Landing
from orchestration import withdrawals
from orchestration.deliveries import sources_of
from orchestration.settings import Settings


def read_status(settings: Settings) -> dict[str, Any]:
    """The current release (None before the first), the last run (likewise), the sources as of that release, and what is withdrawn."""
    import duckdb

    release, sources = None, []
    warehouse = settings.current / "warehouse.duckdb"
    if warehouse.is_file():
        with duckdb.connect(str(warehouse), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            release = _rows(con, "from meta.release")[0]
            sources = _rows(con, "from meta.source_status order by land_code, source")
    landing, now = Landing(settings.home), settings.now()
    taken_back = [
        {"land_code": code, "source": source, "delivery_id": w.delivery_id, "withdrawn_at": w.at, "reason": w.reason}
        for code, source in sources_of(landing)
        for w in withdrawals.recorded(landing, code, source, now).values()
    ]
    return {
        "home": str(settings.home),
        "release": release,
        "last_run": _last_run(settings.build),
        "sources": sources,
        "withdrawn": taken_back,
    }


def _rows(con: Any, query: str) -> list[dict[str, Any]]:
    result = con.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _last_run(build: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        newest = max(build.glob("*-*/run.json"), key=lambda path: path.stat().st_mtime, default=None)
        if newest is not None:
            record: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
            return record
    return None
