"""Territory and competence through time: which municipalities there are, and which authority is competent for whom, on every day.

Belongs here: applying territory changes to a directory edition, following keys and authorities to those of another day, deriving
authorities and competences by a Land file's rules, and the table in which a delivered key is looked up. Does not: reading the
directory (``ingest.portals``), cleaning its rows (``ingest.clean``), counting what is competent (``dbt_project``).

An edition describes one day, its Gebietsstand. Later changes are applied forward, earlier ones backward, so that every municipality has
half-open periods from ``OPEN_START`` on. Inhabitants and area are the edition's throughout: what a change moved is taken from the one
side and given to the other, so that their sums are the edition's on every day.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import polars as pl

from ingest.landfile import Change, LandFile
from ingest.tables import AUTHORITY_KIND, FEDERAL, TABLES

OPEN_START = date(1900, 1, 1)
_OPEN_END = date(9999, 12, 31)

#: More days than lie between any two that are written with four digits.
_DAYS_OF_A_GROUP = 2**23

#: Kinds of areas that are no municipalities: they have no authorities and do not count.
GEMEINDEFREI = ("gemeindefrei_bewohnt", "gemeindefrei_unbewohnt")

_MOVES = ("dissolution", "key_change")
_RENAME = "name_change"
_LANDRATSAMT = ("08", "09", "14", "16")  # Länder whose Landkreise act through a Landratsamt
_LEVEL_COLUMN = {
    "gemeinde": "ags",
    "verband": "verband_code",
    "kreis": "kreis_code",
    "regierungsbezirk": "regierungsbezirk_code",
    "land": "land_code",
}


@dataclass(frozen=True, eq=False)
class Territory:
    """Every municipality of Germany in every period: ``regions`` in the canonical schema, one row per AGS and period.

    ``moves``: old_ags, new_ags, on – which key became which, for following a key to the one that is valid on a day.
    ``links``: old_ags, new_ags, on, population, area_km2 – what every such change took where, what stayed included.
    ``findings``: changes that do not fit the directory, one English sentence each.
    """

    regions: pl.DataFrame
    moves: pl.DataFrame
    links: pl.DataFrame
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Resolution:
    """What a delivered key names. The days from ``starts[i]`` to before ``starts[i + 1]`` are epoch i, in which nothing changes.

    ``keys``: service_id, key, epoch -> key_authority (NULL where several), candidates (count).
    ``ids``: service_id ("" where a row names none), given_id, epoch -> id_authority.
    """

    starts: list[date]
    keys: pl.DataFrame
    ids: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Reference:
    """Who is competent where in one Land, or with land_code "00" in all of them: canonical frames with half-open periods.

    ``fingerprint`` changes when a key could be resolved differently, not when inhabitants or names change.
    ``findings``: what is wrong with the Land file's rules or the changes, one English sentence each.
    """

    land_code: str
    authorities: pl.DataFrame
    competences: pl.DataFrame
    regions: pl.DataFrame
    moves: pl.DataFrame
    links: pl.DataFrame
    fingerprint: str
    findings: list[str] = field(default_factory=list)

    @cached_property
    def resolution(self) -> Resolution:
        """The look-up table of this reference, made when it is first needed."""
        return _resolution(self)


# ------------------------------------------------------------------------------------------------------------------------- territory


def build_territory(directory: pl.DataFrame, changes: pl.DataFrame | None = None, stated: Sequence[Change] = ()) -> Territory:
    """The periods of every municipality, from one cleaned directory edition and the territory changes around it.

    ``directory``: canonical ``regions`` rows of one edition; ``changes``: canonical ``territory_changes`` rows, of any years;
    ``stated``: changes of the federal Land file, used where ``changes`` has none of the same keys and kind on that day.
    Raises ValueError for a directory without rows.
    """
    if directory.is_empty():
        raise ValueError("The municipal directory has no rows: fetch a directory (GV100AD) before anything is resolved.")
    moves = _moves(changes, stated)
    edition_on = _edition_day(directory, moves)
    affected = {move["old_ags"] for move in moves} | {move["new_ags"] for move in moves}
    touched = directory.filter(pl.col("ags").is_in(affected))
    history = _History(directory, {row["ags"]: row for row in touched.iter_rows(named=True)})
    # The walk follows the changes, a few hundred in a decade, not the municipalities.
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for move in moves:
        by_day[move["on"]].append(move)
    for day in sorted(by_day, reverse=True):
        if day <= edition_on:
            history.undo(day, by_day[day])
    history.turn()
    for day in sorted(by_day):
        if day > edition_on:
            history.apply(day, by_day[day])
    schema = TABLES["regions"].polars_schema()
    regions = pl.concat(
        [
            directory.filter(~pl.col("ags").is_in(affected))
            .with_columns(pl.lit(OPEN_START).alias("valid_from"), pl.lit(None, pl.Date).alias("valid_to"))
            .select(schema.names())
            .cast(schema),
            pl.DataFrame(history.finished(), schema=schema),
        ]
    )
    renamed = [move for move in moves if move["old_ags"] != move["new_ags"]]
    keys = {"old_ags": pl.String, "new_ags": pl.String, "on": pl.Date}
    return Territory(
        regions=regions.sort("ags", "valid_from"),
        moves=pl.DataFrame(renamed, schema=keys),
        links=pl.DataFrame(history.links, schema=keys | {"population": pl.Int64, "area_km2": pl.Float64}, orient="row"),
        findings=history.findings,
    )


def _moves(changes: pl.DataFrame | None, stated: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes that end or begin a key, change an ARS or a name, each once, official ones first."""
    columns = ["old_ags", "new_ags", "old_ars", "new_ars", "old_name", "new_name", "kind", "on", "population", "area_m2"]
    frames = []
    if changes is not None and changes.height:
        frames.append(
            changes.sort("delivery_id", descending=True).select(
                *columns[:6],
                pl.col("kind").cast(pl.String),
                pl.col("effective_on").alias("on"),
                pl.col("population_moved").alias("population"),
                pl.col("area_moved_m2").alias("area_m2"),
            )
        )
    empty = dict.fromkeys(columns, pl.String) | {"on": pl.Date, "population": pl.Int64, "area_m2": pl.Int64}
    frames.append(
        pl.DataFrame(
            [{"old_ags": change.old, "new_ags": change.new, "kind": change.kind, "on": change.on} for change in stated],
            schema=empty,
        )
    )
    is_same_key = pl.col("old_ags") == pl.col("new_ags")
    moves = (
        pl.concat(frames)
        .unique(["old_ags", "new_ags", "kind", "on"], keep="first", maintain_order=True)
        .filter(
            pl.col("kind").is_in(_MOVES) & (~is_same_key | (pl.col("old_ars") != pl.col("new_ars")).fill_null(False))
            | (pl.col("kind") == _RENAME) & is_same_key & (pl.col("old_name") != pl.col("new_name")).fill_null(False)
        )
        .sort("on", "old_ags", "new_ags", "kind")
    )
    return moves.to_dicts()


def _edition_day(directory: pl.DataFrame, moves: list[dict[str, Any]]) -> date:
    """The Gebietsstand, read off the keys: the day that best parts the changes that the edition shows from those it does not.

    A change is shown when only its new key is in the edition, and yet to come while the old one is. Best, because official files
    contradict each other in places: keys are given back, municipalities leave a Verband and return. No edition is older than its
    population.
    """
    ars = dict(directory.select("ags", "ars").iter_rows())
    shown: dict[date, int] = defaultdict(int)
    for move in moves:
        old, new = move["old_ags"], move["new_ags"]
        if move["kind"] == _RENAME:
            continue
        if old == new:
            shown[move["on"]] += (ars.get(new) == move["new_ars"]) - (ars.get(old) == move["old_ars"])
        else:
            shown[move["on"]] += -1 if old in ars else int(new in ars)
    balance, best = 0, 0
    edition_on = directory["population_date"].max()
    assert isinstance(edition_on, date)
    for day in sorted(shown):
        balance += shown[day]
        if balance > best:
            best, edition_on = balance, max(day, edition_on)
    return edition_on


class _History:
    """The affected municipalities while the changes are walked. ``alive``: AGS -> row as of the day that the walk has reached."""

    def __init__(self, directory: pl.DataFrame, edition: dict[str, dict[str, Any]]):
        self.findings: list[str] = []
        self.links: list[tuple[str, str, date, int, float]] = []
        self.periods: list[dict[str, Any]] = []
        self.edition = {ags: row | {"valid_from": OPEN_START, "valid_to": None} for ags, row in edition.items()}
        self.alive = {ags: dict(row) for ags, row in self.edition.items()}
        self.current: dict[str, dict[str, Any]] = {}

        def names(code: str, name: str) -> dict[str, str]:
            return dict(directory.filter(pl.col(code).is_not_null()).select(code, name).unique(code, keep="first").iter_rows())

        self.kreise = names("kreis_code", "kreis_name")
        self.regierungsbezirke = names("regierungsbezirk_code", "regierungsbezirk_name")
        self.verbaende = names("verband_code", "verband_name")

    def undo(self, day: date, moves: list[dict[str, Any]]) -> None:
        """Go back over a day: what began on it ends, what ended on it lives again."""
        targets = list(dict.fromkeys(move["new_ags"] for move in moves))
        born: set[str] = set()  # predecessors that this day brings back; one that was split has several targets
        while targets:
            ready = [ags for ags in targets if ags in self.alive]
            if not ready:
                break
            for ags in ready:
                self._undo_one(day, ags, [move for move in moves if move["new_ags"] == ags], born)
            targets = [ags for ags in targets if ags not in ready]
        for ags in targets:
            self.findings.append(f"The territory change of {day} makes {ags}, which the directory does not know: it is left out.")

    def _undo_one(self, day: date, ags: str, moves: list[dict[str, Any]], born: set[str]) -> None:
        after = self.alive.pop(ags)
        self.periods.append(after | {"valid_from": day})
        before: dict[str, Any] | None = dict(after) | {"valid_to": day}
        arrivals = []
        for move in moves:
            if move["kind"] == _RENAME:
                assert before is not None
                before |= _named(before, move["old_name"])
            elif move["old_ags"] == ags:  # an ARS change: the municipality joined or left a Verband
                assert before is not None
                before |= self._place(ags, move["old_ars"], before["name"])
            elif move["old_ags"] in self.alive and move["old_ags"] not in born:
                self.findings.append(f"The territory change of {day} ends {move['old_ags']}, which lives on: it is left out.")
            else:
                arrivals.append(move)
        if arrivals:
            area_m2 = after["area_km2"] * 1e6
            moved_m2 = [move["area_m2"] for move in arrivals]
            is_whole = any(move["kind"] == "key_change" for move in arrivals)
            is_whole |= None not in moved_m2 and sum(moved_m2) > 0.99 * area_m2  # nothing is left for an earlier self
            inhabitants = _split(after["population"], [move["population"] for move in arrivals], is_whole)
            areas = _split(area_m2, moved_m2, is_whole)
            for move, population, area in zip(arrivals, inhabitants, areas, strict=True):
                old = self.alive.get(move["old_ags"])
                if old is None:
                    name = _directory_name(move["old_name"] or after["name"])
                    old = after | self._place(move["old_ags"], move["old_ars"], name)
                    old |= {"valid_from": OPEN_START, "valid_to": day, "name": name, "population": 0, "area_km2": 0.0}
                    old["kind"] = _kind(old, move, after, population)
                    self.alive[move["old_ags"]] = old
                    born.add(move["old_ags"])
                old["population"] += population
                old["area_km2"] += area / 1e6
                self.links.append((move["old_ags"], ags, day, population, area / 1e6))
            assert before is not None
            before["population"] -= sum(inhabitants)
            before["area_km2"] = max(0.0, before["area_km2"] - sum(areas) / 1e6)
            if is_whole:
                before = None
            else:
                self.links.append((ags, ags, day, before["population"], before["area_km2"]))
        if before is not None:
            self.alive[ags] = before

    def turn(self) -> None:
        """From the past to the future: what still holds on the edition's day goes on from there."""
        rows = [*self.periods, *self.alive.values()]
        self.alive = {row["ags"]: row for row in rows if row["valid_to"] is None}
        self.periods = [row for row in rows if row["valid_to"] is not None]

    def apply(self, day: date, moves: list[dict[str, Any]]) -> None:
        """Go forward over a day: what it ends ends, what it begins begins."""
        leaving = {move["old_ags"] for move in moves if move["old_ags"] != move["new_ags"]}
        for ags in {move["new_ags"] for move in moves if move["old_ags"] != move["new_ags"]} - leaving:
            if (row := self.alive.get(ags)) is not None:  # what it held before stays with it
                self.links.append((ags, ags, day, row["population"], row["area_km2"]))
        pending = list(dict.fromkeys(move["old_ags"] for move in moves))
        while pending:
            ready = [ags for ags in pending if ags in self.alive]
            if not ready:
                break
            for ags in ready:
                self._apply_one(day, ags, [move for move in moves if move["old_ags"] == ags])
            pending = [ags for ags in pending if ags not in ready]
        for ags in pending:
            self.findings.append(f"The territory change of {day} ends {ags}, which the directory does not know: it is left out.")

    def _apply_one(self, day: date, ags: str, moves: list[dict[str, Any]]) -> None:
        departures = [move for move in moves if move["new_ags"] != ags]
        if not departures:
            for move in moves:
                row = self.alive[ags]
                is_rename = move["kind"] == _RENAME
                values = _named(row, move["new_name"]) if is_rename else self._place(ags, move["new_ars"], row["name"])
                self._change(day, ags, values)
            return
        before = self.alive.pop(ags)
        self._end(day, before)
        inhabitants = _split(before["population"], [move["population"] for move in departures], True)
        areas = _split(before["area_km2"] * 1e6, [move["area_m2"] for move in departures], True)
        for move, population, area in zip(departures, inhabitants, areas, strict=True):
            target = self.alive.get(move["new_ags"])
            self.links.append((ags, move["new_ags"], day, population, area / 1e6))
            if target is not None:
                self._change(
                    day,
                    move["new_ags"],
                    {"population": target["population"] + population, "area_km2": target["area_km2"] + area / 1e6},
                )
                continue
            name = _directory_name(move["new_name"] or before["name"])
            made = before | self._place(move["new_ags"], move["new_ars"], name)
            made |= {"valid_from": day, "valid_to": None, "name": name, "population": population, "area_km2": area / 1e6}
            made["kind"] = _kind_of_key(made["ags"], before["kind"])
            self.alive[move["new_ags"]] = made

    def _end(self, day: date, row: dict[str, Any]) -> None:
        if row["valid_from"] < day:
            self.periods.append(row | {"valid_to": day})

    def _change(self, day: date, ags: str, values: dict[str, Any]) -> None:
        row = self.alive[ags]
        self._end(day, row)
        self.alive[ags] = row | values | {"valid_from": max(day, row["valid_from"])}

    def _place(self, ags: str, ars: str | None, name: str) -> dict[str, Any]:
        """The keys and names that follow from a municipality's AGS and ARS.

        Without a stated ARS the municipality belongs to no Verband. A Kreis that nobody knows is the municipality's own.
        """
        if ars is None:
            ars = f"{ags[:5]}0000000" if ags.endswith("000") else f"{ags[:5]}0{ags[5:]}{ags[5:]}"
        kreis, verband, bezirk = ags[:5], ars[:9], ags[:3]
        own = ars[6:9] == ags[5:] or ags.endswith("000")
        return {
            "ags": ags,
            "ars": ars,
            "kreis_code": kreis,
            "kreis_name": self.kreise.setdefault(kreis, name),
            "regierungsbezirk_code": bezirk if bezirk in self.regierungsbezirke else None,
            "regierungsbezirk_name": self.regierungsbezirke.get(bezirk),
            "verband_code": verband,
            "verband_name": name if own else self.verbaende.get(verband, f"Gemeindeverband {verband}"),
        }

    def finished(self) -> list[dict[str, Any]]:
        """All periods, the ones that go on included."""
        rows = [*self.periods, *self.alive.values()]
        return [row for row in rows if row["valid_to"] is None or row["valid_from"] < row["valid_to"]]


def _directory_name(name: str) -> str:
    """A name of the change files as the directory writes it: without the marks of a Stadt and a Markt."""
    return re.sub(r", (St|M)$", "", name)


def _named(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The names of a municipality that was called so; a Kreis or Verband of its own has its name."""
    alike = [column for column in ("name", "verband_name") if row[column] == row["name"]]
    if row["ags"].endswith("000"):
        alike.append("kreis_name")
    return dict.fromkeys(alike, _directory_name(name))


def _split(total: Any, parts: list[Any], is_whole: bool) -> list[Any]:
    """How much of ``total`` each part takes: as stated and never more than there is; in proportion where the parts are the whole.

    Whole numbers stay whole and add up: the last part takes what rounding leaves.
    """
    if not is_whole:
        taken: list[Any] = []
        for part in parts:
            taken.append(min(part or 0, total - sum(taken)))
        return taken
    weights = [part or 0 for part in parts]
    if not sum(weights):
        weights = [1] * len(parts)
    shares = [total * weight // sum(weights) if isinstance(total, int) else total * weight / sum(weights) for weight in weights]
    shares[-1] = total - sum(shares[:-1])
    return shares


def _kind_of_key(ags: str, kind: str) -> str:
    """The kind of a municipality under another key: one that is a Kreis of its own is kreisfrei, one that is none is a town."""
    if ags.endswith("000"):
        return "stadtkreis" if ags.startswith("08") else "kreisfreie_stadt"
    return "stadt" if kind in ("kreisfreie_stadt", "stadtkreis") else kind


def _kind(old: Mapping[str, Any], move: Mapping[str, Any], after: Mapping[str, Any], population: int) -> str:
    """The kind of a municipality that is gone: of its successor where only the key changed, else by its key and name."""
    if move["kind"] == "key_change":
        return _kind_of_key(old["ags"], after["kind"])
    if old["ars"][5] == "9":  # the directory's number of a Verband that is none
        return "gemeindefrei_bewohnt" if population else "gemeindefrei_unbewohnt"
    name = move["old_name"] or ""
    if re.search(r", (Stadt|St|.*[Ss]tadt)$", name):
        return _kind_of_key(old["ags"], "stadt")
    return _kind_of_key(old["ags"], "markt" if re.search(r", (Markt|M)$", name) else "gemeinde")


# ------------------------------------------------------------------------------------------------------------------------ competence


def build_references(
    laender: Mapping[str, LandFile],
    directory: pl.DataFrame,
    changes: pl.DataFrame | None = None,
    authorities: pl.DataFrame | None = None,
    competences: pl.DataFrame | None = None,
) -> dict[str, Reference]:
    """A Reference per Land of ``laender``, and under "00" one for all of them together whose regions are all of Germany.

    ``directory``, ``changes``: as for ``build_territory``. ``authorities``, ``competences``: canonical rows that Länder delivered (the
    newest admitted delivery of each source); a service that a Land delivers competences for is not derived by its rules.
    """
    federal = laender.get(FEDERAL)
    territory = build_territory(directory, changes, federal.changes if federal else ())
    references = {
        code: build_reference(land, territory, authorities, competences) for code, land in laender.items() if code != FEDERAL
    }
    schema_a, schema_c = TABLES["authorities"].polars_schema(), TABLES["competences"].polars_schema()
    everywhere = _reference(
        FEDERAL,
        pl.concat([pl.DataFrame(schema=schema_a), *[reference.authorities for reference in references.values()]]),
        pl.concat([pl.DataFrame(schema=schema_c), *[reference.competences for reference in references.values()]]),
        territory.regions,
        territory.moves,
        territory.links,
        territory.findings,
    )
    return references | {FEDERAL: everywhere}


def build_reference(
    land: LandFile,
    territory: Territory,
    authorities: pl.DataFrame | None = None,
    competences: pl.DataFrame | None = None,
) -> Reference:
    """Authorities and competences of one Land, by its file's rules or as delivered (see ``build_references``)."""
    regions = territory.regions.filter(pl.col("land_code") == land.land_code)
    municipalities = regions.filter(~pl.col("kind").cast(pl.String).is_in(GEMEINDEFREI))
    findings: list[str] = []
    known = set(municipalities["ags"])
    derived = []
    delivered = _newest(competences, "competences", land.land_code)
    is_delivered = set(delivered["service_id"].cast(pl.String).unique())
    for service, rule in land.competences.items():
        if service in is_delivered:
            continue
        for group, listed in (("plus", rule.plus), ("also", rule.also)):
            for ags in listed:
                if ags not in known:
                    findings.append(
                        f"competences.{service}.{group} of Land {land.land_code} names {ags}, which is no municipality of the "
                        "directory: correct the key or remove it."
                    )
        if municipalities[_LEVEL_COLUMN[rule.level]].null_count():
            findings.append(
                f"competences.{service} of Land {land.land_code} has level {rule.level}, but the directory knows none there: "
                "choose another level."
            )
        derived.append(_by_rule(municipalities, service, rule.level, rule.plus, rule.also))
    schema = TABLES["competences"].polars_schema()
    all_competences = pl.concat([pl.DataFrame(schema=schema), *derived, delivered]).sort(
        "service_id", "authority_id", "ags", "is_partial", "valid_from"
    )
    all_authorities, unnamed = _authorities(
        land, municipalities, all_competences, _newest(authorities, "authorities", land.land_code)
    )
    findings += [
        f"Land {land.land_code} delivers competences of {name} but not the authority itself: deliver it." for name in unnamed
    ]
    is_ours = pl.col("old_ags").str.starts_with(land.land_code) | pl.col("new_ags").str.starts_with(land.land_code)
    moves, links = territory.moves.filter(is_ours), territory.links.filter(is_ours)
    return _reference(land.land_code, all_authorities, all_competences, regions, moves, links, findings)


def _reference(
    land_code: str,
    authorities: pl.DataFrame,
    competences: pl.DataFrame,
    regions: pl.DataFrame,
    moves: pl.DataFrame,
    links: pl.DataFrame,
    findings: list[str],
) -> Reference:
    sha = hashlib.sha256()
    for frame, columns in (
        (competences, ["authority_id", "service_id", "ags", "valid_from", "valid_to"]),
        (_keys_of(regions), [*_KEY_COLUMNS, "valid_from", "valid_to"]),
        (moves, ["old_ags", "new_ags", "on"]),
    ):
        sha.update(frame.select(columns).sort(columns).write_csv().encode())
    return Reference(land_code, authorities, competences, regions, moves, links, sha.hexdigest()[:12], findings)


def _newest(frame: pl.DataFrame | None, table: str, land_code: str) -> pl.DataFrame:
    """The Land's rows of a delivered table, the newest revision of each key."""
    schema = TABLES[table].polars_schema()
    if frame is None or frame.is_empty():
        return pl.DataFrame(schema=schema)
    rows = frame.filter(pl.col("land_code") == land_code).sort("delivery_id")
    return rows.unique(list(TABLES[table].key), keep="last", maintain_order=True).select(schema.names()).cast(schema)


def _by_rule(municipalities: pl.DataFrame, service: str, level: str, plus: Sequence[str], also: Sequence[str]) -> pl.DataFrame:
    """Competences of one service in canonical form: every municipality and period has the authority of its level, or its own."""
    kind = AUTHORITY_KIND[service]
    column = pl.col(_LEVEL_COLUMN[level])
    of_level = municipalities.with_columns(
        pl.when(pl.col("ags").is_in(list(plus))).then(pl.col("ags")).otherwise(column).alias("_key"),
        pl.lit(False).alias("is_partial"),
    )
    own = municipalities.filter(pl.col("ags").is_in(list(also))).with_columns(
        pl.col("ags").alias("_key"), pl.lit(True).alias("is_partial")
    )
    rows = pl.concat([of_level, own]).filter(pl.col("_key").is_not_null())
    rows = rows.with_columns((pl.lit(f"{kind}/") + pl.col("_key")).alias("authority_id"), pl.lit(service).alias("service_id"))
    by = ["authority_id", "service_id", "ags", "is_partial", "land_code", "source", "delivery_id", "delivered_at"]
    schema = TABLES["competences"].polars_schema()
    return merge_periods(rows, by).select(schema.names()).cast(schema)


def merge_periods(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Half-open periods [valid_from, valid_to) of equal ``by`` that touch or overlap, as one; the columns are ``by`` and the period."""
    ordered = frame.select(*by, "valid_from", pl.col("valid_to").fill_null(_OPEN_END).alias("_end")).sort(
        *by, "valid_from", "_end"
    )
    # A group is counted in front of its days, so that one cumulated maximum serves all: a window within a window would be evaluated
    # group by group, and most of hundreds of thousands of groups are of one row.
    is_same = pl.all_horizontal(pl.col(column).eq_missing(pl.col(column).shift(1)) for column in by)
    ordered = ordered.with_columns((~is_same | (pl.int_range(pl.len()) == 0)).alias("_is_first"))
    group = pl.col("_is_first").cum_sum().cast(pl.Int64) * _DAYS_OF_A_GROUP
    reached = (group + pl.col("_end").cast(pl.Int32)).cum_max().shift(1)
    begins = pl.col("_is_first") | (group + pl.col("valid_from").cast(pl.Int32) > reached).fill_null(False)
    return (
        ordered.with_columns(begins.cum_sum().alias("_island"))
        .group_by("_island", maintain_order=True)
        .agg(pl.col(by).first(), pl.col("valid_from").min(), pl.col("_end").max())
        .with_columns(pl.when(pl.col("_end") != _OPEN_END).then(pl.col("_end")).alias("valid_to"))
        .drop("_island", "_end")
    )


def _authorities(
    land: LandFile, municipalities: pl.DataFrame, competences: pl.DataFrame, delivered: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """The authorities of the competences in canonical form, and the ids that nobody names."""
    schema = TABLES["authorities"].polars_schema()
    periods = merge_periods(competences, ["authority_id", "land_code", "source", "delivery_id", "delivered_at"])
    key = pl.col("authority_id").str.extract(r"/(\d+)$", 1)
    derived = (
        periods.join(delivered.select("authority_id").unique(), on="authority_id", how="anti")
        .with_columns(key.alias("seat_key"), pl.col("authority_id").str.extract(r"^([a-z]+)/", 1).alias("kind"))
        .join(_names(land, municipalities), on="seat_key", how="left")
    )
    unnamed = derived.filter(pl.col("name").is_null())["authority_id"].unique().sort().to_list()
    derived = derived.with_columns(pl.col("name").fill_null(pl.col("authority_id"))).select(schema.names()).cast(schema)
    return pl.concat([derived, delivered]).sort("authority_id", "valid_from"), unnamed


def _names(land: LandFile, municipalities: pl.DataFrame) -> pl.DataFrame:
    """``seat_key`` -> German name of the authority that sits there: AGS, Verband, Kreis, Regierungsbezirk and Land keys."""
    kind = pl.col("kind").cast(pl.String)
    short = pl.col("name").str.replace(r",.*$", "")
    is_own_kreis = kind.is_in(["kreisfreie_stadt", "stadtkreis"])
    municipality = (
        pl.when(is_own_kreis | kind.is_in(["grosse_kreisstadt", "stadt"]))
        .then(pl.lit("Stadt ") + short)
        .when(kind == "markt")
        .then(pl.lit("Markt ") + short)
        .otherwise(pl.lit("Gemeinde ") + short)
    )
    kreis = pl.col("kreis_name")
    if land.land_code in _LANDRATSAMT:
        kreis_name = pl.lit("Landratsamt ") + kreis
    else:
        word = "Kreis " if land.land_code in ("01", "05") else "Landkreis "
        kreis_name = (
            pl.when(kreis.str.contains(r"(?i)kreis|^Region |^Städteregion |verband")).then(kreis).otherwise(pl.lit(word) + kreis)
        )
    group = pl.col("verband_name").str.replace(r"\s*\((?:VGem|VG)\)", "")
    is_group = pl.col("ars").str.slice(5, 1) == "5"
    if land.land_code in ("09", "16"):
        group = pl.lit("Verwaltungsgemeinschaft ") + group
    bezirk = pl.col("regierungsbezirk_name").str.replace(r"^(?:früher: )?Reg\.-Bez\. ", "")
    of_bezirk = {"05": "Bezirksregierung ", "06": "Regierungspräsidium ", "08": "Regierungspräsidium ", "09": "Regierung von "}
    newest = municipalities.sort("valid_from", "ags", descending=[True, False])
    levels = (
        ("ags", municipality),
        ("verband_code", pl.when(is_group).then(group).otherwise(municipality)),
        ("kreis_code", pl.when(is_own_kreis).then(municipality).otherwise(kreis_name)),
        ("regierungsbezirk_code", pl.lit(of_bezirk.get(land.land_code, "Bezirk ")) + bezirk),
        ("land_code", pl.lit(f"Land {land.name}")),
    )
    return pl.concat(
        [
            newest.filter(pl.col(column).is_not_null())
            .select(pl.col(column).alias("seat_key"), name.alias("name"))
            .unique("seat_key", keep="first", maintain_order=True)
            for column, name in levels
        ]
    ).unique("seat_key", keep="first", maintain_order=True)


# ------------------------------------------------------------------------------------------------------------------------ succession

_REGION_SUCCESSORS = {
    "ags": pl.String,
    "valid_from": pl.Date,
    "reported_ags": pl.String,
    "population_share": pl.Float64,
    "area_share": pl.Float64,
    "kind": pl.String,
}
_AUTHORITY_SUCCESSORS = {
    "authority_id": pl.String,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "reported_authority_id": pl.String,
    "population_share": pl.Float64,
    "population": pl.Int64,
}


def region_successors(regions: pl.DataFrame, links: pl.DataFrame, on: date) -> pl.DataFrame:
    """The municipalities of the status ``on`` that hold today what every municipality of ``regions`` held in every period.

    ``regions``, ``links``: of a ``Territory`` or ``Reference``. Returns one row per ``ags``, ``valid_from`` (a row of ``regions``) and
    ``reported_ags``, valid on ``on``; a status that lies before a row is reached backward, to the predecessors. ``population_share``
    and ``area_share`` are the shares of the row's inhabitants and area that the successor holds and add up to 1 per row (where there
    are no inhabitants, as the area; where nothing is known, equally). Because a territory has the same inhabitants on every day, the
    shares carry all rows of a day to exactly the inhabitants of ``on``.

    ``kind``: ``unchanged`` and ``rename`` (the key is valid on ``on``), ``key_change`` (one key became one), ``merger`` (the successor
    also holds others), ``split`` (there are several successors).
    Raises ValueError for a day before ``OPEN_START``.
    """
    if on < OPEN_START:
        raise ValueError(f"The territorial status {on} lies before {OPEN_START}: choose a later day.")
    is_unchanged = (pl.col("valid_from") == OPEN_START) & pl.col("valid_to").is_null()
    fixed = regions.filter(is_unchanged).select(
        "ags",
        "valid_from",
        pl.col("ags").alias("reported_ags"),
        pl.lit(1.0).alias("population_share"),
        pl.lit(1.0).alias("area_share"),
        pl.lit("unchanged").alias("kind"),
    )
    changing = regions.join(fixed, on=["ags", "valid_from"], how="anti").with_columns(pl.col("valid_to").fill_null(_OPEN_END))
    carried = pl.DataFrame(_carry(changing, links, on), schema=dict(list(_REGION_SUCCESSORS.items())[:-1]), orient="row")

    # what the kind of a change is, shows on the last day before it (after it, for a status that lies before)
    seen_on = pl.when(pl.col("valid_to") <= on).then(pl.col("valid_to").dt.offset_by("-1d")).otherwise(pl.col("valid_from"))
    named = carried.join(changing.select("ags", "valid_from", "valid_to", "name"), on=["ags", "valid_from"])
    other = named.select(
        "reported_ags", pl.col("ags").alias("_other"), pl.col("valid_from").alias("_from"), pl.col("valid_to").alias("_to")
    )
    shared = (
        named.with_columns(seen_on.alias("_on"))
        .join(other, on="reported_ags")
        .filter((pl.col("_other") != pl.col("ags")) & (pl.col("_from") <= pl.col("_on")) & (pl.col("_to") > pl.col("_on")))
        .select("ags", "valid_from", "reported_ags", pl.lit(True).alias("_is_shared"))
        .unique()
    )
    holding = regions.filter((pl.col("valid_from") <= on) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > on)))
    kind = (
        pl.when(pl.len().over("ags", "valid_from") > 1)
        .then(pl.lit("split"))
        .when(pl.col("ags") != pl.col("reported_ags"))
        .then(pl.when(pl.col("_is_shared").is_not_null()).then(pl.lit("merger")).otherwise(pl.lit("key_change")))
        .when(pl.col("name") != pl.col("_name_on"))
        .then(pl.lit("rename"))
        .otherwise(pl.lit("unchanged"))
    )
    described = (
        named.join(shared, on=["ags", "valid_from", "reported_ags"], how="left")
        .join(
            holding.select(pl.col("ags").alias("reported_ags"), pl.col("name").alias("_name_on")), on="reported_ags", how="left"
        )
        .with_columns(kind.alias("kind"))
        .select(_REGION_SUCCESSORS.keys())
    )
    return pl.concat([fixed, described]).sort("ags", "valid_from", "reported_ags")


_Shares = dict[str, tuple[float, float]]


def _carry(rows: pl.DataFrame, links: pl.DataFrame, on: date) -> list[tuple[str, date, str, float, float]]:
    """The rows that changed, followed to the status: ags, valid_from, successor, shares of inhabitants and area.

    Time runs one way, so that a row's successors are known before the row is, and nothing can go in a circle.
    """
    periods: dict[str, list[tuple[date, date]]] = defaultdict(list)
    for ags, start, end in rows.select("ags", "valid_from", "valid_to").iter_rows():
        periods[ags].append((start, end))
    onward: dict[tuple[str, date], list[tuple[str, float, float]]] = defaultdict(list)
    backward: dict[tuple[str, date], list[tuple[str, float, float]]] = defaultdict(list)
    for old, new, day, population, area in links.select("old_ags", "new_ags", "on", "population", "area_km2").iter_rows():
        onward[old, day].append((new, population, area))
        backward[new, day].append((old, population, area))

    reached: dict[tuple[str, date], _Shares] = {}  # (ags, first or last day of its row) -> successors on the status

    def step(ags: str, day: date, is_onward: bool, passed: frozenset[str] = frozenset()) -> _Shares:
        """What becomes of a key over one day; keys that live for no day at all are passed through."""
        found = (onward if is_onward else backward).get((ags, day)) or [(ags, 1, 1.0)]
        total, area_km2 = sum(part[1] for part in found), sum(part[2] for part in found)
        shares: _Shares = {}
        for key, people, area in found:
            by_area = area / area_km2 if area_km2 > 0 else (people / total if total > 0 else 1 / len(found))
            by_people = people / total if total > 0 else by_area
            there = reached.get((key, day))
            if there is None:
                there = step(key, day, is_onward, passed | {ags}) if key not in passed | {ags} else {}
            for successor, (p, a) in there.items():
                before = shares.get(successor, (0.0, 0.0))
                shares[successor] = (before[0] + by_people * p, before[1] + by_area * a)
        return _whole(shares)

    ordered = [(start, end, ags) for ags, spans in periods.items() for start, end in spans]
    result: dict[tuple[str, date], _Shares] = {}
    for start, end, ags in ordered:
        if start <= on < end:
            result[ags, start] = reached[ags, start] = reached[ags, end] = {ags: (1.0, 1.0)}
    # a row that ends is looked up by its first day, one that is yet to begin by its last
    for start, end, ags in sorted((row for row in ordered if row[1] <= on), key=lambda row: row[1], reverse=True):
        result[ags, start] = reached[ags, start] = step(ags, end, True)
    for start, end, ags in sorted(row for row in ordered if row[0] > on):
        result[ags, start] = reached[ags, end] = step(ags, start, False)
    return [(ags, start, key, p, a) for (ags, start), shares in result.items() for key, (p, a) in shares.items()]


def _whole(shares: _Shares) -> _Shares:
    """Shares that add up to 1, also where one of the ways ended nowhere."""
    people, area = sum(p for p, _ in shares.values()), sum(a for _, a in shares.values())
    return {
        key: (p / people if people > 0 else 1 / len(shares), a / area if area > 0 else 1 / len(shares))
        for key, (p, a) in shares.items()
    }


def authority_successors(
    authorities: pl.DataFrame, competences: pl.DataFrame, regions: pl.DataFrame, successors: pl.DataFrame, on: date
) -> pl.DataFrame:
    """The authorities of the status ``on`` that the facts of every authority count for.

    ``authorities``, ``competences``, ``regions``: of a ``Reference``, or of some of its Länder; ``successors``: what
    ``region_successors`` found for that status. Returns one row per ``authority_id``, ``valid_from`` (a period
    in which it exists) and ``reported_authority_id``; ``population_share`` of its inhabitants, and so of its facts, adds up to 1 per period; ``population``
    is the inhabitants of ``reported_authority_id`` that it stands for, NULL where an authority continues as itself.

    - An authority that exists on ``on`` continues as itself, also where it lost a part of its area or gained one.
    - One that has ended is continued by the authorities of its kind that are competent on ``on`` for the inhabitants it had on its last
      day: by the one that took its key over, by the one it was merged into, by several where it was split.
    - A new one begins without a history: what lost a part of its area to it goes on.
    - Seen from an earlier status: an authority that is not there yet counts for those that its first inhabitants belonged to, and one
      that has taken over another since counts for both.
    - An authority that nobody continues, because nobody of its kind is competent there, stays itself.
    """
    held = merge_periods(
        competences.with_columns(pl.col("authority_id").str.extract(r"^([a-z]+)/", 1).alias("kind")),
        ["authority_id", "kind", "ags", "is_partial"],
    ).with_columns(pl.col("valid_to").fill_null(_OPEN_END))
    lives = merge_periods(held, ["authority_id"]).with_columns(pl.col("valid_to").fill_null(_OPEN_END))
    holds = (pl.col("valid_from") <= on) & (pl.col("valid_to") > on)
    status = held.filter(holds).select(
        "kind",
        pl.col("ags").alias("reported_ags"),
        pl.col("is_partial").alias("_is_partial"),
        pl.col("authority_id").alias("reported_authority_id"),
    )
    regions = regions.select("ags", "population", "area_km2", "valid_from", pl.col("valid_to").fill_null(_OPEN_END))

    # Which periods are looked at on which day: ended ones on their last, later ones on their first, living ones when anything changes.
    living = lives.filter(holds)
    gone = lives.filter(~holds).with_columns(
        pl.when(pl.col("valid_to") <= on)
        .then(pl.col("valid_to").dt.offset_by("-1d"))
        .otherwise(pl.col("valid_from"))
        .alias("_day")
    )
    later = held.join(regions.filter(pl.col("valid_from") > on), on="ags", suffix="_region")
    cuts = pl.concat(
        [
            held.select("authority_id", day.alias("_day")).filter((pl.col("_day") > on) & (pl.col("_day") < _OPEN_END))
            for day in (pl.col("valid_from"), pl.col("valid_to"))
        ]
        + [later.select("authority_id", pl.col("valid_from_region").alias("_day"))]
    ).unique()
    cut = (
        living.join(cuts, on="authority_id")
        .filter((pl.col("_day") > pl.col("valid_from")) & (pl.col("_day") < pl.col("valid_to")))
        .sort("authority_id", "_day")
        .with_columns(pl.col("_day").shift(-1).over("authority_id").fill_null(pl.col("valid_to")).alias("valid_to"))
        .with_columns(pl.col("_day").alias("valid_from"))
    )
    first_cut = cut.group_by("authority_id").agg(pl.col("valid_from").min().alias("_cut"))
    whole = living.join(first_cut, on="authority_id", how="left").with_columns(pl.coalesce("_cut", "valid_to").alias("valid_to"))

    probes = pl.concat(
        [gone.with_columns(pl.lit(False).alias("_lives")), cut.with_columns(pl.lit(True).alias("_lives"))], how="diagonal"
    )
    pieces = (
        probes.join(held.rename({"valid_from": "_from", "valid_to": "_to"}), on="authority_id")
        .filter((pl.col("_from") <= pl.col("_day")) & (pl.col("_to") > pl.col("_day")))
        .join(regions.rename({"valid_from": "_region_from", "valid_to": "_region_to"}), on="ags")
        .filter((pl.col("_region_from") <= pl.col("_day")) & (pl.col("_region_to") > pl.col("_day")))
        .join(successors.rename({"valid_from": "_region_from"}).drop("kind"), on=["ags", "_region_from"])
        .join(status, on=["kind", "reported_ags"])
    )
    # who takes a part of the cases is continued by who does so too, where there is one
    of_place = ["authority_id", "valid_from", "ags", "is_partial", "reported_ags"]
    unlike = pl.col("is_partial") != pl.col("_is_partial")
    pieces = pieces.filter(unlike == unlike.min().over(of_place))
    period = ["authority_id", "valid_from", "valid_to"]
    ordered = pieces.sort(*period, "ags", "reported_ags", "reported_authority_id")  # sums of fractions must not hang on an order
    found = ordered.group_by(*period, "_day", "_lives", "reported_authority_id", maintain_order=True).agg(
        (pl.col("population") * pl.col("population_share")).sum().alias("_people"),
        (pl.col("area_km2") * pl.col("area_share")).sum().alias("_area"),
    )
    # an authority that goes on counts for itself and for those of the status that have ended by then
    existing = found.filter("_lives").join(
        lives.rename({"valid_from": "_from", "valid_to": "_to"}), left_on="reported_authority_id", right_on="authority_id"
    )
    existing = existing.filter((pl.col("_from") <= pl.col("_day")) & (pl.col("_to") > pl.col("_day")))
    others = found.join(existing, on=[*period, "reported_authority_id"], how="anti")
    itself = probes.join(found.filter(~pl.col("_lives")), on=period, how="anti").select(
        *period, pl.col("authority_id").alias("reported_authority_id")
    )
    itself = itself.join(
        found.select(*period, "reported_authority_id", "_people", "_area"), on=[*period, "reported_authority_id"], how="left"
    )
    shares = (
        pl.concat([others.select(*period, "reported_authority_id", "_people", "_area"), itself])
        .sort(*period, "reported_authority_id")
        .with_columns(pl.col("_people", "_area").fill_null(0.0))
        .with_columns(
            pl.when(pl.col("_people").sum().over(period) > 0)
            .then(pl.col("_people") / pl.col("_people").sum().over(period))
            .when(pl.col("_area").sum().over(period) > 0)
            .then(pl.col("_area") / pl.col("_area").sum().over(period))
            .otherwise(1 / pl.len().over(period))
            .alias("population_share"),
            pl.col("_people").round().cast(pl.Int64).alias("population"),
        )
        .filter((pl.col("population_share") > 0) | (pl.col("authority_id") == pl.col("reported_authority_id")))
    )
    without = authorities.join(lives, on="authority_id", how="anti").with_columns(pl.col("valid_to").fill_null(_OPEN_END))
    unmoved = pl.concat([whole.select(period), without.select(period)]).with_columns(
        pl.col("authority_id").alias("reported_authority_id"), pl.lit(1.0).alias("population_share")
    )
    rows = pl.concat([shares, unmoved], how="diagonal").with_columns(
        pl.when(pl.col("authority_id") != pl.col("reported_authority_id")).then(pl.col("population")).alias("population")
    )
    return (
        rows.with_columns(pl.when(pl.col("valid_to") != _OPEN_END).then(pl.col("valid_to")).alias("valid_to"))
        .select(_AUTHORITY_SUCCESSORS.keys())
        .sort("authority_id", "valid_from", "reported_authority_id")
    )


# --------------------------------------------------------------------------------------------------------------------------- look-up

_KEY_COLUMNS = ["ags", "verband_code", "kreis_code", "regierungsbezirk_code", "land_code"]


def normalised_key(key: pl.Expr) -> pl.Expr:
    """A region key in its shortest form: an AGS, or the beginning of an ARS without the zeros that pad it.

    The ARS of a municipality becomes its AGS, because municipalities keep that when they join or leave a Verband. An AGS that ends in
    000 becomes its Kreis: either it is that of a kreisfreie Stadt, which is its Kreis, or a Kreis padded to eight digits.
    NULL where the text is no key of 2, 3, 5, 8, 9 or 12 digits.
    """
    digits = key.str.replace_all(" ", "", literal=True)
    digits = pl.when(digits.str.contains(r"^[0-9]+$")).then(digits)
    count = digits.str.len_bytes()
    ags = pl.when(count == 8).then(digits)
    ars: pl.Expr = pl.when(count.is_in([2, 3, 5, 9, 12])).then(digits).when(ags.str.ends_with("000")).then(ags.str.head(5))
    ars = ars.str.pad_end(12, "0")
    return (
        pl.when(ars.is_null())
        .then(ags)
        .when(~ars.str.ends_with("000"))
        .then(ars.str.head(5) + ars.str.tail(3))
        .when(ars.str.slice(5, 4) != "0000")
        .then(ars.str.head(9))
        .when(ars.str.slice(3, 2) != "00")
        .then(ars.str.head(5))
        .when(ars.str.slice(2, 1) != "0")
        .then(ars.str.head(3))
        .otherwise(ars.str.head(2))
    )


def _keys_of(regions: pl.DataFrame) -> pl.DataFrame:
    """Periods in which a municipality has the same keys."""
    municipalities = regions.filter(~pl.col("kind").cast(pl.String).is_in(GEMEINDEFREI))
    return merge_periods(municipalities, _KEY_COLUMNS)


def _at(frame: pl.DataFrame, epochs: pl.DataFrame) -> pl.DataFrame:
    """The rows of a valid-time frame in every epoch in which they hold, with ``epoch``."""
    return frame.join_where(
        epochs, pl.col("valid_from") <= pl.col("day"), pl.col("valid_to").fill_null(_OPEN_END) > pl.col("day")
    ).drop("valid_from", "valid_to", "day")


def _resolution(reference: Reference) -> Resolution:
    """All answers to "which authority does this key name for this service in this epoch" (an own key first, else the authority
    that is competent; a key that is not valid in an epoch stands for its only successor or predecessor that is)."""
    regions = _keys_of(reference.regions)
    competences = merge_periods(
        reference.competences.with_columns(pl.col("service_id").cast(pl.String)), ["authority_id", "service_id", "ags"]
    )
    days = {OPEN_START}
    for frame in (regions, competences):
        days |= set(frame["valid_from"]) | set(frame["valid_to"].drop_nulls())
    starts = sorted(day for day in days if day >= OPEN_START)
    epochs = pl.DataFrame({"epoch": range(len(starts)), "day": starts}, schema={"epoch": pl.Int32, "day": pl.Date})

    # Which municipalities a key stands for: its AGS, and the keys of the areas around it.
    placed = _at(regions, epochs)
    forms = [normalised_key(pl.col(column)) for column in _KEY_COLUMNS]
    members = pl.concat([placed.select("epoch", form.alias("key"), "ags") for form in forms]).drop_nulls().unique()
    members = _with_aliases(members, regions, reference.moves, epochs)
    # A key that stands for a single municipality is that municipality's: kreisfreie Städte, Einheitsgemeinden.
    single = members.group_by("epoch", "key").agg(pl.col("ags").n_unique().alias("_n"), pl.col("ags").first().alias("_only"))
    identity = single.select(
        "epoch", "key", pl.when(pl.col("_n") == 1).then(pl.col("_only")).otherwise(pl.col("key")).alias("_self")
    )

    competent = _at(competences, epochs)
    own = (
        competent.select("epoch", "service_id", "authority_id")
        .unique()
        .with_columns(normalised_key(pl.col("authority_id").str.extract(r"/(\d+)$", 1)).alias("key"))
        .join(identity, on=["epoch", "key"], how="left")
        .select("epoch", "service_id", pl.coalesce("_self", "key").alias("_self"), "authority_id")
    )
    named = identity.join(own, on=["epoch", "_self"], how="inner").group_by("service_id", "key", "epoch")
    by_name = named.agg(pl.col("authority_id").n_unique().alias("_own_n"), pl.col("authority_id").first().alias("_own"))
    around = members.join(competent, on=["epoch", "ags"], how="inner").group_by("service_id", "key", "epoch")
    by_area = around.agg(pl.col("authority_id").n_unique().alias("_area_n"), pl.col("authority_id").first().alias("_area"))
    keys = by_area.join(by_name, on=["service_id", "key", "epoch"], how="full", coalesce=True).select(
        "service_id",
        "key",
        "epoch",
        pl.coalesce("_own_n", "_area_n").cast(pl.UInt32).alias("candidates"),
        pl.when(pl.coalesce("_own_n", "_area_n") == 1).then(pl.coalesce("_own", "_area")).alias("key_authority"),
    )
    return Resolution(starts, keys, _ids(competent, by_name, epochs))


def _with_aliases(members: pl.DataFrame, regions: pl.DataFrame, moves: pl.DataFrame, epochs: pl.DataFrame) -> pl.DataFrame:
    """``members`` with the keys that are not valid in an epoch but whose only successor or predecessor is."""
    successors: dict[str, list[tuple[date, str]]] = defaultdict(list)
    predecessors: dict[str, list[tuple[date, str]]] = defaultdict(list)
    for old, new, on in moves.select("old_ags", "new_ags", "on").iter_rows():
        successors[old].append((on, new))
        predecessors[new].append((on, old))
    valid: dict[str, list[tuple[date, date]]] = defaultdict(list)
    moved = {*successors, *predecessors}
    for ags, start, end in regions.filter(pl.col("ags").is_in(moved)).select("ags", "valid_from", "valid_to").iter_rows():
        valid[ags].append((start, end or _OPEN_END))

    def alive(ags: str, day: date) -> str | None:
        for _ in range(8):  # chains of changes are short; a circle of them names nobody
            if any(start <= day < end for start, end in valid[ags]):
                return ags
            later = {new for on, new in successors[ags] if on <= day}
            earlier = {old for on, old in predecessors[ags] if on > day}
            onward = later or earlier
            if len(onward) != 1:
                return None
            ags = onward.pop()
        return None

    # Besides the AGS itself, a Kreis or Verband that was or will be a single municipality stands for that.
    sizes = members.group_by("epoch", "key").agg(pl.col("ags").n_unique().alias("_n"), pl.col("ags").first())
    lone = sizes.filter((pl.col("_n") == 1) & pl.col("ags").is_in(moved)).group_by("key").agg(pl.col("ags").unique())
    lone = lone.filter(pl.col("ags").list.len() == 1).select("key", pl.col("ags").list.first())
    names = dict(lone.iter_rows()) | {ags: ags for ags in moved}
    rows = [
        (epoch, key, found)
        for key, ags in names.items()
        for epoch, day in epochs.iter_rows()
        if (found := alive(ags, day)) is not None
    ]
    aliases = pl.DataFrame(rows, schema={"epoch": pl.Int32, "key": pl.String, "ags": pl.String}, orient="row")
    return pl.concat([members, aliases.join(members, on=["epoch", "key"], how="anti")])


def _ids(competent: pl.DataFrame, by_name: pl.DataFrame, epochs: pl.DataFrame) -> pl.DataFrame:
    """Delivered ids: those that hold in an epoch, and those whose key stands in it for another authority's own key."""
    holding = competent.select("service_id", pl.col("authority_id").alias("given_id"), "epoch").unique()
    holding = holding.with_columns(pl.col("given_id").alias("id_authority"))
    ever = holding.select("service_id", "given_id").unique()
    lapsed = (
        ever.join(epochs.select("epoch"), how="cross")
        .join(holding, on=["service_id", "given_id", "epoch"], how="anti")
        .with_columns(normalised_key(pl.col("given_id").str.extract(r"/(\d+)$", 1)).alias("key"))
        .join(by_name.filter(pl.col("_own_n") == 1), on=["service_id", "key", "epoch"], how="inner")
        .select("service_id", "given_id", "epoch", pl.col("_own").alias("id_authority"))
    )
    ids = pl.concat([holding, lapsed])
    any_service = ids.group_by("given_id", "epoch").agg(pl.col("id_authority").unique())
    any_service = any_service.filter(pl.col("id_authority").list.len() == 1).select(
        pl.lit("").alias("service_id"), "given_id", "epoch", pl.col("id_authority").list.first()
    )
    return pl.concat([ids, any_service])
