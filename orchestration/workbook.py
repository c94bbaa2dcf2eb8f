"""``rollin.xlsx``: a release for people who work in a spreadsheet.

Belongs here: one sheet per table, typed and formatted, a sheet of notes before them. Does not: which tables and columns (``publication``).

xlsxwriter makes the workbook with all its parts: formats, heads, widths, frozen panes, filters and one row of every table that stands
for all of them. Polars writes the rows in its place, a column at a time, straight into the sheet: a row at a time in Python would take
longer than the rest of a publication.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from orchestration.csv_file import CSV_ROWS_MAX

#: A sheet holds 1,048,576 rows; so many cells of one table still open on an office computer.
SHEET_ROWS = 1_048_576 - 1
SHEET_CELLS = 2_000_000
#: What a cell holds at most, in units of UTF-16, of which a character has up to two.
_CELL_CHARACTERS = 32_767
_BATCH = 50_000
#: The quickest: twice the size of the best, in a quarter of its time.
_COMPRESSION = 1
NOTES = "Hinweise"
#: How a cell goes on behind its style, and how it ends; a number where nothing else is said.
_KINDS = {"VARCHAR": (' t="inlineStr"><is><t>', "</t></is></c>"), "BOOLEAN": (' t="b"><v>', "</v></c>")}

_FORMATS = {
    "DATE": "yyyy-mm-dd",
    "TIMESTAMP WITH TIME ZONE": "yyyy-mm-dd hh:mm:ss",
    "DOUBLE": "General",
    "BIGINT": "#,##0",
    "INTEGER": "0",
    "DECIMAL": "#,##0.00",
    "share": "0.0 %",
}
#: Text that a spreadsheet would run, and text that a sheet's XML cannot hold as it is: its own marks, what would be read as the escape of
#: a character (ECMA-376 part 1, 22.4.2.4: _xHHHH_), characters that XML does not know.
_FORMULA = r"^[=+\-@\t\r]"
_ESCAPE = "_(x[0-9A-Fa-f]{4}_)"
_UNKNOWN = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"
_SPECIAL = rf"{_FORMULA}|{_ESCAPE}|{_UNKNOWN}|[&<>\r]|^\s|\s$"

#: Of a text that is put together row by row: what is the same in every row, or what is not.
_Part = str | pl.Expr | pl.Series


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    description: str | None
    unit: str | None

    @property
    def number_format(self) -> str | None:
        if self.unit == "share" and self.kind == "DOUBLE":
            return _FORMATS["share"]
        return _FORMATS.get(self.kind.split("(")[0])


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    description: str
    rows: int
    columns: tuple[_Column, ...]

    @property
    def fits(self) -> bool:
        return self.rows <= SHEET_ROWS and self.rows * len(self.columns) <= SHEET_CELLS


def write(path: Path, folder: Path, notes: Sequence[tuple[str, str]]) -> list[str]:
    """Write the workbook of a tier; returns the tables that are too long for a sheet, named in the notes.

    ``folder``: holds the tier's closed ``warehouse.duckdb`` and its ``parquet/``. ``notes``: what is said of the release, (what, text).
    A table's sheet is called after it. Text that a spreadsheet would run as a formula is text with an apostrophe before it; instants are
    UTC. Raises ``duckdb.Error`` or OSError where the files are not what they are called.
    """
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        tables = _tables(con)
        made_at = con.execute("select published_at from meta.release").fetchall()[0][0]
    fitting = [table for table in tables if table.fits]
    frame = io.BytesIO()
    _write_frame(frame, tables, _sheet_names(fitting), notes, made_at)
    _fill(folder / "parquet", frame, path, fitting)
    return [f"{table.schema}.{table.name}" for table in tables if not table.fits]


def _tables(con: duckdb.DuckDBPyConnection) -> list[_Table]:
    columns: dict[tuple[str, str], list[_Column]] = {}
    for schema, table, column, kind, description, unit in con.execute(
        'select schema_name, table_name, column_name, data_type, description, unit from meta."column" order by 1, 2, position'
    ).fetchall():
        columns.setdefault((schema, table), []).append(_Column(column, kind, description, unit))
    described = con.execute("select schema_name, table_name, comment from duckdb_tables() order by all").fetchall()
    counts = con.execute(
        " union all ".join(f'select count(*) from "{schema}"."{name}"' for schema, name, _ in described)
    ).fetchall()
    return [
        _Table(schema, name, comment or "", rows, tuple(columns[schema, name]))
        for (schema, name, comment), (rows,) in zip(described, counts, strict=True)
        if (schema, name) in columns
    ]


def _sheet_names(tables: Sequence[_Table]) -> dict[tuple[str, str], str]:
    """A sheet's name has at most 31 characters and is one's own, whatever the case."""
    names: dict[tuple[str, str], str] = {}
    taken = {NOTES.lower()}
    for table in tables:
        name, number = table.name[:31], 1
        while name.lower() in taken:
            number += 1
            name = f"{table.name[: 30 - len(str(number))]}~{number}"
        taken.add(name.lower())
        names[table.schema, table.name] = name
    return names


def _write_frame(
    target: io.BytesIO,
    tables: Sequence[_Table],
    names: dict[tuple[str, str], str],
    notes: Sequence[tuple[str, str]],
    made_at: datetime,
) -> None:
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
        "in_memory": True,
    }
    with xlsxwriter.Workbook(target, options) as book:
        book.set_properties({"title": "Rollin", "created": made_at.astimezone(UTC).replace(tzinfo=None)})
        head = book.add_format({"bold": True, "bg_color": "#E7E9EE", "bottom": 1, "valign": "top"})
        bold, wrap = book.add_format({"bold": True, "valign": "top"}), book.add_format({"text_wrap": True, "valign": "top"})
        formats = {text: book.add_format({"num_format": text}) for text in sorted({*_FORMATS.values()})}
        page = book.add_worksheet(NOTES)
        page.set_column(0, 0, 34)
        page.set_column(1, 1, 12)
        page.set_column(2, 2, 110)
        row = 0
        for what, text in notes:
            page.write_string(row, 0, what, bold)
            page.write_string(row, 2, _safe(text), wrap)
            row += 1
        row += 1
        for index, title in enumerate(("Tabelle (table)", "Zeilen (rows)", "Inhalt (description)")):
            page.write_string(row, index, title, head)
        for table in tables:
            row += 1
            name = names.get((table.schema, table.name))
            if name:
                page.write_url(row, 0, f"internal:'{name}'!A1", string=f"{table.schema}.{table.name}")
            else:
                page.write_string(row, 0, f"{table.schema}.{table.name}")
            page.write_number(row, 1, table.rows, formats[_FORMATS["BIGINT"]])
            kind = "csv" if table.rows <= CSV_ROWS_MAX else "parquet"
            file = f"{kind}/{table.schema}/{table.name}.{kind}"
            where = "" if name else f"Zu lang für ein Blatt, siehe {file} (too long for a sheet). "
            page.write_string(row, 2, _safe(where + table.description), wrap)
        page.freeze_panes(len(notes) + 2, 0)
        for table in tables:
            if (table.schema, table.name) in names:
                sheet = book.add_worksheet(names[table.schema, table.name])
                sheet.freeze_panes(1, 0)
                for index, column in enumerate(table.columns):
                    sheet.set_column(index, index, max(11, min(34, len(column.name) + 3)))
                    sheet.write_string(0, index, column.name, head)
                if table.rows:
                    sheet.autofilter(0, 0, table.rows, len(table.columns) - 1)
                    # every cell of this row stands for its column: its style is that of all below it
                    for index, column in enumerate(table.columns):
                        sheet.write_blank(1, index, None, formats[column.number_format or "General"])


def _fill(parquet: Path, source: io.BytesIO, target: Path, tables: Sequence[_Table]) -> None:
    """Copy the workbook, with the rows of every table in place of the row that stands for them."""
    sheets = {f"xl/worksheets/sheet{number}.xml": table for number, table in enumerate(tables, 2)}
    with zipfile.ZipFile(source) as frame, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as book:
        for item in frame.infolist():
            content = frame.read(item)
            table = sheets.get(item.filename)
            if table is None or not table.rows:
                book.writestr(item, content)
                continue
            before, pattern, after = re.split(r'(<row r="2".*?</row>)', content.decode("utf-8"), maxsplit=1)
            styles = re.findall(r'<c r="[A-Z]+2"( s="\d+")?/>', pattern)
            area = f"A1:{xl_col_to_name(len(table.columns) - 1)}{table.rows + 1}"
            before = re.sub(r'<dimension ref="[^"]*"/>', f'<dimension ref="{area}"/>', before)
            entry = zipfile.ZipInfo(item.filename, item.date_time)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry._compresslevel = _COMPRESSION  # type: ignore[attr-defined]  # its public name came with Python 3.13
            rows = pl.read_parquet(parquet / table.schema / f"{table.name}.parquet")
            with book.open(entry, "w", force_zip64=True) as sheet:
                sheet.write(before.encode())
                for start in range(0, table.rows, _BATCH):
                    sheet.write(_rows(rows.slice(start, _BATCH), start + 2, table.columns, styles).encode())
                sheet.write(after.encode())


def _rows(frame: pl.DataFrame, first: int, columns: Sequence[_Column], styles: Sequence[str]) -> str:
    """Rows as they stand in a sheet from row ``first`` on (Office Open XML, ECMA-376 part 1, 18.3.1.4 and 18.3.1.73)."""
    words = [pl.col(column.name) for column in columns if column.kind == "VARCHAR"]
    found = frame.select((word.str.contains(_SPECIAL) | (word.str.len_bytes() > _CELL_CHARACTERS)).any() for word in words)
    special = {name for name in found.columns if found[name].item()}
    values = frame.select(_value(column, column.name in special).alias(column.name) for column in columns)
    number = pl.int_range(first, first + frame.height, eager=True).cast(pl.String)
    row: list[_Part] = ['<row r="', number, '">']
    for index, (column, style) in enumerate(zip(columns, styles, strict=True)):
        kind, end = _KINDS.get(column.kind, ("><v>", "</v></c>"))
        if column.name in special:
            kind = kind.replace("<t>", '<t xml:space="preserve">')
        cell: list[_Part] = [f'<c r="{xl_col_to_name(index)}', number, f'"{style}{kind}', values[column.name], end]
        # unknown: no cell
        row += cell if not values[column.name].null_count() else [_together(cell).fill_null("")]
    return str(pl.select(_together([*row, "</row>"]).str.join("")).item())


def _together(parts: Sequence[_Part]) -> pl.Expr:
    """Parts of a text, one after the other; NULL where one is. Words side by side are put together once and not for every row."""
    joined: list[_Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return pl.concat_str([pl.lit(part) if isinstance(part, str) else part for part in joined])


def _value(column: _Column, is_special: bool) -> pl.Expr:
    """What stands in a column's cells; NULL for what is unknown or what no spreadsheet knows."""
    value = pl.col(column.name)
    if column.kind == "VARCHAR":
        return _escaped(value) if is_special else value
    return _number(value, column.kind).cast(pl.String)


def _number(value: pl.Expr, kind: str) -> pl.Expr:
    """What a sheet holds of a value that is no text; NULL for what no spreadsheet knows."""
    if kind == "DATE":
        # counted from 1 January 1900, and 1900 is taken for a leap year
        days = value.cast(pl.Int32) + 25_569 - (value < date(1900, 3, 1)).cast(pl.Int32)
        return pl.when(value >= date(1900, 1, 1)).then(days)
    if kind.startswith("TIMESTAMP"):
        microseconds = value.dt.epoch("us")
        return pl.when(microseconds > -2_203_891_200_000_000).then(microseconds / 86_400_000_000 + 25_569)  # from 1 March 1900 on
    if kind == "BOOLEAN":
        return value.cast(pl.UInt8)
    return pl.when(value.is_finite()).then(value) if kind == "DOUBLE" else value


def _escaped(text: pl.Expr) -> pl.Expr:
    """Text as it stands in a sheet's XML: what XML or a spreadsheet would take for something else is escaped, and nothing runs."""
    text = pl.when(text.str.len_bytes() > _CELL_CHARACTERS).then(text.str.slice(0, _CELL_CHARACTERS // 2)).otherwise(text)
    text = pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)
    text = text.str.replace_all(_ESCAPE, "_x005F_${1}").str.replace_all(_UNKNOWN, "")
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.str.replace_all(plain, escaped, literal=True)
    return text


def _safe(text: str) -> str:
    """Text that no spreadsheet runs as a formula, of a length that a cell holds."""
    return (f"'{text}" if re.match(_FORMULA, text) else text)[:_CELL_CHARACTERS]


__all__ = ["NOTES", "SHEET_CELLS", "SHEET_ROWS", "write"]
