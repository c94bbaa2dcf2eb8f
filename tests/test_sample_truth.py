"""The sample against the reading code: a delivery that is fetched, cleaned and revised holds the known truth, exactly.

Two independent derivations meet here: the world's own competences and truth, and what ``ingest`` makes of the portals' bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ingest.clean import clean_delivery
from ingest.directory import Reference, build_references
from ingest.fetch import fetch_source
from ingest.landfile import LandFile, load
from ingest.landing import Landing
from ingest.sample import Parameters, serve, write_sample
from ingest.tables import TABLES

FIRST, SECOND = Parameters(end=date(2026, 4, 30)), Parameters(end=date(2026, 5, 11))
LAND_CODES = ["09", "06"]


class Night:
    """What one home folder has landed and cleaned."""

    def __init__(self, home: Path):
        self.home = home
        self.landing = Landing(home)
        self.references: dict[str, Reference] = {}
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.quarantined: Counter[tuple[str, str, str]] = Counter()
        self.clean: dict[tuple[str, str], list[pl.DataFrame]] = {}

    def run(
        self, laender: Mapping[str, LandFile], environ: Mapping[str, str], now: datetime, since: datetime | None = None
    ) -> None:
        for code in ("00", *LAND_CODES):
            for source in laender[code].sources:
                if environ and not source.is_configured(environ):
                    continue  # the sample switches off what its world does not hold
                outcome = fetch_source(
                    laender[code], source, self.landing, land_codes=LAND_CODES, now=now, since=since, environ=environ
                )
                assert outcome.problem is None, outcome.problem_en
                for delivery in outcome.deliveries:
                    record = clean_delivery(
                        self.home, self.landing, laender[code], source, delivery, self.references.get(code), now
                    )
                    assert record.problem is None, record.problem_en
                    self.delivered[code, source.name] += record.rows_delivered
                    self.quarantined.update({(code, source.name, rule): n for rule, n in record.quarantined.items()})
                    self.clean.setdefault((code, source.name), []).append(pl.read_parquet(self.home / record.clean_path))
                    if source.table == "regions":
                        self.references = build_references(laender, self.clean[code, source.name][-1])

    def held(self, table: str, laender: Mapping[str, LandFile]) -> pl.DataFrame:
        """The newest revision per key, without what was retracted; of a snapshot only the newest delivery."""
        frames = []
        for code, land in laender.items():
            for source in land.sources:
                if source.table == table:
                    deliveries = self.clean.get((code, source.name), [])
                    frames += deliveries[-1:] if source.delivers == "snapshot" else deliveries
        key = [name for name in TABLES[table].key if name != "source"]
        newest = pl.concat(frames).unique([*key, "land_code"], keep="last", maintain_order=True)
        return newest.filter(~pl.col("is_retracted")) if "is_retracted" in newest.columns else newest


def _agrees(held: pl.DataFrame, true: pl.DataFrame) -> None:
    columns = true.columns
    text = [pl.col(name).cast(pl.String) if true[name].dtype == pl.String else pl.col(name) for name in columns]
    assert_frame_equal(held.select(text), true, check_row_order=False, check_exact=True)


def _true(out: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(out / "truth" / f"{name}.parquet")


TRUE_TABLES = ("connections", "usage", "case_volumes", "costs", "listings")


@pytest.mark.parametrize("way", ["files", "server"])
def test_one_night_holds_the_truth_and_quarantines_every_faulty_row_under_its_rule(tmp_path: Path, way: str) -> None:
    out = tmp_path / "sample"
    write_sample(out, FIRST)
    night = Night(tmp_path / "home")
    if way == "files":
        laender = load(out / "laender", {})
        night.run(laender, {}, FIRST.night)
    else:
        with serve(out / "deliveries") as server:
            server.export_limit = 1_000  # the export of a whole Land is too large
            laender = load(None, server.environ)
            night.run(laender, server.environ, FIRST.night)
            assert 413 in {status for _, _, status in server.requests}

    for table in TRUE_TABLES:
        _agrees(night.held(table, laender), _true(out, table))
    dirty = _true(out, "dirty_rows").group_by("land_code", "source", "rule").len()
    assert night.quarantined == {(land, source, rule): n for land, source, rule, n in dirty.rows()}
    counts = _true(out, "delivery_counts").group_by("land_code", "source").agg(pl.col("rows_delivered").sum())
    assert night.delivered == {(land, source): n for land, source, n in counts.rows()}


def test_competences_by_the_land_files_are_those_of_the_world(tmp_path: Path) -> None:
    out = tmp_path / "sample"
    write_sample(out, FIRST)
    night = Night(tmp_path / "home")
    night.run(load(out / "laender", {}), {}, FIRST.night)
    key = {
        "regions": ["ags", "ars", "kind", "name", "kreis_code", "verband_code", "population", "valid_from", "valid_to"],
        "authorities": ["authority_id", "kind", "seat_key", "valid_from", "valid_to"],
        "competences": ["authority_id", "service_id", "ags", "is_partial", "valid_from", "valid_to"],
    }
    for table, columns in key.items():
        derived = pl.concat([getattr(night.references[code], table) for code in LAND_CODES])
        _agrees(derived, _true(out, table).select(columns))


def test_a_second_night_of_changes_ends_at_the_later_truth(tmp_path: Path) -> None:
    """Bavaria is asked for what changed since, Hesse sends a new workbook, a longer file and corrections of earlier ones."""
    out = tmp_path / "sample"
    night = Night(tmp_path / "home")
    write_sample(out, FIRST)
    with serve(out / "deliveries") as server:
        laender = load(None, server.environ)
        night.run(laender, server.environ, FIRST.night)
        before = len(server.requests)
        write_sample(out, SECOND)
        night.run(laender, server.environ, SECOND.night, since=FIRST.night)
        changes = [path for _, path, _ in server.requests[before:] if "geaendertSeit" in path]
    assert len(changes) == 2  # one page of events and one of usage are enough
    for table in TRUE_TABLES:
        _agrees(night.held(table, laender), _true(out, table))
