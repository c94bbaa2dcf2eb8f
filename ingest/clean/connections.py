"""Cleaning of ``connections``: events in the life of a connection. Only a ``planned`` event may lie in the future.

An event is known by its ``event_id`` where one is delivered, else by authority, service, phase and day.
"""

from __future__ import annotations

import polars as pl

from ingest.clean.engine import TableRules


def _key() -> list[pl.Expr]:
    natural = ("authority_id", "service_id", "phase", "effective_on")
    return [pl.col("event_id"), *[pl.when(pl.col("event_id").is_null()).then(pl.col(name)).alias(name) for name in natural]]


RULES = TableRules(
    units={"person_days": ("day",), "person_days_municipal": ("day",)},
    may_lie_ahead=pl.col("phase") == "planned",
    key=_key,
)
