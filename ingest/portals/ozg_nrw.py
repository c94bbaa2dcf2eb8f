"""NRW's OZG-Datenbank: which online service is offered by which commune, and how far its implementation project has come.

Belongs here: its collections and items, references, keys written by hand, and how the dates of a project become events of communes.
Does not: which keys are a service of the programme and which of its phases is which of ours (``values`` of the Land file).

Source: kdn-nrw/OZG-Datenbank-NRW (API Platform 2.6, ``Accept: application/ld+json``): serialisation groups of Solution, Commune,
ServiceSystem, Service and ImplementationProject; ``ImplementationStatus`` for the numbers of the phases. Collections: communes,
service_systems, services, solutions, implementation_projects. Which services a solution offers, and which solutions a project brings,
only their items say.

What the portal cannot say: status and dates belong to a project, not to a commune. The day on which a project reached a phase is the
earliest day on which its communes can have reached it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from ingest.landfile import HydraPages, Source
from ingest.landing import Part
from ingest.portals import base, pages
from ingest.portals.base import Request, UnreadableDelivery
from ingest.portals.documents import parse, text_frame
from ingest.transport import Client, TransportError

ACCEPT = "application/ld+json"
PAGES = HydraPages(kind="hydra", size=100)
COLLECTIONS = ("communes", "service_systems", "services", "solutions", "implementation_projects")

#: Dates of a project in the order of its phases.
PHASES = (
    "projectStartAt",
    "conceptStatusAt",
    "implementationStatusAt",
    "pilotingStatusAt",
    "commissioningStatusAt",
    "nationwideRolloutAt",
)
#: The phase that a project's ``status`` names, by the number that the portal gives it; of any other status we know no phase.
STATUS_PHASE = {
    "2": "projectStartAt",
    "3": "conceptStatusAt",
    "4": "implementationStatusAt",
    "9": "pilotingStatusAt",
    "6": "commissioningStatusAt",
}

EMPTY_COMMUNES = "communes ist leer: gemeint sein kann keine Kommune oder jede, deshalb wird keine Anbindung angenommen"
NO_PROJECT = "kein Umsetzungsprojekt nennt diese Lösung: der Stand der Anbindung ist unbekannt"
NO_DATE = "kein Umsetzungsprojekt dieser Lösung nennt das Datum einer erreichten Phase: der Stand der Anbindung ist unbekannt"
STATUS_WITHOUT_DATE = "der Status des Umsetzungsprojekts nennt eine Phase ohne Datum"
NO_SOLUTION = "keine Lösung der OZG-Datenbank bietet diese Leistung an"

#: Columns of the raw frame.
COLUMNS = (
    "solution",
    "solutionName",
    "url",
    "serviceKey",
    "communeKey",
    "communeName",
    "project",
    "projectName",
    "projectStatus",
    "phase",
    "phaseAt",
    "remark",
)

_LAND = "5"  # of an AGS without its leading zero
_Graph = dict[str, dict[str, dict[str, Any]]]


class OzgNrw:
    """One row per commune, service and phase of the Land file: the earliest day on which a project of one of its solutions reached it.

    Read are the services and phases that ``values`` of the Land file name; a service by its LeiKa key, its OZG number or its name. A date
    beyond the phase that the project's status names is a plan and makes no row; nor does a date of an earlier phase that a later one
    precedes. ``communeKey`` is the AGS (8 digits, of a Kreis also 5), else the ARS; spaces are gone and a missing leading zero is back,
    any other text is left for cleaning to refuse. A solution from which no event follows is one row without ``communeKey`` that
    says why in ``remark``: it ends in quarantine and is never silently none, nor all.
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """The collections in pages, then the items of what concerns the services of the Land file."""
        address = request.address.rstrip("/")
        parts = [
            part for collection in COLLECTIONS for part in pages.fetch_all(client, f"{address}/{collection}", {}, PAGES, ACCEPT)
        ]
        graph = _graph(_documents(client, parts))
        for collection, identity in _items(graph, set(source.values.get("service_id", {}))):
            try:
                item = client.get(f"{address}/{collection}/{identity}", ACCEPT)
            except TransportError as error:
                if error.status != 404:  # listed a moment ago and withdrawn since
                    raise
                continue
            _graph(_documents(client, [item]), is_whole=False)  # an error page in place of an item is a failed fetch
            parts.append(item)
        return parts

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """Pages and items, or a file that holds a list of them."""
        graph = _graph(chain.from_iterable(_split(parse(path.read_bytes())) for path in paths))
        return base.raw_frame(_rows(graph, source.values.get("service_id", {}), source.values.get("phase", {})))


def _documents(client: Client, parts: Iterable[Part]) -> Iterator[Any]:
    return (parse(client.landing.path(part).read_bytes()) for part in parts)


def _split(document: Any) -> list[Any]:
    return document if isinstance(document, list) else [document]


# -- the graph --------------------------------------------------------------------------------------------------------------


def _graph(documents: Iterable[Any], *, is_whole: bool = True) -> _Graph:
    """Everything that pages and items say, by collection and number. Raises UnreadableDelivery for anything else.

    ``is_whole``: communes, solutions and projects must all be there; without one of them no answer would be true.
    """
    graph: _Graph = {collection: {} for collection in COLLECTIONS}
    for document in documents:
        if not isinstance(document, dict):
            raise _not_ours()
        members = document.get("hydra:member", document.get("member"))
        collection = _collection(document.get("@id"))
        if members is None:
            _add(graph, collection, document)
            continue
        if not isinstance(members, list):
            raise _not_ours()
        for member in members:
            _add(graph, collection, member)
    for collection in ("communes", "solutions", "implementation_projects") if is_whole else ():
        if not graph[collection]:
            raise UnreadableDelivery(
                f"Die Antwort der OZG-Datenbank enthält keine {collection}: den Betreiber fragen, ob der Bestand vollständig ist.",
                f"The answer of the OZG-Datenbank holds no {collection}: ask the operator whether its data are complete.",
            )
    return graph


def _add(graph: _Graph, collection: str | None, member: Any) -> None:
    if not isinstance(member, dict):
        raise _not_ours()
    collection = _collection(member.get("@id")) or collection
    identity = _identity(member)
    if collection is None or identity is None:
        raise _not_ours()
    known = graph[collection].setdefault(identity, {})
    known.update({name: value for name, value in member.items() if value is not None})


def _collection(iri: Any) -> str | None:
    """The collection that an IRI belongs to, or is."""
    if not isinstance(iri, str):
        return None
    return next((part for part in reversed(iri.split("?")[0].split("/")) if part in COLLECTIONS), None)


def _identity(reference: Any) -> str | None:
    """The number of what an IRI or an embedded object refers to."""
    iri = reference.get("@id") if isinstance(reference, dict) else reference
    if isinstance(iri, str) and (found := re.search(r"/(\d{1,18})$", iri)):
        return found[1]
    number = reference.get("id") if isinstance(reference, dict) else None
    return number if isinstance(number, str) and re.fullmatch(r"\d{1,18}", number, re.ASCII) else None


def _list(value: Any) -> list[Any]:
    """A list of references; PHP writes one with gaps in its numbering as an object."""
    if isinstance(value, dict) and "@id" not in value:
        return list(value.values())
    return value if isinstance(value, list) else []


def _resolved(graph: _Graph, collection: str, reference: Any) -> dict[str, Any]:
    """What is known of a reference: its entry, and what is embedded where it stands."""
    entry = graph[collection].get(_identity(reference) or "", {})
    embedded = {n: v for n, v in reference.items() if v is not None} if isinstance(reference, dict) else {}
    return {**embedded, **entry}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _words(graph: _Graph, solution: Mapping[str, Any]) -> list[str]:
    """Keys and names of the services that a solution offers, the narrower first."""
    offered = [
        _resolved(graph, "services", o.get("service")) for o in _list(solution.get("serviceSolutions")) if isinstance(o, dict)
    ]
    offered += [_resolved(graph, "service_systems", system) for system in _list(solution.get("serviceSystems"))]
    return [word.strip() for entry in offered for name in ("serviceKey", "name") if (word := _text(entry.get(name)))]


def _items(graph: _Graph, named: set[str]) -> list[tuple[str, str]]:
    """Items worth asking for: solutions of a service system that is named or has a named service, and the projects of such systems."""

    def is_named(entry: Mapping[str, Any]) -> bool:
        return any((_text(entry.get(name)) or "").strip() in named for name in ("serviceKey", "name"))

    systems = {identity for identity, entry in graph["service_systems"].items() if is_named(entry)}
    systems |= {_identity(entry.get("serviceSystem")) or "" for entry in graph["services"].values() if is_named(entry)}

    def of_systems(entry: Mapping[str, Any]) -> set[str]:
        return {_identity(system) or "" for system in _list(entry.get("serviceSystems"))}

    solutions = [("solutions", identity) for identity, entry in graph["solutions"].items() if of_systems(entry) & systems]
    projects = [
        ("implementation_projects", identity)
        for identity, entry in graph["implementation_projects"].items()
        if not of_systems(entry) or of_systems(entry) & systems
    ]
    return solutions + projects


def _not_ours() -> UnreadableDelivery:
    return UnreadableDelivery(
        "Die Lieferung ist kein Auszug der OZG-Datenbank NRW (JSON-LD mit hydra:member): Adresse und Format prüfen.",
        "The delivery is no harvest of the OZG-Datenbank NRW (JSON-LD with hydra:member): check address and format.",
    )


# -- the rows ---------------------------------------------------------------------------------------------------------------


def _rows(graph: _Graph, services: Mapping[str, Any], phases: Mapping[str, Any]) -> pl.DataFrame:
    """The events of all communes, and a row with a remark for what is known to be there without making one."""
    offers, places = [], []
    for identity, solution in graph["solutions"].items():
        named: dict[str, str] = {}
        for word in _words(graph, solution):
            if word in services:
                named.setdefault(str(services[word]), word)
        names = {"solution": identity, "solutionName": _text(solution.get("name")), "url": _text(solution.get("url"))}
        offers += [names | {"service": service, "serviceKey": word} for service, word in named.items()]
        for reference in _list(solution.get("communes")) if named else []:
            commune = _resolved(graph, "communes", reference)
            place = {name: _text(commune.get(name)) for name in ("officialCommunityKey", "regionalKey", "name")}
            places.append({"solution": identity, **place, "reference": _text(reference)})
    dates = []
    for identity, project in graph["implementation_projects"].items():
        status = _identity(project.get("status")) or ""
        known = {"project": identity, "projectName": _text(project.get("name")), "status": status}
        known |= {name: _text(project.get(name)) for name in PHASES} | {"projectStatus": _status_name(project.get("status"))}
        references = [s for name in ("publishedSolutions", "solutions") for s in _list(project.get(name))]
        brought = {number for reference in references if (number := _identity(reference))}
        dates += [known | {"solution": solution} for solution in sorted(brought)]

    offer = text_frame(offers, ("solution", "solutionName", "url", "service", "serviceKey"))
    typed = text_frame(places, ("solution", "officialCommunityKey", "regionalKey", "name", "reference"))
    keyed = typed.select("solution", _key().alias("communeKey"), communeName="name").unique(maintain_order=True)
    known_dates = text_frame(dates, ("solution", "project", "projectName", "projectStatus", "status", *PHASES))
    dated = offer.join(known_dates, on="solution", how="inner", maintain_order="left")
    reached, undated = _reached(dated, phases)
    events = _earliest(reached.join(keyed, on="solution", how="inner", maintain_order="left"))
    unlisted = [
        {"serviceKey": word, "remark": NO_SOLUTION}
        for service, word in {str(service): word for word, service in services.items()}.items()
        if service not in set(offer["service"])
    ]
    remark = (
        pl.when(~pl.col("solution").is_in(keyed["solution"].implode()))
        .then(pl.lit(EMPTY_COMMUNES))
        .when(~pl.col("solution").is_in(known_dates["solution"].implode()))
        .then(pl.lit(NO_PROJECT))
        .otherwise(pl.lit(NO_DATE))
    )
    told = reached.join(keyed, on="solution", how="semi")
    silent = offer.join(told, on=["solution", "serviceKey"], how="anti", maintain_order="left")
    findings = [silent.with_columns(remark=remark), undated, text_frame(unlisted, ("serviceKey", "remark"))]
    return pl.concat([_shaped(frame) for frame in (events, *findings)])


def _status_name(status: Any) -> str | None:
    return _text(status.get("name")) if isinstance(status, dict) else _text(status)


def _shaped(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name) if name in frame.columns else pl.lit(None, pl.String).alias(name) for name in COLUMNS)


def _key() -> pl.Expr:
    """The key of a commune from two texts that people typed: what is unambiguous is put right, anything else is kept as it came."""

    def typed(name: str, lengths: str) -> tuple[pl.Expr, pl.Expr]:
        digits = pl.col(name).str.replace_all(r"\s", "")
        digits = pl.when(digits.str.contains(rf"^{_LAND}\d+$")).then(pl.lit("0") + digits).otherwise(digits)
        return digits, digits.str.contains(rf"^\d{lengths}$").fill_null(False)

    ags, is_ags = typed("officialCommunityKey", r"{8}$|^\d{5}")
    ars, is_ars = typed("regionalKey", r"{12}")
    of_ars = pl.when(ags.str.len_bytes() == 8).then(ars.str.head(5) + ars.str.tail(3)).otherwise(ars.str.head(5))
    written = [
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in ("officialCommunityKey", "regionalKey")
    ]
    return (
        pl.when(is_ags & is_ars & (ags != of_ars))
        .then(pl.format("AGS {} ≠ ARS {}", "officialCommunityKey", "regionalKey"))
        .when(is_ags)
        .then(ags)
        .when(is_ars)
        .then(ars)
        .otherwise(pl.coalesce(*written, "reference"))
    )


def _reached(project: pl.DataFrame, phases: Mapping[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The dated phases of the Land file that a project has reached, and the projects whose status names such a phase without a date."""
    order = pl.DataFrame({"phase": PHASES, "order": list(range(len(PHASES)))})
    status_order = pl.col("status").replace_strict(
        {number: PHASES.index(phase) for number, phase in STATUS_PHASE.items()}, default=None, return_dtype=pl.Int64
    )
    ours = order.filter(pl.col("phase").is_in(list(phases)))
    long = (
        project.with_columns(status_order=status_order)
        .unpivot(list(PHASES), index=[*[n for n in project.columns if n not in PHASES], "status_order"], variable_name="phase")
        .rename({"value": "phaseAt"})
        .join(ours, on="phase", how="inner", maintain_order="left")
        .with_columns(mapped=pl.col("phase").replace_strict({p: str(v) for p, v in phases.items()}, default=None))
    )
    is_dated = pl.col("phaseAt").is_not_null()
    reached = long.filter(is_dated & (pl.col("order") <= pl.col("status_order").fill_null(len(PHASES))))
    undated = long.filter(~is_dated & (pl.col("order") == pl.col("status_order")))
    return reached, undated.with_columns(remark=pl.lit(STATUS_WITHOUT_DATE))


def _earliest(events: pl.DataFrame) -> pl.DataFrame:
    """Of each commune and service the earliest day per phase of ours, without days of a phase that a later one precedes.

    A date that cannot be read takes no part in this and is left for cleaning to refuse.
    """
    day = pl.coalesce(
        pl.col("phaseAt").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC"),
        pl.col("phaseAt").str.head(10).str.to_datetime("%Y-%m-%d", strict=False, time_unit="us", time_zone="UTC"),
    )
    # communes without any key stay apart: by their names and solutions
    who = pl.coalesce("communeKey", pl.format("{}/{}", "solution", pl.col("communeName").fill_null("")))
    events = events.with_columns(_day=day, _who=who).sort("service", "_who", "_day", "order", "solution", "project")
    dated = events.filter(pl.col("_day").is_not_null()).unique(["service", "_who", "mapped"], keep="first", maintain_order=True)
    later = pl.col("_day").reverse().cum_min().shift(1).reverse().over("service", "_who", order_by=["order", "_day"])
    dated = dated.with_columns(_later=later).filter(pl.col("_later").is_null() | (pl.col("_day") <= pl.col("_later")))
    return pl.concat([dated.drop("_later"), events.filter(pl.col("_day").is_null())])
