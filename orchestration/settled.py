"""What a release's warehouse begins with: of the tables that are kept by month, the months that hardly change any more.

DuckDB compresses a table anew whenever it is written, words above all, and the table of all usage is most of a release. So the months before
the last ones are written to a file of their own, once; a night copies that file as it is and adds the rest. Nothing is ever deleted
in such a file: what a correction or a withdrawal took away leaves no trace in a release, as the months that it was in make another file.

Belongs here: which months these are, the file, which of them are kept. Does not: what is published, and the proof that it is what was built
(``publication``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb

from ingest.landing import make_folder
from orchestration.csv_file import text
from orchestration.durable import sync_folder

#: Name of the folder of these files, below a home's ``build``.
FOLDER = "settled"
#: A month counts as settled once so many others have begun after it: corrections beyond two months are rare, and cost a file.
MONTHS_OPEN = 3
#: Per tier; the one before serves a night that is repeated.
_KEPT = 2


def first_open(as_of: date) -> date:
    """The first day of the first month that is not settled."""
    months = as_of.year * 12 + as_of.month - MONTHS_OPEN
    return date(months // 12, months % 12 + 1, 1)


def forget(folder: Path) -> None:
    """Let everything be written anew."""
    shutil.rmtree(folder, ignore_errors=True)


def file_of(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    tier: str,
    queries: Mapping[tuple[str, str], tuple[str, Sequence[Path]]],
    before: date,
    storage_version: str,
) -> Path | None:
    """The DuckDB file with the rows before a day, written now where it is not there; None where there are none.

    ``queries``: by schema and table, what it is a copy of, with a column ``month`` and in the order of the months, and the files that this
    reads, each named after its month and what it holds (``orchestration/parts.py``). ``con``: has what the queries read.
    """
    files = {
        table: sorted(file.name for file in read if file.name[:7] < f"{before:%Y-%m}") for table, (_, read) in queries.items()
    }
    if not any(files.values()):
        return None
    told = [duckdb.__version__, storage_version, before, *((table, queries[table][0], files[table]) for table in sorted(queries))]
    path = folder / f"{tier}.{hashlib.sha256(repr(told).encode()).hexdigest()[:24]}.duckdb"
    if not path.is_file():
        make_folder(folder)
        aside = folder / f".{path.name}"
        for left in folder.glob(".*"):  # by a run that was killed, with what it had not taken into the file yet
            left.unlink()
        con.execute(f"attach {text(aside)} as settled (storage_version '{storage_version}')")
        try:
            for (schema, name), (query, _) in queries.items():
                con.execute(f'create schema if not exists settled."{schema}"')
                con.execute(f'create table settled."{schema}"."{name}" as from ({query}) where month < ?', [before])
            con.execute("checkpoint settled")
        finally:
            con.execute("detach settled")
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
        sync_folder(folder)
        found = sorted(folder.glob(f"{tier}.*.duckdb"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in found[_KEPT:]:
            old.unlink(missing_ok=True)
    return path
