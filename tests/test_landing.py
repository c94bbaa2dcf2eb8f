"""Landing: bytes stay as they came, whole or not at all, and are found again in order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.landing import Landing, LandingError, Part, public_address

NOW = datetime(2026, 10, 31, 1, 2, 3, 456789, UTC)


def landed(landing: Landing, data: bytes, address: str = "https://a.example/x") -> Part:
    sha256, size = landing.put([data])
    return Part(address, sha256, size, 200, '"e"', None, "text/plain", "x")


def store(landing: Landing, data: bytes, at: datetime = NOW, sequence: int = 1):
    return landing.store(
        land_code="09",
        source="nutzung",
        table="usage",
        format="csv",
        delivered_at=at,
        parts=[landed(landing, data)],
        sequence=sequence,
    )


@settings(max_examples=30, deadline=None)
@given(chunks=st.lists(st.binary(max_size=50), max_size=5))
def test_bytes_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    landing = Landing(tmp_path_factory.getbasetemp() / "home")
    sha256, size = landing.put(chunks)
    whole = b"".join(chunks)
    assert (sha256, size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    part = Part("a", sha256, size, None, None, None, None, "a")
    assert landing.path(part).read_bytes() == whole
    assert landing.verify(part)
    assert not list((landing.root / "tmp").iterdir())


def test_delivery_round_trip_and_order(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    second = store(landing, b"two", NOW + timedelta(days=1))
    first = store(landing, b"one")
    third = store(landing, b"three", NOW, sequence=2)
    assert first.delivery_id.startswith("20261031T010203Z-001-")
    assert landing.deliveries("09", "nutzung") == [first, third, second]
    assert landing.newest("09", "nutzung") == second
    assert landing.deliveries("09", "nutzung", until=NOW + timedelta(hours=1)) == [first, third]
    assert landing.deliveries("09", "nutzung", until=NOW) == []
    assert landing.deliveries("06", "nutzung") == [] and landing.newest("06", "nutzung") is None
    assert first.delivered_at == NOW and isinstance(first.parts, tuple)


def test_same_content_is_one_object_and_never_rewritten(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    part = landed(landing, b"content")
    before = landing.path(part).stat()
    landed(landing, b"content")
    after = landing.path(part).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert before.st_mode & 0o222 == 0


def test_damage_is_noticed(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    delivery = store(landing, b"content")
    path = landing.path(delivery.parts[0])
    path.chmod(0o644)
    path.write_bytes(b"changed")
    assert not landing.verify(delivery.parts[0])
    path.unlink()
    assert not landing.verify(delivery.parts[0])
    with pytest.raises(LandingError, match="not in landing"):
        landing.store(land_code="09", source="x", table="usage", format="csv", delivered_at=NOW, parts=delivery.parts)


def test_a_damaged_sidecar_says_so(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    delivery = store(landing, b"content")
    sidecar = tmp_path / "landing/09/nutzung" / f"{delivery.delivery_id}.json"
    assert json.loads(sidecar.read_text())["table"] == "usage"
    sidecar.chmod(0o644)
    sidecar.write_text("{")
    with pytest.raises(LandingError, match=r"cannot be read .* restore"):
        landing.deliveries("09", "nutzung")


def test_leaving_uncommitted_removes(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    with landing.incoming() as incoming:
        incoming.write(b"half")
    assert not [path for path in landing.root.rglob("*") if path.is_file()]


def test_what_killed_runs_left_is_swept_after_a_day(tmp_path: Path) -> None:
    old = tmp_path / "landing/tmp/incoming-old"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)
    fresh = old.with_name("incoming-fresh")
    fresh.write_bytes(b"x")
    Landing(tmp_path).put([b"y"])
    assert not old.exists() and fresh.exists()


@pytest.mark.parametrize(("land", "source"), [("../x", "nutzung"), ("09", "../../etc"), ("09", "a/b"), ("9", "nutzung")])
def test_names_stay_inside(tmp_path: Path, land: str, source: str) -> None:
    with pytest.raises(LandingError, match="names no source"):
        Landing(tmp_path).deliveries(land, source)


def test_a_kill_at_any_moment_leaves_only_whole_deliveries(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from ingest.landing import Landing, Part\n"
        "landing = Landing(pathlib.Path(sys.argv[1])); n = 0\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    n += 1; sha, size = landing.put([str(n).encode() * 20000])\n"
        "    landing.store(land_code='09', source='x', table='usage', format='csv', delivered_at=datetime(2026, 1, 1, tzinfo=UTC)\n"
        "        + timedelta(seconds=n), parts=[Part('a', sha, size, None, None, None, None, 'a')])\n"
    )
    root = str(Path(__file__).parents[1])
    for delay in (0.01, 0.03, 0.05):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), root], stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    landing = Landing(tmp_path)
    deliveries = landing.deliveries("09", "x")
    assert deliveries and all(landing.verify(part) for delivery in deliveries for part in delivery.parts)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:p@a.example:8443/x?api_key=s&page=2", "https://a.example:8443/x?api_key=&page=2"),
        ("https://a/x?apiKey=s&accessToken=t&client_secret=u&sig=v", "https://a/x?apiKey=&accessToken=&client_secret=&sig="),
        ("https://a/x?leikaKey=99&nextPageToken=7#f", "https://a/x?leikaKey=99&nextPageToken=7"),
        ("/srv/deliveries/nutzung.csv", "/srv/deliveries/nutzung.csv"),
    ],
)
def test_addresses_are_written_down_without_secrets(address: str, shown: str) -> None:
    assert public_address(address) == shown


def test_deliveries_are_values(tmp_path: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        store(Landing(tmp_path), b"x").source = "y"  # type: ignore[misc]
