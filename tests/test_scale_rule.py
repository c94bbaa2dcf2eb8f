"""The pre-registered rule: its file, looks and labels, gates at their borders, every specification against a second computation."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import stats

from benchmarks.scale_worlds import observations
from dbt_project import frames, preregistration
from dbt_project.estimators import cost_forecast, scale
from dbt_project.preregistration import Look, Preregistration, PreregistrationError

RULE = preregistration.load()
FIRST, SECOND = RULE.looks


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return observations(7, learning_rate=0.2, clusters=40, open_share=0.05)


@pytest.fixture(scope="module")
def crossed(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the service of three authorities: with dummies, a cell that lives in one cluster stops statsmodels' jackknife."""
    return frame.filter(pl.col("service_id") != "anlagengenehmigung")


def judge(
    frame: pl.DataFrame, rule: Preregistration = RULE, as_of: date = FIRST.look_on, first: date | None = None
) -> list[scale.Verdict]:
    return scale.judge(frame, rule, as_of=as_of, first_cost_on=first)


def _row(estimates: pl.DataFrame, specification: str, outcome: str = "cost", term: str = "ln_n") -> dict[str, Any]:
    chosen = (pl.col("specification") == specification) & (pl.col("outcome") == outcome) & (pl.col("term") == term)
    return estimates.row(by_predicate=chosen, named=True)


# -- the file -------------------------------------------------------------------------------------------------------------------


def test_what_the_models_read_tells_what_all_columns_tell(frame: pl.DataFrame, tmp_path: Path) -> None:
    """Words are numbers of words there, and a column that is not read would make a specification unavailable without a word."""
    frame.write_parquet(tmp_path / "rows.parquet")
    with duckdb.connect() as con:
        read, forecast_read = (
            frames.read_as(
                con.read_parquet(str(tmp_path / "rows.parquet")), {c: t for c, t in schema.items() if c in frame.columns}
            )
            for schema in (scale.READ, cost_forecast.READ)
        )
    assert read.width < frame.width and read["cluster"].dtype == pl.Categorical
    assert scale.estimate(read, RULE) == scale.estimate(frame, RULE)
    assert judge(read) == judge(frame)
    whole, part = (cost_forecast.forecast(rows, FIRST.look_on) for rows in (frame, forecast_read))
    assert_frame_equal(part, whole, check_exact=True)
    assert whole["total_predicted"].count() > 0 and whole["hindcast_clusters"].count() > 0


def test_the_hash_is_that_of_the_bytes() -> None:
    assert hashlib.sha256(preregistration.PATH.read_bytes()).hexdigest() == RULE.sha256
    assert {one.prereg_sha256 for one in judge(observations(1))} == {RULE.sha256}


def _changed(tmp_path: Path, old: str, new: str) -> Path:
    text = preregistration.PATH.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path = tmp_path / "preregistration.yml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_changed_line_changes_the_hash(tmp_path: Path) -> None:
    other = preregistration.load(_changed(tmp_path, "delta_per_doubling: 0.05", "delta_per_doubling: 0.04"))
    assert other.delta_per_doubling == 0.04 and other.sha256 != RULE.sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("delta_per_doubling: 0.05", "delta_per_doubling: 5", "delta_per_doubling"),
        ("delta_per_doubling: 0.05", "delta: 0.05", "delta"),
        ("  lots: {", "  plots: {", "gates"),
        ("then: contradicted}", "then: supported}", "decision"),
        ("signed_on: null", "signed_on: 2026-02-01", "signed_by"),
        ("look_on: 2027-03-01", "look_on: 2026-12-01", "look_on"),
        ("intraclass_correlation: 0.05", "intraclass_correlation: 1", "intraclass_correlation"),
        ("intraclass_correlation: 0.05", "intraclass_correlation: -0.1", "intraclass_correlation"),
        ("intraclass_correlation: 0.05\n", "", "intraclass_correlation"),
        ("hypotheses:", "hypotheses: [", "YAML"),
    ],
)
def test_a_file_that_is_no_rule_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(PreregistrationError, match=message):
        preregistration.load(_changed(tmp_path, old, new))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreregistrationError, match="Restore"):
        preregistration.load(tmp_path / "none.yml")


# -- deciding -------------------------------------------------------------------------------------------------------------------


@given(st.floats(-1, 0.9), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5))
def test_one_rule_applies_to_every_interval(rate: float, below: float, above: float, delta: float) -> None:
    low, high = rate - below, rate + above
    verdict = scale.decide(rate, low, high, delta)
    assert verdict in scale.VERDICTS
    assert (verdict == "supported") == (low > 0 and rate >= delta)
    assert (verdict in ("immaterial", "contradicted")) == (high < delta and not (low > 0 and rate >= delta))
    assert verdict != "contradicted" or low <= 0


def test_supported_needs_the_robustness_set() -> None:
    def finding(rate: float, se: float = 0.01) -> scale._Finding:
        return scale._Finding(float(np.log2(1 - rate)), se, 30.0, 1000, 31, np.zeros(31))

    names = RULE.robustness["cost"].specifications
    good = {name: finding(0.1) for name in names}

    def holds(found: dict[str, scale._Finding], verdict: str = "supported") -> bool:
        return scale._robust(verdict, found, names, 4, 0.05, 0.975)

    assert holds(good)
    assert holds(good | {"S3": finding(0.01), "S5": finding(0.04)})  # two small ones
    assert not holds(good | {"S3": finding(0.01), "S5": finding(0.04), "S9": finding(0.03)})  # three
    assert not holds(good | {"S3": finding(-0.01)})  # one sign
    assert not holds({name: one for name, one in good.items() if name != "S8"})  # one that could not be estimated
    bad = {name: finding(-0.1) for name in names}
    assert holds(bad, "contradicted")
    assert holds(bad | {"S3": finding(-0.1, 0.5), "S5": finding(-0.1, 0.5)}, "contradicted")
    assert not holds(bad | {"S3": finding(-0.1, 0.5), "S5": finding(-0.1, 0.5), "S6": finding(0.1)}, "contradicted")


# -- looks, signature, labels ---------------------------------------------------------------------------------------------------


def _labels(one: scale.Verdict) -> list[str]:
    return one.label.split("; ") if one.label else []


def test_nothing_is_due_before_the_look(frame: pl.DataFrame) -> None:
    for one in judge(frame, as_of=FIRST.look_on - timedelta(days=1)):
        assert one.verdict == "not_due" and "descriptive" in _labels(one)
        assert one.look_on == FIRST.look_on and one.frozen_on is None
        assert one.estimate is not None
    assert scale.due_look(frame, RULE, FIRST.look_on - timedelta(days=1)) is None
    assert scale.due_look(frame, RULE, FIRST.look_on) == FIRST
    due = judge(frame)[0]
    assert due.verdict == "supported" and due.frozen_on == FIRST.accepted_by and "descriptive" not in _labels(due)


def test_a_look_waits_for_its_invoices() -> None:
    late = observations(7, learning_rate=0.2, clusters=40, uninvoiced_share=0.1)
    for one in judge(late):
        assert one.verdict == "not_due" and {"descriptive", "waits for invoices"} <= set(_labels(one))


def test_the_second_look_waits_and_the_first_stands(frame: pl.DataFrame) -> None:
    year = pl.duration(days=365)
    later = frame.with_columns(
        pl.col("started_on", "accepted_on", "wave_started_on", "difficulty_recorded_on") + year,
        cluster=pl.col("cluster") + " (2027)",
        contractor=pl.col("contractor"),
        authority_id=pl.col("authority_id") + "x",
        cumulative_connections=pl.col("cumulative_connections") + 1500,
    )
    both = pl.concat([frame, later])
    second = judge(both, as_of=SECOND.look_on)[0]
    assert second.look_on == SECOND.look_on and second.clusters == 80
    waiting = judge(pl.concat([frame, later.with_columns(is_invoiced=pl.lit(False))]), as_of=SECOND.look_on)[0]
    assert waiting.look_on == FIRST.look_on and waiting.verdict == "supported"
    # the first look's verdict does not see what came after its cohort
    alone = judge(frame.filter(pl.col("accepted_on").is_not_null()))[0]
    among = judge(pl.concat([frame.filter(pl.col("accepted_on").is_not_null()), later]))[0]
    assert (alone.estimate, alone.se, alone.n) == (among.estimate, among.se, among.n)


def test_a_look_given_is_not_due_before_its_day(frame: pl.DataFrame) -> None:
    own = Look(name="own", accepted_by=date(2026, 12, 31), look_on=date(2027, 6, 1), ci_level=0.9)
    assert scale.judge(frame, RULE, as_of=date(2027, 5, 31), first_cost_on=None, look=own)[0].verdict == "not_due"
    found = scale.judge(frame, RULE, as_of=date(2027, 6, 1), first_cost_on=None, look=own)[0]
    assert found.verdict == "supported" and found.look_on == own.look_on


def test_intervals_have_the_level_of_the_look(frame: pl.DataFrame) -> None:
    one = judge(frame)[0]
    assert one.estimate is not None and one.se is not None and one.df is not None
    w = -np.log2(1 - one.estimate)
    half = stats.t.ppf(1 - 0.025 / 2, one.df) * one.se
    assert one.ci_low == pytest.approx(1 - 2 ** -(w - half), abs=1e-12)
    assert one.ci_high == pytest.approx(1 - 2 ** -(w + half), abs=1e-12)
    assert one.df == one.clusters - 1 == 39
    described = scale.estimates_frame(scale.estimate(frame, RULE))
    assert set(described["ci_level"].drop_nulls()) == {0.95}
    assert set(scale.estimates_frame(scale.estimate(frame, RULE, FIRST))["ci_level"].drop_nulls()) == {0.975}


@pytest.mark.parametrize(
    ("signed", "first", "label"),
    [
        (None, None, "rule not signed"),
        (date(2026, 2, 1), date(2026, 2, 10), None),
        (date(2026, 2, 1), None, None),
        (date(2026, 2, 11), date(2026, 2, 10), "rule fixed after data began"),
    ],
)
def test_the_signature_is_shown_against_the_first_cost(
    frame: pl.DataFrame, signed: date | None, first: date | None, label: str | None
) -> None:
    rule = RULE.model_copy(update={"signed_on": signed})
    for one in judge(frame, rule, first=first):
        assert one.signed_on == signed
        said = {"rule not signed", "rule fixed after data began"} & set(_labels(one))
        assert said == ({label} if label else set())


def test_prices_that_no_index_touched_are_labelled(frame: pl.DataFrame) -> None:
    assert "prices not deflated" not in _labels(judge(frame)[0])
    same = frame.with_columns(cost_variable_nominal_eur="cost_variable_eur")
    found = judge(same)
    assert "prices not deflated" in _labels(found[0]) and "prices not deflated" not in _labels(found[1])


def test_every_label_has_german_words(frame: pl.DataFrame) -> None:
    for world in (frame, observations(0, price_mechanism="fixed_price"), observations(1, learning_rate=-0.2, clusters=40)):
        for one in judge(world):
            assert set(_labels(one)) <= set(scale.LABELS)
            assert all(gate.words_de and gate.words_en for gate in one.gates)


# -- gates ----------------------------------------------------------------------------------------------------------------------


def _gate(one: scale.Verdict, name: str) -> scale.GateResult:
    return next(gate for gate in one.gates if gate.gate == name)


def test_gates_are_measured_as_defined(frame: pl.DataFrame) -> None:
    one = judge(frame)[0]
    accepted = frame.filter(pl.col("accepted_on").is_not_null())
    assert _gate(one, "clusters").value == accepted["cluster"].n_unique() == one.clusters
    assert _gate(one, "connections").value == accepted.height == one.n
    assert _gate(one, "invoiced_share").value == 1
    assert _gate(one, "complete_share").value == 1
    spans = []
    for _, cell in accepted.filter(~pl.col("is_pilot")).group_by("service_id", "land_code"):
        n = cell["cumulative_connections"].to_numpy()
        spans += [np.log2(n.max() / n.min())] * cell.height
    spans.sort()
    assert _gate(one, "span_doublings").value == pytest.approx(spans[(len(spans) - 1) // 2])
    claims = {gate.gate for gate in judge(frame)[2].gates}
    assert {"lots", "laender", "reverse_bound"} <= claims and "clusters" not in claims


def test_a_gate_passes_at_its_threshold() -> None:
    assert RULE.gates["clusters"].passes(12) and not RULE.gates["clusters"].passes(11)
    assert RULE.gates["leverage_share"].passes(0.5) and not RULE.gates["leverage_share"].passes(0.51)
    assert not RULE.gates["clusters"].passes(None)


def test_difficulty_recorded_on_the_day_of_the_wave_is_too_late(frame: pl.DataFrame) -> None:
    late = frame.with_columns(difficulty_recorded_on="wave_started_on")
    assert _gate(judge(late)[0], "difficulty_share").value == 0
    before = frame.with_columns(difficulty_recorded_on=pl.col("wave_started_on") - pl.duration(days=1))
    assert _gate(judge(before)[0], "difficulty_share").value == 1


def test_direct_and_actual_shares_weigh_by_money(frame: pl.DataFrame) -> None:
    accepted = frame.filter(pl.col("is_invoiced"))
    middle = accepted["cost_variable_eur"].median()
    changed = frame.with_columns(
        allocation_direct_share=pl.when(pl.col("cost_variable_eur") > middle).then(1.0).otherwise(0.2),
        price_mechanism=pl.when(pl.col("cost_variable_eur") > middle).then(pl.lit("actual")).otherwise(pl.lit("mixed")),
    )
    cost = accepted["cost_variable_eur"]
    upper = float(cost.filter(cost > middle).sum() / cost.sum())
    one = judge(changed)[0]
    assert _gate(one, "price_actual_share").value == pytest.approx(upper)
    assert _gate(one, "direct_share").value == pytest.approx(upper + 0.2 * (1 - upper))


# -- the specifications, once more ----------------------------------------------------------------------------------------------


def _again(
    rows: pl.DataFrame, y: pl.Expr, x: list[pl.Expr], cluster: str = "cluster", rho: float = RULE.intraclass_correlation
) -> tuple[float, float]:
    """Slope and CRV3 error with dummies by statsmodels, on columns that are quasi-demeaned one cluster at a time."""
    data = rows.select(y.alias("y"), *[e.alias(f"x{i}") for i, e in enumerate(x)], "service_id", "land_code", g=cluster)
    dummies = data.select(pl.concat_str("service_id", "land_code")).to_series().to_dummies().to_numpy().astype(float)
    groups = np.unique(data["g"].to_numpy(), return_inverse=True)[1]
    design = np.column_stack([data.select(pl.col(r"^x\d$")).to_numpy(), dummies, data["y"].to_numpy()])
    for g in range(groups.max() + 1):
        size = (groups == g).sum()
        design[groups == g] -= (1 - np.sqrt((1 - rho) / (1 - rho + size * rho))) * design[groups == g].mean(axis=0)
    fit = sm.OLS(design[:, -1], design[:, :-1]).fit(cov_type="cluster-crv3", cov_kwds={"groups": groups}, use_t=True)
    return float(fit.params[0]), float(fit.bse[0])


def test_specifications_equal_statsmodels(crossed: pl.DataFrame) -> None:
    estimates = scale.estimates_frame(scale.estimate(crossed, RULE, FIRST))
    accepted = crossed.filter(pl.col("accepted_on").is_not_null())
    cost, n, base = pl.col("cost_variable_eur"), pl.col("cumulative_connections"), pl.col("baseline_connections")
    controls = [pl.col("population").log(), pl.col("difficulty")]
    months = (pl.col("started_on") - pl.col("started_on").min()).dt.total_days() / 30.4375
    both = pl.col("person_days") + pl.col("person_days_municipal")
    weighted = (cost / pl.col("phase_weight")).log()
    expected = {
        ("S2", "cost"): (accepted, cost.log(), [n.log(), *controls]),
        ("S2", "person_days"): (accepted, pl.col("person_days").log(), [n.log(), *controls]),
        ("S2_cpi", "cost"): (accepted, pl.col("cost_variable_cpi_eur").log(), [n.log(), *controls]),
        ("S2_nominal", "cost"): (accepted, pl.col("cost_variable_nominal_eur").log(), [n.log(), *controls]),
        ("S2_no_difficulty", "cost"): (accepted, cost.log(), [n.log(), controls[0]]),
        ("S3", "cost"): (accepted, cost.log(), [n.log(), *controls, months]),
        ("S6", "cost"): (accepted.filter(n > base), cost.log(), [(n - base).log(), *controls]),
        ("S7", "cost"): (accepted.filter(~pl.col("is_pilot")), cost.log(), [n.log(), *controls]),
        ("S8", "cost"): (crossed, weighted, [n.log(), *controls]),
        ("S9", "cost"): (accepted, pl.col("payer_total_eur").log(), [n.log(), *controls]),
        ("S9", "person_days"): (accepted, both.log(), [n.log(), *controls]),
    }
    for (name, outcome), (rows, y, x) in expected.items():
        term = "ln_n_programme" if name == "S6" else "ln_n"
        row = _row(estimates, name, outcome, term)
        slope, se = _again(rows, y, x)
        assert row["n"] == rows.height, name
        assert (row["coefficient"], row["se"]) == (pytest.approx(slope, rel=1e-8), pytest.approx(se, rel=1e-8)), name
        assert row["rate"] == pytest.approx(1 - 2**slope, rel=1e-8)
        assert row["rate_ci_low"] < row["rate"] < row["rate_ci_high"]
        assert row["variant"] == "partially pooled at 0.05, crv3", name
    for outcome, y in (("cost", cost), ("person_days", pl.col("person_days"))):
        row = _row(estimates, "S2_unweighted", outcome)
        slope, se = _again(accepted, y.log(), [n.log(), *controls], rho=0.0)
        assert (row["coefficient"], row["se"]) == (pytest.approx(slope, rel=1e-9), pytest.approx(se, rel=1e-9))
        assert row["variant"] == "crv3" and row["df"] == 39
        assert _row(estimates, "S2_hc3", outcome)["coefficient"] == pytest.approx(slope, rel=1e-9)
        assert _row(estimates, "S2_crv1", outcome)["coefficient"] == pytest.approx(slope, rel=1e-9)
    team = accepted.with_columns(both=pl.concat_str("cluster", "team"))
    assert _row(estimates, "S2_team_wave")["se"] == pytest.approx(
        _again(team, cost.log(), [n.log(), *controls], "both")[1], rel=1e-8
    )
    alone = accepted.filter(pl.col("land_code") != "06")
    row = _row(estimates, "S10", term="ln_n without 06")
    assert row["coefficient"] == pytest.approx(_again(alone, cost.log(), [n.log(), *controls])[0], rel=1e-8)
    simple = stats.linregress(accepted["cumulative_connections"].log(), accepted["cost_variable_eur"].log())
    row = _row(estimates, "bivariate")
    assert (row["coefficient"], row["se"]) == (pytest.approx(simple.slope, rel=1e-10), pytest.approx(simple.stderr, rel=1e-10))


def test_the_experience_of_a_contractor_is_its_own(frame: pl.DataFrame) -> None:
    found = scale._contractor_experience(frame)
    for i in np.random.default_rng(0).integers(0, frame.height, 50):
        row = frame.row(int(i), named=True)
        own = (pl.col("contractor") == row["contractor"]) & (pl.col("service_id") == row["service_id"])
        assert found[int(i)] == frame.filter(own & (pl.col("accepted_on") < row["started_on"])).height


def test_differences_between_waves_by_hand(frame: pl.DataFrame) -> None:
    accepted = frame.filter(pl.col("accepted_on").is_not_null())
    cell = ["service_id", "land_code"]
    logs = accepted.with_columns(
        y=pl.col("cost_variable_eur").log(), x=pl.col("cumulative_connections").log(), p=pl.col("population").log()
    )
    inner = logs.with_columns((pl.col(c) - pl.col(c).mean().over(cell)).alias(c) for c in ("y", "x", "p", "difficulty"))
    # the controls' slopes are those of S2
    estimates = scale.estimates_frame(scale.estimate(frame, RULE, FIRST))
    beta = [_row(estimates, "S2", term=term)["coefficient"] for term in ("ln_n", "ln_population", "difficulty")]
    rest = inner.with_columns(y=pl.col("y") - beta[1] * pl.col("p") - beta[2] * pl.col("difficulty"))
    waves = (
        rest.group_by("contractor", "cluster")
        .agg(pl.col("y", "x").mean(), pl.col("started_on").mean())
        .sort("contractor", "started_on")
    )
    steps = waves.with_columns(pl.col("y", "x").diff().over("contractor")).drop_nulls()
    slope = float((steps["x"] * steps["y"]).sum() / (steps["x"] ** 2).sum())
    row = _row(estimates, "S5")
    assert row["coefficient"] == pytest.approx(slope, rel=1e-9)
    assert row["df"] == steps.height - 1 == 37


def test_waves_against_the_pilots(frame: pl.DataFrame) -> None:
    rows = scale.estimates_frame(scale.estimate(frame, RULE, FIRST)).filter(
        (pl.col("specification") == "S4") & (pl.col("outcome") == "cost")
    )
    waves = rows.filter(pl.col("term").str.starts_with("wave "))
    assert "wave 0" not in waves["term"] and waves.height == 19
    # learning of 20 %: the last waves cost clearly less than the pilots
    assert waves["rate"][-1] > 0.1
    np.testing.assert_allclose(waves["rate"], 1 - np.exp(waves["coefficient"]), rtol=1e-12)
    assert rows.filter(pl.col("term") == "joint F")["coefficient"].item() > 1


def test_call_offs_by_hand(crossed: pl.DataFrame) -> None:
    lots = (
        crossed.filter(pl.col("accepted_on").is_not_null())
        .group_by("land_code", "service_id", "call_off")
        .agg(
            q=pl.len(),
            unit=pl.col("cost_variable_eur").log().mean(),
            n=pl.col("cumulative_connections").log().mean(),
            p=pl.col("population").log().mean(),
            d=pl.col("difficulty").mean(),
        )
    )
    q = lots["q"].log().to_numpy()
    dummies = [lots["service_id"].to_dummies().to_numpy(), (lots["land_code"] == "09").cast(pl.Float64).to_numpy()]
    design = np.column_stack([q, lots.select("n", "p", "d").to_numpy(), *dummies])
    fit = sm.OLS(q + lots["unit"].to_numpy(), design).fit(cov_type="HC3", use_t=True)
    estimates = scale.estimates_frame(scale.estimate(crossed, RULE, FIRST))
    row = _row(estimates, "S1", term="ln_q")
    assert row["coefficient"] == pytest.approx(fit.params[0], rel=1e-9)
    assert row["se"] == pytest.approx(fit.bse[0], rel=1e-8)
    assert row["df"] == lots.height - design.shape[1] and row["n"] == lots.height
    assert _row(estimates, "S1_reverse", term="ln_q")["coefficient"] > row["coefficient"]
    verdict = judge(crossed)[2]
    assert (verdict.estimate, verdict.se) == (pytest.approx(1 - 2 ** (fit.params[0] - 1), rel=1e-8), row["se"])


def test_degression_by_hand() -> None:
    n, fixed, variable = 500, 300.0, 10.0
    day = date(2026, 3, 1)
    frame = pl.DataFrame(
        {
            "service_id": ["a"] * n,
            "land_code": ["09"] * n,
            "cluster": ["c"] * n,
            "started_on": [day + timedelta(days=i // 2) for i in range(n)],
            "accepted_on": [day + timedelta(days=i // 2 + 30) for i in range(n)],
            "cumulative_connections": range(1, n + 1),
            "cost_variable_eur": [variable] * n,
            "cost_full_eur": [variable + fixed / n] * n,
        }
    )
    told = {row.term: row for row in scale.estimate(frame, RULE) if row.specification == "degression"}
    start = fixed / 50 + variable
    assert told["full_cost_fall_share"].coefficient == pytest.approx((start - fixed / n - variable) / start)
    assert told["degression_share"].coefficient == pytest.approx((fixed / 50 - fixed / n) / start)
    assert told["variable_share"].coefficient == pytest.approx(0, abs=1e-12)
    # the published illustration: an apparent learning rate of 19 % where nobody learned anything
    assert told["apparent_learning_rate"].rate == pytest.approx(0.19, abs=0.005)


# -- power ----------------------------------------------------------------------------------------------------------------------


def test_without_correlation_the_rule_is_plain_least_squares(frame: pl.DataFrame) -> None:
    plain = RULE.model_copy(update={"intraclass_correlation": 0.0})
    estimates = scale.estimates_frame(scale.estimate(frame, plain, FIRST))
    same = estimates.filter(pl.col("specification").is_in(["S2", "S2_unweighted"]) & (pl.col("claim") == "C1")).drop(
        "specification"
    )
    assert same.height == 12 and same.unique().height == 6
    ruled = scale.estimates_frame(scale.estimate(frame, RULE, FIRST))
    unweighted = pl.col("specification").is_in(["S2_unweighted", "S2_hc3", "S2_crv1", "bivariate", "within", "S4"])
    assert ruled.filter(unweighted).equals(estimates.filter(unweighted))
    for one in judge(frame, plain)[:2]:
        row = _row(ruled, "S2_unweighted", one.outcome)
        assert (one.estimate, one.se) == (row["rate"], row["se"])


def test_leverage_is_that_of_its_regression(frame: pl.DataFrame) -> None:
    estimates = scale.estimates_frame(scale.estimate(frame, RULE, FIRST))
    heaviest = _row(estimates, "S2")["leverage_max_share"]
    assert _gate(judge(frame)[0], "leverage_share").value == heaviest
    assert heaviest < _row(estimates, "S2_unweighted")["leverage_max_share"]  # large waves weigh less


def test_power_rises_with_the_saving_and_matches_the_bare_rule_without_robustness(frame: pl.DataFrame) -> None:
    one = judge(frame)[0]
    assert one.power_05 is not None and one.power_10 is not None and one.power_20 is not None
    assert one.power_05 < one.power_10 < one.power_20
    bare = RULE.model_copy(
        update={
            "robustness": {o: r.model_copy(update={"specifications": ("S7",), "at_least": 0}) for o, r in RULE.robustness.items()}
        }
    )
    days = judge(frame, bare)[1]
    assert days.se is not None and days.df is not None
    t = stats.t.ppf(1 - 0.025 / 2, days.df)
    for rate, power in ((0.05, days.power_05), (0.1, days.power_10), (0.2, days.power_20)):
        threshold = max(t * days.se, -np.log2(0.95))
        assert power == pytest.approx(stats.t.sf((threshold + np.log2(1 - rate)) / days.se, days.df), abs=0.03)


def test_power_is_that_of_the_rule_in_worlds_like_this_one() -> None:
    """Stated power, averaged over worlds of learning 20 %, against how often they are supported."""
    found = [judge(observations(seed, learning_rate=0.2, clusters=24))[0] for seed in range(60)]
    stated = np.mean([one.power_20 for one in found])
    happened = np.mean([one.verdict == "supported" for one in found])
    assert abs(stated - happened) < 0.2


# -- what is missing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "specifications"),
    [
        ("team", {"S2_team_wave"}),
        ("contractor", {"S2_contractor_n"}),
        ("cost_variable_cpi_eur", {"S2_cpi"}),
        ("cost_variable_nominal_eur", {"S2_nominal"}),
        ("call_off", {"S2_lot_size", "S1", "S1_reverse", "S1_cluster", "S1_no_learning", "S1_total"}),
        ("is_pilot", {"S7"}),
        ("phase_weight", {"S8"}),
        ("payer_total_eur", {"S9"}),
    ],
)
def test_a_column_that_is_missing_makes_its_specifications_unavailable(
    frame: pl.DataFrame, column: str, specifications: set[str]
) -> None:
    rows = [row for row in scale.estimate(frame.drop(column), RULE, FIRST) if row.outcome == "cost"]
    lacking = {row.specification for row in rows if row.status == "unavailable" and row.reason and column in row.reason}
    assert lacking == specifications
    assert {row.specification for row in rows if row.status == "available"} >= {"S2", "S3", "S5", "S6"}


def test_without_difficulty_there_is_no_verdict_but_a_description(frame: pl.DataFrame) -> None:
    rows = scale.estimates_frame(scale.estimate(frame.drop("difficulty", "difficulty_recorded_on"), RULE, FIRST))
    assert _row(rows, "S2")["status"] == "unavailable" and "difficulty" in _row(rows, "S2")["reason"]
    assert _row(rows, "S2_no_difficulty")["status"] == _row(rows, "within")["status"] == "available"
    one = judge(frame.drop("difficulty", "difficulty_recorded_on"))[0]
    assert one.verdict == "inconclusive" and one.estimate is None and "no estimate" in _labels(one)


def test_one_outcome_is_enough(frame: pl.DataFrame) -> None:
    cost, days, *_ = judge(frame.drop("cost_variable_eur", "cost_full_eur"))
    assert cost.verdict == "inconclusive" and cost.estimate is None
    assert days.verdict == judge(frame)[1].verdict and days.estimate == judge(frame)[1].estimate


def test_rows_without_experience_are_left_out_and_counted(frame: pl.DataFrame) -> None:
    some = pl.int_range(pl.len()) < 30
    zero = frame.with_columns(cumulative_connections=pl.when(some).then(0).otherwise("cumulative_connections"))
    row = _row(scale.estimates_frame(scale.estimate(zero, RULE, FIRST)), "S2")
    accepted = frame.with_columns(some=some).filter(pl.col("accepted_on").is_not_null())
    assert row["n"] == accepted.filter(~pl.col("some")).height
    assert "without experience (N = 0)" in row["reason"] and str(accepted.height - row["n"]) in row["reason"]


def test_rows_without_a_cluster_are_none_of_their_own(frame: pl.DataFrame) -> None:
    some = pl.int_range(pl.len()) % 12 == 0
    accepted = frame.with_columns(some=some).filter(pl.col("accepted_on").is_not_null())
    holed = frame.with_columns(
        pl.when(some).then(None).otherwise(pl.col(c)).alias(c) for c in ("cluster", "contractor", "wave", "wave_started_on")
    )
    without = accepted.filter("some").height
    estimates, known = (scale.estimates_frame(scale.estimate(rows, RULE, FIRST)) for rows in (holed, frame.filter(~some)))
    for name in ("S2", "S2_unweighted", "S2_crv1", "S2_team_wave", "S3", "S5", "S6", "S7", "S8", "S9"):
        row, alone = (
            _row(estimates, name, term=(term := "ln_n_programme" if name == "S6" else "ln_n")),
            _row(known, name, term=term),
        )
        assert (row["n"], row["clusters"]) == (alone["n"], alone["clusters"]), name
        assert (row["coefficient"], row["se"]) == (
            pytest.approx(alone["coefficient"], rel=1e-8),
            pytest.approx(alone["se"], rel=1e-8),
        )
        assert "without cluster" in row["reason"], name
    assert f"{without} without cluster" in _row(estimates, "S2")["reason"]
    # what takes no clusters as independent keeps them: the twin in SQL does, too
    for name in ("S2_hc3", "bivariate", "within"):
        assert _row(estimates, name)["n"] == accepted.height, name
    one, days, scaled, _ = judge(holed)
    for verdict in (one, days):
        assert verdict.clusters == 40 and verdict.n == accepted.height - without
        assert _gate(verdict, "complete_share").value == pytest.approx(verdict.n / accepted.height)
        assert _gate(verdict, "difficulty_share").value == pytest.approx(verdict.n / accepted.height)
    assert one.verdict == "inconclusive"
    # a call-off has the cluster of its connections; one without any is left out
    lots = accepted.group_by("call_off").agg(is_known=(~pl.col("some")).any(), n=pl.len())
    kept = lots.filter("is_known")
    assert 0 < kept.height < lots.height and (scaled.n, judge(frame)[2].n) == (kept.height, lots.height)
    assert _gate(scaled, "complete_share").value == pytest.approx(kept["n"].sum() / accepted.height)


def test_small_groups_have_no_stated_mean() -> None:
    few = observations(3, counts_factor=0.05, clusters=24)
    rows = [row for row in scale.estimate(few, RULE) if row.specification == "S0" and row.outcome == "cost"]
    assert any(row.status == "unavailable" for row in rows)
    assert all(row.n is not None and row.n >= RULE.descriptive_group_min for row in rows if row.status == "available")


def test_an_empty_table_is_not_due() -> None:
    nothing = observations(1).clear()
    for one in judge(nothing):
        assert one.verdict in ("not_due", "inconclusive") and one.estimate is None
    assert scale.estimates_frame(scale.estimate(nothing, RULE)).filter(pl.col("status") == "available").is_empty()


@given(st.data())
def test_no_hole_in_a_table_stops_the_test(frame: pl.DataFrame, data: st.DataObject) -> None:
    optional = [name for name in frame.columns if name not in scale.CORE]
    dropped = data.draw(st.sets(st.sampled_from(optional), max_size=6))
    holes = data.draw(st.sets(st.sampled_from([n for n in optional if n not in dropped]), max_size=4))
    seed, size = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([1, 2, 3, 10, 40, 150, 600]))
    table = frame.sample(size, seed=seed).drop(dropped)
    for name in holes:
        table = table.with_columns(
            pl.when(pl.int_range(pl.len()).shuffle(seed=seed) % 3 == 0).then(None).otherwise(name).alias(name)
        )
    estimates = scale.estimates_frame(scale.estimate(table, RULE, FIRST))
    assert not any(estimates.select(pl.selectors.float().is_nan().any()).row(0))
    assert estimates.filter((pl.col("status") == "unavailable") & pl.col("reason").is_null()).is_empty()
    assert estimates.select("claim", "outcome", "specification", "term").is_unique().all()
    if size <= 150:
        assert {one.verdict for one in judge(table)[:2]} <= {"inconclusive", "not_due"}


def test_the_order_of_the_rows_does_not_matter(frame: pl.DataFrame) -> None:
    for a, b in zip(judge(frame), judge(frame.sample(fraction=1, shuffle=True, seed=3)), strict=True):
        assert a.verdict == b.verdict and a.label == b.label and a.n == b.n
        assert a.se == pytest.approx(b.se, rel=1e-9) and a.power_10 == pytest.approx(b.power_10, abs=1e-3)


def test_frames_have_their_schemas(frame: pl.DataFrame) -> None:
    assert scale.estimates_frame(scale.estimate(frame, RULE)).schema == scale.ESTIMATE_SCHEMA
    found = scale.verdicts_frame(judge(frame))
    assert found.schema == scale.VERDICT_SCHEMA and found.height == 4
    assert scale.estimates_frame([]).schema == scale.ESTIMATE_SCHEMA
    numbers = scale.estimates_frame(scale.estimate(frame, RULE)).select(pl.selectors.float().is_nan().any())
    assert not any(numbers.row(0))


def test_sixty_thousand_observations_take_seconds() -> None:
    frame = observations(3, counts_factor=34.5, clusters=60)
    assert frame.height > 60_000
    begin = time.process_time()  # of the processor: what else a machine does is no matter of the test
    scale.estimate(frame, RULE, FIRST)
    judge(frame)
    assert time.process_time() - begin < 20  # about two


# -- tables from outside --------------------------------------------------------------------------------------------------------


def test_a_table_of_text_is_read(frame: pl.DataFrame) -> None:
    text = frame.with_columns(
        pl.col("accepted_on").dt.strftime("%d.%m.%Y"),
        is_pilot=pl.when("is_pilot").then(pl.lit("ja")).otherwise(pl.lit("Nein")),
        extra=pl.lit("x"),
    ).with_columns(pl.all().exclude(pl.String).cast(pl.String))
    read = scale.check(text.drop("cluster"))
    assert read.drop("cluster").equals(frame.drop("cluster"))
    assert read["cluster"].n_unique() == frame["cluster"].n_unique()
    assert "extra" not in read.columns


def _bad(frame: pl.DataFrame, **columns: Any) -> pl.DataFrame:
    first = pl.int_range(pl.len()) == 2
    return frame.with_columns(pl.when(first).then(value).otherwise(pl.col(name)).alias(name) for name, value in columns.items())


@pytest.mark.parametrize(
    ("spoil", "english", "german"),
    [
        (lambda f: f.drop("service_id"), "lacks service_id", "fehlt service_id"),
        (lambda f: f.drop("cost_variable_eur", "person_days"), "cost_variable_eur or person_days", "cost_variable_eur"),
        (lambda f: f.drop("cluster", "contractor"), "cluster", "cluster"),
        (lambda f: _bad(f, cost_variable_eur=pl.lit(-5.0)), "row 3", "nicht positiv"),
        (lambda f: _bad(f, person_days=pl.lit(0.0)), "person_days that is not positive", "nicht positiv"),
        (lambda f: f.with_columns(cluster=pl.lit("one")), r"1 cluster\(s\)", "mindestens zwei"),
        (lambda f: _bad(f, accepted_on=pl.lit(date(2025, 1, 1))), "accepted before", "vor ihrem Beginn"),
        (lambda f: _bad(f, cumulative_connections=pl.lit(-1)), "negative N", "negatives N"),
        (lambda f: pl.concat([f, f.head(1)]), "stands there twice", "doppelt"),
        (
            lambda f: _bad(f.cast({"population": pl.String}), population=pl.lit("1.234,5")),
            "not a number",
            "keine|nicht eine Zahl",
        ),
        (lambda f: _bad(f.cast({"started_on": pl.String}), started_on=pl.lit("gestern")), "'gestern' is not a date", "ein Datum"),
        (lambda f: _bad(f, land_code=pl.lit(None)), "have no land_code", "haben kein land_code"),
        (lambda f: f.clear(), "no rows", "keine Zeilen"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_one_sentence(frame: pl.DataFrame, spoil: Any, english: str, german: str) -> None:
    sound = frame.filter(pl.col("accepted_on").is_not_null())
    with pytest.raises(scale.ScaleError, match=english) as caught:
        scale.check(spoil(sound))
    assert re.search(german, caught.value.german)
    assert "\n" not in str(caught.value)
