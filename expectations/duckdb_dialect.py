"""How Great Expectations reads DuckDB: a SQLAlchemy dialect over a DuckDB connection that is already open.

Belongs here: the dialect and nothing else. The dialect of ``duckdb_engine`` alone does not serve: Great Expectations fetches rows
after SQLAlchemy has given the connection back, and the rollback that comes with this drops DuckDB's result. Reading needs no
transactions, so ours begin, commit and roll back nothing.

The one address :data:`ADDRESS` names whichever connection :func:`serving` lends at the moment; no path ever stands in an address, so
none needs quoting, and whoever lends the connection alone decides what is attached to it and how.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from duckdb_engine import ConnectionWrapper
from duckdb_engine import Dialect as DuckDBEngineDialect
from sqlalchemy import pool
from sqlalchemy.dialects import registry

_NAME = "rollinduckdb"
ADDRESS = f"{_NAME}:///lent"

_one_at_a_time = threading.Lock()
_lent: list[duckdb.DuckDBPyConnection] = []


class LentDuckDB(DuckDBEngineDialect):
    """DuckDB for reading: every SQLAlchemy connection is a cursor of the connection that is lent.

    It sees what all connections of that DuckDB instance see: attached databases, tables and views, but no temporary ones.
    """

    supports_statement_cache = True

    def create_connect_args(self, url: Any) -> tuple[tuple[()], dict[str, Any]]:
        return (), {}

    def connect(self, *_: Any, **__: Any) -> Any:
        [connection] = _lent
        cursor = connection.cursor()
        # the database in use is a setting of each connection
        [(database,)] = connection.execute("select current_database()").fetchall()
        cursor.execute('use "' + database.replace('"', '""') + '"')
        return ConnectionWrapper(cursor)

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        return pool.SingletonThreadPool

    def do_begin(self, connection: Any) -> None:
        """Reading needs no transaction."""

    def do_commit(self, connection: Any) -> None:
        """Reading needs no transaction."""

    def do_rollback(self, connection: Any) -> None:
        """A rollback would drop the rows that Great Expectations has yet to fetch."""


registry.register(_NAME, __name__, LentDuckDB.__name__)


@contextmanager
def serving(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lend ``connection`` under :data:`ADDRESS` until the block ends; another thread waits for its turn."""
    with _one_at_a_time:
        _lent.append(connection)
        try:
            yield
        finally:
            _lent.clear()
