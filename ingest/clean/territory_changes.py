"""Cleaning of ``territory_changes``: what became of a municipality's key. Applying the changes is ``ingest.directory``'s."""

from __future__ import annotations

from ingest.clean.engine import TableRules

RULES = TableRules(land_key="old_ags")
