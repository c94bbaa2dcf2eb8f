"""Whatever a portal answers: no format crashes, hangs, or takes for empty what is no valid empty answer of that format."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.fetch import fetch_source
from ingest.landing import Landing
from ingest.transport import Client, Limits
from tests.portal_answers import CASES, NOW, Case

LIMITS = Limits(
    requests=30, attempts=1, wait_initial_seconds=0.0, wait_max_seconds=0.0, total_seconds=5, response_bytes=4 * 1024**2
)
LONGEST_SECONDS = 10.0

# -- answers ----------------------------------------------------------------------------------------------------------------

_NASTY_JSON = (
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "9" * 5_000,
    "0." + "1" * 400,
    '"\\ud800"',
    '"\\u0000"',
    '{"ars":"1","ars":"2"}',
    '{"":{"":[]}}',
    "[" * 200 + "]" * 200,
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"a":' * 60 + "1" + "}" * 60,
    '{"_row":1,"_malformed":2,"_delivered":{"x":1}}',
    '[{"content":[]}]',
    '{"content":{}}',
    '{"content":[[]]}',
    '{"content":[null],"totalElements":"1"}',
    '{"hydra:member":[],"hydra:totalItems":-1}',
    '{"onlineservices":[],"totalHits":0,"nextPageToken":{}}',
    '{"onlineservices":[{"serviceDescriptions":{"ars":[[]]},"links":"x"}]}',
    '{"routes":[{"destinationSignature":"..","destinationId":{}}]}',
    '{"sources":[{"statistics":null}],"nbEntries":true}',
    '{"sources":[],"nbEntries":0}',
    "[]",
    "{}",
    "null",
    "\ufeff[]",
)
_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**18, 10**40),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["\ud800", "0" * 12, "99012070006000", "2026-13-45", "=1+1", "\u202e", "/api/communes/1"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


def _replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = dict(node) if isinstance(node, dict) else list(node)
    changed[path[0]] = _replaced(node[path[0]], path[1:], value)
    return changed


@st.composite
def _mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What happens to an answer on its way."""
    kind = draw(st.sampled_from(["bytes", "nasty", "json", "node", "node", "node", "cut", "flip", "drop", "twice"]))
    if kind == "bytes":
        noise = draw(st.binary(max_size=200))
        return lambda body: noise
    if kind == "nasty":
        text = draw(st.sampled_from(_NASTY_JSON)).encode("utf-8", "surrogatepass")
        return lambda body: text
    if kind == "json":
        text = json.dumps(draw(_values)).encode()
        return lambda body: text
    where = draw(st.floats(0, 1, exclude_max=True))
    if kind == "node":
        value, raw = draw(_values), draw(st.sampled_from([None, *_NASTY_JSON]))
        return partial(_with_node, where, value, raw)
    if kind == "cut":
        return lambda body: body[: int(where * len(body))]
    if kind == "drop":
        length = draw(st.integers(1, 40))
        return lambda body: body[: int(where * len(body))] + body[int(where * len(body)) + length :]
    if kind == "twice":
        return lambda body: body + body
    byte = draw(st.integers(0, 255))
    return lambda body: body[: int(where * len(body))] + bytes([byte]) + body[int(where * len(body)) + 1 :]


def _with_node(where: float, value: Any, raw: str | None, body: bytes) -> bytes:
    """A valid JSON answer with something else in one place, of whatever type; other answers with that put into them."""
    try:
        document = json.loads(body)
    except ValueError:
        at = int(where * len(body))
        return body[:at] + str(value).encode("utf-8", "replace") + body[at:]
    places = _places(document)
    text = json.dumps(_replaced(document, places[int(where * len(places))], "\x01" if raw else value))
    return (text.replace('"\\u0001"', raw) if raw else text).encode("utf-8", "surrogatepass")


# -- what is a valid empty answer -------------------------------------------------------------------------------------------


def _is_valid_empty(case: Case, parts: list[tuple[int | None, bytes]]) -> bool:
    """Whether every part says, in the way of its format, that there is nothing; read by other means than the portals do."""
    kind = case.source["format"]
    if kind == "json":
        items = {"json_offset": "items", "json_token": "items", "json_hydra": "hydra:member"}.get(case.name, "content")
        return all(_empty_list(body, items, is_whole=case.name == "json_whole") for _, body in parts)
    if kind == "csv":
        return all(_only_header(body, "faelle", "jahr", "ars") for _, body in parts)
    if kind == "open_pvog":
        return all(_only_header(body, "leika_key") or _empty_list(body, "content") for _, body in parts)
    if kind == "pvog_suchdienst":
        return all(status == 404 or _empty_list(body, "onlineservices") for status, body in parts)
    if kind == "fit_connect":
        return all(_empty_list(body, "routes") for _, body in parts)
    if kind == "parquet":
        return all(pl.read_parquet(io.BytesIO(body)).is_empty() for _, body in parts)
    if kind in ("xlsx", "gebietsaenderungen"):
        books = [openpyxl.load_workbook(io.BytesIO(body)) for _, body in parts]
        return all(sum(any(cell.value for cell in row) for row in book.worksheets[-1].iter_rows()) <= 2 for book in books)
    if kind == "sdg_json":
        sources = [source for _, body in parts for source in json.loads(body)["sources"]]
        return all(source["statistics"] == [] for source in sources)
    return False  # gv100ad, ndjson and ozg_nrw have none


def _empty_list(body: bytes, items: str, *, is_whole: bool = False) -> bool:
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    if isinstance(document, dict) and is_whole:
        return [value for value in document.values() if isinstance(value, list)] == [[]]
    return document == [] or (isinstance(document, dict) and document.get(items) == [])


def _only_header(body: bytes, *names: str) -> bool:
    lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig", "replace")), delimiter=";"))
    return bool(lines) and any(name in field for name in names for field in lines[0]) and not any(map(any, lines[1:]))


# -- the property -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_answer_crashes_hangs_or_is_silently_empty(case: Case, data: st.DataObject) -> None:
    mutate = data.draw(_mutations())
    spoilt = data.draw(st.one_of(st.none(), st.integers(0, 4)), label="which answer (None: all)")
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        address = urlsplit(str(request.url))
        try:
            good = case.answers(address.path, dict(parse_qsl(address.query)))
        except (LookupError, ValueError, StopIteration):  # an address that a spoilt answer led to
            return httpx.Response(404)
        if good.status != 200 or (spoilt is not None and spoilt != len(asked) - 1):
            return httpx.Response(good.status, content=good.body, headers=good.headers)
        return httpx.Response(200, content=mutate(good.body), headers=good.headers)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.fetch.Client", partial(Client, transport=httpx.MockTransport(respond)))
        home = Path(folder)
        landing = Landing(home)
        land, source = case.land(f"https://portal.example/{case.name}")
        begun = time.monotonic()
        outcome = fetch_source(land, source, landing, land_codes=["09"], now=NOW, questions=case.questions, limits=LIMITS)
        told = f"{outcome.problem} {outcome.problem_en}"
        assert "unerwarteten Fehler" not in told, told
        if outcome.status == "failed":
            assert outcome.problem and outcome.problem_en and not outcome.deliveries
            assert outcome.problem.startswith(f"{case.land_code}/{case.name}: ") and "\n" not in told
            assert landing.deliveries(case.land_code, case.name) == []
        else:
            assert (outcome.status, outcome.problem) == ("new", None)  # nothing was landed before, so nothing can be unchanged
        for delivery in outcome.deliveries:
            record = case.clean(home, land, delivery)
            assert record.rows_delivered == record.rows_clean + sum(record.quarantined.values())
            assert pl.read_parquet(home / record.clean_path).height == record.rows_clean
            if record.rows_delivered == 0 and record.problem is None:
                parts = [(part.status, landing.path(part).read_bytes()) for part in delivery.parts]
                assert _is_valid_empty(case, parts), parts
        assert time.monotonic() - begun < LONGEST_SECONDS
