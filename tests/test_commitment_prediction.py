"""The prediction of open connections: what it must know, what it must not, and that its interval holds in hindcast."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from benchmarks import hindcast_commitment as hindcast
from dbt_project.estimators.commitment import INPUT_SCHEMA, OUTPUT_SCHEMA, predict_open

AS_OF, TARGET = date(2026, 10, 1), date(2026, 12, 31)
NO_SPELLS = pl.DataFrame(schema={"authority_id": pl.String, "days": pl.Int64, "is_resumed": pl.Boolean})


def connection(
    number: int, state: str, *, service: str = "ummeldung", target: date | None = TARGET, **more: object
) -> dict[str, object]:
    return {
        "land_code": "09",
        "service_id": service,
        "authority_id": f"meldebehoerde/{number}",
        "cluster": f"AG {number % 6}",
        "state": state,
        "planned_start_on": None,
        "started_on": None,
        "accepted_on": None,
        "suspended_on": None,
        "operational_days": 0,
        "suspensions": 0,
        "target_on": target,
        "is_experience": state in ("operational", "started"),
        **more,
    }


def experience(count: int, days: int = 60) -> list[dict[str, object]]:
    """Accepted after 40 to ``days`` days, the earliest begun 200 days ago."""
    rows = []
    for number in range(count):
        started = AS_OF - timedelta(days=100 + number % 100)
        accepted = started + timedelta(days=40 + number % (days - 39))
        rows.append(
            connection(
                number,
                "operational",
                started_on=started,
                accepted_on=accepted,
                planned_start_on=started,
                operational_days=(AS_OF - accepted).days,
            )
        )
    return rows


def predicted(rows: list[dict[str, object]]) -> dict[str, object]:
    frame = predict_open(pl.DataFrame(rows, schema=INPUT_SCHEMA), NO_SPELLS, AS_OF, draws=300)
    assert frame.schema == pl.Schema(OUTPUT_SCHEMA)
    return frame.to_dicts()[0]


def test_what_is_done_stays_done_without_a_history_of_regressions() -> None:
    found = predicted(experience(120))
    assert found["reason"] is None
    assert found["open_predicted_low_count"] == 0
    assert found["open_predicted_high_count"] <= 4  # none was seen in 9,000 days, which is not a proof


def test_young_work_is_done_in_time_and_work_planned_too_late_is_not() -> None:
    young = [connection(900 + i, "started", started_on=AS_OF - timedelta(days=10), planned_start_on=AS_OF) for i in range(50)]
    late = [connection(800 + i, "planned", planned_start_on=TARGET - timedelta(days=5)) for i in range(50)]
    soon, never = predicted(experience(120) + young), predicted(experience(120) + late)
    assert soon["open_predicted_count"] < 8
    assert never["open_predicted_low_count"] >= 25  # a deadline pulls some, not all
    assert never["area_wide_probability"] == 0
    assert never["open_predicted_high_count"] >= 45


def test_withdrawn_ones_stay_open() -> None:
    found = predicted([*experience(120), *[connection(700 + i, "withdrawn", accepted_on=AS_OF) for i in range(7)]])
    assert found["open_predicted_low_count"] >= 7 and found["area_wide_probability"] == 0


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([connection(i, "planned", planned_start_on=AS_OF) for i in range(30)], "too_few_events"),
        (experience(10), "too_few_events"),
        ([*experience(60), *[connection(600 + i, "unplanned") for i in range(10)]], "no_plan"),
        ([{**row, "target_on": None} for row in experience(60)], "no_target"),
        ([{**row, "target_on": AS_OF} for row in experience(60)], "target_passed"),
        (
            [*experience(60), *[connection(500 + i, "started", started_on=AS_OF - timedelta(days=150)) for i in range(30)]],
            "beyond_experience",
        ),
    ],
)
def test_what_cannot_be_known_has_its_reason(rows: list[dict[str, object]], reason: str) -> None:
    found = predicted(rows)
    assert found["reason"] == reason
    assert found["open_predicted_count"] is None and found["area_wide_probability"] is None


def test_the_same_night_gives_the_same_numbers() -> None:
    rows = experience(80) + [connection(900 + i, "started", started_on=AS_OF - timedelta(days=20)) for i in range(20)]
    assert predicted(rows) == predicted(rows)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell's draws are its own: whichever is computed first, and beside which other."""
    of_services = [[row | {"service_id": f"leistung_{n}"} for row in experience(60 + n)] for n in range(12)]
    frame = pl.DataFrame([row for rows in of_services for row in rows], schema=INPUT_SCHEMA)
    together = predict_open(frame, NO_SPELLS, AS_OF, draws=50)
    assert together["open_predicted_high_count"].is_not_null().all() and together["service_id"].n_unique() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert_frame_equal(together, predict_open(frame, NO_SPELLS, AS_OF, draws=50))


def test_the_interval_holds_in_hindcast() -> None:
    """A small run of ``benchmarks.hindcast_commitment``, of other worlds than its own; few, so chance is worth 5 points."""
    cells = hindcast.hindcast(worlds=4, seed=77)
    found = hindcast.summary(cells)
    assert found["cells"].sum() == 4 * 9 * 3
    assert (found["covered_share"] >= 0.85).all(), found
    assert (found["predicted_share"] > 0.4).all(), found
    assert (found["mean_width_share"] < 0.3).all(), found


def test_the_documentation_shows_the_large_hindcast_and_it_holds() -> None:
    """At least 500 worlds, and the interval holds the outcome in nine cells of ten at every horizon."""
    result = json.loads(hindcast.RESULT.read_text(encoding="utf-8"))
    assert result["worlds"] >= 500
    assert {row["horizon_days"] for row in result["rows"]} == set(hindcast.HORIZONS_DAYS)
    assert all(row["covered_share"] >= 0.9 for row in result["rows"])
    page = hindcast.PAGE.read_text(encoding="utf-8")
    assert page.partition(hindcast.MARKS[0])[2].partition(hindcast.MARKS[1])[0].strip() == hindcast.page_rows(result)
