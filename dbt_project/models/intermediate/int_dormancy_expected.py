"""What the windows of every live connection were expected to hold. Belongs here: handing over; the method is in the estimator."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from dbt_project.estimators.dormancy import INPUT_SCHEMA, expect


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/dormancy.py``."""
    dbt.config(materialized="table")
    months = dbt.ref("int_dormancy_month").project(", ".join(INPUT_SCHEMA))
    with tempfile.TemporaryDirectory() as folder:  # by way of Parquet, as everywhere between the two
        given, expected = Path(folder) / "months.parquet", Path(folder) / "expected.parquet"
        months.write_parquet(str(given))
        expect(pl.read_parquet(given)).write_parquet(expected)
        session.execute("create or replace temp table dormancy_expected as from read_parquet(?)", [str(expected)])
    return session.table("dormancy_expected")
