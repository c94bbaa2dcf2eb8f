"""Dagster's event log on open connections: what it writes is what Dagster's own storage reads, and a night's home holds nothing else."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

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


def test_a_home_that_moved_keeps_its_log(tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_instance(Settings(home=tmp_path / "before"))
    with dg.DagsterInstance.from_config(str(tmp_path / "before" / "dagster")) as instance:
        run = dg.materialize([counted], instance=instance)
    (tmp_path / "before").rename(tmp_path / "after")
    prepare_instance(Settings(home=tmp_path / "after"))
    with dg.DagsterInstance.from_config(str(tmp_path / "after" / "dagster")) as instance:
        assert instance.all_logs(run.run_id)
