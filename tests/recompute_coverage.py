"""Coverage by Kreis, classes, pilots, time in phase, regressions, use, paces and the survival curve, computed a second time from the truth.

Belongs here: the definitions as the descriptions of the models state them, in plain Polars, from a sample world's truth and its Land
files. Does not: what ``tests.recompute`` has already (coverage, the funnel), anything out of the pipeline but the seeds, and the
prediction of open connections, whose own test simulates worlds.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from functools import cache

import polars as pl
import yaml

from tests.recompute import PHASE_ORDER, SEEDS, Truth, connections, coverage_daily

_PAIR = ["authority_id", "service_id"]
_CELL = ["land_code", "service_id"]
#: Ended stretches from which on there is a threshold for being stuck.
STRETCHES_NEEDED = 20
#: How far a class reaches; the class that is left out reaches nowhere.
REACH = {
    "nicht in Auswertung berücksichtigt": 0,
    "in mind. einer Kommune verfügbar": 1,
    "kreisweit flächendeckend": 2,
    "landesweit flächendeckend": 3,
    "bundesweit flächendeckend": 4,
}


def _share(numerator: str, denominator: str) -> pl.Expr:
    return pl.when(pl.col(denominator) != 0).then(pl.col(numerator) / pl.col(denominator))


def _programmes(truth: Truth) -> pl.DataFrame:
    """``land_code target_on target_share`` of the Land files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((truth.folder / "laender").glob("*.yaml"))]
    return pl.DataFrame(
        [
            {
                "land_code": land["land_code"],
                "target_on": land["programme"]["target"]["date"],
                "target_share": float(land["programme"]["target"].get("share", 1)),
            }
            for land in files
            if "programme" in land
        ]
    )


# -- by Kreis ---------------------------------------------------------------------------------------------------------------


@cache
def coverage_by_kreis(truth: Truth) -> pl.DataFrame:
    """Every municipality on every month end: who is competent, and whether all of them are operational."""
    day = pl.col("as_of")
    towns = truth.table("regions").filter(
        pl.col("valid_from") <= truth.as_of, pl.col("valid_to").fill_null(date.max) > truth.as_of
    )
    towns = towns.with_columns(
        kreis_code=pl.col("ags").str.slice(0, 5), is_municipality=~pl.col("kind").str.starts_with("gemeindefrei")
    )
    ends = truth.days.filter((day == day.dt.month_end()) | (day == truth.as_of)).join(truth.programme, on="land_code")
    states = truth.authority_days.join(ends, on=[*_CELL, "as_of"], how="semi").select(*_PAIR, "as_of", "is_operational")
    pairs = truth.status.join(towns.drop("land_code", "valid_from", "valid_to"), on="ags").join(states, on=_PAIR)
    key = [*_CELL, "kreis_code", "as_of"]
    authorities = (
        pairs.unique(["authority_id", *key])
        .group_by(key)
        .agg(
            authorities_competent=pl.len().cast(pl.Int64),
            authorities_operational=pl.col("is_operational").sum().cast(pl.Int64),
        )
    )
    covered = pl.col("is_covered")
    municipalities = (
        pairs.group_by(*key, "ags", "population", "is_municipality")
        .agg(is_covered=pl.col("is_operational").all())
        .group_by(key)
        .agg(
            population_competent=pl.col("population").sum(),
            population_operational=pl.col("population").filter(covered).sum(),
            municipalities_competent=pl.col("is_municipality").sum().cast(pl.Int64),
            municipalities_operational=(pl.col("is_municipality") & covered).sum().cast(pl.Int64),
        )
    )
    kreise = towns.select("land_code", "kreis_code").unique()
    return (
        ends.select(*_CELL, "as_of")
        .join(kreise, on="land_code")
        .join(authorities, on=key, how="left")
        .join(municipalities, on=key, how="left")
        .with_columns(pl.col("^(authorities|population|municipalities)_.*$").fill_null(0))
        .with_columns(
            coverage_authority_share=_share("authorities_operational", "authorities_competent"),
            coverage_population_share=_share("population_operational", "population_competent"),
            is_area_wide=(pl.col("authorities_competent") > 0)
            & (pl.col("authorities_operational") == pl.col("authorities_competent")),
        )
    )


def coverage_class_comparison(truth: Truth) -> pl.DataFrame:
    """Our class of every Kreis beside those of the catalogue's entries under verified keys; the catalogue is one snapshot."""
    now = coverage_by_kreis(truth).filter(as_of=truth.as_of)
    land = coverage_daily(truth).filter(as_of=truth.as_of).select(*_CELL, land_is_area_wide="is_area_wide")
    keys = pl.read_csv(SEEDS / "service_leika_key.csv", schema_overrides={"leika_key": pl.String}).filter("is_verified")
    shown = truth.table("listings").join(keys.select("service_id", "leika_key"), on="leika_key")
    names = {order: name for name, order in REACH.items()}
    services, laender = set(keys["service_id"]), set(truth.table("listings")["land_code"])
    rows = []
    for kreis in now.join(land, on=_CELL).iter_rows(named=True):
        comparable = kreis["service_id"] in services and kreis["land_code"] in laender
        if not kreis["authorities_competent"]:
            own = 0
        elif kreis["land_is_area_wide"]:
            own = 3  # two or three Länder are never the whole country
        elif kreis["is_area_wide"]:
            own = 2
        else:
            own = 1 if kreis["municipalities_operational"] else None
        row = {name: kreis[name] for name in (*_CELL, "kreis_code", "as_of")}
        if not comparable:
            local = inherited = best = count = None
        else:
            above = {"0" * 12, kreis["land_code"].ljust(12, "0")}
            of_service = shown.filter(service_id=kreis["service_id"])
            within = of_service.filter(pl.col("ars").str.starts_with(kreis["kreis_code"]))
            mine = [REACH[name] for name in within.filter(~pl.col("is_inherited"))["coverage_class"]]
            others = [
                REACH[name]
                for name in [
                    *within.filter("is_inherited")["coverage_class"],
                    *of_service.filter(pl.col("ars").is_in(above))["coverage_class"],
                ]
            ]
            local, inherited, best, count = (
                max(mine, default=None),
                max(others, default=None),
                max(mine + others, default=None),
                len(mine + others),
            )
        if not comparable:
            reason = "not_comparable"
        elif own == best:
            reason = None
        elif best is None:
            reason = "not_in_catalogue"
        elif best < (own or 0):
            reason = "catalogue_narrower"
        else:
            reason = "catalogue_wider" if (local or 0) > (own or 0) else "inherited"
        rows.append(
            row
            | {
                "own_coverage_class": names.get(own),
                "catalogue_coverage_class": names.get(best),
                "catalogue_local_coverage_class": names.get(local),
                "catalogue_inherited_coverage_class": names.get(inherited),
                "catalogue_entries_count": count,
                "is_equal": own == best if comparable else None,
                "is_local_equal": own == local if comparable else None,
                "difference_reason": reason,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


# -- pilots -----------------------------------------------------------------------------------------------------------------


def pilot_coverage_daily(truth: Truth) -> pl.DataFrame:
    """Every authority on every day, told apart by whether any of its events says pilot."""
    pilots = truth.told(truth.events).filter("is_pilot").select(_PAIR).unique().with_columns(is_pilot=True)
    counted = (
        truth.authority_days.join(pilots, on=_PAIR, how="left")
        .with_columns(pl.col("is_pilot").fill_null(False))
        .group_by(*_CELL, "as_of", "is_pilot")
        .agg(
            authorities_competent=pl.len().cast(pl.Int64),
            authorities_operational=pl.col("is_operational").sum().cast(pl.Int64),
        )
    )
    every = truth.days.join(truth.programme.select(_CELL), on="land_code").join(
        pl.DataFrame({"is_pilot": [True, False]}), how="cross"
    )
    return (
        every.join(counted, on=[*_CELL, "as_of", "is_pilot"], how="left")
        .with_columns(pl.col("^authorities_.*$").fill_null(0))
        .with_columns(coverage_authority_share=_share("authorities_operational", "authorities_competent"))
    )


# -- time in phase ----------------------------------------------------------------------------------------------------------


@cache
def stretches(truth: Truth) -> pl.DataFrame:
    """``land_code authority_id service_id phase began_on ended_on next_phase days``, event by event, of the authorities of ``as_of``."""
    competent = truth.status.join(truth.programme, on=_CELL, how="semi").select("land_code", *_PAIR).unique()
    rows = []
    events = truth.told(truth.events).drop("land_code").join(competent, on=_PAIR)
    for (authority, service), mine in events.sort("effective_on", "phase_order", "reported_at").group_by(
        _PAIR, maintain_order=True
    ):
        days: dict[date, str] = {}  # what the same day replaced is not a phase that anybody was in
        for event in mine.iter_rows(named=True):
            days[event["effective_on"]] = event["phase"]
        runs: list[tuple[date, str]] = []
        for day, phase in sorted(days.items()):
            if not runs or runs[-1][1] != phase:
                runs.append((day, phase))
        for (began, phase), following in zip(runs, [*runs[1:], None], strict=True):
            ended = following[0] if following else None
            rows.append(
                {
                    "land_code": mine["land_code"][0],
                    "authority_id": authority,
                    "service_id": service,
                    "phase": phase,
                    "began_on": began,
                    "ended_on": ended,
                    "next_phase": following[1] if following else None,
                    "days": ((ended or truth.as_of) - began).days,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _quantile(days: list[int], share: float) -> float | None:
    """Linear between the two nearest values."""
    if not days:
        return None
    ordered, place = sorted(days), share * (len(days) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def time_in_phase(truth: Truth) -> pl.DataFrame:
    """Who is in each phase, for how long, how long those were who left it, and who is stuck."""
    spells = stretches(truth)
    ended = spells.filter(pl.col("ended_on").is_not_null())
    rows = []
    for land, service, _ in truth.programme.iter_rows():
        for phase in set(PHASE_ORDER) - {"none"}:
            mine = spells.filter(land_code=land, service_id=service, phase=phase)
            now = mine.filter(pl.col("ended_on").is_null())["days"].to_list()
            past = mine.filter(pl.col("ended_on").is_not_null())["days"].to_list()
            everywhere = ended.filter(service_id=service, phase=phase)["days"].to_list()
            threshold, reason = None, None
            if phase in ("operational", "withdrawn"):
                reason = "no_next_phase"
            elif len(everywhere) < STRETCHES_NEEDED:
                reason = "too_few_completed"
            else:
                threshold = _quantile(everywhere, 0.9)
            rows.append(
                {
                    "land_code": land,
                    "service_id": service,
                    "as_of": truth.as_of,
                    "phase": phase,
                    "phase_order": PHASE_ORDER[phase],
                    "authorities_in_phase": len(now),
                    "current_median_days": _quantile(now, 0.5),
                    "current_p90_days": _quantile(now, 0.9),
                    "current_longest_days": max(now, default=None),
                    "completed_count": len(past),
                    "completed_median_days": _quantile(past, 0.5),
                    "completed_p90_days": _quantile(past, 0.9),
                    "stuck_threshold_days": threshold,
                    "authorities_stuck": None if threshold is None else sum(days > threshold for days in now),
                    "stuck_reason": reason,
                }
            )
    floats = ("current_median_days", "current_p90_days", "completed_median_days", "completed_p90_days", "stuck_threshold_days")
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(floats).cast(pl.Float64))


# -- regressions ------------------------------------------------------------------------------------------------------------


@cache
def regression(truth: Truth) -> pl.DataFrame:
    """Runs of days on which an authority was operational, and the days until the next run."""
    one, day = pl.duration(days=1), pl.col("as_of")
    runs = (
        truth.authority_days.filter("is_operational")
        .with_columns(run=day - pl.duration(days=day.rank("dense").over(_PAIR)))
        .group_by("land_code", *_PAIR, "run")
        .agg(began_on=day.min(), regressed_on=day.max() + one)
        .sort(*_PAIR, "began_on")
        .with_columns(resumed_on=pl.col("began_on").shift(-1).over(_PAIR))
        .filter(pl.col("regressed_on") <= truth.as_of)
    )
    after = truth.authority_days.select(*_PAIR, "phase", regressed_on="as_of")
    return runs.join(after, on=[*_PAIR, "regressed_on"], how="left").select(
        "land_code",
        *_PAIR,
        "regressed_on",
        "resumed_on",
        to_phase="phase",
        operational_days=(pl.col("regressed_on") - pl.col("began_on")).dt.total_days(),
        interrupted_days=(
            pl.col("resumed_on").fill_null(truth.as_of + timedelta(days=1)) - pl.col("regressed_on")
        ).dt.total_days(),
        is_interrupted=pl.col("resumed_on").is_null(),
    )


def regression_monthly(truth: Truth) -> pl.DataFrame:
    """Regressions by the month they began and ended in, and those that lasted at the month's end."""
    events = regression(truth)
    months = (
        truth.days.select("land_code", month=pl.col("as_of").dt.truncate("1mo"))
        .unique()
        .join(truth.programme.select(_CELL), on="land_code")
    )
    rows = []
    for row in months.iter_rows(named=True):
        end = min(_month_end(row["month"]), truth.as_of)
        mine = events.filter(land_code=row["land_code"], service_id=row["service_id"])
        began, ended = mine["regressed_on"].to_list(), mine["resumed_on"].to_list()
        rows.append(
            row
            | {
                "regressions_count": sum(row["month"] <= day <= end for day in began),
                "resumptions_count": sum(day is not None and row["month"] <= day <= end for day in ended),
                "authorities_interrupted": sum(
                    first <= end and (last is None or last > end) for first, last in zip(began, ended, strict=True)
                ),
            }
        )
    return pl.DataFrame(rows)


def _month_end(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


# -- use --------------------------------------------------------------------------------------------------------------------


def operational_use(truth: Truth) -> pl.DataFrame:
    """Which operational authorities received an online submission within 90 days, counted day by day; a month is its first day."""
    first = truth.as_of - timedelta(days=89)
    counts = truth.told(
        truth.table("usage").filter(
            ~pl.col("is_test"),
            ~pl.col("is_retracted"),
            pl.col("submitted").is_not_null(),
            pl.col("period") <= truth.as_of,
            channel="online",
        )
    ).with_columns(month=pl.col("period").dt.truncate("1mo"))
    # the monthly count holds where both arrive
    by_month = counts.filter(grain="month").select(*_PAIR, "month").unique()
    counts = pl.concat(
        [counts.filter(grain="month"), counts.filter(grain="day").join(by_month, on=[*_PAIR, "month"], how="anti")]
    )
    live = truth.authority_days.filter("is_operational", pl.col("as_of") >= first).select(*_PAIR, "as_of")
    total = pl.col("submitted").sum()
    by_day = counts.filter(grain="day").group_by(*_PAIR, as_of="period").agg(total).join(live, on=[*_PAIR, "as_of"], how="semi")
    months = live.with_columns(month=pl.col("as_of").dt.truncate("1mo")).select(*_PAIR, "month").unique()
    monthly = counts.filter(grain="month").group_by(*_PAIR, "month").agg(total).join(months, on=[*_PAIR, "month"], how="semi")
    monthly = monthly.filter((pl.col("month") >= first) | (pl.col("submitted") == 0))
    known = (
        pl.concat([by_day.select(*_PAIR, "submitted"), monthly.select(*_PAIR, "submitted")])
        .group_by(_PAIR)
        .agg(is_used=pl.col("submitted").max() > 0)
    )
    return (
        truth.authority_days.filter(as_of=truth.as_of)
        .join(known, on=_PAIR, how="left")
        .with_columns(is_used=pl.when("is_operational").then("is_used"))
        .group_by(*_CELL, "as_of")
        .agg(
            authorities_operational=pl.col("is_operational").sum().cast(pl.Int64),
            authorities_reporting_count=pl.col("is_used").count().cast(pl.Int64),
            _used=pl.col("is_used").sum().cast(pl.Int64),
        )
        .with_columns(
            authorities_used_count=pl.when(
                (pl.col("authorities_reporting_count") > 0) | (pl.col("authorities_operational") == 0)
            ).then("_used")
        )
        .drop("_used")
    )


# -- commitment -------------------------------------------------------------------------------------------------------------


def commitment_status(truth: Truth) -> pl.DataFrame:
    """Everything of the commitment but the prediction: counts, paces and the linear arrival."""
    coverage = coverage_daily(truth)
    operational = {
        (r["land_code"], r["service_id"], r["as_of"]): r["authorities_operational"] for r in coverage.iter_rows(named=True)
    }
    first = dict(truth.days.group_by("land_code").agg(pl.col("as_of").min()).iter_rows())
    rows = []
    today = coverage.filter(as_of=truth.as_of).join(_programmes(truth), on="land_code").join(truth.programme, on=_CELL)
    for row in today.iter_rows(named=True):

        def live(day: date, land: str = row["land_code"], service: str = row["service_id"]) -> int | None:
            return operational.get((land, service, day))

        start, target, now = row["programme_start"], row["target_on"], row["authorities_operational"]
        to_target = (target - truth.as_of).days
        lacking = max(math.ceil(row["authorities_competent"] * row["target_share"] - 1e-9) - now, 0)
        eight_weeks = truth.as_of - timedelta(weeks=8)
        actual = None if eight_weeks < first[row["land_code"]] else (now - (live(eight_weeks) or 0)) / 8
        required = lacking / (to_target / 7) if to_target > 0 else None
        arrival, reason = None, None
        if lacking == 0:
            reason = "arrived"
        elif actual is None:
            reason = "too_early"
        elif actual <= 0:
            reason = "no_progress"
        elif lacking / actual > 5200:
            reason = "more_than_a_century"
        else:
            arrival = truth.as_of + timedelta(days=math.ceil(7 * lacking / actual))
        rows.append(
            {
                **{name: row[name] for name in (*_CELL, "as_of", "target_on", "target_share")},
                "days_to_target": to_target,
                "authorities_competent": row["authorities_competent"],
                "authorities_operational": now,
                "authorities_open": row["authorities_competent"] - now,
                "authorities_lacking": lacking,
                "required_pace_per_week": required,
                "actual_pace_per_week": actual,
                "pace_gap_per_week": None if required is None or actual is None else required - actual,
                "programme_pace_per_week": (now - (live(start - timedelta(days=1)) or 0))
                / (((truth.as_of - start).days + 1) / 7),
                "before_programme_pace_per_week": (
                    (live(start - timedelta(days=1)) or 0) - (live(start - timedelta(days=365)) or 0)
                )
                / 52,
                "linear_arrival_on": arrival,
                "linear_arrival_reason": reason,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


# -- time to operational ----------------------------------------------------------------------------------------------------


def time_to_operational(truth: Truth) -> pl.DataFrame:
    """Kaplan and Meier by hand for all, each Land, each service, and both: at risk are those who had entered and not yet left."""
    competent = truth.status.select(*_PAIR).unique()
    begun = connections(truth).filter("is_begun").join(competent, on=_PAIR, how="semi")
    withdrawn = (
        stretches(truth).filter(phase="withdrawn").filter(pl.col("ended_on").is_null()).select(*_PAIR, withdrawn_on="began_on")
    )
    spells = []
    for row in begun.join(withdrawn, on=_PAIR, how="left").iter_rows(named=True):
        start, accepted = row["started_on"], row["accepted_on"]
        if accepted is not None and accepted < start:
            continue
        days = ((accepted or row["withdrawn_on"] or truth.as_of) - start).days
        entry = max((row["programme_start"] - start).days, 0)
        if entry == 0 or days > entry:
            spells.append((row["land_code"], row["service_id"], entry, days, accepted is not None))
    strata: dict[tuple[str, str, str | None, str | None], list[tuple[int, int, bool]]] = {}
    for land, service, *spell in spells:
        for stratum in (
            ("all", "all", None, None),
            ("land", land, land, None),
            ("service", service, None, service),
            ("land_service", f"{land} {service}", land, service),
        ):
            strata.setdefault(stratum, []).append(tuple(spell))  # type: ignore[arg-type]
    rows = []
    for (kind, stratum, land_code, service_id), members in strata.items():
        survival = 1.0
        for day in sorted({days for _, days, _ in members}):
            at_risk = sum(days >= day and (entry == 0 or entry < day) for entry, days, _ in members)
            events = sum(days == day and is_event for _, days, is_event in members)
            survival *= 1 - events / at_risk
            rows.append(
                {
                    "stratum_kind": kind,
                    "stratum": stratum,
                    "land_code": land_code,
                    "service_id": service_id,
                    "days": day,
                    "at_risk_count": at_risk,
                    "event_count": events,
                    "censored_count": sum(days == day and not is_event for _, days, is_event in members),
                    "survival_share": survival,
                    "operational_share": 1 - survival,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)
