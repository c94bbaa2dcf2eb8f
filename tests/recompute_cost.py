"""The published cost metrics, computed a second time from a sample world's truth: exact fractions of euros, one entry at a time.

Belongs here: the definitions as the descriptions of the cost models state them. Does not: anything out of the pipeline but the seeds,
which hold assumptions and no formulas.
"""

from __future__ import annotations

import calendar
import csv
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import polars as pl

from tests.recompute import OFFLINE, SEEDS, Truth, _added, connections, fct_usage_monthly, live_months

SPENT = ("invoiced", "reversal")
EUR = pl.Decimal(18, 2)
#: How an amount may be stated: net or gross, and at the prices of the day, of 2026-Q1, or by consumer prices.
AMOUNTS = ("gross", "net", "real", "cpi")

Row = dict[str, Any]
Sums = dict[tuple[Any, ...], Fraction | None]


def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assumption(name: str) -> Fraction:
    """A number of the seed ``cost_assumption``."""
    [value] = [row["value"] for row in _seed("cost_assumption") if row["assumption"] == name]
    return Fraction(value)


@cache
def _to_base_prices() -> dict[tuple[str, date], Fraction]:
    index = {
        (row["price_class"], date.fromisoformat(row["quarter"])): Fraction(row["index_value"]) for row in _seed("price_index")
    }
    return {(name, quarter): index[name, date(2026, 1, 1)] / value for (name, quarter), value in index.items()}


@cache
def ledger(truth: Truth) -> list[Row]:
    """The entries, with ``amounts``: by each of ``AMOUNTS`` the euros as a fraction, None where no index is known."""
    rows = truth.table("costs").filter(
        ~pl.col("is_retracted") & ((pl.col("entry_status") == "planned") | (pl.col("booked_on") <= truth.as_of))
    )
    entries = rows.to_dicts()
    for row in entries:
        net, vat = Fraction(row["amount_eur"]), Fraction(row["vat_nonrecoverable_eur"] or 0)
        quarter = row["booked_on"].replace(month=(row["booked_on"].month - 1) // 3 * 3 + 1, day=1)
        own, consumer = (_to_base_prices().get((name, quarter)) for name in (row["deflator_class"], "cpi"))
        row["amounts"] = {
            "gross": net + vat,
            "net": net,
            "real": None if own is None else (net + vat) * own,
            "cpi": None if consumer is None else (net + vat) * consumer,
        }
    return entries


@cache
def shares(truth: Truth) -> list[Row]:
    """One-off spending shared equally among the begun connections that match all that an entry states; the rest without a connection.

    Added up over entries and connections that agree in everything that is asked for.
    """
    begun = connections(truth).filter("is_begun").to_dicts()
    of_authority: dict[str, list[Row]] = defaultdict(list)
    for row in begun:
        of_authority[row["authority_id"]].append(row)
    sums: dict[tuple[Any, ...], Sums] = defaultdict(dict)
    for entry in ledger(truth):
        if entry["recurring"] or entry["entry_status"] not in SPENT:
            continue
        stated = {name: entry[name] for name in ("service_id", "wave", "call_off") if entry[name] is not None}
        if entry["land_code"] != "00":
            stated["land_code"] = entry["land_code"]
        among = begun if entry["authority_id"] is None else of_authority[entry["authority_id"]]
        matching = [row for row in among if all(row[name] == value for name, value in stated.items())]
        places = [tuple(row[name] for name in ("land_code", "service_id", "wave", "is_completed")) for row in matching]
        for place in places or [(entry["land_code"], entry["service_id"], None, None)]:
            for name, amount in entry["amounts"].items():
                _add(sums[(*place, entry["payer"], entry["behaviour"], max(len(places), 1))], (name,), amount)
    names = ("land_code", "service_id", "wave", "is_completed", "payer", "behaviour")
    return [
        dict(zip(names, key, strict=True)) | {"amounts": {name: _ratio(of[name,], sharing) for name in AMOUNTS}}
        for (*key, sharing), of in sums.items()
    ]


def _add(sums: Sums, key: tuple[Any, ...], amount: Fraction | None) -> None:
    before = sums.get(key, Fraction(0))
    sums[key] = None if before is None or amount is None else before + amount


def _frame(rows: Iterable[Row], **types: Any) -> pl.DataFrame:
    listed = list(rows)
    euros = {name: EUR for row in listed[:1] for name in row if name.endswith("_eur")}
    return pl.DataFrame(listed, schema_overrides={**euros, **types}, infer_schema_length=None)


def _cents(amount: Fraction | None) -> Decimal | None:
    """Rounded half away from zero to the cent."""
    if amount is None:
        return None
    hundred = abs(amount) * 100
    cents = (2 * hundred.numerator + hundred.denominator) // (2 * hundred.denominator)
    return Decimal(cents if amount >= 0 else -cents).scaleb(-2)


def _ratio(amount: Fraction | Decimal | None, by: Fraction | int | None) -> Fraction | None:
    return None if amount is None or not by else Fraction(amount) / by


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


# -- the ledger as it is ----------------------------------------------------------------------------------------------------


def cost_bridge(truth: Truth) -> pl.DataFrame:
    """Entries and euros by everything that an entry states, and by the month of its booking."""
    cells: dict[tuple[Any, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    names = ("land_code", "service_id", "wave", "category", "behaviour", "payer", "recurring", "entry_status")
    for entry in ledger(truth):
        key = (*(entry[name] for name in names), entry["booked_on"].replace(day=1))
        count, net, vat = cells[key]
        cells[key] = [count + 1, net + entry["amount_eur"], vat + (entry["vat_nonrecoverable_eur"] or 0)]
    return _frame(
        {
            **dict(zip((*names, "month"), key, strict=True)),
            "entries_count": int(count),
            "amount_eur": net,
            "vat_nonrecoverable_eur": vat,
            "gross_eur": net + vat,
        }
        for key, (count, net, vat) in cells.items()
    )


def budget_status(truth: Truth) -> pl.DataFrame:
    """Planned, estimated and spent, each for itself; open where every payer states a plan."""
    sums: dict[tuple[Any, ...], dict[str, Fraction]] = defaultdict(dict)
    for entry in ledger(truth):
        status = "invoiced" if entry["entry_status"] in SPENT else entry["entry_status"]
        of = sums[entry["land_code"], entry["payer"], entry["recurring"]]
        of[status] = of.get(status, Fraction(0)) + entry["amounts"]["gross"]
    rows = []
    for land, recurring in {(land, recurring) for land, _, recurring in sums}:
        payers = {payer: of for (a, payer, b), of in sums.items() if (a, b) == (land, recurring)}
        total: dict[str, Fraction] = {}
        for of in payers.values():
            for status, amount in of.items():
                total[status] = total.get(status, Fraction(0)) + amount
        for payer, of in {**payers, "total": total}.items():
            planned, spent = of.get("planned"), of.get("invoiced", Fraction(0))
            is_whole = all("planned" in one for one in payers.values()) if payer == "total" else planned is not None
            rows.append(
                {
                    "land_code": land,
                    "payer": payer,
                    "recurring": recurring,
                    "planned_eur": _cents(planned),
                    "estimated_eur": _cents(of.get("estimate")),
                    "invoiced_eur": _cents(spent),
                    "is_plan_complete": is_whole,
                    "open_eur": _cents(planned - spent) if is_whole and planned is not None else None,
                    "invoiced_to_planned_ratio": _number(_ratio(spent, planned)) if is_whole else None,
                }
            )
    return _frame(rows, invoiced_to_planned_ratio=pl.Float64)


# -- what a connection costs ------------------------------------------------------------------------------------------------


@cache
def efforts(truth: Truth) -> list[Row]:
    """Begun connections with what they have earned and the person-days last stated."""
    weights = {phase: assumption(f"phase_weight_{phase}") for phase in ("integrating", "onboarding")}
    by_pair: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for event in truth.events.to_dicts():
        by_pair[event["authority_id"], event["service_id"]].append(event)
    found = connections(truth).filter("is_begun").to_dicts()
    for row in found:
        events = by_pair[row["authority_id"], row["service_id"]]
        open_weight = max((weights.get(event["phase"], Fraction(0)) for event in events), default=Fraction(0))
        is_away = events[-1]["phase"] == "withdrawn"
        row["earned"] = Fraction(1) if row["is_completed"] else Fraction(0) if is_away else open_weight
        for work in ("person_days", "person_days_municipal"):
            stated = [event[work] for event in events if event[work] is not None]
            row[work] = Fraction(str(stated[-1])) if stated else None
    return found


def cost_per_connection(truth: Truth) -> pl.DataFrame:
    """Cost of completed connections over their number, and of all begun ones over what they have earned."""
    sums: Sums = {}
    for share in shares(truth):
        if share["is_completed"] is None:
            continue
        for who in (share["payer"], "total"):
            place = (share["land_code"], share["service_id"], share["wave"], who)
            for name, amount in share["amounts"].items():
                for scope in ("begun", "completed"):
                    for part in ("full", "variable"):
                        counts = (scope == "begun" or share["is_completed"]) and (
                            part == "full" or share["behaviour"] == "variable"
                        )
                        _add(sums, (*place, name, scope, part), amount if counts else Fraction(0))
    waves: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in efforts(truth):
        waves[row["land_code"], row["service_id"], row["wave"]].append(row)
    is_placeholder = any(row["is_placeholder"] == "true" for row in _seed("price_index"))
    [version] = {row["index_version"] for row in _seed("price_index")}
    rows = []
    for place, members in waves.items():
        done = [row for row in members if row["is_completed"]]
        earned = sum((row["earned"] for row in members), Fraction(0))
        for payer in ("bund", "land", "kommune", "total"):
            if payer != "total" and (*place, payer, "gross", "begun", "full") not in sums:
                continue
            row: Row = {
                **dict(zip(("land_code", "service_id", "wave"), place, strict=True)),
                "payer": payer,
                "connections_begun": len(members),
                "connections_completed": len(done),
                "connections_earned": float(earned),
                "price_index_version": version,
                "is_price_index_placeholder": is_placeholder,
            }
            for name in AMOUNTS:
                base = "" if name == "gross" else f"_{name}"
                for part, called in (("variable", "cost_variable"), ("full", "cost")):
                    cost = _cents(sums.get((*place, payer, name, "completed", part)))
                    row[f"cost_{part}{base}_eur"] = cost
                    row[f"{called}{base}_per_connection_eur"] = _cents(_ratio(cost, len(done)))
                    if name in ("gross", "real"):
                        cost = _cents(sums.get((*place, payer, name, "begun", part)))
                        row[f"cost_{part}_begun{base}_eur"] = cost
                        row[f"{called}{base}_per_earned_connection_eur"] = _cents(_ratio(cost, earned))
            for work in ("person_days", "person_days_municipal"):
                known = [one[work] for one in done if one[work] is not None] if payer == "total" else None
                row[f"connections_with_{work}"] = None if known is None else len(known)
                row[work] = float(sum(known)) if known else None
                row[f"{work}_per_connection"] = float(sum(known) / len(known)) if known else None
            rows.append(row)
    floats = ("person_days", "person_days_municipal", "person_days_per_connection", "person_days_municipal_per_connection")
    return _frame(rows, **dict.fromkeys(floats, pl.Float64))


def cost_by_wave(truth: Truth) -> pl.DataFrame:
    """F / N + v after every wave, and what changed in each of the two."""
    rows = []
    completed: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for one in connections(truth).filter("is_begun").to_dicts():
        if one["wave"] is not None:
            completed[one["land_code"], one["service_id"]][one["wave"]] += one["is_completed"]
    for basis, name in (("nominal", "gross"), ("real", "real")):
        fixed: Sums = {}
        variable: Sums = {}
        for share in shares(truth):
            if share["is_completed"] is not None:
                place, amount = (share["land_code"], share["service_id"]), share["amounts"][name]
                is_variable = share["behaviour"] == "variable"
                _add(fixed, place, Fraction(0) if is_variable else amount)
                _add(variable, (*place, share["wave"]), amount if is_variable and share["is_completed"] else Fraction(0))
        for place, by_wave in completed.items():
            count, spent, before, first = 0, Fraction(0), None, None
            for wave, number in sorted(by_wave.items()):
                count += number
                own = variable.get((*place, wave))
                if number:
                    spent = None if spent is None or own is None else spent + own
                f, v = _ratio(fixed.get(place), count), _ratio(spent, count)
                average = None if f is None or v is None else f + v
                first = first or ((f, average) if count else None)
                changes = [
                    None if not before or one is None or old is None else one - old
                    for one, old in zip((f, v), before or (None, None), strict=True)
                ]
                relative = [
                    None if not first or one is None or old is None or not first[1] else (one - old) / first[1]
                    for one, old in zip((f, average), first or (None, None), strict=True)
                ]
                rows.append(
                    {
                        **dict(zip(("land_code", "service_id"), place, strict=True)),
                        "wave": wave,
                        "price_basis": basis,
                        "connections_completed": number,
                        "connections_completed_cumulative": count,
                        "cost_variable_eur": _cents(own),
                        "cost_marginal_per_connection_eur": _cents(_ratio(own, number)),
                        "cost_fixed_eur": _cents(fixed.get(place)),
                        "cost_variable_cumulative_eur": _cents(spent if count else None),
                        "cost_fixed_average_eur": _cents(f),
                        "cost_variable_average_eur": _cents(v),
                        "cost_average_eur": _cents(average),
                        "degression_change_eur": _cents(changes[0]),
                        "variable_change_eur": _cents(changes[1]),
                        "cost_average_change_eur": None if None in changes else _cents(sum(changes)),
                        "cost_average_first_wave_eur": _cents(first[1]) if first else None,
                        "degression_change_ratio": _number(relative[0]),
                        "cost_average_change_ratio": _number(relative[1]),
                    }
                )
                before = (f, v)
    return _frame(rows, degression_change_ratio=pl.Float64, cost_average_change_ratio=pl.Float64)


# -- what it costs to run ---------------------------------------------------------------------------------------------------


def _window(truth: Truth) -> tuple[date, date]:
    """First and last day of the last twelve whole months."""
    day = truth.as_of
    is_month_end = day.day == calendar.monthrange(day.year, day.month)[1]
    last = day if is_month_end else day.replace(day=1) - timedelta(days=1)
    following = last + timedelta(days=1)
    return following.replace(year=following.year - 1), last


@cache
def _running(truth: Truth) -> tuple[dict[tuple[Any, ...], Fraction], dict[tuple[Any, ...], date]]:
    """Running cost within the window by Land, service and payer; the first day that any of a Land's and service's pays for."""
    first, last = _window(truth)
    cost: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
    since: dict[tuple[Any, ...], date] = {}
    for entry in ledger(truth):
        if entry["recurring"] and entry["entry_status"] in SPENT:
            begins = entry["period_start"] or min(entry["booked_on"], entry["period_end"] or date.max)
            ends = entry["period_end"] or max(entry["booked_on"], entry["period_start"] or date.min)
            within = (min(ends, last) - max(begins, first)).days + 1
            place = (entry["land_code"], entry["service_id"])
            cost[(*place, entry["payer"])] += entry["amounts"]["gross"] * Fraction(max(within, 0), (ends - begins).days + 1)
            since[place] = min(begins, since.get(place, date.max))
    return cost, since


def running_cost_per_transaction(truth: Truth) -> pl.DataFrame:
    """Running cost of twelve months over the submissions of the same months."""
    first, last = _window(truth)
    cost, since = _running(truth)
    live = live_months(truth)
    within = live.filter(pl.col("month").is_between(first, last))
    usage = fct_usage_monthly(truth).join(within, on=["authority_id", "service_id", "month"], how="semi")
    digital = pl.col("channel").is_in(["online", "assisted"])

    def of(name: str, *channels: str) -> pl.Expr:
        return _added(pl.col(name).filter(pl.col("channel").is_in(channels)))

    counts = {
        (row["land_code"], row["service_id"]): row
        for row in usage.group_by("land_code", "service_id")
        .agg(
            online=of("submitted", "online"),
            assisted=of("submitted", "assisted"),
            offline=of("submitted", *OFFLINE),
            completed=of("completed", "online", "assisted"),
            incomplete=(digital & pl.col("submitted").is_not_null() & pl.col("completed").is_null()).any(),
            reported=pl.struct("authority_id", "month")
            .filter((pl.col("channel") == "online") & pl.col("submitted").is_not_null())
            .n_unique(),
        )
        .to_dicts()
    }
    months = {(land, service): n for land, service, n in within.group_by("land_code", "service_id").len().iter_rows()}
    began = {
        (land, service): day
        for land, service, day in live.group_by("land_code", "service_id").agg(pl.col("month").min()).iter_rows()
    }
    rows = []
    programme = {(land, service) for land, service, _ in truth.programme.iter_rows()}
    for place in programme | set(since):
        count = counts.get(place, {})
        online, offline, completed = count.get("online"), count.get("offline"), count.get("completed")
        both = None if online is None else online + (count["assisted"] or 0)
        total = None if both is None else both + (offline or 0)
        completed = None if count.get("incomplete", True) else completed
        spent = (
            sum((amount for (*where, _), amount in cost.items() if tuple(where) == place), Fraction(0))
            if place in since
            else None
        )
        reason = None
        if place[1] is None:
            reason = "not_booked_to_a_service"
        elif spent is None:
            reason = "no_running_cost"
        elif since[place] > first:
            reason = "cost_shorter_than_12_months"
        elif began.get(place, date.max) > first:
            reason = "live_shorter_than_12_months"
        elif not count.get("reported"):
            reason = "nothing_reported"
        elif not both:
            reason = "no_submission"
        rows.append(
            {
                "land_code": place[0],
                "service_id": place[1],
                "window_from": first,
                "window_until": last,
                "running_cost_eur": _cents(spent),
                "authority_months_reported": count.get("reported", 0),
                "authority_months_live": months.get(place, 0),
                "reporting_share": count.get("reported", 0) / months[place] if months.get(place) else None,
                "submitted_online_count": online,
                "submitted_assisted_count": count.get("assisted"),
                "submitted_offline_count": offline,
                "submitted_digital_count": both,
                "submitted_total_count": total,
                "completed_digital_count": completed,
                "running_cost_per_submission_eur": None if reason else _cents(_ratio(spent, total)),
                "running_cost_per_digital_submission_eur": None if reason else _cents(_ratio(spent, both)),
                "running_cost_per_digital_completed_eur": None if reason else _cents(_ratio(spent, completed)),
                "null_reason": reason,
            }
        )
    return _frame(rows, completed_digital_count=pl.Int64, null_reason=pl.String)


def total_cost_of_ownership(truth: Truth) -> pl.DataFrame:
    """One-off cost and, discounted, a year's running cost for every year of the horizon."""
    cost, since = _running(truth)
    years, rate = int(assumption("ownership_horizon_years")), assumption("discount_rate")
    factor = sum((1 / (1 + rate) ** year for year in range(1, years + 1)), Fraction(0))
    once: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
    for share in shares(truth):
        once[share["land_code"], share["service_id"], share["payer"]] += share["amounts"]["gross"]
    rows = []
    for place in {(land, service) for land, service, _ in (*once, *cost)}:
        payers = {payer for *where, payer in (*once, *cost) if tuple(where) == place}
        whole = place in since and since[place] <= _window(truth)[0]
        reason = "no_running_cost" if place not in since else None if whole else "cost_shorter_than_12_months"
        for payer in (*payers, "total"):
            who = payers if payer == "total" else {payer}
            single = sum((once.get((*place, one), Fraction(0)) for one in who), Fraction(0))
            yearly = sum((cost.get((*place, one), Fraction(0)) for one in who), Fraction(0)) if whole else None
            rows.append(
                {
                    **dict(zip(("land_code", "service_id"), place, strict=True)),
                    "payer": payer,
                    "horizon_years": years,
                    "discount_rate": float(rate),
                    "present_value_factor": float(factor),
                    "one_off_cost_eur": _cents(single),
                    "running_cost_annual_eur": _cents(yearly),
                    "running_cost_discounted_eur": None if yearly is None else _cents(yearly * factor),
                    "total_cost_of_ownership_eur": None if yearly is None else _cents(single + yearly * factor),
                    "null_reason": reason,
                }
            )
    return _frame(rows, null_reason=pl.String)
