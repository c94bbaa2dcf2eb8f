"""Dagster's event log on open connections: what it writes is what Dagster's own storage reads, and a night's home holds nothing else."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from orchestration import refresh
from orchestration.event_log import PooledEventLogStorage
from orchestration.refresh import prepare_instance
from orchestration.settings import Settings


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="counted")])
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3}, check_results=[dg.AssetCheckResult(check_name="whole", passed=False)])


def test_dagsters_own_storage_reads_what_was_logged(tmp_path: Path, environment: None) -> None:
    prepare_instance(Settings(home=tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)
        run = dg.materialize([counted], instance=instance)
        logged = [event.message for event in instance.all_logs(run.run_id)]
    assert run.success and logged
    own = SqliteEventLogStorage(str(tmp_path / "dagster" / "history" / "runs"))
    assert [event.message for event in own.get_logs_for_run(run.run_id)] == logged
    [key] = own.all_asset_keys()
    assert key == dg.AssetKey("counted")
    [record] = own.get_asset_check_execution_history(dg.AssetCheckKey(key, "whole"), limit=9)
    assert record.status.value == "FAILED"


def test_old_runs_are_forgotten_and_what_is_there_stays_known(
    tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    prepare_instance(settings)
    history, key = tmp_path / "dagster" / "history" / "runs", dg.AssetCheckKey(dg.AssetKey("counted"), "whole")
    monkeypatch.setattr(refresh, "RUNS_REMEMBERED", 2)
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        runs = []
        for _ in range(4):
            runs.append(dg.materialize([counted], instance=instance).run_id)
            (tmp_path / "dagster" / "storage" / runs[-1]).mkdir(parents=True, exist_ok=True)
            refresh.forget_old_runs(settings, instance)
        assert [run.run_id for run in instance.get_runs()] == runs[:1:-1]
        checks = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert [check.run_id for check in checks] == runs[:1:-1]
        assert instance.all_logs(runs[2]) and instance.all_logs(runs[3])
        known = instance.get_latest_materialization_event(dg.AssetKey("counted"))
        assert known and known.run_id == runs[3]
    files = {path.name.removesuffix("-wal").removesuffix("-shm") for path in history.glob("*.db*")}
    assert {f"{run}.db" for run in runs} & files <= {f"{run}.db" for run in runs[2:]}, files
    assert {path.name for path in (tmp_path / "dagster" / "storage").iterdir()} >= set(runs[2:])
    assert not {path.name for path in (tmp_path / "dagster" / "storage").iterdir()} & set(runs[:2])


def test_a_home_that_moved_keeps_its_log(tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_instance(Settings(home=tmp_path / "before"))
    with dg.DagsterInstance.from_config(str(tmp_path / "before" / "dagster")) as instance:
        run = dg.materialize([counted], instance=instance)
    (tmp_path / "before").rename(tmp_path / "after")
    prepare_instance(Settings(home=tmp_path / "after"))
    with dg.DagsterInstance.from_config(str(tmp_path / "after" / "dagster")) as instance:
        assert instance.all_logs(run.run_id)
