"""The page "Ein Land kommt dazu": its example is read as it stands, and whatever it names exists."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml

from ingest.clean import CleaningRecord, clean_delivery
from ingest.directory import build_references
from ingest.fetch import fetch_source
from ingest.landfile import FORMATS, PACKAGED, LandFile, load
from ingest.landing import Landing
from ingest.tables import QUARANTINE_RULES, SERVICES, TABLES
from orchestration.cli import cli
from tests.clean_world import region
from tests.conftest import ROOT, Rollin

PAGE = (ROOT / "docs" / "a-land-joins.md").read_text(encoding="utf-8")
NOW = datetime(2026, 8, 3, 2, 0, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def example(tmp_path: Path) -> tuple[LandFile, dict[str, str]]:
    """The page's Land file and its files, as a data officer would put them down."""
    (tmp_path / "laender").mkdir()
    (tmp_path / "laender" / "saarland.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    names = re.findall(r"`([a-z]+(?:-\d{4}-\d{2})?\.csv)`", PAGE[: PAGE.index("## 3.")])
    assert len(names) == len(blocks("csv")) == 3
    for name, content in zip(names, blocks("csv"), strict=True):
        (tmp_path / name).write_text(content, encoding="utf-8")
    environ = {"ROLLIN_SL": str(tmp_path)}
    return load(tmp_path / "laender", environ)["10"], environ


def clean(home: Path, land: LandFile, environ: dict[str, str]) -> dict[str, CleaningRecord]:
    places = [
        region("100410100100", "Saarbrücken, Landeshauptstadt", "stadt", 180_000, 167.1),
        region("100410511511", "Friedrichsthal, Stadt", "stadt", 10_000, 9.0),
    ]
    provenance = {"land_code": "10", "source": "x", "delivery_id": "x", "delivered_at": NOW}
    types = {n: pl.String() if isinstance(t, pl.Enum) else t for n, t in TABLES["regions"].polars_schema().items()}
    regions = pl.DataFrame([{**provenance, **place} for place in places], schema=types)
    reference = build_references({"10": land}, regions, None, None, None)["10"]
    records = {}
    for source in land.sources:
        outcome = fetch_source(land, source, Landing(home), now=NOW, environ=environ)
        assert outcome.status == "new", outcome.problem
        records[source.name] = clean_delivery(home, Landing(home), land, source, outcome.deliveries[0], reference, NOW)
    return records


def test_the_example_is_accepted_but_for_what_the_page_says(example: tuple[LandFile, dict[str, str]], tmp_path: Path) -> None:
    home = tmp_path / "home"
    records = clean(home, *example)
    assert {name: (r.rows_clean, r.quarantined, r.missing_columns) for name, r in records.items()} == {
        "anbindungen": (4, {"unknown_value": 1}, []),
        "nutzung": (2, {}, []),
        "kosten": (2, {"wrong_unit": 1}, []),
    }
    told = re.findall(r"^\| `([\w.-]+)` \| (\d+) \| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    found = []
    for name, record in records.items():
        for row in pl.read_parquet(home / record.quarantine_path).iter_rows(named=True):
            found.append((name, str(row["row_number"]), row["rule"], row["reason"]))
    assert [(file.split("-")[0].removesuffix(".csv"), *rest) for file, *rest in told] == found
    usage = pl.read_parquet(home / records["nutzung"].clean_path)
    assert usage["submitted"].to_list() == [1204, 0]  # zero is zero
    events = pl.read_parquet(home / records["anbindungen"].clean_path)
    assert set(events["authority_id"]) == {"meldebehoerde/10041100", "meldebehoerde/10041511", "fahrerlaubnisbehoerde/10041"}


def test_without_a_column_for_it_the_receipt_is_the_report(example: tuple[LandFile, dict[str, str]], tmp_path: Path) -> None:
    """As the page says of ``reported_at``; where the Land file promises the column, it must be there."""
    land, environ = example
    path = tmp_path / "laender" / "saarland.yaml"
    text = path.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "reported_at" in line)
    path.write_text(text.replace(line + "\n", ""), encoding="utf-8")
    records = clean(tmp_path / "home", load(tmp_path / "laender", environ)["10"], environ)
    events = pl.read_parquet(tmp_path / "home" / records["anbindungen"].clean_path)
    assert events["reported_at"].unique().to_list() == [NOW]

    lines = (tmp_path / "anbindungen.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "anbindungen.csv").write_text("\n".join(line.rpartition(";")[0] for line in lines) + "\n", encoding="utf-8")
    promised = clean(tmp_path / "second", land, environ)["anbindungen"]
    assert promised.rows_clean == 0
    assert promised.problem and "gemeldet am" in promised.problem


def test_the_example_goes_from_nothing_to_a_release(
    example: tuple[LandFile, dict[str, str]], tmp_path: Path, shared_data: Path, rollin: Rollin
) -> None:
    """On the real directory, by the page's own commands; what they say is what the page says that they say."""
    federal = yaml.safe_load((PACKAGED / "deutschland.yaml").read_text(encoding="utf-8"))
    addresses = {name for source in federal["sources"] for name in re.findall(r"\$\{(\w+)", source["location"])}
    environ = dict.fromkeys(addresses, "off") | example[1]
    environ |= {"ROLLIN_GV100AD_LOCATION": str(shared_data / "destatis" / "GV100AD_30112025.txt"), "ROLLIN_NOW": NOW.isoformat()}
    laender, home = str(tmp_path / "laender"), tmp_path / "home"
    told = [block.splitlines() for block in blocks("text")]
    file = str(tmp_path / "anbindungen.csv")
    checked = rollin(
        *("check", file, "--land", "10", "--source", "anbindungen", "--laender", laender, "--out", str(tmp_path)),
        home=home,
        **environ,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.splitlines()[:2] == told[0]
    ran = rollin("refresh", "--laender", laender, home=home, **environ, ROLLIN_REPORT="no")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = [line.split() for line in ran.stdout.splitlines()]
    assert [line for line in shown if line[:1] in (["Land"], ["Saarland"])] == [line.split() for line in told[1]]


def test_every_rule_format_table_and_service_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)`", PAGE[PAGE.index("| Regel | heißt") :], re.MULTILINE))
    assert explained == set(QUARANTINE_RULES)
    formats = PAGE[PAGE.index("| Format | wofür") : PAGE.index("`location` ist eine Adresse")]
    assert set(FORMATS) == set(re.findall(r"`([a-z0-9_]+)`", formats)) - {"sheet", "header_row", "reading", "pages", "since"}
    assert {f"`{service}`" for service in SERVICES} <= set(re.findall(r"`\w+`", PAGE))
    for table in ("connections", "usage", "costs", "case_volumes"):
        assert table in TABLES and f"Tabelle `{table}`" in PAGE


def test_every_command_of_the_page_exists() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("rollin ")]
    assert {line.split()[1] for line in lines} == {"check", "doctor", "refresh", "status", "sql"}
    for line in lines:
        command = cli.commands[line.split()[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= known, line


def test_the_readme_leads_here() -> None:
    assert "(docs/a-land-joins.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
