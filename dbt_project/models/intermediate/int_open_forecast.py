"""The prediction of open connections, one row per Land × service. Belongs here: handing over; the method is in the estimator."""

from __future__ import annotations

from typing import Any

import polars as pl

from dbt_project import frames
from dbt_project.estimators.commitment import INPUT_SCHEMA, predict_open


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/commitment.py``."""
    dbt.config(materialized="table")
    with frames.ALONE:
        [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
        outlook = dbt.ref("int_connection_outlook").project(", ".join(INPUT_SCHEMA))
        spells = dbt.ref("int_operational_spell").filter("interrupted_days is not null")
        spells = spells.project("authority_id, interrupted_days as days, resumed_on is not null as is_resumed")
        # every draw is dealt in this order: the same inputs give the same prediction on any number of threads
        given, interruptions = (frames.read(rows).sort(pl.all()) for rows in (outlook, spells))
        found = frames.write(session, predict_open(given, interruptions, as_of))
    return found  # noqa: RET504 - dbt takes one return, at the end
