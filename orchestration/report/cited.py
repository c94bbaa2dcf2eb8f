"""Statements with the one query on published tables that each of them comes from.

Belongs here: asking a warehouse for what is shown, and the record by which a reader, or a test, asks again. Does not: what is asked
(``figures``, ``pages``) and how it looks.

A page holds its queries in ``<script type="application/json" id="cited">``: an object from identifiers to

- ``{"table", "sql", "column", "row", "form", "places"}`` for one number: it is shown in the elements with that ``data-cite``, as
  ``words.shown(value, form, places)`` in the language of the element (its own ``lang``, or that of what it stands in);
- ``{"table", "sql", "columns": {column: {"form", "places"}}}`` for a table: ``<table data-cite>`` has the rows of the query in its order,
  as they were sent; ``data-column`` on the heads of its columns names them. Cells are written in German; the page's script writes them
  in English where asked to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl
from markupsafe import Markup

from orchestration.report import words
from orchestration.report.words import Words


@dataclass(frozen=True)
class Cited:
    """Rows of a published table as they are shown."""

    #: schema.table that the numbers come from.
    table: str
    #: One SELECT on published tables that gives exactly the shown rows, in their order.
    sql: str
    #: Its result.
    frame: pl.DataFrame


def cite(connection: duckdb.DuckDBPyConnection, table: str, sql: str) -> Cited:
    """Ask a warehouse (read-only) and keep the question with the answer.

    Raises ValueError where the query does not read ``table`` or leaves the order of several rows open, duckdb.Error where it is none.
    """
    sql = " ".join(sql.split())
    if table not in sql:
        raise ValueError(f"The query does not read {table}: {sql}")
    frame = _frame(connection.sql(sql))
    if frame.height > 1 and "order by" not in sql.lower():
        raise ValueError(f"The query leaves the order of its rows open: {sql}")
    return Cited(table, sql, frame)


#: What columns of the published tables are of, and what queries on them give, in Polars' words.
_KINDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "VARCHAR": pl.String,
    "BOOLEAN": pl.Boolean,
    "INTEGER": pl.Int32,
    "BIGINT": pl.Int64,
    "HUGEINT": pl.Int128,
    "DOUBLE": pl.Float64,
    "DATE": pl.Date,
    "TIMESTAMP": pl.Datetime("us"),
    "TIMESTAMP WITH TIME ZONE": pl.Datetime("us", "UTC"),
}


def _frame(asked: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """The few rows of a relation, typed also where a column is empty; by Arrow DuckDB 2.0 would complain when the process ends."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {}
    for column, kind in zip(asked.columns, map(str, asked.types), strict=True):
        decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
        schema[column] = pl.Decimal(int(decimal[1]), int(decimal[2])) if decimal else _KINDS[kind]
    return pl.DataFrame(asked.fetchall(), schema=schema, orient="row")


def has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a tier holds a table (schema.table): the public one does not hold all."""
    return _can(connection, f"select 1 from {table} limit 0")


def has_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    """Whether a tier holds a column of a table (schema.table)."""
    return _can(connection, f'select "{column}" from {table} limit 0')


def _can(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    # the catalogue's own tables would take ten times as long to ask
    try:
        connection.execute(sql)
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return True


#: The services that stand one by one in pictures and tables, as a condition in SQL: a reader tells twenty apart, no five hundred.
FOCUS = "service_id in (select service_id from core.dim_service where is_focus)"


def has_others(connection: duckdb.DuckDBPyConnection, where: str = "true") -> bool:
    """Whether services beside those of the ``FOCUS`` are measured (``where``: in a Land); without them nothing need be left out."""
    measured = f"select service_id from metrics.coverage_daily where as_of = (select as_of from meta.release) and {where}"
    query = f"select exists (select * from core.dim_service where not is_focus and service_id in ({measured}))"
    return bool(connection.execute(query).fetchall()[0][0])


def literal(value: str) -> str:
    """A text as SQL: keys come from deliveries."""
    return "'" + value.replace("'", "''") + "'"


# ------------------------------------------------------------------------------------------------------------------------ on a page


@dataclass(frozen=True)
class Shown:
    """A number as a page shows it."""

    text: Words
    name: str

    @property
    def de(self) -> Markup:
        """In German."""
        return Markup('<span data-cite="{}">{}</span>').format(self.name, self.text.de)

    @property
    def en(self) -> Markup:
        """In English."""
        return Markup('<span data-cite="{}">{}</span>').format(self.name, self.text.en)

    def __html__(self) -> Markup:
        return both(self)


class Citations:
    """What one page shows of the published tables, and where from."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    def number(self, cited: Cited, column: str, row: int = 0, form: str = "number", places: int | None = None) -> Shown:
        """One value, in an element that names its query; a missing one is said to be."""
        name = f"n{len(self._entries)}"
        self._entries[name] = {
            "table": cited.table,
            "sql": cited.sql,
            "column": column,
            "row": row,
            "form": form,
            "places": places,
        }
        value = cited.frame[column][row] if row < cited.frame.height else None
        return Shown(words.shown(value, form, places), name)

    def table(self, cited: Cited, forms: Mapping[str, tuple[str, int | None]]) -> str:
        """Register a table whose columns are written as ``forms`` says; returns what its ``data-cite`` holds."""
        name = f"t{len(self._entries)}"
        columns = {column: {"form": form, "places": places} for column, (form, places) in forms.items()}
        self._entries[name] = {"table": cited.table, "sql": cited.sql, "columns": columns}
        return name

    def script(self) -> Markup:
        """The record of the page."""
        return block("cited", self._entries)


def both(said: Words | Shown) -> Markup:
    """A text in both languages, of which the page shows one; once where they are the same."""
    if said.de == said.en:
        return Markup("{}").format(said.de)
    return Markup('<span class="de" lang="de">{}</span><span class="en" lang="en">{}</span>').format(said.de, said.en)


def sentence(german: str, english: str, **values: Any) -> Markup:
    """A sentence in both languages with its ``{placeholders}`` filled: Words and numbers in their language, all else as it is."""
    said = {}
    for language, text in (("de", german), ("en", english)):
        filled = {name: getattr(value, language) if isinstance(value, Words | Shown) else value for name, value in values.items()}
        said[language] = Markup(text).format(**filled)  # noqa: S704 (a text of a template)
    return Markup('<span class="de" lang="de">{}</span><span class="en" lang="en">{}</span>').format(said["de"], said["en"])


def block(name: str, content: Any) -> Markup:
    """Data for scripts and tests: nothing in it can end the element that it stands in."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    inside = Markup(text)  # noqa: S704 (no character of it is markup)
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, inside)
