"""Each rule of the gate that compares published tables can fail: on a real night some small damage to what it reads makes it.

The damages of ``test_expectations_release`` go through Great Expectations on a small hand-made build; here the rules are asked as
plain SQL on a night of the sample world, which has every table with all its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from expectations import agreement, release
from expectations.runner import Check, Suite
from orchestration import publication
from tests.house import House
from tests.mutations import NUMBERS, breaks, laboratory

#: Tables that a night of the small world leaves without a row; what is asked of them is asked of others of their kind, or below.
EMPTY = {"metrics.adoption_by_account"}

#: Rules on the release as a whole: the table and column whose damage they find.
WHOLE = dict.fromkeys(("magnitude_as_before", "sign_as_before"), ("core.dim_region", "area_km2"))
_MONEY = ("core.fct_cost", "amount_eur")

#: Families of rules that follow from names or compare with the release before.
FAMILIES = {"value_known", "not_in_the_future", "measure_not_negative", "of_the_reporting_day", "keys_kept", "reference_kept"}
FAMILIES |= {"change_is_explained", "expected_authorities_report", "filled_as_before", "sign_as_before", "unit_as_before"}
FAMILIES |= {"magnitude_as_before", "columns_kept", "not_emptied"}


@pytest.fixture(scope="module")
def release_file(published: House) -> Path:
    return published.settings.current / "warehouse.duckdb"


@pytest.fixture(scope="module")
def lab(release_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables as a build after themselves: a night in which nothing changed."""
    with laboratory(release_file, release_file) as connection:
        for added in publication.own_tables():
            connection.execute(f'drop table build.meta."{added}"')
        yield connection


def damages(connection: duckdb.DuckDBPyConnection, table: str, words: str) -> Iterator[str]:
    """Small damages to a table, those to columns that a rule names (``words``) first."""
    found = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'build' and schema_name || '.' || table_name = ?",
        [table],
    ).fetchall()
    named = [(column, kind) for column, kind in found if re.search(rf"\b{re.escape(column)}\b", words)]
    for column, kind in named or found:
        quoted = f'"{column}"'
        one = f"where rowid = (select rowid from build.{table} where {quoted} is not null order by hash(rowid) limit 1)"
        if kind in NUMBERS:
            changes = [f"{quoted} + 1", f"-{quoted} - 1", f"{quoted} * 1000 + 7"]
        elif kind == "DATE":
            changes = ["date '2031-01-01'", f"{quoted} + 1", "date '1999-01-01'"]
        elif kind == "BOOLEAN":
            changes = [f"not {quoted}"]
        else:
            changes = ["'x'", "null"]
        for change in changes:
            yield f"update build.{table} set {quoted} = {change} {one}"
        yield f"update build.{table} set {quoted} = null {one}"
        if kind in NUMBERS:
            yield f"update build.{table} set {quoted} = {quoted} * 1000"
            yield f"update build.{table} set {quoted} = 0"
    numbers = [column for column, kind in named if kind in NUMBERS]
    for step in (1000, -1000):
        if numbers:
            yield f"update build.{table} set {', '.join(f'{c} = {step * (n + 1)}' for n, c in enumerate(numbers))}"
    for column in (column for column, kind in named if kind == "DATE"):
        yield f"update build.{table} set {column} = date '2031-02-03'"
    yield f"delete from build.{table} where rowid = (select min(rowid) from build.{table})"
    yield f"delete from build.{table}"
    if found:
        yield f'alter table build.{table} drop column "{found[-1][0]}"'


def can_fail(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check) -> bool:
    """Whether some damage makes a rule fail that holds without it."""
    assert not breaks(connection, suite, check), f"{suite.table}.{check.name} fails on a good night"
    words = check.rows or ""
    if suite.table == "release":
        table, words = WHOLE.get(check.name, _MONEY)
        tables = [table]
    else:
        tables = [suite.table, *sorted(set(re.findall(r"build\.((?:core|metrics|meta)\.[a-z_]+)", words)) - {suite.table})]
    for table in tables:
        for statement in damages(connection, table, words):
            connection.execute("begin")
            try:
                connection.execute(statement)
                asked = [suite] if suite.table != "release" else _again(connection, check, table)
                if any(_fails_itself(connection, s, check) for s in asked):
                    return True
            except duckdb.Error:
                continue
            finally:
                connection.execute("rollback")
    return False


def _again(connection: duckdb.DuckDBPyConnection, check: Check, table: str) -> list[Suite]:
    """Rules on the release as a whole read it when they are declared."""
    suites = release.declared(connection, True, profiled=[table])
    return [
        Suite(s.name, s.table, s.query, [c]) for s in suites for c in s.checks if s.table == "release" and c.name == check.name
    ]


def _fails_itself(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check) -> bool:
    """Fails by what it finds, not because it cannot be asked any more."""
    rule = next((c for c in suite.checks if c.name == check.name and c.column == check.column), check)
    return connection.execute(f"with t as ({suite.query}) select 1 from ({rule.rows}) limit 1").fetchone() is not None


def test_every_rule_of_agreement_and_comparison_can_fail(lab: duckdb.DuckDBPyConnection) -> None:
    agreed = {rule.name for rule in (*agreement.SUMS, *agreement.ROWS)} | FAMILIES
    rules = [(s, c) for s in release.declared(lab, True) for c in s.checks if c.name in agreed]
    asked = {c.name for _, c in rules}
    assert agreed - asked == set(), "rules that this night does not ask"
    assert len(rules) >= 150
    assert [f"{s.table}.{c.name}" for s, c in rules if s.table not in EMPTY and not can_fail(lab, s, c)] == []


def test_accounts_that_do_not_add_up_are_found() -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute("attach ':memory:' as build; create schema build.metrics")
        connection.execute(
            """
            create table build.metrics.adoption_by_account as
            from (values ('06', 'ummeldung', date '2026-05-01', 'bundid', 30::bigint, 50::bigint),
                ('06', 'ummeldung', date '2026-05-01', 'none', 20, 50))
            as a(land_code, service_id, month, account, submitted_online_count, all_accounts_online_count)
            """
        )
        [suite] = [s for s in release.declared(connection, False) if any(c.name == "sum_of_accounts" for c in s.checks)]
        [check] = [c for c in suite.checks if c.name == "sum_of_accounts"]
        assert not breaks(connection, suite, check)
        connection.execute("update build.metrics.adoption_by_account set submitted_online_count = 21 where account = 'none'")
        assert _fails_itself(connection, suite, check)


def test_an_authority_of_a_kind_that_no_service_names_is_found() -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute("attach ':memory:' as build; create schema build.core")
        connection.execute(
            "create table build.core.dim_service as select 'ummeldung' as service_id, 'meldebehoerde' as authority_kind"
        )
        connection.execute(
            "create table build.core.dim_authority as select 'meldebehoerde/091620000' as authority_id, 'meldebehoerde' as kind"
        )
        [suite] = [s for s in release.declared(connection, False) if any(c.name == "kind_is_of_a_service" for c in s.checks)]
        [check] = [c for c in suite.checks if c.name == "kind_is_of_a_service"]
        assert not breaks(connection, suite, check)
        connection.execute("insert into build.core.dim_authority values ('bauaufsicht/09162', 'bauaufsicht')")
        assert _fails_itself(connection, suite, check)
