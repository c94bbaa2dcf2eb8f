"""How checks run and are told: results, thresholds, and the road from SQL through Great Expectations and back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from expectations import thresholds
from expectations.results import CheckResult, Severity, passed, refusal
from expectations.runner import Check, Suite, identifier, literal, reading, reading_again, run

NUMBERS = """
create table numbers as
select n as id, case when n % 4 = 0 then null else n % 3 end as third, 'a:b {c} 50% \\d' as word
from range(1, 101) as r(n)
"""


def rule(name: str, **what: object) -> Check:
    return Check(name, what.pop("severity", "error"), "…", "Eine Regel.", "A rule.", **what)  # type: ignore[arg-type]


def outcomes(*checks: Check, query: str = "select * from numbers", setup: str = NUMBERS) -> list[CheckResult]:
    with reading() as connection:
        connection.execute(setup)
        return run(connection, [Suite("suite", "numbers", query, list(checks))])


def test_rows_and_stock_expectations_count_the_same_rows() -> None:
    rows, stock, fine = outcomes(
        rule("rows", rows="select * from t where third is null", keys=("id",)),
        rule("stock", stock=("ExpectColumnValuesToNotBeNull", {"column": "third"}), severity="warn"),
        rule("fine", stock=("ExpectTableRowCountToBeBetween", {"min_value": 100, "max_value": 100})),
    )
    assert (rows.passed, rows.unexpected_count, len(rows.examples)) == (False, 25, 5)
    assert all(set(example) == {"id"} and example["id"] % 4 == 0 for example in rows.examples)
    assert (stock.passed, stock.unexpected_count, stock.severity, stock.blocks) == (False, 25, "warn", False)
    assert (fine.passed, fine.observed) == (True, "100")


def test_characters_with_a_meaning_elsewhere_reach_duckdb_as_they_are() -> None:
    """Braces mean a placeholder to Great Expectations, colons a parameter to SQLAlchemy, percent signs one to its drivers."""
    matching, casting = outcomes(
        rule(
            "matching",
            rows="select * from t where word <> 'a:b {c} 50% \\d' or word not like '%{c}%' or regexp_matches(word, '^[a-c]{2}$')",
        ),
        rule(
            "casting",
            rows="select id::varchar as id, ':id' as observed from t where id::int = 7 and {'a': 1}['a'] = 1",
            keys=("id",),
        ),
    )
    assert matching.passed
    assert not matching.is_broken
    assert (casting.unexpected_count, casting.examples, casting.observed) == (1, [{"id": "7"}], "1 row(s): :id")


def test_what_cannot_run_is_broken_and_failed_and_the_rest_runs() -> None:
    missing, wrong, fine = outcomes(
        rule("missing", rows="select * from nowhere, t"),
        rule("wrong", stock=("ExpectColumnValuesToNotBeNull", {"column": "nothing"})),
        rule("fine", rows="select * from t where id > 100"),
    )
    assert [(r.passed, r.is_broken) for r in (missing, wrong, fine)] == [(False, True), (False, True), (True, False)]
    assert "nowhere" in missing.observed
    assert missing.unexpected_count is None


@pytest.mark.parametrize("with_broken", [False, True])
def test_checks_that_are_asked_at_once_say_the_same(with_broken: bool) -> None:
    checks = [
        rule("fine", rows="select * from t where id > 100 or word = '{c} :x'"),
        rule("third", rows="select *, 'at ' || id as observed from t where third is null", keys=("id",), column="third"),
        rule("third", rows="select * from t where third > 2", column="word"),
        rule("few", rows="select id from t where id < 3", severity="warn", keys=("id",)),
        *([rule("missing", rows="select * from nowhere, t")] if with_broken else []),
        rule("wrong at some row", rows="select * from t where cast(word as int) = 1")
        if with_broken
        else rule("no", rows="from t limit 0"),
    ]
    with reading_again() as connection:
        connection.execute(NUMBERS)
        suite = Suite("suite", "numbers", "select * from numbers", checks)
        one_by_one, at_once = (run(connection, [replace(suite, at_once=way)]) for way in (False, True))
    assert at_once == one_by_one
    assert [result.passed for result in at_once] == [True, False, True, False, *([False] if with_broken else []), not with_broken]


def test_what_was_made_in_a_shared_connection_does_not_outlast_its_block() -> None:
    for _ in range(2):
        with reading_again() as connection:
            connection.execute("create table numbers as select 1 as x")
    with pytest.raises(duckdb.Error), reading_again() as connection:
        connection.execute("select * from numbers")


def test_a_batch_that_does_not_exist_breaks_its_whole_suite() -> None:
    results = outcomes(
        rule("one", rows="select * from t"),
        rule("two", stock=("ExpectTableRowCountToBeBetween", {"min_value": 0})),
        query="select * from nowhere",
    )
    assert all(r.is_broken and not r.passed for r in results)
    assert len(results) == 2


def test_an_expectation_that_does_not_exist_breaks_its_suite() -> None:
    [result] = outcomes(rule("unknown", stock=("ExpectNothing", {})))
    assert result.is_broken
    assert not result.passed


def test_one_name_on_several_columns_stays_apart() -> None:
    first, second = outcomes(
        rule("filled", column="id", stock=("ExpectColumnValuesToNotBeNull", {"column": "id"})),
        rule("filled", column="third", stock=("ExpectColumnValuesToNotBeNull", {"column": "third"})),
    )
    assert (first.column, first.passed, second.column, second.passed) == ("id", True, "third", False)


def test_reading_is_read_only_and_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "it's a 'warehouse'.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(NUMBERS)
    with reading({"build": path}, environ={"ROLLIN_THREADS": "1", "ROLLIN_MEMORY": "1GB"}) as connection:
        [result] = run(
            connection, [Suite("suite", "numbers", "select * from numbers", [rule("fine", rows="select * from t where id < 1")])]
        )
        assert result.passed
        assert connection.execute("select current_setting('threads')").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            connection.execute("create table build.main.other as select 1 as x")
    with duckdb.connect(str(path)) as connection:  # a writer is let in at once
        connection.execute("drop table numbers")


def test_sql_texts_are_quoted() -> None:
    assert literal("O'Neil") == "'O''Neil'"
    assert identifier('a"b') == '"a""b"'


def test_great_expectations_is_imported_by_the_first_run_only() -> None:
    program = (
        "import sys, expectations.delivery, expectations.release, expectations.results;"
        "sys.exit(any(m.split('.')[0] in ('great_expectations', 'pandas', 'sqlalchemy') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(thresholds.PATH).parents[1]).returncode == 0


# -- results ---------------------------------------------------------------------------------------


def result(name: str = "a_rule", ok: bool = False, severity: Severity = "error", broken: bool = False) -> CheckResult:
    return CheckResult(
        "s", "costs", name, "amount_eur", severity, ok, broken, "3 row(s)", "0", 3, "Regel.", "Rule.", [{"entry_id": "e1"}]
    )


def test_results_survive_json() -> None:
    assert CheckResult.from_dict(json.loads(json.dumps(result().to_dict()))) == result()


def test_only_failed_errors_block_and_nothing_checked_is_not_passed() -> None:
    assert passed([result(ok=True), result(severity="warn")])
    assert refusal([result(ok=True), result(severity="warn")]) is None
    assert not passed([result()])
    assert not passed([])
    assert refusal([]) is not None


def test_a_refusal_is_one_sentence_that_counts_the_rest() -> None:
    german, english = refusal([result(ok=True), result(), result(), result(broken=True)]) or ("", "")
    assert german == "costs.amount_eur: Regel. Gefunden: 3 row(s); erwartet: 0 (und 2 weitere Prüfung(en))."
    assert english == "costs.amount_eur: Rule. Found: 3 row(s); expected: 0 (and 2 more check(s))."


# -- thresholds ------------------------------------------------------------------------------------


def test_every_shipped_threshold_has_an_owner_a_day_and_a_reason() -> None:
    limits = thresholds.load()
    assert limits
    assert all(name.startswith(("delivery_", "release_")) for name in limits)
    assert all(t.reason.endswith(".") for t in limits.values())


def test_every_shipped_threshold_is_used() -> None:
    code = "".join((thresholds.PATH.parent / f"{module}.py").read_text() for module in ("delivery", "release"))
    assert [name for name in thresholds.load() if f'"{name}"' not in code] == []


ENTRY = "delivery_x: {value: 1, severity: error, owner: somebody, decided_on: 2026-01-01, reason: because it is a long reason}"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ENTRY.replace("owner: somebody, ", ""), "delivery_x.owner"),
        (ENTRY.replace("error", "fatal"), "delivery_x.severity"),
        (ENTRY.replace("because it is a long reason", "so"), "delivery_x.reason"),
        (ENTRY.replace("value: 1", "value: yes"), "delivery_x.value"),
        (ENTRY.replace("owner", "colour: red, owner"), "delivery_x.colour"),
        ("- a list", "file"),
        ("a: [", "not valid YAML"),
    ],
)
def test_an_incomplete_threshold_names_the_entry(tmp_path: Path, text: str, named: str) -> None:
    sound, path = tmp_path / "sound.yaml", tmp_path / "thresholds.yaml"
    sound.write_text(ENTRY)
    assert thresholds.load(sound)["delivery_x"].value == 1
    path.write_text(text)
    with pytest.raises(thresholds.ThresholdError, match=named):
        thresholds.load(path)
