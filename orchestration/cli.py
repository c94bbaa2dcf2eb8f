"""``rollin``: the command line. Belongs here: options, what is printed, exit codes. Does not: any work.

Heavy libraries are imported by the commands that need them, so that ``status`` and ``sql`` answer at once.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from orchestration.settings import QUIET, Settings, UsageError

os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})

_HOME = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), help="Folder of all state (default: ROLLIN_HOME or ./var)."
)
_LAENDER = click.option(
    "--laender",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of Land files instead of the packaged ones.",
)


def main() -> None:
    """Entry point: every error is one sentence with its remedy."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail("Interrupted. Nothing half was published; run the command again.", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UsageError as error:
        _fail(str(error), 2)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rollin")
def cli() -> None:
    """Coverage, adoption and cost of the roll-out of Germany's digital public services."""


@cli.command()
@_HOME
@_LAENDER
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Rebuild what was known at the end of that day; never becomes current."
)
@click.option("--sample", is_flag=True, help="Run on the embedded synthetic world, offline.")
@click.option("--full", is_flag=True, help="Build anew even where nothing changed.")
@click.option("--verbose", is_flag=True, help="Tell what each step does, with tracebacks.")
def refresh(home: Path | None, laender: Path | None, as_of: datetime | None, sample: bool, full: bool, verbose: bool) -> None:
    """Fetch, clean, build, check and publish: one night.

    Exit codes: 0 published or nothing changed, 1 unexpected, 2 usage or configuration, 3 refused by tests or the gate,
    4 a required source has no admissible data, 5 another refresh is running.
    """
    from orchestration.progress import show_progress
    from orchestration.refresh import refresh as run

    settings = _settings(home, laender, as_of.date() if as_of else None, full=full, is_sample=sample)
    with show_progress(verbose=verbose):
        result = run(settings)
    if result.exit_code:
        _fail(result.message, result.exit_code)
    click.echo(result.message)
    release = settings.published / "releases" / str(result.release_id)
    if result.outcome == "published":
        _summary(release)
    click.echo(f"Open it: {release / 'warehouse.duckdb'}")


def _summary(release: Path) -> None:
    """What an operator wants to see after a night."""
    from orchestration.refresh import coverage, deliveries, quarantine

    seen = deliveries(release)
    reasons = ", ".join(f"{row['rule']} {row['row_count']}" for row in quarantine(release)) or "none"
    click.echo(f"Read {seen['row_count']:,} rows in {seen['deliveries']} deliveries; quarantined: {reasons}.")
    _table(
        ["Land", "Service", "competent", "operational", "share"],
        [
            [
                r["land"],
                r["service"],
                r["authorities_competent"],
                r["authorities_operational"],
                _percent(r["coverage_authority_share"]),
            ]
            for r in coverage(release)
        ],
    )


@cli.command()
@_HOME
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(home: Path | None, as_json: bool) -> None:
    """What is published, how the last run ended, and how fresh each source is."""
    from orchestration.status import read_status

    state = read_status(_settings(home))
    if as_json:
        click.echo(json.dumps(state, ensure_ascii=False, indent=1, default=str))
        return
    release, run = state["release"], state["last_run"]
    if release is None:
        click.echo("Nothing is published yet: run 'rollin refresh'.")
    else:
        synthetic = " (synthetic)" if release["is_synthetic"] else ""
        click.echo(f"Release {release['release_id']}{synthetic}, as of {release['as_of']}, published {release['published_at']}.")
    if run is not None:
        click.echo(f"Last run {run['run_id'][:8]} of {run['started_at']}: {run['outcome']}. {run['message']}")
    if state["sources"]:
        _table(
            ["Land", "source", "table", "status", "last delivery", "message"],
            [
                [s["land_code"], s["source"], s["table_name"], s["status"], s["last_delivered_at"] or "", s["message_en"] or ""]
                for s in state["sources"]
            ],
        )


@cli.command()
@click.argument("query")
@_HOME
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def sql(query: str, home: Path | None, form: str) -> None:
    """Run QUERY on the current release, read-only: rollin sql "from coverage_daily limit 5"."""
    import duckdb

    warehouse = _settings(home).current / "warehouse.duckdb"
    if not warehouse.is_file():
        raise UsageError("Nothing is published yet: run 'rollin refresh'.")
    try:
        with duckdb.connect(str(warehouse), read_only=True, config={"enable_external_access": "false"}) as con:
            con.execute("set search_path = 'core,metrics,meta'; set TimeZone = 'UTC'")
            result = con.execute(query)
            names = [column[0] for column in result.description or []]
            rows = result.fetchall() if names else []
    except duckdb.Error as error:
        raise UsageError(f"The query failed: {error}") from None
    if form == "json":
        found = [dict(zip(names, (_finite(value) for value in row), strict=True)) for row in rows]
        click.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        _table(names, [list(row) for row in rows])


@cli.command()
@click.argument("release", required=False)
@_HOME
def rollback(release: str | None, home: Path | None) -> None:
    """Make RELEASE, or the one before the current, current again."""
    from orchestration import publication
    from orchestration.night import Busy, lock

    settings = _settings(home)
    try:
        with lock(settings):
            click.echo(f"Release {publication.rollback(settings, release)} is current.")
    except Busy as error:
        _fail(str(error), 5)


@cli.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--seed", type=int, help="Another world.")
@click.option("--laender", help="Länder of the world, as 09,06.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day that has been reported.")
@click.option("--learning-rate", type=float, help="Saving per doubling of experience.")
@click.option("--scale-elasticity", type=float, help="Growth of a call-off's cost with its size; 1 is no economy of scale.")
@click.option("--dirty-share", type=float, help="Faulty rows added per delivered row.")
def sample(out: Path, end: datetime | None, laender: str | None, **knobs: Any) -> None:
    """Write a synthetic world with known truth: laender/, deliveries/, truth/."""
    from pydantic import ValidationError

    from ingest.sample import Parameters, write_sample

    given: dict[str, Any] = {name: value for name, value in knobs.items() if value is not None}
    if end is not None:
        given["end"] = end.date()
    if laender is not None:
        given["laender"] = tuple(laender.split(","))
    try:
        parameters = Parameters(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{'-'.join(str(p) for p in first['loc'][:1]).replace('_', '-')}: {first['msg']}.") from None
    write_sample(out, parameters)
    click.echo(
        f"A synthetic world up to {parameters.end} is in {out}. "
        f"Refresh it: ROLLIN_NOW={parameters.night.isoformat()} rollin refresh --laender {out / 'laender'}"
    )


@cli.command()
@_HOME
@_LAENDER
@click.option("--sample", is_flag=True, help="On the embedded synthetic world.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def dev(home: Path | None, laender: Path | None, sample: bool, port: int) -> None:
    """Open Dagster's web page on this machine, with the nightly schedule on."""
    from orchestration.development import serve

    sys.exit(serve(_settings(home, laender, is_sample=sample), port))


def _settings(
    home: Path | None, laender: Path | None = None, as_of: date | None = None, *, full: bool = False, is_sample: bool = False
) -> Settings:
    given = Settings.from_environ()
    return Settings(
        home=home.absolute() if home else given.home,
        laender=laender.absolute() if laender else given.laender,
        as_of=as_of,
        full=full,
        is_sample=is_sample or given.is_sample,
        environ=given.environ,
    )


def _table(names: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    width = None if sys.stdout.isatty() else 100_000  # who reads a pipe wants a row on a line
    Console(width=width, highlight=False, markup=False).print(table)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _finite(value: Any) -> Any:
    """JSON knows neither infinity nor NaN: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """JSON for what DuckDB returns: numbers stay numbers, days and instants become ISO text."""
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)


def _fail(message: str, code: int) -> NoReturn:
    logging.shutdown()
    click.echo(f"rollin: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
