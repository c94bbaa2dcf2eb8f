"""Portals: one module per format, behind one protocol.

Belongs here: how a format is asked for and turned into a raw frame of text. Does not: when and what to fetch (``ingest.fetch``), what
columns and words mean (``ingest.clean``).
"""

from __future__ import annotations

import polars as pl

from ingest.landfile import Source
from ingest.landing import Delivery, Landing
from ingest.portals.base import IncompleteDelivery, Portal, Request, UnreadableDelivery
from ingest.portals.csv import Csv
from ingest.portals.gebietsaenderungen import Gebietsaenderungen
from ingest.portals.gv100ad import Gv100ad
from ingest.portals.json import Json, NdJson
from ingest.portals.open_pvog import OpenPvog
from ingest.portals.parquet import Parquet
from ingest.portals.xlsx import Xlsx

__all__ = ["PORTALS", "IncompleteDelivery", "Portal", "Request", "UnreadableDelivery", "read_delivery"]

#: The formats of a Land file that are built.
PORTALS: dict[str, Portal] = {
    "csv": Csv(),
    "gebietsaenderungen": Gebietsaenderungen(),
    "gv100ad": Gv100ad(),
    "json": Json(),
    "ndjson": NdJson(),
    "open_pvog": OpenPvog(),
    "parquet": Parquet(),
    "xlsx": Xlsx(),
}


def read_delivery(landing: Landing, delivery: Delivery, source: Source) -> pl.LazyFrame:
    """The raw frame of a landed delivery: delivered columns as text, ``_row`` (Int64, unique, from 1), ``_malformed`` where needed.

    Raises UnreadableDelivery when the delivery is not what its format says.
    """
    return PORTALS[delivery.format].read([landing.path(part) for part in delivery.parts], source)
