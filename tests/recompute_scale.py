"""``scale_observation``, computed a second time from a sample world's truth: one connection and one ledger entry at a time, in fractions.

Belongs here: the definitions as the descriptions of the model state them. Does not: anything out of the pipeline but the seeds,
which hold assumptions and no formulas; estimates and verdicts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Any

import polars as pl
import yaml

from tests.recompute import Truth
from tests.recompute_cost import EUR, SPENT, Row, _cents, _to_base_prices, assumption, efforts, ledger

#: How an amount without VAT may be stated.
PRICES = ("real", "nominal", "cpi")


def scale_observation(truth: Truth) -> pl.DataFrame:
    """Every begun connection: who, when, how much experience, at what cost."""
    events: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for event in truth.told(truth.events).to_dicts():
        events[event["authority_id"], event["service_id"]].append(event)
    begun = {(row["authority_id"], row["service_id"]): dict(row) for row in efforts(truth)}
    for pair, row in begun.items():
        told = events[pair]
        at_start = next(event for event in told if event["phase"] == "integrating")
        row |= {name: at_start[name] for name in ("team", "contractor", "call_off")}
        row["is_pilot"] = any(event["is_pilot"] for event in told)
    starts: dict[tuple[Any, ...], date] = {}
    for row in begun.values():
        wave = (row["land_code"], row["contractor"], row["wave"])
        starts[wave] = min(starts.get(wave, row["started_on"]), row["started_on"])
    inhabitants = _inhabitants(truth)
    experience = _Experience(truth, events)
    costs = _costs(truth, begun)
    settling, per_day = assumption("invoice_settling_days"), assumption("municipal_person_day_eur")
    rows = []
    for pair, row in begun.items():
        wave_start = starts[row["land_code"], row["contractor"], row["wave"]]
        is_in_wave = row["contractor"] is not None and row["wave"] is not None
        difficulty, recorded_on = _difficulty(events[pair], wave_start if is_in_wave else row["started_on"])
        cost = costs.get(pair, _Cost())
        accepted_on, real, municipal = row["accepted_on"], cost.variable("real"), row["person_days_municipal"]
        count, baseline = experience.before(row["service_id"], row["started_on"])
        rows.append(
            {
                **{
                    name: row[name]
                    for name in ("authority_id", "service_id", "land_code", "call_off", "contractor", "wave", "team")
                },
                "authority_kind": pair[0].split("/")[0],
                "cluster": f"{row['contractor']} / {row['wave']}" if is_in_wave else None,
                "planned_wave": next((e["planned_wave"] for e in events[pair] if e["planned_wave"] is not None), None),
                "is_pilot": row["is_pilot"],
                "wave_started_on": wave_start if is_in_wave else None,
                "started_on": row["started_on"],
                "accepted_on": accepted_on,
                "is_accepted": accepted_on is not None,
                "is_invoiced": accepted_on is not None
                and (truth.as_of - accepted_on).days >= settling
                and any(day >= accepted_on for day in cost.own_invoices or cost.lot_invoices),
                "phase_weight": float(row["earned"]),
                "cost_variable_eur": _cents(real),
                "cost_variable_nominal_eur": _cents(cost.variable("nominal")),
                "cost_variable_cpi_eur": _cents(cost.variable("cpi")),
                "cost_full_eur": _cents(cost.full),
                "payer_total_eur": None if real is None or municipal is None else _cents(real + municipal * per_day),
                "allocation_direct_share": cost.direct_share,
                "person_days": None if row["person_days"] is None else float(row["person_days"]),
                "person_days_municipal": None if municipal is None else float(municipal),
                "cumulative_connections": count,
                "baseline_connections": baseline,
                "population": inhabitants.get(pair),
                "difficulty": difficulty,
                "difficulty_recorded_on": recorded_on,
                "price_mechanism": cost.price_mechanism,
            }
        )
    return pl.DataFrame(rows, schema_overrides={name: EUR for name in rows[0] if name.endswith("_eur")}, infer_schema_length=None)


def _difficulty(events: Iterable[Row], before: date) -> tuple[float | None, date | None]:
    """What was last recorded before a day; where nothing was, what was recorded first."""
    known = [(e["difficulty_recorded_on"] or date.max, e["difficulty"]) for e in events if e["difficulty"] is not None]
    in_time = [one for one in known if one[0] < before]
    if not known:
        return None, None
    # of one day the newer statement, which comes later
    day = max(in_time)[0] if in_time else min(known)[0]
    return [value for on, value in known if on == day][-1], None if day == date.max else day


def _inhabitants(truth: Truth) -> dict[tuple[str, str], int]:
    """Of the municipalities in which it takes all cases; where it shares every one, of them all."""
    towns = truth.table("regions").filter(pl.col("valid_to").is_null()).select("ags", "population")
    found: dict[tuple[str, str], list[tuple[bool, int]]] = defaultdict(list)
    for row in truth.status.join(towns, on="ags").to_dicts():
        found[row["authority_id"], row["service_id"]].append((row["is_partial"], row["population"]))
    return {pair: sum(of for shared, of in all_of if not shared or all(s for s, _ in all_of)) for pair, all_of in found.items()}


class _Experience:
    """Days of first acceptances by service; before the programme they count from the day on which their Land joined."""

    def __init__(self, truth: Truth, events: dict[tuple[str, str], list[Row]]) -> None:
        joined = {
            (row["land_code"], row["service_id"]): date.fromisoformat(str(row["programme_start"]))
            for row in truth.programme.to_dicts()
        }
        self.accepted: dict[str, list[date]] = defaultdict(list)
        self.joined: dict[str, list[tuple[date, int]]] = defaultdict(list)
        baseline: dict[tuple[str, str], int] = defaultdict(int)
        for (_, service), told in events.items():
            place = (told[0]["land_code"], service)
            first = min((e["effective_on"] for e in told if e["phase"] == "operational"), default=None)
            if first is None or place not in joined:
                continue
            if first < joined[place]:
                baseline[place] += 1
            else:
                self.accepted[service].append(first)
        for days in self.accepted.values():
            days.sort()
        for place, day in joined.items():
            self.joined[place[1]].append((day, baseline[place] or _stated(truth).get(place, 0)))

    def before(self, service: str, day: date) -> tuple[int, int]:
        """``(N, its part from before the programme)`` on the eve of a day; Länder that join on the day count."""
        baseline = sum(count for joined, count in self.joined[service] if joined <= day)
        return bisect_left(self.accepted[service], day) + baseline, baseline


def _stated(truth: Truth) -> dict[tuple[str, str], int]:
    laender = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (truth.folder / "laender").glob("*.yaml")]
    return {
        (land["land_code"], service): count
        for land in laender
        for service, count in land.get("programme", {}).get("baseline", {}).items()
    }


class _Cost:
    """What was booked or allocated to one connection, entry by entry."""

    def __init__(self) -> None:
        self.shares: list[tuple[Row, dict[str, Fraction | None], bool]] = []

    def add(self, entry: Row, amounts: dict[str, Fraction | None], *, is_direct: bool) -> None:
        self.shares.append((entry, amounts, is_direct))

    def _variable(self) -> list[tuple[Row, dict[str, Fraction | None], bool]]:
        return [share for share in self.shares if share[0]["behaviour"] == "variable"]

    @staticmethod
    def _sum(amounts: list[Fraction | None]) -> Fraction | None:
        known = [amount for amount in amounts if amount is not None]
        return sum(known, Fraction(0)) if amounts and len(known) == len(amounts) else None

    def variable(self, price: str) -> Fraction | None:
        """Sum of the variable shares; None where there is none or one has no such price."""
        return self._sum([amounts[price] for _, amounts, _ in self._variable()])

    @property
    def full(self) -> Fraction | None:
        return self._sum([amounts["real"] for _, amounts, _ in self.shares])

    @property
    def direct_share(self) -> float | None:
        """By size, of what entries with the same dimensions add up to."""
        alike: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
        names = ("land_code", "authority_id", "service_id", "wave", "call_off", "payer", "price_mechanism")
        for entry, amounts, is_direct in self._variable():
            alike[(is_direct, *(entry[name] for name in names))] += amounts["nominal"] or 0
        total = sum(abs(amount) for amount in alike.values())
        return float(sum(abs(amount) for key, amount in alike.items() if key[0]) / total) if total else None

    @property
    def price_mechanism(self) -> str | None:
        by_mechanism: dict[str | None, Fraction] = defaultdict(Fraction)
        for entry, amounts, _ in self._variable():
            by_mechanism[entry["price_mechanism"]] += amounts["nominal"] or 0
        paid = [mechanism for mechanism, amount in by_mechanism.items() if amount]
        return paid[0] if len(paid) == 1 else "mixed" if paid else None

    @property
    def own_invoices(self) -> list[date]:
        return [e["booked_on"] for e, _, _ in self._variable() if e["entry_status"] == "invoiced" and e["authority_id"]]

    @property
    def lot_invoices(self) -> list[date]:
        return [e["booked_on"] for e, _, _ in self._variable() if e["entry_status"] == "invoiced" and e["call_off"]]


def _costs(truth: Truth, begun: dict[tuple[str, str], Row]) -> dict[tuple[str, str], _Cost]:
    """Every one-off entry that was spent, shared equally among the begun connections that match all that it states."""
    of_authority: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in begun:
        of_authority[pair[0]].append(pair)
    names = dict(truth.names.select("authority_id", "reported_authority_id").iter_rows())
    found: dict[tuple[str, str], _Cost] = defaultdict(_Cost)
    for entry in ledger(truth):
        if entry["recurring"] or entry["entry_status"] not in SPENT:
            continue
        authority = names.get(entry["authority_id"], entry["authority_id"])
        stated = {name: entry[name] for name in ("service_id", "wave", "call_off") if entry[name] is not None}
        if entry["land_code"] != "00":
            stated["land_code"] = entry["land_code"]
        among = begun if authority is None else of_authority[authority]
        matching = [pair for pair in among if all(begun[pair][name] == value for name, value in stated.items())]
        net = entry["amounts"]["net"]
        quarter = entry["booked_on"].replace(month=(entry["booked_on"].month - 1) // 3 * 3 + 1, day=1)
        rates = {"nominal": Fraction(1)} | {
            price: _to_base_prices().get((name, quarter)) for price, name in (("real", entry["deflator_class"]), ("cpi", "cpi"))
        }
        for pair in matching:
            shares = {price: None if rates[price] is None else net * rates[price] / len(matching) for price in PRICES}
            found[pair].add(entry, shares, is_direct=authority is not None and entry["service_id"] is not None)
    return found
