"""Secrets stay where they are: planted in every place that can hold one, they appear in nothing that is written, stored or said."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import polars as pl
import pytest
import yaml

from ingest.fetch import fetch_source
from ingest.landfile import LandFile
from ingest.landing import Landing
from ingest.probe import probe_source
from ingest.sample.server import Answer, SampleServer
from ingest.transport import Limits
from orchestration.progress import show_progress
from tests.house import House, edit_lines, set_max_age
from tests.portal_answers import NOW

SECRETS = {
    name: f"{name}-Geheimnis-7f3a9c51-{name[::-1]}"
    for name in ("basic", "apikey", "bearer", "oauth", "issued", "query", "userinfo", "sshpassword", "webhook")
}
_PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\\n{}\\n-----END OPENSSH PRIVATE KEY-----"
SECRETS["sshkey"] = base64.b64encode(b"sshkey-Geheimnis-7f3a9c51-der-private-Teil").decode()

_TABLE = """
    table: page_visits
    format: csv
    columns: {source_url: url, period_start: von, period_end: bis, country: land, device: geraet, visits: zahl}
    delivers: changes
    required: false
"""
_CSV = b"url;von;bis;land;geraet;zahl\nhttps://a.example;2026-05-01;2026-05-31;DE;pc;%d\n"
SOURCES = {
    "basic": 'location: "${V_URL}/basic"\n    auth: {kind: basic, user: amt, password: "${V_BASIC}"}',
    "apikey": 'location: "${V_URL}/apikey"\n    auth: {kind: api_key, header: X-Api-Key, key: "${V_APIKEY}"}',
    "bearer": 'location: "${V_URL}/bearer"\n    auth: {kind: bearer, token: "${V_BEARER}"}',
    "oauth": 'location: "${V_URL}/oauth"\n    auth: {kind: oauth2, token_url: "${V_URL}/token", client_id: rollin, client_secret: "${V_OAUTH}"}',
    "query": 'location: "${V_URL}/query?stand=heute&api_key=${V_QUERY}"',
    "userinfo": 'location: "${V_USERINFO}"',
    "sshpassword": 'location: "${V_SFTP}/a.csv"\n    auth: {kind: ssh, user: amt, password: "${V_SSHPASSWORD}", host_key: "${V_HOST_KEY}"}',
    "sshkey": 'location: "${V_SFTP}/*.csv"\n    auth: {kind: ssh, user: amt, key: "${V_SSHKEY}", host_key: "${V_HOST_KEY}"}',
}


def sources(prefix: str = "") -> str:
    """The sources of a Land file, in YAML."""
    return "".join(f"\n  - name: {prefix}{name}{_TABLE}    {text}\n" for name, text in SOURCES.items())


class Vault(SampleServer):
    """A portal that opens to the right secret only, and fails on demand. ``opened``: secrets that it was shown."""

    def __init__(self, folder: Path):
        self.opened: set[str] = set()
        self.fails: str | None = None
        self.visits = 1
        super().__init__(folder)

    def _route(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        given = headers.get("Authorization", "")
        basic = base64.b64encode(f"amt:{SECRETS['basic']}".encode()).decode()
        client = base64.b64encode(f"rollin:{quote(SECRETS['oauth'], safe='')}".encode()).decode()
        right = {
            "/basic": given == f"Basic {basic}",
            "/apikey": headers.get("X-Api-Key") == SECRETS["apikey"],
            "/bearer": given == f"Bearer {SECRETS['bearer']}",
            "/oauth": given == f"Bearer {SECRETS['issued']}",
            "/token": given == f"Basic {client}",
            "/query": query.get("api_key") == SECRETS["query"],
            f"/hook/{SECRETS['webhook']}": b'"outcome"' in body,
        }.get(path, False)
        if right:
            self.opened.add(path.split("/")[1])
        if self.fails == "redirect" and path != "/token":
            return Answer(302, b"", {"Location": f"https://elsewhere.example{path}?api_key={SECRETS['query']}"})
        if self.fails or not right:
            return Answer(int(self.fails or 401), b"", {})
        if path == "/token":
            granted = {"access_token": SECRETS["issued"], "token_type": "Bearer", "expires_in": 300}
            return Answer(200, json.dumps(granted).encode(), {"Content-Type": "application/json"})
        return Answer(200, _CSV % self.visits, {"Content-Type": "text/csv"})


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    server = Vault(tmp_path)
    yield server
    server.stop()


def plant(vault: Vault) -> dict[str, str]:
    """The environment in which every secret is used."""
    host = vault.base_url.removeprefix("http://")
    return {
        "V_URL": vault.base_url,
        "V_USERINFO": f"http://amt:{SECRETS['userinfo']}@{host}/basic",
        "V_SFTP": "sftp://127.0.0.1:9/eingang",
        "V_HOST_KEY": f"SHA256:{'A' * 43}",
        "V_SSHKEY": _PEM.format(SECRETS["sshkey"]),
        "ROLLIN_ALERT_WEBHOOK": f"{vault.base_url}/hook/{SECRETS['webhook']}",
        **{f"V_{name.upper()}": SECRETS[name] for name in ("basic", "apikey", "bearer", "oauth", "query", "sshpassword")},
    }


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as text, escaped, in two-byte characters, or in base64 at any offset."""
    raw = secret.encode()
    encoded = [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [
        raw,
        quote(secret, safe="").encode(),
        secret.encode("utf-16-le"),
        secret.encode("utf-16-be"),
        raw.hex().encode(),
        *encoded,
    ]


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they hold where they are compressed."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        yield repr(pl.read_parquet(path).rows()).encode()
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(member) for member in archive.infolist() if member.file_size < 50_000_000)
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                yield repr(con.execute(f'from "{schema}"."{table}"').fetchall()).encode()


def assert_nowhere(home: Path, *said: str) -> None:
    needles = {form: name for name, secret in SECRETS.items() for form in forms(secret)}
    # a part of each of them, common to most: where none of those is, nothing else need be looked for
    parts = {*forms("-Geheimnis-7f3a9c51-"), *forms(SECRETS["sshkey"])}
    assert all(any(part in form for part in parts) for form in needles)
    # a terminal breaks long words into lines
    places = [("said", form.encode("utf-8", "replace")) for text in said for form in (text, "".join(text.split()))]
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            places += [(str(path.relative_to(home)), data) for data in contents(path)]
            places.append((str(path.relative_to(home)), path.name.encode()))
    suspect = [(place, data) for place, data in places if any(part in data for part in parts)]
    found = {(name, place) for place, data in suspect for form, name in needles.items() if form in data}
    assert found == set()


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    for number, form in enumerate(forms(SECRETS["basic"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "x").write_bytes(b"..." + form + b"...")
        with pytest.raises(AssertionError, match="basic"):
            assert_nowhere(folder)
    for number in range(3):  # as the header of HTTP Basic has it
        header = base64.b64encode(f"{'u' * number}:{SECRETS['basic']}".encode()).decode()
        with pytest.raises(AssertionError, match="basic"):
            assert_nowhere(tmp_path / "none", header)
    (tmp_path / "p").mkdir()
    pl.DataFrame({"a": [SECRETS["query"]] * 1000}).write_parquet(tmp_path / "p" / "x.parquet")
    with pytest.raises(AssertionError, match="query"):
        assert_nowhere(tmp_path / "p")


def test_no_secret_is_left_by_good_failing_and_refused_nights(
    house: House, vault: Vault, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    federal = house.world / "laender" / "deutschland.yaml"
    document = yaml.safe_load(federal.read_text(encoding="utf-8"))
    document["sources"] += yaml.safe_load(sources("tresor_"))
    federal.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    os.environ.update(plant(vault))
    said: list[str] = []

    with show_progress(verbose=True):
        good = house.asked(days=0.1)
        states = {name: state for (_, name), state in good.states.items() if name.startswith("tresor")}
        said += [f"{state}" for state in states.values()]
        assert vault.opened == {"basic", "apikey", "bearer", "oauth", "token", "query"}
        assert {name for name, state in states.items() if state.status == "current"} == {
            f"tresor_{name}" for name in ("basic", "apikey", "bearer", "oauth", "query")
        }

        for fails in ("401", "500", "redirect"):
            vault.fails, vault.visits = fails, vault.visits + 1
            outcomes = fetch_all(house, federal)
            assert all(outcome.status == "failed" for outcome in outcomes.values()), fails
            said += [f"{outcome}" for outcome in outcomes.values()]
        # the night after the good one builds, from what that one brought and with sources that fail
        failing = house.night(days=1)
        said.append(failing.message)
        assert (failing.outcome, failing.exit_code) == ("published", 0), failing.message
        told = house.query(
            "select message_de || message_en from meta.source_status where source like 'tresor%' and status <> 'current'"
        )
        assert len(told) == len(SOURCES)
        admitted = house.query("select distinct source from meta.delivery where is_admitted and source like 'tresor%' order by 1")
        assert admitted == [(f"tresor_{name}",) for name in ("apikey", "basic", "bearer", "oauth", "query")]

        vault.fails = None
        set_max_age(house, 3)
        edit_lines(house.delivery("06/kosten-2026-05.csv"), lambda lines: ["<html>"])
        house.delivery("06/anbindungen.xlsx").write_bytes(b"<html>Wartungsarbeiten</html>")
        refused = house.night(days=5)
        said.append(refused.message)
        assert refused.exit_code == 4
        assert "hook" in vault.opened
        vault.fails = "500"  # the alert cannot be delivered either
        assert house.night(days=1).exit_code == 4

    out, err = capfd.readouterr()
    assert "could not be delivered" in " ".join(err.split())
    assert_nowhere(house.home, *said, out, err, caplog.text, *(repr(vars(record)) for record in caplog.records))


def fetch_all(house: House, federal: Path) -> dict[str, Any]:
    from ingest.landfile import load_file

    land = load_file(federal, os.environ)
    return {
        source.name: fetch_source(
            land, source, Landing(house.home), now=house.now, environ=os.environ, limits=Limits(attempts=1, connect_seconds=1)
        )
        for source in land.sources
        if source.name.startswith("tresor_")
    }


def test_no_secret_is_told_by_a_probe_or_a_crash(vault: Vault, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where a secret cannot be sent as it is, and where our own code breaks in the middle."""
    caplog.set_level(logging.DEBUG)
    environ = plant(vault)
    document = {"land_code": "00", "name": "X", "sources": yaml.safe_load(sources())}
    land = LandFile.model_validate(document)
    said = []
    for spoil in ("{}", "{}\n{}", "{}\r\nX: y", "ü{}", "{}\0", "\ud800{}"):
        spoilt = {
            name: spoil.replace("{}", value)
            if name in ("V_BASIC", "V_APIKEY", "V_BEARER", "V_OAUTH", "V_QUERY", "V_SSHPASSWORD")
            else value
            for name, value in environ.items()
        }
        for source in land.sources:
            limits = Limits(attempts=1, connect_seconds=1, total_seconds=5)
            seen = probe_source(land, source, now=NOW, environ=spoilt, limits=limits)
            outcome = fetch_source(land, source, Landing(tmp_path / "home"), now=NOW, environ=spoilt, limits=limits)
            said += [repr(seen), repr(outcome), repr(source), repr(source.auth), str(source.model_dump())]
            assert "unerwartet" not in f"{seen.problem} {outcome.problem}", (source.name, spoil)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.portals.csv.Csv.fetch", lambda *_: 1 / 0)
        for source in land.sources[:5]:
            said.append(repr(fetch_source(land, source, Landing(tmp_path / "home"), now=NOW, environ=environ)))
    assert "ZeroDivisionError" in caplog.text
    assert_nowhere(tmp_path / "home", *said, caplog.text, *(repr(vars(record)) for record in caplog.records))


def test_a_secret_written_into_a_land_file_is_refused() -> None:
    source = {"name": "x", "table": "page_visits", "format": "csv", "delivers": "changes"}
    for location in ("https://a/x?api_key=abc", "${URL:-https://a/x?token=abc}"):
        with pytest.raises(ValueError, match="does not belong into a file"):
            LandFile.model_validate({"land_code": "00", "name": "X", "sources": [source | {"location": location}]})
    LandFile.model_validate({"land_code": "00", "name": "X", "sources": [source | {"location": "https://a/x?api_key=${K}&b=1"}]})
