"""Cleaning of ``page_visits``: visits of pages after Implementing Regulation (EU) 2020/1121, in whose words devices are written.

Countries are those of ISO 3166; Eurostat has two codes of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules, text

_EUROSTAT = {"EL": "GR", "UK": "GB"}
_DEVICES = {"PC": "pc", "Tablet": "tablet", "Smartphone": "smartphone", "Others": "other", "Other": "other"}


def _prepare(frame: pl.LazyFrame, context: Context) -> pl.LazyFrame:
    country = text("country")
    return frame.with_columns(
        text("device").replace(_DEVICES).alias("text:device"),
        pl.when(country.str.to_lowercase().is_in(["other", "others"]))
        .then(pl.lit("other"))
        .otherwise(country.replace(_EUROSTAT))
        .alias("text:country"),
    )


def _checks(context: Context) -> Iterable[Check]:
    yield Check(
        "malformed",
        "source_url",
        ~text("source_url").str.contains(r"(?i)^https?://[^\s<>\x22]+$"),
        "eine Adresse, die mit https:// oder http:// beginnt",
        "an address that begins with https:// or http://",
    )
    yield Check(
        "out_of_range",
        "period_end",
        pl.col("period_end") < pl.col("period_start"),
        "ein Tag, der nicht vor period_start liegt",
        "a day that is not before period_start",
    )


RULES = TableRules(prepare=_prepare, checks=_checks)
