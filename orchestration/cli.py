"""``rollin``: the command line. Belongs here: options, what is printed, exit codes. Does not: any work.

Heavy libraries are imported by the commands that need them, so that ``status`` and ``sql`` answer at once.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import re
import sys
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from ingest.services import ServiceListError
from orchestration.settings import ENGINES, QUIET, Settings, UsageError

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
    except (UsageError, ServiceListError) as error:
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
@click.option(
    "--from", "again_from", type=click.DateTime(["%Y-%m-%d"]), help="Ask portals again for what changed from that day on."
)
@click.option("--to", "again_to", type=click.DateTime(["%Y-%m-%d"]), help="Last day that --from is about (default: today).")
@click.option(
    "--territory",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Report on the municipalities and authorities of that day (default: of the run's day).",
)
@click.option("--sample", is_flag=True, help="Run on the embedded synthetic world, offline.")
@click.option("--full", is_flag=True, help="Build anew even where nothing changed, from the clean data.")
@click.option(
    "--engine", type=click.Choice(ENGINES), help="Where the heavy models are computed (default: ROLLIN_ENGINE or duckdb)."
)
@click.option("--verbose", is_flag=True, help="Tell what each step does, with tracebacks.")
def refresh(
    home: Path | None,
    laender: Path | None,
    as_of: datetime | None,
    again_from: datetime | None,
    again_to: datetime | None,
    territory: datetime | None,
    sample: bool,
    full: bool,
    engine: str | None,
    verbose: bool,
) -> None:
    """Fetch, clean, build, check and publish: one night.

    Exit codes: 0 published or nothing changed, 1 unexpected, 2 usage or configuration, 3 refused by tests or the gate,
    4 a required source has no admissible data, 5 another refresh is running.
    """
    from orchestration.progress import show_progress
    from orchestration.refresh import refresh as run

    given = _settings(home, laender, as_of.date() if as_of else None, full=full, is_sample=sample)
    settings = replace(
        given,
        territory=territory.date() if territory else given.territory,
        again_from=again_from.date() if again_from else None,
        again_to=again_to.date() if again_to else None,
        engine=engine or given.engine,
    )
    with show_progress(verbose=verbose):
        result = run(settings)
    if result.exit_code:
        _fail(result.message, result.exit_code)
    click.echo(result.message)
    release = settings.published / "releases" / str(result.release_id)
    if result.outcome == "published":
        _summary(release)
    click.echo(f"Open it: {release / 'warehouse.duckdb'}")


#: Rows of a Land and a service that a night ends with; where there are more, one of each Land.
_SUMMARY_ROWS = 100


def _summary(release: Path) -> None:
    """What an operator wants to see after a night."""
    from orchestration.refresh import coverage, deliveries, programme_coverage, quarantine

    seen = deliveries(release)
    reasons = ", ".join(f"{row['rule']} {row['row_count']}" for row in quarantine(release)) or "none"
    click.echo(f"Read {seen['row_count']:,} rows in {seen['deliveries']} deliveries; quarantined: {reasons}.")
    rows = coverage(release)
    if is_short := len(rows) <= _SUMMARY_ROWS:
        columns = ["land", "service", "authorities_competent", "authorities_operational", "coverage_authority_share"]
    else:
        rows = programme_coverage(release)
        columns = ["land", "services", "pairs_competent", "pairs_operational", "coverage_micro_share"]
    _table(
        ["Land", "Service" if is_short else "services", "competent", "operational", "share"],
        [[*(row[column] for column in columns[:-1]), _percent(row[columns[-1]])] for row in rows],
    )


@cli.command()
@_HOME
@click.option("--json", "as_json", is_flag=True, help="For programs and monitoring.")
@click.option("--alert", is_flag=True, help="Send what is wrong to webhook and e-mail, once a day; exit 1 where something is.")
def status(home: Path | None, as_json: bool, alert: bool) -> None:
    """What is published, how the last run ended, how fresh each source is, and what is wrong.

    Exit codes: 0, with --alert 1 where somebody has to act, 2 usage or configuration.
    """
    from orchestration import health
    from orchestration.status import read_status

    settings = _settings(home)
    state = read_status(settings)
    if alert:
        health.tell(settings, health.problems(settings, state, state["now"]), state["now"])
    if as_json:
        click.echo(json.dumps(state, ensure_ascii=False, indent=1, default=_iso))
    else:
        _show_status(state)
    if alert and not state["health"]["is_well"]:
        sys.exit(1)


def _show_status(state: dict[str, Any]) -> None:
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
    for problem in state["health"]["problems"]:
        if not problem["subject"] and not (
            release is None and problem["code"] == "nothing_published"
        ):  # sources are in the table
            click.echo(f"{'Wrong' if problem['severity'] == 'error' else 'Mind'}: {problem['message_en']}")
    for taken in state["withdrawn"]:
        click.echo(
            f"Withdrawn: {taken['land_code']}/{taken['source']} {taken['delivery_id']} since {taken['withdrawn_at'].isoformat()}: "
            f"{taken['reason']}"
        )


@cli.command()
@click.argument("source", metavar="[LAND/SOURCE]", required=False)
@_HOME
@_LAENDER
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def deliveries(source: str | None, home: Path | None, laender: Path | None, as_json: bool) -> None:
    """List what was received from every source, or from one, with its id, and whether it counts."""
    from orchestration.deliveries import delivery_states

    settings = _settings(home, laender)
    land_code, name = _named(settings, source) if source else (None, None)
    states = delivery_states(settings, land_code, name)
    if as_json:
        click.echo(json.dumps([state.to_dict() for state in states], ensure_ascii=False, indent=1))
        return
    if not states:
        click.echo(f"{source or 'No source'} has delivered {'nothing' if source else 'anything'} to {settings.home} yet.")
        return
    _table(
        ["source", "delivery", "received (UTC)", "file", "rows", "clean", "state", "why"],
        [
            [
                f"{state.land_code}/{state.source}",
                state.delivery_id,
                f"{state.delivered_at:%Y-%m-%d %H:%M:%S}",
                state.file,
                state.rows_delivered,
                state.rows_clean,
                state.state,
                state.reason_en,
            ]
            for state in states
        ],
    )


@cli.command()
@click.argument("source", metavar="LAND/SOURCE")
@click.argument("delivery_id")
@_HOME
@_LAENDER
@click.option("--reason", help="Why, in one sentence; it is published with the delivery.")
@click.option("--undo", is_flag=True, help="Let a withdrawn delivery count again.")
def withdraw(source: str, delivery_id: str, home: Path | None, laender: Path | None, reason: str | None, undo: bool) -> None:
    """From now on a delivery no longer counts; its predecessor does. Nothing that was received is changed."""
    from ingest.landing import Landing
    from orchestration import withdrawals
    from orchestration.night import Busy, lock

    settings = _settings(home, laender)
    land_code, name = _named(settings, source)
    landing = Landing(settings.home)
    try:
        with lock(settings):
            if undo:
                withdrawals.undo(landing, land_code, name, delivery_id, reason, settings.now())
                click.echo(f"{delivery_id} counts again from the next refresh on.")
            else:
                withdrawals.withdraw(landing, land_code, name, delivery_id, reason or "", settings.now())
                click.echo(f"{delivery_id} is withdrawn: run 'rollin refresh' to publish without it, --undo takes this back.")
    except Busy as error:
        _fail(str(error), 5)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--land", required=True, help="Code or name of the Land that would deliver it.")
@click.option("--source", required=True, help="Name of the source in the Land file.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the annotated copy (default: the current one).")
@click.option("--lang", type=click.Choice(["de", "en"]), default="de", show_default=True, help="Language of what is told.")
@click.option("--json", "as_json", is_flag=True, help="For programs: everything, every row included.")
@_HOME
@_LAENDER
def check(
    file: Path, land: str, source: str, out: Path | None, lang: str, as_json: bool, home: Path | None, laender: Path | None
) -> None:
    """Try FILE as a delivery before it is sent: what is accepted, what is not and why, row by row.

    Exit codes: 0 it would be admitted, 3 it would be refused, 2 usage. Nothing is landed or published.
    """
    from orchestration.check import check as run
    from orchestration.check import shown_rows, told

    language: Any = lang
    verdict = run(_settings(home, laender), file, land, source, out, language)
    if as_json:
        click.echo(json.dumps(verdict.to_dict(), ensure_ascii=False, indent=1, default=str))
    else:
        for line in told(verdict, language):
            click.echo(line)
        names, rows, more = shown_rows(verdict, language)
        if rows:
            _table(names, rows)
        if more:
            click.echo(more)
        if verdict.copy:
            click.echo(f"{'Kommentierte Kopie' if lang == 'de' else 'Annotated copy'}: {verdict.copy}")
    sys.exit(verdict.exit_code)


def _named(settings: Settings, source: str) -> tuple[str, str]:
    """(land_code, source) of ``06/kosten`` or ``hessen/kosten``."""
    from ingest.landfile import LandFileError, load

    land, slash, name = source.partition("/")
    if not slash or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"'{source}' names no source: write LAND/SOURCE, for example 06/kosten.")
    if re.fullmatch(r"[0-9]{2}", land):
        return land, name
    try:
        codes = {one.name.casefold(): code for code, one in load(settings.laender, settings.environ).items()}
    except LandFileError as error:
        raise UsageError(str(error)) from None
    if land.casefold() not in codes:
        raise UsageError(f"'{land}' is no Land of the Land files: write its code, for example 06/kosten.")
    return codes[land.casefold()], name


@cli.command("test-scale")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day whose knowledge the file is (default: today).")
@click.option("--as-if", is_flag=True, help="Judge what has been accepted so far as if the look were taken now; decides nothing.")
@click.option(
    "--rule", type=click.Path(path_type=Path), help="Another pre-registration (YAML as dbt_project/preregistration.yml)."
)
@click.option("--lang", type=click.Choice(["de", "en"]), default="de", show_default=True, help="Language of what is told.")
@click.option("--json", "as_json", is_flag=True, help="For programs: verdicts, gates and every estimate.")
def test_scale(file: Path, as_of: datetime | None, as_if: bool, rule: Path | None, lang: str, as_json: bool) -> None:
    """Run the pre-registered test of the economies of scale on FILE (CSV, XLSX, Parquet) with the columns of scale_observation.

    Exit codes: 0 whatever the verdict, 2 the file cannot be tested.
    """
    from ingest import clock
    from orchestration import scale_file

    language: Any = lang
    try:
        day = as_of.date() if as_of else clock.day_of(clock.now())
        tested = scale_file.run(file, day, as_if=as_if, rule_path=rule, lang=language)
    except UsageError as error:
        _fail(str(error), 2)
    if as_json:
        click.echo(json.dumps(tested.to_dict(), ensure_ascii=False, indent=1, default=str))
        return
    for line in scale_file.told(tested, language):
        click.echo(line)
    shown = [one for one in tested.estimates if one.status == "available" and one.rate is not None]
    if shown:
        click.echo("")
        _table(
            ["claim", "outcome", "specification", "saving", "low", "high", "n", "clusters"],
            [
                [
                    one.claim,
                    one.outcome,
                    f"{one.specification} {one.term}" if one.specification in ("S4", "S10") else one.specification,
                    *(f"{value:.1%}" if value is not None else None for value in (one.rate, one.rate_ci_low, one.rate_ci_high)),
                    one.n,
                    one.clusters,
                ]
                for one in shown
            ],
        )
    for line in scale_file.unavailable(tested, language):
        click.echo(line)


@cli.command()
@_HOME
@_LAENDER
@click.option("--land", "land_code", help="Only this Land, by its code (00: the federal sources).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(home: Path | None, laender: Path | None, land_code: str | None, as_json: bool) -> None:
    """Try every source with one small request and say what it found; nothing is fetched for good.

    Exit codes: 0 every required source answers as it should (Länder that are not configured at all do not count), 1 one does not,
    2 usage or configuration.
    """
    from dataclasses import asdict

    from orchestration.doctor import blocking, examine

    settings = _settings(home, laender)
    outcomes = examine(settings, land_code)
    blocked = blocking(settings, outcomes)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in outcomes], ensure_ascii=False, indent=1, default=str))
    else:
        _table(
            ["source", "required", "status", "ms", "what came"],
            [
                [
                    f"{one.land_code}/{one.source}",
                    "yes" if one.is_required else "",
                    one.status,
                    one.milliseconds,
                    " - ".join(text for text in (one.found_en, one.problem_en) if text),
                ]
                for one in outcomes
            ],
        )
    if blocked:
        names = ", ".join(f"{one.land_code}/{one.source}" for one in blocked)
        _fail(f"{len(blocked)} required source{'s' * (len(blocked) != 1)} cannot be read: {names}. See above what to do.", 1)


@cli.command()
@click.argument("query")
@_HOME
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option(
    "--tier", type=click.Choice(["exact", "public"]), default="exact", show_default=True, help="public: what may leave the house."
)
def sql(query: str, home: Path | None, form: str, tier: str) -> None:
    """Run QUERY on the current release, read-only: rollin sql "from coverage_daily limit 5"."""
    import duckdb

    release = _settings(home).current
    warehouse = release / ("public" if tier == "public" else "") / "warehouse.duckdb"
    if not warehouse.is_file():
        raise UsageError(
            "The current release has no public tier: run 'rollin refresh --full'."
            if release.is_dir()
            else "Nothing is published yet: run 'rollin refresh'."
        )
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
@_LAENDER
@click.option("--files", "files_only", is_flag=True, help="Only whether each file still is what was published; at once.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(release: str | None, home: Path | None, laender: Path | None, files_only: bool, as_json: bool) -> None:
    """Check every byte of RELEASE (default: the current one) and of landing, rebuild it from landing, and compare table by table.

    Exit codes: 0 whole and equal, 1 not, 2 usage or configuration. Nothing of the home is changed.
    """
    from orchestration.progress import show_progress
    from orchestration.verification import verify as run

    with show_progress():
        found = run(_settings(home, laender), release, files_only=files_only)
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=1))
    else:
        click.echo(f"Release {found.release_id}: {found.files} files, {len(found.damage)} findings on files.")
        if found.tables_equal is not None:
            click.echo(
                f"Rebuilt from {found.landed_objects} landed objects: {found.tables_equal} tables equal, {len(found.differences)} not."
            )
        for sentence in [*found.damage, *found.differences, *found.notes]:
            click.echo(f"- {sentence}")
    if not found.is_whole:
        _fail("This is not what was published. See above; restore what was changed from the back-up.", 1)


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


_TIER = click.option(
    "--tier",
    type=click.Choice(["public", "exact"]),
    default="public",
    show_default=True,
    help="public may leave the house; exact holds counts and costs of single authorities.",
)


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "xlsx", "parquet"]), default="csv", show_default=True)
@_TIER
@_HOME
def export(folder: Path, form: str, tier: str, home: Path | None) -> None:
    """Copy the tables of the current release to DIR, a new or empty folder."""
    from orchestration.export import export as run

    release_id, files = run(_settings(home), folder.absolute(), form, tier)
    click.echo(f"Release {release_id}, {tier} tier: {files} file{'s' * (files != 1)} in {folder}.")


@cli.group()
def feed() -> None:
    """Bring the current release into another tool's database."""


@feed.command()
@_TIER
@_HOME
def postgres(tier: str, home: Path | None) -> None:
    """Replace Rollin's tables in a PostgreSQL database by those of the current release, in one transaction.

    The address stands in ROLLIN_POSTGRES_URL (postgresql://USER@HOST:5432/DATABASE), or in libpq's own variables (PGHOST,
    PGSERVICE, PGPASSFILE, ...). Exit codes: 0 fed, 1 the database does not take it, 2 usage or configuration.
    """
    from orchestration.postgres import FeedFailed
    from orchestration.postgres import feed as run

    try:
        fed = run(_settings(home), tier)
    except FeedFailed as error:
        _fail(str(error), 1)
    click.echo(
        f"Release {fed.release_id}, {fed.tier} tier: {fed.tables} tables with {fed.rows:,} rows; {fed.deleted:,} rows left, "
        f"{fed.inserted:,} came."
    )


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
        territory=given.territory,
        engine=given.engine,
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


def _iso(value: Any) -> Any:
    """Instants and days as ISO text."""
    return value.isoformat() if isinstance(value, date) else str(value)


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
