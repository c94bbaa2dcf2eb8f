"""A random world, recomputed day by day and authority by authority from the definitions: the SQL must say the same everywhere.

The models cumulate changes; here nothing is cumulated. The state of a connection on a day is the last event up to it, an authority is
competent where a row says so on that day, a share of cost is a fraction.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
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


def random_world(seed: int) -> dict[str, Rows]:
    """Two Länder of 16 municipalities in 4 Kreise; keys, competences, connections, usage and cost change at random."""
    rng = random.Random(seed)
    regions: Rows = []
    competences: Rows = []
    for land in PROGRAMME:
        for kreis in (f"{land}1{n:02d}" for n in range(4)):
            for n in range(4):
                ags, ars = f"{kreis}{n:03d}", f"{kreis}00{n:02d}{n:03d}"
                kind = "gemeindefrei_bewohnt" if n == 3 and rng.random() < 0.5 else "gemeinde"
                people = rng.randrange(1, 1000)
                if rng.random() < 0.3:  # the number of inhabitants changes when something else does
                    cut = random_day(rng)
                    regions += [
                        region(ags, ars, ags, kind, people, until=cut),
                        region(ags, ars, ags, kind, people + rng.randrange(100), since=cut),
                    ]
                else:
                    regions.append(region(ags, ars, ags, kind, people))
                verband = ars[:9]
                if rng.random() < 0.3:  # comes late, goes early, or both
                    since, until = sorted([random_day(rng), random_day(rng) + timedelta(days=1)])
                    if since < until:
                        competences.append(competence("ummeldung", verband, ags, since=since, until=until))
                else:
                    competences.append(competence("ummeldung", verband, ags))
                competences.append(competence("bauantrag", kreis, ags))
                if rng.random() < 0.3:
                    competences.append(competence("bauantrag", ags, ags, partial=True, since=random_day(rng)))
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
        for _ in range(rng.randrange(7)):
            row = event(
                service, key, rng.choice([*PHASES, "operational", "integrating"]), random_day(rng), wave, call_off=call_off
            )
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
                counts[tuple(row[c] for c in ("authority_id", "period", "grain", "channel", "account"))] = row
    entries = []
    for n in range(60):
        service, key = rng.choice(pairs)
        direct = rng.random() < 0.4
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
    return {
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


class Naive:
    """The definitions, one day and one authority at a time."""

    def __init__(self, tables: dict[str, Rows]):
        self.tables = tables
        self.events: dict[tuple[str, str], Rows] = defaultdict(list)
        for row in tables["connections"]:
            if row["effective_on"] <= AS_OF:
                self.events[row["authority_id"], row["service_id"]].append(row)
        for rows in self.events.values():
            rows.sort(key=lambda row: (row["effective_on"], PHASES.index(row["phase"])))
        self.cases = {row["authority_id"]: row["cases"] for row in tables["case_volumes"]}

    @staticmethod
    def holds(row: dict[str, Any], day: date) -> bool:
        return row["valid_from"] <= day and (row["valid_to"] is None or day < row["valid_to"])

    def phase(self, authority: str, service: str, day: date) -> str:
        past = [row["phase"] for row in self.events[authority, service] if row["effective_on"] <= day]
        return past[-1] if past else "none"

    def competences(self, land: str, service: str, day: date) -> Rows:
        return [
            row
            for row in self.tables["competences"]
            if row["land_code"] == land and row["service_id"] == service and self.holds(row, day)
        ]

    def municipalities(self, day: date) -> dict[str, dict[str, Any]]:
        return {row["ags"]: row for row in self.tables["regions"] if self.holds(row, day)}

    def coverage(self, land: str, service: str, day: date) -> tuple[Any, ...]:
        rows = self.competences(land, service, day)
        towns = self.municipalities(day)
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
        competent = {row["authority_id"] for row in self.competences(land, service, day)}
        current = [self.phase(a, service, day) for a in competent]
        way = PHASES[:5]
        found = {"none": (current.count("none"), len(competent))}
        for phase in PHASES:
            enough = set(way[way.index(phase) :]) if phase in way else {phase}
            reached = [
                a
                for a in competent
                if any(row["phase"] in enough and row["effective_on"] <= day for row in self.events[a, service])
            ]
            found[phase] = (current.count(phase), len(reached))
        return found

    def adoption(self, land: str, days: list[date]) -> dict[date, tuple[Any, ...]]:
        """month -> online, assisted, offline, paired online, paired total, inhabitant days, reporting, live."""
        live: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for day in days:
            towns = self.municipalities(day)
            rows = self.competences(land, "ummeldung", day)
            for authority in {row["authority_id"] for row in rows}:
                if self.phase(authority, "ummeldung", day) == "operational":
                    own = [row for row in rows if row["authority_id"] == authority and not row["is_partial"]]
                    live[day.replace(day=1)][authority] += sum(towns[row["ags"]]["population"] for row in own)
        best: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
        for row in self.tables["usage"]:
            if not row["is_test"] and row["submitted"] is not None:
                month = row["period"].replace(day=1)
                cell = best[row["authority_id"], month, row["channel"], row["account"]]
                cell[row["grain"]] = cell.get(row["grain"], 0) + row["submitted"]
        channels: dict[tuple[str, date], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (authority, month, channel, _), cell in best.items():
            group = channel if channel in ("online", "assisted") else "offline"
            channels[authority, month][group] += cell.get("month", cell.get("day", 0))
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
        for (authority, service), rows in self.events.items():
            first = {row["phase"]: row["effective_on"] for row in reversed(rows)}
            if "integrating" in first and not ("operational" in first and first["operational"] < START):
                begun[authority, service] = (rows[0]["land_code"], rows[0]["wave"], rows[0]["call_off"], "operational" in first)
        sums: dict[tuple[Any, ...], list[Fraction]] = {}
        for row in self.tables["costs"]:
            if row["recurring"] or row["entry_status"] not in ("invoiced", "reversal"):
                continue
            matching = [
                (authority, service, land, wave, completed)
                for (authority, service), (land, wave, call_off, completed) in begun.items()
                if row["land_code"] in ("00", land)
                and row["authority_id"] in (None, authority)
                and row["service_id"] in (None, service)
                and row["wave"] in (None, wave)
                and row["call_off"] in (None, call_off)
            ]
            for _, service, land, wave, completed in matching:
                share = Fraction(row["amount_eur"] + (row["vat_nonrecoverable_eur"] or 0)) / len(matching)
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


def cents(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize("seed", [3])
def test_every_number_equals_its_recomputation_from_the_definitions(seed: int, tmp_path: Path) -> None:
    tables = random_world(seed)
    lands = [{"land_code": land, "name": land, "programme_start": START} for land in PROGRAMME]
    services = [{"land_code": land, "service_id": service} for land, chosen in PROGRAMME.items() for service in chosen]
    write_inputs(tmp_path / "inputs", tables, land=lands, land_service=services, quarantine=[])
    statuses = run_dbt(tmp_path, "build", "--resource-type", "model", "--resource-type", "seed")
    assert set(statuses.values()) == {"success"}
    naive = Naive(tables)
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

    expected_days = []
    for land, chosen in PROGRAMME.items():
        firsts = [
            row["effective_on"]
            for row in tables["connections"]
            if row["land_code"] == land
            and row["phase"] == "operational"
            and naive.phase(row["authority_id"], row["service_id"], row["effective_on"]) == "operational"
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
    assert len(costs) > 20 and sum(row[5] for row in costs) > 10
