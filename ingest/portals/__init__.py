"""Portals: one module per format, behind one protocol.

Belongs here: how a format is asked for and turned into a raw frame of text. Does not: when and what to fetch (``ingest.fetch``), what
columns and words mean (``ingest.clean``).
"""

from __future__ import annotations

import polars as pl

from ingest.landfile import Source
from ingest.landing import Delivery, Landing
from ingest.portals import sdg_json
from ingest.portals.base import FilePortal, IncompleteDelivery, Portal, Question, QuestionedPortal, Request, UnreadableDelivery
from ingest.portals.csv import Csv
from ingest.portals.fit_connect import FitConnect
from ingest.portals.gebietsaenderungen import Gebietsaenderungen
from ingest.portals.gv100ad import Gv100ad
from ingest.portals.json import Json, NdJson
from ingest.portals.open_pvog import OpenPvog
from ingest.portals.ozg_nrw import OzgNrw
from ingest.portals.parquet import Parquet
from ingest.portals.pvog_suchdienst import PvogSuchdienst
from ingest.portals.sdg_json import SdgJson
from ingest.portals.xlsx import Xlsx

__all__ = [
    "PORTALS",
    "IncompleteDelivery",
    "Portal",
    "Question",
    "Request",
    "UnreadableDelivery",
    "read_delivery",
    "statement_id",
]

#: The formats of a Land file that are built.
PORTALS: dict[str, Portal] = {
    "csv": Csv(),
    "fit_connect": FitConnect(),
    "gebietsaenderungen": Gebietsaenderungen(),
    "gv100ad": Gv100ad(),
    "json": Json(),
    "ndjson": NdJson(),
    "open_pvog": OpenPvog(),
    "ozg_nrw": OzgNrw(),
    "parquet": Parquet(),
    "pvog_suchdienst": PvogSuchdienst(),
    "sdg_json": SdgJson(),
    "xlsx": Xlsx(),
}


def read_delivery(landing: Landing, delivery: Delivery, source: Source, *, as_seen: bool = False) -> pl.LazyFrame:
    """The raw frame of a landed delivery: delivered columns as text (String, or all Categorical), ``_row`` (Int64, unique, from 1),
    ``_malformed`` where needed.

    ``as_seen``: where people open such a file, ``_row`` is the number that they see beside the row.
    Raises UnreadableDelivery when the delivery is not what its format says.
    """
    portal = PORTALS[delivery.format]
    if isinstance(portal, QuestionedPortal):
        return portal.read_answers([(part, landing.path(part)) for part in delivery.parts], source)
    if as_seen and isinstance(portal, FilePortal) and len(delivery.parts) == 1:
        return portal.read_as_seen(landing.path(delivery.parts[0]), source)
    return portal.read([landing.path(part) for part in delivery.parts], source)


def statement_id(landing: Landing, delivery: Delivery) -> str | None:
    """The id under which a delivery replaces every earlier one of its source whole; None where its format has none."""
    if delivery.format != "sdg_json" or not delivery.parts:
        return None
    return sdg_json.statement_id(landing.path(delivery.parts[0]).read_bytes())
