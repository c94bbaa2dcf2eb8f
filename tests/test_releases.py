"""Releases: whole, repeatable, undisturbed for their readers, and never of anything that was not audited."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from orchestration import parts, publication, settled, warehouse
from orchestration.night import lock
from tests.house import House
from tests.press import Press


def test_first_night_publishes_a_whole_release(published: House) -> None:
    release = published.settings.current
    assert publication.verify(release) == []
    assert {p.name for p in release.iterdir()} == {
        "warehouse.duckdb",
        "parquet",
        "csv",
        "rollin.xlsx",
        "report",
        "gate",
        "public",
        "datapackage.json",
        "LICENCES.md",
        "audit.json",
        "CHANGES.md",
        "SHA256SUMS",
    }
    assert all(not os.access(p, os.W_OK) or os.geteuid() == 0 for p in release.rglob("*.duckdb"))
    assert oct((release / "warehouse.duckdb").stat().st_mode & 0o777) == "0o444"
    [(release_id, is_synthetic, as_of)] = published.query("select release_id, is_synthetic, as_of::varchar from meta.release")
    assert (release_id, is_synthetic, as_of) == (published.current, True, "2026-06-15")
    # every table is there three times and says first what a row is, and every column is described
    tables = published.query("select schema_name, table_name from duckdb_tables() order by all")
    for schema, table in tables:
        rows = published.query(f'select count(*) from {schema}."{table}"')[0][0]
        assert pl.scan_parquet(release / "parquet" / schema / f"{table}.parquet").select(pl.len()).collect().item() == rows
        assert (release / "csv" / schema / f"{table}.csv").is_file()
    undescribed = published.query("""select table_name, column_name from meta."column" where coalesce(description, '') = ''""")
    assert undescribed == []
    comments = dict(published.query("select schema_name || '.' || table_name, comment from duckdb_tables()"))
    assert {name for name, comment in comments.items() if not (comment or "").startswith("One row")} == set()
    assert published.query("select table_name, column_name from duckdb_columns() where not internal and comment is null") == []


def test_no_wal_and_no_build_is_left_in_the_release(published: House) -> None:
    assert list(published.home.rglob("*.wal")) == []
    assert [p.name for p in (published.settings.published / "releases").iterdir()] == [published.current]


def test_same_night_again_says_that_nothing_changed(house: House) -> None:
    before = house.current
    parsed = {path: path.stat().st_mtime_ns for path in house.home.glob("clean/**/*.parquet")}
    result = house.night()
    assert (result.outcome, result.exit_code, house.current) == ("unchanged", 0, before)
    assert {path: path.stat().st_mtime_ns for path in house.home.glob("clean/**/*.parquet")} == parsed
    assert "build" not in (result.legs or {})


def test_publisher_refuses_what_was_not_audited(house: House) -> None:
    """The second line of defence: another run's audit, other bytes, a failed audit."""
    before = house.current
    run = max(
        (p for p in house.settings.build.iterdir() if (p / "audit.json").is_file() and not p.is_symlink()), key=os.path.getmtime
    )
    build, audit = run / "warehouse.duckdb", publication.Audit.read(run / "audit.json")
    marts = warehouse.marts(warehouse.load_manifest(warehouse.prepare(house.settings)))

    def attempt(run_id: str = audit.run_id) -> None:
        publication.publish(house.settings, build, run_id=run_id, now=house.now, marts=marts)

    with pytest.raises(publication.PublicationRefused, match="not of this run"):
        attempt("another-run")
    (run / "audit.json").write_text(dataclasses.replace(audit, passed=False).to_json())
    with pytest.raises(publication.PublicationRefused, match="did not pass"):
        attempt()
    (run / "audit.json").write_text(dataclasses.replace(audit, rebuilt=audit.rebuilt[1:]).to_json())
    with pytest.raises(publication.PublicationRefused, match="Not rebuilt"):
        attempt()
    (run / "audit.json").write_text(audit.to_json())
    with duckdb.connect(str(build)) as con:
        con.execute("create table core.smuggled as select 1 as one")
    with pytest.raises(publication.PublicationRefused, match="changed after its audit"):
        attempt()
    assert house.current == before and publication.release_ids(house.settings) == [before]


def test_a_second_refresh_is_turned_away(house: House) -> None:
    with lock(house.settings):
        pass  # free again
    import subprocess
    import sys

    code = "import sys,time; from pathlib import Path; from orchestration.night import lock; from orchestration.settings import Settings\n"
    code += "with lock(Settings(home=Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(house.home)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
            result = house.night()
            assert (result.outcome, result.exit_code) == ("busy", 5)
        finally:
            holder.kill()
    assert house.night().outcome == "unchanged"  # a killed holder leaves nothing behind


def test_readers_keep_their_release_and_new_ones_see_the_new(house: House) -> None:
    reader = duckdb.connect(str(house.settings.current / "warehouse.duckdb"), read_only=True)
    [(old,)] = reader.execute("select release_id from meta.release").fetchall()
    assert house.night(days=1).outcome == "published"
    assert reader.execute("select release_id from meta.release").fetchall() == [(old,)]
    assert reader.execute("select count(*) > 0 from metrics.coverage_daily").fetchall() == [(True,)]
    reader.close()
    assert house.query("select release_id from meta.release")[0][0] == house.current != old
    # the new one tells what moved
    told = (house.settings.current / "CHANGES.md").read_text("utf-8")
    assert f"{house.current}, Stichtag 2026-06-16; verglichen mit {old}, Stichtag 2026-06-15" in told
    before = house.settings.published / "releases" / old
    assert "no earlier release" in (before / "CHANGES.md").read_text("utf-8")
    # the night of the tests leaves its report out (ROLLIN_REPORT)
    assert (before / "report" / "index.html").is_file() and (before / "public" / "report" / "index.html").is_file()
    assert not any(path.name == "report" for path in house.settings.current.resolve().rglob("*"))
    assert "report/index.html" not in (house.settings.current / "datapackage.json").read_text("utf-8")


def test_nights_that_keep_their_months_follow_each_other_and_equal_one_that_keeps_none(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = House(tmp_path / "other", house.world, house.now)
    shutil.copytree(house.home, other.home, symlinks=True)
    monkeypatch.setattr(parts, "KEPT_FROM_ROWS", 1)
    for _ in range(2):  # the second begins with what the first showed and settled
        assert house.night(days=1).outcome == "published"
    monkeypatch.undo()
    assert other.night(days=2).outcome == "published"
    shown = Path("public", "parquet", "core", "fct_usage_monthly.parquet")
    assert (house.settings.current / shown).is_dir() and (other.settings.current / shown).is_file()
    assert {path.name.partition(".")[0] for path in (house.settings.build / settled.FOLDER).iterdir()} == {"exact", "public"}
    for tier in ("", "public"):
        found = []
        for one in (house, other):
            with duckdb.connect(str(one.settings.current / tier / "warehouse.duckdb"), read_only=True) as con:
                found.append(con.execute("from core.fct_usage_monthly order by all").fetchall())
        assert found[0] == found[1] != []


def test_rollback_and_retention(tmp_path: Path, environment: None) -> None:
    os.environ["ROLLIN_KEEP_RELEASES"] = "2"
    press = Press(tmp_path)
    settings = press.settings
    first, *later = [press.publish(number) for number in (1, 2, 3)]
    kept = publication.release_ids(settings)
    assert kept == later and first not in kept
    assert publication.rollback(settings, None) == kept[0] == publication.current_id(settings)
    with pytest.raises(publication.UnknownRelease, match="no release"):
        publication.rollback(settings, first)
    damaged = settings.published / "releases" / kept[1] / "audit.json"
    damaged.chmod(0o644)
    damaged.write_text(damaged.read_text() + " ")
    with pytest.raises(publication.UnknownRelease, match="damaged"):
        publication.rollback(settings, kept[1])
    assert publication.current_id(settings) == kept[0]
