"""The feed into a real PostgreSQL: whole, typed, keyed, in one transaction, and silent about its address."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from dbt_project import public_tier
from orchestration import publication
from orchestration.postgres import ADDRESS, FeedFailed, feed, postgres_type
from orchestration.settings import Settings, UsageError
from tests.conftest import ROOT, Rollin
from tests.house import House
from tests.postgres import PASSWORD, Postgres
from tests.press import Press

#: What release the database shows, told by each of its tables.
SHOWN = (
    "select left(run_id, 8)::integer from meta.release union select population from core.dim_land"
    " union select services from metrics.programme_coverage_daily"
    " union select authorities_current_count from metrics.phase_funnel_daily"
)


@contextmanager
def asking(address: str) -> Iterator[Any]:
    with psycopg.connect(address, autocommit=True) as con:
        yield lambda query, *given: con.execute(query, given or None).fetchall()


def shown(address: str) -> list[int]:
    with asking(address) as ask:
        return sorted(number for (number,) in ask(SHOWN))


def comparable(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows in one order, instants in one zone."""
    return sorted(repr([value.timestamp() if isinstance(value, datetime) else value for value in row]) for row in rows)


@pytest.fixture
def press(tmp_path: Path, environment: None) -> Press:
    return Press(tmp_path / "home")


def test_a_whole_release_arrives_with_types_keys_and_comments(postgres: Postgres, published: House) -> None:
    address = postgres.new_database("whole")
    fed = feed(published.settings, "public", address)
    assert (fed.release_id, fed.tier, fed.inserted) == (published.current, "public", fed.rows)
    with (
        asking(address) as ask,
        duckdb.connect(str(published.settings.current / "public" / "warehouse.duckdb"), read_only=True) as source,
    ):
        source.execute("set TimeZone = 'UTC'")
        tables = source.execute("select schema_name, table_name, comment from duckdb_tables() order by all").fetchall()
        assert len(tables) == fed.tables
        for schema, table, comment in tables:
            name = f'{schema}."{table}"'
            here, there = source.execute(f"from {name}").fetchall(), ask(f"table {name}")
            assert comparable(here) == comparable(there), name
            assert ask("select obj_description(%s::regclass)", name) == [(comment,)]
        described = (
            "select count(*) from pg_description join pg_class on pg_class.oid = objoid"
            " where objsubid > 0 and relname <> 'feed' and relnamespace::regnamespace::text in ('core', 'metrics', 'meta')"
        )
        [(columns,)] = source.execute("select count(*) from duckdb_columns() where comment is not null").fetchall()
        assert ask(described) == [(columns,)]
        typed = "select column_name, data_type from information_schema.columns where table_name = 'cost_per_connection'"
        kinds = dict(ask(typed))
        assert kinds["cost_variable_eur"] == "numeric" and kinds["connections_completed"] == "bigint"
        # the grain is the key, wherever there is one; a column with NULL in it makes it a unique one
        keyless = (
            "select relname from pg_class where relkind = 'r' and relnamespace::regnamespace::text in ('core', 'metrics')"
            " and not exists (select from pg_constraint where conrelid = pg_class.oid and contype in ('p', 'u'))"
        )
        assert ask(keyless) == []
        [(to_land,)] = ask("select count(*) from pg_constraint where contype = 'f' and confrelid = 'core.dim_land'::regclass")
        assert to_land >= 15
        assert ask("select distinct tier, release_id from meta.feed") == [("public", published.current)]
        public = {name for name, decided in public_tier.load().items() if decided.columns} | {"meta.release", "meta.column"}
        assert {name for (name,) in ask("select schema_name || '.' || table_name from meta.feed")} <= public
    again = feed(published.settings, "public", address)
    assert (again.rows, again.deleted, again.inserted) == (fed.rows, 0, 0)


def test_the_tiers_stay_apart(postgres: Postgres, published: House) -> None:
    address = postgres.new_database("exact")
    feed(published.settings, "exact", address)
    with asking(address) as ask:
        assert ask("select count(*) > 0 from core.fct_cost") == [(True,)]
    with pytest.raises(UsageError, match="holds the exact tier"):
        feed(published.settings, "public", address)
    with pytest.raises(UsageError, match="no tier 'all'"):
        feed(published.settings, "all", address)


def test_what_hangs_on_the_tables_outlives_a_release(postgres: Postgres, press: Press) -> None:
    """Views and grants of others stay while columns come and go; a key may begin to hold NULL; an older release comes back."""
    address = postgres.new_database("changing")
    press.more = [
        "alter table core.dim_land add column old_name varchar",
        "alter table core.dim_land add column area_km2 integer",
    ]
    first = press.publish(1)
    feed(press.settings, "exact", address)
    with asking(address) as ask, psycopg.connect(address, autocommit=True) as theirs:
        theirs.execute("create view public.lands as select land_code, population from core.dim_land")
        theirs.execute("create role reader login password 'r'")
        theirs.execute("grant usage on schema core to reader; grant select on core.dim_land to reader")
        key = "select contype::text from pg_constraint where conrelid = 'core.dim_land'::regclass"
        assert ask(key) == [("p",)]
        before = ask("select 'core.dim_land'::regclass::oid")

        press.more = [
            "alter table core.dim_land add column new_name varchar",
            "alter table core.dim_land add column area_km2 integer",
            "update core.dim_land set new_name = '\\N', name = 'a\"b,\\.\n''ü'",
            "update core.dim_land set land_code = null where land_code = '16'",
        ]
        press.publish(2)
        fed = feed(press.settings, "exact", address)
        assert shown(address) == [2] and fed.deleted == fed.inserted
        assert ask("select distinct new_name, name from core.dim_land") == [("\\N", "a\"b,\\.\n'ü")]
        assert ask("select count(*) from public.lands where land_code is null and population = 2") == [(1,)]
        assert ask(key) == [("u",)] and ask("select 'core.dim_land'::regclass::oid") == before
        columns = (
            "select column_name::text from information_schema.columns where table_schema = 'core' and table_name = 'dim_land'"
        )
        assert {"new_name"} == {c for (c,) in ask(columns)} & {"new_name", "old_name"}
        with asking(postgres.address("changing", "reader", "r")) as read:
            assert read("select max(population) from core.dim_land") == [(2,)]

        # another type of a column that a view does not use is as good as a new table: the view has to be made again
        press.more = ["alter table core.dim_land add column area_km2 double"]
        press.publish(3)
        with pytest.raises(FeedFailed, match=r"Views of yours hang on a table"):
            feed(press.settings, "exact", address)
        assert shown(address) == [2]
        theirs.execute("drop view public.lands")
        feed(press.settings, "exact", address)
        assert shown(address) == [3] and ask(key) == [("p",)]

    publication.rollback(press.settings, first)
    feed(press.settings, "exact", address)
    assert shown(address) == [1]


def test_wrong_addresses_are_refused_without_a_word_of_them(postgres: Postgres, press: Press) -> None:
    press.publish(1)
    secret = "geheim-Zx9"
    for address, error, told in (
        (f"postgresql://rollin:{secret}@[::1:5432/x", UsageError, "is no address"),
        (f"host=127.0.0.1 passwort={secret}", UsageError, "is no address"),
        (postgres.address("postgres", password=secret), FeedFailed, "refuses the login"),
        (postgres.address(f"{secret}-missing"), FeedFailed, "refuses the login"),
        (f"postgresql://rollin:{secret}@127.0.0.1:1/x", FeedFailed, "does not answer"),
    ):
        with pytest.raises(error, match=told) as refused:
            feed(press.settings, "public", address)
        assert secret not in str(refused.value) and PASSWORD not in str(refused.value)
        assert refused.value.__suppress_context__


def test_the_command_feeds_and_writes_its_address_nowhere(postgres: Postgres, press: Press, rollin: Rollin) -> None:
    release = press.publish(1)
    address = postgres.new_database("command")
    ran = rollin("feed", "postgres", home=press.home, **{ADDRESS: address})
    assert ran.returncode == 0, ran.stderr
    assert shown(address) == [1]
    assert f"Release {release}, public tier: 5 tables" in ran.stdout
    away = rollin("feed", "postgres", home=press.home, **{ADDRESS: postgres.address("away")})
    assert away.returncode == 1 and "refuses the login" in away.stderr
    told = "".join(run.stdout + run.stderr for run in (ran, away))
    written = [path.read_bytes() for path in press.home.rglob("*") if path.is_file()]
    for secret in (PASSWORD, address, address.split(":")[2].split("@")[0]):
        assert secret not in told and not any(secret.encode() in content for content in written)


def test_missing_rights_change_nothing(postgres: Postgres, press: Press) -> None:
    press.publish(1)
    address = postgres.new_database("rights")
    with psycopg.connect(address, autocommit=True) as con:
        con.execute("create role feeder login password 'f'; create role other login password 'o'")
    feeder, other = (postgres.address("rights", name, name[0]) for name in ("feeder", "other"))
    with pytest.raises(FeedFailed, match="grant it CREATE"):
        feed(press.settings, "public", feeder)
    with asking(address) as ask:
        assert ask("select count(*) from pg_namespace where nspname in ('core', 'metrics', 'meta')") == [(0,)]
        with psycopg.connect(address, autocommit=True) as con:
            con.execute("grant create on database rights to feeder")
    feed(press.settings, "public", feeder)
    assert shown(address) == [1]
    # once its schemas exist, it needs no right to create more; somebody else may not feed into them
    with psycopg.connect(address, autocommit=True) as con:
        con.execute("revoke create on database rights from feeder")
    press.publish(2)
    with pytest.raises(FeedFailed, match="may not do"):
        feed(press.settings, "public", other)
    feed(press.settings, "public", feeder)
    assert shown(address) == [2]


def test_killed_in_the_middle_or_run_twice_it_shows_what_it_showed(postgres: Postgres, press: Press) -> None:
    address = postgres.new_database("killed")
    press.publish(1)
    feed(press.settings, "public", address)
    press.publish(2)
    with asking(address) as ask, psycopg.connect(address) as holder:
        # the last of the tables is held: the feed has replaced the others and waits
        holder.execute("lock table metrics.programme_coverage_daily in share mode")
        command = [sys.executable, "-m", "orchestration.cli", "feed", "postgres", "--home", str(press.home)]
        with subprocess.Popen(command, env={**os.environ, ADDRESS: address}, cwd=ROOT) as running:
            waits = "select count(*) from pg_locks where not granted and relation = 'metrics.programme_coverage_daily'::regclass"
            until(lambda: ask(waits) == [(1,)])
            assert shown(address) == [1]
            with pytest.raises(FeedFailed, match="Another feed"):
                feed(press.settings, "public", address)
            running.kill()
        holder.rollback()
        feeds = "select count(*) from pg_stat_activity where application_name = 'rollin' and datname = 'killed'"
        until(lambda: ask(feeds) == [(0,)])
    assert shown(address) == [1]
    feed(press.settings, "public", address)
    assert shown(address) == [2]


def test_a_reader_keeps_its_release_to_the_end_of_its_transaction(postgres: Postgres, press: Press) -> None:
    address = postgres.new_database("reader")
    press.publish(1)
    feed(press.settings, "public", address)
    press.publish(2)
    with psycopg.connect(address) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("select 1 from meta.release")  # of the others it has seen nothing yet
        feed(press.settings, "public", address)
        assert reader.execute(SHOWN).fetchall() == [(1,)]
    assert shown(address) == [2]


def test_nothing_is_fed_from_a_damaged_release_or_into_tables_of_others(postgres: Postgres, press: Press) -> None:
    address = postgres.new_database("others")
    with pytest.raises(UsageError, match="Nothing is published yet"):
        feed(press.settings, "public", address)
    press.publish(1)
    with psycopg.connect(address, autocommit=True) as con:
        con.execute("create schema core; create table core.dim_land (theirs integer); insert into core.dim_land values (7)")
        with pytest.raises(UsageError, match=r"core.dim_land exists in this database and is not Rollin's"):
            feed(press.settings, "public", address)
        assert con.execute("table core.dim_land").fetchall() == [(7,)]
        con.execute("drop table core.dim_land")
    damaged = press.settings.current / "public" / "csv" / "core" / "dim_land.csv"
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(UsageError, match=r"damaged .*dim_land.csv was changed"):
        feed(press.settings, "public", address)
    with asking(address) as ask:
        assert ask("select to_regclass('meta.feed')") == [(None,)]


def test_a_type_without_counterpart_is_told_with_its_column() -> None:
    with pytest.raises(UsageError, match=r"core.dim_land.parts is of type VARCHAR\[\]"):
        postgres_type("VARCHAR[]", "core.dim_land.parts")


def until(is_so: Any) -> None:
    """Wait for the database, at most half a minute."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_settings_without_address_leave_it_to_libpq(postgres: Postgres, press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    press.publish(1)
    address = postgres.new_database("libpq")
    told = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USER": "rollin", "PASSWORD": PASSWORD, "DATABASE": "libpq"}
    for name, value in told.items():
        monkeypatch.setenv(f"PG{name}", value)
    monkeypatch.setenv("PGOPTIONS", "-c search_path=meta -c datestyle=German")
    feed(Settings(home=press.home), "public")
    assert shown(address) == [1]
