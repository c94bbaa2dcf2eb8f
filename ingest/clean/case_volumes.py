"""Cleaning of ``case_volumes``: cases a year. A row's authority is the one of the year's last day, or of the day of delivery if that
is earlier; a year that has not begun has no cases."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules


def _last_day(context: Context) -> pl.Expr:
    return pl.min_horizontal(pl.date(pl.col("year").clip(1900, 2100), 12, 31), pl.lit(context.delivered_on))


def _checks(context: Context) -> Iterable[Check]:
    year = context.delivered_on.year
    yield Check(
        "future_date",
        "year",
        pl.col("year") > year,
        f"ein Jahr bis zum Jahr der Lieferung, {year}",
        f"a year up to that of delivery, {year}",
    )


RULES = TableRules(day=_last_day, checks=_checks)
