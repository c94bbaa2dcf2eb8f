"""Dagster's books in a real PostgreSQL, by one variable, and its address in nothing that is written."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from orchestration.event_log import PooledEventLogStorage
from orchestration.refresh import prepare_instance
from orchestration.settings import Settings, UsageError
from tests.postgres import PASSWORD, Postgres


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="counted")])
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3}, check_results=[dg.AssetCheckResult(check_name="whole", passed=False)])


def test_runs_and_events_are_kept_in_postgres(postgres: Postgres, tmp_path: Path, environment: None) -> None:
    address = postgres.new_database("dagster")
    os.environ["ROLLIN_DAGSTER_POSTGRES_URL"] = address
    prepare_instance(Settings(home=tmp_path))
    written = (tmp_path / "dagster" / "dagster.yaml").read_text()
    assert "ROLLIN_DAGSTER_POSTGRES_URL" in written and "127.0.0.1" not in written
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        kinds = {type(one).__name__ for one in (instance.event_log_storage, instance.run_storage, instance.schedule_storage)}
        assert kinds == {"PostgresEventLogStorage", "PostgresRunStorage", "PostgresScheduleStorage"}
        run = dg.materialize([counted], instance=instance)
        assert run.success
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:  # another process would see it as this one does
        [kept] = instance.get_runs()
        assert kept.run_id == run.run_id and kept.status == dg.DagsterRunStatus.SUCCESS
        assert instance.get_latest_materialization_event(dg.AssetKey("counted")) is not None
        [record] = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("counted"), "whole"), limit=9
        )
        assert record.status.value == "FAILED"
    assert list((tmp_path / "dagster").rglob("*.db")) == []

    # without the variable: files again, and a file that somebody wrote is nobody else's
    del os.environ["ROLLIN_DAGSTER_POSTGRES_URL"]
    prepare_instance(Settings(home=tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)
    own = written + "\n# mine\n"
    (tmp_path / "dagster" / "dagster.yaml").write_text(own)
    prepare_instance(Settings(home=tmp_path))
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == own


def test_without_the_library_it_says_what_to_install(tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    os.environ["ROLLIN_DAGSTER_POSTGRES_URL"] = f"postgresql://rollin:{PASSWORD}@127.0.0.1/x"
    with pytest.raises(UsageError, match=r"install rollin\[postgres\]") as refused:
        prepare_instance(Settings(home=tmp_path))
    assert PASSWORD not in str(refused.value)
