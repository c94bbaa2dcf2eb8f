"""SDG statistics: the form of the file, its spellings, and what becomes of a file that is sent again."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import CleaningRecord, clean_delivery
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import LandFile, Source
from ingest.landing import Landing
from ingest.portals.sdg_json import statement_id
from ingest.sample import federal
from orchestration.night import Admission, selected

NOW = datetime(2026, 6, 2, 1, tzinfo=UTC)
PAGE = "https://dachau.example/ummelden"


def document(**changes: Any) -> dict[str, Any]:
    """A file as the regulation's exchange has it."""
    return {
        "uniqueId": "2026-05-DE-1",
        "referencePeriod": {"startDate": "2026-05-01T00:00:00Z", "endDate": "2026-05-31T23:59:59Z"},
        "transferDate": "2026-06-01T08:00:00Z",
        "transferType": "API",
        "nbEntries": 2,
        "sources": [
            {
                "sourceUrl": PAGE,
                "statistics": [
                    {"nbVisits": 42, "originatingCountry": "DE", "deviceType": "PC"},
                    {"nbVisits": 0, "originatingCountry": "AT", "deviceType": "Smartphone"},
                ],
            },
            {
                "sourceUrl": PAGE + "/kosten",
                "statistics": [
                    {"nbVisits": 7, "originatingCountry": "EL", "deviceType": "Tablet"},
                    {"nbVisits": 1, "originatingCountry": "Other", "deviceType": "Others"},
                ],
            },
        ],
    } | changes


class Folder:
    """A folder of files that a Land hands over."""

    def __init__(self, base: Path):
        self.home, self.files = base / "home", base / "files"
        self.files.mkdir()
        entries = {
            "name": "sdg",
            "table": "page_visits",
            "format": "sdg_json",
            "location": str(self.files / "*.json"),
            "delivers": "changes",
        }
        self.land = LandFile.model_validate({"land_code": "00", "name": "Deutschland", "sources": [entries]})
        self.night = 0

    @property
    def source(self) -> Source:
        return self.land.sources[0]

    def put(self, content: Any, name: str = "a.json") -> FetchOutcome:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (self.files / name).write_bytes(data)
        self.night += 1
        return fetch_source(self.land, self.source, Landing(self.home), now=NOW + timedelta(days=self.night))

    def records(self) -> list[CleaningRecord]:
        landing = Landing(self.home)
        later = NOW + timedelta(days=99)
        return [
            clean_delivery(self.home, landing, self.land, self.source, delivery, None, later)
            for delivery in landing.deliveries("00", "sdg")
        ]

    def read(self, content: Any) -> tuple[CleaningRecord, pl.DataFrame, pl.DataFrame]:
        assert self.put(content).status == "new"
        record = self.records()[-1]
        return record, pl.read_parquet(self.home / record.clean_path), pl.read_parquet(self.home / record.quarantine_path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


VISITS = ["source_url", "period_start", "period_end", "country", "device", "visits"]
MAY = (date(2026, 5, 1), date(2026, 5, 31))


def test_a_file_is_visits_per_page_country_and_device(folder: Folder) -> None:
    record, clean, _ = folder.read(document())
    assert (record.problem, record.quarantined, record.unknown_columns, record.missing_columns) == (None, {}, [], [])
    assert record.statement_id == "2026-05-DE-1"
    assert clean.select(VISITS).rows() == [
        (PAGE, *MAY, "DE", "pc", 42),
        (PAGE, *MAY, "AT", "smartphone", 0),
        (PAGE + "/kosten", *MAY, "GR", "tablet", 7),  # Eurostat writes EL
        (PAGE + "/kosten", *MAY, "other", "other", 1),
    ]
    assert set(clean["land_code"]) == {"00"}


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ({"StartDate": "2026-05-01T00:00:00Z", "EndDate": "2026-05-31T23:59:59Z"}, MAY),
        ({"startDate": "2026-05-01T00:00:00.000Z", "endDate": "2026-05-31T23:59:59.999Z"}, MAY),
        ({"startDate": "2026-05-01", "endDate": "2026-05-31"}, MAY),
        ({"startDate": "2026-04-30T22:00:00Z", "endDate": "2026-05-31T21:59:59Z"}, MAY),  # midnight in Berlin
        ({"startDate": "2026-05-01T00:00:00+02:00", "endDate": "2026-05-31T23:59:59+02:00"}, MAY),
        ({"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-01-31T23:59:59Z"}, (date(2026, 1, 1), date(2026, 1, 31))),
        ({"startDate": "2025-12-31T23:00:00Z", "endDate": "2026-01-31T22:59:59Z"}, (date(2026, 1, 1), date(2026, 1, 31))),
    ],
)
def test_a_period_is_the_days_that_it_means(folder: Folder, period: dict[str, str], expected: tuple[date, date]) -> None:
    record, clean, _ = folder.read(document(referencePeriod=period))
    assert record.quarantined == {}
    assert set(clean.select("period_start", "period_end").rows()) == {expected}


@pytest.mark.parametrize("counted", [2, 4, "4", None])
def test_entries_may_count_sources_or_statistics(folder: Folder, counted: Any) -> None:
    assert folder.read(document(nbEntries=counted))[0].rows_clean == 4


@pytest.mark.parametrize("counted", [0, 1, 3, 5, -2, "viele", 2.5])
def test_a_count_that_does_not_fit_is_an_incomplete_file(folder: Folder, counted: Any) -> None:
    record, clean, _ = folder.read(document(nbEntries=counted))
    assert record.problem and "nbEntries" in record.problem and record.problem_en and clean.is_empty()


@pytest.mark.parametrize("sources", [[], [{"sourceUrl": PAGE, "statistics": []}]])
def test_a_file_without_visits_is_read_and_empty(folder: Folder, sources: list[Any]) -> None:
    record, clean, quarantined = folder.read(document(sources=sources, nbEntries=len(sources)))
    assert (record.problem, record.rows_delivered, clean.height, quarantined.height) == (None, 0, 0, 0)
    assert record.statement_id == "2026-05-DE-1"


def test_unknown_words_and_strange_entries_are_quarantined_as_they_came(folder: Folder) -> None:
    sources = [
        {
            "sourceUrl": PAGE,
            "statistics": [
                {"nbVisits": 1, "originatingCountry": "DE", "deviceType": "Kühlschrank"},
                {"nbVisits": -1, "originatingCountry": "DE", "deviceType": "PC"},
                {"nbVisits": 1, "originatingCountry": "Deutschland", "deviceType": "Tablet"},
                {"nbVisits": 1, "originatingCountry": "DE", "deviceType": "PC", "country": "FR"},
                "x",
            ],
        },
        {"sourceUrl": PAGE},
        None,
    ]
    record, clean, quarantined = folder.read(document(sources=sources, nbEntries=3))
    assert record.quarantined == {"malformed": 4, "unknown_value": 1, "out_of_range": 1}
    assert clean.select("country", "visits").rows() == [("DE", 1)]
    assert any("Kühlschrank" in raw for raw in quarantined["raw"])
    assert record.rows_delivered == record.rows_clean + quarantined.height == 7


@pytest.mark.parametrize(
    "content", [b"", b"<html></html>", b"a;b\n1;2", b"[]", b"{}", b'{"sources": {}}', b'"x"', b'{"sources": [']
)
def test_anything_else_is_a_sentence(folder: Folder, content: bytes) -> None:
    record, clean, _ = folder.read(content)
    assert record.problem and record.problem.endswith(".") and record.problem_en and clean.is_empty()
    assert record.statement_id is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["sources", "statistics", "sourceUrl", "nbVisits", "device", "referencePeriod", "startDate", "_row", "uniqueId"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(content=ANY, sources=st.lists(ANY, max_size=3))
def test_no_file_raises_and_no_entry_vanishes(tmp_path_factory: pytest.TempPathFactory, content: Any, sources: list[Any]) -> None:
    folder = Folder(tmp_path_factory.mktemp("any"))
    if isinstance(content, dict):
        content = content | {"sources": sources}
        content.pop("nbEntries", None)
    record, _, _ = folder.read(content)
    if record.problem is None:
        entries = [
            len(one["statistics"]) if isinstance(one, dict) and isinstance(one.get("statistics"), list) else 1
            for one in content["sources"]
        ]
        assert record.rows_delivered == sum(entries) == record.rows_clean + sum(record.quarantined.values())


# -- sent again -------------------------------------------------------------------------------------------------------------


def in_force(folder: Folder) -> list[int]:
    """Clean rows of the deliveries that count."""
    admitted = [Admission(record, record.problem is None, None, None) for record in folder.records()]
    return [one.record.rows_clean for one in selected(folder.source, [one for one in admitted if one.is_admitted])]


def test_a_file_sent_again_replaces_the_earlier_one_whole(folder: Folder) -> None:
    folder.put(document())
    folder.put(document(uniqueId="2026-04-DE-1"), "april.json")
    assert in_force(folder) == [4, 4]
    shorter = document()["sources"][:1]
    folder.put(document(sources=shorter, nbEntries=1), "again.json")
    assert in_force(folder) == [4, 2]  # April stays, of May the second page is gone
    folder.put(document(sources=[], nbEntries=0), "empty.json")
    assert in_force(folder) == [4, 0]
    folder.put(document(nbEntries=99), "broken.json")
    assert in_force(folder) == [4, 0]  # a file that is refused replaces nothing
    folder.put(document(), "at_last.json")
    assert in_force(folder) == [4, 4]


def test_files_without_an_id_replace_nothing(folder: Folder) -> None:
    for name in ("a.json", "b.json"):
        folder.put(document(uniqueId=None, transferDate=name), name)
    assert in_force(folder) == [4, 4]


def test_each_file_is_read_once(folder: Folder) -> None:
    assert folder.put(document()).status == "new"
    assert folder.put(document()).status == "unchanged"


@pytest.mark.parametrize("counting", ["sources", "statistics"])
def test_the_sample_s_files_are_sound(folder: Folder, counting: str) -> None:
    data = federal.sdg_file([PAGE, PAGE + "/2"], date(2026, 5, 1), date(2026, 5, 31), "U1", counting)
    assert statement_id(data) == "U1"
    record, clean, _ = folder.read(data)
    assert (record.rows_clean, record.quarantined) == (8, {})
    assert set(clean["country"]) == {"DE", "GR", "AT"} and set(clean["device"]) == {"pc", "smartphone", "tablet", "other"}
