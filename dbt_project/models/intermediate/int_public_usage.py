"""The disclosure mask of usage, one row per cell with a count. Belongs here: handing over; the rule itself is in the estimator."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from dbt_project.estimators.disclosure import mask


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/disclosure.py``; what the public release before showed is an input of the night."""
    dbt.config(materialized="table")
    [rule] = dbt.ref("disclosure_rule").filter("rule_id = 'pool_cells_min'").project("value").fetchall()
    relations = {
        "cells": dbt.ref("int_public_cell").filter("submitted is not null"),
        "known": dbt.source("inputs", "public_usage"),
    }
    with tempfile.TemporaryDirectory() as folder:
        frames = {}
        for name, relation in relations.items():  # by way of Parquet: neither side knows the other's frames without pyarrow
            path = Path(folder) / f"{name}.parquet"
            relation.write_parquet(str(path))
            frames[name] = pl.read_parquet(path)
        masked = Path(folder) / "masked.parquet"
        mask(frames["cells"], frames["known"], pool_cells_min=int(rule[0])).write_parquet(masked)
        session.execute("create or replace temp table masked_usage as from read_parquet(?)", [str(masked)])
    return session.table("masked_usage")
