"""What catalogues are asked that answer one question at a time.

Belongs here: which authority is asked for under which LeiKa key, and in which order. Does not: asking (``ingest.portals``), which keys
make up a service (seed ``service_leika_key``), who is competent (``ingest.directory``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

from dbt_project import PROJECT_DIR
from ingest.directory import Reference
from ingest.landfile import LandFile
from ingest.portals import Question

SEED = PROJECT_DIR / "seeds" / "service_leika_key.csv"


def questions(laender: Iterable[LandFile], references: Mapping[str, Reference], day: date) -> list[Question]:
    """Every authority that is competent on a day for a service of its Land's programme, under every LeiKa key of that service then.

    Service by service and Land by Land, key by key (verified ones first, else as in the seed), in the order of the areas: who stops
    at the first key that finds an authority's own entry finds the same one every time.
    """
    keys = pl.read_csv(SEED, schema_overrides={"leika_key": pl.String}, try_parse_dates=True)
    until = pl.col("valid_to").cast(pl.Date, strict=False)
    keys = (
        keys.filter((pl.col("valid_from").cast(pl.Date) <= day) & (until.is_null() | (until > day)))
        .with_row_index("position")
        .select("service_id", "leika_key", "position", pl.col("is_verified").cast(pl.Boolean))
    )
    asked: list[Question] = []
    for land in laender:
        if land.programme is None:
            continue
        areas = authority_areas(references[land.land_code], day).filter(pl.col("service_id").is_in(land.programme.services))
        frame = areas.join(keys, on="service_id").sort(
            "service_id", "is_verified", "position", "ars", descending=[False, True, False, False]
        )
        asked += [Question(*row) for row in frame.select("service_id", "leika_key", "ars").iter_rows()]
    return asked


def authority_areas(reference: Reference, day: date) -> pl.DataFrame:
    """service_id, ars: the area (12 digits) of each authority that is competent on a day, once.

    The ARS under which a catalogue lists an authority itself: of a municipality, also of one that is its own Verband, the
    municipality's; else the authority's key padded with zeros.
    """
    holds = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    regions = reference.regions.filter(holds).select("ags", "ars")
    sizes = regions.group_by(pl.col("ars").str.head(9).alias("verband_code")).agg(
        pl.col("ars").first(), pl.len().alias("members")
    )
    single = sizes.filter(pl.col("members") == 1).select("verband_code", own_ars="ars")
    key = pl.col("authority_id").str.split("/").list.last()
    return (
        reference.competences.filter(holds)
        .select(pl.col("service_id").cast(pl.String), key=key)
        .unique()
        .join(regions.rename({"ars": "municipal_ars"}), left_on="key", right_on="ags", how="left")
        .join(single, left_on="key", right_on="verband_code", how="left")
        .select("service_id", ars=pl.coalesce("municipal_ars", "own_ars", pl.col("key").str.pad_end(12, "0")))
        .unique()
        .sort("service_id", "ars")
    )
