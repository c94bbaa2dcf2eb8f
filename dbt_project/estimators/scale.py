"""The pre-registered test of the economies of scale: specifications S0 to S10, gates, verdict, power.

Belongs here: applying the rule of ``preregistration.yml`` to ``scale_observation`` or a table of its shape. Does not: choosing anything
(every threshold is the file's), the general estimators (``regression.py``), forecasts (``cost_forecast.py``).

C1, learning (S2): ln y = service × Land − w ln N + b ln population + d difficulty + e, one accepted connection per observation, y its real
variable cost or its person-days, N the experience at the start of work; saving per doubling 1 − 2^(−w). Partially pooled within contractor
× wave (``regression.partially_pooled``) at the rule's intraclass correlation, which is fixed and not estimated: connections of a wave share
its shock and tell less than as many of different waves. Errors: cluster jackknife (CRV3) over contractor × wave, fixed effects estimated
anew without each cluster, t(G − 1). Connections without a cluster are no cluster of their own: they are left out and counted.

C2, scale of call-offs (S1): ln C = Land + b ln Q + controls + u, one call-off per observation, C its real variable cost, Q the number of
its accepted connections; the controls are the means of its connections' ln N (so that learning is not read as scale), ln population and
difficulty, and the shares of the services in it; saving per doubling 1 − 2^(b − 1). HC3, t(K − p), the bound of the reverse regression, and
the same answer with CRV3 over contractor × wave, because call-offs of one wave may share its shock.

Sensitivities of C1: S3 linear time, S4 waves instead of N, S5 differences between a contractor's successive waves, S6 N without baseline,
S7 without pilots, S8 with open connections by the share earned, S9 all payers and municipal hours, S10 without one Land; S2 unweighted (plain
least squares) with CRV3, with HC3 and with CRV1; S2 with clusters by team, experience per contractor, consumer prices, nominal prices, the
call-off's size, and without difficulty; bivariate and within without controls. S4, bivariate and within are plain least squares. S0 and C0
describe: means by wave, and what of the fall of the average full cost is mere degression.

Power. The estimates of all specifications that the rule consults move together; their joint covariance is that of the cluster jackknife.
They are drawn from a multivariate t around the true saving, errors and degrees of freedom as measured, S6 around what it would converge
to, and the whole rule is applied to each draw. The gates are taken as passed. For C2 the bare rule and its bound are computed, not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import stats  # type: ignore[import-untyped]

from dbt_project.estimators.regression import Fit, RegressionError, demean, leverage_shares, ols, partially_pooled, saving
from dbt_project.preregistration import Gate, Look, Preregistration

#: Columns of ``scale_observation``; also the shape of a user's file.
OBSERVATION_SCHEMA = pl.Schema(
    {
        "authority_id": pl.String,
        "service_id": pl.String,
        "land_code": pl.String,
        "authority_kind": pl.String,
        "call_off": pl.String,
        "contractor": pl.String,
        "wave": pl.Int64,
        "team": pl.String,
        "cluster": pl.String,
        "planned_wave": pl.Int64,
        "is_pilot": pl.Boolean,
        "wave_started_on": pl.Date,
        "started_on": pl.Date,
        "accepted_on": pl.Date,
        "is_accepted": pl.Boolean,
        "is_invoiced": pl.Boolean,
        "phase_weight": pl.Float64,
        "cost_variable_eur": pl.Float64,
        "cost_variable_nominal_eur": pl.Float64,
        "cost_variable_cpi_eur": pl.Float64,
        "cost_full_eur": pl.Float64,
        "payer_total_eur": pl.Float64,
        "allocation_direct_share": pl.Float64,
        "person_days": pl.Float64,
        "person_days_municipal": pl.Float64,
        "cumulative_connections": pl.Int64,
        "baseline_connections": pl.Int64,
        "population": pl.Int64,
        "difficulty": pl.Float64,
        "difficulty_recorded_on": pl.Date,
        "price_mechanism": pl.String,
    }
)

#: The columns that ``estimate`` and ``judge`` read, where they are there.
READ = {
    name: dtype
    for name, dtype in OBSERVATION_SCHEMA.items()
    if name not in ("authority_id", "authority_kind", "planned_wave", "is_accepted")
}

#: Columns without which nothing can be estimated; of the outcomes' columns one is enough.
CORE = ("service_id", "land_code", "cluster", "started_on", "accepted_on", "cumulative_connections")

ESTIMATE_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "outcome": pl.String,
        "specification": pl.String,
        "term": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "coefficient": pl.Float64,
        "se": pl.Float64,
        "df": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "rate": pl.Float64,
        "rate_ci_low": pl.Float64,
        "rate_ci_high": pl.Float64,
        "ci_level": pl.Float64,
        "n": pl.Int64,
        "clusters": pl.Int64,
        "leverage_max_share": pl.Float64,
        "variant": pl.String,
    }
)

VERDICT_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "outcome": pl.String,
        "verdict": pl.String,
        "label": pl.String,
        "look_on": pl.Date,
        "signed_on": pl.Date,
        "frozen_on": pl.Date,
        "estimate": pl.Float64,
        "se": pl.Float64,
        "df": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "delta": pl.Float64,
        "n": pl.Int64,
        "clusters": pl.Int64,
        "power_05": pl.Float64,
        "power_10": pl.Float64,
        "power_20": pl.Float64,
        "gates_failed": pl.String,
        "prereg_sha256": pl.String,
    }
)

VERDICTS = ("supported", "contradicted", "immaterial", "inconclusive", "not_due")


class ScaleError(ValueError):
    """The observations cannot be tested; ``str`` is one English sentence with the remedy, ``german`` the same in German."""

    def __init__(self, english: str, german: str) -> None:
        super().__init__(english)
        self.german = german


@dataclass(frozen=True)
class Estimate:
    """One coefficient of one specification; fields as ``ESTIMATE_SCHEMA``.

    ``coefficient``, ``se``, ``ci_low`` and ``ci_high`` are on the scale of the regression (d ln y / d ln x); ``rate`` is the saving per
    doubling (learning rate or theta_scale) with its interval. S0 holds means of ln y, S4 ln cost against the base wave with the saving
    against it as ``rate``, C0 shares of cost as ``coefficient``.
    """

    claim: str
    outcome: str
    specification: str
    term: str
    status: str = "available"
    reason: str | None = None
    coefficient: float | None = None
    se: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    rate: float | None = None
    rate_ci_low: float | None = None
    rate_ci_high: float | None = None
    ci_level: float | None = None
    n: int | None = None
    clusters: int | None = None
    leverage_max_share: float | None = None
    variant: str | None = None


@dataclass(frozen=True)
class GateResult:
    """One gate as measured; ``value`` is None where the observations do not tell."""

    gate: str
    value: float | None
    threshold: float
    passed: bool
    words_de: str
    words_en: str


@dataclass(frozen=True)
class Verdict:
    """One verdict; fields as ``VERDICT_SCHEMA``, and the gates with their measurements.

    ``estimate``, ``ci_low`` and ``ci_high`` are savings per doubling (shares); ``se`` and ``df`` belong to the coefficient of the
    logarithm (w, or b). ``label``: English phrases joined by "; " (``LABELS`` holds the German ones).
    """

    claim: str
    outcome: str
    verdict: str
    label: str | None
    look_on: date | None
    signed_on: date | None
    frozen_on: date | None
    estimate: float | None
    se: float | None
    df: float | None
    ci_low: float | None
    ci_high: float | None
    delta: float
    n: int | None
    clusters: int | None
    power_05: float | None
    power_10: float | None
    power_20: float | None
    gates_failed: str | None
    prereg_sha256: str
    gates: tuple[GateResult, ...] = ()


_OUTCOMES = ("cost", "person_days")
_COLUMN = {"cost": "cost_variable_eur", "person_days": "person_days"}

#: Labels of a verdict: English phrase (as stored) and German.
LABELS = {
    "descriptive": "beschreibend",
    "waits for invoices": "wartet auf Rechnungen",
    "rule not signed": "Regel nicht unterzeichnet",
    "rule fixed after data began": "Regel erst nach Beginn der Daten festgelegt",
    "cost rising": "Kosten steigen",
    "tests the tender": "prüft die Ausschreibung, nicht die Kosten",
    "not robust": "nicht robust",
    "person-days contradict": "Personentage widersprechen",
    "prices not deflated": "Preise nicht bereinigt",
    "no estimate": "keine Schätzung",
}

#: What a gate measures, in German and English.
GATE_WORDS = {
    "clusters": ("Cluster (Auftragnehmer × Welle)", "clusters (contractor × wave)"),
    "connections": ("abgenommene Anbindungen in der Schätzung", "accepted connections in the estimate"),
    "span_doublings": (
        "Verdoppelungen der Erfahrung innerhalb von Leistung × Land (gewichteter Median)",
        "doublings of experience within service × Land (weighted median)",
    ),
    "leverage_share": ("Anteil eines einzigen Clusters an der Hebelwirkung", "share of a single cluster in the leverage"),
    "invoiced_share": ("abgerechnete Anbindungen", "connections invoiced"),
    "price_actual_share": (
        "variable Kosten zu Preisen, die dem Aufwand folgen (sonst prüft die Regression die Ausschreibung)",
        "variable cost at prices that follow the effort (else the regression tests the tender)",
    ),
    "direct_share": (
        "variable Kosten direkt auf Behörde × Leistung gebucht",
        "variable cost booked directly to authority × service",
    ),
    "difficulty_share": (
        "Anbindungen, deren Schwierigkeit vor Beginn der Welle erhoben wurde",
        "connections whose difficulty was recorded before their wave began",
    ),
    "complete_share": ("Anbindungen mit allen nötigen Angaben", "connections with every value needed"),
    "lots": ("Abrufe", "call-offs"),
    "laender": ("Länder mit Abrufen", "Länder with call-offs"),
    "reverse_bound": (
        "Ersparnis auch nach der umgekehrten Regression (unteres Ende)",
        "saving by the reverse regression, too (lower end)",
    ),
}

_LACKS = {
    "ln_n": "without experience (N = 0)",
    "ln_n_programme": "without experience in the programme",
    "ln_n_contractor": "without experience of the contractor",
    "ln_population": "without population",
    "difficulty": "without difficulty",
    "months": "without start",
    "ln_lot": "without call-off",
}
#: The columns behind a regressor or an outcome.
_BEHIND = {
    "ln_n": ("cumulative_connections",),
    "ln_n_programme": ("cumulative_connections", "baseline_connections"),
    "ln_n_contractor": ("contractor", "baseline_connections"),
    "ln_population": ("population",),
    "difficulty": ("difficulty",),
    "months": ("started_on",),
    "ln_lot": ("call_off",),
    "main": (),
    "cpi": ("cost_variable_cpi_eur",),
    "nominal": ("cost_variable_nominal_eur",),
    "payer": ("payer_total_eur", "person_days_municipal"),
    "earned": ("phase_weight",),
    "team_cluster": ("team",),
    "is_pilot": ("is_pilot",),
}
_CONTROLS = ("ln_population", "difficulty")


@dataclass(frozen=True)
class _Specification:
    """A specification of C1: outcome ``y`` on the regressors ``x``, the experience first.

    ``estimator``: partially pooled, or plain least squares with that covariance.
    """

    name: str
    x: tuple[str, ...] = ("ln_n", *_CONTROLS)
    y: str = "main"
    estimator: Literal["pooled", "crv3", "crv1", "hc3", "classic"] = "pooled"
    cluster: str = "cluster"
    is_within: bool = True
    with_open: bool = False
    without_pilots: bool = False
    outcomes: tuple[str, ...] = _OUTCOMES

    @property
    def is_clustered(self) -> bool:
        """Whether it takes the clusters as independent."""
        return self.estimator in ("pooled", "crv3", "crv1")


_SPECIFICATIONS = (
    _Specification("S2"),
    _Specification("S2_unweighted", estimator="crv3"),
    _Specification("S2_hc3", estimator="hc3"),
    _Specification("S2_crv1", estimator="crv1"),
    _Specification("S2_team_wave", cluster="team_cluster"),
    _Specification("S2_contractor_n", x=("ln_n_contractor", *_CONTROLS)),
    _Specification("S2_cpi", y="cpi", outcomes=("cost",)),
    _Specification("S2_nominal", y="nominal", outcomes=("cost",)),
    _Specification("S2_lot_size", x=("ln_n", *_CONTROLS, "ln_lot")),
    _Specification("S2_no_difficulty", x=("ln_n", "ln_population")),
    _Specification("S3", x=("ln_n", *_CONTROLS, "months")),
    _Specification("S6", x=("ln_n_programme", *_CONTROLS)),
    _Specification("S7", without_pilots=True),
    _Specification("S8", y="earned", with_open=True, outcomes=("cost",)),
    _Specification("S9", y="payer"),
    _Specification("bivariate", x=("ln_n",), estimator="classic", is_within=False),
    _Specification("within", x=("ln_n",), estimator="classic"),
)


class _Unavailable(Exception):
    """A specification cannot be estimated; the message says why."""


@dataclass(frozen=True)
class _Pool:
    """The begun connections of one outcome as arrays (n,): NaN where a value is unknown or has no logarithm; codes from 0."""

    outcome: str
    columns: frozenset[str]
    y: dict[str, np.ndarray]
    x: dict[str, np.ndarray]
    #: accepted, and for cost invoiced
    cohort: np.ndarray
    pilot: np.ndarray
    land: np.ndarray
    land_names: list[str]
    effect: np.ndarray
    #: by code; it means something where ``is_in_cluster``
    cluster: np.ndarray
    is_in_cluster: np.ndarray
    #: of the whole table, so that both outcomes number them alike
    cluster_count: int
    team_cluster: np.ndarray
    contractor: np.ndarray
    wave: np.ndarray
    wave_names: list[str]
    day: np.ndarray
    #: the rule's, within clusters
    intraclass_correlation: float

    def need(self, *keys: str) -> None:
        """Raises :class:`_Unavailable` where the table lacks a column behind one of the keys."""
        behind = {column for key in keys for column in _BEHIND.get(key, ())}
        if "payer" in keys:
            behind.discard("person_days_municipal" if self.outcome == "cost" else "payer_total_eur")
        lacking = sorted(behind - self.columns)
        if lacking:
            raise _Unavailable(f"the table has no column {', '.join(lacking)}")


@dataclass(frozen=True)
class _Finding:
    """A slope as the rule reads it. ``away``: by cluster code, how far the slope moves without that cluster (zeros without a jackknife)."""

    slope: float
    se: float
    df: float
    n: int
    clusters: int | None
    away: np.ndarray
    #: slope that the specification converges to where ln y falls by 1 per unit of ln N, as a positive number
    factor: float = 1.0

    def half(self, level: float) -> float:
        """Half the width of the interval of the slope."""
        return float(stats.t.ppf(0.5 + level / 2, self.df)) * self.se

    def savings(self, level: float) -> tuple[float, float, float]:
        """Saving per doubling, and the ends of its interval."""
        half = self.half(level)
        return saving(self.slope), saving(self.slope + half), saving(self.slope - half)


def cohort(observations: pl.DataFrame, look: Look | None) -> pl.DataFrame:
    """The begun connections that a look sees, with ``_accepted``: accepted by its day (without a look: at all)."""
    # a country's are not copied where all of them are begun
    frame = observations.filter(pl.col("started_on").is_not_null()) if observations["started_on"].has_nulls() else observations
    accepted = pl.col("accepted_on").is_not_null()
    if look is not None:
        frame = frame.filter(pl.col("started_on") <= look.accepted_by)
        accepted &= pl.col("accepted_on") <= look.accepted_by
    return frame.with_columns(_accepted=accepted)


def _positive_log(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite() & (value > 0)).then(value).log()


def _code(column: str) -> pl.Expr:
    """The words of a column as numbers from 0, in their order; unknown is a word of no letters."""
    return pl.col(column).cast(pl.String).fill_null("").rank("dense").cast(pl.Int64) - 1


def _words(frame: pl.DataFrame, column: str) -> list[str]:
    """What the numbers of ``_code`` stand for."""
    found: list[str] = frame[column].unique().cast(pl.String).fill_null("").unique().sort().to_list()
    return found


def _pool(frame: pl.DataFrame, outcome: str, rule: Preregistration) -> _Pool:
    """The arrays of one outcome. ``frame`` is that of ``cohort``."""
    has = frozenset(frame.columns)
    if _COLUMN[outcome] not in has:
        raise _Unavailable(f"the table has no column {_COLUMN[outcome]}")
    main = _positive_log(_COLUMN[outcome])
    y: dict[str, pl.Expr] = {"main": main}
    if outcome == "cost":
        y |= {key: _positive_log(_BEHIND[key][0]) for key in ("cpi", "nominal") if _BEHIND[key][0] in has}
        if "payer_total_eur" in has:
            y["payer"] = _positive_log("payer_total_eur")
        if "phase_weight" in has:
            y["earned"] = main - _positive_log("phase_weight")
    elif "person_days_municipal" in has:
        total = pl.col("person_days") + pl.col("person_days_municipal")
        y["payer"] = pl.when(total > 0).then(total).log()
    x: dict[str, pl.Expr] = {
        "ln_n": _positive_log("cumulative_connections"),
        "months": (pl.col("started_on") - pl.col("started_on").min()).dt.total_days() / 30.4375,
    }
    if "population" in has:
        x["ln_population"] = _positive_log("population")
    if "difficulty" in has:
        x["difficulty"] = pl.col("difficulty").cast(pl.Float64)
    if "baseline_connections" in has:
        own = (pl.col("cumulative_connections") - pl.col("baseline_connections")).cast(pl.Float64)
        x["ln_n_programme"] = pl.when(own > 0).then(own).log()
        if "contractor" in has:
            experience = _contractor_experience(frame) + pl.col("baseline_connections")
            x["ln_n_contractor"] = pl.when(experience > 0).then(experience.cast(pl.Float64)).log()
    if "call_off" in has:
        size = pl.col("_accepted").sum().over("land_code", "call_off").cast(pl.Float64)
        x["ln_lot"] = pl.when(pl.col("call_off").is_not_null() & (size > 0)).then(size.log())

    is_cost = outcome == "cost"
    wave = "wave" if "wave" in has else "cluster"
    arrays = frame.select(
        **{f"y_{key}": expression.cast(pl.Float64) for key, expression in y.items()},
        **{f"x_{key}": expression.cast(pl.Float64) for key, expression in x.items()},
        usable=(pl.col("price_mechanism") == "actual").fill_null(False) if is_cost and "price_mechanism" in has else pl.lit(True),
        cohort=pl.col("_accepted")
        & (pl.col("is_invoiced").fill_null(False) if is_cost and "is_invoiced" in has else pl.lit(True)),
        pilot=pl.col("is_pilot").fill_null(False) if "is_pilot" in has else pl.lit(False),
        land=_code("land_code"),
        service=_code("service_id"),
        cluster=_code("cluster"),
        is_in_cluster=pl.col("cluster").is_not_null(),
        team=_code("team") if "team" in has else pl.lit(0, pl.Int64),
        contractor=_code("contractor" if "contractor" in has else "land_code"),
        wave=_code(wave),
        day=pl.col("started_on").to_physical().cast(pl.Float64),
    ).filter("usable")
    if arrays.is_empty():
        raise _Unavailable(
            "no connection whose whole variable cost is at prices that follow the effort" if is_cost else "no connection"
        )
    number: dict[str, np.ndarray] = {}
    for name in arrays.columns:  # one at a time: a country's are a gigabyte
        values = arrays.drop_in_place(name)
        # missing values come as null: as NaN they are left out wherever they are needed
        number[name] = (values.fill_null(float("nan")) if name[:2] in ("x_", "y_") else values).to_numpy()
    return _Pool(
        outcome=outcome,
        columns=has,
        y={key: number[f"y_{key}"] for key in y},
        x={key: number[f"x_{key}"] for key in x},
        cohort=number["cohort"],
        pilot=number["pilot"],
        land=number["land"],
        land_names=_words(frame, "land_code"),
        effect=number["land"] * (number["service"].max() + 1) + number["service"],
        cluster=number["cluster"],
        is_in_cluster=number["is_in_cluster"],
        cluster_count=len(_words(frame, "cluster")),
        team_cluster=number["cluster"] * (number["team"].max() + 1) + number["team"],
        contractor=number["contractor"],
        wave=number["wave"],
        wave_names=_words(frame, wave),
        day=number["day"],
        intraclass_correlation=rule.intraclass_correlation,
    )


def _contractor_experience(frame: pl.DataFrame) -> pl.Series:
    """Acceptances of the service by the same contractor before the day on which work began."""
    service, contractor = (_code(column) for column in ("service_id", "contractor"))
    group = frame.select(service * (contractor.max() + 1) + contractor).to_series()
    span = 1_000_000  # days: every date lies within, so that one sorted array serves all groups
    key = group * span + frame["started_on"].to_physical().cast(pl.Int64)
    done = (group * span + frame["accepted_on"].to_physical().cast(pl.Int64)).drop_nulls().sort().to_numpy()
    return pl.Series(np.searchsorted(done, key.to_numpy()) - np.searchsorted(done, (group * span).to_numpy()))


# -- C1: learning -------------------------------------------------------------------------------------------------------------


def _rows(
    pool: _Pool, specification: _Specification, keep: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str | None]:
    """(which rows, y, regressors, who is left out and why)."""
    pool.need(specification.y, *specification.x, *(["is_pilot"] if specification.without_pilots else []), specification.cluster)
    y, columns = pool.y[specification.y], np.column_stack([pool.x[key] for key in specification.x])
    base = np.ones(y.size, dtype=bool) if specification.with_open else pool.cohort
    if specification.without_pilots:
        base = base & ~pool.pilot
    if keep is not None:
        base = base & keep
    known = np.isfinite(columns)
    unclustered = ~pool.is_in_cluster & specification.is_clustered
    rows = base & np.isfinite(y) & known.all(axis=1) & ~unclustered
    if not rows.any():
        raise _Unavailable("no connection has every value that is needed")
    lacks = [
        ("without a positive outcome", ~np.isfinite(y)),
        *((_LACKS[k], ~known[:, i]) for i, k in enumerate(specification.x)),
        ("without cluster", unclustered),
    ]
    told = [f"{int((base & lack).sum())} {words}" for words, lack in lacks if (base & lack).any()]
    left_out = int(base.sum() - rows.sum())
    reason = f"{left_out} of {int(base.sum())} connections left out: {', '.join(told)}" if left_out else None
    return rows, y[rows], columns[rows], reason


def _fit(pool: _Pool, specification: _Specification, rows: np.ndarray, y: np.ndarray, x: np.ndarray) -> Fit:
    effect = pool.effect[rows] if specification.is_within else None
    cluster = getattr(pool, specification.cluster)[rows] if specification.is_clustered else None
    try:
        if specification.estimator == "pooled":
            rho = pool.intraclass_correlation
            return partially_pooled(y, x, cluster, intraclass_correlation=rho, fixed_effects=effect, names=specification.x)
        return ols(y, x, names=specification.x, fixed_effects=effect, clusters=cluster, covariance=specification.estimator)
    except RegressionError as error:
        raise _Unavailable(str(error)) from error


def _leverage(pool: _Pool, specification: _Specification, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Share of each cluster (G,) in what the regression has of the variation of the experience."""
    return leverage_shares(
        x,
        0,
        fixed_effects=pool.effect[rows],
        clusters=getattr(pool, specification.cluster)[rows],
        intraclass_correlation=pool.intraclass_correlation if specification.estimator == "pooled" else 0.0,
    )


def _finding(pool: _Pool, fit: Fit) -> _Finding:
    away = np.zeros(pool.cluster_count)
    if fit.left_out is not None and fit.cluster_names is not None:
        away[fit.cluster_names] = fit.left_out[:, 0] - fit.coefficients[0]
    return _Finding(float(fit.coefficients[0]), float(fit.se[0]), fit.df, fit.n, fit.clusters, away)


def _differences(pool: _Pool, jackknife: bool) -> tuple[_Finding, str | None]:
    """S5: a contractor's waves, mean ln y after S2's controls and mean ln N within service × Land, differences between successive waves."""
    specification = _SPECIFICATIONS[0]
    rows, y, x, reason = _rows(pool, specification)
    fit = _fit(pool, specification, rows, y, x)
    inner = demean(np.column_stack([y - x[:, 1:] @ fit.coefficients[1:], x[:, 0]]), pool.effect[rows])
    cluster = pool.cluster[rows]
    counts = np.bincount(cluster)
    present = np.flatnonzero(counts)
    mean = np.column_stack([np.bincount(cluster, weights=c)[present] / counts[present] for c in inner.T])
    begun = np.bincount(cluster, weights=pool.day[rows])[present] / counts[present]
    contractor = np.zeros(counts.size, dtype=np.int64)
    contractor[cluster] = pool.contractor[rows]
    contractor = contractor[present]
    order = np.lexsort((begun, contractor))
    mean, contractor, present = mean[order], contractor[order], present[order]

    def slope(keep: np.ndarray) -> tuple[float, float, int]:
        step = np.diff(mean[keep], axis=0)[np.diff(contractor[keep]) == 0]
        dy, dx = step[:, 0], step[:, 1]
        if dy.size < 3 or not (dx @ dx) > 0:
            raise _Unavailable("fewer than four waves of one contractor: there are no differences to compare")
        b = float(dx @ dy) / float(dx @ dx)
        rest = dy - b * dx
        return b, float(np.sqrt(rest @ rest / (dy.size - 1) / (dx @ dx))), int(dy.size)

    every = np.arange(present.size)
    b, se, steps = slope(every)
    away = np.zeros(pool.cluster_count)
    if jackknife:
        for i in every:
            away[present[i]] = slope(np.delete(every, i))[0] - b
    return _Finding(b, se, float(steps - 1), int(rows.sum()), int(present.size), away), reason


def _learning(pool: _Pool, rule: Preregistration) -> dict[str, _Finding]:
    """What the rule reads for one outcome: S2 and the specifications of its robustness, those that can be estimated."""
    known = {specification.name: specification for specification in _SPECIFICATIONS}
    found: dict[str, _Finding] = {}
    for name in ("S2", *rule.robustness[pool.outcome].specifications):  # type: ignore[index]
        try:
            if name == "S5":
                found[name] = _differences(pool, jackknife=True)[0]
                continue
            specification = known[name]
            rows, y, x, _ = _rows(pool, specification)
            found[name] = _finding(pool, _fit(pool, specification, rows, y, x))
            if name == "S6":
                # with N measured from another origin, the slope converges to that of the true ln N on the regressors
                found[name] = replace(
                    found[name], factor=float(_fit(pool, specification, rows, pool.x["ln_n"][rows], x).coefficients[0])
                )
        except _Unavailable:
            continue
    return found


def _described(
    claim: str, outcome: str, name: str, fit: Fit, level: float, unit: float, reason: str | None
) -> Iterator[Estimate]:
    """One estimate per regressor; the first has a saving per doubling."""
    for number, term in enumerate(fit.names):
        low, high = fit.interval(term, level)
        slope = fit.coefficient(term)
        rates: dict[str, Any] = {
            "rate": saving(slope - unit),
            "rate_ci_low": saving(high - unit),
            "rate_ci_high": saving(low - unit),
        }
        yield Estimate(
            claim=claim,
            outcome=outcome,
            specification=name,
            term=term,
            reason=reason,
            coefficient=slope,
            se=fit.standard_error(term),
            df=fit.df,
            ci_low=low,
            ci_high=high,
            ci_level=level,
            n=fit.n,
            clusters=fit.clusters,
            variant=fit.variant,
            **(rates if number == 0 else {}),
        )


def _learning_estimates(pool: _Pool, level: float) -> Iterator[Estimate]:
    for specification in _SPECIFICATIONS:
        if pool.outcome not in specification.outcomes:
            continue
        try:
            rows, y, x, reason = _rows(pool, specification)
            fit = _fit(pool, specification, rows, y, x)
        except _Unavailable as error:
            yield Estimate("C1", pool.outcome, specification.name, specification.x[0], "unavailable", str(error))
            continue
        if not specification.is_within:  # the intercept is the last of its terms here, the experience the first
            fit = _rotated(fit)
        heaviest = None
        if fit.clusters:
            heaviest = float(_leverage(pool, specification, rows, x).max())
        for row in _described("C1", pool.outcome, specification.name, fit, level, 0.0, reason):
            yield replace(row, leverage_max_share=heaviest)
    yield from _by_wave(pool, level)
    yield from _by_differences(pool, level)
    yield from _without_a_land(pool, level)


def _rotated(fit: Fit) -> Fit:
    order = [*range(1, len(fit.names)), 0]
    return replace(
        fit,
        names=tuple(fit.names[i] for i in order),
        coefficients=fit.coefficients[order],
        covariance=fit.covariance[np.ix_(order, order)],
    )


def _by_differences(pool: _Pool, level: float) -> Iterator[Estimate]:
    try:
        found, reason = _differences(pool, jackknife=False)
    except _Unavailable as error:
        yield Estimate("C1", pool.outcome, "S5", "ln_n", "unavailable", str(error))
        return
    rate, low, high = found.savings(level)
    half = found.half(level)
    yield Estimate(
        claim="C1",
        outcome=pool.outcome,
        specification="S5",
        term="ln_n",
        reason=reason,
        coefficient=found.slope,
        se=found.se,
        df=found.df,
        ci_low=found.slope - half,
        ci_high=found.slope + half,
        rate=rate,
        rate_ci_low=low,
        rate_ci_high=high,
        ci_level=level,
        n=found.n,
        clusters=found.clusters,
        variant="differences, no intercept",
    )


def _without_a_land(pool: _Pool, level: float) -> Iterator[Estimate]:
    specification = _SPECIFICATIONS[0]
    present = np.unique(pool.land[pool.cohort])
    if present.size < 2:
        yield Estimate("C1", pool.outcome, "S10", "ln_n", "unavailable", "there is only one Land")
        return
    for land in present:
        term = f"ln_n without {pool.land_names[land]}"
        try:
            rows, y, x, reason = _rows(pool, specification, pool.land != land)
            fit = _fit(pool, specification, rows, y, x)
        except _Unavailable as error:
            yield Estimate("C1", pool.outcome, "S10", term, "unavailable", str(error))
            continue
        yield replace(next(_described("C1", pool.outcome, "S10", fit, level, 0.0, reason)), term=term)


def _by_wave(pool: _Pool, level: float) -> Iterator[Estimate]:
    """S4: ln y by wave against the pilots (without pilots: the first wave), no ln N; and their joint F."""
    specification = _Specification("S4", x=_CONTROLS, estimator="crv3")
    try:
        rows, y, controls, reason = _rows(pool, specification)
        present, code = np.unique(pool.wave[rows], return_inverse=True)
        names = [pool.wave_names[wave] for wave in present]
        begun = np.bincount(code, weights=pool.day[rows]) / np.bincount(code)
        piloted = np.bincount(code, weights=pool.pilot[rows]) / np.bincount(code) > 0.5
        base = int(np.argmin(np.where(piloted, begun, begun + 1e6))) if piloted.any() else int(np.argmin(begun))
        others = [k for k in np.argsort(begun) if k != base]
        if not others:
            raise _Unavailable("there is only one wave")
        x = np.column_stack([*[(code == k).astype(float) for k in others], controls])
        wide = replace(specification, x=(*[f"wave {names[k]}" for k in others], *_CONTROLS))
        fit, note = _fit(pool, replace(wide, estimator="classic"), rows, y, x), reason
        try:
            fit = _fit(pool, wide, rows, y, x)
        except _Unavailable:
            # a wave of one cluster alone has no variation between clusters: its mean stands without an error
            unknown = np.full_like(fit.covariance, np.nan)
            fit = replace(fit, covariance=unknown, df=float("nan"), variant="no standard error: a wave has one cluster")
    except _Unavailable as error:
        yield Estimate("C1", pool.outcome, "S4", "wave", "unavailable", str(error))
        return
    for row in _described("C1", pool.outcome, "S4", fit, level, 0.0, note):
        if not row.term.startswith("wave ") or row.coefficient is None:
            continue
        ends = [row.ci_high, row.ci_low]
        rates = [1 - float(np.exp(v)) if v is not None else None for v in (row.coefficient, *ends)]
        yield _finite(replace(row, rate=rates[0], rate_ci_low=rates[1], rate_ci_high=rates[2]))
    count = len(others)
    if fit.clusters and fit.clusters > count + 1:
        k = fit.coefficients[:count]
        f = float(k @ np.linalg.solve(fit.covariance[:count, :count], k)) / count
        p = float(stats.f.sf(f, count, fit.df))
        yield Estimate(
            "C1", pool.outcome, "S4", "joint F", reason=f"F({count}, {fit.df:.0f}), p = {p:.4f}", coefficient=f, df=fit.df, n=fit.n,
            clusters=fit.clusters, variant=fit.variant,
        )  # fmt: skip
    else:
        yield Estimate("C1", pool.outcome, "S4", "joint F", "unavailable", "fewer clusters than waves allow a joint test")


def _finite(row: Estimate) -> Estimate:
    """NaN is no number of a table: unknown is None."""
    values: dict[str, Any] = {name: getattr(row, name) for name in ESTIMATE_SCHEMA}
    unknown = {name: None for name, value in values.items() if isinstance(value, float) and not np.isfinite(value)}
    return replace(row, **unknown)  # type: ignore[arg-type]


# -- description --------------------------------------------------------------------------------------------------------------


def _means(frame: pl.DataFrame, pool: _Pool, rule: Preregistration, level: float) -> Iterator[Estimate]:
    """S0: mean of ln y by Land and wave, and its t interval."""
    y = pool.y["main"]
    rows = pool.cohort & np.isfinite(y)
    groups = (
        pl.DataFrame({"land": pool.land[rows], "wave": pool.wave[rows], "y": y[rows], "day": pool.day[rows]})
        .group_by("land", "wave")
        .agg(n=pl.len(), mean=pl.col("y").mean(), sd=pl.col("y").std(), day=pl.col("day").min())
        .sort("land", "day", "wave")
    )
    for row in groups.to_dicts():
        term = f"{pool.land_names[row['land']]} wave {pool.wave_names[row['wave']]}"
        if row["n"] < rule.descriptive_group_min:
            yield Estimate("C0", pool.outcome, "S0", term, "unavailable", f"fewer than {rule.descriptive_group_min} connections")
            continue
        se = row["sd"] / row["n"] ** 0.5
        half = float(stats.t.ppf(0.5 + level / 2, row["n"] - 1)) * se
        yield Estimate(
            claim="C0",
            outcome=pool.outcome,
            specification="S0",
            term=term,
            coefficient=row["mean"],
            se=se,
            df=float(row["n"] - 1),
            ci_low=row["mean"] - half,
            ci_high=row["mean"] + half,
            ci_level=level,
            n=row["n"],
            variant="mean of the logarithm",
        )


def _degression(frame: pl.DataFrame) -> Iterator[Estimate]:
    """C0: average full cost AC(N) = F / N + v, from the first tenth of the accepted connections to all of them.

    Shares of the average full cost at the beginning: by how much it fell, and how much of that is degression (F spread over more
    connections) and how much the variable part. The apparent learning rate is that of ln AC on ln N, which degression alone makes.
    """
    terms = ("full_cost_fall_share", "degression_share", "variable_share", "apparent_learning_rate")

    def none(reason: str) -> Iterator[Estimate]:
        return (Estimate("C0", "cost", "degression", term, "unavailable", reason) for term in terms)

    lacking = [c for c in ("cost_full_eur", "cost_variable_eur") if c not in frame.columns]
    if lacking:
        yield from none(f"the table has no column {', '.join(lacking)}")
        return
    order = ("started_on", "accepted_on", "cumulative_connections", "service_id", "cluster")
    known = (
        frame.filter("_accepted")
        .select("cost_full_eur", "cost_variable_eur", *order)
        .drop_nulls(["cost_full_eur", "cost_variable_eur"])
        .sort(order)
    )
    n = known.height
    first = -(-n // 10)
    if n < 20:
        yield from none("fewer than 20 accepted connections with full and variable cost")
        return
    variable = known["cost_variable_eur"].to_numpy()
    fixed = float(known["cost_full_eur"].sum()) - float(variable.sum())
    count = np.arange(1, n + 1)
    average = fixed / count + np.cumsum(variable) / count
    start = average[first - 1]
    if not (start > 0 and (average > 0).all()):
        yield from none("the average full cost is not positive")
        return
    slope = float(np.polyfit(np.log(count), np.log(average), 1)[0])
    values = (
        1 - average[-1] / start,
        (fixed / first - fixed / n) / start,
        (variable[:first].mean() - variable.mean()) / start,
    )
    for term, value in zip(terms, values, strict=False):
        yield Estimate("C0", "cost", "degression", term, coefficient=float(value), n=n, variant=f"first {first} against all {n}")
    yield Estimate(
        "C0", "cost", "degression", terms[3], coefficient=slope, rate=saving(slope), n=n, variant="average full cost; no evidence"
    )


# -- C2: scale of call-offs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lots:
    """Call-offs as arrays: ln cost (by the geometric and by the arithmetic mean), ln connections, controls, cluster codes."""

    ln_c: np.ndarray
    ln_total: np.ndarray
    ln_q: np.ndarray
    controls: np.ndarray
    names: tuple[str, ...]
    cluster: np.ndarray
    laender: int
    connections: int


def _lots(frame: pl.DataFrame, outcome: str) -> _Lots:
    """The call-offs of one outcome. ``frame`` is that of ``cohort``.

    The volume is the exact count of acceptances. Cost is that count times the geometric mean of the connections that are invoiced: a late
    invoice is no smaller volume, and the logarithm of an arithmetic mean is low where connections are few (Jensen), which would hide
    economies (``S1_total`` shows it: the plain sum). Call-offs with any price that does not follow the effort are left out, and those
    without any cluster.
    """
    has = set(frame.columns)
    lacking = [c for c in (_COLUMN[outcome], "call_off", "population", "difficulty") if c not in has]
    if lacking:
        raise _Unavailable(f"the table has no column {', '.join(lacking)}")
    is_cost = outcome == "cost"
    amount = pl.col(_COLUMN[outcome]).cast(pl.Float64)
    counted = amount.is_finite() & (amount > 0)
    if is_cost and "is_invoiced" in has:
        counted = counted & pl.col("is_invoiced").fill_null(False)
    priced = (pl.col("price_mechanism") == "actual").fill_null(False) if is_cost and "price_mechanism" in has else pl.lit(True)
    services = _words(frame, "service_id")
    lot = ["land_code", "call_off"]
    connections = frame.lazy().filter(pl.col("_accepted") & pl.col("call_off").is_not_null())
    # counted by service first: a column of truth for each of hundreds would be read for each of millions
    parts = connections.group_by(*lot, "service_id").len().collect().with_columns(pl.col("service_id").cast(pl.String))
    of_service = [pl.col("len").filter(pl.col("service_id") == s).sum().alias(f"service {s}") for s in services]
    lots = (
        connections.group_by(lot)
        .agg(
            pl.len().alias("q"),
            amount.filter(counted).log().mean().alias("ln_unit"),
            amount.filter(counted).mean().log().alias("ln_average"),
            priced.all().alias("is_priced"),
            _positive_log("cumulative_connections").mean().alias("ln_n"),
            _positive_log("population").mean().alias("ln_population"),
            pl.col("difficulty").mean().alias("difficulty"),
            pl.col("cluster").drop_nulls().first().cast(pl.String),
        )
        .collect()
        .join(parts.group_by(lot).agg(of_service), on=lot, how="left", validate="1:1", nulls_equal=True)
        .with_columns(pl.col(f"service {s}") / pl.col("q") for s in services)
        .filter("is_priced")
        .drop_nulls(["ln_unit", "ln_n", "ln_population", "difficulty", "cluster"])
        .with_columns(pl.col(lot).cast(pl.String))
        .sort(lot)
    )
    if lots.height < 3:
        raise _Unavailable(
            "fewer than three call-offs at prices that follow the effort" if is_cost else "fewer than three call-offs"
        )
    laender = lots["land_code"].unique().sort().to_list()
    nuisance = lots.select(
        *[(pl.col("land_code") == code).cast(pl.Float64).alias(f"land {code}") for code in laender],
        *[pl.col(f"service {s}") for s in services],
    )
    candidates = nuisance.to_numpy()
    kept = [i - 1 for i in _independent(np.column_stack([np.ones(lots.height), candidates]))[1:]]
    names = [nuisance.columns[i] for i in kept]
    return _Lots(
        ln_c=np.log(lots["q"].to_numpy()) + lots["ln_unit"].to_numpy(),
        ln_total=np.log(lots["q"].to_numpy()) + lots["ln_average"].to_numpy(),
        ln_q=np.log(lots["q"].to_numpy()),
        controls=np.column_stack([lots.select("ln_n", "ln_population", "difficulty").to_numpy(), candidates[:, kept]]),
        names=("ln_n", "ln_population", "difficulty", *names),
        cluster=(lots["cluster"].rank("dense").cast(pl.Int64) - 1).to_numpy(),
        laender=len(laender),
        connections=int(lots["q"].sum()),
    )


def _independent(columns: np.ndarray) -> list[int]:
    """Columns, in their order, that are no combination of those before them."""
    kept: list[int] = []
    # lengths and angles stay what they are, in as many rows as there are columns
    columns = np.linalg.qr(columns, mode="r")  # type: ignore[assignment]
    space = np.empty((columns.shape[0], min(columns.shape)), order="F")
    for i, column in enumerate(columns.T):
        if len(kept) == space.shape[1]:  # they span everything
            break
        basis = space[:, : len(kept)]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > 1e-8 * max(float(np.linalg.norm(column)), 1.0):
            space[:, len(kept)] = rest / np.linalg.norm(rest)
            kept.append(i)
    return kept


def _scale_fit(
    lots: _Lots, *, back: bool = False, total: bool = False, covariance: Any = "hc3", without: Sequence[str] = ()
) -> Fit:
    """ln C on ln Q and the controls, ln Q first and the intercept last; ``back``: ln Q on ln C."""
    held = [i for i, name in enumerate(lots.names) if name not in without]
    y, x = (lots.ln_q, lots.ln_c) if back else (lots.ln_total if total else lots.ln_c, lots.ln_q)
    names = ["ln_c" if back else "ln_q", *[lots.names[i] for i in held]]
    try:
        fit = ols(y, np.column_stack([x, lots.controls[:, held]]), names=names, covariance=covariance, clusters=lots.cluster)
    except RegressionError as error:
        raise _Unavailable(str(error)) from error
    return _rotated(fit)


def _scale_estimates(frame: pl.DataFrame, outcome: str, level: float) -> Iterator[Estimate]:
    variants: tuple[tuple[str, dict[str, Any]], ...] = (
        ("S1", {}),
        ("S1_reverse", {"back": True}),
        ("S1_cluster", {"covariance": "crv3"}),
        ("S1_no_learning", {"without": ("ln_n",)}),
        ("S1_total", {"total": True}),
    )
    try:
        lots = _lots(frame, outcome)
    except _Unavailable as error:
        yield from (Estimate("C2", outcome, name, "ln_q", "unavailable", str(error)) for name, _ in variants)
        return
    for name, options in variants:
        try:
            fit = _scale_fit(lots, **options)
        except _Unavailable as error:
            yield Estimate("C2", outcome, name, "ln_q", "unavailable", str(error))
            continue
        clusters = fit.clusters if name == "S1_cluster" else None
        if name != "S1_reverse":
            yield from (replace(row, clusters=clusters) for row in _described("C2", outcome, name, fit, level, 1.0, None))
            continue
        inverse, se = float(fit.coefficients[0]), float(fit.se[0])
        low, high = fit.interval("ln_c", level)
        if inverse <= 0:
            yield Estimate("C2", outcome, name, "ln_q", "unavailable", "total cost does not rise with volume")
            continue
        ends = (1 / high, 1 / low if low > 0 else None)
        yield Estimate(
            claim="C2",
            outcome=outcome,
            specification=name,
            term="ln_q",
            reason=None if low > 0 else "unbounded above",
            coefficient=1 / inverse,
            se=se / inverse**2,
            df=fit.df,
            ci_low=ends[0],
            ci_high=ends[1],
            rate=saving(1 / inverse - 1),
            rate_ci_low=saving(ends[1] - 1) if ends[1] is not None else None,
            rate_ci_high=saving(ends[0] - 1),
            ci_level=level,
            n=fit.n,
            variant="1 / slope of the reverse regression, hc3",
        )


# -- the rule -----------------------------------------------------------------------------------------------------------------


def decide(rate: float, low: float, high: float, delta: float) -> str:
    """The bare rule: ``supported``, ``immaterial``, ``contradicted`` or ``inconclusive`` from a saving per doubling and its interval."""
    if low > 0 and rate >= delta:
        return "supported"
    if high < delta:
        return "immaterial" if low > 0 else "contradicted"
    return "inconclusive"


def _robust(verdict: str, found: dict[str, _Finding], names: Sequence[str], at_least: int, delta: float, level: float) -> bool:
    """Whether the specifications bear the verdict; one that cannot be estimated bears nothing."""
    savings = [found[name].savings(level) for name in names if name in found]
    if verdict == "supported":
        return (
            len(savings) == len(names)
            and all(r > 0 for r, _, _ in savings)
            and sum(r >= delta for r, _, _ in savings) >= at_least
        )
    if verdict == "contradicted":
        return sum(high < delta for _, _, high in savings) >= at_least
    return True


def _share(top: float | None, bottom: float | None) -> float | None:
    return None if top is None or not bottom or bottom <= 0 else float(top) / float(bottom)


#: The columns that ``_common_gates`` reads.
_GATED = frozenset(
    {
        "allocation_direct_share",
        "cluster",
        "cost_variable_eur",
        "difficulty",
        "difficulty_recorded_on",
        "is_invoiced",
        "price_mechanism",
        "started_on",
        "wave_started_on",
    }
)


def _common_gates(frame: pl.DataFrame) -> dict[str, float | None]:
    """Gates that are measured on the accepted connections, for both claims and outcomes."""
    has = set(frame.columns)
    accepted = frame.lazy().filter("_accepted").select(has & _GATED).collect()
    invoiced = accepted.filter(pl.col("is_invoiced").fill_null(False)) if "is_invoiced" in has else accepted
    values: dict[str, float | None] = dict.fromkeys(("invoiced_share", "price_actual_share", "direct_share", "difficulty_share"))
    if not accepted.height:
        return values
    if "is_invoiced" in has:
        values["invoiced_share"] = invoiced.height / accepted.height
    if "cost_variable_eur" in has:
        cost = pl.col("cost_variable_eur").cast(pl.Float64).fill_null(0).clip(0)
        total = invoiced.select(cost.sum()).item()
        if "price_mechanism" in has:
            values["price_actual_share"] = _share(
                invoiced.filter(pl.col("price_mechanism") == "actual").select(cost.sum()).item(), total
            )
        if "allocation_direct_share" in has:
            share = pl.col("allocation_direct_share").cast(pl.Float64).fill_null(0)
            values["direct_share"] = _share(invoiced.select((cost * share).sum()).item(), total)
    if {"difficulty", "difficulty_recorded_on"} <= has:
        # without a cluster there is no wave whose beginning it could precede
        begin: pl.Expr = pl.when(pl.col("cluster").is_not_null()).then(pl.col("started_on").min().over("cluster"))
        begin = pl.coalesce("wave_started_on", begin) if "wave_started_on" in has else begin
        before = pl.col("difficulty").is_not_null() & (pl.col("difficulty_recorded_on") < begin)
        values["difficulty_share"] = accepted.select(before.fill_null(False).mean()).item()
    return values


def _learning_gates(pool: _Pool) -> dict[str, float | None]:
    specification = _SPECIFICATIONS[0]
    try:
        rows, _, x, _ = _rows(pool, specification)
    except _Unavailable:
        return {"clusters": 0.0, "connections": 0.0}
    heaviest = float(_leverage(pool, specification, rows, x).max())
    return {
        "clusters": float(np.unique(pool.cluster[rows]).size),
        "connections": float(rows.sum()),
        "span_doublings": _span(pool, rows),
        "leverage_share": heaviest if np.isfinite(heaviest) else None,
        "complete_share": _share(float(rows.sum()), float(pool.cohort.sum())),
    }


def _span(pool: _Pool, rows: np.ndarray) -> float | None:
    """Doublings of N within service × Land, without pilots: the median over the connections."""
    kept = pl.DataFrame({"effect": pool.effect, "n": pool.x["ln_n"]}).filter(pl.Series(rows & ~pool.pilot))
    cells = kept.group_by("effect").agg(span=(pl.col("n").max() - pl.col("n").min()) / np.log(2), weight=pl.len()).sort("span")
    if cells.is_empty():
        return None
    reached = cells["weight"].cum_sum().to_numpy() >= cells["weight"].sum() / 2
    return float(cells["span"].to_numpy()[int(np.argmax(reached))])


def _number(value: float | None, name: str, german: bool) -> str:
    if value is None:
        return "unbekannt" if german else "unknown"
    if name.endswith("_share") or name == "reverse_bound":
        text = f"{100 * value:.1f} %"
    else:
        text = f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
    return text.replace(".", ",") if german else text


def _gate_result(name: str, gate: Gate, value: float | None, preliminary: str) -> GateResult:
    is_idle = gate.blocks == "supported" and preliminary != "supported"
    german, english = GATE_WORDS[name]
    side = ("mindestens", "at least") if gate.at_least is not None else ("höchstens", "at most")
    only = (" (nur für „gestützt“ nötig)", " (needed for supported only)") if gate.blocks == "supported" else ("", "")
    return GateResult(
        gate=name,
        value=value,
        threshold=gate.threshold,
        passed=is_idle or gate.passes(value),
        words_de=f"{german}: {_number(value, name, True)}, nötig {side[0]} {_number(gate.threshold, name, True)}{only[0]}",
        words_en=f"{english}: {_number(value, name, False)}, needed {side[1]} {_number(gate.threshold, name, False)}{only[1]}",
    )


def _learning_power(
    found: dict[str, _Finding], other: _Finding | None, rule: Preregistration, outcome: str, level: float
) -> list[float | None]:
    """Probability that the complete rule says supported at each of the rule's savings, given the gates (see the module's docstring)."""
    main = found.get("S2")
    if main is None:
        return [None] * len(rule.power.savings)
    robust = rule.robustness[outcome]  # type: ignore[index]
    if any(name not in found for name in robust.specifications):
        return [0.0] * len(rule.power.savings)
    consulted = [main, *[found[name] for name in robust.specifications], *([other] if other is not None else [])]
    away = np.column_stack([finding.away for finding in consulted])
    size = main.clusters or 0
    rng = np.random.default_rng(rule.power.seed)
    draws = rng.standard_normal((rule.power.draws, away.shape[0])) @ away * np.sqrt((size - 1) / size)
    draws /= np.sqrt(rng.chisquare(main.df, rule.power.draws) / main.df)[:, None]
    enough = np.log2(1 - rule.delta_per_doubling)
    powers: list[float | None] = []
    for rate in rule.power.savings:
        slopes = np.log2(1 - rate) * np.array([finding.factor for finding in consulted]) + draws
        checks = slopes[:, 1 : 1 + len(robust.specifications)]
        holds = (slopes[:, 0] + main.half(level) < 0) & (slopes[:, 0] <= enough)
        holds &= (checks < 0).all(axis=1) & ((checks <= enough).sum(axis=1) >= robust.at_least)
        if other is not None:
            holds &= slopes[:, -1] - other.half(level) <= enough
        powers.append(float(holds.mean()))
    return powers


def _scale_power(fit: Fit, back: Fit | None, rule: Preregistration, level: float, half: float) -> list[float | None]:
    """As ``_learning_power`` for C2: the wider interval's half and the bound, whose distance from the direct slope is taken as measured."""
    slope = float(fit.coefficients[0])
    t = float(stats.t.ppf(0.5 + level / 2, fit.df))
    se = half / t
    if back is None or back.coefficients[0] - t * back.se[0] <= 0:
        return [0.0] * len(rule.power.savings)
    upper = 1 / float(back.coefficients[0] - t * back.se[0])
    highest = min(1 - half, 1 + np.log2(1 - rule.delta_per_doubling), 1 - (upper - slope))
    return [float(stats.t.cdf((highest - 1 - np.log2(1 - rate)) / se, fit.df)) for rate in rule.power.savings]


@dataclass(frozen=True)
class _Preliminary:
    """What the numbers say of one claim and outcome before gates of the other outcome and labels."""

    verdict: str
    gates: tuple[GateResult, ...]
    labels: tuple[str, ...]
    values: dict[str, Any]


def _judge_learning(
    pool: _Pool | None, found: dict[str, _Finding], other: _Finding | None, rule: Preregistration, common: dict[str, float | None],
    outcome: str, level: float,
) -> _Preliminary:  # fmt: skip
    values = common | (_learning_gates(pool) if pool is not None else {"clusters": 0.0, "connections": 0.0})
    main = found.get("S2")
    delta = rule.delta_per_doubling
    verdict, labels = "inconclusive", list[str]()
    shown: dict[str, Any] = {}
    if main is None:
        labels.append("no estimate")
    else:
        rate, low, high = main.savings(level)
        verdict = decide(rate, low, high, delta)
        if verdict == "contradicted" and high < 0:
            labels.append("cost rising")
        robust = rule.robustness[outcome]  # type: ignore[index]
        if not _robust(verdict, found, robust.specifications, robust.at_least, delta, level):
            verdict = "inconclusive"
            labels.append("not robust")
        powers = _learning_power(found, other, rule, outcome, level)
        shown = {
            "estimate": rate,
            "se": main.se,
            "df": main.df,
            "ci_low": low,
            "ci_high": high,
            "n": main.n,
            "clusters": main.clusters,
            **dict(zip(("power_05", "power_10", "power_20"), powers, strict=True)),
        }
    return _gated("C1", outcome, rule, values, verdict, labels, shown)


def _judge_scale(
    frame: pl.DataFrame, rule: Preregistration, common: dict[str, float | None], outcome: str, level: float
) -> _Preliminary:
    values = dict(common)
    delta = rule.delta_per_doubling
    verdict, labels = "inconclusive", list[str]()
    shown: dict[str, Any] = {}
    try:
        lots = _lots(frame, outcome)
        values |= {
            "lots": float(lots.ln_q.size),
            "laender": float(lots.laender),
            "complete_share": _share(float(lots.connections), float(frame["_accepted"].sum())),
        }
        fit = _scale_fit(lots)
    except _Unavailable:
        return _gated("C2", outcome, rule, values, verdict, ["no estimate"], shown)
    low, high = fit.interval("ln_q", level)
    slope = float(fit.coefficients[0])
    rate, rate_low, rate_high = saving(slope - 1), saving(high - 1), saving(low - 1)
    verdict = decide(rate, rate_low, rate_high, delta)
    if verdict == "contradicted" and rate_high < 0:
        labels.append("cost rising")
    half = (high - low) / 2
    try:
        clustered = _scale_fit(lots, covariance="crv3").interval("ln_q", level)
        wide = (clustered[1] - clustered[0]) / 2
    except _Unavailable:
        wide = float("nan")
    if decide(rate, saving(slope + wide - 1), saving(slope - wide - 1), delta) != verdict:
        verdict = "inconclusive"
        labels.append("not robust")
    back = None
    try:
        back = _scale_fit(lots, back=True)
        inverse_low, _ = back.interval("ln_c", level)
        if inverse_low > 0:
            values["reverse_bound"] = saving(1 / inverse_low - 1)
    except _Unavailable:
        pass
    powers = _scale_power(fit, back, rule, level, half if not np.isfinite(wide) else max(half, wide))
    shown = {
        "estimate": rate,
        "se": float(fit.se[0]),
        "df": fit.df,
        "ci_low": rate_low,
        "ci_high": rate_high,
        "n": fit.n,
        "clusters": None,
        **dict(zip(("power_05", "power_10", "power_20"), powers, strict=True)),
    }
    return _gated("C2", outcome, rule, values, verdict, labels, shown)


def _gated(
    claim: str, outcome: str, rule: Preregistration, values: dict[str, float | None], verdict: str, labels: Iterable[str],
    shown: dict[str, Any],
) -> _Preliminary:  # fmt: skip
    gates = tuple(
        _gate_result(name, gate, values.get(name), verdict)
        for name, gate in rule.gates.items()
        if claim in gate.claims and outcome in gate.outcomes
    )
    said = list(labels)
    if not all(gate.passed for gate in gates):
        verdict = "inconclusive"
        if any(gate.gate == "price_actual_share" and not gate.passed for gate in gates):
            said.append("tests the tender")
    return _Preliminary(verdict, gates, tuple(said), shown)


def _invoiced_share(observations: pl.DataFrame, look: Look) -> float | None:
    return _common_gates(cohort(observations, look))["invoiced_share"]


def due_look(observations: pl.DataFrame, rule: Preregistration, as_of: date) -> Look | None:
    """The latest look whose day has come and whose cohort is invoiced; where the table does not tell what is invoiced, the day decides."""
    for look in reversed(rule.looks):
        if look.look_on <= as_of:
            share = _invoiced_share(observations, look)
            if share is None or share >= rule.look_invoiced_share_min:
                return look
    return None


def estimate(observations: pl.DataFrame, rule: Preregistration, look: Look | None = None) -> list[Estimate]:
    """Every specification of both claims and outcomes, available or not.

    ``observations``: columns of ``OBSERVATION_SCHEMA``, those of ``CORE`` at least; what a specification needs and the table lacks makes it
    ``unavailable``. ``look`` None: everything that is accepted, at the descriptive interval level.
    """
    level = look.ci_level if look is not None else rule.descriptive_ci_level
    frame = cohort(observations, look)
    rows: list[Estimate] = []
    for outcome in _OUTCOMES:
        try:
            pool = _pool(frame, outcome, rule)
        except _Unavailable as error:
            rows += [
                Estimate("C1", outcome, s.name, s.x[0], "unavailable", str(error))
                for s in (*_SPECIFICATIONS, *(_Specification(name) for name in ("S4", "S5", "S10")))
                if outcome in s.outcomes
            ]
            rows.append(Estimate("C0", outcome, "S0", "wave", "unavailable", str(error)))
        else:
            rows += [*_means(frame, pool, rule, level), *_learning_estimates(pool, level)]
        rows += _scale_estimates(frame, outcome, level)
    rows += _degression(frame)
    return [_finite(row) for row in rows]


def judge(
    observations: pl.DataFrame,
    rule: Preregistration,
    *,
    as_of: date,
    first_cost_on: date | None,
    look: Look | None = None,
) -> list[Verdict]:
    """C1 cost, C1 person_days, C2 cost, C2 person_days, in this order; the programme's verdict is the first.

    ``as_of``: the day whose knowledge ``observations`` is. ``first_cost_on``: day of the first cost booked, held against ``signed_on``.
    ``look`` None: the latest that is due; given: that one, not due before its day. A verdict that is not due still carries the estimate of
    everything accepted so far, labelled descriptive, at the level of the coming look.
    """
    due = look if look is not None and look.look_on <= as_of else due_look(observations, rule, as_of) if look is None else None
    if due is not None and look is not None:
        share = _invoiced_share(observations, due)
        due = due if share is None or share >= rule.look_invoiced_share_min else None
    waits = [one for one in (rule.looks if look is None else (look,)) if one.look_on <= as_of]
    coming = [one for one in (rule.looks if look is None else (look,)) if one.look_on > as_of]
    shown = due or (waits[-1] if waits else coming[0])
    level = shown.ci_level
    frame = cohort(observations, due)
    common = _common_gates(frame)

    def of_learning(outcome: str, other: _Finding | None) -> tuple[_Preliminary, _Finding | None]:
        try:
            pool = _pool(frame, outcome, rule)
        except _Unavailable:
            return _judge_learning(None, {}, other, rule, common, outcome, level), None
        found = _learning(pool, rule)
        return _judge_learning(pool, found, other, rule, common, outcome, level), found.get("S2")

    # one after the other: the arrays of both need not be there at a time
    days, of_days = of_learning("person_days", None)
    cost, _ = of_learning("cost", of_days)
    if cost.verdict == "supported" and days.verdict == "contradicted":
        cost = replace(cost, verdict="inconclusive", labels=(*cost.labels, "person-days contradict"))
    results = {
        ("C1", "cost"): cost,
        ("C1", "person_days"): days,
        ("C2", "cost"): _judge_scale(frame, rule, common, "cost", level),
        ("C2", "person_days"): _judge_scale(frame, rule, common, "person_days", level),
    }
    general: list[str] = []
    if due is None:
        general += ["descriptive", *(["waits for invoices"] if waits else [])]
    if rule.signed_on is None:
        general.append("rule not signed")
    elif first_cost_on is not None and rule.signed_on > first_cost_on:
        general.append("rule fixed after data began")
    verdicts = []
    for (claim, outcome), result in results.items():
        labels = [*general, *result.labels]
        if outcome == "cost" and _is_not_deflated(frame):
            labels.append("prices not deflated")
        failed = [gate.words_en for gate in result.gates if not gate.passed]
        verdicts.append(
            Verdict(
                claim=claim,
                outcome=outcome,
                verdict="not_due" if due is None else result.verdict,
                label="; ".join(labels) or None,
                look_on=shown.look_on,
                signed_on=rule.signed_on,
                frozen_on=due.accepted_by if due is not None else None,
                delta=rule.delta_per_doubling,
                gates_failed="; ".join(failed) or None,
                prereg_sha256=rule.sha256,
                gates=result.gates,
                **{name: _known(result.values.get(name)) for name in _SHOWN},
            )
        )
    return verdicts


_SHOWN = ("estimate", "se", "df", "ci_low", "ci_high", "n", "clusters", "power_05", "power_10", "power_20")


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _is_not_deflated(frame: pl.DataFrame) -> bool:
    """Whether real and nominal cost are the same throughout: then no price index has been applied."""
    if not {"cost_variable_eur", "cost_variable_nominal_eur"} <= set(frame.columns):
        return False
    both = frame.select((pl.col("cost_variable_eur") - pl.col("cost_variable_nominal_eur")).abs().max()).item()
    return both is not None and both < 0.005


# -- tables from outside ------------------------------------------------------------------------------------------------------

_TRUE, _FALSE = ("true", "ja", "yes", "1", "wahr"), ("false", "nein", "no", "0", "falsch")


def check(observations: pl.DataFrame) -> pl.DataFrame:
    """A user's table in the types of ``OBSERVATION_SCHEMA``; columns that it lacks stay away, columns that are not known are dropped.

    ``cluster`` is made of ``contractor`` and ``wave`` where it is missing, the days of the waves of their first starts. Raises
    :class:`ScaleError`: a core column is missing, a value cannot be read, a connection stands there twice, an acceptance lies before
    its start, an accepted connection has a cost or effort that is not positive, or there are fewer than two clusters.
    """
    if "cluster" not in observations.columns and {"contractor", "wave"} <= set(observations.columns):
        observations = observations.with_columns(
            cluster=pl.concat_str(pl.col("contractor", "wave").cast(pl.String), separator=" × ")
        )
    lacking = [name for name in CORE if name not in observations.columns]
    if lacking or not set(_COLUMN.values()) & set(observations.columns):
        missing = lacking or ["cost_variable_eur or person_days"]
        raise ScaleError(
            f"The table lacks {', '.join(missing)}: these columns are needed; their names and units are those of scale_observation.",
            f"Der Tabelle fehlt {', '.join(missing)}: Diese Spalten sind nötig; Namen und Einheiten wie in scale_observation.",
        )
    known = observations.select(
        [_read(observations[name], dtype) for name, dtype in OBSERVATION_SCHEMA.items() if name in observations.columns]
    )
    for name in ("service_id", "land_code", "started_on"):
        _refuse(known, pl.col(name).is_null(), f"have no {name}", f"haben kein {name}")
    if known.is_empty():
        raise ScaleError("The table has no rows.", "Die Tabelle hat keine Zeilen.")
    if "authority_id" in known.columns:
        twice = pl.struct("authority_id", "service_id").is_duplicated() & pl.col("authority_id").is_not_null()
        _refuse(
            known,
            twice,
            "name an authority × service that stands there twice",
            "nennen eine Behörde × Leistung, die doppelt vorkommt",
        )
    accepted = pl.col("accepted_on").is_not_null()
    _refuse(
        known,
        accepted & (pl.col("accepted_on") < pl.col("started_on")),
        "are accepted before they begin",
        "sind vor ihrem Beginn abgenommen",
    )
    _refuse(known, pl.col("cumulative_connections") < 0, "have a negative N", "haben ein negatives N")
    invoiced = pl.col("is_invoiced").fill_null(False) if "is_invoiced" in known.columns else pl.lit(True)
    for name in _COLUMN.values():
        if name in known.columns:
            bad = accepted & (pl.col(name) <= 0) & (invoiced if name == "cost_variable_eur" else pl.lit(True))
            _refuse(known, bad, f"have a {name} that is not positive", f"haben ein {name}, das nicht positiv ist")
    clusters = known.filter(accepted)["cluster"].drop_nulls().n_unique()
    if clusters < 2:
        raise ScaleError(
            f"The accepted connections form {clusters} cluster(s) (contractor × wave): at least two are needed to estimate anything.",
            f"Die abgenommenen Anbindungen bilden {clusters} Cluster (Auftragnehmer × Welle): Für eine Schätzung sind mindestens zwei nötig.",
        )
    return known


def _refuse(frame: pl.DataFrame, bad: pl.Expr, english: str, german: str) -> None:
    found = frame.with_row_index("_row", offset=1).filter(bad)
    if not found.is_empty():
        row, count = found["_row"][0], found.height
        raise ScaleError(
            f"{count} rows {english} (the first is row {row}): correct or remove them.",
            f"{count} Zeilen {german} (zuerst Zeile {row}): Bitte berichtigen oder entfernen.",
        )


def _read(values: pl.Series, dtype: Any) -> pl.Series:
    """The column in its type; text is read as dates (ISO or German), numbers with a decimal point, and yes or no in either language."""
    name = values.name
    text = pl.col(name)
    if values.dtype == pl.String:
        values = values.str.strip_chars().replace("", None)
    if values.dtype == dtype or values.dtype == pl.Null:
        read = text.cast(dtype)
    elif dtype == pl.Date and values.dtype == pl.String:
        read = pl.coalesce(text.str.to_date("%Y-%m-%d", strict=False), text.str.to_date("%d.%m.%Y", strict=False))
    elif dtype == pl.Boolean and values.dtype == pl.String:
        lower = text.str.to_lowercase()
        read = pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False)
    elif dtype == pl.Int64 and not values.dtype.is_integer():
        number = text.cast(pl.Float64, strict=False)
        read = pl.when(number == number.round()).then(number).cast(pl.Int64, strict=False)
    else:
        read = text.cast(dtype, strict=False)
    result = values.to_frame().select(read.alias(name)).to_series()
    bad = (result.is_null() & values.is_not_null()).arg_true()
    if len(bad):
        row = int(bad[0])
        kind = {pl.Date: ("a date", "ein Datum"), pl.Boolean: ("yes or no", "ja oder nein")}.get(dtype, ("a number", "eine Zahl"))
        raise ScaleError(
            f"Column {name}, row {row + 1}: {values[row]!r} is not {kind[0]}. Write dates as 2026-01-31 and numbers with a decimal point.",
            f"Spalte {name}, Zeile {row + 1}: {values[row]!r} ist nicht {kind[1]}. Daten als 2026-01-31 und Zahlen mit Dezimalpunkt schreiben.",
        )
    return result.rename(name)


def estimates_frame(estimates: Sequence[Estimate]) -> pl.DataFrame:
    """One row per estimate, columns of ``ESTIMATE_SCHEMA``."""
    return pl.DataFrame([{name: getattr(row, name) for name in ESTIMATE_SCHEMA} for row in estimates], schema=ESTIMATE_SCHEMA)


def verdicts_frame(verdicts: Sequence[Verdict]) -> pl.DataFrame:
    """One row per verdict, columns of ``VERDICT_SCHEMA``."""
    return pl.DataFrame([{name: getattr(row, name) for name in VERDICT_SCHEMA} for row in verdicts], schema=VERDICT_SCHEMA)
