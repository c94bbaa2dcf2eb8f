"""Cleaning of delivered ``authorities`` and ``competences``, where a Land names them itself instead of having them derived."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules, text
from ingest.tables import AUTHORITY_KIND


def _kind_of_id(frame: pl.LazyFrame, context: Context) -> pl.LazyFrame:
    """The kind is the first part of the id where it is not delivered beside it."""
    return frame.with_columns(pl.coalesce(text("kind"), text("authority_id").str.extract(r"^([a-z]+)/", 1)).alias("text:kind"))


def _interval(context: Context) -> Iterable[Check]:
    yield Check(
        "out_of_range",
        "valid_to",
        pl.col("valid_to") <= pl.col("valid_from"),
        "ein Tag nach valid_from",
        "a day after valid_from",
    )


def _authority_checks(context: Context) -> Iterable[Check]:
    yield Check(
        "unknown_value",
        "kind",
        pl.col("kind").cast(pl.String) != text("authority_id").str.extract(r"^([a-z]+)/", 1),
        "die Art, mit der authority_id beginnt",
        "the kind that authority_id begins with",
    )
    yield from _interval(context)


def _competence_checks(context: Context) -> Iterable[Check]:
    kind = pl.col("service_id").cast(pl.String).replace_strict(AUTHORITY_KIND, default=None, return_dtype=pl.String)
    yield Check(
        "unknown_value",
        "authority_id",
        text("authority_id").str.extract(r"^([a-z]+)/", 1) != kind,
        "eine Behörde der Art, die für diese Leistung zuständig ist",
        "an authority of the kind that is competent for this service",
    )
    yield from _interval(context)


AUTHORITIES = TableRules(land_key="authority_id", prepare=_kind_of_id, checks=_authority_checks, optional=("kind",))
COMPETENCES = TableRules(land_key="ags", checks=_competence_checks)
