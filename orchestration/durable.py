"""Writing that a power cut leaves whole. Belongs here: small files and renames. Does not: releases (``publication``), what is received
(``ingest.landing``)."""

from __future__ import annotations

import os
from pathlib import Path

from ingest.landing import make_folder


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, also after a power cut."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
