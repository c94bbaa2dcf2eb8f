"""How often the pre-registered test is right: its verdicts, intervals and forecasts in worlds whose truth is known.

Belongs here: the designs, running them through the project's own estimators, counting. Does not: the worlds (``scale_worlds.py``), the
estimators and the rule (``dbt_project``), rivals (``rival_estimators.py``), the words and pictures of the page (``method_page.py``).

    python -m benchmarks.operating_characteristics [--worlds 2000] [--seed 1] [--processes N] [--cells PATTERN]
    python -m benchmarks.operating_characteristics --page       # docs/method.md and its pictures from the kept result

A run may be interrupted: finished pieces are kept under ``var/operating_characteristics/<fingerprint of the code>`` and are not drawn
again. When all cells are complete the result is written beside this file. Every world has a seed of its own, so that neither the number of
processes nor the order changes a number.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import multiprocessing
import os
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from benchmarks import rival_estimators, scale_worlds
from dbt_project import preregistration
from dbt_project.estimators import cost_forecast, scale
from dbt_project.estimators.regression import crv3, saving

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")
WORK = ROOT / "var" / "operating_characteristics"
PIECE_WORLDS = 50
RIVAL_DRAWS = 499
#: The Land to come in the worlds of the forecast: when it joins and how many competent authorities it has.
NEXT_LAND, NEXT_LAND_JOINS = "13", date(2026, 9, 1)
NEXT_LAND_COUNTS = {"ummeldung": 400, "bauantrag": 60, "fuehrerschein": 50, "aufenthalt": 50, "waffen": 50}

#: What decides a piece's numbers; the code that only runs and counts does not.
_CODE = (
    "benchmarks/scale_worlds.py",
    "benchmarks/rival_estimators.py",
    "dbt_project/preregistration.yml",
    "dbt_project/estimators/regression.py",
    "dbt_project/estimators/scale.py",
    "dbt_project/estimators/cost_forecast.py",
)


@dataclass(frozen=True)
class Cell:
    """One truth in one design. ``world``: arguments of ``scale_worlds.observations``; ``kind``: ``verdict`` or ``forecast``.

    ``difficulty``: ``recorded``, or ``useless``: recorded in time, but of another authority, so that it controls for nothing.
    ``is_within_assumptions``: the worlds meet what the test assumes, and its promises are measured on them.
    """

    design: str
    learning_rate: float
    world: Mapping[str, Any] = field(default_factory=dict, hash=False)
    kind: str = "verdict"
    difficulty: str = "recorded"
    is_within_assumptions: bool = True

    @property
    def name(self) -> str:
        """Unique; also the name of the cell's pieces and the root of its seeds."""
        return f"{self.design}@{self.learning_rate:g}"

    @property
    def land_sd(self) -> float:
        """Standard deviation of the Länder's levels of ln(cost)."""
        return float(self.world.get("land_sd", 0.0))


_CALM = {"wave_sd": 0.10, "team_sd": 0.05}
_ROUGH = {"wave_sd": 0.15, "team_sd": 0.10}
_RATES = (0.0, 0.05, 0.10, 0.20)


def _cells() -> Iterator[Cell]:
    for clusters in (12, 24, 40):
        for words, shocks in (("calm", _CALM), ("rough", _ROUGH)):
            for rate in _RATES:
                yield Cell(f"{clusters} clusters, {words}", rate, {"clusters": clusters, **shocks})
    for rate in _RATES:
        yield Cell("24 clusters, small baseline", rate, {"clusters": 24, "baseline_share": 0.10, **_CALM})
    for rate in (0.0, 0.10):
        for words, correlation in (("easy", 0.5), ("hard", -0.5)):
            order = {"clusters": 24, "difficulty_order_correlation": correlation, **_CALM}
            yield Cell(f"{words} first", rate, order)
            yield Cell(f"{words} first, difficulty useless", rate, order, difficulty="useless", is_within_assumptions=False)
    for words, more in (
        ("lots, no economies", {}),
        ("lots, wrong volumes", {"volume_error_sd": 0.5}),
        ("lots, economies of 10 %", {"scale_elasticity": 1 + float(np.log2(0.90))}),
    ):
        yield Cell(words, 0.0, {"clusters": 24, **_CALM, **more}, is_within_assumptions=False)
    for clusters, land_sd in ((36, 0.1), (36, 0.2), (36, 0.3), (18, 0.2)):
        yield Cell(
            f"{clusters * 2 // 3} clusters, Länder {land_sd:g}", 0.10, {"clusters": clusters, "land_sd": land_sd}, "forecast"
        )


CELLS = tuple(_cells())


def bare(verdict: scale.Verdict) -> str:
    """The decision rule after the gates, without the demand of robustness."""
    gated = any(not gate.passed for gate in verdict.gates)
    if gated or verdict.estimate is None or verdict.ci_low is None or verdict.ci_high is None:
        return "inconclusive"
    return scale.decide(verdict.estimate, verdict.ci_low, verdict.ci_high, verdict.delta)


@cache
def _rule() -> preregistration.Preregistration:
    return preregistration.load()


def judged(seed: int, cell: Cell) -> dict[str, Any]:
    """The verdicts of one world, and whether its intervals hold the truth."""
    rule = _rule()
    look = rule.looks[0]
    rows = scale_worlds.observations(seed, learning_rate=cell.learning_rate, **cell.world)
    rng = np.random.default_rng([seed, 2])
    if cell.difficulty == "useless":
        rows = rows.with_columns(difficulty=pl.Series(rng.permutation(rows["difficulty"].to_numpy())))
    truth = -float(np.log2(1 - cell.learning_rate))
    found: dict[str, Any] = {}
    for verdict in scale.judge(rows, rule, as_of=look.look_on, first_cost_on=rows["started_on"].min(), look=look):  # type: ignore[arg-type]
        name = f"{verdict.claim} {verdict.outcome}"
        found[f"{name} complete"] = verdict.verdict
        found[f"{name} bare"] = bare(verdict)
        found[f"{name} gates"] = [gate.gate for gate in verdict.gates if not gate.passed]
        if verdict.claim == "C1" and verdict.se is not None and verdict.estimate is not None and verdict.df is not None:
            slope = -float(np.log2(1 - verdict.estimate))
            found |= _interval(name, slope, verdict.se, verdict.df, truth)
            powers = (verdict.power_05, verdict.power_10, verdict.power_20)
            found |= {f"{name} told power {saved}": told for saved, told in zip((5, 10, 20), powers, strict=True)}
    gated = bool(found["C1 cost gates"])
    return found | _rivals(rows, look.ci_level, rule.delta_per_doubling, truth, gated, rng)


def _interval(name: str, slope: float, se: float, df: float, truth: float) -> dict[str, Any]:
    off = abs(slope - truth) / se
    ends = slope + np.array([-1, 1]) * float(stats.t.ppf(0.9875, df)) * se
    return {
        f"{name} holds 95": bool(off <= stats.t.ppf(0.975, df)),
        f"{name} holds 97.5": bool(off <= stats.t.ppf(0.9875, df)),
        f"{name} w": slope,
        f"{name} width": float(2 ** -ends[0] - 2 ** -ends[1]),
    }


def _rivals(
    rows: pl.DataFrame, level: float, delta: float, truth: float, gated: bool, rng: np.random.Generator
) -> dict[str, Any]:
    """The bare rule with plain least squares and the cluster jackknife, and with the bootstrap, on the same cost data."""
    used = rows.filter(pl.col("is_invoiced") & (pl.col("cumulative_connections") > 0) & (pl.col("price_mechanism") == "actual"))
    used = used.drop_nulls(["difficulty"])
    logs = used.select(
        pl.col("cost_variable_eur").log(), pl.col("cumulative_connections").log(), pl.col("population").log(), "difficulty"
    ).to_numpy()
    cells = used.select(pl.struct("land_code", "service_id").rank("dense")).to_series().to_numpy()
    clusters = used["cluster"].rank("dense").to_numpy()
    plain = crv3(logs[:, 0], logs[:, 1:], clusters, fixed_effects=cells)
    minus_w = float(plain.coefficients[0])
    bottom, top = plain.interval(plain.names[0], level)
    found = _interval("unweighted", -minus_w, float(plain.se[0]), plain.df, truth)
    found["unweighted bare"] = "inconclusive" if gated else scale.decide(saving(minus_w), saving(top), saving(bottom), delta)

    design = rival_estimators.Design.of(logs[:, 0], logs[:, 1:], cells, clusters)
    at_zero, at_delta, at_truth = (
        rival_estimators.wild_cluster_p(design, slope, RIVAL_DRAWS, rng) for slope in (0.0, np.log2(1 - delta), -truth)
    )
    saved = saving(minus_w)
    # a value lies outside the interval where its p is below 1 - level: the ends need not be searched for
    above_zero, below_delta = saved > 0 and at_zero < 1 - level, saved < delta and at_delta < 1 - level
    found["bootstrap bare"] = (
        "inconclusive"
        if gated
        else scale.decide(saved, 1.0 if above_zero else -1.0, delta - 1 if below_delta else delta + 1, delta)
    )
    return found | {"bootstrap holds 95": at_truth >= 0.05, "bootstrap holds 97.5": at_truth >= 0.025}


def forecast(seed: int, cell: Cell) -> dict[str, Any]:
    """A Land that joins last, forecast from what was accepted in the others before it began."""
    counts = {**scale_worlds.COUNTS, NEXT_LAND: NEXT_LAND_COUNTS}
    rows = scale_worlds.observations(
        seed, learning_rate=cell.learning_rate, counts=counts, joined_on={NEXT_LAND: NEXT_LAND_JOINS}, **cell.world
    )
    is_next = pl.col("land_code") == NEXT_LAND
    new = rows.filter(is_next & pl.col("is_accepted"))
    begin: date = new["started_on"].min()  # type: ignore[assignment]
    known = rows.filter(~is_next & (pl.col("accepted_on") < begin))
    plan = new.select(list(cost_forecast.PLAN_SCHEMA))
    table = cost_forecast.forecast(known, begin, plan, land_effect_sd=(cell.land_sd,), draws=1000, with_hindcast=False)
    found: dict[str, Any] = {}
    for outcome, (column, _) in cost_forecast.OUTCOMES.items():
        truth = {"all": float(new[column].sum()), **dict(new.group_by("service_id").agg(pl.col(column).sum()).iter_rows())}
        services = []
        for row in table.filter(outcome=outcome).iter_rows(named=True):
            held = None if row["total_low"] is None else row["total_low"] <= truth[row["service_id"]] <= row["total_high"]
            if row["service_id"] != "all":
                services.append(held)
                continue
            found[f"{outcome} holds"] = held
            if held is not None:
                found[f"{outcome} error"] = float(np.log(row["total_predicted"] / truth["all"]))
                found[f"{outcome} half width"] = float(np.log(row["total_high"] / row["total_low"]) / 2)
                found[f"{outcome} low"] = row["total_low"] / truth["all"]
                found[f"{outcome} high"] = row["total_high"] / truth["all"]
            found["clusters"] = row["clusters"]
        found[f"{outcome} services"] = len(services)
        found[f"{outcome} services held"] = sum(bool(held) for held in services)
    return found


def piece(cell: Cell, seed: int, start: int, worlds: int) -> list[dict[str, Any]]:
    """The worlds ``start`` to ``start + worlds`` of a cell."""
    draw = forecast if cell.kind == "forecast" else judged
    root = zlib.crc32(cell.name.encode()) * 1_000_003 + seed * 1_000_000_007
    return [draw((root + number) % 2**63, cell) for number in range(start, start + worlds)]


def fingerprint() -> str:
    """Of the code that decides the numbers."""
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def _run_piece(cell: Cell, seed: int, start: int, worlds: int, target: Path) -> float:
    begun = time.process_time()
    rows = piece(cell, seed, start, worlds)
    seconds = time.process_time() - begun
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({"cpu_seconds": seconds, "worlds": rows}), encoding="utf-8")
    aside.replace(target)
    return seconds


def run(cells: Iterable[Cell], worlds: int, seed: int, processes: int, work: Path) -> dict[str, Any]:
    """Draw what is missing, then count everything. ``work`` holds the pieces; ``worlds`` is rounded up to whole pieces."""
    pieces = [
        (cell, start, work / f"{seed}-{zlib.crc32(cell.name.encode()):08x}-{start:05d}.json")
        for cell in cells
        for start in range(0, worlds, PIECE_WORLDS)
    ]
    missing = [each for each in pieces if not each[2].exists()]
    if processes == 1:
        for number, (cell, start, target) in enumerate(missing):
            _run_piece(cell, seed, start, PIECE_WORLDS, target)
            _tell(number + 1, len(missing))
    elif missing:
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = [pool.submit(_run_piece, cell, seed, start, PIECE_WORLDS, target) for cell, start, target in missing]
            for number, done in enumerate(as_completed(waiting)):
                done.result()
                _tell(number + 1, len(missing))
    drawn: dict[Cell, list[dict[str, Any]]] = {}
    seconds: Counter[Cell] = Counter()
    for cell, _, target in pieces:
        kept = json.loads(target.read_text(encoding="utf-8"))
        drawn.setdefault(cell, []).extend(kept["worlds"])
        seconds[cell] += kept["cpu_seconds"]
    rule = _rule()
    return {
        "seed": seed,
        "fingerprint": fingerprint(),
        "rule_sha256": rule_sha256(),
        "ci_level": rule.looks[0].ci_level,
        "delta": rule.delta_per_doubling,
        "cells": [
            {
                "design": cell.design,
                "learning_rate": cell.learning_rate,
                "kind": cell.kind,
                "is_within_assumptions": cell.is_within_assumptions,
                "worlds": len(rows),
                "cpu_seconds_per_world": round(seconds[cell] / len(rows), 4),
                **(counted_forecasts(rows, cell) if cell.kind == "forecast" else counted(rows)),
            }
            for cell, rows in drawn.items()
        ],
    }


def rule_sha256() -> str:
    """Of what the rule says, whoever signed it when."""
    said = preregistration.load().model_dump(mode="json", exclude={"sha256", "signed_on", "signed_by"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of verdicts and of intervals that hold the truth; means of estimates and widths."""
    names = sorted({key for row in rows for key in row})
    told: dict[str, Any] = {}
    for name in names:
        values = [row[name] for row in rows if name in row]
        if name.endswith((" complete", " bare")):
            told[name] = dict(Counter(values).most_common())
        elif " holds " in name:
            told[name] = {"held": sum(values), "of": len(values)}
        elif name.endswith(" gates"):
            told[name] = dict(Counter(gate for gates in values for gate in gates).most_common())
        elif name.endswith((" w", " width")) or " told power " in name:
            told[name] = {"mean": float(np.mean(values)), "sd": float(np.std(values))}
    return told


def counted_forecasts(rows: list[dict[str, Any]], cell: Cell) -> dict[str, Any]:
    """Counts of forecasts whose interval holds the outcome, their error and width, and the first 60 for the picture."""
    told: dict[str, Any] = {"land_sd": cell.land_sd}
    for outcome in cost_forecast.OUTCOMES:
        held = [row[f"{outcome} holds"] for row in rows if row[f"{outcome} holds"] is not None]
        error = np.array([row[f"{outcome} error"] for row in rows if f"{outcome} error" in row])
        told[outcome] = {
            "held": sum(held),
            "of": len(held),
            "services_held": sum(row[f"{outcome} services held"] for row in rows),
            "services": sum(row[f"{outcome} services"] for row in rows),
            "error_mean": float(error.mean()),
            "error_sd": float(error.std()),
            "width_factor": float(
                np.exp(np.mean([row[f"{outcome} half width"] for row in rows if f"{outcome} half width" in row]))
            ),
        }
    told["clusters_mean"] = float(np.mean([row["clusters"] for row in rows if "clusters" in row]))
    told["first"] = [[round(row["cost low"], 4), round(row["cost high"], 4)] for row in rows[:60] if "cost low" in row]
    return told


def _tell(done: int, of: int) -> None:
    if sys.stderr.isatty() or done == of or done % 50 == 0:
        print(f"\r{done} of {of} pieces", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def main() -> None:
    """Draw, count, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000, help="per cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cells", default="*", help="pattern of cell names; anything but all is printed and not kept")
    parser.add_argument("--page", action="store_true", help="write docs/method.md from the kept result and draw nothing else")
    arguments = parser.parse_args()
    if arguments.page:
        from benchmarks import method_page

        method_page.write()
        return
    # one thread for each process: the matrices are small, and two processes with two threads each wait for one another
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    cells = [cell for cell in CELLS if fnmatch.fnmatch(cell.name, arguments.cells)]
    result = run(cells, arguments.worlds, arguments.seed, arguments.processes, WORK / fingerprint())
    if len(cells) < len(CELLS):
        print(json.dumps(result, indent=1, ensure_ascii=False))
        return
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(RESULT)


if __name__ == "__main__":
    main()
