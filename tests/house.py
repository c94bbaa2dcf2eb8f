"""A home, the deliveries that it reads and a clock: what tests of whole nights share. Nights run in the test's own process."""

from __future__ import annotations

import dataclasses
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from ingest.sample import Parameters, write_sample
from orchestration import publication, warehouse
from orchestration.night import REFERENCE_TABLES, Night, open_night
from orchestration.refresh import RefreshResult, refresh
from orchestration.settings import Settings

PARAMETERS = Parameters(laender=("06",), end="2026-06-15")  # type: ignore[arg-type]


@pytest.fixture
def environment() -> Iterator[None]:
    """Nights set dbt's and Dagster's environment; every test gets its own, in which releases go without a report (see ``published``)."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["ROLLIN_REPORT"] = "no"
    yield
    os.environ.clear()
    os.environ.update(before)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world, as delivered; written once for all workers."""
    folder = shared_folder(tmp_path_factory)
    with FileLock(folder / "small-world.lock"):
        if not (folder / "small-world.done").is_file():
            write_sample(folder / "small-world", PARAMETERS)
            (folder / "small-world.done").touch()
    return folder / "small-world"


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
        os.environ.setdefault("ROLLIN_THREADS", "1")  # the other core has a worker of its own
        os.environ.setdefault("ROLLIN_REPORT", "no")  # what it says is tested on one night (`published`)
        return refresh(dataclasses.replace(self.settings, **options))

    def asked(self, days: float = 0) -> Night:
        """Let days pass, then run a night up to its build: every source is asked and judged, and the Land files are recorded."""
        self.now += timedelta(days=days)
        os.environ["ROLLIN_NOW"] = self.now.isoformat()
        with open_night(self.settings, str(uuid.uuid4())) as night:
            # who is competent decides what a catalogue is asked
            for land in sorted(night.laender.values(), key=lambda land: land.land_code):
                for source in sorted(land.sources, key=lambda source: source.table not in REFERENCE_TABLES):
                    night.fetch(land.land_code, source.name)
                    night.admit(land.land_code, source.name)
            return night

    @property
    def current(self) -> str | None:
        return publication.current_id(self.settings)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.current / "warehouse.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()

    def delivery(self, name: str) -> Path:
        return self.world / "deliveries" / name


def take_parse(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give a new home the project as dbt parsed it once for all workers: it names no folder of a home."""
    folder = shared_folder(tmp_path_factory)
    with FileLock(folder / "parsed.lock"):
        if not (folder / "parsed").is_dir():
            before = dict(os.environ)
            warehouse.prepare(Settings(home=folder / "parsing"))
            os.environ.clear()
            os.environ.update(before)
            (folder / "parsing" / "build" / "dbt").rename(folder / "parsed")
    shutil.copytree(folder / "parsed", home / "build" / "dbt")


@pytest.fixture(scope="session")
def published(world: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home after its first good night, run once for all workers; tests read it, or copy it (``house``)."""
    folder = shared_folder(tmp_path_factory)
    house = House(folder / "first-night", world, PARAMETERS.night)
    with FileLock(folder / "first-night.lock"):
        if not (folder / "first-night.done").is_file():
            take_parse(house.home, tmp_path_factory)
            before = dict(os.environ)
            os.environ["ROLLIN_REPORT"] = "yes"
            result = house.night()
            assert result.outcome == "published", result.message
            os.environ.clear()
            os.environ.update(before)
            (folder / "first-night.done").touch()
    return house


@pytest.fixture
def house(published: House, tmp_path: Path, environment: None) -> House:
    """A copy of the published home and of its world, free to be broken."""
    shutil.copytree(published.home, tmp_path / "home", symlinks=True)
    shutil.copytree(published.world, tmp_path / "world")
    return House(tmp_path / "home", tmp_path / "world", published.now)


def some_marts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Some published tables of each schema, none of them masked: every act of a publication is made for each table alike."""
    some = {"dim_land", "dim_service", "dim_authority", "programme_coverage_daily", "pilot_coverage_daily", "source_status"}
    return [node for node in warehouse.marts(manifest) if node["name"] in some]


def edit_lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text("cp1252").splitlines())) + "\n", "cp1252")


def set_max_age(house: House, days: int) -> None:
    """Let every required source of Hessen be at most so old."""
    path = house.world / "laender" / "hessen.yaml"
    lines = [f"  max_age_days: {days}" if "max_age_days" in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
