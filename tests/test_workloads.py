"""The benchmarks' worlds: the same from the same parameters, clean in the product's eyes, and as clean Parquet what cleaning makes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks import workloads
from tests.conftest import ROOT

DAYS = {"first": date(2026, 9, 24), "last": date(2026, 10, 5)}

#: In a process of its own, because the services are read once: put a world's usage into a home as clean Parquet, then fetch and clean
#: that home's world and another one's, and tell what came of every source.
CLEAN = """
import json, sys
from datetime import date
from pathlib import Path
from benchmarks import workloads
from orchestration.night import Night, lock
from orchestration.settings import Settings

def cleaned(out, home, *tables):
    with lock(settings := Settings(home=home, laender=out / "laender")):
        night = Night(settings, "test")
        told = {}
        for code, land in night.laender.items():
            for source in [s for s in land.sources if not tables or s.table in tables]:
                outcome = night.fetch(code, source.name)
                assert outcome.status in ("new", "unchanged"), outcome.problem_en
                state = night.admit(code, source.name)
                records = [a.record for a in state.admissions]
                told[f"{code}/{source.name}"] = [state.status, sum(r.rows_clean for r in records), sum(r.rows_delivered for r in records)]
                told[f"{code}/{source.name}"] += [sum(sum(r.quarantined.values()) for r in records), len(records)]
        return told, night.references["00"].competences.select("authority_id", "service_id").unique().height

def written():
    return sorted((str(path), path.stat().st_mtime_ns) for path in Path(clean_home, "clean", "usage").rglob("*.parquet"))

out, home, clean_out, clean_home = map(Path, sys.argv[1:])
world = workloads.workload("M", share=0.03, laender=("05", "09"), directory=None, first=date(2026, 9, 24), last=date(2026, 10, 5))
rows = workloads.write_clean_usage(world, clean_out, clean_home)["usage_rows"]
before = written()
again, _ = cleaned(clean_out, clean_home, "regions", "usage")
told, authorities = cleaned(out, home)
print(json.dumps({"sources": told, "authorities": authorities, "rows": rows, "again": again, "kept": before == written()}))
"""


@cache
def world(seed: int = workloads.SIZES["M"].seed) -> workloads.Workload:
    return workloads.workload("M", share=0.03, laender=("05", "09"), directory=None, seed=seed, **DAYS)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".zip")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("workload") / "world"
    workloads.write(world(), out)
    return out


def test_equal_parameters_give_equal_files_and_another_seed_gives_others(written: Path, tmp_path: Path) -> None:
    workloads.write(dataclasses.replace(world()), tmp_path / "again")  # one that has computed nothing yet
    assert digest(tmp_path / "again") == digest(written)
    workloads.write(world(seed=7), tmp_path / "other")
    differing = {name for name, value in digest(tmp_path / "other").items() if digest(written)[name] != value}
    assert {"deliveries/09/usage-2026-09.csv", "deliveries/05/connections-0.csv"} <= differing


def test_the_size_has_the_rows_that_it_says() -> None:
    germany = workloads.workload("M", directory=None, rows=200_000, **DAYS)
    units = [germany.units(land) for land in germany.laender]
    rows = sum(land.usage_of(germany.first + timedelta(days=n)).height for land in units for n in range(germany.days_count))
    assert rows == pytest.approx(200_000, rel=0.1)


@pytest.fixture(scope="module")
def cleaned(written: Path) -> dict[str, Any]:
    """What cleaning made of the delivered world in ``home`` and of the one with clean usage in ``clean``, both beside ``written``."""
    folder = written.parent
    workloads.write(world(), folder / "none", usage="none")
    night = json.loads((written / "workload.json").read_text())["night"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROLLIN_")}
    environment |= {"ROLLIN_SERVICES": str(written / "services.csv"), "ROLLIN_NOW": night, "PYTHONPATH": str(ROOT)}
    folders = [str(folder / name) for name in (written.name, "home", "none", "clean")]
    ran = subprocess.run([sys.executable, "-c", CLEAN, *folders], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def test_everything_is_cleaned_without_quarantine(written: Path, cleaned: dict[str, Any]) -> None:
    rows = json.loads((written / "workload.json").read_text())["rows"]
    sources = cleaned["sources"]
    assert {name: [values[0], values[3]] for name, values in sources.items()} == {name: ["current", 0] for name in sources}
    for land in ("05", "09"):
        for table in ("usage", "connections", "costs", "case_volumes"):
            delivered = sum(count for name, count in rows.items() if name.startswith(f"{land}/{table}"))
            assert sources[f"{land}/{table}"][1] == delivered, (land, table)
    assert cleaned["authorities"] == sum(world().units(land).frame.height for land in ("05", "09"))


def test_clean_parquet_is_what_cleaning_the_csv_gives(written: Path, cleaned: dict[str, Any]) -> None:
    assert cleaned["kept"], "what was written is not cleaned again"
    assert sum(cleaned["again"][f"{land}/usage"][1] for land in ("05", "09")) == cleaned["rows"] > 1_000

    def rows(home: Path) -> pl.DataFrame:
        frame = pl.concat(pl.read_parquet(path) for path in sorted((home / "clean" / "usage").rglob("*.parquet")))
        return frame.drop("delivery_id")  # the id holds a hash of the delivered bytes

    made, product = rows(written.parent / "clean"), rows(written.parent / "home")
    assert made.schema == product.schema
    order = ["period", "authority_id", "service_id", "channel", "account"]
    assert made.sort(order).equals(product.sort(order))


def test_the_next_day_adds_a_day_and_corrects_one_per_cent(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "world"
    shutil.copytree(written, out)
    before = digest(out / "deliveries")
    workloads.write_next_day(world(), out)
    after = digest(out / "deliveries")
    assert {name: after[name] for name in before} == before
    assert {f"{land}/usage-2026-10-06.csv" for land in ("05", "09")} <= after.keys() - before.keys()
    keys = ["Datum", "Schlüssel", "Leistung", "Kanal", "Konto"]
    for land in ("05", "09"):
        known = pl.concat(
            pl.read_csv(path, separator=";", infer_schema=False) for path in (out / "deliveries" / land).glob("usage-2026-??.csv")
        )
        new = pl.read_csv(out / "deliveries" / land / "usage-2026-10-06.csv", separator=";", infer_schema=False)
        corrected = new.filter(pl.col("Datum") != "06.10.2026")
        assert 0 < new.height - corrected.height < known.height / 4
        assert corrected.height == pytest.approx(known.height / 100, rel=0.7)
        both = corrected.join(known, on=keys, how="inner", nulls_equal=True)
        assert both.height == corrected.height
        assert both.select((pl.col("eingereicht").cast(int) - pl.col("eingereicht_right").cast(int) == 1).all()).item()
