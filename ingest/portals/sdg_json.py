"""SDG statistics: visits of pages that the Single Digital Gateway leads to, as a file.

Belongs here: the form of the file, its two spellings of a period, the count that it promises. Does not: the words of devices and
countries (``ingest.clean.page_visits``), which service a page belongs to, what a visit says about applications (nothing).

Source: Implementing Regulation (EU) 2020/1121. One object per file::

    {"uniqueId": "…", "referencePeriod": {"startDate": "…Z", "endDate": "…Z"}, "transferDate": "…Z", "transferType": "API|Manual",
     "nbEntries": n, "sources": [{"sourceUrl": "…", "statistics": [{"nbVisits": 42, "originatingCountry": "DE", "deviceType": "PC"}]}]}

The European service takes these files and gives none back, so a Land hands over the file that it has sent: the location is a folder.
Some producers write ``StartDate`` and ``EndDate``. A file whose ``uniqueId`` was delivered before replaces the earlier one whole, also
where it has no source any more. ``nbEntries`` is checked where it is stated, against the sources or, as others count, the statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base
from ingest.portals.base import Request, UnreadableDelivery
from ingest.portals.documents import frame_of, lookup, parse
from ingest.portals.pages import whole
from ingest.transport import Client

ACCEPT = "application/json"

_MIDNIGHT = pl.time(0, 0, 0)


class SdgJson:
    """One row per address, country and device of a file, columns named as in ``ingest.tables.PageVisits``."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The file at an address, for a Land that keeps its copies on a server."""
        return base.get_whole(client, source, request, ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """All statistics of all parts."""
        rows = [row for path in paths for row in _rows(parse(path.read_bytes(), source.reading.encoding))]
        return base.raw_frame(_visits(frame_of(rows)))


def statement_id(data: bytes) -> str | None:
    """The ``uniqueId`` of a file; None where it has none or is no such file."""
    try:
        found = lookup(parse(data), "uniqueId")
    except UnreadableDelivery:
        return None
    return found.strip() or None if isinstance(found, str) else None


def _rows(document: Any) -> list[Any]:
    """The statistics of one file, each beside the address and the period that it belongs to."""
    sources = lookup(document, "sources")
    if not isinstance(sources, list) or not isinstance(document, dict):
        raise UnreadableDelivery(
            "Die Datei ist keine SDG-Statistik, ihr fehlt die Liste sources: die Datei liefern, die an das SDG-Portal gesendet wurde.",
            "The file is no SDG statistics, it lacks the list sources: deliver the file that was sent to the SDG portal.",
        )
    period = lookup(document, "referencePeriod")
    common = {
        "uniqueId": lookup(document, "uniqueId"),
        "startDate": lookup(period, "startDate") or lookup(period, "StartDate"),
        "endDate": lookup(period, "endDate") or lookup(period, "EndDate"),
    }
    rows: list[Any] = []
    counted = 0
    for entry in sources:
        statistics = lookup(entry, "statistics")
        if not isinstance(entry, dict) or not isinstance(statistics, list):
            rows.append(f"Quelle ohne Liste statistics: {entry}")
            counted += 1
            continue
        counted += len(statistics)
        rows += [{**one, "sourceUrl": entry.get("sourceUrl"), **common} if isinstance(one, dict) else one for one in statistics]
    promised = whole(document.get("nbEntries"))
    if promised is None and document.get("nbEntries") is not None:
        raise _miscounted(repr(document["nbEntries"])[:40], len(sources), counted)
    if promised is not None and promised not in (len(sources), counted):
        raise _miscounted(f"{promised:,}", len(sources), counted)
    return rows


def _miscounted(promised: str, sources: int, statistics: int) -> UnreadableDelivery:
    return UnreadableDelivery(
        f"Die Datei kündigt mit nbEntries {promised} Einträge an und enthält {sources:,} Quellen mit {statistics:,} Zählungen: "
        "sie ist unvollständig, die ganze Datei erneut liefern.",
        f"The file announces {promised} entries in nbEntries and holds {sources:,} sources with {statistics:,} statistics: "
        "it is incomplete, deliver the whole file again.",
    )


def _visits(frame: pl.DataFrame) -> pl.DataFrame:
    """Each row in the words of ``ingest.tables``, and as it came under ``_delivered``."""
    names = {
        "source_url": "sourceUrl",
        "period_start": "startDate",
        "period_end": "endDate",
        "country": "originatingCountry",
        "device": "deviceType",
        "visits": "nbVisits",
    }
    delivered = [name for name in frame.columns if name != "_malformed"]
    if delivered:
        frame = frame.with_columns(pl.struct(pl.nth(frame.columns.index(name)) for name in delivered).alias("_delivered"))
    missing = [name for name in names.values() if name not in delivered]
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    renamed = frame.select(pl.col(name).alias(canonical) for canonical, name in names.items())
    kept = [name for name in ("_delivered", "_malformed") if name in frame.columns]
    others = [name for name in delivered if name not in (*names.values(), *names, "uniqueId")]
    return renamed.with_columns(_first_day(pl.col("period_start")), _day(pl.col("period_end"))).hstack(
        frame.select(pl.nth(frame.columns.index(name)) for name in (*kept, *others))
    )


def _day(stated: pl.Expr) -> pl.Expr:
    """The calendar day of an instant as it is written: the last second of a period in UTC is the next day in Berlin."""
    return stated.str.replace(r"^(\d{4}-\d{2}-\d{2})[T ].*$", "${1}")


def _first_day(stated: pl.Expr) -> pl.Expr:
    """Like ``_day``; but a period that begins at midnight in Berlin begins on that day, also where UTC still has the day before."""
    berlin = stated.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_zone="UTC").dt.convert_time_zone(
        "Europe/Berlin"
    )
    return pl.when(berlin.dt.time() == _MIDNIGHT).then(berlin.dt.strftime("%Y-%m-%d")).otherwise(_day(stated))
