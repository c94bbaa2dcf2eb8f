"""Random damage to a build, and whether the gate's rules see it.

The rules are asked as plain SQL on one connection, each mutation in a transaction that is rolled back: the same SQL that Great
Expectations wraps, so hundreds of mutations take seconds. Only rules that read the mutated table are asked: no other can change.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from expectations import release
from expectations.runner import Check, Suite

KINDS = ("value", "row", "column", "table", "key", "unit", "date", "duplicate", "null", "sign")
NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "DECIMAL(18,2)", "HUGEINT")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One damage: statements on the database ``build``, and what it does in words."""

    kind: str
    table: str
    statements: tuple[str, ...]
    told: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """``refused`` by a rule that blocks, ``warned`` of by one that reports, or ``missed``; ``by`` is the first such rule."""

    mutation: Mutation
    verdict: str
    by: str


@contextlib.contextmanager
def laboratory(build: Path, previous: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A writable copy of the published schemas of a build, as ``build``, beside the release before, as ``previous``."""
    with duckdb.connect(":memory:", config={"threads": "2", "autoinstall_known_extensions": "false"}) as connection:
        connection.execute("set TimeZone = 'UTC'; attach ':memory:' as build")
        connection.execute(f"attach '{build}' as original (read_only)")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'original' order by all"
        ).fetchall():
            if schema in ("core", "metrics", "meta"):
                connection.execute(f"create schema if not exists build.{schema}")
                connection.execute(f'create table build.{schema}."{table}" as from original.{schema}."{table}"')
        connection.execute("detach original; use build")
        if previous is not None:
            connection.execute(f"attach '{previous}' as previous (read_only)")
        yield connection


def draw(connection: duckdb.DuckDBPyConnection, seed: int, count: int) -> list[Mutation]:
    """``count`` mutations, the kinds in turn; table, column and row at random. Only such as change what is stored."""
    chance = random.Random(seed)
    columns: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for table, column, kind in connection.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns()"
        " where database_name = 'build' and schema_name in ('core', 'metrics', 'meta') order by all"
    ).fetchall():
        columns[table][column] = kind
    rows = {table: connection.execute(f"select count(*) from build.{table}").fetchall()[0][0] for table in columns}
    filled = sorted(table for table in columns if rows[table])
    drawn: list[Mutation] = []
    while len(drawn) < count:
        kind = KINDS[len(drawn) % len(KINDS)]
        mutation = _mutation(connection, chance, kind, chance.choice(filled), columns)
        if mutation is not None:
            drawn.append(mutation)
    return drawn


def _mutation(
    connection: duckdb.DuckDBPyConnection, chance: random.Random, kind: str, table: str, columns: dict[str, dict[str, str]]
) -> Mutation | None:
    grain = release.GRAIN[table]
    of = {
        "value": lambda c, t: c not in grain,
        "null": lambda c, t: c not in grain,
        "key": lambda c, t: c in grain and t == "VARCHAR",
        "unit": lambda c, t: t in ("DOUBLE", "DECIMAL(18,2)") and not c.endswith("_share"),
        "date": lambda c, t: t == "DATE",
        "sign": lambda c, t: t in NUMBERS,
    }.get(kind, lambda c, t: True)
    candidates = sorted(c for c, t in columns[table].items() if of(c, t))
    if not candidates:
        return None
    column = chance.choice(candidates)
    typed, quoted = columns[table][column], f'"{column}"'
    at = f"rowid = (select rowid from build.{table} where {quoted} is not null order by hash(rowid + {chance.randrange(10**6)}) limit 1)"
    [(old,)] = connection.execute(f"select max(cast({quoted} as varchar)) from build.{table} where {at}").fetchall()
    if old is None:
        return None
    match kind:
        case "row":
            statements, told = [f"delete from build.{table} where {at}"], "a row is gone"
        case "duplicate":
            statements, told = [f"insert into build.{table} from build.{table} where {at}"], "a row comes twice"
        case "column":
            statements, told = [f'alter table build.{table} rename {quoted} to "{column}_x"'], f"{column} is gone"
        case "table":
            statements = [chance.choice((f"drop table build.{table}", f"delete from build.{table}"))]
            told = "dropped" if "drop" in statements[0] else "empty"
        case "unit":
            factor = chance.choice((1000, 100, 0.01, 0.001))
            statements, told = [f"update build.{table} set {quoted} = {quoted} * {factor}"], f"{column} times {factor}, all rows"
        case "date":
            days = chance.choice((-3650, -365, -31, -1, 1, 31, 365, 3650))
            statements, told = (
                [f"update build.{table} set {quoted} = {quoted} + {days} where {at}"],
                f"{column} {old} {days:+} days",
            )
        case "sign":
            statements, told = [f"update build.{table} set {quoted} = -{quoted} where {at}"], f"{column} -({old})"
        case "null":
            statements, told = [f"update build.{table} set {quoted} = null where {at}"], f"{column} {old} -> NULL"
        case _:
            new = _other(chance, typed, quoted)
            if new is None:
                return None
            statements, told = [f"update build.{table} set {quoted} = {new} where {at}"], f"{column} {old} -> {new}"
    if kind in ("sign", "unit") and old in ("0", "0.0", "0.00", "-0.0"):
        return None
    return Mutation(kind, table, tuple(statements), told)


def _other(chance: random.Random, typed: str, quoted: str) -> str | None:
    if typed in NUMBERS:
        return chance.choice((f"{quoted} + 1", f"{quoted} * 2 + 1", f"{quoted} * 1.1 + 1"))
    if typed == "BOOLEAN":
        return f"not {quoted}"
    if typed == "DATE":
        return f"{quoted} + 7"
    if typed == "VARCHAR":
        return chance.choice((f"{quoted} || 'x'", "'x'", f"reverse({quoted}) || '7'"))
    return None


def suffer(connection: duckdb.DuckDBPyConnection, mutation: Mutation) -> Outcome:
    """Do the damage, ask the rules, undo it."""
    connection.execute("begin")
    try:
        for statement in mutation.statements:
            connection.execute(statement)
        return _judged(connection, mutation)
    finally:
        connection.execute("rollback")


def _judged(connection: duckdb.DuckDBPyConnection, mutation: Mutation) -> Outcome:
    warned = ""
    named = re.compile(rf"(?:build|previous)\.{re.escape(mutation.table)}\b")
    for suite in release.declared(connection, "previous" in _databases(connection), profiled=[mutation.table]):
        for check in suite.checks:
            # rules on the whole release read the catalogue, whatever their SQL names
            asked = suite.table == "release" or named.search(suite.query + " " + (check.rows or ""))
            if asked and breaks(connection, suite, check):
                rule = f"{suite.table}.{check.name}"
                if check.severity == "error":
                    return Outcome(mutation, "refused", rule)
                warned = warned or rule
    return Outcome(mutation, "warned" if warned else "missed", warned)


def _databases(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in connection.execute("select database_name from duckdb_databases()").fetchall()}


def breaks(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check) -> bool:
    """Whether a rule fails, also because it cannot be asked."""
    rows = check.rows
    if rows is None:  # the one stock expectation: how many rows there are at least
        assert check.stock is not None
        rows = f"select 1 where (select count(*) from t) < {check.stock[1]['min_value']}"
    try:
        return connection.execute(f"with t as ({suite.query}) select 1 from ({rows}) limit 1").fetchone() is not None
    except duckdb.Error:
        return True


def table_of(outcomes: list[Outcome]) -> str:
    """Shares by kind as text, and the damages that no rule refused."""
    lines = [f"{'kind':10} {'n':>4} {'refused':>8} {'warned':>7} {'missed':>7}"]
    for kind in (*KINDS, "all"):
        of = [o.verdict for o in outcomes if kind in (o.mutation.kind, "all")]
        if of:
            lines.append(f"{kind:10} {len(of):4} {_share(of, 'refused'):>8} {_share(of, 'warned'):>7} {_share(of, 'missed'):>7}")
    lines += [
        f"  {o.verdict}: {o.mutation.kind} {o.mutation.table}: {o.mutation.told}" for o in outcomes if o.verdict != "refused"
    ]
    return "\n".join(lines)


def _share(verdicts: list[str], verdict: str) -> str:
    return f"{verdicts.count(verdict) / len(verdicts):.1%}"
