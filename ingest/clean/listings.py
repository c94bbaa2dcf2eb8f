"""Cleaning of ``listings``: what a public catalogue shows per LeiKa key, region and address.

A catalogue keeps entries that are no longer active beside those that replaced them: the two do not contradict each other.
One that does not state its own as-of date was observed on the day of its answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules, text
from ingest.tables import TABLES

_URN = r"^urn:uuid:[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"


def _prepare(frame: pl.LazyFrame, context: Context) -> pl.LazyFrame:
    return frame.with_columns(text("observed_on").fill_null(context.delivered_on.isoformat()).alias("text:observed_on"))


def _checks(context: Context) -> Iterable[Check]:
    is_point = pl.col("evidence") == "addressable"  # a delivery point has a name, no page
    yield Check(
        "malformed",
        "url",
        ~text("url").str.contains(r"(?i)^https?://[^\s<>\x22]+$") & ~(is_point & text("url").str.contains(_URN)),
        "eine Adresse, die mit https:// oder http:// beginnt",
        "an address that begins with https:// or http://",
    )


def _key() -> list[pl.Expr]:
    return [pl.col(name) for name in (*TABLES["listings"].key, "is_retracted")]


RULES = TableRules(prepare=_prepare, land_key="ars", checks=_checks, optional=("observed_on",), key=_key)
