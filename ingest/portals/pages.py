"""Pages: asking for one after the other until all rows are there, and refusing what does not add up.

Belongs here: the four ways in which portals page. Does not: what the rows mean.

Every pager checks that the rows collected equal the promised total and that no page comes twice; otherwise a snapshot would lack
rows and every number behind it would be wrong without anybody noticing.

Asked again, every page is asked for conditionally: an unchanged portal answers each with 304. One question for the whole portal would
not do. The first page's ETag says that its rows and the total are the same; a row of a later page that was corrected in place changes
neither, and no portal of ours promises an order in which it would come first. Where a portal can answer what changed since an instant
(``since`` of the Land file), one question does suffice, and is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from ingest.landfile import HydraPages, NumberedPages, OffsetPages, Pages, TokenPages
from ingest.landing import Part
from ingest.portals.base import IncompleteDelivery
from ingest.portals.documents import lookup, parse, rows_of
from ingest.transport import Client

MAX_PAGES = 5_000


class Collected:
    """The parts so far, their rows, and what was promised. ``empty_status``: a status with which the portal says "nothing found"."""

    def __init__(self, client: Client, items: str | None, empty_status: int | None = None):
        self.parts: list[Part] = []
        self.empty_status = empty_status
        self.rows = 0
        self.promised: int | None = None
        self._client = client
        self._items = items
        self._seen: set[str] = set()

    def add(self, part: Part, *totals: str) -> tuple[Any, int]:
        """Take a page; returns its document and its number of rows. ``totals``: where the number of all rows may be promised."""
        if part.status is not None and part.status == self.empty_status:
            if self.parts:
                raise _incomplete(f"Seite {len(self.parts) + 1:,} gibt es nicht", f"page {len(self.parts) + 1:,} does not exist")
            self.parts.append(part)
            return None, 0
        document = parse(self._client.landing.path(part).read_bytes())
        rows = len(rows_of(document, self._items))
        promised = next((total for path in totals if (total := whole(lookup(document, path))) is not None), None)
        if self.promised is not None and promised is not None and promised != self.promised:
            raise _incomplete(
                f"die Gesamtzahl wechselte von {self.promised:,} auf {promised:,}",
                f"the total changed from {self.promised:,} to {promised:,}",
            )
        self.promised = self.promised if promised is None else promised
        if rows:
            if part.sha256 in self._seen:
                raise _incomplete(
                    f"Seite {len(self.parts) + 1:,} wiederholt eine frühere",
                    f"page {len(self.parts) + 1:,} repeats an earlier one",
                )
            self._seen.add(part.sha256)
        self.parts.append(part)
        self.rows += rows
        if len(self.parts) > MAX_PAGES:
            raise _incomplete(f"mehr als {MAX_PAGES:,} Seiten", f"more than {MAX_PAGES:,} pages")
        return document, rows

    def complete(self) -> list[Part]:
        """The parts, once they hold what was promised."""
        if self.promised is not None and self.rows != self.promised:
            raise _incomplete(f"{self.rows:,} statt {self.promised:,} Zeilen", f"{self.rows:,} instead of {self.promised:,} rows")
        return self.parts


def fetch_pages(client: Client, address: str, params: Mapping[str, str | int], pages: Pages, accept: str) -> list[Part]:
    """Every page of an address, in order; where changes only were asked for (``params``), no rows mean no parts.

    Raises IncompleteDelivery, UnreadableDelivery, TransportError.
    """
    parts, rows = _walk(client, address, params, pages, accept)
    return parts if rows or not params else []


def fetch_all(
    client: Client, address: str, params: Mapping[str, str | int], pages: Pages, accept: str, empty_status: int | None = None
) -> list[Part]:
    """Every page of an address, in order, also where there is no row. ``params`` go with each request. Raises like ``fetch_pages``.

    ``empty_status``: the status with which a portal that pages by token says that it found nothing; its answer is the only part.
    """
    return _walk(client, address, params, pages, accept, empty_status)[0]


def _walk(
    client: Client,
    address: str,
    params: Mapping[str, str | int],
    pages: Pages,
    accept: str,
    empty_status: int | None = None,
) -> tuple[list[Part], int]:
    collected = Collected(client, pages.items, empty_status)
    walk = {"page": _numbered, "hydra": _hydra, "offset": _offset, "token": _token}[pages.kind]
    walk(collected, client, address, dict(params), pages, accept)  # type: ignore[operator]
    return collected.complete(), collected.rows


def _numbered(
    collected: Collected, client: Client, address: str, params: dict[str, Any], pages: NumberedPages, accept: str
) -> None:
    number = pages.first
    while True:
        part = client.get(address, accept, params | {pages.page_parameter: number, pages.size_parameter: pages.size})
        # Spring's older envelope has its totals at the top, the newer one under "page"
        document, rows = collected.add(part, "totalElements", "page.totalElements")
        number += 1
        count = next(
            (n for path in ("totalPages", "page.totalPages") if (n := whole(lookup(document, path))) is not None),
            None,
        )
        if count is not None:
            if number - pages.first >= count:
                return
        elif collected.promised is not None:
            if collected.rows >= collected.promised or not rows:
                return
        elif not rows or lookup(document, "last") is True:
            return


def _hydra(collected: Collected, client: Client, address: str, params: dict[str, Any], pages: HydraPages, accept: str) -> None:
    if pages.size:
        params = params | {pages.size_parameter: pages.size}
    asked: set[str] = set()
    following: str | None = address
    while following:
        if following in asked:
            raise _incomplete("die Verweise auf die nächste Seite laufen im Kreis", "the links to the next page run in circles")
        asked.add(following)
        document, _ = collected.add(client.get(following, accept, params), "hydra:totalItems", "totalItems")
        params = {}
        link = lookup(document, "hydra:view.hydra:next") or lookup(document, "view.next")
        following = urljoin(address, link) if isinstance(link, str) else None
        if following and urlsplit(following)[:2] != urlsplit(address)[:2]:
            raise _incomplete("die nächste Seite liegt auf einem anderen Rechner", "the next page is on another host")


def _offset(collected: Collected, client: Client, address: str, params: dict[str, Any], pages: OffsetPages, accept: str) -> None:
    while True:
        part = client.get(address, accept, params | {pages.offset_parameter: collected.rows, pages.limit_parameter: pages.size})
        _, rows = collected.add(part, pages.total)
        if not rows or (collected.promised is not None and collected.rows >= collected.promised):
            return


def _token(collected: Collected, client: Client, address: str, params: dict[str, Any], pages: TokenPages, accept: str) -> None:
    tokens: set[str] = set()
    while True:
        part = client.get(address, accept, params, empty_status=collected.empty_status)
        document, _ = collected.add(part, *([pages.total] if pages.total else []))
        token = lookup(document, pages.token)
        if not token or not isinstance(token, str):
            return
        if token in tokens:
            raise _incomplete("die Marken der nächsten Seite laufen im Kreis", "the tokens of the next page run in circles")
        tokens.add(token)
        params = params | {pages.token_parameter: token}


def whole(value: Any) -> int | None:
    """A number that JSON brought as text, as a count."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None


def _incomplete(what_de: str, what_en: str) -> IncompleteDelivery:
    return IncompleteDelivery(
        f"Der Abruf ist unvollständig ({what_de}): er wird beim nächsten Lauf wiederholt; hält es an, den Betreiber fragen.",
        f"The fetch is incomplete ({what_en}): it is repeated at the next run; if it persists, ask the operator.",
    )
