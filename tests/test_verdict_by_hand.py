"""The stored verdict equals the one that ``verdict_by_hand.py`` computes from the published observations, which knows nothing of Rollin."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.scale_worlds import observations
from dbt_project import preregistration
from dbt_project.estimators import scale
from tests.conftest import ROOT

NUMBERS = ("estimate", "se", "df", "ci_low", "ci_high", "delta", "n", "clusters")
LOOK_ON = date(2027, 3, 1)


def by_hand(parquet: Path, today: date, rule: Path = preregistration.PATH) -> dict[str, Any]:
    """What the script says, in a process that cannot import the project."""
    command = [sys.executable, "-I", str(ROOT / "tests" / "verdict_by_hand.py"), str(parquet), str(rule), today.isoformat()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=parquet.parent)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def agree(stored: dict[str, Any], found: dict[str, Any]) -> None:
    """The same verdict, and every number to 1e-9."""
    assert stored["verdict"] == found["verdict"]
    for name in NUMBERS if "estimate" in found else ():
        assert math.isclose(stored[name], found[name], rel_tol=1e-9, abs_tol=1e-12), name
    assert bool(stored["gates_failed"]) == bool(found.get("gates", ["price_actual_share"]))


#: A world, the day of the verdict, and what it is.
WORLDS: dict[str, tuple[dict[str, Any], date, str]] = {
    "learning 30 %": ({"learning_rate": 0.3, "clusters": 40, "wave_sd": 0.05}, LOOK_ON, "supported"),
    "no learning, precisely": (
        {"learning_rate": 0.0, "clusters": 60, "wave_sd": 0.01, "team_sd": 0.01, "noise_sd": 0.1},
        LOOK_ON,
        "contradicted",
    ),
    "little learning, precisely": (
        {"learning_rate": 0.02, "clusters": 60, "wave_sd": 0.002, "team_sd": 0.002, "noise_sd": 0.05},
        LOOK_ON,
        "immaterial",
    ),
    "no learning": ({"learning_rate": 0.0}, LOOK_ON, "inconclusive"),
    "few clusters": ({"learning_rate": 0.3, "clusters": 10}, LOOK_ON, "inconclusive"),
    "difficulty recorded late": ({"learning_rate": 0.3, "clusters": 40, "difficulty_late_share": 0.2}, LOOK_ON, "inconclusive"),
    "allocated": ({"learning_rate": 0.3, "clusters": 40, "direct_share": 0.5}, LOOK_ON, "inconclusive"),
    "fixed prices": ({"learning_rate": 0.3, "clusters": 40, "price_mechanism": "fixed_price"}, LOOK_ON, "inconclusive"),
    "before the look": ({"learning_rate": 0.3, "clusters": 40}, date(2027, 2, 28), "not_due"),
    "not invoiced": ({"learning_rate": 0.3, "clusters": 40, "uninvoiced_share": 0.1}, LOOK_ON, "not_due"),
}


def stored(observed: pl.DataFrame, today: date, rule: Path = preregistration.PATH) -> dict[str, Any]:
    """The project's verdict of claim C1 on cost."""
    found = scale.verdicts_frame(scale.judge(observed, preregistration.load(rule), as_of=today, first_cost_on=None))
    return found.row(by_predicate=(pl.col("claim") == "C1") & (pl.col("outcome") == "cost"), named=True)


@pytest.mark.parametrize("name", WORLDS)
def test_the_verdict_by_hand_is_the_stored_one(name: str, tmp_path: Path) -> None:
    options, today, verdict = WORLDS[name]
    observed = observations(20260121, **options)
    observed.write_parquet(tmp_path / "scale_observation.parquet")
    row = stored(observed, today)
    assert row["verdict"] == verdict
    agree(row, by_hand(tmp_path / "scale_observation.parquet", today))


@pytest.mark.parametrize(
    ("share", "verdict", "gates"), [(0.04, "supported", []), (0.12, "inconclusive", ["difficulty_share", "complete_share"])]
)
def test_rows_without_a_cluster_are_left_out_and_counted_by_both(
    share: float, verdict: str, gates: list[str], tmp_path: Path
) -> None:
    observed = observations(20260121, learning_rate=0.3, clusters=40, wave_sd=0.05)
    some = pl.int_range(pl.len()).shuffle(seed=1) < share * pl.len()
    holed = observed.with_columns(
        pl.when(some).then(None).otherwise(pl.col(c)).alias(c) for c in ("cluster", "wave", "wave_started_on")
    )
    holed.write_parquet(tmp_path / "scale_observation.parquet")
    row, found = stored(holed, LOOK_ON), by_hand(tmp_path / "scale_observation.parquet", LOOK_ON)
    assert row["verdict"] == verdict and found["gates"] == gates and row["clusters"] == 40
    agree(row, found)


def test_another_correlation_is_followed_by_both(tmp_path: Path) -> None:
    observed = observations(20260121, learning_rate=0.2)
    observed.write_parquet(tmp_path / "scale_observation.parquet")
    numbers = set()
    for rho in ("0", "0.3"):
        rule = tmp_path / f"{rho}.yml"
        text = preregistration.PATH.read_text(encoding="utf-8")
        rule.write_text(text.replace("intraclass_correlation: 0.05", f"intraclass_correlation: {rho}"), encoding="utf-8")
        row = stored(observed, LOOK_ON, rule)
        agree(row, by_hand(tmp_path / "scale_observation.parquet", LOOK_ON, rule))
        numbers.add(row["estimate"])
    assert len(numbers) == 2
