"""The heavy models on Spark: the parts that DuckDB computes, number by number, and a night of the same tables; what fails leaves nothing.

Spark is started once, with the parts of the small world and of deliveries that are harder than it; without Java 17 or .venv-spark
(`make spark`) those tests are skipped.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from orchestration import parts, spark
from orchestration.settings import Settings, UsageError
from tests.conftest import Rollin
from tests.dbt_inputs import run_dbt
from tests.house import House
from tests.same import assert_same_tables
from tests.test_parts import delivery, row

#: Small work: what a Java optimises for longer would cost more than it saves.
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ROLLIN_")},
    **{name: value for name, value in os.environ.items() if name == "ROLLIN_SPARK_PYTHON"},
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "ROLLIN_SPARK_MEMORY": "1g",
    "ROLLIN_SPARK_PARTITIONS": "4",
}


def spark_python() -> str:
    """The Python of the Spark environment; skips where Spark cannot be started here."""
    given = os.environ.get("ROLLIN_SPARK_PYTHON")
    if not given and not (spark.ENVIRONMENT / ".ready").is_file():
        pytest.skip("no environment for Spark: make spark")
    try:
        spark.require(Settings(home=Path("unused"), environ=ENVIRON))
    except UsageError as error:
        pytest.skip(str(error))
    return given or str(spark.ENVIRONMENT / "bin" / "python")


def hard_deliveries(inputs: Path) -> None:
    """Two Länder over the months 1, 2, 4 and 5 and both ends of a month: corrections, retractions, test traffic, both grains, accounts."""
    rng = np.random.default_rng(20261123)
    for number in range(3):
        rows = {}
        for _ in range(120):
            grain = rng.choice(["day", "day", "month"])
            month = date(2026, int(rng.choice([1, 2, 4, 5])), 1)
            day = month + timedelta(days=int(rng.choice([0, 1, 2, 27]))) if grain == "day" else month
            key = {
                "land_code": str(rng.choice(["01", "02"])),
                "authority_id": f"a/{rng.integers(3)}",
                "period": day,
                "grain": str(grain),
                "account": [None, "bundid"][rng.integers(2)],
                "is_test": bool(rng.random() < 0.1),
            }
            counts = {name: [None, 0, 1, 2**40][rng.integers(4)] for name in ("started", "submitted", "completed")}
            rows[tuple(key.values())] = key | counts | {"is_retracted": bool(rng.random() < 0.15)}
        delivery(inputs, number, list(rows.values()))
    last = [row(date(2026, month, day), "03") for month, day in ((1, 31), (3, 31))]
    delivery(inputs, 3, last)  # a file of one delivery that may hold rows of February, and holds none
    delivery(inputs, 4, [row(date(2026, 3, 31), "03", is_retracted=True), row(date(2026, 3, 30), "03", is_test=True)])


@dataclasses.dataclass
class Computed:
    """``home``: with all parts from Spark but ``kept``, which lay there before; ``duckdb``: the store of the same parts from DuckDB."""

    home: Path
    duckdb: Path
    kept: list[str]
    run: Path


@pytest.fixture(scope="module")
def computed(published: House, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    """The parts of the small world and of hard deliveries, by both engines."""
    environ = {**ENVIRON, "ROLLIN_SPARK_PYTHON": spark_python()}
    folder = tmp_path_factory.mktemp("spark")
    home = folder / "home"
    run = home / "build" / "an-earlier-run"  # whose parts the next one keeps
    shutil.copytree(published.home, home, symlinks=True)
    inputs = run / "inputs"
    shutil.copytree(home / "build" / "tonight" / "inputs" / "usage", inputs / "usage")
    hard_deliveries(inputs)
    (inputs / "part").mkdir()
    laid = inputs / "part" / "part.parquet"

    parts.lay_out(inputs, folder / "duckdb").write_parquet(laid)
    assert set(run_dbt(run, "run", "--select", "stg_usage", *parts.MODELS).values()) == {"success"}

    store = home / "build" / "parts"
    shutil.rmtree(store)
    kept = [path for path in parts.lay_out(inputs, store)["path"] if "/01." in path][::3]
    for path in kept:
        shutil.copy(folder / "duckdb" / Path(path).relative_to(store.resolve()), path)
    missing = parts.lay_out(inputs, store)
    missing.write_parquet(laid)
    count = spark.compute(Settings(home=home, environ=environ), run)
    assert count == missing.height - len(kept) and kept
    return Computed(home, folder / "duckdb", kept, run)


def read(path: Path) -> tuple[pl.DataFrame, str]:
    """A part in the order of all its columns, and the program that wrote it."""
    with duckdb.connect() as con:
        [(writer,)] = con.execute(f"select created_by from parquet_file_metadata('{path}')").fetchall()
    frame = pl.read_parquet(path, hive_partitioning=False)
    return frame.sort(frame.columns), writer


def test_spark_makes_the_parts_that_duckdb_makes(computed: Computed) -> None:
    store = computed.home / "build" / "parts"
    names = sorted(path.relative_to(computed.duckdb) for path in computed.duckdb.glob("*/*"))
    assert names == sorted(path.relative_to(store) for path in store.glob("*/*"))
    sizes = {}
    for name in names:
        expected, _ = read(computed.duckdb / name)
        found, writer = read(store / name)
        assert found.equals(expected, null_equal=True) and found.schema == expected.schema, name
        # what is empty, or lay there before, Spark has not written
        is_sparks = expected.height > 0 and str(store.resolve() / name) not in computed.kept
        assert writer.startswith("parquet-mr") == is_sparks, (name, writer)
        sizes[name.parts[0], name.name[:10]] = expected.height
    assert sizes["int_usage_month", "03.2026-02"] == sizes["int_usage_delivery", "03.2026-02"] == 0
    assert sizes["int_usage_month", "03.2026-03"] == 0 and sizes["int_usage_delivery", "03.2026-03"] == 1
    assert sum(size > 0 for size in sizes.values()) > 20


def test_spark_leaves_nothing_else_behind(computed: Computed) -> None:
    assert sorted(path.name for path in computed.run.iterdir() if path.name.startswith("spark")) == ["spark.log"]
    assert pl.read_parquet(computed.run / "inputs" / "part" / "part.parquet")["is_kept"].all()


def test_a_night_on_spark_publishes_the_same_tables(
    computed: Computed, published: House, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    compute = spark.compute
    monkeypatch.setattr(spark, "compute", lambda settings, run: asked.append((run, compute(settings, run))))
    monkeypatch.setenv("ROLLIN_SPARK_PYTHON", spark_python())
    house = House(computed.home, published.world, published.now)
    shutil.rmtree(house.home / "published")  # a night that has something to publish, and all parts at hand
    result = house.night(engine="spark")
    assert result.outcome == "published", result.message
    assert result.legs and "spark" in result.legs
    assert asked == [(house.settings.build / str(result.run_id), 0)]  # Spark had made them all
    assert result.release_id != published.current
    assert_same_tables(published.settings.current / "warehouse.duckdb", house.settings.current / "warehouse.duckdb")


def test_copies_to_a_storage_and_back(tmp_path: Path) -> None:
    (tmp_path / "inputs" / "usage").mkdir(parents=True)
    (tmp_path / "clean.parquet").write_bytes(b"PAR1")
    (tmp_path / "inputs" / "usage" / "a.parquet").symlink_to(tmp_path / "clean.parquet")
    script = """
import importlib.util, pathlib, shutil, sys
spec = importlib.util.spec_from_file_location("spark_job", sys.argv[1])
job = importlib.util.module_from_spec(spec)
spec.loader.exec_module(job)
here = pathlib.Path(sys.argv[2])
storage = job._Storage(f"file://{here}/cluster/run")
storage.put(here / "inputs")
copy = here / "cluster" / "run" / "inputs" / "usage" / "a.parquet"
assert copy.read_bytes() == b"PAR1" and not copy.is_symlink()
shutil.copytree(here / "cluster" / "run" / "inputs", here / "cluster" / "run" / "results" / "model")
storage.get(here / "results")
assert (here / "results" / "model" / "usage" / "a.parquet").read_bytes() == b"PAR1"
storage.clear()
assert list((here / "cluster").iterdir()) == []
"""
    job = Path(spark.__file__).with_name("spark_job.py")
    subprocess.run([spark_python(), "-I", "-c", script, job, tmp_path], check=True)


# ------------------------------------------------------------------------------------------------------------------- without a Spark


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with one delivery, whose parts are missing."""
    delivery(tmp_path / "run" / "inputs", 1, [row(date(2026, 1, 5)), row(date(2026, 2, 5))])
    (tmp_path / "run" / "inputs" / "part").mkdir()
    laid = parts.lay_out(tmp_path / "run" / "inputs", tmp_path / "parts")
    laid.write_parquet(tmp_path / "run" / "inputs" / "part" / "part.parquet")
    return tmp_path / "run"


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def java(tmp_path: Path, version: str = "17.0.15") -> dict[str, str]:
    """An environment whose Java says that it is of a version, and does no more."""
    program(tmp_path / "jdk" / "bin" / "java", f"echo 'openjdk version \"{version}\"' >&2")
    return {**os.environ, "JAVA_HOME": str(tmp_path / "jdk"), "ROLLIN_SPARK_PYTHON": sys.executable}


def in_store(run: Path) -> list[Path]:
    return sorted((run.parent / "parts").glob("*/*"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ROLLIN_SPARK_PYTHON": "/nowhere/bin/python"}, "'make spark'"),
        ({"JAVA_HOME": "/nowhere"}, "openjdk-17-jre-headless"),
        ({"ROLLIN_SPARK_URL": "spark-master:7077"}, "sc://host:15002"),
        ({"ROLLIN_SPARK_URL": "thrift://"}, "sc://host:15002"),
        ({"ROLLIN_SPARK_URL": "thrift://host:port"}, "sc://host:15002"),
        ({"ROLLIN_SPARK_STORAGE": "bucket/folder"}, "s3a://bucket/folder"),
        ({"ROLLIN_SPARK_STORAGE": "/mnt/a{b}"}, "without {"),
    ],
)
def test_what_cannot_start_is_said_with_its_remedy(run: Path, tmp_path: Path, more: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("{", r"\{")) as raised:
        spark.compute(Settings(home=tmp_path / "home", environ={**java(tmp_path), **more}), run)
    assert str(raised.value).count("\n") == 0 and in_store(run) == []


def test_an_old_java_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Java 11 is found"):
        spark.require(Settings(home=tmp_path, environ=java(tmp_path, "11.0.2")))


def test_a_cluster_needs_no_java_here(tmp_path: Path) -> None:
    environ = {**java(tmp_path), "JAVA_HOME": "/nowhere", "ROLLIN_SPARK_URL": "sc://spark.example:15002"}
    spark.require(Settings(home=tmp_path, environ=environ))


def test_a_thrift_servers_password_reaches_dbt_as_a_secret() -> None:
    url = "thrift://ro%40llin:pass%2Fword@spark.example?auth=LDAP"
    target, stated = spark._address({"ROLLIN_SPARK_URL": url})
    assert target == "spark_thrift"
    assert stated == {
        "ROLLIN_SPARK_HOST": "spark.example",
        "ROLLIN_SPARK_PORT": "10000",
        "ROLLIN_SPARK_USER": "ro@llin",
        "ROLLIN_SPARK_AUTH": "LDAP",
        "DBT_ENV_SECRET_SPARK_PASSWORD": "pass/word",
    }


@pytest.mark.parametrize("ends", ["exit 3", "kill -9 $$"])
def test_where_spark_fails_in_the_middle_nothing_is_kept(run: Path, tmp_path: Path, ends: str) -> None:
    [first, *_] = pl.read_parquet(run / "inputs" / "part" / "part.parquet").iter_rows(named=True)
    half = f"results/{first['model']}/part_land_code=09/part_month=2026-01-01"
    python = program(tmp_path / "python", f"echo $ROLLIN_HE_PASSWORD; mkdir -p {half}; echo PAR1 > {half}/a.parquet; {ends}")
    environ = {**java(tmp_path), "ROLLIN_SPARK_PYTHON": python, "ROLLIN_HE_PASSWORD": "secret of a portal"}
    settings = Settings(home=tmp_path / "home", environ=environ)
    with pytest.raises(spark.SparkError, match="ended with code") as raised:
        spark.compute(settings, run)
    assert "--engine duckdb" in str(raised.value)
    assert in_store(run) == [] and not (run / "spark").exists()
    assert "secret" not in (run / "spark.log").read_text()
    assert not pl.read_parquet(run / "inputs" / "part" / "part.parquet")["is_kept"].any()


def test_spark_ends_with_the_night_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"storage": null, "models": [], "project": ".", "target": "spark"}')
    job = Path(spark.__file__).with_name("spark_job.py")
    with subprocess.Popen([sys.executable, "-I", job, tmp_path / "job.json"], stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 143


def test_what_dbt_complains_of_is_told(run: Path, tmp_path: Path) -> None:
    """An environment without dbt-spark: Rollin's own."""
    with pytest.raises(spark.SparkError, match="spark") as raised:
        spark.compute(Settings(home=tmp_path / "home", environ=java(tmp_path)), run)
    assert "ended with code" not in str(raised.value) and str(run / "spark.log") in str(raised.value)


def test_where_nothing_is_missing_spark_is_not_started(run: Path, tmp_path: Path) -> None:
    laid = run / "inputs" / "part" / "part.parquet"
    pl.read_parquet(laid).with_columns(is_kept=pl.lit(True)).write_parquet(laid)
    assert spark.compute(Settings(home=tmp_path, environ={"ROLLIN_SPARK_PYTHON": "/nowhere"}), run) == 0


def results(run: Path, folder: Path) -> pl.DataFrame:
    """What Spark would make of the missing parts, a row each; which they are."""
    missing = pl.read_parquet(run / "inputs" / "part" / "part.parquet")
    with duckdb.connect() as con:
        for part in missing.iter_rows(named=True):
            into = folder / part["model"] / f"part_land_code={part['land_code']}" / f"part_month={part['month']}"
            into.mkdir(parents=True)
            known = {"land_code": "'09'", "month": f"date '{part['month']}'"}
            columns = ", ".join(f"{known.get(n, 'null')}::{kind} as {n}" for n, kind in parts.COLUMNS[part["model"]].items())
            con.execute(f"copy (select {columns}) to '{into}/a.parquet' (format parquet)")
    return missing


def one(folder: Path) -> Path:
    return folder / "int_usage_month" / "part_land_code=09" / "part_month=2026-01-01"


def other_columns(folder: Path) -> None:
    pl.read_parquet(one(folder) / "a.parquet", hive_partitioning=False).with_columns(
        pl.col("row_count").cast(pl.Int32)
    ).write_parquet(one(folder) / "a.parquet")


def other_rows(folder: Path) -> None:
    pl.read_parquet(one(folder) / "a.parquet", hive_partitioning=False).with_columns(land_code=pl.lit("06")).write_parquet(
        one(folder) / "a.parquet"
    )


def two_files(folder: Path) -> None:
    shutil.copy(one(folder) / "a.parquet", one(folder) / "b.parquet")


def a_stranger(folder: Path) -> None:
    shutil.copytree(one(folder), one(folder).with_name("part_month=2026-09-01"))


@pytest.mark.parametrize(
    ("change", "said"),
    [(other_columns, "columns"), (other_rows, "rows of other parts"), (two_files, "2 files"), (a_stranger, "of no missing part")],
)
def test_nothing_is_taken_over_where_a_part_is_not_as_it_should_be(
    run: Path, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    missing = results(run, tmp_path / "results")
    change(tmp_path / "results")
    with pytest.raises(spark.SparkError, match=said):
        spark.take_over(tmp_path / "results", missing)
    assert in_store(run) == []


def test_a_part_without_rows_gets_its_file(run: Path, tmp_path: Path) -> None:
    missing = results(run, tmp_path / "results")
    shutil.rmtree(one(tmp_path / "results"))
    spark.take_over(tmp_path / "results", missing)
    assert [str(path) for path in in_store(run)] == sorted(missing["path"])
    heights = {path.name[:10]: pl.read_parquet(path).height for path in in_store(run) if "int_usage_month" in str(path)}
    assert heights == {"09.2026-01": 0, "09.2026-02": 1}


def test_parts_have_the_columns_that_are_stated(published: House) -> None:
    with duckdb.connect() as con:
        for model, columns in parts.COLUMNS.items():
            for path in (published.settings.build / "parts" / model).glob("*"):
                rows: list[Any] = con.execute(f"describe from read_parquet('{path}')").fetchall()
                assert {name: kind for name, kind, *_ in rows} == columns


def test_an_engine_is_one_that_is_known(tmp_path: Path, rollin: Rollin) -> None:
    assert Settings.from_environ({}).engine == "duckdb" and Settings.from_environ({"ROLLIN_ENGINE": "spark"}).engine == "spark"
    with pytest.raises(UsageError, match="duckdb or spark"):
        Settings.from_environ({"ROLLIN_ENGINE": "pandas"})
    ran = rollin("refresh", "--sample", "--engine", "spark", home=tmp_path / "home", ROLLIN_SPARK_PYTHON="/nowhere/python")
    assert ran.returncode == 2 and "make spark" in ran.stderr and "Traceback" not in ran.stderr
    assert not (tmp_path / "home" / "landing").exists()  # told before anything is fetched
