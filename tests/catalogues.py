"""Catalogues that answer one question at a time: asked, landed and cleaned, against a scripted portal or the sample's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from ingest.clean import CleaningRecord, clean_delivery
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import LandFile, Source
from ingest.landing import Landing
from ingest.portals import Question
from ingest.transport import Client, Limits

NOW = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # in Berlin it is 1 November
QUICK = Limits(wait_initial_seconds=0.001, wait_max_seconds=0.01, read_seconds=2, attempts=2)

#: What a scripted portal makes of a path and its query: a document (200), or a response.
Script = Callable[[str, dict[str, str]], Any]


def land_of(form: str, location: str, environ: dict[str, str] | None = None, **more: Any) -> tuple[LandFile, Source]:
    """The federal Land file with one catalogue."""
    entries = {"name": form, "table": "listings", "format": form, "location": location, "delivers": "snapshot", **more}
    land = LandFile.model_validate({"land_code": "00", "name": "Deutschland", "sources": [entries]})
    land.sources[0]._environ = {} if environ is None else environ
    return land, land.sources[0]


@dataclass
class Catalogue:
    """One catalogue and the home that what it answers is landed in. ``asked``: path and query of every request so far."""

    home: Path
    land: LandFile
    source: Source
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def fetch(self, questions: Sequence[Question], now: datetime = NOW, limits: Limits | None = QUICK) -> FetchOutcome:
        return fetch_source(self.land, self.source, Landing(self.home), questions=questions, now=now, limits=limits)

    def clean(self, outcome: FetchOutcome) -> tuple[CleaningRecord, pl.DataFrame, pl.DataFrame]:
        """The record of the delivery, its clean rows and its quarantined ones."""
        assert outcome.status == "new", outcome.problem
        [delivery] = outcome.deliveries
        later = max(NOW, delivery.delivered_at)
        record = clean_delivery(self.home, Landing(self.home), self.land, self.source, delivery, None, later)
        return record, pl.read_parquet(self.home / record.clean_path), pl.read_parquet(self.home / record.quarantine_path)


def scripted(
    monkeypatch: pytest.MonkeyPatch, home: Path, form: str, script: Script, environ: dict[str, str] | None = None, **more: Any
) -> Catalogue:
    """A catalogue at https://portal.example/api that answers by a script."""
    catalogue = Catalogue(home, *land_of(form, "https://portal.example/api", environ, **more))

    def respond(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        catalogue.asked.append((request.url.path, query))
        assert form == "open_pvog" or request.headers["accept"] == "application/json"
        answer = script(request.url.path, query)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    monkeypatch.setattr("ingest.fetch.Client", partial(Client, transport=httpx.MockTransport(respond)))
    return catalogue
