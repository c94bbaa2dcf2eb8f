"""Every estimate of the economies of scale, one row per term of a specification. Belongs here: handing over; the methods are in
``dbt_project/estimators/scale.py``."""

from __future__ import annotations

from typing import Any

import polars as pl

from dbt_project import frames, preregistration
from dbt_project.estimators import scale


def model(dbt: Any, session: Any) -> Any:
    """``ESTIMATE_SCHEMA`` with the look that is due, if one is."""
    dbt.config(materialized="table")
    with frames.ALONE:
        [[as_of]] = dbt.ref("stg_run").project("as_of").fetchall()
        observations = frames.read_as(dbt.ref("scale_observation").order("authority_id, service_id"), scale.READ)
        rule = preregistration.load()
        look = scale.due_look(observations, rule, as_of)
        estimates = scale.estimates_frame(scale.estimate(observations, rule, look)).with_columns(
            look_on=pl.lit(look and look.look_on, pl.Date),
            accepted_by=pl.lit(look and look.accepted_by, pl.Date),
            prereg_sha256=pl.lit(rule.sha256),
        )
        found = frames.write(session, estimates)
    return found  # noqa: RET504 - dbt takes one return, at the end
