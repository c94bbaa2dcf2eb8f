"""Journals: a line is there whole or not at all, and a line cut short by a kill costs nothing but itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestration import journal

START = datetime(2026, 6, 1, tzinfo=UTC)


def test_what_is_added_is_read_in_order_up_to_an_instant(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.jsonl"
    assert journal.read(path, START) == []
    for day in range(3):
        journal.append(path, START + timedelta(days=day), {"day": day, "text": "zurückgezogen\nweil"})
    assert [entry["day"] for entry in journal.read(path, START + timedelta(days=1))] == [0, 1]
    assert journal.read(path, START)[0]["text"] == "zurückgezogen\nweil"


@given(cut=st.integers(min_value=0, max_value=200))
def test_a_line_that_was_cut_short_costs_itself_alone(tmp_path_factory, cut: int) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("journal") / "x.jsonl"
    for number in range(2):
        journal.append(path, START, {"number": number})
    whole = path.read_bytes()
    end = whole.index(b"\n") + 1 + cut
    path.write_bytes(whole[:end])
    journal.append(path, START, {"number": 2})
    numbers = [entry["number"] for entry in journal.read(path, START)]
    is_cut = len(whole[:end]) < len(whole) - 1
    assert numbers == ([0, 2] if is_cut else [0, 1, 2])
    for line in path.read_bytes().splitlines()[-1:]:
        assert json.loads(line)["number"] == 2
