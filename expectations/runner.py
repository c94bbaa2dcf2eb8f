"""The one way to run checks: Great Expectations over an open DuckDB connection, set-based, one batch per table.

Belongs here: declaring a check, running suites, translating results. Does not: which checks there are (``delivery``,
``release``).

Great Expectations takes seconds to import; it is imported when the first suite runs and not before.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from expectations.results import EXAMPLES_MAX, CheckResult, Severity

#: How many unexpected rows tell their ``observed`` column in a result.
_TOLD_MAX = 3


@dataclass(frozen=True)
class Check:
    """One rule on one batch.

    Either ``rows``: SQL over ``t`` (the batch) in which every row returned breaks the rule, run as ``UnexpectedRowsExpectation``;
    a column ``observed`` of it is told in the result, ``keys`` are the columns shown of the first rows.
    Or ``stock``: the class of a Great Expectations expectation and its arguments.
    """

    name: str
    severity: Severity
    expected: str
    description_de: str
    description_en: str
    column: str | None = None
    rows: str | None = None
    keys: tuple[str, ...] = ()
    stock: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Suite:
    """The checks of one batch: ``query`` selects it, ``table`` is the name it is reported under.

    ``at_once``: its checks, all of them ``rows``, are asked in one query, and those that it finds something for one by one; all of them
    where it breaks. For a database that can be written.
    """

    name: str
    table: str
    query: str
    checks: list[Check] = field(default_factory=list)
    at_once: bool = False


def literal(text: str | Path) -> str:
    """``text`` as a SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def reading(
    databases: Mapping[str, Path] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory connection with ``databases`` (name -> DuckDB file) attached read-only, the first of them in use.

    Memory and threads come from ROLLIN_MEMORY and ROLLIN_THREADS. Nothing stays open after the block. Raises ``duckdb.Error``
    where a file is not a DuckDB database or somebody is writing to it.
    """
    connection = _connected(*_limits(environ))
    try:
        for number, (name, path) in enumerate((databases or {}).items()):
            connection.execute(f"attach {literal(path)} as {identifier(name)} (read_only)")
            if number == 0:
                connection.execute(f"use {identifier(name)}")
        yield connection
    finally:
        connection.close()


@contextmanager
def reading_again() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with an empty database, as ``reading`` gives one; making one takes longer than most deliveries take to be checked,
    so that all callers of a process share it, one after the other. Nothing that was created in it outlasts the block."""
    with _one_at_a_time:
        connection = _shared(*_limits(None)).cursor()
        try:
            connection.execute("attach ':memory:' as again")
            connection.execute("use again")
            yield connection
        finally:
            connection.execute("use memory")
            connection.execute("detach again")
            connection.close()


_one_at_a_time = threading.Lock()


def _limits(environ: Mapping[str, str] | None) -> tuple[str, str]:
    environ = os.environ if environ is None else environ
    return environ.get("ROLLIN_MEMORY", "4GB"), environ.get("ROLLIN_THREADS", "2")


def _connected(memory: str, threads: str) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": threads,
        "autoinstall_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set global TimeZone = 'UTC'")
    return connection


_shared = functools.cache(_connected)


def run(connection: duckdb.DuckDBPyConnection, suites: Iterable[Suite]) -> list[CheckResult]:
    """Run every check of ``suites`` on ``connection`` and return one result per check, in the order of declaration.

    A check that raises is reported as broken and failed; the others run on.
    """
    suites = [suite for suite in suites if suite.checks]
    if not suites:
        return []
    # SQLAlchemy and Great Expectations are loaded by the first run
    from expectations.duckdb_dialect import serving

    with serving(connection):
        library = _great_expectations()
        try:
            return [result for suite in suites for result in _run_suite(library, connection, suite)]
        finally:
            library.let_go()


@dataclass(frozen=True)
class _GreatExpectations:
    """The library and its one source, which reads whatever connection is served; batch definitions by their query."""

    gx: Any
    source: Any
    definitions: dict[str, Any]
    no_rows: Any

    def batch(self, query: str) -> Any:
        if query not in self.definitions:
            asset = self.source.add_query_asset(f"batch-{len(self.definitions)}", query=query)
            self.definitions[query] = asset.add_batch_definition_whole_table("all")
        return self.definitions[query].get_batch()

    def let_go(self) -> None:
        """Close the cursors on the connection that was served: the source has an engine of its own and one for its batches."""
        self.source.get_execution_engine().engine.dispose()
        self.source.get_engine().dispose()


@functools.cache
def _great_expectations() -> _GreatExpectations:
    """Import the library and configure it: all in memory, nothing sent, no progress bars, no folder for a documentation site."""
    from expectations.duckdb_dialect import ADDRESS

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types import base

    # it logs every broken query with its traceback; the result carries the reason
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    configuration = base.DataContextConfig(
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=configuration)
    source = context.data_sources.add_sql("rollin", connection_string=ADDRESS, create_temp_table=False)
    return _GreatExpectations(gx, source, {}, _no_rows(gx))


def _no_rows(gx: Any) -> Any:
    """The library's expectation that a query returns no rows, asked once: its own form asks for the rows and then counts them, and
    the rows of a release are shown by :func:`_examples` where there are any."""

    class NoUnexpectedRows(gx.expectations.UnexpectedRowsExpectation):
        metric_dependencies = ("unexpected_rows_query.row_count",)

        def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
            count = metrics["unexpected_rows_query.row_count"]
            return {"success": count == 0, "result": {"observed_value": count}}

    return NoUnexpectedRows


def _expectation(library: _GreatExpectations, check: Check) -> Any:
    severity = "critical" if check.severity == "error" else "warning"
    common = {"meta": {"name": check.name, "column": check.column}, "severity": severity}
    if check.stock is not None:
        kind, arguments = check.stock
        return getattr(library.gx.expectations, kind)(**arguments, **common)
    return library.no_rows(unexpected_rows_query=_over_batch(check), **common)


def _over_batch(check: Check) -> str:
    """The check's SQL with ``t`` bound to the batch; braces and colons of its own reach DuckDB as they are.

    Of a batch that is asked for twice DuckDB would otherwise hold every column of every row.
    """
    assert check.rows is not None
    own = check.rows.replace("{", "{{").replace("}", "}}").replace(":", "\\:")
    return f"with t as not materialized (select * from {{batch}}) select * from ({own})"


def _suspects(library: _GreatExpectations, connection: duckdb.DuckDBPyConnection, suite: Suite) -> list[Check]:
    """The checks of a suite that find something, from one query; all of them where it cannot be asked."""
    counts = [f"select {number} as number, count(*) as found from ({check.rows})" for number, check in enumerate(suite.checks)]
    found = "select number from t where found > 0"
    nothing = Check(name="all", severity="error", expected="", description_de="", description_en="", rows=found)
    try:
        connection.execute(f"create or replace table counts_of_checks as with t as ({suite.query}) {' union all '.join(counts)}")
        expectation = _expectation(library, nothing)
        validation = library.batch("select * from counts_of_checks").validate(
            library.gx.ExpectationSuite(name=suite.name, expectations=[expectation])
        )
        if validation.success:
            return []
        numbers = connection.execute(f"with t as (select * from counts_of_checks) {found}").fetchall()
    except Exception:  # which one it is shows where they are asked one by one
        return suite.checks
    return [suite.checks[number] for (number,) in sorted(numbers)] or suite.checks


def _run_suite(library: _GreatExpectations, connection: duckdb.DuckDBPyConnection, suite: Suite) -> list[CheckResult]:
    if suite.at_once:
        suspects = _suspects(library, connection, suite)
        asked = iter(_run_suite(library, connection, replace(suite, checks=suspects, at_once=False)) if suspects else [])
        return [next(asked) if check in suspects else _found(suite, check, True, "0 row(s)", 0) for check in suite.checks]
    try:
        expectations = [_expectation(library, check) for check in suite.checks]
        validation = library.batch(suite.query).validate(library.gx.ExpectationSuite(name=suite.name, expectations=expectations))
        found = {(r.expectation_config.meta["name"], r.expectation_config.meta["column"]): r for r in validation.results}
        failure = "no result"
    except Exception as error:  # whatever keeps a suite from running keeps the gate shut
        found, failure = {}, _first_line(error)
    return [_result(connection, suite, check, found.get((check.name, check.column)), failure) for check in suite.checks]


def _result(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check, found: Any, failure: str) -> CheckResult:
    problem = failure if found is None else _exception(found.exception_info)
    is_broken = problem is not None
    outcome = {} if found is None else found.result
    ok = not is_broken and bool(found.success)
    count: int | None = None
    observed = problem or ""
    examples: list[dict[str, Any]] = []
    if not is_broken:
        if check.rows is not None:
            count = int(outcome["observed_value"])
            observed = f"{count} row(s)"
        else:
            count = outcome.get("unexpected_count")
            observed = _told(outcome.get("observed_value", f"{count} row(s)"))
        if not ok and check.rows is not None:
            examples, told = _examples(connection, suite, check)
            observed += f": {'; '.join(told)}" if told else ""
    return _found(suite, check, ok, observed, count, examples, is_broken=is_broken)


def _found(
    suite: Suite,
    check: Check,
    passed: bool,
    observed: str,
    count: int | None,
    examples: list[dict[str, Any]] | None = None,
    *,
    is_broken: bool = False,
) -> CheckResult:
    return CheckResult(
        suite=suite.name,
        table=suite.table,
        name=check.name,
        column=check.column,
        severity=check.severity,
        passed=passed,
        is_broken=is_broken,
        observed=observed,
        expected=check.expected,
        unexpected_count=count,
        description_de=check.description_de,
        description_en=check.description_en,
        examples=examples or [],
    )


def _examples(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check) -> tuple[list[dict[str, Any]], list[str]]:
    """The keys of the first rows that break the rule, and what their ``observed`` column says."""
    found = connection.execute(f"with t as not materialized ({suite.query}) select * from ({check.rows}) limit {EXAMPLES_MAX}")
    columns = [description[0] for description in found.description or []]
    records = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    examples = [{key: _json(record[key]) for key in check.keys if key in record} for record in records]
    told = [str(record["observed"]) for record in records if record.get("observed") is not None]
    return [example for example in examples if example], told[:_TOLD_MAX]


def _json(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """The first reason in Great Expectations' ``exception_info``: one record, or one per metric that failed."""
    if not info:
        return None
    records = [info] if "raised_exception" in info else [r for r in info.values() if isinstance(r, Mapping)]
    for record in records:
        if record.get("raised_exception"):
            return _first_line(record.get("exception_message"))
    return None


def _first_line(reason: Any) -> str:
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return lines[0][:300]
