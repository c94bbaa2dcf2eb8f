"""JSON documents as rows: parsing without losing the text of numbers, finding the rows of an answer, flattening them.

Belongs here: what the readers and the pagers of JSON share. Does not: requests (``ingest.portals.pages``), formats
(``ingest.portals.json``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from ingest.portals import base
from ingest.portals.base import UnreadableDelivery

_MAX_DEPTH = 8
ADVICE = ("Adresse und Zugang prüfen", "check address and access")


def parse(data: bytes, encoding: str | None = None, decimal: str | None = None) -> Any:
    """A JSON document, numbers as ``loads`` has them. Raises UnreadableDelivery that says what came instead."""
    if base.kind_of(data[:2000]) not in ("ein JSON-Dokument", "unbekannter Inhalt"):
        raise base.instead(data[:2000], "JSON", "JSON", *ADVICE)
    text = base.decode(data, encoding)
    try:
        return loads(text, decimal)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise UnreadableDelivery(
            f"Das JSON-Dokument ist ab Zeile {line:,} fehlerhaft oder abgeschnitten: erneut liefern oder den Betreiber fragen.",
            f"The JSON document is wrong or cut off from line {line:,}: deliver it again or ask the operator.",
        ) from None


def rows_of(document: Any, items: str | None) -> list[Any]:
    """The list of rows: the document itself, or what ``items`` (names joined by dots) leads to, or the only list of an envelope."""
    if isinstance(document, list):
        return document
    found = lookup(document, items) if items else None
    if found is None and isinstance(document, dict) and not items:
        lists = [value for value in document.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else None
    if isinstance(found, list):
        return found
    keys = ", ".join(repr(key[:40]) for key in list(document)[:6]) if isinstance(document, dict) else type(document).__name__
    raise UnreadableDelivery(
        f"Die Antwort enthält keine Liste{f' unter {items!r}' if items else ''}, sondern {keys or 'nichts'}: pages.items im Land-File prüfen.",
        f"The answer holds no list{f' under {items!r}' if items else ''} but {keys or 'nothing'}: check pages.items in the Land file.",
    )


def lookup(document: Any, path: str | None) -> Any:
    """What a name, or names joined by dots, lead to; None where nothing is there."""
    if path is None or not isinstance(document, dict):
        return None
    if path in document:
        return document[path]
    head, dot, rest = path.partition(".")
    return lookup(document.get(head), rest) if dot else None


def text_frame(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> pl.DataFrame:
    """Rows as a frame of these text columns. Raises UnreadableDelivery for halves of Unicode characters, which JSON can escape."""
    try:
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
    except UnicodeEncodeError:
        raise UnreadableDelivery(
            "Das JSON-Dokument enthält halbe Unicode-Zeichen: die Ausgabe beim Betreiber berichtigen lassen.",
            "The JSON document holds halves of Unicode characters: have the operator correct the output.",
        ) from None


def frame_of(rows: list[Any]) -> pl.DataFrame:
    """Objects as a frame of text columns; anything else among them is kept as ``_malformed``."""
    flat = [_flatten({}, "", row, 1) if isinstance(row, dict) else {"_malformed": _not_an_object(row)} for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    frame = text_frame(flat, names)
    usable = iter(base.column_names(name for name in names if name != "_malformed"))
    return frame.rename({name: name if name == "_malformed" else next(usable) for name in names})


def _flatten(into: dict[str, str | None], prefix: str, row: dict[str, Any], depth: int) -> dict[str, str | None]:
    # a loop over rows in Python, measured against Polars' inference on nested objects: it is twice as fast and loses no text
    for key, value in row.items():
        if type(value) is str or value is None:
            into[prefix + key] = value
        elif value is True or value is False:
            into[prefix + key] = "true" if value else "false"
        elif type(value) is dict and value and depth < _MAX_DEPTH:
            _flatten(into, f"{prefix}{key}.", value, depth + 1)
        else:
            into[prefix + key] = json.dumps(value, ensure_ascii=False)
    # a delivered name that is ours would be taken for ours
    if not prefix and "_malformed" in into:
        into["_malformed "] = into.pop("_malformed")
    return into


def loads(text: str, decimal: str | None = None) -> Any:
    """``json.loads`` with numbers as their text, with the decimal sign (a point unless given) that texts of this source have."""
    as_float = str if decimal in (None, ".") else lambda digits: digits.replace(".", decimal)
    return json.loads(text, parse_float=as_float, parse_int=str, parse_constant=str)


def loads_or_text(line: str, decimal: str | None = None) -> Any:
    """A line as JSON, or as it is where it is none."""
    try:
        return loads(line, decimal)
    except (ValueError, RecursionError):
        return line


def _not_an_object(row: Any) -> str:
    shown = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
    return f"kein JSON-Objekt: {shown[:300]}"
