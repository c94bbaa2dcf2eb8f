"""The files that run Rollin as a service: systemd reads them, a container engine can, and they name what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestration.cli import cli
from tests.conftest import ROOT

UNITS = ROOT / "deploy" / "systemd"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    for unit in UNITS.iterdir():
        # the program is where the units say only on a machine that they are installed on
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/rollin/.venv/bin/rollin", "/bin/true"))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(str(path) for path in tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    (tmp_path / "rollin-watch.service").write_text("[Service]\nType=oneshot\nExecStrat=/bin/true\n")
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "rollin-watch.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr != ""  # it looks


def test_units_start_commands_that_exist() -> None:
    started = re.findall(
        r"^ExecStart=(\S+/rollin) (.*)$", "\n".join(p.read_text() for p in UNITS.glob("*.service")), re.MULTILINE
    )
    assert len(started) == 3
    for _, arguments in started:
        name, *options = shlex.split(arguments)
        known = {option for parameter in cli.commands[name].params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known, arguments
    for timer in UNITS.glob("*.timer"):
        assert timer.with_suffix(".service").is_file() and "WantedBy=timers.target" in timer.read_text()


def instructions(path: Path) -> list[tuple[str, str]]:
    """(instruction, its arguments) of a container file, continued lines joined, comments left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_the_container_file_copies_what_there_is_and_runs_as_nobody_special() -> None:
    found = instructions(ROOT / "deploy" / "Containerfile")
    known = {"ARG", "FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in found} <= known and [name for name, _ in found][:2] == ["ARG", "FROM"]
    copied = [
        argument
        for name, arguments in found
        if name == "COPY" and "--from" not in arguments
        for argument in arguments.split()[:-1]
    ]
    assert copied and all((ROOT / one).exists() for one in copied)
    packages = re.search(r"^packages = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages and set(re.findall(r'"(\w+)"', packages[1])) <= set(copied)
    shell = "\n".join(arguments for name, arguments in found if name == "RUN")
    assert subprocess.run(["sh", "-n"], input=shell, text=True, check=False).returncode == 0
    last = dict(found)
    assert last["USER"] not in ("root", "0") and last["ENTRYPOINT"] == '["rollin"]' and last["CMD"] == '["refresh"]'
    assert "require-hashes" in shell


def test_the_environment_file_names_variables_that_are_read_and_holds_no_value_for_secrets() -> None:
    stated = dict(re.findall(r"^#?(ROLLIN_[A-Z_]+)=(.*)$", (ROOT / "deploy" / "rollin.env").read_text(), re.MULTILINE))
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("ingest", "orchestration", "dbt_project")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".yml")
    )
    assert len(stated) > 10 and [name for name in stated if name not in sources] == []
    assert stated["ROLLIN_BY_CLIENT_SECRET"] == ""
