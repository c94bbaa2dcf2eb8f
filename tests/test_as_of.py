"""The past as it was known: whatever arrives later, a day rebuilt is the day that was published."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import openpyxl
import pytest

from ingest import clock
from ingest.landing import Landing
from orchestration import journal, publication
from orchestration.night import Night, NoData, as_known_then
from orchestration.settings import Settings, UsageError
from tests.house import House, edit_lines, set_max_age
from tests.same import assert_same_tables, tables


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def deliver_corrections(house: House) -> None:
    """Changed rows, retired rows, a newer snapshot, a refused delivery, a new directory edition, other words in the Land file."""
    costs = sorted(house.delivery("06").glob("kosten-*.csv"))
    place = costs[-1].read_text("cp1252").splitlines()[0].split(";").index("Betrag netto")
    edit_lines(costs[-1], lambda lines: [lines[0], *[with_cell(line, place, "1.234,56") for line in lines[1:]]])
    usage = sorted(house.delivery("06").glob("nutzung-*.csv"))[-1]
    usage.with_name("nutzung-2026-06-nachtrag.csv").write_text("<html>503</html>")
    book = openpyxl.load_workbook(house.delivery("06/anbindungen.xlsx"))
    sheet = book["Anbindungen"]
    sheet.delete_rows(sheet.max_row - 20, 10)
    book.save(house.delivery("06/anbindungen.xlsx"))
    directory = house.delivery("00/GV100AD.zip")
    with zipfile.ZipFile(directory) as archive:
        [name] = archive.namelist()
        text = archive.read(name).decode("utf-8")
    changed = [
        line.replace("00000", "00001", 1) if line.startswith("60") and "00000" in line[100:] else line
        for line in text.split("\n")
    ]
    assert changed != text.split("\n")
    with zipfile.ZipFile(directory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "\n".join(changed))
    land = house.world / "laender" / "hessen.yaml"
    land.write_text(land.read_text().replace("share: 1.0", "share: 0.9"))
    assert "share: 0.9" in land.read_text()


def with_cell(line: str, place: int, value: str) -> str:
    cells = line.split(";")
    return ";".join(value if index == place else cell for index, cell in enumerate(cells))


def rebuilt(house: House, day: date) -> Path:
    """Rebuild a day; landing and ``current`` must not change by it, and nobody outside is told."""
    before, current = files(house.home / "landing"), house.current
    result = house.night(as_of=day)
    assert result.outcome == "published", result.message
    assert files(house.home / "landing") == before and house.current == current
    assert str(result.release_id).endswith("-asof")
    release = house.settings.published / "releases" / str(result.release_id)
    assert (release / "warehouse.duckdb").is_file() and not (release / "public").exists()
    assert publication.verify(release) == []
    return release / "warehouse.duckdb"


def test_a_day_rebuilt_is_the_day_that_was_published(house: House) -> None:
    first, day = house.settings.current.resolve() / "warehouse.duckdb", clock.day_of(house.now)
    deliver_corrections(house)
    house.asked(days=7).demand()  # a refresh that was killed before its build
    # what lies in the folders in between is not asked for, not landed and not dated back
    edit_lines(sorted(house.delivery("06").glob("kosten-*.csv"))[-1], lambda lines: lines[: len(lines) // 2])
    again = rebuilt(house, day)
    assert_same_tables(first, again)
    with duckdb.connect(str(again), read_only=True) as con:
        [(published_at,)] = con.execute("select published_at from meta.release").fetchall()
    assert published_at.astimezone(UTC) == house.now  # a rebuilt past is published today

    # of a day with two refreshes the end of the day is known
    house.now = clock.last_instant_of(clock.day_of(house.now)) - timedelta(seconds=1)
    evening = house.night()
    assert evening.outcome == "published", evening.message
    second = house.settings.current.resolve() / "warehouse.duckdb"
    assert tables(second)["core", "fct_cost"].height != 0
    # a file that was delivered again under its name has corrected it
    assert (1234.56,) in house.query("select amount_eur::double from core.fct_cost")
    assert house.query("select count(*) - count(distinct (source, entry_id)) from core.fct_cost") == [(0,)]
    day = clock.day_of(house.now)
    house.now += timedelta(days=2)
    assert_same_tables(second, rebuilt(house, day))


def test_before_the_first_delivery_nothing_was_known(house: House) -> None:
    result = house.night(as_of=clock.day_of(house.now) - timedelta(days=1))
    assert (result.outcome, result.exit_code) == ("no_data", 4)
    assert "Nothing was known at the end of 2026-06-14" in result.message and "rollin deliveries" in result.message


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2026, 3, 28), datetime(2026, 3, 28, 22, 59, 59, 999999, UTC)),  # winter time: a day ends at 23:00 UTC
        (date(2026, 3, 29), datetime(2026, 3, 29, 21, 59, 59, 999999, UTC)),  # a day of 23 hours
        (date(2026, 10, 25), datetime(2026, 10, 25, 22, 59, 59, 999999, UTC)),  # a day of 25 hours
    ],
)
def test_a_delivery_belongs_to_the_berlin_day_of_its_receipt(
    tmp_path: Path, world: Path, environment: None, day: date, end: datetime
) -> None:
    os.environ["ROLLIN_NOW"] = "2027-01-01T00:00:00Z"
    landing = Landing(tmp_path)
    sha256, size = landing.put([b"x"])
    from ingest.landing import Part

    part = Part("a", sha256, size, None, None, None, None, "a")
    received = [end - timedelta(microseconds=1), end, end + timedelta(microseconds=1), end + timedelta(days=1)]
    for sequence, instant in enumerate(received, 1):
        landing.store(
            land_code="06", source="s", table="costs", format="csv", delivered_at=instant, parts=[part], sequence=sequence
        )
    night = Night(Settings(home=tmp_path, laender=world / "laender", as_of=day), "run")
    assert night.now == end and night.as_of == day
    known = [d.delivered_at for d in landing.deliveries("06", "s", until=night.now + timedelta(microseconds=1))]
    assert known == received[:2]


def test_a_day_without_a_run_is_judged_by_the_run_before_it(house: House) -> None:
    """Ages are measured when a run looks; rebuilding a day must not refuse what the run of that day published."""
    set_max_age(house, 1)
    os.environ["ROLLIN_NOW"] = (house.now + timedelta(days=9)).isoformat()
    days_later = clock.day_of(house.now) + timedelta(days=5)
    Night(dataclasses.replace(house.settings, as_of=days_later), "run").demand()
    with pytest.raises(NoData, match="max_age_days = 1"):
        Night(house.settings, "run").demand()


def test_a_land_that_joined_later_was_not_there(house: House) -> None:
    """Today's Land files and environment say nothing about the past."""
    joined = house.world / "laender" / "bayern.yaml"
    text = (house.world / "laender" / "hessen.yaml").read_text()
    joined.write_text(text.replace('land_code: "06"', 'land_code: "09"').replace("land_code: '06'", "land_code: '09'"))
    assert "09" in joined.read_text()
    os.environ["ROLLIN_NOW"] = (house.now + timedelta(days=9)).isoformat()
    asked = dataclasses.replace(house.settings, as_of=clock.day_of(house.now))
    assert sorted(as_known_then(asked).laender.iterdir())  # type: ignore[union-attr]
    assert Night(as_known_then(asked), "run").configured() == ["06"]


def test_land_files_of_then_are_used_and_guarded(house: House, caplog: pytest.LogCaptureFixture) -> None:
    day = clock.day_of(house.now)
    land = house.world / "laender" / "hessen.yaml"
    original = land.read_bytes()
    land.write_text(land.read_text().replace("share: 1.0", "share: 0.9"))
    os.environ["ROLLIN_NOW"] = (house.now + timedelta(days=1)).isoformat()
    asked = dataclasses.replace(house.settings, as_of=day)
    then = as_known_then(asked)
    assert then.laender is not None
    assert {path.name: path.read_bytes() for path in then.laender.iterdir()}["06-hessen.yaml"] == original
    assert as_known_then(house.settings) == house.settings  # the present is never travelled

    record = house.home / "landing" / "laender.jsonl"
    [entry] = journal.read(record, house.now)
    path = house.home / "landing" / "objects" / entry["files"]["06"]["sha256"][:2] / entry["files"]["06"]["sha256"]
    path.chmod(0o644)
    path.write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"hessen\.yaml of 2026-06-15 is damaged"):
        as_known_then(asked)
    record.unlink()
    assert as_known_then(asked).laender == house.settings.laender
    assert "is not recorded: today's are used" in caplog.text


def test_the_past_cannot_be_asked_for_changes(house: House) -> None:
    result = house.night(as_of=clock.day_of(house.now), again_from=clock.day_of(house.now))
    assert (result.outcome, result.exit_code) == ("misconfigured", 2)
    assert "--as-of" in result.message and "--from" in result.message
