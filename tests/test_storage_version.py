"""That a release can be opened by an older DuckDB: what its file declares, and what this version would write if it were not told.

The header of a DuckDB file has its magic bytes at offset 8 and after them the number of its storage version (64 bits, little-endian).
"""

from __future__ import annotations

import struct
from pathlib import Path

import duckdb

from orchestration.publication import STORAGE_VERSION
from tests.conftest import SampleNight


def declared(path: Path) -> tuple[int, str]:
    """The storage version in the header of a file, and what DuckDB makes of it."""
    with path.open("rb") as file:
        magic, number = struct.unpack("<8x4sQ", file.read(20))
    assert magic == b"DUCK"
    with duckdb.connect(str(path), read_only=True) as con:
        [(version,)] = con.execute("select tags['storage_version'] from duckdb_databases() where path is not null").fetchall()
    return int(number), str(version)


def written(path: Path, options: str) -> tuple[int, str]:
    """What a fresh file declares."""
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as fresh {options}")
        con.execute("create table fresh.one as select 1 as one")
        con.execute("checkpoint fresh")
    return declared(path)


def test_the_release_is_stored_as_the_oldest_reader_needs_it(sample_night: SampleNight, tmp_path: Path) -> None:
    assert STORAGE_VERSION == "v1.2.0"
    promised = written(tmp_path / "promised.duckdb", f"(storage_version '{STORAGE_VERSION}')")
    assert declared(sample_night.warehouse) == promised
    assert promised[1].startswith("v1.2.0")
    assert promised[0] < written(tmp_path / "default.duckdb", "")[0]
