"""The gate's page: it tells every result, shows no content of a row, asks no other host, and is left by every night that was judged."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expectations import page
from expectations.results import CheckResult
from orchestration import gate_report
from tests.house import House

DAY = dt.date(2026, 6, 15)
PERSON, SECRET = "Erika Mustermann", "s3cr3t-T0ken-of-the-portal-0123456789abcdef"

GOOD = CheckResult(
    "release", "core.fct_cost", "grain_unique", None, "error", True, False, "0 row(s)", "one row", 0, "Eindeutig.", "Unique."
)
BAD = dataclasses.replace(
    GOOD,
    name="reference_known",
    column="authority_id",
    passed=False,
    observed=f"2 row(s): https://portal.example/x?key={SECRET}; erika@example.org",
    unexpected_count=2,
    examples=[
        {"land_code": "06", "entry_id": PERSON, "authority_id": "jugendamt/06411"},
        {"land_code": PERSON, "as_of": "2026-06-15"},
    ],
)
BROKEN = dataclasses.replace(
    GOOD, name="numbers_finite", passed=False, is_broken=True, observed=f"Could not convert string '{PERSON}' to INT32"
)
WARNED = dataclasses.replace(GOOD, name="keys_kept", severity="warn", passed=False, observed="1 row(s)")


def rendered(*results: CheckResult, **also: Any) -> str:
    usual: dict[str, Any] = {"run_id": "run-1", "as_of": DAY, "outcome": "refused", "message": "", "is_synthetic": True}
    return page.render(**{**usual, **also}, results=[result.to_dict() for result in results])


def text(document: str) -> str:
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", document, flags=re.S)).split())


def test_every_result_is_told_in_german_and_english() -> None:
    told = text(rendered(GOOD, BAD, BROKEN, WARNED))
    for result in (GOOD, BAD, BROKEN, WARNED):
        assert result.name in told
    assert "Eindeutig. Unique." in told
    assert "Zurückgewiesen: nichts wird veröffentlicht" in told
    assert "1 bestanden passed , 1 Hinweise warnings , 1 nicht bestanden failed , 1 konnten nicht laufen could not run" in told
    assert "Prüfung konnte nicht laufen check could not run" in told
    assert "2 Zeile(n)" in told
    assert "Synthetische Daten" in told
    assert "Synthetische Daten" not in text(rendered(GOOD, is_synthetic=False))


def test_no_content_of_a_row_is_shown_but_official_keys() -> None:
    delivery = {
        "land_code": "06",
        "source": "kosten",
        "delivery_id": "d",
        "is_admitted": False,
        "refusal_de": f"Antwort von https://u:{SECRET}@portal.example/",
        "refusal_en": f"token={SECRET}",
        "checks": [BAD.to_dict(), BROKEN.to_dict()],
    }
    document = rendered(BAD, BROKEN, message=f"Bearer {SECRET} wurde abgelehnt", deliveries=[delivery])
    for content in (PERSON, "Mustermann", SECRET, "erika@", "portal.example"):
        assert content not in document
    told = text(document)
    assert "jugendamt/06411" in told
    assert "06 sha256 " in told
    assert "2026-06-15" in told


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("land_code", "06", True),
        ("land_code", "Max", False),
        ("authority_id", "jugendamt/06411", True),
        ("authority_id", "max/mustermann", False),
        ("entry_id", "HE-1", False),
        ("url", "https://x.example/?id=1", False),
        ("stratum", "Max", False),
        ("phase", "operational", True),
        ("phase", "Max Mustermann", False),
        ("as_of", "2026-06-15", True),
        ("wave", 3, True),
        ("wave", None, True),
    ],
)
def test_keys_are_shown_by_their_shape(column: str, value: Any, shown: bool) -> None:
    [told] = page.safe_example({column: value}).values()
    assert (told == ("NULL" if value is None else str(value))) == shown


def test_markup_from_a_delivery_stays_text() -> None:
    document = rendered(dataclasses.replace(BAD, observed="<script>alert(1)</script>", expected="<b>"), message="<img src=x>")
    assert "<script" not in document
    assert "<img" not in document
    assert "&lt;script&gt;" in document


def test_the_page_asks_no_other_host() -> None:
    document = rendered(GOOD, BAD)
    assert "default-src 'none'" in document
    assert not re.search(r"(?:src|href|action)\s*=|@import|url\(", document)


def test_the_trend_shows_checks_that_ever_failed() -> None:
    night = page.Night(
        DAY - dt.timedelta(days=1), "passed", {page.identity(BAD.to_dict()): "passed", page.identity(WARNED.to_dict()): "warn"}
    )
    now = page.Night(DAY, "refused", {page.identity(r.to_dict()): page.state_of(r.to_dict()) for r in (GOOD, BAD, WARNED)})
    document = rendered(GOOD, BAD, WARNED, nights=[night, now])
    assert document.count('<i class="passed" title="2026-06-14">') == 2  # as stood out, and among all
    assert '<i class="error" title="2026-06-15">' in document
    assert "2026-06-15: refused, ✕ 1, ! 1" in document
    assert "2026-06-14: passed, ✕ 0, ! 1" in document


def a_night(home: Path, run_id: str, day: dt.date, *, as_of: dt.date | None = None) -> Any:
    build = home / "build"
    settings = SimpleNamespace(build=build, as_of=as_of, current=home / "published" / "current", has_report=True)
    (build / run_id).mkdir(parents=True)
    return SimpleNamespace(run_id=run_id, as_of=day, folder=build / run_id, settings=settings, states={})


def test_every_judged_night_leaves_a_page_and_is_remembered(tmp_path: Path) -> None:
    outcomes = [("passed", [GOOD]), ("refused", [BAD]), ("no_data", [])]
    for number, (outcome, results) in enumerate(outcomes):
        night = a_night(tmp_path, f"run-{number}", DAY + dt.timedelta(days=number))
        path = gate_report.write(night, [r.to_dict() for r in results], outcome=outcome, message="Es fehlt etwas.")
        assert path == tmp_path / "build" / f"run-{number}" / "gate" / "index.html"
    told = path.read_text(encoding="utf-8")
    assert "Es fehlen zulässige Daten" in told
    assert [f"2026-06-{15 + n}: {outcome}" in told for n, (outcome, _) in enumerate(outcomes)] == [True] * 3


def test_a_page_leads_to_the_report_of_what_holds(tmp_path: Path) -> None:
    def told(run_id: str, outcome: str) -> str:
        return gate_report.write(a_night(tmp_path, run_id, DAY), [], outcome=outcome).read_text(encoding="utf-8")

    assert "report/index.html" not in told("first", "refused")  # nothing holds yet
    assert 'href="../report/index.html"' in told("second", "passed")
    current = tmp_path / "published" / "current" / "report" / "index.html"
    current.parent.mkdir(parents=True)
    current.touch()
    page = told("third", "refused")
    [address] = re.findall(r'href="([^"]*)"', page)
    assert (tmp_path / "build" / "third" / "gate" / address).resolve() == current.resolve() and "Was weiter gilt" in page


def test_a_rebuilt_past_and_a_damaged_memory_are_no_nights_of_the_trend(tmp_path: Path) -> None:
    gate_report.write(a_night(tmp_path, "past", DAY, as_of=DAY), [BAD.to_dict()], outcome="refused")
    damaged = a_night(tmp_path, "damaged", DAY)
    (damaged.folder / "gate-states.json").write_text('{"day": ')
    path = gate_report.write(a_night(tmp_path, "now", DAY), [GOOD.to_dict()], outcome="passed")
    assert path.read_text(encoding="utf-8").count("<rect") == 2  # this night's two bars


def test_a_release_holds_the_page_of_its_night(published: House) -> None:
    release = published.settings.current
    document = (release / "gate" / "index.html").read_text(encoding="utf-8")
    audit = json.loads((release / "audit.json").read_text(encoding="utf-8"))
    told = text(document)
    assert audit["run_id"] in told
    assert {r["table"] or "dbt" for r in audit["results"]} <= set(told.split())
    assert "Die Prüfung ist bestanden." in told
    assert "Synthetische Daten" in told
    assert "gate/index.html" in (release / "SHA256SUMS").read_text(encoding="utf-8")
    assert not (release / "public" / "gate").exists()
    assert len(document) < 700_000
