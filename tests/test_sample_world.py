"""The synthetic world: known truth, deterministic, prefix-stable, and true to its own parameters."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from ingest import clock
from ingest.sample import Parameters, World, make_world
from ingest.sample.world import BASELINE, canonical
from ingest.tables import TABLES

END = date(2026, 9, 30)
DIRECT = ["G1", "G2", "IN", "ON", "TE"]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(Parameters(end=END))


def _frames(world: World) -> dict[str, pl.DataFrame]:
    return {f.name: getattr(world, f.name) for f in fields(world) if f.name != "parameters"}


# -- determinism and prefixes -----------------------------------------------------------------------------------------------


def test_equal_parameters_make_equal_worlds(world: World) -> None:
    again = make_world(Parameters(end=END))
    for name, frame in _frames(world).items():
        assert_frame_equal(frame, getattr(again, name), check_exact=True)


def test_another_seed_makes_another_world(world: World) -> None:
    other = make_world(Parameters(end=END, seed=7))
    assert not world.plan["accepted"].equals(other.plan["accepted"])
    assert not world.usage["submitted"].equals(other.usage["submitted"])


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    ends=st.lists(st.dates(date(2026, 1, 21), date(2026, 8, 31)), min_size=2, max_size=2).map(sorted),
)
def test_a_later_end_contains_the_earlier_world_unchanged(seed: int, ends: list[date]) -> None:
    early, late = (make_world(Parameters(seed=seed, end=end)) for end in ends)
    end = ends[0]
    for name in ("municipalities", "regions", "authorities", "competences", "plan", "case_volumes"):
        assert_frame_equal(getattr(early, name), getattr(late, name), check_exact=True)
    reported = late.connections.filter(pl.col("reported_at") < clock.end_of(end))
    assert_frame_equal(early.connections, reported, check_exact=True)
    happened = late.usage_daily.filter(pl.col("period") <= end)
    assert_frame_equal(early.usage_daily, happened, check_row_order=False, check_exact=True)
    for name in ("usage_versions", "cost_versions"):
        known = getattr(late, name).filter(pl.col("_reported_on") <= end).drop("_is_superseded")
        assert_frame_equal(getattr(early, name).drop("_is_superseded"), known, check_row_order=False, check_exact=True)


def test_a_land_alone_lives_the_same_life(world: World) -> None:
    """What a Land's connections cost depends on the experience of all, their dates do not."""
    alone = make_world(Parameters(end=END, laender=("06",)))
    dates = ["authority_id", "service_id", "planned", "started", "accepted", "suspended", "difficulty"]
    assert_frame_equal(alone.plan.select(dates), world.plan.filter(pl.col("land_code") == "06").select(dates), check_exact=True)


@pytest.mark.parametrize(
    "wrong", [{"laender": ("04",)}, {"laender": ()}, {"end": date(2028, 1, 1)}, {"end": date(2026, 1, 1)}, {"dirty_share": 2}]
)
def test_parameters_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Parameters(**wrong)  # type: ignore[arg-type]


# -- authorities ------------------------------------------------------------------------------------------------------------


def test_number_of_competent_authorities(world: World) -> None:
    def counted(day: date) -> dict[tuple[str, str], int]:
        valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
        rows = world.competences.filter(valid).group_by("land_code", "service_id").agg(pl.col("authority_id").n_unique())
        return {(land, service): n for land, service, n in rows.rows()}

    bavaria = {"ummeldung": 1385, "fuehrerschein": 96, "bauantrag": 138, "aufenthalt": 96, "waffen": 96}
    hesse = {"ummeldung": 421, "fuehrerschein": 27, "aufenthalt": 33, "unterhaltsvorschuss": 33, "anlagengenehmigung": 3}
    now = {("09", s): n for s, n in bavaria.items()} | {("06", s): n for s, n in hesse.items()}
    assert counted(END) == now
    assert counted(date(2025, 12, 31)) == now | {("06", "fuehrerschein"): 26}  # Hanau became kreisfrei on 1 January 2026
    planned = {(land, service): n for land, service, n in world.plan.group_by("land_code", "service_id").len().rows()}
    assert planned == now


def test_each_inhabitant_has_one_full_authority_per_service(world: World) -> None:
    towns = world.regions.filter(~pl.col("kind").str.starts_with("gemeindefrei"))
    full = world.competences.filter(~pl.col("is_partial")).group_by("service_id", "ags", "valid_from").len()
    assert full["len"].max() == 1
    assert world.competences.filter(pl.col("service_id") == "ummeldung")["ags"].n_unique() == towns["ags"].n_unique()
    partial = world.competences.filter("is_partial")
    assert partial["authority_id"].to_list() == [f"bauaufsicht/{ags}" for ags in partial["ags"]]
    assert partial.height == 5
    assert dict(
        world.plan.filter(pl.col("service_id") == "ummeldung").group_by("land_code").agg(pl.col("population").sum()).rows()
    ) == {
        "09": 13_248_928,
        "06": 6_280_793,
    }


# -- connections ------------------------------------------------------------------------------------------------------------


def test_events_are_canonical_and_in_order(world: World) -> None:
    events = canonical("connections", world.connections)
    assert TABLES["connections"].schema.is_valid(
        events.with_columns(
            pl.lit("s").alias("source"), pl.lit("d").alias("delivery_id"), pl.lit(world.parameters.night).alias("delivered_at")
        ),
        cast=True,
    )
    day = pl.col("effective_on")
    wide = (
        events.group_by("authority_id", "service_id")
        .agg(*[day.filter(pl.col("phase") == phase).min().alias(phase) for phase in ("planned", "contracted", "integrating")]
             , *[day.filter(pl.col("phase") == phase).min().alias(phase) for phase in ("onboarding", "operational")])
    )  # fmt: skip
    for before, after in (
        ("planned", "contracted"),
        ("contracted", "integrating"),
        ("integrating", "onboarding"),
        ("onboarding", "operational"),
    ):
        both = wide.filter(pl.col(before).is_not_null() & pl.col(after).is_not_null())
        assert both.height > 1000
        assert (both[before] < both[after]).all()
    assert events.filter(day > END)["phase"].unique().to_list() == ["planned"]
    assert (events["reported_at"] < clock.end_of(END)).all()
    assert events.filter(pl.col("land_code") == "09")["event_id"].is_unique().all()
    assert events.filter(pl.col("land_code") == "06")["event_id"].null_count() == (events["land_code"] == "06").sum()
    natural = TABLES["connections"].key
    assert not events.select(natural).is_duplicated().any()


def test_baseline_pilots_and_waves(world: World) -> None:
    plan = world.plan
    start = (date(2026, 1, 21) - date(1970, 1, 1)).days
    before = plan.filter(pl.col("accepted") < start).group_by("land_code", "service_id").len()
    assert {(land, s): n for land, s, n in before.rows()} == {
        (land, s): n for land, of in BASELINE.items() if land in world.parameters.laender for s, n in of.items()
    }
    pilots = plan.filter("is_pilot")
    assert set(pilots["wave"]) == {0}
    assert (plan.filter(~pl.col("is_pilot") & ~pl.col("is_baseline"))["wave"] > 0).all()
    # six pilot municipalities per Land: each has exactly one authority for residence registration
    assert dict(pilots.filter(pl.col("service_id") == "ummeldung").group_by("land_code").len().rows()) == {"09": 6, "06": 6}
    assert plan.filter(~pl.col("is_baseline")).group_by("land_code", "wave").agg(pl.col("team").n_unique())["team"].min() > 1
    phases = set(world.connections["phase"])
    assert {"suspended", "withdrawn"} <= phases
    year_end = (date(2026, 12, 31) - date(1970, 1, 1)).days
    late = plan.filter(pl.col("accepted") > year_end)
    assert 0.02 < late.height / plan.height < 0.3
    assert (plan["accepted"] >= 10**6).any()  # some are never finished


def test_difficulty_is_recorded_before_the_work_begins(world: World) -> None:
    rolled = world.plan.filter(~pl.col("is_baseline"))
    assert (rolled["recorded"] < rolled["started"]).all()


def test_experience_counts_acceptances_before_the_start_only(world: World) -> None:
    """N = first acceptances of the service in all Länder before started_on, baselines included; recomputed one by one."""
    plan = world.plan
    for row in plan.filter(~pl.col("is_baseline")).sample(60, seed=3).to_dicts():
        earlier = plan.filter((pl.col("service_id") == row["service_id"]) & (pl.col("accepted") < row["started"]))
        assert row["cumulative_connections"] == earlier.height
    assert plan.filter(~pl.col("is_baseline"))["cumulative_connections"].min() > 0


@pytest.mark.parametrize(("rate", "elasticity"), [(0.0, 1.0), (0.2, 0.9)])
def test_effort_follows_the_stated_law(rate: float, elasticity: float) -> None:
    """Without shocks and noise the stated coefficients come back from a least-squares fit."""
    quiet = Parameters(
        end=date(2026, 2, 1),
        learning_rate=rate,
        scale_elasticity=elasticity,
        shock_sd=0,
        team_sd=0,
        noise_sd=0,
        difficulty_effect=0.3,
    )
    plan = make_world(quiet).plan.filter(~pl.col("is_baseline") & (pl.col("person_days") > 1))
    x = plan.select(
        pl.lit(1.0).alias("one"),
        pl.col("cumulative_connections").log().alias("n"),
        pl.col("population").log().alias("population"),
        pl.col("difficulty"),
        pl.col("call_off_size").log().alias("size"),
    ).to_numpy()
    for outcome in ("person_days", "variable_cents"):
        fit = np.linalg.lstsq(x, np.log(plan[outcome].to_numpy()), rcond=None)[0]
        assert fit[1:] == pytest.approx([np.log2(1 - rate), 0.08, 0.3, elasticity - 1], abs=2e-3)


@pytest.mark.parametrize("correlation", [-0.8, 0.8])
def test_order_follows_difficulty_as_stated(correlation: float) -> None:
    plan = make_world(Parameters(end=date(2026, 2, 1), difficulty_order_correlation=correlation)).plan
    rolled = plan.filter((pl.col("planned_wave") > 0) & (pl.col("service_id") == "ummeldung"))
    assert rolled.select(pl.corr("difficulty", "planned_wave")).item() == pytest.approx(correlation, abs=0.1)


# -- usage ------------------------------------------------------------------------------------------------------------------


def test_usage_happens_while_a_connection_is_live(world: World) -> None:
    lives = world.plan.select("authority_id", "service_id", "accepted", "suspended", "resumed", "is_dead")
    used = world.usage_daily.join(lives, on=["authority_id", "service_id"])
    day = pl.col("period").to_physical()
    live = ((day >= pl.col("accepted")) & (day < pl.col("suspended"))) | (day >= pl.col("resumed"))
    assert used.height == world.usage_daily.height
    assert used.select(live.all()).item()
    online = pl.col("channel").is_in(["online", "assisted"])
    assert used.filter(online & pl.col("is_dead"))["submitted"].sum() == 0
    assert used.filter(online & ~pl.col("is_dead"))["submitted"].sum() > 10_000
    weekend = pl.col("period").dt.weekday() > 5
    assert used.filter(weekend & ~online)["submitted"].sum() == 0
    # adoption ramps up: the second quarter of a year of life sees more than the first two weeks
    age = day - pl.col("accepted")
    early = used.filter((pl.col("channel") == "online") & ~pl.col("is_dead") & age.is_between(0, 13))["submitted"].mean()
    mature = used.filter((pl.col("channel") == "online") & ~pl.col("is_dead") & age.is_between(90, 180))["submitted"].mean()
    assert mature > 2 * early  # type: ignore[operator]


def test_reported_usage_is_what_happened_but_for_what_is_missing_late_or_not_yet_corrected(world: World) -> None:
    key = ["authority_id", "service_id", "period", "channel"]
    days = world.usage.filter((pl.col("grain") == "day") & ~pl.col("is_test"))
    happened = world.usage_daily.filter(pl.col("land_code") == "06")
    both = days.join(happened, on=key, suffix="_true", nulls_equal=True)
    assert both.height == days.height  # nothing is reported that did not happen
    wrong = both.filter(pl.col("submitted") != pl.col("submitted_true"))
    assert 0 < wrong.height < 0.01 * days.height
    assert (wrong["_corrected_on"] > END).all()  # only what will be corrected later
    missing = happened.join(days, on=key, how="anti")
    assert 0 < missing.height < 0.1 * happened.height

    months = world.usage.filter((pl.col("grain") == "month") & ~pl.col("is_test"))
    sums = months.group_by(key).agg(pl.col("submitted").sum(), pl.col("_corrected_on").is_not_null().any().alias("pending"))
    true = (
        world.usage_daily.filter(pl.col("land_code") == "09")
        .with_columns(pl.col("period").dt.month_start())
        .group_by(key)
        .agg(pl.col("submitted").sum().alias("true"))
    )
    joined = sums.join(true, on=key)
    assert joined.height == sums.height
    assert (joined.filter(~pl.col("pending"))["submitted"] == joined.filter(~pl.col("pending"))["true"]).all()
    assert set(months.filter(pl.col("channel") == "online")["account"]) == {"bundid", "unternehmenskonto", "other", "none"}
    assert (
        months.filter(pl.col("channel") != "online")["account"].null_count()
        == months.filter(pl.col("channel") != "online").height
    )


def test_usage_rows_are_one_per_key_and_test_traffic_stands_apart(world: World) -> None:
    key = [*TABLES["usage"].key]
    assert not world.usage.select(key).is_duplicated().any()
    test = world.usage.filter("is_test").join(
        world.plan.select("authority_id", "service_id", "accepted"), on=["authority_id", "service_id"]
    )
    assert test.height > 100
    assert (test["period"].to_physical() < test["accepted"]).all()
    completed = world.usage.filter(pl.col("completed").is_not_null())
    assert (completed["completed"] <= completed["submitted"]).all()
    started = world.usage.filter(pl.col("started").is_not_null())
    assert (started["started"] >= started["submitted"]).all()


def test_case_volumes_are_unknown_for_one_service_of_one_land(world: World) -> None:
    known = {(land, service) for land, service in world.case_volumes.select("land_code", "service_id").unique().rows()}
    programme = {(land, service) for land, service in world.plan.select("land_code", "service_id").unique().rows()}
    assert programme - known == {("06", "anlagengenehmigung")}
    assert not world.case_volumes.select(TABLES["case_volumes"].key).is_duplicated().any()


# -- costs ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished() -> World:
    return make_world(Parameters(end=date(2027, 6, 30), missing_share=0.0))


def test_direct_invoices_add_up_to_the_variable_cost_of_a_connection(finished: World) -> None:
    direct = finished.costs.filter(pl.col("entry_id").str.slice(3, 2).is_in(DIRECT) & (pl.col("price_mechanism") == "actual"))
    sums = direct.group_by("authority_id", "service_id").agg(pl.col("cents").sum(), pl.len())
    long_ago = (date(2027, 1, 31) - date(1970, 1, 1)).days
    done = finished.plan.filter((pl.col("wave") > 0) & (pl.col("accepted") < long_ago)).join(
        sums, on=["authority_id", "service_id"]
    )
    settled = done.join(
        finished.costs.filter(pl.col("_corrected_on").is_not_null() & ~pl.col("_is_superseded")), on="authority_id", how="semi"
    )
    assert done.height > 1500
    assert (done["len"] == 5).all()
    assert (done["cents"] == done["variable_cents"]).all()
    assert settled.height > 0  # corrected entries count with their corrected amount


def test_most_variable_euros_are_direct_and_at_actual_price(finished: World) -> None:
    variable = finished.costs.filter((pl.col("behaviour") == "variable") & pl.col("entry_status").is_in(["invoiced", "reversal"]))
    total = variable["cents"].sum()
    assert variable.filter(pl.col("authority_id").is_not_null())["cents"].sum() / total > 0.8
    assert variable.filter(pl.col("price_mechanism") == "actual")["cents"].sum() / total > 0.9
    assert {"bund", "land", "kommune"} == set(variable["payer"])


def test_credits_take_back_what_was_invoiced_twice(finished: World) -> None:
    costs = finished.costs.with_columns(number=pl.col("entry_id").str.slice(6), kind=pl.col("entry_id").str.slice(3, 2))
    credited = costs.filter(pl.col("entry_status") == "reversal")
    twice = costs.filter(pl.col("kind") == "GX")
    both = credited.join(twice, on=["land_code", "number"])
    assert credited.height > 10
    assert both.height == credited.height
    assert (both["amount_eur"] < 0).all()
    uncorrected = both.filter(pl.col("_corrected_on_right").is_null() & pl.col("_corrected_on").is_null())
    assert (uncorrected["cents"] == -uncorrected["cents_right"]).all()


def test_every_kind_of_entry_is_there(finished: World) -> None:
    costs = canonical("costs", finished.costs)
    assert set(costs["entry_status"]) == {"planned", "estimate", "invoiced", "reversal"}
    assert set(costs["behaviour"]) == {"variable", "fixed_land", "fixed_programme"}
    assert len(set(costs["category"])) == 9
    assert costs["entry_id"].is_unique().all()
    assert (costs["booked_on"] <= date(2027, 6, 30)).all()
    taxed = costs.filter(pl.col("vat_nonrecoverable_eur").is_not_null())
    error = (taxed["vat_nonrecoverable_eur"].cast(pl.Float64) - 0.19 * taxed["amount_eur"].cast(pl.Float64)).abs()
    assert error.max() <= 0.0051  # type: ignore[operator]
    assert costs.filter(pl.col("recurring"))["category"].unique().sort().to_list() == ["hosting", "licence", "support"]


def test_some_ledger_entries_of_hesse_are_corrected_in_a_later_month(finished: World) -> None:
    versions = finished.cost_versions
    first = versions.filter("_is_superseded")
    assert set(first["land_code"]) == {"06"}
    again = first.join(versions.filter(~pl.col("_is_superseded")), on="entry_id", suffix="_again")
    assert again.height == first.height > 5
    assert (again["amount_eur"] != again["amount_eur_again"]).all()
    assert (again["_reported_on_again"].dt.month_start() > again["_reported_on"].dt.month_start()).all()


# -- listings ---------------------------------------------------------------------------------------------------------------


def test_listings_show_a_share_of_the_operational_authorities(world: World) -> None:
    own = world.listings.filter(~pl.col("is_inherited") & ~pl.col("ars").str.ends_with("0000000000"))
    listed = own.filter(pl.col("service_id") == "ummeldung").unique("ars").height
    today = (END - date(1970, 1, 1)).days
    operational = world.plan.filter((pl.col("service_id") == "ummeldung") & (pl.col("accepted") <= today)).height
    assert 0.5 * operational < listed < operational
    assert world.listings.filter("is_inherited").height > 0
    assert set(world.listings["evidence"]) == {"reachable", "listed"}
    assert not world.listings.select(TABLES["listings"].key).is_duplicated().any()
    assert world.listings["leika_key"].str.contains(r"^99\d{12}$").all()
    assert set(world.listings["observed_on"]) == {END}
    assert set(world.listings["service_id"]).isdisjoint({"fuehrerschein", "anlagengenehmigung"})  # their keys are not known


def test_night_is_the_last_minute_of_the_end_in_berlin() -> None:
    night = Parameters(end=date(2026, 10, 31)).night
    assert clock.day_of(night) == date(2026, 10, 31)
    assert clock.day_of(night + timedelta(minutes=1)) == date(2026, 11, 1)
