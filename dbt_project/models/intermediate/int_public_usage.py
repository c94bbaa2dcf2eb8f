"""The disclosure mask of usage, one row per cell with a count. Belongs here: handing over; the rule itself is in the estimator."""

from __future__ import annotations

from typing import Any

from dbt_project import frames
from dbt_project.estimators.disclosure import mask


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/disclosure.py``; what the public release before showed is an input of the night."""
    dbt.config(materialized="table")
    [rule] = dbt.ref("disclosure_rule").filter("rule_id = 'pool_cells_min'").project("value").fetchall()
    cells = frames.read(dbt.ref("int_public_cell").filter("submitted is not null"))
    return frames.write(session, mask(cells, frames.read(dbt.source("inputs", "public_usage")), pool_cells_min=int(rule[0])))
