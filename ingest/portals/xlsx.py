"""XLSX: one sheet of a workbook, every cell as text.

Belongs here: opening workbooks safely, header row, cells as text. Does not: the meaning of columns and values.

A number in a workbook has no separators: how it looks is a matter of its format. ``reading.decimal`` and ``reading.thousands`` say
how numbers are written that somebody typed as text ("1.234,50"); a cell that is a number keeps its value whatever they say, so its
text has the stated decimal sign and no thousands. Columns that mix both are read rightly.

A workbook is a ZIP of XML, and its reader lays a sheet out as a rectangle: two cells at opposite corners of a sheet would claim
hundreds of gigabytes and kill the process. So a workbook is measured before it is opened.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import fastexcel
import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base
from ingest.portals.base import Request, UnreadableDelivery
from ingest.transport import Client

ACCEPT = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/octet-stream;q=0.5"
#: Cells of the rectangle that a sheet spans, and bytes that its texts may become.
MAX_SHEET_CELLS = 20_000_000
MAX_TEXT_BYTES = 4 * 1024**3

_CELL = re.compile(rb"<(?:\w+:)?c\s[^<>]*?\br\s*=\s*[\"']\s*([A-Za-z]{1,9})(\d{1,9})\s*[\"']")
_ROW = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\br\s*=\s*[\"']\s*(\d{1,9})\s*[\"']")
_ANY_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW_END = re.compile(rb"</(?:\w+:)?row\s*>")
_FAILED = re.compile(rb"<(?:\w+:)?c\s(?=[^<>]*?\bt\s*=\s*[\"']e[\"'])[^<>]*?\br\s*=\s*[\"']([A-Za-z]{1,3})(\d{1,7})[\"']")
_SHARED = re.compile(rb"\bt\s*=\s*[\"']s[\"']")
_DATE = r"^(\d{4}-\d{2}-\d{2}) 00:00:00$"
_INSTANT = r"^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}(?:\.\d+)?)$"


class Xlsx:
    """One sheet of a workbook: ``reading.sheet`` (default: the first) with its header in ``reading.header_row``."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The workbook at the address."""
        return base.get_whole(client, source, request, ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """The sheet of every part, by column name. Dates are ISO text, empty rows are left out."""
        return base.raw_frame(pl.concat([self._read(path, source).drop("_row") for path in paths], how="diagonal"))

    def read_as_seen(self, path: Path, source: Source) -> pl.LazyFrame:
        """One workbook, each row numbered as the sheet numbers it."""
        return self._read(path, source).lazy()

    def _read(self, path: Path, source: Source) -> pl.DataFrame:
        rows = sheet_rows(path, source.reading.sheet, source.reading.header_row, source.reading.decimal or ".")
        header, body = rows.row(0), rows.slice(1)
        errors = body["_malformed"]
        # columns without a name are kept where they hold something
        kept = [
            index
            for index, name in enumerate(header[:-1])
            if (name or "").strip() or body.to_series(index).null_count() < body.height
        ]
        names = base.column_names(header)
        frame = body.select(pl.nth(index).alias(names[index]) for index in kept)
        base.require_columns(
            frame.columns,
            source,
            "sheet und header_row im Land-File unter reading prüfen",
            "check sheet and header_row in the Land file",
        )
        if errors.null_count() < errors.len():
            frame = frame.with_columns(errors)
        numbers = pl.int_range(source.reading.header_row + 1, pl.len() + source.reading.header_row + 1, dtype=pl.Int64)
        return frame.with_columns(numbers.alias("_row")).filter(~pl.all_horizontal(pl.exclude("_row").is_null()))


def sheet_rows(path: Path, sheet: str | int | None = None, first_row: int = 1, decimal: str = ".") -> pl.DataFrame:
    """The rows of a sheet (by name, by index, or the first) from ``first_row`` (from 1) on, as text columns ``column_1`` …

    Cells that are numbers are written with ``decimal`` as their decimal sign; text stays as it is.

    The last column, ``_malformed``, names the cells of a row whose formula failed: they hold no value.
    Raises UnreadableDelivery for anything but a workbook of bearable size that has this sheet and a row ``first_row``.
    """
    failed = _measure(path, base.check_zip(path))
    damaged = UnreadableDelivery(
        "Die Datei ist keine lesbare XLSX-Arbeitsmappe: in Excel öffnen, als .xlsx speichern und erneut liefern.",
        "The file is no readable XLSX workbook: open it in Excel, save it as .xlsx and deliver it again.",
    )

    def load(dtype: Literal["string", "boolean"]) -> pl.DataFrame:
        workbook = fastexcel.read_excel(path)
        names = workbook.sheet_names
        wanted = sheet if isinstance(sheet, str) else names[sheet or 0] if (sheet or 0) < len(names) else None
        if wanted not in names:
            shown = ", ".join(repr(name[:40]) for name in names[:8]) or "keines"
            raise UnreadableDelivery(
                f"Das Tabellenblatt {sheet!r} fehlt, vorhanden sind: {shown}; reading.sheet im Land-File prüfen.",
                f"The sheet {sheet!r} is missing, there are: {shown}; check reading.sheet in the Land file.",
            )
        try:
            # with skip_rows given, rows are counted from the top of the sheet, not from its first used row
            loaded: pl.DataFrame = workbook.load_sheet(wanted, header_row=None, skip_rows=first_row - 1, dtypes=dtype).to_polars()
        except fastexcel.InvalidParametersError:
            loaded = pl.DataFrame()
        if not loaded.height:
            raise UnreadableDelivery(
                f"Das Tabellenblatt {wanted!r} hat keine Zeile {first_row}, in der die Spaltennamen stehen sollten: "
                "reading.header_row im Land-File prüfen.",
                f"The sheet {wanted!r} has no row {first_row}, where the column names should be: "
                "check reading.header_row in the Land file.",
            )
        return loaded

    frame = base.guarded(lambda: load("string"), damaged).cast(pl.String)
    if decimal != ".":
        # as truth values, cells that are numbers have a value and cells that are text or dates have none
        is_number = base.guarded(lambda: load("boolean"), damaged)
        frame = pl.DataFrame(
            [
                cells.zip_with(number.is_null(), cells.str.replace(".", decimal, literal=True))
                for cells, number in zip(frame, is_number, strict=True)
            ]
        )
    frame = frame.rename({name: f"column_{position}" for position, name in enumerate(frame.columns, 1)})
    frame = frame.with_columns(
        pl.all().str.strip_chars(" \t\r\n\u00a0").replace("", None).str.replace(_DATE, "${1}").str.replace(_INSTANT, "${1}T${2}")
    )
    reasons = pl.Series("_malformed", [None] * frame.height, dtype=pl.String)
    if failed:
        reasons = pl.Series(
            "_malformed", [failed.get(row) for row in range(first_row, first_row + frame.height)], dtype=pl.String
        )
    return frame.with_columns(reasons)


def _measure(path: Path, members: Sequence[zipfile.ZipInfo]) -> dict[int, str]:
    """Raises UnreadableDelivery where a sheet would become too large in memory.

    Returns the rows with failed formulas and what to say about them, if the workbook has one sheet with any: the reader gives no
    value for such cells, and which file holds which sheet is not worked out here.
    """
    longest, shared, failures = 0, 0, []
    for member in members:
        content = base.read_member(path, member)
        if "sheetData".encode("utf-16-le") in content or "sheetData".encode("utf-16-be") in content:
            raise _too_large()  # two-byte text would hide its cells from the patterns below; nobody writes sheets so
        if b"<sst" in content[:2000]:
            longest = max(map(len, content.split(b"<si>")))
        if b"sheetData" not in content:
            continue
        cells = _CELL.findall(content)
        rows = max((int(row) for row in {*(row for _, row in cells), *_ROW.findall(content)}), default=0)
        columns = max((_column_number(column) for column in {column for column, _ in cells}), default=0)
        counts = [len(_ANY_CELL.findall(row)) for row in _ROW_END.split(content)]
        if sum(counts) > len(cells):  # cells without an address take the next place in their row
            rows, columns = max(rows, len(counts)), columns + max(counts)
        shared = max(shared, len(_SHARED.findall(content)))
        if rows * columns > MAX_SHEET_CELLS or longest * shared > MAX_TEXT_BYTES:
            raise _too_large()
        if found := _FAILED.findall(content):
            failures.append(found)
    if longest * shared > MAX_TEXT_BYTES:
        raise _too_large()
    if len(failures) != 1:
        return {}
    by_row: dict[int, list[str]] = {}
    for column, row in failures[0]:
        by_row.setdefault(int(row), []).append(f"{column.decode()}{int(row)}")
    return {row: f"Formelfehler in {', '.join(cells[:5])}" for row, cells in by_row.items()}


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _too_large() -> UnreadableDelivery:
    return UnreadableDelivery(
        f"Ein Tabellenblatt spannt mehr als {MAX_SHEET_CELLS:,} Zellen auf oder enthält zu viel Text: "
        "leere Zeilen und Spalten am Rand löschen oder als CSV liefern.",
        f"A sheet spans more than {MAX_SHEET_CELLS:,} cells or holds too much text: "
        "delete empty rows and columns at its edge or deliver CSV.",
    )
