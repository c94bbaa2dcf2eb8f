"""Dead connections: worlds without one seldom name one, dead ones of some size are found, and dispersions are recovered.

The published SQL of probabilities and answers runs on every world, over the estimator.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import jinja2
import numpy as np
import polars as pl
import pytest

from dbt_project import PROJECT_DIR
from dbt_project.estimators.dormancy import INPUT_SCHEMA, OUTPUT_SCHEMA, PEERS_MIN, dispersion, expect

SQL = jinja2.Template((PROJECT_DIR / "models" / "metrics" / "dormant_connection.sql").read_text(encoding="utf-8"))
AS_OF = date(2026, 9, 30)
MONTHS = [date(2026, month, 1) for month in range(3, 10)]
SEASON = np.array([1.2, 1.0, 0.9, 0.8, 0.7, 1.1, 1.4])
#: What tells one office from the next: a factor of mean 1 that stays, or that is drawn anew for every window.
HETEROGENEITY = ("gamma", "lognormal", "none", "anew")


def connections(rng: np.random.Generator, kind: str, dead_share: float = 0.0) -> pl.DataFrame:
    """The months of a world's connections: 240 of a busy and 40 of a quiet service, a third of them young, of 500 to 500,000 inhabitants."""
    services = np.repeat(["busy", "quiet"], [240, 40])
    n, months = len(services), len(MONTHS)
    inhabitants = np.exp(rng.uniform(np.log(500), np.log(500_000), n))
    age = rng.integers(0, 30, n)  # calendar months since the go-live in the last month
    alpha = np.where(services == "busy", 0.3, 0.6)
    factor = {
        "gamma": lambda: np.repeat(rng.gamma(1 / alpha, alpha)[:, None], months, axis=1),
        "lognormal": lambda: np.repeat(np.exp(rng.normal(-0.125, 0.5, n))[:, None], months, axis=1),
        "none": lambda: np.ones((n, months)),
        "anew": lambda: rng.gamma(1 / alpha, alpha, (3, n)).T[:, [0, 1, 1, 1, 2, 2, 2]],
    }[kind]()
    is_dead = rng.random(n) < dead_share
    months_live = age[:, None] - np.arange(months)[::-1]
    ramp = 1 - np.exp(-(months_live + 1) / 3)
    yearly = np.where(services == "busy", 0.02, 0.002)
    mu = (inhabitants * yearly / 12 * ~is_dead)[:, None] * SEASON * np.maximum(ramp, 0) * factor
    index, month = np.nonzero(months_live >= 0)
    is_whole = (age >= 6)[index]
    window = np.where(month >= 4, 1, np.where((month >= 1) & is_whole, 2, 0))
    days = np.array([31, 30, 31, 30, 31, 31, 30])
    counts = rng.poisson(mu)[index, month]
    return pl.DataFrame(
        {
            "land_code": "09",
            "authority_id": [f"a{i}" for i in index],
            "service_id": services[index],
            "as_of": AS_OF,
            "month": [MONTHS[m] for m in month],
            "months_live": months_live[index, month],
            "live_days": days[month],
            "reported_days": days[month].astype(float),
            "inhabitant_days": inhabitants[index] * days[month],
            "submitted_online": counts,
            "started_online": counts * 2,
            "window_number": pl.Series(window, dtype=pl.Int32).replace(0, None),
            "is_dead": is_dead[index],
        }
    )


def answers(months: pl.DataFrame) -> pl.DataFrame:
    """``dormant_connection`` of a world, with ``is_dead``."""
    expected = expect(months.select(*INPUT_SCHEMA))
    with duckdb.connect() as con:
        con.execute("set threads = 1")
        for name, kinds, frame in (
            (
                "int_dormancy_month",
                "land_code varchar, authority_id varchar, service_id varchar, as_of date, month date, live_days bigint, "
                "reported_days double, inhabitant_days double, submitted_online bigint, started_online bigint, window_number int",
                months.drop("months_live", "is_dead"),
            ),
            (
                "int_dormancy_expected",
                "land_code varchar, authority_id varchar, service_id varchar, window_number int, mu double, alpha_estimate double, "
                "alpha double",
                expected,
            ),
        ):
            columns = ", ".join(frame.columns)
            con.execute(f"create table {name} ({kinds})")
            values: dict[str, Any] = frame.to_dict(as_series=False)
            arrays = ", ".join(f"unnest(${name})" for name in frame.columns)
            con.execute(f"insert into {name} ({columns}) select {arrays}", values)
        con.execute("create table evidence_conflict (authority_id varchar, service_id varchar, kind varchar)")
        result = con.execute(
            f"select authority_id, answer, q_value, window_1_mu, window_2_mu from ({SQL.render(ref=lambda name: name)})"
        )
        schema = {
            "authority_id": pl.String,
            "answer": pl.String,
            "q_value": pl.Float64,
            "window_1_mu": pl.Float64,
            "window_2_mu": pl.Float64,
        }
        found = pl.DataFrame(result.fetchall(), schema=schema, orient="row")
    return found.join(months.select("authority_id", "is_dead").unique(), on="authority_id")


def test_at_most_one_night_in_twenty_names_a_dead_connection_where_there_is_none() -> None:
    named, tested = [], 0
    for seed in range(200):
        found = answers(connections(np.random.default_rng([2026, seed]), HETEROGENEITY[seed % 4]))
        tested += found["q_value"].count()
        named.append(found["answer"].str.starts_with("dead").sum())
    assert tested > 200 * 100
    assert sum(count > 0 for count in named) <= 10, named


@pytest.mark.parametrize("kind", HETEROGENEITY)
def test_dead_connections_of_some_size_are_found(kind: str) -> None:
    found = pl.concat(answers(connections(np.random.default_rng([7, seed]), kind, dead_share=0.08)) for seed in range(8))
    large = found.filter(
        pl.col("is_dead") & (pl.min_horizontal("window_1_mu", "window_2_mu") > 300) & pl.col("q_value").is_not_null()
    )
    assert large.height >= 20
    assert large["answer"].str.starts_with("dead").mean() > 0.8
    named = found.filter(pl.col("answer").str.starts_with("dead"))
    assert set(named["answer"]) == {"dead_technical"}  # nothing is begun where nobody comes
    assert named["is_dead"].mean() > 0.95


def test_the_dispersion_is_recovered_and_its_limit_lies_above_it() -> None:
    rng = np.random.default_rng(1)
    mu = np.exp(rng.uniform(0, 7, 4_000))
    for alpha in (0.1, 0.5, 2.0):
        counts = rng.poisson(mu * rng.gamma(1 / alpha, alpha, mu.size))
        estimate, upper = dispersion(counts[counts > 0], mu[counts > 0])
        assert 0.9 * alpha < estimate < 1.1 * alpha < 1.25 * alpha
        assert estimate < upper < 1.25 * alpha
    estimate, upper = dispersion(counts[:30].clip(1), mu[:30])
    assert upper > 1.2 * estimate  # few peers: a wide interval
    poisson = rng.poisson(mu)
    assert dispersion(poisson[poisson > 0], mu[poisson > 0])[1] < 0.01


def rows(n: int, submitted: list[int | None], exposure: float = 1000.0) -> pl.DataFrame:
    """One month, window 1, of ``n`` connections of one service."""
    return pl.DataFrame(
        {
            "land_code": "09",
            "authority_id": [f"a{i}" for i in range(n)],
            "service_id": "s",
            "month": MONTHS[0],
            "months_live": 20,
            "window_number": 1,
            "inhabitant_days": exposure,
            "submitted_online": submitted,
        },
        schema=INPUT_SCHEMA,
    )


def test_nothing_is_expected_from_too_few_peers_and_the_own_count_is_left_out() -> None:
    few = expect(rows(PEERS_MIN, [5] * PEERS_MIN))
    assert few["mu"].null_count() == few.height == PEERS_MIN
    n = PEERS_MIN + 1
    enough = expect(rows(n, [*range(n)])).sort("authority_id")
    own = dict(zip((f"a{i}" for i in range(n)), range(n), strict=True))
    for name, mu in enough.select("authority_id", "mu").rows():
        assert mu == pytest.approx((sum(range(n)) - own[name]) / (n - 1))


def test_what_is_not_reported_is_no_exposure_and_an_empty_night_expects_nothing() -> None:
    n = PEERS_MIN + 2
    silent = rows(n, [None, *[4] * (n - 1)])
    found = expect(silent)
    assert "a0" not in found["authority_id"] and found.height == n - 1
    assert found["mu"].to_list() == pytest.approx([4.0] * (n - 1))
    zero = expect(rows(n, [0] * n))
    assert zero["mu"].to_list() == [0.0] * n and zero["alpha"].null_count() == n
    empty = expect(silent.clear())
    assert empty.is_empty() and empty.schema == OUTPUT_SCHEMA
