"""What a process and its parts cost: wall and CPU seconds, peak memory, bytes read and written.

Belongs here: reading the kernel's books (Linux, ``/proc``), for a child process, for a tree of them, and for the legs of a night within its
own process. Does not: what is measured (``benchmarks.night``, ``benchmarks.rivals``).

``python -m benchmarks.meter LEGS.json refresh …`` runs ``rollin refresh …`` and writes what every leg of the night cost. Bytes are those that
system calls asked for (``rchar``, ``wchar``: also what came from memory; files mapped into memory are not counted) and those that reached
the disk (``read_bytes``, ``write_bytes``). Peak memory of a leg is the process's high-water mark within it, what it held before included.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_MB = 1_000_000
_PROC = Path("/proc")
_IO = ("rchar", "wchar", "read_bytes", "write_bytes")


class CommandError(Exception):
    """A command that was to be measured did not end with 0."""


@dataclass
class Cost:
    """What something took. MB are 1,000,000 bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    read_mb: float = 0.0
    written_mb: float = 0.0
    disk_read_mb: float = 0.0
    disk_written_mb: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """The numbers, rounded to what they are worth."""
        return {name: round(value, 3 if "seconds" in name else 1) for name, value in asdict(self).items()}


def _books(pid: int | str) -> dict[str, int] | None:
    """The bytes of a process since it began; None where it is gone or is nobody's business."""
    try:
        lines = (_PROC / str(pid) / "io").read_text().splitlines()
    except OSError:
        return None
    read = dict(line.split(": ") for line in lines)
    return {name: int(read[name]) for name in _IO}


def _peak_mb(pid: int | str) -> float:
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 / _MB if found else 0.0


@contextlib.contextmanager
def leg(into: Cost) -> Iterator[None]:
    """Add what a part of this process costs to ``into``."""
    before, wall, cpu = _books("self"), time.perf_counter(), _cpu_seconds()
    with contextlib.suppress(OSError):
        (_PROC / "self" / "clear_refs").write_text("5")  # the high-water mark begins anew
    try:
        yield
    finally:
        into.seconds += time.perf_counter() - wall
        into.cpu_seconds += _cpu_seconds() - cpu
        into.peak_mb = max(into.peak_mb, _peak_mb("self"))
        after = _books("self")
        if before is not None and after is not None:
            _add(into, {name: after[name] - before[name] for name in _IO})


def _cpu_seconds() -> float:
    """Of this process and of the children that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _add(cost: Cost, books: Mapping[str, int]) -> None:
    cost.read_mb += books["rchar"] / _MB
    cost.written_mb += books["wchar"] / _MB
    cost.disk_read_mb += books["read_bytes"] / _MB
    cost.disk_written_mb += books["write_bytes"] / _MB


class Tree(threading.Thread):
    """Watches a process and its descendants: the bytes of each, as last seen, and the most memory that they held together.

    Memory is that of their own and their part of what they share (PSS). What a short-lived process did after the last look is missed.
    A look walks all pages of a process; of many gigabytes it is taken less often, so that the watching costs a hundredth of a core at most.
    """

    def __init__(self, pid: int, every_seconds: float = 0.5):
        super().__init__(daemon=True)
        self._pid, self._every = pid, every_seconds
        self._ended = threading.Event()
        self._seen: dict[int, dict[str, int]] = {}
        self.peak_mb = 0.0

    def run(self) -> None:
        """Look until told to stop."""
        pause = self._every
        while not self._ended.wait(pause):
            begun = time.perf_counter()
            self.look()
            pause = max(self._every, 100 * (time.perf_counter() - begun))

    def look(self) -> None:
        """Read the books of all processes of the tree."""
        held = 0.0
        for pid in self._members():
            if (books := _books(pid)) is not None:
                self._seen[pid] = books
            with contextlib.suppress(OSError, StopIteration):
                lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
                held += int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024 / _MB
        self.peak_mb = max(self.peak_mb, held)

    def stop(self) -> dict[str, int]:
        """End watching; the bytes of all that was seen."""
        self._ended.set()
        self.join()
        return {name: self.bytes(name) for name in _IO}

    def bytes(self, name: str) -> int:
        """What all that was seen had read (rchar, read_bytes) or written (wchar, write_bytes)."""
        return sum(books[name] for books in self._seen.values())

    def _members(self) -> list[int]:
        found, more = [], [self._pid]
        while more:
            pid = more.pop()
            found.append(pid)
            for task in (_PROC / str(pid) / "task").glob("*/children"):
                with contextlib.suppress(OSError):
                    more += [int(child) for child in task.read_text().split()]
        return found


def run(command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path) -> tuple[Cost, str]:
    """The cost of a command, its children included, and what it printed. Raises CommandError where it does not end with 0."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, env=dict(environ), cwd=cwd)
        tree = Tree(process.pid)
        tree.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        books = tree.stop()
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode:
        shown = " ".join(str(part) for part in command)
        raise CommandError(f"{shown} ended with {process.returncode}:\n{output[-2000:]}{errors[-2000:]}")
    peak = usage.ru_maxrss * 1024 / _MB  # of the largest process; the tree's sum where that is more
    cost = Cost(seconds, usage.ru_utime + usage.ru_stime, max(peak, tree.peak_mb))
    _add(cost, books)
    return cost, output


def main() -> None:
    """Run the command line of Rollin with every leg of the night measured; of a publication what the report and the workbook cost apart."""
    path = Path(sys.argv.pop(1))
    from orchestration import publication, report
    from orchestration.cli import main as rollin
    from orchestration.night import Night

    costs: dict[str, Cost] = {}
    counted = Night.leg

    @contextlib.contextmanager
    def measured(self: Night, name: str) -> Iterator[None]:
        with leg(costs.setdefault(name, Cost())), counted(self, name):
            yield

    def apart(module: Any, function: str, name: str) -> None:
        called = getattr(module, function)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            cost = Cost()
            try:
                with leg(cost):
                    return called(*arguments, **options)
            finally:
                _move(cost, costs["publish"], costs.setdefault(name, Cost()))

        setattr(module, function, wrapped)

    Night.leg = measured  # type: ignore[method-assign]
    apart(report, "write", "report")
    apart(publication, "_write_workbook", "workbook")
    try:
        rollin()
    finally:
        document: dict[str, Any] = {name: cost.to_dict() for name, cost in costs.items()}
        path.write_text(json.dumps(document), encoding="utf-8")


def _move(part: Cost, whole: Cost, own: Cost) -> None:
    """Count a part of a leg as a leg of its own."""
    for name, value in asdict(part).items():
        if name == "peak_mb":
            own.peak_mb = max(own.peak_mb, part.peak_mb)
            whole.peak_mb = max(whole.peak_mb, part.peak_mb)
        else:
            setattr(own, name, getattr(own, name) + value)
            setattr(whole, name, getattr(whole, name) - value)


if __name__ == "__main__":
    main()
