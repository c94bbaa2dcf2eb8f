"""A release's tables as files in a folder of one's own (``rollin export``). Belongs here: copying them, and the CSV that a release leaves
out. Does not: which tables a release has (``publication``)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import duckdb

from orchestration.csv_file import text, write_csv
from orchestration.settings import Settings, UsageError
from orchestration.tiers import tier_folder

FORMATS = ("csv", "xlsx", "parquet")

#: The workbook of a tier: a sheet per table.
WORKBOOK = "rollin.xlsx"


def export(settings: Settings, target: Path, form: str, tier: str = "public") -> tuple[str, int]:
    """Copy the tables of a tier of the current release to ``target``, new or empty; returns the release's id and how many files.

    CSV and Parquet: ``<schema>/<table>.<form>``, CSV also of tables that the release has too long for it; XLSX: one workbook.
    ``target`` appears whole or not at all. Raises UsageError.
    """
    folder, release_id = tier_folder(settings, tier)
    source = folder / (WORKBOOK if form == "xlsx" else form)
    if not source.exists():
        raise UsageError(f"Release {release_id} has no {source.name}: run 'rollin refresh --full', or choose another --format.")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} is not empty: name a new folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as aside:
            whole = Path(aside) / "whole"
            if source.is_dir():
                shutil.copytree(source, whole, copy_function=shutil.copyfile)
                if form == "csv":
                    _write_long(folder / "parquet", whole)
            else:
                whole.mkdir()
                shutil.copyfile(source, whole / source.name)
            files = sum(path.is_file() for path in whole.rglob("*"))
            os.replace(whole, target)
    except (OSError, duckdb.IOException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"{target} cannot be written ({reason}): name another folder or make room.") from None
    return release_id, files


def _write_long(parquet: Path, whole: Path) -> None:
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as con:
        con.execute("set TimeZone = 'UTC'")
        for path in sorted(parquet.glob("*/*.parquet")):  # a file, or a folder with one for each month
            written = whole / path.relative_to(parquet).with_suffix(".csv")
            if not written.exists():
                write_csv(con, f"read_parquet({text(path)})", written)
