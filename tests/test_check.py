"""A delivery tried before it is sent: every faulty row is named as it stands in the file, no sound one is, and the home stays as it is."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from click.testing import CliRunner, Result

from ingest.sample import Parameters, write_sample
from orchestration.check import REASON, RESULT, Verdict, check
from orchestration.cli import cli
from orchestration.settings import Settings, UsageError
from orchestration.withdrawals import withdraw
from tests.house import House

Row = tuple[str, tuple[tuple[str, str], ...]]


def state_of(home: Path) -> dict[str, tuple[int, int]]:
    """Every file of a home, with what would change if it were written to."""
    return {str(p.relative_to(home)): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in home.rglob("*") if not p.is_dir()}


@pytest.fixture
def tried(published: House, environment: None, tmp_path: Path) -> Callable[..., Verdict]:
    """Try a file in the published home, which must not change by it."""
    os.environ["ROLLIN_NOW"] = published.now.isoformat()

    def run(file: Path, source: str, **options: Any) -> Verdict:
        before = state_of(published.home)
        settings = Settings(home=published.home, laender=options.pop("laender", published.settings.laender))
        verdict = check(settings, file, "06", source, options.pop("out", tmp_path / "out"), options.pop("language", "de"))
        assert state_of(published.home) == before
        return verdict

    return run


def content(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """A row's filled cells, whatever their type."""
    return tuple(sorted((name, str(value)) for name, value in row.items() if value not in (None, "")))


def dirty(world: Path, file: str) -> Counter[Row]:
    """The faulty rows of a delivered file by rule and content."""
    truth = pl.read_parquet(world / "truth" / "dirty_rows.parquet").filter(pl.col("file") == file)
    return Counter((rule, content(json.loads(raw))) for rule, raw in truth.select("rule", "raw").iter_rows())


def named(verdict: Verdict, rows: dict[int, dict[str, Any]]) -> Counter[Row]:
    """What a verdict rejects: rule, and the content that stands at its row number in the file."""
    return Counter((rule, content(rows[row])) for row, rule in verdict.rejected.select("row", "rule").iter_rows())


def csv_rows(path: Path, encoding: str = "cp1252") -> dict[int, dict[str, Any]]:
    """Rows by the line on which they begin."""
    reader = csv.reader(io.StringIO(path.read_text(encoding), newline=""), delimiter=";")
    header = next(reader)
    rows, line = {}, 2
    for row in reader:
        rows[line] = dict(zip(header, row, strict=False))
        line = reader.line_num + 1
    return rows


def sheet_rows(path: Path, sheet: str, header_row: int = 3) -> dict[int, dict[str, Any]]:
    """Rows by their number on the sheet."""
    cells = openpyxl.load_workbook(path)[sheet]
    header = [cell.value for cell in cells[header_row]]
    return {
        number: dict(zip(header, row, strict=True))
        for number, row in enumerate(cells.iter_rows(min_row=header_row + 1, values_only=True), header_row + 1)
    }


def test_every_faulty_row_of_a_csv_is_named_and_no_sound_one(tried: Callable[..., Verdict], world: Path) -> None:
    file = max((world / "deliveries" / "06").glob("nutzung-*.csv"), key=lambda p: len(dirty(world, f"06/{p.name}")))
    verdict = tried(file, "nutzung")
    expected = dirty(world, f"06/{file.name}")
    assert expected.total() > 20 and len({rule for rule, _ in expected}) > 5
    assert named(verdict, csv_rows(file)) == expected
    assert verdict.exit_code == 0 and verdict.record.rows_clean + expected.total() == verdict.record.rows_delivered
    # each told with the value that stands in the file under that column
    rows = csv_rows(file)
    for row, column, value in verdict.rejected.select("row", "column", "value").iter_rows():
        if column is not None:
            assert (rows[row][column] or None) == value
    # and the copy: the same lines, each with its verdict
    assert verdict.copy is not None and verdict.copy.name == f"geprueft-{file.name}"
    told = csv_rows(verdict.copy)
    rejected = set(verdict.rejected["row"])
    assert told.keys() == rows.keys()
    for number, row in told.items():
        assert {k: v for k, v in row.items() if k not in (RESULT, REASON)} == {
            k: f"'{v}" if v.startswith(("=", "@")) else v for k, v in rows[number].items()
        }
        assert row[RESULT] == ("abgelehnt" if number in rejected else "angenommen")
        assert bool(row[REASON]) == (number in rejected)


@pytest.mark.parametrize(("name", "sheet"), [("anbindungen", "Anbindungen"), ("fallzahlen", "Fallzahlen")])
def test_every_faulty_row_of_a_workbook_is_named_and_no_sound_one(
    tried: Callable[..., Verdict], world: Path, name: str, sheet: str
) -> None:
    file = world / "deliveries" / "06" / f"{name}.xlsx"
    verdict = tried(file, name, language="en")
    expected = dirty(world, f"06/{name}.xlsx")
    assert expected.total() > 10
    assert named(verdict, sheet_rows(file, sheet)) == expected
    assert verdict.copy is not None and verdict.copy.suffix == ".xlsx"
    told, rows = sheet_rows(verdict.copy, sheet), sheet_rows(file, sheet)
    rejected = dict(verdict.rejected.select("row", "reason_en").iter_rows())
    for number, row in told.items():
        assert content({k: v for k, v in row.items() if k not in (RESULT, REASON)}) == content(rows[number])
        assert (row[RESULT], row[REASON]) == (("not accepted", rejected[number]) if number in rejected else ("accepted", None))
    cells = openpyxl.load_workbook(verdict.copy)[sheet]
    assert {cells.cell(number, len(rows[number]) + 1).fill.start_color.rgb for number in rejected} == {"FFF8CBAD"}


def test_a_bavarian_document_is_tried_without_any_home(tmp_path: Path, environment: None) -> None:
    """The directory is read for the trial alone, which is said; rows are counted from 1; the rows come back as a list."""
    world, parameters = tmp_path / "world", Parameters(laender=("09",), end="2026-03-15")  # type: ignore[arg-type]
    write_sample(world, parameters)
    os.environ["ROLLIN_NOW"] = parameters.night.isoformat()
    file = world / "deliveries" / "09" / "verbindungen.json"
    settings = Settings(home=tmp_path / "nowhere", laender=world / "laender")
    verdict = check(settings, file, "Bayern", "verbindungen", tmp_path, "de")
    assert not (tmp_path / "nowhere").exists()
    expected = dirty(world, "09/verbindungen.json")
    rows = {number: flat(row) for number, row in enumerate(json.loads(file.read_text()), 1)}
    assert expected.total() > 5
    assert named(verdict, rows) == expected
    assert any("nur für diese Prüfung abgerufen" in note for note, _ in verdict.notes)
    assert verdict.copy == tmp_path / "geprueft-verbindungen.json.xlsx"
    sheet = openpyxl.load_workbook(verdict.copy)["Rollin"]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == verdict.rejected["row"].to_list()
    # and without a directory there is one sentence
    (world / "deliveries" / "00" / "GV100AD.zip").unlink()
    with pytest.raises(UsageError, match=r"Ohne Gemeindeverzeichnis.*ROLLIN_GV100AD_LOCATION"):
        check(settings, file, "09", "verbindungen", tmp_path, "de")


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    return found


def test_rows_are_numbered_as_they_stand_in_the_file(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    """Title lines, blank lines and breaks within quotation marks count as they do in an editor."""
    lines = sorted((world / "deliveries" / "06").glob("nutzung-*.csv"))[-1].read_text("cp1252").splitlines()
    header, sound = lines[0], [line for line in lines[1:] if line][:3]
    broken = sound[2].split(";")
    broken[1] = '"06\n\n999"'
    file = tmp_path / "nutzung.csv"
    file.write_bytes("\r\n".join([header, sound[0], "", ";;;;;;", ";".join(broken), sound[1], "kurz;5"]).encode("cp1252"))
    verdict = tried(file, "nutzung")
    by_row = dict(verdict.rejected.select("row", "rule").iter_rows())
    assert by_row.keys() == {5, 9}
    assert verdict.copy is not None
    copy = verdict.copy.read_bytes().decode("cp1252").split("\r\n")
    assert len(copy) == 9 and copy[2] == "" and copy[3] == ";;;;;;"
    assert copy[1].endswith(";angenommen;") and copy[6].startswith('999"') and ";abgelehnt;" in copy[6]
    fields = next(csv.reader([copy[8]], delimiter=";"))
    width = len(header.split(";"))
    assert fields[width] == "abgelehnt" and len(fields) == width + 2


def test_what_would_be_refused_is_said_with_exit_3(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    """Half of a full list is gone: each row is sound, the list is not; the night would say the same."""
    file = tmp_path / "anbindungen.xlsx"
    book = openpyxl.load_workbook(world / "deliveries" / "06" / "anbindungen.xlsx")
    book["Anbindungen"].delete_rows(200, 10_000)
    book.save(file)
    verdict = tried(file, "anbindungen")
    assert verdict.exit_code == 3 and "wesentlich kürzer" in str(verdict.admission.refusal_de)
    assert any("Verglichen wurde mit der Lieferung" in note for note, _ in verdict.notes)


def test_columns_are_told(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    lines = sorted((world / "deliveries" / "06").glob("kosten-*.csv"))[-1].read_text("cp1252").splitlines()
    file = tmp_path / "kosten.csv"
    file.write_text("\n".join([lines[0].replace("Kostenart", "Art \x1b[31m"), *lines[1:]]), "cp1252")
    verdict = tried(file, "kosten")
    assert verdict.record.missing_columns == ["Kostenart"] and verdict.exit_code == 3
    from orchestration.check import told

    text = "\n".join(told(verdict, "de"))
    assert "Fehlende Spalten: Kostenart." in text and "Unbekannte Spalten" in text and "\x1b" not in text
    assert verdict.rejected.height == verdict.record.rows_delivered


def test_a_withdrawn_content_would_not_be_admitted(house: House, tmp_path: Path) -> None:
    from ingest.landing import Landing

    os.environ["ROLLIN_NOW"] = house.now.isoformat()
    landing = Landing(house.home)
    newest = landing.newest("06", "fallzahlen")
    assert newest is not None
    withdraw(landing, "06", "fallzahlen", newest.delivery_id, "Falsches Jahr", house.now)
    verdict = check(house.settings, house.delivery("06/fallzahlen.xlsx"), "06", "fallzahlen", tmp_path, "de")
    assert verdict.exit_code == 3 and "Falsches Jahr" in str(verdict.admission.refusal_de)


# -- what nobody should send ------------------------------------------------------------------------------------------------


def hostile(folder: Path, world: Path, kind: str) -> Path:
    """A file that is no delivery."""
    file = folder / ("anbindungen.xlsx" if "xlsx" in kind else "kosten.csv")
    good = (world / "deliveries" / "06" / "anbindungen.xlsx").read_bytes()
    if kind in ("html.csv", "html.xlsx"):
        file.write_text("<!DOCTYPE html><html><body>503</body></html>")
    elif kind in ("empty.csv", "empty.xlsx"):
        file.write_bytes(b"")
    elif kind == "truncated.xlsx":
        file.write_bytes(good[: len(good) // 2])
    elif kind == "bomb.xlsx":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", b"0" * 300_000_000)
    elif kind == "utf8.csv":
        source = sorted((world / "deliveries" / "06").glob("kosten-*.csv"))[-1]
        file.write_text(source.read_text("cp1252"), "utf-8")
    elif kind == "binary.csv":
        file.write_bytes(bytes(range(256)) * 20)
    return file


@pytest.mark.parametrize(
    "kind",
    ["html.csv", "html.xlsx", "empty.csv", "empty.xlsx", "truncated.xlsx", "bomb.xlsx", "utf8.csv", "binary.csv"],
)
def test_what_is_no_delivery_gets_one_sentence(tried: Callable[..., Verdict], world: Path, tmp_path: Path, kind: str) -> None:
    verdict = tried(hostile(tmp_path, world, kind), "anbindungen" if "xlsx" in kind else "kosten")
    assert verdict.exit_code == 3 and verdict.copy is None and verdict.rejected.is_empty()
    sentence = str(verdict.admission.refusal_de)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) > 30


def test_what_is_no_file_is_a_usage_error(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(sorted((world / "deliveries" / "06").glob("kosten-*.csv"))[-1])
    os.mkfifo(tmp_path / "pipe.csv")
    for name, word in (("link.csv", "Verweis"), ("pipe.csv", "keine Datei"), (".", "keine Datei"), ("fehlt.csv", "nicht lesbar")):
        with pytest.raises(UsageError, match=word):
            tried(tmp_path / name, "kosten")
    real = sorted((world / "deliveries" / "06").glob("kosten-*.csv"))[-1]
    with pytest.raises(UsageError, match=r"keine Quelle 'koste'.*kosten"):
        tried(real, "koste")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        tried(real, "kosten", out=tmp_path / "file")


def test_the_copy_never_becomes_a_delivery(house: House, tmp_path: Path) -> None:
    os.environ["ROLLIN_NOW"] = house.now.isoformat()
    path = house.world / "laender" / "hessen.yaml"
    path.write_text(path.read_text().replace("kosten-*.csv", "*kosten-*.csv"))
    file = sorted(house.delivery("06").glob("kosten-*.csv"))[-1]
    with pytest.raises(UsageError, match="würde als Lieferung"):
        check(house.settings, file, "06", "kosten", file.parent, "de")


def test_formulas_in_a_workbook_are_inert(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    file = tmp_path / "anbindungen.xlsx"
    book = openpyxl.load_workbook(world / "deliveries" / "06" / "anbindungen.xlsx")
    sheet = book["Anbindungen"]
    last = sheet.max_row
    sheet.cell(last, 1).value = '=HYPERLINK("http://example.invalid","x")'
    sheet.cell(last - 1, 1).value = "=1+1"
    sheet.cell(last - 2, 1).value = "=cmd|' /C calc'!A0"
    sheet.cell(last - 2, 1).data_type = "s"
    book.save(file)
    verdict = tried(file, "anbindungen")
    assert {last, last - 1, last - 2} <= set(verdict.rejected["row"])
    assert verdict.copy is not None
    with zipfile.ZipFile(verdict.copy) as archive:
        for name in archive.namelist():
            assert b"<f>" not in archive.read(name) and b"<f " not in archive.read(name), name


def test_formulas_in_a_text_are_inert_and_numbers_stay(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    source = sorted((world / "deliveries" / "06").glob("kosten-*.csv"))[-1]
    lines = source.read_text("cp1252").splitlines()
    header = lines[0].split(";")
    row = lines[1].split(";")
    row[header.index("Auftragnehmer")], row[header.index("Betrag netto")] = "=cmd|' /C calc'!A0", "-1.234,50"
    other = lines[2].split(";")
    other[header.index("Auftragnehmer")], other[header.index("Abruf")] = "-2+3+cmd|x", '"@SUM(A1)"'
    file = tmp_path / "kosten.csv"
    file.write_text("\n".join([lines[0], ";".join(row), ";".join(other)]), "cp1252")
    verdict = tried(file, "kosten")
    assert verdict.copy is not None
    told = csv_rows(verdict.copy)
    assert told[2]["Auftragnehmer"].startswith("'=") and told[2]["Betrag netto"] == "-1.234,50"
    assert told[3]["Auftragnehmer"].startswith("'-2+3") and told[3]["Abruf"] == "'@SUM(A1)"


def test_a_large_file_is_told_in_bounds(tried: Callable[..., Verdict], world: Path, tmp_path: Path) -> None:
    """300,000 rows of which half are wrong: the terminal shows a few and counts the rest, the copy has all."""
    from orchestration.check import SHOWN_ROWS, shown_rows

    source = sorted((world / "deliveries" / "06").glob("nutzung-*.csv"))[-1]
    header, *lines = source.read_text("cp1252").splitlines()
    place = header.split(";").index("eingereicht")
    wrong = lines[0].split(";")
    wrong[place] = "viele"
    file = tmp_path / "nutzung.csv"
    with file.open("w", encoding="cp1252") as out:
        out.write(header + "\n")
        out.writelines((lines[n % len(lines)] if n % 2 else ";".join(wrong)) + "\n" for n in range(300_000))
    verdict = tried(file, "nutzung")
    assert verdict.exit_code == 3 and verdict.record.rows_delivered == 300_000
    _, shown, more = shown_rows(verdict, "de")
    assert len(shown) == SHOWN_ROWS and more is not None and "weitere Zeilen" in more
    assert verdict.copy is not None and verdict.copy.read_bytes().count(b"\n") == 300_001


# -- the command ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(published: House, environment: None) -> Callable[..., Result]:
    os.environ["ROLLIN_NOW"] = published.now.isoformat()

    def invoke(*arguments: str) -> Result:
        options = ["--home", str(published.home), "--laender", str(published.settings.laender)]
        return CliRunner().invoke(cli, ["check", *arguments, *options])

    return invoke


def test_the_command_tells_german_english_and_json(run: Callable[..., Result], world: Path, tmp_path: Path) -> None:
    file = str(world / "deliveries" / "06" / "fallzahlen.xlsx")
    common = (file, "--land", "06", "--source", "fallzahlen", "--out", str(tmp_path))
    german, english, document = run(*common), run(*common, "--lang", "en"), run(*common, "--json")
    assert (german.exit_code, english.exit_code, document.exit_code) == (0, 0, 0), german.output
    assert "würde angenommen" in german.output and "geliefert" in german.output and "Kommentierte Kopie" in german.output
    assert "would be admitted" in english.output and "delivered" in english.output
    told = json.loads(document.stdout)
    assert told["is_admitted"] is True and told["rows_rejected"] == len(told["rows"]) > 0
    assert {"row", "rule", "column", "value", "reason_de", "reason_en"} == told["rows"][0].keys()


def test_the_command_refuses_with_3(run: Callable[..., Result], world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "deliveries" / "06" / "fallzahlen.xlsx", tmp_path / "kosten.csv")
    refused = run(str(tmp_path / "kosten.csv"), "--land", "06", "--source", "kosten", "--out", str(tmp_path))
    assert refused.exit_code == 3 and "Statt einer CSV-Datei kam" in refused.output
