"""Every fault of a portal, for every format: it ends soon, in one sentence that names the source, and leaves nothing half in landing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.fetch import FetchOutcome, fetch_source
from ingest.landing import Landing
from ingest.portals import PORTALS, read_delivery
from ingest.sample.server import FAULTS, Answer, Fault, SampleServer, for_requests, repeating
from ingest.transport import Limits
from tests.portal_answers import CASES, NOW, PROMISING, Case

LONGEST_SECONDS = 2.0
QUICK = Limits(
    connect_seconds=0.5,
    read_seconds=0.4,
    request_seconds=0.8,
    total_seconds=1.5,
    response_bytes=1024**2,
    attempts=2,
    wait_initial_seconds=0.001,
    wait_max_seconds=0.3,
    requests=50,
)


class Recorded(SampleServer):
    """The sample's server with the recorded answers, each under the name of its case."""

    def _route(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        return CASES[path.split("/")[1]].answers(path, query)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    server = Recorded(tmp_path_factory.mktemp("none"))
    yield server
    server.stop()


@pytest.fixture
def server(recorded: Recorded) -> Iterator[Recorded]:
    recorded.requests.clear()
    yield recorded
    recorded.faults.clear()


def fetch(server: Recorded, case: Case, home: Path, **limits: Any) -> FetchOutcome:
    land, source = case.land(f"{server.base_url}/{case.name}")
    begun = time.monotonic()
    outcome = fetch_source(
        land,
        source,
        Landing(home),
        land_codes=["09"],
        now=NOW,
        questions=case.questions,
        limits=replace(QUICK, **limits),
    )
    assert time.monotonic() - begun < LONGEST_SECONDS
    return outcome


def assert_refused(server: Recorded, case: Case, home: Path, fault: str | Fault, *says: str, **limits: Any) -> None:
    """The fault is told in one sentence, landing stays as it was, and the next fetch is as if nothing had been."""
    server.faults["/"] = fault
    outcome = fetch(server, case, home, **limits)
    assert outcome.status == "failed" and not outcome.deliveries
    for sentence in (outcome.problem, outcome.problem_en):
        assert sentence is not None
        assert sentence.startswith(f"{case.land_code}/{case.name}: ") and sentence.endswith(".") and "\n" not in sentence
        assert len(sentence) < 600 and "unerwartet" not in sentence and "unexpected" not in sentence
    for word in says:
        assert word in str(outcome.problem)
    landing = Landing(home)
    assert landing.deliveries(case.land_code, case.name) == []
    assert not list((home / "landing" / "tmp").glob("*"))
    server.faults.clear()
    assert_well(fetch(server, case, home), case, home)


def assert_well(outcome: FetchOutcome, case: Case, home: Path) -> None:
    assert (outcome.status, outcome.problem) == ("new", None)
    source = case.land("https://portal.example")[1]
    assert read_delivery(Landing(home), outcome.deliveries[0], source).collect().height == case.rows


ALL = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def test_every_format_has_its_recorded_answer() -> None:
    assert {case.source["format"] for case in CASES.values()} == set(PORTALS)


@ALL
def test_without_a_fault_every_row_arrives_and_is_clean(server: Recorded, tmp_path: Path, case: Case) -> None:
    outcome = fetch(server, case, tmp_path)
    assert_well(outcome, case, tmp_path)
    record = case.clean(tmp_path, case.land("https://portal.example")[0], outcome.deliveries[0])
    assert record.problem is None
    assert (record.rows_clean, record.quarantined) == ((case.rows, {}) if case.name != "ozg_nrw" else (0, {"unknown_key": 2}))
    assert fetch(server, case, tmp_path).status == "unchanged"


@ALL
@pytest.mark.parametrize("fault", ["429", "429_reset", "503"])
def test_a_portal_that_is_busy_is_asked_again_when_it_says_so(server: Recorded, tmp_path: Path, case: Case, fault: str) -> None:
    now = {"429": {"Retry-After": "0"}, "429_reset": {"RateLimit-Reset": "0"}, "503": {}}[fault]
    server.faults["/"] = for_requests(1, lambda path, answer: replace(FAULTS[fault](path, answer), headers=now))
    assert_well(fetch(server, case, tmp_path), case, tmp_path)
    status = 503 if fault == "503" else 429
    assert [s for _, _, s in server.requests][:2] == [status, 413 if case.name == "open_pvog_pages" else 200]


@ALL
@pytest.mark.parametrize("fault", ["429", "429_reset", "503"])
def test_a_portal_that_stays_busy_longer_than_we_wait(server: Recorded, tmp_path: Path, case: Case, fault: str) -> None:
    assert_refused(server, case, tmp_path, fault, f"HTTP {fault[:3]}", "später erneut versuchen")
    assert [s for _, _, s in server.requests].count(int(fault[:3])) == 1  # it asked for a second, and we wait for less


@ALL
def test_an_error_of_the_portal(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, "500", "HTTP 500")


@ALL
def test_a_connection_cut_in_the_middle(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, "truncated", "brach ab")


@ALL
def test_a_redirect_to_another_host(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, "redirect", "elsewhere.example")


@ALL
def test_an_oversized_answer_is_not_read(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, _but_413("oversized"), "mehr als 1,048,576 Bytes")


@ALL
def test_an_endless_answer_is_cut(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, _but_413("endless"), "mehr als 1,048,576 Bytes")


@ALL
def test_a_body_that_does_not_come(server: Recorded, tmp_path: Path, case: Case) -> None:
    assert_refused(server, case, tmp_path, "slow", "nicht rechtzeitig", read_seconds=0.1, attempts=1)


@ALL
def test_a_body_that_trickles(server: Recorded, tmp_path: Path, case: Case) -> None:
    trickle = _but_413(lambda path, answer: replace(answer, pause=0.05))
    assert_refused(server, case, tmp_path, trickle, "nach der erlaubten Zeit", request_seconds=0.15)


@ALL
def test_a_web_page_instead_of_data(server: Recorded, tmp_path: Path, case: Case) -> None:
    """Said by the fetch where it looks into what it gets, else by cleaning: never taken for an answer."""
    server.faults["/"] = "html"
    outcome = fetch(server, case, tmp_path)
    problem = outcome.problem
    if outcome.status == "new":
        record = case.clean(tmp_path, case.land("https://portal.example")[0], outcome.deliveries[0])
        assert (record.rows_delivered, record.rows_clean) == (0, 0)
        problem = record.problem
    assert problem and "eine HTML-Seite" in problem


@pytest.mark.parametrize("name", PROMISING)
def test_a_total_that_does_not_match(server: Recorded, tmp_path: Path, name: str) -> None:
    assert_refused(server, CASES[name], tmp_path, "wrong_total", "unvollständig", "Zeilen")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_paged])
def test_a_page_that_repeats(server: Recorded, tmp_path: Path, name: str) -> None:
    assert_refused(server, CASES[name], tmp_path, repeating(), "unvollständig")


def test_headers_that_trickle_end_with_the_fetch(tmp_path: Path) -> None:
    """Time-outs begin anew with every byte; only the end of the whole fetch stops a portal that sends one now and then."""
    import socket
    import threading

    listening = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            try:
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)
            except OSError:
                return

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    case = CASES["csv"]
    land, source = case.land(f"http://127.0.0.1:{listening.getsockname()[1]}/x")
    begun = time.monotonic()
    outcome = fetch_source(land, source, Landing(tmp_path), now=NOW, limits=replace(QUICK, total_seconds=0.5))
    assert time.monotonic() - begun < LONGEST_SECONDS
    assert outcome.status == "failed" and outcome.problem and "nach der erlaubten Zeit" in outcome.problem
    thread.join(2)
    assert not thread.is_alive()
    listening.close()


def _but_413(fault: str | Fault) -> Fault:
    """The fault for every answer that is not an error anyway."""
    chosen = FAULTS[fault] if isinstance(fault, str) else fault
    return lambda path, answer: chosen(path, answer) if answer.status == 200 else answer
