"""Log lines for programs: one JSON document each, whatever is in the message."""

from __future__ import annotations

import json
import logging

import pytest

from orchestration import progress
from orchestration.settings import UsageError


def test_each_line_is_a_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ROLLIN_LOG", "json")
    token = progress.run_id.set("7c7d680b")
    log = logging.getLogger("rollin.night")
    try:
        with progress.show_progress():
            log.info('%s\nZeile zwei mit "Anführung" und ü', "Zeile eins")
            log.debug("not told")
            try:
                raise ValueError("kaputt")
            except ValueError:
                log.warning("mit Spur", exc_info=True)
    finally:
        progress.run_id.reset(token)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == 'Zeile eins\nZeile zwei mit "Anführung" und ü'
    assert (first["level"], first["logger"], first["run_id"]) == ("info", "rollin.night", "7c7d680b")
    assert first["at"].endswith("+00:00") and "traceback" not in first
    assert second["level"] == "warning" and "ValueError: kaputt" in second["traceback"]


def test_an_unknown_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLIN_LOG", "xml")
    with pytest.raises(UsageError, match="json or text"), progress.show_progress():
        pass
