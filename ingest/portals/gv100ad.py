"""GV100AD: the municipal directory of Destatis, fixed width, as text or in a ZIP.

Belongs here: record types, positions, which population an edition carries. Does not: competences, the history of keys
(``ingest.directory``).

Source: Destatis, Datensatzbeschreibung GV100AD. Records have 220 characters (not bytes: names in Sorbian), in UTF-8 since 2025,
before in ISO-8859-1. The rows are the records of Satzart 60; Land, Regierungsbezirk, Kreis and Gemeindeverband (Satzart 10, 20, 40,
50; 30 only groups Kreise in Baden-Württemberg) are joined to them as names.

The file does not say of which day its population is. The notes of its editions do: editions of July to November carry that of
31 December of the year before (checked: 30.09.2018, 30.11.2023, 30.11.2025), the yearly edition of 31 December that of its own day,
and editions of January to June, which appear before the next figures, that of two years before. From 31.12.2024 on it stands on
Zensus 2022, before on Zensus 2011. ``constants`` of the Land file override both for an edition that differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base
from ingest.portals.base import Request, UnreadableDelivery
from ingest.transport import Client

ACCEPT = "application/zip, text/plain;q=0.9, application/octet-stream;q=0.8, */*;q=0.1"
RECORD_CHARACTERS = 220
RECORD_TYPES = ("10", "20", "30", "40", "50", "60")
#: An edition names no day on which its territory began to be so: the history of keys is stated by the territory changes.
OPEN_START = "1900-01-01"

#: Textkennzeichen of Satzart 60.
KINDS = {
    "60": "markt",
    "61": "kreisfreie_stadt",
    "62": "stadtkreis",
    "63": "stadt",
    "64": "gemeinde",
    "65": "gemeindefrei_bewohnt",
    "66": "gemeindefrei_unbewohnt",
    "67": "grosse_kreisstadt",
}


class Gv100ad:
    """One row per municipality and gemeindefreies Gebiet, columns named as in ``ingest.tables.Regions``.

    ``kind`` is the canonical word, or the delivered Textkennzeichen where it is unknown. An area without a Kreis of its own in the
    file (three uninhabited ones) keeps its row under the name of its Verband, or its own.
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The text or archive at the address."""
        return base.get_whole(client, source, request, ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """The municipalities of every part."""
        frame = pl.concat([_municipalities(_records(_text_of(path))) for path in paths], how="diagonal")
        return base.raw_frame(frame.drop(*(name for name in source.constants if name in frame.columns)))


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        members = [member for member in base.check_zip(path) if member.filename.lower().endswith((".txt", ".asc"))]
        directories = [member for member in members if "gv100" in member.filename.lower()] or members
        if len(directories) != 1:
            raise UnreadableDelivery(
                f"Das Archiv enthält {len(directories)} Verzeichnisse statt einem: das Archiv einer Ausgabe des GV100AD liefern.",
                f"The archive holds {len(directories)} directories instead of one: deliver the archive of one edition of GV100AD.",
            )
        data = base.read_member(path, directories[0])
    else:
        data = path.read_bytes()
    try:
        return base.decode(data, None)
    except UnreadableDelivery:
        if b"\0" in data:
            raise
        return data.decode("iso-8859-1")


def _records(text: str) -> pl.DataFrame:
    """One row per record: ``record``, ``type`` and ``_malformed`` where it is not 220 characters of a known type."""
    records = pl.DataFrame({"record": pl.Series(text.replace("\r\n", "\n").rstrip("\n\x1a").split("\n"), dtype=pl.String)})
    records = records.filter(pl.col("record").str.strip_chars() != "").with_columns(pl.col("record").str.head(2).alias("type"))
    length = pl.col("record").str.len_chars()
    records = records.with_columns(
        pl.when(length != RECORD_CHARACTERS)
        .then(pl.format("Satz mit {} statt {} Zeichen: {}", length, pl.lit(RECORD_CHARACTERS), pl.col("record").str.head(80)))
        .when(~pl.col("type").is_in(RECORD_TYPES))
        .then(pl.format("unbekannte Satzart: {}", pl.col("record").str.head(80)))
        .alias("_malformed")
    )
    if not records.filter(pl.col("_malformed").is_null() & (pl.col("type") == "60")).height:
        raise base.instead(
            text[:2000].encode(),
            "des Gemeindeverzeichnisses GV100AD",
            "the municipal directory GV100AD",
            "die Adresse der Ausgabe prüfen, Sätze haben 220 Zeichen",
            "check the address of the edition, records have 220 characters",
        )
    return records


def _municipalities(records: pl.DataFrame) -> pl.DataFrame:
    good = records.filter(pl.col("_malformed").is_null())

    def names(record_type: str, key: pl.Expr, into: str) -> pl.DataFrame:
        return (
            good.filter(pl.col("type") == record_type)
            .select(key.alias("key"), _field(23, 72).alias(into))
            .unique("key", keep="first")
        )

    kreis, verband = _field(11, 15), pl.concat_str(_field(11, 15), _field(19, 22))
    rows = good.filter(pl.col("type") == "60").select(
        pl.concat_str(_field(11, 18)).alias("ags"),
        pl.concat_str(_field(11, 15), _field(19, 22), _field(16, 18)).alias("ars"),
        _field(23, 72).alias("name"),
        _field(123, 124).replace(KINDS).alias("kind"),
        kreis.alias("kreis_code"),
        verband.alias("verband_code"),
        _field(11, 13).alias("regierungsbezirk"),
        _number(_field(140, 150)).alias("population"),
        _square_kilometres(_field(129, 139)).alias("area_km2"),
        _field(3, 10).str.to_date("%Y%m%d", strict=False).alias("stand"),
    )
    for record_type, key, column, into in (
        ("20", _field(11, 13), "regierungsbezirk", "regierungsbezirk_name"),
        ("40", kreis, "kreis_code", "own_kreis_name"),
        ("50", verband, "verband_code", "own_verband_name"),
    ):
        rows = rows.join(names(record_type, key, into), left_on=column, right_on="key", how="left", maintain_order="left")
    years_before = pl.when(pl.col("stand").dt.month() == 12).then(0).when(pl.col("stand").dt.month() >= 7).then(1).otherwise(2)
    population_date = pl.date(pl.col("stand").dt.year() - years_before, 12, 31)
    rows = rows.select(
        "ags",
        "ars",
        "name",
        "kind",
        "kreis_code",
        pl.coalesce("own_kreis_name", "own_verband_name", "name").alias("kreis_name"),
        pl.when(pl.col("regierungsbezirk_name").is_not_null()).then("regierungsbezirk").alias("regierungsbezirk_code"),
        "regierungsbezirk_name",
        "verband_code",
        pl.coalesce("own_verband_name", "name").alias("verband_name"),
        "population",
        pl.when(pl.col("stand").is_not_null()).then(population_date).dt.to_string("%Y-%m-%d").alias("population_date"),
        pl.when(population_date >= pl.date(2024, 12, 31))
        .then(pl.lit("zensus_2022"))
        .when(population_date >= pl.date(2011, 12, 31))
        .then(pl.lit("zensus_2011"))
        .alias("census_base"),
        "area_km2",
        pl.lit(OPEN_START).alias("valid_from"),
    )
    bad = records.filter(pl.col("_malformed").is_not_null()).select("_malformed")
    return pl.concat([rows, bad], how="diagonal") if bad.height else rows


def _field(first: int, last: int) -> pl.Expr:
    """Characters ``first`` to ``last`` (from 1, inclusive) of a record, NULL where they are blank."""
    return pl.col("record").str.slice(first - 1, last - first + 1).str.strip_chars_end(" ").replace("", None)


def _number(field: pl.Expr) -> pl.Expr:
    """A zero-padded number without its padding; anything else as it is."""
    return pl.when(field.str.contains(r"^\d+$")).then(field.str.replace(r"^0+(\d)", "${1}")).otherwise(field)


def _square_kilometres(hectares: pl.Expr) -> pl.Expr:
    """Hectares (whole, zero-padded) as square kilometres: the same digits with a decimal point before the last two."""
    whole = hectares.str.contains(r"^\d{3,}$")
    return pl.when(whole).then(hectares.str.replace(r"^0*(\d+)(\d\d)$", "${1}.${2}")).otherwise(hectares)
