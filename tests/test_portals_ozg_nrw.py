"""NRW's OZG-Datenbank: references of both kinds, keys written by hand, dates of projects, and what must not be taken for an answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import clean_delivery
from ingest.directory import build_references
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import PACKAGED, LandFile, LandFileError, Source, load, load_file
from ingest.landing import Landing
from ingest.portals import UnreadableDelivery, read_delivery
from ingest.portals.ozg_nrw import (
    COLLECTIONS,
    COLUMNS,
    EMPTY_COMMUNES,
    NO_DATE,
    NO_PROJECT,
    NO_SOLUTION,
    STATUS_WITHOUT_DATE,
    OzgNrw,
)
from ingest.sample import Parameters, World, write_sample
from ingest.sample.nrw import FILE
from ingest.sample.server import Answer, Fault, SampleServer, for_requests, repeating, serve
from ingest.tables import TABLES
from ingest.transport import Limits

NOW = datetime(2026, 9, 30, 21, 59, tzinfo=UTC)
QUICK = Limits(wait_initial_seconds=0.001, wait_max_seconds=2, read_seconds=0.4)
PARAMETERS = Parameters(laender=("05",), end=date(2026, 9, 30))
LEIKA, OZG_ID = "99115005104000", "10169"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    folder = tmp_path_factory.mktemp("nrw")
    return folder, write_sample(folder, PARAMETERS)


@pytest.fixture
def server(sample: tuple[Path, World]) -> Iterator[SampleServer]:
    with serve(sample[0] / "deliveries") as running:
        yield running


def land() -> LandFile:
    return load(None, {})["05"]


def source() -> Source:
    return land().sources[0]


def fetch(landing: Landing, server: SampleServer, day: int = 0) -> FetchOutcome:
    now = NOW + timedelta(days=day)
    return fetch_source(land(), source(), landing, now=now, environ=server.environ, limits=QUICK)


def read(documents: Any) -> pl.DataFrame:
    """The raw frame of a harvest in one file."""
    return read_bytes(json.dumps(documents).encode())


def read_bytes(data: bytes) -> pl.DataFrame:
    path = _Bytes(data)
    return OzgNrw().read([path], source()).collect()  # type: ignore[list-item]


class _Bytes:
    """Stands for a landed file."""

    def __init__(self, data: bytes):
        self._data = data

    def read_bytes(self) -> bytes:
        return self._data


# -- a small harvest --------------------------------------------------------------------------------------------------------


def entry(collection: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"@id": f"/api/{collection}/{number}", "@type": "x", "id": number, **fields}


def collection(name: str, *members: dict[str, Any]) -> dict[str, Any]:
    return {"@id": f"/api/{name}", "@type": "hydra:Collection", "hydra:member": list(members), "hydra:totalItems": len(members)}


def commune(number: int, official: str | None, regional: str | None = None, name: str = "Ort") -> dict[str, Any]:
    return entry("communes", number, name=name, officialCommunityKey=official, regionalKey=regional)


def solution(number: int, communes: Any, key: str = LEIKA, **fields: Any) -> dict[str, Any]:
    service = entry("services", 1, serviceKey=key, name="Dienst")
    offers = [{"@id": "/api/.well-known/genid/1", "service": service}]
    return entry("solutions", number, name=f"Lösung {number}", communes=communes, serviceSolutions=offers, **fields)


def project(number: int, solutions: list[int], status: Any = None, **dates: str | None) -> dict[str, Any]:
    brought = [f"/api/solutions/{n}" for n in solutions]
    return entry("implementation_projects", number, name=f"Projekt {number}", status=status, publishedSolutions=brought, **dates)


COMMUNES = (commune(1, "05154004"), commune(2, "05154008"))


def harvest(
    solutions: list[dict[str, Any]], projects: list[dict[str, Any]], communes: tuple[dict[str, Any], ...] = COMMUNES
) -> list[dict[str, Any]]:
    fuehrerschein = entry("service_systems", 2, name="Führerschein", serviceKey=OZG_ID)
    return [
        collection("communes", *communes),
        collection("service_systems", fuehrerschein),
        collection("services"),
        collection("solutions", *solutions),
        collection("implementation_projects", *projects),
    ]


def events(frame: pl.DataFrame) -> list[tuple[str | None, ...]]:
    """What is known of communes, without findings."""
    known = frame.filter(pl.col("remark").is_null())
    return known.select("communeKey", "phase", pl.col("phaseAt").str.head(10)).rows()


def remarks(frame: pl.DataFrame) -> list[tuple[str | None, str | None]]:
    """Findings but for the other service, of which these small harvests know nothing."""
    found = frame.filter(pl.col("remark").is_not_null() & (pl.col("remark") != NO_SOLUTION))
    assert found["communeKey"].null_count() == found.height  # nobody is connected by a finding
    return found.select("solution", "remark").rows()


STARTED, PILOTED, LIVE = (
    {name: f"2026-0{n}-01T00:00:00+02:00"}
    for name, n in (("implementationStatusAt", 4), ("pilotingStatusAt", 5), ("commissioningStatusAt", 6))
)


# -- the contract -----------------------------------------------------------------------------------------------------------


def test_served_and_filed_harvests_say_what_is_true(sample: tuple[Path, World], server: SampleServer, tmp_path: Path) -> None:
    """The portal's pages and items, and the same in one file, are the world's events; what is faulty is known for what it is."""
    folder, world = sample
    landing = Landing(tmp_path)
    outcome = fetch(landing, server)
    assert outcome.status == "new", outcome.problem
    served = read_delivery(landing, outcome.deliveries[0], source()).collect()
    filed = read_bytes((folder / "deliveries" / FILE).read_bytes())
    assert served.drop("_row").sort(pl.all()).equals(filed.drop("_row").sort(pl.all()))

    counts = pl.read_parquet(folder / "truth" / "delivery_counts.parquet").filter(source="umsetzungsstand")
    assert served.height == counts["rows_delivered"].item()
    dirty = pl.read_parquet(folder / "truth" / "dirty_rows.parquet").filter(source="umsetzungsstand")
    assert dirty["rule"].n_unique() == 4
    known = world.connections.filter(pl.col("land_code") == "05").select("authority_id", "service_id", "phase", "effective_on")
    assert known.height == served.height - dirty.height > 400

    frames = {name: getattr(world, name) for name in ("regions", "authorities", "competences")}
    regions = frames["regions"].with_columns(source=pl.lit("x"), delivery_id=pl.lit("x"), delivered_at=pl.lit(NOW))
    references = build_references({"05": land()}, regions.select(TABLES["regions"].polars_schema().names()), None, None, None)
    record = clean_delivery(tmp_path, landing, land(), source(), outcome.deliveries[0], references["05"], NOW)
    clean = pl.read_parquet(tmp_path / record.clean_path)
    keys = ["authority_id", "service_id", "phase", "effective_on"]
    assert clean.select(pl.col(name).cast(known[name].dtype) for name in keys).sort(keys).equals(known.sort(keys))
    assert clean["reported_at"].unique().to_list() == [NOW]  # the portal does not say who reported when
    assert clean["event_id"].null_count() == clean.height

    quarantine = pl.read_parquet(tmp_path / record.quarantine_path)
    raws = [json.loads(raw) for raw in quarantine["raw"]]
    expected = [(rule, json.loads(raw)) for rule, raw in dirty.select("rule", "raw").iter_rows()]
    found = [(rule, {n: raw[n] for n in expected[0][1]}) for rule, raw in zip(quarantine["rule"], raws, strict=True)]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert {raw["remark"] for raw in raws} == {None, EMPTY_COMMUNES, NO_PROJECT}


def test_few_large_pages_and_only_the_items_that_matter(server: SampleServer, tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    assert fetch(landing, server).status == "new"
    asked = [urlsplit(target) for _, target, _ in server.requests]
    pages = [part for part in asked if part.path == "/api/communes"]
    # 396 municipalities, 31 Kreise and four mistyped ones: five pages, each at the address that the one before gives
    assert [parse_qs(part.query).get("page", ["1"]) for part in pages] == [["1"], ["2"], ["3"], ["4"], ["5"]]
    assert {parse_qs(part.query)["itemsPerPage"][0] for part in asked if part.query} == {"100"}
    items = {part.path for part in asked if part.path.count("/") == 3}
    assert "/api/solutions/902" in items  # without communes, but of a service that is asked for
    assert "/api/solutions/901" not in items  # Hundesteuer
    assert {path.split("/")[2] for path in items} == {"solutions", "implementation_projects"}
    before = len(server.requests)
    assert fetch(landing, server, day=1).status == "unchanged"
    assert {status for _, _, status in server.requests[before:]} == {304}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("html", "HTML"),
        ("cut", "abgeschnitten"),
        ("wrong_total", "unvollständig"),
        ("redirect", "elsewhere.example"),
        (repeating(), "unvollständig"),
    ],
)
@pytest.mark.parametrize("path", ["/api/communes", "/api/implementation_projects"])
def test_no_fault_becomes_an_answer(server: SampleServer, tmp_path: Path, fault: str | Fault, said: str, path: str) -> None:
    landing = Landing(tmp_path)
    if callable(fault):
        path = "/api/communes"  # the collection that has several pages
    server.faults[path] = fault
    outcome = fetch(landing, server)
    assert outcome.status == "failed"
    assert outcome.problem and outcome.problem.startswith("05/umsetzungsstand: ")
    assert said in outcome.problem
    assert landing.deliveries("05", "umsetzungsstand") == []


@pytest.mark.parametrize("fault", ["429", "503"])
def test_a_portal_that_is_busy_for_a_moment_is_asked_again(server: SampleServer, tmp_path: Path, fault: str) -> None:
    server.faults["/api/solutions"] = for_requests(1, fault)
    assert fetch(Landing(tmp_path), server).status == "new"


def test_an_item_that_is_gone_costs_nothing_but_what_it_would_say(server: SampleServer, tmp_path: Path) -> None:
    """Withdrawn between two requests: what the collection said stands."""
    server.faults["/api/solutions/1"] = lambda path, answer: Answer(404, b"{}") if path == "/api/solutions/1" else answer
    outcome = fetch(Landing(tmp_path), server)
    assert outcome.status == "new", outcome.problem


# -- references -------------------------------------------------------------------------------------------------------------


def test_references_are_addresses_or_objects(sample: tuple[Path, World]) -> None:
    """Every address replaced by what it refers to, and every object by its address: nothing changes."""
    documents = json.loads((sample[0] / "deliveries" / FILE).read_bytes())
    known = {m["@id"]: m for d in documents for m in d.get("hydra:member", [])}

    def embedded(value: Any, key: str = "") -> Any:
        if isinstance(value, str) and value in known and key != "@id":
            return {"@id": value, "@type": "x", "name": known[value].get("name")}
        if isinstance(value, dict):
            return {k: embedded(v, k) for k, v in value.items()}
        return [embedded(v, key) for v in value] if isinstance(value, list) else value

    def addressed(value: Any, depth: int = 0) -> Any:
        if isinstance(value, dict) and depth > 3 and value.get("@id") in known:
            return value["@id"]
        if isinstance(value, dict):
            return {k: addressed(v, depth + 1) for k, v in value.items()}
        return [addressed(v, depth + 1) for v in value] if isinstance(value, list) else value

    as_it_is = read(documents)
    # an item's own references are one level higher than those of a collection's members
    lifted = [addressed(d) if "hydra:member" in d else {k: addressed(v, 3) for k, v in d.items()} for d in documents]
    assert json.dumps(lifted) != json.dumps(documents)
    assert read(embedded(documents)).equals(as_it_is)
    assert read(lifted).equals(as_it_is)


def test_a_list_with_gaps_is_an_object_in_php() -> None:
    as_list = harvest([solution(1, ["/api/communes/1", "/api/communes/2"])], [project(1, [1], **LIVE)])
    as_object = harvest([solution(1, {"0": "/api/communes/1", "7": "/api/communes/2"})], [project(1, [1], **LIVE)])
    assert read(as_object).equals(read(as_list))
    assert len(events(read(as_list))) == 2


def test_a_reference_to_nothing_is_left_for_quarantine() -> None:
    frame = read(harvest([solution(1, ["/api/communes/1", "/api/communes/77"])], [project(1, [1], **LIVE)]))
    assert [key for key, *_ in events(frame)] == ["/api/communes/77", "05154004"]


@pytest.mark.parametrize(
    ("official", "regional", "key"),
    [
        ("05154004", None, "05154004"),
        (" 05 154 004\u00a0", None, "05154004"),
        ("5154004", None, "05154004"),
        ("05154004", "051540004004", "05154004"),
        ("", "051540004004", "051540004004"),
        (None, "51540004004", "051540004004"),
        (None, "05154 0004 004", "051540004004"),
        ("05154", None, "05154"),
        ("5154", "051540000000", "05154"),
        ("05154000", "051540000000", "05154000"),
        # nobody can know what was meant: left as it came
        ("05154004", "051540008008", "AGS 05154004 ≠ ARS 051540008008"),
        ("154004", None, "154004"),
        ("05 15x 004", None, "05 15x 004"),
        ("siehe Kreis", "  ", "siehe Kreis"),
        ("6154004", None, "6154004"),
        (None, None, None),
        ("", "", None),
    ],
)
def test_keys_are_put_right_only_where_that_is_unambiguous(official: str | None, regional: str | None, key: str | None) -> None:
    places = (commune(1, official, regional), commune(2, "05154008"))
    frame = read(harvest([solution(1, [places[0]])], [project(1, [1], **LIVE)], places))
    assert events(frame) == [(key, "commissioningStatusAt", "2026-06-01")]


# -- what makes no event ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("communes", [[], {}, None, "keine"])
def test_no_communes_is_neither_none_nor_all(communes: Any) -> None:
    frame = read(harvest([solution(1, communes), solution(2, ["/api/communes/1"])], [project(1, [1, 2], **LIVE)]))
    assert events(frame) == [("05154004", "commissioningStatusAt", "2026-06-01")]
    assert remarks(frame) == [("1", EMPTY_COMMUNES)]


def test_solutions_without_project_or_date_are_told() -> None:
    both = ["/api/communes/1", "/api/communes/2"]
    solutions = [solution(1, both), solution(2, both), solution(3, both)]
    frame = read(harvest(solutions, [project(1, [2]), project(2, [3], conceptStatusAt=None, **STARTED)]))
    assert remarks(frame) == [("1", NO_PROJECT), ("2", NO_DATE)]
    assert len(events(frame)) == 2


def test_a_service_without_any_solution_is_told() -> None:
    frame = read(harvest([solution(1, ["/api/communes/1"])], [project(1, [1], **LIVE)]))
    assert frame.filter(remark=NO_SOLUTION)["serviceKey"].to_list() == [OZG_ID]


def test_other_services_are_not_read() -> None:
    other = solution(1, ["/api/communes/1"], key="99108013080000")
    system = entry("solutions", 2, name="F", communes=["/api/communes/2"], serviceSystems=["/api/service_systems/2"])
    frame = read(harvest([other, system], [project(1, [1, 2], **LIVE)]))
    assert events(frame) == [("05154008", "commissioningStatusAt", "2026-06-01")]
    assert frame["serviceKey"].to_list() == [OZG_ID, "99115003012000"]  # the other is told to be nobody's


# -- dates ------------------------------------------------------------------------------------------------------------------

LATER = {"commissioningStatusAt": "2027-06-01T00:00:00+02:00", "nationwideRolloutAt": "2027-09-01T00:00:00+02:00"}


@pytest.mark.parametrize(
    "status", [{"@id": "/api/.well-known/genid/a", "id": 9, "name": "Pilotierung"}, "/api/implementation_statuses/9"]
)
def test_dates_beyond_the_projects_status_are_plans(status: Any) -> None:
    frame = read(harvest([solution(1, ["/api/communes/1"])], [project(1, [1], status, **STARTED, **PILOTED, **LATER)]))
    assert [phase for _, phase, _ in events(frame)] == ["implementationStatusAt", "pilotingStatusAt"]
    assert remarks(frame) == []


@pytest.mark.parametrize("status", [None, {"id": 7, "name": "zurückgestellt"}, "nein", 6])
def test_without_a_phase_in_the_status_every_date_is_left_to_cleaning(status: Any) -> None:
    frame = read(harvest([solution(1, ["/api/communes/1"])], [project(1, [1], status, **STARTED, **LATER)]))
    assert [phase for _, phase, _ in events(frame)] == ["implementationStatusAt", "commissioningStatusAt"]


def test_a_status_whose_date_is_missing_is_told() -> None:
    live = {"id": 6, "name": "Inbetriebnahme"}
    frame = read(harvest([solution(1, ["/api/communes/1"])], [project(1, [1], live, **STARTED)]))
    assert [phase for _, phase, _ in events(frame)] == ["implementationStatusAt"]
    assert remarks(frame) == [("1", STATUS_WITHOUT_DATE)]
    assert frame.filter(remark=STATUS_WITHOUT_DATE)["phase"].item() == "commissioningStatusAt"


def test_the_earliest_project_counts_and_a_newer_one_takes_nothing_back() -> None:
    """Phases of the portal that are one of ours are one event; what a later phase precedes is none."""
    solutions = [solution(1, ["/api/communes/1"]), solution(2, ["/api/communes/1", "/api/communes/2"])]
    old = project(
        1,
        [1],
        projectStartAt="2024-01-01T00:00:00+01:00",
        conceptStatusAt="2024-03-01T00:00:00+01:00",
        commissioningStatusAt="2024-06-01T00:00:00+02:00",
        nationwideRolloutAt="2024-09-01T00:00:00+02:00",
    )
    new = project(
        2,
        [2],
        projectStartAt="2026-01-01T00:00:00+01:00",
        pilotingStatusAt="2026-02-01T00:00:00+01:00",
        commissioningStatusAt="2026-03-01T00:00:00+01:00",
    )
    frame = read(harvest(solutions, [old, new]))
    assert events(frame) == [
        ("05154004", "projectStartAt", "2024-01-01"),
        ("05154004", "commissioningStatusAt", "2024-06-01"),
        ("05154008", "projectStartAt", "2026-01-01"),
        ("05154008", "pilotingStatusAt", "2026-02-01"),
        ("05154008", "commissioningStatusAt", "2026-03-01"),
    ]
    assert remarks(frame) == []


def test_a_date_that_cannot_be_read_is_left_for_quarantine() -> None:
    frame = read(harvest([solution(1, ["/api/communes/1"])], [project(1, [1], commissioningStatusAt="bald", **STARTED)]))
    assert sorted(day for _, _, day in events(frame) if day) == ["2026-04-01", "bald"]


# -- what is no harvest -----------------------------------------------------------------------------------------------------

GOOD = harvest([solution(1, ["/api/communes/1"])], [project(1, [1], **STARTED, **LIVE)])


@pytest.mark.parametrize("name", ["communes", "solutions", "implementation_projects"])
def test_an_empty_collection_is_no_answer(name: str) -> None:
    documents = copy.deepcopy(GOOD)
    documents[COLLECTIONS.index(name)]["hydra:member"] = []
    with pytest.raises(UnreadableDelivery, match=name):
        read(documents)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "/api/communes/1", "/api/solutions/1", LEIKA, "2026-01-01", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["@id", "id", "hydra:member", "service", "name", "status", "0"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*path, key))


def _put(path: tuple[Any, ...], value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@given(where=st.lists(st.sampled_from(sorted(_places(GOOD), key=str)), min_size=1, max_size=3), what=_JSON)
def test_whatever_stands_anywhere_it_is_read_or_refused(where: list[tuple[Any, ...]], what: Any) -> None:
    """Any value in any place: a frame of the declared columns that says something, or one sentence."""
    documents = copy.deepcopy(GOOD)
    for path in where:
        try:
            _put(path, copy.deepcopy(what))(documents)
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    try:
        frame = read(documents)
    except UnreadableDelivery:
        return
    assert frame.columns == [*COLUMNS, "_row"]
    assert frame.height > 0  # never silently nothing
    assert frame["_row"].to_list() == list(range(1, frame.height + 1))


@given(data=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(UnreadableDelivery):
        read_bytes(data)


# -- the Land file ----------------------------------------------------------------------------------------------------------


def test_a_land_file_must_name_services_and_phases(tmp_path: Path) -> None:
    text = (PACKAGED / "nordrhein-westfalen.yaml").read_text(encoding="utf-8")
    path = tmp_path / "nw.yaml"
    path.write_text(text.replace("      phase:  ", "      is_pilot:  ", 1), encoding="utf-8")
    with pytest.raises(LandFileError, match="State in 'values' what becomes which 'phase' of the programme"):
        load_file(path)
