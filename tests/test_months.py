"""What is kept by month: a night computes the months that something has changed for, and finds what one that computes all of them finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from dbt_project import PROJECT_DIR
from orchestration import parts, publication
from tests.dbt_inputs import AS_OF, MUENCHEN, NEUSTADT, d, delivered, event, run_dbt, usage, world, write_inputs

#: Tables of the build that are kept, and the models that write them.
TABLES = {
    "core.fct_usage_monthly": "fct_usage_monthly",
    "intermediate.int_usage_channel": "int_usage_channel",
    "intermediate.int_usage_authority_month": "int_usage_authority_month",
    "intermediate.int_adoption_month": "int_adoption_month",
    "intermediate.int_account_month": "int_account_month",
    "intermediate.int_public_cell": "int_public_cell",
    "intermediate.int_public_usage": "int_public_usage",
    "intermediate.int_public_total": "int_public_total",
    "public_core.fct_usage_monthly": "public_fct_usage_monthly",
}

World = dict[str, list[dict[str, Any]]]


def build(
    folder: Path,
    tables: World,
    store: Path | None,
    as_of: date = AS_OF,
    known: Sequence[dict[str, Any]] = (),
    territory_on: date = AS_OF,
) -> dict[str, list[Any]]:
    """The kept tables of a build of ``tables`` as of a day, with what an earlier build left in ``store``."""
    folder.mkdir()
    inputs = write_inputs(folder / "inputs", tables, territory_on=territory_on, public_usage=list(known))
    # as in a night, a file of its own for what is delivered later
    rows = inputs / "usage" / "rows.parquet"
    for frame in pl.read_parquet(rows).partition_by("source"):
        frame.write_parquet(rows.with_name(f"{frame['source'][0]}.parquet"))
    rows.unlink()
    parts.lay_out(inputs, folder / "parts").write_parquet(inputs / "part" / "part.parquet")
    run = folder / "inputs" / "run" / "rows.parquet"
    pl.read_parquet(run).with_columns(as_of=pl.lit(as_of)).write_parquet(run)
    with pytest.MonkeyPatch.context() as patch:
        if store is not None:
            parts.make_store(store)
            patch.setenv("ROLLIN_PARTS", str(store))
        results = run_dbt(
            folder,
            "build",
            "--resource-type",
            "model",
            "--resource-type",
            "seed",
            "--select",
            "+public_fct_usage_monthly",
            "+adoption_by_account",
            "+public_adoption_monthly",
        )
    assert set(results.values()) == {"success"}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        return {table: con.execute(f"select * from {table} order by all").fetchall() for table in TABLES}


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """What a build of the world leaves in an empty store, and its tables."""
    folder = tmp_path_factory.mktemp("months") / "kept=here"  # a name that is no column
    folder.mkdir()
    return folder / "store", build(folder / "before", world(), folder / "store")


def late_usage(tables: World) -> None:
    tables["usage"] += delivered([usage(NEUSTADT, d(1, 1), "month", "counter", 4)], "nachtrag", d(3, 10))


def live_earlier(tables: World) -> None:
    earlier = event("bauantrag", "09575", "operational", date(2025, 12, 15), 1)
    tables["connections"] += delivered([earlier], "verbindungen", d(3, 10))


def nothing(tables: World) -> None:
    pass


SHOWN = {
    "land_code": "09",
    "authority_id": f"meldebehoerde/{MUENCHEN}",
    "service_id": "ummeldung",
    "month": d(1, 1),
    "channel": "online",
    "submitted": None,
    "is_suppressed": True,
    "suppression_pool": 1,
    "reporting_status": "reported",
}


@pytest.mark.parametrize(
    ("change", "later", "known", "computed", "masked"),
    [
        (nothing, 0, [], set(), set()),
        # the running month, and the one before it whose deliveries may still come in
        (nothing, 1, [], {"2026-02", "2026-03"}, {"2026-02", "2026-03"}),
        (late_usage, 0, [], {"2026-01"}, {"2026-01"}),
        (live_earlier, 0, [], {"2025-12", "2026-01"}, {"2025-12", "2026-01"}),
        (nothing, 0, [SHOWN], set(), {"2026-01"}),
    ],
    ids=["nothing", "a day later", "late usage", "live earlier", "another public release"],
)
def test_a_night_computes_the_months_that_changed(
    tmp_path: Path,
    first_night: tuple[Path, dict[str, list[Any]]],
    change: Callable[[World], None],
    later: int,
    known: list[dict[str, Any]],
    computed: set[str],
    masked: set[str],
) -> None:
    store, as_of = tmp_path / "store", AS_OF + timedelta(days=later)
    shutil.copytree(first_night[0], store)
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/*.parquet")}
    tables = world()
    change(tables)
    kept = build(tmp_path / "kept", tables, store, as_of, known)
    assert kept == build(tmp_path / "whole", tables, None, as_of, known)
    assert all(kept[table] for table in TABLES)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what is kept is not written again
    new = {(path.parent.name, path.name.partition(".")[0]) for path in set(store.glob("*/*.parquet")) - set(before)}
    for model in parts.BY_MONTH:
        expected = masked if model in ("int_public_usage", "int_public_total", "public_fct_usage_monthly") else computed
        if model == "int_public_usage":  # has months with a count alone, and none of the public tier's are younger than January
            expected = expected & {"2026-01"}
        assert {month for name, month in new if name == model} == expected, model


def test_a_change_of_territory_reaches_what_is_kept(tmp_path: Path, first_night: tuple[Path, dict[str, list[Any]]]) -> None:
    store, earlier = tmp_path / "store", date(2025, 12, 31)
    shutil.copytree(first_night[0], store)
    kept = build(tmp_path / "kept", world(), store, territory_on=earlier)
    assert kept == build(tmp_path / "whole", world(), None, territory_on=earlier)
    assert kept["core.fct_usage_monthly"] != first_night[1]["core.fct_usage_monthly"]


def test_the_audit_finds_the_kept_months_of_a_build(first_night: tuple[Path, dict[str, list[Any]]]) -> None:
    published = ("fct_usage_monthly", "public_fct_usage_monthly")
    kept = sorted(path for model in published for path in (first_night[0] / model).glob("*.parquet"))
    assert publication.files_beside(first_night[0].with_name("before") / "warehouse.duckdb") == kept
    assert {path.parent.name for path in kept} == set(published)


def test_the_folder_of_a_home_adds_no_column(first_night: tuple[Path, dict[str, list[Any]]]) -> None:
    with duckdb.connect(str(first_night[0].with_name("before") / "warehouse.duckdb"), read_only=True) as con:
        found = con.execute("select table_schema || '.' || table_name from information_schema.columns where column_name = 'kept'")
        assert found.fetchall() == []


def test_the_audit_is_of_the_kept_months_too(tmp_path: Path) -> None:
    month, path = tmp_path / "the month's.parquet", tmp_path / "warehouse.duckdb"
    pl.DataFrame({"submitted": [1]}).write_parquet(month)
    with duckdb.connect(str(path)) as con:
        con.execute("create schema core")
        con.execute(f"create view core.fct_usage_monthly as from read_parquet(['{str(month).replace(chr(39), chr(39) * 2)}'])")
    audited = publication.sha256_of_build(path)
    assert audited == publication.sha256_of_build(path) != publication.sha256_of(path)
    pl.DataFrame({"submitted": [2]}).write_parquet(month)
    assert publication.sha256_of_build(path) != audited


def test_what_a_power_cut_left_half_goes_and_all_of_it_where_everything_is_computed_anew(tmp_path: Path) -> None:
    parts.make_store(tmp_path)
    half, whole = (tmp_path / "fct_usage_monthly" / f"2026-0{n}.0.parquet" for n in (1, 2))
    half.write_bytes(b"PAR1 and then nothing")
    pl.DataFrame({"month": [1]}).write_parquet(whole)
    parts.make_store(tmp_path)
    assert not half.exists() and whole.exists()
    parts.make_store(tmp_path, anew=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*parts.MODELS, *parts.BY_MONTH))
    assert not whole.exists()


def test_of_a_month_as_many_files_stay_as_runs(tmp_path: Path) -> None:
    parts.make_store(tmp_path)
    folder = tmp_path / "int_usage_channel"
    for n, name in enumerate(("2026-01.c", "2026-01.a", "2026-01.b", "2025-12.z")):
        path = folder / f"{name}.parquet"
        path.write_bytes(b"")
        os.utime(path, (n, n))
    runs = [tmp_path / "run", tmp_path / "another"]
    assert parts.prune(tmp_path, runs) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["2025-12.z.parquet", "2026-01.a.parquet", "2026-01.b.parquet"]


def test_the_models_that_are_kept_by_month_are_those_that_dbt_keeps() -> None:
    """``int_public_usage`` is of Python and keeps its months itself."""
    models = (PROJECT_DIR / "models").rglob("*.sql")
    by_dbt = {path.stem for path in models if "materialized='months'" in path.read_text(encoding="utf-8")}
    assert by_dbt | {"int_public_usage"} == set(parts.BY_MONTH)
