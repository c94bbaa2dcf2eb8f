"""Cleaning of ``listings``: what a public catalogue shows per LeiKa key, region and address.

A catalogue keeps entries that are no longer active beside those that replaced them: the two do not contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.clean.engine import Check, Context, TableRules, text
from ingest.tables import TABLES


def _checks(context: Context) -> Iterable[Check]:
    yield Check(
        "malformed",
        "url",
        ~text("url").str.contains(r"(?i)^https?://[^\s<>\x22]+$"),
        "eine Adresse, die mit https:// oder http:// beginnt",
        "an address that begins with https:// or http://",
    )


def _key() -> list[pl.Expr]:
    return [pl.col(name) for name in (*TABLES["listings"].key, "is_retracted")]


RULES = TableRules(land_key="ars", checks=_checks, key=_key)
