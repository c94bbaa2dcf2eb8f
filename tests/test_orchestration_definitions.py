"""What Dagster is given: every asset named, owned and described, one job in one process, the schedule on, the release behind the gate."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import dagster as dg
import pytest

from orchestration import assets, publication, warehouse
from orchestration.definitions import NIGHTLY, build_defs
from orchestration.refresh import prepare_instance, read_run
from orchestration.settings import Settings
from tests.conftest import SampleNight


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    before = dict(os.environ)
    yield Settings(home=tmp_path_factory.mktemp("home"), environ={})
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_defs(settings)


def test_every_asset_is_grouped_owned_and_described(definitions: dg.Definitions) -> None:
    specs = list(definitions.resolve_all_asset_specs())
    assert len(specs) > 80
    for spec in specs:
        name = spec.key.to_user_string()
        assert spec.group_name not in (None, "default"), name
        assert spec.owners == assets.OWNERS, name
        assert spec.description and len(spec.description) > 10, name


def test_the_project_is_parsed_once_and_again_where_what_was_kept_is_not_whole(
    settings: Settings, definitions: dg.Definitions
) -> None:
    kept = settings.build / "dbt" / warehouse.PARSED
    whole, at = kept.read_bytes(), kept.stat().st_mtime_ns
    warehouse.prepare(settings)
    assert kept.stat().st_mtime_ns == at
    kept.write_bytes(whole[: len(whole) // 2])  # as after a power cut
    warehouse.prepare(settings)
    assert len(warehouse.read_parsed(kept.read_bytes()).nodes) > 300


def test_the_job_is_the_whole_night_in_one_process(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def(NIGHTLY)
    assert job.executor_def is dg.in_process_executor
    selected = job.asset_layer.executable_asset_keys
    assert {spec.key for spec in definitions.resolve_all_asset_specs()} <= set(selected)


def test_the_schedule_is_on_at_two_in_berlin(definitions: dg.Definitions) -> None:
    [schedule] = definitions.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_lineage_runs_from_the_portals_bytes_to_the_release(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def upstream(*key: str) -> set[str]:
        found: set[str] = set()
        waiting = [dg.AssetKey(list(key))]
        while waiting:
            for parent in graph.get(waiting.pop()).parent_keys:
                if parent.to_user_string() not in found:
                    found.add(parent.to_user_string())
                    waiting.append(parent)
        return found

    assert {
        "release/audit",
        "metrics/coverage_daily",
        "inputs/connections",
        "clean/bayern/verbindungen",
        "landing/hessen/kosten",
        "landing/deutschland/gemeindeverzeichnis",
    } <= upstream("release", "current")
    assert "clean/deutschland/competences" in upstream("clean", "bayern", "verbindungen")
    assert graph.get(assets.RELEASE).parent_keys == {assets.AUDIT}


def test_the_gate_blocks(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    [gate] = [graph.get_check_spec(key) for key in graph.get_check_keys_for_assets({assets.AUDIT})]
    assert gate.blocking


def test_what_is_fetched_is_partitioned_by_day_and_fresh(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        if spec.key.path[0] == "landing":
            assert isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
            assert spec.freshness_policy is not None
    [release] = [spec for spec in definitions.resolve_all_asset_specs() if spec.key == assets.RELEASE]
    assert release.freshness_policy is not None


def test_a_clock_set_ahead_has_its_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLIN_NOW", "2031-05-01T02:00:00+02:00")
    assert assets.nights().has_partition_key("2031-05-01")
    monkeypatch.setenv("ROLLIN_NOW", "2026-02-01T02:00:00+01:00")
    assert assets.nights().has_partition_key("2026-02-01")


def test_a_part_of_the_night_publishes_nothing(settings: Settings, definitions: dg.Definitions) -> None:
    prepare_instance(settings)
    result = definitions.resolve_job_def(NIGHTLY).execute_in_process(
        asset_selection=[dg.AssetKey(["landing", "bayern", "verbindungen"])], partition_key="2026-10-31", raise_on_error=False
    )
    assert result.success  # not configured: skipped and reported
    record = read_run(settings, result.run_id)
    assert record is not None
    assert (record["outcome"], record["release_id"]) == ("incomplete", None)
    assert publication.release_ids(settings) == []
    [event] = result.asset_materializations_for_node("landing__bayern__verbindungen")
    assert event.metadata["status"].value == "not_configured"


def test_a_night_shows_every_model_and_test_in_dagster(sample_night: SampleNight, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event class that turns dbt's events into Dagster's is undocumented: this is what would break with it."""
    monkeypatch.setenv("DAGSTER_HOME", str(sample_night.home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        keys = {key.to_user_string() for key in instance.all_asset_keys()}
        [run] = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    audit = json.loads((sample_night.release / "audit.json").read_text())
    marts = {f"{n.parent.name}/{n.stem}" for n in sample_night.release.glob("parquet/*/*.parquet")}
    marts -= {f"meta/{name}" for name in publication._OWN}
    assert marts <= keys
    assert {key.rsplit("/", 1)[-1] for key in keys} >= set(audit["rebuilt"])
    tests = [result for result in audit["results"] if result["suite"] == "dbt"]
    assert len(tests) > 90 and all(test["passed"] for test in tests if test["severity"] == "error")
    assert len(events) > 60
