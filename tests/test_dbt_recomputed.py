"""A random world, recomputed day by day and authority by authority from the definitions: the SQL must say the same everywhere.

Municipalities merge, split and change their keys, and everything is told on the territorial status of one day. The models cumulate
changes; here nothing is cumulated. The state of a connection on a day is the last event up to it of those who then stood for its
inhabitants, an authority is competent where a row says so on the status, a share of cost is a fraction.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.tables import PHASES
from tests.dbt_inputs import AS_OF, START, Rows, competence, cost, d, delivered, event, region, run_dbt, usage, write_inputs

FIRST = date(2025, 12, 1)
PROGRAMME = {"09": ("ummeldung", "bauantrag"), "06": ("ummeldung", "bauantrag")}


def random_day(rng: random.Random, last: date = AS_OF) -> date:
    return FIRST + timedelta(days=rng.randrange((last - FIRST).days + 1))


@dataclass
class World:
    """Canonical tables, and the territory changes in them: on a day, what each old key gave to which new ones (key -> inhabitants)."""

    tables: dict[str, Rows]
    moves: list[tuple[date, dict[str, dict[str, int]]]]

    def links(self) -> list[tuple[Any, ...]]:
        return [
            (old, new, on, people, 1.0)
            for on, table in self.moves
            for old, parts in table.items()
            for new, people in parts.items()
        ]


def random_places(rng: random.Random, land: str) -> tuple[Rows, list[tuple[date, dict[str, dict[str, int]]]]]:
    """16 municipalities in 4 Kreise. In each Kreis the first one changes: it merges with the second into a new one, is absorbed by
    the second, is split into two, or leaves for a Kreis of its own; the last change of Hesse is yet to come on AS_OF."""
    regions: Rows = []
    moves = []
    for number, kreis in enumerate(f"{land}1{n:02d}" for n in range(4)):
        day = random_day(rng) if land == "09" or number < 3 else AS_OF + timedelta(days=9)
        people = [rng.randrange(1, 1000) for _ in range(4)]
        keys = [f"{kreis}{n:03d}" for n in range(4)]
        kinds = ["gemeinde"] * 3 + ["gemeindefrei_bewohnt" if rng.random() < 0.5 else "gemeinde"]

        def place(
            ags: str, size: int, since: date = date(1900, 1, 1), until: date | None = None, kind: str = "gemeinde"
        ) -> dict[str, Any]:
            return region(ags, f"{ags[:5]}0{ags[5:]}{ags[5:]}", ags, kind, size, since=since, until=until)

        first, second = keys[0], keys[1]
        if number == 0:
            regions += [place(key, size, until=day) for key, size in zip(keys[:2], people, strict=False)]
            regions.append(place(f"{kreis}010", people[0] + people[1], since=day))
            moves.append((day, {first: {f"{kreis}010": people[0]}, second: {f"{kreis}010": people[1]}}))
        elif number == 1:
            regions += [place(first, people[0], until=day), place(second, people[1], until=day)]
            regions.append(place(second, people[0] + people[1], since=day))
            moves.append((day, {first: {second: people[0]}, second: {second: people[1]}}))
        elif number == 2:
            part = rng.randrange(people[0] + 1)
            parts = {f"{kreis}020": part, f"{kreis}021": people[0] - part}
            regions += [place(first, people[0], until=day), place(second, people[1])]
            regions += [place(key, size, since=day) for key, size in parts.items()]
            moves.append((day, {first: parts}))
        else:
            free = f"{land}2{number:02d}000"
            regions += [place(first, people[0], until=day), place(free, people[0], since=day), place(second, people[1])]
            moves.append((day, {first: {free: people[0]}}))
        regions += [place(key, size, kind=kind) for key, size, kind in list(zip(keys, people, kinds, strict=True))[2:]]
    return regions, moves


def random_world(seed: int) -> World:
    """Two Länder; keys, competences, connections, usage and cost change at random."""
    rng = random.Random(seed)
    regions: Rows = []
    competences: Rows = []
    moves: list[tuple[date, dict[str, dict[str, int]]]] = []
    for land in PROGRAMME:
        places, changes = random_places(rng, land)
        regions += places
        moves += changes
        for row in places:
            ags, period = row["ags"], {"since": row["valid_from"], "until": row["valid_to"]}
            is_unmoved = row["valid_from"] == date(1900, 1, 1) and row["valid_to"] is None
            if is_unmoved and rng.random() < 0.3:  # comes late, goes early, or both
                since, until = sorted([random_day(rng), random_day(rng) + timedelta(days=1)])
                if since < until:
                    competences.append(competence("ummeldung", row["verband_code"], ags, since=since, until=until))
            else:
                competences.append(competence("ummeldung", row["verband_code"], ags, **period))
            competences.append(competence("bauantrag", row["kreis_code"], ags, **period))
            if is_unmoved and rng.random() < 0.3:
                competences.append(competence("bauantrag", ags, ags, partial=True, since=random_day(rng)))
    lives: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in competences:
        lives[row["authority_id"]].append(row)

    def exists(authority: str, day: date) -> bool:
        return any(Naive.holds(row, day) for row in lives[authority])

    pairs = sorted({(row["service_id"], row["authority_id"].split("/")[1]) for row in competences})
    authorities = [
        {
            "authority_id": name,
            "kind": name.split("/")[0],
            "name": name,
            "seat_key": name.split("/")[1],
            "valid_from": date(1900, 1, 1),
            "land_code": name.split("/")[1][:2],
        }
        for name in sorted({row["authority_id"] for row in competences})
    ]
    connections: dict[tuple[Any, ...], dict[str, Any]] = {}
    for service, key in pairs:
        wave, call_off = rng.choice([1, 2, None]), rng.choice(["x", "y"])
        for _ in range(rng.randrange(12)):
            row = event(
                service, key, rng.choice([*PHASES, *["operational", "integrating"] * 3]), random_day(rng), wave, call_off=call_off
            )
            if not exists(row["authority_id"], row["effective_on"]):
                continue
            connections[row["authority_id"], row["phase"], row["effective_on"]] = row
    counts: dict[tuple[Any, ...], dict[str, Any]] = {}
    for service, key in pairs:
        if service == "ummeldung":
            for _ in range(rng.randrange(60)):
                grain = rng.choice(["day"] * 9 + ["month"])
                period = random_day(rng)
                row = usage(
                    key,
                    period.replace(day=1) if grain == "month" else period,
                    grain,
                    rng.choice(["online", "online", "assisted", "counter", "post"]),
                    rng.choice([None, 0, 1, 2, 5, 40]),
                    rng.choice([None, "bundid"]),
                    is_test=rng.random() < 0.1,
                )
                if exists(row["authority_id"], period):
                    counts[tuple(row[c] for c in ("authority_id", "period", "grain", "channel", "account"))] = row
    entries = []
    for n in range(60):
        service, key = rng.choice(pairs)
        direct, booked_on = rng.random() < 0.4, random_day(rng)
        direct = direct and exists(event(service, key, "planned", START)["authority_id"], booked_on)
        entries.append(
            cost(
                str(n),
                str(Decimal(rng.randrange(-50_000, 500_000)) / 100),
                rng.choice(["bund", "land", "kommune"]),
                rng.choice(["variable", "fixed_land", "fixed_programme"]),
                authority_id=event(service, key, "planned", START)["authority_id"] if direct else None,
                service_id=service if rng.random() < 0.5 else None,
                wave=rng.choice([None, None, 1, 2]),
                call_off=rng.choice([None, None, "x", "y"]),
                vat_nonrecoverable_eur=rng.choice([None, Decimal("0.19")]),
                recurring=rng.random() < 0.1,
                booked_on=booked_on,
                entry_status=rng.choice(["invoiced", "invoiced", "reversal", "planned"]),
                land_code=key[:2] if direct or rng.random() < 0.7 else "00",
            )
        )
    federal = [row for row in entries if row["land_code"] == "00"]
    volumes = [
        {
            "authority_id": row["authority_id"],
            "service_id": "ummeldung",
            "year": 2024,
            "cases": rng.randrange(100),
            "land_code": row["land_code"],
        }
        for row in authorities
        if row["kind"] == "meldebehoerde" and rng.random() < 0.7
    ]
    tables = {
        "regions": delivered(regions, "verzeichnis", d(1, 2)),
        "authorities": delivered(authorities, "behoerden", d(1, 2)),
        "competences": delivered(competences, "zustaendigkeiten", d(1, 2)),
        "connections": delivered(list(connections.values()), "verbindungen", AS_OF),
        "usage": delivered(list(counts.values()), "nutzung", AS_OF),
        "case_volumes": delivered(volumes, "fallzahlen", AS_OF),
        "costs": delivered([row for row in entries if row["land_code"] != "00"], "kosten", AS_OF)
        + delivered(federal, "bundeskosten", AS_OF),
        "listings": [],
        "territory_changes": [],
        "page_visits": [],
    }
    return World(tables, sorted(moves, key=lambda move: move[0]))


class Naive:
    """The definitions, one day and one authority at a time, on the territorial status of a day."""

    def __init__(self, world: World, territory_on: date):
        tables = world.tables
        self.tables, self.moves, self.territory_on = tables, world.moves, territory_on
        self.held: dict[str, Rows] = defaultdict(list)
        for row in tables["competences"]:
            self.held[row["authority_id"]].append(row)
        self.status = [row for row in tables["competences"] if self.holds(row, territory_on)]
        turns = [row[c] for row in tables["competences"] for c in ("valid_from", "valid_to") if row[c]]
        #: Days on which anything of competence or territory may change: in between, an authority counts for the same ones.
        self.turns = sorted({*turns, *(day for day, _ in self.moves), territory_on + timedelta(days=1)})
        self.events: dict[tuple[str, str], Rows] = defaultdict(list)
        for row in tables["connections"]:
            if row["effective_on"] <= AS_OF:
                self.events[row["authority_id"], row["service_id"]].append(row)
        for rows in self.events.values():
            rows.sort(key=lambda row: (row["effective_on"], PHASES.index(row["phase"])))
        self.stints = self._stints()
        volumes = {row["authority_id"]: row["cases"] for row in tables["case_volumes"]}
        self.cases: dict[str, int] = defaultdict(int)
        for authority, cases in volumes.items():
            for reported, part in self.parts(authority, date(2024, 12, 31), Fraction(cases), 0).items():
                self.cases[reported] += int(part)

    # -- succession

    def life(self, authority: str) -> tuple[date, date | None]:
        """First day, and first day no more; no authority of these worlds comes back."""
        ends = [row["valid_to"] for row in self.held[authority]]
        return min(row["valid_from"] for row in self.held[authority]), None if None in ends else max(ends)

    def exists(self, authority: str, day: date) -> bool:
        return any(self.holds(row, day) for row in self.held[authority])

    def carry(self, ags: str, day: date) -> dict[str, Fraction]:
        """What the municipality of that day is on the status: key -> share of its inhabitants."""
        found = {ags: Fraction(1)}
        onward = [table for on, table in self.moves if day < on <= self.territory_on]
        for on, table in reversed(self.moves):
            if self.territory_on < on <= day:
                back: dict[str, dict[str, int]] = defaultdict(dict)
                for old, parts in table.items():
                    for new, people in parts.items():
                        back[new][old] = people
                onward.append(back)
        for table in onward:
            there: dict[str, Fraction] = defaultdict(Fraction)
            for key, share in found.items():
                parts = table.get(key, {key: 1})
                for new, people in parts.items():
                    there[new] += share * (
                        Fraction(people, sum(parts.values())) if sum(parts.values()) else Fraction(1, len(parts))
                    )
            found = there
        return found

    def counts_for(self, authority: str, day: date) -> dict[str, Fraction]:
        """Authorities of the status -> inhabitants, for the facts of a day on which the authority exists."""
        lives_on = self.exists(authority, self.territory_on)
        first, end = self.life(authority)
        if lives_on and day <= self.territory_on:
            return {authority: Fraction(1)}
        seen_on = day
        if not lives_on:
            seen_on = end - timedelta(days=1) if end is not None and end <= self.territory_on else first
        sizes = {row["ags"]: row["population"] for row in self.tables["regions"] if self.holds(row, seen_on)}
        found: dict[str, Fraction] = defaultdict(Fraction)
        for row in self.held[authority]:
            if self.holds(row, seen_on):
                for ags, share in self.carry(row["ags"], seen_on).items():
                    there = [r for r in self.status if r["ags"] == ags and r["service_id"] == row["service_id"]]
                    alike = [r for r in there if r["is_partial"] == row["is_partial"]]
                    for other in alike or there:
                        found[other["authority_id"]] += sizes[row["ags"]] * share
        if lives_on:
            found = {a: people for a, people in found.items() if a == authority or not self.exists(a, day)}
            found.setdefault(authority, Fraction(0))
        return found or {authority: Fraction(1)}

    def parts(self, authority: str, day: date, amount: Fraction, decimals: int) -> dict[str, Fraction]:
        """An amount of a day, shared by inhabitants: rounded running sums, those with most inhabitants first."""
        first, end = self.life(authority)
        day = max(day, first) if end is None else min(max(day, first), end - timedelta(days=1))
        found = self.counts_for(authority, day)
        total = sum(found.values())
        shares = {a: people / total if total else Fraction(1, len(found)) for a, people in found.items()}
        taken, running = Fraction(0), Fraction(0)
        parts = {}
        for reported in sorted(shares, key=lambda a: (-shares[a], a)):
            if shares[reported] or reported == authority:
                running += shares[reported]
                upto = Fraction(rounded(amount * running, decimals))
                parts[reported], taken = upto - taken, upto
        return parts

    def _stints(self) -> dict[str, list[tuple[str, date, date | None]]]:
        """Authority of the status -> who stands for its inhabitants, from when, until when."""
        stints: dict[str, list[tuple[str, date, date | None]]] = defaultdict(list)
        for authority in self.held:
            first, end = self.life(authority)
            starts = [first, *(day for day in self.turns if first < day and (end is None or day < end))]
            for start, until in zip(starts, [*starts[1:], end], strict=True):
                for reported, people in self.counts_for(authority, start).items():
                    if people or reported == authority:
                        known = stints[reported]
                        if known and known[-1][0] == authority and known[-1][2] == start:
                            known[-1] = (authority, known[-1][1], until)
                        else:
                            known.append((authority, start, until))
        for known in stints.values():  # what was before the first one, and is after the last one, is theirs
            earliest = min(start for _, start, _ in known)
            latest = max(end or date.max for _, _, end in known)
            known[:] = [
                (a, date(1900, 1, 1) if start == earliest else start, None if (end or date.max) == latest else end)
                for a, start, end in known
            ]
        return stints

    def told(self, reported: str, service: str, day: date, stints: list[tuple[str, date, date | None]]) -> tuple[str, int]:
        """The phase furthest from operational among some of its authorities on a day, and how far all of them have come."""
        found = []
        for authority, start, _ in stints:
            past = [row["phase"] for row in self.events[authority, service] if row["effective_on"] <= day]
            before = [stint for stint in self.stints[reported] if stint[2] == start]
            phase, furthest = "none", 0
            if before:
                phase, furthest = self.told(reported, service, start - timedelta(days=1), before)
            progress = [PHASES.index(name) + 1 for name in past if name in PHASES[:5]]
            found.append((past[-1] if past else phase, max([furthest, *progress])))
        order = ("none", "withdrawn", "suspended", *PHASES[:5])
        if not found:
            return "none", 0
        return min((phase for phase, _ in found), key=order.index), min(furthest for _, furthest in found)

    @cache  # noqa: B019
    def state(self, reported: str, service: str, day: date) -> tuple[str, int]:
        in_force = [stint for stint in self.stints[reported] if stint[1] <= day and (stint[2] is None or day < stint[2])]
        return self.told(reported, service, day, in_force)

    def history(self, reported: str, service: str) -> Rows:
        """All events of a connection in their order, with the day from which each counts for it."""
        rows = []
        for authority, start, end in self.stints[reported]:
            for number, row in enumerate(self.events[authority, service]):
                if end is None or row["effective_on"] < end:
                    day = max(row["effective_on"], start)
                    rows.append(((day, start, row["effective_on"], authority, number), row | {"counts_from": day}))
        return [row for _, row in sorted(rows, key=lambda pair: pair[0])]

    @cache  # noqa: B019
    def reached_on(self, reported: str, service: str, phase: str) -> date | None:
        """First day on which it had come so far, or was suspended or withdrawn by any of its authorities."""
        days = [row["counts_from"] for row in self.history(reported, service)]
        if phase not in PHASES[:5]:
            return min((r["counts_from"] for r in self.history(reported, service) if r["phase"] == phase), default=None)
        turns = [day for _, start, end in self.stints[reported] for day in (start, end) if day]
        enough = PHASES.index(phase) + 1
        return min((day for day in {*days, *turns} if self.state(reported, service, day)[1] >= enough), default=None)

    # -- metrics

    @staticmethod
    def holds(row: dict[str, Any], day: date) -> bool:
        return row["valid_from"] <= day and (row["valid_to"] is None or day < row["valid_to"])

    def phase(self, authority: str, service: str, day: date) -> str:
        return self.state(authority, service, day)[0]

    def competences(self, land: str, service: str) -> Rows:
        return [row for row in self.status if row["land_code"] == land and row["service_id"] == service]

    @cached_property
    def towns(self) -> dict[str, dict[str, Any]]:
        return {row["ags"]: row for row in self.tables["regions"] if self.holds(row, self.territory_on)}

    def coverage(self, land: str, service: str, day: date) -> tuple[Any, ...]:
        rows = self.competences(land, service)
        towns = self.towns
        competent = {row["authority_id"] for row in rows}
        operational = {a for a in competent if self.phase(a, service, day) == "operational"}
        by_town = defaultdict(set)
        for row in rows:
            by_town[row["ags"]].add(row["authority_id"])
        connected = [ags for ags, owners in by_town.items() if owners <= operational]
        known = {a for a in competent if a in self.cases} if service == "ummeldung" else set()
        real = {ags for ags, row in towns.items() if not row["kind"].startswith("gemeindefrei")}
        return (
            len(competent),
            len(operational),
            sum(towns[ags]["population"] for ags in by_town),
            sum(towns[ags]["population"] for ags in connected),
            sum(self.cases[a] for a in known) if known else None,
            sum(self.cases[a] for a in known & operational) if known else None,
            len(real & set(by_town)),
            len(real & set(connected)),
            bool(competent) and competent == operational,
        )

    def funnel(self, land: str, service: str, day: date) -> dict[str, tuple[int, int]]:
        competent = {row["authority_id"] for row in self.competences(land, service)}
        current = [self.phase(a, service, day) for a in competent]
        found = {"none": (current.count("none"), len(competent))}
        for phase in PHASES:
            firsts = [self.reached_on(a, service, phase) for a in competent]
            found[phase] = (current.count(phase), sum(first is not None and first <= day for first in firsts))
        return found

    def adoption(self, land: str, days: list[date]) -> dict[date, tuple[Any, ...]]:
        """month -> online, assisted, offline, paired online, paired total, inhabitant days, reporting, live."""
        live: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for day in days:
            rows = self.competences(land, "ummeldung")
            for authority in {row["authority_id"] for row in rows}:
                if self.phase(authority, "ummeldung", day) == "operational":
                    own = [row for row in rows if row["authority_id"] == authority and not row["is_partial"]]
                    live[day.replace(day=1)][authority] += sum(self.towns[row["ags"]]["population"] for row in own)
        best: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
        for row in self.tables["usage"]:
            if not row["is_test"] and row["submitted"] is not None:
                month = row["period"].replace(day=1)
                cell = best[row["authority_id"], month, row["channel"], row["account"]]
                cell[row["grain"]] = cell.get(row["grain"], 0) + row["submitted"]
        of_the_day: dict[tuple[str, date, str], int] = defaultdict(int)
        by_account: dict[tuple[str, date, str], dict[str | None, int]] = defaultdict(dict)
        for (authority, month, channel, account), cell in best.items():
            by_account[authority, month, channel][account] = cell.get("month", cell.get("day", 0))
        for (authority, month, channel), accounts in by_account.items():
            group = channel if channel in ("online", "assisted") else "offline"
            # what is delivered without an account is the whole channel
            of_the_day[authority, month, group] += accounts[None] if None in accounts else sum(accounts.values())
        channels: dict[tuple[str, date], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (authority, month, group), count in of_the_day.items():
            for reported, part in self.parts(authority, month, Fraction(count), 0).items():
                channels[reported, month][group] += int(part)
        found: dict[date, tuple[Any, ...]] = {}
        months = sorted({day.replace(day=1) for day in days})
        for month in months[months.index(min(live)) :] if live else []:
            here = {a: dict(channels.get((a, month), {})) for a in live.get(month, {})}
            paired = [c for c in here.values() if "online" in c and "offline" in c]

            def total(group: str, here: dict[str, dict[str, int]] = here) -> int | None:
                values = [c[group] for c in here.values() if group in c]
                return sum(values) if values else None

            reporting = [a for a, c in here.items() if "online" in c]
            found[month] = (
                total("online"),
                total("assisted"),
                total("offline"),
                sum(c["online"] for c in paired) if paired else None,
                sum(sum(c.values()) for c in paired) if paired else None,
                sum(live[month][a] for a in reporting) if reporting else None,
                len(reporting),
                len(here),
            )
        return found

    def cost(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """(Land, service, wave, payer) -> begun, completed, variable, full, per connection."""
        begun = {}
        for reported, service in {(t, service) for t in self.stints for service in PROGRAMME["09"]}:
            rows = self.history(reported, service)
            accepted = self.reached_on(reported, service, "operational")
            if any(row["phase"] == "integrating" for row in rows) and not (accepted and accepted < START):
                land = min(row["land_code"] for row in rows)
                begun[reported, service] = (land, named(rows, "wave"), named(rows, "call_off"), accepted is not None)
        sums: dict[tuple[Any, ...], list[Fraction]] = {}
        for row in self.tables["costs"]:
            if row["recurring"] or row["entry_status"] not in ("invoiced", "reversal"):
                continue
            gross = Fraction(row["amount_eur"] + (row["vat_nonrecoverable_eur"] or 0))
            parts: dict[str | None, Fraction] = {None: gross}
            if row["authority_id"] is not None:
                parts = {**self.parts(row["authority_id"], row["booked_on"], gross, 2)}
            for named_authority, amount in parts.items():
                matching = [
                    (service, land, wave, completed)
                    for (authority, service), (land, wave, call_off, completed) in begun.items()
                    if row["land_code"] in ("00", land)
                    and named_authority in (None, authority)
                    and row["service_id"] in (None, service)
                    and row["wave"] in (None, wave)
                    and row["call_off"] in (None, call_off)
                ]
                for service, land, wave, completed in matching:
                    share = amount / len(matching)
                    for payer in (row["payer"], "total"):
                        cell = sums.setdefault((land, service, wave, payer), [Fraction(0), Fraction(0)])
                        if completed:
                            cell[0] += share if row["behaviour"] == "variable" else 0
                            cell[1] += share
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for group in {(land, service, wave) for (_, service), (land, wave, _, _) in begun.items()}:
            members = [c for (_, service), (land, wave, _, c) in begun.items() if (land, service, wave) == group]
            for payer in ("bund", "land", "kommune", "total"):
                cell = sums.get((*group, payer))
                if cell is None and payer != "total":
                    continue
                done = sum(members)
                found[(*group, payer)] = (
                    len(members),
                    done,
                    None if cell is None else cents(cell[0]),
                    None if cell is None else cents(cell[1]),
                    None if cell is None or not done else cents(Fraction(cents(cell[1])) / done),
                )
        return found


def named(rows: Rows, column: str) -> Any:
    """What the event that began the work says, or the first of its kind that says anything; else the newest that does."""
    begins = [row[column] for row in rows if row["phase"] == "integrating" and row[column] is not None]
    others = [row[column] for row in rows if row[column] is not None]
    return begins[0] if begins else others[-1] if others else None


def rounded(amount: Fraction, decimals: int) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def cents(amount: Fraction) -> Decimal:
    return rounded(amount, 2)


@pytest.mark.parametrize(("seed", "territory_on"), [(3, AS_OF), (5, date(2026, 1, 8)), (7, AS_OF + timedelta(days=30))])
def test_every_number_equals_its_recomputation_from_the_definitions(seed: int, territory_on: date, tmp_path: Path) -> None:
    """On the status of the day of the report, of an earlier day, and of one on which more has changed."""
    world = random_world(seed)
    tables = world.tables
    lands = [{"land_code": land, "name": land, "programme_start": START} for land in PROGRAMME]
    services = [{"land_code": land, "service_id": service} for land, chosen in PROGRAMME.items() for service in chosen]
    write_inputs(
        tmp_path / "inputs",
        tables,
        territory_on=territory_on,
        links=world.links(),
        land=lands,
        land_service=services,
        quarantine=[],
    )
    statuses = run_dbt(tmp_path, "build", "--resource-type", "model", "--resource-type", "seed")
    assert set(statuses.values()) == {"success"}
    naive = Naive(world, territory_on)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        coverage = {
            row[:3]: row[3:]
            for row in db.execute(
                """
                select land_code, service_id, as_of, authorities_competent, authorities_operational,
                    population_competent, population_operational, cases_competent, cases_operational,
                    municipalities_competent, municipalities_operational, is_area_wide
                from metrics.coverage_daily
                """
            ).fetchall()
        }
        funnel: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
        for land, service, day, phase, *both in db.execute(
            "select land_code, service_id, as_of, phase, authorities_current_count, authorities_reached_count from metrics.phase_funnel_daily"
        ).fetchall():
            funnel[land, service, day][phase] = tuple(both)
        adoption = db.execute(
            """
            select land_code, month, submitted_online_count, submitted_assisted_count, submitted_offline_count,
                paired_online_count, paired_total_count, round(inhabitant_years * 365.25), reporting_authorities, live_authorities
            from metrics.adoption_monthly where service_id = 'ummeldung'
            """
        ).fetchall()
        costs = db.execute(
            """
            select land_code, service_id, wave, payer, connections_begun, connections_completed,
                cost_variable_eur, cost_full_eur, cost_per_connection_eur
            from metrics.cost_per_connection
            """
        ).fetchall()

    # the series begin when anything was operational under its key of the day
    operational_days = {
        (*pair, row["effective_on"])
        for pair, rows in naive.events.items()
        for row, following in zip(rows, [*rows[1:], None], strict=True)
        if row["phase"] == "operational" and (following is None or following["effective_on"] > row["effective_on"])
    }
    expected_days = []
    for land, chosen in PROGRAMME.items():
        firsts = [
            row["effective_on"]
            for row in tables["connections"]
            if row["land_code"] == land and (row["authority_id"], row["service_id"], row["effective_on"]) in operational_days
        ]
        first = min([START, *firsts])
        days = [first + timedelta(days=n) for n in range((AS_OF - first).days + 1)]
        expected_days += [(land, service, day) for service in chosen for day in days]
        for service in chosen:
            for day in days:
                assert coverage[land, service, day] == naive.coverage(land, service, day), (land, service, day)
                assert funnel[land, service, day] == naive.funnel(land, service, day), (land, service, day)
        assert {row[1]: row[2:] for row in adoption if row[0] == land} == naive.adoption(land, days), land
    assert sorted(coverage) == sorted(expected_days)

    assert {row[:4]: row[4:] for row in costs} == naive.cost()
    # a world in which nothing happens would agree as well
    assert len({row[1] for row in coverage.values()}) > 3 and len({row[3] for row in coverage.values()}) > 10
    assert len(costs) > 15 and sum(row[5] for row in costs) > 5
    followed = [t for t, stints in naive.stints.items() if {a for a, _, _ in stints} != {t}]
    assert len(followed) >= 4 and any(naive.history(t, service) for t in followed for service in PROGRAMME["09"])
