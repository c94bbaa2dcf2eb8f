"""JSON and newline-delimited JSON, whole or in pages.

Belongs here: the two formats. Does not: asking for page after page (``ingest.portals.pages``), flattening (``ingest.portals.documents``).

Numbers keep their text (with the decimal sign that the Land file states for texts), truth values become ``true`` and ``false``, nested objects are flattened with dots, lists are their JSON text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base, pages
from ingest.portals.base import Request
from ingest.portals.documents import ADVICE, frame_of, loads, loads_or_text, parse, rows_of
from ingest.transport import Client

ACCEPT = "application/json"
ACCEPT_HYDRA = "application/ld+json"
ACCEPT_LINES = "application/x-ndjson, application/jsonl;q=0.9, application/json;q=0.5"


class Json:
    """An array of objects, or an envelope around one."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """Every page that ``pages`` of the Land file describes, or the whole answer."""
        if source.pages.kind == "none":
            return base.get_whole(client, source, request, ACCEPT)
        accept = ACCEPT_HYDRA if source.pages.kind == "hydra" else ACCEPT
        return pages.fetch_pages(client, request.address, base.since_parameter(source, request), source.pages, accept)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """All pages, by column name."""
        reading = source.reading
        documents = (parse(path.read_bytes(), reading.encoding, reading.decimal) for path in paths)
        frame = pl.concat([frame_of(rows_of(document, source.pages.items)) for document in documents], how="diagonal")
        if frame.height and "_malformed" not in frame.columns:
            base.require_columns(
                frame.columns,
                source,
                "pages.items und columns im Land-File prüfen",
                "check pages.items and columns in the Land file",
            )
        return base.raw_frame(frame)


class NdJson:
    """One object per line."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The file at the address."""
        return base.get_whole(client, source, request, ACCEPT_LINES)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """All parts; a line that is no object is kept with its reason."""
        return base.raw_frame(self._all(paths, source).drop("_row"))

    def read_as_seen(self, path: Path, source: Source) -> pl.LazyFrame:
        """One file, each object numbered by its line."""
        return self._all([path], source).lazy()

    def _all(self, paths: Sequence[Path], source: Source) -> pl.DataFrame:
        frame = pl.concat([self._read(path.read_bytes(), source) for path in paths], how="diagonal")
        if frame.height:
            base.require_columns(frame.columns, source, "columns im Land-File prüfen", "check columns in the Land file")
        return frame

    def _read(self, data: bytes, source: Source) -> pl.DataFrame:
        if base.kind_of(data[:2000]) != "ein JSON-Dokument":
            raise base.instead(data[:2000], "JSON-Zeilen", "JSON lines", *ADVICE)
        text = base.decode(data, source.reading.encoding)
        numbers, lines = zip(*((n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()), strict=True)
        try:
            rows = loads(f"[{','.join(lines)}]", source.reading.decimal)
            if len(rows) != len(lines):
                raise ValueError
        except (ValueError, RecursionError):
            rows = [loads_or_text(line, source.reading.decimal) for line in lines]
        if not any(isinstance(row, dict) for row in rows):
            raise base.instead(data[:2000], "JSON-Zeilen", "JSON lines", *ADVICE)
        return frame_of(rows).with_columns(pl.Series("_row", numbers, dtype=pl.Int64))
