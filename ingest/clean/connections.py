"""Cleaning of ``connections``: events in the life of a connection. Only a ``planned`` event may lie in the future.

An event is known by its ``event_id`` where one is delivered, else by authority, service, phase and day.

``reported_at`` is when somebody told of the event. A source whose Land file names no column for it tells of it by delivering it: the
instant of its delivery is then the last one at which the event can have been reported.
"""

from __future__ import annotations

import polars as pl

from ingest.clean.engine import Context, TableRules, text


def _prepare(frame: pl.LazyFrame, context: Context) -> pl.LazyFrame:
    if "reported_at" in context.columns:  # who promises the column must fill it
        return frame
    received = pl.lit(f"{context.delivered_at:%Y-%m-%dT%H:%M:%S%z}")
    return frame.with_columns(pl.coalesce(text("reported_at"), received).alias("text:reported_at"))


def _key() -> list[pl.Expr]:
    natural = ("authority_id", "service_id", "phase", "effective_on")
    return [pl.col("event_id"), *[pl.when(pl.col("event_id").is_null()).then(pl.col(name)).alias(name) for name in natural]]


RULES = TableRules(
    units={"person_days": ("day",), "person_days_municipal": ("day",)},
    prepare=_prepare,
    optional=("reported_at",),
    may_lie_ahead=pl.col("phase") == "planned",
    key=_key,
)
