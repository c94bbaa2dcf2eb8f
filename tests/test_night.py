"""One night after another in one home: what breaks, what is carried forward, what is refused, and that `current` stays whole.

The nights run in this process, on a small world (Hessen up to June 2026) delivered as files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest.sample import Parameters, write_sample
from orchestration import publication, warehouse
from orchestration.night import lock
from orchestration.refresh import RefreshResult, read_run, refresh
from orchestration.settings import Settings
from tests.same import assert_same_tables

PARAMETERS = Parameters(laender=("06",), end="2026-06-15")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Nights set dbt's and Dagster's environment; every test gets its own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world, as delivered."""
    folder = tmp_path_factory.mktemp("world")
    write_sample(folder, PARAMETERS)
    return folder


@dataclasses.dataclass
class House:
    """A home, the deliveries that it reads, and a clock."""

    home: Path
    world: Path
    now: datetime

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, laender=self.world / "laender")

    def night(self, days: float = 0, **options: Any) -> RefreshResult:
        """Let days pass, then run a night."""
        self.now += timedelta(days=days)
        os.environ["ROLLIN_NOW"] = self.now.isoformat()
        return refresh(dataclasses.replace(self.settings, **options))

    @property
    def current(self) -> str | None:
        return publication.current_id(self.settings)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.current / "warehouse.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()

    def delivery(self, name: str) -> Path:
        return self.world / "deliveries" / name


@pytest.fixture(scope="module")
def published(world: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home after its first good night; tests copy it."""
    before = dict(os.environ)
    house = House(tmp_path_factory.mktemp("first") / "home", world, PARAMETERS.night)
    result = house.night()
    assert result.outcome == "published", result.message
    os.environ.clear()
    os.environ.update(before)
    return house


@pytest.fixture
def house(published: House, tmp_path: Path) -> House:
    """A copy of the published home and of its world, free to be broken."""
    shutil.copytree(published.home, tmp_path / "home", symlinks=True)
    shutil.copytree(published.world, tmp_path / "world")
    return House(tmp_path / "home", tmp_path / "world", published.now)


def edit_lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text("cp1252").splitlines())) + "\n", "cp1252")


def set_max_age(house: House, days: int) -> None:
    """Let every required source of Hessen be at most so old."""
    path = house.world / "laender" / "hessen.yaml"
    lines = [f"  max_age_days: {days}" if "max_age_days" in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def test_first_night_publishes_a_whole_release(published: House) -> None:
    release = published.settings.current
    assert publication.verify(release) == []
    assert {p.name for p in release.iterdir()} == {"warehouse.duckdb", "parquet", "csv", "audit.json", "SHA256SUMS"}
    assert all(not os.access(p, os.W_OK) or os.geteuid() == 0 for p in release.rglob("*.duckdb"))
    assert oct((release / "warehouse.duckdb").stat().st_mode & 0o777) == "0o444"
    [(release_id, is_synthetic, as_of)] = published.query("select release_id, is_synthetic, as_of::varchar from meta.release")
    assert (release_id, is_synthetic, as_of) == (published.current, True, "2026-06-15")
    # every table is there three times, and every column is described
    tables = published.query("select schema_name, table_name from duckdb_tables() order by all")
    for schema, table in tables:
        rows = published.query(f'select count(*) from {schema}."{table}"')[0][0]
        assert pl.scan_parquet(release / "parquet" / schema / f"{table}.parquet").select(pl.len()).collect().item() == rows
        assert (release / "csv" / schema / f"{table}.csv").is_file()
    undescribed = published.query("""select table_name, column_name from meta."column" where coalesce(description, '') = ''""")
    assert undescribed == []


def test_no_wal_and_no_build_is_left_in_the_release(published: House) -> None:
    assert list(published.home.rglob("*.wal")) == []
    assert [p.name for p in (published.settings.published / "releases").iterdir()] == [published.current]


def test_same_night_again_says_that_nothing_changed(house: House) -> None:
    before = house.current
    parsed = {path: path.stat().st_mtime_ns for path in house.home.glob("clean/**/*.parquet")}
    result = house.night()
    assert (result.outcome, result.exit_code, house.current) == ("unchanged", 0, before)
    assert {path: path.stat().st_mtime_ns for path in house.home.glob("clean/**/*.parquet")} == parsed
    assert "build" not in (result.legs or {})


def test_same_night_built_anew_gives_the_same_tables(house: House) -> None:
    first = house.settings.current.resolve()
    result = house.night(full=True)
    assert result.outcome == "published", result.message
    assert house.settings.current.resolve() != first
    assert_same_tables(first / "warehouse.duckdb", house.settings.current / "warehouse.duckdb")


def test_broken_deliveries_leave_their_predecessors_in_force(house: House) -> None:
    """Six sources break in six ways in one night: each is named in one sentence, and the release stands on what was there."""
    before = dict(
        house.query("select service_id, authorities_operational from metrics.coverage_daily where as_of = '2026-06-15'")
    )
    cost = house.query("select sum(amount_eur) from core.fct_cost")
    costs, usage = sorted(house.delivery("06").glob("kosten-*.csv"))[-1], sorted(house.delivery("06").glob("nutzung-*.csv"))[-1]
    # HTML instead of CSV, as a new file of the folder
    costs.with_name("kosten-2026-06-nachtrag.csv").write_text("<!DOCTYPE html><html><body>503 Service Unavailable</body></html>")
    # all counts negative
    lines = usage.read_text("cp1252").splitlines()
    header = lines[0].split(";")
    place = header.index("eingereicht")
    negative = [";".join("-5" if i == place else cell for i, cell in enumerate(line.split(";"))) for line in lines[1:]]
    usage.with_name("nutzung-2026-06-nachtrag.csv").write_text("\n".join([lines[0], *negative]) + "\n", "cp1252")
    # a truncated workbook
    workbook = house.delivery("06/anbindungen.xlsx")
    workbook.write_bytes(workbook.read_bytes()[: workbook.stat().st_size // 2])
    # a zip bomb in place of the directory
    with zipfile.ZipFile(house.delivery("00/GV100AD.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("GV100AD.txt", b"0" * 300_000_000)
    # half of the catalogue's rows are gone
    listings = house.delivery("00/open-pvog.csv")
    listed = listings.read_text().splitlines()
    listings.write_text("\n".join(listed[: len(listed) // 2]) + "\n")
    # columns renamed
    cases = house.delivery("06/fallzahlen.xlsx")
    frame = pl.read_excel(cases, sheet_name="Fallzahlen", read_options={"header_row": 2})
    frame.rename({"Fälle": "Anzahl"}).write_excel(cases, worksheet="Fallzahlen", position="A3")

    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("published", 0), result.message
    state = {row[0]: row[1:] for row in house.query("select source, status, message_de from meta.source_status")}
    for source in ("kosten", "nutzung", "anbindungen", "gemeindeverzeichnis", "datahub", "fallzahlen"):
        status, message = state[source]
        assert status == "stale", (source, status, message)
        assert message and message.rstrip().endswith("."), (source, message)
    assert (
        dict(house.query("select service_id, authorities_operational from metrics.coverage_daily where as_of = '2026-06-16'"))
        == before
    )
    assert house.query("select sum(amount_eur) from core.fct_cost") == cost
    refused = house.query("select count(*) from meta.delivery where not is_admitted and refusal_de is not null")[0][0]
    assert refused >= 5


def test_delivery_of_another_land_is_not_admitted(house: House) -> None:
    path = sorted(house.delivery("06").glob("kosten-*.csv"))[-1]
    lines = path.read_text("cp1252").splitlines()
    place = lines[0].split(";").index("Schlüssel")
    foreign = [";".join("09161" if i == place else cell for i, cell in enumerate(line.split(";"))) for line in lines[1:]]
    path.with_name("kosten-2026-06-fremd.csv").write_text("\n".join([lines[0], *foreign]) + "\n", "cp1252")
    assert house.night(days=1).outcome == "published"
    [(status, message)] = house.query("select status, message_de from meta.source_status where source = 'kosten'")
    assert status == "stale" and message


def test_a_required_source_that_stays_broken_ends_the_nights_once_it_is_too_old(house: House) -> None:
    set_max_age(house, 3)
    good = house.delivery("06/anbindungen.xlsx").read_bytes()
    house.delivery("06/anbindungen.xlsx").write_bytes(b"<html>Wartungsarbeiten</html>")
    assert house.night(days=2).exit_code == 0
    before = house.current
    result = house.night(days=2)
    assert (result.outcome, result.exit_code) == ("no_data", 4)
    assert "Hessen/anbindungen" in result.message and "max_age_days = 3" in result.message
    assert house.current == before and publication.verify(house.settings.current) == []
    house.delivery("06/anbindungen.xlsx").write_bytes(good)
    assert house.night(days=0.1).exit_code == 0
    assert house.current != before


def test_a_source_that_answers_unchanged_is_not_too_old(house: House) -> None:
    set_max_age(house, 3)
    for _ in range(2):
        result = house.night(days=2)
        assert result.outcome == "published", result.message


def test_a_release_whose_numbers_collapse_is_refused_and_the_next_good_night_publishes(house: House) -> None:
    """Well-formed events that suspend every connection at once: each row is fine, the mart is not."""
    before = house.current
    book = house.delivery("06/anbindungen.xlsx")
    good = book.read_bytes()
    frame = pl.read_excel(book, sheet_name="Anbindungen", read_options={"header_row": 2}, infer_schema_length=0)
    live = frame.filter(pl.col("Stand") == "produktiv").unique(["Schlüssel", "Leistung"], maintain_order=True)
    ended = live.with_columns(
        pl.lit("ausgesetzt").alias("Stand"),
        pl.lit("15.06.2026").alias("gültig ab"),
        *[(pl.col(c) + "-x").alias(c) for c in frame.columns if c in ("Ereignis", "Ereignis-ID")],
    )
    pl.concat([frame, ended]).write_excel(book, worksheet="Anbindungen", position="A3")
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("refused", 3), result.message
    assert house.current == before and publication.verify(house.settings.current) == []
    record = read_run(house.settings, str(result.run_id))
    assert record is not None and record["outcome"] == "refused"
    book.write_bytes(good)
    assert house.night(days=1).outcome == "published"
    assert house.current != before


@pytest.mark.parametrize(
    ("model", "old", "new"),
    [
        (
            "metrics/coverage_daily.sql",
            None,
            "select * replace (authorities_operational * 3 as authorities_operational) from ({sql})",
        ),
        ("core/dim_authority.sql", None, "select * from ({sql}) union all select * from ({sql})"),
        ("core/fct_cost.sql", None, "select * from ({sql}) where payer <> 'bund'"),
    ],
    ids=["share above one", "duplicate key", "rows lost"],
)
@pytest.mark.parametrize("with_dbt_tests", [True, False], ids=["dbt", "gate"])
def test_a_broken_model_never_publishes(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, old: None, new: str, with_dbt_tests: bool
) -> None:
    """dbt's tests catch it; with those taken away, the gate does."""
    project = tmp_path / "project"
    shutil.copytree(warehouse.PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs"))
    path = project / "models" / model
    path.write_text(new.replace("{sql}", path.read_text()))
    monkeypatch.setattr(warehouse, "PROJECT_DIR", project)
    if not with_dbt_tests:
        monkeypatch.setattr(warehouse, "BUILD", ["build", "--resource-type", "model", "--resource-type", "seed"])
    (house.settings.build / "dbt" / "manifest.version").unlink()
    before = house.current
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("refused", 3), result.message
    assert house.current == before


def test_publisher_refuses_what_was_not_audited(house: House) -> None:
    """The second line of defence: another run's audit, other bytes, a failed audit."""
    before = house.current
    run = max(
        (p for p in house.settings.build.iterdir() if (p / "audit.json").is_file() and not p.is_symlink()), key=os.path.getmtime
    )
    build, audit = run / "warehouse.duckdb", publication.Audit.read(run / "audit.json")
    marts = warehouse.marts(warehouse.load_manifest(warehouse.prepare(house.settings)))

    def attempt(run_id: str = audit.run_id) -> None:
        publication.publish(house.settings, build, run_id=run_id, now=house.now, marts=marts)

    with pytest.raises(publication.PublicationRefused, match="not of this run"):
        attempt("another-run")
    (run / "audit.json").write_text(dataclasses.replace(audit, passed=False).to_json())
    with pytest.raises(publication.PublicationRefused, match="did not pass"):
        attempt()
    (run / "audit.json").write_text(dataclasses.replace(audit, rebuilt=audit.rebuilt[1:]).to_json())
    with pytest.raises(publication.PublicationRefused, match="Not rebuilt"):
        attempt()
    (run / "audit.json").write_text(audit.to_json())
    with duckdb.connect(str(build)) as con:
        con.execute("create table core.smuggled as select 1 as one")
    with pytest.raises(publication.PublicationRefused, match="changed after its audit"):
        attempt()
    assert house.current == before and publication.release_ids(house.settings) == [before]


def test_a_second_refresh_is_turned_away(house: House) -> None:
    with lock(house.settings):
        pass  # free again
    import subprocess
    import sys

    code = "import sys,time; from pathlib import Path; from orchestration.night import lock; from orchestration.settings import Settings\n"
    code += "with lock(Settings(home=Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(house.home)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
            result = house.night(days=1)
            assert (result.outcome, result.exit_code) == ("busy", 5)
        finally:
            holder.kill()
    assert house.night().exit_code == 0  # a killed holder leaves nothing behind


def test_readers_keep_their_release_and_new_ones_see_the_new(house: House) -> None:
    reader = duckdb.connect(str(house.settings.current / "warehouse.duckdb"), read_only=True)
    [(old,)] = reader.execute("select release_id from meta.release").fetchall()
    assert house.night(days=1).outcome == "published"
    assert reader.execute("select release_id from meta.release").fetchall() == [(old,)]
    assert reader.execute("select count(*) > 0 from metrics.coverage_daily").fetchall() == [(True,)]
    reader.close()
    assert house.query("select release_id from meta.release")[0][0] == house.current != old


def test_rollback_and_retention(house: House) -> None:
    first = house.current
    os.environ["ROLLIN_KEEP_RELEASES"] = "2"
    for _ in range(2):
        assert house.night(days=1).outcome == "published"
    kept = publication.release_ids(house.settings)
    assert len(kept) == 2 and first not in kept
    assert publication.rollback(house.settings, None) == kept[0] == house.current
    with pytest.raises(publication.UnknownRelease, match="no release"):
        publication.rollback(house.settings, first)
    damaged = house.settings.published / "releases" / kept[1] / "audit.json"
    damaged.chmod(0o644)
    damaged.write_text(damaged.read_text() + " ")
    with pytest.raises(publication.UnknownRelease, match="damaged"):
        publication.rollback(house.settings, kept[1])
    assert house.current == kept[0]


def test_the_past_can_be_rebuilt_and_never_becomes_current(house: House) -> None:
    then = house.settings.current.resolve()
    day = house.now.date()
    edit_lines(sorted(house.delivery("06").glob("kosten-*.csv"))[-1], lambda lines: lines[: len(lines) // 2])
    assert house.night(days=7).outcome == "published"
    now = house.current
    result = house.night(as_of=day)
    assert result.outcome == "published", result.message
    assert house.current == now and str(result.release_id).endswith("-asof")
    rebuilt = house.settings.published / "releases" / str(result.release_id)
    assert_same_tables(then / "warehouse.duckdb", rebuilt / "warehouse.duckdb")


def test_synthetic_and_real_data_do_not_meet(house: House) -> None:
    for path in (house.world / "laender").glob("*.yaml"):
        path.write_text("\n".join(line for line in path.read_text().splitlines() if "is_synthetic" not in line) + "\n")
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("misconfigured", 2)
    assert "synthetic" in result.message and "--home" in result.message


def test_a_refusal_is_told_to_the_webhook(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.server
    import threading

    told: list[dict[str, Any]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["ROLLIN_ALERT_WEBHOOK"] = f"http://127.0.0.1:{server.server_port}/hook"
    set_max_age(house, 1)
    house.delivery("06/anbindungen.xlsx").write_bytes(b"<html></html>")
    assert house.night(days=4).exit_code == 4
    server.shutdown()
    server.server_close()
    assert [t["outcome"] for t in told] == ["no_data"]
    assert "Hessen/anbindungen" in told[0]["text"]
