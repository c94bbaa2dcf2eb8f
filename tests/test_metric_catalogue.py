"""The metric catalogue says something about every published number, says it once, and the page made of it is current."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import duckdb
import yaml

from dbt_project import PROJECT_DIR, metrics_page
from tests.conftest import ROOT
from tests.dbt_inputs import run_dbt, world, write_inputs

#: Columns of any metrics table that say which row it is, or describe it, and measure nothing. Dates and words never do.
NO_MEASURE = {
    "days",
    "days_to_target",
    "discount_rate",
    "full_month",
    "horizon_years",
    "is_addressable",
    "is_descriptive",
    "is_pilot",
    "is_price_index_placeholder",
    "land_effect_sd",
    "month_of_year",
    "phase_order",
    "planned_wave",
    "recurring",
    "target_share",
    "wave",
}
WORDS_AND_DATES = ("varchar", "date", "timestamptz", "timestamp")


def columns() -> list[tuple[str, str, str]]:
    """Table, column and type of every mart in schema metrics, from the contracts."""
    found = []
    for path in sorted((PROJECT_DIR / "models" / "metrics").glob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            found += [(f"metrics.{model['name']}", column["name"], column["data_type"]) for column in model["columns"]]
    return found


def catalogue() -> list[dict[str, str]]:
    with (PROJECT_DIR / "seeds" / "metric_catalogue.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_published_measure_is_a_metric_or_a_part_of_one() -> None:
    """A measure has a row of its own, or a metric of its table names it in the formula."""
    known: dict[str, set[str]] = {}
    for row in catalogue():
        known.setdefault(row["table_name"], set()).update({row["column_name"], *re.findall(r"\w+", row["formula"])})
    unexplained = [
        f"{table}.{column}"
        for table, column, kind in columns()
        if kind not in WORDS_AND_DATES and column not in NO_MEASURE and column not in known.get(table, set())
    ]
    assert unexplained == []


def test_every_metric_says_everything_and_names_a_column() -> None:
    published = {(table, column) for table, column, _ in columns()}
    for row in catalogue():
        empty = [name for name, value in row.items() if not value.strip() and name not in ("caveats", "caveats_de")]
        assert not empty, (row["metric_id"], empty)
        assert bool(row["caveats"].strip()) == bool(row["caveats_de"].strip()), row["metric_id"]
        # a column that the one names stands in the other, too: they say the same of the same
        for english, german in (("definition_en", "definition_de"), ("caveats", "caveats_de")):
            named = [set(re.findall(r"[a-z0-9]+(?:_[a-z0-9]+)+", row[words])) for words in (english, german)]
            assert named[0] == named[1], row["metric_id"]
        assert None not in row, row["metric_id"]  # more fields than the head has
        assert (row["table_name"], row["column_name"]) in published, row["metric_id"]
        assert re.fullmatch(r"[1-9][0-9]*", row["version"]), row["metric_id"]
    identifiers = [row["metric_id"] for row in catalogue()]
    assert len(identifiers) == len(set(identifiers))


def test_the_page_is_current() -> None:
    page = ROOT / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page.page(catalogue()), "out of date: run `make docs`"


def test_the_page_shows_every_metric_and_breaks_at_no_character() -> None:
    rows = catalogue()
    hostile = {**rows[0], "metric_id": "hostile", "caveats": "a | b\n# c", "formula": "a | b"}
    text = metrics_page.page([*rows, hostile])
    for row in rows:
        assert row["name_de"] in text and row["name_en"] in text
        assert f"`{row['formula']}`" in text
    assert "\n# c" not in text
    assert text.count("\n# ") + text.startswith("# ") == 1


def metrics(folder: Path, project: Path = PROJECT_DIR) -> dict[str, tuple[str, str]]:
    """Both hashes of every metric."""
    selected = ("build", "--select", "metric_catalogue", "metric", "--exclude-resource-type", "unit_test")
    statuses = run_dbt(folder, *selected, project=project)
    assert set(statuses.values()) <= {"success", "pass"}, statuses
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
        found = db.execute("select metric_id, definition_sha256, computation_md5 from meta.metric").fetchall()
    return {name: (definition, computation) for name, definition, computation in found}


def test_a_release_tells_a_changed_definition_and_a_changed_computation(tmp_path: Path) -> None:
    """The hashes follow the words, and the files of the model and all that it is built from; nothing else changes them."""
    before = metrics(write_inputs(tmp_path / "before" / "inputs", world()).parent)
    assert len({definition for definition, _ in before.values()}) == len(before)
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) and re.fullmatch(r"[0-9a-f]{32}", other) for one, other in before.values())

    project = tmp_path / "project"
    shutil.copytree(PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs", "__pycache__"))
    seed = project / "seeds" / "metric_catalogue.csv"
    words = seed.read_text(encoding="utf-8")
    assert words.count("One-off gross cost booked or allocated") == words.count("Mittelabfluss") == 1
    words = words.replace("One-off gross cost booked or allocated", "Cost").replace("Mittelabfluss", "Abfluss")
    seed.write_text(words, encoding="utf-8")
    index = project / "seeds" / "price_index.csv"
    index.write_text(index.read_text(encoding="utf-8").replace("neutral-1", "neutral-2"), encoding="utf-8")
    after = metrics(write_inputs(tmp_path / "after" / "inputs", world()).parent, project)

    assert {name for name in before if before[name][0] != after[name][0]} == {
        "cost_per_connection_eur"
    }  # a name is no definition
    tables = {row["metric_id"]: row["table_name"] for row in catalogue()}
    computed_anew = {tables[name] for name in before if before[name][1] != after[name][1]}
    assert {"metrics.cost_per_connection", "metrics.cost_by_wave"} <= computed_anew
    assert not {"metrics.cost_bridge", "metrics.coverage_daily", "metrics.adoption_monthly"} & computed_anew
