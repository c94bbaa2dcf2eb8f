"""The measured operating characteristics: that they are measured, belong to the rule in force, keep their promises, and fill the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks import method_page, rival_estimators, scale_worlds
from benchmarks import operating_characteristics as measured
from dbt_project import preregistration
from dbt_project.estimators import scale
from dbt_project.estimators.regression import ols

CELLS = [cell for cell in measured.CELLS if cell.name in ("40 clusters, calm@0", "40 clusters, calm@0.2")]
FORECAST = next(cell for cell in measured.CELLS if cell.kind == "forecast")


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(measured.RESULT.read_text(encoding="utf-8"))
    return result


def test_a_run_goes_on_where_it_stopped_and_counts_every_world_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "PIECE_WORLDS", 4)
    whole = measured.run([*CELLS, FORECAST], 8, 7, 1, tmp_path / "a")
    pieces = sorted((tmp_path / "a").glob("*.json"))
    assert len(pieces) == 6
    stamps = {path: path.stat().st_mtime_ns for path in pieces}
    before = pieces[0].read_text()
    pieces[0].unlink()
    again = measured.run([*CELLS, FORECAST], 8, 7, 1, tmp_path / "a")
    assert json.loads(pieces[0].read_text())["worlds"] == json.loads(before)["worlds"]
    assert {path: path.stat().st_mtime_ns for path in pieces[1:]} == {path: stamps[path] for path in pieces[1:]}

    def without_time(result: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in cell.items() if name != "cpu_seconds_per_world"} for cell in result["cells"]]

    assert without_time(again) == without_time(whole)
    for cell in whole["cells"][:2]:
        assert cell["worlds"] == 8 == sum(cell["C1 cost complete"].values()) == sum(cell["C1 cost bare"].values())
        assert cell["C1 cost holds 95"]["of"] == 8
    assert whole["cells"][2]["cost"]["of"] == 8


def test_what_is_counted_is_what_was_drawn() -> None:
    """At 40 clusters and a saving of 20 % the test finds it nearly always, at none nearly never: five worlds each tell them apart."""
    none, much = (measured.counted(measured.piece(cell, 3, 0, 5)) for cell in CELLS)
    assert none["C1 cost complete"].get("supported", 0) <= 1
    assert much["C1 cost bare"].get("supported", 0) >= 4
    assert abs(none["C1 cost w"]["mean"]) < 0.1
    assert much["C1 cost w"]["mean"] == pytest.approx(-np.log2(0.8), abs=0.1)


def test_the_rivals_are_what_they_are_called() -> None:
    """Unweighted is S2_unweighted; the bootstrap agrees with it on what was estimated and on what lies far off."""
    world = scale_worlds.observations(3, clusters=24)
    rows = world.filter(pl.col("is_accepted") & (pl.col("cumulative_connections") > 0))
    columns = rows.select(
        pl.col("cost_variable_eur").log(), pl.col("cumulative_connections").log(), pl.col("population").log(), "difficulty"
    ).to_numpy()
    level = rows.select(pl.concat_str("land_code", "service_id")).to_series().to_numpy()
    cluster = rows["cluster"].to_numpy()
    design = rival_estimators.Design.of(columns[:, 0], columns[:, 1:], level, cluster)
    known = ols(columns[:, 0], columns[:, 1:], fixed_effects=level, clusters=cluster, covariance="crv3")
    slope, se = float(known.coefficients[0]), float(known.se[0])
    rule = preregistration.load()
    found = measured._rivals(world, rule.looks[0].ci_level, rule.delta_per_doubling, -slope, False, np.random.default_rng(1))
    [stored] = [
        one
        for one in scale.estimate(world, rule, rule.looks[0])
        if (one.specification, one.outcome, one.term) == ("S2_unweighted", "cost", "ln_n")
    ]
    assert stored.rate is not None and stored.rate_ci_low is not None and stored.rate_ci_high is not None
    assert -found["unweighted w"] == pytest.approx(stored.coefficient, rel=1e-9) and stored.se == pytest.approx(se, rel=1e-9)
    assert found["unweighted width"] == pytest.approx(stored.rate_ci_high - stored.rate_ci_low, rel=1e-9)
    assert found["unweighted holds 95"] and found["bootstrap holds 95"]  # of what was estimated
    said = scale.decide(stored.rate, stored.rate_ci_low, stored.rate_ci_high, rule.delta_per_doubling)
    assert found["unweighted bare"] == said
    # the bootstrap rejects what lies far off and not what was estimated
    rng = np.random.default_rng(1)
    assert rival_estimators.wild_cluster_p(design, slope, 399, rng) > 0.9
    assert rival_estimators.wild_cluster_p(design, slope + 8 * se, 399, rng) < 0.05


def test_every_promise_is_kept_in_at_least_two_thousand_worlds_per_cell(kept: dict[str, Any]) -> None:
    assert {f"{cell['design']}@{cell['learning_rate']:g}" for cell in kept["cells"]} == {cell.name for cell in measured.CELLS}
    assert min(cell["worlds"] for cell in kept["cells"]) >= 2000
    broken = [(words, worst) for words, worst, is_kept in method_page.promises(kept) if not is_kept]
    assert broken == []


def test_the_measured_rule_is_the_rule_in_force(kept: dict[str, Any]) -> None:
    """Whoever changes the rule measures again; signing it changes nothing."""
    assert kept["rule_sha256"] == measured.rule_sha256()


def test_the_page_says_what_was_measured(kept: dict[str, Any]) -> None:
    page = method_page.PAGE.read_text(encoding="utf-8")
    assert method_page.filled(page, kept) == page
    for name in method_page.pictures(kept):
        assert f"pictures/{name}.svg" in page
        assert (method_page.PICTURES / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_page_without_its_marks_is_refused(kept: dict[str, Any]) -> None:
    page = method_page.PAGE.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="correct the page"):
        method_page.filled(page.replace("<!-- power -->", ""), kept)
    with pytest.raises(ValueError, match="correct the page"):
        method_page.filled(page.replace("<!-- /power -->", ""), kept)


def test_a_broken_promise_is_told(kept: dict[str, Any]) -> None:
    worse = json.loads(json.dumps(kept))
    cell = next(one for one in worse["cells"] if one["learning_rate"] == 0 and one["is_within_assumptions"])
    cell["C1 cost complete"] = {"supported": cell["worlds"] // 10}
    assert any(not is_kept and "complete" in words and "supported" in words for words, _, is_kept in method_page.promises(worse))


def test_monte_carlo_bounds_are_clopper_pearson() -> None:
    """0 of n and n of n have closed forms."""
    low, high = method_page.bounds(0, 100)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 100)))
    assert method_page.bounds(100, 100) == (pytest.approx(0.025 ** (1 / 100)), 1.0)
