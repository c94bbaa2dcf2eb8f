"""The published adoption metrics, computed a second time from a sample world's truth: one connection at a time, in plain Python.

Belongs here: the definitions as the descriptions of the adoption models state them. Does not: anything out of the pipeline.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from tests.recompute import OFFLINE, Truth, _added, connections, evidence_conflict, fct_usage_monthly, live_months

Row = dict[str, Any]
YEAR = 365.25

#: What the estimator states: peers, grid of dispersions, drop of the log-likelihood, months of a ramp, rounds of fitting.
PEERS, ALPHAS, DROP, RAMP, ROUNDS = 10, np.geomspace(1e-6, 1e3, 400), 2.705543 / 2, 12, 50


def _frame(rows: list[Row], **kinds: Any) -> pl.DataFrame:
    """Rows as a table: whole numbers and words as they are, the named columns with their types."""
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=kinds)


def _ratio(numerator: float | None, denominator: float | None, factor: float = 1) -> float | None:
    return None if numerator is None or not denominator else factor * numerator / denominator


def _sum(values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _after(month: date, months: int) -> date:
    """The first day of the month so many months later."""
    count = month.year * 12 + month.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _between(first: date, later: date) -> int:
    return (later.year - first.year) * 12 + later.month - first.month


def _days(truth: Truth, month: date) -> int:
    """Days of a month that are over on ``as_of``."""
    return min((_after(month, 1) - month).days, (truth.as_of - month).days + 1)


@cache
def live(truth: Truth) -> dict[tuple[str, str], dict[date, Row]]:
    """By authority of today and service: every month in which it was live, with what it reported."""
    of = pl.col("channel")
    online, offline = of == "online", of.is_in(OFFLINE)
    is_told = pl.col("submitted").is_not_null()
    usage = (
        truth.told(fct_usage_monthly(truth))
        .group_by("authority_id", "service_id", "month")
        .agg(
            online=_added(pl.col("submitted").filter(online)),
            assisted=_added(pl.col("submitted").filter(of == "assisted")),
            offline=_added(pl.col("submitted").filter(offline)),
            started=_added(pl.col("started").filter(online)),
            days=pl.when(is_told).then("days_reported").otherwise(0).filter(online).min(),
            life=pl.col("live_days").filter(online).max(),
            is_complete=((pl.col("reporting_status") == "reported") & is_told).filter(online).all() & online.any(),
        )
    )
    found: dict[tuple[str, str], dict[date, Row]] = defaultdict(dict)
    joined = live_months(truth).join(usage, on=["authority_id", "service_id", "month"], how="left")
    for row in joined.iter_rows(named=True):
        found[row["authority_id"], row["service_id"]][row["month"]] = row
    return found


def adoption_by_account(truth: Truth) -> pl.DataFrame:
    """Online submissions by account, of live authorities that deliver accounts."""
    usage = truth.told(fct_usage_monthly(truth)).filter(
        (pl.col("channel") == "online") & pl.col("account").is_not_null() & pl.col("submitted").is_not_null()
    )
    cell = ["land_code", "service_id", "month"]
    return (
        usage.join(live_months(truth), on=["authority_id", "service_id", "month"], how="semi")
        .group_by(*cell, pl.col("account").cast(pl.String))
        .agg(
            submitted_online_count=pl.col("submitted").sum(),
            reporting_authorities=pl.col("authority_id").n_unique().cast(pl.Int64),
        )
        .with_columns(all_accounts_online_count=pl.col("submitted_online_count").sum().over(cell))
        .with_columns(
            account_share=pl.when(pl.col("all_accounts_online_count") > 0).then(
                pl.col("submitted_online_count") / pl.col("all_accounts_online_count")
            )
        )
    )


def adoption_curve(truth: Truth) -> pl.DataFrame:
    """Every connection is followed from its first full month for as long as it is live and reports on each day."""
    cells: dict[tuple[str, str, str | None, str | None, int], list[tuple[Row, Row] | None]] = defaultdict(list)
    for row in connections(truth).drop_nulls("accepted_on").iter_rows(named=True):
        accepted, land, service = row["accepted_on"], row["land_code"], row["service_id"]
        first = accepted if accepted.day == 1 else _after(accepted, 1)
        months = live(truth).get((row["authority_id"], service), {})
        is_followed = True
        for number in range(1, 10_000):
            month = _after(first, number - 1)
            if _days(truth, month) < (_after(month, 1) - month).days:
                break
            now = months.get(month)
            is_followed = is_followed and now is not None and bool(now["is_complete"]) and now["live_days"] == _days(truth, month)
            for kind, stratum, its_land, its_service in (
                ("all", "all", None, None),
                ("land", land, land, None),
                ("service", service, None, service),
                ("land_service", f"{land} {service}", land, service),
            ):
                cells[kind, stratum, its_land, its_service, number].append((now, months[first]) if is_followed and now else None)
    rows = []
    for (kind, stratum, its_land, its_service, number), due in cells.items():
        followed = [one for one in due if one is not None]
        if not followed:
            continue
        paired = [now for now, _ in followed if now["offline"] is not None]
        submitted, years = sum(now["online"] for now, _ in followed), sum(now["inhabitant_days"] for now, _ in followed) / YEAR
        begun, begun_years = sum(one["online"] for _, one in followed), sum(one["inhabitant_days"] for _, one in followed) / YEAR
        part = _sum([now["online"] for now in paired])
        whole = _sum([now["online"] + (now["assisted"] or 0) + now["offline"] for now in paired])
        rows.append(
            {
                "stratum_kind": kind,
                "stratum": stratum,
                "land_code": its_land,
                "service_id": its_service,
                "full_month": number,
                "connections_due": len(due),
                "at_risk_count": len(followed),
                "submitted_online_count": submitted,
                "inhabitant_years": years,
                "submissions_per_1000_inhabitants": _ratio(submitted, years, 1000),
                "paired_online_count": part,
                "paired_total_count": whole,
                "take_up_share": _ratio(part, whole),
                "first_month_submitted_online_count": begun,
                "first_month_inhabitant_years": begun_years,
                "first_month_per_1000_inhabitants": _ratio(begun, begun_years, 1000),
            }
        )
    return _frame(rows)


def adoption_seasonality(truth: Truth) -> pl.DataFrame:
    """Shares of the newest twelve whole months, of the authorities that paired online and offline in each of the newest thirteen."""
    whole: dict[tuple[str, str], dict[str, dict[date, tuple[int, int]]]] = defaultdict(lambda: defaultdict(dict))
    for (authority, service), months in live(truth).items():
        for month, now in months.items():
            is_whole = now["live_days"] == _days(truth, month) == (_after(month, 1) - month).days
            if is_whole and now["is_complete"] and now["offline"] is not None:
                total = now["online"] + (now["assisted"] or 0) + now["offline"]
                whole[now["land_code"], service][authority][month] = (total, now["online"])
    rows = []
    for land, service, _ in truth.programme.iter_rows():
        authorities = whole[land, service]
        seen = sorted({month for months in authorities.values() for month in months})
        observed = _between(seen[0], seen[-1]) + 1 if seen else 0
        newest = [_after(seen[-1], -back) for back in range(13)] if seen else []
        complete = [months for months in authorities.values() if newest and all(month in months for month in newest)]
        totals, onlines = (
            {month.month: sum(months[month][which] for months in complete) for month in newest[:12]} if complete else {}
            for which in (0, 1)
        )
        year, year_online = _sum([*totals.values()]), _sum([*onlines.values()])
        reason = (
            "no_channel_paired"
            if observed == 0
            else "shorter_than_13_months"
            if observed < 13
            else "no_authority_complete"
            if not complete
            else None
            if year
            else "no_submission"
        )
        dated = {month.month: month for month in newest[:12]} if complete else {}
        rows += [
            {
                "land_code": land,
                "service_id": service,
                "month_of_year": number,
                "month": dated.get(number),
                "months_observed": observed,
                "authorities_complete": len(complete),
                "submitted_total_count": totals.get(number),
                "submitted_total_12_months_count": year,
                "total_month_share": _ratio(totals.get(number), year),
                "submitted_online_count": onlines.get(number),
                "submitted_online_12_months_count": year_online,
                "online_month_share": _ratio(onlines.get(number), year_online),
                "null_reason": reason,
            }
            for number in range(1, 13)
        ]
    counts = (
        "submitted_total_count",
        "submitted_total_12_months_count",
        "submitted_online_count",
        "submitted_online_12_months_count",
    )
    shares = ("total_month_share", "online_month_share")
    return _frame(
        rows, month=pl.Date, null_reason=pl.String, **dict.fromkeys(counts, pl.Int64), **dict.fromkeys(shares, pl.Float64)
    )


def _windows(months: list[Row]) -> tuple[list[Row], list[Row]]:
    """From the newest month back: each window takes reported months until it holds 90 days."""
    windows: tuple[list[Row], list[Row]] = ([], [])
    number = 0
    for now in sorted(months, key=lambda row: row["month"], reverse=True):
        if number < 2 and sum(one["reported"] for one in windows[number]) >= 90:
            number += 1
        if number < 2 and now["reported"]:
            windows[number].append(now)
    return windows


def _expected(months: list[Row]) -> None:
    """Adds ``mu`` to every reported connection × month, None with too few peers."""
    cells, ages = defaultdict(list), defaultdict(list)
    for now in months:
        cells[now["land_code"], now["service_id"], now["month"]].append(now)
        ages[now["service_id"], min(now["age"], RAMP)].append(now)
    factor = dict.fromkeys(ages, 1.0)

    def of(now: Row) -> float:
        return float(now["exposure"] * factor[now["service_id"], min(now["age"], RAMP)])

    for _ in range(ROUNDS):
        rate = {key: _ratio(sum(r["online"] for r in rows), sum(map(of, rows))) or 0.0 for key, rows in cells.items()}
        factor = {
            key: _ratio(
                sum(r["online"] for r in rows),
                sum(r["exposure"] * rate[r["land_code"], r["service_id"], r["month"]] for r in rows),
            )
            or 0.0
            for key, rows in ages.items()
        }
    for rows in cells.values():
        counts, weights = sum(r["online"] for r in rows), sum(map(of, rows))
        for now in rows:
            others = _ratio(counts - now["online"], weights - of(now)) or 0.0
            now["mu"] = of(now) * others if len(rows) > PEERS else None


def _dispersion(peers: list[tuple[int, float]]) -> tuple[float | None, float | None]:
    used = [(count, mu) for count, mu in peers if count > 0 and mu]
    if len(used) <= PEERS:
        return None, None
    counts, mu = (np.array(values) for values in zip(*used, strict=True))
    likelihoods = []
    for alpha in ALPHAS:
        law = stats.nbinom(1 / alpha, 1 / (1 + alpha * mu))
        likelihoods.append(float((law.logpmf(counts) - np.log1p(-law.pmf(0))).sum()))
    best = int(np.argmax(likelihoods))
    last = max(i for i, one in enumerate(likelihoods) if one >= likelihoods[best] - DROP)
    return float(ALPHAS[best]), float(ALPHAS[min(last + 1, len(ALPHAS) - 1)])


def dormant_connection(truth: Truth) -> pl.DataFrame:
    """The answer for every connection that is live on the last day, with the numbers behind it."""
    accepted = {(r["authority_id"], r["service_id"]): r["accepted_on"] for r in connections(truth).iter_rows(named=True)}
    this_month = truth.as_of.replace(day=1)
    is_live = truth.authority_days.filter((pl.col("as_of") == truth.as_of) & pl.col("is_operational"))
    everybody: dict[tuple[str, str], list[Row]] = {}
    for authority, service in is_live.select("authority_id", "service_id").iter_rows():
        everybody[authority, service] = []
        for month, row in live(truth)[authority, service].items():
            if _between(month, truth.as_of) < 12:
                is_told = row["online"] is not None and row["life"]
                share = min(row["days"], row["life"]) / row["life"] if is_told else 0
                now = row | {"reported": row["live_days"] * share, "exposure": row["inhabitant_days"] * share}
                begun = accepted.get((authority, service))
                now["age"] = _between(begun, month) if begun else RAMP
                everybody[authority, service].append(now)
    _expected([now for months in everybody.values() for now in months if now["online"] is not None and now["exposure"] > 0])
    windows = {key: _windows(months) for key, months in everybody.items()}
    newest: dict[tuple[str, str], date] = {}
    of_service: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    for (_, service), both in windows.items():
        for number, window in enumerate(both):
            for now in window:
                cell = now["land_code"], service
                newest[cell] = max(newest.get(cell, date.min), now["month"])
            mus = [now.get("mu") for now in window]
            if window and None not in mus:
                of_service[service, number].append((sum(now["online"] for now in window), sum(mus)))  # type: ignore[arg-type]
    alphas = {key: _dispersion(peers) for key, peers in of_service.items()}
    silent = {
        (r["authority_id"], r["service_id"])
        for r in evidence_conflict(truth).filter(kind="listed_not_reachable").iter_rows(named=True)
    }

    rows = []
    for (authority, service), months in everybody.items():
        land = is_live.filter(authority_id=authority, service_id=service)["land_code"][0]
        row: Row = {"land_code": land, "authority_id": authority, "service_id": service, "as_of": truth.as_of}
        zeros, online, started, days = [], [], [], []
        for number, window in enumerate(windows[authority, service]):
            mus = [now.get("mu") for now in window]
            mu = None if not window or None in mus else sum(mus)  # type: ignore[arg-type]
            estimate, alpha = (
                alphas.get((service, number), (None, None)) if any(now["exposure"] for now in window) else (None, None)
            )
            zero = None if mu is None or alpha is None else float((1 + alpha * mu) ** (-1 / alpha))
            begun = [now["started"] for now in window]
            zeros.append(zero)
            online.append(_sum([now["online"] for now in window]))
            started.append(None if not window or None in begun else sum(begun))
            days.append(float(sum(now["reported"] for now in window)))
            row |= {
                f"window_{number + 1}_first_month": min((now["month"] for now in window), default=None),
                f"window_{number + 1}_last_month": max((now["month"] for now in window), default=None),
                f"window_{number + 1}_reported_days": days[-1],
                f"window_{number + 1}_inhabitant_years": sum(now["exposure"] for now in window) / YEAR,
                f"window_{number + 1}_submitted_online_count": online[-1],
                f"window_{number + 1}_started_online_count": started[-1],
                f"window_{number + 1}_mu": mu,
                f"window_{number + 1}_alpha_estimate": estimate,
                f"window_{number + 1}_alpha": alpha,
                f"window_{number + 1}_zero_probability": zero,
            }
        is_observed, is_used = min(days) >= 90, any(online)
        row["p_value"] = (1.0 if is_used else max(zeros)) if is_observed and None not in zeros else None
        last = row["window_1_last_month"]
        until = newest.get((land, service))
        row["about"] = {
            "is_used": is_used,
            "is_observed": is_observed,
            "is_stale": last is None or last < _after(this_month, -3),
            "live": sum(now["live_days"] for now in months if until and now["month"] <= until),
            "evidence": "nothing_started"
            if started == [0, 0]
            else "not_reachable"
            if (authority, service) in silent
            else "started_and_not_submitted"
            if None not in started and sum(started) > 0
            else "no_technical_evidence",
        }
        rows.append(row)

    tested = sorted((row for row in rows if row["p_value"] is not None), key=lambda row: row["p_value"])
    least = 1.0
    for rank in range(len(tested), 0, -1):
        least = min(least, tested[rank - 1]["p_value"] * len(tested) / rank)
        tested[rank - 1] |= {"q_value": least, "tests_count": len(tested)}
    for row in rows:
        row.setdefault("q_value", None)
        row.setdefault("tests_count", None)
        about = row.pop("about")
        is_dead = not about["is_used"] and row["q_value"] is not None and row["q_value"] <= 0.05
        row["death_evidence"] = None
        if about["is_used"] and not about["is_stale"]:
            row["answer"] = "active"
        elif about["live"] < 180:
            row["answer"] = "too_small_or_too_early"
        elif about["is_stale"] or not about["is_observed"]:
            row["answer"] = "unknown"
        elif is_dead:
            row["death_evidence"] = about["evidence"]
            technical = about["evidence"] in ("nothing_started", "not_reachable")
            row["answer"] = "dead_technical" if technical else "dead_demand"
        else:
            row["answer"] = "too_small_or_too_early"
    return _frame(rows, death_evidence=pl.String)
