"""The forecast for the next Land: what it must give in worlds whose truth is known, and when it must be silent."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import sparse  # type: ignore[import-untyped]

from benchmarks import scale_worlds
from dbt_project.estimators import cost_forecast
from dbt_project.estimators.cost_forecast import FORECAST_SCHEMA, PLAN_SCHEMA, forecast, reference_plan

AS_OF = date(2027, 3, 1)
QUIET = {"wave_sd": 0.0, "team_sd": 0.0, "open_share": 0.0}
#: A Land that joins late; the services that Bavaria and Hesse share or Bavaria has.
JOINING = {"ummeldung": 300, "fuehrerschein": 60, "aufenthalt": 60, "bauantrag": 60}


def world(seed: int = 1, **more: object) -> pl.DataFrame:
    return scale_worlds.observations(seed, **{"clusters": 24, **more})  # type: ignore[arg-type]


def next_land(seed: int, **more: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The Länder so far, and the connections of the one to come."""
    counts = {**scale_worlds.COUNTS, "13": JOINING}
    rows = world(seed, clusters=36, counts=counts, joined_on={"13": date(2026, 9, 1)}, **more)
    return rows.filter(pl.col("land_code") != "13"), rows.filter(pl.col("land_code") == "13", pl.col("is_accepted"))


def predicted(rows: pl.DataFrame, plan: pl.DataFrame | None = None, **more: object) -> pl.DataFrame:
    frame = forecast(rows, AS_OF, plan, with_hindcast=False, **more)  # type: ignore[arg-type]
    assert frame.schema == pl.Schema(FORECAST_SCHEMA)
    return frame


def test_without_chance_the_forecast_is_the_truth() -> None:
    known, new = next_land(1, noise_sd=1e-6, **QUIET)
    found = predicted(known, new.select(list(PLAN_SCHEMA)), land_effect_sd=(1e-6,), draws=200)
    truth = new.group_by("service_id").agg(cost=pl.col("cost_variable_eur").sum(), person_days=pl.col("person_days").sum())
    for outcome in ("cost", "person_days"):
        rows = found.filter(outcome=outcome)
        assert rows.filter(service_id="all")["total_predicted"].item() == pytest.approx(truth[outcome].sum(), rel=1e-4)
        joined = rows.join(truth, on="service_id")
        assert joined.height == 4
        assert joined["total_predicted"].to_list() == pytest.approx(joined[outcome].to_list(), rel=1e-4)
        assert rows["learning_rate"].to_list() == pytest.approx([0.10] * rows.height, abs=1e-4)
        assert (rows["total_high"] / rows["total_low"] < 1.001).all()


def test_smearing_predicts_the_mean_not_the_median() -> None:
    """exp of the mean logarithm would be too low by exp(-0.6²/2), a sixth."""
    errors = []
    for seed in range(6):
        known, new = next_land(seed, noise_sd=0.6, counts_factor=2, **QUIET)
        found = predicted(known, new.select(list(PLAN_SCHEMA)), land_effect_sd=(0.1,), draws=50)
        total = found.filter(outcome="cost", service_id="all")["total_predicted"].item()
        errors.append(np.log(total / new["cost_variable_eur"].sum()))
    assert abs(np.mean(errors)) < 0.06, errors


def test_the_interval_holds_in_a_new_land_with_an_effect_of_its_own() -> None:
    """A small run of the hindcast: chance is worth 7 points here."""
    held = []
    for seed in range(40):
        known, new = next_land(1000 + seed, land_sd=0.2)
        found = predicted(known, new.select(list(PLAN_SCHEMA)), land_effect_sd=(0.2,), draws=400).filter(service_id="all")
        for outcome, column in (("cost", "cost_variable_eur"), ("person_days", "person_days")):
            low, high = found.filter(outcome=outcome).select("total_low", "total_high").row(0)
            held.append(low <= new[column].sum() <= high)
            assert high / low < 4.5
    assert np.mean(held) >= 0.85, held


def test_the_more_laender_differ_the_wider_and_nothing_else_changes() -> None:
    rows = predicted(world()).filter(outcome="cost", service_id="all").sort("land_effect_sd")
    widths = (rows["total_high"] / rows["total_low"]).to_list()
    assert rows["land_effect_sd"].to_list() == [0.1, 0.2, 0.3]
    assert widths[0] * 1.2 < widths[1] and widths[1] * 1.2 < widths[2]
    assert rows["total_predicted"].max() == pytest.approx(rows["total_predicted"].min(), rel=0.02)  # type: ignore[arg-type]
    assert (rows["total_low"] < rows["total_predicted"]).all() and (rows["total_predicted"] < rows["total_high"]).all()


def test_shocks_of_waves_widen_the_interval() -> None:
    """Without them in the draws, a thousand connections would average out to certainty."""
    calm, rough = (
        predicted(world(5, wave_sd=sd), land_effect_sd=(0.1,)).filter(outcome="cost", service_id="all") for sd in (0.0, 0.3)
    )
    assert (rough["total_high"] / rough["total_low"]).item() > 1.3 * (calm["total_high"] / calm["total_low"]).item()


def test_totals_are_those_of_the_services_and_means_are_per_connection() -> None:
    rows = predicted(world()).filter(outcome="person_days", land_effect_sd=0.2)
    parts, whole = rows.filter(pl.col("service_id") != "all"), rows.filter(service_id="all")
    assert parts["total_predicted"].sum() == pytest.approx(whole["total_predicted"].item())
    assert parts["connections"].sum() == whole["connections"].item()
    assert parts["total_high"].sum() > whole["total_high"].item()  # chance of the services evens out in part
    for each in ("predicted", "low", "high"):
        assert (rows[f"total_{each}"] / rows["connections"]).to_list() == pytest.approx(rows[f"per_connection_{each}"].to_list())


def test_the_reference_plan_is_a_land_like_those_so_far() -> None:
    rows = world()
    plan = reference_plan(rows)
    assert plan.schema == pl.Schema(PLAN_SCHEMA)
    begun = rows.group_by("service_id").agg(n=pl.len() / pl.col("land_code").n_unique())
    sizes = dict(plan.group_by("service_id").len().iter_rows())
    assert sizes == {service: round(n) for service, n in begun.iter_rows()}
    for service in ("ummeldung", "aufenthalt"):
        of, seen = plan.filter(service_id=service), rows.filter(service_id=service)
        assert of["population"].log().mean() == pytest.approx(seen["population"].log().mean(), abs=0.02)  # type: ignore[arg-type]
        # everybody begun and every baseline so far has been connected before the next Land begins
        assert of["cumulative_connections"].min() == seen.height + seen["baseline_connections"].max()
        assert of["cumulative_connections"].max() <= seen.height + seen["baseline_connections"].max() + of.height  # type: ignore[operator]
    assert plan["cluster"].n_unique() == 12
    chosen = reference_plan(rows, {"ummeldung": 10, "aufenthalt": 0})
    assert chosen["service_id"].unique().to_list() == ["ummeldung"] and chosen.height == 10


def test_the_same_observations_in_any_order_give_the_same_numbers() -> None:
    rows = world()
    first = forecast(rows, AS_OF, draws=200)
    assert first.equals(forecast(rows.sample(fraction=1, shuffle=True, seed=3), AS_OF, draws=200))


def test_the_hindcast_knows_nothing_of_what_came_later() -> None:
    """A jump of all costs in the middle: what was forecast before it stays as it was, what came right after it is missed."""
    used = cost_forecast.usable(world(3), "cost_variable_eur")
    calm = cost_forecast.hindcast(used, "cost_variable_eur")
    jump = calm["started_on"][calm.height // 2]
    factor = pl.when(pl.col("started_on") >= jump).then(5.0).otherwise(1.0)
    turned = cost_forecast.hindcast(used.with_columns(pl.col("cost_variable_eur") * factor), "cost_variable_eur")
    before = pl.col("started_on") < jump
    assert calm.height >= 8 and calm.filter(before).height >= 4
    # starts of a wave spread over days: a cluster that began before the jump may have had some connections after it
    bounds = ["cluster", "low", "high"]
    assert turned.filter(before).select(bounds).equals(calm.filter(before).select(bounds))
    after = turned.filter(~before)
    assert after["total"][0] > after["high"][0]


def test_the_forecast_tells_how_its_hindcast_went() -> None:
    rows = forecast(world(3), AS_OF, draws=50).filter(outcome="cost")
    past = cost_forecast.hindcast(cost_forecast.usable(world(3), "cost_variable_eur"), "cost_variable_eur")
    held = past.filter(pl.col("total").is_between("low", "high")).height
    assert rows.select("hindcast_clusters", "hindcast_covered_clusters", "hindcast_covered_share").unique().rows() == [
        (past.height, held, held / past.height)
    ]
    assert held / past.height >= 0.7


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        (lambda rows: rows.clear(), "cost", None),
        (lambda rows: rows.head(60), "cost", "too_few_connections"),
        (lambda rows: rows.with_columns(is_invoiced=pl.lit(False)), "cost", "too_few_connections"),
        (lambda rows: rows.filter(pl.col("wave").is_in([3, 4])), "person_days", "too_few_clusters"),
        (lambda rows: rows.with_columns(price_mechanism=pl.lit("fixed_price")), "cost", "price_by_contract"),
        (lambda rows: rows.with_columns(price_mechanism=pl.lit("mixed")), "cost", "price_by_contract"),
        (lambda rows: rows.with_columns(difficulty=pl.lit(0.5)), "cost", "no_variation"),
        (lambda rows: rows.with_columns(cumulative_connections=pl.lit(50)), "cost", "no_variation"),
        (lambda rows: rows.with_columns(difficulty=pl.lit(None, pl.Float64)), "cost", "too_few_connections"),
    ],
)
def test_what_cannot_be_known_has_its_reason(change: object, outcome: str, reason: str | None) -> None:
    rows = change(world())  # type: ignore[operator]
    plan = reference_plan(world(), {"ummeldung": 40})
    found = predicted(rows, plan, draws=50).filter(outcome=outcome)
    assert found["reason"].unique().to_list() == [reason or "no_data"]
    assert found.select("total_predicted", "total_low", "per_connection_high").null_count().row(0) == (found.height,) * 3


def test_fixed_prices_leave_person_days_forecast() -> None:
    found = predicted(world(price_mechanism="fixed_price"), draws=50)
    assert found.filter(outcome="cost")["total_predicted"].is_null().all()
    assert found.filter(outcome="person_days")["total_predicted"].is_not_null().all()


def test_a_service_nobody_has_rolled_out_is_not_forecast() -> None:
    plan = pl.concat(
        [
            reference_plan(world(), {"ummeldung": 40}),
            pl.DataFrame([("wohngeld", "a", "b", 1, 9.0, 0.0)], PLAN_SCHEMA, orient="row"),
        ]
    )
    found = predicted(world(), plan, draws=50).filter(outcome="cost", land_effect_sd=0.2)
    by_service = {row["service_id"]: row for row in found.to_dicts()}
    assert by_service["ummeldung"]["reason"] is None
    for service in ("wohngeld", "all"):
        assert by_service[service]["reason"] == "service_without_experience" and by_service[service]["total_low"] is None


def test_shocks_are_taken_out_as_by_the_whole_covariance() -> None:
    rng = np.random.default_rng(4)
    taken = rng.random((30, 7)) * (rng.random((30, 7)) < 0.3)
    own, values = rng.uniform(0.1, 2, 30), rng.normal(size=(30, 3))
    found = cost_forecast._without_shocks(values, sparse.csr_array(taken), own)
    np.testing.assert_allclose(found, np.linalg.solve(np.diag(own) + taken @ taken.T, values), rtol=1e-10)


def test_of_many_clusters_some_are_hindcast_over_the_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    used = cost_forecast.usable(world(3), "cost_variable_eur")
    every = cost_forecast.hindcast(used, "cost_variable_eur", 20)
    monkeypatch.setattr(cost_forecast, "_HINDCAST_CLUSTERS_MAX", 4)
    some = cost_forecast.hindcast(used, "cost_variable_eur", 20)
    assert 0 < some.height <= 4 < every.height
    assert some.equals(every.filter(pl.col("cluster").is_in(some["cluster"].to_list())))
    assert some["started_on"].max() == every["started_on"].max()
