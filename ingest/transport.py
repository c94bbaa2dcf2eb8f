"""Transport: one polite, bounded, authenticated HTTP client per fetch, whose answers go straight to landing.

Belongs here: time-outs, retries, size limits, redirects, authentication, conditional requests, and the sentences that say what
went wrong. Does not: which addresses a portal has and how its pages hang together (``ingest.portals``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx
import stamina

from ingest.landfile import ApiKeyAuth, Auth, BasicAuth, BearerAuth, OAuth2Auth, address_problem
from ingest.landing import Delivery, Landing, Part, public_address

#: Answers that are worth another attempt; anything else would only be refused again.
RETRY_STATUS = (429, 502, 503, 504)
_TOKEN_BYTES = 65_536
_MAX_REDIRECTS = 5

# they write addresses with their query and headers to the log: these may hold what nobody else should read
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Limits:
    """Bounds of one fetch. Seconds, bytes (decoded), counts."""

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    request_seconds: float = 900.0
    total_seconds: float = 3600.0
    response_bytes: int = 512 * 1024**2
    total_bytes: int = 2 * 1024**3
    attempts: int = 4
    wait_initial_seconds: float = 1.0
    wait_max_seconds: float = 60.0
    requests: int = 5_000
    requests_per_second: float | None = None


class TransportError(Exception):
    """A request that brought nothing usable: one German and one English sentence with the remedy; ``status`` where there was one."""

    def __init__(self, sentence_de: str, sentence_en: str, status: int | None = None, retry_after: float | None = None):
        self.sentence_de, self.sentence_en = sentence_de, sentence_en
        self.status, self.retry_after = status, retry_after
        self.is_transient = status in RETRY_STATUS
        super().__init__(sentence_en)


class OAuth2ClientCredentials(httpx.Auth):
    """OAuth2 client credentials (RFC 6749 §4.4), the client authenticating by HTTP Basic, its parts form-encoded (§2.3.1).

    The token is kept until shortly before it expires and renewed once when the portal answers 401.
    """

    def __init__(self, settings: OAuth2Auth, http: httpx.Client):
        self._settings = settings
        self._http = http
        self._token: str | None = None
        self._expires_at = 0.0
        self._is_fresh = False

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token, fetching one first where none is valid."""
        self._is_fresh = self._token is None or time.monotonic() >= self._expires_at
        if self._is_fresh:
            self._renew()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def forget(self) -> bool:
        """Drop the token that was just refused; False where it was fetched for that very request, so another would not help."""
        self._token = None
        return not self._is_fresh

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials"}
        if self._settings.scope:
            form["scope"] = self._settings.scope
        pair = (self._settings.client_id, self._settings.client_secret.get_secret_value())
        # a request of its own: as a step of the flow httpx would read the whole answer, however long it is
        with self._http.stream(
            "POST",
            self._settings.token_url,
            data=form,
            headers={"Accept": "application/json"},
            auth=httpx.BasicAuth(*(quote(value, safe="") for value in pair)),
        ) as response:
            self._accept(response)

    def _accept(self, response: httpx.Response) -> None:
        self._token = None
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _TOKEN_BYTES:
                break
        address = public_address(self._settings.token_url)
        if response.status_code in RETRY_STATUS:
            raise _status_error(address, response)
        if response.status_code != 200:
            raise TransportError(
                f"Die Anmeldestelle {address} lehnt ab (HTTP {response.status_code}): client_id und client_secret prüfen.",
                f"The token endpoint {address} refuses (HTTP {response.status_code}): check client_id and client_secret.",
                response.status_code,
            )
        try:
            document = json.loads(bytes(body))
            token, lifetime = document["access_token"], float(document.get("expires_in") or 300)
            httpx.Headers({"Authorization": f"Bearer {token}"})
            if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise TransportError(
                f"Die Anmeldestelle {address} liefert kein Zugriffstoken: token_url prüfen.",
                f"The token endpoint {address} delivers no access token: check token_url.",
            ) from None
        self._token = token
        self._expires_at = time.monotonic() + max(lifetime - 30.0, lifetime / 2)


class _HeaderAuth(httpx.Auth):
    def __init__(self, header: str, value: str):
        self._header, self._value = header, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = self._value
        yield request


def _version() -> str:
    try:
        return metadata.version("rollin")
    except metadata.PackageNotFoundError:
        return "0"


USER_AGENT = f"rollin/{_version()} (analytics warehouse for the roll-out of digital public services)"


def http_auth(auth: Auth, http: httpx.Client) -> httpx.Auth | None:
    """The httpx authentication for resolved settings of a Land file; ``http`` fetches its tokens."""
    if isinstance(auth, BasicAuth):
        return httpx.BasicAuth(auth.user, auth.password.get_secret_value())
    if isinstance(auth, ApiKeyAuth):
        return _HeaderAuth(auth.header, auth.key.get_secret_value())
    if isinstance(auth, BearerAuth):
        return _HeaderAuth("Authorization", f"Bearer {auth.token.get_secret_value()}")
    if isinstance(auth, OAuth2Auth):
        return OAuth2ClientCredentials(auth, http)
    return None


class Client:
    """Gets addresses into landing. One per fetch, used as a context manager, from one thread.

    ``newest`` is the delivery landed last: what it holds of an address is asked for conditionally, and reused on 304.
    ``head_bytes``: read no more than the beginning of an answer; it is landed cut.
    ``requests`` and ``bytes`` count what was sent and received (decoded).
    """

    def __init__(
        self,
        landing: Landing,
        auth: Auth,
        *,
        newest: Delivery | None = None,
        limits: Limits | None = None,
        transport: httpx.BaseTransport | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        head_bytes: int | None = None,
    ):
        self.landing = landing
        self.limits = limits or Limits()
        self.requests = 0
        self.bytes = 0
        self._known = {part.address: part for part in newest.parts} if newest else {}
        self._on_progress = on_progress
        self._head_bytes = head_bytes
        self._deadline = time.monotonic() + self.limits.total_seconds
        self._next_at = 0.0
        self._sockets: list[socket.socket] = []
        self._watchdog = threading.Timer(self.limits.total_seconds, self._hang_up)
        self._watchdog.daemon = True
        self._http = httpx.Client(
            timeout=httpx.Timeout(self.limits.read_seconds, connect=self.limits.connect_seconds),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
            follow_redirects=False,
            trust_env=True,
            transport=transport,
            event_hooks={"request": [lambda request: request.extensions.update(trace=self._trace)]},
        )
        self._auth = http_auth(auth, self._http)
        if self._auth:
            self._http.auth = self._auth

    def __enter__(self) -> Self:
        self._watchdog.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watchdog.cancel()
        self._http.close()

    def get(
        self, address: str, accept: str, params: Mapping[str, str | int] | None = None, *, empty_status: int | None = None
    ) -> Part:
        """GET an address with query parameters added to its own, and land the answer.

        ``empty_status``: a status (404) with which this portal says that it found nothing; that is an answer, not a failure.
        Retries what is worth it, honouring ``Retry-After`` and ``RateLimit-Reset`` up to ``limits.wait_max_seconds``.
        Raises TransportError for everything the other side can do wrong, LandingError for a disk that refuses.
        """
        with _one_sentence(public_address(address)):
            url = httpx.URL(address)
            if params:
                url = url.copy_merge_params({name: str(value) for name, value in params.items()})
        shown = public_address(str(url))
        for attempt in stamina.retry_context(
            on=self._backoff,
            attempts=self.limits.attempts,
            timeout=max(0.0, self._deadline - time.monotonic()),
            wait_initial=self.limits.wait_initial_seconds,
            wait_max=self.limits.wait_max_seconds,
            wait_jitter=self.limits.wait_initial_seconds,
        ):
            with attempt, _one_sentence(shown):
                try:
                    return self._get_once(url, shown, accept, empty_status)
                except httpx.TransportError:
                    if time.monotonic() >= self._deadline:  # then it was us who hung up
                        raise _too_slow(shown) from None
                    raise
        raise AssertionError("retry_context ends by returning or raising")

    def _keep_pace(self) -> None:
        """Wait until the next request may begin, never beyond the end of the fetch."""
        if self.limits.requests_per_second is not None:
            present = time.monotonic()
            time.sleep(max(0.0, min(self._next_at, self._deadline) - present))
            self._next_at = max(present, self._next_at) + 1 / self.limits.requests_per_second

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the sockets of this fetch."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _hang_up(self) -> None:
        """End whatever is still going on: time-outs begin anew with every byte, so somebody who sends one a minute holds a reader for ever."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _backoff(self, error: Exception) -> bool | float:
        """Whether, and after how many seconds, to try again."""
        if not isinstance(error, TransportError) or not error.is_transient:
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self.limits.wait_max_seconds else False

    def _get_once(self, url: httpx.URL, shown: str, accept: str, empty_status: int | None) -> Part:
        known = self._known.get(shown)
        headers = {"Accept": accept}
        if known and (known.etag or known.last_modified) and self.landing.verify(known):
            if known.etag:
                headers["If-None-Match"] = known.etag
            if known.last_modified:
                headers["If-Modified-Since"] = known.last_modified
        else:
            known = None
        started = time.monotonic()
        for _ in range(_MAX_REDIRECTS + 1):
            self._count(0)
            self._keep_pace()
            if time.monotonic() >= self._deadline:
                raise _too_slow(shown)
            with self._http.stream("GET", url, headers=headers) as response:
                if response.has_redirect_location:
                    url = _same_host(url, response, shown)
                    continue
                if response.status_code == 401 and isinstance(self._auth, OAuth2ClientCredentials) and self._auth.forget():
                    continue
                if response.status_code == 304 and known:
                    return known
                if response.status_code not in (200, 204, empty_status):
                    raise _status_error(shown, response)
                return self._receive(response, shown, min(started + self.limits.request_seconds, self._deadline))
        raise TransportError(
            f"{shown} leitet im Kreis weiter: Adresse im Land-File prüfen.",
            f"{shown} redirects in circles: check the address in the Land file.",
        )

    def _receive(self, response: httpx.Response, shown: str, deadline: float) -> Part:
        allowed = min(self.limits.response_bytes, self.limits.total_bytes - self.bytes)
        promised = response.headers.get("content-length", "")
        is_head = self._head_bytes is not None
        if not is_head and promised.isascii() and promised.isdigit() and (len(promised) > 18 or int(promised) > allowed):
            raise _too_large(shown, allowed)
        response.stream = _Timed(response.stream, shown, deadline)
        with self.landing.incoming() as incoming:
            # as it comes: pieces of a fixed size would be waited for, and a slow answer never measured
            for chunk in response.iter_bytes():
                if self._head_bytes is not None and incoming.bytes + len(chunk) > self._head_bytes:
                    incoming.write(chunk[: self._head_bytes - incoming.bytes])
                    break
                incoming.write(chunk)
                self._count(len(chunk), is_request=False)
                if incoming.bytes > allowed:
                    raise _too_large(shown, allowed)
            sha256 = incoming.commit()
            size = incoming.bytes
        return Part(
            address=shown,
            sha256=sha256,
            bytes=size,
            status=response.status_code,
            etag=_header(response, "etag"),
            last_modified=_header(response, "last-modified"),
            content_type=_header(response, "content-type"),
            name=unquote(PurePosixPath(urlsplit(shown).path).name)[:200] or "answer",
        )

    def _count(self, received: int, *, is_request: bool = True) -> None:
        if is_request:
            self.requests += 1
            if self.requests > self.limits.requests:
                raise TransportError(
                    f"Mehr als {self.limits.requests:,} Anfragen für eine Quelle: größere Seiten im Land-File angeben.",
                    f"More than {self.limits.requests:,} requests for one source: state larger pages in the Land file.",
                )
        self.bytes += received
        if self._on_progress:
            self._on_progress(self.requests, self.bytes)


class _Timed(httpx.SyncByteStream):
    """The bytes of an answer, until a moment of the monotonic clock; also those that decompress to nothing count."""

    def __init__(self, stream: Any, shown: str, deadline: float):
        self._stream, self._shown, self._deadline = stream, shown, deadline

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if time.monotonic() > self._deadline:
                raise _too_slow(self._shown)
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _too_slow(shown: str) -> TransportError:
    return TransportError(
        f"{shown} ist nach der erlaubten Zeit noch nicht fertig: Umfang verkleinern oder den Betreiber fragen.",
        f"{shown} is not done within the time allowed: narrow the delivery or ask the operator.",
    )


def _too_large(shown: str, allowed: int) -> TransportError:
    return TransportError(
        f"{shown} liefert mehr als {allowed:,} Bytes: Umfang der Lieferung verkleinern oder in Seiten abrufen.",
        f"{shown} delivers more than {allowed:,} bytes: narrow the delivery or fetch it in pages.",
    )


def _header(response: httpx.Response, name: str) -> str | None:
    value = response.headers.get(name)
    return value[:500] if value else None


def _same_host(url: httpx.URL, response: httpx.Response, shown: str) -> httpx.URL:
    """Where a redirect leads, if it stays on the host (an upgrade to https is welcome)."""
    try:
        target = url.join(response.headers["location"])
    except (httpx.InvalidURL, UnicodeError):
        target = httpx.URL("invalid:")
    stays = target.host == url.host and (
        (target.scheme, target.port) == (url.scheme, url.port) or (target.scheme == "https" and url.scheme == "http")
    )
    if not stays or address_problem(str(target)):
        raise TransportError(
            f"{shown} leitet an eine andere Stelle ({target.host or 'ohne Namen'}) weiter: neue Adresse prüfen und im Land-File eintragen.",
            f"{shown} redirects elsewhere ({target.host or 'nameless'}): check the new address and enter it in the Land file.",
            response.status_code,
        )
    return target


def _wait_seconds(response: httpx.Response) -> float | None:
    """What ``Retry-After`` (RFC 9110 §10.2.3) or else ``RateLimit-Reset`` asks for, both as seconds or as a date."""
    for name in ("retry-after", "ratelimit-reset"):
        value = response.headers.get(name, "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        if value:
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                instant = parsedate_to_datetime(value)
                instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
                return max(0.0, (instant - datetime.now(UTC)).total_seconds())
    return None


_STATUS_ADVICE = {
    401: (
        "die Zugangsdaten werden abgelehnt: Umgebungsvariablen der Quelle prüfen",
        "the credentials are refused: check the source's environment variables",
    ),
    403: (
        "der Zugang ist nicht erlaubt: Berechtigung beim Betreiber klären",
        "access is not allowed: settle the permission with the operator",
    ),
    404: (
        "die Adresse gibt es nicht: 'location' im Land-File prüfen",
        "there is no such address: check 'location' in the Land file",
    ),
    406: (
        "das Format wird nicht angeboten: Format im Land-File prüfen, die Schnittstelle hat sich geändert",
        "the format is not offered: check the format in the Land file, the interface has changed",
    ),
    410: (
        "die Adresse ist abgeschaltet: 'location' im Land-File ersetzen",
        "the address is switched off: replace 'location' in the Land file",
    ),
    413: ("die Antwort wäre zu groß: in Seiten abrufen", "the answer would be too large: fetch it in pages"),
    429: ("zu viele Anfragen: später erneut versuchen", "too many requests: try again later"),
}


def _status_error(shown: str, response: httpx.Response) -> TransportError:
    status = response.status_code
    de, en = _STATUS_ADVICE.get(
        status,
        ("die Gegenstelle ist gestört: später erneut versuchen", "the other side is out of order: try again later")
        if status >= 500
        else (
            "das war nicht zu erwarten: Adresse und Parameter im Land-File prüfen",
            "that was not to be expected: check address and parameters in the Land file",
        ),
    )
    return TransportError(
        f"{shown} antwortet mit HTTP {status}, {de}.", f"{shown} answers HTTP {status}, {en}.", status, _wait_seconds(response)
    )


@contextlib.contextmanager
def _one_sentence(shown: str) -> Iterator[None]:
    """Turns what httpx raises into a TransportError; texts of httpx are left out, they may quote addresses with secrets."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
        raise _in_words(error, shown) from None


def _in_words(error: Exception, shown: str) -> TransportError:
    if isinstance(error, httpx.TimeoutException):
        result = TransportError(
            f"{shown} antwortet nicht rechtzeitig: Erreichbarkeit prüfen oder später erneut versuchen.",
            f"{shown} does not answer in time: check that it is up, or try again later.",
        )
        result.is_transient = True
        return result
    if isinstance(error, httpx.DecodingError):
        return TransportError(
            f"Die Antwort von {shown} ist beschädigt (Komprimierung): später erneut versuchen oder den Betreiber fragen.",
            f"The answer of {shown} is damaged (compression): try again later or ask the operator.",
        )
    if isinstance(error, httpx.ConnectError):
        return TransportError(
            f"{shown} ist nicht erreichbar: Adresse, Netz und Zertifikat prüfen.",
            f"{shown} cannot be reached: check address, network and certificate.",
        )
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return TransportError(
            f"Die Verbindung zu {shown} brach ab: später erneut versuchen.",
            f"The connection to {shown} broke off: try again later.",
        )
    return TransportError(
        f"Die Anfrage an {shown} ist nicht möglich ({type(error).__name__}): Adresse im Land-File prüfen.",
        f"The request to {shown} is not possible ({type(error).__name__}): check the address in the Land file.",
    )
