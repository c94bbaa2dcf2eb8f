"""A night in which nothing changed: every portal is asked conditionally or for changes, nothing is parsed, nothing is published."""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest import portals
from ingest.sample import Parameters, serve, write_sample
from orchestration.refresh import refresh
from orchestration.settings import Settings

PARAMETERS = Parameters(laender=("09", "06"), end="2026-03-31", dirty_share=0.0)  # type: ignore[arg-type]


def files(home: Path) -> set[Path]:
    return {path for folder in ("clean", "quarantine", "published") for path in (home / folder).rglob("*")}


def test_a_night_in_which_nothing_changed(tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample(tmp_path / "world", PARAMETERS)
    with serve(tmp_path / "world" / "deliveries") as server:
        os.environ.update(server.environ)
        settings = Settings(home=tmp_path / "home")  # the packaged Land files
        os.environ["ROLLIN_NOW"] = PARAMETERS.night.isoformat()
        first = refresh(settings)
        assert first.outcome == "published", first.message
        asked_first = len(server.requests)
        assert all(status != 304 for _, _, status in server.requests)

        known = files(settings.home)
        objects = set((settings.home / "landing" / "objects").rglob("*"))
        read: Counter[str] = Counter()
        for name, portal in portals.PORTALS.items():
            for method in ("read", "read_answers"):
                if hasattr(portal, method):
                    monkeypatch.setattr(type(portal), method, counted(read, name, getattr(type(portal), method)))
        server.requests.clear()
        os.environ["ROLLIN_NOW"] = (PARAMETERS.night + timedelta(seconds=30)).isoformat()
        begun = time.perf_counter()
        second = refresh(settings)
        seconds = time.perf_counter() - begun

        assert (second.outcome, second.exit_code) == ("unchanged", 0)
        assert "nothing" in second.message.lower()
        assert read == {}
        assert files(settings.home) == known
        tokens = [target for method, target, _ in server.requests if method == "POST"]
        assert all(target.startswith("/bayern/oauth/token") for target in tokens)
        asked = [(target, status) for method, target, status in server.requests if method == "GET"]
        since = [target for target, _ in asked if "geaendertSeit=" in target]
        # what may be new by its address is asked for once, from the beginning; an empty answer has no second page
        assert {target.split("?")[0] for target in since} == {"/bayern/api/v1/verbindungen", "/bayern/api/v1/nutzung"}
        assert len(since) == 2 and all("page=0&" in target for target in since)
        others = {target: status for target, status in asked if target not in since}
        assert others and set(others.values()) <= {304, 413}, others
        # a refusal (413: the export is too large) has nothing to compare; the pages that it leads to are conditional
        assert all("/export?" in target for target, status in others.items() if status == 413)
        brought = set((settings.home / "landing" / "objects").rglob("*")) - objects
        assert len([path for path in brought if path.is_file()]) <= len(since)  # the two empty pages

        legs = second.legs or {}
        print(
            f"{asked_first} requests, then {len(server.requests)}; {seconds:.1f} s, of which start-up "
            f"{1 - sum(legs.values()) / seconds:.0%}, fetching {legs.get('fetch', 0):.2f} s"
        )
        assert sum(legs.values()) < seconds


def counted(read: Counter[str], name: str, method: Any) -> Any:
    def counting(self: Any, *args: Any) -> Any:
        read[name] += 1
        return method(self, *args)

    return counting
