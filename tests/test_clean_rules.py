"""Each quarantine rule, each way of reading a value, by example: one row, one finding, one sentence."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest.clean.engine import RULE_ORDER
from ingest.landfile import Reading
from ingest.tables import QUARANTINE_RULES, TABLES
from tests.clean_world import clean

CONNECTION = {
    "event_id": "E1",
    "region_key": "09174",
    "service_id": "fuehrerschein",
    "phase": "operational",
    "effective_on": "2026-03-01",
    "reported_at": "2026-03-02T08:00:00Z",
}
COST = {
    "entry_id": "B1",
    "booked_on": "2026-03-01",
    "region_key": "09174",
    "service_id": "fuehrerschein",
    "category": "integration",
    "behaviour": "variable",
    "payer": "bund",
    "recurring": "nein",
    "entry_status": "invoiced",
    "amount_eur": "1234.56",
    "price_mechanism": "actual",
}
USAGE = {
    "region_key": "09174",
    "service_id": "fuehrerschein",
    "period": "2026-03-01",
    "grain": "month",
    "channel": "online",
    "submitted": "12",
}
CASES = {"region_key": "09174", "service_id": "fuehrerschein", "year": "2025", "cases": "1000"}
LISTING = {
    "leika_key": "99115005104000",
    "ars": "091740115115",
    "url": "https://dachau.example/ummelden",
    "is_inherited": "false",
    "observed_on": "2026-05-31",
    "evidence": "listed",
}
VISITS = {
    "source_url": "https://dachau.example/ummelden",
    "period_start": "2026-04-01",
    "period_end": "2026-04-30",
    "country": "DE",
    "device": "PC",
    "visits": "42",
}
REGION = {
    "ags": "09174111",
    "ars": "091740111111",
    "name": "Altomünster",
    "kind": "markt",
    "kreis_code": "09174",
    "kreis_name": "Dachau",
    "verband_code": "091740111",
    "verband_name": "Altomünster",
    "population": "8000",
    "population_date": "2024-12-31",
    "census_base": "zensus_2022",
    "area_km2": "75.81",
    "valid_from": "1900-01-01",
}
COMPETENCE = {
    "authority_id": "fahrerlaubnisbehoerde/09174",
    "service_id": "fuehrerschein",
    "ags": "09174111",
    "is_partial": "nein",
    "valid_from": "2020-01-01",
}
AUTHORITY = {
    "authority_id": "fahrerlaubnisbehoerde/09174",
    "name": "Landratsamt Dachau",
    "seat_key": "09174",
    "valid_from": "2020-01-01",
}
CHANGE = {"old_ags": "06435014", "new_ags": "06415000", "kind": "key_change", "effective_on": "2026-01-01"}

SOUND = {
    "connections": CONNECTION,
    "costs": COST,
    "usage": USAGE,
    "case_volumes": CASES,
    "listings": LISTING,
    "page_visits": VISITS,
    "regions": REGION,
    "competences": COMPETENCE,
    "authorities": AUTHORITY,
    "territory_changes": CHANGE,
}


@pytest.mark.parametrize("table", SOUND)
def test_a_sound_row_is_clean_in_exactly_the_declared_columns(table: str, tmp_path: Path) -> None:
    land = "06" if table == "territory_changes" else "09"
    outcome, rows, quarantined = clean(tmp_path, table, [SOUND[table]], land)
    assert quarantined.is_empty() and outcome.rows_clean == outcome.rows_delivered == 1
    assert rows.schema == TABLES[table].polars_schema()
    assert TABLES[table].schema.is_valid(rows)
    assert outcome.problem is None and outcome.unknown_columns == [] and outcome.missing_columns == []
    assert set(SOUND) == set(TABLES)


def rule_of(tmp_path: Path, table: str, changed: dict[str, Any], land_code: str = "09", **context: Any) -> tuple[str, str | None]:
    """Rule and column of the only row, a sound one but for what is changed."""
    outcome, rows, quarantined = clean(tmp_path, table, [SOUND[table] | changed], land_code, **context)
    assert rows.height == outcome.rows_clean == 0, "the row is clean"
    assert quarantined.height == 1 and sum(outcome.quarantined.values()) == 1
    found = quarantined.row(0, named=True)
    for sentence in (found["reason"], found["reason_en"]):
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 500
    assert found["row_number"] == 1 and found["table"] == table
    return found["rule"], found["column"]


@pytest.mark.parametrize(
    ("table", "changed", "rule", "column"),
    [
        # wrong_unit
        ("costs", {"amount_eur": "12 T€"}, "wrong_unit", "amount_eur"),
        ("costs", {"amount_eur": "12.5 TEUR"}, "wrong_unit", "amount_eur"),
        ("costs", {"amount_eur": "k€ 12"}, "wrong_unit", "amount_eur"),
        ("costs", {"amount_eur": "450000 ct"}, "wrong_unit", "amount_eur"),
        ("costs", {"amount_eur": "450000 Cent"}, "wrong_unit", "amount_eur"),
        ("costs", {"amount_eur": "1.2 Mio. €"}, "wrong_unit", "amount_eur"),
        ("costs", {"vat_nonrecoverable_eur": "19 %"}, "wrong_unit", "vat_nonrecoverable_eur"),
        ("connections", {"person_days": "16 h"}, "wrong_unit", "person_days"),
        ("usage", {"submitted": "1.2 Tsd."}, "wrong_unit", "submitted"),
        ("regions", {"area_km2": "7581 ha"}, "wrong_unit", "area_km2"),
        # malformed
        ("costs", {"amount_eur": "zwölf"}, "malformed", "amount_eur"),
        ("costs", {"amount_eur": "1.234,56"}, "malformed", "amount_eur"),
        ("costs", {"amount_eur": "12 Äpfel"}, "malformed", "amount_eur"),
        ("usage", {"submitted": "12x4"}, "malformed", "submitted"),
        ("usage", {"submitted": "1.5"}, "malformed", "submitted"),
        ("usage", {"submitted": "NaN"}, "malformed", "submitted"),
        ("connections", {"difficulty": "inf"}, "malformed", "difficulty"),
        ("connections", {"effective_on": "31.02.2026"}, "malformed", "effective_on"),
        ("connections", {"effective_on": "46082"}, "malformed", "effective_on"),
        (
            "connections",
            {"reported_at": "2026-03-29T02:30:00"},
            "malformed",
            "reported_at",
        ),  # the hour that summer time leaves out
        ("connections", {"is_pilot": "vielleicht"}, "malformed", "is_pilot"),
        ("connections", {"team": "=HYPERLINK(1)"}, "malformed", "team"),
        ("connections", {"team": "@SUM(A1)"}, "malformed", "team"),
        ("connections", {"team": "+1+cmd|' /C calc'!A0"}, "malformed", "team"),
        ("connections", {"team": "Rot\u0000"}, "malformed", "team"),
        ("connections", {"team": "Rot\nBlau"}, "malformed", "team"),
        ("connections", {"team": "Rot\u202eualB"}, "malformed", "team"),
        ("connections", {"team": "x" * 2_001}, "malformed", "team"),
        ("connections", {"phase": "=operational"}, "malformed", "phase"),
        ("connections", {"region_key": "6411000"}, "malformed", "region_key"),  # a spreadsheet dropped the leading zero
        ("connections", {"region_key": "Dachau"}, "malformed", "region_key"),
        ("connections", {"authority_id": "Landratsamt Dachau"}, "malformed", "authority_id"),
        ("listings", {"leika_key": "9911500510400"}, "malformed", "leika_key"),
        ("listings", {"url": "javascript:alert(1)"}, "malformed", "url"),
        ("page_visits", {"source_url": "dachau.example"}, "malformed", "source_url"),
        ("page_visits", {"country": "Deutschland"}, "malformed", "country"),
        ("regions", {"ars": "091740112112"}, "malformed", "ars"),
        ("regions", {"verband_code": "091740112"}, "malformed", "verband_code"),
        # missing
        ("connections", {"service_id": None}, "missing", "service_id"),
        ("connections", {"service_id": "  "}, "missing", "service_id"),
        ("connections", {"region_key": ""}, "missing", "authority_id"),
        ("costs", {"entry_id": None}, "missing", "entry_id"),
        ("costs", {"service_id": None}, "missing", "service_id"),  # a region key alone names no authority
        ("case_volumes", {"cases": None}, "missing", "cases"),
        ("authorities", {"authority_id": None}, "missing", "authority_id"),
        # unknown_value
        ("connections", {"service_id": "hundesteuer"}, "unknown_value", "service_id"),
        ("connections", {"phase": "Operational"}, "unknown_value", "phase"),  # words count as stated
        ("usage", {"channel": "fax"}, "unknown_value", "channel"),
        ("regions", {"kind": "68"}, "unknown_value", "kind"),
        ("competences", {"authority_id": "bauaufsicht/09174"}, "unknown_value", "authority_id"),
        ("authorities", {"kind": "jugendamt"}, "unknown_value", "kind"),
        # wrong_land
        ("connections", {"region_key": "06435"}, "wrong_land", "region_key"),
        ("connections", {"authority_id": "fahrerlaubnisbehoerde/06435"}, "wrong_land", "authority_id"),
        ("listings", {"ars": "064350001001"}, "wrong_land", "ars"),
        ("competences", {"ags": "06435001"}, "wrong_land", "ags"),
        # unknown_key, ambiguous_key
        ("connections", {"region_key": "09999999"}, "unknown_key", "region_key"),
        ("connections", {"authority_id": "fahrerlaubnisbehoerde/09999"}, "unknown_key", "authority_id"),
        ("connections", {"authority_id": "bauaufsicht/09174"}, "unknown_key", "authority_id"),  # exists, but for another service
        ("connections", {"region_key": "091"}, "ambiguous_key", "region_key"),
        # out_of_range
        ("usage", {"submitted": "-1"}, "out_of_range", "submitted"),
        ("usage", {"submitted": "99999999"}, "out_of_range", "submitted"),
        ("usage", {"submitted": "9" * 30}, "out_of_range", "submitted"),
        ("costs", {"amount_eur": "1e12"}, "out_of_range", "amount_eur"),
        ("costs", {"amount_eur": "9" * 30}, "out_of_range", "amount_eur"),
        ("costs", {"period_start": "2026-02-01", "period_end": "2026-01-31"}, "out_of_range", "period_end"),
        ("connections", {"effective_on": "1899-12-31"}, "out_of_range", "effective_on"),
        ("connections", {"phase": "planned", "effective_on": "2100-01-01"}, "out_of_range", "effective_on"),
        ("case_volumes", {"year": "25"}, "out_of_range", "year"),
        ("competences", {"valid_to": "2020-01-01"}, "out_of_range", "valid_to"),
        ("page_visits", {"period_end": "2026-03-31"}, "out_of_range", "period_end"),
        # future_date
        ("connections", {"effective_on": "2026-06-02"}, "future_date", "effective_on"),
        ("connections", {"reported_at": "2026-06-02T00:30:00+02:00"}, "future_date", "reported_at"),
        ("connections", {"phase": "planned", "reported_at": "2026-06-03"}, "future_date", "reported_at"),
        ("usage", {"period": "2026-07-01"}, "future_date", "period"),
        ("costs", {"booked_on": "2027-01-01"}, "future_date", "booked_on"),
        ("case_volumes", {"year": "2027"}, "future_date", "year"),
        ("listings", {"observed_on": "2026-06-02"}, "future_date", "observed_on"),
    ],
)
def test_a_row_breaks_one_rule(table: str, changed: dict[str, Any], rule: str, column: str, tmp_path: Path) -> None:
    assert rule_of(tmp_path, table, changed) == (rule, column)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"amount_eur": "12 T€", "booked_on": "gestern", "entry_id": None}, "wrong_unit"),
        ({"booked_on": "gestern", "entry_id": None}, "malformed"),
        ({"entry_id": None, "payer": "Kreis"}, "missing"),
        ({"payer": "Kreis", "region_key": "06435"}, "unknown_value"),
        ({"region_key": "06999", "amount_eur": "1e12"}, "wrong_land"),
        ({"region_key": "09999", "amount_eur": "1e12"}, "unknown_key"),
        ({"region_key": "091", "amount_eur": "1e12"}, "ambiguous_key"),
        ({"amount_eur": "1e12", "booked_on": "2026-12-01"}, "out_of_range"),
    ],
)
def test_the_first_rule_in_the_order_counts(changes: dict[str, Any], rule: str, tmp_path: Path) -> None:
    assert rule_of(tmp_path, "costs", changes)[0] == rule
    assert sorted(RULE_ORDER) == sorted(QUARANTINE_RULES)


def test_the_sentence_names_column_value_and_what_is_expected(tmp_path: Path) -> None:
    row = {"Betrag": "12 T€"} | {name: value for name, value in COST.items() if name != "amount_eur"}
    _, _, quarantined = clean(tmp_path, "costs", [row], columns={"amount_eur": "Betrag"})
    found = quarantined.row(0, named=True)
    assert found["reason"] == "Spalte „Betrag“ (amount_eur): geliefert „12 T€“, erwartet wird ein Betrag in Euro (EUR)."
    assert found["reason_en"] == 'Column "Betrag" (amount_eur): delivered "12 T€", expected an amount in EUR.'
    assert json.loads(found["raw"]) == row


def test_a_long_value_is_shortened_and_made_visible(tmp_path: Path) -> None:
    _, _, quarantined = clean(tmp_path, "connections", [CONNECTION | {"team": "=\u0007" + "x" * 100_000}])
    found = quarantined.row(0, named=True)
    assert len(found["reason"]) < 300 and "�" in found["reason"] and "…" in found["reason"]
    assert len(found["raw"]) < 3_000


def test_a_row_that_the_reader_could_not_read_says_why(tmp_path: Path) -> None:
    raw = pl.DataFrame([COST, COST | {"entry_id": "B2"}]).with_columns(
        _row=pl.Series([7, 9]), _malformed=pl.Series([None, "3 Felder statt 11: a;b;c"])
    )
    outcome, rows, quarantined = clean(tmp_path, "costs", raw)
    assert rows["entry_id"].to_list() == ["B1"] and outcome.quarantined == {"malformed": 1}
    assert quarantined.select("row_number", "column", "reason").rows() == [
        (9, None, "Die Zeile ist nicht lesbar: 3 Felder statt 11: a;b;c.")
    ]


def test_a_header_that_names_another_unit_makes_every_amount_wrong(tmp_path: Path) -> None:
    for header, rule in (("Betrag (T€)", "wrong_unit"), ("betrag_ct", "wrong_unit"), ("Betrag in EUR", None), ("Actual", None)):
        row = {header if name == "amount_eur" else name: value for name, value in COST.items()}
        outcome, _, _ = clean(tmp_path, "costs", [row], columns={"amount_eur": header})
        assert outcome.quarantined == ({rule: 1} if rule else {}), header


# ---------------------------------------------------------------------------------------------------------------------- reading values


def value_of(tmp_path: Path, table: str, column: str, delivered: str, **reading: Any) -> Any:
    """The clean value of one delivered text, or the rule under which the row is refused."""
    outcome, rows, quarantined = clean(tmp_path, table, [SOUND[table] | {column: delivered}], reading=Reading(**reading))
    return rows[column][0] if outcome.rows_clean else quarantined["rule"][0]


@pytest.mark.parametrize(
    ("delivered", "reading", "expected"),
    [
        ("1234.56", {}, Decimal("1234.56")),
        ("-1234.5", {}, Decimal("-1234.50")),
        ("\u22121234.5", {}, Decimal("-1234.50")),  # the minus of typesetting
        ("+7", {}, Decimal("7.00")),
        ("1234,56", {"decimal": ","}, Decimal("1234.56")),
        ("1.234.567,89", {"decimal": ",", "thousands": "."}, Decimal("1234567.89")),
        ("1 234,50 €", {"decimal": ",", "thousands": " "}, Decimal("1234.50")),
        ("EUR 1.234,50", {"decimal": ",", "thousands": "."}, Decimal("1234.50")),
        ("1.005", {}, Decimal("1.01")),  # halves away from zero, as merchants round
        ("-1.005", {}, Decimal("-1.01")),
        ("1234.5600000000001", {}, Decimal("1234.56")),  # a spreadsheet's float
        ("1.234", {"decimal": ",", "thousands": "."}, Decimal("1234.00")),
        ("12.34", {"decimal": ",", "thousands": "."}, "malformed"),
        ("1.2345,00", {"decimal": ",", "thousands": "."}, "malformed"),
        ("1,234.56", {}, "malformed"),
        ("1 234", {}, "malformed"),
    ],
)
def test_amounts(delivered: str, reading: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    assert value_of(tmp_path, "costs", "amount_eur", delivered, **reading) == expected


@pytest.mark.parametrize(
    ("delivered", "reading", "expected"),
    [
        ("0", {}, 0),
        ("12.0", {}, 12),
        ("1.234", {"thousands": ".", "decimal": ","}, 1234),
        ("1e3", {}, "malformed"),
        ("0x1F", {}, "malformed"),
        ("١٢", {}, "malformed"),  # digits of another script
        ("1_000", {}, "malformed"),
    ],
)
def test_counts(delivered: str, reading: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    assert value_of(tmp_path, "usage", "submitted", delivered, **reading) == expected


@pytest.mark.parametrize(
    ("delivered", "reading", "expected"),
    [
        ("2026-03-01", {}, date(2026, 3, 1)),
        ("01.03.2026", {"date": "%d.%m.%Y"}, date(2026, 3, 1)),
        ("1.3.2026", {"date": "%d.%m.%Y"}, date(2026, 3, 1)),
        ("2026-03-01", {"date": "%d.%m.%Y"}, date(2026, 3, 1)),
        ("2026-03-01T00:00:00", {}, date(2026, 3, 1)),
        ("2026-03-01 00:00:00", {}, date(2026, 3, 1)),
        ("2026-02-28T23:30:00Z", {}, date(2026, 3, 1)),  # already March in Berlin
        ("2026-03-01T00:00:00+01:00", {}, date(2026, 3, 1)),
        ("03/01/2026", {"date": "%d/%m/%Y"}, date(2026, 1, 3)),
        ("01.03.2026", {}, "malformed"),
        ("2026-02-30", {}, "malformed"),
    ],
)
def test_days(delivered: str, reading: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    assert value_of(tmp_path, "connections", "effective_on", delivered, **reading) == expected


@pytest.mark.parametrize(
    ("delivered", "reading", "expected"),
    [
        ("2026-03-02T08:00:00Z", {}, datetime(2026, 3, 2, 8, tzinfo=UTC)),
        ("2026-03-02T08:00:00.123456+01:00", {}, datetime(2026, 3, 2, 7, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-02 08:00:00 +0100", {}, datetime(2026, 3, 2, 7, tzinfo=UTC)),
        ("2026-03-02T08:00", {}, datetime(2026, 3, 2, 7, tzinfo=UTC)),  # no offset: Berlin
        ("2026-04-02T08:00:00", {}, datetime(2026, 4, 2, 6, tzinfo=UTC)),  # Berlin in summer
        ("2025-10-26T02:30:00", {}, datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),  # the doubled hour: the earlier one
        ("02.03.2026 08:00", {"date": "%d.%m.%Y"}, datetime(2026, 3, 2, 7, tzinfo=UTC)),
        ("02.03.2026", {"date": "%d.%m.%Y"}, datetime(2026, 3, 1, 23, tzinfo=UTC)),
    ],
)
def test_instants(delivered: str, reading: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    assert value_of(tmp_path, "connections", "reported_at", delivered, **reading) == expected


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ("ja", True),
        ("Nein", False),
        ("TRUE", True),
        ("false", False),
        ("1", True),
        ("0", False),
        ("x", True),
        ("", False),
        ("1.0", True),
    ],
)
def test_truth_values(delivered: str, expected: bool, tmp_path: Path) -> None:
    assert value_of(tmp_path, "connections", "is_pilot", delivered) is expected


def test_months(tmp_path: Path) -> None:
    for delivered, reading in (("2026-03", {}), ("03.2026", {"date": "%m.%Y"}), ("2026-03-31", {}), ("2026-03-01", {})):
        assert value_of(tmp_path, "usage", "period", delivered, **reading) == date(2026, 3, 1), delivered
    rows = [USAGE | {"grain": "day", "period": "2026-03-31"}]
    assert clean(tmp_path, "usage", rows)[1]["period"].to_list() == [date(2026, 3, 31)]


def test_only_what_is_planned_may_lie_ahead(tmp_path: Path) -> None:
    planned = CONNECTION | {"phase": "planned", "effective_on": "2027-03-01", "planned_start_on": "2027-01-01"}
    assert clean(tmp_path, "connections", [planned])[0].rows_clean == 1
    assert clean(tmp_path, "costs", [COST | {"entry_status": "planned", "booked_on": "2027-03-01"}])[0].rows_clean == 1


def test_words_of_page_visits(tmp_path: Path) -> None:
    rows = [VISITS | {"device": "Smartphone"}, VISITS | {"device": "Others", "country": "OTHER"}]
    found = clean(tmp_path, "page_visits", rows)[1]
    assert found.select(pl.col("device").cast(pl.String), "country").rows() == [("smartphone", "DE"), ("other", "other")]


# ------------------------------------------------------------------------------------------------------- columns, constants and words


def test_columns_constants_and_words_of_the_land_file(tmp_path: Path) -> None:
    row = {
        "Datum": "03.2026",
        "Schlüssel": "09174",
        "Leistung": "Führerschein",
        "Kanal": "Schalter",
        "eingereicht": "1.234",
        "Neu": "?",
    }
    outcome, rows, _ = clean(
        tmp_path,
        "usage",
        [row],
        columns={
            "period": "Datum",
            "region_key": "Schlüssel",
            "service_id": "Leistung",
            "channel": "Kanal",
            "submitted": "eingereicht",
        },
        constants={"grain": "month", "is_test": False, "started": 7},
        values={"service_id": {"Führerschein": "fuehrerschein"}, "channel": {"Schalter": "counter"}},
        reading=Reading(date="%m.%Y", decimal=",", thousands="."),
    )
    assert outcome.unknown_columns == ["Neu"] and outcome.missing_columns == [] and outcome.problem is None
    assert rows.select("authority_id", "period", "submitted", "started", "is_test").rows() == [
        ("fahrerlaubnisbehoerde/09174", date(2026, 3, 1), 1234, 7, False)
    ]


def test_a_constant_date_and_number_are_read_as_ours(tmp_path: Path) -> None:
    row = {name: value for name, value in COST.items() if name not in ("booked_on", "amount_eur")}
    constants = {"booked_on": date(2026, 3, 1), "amount_eur": 12.5}
    _, rows, _ = clean(
        tmp_path, "costs", [row], constants=constants, reading=Reading(date="%d.%m.%Y", decimal=",", thousands=".")
    )
    assert rows.select("booked_on", "amount_eur").rows() == [(date(2026, 3, 1), Decimal("12.50"))]


def test_a_missing_needed_column_is_one_problem_and_no_row_is_lost(tmp_path: Path) -> None:
    row = {name: value for name, value in CONNECTION.items() if name != "phase"} | {"Zustand": "in Betrieb"}
    outcome, rows, _quarantined = clean(tmp_path, "connections", [row, row], columns={"phase": "Status"})
    assert outcome.missing_columns == ["Status"] and outcome.unknown_columns == ["Zustand"]
    assert outcome.problem is not None and "„Status“" in outcome.problem and outcome.problem_en is not None
    assert rows.is_empty() and outcome.quarantined == {"missing": 2}


def test_a_missing_optional_column_is_reported_and_no_problem(tmp_path: Path) -> None:
    outcome, rows, _ = clean(tmp_path, "connections", [CONNECTION], columns={"team": "Team", "is_pilot": "Pilot"})
    assert outcome.missing_columns == ["Team", "Pilot"] and outcome.problem is None
    assert rows.select("team", "is_pilot").rows() == [(None, False)]


def test_a_delivery_without_rows_is_empty_and_no_problem(tmp_path: Path) -> None:
    for raw in (
        pl.DataFrame(schema={"_row": pl.Int64}),
        pl.DataFrame(schema=dict.fromkeys(CONNECTION, pl.String) | {"_row": pl.Int64}),
    ):
        outcome, rows, quarantined = clean(tmp_path, "connections", raw)
        assert (outcome.rows_delivered, outcome.problem, outcome.missing_columns) == (0, None, [])
        assert rows.schema == TABLES["connections"].polars_schema() and quarantined.is_empty()


def test_the_kind_of_an_authority_is_in_its_id(tmp_path: Path) -> None:
    _, rows, _ = clean(tmp_path, "authorities", [AUTHORITY])
    assert rows["kind"].to_list() == ["fahrerlaubnisbehoerde"]


def test_federal_rows_belong_to_the_land_of_their_region(tmp_path: Path) -> None:
    rows = [LISTING, LISTING | {"ars": "060000000000"}, LISTING | {"ars": "000000000000"}, LISTING | {"ars": "170000000000"}]
    outcome, found, _ = clean(tmp_path, "listings", rows, "00")
    assert found["land_code"].to_list() == ["09", "06", "00"] and outcome.quarantined == {"wrong_land": 1}


def test_keys_are_of_latin_digits_also_where_clean_rows_are_checked_again(tmp_path: Path) -> None:
    other = "99١١٥٠٠٥١٠٤٠٠٠"
    assert clean(tmp_path, "listings", [LISTING | {"leika_key": other}])[0].quarantined == {"malformed": 1}
    _, rows, _ = clean(tmp_path, "listings", [LISTING])
    schema = TABLES["listings"].schema
    assert schema.is_valid(rows) and not schema.is_valid(rows.with_columns(leika_key=pl.lit(other)))


def test_an_inactive_entry_does_not_contradict_the_one_that_replaced_it(tmp_path: Path) -> None:
    ended = LISTING | {"is_retracted": "ja"}
    outcome, found, _ = clean(tmp_path, "listings", [ended, LISTING, ended, LISTING | {"is_inherited": "true"}])
    assert outcome.quarantined == {"duplicate": 1, "conflict": 2} and found["is_retracted"].to_list() == [True]
    assert clean(tmp_path, "listings", [LISTING])[1]["is_retracted"].to_list() == [False]
    assert clean(tmp_path, "listings", [LISTING | {"is_retracted": "aktiv: bald"}])[0].quarantined == {"malformed": 1}


def test_the_row_as_it_came_is_quarantined_where_its_reader_put_it_into_other_words(tmp_path: Path) -> None:
    rows = [LISTING | {"url": url} for url in ("kaputt", "https://a.example", "https://a.example")]
    came = pl.DataFrame({"^.*$": ["x" * 3_000, None, None], "aktiv": ["ja", "ja", "nein"], "raw:0": ["1", "2", "3"]})
    raw = pl.DataFrame(rows).with_columns(came.to_struct("_delivered"))
    outcome, _, quarantined = clean(tmp_path, "listings", raw)
    assert outcome.quarantined == {"malformed": 1, "duplicate": 1} and outcome.unknown_columns == []
    found = [json.loads(row) for row in quarantined["raw"]]
    assert found == [{"^.*$": "x" * 2_000, "aktiv": "ja", "raw:0": "1"}, {"^.*$": None, "aktiv": "nein", "raw:0": "3"}]


# --------------------------------------------------------------------------------------------------------- duplicates and conflicts


def test_of_identical_rows_the_first_is_kept_and_contradictions_all_go(tmp_path: Path) -> None:
    rows = [
        COST,
        COST | {"entry_id": "B2"},
        COST | {"amount_eur": "1234.560 EUR"},  # the same in other words
        COST | {"entry_id": "B2", "amount_eur": "2"},
        COST | {"entry_id": "B2"},
        COST | {"entry_id": "B3", "amount_eur": "zwölf"},
        COST | {"entry_id": "B3"},  # the other B3 is no row, so this one contradicts nobody
    ]
    outcome, found, quarantined = clean(tmp_path, "costs", rows)
    assert found["entry_id"].to_list() == ["B1", "B3"]
    assert quarantined.select("row_number", "rule").rows() == [
        (2, "conflict"),
        (3, "duplicate"),
        (4, "conflict"),
        (5, "duplicate"),
        (6, "malformed"),
    ]
    assert outcome.quarantined == {"malformed": 1, "duplicate": 2, "conflict": 2}
    reasons = dict(quarantined.select("row_number", "reason").iter_rows())
    assert "Zeile 1" in reasons[3] and "2, 4" in reasons[2]
    assert json.loads(quarantined.filter(pl.col("row_number") == 4)["raw"][0])["amount_eur"] == "2"


def test_events_are_told_apart_by_their_id_and_else_by_what_they_say(tmp_path: Path) -> None:
    same_id = [CONNECTION, CONNECTION | {"phase": "suspended"}]
    assert clean(tmp_path, "connections", same_id)[0].quarantined == {"conflict": 2}
    other_id = [CONNECTION, CONNECTION | {"event_id": "E2"}]
    assert clean(tmp_path, "connections", other_id)[0].quarantined == {}
    no_id = [
        {name: value for name, value in CONNECTION.items() if name != "event_id"} | {"team": team} for team in ("Rot", "Blau")
    ]
    assert clean(tmp_path, "connections", no_id)[0].quarantined == {"conflict": 2}


def test_two_names_of_one_authority_are_one_key(tmp_path: Path) -> None:
    rows = [USAGE, USAGE | {"region_key": "091740000000", "submitted": "13"}]
    assert clean(tmp_path, "usage", rows)[0].quarantined == {"conflict": 2}


def test_missing_is_a_value_of_its_own_in_a_key(tmp_path: Path) -> None:
    rows = [USAGE | {"account": account} for account in (None, "bundid", "none", None)]
    assert clean(tmp_path, "usage", rows)[0].quarantined == {"duplicate": 1}
