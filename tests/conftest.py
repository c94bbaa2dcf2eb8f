"""What several tests share: the folder of real public files, and one sample night that is run once per test session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.house import environment, house, published, world
from tests.postgres import postgres

__all__ = ["environment", "house", "postgres", "published", "world"]  # fixtures of whole nights, and a server

ROOT = Path(__file__).resolve().parent.parent

# A test machine may be slow and shared: what a property says must not depend on its speed.
settings.register_profile("rollin", deadline=None, max_examples=40)
settings.load_profile("rollin")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public files (Destatis directories, change files, published statistics), kept outside the repository."""
    folder = Path(os.environ.get("ROLLIN_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real public files at {folder} (set ROLLIN_SHARED_DATA)")
    return folder


def run_rollin(*arguments: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """``rollin`` in a process of its own, with nothing of Rollin's from the surrounding environment but what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROLLIN_", "DAGSTER_", "DBT_"))}
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments, "--home", str(home)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


Rollin = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def rollin() -> Rollin:
    """See ``run_rollin``."""
    return run_rollin


@dataclass(frozen=True)
class SampleNight:
    """A home in which the sample's night was run once. Tests read it and change nothing; copy it to change it."""

    home: Path
    output: str

    @property
    def release(self) -> Path:
        """The published release."""
        return self.home / "published" / "current"

    @property
    def warehouse(self) -> Path:
        """The published DuckDB file: open it read-only."""
        return self.release / "warehouse.duckdb"

    @property
    def truth(self) -> Path:
        """The known truth of the sample world."""
        return self.home / "sample" / "truth"


@pytest.fixture(scope="session")
def sample_night(tmp_path_factory: pytest.TempPathFactory) -> SampleNight:
    """One ``rollin refresh --sample``, shared by all workers of a test session."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home, told = folder / "sample-night", folder / "sample-night.txt"
    with FileLock(folder / "sample-night.lock"):
        if not told.is_file():
            ran = run_rollin("refresh", "--sample", home=home)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            told.write_text(ran.stdout + ran.stderr, encoding="utf-8")
    return SampleNight(home, told.read_text(encoding="utf-8"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that run whole nights come first, so that the quick ones fill both cores to the end.

    The first two begin with nights that the other one does not wait for: one with the sample's and two more worlds', one with the
    small world's.
    """
    heads = ["tests/test_truth_cost.py", "tests/test_kill.py"]
    nights = {"house", "published", "night", "sample_night", "rollin", "environment"}

    def weight(item: pytest.Item) -> int:
        module = item.nodeid.partition("::")[0]
        return heads.index(module) if module in heads else 2 if module in slow else 3

    slow = {item.nodeid.partition("::")[0] for item in items if nights & set(getattr(item, "fixturenames", ()))}
    items.sort(key=weight)
