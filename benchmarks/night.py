"""How long a night takes, where the time goes, and what the same tables cost without any of the machinery.

``measure`` runs one after the other, on a world that is there (``benchmarks.speed`` chooses it):

- the first night: ``rollin refresh`` into an empty home, split into the legs that the run counts itself, each with CPU, memory and bytes;
- a second night in which nothing changed, and a third with ``--full``, which builds everything from the clean data it finds: of
  the three it does what the bare script does;
- a bare DuckDB script: every model on the same clean Parquet (its compiled SQL; the few in Python as they are), then the same copies
  of the published tables of both tiers (a DuckDB file, Parquet, CSV), in a fresh Python without dbt, Dagster or Great Expectations;
- where the world has a next day: the night of that day before anything of it arrived, in which nothing changed but the date, and the
  one after it arrived, whose difference is what the new rows cost;
- the fixed start-up, one thing after the other, and one parse of the dbt project, each in a fresh Python.

Nothing here is asserted: the numbers belong to the machine that they are printed with. Read the ratios.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from benchmarks import meter

ROOT = Path(__file__).resolve().parents[1]

#: What a night imports, in this order in one process, so that what two of them share is counted once.
IMPORTS = ("polars", "duckdb", "dagster", "dagster_dbt", "dbt.cli.main", "great_expectations")
PACKAGES = ("duckdb", "polars", "dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "great-expectations")
#: The legs of a night whose work the bare script does too; it checks nothing and writes neither workbook nor report.
SAME_WORK = ("competences", "inputs", "build", "publish")
PUBLISHED = ("core", "metrics", "meta")
STORAGE_VERSION = "v1.2.0"


class BenchmarkError(Exception):
    """A part of the benchmark did not do its work; measuring it would be a lie."""


# -- measuring -------------------------------------------------------------------------------------


def measure(
    home: Path,
    scratch: Path,
    options: Sequence[str],
    environ: Mapping[str, str],
    next_day: Callable[[], Mapping[str, str]] | None = None,
    *,
    nights_only: bool = False,
) -> dict[str, Any]:
    """Run everything once. ``options`` and ``environ`` are those of every ``rollin refresh``; ``next_day`` delivers another day and
    tells the environment of its night. ``nights_only``: the first night and those of the next day, and nothing beside them.

    Costs as ``meter.Cost``: of a night as a whole (``process``) and of its legs; what no leg counts is ``start-up and the rest``.
    """
    say("first night")
    first = night(home, scratch, options, environ)
    if nights_only:
        return {"first_night": first, **(next_nights(home, scratch, options, environ, next_day) if next_day else {})}
    say("second night, nothing changed")
    second = night(home, scratch, options, environ)
    say("third night, --full")
    third = night(home, scratch, [*options, "--full"], environ)
    run = home / "build" / third["run_id"]
    target = home / "build" / "dbt"
    say("bare DuckDB")
    bare = child("bare", str(target / "manifest.json"), str(run / "inputs"), str(scratch / "bare"), environ=environ)
    compare(run / "warehouse.duckdb", scratch / "bare" / "warehouse.duckdb")
    nights = {"first_night": first, "unchanged_night": second, "full_night": third}
    if next_day is not None:
        nights |= next_nights(home, scratch, options, environ, next_day)
    say("start-up")
    started = child("startup", str(home), options[1], environ=environ)
    parsed = child(
        "parse",
        environ={
            **environ,
            "ROLLIN_INPUTS": str(run / "inputs"),
            "ROLLIN_BUILD": str(scratch / "parse" / "warehouse.duckdb"),
            "DBT_TARGET_PATH": str(scratch / "parse"),
            "DBT_LOG_PATH": str(scratch / "parse"),
        },
    )
    return {
        **nights,
        "bare_duckdb": bare,
        "startup": started,
        "dbt_parse": parsed,
        "inputs": str(run / "inputs"),
        "ratios": ratios(nights, bare),
    }


def next_nights(
    home: Path, scratch: Path, options: Sequence[str], environ: Mapping[str, str], next_day: Callable[[], Mapping[str, str]]
) -> dict[str, Any]:
    """The next day's two nights: before anything of it is delivered, and after."""
    noon = datetime.fromisoformat(environ["ROLLIN_NOW"]) + timedelta(hours=12)
    say("the next day, nothing delivered")
    quiet = night(home, scratch, options, {**environ, "ROLLIN_NOW": noon.isoformat()})
    say("the next day is delivered")
    environ = {**environ, **next_day()}
    say("the same day, delivered with corrections")
    return {"quiet_night": quiet, "next_day_night": night(home, scratch, options, environ)}


def ratios(nights: Mapping[str, Any], bare: Mapping[str, Any]) -> dict[str, float]:
    """What is to be read of the measurements: quotients of wall seconds."""
    full, unchanged = nights["full_night"]["process"]["seconds"], nights["unchanged_night"]["process"]["seconds"]
    legs = nights["full_night"]["legs"]
    found = {
        "same_work_to_bare": sum(legs[name]["seconds"] for name in SAME_WORK if name in legs) / bare["seconds"],
        "full_night_to_bare": full / bare["seconds"],
        "full_night_to_bare_in_cpu": nights["full_night"]["process"]["cpu_seconds"] / bare["process"]["cpu_seconds"],
        "build_to_bare_models": nights["full_night"]["legs"].get("build", {}).get("seconds", 0.0)
        / bare["legs"]["models"]["seconds"],
    }
    if "next_day_night" in nights:
        next_day, quiet = nights["next_day_night"]["process"]["seconds"], nights["quiet_night"]["process"]["seconds"]
        found["next_day_beyond_quiet_day_to_full"] = (next_day - quiet) / full
        found["next_day_beyond_unchanged_to_full"] = (next_day - unchanged) / full
    return {name: round(value, 3) for name, value in found.items()}


def night(home: Path, scratch: Path, options: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """One ``rollin refresh``; its record is the newest run that was not there before."""
    known = {path.parent.name for path in home.glob("build/*/run.json")}
    legs = scratch / "legs.json"
    cost, output = run([sys.executable, "-m", "benchmarks.meter", legs, "refresh", "--home", home, *options], environ)
    records = [path for path in home.glob("build/*/run.json") if path.parent.name not in known]
    if not records:
        raise BenchmarkError(f"The night left no record under {home}/build.\n{output[-2000:]}")
    record = json.loads(max(records, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
    costs: dict[str, dict[str, float]] = json.loads(legs.read_text(encoding="utf-8"))
    whole = cost.to_dict()
    rest = {name: max(0.0, round(whole[name] - sum(part[name] for part in costs.values()), 3)) for name in whole}
    # memory is no sum: the whole's peak is that of its largest leg, or lies outside of them
    rest["peak_mb"] = whole["peak_mb"] if whole["peak_mb"] > max((part["peak_mb"] for part in costs.values()), default=0) else 0.0
    return {
        "run_id": record["run_id"],
        "outcome": record["outcome"],
        "process": whole,
        "legs": {**costs, "start-up and the rest": rest},
    }


def child(leg: str, *arguments: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """A leg of this file in a fresh Python: what it reports, with the cost of the whole process."""
    cost, output = run([sys.executable, "-m", "benchmarks.night", leg, *arguments], environ)
    return {**json.loads(output.splitlines()[-1]), "process": cost.to_dict()}


def run(command: Sequence[str | Path], environ: Mapping[str, str]) -> tuple[meter.Cost, str]:
    """A command of ours with its cost. Raises BenchmarkError where it fails."""
    try:
        return meter.run(command, {**os.environ, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", **environ}, ROOT)
    except meter.CommandError as error:
        raise BenchmarkError(str(error)) from None


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


def compare(build: Path, bare: Path) -> None:
    """Both wrote the same tables with the same number of rows, or the comparison means nothing."""
    import duckdb

    def rows(path: Path) -> dict[str, int]:
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute(
                "select table_schema || '.\"' || table_name || '\"' from information_schema.tables where table_schema in ?",
                [list(PUBLISHED)],
            ).fetchall()
            return {name: connection.execute(f"select count(*) from {name}").fetchall()[0][0] for (name,) in names}

    built, bared = rows(build), rows(bare)
    if built != bared:
        differing = sorted(name for name in built.keys() | bared.keys() if built.get(name) != bared.get(name))
        raise BenchmarkError(f"The bare script wrote other tables than the night: {', '.join(differing)}.")


# -- legs, each in a fresh Python ------------------------------------------------------------------


def bare(manifest: Path, inputs: Path, folder: Path) -> dict[str, Any]:
    """The night's tables by DuckDB alone: seeds, every model in dependency order, then the copies of both tiers."""
    import duckdb

    from orchestration import publication, warehouse  # only to know which columns the tiers have

    document = warehouse.load_manifest(manifest)
    marts = warehouse.marts(document)
    exact = [(f'{node["schema"]}."{node["alias"]}"', f'from warehouse."{node["schema"]}"."{node["alias"]}"') for node in marts]
    public = [
        (f'{copy.schema}."{copy.name}"', copy.query.replace("from build.", "from warehouse."))
        for copy in publication.public_copies(marts, warehouse.masked(document))
    ]
    nodes = {key: node for key, node in document["nodes"].items() if node["resource_type"] in ("model", "seed")}
    needs = {key: set(node["depends_on"].get("nodes", [])) & nodes.keys() for key, node in nodes.items()}
    folder.mkdir(parents=True)
    costs = {"models": meter.Cost(), "copies": meter.Cost()}
    begun = time.perf_counter()
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
    with meter.leg(costs["models"]):
        for key in TopologicalSorter(needs).static_order():
            node = nodes[key]
            connection.execute(f'create schema if not exists "{node["schema"]}"')
            name = f'"{node["schema"]}"."{node["alias"]}"'
            if node["resource_type"] == "seed":
                path = Path(node["root_path"] or ROOT / "dbt_project") / node["original_file_path"]
                types = json.dumps(node["config"].get("column_types") or {}).replace('"', "'")
                connection.execute(f"create table {name} as from read_csv('{quoted(path)}', types = {types}, header = true)")
            elif node["language"] == "python":
                model: dict[str, Any] = {}
                exec(compiled(node, manifest), model)  # as dbt runs it
                made = model["model"](model["dbtObj"](lambda table: connection.query(f"select * from {table}")), connection)
                made.create(name)
            elif node["config"]["materialized"] == "parts":
                parts(connection, name, node["name"], compiled(node, manifest), folder / "parts" / node["name"])
            else:
                kind = "view" if node["config"]["materialized"] == "view" else "table"
                connection.execute(f"create {kind} {name} as {compiled(node, manifest)}")
    with meter.leg(costs["copies"]):
        for tier, copies in (("exact", exact), ("public", public)):
            export(connection, folder / tier, copies)
        connection.close()
    return {
        "seconds": round(time.perf_counter() - begun, 2),
        "legs": {name: cost.to_dict() for name, cost in costs.items()},
        "models": len(nodes),
    }


def parts(connection: Any, name: str, model: str, query: str, folder: Path) -> None:
    """A model on usage, a Land and month at a time: all at once DuckDB writes a thousand bytes to disk for each row of usage."""
    folder.mkdir(parents=True)
    found = "select land_code, month from read_parquet('part/*.parquet') where model = ? order by all"
    for land_code, month in connection.execute(found, [model]).fetchall():
        connection.execute(f"set variable part_land_code = '{land_code}'; set variable part_month = date '{month}'")
        part = f"from read_parquet('part/*.parquet') where (model, land_code, month) = ('{model}', '{land_code}', date '{month}')"
        for column in ("files", "is_single"):
            connection.execute(f"set variable part_{column} = (select {column} {part})")
        path = quoted(folder / f"{land_code}.{month}.parquet")
        connection.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)")
    for variable in ("land_code", "month", "files", "is_single"):
        connection.execute(f"reset variable part_{variable}")
    connection.execute(f"create view {name} as from read_parquet('{quoted(folder)}/*.parquet')")


def compiled(node: dict[str, Any], manifest: Path) -> str:
    """The SQL that the night ran, or the Python; it names its inputs relative to DuckDB's ``file_search_path``."""
    text = node.get("compiled_code")
    if not text:
        path = manifest.parent / "compiled" / node["package_name"] / node["original_file_path"]
        if not path.is_file():
            raise BenchmarkError(f"{node['name']} is not compiled under {manifest.parent}: the night did not build it.")
        text = path.read_text(encoding="utf-8")
    return str(text)


def export(connection: Any, folder: Path, copies: Sequence[tuple[str, str]]) -> None:
    """Tables as a tier of a release has them: a DuckDB file that older clients open, Parquet and CSV."""
    folder.mkdir()
    from orchestration.csv_file import CSV_ROWS_MAX

    connection.execute(f"attach '{quoted(folder / 'release.duckdb')}' as out (storage_version '{STORAGE_VERSION}')")
    for schema in PUBLISHED:
        connection.execute(f"create schema out.{schema}")
    for table, query in copies:
        connection.execute(f"create table out.{table} as {query} order by all")
        is_long = connection.execute(f"select count(*) > {CSV_ROWS_MAX} from out.{table}").fetchall()[0][0]
        for kind, options in (("parquet", "format parquet, compression zstd"), ("csv", "format csv, header"))[
            : 1 if is_long else 2
        ]:
            path = folder / kind / f"{table.replace(chr(34), '')}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"copy out.{table} to '{quoted(path)}' ({options})")
    connection.execute("checkpoint out")
    connection.execute("detach out")


def startup(home: Path, laender: Path) -> dict[str, Any]:
    """What every night does before and beside its work, each once in one process: what an earlier import loaded is free for the next."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    seconds = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        begun = time.perf_counter()
        act()
        seconds[name] = round(time.perf_counter() - begun, 2)

    for name in IMPORTS:
        timed(f"import {name}", functools.partial(importlib.import_module, name))
    timed("import orchestration", lambda: importlib.import_module("orchestration.definitions"))
    from expectations import duckdb_dialect, runner
    from orchestration import definitions, refresh, warehouse
    from orchestration.settings import Settings

    settings = Settings(home=home, laender=laender)
    timed("Dagster's definitions", lambda: definitions.build_defs(settings).resolve_job_def(definitions.NIGHTLY))
    refresh.prepare_instance(settings)
    import dagster

    timed("Dagster's books", lambda: dagster.DagsterInstance.from_config(str(home / "dagster")).get_runs(limit=1))
    timed("dbt's kept parse", lambda: warehouse.read_parsed((home / "build" / "dbt" / warehouse.PARSED).read_bytes()))
    with runner.reading() as connection, duckdb_dialect.serving(connection):
        timed("Great Expectations' context", runner._great_expectations)
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


LEGS: dict[str, Any] = {"bare": bare, "startup": startup, "parse": parse}


def quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def say(what: str) -> None:
    """Tell what is being measured."""
    print(f"{time.strftime('%H:%M:%S')} measuring: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps(LEGS[sys.argv[1]](*map(Path, sys.argv[2:]))))
