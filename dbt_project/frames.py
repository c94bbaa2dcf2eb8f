"""Rows between DuckDB and Polars, for dbt's Python models. Belongs here: handing over. Does not: any method (``estimators``)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

# By way of Parquet: neither side knows the other's frames without pyarrow.


def read(relation: Any) -> pl.DataFrame:
    """The rows of one of DuckDB's relations, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        relation.write_parquet(str(path))
        return pl.read_parquet(path)


def write(session: Any, frames: pl.DataFrame | Iterable[pl.DataFrame]) -> Any:
    """A frame, or several of the same columns one after the other, as a relation of the session; the next one replaces it, after dbt has
    copied it."""
    with tempfile.TemporaryDirectory() as folder:
        for number, frame in enumerate([frames] if isinstance(frames, pl.DataFrame) else frames):
            frame.write_parquet(Path(folder) / f"{number:06}.parquet")
        session.execute("create or replace temp table handed_over as from read_parquet(?)", [f"{folder}/*.parquet"])
    return session.table("handed_over")
