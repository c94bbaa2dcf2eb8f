"""One night after another in one home: what breaks, what is carried forward, what is refused.

The nights run in this process, on a small world (Hessen up to June 2026) delivered as files.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration import publication, warehouse
from orchestration.refresh import read_run
from tests.house import House, set_max_age


def test_broken_deliveries_leave_their_predecessors_in_force(house: House) -> None:
    """Six sources break in seven ways in one night: each is named in one sentence, and the release stands on what was there."""
    before = dict(
        house.query("select service_id, authorities_operational from metrics.coverage_daily where as_of = '2026-06-15'")
    )
    cost = house.query("select sum(amount_eur) from core.fct_cost")
    costs, usage = sorted(house.delivery("06").glob("kosten-*.csv"))[-1], sorted(house.delivery("06").glob("nutzung-*.csv"))[-1]
    # HTML instead of CSV, as a new file of the folder
    costs.with_name("kosten-2026-06-nachtrag.csv").write_text("<!DOCTYPE html><html><body>503 Service Unavailable</body></html>")
    # another Land's authorities, as another new file
    entries = costs.read_text("cp1252").splitlines()
    key = entries[0].split(";").index("Schlüssel")
    foreign = [";".join("09161" if i == key else cell for i, cell in enumerate(line.split(";"))) for line in entries[1:]]
    costs.with_name("kosten-2026-06-fremd.csv").write_text("\n".join([entries[0], *foreign]) + "\n", "cp1252")
    # all counts negative
    lines = usage.read_text("cp1252").splitlines()
    header = lines[0].split(";")
    place = header.index("eingereicht")
    negative = [";".join("-5" if i == place else cell for i, cell in enumerate(line.split(";"))) for line in lines[1:]]
    usage.with_name("nutzung-2026-06-nachtrag.csv").write_text("\n".join([lines[0], *negative]) + "\n", "cp1252")
    # a truncated workbook
    workbook = house.delivery("06/anbindungen.xlsx")
    workbook.write_bytes(workbook.read_bytes()[: workbook.stat().st_size // 2])
    # a zip bomb in place of the directory
    with zipfile.ZipFile(house.delivery("00/GV100AD.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("GV100AD.txt", b"0" * 300_000_000)
    # half of the catalogue's rows are gone
    listings = house.delivery("00/open-pvog.csv")
    listed = listings.read_text().splitlines()
    listings.write_text("\n".join(listed[: len(listed) // 2]) + "\n")
    # columns renamed
    cases = house.delivery("06/fallzahlen.xlsx")
    frame = pl.read_excel(cases, sheet_name="Fallzahlen", read_options={"header_row": 2})
    frame.rename({"Fälle": "Anzahl"}).write_excel(cases, worksheet="Fallzahlen", position="A3")

    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("published", 0), result.message
    state = {row[0]: row[1:] for row in house.query("select source, status, message_de from meta.source_status")}
    for source in ("kosten", "nutzung", "anbindungen", "gemeindeverzeichnis", "datahub", "fallzahlen"):
        status, message = state[source]
        assert status == "stale", (source, status, message)
        assert message and message.rstrip().endswith("."), (source, message)
    assert (
        dict(house.query("select service_id, authorities_operational from metrics.coverage_daily where as_of = '2026-06-16'"))
        == before
    )
    assert house.query("select sum(amount_eur) from core.fct_cost") == cost
    refused = house.query("select count(*) from meta.delivery where not is_admitted and refusal_de is not null")[0][0]
    assert refused >= 6
    refusals = house.query("select refusal_en from meta.delivery where source = 'kosten' and not is_admitted order by 1")
    assert len(refusals) == 2 and {"HTML" in str(refusal) for (refusal,) in refusals} == {True, False}, refusals


def test_a_source_that_answers_unchanged_is_not_too_old(house: House) -> None:
    set_max_age(house, 3)
    for _ in range(2):
        house.asked(days=2).demand()


def test_numbers_that_collapse_and_a_source_that_stays_broken_end_nights_and_the_next_good_one_publishes(house: House) -> None:
    before = house.current
    book = house.delivery("06/anbindungen.xlsx")
    good = book.read_bytes()
    # well-formed events that suspend every connection at once: each row is fine, the mart is not
    frame = pl.read_excel(book, sheet_name="Anbindungen", read_options={"header_row": 2}, infer_schema_length=0)
    live = frame.filter(pl.col("Stand") == "produktiv").unique(["Schlüssel", "Leistung"], maintain_order=True)
    ended = live.with_columns(
        pl.lit("ausgesetzt").alias("Stand"),
        pl.lit("15.06.2026").alias("gültig ab"),
        *[(pl.col(c) + "-x").alias(c) for c in frame.columns if c in ("Ereignis", "Ereignis-ID")],
    )
    pl.concat([frame, ended]).write_excel(book, worksheet="Anbindungen", position="A3")
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("refused", 3), result.message
    assert house.current == before and publication.verify(house.settings.current) == []
    record = read_run(house.settings, str(result.run_id))
    assert record is not None and record["outcome"] == "refused"

    # a required source that stays broken ends the nights once what it delivered is too old
    set_max_age(house, 3)
    book.write_bytes(b"<html>Wartungsarbeiten</html>")
    house.asked(days=2).demand()
    result = house.night(days=2)
    assert (result.outcome, result.exit_code) == ("no_data", 4)
    assert "Hessen/anbindungen" in result.message and "max_age_days = 3" in result.message
    assert house.current == before and publication.verify(house.settings.current) == []
    book.write_bytes(good)
    assert house.night(days=0.1).outcome == "published"
    assert house.current != before


SHARE_ABOVE_ONE = {
    "metrics/coverage_daily.sql": "select * replace (authorities_operational * 3 as authorities_operational) from ({sql})"
}
DUPLICATE_KEYS_AND_LOST_ROWS = {
    "core/dim_authority.sql": "select * from ({sql}) union all select * from ({sql})",
    "core/fct_cost.sql": "select * from ({sql}) where payer <> 'bund'",
}


@pytest.mark.parametrize(
    ("models", "with_dbt_tests"), [(SHARE_ABOVE_ONE, True), (DUPLICATE_KEYS_AND_LOST_ROWS, False)], ids=["dbt", "gate"]
)
def test_a_broken_model_never_publishes(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, str], with_dbt_tests: bool
) -> None:
    """dbt's tests catch it; with those taken away, the gate does, and each of two broken models for itself."""
    project = tmp_path / "project"
    shutil.copytree(warehouse.PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs"))
    for model, new in models.items():
        path = project / "models" / model
        path.write_text(new.replace("{sql}", path.read_text()))
    monkeypatch.setattr(warehouse, "PROJECT_DIR", project)
    if not with_dbt_tests:
        monkeypatch.setattr(warehouse, "BUILD", ["build", "--resource-type", "model", "--resource-type", "seed"])
    (house.settings.build / "dbt" / "manifest.version").unlink()
    before = house.current
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("refused", 3), result.message
    assert house.current == before
    if not with_dbt_tests:
        audit = publication.Audit.read(house.settings.build / str(result.run_id) / "audit.json")
        blocking = {(r["table"], r["name"]) for r in audit.results if not r["passed"] and r["severity"] != "warn"}
        assert {("core.dim_authority", "grain_unique"), ("core.fct_cost", "ledger_kept")} <= blocking


def test_what_a_killed_run_laid_on_the_disk_for_a_while_goes(house: House) -> None:
    spilled = house.settings.build / os.readlink(house.settings.build / "tonight") / "warehouse.duckdb.tmp"
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_S32K-0.tmp").write_bytes(b"0")
    assert house.night().outcome == "unchanged"
    assert not spilled.exists() and (spilled.parent / "warehouse.duckdb").is_file()


def test_synthetic_and_real_data_do_not_meet(house: House) -> None:
    for path in (house.world / "laender").glob("*.yaml"):
        path.write_text("\n".join(line for line in path.read_text().splitlines() if "is_synthetic" not in line) + "\n")
    result = house.night(days=1)
    assert (result.outcome, result.exit_code) == ("misconfigured", 2)
    assert "synthetic" in result.message and "--home" in result.message


def test_a_refusal_is_told_to_the_webhook(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.server
    import threading

    told: list[dict[str, Any]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["ROLLIN_ALERT_WEBHOOK"] = f"http://127.0.0.1:{server.server_port}/hook"
    set_max_age(house, 1)
    house.delivery("06/anbindungen.xlsx").write_bytes(b"<html></html>")
    assert house.night(days=4).exit_code == 4
    server.shutdown()
    server.server_close()
    assert [t["outcome"] for t in told] == ["no_data"]
    assert "Hessen/anbindungen" in told[0]["text"]
