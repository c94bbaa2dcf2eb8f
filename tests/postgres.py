"""A real PostgreSQL on loopback, for tests that feed or use one. Skipped where none is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

#: With characters that an address must escape.
PASSWORD = "p@ss/w%rd?:x"


@dataclass(frozen=True)
class Postgres:
    """A server of the tests' own. ``new_database`` makes an empty one and tells its address."""

    port: int

    def address(self, database: str, user: str = "rollin", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        with psycopg.connect(self.address("postgres"), autocommit=True) as con:
            con.execute(f'create database "{name}"')
        return self.address(name)


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``; skips the test where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(debian[-1]) if debian else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(found).parent


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server in a folder of its own and end it. It refuses to run as root: then it runs as ``postgres``."""
    commands = programs()
    user = "postgres" if os.geteuid() == 0 else None
    # not below the folder of the tests, which only their own user may enter
    folder = Path(tempfile.mkdtemp(prefix="rollin-postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        data = folder / "data"
        subprocess.run(
            [
                *(commands / "initdb", "-D", data, "-U", "rollin", "-A", "scram-sha-256", "--pwfile", folder / "password"),
                *("--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options |= {"max_connections": 120}
        control = [commands / "pg_ctl", "-D", data, "-w", "-t", "60"]
        settings = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        # its output goes to a file: it would hold an inherited pipe open for as long as it runs
        start = [*control, "-l", folder / "log", "-o", settings, "start"]
        subprocess.run(start, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        try:
            yield Postgres(port)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], user=user, cwd=folder, check=False, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for each worker that needs it."""
    with running() as server:
        yield server
