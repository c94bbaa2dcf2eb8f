"""What the test of the economies of scale looks at, against its recomputation from the truth of three sample worlds; and its verdict."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dbt_project import preregistration
from dbt_project.estimators import scale
from tests.recompute import Night, differences, long_night, night  # noqa: F401 (fixtures)
from tests.recompute_cost import assumption
from tests.recompute_scale import scale_observation
from tests.test_verdict_by_hand import agree, by_hand

TABLE, GRAIN = "metrics.scale_observation", ["authority_id", "service_id"]


def test_every_observation_equals_its_recomputation(night: Night) -> None:  # noqa: F811
    expected = scale_observation(night.truth)
    assert expected.height > 500
    assert differences(expected, night.published(TABLE), GRAIN) == []


def test_every_observation_after_more_than_a_year_equals_its_recomputation(long_night: Night) -> None:  # noqa: F811
    assert differences(scale_observation(long_night.truth), long_night.published(TABLE), GRAIN) == []


def test_the_worlds_hold_what_the_comparison_is_about(night: Night, long_night: Night) -> None:  # noqa: F811
    """Open, accepted and invoiced connections; prices by contract; allocated cost; experience of more than one Land; a moved town."""
    young, old = scale_observation(night.truth), scale_observation(long_night.truth)
    for rows in (young, old):
        assert set(rows["is_accepted"]) == set(rows["is_invoiced"]) == {True, False}
        assert (rows["is_accepted"] & ~rows["is_invoiced"]).any()
        assert {"actual", "mixed"} <= set(rows["price_mechanism"])
        assert rows["allocation_direct_share"].min() < 0.9  # type: ignore[operator]
        assert (rows["cumulative_connections"] > rows["baseline_connections"]).any()
        assert (rows["wave"] != rows["planned_wave"]).any()
        assert (rows["difficulty_recorded_on"] < rows["wave_started_on"]).mean() > 0.95  # type: ignore[operator]
    assert young["cost_variable_eur"].null_count() > 0
    assert set(young["phase_weight"]) >= {0.5, 0.8, 1.0}
    shared = young.filter(service_id="aufenthalt").group_by("land_code").agg(pl.max("baseline_connections"))
    assert shared["baseline_connections"].n_unique() == 1 < shared.height


def test_the_shape_is_that_of_the_estimators(night: Night) -> None:  # noqa: F811
    assert set(night.published(TABLE).columns) == set(scale.OBSERVATION_SCHEMA)


def test_the_published_verdict_before_the_look_equals_the_one_by_hand(night: Night) -> None:  # noqa: F811
    assert_by_hand(night, is_due=False)


def test_the_published_verdict_after_the_look_equals_the_one_by_hand(long_night: Night) -> None:  # noqa: F811
    assert_by_hand(long_night, is_due=True)


def assert_by_hand(one: Night, *, is_due: bool) -> None:
    """The programme's verdict of a whole night from its published Parquet alone."""
    release: Path = one.home / "published" / "current"
    stored = pl.read_parquet(release / "parquet" / "metrics" / "scale_verdict.parquet")
    row = stored.row(by_predicate=(pl.col("claim") == "C1") & (pl.col("outcome") == "cost"), named=True)
    assert (row["verdict"] != "not_due") == is_due
    found = by_hand(release / "parquet" / "metrics" / "scale_observation.parquet", one.truth.as_of)
    if row["estimate"] is None:  # too little has been accepted and invoiced for an estimate that could be compared
        assert (row["verdict"], found["verdict"]) == ("not_due", "not_due")
    else:
        agree(row, found)
    assert set(stored["prereg_sha256"]) == {preregistration.load().sha256}
    invoices = one.ask("select min(booked_on) from core.fct_cost where entry_status = 'invoiced'")
    assert [(row["first_cost_on"],)] == invoices


def test_the_rule_and_the_cost_metrics_weigh_phases_alike() -> None:
    weights = preregistration.load().phase_weights
    for phase in ("integrating", "onboarding", "operational"):
        assert float(assumption(f"phase_weight_{phase}")) == getattr(weights, phase)


def test_a_look_waits_until_its_cohort_can_be_invoiced() -> None:
    """What is accepted on the last day of a cohort counts as invoiced on the day of the look at the earliest, not after it."""
    for look in preregistration.load().looks:
        assert (look.look_on - look.accepted_by).days >= assumption("invoice_settling_days")
