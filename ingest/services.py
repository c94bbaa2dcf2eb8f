"""The list of services: what each is called, and which kind of authority is competent for it.

Belongs here: reading the list. Does not: who is competent where (Land files), which LeiKa keys make up a service (dbt's seed
``service_leika_key``; a service without a verified key there is measured, and not verified).
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from typing import Any

#: ``ROLLIN_SERVICES`` names another file of the same columns; it is read once, when the canonical tables are declared.
PATH = Path(os.environ.get("ROLLIN_SERVICES") or Path(__file__).parent / "services.csv")

COLUMNS = ("service_id", "name_de", "name_en", "authority_kind", "ozg_ids")
#: A column that a list may have: ``true`` marks the services that a report draws. Without any mark those are the list's first ones.
FOCUS = "is_focus"
#: What a reader still tells apart in one picture, and a night draws in a minute. Tables hold all services.
FOCUS_COUNT = 20

#: What the id of a service looks like.
ID = "[a-z][a-z0-9_]{0,39}"
_KIND = "[a-z]{3,30}"
_NAME_CHARACTERS = 120


class ServiceListError(ValueError):
    """The list of services cannot be used; one English sentence with its remedy."""


def read(path: Path = PATH) -> list[dict[str, Any]]:
    """One row per service with ``COLUMNS``, of which ``ozg_ids`` may be None, and ``FOCUS`` (bool) for at most ``FOCUS_COUNT`` of them.

    Raises ServiceListError where the list cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{name: row.get(name) or None for name in (*COLUMNS, FOCUS)} for row in csv.DictReader(file, strict=True)]
    except (OSError, ValueError, csv.Error) as error:
        raise ServiceListError(f"The list of services {path} cannot be read ({error}): correct ROLLIN_SERVICES.") from None
    known: set[tuple[str, str | None]] = set()
    for number, row in enumerate(rows, 2):
        own = {(name, row[name]) for name in ("service_id", "name_de", "name_en")}
        names = [row[name] or "" for name in ("name_de", "name_en")]
        is_said = all(0 < len(name) <= _NAME_CHARACTERS and name.isprintable() for name in names)
        is_known = re.fullmatch(ID, row["service_id"] or "") and re.fullmatch(_KIND, row["authority_kind"] or "")
        if not (is_said and is_known) or own & known:
            raise ServiceListError(
                f"Line {number} of the list of services {path} cannot be used: give the service an id of its own (a-z, 0-9, _), "
                f"a German and an English name of its own (up to {_NAME_CHARACTERS} characters), "
                "and the kind of authority that is competent (a-z)."
            )
        known |= own
    if not rows:
        raise ServiceListError(f"The list of services {path} names none: correct ROLLIN_SERVICES.")
    marked = [row["service_id"] for row in rows if row[FOCUS] == "true"]
    if len(marked) > FOCUS_COUNT or any(row[FOCUS] not in (None, "true", "false") for row in rows):
        raise ServiceListError(
            f"The column {FOCUS} of the list of services {path} cannot be used: write true for up to {FOCUS_COUNT} services, "
            "and false or nothing for the others."
        )
    focus = set(marked or [row["service_id"] for row in rows[:FOCUS_COUNT]])
    return [row | {FOCUS: row["service_id"] in focus} for row in rows]
