"""``rollin doctor``: one small request per source, nothing landed, and a verdict that a person can act on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.probe import HEAD_BYTES, ProbeOutcome
from ingest.sample.server import SampleServer, serve
from ingest.transport import Limits
from orchestration import doctor
from orchestration.cli import cli
from orchestration.settings import Settings, UsageError
from tests.conftest import Rollin

QUICK = Limits(connect_seconds=0.5, read_seconds=0.5, request_seconds=1, total_seconds=2, attempts=1)


@pytest.fixture
def server(world: Path) -> Iterator[SampleServer]:
    with serve(world / "deliveries") as running:
        yield running


@pytest.fixture
def settings(world: Path, server: SampleServer, tmp_path: Path, environment: None) -> Settings:
    environ = {
        "ROLLIN_NOW": "2026-06-16T01:00:00Z",
        **server.environ,
        "ROLLIN_GV100AD_LOCATION": f"{server.base_url}/destatis/GV100AD.zip",
    }
    return Settings(home=tmp_path / "home", laender=world / "laender", environ=environ)


def examine(settings: Settings, land_code: str | None = None) -> dict[str, ProbeOutcome]:
    return {f"{one.land_code}/{one.source}": one for one in doctor.examine(settings, land_code, QUICK)}


def remote(settings: Settings, world: Path, tmp_path: Path) -> Settings:
    """The same Länder, Hessen's workbooks at their address as in the packaged file."""
    from ingest.landfile import PACKAGED

    folder = tmp_path / "laender"
    folder.mkdir()
    for name in ("hessen.yaml", "bayern.yaml", "deutschland.yaml"):
        (folder / name).write_text((PACKAGED / name).read_text(encoding="utf-8"), encoding="utf-8")
    return replace(settings, laender=folder)


def test_every_source_that_answers_is_told_with_what_it_has(
    settings: Settings, server: SampleServer, world: Path, tmp_path: Path
) -> None:
    settings = remote(settings, world, tmp_path)
    seen = examine(settings)
    workbook = seen["06/anbindungen"]
    assert (workbook.status, workbook.http_status, workbook.is_required) == ("ok", 200, True)
    assert workbook.bytes <= HEAD_BYTES and "spreadsheetml" in str(workbook.content_type)
    files = seen["06/nutzung"]
    assert files.status == "ok" and files.files and files.files > 3 and files.newest_file and files.newest_age_days is not None
    assert files.found and "die neueste nutzung-" in files.found and files.found_en and "the newest nutzung-" in files.found_en
    assert seen["00/gemeindeverzeichnis"].status == "ok"
    assert seen["00/datahub"].status == "ok"
    # Bayern delivered nothing to this world: its portal says so
    assert (seen["09/verbindungen"].status, seen["09/verbindungen"].http_status) == ("failing", 404)
    answered = [path for _, path, _ in server.requests if "/oauth/" not in path]
    assert len(answered) == len(set(answered)) <= len(seen)
    assert [path for path in answered if "/bayern/" in path and "size=1" not in path.split("&")[-1]] == []
    assert not settings.home.exists()  # nothing was landed, nothing recorded


def test_a_page_of_one_row_promises_the_whole(settings: Settings, world: Path, tmp_path: Path, server: SampleServer) -> None:
    rows = [{"behoerdeArs": "091610000000", "leistung": "Führerschein", "jahr": 2025, "faelle": n} for n in range(30)]
    folder = tmp_path / "deliveries" / "09"
    folder.mkdir(parents=True)
    (folder / "fallzahlen.json").write_text(json.dumps(rows))
    with serve(tmp_path / "deliveries") as other:
        settings = replace(remote(settings, world, tmp_path), environ={**settings.environ, **other.environ})
        seen = examine(settings, "09")
        assert [path for _, path, _ in other.requests if "fallzahlen" in path] == ["/bayern/api/v1/fallzahlen?page=0&size=1"]
    one = seen["09/fallzahlen"]
    assert (one.status, one.rows_promised) == ("ok", 30)
    assert one.found and "30 Zeilen angekündigt" in one.found
    assert set(seen) == {"09/verbindungen", "09/nutzung", "09/fallzahlen", "09/kosten"}


def test_what_is_wrong_is_one_sentence_with_its_remedy(
    settings: Settings, server: SampleServer, world: Path, tmp_path: Path
) -> None:
    settings = remote(settings, world, tmp_path)
    server.faults["/hessen/berichte/anbindungen"] = "html"
    server.faults["/destatis"] = "endless"
    server.faults["/datahub"] = "redirect"
    begun = time.monotonic()
    seen = examine(replace(settings, environ={**settings.environ, "ROLLIN_HE_PASSWORD": "wrong"}), None)
    assert time.monotonic() - begun < 10
    assert seen["06/fallzahlen"].http_status == 401 and "Umgebungsvariablen" in str(seen["06/fallzahlen"].problem)
    assert "eine HTML-Seite" in str(seen["06/anbindungen"].problem) and "an HTML page" in str(seen["06/anbindungen"].problem_en)
    assert seen["06/anbindungen"].http_status == 200
    assert seen["00/gemeindeverzeichnis"].status == "ok"  # its beginning is a directory; the rest is not asked for
    assert "mehr als 65,536 Bytes" in str(seen["00/gemeindeverzeichnis"].found)
    assert "elsewhere.example" in str(seen["00/datahub"].problem)
    blocked = {f"{one.land_code}/{one.source}" for one in doctor.blocking(settings, list(seen.values()))}
    assert "06/anbindungen" in blocked and "00/gemeindeverzeichnis" not in blocked
    assert "00/datahub" not in blocked and "06/fallzahlen" not in blocked  # not required


def test_a_land_that_is_not_configured_blocks_nothing_and_half_a_land_does(
    settings: Settings, world: Path, tmp_path: Path
) -> None:
    settings = remote(settings, world, tmp_path)
    given = {name: value for name, value in settings.environ.items() if not name.startswith("ROLLIN_BY_")}
    seen = examine(replace(settings, environ=given))
    bavaria = seen["09/verbindungen"]
    assert bavaria.status == "not_configured"
    assert bavaria.missing_variables == ("ROLLIN_BY_URL", "ROLLIN_BY_CLIENT_ID", "ROLLIN_BY_CLIENT_SECRET")
    assert "ROLLIN_BY_URL" in str(bavaria.problem_en)
    assert doctor.blocking(replace(settings, environ=given), list(seen.values())) == []
    del given["ROLLIN_HE_DELIVERIES"]
    seen = examine(replace(settings, environ=given))
    blocked = {one.source for one in doctor.blocking(replace(settings, environ=given), list(seen.values()))}
    assert blocked == {"nutzung", "kosten"}


def test_the_command(
    settings: Settings, server: SampleServer, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = remote(settings, world, tmp_path)
    environ = {n: v for n, v in settings.environ.items() if not n.startswith("ROLLIN_BY_")}
    for name in ("SUCHDIENST", "FIT_CONNECT"):  # this world has none
        environ.setdefault(f"ROLLIN_{name}_URL", "off")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    arguments = ["doctor", "--home", str(tmp_path / "home"), "--laender", str(settings.laender)]
    ran = CliRunner().invoke(cli, [*arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    shown = {f"{one['land_code']}/{one['source']}": one for one in json.loads(ran.stdout)}
    assert shown["06/kosten"]["status"] == "ok" and shown["06/kosten"]["found_en"]
    server.faults["/hessen"] = "500"
    ran = CliRunner().invoke(cli, [*arguments, "--land", "06"])
    assert ran.exit_code == 1
    assert "06/anbindungen" in ran.output and "HTTP 500" in ran.output and "00/datahub" not in ran.output
    assert "1 required source cannot be read: 06/anbindungen." in ran.output
    with pytest.raises(UsageError, match="no Land file with land_code '16'"):
        doctor.examine(settings, "16")


def test_refresh_with_every_public_host_unreachable_ends_soon_with_a_sentence(rollin: Rollin, tmp_path: Path) -> None:
    """The default addresses behind a proxy that is not there: nothing is configured, nothing answers, nobody waits."""
    nowhere = "http://127.0.0.1:9"
    begun = time.monotonic()
    ran = rollin("refresh", home=tmp_path, HTTPS_PROXY=nowhere, https_proxy=nowhere, ALL_PROXY=nowhere, NO_PROXY="", no_proxy="")
    assert time.monotonic() - begun < 180
    assert ran.returncode == 4, ran.stderr
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("rollin: The municipal directory Deutschland/gemeindeverzeichnis has no admissible data: ")
    assert "www.destatis.de" in last and "cannot be reached: check address, network and certificate." in last
    attempts = tmp_path / "landing" / "attempts"
    skipped = json.loads((attempts / "09" / "verbindungen.jsonl").read_text())
    assert (skipped["status"], "ROLLIN_BY_URL" in skipped["en"]) == ("not_configured", True)
