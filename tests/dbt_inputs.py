"""A tiny world of two Länder as inputs of a dbt build, small enough that every expectation is computed by hand.

As of 10 March 2026. Bavaria (09) offers Ummeldung and Bauantrag, Hesse (06) the Führerschein; the programme starts on
21 January 2026. Inhabitants: München 1000, Bad Reichenhall 200, Neustadt 100, two members of a Verwaltungsgemeinschaft 30 and 20,
an uninhabited area; Hanau 90 (a new key from 2026 on) and Bad Orb 10.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dbt_project import PROJECT_DIR
from ingest.directory import authority_successors, region_successors
from ingest.tables import AUTHORITY_KIND, SERVICE_LIST, TABLES
from orchestration import parts, warehouse

AS_OF = date(2026, 3, 10)
START = date(2026, 1, 21)
OPEN = date(1900, 1, 1)
LEIKA = "99115005104000"  # a verified key of ummeldung

Rows = list[dict[str, Any]]


def d(month: int, day: int) -> date:
    return date(2026, month, day)


def delivery_id(day: date) -> str:
    return f"{day:%Y%m%d}T010000Z-001-{day:%Y%m%d}"


def delivered(rows: Rows, source: str, day: date, **common: Any) -> Rows:
    """The rows as one delivery of a source; a row may overrule what is common to all."""
    at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
    return [
        {"source": source, "delivery_id": delivery_id(day), "delivered_at": at, "is_retracted": False, **common, **row}
        for row in rows
    ]


def region(
    ags: str, ars: str, name: str, kind: str, population: int, since: date = OPEN, until: date | None = None
) -> dict[str, Any]:
    return {
        "ags": ags,
        "ars": ars,
        "name": name,
        "kind": kind,
        "kreis_code": ags[:5],
        "kreis_name": f"Kreis {ags[:5]}",
        "verband_code": ars[:9],
        "verband_name": name,
        "population": population,
        "population_date": date(2024, 12, 31),
        "census_base": "zensus_2022",
        "area_km2": 1.0,
        "valid_from": since,
        "valid_to": until,
        "land_code": ags[:2],
    }


def competence(
    service: str, key: str, ags: str, *, partial: bool = False, since: date = OPEN, until: date | None = None
) -> dict[str, Any]:
    return {
        "authority_id": f"{AUTHORITY_KIND[service]}/{key}",
        "service_id": service,
        "ags": ags,
        "is_partial": partial,
        "valid_from": since,
        "valid_to": until,
        "land_code": ags[:2],
    }


def event(service: str, key: str, phase: str, on: date, wave: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "authority_id": f"{AUTHORITY_KIND[service]}/{key}",
        "service_id": service,
        "phase": phase,
        "effective_on": on,
        "reported_at": datetime(on.year, on.month, on.day, 12, tzinfo=UTC),
        "wave": wave,
        "is_pilot": False,
        "land_code": key[:2],
        **more,
    }


def usage(
    key: str, period: date, grain: str, channel: str, submitted: int | None, account: str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "authority_id": f"meldebehoerde/{key}",
        "service_id": "ummeldung",
        "period": period,
        "grain": grain,
        "channel": channel,
        "account": account,
        "submitted": submitted,
        "is_test": False,
        "land_code": key[:2],
        **more,
    }


def cost(entry_id: str, amount: str, payer: str, behaviour: str, **more: Any) -> dict[str, Any]:
    return {
        "entry_id": entry_id,
        "booked_on": d(3, 1),
        "category": "integration",
        "behaviour": behaviour,
        "payer": payer,
        "recurring": False,
        "entry_status": "invoiced",
        "amount_eur": Decimal(amount),
        "price_mechanism": "actual",
        "land_code": "09",
        **more,
    }


def listing(ars: str, url: str, on: date, *, inherited: bool = False, leika_key: str = LEIKA, **more: Any) -> dict[str, Any]:
    return {
        "leika_key": leika_key,
        "ars": ars,
        "url": url,
        "is_inherited": inherited,
        "observed_on": on,
        "evidence": "listed",
        "land_code": ars[:2],
        **more,
    }


MUENCHEN, REICHENHALL, NEUSTADT, VGEM = "091620000", "091720114", "095750153", "095755501"


def world() -> dict[str, Rows]:
    """The canonical tables of the tiny world, every row with its delivery."""
    regions = [
        region("09162000", "091620000000", "München", "kreisfreie_stadt", 1000),
        region("09172114", "091720114114", "Bad Reichenhall", "grosse_kreisstadt", 200),
        region("09575153", "095750153153", "Neustadt", "stadt", 100),
        region("09575112", "095755501112", "Mitgliedsdorf", "gemeinde", 30),
        region("09575113", "095755501113", "Mitgliedsweiler", "gemeinde", 20),
        region("09575999", "095759999999", "Forst", "gemeindefrei_unbewohnt", 0),
        region("06435014", "064350014014", "Hanau", "stadt", 90, until=d(1, 1)),
        region("06415000", "064150000000", "Hanau", "kreisfreie_stadt", 90, since=d(1, 1)),
        region("06435001", "064350001001", "Bad Orb", "stadt", 10),
    ]
    competences = [
        # Ummeldung by Verband: 4 authorities, 5 municipalities, 1350 inhabitants
        competence("ummeldung", MUENCHEN, "09162000"),
        competence("ummeldung", REICHENHALL, "09172114"),
        competence("ummeldung", NEUSTADT, "09575153"),
        competence("ummeldung", VGEM, "09575112"),
        competence("ummeldung", VGEM, "09575113"),
        # Bauantrag by Kreis: Bad Reichenhall decides alone, Neustadt a part beside its Kreis
        competence("bauantrag", "09162", "09162000"),
        competence("bauantrag", "09172114", "09172114"),
        competence("bauantrag", "09575", "09575153"),
        competence("bauantrag", "09575", "09575112"),
        competence("bauantrag", "09575", "09575113"),
        competence("bauantrag", "09575", "09575999"),
        competence("bauantrag", "09575153", "09575153", partial=True),
        # Führerschein by Kreis: Hanau leaves it in 2026
        competence("fuehrerschein", "06435", "06435014", until=d(1, 1)),
        competence("fuehrerschein", "06435", "06435001"),
        competence("fuehrerschein", "06415", "06415000", since=d(1, 1)),
    ]
    authorities = [
        {
            "authority_id": authority_id,
            "kind": authority_id.split("/")[0],
            "name": authority_id,
            "seat_key": authority_id.split("/")[1],
            "valid_from": d(1, 1) if authority_id.endswith("/06415") else OPEN,
            "valid_to": None,
            "land_code": authority_id.split("/")[1][:2],
        }
        for authority_id in sorted({row["authority_id"] for row in competences})
    ]
    first_events = [
        event("ummeldung", MUENCHEN, "operational", d(1, 1)),  # before the programme
        event("ummeldung", REICHENHALL, "planned", d(1, 10), 1, is_pilot=True),
        event("ummeldung", REICHENHALL, "contracted", d(1, 22), 1, is_pilot=True),
        event("ummeldung", REICHENHALL, "integrating", d(1, 25), 1, is_pilot=True),
        event("ummeldung", REICHENHALL, "onboarding", d(2, 1), 1, is_pilot=True),
        event("ummeldung", REICHENHALL, "operational", d(2, 5), 1, is_pilot=True, event_id="E1"),
        event("ummeldung", VGEM, "integrating", d(2, 1), 1),
        event("ummeldung", VGEM, "onboarding", d(2, 1), 1),  # the same day: no time was spent integrating
        event("ummeldung", VGEM, "operational", d(2, 20)),
        event("ummeldung", VGEM, "suspended", d(2, 25)),
        event("ummeldung", VGEM, "operational", d(3, 1)),
        event("ummeldung", NEUSTADT, "contracted", d(3, 5), 2),
        event("ummeldung", NEUSTADT, "planned", d(4, 1), 2),  # after as_of
        event("bauantrag", "09575", "integrating", d(1, 22), 1),
        event("bauantrag", "09575", "operational", d(2, 1), 1),
        event("bauantrag", "09575153", "integrating", d(2, 10), 1),
        event("bauantrag", "09575153", "operational", d(3, 1), 1),
        event("bauantrag", "09162", "integrating", d(2, 15), 2),
        event("fuehrerschein", "06435", "operational", date(2025, 12, 30)),
        event("fuehrerschein", "06415", "integrating", d(2, 1), 1),
        event("fuehrerschein", "06415", "operational", d(2, 10), 1),
        event("fuehrerschein", "06415", "suspended", d(3, 1), 1),
    ]
    later_events = [
        event("ummeldung", REICHENHALL, "operational", d(2, 6), 1, is_pilot=True, event_id="E1"),  # corrects the day
        event("ummeldung", NEUSTADT, "contracted", d(3, 5), 2, is_retracted=True),
    ]
    first_usage = [
        usage(MUENCHEN, d(1, 1), "month", "online", 60, "bundid"),
        usage(MUENCHEN, d(1, 1), "month", "online", 40, "none"),
        usage(MUENCHEN, d(1, 7), "day", "online", 5, "bundid"),  # the month holds
        usage(MUENCHEN, d(1, 1), "month", "assisted", 10),
        usage(MUENCHEN, d(1, 1), "month", "counter", 100),
        *[usage(MUENCHEN, d(2, day), "day", "online", 2, "none") for day in range(1, 29)],
        *[usage(MUENCHEN, d(3, day), "day", "online", 1, "none") for day in range(1, 9)],
        usage(REICHENHALL, d(2, 1), "month", "online", 8),
        usage(REICHENHALL, d(2, 1), "month", "post", 2),
        usage(REICHENHALL, d(3, 2), "day", "online", 99, is_test=True),
        usage(VGEM, d(3, 1), "month", "counter", 7),
        usage(VGEM, d(3, 1), "day", "online", None),  # a row without a count reports nothing
        usage(NEUSTADT, d(2, 1), "month", "counter", 9),  # never live
    ]
    later_usage = [
        usage(MUENCHEN, d(3, 3), "day", "online", 4, "none"),  # corrects 1
        usage(MUENCHEN, d(3, 8), "day", "online", 1, "none", is_retracted=True),
    ]
    first_costs = [
        cost(
            "1",
            "1000",
            "bund",
            "variable",
            authority_id="meldebehoerde/091720114",
            service_id="ummeldung",
            wave=1,
            vat_nonrecoverable_eur=Decimal("190"),
        ),
        cost("2", "400", "land", "fixed_land"),
        cost("4", "-100", "bund", "variable", authority_id="meldebehoerde/091720114", entry_status="reversal"),
        cost("5", "9999", "land", "variable", entry_status="planned"),
        cost("6", "50", "land", "variable", recurring=True),
        cost("7", "77", "kommune", "variable", authority_id="meldebehoerde/095750153", service_id="ummeldung"),  # not begun
        cost("8", "33", "land", "variable", service_id="ummeldung", wave=2),  # nobody is in that wave
        cost("9", "500", "kommune", "variable", service_id="bauantrag", wave=1),
    ]
    later_costs = [cost("9", "300", "kommune", "variable", service_id="bauantrag", wave=1)]
    case_volumes = [
        {"authority_id": "meldebehoerde/091620000", "service_id": "ummeldung", "year": 2023, "cases": 400},
        {"authority_id": "meldebehoerde/091620000", "service_id": "ummeldung", "year": 2024, "cases": 500},
        {"authority_id": "meldebehoerde/091720114", "service_id": "ummeldung", "year": 2024, "cases": 100},
    ]
    muenchen = [("091620000000", "https://a.example/1"), ("091620000000", "https://a.example/2")]
    reichenhall = [("091720114114", "https://b.example/")]  # its own Verband: listed under the municipality's key
    snapshots = {d(1, 15): muenchen + reichenhall, d(2, 10): muenchen + reichenhall, d(3, 1): muenchen}
    return {
        "regions": delivered(regions, "verzeichnis", d(1, 2)),
        "authorities": delivered(authorities, "behoerden", d(1, 2)),
        "competences": delivered(competences, "zustaendigkeiten", d(1, 2)),
        "connections": delivered(first_events, "verbindungen", d(3, 6)) + delivered(later_events, "verbindungen", d(3, 9)),
        "usage": delivered(first_usage, "nutzung", d(3, 9)) + delivered(later_usage, "nutzung", d(3, 10)),
        "case_volumes": delivered(case_volumes, "fallzahlen", d(2, 1), land_code="09"),
        "costs": delivered(first_costs, "kosten", d(3, 2))
        + delivered(later_costs, "kosten", d(3, 5))
        + delivered([cost("3", "600", "bund", "fixed_programme", land_code="00")], "bundeskosten", d(3, 2)),
        "listings": [
            row
            for day, places in snapshots.items()
            for row in delivered(
                [listing(ars, url, day) for ars, url in places]
                + [listing("095755501000", "https://land.example/", day, inherited=True)],
                "datahub",
                day,
            )
        ]
        # the newest snapshot keeps what has ended as inactive
        + delivered([listing(ars, url, d(3, 1), is_retracted=True) for ars, url in reichenhall], "datahub", d(3, 1)),
        "territory_changes": [],
        "page_visits": [],
    }


RUN_INPUTS: dict[str, dict[str, Any]] = {
    "region_successors": {
        "ags": pl.String,
        "valid_from": pl.Date,
        "reported_ags": pl.String,
        "population_share": pl.Float64,
        "area_share": pl.Float64,
        "kind": pl.String,
    },
    "authority_successors": {
        "authority_id": pl.String,
        "valid_from": pl.Date,
        "valid_to": pl.Date,
        "reported_authority_id": pl.String,
        "population_share": pl.Float64,
        "population": pl.Int64,
    },
    "run": {
        "run_id": pl.String,
        "as_of": pl.Date,
        "territory_on": pl.Date,
        "now_at": pl.Datetime("us", "UTC"),
        "code_version": pl.String,
        "is_synthetic": pl.Boolean,
    },
    "land": {
        "land_code": pl.String,
        "name": pl.String,
        "programme_start": pl.Date,
        "target_on": pl.Date,
        "target_share": pl.Float64,
    },
    "land_service": {"land_code": pl.String, "service_id": pl.String, "baseline_connections": pl.Int64},
    "service": dict(SERVICE_LIST.schema),
    "source": {
        "land_code": pl.String,
        "source": pl.String,
        "table_name": pl.String,
        "format": pl.String,
        "delivers": pl.String,
        "is_required": pl.Boolean,
        "max_age_days": pl.Int64,
        "licence": pl.String,
        "status": pl.String,
        "last_delivery_id": pl.String,
        "last_delivered_at": pl.Datetime("us", "UTC"),
        "last_attempt_at": pl.Datetime("us", "UTC"),
        "message_de": pl.String,
        "message_en": pl.String,
    },
    "delivery": {
        "land_code": pl.String,
        "source": pl.String,
        "table_name": pl.String,
        "delivery_id": pl.String,
        "delivered_at": pl.Datetime("us", "UTC"),
        "rows_delivered": pl.Int64,
        "rows_clean": pl.Int64,
        "rows_quarantined": pl.Int64,
        "is_admitted": pl.Boolean,
        "is_in_force": pl.Boolean,
        "refusal_de": pl.String,
        "refusal_en": pl.String,
        "withdrawn_at": pl.Datetime("us", "UTC"),
        "withdrawal_reason": pl.String,
    },
    "quarantine": {
        "land_code": pl.String,
        "source": pl.String,
        "table": pl.String,
        "delivery_id": pl.String,
        "delivered_at": pl.Datetime("us", "UTC"),
        "row_number": pl.Int64,
        "rule": pl.String,
        "column": pl.String,
        "reason": pl.String,
        "reason_en": pl.String,
        "raw": pl.String,
    },
    "public_usage": {
        "land_code": pl.String,
        "authority_id": pl.String,
        "service_id": pl.String,
        "month": pl.Date,
        "channel": pl.String,
        "submitted": pl.Int64,
        "is_suppressed": pl.Boolean,
        "suppression_pool": pl.Int32,
    },
    "public_cost": {
        "land_code": pl.String,
        "service_id": pl.String,
        "wave": pl.Int64,
        "connections_published": pl.Int64,
    },
}

#: Sources that belong to the federation; their rows belong to their own Länder.
FEDERAL_SOURCES = ("verzeichnis", "behoerden", "zustaendigkeiten", "datahub", "bundeskosten")


#: What the territory changes of the tiny world took where: Hanau, whole, under its new key.
LINKS = [("06435014", "06415000", d(1, 1), 90, 1.0)]


def succession(tables: dict[str, Rows], territory_on: date, links: list[tuple[Any, ...]]) -> dict[str, Rows]:
    """``region_successors`` and ``authority_successors`` of a world, for a territorial status; ``links`` as in a ``Territory``."""

    def frame(name: str) -> pl.DataFrame:
        schema = {c: pl.String() if isinstance(t, pl.Enum) else t for c, t in TABLES[name].polars_schema().items()}
        return pl.DataFrame([{c: row.get(c) for c in schema} for row in tables[name]], schema=schema)

    columns = {"old_ags": pl.String, "new_ags": pl.String, "on": pl.Date, "population": pl.Int64, "area_km2": pl.Float64}
    moved = pl.DataFrame(links, schema=columns, orient="row")
    regions = region_successors(frame("regions"), moved, territory_on)
    authorities = authority_successors(frame("authorities"), frame("competences"), frame("regions"), regions, territory_on)
    return {"region_successors": regions.to_dicts(), "authority_successors": authorities.to_dicts()}


def run_rows(tables: dict[str, Rows], territory_on: date, links: list[tuple[Any, ...]]) -> dict[str, Rows]:
    """What orchestration adds for the tiny world: the run, its Länder, its succession, and a delivery's counts taken from its rows."""
    deliveries: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for table, rows in tables.items():
        for row in rows:
            land_code = "00" if row["source"] in FEDERAL_SOURCES else row["land_code"]
            stated = deliveries.setdefault(
                (land_code, row["source"], table, row["delivery_id"]), {"delivered_at": row["delivered_at"], "rows_clean": 0}
            )
            stated["rows_clean"] += 1
    delivery = [
        {
            "land_code": land_code,
            "source": source,
            "table_name": table,
            "delivery_id": identifier,
            **stated,
            "rows_delivered": stated["rows_clean"] + (2 if source == "kosten" else 0),
            "rows_quarantined": 2 if source == "kosten" else 0,
            "is_admitted": True,
            "is_in_force": True,
        }
        for (land_code, source, table, identifier), stated in deliveries.items()
    ]
    refused_at = datetime(2026, 3, 10, 1, tzinfo=UTC)
    delivery.append(
        {
            "land_code": "06",
            "source": "verbindungen",
            "table_name": "connections",
            "delivery_id": delivery_id(AS_OF),
            "delivered_at": refused_at,
            "rows_delivered": 5,
            "rows_clean": 1,
            "rows_quarantined": 4,
            "is_admitted": False,
            "is_in_force": False,
            "refusal_de": "Vier von fünf Zeilen sind unlesbar.",
            "refusal_en": "Four of five rows cannot be read.",
        }
    )
    sources = sorted({(row["land_code"], row["source"], row["table_name"]) for row in delivery})
    return {
        **succession(tables, territory_on, links),
        "run": [
            {
                "run_id": "r1",
                "as_of": AS_OF,
                "territory_on": territory_on,
                "now_at": datetime(2026, 3, 11, 1, tzinfo=UTC),
                "code_version": "test",
                "is_synthetic": True,
            }
        ],
        "land": [
            {"land_code": "09", "name": "Bayern", "programme_start": START, "target_on": date(2026, 12, 31), "target_share": 1.0},
            {"land_code": "06", "name": "Hessen", "programme_start": START, "target_on": date(2026, 12, 31), "target_share": 1.0},
            {"land_code": "00", "name": "Deutschland"},
        ],
        "service": SERVICE_LIST.to_dicts(),
        "land_service": [
            {"land_code": "09", "service_id": "ummeldung", "baseline_connections": 1},
            {"land_code": "09", "service_id": "bauantrag"},
            {"land_code": "06", "service_id": "fuehrerschein", "baseline_connections": 1},
        ],
        "source": [
            {
                "land_code": land_code,
                "source": source,
                "table_name": table,
                "format": "json",
                "delivers": "snapshot" if source == "datahub" else "changes",
                "is_required": True,
                "status": "current",
                "last_attempt_at": refused_at,
            }
            for land_code, source, table in sources
        ],
        "delivery": delivery,
        "quarantine": [
            {
                "land_code": row["land_code"],
                "source": "kosten",
                "table": "costs",
                "delivery_id": row["delivery_id"],
                "row_number": n,
                "rule": rule,
            }
            for row in delivery
            if row["source"] == "kosten"
            for n, rule in ((1, "malformed"), (2, "wrong_unit"))
        ],
        "public_usage": [],
        "public_cost": [],
    }


def write_inputs(
    folder: Path,
    tables: dict[str, Rows],
    *,
    territory_on: date = AS_OF,
    links: list[tuple[Any, ...]] = LINKS,
    **overrides: Rows,
) -> Path:
    """Writes ``folder/<table>/*.parquet`` for a dbt build: one part with the schema alone, one with the rows.

    ``territory_on``: the status reported on; ``links``: what territory changes took where (see ``succession``).
    """
    schemas: dict[str, Any] = {
        name: {column: pl.String if isinstance(kind, pl.Enum) else kind for column, kind in table.polars_schema().items()}
        for name, table in TABLES.items()
    }
    schemas |= RUN_INPUTS
    for name, rows in {**tables, **run_rows(tables, territory_on, links), **overrides}.items():
        (folder / name).mkdir(parents=True)
        schema = schemas[name]
        pl.DataFrame(schema=schema).write_parquet(folder / name / "_schema.parquet")
        if rows:
            pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema).write_parquet(
                folder / name / "rows.parquet"
            )
    (folder / "part").mkdir()
    parts.lay_out(folder, folder.parent / "parts").write_parquet(folder / "part" / "part.parquet")
    return folder


@contextmanager
def dbt_environment(folder: Path, threads: int = 2) -> Iterator[None]:
    """What a build reads from the environment, pointed at ``folder``: inputs/, warehouse.duckdb, target/ and logs/."""
    stated = {
        "ROLLIN_INPUTS": str(folder / "inputs"),
        "ROLLIN_BUILD": str(folder / "warehouse.duckdb"),
        "ROLLIN_THREADS": str(threads),
        "ROLLIN_MEMORY": "1GB",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    before = {name: os.environ.get(name) for name in stated}
    os.environ.update(stated)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def _parsed(project: Path) -> bytes:
    """The parsed project, the same for every folder; parsed once by every worker. Called within ``dbt_environment``."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_TARGET_PATH", folder)
        patch.setattr(warehouse, "PROJECT_DIR", project)
        assert warehouse.invoke(["parse"]).success
        return (Path(folder) / warehouse.PARSED).read_bytes()


def run_dbt(folder: Path, *arguments: str, threads: int = 2, project: Path = PROJECT_DIR) -> dict[str, str]:
    """Runs dbt in this process and closes the build file; node name -> status (success, pass, fail, error, skipped ...)."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    with dbt_environment(folder, threads):
        try:
            where = ["--project-dir", str(project), "--profiles-dir", str(project)]
            outcome = dbtRunner(warehouse.read_parsed(_parsed(project))).invoke(["--quiet", *arguments, *where])
        finally:
            DuckDBConnectionManager.close_all_connections()
    if outcome.exception is not None:
        raise outcome.exception
    assert outcome.result is not None, "dbt ended without a result"
    return {result.node.name: str(result.status) for result in outcome.result}  # type: ignore[union-attr]
