"""PVOG Suchdienst: what is asked, what an answer says about which area, and what is not taken for an answer."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import yaml

from ingest import landfile
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landing import Landing
from ingest.portals import Question, UnreadableDelivery
from ingest.portals.pvog_suchdienst import PvogSuchdienst
from ingest.sample import federal
from ingest.sample.server import SampleServer, serve
from orchestration.night import Night
from orchestration.questions import authority_areas, questions
from tests.catalogues import NOW, Catalogue, land_of, scripted
from tests.clean_world import references
from tests.house import House

FIRST, SECOND = "99115005104000", "99115005104001"  # two keys of one service
MUENCHEN, DACHAU, AYING, HANAU = "091620000000", "091740115115", "091845401000", "064350014014"
BUND = "000000000000"


def asking(*ars: str, keys: tuple[str, ...] = (FIRST,)) -> list[Question]:
    return [Question("ummeldung", key, area) for key in keys for area in ars]


def service(url: str | None, *lists: list[str], number: int = 1) -> dict[str, Any]:
    links = [{"uri": url}] if url else []
    return {"id": f"S{number}", "name": "Ummeldung", "links": links, "serviceDescriptions": [{"ars": ars} for ars in lists]}


def found(*services: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"totalHits": len(services), "onlineservices": list(services), **more}


NOTHING = httpx.Response(404, json={"status": 404, "error": "Not Found"})


def rows(frame: pl.DataFrame) -> set[tuple[str, str, bool]]:
    return set(frame.select("ars", "url", "is_inherited").rows())


# -- what is asked ----------------------------------------------------------------------------------------------------------


def test_only_documented_parameters_are_sent_and_the_token_leads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {None: ("https://a.example/1", "t1"), "t1": ("https://a.example/2", "t 2&x"), "t 2&x": ("https://a.example/3", None)}

    def script(path: str, query: dict[str, str]) -> Any:
        url, token = pages[query.get("nextPageToken")]
        return {"totalHits": 3, "onlineservices": [service(url, [MUENCHEN])], "nextPageToken": token}

    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", script)
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert rows(clean) == {(MUENCHEN, f"https://a.example/{n}", False) for n in (1, 2, 3)}
    assert {path for path, _ in catalogue.asked} == {"/api/v1beta2/onlineservices"}
    first = {"ars": MUENCHEN, "leikaIds": FIRST}
    assert [query for _, query in catalogue.asked] == [first, first | {"nextPageToken": "t1"}, first | {"nextPageToken": "t 2&x"}]


def test_what_is_known_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list answers for the other areas of its Land; what one key found is not asked under the next; each Land is asked itself."""

    def script(path: str, query: dict[str, str]) -> Any:
        if query["leikaIds"] == FIRST and query["ars"][:2] == "09":
            return found(service("https://efa.example", [MUENCHEN, DACHAU], [HANAU]))
        return found(service("https://he.example", [HANAU])) if query["ars"] == HANAU else NOTHING

    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", script)
    asked = asking(MUENCHEN, DACHAU, AYING, HANAU, keys=(FIRST, SECOND))
    _, clean, _ = catalogue.clean(catalogue.fetch(asked))
    aying_above = ["091840000000", "090000000000"]
    assert [(query["leikaIds"], query["ars"]) for _, query in catalogue.asked] == [
        (FIRST, MUENCHEN),
        (FIRST, AYING),
        (FIRST, HANAU),
        *[(SECOND, ars) for ars in (AYING, *aying_above)],
    ]
    assert rows(clean) == {
        (MUENCHEN, "https://efa.example", False),
        (DACHAU, "https://efa.example", False),
        (HANAU, "https://efa.example", False),  # Hesse was asked about too
        (AYING, "https://efa.example", True),
        (HANAU, "https://he.example", False),
    }


def test_lists_say_nothing_about_laender_that_were_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(
        monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: found(service("https://efa.example", [MUENCHEN, HANAU, BUND]))
    )
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert set(clean["ars"]) == {MUENCHEN, BUND}
    assert dict(clean.select("ars", "land_code").rows()) == {MUENCHEN: "09", BUND: "00"}


def test_where_nothing_is_found_the_kreis_and_the_land_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land = "090000000000"
    catalogue = scripted(
        monkeypatch,
        tmp_path,
        "pvog_suchdienst",
        lambda p, q: found(service("https://land.example", [land])) if q["ars"] == land else NOTHING,
    )
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(AYING, "091845401112", DACHAU)))
    assert [query["ars"] for _, query in catalogue.asked] == [AYING, "091840000000", land, "091845401112", DACHAU, "091740000000"]
    assert rows(clean) == {(land, "https://land.example", False)} and record.quarantined == {}


def test_the_pace_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(
        monkeypatch,
        tmp_path,
        "pvog_suchdienst",
        lambda p, q: found(service("https://a.example", [q["ars"]])),
        requests_per_second=20,
    )
    started = time.monotonic()
    assert catalogue.fetch(asking(*[f"0916{n}0000000" for n in range(1, 6)]), limits=None).requests == 5
    assert 0.2 <= time.monotonic() - started < 2  # the first at once, four more at 20 a second


def test_nothing_to_ask_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: found())
    outcome = catalogue.fetch([])
    assert (outcome.status, outcome.requests) == ("failed", 0)
    assert outcome.problem and "nichts zu fragen" in outcome.problem and outcome.problem_en


# -- what an answer says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "is_inherited"),
    [
        ([[MUENCHEN]], False),
        ([["090000000000"], [MUENCHEN]], False),
        ([["09162"]], False),  # as short as an ARS may be
        ([["090000000000"]], True),
        ([["09"]], True),
        ([[BUND]], True),
        ([[]], True),
        ([], True),
    ],
)
def test_an_entry_is_local_where_its_list_holds_the_area_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: list[list[str]], is_inherited: bool
) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: found(service("https://a.example", *lists)))
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert dict(clean.select("ars", "is_inherited").rows())[MUENCHEN] is is_inherited
    assert set(clean["evidence"]) == {"listed"} and clean["is_signature_verified"].is_null().all()


def test_one_address_of_two_services_is_local_if_one_of_them_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = found(service("https://a.example", ["090000000000"]), service("https://a.example", [MUENCHEN], number=2))
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: two)
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert rows(clean.filter(pl.col("ars") == MUENCHEN)) == {(MUENCHEN, "https://a.example", False)}
    assert record.quarantined == {}


def test_observed_is_the_berlin_day_of_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: found(service("https://a.example", [MUENCHEN])))
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert clean["observed_on"].to_list() == [date(2026, 11, 1)]


def test_what_cannot_be_used_is_quarantined_as_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = found(
        service(None, [MUENCHEN]),
        service("javascript:alert(1)", [MUENCHEN], number=2),
        service("https://a.example", [MUENCHEN, "Bayern", "0916"], number=3),
    )
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: answer)
    record, clean, quarantined = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert rows(clean) == {(MUENCHEN, "https://a.example", False)}
    # "0916" is no ARS and "Bayern" no key
    assert record.quarantined == {"malformed": 3, "missing": 1}
    assert {json.loads(raw)["id"] for raw in quarantined["raw"]} == {"S1", "S2", "S3"}


def test_the_same_answer_to_another_question_is_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: found(service("https://a.example", [MUENCHEN])))
    assert catalogue.fetch(asking(MUENCHEN)).status == "new"
    assert catalogue.fetch(asking(MUENCHEN), NOW + timedelta(days=7)).status == "unchanged"
    assert catalogue.fetch(asking(DACHAU), NOW + timedelta(days=14)).status == "new"


# -- what is no answer ------------------------------------------------------------------------------------------------------

ONE = service("https://a.example", [MUENCHEN])


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([NOTHING], "404"),  # an address that has moved finds nothing anywhere
        ([{"totalHits": 2, "onlineservices": [ONE]}], "1 statt 2 Zeilen"),
        ([{"totalHits": 4, "onlineservices": [ONE], "nextPageToken": "t"}], "wiederholt"),
        ([found(ONE, nextPageToken="t"), NOTHING], "Seite 2 gibt es nicht"),
        ([{"totalHits": 1, "services": [ONE]}], "keine Liste"),
        ([{"onlineservices": ["x"]}], "Schnittstelle hat sich geändert"),
        ([httpx.Response(200, text="<html>Wartung</html>")], "HTML-Seite"),
        ([httpx.Response(200, text='{"totalHits": 1, "onlineserv')], "abgeschnitten"),
        ([httpx.Response(500)], "HTTP 500"),
        ([httpx.Response(400, json={"error": "Bad Request"})], "HTTP 400"),
    ],
)
def test_anything_else_fails_and_nothing_is_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any], says: str
) -> None:
    left = list(answers)
    catalogue = scripted(monkeypatch, tmp_path, "pvog_suchdienst", lambda p, q: left.pop(0) if len(left) > 1 else left[0])
    outcome = catalogue.fetch(asking(MUENCHEN))
    assert outcome.status == "failed"
    assert outcome.problem and says in outcome.problem, outcome.problem
    assert Landing(tmp_path).deliveries("00", "pvog_suchdienst") == []


def test_404_is_a_failure_for_every_portal_that_does_not_mean_nothing_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "open_pvog", lambda p, q: NOTHING)
    outcome = fetch_source(catalogue.land, catalogue.source, Landing(tmp_path), land_codes=["09"], now=NOW)
    assert outcome.status == "failed" and "404" in str(outcome.problem)


def test_a_file_without_its_address_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(found(ONE)))
    with pytest.raises(UnreadableDelivery, match="which question"):
        PvogSuchdienst().read([path], land_of("pvog_suchdienst", "https://portal.example")[1])


# -- the questions ----------------------------------------------------------------------------------------------------------


def test_each_authority_is_asked_for_under_the_area_that_is_its_own() -> None:
    """A Verband under its key, a Verband of one municipality under that, a Kreis under its own; and each once."""
    areas = authority_areas(references()["09"], date(2026, 6, 1))
    of = {service: set(part["ars"]) for (service,), part in areas.group_by("service_id")}
    assert {MUENCHEN.replace("0916200", "0916100"), DACHAU, "091845401000"} <= of["ummeldung"]
    assert not {"091740115000", "091845401112"} & of["ummeldung"]
    assert {"091840000000", "091610000000"} <= of["fuehrerschein"]
    assert areas.select("service_id", "ars").is_duplicated().sum() == 0


def test_questions_follow_the_programme_and_the_keys_of_the_day() -> None:
    land = landfile.load()["09"]
    asked = questions([land], references(), date(2026, 6, 1))
    keys = pl.read_csv("dbt_project/seeds/service_leika_key.csv", schema_overrides={"leika_key": pl.String})
    known = set(keys.select("service_id", "leika_key").rows())
    assert land.programme is not None
    competent = set(authority_areas(references()["09"], date(2026, 6, 1))["service_id"]) & set(land.programme.services)
    assert {(q.service_id, q.leika_key) for q in asked} == {pair for pair in known if pair[0] in competent}
    assert {"ummeldung", "bauantrag"} <= {q.service_id for q in asked} and "fuehrerschein" in competent  # no key of it is known
    assert len(set(asked)) == len(asked)
    of_one = [q.leika_key for q in asked if q.service_id == "ummeldung"]
    assert of_one == sorted(of_one, key=keys["leika_key"].to_list().index)  # key by key, as in the seed
    assert questions([land], references(), date(2025, 6, 1)) == []  # no key is known to have been valid then


# -- the sample -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(world: Path) -> Iterator[SampleServer]:
    with serve(world / "deliveries") as running:
        yield running


def test_the_sample_answers_what_its_data_hub_lists(tmp_path: Path, world: Path, server: SampleServer) -> None:
    """Everything that is local in the known truth is found under the first key of its service, and nothing else."""
    server.federal.page_size = 1
    truth = pl.read_parquet(world / "truth" / "listings.parquet").filter(pl.col("land_code") == "06")
    services = dict(
        pl.read_csv("dbt_project/seeds/service_leika_key.csv", schema_overrides={"leika_key": pl.String})
        .select("leika_key", "service_id")
        .rows()
    )
    truth = truth.with_columns(service_id=pl.col("leika_key").replace_strict(services))
    areas = truth.select("service_id", "ars").unique().sort("service_id", "ars")
    keys = truth.select("service_id", "leika_key").unique().sort("service_id", "leika_key")
    asked = [Question(*row) for row in keys.join(areas, on="service_id").select("service_id", "leika_key", "ars").rows()]
    asked.append(Question("ummeldung", FIRST, "064350001001") if ("ummeldung", "064350001001") not in areas.rows() else asked[0])
    location = server.questioned["ROLLIN_SUCHDIENST_URL"]
    catalogue = Catalogue(tmp_path, *land_of("pvog_suchdienst", location))
    outcome = catalogue.fetch(asked)
    record, clean, _ = catalogue.clean(outcome)
    clean = clean.with_columns(service_id=pl.col("leika_key").replace_strict(services))
    local = set(clean.filter(~pl.col("is_inherited")).select("service_id", "ars", "url").rows())
    assert local == set(truth.filter(~pl.col("is_inherited")).select("service_id", "ars", "url").rows())
    inherited = set(clean.filter("is_inherited").select("service_id", "ars", "url").rows())
    assert inherited == set(truth.filter("is_inherited").select("service_id", "ars", "url").rows())
    assert record.quarantined == {}
    assert outcome.requests < len(asked)  # who was found under one key is not asked for under the others
    statuses = {status for _, path, status in server.requests if path.startswith(federal.SUCHDIENST)}
    assert statuses <= {200, 404}


def test_a_catalogue_is_asked_every_so_many_days_and_again_after_a_failure(
    tmp_path: Path, world: Path, environment: None
) -> None:
    shutil.copytree(world, tmp_path / "world")
    home = House(tmp_path / "home", tmp_path / "world", NOW)

    def ask(days: int, name: str = "suchdienst") -> FetchOutcome:
        os.environ["ROLLIN_NOW"] = (NOW + timedelta(days=days)).isoformat()
        return Night(home.settings, "night").fetch("00", name)

    with serve(home.world / "deliveries") as server:
        location = server.questioned["ROLLIN_SUCHDIENST_URL"]
        listing = {"table": "listings", "delivers": "snapshot", "every_days": 7, "max_age_days": 14}
        add_source(home, name="suchdienst", format="pvog_suchdienst", location=location, **listing)
        assert ask(0, "gemeindeverzeichnis").status == "new"  # who is competent decides what is asked
        first = ask(0)
        assert first.status == "new" and first.requests > 100
        assert [(ask(day).status, len(server.requests)) for day in (0, 1, 6)] == [("unchanged", first.requests)] * 3
        server.faults[federal.SUCHDIENST] = "500"
        assert (ask(7).status, len(server.requests)) == ("failed", first.requests + 1)
        server.faults.clear()
        again = ask(8)  # what failed is no answer
        assert (again.status, again.requests) == ("unchanged", first.requests)
        assert ask(9).requests == ask(14).requests == 0
        assert ask(15).requests == first.requests


def add_source(house: House, **entries: Any) -> None:
    path = house.world / "laender" / "deutschland.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["sources"].append(entries)
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")


def test_a_night_asks_once_a_week_and_keeps_every_evidence_apart(house: House) -> None:
    """Suchdienst, FIT-Connect and SDG files beside the Data Hub: verified stays what it was, each evidence has its source."""
    before = house.query("select as_of, service_id, authorities_verified from metrics.coverage_daily order by all")
    visits = house.world / "deliveries" / "sdg"
    visits.mkdir()
    pages = [f"https://dienst.example/{n}" for n in range(3)]
    month = (date(2026, 5, 1), date(2026, 5, 31))
    (visits / "a.json").write_bytes(federal.sdg_file(pages, *month, "U1"))
    with serve(house.world / "deliveries") as server:
        urls = server.questioned
        common: dict[str, Any] = {"table": "listings", "delivers": "snapshot", "every_days": 7, "max_age_days": 14}
        add_source(house, name="suchdienst", format="pvog_suchdienst", location=urls["ROLLIN_SUCHDIENST_URL"], **common)
        add_source(house, name="fit_connect", format="fit_connect", location=urls["ROLLIN_FIT_CONNECT_URL"], **common)
        add_source(house, name="sdg", table="page_visits", format="sdg_json", location=str(visits / "*.json"), delivers="changes")
        first_asked = (house.now + timedelta(days=1)).date()
        house.asked(days=1).demand()
        asked = len(server.requests)
        assert asked > 100
        # sent again under the same id, with one page fewer, under another name
        (visits / "b.json").write_bytes(federal.sdg_file(pages[:2], *month, "U1"))
        result = house.night(days=1)
        assert result.outcome == "published", result.message
        assert len(server.requests) == asked  # not due
        evidence = set(house.query("select source, evidence from core.fct_listing where retired_on is null"))
        assert evidence == {
            ("datahub", "listed"),
            ("datahub", "reachable"),
            ("suchdienst", "listed"),
            ("fit_connect", "addressable"),
        }
        observed = house.query("select distinct first_observed_on from core.fct_listing where source <> 'datahub'")
        assert observed == [(first_asked,)]
        # the new sources list nobody locally whom the Data Hub does not list, so nobody more is verified
        again = house.query("select as_of, service_id, authorities_verified from metrics.coverage_daily order by all")
        assert [row for row in again if row[0] < first_asked] == before
        newest = {row[1:] for row in again if row[0] == house.now.date()}
        assert newest == {row[1:] for row in before if row[0] == max(day for day, *_ in before)}
    rows = house.query(
        "select delivery_id, rows_clean, rows_current, is_in_force from meta.delivery where source = 'sdg' order by 1"
    )
    assert [row[1:] for row in rows] == [(12, 0, False), (8, 8, True)]
    state = dict(house.query("select source, status from meta.source_status"))
    assert {state["suchdienst"], state["fit_connect"], state["sdg"]} == {"current"}
