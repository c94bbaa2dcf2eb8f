"""Fifty readers, twenty publications: nobody meets an error or a mixture, through DuckDB or through PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.postgres import feed
from tests.conftest import ROOT
from tests.postgres import Postgres
from tests.press import Press

PUBLICATIONS = 20


def readers(kind: str, where: str, stop: Path, **environ: str) -> list[subprocess.Popen[bytes]]:
    """Fifty of one kind, that yield to whoever publishes."""
    command = ["nice", "-n", "10", sys.executable, "-m", "tests.readers", kind, where, "25", str(stop)]
    return [subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.PIPE) for _ in range(2)]


def test_fifty_readers_through_twenty_publications(
    postgres: Postgres, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # no power is lost here, and disks differ
    press, stop = Press(tmp_path / "home"), tmp_path / "stop"
    address = postgres.new_database("readers")
    press.publish(1)
    feed(press.settings, "public", address)
    through_files = readers("duckdb", str(press.settings.current / "public"), stop)
    through_postgres = readers("postgres", "-", stop, READERS_ADDRESS=address)
    try:
        for number in range(2, PUBLICATIONS + 2):
            press.publish(number)
            feed(press.settings, "public", address)
    finally:
        stop.touch()
        told = [[reader.communicate(timeout=120)[0] for reader in kind] for kind in (through_files, through_postgres)]
    for name, outputs in zip(("DuckDB", "PostgreSQL"), told, strict=True):
        seen: list[dict[str, Any]] = [one for output in outputs for one in json.loads(output)]
        assert [one["error"] for one in seen if one["error"]] == []
        assert len(seen) == 50
        assert {one["numbers"][-1] for one in seen} == {PUBLICATIONS + 1}
        changes = sum(len(one["numbers"]) - 1 for one in seen)
        assert changes >= 100  # they were reading all the while
        print(f"{name}: 50 readers, {sum(one['readings'] for one in seen)} readings, {changes} changes of release seen")
