"""The estimates that SQL makes (``int_scale_twin``) equal those of statsmodels, and degenerate data make none.

The model's own SQL runs here; that it also equals the project's estimators is a test of every build (``scale_twins_agree``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from jinja2 import Environment

from dbt_project import PROJECT_DIR

Twin = Callable[..., dict[tuple[str, str], dict[str, Any]]]
COLUMNS = ("outcome", "specification", "n", "df", "coefficient", "se", "r_squared")


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    """The twin's estimates of a table of observations, by outcome and specification."""
    text = (PROJECT_DIR / "models" / "intermediate" / "int_scale_twin.sql").read_text(encoding="utf-8")
    sql = Environment(autoescape=False).from_string(text).render(ref=lambda name: name)

    def run(rows: pl.DataFrame, accepted_by: date | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        rows.write_parquet(tmp_path / "rows.parquet")
        with duckdb.connect() as db:
            db.execute(f"create table scale_observation as from '{tmp_path / 'rows.parquet'}'")
            db.execute("create table int_scale_estimate as select ?::date as accepted_by", [accepted_by])
            found = db.execute(f"select {', '.join(COLUMNS)} from ({sql})").fetchall()
        return {(row[0], row[1]): dict(zip(COLUMNS, row, strict=True)) for row in found}

    return run


def observations(seed: int, n: int = 400) -> pl.DataFrame:
    """Costs and person-days that fall with N, in four services and two Länder of different levels."""
    rng = np.random.default_rng(seed)
    experience = rng.integers(1, 900, n)
    land, service = rng.integers(0, 2, n), rng.integers(0, 4, n)
    y = 9.5 - 0.15 * np.log(experience) + 0.3 * land - 0.2 * service + rng.normal(0, 0.4, n)
    return pl.DataFrame(
        {
            "land_code": np.where(land, "09", "06"),
            "service_id": [f"s{one}" for one in service],
            "cost_variable_eur": pl.Series(np.exp(y)).round(2),
            "person_days": np.exp(y - 6.5 + rng.normal(0, 0.2, n)),
            "cumulative_connections": experience,
            "is_accepted": True,
            "is_invoiced": True,
            "accepted_on": [date(2026, 1, 1 + one) for one in rng.integers(0, 28, n).tolist()],
            "price_mechanism": "actual",
        }
    )


def expected(rows: pl.DataFrame, column: str, *, is_within: bool) -> Any:
    """The same by statsmodels: an intercept, or a dummy for each level."""
    y = np.log(rows[column].to_numpy())
    x = np.log(rows["cumulative_connections"].to_numpy())
    levels = rows.select(pl.concat_str("service_id", "land_code")).to_series().to_dummies().to_numpy()
    design = np.column_stack([x, levels if is_within else np.ones_like(x)])
    return sm.OLS(y, design.astype(float)).fit()


@pytest.mark.parametrize("column", ["cost_variable_eur", "person_days"])
@pytest.mark.parametrize("specification", ["bivariate", "within"])
def test_the_twin_equals_statsmodels(twin: Twin, column: str, specification: str) -> None:
    rows = observations(20260121)
    found = twin(rows)[column.removesuffix("_variable_eur"), specification]
    fit = expected(rows, column, is_within=specification == "within")
    assert found["n"] == 400 and found["df"] == fit.df_resid == (391 if specification == "within" else 398)
    assert math.isclose(found["coefficient"], fit.params[0], rel_tol=1e-10)
    assert math.isclose(found["se"], fit.bse[0], rel_tol=1e-10)
    if specification == "bivariate":
        assert math.isclose(found["r_squared"], fit.rsquared, rel_tol=1e-10)


def test_only_the_cohort_counts(twin: Twin) -> None:
    """Open and not invoiced connections, prices by contract, no experience, no cost, later acceptances."""
    rows = observations(3)
    odd = pl.concat(
        [
            rows[:5].with_columns(is_accepted=pl.lit(False), accepted_on=pl.lit(None, pl.Date)),
            rows[5:10].with_columns(accepted_on=date(2026, 3, 1)),
            rows[10:15].with_columns(cumulative_connections=pl.lit(0, pl.Int64)),
            rows[15:20].with_columns(cost_variable_eur=pl.lit(None, pl.Float64), person_days=pl.lit(0.0)),
        ]
    )
    by_contract = rows[20:40].with_columns(price_mechanism=pl.lit("mixed"))
    unbilled = rows[40:60].with_columns(is_invoiced=pl.lit(False))
    found = twin(pl.concat([odd, by_contract, unbilled, rows[60:]]), date(2026, 1, 31))
    for outcome, used in (("cost", rows[60:]), ("person_days", rows[20:])):
        column = "cost_variable_eur" if outcome == "cost" else outcome
        for specification in ("bivariate", "within"):
            one = found[outcome, specification]
            fit = expected(used, column, is_within=specification == "within")
            assert one["n"] == used.height
            assert math.isclose(one["coefficient"], fit.params[0], rel_tol=1e-10)
            assert math.isclose(one["se"], fit.bse[0], rel_tol=1e-10)


def test_without_a_look_everything_accepted_counts(twin: Twin) -> None:
    assert twin(observations(4).with_columns(accepted_on=date(2030, 1, 1)))["cost", "within"]["n"] == 400


def test_levels_that_never_vary_add_nothing_and_a_single_one_takes_a_degree_of_freedom(twin: Twin) -> None:
    rows = observations(5)
    constant = rows[:50].with_columns(service_id=pl.lit("constant"), cumulative_connections=pl.lit(7, pl.Int64))
    alone = rows[50:51].with_columns(service_id=pl.lit("alone"))
    together = pl.concat([constant, alone, rows[51:]])
    fit = expected(together, "cost_variable_eur", is_within=True)
    found = twin(together)["cost", "within"]
    assert found["df"] == fit.df_resid
    assert math.isclose(found["coefficient"], fit.params[0], rel_tol=1e-10)
    assert math.isclose(found["se"], fit.bse[0], rel_tol=1e-10)


@pytest.mark.parametrize(
    "rows",
    [
        observations(6).with_columns(cumulative_connections=pl.lit(7, pl.Int64)),
        observations(7, 2),
        observations(8, 1),
        observations(9, 40).with_columns(service_id=pl.int_range(40).cast(pl.String)),
    ],
    ids=["N never varies", "two observations", "one observation", "every level has one observation"],
)
def test_degenerate_data_make_no_estimate(twin: Twin, rows: pl.DataFrame) -> None:
    within = twin(rows)["cost", "within"]
    assert within["coefficient"] is None and within["se"] is None
    if rows["cumulative_connections"].n_unique() == 1 or rows.height < 3:
        bivariate = twin(rows)["cost", "bivariate"]
        assert bivariate["coefficient"] is None and bivariate["se"] is None


def test_no_observation_makes_no_row(twin: Twin) -> None:
    assert twin(observations(1)[:0]) == {}


def test_the_twin_gives_the_published_answers(shared_data: Path, twin: Twin) -> None:
    """Nerlove's firms (Hayashi 2000), ln total cost on ln output: cost of the "connections" on their "N"."""
    firms = pl.read_csv(shared_data / "statistics" / "nerlove_hayashi.csv")
    rows = firms.select(
        land_code=pl.lit("09"),
        service_id=pl.lit("s"),
        cost_variable_eur="total_cost",
        person_days=pl.lit(None, pl.Float64),
        cumulative_connections="output",
        is_accepted=True,
        is_invoiced=True,
        accepted_on=date(2026, 1, 1),
        price_mechanism=pl.lit("actual"),
    )
    found = twin(rows)["cost", "bivariate"]
    assert found["n"] == 145
    for name, printed in (("coefficient", 0.7092016829876), ("se", 0.0186023806831), ("r_squared", 0.9104267020874)):
        assert abs(found[name] - printed) <= 5.1e-14, name
