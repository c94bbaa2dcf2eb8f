"""Cleaning of ``usage``: counts per period. A month is known by its first day, whichever of its days is delivered."""

from __future__ import annotations

import polars as pl

from ingest.clean.engine import Context, TableRules


def _period(context: Context) -> pl.Expr:
    return pl.when(pl.col("grain") == "month").then(pl.col("period").dt.month_start()).otherwise(pl.col("period"))


def _derive(context: Context) -> list[pl.Expr]:
    return [_period(context).alias("period")]


RULES = TableRules(derive=_derive, day=_period)
