"""Canaries: worlds whose truth is known must get the verdict that they deserve, with fixed seeds, through the whole rule."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import polars as pl
import pytest

from benchmarks.scale_worlds import observations
from dbt_project import preregistration
from dbt_project.estimators import scale

RULE = preregistration.load()
LOOK = RULE.looks[0]
SEEDS = range(6)


def verdicts(seed: int, **world: Any) -> dict[tuple[str, str], scale.Verdict]:
    judged = scale.judge(observations(seed, **world), RULE, as_of=LOOK.look_on, first_cost_on=date(2026, 3, 1))
    return {(one.claim, one.outcome): one for one in judged}


def _failed(one: scale.Verdict) -> set[str]:
    return {gate.gate for gate in one.gates if not gate.passed}


@pytest.mark.parametrize("seed", SEEDS)
def test_degression_alone_is_never_an_economy(seed: int) -> None:
    world = {"learning_rate": 0.0, "fixed_eur": 30_000_000.0}
    estimates = scale.estimates_frame(scale.estimate(observations(seed, **world), RULE, LOOK))
    shares = estimates.filter(pl.col("specification") == "degression")
    told = dict(zip(shares["term"], shares["coefficient"], strict=True))
    # the average full cost falls steeply, and nearly all of it is arithmetic …
    assert told["full_cost_fall_share"] > 0.3 and told["degression_share"] > 0.3
    assert told["full_cost_fall_share"] == pytest.approx(told["degression_share"] + told["variable_share"], abs=1e-12)
    assert shares.filter(pl.col("term") == "apparent_learning_rate")["rate"].item() > 0.15
    # … which is no evidence
    assert verdicts(seed, **world)["C1", "cost"].verdict != "supported"


def test_learning_of_twenty_per_cent_with_forty_clusters_is_supported() -> None:
    found = Counter(verdicts(seed, learning_rate=0.2, clusters=40)["C1", "cost"].verdict for seed in SEEDS)
    assert found["supported"] >= 5 and found["contradicted"] == 0


def test_rising_costs_are_contradicted_and_labelled() -> None:
    one = verdicts(1, learning_rate=-0.2, clusters=40)["C1", "cost"]
    assert one.verdict == "contradicted"
    assert one.label is not None and "cost rising" in one.label


@pytest.mark.parametrize(("mechanism", "step"), [("fixed_price", 0.0), ("step_price", 0.2)])
def test_contract_prices_decide_nothing_about_cost(mechanism: str, step: float) -> None:
    found = verdicts(0, learning_rate=0.2, clusters=40, price_mechanism=mechanism, price_step=step)
    for claim in ("C1", "C2"):
        one = found[claim, "cost"]
        assert one.verdict == "inconclusive" and one.estimate is None
        assert "price_actual_share" in _failed(one)
        assert one.label is not None and "tests the tender" in one.label
    # person-days know no price
    assert found["C1", "person_days"].verdict == "supported"


def test_a_tenth_of_the_money_at_fixed_prices_is_the_border() -> None:
    frame = observations(3, learning_rate=0.2, clusters=40)
    for share, passes in ((0.05, True), (0.2, False)):
        lot = pl.int_range(pl.len()).shuffle(seed=4) < share * frame.height
        mixed = frame.with_columns(price_mechanism=pl.when(lot).then(pl.lit("mixed")).otherwise("price_mechanism"))
        one = scale.judge(mixed, RULE, as_of=LOOK.look_on, first_cost_on=None)[0]
        assert ("price_actual_share" not in _failed(one)) is passes
        assert one.n is not None and one.n < frame.height * (1 - share / 2)


@pytest.mark.parametrize("noise", [{}, {"noise_sd": 0.05, "wave_sd": 0.02, "team_sd": 0.0}], ids=["as it is", "hardly any noise"])
@pytest.mark.parametrize("seed", SEEDS)
def test_errors_in_the_volume_are_no_economies_of_scale(seed: int, noise: dict[str, float]) -> None:
    frame = observations(seed, learning_rate=0.0, volume_error_sd=0.5, **noise)
    estimates = scale.estimates_frame(scale.estimate(frame, RULE, LOOK))
    direct = estimates.row(
        by_predicate=(pl.col("specification") == "S1") & (pl.col("outcome") == "cost") & (pl.col("term") == "ln_q"), named=True
    )
    # the direct regression sees economies that are not there, even with certainty …
    assert direct["rate_ci_low"] > 0.05
    one = scale.judge(frame, RULE, as_of=LOOK.look_on, first_cost_on=None)[2]
    # … but the reverse regression does not
    assert one.verdict == "inconclusive"
    assert _failed(one) == {"reverse_bound"} or (one.label is not None and "not robust" in one.label)


def test_economies_of_scale_that_are_there_can_be_found() -> None:
    frame = observations(2, learning_rate=0.0, scale_elasticity=0.6, clusters=40, noise_sd=0.1, wave_sd=0.02, team_sd=0.0)
    one = scale.judge(frame, RULE, as_of=LOOK.look_on, first_cost_on=None)[2]
    assert one.verdict == "supported"
    assert one.ci_low is not None and one.ci_high is not None and one.ci_low < 1 - 2**-0.4 < one.ci_high


def test_learning_is_not_read_as_scale() -> None:
    found = Counter(
        verdicts(seed, learning_rate=0.3, clusters=40, noise_sd=0.1, wave_sd=0.02)["C2", "cost"].verdict for seed in SEEDS
    )
    assert found["supported"] == 0


@pytest.mark.parametrize("fault", [{"difficulty_missing_share": 0.1}, {"difficulty_late_share": 0.1}], ids=["missing", "late"])
def test_difficulty_that_was_not_known_before_fails_its_gate(fault: dict[str, float]) -> None:
    found = verdicts(0, learning_rate=0.2, clusters=40, **fault)
    for one in found.values():
        assert one.verdict == "inconclusive"
        assert "difficulty_share" in _failed(one)
        assert one.gates_failed is not None and "difficulty" in one.gates_failed
    assert verdicts(0, learning_rate=0.2, clusters=40)["C1", "cost"].verdict == "supported"


def test_easy_first_needs_the_control() -> None:
    """Without difficulty, easy ones first hide learning and hard ones first invent it; with it, both are read alike."""
    read: dict[tuple[float, str], list[float]] = {}
    for order in (-0.5, 0.5):
        for seed in range(12):
            rows = scale.estimate(
                observations(seed, learning_rate=0.1, clusters=40, difficulty_order_correlation=order), RULE, LOOK
            )
            for row in rows:
                if (row.outcome, row.term) == ("cost", "ln_n") and row.specification in ("S2", "S2_no_difficulty") and row.rate:
                    read.setdefault((order, row.specification), []).append(row.rate)
    mean = {key: sum(values) / len(values) for key, values in read.items()}
    assert mean[0.5, "S2_no_difficulty"] < 0.04 and mean[-0.5, "S2_no_difficulty"] > 0.15
    assert mean[0.5, "S2"] == pytest.approx(0.1, abs=0.03) and mean[-0.5, "S2"] == pytest.approx(0.1, abs=0.03)


def test_allocated_invoices_fail_their_gate() -> None:
    one = verdicts(0, learning_rate=0.2, clusters=40, direct_share=0.5)["C1", "cost"]
    assert one.verdict == "inconclusive" and _failed(one) == {"direct_share"}


def test_few_clusters_and_few_connections_decide_nothing() -> None:
    one = verdicts(0, learning_rate=0.4, clusters=10)["C1", "cost"]
    assert one.verdict == "inconclusive" and "clusters" in _failed(one)
    one = verdicts(0, learning_rate=0.4, clusters=24, counts_factor=0.3)["C1", "cost"]
    assert one.verdict == "inconclusive" and "connections" in _failed(one)


def test_little_experience_gained_spans_too_little() -> None:
    one = verdicts(0, learning_rate=0.4, clusters=24, baseline_share=0.6)["C1", "cost"]
    assert "span_doublings" in _failed(one) and one.verdict == "inconclusive"


def test_person_days_that_contradict_stop_the_cost_verdict() -> None:
    for seed in SEEDS:
        found = verdicts(seed, learning_rate=0.25, person_days_learning_rate=-0.25, clusters=40, noise_sd=0.1, wave_sd=0.02)
        if found["C1", "person_days"].verdict == "contradicted":
            one = found["C1", "cost"]
            assert one.verdict == "inconclusive"
            assert one.label is not None and "person-days contradict" in one.label
            return
    pytest.fail("no world in which person-days contradict")


def test_a_world_can_be_drawn_again() -> None:
    assert observations(11, clusters=14).equals(observations(11, clusters=14))
    assert not observations(11, clusters=14).equals(observations(12, clusters=14))


def test_the_experience_of_a_world_is_counted_before_the_start() -> None:
    frame = observations(4)
    for row in frame.sample(40, seed=1).to_dicts():
        before = frame.filter((pl.col("service_id") == row["service_id"]) & (pl.col("accepted_on") < row["started_on"])).height
        assert row["cumulative_connections"] == before + row["baseline_connections"]
