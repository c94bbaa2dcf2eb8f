"""XLSX, Parquet, GV100AD and territory changes: workbooks and archives are measured first, the real files are read whole."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.landfile import Source
from ingest.portals import PORTALS, UnreadableDelivery, base
from ingest.tables import REGION_KINDS


def source(kind: str, **more: Any) -> Source:
    table = {"gv100ad": "regions", "gebietsaenderungen": "territory_changes"}.get(kind, "connections")
    entries = {"name": "x", "table": table, "format": kind, "location": "https://a.example/x", "delivers": "snapshot"} | more
    return Source.model_validate(entries)


def read(path: Path, src: Source) -> pl.DataFrame:
    return PORTALS[src.format].read([path], src).collect()


def write(folder: Path, data: bytes, name: str = "part") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


XLSX = source("xlsx", columns={"region_key": "Schlüssel", "phase": "Stand"}, reading={"sheet": "Anbindungen", "header_row": 3})


def workbook(path: Path, rows: list[list[Any]], sheet: str = "Anbindungen", first_row: int = 2) -> Path:
    with xlsxwriter.Workbook(str(path), {"default_date_format": "dd.mm.yyyy"}) as book:
        page = book.add_worksheet(sheet)
        for number, row in enumerate(rows, first_row):
            for column, value in enumerate(row):
                if isinstance(value, str) and value.startswith("=="):
                    page.write_formula(number, column, value[1:], None, "#DIV/0!")
                elif isinstance(value, str):
                    page.write_string(number, column, value)
                elif value is not None:
                    page.write(number, column, value)
    return path


def rezipped(path: Path, change: dict[str, bytes | None], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """The archive with members replaced (None: left out)."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | change
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return path


HEADER = ["Schlüssel", "Stand"]


# -- XLSX -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("titles", [[["Bericht"], []], []])
def test_cells_become_text_as_delivered(tmp_path: Path, titles: list[list[Any]]) -> None:
    rows = [
        [*HEADER, "am", "um", "n", "x", "ja"],
        ["06435014", " produktiv ", date(2026, 1, 31), datetime(2026, 1, 31, 23, 59, 30), 6399, 1234.5, True],
        [],
        ["09162000", None, "31.01.2026", None, 1e-7, 12345678901, False],
    ]
    path = workbook(tmp_path / "a.xlsx", titles + rows, first_row=0 if titles else 2)
    frame = read(path, XLSX)
    assert frame.columns == ["Schlüssel", "Stand", "am", "um", "n", "x", "ja", "_row"]
    assert frame.rows() == [
        ("06435014", "produktiv", "2026-01-31", "2026-01-31T23:59:30", "6399", "1234.5", "true", 1),
        ("09162000", None, "31.01.2026", None, "0.0000001", "12345678901", "false", 2),
    ]


def test_numbers_keep_their_value_whatever_separators_texts_have(tmp_path: Path) -> None:
    reading = {"sheet": "Anbindungen", "header_row": 3, "decimal": ",", "thousands": "."}
    cells = [1.234, "1.234", 1234.5, "1.234,50", -0.5, 1e-7, 1_234_567, date(2026, 1, 31), "12.01.2026", True, None]
    path = workbook(tmp_path / "a.xlsx", [HEADER, *(["06435014", cell] for cell in cells), ["06435014", "==1/0"]])
    frame = read(path, source("xlsx", columns=XLSX.columns, reading=reading))
    written = [
        "1,234",
        "1.234",
        "1234,5",
        "1.234,50",
        "-0,5",
        "0,0000001",
        "1234567",
        "2026-01-31",
        "12.01.2026",
        "true",
        None,
        None,
    ]
    assert frame["Stand"].to_list() == written

    numbers = [{"Stand": 1.234, "Schlüssel": "1.234"}, {"Stand": 5, "Schlüssel": "5"}]
    stated = {"columns": XLSX.columns, "reading": {"decimal": ",", "thousands": "."}}
    text = json.dumps(numbers, ensure_ascii=False)
    assert read(write(tmp_path, text.encode()), source("json", **stated))["Stand"].to_list() == ["1,234", "5"]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in numbers)
    assert read(write(tmp_path, lines.encode()), source("ndjson", **stated))["Stand"].to_list() == ["1,234", "5"]
    pl.DataFrame({"Stand": [1.234, 0.5], "x": [Decimal("1.20"), None], "Schlüssel": ["1.234", None]}).write_parquet(
        tmp_path / "a.parquet"
    )
    frame = read(tmp_path / "a.parquet", source("parquet", **stated))
    assert frame.drop("_row").rows() == [("1,234", "1,20", "1.234"), ("0,5", None, None)]


def test_delivered_names_are_names_and_no_patterns(tmp_path: Path) -> None:
    names = ["*", "^.*$", "Schlüssel"]
    line, quoted = b"1;2;3", b'1;"2";3'
    head = ";".join(names).encode()
    for body in (line, quoted):
        assert read(write(tmp_path, head + b"\n" + body), source("csv", columns=XLSX.columns)).rows() == [("1", "2", "3", 1)]
    assert read(workbook(tmp_path / "a.xlsx", [names, ["1", "2", "3"]]), XLSX).rows() == [("1", "2", "3", 1)]
    rows = [{"*": 1, "^.*$": {"*": 2, "b": 4}, "Schlüssel": 3}]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    frame = read(tmp_path / "a.parquet", source("parquet", columns=XLSX.columns))
    assert frame.rows(named=True) == [{"*": "1", "Schlüssel": "3", "^.*$.*": "2", "^.*$.b": "4", "_row": 1}]
    export = b"leika_key;ars;url;*;^.*$\n99115005104000;09;https://a.example;1;2"
    assert read(write(tmp_path, export), source("open_pvog", table="listings")).select("_delivered").to_dicts() == [
        {"_delivered": {"leika_key": "99115005104000", "ars": "09", "url": "https://a.example", "*": "1", "^.*$": "2"}}
    ]
    assert read(write(tmp_path, b'{"content": []}'), source("open_pvog", table="listings")).height == 0


def test_failed_formulas_are_named(tmp_path: Path) -> None:
    frame = read(workbook(tmp_path / "a.xlsx", [HEADER, ["06435014", "a"], ["06435014", "==1/0"], ["==1/0", "==1/0"]]), XLSX)
    assert frame["_malformed"].to_list() == [None, "Formelfehler in B5", "Formelfehler in A6, B6"]
    assert frame["Schlüssel"].to_list() == ["06435014", "06435014", None]


def test_unnamed_columns_are_kept_where_they_hold_something(tmp_path: Path) -> None:
    frame = read(workbook(tmp_path / "a.xlsx", [[*HEADER, None, None], ["1", "2", None, "note"]]), XLSX)
    assert frame.columns == ["Schlüssel", "Stand", "spalte_4", "_row"]


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        ({"sheet": "Blatt"}, "'Blatt' fehlt, vorhanden sind: 'Anbindungen'"),
        ({"header_row": 30}, "hat keine Zeile 30"),
        ({"header_row": 4}, "keine der erwarteten Spalten"),
    ],
)
def test_a_wrong_reading_is_explained(tmp_path: Path, reading: dict[str, Any], says: str) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, ["06435014", "a"]])
    with pytest.raises(UnreadableDelivery) as caught:
        read(path, source("xlsx", columns=XLSX.columns, reading=reading))
    assert says in caught.value.sentence_de


def test_two_cells_far_apart_do_not_kill_the_process(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, ["1", "2"]])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    rezipped(path, {"xl/worksheets/sheet1.xml": sheet.replace(b"</sheetData>", far)})
    with pytest.raises(UnreadableDelivery, match="spans more than"):
        read(path, XLSX)


def test_cells_without_addresses_are_counted(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, ["1", "2"]])
    wide = b"<c><v>1</v></c>" * 16_000
    sheet = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">' + wide
    rezipped(path, {"xl/worksheets/sheet1.xml": sheet + b'</row><row r="1000000"><c><v>1</v></c></row></sheetData></worksheet>'})
    with pytest.raises(UnreadableDelivery, match="spans more than"):
        read(path, XLSX)


def test_a_truncated_workbook(tmp_path: Path) -> None:
    data = workbook(tmp_path / "a.xlsx", [HEADER, ["1", "2"]]).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(UnreadableDelivery) as caught:
            read(write(tmp_path, data[: int(len(data) * share)]), XLSX)
        assert "beschädigt oder unvollständig" in caught.value.sentence_de


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1), value=st.integers(0, 255))
def test_a_damaged_workbook_never_crashes(tmp_path_factory: pytest.TempPathFactory, position: float, value: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    good = folder / "good.xlsx"
    if not good.exists():
        workbook(good, [HEADER, ["06435014", "produktiv"]])
    data = bytearray(good.read_bytes())
    data[min(int(position * len(data)), len(data) - 1)] = value
    try:
        frame = read(write(folder, bytes(data), "damaged.xlsx"), XLSX)
    except UnreadableDelivery:
        return
    assert frame.height == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<html><body>Wartung", "eine HTML-Seite"),
        (b"\xd0\xcf\x11\xe0" * 9, "eine alte Excel-Datei"),
        (b"", "eine leere Datei"),
        (b"x", "unbekannter"),
    ],
)
def test_other_files_are_no_workbook(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(UnreadableDelivery) as caught:
        read(write(tmp_path, data), XLSX)
    assert says in caught.value.sentence_de


def test_an_archive_without_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UnreadableDelivery, match="no readable XLSX"):
        read(path, XLSX)


# -- archives ---------------------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    for kind in ("xlsx", "gv100ad"):
        with pytest.raises(UnreadableDelivery, match="disproportionately large"):
            read(path, source(kind))


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    inflated = b"0" * 30_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(inflated) + packer.flush()
    name, claimed = b"GV100AD.txt", b"0" * 100
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, zlib.crc32(claimed), len(packed), 100, len(name), 0) + name
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, zlib.crc32(claimed), len(packed), 100, len(name), 0, 0, 0, 0, 0, 0
    )
    body = local + packed
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central) + len(name), len(body), 0)
    path = write(tmp_path, body + central + name + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("GV100AD.txt") == claimed  # who trusts the stated size is deceived
    with pytest.raises(UnreadableDelivery, match=r"disproportionately large|damaged"):
        base.check_zip(path)


def test_an_encrypted_member_and_too_many_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("GV100AD.txt", "x")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnreadableDelivery, match="password"):
        base.check_zip(write(tmp_path, bytes(data), "locked.zip"))
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(base.MAX_ARCHIVE_MEMBERS + 1):
            archive.writestr(str(number), "")
    with pytest.raises(UnreadableDelivery, match="disproportionately"):
        base.check_zip(path)


# -- Parquet ----------------------------------------------------------------------------------------------------------------


def test_types_become_text(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "region_key": ["06435014", None],
            "effective_on": [date(2026, 1, 31), None],
            "reported_at": [datetime(2026, 1, 31, 12, 0, 0, 500000, UTC), None],
            "person_days": [1.5, 2.0],
            "wave": [7, None],
            "is_pilot": [True, False],
            "amount": [Decimal("1234.50"), None],
            "nested": [{"a": 1, "b": {"c": "x"}}, {"a": None, "b": {"c": None}}],
            "list": [["x"], []],
        }
    )
    path = tmp_path / "a.parquet"
    frame.write_parquet(path)
    result = read(path, source("parquet"))
    assert all(dtype == pl.String for name, dtype in result.schema.items() if name != "_row")
    first = result.row(0, named=True)
    assert first["effective_on"] == "2026-01-31"
    assert datetime.fromisoformat(first["reported_at"]) == frame["reported_at"][0]
    assert (first["person_days"], first["wave"], first["is_pilot"], first["amount"]) == ("1.5", "7", "true", "1234.50")
    assert (first["nested.a"], first["nested.b.c"]) == ("1", "x")
    assert result.row(1, named=True)["reported_at"] is None
    assert result["_row"].to_list() == [1, 2]


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1), value=st.integers(0, 255), length=st.floats(0.1, 1))
def test_damaged_parquet_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int, length: float
) -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"region_key": ["06435014"] * 50, "wave": list(range(50))}).write_parquet(buffer)
    data = bytearray(buffer.getvalue())
    data[min(int(position * len(data)), len(data) - 1)] = value
    path = write(tmp_path_factory.getbasetemp(), bytes(data[: max(5, int(len(data) * length))]))
    try:
        frame = read(path, source("parquet"))
    except UnreadableDelivery:
        return
    assert frame.height > 0


# -- GV100AD ----------------------------------------------------------------------------------------------------------------

GV = source("gv100ad")


def record(kind: str, key: str, name: str, rest: str = "", stand: str = "20251130") -> str:
    return (kind + stand + key.ljust(12) + name.ljust(50)).ljust(122) + rest.ljust(98)


def directory(stand: str = "20251130") -> list[str]:
    return [
        record("10", "06", "Hessen", stand=stand),
        record("20", "064", "Reg.-Bez. Darmstadt", stand=stand),
        record("40", "06435", "Main-Kinzig-Kreis", "44", stand),
        record("50", "06435   0014", "Hanau, Brüder-Grimm-Stadt", "50", stand),
        record("60", "064350140014", "Hanau, Brüder-Grimm-Stadt", "63" + " " * 4 + "0000000765000000097956".ljust(70), stand),
        record(
            "60",
            "070009999999",
            "Gemeinsames Hoheitsgebiet / Wysokošulske",
            "66" + " " * 4 + "0000000006200000000000".ljust(70),
            stand,
        ),
    ]


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
@pytest.mark.parametrize("is_zip", [False, True])
def test_records_become_municipalities(tmp_path: Path, encoding: str, end: str, is_zip: bool) -> None:
    data = (end.join(directory()) + end).encode(encoding)
    if is_zip:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Hinweise.txt", "Bevölkerung")
            archive.writestr("../../GV100AD_30112025.txt", data)
        data = buffer.getvalue()
    frame = read(write(tmp_path, data), GV)
    assert frame.row(0, named=True) == {
        "ags": "06435014", "ars": "064350014014", "name": "Hanau, Brüder-Grimm-Stadt", "kind": "stadt",
        "kreis_code": "06435", "kreis_name": "Main-Kinzig-Kreis",
        "regierungsbezirk_code": "064", "regierungsbezirk_name": "Reg.-Bez. Darmstadt",
        "verband_code": "064350014", "verband_name": "Hanau, Brüder-Grimm-Stadt",
        "population": "97956", "population_date": "2024-12-31", "census_base": "zensus_2022", "area_km2": "76.50",
        "valid_from": "1900-01-01", "_row": 1,
    }  # fmt: skip
    orphan = frame.row(1, named=True)  # no Kreis of its own in the file
    assert (orphan["kreis_name"], orphan["area_km2"], orphan["population"]) == (orphan["name"], "0.62", "0")
    assert orphan["regierungsbezirk_code"] is None


@pytest.mark.parametrize(
    ("stand", "population_date", "census"),
    [
        ("20180930", "2017-12-31", "zensus_2011"),
        ("20231130", "2022-12-31", "zensus_2011"),
        ("20221231", "2022-12-31", "zensus_2011"),
        ("20250831", "2024-12-31", "zensus_2022"),
        ("20260131", "2024-12-31", "zensus_2022"),
        ("00000000", None, None),
    ],
)
def test_the_day_of_the_population(tmp_path: Path, stand: str, population_date: str | None, census: str | None) -> None:
    frame = read(write(tmp_path, "\n".join(directory(stand)).encode()), GV)
    assert frame.select("population_date", "census_base").row(0) == (population_date, census)


def test_a_land_file_may_state_the_day_of_the_population(tmp_path: Path) -> None:
    frame = read(
        write(tmp_path, "\n".join(directory()).encode()), source("gv100ad", constants={"population_date": date(2023, 12, 31)})
    )
    assert "population_date" not in frame.columns


def test_records_of_the_wrong_length_stay_with_their_reason(tmp_path: Path) -> None:
    lines = directory()
    lines[5] = lines[5].rstrip()
    lines.append(record("70", "06", "neu"))
    frame = read(write(tmp_path, "\n".join(lines).encode()), GV)
    assert frame.height == 3
    reasons = frame["_malformed"].to_list()
    assert reasons[0] is None and "statt 220 Zeichen" in reasons[1] and "unbekannte Satzart" in reasons[2]


@pytest.mark.parametrize("data", [b"", b"<html>", b"60\n", record("50", "06", "x").encode(), b"\x00" * 220])
def test_other_text_is_no_directory(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnreadableDelivery):
        read(write(tmp_path, data), GV)


@pytest.mark.parametrize(
    ("file", "municipalities", "areas", "population", "population_date", "census"),
    [
        ("GV100AD_30112025.txt", 10_751, 202, 83_577_140, "2024-12-31", "zensus_2022"),
        ("GV100AD_30092018.ASC", 11_012, 77, 82_385_138, "2017-12-31", "zensus_2011"),
    ],
)
def test_the_real_editions(
    shared_data: Path, file: str, municipalities: int, areas: int, population: int, population_date: str, census: str
) -> None:
    frame = read(shared_data / "destatis" / file, GV)
    is_area = pl.col("kind").str.starts_with("gemeindefrei")
    assert frame.filter(~is_area).height == municipalities
    assert frame.filter(is_area).height == areas
    assert frame["population"].cast(pl.Int64).sum() == population
    assert frame["population_date"].unique().to_list() == [population_date]
    assert frame["census_base"].unique().to_list() == [census]
    assert set(frame["kind"]) <= set(REGION_KINDS)
    assert frame["ags"].is_unique().all() and frame["ars"].is_unique().all()
    assert frame.select("kreis_name", "verband_name", "name").null_count().row(0) == (0, 0, 0)
    if file.endswith(".txt"):  # area and counts per Land as published
        assert sum(map(Decimal, frame["area_km2"])) == Decimal("357683.92")
        by_land = frame.filter(~is_area).group_by(pl.col("ags").str.head(2)).len()
        assert dict(by_land.rows())["09"] == 2_056 and dict(by_land.rows())["06"] == 421
        assert frame.filter(pl.col("ags") == "14625020")["name"].item().startswith("Bautzen / Budyšin")


# -- territory changes ------------------------------------------------------------------------------------------------------

TC = source("gebietsaenderungen", delivers="changes")


@pytest.mark.parametrize(
    ("file", "rows"),
    [("2018", 161), ("2019", 668), ("2020", 437), ("2021", 87), ("2022", 29), ("2023", 43), ("2024", 67), ("2025-02", 21)],
)
def test_the_real_yearly_files(shared_data: Path, file: str, rows: int) -> None:
    frame = read(shared_data / "destatis/gebietsaenderungen" / f"{file}.xlsx", TC)
    assert frame.height == rows
    assert set(frame["kind"]) <= {"dissolution", "part_transfer", "key_change", "name_change"}
    assert frame["effective_on"].str.contains(r"^20\d\d-\d\d-\d\d$").all()
    whole = frame.filter(pl.col("old_ags").is_not_null())
    assert whole.height >= frame.height - 1  # one row of 2019 is a Verband under the name of a Gemeinde
    for column, digits in (("old_ags", 8), ("new_ags", 8), ("old_ars", 12), ("new_ars", 12)):
        assert whole[column].str.contains(rf"^\d{{{digits}}}$").all()
    if file == "2023":
        gone = frame.filter(pl.col("old_ags") == "06635005").row(0, named=True)
        assert (gone["new_ags"], gone["kind"], gone["effective_on"], gone["population_moved"]) == (
            "06635001",
            "dissolution",
            "2023-01-01",
            "1917",
        )


def changes(path: Path, rows: list[list[Any]]) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Deckblatt").write(0, 0, "©")
        page = book.add_worksheet("Gebietsaenderungen")
        header = [["Gebietsänderungen"], ["Kennziffer", "Regionaleinheit", "Abgebende"], [None, None, "ARS", "AGS"], []]
        for number, row in enumerate([*header, *rows, [], ["1 = Auflösung"], ["© Destatis"]]):
            for column, value in enumerate(row):
                if value is not None:
                    page.write_string(number, column, value) if isinstance(value, str) else page.write(number, column, value)
        page.write_string(1, 12, "statistisch")
    return path


def test_mixed_types_several_kinds_and_other_units(tmp_path: Path) -> None:
    row = [
        "06/2026/1-R",
        "Gemeinde",
        64350014014,
        6435014,
        "Hanau",
        "3, 4",
        None,
        None,
        "064150000000",
        "06415000",
        "Hanau",
        "01.01.2026",
        "01.01.2026",
    ]
    verband = [
        "06/2026/1-R",
        "Gemeindeverband",
        "064350014",
        None,
        "Hanau",
        3,
        None,
        None,
        "064150000",
        None,
        "Hanau",
        "x",
        "01.01.2026",
    ]
    other = ["06/2026/2-R", "Gemeinde", "1", "2", "a", 7, None, None, "3", "4", "b", "x", "31.12.26"]
    frame = read(changes(tmp_path / "a.xlsx", [row, verband, other]), TC)
    assert frame["_row"].to_list() == [1, 2, 3]
    assert frame["kind"].to_list() == ["key_change", "name_change", "7"]
    assert frame.row(0)[:4] == ("06435014", "06415000", "064350014014", "064150000000")
    assert frame["effective_on"].to_list() == ["2026-01-01", "2026-01-01", "31.12.26"]


def test_another_workbook_is_no_list_of_changes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDelivery) as caught:
        read(workbook(tmp_path / "a.xlsx", [HEADER]), TC)
    assert "fehlt" in caught.value.sentence_de
