"""Fifty readers, twenty publications: nobody meets an error or a mixture, through DuckDB or through PostgreSQL."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration import publication, warehouse
from orchestration.postgres import feed
from tests.conftest import ROOT
from tests.house import House
from tests.postgres import Postgres, postgres

__all__ = ["postgres"]

PUBLICATIONS = 20
TABLES = {"dim_land": "population", "programme_coverage_daily": "services", "pilot_coverage_daily": "authorities_operational"}


class Press:
    """Publishes the last good build again and again, as release number 1, 2, 3, ..."""

    def __init__(self, house: House):
        self.house = house
        run = max(
            (p for p in house.settings.build.iterdir() if (p / "audit.json").is_file() and not p.is_symlink()), key=os.path.getmtime
        )
        self.build, self.audit = run / "warehouse.duckdb", publication.Audit.read(run / "audit.json")
        manifest = warehouse.load_manifest(warehouse.prepare(house.settings))
        self.marts = [node for node in warehouse.marts(manifest) if node["name"] in TABLES]

    def publish(self, number: int) -> None:
        run_id = f"{number:08d}-0000-0000-0000-000000000000"
        self.build.chmod(0o644)
        with duckdb.connect(str(self.build)) as con:
            for node in self.marts:
                con.execute(f"update {node['schema']}.{node['name']} set {TABLES[node['name']]} = {number}")
            con.execute("checkpoint")
        audit = dataclasses.replace(self.audit, run_id=run_id, build_sha256=publication.sha256_of(self.build), results=[])
        self.build.with_name("audit.json").write_text(audit.to_json())
        now = self.house.now + timedelta(minutes=number)
        publication.publish(self.house.settings, self.build, run_id=run_id, now=now, marts=self.marts)


def readers(kind: str, where: str, processes: int, stop: Path, **environ: str) -> list[subprocess.Popen[bytes]]:
    """Ten readers for each process."""
    command = [sys.executable, "-m", "tests.readers", kind, where, "10", str(stop)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **environ}
    return [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) for _ in range(processes)]


def test_fifty_readers_through_twenty_publications(
    house: House, postgres: Postgres, tmp_path: Path
) -> None:
    press, stop = Press(house), tmp_path / "stop"
    address = postgres.new_database("readers")
    press.publish(1)
    feed(house.settings, "public", address)
    through_files = readers("duckdb", str(house.settings.current / "public"), 5, stop)
    through_postgres = readers("postgres", "-", 5, stop, READERS_ADDRESS=address)
    try:
        time.sleep(2)  # until they read
        for number in range(2, PUBLICATIONS + 2):
            press.publish(number)
            feed(house.settings, "public", address)
    finally:
        stop.touch()
        told = [[reader.communicate(timeout=120)[0] for reader in kind] for kind in (through_files, through_postgres)]
    for name, outputs in zip(("DuckDB", "PostgreSQL"), told, strict=True):
        seen: list[dict[str, Any]] = [one for output in outputs for one in json.loads(output)]
        assert [one["error"] for one in seen if one["error"]] == []
        assert len(seen) == 50
        assert {one["numbers"][-1] for one in seen} == {PUBLICATIONS + 1}
        changes = sum(len(one["numbers"]) - 1 for one in seen)
        assert changes >= 50  # they were reading all the while
        print(f"{name}: 50 readers, {sum(one['readings'] for one in seen)} readings, {changes} changes of release seen")
