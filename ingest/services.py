"""The list of services: what each is called, and which kind of authority is competent for it.

Belongs here: reading the list. Does not: who is competent where (Land files), which LeiKa keys make up a service (dbt's seed
``service_leika_key``; a service without a verified key there is measured, and not verified).
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

#: ``ROLLIN_SERVICES`` names another file of the same columns; it is read once, when the canonical tables are declared.
PATH = Path(os.environ.get("ROLLIN_SERVICES") or Path(__file__).parent / "services.csv")

COLUMNS = ("service_id", "name_de", "name_en", "authority_kind", "ozg_ids")
_ID, _KIND = re.compile(r"[a-z][a-z0-9_]{0,39}"), re.compile(r"[a-z]{3,30}")


class ServiceListError(ValueError):
    """The list of services cannot be used; one English sentence with its remedy."""


def read(path: Path = PATH) -> list[dict[str, str | None]]:
    """One row per service with ``COLUMNS``; ``ozg_ids`` may be empty. Raises ServiceListError where the list cannot be used."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{name: row.get(name) or None for name in COLUMNS} for row in csv.DictReader(file, strict=True)]
    except (OSError, ValueError, csv.Error) as error:
        raise ServiceListError(f"The list of services {path} cannot be read ({error}): correct ROLLIN_SERVICES.") from None
    ids = [row["service_id"] for row in rows]
    for number, row in enumerate(rows, 2):
        service, kind = row["service_id"] or "", row["authority_kind"] or ""
        if not (_ID.fullmatch(service) and _KIND.fullmatch(kind) and row["name_de"] and row["name_en"]) or ids.count(service) > 1:
            raise ServiceListError(
                f"Line {number} of the list of services {path} cannot be used: give the service an id of its own (a-z, 0-9, _), "
                "a German and an English name, and the kind of authority that is competent (a-z)."
            )
    if not rows:
        raise ServiceListError(f"The list of services {path} names none: correct ROLLIN_SERVICES.")
    return rows
