"""Dagster's books in a real PostgreSQL, by one variable, and its address in nothing that is written."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.event_log import PooledEventLogStorage
from orchestration.refresh import prepare_instance
from orchestration.settings import Settings, UsageError

PASSWORD = "Geheim-7f3a9c51"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL on loopback, in a folder of its own, run by a user that is not root."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL on this machine")
    folder = programs[-1].parent
    user = None
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            user = "nobody"
    data = Path(tempfile.mkdtemp(prefix="rollin-pg-"))
    if user is not None:
        shutil.chown(data, user)
    secret = data / "password"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, capture_output=True, user=user, cwd=data, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        )

    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    run(str(folder / "initdb"), "-D", str(data / "db"), "-U", "rollin", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
    options = f"-p {port} -h 127.0.0.1 -k {data} -F"
    run(str(folder / "pg_ctl"), "-D", str(data / "db"), "-l", str(data / "log"), "-o", options, "-w", "start")
    try:
        yield f"postgresql://rollin:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        run(str(folder / "pg_ctl"), "-D", str(data / "db"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(data, ignore_errors=True)


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="counted")])
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3}, check_results=[dg.AssetCheckResult(check_name="whole", passed=False)])


def test_runs_and_events_are_kept_in_postgres(postgres: str, tmp_path: Path, environment: None) -> None:
    pytest.importorskip("dagster_postgres")
    os.environ["ROLLIN_DAGSTER_POSTGRES_URL"] = postgres
    prepare_instance(Settings(home=tmp_path))
    written = (tmp_path / "dagster" / "dagster.yaml").read_text()
    assert "ROLLIN_DAGSTER_POSTGRES_URL" in written and PASSWORD not in written
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
