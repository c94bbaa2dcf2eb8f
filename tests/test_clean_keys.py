"""Which authority a delivered key names: own key first, else the one competent for the region, on the row's day."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest.directory import build_references
from tests.clean_world import change, changes, clean, directory, laender, references, region

EVENT = {"phase": "operational", "effective_on": "2026-03-01", "reported_at": "2026-03-02"}


def authority_of(tmp_path: Path, land: str, service: str, key: str, day: str = "2026-03-01", **context: Any) -> str:
    """The authority that a region key names for a service on a day, or the rule under which the row is refused."""
    row = EVENT | {"region_key": key, "service_id": service, "effective_on": day}
    _, rows, quarantined = clean(tmp_path, "connections", [row], land, **context)
    return rows["authority_id"][0] if rows.height else quarantined["rule"][0]


@pytest.mark.parametrize(
    ("land", "service", "key", "authority"),
    [
        # a kreisfreie Stadt under each of its names
        ("09", "fuehrerschein", "09161000", "fahrerlaubnisbehoerde/09161"),
        ("09", "fuehrerschein", "091610000000", "fahrerlaubnisbehoerde/09161"),
        ("09", "fuehrerschein", "09161", "fahrerlaubnisbehoerde/09161"),
        ("09", "fuehrerschein", "091610000", "fahrerlaubnisbehoerde/09161"),
        ("09", "ummeldung", "09161", "meldebehoerde/091610000"),
        ("09", "ummeldung", "09161000", "meldebehoerde/091610000"),
        ("06", "ummeldung", "06411", "meldebehoerde/06411000"),
        # a member of a Verwaltungsgemeinschaft, and the Verwaltungsgemeinschaft
        ("09", "ummeldung", "09184112", "meldebehoerde/091845401"),
        ("09", "ummeldung", "091845401112", "meldebehoerde/091845401"),
        ("09", "ummeldung", "09 184 5401 112", "meldebehoerde/091845401"),
        ("09", "ummeldung", "091845401", "meldebehoerde/091845401"),
        ("09", "ummeldung", "091845401000", "meldebehoerde/091845401"),
        ("09", "fuehrerschein", "091845401", "fahrerlaubnisbehoerde/09184"),
        # an Einheitsgemeinde by the key of its "Verband"
        ("09", "ummeldung", "091740111", "meldebehoerde/091740111"),
        ("09", "bauantrag", "091740111", "bauaufsicht/09174"),
        # plus: cut out of the Kreis
        ("09", "bauantrag", "09174115", "bauaufsicht/09174115"),
        ("09", "bauantrag", "091740115115", "bauaufsicht/09174115"),
        ("09", "bauantrag", "09174111", "bauaufsicht/09174"),
        ("09", "bauantrag", "09174", "bauaufsicht/09174"),
        ("09", "bauantrag", "091740000000", "bauaufsicht/09174"),
        ("09", "bauantrag", "09174000", "bauaufsicht/09174"),
        ("09", "fuehrerschein", "09174115", "fahrerlaubnisbehoerde/09174"),
        # also: its own key names it, the Kreis keeps its own
        ("09", "bauantrag", "09575153", "bauaufsicht/09575153"),
        ("09", "bauantrag", "095750153", "bauaufsicht/09575153"),
        ("09", "bauantrag", "09575", "bauaufsicht/09575"),
        ("09", "bauantrag", "09575112", "bauaufsicht/09575"),
        # a Regierungspräsidium by its own key and by any region in it
        ("06", "anlagengenehmigung", "065", "immissionsschutzbehoerde/065"),
        ("06", "anlagengenehmigung", "065000000000", "immissionsschutzbehoerde/065"),
        ("06", "anlagengenehmigung", "06531005", "immissionsschutzbehoerde/065"),
        # several are competent
        ("09", "ummeldung", "09174", "ambiguous_key"),
        ("09", "fuehrerschein", "09", "ambiguous_key"),
        ("06", "anlagengenehmigung", "060000000000", "ambiguous_key"),
        # nobody is
        ("09", "ummeldung", "09184444", "unknown_key"),  # gemeindefrei
        ("09", "ummeldung", "09174999", "unknown_key"),
        ("09", "waffen", "09174", "unknown_key"),  # no rule for this service
        # an outdated Verband in the ARS: municipalities keep their AGS
        ("09", "ummeldung", "091840112112", "meldebehoerde/091845401"),
    ],
)
def test_region_keys(land: str, service: str, key: str, authority: str, tmp_path: Path) -> None:
    assert authority_of(tmp_path, land, service, key) == authority


@pytest.mark.parametrize(
    ("service", "key", "day", "authority"),
    [
        ("ummeldung", "06435014", "2025-12-31", "meldebehoerde/06435014"),
        ("ummeldung", "06415000", "2026-01-01", "meldebehoerde/06415000"),
        # the old key after the change, the new one before it
        ("ummeldung", "06435014", "2026-01-01", "meldebehoerde/06415000"),
        ("ummeldung", "064350014014", "2026-01-01", "meldebehoerde/06415000"),
        ("ummeldung", "06415000", "2025-12-31", "meldebehoerde/06435014"),
        ("ummeldung", "06415", "2025-12-31", "meldebehoerde/06435014"),
        ("fuehrerschein", "06435014", "2025-12-31", "fahrerlaubnisbehoerde/06435"),
        ("fuehrerschein", "06435014", "2026-01-01", "fahrerlaubnisbehoerde/06415"),
        ("fuehrerschein", "06415", "2025-12-31", "fahrerlaubnisbehoerde/06435"),
        ("aufenthalt", "06435014", "2025-12-31", "auslaenderbehoerde/06435014"),
        ("aufenthalt", "06435014", "2026-01-01", "auslaenderbehoerde/06415"),
        ("aufenthalt", "06435", "2025-12-31", "auslaenderbehoerde/06435"),
    ],
)
def test_hanau_on_either_side_of_its_change(service: str, key: str, day: str, authority: str, tmp_path: Path) -> None:
    assert authority_of(tmp_path, "06", service, key, day) == authority


def test_a_key_with_several_predecessors_names_nobody_before(tmp_path: Path) -> None:
    wesertal = region("066330030030", "Wesertal", "gemeinde", 5_000, 52.6)
    parts = [
        change("06633021", "06633030", "dissolution", date(2020, 1, 1), population_moved=3_000),
        change("06633027", "06633030", "dissolution", date(2020, 1, 1), population_moved=2_000),
    ]
    parts = [part | {"area_moved_m2": 26_300_000} for part in parts]
    reference = build_references(laender(), directory(wesertal), changes(*parts))["06"]

    def resolved(key: str, day: str) -> str:
        return authority_of(tmp_path, "06", "ummeldung", key, day, reference=reference)

    assert resolved("06633030", "2019-12-31") == "unknown_key"
    assert resolved("06633021", "2019-12-31") == "meldebehoerde/06633021"
    assert resolved("06633021", "2020-01-01") == resolved("06633027", "2020-01-01") == "meldebehoerde/06633030"


def test_a_delivered_id_must_hold_for_the_service_on_the_day(tmp_path: Path) -> None:
    def resolved(identifier: str, service: str, day: str) -> str:
        row = EVENT | {"authority_id": identifier, "service_id": service, "effective_on": day, "region_key": "06531"}
        _, rows, quarantined = clean(tmp_path, "connections", [row], "06")
        return rows["authority_id"][0] if rows.height else quarantined["rule"][0]

    assert resolved("fahrerlaubnisbehoerde/06435", "fuehrerschein", "2025-12-31") == "fahrerlaubnisbehoerde/06435"
    assert resolved("fahrerlaubnisbehoerde/06415", "fuehrerschein", "2025-12-31") == "unknown_key"
    assert resolved("fahrerlaubnisbehoerde/06415", "fuehrerschein", "2026-01-01") == "fahrerlaubnisbehoerde/06415"
    assert resolved("fahrerlaubnisbehoerde/06415", "ummeldung", "2026-01-01") == "unknown_key"
    assert resolved("fahrerlaubnisbehoerde/06415000", "fuehrerschein", "2026-01-01") == "unknown_key"
    # the id follows the territory change like a key
    assert resolved("auslaenderbehoerde/06435014", "aufenthalt", "2026-01-01") == "auslaenderbehoerde/06415"
    assert resolved("auslaenderbehoerde/06415", "aufenthalt", "2025-12-31") == "auslaenderbehoerde/06435014"


def test_a_cost_may_name_no_authority_or_one_without_a_service(tmp_path: Path) -> None:
    entry = {
        "booked_on": "2026-03-01",
        "category": "integration",
        "behaviour": "variable",
        "payer": "bund",
        "recurring": "nein",
        "entry_status": "invoiced",
        "amount_eur": "1",
        "price_mechanism": "actual",
    }
    rows = [
        entry | {"entry_id": "1", "authority_id": None, "service_id": None},
        entry | {"entry_id": "2", "authority_id": "jugendamt/06531", "service_id": None},
        entry | {"entry_id": "3", "authority_id": "fahrerlaubnisbehoerde/06531", "service_id": None},
    ]
    outcome, found, _ = clean(tmp_path, "costs", rows, "06")
    assert found.select("entry_id", "authority_id").rows() == [("1", None), ("3", "fahrerlaubnisbehoerde/06531")]
    assert outcome.quarantined == {"unknown_key": 1}
    without = [entry | {"entry_id": "1"}]
    assert clean(tmp_path, "costs", without, "06")[0].rows_clean == 1


def test_a_year_is_resolved_on_its_last_day(tmp_path: Path) -> None:
    rows = [{"region_key": "06435014", "service_id": "ummeldung", "year": str(year), "cases": "9"} for year in (2025, 2026)]
    found = clean(tmp_path, "case_volumes", rows, "06")[1]
    assert found.select("year", "authority_id").rows() == [(2025, "meldebehoerde/06435014"), (2026, "meldebehoerde/06415000")]


def test_a_federal_delivery_is_resolved_among_all_laender(tmp_path: Path) -> None:
    rows = [EVENT | {"region_key": key, "service_id": "fuehrerschein"} for key in ("09174", "06531")]
    found = clean(tmp_path, "connections", rows, "00")[1]
    assert found.select("land_code", "authority_id").rows() == [
        ("09", "fahrerlaubnisbehoerde/09174"),
        ("06", "fahrerlaubnisbehoerde/06531"),
    ]


def test_without_a_directory_no_key_is_resolved_and_the_problem_says_so(tmp_path: Path) -> None:
    outcome, rows, _ = clean(
        tmp_path, "connections", [EVENT | {"region_key": "09174", "service_id": "fuehrerschein"}], reference=None
    )
    assert rows.is_empty() and outcome.quarantined == {"unknown_key": 1}
    assert outcome.problem is not None and "Gemeindeverzeichnis" in outcome.problem


def test_every_competent_authority_is_named_by_its_own_key() -> None:
    for land in ("09", "06"):
        resolution = references()[land].resolution
        last = len(resolution.starts) - 1
        ids = resolution.ids.filter((pl.col("epoch") == last) & (pl.col("service_id") != ""))
        assert ids.filter(pl.col("given_id") == pl.col("id_authority")).height > 5
        assert not ids.select("service_id", "given_id").is_duplicated().any()
        assert not resolution.keys.select("service_id", "key", "epoch").is_duplicated().any()
