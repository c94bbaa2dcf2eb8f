"""Fifty who read while releases are published: one process of theirs, with some readers each in a thread of its own.

``python -m tests.readers duckdb|postgres WHERE THREADS STOP`` reads until the file STOP exists and prints JSON: what each reader
saw. Every release of the test carries its number in the run's id and in three tables of different size (``press``): a reading is
whole where all are equal.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import psycopg

#: One statement for each table, and one for all.
PARTS = (
    "select min(n), max(n) from (select left(run_id, 8)::bigint as n from meta.release) as x",
    "select min(population), max(population) from core.dim_land",
    "select min(services), max(services) from metrics.programme_coverage_daily",
    "select min(authorities_current_count), max(authorities_current_count) from metrics.phase_funnel_daily",
)
WHOLE = " union all ".join(PARTS)

#: Between two readings of one reader: fifty shall load a small machine, not stop it. Opening a file takes 20 ms of a core.
PAUSE_SECONDS = {"duckdb": 3.0, "postgres": 0.7}


def number(rows: Iterable[tuple[Any, ...]]) -> int:
    """The number of the release that all rows are of. Raises AssertionError where they are of several."""
    seen = {int(value) for row in rows for value in row}
    assert len(seen) == 1, f"mixed: {sorted(seen)}"
    return seen.pop()


def read_duckdb(where: str) -> int:
    """Open ``current`` once and ask it five times over one connection."""
    with duckdb.connect(f"{where}/warehouse.duckdb", read_only=True, config={"threads": "1"}) as con:
        rows = [row for part in PARTS for row in con.execute(part).fetchall()]
        return number([*rows, *con.execute(WHOLE).fetchall()])


def postgres_reader(where: str) -> Callable[[], int]:
    """A connection that stays open: statements on their own and, in turn, several in one transaction."""
    con = psycopg.connect(where, autocommit=True, options="-c default_transaction_isolation=repeatable\\ read")
    turns = [0]

    def read() -> int:
        turns[0] += 1
        if turns[0] % 2:
            return number(con.execute(WHOLE).fetchall())
        with con.transaction():
            return number([row for part in PARTS for row in con.execute(part).fetchall()])

    return read


def loop(kind: str, where: str, stop: Path, seen: dict[str, Any]) -> None:
    try:
        read = postgres_reader(where) if kind == "postgres" else lambda: read_duckdb(where)
        last = False
        while not last:
            last = stop.exists()  # once more after the end: what was published last is seen
            found = read()
            assert not seen["numbers"] or found >= seen["numbers"][-1], f"back to {found}"
            seen["readings"] += 1
            if not seen["numbers"] or found != seen["numbers"][-1]:
                seen["numbers"].append(found)
            end = time.monotonic() + PAUSE_SECONDS[kind]
            while not stop.exists() and time.monotonic() < end:
                time.sleep(0.1)
    except Exception as error:
        seen["error"] = f"{type(error).__name__}: {error}"


def main() -> None:
    kind, where, threads, stop = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    where = os.environ["READERS_ADDRESS"] if where == "-" else where
    seen: list[dict[str, Any]] = [{"readings": 0, "numbers": [], "error": None} for _ in range(threads)]
    running = [threading.Thread(target=loop, args=(kind, where, stop, one)) for one in seen]
    for thread in running:
        thread.start()
        time.sleep(PAUSE_SECONDS[kind] / threads)  # not all at the same moment
    for thread in running:
        thread.join()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
