"""The general estimators against published answers and against statsmodels: what they say of known data is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.duration.survfunc import survdiff

from dbt_project.estimators import regression
from dbt_project.estimators.regression import RegressionError


@pytest.fixture(scope="module")
def statistics(shared_data: Path) -> Path:
    return shared_data / "statistics"


@pytest.fixture(scope="module")
def nerlove(statistics: Path) -> pl.DataFrame:
    return pl.read_csv(statistics / "nerlove_hayashi.csv")


@pytest.fixture(scope="module")
def grunfeld(statistics: Path) -> pl.DataFrame:
    return pl.read_csv(statistics / "grunfeld_plm_10firms.csv")


def _printed(value: float, text: str) -> bool:
    """Whether the value rounds to what is printed: within half a unit of the last digit."""
    return abs(value - float(text)) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + 1e-9)


def test_nerlove_unrestricted(nerlove: pl.DataFrame) -> None:
    prices = [np.log(nerlove[name].to_numpy()) for name in ("price_labor", "price_capital", "price_fuel")]
    fit = regression.loglog(nerlove["total_cost"], nerlove["output"], names=["ln_q"], controls=prices)
    assert _printed(fit.coefficient("ln_q"), "0.72039")
    assert _printed(fit.standard_error("ln_q"), "0.01747")
    assert _printed(fit.r2, "0.926")
    assert _printed(fit.ssr, "21.552")
    assert _printed(np.sqrt(fit.ssr / fit.df), "0.3924")
    f = (fit.r2 / 4) / ((1 - fit.r2) / fit.df)
    assert _printed(f, "437.7")
    assert _printed(1 / fit.coefficient("ln_q"), "1.388129")
    robust = regression.loglog(nerlove["total_cost"], nerlove["output"], names=["ln_q"], controls=prices, covariance="hc3")
    assert _printed(robust.standard_error("ln_q"), "0.0340516")


def test_nerlove_average_cost_is_the_same_regression_and_the_bound(nerlove: pl.DataFrame) -> None:
    prices = [np.log(nerlove[name].to_numpy()) for name in ("price_labor", "price_capital", "price_fuel")]
    scale = regression.scale_elasticity(nerlove["total_cost"], nerlove["output"], controls=prices)
    average = regression.loglog(nerlove["total_cost"] / nerlove["output"], nerlove["output"], controls=prices, covariance="hc3")
    assert average.coefficient("x1") == pytest.approx(scale.slope - 1, rel=1e-10)
    assert average.standard_error("x1") == pytest.approx(scale.se, rel=1e-10)
    assert _printed(average.r2, "0.695")
    assert scale.slope < scale.slope_reverse and _printed(scale.slope_reverse, "0.780")
    assert scale.rate == pytest.approx(1 - 2 ** (scale.slope - 1))


def test_nerlove_restricted(nerlove: pl.DataFrame) -> None:
    fuel = nerlove["price_fuel"]
    relative = [np.log((nerlove[name] / fuel).to_numpy()) for name in ("price_labor", "price_capital")]
    fit = regression.loglog(nerlove["total_cost"] / fuel, nerlove["output"], names=["ln_q"], controls=relative)
    assert _printed(fit.coefficient("ln_q"), "0.720688")
    assert _printed(fit.standard_error("ln_q"), "0.017436")
    assert _printed(fit.r2, "0.9316")
    assert _printed(fit.ssr, "21.640")
    assert _printed((fit.coefficient("ln_q") - 1) / fit.standard_error("ln_q"), "-16.0195576")


def test_nerlove_bivariate(nerlove: pl.DataFrame) -> None:
    fit = regression.loglog(nerlove["total_cost"], nerlove["output"], names=["ln_q"])
    assert fit.coefficient("ln_q") == pytest.approx(0.7092016829876, abs=5e-14)
    assert fit.coefficient("const") == pytest.approx(-2.9253246881784, abs=5e-14)
    assert fit.r2 == pytest.approx(0.9104267020874, abs=5e-14)
    assert fit.standard_error("ln_q") == pytest.approx(0.0186023806831, abs=5e-14)


def _nist(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(certified rows of estimate and standard deviation, data) of a NIST StRD file; it names its own lines."""
    lines = path.read_text().splitlines()
    certified = [
        line.split()[1:] for line in lines if line.split() and line.split()[0].startswith("B") and len(line.split()) == 3
    ]
    begin = next(i for i, line in enumerate(lines) if line.startswith("Data:") and " y " in line) + 1
    data = [line.split() for line in lines[begin:] if line.split()]
    return np.array(certified, dtype=float), np.array(data, dtype=float)


@pytest.mark.parametrize(("name", "coefficients"), [("Norris", 2), ("Longley", 7)])
def test_nist(statistics: Path, name: str, coefficients: int) -> None:
    certified, data = _nist(statistics / f"nist_{name}.dat")
    assert certified.shape == (coefficients, 2)
    fit = regression.ols(data[:, 0], data[:, 1:])
    np.testing.assert_allclose(fit.coefficients, certified[:, 0], rtol=1e-9)
    np.testing.assert_allclose(fit.se, certified[:, 1], rtol=1e-9)


def test_grunfeld_clusters(grunfeld: pl.DataFrame) -> None:
    # the published digits come from a program that holds the data in single precision: so do these
    single = grunfeld.select(pl.col("inv", "value", "capital").cast(pl.Float32).cast(pl.Float64))
    x = single.select("value", "capital").to_numpy()
    one = regression.ols(single["inv"], x, names=["value", "capital"], clusters=grunfeld["firm"], covariance="crv1")
    for term, value, se in (
        ("value", ".115562156", ".015894336"),
        ("capital", ".230678488", ".084967111"),
        ("const", "-42.714369", "20.425203"),
    ):
        assert _printed(one.coefficient(term), value)
        assert _printed(one.standard_error(term), se)
    slopes = one.coefficients[1:]
    wald = float(slopes @ np.linalg.solve(one.covariance[1:, 1:], slopes)) / 2
    assert _printed(wald, "51.590607")
    three = regression.crv3(grunfeld["inv"], x, grunfeld["firm"], names=["value", "capital"])
    assert three.df == 9
    for term, se in (("const", "34.8134"), ("value", ".016130"), ("capital", ".147331")):
        assert _printed(three.standard_error(term), se)


def test_the_cluster_jackknife_is_what_its_name_says(grunfeld: pl.DataFrame) -> None:
    x = np.column_stack([np.ones(grunfeld.height), grunfeld.select("value", "capital").to_numpy()])
    y, firm = grunfeld["inv"].to_numpy(), grunfeld["firm"].to_numpy()
    whole = np.linalg.lstsq(x, y, rcond=None)[0]
    parts = np.stack([np.linalg.lstsq(x[firm != g], y[firm != g], rcond=None)[0] for g in np.unique(firm)])
    by_hand = np.sqrt(9 / 10 * ((parts - whole) ** 2).sum(axis=0))
    np.testing.assert_allclose(regression.crv3(y, x[:, 1:], firm).se, by_hand, rtol=1e-9)


def _panel(seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y, x, fixed effects and clusters, crossed, so that every effect lives in several clusters."""
    rng = np.random.default_rng(seed)
    effect, cluster = rng.integers(0, 6, 400), rng.integers(0, 15, 400)
    x = np.column_stack([rng.normal(size=400) + 0.5 * effect, rng.normal(size=400)])
    y = x @ [-0.2, 0.4] + effect + rng.normal(0, 0.3, 15)[cluster] + rng.normal(size=400)
    return y, x, effect, cluster


@pytest.mark.parametrize(
    ("covariance", "options"),
    [
        ("classic", {}),
        ("hc3", {"cov_type": "HC3", "use_t": True}),
        ("crv1", {"cov_type": "cluster"}),
        ("crv3", {"cov_type": "cluster-crv3"}),
    ],
)
def test_absorbed_effects_equal_dummies(covariance: regression.Covariance, options: dict) -> None:
    y, x, effect, cluster = _panel()
    if "cluster" in options.get("cov_type", ""):
        options = options | {"cov_kwds": {"groups": cluster}, "use_t": True}
    dummies = sm.OLS(y, np.column_stack([x, np.eye(6)[effect]])).fit(**options)
    fit = regression.ols(y, x, fixed_effects=effect, clusters=cluster, covariance=covariance)
    np.testing.assert_allclose(fit.coefficients, dummies.params[:2], rtol=1e-10)
    np.testing.assert_allclose(fit.se, dummies.bse[:2], rtol=1e-9)
    assert fit.r2 == pytest.approx(dummies.rsquared, rel=1e-10)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    ("covariance", "options"),
    [
        ("classic", {}),
        ("hc3", {"cov_type": "HC3", "use_t": True}),
        ("crv1", {"cov_type": "cluster"}),
        ("crv3", {"cov_type": "cluster-crv3"}),
    ],
)
def test_without_effects_it_is_what_statsmodels_finds(
    covariance: regression.Covariance, options: dict[str, Any], intercept: bool
) -> None:
    y, x, effect, cluster = _panel()
    columns = np.column_stack([x, 100 * x[:, 0] + x[:, 0] ** 2, 1e-2 * np.eye(6)[effect][:, 1:]])
    if "cluster" in options.get("cov_type", ""):
        options = options | {"cov_kwds": {"groups": cluster}, "use_t": True}
    theirs = sm.OLS(y, sm.add_constant(columns) if intercept else columns).fit(**options)
    ours = regression.ols(y, columns, intercept=intercept, clusters=cluster, covariance=covariance)
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-6)
    np.testing.assert_allclose(ours.se, theirs.bse, rtol=1e-6)
    np.testing.assert_allclose(ours.residuals, theirs.resid, atol=1e-8)
    assert ours.r2 == pytest.approx(theirs.rsquared, rel=1e-9)
    assert ours.ssr == pytest.approx(theirs.ssr, rel=1e-9)


def test_a_regressor_of_one_cluster_alone_is_unknown_without_it() -> None:
    y, x, _, cluster = _panel()
    own = np.where(cluster == 3, 1.0, 0.0)
    fit = regression.ols(y, np.column_stack([x, own]), clusters=cluster, covariance="crv3")
    assert fit.variant == "crv3, a regressor lives in one cluster" and fit.left_out is not None
    without = np.column_stack([np.ones(y.size), x])
    for group, found in enumerate(fit.left_out):
        rows = cluster != group
        seen = without[rows] if group == 3 else np.column_stack([without, own])[rows]
        by_hand = np.linalg.lstsq(seen, y[rows], rcond=None)[0]
        np.testing.assert_allclose(found[: by_hand.size], by_hand, rtol=1e-8)
        assert np.isnan(found[3]) == (group == 3)
    assert np.isfinite(fit.se[:3]).all() and np.isnan(fit.se[3])


def test_an_effect_of_one_cluster_alone_does_not_stop_the_jackknife() -> None:
    y, x, effect, cluster = _panel()
    effect = np.where(cluster == 3, 9, effect)
    dummies = np.eye(10)[effect][:, np.unique(effect)]
    with pytest.raises(ValueError, match="rank-deficient"):
        sm.OLS(y, np.column_stack([x, dummies])).fit(cov_type="cluster-crv3", cov_kwds={"groups": cluster}, use_t=True)
    fit = regression.crv3(y, x, cluster, fixed_effects=effect)
    assert fit.variant == "crv3, a fixed effect lives in one cluster"
    columns = np.column_stack([x, dummies])
    whole = np.linalg.lstsq(columns, y, rcond=None)[0][:2]
    parts = np.stack([np.linalg.lstsq(columns[cluster != g], y[cluster != g], rcond=None)[0][:2] for g in range(15)])
    np.testing.assert_allclose(fit.se, np.sqrt(14 / 15 * ((parts - whole) ** 2).sum(axis=0)), rtol=1e-9)
    # the same without absorption: dummies as plain columns, those that one cluster alone identifies have no error
    dense = regression.ols(y, columns, intercept=False, clusters=cluster, covariance="crv3")
    np.testing.assert_allclose(dense.se[:2], fit.se, rtol=1e-8)
    assert np.isnan(dense.se[-1]) and np.isfinite(dense.se[:-1]).all()


def _by_hand(
    y: np.ndarray, x: np.ndarray, dummies: np.ndarray, cluster: np.ndarray, rho: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(slopes, errors, quasi-demeaned columns, y last) with full dummies, cluster by cluster; the jackknife by least squares anew."""
    columns = np.column_stack([x, dummies, y]).astype(float)
    for g in np.unique(cluster):
        of = cluster == g
        theta = 1 - np.sqrt((1 - rho) / (1 - rho + of.sum() * rho))
        columns[of] -= theta * columns[of].mean(axis=0)
    p, clusters = x.shape[1], np.unique(cluster)
    whole = np.linalg.lstsq(columns[:, :-1], columns[:, -1], rcond=None)[0][:p]
    parts = [np.linalg.lstsq(columns[cluster != g, :-1], columns[cluster != g, -1], rcond=None)[0][:p] for g in clusters]
    away = np.stack(parts) - whole
    return whole, np.sqrt((clusters.size - 1) / clusters.size * (away**2).sum(axis=0)), columns


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.5, 0.95])
def test_partial_pooling_equals_quasi_demeaning_by_hand(rho: float) -> None:
    y, x, effect, cluster = _panel()
    cluster = np.where(cluster < 5, 0, cluster)  # of unequal sizes
    effect = np.where(cluster == 12, 9, effect)  # one of them with a level of its own
    _, level = np.unique(effect, return_inverse=True)
    slopes, errors, _ = _by_hand(y, x, np.eye(level.max() + 1)[level], cluster, rho)
    fit = regression.partially_pooled(y, x, cluster, intraclass_correlation=rho, fixed_effects=effect)
    np.testing.assert_allclose(fit.coefficients, slopes, rtol=1e-9)
    np.testing.assert_allclose(fit.se, errors, rtol=1e-9)
    assert (fit.df, fit.clusters, fit.n) == (10, 11, 400)
    assert fit.variant.endswith("a fixed effect lives in one cluster")
    # two panels whose clusters share no level
    y, x = np.concatenate([y, y[::-1]]), np.vstack([x, np.roll(x, 7, axis=0)])
    level, cluster = np.concatenate([level, level + level.max() + 1]), np.concatenate([cluster, cluster + 100])
    slopes, errors, _ = _by_hand(y, x, np.eye(level.max() + 1)[level], cluster, rho)
    fit = regression.partially_pooled(y, x, cluster, intraclass_correlation=rho, fixed_effects=level)
    np.testing.assert_allclose(fit.coefficients, slopes, rtol=1e-9)
    np.testing.assert_allclose(fit.se, errors, rtol=1e-9)


def test_partial_pooling_is_generalised_least_squares_with_that_correlation() -> None:
    y, x, effect, cluster = _panel()
    design = np.column_stack([x, np.eye(6)[effect]])
    same = cluster[:, None] == cluster
    for rho in (0.05, 0.4):
        fit = regression.partially_pooled(y, x, cluster, intraclass_correlation=rho, fixed_effects=effect)
        gls = sm.GLS(y, design, sigma=np.where(same, rho, 0.0) + (1 - rho) * np.eye(400)).fit()
        np.testing.assert_allclose(fit.coefficients, gls.params[:2], rtol=1e-9)
        np.testing.assert_allclose(fit.residuals, gls.resid, atol=1e-9)
    # where the random effect is estimated, at the correlation that it finds the slopes are the same
    mixed = sm.MixedLM(y, design, cluster).fit(reml=True)
    found = float(mixed.cov_re[0, 0] / (mixed.cov_re[0, 0] + mixed.scale))
    assert 0.01 < found < 0.3
    fit = regression.partially_pooled(y, x, cluster, intraclass_correlation=found, fixed_effects=effect)
    np.testing.assert_allclose(fit.coefficients, mixed.fe_params[:2], rtol=1e-6)


def test_partial_pooling_without_effects_has_an_intercept_and_at_zero_is_least_squares() -> None:
    y, x, effect, cluster = _panel()
    slopes, errors, _ = _by_hand(y, x, np.ones((400, 1)), cluster, 0.05)
    fit = regression.partially_pooled(y, x, cluster, intraclass_correlation=0.05, names=["a", "b"])
    np.testing.assert_allclose(fit.coefficients, slopes, rtol=1e-9)
    np.testing.assert_allclose(fit.se, errors, rtol=1e-9)
    plain = regression.crv3(y, x, cluster, fixed_effects=effect)
    zero = regression.partially_pooled(y, x, cluster, intraclass_correlation=0, fixed_effects=effect)
    np.testing.assert_array_equal(zero.se, plain.se)
    assert zero.variant == plain.variant == "crv3"


def test_leverage_is_that_of_the_partially_pooled_regression() -> None:
    y, x, effect, cluster = _panel()
    _, _, columns = _by_hand(y, x, np.eye(6)[effect], cluster, 0.05)
    others = columns[:, 1:-1]
    rest = columns[:, 0] - others @ np.linalg.lstsq(others, columns[:, 0], rcond=None)[0]
    shares = regression.leverage_shares(x, 0, fixed_effects=effect, clusters=cluster, intraclass_correlation=0.05)
    np.testing.assert_allclose(shares, np.bincount(cluster, weights=rest**2) / (rest @ rest), rtol=1e-9)
    alone = regression.leverage_shares(x[:, :1], 0, fixed_effects=effect, clusters=cluster)
    within = regression.demean(x[:, :1], effect)[:, 0]
    np.testing.assert_allclose(alone, np.bincount(cluster, weights=within**2) / (within @ within), rtol=1e-9)


def test_an_observation_with_its_own_coefficient_has_no_say_in_hc3() -> None:
    y, x, _, _ = _panel()
    alone = np.zeros(400)
    alone[7] = 1.0
    with_it = regression.hc3(y, np.column_stack([x, alone]))
    without = regression.hc3(np.delete(y, 7), np.delete(x, 7, axis=0))
    np.testing.assert_allclose(with_it.se[:3], without.se, rtol=1e-9)


def test_within_is_the_regression_of_demeaned_values() -> None:
    y, x, effect, _ = _panel()
    fit = regression.within(y, x[:, 0], effect)
    inner = regression.demean(np.column_stack([x[:, 0], y]), effect)
    assert fit.coefficients[0] == pytest.approx(float(inner[:, 0] @ inner[:, 1] / (inner[:, 0] @ inner[:, 0])), rel=1e-12)
    assert fit.df == 400 - 6 - 1


def test_leverage_shares_are_the_partial_variation() -> None:
    _, x, effect, cluster = _panel()
    shares = regression.leverage_shares(x, 0, fixed_effects=effect, clusters=cluster)
    columns = np.column_stack([x[:, 1], np.eye(6)[effect]])
    rest = x[:, 0] - columns @ np.linalg.lstsq(columns, x[:, 0], rcond=None)[0]
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, np.bincount(cluster, weights=rest**2) / (rest @ rest), rtol=1e-9)


def test_a_learning_curve_without_noise_is_found_exactly() -> None:
    experience = np.arange(1, 200)
    curve = regression.learning_curve(5000 * experience ** np.log2(0.8), experience)
    assert curve.rate == pytest.approx(0.2, abs=1e-12)
    assert curve.rate_interval[0] <= curve.rate <= curve.rate_interval[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regression.loglog([1.0, 0.0, 2.0], [1, 2, 3]), "not positive"),
        (lambda: regression.ols([1.0, 2, 3, 5], [[1.0, 1, 1, 1]]), "collinear"),
        (lambda: regression.ols([1.0, 2.0], [[1.0, 2.0]]), "more observations"),
        (lambda: regression.ols([1.0, 2, 3, 5], [[1.0, 2, 4, 3]], clusters=[1, 1, 1, 1], covariance="crv3"), "at least two"),
        (lambda: regression.ols([1.0, 2, 3, 5], [[1.0, 2, 4, 3]], covariance="crv1"), "needs clusters"),
        (lambda: regression.ols([1.0, 2, 3, float("nan")], [[1.0, 2, 4, 3]]), "Missing"),
        (lambda: regression.within([1.0, 2, 3, 5], [1.0, 1, 2, 2], [0, 0, 1, 1]), "not identified"),
        (lambda: regression.partially_pooled([1.0, 2, 3], [1.0, 2, 4], [0, 0, 1], intraclass_correlation=1.0), "below 1"),
        (lambda: regression.partially_pooled([1.0, 2, 3], [1.0, 2, 4], [0, 0, 0], intraclass_correlation=0.1), "at least two"),
        (
            lambda: regression.partially_pooled([1.0, 2, 3, 5], [1.0, 1, 1, 2], [0, 0, 1, 2], intraclass_correlation=0.1),
            "without one of the clusters",
        ),
        (lambda: regression.kaplan_meier([], []), "Kaplan"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message: str) -> None:
    with pytest.raises(RegressionError, match=message):
        call()


def test_gehan_survival(statistics: Path) -> None:
    gehan = pl.read_csv(statistics / "gehan_6mp_MASS.csv")
    treated = gehan.filter(pl.col("treat") == "6-MP")
    curve = regression.kaplan_meier(treated["time"], treated["cens"] == 1)
    assert curve["days"].to_list() == [6, 7, 10, 13, 16, 22, 23]
    for value, printed in zip(
        curve["survival_share"], (".8571", ".8067", ".7529", ".6902", ".6275", ".5378", ".4482"), strict=True
    ):
        assert _printed(value, printed)
    medians = {}
    for arm, of in gehan.group_by("treat"):
        one = regression.kaplan_meier(of["time"], of["cens"] == 1)
        medians[arm[0]] = one.filter(pl.col("survival_share") <= 0.5)["days"].min()
    assert medians == {"6-MP": 23, "control": 8}
    statistic, p = survdiff(gehan["time"].to_numpy(), gehan["cens"].to_numpy(), gehan["treat"].to_numpy())
    assert _printed(statistic, "16.79") and p == pytest.approx(4.17e-5, rel=2e-3)
