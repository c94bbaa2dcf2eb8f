"""Every published number about Kreise, classes, pilots, phases, regressions, use and paces against its recomputation from the truth."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from tests import recompute_coverage
from tests.recompute import Night, Truth, differences, night  # noqa: F401 (a fixture)

#: What only the prediction says.
PREDICTED = [
    "open_predicted_count",
    "open_predicted_low_count",
    "open_predicted_high_count",
    "coverage_predicted_share",
    "coverage_predicted_low_share",
    "coverage_predicted_high_share",
    "area_wide_probability",
    "prediction_reason",
]

PUBLISHED: list[tuple[str, Callable[[Truth], pl.DataFrame], list[str], list[str]]] = [
    (
        "metrics.coverage_by_kreis",
        recompute_coverage.coverage_by_kreis,
        ["land_code", "service_id", "kreis_code", "as_of"],
        ["kreis_name"],
    ),
    (
        "metrics.coverage_class_comparison",
        recompute_coverage.coverage_class_comparison,
        ["land_code", "service_id", "kreis_code"],
        ["kreis_name"],
    ),
    (
        "metrics.pilot_coverage_daily",
        recompute_coverage.pilot_coverage_daily,
        ["land_code", "service_id", "as_of", "is_pilot"],
        [],
    ),
    ("metrics.time_in_phase", recompute_coverage.time_in_phase, ["land_code", "service_id", "phase"], []),
    ("metrics.regression", recompute_coverage.regression, ["authority_id", "service_id", "regressed_on"], []),
    ("metrics.regression_monthly", recompute_coverage.regression_monthly, ["land_code", "service_id", "month"], []),
    ("metrics.operational_use", recompute_coverage.operational_use, ["land_code", "service_id"], []),
    ("metrics.commitment_status", recompute_coverage.commitment_status, ["land_code", "service_id"], PREDICTED),
]


@pytest.mark.parametrize(("table", "recomputed", "grain", "but"), PUBLISHED, ids=[name for name, *_ in PUBLISHED])
def test_every_number_of_coverage_equals_its_recomputation(
    night: Night,  # noqa: F811
    table: str,
    recomputed: Callable[[Truth], pl.DataFrame],
    grain: list[str],
    but: list[str],
) -> None:
    expected = recomputed(night.truth)
    assert expected.height >= 10
    assert differences(expected, night.published(table), grain, but) == []


def test_the_survival_curve_equals_its_recomputation(night: Night) -> None:  # noqa: F811
    """Of the strata that the Land files alone tell apart."""
    expected = recompute_coverage.time_to_operational(night.truth)
    published = night.published("metrics.time_to_operational")
    published = published.filter(pl.col("stratum_kind").is_in(["all", "land", "service", "land_service"]))
    assert expected.height > 500
    intervals = [
        "survival_se_share",
        "survival_low_share",
        "survival_high_share",
        "operational_low_share",
        "operational_high_share",
    ]
    # 1 - survival_share loses digits where the curve is near 1: the curve itself is compared to 1e-12
    assert differences(expected, published, ["stratum_kind", "stratum", "days"], [*intervals, "operational_share"]) == []


def test_the_worlds_hold_what_the_comparison_is_about(night: Night) -> None:  # noqa: F811
    """Every class and reason that a sample world can have, stuck authorities, regressions that ended and that last, pilots, unknown use."""
    classes = recompute_coverage.coverage_class_comparison(night.truth)
    assert {"kreisweit flächendeckend", "in mind. einer Kommune verfügbar", None} <= set(classes["own_coverage_class"])
    assert {"not_comparable", "inherited"} <= set(classes["difference_reason"])
    assert set(classes["is_local_equal"]) == {True, False, None}
    phases = recompute_coverage.time_in_phase(night.truth)
    assert phases["authorities_stuck"].sum() > 0
    assert {"no_next_phase", "too_few_completed", None} == set(phases["stuck_reason"])
    assert set(recompute_coverage.regression(night.truth)["is_interrupted"]) == {True, False}
    use = recompute_coverage.operational_use(night.truth)
    assert (use["authorities_reporting_count"] < use["authorities_operational"]).any()
    pilots = recompute_coverage.pilot_coverage_daily(night.truth).filter(as_of=night.truth.as_of)
    assert pilots.filter("is_pilot")["authorities_operational"].sum() > 0
    assert pilots.filter("is_pilot")["coverage_authority_share"].null_count() > 0
    assert recompute_coverage.commitment_status(night.truth)["before_programme_pace_per_week"].sum() > 0
