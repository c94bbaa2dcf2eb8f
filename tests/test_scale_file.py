"""``rollin test-scale``: one table in every format that people have gives one verdict, and what cannot be tested is said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from benchmarks.scale_worlds import observations
from orchestration import scale_file
from orchestration.cli import cli
from orchestration.settings import UsageError

AS_OF = date(2026, 11, 1)


@pytest.fixture(scope="module")
def world() -> pl.DataFrame:
    """A true saving of 20 %, many clusters, everything invoiced."""
    return observations(1, learning_rate=0.2, clusters=40)


def german(frame: pl.DataFrame, path: Path) -> None:
    numbers = pl.col(pl.Float64).cast(pl.String).str.replace(".", ",", literal=True)
    days = pl.col(pl.Date).dt.strftime("%d.%m.%Y")
    words = pl.col(pl.Boolean).replace_strict({True: "ja", False: "nein"}, return_dtype=pl.String)
    frame.with_columns(numbers, days, words).write_csv(path, separator=";")


FORMATS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "table.parquet": lambda frame, path: frame.write_parquet(path),
    "table.csv": lambda frame, path: frame.write_csv(path),
    "german.csv": german,
    "table.xlsx": lambda frame, path: frame.write_excel(path),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_verdicts(name: str, world: pl.DataFrame, tmp_path: Path) -> None:
    FORMATS[name](world, tmp_path / name)
    world.write_parquet(tmp_path / "plain.parquet")
    found, plain = (scale_file.run(tmp_path / each, AS_OF, as_if=True) for each in (name, "plain.parquet"))
    assert found.rows == world.height
    for one, other in zip(found.verdicts, plain.verdicts, strict=True):
        assert (one.claim, one.outcome, one.verdict, one.n, one.clusters) == (
            other.claim,
            other.outcome,
            other.verdict,
            other.n,
            other.clusters,
        )
        assert one.estimate == pytest.approx(other.estimate, rel=1e-9) and one.se == pytest.approx(other.se, rel=1e-6)


def test_before_the_look_nothing_is_decided_and_as_if_is_told_apart(world: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    world.write_parquet(path)
    before = scale_file.run(path, AS_OF)
    assert {verdict.verdict for verdict in before.verdicts} == {"not_due"}
    as_if = scale_file.run(path, AS_OF, as_if=True)
    assert as_if.verdicts[0].verdict == "supported"
    assert "entscheidet nichts" in "\n".join(scale_file.told(as_if, "de"))
    assert "none of the registered looks" in "\n".join(scale_file.told(as_if, "en"))
    assert before.verdicts[0].estimate == pytest.approx(as_if.verdicts[0].estimate)


def test_the_commands_answer_in_both_languages_and_for_programs(world: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    world.write_parquet(path)
    said = {lang: CliRunner().invoke(cli, ["test-scale", str(path), "--as-if", "--lang", lang]) for lang in ("de", "en")}
    assert all(result.exit_code == 0 for result in said.values())
    assert said["de"].output.startswith("Programm: belegt") and said["en"].output.startswith("Programme: supported")
    document = json.loads(CliRunner().invoke(cli, ["test-scale", str(path), "--as-if", "--json"]).output)
    [first, *_] = document["verdicts"]
    assert first["verdict"] == "supported" and first["gates"] and len(document["prereg_sha256"]) == 64
    assert {row["specification"] for row in document["estimates"]} >= {"S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10"}
    assert document["is_as_if"] is True


def test_a_specification_that_lacks_its_column_is_unavailable_and_said_so(world: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    world.drop("payer_total_eur", "cost_variable_cpi_eur").write_csv(path)
    tested = scale_file.run(path, AS_OF, as_if=True)
    missing = {(one.outcome, one.specification) for one in tested.estimates if one.status != "available" and one.claim == "C1"}
    assert {("cost", "S9"), ("cost", "S2_cpi")} <= missing
    assert any("S9" in line and "payer_total_eur" in line for line in scale_file.unavailable(tested, "de"))


def broken(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[pl.DataFrame, Path], object]:
    return lambda frame, path: change(frame).write_csv(path)


BROKEN: dict[str, tuple[Callable[[pl.DataFrame, Path], object], str]] = {
    "no cluster": (broken(lambda f: f.drop("cluster", "contractor")), "cluster"),
    "no outcome": (broken(lambda f: f.drop("cost_variable_eur", "person_days")), "cost_variable_eur"),
    "negative cost": (broken(lambda f: f.with_columns(-pl.col("cost_variable_eur"))), "cost_variable_eur"),
    "one cluster": (broken(lambda f: f.with_columns(cluster=pl.lit("x"))), "Cluster"),
    "no number": (broken(lambda f: f.with_columns(cost_variable_eur=pl.lit("viel"))), "viel"),
    "no date": (broken(lambda f: f.with_columns(started_on=pl.lit("gestern"))), "gestern"),
    "no rows": (broken(lambda f: f.head(0)), "keine Zeilen"),
    "twice": (broken(lambda f: pl.concat([f, f.head(1)])), "doppelt"),
    "empty": (lambda f, path: path.write_bytes(b""), ""),
    "damaged Parquet": (lambda f, path: path.write_bytes(b"PAR1 and no more"), "Parquet"),
    "damaged workbook": (lambda f, path: path.write_bytes(b"PK\x03\x04 and no more"), "beschädigt"),
    "other bytes": (lambda f, path: path.write_bytes(bytes(range(256)) * 40), ""),
    "a page": (lambda f, path: path.write_text("<html><body>Anmeldung</body></html>"), ""),
    "a row too long": (lambda f, path: path.write_text("service_id,land_code\na,b,c\n"), "nicht lesbar"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_tested_is_one_sentence(name: str, world: pl.DataFrame, tmp_path: Path) -> None:
    write, says = BROKEN[name]
    write(world, tmp_path / "table")
    with pytest.raises(UsageError) as caught:
        scale_file.run(tmp_path / "table", AS_OF)
    assert says in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500
    result = CliRunner().invoke(cli, ["test-scale", str(tmp_path / "table")])
    assert result.exit_code == 2


def test_a_file_that_is_not_there_and_another_rule_that_is_none(world: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a"):
        scale_file.run(tmp_path / "missing.csv", AS_OF)
    with pytest.raises(UsageError, match="name a"):
        scale_file.run(tmp_path, AS_OF)
    world.write_parquet(tmp_path / "table.parquet")
    (tmp_path / "rule.yml").write_text("version: 1\n")
    with pytest.raises(UsageError, match=r"rule\.yml"):
        scale_file.run(tmp_path / "table.parquet", AS_OF, rule_path=tmp_path / "rule.yml")
