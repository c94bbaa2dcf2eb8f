"""What can happen to a home's disk, clock and files at every step: readers keep a whole release, nothing is lost, and it is said what to do.

Kills are in ``test_kill``; a second refresh, an audit of other bytes and retention in ``test_releases``; hostile answers of portals in
``test_portals_faults``. A disk that is really full or read-only is one that this machine mounts for the test; where it may not, the
system's refusal is put in front of each act of our own.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from ingest.clean import CleaningRecord
from ingest.landing import Landing, LandingError, Part
from ingest.portals import base
from orchestration import alerts, assets, disk, publication, warehouse
from orchestration.night import Night, write_atomically
from orchestration.refresh import read_run
from orchestration.settings import Settings
from orchestration.status import read_status
from orchestration.verification import landing_damage
from tests.house import House, some_marts

MEBIBYTE = 1 << 20


# --------------------------------------------------------------------------------------------------------------------- the publication


@dataclasses.dataclass
class Publication:
    """A home whose newest build can be published again and again, in part."""

    home: Path
    days: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home, environ={"ROLLIN_KEEP_RELEASES": "2"})
        self.build = (self.settings.build / "tonight").resolve() / "warehouse.duckdb"
        manifest = warehouse.load_manifest(self.settings.build / "dbt" / "manifest.json")
        self.marts = some_marts(manifest)
        self.audit = publication.Audit.read(self.build.with_name("audit.json"))

    def publish(self) -> str:
        from tests.house import PARAMETERS

        self.days += 1
        now = PARAMETERS.night + timedelta(days=self.days)
        publication.sweep(self.settings)
        return publication.publish(self.settings, self.build, run_id=self.audit.run_id, now=now, marts=self.marts)

    def assert_whole(self) -> str:
        """Whatever looks like a release is one, and ``current`` names one of them. Returns its id."""
        current = publication.current_id(self.settings)
        assert current in publication.release_ids(self.settings)
        for release_id in publication.release_ids(self.settings):
            assert publication.verify(self.settings.published / "releases" / release_id) == []
        return str(current)


def copied(published: House, home: Path) -> Path:
    """The published home without what no publication reads."""
    left_out = shutil.ignore_patterns("clean", "quarantine", "dagster", "inputs", "logs", "partial_parse.msgpack")
    shutil.copytree(published.home, home, symlinks=True, ignore=left_out)
    return home


@pytest.fixture
def release(published: House, tmp_path: Path, environment: None) -> Publication:
    return Publication(copied(published, tmp_path / "home"))


class Refuser:
    """The system's refusal, from a chosen act on: every later act that would write is refused too, as on a disk that is full.

    ``acts``: what would write below ``home``, while it watches. Deleting is allowed.
    """

    def __init__(self) -> None:
        self.home: str | None = None
        self.acts: list[str] = []
        self.from_act: Callable[[str], bool] = lambda act: False
        self.number = errno.ENOSPC
        self.is_refusing = False
        self.is_listening = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.home is None or event not in ("open", "os.rename", "os.mkdir", "os.symlink", "shutil.copyfile"):
            return
        paths = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike)]
        if event == "open" and not (
            len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        if not any(path.startswith(self.home) for path in paths):
            return
        act = f"{event} {' '.join(path.removeprefix(self.home) for path in paths)}"
        self.acts.append(act)
        self.is_refusing = self.is_refusing or self.from_act(act)
        if self.is_refusing:
            raise OSError(self.number, os.strerror(self.number), paths[-1])

    def watch(self, home: Path, from_act: Callable[[str], bool] = lambda act: False, number: int = errno.ENOSPC) -> None:
        if not self.is_listening:  # once: what listens to Python's audit events cannot be taken away again
            sys.addaudithook(self)
            self.is_listening = True
        self.home, self.acts, self.from_act, self.number, self.is_refusing = str(home), [], from_act, number, False


REFUSER = Refuser()


@pytest.fixture
def refuser() -> Iterator[Refuser]:
    yield REFUSER
    REFUSER.home = None


#: The publication's acts, by a part of what they are called: each is a way in which it can end.
ACTS = (
    "os.mkdir",
    "CHANGES.md",
    "/public/.SHA256SUMS",
    "/public/SHA256SUMS",
    "shutil.copyfile",
    "os.symlink",
    "/published/current",
)


def test_a_disk_that_refuses_any_act_of_the_publication_leaves_the_release(release: Publication, refuser: Refuser) -> None:
    before = release.assert_whole()
    for number, part in enumerate(ACTS):
        refuser.watch(release.home, lambda act, part=part: part in act, (errno.ENOSPC, errno.EROFS, errno.EIO)[number % 3])
        with pytest.raises(OSError, match=r"space|[Rr]ead-only|[Ii]nput") as refused:
            release.publish()
        refuser.home = None
        told = disk.refusal(refused.value, release.home)
        assert told is not None and told.endswith("then run the refresh again."), part
        assert release.assert_whole() == before, part
    published = release.publish()  # the disk has room again: nothing is repaired by hand
    assert release.assert_whole() == published
    left = sorted(path.name for path in (release.settings.published / "releases").iterdir())
    assert left == publication.release_ids(release.settings)


def test_a_disk_that_refuses_any_act_of_receiving_or_cleaning_loses_nothing(
    published: House, tmp_path: Path, environment: None, refuser: Refuser
) -> None:
    shutil.copytree(published.home / "landing", tmp_path / "home" / "landing")
    os.environ["ROLLIN_NOW"] = (published.now + timedelta(hours=1)).isoformat()
    settings = Settings(home=tmp_path / "home", laender=published.world / "laender")
    landing = Landing(settings.home)
    [received, *_] = landing.deliveries("06", "kosten")

    def receive() -> None:
        content = landing.path(received.parts[0]).read_bytes() + b"\n"
        sha256, size = landing.put([content])
        landing.store(
            land_code="06",
            source="kosten",
            table="costs",
            format=received.format,
            delivered_at=published.now + timedelta(minutes=1),
            parts=[dataclasses.replace(received.parts[0], sha256=sha256, bytes=size)],
        )

    def clean() -> None:
        assert Night(settings, "run").admit("00", "gemeindeverzeichnis").admitted

    def kept() -> tuple[int, int]:
        """How many deliveries there are, and how many of them are cleaned; what says that it is there is there, and whole."""
        for path in (records := list((settings.home / "clean" / "records").rglob("*.json"))):
            record = CleaningRecord.from_json(path.read_text())
            assert pl.read_parquet(settings.home / record.clean_path).height == record.rows_clean
            assert pl.read_parquet(settings.home / record.quarantine_path).height == sum(record.quarantined.values())
        assert landing_damage(settings)[1] == []
        return len(landing.deliveries("06", "kosten")), len(records)

    first = kept()
    for step in (receive, clean):
        at, before = 0, kept()
        while True:
            refuser.watch(settings.home, lambda act, at=at: len(refuser.acts) > at)
            try:
                step()
                break
            except (OSError, LandingError) as refused:
                refuser.home = None
                told = disk.refusal(refused, settings.home)
                assert told is not None and "the disk is full" in told, refuser.acts[at]
                assert kept()[0] == before[0] and kept()[1] >= before[1], refuser.acts[at]
                at += 1
        refuser.home = None
        assert at > 3
    assert kept() == (first[0] + 1, first[1] + 1)


def test_a_disk_that_fails_is_no_verdict_on_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery once found unreadable stays so: its sender would be asked for what he delivered well."""
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("a.csv", "a")

    def fail(*arguments: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(base, "_inflate", fail)
    with pytest.raises(OSError, match="Input/output error"):
        base.check_zip(tmp_path / "good.zip")


def test_old_releases_that_cannot_be_removed_do_not_undo_the_new_one(
    release: Publication, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(settings: Settings) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(publication, "retain", refuse)
    assert release.publish() == release.assert_whole()
    assert "could not be removed" in caplog.text


# ---------------------------------------------------------------------------------------------------------------- disks that are real


class Disk:
    """A file system in memory, mounted for a test."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        self.mount("tmpfs", "-t", "tmpfs", "-o", "size=1g")

    def mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments[1:], arguments[0], str(self.folder)], check=True, capture_output=True)

    def free(self, size: int) -> None:
        """Leave so many bytes free."""
        used = shutil.disk_usage(self.folder).used
        self.mount("tmpfs", "-o", f"remount,rw,size={used + max(size, 4096)}")

    def read_only(self, on: bool) -> None:
        self.mount("tmpfs", "-o", f"remount,{'ro' if on else 'rw'}")


@pytest.fixture
def real_disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        made = Disk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let the tests mount a disk")
    yield made
    subprocess.run(["umount", "--lazy", str(made.folder)], check=True)


def test_publications_on_a_disk_that_runs_full(published: House, real_disk: Disk, environment: None) -> None:
    """DuckDB's and Parquet's own writes are refused too: from nothing free to nearly enough."""
    release = Publication(copied(published, real_disk.folder / "home"))
    before = release.publish()
    size = sum(path.stat().st_size for path in release.settings.current.rglob("*") if path.is_file())
    for share in (0.0, 0.1, 0.5, 0.9):
        publication.sweep(release.settings)
        real_disk.free(int(share * size))
        with pytest.raises(Exception, match=r".") as refused:
            release.publish()
        told = disk.refusal(refused.value, release.home)
        assert told is not None and "the disk is full" in told, refused.value
        assert release.assert_whole() == before
    publication.sweep(release.settings)
    real_disk.free(3 * size)
    assert release.publish() == release.assert_whole()


def test_nights_on_a_full_and_on_a_read_only_disk(
    published: House, real_disk: Disk, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def catch(settings: Settings, *, outcome: str, message: str, run_id: str) -> None:
        told.append(message)

    monkeypatch.setattr(alerts, "send", catch)
    shutil.copytree(published.home, real_disk.folder / "home", symlinks=True)
    shutil.copytree(published.world, real_disk.folder / "world")
    house = House(real_disk.folder / "home", real_disk.folder / "world", published.now)
    before = house.current

    def assert_untouched(exit_code: int, message: str, *parts: str) -> None:
        assert exit_code in (1, 2) and all(part in message for part in parts), message
        assert told == [message]
        told.clear()
        assert house.current == before and publication.verify(house.settings.current) == []
        assert house.query("select release_id from meta.release") == [(before,)]
        assert read_status(house.settings)["release"]["release_id"] == before

    real_disk.read_only(True)
    result = house.night(days=1)
    assert_untouched(result.exit_code, result.message, "cannot be written", "correct its rights, free space")
    real_disk.read_only(False)
    for free in (0, 8 * MEBIBYTE):  # at the first act; while the warehouse is built. What the next night makes of it: test_kill
        real_disk.free(free)
        result = house.night()
        assert result.exit_code == 1
        assert_untouched(result.exit_code, result.message, "the disk is full: free space")


# -------------------------------------------------------------------------------------------------------------------- what is altered


def flip(path: Path, place: int = 100) -> None:
    """Change one bit of a file."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)


def test_altered_landing_bytes_end_the_run_that_reads_them(published: House, tmp_path: Path, environment: None) -> None:
    shutil.copytree(published.home / "landing", tmp_path / "home" / "landing")
    os.environ["ROLLIN_NOW"] = published.now.isoformat()
    settings = Settings(home=tmp_path / "home", laender=published.world / "laender")
    assert landing_damage(settings)[1] == []
    landing = Landing(settings.home)
    delivery = landing.deliveries("00", "gemeindeverzeichnis")[-1]
    flip(landing.path(delivery.parts[0]))
    with pytest.raises(LandingError, match=r"are damaged: restore landing/objects from a backup\.$"):
        Night(settings, "run").admit("00", "gemeindeverzeichnis")
    objects, [sentence] = landing_damage(settings)
    assert objects > 5 and delivery.parts[0].sha256 in sentence and "back-up" in sentence
    flip(landing.path(delivery.parts[0]))
    sidecar = landing.root / "06" / "kosten" / f"{landing.deliveries('06', 'kosten')[0].delivery_id}.json"
    for stated in (rb'"sha256": "', rb'"delivered_at": "20'):
        flip(sidecar, sidecar.read_bytes().index(stated) + len(stated))
        assert any("06/kosten" in one for one in landing_damage(settings)[1]), stated
        flip(sidecar, sidecar.read_bytes().index(stated) + len(stated))
    assert landing_damage(settings)[1] == []
    landing.path(delivery.parts[0]).unlink()
    assert "are gone" in landing_damage(settings)[1][0]


def test_a_build_that_is_altered_while_it_is_copied_is_not_published(
    release: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = release.assert_whole()
    written = publication.changes.write

    def meanwhile(*arguments: Any) -> None:
        written(*arguments)
        flip(release.build, release.build.stat().st_size - 10)

    monkeypatch.setattr(publication.changes, "write", meanwhile)
    with pytest.raises(publication.PublicationRefused, match="changed while it was copied"):
        release.publish()
    assert release.assert_whole() == before


def test_a_damaged_release_is_no_standard_for_the_next_one(house: House) -> None:
    before = str(house.current)
    harmed = house.settings.current.resolve() / "csv" / "core" / "fct_cost.csv"
    flip(harmed)
    os.environ["ROLLIN_NOW"] = house.now.isoformat()
    night = Night(house.settings, "another-run")
    night.open_folder()
    step = assets.inputs_asset(house.settings, night.laender)  # the step that the build depends on
    assert not dg.materialize([step], resources={"night": night}, raise_on_error=False).success
    record = read_run(house.settings, "another-run")
    assert record is not None and record["outcome"] == "refused"  # exit code 3
    assert f"The current release {before} is damaged (csv/core/fct_cost.csv was changed." in record["message"]
    assert "'rollin rollback'" in record["message"] and record["message"].endswith("then run the refresh again.")
    assert house.current == before
    assert "release_damaged" in [problem["code"] for problem in read_status(house.settings)["health"]["problems"]]
    flip(harmed)  # restored from the back-up
    shown = house.settings.current.resolve() / "public" / "parquet" / "metrics" / "cost_per_connection.parquet"
    flip(shown)
    memory = [house.settings.current.resolve()]
    with pytest.raises(publication.DamagedRelease, match=r"public/parquet/metrics/cost_per_connection\.parquet was changed"):
        publication.require_whole(house.settings, memory)
    (house.settings.current).unlink()
    with pytest.raises(publication.DamagedRelease, match=r"must not contradict it: restore that release"):
        publication.require_whole(house.settings, memory)


# --------------------------------------------------------------------------------------------------------------------------- the clock


def test_a_clock_that_jumps_back_changes_nothing(house: House) -> None:
    before, landed = house.current, sorted((house.home / "landing").rglob("*"))
    result = house.night(days=-1)
    assert (result.outcome, result.exit_code) == ("misconfigured", 2)
    assert "The clock says 2026-06-14" in result.message and "set the clock" in result.message
    assert house.current == before and sorted((house.home / "landing").rglob("*")) == landed
    publication.require_clock(house.settings, house.now + timedelta(days=1))  # the clock was set again


# ---------------------------------------------------------------------------------------------------------------------- the power cut


class Syncs:
    """What is on the disk for certain: each file and folder as it was when it was last synced.

    A file is lost in part where it was written after that, an entry of a folder where the folder was changed after that. A rename is
    on the disk at any time after it was made, also before it is synced: so all that it makes visible must be there before.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.synced: dict[int, tuple[int, int]] = {}
        self.before_replace: list[Callable[[Path], None]] = []
        fsync, replace, rename = os.fsync, os.replace, os.rename

        def noting_fsync(handle: int) -> None:
            fsync(handle)
            found = os.fstat(handle)
            self.synced[found.st_ino] = (found.st_mtime_ns, found.st_size)

        def watching(act: Callable[..., None]) -> Callable[..., None]:
            def watched(source: Any, target: Any, **options: Any) -> None:
                for look in self.before_replace:
                    look(Path(target))
                act(source, target, **options)

            return watched

        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "replace", watching(replace))
        monkeypatch.setattr(os, "rename", watching(rename))

    def lost(self, *paths: Path) -> list[str]:
        """Which of these a power cut now would lose, in part or whole."""
        states = [(path, path.stat()) for path in paths]
        return [str(path) for path, found in states if self.synced.get(found.st_ino) != (found.st_mtime_ns, found.st_size)]


def test_current_flips_only_after_everything_that_it_names_is_on_the_disk(
    published: House, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(published, tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "published")  # a first night: its folders are new, too
    release = Publication(tmp_path / "home")
    syncs, flips = Syncs(monkeypatch), []

    def at_the_flip(target: Path) -> None:
        if target == release.settings.current:
            [whole] = [p for p in (release.settings.published / "releases").iterdir() if not p.name.startswith(".")]
            flips.append(syncs.lost(*whole.rglob("*"), whole, whole.parent, release.home))
        elif (
            target.name == publication.SUMS and target.parent.name != publication.PUBLIC
        ):  # the sums say that all others are whole
            others = [path for path in target.parent.rglob("*") if path.is_file() and publication.SUMS not in path.name]
            assert len(others) > 30 and syncs.lost(*others) == []

    syncs.before_replace.append(at_the_flip)
    release.publish()
    assert flips == [[]]
    assert syncs.lost(release.settings.published) == []  # and the flip itself, before the run says that it published
    release.assert_whole()


def test_a_delivery_is_on_the_disk_before_its_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "deep" / "home"
    syncs, seen = Syncs(monkeypatch), []
    landing = Landing(home)

    def at_the_sidecar(target: Path) -> None:
        if target.suffix == ".json":
            objects = list((home / "landing" / "objects").rglob("*"))
            seen.append(syncs.lost(*objects, home / "landing" / "objects", home / "landing", home, home.parent))

    syncs.before_replace.append(at_the_sidecar)
    from tests.house import PARAMETERS

    for number in range(3):
        sha256, size = landing.put([str(number).encode() * 1000])
        delivery = landing.store(
            land_code="06",
            source="kosten",
            table="costs",
            format="csv",
            delivered_at=PARAMETERS.night + timedelta(days=number),
            parts=[Part("a", sha256, size, None, None, None, None, "a")],
        )
        sidecar = home / "landing" / "06" / "kosten" / f"{delivery.delivery_id}.json"
        assert syncs.lost(sidecar, sidecar.parent, sidecar.parent.parent) == []
    assert seen == [[], [], []]


def test_small_files_are_on_the_disk_with_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = Syncs(monkeypatch)
    path = tmp_path / "a" / "b" / "c.json"
    syncs.before_replace.append(
        lambda target: None if syncs.lost(path.with_name(f".c.json.{os.getpid()}")) == [] else pytest.fail("lost")
    )
    write_atomically(path, "x")
    assert syncs.lost(path, path.parent, path.parent.parent, tmp_path) == []
