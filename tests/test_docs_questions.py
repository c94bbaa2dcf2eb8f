"""The ten worked questions: their SQL runs everywhere it says, gives what the page shows in the same order, and means what is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from tests.conftest import ROOT, SampleNight

PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
_QUESTION = re.compile(r"^## (\d+)\. (.*?)\n(.*?)```sql\n(.*?)```\n\n```text\n(.*?)```\n\n\*\*Reading it\.\*\* ", re.S | re.M)
#: number -> its SQL and the answer that is shown
QUESTIONS = {int(number): (sql, shown) for number, _, _, sql, shown in _QUESTION.findall(PAGE)}
PUBLIC = {10}  # asked of the public tier

Rows = list[dict[str, Any]]
Tiers = dict[str, duckdb.DuckDBPyConnection]


@pytest.fixture(scope="module")
def paths(sample_night: SampleNight) -> dict[str, Path]:
    return {"exact": sample_night.warehouse, "public": sample_night.release / "public" / "warehouse.duckdb"}


@pytest.fixture(scope="module")
def tiers(paths: dict[str, Path]) -> Iterator[Tiers]:
    opened = {tier: duckdb.connect(str(path), read_only=True) for tier, path in paths.items()}
    yield opened
    for connection in opened.values():
        connection.close()


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def tier_of(number: int) -> str:
    return "public" if number in PUBLIC else "exact"


def test_there_are_ten_in_the_form_of_the_page() -> None:
    assert list(QUESTIONS) == list(range(1, 11))
    assert len(re.findall(r"^## ", PAGE, re.M)) == len(re.findall(r"```sql", PAGE)) == 10


@pytest.mark.parametrize("number", QUESTIONS)
def test_rollin_sql_gives_the_answer_shown(number: int, sample_night: SampleNight) -> None:
    sql, shown = QUESTIONS[number]
    command = ["sql", sql, "--home", str(sample_night.home), "--tier", tier_of(number)]
    ran = CliRunner().invoke(cli, command)
    assert ran.exit_code == 0, ran.output
    assert [line.rstrip() for line in ran.output.splitlines()] == shown.splitlines()
    assert len(shown.splitlines()) > 4


@pytest.mark.parametrize("number", QUESTIONS)
def test_duckdb_gives_the_same_whatever_the_order_of_the_rows(number: int, paths: dict[str, Path], tiers: Tiers) -> None:
    """On the file opened read-only, and on a copy of its tables in another order: only an ORDER BY that leaves no ties stands that."""
    sql, _ = QUESTIONS[number]
    asked = ask(tiers[tier_of(number)], sql)
    with duckdb.connect() as con:
        con.execute(f"attach '{paths[tier_of(number)]}' as r (read_only)")
        for table in set(re.findall(r"\b(?:core|metrics|meta)\.\w+", sql)):
            con.execute(f"create schema if not exists {table.partition('.')[0]}")
            con.execute(f"create table {table} as from r.{table} order by hash(rowid, {number}) desc")
        assert ask(con, sql) == asked


@pytest.fixture(scope="module")
def answers(tiers: Tiers) -> dict[int, Rows]:
    return {number: ask(tiers[tier_of(number)], sql) for number, (sql, _) in QUESTIONS.items()}


def test_coverage_is_that_of_the_authorities_and_their_phases(answers: dict[int, Rows], tiers: Tiers) -> None:
    counted = tiers["exact"].execute(
        "select land.name, service_id, count(distinct authority_id),"
        " count(distinct authority_id) filter (where authority_id in (select reported_authority_id from core.fct_connection_phase as phase"
        "  where phase.phase = 'operational' and is_current and phase.service_id = competence.service_id))"
        " from core.bridge_competence as competence join core.dim_land as land using (land_code) where is_reported group by 1, 2"
    )
    expected = {(land, service): (operational, competent) for land, service, competent, operational in counted.fetchall()}
    found = {(row["land"], row["service_id"]): (row["operational_today"], row["competent"]) for row in answers[1]}
    assert found == {key: expected[key] for key in found} and len(found) == 10
    assert all(0 <= row["operational_30_june"] <= row["competent"] for row in answers[1])


def test_needed_pace_is_what_lacks_over_the_weeks_left(answers: dict[int, Rows]) -> None:
    for row in answers[2]:
        assert row["required_per_week"] == pytest.approx(row["lacking"] / (row["days_to_target"] / 7), abs=0.06)
    gaps = [row["required_per_week"] - row["actual_per_week"] for row in answers[2]]
    assert max(gaps) == gaps[0] > 20


def test_municipalities_that_wait_are_those_not_covered(tiers: Tiers) -> None:
    sql, _ = QUESTIONS[3]
    [(waiting,)] = (
        tiers["exact"]
        .execute(
            "select municipalities_competent - municipalities_operational from metrics.coverage_daily join meta.release using (as_of)"
            " where land_code = '09' and service_id = 'bauantrag'"
        )
        .fetchall()
    )
    rows = ask(tiers["exact"], sql.replace("limit 12", ""))
    assert len(rows) == waiting > 12
    assert all(row["waits_for"].count(";") + 1 == row["competent"] - row["operational"] for row in rows)


def test_take_up_divides_what_reports_both_channels(answers: dict[int, Rows], tiers: Tiers) -> None:
    for row in answers[4]:
        assert row["take_up_share"] == pytest.approx(row["paired_online"] / row["paired_total"], abs=5e-4)
        assert row["authority_months_reported"] <= row["authority_months_live"]
    missing = "select count(*) from core.fct_usage_monthly where reporting_status = 'missing' and submitted is null and month between date '2026-07-01' and date '2026-09-01'"
    [(months,)] = tiers["exact"].execute(missing).fetchall()
    assert months >= sum(row["authority_months_live"] - row["authority_months_reported"] for row in answers[4]) > 0


def test_every_live_connection_has_one_answer(answers: dict[int, Rows]) -> None:
    operational = {row["service_id"]: row["operational_today"] for row in answers[1] if row["land"] == "Bayern"}
    for row in answers[5]:
        assert row["judged"] + row["too_small_or_too_early"] + row["unknown"] == row["live"]
        if row["land_code"] == "09":
            assert row["live"] == operational[row["service_id"]]
    assert answers[5][0]["dead"] > 0


def test_payers_add_up_to_the_total(answers: dict[int, Rows]) -> None:
    settled = [row for row in answers[6] if row["invoiced"] == row["completed"] == row["begun"]]
    assert len(settled) >= 3
    for row in answers[6]:
        assert row["invoiced"] <= row["completed"] <= row["begun"]
        if row["completed"]:
            payers = row["bund"] + row["land"] + (row["kommune"] or 0)
            assert payers == pytest.approx(row["eur_per_connection"], abs=2)
            assert 0 < row["of_it_fixed"] < row["eur_per_connection"]
        else:
            assert row["eur_per_connection"] is None


def test_a_cost_of_a_transaction_stands_there_or_the_reason_why_not(answers: dict[int, Rows]) -> None:
    for row in answers[7]:
        assert (row["eur_per_digital_submission"] is None) == (row["null_reason"] is not None)
        assert row["running_cost_eur"] > 0 and row["digital_submissions"] > 0


def test_every_claim_has_its_verdict_whether_gates_fail_or_not(
    answers: dict[int, Rows], paths: dict[str, Path], tiers: Tiers
) -> None:
    claims = {("C1", "cost"), ("C1", "person_days"), ("C2", "cost"), ("C2", "person_days")}
    assert {(row["claim"], row["outcome"]) for row in answers[8]} == claims
    told = tiers["exact"].execute("select gates_failed from metrics.scale_verdict").fetchall()
    assert len(answers[8]) == sum(len((text or "").split(";")) for (text,) in told)
    with duckdb.connect() as con:  # one that fails no gate stays
        con.execute(f"attach '{paths['exact']}' as r (read_only)")
        con.execute("create schema metrics")
        con.execute(
            "create table metrics.scale_verdict as select * replace (null::varchar as gates_failed) from r.metrics.scale_verdict"
        )
        assert [row["gate_failed"] for row in ask(con, QUESTIONS[8][0])] == [None] * 4


def test_the_morning_sheet_misses_nothing(answers: dict[int, Rows], sample_night: SampleNight, tiers: Tiers) -> None:
    numbers: dict[str, list[Any]] = {}
    for row in answers[9]:
        numbers.setdefault(row["topic"][0], []).append(row["number"])
    [(rows,)] = tiers["exact"].execute("select sum(row_count) from meta.quarantine_summary").fetchall()
    assert sum(numbers["3"]) == rows > 0
    status = json.loads(CliRunner().invoke(cli, ["status", "--json", "--home", str(sample_night.home)]).output)
    not_current = {(one["land_code"], one["source"]) for one in status["sources"] if one["status"] != "current"}
    assert {(row["land_code"], row["what"]) for row in answers[9] if row["topic"][0] == "1"} == not_current


def test_a_rate_stands_only_on_whole_months(answers: dict[int, Rows], tiers: Tiers) -> None:
    rows = answers[10]
    for row in rows:
        assert (row["per_1000_in_three_months"] is not None) == (row["months_whole"] == 3)
    assert {row["months_suppressed"] for row in rows} >= {None, 0, 1, 3}
    assert 1 in {row["months_missing"] for row in rows}
    assert [row["kreis_code"] for row in rows].count("06434") == 2
    direct = (
        "select sum(submitted) from core.fct_usage_monthly where authority_id = ? and service_id = 'aufenthalt' and channel = 'online'"
        " and month between date '2026-07-01' and date '2026-09-01'"
    )
    for row in rows:
        assert tiers["public"].execute(direct, [row["authority_id"]]).fetchall() == [(row["online_known"],)]
