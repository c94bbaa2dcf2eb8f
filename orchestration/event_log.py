"""Dagster's event log on connections that stay open.

Belongs here: the storage that ``dagster.yaml`` names. Does not: what is logged (``assets``), where runs are kept (Dagster's own).

Dagster opens and closes a SQLite connection for every event, and a night has more than a thousand of them: a materialisation for
each model, an evaluation for each check. That took a quarter of a small night. The files and their layout stay Dagster's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS


class PooledEventLogStorage(SqliteEventLogStorage):
    """``SqliteEventLogStorage`` in its usual folder of DAGSTER_HOME (which has to be set), with a pool of connections for each file."""

    def __init__(self, inst_data: Any = None):
        self._engines: dict[str, sqlalchemy.Engine] = {}
        self._tables: set[str] = set()
        super().__init__(os.fspath(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> PooledEventLogStorage:
        """See Dagster's ``ConfigurableClass``."""
        return cls(inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard not in self._engines:
            with super()._connect(shard):  # makes the file and its tables
                pass
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            sqlalchemy.event.listen(engine, "connect", _need_not_wait_for_the_disk)
            self._engines[shard] = engine
        with self._db_lock, self._engines[shard].begin() as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Asked twice for each event; a table that was there stays there."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def delete_events(self, run_id: str) -> None:
        """Delete what was logged of a run, with the file that it was logged to: SQLite would keep its size."""
        super().delete_events(run_id)
        if run_id in self._engines:
            self._engines.pop(run_id).dispose()
        self._initialized_dbs.discard(run_id)
        for suffix in ("", "-wal", "-shm"):
            Path(self.path_for_shard(run_id) + suffix).unlink(missing_ok=True)

    def dispose(self) -> None:
        """Close every connection."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


def _need_not_wait_for_the_disk(connection: Any, _: Any) -> None:
    # safe against a killed process; a power cut may take the last lines of the log, never its consistency (sqlite.org/wal.html)
    connection.execute("pragma synchronous = normal")
