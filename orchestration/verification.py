"""Whether a release still is what it was, and whether it follows from what was received.

Belongs here: hashes of a release and of landing, and the rebuilding of a release from landing in a home of its own, compared table by
table. Does not: publishing (``publication``), what a table holds (``dbt_project``).

A release is rebuilt as its run saw the world: the same instant, the Land files of then, the deliveries received until then, and, for
the public tier, what the public release before it had shown. Only the code is today's. Everything is cleaned anew: the new home has
landing, by links, and nothing else. Nobody is asked, nothing of the home is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest import clock, landfile
from ingest.landing import Landing, object_path
from orchestration import publication, warehouse
from orchestration.deliveries import sources_of
from orchestration.night import Night, as_known_then
from orchestration.settings import Settings, UsageError, code_version

log = logging.getLogger("rollin.verify")

#: Columns that say when and by which run something was made, not what it is.
STAMPS = {"release_id", "run_id", "published_at", "last_attempt_at", "code_version"}

#: DOUBLE values are equal within this share of their size: sums in parallel differ in their last bits.
RELATIVE_TOLERANCE = 1e-12

#: The name of a home to rebuild in, below ``build``, and after what time nobody can be working in it any more.
_ASIDE = ".verify-"
_LEFT_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Verification:
    """What was found. ``damage``: of files, one sentence each; ``differences``: of rebuilt tables, one sentence each;
    ``tables_equal``: how many tables were rebuilt and are the same; ``notes``: what limits the comparison."""

    release_id: str
    files: int
    landed_objects: int | None = None
    damage: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    tables_equal: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage and not self.differences

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {"is_whole": self.is_whole, **asdict(self)}


def verify(settings: Settings, release_id: str | None = None, *, files_only: bool = False) -> Verification:
    """Check the files of a release (default: the current one) and, unless ``files_only``, landing, and rebuild it from there.

    Raises UsageError where there is no such release.
    """
    release_id = release_id or publication.current_id(settings)
    if release_id is None:
        raise UsageError("Nothing is published yet: run 'rollin refresh'.")
    if release_id not in publication.release_ids(settings):
        known = ", ".join(publication.release_ids(settings)[-5:]) or "none"
        raise UsageError(f"There is no release '{release_id}'. Known: {known}.")
    release = settings.published / "releases" / release_id
    damage = publication.verify(release)
    files = sum(path.is_file() for path in release.rglob("*"))
    if files_only or damage:
        notes = [] if files_only else ["It was not rebuilt: its own files are damaged. Restore it from the back-up first."]
        return Verification(release_id, files, damage=damage, notes=notes)
    objects, damage = landing_damage(settings)
    if damage:
        return Verification(release_id, files, objects, damage, notes=["It was not rebuilt: landing is damaged."])
    found = Verification(release_id, files, objects)
    return _compare_rebuilt(settings, release, found)


def landing_damage(settings: Settings) -> tuple[int, list[str]]:
    """How many objects landing holds, and one sentence for each that is not what its name says, or that a delivery misses."""
    landing = Landing(settings.home)
    damage, objects = [], 0
    for path in sorted((landing.root / "objects").glob("*/*")):
        objects += 1
        with contextlib.suppress(OSError):
            if publication.sha256_of(path) == path.name:
                continue
        damage.append(f"landing/objects/{path.parent.name}/{path.name} was changed: restore it from the back-up.")
    for land_code, source in sources_of(landing):
        for delivery in landing.deliveries(land_code, source):
            content = hashlib.sha256("".join(part.sha256 for part in delivery.parts).encode()).hexdigest()
            stated = f"{delivery.delivered_at:%Y%m%dT%H%M%SZ}"
            named = delivery.delivery_id.startswith(stated) and delivery.delivery_id.endswith(content[:8])
            if not named or (delivery.land_code, delivery.source) != (land_code, source):
                damage.append(
                    f"The sidecar of {land_code}/{source} {delivery.delivery_id} was changed: restore it from the back-up."
                )
            damage += [
                f"The bytes of {land_code}/{source} {delivery.delivery_id} ({part.name}) are gone: restore landing from the back-up."
                for part in delivery.parts
                if not object_path(landing.root, part.sha256).is_file()
            ]
    return objects, damage


# -------------------------------------------------------------------------------------------------------------------- the rebuilding


def _compare_rebuilt(settings: Settings, release: Path, found: Verification) -> Verification:
    with duckdb.connect(str(release / "warehouse.duckdb"), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        [(run_id, territory_on, is_synthetic, version)] = con.execute(
            "select run_id, territory_on, is_synthetic, code_version from meta.release"
        ).fetchall()
    notes = list(found.notes)
    if version != code_version():
        notes.append(f"It was made by version {version} and is rebuilt by {code_version()}: differences may come from that.")
    began_at = _began_at(settings, run_id, release)
    before = _public_before(settings, release.name)
    has_public = (release / publication.PUBLIC).is_dir()
    with _home_of_landing(settings) as home, _clock(began_at):
        asked = replace(
            settings, home=home, as_of=clock.day_of(began_at), territory=territory_on, full=False, again_from=None, again_to=None
        )
        asked = as_known_then(asked)
        if is_synthetic and not any(land.is_synthetic for land in landfile.load(asked.laender, asked.environ).values()):
            asked = replace(asked, is_sample=True)
        night = Night(asked, f"verify-{run_id}")
        night.memory = [before] if before is not None else []
        night.open_folder()
        log.info("cleaning what had been received until %s", began_at.isoformat())
        night.assemble()
        manifest = warehouse.load_manifest(warehouse.prepare(asked))
        log.info("building the warehouse")
        outcome = warehouse.build(manifest)
        if not outcome.success:
            failure = outcome.failures[0] if outcome.failures else "dbt build failed"
            return replace(found, notes=notes, differences=[f"It cannot be rebuilt: {failure}."])
        build = night.folder / "warehouse.duckdb"
        marts = warehouse.marts(manifest)
        exact = {(n["schema"], n["alias"]): f'from build."{n["schema"]}"."{n["alias"]}"' for n in marts}
        equal, differences = compare(build, release / "warehouse.duckdb", exact)
        if has_public:
            copies = publication.public_copies(marts, warehouse.masked(manifest))
            public = {(copy.schema, copy.name): copy.query for copy in copies}
            same, other = compare(build, release / publication.PUBLIC / "warehouse.duckdb", public)
            if other and before is None:
                notes.append(
                    f"The public tier was not compared ({len(other)} tables differ): the release before it, whose suppressions it "
                    "continues, is not here."
                )
            else:
                equal, differences = equal + same, [*differences, *(f"public: {sentence}" for sentence in other)]
    return replace(found, notes=notes, tables_equal=equal, differences=differences)


def _began_at(settings: Settings, run_id: str, release: Path) -> datetime:
    """The instant of a release's run. Its record says it; where that is gone, the release's id does, to the second."""
    from orchestration.refresh import read_run

    record = read_run(settings, run_id)
    if record is not None:
        return datetime.fromisoformat(record["started_at"])
    if release.name.endswith("-asof"):
        raise UsageError(
            f"When {release.name} was rebuilt is recorded in its run, which is gone: 'rollin refresh --as-of' makes it anew."
        )
    # received within that second, and not after it
    return datetime.strptime(release.name.split("-")[0] + "+0000", "%Y%m%dT%H%M%SZ%z").replace(microsecond=999_999)


def _public_before(settings: Settings, release_id: str) -> Path | None:
    """The newest release with a public tier that is older than a release."""
    older = [r for r in publication.release_ids(settings) if r < release_id and not r.endswith("-asof")]
    found = [path for r in older if ((path := settings.published / "releases" / r) / publication.PUBLIC).is_dir()]
    return found[-1] if found else None


@contextlib.contextmanager
def _home_of_landing(settings: Settings) -> Iterator[Path]:
    """A home of its own that has landing and nothing else; it is gone afterwards."""
    settings.build.mkdir(parents=True, exist_ok=True)
    for left in settings.build.glob(f"{_ASIDE}*"):  # by one that was killed; a young one may be at work
        if time.time() - left.stat().st_mtime > _LEFT_AFTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=settings.build))
    try:
        os.symlink(settings.home / "landing", home / "landing")
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _clock(instant: datetime) -> Iterator[None]:
    before = {
        name: os.environ.get(name)
        for name in ("ROLLIN_NOW", "ROLLIN_INPUTS", "ROLLIN_BUILD", "ROLLIN_PARTS", "DBT_TARGET_PATH", "DBT_LOG_PATH")
    }
    os.environ["ROLLIN_NOW"] = instant.isoformat()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# -------------------------------------------------------------------------------------------------------------------- the comparison


def compare(build: Path, release: Path, queries: dict[tuple[str, str], str]) -> tuple[int, list[str]]:
    """How many tables of a build are those of a release, and one sentence for each that is not.

    ``queries``: what each published table is made of, on the database ``build``. The publisher's own tables are left out.
    """
    equal, differences = 0, []
    own = {("meta", name) for name in publication.own_tables()}
    with duckdb.connect() as con:
        con.execute("set autoinstall_known_extensions = false; set threads = 2; set memory_limit = '4GB'; set TimeZone = 'UTC'")
        con.execute(f"set temp_directory = {_text(build.parent / '.spill')}")
        for name, path in (("build", build), ("release", release)):
            con.execute(f"attach {_text(path)} as {name} (read_only)")
        published = set(
            con.execute("select schema_name, table_name from duckdb_tables() where database_name = 'release'").fetchall()
        )
        differences += [f"{'.'.join(table)} is not in the release." for table in sorted(set(queries) - published)]
        differences += [f"{'.'.join(table)} was not rebuilt." for table in sorted(published - set(queries) - own)]
        for table in sorted(published & set(queries)):
            sentence = _difference(con, queries[table], f'from release."{table[0]}"."{table[1]}"', build.parent)
            equal += sentence is None
            if sentence is not None:
                differences.append(f"{'.'.join(table)} {sentence}")
    return equal, differences


def _text(path: Path) -> str:
    """A path as a SQL string literal."""
    return "'" + str(path).replace("'", "''") + "'"


def _difference(con: duckdb.DuckDBPyConnection, rebuilt: str, released: str, spill: Path) -> str | None:
    """What differs between two tables, stamps excepted; None where nothing does."""
    shapes = [con.execute(f"select column_name, column_type from (describe {query})").fetchall() for query in (rebuilt, released)]
    if shapes[0] != shapes[1]:
        return f"has other columns or types: {sorted(set(shapes[0]) ^ set(shapes[1]))[:4]}."
    columns = {name: kind for name, kind in shapes[0] if name not in STAMPS}
    names = ", ".join(f'"{name}"' for name in columns)
    left, right = (f"(select {names} from ({query}))" for query in (rebuilt, released))
    [(rows_rebuilt,)] = con.execute(f"select count(*) from {left}").fetchall()
    [(rows_released,)] = con.execute(f"select count(*) from {right}").fetchall()
    if rows_rebuilt != rows_released:
        return f"has {rows_rebuilt} rows rebuilt and {rows_released} published."
    [(differing,)] = con.execute(f"select count(*) from (from {left} except all from {right})").fetchall()
    if not differing:
        return None
    # equal but for the last bits of a sum? in the order of what must be exact, then of the rest
    floats = [name for name, kind in columns.items() if re.fullmatch(r"DOUBLE|FLOAT", kind)]
    order = ", ".join(f'"{name}"' for name in [*(name for name in columns if name not in floats), *floats])
    with tempfile.TemporaryDirectory(dir=spill) as folder:
        frames = []
        for name, query in (("one", left), ("other", right)):
            path = Path(folder) / f"{name}.parquet"
            con.execute(f"copy (select {names} from {query} order by {order}) to {_text(path)} (format parquet)")
            frames.append(pl.read_parquet(path))
    one, other = frames
    for name in columns:
        if name in floats:
            a, b = pl.col("a"), pl.col("b")
            size = pl.max_horizontal(a.abs(), b.abs())
            # NaN is NaN's equal here; it and infinity are near to nothing else
            is_near = a.is_finite() & b.is_finite() & ((a - b).abs() <= RELATIVE_TOLERANCE * size)
            near = pl.DataFrame({"a": one[name], "b": other[name]}).select((a.eq_missing(b) | is_near).fill_null(False))
            wrong = near.height - int(near.to_series().sum())
        else:
            wrong = int(one[name].ne_missing(other[name]).sum())
        if wrong:
            return f"differs in {name} in {wrong} of {rows_released} rows."
    return None
