"""dbt's exposures: every published table, and every table of the public tier, is told to be read."""

from __future__ import annotations

from pathlib import Path

import yaml

from dbt_project import public_tier
from expectations.release import GRAIN
from tests.conftest import ROOT

MODELS = ROOT / "dbt_project" / "models"


def exposed(name: str) -> set[str]:
    document = yaml.safe_load((MODELS / "_exposures.yml").read_text(encoding="utf-8"))
    [one] = [exposure for exposure in document["exposures"] if exposure["name"] == name]
    told = [line.removeprefix("ref('").removesuffix("')") for line in one["depends_on"]]
    assert len(told) == len(set(told))
    return set(told)


def models(*folders: str) -> set[str]:
    return {path.stem for folder in folders for path in Path(MODELS / folder).rglob("*.sql")}


def test_the_exact_release_reads_every_published_model() -> None:
    assert exposed("exact_release") == models("core", "metrics", "meta")
    assert {f"{table.split('.')[1]}" for table in GRAIN} <= exposed("exact_release")


def test_the_public_tier_reads_the_masked_models_and_never_what_they_mask() -> None:
    decided = {name.split(".")[1]: table for name, table in public_tier.load().items() if table.columns}
    assert exposed("public_tier") == {f"public_{name}" if table.is_masked else name for name, table in decided.items()}
    assert models("public") <= exposed("public_tier") <= models("core", "metrics", "meta", "public")
