"""`rollin verify`: one flipped byte anywhere is found, and a release that was backed up follows from what was received."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from orchestration import publication, verification
from orchestration.cli import cli
from orchestration.settings import Settings, UsageError
from tests.conftest import ROOT
from tests.house import House


def test_one_flipped_bit_in_any_file_of_a_release_is_found(published: House, tmp_path: Path) -> None:
    """Each file at a place of its own; the file is restored afterwards, so that each is the only one."""
    release = tmp_path / "20260615T215900Z-00000000"
    shutil.copytree(published.settings.current.resolve(), release)
    assert publication.verify(release) == []
    chance = random.Random(20260615)
    files = sorted(path for path in release.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(files) > 100
    hashed = publication.sha256_of
    # what is not altered need not be read again for each file
    known = {path: hashed(path) for path in files}
    for path in files:
        path.chmod(0o644)
        content = path.read_bytes()
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(publication, "sha256_of", lambda one, path=path: hashed(one) if one == path else known[one])
            assert publication.verify(release), (path.relative_to(release), place)
        path.write_bytes(content)
    assert publication.verify(release) == []


def test_any_flipped_bit_of_the_sums_is_found(tmp_path: Path) -> None:
    release = tmp_path / "release"
    (release / "public").mkdir(parents=True)
    for name in ("a.csv", "b ü.csv", "public/c.csv"):
        (release / name).write_text(name)
    publication._seal(release, {})
    assert publication.verify(release) == []
    path = release / publication.SUMS
    path.chmod(0o644)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            assert publication.verify(release), (place, bit)
    for spoilt in (content[:-1], content + b"\n", content[: len(content) // 2], b"", content.replace(b"\n", b"\r\n")):
        path.write_bytes(spoilt)
        assert publication.verify(release), spoilt
    path.write_bytes(content)
    (release / "a.csv").unlink()
    (release / "new.csv").touch()
    assert publication.verify(release) == ["a.csv is missing.", f"new.csv is not listed in {publication.SUMS}."]


def shell(name: str) -> str:
    """A block of commands of the operations page."""
    found = re.search(rf"```sh {name}\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found, name
    return found[1]


def test_what_was_backed_up_is_restored_and_follows_from_what_was_received(
    published: House, tmp_path: Path, environment: None
) -> None:
    """The page's own commands; then, from landing alone, every table of both tiers is made again and is the same."""
    if shutil.which("flock") is None:
        pytest.skip("no flock on this machine")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "rollin").write_text(f'#!/bin/sh\nexec {sys.executable} -m orchestration.cli "$@"\n')
    (tools / "rollin").chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ROLLIN_NOW": published.now.isoformat(),
        "BACKUP": str(tmp_path / "backup"),
    }

    def run(name: str, home: Path) -> str:
        ran = subprocess.run(
            ["sh", "-e", "-c", shell(name)], env=environ | {"ROLLIN_HOME": str(home)}, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("backup", published.home)
    run("backup", published.home)  # every night again
    home = tmp_path / "restored"
    said = run("restore", home)
    assert f"Release {published.current}" in said and "0 findings" in said
    settings = Settings(home=home, laender=published.world / "laender")
    assert publication.current_id(settings) == published.current
    assert sorted(path.name for path in home.iterdir()) == ["landing", "published"]

    received = {path: path.stat().st_mtime_ns for path in (home / "landing").rglob("*")}
    killed = settings.build / ".verify-killed"
    killed.mkdir(parents=True)
    (killed / "landing").symlink_to(home / "landing")
    os.utime(killed, (0, 0))
    found = verification.verify(settings)
    assert {path: path.stat().st_mtime_ns for path in (home / "landing").rglob("*")} == received  # it is read, and nothing else
    assert found.damage == [] and found.differences == [] and found.is_whole, found
    with duckdb.connect(str(settings.current / "warehouse.duckdb"), read_only=True) as con:
        exact = con.execute("select count(*) from duckdb_tables()").fetchall()[0][0]
    public = len(list((settings.current / "public" / "parquet").glob("*/*.parquet")))
    own = len(publication.own_tables()) + len({"release", "column"})
    assert found.tables_equal is not None and found.tables_equal == exact + public - own
    assert [path.name for path in settings.build.iterdir()] == []  # nothing is left
    assert publication.release_ids(settings) == [published.current]
    print(f"{found.tables_equal} tables rebuilt from {found.landed_objects} landed objects and found equal")


def test_the_back_up_waits_for_a_night(published: House, tmp_path: Path) -> None:
    """The lock is the operating system's, and ``flock`` sees it."""
    if shutil.which("flock") is None:
        pytest.skip("no flock on this machine")
    from orchestration.night import lock

    (tmp_path / "home").mkdir()
    with lock(Settings(home=tmp_path / "home")):
        asked = ["flock", "--nonblock", str(tmp_path / "home" / "refresh.lock"), "true"]
        assert subprocess.run(asked, check=False).returncode == 1
    assert subprocess.run(asked, check=False).returncode == 0


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two small warehouses with the same table."""
    paths = tmp_path / "build.duckdb", tmp_path / "release.duckdb"
    for path in paths:
        with duckdb.connect(str(path)) as con:
            con.execute("create schema core")
            con.execute(
                "create table core.t as select i as key, 'x' || i as word, 0.1::double * i as share, (i / 7)::decimal(18, 2) as amount_eur,"
                " 'run' as run_id from range(1000) as t (i)"
            )
    return paths


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update core.t set run_id = 'another'", None),
        ("update core.t set share = share * (1 + 1e-14)", None),
        ("update core.t set share = share * (1 + 1e-10)", "differs in share"),
        ("update core.t set share = null where key = 5", "differs in share in 1 of 1000 rows"),
        ("update core.t set share = 'nan' where key = 5", "differs in share in 1 of 1000 rows"),
        ("update core.t set share = 'inf' where key = 5", "differs in share in 1 of 1000 rows"),
        ("update core.t set amount_eur = amount_eur + 0.01 where key = 5", "differs in amount_eur"),
        ("update core.t set word = 'y' where key = 5", "differs in word"),
        ("delete from core.t where key = 5", "has 999 rows rebuilt and 1000 published"),
        ("insert into core.t from core.t where key = 5; delete from core.t where key = 6", "differs in"),
        ("alter table core.t add column more integer", "has other columns"),
        ("alter table core.t alter key type integer", "has other columns or types"),
        ("create table core.u (i integer)", "core.u is not in the release."),
    ],
)
def test_tables_are_compared_exactly_and_sums_to_their_last_bits(two: tuple[Path, Path], change: str, said: str | None) -> None:
    build, release = two
    with duckdb.connect(str(build)) as con:
        con.execute(change)
        names = [row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()]
    queries = {("core", name): f"from build.core.{name}" for name in names}
    equal, differences = verification.compare(build, release, queries)
    assert equal == (said is None or "core.u" in said)
    assert (said is None and differences == []) or (len(differences) == 1 and str(said) in differences[0]), differences
    assert verification.compare(build, release, {})[1] == ["core.t was not rebuilt."]


def test_what_cannot_be_verified_is_said(published: House, tmp_path: Path, environment: None) -> None:
    with pytest.raises(UsageError, match="Nothing is published yet"):
        verification.verify(Settings(home=tmp_path))
    with pytest.raises(UsageError, match=r"There is no release 'x'\. Known: 2026"):
        verification.verify(published.settings, "x")
    shutil.copytree(published.settings.published, tmp_path / "home" / "published", symlinks=True)
    path = tmp_path / "home" / "published" / "current" / "csv" / "core" / "dim_land.csv"
    path.chmod(0o644)
    path.write_text("")
    ran = CliRunner().invoke(cli, ["verify", "--json", "--home", str(tmp_path / "home")])
    assert ran.exit_code == 1 and "This is not what was published" in ran.stderr
    found = json.loads(ran.stdout)
    assert found["damage"] == ["csv/core/dim_land.csv was changed."] and "was not rebuilt" in found["notes"][0]
