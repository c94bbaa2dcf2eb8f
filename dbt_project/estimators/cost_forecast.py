"""What the next Land will cost: a prediction of outcomes from the learning curve of the Länder so far.

Belongs here: simulating the variable real cost (or the person-days) of the connections of a Land that has not begun. Does not: the
test whether costs fall (``scale.py``), fixed costs of a Land or of the programme, which follow from contracts and not from a curve.

Method. The learning curve of ``scale.py``, ln c = alpha(service, Land) − w ln N + b1 ln population + b2 difficulty + e, is fitted to
the accepted connections by plain within-groups least squares (as S2_unweighted, not partially pooled as S2); its slopes have the
cluster jackknife covariance (CRV3) and Student's t with one less than the number of clusters (contractor × wave) as degrees of
freedom. The point estimate retransforms by Duan's (1983) smearing factor, the mean of exp(residual). The interval is that of
simulated outcomes. Each draw takes slopes, the level of every service as the Länder so far have shown it, a shock of every wave and
of every team of the next Land with the variances found among the past ones (themselves drawn), residuals resampled from the past
ones, and an effect of the next Land. How much Länder differ cannot be told from two or three of them: its standard deviation is a
scenario (``LAND_EFFECT_SD``), never an estimate, and it counts for the Länder so far as for the next one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse  # type: ignore[import-untyped]

from dbt_project.estimators.regression import RegressionError, ols

DRAWS = 2000
#: Standard deviations of ln(cost) between Länder for which the forecast is told: scenarios, one row each.
LAND_EFFECT_SD = (0.1, 0.2, 0.3)
INTERVAL_LEVEL = 0.95
#: With fewer clusters or accepted connections nothing is forecast.
CLUSTERS_MIN = 6
CONNECTIONS_MIN = 100
#: Below this share of variable cost at actual prices a cost curve is the contract's, not the work's.
ACTUAL_PRICE_SHARE_MIN = 0.9
#: Clusters are hindcast once this many earlier ones are finished; draws of such a hindcast.
HINDCAST_AFTER_CLUSTERS = 6
_HINDCAST_DRAWS = 400
#: Of more clusters than this so many are hindcast, evenly over the time: each one is a fit of everything before it.
_HINDCAST_CLUSTERS_MAX = 60
#: Values that are drawn at a time: bounds the memory, whatever the size of the plan.
_BLOCK_VALUES = 2_000_000

#: Outcome -> its column of ``scale_observation`` and its unit.
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "cost": ("cost_variable_eur", "EUR, real, net"),
    "person_days": ("person_days", "person-days"),
}

#: The columns of ``scale_observation`` that a forecast reads.
READ: dict[str, Any] = {
    "authority_id": pl.String,
    "service_id": pl.String,
    "land_code": pl.String,
    "cluster": pl.String,
    "wave": pl.Int64,
    "team": pl.String,
    "started_on": pl.Date,
    "accepted_on": pl.Date,
    "is_accepted": pl.Boolean,
    "is_invoiced": pl.Boolean,
    "cost_variable_eur": pl.Float64,
    "person_days": pl.Float64,
    "price_mechanism": pl.String,
    "cumulative_connections": pl.Int64,
    "baseline_connections": pl.Int64,
    "population": pl.Int64,
    "difficulty": pl.Float64,
}

PLAN_SCHEMA: dict[str, Any] = {
    "service_id": pl.String,
    "cluster": pl.String,
    "team": pl.String,
    "cumulative_connections": pl.Int64,
    "population": pl.Float64,
    "difficulty": pl.Float64,
}

FORECAST_SCHEMA: dict[str, Any] = {
    "as_of": pl.Date,
    "outcome": pl.String,
    "unit": pl.String,
    "service_id": pl.String,
    "land_effect_sd": pl.Float64,
    "connections": pl.Int64,
    "cumulative_connections": pl.Int64,
    "doublings_beyond_experience": pl.Float64,
    "total_predicted": pl.Float64,
    "total_low": pl.Float64,
    "total_high": pl.Float64,
    "per_connection_predicted": pl.Float64,
    "per_connection_low": pl.Float64,
    "per_connection_high": pl.Float64,
    "interval_level": pl.Float64,
    "learning_rate": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "hindcast_clusters": pl.Int64,
    "hindcast_covered_clusters": pl.Int64,
    "hindcast_covered_share": pl.Float64,
    "reason": pl.String,
}

HINDCAST_SCHEMA: dict[str, Any] = {
    "cluster": pl.String,
    "started_on": pl.Date,
    "connections": pl.Int64,
    "total": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}

_COVARIATES = ("cumulative_connections", "population", "difficulty")
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """A fitted learning curve of one outcome.

    ``cells``: (service_id, land_code) of each level; ``slopes`` of ln N, ln population and difficulty with ``covariance`` (CRV3);
    ``outcome_means`` (cells) and ``covariate_means`` (cells, 3): of the logarithms; ``cluster_shares`` (cells, clusters) and
    ``team_shares`` (cells, teams): which share of a cell's connections each had, with which its shock enters the cell's mean;
    ``cell_sizes`` (cells): connections; ``mean_squares``: what the cluster means of the
    residuals show and what of it is due to teams and residuals.
    """

    cells: tuple[tuple[str, str], ...]
    slopes: _Floats
    covariance: _Floats
    outcome_means: _Floats
    covariate_means: _Floats
    cluster_shares: sparse.csr_array
    team_shares: sparse.csr_array
    cell_sizes: _Floats
    between_mean_square: float
    between_df: int
    team_share: float
    residual_share: float
    team_variance: float
    residuals: _Floats
    smear: float
    n: int
    clusters: int

    @property
    def learning_rate(self) -> float:
        """Saving per doubling of N, as a share: 1 − 2^(−w)."""
        return float(1 - 2 ** self.slopes[0])


def forecast(
    observations: pl.DataFrame,
    as_of: date,
    plan: pl.DataFrame | None = None,
    *,
    land_effect_sd: Sequence[float] = LAND_EFFECT_SD,
    draws: int = DRAWS,
    with_hindcast: bool = True,
) -> pl.DataFrame:
    """Forecast variable cost and person-days of the next Land; one row per outcome × service (and ``all``) × Land effect.

    ``observations``: rows of ``scale_observation``. ``plan``: the next Land's connections, one row each with the columns of
    ``PLAN_SCHEMA``; without it a Land like the ones so far (:func:`reference_plan`). ``land_effect_sd``: standard deviations of
    ln(cost) between Länder. Returns ``FORECAST_SCHEMA``; money is real and net, in prices of the observations; ``low`` and ``high``
    bound the outcome with probability ``interval_level``. ``doublings_beyond_experience``: how far the plan's mean N lies beyond the
    largest N observed for the service. ``hindcast_covered_share``: of the clusters so far, forecast from the earlier ones alone, the share
    whose cost fell into the interval. ``reason`` says why the numbers are NULL: ``no_data``, ``too_few_connections``,
    ``too_few_clusters``, ``price_by_contract`` (less than 90 % of variable cost at actual prices), ``no_variation`` (N, population and
    difficulty cannot be told apart) or ``service_without_experience``. The same input gives the same numbers.
    """
    if plan is None:
        plan = reference_plan(observations)
    plan = plan.select(pl.col(name).cast(dtype) for name, dtype in PLAN_SCHEMA.items()).sort(list(PLAN_SCHEMA))
    rows = []
    for outcome, (column, unit) in OUTCOMES.items():
        head = {"as_of": as_of, "outcome": outcome, "unit": unit, "interval_level": INTERVAL_LEVEL}
        used = usable(observations, column)
        reason = _obstacle(observations, used, outcome)
        curve = fit(used, column) if reason is None else None
        if curve is None:
            services = ["all", *plan["service_id"].unique().sort()]
            rows += [
                head | {"service_id": s, "land_effect_sd": sd, "reason": reason or "no_variation"}
                for s in services
                for sd in land_effect_sd
            ]
            continue
        head |= {"learning_rate": curve.learning_rate, "n": curve.n, "clusters": curve.clusters}
        if with_hindcast:
            past = hindcast(used, column)
            held = past.filter(pl.col("total").is_between("low", "high")).height
            head |= {"hindcast_clusters": past.height, "hindcast_covered_clusters": held}
            head |= {"hindcast_covered_share": held / past.height if past.height else None}
        highest = dict(used.group_by("service_id").agg(pl.col("cumulative_connections").max()).iter_rows())
        rng = np.random.default_rng(zlib.crc32(f"{outcome} {as_of}".encode()))
        rows += [head | row for row in _next_land(curve, plan, highest, land_effect_sd, draws, rng)]
    return pl.DataFrame(rows, schema=FORECAST_SCHEMA)


def reference_plan(observations: pl.DataFrame, connections: Mapping[str, int] | None = None) -> pl.DataFrame:
    """A Land like the ones so far, ``PLAN_SCHEMA``: what the next Land would be if it were the mean of them.

    Per service as many connections as the Länder with that service have begun on average, or ``connections`` (service_id -> count);
    population and difficulty spread as among the observed; waves and teams per wave in the median number of the Länder so far, one
    contractor. N counts every connection begun so far, then the plan's own waves.
    """
    if observations.is_empty():
        return pl.DataFrame(schema=PLAN_SCHEMA)
    lands = observations.group_by("land_code").agg(
        waves=pl.col("wave").n_unique(), teams=pl.struct("wave", "team").n_unique() / pl.col("wave").n_unique()
    )
    waves = max(round(float(lands["waves"].median() or 1)), 1)  # type: ignore[arg-type]
    teams = max(round(float(lands["teams"].median() or 1)), 1)  # type: ignore[arg-type]
    frames = []
    for (service,), found in sorted(observations.group_by("service_id"), key=lambda pair: str(pair[0])):
        size = round(found.height / found["land_code"].n_unique()) if connections is None else connections.get(str(service), 0)
        known = found.drop_nulls(["population", "difficulty"]).sort("population", "difficulty", "authority_id")
        if not size or known.is_empty():
            continue
        begun = found.height + int(found["baseline_connections"].max() or 0)  # type: ignore[arg-type]
        # evenly spaced ranks of the observed; dealt to the waves in turn, so that every wave is alike
        chosen = known[((np.arange(size) + 0.5) * known.height / size).astype(int).tolist()]
        number = np.arange(size)
        frames.append(
            chosen.select(
                pl.lit(str(service)).alias("service_id"),
                pl.Series("cluster", [f"next × {wave + 1}" for wave in number % waves]),
                pl.Series("team", [f"next {team + 1}" for team in number // waves % teams]),
                pl.Series("cumulative_connections", begun + number % waves * (size / waves)).round().cast(pl.Int64),
                pl.col("population").cast(pl.Float64),
                pl.col("difficulty").cast(pl.Float64),
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=PLAN_SCHEMA)


def usable(observations: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows that a curve of ``column`` can use: accepted, everything known and positive; costs invoiced and at actual prices."""
    needed = [column, *_COVARIATES, "service_id", "land_code", "cluster"]
    chosen = pl.col("is_accepted") & (pl.col(column) > 0) & (pl.col("cumulative_connections") > 0) & (pl.col("population") > 0)
    if column == OUTCOMES["cost"][0]:
        chosen &= pl.col("is_invoiced") & (pl.col("price_mechanism") == "actual")
    # sorted: the draws follow the order of the rows, and the same observations must give the same numbers
    return observations.filter(chosen).drop_nulls(needed).sort("cluster", "service_id", "authority_id", "started_on")


def _obstacle(observations: pl.DataFrame, used: pl.DataFrame, outcome: str) -> str | None:
    if used.is_empty() and observations.is_empty():
        return "no_data"
    if outcome == "cost":
        accepted = observations.filter("is_accepted")
        actual = accepted.filter(pl.col("price_mechanism") == "actual")["cost_variable_eur"].sum()
        total = accepted["cost_variable_eur"].sum()
        if total and float(actual) / float(total) < ACTUAL_PRICE_SHARE_MIN:
            return "price_by_contract"
    if used.height < CONNECTIONS_MIN:
        return "too_few_connections"
    return "too_few_clusters" if used["cluster"].n_unique() < CLUSTERS_MIN else None


def fit(used: pl.DataFrame, column: str) -> Curve | None:
    """The learning curve of ``column`` over rows of :func:`usable`; None where the slopes cannot be told apart."""
    cell, cells = _codes(used, "service_id", "land_code")
    cluster, clusters = _codes(used, "cluster")
    # a team's shock is that of its wave: teams are counted within clusters
    team, teams = _codes(used, "cluster", "team")
    size = np.bincount(cell, minlength=len(cells)).astype(float)
    covariates = _covariates(used)
    logs = np.log(used[column].cast(pl.Float64).to_numpy())
    means = np.stack([np.bincount(cell, each, len(cells)) for each in (*covariates.T, logs)], axis=1) / size[:, None]
    # a covariate that never changes within its cell leaves rounding errors, which are no variation
    if (np.abs(covariates - means[cell, :-1]).max(axis=0) < 1e-9).any():
        return None
    try:
        found = ols(logs, covariates, names=_COVARIATES, fixed_effects=cell, clusters=cluster, covariance="crv3")
    except RegressionError:
        return None
    count = len(clusters)
    free = used.height - len(cells) - covariates.shape[1]
    residuals = found.residuals * np.sqrt(used.height / free)

    # variances by the analysis of variance: residuals within teams, teams within clusters, clusters
    team_size = np.bincount(team).astype(float)
    team_mean = np.bincount(team, residuals) / team_size
    own = residuals - team_mean[team]
    residual_variance = float(own @ own / max(used.height - len(teams), 1))
    cluster_of_team = np.zeros(len(teams), dtype=np.int64)
    cluster_of_team[team] = cluster
    cluster_size = np.bincount(cluster).astype(float)
    cluster_mean = np.bincount(cluster, residuals) / cluster_size
    apart = float(team_size @ (team_mean - cluster_mean[cluster_of_team]) ** 2)
    share = team_size / cluster_size[cluster_of_team]
    weight = used.height - float((team_size * share).sum())
    team_variance = max((apart - residual_variance * (len(teams) - count)) / weight, 0.0) if weight > 0 else 0.0
    # the levels of the Länder and the slope of ln N each take one degree of freedom of the clusters
    between_df = max(count - used["land_code"].n_unique() - 1, 1)
    return Curve(
        cells=tuple((str(service), str(land)) for service, land in cells),
        slopes=found.coefficients,
        covariance=found.covariance,
        outcome_means=means[:, -1],
        covariate_means=means[:, :-1],
        cluster_shares=_shares(cell, cluster, size),
        team_shares=_shares(cell, team, size),
        cell_sizes=size,
        between_mean_square=float(cluster_mean @ cluster_mean) / between_df,
        between_df=between_df,
        team_share=float((np.bincount(cluster_of_team, share**2, count)).mean()),
        residual_share=float((1 / cluster_size).mean()),
        team_variance=team_variance,
        residuals=own * np.sqrt(residual_variance / max(float(own @ own) / used.height, 1e-300)),
        smear=float(np.exp(residuals).mean()),
        n=used.height,
        clusters=count,
    )


def hindcast(used: pl.DataFrame, column: str, draws: int = _HINDCAST_DRAWS) -> pl.DataFrame:
    """Clusters so far, each forecast from what was accepted before its first start; ``HINDCAST_SCHEMA``, in the order of their starts.

    ``total``: the sum of ``column`` over the cluster's connections in cells that were known by then, ``low`` and ``high`` the 95 %
    interval. The Land is known here, so that no effect of a new one enters: it says whether shocks and residuals are rightly sized.
    """
    rows = []
    begins = used.group_by("cluster").agg(pl.col("started_on").min()).drop_nulls().sort("started_on", "cluster")
    due = begins[HINDCAST_AFTER_CLUSTERS:]
    if due.height > _HINDCAST_CLUSTERS_MAX:
        due = due[np.linspace(0, due.height - 1, _HINDCAST_CLUSTERS_MAX).round().astype(int).tolist()]
    for cluster, begin in due.iter_rows():
        earlier = used.filter(pl.col("accepted_on") < begin)
        if earlier.height < CONNECTIONS_MIN or earlier["cluster"].n_unique() < HINDCAST_AFTER_CLUSTERS:
            continue
        known = earlier.select("service_id", "land_code").unique()
        target = used.filter(pl.col("cluster") == cluster).join(known, on=["service_id", "land_code"], maintain_order="left")
        curve = fit(earlier, column) if target.height else None
        if curve is None:
            continue
        rng = np.random.default_rng(zlib.crc32(f"{cluster} {column}".encode()))
        cells = pl.DataFrame(curve.cells, schema=["service_id", "land_code"], orient="row").with_row_index("at")
        words = target.select(pl.col("service_id", "land_code").cast(pl.String))
        at = words.join(cells, on=["service_id", "land_code"], how="left", maintain_order="left")["at"].to_numpy()
        spread = _Spread.drawn(curve, draws, rng)
        whole = np.zeros(target.height, dtype=np.int64)
        low, high = _interval(_totals(curve, target, spread, spread.levels(curve, rng), at, whole, rng)[:, 0])
        rows.append((cluster, begin, target.height, float(target[column].sum()), low, high))
    return pl.DataFrame(rows, schema=HINDCAST_SCHEMA, orient="row")


@dataclass(frozen=True)
class _Spread:
    """Draws of what every connection shares: slopes (draws, 3) and the variances (draws) of cluster, team and residual."""

    slopes: _Floats
    cluster_sd: _Floats
    team_sd: float
    factor: _Floats

    @classmethod
    def drawn(cls, curve: Curve, draws: int, rng: np.random.Generator) -> _Spread:
        df = curve.clusters - 1
        values, vectors = np.linalg.eigh(curve.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        stretch = np.sqrt(df / rng.chisquare(df, (draws, 1)))
        slopes = curve.slopes + stretch * (rng.standard_normal((draws, 3)) @ root.T)
        # the variance between clusters is what their means show, itself uncertain, less what teams and residuals put into them
        shown = curve.between_mean_square * curve.between_df / rng.chisquare(curve.between_df, draws)
        residual_variance = float(curve.residuals @ curve.residuals / curve.n)
        below = curve.team_variance * curve.team_share + residual_variance * curve.residual_share
        return cls(slopes, np.sqrt(np.maximum(shown - below, 0)), float(np.sqrt(curve.team_variance)), stretch[:, 0])

    def shocks(self, curve: Curve) -> tuple[sparse.csr_array, _Floats]:
        """What makes the error of the cells' mean outcomes, at the typical variances: how strongly each cell takes part in the shocks of
        clusters and teams, (cells, clusters + teams), and the variances of their own residuals (cells)."""
        cluster_sd = float(np.sqrt(np.median(self.cluster_sd**2)))
        taken = sparse.hstack([cluster_sd * curve.cluster_shares, self.team_sd * curve.team_shares], format="csr")
        residual_variance = float(curve.residuals @ curve.residuals / curve.n)
        return taken, residual_variance / curve.cell_sizes

    def levels(self, curve: Curve, rng: np.random.Generator) -> _Floats:
        """Levels alpha of the cells, (draws, cells)."""
        taken, own = self.shocks(curve)
        draws = self.factor.size
        shared = (taken @ rng.standard_normal((taken.shape[1], draws))).T
        noise = self.factor[:, None] * (shared + np.sqrt(own) * rng.standard_normal((draws, own.size)))
        return curve.outcome_means - self.slopes @ curve.covariate_means.T + noise


def _next_land(
    curve: Curve, plan: pl.DataFrame, highest: Mapping[str, int], scenarios: Sequence[float], draws: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    services = sorted({service for service, _ in curve.cells})
    lands = sorted({land for _, land in curve.cells})
    known = plan.filter(pl.col("service_id").is_in(services)).drop_nulls()
    of_service = np.array([services.index(each) for each in known["service_id"]], dtype=np.int64)
    spread = _Spread.drawn(curve, draws, rng)
    levels = spread.levels(curve, rng)
    is_service = np.array([service for service, _ in curve.cells])[:, None] == np.array(services)
    is_land = sparse.csr_array(np.array([land for _, land in curve.cells])[:, None] == np.array(lands), dtype=float)
    sums = _totals(curve, known, spread, np.zeros((draws, 1)), np.zeros(known.height, dtype=np.int64), of_service, rng)
    sums = np.pad(sums, ((0, 0), (0, len(services) - sums.shape[1])))
    typical = np.bincount(of_service, np.exp(_covariates(known) @ curve.slopes), len(services)) * curve.smear
    counts = np.bincount(of_service, minlength=len(services))
    taken, own = spread.shocks(curve)
    means = curve.outcome_means - curve.covariate_means @ curve.slopes

    rows = []
    for sd in scenarios:
        # levels of the services without the Länder: generalised least squares with this scenario's effects of the Länder
        weighted = _without_shocks(is_service.astype(float), sparse.hstack([taken, sd * is_land], format="csr"), own)
        weights = np.linalg.solve(is_service.T @ weighted, weighted.T)
        past: _Floats = rng.normal(0, sd, (draws, len(lands)))
        level = (levels - (is_land @ past.T).T) @ weights.T + rng.normal(0, sd, (draws, 1))
        drawn = sums * np.exp(level)
        point = typical * np.exp(weights @ means)
        for service in ["all", *sorted(set(plan["service_id"]))]:
            rows.append({"service_id": service, "land_effect_sd": sd})
            chosen = [each for each, name in enumerate(services) if service in (name, "all") and counts[each]]
            wanted = plan.height if service == "all" else plan.filter(pl.col("service_id") == service).height
            count = int(counts[chosen].sum())
            rows[-1]["connections"] = wanted
            if count < wanted or not chosen:
                rows[-1]["reason"] = "service_without_experience"
                continue
            total = float(point[chosen].sum())
            low, high = _interval(drawn[:, chosen].sum(axis=1))
            of = known.filter(pl.col("service_id").is_in([services[each] for each in chosen]))
            beyond = of.select(
                (pl.col("cumulative_connections").log(2) - pl.col("service_id").replace_strict(highest).log(2)).mean()
            ).item()
            rows[-1] |= {
                "cumulative_connections": of["cumulative_connections"].min() if service != "all" else None,
                "doublings_beyond_experience": beyond,
                "total_predicted": total,
                "total_low": low,
                "total_high": high,
                "per_connection_predicted": total / count,
                "per_connection_low": low / count,
                "per_connection_high": high / count,
            }
    return rows


def _totals(
    curve: Curve, rows: pl.DataFrame, spread: _Spread, levels: _Floats, at: _Ints, group: _Ints, rng: np.random.Generator
) -> _Floats:
    """Outcomes of connections added up by ``group``, (draws, groups); row i has the level ``levels[:, at[i]]``. EUR or person-days."""
    draws = levels.shape[0]
    cluster, clusters = _codes(rows, "cluster")
    team, teams = _codes(rows, "cluster", "team")
    shock = spread.cluster_sd[:, None] * rng.standard_normal((draws, len(clusters)))
    of_team = spread.team_sd * rng.standard_normal((draws, len(teams)))
    covariates = _covariates(rows)
    totals = np.zeros((draws, int(group.max(initial=0)) + 1))
    size = max(_BLOCK_VALUES // draws, 1)
    for start in range(0, rows.height, size):
        block = slice(start, start + size)
        logs = spread.slopes @ covariates[block].T
        for part, of in ((levels, at), (shock, cluster), (of_team, team)):
            logs += part[:, of[block]]
        logs += curve.residuals[rng.integers(0, curve.n, logs.shape)]
        rows_here = np.arange(logs.shape[1])
        of_group = sparse.csr_array((np.ones(rows_here.size), (group[block], rows_here)), shape=(totals.shape[1], rows_here.size))
        totals += (of_group @ np.exp(logs, out=logs).T).T
    return totals


def _without_shocks(values: _Floats, taken: sparse.csr_array, own: _Floats) -> _Floats:
    """(diag(own) + taken taken')⁻¹ values, by as many equations as there are shocks (Woodbury)."""
    inverse = 1 / np.maximum(own, 1e-12)
    inner = np.eye(taken.shape[1]) + (taken.T @ (taken * inverse[:, None])).toarray()
    return inverse[:, None] * (values - taken @ np.linalg.solve(inner, taken.T @ (inverse[:, None] * values)))


def _interval(draws: _Floats) -> tuple[float, float]:
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _covariates(rows: pl.DataFrame) -> _Floats:
    """ln N, ln population and difficulty: (rows, 3)."""
    columns = rows.select(pl.col("cumulative_connections").log(), pl.col("population").log(), pl.col("difficulty"))
    return columns.cast(pl.Float64).to_numpy()


def _codes(rows: pl.DataFrame, *columns: str) -> tuple[_Ints, list[tuple[Any, ...]]]:
    """A number from 0 for each combination of values, and the combinations in that order."""
    keys = rows.select(columns).unique().sort(columns)
    numbered = rows.select(columns).join(
        keys.with_row_index("_code"), on=columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return numbered["_code"].cast(pl.Int64).to_numpy(), keys.rows()


def _shares(cell: _Ints, group: _Ints, size: _Floats) -> sparse.csr_array:
    """The share of each cell's connections that are of each group, (cells, groups)."""
    return sparse.csr_array((1 / size[cell], (cell, group)), shape=(size.size, int(group.max()) + 1))
