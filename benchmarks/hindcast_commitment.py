"""Hindcast of "open at the target date": worlds with a known end, predicted from what was known 30, 60 and 90 days before it.

Belongs here: simulated roll-outs with the things that make deadlines hard to predict (waves that share a shock, work that starts
late, acceptances that heap up before the year's end, hard cases that are parked, connections that are suspended again), and how often
the 95 % interval of ``dbt_project.estimators.commitment`` holds the outcome. Does not: the estimator.

    python -m benchmarks.hindcast_commitment [--worlds 500] [--seed 1] [--processes N] [--keep]

Every world draws its own severity of each, so that the intervals are not made for one of them. Cells are Land × service with the real
numbers of competent authorities.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dbt_project.estimators.commitment import INPUT_SCHEMA, predict_open

TARGET = date(2026, 12, 31)
HORIZONS_DAYS = (30, 60, 90)
#: Competent authorities per Land and service: Bavaria and Hesse as they are.
CELLS = {"09": {"a": 1385, "b": 96, "c": 138, "d": 96, "e": 96}, "06": {"a": 421, "b": 27, "c": 33, "d": 33}}
_BEGIN = date(2026, 2, 16)
_NEVER = 10_000

RESULT = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "prediction.md"
MARKS = ("<!-- hindcast -->", "<!-- /hindcast -->")


def world(seed: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """One roll-out: per connection the days (from ``_BEGIN``) of its plan, start, acceptance, suspension and resumption."""
    rng = np.random.default_rng([seed, 2026])
    knobs = {
        "heaping": rng.uniform(0, 0.8),
        "heaping_days": rng.integers(10, 46),
        "parked_share": rng.uniform(0, 0.5),  # of the hard cases
        "wave_sd": rng.uniform(0.05, 0.2),
        "slip_days": rng.uniform(2, 15),
        "median_days": rng.uniform(35, 75),
        "suspended_share": rng.uniform(0, 0.05),
        "first_wave_days": rng.integers(30, 75),
    }
    land, service, wave = [], [], []
    waves = int(rng.integers(12, 19))
    for code, services in CELLS.items():
        for name, count in services.items():
            land += [code] * count
            service += [name] * count
            wave += list(rng.integers(0, waves, count))
    n = len(land)
    number = np.array(wave)
    codes = np.array(land)
    difficulty = rng.normal(size=n)
    last = (TARGET - _BEGIN).days - rng.integers(40, 110)  # the last wave is planned to start so many days before the target
    planned = knobs["first_wave_days"] + np.round(number * (last - knobs["first_wave_days"]) / max(waves - 1, 1)).astype(int)
    planned = planned + rng.integers(0, 15, n)
    started = planned + np.round(rng.exponential(knobs["slip_days"], n)).astype(int)
    shock = rng.normal(0, knobs["wave_sd"], (2, waves))[(codes == "06").astype(int), number]
    median = knobs["median_days"] * np.exp(0.3 * difficulty + shock)
    duration = np.ceil(rng.lognormal(np.log(median), 0.35)).astype(int)
    is_parked = (difficulty > 1.3) & (rng.random(n) < knobs["parked_share"])
    duration = np.where(is_parked, duration + rng.integers(150, 900, n), duration)
    accepted = started + duration
    end = (TARGET - _BEGIN).days
    heaps = (accepted > end) & (accepted <= end + knobs["heaping_days"]) & ~is_parked & (rng.random(n) < knobs["heaping"])
    accepted = np.where(heaps, end - rng.integers(0, 14, n), accepted)
    accepted = np.maximum(accepted, started + 1)
    suspended = np.where(rng.random(n) < knobs["suspended_share"], accepted + rng.integers(10, 150, n), _NEVER)
    resumed = np.where(rng.random(n) < 0.8, suspended + rng.integers(7, 60, n), _NEVER)
    columns = {
        "land_code": codes,
        "service_id": np.array(service),
        "wave": number,
        "planned": planned,
        "started": started,
        "accepted": accepted,
        "suspended": suspended,
        "resumed": np.where(suspended >= _NEVER, _NEVER, resumed),
    }
    return columns, {name: float(value) for name, value in knobs.items()}


def _is_open(columns: dict[str, np.ndarray], day: int) -> np.ndarray:
    return (columns["accepted"] > day) | ((columns["suspended"] <= day) & (columns["resumed"] > day))


def known_on(columns: dict[str, np.ndarray], as_of: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What a warehouse knows on a day: the estimator's two inputs."""
    day = (as_of - _BEGIN).days
    started, accepted = columns["started"] <= day, columns["accepted"] <= day
    suspended = accepted & (columns["suspended"] <= day)
    back = suspended & (columns["resumed"] <= day)
    state = np.select([suspended & ~back, accepted, started], ["suspended", "operational", "started"], "planned")

    def dates(values: np.ndarray, is_known: np.ndarray) -> pl.Series:
        days = pl.Series([_BEGIN + timedelta(days=int(v)) if k else None for v, k in zip(values, is_known, strict=True)])
        return days.cast(pl.Date)

    everything = np.ones(started.size, dtype=bool)
    frame = pl.DataFrame(
        {
            "land_code": columns["land_code"],
            "service_id": columns["service_id"],
            "authority_id": [f"a/{i}" for i in range(started.size)],
            "cluster": [f"{code} {wave}" for code, wave in zip(columns["land_code"], columns["wave"], strict=True)],
            "state": state,
            "planned_start_on": dates(columns["planned"], everything),
            "started_on": dates(columns["started"], started),
            "accepted_on": dates(columns["accepted"], accepted),
            "suspended_on": dates(columns["suspended"], suspended & ~back),
            "operational_days": np.where(accepted, np.minimum(day, columns["suspended"]) - columns["accepted"], 0).clip(0),
            "suspensions": suspended.astype(int),
            "target_on": [TARGET] * started.size,
            "is_experience": everything,
        },
        schema=INPUT_SCHEMA,
    )
    spells = pl.DataFrame(
        {
            "authority_id": [f"a/{i}" for i in np.flatnonzero(suspended)],
            "days": (np.minimum(columns["resumed"], day) - columns["suspended"])[suspended],
            "is_resumed": back[suspended],
        },
        schema={"authority_id": pl.String, "days": pl.Int64, "is_resumed": pl.Boolean},
    )
    return frame, spells


def hindcast(worlds: int, seed: int, processes: int = 1) -> pl.DataFrame:
    """One row per world, horizon, Land and service: the outcome, the interval, the number of authorities."""
    seeds = [seed * 100_000 + number for number in range(worlds)]
    if processes == 1:
        return pl.concat([one_world(each) for each in seeds])
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pl.concat(pool.map(one_world, seeds, chunksize=5))


def one_world(seed: int) -> pl.DataFrame:
    """The cells of one world at every horizon."""
    columns, knobs = world(seed)
    outcome = (
        pl.DataFrame({name: columns[name] for name in ("land_code", "service_id")})
        .with_columns(is_open=_is_open(columns, (TARGET - _BEGIN).days))
        .group_by("land_code", "service_id")
        .agg(open_count=pl.col("is_open").sum().cast(pl.Int64), authorities=pl.len())
    )
    found = []
    for horizon in HORIZONS_DAYS:
        as_of = TARGET - timedelta(days=horizon)
        frame, spells = known_on(columns, as_of)
        predicted = predict_open(frame, spells, as_of, draws=400)
        found.append(
            predicted.join(outcome, on=["land_code", "service_id"]).with_columns(
                pl.lit(horizon).alias("horizon_days"),
                pl.lit(seed).alias("world"),
                pl.lit(knobs["heaping"]).alias("heaping"),
                pl.lit(knobs["parked_share"]).alias("parked_share"),
            )
        )
    return pl.concat(found)


def summary(cells: pl.DataFrame) -> pl.DataFrame:
    """Coverage and mean width (in authorities and as a share of all) by horizon, over cells of 20 and more authorities."""
    known = cells.filter(pl.col("authorities") >= 20)
    held = pl.col("open_count").is_between("open_predicted_low_count", "open_predicted_high_count")
    width = pl.col("open_predicted_high_count") - pl.col("open_predicted_low_count")
    return (
        known.group_by("horizon_days")
        .agg(
            cells=pl.len(),
            predicted_share=pl.col("open_predicted_count").is_not_null().mean(),
            covered_share=held.mean(),
            above_share=(pl.col("open_count") > pl.col("open_predicted_high_count")).mean(),
            below_share=(pl.col("open_count") < pl.col("open_predicted_low_count")).mean(),
            mean_width_count=width.mean(),
            mean_width_share=(width / pl.col("authorities")).mean(),
            mean_error_share=((pl.col("open_predicted_count") - pl.col("open_count")) / pl.col("authorities")).mean(),
        )
        .sort("horizon_days")
    )


def summary_by_size(cells: pl.DataFrame) -> pl.DataFrame:
    """Coverage by number of authorities."""
    held = pl.col("open_count").is_between("open_predicted_low_count", "open_predicted_high_count")
    return cells.group_by("authorities", "horizon_days").agg(covered_share=held.mean()).sort("authorities", "horizon_days")


def page_rows(result: dict[str, Any]) -> str:
    """The result as the table of the documentation."""
    shown = (
        "horizon_days",
        "cells",
        "predicted_share",
        "covered_share",
        "below_share",
        "above_share",
        "mean_width_share",
        "mean_width_count",
    )
    heads = (
        "Days before the target",
        "Cells",
        "of them predicted",
        "interval holds the outcome",
        "outcome below it",
        "outcome above it",
        "mean width, share of the authorities",
        "mean width, authorities",
    )
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for row in result["rows"]:
        cells = [
            f"{row[name]:,}"
            if isinstance(row[name], int)
            else f"{row[name]:.1f}"
            if name.endswith("_count")
            else f"{row[name]:.1%}"
            for name in shown
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"{result['worlds']:,} worlds, seed {result['seed']}:", "", *lines])


def write_page(page: Path = PAGE, result: Path = RESULT) -> None:
    """Put the result's table between the two marks of the page."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(MARKS[0])
    _, _, tail = rest.partition(MARKS[1])
    table = page_rows(json.loads(result.read_text(encoding="utf-8")))
    page.write_text(f"{head}{MARKS[0]}\n{table}\n{MARKS[1]}{tail}", encoding="utf-8")


def main() -> None:
    """Run the hindcast, print its summary, and keep it for the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", action="store_true", help="write the result beside this file and into the documentation")
    arguments = parser.parse_args()
    cells = hindcast(arguments.worlds, arguments.seed, arguments.processes)
    table = summary(cells)
    with pl.Config(tbl_cols=-1, tbl_rows=-1, float_precision=3):
        print(table)
        print(cells.group_by("reason", "horizon_days").len().sort("horizon_days", "reason"))
        print(summary_by_size(cells))
    if arguments.keep:
        result = {"worlds": arguments.worlds, "seed": arguments.seed, "rows": table.to_dicts()}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        write_page()


if __name__ == "__main__":
    main()
