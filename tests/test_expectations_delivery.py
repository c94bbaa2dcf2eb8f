"""The delivery gate: a good delivery is admitted, and every check has a delivery that it refuses."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from expectations import thresholds
from expectations.delivery import check_delivery
from expectations.results import CheckResult, passed, refusal

AT = dt.datetime(2026, 6, 2, 0, 30, tzinfo=dt.UTC)
ROWS = 200


def provenance(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    return frame.with_columns(
        land_code=pl.lit("09"),
        source=pl.lit(source),
        delivery_id=pl.lit("20260602T003000Z-000-abcdef01"),
        delivered_at=pl.lit(AT).cast(pl.Datetime("us", "UTC")),
    )


def costs() -> pl.DataFrame:
    number = pl.int_range(ROWS)
    return provenance(
        pl.select(
            entry_id=pl.format("e{}", number),
            booked_on=pl.lit(dt.date(2026, 5, 1)) + pl.duration(days=number % 30),
            category=pl.when(number % 2 == 0).then(pl.lit("integration")).otherwise(pl.lit("licence")),
            entry_status=pl.lit("invoiced"),
            wave=number % 3,
            amount_eur=(pl.when(number % 10 == 0).then(-50).otherwise(800 + number)).cast(pl.Decimal(18, 2)),
            is_retracted=pl.lit(False),
        ),
        "kosten",
    )


def usage() -> pl.DataFrame:
    number = pl.int_range(ROWS)
    return provenance(
        pl.select(
            authority_id=pl.format("meldebehoerde/09{}", (number % 20 + 10_000).cast(pl.String)),
            service_id=pl.lit("ummeldung"),
            period=pl.lit(dt.date(2026, 5, 1)) + pl.duration(days=number // 20),
            grain=pl.lit("day"),
            channel=pl.lit("online"),
            account=pl.lit(None, dtype=pl.String),
            started=number + 10,
            submitted=number + 5,
            completed=number,
            is_test=pl.lit(False),
            is_retracted=pl.lit(False),
        ),
        "nutzung",
    )


def connections() -> pl.DataFrame:
    number = pl.int_range(ROWS)
    return provenance(
        pl.select(
            event_id=pl.when(number < 100).then(pl.format("v{}", number)),
            authority_id=pl.format("meldebehoerde/09{}", (number + 10_000).cast(pl.String)),
            service_id=pl.lit("ummeldung"),
            phase=pl.when(number % 5 == 0).then(pl.lit("planned")).otherwise(pl.lit("operational")),
            effective_on=pl.when(number % 5 == 0).then(dt.date(2026, 12, 1)).otherwise(dt.date(2026, 5, 1)),
            reported_at=pl.lit(AT).cast(pl.Datetime("us", "UTC")),
            difficulty=pl.lit(-1.5),
            is_pilot=pl.lit(False),
        ),
        "verbindungen",
    )


def volumes() -> pl.DataFrame:
    return provenance(
        pl.select(
            authority_id=pl.format("waffenbehoerde/09{}", pl.int_range(100, 300)),
            service_id=pl.lit("waffen"),
            year=pl.lit(2025, dtype=pl.Int64),
            cases=pl.lit(7, dtype=pl.Int64),
        ),
        "fallzahlen",
    )


MAKERS = {"costs": costs, "usage": usage, "connections": connections, "case_volumes": volumes}
KEYS = {
    "costs": ("source", "entry_id"),
    "usage": ("authority_id", "service_id", "period", "grain", "channel", "account"),
    "connections": ("authority_id", "service_id", "phase", "effective_on"),
    "case_volumes": ("authority_id", "service_id", "year"),
}


def deliver(
    folder: Path, table: str, frame: pl.DataFrame | None = None, in_quarantine: int = 0, **facts: Any
) -> list[CheckResult]:
    frame = MAKERS[table]() if frame is None else frame
    clean, quarantine = folder / "clean.parquet", folder / "quarantine.parquet"
    frame.write_parquet(clean)
    quarantined = facts.pop("quarantined", {})
    pl.DataFrame(
        {"row_number": range(in_quarantine or sum(quarantined.values()))}, schema={"row_number": pl.Int64}
    ).write_parquet(quarantine)
    usual: dict[str, Any] = {
        "table": table,
        "land_code": "09",
        "source": MAKERS[table]()["source"][0],
        "key": KEYS[table],
        "delivers": "changes",
        "expects_full_list": True,
        "rows_delivered": frame.height + sum(quarantined.values()),
        "quarantined": quarantined,
        "missing_columns": [],
        "problem": None,
        "predecessor_rows": ROWS,
        "required": KEYS[table][:2],
    }
    return check_delivery(clean, quarantine, **{**usual, **facts})


def failed(results: list[CheckResult]) -> set[str]:
    assert not [r for r in results if r.is_broken]
    return {r.name for r in results if not r.passed}


@pytest.mark.parametrize("table", MAKERS)
def test_a_good_delivery_is_admitted(tmp_path: Path, table: str) -> None:
    predecessor = tmp_path / "predecessor.parquet"
    MAKERS[table]().write_parquet(predecessor)
    results = deliver(tmp_path, table, predecessor_parquet=predecessor)
    assert failed(results) == set()
    assert passed(results)
    assert refusal(results) is None
    assert len({(r.name, r.column) for r in results}) == len(results)


def setting(column: str, value: Any, rows: int = 1) -> Any:
    """A damage: ``value`` in the first rows of ``column``."""
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) < rows).then(value).otherwise(pl.col(column)).alias(column)
    )


DAMAGES: list[tuple[str, str, Any]] = [
    ("key_unique", "costs", setting("entry_id", pl.lit("e50"))),
    ("key_unique", "connections", setting("event_id", pl.lit("v50"))),
    ("key_unique", "connections", lambda frame: pl.concat([frame, frame.tail(1)])),
    ("key_unique", "usage", lambda frame: pl.concat([frame, frame.tail(1)])),
    ("required_filled", "costs", setting("entry_id", None)),
    ("required_filled", "costs", setting("delivered_at", None)),
    ("one_delivery", "costs", setting("delivery_id", pl.lit("20260601T003000Z-000-abcdef01"))),
    ("one_delivery", "costs", lambda frame: frame.with_columns(source=pl.lit("another"))),
    ("land_is_own", "costs", setting("land_code", pl.lit("06"))),
    ("columns_typed", "costs", lambda frame: frame.with_columns(pl.col("amount_eur").cast(pl.Float64))),
    ("columns_typed", "costs", lambda frame: frame.with_columns(pl.col("booked_on").cast(pl.String))),
    ("columns_typed", "usage", lambda frame: frame.drop("grain")),
    ("dates_plausible", "costs", setting("booked_on", dt.date(2009, 12, 31))),
    ("dates_plausible", "costs", setting("booked_on", dt.date(2026, 6, 3))),
    ("dates_plausible", "connections", lambda frame: frame.with_columns(effective_on=dt.date(2026, 6, 3))),
    ("dates_plausible", "case_volumes", setting("year", 2027)),
    ("dates_within_horizon", "connections", setting("effective_on", dt.date(2062, 12, 1))),
    ("counts_non_negative", "usage", setting("submitted", -1)),
    ("counts_non_negative", "case_volumes", setting("cases", -1)),
    ("submitted_within_started", "usage", setting("submitted", 10_000, rows=5)),
    ("sum_within_started", "usage", setting("submitted", 1_000_000)),
    ("sum_within_started", "usage", setting("completed", 1_000_000)),
]


@pytest.mark.parametrize(("check", "table", "damage"), DAMAGES)
def test_damaged_rows_are_found(tmp_path: Path, check: str, table: str, damage: Any) -> None:
    # mutated rows may break the typed columns' other checks; the one named here must be among the failures
    results = deliver(tmp_path, table, damage(MAKERS[table]()))
    assert check in {r.name for r in results if not r.passed and not r.is_broken}
    assert all(len(r.examples) <= 5 for r in results)


FACTS: list[tuple[set[str], dict[str, Any]]] = [
    ({"quarantine_share"}, {"quarantined": {"malformed": 12}}),
    ({"quarantine_share"}, {"quarantined": {"malformed": 6, "missing": 6, "duplicate": 40}}),
    (set(), {"quarantined": {"malformed": 3, "duplicate": 150}}),
    ({"wrong_land_share"}, {"quarantined": {"wrong_land": 5}}),
    ({"columns_complete"}, {"missing_columns": ["betrag"]}),
    ({"volume_drop"}, {"predecessor_rows": 2 * ROWS}),
    (set(), {"predecessor_rows": 2 * ROWS, "expects_full_list": False}),
    (set(), {"predecessor_rows": ROWS + 5}),
    (set(), {"predecessor_rows": None}),
    ({"rows_add_up"}, {"rows_delivered": ROWS + 1}),
    ({"rows_add_up"}, {"quarantined": {"malformed": 1}, "in_quarantine": 2}),
]


@pytest.mark.parametrize(("expected", "facts"), FACTS)
def test_facts_about_a_delivery(tmp_path: Path, expected: set[str], facts: dict[str, Any]) -> None:
    assert failed(deliver(tmp_path, "costs", **facts)) == expected


def test_a_list_that_repeats_itself_is_refused(tmp_path: Path) -> None:
    frame = pl.concat([costs().with_columns(entry_id=pl.format("{}-{}", pl.lit(n), pl.col("entry_id"))) for n in range(12)])
    assert failed(deliver(tmp_path, "costs", frame)) == {"volume_jump"}
    assert failed(deliver(tmp_path, "costs", frame, predecessor_rows=1200)) == set()


def test_an_empty_list_is_refused_and_an_empty_list_of_changes_is_not(tmp_path: Path) -> None:
    nothing = costs().clear()
    assert "not_empty" in failed(deliver(tmp_path, "costs", nothing))
    assert "not_empty" in failed(deliver(tmp_path, "costs", nothing, delivers="snapshot", expects_full_list=False))
    assert failed(deliver(tmp_path, "costs", nothing, expects_full_list=False)) == set()


def test_a_short_list_of_changes_may_hold_a_faulty_row_but_not_only_such(tmp_path: Path) -> None:
    few = costs().head(4)
    assert failed(deliver(tmp_path, "costs", few, expects_full_list=False, quarantined={"malformed": 2})) == set()
    assert failed(deliver(tmp_path, "costs", few.clear(), expects_full_list=False, quarantined={"malformed": 2})) == {
        "some_rows_usable"
    }


@pytest.mark.parametrize("factor", [1000, 100, 0.001, 0.01])
def test_a_slip_of_the_unit_is_refused(tmp_path: Path, factor: float) -> None:
    predecessor = tmp_path / "predecessor.parquet"
    costs().write_parquet(predecessor)
    slipped = (pl.col("amount_eur").cast(pl.Float64) * factor).cast(pl.Decimal(18, 2))
    everything = costs().with_columns(slipped)
    assert failed(deliver(tmp_path, "costs", everything, predecessor_parquet=predecessor)) == {"unit_unchanged"}
    new = everything.head(30).with_columns(entry_id=pl.format("new-{}", pl.col("entry_id")))
    assert failed(deliver(tmp_path, "costs", pl.concat([costs(), new]), predecessor_parquet=predecessor)) == {"unit_of_new_rows"}


def test_dearer_and_cheaper_entries_are_no_slip(tmp_path: Path) -> None:
    predecessor = tmp_path / "predecessor.parquet"
    costs().write_parquet(predecessor)
    dearer = (
        costs()
        .with_columns(pl.col("amount_eur") * 5, entry_id=pl.format("new-{}", pl.col("entry_id")))
        .with_columns(pl.col("amount_eur").cast(pl.Decimal(18, 2)))
    )
    assert failed(deliver(tmp_path, "costs", pl.concat([costs(), dearer]), predecessor_parquet=predecessor)) == set()
    assert failed(deliver(tmp_path, "costs", dearer.head(3), expects_full_list=False, predecessor_parquet=predecessor)) == set()


WORDS = {"category": ["integration", "licence"], "entry_status": ["invoiced"]}


def test_words_that_are_on_no_list_are_found_and_not_shown(tmp_path: Path) -> None:
    assert failed(deliver(tmp_path, "costs", words=WORDS)) == set()
    damaged = setting("category", pl.lit("Max Mustermann"))(costs())
    [result] = [r for r in deliver(tmp_path, "costs", damaged, words=WORDS) if not r.passed]
    assert (result.name, result.severity, result.observed) == ("words_known", "error", "1 row(s): category")


def test_an_export_of_last_year_is_told(tmp_path: Path) -> None:
    old = costs().with_columns(pl.col("booked_on").dt.offset_by("-6mo"))
    [result] = [r for r in deliver(tmp_path, "costs", old) if not r.passed]
    assert (result.name, result.severity) == ("fresh", "warn")
    assert result.observed == "1 row(s): newest 2025-11-30, delivered 2026-06-02"


def test_a_night_is_compared_with_the_nights_of_its_weekday(tmp_path: Path) -> None:
    # increments of Tuesdays have 200 rows, those of Sundays 30
    tuesdays = [(AT - dt.timedelta(days=7 * week), ROWS + week) for week in range(5, 0, -1)]
    sundays = [(at - dt.timedelta(days=2), 30) for at, _ in tuesdays]
    history = sorted(tuesdays + sundays)
    as_usual = {"expects_full_list": False, "history": history}
    assert failed(deliver(tmp_path, "costs", **as_usual)) == set()
    assert failed(deliver(tmp_path, "costs", costs().head(40), **as_usual)) == {"volume_of_weekday"}
    sunday = costs().head(40).with_columns(delivered_at=pl.lit(AT - dt.timedelta(days=2)).cast(pl.Datetime("us", "UTC")))
    assert failed(deliver(tmp_path, "costs", sunday, **as_usual)) == set()
    assert failed(deliver(tmp_path, "costs", costs().head(40), expects_full_list=False, history=tuesdays[:2])) == set()


def ledger(rows: int = ROWS) -> pl.DataFrame:
    """Costs that are numbered in the order of booking, each with its payer and authority."""
    return costs().with_columns(
        entry_id=pl.format("B-{}", pl.int_range(pl.len()) * 3 + 1000),
        booked_on=pl.lit(dt.date(2026, 4, 1)) + pl.duration(days=pl.int_range(pl.len()) // 10),
        payer=pl.lit("land"),
        authority_id=pl.format("meldebehoerde/09{}", pl.int_range(pl.len()) % 50 + 10_000),
        service_id=pl.lit("ummeldung"),
    )[:rows]


def against(tmp_path: Path, frame: pl.DataFrame, predecessor: pl.DataFrame | None = None) -> set[str]:
    path = tmp_path / "predecessor.parquet"
    (ledger() if predecessor is None else predecessor).write_parquet(path)
    return failed(deliver(tmp_path, "costs", frame, predecessor_parquet=path, required=("entry_id",)))


def test_identifiers_keep_their_meaning_and_rise(tmp_path: Path) -> None:
    assert against(tmp_path, ledger()) == set()
    moved_on = pl.col("authority_id").shift(-20).fill_null("meldebehoerde/0910003")
    assert against(tmp_path, ledger().with_columns(authority_id=moved_on)) == {"identifiers_kept"}
    one = setting("authority_id", pl.lit("meldebehoerde/0910049"))(ledger())
    assert against(tmp_path, one) == set()
    new = ledger(1).with_columns(entry_id=pl.lit("B-1598"))
    assert against(tmp_path, pl.concat([ledger(), new])) == set()
    late = new.with_columns(entry_id=pl.lit("B-1301"))
    assert against(tmp_path, pl.concat([ledger(), late])) == {"identifiers_rise"}
    unordered = ledger().with_columns(booked_on=pl.col("booked_on").reverse())
    assert against(tmp_path, pl.concat([unordered, late]), unordered) == set()


def test_a_list_without_some_of_its_authorities_is_refused(tmp_path: Path) -> None:
    rest = pl.concat([ledger().filter(pl.col("authority_id") >= "meldebehoerde/0910010")] * 2)[:ROWS]
    rest = rest.with_columns(entry_id=pl.format("B-{}", 5000 + pl.int_range(pl.len())))
    assert against(tmp_path, rest) == {"authorities_complete"}
    assert against(tmp_path, ledger().filter(pl.col("authority_id") >= "meldebehoerde/0910004")) == set()


def test_an_unreadable_delivery_fails_with_its_sentence(tmp_path: Path) -> None:
    sentence = "Statt JSON kam eine HTML-Fehlerseite; bitte die Adresse prüfen."
    [result] = deliver(
        tmp_path, "costs", problem=sentence, problem_en="An HTML error page came instead of JSON; check the address."
    )
    assert not result.passed
    assert not result.is_broken
    assert refusal([result]) == (sentence, "An HTML error page came instead of JSON; check the address.")


@pytest.mark.parametrize("content", [None, b"PAR1 no"])
def test_clean_data_that_cannot_be_read_is_broken(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.parquet"
    if content is not None:
        path.write_bytes(content)
    [result] = check_delivery(
        path,
        tmp_path / "none.parquet",
        table="costs",
        land_code="09",
        source="kosten",
        key=("entry_id",),
        delivers="changes",
        expects_full_list=False,
        rows_delivered=1,
        quarantined={},
        missing_columns=[],
        problem=None,
        predecessor_rows=None,
    )
    assert result.is_broken
    assert not result.passed


def test_federal_rows_belong_to_many_laender(tmp_path: Path) -> None:
    frame = setting("land_code", pl.lit("06"), rows=50)(costs())
    assert failed(deliver(tmp_path, "costs", frame, land_code="00")) == set()


def test_the_refusal_names_number_and_reason(tmp_path: Path) -> None:
    german, english = refusal(deliver(tmp_path, "costs", quarantined={"out_of_range": 100, "duplicate": 3})) or ("", "")
    assert german == (
        "costs: Höchstens wenige Zeilen sind fehlerhaft (Dubletten zählen nicht). "
        "Gefunden: 1 row(s): 100 of 300 (out_of_range 100); erwartet: <= 5%."
    )
    assert "out_of_range 100" in english


def test_severity_and_value_follow_the_thresholds(tmp_path: Path) -> None:
    limits = dict(thresholds.load())
    name = "delivery_quarantine_share_max"
    limits[name] = limits[name].model_copy(update={"value": 0.5, "severity": "warn"})
    assert failed(deliver(tmp_path, "costs", quarantined={"malformed": 100}, thresholds=limits)) == set()
    results = deliver(tmp_path, "costs", quarantined={"malformed": 300}, thresholds=limits)
    assert failed(results) == {"quarantine_share"}
    assert passed(results)


def test_every_check_has_a_delivery_that_it_refuses(tmp_path: Path) -> None:
    predecessor = tmp_path / "predecessor.parquet"
    costs().write_parquet(predecessor)
    names = {
        r.name
        for table in MAKERS
        for r in deliver(tmp_path, table, predecessor_parquet=predecessor if table == "costs" else None)
    }
    tested = {check for check, *_ in DAMAGES} | set().union(*(expected for expected, _ in FACTS))
    assert names - tested == {
        "not_empty",
        "some_rows_usable",
        "volume_jump",
        "unit_unchanged",
        "unit_of_new_rows",
        "fresh",
    }  # each has its own test above
