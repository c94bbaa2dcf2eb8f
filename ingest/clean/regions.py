"""Cleaning of ``regions``: the municipal directory. The keys of a row must belong together; their history is ``ingest.directory``'s."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules


def _checks(context: Context) -> Iterable[Check]:
    ags, ars = pl.col("ags"), pl.col("ars")
    yield Check(
        "malformed",
        "ars",
        ars.str.head(5) + ars.str.tail(3) != ags,
        "der Regionalschlüssel derselben Gemeinde wie der AGS",
        "the regional key of the same municipality as the AGS",
    )
    for column, part, digits in (("kreis_code", ags, 5), ("verband_code", ars, 9), ("regierungsbezirk_code", ags, 3)):
        yield Check(
            "malformed",
            column,
            pl.col(column) != part.str.head(digits),
            f"die ersten {digits} Ziffern des Schlüssels der Gemeinde",
            f"the first {digits} digits of the municipality's key",
        )
    yield Check(
        "out_of_range",
        "valid_to",
        pl.col("valid_to") <= pl.col("valid_from"),
        "ein Tag nach valid_from",
        "a day after valid_from",
    )


RULES = TableRules(land_key="ags", units={"area_km2": ("km2",)}, checks=_checks)
