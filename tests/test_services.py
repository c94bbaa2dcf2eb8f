"""The list of services is data: another list gives other services, and one that cannot be used is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest import services
from ingest.tables import AUTHORITY_KIND, SERVICES
from tests.conftest import ROOT

HEAD = "service_id,name_de,name_en,authority_kind,ozg_ids\n"


def started(listed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ROLLIN_SERVICES": str(listed), "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


def test_the_packaged_list_names_the_programmes_services() -> None:
    assert services.PATH == ROOT / "ingest" / "services.csv"
    assert len(SERVICES) == 7
    assert AUTHORITY_KIND["ummeldung"] == "meldebehoerde"


def test_another_list_gives_other_services_kinds_and_land_files(tmp_path: Path) -> None:
    path = tmp_path / "services.csv"
    path.write_text(HEAD + "hundesteuer,Hundesteuer,Dog tax,gemeindeverwaltung,\nkita_2,Kita,Day care,gemeindeverwaltung,10001\n")
    program = """
from ingest.clean import CLEANING_VERSION
from ingest.landfile import LandFile
from ingest.tables import AUTHORITY_KIND, SERVICE_LIST, TABLES
land = {"land_code": "06", "name": "Hessen", "programme": {"start": "2026-01-21", "services": ["hundesteuer"],
        "target": {"date": "2026-12-31", "share": 1.0}}, "competences": {"hundesteuer": {"level": "gemeinde"}}}
LandFile.model_validate(land)
assert TABLES["usage"].polars_schema()["service_id"].categories.to_list() == ["hundesteuer", "kita_2"]
assert TABLES["authorities"].polars_schema()["kind"].categories.to_list() == ["gemeindeverwaltung"]
assert SERVICE_LIST["ozg_ids"].to_list() == [None, "10001"]
print(CLEANING_VERSION)
"""
    words = """
from orchestration.report import words
assert words.term("service", "kita_2") == words.Words("Kita", "Day care")
assert words.term("service", "ummeldung") == words.Words("Ummeldung", "Change of residence")
"""
    ran = started(path, "-c", words + program)
    assert ran.returncode == 0, ran.stderr
    path.write_text(path.read_text() + "neu,Neu,New,gemeindeverwaltung,\n")
    again = started(path, "-c", program.replace('"kita_2"]', '"kita_2", "neu"]').replace('"10001"]', '"10001", None]'))
    assert again.returncode == 0, again.stderr
    assert again.stdout != ran.stdout  # what the words mean has changed: everything is cleaned again


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "Hundesteuer,Hundesteuer,Dog tax,gemeindeverwaltung,\n",
        "a,A,A,kind,\na,B,B,kind,\n",
        "a,,A,kind,\n",
        "a,A,A,kind,\nb,A,B,kind,\n",
        'a,"A\nB",A,kind,\n',
        f"a,{'A' * 121},A,kind,\n",
        "a,A,A,Kind 1,\n",
        "a,A,A,kind,\n\x00\n",
        "a,A,A,kind,,ja\n",
        "".join(f"a{n},A{n},A{n},kind,,true\n" for n in range(services.FOCUS_COUNT + 1)),
    ],
)
def test_a_list_that_cannot_be_used_is_told(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "services.csv"
    path.write_text(HEAD.replace("\n", ",is_focus\n") + rows)
    with pytest.raises(services.ServiceListError, match="services"):
        services.read(path)


@pytest.mark.parametrize(
    ("marked", "focus"), [({"a3", "a25"}, ["a3", "a25"]), (set(), [f"a{n}" for n in range(services.FOCUS_COUNT)])]
)
def test_the_report_draws_the_services_that_are_marked_or_the_first_ones(
    tmp_path: Path, marked: set[str], focus: list[str]
) -> None:
    path = tmp_path / "services.csv"
    rows = [f"a{n},A{n},A{n},kind,,{'true' if f'a{n}' in marked else ''}\n" for n in range(30)]
    path.write_text(HEAD.replace("\n", ",is_focus\n") + "".join(rows))
    assert [row["service_id"] for row in services.read(path) if row["is_focus"]] == focus


def test_the_command_line_tells_it_in_one_sentence(tmp_path: Path) -> None:
    ran = started(tmp_path / "none.csv", "-m", "orchestration.cli", "refresh", "--home", str(tmp_path / "home"))
    assert ran.returncode == 2
    assert "none.csv cannot be read" in ran.stderr and "Traceback" not in ran.stderr
