"""What the windows of every live connection were expected to hold. Belongs here: handing over; the method is in the estimator."""

from __future__ import annotations

from typing import Any

import polars as pl

from dbt_project import frames
from dbt_project.estimators.dormancy import INPUT_SCHEMA, OUTPUT_SCHEMA, expect


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/dormancy.py``. A service at a time: peers are of the same one, and all rows at once need not fit in
    memory.
    """
    dbt.config(materialized="table")
    months = dbt.ref("int_dormancy_month").project(", ".join(INPUT_SCHEMA))
    services = [service for (service,) in months.project("service_id").distinct().order("service_id").fetchall()]
    with frames.by("service_id", months) as of_service:
        # sorted: what is added up in another order is another number, in its last digit
        expected = [expect(of_service(service).sort("land_code", "authority_id", "month")) for service in services]
    return frames.write(session, pl.concat([pl.DataFrame(schema=OUTPUT_SCHEMA), *expected]))
