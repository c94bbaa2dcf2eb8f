"""Parquet: typed columns become text, numbers with the decimal sign that the Land file states for texts.

Belongs here: opening files safely, types as text. Does not: the meaning of columns and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingest.landfile import Source
from ingest.landing import Part
from ingest.portals import base
from ingest.portals.base import Request, UnreadableDelivery
from ingest.transport import Client

ACCEPT = "application/vnd.apache.parquet, application/octet-stream;q=0.8"
_MAX_DEPTH = 8


class Parquet:
    """Typed tables: dates and instants as ISO text, decimals and numbers as their digits, nested names joined by dots."""

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The file at the address."""
        return base.get_whole(client, source, request, ACCEPT)

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """All parts, by column name."""
        return base.raw_frame(pl.concat([self._read(path, source) for path in paths], how="diagonal"))

    def _read(self, path: Path, source: Source) -> pl.DataFrame:
        with path.open("rb") as file:
            head = file.read(2000)
        if not head.startswith(b"PAR1"):
            raise base.instead(
                head,
                "einer Parquet-Datei",
                "a Parquet file",
                "Adresse und Format im Land-File prüfen",
                "check address and format in the Land file",
            )
        damaged = UnreadableDelivery(
            "Die Parquet-Datei ist beschädigt oder unvollständig: erneut liefern.",
            "The Parquet file is damaged or incomplete: deliver it again.",
        )

        def load() -> pl.DataFrame:
            scanned = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            width = len(scanned.collect_schema())
            rows = int(scanned.select(pl.len()).collect().item())
            if not width or rows * width > base.MAX_CELLS:
                raise UnreadableDelivery(
                    f"Die Parquet-Datei hat {rows:,} Zeilen und {width:,} Spalten, mehr als {base.MAX_CELLS:,} Zellen oder keine: "
                    "in Teilen liefern.",
                    f"The Parquet file has {rows:,} rows and {width:,} columns, more than {base.MAX_CELLS:,} cells or none: "
                    "deliver it in parts.",
                )
            return _as_text(scanned.collect(), source.reading.decimal or ".")

        frame = base.guarded(load, damaged)
        base.require_columns(frame.columns, source, "columns im Land-File prüfen", "check columns in the Land file")
        return frame


def _as_text(frame: pl.DataFrame, decimal: str) -> pl.DataFrame:
    # by position: a delivered name may be a pattern for columns
    for _ in range(_MAX_DEPTH):
        nested = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Struct) and dtype.fields]
        if not nested:
            break
        for name in nested:
            inner = frame[name].struct.unnest()
            inner = inner.rename({field: f"{name}.{field}" for field in inner.columns})
            others = [position for position, other in enumerate(frame.columns) if other != name]
            frame = frame.select(pl.nth(others)).hstack([column for column in inner if column.name not in frame.columns])
    frame = frame.select(
        _text(pl.nth(position), name, dtype, decimal) for position, (name, dtype) in enumerate(frame.schema.items())
    )
    return frame.rename(dict(zip(frame.columns, base.column_names(frame.columns), strict=True)))


def _text(column: pl.Expr, name: str, dtype: pl.DataType, decimal: str) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return column.dt.to_string("%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else "")).alias(name)
    if isinstance(dtype, pl.Date):
        return column.dt.to_string("%Y-%m-%d").alias(name)
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("hex").alias(name)
    if isinstance(dtype, pl.List | pl.Array | pl.Struct):
        return pl.struct(column).struct.json_encode().alias(name)
    if dtype.is_float() or dtype.is_decimal():
        return column.cast(pl.String).str.replace(".", decimal, literal=True).alias(name)
    return column.cast(pl.String).alias(name)
