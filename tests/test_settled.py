"""What a release's warehouse begins with: the months that are settled, written once, copied every night, with nothing of what they were."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
import rdflib

from orchestration import publication, settled
from orchestration.export import export
from tests.press import Press

TABLE = "core.fct_usage_monthly"
#: Long enough to be found in a file, however it is compressed.
TAKEN_BACK = "0123456789-taken-back-zwölf-Boxkämpfer"


def month(folder: Path, first: date, digest: str, submitted: int, account: str = "none") -> Path:
    """A month as the build keeps it: the public tier's columns and some rows."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{first:%Y-%m}.{digest}.parquet"
    given = {"month": pl.lit(first), "submitted": submitted + pl.int_range(pl.len()), "authority_id": pl.lit(account)}
    columns = Press(folder).decided[TABLE].columns
    pl.select(pl.int_range(3000)).select(**{c: given.get(c, pl.lit(c)) for c in columns}).write_parquet(path)
    return path


@pytest.fixture
def press(tmp_path: Path, environment: None) -> Press:
    folder = tmp_path / "months"
    # the press's day is 2026-06-15: April to June are open
    return Press(tmp_path / "home", by_month={TABLE: [month(folder, date(2026, n, 1), "a", n) for n in range(1, 7)]})


def rows(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(f"from {TABLE}").fetchall()


def published(press: Press, number: int) -> list[Path]:
    """The two warehouses of a release more."""
    release = press.settings.published / "releases" / press.publish(number)
    return [release / "warehouse.duckdb", release / "public" / "warehouse.duckdb"]


def files(press: Press) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (press.settings.build / settled.FOLDER).iterdir()}


def expected(press: Press) -> list[tuple[object, ...]]:
    return pl.concat([pl.read_parquet(path) for path in press.by_month[TABLE]]).rows()


@pytest.mark.parametrize(
    ("as_of", "first"),
    [(date(2026, 6, 15), date(2026, 4, 1)), (date(2026, 2, 28), date(2025, 12, 1)), (date(2026, 3, 1), date(2026, 1, 1))],
)
def test_the_running_month_and_the_two_before_it_are_open(as_of: date, first: date) -> None:
    assert settled.first_open(as_of) == first


def test_settled_months_are_written_once_and_a_release_has_all_months_in_their_order(press: Press) -> None:
    for path in published(press, 1):
        assert rows(path) == expected(press)
    before = files(press)
    assert sorted(name.partition(".")[0] for name in before) == ["exact", "public"]
    # a day more in the running month, and a correction of the one before it
    months = list(press.by_month[TABLE])
    press.by_month = {TABLE: [*months[:4], *(month(months[0].parent, date(2026, n, 1), "b", n + 100) for n in (5, 6))]}
    for path in published(press, 2):
        assert rows(path) == expected(press)
    assert files(press) == before
    held = next((press.settings.build / settled.FOLDER).glob("exact.*"))
    with duckdb.connect(str(held), read_only=True) as con:
        assert con.execute(f"select min(month), max(month) from {TABLE}").fetchall() == [(date(2026, 1, 1), date(2026, 3, 1))]


def test_what_a_settled_month_held_before_its_correction_is_in_no_byte_of_a_release(press: Press) -> None:
    months = list(press.by_month[TABLE])
    press.by_month = {TABLE: [month(months[0].parent, date(2026, 1, 1), "b", 1, TAKEN_BACK), *months[1:]]}
    for path in published(press, 1):
        assert TAKEN_BACK.encode() in path.read_bytes()
    press.by_month = {TABLE: months}
    for path in published(press, 2):
        assert rows(path) == expected(press)
        assert TAKEN_BACK.encode() not in path.read_bytes()


def test_of_each_tier_the_file_before_is_kept_and_no_older_one(press: Press) -> None:
    months = list(press.by_month[TABLE])
    for number in (1, 2, 3):
        press.by_month = {TABLE: [month(months[0].parent, date(2026, 1, 1), f"c{number}", number), *months[1:]]}
        published(press, number)
        assert len(files(press)) == 2 * min(number, 2)


def test_each_month_is_a_parquet_file_of_the_release_and_described_as_one(press: Press, tmp_path: Path) -> None:
    months = list(press.by_month[TABLE])
    published(press, 1)
    for tier in (press.settings.current, press.settings.current / "public"):
        folder = tier / "parquet" / "core" / "fct_usage_monthly.parquet"
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            f"{m.name[:7]}.parquet": m.read_bytes() for m in months
        }
        assert pl.read_parquet(folder).rows() == expected(press)
        package = json.loads((tier / "datapackage.json").read_text())
        found = {one["path"]: one["hash"] for one in package["resources"] if one["title"] == TABLE and one["format"] == "parquet"}
        assert found == {str(file.relative_to(tier)): f"sha256:{publication.sha256_of(file)}" for file in folder.iterdir()}
    names = [one["name"] for one in package["resources"]]
    assert len(set(names)) == len(names)
    catalogue = rdflib.Graph().parse(press.settings.current / "public" / "dcat-ap-de.ttl")
    offered = {str(url).rpartition("/")[2] for url in catalogue.objects(None, rdflib.DCAT.downloadURL) if TABLE[5:] in str(url)}
    assert offered == {"fct_usage_monthly.csv", *(f"2026-0{n}.parquet" for n in range(1, 7))}
    export(press.settings, tmp_path / "csv", "csv", "public")
    assert pl.read_csv(tmp_path / "csv" / "core" / "fct_usage_monthly.csv").height == len(expected(press))


def test_columns_that_are_not_public_are_not_in_the_files_of_the_months(press: Press) -> None:
    secret = [month.with_name(month.name.replace(".a.", ".s.")) for month in press.by_month[TABLE]]
    for path, other in zip(press.by_month[TABLE], secret, strict=True):
        pl.read_parquet(path).with_columns(secret=pl.lit("not for the public")).write_parquet(other)
    shown = expected(press)
    press.by_month = {TABLE: secret}
    assert [rows(path) for path in published(press, 1)] == [expected(press), shown]
    public = press.settings.current / "public" / "parquet" / "core" / "fct_usage_monthly.parquet"
    assert public.is_file() and pl.read_parquet(public).rows() == shown


def test_a_world_without_settled_months_has_no_such_file(press: Press) -> None:
    press.by_month = {TABLE: press.by_month[TABLE][3:]}
    for path in published(press, 1):
        assert rows(path) == expected(press)
    assert not (press.settings.build / settled.FOLDER).exists()


@pytest.mark.parametrize("damage", ["cut", "other rows", "flipped"])
def test_a_damaged_file_publishes_nothing_and_is_written_anew_by_the_next_run(press: Press, damage: str) -> None:
    published(press, 1)
    before = publication.current_id(press.settings)
    [path] = (press.settings.build / settled.FOLDER).glob("exact.*")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "flipped":
        content = bytearray(path.read_bytes())
        for at in range(3 * 4096, len(content), 4096):
            content[at + 64] ^= 1
        path.write_bytes(content)
    else:
        with duckdb.connect(str(path)) as con:
            con.execute(f"update {TABLE} set submitted = submitted + 1 where month = date '2026-02-01'")
    with pytest.raises(publication.PublicationRefused, match="run the refresh again, which writes it anew"):
        press.publish(2)
    assert publication.current_id(press.settings) == before and not path.exists()
    (press.home / "build" / "00000002-0000-0000-0000-000000000000").rename(press.home / "again")
    for warehouse in published(press, 2):
        assert rows(warehouse) == expected(press)


def test_what_a_kill_left_half_is_not_taken_over(press: Press) -> None:
    published(press, 1)
    [path] = (press.settings.build / settled.FOLDER).glob("exact.*")
    path.with_name(f".{path.name}").write_bytes(path.read_bytes()[:5000])
    path.with_name(f".{path.name}.wal").write_bytes(b"of another file")
    path.unlink()
    for warehouse in published(press, 2):
        assert rows(warehouse) == expected(press)
    assert not list(path.parent.glob(".*"))
