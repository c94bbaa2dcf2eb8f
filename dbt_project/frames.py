"""Rows between DuckDB and Polars, for dbt's Python models. Belongs here: handing over. Does not: any method (``estimators``)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
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


@contextlib.contextmanager
def by(column: str, relation: Any) -> Iterator[Callable[[Any], pl.DataFrame]]:
    """Hand the rows of a relation over in parts, which need not all be in memory: yields what reads those of one value of a column."""
    with tempfile.TemporaryDirectory() as folder:
        relation.write_parquet(folder, partition_by=[column], write_partition_columns=True, overwrite=True)
        none = read(relation.limit(0))
        yield lambda value: pl.concat(
            [
                none,
                *(pl.read_parquet(path, hive_partitioning=False) for path in sorted(Path(folder, f"{column}={value}").glob("*"))),
            ]
        )


def write(session: Any, frames: pl.DataFrame | Iterable[pl.DataFrame]) -> Any:
    """A frame, or several of the same columns one after the other, as a relation of the session; the next one replaces it, after dbt has
    copied it."""
    with tempfile.TemporaryDirectory() as folder:
        for number, frame in enumerate([frames] if isinstance(frames, pl.DataFrame) else frames):
            frame.write_parquet(Path(folder) / f"{number:06}.parquet")
        session.execute("create or replace temp table handed_over as from read_parquet(?)", [f"{folder}/*.parquet"])
    return session.table("handed_over")
