"""Monthly counts in parts: each is computed once, again where deliveries changed it, and all of them are what one query would find."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from ingest.tables import TABLES
from orchestration import parts
from tests.dbt_inputs import run_dbt

SCHEMA = {name: pl.String if isinstance(kind, pl.Enum) else kind for name, kind in TABLES["usage"].polars_schema().items()}


def delivery(folder: Path, number: int, rows: list[dict[str, object]]) -> str:
    """A clean file of one delivery below ``folder``."""
    common = {
        "service_id": "ummeldung",
        "channel": "online",
        "grain": "day",
        "is_test": False,
        "is_retracted": False,
        "source": "s",
    }
    name = f"09.s.{number:03}.parquet"
    frame = pl.DataFrame([common | {"delivery_id": f"{number:03}"} | row for row in rows])
    (folder / "usage").mkdir(parents=True, exist_ok=True)
    frame.select(
        (pl.col(c) if c in frame.columns else pl.lit(None)).cast(kind).alias(c) for c, kind in SCHEMA.items()
    ).write_parquet(folder / "usage" / name)
    return f"usage/{name}"


def row(day: date, land_code: str = "09", **more: object) -> dict[str, object]:
    return {"authority_id": f"a/{land_code}", "period": day, "submitted": 1, "land_code": land_code, **more}


def of_counts(inputs: Path, store: Path) -> pl.DataFrame:
    return parts.lay_out(inputs, store).filter(pl.col("model") == "int_usage_month")


def laid_out(inputs: Path, store: Path) -> dict[tuple[str, str], list[str]]:
    return {(p["land_code"], f"{p['month']:%m}"): p["files"] for p in of_counts(inputs, store).iter_rows(named=True)}


def test_a_part_names_the_files_that_may_hold_rows_of_it(tmp_path):
    january, june, july = date(2026, 1, 31), date(2026, 6, 1), date(2026, 7, 31)
    first = delivery(tmp_path, 1, [row(january)])
    second = delivery(tmp_path, 2, [row(june), row(july)])
    federal = delivery(tmp_path, 3, [row(january, "06"), row(july, "09")])
    pl.DataFrame(schema=SCHEMA).write_parquet(tmp_path / "usage" / "schema.parquet")
    assert laid_out(tmp_path, tmp_path / "parts") == {
        ("06", "01"): [federal],
        ("09", "01"): [first],
        ("09", "06"): [second],
        ("09", "07"): [second, federal],
    }


def test_the_name_of_a_part_changes_with_its_deliveries_alone(tmp_path):
    def names() -> list[str]:
        return [Path(path).name for path in of_counts(tmp_path, tmp_path / "parts")["path"]]

    delivery(tmp_path, 1, [row(date(2026, 1, 5)), row(date(2026, 2, 5))])
    before = names()
    second = delivery(tmp_path, 2, [row(date(2026, 2, 6))])
    with_second = names()
    assert with_second[0] == before[0] and with_second[1] != before[1]
    (tmp_path / second).unlink()  # withdrawn
    assert names() == before


def test_files_without_statistics_are_read(tmp_path):
    name = delivery(tmp_path, 1, [row(date(2026, 1, 5)), row(date(2026, 3, 5))])
    frame = pl.read_parquet(tmp_path / name)
    frame.write_parquet(tmp_path / name, statistics=False)
    assert laid_out(tmp_path, tmp_path / "parts") == {("09", "01"): [name], ("09", "03"): [name]}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and then nothing"])
def test_what_a_power_cut_left_half_is_computed_again(tmp_path, content):
    delivery(tmp_path, 1, [row(date(2026, 1, 5))])
    [path] = of_counts(tmp_path, tmp_path / "parts")["path"]
    Path(path).write_bytes(content)
    assert of_counts(tmp_path, tmp_path / "parts")["is_kept"].to_list() == [False]


def test_months_are_kept_where_the_usage_has_as_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "usage").mkdir()
    pl.DataFrame(schema=SCHEMA).write_parquet(tmp_path / "usage" / "schema.parquet")
    assert not parts.are_months_kept(tmp_path)
    delivery(tmp_path, 1, [row(date(2026, 1, 5))] * 2)
    delivery(tmp_path, 2, [row(date(2026, 2, 5))])
    monkeypatch.setattr(parts, "KEPT_FROM_ROWS", 4)
    assert not parts.are_months_kept(tmp_path)
    monkeypatch.setattr(parts, "KEPT_FROM_ROWS", 3)
    assert parts.are_months_kept(tmp_path)


def test_parts_that_no_kept_run_names_go(tmp_path):
    delivery(tmp_path, 1, [row(date(2026, 1, 5))])
    store = tmp_path / "parts"
    laid = of_counts(tmp_path, store)
    (tmp_path / "part").mkdir()
    laid.write_parquet(tmp_path / "part" / "part.parquet")
    for path in (Path(laid["path"][0]), store / "int_usage_month" / "09.2026-01.other.parquet"):
        path.write_bytes(b"")
    assert parts.prune(store, [tmp_path]) == 1
    assert [path.name for path in store.glob("*/*")] == [Path(laid["path"][0]).name]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and then nothing"])
def test_a_run_killed_while_it_wrote_down_its_parts_stops_no_later_one(tmp_path: Path, content: bytes) -> None:
    store, killed = tmp_path / "parts", tmp_path / "killed"
    delivery(tmp_path, 1, [row(date(2026, 1, 5))])
    laid = of_counts(tmp_path, store)
    Path(laid["path"][0]).write_bytes(b"")
    for folder in (tmp_path, killed):
        (folder / "part").mkdir(parents=True)
    laid.write_parquet(tmp_path / "part" / "part.parquet")
    (killed / "part" / "part.parquet").write_bytes(content)
    assert parts.prune(store, [tmp_path, killed]) == 0


def test_a_home_that_moved_keeps_its_parts(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    delivery(before, 1, [row(date(2026, 1, 5))])
    laid = of_counts(before, before / "parts")
    Path(laid["path"][0]).write_bytes(b"")
    (before / "part").mkdir()
    laid.write_parquet(before / "part" / "part.parquet")
    before.rename(after)
    assert parts.prune(after / "parts", [after]) == 0


def counted(folder: Path, store: Path) -> tuple[list[list[tuple[object, ...]]], set[str]]:
    """The tables that dbt makes of ``folder``'s inputs over the parts in ``store``, and the names of the parts that it computed."""
    inputs = folder / "inputs"
    (inputs / "part").mkdir(exist_ok=True)
    before = {path.name for path in store.glob("*/*")}
    parts.lay_out(inputs, store).write_parquet(inputs / "part" / "part.parquet")
    (folder / "warehouse.duckdb").unlink(missing_ok=True)
    assert set(run_dbt(folder, "run", "--select", "stg_usage", *parts.MODELS).values()) == {"success"}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        tables = [con.execute(f"from intermediate.{model} order by all").fetchall() for model in parts.MODELS]
    return tables, {path.name for path in store.glob("*/*")} - before


def test_nights_that_compute_what_changed_find_what_one_that_computes_everything_finds(tmp_path):
    """Deliveries of two Länder over five months, with corrections, retractions, test traffic, both grains and a withdrawal."""
    rng = np.random.default_rng(20260121)
    usage = tmp_path / "inputs" / "usage"

    def deliver(number: int, months: tuple[int, int]) -> str:
        rows = {}
        for _ in range(60):
            land_code, grain = rng.choice(["06", "09"]), rng.choice(["day", "day", "month"])
            day = date(2026, rng.integers(*months, endpoint=True), 1) + timedelta(days=int(rng.integers(0, 28)))
            key = {
                "land_code": str(land_code),
                "authority_id": f"a/{land_code}{rng.integers(3)}",
                "period": day.replace(day=1) if grain == "month" else day,
                "grain": str(grain),
                "account": [None, "bundid"][rng.integers(2)],
                "is_test": bool(rng.random() < 0.1),
            }
            count = [None, 0, 1, 7][rng.integers(4)]
            rows[tuple(key.values())] = key | {"submitted": count, "is_retracted": bool(rng.random() < 0.15)}
        return delivery(tmp_path / "inputs", number, list(rows.values()))

    deliver(0, (1, 5))
    pl.DataFrame(schema=SCHEMA).write_parquet(usage / "schema.parquet")
    deliver(1, (5, 5))
    nights = [lambda: deliver(2, (4, 5)), lambda: (usage / "09.s.001.parquet").unlink()]
    [_, first] = counted(tmp_path, tmp_path / "parts")
    assert len(first) == 2 * 10
    expected = [{"04", "05"}, {"05"}]
    for number, (change, months) in enumerate(zip(nights, expected, strict=True)):
        change()
        tables, computed = counted(tmp_path, tmp_path / "parts")
        assert {name[8:10] for name in computed} == months  # of ten parts the changed ones
        whole, everything = counted(tmp_path, tmp_path / f"night {number}'s")
        assert tables == whole and len(everything) == 2 * 10 and all(tables)
    assert counted(tmp_path, tmp_path / "parts")[1] == set()
