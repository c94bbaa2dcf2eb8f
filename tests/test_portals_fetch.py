"""Fetching: files, globs, pages and the Data Hub, from landing's point of view, also when the other side misbehaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import fetch as fetching
from ingest import landfile
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import LandFile, Source
from ingest.landing import Landing, LandingError
from ingest.portals import UnreadableDelivery, read_delivery
from ingest.sample.files import write_sample
from ingest.sample.parameters import Parameters
from ingest.sample.server import SampleServer, for_requests, serve
from ingest.tables import TABLES, Delivered
from ingest.transport import Client, Limits

NOW = datetime(2026, 10, 31, 1, 0, 0, tzinfo=UTC)
QUICK = Limits(wait_initial_seconds=0.001, wait_max_seconds=2, read_seconds=0.4)


def land_of(source: dict[str, Any], folder: Path | None = None) -> tuple[LandFile, Source]:
    entries = {
        "name": "x",
        "table": "usage",
        "format": "json",
        "delivers": "changes",
        "columns": {"region_key": "ars", "submitted": "n"},
    }
    land = LandFile.model_validate({"land_code": "00", "name": "Test", "sources": [entries | source]})
    if folder:
        land.sources[0]._folder = folder
    return land, land.sources[0]


def fetch(landing: Landing, source: dict[str, Any], night: int = 0, **options: Any) -> FetchOutcome:
    land, src = land_of(source)
    return fetch_source(land, src, landing, **({"now": NOW + timedelta(days=night), "limits": QUICK} | options))


def rows(landing: Landing, outcome: FetchOutcome, source: dict[str, Any]) -> pl.DataFrame:
    return pl.concat([read_delivery(landing, delivery, land_of(source)[1]).collect() for delivery in outcome.deliveries])


# -- files ------------------------------------------------------------------------------------------------------------------

CSV = {"format": "csv", "reading": {"delimiter": ";"}}


def test_a_file_is_a_delivery_when_its_content_is_new(tmp_path: Path) -> None:
    path = tmp_path / "nutzung.csv"
    source = CSV | {"location": str(path)}
    landing = Landing(tmp_path / "home")
    for night, (content, status) in enumerate(
        [("ars;n\n1;2\n", "new"), ("ars;n\n1;2\n", "unchanged"), ("ars;n\n1;3\n", "new"), ("ars;n\n1;2\n", "new")]
    ):
        path.write_text(content)
        outcome = fetch(landing, source, night)
        assert outcome.status == status
    delivery = outcome.deliveries[0]
    assert (delivery.delivered_at, delivery.parts[0].address, delivery.parts[0].status) == (
        NOW + timedelta(days=3),
        str(path),
        None,
    )
    assert rows(landing, outcome, source).rows() == [("1", "2", 1)]


def test_each_file_of_a_glob_is_a_delivery_once_in_natural_order(tmp_path: Path) -> None:
    landing = Landing(tmp_path / "home")
    source = CSV | {"location": str(tmp_path / "n-*.csv")}
    assert fetch(landing, source).status == "failed"
    for number in (10, 9, 2):
        (tmp_path / f"n-{number}.csv").write_text(f"ars;n\n1;{number}\n")
    first = fetch(landing, source)
    assert [delivery.parts[0].name for delivery in first.deliveries] == ["n-2.csv", "n-9.csv", "n-10.csv"]
    assert [delivery.delivery_id.split("-")[1] for delivery in first.deliveries] == ["001", "002", "003"]
    assert landing.deliveries("00", "x") == first.deliveries
    assert fetch(landing, source, 1).status == "unchanged"
    (tmp_path / "n-9.csv").write_text("ars;n\n1;99\n")
    (tmp_path / "n-2.csv").unlink()
    second = fetch(landing, source, 2)
    assert [delivery.parts[0].name for delivery in second.deliveries] == ["n-9.csv"]
    for path in tmp_path.glob("n-*.csv"):
        path.unlink()
    assert fetch(landing, source, 3).status == "unchanged"  # a share that is emptied after each night


def test_a_file_that_was_old_when_it_was_landed_is_not_read_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing, source = Landing(tmp_path / "home"), CSV | {"location": str(tmp_path / "n-*.csv")}
    old, just_now = (NOW - timedelta(days=1)).timestamp(), (NOW - timedelta(seconds=1)).timestamp()

    def put(name: str, content: str, changed: float) -> None:
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, (changed, changed))

    read: list[str] = []
    land_file = fetching.land_file
    monkeypatch.setattr(
        fetching,
        "land_file",
        lambda landing, place, file, *more: read.append(Path(file.path).name) or land_file(landing, place, file, *more),
    )
    put("n-1.csv", "ars;n\n1;2\n", old)
    put("n-2.csv", "ars;n\n1;2\n", just_now)
    assert (fetch(landing, source).status, read) == ("new", ["n-1.csv", "n-2.csv"])
    put("n-2.csv", "ars;n\n1;3\n", just_now)  # in the same second, as long as before
    assert (fetch(landing, source, 1).status, read[2:]) == ("new", ["n-2.csv"])
    assert (fetch(landing, source, 2).status, read[3:]) == ("unchanged", [])
    put("n-1.csv", "ars;n\n1;4\n", old + 60)
    assert (fetch(landing, source, 3).status, read[3:]) == ("new", ["n-1.csv"])


def test_missing_and_unreadable_files_are_a_sentence(tmp_path: Path) -> None:
    landing = Landing(tmp_path / "home")
    missing = fetch(landing, CSV | {"location": str(tmp_path / "none.csv")})
    folder = fetch(landing, CSV | {"location": str(tmp_path)})
    for outcome in (missing, folder):
        assert outcome.status == "failed"
        assert outcome.problem and outcome.problem.startswith("00/x: Die Datei") and outcome.problem_en


def test_an_unset_variable_is_not_an_error(tmp_path: Path) -> None:
    outcome = fetch(
        Landing(tmp_path),
        {"location": "${A_URL}/x", "auth": {"kind": "bearer", "token": "${A_TOKEN}"}},
        environ={"A_URL": "https://a"},
    )
    assert (outcome.status, outcome.requests) == ("not_configured", 0)
    assert outcome.problem and "A_TOKEN" in outcome.problem and "A_URL" not in outcome.problem


def test_an_unencrypted_address_is_refused(tmp_path: Path) -> None:
    outcome = fetch(Landing(tmp_path), {"location": "${A_URL}/x"}, environ={"A_URL": "http://portal.example"})
    assert outcome.status == "failed"
    assert outcome.problem and "https" in outcome.problem


def test_a_full_disk_is_ours_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("ars;n\n1;2\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LandingError, match="No space left"):
        fetch(Landing(tmp_path / "home"), CSV | {"location": str(tmp_path / "a.csv")})


# -- pages ------------------------------------------------------------------------------------------------------------------

Handler = Callable[[httpx.Request, dict[str, str]], Any]


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], list[dict[str, str]]]:
    """Answers every request by a function of its query; returns the queries asked."""

    def install(handler: Handler) -> list[dict[str, str]]:
        asked: list[dict[str, str]] = []

        def respond(request: httpx.Request) -> httpx.Response:
            query = {
                name: values[-1] for name, values in parse_qs(urlsplit(str(request.url)).query, keep_blank_values=True).items()
            }
            asked.append(query)
            content = handler(request, query)
            return (
                content
                if isinstance(content, httpx.Response)
                else httpx.Response(200, content=content if isinstance(content, bytes) else json.dumps(content).encode())
            )

        monkeypatch.setattr("ingest.fetch.Client", partial(Client, transport=httpx.MockTransport(respond)))
        return asked

    return install


ALL = [{"ars": str(number), "n": number} for number in range(7)]
URL = "https://portal.example/rows"


def spring(
    query: dict[str, str], data: list[Any], *, nested: bool = False, first: int = 0, totals: bool = True
) -> dict[str, Any]:
    number, size = int(query["page"]) - first, int(query["size"])
    head = {"number": number, "size": size, "totalElements": len(data), "totalPages": -(-len(data) // size)}
    page: dict[str, Any] = {"content": data[number * size : (number + 1) * size]}
    if not totals:
        return page
    return page | ({"page": head} if nested else head | {"last": (number + 1) * size >= len(data)})


def hydra(request: httpx.Request, query: dict[str, str]) -> dict[str, Any]:
    number = int(query.get("page", "1"))
    page: dict[str, Any] = {"hydra:member": ALL[(number - 1) * 3 : number * 3], "hydra:totalItems": 7}
    if number * 3 < 7:
        page["hydra:view"] = {"hydra:next": f"/rows?itemsPerPage=3&page={number + 1}"}
    return page


PAGED: dict[str, tuple[dict[str, Any], Handler, int]] = {
    "totals at the top": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL), 3),
    "totals nested": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL, nested=True), 3),
    "no totals": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL, totals=False), 4),
    "from one": ({"kind": "page", "size": 3, "first": 1}, lambda r, q: spring(q, ALL, first=1), 3),
    "smaller pages than asked for": ({"kind": "page", "size": 3}, lambda r, q: spring(q | {"size": "2"}, ALL), 4),
    "hydra": ({"kind": "hydra", "size": 3}, hydra, 3),
    "offset": (
        {"kind": "offset", "items": "routes", "size": 3, "total": "totalCount"},
        lambda r, q: {"routes": ALL[int(q["offset"]) :][: int(q["limit"])], "totalCount": 7},
        3,
    ),
    "token": (
        {"kind": "token", "items": "d.rows", "token": "next", "token_parameter": "nextPageToken", "total": "totalHits"},
        lambda r, q: {
            "d": {"rows": ALL[int(q.get("nextPageToken", 0)) :][:3]},
            "totalHits": 7,
            "next": str(int(q.get("nextPageToken", 0)) + 3) if int(q.get("nextPageToken", 0)) + 3 < 7 else None,
        },
        3,
    ),
}


@pytest.mark.parametrize("name", list(PAGED))
def test_every_pager_collects_every_row(tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]], name: str) -> None:
    pages, handler, requests = PAGED[name]
    asked = portal(handler)
    source = {"location": URL, "pages": pages}
    landing = Landing(tmp_path)
    outcome = fetch(landing, source)
    assert (outcome.status, outcome.problem, outcome.requests) == ("new", None, requests)
    assert rows(landing, outcome, source)["n"].to_list() == [str(number) for number in range(7)]
    assert len(asked) == requests
    assert fetch(landing, source, 1).status == "unchanged"


BROKEN: dict[str, tuple[dict[str, Any], Handler]] = {
    "a row short": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL) | {"totalElements": 8}),
    "a page again": ({"kind": "page", "size": 3}, lambda r, q: spring(q | {"page": str(min(int(q["page"]), 1))}, ALL)),
    "the page parameter ignored": ({"kind": "page", "size": 3}, lambda r, q: {"content": ALL[:3]}),
    "the total changes": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL) | {"totalElements": 7 + int(q["page"])}),
    "hydra in circles": (
        {"kind": "hydra"},
        lambda r, q: {"hydra:member": [{"n": str(r.url)}], "hydra:view": {"hydra:next": "/rows"}},
    ),
    "hydra elsewhere": (
        {"kind": "hydra"},
        lambda r, q: {"hydra:member": ALL, "hydra:view": {"hydra:next": "https://evil.example/"}},
    ),
    "hydra short": ({"kind": "hydra"}, lambda r, q: {"hydra:member": ALL, "hydra:totalItems": 8}),
    "offset short": (
        {"kind": "offset", "items": "i", "total": "t", "size": 3},
        lambda r, q: {"i": ALL[int(q["offset"]) :][:3], "t": 9},
    ),
    "token in circles": (
        {"kind": "token", "items": "i", "token": "next", "token_parameter": "t"},
        lambda r, q: {"i": [{"ars": os.urandom(4).hex()}], "next": "a"},
    ),
    "html": ({"kind": "page"}, lambda r, q: b"<!doctype html><html>Wartung</html>"),
    "html on page two": ({"kind": "page", "size": 3}, lambda r, q: spring(q, ALL) if q["page"] == "0" else b"<html></html>"),
    "no list": ({"kind": "page"}, lambda r, q: {"error": "x"}),
    "a refusal": ({"kind": "page"}, lambda r, q: httpx.Response(403)),
}


SAYS = {
    "a row short": "7 statt 8 Zeilen",
    "a page again": "wiederholt eine frühere",
    "the page parameter ignored": "wiederholt eine frühere",
    "the total changes": "Gesamtzahl wechselte",
    "hydra in circles": "laufen im Kreis",
    "hydra elsewhere": "anderen Rechner",
    "hydra short": "7 statt 8 Zeilen",
    "offset short": "7 statt 9 Zeilen",
    "token in circles": "laufen im Kreis",
    "html": "eine HTML-Seite",
    "html on page two": "eine HTML-Seite",
    "no list": "keine Liste unter 'content'",
    "a refusal": "HTTP 403",
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_does_not_add_up_is_no_delivery(
    tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]], name: str
) -> None:
    pages, handler = BROKEN[name]
    portal(handler)
    landing = Landing(tmp_path)
    outcome = fetch(landing, {"location": URL, "pages": pages})
    assert outcome.status == "failed"
    assert outcome.problem and outcome.problem.startswith("00/x: ") and outcome.problem.endswith(".")
    assert SAYS[name] in outcome.problem
    assert outcome.problem_en and outcome.problem_en.endswith(".")
    assert landing.deliveries("00", "x") == []


def test_changes_are_asked_for_since_the_last_delivery(tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]]) -> None:
    data = ALL
    asked = portal(lambda r, q: spring(q, data if "seit" not in q else data[7:]))
    source = {"location": URL + "?fest=1", "pages": {"kind": "page", "size": 5}, "since": {"parameter": "seit"}}
    landing = Landing(tmp_path)
    assert fetch(landing, source).status == "new"
    assert "seit" not in asked[0]
    outcome = fetch(landing, source, 1, since=NOW)
    assert (outcome.status, outcome.problem) == ("unchanged", None)
    assert asked[-1] == {"fest": "1", "seit": "2026-10-31T01:00:00Z", "page": "0", "size": "5"}
    data = [*ALL, {"ars": "8", "n": 8}]
    changed = fetch(landing, source, 2, since=NOW)
    assert changed.status == "new"
    assert rows(landing, changed, source).height == 1


def test_an_empty_file_of_changes_is_unchanged(tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]]) -> None:
    portal(lambda r, q: b"ars;n\n")
    source = CSV | {"location": URL, "since": {"parameter": "seit"}}
    assert fetch(Landing(tmp_path), source, since=NOW).status == "unchanged"
    assert fetch(Landing(tmp_path), source).status == "new"  # without a date an empty answer is what the portal has


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=80)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "content",
                        "page",
                        "totalElements",
                        "totalPages",
                        "last",
                        "hydra:member",
                        "hydra:view",
                        "hydra:next",
                        "i",
                        "next",
                        "t",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    kind=st.sampled_from(list(BROKEN)),
)
def test_no_answer_raises(tmp_path_factory: pytest.TempPathFactory, body: bytes, kind: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ingest.fetch.Client",
            partial(Client, transport=httpx.MockTransport(lambda request: httpx.Response(200, content=body))),
        )
        outcome = fetch(
            Landing(tmp_path_factory.getbasetemp() / "any"),
            {"location": URL, "pages": BROKEN[kind][0]},
            limits=Limits(requests=6),
        )
    assert outcome.status in ("new", "unchanged", "failed")
    assert "unerwarteten Fehler" not in (outcome.problem or "")


# -- the sample's portals ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, Parameters())
    return folder


@pytest.fixture
def server(sample: Path) -> Iterator[SampleServer]:
    with serve(sample / "deliveries") as running:
        yield running


def fetch_packaged(
    landing: Landing, server: SampleServer, code: str, name: str, night: int = 0, **options: Any
) -> tuple[Source, FetchOutcome]:
    land = landfile.load()[code]
    source = next(source for source in land.sources if source.name == name)
    given = {"land_codes": ["06", "09"], "now": NOW + timedelta(days=night), "environ": server.environ, "limits": QUICK} | options
    return source, fetch_source(land, source, landing, **given)


def test_every_delivered_row_arrives(tmp_path: Path, sample: Path, server: SampleServer) -> None:
    landing = Landing(tmp_path)
    counts = pl.read_parquet(sample / "truth/delivery_counts.parquet")
    promised = dict(counts.group_by(pl.format("{}/{}", "land_code", "source")).agg(pl.col("rows_delivered").sum()).rows())
    for code, land in landfile.load().items():
        for source in land.sources:
            if not source.is_configured(server.environ):  # what is asked question by question has tests of its own
                continue
            _, outcome = fetch_packaged(landing, server, code, source.name)
            assert (outcome.status, outcome.problem) == ("new", None)
            arrived = [read_delivery(landing, delivery, source).collect() for delivery in outcome.deliveries]
            assert sum(frame.height for frame in arrived) == promised[f"{code}/{source.name}"]
            assert all(frame["_row"].is_unique().all() for frame in arrived)
    server.requests.clear()
    for code, land in landfile.load().items():
        for source in land.sources:
            if not source.is_configured(server.environ):
                continue
            since = NOW + timedelta(days=1) if source.since else None
            assert fetch_packaged(landing, server, code, source.name, 1, since=since)[1].status == "unchanged"
    answers = [status for method, path, status in server.requests if method == "GET" and "geaendertSeit" not in path]
    assert set(answers) == {304, 413}  # what did not change does not travel again


def test_the_export_is_paged_where_it_is_too_large(tmp_path: Path, server: SampleServer) -> None:
    landing, frames = Landing(tmp_path), []
    for night, limit in enumerate((0, 10**9, 2_000)):
        server.export_limit = limit
        server.requests.clear()
        source, outcome = fetch_packaged(landing, server, "00", "datahub", night)
        assert outcome.status == "new"
        frames.append(read_delivery(landing, outcome.deliveries[0], source).collect().drop("_row", "_delivered"))
        if limit:
            assert any(status in (200, 304) and "/export" in path for _, path, status in server.requests)
    first = frames[0].sort(pl.all())
    assert first.height > 6_000
    own = TABLES["listings"].polars_schema().names()
    assert first.columns == [name for name in own if name not in (*Delivered.column_names(), "is_signature_verified")]
    for other in frames[1:]:
        assert other.select(first.columns).sort(pl.all()).equals(first, null_equal=True)
    assert set(first["evidence"]) == {"listed", "reachable"}
    assert set(first["is_retracted"]) == {"false", "true"}


def test_listings_say_what_is_inherited(tmp_path: Path, sample: Path, server: SampleServer) -> None:
    source, outcome = fetch_packaged(Landing(tmp_path), server, "00", "datahub")
    frame = read_delivery(Landing(tmp_path), outcome.deliveries[0], source).collect().filter(pl.col("is_retracted") == "false")
    truth = pl.read_parquet(sample / "truth/listings.parquet").with_columns(pl.col("is_inherited").cast(pl.String))
    key = ["leika_key", "ars", "url", "evidence", "is_inherited", "coverage_class"]
    assert truth.join(frame, on=key, how="anti", nulls_equal=True).height == 0
    kept = set(pl.read_parquet(sample / "truth/listings.parquet")["url"])
    assert set(frame["url"]) - kept == {url for url in frame["url"] if "/widerspruch/" in url}  # what is inactive is no listing


def test_kreis_by_kreis_where_even_pages_are_refused(tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]]) -> None:
    row = {"leika_key": "99115005104000", "url": "https://a.example", "online_status": "ok"}

    def respond(request: httpx.Request, query: dict[str, str]) -> Any:
        path = request.url.path.removeprefix("/api/public/v1/dash/")
        if path == "open-ars":
            return [{"ars": ars} for ars in ("060000000000", "064000000000", "064110000000", "064350014014", "091620000000")]
        ars = path.split("/")[1]
        if ars.endswith("0" * 10):
            if query.get("includeBelow") == "true":
                return httpx.Response(413)
            return spring(query, [row | {"ars": ars}], nested=True)
        return (
            b"leika_key;ars;url;online_status;aktiv\n99115005104000;"
            + ars.encode()
            + b";https://b.example;nicht ok;ja\n1;2;3;ok;nein\n"
        )

    portal(respond)
    land, source = land_of({"table": "listings", "format": "open_pvog", "columns": {}, "location": "https://portal.example/api"})
    outcome = fetch_source(land, source, Landing(tmp_path), land_codes=["06"], now=NOW, limits=QUICK)
    assert outcome.problem is None
    frame = read_delivery(Landing(tmp_path), outcome.deliveries[0], source).collect()
    assert frame.select("ars", "evidence", "is_retracted").rows() == [
        ("060000000000", "reachable", None),
        ("064110000000", "listed", "false"),
        ("200000000000", "reachable", "true"),
        ("064350000000", "listed", "false"),
        ("200000000000", "reachable", "true"),
    ]
    assert frame["_delivered"].struct.field("aktiv").to_list() == [None, "ja", "nein", "ja", "nein"]
    assert frame["_delivered"].struct.field("online_status")[1] == "nicht ok"


def test_the_data_hub_needs_a_land(tmp_path: Path) -> None:
    land, source = land_of({"table": "listings", "format": "open_pvog", "columns": {}, "location": "https://portal.example/api"})
    outcome = fetch_source(land, source, Landing(tmp_path), now=NOW)
    assert (outcome.status, outcome.requests) == ("failed", 0)
    assert outcome.problem
    assert "kein Land" in outcome.problem


@pytest.mark.parametrize(("status", "says"), [(406, "das Format wird nicht angeboten"), (500, "gestört"), (404, "gibt es nicht")])
def test_other_refusals_of_the_data_hub(
    tmp_path: Path, portal: Callable[[Handler], list[dict[str, str]]], status: int, says: str
) -> None:
    portal(lambda r, q: httpx.Response(status))
    land, source = land_of({"table": "listings", "format": "open_pvog", "columns": {}, "location": "https://portal.example/api"})
    outcome = fetch_source(land, source, Landing(tmp_path), land_codes=["06"], now=NOW, limits=QUICK)
    assert outcome.status == "failed"
    assert outcome.problem and says in outcome.problem


@pytest.mark.parametrize("fault", ["429", "503"])
def test_a_busy_portal_is_asked_again(tmp_path: Path, server: SampleServer, fault: str) -> None:
    server.faults["/bayern/api"] = for_requests(1, fault)
    assert fetch_packaged(Landing(tmp_path), server, "09", "fallzahlen")[1].status == "new"


# half an export that says it is whole cannot be told from a whole one here: the delivery checks compare it with its predecessor
FAULTY = [
    (fault, code, name, prefix)
    for fault in ("500", "html", "truncated", "cut", "slow", "wrong_total")
    for code, name, prefix in (("09", "fallzahlen", "/bayern/api"), ("00", "datahub", "/datahub"))
    if (fault, code) != ("cut", "00")
]


@pytest.mark.parametrize(("fault", "code", "name", "prefix"), FAULTY)
def test_faults_leave_no_delivery(tmp_path: Path, server: SampleServer, fault: str, code: str, name: str, prefix: str) -> None:
    if fault == "wrong_total" and code == "00":
        server.export_limit = 0
    server.faults[prefix] = fault
    limits = Limits(wait_initial_seconds=0.001, wait_max_seconds=0.01, read_seconds=0.2, attempts=2)
    _, outcome = fetch_packaged(Landing(tmp_path), server, code, name, limits=limits)
    assert outcome.status == "failed", outcome
    assert outcome.problem and outcome.problem.startswith(f"{code}/{name}: ")
    assert Landing(tmp_path).deliveries(code, name) == []


def test_an_html_page_in_place_of_a_workbook_is_landed_and_explained(tmp_path: Path, server: SampleServer) -> None:
    server.faults["/hessen"] = "html"
    source, outcome = fetch_packaged(Landing(tmp_path), server, "06", "anbindungen")
    with pytest.raises(UnreadableDelivery, match="HTML page"):
        read_delivery(Landing(tmp_path), outcome.deliveries[0], source)


def test_tokens_that_expire_during_a_fetch_are_renewed(tmp_path: Path, server: SampleServer) -> None:
    def revoke(path: str, answer: Any) -> Any:
        server.expire_tokens()
        return answer

    server.faults["/bayern/api"] = for_requests(3, revoke)
    assert fetch_packaged(Landing(tmp_path), server, "09", "verbindungen")[1].status == "new"
    assert sum(method == "POST" for method, _, _ in server.requests) > 1


def test_wrong_credentials_are_a_sentence_without_them(tmp_path: Path, server: SampleServer) -> None:
    environ = server.environ | {"ROLLIN_BY_CLIENT_SECRET": "hunter2-wrong", "ROLLIN_HE_PASSWORD": "hunter2-wrong"}
    for code, name in (("09", "fallzahlen"), ("06", "anbindungen")):
        _, outcome = fetch_packaged(Landing(tmp_path), server, code, name, environ=environ)
        assert outcome.status == "failed"
        assert outcome.problem and "401" in outcome.problem and "hunter2" not in outcome.problem + str(outcome.problem_en)
