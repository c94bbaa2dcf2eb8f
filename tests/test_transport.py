"""Transport: retries, bounds, authentication and conditional requests, against a portal that misbehaves on purpose."""

from __future__ import annotations

import base64
import gzip
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.landfile import ApiKeyAuth, Auth, BasicAuth, BearerAuth, NoAuth, OAuth2Auth
from ingest.landing import Delivery, Landing
from ingest.transport import RETRY_STATUS, Client, Limits, TransportError

URL = "https://portal.example/data"
QUICK = Limits(wait_initial_seconds=0.001, wait_max_seconds=0.02, response_bytes=100_000, total_bytes=150_000, requests=50)
SECRET = "hunter2-secret"


class Script:
    """A portal that answers by a list, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]):
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def client(
    tmp_path: Path, script: Callable[[httpx.Request], httpx.Response], auth: Auth | None = None, **options: object
) -> Client:
    options = {"limits": QUICK} | options
    return Client(Landing(tmp_path), auth or NoAuth(), transport=httpx.MockTransport(script), **options)  # type: ignore[arg-type]


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, content=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_an_answer_lands_as_it_came(tmp_path: Path) -> None:
    script = Script(answer(200, b"\x00caf\xe9", etag='"1"', last_modified="yesterday", content_type="text/csv"))
    with client(tmp_path, script) as http:
        part = http.get(f"{URL}/a%20b.csv?x=1", "text/csv", {"page": 2})
        assert http.landing.path(part).read_bytes() == b"\x00caf\xe9"
        assert (http.requests, http.bytes) == (1, 5)
    assert (part.status, part.etag, part.last_modified, part.content_type, part.name) == (
        200,
        '"1"',
        "yesterday",
        "text/csv",
        "a b.csv",
    )
    assert part.address == f"{URL}/a%20b.csv?x=1&page=2"
    asked = script.asked[0]
    assert asked.headers["accept"] == "text/csv"
    assert asked.headers["user-agent"].startswith("rollin/")


def test_compressed_answers_are_landed_unpacked(tmp_path: Path) -> None:
    with client(tmp_path, Script(answer(200, gzip.compress(b"a;b"), content_encoding="gzip"))) as http:
        assert http.landing.path(http.get(URL, "*/*")).read_bytes() == b"a;b"


@pytest.mark.parametrize("status", RETRY_STATUS)
def test_transient_answers_are_retried(tmp_path: Path, status: int) -> None:
    script = Script(answer(status), answer(status), answer(200, b"x"))
    with client(tmp_path, script) as http:
        http.get(URL, "*/*")
    assert len(script.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 410, 413, 418, 500, 501])
def test_other_refusals_are_final(tmp_path: Path, status: int) -> None:
    script = Script(answer(status, b"no"))
    with client(tmp_path, script) as http, pytest.raises(TransportError) as caught:
        http.get(URL, "*/*")
    assert len(script.asked) == 1
    assert caught.value.status == status
    assert f"HTTP {status}" in caught.value.sentence_de and f"HTTP {status}" in caught.value.sentence_en


def test_time_outs_are_retried_and_end(tmp_path: Path) -> None:
    script = Script(httpx.ReadTimeout("slow"))
    with client(tmp_path, script) as http, pytest.raises(TransportError, match="does not answer in time"):
        http.get(URL, "*/*")
    assert len(script.asked) == QUICK.attempts


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.RemoteProtocolError("x"), httpx.UnsupportedProtocol("x")])
def test_broken_connections_are_one_sentence(tmp_path: Path, error: Exception) -> None:
    script = Script(error)
    with client(tmp_path, script) as http, pytest.raises(TransportError) as caught:
        http.get(URL, "*/*")
    assert len(script.asked) == 1
    assert caught.value.sentence_de.count(":") >= 1 and caught.value.sentence_de.endswith(".")


@pytest.mark.parametrize(
    ("header", "value", "at_least", "attempts"),
    [
        ("retry-after", "0", 0.0, 2),
        ("retry-after", "1", 1.0, 2),
        ("ratelimit-reset", "1", 1.0, 2),
        ("retry-after", "9999", 0.0, 1),
        ("ratelimit-reset", "9999", 0.0, 1),
        ("ratelimit-reset", "Fri, 01 Jan 2100 00:00:00 GMT", 0.0, 1),
        ("retry-after", "nonsense", 0.0, 2),
        ("retry-after", "-5", 0.0, 2),
    ],
)
def test_the_portal_says_when_to_come_back(tmp_path: Path, header: str, value: str, at_least: float, attempts: int) -> None:
    script = Script(lambda _: httpx.Response(429, headers={header: value}), answer(200))
    limits = Limits(wait_initial_seconds=0.001, wait_max_seconds=5)
    started = time.monotonic()
    with client(tmp_path, script, limits=limits) as http:
        if attempts == 1:
            with pytest.raises(TransportError, match="429"):
                http.get(URL, "*/*")
        else:
            http.get(URL, "*/*")
    assert len(script.asked) == attempts
    assert time.monotonic() - started >= at_least


@pytest.mark.parametrize("header", ["retry_after", "ratelimit_reset"])
def test_a_date_in_the_past_means_now(tmp_path: Path, header: str) -> None:
    script = Script(answer(503, **{header: format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)}), answer(200))
    with client(tmp_path, script) as http:
        http.get(URL, "*/*")
    assert len(script.asked) == 2


@settings(max_examples=60, deadline=None)
@given(value=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_arbitrary_retry_after_never_crashes(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    script = Script(lambda _: httpx.Response(503, headers={"retry-after": value}))
    limits = Limits(wait_initial_seconds=0.0, wait_max_seconds=0.0, attempts=2)
    with client(tmp_path_factory.getbasetemp() / "r", script, limits=limits) as http, pytest.raises(TransportError):
        http.get(URL, "*/*")


def test_too_much_is_stopped_on_the_way(tmp_path: Path) -> None:
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    with (
        client(tmp_path, lambda _: httpx.Response(200, content=endless())) as http,
        pytest.raises(TransportError, match="more than 100,000"),
    ):
        http.get(URL, "*/*")
    assert sent < 30
    assert not [path for path in (tmp_path / "landing").rglob("*") if path.is_file()]


def test_a_small_answer_that_unpacks_without_end_is_stopped(tmp_path: Path) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    with (
        client(tmp_path, Script(answer(200, bomb, content_encoding="gzip"))) as http,
        pytest.raises(TransportError, match="more than"),
    ):
        http.get(URL, "*/*")


def test_bytes_and_requests_of_a_fetch_are_bounded(tmp_path: Path) -> None:
    with client(tmp_path, Script(answer(200, b"x" * 90_000))) as http:
        http.get(URL, "*/*")
        with pytest.raises(TransportError, match="more than 60,000 bytes"):
            http.get(URL, "*/*")
    with client(tmp_path, Script(answer(200))) as http:
        for _ in range(QUICK.requests):
            http.get(URL, "*/*")
        with pytest.raises(TransportError, match="requests"):
            http.get(URL, "*/*")


def test_a_trickle_ends_at_the_time_limit(tmp_path: Path) -> None:
    def trickle():
        while True:
            time.sleep(0.02)
            yield b"x" * 65_536

    limits = Limits(request_seconds=0.1)
    script = lambda _: httpx.Response(200, content=trickle())  # noqa: E731
    with client(tmp_path, script, limits=limits) as http, pytest.raises(TransportError, match="time allowed"):
        http.get(URL, "*/*")


@pytest.mark.parametrize("target", ["/elsewhere", "https://portal.example/elsewhere"])
def test_redirects_on_the_same_host_are_followed(tmp_path: Path, target: str) -> None:
    script = Script(answer(302, location=target), answer(200, b"x"))
    with client(tmp_path, script) as http:
        assert http.get(URL, "*/*").address == URL
    assert str(script.asked[1].url) == "https://portal.example/elsewhere"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "http://portal.example/",
        "https://portal.example:444/",
        "https://portal.example@evil.example/",
        "//evil.example",
    ],
)
def test_redirects_elsewhere_are_refused(tmp_path: Path, target: str) -> None:
    script = Script(answer(302, location=target), answer(200, b"x"))
    auth = BearerAuth(kind="bearer", token=SECRET)  # type: ignore[arg-type]
    with client(tmp_path, script, auth) as http, pytest.raises(TransportError, match="redirects elsewhere"):
        http.get(URL, "*/*")
    assert len(script.asked) == 1


def test_redirects_in_circles_end(tmp_path: Path) -> None:
    with client(tmp_path, Script(answer(302, location=URL))) as http, pytest.raises(TransportError, match="circles"):
        http.get(URL, "*/*")


# -- conditional requests ---------------------------------------------------------------------------------------------------


def newest(landing: Landing, http: Client) -> Delivery:
    return landing.store(
        land_code="09",
        source="x",
        table="usage",
        format="csv",
        delivered_at=datetime(2026, 1, 1, tzinfo=UTC),
        parts=[http.get(URL, "*/*")],
    )


def test_what_has_not_changed_is_reused(tmp_path: Path) -> None:
    script = Script(answer(200, b"body", etag='"1"', last_modified="Thu, 01 Jan 2026 00:00:00 GMT"), answer(304))
    with client(tmp_path, script) as http:
        delivery = newest(http.landing, http)
    with client(tmp_path, script, newest=delivery) as http:
        assert http.get(URL, "*/*") == delivery.parts[0]
    assert script.asked[1].headers["if-none-match"] == '"1"'
    assert script.asked[1].headers["if-modified-since"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_a_lost_object_is_fetched_again(tmp_path: Path) -> None:
    script = Script(answer(200, b"body", etag='"1"'))
    with client(tmp_path, script) as http:
        delivery = newest(http.landing, http)
    Landing(tmp_path).path(delivery.parts[0]).unlink()
    with client(tmp_path, script, newest=delivery) as http:
        http.get(URL, "*/*")
        assert http.landing.verify(delivery.parts[0])
    assert "if-none-match" not in script.asked[1].headers


def test_an_unasked_304_is_an_error(tmp_path: Path) -> None:
    with client(tmp_path, Script(answer(304))) as http, pytest.raises(TransportError, match="304"):
        http.get(URL, "*/*")


# -- authentication ---------------------------------------------------------------------------------------------------------

OAUTH = OAuth2Auth(
    kind="oauth2", token_url="https://login.example/token", client_id="rollin", client_secret=SECRET, scope="lesen"
)  # type: ignore[arg-type]


class Portal:
    """A portal behind OAuth2: every token is good for ``uses`` requests."""

    def __init__(self, expires_in: object = 3600, uses: int = 100):
        self.expires_in, self.uses = expires_in, uses
        self.tokens: dict[str, int] = {}
        self.token_requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.token_requests.append(request)
            token = f"token-{len(self.tokens)}"
            self.tokens[token] = self.uses
            return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in})
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) <= 0:
            return httpx.Response(401)
        self.tokens[token] -= 1
        return httpx.Response(200, content=b"rows")


def test_one_token_serves_many_requests(tmp_path: Path) -> None:
    portal = Portal()
    with client(tmp_path, portal, OAUTH) as http:
        for _ in range(3):
            http.get(URL, "*/*")
    assert len(portal.token_requests) == 1
    request = portal.token_requests[0]
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"rollin:{SECRET}".encode()).decode()
    assert request.content == b"grant_type=client_credentials&scope=lesen"


def test_an_expired_token_is_renewed(tmp_path: Path) -> None:
    portal = Portal(expires_in=0.05)
    with client(tmp_path, portal, OAUTH) as http:
        http.get(URL, "*/*")
        time.sleep(0.06)
        http.get(URL, "*/*")
    assert len(portal.token_requests) == 2


def test_a_revoked_token_is_renewed_once(tmp_path: Path) -> None:
    portal = Portal(uses=1)
    with client(tmp_path, portal, OAUTH) as http:
        http.get(URL, "*/*")
        http.get(URL, "*/*")
        assert len(portal.token_requests) == 2
        portal.uses = 0
        with pytest.raises(TransportError, match="credentials are refused"):
            http.get(URL, "*/*")
    assert len(portal.token_requests) == 3


@pytest.mark.parametrize(
    "token_answer",
    [
        answer(401, b'{"error":"invalid_client"}'),
        answer(302, location="https://evil.example/"),
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, b'{"access_token": 7}'),
        answer(200, b'{"access_token": "a\\r\\nX-Evil: 1"}'),
        answer(200, b'{"access_token": "t", "expires_in": "soon"}'),
        answer(200, b"x" * 200_000),
        answer(500, SECRET.encode()),
    ],
)
def test_what_a_token_endpoint_can_do_wrong(tmp_path: Path, token_answer: Callable[[httpx.Request], httpx.Response]) -> None:
    script = Script(token_answer)
    with client(tmp_path, script, OAUTH) as http, pytest.raises(TransportError) as caught:
        http.get(URL, "*/*")
    assert len(script.asked) == 1
    assert "login.example" in caught.value.sentence_de and SECRET not in str(caught.value) + caught.value.sentence_de


def test_a_busy_token_endpoint_is_retried(tmp_path: Path) -> None:
    portal, first = Portal(), [answer(503)]
    with client(tmp_path, lambda request: first.pop()(request) if first else portal(request), OAUTH) as http:
        http.get(URL, "*/*")


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (
            BasicAuth(kind="basic", user="u", password=SECRET),
            "authorization",
            "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode(),
        ),  # type: ignore[arg-type]
        (ApiKeyAuth(kind="api_key", header="X-Api-Key", key=SECRET), "x-api-key", SECRET),  # type: ignore[arg-type]
        (BearerAuth(kind="bearer", token=SECRET), "authorization", f"Bearer {SECRET}"),  # type: ignore[arg-type]
    ],
)
def test_other_kinds(tmp_path: Path, auth: Auth, header: str, value: str) -> None:
    script = Script(answer(200))
    with client(tmp_path, script, auth) as http:
        http.get(URL, "*/*")
    assert script.asked[0].headers[header] == value


def test_no_secret_is_written_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.INFO)
    script = Script(answer(503), answer(200, b"x"), httpx.ConnectError(f"cannot reach {SECRET}"))
    auth = ApiKeyAuth(kind="api_key", header="X-Key", key=SECRET)  # type: ignore[arg-type]
    with client(tmp_path, script, auth) as http:
        part = http.get(f"{URL}?api_key={SECRET}", "*/*")
        delivery = http.landing.store(
            land_code="09", source="x", table="usage", format="csv", delivered_at=datetime(2026, 1, 1, tzinfo=UTC), parts=[part]
        )
        with pytest.raises(TransportError) as caught:
            http.get(f"{URL}?api_key={SECRET}", "*/*")
    assert f"api_key={SECRET}" in str(script.asked[0].url)
    sidecar = (tmp_path / "landing/09/x" / f"{delivery.delivery_id}.json").read_text()
    out = capfd.readouterr()
    for text in (
        sidecar,
        caplog.text,
        out.out,
        out.err,
        str(caught.value),
        caught.value.sentence_de,
        repr(auth),
        repr(http.__dict__),
    ):
        assert SECRET not in text
