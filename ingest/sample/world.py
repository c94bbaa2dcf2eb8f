"""What happens in the synthetic world: authorities, connections, usage, costs, listings. This is the known truth.

Belongs here: drawing and deriving the truth, in canonical columns. Does not: how it is delivered, in whose words, and which
faulty rows come with it (``ingest.sample.files``).

The whole programme is simulated to the end of 2027 and then cut to what had been reported by ``Parameters.end``; usage is drawn
month by month, day by day, each month from a generator of its own. Both make the world prefix-stable. Which authorities are
competent is derived here from the rules of the Länder, independently of ``ingest.directory``. Pilots, contractors, prices and
durations are invented; so is everything that carries "(synthetisch)".
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from ingest import clock
from ingest.sample import directory
from ingest.sample.parameters import LAST_DAY, PROGRAMME_START, Parameters
from ingest.tables import AUTHORITY_KIND, TABLES, Delivered

OPEN_START = date(1900, 1, 1)
HANAU_ON = date(2026, 1, 1)
SHORT = {"09": "BY", "06": "HE", "05": "NW"}
#: Delivers the dates of projects instead of single connections, no costs and no case volumes.
BY_PROJECT = "05"

_GROSSE_KREISSTAEDTE = [
    "09172114",
    "09174115",
    "09176123",
    "09177117",
    "09178124",
    "09179121",
    "09179123",
    "09181130",
    "09185149",
    "09189155",
    "09271119",
    "09373147",
    "09376161",
    "09473151",
    "09474126",
    "09477128",
    "09479136",
    "09479152",
    "09571136",
    "09571193",
    "09577177",
    "09672114",
    "09675141",
    "09773125",
    "09774135",
    "09775135",
    "09776116",
    "09779131",
    "09779194",
]
_ZUSTVBAU_1 = ["09171112", "09175132", "09180117", "09183148", "09371151", "09571145", "09671111", "09771130"]
_ZUSTVBAU_2 = ["09186143", "09377158", "09479169", "09575153", "09778116"]
_SONDERSTATUS = ["06433012", "06434001", "06435014", "06531005", "06532023", "06534014", "06631009"]

#: Per Land and service: level of the directory, own authorities cut out of the Kreis, own authorities beside the Kreis.
COMPETENCE: dict[str, dict[str, tuple[str, list[str], list[str]]]] = {
    "09": {
        "ummeldung": ("verband", [], []),
        "fuehrerschein": ("kreis", [], []),
        "bauantrag": ("kreis", _GROSSE_KREISSTAEDTE + _ZUSTVBAU_1, _ZUSTVBAU_2),
        "aufenthalt": ("kreis", [], []),
        "waffen": ("kreis", [], []),
    },
    "06": {
        "ummeldung": ("gemeinde", [], []),
        "fuehrerschein": ("kreis", [], []),
        "aufenthalt": ("kreis", _SONDERSTATUS, []),
        "unterhaltsvorschuss": ("kreis", _SONDERSTATUS, []),
        "anlagengenehmigung": ("regierungsbezirk", [], []),
    },
    "05": {"ummeldung": ("gemeinde", [], []), "fuehrerschein": ("kreis", [], [])},
}

#: Operational before the programme began (synthetic but for Bavaria's 70 residence registrations).
BASELINE = {
    "09": {"ummeldung": 70, "fuehrerschein": 18, "bauantrag": 40, "aufenthalt": 12, "waffen": 9},
    "06": {"ummeldung": 24, "fuehrerschein": 5, "aufenthalt": 7, "unterhaltsvorschuss": 8, "anlagengenehmigung": 1},
    "05": {"ummeldung": 40, "fuehrerschein": 6},
}
#: Six pilot municipalities per Land (an invented choice): each connects the services for which it has an authority of its own.
#: In North Rhine-Westphalia a project is piloted as a whole.
PILOTS = {
    "09": ["09461000", "09761000", "09672114", "09775135", "09171112", "09377158"],
    "06": ["06415000", "06611000", "06534014", "06631009", "06437016", "06635001"],
    "05": [],
}
CONTRACTOR = {"09": "Musterrollout Süd GmbH (synthetisch)", "06": "Beispielwerk Digital AG (synthetisch)"}
_TEAMS = {"09": 4, "06": 3, "05": 1}
_PILOT_START = date(2026, 2, 2)
_WAVE_START, _WAVE_DAYS = {"09": date(2026, 3, 2), "06": date(2026, 3, 2), "05": date(2026, 7, 6)}, 20
_WAVE_WEIGHTS = np.array(
    [4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8, 7, 7], dtype=float
)  # waves 1 to 14: where they begin in March, the last begins in November 2026
_EXPERIENCE = 50  # N at which a connection of 10,000 inhabitants and mean difficulty takes _PERSON_DAYS and costs _COST_EUR
_PERSON_DAYS, _COST_EUR = 18.0, 14_000.0

#: Cases per inhabitant and year, in all channels.
_CASE_RATE = {
    "ummeldung": 0.09,
    "fuehrerschein": 0.012,
    "bauantrag": 0.005,
    "aufenthalt": 0.02,
    "waffen": 0.0015,
    "unterhaltsvorschuss": 0.004,
    "anlagengenehmigung": 0.00003,
}
#: No case volumes are known for it.
NO_CASE_VOLUMES = ("06", "anlagengenehmigung")
_SEASON = np.array([0.95, 0.9, 1.0, 1.05, 1.05, 1.0, 1.05, 1.1, 1.15, 1.05, 0.9, 0.8])
_WEEKDAY_ONLINE = np.array([1.2, 1.15, 1.1, 1.05, 0.95, 0.75, 0.8])
_WEEKDAY_OFFICE = np.array([1.5, 1.5, 1.3, 1.6, 1.1, 0.0, 0.0])
_USAGE_SINCE = {"09": date(2025, 7, 1), "06": date(2026, 1, 1), "05": date(2026, 1, 1)}
_GRAIN = {"09": "month", "06": "day", "05": "month"}
ACCOUNTS = ("bundid", "unternehmenskonto", "other", "none")
_ACCOUNT_SHARE = (0.55, 0.05, 0.15, 0.25)

#: LeiKa keys that are known (portals.md lists their sources); services without a key are not listed.
LEIKA = {
    "ummeldung": [
        "99115005104000",
        "99115005104001",
        "99115003012000",
        "99008001011001",
        "99008004011002",
        "99008005011001",
        "99085001011001",
    ],
    "aufenthalt": ["99010023020000", "99010022020010"],
    "bauantrag": ["99012070006000", "99012070006001"],
    "waffen": ["99089018001015", "99089018001016", "99089018001019"],
    "unterhaltsvorschuss": ["99107021017000", "99107102017000", "99107103017000"],
}

_NEVER = 10**6  # days since 1970: later than any date


@dataclass(frozen=True)
class World:
    """The truth of one world, as known at the end of ``parameters.end``.

    Canonical tables carry their canonical columns but for provenance; those that are delivered also carry helper columns that
    start with an underscore (when a row was reported, a uniform number) for ``ingest.sample.files``.

    ``plan``: one row per competent authority × service with its dates, N, effects and true cost.
    ``usage_daily``: what happened, whether it was reported or not, without test traffic (Bavaria: by channel; Hesse: with
    ``started``). ``usage``: what a perfect warehouse would hold, in the grain that the Land delivers.
    ``usage_versions`` and ``cost_versions`` also hold what was reported wrong first (``_is_superseded``).
    """

    parameters: Parameters
    municipalities: pl.DataFrame
    regions: pl.DataFrame
    authorities: pl.DataFrame
    competences: pl.DataFrame
    plan: pl.DataFrame
    connections: pl.DataFrame
    usage_daily: pl.DataFrame
    usage_versions: pl.DataFrame
    case_volumes: pl.DataFrame
    cost_versions: pl.DataFrame
    listings: pl.DataFrame

    @property
    def usage(self) -> pl.DataFrame:
        """The newest version of every usage row."""
        return self.usage_versions.filter(~pl.col("_is_superseded"))

    @property
    def costs(self) -> pl.DataFrame:
        """The newest version of every ledger entry."""
        return self.cost_versions.filter(~pl.col("_is_superseded"))


def make_world(parameters: Parameters) -> World:
    """Draw a world. Nothing is cached; equal parameters give equal worlds."""
    municipalities = directory.municipalities(parameters)
    regions = _regions(municipalities)
    competences = _competences(regions)
    plan = _plan(parameters, competences, regions)
    events = _events(parameters, plan)
    known = pl.col("reported_at") < clock.end_of(parameters.end)
    months = [_usage(parameters, land, plan.filter(pl.col("land_code") == land)) for land in parameters.laender]
    return World(
        parameters=parameters,
        municipalities=municipalities,
        regions=regions,
        authorities=_authorities(competences, regions),
        competences=competences,
        plan=plan,
        connections=events.filter(known),
        usage_daily=pl.concat([daily for daily, _ in months]),
        usage_versions=pl.concat([versions for _, versions in months]),
        case_volumes=_case_volumes(parameters, plan),
        cost_versions=_costs(parameters, plan),
        listings=_listings(parameters, plan),
    )


def canonical(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a canonical table but for source and delivery, in its order and types, enums as text; missing ones NULL."""
    own = {n: t for n, t in TABLES[table].polars_schema().items() if n not in Delivered.column_names() or n == "land_code"}
    types = {n: pl.String() if isinstance(t, pl.Enum) else t for n, t in own.items()}
    columns = [pl.col(n).cast(t) if n in frame.columns else pl.lit(None, dtype=t).alias(n) for n, t in types.items()]
    return frame.select(columns)


# -- regions and authorities ------------------------------------------------------------------------------------------------


def _regions(municipalities: pl.DataFrame) -> pl.DataFrame:
    """Municipalities with their validity: Hanau under its old key until the end of 2025, under its new one from then."""
    frame = municipalities.with_columns(
        area_km2=pl.col("area_ha") / 100,
        population_date=pl.lit(directory.POPULATION_ON),
        census_base=pl.lit("zensus_2022"),
        valid_from=pl.when(pl.col("ags") == "06415000").then(pl.lit(HANAU_ON)).otherwise(pl.lit(OPEN_START)),
        valid_to=pl.lit(None, dtype=pl.Date),
    )
    before = frame.filter(pl.col("ags") == "06415000").with_columns(
        ags=pl.lit("06435014"),
        kind=pl.lit("stadt"),
        ars=pl.lit("064350014014"),
        kreis_code=pl.lit("06435"),
        kreis_name=pl.lit("Main-Kinzig-Kreis"),
        verband_code=pl.lit("064350014"),
        valid_from=pl.lit(OPEN_START),
        valid_to=pl.lit(HANAU_ON),
    )
    return pl.concat([frame, before]).sort("ags")


def _competences(regions: pl.DataFrame) -> pl.DataFrame:
    """Who is competent for which municipality and service, by the rules of ``COMPETENCE``."""
    places = regions.filter(~pl.col("kind").str.starts_with("gemeindefrei"))
    level_key = {
        "gemeinde": pl.col("ags"),
        "verband": pl.col("verband_code"),
        "kreis": pl.col("kreis_code"),
        "regierungsbezirk": pl.col("regierungsbezirk_code"),
    }
    frames = []
    for land in regions["land_code"].unique().sort():
        for service, (level, plus, also) in COMPETENCE[land].items():
            own = places.filter(pl.col("land_code") == land)
            own = own.with_columns(service_id=pl.lit(service))
            columns = ["land_code", "service_id", "ags", "valid_from", "valid_to"]
            key = pl.when(pl.col("ags").is_in(plus)).then(pl.col("ags")).otherwise(level_key[level])
            frames.append(own.select(*columns, key=key, is_partial=pl.lit(False)))
            frames.append(own.filter(pl.col("ags").is_in(also)).select(*columns, key="ags", is_partial=pl.lit(True)))
    kind = pl.col("service_id").replace_strict(AUTHORITY_KIND, return_dtype=pl.String)
    return (
        pl.concat(frames)
        .with_columns(authority_id=kind + "/" + pl.col("key"), kind=kind)
        .sort("service_id", "authority_id", "ags")
    )


def _authorities(competences: pl.DataFrame, regions: pl.DataFrame) -> pl.DataFrame:
    return (
        competences.join(regions.select("ags", "name", "population"), on="ags", how="left")
        .sort("population", "ags", descending=[True, False])
        .group_by("land_code", "authority_id", "kind", maintain_order=True)
        .agg(
            name=pl.col("kind").first().str.to_titlecase() + " " + pl.col("name").first(),
            seat_key=pl.col("key").first(),
            valid_from=pl.col("valid_from").min(),
            valid_to=pl.when(pl.col("valid_to").is_null().any()).then(None).otherwise(pl.col("valid_to").max()),
        )
        .sort("authority_id")
    )


# -- the programme ----------------------------------------------------------------------------------------------------------


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _days(name: str, days: np.ndarray) -> pl.Series:
    """Day numbers as dates; ``_NEVER`` and later are NULL."""
    return pl.Series(name, np.where(days >= _NEVER, 0, days).astype(np.int32)).cast(pl.Date).set(pl.Series(days >= _NEVER), None)


def _plan(parameters: Parameters, competences: pl.DataFrame, regions: pl.DataFrame) -> pl.DataFrame:
    """Every connection of the programme with its life to the end of 2027, its experience N, person-days and cost."""
    current = competences.filter(pl.col("valid_to").is_null()).join(
        regions.select("ags", "population", "ars"), on="ags", how="left"
    )
    units = (
        current.group_by("land_code", "service_id", "authority_id", "key")
        .agg(
            population=pl.when(pl.col("is_partial").all())
            .then(pl.col("population").sum())
            .otherwise(pl.col("population").filter(~pl.col("is_partial")).sum()),
            only_ars=pl.col("ars").first(),
            is_single=pl.len() == 1,
        )
        .sort("service_id", "authority_id")
    )
    lives = [_lives(parameters, land, units.filter(pl.col("land_code") == land)) for land in parameters.laender]
    return _effort(parameters, pl.concat(lives))


def _lives(parameters: Parameters, land: str, units: pl.DataFrame) -> pl.DataFrame:
    """Dates of every phase for one Land, as day numbers (``_NEVER`` where it does not happen)."""
    rng = parameters.rng("lives", land)
    n = units.height
    key = units["key"].to_numpy()
    service = units["service_id"].to_numpy()
    pilots = {form for ags in PILOTS[land] for form in (ags, ags[:5] + "0" + ags[5:], ags[:5] if ags.endswith("000") else ags)}
    pilots |= {ags[:5] + "0000" for ags in PILOTS[land] if ags.endswith("000")}
    is_pilot = np.isin(key, list(pilots))

    difficulty = np.round(np.clip(rng.normal(size=n), -3, 3), 2)
    rho = parameters.difficulty_order_correlation
    score = rho * difficulty + np.sqrt(1 - rho**2) * rng.normal(size=n)
    lot = rng.random(n) + np.where(is_pilot, 9, 0)
    is_baseline = np.zeros(n, dtype=bool)
    planned_wave = np.zeros(n, dtype=np.int64)
    ends = np.cumsum(_WAVE_WEIGHTS) / _WAVE_WEIGHTS.sum()
    for name, count in BASELINE[land].items():
        of = np.flatnonzero(service == name)
        is_baseline[of[np.argsort(lot[of])][:count]] = True
        rolled = of[~is_baseline[of] & ~is_pilot[of]]
        rank = np.empty(rolled.size)
        rank[np.argsort(score[rolled])] = np.arange(rolled.size)
        planned_wave[rolled] = 1 + np.searchsorted(ends, (rank + 0.5) / max(rolled.size, 1))
    wave = np.minimum(planned_wave + ((rng.random(n) < 0.08) & (planned_wave > 0)), _WAVE_WEIGHTS.size)

    def wave_start(number: np.ndarray) -> np.ndarray:
        return np.where(number == 0, _number(_PILOT_START), _number(_WAVE_START[land]) + _WAVE_DAYS * (number - 1))

    within = rng.integers(0, 15, n)
    planned_start = wave_start(planned_wave) + within
    started = wave_start(wave) + within + rng.poisson(3, n)
    planned = np.maximum(planned_start - rng.integers(40, 71, n), _number(PROGRAMME_START) + 1)
    contracted = np.maximum(started - rng.integers(10, 31, n), planned + 1)
    recorded = np.minimum(contracted, planned + 5)
    onboarding = started + np.ceil(rng.lognormal(np.log(24) + 0.25 * difficulty, 0.35)).astype(np.int64)
    accepted = onboarding + np.ceil(rng.lognormal(np.log(30) + 0.25 * difficulty, 0.40)).astype(np.int64)
    before = rng.integers(_number(date(2023, 3, 1)), _number(date(2025, 12, 15)), n)
    started = np.where(is_baseline, before - rng.integers(40, 160, n), started)
    accepted = np.where(is_baseline, before, accepted)
    never = (rng.random(n) < parameters.unfinished_share) & ~is_baseline
    accepted = np.where(never, _NEVER, accepted)
    for days in (planned, contracted, recorded, onboarding):
        days[is_baseline] = _NEVER
    suspended = np.maximum(accepted, _number(PROGRAMME_START)) + rng.integers(20, 181, n)
    suspended = np.where((rng.random(n) < parameters.suspended_share) & (accepted < _NEVER), suspended, _NEVER)
    for_good = rng.random(n) < 0.2
    resumed = np.where(for_good | (suspended >= _NEVER), _NEVER, suspended + rng.integers(7, 61, n))
    withdrawn = np.where(for_good & (suspended < _NEVER), suspended + rng.integers(30, 91, n), _NEVER)

    team = rng.integers(1, _TEAMS[land] + 1, n)
    lives = units.with_columns(
        kind=pl.col("authority_id").str.split("/").list.first(),
        is_baseline=pl.Series(is_baseline),
        is_pilot=pl.Series(is_pilot),
        planned_wave=pl.Series(np.where(is_baseline, -1, planned_wave)),
        wave=pl.Series(np.where(is_baseline, -1, wave)),
        team_number=pl.Series(team),
        difficulty=pl.Series(difficulty),
        planned_start=pl.Series(planned_start),
        recorded=pl.Series(recorded),
        planned=pl.Series(planned),
        contracted=pl.Series(contracted),
        started=pl.Series(started),
        onboarding=pl.Series(onboarding),
        accepted=pl.Series(accepted),
        suspended=pl.Series(suspended),
        resumed=pl.Series(resumed),
        withdrawn=pl.Series(withdrawn),
        is_dead=pl.Series(rng.random(n) < parameters.dead_share),
        online_plateau=pl.Series(rng.beta(6, 8, n)),
        cases=pl.Series(rng.lognormal(0, 0.2, n))
        * pl.col("population")
        * pl.col("service_id").replace_strict(_CASE_RATE, return_dtype=pl.Float64),
        listed_lot=pl.Series(rng.random(n)),
        listed_lag=pl.Series(rng.integers(3, 41, n)),
    ).with_columns(
        # the key that the Land delivers: Bavaria an ARS padded with zeros, the others the key of the level
        region_key=pl.when(pl.lit(land) != "09")
        .then("key")
        .when(pl.col("is_single") | (pl.col("key").str.len_chars() == 8))
        .then("only_ars")
        .otherwise(pl.col("key").str.pad_end(12, "0")),
    )
    return _of_projects(lives) if land == BY_PROJECT else lives


def _of_projects(lives: pl.DataFrame) -> pl.DataFrame:
    """Lives where only projects have dates: every connection of a service and wave has those of its earliest one, for good."""
    shared = ("planned_start", "planned", "started", "onboarding", "accepted")
    return lives.with_columns(
        *[pl.col(name).min().over("service_id", "wave") for name in shared],
        *[pl.lit(_NEVER, pl.Int64).alias(name) for name in ("contracted", "recorded", "suspended", "resumed", "withdrawn")],
    )


def _effort(parameters: Parameters, plan: pl.DataFrame) -> pl.DataFrame:
    """Person-days and variable cost of every rolled-out connection: Wright's law in N (``Parameters`` states the formula)."""
    started, accepted = plan["started"].to_numpy(), plan["accepted"].to_numpy()
    service = plan["service_id"].to_numpy()
    experience = np.zeros(plan.height, dtype=np.int64)
    for name in np.unique(service):
        of = service == name
        experience[of] = np.searchsorted(np.sort(accepted[of]), started[of], side="left")
    wave, land = plan["wave"].to_numpy(), plan["land_code"].to_numpy()
    size = plan.select(pl.len().over("land_code", "wave", "service_id")).to_series().to_numpy()
    days, cost = np.zeros(plan.height), np.zeros(plan.height)
    for code in parameters.laender:
        rng = parameters.rng("effort", code)
        shock = rng.normal(0, parameters.shock_sd, _WAVE_WEIGHTS.size + 1)
        team = rng.normal(0, parameters.team_sd, _TEAMS[code] + 1)
        of = np.flatnonzero(land == code)
        common = (
            -parameters.learning_exponent * np.log(np.maximum(experience[of], 1) / _EXPERIENCE)
            + parameters.population_elasticity * np.log(plan["population"].to_numpy()[of] / 10_000)
            + parameters.difficulty_effect * plan["difficulty"].to_numpy()[of]
            + (parameters.scale_elasticity - 1) * np.log(size[of] / 10)
            + shock[np.maximum(wave[of], 0)]
            + team[plan["team_number"].to_numpy()[of]]
        )
        days[of] = _PERSON_DAYS * np.exp(common + rng.normal(0, parameters.noise_sd, of.size))
        cost[of] = _COST_EUR * np.exp(common + rng.normal(0, parameters.noise_sd, of.size))
    rolled = ~pl.col("is_baseline")
    short = pl.col("land_code").replace_strict(SHORT, return_dtype=pl.String)
    padded = pl.col("wave").cast(pl.String).str.zfill(2)
    return plan.with_columns(
        cumulative_connections=pl.Series(experience),
        call_off_size=pl.Series(size),
        person_days=pl.Series(np.round(np.maximum(days, 0.5), 2)),
        person_days_municipal=pl.Series(np.round(np.maximum(0.4 * days, 0.25), 2)),
        variable_cents=pl.Series(np.round(cost * 100).astype(np.int64)),
        team=pl.when(rolled).then(pl.concat_str(pl.lit("Team "), short, pl.lit("-"), "team_number")),
        contractor=pl.when(rolled).then(pl.col("land_code").replace_strict(CONTRACTOR, default=None, return_dtype=pl.String)),
        call_off=pl.when(rolled).then(
            pl.concat_str(
                pl.lit("AB-"), short, pl.lit("-"), padded, pl.lit("-"), pl.col("service_id").str.slice(0, 3).str.to_uppercase()
            )
        ),
        index=pl.int_range(pl.len()).over("land_code"),
    )


def _events(parameters: Parameters, plan: pl.DataFrame) -> pl.DataFrame:
    """The events of all connections to the end of 2027, with the instant at which each was reported."""
    moments = {
        "planned": ("planned",),
        "contracted": ("contracted",),
        "integrating": ("started",),
        "onboarding": ("onboarding",),
        "operational": ("accepted", "resumed"),
        "suspended": ("suspended",),
        "withdrawn": ("withdrawn",),
    }
    frames = []
    for phase, columns in moments.items():
        for number, column in enumerate(columns):
            happened = plan.filter(pl.col(column) < _NEVER).with_columns(day=pl.col(column))
            for land in parameters.laender:
                of = happened.filter(pl.col("land_code") == land)
                rng = parameters.rng("events", land, phase, number)
                day = of["day"].to_numpy()
                lag = -rng.integers(0, 26, of.height) if phase == "planned" else rng.integers(0, 5, of.height)
                if land == BY_PROJECT:  # a date is told from its day on
                    lag = np.zeros(of.height, dtype=np.int64)
                # what lies before the programme was handed in once, when the portals opened
                opened = np.where(of["is_baseline"].to_numpy(), _number(PROGRAMME_START) - 2, _number(PROGRAMME_START))
                reported = np.maximum(day + lag, opened)
                minutes = 7 * 60 + rng.integers(0, 9 * 60, of.height)
                frames.append(
                    of.with_columns(
                        phase=pl.lit(phase),
                        effective_on=_days("effective_on", day),
                        reported_at=pl.Series(((reported * 1440) + minutes) * 60_000_000).cast(pl.Datetime("us", "UTC")),
                        _number=pl.lit(list(moments).index(phase) + 10 * number, dtype=pl.Int64),
                        _u=pl.Series(rng.random(of.height)),
                    )
                )
    events = pl.concat(frames).with_columns(
        planned_start_on=_days("planned_start_on", pl.concat(frames)["planned_start"].to_numpy())
    )
    early = pl.col("phase") == "planned"
    rolled = ~pl.col("is_baseline") & (pl.col("land_code") != BY_PROJECT)
    accepted = rolled & (pl.col("phase") == "operational") & (pl.col("_number") < 10)
    code = pl.col("index").cast(pl.String).str.zfill(5)
    return (
        events.with_columns(
            event_id=pl.when(pl.col("land_code") == "09").then(pl.concat_str(pl.lit("BY-E"), code, pl.lit("-"), "_number")),
            planned_wave=pl.when(rolled).then("planned_wave"),
            planned_start_on=pl.when(rolled).then("planned_start_on"),
            wave=pl.when(rolled & ~early).then("wave"),
            team=pl.when(rolled & ~early).then("team"),
            contractor=pl.when(rolled & ~early).then("contractor"),
            call_off=pl.when(rolled & ~early).then("call_off"),
            difficulty=pl.when(rolled & ~early).then("difficulty"),
            difficulty_recorded_on=pl.when(rolled & ~early).then(_days("r", events["recorded"].to_numpy())),
            person_days=pl.when(accepted).then("person_days"),
            person_days_municipal=pl.when(accepted).then("person_days_municipal"),
            is_retracted=pl.lit(False),
            _reported_on=pl.col("reported_at").dt.date(),
        )
        .filter(pl.col("effective_on") <= LAST_DAY)
        .sort("land_code", "reported_at", "authority_id", "_number")
    )


# -- usage ------------------------------------------------------------------------------------------------------------------


def _months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + timedelta(days=31)).replace(day=1)


def _usage(parameters: Parameters, land: str, plan: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What happened each day, and every version of a row that had been reported by ``end``.

    Days are drawn in their order within the month's own generators, so that a month that is cut short agrees with the whole one.
    """
    keys = plan.select("land_code", "authority_id", "service_id", "region_key")
    accepted, suspended, resumed, onboarding = (plan[c].to_numpy() for c in ("accepted", "suspended", "resumed", "onboarding"))
    per_day = plan["cases"].to_numpy() / 365
    plateau = np.where(plan["is_dead"].to_numpy(), 0, plan["online_plateau"].to_numpy())
    assisted_share = np.where(plan["is_dead"].to_numpy(), 0, 0.03)
    daily, versions = [], []
    for month in _months(_USAGE_SINCE[land], parameters.end):
        length = calendar.monthrange(month.year, month.month)[1]
        shown = min(length, (parameters.end - month).days + 1)
        day = _number(month) + np.arange(shown)
        live = ((day[:, None] >= accepted) & (day[:, None] < suspended)) | (day[:, None] >= resumed)
        age = np.maximum(day[:, None] - accepted + 1, 0)
        weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
        online_share = plateau * (1 - np.exp(-age / 45))
        demand = np.where(live, per_day * _SEASON[month.month - 1], 0)
        online_demand, office_demand = demand * _WEEKDAY_ONLINE[weekday][:, None], demand * _WEEKDAY_OFFICE[weekday][:, None]
        rates = {
            "online": online_demand * online_share,
            "assisted": office_demand * assisted_share,
            "counter": office_demand * (1 - online_share) * 0.84,
            "post": office_demand * (1 - online_share) * 0.13,
        }
        counts = {c: parameters.rng("usage", land, month, c).poisson(rate) for c, rate in rates.items()}
        started = counts["online"] + parameters.rng("usage", land, month, "started").poisson(0.35 * counts["online"])
        at, who = np.nonzero(live)
        base = keys[who].with_columns(period=_days("period", day[at]), is_test=pl.lit(False))
        for channel, count in counts.items():
            is_online = channel == "online" and _GRAIN[land] == "day"
            daily.append(
                base.with_columns(
                    channel=pl.lit(channel),
                    started=pl.Series(started[at, who]) if is_online else pl.lit(None, dtype=pl.Int64),
                    submitted=pl.Series(count[at, who]),
                )
            )
        if _GRAIN[land] == "day":
            versions.append(_reported_days(parameters, land, month, daily[-4:], at, who, (shown, keys.height)))
            versions.append(_test_days(parameters, land, month, keys, day, onboarding, accepted))
        elif shown == length:
            is_live = live.any(axis=0)
            totals = {c: count.sum(axis=0)[is_live] for c, count in counts.items()}
            versions.append(_reported_month(parameters, land, month, keys.filter(pl.Series(is_live)), totals))
            testing = (onboarding < day[-1]) & (onboarding < _NEVER) & (accepted > day[-1])
            if land != BY_PROJECT:  # its statistics count real transactions only
                versions.append(_test_month(parameters, land, month, keys.filter(pl.Series(testing))))
    known = pl.concat([v.select(_USAGE_COLUMNS) for v in versions]).filter(pl.col("_reported_on") <= parameters.end)
    known = known.with_columns(_is_superseded=(pl.col("_corrected_on") <= parameters.end).fill_null(False))
    return (
        pl.concat(daily)
        .select(
            "land_code",
            "authority_id",
            "service_id",
            "period",
            pl.lit("day").alias("grain"),
            "channel",
            pl.lit(None, dtype=pl.String).alias("account"),
            "started",
            "submitted",
        )
        .sort("period", "service_id", "authority_id", "channel"),
        known,
    )


#: ``_reported_on``: when this version came; ``_corrected_on``: when a later version replaces it, NULL for the last one.
_USAGE_COLUMNS = [
    "land_code",
    "authority_id",
    "service_id",
    "region_key",
    "period",
    "grain",
    "channel",
    "account",
    "started",
    "submitted",
    "completed",
    "is_test",
    "is_retracted",
    "_reported_on",
    "_corrected_on",
    "_u",
]


def _in_versions(frame: pl.DataFrame, is_wrong_first: pl.Series, first_on: pl.Expr, right_on: pl.Expr) -> pl.DataFrame:
    """Each row as it was first reported; those reported wrong first also as they were corrected."""
    frame = frame.with_columns(_wrong=is_wrong_first, _first=first_on, _right=right_on)
    wrong = frame.filter("_wrong").with_columns(
        submitted=pl.col("submitted") + 3,
        started=pl.col("started") + 3,
        _reported_on=pl.col("_first"),
        _corrected_on=pl.col("_right"),
    )
    corrected = frame.filter("_wrong").with_columns(
        _reported_on=pl.col("_right"), _corrected_on=pl.lit(None, dtype=pl.Date), _u=pl.lit(1.0)
    )
    sound = frame.filter(~pl.col("_wrong")).with_columns(_reported_on=pl.col("_first"), _corrected_on=pl.lit(None, dtype=pl.Date))
    return pl.concat([sound, wrong, corrected])


def _reported_days(
    parameters: Parameters,
    land: str,
    month: date,
    channels: list[pl.DataFrame],
    at: np.ndarray,
    who: np.ndarray,
    shape: tuple[int, int],
) -> pl.DataFrame:
    """Hesse: a row per day and channel, reported the day after, some a month late, some corrected a month later, some never."""
    u = parameters.rng("report", land, month).random(shape)[at, who]
    fault = parameters.rng("fault", land, month).random(shape)[at, who]
    silent = parameters.rng("silent", land, month).random(shape[1])[who] < parameters.missing_share / 2
    late = parameters.missing_share / 2 + parameters.late_share
    is_missing = silent | (u < parameters.missing_share / 2)
    is_late = ~is_missing & (u < late)
    is_wrong = ~is_missing & ~is_late & (u < late + parameters.correction_share)
    days_late = 25 + (u * 1e6).astype(np.int64) % 14
    frames = []
    for frame in channels:
        is_online = frame["channel"][0] == "online" if frame.height else False
        rows = frame.with_columns(
            grain=pl.lit("day"),
            account=pl.lit(None, dtype=pl.String),
            completed=pl.lit(None, dtype=pl.Int64),
            is_retracted=pl.lit(False),
            _u=pl.Series(fault) if is_online else pl.lit(1.0),
            _after=pl.Series(np.where(is_late, days_late, 1)),
            _much_after=pl.Series(days_late + 8),
            _missing=pl.Series(is_missing),
        )
        is_corrected = pl.Series((is_wrong & is_online)[~is_missing])
        frames.append(
            _in_versions(
                rows.filter(~pl.col("_missing")),
                is_corrected,
                pl.col("period") + pl.duration(days=pl.col("_after")),
                pl.col("period") + pl.duration(days=pl.col("_much_after")),
            ).select(_USAGE_COLUMNS)
        )
    return pl.concat(frames)


def _test_days(
    parameters: Parameters,
    land: str,
    month: date,
    keys: pl.DataFrame,
    day: np.ndarray,
    onboarding: np.ndarray,
    accepted: np.ndarray,
) -> pl.DataFrame:
    """Test traffic runs while an authority is on-boarded: marked, and before its first real day."""
    rng = parameters.rng("test", land, month)
    testing = (day[:, None] >= onboarding) & (day[:, None] < accepted) & (rng.random((day.size, keys.height)) < 0.1)
    at, who = np.nonzero(testing)
    count = 1 + (at + who) % 5
    period = _days("period", day[at])
    return keys[who].with_columns(
        period=period,
        grain=pl.lit("day"),
        channel=pl.lit("online"),
        account=pl.lit(None, dtype=pl.String),
        started=pl.Series(count + 1, dtype=pl.Int64),
        submitted=pl.Series(count, dtype=pl.Int64),
        completed=pl.lit(None, dtype=pl.Int64),
        is_test=pl.lit(True),
        is_retracted=pl.lit(False),
        _reported_on=period + timedelta(days=1),
        _corrected_on=pl.lit(None, dtype=pl.Date),
        _u=pl.lit(1.0),
    )


def _reported_month(
    parameters: Parameters, land: str, month: date, keys: pl.DataFrame, totals: dict[str, np.ndarray]
) -> pl.DataFrame:
    """A row per month, channel and (online) account, reported on the fifth of the following month or later.

    North Rhine-Westphalia reports online transactions alone: no account, nothing begun or completed, no other channel.
    """
    rng = parameters.rng("report", land, month)
    is_plain = land == BY_PROJECT
    split = rng.multinomial(totals["online"], _ACCOUNT_SHARE)
    parts: list[tuple[str, str | None, np.ndarray]] = [("online", name, split[:, i]) for i, name in enumerate(ACCOUNTS)]
    parts += [(channel, None, totals[channel]) for channel in ("assisted", "counter", "post")]
    if is_plain:
        parts = [("online", None, totals["online"])]
    u = rng.random(keys.height)
    is_missing = u < parameters.missing_share
    is_late = ~is_missing & (u < parameters.missing_share + parameters.late_share)
    is_wrong = ~is_missing & ~is_late & (u < parameters.missing_share + parameters.late_share + parameters.correction_share)
    fifth = (month + timedelta(days=31)).replace(day=5)
    frames = []
    for channel, account, submitted in parts:
        is_online = channel == "online"
        started = submitted + rng.poisson(0.35 * submitted)
        completed = rng.binomial(submitted, 0.93)
        rows = keys.with_columns(
            period=pl.lit(month),
            grain=pl.lit("month"),
            channel=pl.lit(channel),
            account=pl.lit(account, dtype=pl.String),
            started=pl.Series(started, dtype=pl.Int64) if is_online else pl.lit(None, dtype=pl.Int64),
            submitted=pl.Series(submitted, dtype=pl.Int64),
            completed=pl.Series(completed, dtype=pl.Int64),
            is_test=pl.lit(False),
            is_retracted=pl.lit(False),
            _u=pl.Series(rng.random(keys.height)),
            _first=pl.Series(np.where(is_late, 30, 0)),
            _missing=pl.Series(is_missing),
        ).filter(~pl.col("_missing"))
        if is_plain:
            rows = rows.with_columns(started=pl.lit(None, pl.Int64), completed=pl.lit(None, pl.Int64))
        is_corrected = pl.Series((is_wrong & (is_plain or account == "bundid"))[~is_missing])
        frames.append(
            _in_versions(
                rows,
                is_corrected,
                pl.lit(fifth) + pl.duration(days=pl.col("_first")),
                pl.lit(fifth + timedelta(days=40)),
            ).select(_USAGE_COLUMNS)
        )
    return pl.concat(frames)


def _test_month(parameters: Parameters, land: str, month: date, keys: pl.DataFrame) -> pl.DataFrame:
    """Marked test traffic of whole months before acceptance."""
    count = parameters.rng("test", land, month).integers(1, 40, keys.height)
    return keys.with_columns(
        period=pl.lit(month),
        grain=pl.lit("month"),
        channel=pl.lit("online"),
        account=pl.lit("other"),
        started=pl.Series(count + 2, dtype=pl.Int64),
        submitted=pl.Series(count, dtype=pl.Int64),
        completed=pl.Series(count, dtype=pl.Int64),
        is_test=pl.lit(True),
        is_retracted=pl.lit(False),
        _reported_on=pl.lit((month + timedelta(days=31)).replace(day=5)),
        _corrected_on=pl.lit(None, dtype=pl.Date),
        _u=pl.lit(1.0),
    )


def _case_volumes(parameters: Parameters, plan: pl.DataFrame) -> pl.DataFrame:
    """Cases of 2024 and 2025 in all channels, handed in before the programme began.

    One service of one Land has none, nor has Hanau: its cases of those years belong to an authority that is no more.
    """
    is_unknown = (pl.col("land_code") == NO_CASE_VOLUMES[0]) & (pl.col("service_id") == NO_CASE_VOLUMES[1])
    is_unknown = is_unknown | (pl.col("land_code") == BY_PROJECT)
    known = plan.filter(~is_unknown & ~pl.col("key").str.starts_with("06415"))
    counts = {land: known.filter(pl.col("land_code") == land).height for land in parameters.laender}
    return pl.concat(
        [
            known.select(
                "land_code",
                "authority_id",
                "service_id",
                "region_key",
                year=pl.lit(year, dtype=pl.Int64),
                cases=(pl.col("cases") * factor).round().cast(pl.Int64),
                is_retracted=pl.lit(False),
                _reported_on=pl.lit(PROGRAMME_START - timedelta(days=2)),
                _u=pl.Series(np.concatenate([parameters.rng("cases", of, year).random(n) for of, n in counts.items()])),
            )
            for year, factor in ((2024, 0.97), (2025, 1.0))
        ]
    )


# -- costs ------------------------------------------------------------------------------------------------------------------


def _costs(parameters: Parameters, plan: pl.DataFrame) -> pl.DataFrame:
    """The ledger: every version of an entry that had been reported by ``end``. ``cents`` is net, negative for credits.

    Direct invoices of a connection add up to its variable cost exactly; training per wave and travel per call-off come on top
    (about a twentieth). Erroneous second invoices are credited in full.
    """
    frames = [
        _ledger(parameters, land, plan.filter(pl.col("land_code") == land)) for land in parameters.laender if land != BY_PROJECT
    ]
    ledger = pl.concat([*frames, pl.DataFrame(schema={**_LEDGER, **_CORRECTIONS})]).filter(pl.col("booked_on") <= parameters.end)
    versions = pl.concat(
        [
            ledger.with_columns(
                cents=pl.coalesce("_first_cents", "cents"),
                _reported_on="booked_on",
                _is_superseded=(pl.col("_corrected_on") <= parameters.end).fill_null(False),
            ),
            ledger.filter(pl.col("_corrected_on") <= parameters.end).with_columns(
                _reported_on="_corrected_on", _is_superseded=pl.lit(False), _u=pl.lit(1.0)
            ),
        ]
    )
    external = pl.col("category").is_in(["roll_in_team", "programme_office", "onboarding"]).not_()
    cents = pl.col("cents")

    def euros(whole: pl.Expr) -> pl.Expr:
        return (whole.cast(pl.Float64) / 100).round(2).cast(pl.Decimal(18, 2))

    return versions.with_columns(
        amount_eur=euros(cents),
        is_retracted=pl.lit(False),
        # 19 %, rounded half away from zero to the cent; authorities cannot deduct it; own staff bears none
        _vat_cents=pl.when(external).then(cents.sign() * ((cents.abs() * 19 + 50) // 100)),
    ).with_columns(vat_nonrecoverable_eur=euros(pl.col("_vat_cents")))


_LEDGER = {
    "land_code": pl.String,
    "entry_id": pl.String,
    "booked_on": pl.Date,
    "period_start": pl.Date,
    "period_end": pl.Date,
    "authority_id": pl.String,
    "region_key": pl.String,
    "service_id": pl.String,
    "wave": pl.Int64,
    "call_off": pl.String,
    "contractor": pl.String,
    "category": pl.String,
    "behaviour": pl.String,
    "payer": pl.String,
    "recurring": pl.Boolean,
    "entry_status": pl.String,
    "cents": pl.Int64,
    "price_mechanism": pl.String,
    "deflator_class": pl.String,
}
_CORRECTIONS = {"_u": pl.Float64, "_first_cents": pl.Int64, "_corrected_on": pl.Date}


def _ledger(parameters: Parameters, land: str, plan: pl.DataFrame) -> pl.DataFrame:
    """One Land's entries to the end of 2027, with the corrections that will come."""
    rng = parameters.rng("ledger", land)
    rolled = plan.filter(~pl.col("is_baseline"))
    n = rolled.height
    cents = rolled["variable_cents"].to_numpy()
    started, onboarding, accepted = (rolled[c].to_numpy() for c in ("started", "onboarding", "accepted"))
    # pilots were called off at a fixed price: flat by contract, no evidence of anything
    is_fixed = rolled["wave"].to_numpy() == 0
    first = np.where(is_fixed, 900_000, cents * 45 // 100)
    second = np.where(is_fixed, 500_000, cents * 25 // 100)
    integration, onboarded = cents * 12 // 100, cents * 10 // 100
    team = cents - cents * 45 // 100 - cents * 25 // 100 - integration - onboarded
    duplicate = np.where(rng.random(n) < 0.015, accepted + 23, _NEVER)
    fixed = np.where(is_fixed, "fixed_price", "actual")
    actual = np.full(n, "actual")
    direct = [  # code, category, payer, status, cents, booked, price, deflator
        ("G1", "general_contractor", "bund", "invoiced", first, onboarding + rng.integers(10, 25, n), fixed, "it_services"),
        ("G2", "general_contractor", "bund", "invoiced", second, accepted + rng.integers(12, 22, n), fixed, "it_services"),
        ("IN", "integration", "land", "invoiced", integration, accepted + rng.integers(20, 40, n), actual, "it_services"),
        ("ON", "onboarding", "kommune", "invoiced", onboarded, accepted + rng.integers(25, 45, n), actual, "public_pay"),
        ("TE", "roll_in_team", "bund", "invoiced", team, accepted + rng.integers(10, 30, n), actual, "public_pay"),
        ("GX", "general_contractor", "bund", "invoiced", second, duplicate, fixed, "it_services"),
        ("GR", "general_contractor", "bund", "reversal", -second, np.minimum(duplicate + 20, _NEVER), fixed, "it_services"),
        ("ES", "general_contractor", "bund", "estimate", cents // 10_000 * 10_000, started + 3, actual, "it_services"),
    ]
    short = SHORT[land]
    code = pl.col("index").cast(pl.String).str.zfill(5)
    frames = [
        rolled.with_columns(
            entry_id=pl.concat_str(pl.lit(f"{short}-{prefix}-"), code),
            booked_on=_days("booked_on", booked),
            category=pl.lit(category),
            payer=pl.lit(payer),
            entry_status=pl.lit(status),
            cents=pl.Series(amount),
            price_mechanism=pl.Series(price),
            deflator_class=pl.lit(deflator),
            behaviour=pl.lit("variable"),
            recurring=pl.lit(False),
        )
        for prefix, category, payer, status, amount, booked, price, deflator in direct
    ]
    shared = rolled.filter(pl.col("accepted") < _NEVER)
    frames.append(
        shared.group_by("wave")
        .agg(cents=pl.col("variable_cents").sum() * 3 // 100, booked=pl.col("accepted").median().floor().cast(pl.Int64) + 15)
        .sort("wave")
        .with_columns(
            entry_id=pl.concat_str(pl.lit(f"{short}-TR-"), pl.col("wave").cast(pl.String).str.zfill(3)),
            booked_on=pl.from_epoch("booked", time_unit="d"),
            category=pl.lit("training"),
            payer=pl.lit("land"),
            behaviour=pl.lit("variable"),
            recurring=pl.lit(False),
            entry_status=pl.lit("invoiced"),
            price_mechanism=pl.lit("actual"),
            deflator_class=pl.lit("it_services"),
        )
    )
    frames.append(
        shared.group_by("call_off", "service_id", "wave", "contractor")
        .agg(cents=pl.col("variable_cents").sum() * 2 // 100, booked=pl.col("accepted").max() + 20)
        .sort("call_off")
        .with_columns(
            entry_id=pl.lit(f"{short}-RE-") + pl.col("call_off"),
            booked_on=pl.from_epoch("booked", time_unit="d"),
            category=pl.lit("roll_in_team"),
            payer=pl.lit("bund"),
            behaviour=pl.lit("variable"),
            recurring=pl.lit(False),
            entry_status=pl.lit("invoiced"),
            price_mechanism=pl.lit("actual"),
            deflator_class=pl.lit("public_pay"),
        )
    )
    frames.append(pl.DataFrame(_overhead(land, rolled), schema_overrides=_LEDGER, infer_schema_length=None))
    ledger = pl.concat(
        [
            f.with_columns(
                land_code=pl.lit(land),
                **{c: pl.lit(None, dtype=t) for c, t in _LEDGER.items() if c not in f.columns and c != "land_code"},
            )
            .select(list(_LEDGER))
            .cast(_LEDGER)  # type: ignore[arg-type]
            for f in frames
        ]
    )
    # drawn for every entry that will ever exist, so that a later end draws the same
    u, fault, after = rng.random(ledger.height), rng.random(ledger.height), rng.integers(35, 61, ledger.height)
    years = (pl.col("booked_on") - pl.lit(date(2026, 1, 1))).dt.total_days() / 365.25
    if parameters.price_drift_per_year:
        ledger = ledger.with_columns(
            cents=(pl.col("cents") * (parameters.price_drift_per_year * years).exp()).round().cast(pl.Int64)
        )
    is_corrected = pl.Series((u < parameters.correction_share) & (land == "06")) & (pl.col("entry_status") == "invoiced")
    return (
        ledger.with_columns(
            _u=pl.Series(fault),
            _after=pl.Series(after),
            _first_cents=pl.when(is_corrected).then(pl.col("cents") * 11 // 10),
        )
        .with_columns(
            _corrected_on=pl.when(pl.col("_first_cents").is_not_null()).then(
                pl.col("booked_on") + pl.duration(days=pl.col("_after"))
            )
        )
        .drop("_after")
        .filter(pl.col("booked_on").is_not_null() & (pl.col("booked_on") <= LAST_DAY))
        .sort("booked_on", "entry_id")
    )


def _overhead(land: str, rolled: pl.DataFrame) -> list[dict[str, object]]:
    """What does not depend on a single connection: plans, the programme's and the Land's fixed costs, running costs."""
    short = SHORT[land]
    rows: list[dict[str, object]] = []

    def add(code: str, booked: date, until: date, category: str, behaviour: str, payer: str, euros: int, **more: object) -> None:
        row: dict[str, object] = {
            "entry_id": f"{short}-{code}",
            "booked_on": booked,
            "period_start": booked.replace(day=1),
            "period_end": until,
            "category": category,
            "behaviour": behaviour,
            "payer": payer,
            "recurring": False,
            "entry_status": "invoiced",
            "cents": euros * 100,
            "price_mechanism": "actual",
            "deflator_class": "it_services",
        }
        rows.append(row | more)

    scale = {"09": 2, "06": 1}[land]
    plan_day = PROGRAMME_START
    for service, count in rolled.group_by("service_id").len().sort("service_id").iter_rows():
        add(
            f"PL-{service}",
            plan_day,
            date(2026, 12, 31),
            "general_contractor",
            "variable",
            "bund",
            14_500 * count,
            service_id=service,
            entry_status="planned",
        )
        for month in _months(date(2026, 2, 1), LAST_DAY):
            last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
            for category, euros in (("hosting", 2_600), ("support", 1_700)):
                add(
                    f"{category[:2].upper()}-{service}-{month:%Y%m}",
                    last,
                    last,
                    category,
                    "fixed_land",
                    "land",
                    scale * euros,
                    service_id=service,
                    recurring=True,
                )
        for year in (2026, 2027):
            add(
                f"LI-{service}-{year}",
                date(year, 2, 15),
                date(year, 12, 31),
                "licence",
                "fixed_land",
                "land",
                scale * 21_000,
                service_id=service,
                recurring=True,
            )
    add("PL-PB", plan_day, date(2026, 12, 31), "programme_office", "fixed_land", "land", scale * 420_000, entry_status="planned")
    for month in _months(date(2026, 1, 1), LAST_DAY):
        last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
        add(f"PB-{month:%Y%m}", last, last, "programme_office", "fixed_land", "land", scale * 36_000, deflator_class="public_pay")
        if month.month % 3 == 0:
            add(
                f"GP-{month:%Y%m}",
                last,
                last,
                "general_contractor",
                "fixed_programme",
                "bund",
                scale * 150_000,
                contractor=CONTRACTOR[land],
                price_mechanism="fixed_price",
            )
    return rows


# -- listings ---------------------------------------------------------------------------------------------------------------


def _listings(parameters: Parameters, plan: pl.DataFrame) -> pl.DataFrame:
    """What the public catalogue shows on ``end``.

    A share of the operational authorities has an entry of its own, some weeks after acceptance; a few are listed though not
    operational; some dead connections show as not working. Each Land has an entry of its own per service, which some areas that
    are not connected inherit: such an entry reaches further than the area for which it is listed, and proves nothing about it.
    """
    today = _number(parameters.end)
    operational = (pl.col("accepted") <= today) & ((pl.col("suspended") > today) | (pl.col("resumed") <= today))
    listed = operational & (pl.col("listed_lot") < parameters.listed_share) & (pl.col("accepted") + pl.col("listed_lag") <= today)
    too_early = ~operational & (pl.col("listed_lot") > 0.985)
    inherits = ~operational & (pl.col("listed_lot") < 0.05)
    keys = pl.DataFrame([(s, k) for s, ks in LEIKA.items() for k in ks], schema=["service_id", "leika_key"], orient="row")
    ars = (
        pl.when(pl.col("is_single") | (pl.col("key").str.len_chars() == 8))
        .then("only_ars")
        .otherwise(pl.col("key").str.pad_end(12, "0"))
    )
    own_class = (
        pl.when(pl.col("key").str.len_chars() == 5)
        .then(pl.lit("kreisweit flächendeckend"))
        .otherwise(pl.lit("in mind. einer Kommune verfügbar"))
    )

    def entries(
        of: pl.DataFrame, area: pl.Expr, address: str, works: pl.Expr, coverage: pl.Expr, is_inherited: bool
    ) -> pl.DataFrame:
        return of.select(
            "land_code",
            "service_id",
            ars=area,
            url=pl.concat_str(pl.lit("https://dienst.example/"), "service_id", pl.lit("/"), address),
            works=works,
            coverage_class=coverage,
            is_inherited=pl.lit(is_inherited),
        )

    whole_land = pl.lit("landesweit flächendeckend")
    land = pl.col("land_code").str.pad_end(12, "0")
    works = ~(pl.col("is_dead") & (pl.col("listed_lot") < 0.5))
    return (
        pl.concat(
            [
                entries(plan.filter(listed | too_early), ars, "key", works, own_class, False),
                entries(plan.filter(inherits), ars, "land_code", pl.lit(True), whole_land, True),
                entries(
                    plan.unique(["land_code", "service_id"], keep="first"), land, "land_code", pl.lit(True), whole_land, False
                ),
            ]
        )
        .join(keys, on="service_id", how="inner")
        .with_columns(
            observed_on=pl.lit(parameters.end),
            # an address that works is evidence that it can be reached
            evidence=pl.when("works").then(pl.lit("reachable")).otherwise(pl.lit("listed")),
            is_retracted=pl.lit(False),
        )
        .sort("ars", "leika_key", "url")
    )
