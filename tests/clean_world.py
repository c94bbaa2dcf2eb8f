"""A small invented directory and the Land files around it, for the tests of cleaning and of the directory."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from ingest.clean import RULES
from ingest.clean.engine import Context, Outcome, clean_frame
from ingest.directory import OPEN_START, Reference, build_references
from ingest.landfile import LandFile, Reading
from ingest.tables import TABLES

DELIVERED_AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)

_KREISE = {
    "09161": "Ingolstadt",
    "09174": "Dachau",
    "09184": "München",
    "09575": "Neustadt a.d.Aisch-Bad Windsheim",
    "06411": "Darmstadt, Wissenschaftsstadt",
    "06435": "Main-Kinzig-Kreis",
    "06531": "Gießen",
    "06635": "Waldeck-Frankenberg",
}
_BEZIRKE = {
    "091": "Oberbayern",
    "095": "Mittelfranken",
    "064": "Reg.-Bez. Darmstadt",
    "065": "Reg.-Bez. Gießen",
    "066": "Reg.-Bez. Kassel",
}
_VERBAENDE = {"091845401": "Aying (VGem)"}
#: ARS, name, kind, inhabitants, km²
_MUNICIPALITIES = (
    ("091610000000", "Ingolstadt", "kreisfreie_stadt", 140_000, 133.4),
    ("091740115115", "Dachau", "grosse_kreisstadt", 47_000, 35.0),
    ("091740111111", "Altomünster", "markt", 8_000, 75.8),
    ("091845401112", "Aying", "gemeinde", 5_500, 44.5),
    ("091845401113", "Brunnthal", "gemeinde", 5_300, 38.0),
    ("091849444444", "Forstenrieder Park", "gemeindefrei_unbewohnt", 0, 38.0),
    ("095750153153", "Neustadt a.d.Aisch", "stadt", 13_000, 61.2),
    ("095750112112", "Bad Windsheim", "stadt", 12_500, 78.2),
    ("064110000000", "Darmstadt, Wissenschaftsstadt", "kreisfreie_stadt", 160_000, 122.1),
    ("064350014014", "Hanau, Brüder-Grimm-Stadt", "stadt", 98_000, 76.5),
    ("064350001001", "Bad Orb, Stadt", "stadt", 10_500, 47.8),
    ("065310005005", "Gießen, Universitätsstadt", "stadt", 89_000, 72.6),
    ("066350001001", "Allendorf (Eder)", "gemeinde", 7_400, 75.0),
)


def region(ars: str, name: str, kind: str, population: int, area_km2: float, **changed: Any) -> dict[str, Any]:
    """A canonical ``regions`` row of one municipality."""
    verband, kreis, bezirk = ars[:9], ars[:5], ars[:3]
    return {
        "ags": ars[:5] + ars[9:],
        "ars": ars,
        "name": name,
        "kind": kind,
        "kreis_code": kreis,
        "kreis_name": _KREISE.get(kreis, name),
        "regierungsbezirk_code": bezirk if bezirk in _BEZIRKE else None,
        "regierungsbezirk_name": _BEZIRKE.get(bezirk),
        "verband_code": verband,
        "verband_name": _VERBAENDE.get(verband, name),
        "population": population,
        "population_date": date(2024, 12, 31),
        "census_base": "zensus_2022",
        "area_km2": area_km2,
        "valid_from": OPEN_START,
        "valid_to": None,
        "land_code": ars[:2],
        "source": "gemeindeverzeichnis",
        "delivery_id": "20260101T000000Z-001-aaaaaaaa",
        "delivered_at": DELIVERED_AT,
    } | changed


def directory(*extra: dict[str, Any], without: tuple[str, ...] = ()) -> pl.DataFrame:
    """The edition as a canonical frame, with and without some municipalities (AGS)."""
    rows = [region(*municipality) for municipality in _MUNICIPALITIES]
    rows = [row for row in rows if row["ags"] not in without] + list(extra)
    return pl.DataFrame(rows, schema=TABLES["regions"].polars_schema())


def change(old: str, new: str, kind: str, on: date, **more: Any) -> dict[str, Any]:
    """A canonical ``territory_changes`` row."""
    return {
        "old_ags": old,
        "new_ags": new,
        "kind": kind,
        "effective_on": on,
        "land_code": old[:2],
        "source": "gebietsaenderungen",
        "delivery_id": "20260101T000000Z-001-bbbbbbbb",
        "delivered_at": DELIVERED_AT,
    } | more


def changes(*rows: dict[str, Any]) -> pl.DataFrame:
    """Canonical ``territory_changes``."""
    return pl.DataFrame(list(rows), schema=TABLES["territory_changes"].polars_schema())


def laender(**competences: Any) -> dict[str, LandFile]:
    """The federal file with Hanau's change, and small files of Bavaria and Hesse. ``competences`` replaces Bavaria's."""
    programme = {"start": "2026-01-21", "target": {"date": "2026-12-31", "share": 1.0}}
    bavaria = competences or {
        "ummeldung": {"level": "verband"},
        "fuehrerschein": {"level": "kreis"},
        "bauantrag": {"level": "kreis", "plus": ["09174115"], "also": ["09575153"]},
    }
    hesse = {
        "ummeldung": {"level": "gemeinde"},
        "fuehrerschein": {"level": "kreis"},
        "aufenthalt": {"level": "kreis", "plus": ["06435014", "06531005"]},
        "anlagengenehmigung": {"level": "regierungsbezirk"},
    }
    hanau = {"old": "06435014", "new": "06415000", "kind": "key_change", "on": "2026-01-01"}
    files = (
        {"land_code": "00", "name": "Deutschland", "changes": [hanau]},
        {"land_code": "09", "name": "Bayern", "programme": programme | {"services": list(bavaria)}, "competences": bavaria},
        {"land_code": "06", "name": "Hessen", "programme": programme | {"services": list(hesse)}, "competences": hesse},
    )
    return {str(file["land_code"]): LandFile.model_validate(file) for file in files}


@cache
def references() -> dict[str, Reference]:
    """Who is competent where in the small world."""
    return build_references(laender(), directory())


def clean(
    folder: Path, table: str, rows: list[dict[str, Any]] | pl.DataFrame, land_code: str = "09", **context: Any
) -> tuple[Outcome, pl.DataFrame, pl.DataFrame]:
    """Clean rows of text as one delivery: the outcome, the clean rows, the quarantined rows. As codes of their texts they give the same."""
    raw = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
    if "_row" not in raw.columns:
        raw = raw.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row"))
    options = {"reference": references()[land_code], "reading": Reading()} | context
    delivery = Context(TABLES[table], land_code, "lieferung", "20260601T020000Z-001-cccccccc", DELIVERED_AT, **options)

    def cleaned(frame: pl.DataFrame) -> tuple[Outcome, pl.DataFrame, pl.DataFrame]:
        outcome = clean_frame(frame.lazy(), delivery, RULES[table], folder / "clean.parquet", folder / "quarantine.parquet")
        return outcome, pl.read_parquet(folder / "clean.parquet"), pl.read_parquet(folder / "quarantine.parquet")

    found = cleaned(raw)
    coded = cleaned(
        raw.with_columns(
            raw[name].cast(pl.Categorical(pl.Categories.random())) for name in raw.columns if raw.schema[name] == pl.String
        )
    )
    assert coded[0] == found[0]
    for ours, theirs in zip(coded[1:], found[1:], strict=True):
        assert_frame_equal(ours, theirs)
    return found
