"""Sixteen analysts at once on a release: how long they wait for the ten worked questions of ``docs/questions.md``.

Belongs here: asking and timing. Does not: what the answers are (``tests/test_docs_questions.py``), nights (``benchmarks.night``).

Every analyst is a process of their own with the release open read-only, as their notebooks are, and asks all questions twice, each in
an order of their own, the next as soon as the last is answered: nobody thinks in between. Told is the time from question to rows.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import meter

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "questions.md"
ANALYSTS = 16
ROUNDS = 2
PUBLIC = (10,)  # asked of the public tier


def measure(release: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Seconds until an answer over all analysts and questions: median, 95th of a hundred, longest, and the median of every question."""
    command = [sys.executable, "-m", "benchmarks.analysts", str(release)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    begun = time.perf_counter()
    asking = [
        subprocess.Popen([*command, str(number)], env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for number in range(ANALYSTS)
    ]
    answers = [process.communicate()[0] for process in asking]
    if any(process.returncode for process in asking):
        raise meter.CommandError("An analyst got no answer: see above.")
    told = [json.loads(answer.splitlines()[-1]) for answer in answers]
    every = sorted(seconds for one in told for seconds in one["seconds"])
    by_question: dict[int, list[float]] = {}
    for one in told:
        for question, seconds in zip(one["questions"], one["seconds"], strict=True):
            by_question.setdefault(question, []).append(seconds)
    return {
        "analysts": ANALYSTS,
        "answers": len(every),
        "wall_seconds": round(time.perf_counter() - begun, 1),
        "median_seconds": round(statistics.median(every), 3),
        "p95_seconds": round(every[int(len(every) * 0.95)], 3),
        "longest_seconds": round(every[-1], 3),
        "medians_by_question": {str(q): round(statistics.median(times), 3) for q, times in sorted(by_question.items())},
    }


def ask(release: Path, number: int) -> dict[str, Any]:
    """One analyst: which questions (from 1) in which order, and the seconds until each was answered."""
    import duckdb

    queries = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    order = random.Random(number)
    questions, seconds = [], []
    with (
        duckdb.connect(str(release / "warehouse.duckdb"), read_only=True) as exact,
        duckdb.connect(str(release / "public" / "warehouse.duckdb"), read_only=True) as public,
    ):
        for connection in (exact, public):
            connection.execute("set TimeZone = 'UTC'")
        for _ in range(ROUNDS):
            for question in order.sample(range(1, len(queries) + 1), len(queries)):
                begun = time.perf_counter()
                (public if question in PUBLIC else exact).execute(queries[question - 1]).fetchall()
                questions.append(question)
                seconds.append(round(time.perf_counter() - begun, 4))
    return {"questions": questions, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(ask(Path(sys.argv[1]), int(sys.argv[2]))))
