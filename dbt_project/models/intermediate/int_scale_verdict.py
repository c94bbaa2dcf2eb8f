"""The verdicts on the economies of scale, one row per claim and outcome. Belongs here: handing over; the rule is applied in
``dbt_project/estimators/scale.py``."""

from __future__ import annotations

from typing import Any

import polars as pl

from dbt_project import frames, preregistration
from dbt_project.estimators import scale


def model(dbt: Any, session: Any) -> Any:
    """``VERDICT_SCHEMA`` with the day of the first cost."""
    dbt.config(materialized="table")
    with frames.ALONE:
        [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
        [[first_cost_on]] = dbt.ref("fct_cost").filter("entry_status = 'invoiced'").aggregate("min(booked_on)").fetchall()
        observations = frames.read_as(dbt.ref("scale_observation").order("authority_id, service_id"), scale.READ)
        verdicts = scale.judge(observations, preregistration.load(), as_of=as_of, first_cost_on=first_cost_on)
        found = frames.write(session, scale.verdicts_frame(verdicts).with_columns(first_cost_on=pl.lit(first_cost_on, pl.Date)))
    return found  # noqa: RET504 - dbt takes one return, at the end
