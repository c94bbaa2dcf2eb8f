"""Two federal catalogues over the sample's listings, as they answer questions, and SDG files about the listed pages.

Belongs here: the manners of the PVOG Suchdienst and of the FIT-Connect Routing API (answers, pages, errors, signatures). Does not: the
Data Hub, which serves the same listings whole, and HTTP (``server``).

Both show what the Data Hub's file shows, so nothing that is true of one is false of the other: an entry of an authority's own is local
here as there, one that only reaches down to it is inherited, entries that are inactive or contradict each other are left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ingest.sample.world import LEIKA

#: Prefixes of the two services' paths.
SUCHDIENST, FIT_CONNECT = "/suchdienst/api", "/fit-connect/v2"

_HEADERS = {"RateLimit-Limit": "500", "RateLimit-Remaining": "499", "RateLimit-Reset": "60"}
_NAMESPACE = uuid.UUID("6f6c6c69-6e00-5000-8000-73616d706c65")
_REACH = {"bundesweit flächendeckend": 0, "landesweit flächendeckend": 2, "kreisweit flächendeckend": 5}

Listed = list[dict[str, str]]
#: Status, document, headers.
Given = tuple[int, Any, Mapping[str, str]]


class Federal:
    """The two catalogues over ``listed``, the rows of the Data Hub's file as they are at the moment of a question.

    ``page_size``: online services per page of the Suchdienst, which its callers cannot choose.
    """

    def __init__(self, listed: Callable[[], Listed]):
        self.page_size = 20
        self._listed = listed
        self._index: tuple[Listed, _Index] | None = None

    def answer(self, path: str, query: Mapping[str, str]) -> Given | None:
        """The answer to a GET, None for a path that is neither catalogue's."""
        if path == f"{SUCHDIENST}/v1beta2/onlineservices":
            return self._services(query)
        if path == f"{FIT_CONNECT}/routes":
            return self._routes(query)
        if path == f"{FIT_CONNECT}/info":
            return 200, {"version": {"major": 2, "minor": 0, "patch": 0}}, {}
        return None

    @property
    def index(self) -> _Index:
        """The listings by area and key, made anew when they have changed."""
        listed = self._listed()
        if self._index is None or self._index[0] is not listed:
            self._index = (listed, _Index(listed))
        return self._index[1]

    def _services(self, query: Mapping[str, str]) -> Given:
        ars, key = query.get("ars", ""), query.get("leikaIds")
        start = query.get("nextPageToken", "page-0").removeprefix("page-")
        if not re.fullmatch(r"\d{12}", ars) or (key is not None and not re.fullmatch(r"\d{14}", key)) or not start.isdigit():
            return 400, {"status": 400, "error": "Bad Request"}, {}
        keys = sorted(self.index.keys_of[ars]) if key is None else [key]
        found = [(one, url) for one in keys for url in sorted(self.index.shown.get((ars, one), ()))]
        page = found[int(start) : int(start) + self.page_size]
        if not page:
            return 404, {"status": 404, "error": "Not Found"}, {}
        document: dict[str, Any] = {
            "totalHits": len(found),
            "onlineservices": [
                {
                    "id": str(uuid.uuid5(_NAMESPACE, f"{one} {url}")),
                    "name": url.rpartition("/")[2],
                    "links": [{"uri": url}],
                    "serviceDescriptions": [{"ars": sorted(self.index.own[one, url])}],
                }
                for one, url in page
            ],
        }
        following = int(start) + self.page_size
        return 200, document | ({"nextPageToken": f"page-{following}"} if following < len(found) else {}), {}

    def _routes(self, query: Mapping[str, str]) -> Given:
        ars, key = query.get("ars", ""), query.get("leikaKey", "")
        offset, limit = query.get("offset", "0"), query.get("limit", "100")
        is_sound = (
            re.fullmatch(r"99\d{12}", key)
            and re.fullmatch(r"\d{2}|\d{3}|\d{5}|\d{9}|\d{12}", ars)
            and not {"ags", "areaId"} & query.keys()
            and offset.isdigit()
            and limit.isdigit()
            and 1 <= int(limit) <= 500
        )
        if not is_sound:
            problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "leikaKey and one area are needed"}
            return 400, problem, _HEADERS | {"Content-Type": "application/problem+json"}
        transported = self.index.points.get((ars.ljust(12, "0"), key), [])
        page = [_route(area, self.index.offered[area]) for area in transported[int(offset) : int(offset) + int(limit)]]
        document = {"count": len(page), "offset": int(offset), "totalCount": len(transported), "routes": page}
        return 200, document, _HEADERS


class _Index:
    """The listings that hold. ``shown``: (ARS, key) -> addresses; ``own``: (key, address) -> the areas whose own entry it is;
    ``keys_of``: ARS -> keys; ``offered``: ARS -> keys under which its own entry works; ``points``: (ARS, key) -> areas whose delivery
    point is in charge there."""

    def __init__(self, listed: Listed):
        classes = defaultdict(set)
        for row in listed:
            classes[row["leika_key"], row["ars"], row["url"]].add(row["art_flaechendeckung"])
        self.shown: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.own: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.keys_of: dict[str, set[str]] = defaultdict(set)
        self.offered: dict[str, set[str]] = defaultdict(set)
        self.points: dict[tuple[str, str], list[str]] = defaultdict(list)
        inherits = set()
        for row in listed:
            key, ars, url = row["leika_key"], row["ars"], row["url"]
            if row["aktiv"] != "ja" or not re.fullmatch(r"99\d{12}", key) or len(classes[key, ars, url]) > 1:
                continue
            digits = next((n for n in (0, 2, 5) if not ars[n:].strip("0")), 12)
            self.shown[ars, key].add(url)
            self.keys_of[ars].add(key)
            if _REACH.get(row["art_flaechendeckung"], 12) < digits:
                inherits.add((ars, key))
                self.own[key, url].add(ars[:2].ljust(12, "0"))
            else:
                self.own[key, url].add(ars)
                if row["online_status"] == "ok":
                    self.offered[ars].add(key)
        not_transported = set(LEIKA["ummeldung"])
        for area, keys in self.offered.items():
            for key in keys - not_transported:
                self.points[area, key].append(area)
        for ars, key in sorted(entry for entry in inherits if entry[1] not in not_transported):
            land = ars[:2].ljust(12, "0")
            if (ars, key) not in self.points and key in self.offered[land]:
                self.points[ars, key].append(land)


# -- delivery points ---------------------------------------------------------------------------------------------------------


@cache
def _signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def verification_key() -> str:
    """The public key (PEM) of this process's delivery points."""
    pem: bytes = _signer().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _route(area: str, keys: Iterable[str]) -> dict[str, Any]:
    destination = str(uuid.uuid5(_NAMESPACE, f"destination {area}"))
    return {
        "destinationId": destination,
        "destinationSignature": signature(destination, (area,), tuple(sorted(set(keys) - set(LEIKA["ummeldung"])))),
        "destinationName": f"Zustellpunkt {area} (synthetisch)",
        "origin": "Rollin-Sample",
    }


@cache
def signature(destination: str, areas: tuple[str, ...], keys: tuple[str, ...], kid: str = "rollin-sample") -> str:
    """A delivery point's signed statement: for which areas (ARS) and LeiKa keys it was set up, issued on 1 October 2026."""
    payload = {
        "submissionHost": "submission.example",
        "iss": "https://portal.example",
        "services": [
            {
                "gebietIDs": [f"urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs:{_stem(area)}" for area in areas],
                "leistungIDs": [f"urn:de:fim:leika:leistung:{key}" for key in keys],
            }
        ],
        "destinationId": destination,
        "iat": int(datetime(2026, 10, 1, 8, tzinfo=UTC).timestamp()),
        "jti": str(uuid.uuid5(_NAMESPACE, f"statement {destination}")),
    }
    return jwt.encode(payload, _signer(), algorithm="PS512", headers={"kid": kid})


def _stem(ars: str) -> str:
    """An ARS without the zeros that only pad it: its first 2, 5, 9 or 12 digits."""
    return next((ars[:n] for n in (2, 5, 9) if not ars[n:].strip("0")), ars)


# -- visits of pages ---------------------------------------------------------------------------------------------------------


def sdg_file(addresses: Iterable[str], first_day: date, last_day: date, unique_id: str, counting: str = "sources") -> bytes:
    """An SDG file about pages in a period; visits follow from address, country, device and ``unique_id``.

    ``counting``: whether ``nbEntries`` counts "sources" or "statistics".
    """
    sources = [
        {
            "sourceUrl": address,
            "statistics": [
                {
                    "nbVisits": hashlib.sha256(f"{address} {country} {device} {unique_id}".encode()).digest()[0],
                    "originatingCountry": country,
                    "deviceType": device,
                }
                for country, device in (("DE", "PC"), ("DE", "Smartphone"), ("EL", "Tablet"), ("AT", "Others"))
            ],
        }
        for address in addresses
    ]
    document = {
        "uniqueId": unique_id,
        "referencePeriod": {"startDate": f"{first_day}T00:00:00Z", "endDate": f"{last_day}T23:59:59Z"},
        "transferDate": f"{last_day}T23:59:59Z",
        "transferType": "Manual",
        "nbEntries": len(sources) if counting == "sources" else sum(len(one["statistics"]) for one in sources),
        "sources": sources,
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
