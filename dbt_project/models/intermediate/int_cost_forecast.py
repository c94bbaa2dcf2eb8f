"""What the next Land will cost, one row per outcome, service and assumed difference of Länder. Belongs here: handing over; the method is
in ``dbt_project/estimators/cost_forecast.py``."""

from __future__ import annotations

from typing import Any

from dbt_project import frames
from dbt_project.estimators.cost_forecast import READ, forecast


def model(dbt: Any, session: Any) -> Any:
    """``FORECAST_SCHEMA``."""
    dbt.config(materialized="table")
    with frames.ALONE:
        [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
        observations = frames.read_as(dbt.ref("scale_observation").order("authority_id, service_id"), READ)
        found = frames.write(session, forecast(observations, as_of))
    return found  # noqa: RET504 - dbt takes one return, at the end
