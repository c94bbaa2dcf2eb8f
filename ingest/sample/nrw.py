"""North Rhine-Westphalia's synthetic deliveries: the harvest of its OZG-Datenbank, its portal over such a harvest, its statistics.

Belongs here: how the world's connections look as solutions, projects and communes, with the quirks of that portal, and its manners (Hydra
pages, items, relative addresses). Does not: what happens in the world (``ingest.sample.world``), sockets (``ingest.sample.server``).

Names and numbers of solutions, projects and service systems are invented, but for the LeiKa keys and the OZG number 10169.
Format: kdn-nrw/OZG-Datenbank-NRW, serialisation groups of its entities.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import polars as pl

from ingest import clock
from ingest.sample.world import BY_PROJECT, World

FILE = f"{BY_PROJECT}/ozg-datenbank.json"
_COLLECTIONS = ("communes", "service_systems", "services", "solutions", "implementation_projects")
_TYPES = ("Commune", "ServiceSystem", "Service", "Solution", "ImplementationProject")

#: Date of a project, the world's day it is, and the number and name of the status that it brings.
_DATES = (
    ("projectStartAt", "planned", 2, "Vorbereitung"),
    ("implementationStatusAt", "started", 4, "Umsetzung"),
    ("pilotingStatusAt", "onboarding", 9, "Pilotierung"),
    ("commissioningStatusAt", "accepted", 6, "Inbetriebnahme"),
)
_SYSTEMS = {"ummeldung": 1, "fuehrerschein": 2}
_LEIKA = {1: ("99115005104000", "Wohnsitz Ummeldung"), 2: ("99115003012000", "Wohnsitz Anmeldung")}
_OZG_ID = "10169"
#: So many events bear one faulty commune of every kind without the harvest as a whole being in doubt.
_EVENTS_FOR_FAULTS = 300

Raw = dict[str, str | None]


def harvest(world: World) -> tuple[bytes, list[tuple[Raw, str]], int]:
    """What the portal says on the world's last day: a JSON list of its collections and of the items that say more.

    Returns it with the rows of a reading that belong into quarantine, each with its rule, and the number of all rows.
    """
    day = world.parameters.end
    plan = world.plan.filter(pl.col("land_code") == BY_PROJECT)
    events = world.connections.filter(pl.col("land_code") == BY_PROJECT).height
    communes, number_of = _communes(world)
    entries: dict[str, list[dict[str, Any]]] = {name: [] for name in _COLLECTIONS}
    items: list[dict[str, Any]] = []
    dirty: list[tuple[Raw, str]] = []
    entries["communes"] = communes
    entries["service_systems"] = [
        _entry("service_systems", 1, name="Ummeldung", serviceKey=None),
        _entry("service_systems", 2, name="Führerschein", serviceKey=_OZG_ID),
        _entry("service_systems", 3, name="Hundesteuer (synthetisch)", serviceKey=None),
    ]
    entries["services"] = [
        _entry("services", number, name=name, serviceKey=key, serviceSystem=_iri("service_systems", 1))
        for number, (key, name) in _LEIKA.items()
    ]

    groups = plan.group_by("service_id", "wave").agg(pl.col("key").sort(), *[pl.col(c).first() for _, c, *_ in _DATES])
    faulty = _faulty_communes(len(communes)) if world.parameters.dirty_share and events >= _EVENTS_FOR_FAULTS else []
    for number, group in enumerate(groups.sort("service_id", "wave").to_dicts(), 1):
        dates = {name: date(1970, 1, 1) + timedelta(days=group[c]) for name, c, *_ in _DATES if group[c] < 10**6}
        if min(dates.values()) > day:
            continue  # nobody has heard of this project yet
        service, wave = group["service_id"], group["wave"]
        members = [communes[number_of[key] - 1] for key in group["key"]]
        strays: list[tuple[dict[str, Any], str | None, str]] = []
        if service == "ummeldung" and wave == -1:
            strays = faulty
            entries["communes"] += [commune for commune, _, _ in faulty if commune["name"] is not None]
        solution = _solution(number, service, wave, [*members, *[commune for commune, _, _ in strays]])
        project = _project(number, service, wave, dates, day)
        entries["solutions"].append(solution)
        entries["implementation_projects"].append(project)
        items += [_solution_item(solution, service), _project_item(project, [solution])]
        for commune, key, rule in strays:
            reached = [name for name, on in dates.items() if on <= day]
            dirty += [(_raw(solution, service, project, name, commune, key), rule) for name in reached]

    before = plan.filter((pl.col("service_id") == "ummeldung") & pl.col("is_baseline"))["key"]
    # these communes have an older solution, which is operational: a new project begins and takes nothing from them
    twin = _solution(900, "ummeldung", 99, [communes[number_of[key] - 1] for key in before.sort()])
    begun = _project(900, "ummeldung", 99, {"projectStartAt": day}, day)
    foreign = _entry(
        "solutions",
        901,
        name="Hundesteuer (synthetisch)",
        communes=[c["@id"] for c in communes],
        serviceSystems=[_iri("service_systems", 3)],
    )
    nobody, undated = _solution(902, "ummeldung", 98, []), _solution(903, "fuehrerschein", 97, communes[:2])
    entries["solutions"] += [twin, foreign, nobody, undated]
    entries["implementation_projects"].append(begun)
    items += [_solution_item(twin, "ummeldung"), _project_item(begun, [twin])]
    for solution, service in ((nobody, "ummeldung"), (undated, "fuehrerschein")):
        items.append(_solution_item(solution, service))
        dirty.append((_raw(solution, service), "missing"))

    documents = [
        {
            "@context": f"/api/contexts/{kind}",
            "@id": f"/api/{name}",
            "@type": "hydra:Collection",
            "hydra:member": entries[name],
            "hydra:totalItems": len(entries[name]),
        }
        for name, kind in zip(_COLLECTIONS, _TYPES, strict=True)
    ]
    text = json.dumps([*documents, *items], ensure_ascii=False, indent=None, separators=(",", ":"))
    return text.encode(), dirty, events + len(dirty)


def _iri(collection: str, number: int) -> str:
    return f"/api/{collection}/{number}"


def _entry(collection: str, number: int, **fields: Any) -> dict[str, Any]:
    kind = _TYPES[_COLLECTIONS.index(collection)]
    return {"@id": _iri(collection, number), "@type": kind, "id": number, **fields}


def _communes(world: World) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Municipalities and Kreise, their keys typed in as many ways as people have; the number of each by the key of its authority."""
    own = world.municipalities.filter(pl.col("land_code") == BY_PROJECT)
    kreise = own.filter(~pl.col("ags").str.ends_with("000")).select(
        ags=pl.col("kreis_code") + "000", ars=pl.col("kreis_code").str.pad_end(12, "0"), name="kreis_name"
    )
    places = pl.concat([own.select("ags", "ars", "name"), kreise.unique().sort("ags")]).rows()
    communes, numbers = [], {}
    for number, (ags, ars, name) in enumerate(places, 1):
        typed = {
            1: (f"{ags[:2]} {ags[2:5]} {ags[5:]}", ars),
            2: (ags[1:], None),
            3: ("", ars[1:]),
            4: (None, f"{ars[:5]} {ars[5:9]} {ars[9:]}"),
            5: (f" {ags}\u00a0", None),
        }.get(number % 9, (ags, ars))
        communes.append(_entry("communes", number, name=name, officialCommunityKey=typed[0], regionalKey=typed[1]))
        numbers[ags] = number
        if ags.endswith("000"):
            numbers[ags[:5]] = number
    return communes, numbers


def _faulty_communes(last: int) -> list[tuple[dict[str, Any], str | None, str]]:
    """Communes whose key is nobody's: the entry, the key that a reader is left with, and the rule that it breaks."""

    def of(number: int, key: str | None, ars: str | None = None) -> dict[str, Any]:
        return _entry(
            "communes", last + number, name=f"Tippfehler {number} (synthetisch)", officialCommunityKey=key, regionalKey=ars
        )

    gone = _entry("communes", last + 90, name=None)
    return [
        (of(1, "06412000"), "06412000", "wrong_land"),
        (of(2, "05999999"), "05999999", "unknown_key"),
        (of(3, "05 15x 001"), "05 15x 001", "malformed"),
        (of(4, "05154001", "051580002002"), "AGS 05154001 ≠ ARS 051580002002", "malformed"),
        (gone, gone["@id"], "malformed"),
    ]


def _solution(number: int, service: str, wave: int, communes: list[dict[str, Any]]) -> dict[str, Any]:
    """A solution as its collection shows it; every other one embeds its communes, without their ARS."""
    embedded = [{k: c[k] for k in ("@id", "@type", "id", "name", "officialCommunityKey") if k in c} for c in communes]
    references = embedded if number % 2 else [c["@id"] for c in communes]
    return _entry(
        "solutions",
        number,
        name=f"{service.capitalize()} Ausbaustufe {wave} (synthetisch)",
        url=f"https://dienst.example/nrw/{number}",
        # a commune that is gone is known by its address alone
        communes=[c["@id"] if isinstance(c, dict) and c.get("name") is None else c for c in references],
        serviceSystems=[_iri("service_systems", _SYSTEMS[service])],
        maturity=None,
    )


def _solution_item(solution: dict[str, Any], service: str) -> dict[str, Any]:
    """The item adds the services: one as its address, one embedded."""
    first, second = (_entry("services", n, name=name, serviceKey=key) for n, (key, name) in _LEIKA.items())
    offers = [] if service != "ummeldung" else [first["@id"], second]
    genid = "/api/.well-known/genid/"
    solutions = [{"@id": f"{genid}{solution['id']}-{n}", "service": o} for n, o in enumerate(offers)]
    return solution | {"serviceSolutions": solutions, "status": {"@id": f"{genid}s{solution['id']}", "id": 1, "name": "Online"}}


def _project(number: int, service: str, wave: int, dates: dict[str, date], day: date) -> dict[str, Any]:
    """A project as its collection shows it: its dates, also those that lie ahead, and the status of the last one reached."""
    reached = [(n, word) for name, _, n, word in _DATES if name in dates and dates[name] <= day]
    status, word = reached[-1]
    shown = {name: _midnight(dates[name]) if name in dates else None for name, *_ in _DATES}
    return _entry(
        "implementation_projects",
        number,
        name=f"Rollout {service} {wave} (synthetisch)",
        serviceSystems=[] if number % 5 == 0 else [_iri("service_systems", _SYSTEMS[service])],
        status={"@id": f"/api/.well-known/genid/p{number}", "id": status, "name": word}
        if number % 3
        else f"/api/implementation_statuses/{status}",
        conceptStatusAt=None,
        nationwideRolloutAt=None,
        **shown,
    )


def _project_item(project: dict[str, Any], solutions: list[dict[str, Any]]) -> dict[str, Any]:
    embeds = project["id"] % 2 == 0
    shown = [{k: s[k] for k in ("@id", "@type", "id", "name")} if embeds else s["@id"] for s in solutions]
    return project | {"publishedSolutions": shown, "notes": None}


def _midnight(day: date) -> str:
    return datetime.combine(day, time(), clock.BERLIN).isoformat()


def _raw(
    solution: dict[str, Any],
    service: str,
    project: dict[str, Any] | None = None,
    phase: str | None = None,
    commune: dict[str, Any] | None = None,
    key: str | None = None,
) -> Raw:
    """A row of the portal's reading, as quarantine keeps it; what it remarks is left to the reader."""
    status = project["status"] if project else None
    return {
        "solution": str(solution["id"]),
        "serviceKey": _LEIKA[1][0] if service == "ummeldung" else _OZG_ID,
        "communeKey": key,
        "communeName": commune["name"] if commune else None,
        "project": str(project["id"]) if project else None,
        "projectStatus": (status["name"] if isinstance(status, dict) else status) if status else None,
        "phase": phase,
        "phaseAt": project[phase] if project and phase else None,
    }


# -- the portal -------------------------------------------------------------------------------------------------------------


def answer(documents: list[dict[str, Any]], path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """What the portal answers at ``/api/…``: a page of a collection, an item, or nothing (404)."""
    found = re.fullmatch(r"/api/([a-z_]+)(?:/(\d+))?", path)
    collection = next((d for d in documents if found and d["@id"] == f"/api/{found[1]}"), None)
    if not found or collection is None:
        return None
    if found[2]:
        item = next((d for d in reversed(documents) if d["@id"] == path), None)
        return item or next((m for m in collection["hydra:member"] if m["@id"] == path), None)
    size = min(max(int(query.get("itemsPerPage", 25)), 1), 100)
    page, total = max(int(query.get("page", 1)), 1), collection["hydra:totalItems"]
    last = max(-(-total // size), 1)
    shown = collection | {"hydra:member": collection["hydra:member"][(page - 1) * size : page * size]}
    if last > 1:

        def address(number: int) -> str:
            return f"{path}?{urlencode({**query, 'page': number})}"

        view = {
            "@id": address(page),
            "@type": "hydra:PartialCollectionView",
            "hydra:first": address(1),
            "hydra:last": address(last),
        }
        if page < last:
            view["hydra:next"] = address(page + 1)
        shown["hydra:view"] = view
    return shown
