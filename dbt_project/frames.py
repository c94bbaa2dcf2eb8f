"""Rows between DuckDB and Polars, for dbt's Python models. Belongs here: handing over. Does not: any method (``estimators``)."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

# By way of Parquet: neither side knows the other's frames without pyarrow.

#: Held by an estimator that has all connections of the country in memory: two of them at a time, beside what DuckDB may take, are too much.
ALONE = threading.Lock()


def read(relation: Any) -> pl.DataFrame:
    """The rows of one of DuckDB's relations, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        relation.write_parquet(str(path))
        return pl.read_parquet(path)


def read_as(relation: Any, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The columns of a relation that a schema names, in its types, but words as numbers of words: half of what ``read`` takes."""
    types = pl.Schema({name: pl.Categorical() if dtype == pl.String else dtype for name, dtype in schema.items()})
    return read(relation.project(", ".join(types))).cast(types)


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


@contextlib.contextmanager
def store(model: str) -> Iterator[Path]:
    """The folder that keeps what a model found on earlier nights (``ROLLIN_PARTS``); where it names none, one for this build alone."""
    if kept := os.environ.get("ROLLIN_PARTS"):
        yield Path(kept) / model
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def keep(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame to a file that is whole once it is there."""
    aside = path.with_name(f".{path.name}")
    frame.write_parquet(aside)
    aside.replace(path)


def gather(session: Any, paths: list[Path]) -> Any:
    """The rows of Parquet files as a relation of the session, which dbt copies into a table.

    Files that are kept (``store``) are read then. What others hold is taken over before they go; the next relation replaces it.
    """
    names = [str(path) for path in paths]
    if (kept := os.environ.get("ROLLIN_PARTS")) and all(path.is_relative_to(kept) for path in paths):
        return session.read_parquet(names, hive_partitioning=False)
    session.execute("create or replace temp table handed_over as from read_parquet(?, hive_partitioning = false)", [names])
    return session.table("handed_over")


def write(session: Any, frame: pl.DataFrame) -> Any:
    """A frame as a relation of the session, as ``gather`` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        frame.write_parquet(path)
        return gather(session, [path])
