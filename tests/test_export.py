"""The tables of a release as files in a folder of one's own: whole or not at all, and never the wrong tier unasked."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from orchestration import publication
from orchestration.export import WORKBOOK, export
from orchestration.settings import UsageError
from tests.conftest import Rollin
from tests.press import Press


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    press = Press(tmp_path_factory.mktemp("export"))
    press.more = ["alter table core.dim_land add column inner_note varchar"]  # no column of the public tier
    press.publish(1)
    return press


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def seal(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != publication.SUMS)
    (folder / publication.SUMS).chmod(0o644)
    lines = (f"{publication.sha256_of(path)}  {path.relative_to(folder)}\n" for path in files)
    (folder / publication.SUMS).write_text("".join(lines))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_table_of_the_tier_is_copied(press: Press, tmp_path: Path, form: str) -> None:
    read = pl.read_csv if form == "csv" else pl.read_parquet
    for tier, folder in (("public", press.settings.current / "public"), ("exact", press.settings.current)):
        target = tmp_path / "new" / tier
        release_id, files = export(press.settings, target, form, tier)
        assert release_id == publication.current_id(press.settings)
        copied = contents(target)
        assert copied == contents(folder / form) and files == len(copied)
        columns = read(target / "core" / f"dim_land.{form}").columns
        assert ("inner_note" in columns) == (tier == "exact")
        assert all(path.stat().st_mode & 0o200 for path in target.rglob("*"))  # they are the user's
        assert list(target.parent.glob(".*")) == []


def test_the_workbook_is_one_file_and_its_absence_is_told(press: Press, tmp_path: Path) -> None:
    public = press.settings.current / "public"
    (public / WORKBOOK).unlink(missing_ok=True)
    seal(public)
    with pytest.raises(UsageError, match=f"has no {WORKBOOK}"):
        export(press.settings, tmp_path / "none", "xlsx")
    assert list(tmp_path.iterdir()) == []
    (public / WORKBOOK).write_bytes(b"a workbook")
    seal(public)
    assert export(press.settings, tmp_path / "one", "xlsx")[1] == 1
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "one").iterdir()] == [(WORKBOOK, b"a workbook")]


def test_nothing_is_overwritten_and_nothing_half_is_left(press: Press, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.csv").write_text("kept")
    (tmp_path / "file").write_text("kept")
    for target in ("mine", "file"):
        with pytest.raises(UsageError, match="is not empty"):
            export(press.settings, tmp_path / target, "csv")
    copied = []

    def full(source: str, target: str) -> None:
        copied.append(target)
        if len(copied) > 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestration.export.shutil.copyfile", full)
    with pytest.raises(UsageError, match="cannot be written"):
        export(press.settings, tmp_path / "full", "csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"] and len(copied) > 2


def test_the_command_exports_the_public_tier_unless_told_otherwise(press: Press, tmp_path: Path, rollin: Rollin) -> None:
    ran = rollin("export", str(tmp_path / "out"), home=press.home)
    assert ran.returncode == 0 and "public tier: 5 files" in ran.stdout, ran.stderr
    assert "inner_note" not in (tmp_path / "out" / "core" / "dim_land.csv").read_text()
    again = rollin("export", str(tmp_path / "out"), home=press.home)
    assert again.returncode == 2 and "is not empty" in again.stderr and "Traceback" not in again.stderr


def test_a_table_too_long_for_csv_is_parquet_in_the_release_and_csv_on_demand(
    press: Press, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(press.settings.current / "csv")
    monkeypatch.setattr(publication, "CSV_ROWS_MAX", 1)
    press.publish(2)
    release = press.settings.current
    rows = {path: pl.read_parquet(path).height for path in (release / "parquet").rglob("*.parquet")}
    short = {path.relative_to(release / "parquet").with_suffix(".csv") for path, count in rows.items() if count <= 1}
    assert set(contents(release / "csv")) == short and 0 < len(short) < len(rows)
    described = {one["path"] for one in json.loads((release / "datapackage.json").read_text())["resources"] if "schema" in one}
    assert described == {str(path.relative_to(release)) for kind in ("csv", "parquet") for path in (release / kind).rglob("*.*")}
    assert export(press.settings, tmp_path / "out", "csv", "exact")[1] == len(rows)
    after = contents(tmp_path / "out")
    # heads and rows; the cells of another release may be others
    shape = {path: (text.splitlines()[0], text.count(b"\n")) for path, text in before.items()}
    assert {path: (text.splitlines()[0], text.count(b"\n")) for path, text in after.items()} == shape
