"""A night on the real municipal directory: the official counts, and who is competent in Bavaria and Hesse, in the published release.

The deliveries are a handful of invented rows about real authorities; directory, competences and programme are the real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingest.landfile import PACKAGED
from orchestration.refresh import refresh
from orchestration.settings import Settings

LANDS = {"bayern": "09", "hessen": "06"}

#: Authorities that are connected: key of the authority, service.
CONNECTED = {
    "09": [
        ("09161", "bauantrag"),
        ("09575", "bauantrag"),
        ("09172114", "bauantrag"),
        ("09161", "fuehrerschein"),
        ("09162", "waffen"),
    ],
    "06": [("06412000", "ummeldung"), ("06415000", "ummeldung"), ("06411", "fuehrerschein"), ("064", "anlagengenehmigung")],
}


def _sources(code: str) -> dict[str, list[dict[str, Any]]]:
    connections, usage, costs = [], [], []
    for number, (key, service) in enumerate(CONNECTED[code]):
        row = {"region_key": key, "service_id": service, "wave": 1, "contractor": "Muster"}
        for phase, day in (("integrating", "2026-02-02"), ("operational", "2026-03-02")):
            connections.append(row | {"phase": phase, "effective_on": day, "reported_at": f"{day}T12:00:00Z"})
        for channel in ("online", "counter"):
            usage.append(
                {
                    "region_key": key,
                    "service_id": service,
                    "period": "2026-04-01",
                    "grain": "month",
                    "channel": channel,
                    "submitted": 7,
                }
            )
        costs.append(
            {
                "entry_id": f"{code}-{number}",
                "booked_on": "2026-03-15",
                "region_key": key,
                "service_id": service,
                "category": "general_contractor",
                "behaviour": "variable",
                "payer": "bund",
                "recurring": "false",
                "entry_status": "invoiced",
                "amount_eur": "12000.00",
                "price_mechanism": "actual",
            }
        )
    return {"connections": connections, "usage": usage, "costs": costs}


@pytest.fixture(scope="module")
def release(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("real")
    laender = folder / "laender"
    laender.mkdir()
    for name, code in LANDS.items():
        land = yaml.safe_load((PACKAGED / f"{name}.yaml").read_text(encoding="utf-8"))
        land["sources"] = []
        for table, rows in _sources(code).items():
            path = folder / f"{code}-{table}.ndjson"
            path.write_text("\n".join(json.dumps(row) for row in rows))
            land["sources"].append(
                {
                    "name": table,
                    "table": table,
                    "format": "ndjson",
                    "location": str(path),
                    "delivers": "snapshot",
                    "required": True,
                }
            )
        (laender / f"{name}.yaml").write_text(yaml.safe_dump(land, allow_unicode=True), encoding="utf-8")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("ROLLIN_")]:
        del os.environ[name]
    # the packaged federal file, with the directory's location pointed at the official file
    os.environ["ROLLIN_GV100AD_LOCATION"] = str(shared_data / "destatis" / "GV100AD_30112025.txt")
    os.environ["ROLLIN_DATAHUB_URL"] = "http://127.0.0.1:9"  # nobody answers there: listings are not required
    os.environ["ROLLIN_NOW"] = "2026-05-15T03:00:00+02:00"
    result = refresh(Settings(home=folder / "home", laender=laender))
    os.environ.clear()
    os.environ.update(before)
    assert result.outcome == "published", result.message
    with duckdb.connect(str(folder / "home" / "published" / "current" / "warehouse.duckdb"), read_only=True) as con:
        yield con


def ask(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


def test_the_directory_has_the_official_counts(release: duckdb.DuckDBPyConnection) -> None:
    now = "core.dim_region where is_current"
    assert ask(release, f"select count(*) filter (is_municipality), sum(population)::bigint from {now}") == [(10_751, 83_577_140)]
    counts = dict(ask(release, f"select land_code, count(*) from {now} and is_municipality group by all"))
    assert (counts["09"], counts["06"]) == (2_056, 421)
    assert ask(release, "select count(*) from core.dim_region where is_current and ags in ('06435014', '06415000')") == [(1,)]


def test_the_competent_authorities_are_those_of_the_law(release: duckdb.DuckDBPyConnection) -> None:
    found = ask(
        release,
        "select land_code, service_id, authorities_competent from metrics.coverage_daily"
        " where as_of = (select as_of from meta.release) order by all",
    )
    assert found == [
        ("06", "anlagengenehmigung", 3),
        ("06", "aufenthalt", 33),
        ("06", "fuehrerschein", 27),
        ("06", "ummeldung", 421),
        ("06", "unterhaltsvorschuss", 33),
        ("09", "aufenthalt", 96),
        ("09", "bauantrag", 138),
        ("09", "fuehrerschein", 96),
        ("09", "ummeldung", 1_385),
        ("09", "waffen", 96),
    ]


def test_before_hanau_left_its_kreis_hesse_had_one_driving_licence_authority_less(release: duckdb.DuckDBPyConnection) -> None:
    query = (
        "select count(distinct authority_id) from core.bridge_competence where land_code = '06' and service_id = 'fuehrerschein'"
        " and valid_from <= date '{0}' and coalesce(valid_to, date '9999-12-31') > date '{0}'"
    )
    assert ask(release, query.format("2025-12-31")) == [(26,)]
    assert ask(release, query.format("2026-01-01")) == [(27,)]


def test_every_inhabitant_counts_once_per_service(release: duckdb.DuckDBPyConnection) -> None:
    """Also where two authorities share a town, and whoever is competent."""
    found = ask(
        release,
        "select distinct land_code, population_competent from metrics.coverage_daily"
        " where as_of = (select as_of from meta.release) order by all",
    )
    assert found == [("06", 6_280_793), ("09", 13_248_928)]
    # the Kreis 09575 is connected, its town Neustadt a.d.Aisch, which has an authority beside it, is not
    [(operational, municipalities)] = ask(
        release,
        "select population_operational, municipalities_operational from metrics.coverage_daily"
        " where land_code = '09' and service_id = 'bauantrag' and as_of = (select as_of from meta.release)",
    )
    expected = ask(
        release,
        "select sum(population)::bigint, count(*) from core.dim_region where is_current and is_municipality"
        " and (kreis_code = '09161' or ags = '09172114' or (kreis_code = '09575' and ags <> '09575153'))",
    )
    assert [(operational, municipalities)] == expected


def test_deliveries_were_resolved_to_the_real_authorities(release: duckdb.DuckDBPyConnection) -> None:
    assert ask(release, "select count(*) from meta.quarantine_summary") == [(0,)]
    names = dict(ask(release, "select authority_id, name from core.dim_authority where is_current"))
    assert "Dachau" in names["bauaufsicht/09174115"] and names["fahrerlaubnisbehoerde/09174"] == "Landratsamt Dachau"
    assert "Hanau" in names["meldebehoerde/06415000"]
    live = ask(release, "select sum(authorities_operational)::bigint from metrics.coverage_daily where as_of = '2026-05-15'")
    assert live == [(sum(map(len, CONNECTED.values())),)]
