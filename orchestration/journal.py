"""Journals: files to which a line is added and none is ever changed, one JSON document per line.

Belongs here: adding a line so that a kill or a power cut costs at most that line, and reading the lines again. Does not: what stands
in them (``night`` writes attempts and Land files, ``withdrawals`` writes withdrawals).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest.landing import make_folder


def append(path: Path, at: datetime, document: Mapping[str, Any]) -> None:
    """Add a line: ``document`` and the instant ``at``. Durable on return; a line that a kill cut short before it stays its own line.

    Raises OSError where the disk refuses.
    """
    make_folder(path.parent)
    line = json.dumps({"at": at.isoformat(), **document}, ensure_ascii=False).encode() + b"\n"
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, until: datetime) -> list[dict[str, Any]]:
    """The lines whose instant ``at`` is not after ``until``, in the order in which they were added; a line cut short is none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            entry["at"] = datetime.fromisoformat(entry["at"])
            if entry["at"] <= until:
                entries.append(entry)
    return entries
