"""The disclosure mask of usage, one row per cell with a count. Belongs here: handing over; the rule itself is in the estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dbt_project import frames
from dbt_project.estimators.disclosure import CELL, mask

_OF_CELLS = [*CELL, "submitted", "is_in_total", "is_paired", "is_structural_zero", "small_count_max"]
_KNOWN = [*CELL, "submitted", "is_suppressed", "suppression_pool"]
#: Compared a dozen times over: as numbers of words rather than as words.
_WORDS = pl.col("land_code", "service_id", "channel", "authority_id").cast(pl.Categorical)


def model(dbt: Any, session: Any) -> Any:
    """See ``dbt_project/estimators/disclosure.py``; what the public release before showed is an input of the night.

    A month at a time: no rule reaches beyond the month of a cell, and all months at once do not fit in memory. What a month of the
    same state (``int_usage_state``) was masked to on an earlier night is kept.
    """
    dbt.config(materialized="table")
    [rule] = dbt.ref("disclosure_rule").filter("rule_id = 'pool_cells_min'").project("value").fetchall()
    cells, known = dbt.ref("int_public_cell").filter("submitted is not null"), dbt.source("inputs", "public_usage")
    states = dict(dbt.ref("int_usage_state").project("month, public").fetchall())
    with frames.store("int_public_usage") as folder:
        months = [month for (month,) in cells.project("month").distinct().order("month").fetchall()]
        files = [folder / f"{month:%Y-%m}.{states[month]}.parquet" for month in months] or [folder / "none.parquet"]
        missing = {file: month for file, month in zip(files, months or [None], strict=True) if not Path(file).is_file()}
        of_missing = " or ".join(f"month = date '{month}'" for month in missing.values() if month) or "false"
        with (
            frames.by("month", cells.filter(of_missing).project(", ".join(_OF_CELLS))) as counts,
            frames.by("month", known.filter(of_missing).project(", ".join(_KNOWN))) as before,
        ):
            for file, month in missing.items():
                masked = mask(counts(month).with_columns(_WORDS), before(month).with_columns(_WORDS), pool_cells_min=int(rule[0]))
                frames.keep(masked, file)
        found = frames.gather(session, files)
    return found  # noqa: RET504 - dbt takes one return, at the end
