"""What the providers of the data allow: which licences are known, what may leave the house under them, and who is to be named.

Belongs here: the closed list of licences, reading what a Land file states, what follows for data made from several sources. Does not:
which deliveries a table rests on (``lineage``), catalogue formats (``data_package``, ``dcat``).

The list is closed on purpose: what a source states in words that are not known here is treated as no licence, and nothing that rests on
it enters the public tier. Landing and the exact tier hold it all the same: they stay in the house.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_DCAT = "http://dcat-ap.de/def/licenses/"


@dataclass(frozen=True)
class Licence:
    """Terms under which data may be handed on.

    ``name``: as a Land file states it. ``url``: its text, None where the terms are the name itself. ``dcat``: its entry in GovData's
    closed list (DCAT-AP.de 2.0, convention 31). ``open_definition``: its identifier there, where it has one.
    """

    name: str
    title: str
    url: str | None
    dcat: str
    open_definition: str | None
    needs_attribution: bool


KNOWN = (
    Licence(
        "dl-de/by-2-0",
        "Datenlizenz Deutschland – Namensnennung – Version 2.0",
        "https://www.govdata.de/dl-de/by-2-0",
        f"{_DCAT}dl-by-de/2.0",
        None,
        True,
    ),
    Licence(
        "dl-de/zero-2-0",
        "Datenlizenz Deutschland – Zero – Version 2.0",
        "https://www.govdata.de/dl-de/zero-2-0",
        f"{_DCAT}dl-zero-de/2.0",
        None,
        False,
    ),
    Licence(
        "CC-BY-4.0",
        "Creative Commons Namensnennung 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/",
        f"{_DCAT}cc-by/4.0",
        "CC-BY-4.0",
        True,
    ),
    Licence(
        "CC0-1.0",
        "Creative Commons CC0 1.0",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        f"{_DCAT}cc-zero",
        "CC0-1.0",
        False,
    ),
)

#: Terms of the embedded sample world, so that it shows a whole public tier.
SAMPLE = "dl-de/by-2-0"

#: Data of several attribution licences at once: no name says what holds, the attributions do.
_MIXED = Licence(
    "mehrere", "Mehrere Lizenzen mit Namensnennung, siehe Quellenvermerke", None, f"{_DCAT}other-open", None, True
)  # fmt: skip

#: Terms that are no licence by name but permit as much: reproduction and distribution where the source is named.
_PERMITTED = re.compile(r"© (?P<owner>.+), Vervielfältigung und Verbreitung, auch auszugsweise, mit Quellenangabe gestattet")

#: What else is written for a known licence.
_ALSO = {
    "cc by 4.0": "cc-by-4.0",
    "cc0": "cc0-1.0",
    "cc zero": "cc0-1.0",
    "dl-by-de/2.0": "dl-de/by-2-0",
    "dl-zero-de/2.0": "dl-de/zero-2-0",
}


def read(stated: str | None) -> Licence | None:
    """The licence that a source states; None where it states none, or one that is not known to permit publication."""
    text = " ".join((stated or "").split())
    if _PERMITTED.fullmatch(text):
        return Licence(text, text, None, f"{_DCAT}other-open", None, True)
    wanted = _ALSO.get(text.lower(), text.lower())
    return next((licence for licence in KNOWN if licence.name.lower() == wanted), None)


def combined(found: Iterable[Licence]) -> Licence | None:
    """What holds for data made from sources under these licences: the one that demands attribution, where there is one; where several
    do, none of them by itself. None without any source."""
    demanding = {licence for licence in found if licence.needs_attribution}
    if len(demanding) > 1:
        return _MIXED
    return next(iter(demanding), None) or min(found, key=lambda licence: licence.name, default=None)


def attribution(licence: Licence, provider: str, source: str) -> str:
    """The source note (Quellenvermerk) of a source, as dl-de/by-2-0 asks for: who, what, which terms, and that the data were processed."""
    if permitted := _PERMITTED.fullmatch(licence.name):
        return f"© {permitted['owner']} ({source}); Daten verarbeitet"
    terms = licence.name if licence.url is None else f"{licence.name}, {licence.url}"
    return f"{provider}: {source} ({terms}); Daten verarbeitet"
