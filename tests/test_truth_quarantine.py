"""Rows of two sample worlds: every faulty one is in quarantine under its rule, no sound one is, and every row is accounted for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import PurePosixPath

import polars as pl

from tests.recompute import Night, night  # noqa: F401 (a fixture)

Row = tuple[str, str, str, str]


def _rows(frame: pl.DataFrame) -> Counter[Row]:
    """Rows as a multiset of Land, source, rule and content: names sorted, empty values left out."""
    found: Counter[Row] = Counter()
    for land, source, rule, raw in frame.select("land_code", "source", "rule", "raw").iter_rows():
        content = {name: value for name, value in json.loads(raw).items() if value not in (None, "")}
        assert content, raw
        found[land, source, rule, json.dumps(content, sort_keys=True, ensure_ascii=False)] += 1
    return found


def _quarantine(night: Night) -> pl.DataFrame:  # noqa: F811
    return pl.concat([pl.read_parquet(path) for path in (night.home / "quarantine").rglob("*.parquet")])


def test_faulty_rows_are_in_quarantine_under_their_rule_and_sound_ones_are_not(night: Night) -> None:  # noqa: F811
    expected, actual = _rows(night.truth.table("dirty_rows")), _rows(_quarantine(night))
    assert expected.total() > 500
    assert expected - actual == Counter()
    assert actual - expected == Counter()


def test_every_rule_but_one_is_broken_somewhere(night: Night) -> None:  # noqa: F811
    """No key of the sample is ambiguous; tests of cleaning make one that is."""
    from ingest.tables import QUARANTINE_RULES

    assert set(night.truth.table("dirty_rows")["rule"]) == set(QUARANTINE_RULES) - {"ambiguous_key"}


def test_a_quarantined_row_says_where_it_stood_and_why(night: Night) -> None:  # noqa: F811
    quarantine = _quarantine(night)
    where = ["land_code", "source", "delivery_id", "row_number"]
    assert not quarantine.select(where).is_duplicated().any()
    assert quarantine.filter(pl.any_horizontal(pl.col("reason", "reason_en").str.strip_chars().str.len_chars() < 10)).is_empty()
    delivered = night.published("meta.delivery").select("land_code", "source", "delivery_id", "rows_delivered")
    placed = quarantine.join(delivered, on=["land_code", "source", "delivery_id"], how="left")
    assert placed.filter(~pl.col("row_number").is_between(1, pl.col("rows_delivered")).fill_null(False)).is_empty()


def test_the_release_sums_up_the_quarantine(night: Night) -> None:  # noqa: F811
    counted = night.truth.table("dirty_rows").group_by("land_code", "source", "rule").len()
    expected = {(land, source, rule): count for land, source, rule, count in counted.iter_rows()}
    summary = night.published("meta.quarantine_summary").select("land_code", "source", "rule", "row_count")
    assert {(land, source, rule): count for land, source, rule, count in summary.iter_rows()} == expected


def test_rows_delivered_are_kept_quarantined_or_superseded_per_delivery(night: Night) -> None:  # noqa: F811
    """Delivery by delivery, all of them admitted; the monthly files of a source are told apart by their names in the landing."""

    def key(land: str, source: str, name: str) -> tuple[str, str, str]:
        return land, source, name if name.startswith(("kosten-", "nutzung-")) else ""

    expected = {}
    for land, source, file, delivered, quarantined, superseded, retracted in night.truth.table("delivery_counts").iter_rows():
        gone = superseded + retracted
        expected[key(land, source, PurePosixPath(file).name)] = (
            True,
            delivered,
            delivered - quarantined - gone,
            quarantined,
            gone,
        )
    actual = {}
    counts = ("rows_delivered", "rows_current", "rows_quarantined", "rows_superseded")
    deliveries = night.published("meta.delivery").select("land_code", "source", "delivery_id", "is_admitted", *counts)
    for land, source, delivery_id, *numbers in deliveries.iter_rows():
        sidecar = json.loads((night.home / "landing" / land / source / f"{delivery_id}.json").read_text(encoding="utf-8"))
        actual[key(land, source, sidecar["parts"][0]["name"])] = tuple(numbers)
    assert len(actual) == deliveries.height
    assert actual == expected
