"""Cleaning of ``listings``: what a public catalogue shows per LeiKa key, region and address."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.clean.engine import Check, Context, TableRules, text


def _checks(context: Context) -> Iterable[Check]:
    yield Check(
        "malformed",
        "url",
        ~text("url").str.contains(r"(?i)^https?://[^\s<>\x22]+$"),
        "eine Adresse, die mit https:// oder http:// beginnt",
        "an address that begins with https:// or http://",
    )


RULES = TableRules(land_key="ars", checks=_checks)
