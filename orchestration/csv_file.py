"""A table as a CSV file. Belongs here: writing one, and up to which length a release has one. Does not: which tables are written."""

from __future__ import annotations

from pathlib import Path

import duckdb

#: A release has no CSV file of a table with more rows: no spreadsheet opens it, and it is fifty times as large as its Parquet file.
CSV_ROWS_MAX = 1_048_575


def write_csv(con: duckdb.DuckDBPyConnection, relation: str, path: Path) -> None:
    """Write a table, or what else follows ``from``, as CSV. A cell that a spreadsheet would run as a formula becomes text."""
    # one that begins with = + - @, a tab or a carriage return
    cells = ", ".join(
        f"""case when ascii("{column}") in (61, 43, 45, 64, 9, 13) then '''' || "{column}" else "{column}" end as "{column}\""""
        if kind == "VARCHAR"
        else f'"{column}"'
        for column, kind, *_ in con.execute(f"describe from {relation}").fetchall()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"copy (select {cells} from {relation}) to {text(path)} (format csv, header)")


def text(value: object) -> str:
    """A SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"
