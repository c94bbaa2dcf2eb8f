"""CSV: separated text in any encoding a Land file may declare.

Belongs here: delimiter, quotes, header row, rows of the wrong length. Does not: the meaning of columns and values.

RFC 4180 with what offices really send: ``;`` or TAB or ``,``, a byte order mark, title lines above the header, rows that are too
short or too long. Such a row is kept and carries its reason in ``_malformed``; wholly empty rows are left out.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from polars import selectors as cs

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base
from ingest.portals.base import Request, UnreadableDelivery
from ingest.transport import Client

ACCEPT = "text/csv, text/plain;q=0.8, application/octet-stream;q=0.5"
DELIMITERS = (";", ",", "\t")
_SHOWN = 300
_CHUNK_ROWS = 50_000


class Csv:
    """Delimited text; several parts are read one after the other."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The file at the address."""
        return base.get_whole(client, source, request, ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """All parts, by column name; columns of a single one are Categorical where its rows are plain."""
        parts = [self._read(path.read_bytes(), source).drop("_row") for path in paths]
        return base.raw_frame(parts[0] if len(parts) == 1 else pl.concat(map(_as_text, parts), how="diagonal"))

    def read_as_seen(self, path: Path, source: Source) -> pl.LazyFrame:
        """One file, each row numbered by the line of the file on which it begins."""
        return self._read(path.read_bytes(), source).lazy()

    def _read(self, data: bytes, source: Source) -> pl.DataFrame:
        if base.kind_of(data[:2000]) != "unbekannter Inhalt" or data.isspace():
            raise base.instead(
                data[:2000],
                "einer CSV-Datei",
                "a CSV file",
                "Adresse und Format im Land-File prüfen",
                "check address and format in the Land file",
            )
        reading = source.reading
        # Polars is as strict about UTF-8 as `decode` is
        frame = _coded(
            data if reading.encoding in (None, "utf-8") else base.decode(data, reading.encoding).encode(),
            reading.delimiter,
            reading.header_row,
        )
        if frame is None:
            text = base.decode(data, reading.encoding)
            frame = _tidy(_table(text, reading.delimiter, reading.header_row)[1].drop("_last"))
        base.require_columns(
            frame.columns,
            source,
            "delimiter, header_row und encoding im Land-File unter reading prüfen",
            "check delimiter, header_row and encoding in the Land file under reading",
        )
        return frame


def read_text(text: str, delimiter: str | None = None, header_row: int = 1) -> pl.DataFrame:
    """A frame of text columns, with ``_malformed`` where a row does not fit the header.

    ``header_row`` counts lines from 1; ``delimiter`` is found from the header where it is not given.
    Raises UnreadableDelivery when there is no such line or nothing separates its fields.
    """
    return _tidy(_table(text, delimiter, header_row)[1].drop("_row", "_last"))


def row_lines(text: str, delimiter: str | None = None, header_row: int = 1) -> tuple[str, int, pl.DataFrame]:
    """The delimiter of a text, the number of its columns, and for each row of ``read_text`` its first and last line: ``_row``, ``_last``."""
    delimiter, frame = _table(text, delimiter, header_row)
    return delimiter, frame.width - 3, frame.select("_row", "_last")


def _table(text: str, delimiter: str | None, header_row: int) -> tuple[str, pl.DataFrame]:
    """The delimiter, and the fields of every row with ``_row`` and ``_last`` (its lines) and ``_malformed``."""
    body = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(header_row):
        header, _, body = body.partition("\n")
    if not header.strip():
        raise UnreadableDelivery(
            f"Zeile {header_row} der Datei sollte die Spaltennamen enthalten und ist leer oder fehlt: "
            "reading.header_row im Land-File prüfen.",
            f"Line {header_row} of the file should hold the column names and is empty or missing: "
            "check reading.header_row in the Land file.",
        )
    delimiter = delimiter or _delimiter(header)
    fields = next(csv.reader([header], delimiter=delimiter), []) if '"' in header else header.split(delimiter)
    names = base.column_names(fields)
    if '"' in body:
        return delimiter, _quoted(body, delimiter, names, header_row)
    return delimiter, _plain(body.split("\n"), delimiter, names, header_row)


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _coded(data: bytes, delimiter: str | None, header_row: int) -> pl.DataFrame | None:
    """UTF-8 text in which every line after the header is as many fields as the header: columns as codes of their distinct texts, and
    ``_row``. None for all other text, which ``_table`` reads.

    Polars fills up a row that is too short and refuses one that is too long: where none is refused, the number of delimiters tells.
    """
    begun = above = 0
    for _ in range(header_row):
        begun, above = above, data.find(b"\n", above) + 1
    if not above or any(mark in data for mark in (b'"', b"\r", b"\0")):
        return None
    data = data.rstrip(b"\n") if data.endswith(b"\n\n") else data
    try:
        header = data[begun : above - 1].decode("utf-8-sig")
        delimiter = delimiter or _delimiter(header)
        names = base.column_names(header.split(delimiter))
        frame = pl.read_csv(
            data,
            has_header=False,
            skip_lines=header_row,
            # categories of their own, so that they go with the frame
            schema={name: pl.Categorical(pl.Categories.random()) for name in names},
            separator=delimiter,
            quote_char=None,
        )
    except (UnicodeError, pl.exceptions.PolarsError):
        return None
    if len(names) == 1 or not header.strip() or not frame.height:
        return None
    if frame.to_series(len(names) - 1).null_count():
        delimiters = np.count_nonzero(np.frombuffer(data, np.uint8, offset=above) == ord(delimiter))
        if frame.height * (len(names) - 1) != delimiters:
            return None
    frame = frame.with_columns(pl.int_range(header_row + 1, header_row + 1 + pl.len(), dtype=pl.Int64).alias("_row"))
    # by position: a delivered name may be a pattern for columns
    if frame.select((pl.nth(0).unique().cast(pl.String).str.strip_chars(" \t").fill_null("") == "").any()).item():
        fields = pl.nth(range(len(names))).cast(pl.String)
        frame = frame.filter(~pl.all_horizontal(fields.str.strip_chars(" \t").fill_null("") == ""))
    return frame


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cs.categorical().cast(pl.String))


def _plain(lines: list[str], delimiter: str, names: list[str], above: int) -> pl.DataFrame:
    """Rows without any quotation mark: a line is a row, and columns are split all at once."""
    rows = pl.DataFrame({"line": pl.Series(lines, dtype=pl.String)}).with_row_index("_row", offset=above + 1)
    rows = rows.filter(pl.col("line").str.strip_chars(f"{delimiter} \t") != "")
    rows = rows.with_columns(pl.col("line").str.split(delimiter).alias("fields"))
    count = pl.col("fields").list.len()
    fits = count == len(names)
    return rows.select(
        *[pl.col("fields").list.get(position, null_on_oob=True).alias(name) for position, name in enumerate(names)],
        pl.col("_row").cast(pl.Int64),
        pl.col("_row").cast(pl.Int64).alias("_last"),
        pl.when(~fits).then(_wrong_length(count, len(names), pl.col("line"))).alias("_malformed"),
    )


def _quoted(body: str, delimiter: str, names: list[str], above: int) -> pl.DataFrame:
    """Rows with quotation marks: fields may hold delimiters and line breaks."""
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    ended = ((row, above + reader.line_num) for row in reader)
    frames = [_frame([], [], {}, delimiter, names)]
    before = above
    try:
        # in chunks, because lists of Python texts are many times as large as the column they become
        while chunk := list(itertools.islice(ended, _CHUNK_ROWS)):
            ends = [before, *(last for _, last in chunk)]
            before = ends[-1]
            # blank lines are no rows
            kept = [(row, (first + 1, last)) for (row, last), first in zip(chunk, ends, strict=False) if row]
            frames.append(_frame([row for row, _ in kept], [lines for _, lines in kept], {}, delimiter, names))
    except csv.Error:
        # a stray quotation mark would swallow the rest of the file: line by line, only what is broken is lost to reading
        frames = [_frame(*_line_by_line(body, delimiter, above), delimiter, names)]
    return pl.concat(frames)


def _line_by_line(body: str, delimiter: str, above: int) -> tuple[list[list[str]], list[tuple[int, int]], dict[int, str]]:
    """Rows that are a line each, their lines, and what is wrong with which of them."""
    rows: list[list[str]] = []
    lines: list[tuple[int, int]] = []
    reasons: dict[int, str] = {}
    for number, line in enumerate(body.split("\n"), above + 1):
        if not line:
            continue
        try:
            rows += csv.reader([line], delimiter=delimiter, strict=True)
        except csv.Error:
            reasons[len(rows)] = f"Anführungszeichen nicht geschlossen oder mitten im Feld: {line[:_SHOWN]}"
            rows.append(line.split(delimiter))
        lines.append((number, number))
    return rows, lines, reasons


def _frame(
    rows: list[list[str]], lines: list[tuple[int, int]], reasons: dict[int, str], delimiter: str, names: list[str]
) -> pl.DataFrame:
    """Rows as columns; those of the wrong length are cut or filled up and say so. ``lines``: first and last line of each."""
    width = len(names)
    if any(length != width for length in set(map(len, rows))):
        for index, row in enumerate(rows):
            if len(row) != width:
                reasons.setdefault(index, f"{len(row)} Felder statt {width}: {delimiter.join(row)[:_SHOWN]}")
                rows[index] = [*row[:width], *[""] * (width - len(row))]
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    frame = pl.DataFrame({name: pl.Series(column, dtype=pl.String) for name, column in zip(names, columns, strict=True)})
    known = pl.DataFrame(
        {"_index": list(reasons), "_malformed": list(reasons.values())}, schema={"_index": pl.UInt32, "_malformed": pl.String}
    )
    frame = frame.with_columns(
        pl.Series("_row", [first for first, _ in lines], dtype=pl.Int64),
        pl.Series("_last", [last for _, last in lines], dtype=pl.Int64),
    )
    # the index is put last for as long as it is needed: columns are told by their position
    frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("_index"))
    frame = frame.join(known, on="_index", how="left", maintain_order="left").drop("_index")
    # by position: a delivered name may be a pattern for columns
    is_empty = pl.all_horizontal(pl.nth(position).str.strip_chars() == "" for position in range(width))
    return frame.filter(~is_empty)


def _wrong_length(count: pl.Expr, width: int, line: pl.Expr) -> pl.Expr:
    return pl.format("{} Felder statt {}: {}", count, pl.lit(width), line.str.head(_SHOWN))


def _tidy(frame: pl.DataFrame) -> pl.DataFrame:
    """Empty fields are NULL; the column of reasons is there only where there is a reason."""
    frame = frame.with_columns(pl.col(pl.String).replace("", None))
    return frame if frame["_malformed"].null_count() < frame.height else frame.drop("_malformed")
