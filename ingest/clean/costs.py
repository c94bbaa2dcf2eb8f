"""Cleaning of ``costs``: the ledger. An amount carries no unit or EUR; only an entry that is ``planned`` may be booked ahead."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules


def _checks(context: Context) -> Iterable[Check]:
    yield Check(
        "out_of_range",
        "period_end",
        pl.col("period_end") < pl.col("period_start"),
        "ein Tag, der nicht vor period_start liegt",
        "a day that is not before period_start",
    )


RULES = TableRules(
    units={"amount_eur": ("eur",), "vat_nonrecoverable_eur": ("eur",)},
    may_lie_ahead=pl.col("entry_status") == "planned",
    checks=_checks,
)
