"""FIT-Connect Routing API: its specification, its signed statements, and what is concluded from them and what is not."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jsonschema
import jwt
import polars as pl
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from ingest import landfile
from ingest.landing import Landing
from ingest.portals import Question, UnreadableDelivery
from ingest.portals.fit_connect import FitConnect
from ingest.sample import federal
from ingest.sample.server import SampleServer, serve
from tests.catalogues import NOW, Catalogue, land_of, scripted

KEY, OTHER_KEY = "99010023020000", "99010022020010"  # two keys of one service
MUENCHEN, DACHAU, HANAU, LAND = "091620000000", "091740000000", "064350014014", "090000000000"
POINT = str(uuid.UUID(int=7))
NAMED = "${A_KEY}"


def asking(*ars: str, keys: tuple[str, ...] = (KEY,), service: str = "aufenthalt") -> list[Question]:
    return [Question(service, key, area) for key in keys for area in ars]


def route(*areas: str, keys: tuple[str, ...] = (KEY,), destination: str = POINT, token: str | None = None) -> dict[str, Any]:
    signed = federal.signature(destination, areas, keys) if token is None else token
    return {"destinationId": destination, "destinationSignature": signed, "destinationName": "Amt"}


def routes(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"count": len(found), "offset": 0, "totalCount": len(found), "routes": list(found)} | more


@cache
def key_pair() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(*form).decode()


# -- the specification ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(shared_data: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (shared_data / "standards" / "api" / "fit-connect-routing-api-2.0.0.yaml").read_text(encoding="utf-8")
    )
    return document


@pytest.fixture
def server(world: Path) -> Iterator[SampleServer]:
    with serve(world / "deliveries") as running:
        yield running


def valid(api: dict[str, Any], name: str, document: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)


def resolved(api: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = api
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def test_the_sample_answers_as_specified_and_we_ask_as_specified(
    api: dict[str, Any], tmp_path: Path, world: Path, server: SampleServer
) -> None:
    location = server.questioned["ROLLIN_FIT_CONNECT_URL"]
    offered = sorted(server.federal.index.points)
    catalogue = Catalogue(tmp_path, *land_of("fit_connect", location))
    outcome = catalogue.fetch([Question("aufenthalt", key, ars) for ars, key in offered[:30]])
    assert outcome.status == "new", outcome.problem
    parameters = {one["name"]: one for one in (resolved(api, p) for p in api["paths"]["/routes"]["get"]["parameters"])}
    for _, path, status in server.requests:
        assert status == 200
        query = parse_qs(urlsplit(path).query)
        assert set(query) <= set(parameters) and "leikaKey" in query
        assert len({"ags", "ars", "areaId"} & set(query)) == 1  # exactly one area
        for name, [value] in query.items():
            schema = parameters[name]["schema"]
            jsonschema.validate(int(value) if schema["type"] == "integer" else value, schema)
    with httpx.Client() as client:
        seen = 0
        for _, path, _ in list(server.requests):
            answer = client.get(server.base_url + path)
            assert answer.headers["content-type"] == "application/json" and answer.headers["ratelimit-limit"].isdigit()
            valid(api, "route-result", answer.json())
            seen += len(answer.json()["routes"])
        assert seen > 3
        for wrong in ({"leikaKey": KEY}, {"leikaKey": "1", "ars": MUENCHEN}, {"leikaKey": KEY, "ars": "0916"}):
            refused = client.get(location + "/routes", params=wrong)
            assert refused.status_code == 400 and refused.headers["content-type"] == "application/problem+json"
            valid(api, "error", refused.json())
        too_many = client.get(location + "/routes", params={"leikaKey": KEY, "ars": MUENCHEN, "limit": 501})
        assert too_many.status_code == 400
        valid(api, "info", client.get(location + "/info").json())


def test_the_specification_s_own_example_is_read(api: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery point of the test environment: its area has 9 digits, its statement was issued in November 2021."""
    example = api["components"]["schemas"]["route"]["properties"]["destinationSignature"]["example"]
    given = route(token=example, destination="ac715f34-333e-41f4-9bb5-186b309ea233")
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(given))
    key, own = "99134005017000", "120645410000"
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(own, "120645410124", keys=(key,))))
    assert record.quarantined == {}
    # the second question is not answered by the first: it is for a municipality below the area
    assert set(clean.select("ars", "is_inherited").rows()) == {(own, False), ("120645410124", True)}
    assert set(clean["url"]) == {"urn:uuid:ac715f34-333e-41f4-9bb5-186b309ea233"}


# -- what is concluded ------------------------------------------------------------------------------------------------------


def test_a_row_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(route(MUENCHEN)))
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    [row] = clean.drop("delivery_id", "delivered_at").to_dicts()
    assert row == {
        "leika_key": KEY,
        "ars": MUENCHEN,
        "url": f"urn:uuid:{POINT}",
        "is_inherited": False,
        "coverage_class": None,
        "observed_on": date(2026, 11, 1),  # the Berlin day of the answer, not that of iat (1 October)
        "evidence": "addressable",
        "is_signature_verified": False,
        "is_retracted": False,
        "land_code": "09",
        "source": "fit_connect",
    }


@pytest.mark.parametrize(
    ("areas", "keys", "is_inherited"),
    [
        ((MUENCHEN,), (KEY,), False),
        ((LAND, MUENCHEN), (OTHER_KEY, KEY), False),
        ((LAND,), (KEY,), True),
        ((MUENCHEN,), (OTHER_KEY,), True),  # the point is there, but what is signed does not say for this key
        ((), (KEY,), True),
    ],
)
def test_a_point_is_an_area_s_own_where_its_statement_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, areas: tuple[str, ...], keys: tuple[str, ...], is_inherited: bool
) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(route(*areas, keys=keys)))
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert dict(clean.select("ars", "is_inherited").rows())[MUENCHEN] is is_inherited


def test_a_statement_answers_for_the_areas_of_its_land_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(
        monkeypatch,
        tmp_path,
        "fit_connect",
        lambda p, q: routes(route(MUENCHEN, DACHAU, HANAU)) if q["ars"][:2] == "09" else routes(),
    )
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN, DACHAU, HANAU, keys=(KEY, OTHER_KEY))))
    assert [(query["leikaKey"], query["ars"]) for _, query in catalogue.asked] == [
        (KEY, MUENCHEN),
        (KEY, HANAU),
        (OTHER_KEY, HANAU),
    ]
    assert set(clean.select("ars", "is_inherited").rows()) == {(MUENCHEN, False), (DACHAU, False), (HANAU, False)}


def test_pages_follow_offset_and_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [route(MUENCHEN, destination=str(uuid.UUID(int=n))) for n in range(1, 4)]

    def script(path: str, query: dict[str, str]) -> Any:
        offset = int(query["offset"])
        return {"count": 1, "offset": offset, "totalCount": 3, "routes": points[offset : offset + 1]}

    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", script)
    _, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert [(query["offset"], query["limit"]) for _, query in catalogue.asked] == [("0", "500"), ("1", "500"), ("2", "500")]
    assert clean.height == 3


def test_the_residence_registration_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It travels by OSCI-XMeld: no delivery point for it proves nothing."""
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(route(MUENCHEN)))
    both = asking(MUENCHEN, keys=("99115005104000",), service="ummeldung") + asking(MUENCHEN)
    catalogue.fetch(both)
    assert [query["leikaKey"] for _, query in catalogue.asked] == [KEY]
    outcome = catalogue.fetch(both[:1], NOW + timedelta(days=1))
    assert (outcome.status, outcome.requests) == ("failed", 0) and "nichts zu fragen" in str(outcome.problem)


def test_no_delivery_point_at_all_is_an_answer_that_delivery_checks_then_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes())
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert (record.rows_delivered, record.problem, clean.height) == (0, None, 0)


# -- signatures -------------------------------------------------------------------------------------------------------------


def signed_by(key: rsa.RSAPrivateKey, *areas: str, kid: str | None = "k1", algorithm: str = "PS512", point: str = POINT) -> str:
    payload = jwt.decode(federal.signature(point, areas, (KEY,)), options={"verify_signature": False})
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def as_jwk(key: rsa.RSAPrivateKey, kid: str | None = "k1") -> dict[str, Any]:
    algorithm: Any = jwt.get_algorithm_by_name("PS512")
    document: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key())) | {"alg": "PS512", "use": "sig"}
    return document | ({"kid": kid} if kid else {})


@pytest.mark.parametrize("form", ["pem", "jwk", "jwks", "jwk without kid"])
def test_a_signature_that_fits_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    ours = key_pair()
    encryption = {"kty": "RSA", "alg": "RSA-OAEP-256", "kid": "other", "n": "AQAB", "e": "AQAB"}
    text = {
        "pem": pem(ours),
        "jwk": json.dumps(as_jwk(ours)),
        "jwks": json.dumps({"keys": [encryption, as_jwk(ours)]}),
        "jwk without kid": json.dumps(as_jwk(ours, None)),
    }[form]
    given = route(token=signed_by(ours, MUENCHEN))
    catalogue = scripted(
        monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(given), {"A_KEY": text}, verification_key=NAMED
    )
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert record.quarantined == {} and clean["is_signature_verified"].to_list() == [True]


def forged(token: str) -> str:
    """The statement with another area under the same signature."""
    head, payload, signature = token.split(".")
    text = base64.urlsafe_b64decode(payload + "==").replace(b"09162", b"06412")
    return ".".join((head, base64.urlsafe_b64encode(text).decode().rstrip("="), signature))


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (lambda ours: federal.signature(POINT, (MUENCHEN,), (KEY,), "k1"), "passt nicht"),  # another's key
        (lambda ours: forged(signed_by(ours, MUENCHEN)), "passt nicht"),
        (lambda ours: signed_by(ours, MUENCHEN, algorithm="RS256"), "passt nicht"),
        (lambda ours: jwt.encode({"destinationId": POINT}, None, algorithm="none", headers={"kid": "k1"}), "passt nicht"),
        (lambda ours: signed_by(ours, MUENCHEN, kid="k2"), "kein Prüfschlüssel"),
        (lambda ours: signed_by(ours, MUENCHEN, point=str(uuid.UUID(int=8))), "anderen Zustellpunkt"),
        (lambda ours: "nonsense", "kein lesbares JWS"),
    ],
)
def test_under_a_key_a_statement_that_does_not_hold_is_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: Any, says: str
) -> None:
    ours = key_pair()
    given = [
        route(token=token(ours)),
        route(token=signed_by(ours, MUENCHEN, point=str(uuid.UUID(int=9))), destination=str(uuid.UUID(int=9))),
    ]
    catalogue = scripted(
        monkeypatch,
        tmp_path,
        "fit_connect",
        lambda p, q: routes(*given),
        {"A_KEY": json.dumps({"keys": [as_jwk(ours)]})},
        verification_key=NAMED,
    )
    record, clean, quarantined = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert clean["url"].to_list() == [f"urn:uuid:{uuid.UUID(int=9)}"]  # the sound one beside it stays
    assert record.quarantined == {"malformed": 1} and says in quarantined["reason"][0]


def test_without_a_key_a_forged_statement_is_used_and_says_that_it_is_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = route(token=forged(signed_by(key_pair(), MUENCHEN)))
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(given), {}, verification_key=NAMED)
    record, clean, _ = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert record.quarantined == {} and set(clean["is_signature_verified"]) == {False}


def test_a_key_that_comes_later_cleans_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = route(token=signed_by(key_pair(), MUENCHEN))
    environ: dict[str, str] = {}
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(given), environ, verification_key=NAMED)
    outcome = catalogue.fetch(asking(MUENCHEN))
    assert catalogue.clean(outcome)[1]["is_signature_verified"].to_list() == [False]
    environ["A_KEY"] = pem(key_pair())
    assert catalogue.clean(outcome)[1]["is_signature_verified"].to_list() == [True]
    environ["A_KEY"] = "off"
    assert catalogue.clean(outcome)[1]["is_signature_verified"].to_list() == [False]


@pytest.mark.parametrize("text", ["nonsense", "{}", '{"keys": []}', "{", '{"kty": "oct", "k": "c2VjcmV0", "alg": "PS512"}'])
def test_an_unusable_key_is_a_sentence_and_nothing_passes_as_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    environ = {"A_KEY": text}
    catalogue = scripted(
        monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(route(MUENCHEN)), environ, verification_key=NAMED
    )
    outcome = catalogue.fetch(asking(MUENCHEN))
    assert outcome.status == "failed" and outcome.requests == 0
    assert outcome.problem and "verification_key" in outcome.problem and text not in outcome.problem.replace("{}", "")
    environ.clear()
    outcome = catalogue.fetch(asking(MUENCHEN))
    environ["A_KEY"] = text
    record, clean, _ = catalogue.clean(outcome)
    assert record.problem and "Prüfschlüssel" in record.problem and clean.is_empty()


# -- what is no answer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(404), "HTTP 404"),  # here it is no answer
        (httpx.Response(400, json={"type": "about:blank", "title": "Bad Request", "status": 400}), "HTTP 400"),
        (httpx.Response(429, headers={"RateLimit-Reset": "3600"}), "HTTP 429"),
        (routes(route(MUENCHEN), totalCount=2), "wiederholt"),
        (routes(totalCount=1), "0 statt 1 Zeilen"),
        ({"totalCount": 0}, "keine Liste"),
        ({"totalCount": 1, "routes": ["x"]}, "Schnittstelle hat sich geändert"),
        (httpx.Response(200, text="<html></html>"), "HTML-Seite"),
    ],
)
def test_anything_else_fails_and_nothing_is_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, says: str
) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: answer)
    outcome = catalogue.fetch(asking(MUENCHEN))
    assert outcome.status == "failed" and says in str(outcome.problem), outcome.problem
    assert Landing(tmp_path).deliveries("00", "fit_connect") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["services", "gebietIDs", "leistungIDs", "destinationId", "kid", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(payload=JSON, header=JSON, token=st.none() | JSON, has_key=st.booleans())
def test_no_statement_raises_or_vanishes(
    tmp_path_factory: pytest.TempPathFactory, payload: Any, header: Any, token: Any, has_key: bool
) -> None:
    def coded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    given_token = f"{coded(header)}.{coded(payload)}.AAAA" if token is None else token
    document = routes({"destinationId": POINT, "destinationSignature": given_token})
    with pytest.MonkeyPatch.context() as patch:
        catalogue = scripted(
            patch,
            tmp_path_factory.mktemp("any"),
            "fit_connect",
            lambda p, q: document,
            {"A_KEY": pem(key_pair())} if has_key else {},
            verification_key=NAMED,
        )
        record, clean, quarantined = catalogue.clean(catalogue.fetch(asking(MUENCHEN)))
    assert record.problem is None
    assert MUENCHEN in clean["ars"].to_list() or quarantined.height
    assert not (has_key and clean.height)


def test_a_file_without_its_address_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(routes()))
    with pytest.raises(UnreadableDelivery, match="which question"):
        FitConnect().read([path], land_of("fit_connect", "https://portal.example")[1])


def test_the_packaged_sources_are_polite_and_can_be_switched_off() -> None:
    sources = {source.name: source for source in landfile.load(None, {})["00"].sources}
    for name in ("suchdienst", "fit_connect"):
        source = sources[name]
        assert (source.requests_per_second, source.every_days, source.required) == (5, 7, False)
        assert source.is_configured({}) and source.resolved_location({}).startswith("https://")
        variable = f"ROLLIN_{name.upper()}_URL"
        assert source.missing_variables({variable: "off"}) == [variable]
    assert sources["fit_connect"].resolved_verification_key({}) is None


def test_a_source_that_is_switched_off_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = scripted(monkeypatch, tmp_path, "fit_connect", lambda p, q: routes(), {"A_URL": "off"})
    object.__setattr__(catalogue.source, "location", "${A_URL:-https://portal.example}")
    outcome = catalogue.fetch(asking(MUENCHEN))
    assert (outcome.status, outcome.requests) == ("not_configured", 0)
    assert outcome.problem and "abgeschaltet" in outcome.problem and "A_URL" in outcome.problem


def test_sample_statements_are_verified_by_the_sample_s_key(tmp_path: Path, server: SampleServer) -> None:
    """The known truth of the sample: a delivery point for each local entry that works, except for the residence registration."""
    environ = {"A_KEY": federal.verification_key()}
    land, source = land_of("fit_connect", server.questioned["ROLLIN_FIT_CONNECT_URL"], environ, verification_key=NAMED)
    catalogue = Catalogue(tmp_path, land, source)
    index = server.federal.index
    asked = [Question("x" + key, key, ars) for ars, key in sorted(index.points)]
    record, clean, _ = catalogue.clean(catalogue.fetch(asked))
    assert record.quarantined == {} and set(clean["is_signature_verified"]) == {True}
    local = set(clean.filter(~pl.col("is_inherited")).select("ars", "leika_key").rows())
    assert local == {(ars, key) for (ars, key), points in index.points.items() if ars in points}
    assert set(clean.filter("is_inherited").select("ars", "leika_key").rows()) == set(index.points) - local
