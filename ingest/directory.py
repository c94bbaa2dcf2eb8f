"""Territory and competence through time: which municipalities there are, and which authority is competent for whom, on every day.

Belongs here: applying territory changes to a directory edition, deriving authorities and competences by a Land file's rules, and the
table in which a delivered key is looked up. Does not: reading the directory (``ingest.portals``), cleaning its rows
(``ingest.clean``), counting what is competent (``dbt_project``).

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

#: Kinds of areas that are no municipalities: they have no authorities and do not count.
GEMEINDEFREI = ("gemeindefrei_bewohnt", "gemeindefrei_unbewohnt")

_MOVES = ("dissolution", "key_change")
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
    ``findings``: changes that do not fit the directory, one English sentence each.
    """

    regions: pl.DataFrame
    moves: pl.DataFrame
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
    return Territory(
        regions=regions.sort("ags", "valid_from"),
        moves=pl.DataFrame(renamed, schema={"old_ags": pl.String, "new_ags": pl.String, "on": pl.Date}),
        findings=history.findings,
    )


def _moves(changes: pl.DataFrame | None, stated: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes that end or begin a key or change an ARS, each once, official ones first."""
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
    moves = (
        pl.concat(frames)
        .unique(["old_ags", "new_ags", "kind", "on"], keep="first", maintain_order=True)
        .filter(
            pl.col("kind").is_in(_MOVES)
            & ((pl.col("old_ags") != pl.col("new_ags")) | (pl.col("old_ars") != pl.col("new_ars")).fill_null(False))
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
            if move["old_ags"] == ags:  # an ARS change: the municipality joined or left a Verband
                assert before is not None
                before |= self._place(ags, move["old_ars"], after["name"])
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
                    name = re.sub(r", (St|M)$", "", move["old_name"] or after["name"])
                    old = after | self._place(move["old_ags"], move["old_ars"], name)
                    old |= {"valid_from": OPEN_START, "valid_to": day, "name": name, "population": 0, "area_km2": 0.0}
                    old["kind"] = _kind(old, move, after, population)
                    self.alive[move["old_ags"]] = old
                    born.add(move["old_ags"])
                old["population"] += population
                old["area_km2"] += area / 1e6
            assert before is not None
            before["population"] -= sum(inhabitants)
            before["area_km2"] = max(0.0, before["area_km2"] - sum(areas) / 1e6)
            if is_whole:
                before = None
        if before is not None:
            self.alive[ags] = before

    def turn(self) -> None:
        """From the past to the future: what still holds on the edition's day goes on from there."""
        rows = [*self.periods, *self.alive.values()]
        self.alive = {row["ags"]: row for row in rows if row["valid_to"] is None}
        self.periods = [row for row in rows if row["valid_to"] is not None]

    def apply(self, day: date, moves: list[dict[str, Any]]) -> None:
        """Go forward over a day: what it ends ends, what it begins begins."""
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
            self._change(day, ags, self._place(ags, moves[0]["new_ars"], self.alive[ags]["name"]))
            return
        before = self.alive.pop(ags)
        self._end(day, before)
        inhabitants = _split(before["population"], [move["population"] for move in departures], True)
        areas = _split(before["area_km2"] * 1e6, [move["area_m2"] for move in departures], True)
        for move, population, area in zip(departures, inhabitants, areas, strict=True):
            target = self.alive.get(move["new_ags"])
            if target is not None:
                self._change(
                    day,
                    move["new_ags"],
                    {"population": target["population"] + population, "area_km2": target["area_km2"] + area / 1e6},
                )
                continue
            name = re.sub(r", (St|M)$", "", move["new_name"] or before["name"])
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
    ours = territory.moves.filter(
        pl.col("old_ags").str.starts_with(land.land_code) | pl.col("new_ags").str.starts_with(land.land_code)
    )
    return _reference(land.land_code, all_authorities, all_competences, regions, ours, findings)


def _reference(
    land_code: str,
    authorities: pl.DataFrame,
    competences: pl.DataFrame,
    regions: pl.DataFrame,
    moves: pl.DataFrame,
    findings: list[str],
) -> Reference:
    sha = hashlib.sha256()
    for frame, columns in (
        (competences, ["authority_id", "service_id", "ags", "valid_from", "valid_to"]),
        (_keys_of(regions), [*_KEY_COLUMNS, "valid_from", "valid_to"]),
        (moves, ["old_ags", "new_ags", "on"]),
    ):
        sha.update(frame.select(columns).sort(columns).write_csv().encode())
    return Reference(land_code, authorities, competences, regions, moves, sha.hexdigest()[:12], findings)


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
    reached = pl.col("_end").cum_max().shift(1).over(by)
    island = (pl.col("valid_from") > reached).fill_null(False).cast(pl.Int32).cum_sum().over(by)
    return (
        ordered.with_columns(island.alias("_island"))
        .group_by([*by, "_island"], maintain_order=True)
        .agg(pl.col("valid_from").min(), pl.col("_end").max())
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
