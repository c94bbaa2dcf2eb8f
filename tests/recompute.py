"""The published numbers, computed a second time: in plain Polars, from a sample world's truth and its Land files' programme alone.

Belongs here: the definitions as the descriptions of the models state them, written the shortest way, the comparison of tables, and
the nights that are compared. Does not: anything out of the pipeline, its intermediate tables or its SQL. Every authority and day
is a row of its own here, where the models work with periods: the two rarely share a mistake.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl
import pytest
import yaml
from filelock import FileLock

from ingest.sample import Parameters, write_sample
from tests.conftest import ROOT, run_rollin
from tests.house import take_parse

SEEDS = ROOT / "dbt_project" / "seeds"
#: Another world: no learning, more of everything that goes wrong, and an end in the middle of a month.
OTHER = Parameters(
    seed=4711,
    end=date(2026, 6, 15),
    learning_rate=0.0,
    dirty_share=0.015,
    missing_share=0.05,
    late_share=0.1,
    correction_share=0.1,
    suspended_share=0.2,
    unfinished_share=0.05,
    price_drift_per_year=0.05,
)

#: Hesse, more than a year after the programme's start and in the middle of a month, with rising prices and much that is withdrawn.
LONG = Parameters(seed=99, laender=("06",), end=date(2027, 4, 15), price_drift_per_year=0.04, suspended_share=0.1)

#: phase -> position; the first five are progress, the last two are not (seed `phase`).
PHASE_ORDER = {
    "none": 0,
    "planned": 1,
    "contracted": 2,
    "integrating": 3,
    "onboarding": 4,
    "operational": 5,
    "suspended": 6,
    "withdrawn": 7,
}
PROGRESS = ("planned", "contracted", "integrating", "onboarding", "operational")
OFFLINE = ("counter", "post", "other")

_PAIR = ["authority_id", "service_id"]


@dataclass(frozen=True)
class Truth:
    """The truth of one sample world: the folder that ``write_sample`` wrote, with ``laender/`` and ``truth/`` in it."""

    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        """One table of ``truth/``, whole."""
        return pl.read_parquet(self.folder / "truth" / f"{name}.parquet")

    @cached_property
    def as_of(self) -> date:
        """Last day of the world."""
        stated = json.loads((self.folder / "truth" / "parameters.json").read_text(encoding="utf-8"))
        return date.fromisoformat(stated["end"])

    @cached_property
    def _land_files(self) -> list[dict[str, Any]]:
        return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((self.folder / "laender").glob("*.yaml"))]

    @cached_property
    def programme(self) -> pl.DataFrame:
        """``land_code service_id programme_start``: one row per Land and service of its programme."""
        return pl.DataFrame(
            [
                {"land_code": land["land_code"], "service_id": service, "programme_start": land["programme"]["start"]}
                for land in self._land_files
                if "programme" in land
                for service in land["programme"]["services"]
            ]
        )

    def source(self, table: str) -> pl.Expr:
        """Name of the source from which a Land's rows of a table come."""
        names = {
            land["land_code"]: source["name"]
            for land in self._land_files
            for source in land["sources"]
            if source["table"] == table
        }
        return pl.col("land_code").replace_strict(names, return_dtype=pl.String)

    @property
    def catalogue(self) -> str:
        """Name of the source that shows what is listed."""
        return next(s["name"] for land in self._land_files for s in land["sources"] if s["format"] == "open_pvog")

    @cached_property
    def events(self) -> pl.DataFrame:
        """Events of connections up to ``as_of`` in the order in which they took effect."""
        return (
            self.table("connections")
            .filter(~pl.col("is_retracted") & (pl.col("effective_on") <= self.as_of))
            .with_columns(phase_order=pl.col("phase").replace_strict(PHASE_ORDER, return_dtype=pl.Int32))
            .sort(*_PAIR, "effective_on", "phase_order", "reported_at")
        )

    @cached_property
    def status(self) -> pl.DataFrame:
        """Who is competent where on ``as_of``: on this territorial status every day is told."""
        return self.table("competences").filter(_holds("valid_from", "valid_to", pl.lit(self.as_of)))

    @cached_property
    def names(self) -> pl.DataFrame:
        """``authority_id reported_authority_id first until``: every authority, in its time, and who it is on ``as_of``.

        The only territory change of a sample world is a town's new key: who has no competence left is the one that now has the same
        competence for the municipality of the same name.
        """
        towns = self.table("regions").select("ags", "name", "valid_from", "valid_to")
        today = (
            self.status.join(towns.filter(pl.col("valid_to").is_null()), on="ags")
            .select("service_id", "name", reported_authority_id="authority_id")
            .unique()
        )
        gone = (
            self.table("competences")
            .join(self.status, on="authority_id", how="anti")
            .join(towns.select("ags", "name"), on="ags")
            .join(today, on=["service_id", "name"])
            .select("authority_id", "reported_authority_id")
            .unique()
        )
        return (
            self.table("competences")
            .group_by("authority_id")
            .agg(first=pl.col("valid_from").min(), until=pl.col("valid_to").fill_null(date.max).max())
            .join(gone, on="authority_id", how="left")
            .with_columns(reported_authority_id=pl.coalesce("reported_authority_id", "authority_id"))
        )

    def told(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A table with the authorities of ``as_of`` instead of those of the day."""
        names = self.names.select("authority_id", "reported_authority_id")
        return (
            frame.drop("reported_authority_id", strict=False)
            .join(names, on="authority_id", how="left")
            .with_columns(authority_id="reported_authority_id")
            .drop("reported_authority_id")
        )

    def with_reported(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A table with the authorities of ``as_of`` beside those of the day."""
        return frame.join(self.names.select("authority_id", "reported_authority_id"), on="authority_id", how="left")

    @cached_property
    def days(self) -> pl.DataFrame:
        """``land_code as_of``: every day from the programme's start, or the first operational one if earlier, to ``as_of``."""
        in_programme = self.events.join(self.programme, on=["land_code", "service_id"], how="semi")
        first = in_programme.filter(phase="operational").group_by("land_code").agg(first=pl.col("effective_on").min())
        return (
            self.programme.group_by("land_code")
            .agg(pl.col("programme_start").min())
            .join(first, on="land_code", how="left")
            .select("land_code", as_of=pl.date_ranges(pl.min_horizontal("programme_start", "first"), self.as_of))
            .explode("as_of")
        )

    @cached_property
    def authority_days(self) -> pl.DataFrame:
        """One row per day, service and authority that is competent on ``as_of``, with its phase, inhabitants and ``is_operational``.

        Inhabitants are those of the municipalities in which it takes all cases.
        """
        return pl.concat([authorities for authorities, _ in self._spread])

    @cached_property
    def municipality_totals(self) -> pl.DataFrame:
        """Per Land, service and day: municipalities and inhabitants, all and those where every competent authority is operational."""
        return pl.concat([totals for _, totals in self._spread])

    @cached_property
    def _spread(self) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
        return [self._every_day(land, service) for land, service, _ in self.programme.iter_rows()]

    def _every_day(self, land: str, service: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Every competent authority × area × day of one Land and service, added up by authority and by day.

        An area is the municipalities for which the same authorities are competent: they share their fate.
        """
        days = self.days.filter(land_code=land).select("as_of").sort("as_of")
        competent = self.status.filter(land_code=land, service_id=service)
        regions = (
            self.table("regions")
            .filter(_holds("valid_from", "valid_to", pl.lit(self.as_of)))
            .select("ags", "population", municipalities=(~pl.col("kind").str.starts_with("gemeindefrei")).cast(pl.Int64))
        )
        pairs = competent.join(regions, on="ags").sort("ags", "authority_id")
        alike = ["authority_id", "is_partial"]
        as_text = pl.concat_str([pl.col(name).cast(pl.String) for name in alike], separator=" ")
        pairs = pairs.with_columns(area=as_text.str.join(", ").over("ags"))
        areas = (
            pairs.group_by("area", *alike)
            .agg(pl.col("population", "municipalities").sum())
            .with_columns(pl.col("area").rank("dense"))
            .join(days, how="cross")
        )
        authorities = (
            areas.group_by("authority_id", "as_of")
            .agg(population=pl.col("population").filter(~pl.col("is_partial")).sum())
            .sort("as_of")
            .join_asof(
                self._last_of_each_day(service),
                left_on="as_of",
                right_on="effective_on",
                by="authority_id",
                check_sortedness=False,
            )
            .select(
                pl.lit(land).alias("land_code"),
                pl.lit(service).alias("service_id"),
                "authority_id",
                "as_of",
                "population",
                phase=pl.col("phase").fill_null("none"),
            )
            .with_columns(is_operational=pl.col("phase") == "operational")
        )
        totals = (
            areas.join(authorities.select("authority_id", "as_of", "is_operational"), on=["authority_id", "as_of"], how="left")
            .group_by("area", "as_of")
            .agg(pl.col("population", "municipalities").first(), is_operational=pl.col("is_operational").all())
            .group_by("as_of")
            .agg(
                population_competent=pl.col("population").sum(),
                population_operational=pl.col("population").filter("is_operational").sum(),
                municipalities_competent=pl.col("municipalities").sum(),
                municipalities_operational=pl.col("municipalities").filter("is_operational").sum(),
            )
            .select(pl.lit(land).alias("land_code"), pl.lit(service).alias("service_id"), pl.all())
        )
        return authorities, totals

    def _last_of_each_day(self, service: str) -> pl.DataFrame:
        return (
            self.told(self.events)
            .filter(service_id=service)
            .group_by("authority_id", "effective_on", maintain_order=True)
            .agg(pl.col("phase").last())
            .sort("effective_on")
        )


def _holds(first: str, until: str, day: pl.Expr) -> pl.Expr:
    return (pl.col(first) <= day) & (pl.col(until).is_null() | (day < pl.col(until)))


def _added(values: pl.Expr) -> pl.Expr:
    """A sum; NULL where there is nothing to add."""
    return pl.when(values.is_not_null().any()).then(values.sum())


@dataclass(frozen=True)
class Night:
    """A published night and the truth of its world."""

    home: Path
    truth: Truth

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of the current release."""
        return self.home / "published" / "current" / "warehouse.duckdb"

    def published(self, table: str) -> pl.DataFrame:
        """A table of the current release, by its name with its schema."""
        with duckdb.connect(str(self.warehouse), read_only=True) as con, TemporaryDirectory() as folder:
            con.sql(f"from {table}").write_parquet(f"{folder}/table.parquet")
            return pl.read_parquet(f"{folder}/table.parquet")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the current release."""
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            return con.sql(query).fetchall()


@pytest.fixture(scope="session", params=["the sample", "another world"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The shared night of the sample, on its server; then ``OTHER``, from files; each run once for all workers of a session."""
    if request.param == "the sample":
        sample = request.getfixturevalue("sample_night")
        return Night(sample.home, Truth(sample.truth.parent))
    return _night_of(OTHER, "other", tmp_path_factory)


@pytest.fixture(scope="session")
def long_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night at the end of ``LONG``, run once for all workers of a session."""
    return _night_of(LONG, "long", tmp_path_factory)


def _night_of(parameters: Parameters, name: str, tmp_path_factory: pytest.TempPathFactory) -> Night:
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home, world, done = folder / f"{name}-night", folder / f"{name}-world", folder / f"{name}-night.done"
    with FileLock(folder / f"{name}-night.lock"):
        if not done.is_file():
            write_sample(world, parameters)
            take_parse(home, tmp_path_factory)
            ran = run_rollin(
                "refresh",
                "--laender",
                str(world / "laender"),
                home=home,
                ROLLIN_NOW=parameters.night.isoformat(),
                ROLLIN_REPORT="no",
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            done.touch()
    return Night(home, Truth(world))


# -- core -------------------------------------------------------------------------------------------------------------------


def fct_connection_phase(truth: Truth) -> pl.DataFrame:
    """Each event opens a period which the next one ends; periods without a day are left out."""
    until = pl.col("effective_on").shift(-1).over(_PAIR)
    return (
        truth.events.with_columns(valid_to=until)
        .filter(pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("effective_on")))
        .select(
            "land_code",
            *_PAIR,
            "phase",
            "valid_to",
            "wave",
            "team",
            "contractor",
            "call_off",
            "is_pilot",
            "planned_wave",
            "planned_start_on",
            "difficulty",
            "difficulty_recorded_on",
            "person_days",
            "person_days_municipal",
            "reported_at",
            "event_id",
            valid_from="effective_on",
            is_current=pl.col("valid_to").is_null(),
            source=truth.source("connections"),
        )
        .pipe(truth.with_reported)
    )


def bridge_competence(truth: Truth) -> pl.DataFrame:
    """Who is competent where, and whether still on ``as_of``."""
    until = pl.col("valid_to").fill_null(date.max)
    is_current = (pl.col("valid_from") <= truth.as_of) & (until > truth.as_of)
    return truth.table("competences").with_columns(is_current=is_current, is_reported=is_current)


def fct_cost(truth: Truth) -> pl.DataFrame:
    """The ledger; gross is net and the VAT that cannot be reclaimed, none where none is stated."""
    return (
        truth.table("costs")
        .filter(~pl.col("is_retracted"))
        .drop("is_retracted")
        .with_columns(
            source=truth.source("costs"),
            gross_eur=(pl.col("amount_eur") + pl.col("vat_nonrecoverable_eur").fill_null(0)).cast(pl.Decimal(18, 2)),
        )
        .pipe(truth.with_reported)
    )


@cache
def live_months(truth: Truth) -> pl.DataFrame:
    """Per authority, service and month: days on which it was competent and operational, and inhabitants × those days."""
    return (
        truth.authority_days.filter("is_operational")
        .group_by("land_code", *_PAIR, month=pl.col("as_of").dt.truncate("1mo"))
        .agg(live_days=pl.len().cast(pl.Int64), inhabitant_days=pl.col("population").sum())
    )


@cache
def fct_usage_monthly(truth: Truth) -> pl.DataFrame:
    """Delivered counts by month, and a row of NULLs for every live authority of which no online count came."""
    counts = ["started", "submitted", "completed"]
    key = [*_PAIR, "month", "channel", "account"]
    real = (
        truth.table("usage")
        .filter(~pl.col("is_test") & ~pl.col("is_retracted"))
        .with_columns(month=pl.col("period").dt.truncate("1mo"), is_count=pl.any_horizontal(pl.col(counts).is_not_null()))
    )

    by_grain = real.group_by("land_code", *key, "grain").agg(
        *(_added(pl.col(name)).alias(name) for name in counts),
        days=pl.col("period").filter("is_count").n_unique().cast(pl.Int64),
    )
    monthly = by_grain.filter(grain="month")
    daily = by_grain.filter(grain="day").join(monthly, on=key, how="anti", nulls_equal=True)
    until = pl.min_horizontal(pl.col("month").dt.month_end(), pl.lit(truth.as_of))
    shown = (until - pl.col("month")).dt.total_days() + 1
    reported = pl.concat([monthly.with_columns(days=pl.when(pl.col("days") > 0).then(shown).otherwise(0)), daily])
    # the days on which an authority existed and what it is today was live
    live = (
        truth.authority_days.filter("is_operational")
        .select("land_code", "service_id", "as_of", reported_authority_id="authority_id")
        .join(truth.names, on="reported_authority_id")
        .filter(pl.col("as_of").is_between("first", "until", closed="left"))
        .group_by("land_code", *_PAIR, month=pl.col("as_of").dt.truncate("1mo"))
        .agg(live_days=pl.len().cast(pl.Int64))
    )
    online = reported.filter((pl.col("channel") == "online") & (pl.col("days") > 0))
    missing = live.join(online, on=[*_PAIR, "month"], how="anti").select(
        "land_code", *_PAIR, "month", channel=pl.lit("online"), days=pl.lit(0, dtype=pl.Int64)
    )
    status = (
        pl.when(pl.col("days") == 0)
        .then(pl.lit("missing"))
        .when(pl.col("days") < pl.col("live_days"))
        .then(pl.lit("partial"))
        .otherwise(pl.lit("reported"))
    )
    return (
        pl.concat([reported, missing], how="diagonal")
        .join(live.drop("land_code"), on=[*_PAIR, "month"], how="left")
        .with_columns(pl.col("live_days").fill_null(0))
        .with_columns(reporting_status=status)
        .rename({"days": "days_reported"})
        .pipe(truth.with_reported)
    )


# -- metrics ----------------------------------------------------------------------------------------------------------------


def _share(numerator: str, denominator: str) -> pl.Expr:
    return pl.when(pl.col(denominator) != 0).then(pl.col(numerator) / pl.col(denominator))


def _leika_keys() -> pl.DataFrame:
    keys = pl.read_csv(SEEDS / "service_leika_key.csv", schema_overrides={"leika_key": pl.String}, try_parse_dates=True)
    return keys.select(
        "service_id",
        "leika_key",
        "is_verified",
        pl.col("valid_from").cast(pl.Date),
        pl.col("valid_to").cast(pl.Date, strict=False),
    )


@cache
def own_entries(truth: Truth) -> pl.DataFrame:
    """Entries that are an authority's own: ``service_id authority_id is_verified evidence url observed_on``.

    An ARS is an authority's own where it is its key padded with zeros, that of the town whose AGS it is known by, or that of the one
    municipality in which it takes all or a part of the cases. The catalogue of a sample world is one snapshot: what it shows, it
    shows from its day on.
    """
    competent = (
        truth.table("competences")
        .join(truth.table("regions").select("ags", "ars"), on="ags")
        .filter(pl.col("valid_to").is_null() | (pl.col("valid_to") > truth.as_of))
        .group_by(_PAIR)
        .agg(pl.col("ars").unique())
        .with_columns(padded=pl.col("authority_id").str.split("/").list.last().str.pad_end(12, "0"))
        .with_columns(own=pl.when(pl.col("ars").list.len() == 1).then(pl.col("ars").list.first()))
    )
    towns = truth.table("regions").select(pl.col("ags").alias("key"), town="ars")
    competent = competent.with_columns(key=pl.col("authority_id").str.split("/").list.last()).join(towns, on="key", how="left")
    own = pl.concat([competent.select(*_PAIR, ars=form) for form in ("padded", "own", "town")]).drop_nulls().unique()
    return (
        truth.table("listings")
        .filter(~pl.col("is_inherited"))
        .join(_leika_keys(), on="leika_key")
        .filter(pl.col("observed_on").is_between("valid_from", pl.col("valid_to").fill_null(date.max), closed="left"))
        .join(own, on=["service_id", "ars"])
        .select("land_code", *_PAIR, "is_verified", "evidence", "url", "observed_on")
    )


def verified_days(truth: Truth) -> pl.DataFrame:
    """``service_id authority_id as_of``: an entry of its own in the catalogue, under a verified key of the service, on that day."""
    return (
        truth.told(own_entries(truth))
        .filter("is_verified", pl.col("evidence") != "addressable")
        .select(*_PAIR, as_of=pl.date_ranges("observed_on", truth.as_of))
        .explode("as_of")
        .unique()
    )


def fct_connection_evidence(truth: Truth) -> pl.DataFrame:
    """Runs of days on which the Land reports an authority operational, and its own entries in the catalogue."""
    day = pl.col("as_of")
    reported = (
        fct_connection_phase(truth)
        .filter(phase="operational")
        .select(
            "land_code",
            *_PAIR,
            "source",
            as_of=pl.date_ranges("valid_from", pl.col("valid_to").fill_null(truth.as_of + timedelta(days=1)), closed="left"),
        )
        .explode("as_of")
        .with_columns(run=day - pl.duration(days=day.rank("dense").over(*_PAIR)))
        .group_by("land_code", *_PAIR, "source", "run")
        .agg(first_observed_on=day.min(), last_observed_on=day.max())
        .with_columns(
            evidence=pl.lit("reported"),
            retired_on=pl.when(pl.col("last_observed_on") < truth.as_of).then(pl.col("last_observed_on") + pl.duration(days=1)),
        )
        .drop("run")
    )
    entries = own_entries(truth)
    levels = pl.concat([entries, entries.filter(evidence="reachable").with_columns(evidence=pl.lit("listed"))])
    shown = levels.group_by("land_code", *_PAIR, "evidence", "is_verified").agg(
        first_observed_on=pl.col("observed_on").min(), last_observed_on=pl.col("observed_on").max(), url=pl.col("url").min()
    )
    both = pl.concat([reported, shown.with_columns(source=pl.lit(truth.catalogue))], how="diagonal")
    return both.with_columns(is_current=pl.col("retired_on").is_null())


def evidence_conflict(truth: Truth) -> pl.DataFrame:
    """Competent authorities on the last day whose report and own entries under verified keys do not fit together."""
    day, operational = pl.col("as_of"), pl.col("is_operational")
    states = (
        truth.authority_days.sort("as_of")
        .group_by("land_code", *_PAIR)
        .agg(
            as_of=day.max(),
            first=day.min(),
            reported_phase=pl.col("phase").last(),
            is_operational=operational.last(),
            otherwise=day.filter(operational != operational.last()).max(),
        )
        .filter(day == truth.as_of)
    )
    since = (
        pl.when(pl.col("otherwise").is_not_null()).then(pl.col("otherwise") + pl.duration(days=1)).when(operational).then("first")
    )
    entries = own_entries(truth).filter("is_verified", pl.col("evidence") != "addressable")
    listed = entries.group_by(_PAIR).agg(
        listed_on=pl.col("observed_on").max(), url=pl.col("url").min(), is_reachable=(pl.col("evidence") == "reachable").any()
    )
    looks = truth.table("listings").group_by("land_code").agg(catalogue_observed_on=pl.col("observed_on").max())
    is_listed = pl.col("listed_on").is_not_null()
    too_early = (pl.col("catalogue_observed_on") - since).dt.total_days() <= 3
    reports = truth.events.select(_PAIR).unique().with_columns(has_report=True)
    return (
        states.join(_leika_keys().filter("is_verified").select("service_id").unique(), on="service_id")
        .join(looks, on="land_code")
        .join(listed, on=_PAIR, how="left")
        .join(reports, on=_PAIR, how="left")
        .with_columns(
            reported_since_on=since,
            kind=pl.when(operational & ~is_listed & ~too_early)
            .then(pl.lit("reported_not_listed"))
            .when(~operational & is_listed & ~too_early.fill_null(False))
            .then(pl.lit("listed_not_reported"))
            .when(operational & is_listed & ~pl.col("is_reachable"))
            .then(pl.lit("listed_not_reachable")),
        )
        .drop_nulls("kind")
        .with_columns(conflict_since_on=pl.max_horizontal("reported_since_on", "listed_on"))
        .select(
            "land_code",
            *_PAIR,
            "kind",
            "as_of",
            "reported_phase",
            "reported_since_on",
            "url",
            "catalogue_observed_on",
            "conflict_since_on",
            reported_source=pl.when("has_report").then(truth.source("connections")),
            listed_since_on="listed_on",
            last_listed_on="listed_on",
            listing_sources=pl.when(is_listed).then(pl.lit(truth.catalogue)),
            is_addressable=pl.lit(False),
            conflict_days=(pl.col("as_of") - pl.col("conflict_since_on")).dt.total_days(),
        )
    )


@cache
def coverage_daily(truth: Truth) -> pl.DataFrame:
    """Coverage by authorities, inhabitants, cases and municipalities for every day, Land and service."""
    grain = ["land_code", "service_id", "as_of"]
    volumes = truth.told(truth.table("case_volumes").filter(~pl.col("is_retracted")))
    cases = volumes.group_by(*_PAIR, "year").agg(pl.col("cases").sum()).sort("year").group_by(_PAIR).agg(pl.col("cases").last())
    keys = pl.read_csv(SEEDS / "service_leika_key.csv").filter("is_verified")["service_id"].unique().implode()
    first_listing = truth.table("listings").group_by("land_code").agg(first_listing=pl.col("observed_on").min())
    operational = pl.col("is_operational")
    return (
        truth.authority_days.join(cases, on=_PAIR, how="left")
        .join(verified_days(truth).with_columns(is_listed=True), on=[*_PAIR, "as_of"], how="left")
        .group_by(grain)
        .agg(
            authorities_competent=pl.len().cast(pl.Int64),
            authorities_operational=operational.sum().cast(pl.Int64),
            cases_competent=_added(pl.col("cases")),
            cases_operational=pl.when(pl.col("cases").is_not_null().any()).then(pl.col("cases").filter("is_operational").sum()),
            _verified=(operational & pl.col("is_listed").fill_null(False)).sum().cast(pl.Int64),
        )
        .join(truth.municipality_totals, on=grain, how="left")
        .join(first_listing, on="land_code", how="left")
        .with_columns(
            authorities_verified=pl.when(pl.col("service_id").is_in(keys) & (pl.col("as_of") >= pl.col("first_listing"))).then(
                "_verified"
            ),
            coverage_authority_share=_share("authorities_operational", "authorities_competent"),
            coverage_population_share=_share("population_operational", "population_competent"),
            coverage_case_share=_share("cases_operational", "cases_competent"),
            is_area_wide=pl.col("authorities_operational") == pl.col("authorities_competent"),
        )
        .with_columns(verified_share=_share("authorities_verified", "authorities_operational"))
        .drop("_verified", "first_listing")
    )


def programme_coverage_daily(truth: Truth) -> pl.DataFrame:
    """All services of a programme together: sum over sum, plain mean, and the slowest."""
    return (
        coverage_daily(truth)
        .sort("coverage_authority_share", "service_id")
        .group_by("land_code", "as_of", maintain_order=True)
        .agg(
            services=pl.len().cast(pl.Int64),
            authority_service_pairs_competent=pl.col("authorities_competent").sum(),
            authority_service_pairs_operational=pl.col("authorities_operational").sum(),
            coverage_mean_share=pl.col("coverage_authority_share").mean(),
            coverage_min_share=pl.col("coverage_authority_share").first(),
            coverage_min_service_id=pl.col("service_id").first(),
        )
        .with_columns(
            coverage_micro_share=_share("authority_service_pairs_operational", "authority_service_pairs_competent"),
        )
    )


def phase_funnel_daily(truth: Truth) -> pl.DataFrame:
    """Competent authorities by phase, and those that had come at least as far by that day."""
    ever = (
        truth.told(truth.events)
        .group_by(_PAIR)
        .agg(
            *(
                pl.col("effective_on")
                .filter(pl.col("phase").is_in(PROGRESS) & (pl.col("phase_order") >= PHASE_ORDER[phase]))
                .min()
                .alias(phase)
                for phase in PROGRESS
            ),
            *(pl.col("effective_on").filter(pl.col("phase") == phase).min().alias(phase) for phase in ("suspended", "withdrawn")),
            none=pl.lit(date.min),
        )
    )
    dated = truth.authority_days.rename({"phase": "now"}).join(ever, on=_PAIR, how="left").with_columns(none=pl.lit(date.min))
    counted = dated.group_by("land_code", "service_id", "as_of").agg(
        *((pl.col("now") == phase).sum().cast(pl.Int64).alias(f"current {phase}") for phase in PHASE_ORDER),
        *((pl.col(phase) <= pl.col("as_of")).sum().cast(pl.Int64).alias(f"reached {phase}") for phase in PHASE_ORDER),
    )
    return pl.concat(
        [
            counted.select(
                "land_code",
                "service_id",
                "as_of",
                phase=pl.lit(phase),
                phase_order=pl.lit(order, dtype=pl.Int32),
                authorities_current_count=f"current {phase}",
                authorities_reached_count=f"reached {phase}",
            )
            for phase, order in PHASE_ORDER.items()
        ]
    )


def adoption_monthly(truth: Truth) -> pl.DataFrame:
    """Counts of the authorities that were live in a month; take-up over those that report online and an offline channel."""
    live = live_months(truth)
    usage = truth.told(fct_usage_monthly(truth)).join(live, on=[*_PAIR, "month"], how="semi")

    def of(*channels: str) -> pl.Expr:
        return _added(pl.col("submitted").filter(pl.col("channel").is_in(channels)))

    def of_all(name: str) -> pl.Expr:
        values = pl.col(name).filter(pl.col("channel") == "online")
        return pl.when(values.is_not_null().all() & values.is_not_null().any()).then(values.sum())

    authorities = usage.group_by("land_code", *_PAIR, "month").agg(
        online=of("online"),
        assisted=of("assisted"),
        offline=of(*OFFLINE),
        total=of("online", "assisted", *OFFLINE),
        started=of_all("started"),
        completed=of_all("completed"),
    )
    authorities = authorities.join(live.drop("land_code"), on=[*_PAIR, "month"], how="left")
    is_pair = pl.col("online").is_not_null() & pl.col("offline").is_not_null()
    is_reporting = pl.col("online").is_not_null()
    has_both = pl.col("started").is_not_null() & pl.col("completed").is_not_null()

    numbers = authorities.group_by("land_code", "service_id", "month").agg(
        submitted_online_count=_added(pl.col("online")),
        submitted_assisted_count=_added(pl.col("assisted")),
        submitted_offline_count=_added(pl.col("offline")),
        submitted_total_count=_added(pl.col("total")),
        paired_online_count=_added(pl.col("online").filter(is_pair)),
        paired_total_count=_added(pl.col("total").filter(is_pair)),
        completion_started_count=_added(pl.col("started").filter(has_both)),
        completion_completed_count=_added(pl.col("completed").filter(has_both)),
        inhabitant_years=_added(pl.col("inhabitant_days").filter(is_reporting)) / 365.25,
        reporting_authorities=is_reporting.sum().cast(pl.Int64),
        live_authorities=pl.len().cast(pl.Int64),
    )
    bases = truth.table("regions").group_by("land_code").agg(pl.col("population_date").max(), pl.col("census_base").first())
    months = (
        live.group_by("land_code", "service_id")
        .agg(pl.col("month").min())
        .select("land_code", "service_id", month=pl.date_ranges("month", truth.as_of, interval="1mo"))
        .explode("month")
    )
    return (
        months.join(numbers, on=["land_code", "service_id", "month"], how="left")
        .join(bases.with_columns(pl.col("census_base").cast(pl.String)), on="land_code", how="left")
        .with_columns(pl.col("reporting_authorities", "live_authorities").fill_null(0))
        .with_columns(
            take_up_share=_share("paired_online_count", "paired_total_count"),
            completion_share=pl.when(pl.col("completion_completed_count") <= pl.col("completion_started_count")).then(
                _share("completion_completed_count", "completion_started_count")
            ),
            completion_null_reason=pl.when(pl.col("completion_started_count").is_null())
            .then(pl.lit("not_delivered"))
            .when(pl.col("completion_completed_count") > pl.col("completion_started_count"))
            .then(pl.lit("more_completed_than_started"))
            .when(pl.col("completion_started_count") == 0)
            .then(pl.lit("nothing_started")),
            submissions_per_1000_inhabitants=pl.when(pl.col("inhabitant_years") != 0).then(
                1000 * pl.col("submitted_online_count") / pl.col("inhabitant_years")
            ),
        )
    )


def connections(truth: Truth) -> pl.DataFrame:
    """Per authority and programme service: its wave, whether the programme began it, whether it was ever operational."""
    first = pl.col("effective_on")
    at_start = pl.col("phase") == "integrating"
    return (
        truth.told(truth.events)
        .join(truth.programme, on=["land_code", "service_id"])
        .group_by("land_code", *_PAIR, "programme_start")
        .agg(
            started_on=first.filter(at_start).min(),
            accepted_on=first.filter(pl.col("phase") == "operational").min(),
            wave=pl.col("wave").filter(at_start).first(),
            call_off=pl.col("call_off").filter(at_start).first(),
        )
        .with_columns(is_completed=pl.col("accepted_on").is_not_null())
        .with_columns(
            is_begun=pl.col("started_on").is_not_null()
            & (~pl.col("is_completed") | (pl.col("accepted_on") >= pl.col("programme_start")))
        )
    )


# -- comparison -------------------------------------------------------------------------------------------------------------


def differences(expected: pl.DataFrame, actual: pl.DataFrame, key: Sequence[str], but: Sequence[str] = ()) -> list[str]:
    """What differs between two tables with the same key, each in one line; DOUBLE to 1e-12 relative, all else exactly.

    Columns of either side that the other lacks differ, unless named in ``but``.
    """
    key = list(key)
    found = []
    mine, theirs = set(expected.columns) - set(but), set(actual.columns) - set(but)
    if mine != theirs:
        found.append(f"columns: {sorted(mine - theirs)} not published, {sorted(theirs - mine)} not recomputed")
    for side, frame in (("recomputed", expected), ("published", actual)):
        if frame.select(key).is_duplicated().any():
            found.append(f"{side}: {frame.select(key).is_duplicated().sum()} rows share their key")
    expected, actual = expected.select(sorted(mine & theirs)), actual.select(sorted(mine & theirs))
    for one, other, word in ((expected, actual, "missing"), (actual, expected, "extra")):
        alone = one.join(other, on=key, how="anti", nulls_equal=True)
        if alone.height:
            found.append(f"{alone.height} rows {word}, such as {alone.sort(key).row(0, named=True)}")
    both = expected.join(actual, on=key, how="inner", suffix=" published", nulls_equal=True)
    for name in sorted(mine & theirs - set(key)):
        ours, published = pl.col(name), pl.col(f"{name} published")
        if expected.schema[name].is_float():
            scale = pl.max_horizontal(ours.abs(), published.abs())
            same = ((ours - published).abs() <= 1e-12 * scale) | (ours.is_null() & published.is_null())
        else:
            same = ours.eq_missing(published)
        unlike = both.filter(~same.fill_null(False))
        if unlike.height:
            first = unlike.sort(key).select(*key, ours.alias("recomputed"), published.alias("published")).row(0, named=True)
            found.append(f"{name}: {unlike.height} of {both.height} rows differ, such as {first}")
    return found
