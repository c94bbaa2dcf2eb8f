"""Kaplan–Meier in SQL against a published table and statsmodels."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import jinja2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_project import PROJECT_DIR

METRICS = PROJECT_DIR / "models" / "metrics"


def curve(spells: pl.DataFrame) -> pl.DataFrame:
    """``time_to_operational`` over spells with ``entry_days``, ``days``, ``is_event``, as one stratum."""
    sql = jinja2.Template((METRICS / "time_to_operational.sql").read_text()).render(ref=lambda name: name)
    with duckdb.connect() as con:
        con.execute(
            "create table int_survival_spell (stratum_kind varchar, stratum varchar, land_code varchar, service_id varchar, "
            "entry_days bigint, days bigint, is_event boolean)"
        )
        con.executemany(
            "insert into int_survival_spell values ('all', 'all', null, null, ?, ?, ?)",
            spells.select("entry_days", "days", "is_event").rows(),
        )
        result = con.execute(f"select * from ({sql}) order by days")
        names = [column[0] for column in result.description]
        return pl.DataFrame(result.fetchall(), schema=names, orient="row")


def spells_of(days: list[int], is_event: list[bool], entry: list[int] | None = None) -> pl.DataFrame:
    return pl.DataFrame({"entry_days": entry or [0] * len(days), "days": days, "is_event": is_event})


def gehan(shared_data: Path, arm: str) -> pl.DataFrame:
    with (shared_data / "statistics" / "gehan_6mp_MASS.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["treat"] == arm]
    return spells_of([int(row["time"]) for row in rows], [row["cens"] == "1" for row in rows])


def test_the_published_6_mp_table(shared_data: Path) -> None:
    found = curve(gehan(shared_data, "6-MP")).filter(pl.col("event_count") > 0)
    assert found["days"].to_list() == [6, 7, 10, 13, 16, 22, 23]
    assert found["survival_share"].round(4).to_list() == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert found["at_risk_count"].to_list() == [21, 17, 15, 12, 11, 7, 6]


@pytest.mark.parametrize(("arm", "median_days"), [("6-MP", 23), ("control", 8)])
def test_the_published_medians(shared_data: Path, arm: str, median_days: int) -> None:
    found = curve(gehan(shared_data, arm))
    assert found.filter(pl.col("survival_share") <= 0.5)["days"].min() == median_days


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.integers(0, 10)), min_size=1, max_size=60))
def test_equal_to_statsmodels(rows: list[tuple[int, bool, int]]) -> None:
    from statsmodels.duration.survfunc import SurvfuncRight

    days = [day + entry for day, _, entry in rows]
    is_event, entry = [event for _, event, _ in rows], [entry for *_, entry in rows]
    found = curve(spells_of(days, is_event, entry)).filter(pl.col("event_count") > 0)
    # there as here somebody is at risk from the day after the entry on
    expected = SurvfuncRight(np.array(days), np.array(is_event, dtype=int), entry=np.array(entry, dtype=float))
    keep = expected.n_events > 0
    known = expected.n_risk > 0
    assert found["days"].to_list() == expected.surv_times[keep & known].tolist()
    assert np.allclose(found["survival_share"].to_numpy(), expected.surv_prob[keep & known], rtol=1e-12, atol=1e-12)
    positive = found["survival_share"].to_numpy() > 0
    assert np.allclose(
        found["survival_se_share"].to_numpy()[positive].astype(float),
        expected.surv_prob_se[keep & known][positive],
        rtol=1e-9,
        atol=1e-12,
    )


def test_an_interval_stays_within_0_and_1_and_is_unknown_where_nobody_or_everybody_is_left() -> None:
    found = curve(spells_of([5, 7, 9, 12], [False, True, True, True]))
    assert found["survival_share"].to_list() == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])
    assert found["survival_low_share"].to_list()[0] is None and found["survival_low_share"].to_list()[-1] is None
    middle = found.slice(1, 2)
    assert all(
        0 < low < share < high < 1
        for low, share, high in middle.select("survival_low_share", "survival_share", "survival_high_share").iter_rows()
    )
    assert found["survival_se_share"].to_list()[-1] is None


def test_somebody_who_enters_late_is_not_at_risk_before() -> None:
    found = curve(spells_of([3, 10, 10], [True, True, False], [0, 5, 0]))
    assert found["at_risk_count"].to_list() == [2, 2]
    assert found["survival_share"].to_list() == pytest.approx([0.5, 0.25])
