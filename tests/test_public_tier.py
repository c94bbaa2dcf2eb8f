"""The public tier of whole releases: what is in it and what is not, and an attack with everything that two releases publish."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from dbt_project import PROJECT_DIR, public_tier
from dbt_project.estimators.disclosure import CELL
from orchestration import publication, warehouse
from tests.conftest import Rollin, SampleNight
from tests.disclosure_attack import System
from tests.house import House
from tests.same import assert_same_tables

OWN = {"meta.release", "meta.column", "meta.check_result", "meta.lineage", "meta.landing_file"}


def tables(path: Path) -> dict[str, list[str]]:
    """Columns by schema.table of a warehouse."""
    with duckdb.connect(str(path), read_only=True) as con:
        query = "select schema_name || '.' || table_name, list(column_name order by column_index) from duckdb_columns() where not internal group by all"
        return dict(con.execute(query).fetchall())


def read(path: Path, query: str, folder: Path) -> pl.DataFrame:
    """The result of a query on a warehouse, by way of Parquet."""
    target = folder / f"{hashlib.sha256(query.encode()).hexdigest()[:12]}.parquet"
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute(f"copy ({query}) to '{target}' (format parquet)")
    return pl.read_parquet(target)


# ------------------------------------------------------------------------------------------------------------------- what is public


def test_of_every_published_table_somebody_said_what_is_public(published: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Opt-in: a new table or column stays in the house until it is written down; here stands what is and why the rest is not."""
    exact, decided = tables(published.settings.current / "warehouse.duckdb"), public_tier.load()
    assert set(exact) - OWN - set(decided) == set(), "decide these in dbt_project/public_tier.yaml"
    with capsys.disabled():
        print()
        for table, entry in decided.items():
            hidden = [column for column in exact.get(table, []) if column not in entry.columns]
            print(f"  {table}: {'masked' if entry.is_masked else 'public' if entry.columns else 'not public'}", end="")
            print(
                f"; left out {', '.join(hidden)}: {entry.left_out}"
                if entry.columns and hidden
                else f" ({entry.not_public or 'whole'})"
            )
            assert not entry.columns or table in exact, f"{table} is no published table"
            assert not (entry.columns and hidden) or entry.left_out, f"{table}: why are {hidden} left out?"


def test_the_public_tier_holds_what_was_decided_and_nothing_else(published: House) -> None:
    public = tables(published.settings.current / "public" / "warehouse.duckdb")
    expected = {table: entry.columns for table, entry in public_tier.load().items() if entry.columns}
    assert {table: columns for table, columns in public.items() if table not in OWN} == expected
    assert set(public) & OWN == {"meta.release", "meta.column"}
    names = {column for columns in public.values() for column in columns}
    # person-days, suppliers, single entries, sources' row counts and identifiers of deliveries are nobody's business outside
    assert not names & {
        "person_days",
        "person_days_municipal",
        "contractor",
        "team",
        "call_off",
        "entry_id",
        "delivery_id",
        "difficulty",
    }
    assert not names & {
        "rows_delivered",
        "row_count",
        "observed",
        "message_de",
        "started",
        "completed",
        "account",
        "days_reported",
    }
    files = {
        p.relative_to(published.settings.current / "public").parts[0] for p in (published.settings.current / "public").rglob("*")
    }
    assert files == {
        "warehouse.duckdb", "parquet", "csv", "rollin.xlsx", "report", "datapackage.json", "dcat-ap-de.ttl", "LICENCES.md", "SHA256SUMS"
    }  # fmt: skip


def test_public_and_exact_agree_where_both_say_something(published: House) -> None:
    current = published.settings.current
    with duckdb.connect() as con:
        con.execute(f"attach '{current / 'warehouse.duckdb'}' as exact (read_only)")
        con.execute(f"attach '{current / 'public' / 'warehouse.duckdb'}' as public (read_only)")
        for table, entry in public_tier.load().items():
            if entry.columns and not entry.is_masked:
                columns = ", ".join(entry.columns)
                differing = f"(select {columns} from exact.{table}) except all (select {columns} from public.{table})"
                assert con.execute(f"select count(*) from ({differing})").fetchall() == [(0,)], table
        for table, key, values in (
            ("metrics.coverage_daily", "land_code, service_id, as_of", ("cases_competent", "cases_operational")),
            (
                "metrics.adoption_monthly",
                "land_code, service_id, month",
                ("submitted_online_count", "submitted_assisted_count", "submitted_offline_count", "submitted_total_count",
                 "paired_online_count", "paired_total_count", "take_up_share", "submissions_per_1000_inhabitants"),
            ),
        ):  # fmt: skip
            for value in values:
                # exact or none; none only with the flag
                wrong = (
                    f"select count(*) from public.{table} p join exact.{table} e using ({key})"
                    f" where p.{value} is distinct from e.{value} and (p.{value} is not null or not p.is_suppressed)"
                )
                assert con.execute(wrong).fetchall() == [(0,)], (table, value)
        running = con.execute(
            "select count(*) from public.metrics.adoption_monthly where last_day(month) + 15 > date '2026-06-15'"
        )
        assert running.fetchall() == [(0,)]


def test_the_public_tier_stands_alone_and_is_covered_by_the_releases_sums(house: House) -> None:
    release = house.settings.current.resolve()
    public = release / "public"
    assert publication.verify(release) == [] and publication.verify(public) == []
    assert oct((public / "warehouse.duckdb").stat().st_mode & 0o777) == "0o444"
    copy = house.home / "elsewhere"
    shutil.copytree(public, copy)
    assert publication.verify(copy) == []
    victim = public / "csv" / "core" / "fct_usage_monthly.csv"
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes().replace(b"09", b"08", 1) + b"x")
    assert [p.split()[0] for p in publication.verify(release)] == ["public/csv/core/fct_usage_monthly.csv"]


def test_a_release_whose_public_tier_is_damaged_is_not_forgotten(house: House) -> None:
    (house.settings.current.resolve() / "public" / "parquet" / "core" / "fct_usage_monthly.parquet").unlink()
    result = house.night(days=1)
    assert result.outcome == "misconfigured" and "restore that release" in result.message


def test_sql_reads_either_tier(published: House, rollin: Rollin) -> None:
    query = "select count(*) from duckdb_tables() where table_name = 'fct_cost'"
    for tier, count in (("exact", "1"), ("public", "0")):
        ran = rollin("sql", query, "--tier", tier, "--format", "csv", home=published.home)
        assert ran.stdout.splitlines()[-1] == count, ran.stderr


def marts() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A table that must be masked and its mask, as far as the publisher reads a manifest."""
    columns = {c: {"name": c} for c in public_tier.load()["core.fct_usage_monthly"].columns}
    node = {"schema": "core", "name": "fct_usage_monthly", "alias": "fct_usage_monthly", "description": "", "columns": columns}
    return [node], [node | {"schema": "public_core", "name": "public_fct_usage_monthly"}]


def test_a_table_that_must_be_masked_is_never_copied_unmasked() -> None:
    exact, masked = marts()
    [copy] = publication.public_copies(exact, masked)
    assert 'from build."public_core"."fct_usage_monthly"' in copy.query
    with pytest.raises(publication.PublicationRefused, match="to be masked"):
        publication.public_copies(exact, [])
    del masked[0]["columns"]["is_suppressed"]
    with pytest.raises(publication.PublicationRefused, match="no column is_suppressed"):
        publication.public_copies(exact, masked)
    undecided = [exact[0] | {"name": "fct_new", "alias": "fct_new"}]
    assert publication.public_copies(undecided, masked) == []  # nobody said that it is public


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("core.x: {columns: [a], not_public: because it is a secret}", "either 'columns'"),
        ("core.x: {}", "either 'columns'"),
        ("core.x: {not_public: short}", "at least 20"),
        ("core.x: {columns: [a, a]}", "twice"),
        ("core.x: {colums: [a]}", "Extra inputs"),
        ("core.x: [", "not valid YAML"),
        (
            "core.x: {columns: [a]}\ncore.y: {columns: [a]}\ncore.x: {not_public: because it is a secret}",
            "core.x stands there twice",
        ),
    ],
)
def test_a_public_tier_file_that_is_unclear_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "public_tier.yaml"
    path.write_text(text)
    with pytest.raises(public_tier.PublicTierError, match=problem):
        public_tier.load(path)


# ------------------------------------------------------------------------------------------------------------------------- attacks


class Attack:
    """What somebody concludes who has the public tiers of some releases, and is told which live authorities a total adds up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.system = System()
        self.limits: dict[Any, int] = {}
        self.releases: list[pl.DataFrame] = []

    def read_release(self, release: Path, build: Path) -> None:
        """Take in one release: its cells, its Land totals by channel and together, and the paired ones."""
        number = len(self.releases)
        cells = read(
            release / "public" / "warehouse.duckdb", f"select *, {number} as release from core.fct_usage_monthly", self.folder
        )
        membership = read(
            build, f"select land_code, authority_id, service_id, month, channel, is_in_total, is_paired, small_count_max,"
            f" {number} as release, submitted as truth from intermediate.int_public_cell", self.folder,
        )  # fmt: skip
        cells = cells.join(membership, on=[*CELL, "release"])
        adoption = read(
            release / "public" / "warehouse.duckdb", f"select *, {number} as release from metrics.adoption_monthly", self.folder
        )
        self.releases.append(cells)
        groups = defaultdict(list)
        for row in cells.filter(pl.col("is_in_total") & pl.col("truth").is_not_null()).iter_rows(named=True):
            groups[row["land_code"], row["service_id"], row["month"]].append(row)
        for row in cells.filter("is_suppressed").iter_rows(named=True):
            self.limits[(number, *(row[c] for c in CELL))] = row["small_count_max"]
        for total in adoption.iter_rows(named=True):
            rows = groups[total["land_code"], total["service_id"], total["month"]]
            for column, members in (
                ("submitted_online_count", [r for r in rows if r["channel"] == "online"]),
                ("submitted_assisted_count", [r for r in rows if r["channel"] == "assisted"]),
                ("submitted_offline_count", [r for r in rows if r["channel"] == "offline"]),
                ("submitted_total_count", rows),
                ("paired_online_count", [r for r in rows if r["channel"] == "online" and r["is_paired"]]),
                ("paired_total_count", [r for r in rows if r["is_paired"]]),
            ):
                if total[column] is not None:
                    hidden = [(number, *(r[c] for c in CELL)) for r in members if r["is_suppressed"]]
                    self.system.say(hidden, total[column] - sum(r["submitted"] for r in members if not r["is_suppressed"]))

    def link(self) -> None:
        """Counts that did not change are the same unknown in both releases, unless a change hides among them (see the mask's test)."""
        for number in range(1, len(self.releases)):
            old, new = self.releases[number - 1], self.releases[number]
            both = new.join(old.select(*CELL, old_truth="truth", old_suppressed="is_suppressed", old_shown="submitted"), on=CELL)
            changed = new.join(old, on=[*CELL, "truth"], how="anti").filter(pl.col("suppression_pool") > 0)
            pool = ["land_code", "service_id", "month", "channel", "suppression_pool"]
            same = both.filter(pl.col("truth") == pl.col("old_truth")).join(changed.select(pool), on=pool, how="anti")
            for row in same.iter_rows(named=True):
                cell = tuple(row[c] for c in CELL)
                if row["is_suppressed"] and row["old_suppressed"]:
                    i, j = self.system.unknown((number - 1, *cell)), self.system.unknown((number, *cell))
                    self.system.equations.append(({i: 1.0, j: -1.0}, 0.0))
                elif row["old_suppressed"]:
                    self.system.say([(number - 1, *cell)], row["submitted"])
                elif row["is_suppressed"]:
                    self.system.say([(number, *cell)], row["old_shown"])

    def narrow(self, sample: int) -> tuple[int, int, list[Any]]:
        """Attack ``sample`` suppressed cells: how many, how many of them are bounded at all, and those that are bounded too closely."""
        names = sorted(self.limits, key=str)
        chosen = random.Random(1).sample(names, min(sample, len(names)))
        found = self.system.intervals(chosen)
        bounded = sum(bool(np.isfinite(high)) for _, high in found.values())
        return len(found), bounded, [(n, f) for n, f in found.items() if f[0] > 1e-6 or f[1] < 2 * self.limits[n] - 1e-6]


def newest_build(home: Path) -> Path:
    return max(home.glob("build/*-*/warehouse.duckdb"), key=lambda path: path.stat().st_mtime)


def test_a_solver_that_knows_everything_published_finds_no_small_count(
    sample_night: SampleNight, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = Attack(tmp_path)
    attack.read_release(sample_night.release, newest_build(sample_night.home))
    attacked, bounded, narrow = attack.narrow(600)
    counts = attack.releases[0].filter(pl.col("truth").is_not_null())
    share = counts["is_suppressed"].mean()
    online = counts.filter(pl.col("channel") == "online")["is_suppressed"].mean()
    with capsys.disabled():
        print(
            f"\n  {share:.1%} of {counts.height:,} counts are suppressed ({online:.1%} of online); {attacked} attacked, {bounded} bounded"
        )
    assert narrow == [] and attacked >= 500 and bounded >= 400
    assert 0.05 < share < 0.6 and online < 0.4


def test_two_releases_with_corrections_tell_no_small_count_either(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = Attack(tmp_path)
    attack.read_release(house.settings.current, newest_build(house.home))
    first = house.settings.current.resolve()
    assert correct_usage(house) > 50
    result = house.night(days=1)
    assert result.outcome == "published", result.message
    attack.read_release(house.settings.current, newest_build(house.home))
    counts = attack.releases[1].filter(pl.col("truth").is_not_null())
    changed = counts.join(attack.releases[0], on=[*CELL, "truth"], how="anti")
    attack.link()
    attacked, bounded, narrow = attack.narrow(1_000)
    with capsys.disabled():
        print(f"\n  {changed.height} counts changed; {attacked} attacked, {bounded} bounded")
    assert changed.height > 20 and narrow == [] and attacked >= 500
    # the same again, built anew, changes nothing, whatever the release before was
    second = read(house.settings.current / "public" / "warehouse.duckdb", "from core.fct_usage_monthly order by all", tmp_path)
    nightly = house.settings.current.resolve()
    assert house.night(full=True).outcome == "published" and house.settings.current.resolve() not in (first, nightly)
    assert_same_tables(nightly / "warehouse.duckdb", house.settings.current / "warehouse.duckdb")
    again = read(
        house.settings.current / "public" / "warehouse.duckdb", "select * from core.fct_usage_monthly order by all", tmp_path
    )
    assert again.equals(second)


def correct_usage(house: House) -> int:
    """Deliver corrections of Hesse's days from March to May: some to zero or one, some by a few, in one more file. Returns their number."""
    generator = random.Random(5)
    lines = [
        line
        for month in ("03", "04", "05")
        for line in house.delivery(f"06/nutzung-2026-{month}.csv").read_text("cp1252").splitlines()[1:]
        if line.endswith(";N") and line.count(";") == 6
    ]
    corrected = []
    for line in generator.sample(lines, 400):
        day, key, service, channel, _, submitted, test = line.split(";")
        if submitted.isdigit():
            count = generator.choice([0, 1, int(submitted) + generator.randint(1, 6)])
            corrected.append(";".join([day, key, service, channel, str(count), str(count), test]))
    unique = {tuple(line.split(";")[:4]): line for line in corrected}
    header = "Datum;Schlüssel;Leistung;Kanal;begonnen;eingereicht;Test"
    house.delivery("06/nutzung-2026-06-korrektur.csv").write_text("\n".join([header, *unique.values()]) + "\n", "cp1252")
    return len(unique)


def test_masked_models_are_those_of_the_file() -> None:
    models = {path.stem.removeprefix("public_") for path in (PROJECT_DIR / "models" / "public").rglob("*.sql")}
    assert models == {table.split(".")[1] for table, entry in public_tier.load().items() if entry.is_masked}
    assert callable(warehouse.masked)
