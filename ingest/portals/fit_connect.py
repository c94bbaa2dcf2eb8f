"""FIT-Connect Routing API: whether a delivery point (Zustellpunkt) exists for a LeiKa key and an area.

Belongs here: its address, its pages, the signed statement of each delivery point. Does not: sending anything to one, which areas and
keys are asked (``Request.questions``), which LeiKa keys make up a service.

Source: FITKO, FIT-Connect Routing API 2.0.0 (OpenAPI), ``GET /routes?leikaKey=&ars=&offset=&limit=`` →
``{count, offset, totalCount, routes: [{destinationId, destinationSignature, destinationName, …}]}``.

``destinationSignature`` is a JWS (RFC 7515, PS512) whose payload says for which areas (``services[].gebietIDs``) and keys
(``services[].leistungIDs``) the delivery point was set up. It is read either way; whether it was *verified* stands in
``is_signature_verified``: true where the source has a ``verification_key`` and the signature fits it, false where it has none. Under
a key a signature that does not fit puts its row into quarantine. Only the signature is checked, no date of validity: the statement
is about the past. ``iat`` is when the statement was issued, and it is issued anew with every change: an upper bound of when the
delivery point went live, not that day. It is therefore no ``observed_on`` and kept in landing only; observed is what was answered, on
the day of the answer.

**What absence says.** Nothing about services that FIT-Connect does not transport. The residence registration (eWA) travels by
OSCI-XMeld, so it is not asked for at all, and a delivery point that is missing contradicts nobody who reports it operational.

**Politeness.** One question per competent authority and key, at most about five a second (``requests_per_second``), not every night
(``every_days``); what was found for an authority under one key of a service is not asked for under the others, and a delivery point
that names several areas answers for all of them. Bounds: see ``deutschland.yaml``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import polars as pl

from ingest.landfile import OffsetPages, Source
from ingest.landing import Part
from ingest.portals import base, pages
from ingest.portals.base import Request, UnreadableDelivery
from ingest.portals.documents import lookup, parse, rows_of, text_frame
from ingest.transport import Client

ACCEPT = "application/json"
PAGES = OffsetPages(kind="offset", items="routes", size=500, total="totalCount")
ALGORITHM = "PS512"

#: Services that reach their authority by another way than FIT-Connect.
NOT_TRANSPORTED = ("ummeldung",)

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


class FitConnect:
    """One row per LeiKa key, ARS and delivery point, columns named as in ``ingest.tables.Listings``; ``evidence`` is ``addressable``.

    ``url`` is the delivery point's id as a name (``urn:uuid:…``): it has no page. ``is_inherited`` is false where the signed statement
    names the area itself. ``observed_on`` is left to cleaning: the day of the answer.
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """One part per page of each question."""
        questions = [question for question in request.questions if question.service_id not in NOT_TRANSPORTED]
        if not questions:
            raise base.nothing_to_ask("Routingdienst von FIT-Connect", "the routing service of FIT-Connect")
        keys = _keys(source.resolved_verification_key())
        address = request.address.rstrip("/") + "/routes"
        parts: list[Part] = []
        found: set[tuple[str, str]] = set()
        for service, key, ars in questions:
            if (service, ars) in found:
                continue
            answer = pages.fetch_all(client, address, {"leikaKey": key, "ars": ars}, PAGES, ACCEPT)
            parts += answer
            for part in answer:
                for route in _routes(client.landing.path(part)):
                    statement, problem = _statement(route, keys)
                    areas = _areas(statement, key) if problem is None else ()
                    found.update((service, area) for area in areas if area[:2] == ars[:2])
        return parts

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """Raises UnreadableDelivery: which key was asked for stands in the address only."""
        raise base.not_an_answer("Routingdienst von FIT-Connect")

    def read_answers(self, answers: Sequence[tuple[Part, Path]], source: Source) -> pl.LazyFrame:
        """All answers, each delivery point once per key and area."""
        keys = _keys(source.resolved_verification_key())
        questions = [base.question_of(part, "leikaKey", "ars") for part, _ in answers]
        lands = {(key, ars[:2]) for key, ars in questions}
        rows: list[dict[str, str | None]] = []
        known: dict[str, tuple[dict[str, Any] | None, str | None]] = {}
        for (key, ars), (_, path) in zip(questions, answers, strict=True):
            for route in _routes(path):
                token = str(route.get("destinationSignature"))
                if token not in known:
                    known[token] = _statement(route, keys)
                statement, problem = known[token]
                destination = str(route.get("destinationId"))
                if statement is not None and statement.get("destinationId") != destination:
                    problem = "die signierten Angaben gehören zu einem anderen Zustellpunkt"
                own = set(_areas(statement, key))
                wanted = {area for area in own if (key, area[:2]) in lands} | {ars} if problem is None else {ars}
                rows += [
                    {
                        "leika_key": key,
                        "ars": area,
                        "url": f"urn:uuid:{destination}" if _UUID.fullmatch(destination) else destination,
                        "is_inherited": str(area not in own).lower(),
                        "is_signature_verified": str(bool(keys)).lower(),
                        "destinationName": None if route.get("destinationName") is None else str(route["destinationName"]),
                        "destinationSignature": token,
                        "_malformed": problem,
                    }
                    for area in sorted(wanted)
                ]
        return base.raw_frame(_listings(rows))


def _routes(path: Path) -> list[dict[str, Any]]:
    """The routes of one page. Raises UnreadableDelivery for what is none."""
    routes = rows_of(parse(path.read_bytes()), PAGES.items)
    if not all(isinstance(route, dict) for route in routes):
        raise UnreadableDelivery(
            "Die Antwort des Routingdienstes enthält unter routes etwas anderes als Zustellpunkte: "
            "die Schnittstelle hat sich geändert, den Betreiber fragen.",
            "The routing service's answer holds something else than delivery points under routes: "
            "the interface has changed, ask the operator.",
        )
    return routes


# -- signatures -------------------------------------------------------------------------------------------------------------


def _keys(text: str | None) -> dict[str | None, jwt.PyJWK | str] | None:
    """The keys of a PEM, a JWK or a JWK set, by their ``kid`` (None: for any); None where no key is configured.

    Raises UnreadableDelivery for a text that is no public RSA key: going on would pass unchecked statements off as checked ones.
    """
    if text is None:
        return None
    try:
        if not text.lstrip().startswith("{"):
            jwt.get_algorithm_by_name(ALGORITHM).prepare_key(text)
            return {None: text}
        document = json.loads(text)
        listed = document.get("keys", [document])
        keys: dict[str | None, jwt.PyJWK | str] = {
            jwk.get("kid"): jwt.PyJWK(jwk, algorithm=ALGORITHM) for jwk in listed if jwk.get("alg", ALGORITHM) == ALGORITHM
        }
        if not keys:
            raise ValueError
        return keys
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnreadableDelivery(
            "Der Prüfschlüssel der Quelle (verification_key) ist kein öffentlicher RSA-Schlüssel: die Umgebungsvariable auf PEM, JWK "
            "oder JWK-Set setzen oder leeren.",
            "The source's verification_key is no public RSA key: set the environment variable to a PEM, a JWK or a JWK set, or empty it.",
        ) from None


def _statement(route: dict[str, Any], keys: dict[str | None, jwt.PyJWK | str] | None) -> tuple[dict[str, Any] | None, str | None]:
    """The signed statement of a route, and in German what is wrong with it."""
    token = route.get("destinationSignature")
    try:
        header, payload = (_segment(part) for part in str(token).split(".")[:2])
    except ValueError:
        return None, "destinationSignature ist kein lesbares JWS"
    if keys is not None:
        kid = header.get("kid")
        key = keys.get(kid if isinstance(kid, str) else None, keys.get(None))
        if key is None:
            return payload, "für die Signatur des Zustellpunkts ist kein Prüfschlüssel hinterlegt (kid)"
        try:
            jwt.PyJWS().decode(str(token), key, algorithms=[ALGORITHM])
        except jwt.PyJWTError:
            return payload, "die Signatur des Zustellpunkts passt nicht zum hinterlegten Prüfschlüssel"
    return payload, None


def _segment(text: str) -> dict[str, Any]:
    """A part of a JWS as an object. Raises ValueError for anything else."""
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, RecursionError) as error:
        raise ValueError from error
    if not isinstance(found, dict):
        raise ValueError
    return found


def _areas(statement: dict[str, Any] | None, key: str) -> Iterator[str]:
    """The areas (ARS of 12 digits) for which a statement names the key: both stand in it as URNs that end in them."""
    services = (statement or {}).get("services")
    for service in services if isinstance(services, list) else []:
        if key in _ends(lookup(service, "leistungIDs")):
            yield from (base.padded(area) for area in _ends(lookup(service, "gebietIDs")))


def _ends(names: Any) -> list[str]:
    return [name.rpartition(":")[2] for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _listings(rows: list[dict[str, str | None]]) -> pl.DataFrame:
    """Each key, area and delivery point once; what is wrong with one is told once per area that was asked for."""
    names = (
        "leika_key",
        "ars",
        "url",
        "is_inherited",
        "is_signature_verified",
        "destinationName",
        "destinationSignature",
        "_malformed",
    )
    return (
        text_frame(rows, names)
        .sort("leika_key", "ars", "url", "_malformed", "is_inherited", nulls_last=False)
        .unique(["leika_key", "ars", "url", "_malformed"], keep="first", maintain_order=True)
        .with_columns(
            pl.struct("leika_key", "ars", "url", "destinationName", "destinationSignature").alias("_delivered"),
            evidence=pl.lit("addressable"),
        )
        .drop("destinationName", "destinationSignature")
    )
