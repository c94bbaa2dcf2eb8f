"""A whole night on the real municipal directory: the packaged rules of Bavaria and Hesse, with a handful of hand-made deliveries.

Expected numbers: Destatis for municipalities and inhabitants (GV100AD of 30 November 2025), the Land files for authorities.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingest.landfile import PACKAGED
from ingest.tables import AUTHORITY_KIND
from orchestration import publication
from orchestration.refresh import refresh
from orchestration.settings import Settings
from tests.house import take_parse

NOW = "2026-03-15T02:00:00+01:00"
TODAY = date(2026, 3, 15)

COMPETENT = {
    "09": {"ummeldung": 1_385, "fuehrerschein": 96, "bauantrag": 138, "aufenthalt": 96, "waffen": 96},
    "06": {"ummeldung": 421, "fuehrerschein": 27, "aufenthalt": 33, "unterhaltsvorschuss": 33, "anlagengenehmigung": 3},
}

PFAFFENHOFEN_KREIS, PFAFFENHOFEN = "09186", "09186143"  # the town takes a part of its Kreis' building permits
EMMERTING_VGEM = "091715101"  # two municipalities with one administration
DACHAU_KREIS, DACHAU = "09174", "09174115"  # the town is cut out of its Kreis

#: land_code, key of the authority, service, day of acceptance; the last one is delivered under the key that it has since 2026.
OPERATIONAL = (
    ("09", PFAFFENHOFEN_KREIS, "bauantrag", date(2026, 2, 2)),
    ("09", PFAFFENHOFEN, "bauantrag", date(2026, 3, 2)),
    ("09", DACHAU_KREIS, "bauantrag", date(2026, 3, 9)),
    ("09", EMMERTING_VGEM, "ummeldung", date(2026, 2, 16)),
    ("06", "06435001", "ummeldung", date(2026, 2, 16)),
    ("06", "064", "anlagengenehmigung", date(2026, 3, 1)),
    ("06", "06415", "fuehrerschein", date(2026, 3, 2)),
)


def authority(key: str, service: str) -> str:
    return f"{AUTHORITY_KIND[service]}/{key}"


def connections(land: str) -> list[dict[str, Any]]:
    """Each connection is begun in January and accepted on its day."""
    common = {"reported_at": "2026-03-14T12:00:00+01:00", "wave": 1, "team": "T1", "contractor": "GU", "call_off": "A1"}
    return [
        {"authority_id": authority(key, service), "service_id": service, "phase": phase, "effective_on": str(day), **common}
        for code, key, service, accepted in OPERATIONAL
        for phase, day in (("integrating", date(2026, 1, 22)), ("operational", accepted))
        if code == land
    ]


def usage(land: str) -> list[dict[str, Any]]:
    return [
        {
            "region_key": key,
            "service_id": service,
            "period": "2026-02-01",
            "grain": "month",
            "channel": channel,
            "submitted": count,
        }
        for code, key, service, accepted in OPERATIONAL
        for channel, count in (("online", 10), ("counter", 30))
        if code == land and accepted < date(2026, 3, 1)
    ]


def costs(land: str) -> list[dict[str, Any]]:
    fixed = {
        "behaviour": "variable",
        "payer": "bund",
        "recurring": "false",
        "entry_status": "invoiced",
        "price_mechanism": "actual",
    }
    return [
        {
            "entry_id": f"{land}-{number}",
            "booked_on": "2026-03-10",
            "authority_id": authority(key, service),
            "service_id": service,
            "wave": 1,
            "category": "integration",
            "amount_eur": "4000.00",
            **fixed,
        }
        for number, (code, key, service, _) in enumerate(OPERATIONAL)
        if code == land
    ]


def write_ndjson(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [";".join(rows[0]), *(";".join(str(value) for value in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def write_land(folder: Path, name: str) -> None:
    """The packaged Land file with sources that stand for the portals."""
    land = yaml.safe_load((PACKAGED / name).read_text(encoding="utf-8"))
    code = land["land_code"]
    write_ndjson(folder / f"connections-{code}.ndjson", connections(code))
    write_csv(folder / f"usage-{code}.csv", usage(code))
    write_csv(folder / f"costs-{code}.csv", costs(code))
    common = {"required": True, "max_age_days": 30}
    land["sources"] = [
        {"table": "connections", "format": "ndjson", "location": f"connections-{code}.ndjson", "delivers": "snapshot", **common},
        {"table": "usage", "format": "csv", "location": f"usage-{code}.csv", "delivers": "changes", **common},
        {"table": "costs", "format": "csv", "location": f"costs-{code}.csv", "delivers": "snapshot", **common},
    ]
    for source in land["sources"]:
        source["name"] = source["table"]
    (folder / name).write_text(yaml.safe_dump(land, allow_unicode=True), encoding="utf-8")


def write_germany(folder: Path, directory: Path) -> None:
    """The packaged federal file with its territory changes; of its sources the directory, as a file."""
    germany = yaml.safe_load((PACKAGED / "deutschland.yaml").read_text(encoding="utf-8"))
    germany["sources"] = [source | {"location": str(directory)} for source in germany["sources"] if source["table"] == "regions"]
    assert germany["changes"]
    (folder / "deutschland.yaml").write_text(yaml.safe_dump(germany, allow_unicode=True), encoding="utf-8")


Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def query(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """Ask the release of that night."""
    folder = tmp_path_factory.mktemp("real")
    take_parse(folder / "home", tmp_path_factory)
    for name in ("bayern.yaml", "hessen.yaml"):
        write_land(folder, name)
    write_germany(folder, shared_data / "destatis" / "GV100AD_30112025.txt")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ.update(ROLLIN_NOW=NOW, ROLLIN_THREADS="1", ROLLIN_REPORT="no")
    try:
        settings = Settings(home=folder / "home", laender=folder)
        result = refresh(settings)
        assert result.outcome == "published", result.message
        assert publication.verify(settings.current) == []
        with duckdb.connect(str(settings.current / "warehouse.duckdb"), read_only=True) as con:
            yield lambda sql, *parameters: con.execute(sql, list(parameters)).fetchall()
    finally:
        os.environ.clear()
        os.environ.update(before)


def inhabitants(query: Query, prefix: str) -> int:
    """Today's inhabitants of everything whose key begins so."""
    [(count,)] = query("select sum(population)::bigint from core.dim_region where is_current and starts_with(ags, ?)", prefix)
    return int(count)


def test_nothing_is_quarantined_and_the_release_is_not_synthetic(query: Query) -> None:
    assert query("from meta.quarantine_summary") == []
    assert query("select is_synthetic, as_of from meta.release") == [(False, TODAY)]
    assert query("select distinct status from meta.source_status") == [("current",)]


def test_germany_has_its_municipalities_and_inhabitants(query: Query) -> None:
    assert query("select count(*) filter (is_municipality), sum(population)::bigint from core.dim_region where is_current") == [
        (10_751, 83_577_140)
    ]
    by_land = query("select land_code, count(*) from core.dim_region where is_current and is_municipality group by all")
    assert len(by_land) == 16
    assert (dict(by_land)["09"], dict(by_land)["06"]) == (2_056, 421)


def test_every_competent_authority_is_counted(query: Query) -> None:
    rows = query("select land_code, service_id, authorities_competent from metrics.coverage_daily where as_of = ?", TODAY)
    found: dict[str, dict[str, int]] = {"09": {}, "06": {}}
    for land, service, count in rows:
        found[land][service] = count
    assert found == COMPETENT


def test_hanau_became_a_licensing_authority_with_the_new_year(query: Query) -> None:
    def competent(day: date) -> set[str]:
        sql = """
            select distinct authority_id from core.bridge_competence
            where land_code = '06' and service_id = 'fuehrerschein'
              and valid_from <= $1 and (valid_to is null or valid_to > $1)
        """
        return {str(authority_id) for (authority_id,) in query(sql, day)}

    before, after = competent(date(2025, 12, 31)), competent(date(2026, 1, 1))
    assert (len(before), len(after)) == (26, 27)
    assert after - before == {"fahrerlaubnisbehoerde/06415"}
    kreis = "select distinct kreis_code, ags from core.dim_region where name like 'Hanau%' and "
    assert query(kreis + "valid_to = '2026-01-01'") == [("06435", "06435014")]
    assert query(kreis + "is_current") == [("06415", "06415000")]


def test_every_service_covers_all_inhabitants_and_municipalities_of_its_land(query: Query) -> None:
    sql = "select land_code, population_competent, municipalities_competent, count(*) from metrics.coverage_daily where as_of = ? group by all"
    expected = {(land, inhabitants(query, land), count, 5) for land, count in (("09", 2_056), ("06", 421))}
    assert set(query(sql, TODAY)) == expected


def test_a_town_with_a_part_of_the_cases_is_counted_as_authority_and_its_inhabitants_once(query: Query) -> None:
    """They are covered when the town and its Kreis are both operational; a town that is cut out of its Kreis is on its own."""

    def bauantrag(day: date) -> tuple[Any, ...]:
        [row] = query(
            """
            select authorities_competent, authorities_operational, population_competent, population_operational
            from metrics.coverage_daily where land_code = '09' and service_id = 'bauantrag' and as_of = ?
            """,
            day,
        )
        return row

    bavaria = inhabitants(query, "09")
    whole, town = inhabitants(query, PFAFFENHOFEN_KREIS), inhabitants(query, PFAFFENHOFEN)
    assert 0 < town < whole
    assert bauantrag(date(2026, 2, 1)) == (138, 0, bavaria, 0)
    assert bauantrag(date(2026, 2, 2)) == (138, 1, bavaria, whole - town)
    assert bauantrag(date(2026, 3, 2)) == (138, 2, bavaria, whole)
    dachau = inhabitants(query, DACHAU_KREIS) - inhabitants(query, DACHAU)
    assert bauantrag(date(2026, 3, 9)) == (138, 3, bavaria, whole + dachau)

    partial = query(
        "select authority_id, ags from core.bridge_competence where service_id = 'bauantrag' and is_partial and is_current order by 1"
    )
    towns = ["09186143", "09377158", "09479169", "09575153", "09778116"]
    assert partial == [(f"bauaufsicht/{ags}", ags) for ags in towns]


def test_a_verwaltungsgemeinschaft_covers_its_members(query: Query) -> None:
    sql = """
        select authorities_operational, municipalities_operational, population_operational
        from metrics.coverage_daily where land_code = '09' and service_id = 'ummeldung' and as_of = ?
    """
    members = query("select name, population from core.dim_region where is_current and verband_code = ?", EMMERTING_VGEM)
    assert {name for name, _ in members} == {"Emmerting", "Mehring"}
    assert query(sql, TODAY) == [(1, 2, sum(population for _, population in members))]


def test_what_was_connected_is_operational(query: Query) -> None:
    rows = query(
        "select land_code, authority_id, service_id, valid_from from core.fct_connection_phase where phase = 'operational'"
    )
    assert set(rows) == {(land, authority(key, service), service, day) for land, key, service, day in OPERATIONAL}
    assert query("select sum(amount_eur)::bigint, count(*) from core.fct_cost") == [(28_000, 7)]
