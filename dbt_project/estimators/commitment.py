"""How many authorities will still be open on the target date: a prediction of outcomes, not of a mean.

Belongs here: simulating every open connection to the target date from the experience so far. Does not: the state of the connections
and what is reported of them (SQL: ``int_connection_outlook``, ``commitment_status``), survival curves that are published (SQL:
``time_to_operational``).

Method. Time from the first ``integrating`` to the first ``operational`` is right-censored at the day of the forecast; its survival S is
estimated by Kaplan and Meier (1958), as is the time from the planned start to the start, and the time from a suspension to the
resumption. Each draw resamples the clusters (contractor × wave) that the estimates rest on, gives every cluster of open connections a
speed of its own, and then draws the outcome of every connection: a started one from S(. | its age), an unstarted one from
its planned start, an operational one may be suspended again. What no survival curve can know is drawn too and stated below: that a
deadline pulls acceptances forward, and that cases are parked. The interval is that of the draws (2.5 and 97.5 per cent).
"""

from __future__ import annotations

import functools
import math
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

DRAWS = 500
#: Up to this share of the open connections may need S beyond its last event; with more, nothing is predicted.
BEYOND_SHARE_MAX = 0.05
#: Fewer events than this say nothing about S.
EVENTS_MIN = 20
#: Acceptances due up to this many days after the target are pulled before it, each with a probability drawn from 0 to PULL_MAX.
PULL_DAYS = 31
PULL_MAX = 0.7
#: Share of the open connections that nobody works on any more, drawn from 0 to PARKED_MAX.
PARKED_MAX = 0.08
#: Standard deviation of ln(speed) that the connections of one cluster share.
SPEED_SD = 0.15
#: The programme lasts less than two years; longer times count as this.
_GRID_DAYS = 800

INPUT_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "service_id": pl.String,
    "authority_id": pl.String,
    "cluster": pl.String,
    "state": pl.String,
    "planned_start_on": pl.Date,
    "started_on": pl.Date,
    "accepted_on": pl.Date,
    "suspended_on": pl.Date,
    "operational_days": pl.Int64,
    "suspensions": pl.Int64,
    "target_on": pl.Date,
    "is_experience": pl.Boolean,
}

OUTPUT_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "service_id": pl.String,
    "open_predicted_count": pl.Float64,
    "open_predicted_low_count": pl.Int64,
    "open_predicted_high_count": pl.Int64,
    "area_wide_probability": pl.Float64,
    "reason": pl.String,
}


def predict_open(connections: pl.DataFrame, spells: pl.DataFrame, as_of: date, draws: int = DRAWS) -> pl.DataFrame:
    """Predict, per Land and service, how many competent authorities are not operational at the end of ``target_on``.

    ``connections``: one row per competent authority × service as of ``as_of``, columns of ``INPUT_SCHEMA``; ``state`` is
    ``operational``, ``started``, ``planned`` (a planned start is known), ``unplanned``, ``suspended`` or ``withdrawn``;
    ``operational_days`` and ``suspensions`` (count) are its history; ``is_experience``: it began within the programme.
    ``spells``: one row per suspension: ``days`` (Int64) until resumed, or until as_of where ``is_resumed`` is false.
    Returns one row per Land × service with ``OUTPUT_SCHEMA``; ``reason`` says why the numbers are NULL: ``no_target``,
    ``target_passed``, ``too_few_events``, ``no_plan`` (more than 5 % of the open connections have no planned start) or
    ``beyond_experience`` (more than 5 % need S beyond its last event).
    """
    experience = connections.filter(pl.col("is_experience") & pl.col("started_on").is_not_null())
    starts = connections.filter(
        (pl.col("is_experience") | (pl.col("state") == "planned")) & pl.col("planned_start_on").is_not_null()
    )
    strata = _by_stratum(experience, as_of)
    common = np.random.default_rng(zlib.crc32(f"{as_of}".encode()))
    wait = bootstrap_survival(_start_delays(starts, as_of), draws, common)
    resumed = bootstrap_survival(_spell_days(spells), draws, common)

    def predicted(found: tuple[tuple[object, ...], pl.DataFrame]) -> dict[str, Any]:
        (land, service), cell = found
        target = cell["target_on"][0]
        row: dict[str, Any] = {"land_code": land, "service_id": service}
        if target is None or target <= as_of:
            return row | {"reason": "no_target" if target is None else "target_passed"}
        seed = zlib.crc32(f"{land} {service} {as_of}".encode())
        outcome: dict[str, Any] = {"reason": "too_few_events"}
        for stratum in _strata(strata, str(land), str(service)):
            outcome = _predict_cell(cell, stratum, wait, resumed, as_of, target, np.random.default_rng(seed))
            if outcome["reason"] != "beyond_experience":
                break
        return row | outcome

    # every cell has a seed of its own, and what takes its time lets other threads work
    cells = sorted(connections.group_by(["land_code", "service_id"]), key=lambda pair: pair[0])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(predicted, cells))
    return pl.DataFrame(rows, schema=OUTPUT_SCHEMA)


@dataclass(frozen=True)
class _Experience:
    """What connections have shown so far. ``ended``, ``at_risk``: connections by cluster and day of their age."""

    ended: np.ndarray
    at_risk: np.ndarray
    last_event: int
    operational_days: float
    suspensions: float


def _by_stratum(experience: pl.DataFrame, as_of: date) -> Callable[[str | None, str | None], _Experience | None]:
    """What says what is known of (Land, service); None stands for all of them. None where it is too little."""
    parts: dict[tuple[str | None, str | None], pl.DataFrame] = {(None, None): experience}
    for columns in (["land_code", "service_id"], ["land_code"], ["service_id"]):
        for key, part in experience.partition_by(columns, as_dict=True).items():
            named = dict(zip(columns, map(str, key), strict=True))
            parts[named.get("land_code"), named.get("service_id")] = part

    @functools.lru_cache(maxsize=256)  # a Land's are asked for again and again, those of one service in one Land once
    def known(land: str | None, service: str | None) -> _Experience | None:
        part = parts.get((land, service))
        if part is None or part["accepted_on"].count() < EVENTS_MIN or part["cluster"].n_unique() < 2:
            return None
        durations = part.select(
            "cluster",
            days=(pl.coalesce("accepted_on", pl.lit(as_of)) - pl.col("started_on")).dt.total_days().clip(0, _GRID_DAYS - 1),
            is_event=pl.col("accepted_on").is_not_null(),
        )
        last_event = int(durations.filter("is_event")["days"].max() or 0)  # type: ignore[arg-type]
        days, suspensions = (float(part[column].sum() or 0) for column in ("operational_days", "suspensions"))
        return _Experience(*_ended_and_at_risk(durations), last_event, days, suspensions)

    return known


def _strata(known: Callable[[str | None, str | None], _Experience | None], land: str, service: str) -> Iterator[_Experience]:
    """Experience with enough events, the nearest first: the service in the Land, the Land, the service, everything."""
    for key in ((land, service), (land, None), (None, service), (None, None)):
        if (stratum := known(*key)) is not None:
            yield stratum


def _predict_cell(
    cell: pl.DataFrame,
    experience: _Experience,
    wait: np.ndarray,
    resumed: np.ndarray,
    as_of: date,
    target: date,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One cell; ``wait`` and ``resumed`` are survival curves (draws, days) of the time to the start and to the resumption."""
    horizon = (target - as_of).days
    draws = wait.shape[0]
    survival = _survival(experience.ended, experience.at_risk, draws, rng)
    last_event = experience.last_event

    started = cell.filter(pl.col("state") == "started")
    planned = cell.filter(pl.col("state") == "planned")
    unplanned = cell.filter(pl.col("state") == "unplanned").height
    suspended = cell.filter(pl.col("state") == "suspended")
    withdrawn = cell.filter(pl.col("state") == "withdrawn").height
    operational = cell.filter(pl.col("state") == "operational").height
    open_count = cell.height - operational
    if not open_count and not operational:
        return {"reason": "too_few_events"}
    if open_count and unplanned / open_count > BEYOND_SHARE_MAX:
        return {"reason": "no_plan"}
    age = (pl.lit(as_of) - pl.col("started_on")).dt.total_days()
    ages = started.select(age.clip(0)).to_series().to_numpy()
    # the part of the outcomes that lies where nobody has been: S beyond its last event, given the age reached
    curve = survival.mean(axis=0)
    tail = curve[min(last_event, _GRID_DAYS - 1)] / np.maximum(curve[np.minimum(ages, _GRID_DAYS - 1)], 1e-12)
    beyond = float(np.where(ages + horizon > last_event, np.minimum(tail, 1.0), 0.0).sum())
    if open_count and beyond / open_count > BEYOND_SHARE_MAX:
        return {"reason": "beyond_experience"}

    pull: np.ndarray = rng.uniform(0.0, PULL_MAX, size=(draws,))
    parked: np.ndarray = rng.uniform(0.0, PARKED_MAX, size=(draws,))
    total = np.full(draws, withdrawn + unplanned, dtype=np.int64)

    clusters = _codes(started["cluster"], planned["cluster"])
    speed = (
        np.exp(rng.normal(0, SPEED_SD, (draws, int(clusters.max(initial=0)) + 1)))[:, clusters]
        if clusters.size
        else np.ones((draws, 0))
    )
    begun = speed[:, : started.height]
    rest = _remaining(survival, ages, rng) / begun
    total += _open(rest, horizon, pull, parked, rng)

    if planned.height:
        since = (pl.lit(as_of) - pl.col("planned_start_on")).dt.total_days()
        waiting = planned.select(since).to_series().to_numpy()
        until_start = np.maximum(-waiting, 0) + _remaining(wait, np.maximum(waiting, 0), rng)
        lasting = _remaining(survival, np.zeros(planned.height, dtype=np.int64), rng) / speed[:, started.height :]
        total += _open(until_start + lasting, horizon, pull, parked, rng)

    # regressions: suspensions by their rate so far, resumptions by the length of suspensions so far
    days = experience.operational_days
    rate = (rng.gamma(experience.suspensions + 0.5, 1.0, draws) / max(days, 1)) if days else np.zeros(draws)
    still = rng.random((draws, operational)) < (1 - np.exp(-rate * horizon))[:, None]
    if operational and still.any():
        at = rng.integers(0, max(horizon, 1), (draws, operational))
        back = _remaining(resumed, np.zeros(operational, dtype=np.int64), rng)
        total += (still & (at + back > horizon)).sum(axis=1)
    if suspended.height:
        lapsed = (
            suspended.select((pl.lit(as_of) - pl.col("suspended_on")).dt.total_days().fill_null(0).clip(0)).to_series().to_numpy()
        )
        total += (_remaining(resumed, lapsed, rng) > horizon).sum(axis=1)

    low, high = np.quantile(total, [0.025, 0.975], method="inverted_cdf")
    # up to 5 % beyond experience: the draws leave them open, the lower end lets them close
    return {
        "open_predicted_count": float(total.mean()),
        "open_predicted_low_count": max(int(low) - math.ceil(beyond), 0),
        "open_predicted_high_count": int(high),
        "area_wide_probability": float((total == 0).mean()),
        "reason": None,
    }


def _codes(*columns: pl.Series) -> np.ndarray:
    return pl.concat(columns).fill_null("").rank("dense").fill_null(1).cast(pl.Int64).to_numpy() - 1


def _start_delays(starts: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """How long after its planned day work began (0 where earlier); still waiting ones are censored."""
    due = starts.filter((pl.col("planned_start_on") <= as_of) | pl.col("started_on").is_not_null())
    return due.select(
        "cluster",
        days=(pl.coalesce("started_on", pl.lit(as_of)) - pl.col("planned_start_on")).dt.total_days().clip(0, _GRID_DAYS - 1),
        is_event=pl.col("started_on").is_not_null(),
    )


def _spell_days(spells: pl.DataFrame) -> pl.DataFrame:
    return spells.select(
        cluster=pl.col("authority_id"), days=pl.col("days").clip(0, _GRID_DAYS - 1), is_event=pl.col("is_resumed")
    )


def bootstrap_survival(durations: pl.DataFrame, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Kaplan–Meier curves over resampled clusters: float array (draws, days), S after each day from 0.

    ``durations``: ``cluster``, ``days`` (0 ≤ days < 800), ``is_event``. Without any row S is 1 throughout: nothing ever ends.
    """
    if durations.is_empty():
        return np.ones((draws, _GRID_DAYS))
    return _survival(*_ended_and_at_risk(durations), draws, rng)


def _ended_and_at_risk(durations: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """How many of each cluster end on each day of their age and how many last until it: two float arrays (clusters, days)."""
    cluster = _codes(durations["cluster"])
    days = durations["days"].to_numpy()
    event = durations["is_event"].to_numpy()
    size = int(cluster.max()) + 1
    ended, left = np.zeros((size, _GRID_DAYS)), np.zeros((size, _GRID_DAYS))
    np.add.at(ended, (cluster[event], days[event]), 1)
    np.add.at(left, (cluster, days), 1)
    return ended, left[:, ::-1].cumsum(axis=1)[:, ::-1]


def _survival(ended: np.ndarray, at_risk: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Curves of resampled clusters, (draws, days)."""
    size = ended.shape[0]
    weights = rng.multinomial(size, np.full(size, 1 / size), draws).astype(float)
    hazard = np.divide(weights @ ended, np.maximum(weights @ at_risk, 1e-12))
    return np.cumprod(1 - np.clip(hazard, 0, 1), axis=1)


def _remaining(survival: np.ndarray, ages: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Days until the event for connections of these ages, (draws, connections); infinite where the curve never falls so far."""
    draws, days = survival.shape
    ages = np.minimum(ages, days - 1)
    # S(age + rest) < u S(age): the first day on which the falling curve is below the drawn level. The curves of all draws, each
    # lifted by 2 above the one before, are one rising array, so that one search serves all.
    level = rng.random((draws, ages.size)) * survival[:, ages]
    lift = 2.0 * np.arange(draws)[:, None]
    reached = np.searchsorted((lift + 1 - survival).ravel(), (lift + 1 - level).ravel(), side="right").reshape(level.shape)
    reached = (reached - np.arange(draws)[:, None] * days).astype(float)
    reached[reached >= days] = np.inf
    return np.maximum(reached - ages, 0)


def _open(rest: np.ndarray, horizon: int, pull: np.ndarray, parked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many are still open at the target, per draw: late ones, but for those that the deadline pulls, and the parked ones."""
    late = rest > horizon
    pulled = late & (rest <= horizon + PULL_DAYS) & (rng.random(rest.shape) < pull[:, None])
    stuck = rng.random(rest.shape) < parked[:, None]
    return ((late & ~pulled) | stuck).sum(axis=1)
