"""Synthetic worlds with known learning and scale, in the shape of ``scale_observation``: fast, seeded, drawn with numpy alone.

Belongs here: the worlds that the tests of the rule and its operating characteristics draw. Does not: the estimators
(``dbt_project/estimators``), the sample world that goes through the whole pipeline (``ingest/sample``).

    ln y = a + service + Land + (scale_elasticity - 1) ln Q - w ln N + population_elasticity ln(population) + difficulty_effect x difficulty
           + shock(contractor, wave) + shock(team, wave) + noise

y is the variable real cost (or the person-days) of a connection, Q the size of its call-off, N the experience at the start of work
(first acceptances of the service before that day plus baselines), w = -log2(1 - learning_rate). Shocks of a wave and a team hit cost and
person-days alike; the noise of a connection does so in part.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl
from polars import selectors as cs

from dbt_project.estimators.scale import OBSERVATION_SCHEMA

#: Competent authorities per Land and service as they are: Bavaria and Hesse.
COUNTS: dict[str, dict[str, int]] = {
    "09": {"ummeldung": 1385, "bauantrag": 138, "fuehrerschein": 96, "aufenthalt": 96, "waffen": 96},
    "06": {"ummeldung": 421, "fuehrerschein": 27, "aufenthalt": 33, "unterhaltsvorschuss": 33, "anlagengenehmigung": 3},
}
PROGRAMME_START = date(2026, 1, 21)
#: Day on which the cohort of these worlds is complete: everything that is accepted is accepted by then.
COHORT_END = date(2026, 12, 31)
PILOTS = 6
_KIND = {
    "ummeldung": "meldebehoerde",
    "bauantrag": "bauaufsicht",
    "fuehrerschein": "fahrerlaubnisbehoerde",
    "aufenthalt": "auslaenderbehoerde",
    "waffen": "waffenbehoerde",
    "unterhaltsvorschuss": "jugendamt",
    "anlagengenehmigung": "immissionsschutzbehoerde",
}


def observations(
    seed: int,
    *,
    learning_rate: float = 0.10,
    clusters: int = 24,
    counts: Mapping[str, Mapping[str, int]] = COUNTS,
    counts_factor: float = 1.0,
    baseline_share: float = 0.25,
    wave_sd: float = 0.10,
    team_sd: float = 0.05,
    teams: int = 4,
    noise_sd: float = 0.40,
    noise_correlation: float = 0.5,
    scale_elasticity: float = 1.0,
    population_elasticity: float = 0.08,
    difficulty_effect: float = 0.25,
    difficulty_order_correlation: float = 0.0,
    difficulty_missing_share: float = 0.0,
    difficulty_late_share: float = 0.0,
    fixed_eur: float = 0.0,
    price_mechanism: str = "actual",
    price_step: float = 0.0,
    direct_share: float = 1.0,
    volume_error_sd: float = 0.0,
    open_share: float = 0.01,
    uninvoiced_share: float = 0.0,
    land_sd: float = 0.0,
    person_days_learning_rate: float | None = None,
    drift_per_year: float = 0.02,
    joined_on: Mapping[str, date] | None = None,
) -> pl.DataFrame:
    """One world, one row per begun connection, columns of ``OBSERVATION_SCHEMA``; as of a day on which everything is booked.

    ``clusters``: contractor × wave, pilots' wave included, spread evenly over the Länder (each has one contractor). ``counts``: competent
    authorities per Land and service, times ``counts_factor``; ``baseline_share`` of them was live before (no rows). ``fixed_eur``: fixed
    cost per Land, spread evenly over its connections in ``cost_full_eur``. ``price_mechanism`` other than ``actual``: what is invoiced
    is a price, flat (``fixed_price``) or falling by ``price_step`` per doubling of N (``step_price``). ``volume_error_sd``: a call-off's
    whole cost is spread over a wrong number of connections, off by that much in logarithms. ``difficulty_order_correlation``: positive is
    easy first. ``land_sd``: of the Land's own level. ``drift_per_year``: nominal prices rise, real ones do not. ``joined_on``: first day
    of a Land's programme (default ``PROGRAMME_START``); its waves end with the cohort.
    """
    rng = np.random.default_rng([seed, 20260121])
    cells = [(land, service, round(number * counts_factor)) for land, of in counts.items() for service, number in of.items()]
    begun = np.array([number - round(number * baseline_share) for _, _, number in cells])
    n = int(begun.sum())
    cell = np.repeat(np.arange(len(cells)), begun)
    laender = list(counts)
    services = sorted({service for _, service, _ in cells})
    land = np.array([laender.index(c) for c, _, _ in cells])[cell]
    service = np.array([services.index(s) for _, s, _ in cells])[cell]
    start_day = np.array([((joined_on or {}).get(code, PROGRAMME_START) - PROGRAMME_START).days for code in laender])

    difficulty = rng.normal(size=n)
    order = difficulty_order_correlation * difficulty + np.sqrt(1 - difficulty_order_correlation**2) * rng.normal(size=n)
    population = np.round(np.exp(rng.normal(9.2, 0.8, n))).astype(np.int64)

    # waves: the pilots are wave 0; the others begin at even distances and differ in size. Place within the cell decides the wave.
    waves = np.array([clusters // len(laender) + (i < clusters % len(laender)) for i in range(len(laender))])
    offset = np.concatenate([[0], np.cumsum(begun)[:-1]])
    place = np.empty(n, dtype=np.int64)
    place[np.lexsort((order, cell))] = np.arange(n)
    place -= offset[cell]
    pilots = np.minimum(PILOTS, begun // 3)[cell]
    is_pilot = place < pilots
    wave = np.zeros(n, dtype=np.int64)
    begins = np.zeros((len(laender), waves.max()))
    horizon = (COHORT_END - PROGRAMME_START).days
    for number in range(len(laender)):
        rolled = int(waves[number]) - 1
        ends = np.cumsum(rng.lognormal(0, 0.5, rolled))
        of = (land == number) & ~is_pilot
        wave[of] = 1 + np.searchsorted(ends / ends[-1], (place[of] - pilots[of] + 0.5) / (begun[cell[of]] - pilots[of]))
        first = start_day[number]
        begins[number, : rolled + 1] = np.concatenate(
            [[first + 10], np.linspace(first + 45 + 5 * (number % 3), max(horizon - 110, first + 60), rolled)]
        )
    wave = np.minimum(wave, waves[land] - 1)
    wave_start = begins[land, wave].astype(np.int64)
    started = wave_start + rng.integers(0, 12, n)
    duration = np.clip(np.round(rng.lognormal(np.log(50) + 0.1 * difficulty, 0.25, n)), 7, None).astype(np.int64)
    accepted = np.minimum(started + duration, horizon)
    is_open = rng.random(n) < open_share

    # experience: programme acceptances of the service before the day of the start, and the baselines of Länder that had joined
    experience = np.zeros(n, dtype=np.int64)
    baseline = np.zeros(n, dtype=np.int64)
    held = np.array([round(number * baseline_share) for _, _, number in cells])
    for number in range(len(services)):
        of = np.flatnonzero(service == number)
        done = np.sort(accepted[of][~is_open[of]])
        experience[of] = np.searchsorted(done, started[of], side="left")
        for index, (code, name, _) in enumerate(cells):
            if name == services[number]:
                baseline[of] += held[index] * (start_day[laender.index(code)] <= started[of])
    experience += baseline

    cluster_code = land * int(waves.max()) + wave
    size = len(laender) * int(waves.max())
    lot = cell * int(waves.max()) + wave
    in_lot = np.bincount(lot, weights=~is_open, minlength=len(cells) * int(waves.max()))[lot].clip(1)
    team = rng.integers(0, teams, n)
    shock = rng.normal(0, wave_sd, size)[cluster_code] + rng.normal(0, team_sd, (size, teams))[cluster_code, team]
    level = rng.normal(0, 0.2, len(services))[service] + rng.normal(0, land_sd, len(laender))[land]
    log_n = np.log(np.maximum(experience, 1))
    common = (
        level
        + population_elasticity * np.log(population / 10_000)
        + difficulty_effect * difficulty
        + (scale_elasticity - 1) * np.log(in_lot / 10)
        + shock
    )
    shared = rng.normal(size=n)
    noise = [
        noise_sd * (np.sqrt(noise_correlation) * shared + np.sqrt(1 - noise_correlation) * rng.normal(size=n)) for _ in range(2)
    ]
    w = -np.log2(1 - learning_rate)
    w_days = w if person_days_learning_rate is None else -np.log2(1 - person_days_learning_rate)
    cost = 20_000 * np.exp(common - w * (log_n - np.log(50)) + noise[0])
    days = 18 * np.exp(common - w_days * (log_n - np.log(50)) + noise[1])
    if price_mechanism != "actual":
        cost = 20_000 * np.exp(level + np.log2(1 - price_step) * (log_n - np.log(50)) + 0.05 * noise[0])
    weight = np.where(is_open, np.where(rng.random(n) < 0.5, 0.5, 0.8), 1.0)
    cost = cost * weight
    fixed = fixed_eur / np.bincount(land, minlength=len(laender))[land]
    years = (accepted - (date(2026, 2, 15) - PROGRAMME_START).days) / 365.25
    missing = rng.random(n) < difficulty_missing_share
    late = rng.random(n) < difficulty_late_share
    invoiced = ~is_open & (rng.random(n) >= uninvoiced_share)
    recorded = wave_start - np.where(late, -5, 20)

    def days_of(values: np.ndarray, known: np.ndarray | None = None) -> pl.Series:
        series = pl.Series(np.datetime64(PROGRAMME_START, "D") + values.astype("timedelta64[D]")).cast(pl.Date)
        return series if known is None else series.set(~pl.Series(known), None)

    land_names, service_names = np.array(laender), np.array(services)
    frame = pl.DataFrame(
        {
            "land_code": land_names[land],
            "service_id": service_names[service],
            "wave": wave,
            "team": team,
            "is_pilot": is_pilot,
            "wave_started_on": days_of(wave_start),
            "started_on": days_of(started),
            "accepted_on": days_of(accepted, ~is_open),
            "is_accepted": ~is_open,
            "is_invoiced": invoiced,
            "phase_weight": weight,
            "cost_variable_eur": cost,
            "cost_variable_nominal_eur": cost * np.exp(drift_per_year * years),
            "cost_variable_cpi_eur": cost * np.exp(0.5 * drift_per_year * years),
            "cost_full_eur": cost + fixed,
            "payer_total_eur": cost + 0.4 * days * weight * 450,
            "person_days": pl.Series(days).set(pl.Series(is_open), None),
            "person_days_municipal": pl.Series(0.4 * days).set(pl.Series(is_open), None),
            "cumulative_connections": experience,
            "baseline_connections": baseline,
            "population": population,
            "difficulty": pl.Series(difficulty).set(pl.Series(missing), None),
            "difficulty_recorded_on": days_of(recorded, ~missing),
            "_lot_size": in_lot,
        }
    ).with_columns(
        authority_id=pl.concat_str(
            pl.col("service_id").replace_strict(_KIND, default="meldebehoerde"), pl.lit("/"), pl.int_range(pl.len())
        ),
        authority_kind=pl.col("service_id").replace_strict(_KIND, default="meldebehoerde"),
        contractor=pl.concat_str(pl.lit("GU "), "land_code"),
        call_off=pl.concat_str("land_code", "service_id", "wave", separator="-"),
        cluster=pl.concat_str(pl.lit("GU "), "land_code", pl.lit(" × "), "wave"),
        team=pl.concat_str(pl.lit("Team "), "land_code", pl.lit("-"), "team"),
        planned_wave="wave",
        allocation_direct_share=pl.lit(direct_share),
        price_mechanism=pl.lit(price_mechanism),
    )
    if volume_error_sd:
        frame = _wrong_volumes(frame, volume_error_sd, rng)
    return frame.select(list(OBSERVATION_SCHEMA)).cast(OBSERVATION_SCHEMA)


def _wrong_volumes(frame: pl.DataFrame, sd: float, rng: np.random.Generator) -> pl.DataFrame:
    """Every call-off's whole cost and effort, spread over a wrong number of accepted connections: some unrecorded, some invented."""
    accepted = frame.filter("is_accepted")
    amounts: list[str] = [c for c in frame.columns if c.startswith(("cost_", "payer_", "person_"))]
    lots = accepted.group_by("call_off", maintain_order=True).agg(
        pl.len().alias("_true"), pl.col(amounts).sum().name.prefix("_whole_")
    )
    told = np.maximum(np.round(lots["_true"].to_numpy() * np.exp(rng.normal(0, sd, lots.height))), 1).astype(np.int64)
    return (
        accepted.join(lots.with_columns(_told=pl.Series(told)), on="call_off")
        .with_columns(_place=pl.int_range(pl.len()).over("call_off"))
        # row i of a lot stands for rows i, i + true, i + 2 true, … up to the number told
        .with_columns(_copies=(pl.col("_told") - pl.col("_place") + pl.col("_true") - 1) // pl.col("_true"))
        .filter(pl.col("_copies") > 0)
        # whatever rows stand for the lot bear its whole amount
        .with_columns(
            pl.col(name) * pl.col("_whole_" + name) / (pl.col(name) * pl.col("_copies")).sum().over("call_off")
            for name in amounts
        )
        .drop(cs.starts_with("_whole_"))
        .select(pl.all().repeat_by("_copies").explode())
        .with_columns(authority_id=pl.concat_str("authority_id", pl.lit("."), pl.int_range(pl.len())))
    )
