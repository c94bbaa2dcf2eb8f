"""What the benchmarks compare does the same work: pandas and plain SQL agree with each other and with the pipeline's own tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from benchmarks import meter, rivals, speed
from tests.conftest import ROOT
from tests.house import House


@pytest.fixture(scope="module")
def inputs(published: House) -> Path:
    """What the small world's night gave dbt."""
    return max(published.home.glob("build/*/inputs"), key=lambda path: path.stat().st_mtime)


@pytest.mark.parametrize("name", ["duckdb", "pandas"])
def test_a_rival_finds_what_the_pipeline_published(published: House, inputs: Path, tmp_path: Path, name: str) -> None:
    cost, output = meter.run([sys.executable, "-m", "benchmarks.rivals", name, inputs, tmp_path], rivals.environ(), ROOT)
    legs = json.loads(output.splitlines()[-1])
    assert 0 < legs["build"]["seconds"] < cost.seconds
    assert cost.peak_mb > 30
    release = published.settings.current / "warehouse.duckdb"
    (tmp_path / "pipeline").mkdir()
    rivals._export(release, rivals.PIPELINE, tmp_path / "pipeline")
    differing = rivals._differing(tmp_path / "pipeline", tmp_path)
    with duckdb.connect() as connection:
        rows = {
            table: connection.execute(f"select count(*) from '{tmp_path}/pipeline/{table}.parquet'").fetchall()[0][0]
            for table in rivals.RESULTS
        }
    assert differing["monthly"] == 0
    # Hanau changed its key: its history is told on today's territory by the pipeline alone
    assert differing["coverage"] <= 0.05 * rows["coverage"]
    assert differing["adoption"] <= 0.05 * rows["adoption"]


def test_a_leg_counts_its_own_bytes_memory_and_seconds(tmp_path: Path) -> None:
    program = f"""
import json
from benchmarks import meter
first, second = meter.Cost(), meter.Cost()
with meter.leg(first):
    held = bytearray(200_000_000)
    open({str(tmp_path / "file")!r}, "wb").write(held[:50_000_000])
    del held
with meter.leg(second):
    open({str(tmp_path / "file")!r}, "rb").read(10_000_000)
print(json.dumps([first.to_dict(), second.to_dict()]))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    first, second = json.loads(ran.stdout)
    assert first["written_mb"] == pytest.approx(50, abs=1)
    assert second["read_mb"] == pytest.approx(10, abs=1)
    assert first["peak_mb"] > 200 > second["peak_mb"]
    assert first["seconds"] > 0


def test_the_bench_measures_the_sizes_that_there_are() -> None:
    whole, week = speed.workloads_of("M", 1.0, None), speed.workloads_of("M", 0.5, 7)
    assert (whole.rows, whole.days_count, whole.share) == (100_000_000, 1096, 1.0)
    assert week.last - week.first == timedelta(days=6)
    assert week.rows == 7 * 100_000_000 // 1096
