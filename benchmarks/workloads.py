"""Worlds of the size of all Germany, as portals deliver them: what the benchmarks run on.

Belongs here: Land files, services and deliveries of a given size, in columns and by streaming, and the next day's. Does not: the sample
world with its known truth (``ingest.sample``, which is size S), measuring (``benchmarks.speed``).

``python -m benchmarks.workloads M --out DIR`` writes below DIR::

    services.csv              the services; runs need ROLLIN_SERVICES=DIR/services.csv
    laender/                  sixteen Land files, and the federal one
    deliveries/<land>/        usage-<month>.csv, connections-*.csv, costs-*.csv, case_volumes.csv
    deliveries/00/            the directory (GV100AD) and the federal catalogue (Open-PVOG)
    workload.json             what was asked for, the instant of its night, the rows of every file

``--usage clean --home HOME`` writes no CSV of usage: it lands a note in place of every file, and the rows as the clean Parquet and the
record that cleaning would have made of the file, so that the next run over HOME finds them cleaned. (They hold until the cleaning code
changes; then the notes are refused as unreadable, which no run can overlook.) ``--usage none`` leaves usage out.
``--next-day`` adds the day after, and corrections of one per cent of the usage rows of the last 60 days, as new files beside the others.

Usage is a Poisson count per authority, service, day and channel, at a rate by inhabitants; days without a case are not delivered. One
factor on all rates makes the expected number of rows the size's. Every day of every Land is drawn by a generator of its own: equal
parameters give equal bytes, and one day can be drawn again alone. Held in memory is one day of one Land, and what is being written.

Real is the directory where one is named, or where ROLLIN_SHARED_DATA (else ``../shared/data`` beside the repository) holds one; without,
the sample's invented one is copied into all sixteen Länder. The sample's seven services come first, the others are invented.
Everything else is invented too, and says so. Territory stands still: key changes cost the same at every size.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from polars.io.plugins import register_io_source
from scipy import optimize

from ingest import clock
from ingest.sample.directory import gv100ad_zip, municipalities
from ingest.sample.parameters import Parameters
from ingest.sample.world import LEIKA

ROOT = Path(__file__).resolve().parents[1]
DIRECTORY = "destatis/GV100AD_30112025.txt"
LICENCE = "dl-de/by-2-0"

#: Name and inhabitants (Destatis, 31.12.2024, Zensus 2022) of every Land, and the sample's Land that stands for it where there is no
#: real directory: one with about as many municipalities.
LAENDER = {
    "01": ("Schleswig-Holstein", 2_959_517, "09"),
    "02": ("Hamburg", 1_862_565, "06"),
    "03": ("Niedersachsen", 8_004_489, "09"),
    "04": ("Bremen", 704_881, "06"),
    "05": ("Nordrhein-Westfalen", 18_034_454, "05"),
    "06": ("Hessen", 6_280_793, "06"),
    "07": ("Rheinland-Pfalz", 4_129_569, "09"),
    "08": ("Baden-Württemberg", 11_245_898, "09"),
    "09": ("Bayern", 13_248_928, "09"),
    "10": ("Saarland", 1_012_141, "06"),
    "11": ("Berlin", 3_685_265, "06"),
    "12": ("Brandenburg", 2_556_747, "06"),
    "13": ("Mecklenburg-Vorpommern", 1_573_597, "09"),
    "14": ("Sachsen", 4_042_422, "06"),
    "15": ("Sachsen-Anhalt", 2_135_597, "06"),
    "16": ("Thüringen", 2_100_277, "09"),
}

#: The level at which authorities are competent for the sample's services (without the Länder's exceptions) and cases per inhabitant and
#: year; then the levels of the invented services, in turn.
_REAL = {
    "ummeldung": ("verband", 0.09),
    "fuehrerschein": ("kreis", 0.012),
    "bauantrag": ("kreis", 0.005),
    "aufenthalt": ("kreis", 0.02),
    "waffen": ("kreis", 0.0015),
    "unterhaltsvorschuss": ("kreis", 0.004),
    "anlagengenehmigung": ("land", 0.00003),
}
_LEVELS = ["gemeinde", "gemeinde", "gemeinde", "kreis", "gemeinde", "gemeinde", "gemeinde", "gemeinde", "verband", "kreis"]
_LEVELS += ["gemeinde", "gemeinde", "verband", "gemeinde", "kreis", "gemeinde", "gemeinde", "verband", "kreis", "land"]
_KIND = {"gemeinde": "gemeindeverwaltung", "verband": "verbandsverwaltung", "kreis": "kreisverwaltung", "land": "landesbehoerde"}
_KEY = {"gemeinde": "ags", "verband": "verband_code", "kreis": "kreis_code", "land": "land_code"}

#: What is counted apart: channel, account, share of the cases, kind of day. Online has its account, offices are closed at weekends.
COUNTED = (
    ("online", "bundid", 0.20, 0),
    ("online", "other", 0.06, 0),
    ("online", "none", 0.09, 0),
    ("assisted", None, 0.05, 1),
    ("counter", None, 0.45, 2),
    ("post", None, 0.15, 1),
)
_ONLINE = 4  # the first ones begin with the connection
_CHANNEL_WORDS = {"online": "Online", "assisted": "Online mit Hilfe", "counter": "Schalter", "post": "Post"}
_ACCOUNT_WORDS = {"bundid": "BundID", "other": "anderes Konto", "none": "ohne Konto"}
#: Cases by kind of day and weekday, Monday first; the mean of a week is 1.
_DAYS_OF = np.array([[1.1, 1.1, 1.1, 1.1, 1.0, 0.8, 0.8], [1.4, 1.4, 1.4, 1.4, 1.4, 0, 0], [1.5, 1.5, 1.3, 1.6, 1.1, 0, 0]])
_WEEKDAY = _DAYS_OF[[days for *_, days in COUNTED]]
_PHASES = ("planned", "contracted", "integrating", "onboarding", "operational")
_PHASE_WORDS = ("vorgesehen", "beauftragt", "technische Integration", "Onboarding", "produktiv")
_CORRECTED_SHARE, _CORRECTED_DAYS = 0.01, 60
_WAVE_DAYS = 30
_FRAME_ROWS = 500_000


@dataclass(frozen=True)
class Workload:
    """What a world holds. ``rows``: expected rows of usage in the whole of Germany. ``share``: of the Kreise of every Land that it is cut
    down to, at least one each; the whole world's rates stay. ``directory``: a GV100AD file, None for the sample's."""

    size: str
    services_count: int
    first: date
    last: date
    rows: int
    share: float = 1.0
    seed: int = 20260121
    laender: tuple[str, ...] = tuple(LAENDER)
    directory: Path | None = field(default=None, compare=False)

    @property
    def days_count(self) -> int:
        """Days from the first to the last."""
        return (self.last - self.first).days + 1

    @property
    def night(self) -> datetime:
        """The last minute (UTC) of the last day in Berlin: the instant of the night that sees this world."""
        return clock.end_of(self.last) - timedelta(minutes=1)

    def rng(self, *names: object) -> np.random.Generator:
        """The generator of one Land's table or day, independent of every other."""
        key = tuple(zlib.crc32(str(name).encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    @cached_property
    def services(self) -> pl.DataFrame:
        """One row per service: service_id, name_de, name_en, authority_kind, ozg_ids, level, rate (cases per inhabitant and year), and word, which
        portals call it by."""
        with (ROOT / "ingest" / "services.csv").open(encoding="utf-8", newline="") as file:
            known = list(csv.DictReader(file))[: self.services_count]
        rows: list[dict[str, Any]] = [
            row | {"level": _REAL[row["service_id"]][0], "rate": _REAL[row["service_id"]][1]} for row in known
        ]
        drawn = self.rng("rates").lognormal(math.log(0.004), 1.2, self.services_count)
        for number in range(len(known), self.services_count):
            level = _LEVELS[(number - len(known)) % len(_LEVELS)]
            rows.append(
                {
                    "service_id": f"leistung_{number + 1:03d}",
                    "name_de": f"Leistung {number + 1:03d} (synthetisch)",
                    "name_en": f"Service {number + 1:03d} (synthetic)",
                    "authority_kind": _KIND[level],
                    "ozg_ids": None,
                    "level": level,
                    "rate": float(min(drawn[number], 0.2)),
                }
            )
        frame = pl.DataFrame(rows, schema_overrides={"ozg_ids": pl.String}, infer_schema_length=None)
        return frame.with_columns(word=pl.col("name_de").str.replace(r" \(.*$", ""))

    @cached_property
    def _places(self) -> tuple[pl.DataFrame, bytes, str]:
        """The municipalities of all Germany, the directory as delivered (cut down to the share), and its file's name."""
        if self.directory is None:
            frame = _sample_places()
            part = frame.filter(pl.col("kreis_code").is_in(self._kreise(frame)))
            return frame, gv100ad_zip(part), "GV100AD.zip"
        text = self.directory.read_text(encoding="utf-8")
        lines = pl.DataFrame({"line": text.splitlines()})
        at = pl.col("line").str.slice
        frame = lines.filter(at(0, 2) == "60").select(
            ags=at(10, 8),
            ars=pl.concat_str(at(10, 5), at(18, 4), at(15, 3)),
            kreis_code=at(10, 5),
            verband_code=pl.concat_str(at(10, 5), at(18, 4)),
            land_code=at(10, 2),
            text_code=at(122, 2),
            population=at(139, 11).cast(pl.Int64),
        )
        frame = frame.filter(~pl.col("text_code").is_in(["65", "66"]))
        kept = lines.filter(at(0, 2).is_in(["10", "20", "30"]) | at(10, 5).is_in(self._kreise(frame)))
        return frame, ("\r\n".join(kept["line"]) + "\r\n").encode(), "GV100AD.txt"

    def _kreise(self, places: pl.DataFrame) -> list[str]:
        """The Kreise of this share, spread over every Land."""
        found: list[str] = []
        for (_,), kreise in places.select("land_code", "kreis_code").unique().sort("kreis_code").group_by("land_code"):
            codes = kreise["kreis_code"].sort()
            count = max(1, round(self.share * len(codes)))
            found += [codes[int((number + 0.5) * len(codes) / count)] for number in range(count)]
        return found

    @cached_property
    def factor(self) -> float:
        """What all rates are multiplied by, so that the whole of Germany has the expected number of rows."""
        places = self._places[0]
        days = self.days_count
        expected = []
        for land in LAENDER:
            units = _units(self, land, places)
            every = max(1, units.height // 20_000)
            part = units.gather_every(every)
            accepted = _life(self, land, units)["accepted"][::every]
            live = np.clip(days - np.maximum(accepted, 0), 0, days)
            shown = np.where(np.arange(len(COUNTED)) < _ONLINE, live[:, None], days)
            expected.append((_daily_rates(part, 1.0)[:, :, None] * _WEEKDAY[None], shown / 7 * every))

        def lacking(exponent: float) -> float:
            factor = math.exp(exponent)
            rows = sum(float((-np.expm1(-rates * factor)).sum(axis=2).ravel() @ shown.ravel()) for rates, shown in expected)
            return rows - self.rows

        return math.exp(optimize.brentq(lacking, math.log(1e-4), math.log(1e4), xtol=1e-6))

    def units(self, land: str) -> Units:
        """The connections of one Land, cut down to the share, with their lives."""
        places = self._places[0]
        units = _units(self, land, places).with_row_index("unit")
        life = _life(self, land, units)
        mine = places.filter(pl.col("kreis_code").is_in(self._kreise(places)))
        kept = _units(self, land, mine).select("service_id", "key", "population", "ars")
        units = units.drop("population", "ars").join(kept, on=["service_id", "key"], how="inner", maintain_order="left")
        number = units["unit"].to_numpy()
        return Units(self, land, units, {name: values[number] for name, values in life.items()})


SIZES = {
    "M": Workload("M", 15, date(2023, 11, 1), date(2026, 10, 31), 100_000_000),
    "L": Workload("L", 575, date(2025, 11, 1), date(2026, 10, 31), 1_200_000_000),
}


def workload(size: str, **changes: Any) -> Workload:
    """A workload of a size, with the real directory where there is one; of fewer days, as many rows a day."""
    if "directory" not in changes:
        path = Path(os.environ.get("ROLLIN_SHARED_DATA", ROOT.parent / "shared" / "data")) / DIRECTORY
        changes["directory"] = path if path.is_file() else None
    whole = SIZES[size]
    part = dataclasses.replace(whole, **changes)
    rows = part.rows * part.days_count // whole.days_count if "rows" not in changes else part.rows
    return dataclasses.replace(part, rows=rows)


# -- who there is ---------------------------------------------------------------------------------------------------------------


@cache
def _sample_places() -> pl.DataFrame:
    """The sample's municipalities under the keys of sixteen Länder, with as many inhabitants as each Land has."""
    sample = municipalities(Parameters(laender=("09", "06", "05")))
    sample = sample.filter(~pl.col("kind").str.starts_with("gemeindefrei"))
    keys = ("ags", "ars", "kreis_code", "verband_code", "regierungsbezirk_code")
    frames = []
    for land, (_, inhabitants, template) in LAENDER.items():
        own = sample.filter(pl.col("land_code") == template)
        total = int(own["population"].sum())
        frames.append(
            own.with_columns(
                *[(pl.lit(land) + pl.col(key).str.slice(2)).alias(key) for key in keys],
                land_code=pl.lit(land),
                population=(pl.col("population") * inhabitants // total).clip(1),
                regierungsbezirk_name=pl.lit(None, pl.String),
            )
        )
    return pl.concat(frames).sort("ags")


def _units(world: Workload, land: str, places: pl.DataFrame) -> pl.DataFrame:
    """Authority × service of one Land: service_id, key, authority_id, population, rate, ars (of its first municipality)."""
    own = places.filter(pl.col("land_code") == land)
    of_level = {
        level: own.group_by(pl.col(column).alias("key")).agg(pl.col("population").sum(), pl.col("ars").min()).sort("key")
        for level, column in _KEY.items()
    }
    frames = [
        of_level[service["level"]].with_columns(
            service_id=pl.lit(service["service_id"]), kind=pl.lit(service["authority_kind"]), rate=pl.lit(service["rate"])
        )
        for service in world.services.iter_rows(named=True)
    ]
    return pl.concat(frames).select(
        "service_id", "key", "population", "rate", "ars", authority_id=pl.col("kind") + "/" + pl.col("key")
    )


def _life(world: Workload, land: str, units: pl.DataFrame) -> dict[str, np.ndarray]:
    """Waves, and the days of every phase counted from the first day of the world; a tenth was operational before it."""
    rng = world.rng("life", land)
    n, days = units.height, world.days_count
    waves = max(1, round(days / _WAVE_DAYS * 1.2))
    is_baseline = rng.random(n) < 0.1
    wave = np.where(is_baseline, 0, rng.integers(1, waves + 1, n))
    integrating = np.where(is_baseline, -rng.integers(150, 400, n), 10 + _WAVE_DAYS * (wave - 1) + rng.integers(0, 20, n))
    onboarding = integrating + rng.integers(20, 45, n)
    accepted = onboarding + rng.integers(15, 60, n)
    return {
        "wave": wave,
        "planned": np.where(is_baseline, integrating - 30, np.minimum(3, integrating - 4)),
        "contracted": integrating - 3,
        "integrating": integrating,
        "onboarding": onboarding,
        "accepted": accepted,
        "difficulty": np.round(np.clip(rng.normal(size=n), -3, 3), 2),
        "noise": rng.lognormal(0, 0.25, n),
    }


def _daily_rates(units: pl.DataFrame, factor: float) -> np.ndarray:
    """Expected cases per day, by unit and ``COUNTED``."""
    cases = units["rate"].to_numpy() * units["population"].to_numpy() / 365.25 * factor
    return np.outer(cases, [share for _, _, share, _ in COUNTED])


@dataclass(frozen=True)
class Units:
    """The connections of one Land, and everything that happens to them."""

    world: Workload
    land: str
    frame: pl.DataFrame
    life: dict[str, np.ndarray]

    @cached_property
    def _rates(self) -> np.ndarray:
        return _daily_rates(self.frame, self.world.factor)

    def usage_of(self, day: date) -> pl.DataFrame:
        """The cases of a day: unit (row of ``frame``), counted (of ``COUNTED``), period, started?, submitted; only what is not zero."""
        rates = self._rates * _WEEKDAY[:, day.weekday()]
        rates[self.life["accepted"] > (day - self.world.first).days, :_ONLINE] = 0
        counts = self.world.rng("usage", self.land, day).poisson(rates)
        unit, counted = np.nonzero(counts)
        submitted = counts[unit, counted]
        return pl.DataFrame(
            {"unit": unit.astype(np.uint32), "counted": counted.astype(np.uint8), "submitted": submitted.astype(np.int64)}
        ).with_columns(
            period=pl.lit(day),
            # three in ten begin and give up; only online is that known
            started=pl.when(pl.col("counted") < 3).then(pl.col("submitted") * 10 // 7),
        )

    def usage(self, days: list[date]) -> Iterator[pl.DataFrame]:
        """The cases of several days, in frames of some hundred thousand rows."""
        held: list[pl.DataFrame] = []
        for day in days:
            held.append(self.usage_of(day))
            if sum(frame.height for frame in held) >= _FRAME_ROWS:
                yield pl.concat(held)
                held = []
        if held:
            yield pl.concat(held)

    def corrections(self, day: date) -> Iterator[pl.DataFrame]:
        """One per cent of the usage rows of the days before, one case more each."""
        first = max(self.world.first, day - timedelta(days=_CORRECTED_DAYS))
        for frame in self.usage([first + timedelta(days=n) for n in range((day - first).days)]):
            drawn = self.world.rng("corrections", self.land, day, frame["period"][0]).random(frame.height)
            yield frame.filter(pl.Series(drawn < _CORRECTED_SHARE)).with_columns(
                pl.col("submitted") + 1, pl.when(pl.col("started").is_not_null()).then(pl.col("started") + 2).alias("started")
            )

    def connections(self, first: date, last: date) -> pl.DataFrame:
        """The events of the days from ``first`` to ``last`` as delivered."""
        zero, n = _number(self.world.first), self.frame.height
        names = ("planned", "contracted", "integrating", "onboarding", "accepted")
        begins = _days("begins", self.life["integrating"] + zero)
        person_days = np.round(18 * np.exp(0.25 * self.life["difficulty"]) * self.life["noise"], 1)
        named = self.world.services.select("service_id", "word")
        common = self.frame.select("service_id", pl.col("key").alias("Schlüssel")).join(
            named, on="service_id", how="left", maintain_order="left"
        )
        frames = []
        for phase, (name, word) in enumerate(zip(names, _PHASE_WORDS, strict=True)):
            day = _days("day", self.life[name] + zero)
            frames.append(
                common.with_columns(
                    Stand=pl.lit(word),
                    day=day,
                    welle=pl.Series(self.life["wave"]),
                    begins=begins,
                    schwierigkeit=pl.Series(self.life["difficulty"]),
                    tage=pl.Series(person_days) if name == "accepted" else pl.lit(None, pl.Float64),
                    unit=pl.int_range(n, dtype=pl.Int64),
                    phase=pl.lit(phase),
                ).filter(pl.col("day").is_between(first, last))
            )
        team = pl.format("Team {}/{}", pl.lit(self.land), pl.col("welle") % 5)
        return (
            pl.concat(frames)
            .sort("day", "unit", "phase")
            .select(
                "Schlüssel",
                pl.col("word").alias("Leistung"),
                "Stand",
                _german("day").alias("gültig ab"),
                (pl.col("day").dt.strftime("%Y-%m-%d") + "T17:00:00+01:00").alias("gemeldet am"),
                pl.col("welle").alias("Welle"),
                team.alias("Team"),
                pl.lit("Musterrollout GmbH (synthetisch)").alias("Generalunternehmer"),
                pl.format("{}-{}-{}", pl.lit(self.land), "service_id", "welle").alias("Abruf"),
                pl.col("welle").alias("Geplante Welle"),
                _german("begins").alias("Geplanter Beginn"),
                pl.col("schwierigkeit").alias("Schwierigkeit"),
                _german(pl.lit(self.world.first - timedelta(days=400))).alias("Schwierigkeit erhoben am"),
                pl.col("tage").alias("Personentage"),
                (pl.col("tage") * 0.3).round(1).alias("Personentage Kommune"),
            )
        )

    def costs(self, first: date, last: date) -> pl.DataFrame:
        """The ledger entries booked from ``first`` to ``last`` as delivered: three for every connection, without the baseline's."""
        zero = _number(self.world.first)
        whole = 14_000 * np.exp(0.25 * self.life["difficulty"]) * self.life["noise"]
        parts = (
            ("G", "Generalunternehmer", "Bund", 0.7, 15, "it_services"),
            ("I", "Integration", "Land", 0.2, 30, "it_services"),
            ("O", "Onboarding", "Kommune", 0.1, 40, "public_pay"),
        )
        named = self.world.services.select("service_id", "word")
        common = self.frame.select("service_id", "key", "unit").join(named, on="service_id", how="left", maintain_order="left")
        frames = [
            common.with_columns(
                Beleg=pl.format("{}-{}-{}", pl.lit(self.land), pl.lit(code), "unit"),
                day=_days("day", self.life["accepted"] + zero + later),
                Kostenart=pl.lit(category),
                Kostenträger=pl.lit(payer),
                amount=pl.Series(np.round(whole * part, 2)),
                welle=pl.Series(self.life["wave"]),
                Deflator=pl.lit(deflator),
            ).filter(pl.col("day").is_between(first, last) & (pl.col("welle") > 0))
            for code, category, payer, part, later, deflator in parts
        ]
        return (
            pl.concat(frames)
            .sort("day", "Beleg")
            .select(
                "Beleg",
                _german("day").alias("Buchungsdatum"),
                pl.col("key").alias("Schlüssel"),
                pl.col("word").alias("Leistung"),
                pl.col("welle").alias("Welle"),
                pl.format("{}-{}-{}", pl.lit(self.land), "service_id", "welle").alias("Abruf"),
                pl.lit("Musterrollout GmbH (synthetisch)").alias("Auftragnehmer"),
                "Kostenart",
                pl.lit("variabel").alias("Kostenverhalten"),
                "Kostenträger",
                pl.lit("N").alias("wiederkehrend"),
                pl.lit("Rechnung").alias("Belegart"),
                pl.col("amount")
                .cast(pl.Decimal(18, 2))
                .cast(pl.String)
                .str.replace(".", ",", literal=True)
                .alias("Betrag netto"),
                pl.lit("Aufwand").alias("Preisart"),
                "Deflator",
            )
        )

    def case_volumes(self) -> pl.DataFrame:
        """Cases of every whole year before the last day's, as delivered; at least of one."""
        years = range(min(self.world.first.year, self.world.last.year - 1), self.world.last.year)
        named = self.world.services.select("service_id", "word")
        cases = (pl.col("rate") * pl.col("population") * self.world.factor).round().cast(pl.Int64)
        return pl.concat(
            self.frame.join(named, on="service_id", how="left", maintain_order="left").select(
                pl.col("key").alias("Schlüssel"), pl.col("word").alias("Leistung"), Jahr=pl.lit(year), Fälle=cases
            )
            for year in years
        )

    def listings(self) -> pl.DataFrame:
        """What the federal catalogue shows of them on the last day: four in five of the operational ones."""
        day = (self.world.last - self.world.first).days
        lot = self.world.rng("listings", self.land).random(self.frame.height)
        keys = pl.DataFrame([(s, k) for s, ks in LEIKA.items() for k in ks], schema=["service_id", "leika_key"], orient="row")
        shown = self.frame.filter(pl.Series((self.life["accepted"] <= day) & (lot < 0.8)))
        ars = pl.when(pl.col("key").str.len_chars() == 8).then("ars").otherwise(pl.col("key").str.pad_end(12, "0"))
        return shown.join(keys, on="service_id", how="inner", maintain_order="left").select(
            "leika_key",
            leika_name="service_id",
            ars=ars,
            ars_federal_state=pl.lit(self.land),
            url=pl.format("https://dienst.example/{}/{}", "service_id", "key"),
            online_status=pl.lit("ok"),
            aktiv=pl.lit("ja"),
            art_flaechendeckung=pl.lit("in mind. einer Kommune verfügbar"),
            datenstand_pvog_import=pl.lit(self.world.last.isoformat()),
        )


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _days(name: str, days: np.ndarray) -> pl.Series:
    return pl.Series(name, days.astype(np.int32)).cast(pl.Date)


def _german(column: str | pl.Expr) -> pl.Expr:
    return (pl.col(column) if isinstance(column, str) else column).dt.strftime("%d.%m.%Y")


# -- writing --------------------------------------------------------------------------------------------------------------------


def write(world: Workload, out: Path, *, usage: str = "csv", tell: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Write a world below ``out`` (replacing one that is there) and return its record; ``usage``: ``csv``, or ``none``."""
    for name in ("laender", "deliveries"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "laender").mkdir(parents=True)
    world.services.select("service_id", "name_de", "name_en", "authority_kind", "ozg_ids").write_csv(out / "services.csv")
    rows: dict[str, int] = {}
    federal = out / "deliveries" / "00"
    federal.mkdir(parents=True)
    _, directory, name = world._places
    (federal / name).write_bytes(directory)
    _write_land_file(out, "deutschland", _federal(name))
    listings = []
    for land in world.laender:
        tell(f"{LAENDER[land][0]}")
        _write_land_file(out, f"land-{land}", _land(world, land))
        units = world.units(land)
        folder = out / "deliveries" / land
        folder.mkdir()
        before = date(2000, 1, 1)
        for name, frame in (
            ("connections-0.csv", units.connections(before, world.last)),
            ("costs-0.csv", units.costs(before, world.last)),
            ("case_volumes.csv", units.case_volumes()),
        ):
            _write_csv(frame, folder / name)
            rows[f"{land}/{name}"] = frame.height
        listings.append(units.listings())
        if usage == "csv":
            for month, days in _months(world).items():
                path = folder / f"usage-{month}.csv"
                rows[f"{land}/usage-{month}.csv"] = _sink_usage(units, units.usage(days), path)
                written = clock.end_of(days[-1]).timestamp()  # as a Land would have left it there
                os.utime(path, (written, written))
    _write_csv(pl.concat(listings), federal / "open-pvog.csv", ",")
    rows["00/open-pvog.csv"] = sum(frame.height for frame in listings)
    return _record(world, out, rows, world.night)


def write_next_day(world: Workload, out: Path) -> dict[str, Any]:
    """Add the deliveries of the day after to a world that ``write`` wrote: that day's rows of every Land, and corrections."""
    day = world.last + timedelta(days=1)
    record = json.loads((out / "workload.json").read_text(encoding="utf-8"))
    rows: dict[str, int] = record["rows"]
    for land in world.laender:
        units = world.units(land)
        folder = out / "deliveries" / land
        name = f"usage-{day}.csv"

        def frames(units: Units = units) -> Iterator[pl.DataFrame]:
            yield units.usage_of(day)
            yield from units.corrections(day)

        rows[f"{land}/{name}"] = _sink_usage(units, frames(), folder / name)
        for name, frame in ((f"connections-{day}.csv", units.connections(day, day)), (f"costs-{day}.csv", units.costs(day, day))):
            if frame.height:
                _write_csv(frame, folder / name)
                rows[f"{land}/{name}"] = frame.height
    return _record(world, out, rows, clock.end_of(day) - timedelta(minutes=1))


def write_clean_usage(world: Workload, out: Path, home: Path, tell: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Put the usage of a world that ``write`` wrote with ``usage="none"`` into ``home`` as if it had been fetched and cleaned.

    Needs ROLLIN_SERVICES set before anything of Rollin is imported. The home must not be in use.
    """
    from ingest.clean import QUARANTINE_SCHEMA, CleaningRecord, fingerprint_of
    from ingest.tables import SERVICES, TABLES
    from orchestration.night import Night, lock
    from orchestration.settings import Settings

    if set(SERVICES) != set(world.services["service_id"]):
        raise SystemExit(f"Other services are in force: set ROLLIN_SERVICES={out / 'services.csv'} before starting.")
    os.environ["ROLLIN_NOW"] = world.night.isoformat()
    schema = TABLES["usage"].polars_schema()
    rows: dict[str, int] = {}
    months = _months(world)
    for land in world.laender:  # what is fetched in place of each file is a note of what it would have been
        for month in months:
            note = f"Last {world.size}, Land {land}, Monat {month}: diese Zeilen liegen nur bereinigt vor.\n"
            (out / "deliveries" / land / f"usage-{month}.csv").write_text(note, encoding="utf-8")
    settings = Settings(home=home, laender=out / "laender")
    with lock(settings):
        night = Night(settings, "workload")
        night.fetch("00", "gemeindeverzeichnis")
        for land in world.laender:
            tell(f"{LAENDER[land][0]}: clean")
            night.fetch(land, "usage")
            units = world.units(land)
            file, source = night.source(land, "usage")
            for delivery in night.landing.deliveries(land, "usage"):
                fingerprint = fingerprint_of(file, source, delivery, night.reference(land))
                name = f"{land}/usage/{delivery.delivery_id}.{fingerprint}"
                clean, quarantine = (home / kind / "usage" / f"{name}.parquet" for kind in ("clean", "quarantine"))
                record_path = home / "clean" / "records" / f"{name}.json"
                for path in (clean, quarantine, record_path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                month = delivery.parts[0].name.removeprefix("usage-").removesuffix(".csv")
                stated = {
                    "grain": "day",
                    "completed": None,
                    "is_test": False,
                    "is_retracted": False,
                    "land_code": land,
                    "source": "usage",
                    "delivery_id": delivery.delivery_id,
                    "delivered_at": delivery.delivered_at,
                }
                named = _named(units).select("unit", "authority_id", pl.col("service_id").cast(schema["service_id"]))
                kinds = pl.DataFrame([kind[:2] for kind in COUNTED], schema=["channel", "account"], orient="row").cast(
                    {name: schema[name] for name in ("channel", "account")}
                )

                def canonical(
                    frame: pl.DataFrame, named: pl.DataFrame = named, kinds: pl.DataFrame = kinds, stated: dict[str, Any] = stated
                ) -> pl.DataFrame:
                    return frame.select(
                        *[named[column].gather(frame["unit"]).alias(column) for column in ("authority_id", "service_id")],
                        "period",
                        *kinds[frame["counted"]],
                        "started",
                        "submitted",
                        *[pl.lit(value).cast(schema[column]).alias(column) for column, value in stated.items()],
                    ).select(schema.names())

                frames = _Streamed(map(canonical, units.usage(months[month])), dict(schema))
                frames.lazy().sink_parquet(clean, compression="zstd")
                pl.DataFrame(schema=QUARANTINE_SCHEMA).write_parquet(quarantine)
                rows[f"{land}/usage-{month}.csv"] = frames.rows
                record = CleaningRecord(
                    land_code=land,
                    source="usage",
                    table="usage",
                    delivery_id=delivery.delivery_id,
                    delivered_at=delivery.delivered_at,
                    fingerprint=fingerprint,
                    rows_delivered=frames.rows,
                    rows_clean=frames.rows,
                    quarantined={},
                    unknown_columns=[],
                    missing_columns=[],
                    problem=None,
                    problem_en=None,
                    clean_path=str(clean.relative_to(home)),
                    quarantine_path=str(quarantine.relative_to(home)),
                )
                record_path.write_text(record.to_json(), encoding="utf-8")
    known = json.loads((out / "workload.json").read_text(encoding="utf-8"))
    return _record(world, out, known["rows"] | rows, world.night)


def _months(world: Workload) -> dict[str, list[date]]:
    days = [world.first + timedelta(days=n) for n in range(world.days_count)]
    months: dict[str, list[date]] = {}
    for day in days:
        months.setdefault(f"{day:%Y-%m}", []).append(day)
    return months


def _named(units: Units) -> pl.DataFrame:
    """The units by their row's number, with the name of their service."""
    named = units.world.services.select("service_id", "word")
    return (
        units.frame.select("service_id", "key", "authority_id")
        .join(named, on="service_id", how="left", maintain_order="left")
        .with_row_index("unit")
    )


class _Streamed:
    """Frames as a lazy frame that Polars writes while they are made; ``rows`` counts them."""

    def __init__(self, frames: Iterator[pl.DataFrame], schema: dict[str, Any]):
        self.rows = 0
        self._frames = frames
        self._schema = schema

    def lazy(self) -> pl.LazyFrame:
        """Can be read once."""

        def source(
            with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            for frame in self._frames:
                self.rows += frame.height
                yield frame if with_columns is None else frame.select(with_columns)

        return register_io_source(source, schema=self._schema)


def _sink_usage(units: Units, frames: Iterator[pl.DataFrame], path: Path) -> int:
    """Write usage as a portal delivers it, streaming; returns the number of rows."""
    named = _named(units)
    words = pl.DataFrame(
        {"Kanal": [_CHANNEL_WORDS[c] for c, *_ in COUNTED], "Konto": [_ACCOUNT_WORDS.get(a or "") for _, a, *_ in COUNTED]}
    )

    def delivered(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            _german("period").alias("Datum"),
            named["key"].gather(frame["unit"]).alias("Schlüssel"),
            named["word"].gather(frame["unit"]).alias("Leistung"),
            *words[frame["counted"]],
            pl.col("started").alias("begonnen"),
            pl.col("submitted").alias("eingereicht"),
        )

    schema = dict.fromkeys(("Datum", "Schlüssel", "Leistung", "Kanal", "Konto"), pl.String) | dict.fromkeys(
        ("begonnen", "eingereicht"), pl.Int64
    )
    streamed = _Streamed(map(delivered, frames), schema)
    streamed.lazy().sink_csv(path, separator=";", quote_style="never")
    return streamed.rows


def _write_csv(frame: pl.DataFrame, path: Path, separator: str = ";") -> None:
    frame.write_csv(path, separator=separator)


def _record(world: Workload, out: Path, rows: dict[str, int], night: datetime) -> dict[str, Any]:
    stated = {f.name: getattr(world, f.name) for f in dataclasses.fields(world)}
    record = {
        "workload": stated | {"directory": world.directory.name if world.directory else "the sample's"},
        "factor": world.factor,
        "night": night.astimezone(UTC).isoformat(),
        "services": "services.csv",
        "is_synthetic": True,
        "usage_rows": sum(count for name, count in rows.items() if "/usage-" in name),
        "rows": rows,
    }
    (out / "workload.json").write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    return record


def _write_land_file(out: Path, name: str, document: dict[str, Any]) -> None:
    head = "# Synthetic data, written by benchmarks/workloads.py.\n"
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    (out / "laender" / f"{name}.yaml").write_text(head + text, encoding="utf-8")


def _federal(directory: str) -> dict[str, Any]:
    common = {"delivers": "snapshot", "max_age_days": 400, "licence": LICENCE}
    return {
        "land_code": "00",
        "name": "Deutschland",
        "is_synthetic": True,
        "sources": [
            {
                "name": "gemeindeverzeichnis",
                "table": "regions",
                "format": "gv100ad",
                "location": f"../deliveries/00/{directory}",
                "required": True,
                **common,
            },
            {
                "name": "datahub",
                "table": "listings",
                "format": "open_pvog",
                "location": "../deliveries/00/open-pvog.csv",
                "required": False,
                **common,
            },
        ],
    }


def _land(world: Workload, land: str) -> dict[str, Any]:
    """A Land file in the words of the delivered files."""
    words = dict(world.services.select("word", "service_id").iter_rows())
    phases = dict(zip(_PHASE_WORDS, _PHASES, strict=True))
    keyed = {"region_key": "Schlüssel", "service_id": "Leistung"}
    common = {"format": "csv", "reading": {"date": "%d.%m.%Y", "delimiter": ";"}, "max_age_days": 400, "licence": LICENCE}

    def source(table: str, pattern: str, columns: dict[str, str], values: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "name": table,
            "table": table,
            "location": f"../deliveries/{land}/{pattern}",
            "delivers": "changes",
            "required": table in ("connections", "usage"),
            "columns": keyed | columns,
            "values": {"service_id": words} | values,
            **common,
            **more,
        }

    decimal = {"reading": common["reading"] | {"decimal": ","}}
    return {
        "land_code": land,
        "name": LAENDER[land][0],
        "is_synthetic": True,
        "programme": {
            "start": world.first,
            "target": {"date": max(date(2026, 12, 31), world.last + timedelta(days=30)), "share": 1.0},
            "services": world.services["service_id"].to_list(),
        },
        "competences": {service: {"level": level} for service, level in world.services.select("service_id", "level").iter_rows()},
        "sources": [
            source(
                "connections",
                "connections-*.csv",
                {
                    "phase": "Stand",
                    "effective_on": "gültig ab",
                    "reported_at": "gemeldet am",
                    "wave": "Welle",
                    "team": "Team",
                    "contractor": "Generalunternehmer",
                    "call_off": "Abruf",
                    "planned_wave": "Geplante Welle",
                    "planned_start_on": "Geplanter Beginn",
                    "difficulty": "Schwierigkeit",
                    "difficulty_recorded_on": "Schwierigkeit erhoben am",
                    "person_days": "Personentage",
                    "person_days_municipal": "Personentage Kommune",
                },
                {"phase": phases},
                constants={"is_pilot": False},
            ),
            source(
                "usage",
                "usage-*.csv",
                {"period": "Datum", "channel": "Kanal", "account": "Konto", "started": "begonnen", "submitted": "eingereicht"},
                {
                    "channel": {word: channel for channel, word in _CHANNEL_WORDS.items()},
                    "account": {word: account for account, word in _ACCOUNT_WORDS.items()},
                },
                constants={"grain": "day"},
            ),
            source("case_volumes", "case_volumes.csv", {"year": "Jahr", "cases": "Fälle"}, {}, delivers="snapshot"),
            source(
                "costs",
                "costs-*.csv",
                {
                    "entry_id": "Beleg",
                    "booked_on": "Buchungsdatum",
                    "wave": "Welle",
                    "call_off": "Abruf",
                    "contractor": "Auftragnehmer",
                    "category": "Kostenart",
                    "behaviour": "Kostenverhalten",
                    "payer": "Kostenträger",
                    "recurring": "wiederkehrend",
                    "entry_status": "Belegart",
                    "amount_eur": "Betrag netto",
                    "price_mechanism": "Preisart",
                    "deflator_class": "Deflator",
                },
                {
                    "category": {
                        "Generalunternehmer": "general_contractor",
                        "Integration": "integration",
                        "Onboarding": "onboarding",
                    },
                    "behaviour": {"variabel": "variable"},
                    "payer": {"Bund": "bund", "Land": "land", "Kommune": "kommune"},
                    "recurring": {"J": True, "N": False},
                    "entry_status": {"Rechnung": "invoiced"},
                    "price_mechanism": {"Aufwand": "actual"},
                },
                **decimal,
            ),
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--out", type=Path, required=True, help="folder of the world")
    parser.add_argument("--usage", choices=("csv", "clean", "none"), default="csv")
    parser.add_argument("--home", type=Path, help="home that gets the clean usage (with --usage clean)")
    parser.add_argument("--share", type=float, default=1.0, help="of the Kreise of every Land")
    parser.add_argument("--first", type=date.fromisoformat, help="first day (default: the size's)")
    parser.add_argument("--seed", type=int, default=SIZES["M"].seed)
    parser.add_argument("--directory", type=Path, help="a GV100AD file (default: the shared one, else the sample's)")
    parser.add_argument("--next-day", action="store_true", help="add the next day to a world that is there")
    arguments = parser.parse_args()
    if (arguments.usage == "clean") != (arguments.home is not None):
        parser.error("--usage clean and --home go together.")
    changes: dict[str, Any] = {"share": arguments.share, "seed": arguments.seed}
    changes |= {"first": arguments.first} if arguments.first else {}
    changes |= {"directory": arguments.directory} if arguments.directory else {}
    world = workload(arguments.size, **changes)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if arguments.next_day:
        record = write_next_day(world, arguments.out)
    else:
        record = write(world, arguments.out, usage="csv" if arguments.usage == "csv" else "none", tell=tell)
        if arguments.usage == "clean":
            record = write_clean_usage(world, arguments.out, arguments.home, tell)
    print(
        f"{record['usage_rows']:,} rows of usage, directory: {record['workload']['directory']};"
        f" ROLLIN_SERVICES={arguments.out / 'services.csv'} ROLLIN_NOW={record['night']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
