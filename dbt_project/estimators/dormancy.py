"""What a connection's peers would lead one to expect: the mean and the dispersion of its online submissions.

Belongs here: estimating both from the other connections of the same service. Does not: windows, the probability of a zero, the
false discovery rate and the answer (SQL: ``int_dormancy_month``, ``dormant_connection``).

Method. A count is negative binomial (NB2): mean mu, variance mu + alpha·mu². mu is the exposure (inhabitants × reported days) times
the rate of the peers in the same Land, service and calendar month, which carries the season, times a factor of the service for the
months since the go-live, added up over the window's months; rates and factors are fitted in turn to the margins (as in a Poisson
regression with both effects), and a connection is no peer of its own in its rate. alpha is the maximum-likelihood estimate of a service over its connections' windows that hold a
submission (the zero-truncated likelihood: the zeros are what is judged, and dead ones among them would pass for dispersion), taken
at the upper end of its one-sided 95 % profile-likelihood interval, so that few peers make no bold claim. Dead connections
among the peers lower mu, which errs towards silence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import gammaln  # type: ignore[import-untyped]

#: With fewer peers in a Land, service and month, or a service and window, nothing is expected.
PEERS_MIN = 10
#: Use grows for about this many months after the go-live; older connections are one class.
RAMP_MONTHS = 12
_FITTING_ROUNDS = 50
#: Drop of the log-likelihood at the upper end of a one-sided 95 % interval: half the 90 % quantile of chi² with one degree of freedom.
_DROP = 2.705543 / 2
#: Below the first value a count is Poisson for every purpose here.
_ALPHA = np.geomspace(1e-6, 1e3, 400)

INPUT_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "authority_id": pl.String,
    "service_id": pl.String,
    "month": pl.Date,
    "months_live": pl.Int64,
    "window_number": pl.Int32,
    "inhabitant_days": pl.Float64,
    "submitted_online": pl.Int64,
}

OUTPUT_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "authority_id": pl.String,
    "service_id": pl.String,
    "window_number": pl.Int32,
    "mu": pl.Float64,
    "alpha_estimate": pl.Float64,
    "alpha": pl.Float64,
}


def dispersion(counts: npt.NDArray[Any], mu: npt.NDArray[Any]) -> tuple[float, float]:
    """The NB2 dispersion of ``counts`` (> 0) with known means ``mu`` (> 0): its estimate and its one-sided upper 95 % limit.

    Maximum likelihood given that no count is 0. Both lie on a grid of 400 values from 1e-6 (Poisson) to 1e3, 5 % apart; the limit is the first beyond the interval.
    """
    size = 1 / _ALPHA[:, None]
    log_zero = -size * np.log1p(mu / size)
    log_count = gammaln(counts + size) - gammaln(size) + counts * (np.log(mu) - np.log(mu + size)) + log_zero
    loglik = (log_count - np.log(-np.expm1(log_zero))).sum(axis=1)
    best = int(loglik.argmax())
    inside = np.flatnonzero(loglik >= loglik[best] - _DROP)
    return float(_ALPHA[best]), float(_ALPHA[min(inside[-1] + 1, _ALPHA.size - 1)])


def _codes(rows: pl.DataFrame, *columns: str) -> npt.NDArray[np.int64]:
    """A number from 0 for each combination of values."""
    return rows.select(pl.struct(columns).rank("dense") - 1).to_series().to_numpy().astype(np.int64)


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _expected(rows: pl.DataFrame) -> npt.NDArray[Any]:
    """Submissions that the peers lead one to expect of each reported connection × month; NaN with too few of them."""
    cell = _codes(rows, "land_code", "service_id", "month")
    age = _codes(rows.with_columns(pl.col("months_live").clip(0, RAMP_MONTHS)), "service_id", "months_live")
    counts, exposure = rows["submitted_online"].to_numpy(), rows["inhabitant_days"].to_numpy()
    in_cell = np.bincount(cell, counts)
    factor = np.ones(age.max() + 1)
    for _ in range(_FITTING_ROUNDS):
        rate = _ratio(in_cell, np.bincount(cell, exposure * factor[age]))
        factor = _ratio(np.bincount(age, counts), np.bincount(age, exposure * rate[cell]))
    weight = exposure * factor[age]
    rate_of_peers = _ratio(in_cell[cell] - counts, np.bincount(cell, weight)[cell] - weight)
    return np.where(np.bincount(cell)[cell] > PEERS_MIN, weight * rate_of_peers, np.nan)


def expect(months: pl.DataFrame) -> pl.DataFrame:
    """The expectation of every connection × window.

    ``months``: columns of ``INPUT_SCHEMA``, one row per connection and month; ``months_live``: calendar months since the go-live;
    ``inhabitant_days``: inhabitants × reported days, 0 where nothing is reported; ``window_number`` is NULL outside the windows,
    where a month still tells its peers the rate. Returns one row per connection × window with ``OUTPUT_SCHEMA``: ``mu``
    (submissions), ``alpha`` the upper limit that is used and ``alpha_estimate``; NULL with ``PEERS_MIN`` peers or fewer.
    """
    reported = months.filter(pl.col("submitted_online").is_not_null() & (pl.col("inhabitant_days") > 0))
    if reported.is_empty():
        return pl.DataFrame(schema=OUTPUT_SCHEMA)
    windows = (
        reported.with_columns(mu=pl.Series(_expected(reported), nan_to_null=True))
        .filter(pl.col("window_number").is_not_null())
        .group_by("land_code", "authority_id", "service_id", "window_number")
        .agg(pl.col("submitted_online").sum(), mu=pl.when(pl.col("mu").is_not_null().all()).then(pl.col("mu").sum()))
        .sort("service_id", "window_number", "land_code", "authority_id")
    )
    alphas = []
    used = windows.filter((pl.col("mu") > 0) & (pl.col("submitted_online") > 0))
    for (service, number), peers in used.group_by("service_id", "window_number", maintain_order=True):
        if peers.height > PEERS_MIN:
            estimate, upper = dispersion(peers["submitted_online"].to_numpy(), peers["mu"].to_numpy())
            alphas.append((service, number, estimate, upper))
    schema = {name: OUTPUT_SCHEMA[name] for name in ("service_id", "window_number", "alpha_estimate", "alpha")}
    return windows.join(pl.DataFrame(alphas, schema=schema, orient="row"), on=["service_id", "window_number"], how="left").select(
        pl.col(name).cast(kind) for name, kind in OUTPUT_SCHEMA.items()
    )
