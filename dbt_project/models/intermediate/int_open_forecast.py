"""The prediction of open connections, one row per Land × service. Belongs here: handing over; the method is in the estimator."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from dbt_project.estimators.commitment import INPUT_SCHEMA, predict_open


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/commitment.py``."""
    dbt.config(materialized="table")
    [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
    outlook = dbt.ref("int_connection_outlook").project(", ".join(INPUT_SCHEMA))
    spells = dbt.ref("int_operational_spell").filter("interrupted_days is not null")
    spells = spells.project("authority_id, interrupted_days as days, resumed_on is not null as is_resumed")
    with tempfile.TemporaryDirectory() as folder:
        frames = []
        for name, relation in (("outlook", outlook), ("spells", spells)):  # by way of Parquet, as everywhere between the two
            path = Path(folder) / f"{name}.parquet"
            relation.write_parquet(str(path))
            # every draw is dealt in this order: the same inputs give the same prediction on any number of threads
            frames.append(pl.read_parquet(path).sort(pl.all()))
        predicted = Path(folder) / "predicted.parquet"
        predict_open(frames[0], frames[1], as_of).write_parquet(predicted)
        session.execute("create or replace temp table open_forecast as from read_parquet(?)", [str(predicted)])
    return session.table("open_forecast")
