"""What is asked after a first night: for what changed, or again for a range of days; where nothing did, nothing is parsed nor published."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest import portals
from ingest.sample import Parameters, serve, write_sample
from ingest.sample.server import SampleServer
from orchestration.deliveries import judgements, read_checks, read_verdict, verdict_text
from orchestration.refresh import refresh
from orchestration.settings import Settings
from tests.house import take_parse
from tests.test_backfill import since

PARAMETERS = Parameters(laender=("09", "06"), end="2026-03-31", dirty_share=0.0)  # type: ignore[arg-type]


def files(home: Path) -> set[Path]:
    return {path for folder in ("clean", "quarantine", "published") for path in (home / folder).rglob("*")}


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SampleServer]]:
    """A home after its first night with the packaged Land files, and the portals that it asked."""
    base = tmp_path_factory.mktemp("served")
    write_sample(base / "world", PARAMETERS)
    take_parse(base / "home", tmp_path_factory)
    before = dict(os.environ)
    with serve(base / "world" / "deliveries") as server:
        try:
            for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_"))]:
                del os.environ[name]
            os.environ.update(server.environ, ROLLIN_NOW=PARAMETERS.night.isoformat(), ROLLIN_THREADS="1", ROLLIN_REPORT="no")
            first = refresh(Settings(home=base / "home"))
        finally:
            os.environ.clear()
            os.environ.update(before)
        assert first.outcome == "published", first.message
        assert all(status != 304 for _, _, status in server.requests)
        yield base / "home", server


@pytest.fixture
def settings(first_night: tuple[Path, SampleServer], tmp_path: Path, environment: None) -> Settings:
    """Of a copy of that home."""
    home, server = first_night
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    os.environ.update(server.environ, ROLLIN_THREADS="1")
    return Settings(home=tmp_path / "home")


def refreshed(settings: Settings, seconds: float) -> Any:
    """A refresh so many seconds after the first night."""
    os.environ["ROLLIN_NOW"] = (PARAMETERS.night + timedelta(seconds=seconds)).isoformat()
    return refresh(settings)


def test_what_was_judged_is_read_again_and_its_checks_where_they_are_asked_for(first_night: tuple[Path, SampleServer]) -> None:
    home, _ = first_night
    [path] = (home / "clean" / "admissions" / "00" / "gemeindeverzeichnis").glob("*.json")
    verdict, checks = read_verdict(path), read_checks(path)
    assert verdict["is_admitted"] and {check["name"] for check in checks} >= {"key_unique", "rows_add_up"}
    (copy := path.with_suffix(".copy")).write_text(verdict_text(verdict, checks), encoding="utf-8")
    assert copy.read_bytes() == path.read_bytes()
    copy.unlink()
    assert judgements(home, "00", "gemeindeverzeichnis") == {path.name.partition(".")[0]: verdict}


def test_the_build_opens_no_file_without_rows(first_night: tuple[Path, SampleServer]) -> None:
    inputs = first_night[0] / "build" / "tonight" / "inputs"
    links = [path for path in inputs.glob("*/*.parquet") if path.is_symlink()]
    assert links and all(path.exists() for path in links)
    assert all(pl.scan_parquet(path).select(pl.len()).collect().item() for path in links)


def test_a_night_in_which_nothing_changed(
    settings: Settings, first_night: tuple[Path, SampleServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = first_night[1]
    asked_first = len(server.requests)
    known = files(settings.home)
    objects = set((settings.home / "landing" / "objects").rglob("*"))
    read: Counter[str] = Counter()
    for name, portal in portals.PORTALS.items():
        for method in ("read", "read_answers"):
            if hasattr(portal, method):
                monkeypatch.setattr(type(portal), method, counted(read, name, getattr(type(portal), method)))
    server.requests.clear()
    begun = time.perf_counter()
    second = refreshed(settings, 30)
    seconds = time.perf_counter() - begun

    assert (second.outcome, second.exit_code) == ("unchanged", 0)
    assert "nothing" in second.message.lower()
    assert read == {}
    assert files(settings.home) == known
    tokens = [target for method, target, _ in server.requests if method == "POST"]
    assert all(target.startswith("/bayern/oauth/token") for target in tokens)
    asked = [(target, status) for method, target, status in server.requests if method == "GET"]
    changes = [target for target, _ in asked if "geaendertSeit=" in target]
    # what may be new by its address is asked for once, from the beginning; an empty answer has no second page
    assert {target.split("?")[0] for target in changes} == {"/bayern/api/v1/verbindungen", "/bayern/api/v1/nutzung"}
    assert len(changes) == 2 and all("page=0&" in target for target in changes)
    others = {target: status for target, status in asked if target not in changes}
    assert others and set(others.values()) <= {304, 413}, others
    # a refusal (413: the export is too large) has nothing to compare; the pages that it leads to are conditional
    assert all("/export?" in target for target, status in others.items() if status == 413)
    brought = set((settings.home / "landing" / "objects").rglob("*")) - objects
    assert len([path for path in brought if path.is_file()]) <= len(changes)  # the two empty pages

    legs = second.legs or {}
    print(
        f"{asked_first} requests, then {len(server.requests)}; {seconds:.1f} s, of which start-up "
        f"{1 - sum(legs.values()) / seconds:.0%}, fetching {legs.get('fetch', 0):.2f} s"
    )
    assert sum(legs.values()) < seconds


def counted(read: Counter[str], name: str, method: Any) -> Any:
    def counting(self: Any, *args: Any) -> Any:
        read[name] += 1
        return method(self, *args)

    return counting


def test_from_and_to_repair_lost_days_in_one_run(settings: Settings, first_night: tuple[Path, SampleServer]) -> None:
    """Asked again, the portal tells what we had; nothing but the list of deliveries changes, and the second time nothing at all."""
    server = first_night[1]

    def coverage() -> object:
        with duckdb.connect(str(settings.current / "warehouse.duckdb"), read_only=True) as con:
            return con.execute("select * from metrics.coverage_daily order by all").fetchall()

    known = coverage()
    before = len(server.requests)
    asked = dataclasses.replace(settings, again_from=date(2026, 3, 1), again_to=date(2026, 3, 7))
    again = refreshed(asked, 30)
    assert again.exit_code == 0, again.message
    assert since(server, before) == ["2026-02-28T23:00:00Z"]
    assert coverage() == known
    assert refresh(asked).outcome == "unchanged"
    # the ordinary night goes on from where it was
    before = len(server.requests)
    assert refresh(settings).exit_code == 0
    assert since(server, before) == [f"{PARAMETERS.night + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"]
