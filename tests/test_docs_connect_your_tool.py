"""What the page "Connect your tool" says is so: its code runs, its roles can do what they need and no more."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from orchestration.postgres import feed
from tests.conftest import ROOT
from tests.house import House
from tests.postgres import Postgres
from tests.press import Press

PAGE = (ROOT / "docs" / "connect-your-tool.md").read_text(encoding="utf-8")


def block(language: str, beginning: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if text.startswith(beginning)]
    assert len(found) == 1, (language, beginning)
    return found[0]


def test_the_python_on_the_page_reads_a_release(published: House, capsys: pytest.CaptureFixture[str]) -> None:
    code = block("python", "import duckdb").replace("var/published", str(published.settings.published))
    exec(compile(code, "page", "exec"), {})
    assert re.search(r"land_code.* rows ", capsys.readouterr().out, re.DOTALL)


def test_the_roles_on_the_page_suffice(postgres: Postgres, tmp_path: Path, environment: None) -> None:
    once, then = block("sql", "CREATE ROLE").split("-- then, connected to rollin_public:")
    with psycopg.connect(postgres.address("postgres"), autocommit=True) as admin:
        for statement in once.split(";")[:-1]:
            admin.execute(statement)
    with psycopg.connect(postgres.address("rollin_public"), autocommit=True) as admin:
        admin.execute(then)
    press = Press(tmp_path / "home")
    feeder = postgres.address("rollin_public", "rollin_feed", "change me")
    reader = postgres.address("rollin_public", "reporting", "change me too")
    for number in (1, 2):
        if number == 2:  # a table made anew is readable too
            press.more = ["alter table core.dim_land alter population type integer"]
        press.publish(number)
        feed(press.settings, "public", feeder)
        with psycopg.connect(reader, autocommit=True) as con:
            assert con.execute("select max(population) from core.dim_land").fetchall() == [(number,)]
            assert con.execute("select distinct tier from meta.feed").fetchall() == [("public",)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                con.execute("delete from core.dim_land")


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_workbook(tmp_path: Path, environment: None) -> None:
    press = Press(tmp_path / "home")
    press.publish(1)
    public, out = press.settings.current / "public", tmp_path / "out"
    every_sheet = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", every_sheet, "--outdir", out, public / "rollin.xlsx"]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)})
    tables = sorted((public / "csv").rglob("*.csv"))
    assert len(tables) == 5
    for table in tables:
        with table.open(newline="") as ours, (out / f"rollin-{table.stem}.csv").open(newline="") as theirs:
            rows, sheet = list(csv.reader(ours)), list(csv.reader(theirs))
        assert sheet[0] == rows[0] and len(sheet) == len(rows), table.stem
        assert not any(cell.startswith(("#", "Err:")) for row in sheet for cell in row)
        key = rows[0].index("land_code") if "land_code" in rows[0] else 0
        assert [row[key] for row in sheet] == [row[key] for row in rows]  # zeros in front and all
