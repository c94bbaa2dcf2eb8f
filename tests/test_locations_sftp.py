"""SFTP locations against a real OpenSSH server on loopback, run by the test as the current user."""

from __future__ import annotations

import base64
import getpass
import hashlib
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paramiko
import pytest
from pydantic import ValidationError

from ingest import locations
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import LandFile, Source, location_problem, pinned_keys, split_sftp
from ingest.landing import Landing
from ingest.portals import read_delivery
from ingest.probe import ProbeOutcome, probe_source
from ingest.transport import Limits

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if os.access("/usr/sbin/sshd", os.X_OK) else None)
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server on this machine (package openssh-server)")
QUICK = Limits(connect_seconds=2, read_seconds=2, request_seconds=5, total_seconds=10)
OLD = datetime(2026, 1, 5, tzinfo=UTC).timestamp()


@dataclass
class Server:
    """A running sshd. ``ed25519`` and ``rsa`` are its host keys as known_hosts has them; ``key`` opens it."""

    port: int
    folder: Path
    key: str
    ed25519: str
    rsa: str

    def put(self, name: str, content: str, changed: float = OLD) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (changed, changed))
        return path

    def source(self, pattern: str, **auth: str) -> dict[str, Any]:
        given = {"kind": "ssh", "user": getpass.getuser(), "key": "${SFTP_KEY}", "host_key": self.ed25519}
        given |= auth
        if "password" in auth or "key_file" in auth:
            del given["key"]
        return {"location": f"sftp://127.0.0.1:{self.port}{self.folder}/{pattern}", "auth": given}


def fingerprint(line: str) -> str:
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert SSHD
    folder = tmp_path_factory.mktemp("sshd")
    private, keys = {}, {}
    for kind, made in (("ed25519", None), ("rsa", paramiko.RSAKey.generate(2048))):
        path = folder / f"host_{kind}"
        if made is None:
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
        else:
            made.write_private_key_file(str(path))
            path.with_suffix(".pub").write_text(f"ssh-rsa {made.get_base64()}\n")
        private[kind], keys[kind] = path, " ".join(path.with_suffix(".pub").read_text().split()[:2])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "user"], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, started by root, locks up its unprivileged half
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        f"PasswordAuthentication yes\nKbdInteractiveAuthentication no\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"HostKey {private['ed25519']}\nHostKey {private['rsa']}\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    log = (folder / "log").open("w")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stdin=subprocess.DEVNULL, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield Server(port, folder / "files", (folder / "user").read_text(), keys["ed25519"], keys["rsa"])
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@pytest.fixture
def server(sshd: Server) -> Iterator[Server]:
    sshd.folder.mkdir()
    yield sshd
    shutil.rmtree(sshd.folder)


def land_of(source: dict[str, Any]) -> tuple[LandFile, Source]:
    entries = {
        "name": "x",
        "table": "usage",
        "format": "csv",
        "delivers": "changes",
        "columns": {"region_key": "ars", "submitted": "n"},
    }
    land = LandFile.model_validate({"land_code": "00", "name": "Test", "sources": [entries | source]})
    return land, land.sources[0]


def fetch(landing: Landing, source: dict[str, Any], server: Server, days: float = 0, **options: Any) -> FetchOutcome:
    land, src = land_of(source)
    now = datetime(2026, 10, 31, 1, tzinfo=UTC) + timedelta(days=days)
    return fetch_source(land, src, landing, **({"now": now, "limits": QUICK, "environ": {"SFTP_KEY": server.key}} | options))


@needs_sshd
def test_each_file_is_a_delivery_and_nothing_unchanged_is_transferred(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (10, 9, 2):
        server.put(f"2026/n-{number}.csv", f"ars;n\n1;{number}\n")
    server.put("2026/.n-1.csv", "hidden")
    server.put("2026/n-3.csv.part", "half")
    (server.folder / "2026" / "n-4.csv").symlink_to("/etc/passwd")
    (server.folder / "2026" / "n-5.csv").mkdir()
    landing, source = Landing(tmp_path), server.source("*/n-*.csv")
    first = fetch(landing, source, server)
    assert (first.status, first.problem, first.requests) == ("new", None, 3)
    assert [delivery.parts[0].name for delivery in first.deliveries] == ["n-2.csv", "n-9.csv", "n-10.csv"]
    part = first.deliveries[0].parts[0]
    assert part.address == f"sftp://127.0.0.1:{server.port}{server.folder}/2026/n-2.csv"
    assert part.last_modified == "Mon, 05 Jan 2026 00:00:00 GMT"
    assert read_delivery(landing, first.deliveries[2], land_of(source)[1]).collect().rows() == [("1", "10", 1)]

    opened: list[str] = []
    real = locations._Remote.open
    monkeypatch.setattr(locations._Remote, "open", lambda self, found: opened.append(found.path) or real(self, found))
    assert fetch(landing, source, server, 1).status == "unchanged"
    assert opened == []
    server.put("2026/n-9.csv", "ars;n\n1;8\n", OLD + 60)
    (server.folder / "2026" / "n-2.csv").unlink()
    second = fetch(landing, source, server, 2)
    assert [delivery.parts[0].name for delivery in second.deliveries] == ["n-9.csv"]
    assert [Path(path).name for path in opened] == ["n-9.csv"]
    server.put("2026/n-9.csv", "ars;n\n1;8\n", OLD + 120)  # touched: read again, and found to be the same
    assert (fetch(landing, source, server, 3).status, len(opened)) == ("unchanged", 2)


@needs_sshd
def test_a_single_file_is_a_delivery_when_its_content_is_new(server: Server, tmp_path: Path) -> None:
    landing, source = Landing(tmp_path), server.source("a.csv")
    missing = fetch(landing, source, server)
    assert missing.status == "failed" and missing.problem and "fehlt die Datei" in missing.problem
    server.put("a.csv", "ars;n\n1;2\n")
    assert [fetch(landing, source, server, day).status for day in (1, 2)] == ["new", "unchanged"]
    server.put("a.csv", "ars;n\n1;3\n", OLD + 1)
    assert fetch(landing, source, server, 3).status == "new"


@needs_sshd
def test_a_file_changed_just_before_it_was_landed_is_read_again(server: Server, tmp_path: Path) -> None:
    """Two changes within a second look the same from outside, so only what was old when it was landed may be passed over."""
    landing, source = Landing(tmp_path), server.source("a.csv")
    received = datetime(2026, 10, 31, 1, tzinfo=UTC).timestamp()
    server.put("a.csv", "ars;n\n1;2\n", received - 1)
    assert fetch(landing, source, server).status == "new"
    server.put("a.csv", "ars;n\n1;3\n", received - 1)
    assert fetch(landing, source, server, 1).status == "new"


@needs_sshd
def test_a_file_that_still_grows_waits_for_the_next_run(server: Server, tmp_path: Path) -> None:
    landing, source = Landing(tmp_path), server.source("*.csv")
    server.put("a.csv", "ars;n\n1;2\n")
    growing = server.put("b.csv", "ars;n\n", time.time())
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.05):
            with growing.open("a") as file:
                file.write("1;2\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcome = fetch(landing, source, server)
    finally:
        stop.set()
        writer.join()
    assert (outcome.status, [d.parts[0].name for d in outcome.deliveries]) == ("new", ["a.csv"])
    assert outcome.problem and "b.csv wird gerade geschrieben" in outcome.problem
    again = fetch(landing, source, server, 1)
    assert [d.parts[0].name for d in again.deliveries] == ["b.csv"] and again.problem is None


@needs_sshd
@pytest.mark.parametrize("pin", ["ed25519", "rsa", "both", "fingerprint", "named"])
def test_a_pinned_server_is_trusted(server: Server, tmp_path: Path, pin: str) -> None:
    server.put("a.csv", "ars;n\n1;2\n")
    host_key = {
        "ed25519": server.ed25519,
        "rsa": server.rsa,  # though the server would rather show its other one
        "both": f"# keys of the office\n{server.rsa}\n{server.ed25519} office@server\n",
        "fingerprint": fingerprint(server.ed25519),
        "named": f"[127.0.0.1]:{server.port} {server.ed25519}",
    }[pin]
    outcome = fetch(Landing(tmp_path), server.source("a.csv", host_key=host_key), server)
    assert (outcome.status, outcome.problem) == ("new", None)


@needs_sshd
def test_an_unknown_server_is_refused_before_it_learns_anything(server: Server, tmp_path: Path) -> None:
    server.put("a.csv", "ars;n\n1;2\n")
    other = f"ssh-ed25519 {base64.b64encode(b'another key').decode()}"
    for host_key in (other, fingerprint(other)):
        source = server.source("a.csv", host_key=host_key, password="${SFTP_PASSWORD}")
        outcome = fetch(Landing(tmp_path), source, server, environ={"SFTP_PASSWORD": "hunter2-secret"})
        assert outcome.status == "failed" and outcome.problem and outcome.problem_en
        assert fingerprint(server.ed25519) in outcome.problem and "host_key" in outcome.problem
        assert "ask the operator for the fingerprint" in outcome.problem_en
    assert "Failed password" not in (server.folder.parent / "log").read_text()
    assert not Path("~/.ssh/known_hosts").expanduser().exists() or str(server.port) not in Path(
        "~/.ssh/known_hosts"
    ).expanduser().read_text(errors="replace")


@needs_sshd
def test_logins_and_keys_that_fail_are_a_sentence_without_secrets(server: Server, tmp_path: Path) -> None:
    server.put("a.csv", "ars;n\n1;2\n")
    encrypted = tmp_path / "encrypted"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter2-secret", "-f", encrypted], check=True)
    foreign = tmp_path / "foreign"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", foreign], check=True)
    cases: list[tuple[dict[str, str], dict[str, str], str]] = [
        ({"password": "${P}"}, {"P": "hunter2-secret"}, "lehnt die Anmeldung"),
        ({"key": "${K}"}, {"K": foreign.read_text()}, "lehnt die Anmeldung"),
        ({"key": "${K}"}, {"K": encrypted.read_text()}, "ohne Kennwort"),
        ({"key": "${K}"}, {"K": "hunter2-secret"}, "nicht lesbar"),
        ({"key_file": str(tmp_path / "none")}, {}, "nicht lesbar"),
    ]
    for auth, environ, expected in cases:
        outcome = fetch(Landing(tmp_path / "home"), server.source("a.csv", **auth), server, environ=environ)
        assert outcome.status == "failed" and outcome.problem and outcome.problem_en
        assert expected in outcome.problem
        for secret in ("hunter2-secret", *encrypted.read_text().splitlines()[1:-1], *foreign.read_text().splitlines()[1:-1]):
            assert secret not in outcome.problem + outcome.problem_en
    unset = fetch(Landing(tmp_path / "home"), server.source("a.csv"), server, environ={})
    assert (unset.status, unset.requests) == ("not_configured", 0) and unset.problem and "SFTP_KEY" in unset.problem


@needs_sshd
@pytest.mark.parametrize("form", ["file", "escaped", "windows"])
def test_a_key_comes_as_a_file_or_in_one_line(server: Server, tmp_path: Path, form: str) -> None:
    server.put("a.csv", "ars;n\n1;2\n")
    path = tmp_path / "key"
    path.write_text(server.key)
    if form == "file":
        outcome = fetch(
            Landing(tmp_path), server.source("a.csv", key_file="${KEY_PATH}"), server, environ={"KEY_PATH": str(path)}
        )
    else:
        text = server.key.replace("\n", "\\n" if form == "escaped" else "\r\n")
        outcome = fetch(Landing(tmp_path), server.source("a.csv"), server, environ={"SFTP_KEY": text})
    assert (outcome.status, outcome.problem) == ("new", None)


@needs_sshd
def test_sizes_are_bounded(server: Server, tmp_path: Path) -> None:
    server.put("a.csv", "ars;n\n" + "1;2\n" * 10_000)
    server.put("b.csv", "ars;n\n1;2\n")
    limits = Limits(total_bytes=20_000, connect_seconds=2, read_seconds=2)
    outcome = fetch(Landing(tmp_path), server.source("*.csv"), server, limits=limits)
    assert [d.parts[0].name for d in outcome.deliveries] == ["b.csv"]
    assert outcome.problem and "größer als 20,000 Bytes" in outcome.problem


@needs_sshd
def test_files_and_folders_are_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        server.put(f"f{number}/a.csv", "ars;n\n1;2\n")
    monkeypatch.setattr(locations, "MAX_FOLDERS", 20)
    outcome = fetch(Landing(tmp_path), server.source("*/*.csv"), server)
    assert outcome.status == "failed" and outcome.problem and "mehr als 20 Einträge" in outcome.problem
    monkeypatch.setattr(locations, "MAX_FOLDERS", 50)
    monkeypatch.setattr(locations, "MAX_ENTRIES", 20)
    outcome = fetch(Landing(tmp_path), server.source("*/*.csv"), server)
    assert outcome.status == "failed" and outcome.problem and "mehr als 20 Einträge" in outcome.problem


@needs_sshd
def test_a_transfer_has_an_end(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put("a.csv", "ars;n\n1;2\n")
    source = server.source("*.csv")
    listed = paramiko.SFTPClient.listdir_iter

    def endless(self: paramiko.SFTPClient, path: str) -> Iterator[paramiko.SFTPAttributes]:
        while True:
            yield from listed(self, path)
            time.sleep(0.02)

    monkeypatch.setattr(paramiko.SFTPClient, "listdir_iter", endless)
    begun = time.monotonic()
    outcome = fetch(Landing(tmp_path), source, server, limits=Limits(total_seconds=0.4, read_seconds=1, connect_seconds=2))
    assert time.monotonic() - begun < 2
    assert outcome.status == "failed" and outcome.problem and "nach der erlaubten Zeit" in outcome.problem


@needs_sshd
def test_a_probe_lists_and_lands_nothing(server: Server, tmp_path: Path) -> None:
    server.put("n-1.csv", "ars;n\n1;2\n")
    server.put("n-2.csv", "ars;n\n1;2\n", OLD + 86_400)
    now = datetime.fromtimestamp(OLD, UTC) + timedelta(days=11)

    def probe(pattern: str, **auth: str) -> ProbeOutcome:
        land, source = land_of(server.source(pattern, **auth))
        return probe_source(land, source, now=now, environ={"SFTP_KEY": server.key}, limits=QUICK)

    seen = probe("n-*.csv")
    assert (seen.status, seen.files, seen.newest_file, seen.newest_age_days) == ("ok", 2, "n-2.csv", 10.0)
    assert probe("m-*.csv").status == "failing"
    other = probe("n-*.csv", host_key=f"SHA256:{'A' * 43}")
    assert other.status == "failing" and other.problem and fingerprint(server.ed25519) in other.problem
    (server.folder / "n-3.csv").write_bytes(b"PK\x03\x04")
    assert "ein ZIP-Archiv" in str(probe("n-*.csv").problem)


@needs_sshd
def test_neither_key_nor_password_is_written_or_told(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("paramiko").setLevel(logging.DEBUG)
    try:
        server.put("a.csv", "ars;n\n1;2\n")
        home, said = tmp_path / "home", []
        for auth, environ in (({}, {"SFTP_KEY": server.key}), ({"password": "${P}"}, {"P": "hunter2-secret"})):
            for pattern in ("*.csv", "none.csv"):
                said.append(repr(fetch(Landing(home), server.source(pattern, **auth), server, environ=environ)))
    finally:
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    everything = "\n".join([*said, caplog.text, *(p.read_text("latin-1") for p in home.rglob("*") if p.is_file())])
    assert "Authentication (publickey) successful" in caplog.text
    for secret in ("hunter2-secret", base64.b64encode(b"hunter2-secret").decode(), *server.key.splitlines()[1:-1]):
        assert secret not in everything


def stranger(answer: Callable[[socket.socket], None]) -> tuple[socket.socket, int]:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listening.accept()
                answer(connection)
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    return listening, listening.getsockname()[1]


HELD: list[socket.socket] = []


@pytest.mark.parametrize(
    "answer",
    [
        HELD.append,  # says nothing
        lambda connection: connection.close(),
        lambda connection: (connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), connection.close()),
        lambda connection: (connection.sendall(b"SSH-2.0-x\r\n" + b"\xff" * 4096), connection.close()),
    ],
)
def test_a_server_that_is_none_is_a_sentence(tmp_path: Path, answer: Callable[[socket.socket], None]) -> None:
    listening, port = stranger(answer)
    auth = {"kind": "ssh", "user": "u", "password": "${P}", "host_key": f"SHA256:{'A' * 43}"}
    land, source = land_of({"location": f"sftp://127.0.0.1:{port}/x/*.csv", "auth": auth})
    begun = time.monotonic()
    with listening:
        outcome = fetch_source(
            land,
            source,
            Landing(tmp_path),
            now=datetime(2026, 10, 31, tzinfo=UTC),
            environ={"P": "p"},
            limits=Limits(connect_seconds=0.5, read_seconds=0.5),
        )
    assert time.monotonic() - begun < 2
    assert outcome.status == "failed" and outcome.problem and outcome.problem.startswith("00/x: ")
    assert f"sftp://127.0.0.1:{port}" in outcome.problem


# -- what a Land file may say -------------------------------------------------------------------------------------------------

AUTH = {"kind": "ssh", "user": "u", "password": "${P}", "host_key": "${H}"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"location": "sftp://host/x.csv"}, "needs a login"),
        ({"location": "https://host/x.csv", "auth": AUTH}, "for sftp locations"),
        ({"location": "x.csv", "auth": AUTH}, "needs no 'auth'"),
        ({"location": "sftp://u:p@host/x.csv", "auth": AUTH}, "holds a user or password"),
        ({"location": "sftp://host", "auth": AUTH}, "not a valid sftp location"),
        ({"location": "sftp://host:0/x", "auth": AUTH}, "not a valid sftp location"),
        ({"location": "sftp://host/a/../b.csv", "auth": AUTH}, "empty level or dots"),
        ({"location": "sftp://host/a/**/b.csv", "auth": AUTH}, "any depth"),
        ({"location": "sftp://host/x.csv", "auth": AUTH | {"host_key": "trust me"}}, "is no host key"),
        ({"location": "sftp://host/x.csv", "auth": AUTH | {"key_file": "k"}}, "exactly one"),
        ({"location": "sftp://host/x.csv", "auth": AUTH | {"password": "hunter2"}}, "does not belong into a file"),
        ({"location": "sftp://host/x.csv", "auth": {k: v for k, v in AUTH.items() if k != "host_key"}}, "host_key"),
        ({"location": "sftp://host/x.csv", "auth": AUTH, "since": {"parameter": "s"}}, "changed since"),
    ],
)
def test_what_a_land_file_must_not_say_about_sftp(source: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        land_of(source)


def test_what_variables_bring_is_checked_too(tmp_path: Path) -> None:
    for environ, expected in (
        ({"URL": "sftp://host/x.csv", "P": "p", "H": "nonsense"}, "is no host key"),
        ({"URL": "https://host/x.csv", "P": "p", "H": "SHA256:" + "A" * 43}, "for sftp locations"),
        ({"URL": "sftp://u:p@host/x.csv", "P": "p", "H": "SHA256:" + "A" * 43}, "holds a user or password"),
    ):
        land, source = land_of({"location": "${URL}", "auth": AUTH})
        outcome = fetch_source(land, source, Landing(tmp_path), now=datetime(2026, 10, 31, tzinfo=UTC), environ=environ)
        assert outcome.status == "failed" and outcome.problem and expected in outcome.problem


def test_addresses_and_pins() -> None:
    assert split_sftp("sftp://h/a?b#c/*.csv") == ("h", 22, "/a?b#c/*.csv")
    assert split_sftp("sftp://[::1]:2222/a") == ("::1", 2222, "/a")
    assert location_problem("sftp://h/a/*.csv") is None
    assert location_problem("ftp://h/a") is not None
    for line in ("|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAA", "ssh-ed25519 AAAA office", "h,i ssh-ed25519 AAAA"):
        assert {kind for kind, _ in pinned_keys(line)} == {"ssh-ed25519"}
    for line in ("", "#", "@revoked h ssh-ed25519 AAAA", "ssh-ed25519 AAA", "SHA256:short", "MD5:aa:bb"):
        with pytest.raises(ValueError, match="SHA256"):
            pinned_keys(line)
