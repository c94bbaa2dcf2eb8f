"""Which parts the models on usage are made of tonight, and which of them an earlier run has computed already.

Belongs here: what a part is made of, its name, the folder that parts are kept in. Does not: computing one (dbt's materializations
``parts`` and ``months``, dbt_project/macros; on Spark ``spark``), what is computed (the models in ``MODELS`` and ``BY_MONTH``).

A part is what a model says of the usage of one Land in one month. Its name holds the sha256 over the deliveries with rows in that month, in their order, and
over the SQL that sums them: equal names are equal contents, whichever run wrote them, on whichever day. Whatever is not needed any more
may be deleted at any time; it is computed again.

What follows from these is kept too, by month, where there is much of it: the models in ``BY_MONTH``, whose files dbt itself names, after
the month's ``int_usage_state``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from dbt_project import PROJECT_DIR
from ingest.landing import make_folder

#: The models that are kept in parts, with the columns of their files: names and DuckDB's types, whichever engine writes them.
COLUMNS: dict[str, dict[str, str]] = {
    "int_usage_delivery": {
        "land_code": "VARCHAR",
        "month": "DATE",
        "source": "VARCHAR",
        "delivery_id": "VARCHAR",
        "row_count": "BIGINT",
    },
    "int_usage_month": {
        "land_code": "VARCHAR",
        "authority_id": "VARCHAR",
        "service_id": "VARCHAR",
        "month": "DATE",
        "channel": "VARCHAR",
        "account": "VARCHAR",
        "grain": "VARCHAR",
        "started": "BIGINT",
        "submitted": "BIGINT",
        "completed": "BIGINT",
        "row_count": "BIGINT",
        "days_known_mask": "BIGINT",
        "days_used_mask": "BIGINT",
    },
}
MODELS = tuple(COLUMNS)

#: The models that are kept by month, all Länder together (``are_months_kept``).
BY_MONTH = (
    "fct_usage_monthly",
    "int_usage_channel",
    "int_usage_authority_month",
    "int_adoption_month",
    "int_account_month",
    "int_public_cell",
    "int_public_usage",
    "int_public_total",
    "public_fct_usage_monthly",
)

#: Usage of fewer rows is laid out by month anew each night: that costs less than a file for each model and month.
KEPT_FROM_ROWS = 5_000_000

#: Name of the folder of all parts, below a home's ``build``.
STORE = "parts"

#: What decides beside the model itself how a part is made of its deliveries.
_RULES = ("models/staging/stg_usage.sql", "macros/newest_revisions.sql", "macros/parts.sql")

SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        "land_code": pl.String(),
        "month": pl.Date(),
        "files": pl.List(pl.String()),
        "is_single": pl.Boolean(),
        "path": pl.String(),
        "is_kept": pl.Boolean(),
    }
)


def make_store(store: Path, *, anew: bool = False) -> None:
    """Make the folders that parts are kept in; forget what they hold where it is to be computed ``anew``, and what a power cut left half."""
    if anew:
        shutil.rmtree(store, ignore_errors=True)
    for model in (*MODELS, *BY_MONTH):
        make_folder(store / model)
    for path in store.glob("*/*"):
        if not _is_whole(path):
            path.unlink(missing_ok=True)


def lay_out(inputs: Path, store: Path) -> pl.DataFrame:
    """The parts of the usage below ``inputs`` (``SCHEMA``): model, land_code, month, the files that may hold rows of it relative to
    ``inputs``, whether all these are of one delivery, the path of the part in ``store``, and whether it lies there already.

    Read are the statistics of the files, not their rows, except where one file is of several Länder.
    """
    rows = []
    found = _files_by_month(inputs)
    for model in MODELS:
        folder = store.resolve() / model
        folder.mkdir(parents=True, exist_ok=True)
        for land_code, month, files, is_single in found:
            path = folder / f"{land_code}.{month:%Y-%m}.{_digest(model, files)}.parquet"
            rows.append((model, land_code, month, files, is_single, str(path), _is_whole(path)))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def are_months_kept(inputs: Path) -> bool:
    """Whether the usage below ``inputs`` is so much that the models in ``BY_MONTH`` are kept; asked is how many rows its files have."""
    with duckdb.connect() as con:
        query = "select coalesce(sum(num_rows), 0) >= ? from parquet_file_metadata(?)"
        return bool(con.execute(query, [KEPT_FROM_ROWS, str(inputs / "usage" / "*.parquet")]).fetchall()[0][0])


def prune(store: Path, kept: list[Path]) -> int:
    """Delete the parts that none of the runs' input folders in ``kept`` names, and of every month all but as many newest files; how many.

    A run that was killed while it wrote down its parts names none.
    """
    named: set[tuple[str, str]] = set()
    for inputs in kept:
        for file in (inputs / "part").glob("*.parquet"):
            with contextlib.suppress(OSError, pl.exceptions.PolarsError):
                paths = pl.read_parquet(file, columns=["path"])["path"]
                named.update((Path(path).parent.name, Path(path).name) for path in paths)
    old = [path for model in MODELS for path in (store / model).glob("*.parquet") if (model, path.name) not in named]
    months: dict[tuple[str, str], list[Path]] = {}
    for model in BY_MONTH:
        for path in (store / model).glob("*.parquet"):
            months.setdefault((model, path.name.partition(".")[0]), []).append(path)
    for found in months.values():  # a run makes at most one of each
        old += sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)[len(kept) :]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _files_by_month(inputs: Path) -> list[tuple[str, date, list[str], bool]]:
    """Land, month, sorted names (relative to ``inputs``) of the files that may hold rows of it, and whether one delivery is all."""
    with duckdb.connect() as con:
        bounds = con.execute(_BOUNDS, [str(inputs / "usage" / "*.parquet")]).fetchall()
        mixed = [name for name, is_of_one_land, *_ in bounds if not is_of_one_land]
        read = con.execute(_READ, [mixed]).fetchall() if mixed else []
    held = {name: is_single for name, *_, is_single in bounds}
    files: dict[tuple[str, date], list[str]] = {}
    for name, is_of_one_land, land_code, months, _ in bounds:
        for month in months if is_of_one_land else ():
            files.setdefault((land_code, month), []).append(name)
    for name, land_code, month in read:
        files.setdefault((land_code, month), []).append(name)
    return [
        (land_code, month, sorted(f"usage/{Path(name).name}" for name in names), len(names) == 1 and held[names[0]])
        for (land_code, month), names in sorted(files.items())
    ]


#: What the statistics of its row groups say of a file: whether it is of one Land, which, the months from its first to its last day,
#: whether it is of one delivery. Of a file without statistics they say nothing, and it is read.
_BOUNDS = """
    with statistics as (
        select
            file_name,
            path_in_schema as name,
            coalesce(stats_min_value, stats_min) as low,
            coalesce(stats_max_value, stats_max) as high
        from parquet_metadata($1)
        where path_in_schema in ('land_code', 'period', 'delivery_id') and row_group_num_rows > 0
    )
    select
        file_name,
        bool_and(low is not null and high is not null)
        and min(low) filter (name = 'land_code') = max(high) filter (name = 'land_code') as is_of_one_land,
        min(low) filter (name = 'land_code') as land_code,
        generate_series(
            date_trunc('month', (min(low) filter (name = 'period'))::date),
            (max(high) filter (name = 'period'))::date,
            interval 1 month
        )::date[] as months,
        coalesce(min(low) filter (name = 'delivery_id') = max(high) filter (name = 'delivery_id'), false) as is_single
    from statistics
    group by file_name
    order by file_name
"""

_READ = (
    "select distinct filename, land_code, date_trunc('month', period)::date from read_parquet($1, filename = true) order by all"
)


def _is_whole(path: Path) -> bool:
    """Whether a part was written to its end, as far as its first and last bytes tell: after a power cut it may lie there without."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        begins = file.read(4)
        length = file.seek(-4, os.SEEK_END)
        return length > 8 and begins == file.read(4) == b"PAR1"
    return False


def _digest(model: str, files: list[str]) -> str:
    """24 hex digits: a file's name holds its delivery and the fingerprint of its cleaning."""
    return hashlib.sha256("\n".join([_rules(model), *files]).encode()).hexdigest()[:24]


@functools.cache
def _rules(model: str) -> str:
    digest = hashlib.sha256(duckdb.__version__.encode())
    for rule in (f"models/intermediate/{model}.sql", *_RULES):
        digest.update((PROJECT_DIR / rule).read_bytes())
    return digest.hexdigest()
