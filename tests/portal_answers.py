"""One small recorded answer per portal format and way of paging, for tests of what happens when it comes damaged, late or not at all.

A new format joins these tests by an entry in ``CASES``.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from ingest.clean import CleaningRecord, clean_delivery
from ingest.landfile import LandFile, Source
from ingest.landing import Delivery, Landing
from ingest.portals import Question
from ingest.sample.server import Answer
from tests.clean_world import references

NOW = datetime(2026, 10, 31, 1, tzinfo=UTC)
#: What a portal answers to a path below its address and a query.
Answers = Callable[[str, dict[str, str]], Answer]

_JSON = {"Content-Type": "application/json"}
_ROWS = [{"ars": ars, "jahr": 2020 + year, "faelle": 10 + year} for ars in ("09161000", "09174115") for year in range(3)]
_COLUMNS = {"region_key": "ars", "year": "jahr", "cases": "faelle"}


@dataclass(frozen=True)
class Case:
    """``rows``: how many rows the whole answer has; ``is_paged``: it comes in pages that promise a total and can repeat."""

    name: str
    source: dict[str, Any]
    answers: Answers
    rows: int = len(_ROWS)
    land_code: str = "09"
    is_paged: bool = False
    questions: tuple[Question, ...] = ()

    def land(self, location: str) -> tuple[LandFile, Source]:
        """A Land with this source alone."""
        entries = {"name": self.name, "table": "case_volumes", "delivers": "snapshot", **self.source, "location": location}
        programme = {"start": "2026-01-21", "target": {"date": "2026-12-31", "share": 1.0}, "services": ["ummeldung"]}
        more = {"programme": programme, "competences": {"ummeldung": {"level": "gemeinde"}}} if self.land_code != "00" else {}
        land = LandFile.model_validate({"land_code": self.land_code, "name": "Test", "sources": [entries], **more})
        return land, land.sources[0]

    def clean(self, home: Path, land: LandFile, delivery: Delivery) -> CleaningRecord:
        """Clean a delivery of this source."""
        reference = references().get(self.land_code, references()["09"])
        return clean_delivery(home, Landing(home), land, land.sources[0], delivery, reference, NOW)


def document(content: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), _JSON)


def _file(body: bytes) -> Answers:
    return lambda path, query: Answer(200, body, {"Content-Type": "application/octet-stream"})


# -- tables -----------------------------------------------------------------------------------------------------------------


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=";", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _xlsx(*sheets: Sequence[Sequence[Any]]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": datetime(2026, 1, 1)})
        for rows in sheets:
            page = book.add_worksheet()
            for number, row in enumerate(rows):
                page.write_row(number, 0, row)
    return buffer.getvalue()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


# -- pages ------------------------------------------------------------------------------------------------------------------


def _numbered(is_nested: bool) -> Answers:
    def answer(path: str, query: dict[str, str]) -> Answer:
        number, size = int(query["page"]), int(query["size"])
        totals = {"size": size, "number": number, "totalElements": len(_ROWS), "totalPages": -(-len(_ROWS) // size)}
        content = _ROWS[number * size : (number + 1) * size]
        return document({"content": content, **({"page": totals} if is_nested else totals)})

    return answer


def _hydra(path: str, query: dict[str, str]) -> Answer:
    page, size = int(query.get("page", 1)), int(query.get("itemsPerPage", 2))
    view = {"hydra:next": f"{path}?itemsPerPage={size}&page={page + 1}"} if page * size < len(_ROWS) else {}
    content = _ROWS[(page - 1) * size : page * size]
    return document({"hydra:member": content, "hydra:totalItems": len(_ROWS), "hydra:view": view})


def _offset(path: str, query: dict[str, str]) -> Answer:
    offset, limit = int(query["offset"]), int(query["limit"])
    return document({"items": _ROWS[offset : offset + limit], "totalCount": len(_ROWS)})


def _token(path: str, query: dict[str, str]) -> Answer:
    start = int(query.get("marke", 0))
    following = {"weiter": str(start + 2)} if start + 2 < len(_ROWS) else {}
    return document({"items": _ROWS[start : start + 2], "totalHits": len(_ROWS), **following})


# -- portals ----------------------------------------------------------------------------------------------------------------


def _record(kind: str, key: str, name: str, rest: str = "") -> str:
    return (kind + "20251130" + key.ljust(12) + name.ljust(50)).ljust(122) + rest.ljust(98)


_GV100AD = "\n".join(
    [
        _record("10", "06", "Hessen"),
        _record("20", "064", "Reg.-Bez. Darmstadt"),
        _record("40", "06435", "Main-Kinzig-Kreis", "44"),
        _record("50", "06435   0014", "Hanau, Brüder-Grimm-Stadt", "50"),
        _record("60", "064350140014", "Hanau, Brüder-Grimm-Stadt", "63" + " " * 4 + "0000000765000000097956".ljust(70)),
        _record("50", "06435   0001", "Bad Orb, Stadt", "50"),
        _record("60", "064350010001", "Bad Orb, Stadt", "63" + " " * 4 + "0000000478000000010500".ljust(70)),
        "",
    ]
).encode()

_HANAU = ["06/2026/1-R", "Gemeinde", "064350014014", "06435014", "Hanau", "3", "", "", "064150000000", "06415000", "Hanau"]
_CHANGES = [
    ["Gebietsänderungen"],
    ["Kennziffer", *[f"Spalte {number}" for number in range(2, 14)]],
    [*_HANAU, "01.01.2026", "01.01.2026"],
    ["© Destatis"],
]

_LISTED = [
    {
        "leika_key": "99012070006000",
        "ars": ars,
        "url": f"https://{ars}.example/bauen",
        "online_status": "ok",
        "aktiv": "ja",
        "art_flaechendeckung": "in mind. einer Kommune verfügbar",
        "datenstand_pvog_import": "2026-10-30",
    }
    for ars in ("091610000000", "091740115115")
]


def _data_hub(is_exported: bool) -> Answers:
    def answer(path: str, query: dict[str, str]) -> Answer:
        if not path.endswith("/export"):
            page = {"totalElements": len(_LISTED), "totalPages": 1, "number": 0}
            return document({"content": _LISTED, "page": page})
        if is_exported:
            return Answer(200, _csv(_LISTED), {"Content-Type": "application/octet-stream"})
        return document({"status": 413}, 413)

    return answer


_QUESTIONS = (
    Question("bauantrag", "99012070006000", "091610000000"),
    Question("bauantrag", "99012070006000", "091740115115"),
)


def _suchdienst(path: str, query: dict[str, str]) -> Answer:
    service = {
        "id": f"S100-{query['ars']}{query.get('nextPageToken', '')}",
        "name": "Bauantrag",
        "links": [{"uri": f"https://{query['ars']}.example/{query.get('nextPageToken', '')}"}],
        "serviceDescriptions": [{"ars": [query["ars"]]}],
    }
    following = {} if "nextPageToken" in query else {"nextPageToken": "b"}
    return document({"totalHits": 2, "onlineservices": [service], **following})


def _segment(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _routing(path: str, query: dict[str, str]) -> Answer:
    identity = f"00000000-0000-4000-8000-{query['ars']}"
    statement = {
        "destinationId": identity,
        "iat": 1_790_000_000,
        "services": [
            {
                "gebietIDs": [f"urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs:{query['ars']}"],
                "leistungIDs": [f"urn:de:fim:leika:leistung:{query['leikaKey']}"],
            }
        ],
    }
    signed = f"{_segment({'alg': 'PS512', 'kid': 'k'})}.{_segment(statement)}.c2ln"
    route = {"destinationId": identity, "destinationSignature": signed, "destinationName": "Bauamt"}
    offset = int(query["offset"])
    return document({"count": 1, "offset": offset, "totalCount": 1, "routes": [route][offset:]})


_COLLECTIONS: dict[str, list[dict[str, Any]]] = {
    "communes": [
        {"id": 1, "name": "Aachen", "officialCommunityKey": "05334002", "regionalKey": "053340002002"},
        {"id": 2, "name": "Bonn", "officialCommunityKey": "5 314 000", "regionalKey": ""},
    ],
    "services": [{"id": 7, "serviceKey": "99115005104000", "name": "Ummeldung", "serviceSystem": "/api/service_systems/8"}],
    "service_systems": [{"id": 8, "serviceKey": "10173", "name": "Meldewesen"}],
    "solutions": [
        {
            "id": 3,
            "name": "eWA",
            "url": "https://ewa.example",
            "communes": ["/api/communes/1", "/api/communes/2"],
            "serviceSystems": ["/api/service_systems/8"],
            "serviceSolutions": [{"service": "/api/services/7"}],
        }
    ],
    "implementation_projects": [
        {
            "id": 4,
            "name": "Rollout",
            "status": {"id": 6, "name": "Betrieb"},
            "serviceSystems": ["/api/service_systems/8"],
            "solutions": ["/api/solutions/3"],
            "commissioningStatusAt": "2026-08-01T00:00:00+02:00",
        }
    ],
}


def _ozg_nrw(path: str, query: dict[str, str]) -> Answer:
    *_, collection, identity = path.split("/")
    if collection in _COLLECTIONS:
        found = next(entry for entry in _COLLECTIONS[collection] if str(entry["id"]) == identity)
        return document({"@id": f"/api/{collection}/{identity}", **found})
    members = [{"@id": f"/api/{identity}/{entry['id']}", **entry} for entry in _COLLECTIONS[identity]]
    return document({"@id": f"/api/{identity}", "hydra:member": members, "hydra:totalItems": len(members)})


_SDG = {
    "uniqueId": "a1",
    "referencePeriod": {"startDate": "2026-09-01T00:00:00Z", "endDate": "2026-09-30T23:59:59Z"},
    "transferDate": "2026-10-02T00:00:00Z",
    "transferType": "Manual",
    "nbEntries": 1,
    "sources": [
        {
            "sourceUrl": "https://a.example/bauen",
            "statistics": [
                {"nbVisits": 42, "originatingCountry": "DE", "deviceType": "PC"},
                {"nbVisits": 3, "originatingCountry": "AT", "deviceType": "Tablet"},
            ],
        }
    ],
}

_TABLE: dict[str, Any] = {"columns": _COLUMNS, "constants": {"service_id": "ummeldung"}}
_PLAIN = [list(_ROWS[0]), *(list(row.values()) for row in _ROWS)]

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("json_whole", _TABLE | {"format": "json"}, lambda path, query: document(_ROWS)),
        Case(
            "json_numbered",
            _TABLE | {"format": "json", "pages": {"kind": "page", "size": 2}},
            _numbered(is_nested=False),
            is_paged=True,
        ),
        Case(
            "json_nested",
            _TABLE | {"format": "json", "pages": {"kind": "page", "size": 2}},
            _numbered(is_nested=True),
            is_paged=True,
        ),
        Case("json_hydra", _TABLE | {"format": "json", "pages": {"kind": "hydra", "size": 2}}, _hydra, is_paged=True),
        Case(
            "json_offset",
            _TABLE | {"format": "json", "pages": {"kind": "offset", "items": "items", "size": 2, "total": "totalCount"}},
            _offset,
            is_paged=True,
        ),
        Case(
            "json_token",
            _TABLE
            | {
                "format": "json",
                "pages": {
                    "kind": "token",
                    "items": "items",
                    "token": "weiter",
                    "token_parameter": "marke",
                    "total": "totalHits",
                },
            },
            _token,
            is_paged=True,
        ),
        Case("ndjson", _TABLE | {"format": "ndjson"}, _file("".join(json.dumps(row) + "\n" for row in _ROWS).encode())),
        Case("csv", _TABLE | {"format": "csv"}, _file(_csv(_ROWS))),
        Case("xlsx", _TABLE | {"format": "xlsx"}, _file(_xlsx(_PLAIN))),
        Case("parquet", _TABLE | {"format": "parquet"}, _file(_parquet(_ROWS))),
        Case("gv100ad", {"format": "gv100ad", "table": "regions"}, _file(_GV100AD), rows=2, land_code="00"),
        Case(
            "gebietsaenderungen",
            {"format": "gebietsaenderungen", "table": "territory_changes", "delivers": "changes"},
            _file(_xlsx([["©"]], _CHANGES)),
            rows=1,
            land_code="00",
        ),
        Case("open_pvog", {"format": "open_pvog", "table": "listings"}, _data_hub(True), rows=2, land_code="00"),
        Case(
            "open_pvog_pages",
            {"format": "open_pvog", "table": "listings"},
            _data_hub(False),
            rows=2,
            land_code="00",
        ),
        Case(
            "pvog_suchdienst",
            {"format": "pvog_suchdienst", "table": "listings"},
            _suchdienst,
            rows=4,
            land_code="00",
            is_paged=True,
            questions=_QUESTIONS,
        ),
        Case(
            "fit_connect",
            {"format": "fit_connect", "table": "listings"},
            _routing,
            rows=2,
            land_code="00",
            questions=_QUESTIONS,
        ),
        Case(
            "ozg_nrw",
            {
                "format": "ozg_nrw",
                "table": "connections",
                "columns": {"region_key": "communeKey", "service_id": "serviceKey", "phase": "phase", "effective_on": "phaseAt"},
                "values": {"service_id": {"99115005104000": "ummeldung"}, "phase": {"commissioningStatusAt": "operational"}},
            },
            _ozg_nrw,
            rows=2,
            land_code="05",
        ),
        Case(
            "sdg_json",
            {"format": "sdg_json", "table": "page_visits", "delivers": "changes"},
            lambda path, query: document(_SDG),
            rows=2,
            land_code="00",
        ),
    )
}
#: Cases whose envelopes promise a total that ``wrong_total`` makes wrong.
PROMISING = [name for name, case in CASES.items() if case.is_paged] + ["open_pvog_pages", "fit_connect", "ozg_nrw"]
