"""One night from the command line: run the job in this process and say how it ended.

Belongs here: running the job, the sample's world around it, exit codes. Does not: parsing options (``cli``), the steps (``assets``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingest import clock
from orchestration import alerts, disk, progress
from orchestration.night import UNWRITTEN, Busy, Night, NoData, as_known_then, lock
from orchestration.settings import Settings, UsageError

log = logging.getLogger("rollin.refresh")

#: Exit codes by outcome (DESIGN §7); every other outcome is 1, unexpected.
EXIT_CODES = {"published": 0, "unchanged": 0, "misconfigured": 2, "refused": 3, "no_data": 4, "busy": 5}


@dataclass(frozen=True)
class RefreshResult:
    """How a refresh ended. ``legs``: wall seconds by part of the night."""

    outcome: str
    message: str
    run_id: str | None = None
    release_id: str | None = None
    legs: dict[str, float] | None = None

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return EXIT_CODES.get(self.outcome, 1)


def refresh(settings: Settings) -> RefreshResult:
    """Run one night; never raises for what can go wrong in it."""
    try:
        with lock(settings), _world(settings) as placed:
            return _run(placed)
    except Busy as error:
        return RefreshResult("busy", str(error))
    except (UsageError, NoData, OSError) as error:  # before a step began that would have told it
        outcome = {UsageError: "misconfigured", NoData: "no_data"}.get(type(error), "failed")
        message = str(error) if outcome != "failed" else disk.refusal(error, settings.home) or f"{type(error).__name__}: {error}"
        if settings.as_of is None:
            alerts.send(settings, outcome=outcome, message=message, run_id="")
        return RefreshResult(outcome, message)


def _run(settings: Settings) -> RefreshResult:
    from orchestration import publication, spark
    from orchestration.publisher import Publisher

    settings = as_known_then(settings)
    Publisher.from_environ(settings.environ)
    if settings.engine == "spark":
        spark.require(settings)
    if settings.as_of is None:
        publication.require_clock(settings, settings.now())
    run_id = str(uuid.uuid4())
    progress.run_id.set(run_id)
    Night(settings, run_id).require_land()  # a configuration that cannot work is told before anything is loaded or fetched
    publication.sweep(settings)
    try:
        prepare_instance(settings)
        import dagster as dg

        from orchestration.definitions import NIGHTLY, build_defs

        tonight = clock.day_of(settings.now()).isoformat()
        days = _backfill_tags(settings)
        job = build_defs(settings).resolve_job_def(NIGHTLY)
        with dg.DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
            _bury_killed_runs(instance)
            forget_old_runs(settings, instance)
            job.execute_in_process(
                run_id=run_id,
                instance=instance,
                partition_key=None if days else tonight,
                tags=days,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    except (UsageError, Busy):
        raise
    except Exception as error:
        log.debug("unexpected", exc_info=True)
        message = disk.refusal(error, settings.home) or f"{type(error).__name__}: {error}"
        alerts.send(settings, outcome="failed", message=message, run_id=run_id)
        return RefreshResult("failed", message, run_id)
    record = read_run(settings, run_id)
    if record is None:
        return RefreshResult("failed", "The run left no record: look into it with 'rollin dev'.", run_id)
    return RefreshResult(record["outcome"], record["message"], run_id, record["release_id"], record["legs"])


def _backfill_tags(settings: Settings) -> dict[str, str]:
    """Dagster's tags of a run over several days; none where no days are asked for again. Raises UsageError for days that cannot be."""
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

    from orchestration.assets import PROGRAMME_START

    if settings.again_from is None:
        if settings.again_to is not None:
            raise UsageError("--to says where days that are asked for again end: name with --from where they begin.")
        return {}
    if settings.as_of is not None:
        raise UsageError("--as-of rebuilds a day from what was received and asks nobody: leave out --from, or --as-of.")
    today = clock.day_of(settings.now())
    first, last = settings.again_from, settings.again_to or today
    for option, day in (("--from", first), ("--to", last)):
        if not PROGRAMME_START <= day <= today:
            raise UsageError(f"{option} {day} lies outside the programme so far: name a day from {PROGRAMME_START} to {today}.")
    if first > last:
        raise UsageError(f"--from {first} lies after --to {last}: exchange the two.")
    return {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}


def read_run(settings: Settings, run_id: str) -> dict[str, Any] | None:
    """The record of a run, None where it left none."""
    with contextlib.suppress(OSError, ValueError):
        record: dict[str, Any] = json.loads((settings.build / run_id / "run.json").read_text(encoding="utf-8"))
        return record
    return UNWRITTEN.get(run_id)


def prepare_instance(settings: Settings) -> None:
    """Dagster's own folder, with telemetry off, its books in files or, where ROLLIN_DAGSTER_POSTGRES_URL is set, in PostgreSQL.

    A ``dagster.yaml`` that somebody changed by hand is left as it is. Raises UsageError where the PostgreSQL library is not installed.
    """
    from orchestration.definitions import INSTANCE_YAML, POSTGRES_VARIABLE, POSTGRES_YAML, STORAGE_YAML

    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    path = home / "dagster.yaml"
    ours = {is_postgres: INSTANCE_YAML + (POSTGRES_YAML if is_postgres else STORAGE_YAML) for is_postgres in (False, True)}
    address = os.environ.get(POSTGRES_VARIABLE)
    if is_postgres := bool(address):
        import importlib.util

        # dagster-postgres works with psycopg2; an address that names no driver means another one since SQLAlchemy 2.1
        os.environ[POSTGRES_VARIABLE] = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", str(address))

        if importlib.util.find_spec("dagster_postgres") is None:
            raise UsageError(
                f"{POSTGRES_VARIABLE} is set and dagster-postgres is not installed: install rollin[postgres], or unset it."
            )
    present = path.read_text(encoding="utf-8") if path.is_file() else None
    if present != ours[is_postgres] and (present is None or present in ours.values()):
        path.write_text(ours[is_postgres], encoding="utf-8")


def _bury_killed_runs(instance: Any) -> None:
    """Close the books on runs that were killed: whoever holds the home's lock knows that no other run is alive."""
    import dagster as dg

    alive = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=alive)):
        instance.report_run_failed(run, "The run's process was killed.")


#: How many runs Dagster's books tell of; some 6 MB each on the sample.
RUNS_REMEMBERED = 100


def forget_old_runs(settings: Settings, instance: Any) -> None:
    """Delete from Dagster's books all but the newest ``RUNS_REMEMBERED`` runs: Dagster itself keeps every event for ever.

    What is left of an older run is its record, ``build/<run_id>/run.json``, and what it published.
    """
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

    if instance.get_runs_count() <= RUNS_REMEMBERED:
        return
    for run in instance.get_runs()[RUNS_REMEMBERED:]:  # the newest comes first
        instance.delete_run(run.run_id)
        with instance.event_log_storage.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run.run_id))
        shutil.rmtree(settings.home / "dagster" / "storage" / run.run_id, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------------------ the sample


@contextlib.contextmanager
def _world(settings: Settings) -> Iterator[Settings]:
    """The settings to run with: for a sample those of its world, with its server running and its clock set."""
    if not settings.is_sample:
        yield settings
        return
    with sample_world(settings) as (placed, environ), _environ(environ):
        yield placed


@contextlib.contextmanager
def sample_world(settings: Settings) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Write the sample world below the home, serve it on loopback, and yield settings and environment of a run in it.

    The world ends on the day that ``ROLLIN_NOW`` names, else on its default day; the run's clock stands at that day's last minute.
    """
    from ingest.sample import Parameters, serve, write_sample

    try:
        parameters = Parameters(end=clock.day_of(clock.now())) if os.environ.get("ROLLIN_NOW") else Parameters()
    except ValueError as error:
        problem = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error)
        raise UsageError(
            f"The sample world cannot end then ({problem}): set ROLLIN_NOW to a day of the programme or unset it."
        ) from None
    folder = settings.home / "sample"
    stamp = folder / "written.json"
    wanted = parameters.model_dump_json() + _sample_version()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        log.info("writing the sample world to %s (synthetic, ends %s)", folder, parameters.end)
        stamp.unlink(missing_ok=True)
        write_sample(folder, parameters)
        stamp.write_text(wanted, encoding="utf-8")
    with serve(folder / "deliveries") as server:
        environ = {**server.environ, "ROLLIN_NOW": os.environ.get("ROLLIN_NOW") or parameters.night.isoformat()}
        yield replace(settings, environ={**settings.environ, **environ}), environ


def _sample_version() -> str:
    from orchestration.settings import code_version

    return code_version()


@contextlib.contextmanager
def _environ(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def coverage(release: Path) -> list[dict[str, Any]]:
    """The headline of a release: the last day of ``metrics.coverage_daily``, one row per Land and service."""
    import duckdb

    query = """
        select l.name as land, s.name_de as service, c.authorities_competent, c.authorities_operational, c.coverage_authority_share
        from metrics.coverage_daily as c
        inner join core.dim_land as l using (land_code)
        inner join core.dim_service as s using (service_id)
        where c.as_of = (select as_of from meta.release)
        order by c.land_code, c.service_id
    """
    return _rows(duckdb, release, query)


def programme_coverage(release: Path) -> list[dict[str, Any]]:
    """The last day of ``metrics.programme_coverage_daily``, one row per Land."""
    import duckdb

    query = """
        select l.name as land, c.services, c.authority_service_pairs_competent as pairs_competent,
            c.authority_service_pairs_operational as pairs_operational, c.coverage_micro_share
        from metrics.programme_coverage_daily as c
        inner join core.dim_land as l using (land_code)
        where c.as_of = (select as_of from meta.release)
        order by c.land_code
    """
    return _rows(duckdb, release, query)


def quarantine(release: Path) -> list[dict[str, Any]]:
    """Rows in quarantine by rule."""
    import duckdb

    return _rows(
        duckdb,
        release,
        "select rule, sum(row_count)::bigint as row_count from meta.quarantine_summary group by rule order by rule",
    )


def deliveries(release: Path) -> dict[str, Any]:
    """Deliveries and rows that the release was made of."""
    import duckdb

    query = "select count(*) as deliveries, coalesce(sum(rows_delivered), 0)::bigint as row_count from meta.delivery where is_admitted"
    return _rows(duckdb, release, query)[0]


def _rows(duckdb: Any, release: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(release / "warehouse.duckdb"), read_only=True) as con:
        result = con.execute(query)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
