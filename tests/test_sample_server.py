"""The sample's server speaks the portals' formats: tokens, pages, ETags, 401, 406, 413, and faults on demand."""

from __future__ import annotations

import csv
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import fastexcel
import httpx
import pytest

from ingest.landfile import load
from ingest.sample import Parameters, SampleServer, serve, write_sample
from ingest.sample.server import FAULTS, Answer, for_requests

BELOW = {"includeAbove": "false", "includeBelow": "true"}
STREAM = {"Accept": "application/octet-stream"}


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served")
    write_sample(out, Parameters(end=date(2026, 4, 15)))
    return out / "deliveries"


@pytest.fixture
def server(deliveries: Path) -> Iterator[SampleServer]:
    with serve(deliveries) as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5, trust_env=False) as opened:
        yield opened


def _token(server: SampleServer, client: httpx.Client) -> dict[str, str]:
    env = server.environ
    answer = client.post(
        f"{env['ROLLIN_BY_URL']}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(env["ROLLIN_BY_CLIENT_ID"], env["ROLLIN_BY_CLIENT_SECRET"]),
    )
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _items(row: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(row.items())


def _hub(server: SampleServer) -> str:
    return server.environ["ROLLIN_DATAHUB_URL"] + "/public/v1/dash"


def test_environment_configures_every_packaged_source(server: SampleServer) -> None:
    for land in load(None, server.environ).values():
        for source in land.sources:
            # never the real ones; what the world does not hold is switched off
            if source.name in ("gebietsaenderungen", "suchdienst", "fit_connect", "sdg") or land.land_code == "05":
                assert not source.is_configured(server.environ)
                continue
            assert source.is_configured(server.environ)
            location = source.resolved_location(server.environ)
            assert location.startswith(server.base_url if "://" in location else str(server.deliveries))


def test_bavaria_wants_a_valid_token(server: SampleServer, client: httpx.Client) -> None:
    address = server.environ["ROLLIN_BY_URL"] + "/api/v1/verbindungen"
    refused = client.get(address)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert client.get(address, headers={"Authorization": "Bearer guessed"}).status_code == 401
    token = _token(server, client)
    assert client.get(address, headers=token).status_code == 200
    server.expire_tokens()
    assert client.get(address, headers=token).status_code == 401
    server.token_seconds = 0
    assert client.get(address, headers=_token(server, client)).status_code == 401


def test_token_endpoint_checks_the_client_and_the_grant(server: SampleServer, client: httpx.Client) -> None:
    address = server.environ["ROLLIN_BY_URL"] + "/oauth/token"
    form = {"grant_type": "client_credentials", "client_id": "sample-client", "client_secret": "sample-secret"}
    assert client.post(address, data=form).status_code == 200
    assert client.post(address, data=form | {"client_secret": "wrong"}).status_code == 401
    assert client.post(address, data=form | {"grant_type": "password"}).status_code == 400
    assert (
        client.post(address, data={"grant_type": "client_credentials"}, headers={"Authorization": "Basic !"}).status_code == 401
    )
    assert client.get(address).status_code == 405


@pytest.mark.parametrize("nested", [False, True])
def test_pages_hold_every_row_once_in_both_envelopes(
    server: SampleServer, client: httpx.Client, deliveries: Path, nested: bool
) -> None:
    server.nested_totals["/bayern"] = nested
    headers = _token(server, client)
    address = server.environ["ROLLIN_BY_URL"] + "/api/v1/kosten"
    rows, number, pages = [], 0, 1
    while number < pages:
        page = client.get(address, params={"page": number, "size": 100}, headers=headers).json()
        totals = page["page"] if nested else page
        assert ("totalElements" in page) is not nested
        assert totals["number"] == number
        pages, number = totals["totalPages"], number + 1
        rows += page["content"]
    assert pages > 2
    assert rows == json.loads((deliveries / "09" / "kosten.json").read_text(encoding="utf-8"))
    assert totals["totalElements"] == len(rows)
    assert client.get(address, params={"page": pages, "size": 100}, headers=headers).json()["content"] == []
    for wrong in ({"page": -1}, {"size": 0}, {"page": "x"}):
        assert client.get(address, params=wrong, headers=headers).status_code == 400


def test_changes_since_an_instant(server: SampleServer, client: httpx.Client, deliveries: Path) -> None:
    headers = _token(server, client)
    address = server.environ["ROLLIN_BY_URL"] + "/api/v1/verbindungen"
    since = "2026-04-10T00:00:00Z"
    answer = client.get(address, params={"geaendertSeit": since, "size": 5000}, headers=headers).json()
    every = json.loads((deliveries / "09" / "verbindungen.json").read_text(encoding="utf-8"))
    assert answer["content"] == [row for row in every if row["gemeldetAm"] >= since]
    assert 0 < answer["totalElements"] < len(every)
    assert client.get(address, params={"geaendertSeit": "gestern"}, headers=headers).status_code == 400


def test_unchanged_content_is_not_sent_again(server: SampleServer, client: httpx.Client) -> None:
    bearer, basic = _token(server, client), httpx.BasicAuth("sample-user", "sample-password")
    hub, env = _hub(server), server.environ
    for address, extra in (
        (env["ROLLIN_BY_URL"] + "/api/v1/fallzahlen?size=100", {"headers": bearer}),
        (env["ROLLIN_HE_URL"] + "/berichte/anbindungen.xlsx", {"auth": basic}),
        (env["ROLLIN_GV100AD_LOCATION"], {}),
        (hub + "/open-ars", {}),
        (hub + "/open-pvog/091620000000?includeBelow=true", {}),
    ):
        first = client.get(address, **extra)  # type: ignore[arg-type]
        assert first.status_code == 200
        assert first.headers["Rollin-Synthetic"] == "true"
        known = {**extra.get("headers", {}), "If-None-Match": first.headers["ETag"]}  # type: ignore[dict-item]
        again = client.get(address, **{**extra, "headers": known})  # type: ignore[arg-type]
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(address, **{**extra, "headers": known | {"If-None-Match": '"other"'}})  # type: ignore[arg-type]
        assert (other.status_code, other.content) == (200, first.content)


def test_hesse_serves_its_workbooks_behind_a_password(server: SampleServer, client: httpx.Client, deliveries: Path) -> None:
    address = server.environ["ROLLIN_HE_URL"] + "/berichte/anbindungen.xlsx"
    assert client.get(address).status_code == 401
    assert client.get(address, auth=("sample-user", "wrong")).status_code == 401
    answer = client.get(address, auth=("sample-user", "sample-password"))
    assert answer.content == (deliveries / "06" / "anbindungen.xlsx").read_bytes()
    assert fastexcel.read_excel(answer.content).sheet_names == ["Anbindungen"]
    assert Path(server.environ["ROLLIN_HE_DELIVERIES"]) == deliveries / "06"


def test_directory_is_a_zip(server: SampleServer, client: httpx.Client) -> None:
    answer = client.get(server.environ["ROLLIN_GV100AD_LOCATION"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["GV100AD_31012026.txt"]


@pytest.mark.parametrize(
    "path", ["/hessen/berichte/../../00/GV100AD.zip", "/hessen/berichte/%2e%2e%2fsecret.xlsx", "/", "/bayern/api/v1/x"]
)
def test_nothing_else_is_served(server: SampleServer, client: httpx.Client, path: str) -> None:
    assert client.get(server.base_url + path, auth=("sample-user", "sample-password")).status_code == 404


def test_export_wants_a_stream_and_refuses_what_is_too_large(
    server: SampleServer, client: httpx.Client, deliveries: Path
) -> None:
    hub = _hub(server)
    land = f"{hub}/open-pvog/090000000000/export"
    query = BELOW | {"filetype": "csv"}
    assert client.get(land, params=query, headers={"Accept": "text/csv"}).status_code == 406
    server.export_limit = 100
    assert client.get(land, params=query, headers=STREAM).status_code == 413
    listed = list(csv.DictReader((deliveries / "00" / "open-pvog.csv").read_text(encoding="utf-8").splitlines()))
    ours = [row for row in listed if row["ars"].startswith("09")]
    assert len(ours) > 100

    # page by page, or Kreis by Kreis with what stands above them: both give every row once
    paged: list[dict[str, object]] = []
    while True:
        page = client.get(f"{hub}/open-pvog/090000000000", params=BELOW | {"page": len(paged) // 200, "size": 200}).json()
        paged += page["content"]
        if len(paged) >= page["page"]["totalElements"]:
            break
    assert [{k: str(v or "") for k, v in row.items()} for row in paged] == ours
    areas = [row["ars"] for row in client.get(f"{hub}/open-ars").json()]
    server.export_limit = 2_000
    kreise = sorted({ars for ars in areas if ars.startswith("09") and ars.endswith("0" * 7)})
    collected: list[dict[str, str]] = []
    for ars in kreise:
        only_itself = {"includeAbove": "false", "includeBelow": "false"} if ars == "090000000000" else BELOW
        answer = client.get(f"{hub}/open-pvog/{ars}/export", params=only_itself | {"filetype": "csv"}, headers=STREAM)
        assert answer.status_code == 200
        collected += csv.DictReader(answer.content.decode("utf-8-sig").splitlines(), delimiter=";")
    assert sorted(map(_items, collected)) == sorted(map(_items, ours))


def test_export_as_workbook_and_with_what_stands_above(server: SampleServer, client: httpx.Client) -> None:
    hub = _hub(server)
    query = {"filetype": "xlsx", "includeAbove": "true", "includeBelow": "true"}
    answer = client.get(f"{hub}/open-pvog/091620000000/export", params=query, headers=STREAM)
    rows = fastexcel.read_excel(answer.content).load_sheet(0, dtypes="string").to_polars()
    assert {ars[:5] for ars in rows["ars"]} <= {"09162", "09000"}
    assert "090000000000" in set(rows["ars"])
    assert client.get(f"{hub}/open-pvog/091620000000/export", params={"filetype": "pdf"}, headers=STREAM).status_code == 400
    assert client.get(f"{hub}/open-pvog/09162", params=BELOW).status_code == 404


def test_the_world_may_change_between_two_nights(tmp_path: Path, client: httpx.Client) -> None:
    parameters = Parameters(end=date(2026, 2, 20))
    write_sample(tmp_path, parameters)
    with serve(tmp_path / "deliveries") as server:
        address = server.environ["ROLLIN_BY_URL"] + "/api/v1/verbindungen"
        first = client.get(address, headers=_token(server, client))
        write_sample(tmp_path, parameters.model_copy(update={"end": parameters.end + timedelta(days=9)}))
        again = client.get(address, headers=_token(server, client) | {"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 200
        assert again.json()["totalElements"] > first.json()["totalElements"]
        (tmp_path / "deliveries" / "09" / "verbindungen.json").unlink()
        assert client.get(address, headers=_token(server, client)).status_code == 404


def test_faults(server: SampleServer, client: httpx.Client) -> None:
    hub = _hub(server)
    address = f"{hub}/open-pvog/091620000000?includeBelow=true&size=50"
    sound = client.get(address)
    server.faults["/datahub/api/public/v1/dash/open-pvog"] = "429"
    limited = client.get(address)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    assert client.get(f"{hub}/open-ars").status_code == 200  # another path is well
    server.faults = {"/datahub": "503"}
    assert client.get(address).status_code == 503
    server.faults = {"/datahub": "html"}
    assert client.get(address).text.startswith("<!DOCTYPE html>")
    server.faults = {"/datahub": "truncated"}
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(address)
    server.faults = {"/datahub": "cut"}
    assert client.get(address).content == sound.content[: len(sound.content) // 2]
    server.faults = {"/datahub": "wrong_total"}
    assert client.get(address).json()["page"]["totalElements"] == sound.json()["page"]["totalElements"] + 7
    server.faults = {"/datahub": "slow"}
    with pytest.raises(httpx.ReadTimeout):
        client.get(address, timeout=0.3)
    server.faults = {"/datahub": lambda path, answer: Answer(418, path.encode())}
    assert client.get(address).content.decode() in address
    server.faults = {"/datahub": for_requests(2, "503")}
    assert [client.get(address).status_code for _ in range(3)] == [503, 503, 200]
    assert set(FAULTS) >= {"429", "503", "html", "truncated", "slow", "wrong_total"}
    assert ("GET", address.removeprefix(server.base_url), 429) in server.requests


def test_many_at_once(server: SampleServer, client: httpx.Client) -> None:
    headers, found = _token(server, client), []
    address = server.environ["ROLLIN_BY_URL"] + "/api/v1/nutzung?size=100&page=3"

    def ask() -> None:
        found.append(httpx.get(address, headers=headers, trust_env=False).content)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_stopped_server_answers_no_more(deliveries: Path) -> None:
    with serve(deliveries) as server:
        server.stop()
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.base_url, trust_env=False)
