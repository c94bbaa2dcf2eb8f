"""A loopback server that speaks the portals' formats over the files of a written sample.

Belongs here: the portals' manners (OAuth2, pages, ETags, 406, 413) and faults to inject. Does not: what the rows say.

It serves whatever lies in the deliveries folder at the moment of the request, so a test can change the world between two nights.
Every answer carries ``Rollin-Synthetic: true``. Formats: ``reference/portals.md`` and the packaged Land files.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import xlsxwriter

from ingest.landfile import OFF
from ingest.sample import federal, nrw

CLIENT_ID, CLIENT_SECRET = "sample-client", "sample-secret"
USER, PASSWORD = "sample-user", "sample-password"

_JSON = "application/json"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Answer:
    """What goes back. ``promised``: the Content-Length, where it is not that of ``body``; ``pause``: seconds between pieces;
    ``is_endless``: the body is sent again and again until the other side hangs up."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    pause: float = 0
    is_endless: bool = False


#: A fault changes an answer, or makes one up; it is given the request's path with its query.
Fault = Callable[[str, Answer], Answer]


def _html(path: str, answer: Answer) -> Answer:
    page = b"<!DOCTYPE html><html><head><title>Wartung</title></head><body>Wegen Wartungsarbeiten nicht erreichbar.</body></html>"
    return Answer(200, page, {"Content-Type": "text/html; charset=utf-8"})


_TOTAL = re.compile(rb'"(totalElements|hydra:totalItems|totalItems|totalCount|totalHits)":\s*(\d+)')

#: Faults by name, for ``SampleServer.faults``. ``wrong_total`` knows the totals of all portals, at the top or nested.
FAULTS: dict[str, Fault] = {
    "429": lambda path, answer: Answer(429, b'{"title":"Too Many Requests"}', {"Retry-After": "1", "Content-Type": _JSON}),
    "429_reset": lambda path, answer: Answer(
        429,
        b'{"title":"Too Many Requests"}',
        {"RateLimit-Limit": "60", "RateLimit-Remaining": "0", "RateLimit-Reset": "1", "Content-Type": _JSON},
    ),
    "503": lambda path, answer: Answer(503, b"", {"Retry-After": "1"}),
    "500": lambda path, answer: Answer(500, b"Internal Server Error", {"Content-Type": "text/plain"}),
    "html": _html,
    "truncated": lambda path, answer: replace(answer, body=answer.body[: len(answer.body) // 2], promised=len(answer.body)),
    "cut": lambda path, answer: replace(answer, body=answer.body[: len(answer.body) // 2]),  # short, and says so
    "slow": lambda path, answer: replace(answer, pause=1.0),
    "endless": lambda path, answer: replace(answer, is_endless=True),
    "oversized": lambda path, answer: replace(answer, body=answer.body.ljust(8 * 1024**2), promised=8 * 1024**2),
    "redirect": lambda path, answer: Answer(302, b"", {"Location": "https://elsewhere.example/login"}),
    "wrong_total": lambda path, answer: replace(
        answer, body=_TOTAL.sub(lambda m: b'"%b":%d' % (m[1], int(m[2]) + 7), answer.body)
    ),
}


def repeating() -> Fault:
    """A fault for one fetch: whatever is asked of a path, also with other parameters, its first answer comes again."""
    first: dict[str, Answer] = {}
    return lambda path, answer: first.setdefault(urlsplit(path).path, answer)


def for_requests(count: int, fault: str | Fault) -> Fault:
    """A fault for the next ``count`` requests only; afterwards all is well."""
    chosen, left, lock = FAULTS[fault] if isinstance(fault, str) else fault, [count], threading.Lock()

    def change(path: str, answer: Answer) -> Answer:
        with lock:
            left[0] -= 1
            return chosen(path, answer) if left[0] >= 0 else answer

    return change


class _Http(ThreadingHTTPServer):
    """Every request in a thread of its own. A client that hangs up in the middle is no error of ours."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless the other side closed the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class SampleServer:
    """A running server.

    ``environ``: what the packaged Land files need; ``questioned``: what the catalogues need besides that answer question by question.
    ``federal``: those catalogues.
    ``faults``: path prefix -> a name of ``FAULTS`` or a function; the first prefix that matches counts.
    ``requests``: (method, path with query, status) of all requests so far.
    ``export_limit``: rows above which the catalogue's export answers 413.
    ``token_seconds``: life of an access token.
    ``nested_totals``: path prefix -> whether totals stand under "page" (Spring's newer envelope) or at the top.
    """

    def __init__(self, deliveries: Path):
        self.deliveries = deliveries
        self.faults: dict[str, str | Fault] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.export_limit = 2_000
        self.token_seconds = 300.0
        self.nested_totals = {"/bayern": False, "/datahub": True}
        self.federal = federal.Federal(self._listed)
        self._tokens: dict[str, float] = {}
        self._cache: dict[Path, tuple[tuple[int, int], Any]] = {}
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), type("Handler", (_Handler,), {"sample": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._http.server_port}"
        self.environ = {
            "ROLLIN_BY_URL": f"{self.base_url}/bayern",
            "ROLLIN_BY_CLIENT_ID": CLIENT_ID,
            "ROLLIN_BY_CLIENT_SECRET": CLIENT_SECRET,
            "ROLLIN_HE_URL": f"{self.base_url}/hessen",
            "ROLLIN_HE_USER": USER,
            "ROLLIN_HE_PASSWORD": PASSWORD,
            "ROLLIN_HE_DELIVERIES": str(deliveries / "06"),
            "ROLLIN_GV100AD_LOCATION": f"{self.base_url}/destatis/GV100AD.zip",
            "ROLLIN_DATAHUB_URL": f"{self.base_url}/datahub/api",
            "ROLLIN_TERRITORY_CHANGES": OFF,  # the only change of the sample's territory is stated in the federal Land file
            **self._nrw_environ(),
            # one question per authority and key: served (`questioned`), but not asked in an ordinary night of the sample
            "ROLLIN_SUCHDIENST_URL": OFF,
            "ROLLIN_FIT_CONNECT_URL": OFF,
            "ROLLIN_SDG_DELIVERIES": OFF,
        }
        self.questioned = {
            "ROLLIN_SUCHDIENST_URL": f"{self.base_url}{federal.SUCHDIENST}",
            "ROLLIN_FIT_CONNECT_URL": f"{self.base_url}{federal.FIT_CONNECT}",
            "ROLLIN_FIT_CONNECT_KEY": "",
        }

    def stop(self) -> None:
        """End the server; stopping twice is harmless."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()

    def expire_tokens(self) -> None:
        """Every access token that was handed out is void from now on."""
        with self._lock:
            self._tokens.clear()

    # -- what a handler asks -----------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a request, faults included; recorded in ``requests``."""
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        try:
            given = self._route(method, unquote(address.path), query, headers, body)
        except FileNotFoundError:
            given = _problem(404, "nothing has been delivered here")
        fault = next((f for prefix, f in self.faults.items() if address.path.startswith(prefix)), None)
        if fault is not None:
            given = (FAULTS[fault] if isinstance(fault, str) else fault)(target, given)
        if given.status == 200 and method == "GET":
            tag = f'"{hashlib.sha256(given.body).hexdigest()[:32]}"'
            known = {t.strip().removeprefix("W/") for t in headers.get("If-None-Match", "").split(",")}
            if given.promised is None and not given.is_endless and (tag in known or "*" in known):
                given = Answer(304, b"", {"ETag": tag})
            else:
                given = replace(given, headers={**given.headers, "ETag": tag})
        with self._lock:
            self.requests.append((method, target, given.status))
        return given

    def _route(self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        if path == "/bayern/oauth/token":
            return self._token(method, headers, body)
        if method != "GET":
            return Answer(405, b"", {"Allow": "GET"})
        if match := re.fullmatch(r"/bayern/api/v1/(verbindungen|nutzung|fallzahlen|kosten)", path):
            if not self._is_bearer(headers):
                return Answer(401, b'{"error":"invalid_token"}', {"WWW-Authenticate": "Bearer", "Content-Type": _JSON})
            return self._bavaria(self.deliveries / "09" / f"{match[1]}.json", query)
        if match := re.fullmatch(r"/hessen/berichte/([a-z]+\.xlsx)", path):
            expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if headers.get("Authorization") != f"Basic {expected}":
                return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="Berichte"'})
            return _file(self.deliveries / "06" / match[1], _XLSX)
        if path == "/destatis/GV100AD.zip":
            return _file(self.deliveries / "00" / "GV100AD.zip", "application/zip")
        if path.startswith("/api/"):
            return self._nrw(path, query, headers)
        if path == "/datahub/api/public/v1/dash/open-ars":
            return self._areas()
        if match := re.fullmatch(r"/datahub/api/public/v1/dash/open-pvog/(\d{12})(/export)?", path):
            return self._export(match[1], query, headers) if match[2] else self._catalogue(match[1], query)
        if (found := self.federal.answer(path, query)) is not None:
            status, document, more = found
            return Answer(status, json.dumps(document, ensure_ascii=False).encode(), {"Content-Type": _JSON, **more})
        return _problem(404, "no such address")

    def _token(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """RFC 6749 §4.4: client credentials in the header or the form."""
        if method != "POST":
            return Answer(405, b"", {"Allow": "POST"})
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        given = (form.get("client_id"), form.get("client_secret"))
        if (header := headers.get("Authorization", "")).startswith("Basic "):
            try:
                user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            except ValueError:
                user = password = ""
            given = (unquote(user), unquote(password))
        if form.get("grant_type") != "client_credentials":
            return Answer(400, b'{"error":"unsupported_grant_type"}', {"Content-Type": _JSON})
        if given != (CLIENT_ID, CLIENT_SECRET):
            return Answer(401, b'{"error":"invalid_client"}', {"Content-Type": _JSON, "WWW-Authenticate": "Basic"})
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + self.token_seconds
        content = {"access_token": token, "token_type": "Bearer", "expires_in": int(self.token_seconds)}
        return Answer(200, json.dumps(content).encode(), {"Content-Type": _JSON, "Cache-Control": "no-store"})

    def _is_bearer(self, headers: Mapping[str, str]) -> bool:
        kind, _, token = headers.get("Authorization", "").partition(" ")
        with self._lock:
            return kind.lower() == "bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def _cached(self, path: Path, parse: Callable[[bytes], Any]) -> Any:
        """A parsed file, parsed again when it has changed."""
        stat = path.stat()
        mark = (stat.st_mtime_ns, stat.st_size)
        with self._lock:
            found = self._cache.get(path)
            if found is None or found[0] != mark:
                found = self._cache[path] = (mark, parse(path.read_bytes()))
        return found[1]

    def _bavaria(self, path: Path, query: dict[str, str]) -> Answer:
        rows: list[tuple[datetime | None, bytes]] = self._cached(path, _dated_rows)
        chosen = [row for _, row in rows]
        if since := query.get("geaendertSeit"):
            try:
                moment = datetime.fromisoformat(since)
            except ValueError:
                return _problem(400, "geaendertSeit is no ISO instant")
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            # a row without its instant cannot be told to be older
            chosen = [row for reported, row in rows if reported is None or reported >= moment]
        return self._page("/bayern", chosen, query)

    def _nrw_environ(self) -> dict[str, str]:
        """A world without North Rhine-Westphalia must not ask the real portal, whose address is public."""
        if (self.deliveries / nrw.FILE).is_file():
            return {"ROLLIN_NW_OZG_URL": f"{self.base_url}/api", "ROLLIN_NW_ZSK": str(self.deliveries / "05")}
        return {"ROLLIN_NW_OZG_URL": OFF, "ROLLIN_NW_ZSK": OFF}

    def _nrw(self, path: str, query: dict[str, str], headers: Mapping[str, str]) -> Answer:
        if "application/ld+json" not in headers.get("Accept", ""):
            return _problem(406, "only application/ld+json is acceptable")
        try:
            given = nrw.answer(self._cached(self.deliveries / nrw.FILE, json.loads), path, query)
        except ValueError:
            return _problem(400, "page and itemsPerPage are numbers")
        if given is None:
            return _problem(404, "Not Found")
        content = json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()
        return Answer(200, content, {"Content-Type": "application/ld+json; charset=utf-8"})

    def _page(self, prefix: str, rows: list[bytes], query: dict[str, str]) -> Answer:
        """A 0-based Spring page, with its totals at the top or under "page"."""
        try:
            number, size = int(query.get("page", 0)), int(query.get("size", 20))
        except ValueError:
            return _problem(400, "page and size are numbers")
        if number < 0 or not 1 <= size <= 5_000:
            return _problem(400, "page starts at 0, size is 1 to 5000")
        content = rows[number * size : (number + 1) * size]
        total, pages = len(rows), -(-len(rows) // size)
        head: dict[str, Any] = {"size": size, "number": number, "totalElements": total, "totalPages": pages}
        if self.nested_totals[prefix]:
            rest = b'"page":' + json.dumps(head, separators=(",", ":")).encode()
        else:
            head |= {
                "numberOfElements": len(content),
                "first": number == 0,
                "last": number + 1 >= pages,
                "empty": not content,
            }
            rest = json.dumps(head, separators=(",", ":")).encode()[1:-1]
        return Answer(200, b'{"content":[' + b",".join(content) + b"]," + rest + b"}", {"Content-Type": _JSON})

    # -- the catalogue -----------------------------------------------------------------------------------------------------

    def _listed(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self._cached(
            self.deliveries / "00" / "open-pvog.csv", lambda data: list(csv.DictReader(io.StringIO(data.decode("utf-8"))))
        )
        return rows

    def _areas(self) -> Answer:
        """Every area with an entry, and the Kreise and Länder above them."""
        own = {row["ars"] for row in self._listed()}
        areas = sorted(own | {a[:5].ljust(12, "0") for a in own} | {a[:2].ljust(12, "0") for a in own} | {"0" * 12})
        content = json.dumps([{"ars": ars, "arsName": None} for ars in areas])
        return Answer(200, content.encode(), {"Content-Type": _JSON})

    def _below(self, ars: str, query: dict[str, str]) -> list[dict[str, str]]:
        """Entries of an area, and on demand of the areas below and above it."""
        own = _stem(ars)
        below, above = query.get("includeBelow") == "true", query.get("includeAbove") == "true"
        rows = []
        for row in self._listed():
            stem = _stem(row["ars"])
            if stem == own or (below and stem.startswith(own)) or (above and own.startswith(stem)):
                rows.append(row)
        return rows

    def _catalogue(self, ars: str, query: dict[str, str]) -> Answer:
        rows = [
            json.dumps(
                {name: int(value) if name == "ozgid" and value else value or None for name, value in row.items()},
                ensure_ascii=False,
                separators=(",", ":"),
            ).encode()
            for row in self._below(ars, query)
        ]
        return self._page("/datahub", rows, query)

    def _export(self, ars: str, query: dict[str, str], headers: Mapping[str, str]) -> Answer:
        accept = headers.get("Accept", "*/*")
        if "application/octet-stream" not in accept and "*/*" not in accept:
            return _problem(406, "only application/octet-stream is acceptable")
        kind = query.get("filetype", "csv")
        if kind not in ("csv", "xlsx"):
            return _problem(400, "filetype is csv or xlsx")
        rows = self._below(ars, query)
        if len(rows) > self.export_limit:
            return _problem(413, "the export is too large: page the area instead")
        names = list(self._listed()[0]) if self._listed() else []
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="open-pvog-{ars}.{kind}"',
        }
        if kind == "csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, names, delimiter=";", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            return Answer(200, b"\xef\xbb\xbf" + text.getvalue().encode(), headers)
        buffer = io.BytesIO()
        with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
            book.set_properties({"created": datetime(2026, 1, 1)})
            page = book.add_worksheet("open-pvog")
            for number, values in enumerate([names, *(list(row.values()) for row in rows)]):
                page.write_row(number, 0, values)
        return Answer(200, buffer.getvalue(), headers)


def _stem(ars: str) -> str:
    """The digits of an ARS that say something: its first 2, 3, 5, 9 or 12; none for the whole of Germany."""
    return next((ars[:n] for n in (0, 2, 3, 5, 9) if not ars[n:].strip("0")), ars)


def _dated_rows(data: bytes) -> list[tuple[datetime | None, bytes]]:
    rows = []
    for row in json.loads(data):
        try:
            reported = datetime.fromisoformat(row.get("gemeldetAm") or "")
        except ValueError:
            reported = None
        rows.append((reported, json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()))
    return rows


def _problem(status: int, detail: str) -> Answer:
    """An error as RFC 7807 describes it."""
    content = {"type": "about:blank", "status": status, "detail": detail}
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/problem+json"})


def _file(path: Path, content_type: str) -> Answer:
    stamp = formatdate(path.stat().st_mtime, usegmt=True)
    return Answer(200, path.read_bytes(), {"Content-Type": content_type, "Last-Modified": stamp})


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with persistent connections; one buffered write per answer, because Nagle's delay would cost 40 ms each."""

    sample: SampleServer
    protocol_version = "HTTP/1.1"
    server_version = "RollinSample"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(min(int(length), 100_000)) if length.isdigit() else b""
        answer = self.sample.answer(self.command, self.path, {k.title(): v for k, v in self.headers.items()}, body)
        content, headers = answer.body, dict(answer.headers)
        is_whole = answer.promised is None and not answer.pause and not answer.is_endless
        if is_whole and headers.get("Content-Type") == _JSON and "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers["Content-Encoding"] = gzip.compress(content, 1, mtime=0), "gzip"
        try:
            self.send_response(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Rollin-Synthetic", "true")
            if answer.is_endless:
                self.send_header("Connection", "close")
            elif answer.status != 304:
                self.send_header("Content-Length", str(len(content) if answer.promised is None else answer.promised))
            self.end_headers()
            while answer.is_endless:
                self.wfile.write(content or b" ")
            if answer.pause:
                step = max(1, len(content) // 20)
                for start in range(0, len(content), step):
                    self.wfile.write(content[start : start + step])
                    self.wfile.flush()
                    time.sleep(answer.pause)
            elif answer.status != 304:
                self.wfile.write(content)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True
        if answer.promised is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Requests are kept in ``SampleServer.requests``; the terminal stays quiet."""


@contextmanager
def serve(deliveries: Path) -> Iterator[SampleServer]:
    """A server over the folder ``deliveries`` of a written sample, on a free port of 127.0.0.1, stopped at the end."""
    server = SampleServer(deliveries)
    try:
        yield server
    finally:
        server.stop()
