"""The disclosure mask of usage, one row per cell with a count. Belongs here: handing over; the rule itself is in the estimator."""

from __future__ import annotations

from typing import Any

from dbt_project import frames
from dbt_project.estimators.disclosure import mask


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/disclosure.py``; what the public release before showed is an input of the night.

    A month at a time: no rule reaches beyond the month of a cell, and all months at once do not fit in memory.
    """
    dbt.config(materialized="table")
    [rule] = dbt.ref("disclosure_rule").filter("rule_id = 'pool_cells_min'").project("value").fetchall()
    cells, known = dbt.ref("int_public_cell").filter("submitted is not null"), dbt.source("inputs", "public_usage")
    months = [month for (month,) in cells.project("month").distinct().order("month").fetchall()] or [None]

    def masked(month: Any) -> Any:
        of_month = f"month = date '{month}'" if month else "false"
        return mask(frames.read(cells.filter(of_month)), frames.read(known.filter(of_month)), pool_cells_min=int(rule[0]))

    return frames.write(session, map(masked, months))
