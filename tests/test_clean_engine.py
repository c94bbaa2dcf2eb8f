"""What must hold whatever is delivered: no row is lost or invented, clean rows are what is declared, nothing crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean.engine import QUARANTINE_SCHEMA, RULE_ORDER
from ingest.landfile import Reading
from ingest.tables import TABLES, Delivered
from tests.clean_world import clean
from tests.test_clean_rules import SOUND

#: Text that a cell may hold: anything at all, and things that are nearly right.
ANYTHING = st.none() | st.text(max_size=30)
NEARLY = st.sampled_from(
    [
        "09174", "09161000", "091845401112", "06435014", "064150000000", "9174", "099999", "fahrerlaubnisbehoerde/09174", "bauaufsicht/",
        "2026-03-01", "2026-02-30", "01.03.2026", "2026-03-01T25:00:00Z", "2026-03-29T02:30:00", "9999-12-31", "0000-00-00", "2026-13",
        "1", "-1", "1.5", "1,5", "1.234", "1e400", "-0", "12 T€", "€", "+", "999999999999999999999999", "0.000000000001", "١٢", "--1",
        "ja", "nein", "true", "", " ", "\u00a0", "=1+1", "x" * 3_000, "\u0000", "fuehrerschein", "operational", "online", "month", "day",
        "listed", "PC", "DE", "99115005104000", "https://a.example/", "zensus_2022", "gemeinde", "integration", "invoiced", "2025", "%d", "{}",
    ]
)  # fmt: skip


def own_columns(table: str) -> list[str]:
    names = [name for name in TABLES[table].schema.columns() if name not in Delivered.column_names()]
    return [*names, "region_key"] if TABLES[table].day else names


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[str, pl.DataFrame, Reading]:
    """A table, a delivery of text for it with any of its columns and strange ones, and a reading."""
    table = draw(st.sampled_from(sorted(TABLES)))
    patterns = st.sampled_from(["*", "^.*$", "raw:0", "text:ags", "land_code", "_x", "{}", ""])
    strange = patterns | st.text(max_size=12).filter(lambda name: name not in ("_row", "_malformed"))
    names = draw(st.lists(st.sampled_from(own_columns(table)) | strange, min_size=1, max_size=30, unique=True))
    rows = draw(st.integers(0, 6))
    cells = {name: draw(st.lists(NEARLY | ANYTHING, min_size=rows, max_size=rows)) for name in names}
    frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String))
    if draw(st.booleans()) and rows:
        repeated = draw(st.lists(st.integers(0, rows - 1), max_size=4))
        frame = pl.concat([frame, frame[repeated]])
    frame = frame.with_columns(pl.int_range(1, frame.height + 1, dtype=pl.Int64).alias("_row"))
    reading = draw(
        st.sampled_from([Reading(), Reading(date="%d.%m.%Y", decimal=",", thousands="."), Reading(date="%m/%Y", thousands=" ")])
    )
    return table, frame, reading


def check(frame: pl.DataFrame, table: str, outcome: Any, rows: pl.DataFrame, quarantined: pl.DataFrame) -> None:
    assert outcome.rows_delivered == frame.height == rows.height + quarantined.height
    assert outcome.rows_clean == rows.height
    assert outcome.quarantined == dict(quarantined.group_by("rule").len().iter_rows())
    assert rows.schema == TABLES[table].polars_schema() and TABLES[table].schema.is_valid(rows)
    assert quarantined.schema == QUARANTINE_SCHEMA
    assert set(quarantined["rule"]) <= set(RULE_ORDER)
    assert quarantined["row_number"].is_unique().all() and set(quarantined["row_number"]) <= set(frame["_row"])
    for name in ("rule", "reason", "reason_en", "raw"):
        assert quarantined[name].null_count() == 0
    for raw in quarantined["raw"]:
        assert set(json.loads(raw)) == set(frame.columns) - {"_row", "_malformed"}
    keys = [name for name in TABLES[table].key if name in rows.columns]
    if table != "connections":
        assert not rows.select("land_code", *keys).is_duplicated().any()


@given(deliveries(), st.sampled_from(["09", "06", "00"]))
def test_any_text_ends_in_exactly_one_place(delivery: tuple[str, pl.DataFrame, Reading], land_code: str) -> None:
    table, frame, reading = delivery
    with tempfile.TemporaryDirectory() as folder:
        outcome, rows, quarantined = clean(Path(folder), table, frame, land_code, reading=reading)
    check(frame, table, outcome, rows, quarantined)


@given(
    st.sampled_from(sorted(SOUND)).flatmap(
        lambda table: st.tuples(
            st.just(table),
            st.lists(
                st.dictionaries(st.sampled_from(own_columns(table)), NEARLY | ANYTHING, max_size=3), min_size=1, max_size=12
            ),
        )
    )
)
def test_sound_rows_with_a_few_cells_changed(delivery: tuple[str, list[dict[str, Any]]]) -> None:
    table, changed = delivery
    frame = pl.DataFrame([SOUND[table] | row for row in changed], infer_schema_length=None)
    frame = frame.select(pl.all().cast(pl.String), pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row"))
    with tempfile.TemporaryDirectory() as folder:
        outcome, rows, quarantined = clean(Path(folder), table, frame, "00")
    check(frame, table, outcome, rows, quarantined)


USAGE = st.fixed_dictionaries(
    {
        "region_key": st.sampled_from(["09174", "09161000", "091610000000", "09184", "09999"]),
        "service_id": st.just("fuehrerschein"),
        "period": st.sampled_from(["2026-03-01", "2026-04-01", "2026-09-01"]),
        "grain": st.just("month"),
        "channel": st.sampled_from(["online", "counter", "fax"]),
        "submitted": st.sampled_from(["1", "1.0", "2", None, "x"]),
    }
)


@given(st.lists(USAGE, min_size=1, max_size=25))
def test_duplicates_and_conflicts_are_what_a_plain_count_says(rows: list[dict[str, Any]]) -> None:
    """The same answer as row-by-row bookkeeping in plain Python."""
    names = {"09174": "09174", "09161000": "09161", "091610000000": "09161", "09184": "09184"}
    sound = [
        (number, (names[row["region_key"]], row["period"], row["channel"]), (row["submitted"] or "").removesuffix(".0"))
        for number, row in enumerate(rows, 1)
        if row["region_key"] in names and row["channel"] != "fax" and row["submitted"] != "x" and row["period"] < "2026-09"
    ]
    first: dict[tuple[Any, str], int] = {}
    expected: dict[int, str] = {}
    for number, key, content in sound:
        if first.setdefault((key, content), number) != number:
            expected[number] = "duplicate"
    contents: dict[Any, set[str]] = {}
    for key, content in first:
        contents.setdefault(key, set()).add(content)
    for (key, _), number in first.items():
        if len(contents[key]) > 1:
            expected[number] = "conflict"
    with tempfile.TemporaryDirectory() as folder:
        _, _, quarantined = clean(Path(folder), "usage", rows)
    repeated = quarantined.filter(pl.col("rule").is_in(["duplicate", "conflict"]))
    assert dict(repeated.select("row_number", "rule").iter_rows()) == expected


@pytest.mark.parametrize("count", [1, 2_500])
def test_rows_keep_their_order_and_their_number(count: int, tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(count)}).select(
        pl.lit("09174").alias("region_key"),
        pl.lit("fuehrerschein").alias("service_id"),
        (pl.date(2020, 1, 1) + pl.duration(days=pl.col("n") % 2_000)).dt.to_string("%Y-%m-%d").alias("period"),
        pl.lit("day").alias("grain"),
        pl.lit("online").alias("channel"),
        pl.col("n").cast(pl.String).alias("submitted"),
    )
    outcome, rows, quarantined = clean(tmp_path, "usage", frame)
    conflicting = max(0, count - 2_000)  # the days begin again after 2,000 rows
    assert outcome.rows_clean == count - 2 * conflicting and outcome.quarantined == (
        {"conflict": 2 * conflicting} if conflicting else {}
    )
    assert rows["submitted"].to_list() == list(range(conflicting, min(count, 2_000)))
    assert quarantined["row_number"].is_sorted()


def test_keys_are_compared_across_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.clean.engine._PARTITION_ROWS", 7)
    rows = [
        {"region_key": "09174", "service_id": "fuehrerschein", "year": str(2000 + n % 25), "cases": str(n // 40)}
        for n in range(50)
    ]
    outcome, _, _ = clean(tmp_path, "case_volumes", rows)
    assert outcome.quarantined == {"duplicate": 15, "conflict": 20} and outcome.rows_clean == 15


def test_a_delivery_that_is_cleaned_in_slices_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "region_key": ("09174", "09161000", "09999")[n % 97 // 48],
            "service_id": "fuehrerschein",
            "period": f"{1 + n % 28:02d}.05.{2022 + n // 500}" if n % 31 else "31.02.2026",
            "grain": "day",
            "channel": ("online", "counter")[n % 2],
            "submitted": str(7 if n % 28 else n),
        }
        for n in range(2_000)
    ]
    reading = Reading(date="%d.%m.%Y")
    whole = clean(tmp_path, "usage", rows, reading=reading)
    monkeypatch.setattr("ingest.clean.engine._SLICE_ROWS", 300)
    sliced = clean(tmp_path, "usage", rows, reading=reading)
    assert sliced[0] == whole[0]
    assert whole[0].quarantined.keys() == {"malformed", "unknown_key", "conflict", "duplicate"} and whole[0].rows_clean > 200, (
        whole[0]
    )
    assert all(ours.equals(theirs) for ours, theirs in zip(sliced[1:], whole[1:], strict=True))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_polars_has_two_threads_on_a_single_core() -> None:
    """With one it panics on the sample."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "import ingest.clean, polars; print(polars.thread_pool_size())"
    )
    environ = {name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"}
    ran = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["2"]
