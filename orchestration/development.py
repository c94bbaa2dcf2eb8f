"""``rollin dev``: Dagster's own web page on one machine. Belongs here: starting and stopping it. Does not: definitions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from orchestration.settings import QUIET, Settings

#: Dagster's processes do not always end when asked to; after this they are ended.
_GRACE_SECONDS = 10.0


def serve(settings: Settings, port: int) -> int:
    """Run ``dagster dev`` on loopback until interrupted; returns its exit code. A sample world is served beside it."""
    from orchestration.refresh import prepare_instance, sample_world

    prepare_instance(settings)
    environ = {**os.environ, **QUIET, "ROLLIN_HOME": str(settings.home), "DAGSTER_HOME": str(settings.home / "dagster")}
    if settings.laender:
        environ["ROLLIN_LAENDER"] = str(settings.laender)
    with contextlib.ExitStack() as stack:
        if settings.is_sample:
            _, extra = stack.enter_context(sample_world(settings))
            environ |= extra | {"ROLLIN_SAMPLE": "1"}
        command = [
            sys.executable,
            "-m",
            "dagster",
            "dev",
            "-m",
            "orchestration.code_location",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor's wish is an interruption like any other
        process = subprocess.Popen(command, env=environ, start_new_session=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_GRACE_SECONDS)
            if number == signal.SIGINT:
                os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
            return
