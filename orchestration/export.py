"""A release's tables as files in a folder of one's own (``rollin export``). Belongs here: copying them. Does not: making them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from orchestration.settings import Settings, UsageError
from orchestration.tiers import tier_folder

FORMATS = ("csv", "xlsx", "parquet")

#: The workbook of a tier: a sheet per table.
WORKBOOK = "rollin.xlsx"


def export(settings: Settings, target: Path, form: str, tier: str = "public") -> tuple[str, int]:
    """Copy the tables of a tier of the current release to ``target``, new or empty; returns the release's id and how many files.

    CSV and Parquet: ``<schema>/<table>.<form>``; XLSX: one workbook. ``target`` appears whole or not at all. Raises UsageError.
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
            else:
                whole.mkdir()
                shutil.copyfile(source, whole / source.name)
            files = sum(path.is_file() for path in whole.rglob("*"))
            os.replace(whole, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}): name another folder or make room.") from None
    return release_id, files
