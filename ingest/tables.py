"""The canonical tables: names, types, domains and keys of everything that leaves cleaning.

Belongs here: what a clean row looks like, declared once. Does not: how a delivery becomes one (``ingest.clean``), nor what is
computed from it (``dbt_project``). Parquet, quarantine rules, the dbt sources and the Land file's ``columns`` all follow these
declarations.

Conventions: keys are text with their leading zeros; dates are dates; instants are UTC with microseconds; money is DECIMAL(18,2)
in EUR; an interval is half-open, ``valid_to`` is the first day on which the row no longer holds, NULL while it does.
Missing is NULL and never zero.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import dataframely as dy
import polars as pl

from ingest import services

LAND_CODES = tuple(f"{n:02d}" for n in range(1, 17))
FEDERAL = "00"

#: The services with their names, the kind of authority that is competent, their OZG numbers (text), and whether a report draws them.
SERVICE_LIST = pl.DataFrame(services.read(), schema=dict.fromkeys(services.COLUMNS, pl.String) | {services.FOCUS: pl.Boolean})

#: Every service of the programme.
SERVICES: tuple[str, ...] = tuple(SERVICE_LIST["service_id"])

#: The kind of authority that is competent for a service: the first part of every ``authority_id``.
AUTHORITY_KIND: dict[str, str] = dict(SERVICE_LIST.select("service_id", "authority_kind").iter_rows())

#: Phases in the order of a roll-out; ``suspended`` and ``withdrawn`` may follow any of them.
PHASES = ("planned", "contracted", "integrating", "onboarding", "operational", "suspended", "withdrawn")

#: Why a row is in quarantine (DESIGN: no row disappears silently, none is invented).
QUARANTINE_RULES = (
    "malformed",
    "missing",
    "unknown_key",
    "ambiguous_key",
    "unknown_value",
    "out_of_range",
    "wrong_unit",
    "future_date",
    "duplicate",
    "conflict",
    "wrong_land",
)

REGION_KINDS = (
    "kreisfreie_stadt",  # Textkennzeichen 61
    "stadtkreis",  # 62
    "grosse_kreisstadt",  # 67
    "stadt",  # 63
    "markt",  # 60
    "gemeinde",  # 64
    "gemeindefrei_bewohnt",  # 65: not a municipality, no local self-government
    "gemeindefrei_unbewohnt",  # 66
)

_AUTHORITY_ID = r"^[a-z]+/[0-9]{2}([0-9]|[0-9]{3}|[0-9]{6}|[0-9]{7})?$"
_LEIKA = r"^99[0-9]{12}$"
_EUR: dict[str, Any] = {"precision": 18, "scale": 2}


class Delivered(dy.Schema):
    """Columns that every clean row carries: where it came from."""

    land_code = dy.String(nullable=False, regex=r"^[0-9]{2}$")
    source = dy.String(nullable=False)
    delivery_id = dy.String(nullable=False)
    delivered_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


class Regions(Delivered):
    """One row per municipality and period of validity; ``population`` is inhabitants on ``population_date``."""

    ags = dy.String(nullable=False, regex=r"^[0-9]{8}$")
    ars = dy.String(nullable=False, regex=r"^[0-9]{12}$")
    name = dy.String(nullable=False)
    kind = dy.Enum(REGION_KINDS, nullable=False)
    kreis_code = dy.String(nullable=False, regex=r"^[0-9]{5}$")
    kreis_name = dy.String(nullable=False)
    regierungsbezirk_code = dy.String(nullable=True, regex=r"^[0-9]{3}$")
    regierungsbezirk_name = dy.String(nullable=True)
    verband_code = dy.String(nullable=False, regex=r"^[0-9]{9}$")
    verband_name = dy.String(nullable=False)
    population = dy.Int64(nullable=False, min=0, max=10_000_000)
    population_date = dy.Date(nullable=False)
    census_base = dy.Enum(["zensus_2011", "zensus_2022"], nullable=False)
    area_km2 = dy.Float64(nullable=False, min=0, max=5_000)
    valid_from = dy.Date(nullable=False)
    valid_to = dy.Date(nullable=True)


class TerritoryChanges(Delivered):
    """One row per old key, new key, day and kind of change of a municipality (Destatis Namens-, Grenz- und Schlüsseländerungen)."""

    old_ags = dy.String(nullable=False, regex=r"^[0-9]{8}$")
    new_ags = dy.String(nullable=False, regex=r"^[0-9]{8}$")
    old_ars = dy.String(nullable=True, regex=r"^[0-9]{12}$")
    new_ars = dy.String(nullable=True, regex=r"^[0-9]{12}$")
    old_name = dy.String(nullable=True)
    new_name = dy.String(nullable=True)
    kind = dy.Enum(["dissolution", "part_transfer", "key_change", "name_change"], nullable=False)
    effective_on = dy.Date(nullable=False)
    population_moved = dy.Int64(nullable=True, min=0)
    area_moved_m2 = dy.Int64(nullable=True, min=0)


class Authorities(Delivered):
    """One row per authority and period; ``authority_id`` is ``<kind>/<key>``, ``seat_key`` the AGS of its seat or its own key."""

    authority_id = dy.String(nullable=False, regex=_AUTHORITY_ID)
    kind = dy.Enum(list(dict.fromkeys(AUTHORITY_KIND.values())), nullable=False)
    name = dy.String(nullable=False)
    seat_key = dy.String(nullable=False, regex=r"^[0-9]{2,12}$")
    valid_from = dy.Date(nullable=False)
    valid_to = dy.Date(nullable=True)


class Competences(Delivered):
    """One row per authority, service, municipality and period: who is legally competent where.

    ``is_partial`` marks an authority that takes a part of the cases only (an ``also`` authority).
    """

    authority_id = dy.String(nullable=False, regex=_AUTHORITY_ID)
    service_id = dy.Enum(SERVICES, nullable=False)
    ags = dy.String(nullable=False, regex=r"^[0-9]{8}$")
    is_partial = dy.Bool(nullable=False)
    valid_from = dy.Date(nullable=False)
    valid_to = dy.Date(nullable=True)


class Connections(Delivered):
    """One row per event in the life of a connection (authority × service): it reaches ``phase`` on ``effective_on``."""

    event_id = dy.String(nullable=True)
    authority_id = dy.String(nullable=False, regex=_AUTHORITY_ID)
    service_id = dy.Enum(SERVICES, nullable=False)
    phase = dy.Enum(PHASES, nullable=False)
    effective_on = dy.Date(nullable=False)
    reported_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    wave = dy.Int64(nullable=True, min=0, max=999)
    team = dy.String(nullable=True)
    contractor = dy.String(nullable=True)
    call_off = dy.String(nullable=True)
    is_pilot = dy.Bool(nullable=False)
    planned_wave = dy.Int64(nullable=True, min=0, max=999)
    planned_start_on = dy.Date(nullable=True)
    difficulty = dy.Float64(nullable=True, min=-10, max=10)
    difficulty_recorded_on = dy.Date(nullable=True)
    person_days = dy.Float64(nullable=True, min=0, max=10_000)
    person_days_municipal = dy.Float64(nullable=True, min=0, max=10_000)
    is_retracted = dy.Bool(nullable=False)


class Usage(Delivered):
    """One row per authority, service, period, grain, channel and account: counts of applications, notices or reports."""

    authority_id = dy.String(nullable=False, regex=_AUTHORITY_ID)
    service_id = dy.Enum(SERVICES, nullable=False)
    period = dy.Date(nullable=False)
    grain = dy.Enum(["day", "month"], nullable=False)
    channel = dy.Enum(["online", "assisted", "counter", "post", "other"], nullable=False)
    account = dy.Enum(["bundid", "unternehmenskonto", "other", "none"], nullable=True)
    started = dy.Int64(nullable=True, min=0, max=10_000_000)
    submitted = dy.Int64(nullable=True, min=0, max=10_000_000)
    completed = dy.Int64(nullable=True, min=0, max=10_000_000)
    is_test = dy.Bool(nullable=False)
    is_retracted = dy.Bool(nullable=False)


class CaseVolumes(Delivered):
    """One row per authority, service and year: cases in all channels, for coverage by cases."""

    authority_id = dy.String(nullable=False, regex=_AUTHORITY_ID)
    service_id = dy.Enum(SERVICES, nullable=False)
    year = dy.Int64(nullable=False, min=2000, max=2100)
    cases = dy.Int64(nullable=False, min=0, max=100_000_000)
    is_retracted = dy.Bool(nullable=False)


class Costs(Delivered):
    """One row per ledger entry; amounts are net EUR, credits negative."""

    entry_id = dy.String(nullable=False)
    booked_on = dy.Date(nullable=False)
    period_start = dy.Date(nullable=True)
    period_end = dy.Date(nullable=True)
    authority_id = dy.String(nullable=True, regex=_AUTHORITY_ID)
    service_id = dy.Enum(SERVICES, nullable=True)
    wave = dy.Int64(nullable=True, min=0, max=999)
    call_off = dy.String(nullable=True)
    contractor = dy.String(nullable=True)
    category = dy.Enum(
        [
            "general_contractor",
            "roll_in_team",
            "integration",
            "onboarding",
            "training",
            "licence",
            "hosting",
            "support",
            "programme_office",
        ],
        nullable=False,
    )
    behaviour = dy.Enum(["variable", "fixed_land", "fixed_programme"], nullable=False)
    payer = dy.Enum(["bund", "land", "kommune"], nullable=False)
    recurring = dy.Bool(nullable=False)
    entry_status = dy.Enum(["planned", "estimate", "invoiced", "reversal"], nullable=False)
    amount_eur = dy.Decimal(**_EUR, nullable=False, min=-1_000_000_000, max=1_000_000_000)
    vat_nonrecoverable_eur = dy.Decimal(**_EUR, nullable=True, min=-1_000_000_000, max=1_000_000_000)
    price_mechanism = dy.Enum(["actual", "fixed_price", "step_price"], nullable=False)
    deflator_class = dy.String(nullable=True)
    is_retracted = dy.Bool(nullable=False)


class Listings(Delivered):
    """One row per LeiKa key, region, address and kind of evidence that a public catalogue shows; ``is_retracted``: no longer.

    ``url`` of a delivery point is its id (``urn:uuid:…``). ``is_signature_verified``: whether the signature of what it says about
    itself was checked and holds; NULL where the evidence carries none.
    """

    leika_key = dy.String(nullable=False, regex=_LEIKA)
    ars = dy.String(nullable=False, regex=r"^[0-9]{12}$")
    url = dy.String(nullable=False)
    is_inherited = dy.Bool(nullable=False)
    coverage_class = dy.String(nullable=True)
    observed_on = dy.Date(nullable=False)
    evidence = dy.Enum(["listed", "reachable", "addressable"], nullable=False)
    is_signature_verified = dy.Bool(nullable=True)
    is_retracted = dy.Bool(nullable=False)


class PageVisits(Delivered):
    """One row per address, period, country and device: visits of a page, never applications."""

    source_url = dy.String(nullable=False)
    period_start = dy.Date(nullable=False)
    period_end = dy.Date(nullable=False)
    country = dy.String(nullable=False, regex=r"^([A-Z]{2}|other)$")
    device = dy.Enum(["pc", "tablet", "smartphone", "other"], nullable=False)
    visits = dy.Int64(nullable=False, min=0, max=1_000_000_000)


@dataclass(frozen=True)
class Table:
    """How one canonical table is cleaned and revised.

    ``key``: the columns whose newest revision wins, within ``land_code``.
    ``day``: the column with the day on which a ``region_key`` is resolved to an authority, None where no authority is named.
    ``past_only``: columns that must not lie after the day of delivery (``future_date``).
    ``defaults``: values of non-nullable columns that a delivery may leave out.
    """

    name: str
    schema: type[dy.Schema]
    key: tuple[str, ...]
    day: str | None = None
    past_only: tuple[str, ...] = ()
    defaults: dict[str, Any] | None = None

    def polars_schema(self) -> pl.Schema:
        """Column names and types in canonical order (delivered columns first, provenance last)."""
        return self._polars_schema.copy()

    @functools.cached_property
    def _polars_schema(self) -> pl.Schema:
        columns = {name: column.dtype for name, column in self.schema.columns().items()}
        provenance = Delivered.column_names()
        own = [name for name in columns if name not in provenance]
        return pl.Schema({name: columns[name] for name in [*own, *provenance]})


TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        Table("regions", Regions, ("ags", "valid_from")),
        Table("territory_changes", TerritoryChanges, ("old_ags", "new_ags", "kind", "effective_on")),
        Table("authorities", Authorities, ("authority_id", "valid_from")),
        Table("competences", Competences, ("authority_id", "service_id", "ags", "valid_from")),
        Table(
            "connections",
            Connections,
            # event_id where it is delivered, else the natural key: `ingest.clean.connections` and `stg_connections` say how
            ("authority_id", "service_id", "phase", "effective_on"),
            day="effective_on",
            past_only=("effective_on", "reported_at", "difficulty_recorded_on"),
            defaults={"is_pilot": False, "is_retracted": False},
        ),
        Table(
            "usage",
            Usage,
            ("authority_id", "service_id", "period", "grain", "channel", "account", "is_test"),
            day="period",
            past_only=("period",),
            defaults={"is_test": False, "is_retracted": False},
        ),
        Table(
            "case_volumes",
            CaseVolumes,
            ("authority_id", "service_id", "year"),
            day="year",
            defaults={"is_retracted": False},
        ),
        Table(
            "costs",
            Costs,
            ("source", "entry_id"),
            day="booked_on",
            past_only=("booked_on",),
            defaults={"is_retracted": False},
        ),
        Table(
            "listings",
            Listings,
            ("leika_key", "ars", "url", "evidence"),
            past_only=("observed_on",),
            defaults={"is_retracted": False},
        ),
        Table("page_visits", PageVisits, ("source_url", "period_start", "period_end", "country", "device")),
    )
}
