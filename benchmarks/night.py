"""How long a night takes, where the time goes, and what the same tables cost without any of the machinery.

``python benchmarks/night.py [--json] [--home DIR]`` measures in one run, on the embedded sample:

- the first night: ``rollin refresh --sample`` into an empty home, split into the legs that the run records of itself;
- a second night in which nothing changed, and a third with ``--full``, which builds everything from the clean data it finds: of
  the three it does what the bare script does;
- a bare DuckDB script: the compiled SQL of every model on the same clean Parquet, then the same copies of the published tables
  (a DuckDB file, Parquet, CSV), in a fresh Python without dbt, Dagster or Great Expectations;
- the fixed start-up: the imports of a night and one parse of the dbt project, each in a fresh Python; and writing the sample
  world, which no real night does.

Nothing here is asserted: the numbers belong to the machine that they are printed with. Read the ratios.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

#: What a night imports, in this order in one process, so that what two of them share is counted once.
IMPORTS = ("polars", "duckdb", "dagster", "dagster_dbt", "dbt.cli.main", "great_expectations")
PACKAGES = ("duckdb", "polars", "dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "great-expectations")
PUBLISHED = ("core", "metrics", "meta")
STORAGE_VERSION = "v1.2.0"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--home", type=Path, help="keep the state there (default: a temporary folder); must be empty")
    parser.add_argument("--leg", choices=LEGS, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.leg:
        print(json.dumps(LEGS[arguments.leg](*arguments.paths)))
        return 0
    if arguments.home is not None and arguments.home.exists() and any(arguments.home.iterdir()):
        parser.error(f"{arguments.home} is not empty: a first night needs an empty home.")
    with tempfile.TemporaryDirectory(prefix="rollin-bench-") as temporary:
        try:
            measured = measure(arguments.home or Path(temporary) / "home", Path(temporary))
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(measured, indent=1) if arguments.json else table(measured))
    return 0


class BenchmarkError(Exception):
    """A part of the benchmark did not do its work; measuring it would be a lie."""


# -- measuring -------------------------------------------------------------------------------------


def measure(home: Path, scratch: Path) -> dict[str, Any]:
    """Run everything once; seconds are wall clock, memory is the peak of a process in MB."""
    say("first night")
    first = night(home)
    say("second night, nothing changed")
    second = night(home)
    say("third night, --full")
    third = night(home, "--full")
    run = home / "build" / third["run_id"]
    target = home / "build" / "dbt"
    say("bare DuckDB")
    bare = child("--leg", "bare", str(target / "manifest.json"), str(run / "inputs"), str(scratch / "bare"))
    compare(run / "warehouse.duckdb", scratch / "bare" / "warehouse.duckdb", set(bare["left_out"]))
    say("start-up")
    imports = child("--leg", "imports")
    world = child("--leg", "world", str(scratch / "world"))
    environment = {
        "ROLLIN_INPUTS": str(run / "inputs"),
        "ROLLIN_BUILD": str(scratch / "parse" / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(scratch / "parse"),
        "DBT_LOG_PATH": str(scratch / "parse"),
    }
    parse = child("--leg", "parse", environ=environment)
    fixed = imports["seconds"] + parse["seconds"]
    return {
        "machine": machine(),
        "first_night": first,
        "second_night": second,
        "full_night": third,
        "bare_duckdb": bare,
        "imports": imports,
        "sample_world": world,
        "dbt_parse": parse,
        "ratio_full_night_to_bare": round(third["seconds"] / bare["seconds"], 2),
        "ratio_full_night_without_start_up_to_bare": round((third["seconds"] - imports["seconds"]) / bare["seconds"], 2),
        "fixed_start_up_seconds": round(fixed, 2),
        "fixed_start_up_share_of_first_night": round(fixed / (first["seconds"] - world["seconds"]), 3),
        "fixed_start_up_share_of_full_night": round(imports["seconds"] / third["seconds"], 3),
    }


def night(home: Path, *options: str) -> dict[str, Any]:
    """One ``rollin refresh --sample``; its record is the newest run that was not there before."""
    known = {path.parent.name for path in home.glob("build/*/run.json")}
    command = [
        sys.executable,
        "-c",
        "from orchestration.cli import main; main()",
        "refresh",
        "--sample",
        "--home",
        str(home),
        *options,
    ]
    seconds, memory, output, error = timed(command)
    records = [path for path in home.glob("build/*/run.json") if path.parent.name not in known]
    if not records:
        raise BenchmarkError(f"The night left no record under {home}/build.\n{output[-2000:]}{error[-2000:]}")
    record = json.loads(max(records, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
    return {
        "run_id": record["run_id"],
        "outcome": record["outcome"],
        "seconds": seconds,
        "memory_mb": memory,
        "legs": record.get("legs", {}),
    }


def child(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    """A leg of this file in a fresh Python: what it reports, with the wall time of the whole process."""
    seconds, memory, output, _ = timed([sys.executable, __file__, *arguments], environ)
    return {**json.loads(output.splitlines()[-1]), "process_seconds": seconds, "memory_mb": memory}


def timed(command: list[str], environ: dict[str, str] | None = None) -> tuple[float, int, str, str]:
    """Wall seconds, peak memory in MB, output and errors of a command that must end with 0."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", **(environ or {})}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}:\n{output[-2000:]}{errors[-2000:]}")
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return round(seconds, 2), round(peak), output, errors


def machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cached = importlib.util.cache_from_source(str(importlib.metadata.distribution("duckdb").locate_file("duckdb/__init__.py")))
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "memory_gib": round(pages, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "bytecode_compiled": Path(cached).exists(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def compare(build: Path, bare: Path, left_out: set[str]) -> None:
    """Both wrote the same tables with the same number of rows, but for those of Python, or the comparison means nothing."""
    import duckdb

    def rows(path: Path) -> dict[str, int]:
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute(
                "select schema_name || '.\"' || table_name || '\"' from duckdb_tables() where schema_name in ?", [list(PUBLISHED)]
            ).fetchall()
            counted = [name for (name,) in names if name not in left_out]
            return {name: connection.execute(f"select count(*) from {name}").fetchall()[0][0] for name in counted}

    built, bared = rows(build), rows(bare)
    if built != bared:
        differing = sorted(name for name in built.keys() | bared.keys() if built.get(name) != bared.get(name))
        raise BenchmarkError(f"The bare script wrote other tables than the night: {', '.join(differing)}.")


# -- legs, each in a fresh Python ------------------------------------------------------------------


def bare(manifest: Path, inputs: Path, folder: Path) -> dict[str, Any]:
    """The night's tables by DuckDB alone: seeds, every model's compiled SQL in dependency order, then the release's copies."""
    import duckdb

    begun = time.perf_counter()
    nodes = {
        key: node
        for key, node in json.loads(manifest.read_text(encoding="utf-8"))["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }
    needs = {key: set(node["depends_on"].get("nodes", [])) & nodes.keys() for key, node in nodes.items()}
    # models in Python, and what is made of them, are no SQL to run bare
    left_out = {key for key, node in nodes.items() if node.get("language") == "python"}
    while more := {key for key, needed in needs.items() if needed & left_out} - left_out:
        left_out |= more
    not_bare = sorted(f'{nodes[key]["schema"]}."{nodes[key]["alias"]}"' for key in left_out if nodes[key]["schema"] in PUBLISHED)
    nodes = {key: node for key, node in nodes.items() if key not in left_out}
    needs = {key: needed for key, needed in needs.items() if key not in left_out}
    folder.mkdir(parents=True)
    # compiled SQL names the database of the night, which DuckDB derives from the file's name
    connection = duckdb.connect(
        str(folder / "warehouse.duckdb"),
        config={
            "threads": os.environ.get("ROLLIN_THREADS", "2"),
            "memory_limit": os.environ.get("ROLLIN_MEMORY", "4GB"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
        },
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"set file_search_path = '{quoted(inputs)}'")
    for key in TopologicalSorter(needs).static_order():
        node = nodes[key]
        connection.execute(f'create schema if not exists "{node["schema"]}"')
        name = f'"{node["schema"]}"."{node["alias"]}"'
        if node["resource_type"] == "seed":
            path = Path(node["root_path"] or ROOT / "dbt_project") / node["original_file_path"]
            types = json.dumps(node["config"].get("column_types") or {}).replace('"', "'")
            connection.execute(f"create table {name} as from read_csv('{quoted(path)}', types = {types}, header = true)")
        else:
            kind = "view" if node["config"]["materialized"] == "view" else "table"
            connection.execute(f"create {kind} {name} as {compiled(node, manifest)}")
    modelled = time.perf_counter()
    export(connection, folder)
    connection.close()
    ended = time.perf_counter()
    return {
        "seconds": round(ended - begun, 2),
        "legs": {"models": round(modelled - begun, 2), "copies": round(ended - modelled, 2)},
        "models": len(nodes),
        "left_out": not_bare,
    }


def compiled(node: dict[str, Any], manifest: Path) -> str:
    """The SQL that the night ran; it names its inputs relative to DuckDB's ``file_search_path``."""
    text = node.get("compiled_code")
    if not text:
        path = manifest.parent / "compiled" / node["package_name"] / node["original_file_path"]
        if not path.is_file():
            raise BenchmarkError(f"{node['name']} has no compiled SQL under {manifest.parent}: the night did not build it.")
        text = path.read_text(encoding="utf-8")
    return str(text)


def export(connection: Any, folder: Path) -> None:
    """The published tables as a release has them: a DuckDB file that older clients open, Parquet and CSV."""
    connection.execute(f"attach '{quoted(folder / 'release.duckdb')}' as out (storage_version '{STORAGE_VERSION}')")
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'warehouse' and schema_name in ?",
        [list(PUBLISHED)],
    ).fetchall()
    for schema, name in tables:
        connection.execute(f"create schema if not exists out.{schema}")
        connection.execute(f'create table out.{schema}."{name}" as from warehouse.{schema}."{name}" order by all')
        for kind, options in (("parquet", "format parquet, compression zstd"), ("csv", "format csv, header")):
            path = folder / kind / schema / f"{name}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"copy out.{schema}.\"{name}\" to '{quoted(path)}' ({options})")
    connection.execute("checkpoint out")
    connection.execute("detach out")


def imports() -> dict[str, Any]:
    """Seconds per import, each counted once: what an earlier one already loaded is free for the next."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    seconds = {}
    for name in IMPORTS:
        begun = time.perf_counter()
        importlib.import_module(name)
        seconds[name] = round(time.perf_counter() - begun, 2)
    return {"seconds": round(sum(seconds.values()), 2), "legs": seconds}


def parse() -> dict[str, Any]:
    """One full parse of the dbt project, without the import of dbt."""
    from dbt.cli.main import dbtRunner

    folder = str(ROOT / "dbt_project")
    begun = time.perf_counter()
    result = dbtRunner().invoke(["--quiet", "parse", "--no-partial-parse", "--project-dir", folder, "--profiles-dir", folder])
    if not result.success:
        raise BenchmarkError(f"dbt does not parse: {result.exception}")
    return {"seconds": round(time.perf_counter() - begun, 2)}


def world(folder: Path) -> dict[str, Any]:
    """Writing the sample world, without its imports."""
    from ingest.sample import write_sample

    begun = time.perf_counter()
    write_sample(folder)
    return {"seconds": round(time.perf_counter() - begun, 2)}


LEGS: dict[str, Any] = {"bare": bare, "imports": imports, "parse": parse, "world": world}


def quoted(path: Path) -> str:
    return str(path).replace("'", "''")


# -- printing --------------------------------------------------------------------------------------


def table(measured: dict[str, Any]) -> str:
    """The measurements for people: seconds, the ratio to the bare script, memory."""
    bare_seconds = measured["bare_duckdb"]["seconds"]
    lines = [f"{'':44}{'seconds':>9}{'x bare':>8}{'MB':>7}"]

    def line(name: str, seconds: float, memory: int | str = "") -> None:
        lines.append(f"{name:44}{seconds:9.2f}{seconds / bare_seconds:8.2f}{memory:>7}")

    nights = (
        ("First night", "first_night"),
        ("Second night, nothing changed", "second_night"),
        ("Third night, --full", "full_night"),
    )
    for title, key in nights:
        part = measured[key]
        line(f"{title} ({part['outcome']})", part["seconds"], part["memory_mb"])
        for leg, seconds in part["legs"].items():
            line(f"  {leg}", seconds)
        rest = part["seconds"] - sum(part["legs"].values())
        if key == "first_night":
            line("  writing the sample world", measured["sample_world"]["seconds"])
            rest -= measured["sample_world"]["seconds"]
        line("  start-up, Dagster, the rest", rest)
    bare_leg = measured["bare_duckdb"]
    line(f"Bare DuckDB, {bare_leg['models']} models", bare_leg["seconds"], bare_leg["memory_mb"])
    for leg, seconds in bare_leg["legs"].items():
        line(f"  {leg}", seconds)
    line("Fixed start-up", measured["fixed_start_up_seconds"])
    for leg, seconds in measured["imports"]["legs"].items():
        line(f"  import {leg}", seconds)
    line("  dbt parse, on the first night only", measured["dbt_parse"]["seconds"])
    of = measured["machine"]
    lines += [
        "",
        f"From clean data to a release, the night takes {measured['ratio_full_night_to_bare']} times as long as the bare script,"
        f" {measured['ratio_full_night_without_start_up_to_bare']} times without its imports."
        f" Fixed start-up is {measured['fixed_start_up_share_of_first_night']:.0%} of a first night (the sample world aside)"
        f" and {measured['fixed_start_up_share_of_full_night']:.0%} of a full one.",
        f"{of['cores']} cores ({of['processor']}, load {of['load']}), {of['memory_gib']} GiB, {of['system']},"
        f" Python {of['python']}, bytecode {'compiled' if of['bytecode_compiled'] else 'NOT compiled'};"
        f" {', '.join(f'{name} {version}' for name, version in of['versions'].items())}.",
    ]
    return "\n".join(lines)


def say(what: str) -> None:
    print(f"measuring: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
