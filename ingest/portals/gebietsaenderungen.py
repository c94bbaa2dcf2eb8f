"""Gebietsänderungen: Destatis' yearly workbooks of names, boundaries and keys that changed.

Belongs here: where the rows are, codes and dates. Does not: following a key through its changes (``ingest.directory``).

Source: Destatis, Namens-, Grenz- und Schlüsseländerungen, editions 2018 to 2025. Sheet 2 holds titles, a header of two rows (with
empty rows between in older editions), rows of columns A to M, and footnotes. Keys and numbers are text in some editions and numbers
in others; the kind can be several at once ("3, 4"). Kind 2 lists what stays as a row whose old and new key are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base, xlsx
from ingest.portals.base import Request, UnreadableDelivery
from ingest.transport import Client

#: Column A to M.
COLUMNS = (
    "kennziffer",
    "unit",
    "old_ars",
    "old_ags",
    "old_name",
    "kind",
    "area_moved_m2",
    "population_moved",
    "new_ars",
    "new_ags",
    "new_name",
    "legally_on",
    "effective_on",
)
#: Änderungsart.
KINDS = {"1": "dissolution", "2": "part_transfer", "3": "key_change", "4": "name_change"}


class Gebietsaenderungen:
    """One row per municipality, successor and kind of change, columns named as in ``ingest.tables.TerritoryChanges``.

    Rows about a Gemeindeverband, Kreis or other unit are left out: the table is about municipalities, whose keys hold theirs.
    ``effective_on`` is the day from which statistics follow (Wirksamkeit statistisch).
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The workbook at the address."""
        return base.get_whole(client, source, request, xlsx.ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """The changes of every part."""
        return base.raw_frame(pl.concat([_changes(path) for path in paths]))


def _changes(path: Path) -> pl.DataFrame:
    sheet = xlsx.sheet_rows(path, 1).drop("_malformed")
    first = sheet.to_series(0).str.to_lowercase()
    header = first.eq("kennziffer").arg_max() if first.eq("kennziffer").any() else None
    if header is None or sheet.width < len(COLUMNS):
        raise UnreadableDelivery(
            "Das zweite Tabellenblatt ist keine Liste der Gebietsänderungen (Kopfzeile „Kennziffer“ und 13 Spalten fehlen): "
            "die Jahresdatei der Namens-, Grenz- und Schlüsseländerungen liefern.",
            'The second sheet is no list of territory changes (header "Kennziffer" and 13 columns are missing): '
            "deliver the yearly file of names, boundaries and keys that changed.",
        )
    rows = sheet.select(pl.nth(index).alias(name) for index, name in enumerate(COLUMNS)).slice(header + 1)
    # titles and footnotes stand in column A alone; what has a unit or keys is a row
    rows = rows.filter(pl.any_horizontal(pl.col("unit", "old_ags", "new_ags").is_not_null()) & pl.col("kennziffer").is_not_null())
    rows = rows.filter(pl.col("unit").is_null() | pl.col("unit").str.to_lowercase().is_in(["gemeinde", "gemeindefreies gebiet"]))
    return (
        rows.with_columns(
            # a key delivered as a number has lost its leading zero
            pl.col("old_ags", "new_ags").str.replace(r"^\d{7}$", "0${0}"),
            pl.col("old_ars", "new_ars").str.replace(r"^\d{11}$", "0${0}"),
            pl.col("legally_on", "effective_on").str.replace(r"^(\d{2})\.(\d{2})\.(\d{4})$", "${3}-${2}-${1}"),
            pl.col("kind").fill_null("").str.split(",").alias("kind"),
        )
        .explode("kind")
        .with_columns(pl.col("kind").str.strip_chars().replace("", None).replace(KINDS))
        .select(
            "old_ags",
            "new_ags",
            "old_ars",
            "new_ars",
            "old_name",
            "new_name",
            "kind",
            "effective_on",
            "population_moved",
            "area_moved_m2",
        )
    )
