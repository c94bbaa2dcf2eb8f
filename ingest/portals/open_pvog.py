"""Open-PVOG: the federal Data Hub "Dashboard Digitale Verwaltung", which services are listed online where.

Belongs here: its addresses, its two envelopes, its limits, its words. Does not: which LeiKa keys make up a service.

Source: Data Hub, Open-PVOG v1. ``GET /public/v1/dash/open-pvog/{ars}/export?filetype=csv`` is the whole answer of an area as a stream
(``Accept: application/octet-stream``; ``text/csv`` is answered by 406); 413 says that it is too large, then the same area is read in
pages, and where even that is too large, Kreis by Kreis (``GET /public/v1/dash/open-ars``). One export per Land, with what lies below
and without what lies above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingest.landfile import NumberedPages, Source
from ingest.landing import Part
from ingest.portals import base, csv, pages
from ingest.portals.base import IncompleteDelivery, Request, UnreadableDelivery
from ingest.portals.documents import frame_of, lookup, parse, rows_of
from ingest.transport import Client, TransportError

ACCEPT_EXPORT = "application/octet-stream"
ACCEPT_PAGES = "application/json"
PAGES = NumberedPages(kind="page", size=1000, first=0)
_BELOW: dict[str, str | int] = {"includeAbove": "false", "includeBelow": "true"}

#: Columns that the portal documents; any other stays in the frame, to be reported as unknown.
DOCUMENTED = (
    "leika_key",
    "leika_name",
    "ars",
    "ars_name",
    "ars_federal_state",
    "bundesland",
    "leika_bezeichnung",
    "ozgid",
    "ozg_bezeichnung",
    "url",
    "online_status",
    "aktiv",
    "art_flaechendeckung",
    "begruendung_nicht_beruecksichtigt",
    "datenstand_pvog_import",
    "export_datum",
)
_IS_RETRACTED = {"ja": "false", "true": "false", "nein": "true", "false": "true"}
#: How far an entry reaches, by the digits of the ARS that its area has.
_REACH = {"bundesweit flächendeckend": 0, "landesweit flächendeckend": 2, "kreisweit flächendeckend": 5}


class OpenPvog:
    """One row per LeiKa key, ARS and address, columns named as in ``ingest.tables.Listings``.

    ``evidence`` is ``reachable`` where the portal found the address online, else ``listed``. ``is_inherited``: the entry reaches
    further than the area it is listed for, so it was made above it. ``is_retracted``: the portal marks the entry as inactive
    (``aktiv``: nein; one that it does not mark counts as active).
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """One part per export or page, Land by Land."""
        if not request.land_codes:
            raise IncompleteDelivery(
                "Für den Data Hub ist kein Land benannt: mindestens ein Land mit einem Land-File aufnehmen.",
                "No Land is named for the Data Hub: add at least one Land by its Land file.",
            )
        address = request.address.rstrip("/") + "/public/v1/dash"
        return [part for land in request.land_codes for part in _area(client, address, land.ljust(12, "0"))]

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """Exports and pages, by column name."""
        frame = pl.concat([_part(path.read_bytes()) for path in paths], how="diagonal")
        return base.raw_frame(_listings(frame))


def _area(client: Client, address: str, ars: str) -> list[Part]:
    """The parts of one area: its export, else its pages, else those of its Kreise."""
    try:
        export = client.get(f"{address}/open-pvog/{ars}/export", ACCEPT_EXPORT, {"filetype": "csv", **_BELOW})
        _part(client.landing.path(export).read_bytes())  # an error page in place of an export is a failed fetch
        return [export]
    except TransportError as error:
        if error.status != 413:
            raise
    try:
        return pages.fetch_all(client, f"{address}/open-pvog/{ars}", _BELOW, PAGES, ACCEPT_PAGES)
    except TransportError as error:
        if error.status != 413 or not ars.endswith("0" * 10):
            raise
    kreise = _kreise(client, address, ars[:2])
    above = pages.fetch_all(
        client, f"{address}/open-pvog/{ars}", {"includeAbove": "false", "includeBelow": "false"}, PAGES, ACCEPT_PAGES
    )
    return above + [part for kreis in kreise for part in _area(client, address, kreis)]


def _kreise(client: Client, address: str, land_code: str) -> list[str]:
    """The ARS of a Land's Kreise, from the portal's own list."""
    part = client.get(f"{address}/open-ars", ACCEPT_PAGES)
    rows = rows_of(parse(client.landing.path(part).read_bytes()), None)
    listed = {str(lookup(row, "ars") or "") for row in rows}
    kreise = sorted(
        {f"{ars[:5]}0000000" for ars in listed if len(ars) == 12 and ars.isdigit() and ars[:2] == land_code and ars[3:5] != "00"}
    )
    if not kreise:
        raise IncompleteDelivery(
            f"Das Verzeichnis der Gebiete nennt keine Kreise für das Land {land_code}: den Betreiber des Data Hub fragen.",
            f"The list of areas names no Kreise of Land {land_code}: ask the operator of the Data Hub.",
        )
    return kreise


def _part(data: bytes) -> pl.DataFrame:
    """An export (CSV) or a page (JSON)."""
    kind = base.kind_of(data[:2000])
    if kind == "ein JSON-Dokument":
        frame = frame_of(rows_of(parse(data), "content"))
        is_empty = not frame.height
    elif kind == "unbekannter Inhalt" and data.strip():
        frame, is_empty = csv.read_text(base.decode(data, None)), False
    else:
        raise base.instead(
            data[:2000], "eines Exports des Data Hub", "an export of the Data Hub", "die Adresse prüfen", "check the address"
        )
    if not is_empty and not {"leika_key", "ars", "url"} <= set(frame.columns):
        raise UnreadableDelivery(
            "Dem Export des Data Hub fehlen die Spalten leika_key, ars oder url: die Schnittstelle hat sich geändert, den Betreiber fragen.",
            "The export of the Data Hub lacks the columns leika_key, ars or url: the interface has changed, ask the operator.",
        )
    return frame


def _listings(frame: pl.DataFrame) -> pl.DataFrame:
    """Each row in the words of ``ingest.tables``, and as it came under ``_delivered``."""
    delivered = [name for name in frame.columns if name != "_malformed"]
    missing = [name for name in DOCUMENTED if name not in delivered]
    if delivered:  # pages without rows have no columns
        frame = frame.with_columns(pl.struct(pl.nth(frame.columns.index(name)) for name in delivered).alias("_delivered"))
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    ars = pl.col("ars").str.pad_end(12, "0")
    level = pl.when(ars.str.ends_with("0" * 12)).then(0).when(ars.str.ends_with("0" * 10)).then(2)
    digits = level.when(ars.str.ends_with("0" * 7)).then(5).otherwise(12)
    reach = pl.col("art_flaechendeckung").replace_strict(_REACH, default=12, return_dtype=pl.Int64)
    active = pl.col("aktiv").str.strip_chars()
    translated = frame.select(
        "leika_key",
        pl.when(pl.col("ars").str.contains(r"^[0-9]+$")).then(ars).otherwise("ars").alias("ars"),
        "url",
        pl.when(reach < digits).then(pl.lit("true")).otherwise(pl.lit("false")).alias("is_inherited"),
        pl.col("art_flaechendeckung").alias("coverage_class"),
        pl.coalesce("datenstand_pvog_import", "export_datum")
        .str.replace(r"^(\d{4}-\d{2}-\d{2})[T ].*$", "${1}")
        .alias("observed_on"),
        pl.when(pl.col("online_status") == "ok").then(pl.lit("reachable")).otherwise(pl.lit("listed")).alias("evidence"),
        # a word that is neither is left for cleaning to refuse
        active.str.to_lowercase().replace_strict(_IS_RETRACTED, default=pl.format("aktiv: {}", active)).alias("is_retracted"),
    )
    others = [name for name in frame.columns if name not in DOCUMENTED and name not in translated.columns]
    return translated.hstack(frame.select(pl.nth(frame.columns.index(name)) for name in others))
