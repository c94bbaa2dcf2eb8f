"""When two releases hold the same tables (equal ordered by key; DOUBLE to 1e-12 relative; stamps of ``meta`` excepted)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import polars as pl
from polars.testing import assert_frame_equal

#: Columns and tables that say when and by which run something was made, not what it is.
STAMPS = {"release_id", "run_id", "published_at", "last_attempt_at", "code_version"}
RECORDS_OF_A_RUN = {("meta", "check_result"), ("meta", "release")}


def tables(warehouse: Path) -> dict[tuple[str, str], pl.DataFrame]:
    """Every table of a published warehouse, in the order of all its columns."""
    with duckdb.connect(str(warehouse), read_only=True) as con, tempfile.TemporaryDirectory() as folder:
        names = con.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        found = {}
        for schema, name in names:
            path = Path(folder) / f"{schema}.{name}.parquet"
            con.execute(f"copy (from {schema}.\"{name}\" order by all) to '{path}' (format parquet)")
            found[schema, name] = pl.read_parquet(path)
        return found


def assert_same_tables(one: Path, other: Path) -> None:
    """Raise AssertionError naming the first table and column that differ."""
    left, right = tables(one), tables(other)
    assert left.keys() == right.keys()
    for key in sorted(left.keys() - RECORDS_OF_A_RUN):
        try:
            assert_frame_equal(
                left[key].drop(STAMPS & set(left[key].columns)),
                right[key].drop(STAMPS & set(right[key].columns)),
                check_exact=False,
                rel_tol=1e-12,
                abs_tol=0,
            )
        except AssertionError as error:
            raise AssertionError(f"{'.'.join(key)} differs: {error}") from None
