"""How long the report of all 16 Länder takes, and how large its largest page is: ``python -m benchmarks.report RELEASE DIRECTORY``.

RELEASE: a release (of the sample). DIRECTORY: a GV100AD file, such as Destatis' of 30 November 2025 with 10,751 municipalities. The
release's warehouse is copied and blown up: Kreise, municipalities and who is competent for them come from the directory (Bavaria and
Hesse by their packaged rules, the others as if every municipality registered its residents itself, the most there can be), and every
authority, Kreis and Land gets the history of one in the sample. The numbers of the result mean nothing; their number is that of Germany.

The release may also be of a workload (``benchmarks.workloads``) with hundreds of services, cut down to a small share of its Kreise:
``ROLLIN_SERVICES`` then names its list of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.clean import RULES
from ingest.clean.engine import Context, clean_frame
from ingest.directory import build_reference, build_territory
from ingest.landfile import LandFile, load
from ingest.portals import PORTALS
from ingest.tables import TABLES

LAENDER = {
    "01": "Schleswig-Holstein", "02": "Hamburg", "03": "Niedersachsen", "04": "Bremen", "05": "Nordrhein-Westfalen", "06": "Hessen",
    "07": "Rheinland-Pfalz", "08": "Baden-Württemberg", "09": "Bayern", "10": "Saarland", "11": "Berlin", "12": "Brandenburg",
    "13": "Mecklenburg-Vorpommern", "14": "Sachsen", "15": "Sachsen-Anhalt", "16": "Thüringen",
}  # fmt: skip

#: What the report promises for 16 Länder: seconds of a tier for the sample's seven services, and as many a page for more; bytes of a page.
LIMIT_SECONDS, LIMIT_BYTES = 15.0, 3_000_000
_PAGES = 1 + 16 + 7


def main() -> int:
    """Measure and print; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--out", type=Path, help="keep the reports here")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measured = measure(arguments.release, arguments.directory, arguments.out or Path(scratch))
    print(json.dumps(measured, indent=1) if arguments.json else table(measured))
    tiers = measured["tiers"].values()
    return int(any(tier["seconds"] > tier["limit_seconds"] or tier["largest_bytes"] > LIMIT_BYTES for tier in tiers))


def measure(release: Path, directory: Path, out: Path) -> dict[str, Any]:
    """Both tiers' reports of the blown-up release in ``out``/<tier>: seconds, pages and bytes."""
    from orchestration import report
    from orchestration.report import drawing, figures  # noqa: F401 (a night has loaded the libraries below them already)

    out.mkdir(parents=True, exist_ok=True)
    territory = territory_of(directory, release / "warehouse.duckdb")
    tiers: dict[str, Any] = {}
    for tier, folder in (("exact", release), ("public", release / "public")):
        warehouse = out / f"{tier}.duckdb"
        counted = germany(folder / "warehouse.duckdb", territory, warehouse)
        print(f"measuring: the {tier} report ...", file=sys.stderr, flush=True)
        begun, worked = time.perf_counter(), _processor_seconds()
        pages = report.write(out / tier, warehouse, tier=tier, drawn_before=out / "exact" if tier == "public" else None)
        seconds, processor_seconds = time.perf_counter() - begun, _processor_seconds() - worked
        html = {str(path.relative_to(out / tier)): path.stat().st_size for path in pages if path.suffix == ".html"}
        largest = max(html, key=lambda name: html[name])
        tiers[tier] = {
            "seconds": round(seconds, 1),
            "limit_seconds": round(LIMIT_SECONDS * max(1.0, len(html) / _PAGES), 1),
            "processor_seconds": round(processor_seconds, 1),
            "files": len(pages),
            "pages": len(html),
            "largest": largest,
            "largest_bytes": html[largest],
            "bytes": sum(path.stat().st_size for path in pages),
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return counted | {
        "seconds": round(sum(tier["seconds"] for tier in tiers.values()), 1),
        "memory_mb": round(peak),
        "tiers": tiers,
    }


def _processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def table(measured: dict[str, Any]) -> str:
    """The measurements for people."""
    lines = [
        f"{measured['municipalities']:,} municipalities, {measured['authorities']:,} authorities, 16 Länder; invented numbers"
    ]
    for name, tier in measured["tiers"].items():
        lines.append(
            f"{name:7}{tier['seconds']:6.1f} s of {tier['limit_seconds']:.0f} ({tier['processor_seconds']:.1f} s of a processor) {tier['pages']:4} pages,"
            f" {tier['files']:4} files, {tier['bytes'] / 1e6:6.1f} MB; largest {tier['largest']}: {tier['largest_bytes'] / 1e6:.2f} MB"
        )
    lines.append(f"{measured['memory_mb']} MB of memory beside the process that makes half of the pages")
    return "\n".join(lines)


# -- the world -------------------------------------------------------------------------------------------------------------------

#: At which level an authority is competent, by the digits of its key.
_LEVELS = {8: "gemeinde", 9: "verband", 5: "kreis", 2: "land"}

#: Regions, authorities, competences: canonical frames.
Territory = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


def germany(warehouse: Path, territory: Territory, out: Path) -> dict[str, int]:
    """Write ``out``, the warehouse with all of Germany in it. Returns how many municipalities and authorities that are."""
    shutil.copyfile(warehouse, out)
    regions, authorities, competences = territory
    with duckdb.connect(str(out)) as con:
        for name, frame in (("new_region", regions), ("new_authority", authorities), ("new_competence", competences)):
            with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
                frame.write_parquet(file.name)
                con.execute(f"create temp table {name} as from read_parquet('{file.name}')")
        con.execute(_TWINS)
        columns: dict[str, set[str]] = {}
        for schema, name, column in con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where database_name = current_database() and not internal"
            " and schema_name in ('core', 'metrics', 'meta')"
        ).fetchall():
            columns.setdefault(f'{schema}."{name}"', set()).add(column)
        for name, found in columns.items():
            if name not in _FROM_DIRECTORY and "land_code" in found:
                _blow_up(con, name, found)
        for name, query in _FROM_DIRECTORY.items():
            _replace(con, name, query)
        con.execute(_COUNTS)
        con.execute("update meta.release set is_synthetic = true")
        counted = con.execute(
            "select (select count(*) from core.dim_region where is_reported and is_municipality), (select count(*) from core.dim_authority)"
        ).fetchall()[0]
    return {"municipalities": counted[0], "authorities": counted[1]}


def territory_of(directory: Path, warehouse: Path) -> Territory:
    """Regions, authorities and competences of all Länder; a Land that is not in the sample has the services of one that is."""
    packaged = load(environ={})
    source = next(source for source in packaged["00"].sources if source.format == "gv100ad")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clean.parquet"
        context = Context(TABLES[source.table], "00", source.name, directory.stem, datetime.now(UTC), reading=source.reading)
        clean_frame(
            PORTALS[source.format].read([directory], source),
            context,
            RULES[source.table],
            path,
            path.with_name("quarantine.parquet"),
        )
        territory = build_territory(pl.read_parquet(path), None, packaged["00"].changes)
    with duckdb.connect(str(warehouse), read_only=True) as con:
        offered: dict[str, list[str]] = dict(
            con.execute(
                "select land_code, list(distinct service_id) from metrics.coverage_daily group by all order by all"
            ).fetchall()
        )
        digits = con.execute(
            "select service_id, max(length(split_part(authority_id, '/', 2))) from core.bridge_competence group by all"
        ).fetchall()
    known = {service for file in packaged.values() for service in file.competences}
    levels = {service: "gemeinde" if service == "ummeldung" else "kreis" for service in known}
    # for the invented services of a workload (benchmarks.workloads) the keys say who is competent
    levels |= {service: _LEVELS[length] for service, length in digits if service not in known}
    references = []
    for position, (code, name) in enumerate(LAENDER.items()):
        services = offered.get(code) or offered[sorted(offered)[position % len(offered)]]
        rules: dict[str, Any] = {service: {"level": levels[service]} for service in services}
        if code in offered and code in packaged:
            own = packaged[code].competences
            rules |= {service: own[service].model_dump() for service in services if service in own}
        land = {
            "land_code": code,
            "name": name,
            "programme": {"start": "2026-01-21", "target": {"date": "2026-12-31", "share": 1.0}, "services": services},
            "competences": rules,
        }
        references.append(build_reference(LandFile.model_validate(land), territory))
    return (
        territory.regions,
        pl.concat([reference.authorities for reference in references]),
        pl.concat([reference.competences for reference in references]),
    )


#: Whose history each Land, Kreis and connection gets. One that the sample has keeps its own where it can.
_TWINS = """
create temp table old_land as
    select land_code, row_number() over (order by land_code) - 1 as number, count(*) over () as of_all
    from (select distinct land_code from metrics.coverage_daily);
create temp table land_twin as
    select new.land_code, coalesce(same.land_code, other.land_code) as twin
    from (select distinct land_code from new_region) as new
    left join old_land as same on new.land_code = same.land_code
    left join old_land as other on (new.land_code::integer - 1) % other.of_all = other.number;
create temp table old_kreis as
    select land_code, kreis_code, row_number() over (partition by land_code order by kreis_code) - 1 as number,
        count(*) over (partition by land_code) as of_all
    from (select distinct land_code, kreis_code from metrics.coverage_by_kreis);
create temp table kreis_twin as
    select new.land_code, new.kreis_code, new.kreis_name, old.kreis_code as twin, old.land_code as twin_land
    from (
        select land_code, kreis_code, max(kreis_name) as kreis_name, row_number() over (partition by land_code order by kreis_code) - 1 as number
        from new_region where valid_to is null group by land_code, kreis_code
    ) as new
    join land_twin using (land_code)
    join old_kreis as old on land_twin.twin = old.land_code and new.number % old.of_all = old.number;
create temp table old_pair as
    select authority_id, service_id, land_code, row_number() over (partition by land_code, service_id order by authority_id) - 1 as number,
        count(*) over (partition by land_code, service_id) as of_all
    from (select distinct authority_id, service_id, land_code from core.bridge_competence where is_reported);
create temp table pair_twin as
    select new.land_code, new.authority_id, new.service_id, old.authority_id as twin
    from (
        select land_code, authority_id, service_id, row_number() over (partition by land_code, service_id order by authority_id) - 1 as number
        from (select distinct land_code, authority_id, service_id from new_competence where valid_to is null)
    ) as new
    join land_twin using (land_code)
    join old_pair as old on land_twin.twin = old.land_code and new.service_id = old.service_id and new.number % old.of_all = old.number;
"""

_DAYS = "(valid_to is null) as is_current, (valid_to is null) as is_reported"
_FROM_DIRECTORY = {
    'core."dim_region"': f"""
        select *, {_DAYS}, kind::varchar not in ('gemeindefrei_bewohnt', 'gemeindefrei_unbewohnt') as is_municipality from new_region""",
    'core."bridge_competence"': f"select *, {_DAYS} from new_competence",
    'core."dim_authority"': f"""
        select authority.*, {_DAYS}, authority_id as reported_authority_id, coalesce(population, 0) as population, coalesce(municipalities, 0) as municipalities
        from new_authority as authority left join (
            select authority_id, sum(population) as population, count(*) as municipalities from (
                select distinct authority_id, ags, population from new_competence join new_region using (ags)
                where new_competence.valid_to is null and new_region.valid_to is null and not is_partial
            ) group by authority_id
        ) using (authority_id)""",
    'core."dim_land"': """
        select dim_land.* replace (
            true as is_participating, date '2026-01-21' as programme_start, date '2026-12-31' as target_on, 1.0 as target_share,
            counted.population as population, counted.municipalities as municipalities
        )
        from core.dim_land join (
            select land_code, sum(population) as population, count(*) filter (where is_municipality) as municipalities
            from core.dim_region where is_reported group by all
        ) as counted using (land_code)""",
}  # fmt: skip

#: Who is competent is counted anew; as large a part of them as in the sample is operational, and predicted to be.
_COUNTS = """
update metrics.commitment_status as commitment set
    authorities_competent = counted.competent,
    authorities_operational = round(counted.competent * coverage.coverage_authority_share),
    authorities_lacking = counted.competent - round(counted.competent * coverage.coverage_authority_share),
    open_predicted_count = open_predicted_count * counted.competent / commitment.authorities_competent,
    open_predicted_low_count = open_predicted_low_count * counted.competent / commitment.authorities_competent,
    open_predicted_high_count = open_predicted_high_count * counted.competent / commitment.authorities_competent
from (select land_code, service_id, count(*) as competent from pair_twin group by all) as counted, metrics.coverage_daily as coverage
where commitment.land_code = counted.land_code and commitment.service_id = counted.service_id
    and coverage.land_code = counted.land_code and coverage.service_id = counted.service_id and coverage.as_of = commitment.as_of
    and commitment.authorities_competent > 0;
update metrics.coverage_daily as coverage set
    authorities_competent = counted.competent,
    authorities_operational = round(coverage_authority_share * counted.competent),
    coverage_authority_share = round(coverage_authority_share * counted.competent) / counted.competent
from (select land_code, service_id, count(*) as competent from pair_twin group by all) as counted
where coverage.land_code = counted.land_code and coverage.service_id = counted.service_id;
"""


def _blow_up(con: duckdb.DuckDBPyConnection, name: str, columns: set[str]) -> None:
    """A row for every authority, Kreis or Land whose twin has one; what belongs to the federation stays."""
    if {"authority_id", "service_id"} <= columns:
        ids = [column for column in ("authority_id", "reported_authority_id") if column in columns]
        replaced = ", ".join(["twin.land_code as land_code", *(f"twin.authority_id as {column}" for column in ids)])
        query = (
            f"select old.* replace ({replaced}) from {name} as old join pair_twin as twin"
            " on old.authority_id = twin.twin and old.service_id = twin.service_id"
        )
    elif "kreis_code" in columns:
        replaced = "twin.land_code as land_code, twin.kreis_code as kreis_code, twin.kreis_name as kreis_name"
        query = f"select old.* replace ({replaced}) from {name} as old join kreis_twin as twin on old.kreis_code = twin.twin and old.land_code = twin.twin_land"
    else:
        replaced = "twin.land_code as land_code"
        if "stratum" in columns:  # a stratum of a Land begins with its key
            replaced += ", twin.land_code || stratum[3:] as stratum"
        query = (
            f"select old.* replace ({replaced}) from {name} as old join land_twin as twin on old.land_code = twin.twin"
            f" union all select * from {name} where land_code is null or land_code = '00'"
        )
    _replace(con, name, query)


def _replace(con: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    """The rows of a table by those of a query, which names its columns in any order; comments stay."""
    con.execute(f"create or replace temp table replacement as {query}")
    con.execute(f"delete from {name}")
    wanted = [row[0] for row in con.execute(f"select column_name from (describe {name})").fetchall()]
    listed = ", ".join(f'"{column}"' for column in wanted)
    con.execute(f"insert into {name} ({listed}) select {listed} from replacement")


if __name__ == "__main__":
    sys.exit(main())
