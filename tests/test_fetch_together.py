"""A night asks several hosts at once, each of them one source after the other, and nobody once it has ended."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.fetch import FetchOutcome
from orchestration import night as nights
from orchestration.night import open_night
from orchestration.settings import Settings, UsageError

LAND = """
land_code: "06"
name: Hessen
programme:
  start: 2026-01-21
  target: {date: 2026-12-31, share: 1.0}
  services: [ummeldung]
competences:
  ummeldung: {level: gemeinde}
sources:"""

SOURCE = """
  - name: {name}
    table: case_volumes
    format: csv
    location: {location}
    delivers: changes
    columns: {{region_key: a, service_id: b, year: c, cases: d}}"""


@pytest.fixture
def laender(tmp_path: Path) -> Path:
    """A federal file without sources, and one Land with two sources on each of three hosts."""
    folder = tmp_path / "laender"
    folder.mkdir()
    (folder / "deutschland.yaml").write_text('land_code: "00"\nname: Deutschland\nsources: []\n')
    sources = [SOURCE.format(name=f"s{host}{i}", location=f"https://host{host}.example/{i}") for host in "abc" for i in (1, 2)]
    (folder / "hessen.yaml").write_text(LAND + "".join(sources))
    return folder


class Asked:
    """Takes the place of a fetch: who is asked at the same time."""

    def __init__(self, act: Callable[[str], None] = lambda name: None):
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.names: list[str] = []
        self.lock, self.act = threading.Lock(), act

    def __call__(self, land: Any, source: Any, *_: Any, **__: Any) -> FetchOutcome:
        host = source.location.split("/")[2]
        with self.lock:
            self.names.append(source.name)
            self.now.update({host: 1, "all": 1})
            self.most |= self.now
        time.sleep(0.1)
        self.act(source.name)
        with self.lock:
            self.now.subtract({host: 1, "all": 1})
        return FetchOutcome("unchanged", requests=len(source.name))


def test_hosts_are_asked_at_once_and_each_by_one(tmp_path: Path, laender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "fetch_source", asked := Asked())
    with open_night(Settings(home=tmp_path / "home", laender=laender, environ={}), "run") as night:
        night.begin_fetching()
        outcomes = [night.fetch("06", source.name) for source in night.laender["06"].sources]
        night.begin_fetching()  # nobody is asked a second time
    assert all(outcome.status == "unchanged" for outcome in outcomes)
    assert asked.most["all"] == 3 and all(asked.most[f"host{host}.example"] == 1 for host in "abc")
    assert sorted(asked.names) == sorted(source.name for source in night.laender["06"].sources)
    assert len(list((tmp_path / "home" / "landing" / "attempts" / "06").glob("*.jsonl"))) == 6


def test_what_fails_is_told_to_its_own_source(tmp_path: Path, laender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(name: str) -> None:
        if name == "sb1":
            raise UsageError("not this one")

    monkeypatch.setattr(nights, "fetch_source", Asked(act))
    with open_night(Settings(home=tmp_path / "home", laender=laender, environ={}), "run") as night:
        night.begin_fetching()
        assert night.fetch("06", "sa1").status == "unchanged"
        with pytest.raises(UsageError, match="not this one"):
            night.fetch("06", "sb1")
        assert night.fetch("06", "sb2").status == "unchanged"


def test_a_night_that_ends_asks_nobody_any_more(tmp_path: Path, laender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "fetch_source", asked := Asked())
    with open_night(Settings(home=tmp_path / "home", laender=laender, environ={}), "run") as night:
        night.begin_fetching()
        time.sleep(0.05)
    assert asked.now["all"] == 0 and sorted(asked.names) == ["sa1", "sb1", "sc1"]
