"""PVOG Suchdienst: the federal catalogue's search, which online services there are for an area under a LeiKa key.

Belongs here: its addresses, its pages, its "nothing found", what an answer says about the area that was asked for and about others.
Does not: which areas and keys are asked (``Request.questions``), which LeiKa keys make up a service.

Source: the operator's documentation and public clients of ``GET /v1beta2/onlineservices?ars=<12>&leikaIds=<14>``::

    {"totalHits": n, "onlineservices": [{"id", "name", "links": [{"uri"}], "serviceDescriptions": [{"ars": [...]}]}], "nextPageToken"}

The next page is the same call with ``nextPageToken``. **404 means that nothing was found**: a valid and empty answer. Entries hang on
the area that made them, which may be a Kreis, a Land or (ARS 000000000000) the whole of Germany: one whose list does not hold the
asked area itself is *inherited* and proves nothing about that area's authority. The catalogue takes up to 72 hours to show a change.

**Politeness.** There is no bulk export, so every competent authority costs a question, at most about five a second
(``requests_per_second``), and not every night (``every_days``). A list that holds other areas of the same Land answers for them too,
and what was found under one key of a service is not asked for under the others: fetch asks as little as it can, and a snapshot shows
each area under the first key that its entry was found under. Where nothing was found, the Kreis and then the Land are asked, once
each. Bounds (one question per authority and key, none saved): see ``deutschland.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ingest.landfile import Source, TokenPages
from ingest.landing import Part
from ingest.portals import base, pages
from ingest.portals.base import IncompleteDelivery, Request, UnreadableDelivery
from ingest.portals.documents import lookup, parse, rows_of, text_frame
from ingest.transport import Client

ACCEPT = "application/json"
NOTHING_FOUND = 404
PAGES = TokenPages(
    kind="token",
    items="onlineservices",
    token="nextPageToken",  # noqa: S106 - a page's, not a secret
    token_parameter="nextPageToken",  # noqa: S106
    total="totalHits",
)


class PvogSuchdienst:
    """One row per LeiKa key, ARS and address, columns named as in ``ingest.tables.Listings``; ``evidence`` is ``listed``.

    ``is_inherited`` is false where the ARS itself stands in the entry's list. Only areas of Länder that were asked about under the key
    are shown: what a list says about others is chance. ``observed_on`` is left to cleaning: the day of the answer.
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """One part per page of each question."""
        if not request.questions:
            raise base.nothing_to_ask("Suchdienst", "the Suchdienst")
        address = request.address.rstrip("/") + "/v1beta2/onlineservices"
        parts: list[Part] = []
        asked: set[tuple[str, str]] = set()
        found: set[tuple[str, str]] = set()

        def ask(key: str, ars: str) -> set[str] | None:
            """The areas of the Land that have an entry of their own; None where there is no entry at all."""
            asked.add((key, ars))
            answer = pages.fetch_all(client, address, {"ars": ars, "leikaIds": key}, PAGES, ACCEPT, NOTHING_FOUND)
            parts.extend(answer)
            services = [service for part in answer for service in _services(part, client.landing.path(part))]
            return {area for service in services for area in _areas(service)} if services else None

        for question in request.questions:
            service, key, ars = question
            if (service, ars) in found or (key, ars) in asked:
                continue
            areas = ask(key, ars)
            for above in _above(ars) if areas is None else ():
                if (key, above) in asked or ask(key, above) is not None:
                    break
            found.update((service, area) for area in areas or () if area[:2] == ars[:2])
        if all(part.status == NOTHING_FOUND for part in parts):
            raise IncompleteDelivery(
                f"Der Suchdienst antwortet auf jede der {len(parts):,} Fragen, dass er nichts findet (HTTP 404): "
                "'location' im Land-File prüfen, die Adresse hat sich wohl geändert.",
                f"The Suchdienst answers each of {len(parts):,} questions that it finds nothing (HTTP 404): "
                "check 'location' in the Land file, the address has probably changed.",
            )
        return parts

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """Raises UnreadableDelivery: which key was asked for stands in the address only."""
        raise base.not_an_answer("Suchdienst")

    def read_answers(self, answers: Sequence[tuple[Part, Path]], source: Source) -> pl.LazyFrame:
        """All answers, each address once per area."""
        questions = [base.question_of(part, "leikaIds", "ars") for part, _ in answers]
        lands = {(key, ars[:2]) for key, ars in questions} | {(key, "00") for key, _ in questions}
        rows: list[dict[str, str | None]] = []
        for (key, ars), (part, path) in zip(questions, answers, strict=True):
            for service in _services(part, path):
                own = set(_areas(service))
                wanted = {area for area in own if (key, area[:2]) in lands or not area.isdigit()} | {ars}
                delivered = {"id": _text(lookup(service, "id")), "name": _text(lookup(service, "name"))}
                for address in _addresses(service):
                    rows += [
                        {"leika_key": key, "ars": area, "url": address, "is_inherited": str(area not in own).lower(), **delivered}
                        for area in sorted(wanted)
                    ]
        return base.raw_frame(_listings(rows))


def _services(part: Part, path: Path) -> list[Any]:
    """The online services of one answer. Raises UnreadableDelivery for what is none."""
    if part.status == NOTHING_FOUND:
        return []
    services = rows_of(parse(path.read_bytes()), PAGES.items)
    if not all(isinstance(service, dict) for service in services):
        raise _changed("onlineservices")
    return services


def _areas(service: dict[str, Any]) -> Iterator[str]:
    """The areas for which a service is described, padded to 12 digits; what is no key is left for cleaning to refuse."""
    descriptions = service.get("serviceDescriptions")
    for description in descriptions if isinstance(descriptions, list) else []:
        listed = lookup(description, "ars")
        for area in listed if isinstance(listed, list) else [listed] if listed is not None else []:
            yield base.padded(_text(area) or "")


def _addresses(service: dict[str, Any]) -> list[str | None]:
    """The addresses of a service; [None] where it has none, for cleaning to refuse."""
    links = service.get("links")
    found = [_text(lookup(link, "uri")) for link in links] if isinstance(links, list) else []
    return list(dict.fromkeys(address for address in found if address)) or [None]


def _above(ars: str) -> Iterator[str]:
    """The Kreis and the Land above an area."""
    for digits in (5, 2):
        above = ars[:digits].ljust(12, "0")
        if above != ars:
            yield above


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else str(value)


def _changed(name: str) -> UnreadableDelivery:
    return UnreadableDelivery(
        f"Die Antwort des Suchdienstes enthält unter {name} etwas anderes als Einträge: die Schnittstelle hat sich geändert, den Betreiber fragen.",
        f"The answer of the Suchdienst holds something else than entries under {name}: the interface has changed, ask the operator.",
    )


def _listings(rows: list[dict[str, str | None]]) -> pl.DataFrame:
    """Each key, area and address once: an entry of its own counts more than one that is inherited."""
    return (
        text_frame(rows, ("leika_key", "ars", "url", "is_inherited", "id", "name"))
        .sort("leika_key", "ars", "url", "is_inherited", "id")
        .unique(["leika_key", "ars", "url"], keep="first", maintain_order=True)
        .with_columns(pl.struct("leika_key", "ars", "url", "id", "name").alias("_delivered"), evidence=pl.lit("listed"))
        .select("leika_key", "ars", "url", "is_inherited", "evidence", "_delivered")
    )
