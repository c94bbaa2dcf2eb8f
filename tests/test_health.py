"""What monitoring reads and people are told: every problem by its code, once a day, and its end once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from orchestration import alerts, health, sensors
from orchestration.cli import cli
from orchestration.night import Night, write_atomically
from orchestration.settings import Settings, UsageError
from orchestration.status import read_status
from tests.house import House

Sent = list[tuple[str, str]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Alerts, caught before they leave."""
    caught: Sent = []

    def catch(settings: Settings, *, outcome: str, message: str, run_id: str) -> None:
        caught.append((outcome, message))

    monkeypatch.setattr(alerts, "send", catch)
    return caught


@pytest.fixture
def home(published: House, tmp_path: Path, environment: None) -> House:
    """The published home without what no status reads."""
    left_out = shutil.ignore_patterns("clean", "quarantine", "dagster", "dbt", "inputs", "objects")
    shutil.copytree(published.home, tmp_path / "home", symlinks=True, ignore=left_out)
    os.environ["ROLLIN_NOW"] = published.now.isoformat()
    return House(tmp_path / "home", published.world, published.now)


def codes(house: House) -> list[str]:
    os.environ["ROLLIN_NOW"] = house.now.isoformat()
    return [problem["code"] for problem in read_status(house.settings)["health"]["problems"] if problem["code"] != "disk_low"]


def record(house: House, outcome: str, **more: Any) -> None:
    """A run of tonight that ended so."""
    night = Night(house.settings, f"run-{house.now:%Y%m%d%H%M}")
    night.folder.mkdir()
    night.conclude(outcome, "Ein Satz.", more.get("release_id"))
    later = max(path.stat().st_mtime for path in house.settings.build.glob("*/run.json")) + 1
    os.utime(night.folder / "run.json", (later, later))


def test_after_a_good_night_all_is_well(home: House) -> None:
    assert codes(home) == []
    state = read_status(home.settings)
    assert state["health"]["is_well"] and state["confirmed_at"] == home.now and state["damage"] is None


def test_a_release_that_no_run_confirms_grows_stale(home: House) -> None:
    home.now += timedelta(hours=35)
    assert codes(home) == []
    record(home, "unchanged", release_id=home.current)
    home.now += timedelta(hours=35)  # that night found nothing newer
    assert codes(home) == []
    home.now += timedelta(hours=2)
    assert codes(home) == ["release_stale"]
    os.environ["ROLLIN_STALE_HOURS"] = "48"
    assert codes(home) == []
    os.environ["ROLLIN_STALE_HOURS"] = "bald"
    with pytest.raises(UsageError, match="ROLLIN_STALE_HOURS"):
        codes(home)


def _clock_behind(home: House) -> None:
    home.now -= timedelta(hours=5)


def _refused(home: House) -> None:
    record(home, "refused")


def _rebuilt_past(home: House) -> None:
    record(home, "no_data")
    home.now += timedelta(minutes=1)
    record(home, "published", release_id="20260101T000000Z-00000000-asof")


def _unfinished(home: House) -> None:
    (home.settings.build / "x-y").mkdir()
    (home.settings.build / "tonight").unlink()
    (home.settings.build / "tonight").symlink_to("x-y")
    then = (home.now - timedelta(hours=7)).timestamp()
    os.utime(home.settings.build / "x-y", (then, then))


def _one_byte(home: House) -> None:
    path = home.settings.current.resolve() / "csv" / "core" / "dim_land.csv"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"Hessen", b"hessen", 1))


def _warehouse_gone(home: House) -> None:
    (home.settings.current.resolve() / "warehouse.duckdb").unlink()


def _release_gone(home: House) -> None:
    shutil.rmtree(home.settings.current.resolve())


def _nothing(home: House) -> None:
    shutil.rmtree(home.settings.published)


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_clock_behind, "clock_behind"),
        (_refused, "run_refused"),
        (_rebuilt_past, "run_no_data"),
        (_unfinished, "run_unfinished"),
        (_one_byte, "release_damaged"),
        (_warehouse_gone, "release_damaged"),
        (_release_gone, "release_damaged"),
        (_nothing, "nothing_published"),
    ],
)
def test_each_problem_is_seen(home: House, harm: Callable[[House], None], code: str) -> None:
    harm(home)
    assert codes(home) == [code]
    [problem] = [p for p in read_status(home.settings)["health"]["problems"] if p["code"] == code]
    assert problem["severity"] == "error" and problem["message_de"].endswith(".") and problem["message_en"].endswith(".")


def test_a_required_source_is_somebodys_business_and_another_one_is_to_be_minded(home: House) -> None:
    state = read_status(home.settings)
    for source in state["sources"]:
        source["status"] = {"kosten": "stale", "datahub": "missing"}.get(source["source"], source["status"])
    state["sources"] = [source | {"is_required": source["source"] == "kosten"} for source in state["sources"]]
    found = health.problems(home.settings, state, home.now)
    seen = [(p.code, p.severity, p.subject) for p in found if p.code != "disk_low"]
    assert seen == [("source_stale", "error", "06/kosten"), ("source_missing", "warn", "00/datahub")]


def test_a_disk_with_no_room_for_the_next_release_is_told(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    [problem] = read_status(home.settings)["health"]["problems"]
    assert (problem["code"], problem["severity"]) == ("disk_low", "warn")


def test_a_problem_is_told_once_a_day_and_its_end_once(home: House, sent: Sent) -> None:
    def look() -> list[str]:
        os.environ["ROLLIN_NOW"] = home.now.isoformat()
        state = read_status(home.settings)
        health.tell(home.settings, health.problems(home.settings, state, home.now), home.now)
        told = [outcome for outcome, _ in sent]
        sent.clear()
        return told

    assert look() == []
    record(home, "refused")
    assert look() == ["run_refused"]
    assert look() == []
    home.now += timedelta(hours=23)
    assert look() == []
    home.now += timedelta(hours=1.5)
    assert look() == ["run_refused"]  # a day later
    home.now += timedelta(hours=14)
    assert look() == ["release_stale"]  # the other one was told
    (home.settings.build / "told.json").write_text("{")
    assert look() == ["release_stale", "run_refused"]  # twice is better than not at all
    record(home, "unchanged", release_id=home.current)
    assert look() == ["recovered"]
    assert look() == []


def test_dagster_looks_too(home: House, sent: Sent) -> None:
    home.now += timedelta(days=2)
    os.environ["ROLLIN_NOW"] = home.now.isoformat()
    sensor = sensors.freshness_sensor(home.settings)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        for expected in (["release_stale"], []):
            reason = sensor(dg.build_sensor_context(instance=instance))
            assert isinstance(reason, dg.SkipReason) and "has not been confirmed" in str(reason.skip_message)
            assert [outcome for outcome, _ in sent] == expected
            sent.clear()


def test_a_run_that_could_not_tell_is_told_by_dagster(home: House, sent: Sent) -> None:
    @dg.op
    def breaks() -> None:
        raise RuntimeError("vor dem ersten Schritt")

    @dg.job
    def night() -> None:
        breaks()

    sensor = sensors.failure_sensor(home.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        ended = night.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_run",
            dagster_event=ended.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=ended.dagster_run,
        ).for_run_failure()
        assert sensor(context) is None
        [(outcome, message)] = sent
        assert outcome == "failed" and ended.run_id[:8] in message and message.endswith("needs no repair.")
        sent.clear()
        for recorded, told in (("refused", False), ("incomplete", True)):
            write_atomically(home.settings.build / ended.run_id / "run.json", json.dumps({"outcome": recorded}))
            sensor(context)
            assert bool(sent) == told, recorded


def test_the_command_line_tells_monitoring(home: House) -> None:
    def ask(option: str, **environ: str) -> Result:
        return CliRunner().invoke(cli, ["status", option, "--home", str(home.home)], env=environ)

    ran = ask("--json", ROLLIN_NOW=home.now.isoformat())
    assert ran.exit_code == 0
    state = json.loads(ran.stdout)
    assert state["health"]["is_well"] and datetime.fromisoformat(state["confirmed_at"]) == home.now
    ran = ask("--alert", ROLLIN_NOW=(home.now + timedelta(days=3)).isoformat())
    assert ran.exit_code == 1 and "Wrong: The current release has not been confirmed for 72 hours" in ran.stdout
    assert list(json.loads((home.settings.build / "told.json").read_text())) == ["release_stale"]
