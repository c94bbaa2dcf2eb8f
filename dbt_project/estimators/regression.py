"""Regressions on logarithms with honest standard errors, and Kaplan–Meier: plain functions for dbt models and for notebooks.

Belongs here: estimators that know nothing of the programme: least squares with classic, HC3, CRV1 and CRV3 errors, fixed effects, partial
pooling within clusters, learning curves, scale elasticities with the reverse-regression bound, survival. Does not: the pre-registered
specifications and their verdict (``scale.py``).

    from dbt_project.estimators import regression
    regression.learning_curve(cost_eur, experience, fixed_effects=service, clusters=wave).learning_rate

Inputs are numpy arrays, Polars series or anything ``numpy.asarray`` takes; n is the number of observations.

Sources. CRV1 and CRV3 (cluster jackknife), t(G − 1): MacKinnon, Nielsen and Webb (2023), Journal of Econometrics 232. HC3: MacKinnon and
White (1985). Quasi-demeaning by an effect of the cluster: Fuller and Battese (1973), Journal of the American Statistical Association 68;
errors by clusters that hold where the working correlation is wrong: Arellano (1987), Oxford Bulletin of Economics and Statistics 49.
Learning rate per doubling: Wright (1936). Partialling out: Frisch and Waugh (1933), Lovell (1963). Bounds from the direct and the reverse
regression: Frisch (1934), Klepper and Leamer (1984). Survival: Kaplan and Meier (1958), Greenwood (1926).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import sparse, stats  # type: ignore[import-untyped]
from scipy.linalg import solve_triangular  # type: ignore[import-untyped]
from statsmodels.duration.survfunc import SurvfuncRight  # type: ignore[import-untyped]

Covariance = Literal["classic", "hc3", "crv1", "crv3"]
#: Smallest eigenvalue of the scaled normal matrix below which a regressor counts as a combination of the others.
_SINGULAR = 1e-10
#: A coefficient with more than this share of itself in directions without observations is not identified.
_SHARE_OPEN = 1e-8


class RegressionError(ValueError):
    """The regression cannot be computed; the message says why and what would help."""


@dataclass(frozen=True)
class Fit:
    """A least-squares fit. ``coefficients`` and ``covariance`` follow ``names``; absorbed fixed effects are not among them.

    ``df``: degrees of freedom of the t distribution (n − k for classic and HC3, G − 1 for clusters). ``variant``: how the covariance was
    made. ``left_out``: with CRV3, the coefficients without each cluster, (G, p), in the order of ``cluster_names``.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    covariance: np.ndarray
    df: float
    n: int
    clusters: int | None
    r2: float
    ssr: float
    residuals: np.ndarray
    variant: str
    left_out: np.ndarray | None = None
    cluster_names: np.ndarray | None = None

    @property
    def se(self) -> np.ndarray:
        """Standard errors, (p,)."""
        return np.sqrt(np.diag(self.covariance))

    def coefficient(self, name: str) -> float:
        """The coefficient of a regressor."""
        return float(self.coefficients[self.names.index(name)])

    def standard_error(self, name: str) -> float:
        """The standard error of a regressor's coefficient."""
        return float(self.se[self.names.index(name)])

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """The two-sided t interval of a regressor's coefficient."""
        half = float(stats.t.ppf(0.5 + level / 2, self.df)) * self.standard_error(name)
        return self.coefficient(name) - half, self.coefficient(name) + half


@dataclass(frozen=True)
class Curve:
    """A learning curve or scale elasticity. ``rate`` is the saving per doubling (share), with the ends of its interval.

    ``slope`` is d ln y / d ln x: −w of a learning curve, b of a scale elasticity.
    """

    slope: float
    se: float
    df: float
    slope_interval: tuple[float, float]
    rate: float
    rate_interval: tuple[float, float]
    level: float
    fit: Fit


@dataclass(frozen=True)
class Scale(Curve):
    """A scale elasticity with its bound: ``slope_reverse`` = 1 / slope of the reverse regression, interval (None: unbounded).

    Where volume is measured with error, the true elasticity lies between the two: economies are shown only where both are below 1.
    """

    slope_reverse: float
    slope_reverse_interval: tuple[float, float] | None


def _matrix(x: Any, n: int) -> np.ndarray:
    columns = x if isinstance(x, (list, tuple)) else None
    values = np.column_stack([np.asarray(c, dtype=float) for c in columns]) if columns else np.asarray(x, dtype=float)
    values = values.reshape(n, -1) if values.size else np.empty((n, 0))
    if values.shape[0] != n:
        raise RegressionError(f"{values.shape[0]} rows of regressors for {n} outcomes: give one row per observation.")
    return values


def _codes(values: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(codes from 0, the distinct values in their order)."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise RegressionError(f"{array.size} labels for {n} observations: give one label per observation.")
    distinct, codes = np.unique(array, return_inverse=True)
    return codes.astype(np.int64), distinct


def log(values: Any, what: str = "values") -> np.ndarray:
    """Natural logarithm as float64. Raises :class:`RegressionError` where a value is not a positive finite number."""
    array = np.asarray(values, dtype=float)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        raise RegressionError(
            f"{what}: {int(bad.sum())} of {array.size} are not positive numbers and have no logarithm: leave them out."
        )
    return np.log(array)


def ols(
    y: Any,
    x: Any,
    *,
    names: Sequence[str] | None = None,
    intercept: bool = True,
    fixed_effects: Any = None,
    clusters: Any = None,
    covariance: Covariance = "classic",
) -> Fit:
    """Least squares of ``y`` (n,) on ``x`` (n, p), or a list of columns; the intercept is called ``const`` and comes first.

    ``fixed_effects``: labels (n,) whose levels are absorbed: slopes and errors are those of a regression with a dummy per level, in the
    time of p columns; no intercept then. ``clusters``: labels (n,), for CRV1 and CRV3. Raises :class:`RegressionError` where
    regressors are collinear. Under CRV3 a coefficient that is not identified without one of the clusters has the error NaN; with
    fixed effects that raises, too. ``variant`` tells which of the ways was gone.
    """
    outcome, columns, labels = _checked(y, x, names)
    n = outcome.size
    if covariance in ("crv1", "crv3") and clusters is None:
        raise RegressionError(f"{covariance} needs clusters: give a label per observation.")
    code, cluster_names = _clusters(clusters, n) if clusters is not None else (None, None)
    if fixed_effects is not None:
        level, _ = _codes(fixed_effects, n)
        if covariance == "crv3" and code is not None and cluster_names is not None:
            return _pooled(outcome, columns, labels, level, code, cluster_names, 0.0)
        return _absorbed(outcome, columns, labels, level, code, cluster_names, covariance)
    if intercept:
        columns, labels = np.column_stack([np.ones(n), columns]), ["const", *labels]
    return _dense(outcome, columns, labels, code, cluster_names, covariance)


def partially_pooled(
    y: Any,
    x: Any,
    clusters: Any,
    *,
    intraclass_correlation: float,
    fixed_effects: Any = None,
    names: Sequence[str] | None = None,
) -> Fit:
    """Least squares after quasi-demeaning by cluster, with the cluster jackknife CRV3 and t(G − 1).

    From ``y`` (n,), ``x`` (n, p) and the dummies of ``fixed_effects`` (labels (n,); without them the intercept) every cluster g of n_g
    observations loses theta_g times its mean, theta_g = 1 − sqrt((1 − rho) / (1 − rho + n_g rho)): generalised least squares where
    observations of a cluster correlate by ``intraclass_correlation`` rho (Fuller and Battese 1973). With 0 it is plain least squares; the
    nearer to 1, the more every cluster counts alike. rho is given and not estimated, and whole clusters are left out for the error, so
    that the error is honest where rho is wrong (Arellano 1987). Slopes alone are reported; ``residuals``, ``ssr`` and ``r2`` are those of
    ``y`` itself. Raises :class:`RegressionError` where rho is not in [0, 1) or a slope is not identified without one of the clusters.
    """
    outcome, columns, labels = _checked(y, x, names)
    if not 0 <= intraclass_correlation < 1:
        raise RegressionError(
            f"An intraclass correlation of {intraclass_correlation:g} is not possible: give one from 0 to below 1."
        )
    code, cluster_names = _clusters(clusters, outcome.size)
    level, _ = _codes(np.zeros(outcome.size) if fixed_effects is None else fixed_effects, outcome.size)
    return _pooled(outcome, columns, labels, level, code, cluster_names, float(intraclass_correlation))


def _checked(y: Any, x: Any, names: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(outcome, regressors, their names), or why they cannot be used."""
    outcome = np.asarray(y, dtype=float).reshape(-1)
    columns = _matrix(x, outcome.size)
    labels = list(names or [f"x{i + 1}" for i in range(columns.shape[1])])
    if len(labels) != columns.shape[1]:
        raise RegressionError(f"{len(labels)} names for {columns.shape[1]} regressors: give one name per regressor.")
    if not (np.isfinite(outcome).all() and np.isfinite(columns).all()):
        raise RegressionError("Missing or infinite values: leave those observations out.")
    return outcome, columns, labels


def _clusters(clusters: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    code, names = _codes(clusters, n)
    if names.size < 2:
        raise RegressionError("One cluster says nothing about the variation between clusters: at least two are needed.")
    return code, names


def _dense(
    y: np.ndarray, x: np.ndarray, labels: list[str], code: np.ndarray | None, names: np.ndarray | None, covariance: Covariance
) -> Fit:
    """Without fixed effects, by one orthogonal decomposition, which bears ill-conditioned columns and a thousand of them."""
    n, k = x.shape
    if n <= k:
        raise RegressionError(f"{n} observations for {k} coefficients: more observations are needed.")
    scale = np.sqrt((x**2).mean(axis=0))
    if (scale == 0).any():
        raise RegressionError(f"The regressors {', '.join(labels)} are collinear here: leave one out.")
    q, r = np.linalg.qr(x / scale)
    singular = np.linalg.svd(r, compute_uv=False)
    if singular[-1] <= singular[0] * n * np.finfo(float).eps:
        raise RegressionError(f"The regressors {', '.join(labels)} are collinear here: leave one out.")
    back = solve_triangular(r, np.eye(k))
    inverse = back / scale[:, None]
    explained = q.T @ y
    beta = inverse @ explained
    residuals = y - q @ explained
    ssr = float(residuals @ residuals)
    variant, left_out, df = str(covariance), None, float(n - k)
    if covariance == "hc3" or (code is None and covariance != "classic"):
        own = (q**2).sum(axis=1)
        # an observation with a coefficient of its own (leverage 1) has neither residual nor influence on the others
        scores = q * np.where(own < 1 - 1e-9, residuals / np.maximum(1 - own, 1e-9), 0.0)[:, None]
        cov = inverse @ (scores.T @ scores) @ inverse.T
    elif covariance == "classic" or code is None or names is None:
        cov = inverse @ inverse.T * (ssr / (n - k))
    elif covariance == "crv1":
        df = float(names.size - 1)
        scores = np.column_stack([np.bincount(code, weights=c * residuals, minlength=names.size) for c in q.T])
        cov = inverse @ (scores.T @ scores) @ inverse.T * (names.size / (names.size - 1)) * ((n - 1) / (n - k))
    else:
        df = float(names.size - 1)
        left_out = beta - _influence(q, back, residuals, code) / scale
        away = left_out - beta
        cov = (names.size - 1) / names.size * away.T @ away
        if np.isnan(left_out).any():
            variant = "crv3, a regressor lives in one cluster"
    # where the regressors hold no constant, what is to be explained is the distance from 0
    centre = y.mean() if np.linalg.norm(1 - q @ q.sum(axis=0)) < 1e-6 * math.sqrt(n) else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):  # an outcome without variation has none to explain
        r2 = float(1 - np.float64(ssr) / ((y - centre) ** 2).sum())
    size = None if names is None else int(names.size)
    return Fit(tuple(labels), beta, cov, df, n, size, r2, ssr, residuals, variant, left_out, names)


def _influence(q: np.ndarray, back: np.ndarray, residuals: np.ndarray, code: np.ndarray) -> np.ndarray:
    """What each cluster changes in the coefficients, (G, p): with it less without it; NaN where one is not identified without it.

    With the regressors X = Q R, ``back`` R⁻¹, the rows Q_g of a cluster and its residuals u_g, that is R⁻¹ (I − Q_g'Q_g)⁻¹ Q_g'u_g.
    """
    order = np.argsort(code, kind="stable")
    rows = []
    for members in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        own = q[members]
        _, leverage, directions = np.linalg.svd(own, full_matrices=False)
        rest = 1 - leverage**2
        known = rest > _SINGULAR
        score = own.T @ residuals[members]
        along = directions[known]
        score = score + along.T @ ((leverage[known] ** 2 / rest[known]) * (along @ score))
        change = back @ score
        if not known.all():
            # the directions that the other observations leave open, and the coefficients that lie in them at all
            open_ = np.linalg.qr(back @ directions[~known].T)[0]
            change[(open_**2).sum(axis=1) > _SHARE_OPEN] = np.nan
        rows.append(change)
    return np.stack(rows)


def _absorbed(
    y: np.ndarray,
    x: np.ndarray,
    labels: list[str],
    level: np.ndarray,
    code: np.ndarray | None,
    names: np.ndarray | None,
    covariance: Covariance,
) -> Fit:
    """With fixed effects, demeaned by their levels (Frisch–Waugh); CRV3 is ``_pooled`` at 0."""
    n, p = x.shape
    counts = np.bincount(level).astype(float)
    k = p + counts.size
    if n <= k:
        raise RegressionError(f"{n} observations for {k} coefficients: more observations are needed.")
    both = demean(np.column_stack([x, y]), level)
    inner, response = both[:, :p], both[:, p]
    normal = inner.T @ inner
    _require_identified(normal[None], ((x - x.mean(axis=0)) ** 2).sum(axis=0), labels)
    inverse = np.linalg.inv(normal)
    beta = inverse @ (inner.T @ response)
    residuals = response - inner @ beta
    ssr = float(residuals @ residuals)
    df, size = float(n - k), None
    if covariance == "classic":
        cov = inverse * ssr / (n - k)
    elif covariance == "hc3" or code is None or names is None:
        own = 1 / counts[level] + np.einsum("ij,jk,ik->i", inner, inverse, inner)
        scores = inner * np.where(own < 1 - 1e-9, residuals / np.maximum(1 - own, 1e-9), 0.0)[:, None]
        cov = inverse @ (scores.T @ scores) @ inverse
    else:
        size = int(names.size)
        df = float(size - 1)
        scores = np.column_stack([np.bincount(code, weights=c * residuals, minlength=size) for c in inner.T])
        cov = inverse @ (scores.T @ scores) @ inverse * (size / (size - 1)) * ((n - 1) / (n - k))
    return Fit(tuple(labels), beta, cov, df, n, size, _r2(y, ssr), ssr, residuals, str(covariance), None, names)


def _r2(y: np.ndarray, ssr: float) -> float:
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - ssr / total if total > 0 else float("nan")


def _pooled(
    y: np.ndarray, x: np.ndarray, labels: list[str], level: np.ndarray, code: np.ndarray, names: np.ndarray, correlation: float
) -> Fit:
    """With fixed effects, partially pooled within clusters; CRV3."""
    n, p = x.shape
    size, k = int(names.size), p + int(level.max()) + 1
    if n <= k:
        raise RegressionError(f"{n} observations for {k} coefficients: more observations are needed.")
    both = demean(np.column_stack([x, y]), level)
    normals, effects, is_single = _partialled(both, level, code, correlation, without_each=True)
    _require_identified(normals[:1, :p, :p], ((x - x.mean(axis=0)) ** 2).sum(axis=0), labels)
    _require_identified(normals[1:, :p, :p], (both[:, :p] ** 2).sum(axis=0), labels, " without one of the clusters")
    slopes = np.linalg.solve(normals[:, :p, :p], normals[:, :p, p:])[:, :, 0]
    beta, left_out = slopes[0], slopes[1:]
    away = left_out - beta
    residuals = both[:, p] - both[:, :p] @ beta - (effects[:, p] - effects[:, :p] @ beta)[level]
    ssr = float(residuals @ residuals)
    variant = f"partially pooled at {correlation:g}, crv3" if correlation else "crv3"
    return Fit(
        tuple(labels),
        beta,
        (size - 1) / size * away.T @ away,
        float(size - 1),
        n,
        size,
        _r2(y, ssr),
        ssr,
        residuals,
        f"{variant}, a fixed effect lives in one cluster" if is_single else variant,
        left_out,
        names,
    )


def _partialled(
    both: np.ndarray, level: np.ndarray, code: np.ndarray, correlation: float, *, without_each: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Cross-products of ``both`` (n, q), quasi-demeaned by cluster, less what the dummies of the levels explain of them.

    Returns them for all observations and then (``without_each``) without each cluster, (1 + G, q, q), the levels' effects on the columns,
    (levels, q), and whether a level lives in one cluster alone: it is absent without it and explains nothing.

    For cluster g with s_g the sums of its columns, dummies included, the quasi-demeaned cross-products are the plain ones less
    rho / (1 − rho + n_g rho) · s_g s_g'. Dummies are never written down: counts and sums of the pairs of a level and a cluster that
    meet hold all that is needed. The dummies' own cross-products are D − B'B, with D the observations of the levels on its diagonal and
    a row of B for each cluster; (D − B'B)⁻¹ = D⁻¹ + D⁻¹B'(I − BD⁻¹B')⁻¹BD⁻¹ (Woodbury), so that as many equations are solved as
    clusters share levels with each other, however many levels there are.
    """
    levels, size, q = int(level.max()) + 1, int(code.max()) + 1, both.shape[1]
    pairs, of_pair = np.unique(code * levels + level, return_inverse=True)
    cluster, at = np.divmod(pairs, levels)
    count = np.bincount(of_pair).astype(float)
    share = correlation / (1 - correlation + np.bincount(code) * correlation)
    total = _sums(both, code, size)
    products = np.empty((size, q, q))
    for i in range(q):
        for j in range(i + 1):
            products[:, i, j] = products[:, j, i] = np.bincount(code, weights=both[:, i] * both[:, j], minlength=size)
    squares = products - share[:, None, None] * total[:, :, None] * total[:, None, :]
    cross = _sums(both, of_pair, pairs.size) - (share[cluster] * count)[:, None] * total[cluster]
    rest = _sums(cross, at, levels)
    inverse = 1 / np.bincount(at, weights=count)
    root = sparse.csr_array((np.sqrt(share[cluster]) * count, (cluster, at)), shape=(size, levels))
    left = root @ (inverse[:, None] * rest)
    tied = (root * inverse[None, :]) @ root.T
    groups = sparse.csgraph.connected_components(tied, directed=False)[1]

    together = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    untied = [np.eye(members.size) - tied[members][:, members].toarray() for members in together]
    weights = np.empty_like(left)
    for members, matrix in zip(together, untied, strict=True):
        weights[members] = np.linalg.solve(matrix, left[members])
    effects = inverse[:, None] * (rest + root.T @ weights)
    explained = rest.T @ (inverse[:, None] * rest)
    shared = [left[members].T @ weights[members] for members in together]
    normals = [squares.sum(axis=0) - explained - np.sum(shared, axis=0)]
    is_alone = np.isclose(count * inverse[at], 1.0, rtol=0, atol=1e-12)
    columns = root.tocsc()
    for out in range(size) if without_each else ():
        own = slice(*np.searchsorted(cluster, [out, out + 1]))
        of_own = at[own]
        # what is left of its levels; one that is there alone goes with it
        kept = np.where(is_alone[own], 0.0, 1 / np.where(is_alone[own], 1.0, 1 / inverse[of_own] - count[own]))
        remaining = rest[of_own] - cross[own]
        without = explained - rest[of_own].T @ (inverse[of_own, None] * rest[of_own]) + remaining.T @ (kept[:, None] * remaining)
        is_other = together[groups[out]] != out
        others = together[groups[out]][is_other]
        part = columns[:, of_own].toarray()[others]
        moved = left[others] + part @ (kept[:, None] * remaining - inverse[of_own, None] * rest[of_own])
        inner = untied[groups[out]][np.ix_(is_other, is_other)] - (part * (kept - inverse[of_own])) @ part.T
        of_rest = np.sum(shared, axis=0) - shared[groups[out]] + moved.T @ np.linalg.solve(inner, moved)
        normals.append(squares.sum(axis=0) - squares[out] - without - of_rest)
    return np.stack(normals), effects, bool(is_alone.any())


def _sums(values: np.ndarray, code: np.ndarray, size: int) -> np.ndarray:
    """Sums (size, p) of ``values`` (n, p) by ``code`` (n,)."""
    return np.column_stack([np.bincount(code, weights=column, minlength=size) for column in values.T])


def demean(values: np.ndarray, level: np.ndarray) -> np.ndarray:
    """``values`` (n, p) less their means over the levels, codes from 0 (n,)."""
    counts = np.maximum(np.bincount(level), 1)
    sums = np.column_stack([np.bincount(level, weights=column) for column in values.T])
    return values - (sums / counts[:, None])[level]


def quasi_demean(values: np.ndarray, cluster: np.ndarray, intraclass_correlation: float) -> np.ndarray:
    """``values`` (n, p) less theta_g times their means over the clusters, codes from 0 (n,); theta_g as in :func:`partially_pooled`."""
    own = 1 - intraclass_correlation
    theta = 1 - np.sqrt(own / (own + np.bincount(cluster) * intraclass_correlation))
    return values - theta[cluster, None] * (values - demean(values, cluster))


def _require_identified(normals: np.ndarray, scales: np.ndarray, labels: list[str], without: str = "") -> None:
    """Refuses normal matrices (m, p, p) in which a column is a combination of the others, or has nothing left of its variation."""
    scale = np.sqrt(np.where(scales > 0, scales, 1.0))
    lowest = np.linalg.eigvalsh(normals / scale / scale[:, None])[:, 0] if normals.shape[1] else np.ones(1)
    if (lowest < _SINGULAR).any():
        raise RegressionError(
            f"The coefficients of {', '.join(labels)} are not identified{without}: the regressors do not vary apart from each other and "
            "from the fixed effects. Leave one out or bring more varied observations."
        )


def leverage_shares(x: Any, column: int, *, fixed_effects: Any, clusters: Any, intraclass_correlation: float = 0.0) -> np.ndarray:
    """Share of each cluster (G,) in the variation of one regressor that the other regressors and the fixed effects leave.

    ``intraclass_correlation``: of the regression (:func:`partially_pooled`) whose variation it is.
    """
    columns = _matrix(x, np.asarray(clusters).size)
    level, _ = _codes(fixed_effects, columns.shape[0])
    code, names = _codes(clusters, columns.shape[0])
    ordered = np.column_stack([np.delete(columns, column, axis=1), columns[:, column]])
    inner = demean(ordered, level)
    [normal], effects, _ = _partialled(inner, level, code, intraclass_correlation, without_each=False)
    slopes = np.linalg.lstsq(normal[:-1, :-1], normal[:-1, -1], rcond=None)[0]
    own = inner[:, -1] - inner[:, :-1] @ slopes - (effects[:, -1] - effects[:, :-1] @ slopes)[level]
    parts = np.bincount(code, weights=quasi_demean(own[:, None], code, intraclass_correlation)[:, 0] ** 2, minlength=names.size)
    return parts / parts.sum() if parts.sum() > 0 else np.full(names.size, np.nan)


def saving(slope: float) -> float:
    """Saving per doubling (share) of y ∝ x^slope: 1 − 2^slope. For unit cost give b − 1."""
    with np.errstate(over="ignore"):  # an interval without an end on this side
        return float(1 - np.exp2(slope))


def loglog(
    y: Any,
    x: Any,
    *,
    names: Sequence[str] | None = None,
    controls: Any = None,
    fixed_effects: Any = None,
    clusters: Any = None,
    covariance: Covariance = "classic",
) -> Fit:
    """ln y on ln x (a column, or a list of them) and on ``controls`` as they are. Elasticities are called x1, x2, …, controls z1, z2, …"""
    outcome = log(y, "y")
    logs = np.log(_positive(_matrix(x, outcome.size)))
    more = _matrix(controls, outcome.size) if controls is not None else np.empty((outcome.size, 0))
    labels = [*(names or [f"x{i + 1}" for i in range(logs.shape[1])]), *[f"z{i + 1}" for i in range(more.shape[1])]]
    return ols(
        outcome,
        np.column_stack([logs, more]),
        names=labels,
        fixed_effects=fixed_effects,
        clusters=clusters,
        covariance=covariance,
    )


def _positive(values: np.ndarray) -> np.ndarray:
    log(values.ravel(), "x")
    return values


def learning_curve(
    cost: Any,
    experience: Any,
    *,
    controls: Any = None,
    fixed_effects: Any = None,
    clusters: Any = None,
    covariance: Covariance | None = None,
    level: float = 0.95,
) -> Curve:
    """Wright's law: ln cost = a − w ln experience + controls; ``rate`` = 1 − 2^(−w), the saving per doubling of experience.

    ``experience``: what had been done before work on the observation began (counted, at least 1). Covariance: CRV3 with clusters, else HC3.
    """
    kind: Covariance = covariance or ("hc3" if clusters is None else "crv3")
    fit = loglog(cost, experience, controls=controls, fixed_effects=fixed_effects, clusters=clusters, covariance=kind)
    low, high = fit.interval("x1", level)
    slope = fit.coefficient("x1")
    rates = (saving(high), saving(low))
    return Curve(slope, fit.standard_error("x1"), fit.df, (low, high), saving(slope), rates, level, fit)


def scale_elasticity(
    total_cost: Any,
    volume: Any,
    *,
    controls: Any = None,
    clusters: Any = None,
    covariance: Covariance | None = None,
    level: float = 0.95,
) -> Scale:
    """ln total cost = a + b ln volume + controls; ``rate`` = 1 − 2^(b − 1), the unit-cost saving per doubling of volume.

    The bound: regressing ln volume on ln total cost gives 1/b from the other side. Covariance: CRV3 with clusters, else HC3.
    """
    kind: Covariance = covariance or ("hc3" if clusters is None else "crv3")
    fit = loglog(total_cost, volume, controls=controls, clusters=clusters, covariance=kind)
    back = loglog(volume, total_cost, controls=controls, clusters=clusters, covariance=kind)
    low, high = fit.interval("x1", level)
    slope, inverse = fit.coefficient("x1"), back.coefficient("x1")
    if inverse <= 0:
        raise RegressionError("Total cost does not rise with volume: there is no elasticity to bound. Check the two columns.")
    inverse_low, inverse_high = back.interval("x1", level)
    reverse = (1 / inverse_high, 1 / inverse_low) if inverse_low > 0 else None
    rates = (saving(high - 1), saving(low - 1))
    return Scale(slope, fit.standard_error("x1"), fit.df, (low, high), saving(slope - 1), rates, level, fit, 1 / inverse, reverse)


def within(y: Any, x: Any, groups: Any, *, covariance: Covariance = "classic", clusters: Any = None) -> Fit:
    """The within estimator: ``y`` on ``x``, each less its mean over ``groups``. For logarithms give logarithms."""
    return ols(y, x, fixed_effects=groups, covariance=covariance, clusters=clusters)


def crv3(y: Any, x: Any, clusters: Any, *, fixed_effects: Any = None, names: Sequence[str] | None = None) -> Fit:
    """Least squares with the cluster jackknife CRV3 and t(G − 1)."""
    return ols(y, x, names=names, fixed_effects=fixed_effects, clusters=clusters, covariance="crv3")


def hc3(y: Any, x: Any, *, fixed_effects: Any = None, names: Sequence[str] | None = None) -> Fit:
    """Least squares with HC3 and t(n − k)."""
    return ols(y, x, names=names, fixed_effects=fixed_effects, covariance="hc3")


def kaplan_meier(days: Any, is_event: Any) -> pl.DataFrame:
    """Survival S after each day on which something ended: ``days``, ``at_risk_count``, ``event_count``, ``survival_share``, ``survival_se_share``.

    ``days``: time until the event, or until observation ended where ``is_event`` is false (right-censored).
    """
    duration, event = np.asarray(days, dtype=float), np.asarray(is_event, dtype=bool)
    if duration.size == 0 or duration.shape != event.shape or not np.isfinite(duration).all() or (duration < 0).any():
        raise RegressionError("Kaplan–Meier needs a duration of at least 0 and a mark of the event for every observation.")
    curve = SurvfuncRight(duration, event.astype(int))
    return pl.DataFrame(
        {
            "days": curve.surv_times,
            "at_risk_count": curve.n_risk,
            "event_count": curve.n_events,
            "survival_share": curve.surv_prob,
            "survival_se_share": curve.surv_prob_se,
        }
    ).cast({"at_risk_count": pl.Int64, "event_count": pl.Int64})
