"""Where the gate's page lies and which nights it tells of.

Belongs here: gathering what the nights recorded, and writing ``gate/index.html`` into the folder of a run; a publication takes the
folder into its release. A refused night keeps its page beside its run. Does not: what is shown (``expectations.page``).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations import page
from orchestration import report
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.night import Night

#: The folder of a run, and of a release, that holds the page.
FOLDER = "gate"

#: What a page tells of a run, for the trend of the pages after it; small, so that a night's work does not grow with history.
_STATES = "states.json"

_NIGHTS_SHOWN = 14


def write(night: Night, results: Sequence[dict[str, Any]], *, outcome: str, message: str = "") -> Path:
    """Write the page of a night beside its run and return its path. ``outcome``: passed, refused or no_data.

    ``results``: what the gate and dbt's data tests found so far, as dictionaries; a night without data has none.
    """
    from orchestration.durable import write_atomically

    now = page.Night(night.as_of, outcome, {page.identity(result): page.state_of(result) for result in results})
    folder = night.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    deliveries = [
        {
            "land_code": land_code,
            "source": source,
            "delivery_id": newest.record.delivery_id,
            "is_admitted": newest.is_admitted,
            "refusal_de": newest.refusal_de,
            "refusal_en": newest.refusal_en,
            "checks": newest.checks,
        }
        for (land_code, source), state in sorted(night.states.items())
        for newest in state.admissions[-1:]
    ]
    html = page.render(
        run_id=night.run_id,
        as_of=night.as_of,
        outcome=outcome,
        message=message,
        is_synthetic=any(state.is_synthetic for state in night.states.values()),
        results=results,
        deliveries=deliveries,
        nights=[*_before(night.settings, night.run_id), now],
        report=_report(night, folder, outcome),
    )
    # the page is part of the release, what it is remembered by is not
    if night.settings.as_of is None:  # a rebuilt past is no night of the trend
        remembered = {"day": now.day.isoformat(), "outcome": outcome, "states": now.states}
        write_atomically(night.folder / f"{FOLDER}-{_STATES}", json.dumps(remembered))
    write_atomically(folder / "index.html", html)
    return folder / "index.html"


def _report(night: Night, folder: Path, outcome: str) -> str:
    """Where the report lies: of a night that passed in its release, beside the page; after any other the current one, where there is one."""
    if outcome == "passed":
        return f"../{report.FOLDER}/index.html" if night.settings.has_report else ""
    current = night.settings.current / report.FOLDER / "index.html"
    return os.path.relpath(current, folder) if current.is_file() else ""


def _before(settings: Settings, run_id: str) -> list[page.Night]:
    """The nights before this one that reached the gate, oldest first."""
    files = sorted(settings.build.glob(f"*/{FOLDER}-{_STATES}"), key=lambda path: path.stat().st_mtime_ns)
    files = [path for path in files if path.parent.name != run_id and not path.parent.is_symlink()]
    nights = []
    for path in files[-(_NIGHTS_SHOWN - 1) :]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # a trend without a night is still one
            document = json.loads(path.read_text(encoding="utf-8"))
            nights.append(page.Night(date.fromisoformat(document["day"]), document["outcome"], document["states"]))
    return nights
