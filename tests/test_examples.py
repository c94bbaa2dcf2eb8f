"""The examples for analysts run on a release, in both tiers, and their numbers are the release's."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import ROOT
from tests.house import House

EXAMPLE = ROOT / "examples" / "look_at_a_release.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: Path) -> dict[str, Any]:
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), *map(str, arguments)])
    return runpy.run_path(str(EXAMPLE), run_name="__main__")


@pytest.mark.parametrize("tier", ["exact", "public"])
def test_a_look_at_a_release(
    tier: str, published: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = published.settings.current / ("public" if tier == "public" else "")
    cells = run(monkeypatch, release, tmp_path / "charts")
    assert "SYNTHETIC" in capsys.readouterr().out
    today: pl.DataFrame = cells["coverage"]
    assert len(today) == 5
    for row in today.iter_rows(named=True):
        assert row["coverage_authority_share"] == row["authorities_operational"] / row["authorities_competent"]
    use: pl.DataFrame = cells["use"]
    assert use["take_up_share"].is_between(0, 1).all() and use["take_up_share"].null_count() < len(use)
    groups: pl.DataFrame = cells["by_group"]
    assert set(groups["group"]) == {"dense", "thin"}
    inhabitants = cells["ask"]("select population from core.dim_land where land_code = '06'").item()
    assert groups.group_by("service_id").agg(pl.col("population_competent").sum())["population_competent"].max() == inhabitants
    assert cells["cost"].height > 0 or tier == "public"
    charts = sorted((tmp_path / "charts").iterdir())
    assert [path.name for path in charts] == ["cost.svg", "coverage.svg", "take_up.svg"]
    assert all("<path" in path.read_text(encoding="utf-8") for path in charts if path.stem != "cost" or cells["cost"].height)


def test_in_a_notebook_the_release_comes_from_the_environment(published: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLIN_RELEASE", str(published.settings.current))
    cells = run(monkeypatch, Path("--f=/run/kernel-1.json"))
    assert cells["release"] == published.settings.current.resolve()
    assert "published/current" not in os.fspath(cells["release"])


def test_every_cell_says_what_it_is_for() -> None:
    heads = re.findall(r"^# %%(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.M)
    assert len(heads) == 6 and all(len(head) > 20 for head in heads)
