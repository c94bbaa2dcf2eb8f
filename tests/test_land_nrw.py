"""The third Land: North Rhine-Westphalia by its Land file alone, measured against the truth, and what happens while its portal is away."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from ingest.landfile import PACKAGED, load
from ingest.sample import Parameters, make_world, serve, write_sample
from ingest.sample.nrw import FILE
from orchestration.night import Night as Run
from orchestration.refresh import refresh
from orchestration.settings import Settings
from tests.house import House, take_parse
from tests.recompute import Night, Truth, differences
from tests.test_truth_metrics import PUBLISHED as OF_ANY_WORLD

PARAMETERS = Parameters(laender=("05",), end=date(2026, 9, 30), missing_share=0.05, late_share=0.05, correction_share=0.05)


def packaged_land_files(folder: Path, *codes: str) -> Path:
    """Copies of packaged Land files, marked as synthetic and otherwise untouched."""
    folder.mkdir(exist_ok=True)
    for path in PACKAGED.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if yaml.safe_load(text)["land_code"] in codes:
            (folder / path.name).write_text(text + "\nis_synthetic: true\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A night on the served portal and the delivered statistics. Hessen has a Land file too, and nothing is configured for it."""
    base = tmp_path_factory.mktemp("nrw")
    write_sample(base / "world", PARAMETERS)
    take_parse(base / "home", tmp_path_factory)
    laender = packaged_land_files(base / "laender", "00", "05", "06")
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(("ROLLIN_", "DAGSTER_"))]:
            del os.environ[name]
        with serve(base / "world" / "deliveries") as server:
            wanted = {name: value for name, value in server.environ.items() if not name.startswith(("ROLLIN_HE", "ROLLIN_BY"))}
            os.environ.update(wanted, ROLLIN_NOW=PARAMETERS.night.isoformat(), ROLLIN_THREADS="1", ROLLIN_REPORT="no")
            result = refresh(Settings(home=base / "home", laender=laender))
        assert result.outcome == "published", result.message
        yield Night(base / "home", Truth(base / "world"))
    finally:
        os.environ.clear()
        os.environ.update(before)


#: Without costs there is nothing to compare of them. Who reported when is not said: the instant of the delivery stands there.
PUBLISHED = [
    (table, recomputed, grain, [*but, *(["reported_at"] if table == "core.fct_connection_phase" else [])])
    for table, recomputed, grain, but in OF_ANY_WORLD
    if "cost" not in table
]


@pytest.mark.parametrize(("table", "recomputed", "grain", "but"), PUBLISHED, ids=[name for name, *_ in PUBLISHED])
def test_every_number_equals_its_recomputation(
    night: Night, table: str, recomputed: Callable[[Truth], pl.DataFrame], grain: list[str], but: list[str]
) -> None:
    expected = recomputed(night.truth)
    assert expected.height > 10
    assert set(expected["land_code"]) == {"05"}
    assert differences(expected, night.published(table), grain, but) == []


def test_the_denominators_are_those_of_the_directory(night: Night) -> None:
    found = night.ask(
        "select distinct service_id, authorities_competent, population_competent from metrics.coverage_daily order by 1"
    )
    assert found == [("fuehrerschein", 53, 18_034_454), ("ummeldung", 396, 18_034_454)]


def test_a_month_that_nobody_reported_is_unknown_and_zero_is_zero(night: Night) -> None:
    found = night.ask(
        "select reporting_status, count(*) > 0, bool_and(submitted is null), bool_or(submitted = 0) from core.fct_usage_monthly group by 1 order by 1"
    )
    assert found == [("missing", True, True, None), ("reported", True, False, True)]
    assert night.ask("select count(*) from metrics.adoption_monthly where take_up_share is not null") == [
        (0,)
    ]  # no other channel


def test_the_newest_statistics_of_a_month_count(night: Night) -> None:
    superseded = night.ask("select sum(rows_superseded) from meta.delivery where source = 'nutzung'")[0][0]
    assert superseded == night.truth.table("delivery_counts").filter(source="nutzung")["rows_superseded"].sum() > 0


def test_without_costs_none_are_invented(night: Night) -> None:
    assert night.ask("select count(*) from core.fct_cost") == [(0,)]
    assert night.ask(
        "select count(*) > 0, count(cost_full_eur), count(cost_per_connection_eur) from metrics.cost_per_connection"
    ) == [(True, 0, 0)]


def test_what_is_ambiguous_is_reported_and_not_counted(night: Night) -> None:
    counted = night.ask("select rule, row_count from meta.quarantine_summary where source = 'umsetzungsstand' order by 1")
    dirty = night.truth.table("dirty_rows").filter(source="umsetzungsstand")
    assert counted == dirty.group_by("rule").len().sort("rule").rows()
    assert dict(counted)["missing"] == 2  # a solution without communes, and one without a project


def test_a_land_without_configuration_is_skipped_and_reported(night: Night) -> None:
    found = night.ask(
        "select land_code, status, count(*) from meta.source_status where land_code in ('05', '06') group by 1, 2 order by 1"
    )
    assert found == [("05", "current", 2), ("06", "not_configured", 4)]
    assert night.ask("select land_code from core.dim_land where is_participating") == [("05",)]


# -- while the portal is away -----------------------------------------------------------------------------------------------


def test_a_land_whose_portal_is_away_is_not_measured_and_the_others_are(house: House) -> None:
    """No rows would be a coverage of zero: the Land is in no table but the one that says why."""
    packaged_land_files(house.world / "laender", "05")
    with serve(house.world / "deliveries") as server:  # which has nothing of North Rhine-Westphalia
        os.environ["ROLLIN_NW_OZG_URL"] = f"{server.base_url}/api"
        result = house.night()
    assert result.outcome == "published", result.message
    assert house.query("select land_code from core.dim_land where is_participating") == [("06",)]
    assert house.query("select distinct land_code from metrics.coverage_daily") == [("06",)]
    state = house.query("select source, status, message_en from meta.source_status where land_code = '05' order by 1")
    assert [(name, status) for name, status, _ in state] == [("nutzung", "not_configured"), ("umsetzungsstand", "missing")]
    assert "404" in state[1][2]


def test_where_no_land_is_known_at_all_nothing_is_published(house: House) -> None:
    for path in (house.world / "laender").glob("*.yaml"):
        if path.name != "deutschland.yaml":
            path.unlink()
    packaged_land_files(house.world / "laender", "05")
    with serve(house.world / "deliveries") as server:
        os.environ["ROLLIN_NW_OZG_URL"] = f"{server.base_url}/api"
        result = house.night(home=house.home.with_name("another"))
    assert (result.outcome, result.exit_code) == ("no_data", 4)
    assert "Nordrhein-Westfalen is not measured" in result.message


def test_the_sample_asks_no_real_portal(house: House, tmp_path: Path) -> None:
    """The portal has a public address by default: a world without the Land switches it off, one with it serves it."""
    assert load(None, {})["05"].sources[0].resolved_location({}) == "https://ozg.kdn.de/api"
    with serve(house.world / "deliveries") as server:
        environ = dict(server.environ)
        run = Run(Settings(home=tmp_path / "home", environ=environ), "run")
        assert run.configured() == ["06", "09"]
        assert not load(None, environ)["05"].sources[0].is_configured(environ)
        addresses = [
            source.resolved_location(environ)
            for land in load(None, environ).values()
            for source in land.sources
            if source.is_configured(environ)
        ]
        assert [a for a in addresses if "://" in a and not a.startswith(server.base_url)] == []
    (tmp_path / "05").mkdir()
    (tmp_path / FILE).write_text("[]")
    with serve(tmp_path) as server:
        assert load(None, server.environ)["05"].sources[0].resolved_location(server.environ) == f"{server.base_url}/api"


# -- the sample world -------------------------------------------------------------------------------------------------------


#: What follows from the experience of all Länder together.
EFFORT = ("person_days", "person_days_municipal", "variable_cents", "cumulative_connections")


def test_the_land_comes_beside_the_others_and_changes_nothing_of_them() -> None:
    end = date(2026, 7, 31)
    both, three, alone = (make_world(Parameters(laender=codes, end=end)) for codes in (("09", "06"), ("09", "06", "05"), ("05",)))
    for name in ("municipalities", "regions", "competences", "connections", "usage_versions", "case_volumes"):
        of_others = getattr(three, name).filter(pl.col("land_code") != "05")
        # costs and person-days follow the experience of all Länder, dates do not
        effort = [column for column in of_others.columns if column in EFFORT]
        assert_frame_equal(of_others.drop(effort), getattr(both, name).drop(effort), check_row_order=False)
        assert_frame_equal(
            getattr(three, name).filter(pl.col("land_code") == "05").drop(effort),
            getattr(alone, name).drop(effort),
            check_row_order=False,
        )
    assert alone.costs.is_empty() and alone.case_volumes.is_empty()
    assert set(three.costs["land_code"]) == {"09", "06"}


def test_what_was_known_by_a_day_is_the_same_in_every_later_world() -> None:
    early, late = (make_world(Parameters(laender=("05",), end=end)) for end in (date(2026, 8, 15), date(2026, 11, 30)))
    assert early.connections.height < late.connections.height
    assert_frame_equal(early.connections, late.connections.filter(pl.col("effective_on") <= date(2026, 8, 15)))


def test_projects_share_their_dates_and_never_end() -> None:
    world = make_world(Parameters(laender=("05",)))
    dates = world.connections.join(
        world.plan.select("authority_id", "service_id", project="wave"), on=["authority_id", "service_id"]
    )
    assert dates.group_by("service_id", "project", "phase").agg(pl.col("effective_on").n_unique())[
        "effective_on"
    ].unique().to_list() == [1]
    assert set(dates["phase"]) == {"planned", "integrating", "onboarding", "operational"}


def test_three_laender_are_written_and_read_without_a_server(tmp_path: Path) -> None:
    write_sample(tmp_path, Parameters(laender=("09", "06", "05"), end=date(2026, 8, 31)))
    land = load(tmp_path / "laender", {})["05"]
    assert land.is_synthetic
    assert [source.is_configured({}) for source in land.sources] == [True, True]
    counts = pl.read_parquet(tmp_path / "truth" / "delivery_counts.parquet")
    assert set(counts["land_code"]) == {"00", "05", "06", "09"}


def test_the_land_is_its_file_and_no_python() -> None:
    """Its name and the names of its sources stand nowhere but in its Land file; what knows its portal is a format like any other."""
    root = PACKAGED.parent.parent
    for package in ("ingest", "orchestration", "expectations", "dbt_project"):
        for path in (root / package).rglob("*"):
            # the report's dictionary has the English names of all Länder
            if (
                path.suffix in (".py", ".sql")
                and not {"sample", "target"} & set(path.parts)
                and path != root / "orchestration" / "report" / "words.py"
            ):
                text = path.read_text(encoding="utf-8").lower()
                assert "nordrhein" not in text and "umsetzungsstand" not in text, path
