"""The heavy models on Spark: what the Python of the Spark environment runs. Belongs here: dbt's call, copies to the cluster's storage
and back. Does not: which parts are missing, where they are kept (``spark``).

Imports nothing of Rollin: ``python -I spark_job.py JOB`` in an environment that holds dbt-spark and pyspark. JOB is a JSON document of
``spark.compute``; what went wrong is written beside it, as ``error.txt``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

_END_SECONDS = 60


def main(path: Path) -> int:
    """Copy the inputs to where Spark reads, compute, copy back; the exit code. Ends at once when its standard input does."""
    threading.Thread(target=_end_with_the_night, daemon=True).start()
    job = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent
    try:
        storage = _Storage(job["storage"]) if job["storage"] else None
        if storage is not None:
            storage.put(folder / "inputs")
        try:
            try:
                compute(job)
            finally:
                end_session()
            if storage is not None:
                storage.get(folder / "results")
        finally:
            if storage is not None:
                storage.clear()
    except Exception as error:  # the other side tells it
        (folder / "error.txt").write_text(" ".join(f"{type(error).__name__}: {error}".split()), encoding="utf-8")
        raise
    return 0


def _end_with_the_night() -> None:
    """Whoever started us holds the other end, and lets it go however it dies. Our Java does the same with us."""
    os.read(0, 1)  # not sys.stdin, which Python wants to itself when it ends
    os._exit(143)


def compute(job: dict[str, Any]) -> None:
    """Run the models of a job by dbt. Raises RuntimeError with the first thing that Spark or dbt complains of."""
    from dbt.cli.main import dbtRunner

    project = job["project"]
    outcome = dbtRunner().invoke(
        [
            "--no-populate-cache",
            "--no-write-json",
            "--log-level-file",
            "none",
            "run",
            "--select",
            *job["models"],
            "--target",
            job["target"],
            "--project-dir",
            project,
            "--profiles-dir",
            project,
        ]
    )
    if outcome.exception is not None:
        raise RuntimeError(str(outcome.exception))
    results: Any = outcome.result or []
    failed = [f"{result.node.name}: {result.message}" for result in results if str(result.status) != "success"]
    if failed or not outcome.success:
        raise RuntimeError("; ".join(failed) or "dbt ran no model")


def end_session() -> None:
    """End a Spark that runs in this process and wait until its Java is gone: its memory and its folder are needed."""
    context: Any = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    gateway = getattr(context, "_gateway", None)
    if gateway is not None:
        if context._active_spark_context is not None:
            context._active_spark_context.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(_END_SECONDS)


class _Storage:
    """A folder that Spark and this machine reach: a path, or s3:// with the variables that AWS's own tools read."""

    def __init__(self, address: str):
        from pyarrow import fs

        self.files, self.folder = fs.FileSystem.from_uri(address.replace("s3a://", "s3://", 1))

    def put(self, inputs: Path) -> None:
        from pyarrow import fs

        target = f"{self.folder}/inputs"
        self.files.create_dir(target)
        fs.copy_files(str(inputs), target, fs.LocalFileSystem(), self.files)

    def get(self, results: Path) -> None:
        from pyarrow import fs

        results.mkdir(exist_ok=True)
        fs.copy_files(f"{self.folder}/results", str(results), self.files, fs.LocalFileSystem())

    def clear(self) -> None:
        self.files.delete_dir(self.folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
