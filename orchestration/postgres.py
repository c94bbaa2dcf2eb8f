"""A release as tables of a PostgreSQL database (``rollin feed postgres``).

Belongs here: which types, keys and comments the tables get there, and how a new release replaces the one before. Does not: what a
release holds (``publication``), what the key of a table is (``expectations.release``).

Everything happens in one transaction, and rows are replaced in tables that stay: only what differs is deleted and inserted. So a
reader never waits, never sees half a release, and a transaction that reads ``repeatable read`` keeps its release to its end. (Tables
that are exchanged for new ones, by renaming or by views, would look empty to such a transaction.) Only where the structure of a
table changed is it altered or made anew, and locked until the end of the feed.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from psycopg import conninfo
from psycopg.sql import SQL, Composed, Identifier, Literal

from expectations.release import GRAIN, REFERENCES
from orchestration import publication
from orchestration.settings import Settings, UsageError
from orchestration.tiers import tier_folder

#: Where the address stands; where it is unset, libpq's own variables (PGHOST, PGSERVICE, PGPASSFILE, ...) count.
ADDRESS = "ROLLIN_POSTGRES_URL"

#: Oldest server: it hashes whole rows, which the comparison of old and new rows needs.
_OLDEST = 140_000
#: From here on, a key may treat NULL as a value of its own.
_NULLS_NOT_DISTINCT = 150_000

#: How long a change of structure waits for readers of the table; whoever comes later waits behind it.
_LOCK_TIMEOUT = "15s"
_LOCK_KEY = 0x526F6C6C696E  # of the database: one feed at a time

_TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
#: Tables that the publisher adds, which have no grain of their own in the suites.
_OWN_KEYS = {"meta.release": ("release_id",), "meta.column": ("schema_name", "table_name", "column_name")}

_FEED = Identifier("meta", "feed")
_FEED_COMMENTS = {
    None: "One row per table that Rollin keeps in this database.",
    "schema_name": "Schema of the table.",
    "table_name": "Table.",
    "tier": "public (may leave the house) or exact.",
    "release_id": "Release whose rows the table holds.",
    "row_count": "Its rows.",
    "fed_at": "Instant at which they became visible (UTC).",
}


class FeedFailed(RuntimeError):
    """The database could not take the release: it shows what it showed before."""


@dataclass(frozen=True)
class Fed:
    """What a feed did. ``deleted`` and ``inserted``: rows of data; a changed row is both."""

    release_id: str
    tier: str
    tables: int
    rows: int
    deleted: int
    inserted: int


@dataclass(frozen=True)
class _Key:
    """A constraint. ``name`` follows from what it says, so that equal names are equal constraints."""

    table: _Table
    kind: str  # primary key | unique | references
    columns: tuple[str, ...]
    target: _Table | None = None

    @property
    def name(self) -> str:
        said = f"{self.kind} {self.columns} {self.target and self.target.qualified}"
        return f"{self.table.name[:40]}_{self.kind[:3]}_{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def definition(self, server: int) -> Composed:
        columns = SQL(", ").join(map(Identifier, self.columns))
        if self.target is not None:
            told = SQL("foreign key ({}) references {} deferrable initially deferred").format(columns, self.target.identifier)
        elif self.kind == "unique":
            distinct = SQL("nulls not distinct " if server >= _NULLS_NOT_DISTINCT else "")
            told = SQL("unique {}({})").format(distinct, columns)
        else:
            told = SQL("primary key ({})").format(columns)
        return SQL("alter table {} add constraint {} {}").format(self.table.identifier, Identifier(self.name), told)


@dataclass(frozen=True)
class _Table:
    """A table of the release. ``columns``: PostgreSQL types; ``comments``: by column, the table's own under None."""

    schema: str
    name: str
    columns: Mapping[str, str]
    comments: Mapping[str | None, str]

    def __hash__(self) -> int:
        return hash(self.qualified)

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.name)

    @property
    def incoming(self) -> Identifier:
        """The temporary table with the release's rows."""
        return Identifier("pg_temp", f"{self.schema}_{self.name}")


def feed(settings: Settings, tier: str = "public", address: str | None = None) -> Fed:
    """Replace what a database holds by a tier of the current release, in one transaction.

    ``address``: of the database, a URI or a connection string; default ``ROLLIN_POSTGRES_URL``. It is told nowhere.
    Raises UsageError where there is no such release or the database is another's, FeedFailed where the database does not take it.
    """
    folder, release_id = tier_folder(settings, tier)
    address = settings.environ.get(ADDRESS, "") if address is None else address
    with _source(folder) as source, _connected(address) as con:
        fed = _replace(con, source, _tables(source), tier, release_id)
        con.commit()
    return fed


# -------------------------------------------------------------------------------------------------------------------- the release


@contextmanager
def _source(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        con.execute("set autoinstall_known_extensions = false; set threads = 2; set TimeZone = 'UTC'")
        yield con


def _tables(source: duckdb.DuckDBPyConnection) -> list[_Table]:
    """All tables. Raises UsageError for a type that has no counterpart."""
    comments: dict[tuple[str, str], dict[str | None, str]] = {}
    for schema, name, comment in source.execute(
        "select schema_name, table_name, comment from duckdb_tables() where not internal order by all"
    ).fetchall():
        comments[schema, name] = {None: comment} if comment else {}
    columns: dict[tuple[str, str], dict[str, str]] = {key: {} for key in comments}
    for schema, name, column, kind, comment in source.execute(
        "select schema_name, table_name, column_name, data_type, comment from duckdb_columns() where not internal"
        " order by schema_name, table_name, column_index"
    ).fetchall():
        columns[schema, name][column] = postgres_type(kind, f"{schema}.{name}.{column}")
        if comment:
            comments[schema, name][column] = comment
    return [_Table(schema, name, columns[schema, name], comments[schema, name]) for schema, name in columns]


def postgres_type(kind: str, column: str) -> str:
    """PostgreSQL's type for DuckDB's ``kind``; ``column`` is named where there is none (UsageError)."""
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if decimal:
        return f"numeric({decimal[1]},{decimal[2]})"
    if kind not in _TYPES:
        raise UsageError(
            f"{column} is of type {kind}, for which no type of PostgreSQL is chosen: add it to {Path(__file__).name}."
        )
    return _TYPES[kind]


def _keys(source: duckdb.DuckDBPyConnection, tables: Iterable[_Table]) -> list[_Key]:
    """The keys of all tables, then the references between them.

    The key is the grain, without columns that the tier leaves out; NULL in it makes it a unique constraint. A reference is
    declared where each of its values is known: deliveries of the federation are of no Land.
    """
    keys: dict[str, _Key] = {}
    for table in tables:
        grain = GRAIN.get(table.qualified, _OWN_KEYS.get(table.qualified, ()))
        columns = tuple(column for column in grain if column in table.columns)
        if columns:
            unknown = " or ".join(f'"{column}" is null' for column in columns)
            holds_null = _one(source, f"select exists (from {_quoted(table)} where {unknown})")
            keys[table.qualified] = _Key(table, "unique" if holds_null else "primary key", columns)
    references = []
    for table in tables:
        for column, other, key in REFERENCES:
            target = keys.get(other)
            if column not in table.columns or table.qualified == other or target is None:
                continue
            if (target.kind, target.columns) != ("primary key", (key,)) or table.columns[column] != target.table.columns[key]:
                continue
            strangers = f'select exists (select "{column}" from {_quoted(table)} where "{column}" is not null'
            if not _one(source, f'{strangers} except select "{key}" from {_quoted(target.table)})'):
                references.append(_Key(table, "references", (column,), target.table))
    return [*keys.values(), *references]


def _quoted(table: _Table) -> str:
    return f'"{table.schema}"."{table.name}"'


def _one(source: duckdb.DuckDBPyConnection, query: str) -> bool:
    [(answer,)] = source.execute(query).fetchall()
    return bool(answer)


# ------------------------------------------------------------------------------------------------------------------- the database


@contextmanager
def _connected(address: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection whose errors tell neither the address nor data."""
    try:
        given = conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:  # its words would repeat what could be a password
        raise UsageError(
            f"{ADDRESS} is no address of a PostgreSQL database: write it as postgresql://USER@HOST:5432/DATABASE, with special "
            "characters of the password percent-encoded."
        ) from None
    settings = {"connect_timeout": "10", "application_name": "rollin"} | given | {"client_encoding": "UTF8"}
    try:
        con = psycopg.connect(conninfo.make_conninfo("", **settings))
    except psycopg.Error:
        raise FeedFailed(
            "The PostgreSQL database does not answer or refuses the login; its words are not repeated, they may hold the address."
            f" Try it: psql \"${ADDRESS}\" -c 'select 1'."
        ) from None
    try:
        if con.info.server_version < _OLDEST:
            raise UsageError(f"The server is PostgreSQL {con.info.server_version // 10_000}: use {_OLDEST // 10_000} or later.")
        yield con
    except psycopg.errors.LockNotAvailable:
        raise FeedFailed(
            f"Another session held a table for longer than {_LOCK_TIMEOUT}; nothing changed. Run the feed again, or end transactions "
            "that are idle (pg_stat_activity says which)."
        ) from None
    except psycopg.errors.DependentObjectsStillExist as error:
        raise FeedFailed(
            f"Views of yours hang on a table whose structure changes with this release ({error.diag.message_primary}): drop them, run "
            "the feed, create them again."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise FeedFailed(
            f"The role may not do what the feed needs ({error.diag.message_primary}): let it own the database, or grant it CREATE "
            "there."
        ) from None
    except psycopg.Error as error:  # the message may quote rows
        where = ".".join(part for part in (error.diag.schema_name, error.diag.table_name, error.diag.constraint_name) if part)
        told = f"{type(error).__name__} {error.sqlstate or ''}".strip() + (f" at {where}" if where else "")
        raise FeedFailed(
            f"PostgreSQL did not take the release ({told}); nothing changed. Its log says more; then run the feed again."
        ) from None
    finally:
        con.close()  # what was not committed is undone


_Connection = psycopg.Connection[tuple[object, ...]]


def _replace(con: _Connection, source: duckdb.DuckDBPyConnection, tables: list[_Table], tier: str, release_id: str) -> Fed:
    for name, value in {"timezone": "UTC", "datestyle": "ISO", "lock_timeout": _LOCK_TIMEOUT}.items():
        con.execute("select set_config(%s, %s, true)", [name, value])
    [(is_ours,)] = con.execute("select pg_try_advisory_xact_lock(%s)", [_LOCK_KEY]).fetchall()
    if not is_ours:
        raise FeedFailed("Another feed into this database is running: wait for its end.")
    wanted = {table.qualified: table for table in tables}
    known = _kept(con, tier)
    found = _columns(con)
    strangers = sorted(set(wanted) & set(found) - known)
    if strangers:
        raise UsageError(f"{strangers[0]} exists in this database and is not Rollin's: give Rollin a database of its own.")
    for schema in sorted({table.schema for table in tables}):
        _create_schema(con, schema)

    # a column that comes or goes leaves the rows where they are, another type does not
    fresh = {name for name in wanted if any(wanted[name].columns.get(c, kind) != kind for c, kind in found.get(name, {}).items())}
    fresh |= set(wanted) - set(found)
    added = {name: [c for c in wanted[name].columns if c not in found[name]] for name in set(wanted) - fresh}
    removed = {name: [c for c in found[name] if c not in wanted[name].columns] for name in set(wanted) - fresh}
    keys = {(key.table.qualified, key.name): key for key in _keys(source, tables)}
    had = {(table, name): kind for table, name, kind in _constraints(con) if table in known}
    # a short lock on few tables; without any change of structure none at all
    obsolete = known - set(wanted)
    is_altered = bool(fresh or obsolete or any(added.values()) or any(removed.values()) or set(keys) != set(had))
    if is_altered:
        drops = [key for key, kind in had.items() if kind == "f"]
        drops += [key for key, kind in had.items() if kind != "f" and key not in keys]
        for of, constraint in drops:
            con.execute(SQL("alter table {} drop constraint {}").format(Identifier(*of.split(".")), Identifier(constraint)))
        keyless = {of for of, constraint in drops if had[of, constraint] == "p"}
        for of, column in _required(con):
            if of in keyless:  # a primary key leaves that behind
                of_column = Identifier(*of.split(".")), Identifier(column)
                con.execute(SQL("alter table {} alter column {} drop not null").format(*of_column))
        for name in sorted((obsolete | fresh) & set(found)):
            con.execute(SQL("drop table {}").format(Identifier(*name.split("."))))
        for name in sorted(fresh):
            columns = (SQL("{} {}").format(Identifier(c), SQL(kind)) for c, kind in wanted[name].columns.items())
            con.execute(SQL("create table {} ({})").format(wanted[name].identifier, SQL(", ").join(columns)))
        for name, old in removed.items():
            for column in old:
                con.execute(SQL("alter table {} drop column {}").format(wanted[name].identifier, Identifier(column)))
        for name, new in added.items():
            for column in new:
                kind = SQL(wanted[name].columns[column])
                con.execute(SQL("alter table {} add column {} {}").format(wanted[name].identifier, Identifier(column), kind))
    keyed = {table for (table, _), key in keys.items() if key.target is None}
    rows, deleted, inserted = {}, 0, 0
    with tempfile.TemporaryDirectory(prefix="rollin-feed-") as folder:
        for name, table in wanted.items():
            rows[name] = _load(con, source, table, Path(folder) / "rows.csv")
    for name, table in wanted.items():
        gone, came = _exchange(con, table, rows[name], has_key=name in keyed)
        if gone or came:
            con.execute(SQL("analyze {}").format(table.identifier))  # as the planner will meet it
        deleted, inserted = deleted + gone, inserted + came
    if is_altered:
        for of_table, key in keys.items():
            if of_table not in had or of_table[0] in fresh or had[of_table] == "f":
                con.execute(key.definition(con.info.server_version))
    _comment(con, tables, tier)
    con.execute(SQL("delete from {}").format(_FEED))
    with con.cursor() as cursor:
        cursor.executemany(
            SQL("insert into {} values (%s, %s, %s, %s, %s, clock_timestamp())").format(_FEED),
            [[table.schema, table.name, tier, release_id, rows[name]] for name, table in wanted.items()],
        )
    return Fed(release_id, tier, len(wanted), sum(rows.values()), deleted, inserted)


def _kept(con: _Connection, tier: str) -> set[str]:
    """The tables that earlier feeds made.

    Raises UsageError where the database holds another tier: who may read one may not read the other.
    """
    [(exists,)] = con.execute("select to_regclass('meta.feed') is not null").fetchall()
    if not exists:
        _create_schema(con, "meta")
        con.execute(
            SQL(
                "create table {} (schema_name text, table_name text, tier text not null, release_id text not null,"
                " row_count bigint not null, fed_at timestamptz not null, primary key (schema_name, table_name))"
            ).format(_FEED)
        )
        return set()
    try:
        before = con.execute(SQL("select schema_name, table_name, tier from {}").format(_FEED)).fetchall()
    except psycopg.errors.UndefinedColumn:
        raise UsageError("meta.feed exists in this database and is not Rollin's: give Rollin a database of its own.") from None
    other = {str(row[2]) for row in before} - {tier}
    if other:
        raise UsageError(
            f"This database holds the {other.pop()} tier: feed the {tier} one into another database, whoever may read here may not"
            " necessarily read that. To change it for good, drop the schemas core, metrics and meta first."
        )
    return {f"{row[0]}.{row[1]}" for row in before}


def _create_schema(con: _Connection, schema: str) -> None:
    """Where there is none: ``if not exists`` would ask for the right to create one even then."""
    if con.execute("select to_regnamespace(%s) is null", [schema]).fetchall() == [(True,)]:
        con.execute(SQL("create schema {}").format(Identifier(schema)))


def _required(con: _Connection) -> list[tuple[str, str]]:
    """(table, column) of every column of our tables that may not be NULL."""
    return [
        (str(table), str(column))
        for table, column in con.execute(
            "select nspname || '.' || relname, attname from pg_attribute join pg_class on pg_class.oid = attrelid"
            " join pg_namespace on pg_namespace.oid = relnamespace where nspname = any(%s) and relkind = 'r' and attnum > 0"
            " and attnotnull and not attisdropped and (nspname, relname) <> ('meta', 'feed')",
            [list(publication.SCHEMAS)],
        ).fetchall()
    ]


def _columns(con: _Connection) -> dict[str, dict[str, str]]:
    """Types by column of everything in our schemas that has rows."""
    found: dict[str, dict[str, str]] = {}
    for name, column, kind in con.execute(
        "select nspname || '.' || relname, attname, format_type(atttypid, atttypmod) from pg_class"
        " join pg_namespace on pg_namespace.oid = relnamespace"
        " left join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped"
        " where nspname = any(%s) and relkind in ('r', 'p', 'v', 'm', 'f') and (nspname, relname) <> ('meta', 'feed')",
        [list(publication.SCHEMAS)],
    ).fetchall():
        columns = found.setdefault(str(name), {})
        if column is not None:
            columns[str(column)] = str(kind)
    return found


def _constraints(con: _Connection) -> list[tuple[str, str, str]]:
    """(table, name, kind) of keys and references; kind as in pg_constraint: p, u, f."""
    return [
        (str(table), str(name), str(kind))
        for table, name, kind in con.execute(
            "select nspname || '.' || relname, conname, contype::text from pg_constraint join pg_class on pg_class.oid = conrelid"
            " join pg_namespace on pg_namespace.oid = relnamespace where nspname = any(%s) and contype in ('p', 'u', 'f')",
            [list(publication.SCHEMAS)],
        ).fetchall()
    ]


def _load(con: _Connection, source: duckdb.DuckDBPyConnection, table: _Table, path: Path) -> int:
    """Bring the release's rows into a temporary table; returns how many."""
    incoming = table.incoming
    con.execute(SQL("create temp table {} (like {}) on commit drop").format(incoming, table.identifier))
    names = ", ".join(f'"{column}"' for column in table.columns)
    # every value is quoted, so that only NULL is empty, and no text is taken for an end mark
    rows = f"select {names} from {_quoted(table)}"
    [(written,)] = source.execute(f"copy ({rows}) to '{path}' (format csv, header false, force_quote *)").fetchall()
    columns = SQL(", ").join(map(Identifier, table.columns))
    with con.cursor() as cursor:
        with path.open("rb") as file, cursor.copy(SQL("copy {} ({}) from stdin (format csv)").format(incoming, columns)) as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        if cursor.rowcount != written:
            raise FeedFailed(
                f"{table.qualified} arrived with {cursor.rowcount} of {written} rows; nothing changed. Run the feed again."
            )
    con.execute(SQL("analyze {}").format(incoming))
    return int(written)


def _exchange(con: _Connection, table: _Table, rows: int, *, has_key: bool) -> tuple[int, int]:
    """Make a table equal to what came in; returns how many rows were deleted and inserted."""
    names = {"t": table.identifier, "i": table.incoming}
    differs = "not exists (select from {{{}}} as o where o::record = t::record)"
    if has_key:
        gone = con.execute(SQL("delete from {t} as t where " + differs.format("i")).format(**names)).rowcount
        came = con.execute(SQL("insert into {t} select * from {i} as t where " + differs.format("t")).format(**names)).rowcount
    else:  # rows may be there twice
        gone = con.execute(SQL("delete from {t}").format(**names)).rowcount
        came = con.execute(SQL("insert into {t} select * from {i}").format(**names)).rowcount
    [(present,)] = con.execute(SQL("select count(*) from {t}").format(**names)).fetchall()
    if present != rows:
        raise FeedFailed(
            f"{table.qualified} would have {present} instead of {rows} rows; nothing changed. Tell who maintains Rollin."
        )
    return gone, came


def _comment(con: _Connection, tables: list[_Table], tier: str) -> None:
    """Comments of schemas, tables and columns, where they differ."""
    present: dict[tuple[str, str, str | None], str] = {}
    for schema, name, column, text in con.execute(
        "select nspname, relname, attname, description from pg_description"
        " join pg_class on pg_class.oid = objoid and classoid = 'pg_class'::regclass"
        " join pg_namespace on pg_namespace.oid = relnamespace"
        " left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0"
        " where nspname = any(%s)",
        [list(publication.SCHEMAS)],
    ).fetchall():
        present[str(schema), str(name), None if column is None else str(column)] = str(text)
    own = _Table("meta", "feed", {}, _FEED_COMMENTS)
    for table in [*tables, own]:
        for column in [None, *(table.columns or (c for c in table.comments if c))]:
            text = table.comments.get(column)
            if text == present.get((table.schema, table.name, column)):
                continue
            what = SQL("table {}").format(table.identifier) if column is None else None
            what = what or SQL("column {}").format(Identifier(table.schema, table.name, str(column)))
            con.execute(SQL("comment on {} is {}").format(what, Literal(text)))
    for schema in sorted({table.schema for table in tables}):
        text = f"Rollin, {tier} tier; meta.release says which release."
        con.execute(SQL("comment on schema {} is {}").format(Identifier(schema), Literal(text)))
