"""What the windows of every live connection were expected to hold. Belongs here: handing over; the method is in the estimator."""

from __future__ import annotations

from typing import Any

from dbt_project import frames
from dbt_project.estimators.dormancy import INPUT_SCHEMA, expect


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/dormancy.py``."""
    dbt.config(materialized="table")
    return frames.write(session, expect(frames.read(dbt.ref("int_dormancy_month").project(", ".join(INPUT_SCHEMA)))))
