"""Any range of days in one run of Dagster, and ranges that cannot be. From the command line: see ``test_unchanged_night``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from ingest import clock
from ingest.landfile import PACKAGED
from ingest.sample import Parameters, serve, write_sample
from ingest.sample.server import SampleServer
from orchestration.definitions import NIGHTLY, build_defs
from orchestration.refresh import prepare_instance
from orchestration.settings import Settings
from tests.house import House

CONNECTIONS = dg.AssetKey(["landing", "bayern", "verbindungen"])
DIRECTORY = dg.AssetKey(["landing", "deutschland", "gemeindeverzeichnis"])


@pytest.fixture
def bavaria(tmp_path: Path, environment: None) -> Iterator[tuple[Settings, SampleServer, Parameters]]:
    parameters = Parameters(laender=("09",), end="2026-03-15", dirty_share=0)  # type: ignore[arg-type]
    write_sample(tmp_path / "world", parameters)
    os.environ["ROLLIN_NOW"] = parameters.night.isoformat()
    with serve(tmp_path / "world" / "deliveries") as server:
        os.environ.update(server.environ)
        (tmp_path / "laender").mkdir()
        for name in ("bayern.yaml", "deutschland.yaml"):
            shutil.copy(PACKAGED / name, tmp_path / "laender")
        yield Settings(home=tmp_path / "home", laender=tmp_path / "laender"), server, parameters


def since(server: SampleServer, before: int) -> list[str | None]:
    """What the first page of each fetch of Bavaria's connections asked for, from a request on."""
    asked = [path for _, path, _ in server.requests[before:] if "/api/v1/verbindungen" in path and "page=0" in path]
    return [
        path.partition("geaendertSeit=")[2].partition("&")[0].replace("%3A", ":") if "geaendertSeit" in path else None
        for path in asked
    ]


def test_the_web_page_offers_one_run_for_any_range(tmp_path: Path, environment: None) -> None:
    settings = Settings(home=tmp_path, environ={})
    definitions = build_defs(settings)
    graph = definitions.resolve_asset_graph()
    partitioned = [node for node in graph.asset_nodes if node.is_partitioned]
    assert len(partitioned) > 8
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}
    job = definitions.resolve_job_def(NIGHTLY)
    assert job.partitions_def is not None and job.backfill_policy == dg.BackfillPolicy.single_run()
    # what the page starts outside the job runs in one process as well: a second one would find the home locked
    assert definitions.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor


def test_a_range_in_dagster_asks_again_from_its_first_day(
    bavaria: tuple[Settings, SampleServer, Parameters],
) -> None:
    settings, server, parameters = bavaria
    prepare_instance(settings)
    job = build_defs(settings).resolve_job_def(NIGHTLY)
    today = parameters.end.isoformat()
    chosen = [CONNECTIONS, DIRECTORY]
    with dg.DagsterInstance.ephemeral() as instance:
        clean = [dg.AssetKey(["clean", *key.path[1:]]) for key in chosen] + [dg.AssetKey(["clean", "deutschland", "competences"])]
        first = job.execute_in_process(partition_key=today, instance=instance, asset_selection=[*chosen, *clean])
        assert first.success and since(server, 0) == [None]
        before = len(server.requests)
        tags = {ASSET_PARTITION_RANGE_START_TAG: "2026-03-02", ASSET_PARTITION_RANGE_END_TAG: "2026-03-08"}
        again = job.execute_in_process(tags=tags, instance=instance, asset_selection=[*chosen, *clean])
        assert again.success
        assert since(server, before) == ["2026-03-01T23:00:00Z"]  # Berlin's midnight
        days = instance.get_materialized_partitions(CONNECTIONS)
        assert days == {today, *(f"2026-03-0{day}" for day in range(2, 9))}
        # one past day alone, as the page offers it too
        before = len(server.requests)
        assert job.execute_in_process(partition_key="2026-03-10", instance=instance, asset_selection=[CONNECTIONS]).success
        assert since(server, before) == ["2026-03-09T23:00:00Z"]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (
            date(2025, 12, 31),
            None,
            "--from 2025-12-31 lies outside the programme so far: name a day from 2026-01-01 to 2026-06-15",
        ),
        (date(2026, 6, 16), None, "--from 2026-06-16 lies outside"),
        (date(2026, 6, 1), date(2026, 6, 16), "--to 2026-06-16 lies outside"),
        (date(2026, 6, 9), date(2026, 6, 2), "exchange the two"),
        (None, date(2026, 6, 2), "name with --from"),
    ],
)
def test_days_that_cannot_be_are_refused_in_one_sentence(house: House, first: date | None, last: date | None, said: str) -> None:
    assert clock.day_of(house.now) == date(2026, 6, 15)
    result = house.night(again_from=first, again_to=last)
    assert (result.outcome, result.exit_code) == ("misconfigured", 2)
    assert said in result.message
