"""Whole deliveries that are withdrawn, corrected or sent again: what counts, from when on, and what closes the gap."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ingest import clock
from ingest.landfile import PACKAGED
from ingest.landing import Delivery, Landing
from ingest.sample import Parameters, serve, write_sample
from orchestration import withdrawals
from orchestration.cli import cli
from orchestration.night import Night, SourceState
from orchestration.settings import Settings, UsageError
from tests.house import House, edit_lines
from tests.same import tables


def look(house: House, source: str, days: float = 0) -> SourceState:
    """Let days pass, ask a source and judge what it has: a night up to there."""
    house.now += timedelta(days=days)
    os.environ["ROLLIN_NOW"] = house.now.isoformat()
    night = Night(house.settings, "run")
    night.fetch("06", source)
    return night.admit("06", source)


def newest(house: House, source: str) -> Delivery:
    delivery = Landing(house.home).newest("06", source)
    assert delivery is not None
    return delivery


def take_back(house: House, source: str, reason: str = "Falscher Monat") -> str:
    """Withdraw the newest delivery a minute later."""
    house.now += timedelta(minutes=1)
    delivery_id = newest(house, source).delivery_id
    withdrawals.withdraw(Landing(house.home), "06", source, delivery_id, reason, house.now)
    return delivery_id


def double_costs(house: House) -> Path:
    """The newest costs file, delivered again under its name with ten of its entries left out."""
    path = sorted(house.delivery("06").glob("kosten-*.csv"))[-1]
    edit_lines(path, lambda lines: lines[:-10])
    return path


@pytest.fixture
def rollin_here(house: House) -> Callable[..., Result]:
    def invoke(*arguments: str) -> Result:
        os.environ["ROLLIN_NOW"] = house.now.isoformat()
        return CliRunner().invoke(cli, [*arguments, "--home", str(house.home)])

    return invoke


def test_a_withdrawn_delivery_counts_until_then_and_its_predecessor_afterwards(
    house: House, rollin_here: Callable[..., Result]
) -> None:
    cases = "select count(*), sum(cases_competent) from metrics.coverage_daily where as_of = (select max(as_of) from metrics.coverage_daily)"
    good = house.query(cases)
    landed = {p: p.read_bytes() for p in (house.home / "landing").rglob("*.json")}
    import openpyxl

    book = openpyxl.load_workbook(house.delivery("06/fallzahlen.xlsx"))
    for row in book["Fallzahlen"].iter_rows(min_row=4):
        if isinstance(row[-1].value, int) and row[-1].value > 0:
            row[-1].value += 10
    book.save(house.delivery("06/fallzahlen.xlsx"))
    assert house.night(days=1).outcome == "published"
    inflated, inflated_on = house.query(cases), clock.day_of(house.now)
    with_it = tables(house.settings.current / "warehouse.duckdb")
    assert inflated != good

    withdrawn = newest(house, "fallzahlen").delivery_id
    house.now += timedelta(days=1)
    told = rollin_here("withdraw", "06/fallzahlen", withdrawn, "--reason", "Zahlen des Vorjahres")
    assert told.exit_code == 0, told.output
    assert house.night().outcome == "published"
    assert house.query(cases) == good
    [(is_admitted, at, reason)] = house.query(
        f"select is_admitted, withdrawn_at, withdrawal_reason from meta.delivery where delivery_id = '{withdrawn}'"
    )
    assert (is_admitted, at.astimezone(UTC), reason) == (False, house.now, "Zahlen des Vorjahres")
    [(status, message, last)] = house.query(
        "select status, message_de, last_delivery_id from meta.source_status where source = 'fallzahlen'"
    )
    assert status == "stale" and "zurückgezogen: Zahlen des Vorjahres." in message and last < withdrawn
    assert "Zahlen des Vorjahres" in rollin_here("status").output
    # the portal goes on serving the same bytes, in that night and in the next
    state = look(house, "fallzahlen", days=1)
    assert state.status == "stale" and [a.record.delivery_id for a in state.admitted][-1] == last
    assert withdrawn not in {a.record.delivery_id for a in state.admitted}
    # before the withdrawal it still counts; nothing in landing was changed
    result = house.night(as_of=inflated_on)
    assert result.outcome == "published", result.message
    then = tables(house.settings.published / "releases" / str(result.release_id) / "warehouse.duckdb")
    assert then["metrics", "coverage_daily"].equals(with_it["metrics", "coverage_daily"])
    assert then["meta", "delivery"].equals(with_it["meta", "delivery"])
    assert all(path.read_bytes() == content for path, content in landed.items())


def test_withdrawing_the_only_delivery_of_a_required_source_ends_with_4(house: House) -> None:
    take_back(house, "anbindungen", "Falsche Datei")
    result = house.night()
    assert (result.outcome, result.exit_code) == ("no_data", 4)
    assert "Hessen/anbindungen" in result.message and "withdrawn" in result.message and "Falsche Datei." in result.message


def test_same_bytes_stay_withdrawn_new_content_is_accepted_and_undo_takes_it_back(house: House) -> None:
    path = double_costs(house)
    content = path.read_bytes()
    state = look(house, "kosten", days=1)
    assert state.status == "current" and state.admitted[-1].record.delivery_id == newest(house, "kosten").delivery_id
    withdrawn = take_back(house, "kosten")
    state = look(house, "kosten", days=1)
    assert state.status == "stale" and "Falscher Monat" in str(state.message_de)
    assert withdrawn not in {a.record.delivery_id for a in state.admitted}
    # another content under the same name is a correction
    edit_lines(path, lambda lines: lines[:-1])
    state = look(house, "kosten", days=1)
    assert (state.status, state.message_de) == ("current", None)
    # the withdrawn bytes come back: they stay withdrawn, under their new id too
    path.write_bytes(content)
    state = look(house, "kosten", days=1)
    again = newest(house, "kosten").delivery_id
    assert again != withdrawn and again not in {a.record.delivery_id for a in state.admitted} and state.status == "stale"
    assert state.admissions[-1].withdrawn_at is not None
    # undone, both count
    withdrawals.undo(Landing(house.home), "06", "kosten", withdrawn, None, house.now)
    state = look(house, "kosten", days=1)
    assert {withdrawn, again} <= {a.record.delivery_id for a in state.admitted} and state.status == "current"


def test_a_withdrawn_file_of_a_folder_does_not_hold_up_the_others(house: House) -> None:
    """It is told as long as nobody delivers the file anew, but later files are as good as ever."""
    path = double_costs(house)
    look(house, "kosten", days=1)
    take_back(house, "kosten", "Probelauf")
    other = path.with_name("kosten-2026-07.csv")
    other.write_text("\n".join(path.read_text("cp1252").splitlines()[:30]).replace("HE-", "HEX-") + "\n", "cp1252")
    state = look(house, "kosten", days=1)
    assert state.admissions[-1].is_admitted, state.admissions[-1].refusal_en
    assert state.status == "current" and "Probelauf" in str(state.message_de)
    assert state.confirmed_at == house.now


def test_a_file_delivered_again_under_its_name_corrects_it(house: House) -> None:
    """What the release says of it: see ``test_as_of``."""
    before = look(house, "kosten")
    path = sorted(house.delivery("06").glob("kosten-*.csv"))[-1]
    place = path.read_text("cp1252").splitlines()[0].split(";").index("Betrag netto")

    def raised(lines: list[str]) -> list[str]:
        cells = lines[1].split(";")
        cells[place] = "7,77"
        return [lines[0], ";".join(cells), *lines[2:]]

    edit_lines(path, raised)
    after = look(house, "kosten", days=1)
    assert len(after.admitted) == len(before.admitted) + 1 and after.status == "current"
    newest_rows = pl.read_parquet(house.home / str(after.admitted[-1].record.clean_path))
    assert 7.77 in newest_rows["amount_eur"].cast(pl.Float64).to_list()


# -- portals that answer changes ----------------------------------------------------------------------------------------------


def test_what_is_asked_for_after_a_withdrawal_closes_the_gap(tmp_path: Path, environment: None) -> None:
    world, parameters = tmp_path / "world", Parameters(laender=("09",), end="2026-03-15")  # type: ignore[arg-type]
    write_sample(world, parameters)
    file, now = world / "deliveries" / "09" / "verbindungen.json", parameters.night
    rows = json.loads(file.read_text())
    template = next(row for row in rows if row["status"] == "in Betrieb")

    def report(count: int, tag: str, at: datetime) -> None:
        new = [template | {"ereignisId": f"{tag}-{n}", "gemeldetAm": at.isoformat()} for n in range(count)]
        file.write_text(json.dumps([*json.loads(file.read_text()), *new]))

    with serve(world / "deliveries") as server:
        settings = Settings(home=tmp_path / "home", laender=PACKAGED, is_sample=True, environ=server.environ)
        landing = Landing(settings.home)

        def run(at: datetime) -> tuple[SourceState, str | None]:
            os.environ["ROLLIN_NOW"] = at.isoformat()
            night = Night(settings, "run")
            night.fetch("00", "gemeindeverzeichnis")
            before = len(server.requests)
            night.fetch("09", "verbindungen")
            asked = [path for method, path, _ in server.requests[before:] if "/api/v1/verbindungen" in path]
            state = night.admit("09", "verbindungen")
            return state, asked[0].partition("geaendertSeit=")[2].partition("&")[0].replace("%3A", ":") or None

        days = [now + timedelta(days=n) for n in range(8)]
        assert run(days[0])[1] is None  # the first time everything
        report(3, "zurueck", days[0] + timedelta(hours=1))
        state, since = run(days[1])
        assert since == f"{days[0]:%Y-%m-%dT%H:%M:%SZ}" and len(state.admitted) == 2
        taken = landing.newest("09", "verbindungen")
        assert taken is not None
        at = days[1] + timedelta(hours=1)
        withdrawals.withdraw(landing, "09", "verbindungen", taken.delivery_id, "Testdaten", at)
        # the same bytes come again: they stay withdrawn, and nothing is confirmed by them
        state, since = run(days[2])
        assert since == f"{days[0]:%Y-%m-%dT%H:%M:%SZ}" and len(state.admitted) == 1
        assert state.status == "stale" and state.confirmed_at == days[0] and "Testdaten" in str(state.message_de)
        # the portal has more to tell: it is asked from before the withdrawn delivery on, so that nothing in between is lost
        report(2, "neu", days[2] + timedelta(hours=1))
        state, since = run(days[3])
        assert since == f"{days[0]:%Y-%m-%dT%H:%M:%SZ}"
        assert state.status == "current" and state.confirmed_at == days[3] and state.admitted[-1].record.rows_clean >= 1
        assert run(days[4])[1] == f"{days[3]:%Y-%m-%dT%H:%M:%SZ}"
        # an older withdrawal that a later answer does not span is asked for again as well
        first = landing.deliveries("09", "verbindungen")[0]
        at = days[4] + timedelta(hours=1)
        withdrawals.withdraw(landing, "09", "verbindungen", first.delivery_id, "Alles falsch", at)
        state, since = run(days[5])
        assert since is None and state.status == "current" and state.confirmed_at == days[5]
        assert first.delivery_id not in {a.record.delivery_id for a in state.admitted}


@given(data=st.data())
def test_nothing_between_two_good_answers_is_ever_lost(data: st.DataObject) -> None:
    """A portal with a log of changes, nights that fail, repeat or are withdrawn: up to the instant that counts as known, the good
    deliveries hold every change."""
    events = sorted(data.draw(st.lists(st.integers(0, 200), max_size=30, unique=True)))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    attempts, deliveries, held, bad = [], [], {}, set()

    def known() -> datetime | None:
        stub = SimpleNamespace(_attempts=lambda *_: attempts)
        good = {d.delivery_id for d in deliveries} - bad
        return Night._known_until(stub, "09", SimpleNamespace(name="x"), deliveries, good)  # type: ignore[arg-type]

    for night in range(10, 210, data.draw(st.integers(10, 60))):
        at, since = start + timedelta(hours=night), known()
        status = data.draw(st.sampled_from(["new", "new", "new", "failed"]))
        hours = -1.0 if since is None else (since - start) / timedelta(hours=1)
        told = tuple(event for event in events if hours < event <= night)
        attempt = {"at": at, "status": status, "since": since.isoformat() if since else None, "repeats": None}
        if status == "new" and deliveries and told == held[deliveries[-1].delivery_id]:
            attempt |= {"status": "unchanged", "repeats": deliveries[-1].delivery_id}
        elif status == "new" and not told and since is not None:
            attempt["status"] = "unchanged"
        elif status == "new":
            deliveries.append(SimpleNamespace(delivery_id=str(night), delivered_at=at))
            held[str(night)] = told
        attempts.append(attempt)
        if deliveries and data.draw(st.booleans()):
            bad.add(data.draw(st.sampled_from(deliveries)).delivery_id)
        until = known()
        if until is not None:
            here = {event for d in deliveries if d.delivery_id not in bad for event in held[d.delivery_id]}
            due = {event for event in events if start + timedelta(hours=event) <= until}
            assert due <= here


# -- the record and the commands ----------------------------------------------------------------------------------------------


def test_the_record_is_added_to_and_survives_a_line_cut_short(house: House) -> None:
    landing, first = Landing(house.home), Landing(house.home).deliveries("06", "kosten")[0]
    withdrawals.withdraw(landing, "06", "kosten", first.delivery_id, "Eins", house.now)
    path = house.home / "landing" / "withdrawals" / "06" / "kosten.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2026-06-16T00')
    later = house.now + timedelta(hours=1)
    withdrawals.undo(landing, "06", "kosten", first.delivery_id, "Irrtum", later)
    assert withdrawals.recorded(landing, "06", "kosten", later) == {}
    assert list(withdrawals.recorded(landing, "06", "kosten", house.now)) == [first.delivery_id]
    assert len(path.read_bytes().splitlines()) == 3


def test_the_commands_list_withdraw_and_undo(house: House, rollin_here: Callable[..., Result]) -> None:
    path = double_costs(house)
    path.with_name("kosten-2026-06-kaputt.csv").write_text("<html></html>")
    look(house, "kosten", days=1)
    states = json.loads(rollin_here("deliveries", "06/kosten", "--json").stdout)
    by_file = {state["file"]: state for state in states if state["delivered_at"] == house.now.isoformat()}
    assert by_file[path.name]["state"] == "admitted" and by_file[path.name]["rows_delivered"] > 0
    assert by_file["kosten-2026-06-kaputt.csv"]["state"] == "refused"
    assert "HTML" in by_file["kosten-2026-06-kaputt.csv"]["reason_de"]
    delivery_id = by_file[path.name]["delivery_id"]
    house.now += timedelta(minutes=1)
    land = ["--laender", str(house.settings.laender)]
    assert rollin_here("withdraw", "hessen/kosten", delivery_id, "--reason", "Falsch", *land).exit_code == 0
    told = rollin_here("deliveries", "06/kosten").output
    assert "withdrawn" in told and "Falsch." in told and delivery_id in told
    assert len(json.loads(rollin_here("deliveries", "--json").stdout)) > len(states)
    house.now += timedelta(minutes=1)
    assert rollin_here("withdraw", "06/kosten", delivery_id, "--undo").exit_code == 0
    assert "withdrawn" not in rollin_here("deliveries", "06/kosten").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["06/kosten", "20260101T000000Z-001-00000000", "--reason", "x"], "has no delivery"),
        (["06/kosten", "ID"], "needs its reason"),
        (["06/kosten", "ID", "--reason", " \n"], "needs its reason"),
        (["06/kosten", "ID", "--reason", "x" * 400], "300 characters"),
        (["06/kosten", "ID", "--undo"], "is not withdrawn itself"),
        (["kosten", "ID", "--reason", "x"], "names no source"),
        (["06/../../etc", "ID", "--reason", "x"], "names no source"),
        (["Atlantis/kosten", "ID", "--reason", "x"], "is no Land"),
    ],
)
def test_a_withdrawal_that_cannot_be_says_why(
    house: House, rollin_here: Callable[..., Result], arguments: list[str], said: str
) -> None:
    delivery_id = newest(house, "kosten").delivery_id
    result = rollin_here("withdraw", *[delivery_id if a == "ID" else a for a in arguments])
    assert isinstance(result.exception, UsageError) and said in str(result.exception)
    assert not (house.home / "landing" / "withdrawals").exists()


def test_twice_withdrawn_is_said(house: House) -> None:
    delivery_id = take_back(house, "kosten")
    with pytest.raises(UsageError, match="withdrawn already"):
        withdrawals.withdraw(Landing(house.home), "06", "kosten", delivery_id, "Nochmals", house.now)
    assert dataclasses.replace(house.settings).home == house.home
