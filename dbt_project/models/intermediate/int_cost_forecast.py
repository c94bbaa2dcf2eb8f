"""What the next Land will cost, one row per outcome, service and assumed difference of Länder. Belongs here: handing over; the method is
in ``dbt_project/estimators/cost_forecast.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from dbt_project.estimators.cost_forecast import forecast
from dbt_project.estimators.scale import OBSERVATION_SCHEMA


def model(dbt: Any, session: Any) -> Any:
    """``FORECAST_SCHEMA``."""
    dbt.config(materialized="table")
    [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
    with tempfile.TemporaryDirectory() as folder:  # by way of Parquet, as everywhere between the two
        path = Path(folder) / "rows.parquet"
        dbt.ref("scale_observation").order("authority_id, service_id").write_parquet(str(path))
        forecast(pl.read_parquet(path).cast(OBSERVATION_SCHEMA), as_of).write_parquet(path)
        session.execute("create or replace temp table cost_forecasts as from read_parquet(?)", [str(path)])
    return session.table("cost_forecasts")
