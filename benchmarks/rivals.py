"""The same part of the work by this pipeline, by DuckDB alone, by pandas and by dbt on PostgreSQL.

Belongs here: that part, in four ways, on the same inputs of one night, and whether they agree. Does not: whole nights (``benchmarks.night``),
what is printed (``benchmarks.speed``).

The part: from the clean rows of usage, connections and competences to the newest revisions, monthly facts, coverage per day and adoption per
month. Left out, because nobody would write it four times: territory through time, inhabitants, cases, catalogues, costs, prediction,
disclosure, tests, publication. This pipeline does the first three of these even so, because its models do.
PostgreSQL starts from an empty database: loading is a leg of its own. Its server runs on loopback in a temporary folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import meter

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "benchmarks" / "rival_project"
#: pandas with pyarrow and dbt for PostgreSQL live in an environment of their own; ROLLIN_BENCH_RIVALS names another one that has them.
ENVIRONMENT = ROOT / ".venv-rivals"
REQUIRED = ("dbt-core>=1.11.16,<1.12", "dbt-postgres>=1.9,<1.12", "pandas>=3,<4", "pyarrow>=20")

MODELS = ("usage_newest", "monthly", "spells", "coverage", "adoption")
INPUTS = ("run", "land", "land_service", "usage", "connections", "competences")
RESULTS = {
    "monthly": ("land_code", "authority_id", "service_id", "month", "channel", "account", "submitted", "days_reported"),
    "coverage": ("land_code", "service_id", "as_of", "authorities_competent", "authorities_operational"),
    "adoption": ("land_code", "service_id", "month", "submitted_online_count", "submitted_total_count"),
}
#: The pipeline's tables that hold the results, and the rows that are among them.
PIPELINE = {
    "monthly": ("core.fct_usage_monthly", "reporting_status <> 'missing'"),
    "coverage": ("metrics.coverage_daily", "true"),
    "adoption": ("metrics.adoption_monthly", "submitted_total_count is not null"),
}


class LeftOut(Exception):
    """A rival that cannot be measured here; the sentence says why."""


def measure(inputs: Path, scratch: Path, laender: Sequence[str] | None, say: Callable[[str], None]) -> dict[str, Any]:
    """All four on the inputs of a night, cut down to ``laender`` where given: cost per rival and leg, and how far results agree.

    ``differing_rows`` counts, per result, rows that one has and the pipeline has not, and the other way round.
    """
    which = f"Land {', '.join(laender)}" if laender else "all Länder"
    say(f"inputs of {which}")
    inputs = own_inputs(inputs, scratch / "inputs", laender)
    found: dict[str, Any] = {"laender": list(laender) if laender else "all", "usage_rows": _usage_rows(inputs), "rivals": {}}
    for name in ("pipeline", "duckdb", "pandas", "postgres"):
        say(f"rival: {name}")
        folder = scratch / name
        folder.mkdir(parents=True)
        try:
            if name == "postgres":
                measured = _postgres(inputs, folder)
            else:
                python = _program("python") if name == "pandas" else sys.executable
                cost, output = meter.run([python, "-m", "benchmarks.rivals", name, inputs, folder], environ(), ROOT)
                measured = {"process": cost.to_dict(), "legs": json.loads(output.splitlines()[-1])}
        except LeftOut as error:
            found["rivals"][name] = {
                "left_out": str(error).strip().splitlines()[-1] if isinstance(error, LeftOut) else str(error)
            }
            continue
        if name != "pipeline":
            measured["differing_rows"] = _differing(scratch / "pipeline", folder)
        found["rivals"][name] = measured
    return found


def environ(**more: str) -> dict[str, str]:
    """What every rival is started with."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", **more}


def own_inputs(inputs: Path, folder: Path, laender: Sequence[str] | None) -> Path:
    """A copy of a night's inputs, of some Länder only where given, of whose usage nothing is summed already."""
    import duckdb

    from orchestration import parts

    def is_of(code: str) -> bool:
        return laender is None or code in ("00", *laender)

    with duckdb.connect(config={"memory_limit": "2GB", "threads": "2", "preserve_insertion_order": "true"}) as connection:
        for table in sorted(path for path in inputs.iterdir() if path.is_dir()):
            own = folder / table.name
            own.mkdir(parents=True)
            if table.name == "usage":  # a file for each delivery, as the night has them
                for path in table.glob("*.parquet"):
                    if is_of(path.name.partition(".")[0]):
                        (own / path.name).symlink_to(path.resolve())
                continue
            rows = f"read_parquet('{table}/*.parquet', union_by_name = true)"
            columns = [row[0] for row in connection.execute(f"describe from {rows}").fetchall()]
            codes = ", ".join(f"'{code}'" for code in ("00", *(laender or ())))
            kept = f"where land_code in ({codes})" if laender is not None and "land_code" in columns else ""
            connection.execute(f"copy (from {rows} {kept}) to '{own}/rows.parquet' (format parquet, compression zstd)")
    parts.lay_out(folder, folder.with_name("parts")).write_parquet(folder / "part" / "rows.parquet")
    return folder


def _usage_rows(inputs: Path) -> int:
    import duckdb

    with duckdb.connect() as connection:
        return int(connection.execute(f"select count(*) from read_parquet('{inputs}/usage/*.parquet')").fetchall()[0][0])


def _differing(pipeline: Path, rival: Path) -> dict[str, int]:
    import duckdb

    counts = {}
    with duckdb.connect() as connection:
        for name, columns in RESULTS.items():
            listed = ", ".join(columns)
            ours, theirs = (f"(select {listed} from read_parquet('{folder}/{name}.parquet'))" for folder in (pipeline, rival))
            both = (
                f"select count(*) from ((from {ours} except all from {theirs}) union all (from {theirs} except all from {ours}))"
            )
            counts[name] = int(connection.execute(both).fetchall()[0][0])
    return counts


# -- each in a Python of its own ------------------------------------------------------------------------------------------------


def pipeline(inputs: Path, folder: Path) -> dict[str, Any]:
    """The pipeline's own models up to the three tables, by dbt in this process, without tests."""
    costs = {"start-up": meter.Cost(), "build": meter.Cost()}
    os.environ |= {
        "ROLLIN_INPUTS": str(inputs),
        "ROLLIN_BUILD": str(folder / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    with meter.leg(costs["start-up"]):
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        from orchestration import warehouse

        parsed = warehouse.invoke(["parse"])
    with meter.leg(costs["build"]):
        select = [f"+{table}" for table, _ in PIPELINE.values()]
        names = [name.replace("core.", "").replace("metrics.", "") for name in select]
        built = warehouse.invoke(
            ["build", "--resource-type", "model", "--resource-type", "seed", "--select", *names], parsed=parsed.result
        )
        if not built.success:
            raise SystemExit(f"dbt fails: {built.exception or [r.message for r in built.result if r.status == 'error'][:1]}")
        DuckDBConnectionManager.close_all_connections()
    _export(folder / "warehouse.duckdb", {name: (table, where) for name, (table, where) in PIPELINE.items()}, folder)
    return {name: cost.to_dict() for name, cost in costs.items()}


def duckdb_alone(inputs: Path, folder: Path) -> dict[str, Any]:
    """The rivals' SQL in a DuckDB of the pipeline's settings."""
    costs = {"start-up": meter.Cost(), "build": meter.Cost()}
    with meter.leg(costs["start-up"]):
        import duckdb
    with meter.leg(costs["build"]):
        threads, memory = os.environ.get("ROLLIN_THREADS", "2"), os.environ.get("ROLLIN_MEMORY", "4GB")
        config = {"threads": threads, "memory_limit": memory, "preserve_insertion_order": "false"}
        with duckdb.connect(str(folder / "warehouse.duckdb"), config=config) as connection:
            for name in INPUTS:
                rows = f"read_parquet('{inputs}/{name}/*.parquet', union_by_name = true)"
                connection.execute(f'create view "raw_{name}" as from {rows}')
            for name in MODELS:
                connection.execute(f"create table {name} as {_sql(name)}")
    _export(folder / "warehouse.duckdb", {name: (name, "true") for name in RESULTS}, folder)
    return {name: cost.to_dict() for name, cost in costs.items()}


def _sql(name: str) -> str:
    text = (PROJECT / "models" / f"{name}.sql").read_text(encoding="utf-8")
    text = re.sub(r"\{\{ source\('raw', '(\w+)'\) \}\}", r'"raw_\1"', text)
    return re.sub(r"\{\{ ref\('(\w+)'\) \}\}", r"\1", text)


def _export(warehouse: Path, tables: dict[str, tuple[str, str]], folder: Path) -> None:
    import duckdb

    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for name, (table, where) in tables.items():
            rows = f"select {', '.join(RESULTS[name])} from {table} where {where}"
            connection.execute(f"copy ({rows}) to '{folder}/{name}.parquet' (format parquet)")


_HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None


def _frame(path: Path) -> Any:
    """A Parquet file in pandas: by pyarrow, where it is measured; the tests, which have none, by DuckDB."""
    if _HAS_PYARROW:
        import pandas as pd

        return pd.read_parquet(path)
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute("from read_parquet(?)", [str(path)]).df()


def _parquet(frame: Any, path: Path) -> None:
    if _HAS_PYARROW:
        frame.to_parquet(path)
        return
    import duckdb

    with duckdb.connect() as connection:
        connection.register("frame", frame)
        connection.execute(f"copy frame to '{path}' (format parquet)")


def pandas_script(inputs: Path, folder: Path) -> dict[str, Any]:
    """What an analyst would write: everything in memory."""
    costs = {"start-up": meter.Cost(), "build": meter.Cost()}
    with meter.leg(costs["start-up"]):
        import pandas as pd
    with meter.leg(costs["build"]):

        def read(name: str) -> Any:
            parts = [part for path in sorted((inputs / name).glob("*.parquet")) if len(part := _frame(path))]
            rows = pd.concat(parts, ignore_index=True)
            for column in rows.columns:
                if str(rows[column].dtype) == "category":
                    rows[column] = rows[column].astype("str")
            return rows

        as_of = pd.Timestamp(read("run")["as_of"].iloc[0])
        order = ["delivery_id", "source"]
        usage = read("usage")
        usage["period"] = pd.to_datetime(usage["period"])
        key = ["land_code", "authority_id", "service_id", "period", "grain", "channel", "account", "is_test"]
        usage = usage.sort_values(order).drop_duplicates(key, keep="last")
        counted = usage[["submitted", "completed", "started"]].notna().any(axis=1)
        usage = usage[~usage["is_retracted"] & ~usage["is_test"] & (usage["period"] <= as_of) & counted]
        usage = usage.assign(month=usage["period"].dt.to_period("M").dt.to_timestamp())
        by = ["land_code", "authority_id", "service_id", "month", "channel", "account", "grain"]
        months = usage.groupby(by, dropna=False, observed=True)["submitted"].agg(
            submitted=lambda counts: counts.sum(min_count=1), days_reported="size"
        )
        months = months.reset_index()
        last = months["month"] + pd.offsets.MonthEnd(0)
        whole = (last.where(last < as_of, as_of) - months["month"]).dt.days + 1
        months["days_reported"] = months["days_reported"].where(months["grain"] != "month", whole)
        # a month wins over its days
        monthly = months.sort_values("grain").drop_duplicates(by[:-1], keep="last").drop(columns="grain")

        events = read("connections")
        events["effective_on"] = pd.to_datetime(events["effective_on"])
        natural = events["event_id"].isna()
        known = events["source"] + " " + events["event_id"].fillna("")
        named = (
            events["authority_id"]
            + " "
            + events["service_id"]
            + " "
            + events["phase"]
            + " "
            + events["effective_on"].astype("str")
        )
        events["known_by"] = known.where(~natural, named)
        events = events.sort_values(order).drop_duplicates(["land_code", "known_by"], keep="last")
        events = events[~events["is_retracted"] & (events["effective_on"] <= as_of)]
        phases = ["planned", "contracted", "integrating", "onboarding", "operational", "suspended", "withdrawn"]
        events["phase_order"] = events["phase"].map({phase: number for number, phase in enumerate(phases)})
        events["event_id"] = events["event_id"].fillna("")
        events = events.sort_values(
            ["authority_id", "service_id", "effective_on", "phase_order", "reported_at", *order, "event_id"]
        )
        events["next_on"] = events.groupby(["authority_id", "service_id"])["effective_on"].shift(-1)
        is_spell = (events["phase"] == "operational") & (events["next_on"].isna() | (events["next_on"] > events["effective_on"]))
        spells = events.loc[is_spell, ["authority_id", "service_id", "effective_on", "next_on"]]

        competences = read("competences")
        competences = competences[competences["valid_to"].isna()]
        competent = competences[["land_code", "service_id", "authority_id"]].drop_duplicates()
        competent = competent.merge(read("land_service")[["land_code", "service_id"]], on=["land_code", "service_id"])
        programme = competent.groupby(["land_code", "service_id"]).size().rename("authorities_competent").reset_index()
        programme = programme.merge(read("land")[["land_code", "programme_start"]], on="land_code")
        mine = spells.merge(competent, on=["authority_id", "service_id"])
        first = programme["land_code"].map(mine.groupby("land_code")["effective_on"].min())
        stated = pd.to_datetime(programme["programme_start"])
        programme["programme_start"] = stated.where(~(first < stated), first)
        begun = mine[["land_code", "service_id"]].assign(as_of=mine["effective_on"], change=1)
        ended = mine[["land_code", "service_id"]].assign(as_of=mine["next_on"], change=-1).dropna()
        changes = pd.concat([begun, ended]).merge(programme, on=["land_code", "service_id"])
        changes["as_of"] = changes["as_of"].where(changes["as_of"] > changes["programme_start"], changes["programme_start"])
        changes = changes.groupby(["land_code", "service_id", "as_of"])["change"].sum().reset_index()
        days = pd.DataFrame({"as_of": pd.date_range(programme["programme_start"].min(), as_of)})
        coverage = programme.merge(days, how="cross")
        coverage = coverage[coverage["as_of"] >= coverage["programme_start"]]
        coverage = coverage.merge(changes, on=["land_code", "service_id", "as_of"], how="left")
        coverage = coverage.sort_values(["land_code", "service_id", "as_of"])
        running = coverage["change"].fillna(0).groupby([coverage["land_code"], coverage["service_id"]]).cumsum()
        coverage["authorities_operational"] = running.astype("int64")

        calendar = monthly[["month"]].drop_duplicates()
        live = spells.merge(calendar, how="cross")
        ends = live["next_on"].isna() | (live["next_on"] > live["month"])
        live = live[(live["effective_on"] < live["month"] + pd.offsets.MonthBegin(1)) & ends]
        live = live[["authority_id", "service_id", "month"]].drop_duplicates()
        counts = monthly.merge(live, on=["authority_id", "service_id", "month"])
        counts["online"] = counts["submitted"].where(counts["channel"] == "online")
        adoption = counts.groupby(["land_code", "service_id", "month"])[["online", "submitted"]].sum(min_count=1).reset_index()
        adoption.columns = list(RESULTS["adoption"])
    for name, frame in {"monthly": monthly, "coverage": coverage, "adoption": adoption}.items():
        chosen = frame[list(RESULTS[name])].copy()
        for column in chosen.columns:
            if str(chosen[column].dtype).startswith("datetime"):
                chosen[column] = chosen[column].dt.date
            elif str(chosen[column].dtype) in ("float64", "Float64"):
                chosen[column] = chosen[column].astype("Int64")
        _parquet(chosen, folder / f"{name}.parquet")
    return {name: cost.to_dict() for name, cost in costs.items()}


LEGS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "pipeline": pipeline,
    "duckdb": duckdb_alone,
    "pandas": pandas_script,
}


# -- dbt on PostgreSQL ----------------------------------------------------------------------------------------------------------


def _postgres(inputs: Path, folder: Path) -> dict[str, Any]:
    """Load the inputs by COPY, then build by dbt. The server's cost is measured over both; memory is that of all its processes."""
    dbt = _program("dbt")
    with _server() as (port, password, tree):
        load = meter.Cost()
        with meter.leg(load):
            _load(inputs, folder, f"postgresql://rollin:{password}@127.0.0.1:{port}/postgres")
        build, _ = meter.run(
            [dbt, "run", "--quiet", "--project-dir", PROJECT, "--profiles-dir", PROJECT],
            environ(
                ROLLIN_BENCH_PORT=str(port),
                ROLLIN_BENCH_PASSWORD=password,
                DBT_TARGET_PATH=str(folder / "target"),
                DBT_LOG_PATH=str(folder / "logs"),
            ),
            PROJECT,
        )
        _unload(folder, f"postgresql://rollin:{password}@127.0.0.1:{port}/postgres")
        tree.look()
    return {
        "process": {"seconds": round(load.seconds + build.seconds, 3)},
        "legs": {"load": load.to_dict(), "build": build.to_dict()},
        "server": {
            "cpu_seconds": round(tree.cpu_seconds, 2),
            "peak_mb": round(tree.peak_mb, 1),
            "read_mb": round(tree.bytes("rchar") / 1e6, 1),
            "written_mb": round(tree.bytes("wchar") / 1e6, 1),
        },
    }


def _program(name: str) -> Path:
    """A program of the rivals' environment, which is made where it is not there yet. Raises LeftOut where that cannot be done."""
    environment = Path(os.environ.get("ROLLIN_BENCH_RIVALS") or ENVIRONMENT)
    if not (environment / "bin" / "dbt").exists():
        install = [[sys.executable, "-m", "venv", str(environment)]]
        install.append([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *REQUIRED])
        for command in install:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                shutil.rmtree(environment, ignore_errors=True)
                raise LeftOut(
                    f"left out: {', '.join(REQUIRED)} could not be installed; ROLLIN_BENCH_RIVALS names an environment that has them."
                )
    return environment / "bin" / name


class _Watched(meter.Tree):
    """A tree of processes whose CPU seconds are known once it has ended."""

    cpu_seconds = 0.0


@contextmanager
def _server() -> Iterator[tuple[int, str, _Watched]]:
    """A PostgreSQL of our own: port, password, and what it costs. It refuses to run as root: then it runs as ``postgres``."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(debian[-1]) if debian else None)
    if found is None:
        raise LeftOut("left out: no initdb here; install PostgreSQL.")
    programs, user = Path(found).parent, "postgres" if os.geteuid() == 0 else None
    password = os.urandom(12).hex()
    folder = Path(tempfile.mkdtemp(prefix="rollin-bench-postgres-"))
    try:
        (folder / "password").write_text(password)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        options = [
            "-U",
            "rollin",
            "-A",
            "scram-sha-256",
            "--pwfile",
            folder / "password",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", *options], user=user, cwd=folder, check=True, capture_output=True
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # what its documentation recommends for a machine with some memory, and as little durability as the others have
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
        }
        settings |= {"shared_buffers": "1GB", "work_mem": "512MB", "max_wal_size": "8GB", "max_parallel_workers_per_gather": 2}
        stated = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *stated], user=user, cwd=folder, stdout=log, stderr=log
            )
        tree = _Watched(server.pid)
        tree.start()
        try:
            _wait(port)
            yield port, password, tree
        finally:
            tree.stop()
            server.send_signal(signal.SIGINT)
            _, _, usage = os.wait4(server.pid, 0)
            server.returncode = 0
            tree.cpu_seconds = usage.ru_utime + usage.ru_stime
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.5)
                return
        time.sleep(0.1)
    raise LeftOut("left out: the server did not start.")


_TYPES = {
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "DATE": "date",
    "BOOLEAN": "boolean",
    "DOUBLE": "double precision",
}


def _load(inputs: Path, folder: Path, address: str) -> None:
    """Every input as CSV by DuckDB, then by COPY."""
    import duckdb
    import psycopg

    with duckdb.connect(config={"memory_limit": "2GB", "threads": "2"}) as connection, psycopg.connect(address) as postgres:
        postgres.execute("create schema raw")
        for name in INPUTS:
            rows = f"read_parquet('{inputs}/{name}/*.parquet', union_by_name = true)"
            columns = [(row[0], str(row[1])) for row in connection.execute(f"describe from {rows}").fetchall()]
            typed = ", ".join(
                f'"{column}" {_TYPES.get(kind, "timestamptz" if kind.startswith("TIMESTAMP") else "text")}'
                for column, kind in columns
            )
            postgres.execute(f'create table raw."{name}" ({typed})')
            path = folder / f"{name}.csv"
            connection.execute(f"copy (from {rows}) to '{path}' (format csv, header false)")
            with path.open("rb") as file, postgres.cursor().copy(f'copy raw."{name}" from stdin (format csv)') as copy:
                while chunk := file.read(1 << 20):
                    copy.write(chunk)
            path.unlink()
        postgres.execute("analyze")


def _unload(folder: Path, address: str) -> None:
    import duckdb
    import psycopg

    kinds = {"month": "DATE", "as_of": "DATE"}
    with psycopg.connect(address) as postgres, duckdb.connect() as connection:
        for name, columns in RESULTS.items():
            path = folder / f"{name}.csv"
            with (
                path.open("wb") as file,
                postgres.cursor().copy(f"copy (select {', '.join(columns)} from rival.{name}) to stdout csv") as copy,
            ):
                for chunk in copy:
                    file.write(chunk)
            numbers = ("submitted", "days_reported", "authorities_", "_count")
            types = {c: kinds.get(c, "BIGINT" if any(part in c for part in numbers) else "VARCHAR") for c in columns}
            stated = json.dumps(types).replace('"', "'")
            connection.execute(f"copy (from read_csv('{path}', columns = {stated}, header = false)) to '{folder}/{name}.parquet'")


if __name__ == "__main__":
    print(json.dumps(LEGS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))))
