"""SIGKILL at any moment of a night: `current` names a whole release, and the next night succeeds without repair.

Moments are where files appear that say how far a night is, and part of the way from there to the next such file, so that they are
spread over a whole night however fast the machine is. A kill leaves on the disk what lies there when all threads stand still: a
night is stopped at each moment, what it has written is copied, and it goes on; only at the last moment is it killed. The
publication, which has moments of microseconds only, is killed for each of its acts on the file system, right before it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import parts, publication, warehouse
from orchestration.settings import Settings
from tests.house import PARAMETERS, House, some_marts
from tests.same import assert_same_tables

NOW = PARAMETERS.night.isoformat()

#: Nothing takes so long; a night that does hangs.
PATIENCE_SECONDS = 300.0

# Every night is a process of its own, forked from a server that has imported the big libraries already: what is killed is the
# night and not, again and again, its imports. None of these starts a thread, which a fork would lose.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["orchestration.cli", "dagster", "dagster_dbt", "great_expectations", "dbt.cli.main", "altair"])


# --------------------------------------------------------------------------------------------------------------------- in the process


def alone(output: Path, environ: dict[str, str]) -> None:
    """Lead a process group, write to a file, have nothing of Rollin's in the environment but what is given."""
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_HOME", "DBT_"))]:
        del os.environ[name]
    os.environ.update(environ)


def night(home: Path, laender: Path, report: str = "yes") -> None:
    """``rollin refresh --full``, with the months kept that are so where there is more usage: more files that a kill may leave half."""
    environ = {"ROLLIN_NOW": NOW, "ROLLIN_THREADS": "1", "ROLLIN_REPORT": report, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    alone(home.with_suffix(".txt"), environ)
    from orchestration.cli import main

    parts.KEPT_FROM_ROWS = 1
    sys.argv = ["rollin", "refresh", "--full", "--home", str(home), "--laender", str(laender)]
    main()


@dataclass(frozen=True)
class Attempt:
    """A publication. ``acts``: file to note each act on the file system in; ``fatal_act``: the one to die before, from 0."""

    home: Path
    run_id: str
    days: int
    acts: Path
    fatal_act: int | None = None


def publication_of(attempt: Attempt) -> None:
    """``publish``, killed right before the n-th of its acts on the file system; the report adds none to them."""
    alone(attempt.home.with_suffix(".txt"), {"ROLLIN_KEEP_RELEASES": "2", "ROLLIN_REPORT": "no"})
    settings = Settings(home=attempt.home)
    manifest = warehouse.load_manifest(settings.build / "dbt" / "manifest.json")
    counter = itertools.count()
    acts = attempt.acts.open("w", buffering=1)

    def before_act(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.symlink", "os.remove", "shutil.rmtree", "shutil.copyfile"):
            acts.write(f"{event} {' '.join(str(argument) for argument in arguments[:2])}\n")
            if next(counter) == attempt.fatal_act:
                os.killpg(0, signal.SIGKILL)

    now = datetime.fromisoformat(NOW) + timedelta(days=attempt.days)
    publication.sweep(settings)
    sys.addaudithook(before_act)
    build = settings.build / attempt.run_id / "warehouse.duckdb"
    publication.publish(
        settings, build, run_id=attempt.run_id, now=now, marts=some_marts(manifest), inputs=warehouse.inputs(manifest)
    )


# ---------------------------------------------------------------------------------------------------------------------- from outside


class Seen:
    """How far a night is, by the files that it has made since it was started."""

    def __init__(self, home: Path):
        self.home = home
        self.releases = home / "published" / "releases"
        self.before = {"tonight": self._link("build/tonight"), "current": self._link("published/current")}
        self.known = {name: self._count(name) for name in ("landing/objects", "landing/0*", "clean/records")}
        self.known_releases = set(publication.release_ids(Settings(home=home)))

    def _link(self, path: str) -> str | None:
        try:
            return os.readlink(self.home / path)
        except OSError:
            return None

    def _count(self, folder: str) -> int:
        return sum(len(files) for top in self.home.glob(folder) for _, _, files in os.walk(top))

    def grown(self, folder: str, files: int) -> bool:
        return self._count(folder) >= self.known[folder] + files

    def run_has(self, name: str) -> bool:
        tonight = self._link("build/tonight")
        return tonight not in (None, self.before["tonight"]) and (self.home / "build" / str(tonight) / name).exists()

    def aside_has(self, name: str) -> bool:
        return self.renamed() or any((folder / name).exists() for folder in self.releases.glob(".2*"))

    def renamed(self) -> bool:
        return bool(set(publication.release_ids(Settings(home=self.home))) - self.known_releases)

    def flipped(self) -> bool:
        return self._link("published/current") != self.before["current"]


@dataclass(frozen=True)
class Moment:
    """When to kill: a share of a leg's usual seconds after a mark."""

    mark: Callable[[Seen], bool]
    leg: str = "build"
    share: float = 0.0


Legs = dict[str, float]


def killed_at(home: Path, process: BaseProcess, moments: Sequence[Moment], legs: Legs) -> list[Path]:
    """Start a process and return what a kill leaves at each moment: a copy of the home, and for the last one the home itself."""
    seen = Seen(home)
    process.start()
    end = time.monotonic() + PATIENCE_SECONDS
    left = []
    for number, moment in enumerate(moments):
        while process.is_alive() and not (_leads_its_group(process) and moment.mark(seen)):
            assert time.monotonic() < end, "the night hangs"
            time.sleep(0.003)
        time.sleep(moment.share * legs[moment.leg])
        is_last = number == len(moments) - 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL if is_last else signal.SIGSTOP)
        if is_last:
            process.join(PATIENCE_SECONDS)
        told = home.with_suffix(".txt").read_text() if not process.is_alive() else ""
        assert process.exitcode == (-signal.SIGKILL if is_last else None), f"moment {number} came too late: {told}"
        if not is_last:
            time.sleep(0.05)  # what a thread was asking of the system comes to its end
            left.append(home.with_name(f"{home.name}-{number}"))
            shutil.copytree(home, left[-1], symlinks=True)
            os.killpg(process.pid or 0, signal.SIGCONT)
    return [*left, home]


def _leads_its_group(process: BaseProcess) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process.pid or 0) == process.pid
    return False


def assert_whole(home: Path) -> str | None:
    """What readers find: nothing yet, or a release that verifies and that an independent process opens read-only."""
    settings = Settings(home=home)
    if not os.path.lexists(settings.current):
        return None
    assert publication.verify(settings.current) == []
    query = "import sys, duckdb; print(duckdb.connect(sys.argv[1], read_only=True).execute('select release_id from meta.release').fetchone()[0])"
    found = subprocess.run(
        [sys.executable, "-c", query, str(settings.current / "warehouse.duckdb")], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == publication.current_id(settings)
    return publication.current_id(settings)


def assert_recovers(home: Path, laender: Path, undisturbed: Path) -> None:
    """One night in a fresh process, nothing repaired: it publishes, sweeps what the killed one left, and gives the same tables."""
    before = publication.current_id(Settings(home=home))
    process = FORKED.Process(target=night, args=(home, laender, "no"))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0, home.with_suffix(".txt").read_text()
    assert assert_whole(home) not in (None, before)
    assert_clean(home)
    assert_same_tables(
        undisturbed / "published" / "current" / "warehouse.duckdb", home / "published" / "current" / "warehouse.duckdb"
    )


def assert_clean(home: Path) -> None:
    """Nothing but whole releases and the pointer is left in the published folder."""
    settings = Settings(home=home)
    assert sorted(path.name for path in (settings.published / "releases").iterdir()) == publication.release_ids(settings)
    assert sorted(path.name for path in settings.published.iterdir()) == ["current", "releases"]
    for release_id in publication.release_ids(settings):
        assert publication.verify(settings.published / "releases" / release_id) == []


@dataclass(frozen=True)
class Undisturbed:
    """A home after one night that nobody disturbed, the Land files of its world, and the wall seconds of the night's legs."""

    home: Path
    laender: Path

    @property
    def legs(self) -> Legs:
        legs: Legs = json.loads((self.home / "build" / "tonight" / "run.json").read_text())["legs"]
        return legs

    @property
    def run_id(self) -> str:
        return os.readlink(self.home / "build" / "tonight")

    def copied(self, home: Path) -> Path:
        shutil.copytree(self.home, home, symlinks=True)
        return home


@pytest.fixture(scope="session")
def undisturbed(published: House) -> Undisturbed:
    """The night that other tests build on."""
    return Undisturbed(published.home, published.world / "laender")


# --------------------------------------------------------------------------------------------------------------------------- the tests

# Classes, so that two workers can take them.


class TestNightOverARelease:
    """A home that has a release: readers keep it until a new one is whole."""

    MOMENTS = (
        Moment(lambda seen: True, share=0.1),
        Moment(lambda seen: seen.run_has("inputs/usage")),
        Moment(lambda seen: seen.run_has("warehouse.duckdb"), "build", 0.4),
        Moment(lambda seen: seen.run_has("dbt.json")),
        Moment(lambda seen: seen.run_has("dbt.json"), "gate", 0.4),
        Moment(lambda seen: seen.aside_has("warehouse.duckdb"), "publish", 0.2),
        Moment(lambda seen: seen.flipped()),
    )

    def test_every_kill_leaves_a_whole_release(self, undisturbed: Undisturbed, tmp_path: Path) -> None:
        home = undisturbed.copied(tmp_path / "home")
        before = assert_whole(home)
        process = FORKED.Process(target=night, args=(home, undisturbed.laender))
        left = killed_at(home, process, self.MOMENTS, undisturbed.legs)
        currents = [assert_whole(state) for state in left]
        assert currents[:-1] == [before] * 6
        assert currents[-1] not in (None, before)
        assert_recovers(left[5], undisturbed.laender, undisturbed.home)  # half a build, half a release


class TestFirstNight:
    """An empty home: there is nothing until there is a whole release, and the next night takes up what was landed."""

    MOMENTS = (
        Moment(lambda seen: (seen.home / "refresh.lock").exists()),
        Moment(lambda seen: (seen.home / "dagster" / "dagster.yaml").exists(), share=0.1),
        Moment(lambda seen: seen.grown("landing/objects", 1)),
        Moment(lambda seen: seen.grown("landing/0*", 1)),
        Moment(lambda seen: seen.grown("clean/records", 2)),
        Moment(lambda seen: seen.run_has("inputs")),
        Moment(lambda seen: seen.run_has("warehouse.duckdb"), "build", 0.5),
        Moment(lambda seen: seen.run_has("dbt.json"), "gate", 0.4),
        Moment(lambda seen: seen.aside_has("parquet/metrics")),
        Moment(lambda seen: seen.renamed()),
    )

    def test_every_kill_leaves_nothing_or_a_whole_release(self, undisturbed: Undisturbed, tmp_path: Path) -> None:
        home = tmp_path / "home"
        process = FORKED.Process(target=night, args=(home, undisturbed.laender))
        left = killed_at(home, process, self.MOMENTS, undisturbed.legs)
        currents = [assert_whole(state) for state in left]
        assert currents[:8] == [None] * 8, currents  # up to the gate
        for state in (
            left[1],
            left[4],
            left[-1],
        ):  # half of Dagster's books, half of what is cleaned, a release that nothing names
            assert_recovers(state, undisturbed.laender, undisturbed.home)


def test_publication_is_killed_before_each_of_its_acts(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Incl. the rename into ``releases``, the flip of ``current`` and the deletion of the releases that are too many."""
    home, acts = undisturbed.copied(tmp_path / "home"), tmp_path / "acts.txt"
    days = itertools.count(1)

    def attempt(fatal_act: int | None) -> int | None:
        process = FORKED.Process(target=publication_of, args=(Attempt(home, undisturbed.run_id, next(days), acts, fatal_act),))
        process.start()
        process.join(PATIENCE_SECONDS)
        return process.exitcode

    for _ in range(3):  # so many that the oldest has to go
        assert attempt(None) == 0, home.with_suffix(".txt").read_text()
    noted = [line.split()[0] for line in acts.read_text().splitlines()]
    assert {"os.rename": 5, "os.symlink": 1}.items() <= Counter(noted).items(), noted  # sums of both tiers, release, flip, oldest
    currents = []
    # what is deleted file by file is deleted in one way: three of those are enough
    for fatal_act in range(min(len(noted), noted.index("os.symlink") + 6)):
        assert attempt(fatal_act) == -signal.SIGKILL, home.with_suffix(".txt").read_text()
        currents.append(assert_whole(home))
        assert currents[-1] is not None
    assert len(set(currents)) > 1  # the last acts come after the flip
    assert attempt(None) == 0
    assert_clean(home)
    assert_whole(home)
    with duckdb.connect(str(home / "published" / "current" / "warehouse.duckdb"), read_only=True) as con:
        assert con.execute("select run_id from meta.release").fetchall() == [(undisturbed.run_id,)]
