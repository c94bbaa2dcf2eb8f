"""``CHANGES.md`` between two releases: hand-made warehouses that differ in one thing each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import changes

SCHEMA = """
create schema core; create schema metrics; create schema meta;
create table meta.release (release_id varchar, as_of date, territory_on date, is_synthetic boolean, code_version varchar);
create table metrics.coverage_daily (
    land_code varchar, service_id varchar, as_of date, authorities_operational bigint, authorities_competent bigint,
    coverage_authority_share double
);
create table metrics.adoption_monthly (
    land_code varchar, service_id varchar, month date, submitted_online_count bigint, submitted_total_count bigint,
    reporting_authorities bigint
);
create table core.fct_cost (land_code varchar, source varchar, entry_id varchar, amount_eur decimal(18, 2), entry_status varchar);
create table metrics.scale_verdict (
    claim varchar, outcome varchar, verdict varchar, label varchar, frozen_on date, estimate double, prereg_sha256 varchar
);
create table meta.metric (metric_id varchar, version varchar, definition_sha256 varchar, computation_md5 varchar);
create table meta.column (schema_name varchar, table_name varchar, column_name varchar, data_type varchar);
create table meta.source_status (land_code varchar, source varchar, status varchar);
create table meta.delivery (land_code varchar, source varchar, delivery_id varchar, is_admitted boolean, withdrawn_at timestamptz);

insert into metrics.coverage_daily
select '09', 'ummeldung', day, 3, 4, 0.75 from generate_series(date '2026-05-01', date '2026-06-02', interval 1 day) as t(day);
insert into metrics.adoption_monthly values
    ('09', 'ummeldung', '2026-04-01', 10, 20, 3), ('09', 'ummeldung', '2026-05-01', 10, 20, 3), ('09', 'ummeldung', '2026-06-01', 1, 2, 3);
insert into core.fct_cost values ('09', 'kosten', 'e1', 100, 'invoiced'), ('09', 'kosten', 'e2', 50, 'invoiced');
insert into metrics.scale_verdict values
    ('C1', 'cost', 'not_due', 'descriptive', null, 0.1, repeat('a', 64)),
    ('C1', 'person_days', 'supported', null, '2026-05-31', 0.1, repeat('a', 64));
insert into meta.metric values ('coverage', '1', 'd1', 'c1'), ('take_up', '1', 'd2', 'c2');
insert into meta.column values ('core', 'fct_cost', 'amount_eur', 'DECIMAL(18,2)');
insert into meta.source_status values ('09', 'kosten', 'current');
insert into meta.delivery values ('09', 'kosten', 'first', true, null);
"""


def warehouse(path: Path, day: str, statements: Iterable[str] = ()) -> Path:
    with duckdb.connect(str(path)) as con:
        con.execute(SCHEMA)
        con.execute("insert into meta.release values (?, ?, ?, true, 'v1')", [f"release-{day}", day, day])
        con.execute("delete from metrics.coverage_daily where as_of > ?", [day])
        for statement in statements:
            con.execute(statement)
    return path


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warehouse(tmp_path_factory.mktemp("old") / "warehouse.duckdb", "2026-06-01")


def told(tmp_path: Path, old: Path, *statements: str) -> dict[str, str]:
    """The page's sections by the first word of their title; '' is its head."""
    text = changes.compared(warehouse(tmp_path / "new.duckdb", "2026-06-02", statements), old)
    head, *sections = text.split("\n## ")
    return {"": head} | {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}


def test_nothing_but_a_new_day_is_no_change(tmp_path: Path, old: Path) -> None:
    sections = told(tmp_path, old)
    assert "release-2026-06-02" in sections.pop("") and len(sections) == len(changes.SECTIONS)
    assert all(section.endswith("(Unchanged.)") for section in sections.values()), sections


CHANGES = {
    "Abdeckung (coverage)": (
        "update metrics.coverage_daily set authorities_operational = 4, coverage_authority_share = 1 where as_of = '2026-06-02'",
        "| 09 | ummeldung | 3 | 4 | 4 | 4 | 75.0 | 100.0 |",
    ),
    "Geänderte Vergangenheit: Anbindungen (revised history: connections)": (
        "update metrics.coverage_daily set authorities_operational = 2 where as_of between '2026-05-03' and '2026-05-05'",
        "| 09 | ummeldung | 3 | 2026-05-03 | 2026-05-05 | -1 | -1 |",
    ),
    "Geänderte Vergangenheit: Nutzung (revised history: usage)": (
        "update metrics.adoption_monthly set submitted_online_count = 7",  # of June, which is not over, nothing is said
        "| 09 | ummeldung | 2 | 2026-04-01 | 2026-05-01 | 20 | 14 |",
    ),
    "Buchungen (ledger)": (
        "delete from core.fct_cost where entry_id = 'e1'; insert into core.fct_cost values ('09', 'kosten', 'e3', 7, 'estimate')",
        "| 09 | 1 | 1 | 0 | 100.00 | 7.00 |",
    ),
    "Urteil über die Skaleneffekte (verdict on the economies of scale)": (
        "update metrics.scale_verdict set prereg_sha256 = repeat('b', 64) where outcome = 'cost'",
        f"| C1 | cost | not\\_due | not\\_due | 10.0 | 10.0 | {'a' * 12} | {'b' * 12} |",
    ),
    "Definitionen (definitions)": (
        "update meta.metric set definition_sha256 = 'x', version = '2' where metric_id = 'coverage'",
        "| coverage | Definition geändert (definition changed) | 1 | 2 |",
    ),
    "Tabellen und Spalten (tables and columns)": (
        "insert into meta.column values ('core', 'fct_cost', 'payer', 'VARCHAR')",
        "| core.fct\\_cost | payer | neu (new) | – | VARCHAR |",
    ),
    "Quellen (sources)": (
        "insert into meta.delivery values ('09', 'kosten', 'second', false, null); update meta.source_status set status = 'stale'",
        "| 09 | kosten | current | stale | 1 | 1 | 0 |",
    ),
}


@pytest.mark.parametrize("title", CHANGES)
def test_each_change_is_told_in_its_section_and_in_no_other(title: str, tmp_path: Path, old: Path) -> None:
    statement, line = CHANGES[title]
    sections = told(tmp_path, old, statement)
    assert line in sections[title].splitlines()
    assert {name for name, text in sections.items() if name and not text.endswith("(Unchanged.)")} == {title}


def test_after_a_look_another_estimate_is_told_and_before_it_is_not(tmp_path: Path, old: Path) -> None:
    [text] = [
        text for name, text in told(tmp_path, old, "update metrics.scale_verdict set estimate = 0.12").items() if "Urteil" in name
    ]
    sha = "a" * 12
    assert f"| C1 | person\\_days | supported | supported | 10.0 | 12.0 | {sha} | {sha} |" in text.splitlines()
    assert "not\\_due" not in text


def test_every_section_has_its_change() -> None:
    assert set(CHANGES) == {section.title for section in changes.SECTIONS}


def test_an_older_release_without_a_table_is_said_to_be_incomparable(tmp_path: Path) -> None:
    old = warehouse(
        tmp_path / "old.duckdb", "2026-06-01", ["drop table metrics.scale_verdict", "alter table meta.metric drop version"]
    )
    sections = told(tmp_path, old)
    assert {name.partition(" ")[0] for name, text in sections.items() if text.endswith("(Not comparable.)")} == {
        "Urteil",
        "Definitionen",
    }


def test_the_first_release_has_nothing_to_be_compared_with(old: Path) -> None:
    assert "no earlier release" in changes.compared(old, None)


def test_other_code_and_another_territorial_status_are_told(tmp_path: Path, old: Path) -> None:
    head = told(tmp_path, old, "update meta.release set code_version = 'v2', territory_on = date '2026-01-01'")[""]
    assert "v1 → v2" in head and "2026-06-01 → 2026-01-01" in head


def test_long_lists_are_cut_and_say_so(tmp_path: Path, old: Path) -> None:
    more = "insert into meta.metric select 'm' || n, '1', 'd', 'c' from range(100) as t(n)"
    section = told(tmp_path, old, more)["Definitionen (definitions)"]
    assert section.count("\n| m") == changes.SHOWN_ROWS and f"und {100 - changes.SHOWN_ROWS} weitere" in section


@given(st.text())
def test_delivered_text_stays_in_its_cell(text: str) -> None:
    cell = changes._cell(text)
    assert "\n" not in cell and not any(cell[i] in "|`<" and cell[i - 1 : i] != "\\" for i in range(len(cell)))
