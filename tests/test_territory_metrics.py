"""One history under several keys: metrics of a small Hesse on the status of the report's day and on the one before its changes.

Hanau gets a key of its own on 1 January 2026; on 1 February 06633021 (60 inhabitants) and 06633027 (40) become 06633030, and 06635005
(30) is split into 06635006 (10) and 06635007 (20). Everything is worked out by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.dbt_inputs import AS_OF, START, Rows, competence, cost, d, delivered, event, region, run_dbt, usage, write_inputs

NEW_YEAR, FEBRUARY = d(1, 1), d(2, 1)
BEFORE = date(2025, 12, 31)
WAVE = 1
LINKS = [
    ("06435014", "06415000", NEW_YEAR, 90, 1.0),
    ("06633021", "06633030", FEBRUARY, 60, 1.0),
    ("06633027", "06633030", FEBRUARY, 40, 1.0),
    ("06635005", "06635006", FEBRUARY, 10, 1.0),
    ("06635005", "06635007", FEBRUARY, 20, 1.0),
]
Query = Callable[[str], list[tuple[Any, ...]]]


def world() -> dict[str, Rows]:
    def place(ags: str, people: int, since: date = date(1900, 1, 1), until: date | None = None) -> dict[str, Any]:
        return region(ags, f"{ags[:5]}0{ags[5:]}{ags[5:]}", ags, "gemeinde", people, since=since, until=until)

    regions = [
        place("06435014", 90, until=NEW_YEAR),
        place("06415000", 90, since=NEW_YEAR),
        place("06435001", 10),
        place("06633021", 60, until=FEBRUARY),
        place("06633027", 40, until=FEBRUARY),
        place("06633030", 100, since=FEBRUARY),
        place("06635005", 30, until=FEBRUARY),
        place("06635006", 10, since=FEBRUARY),
        place("06635007", 20, since=FEBRUARY),
    ]
    competences = [
        competence("aufenthalt", "06435014", "06435014", until=NEW_YEAR),
        competence("aufenthalt", "06415", "06415000", since=NEW_YEAR),
        competence("aufenthalt", "06435", "06435001"),
        *[
            competence("ummeldung", row["ags"], row["ags"], since=row["valid_from"], until=row["valid_to"])
            for row in regions
            if row["ags"] >= "06633"
        ],
    ]
    events = [
        event("aufenthalt", "06435014", "integrating", date(2025, 12, 1), WAVE),
        event("aufenthalt", "06415", "operational", d(2, 10), WAVE),
        *[
            event("ummeldung", key, phase, day, WAVE)
            for key, began, accepted in (
                ("06633021", d(1, 22), d(1, 25)),
                ("06633027", d(1, 23), d(1, 28)),
                ("06635005", d(1, 22), d(1, 30)),
            )
            for phase, day in (("integrating", began), ("operational", accepted))
        ],
        event("ummeldung", "06633030", "suspended", d(3, 5), WAVE),
        event("ummeldung", "06635006", "suspended", d(3, 6), WAVE),
    ]
    counts = [
        usage("06633021", d(1, 1), "month", "online", 7),
        usage("06633027", d(1, 1), "month", "online", 5),
        usage("06633030", d(2, 1), "month", "online", 11),
        usage("06635005", d(1, 1), "month", "online", 7),
        usage("06635006", d(2, 1), "month", "online", 1),
        usage("06635007", d(2, 1), "month", "online", 2),
    ]
    booked = [
        ("auslaenderbehoerde/06435014", date(2025, 12, 15), "1000"),
        ("auslaenderbehoerde/06415", d(2, 20), "500.01"),
        ("meldebehoerde/06633021", d(1, 25), "100"),
        ("meldebehoerde/06633027", d(1, 28), "50"),
        ("meldebehoerde/06633030", d(2, 5), "25"),
        ("meldebehoerde/06635005", d(1, 30), "100.01"),
    ]
    costs = [
        cost(str(number), amount, "bund", "variable", authority_id=authority, booked_on=day, land_code="06")
        for number, (authority, day, amount) in enumerate(booked)
    ]
    authorities = [
        {"authority_id": key, "kind": key.split("/")[0], "name": key, "seat_key": key.split("/")[1], "land_code": "06"}
        | {"valid_from": row["valid_from"], "valid_to": row["valid_to"]}
        for row in competences
        for key in [row["authority_id"]]
    ]
    volumes = [
        {"authority_id": f"meldebehoerde/{key}", "service_id": "ummeldung", "year": 2025, "cases": cases}
        for key, cases in (("06633021", 100), ("06633027", 60), ("06635005", 31))
    ]
    empty: dict[str, Rows] = {name: [] for name in ("listings", "territory_changes", "page_visits")}
    return empty | {
        "regions": delivered(regions, "verzeichnis", d(2, 2)),
        "authorities": delivered(authorities, "behoerden", d(2, 2)),
        "competences": delivered(competences, "zustaendigkeiten", d(2, 2)),
        "connections": delivered(events, "verbindungen", AS_OF),
        "usage": delivered(counts, "nutzung", AS_OF),
        "case_volumes": delivered(volumes, "fallzahlen", AS_OF, land_code="06"),
        "costs": delivered(costs, "kosten", AS_OF),
    }


@pytest.fixture(scope="module", params=[AS_OF, BEFORE], ids=["newest", "before"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, Query]:
    """Whether the newest status is told, and the tables of the build."""
    folder = tmp_path_factory.mktemp("territory")
    write_inputs(
        folder / "inputs",
        world(),
        territory_on=request.param,
        links=LINKS,
        land=[{"land_code": "06", "name": "Hessen", "programme_start": START}],
        land_service=[{"land_code": "06", "service_id": service} for service in ("aufenthalt", "ummeldung")],
        quarantine=[],
    )
    statuses = run_dbt(folder, "build", "--resource-type", "model", "--resource-type", "seed")
    assert set(statuses.values()) == {"success"}

    def ask(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(query).fetchall()

    return request.param == AS_OF, ask


def test_hanau_is_one_connection_with_the_costs_of_both_keys(told: tuple[bool, Query]) -> None:
    is_newest, ask = told
    hanau = "auslaenderbehoerde/06415" if is_newest else "auslaenderbehoerde/06435014"
    assert ask(
        """
        select wave, payer, connections_begun, connections_completed, cost_full_eur, cost_per_connection_eur
        from metrics.cost_per_connection where service_id = 'aufenthalt' and payer = 'total'
        """
    ) == [(WAVE, "total", 1, 1, Decimal("1500.01"), Decimal("1500.01"))]
    assert ask(
        "select authority_id, started_on, accepted_on from intermediate.int_connection where service_id = 'aufenthalt'"
    ) == [(hanau, date(2025, 12, 1), d(2, 10))]
    # the facts keep the key of their day
    assert ask(
        "select authority_id, reported_authority_id, amount_eur from core.fct_cost where authority_id like 'ausl%' order by 3"
    ) == [
        ("auslaenderbehoerde/06415", hanau, Decimal("500.01")),
        ("auslaenderbehoerde/06435014", hanau, Decimal("1000.00")),
    ]
    funnel = """
        select as_of::varchar, phase from metrics.phase_funnel_daily
        where service_id = 'aufenthalt' and authorities_current_count = 1 and phase <> 'none' and as_of in ('2026-02-09', '2026-02-10')
        order by 1
    """
    assert ask(funnel) == [("2026-02-09", "integrating"), ("2026-02-10", "operational")]


def test_denominators_are_those_of_the_status_on_every_day(told: tuple[bool, Query]) -> None:
    _, ask = told
    query = """
        select distinct service_id, authorities_competent, population_competent, municipalities_competent, cases_competent
        from metrics.coverage_daily order by 1
    """
    assert ask(query) == [("aufenthalt", 2, 100, 2, None), ("ummeldung", 3, 130, 3, 191)]


def test_a_merged_authority_is_operational_before_only_while_both_were(told: tuple[bool, Query]) -> None:
    is_newest, ask = told
    query = """
        select as_of, authorities_operational, population_operational, cases_operational from metrics.coverage_daily
        where service_id = 'ummeldung'
        qualify authorities_operational is distinct from lag(authorities_operational) over (order by as_of)
        order by 1
    """
    if is_newest:
        assert ask(query) == [
            (START, 0, 0, 0),
            (d(1, 28), 1, 100, 160),
            (d(1, 30), 3, 130, 191),
            (d(3, 5), 2, 30, 31),  # the merged one by its own word
            (d(3, 6), 1, 20, 21),  # one part of the split one: 31 cases are 21 and 10
        ]
    else:
        assert ask(query) == [
            (START, 0, 0, 0),
            (d(1, 25), 1, 60, 100),
            (d(1, 28), 2, 100, 160),
            (d(1, 30), 3, 130, 191),
            (d(3, 5), 1, 30, 31),  # what is told of the merged one is told of both
            (d(3, 6), 0, 0, 0),  # the split one is operational while all its parts are
        ]


def test_usage_is_counted_once_whatever_the_keys(told: tuple[bool, Query]) -> None:
    is_newest, ask = told
    query = """
        select month, submitted_online_count, reporting_authorities, live_authorities, population_date, census_base
        from metrics.adoption_monthly where service_id = 'ummeldung' and month < '2026-03-01' order by 1
    """
    base = (date(2024, 12, 31), "zensus_2022")
    assert ask(query) == [(d(1, 1), 19, 3, 3, *base), (FEBRUARY, 14, 3, 3, *base)]
    keys = "select authority_id, reported_authority_id, submitted, live_days from core.fct_usage_monthly where month = '2026-01-01' order by 1"
    main = (
        {"06633021": "06633030", "06633027": "06633030", "06635005": "06635007"}
        if is_newest
        else {key: key for key in ("06633021", "06633027", "06635005")}
    )
    live = {"06633021": 4, "06633027": 4, "06635005": 2} if is_newest else {"06633021": 7, "06633027": 4, "06635005": 2}
    assert ask(keys) == [
        (f"meldebehoerde/{key}", f"meldebehoerde/{main[key]}", submitted, live[key])
        for key, submitted in (("06633021", 7), ("06633027", 5), ("06635005", 7))
    ]


def test_costs_are_shared_to_the_cent(told: tuple[bool, Query]) -> None:
    is_newest, ask = told
    query = """
        select split_part(authority_id, '/', 2), sum(share_eur)::decimal(10, 2) from intermediate.int_cost_allocation
        where authority_id like 'melde%' group by 1 order by 1
    """
    shares = (
        {"06633030": "175.00", "06635006": "33.34", "06635007": "66.67"}
        if is_newest
        else {"06633021": "115.00", "06633027": "60.00", "06635005": "100.01"}
    )
    assert ask(query) == [(key, Decimal(amount)) for key, amount in shares.items()]
    total = "select connections_begun, connections_completed, cost_full_eur from metrics.cost_per_connection where service_id = 'ummeldung' and payer = 'total'"
    assert ask(total) == [(3, 3, Decimal("275.01"))]
