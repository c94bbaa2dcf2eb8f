"""The heavy models on Spark: the parts that are missing are computed there, and the build on DuckDB finds them kept.

Belongs here: which Spark, what it is given, its process, checking and taking over what it made. Does not: which parts there are
(``parts``), what runs in Spark's own environment (``spark_job``), the models and their macros (``dbt_project``).

Below a run's folder while it computes::

    spark/job.json            what ``spark_job`` is to do
    spark/inputs/             the tables of ``models/sources.yml`` that Spark reads: ``part``, the missing ones, and ``usage``, their files
    spark/results/<model>/    part_land_code=<code>/part_month=<day>/ with one file each
    spark/scratch/            everything else that Spark leaves behind
    spark.log                 what it said; stays
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import polars as pl

from dbt_project import PROJECT_DIR
from orchestration import parts
from orchestration.settings import QUIET, Settings, UsageError

log = logging.getLogger("rollin.spark")

#: The environment that ``make spark`` makes.
ENVIRONMENT = PROJECT_DIR.parent / ".venv-spark"

#: Of ours Spark gets these variables alone: what opens portals is none of its business.
_HANDED_ON = ("ROLLIN_SPARK_MEMORY", "ROLLIN_SPARK_PARTITIONS", "ROLLIN_SPARK_SCHEMA")

_JAVA_AT_LEAST = 17


class SparkError(RuntimeError):
    """Spark could not compute what it was asked for: one sentence with its remedy."""


def require(settings: Settings) -> None:
    """Raise UsageError where the Spark that is configured cannot be started: no environment, no Java, an address of nothing known."""
    target, _ = _address(settings.environ)
    _storage(settings.environ)
    python = _python(settings.environ)
    if not os.access(python, os.X_OK):
        raise UsageError(
            f"There is no environment for Spark ({python}): make it with 'make spark', or name its Python in ROLLIN_SPARK_PYTHON."
        )
    if target == "spark":
        _require_java(settings.environ)


def compute(settings: Settings, run: Path) -> int:
    """Compute the parts that the inputs of the run in folder ``run`` name as missing, put them where they are kept; how many.

    Nothing is taken over unless everything that Spark made is as it should be. Where nothing is missing, Spark is not started.
    Raises UsageError as ``require`` does, SparkError where Spark fails.
    """
    laid = run / "inputs" / "part" / "part.parquet"
    known = pl.read_parquet(laid)
    missing = known.filter(~pl.col("is_kept"))
    if missing.is_empty():
        return 0
    require(settings)
    stage = run / "spark"
    shutil.rmtree(stage, ignore_errors=True)
    try:
        _lay_out(run / "inputs", missing, stage)
        log.info("computing %d parts on Spark", missing.height)
        _run(settings, missing, stage)
        take_over(stage / "results", missing)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    known.with_columns(is_kept=pl.lit(True)).write_parquet(laid)
    return missing.height


def _lay_out(inputs: Path, missing: pl.DataFrame, stage: Path) -> None:
    """The missing parts and the files that they name, as tables of one folder each."""
    for folder in ("inputs/part", "inputs/usage", "scratch"):
        (stage / folder).mkdir(parents=True)
    missing.select("model", "land_code", "month", "is_single").write_parquet(stage / "inputs" / "part" / "part.parquet")
    for name in missing["files"].explode().unique().sort():
        os.symlink((inputs / name).resolve(), stage / "inputs" / "usage" / Path(name).name)


def _run(settings: Settings, missing: pl.DataFrame, stage: Path) -> None:
    """Start Spark's own Python on the job and wait for it."""
    target, stated = _address(settings.environ)
    storage = _storage(settings.environ)
    place = f"{storage}/{stage.parent.name}" if storage else f"file://{stage.resolve()}"
    if wrong := re.search(r"[`'\"\\{}\[\]*?,]", place):
        raise UsageError(f"Spark cannot read below {place}: choose a folder without {wrong[0]} in its name.")
    job = {
        "models": sorted(missing["model"].unique()),
        "project": str(PROJECT_DIR),
        "target": target,
        "storage": place if storage else None,
    }
    (stage / "job.json").write_text(json.dumps(job), encoding="utf-8")
    kept = settings.build / "dbt-spark"  # the project as it was parsed
    environ = {
        **{name: value for name, value in settings.environ.items() if name in _HANDED_ON or not name.startswith("ROLLIN_")},
        **QUIET,
        **stated,
        "DBT_TARGET_PATH": str(kept),
        "DBT_LOG_PATH": str(kept / "logs"),
        "ROLLIN_INPUTS": f"{place}/inputs".replace("s3://", "s3a://", 1),
        "ROLLIN_SPARK_RESULTS": f"{place}/results".replace("s3://", "s3a://", 1),
        "ROLLIN_SPARK_SCRATCH": str(stage.resolve() / "scratch"),
        "TMPDIR": str(stage.resolve() / "scratch"),
    }
    if target == "spark":
        environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    command: list[str | Path] = [
        _python(settings.environ),
        "-I",
        Path(__file__).with_name("spark_job.py"),
        stage.resolve() / "job.json",
    ]
    told = stage.parent / "spark.log"
    with (
        told.open("wb") as output,
        # its standard input is ours to close: it ends when we do, however we end
        subprocess.Popen(
            command, cwd=stage, env=environ, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        process.wait()
    if process.returncode:
        said = stage / "error.txt"
        why = said.read_text(encoding="utf-8")[:400] if said.is_file() else f"its process ended with code {process.returncode}"
        raise SparkError(
            f"Spark could not compute {missing.height} parts ({why}): see {told}, then run the refresh again, "
            "or once with --engine duckdb. Nothing of it was kept."
        )


def take_over(results: Path, missing: pl.DataFrame) -> None:
    """Move the files below ``results`` to the paths of the ``missing`` parts; a part without a row gets a file without one.

    Raises SparkError, before anything is moved, where a part has more than one file, one with other columns than DuckDB would write
    or with rows of another part, and where a file is nobody's.
    """
    aside: list[tuple[Path, Path]] = []
    with duckdb.connect() as con:
        for part in missing.iter_rows(named=True):
            model, path = part["model"], Path(part["path"])
            folder = results / model / f"part_land_code={part['land_code']}" / f"part_month={part['month']}"
            files = sorted(folder.glob("*.parquet"))
            if not files:
                folder.mkdir(parents=True, exist_ok=True)
                files = [folder / "empty.parquet"]
                columns = ", ".join(f"null::{kind} as {name}" for name, kind in parts.COLUMNS[model].items())
                con.execute(f"copy (select {columns} where false) to '{_quoted(files[0])}' (format parquet)")
            _check(con, part, files)
            aside.append((files[0], path))
    strangers = set(results.rglob("*.parquet")) - {file for file, _ in aside}
    if strangers:
        raise SparkError(f"Spark made {len(strangers)} files that are of no missing part ({min(strangers)}): {_TELL}")
    for file, path in aside:
        os.replace(file, path)


_TELL = "run the refresh with --engine duckdb, and report it. Nothing of it was kept."


def _check(con: duckdb.DuckDBPyConnection, part: dict[str, object], files: list[Path]) -> None:
    what = f"the part of {part['model']} for Land {part['land_code']} and {part['month']:%Y-%m}"
    if len(files) != 1:
        raise SparkError(f"Spark made {len(files)} files of {what}: {_TELL}")
    rows = f"read_parquet('{_quoted(files[0])}', hive_partitioning = false)"
    columns = {name: kind for name, kind, *_ in con.execute(f"describe from {rows}").fetchall()}
    if list(columns.items()) != list(parts.COLUMNS[str(part["model"])].items()):
        raise SparkError(f"Spark made {what} with columns {columns}: {_TELL}")
    [(others,)] = con.execute(
        f"select count(*) from {rows} where land_code is distinct from $1 or month is distinct from $2",
        [part["land_code"], part["month"]],
    ).fetchall()
    if others:
        raise SparkError(f"Spark put {others} rows of other parts into {what}: {_TELL}")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


# ------------------------------------------------------------------------------------------------------------------ what is configured


def _python(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("ROLLIN_SPARK_PYTHON") or ENVIRONMENT / "bin" / "python").absolute()


def _storage(environ: Mapping[str, str]) -> str | None:
    """The folder that both sides reach, without a slash at its end; None where Spark reads the home itself."""
    value = environ.get("ROLLIN_SPARK_STORAGE", "").rstrip("/")
    if not value:
        return None
    if value.startswith("/"):
        return f"file://{value}"
    if re.match(r"(file:///|s3a?://)[^/]", value):
        return value
    raise UsageError(f"ROLLIN_SPARK_STORAGE is '{value}': name a folder by its whole path, or s3a://bucket/folder, or unset it.")


def _address(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The target of ``profiles.yml`` that ROLLIN_SPARK_URL means, and the variables that it is read from."""
    url = environ.get("ROLLIN_SPARK_URL", "")
    if not url:
        return "spark", {}
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        at, port = urlsplit(""), None
    if at.scheme == "sc" and at.hostname:
        return "spark_connect", {"SPARK_REMOTE": url}
    if at.scheme == "thrift" and at.hostname:
        return "spark_thrift", {
            "ROLLIN_SPARK_HOST": at.hostname,
            "ROLLIN_SPARK_PORT": str(port or 10000),
            "ROLLIN_SPARK_USER": unquote(at.username or "rollin"),
            "ROLLIN_SPARK_AUTH": parse_qs(at.query).get("auth", ["NONE"])[0],
            "DBT_ENV_SECRET_SPARK_PASSWORD": unquote(at.password or ""),
        }
    raise UsageError(
        "ROLLIN_SPARK_URL is no address of a Spark: write sc://host:15002 (Spark Connect) or thrift://user@host:10000 (Thrift server), "
        "or unset it for a Spark on this machine."
    )


def _require_java(environ: Mapping[str, str]) -> None:
    home = environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else environ.get("PATH"))
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < _JAVA_AT_LEAST:
        found = f"Java {version[1]} is found" if version else "none is found"
        raise UsageError(
            f"Spark needs Java {_JAVA_AT_LEAST} or later and {found}: install it (openjdk-{_JAVA_AT_LEAST}-jre-headless) or set JAVA_HOME, "
            "or run the refresh with --engine duckdb."
        )
