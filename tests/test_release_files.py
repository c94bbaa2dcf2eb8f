"""The files of a release besides its tables: data package, catalogue entry, workbook, licences, lineage."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import fastexcel
import jsonschema
import openpyxl
import polars as pl
import pytest
import rdflib
from polars.testing import assert_frame_equal

from expectations import release
from orchestration import dcat, licences, lineage, publication, warehouse, workbook
from orchestration.publisher import Publisher
from orchestration.refresh import refresh
from orchestration.settings import Settings, UsageError
from tests.house import House

DESTATIS = (
    "© Statistisches Bundesamt (Destatis), Vervielfältigung und Verbreitung, auch auszugsweise, mit Quellenangabe gestattet"
)
PUBLISHER = {
    "ROLLIN_PUBLIC_URL": "https://daten.example.de/rollin",
    "ROLLIN_PUBLISHER": "Ministerium für Beispiele",
    "ROLLIN_PUBLISHER_URL": "https://ministerium.example.de/",
    "ROLLIN_CONTACT_EMAIL": "daten@example.de",
    "ROLLIN_CONTRIBUTOR_ID": "http://dcat-ap.de/def/contributors/beispiel",
}


def publish_again(published: House, home: Path, environ: Mapping[str, str], without: tuple[str, ...] = ()) -> Path:
    """A copy of the published home with one release more: of the same build, but the sources ``without`` state no licence."""
    shutil.copytree(published.home, home, symlinks=True)
    settings = Settings(home=home, environ=environ)
    run = max((p for p in settings.build.iterdir() if (p / "audit.json").is_file() and not p.is_symlink()), key=os.path.getmtime)
    build = run / "warehouse.duckdb"
    if without:
        with duckdb.connect(str(build)) as con:
            con.execute("update meta.source_status set licence = null where list_contains(?, source)", [list(without)])
    audit = publication.Audit.read(run / "audit.json")
    audit = dataclasses.replace(audit, build_sha256=publication.sha256_of(build))
    (run / "audit.json").write_text(audit.to_json())
    manifest = warehouse.load_manifest(settings.build / "dbt" / "manifest.json")
    marts, masked, inputs = warehouse.marts(manifest), warehouse.masked(manifest), warehouse.inputs(manifest)
    now = published.now + timedelta(minutes=1)
    publication.publish(settings, build, run_id=audit.run_id, now=now, marts=marts, masked=masked, inputs=inputs)
    return settings.current


@pytest.fixture(scope="module")
def configured(published: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release whose publisher is configured."""
    return publish_again(published, tmp_path_factory.mktemp("configured") / "home", PUBLISHER)


def rows(release: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(release / "warehouse.duckdb"), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(query).fetchall()


def tables(release: Path) -> list[str]:
    return [t for (t,) in rows(release, "select schema_name || '.' || table_name from duckdb_tables() order by 1")]


# ------------------------------------------------------------------------------------------------------------------- data package


@pytest.fixture(scope="module")
def profile() -> jsonschema.Draft7Validator:
    """The profile of Data Package 2.0, as the standard's own library ships it."""
    schema = json.loads((files("dplib") / "profiles" / "2.0" / "datapackage.json").read_text())
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("tier", ["", "public"])
def test_data_package_is_valid_and_describes_the_files(published: House, profile: jsonschema.Draft7Validator, tier: str) -> None:
    folder = published.settings.current / tier
    package = json.loads((folder / "datapackage.json").read_text())
    assert [error.message for error in profile.iter_errors(package)] == []
    assert package["release"]["is_synthetic"] and "Synthetische Daten" in package["description"]
    assert package["release"]["release_id"] == published.current and package["release"]["tier"] == (tier or "exact")
    described = {resource["path"]: resource for resource in package["resources"]}
    expected = {f"{kind}/{t.replace('.', '/')}.{kind}" for t in tables(folder) for kind in ("csv", "parquet")}
    assert set(described) == expected | {"warehouse.duckdb", "rollin.xlsx", "report/index.html"}
    for path, resource in described.items():
        content = (folder / path).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        if resource["format"] == "csv":
            with (folder / path).open(newline="", encoding="utf-8") as file:
                head = next(csv.reader(file))
            assert [field["name"] for field in resource["schema"]["fields"]] == head
    coverage = described["csv/metrics/coverage_daily.csv"]
    assert coverage["schema"]["uniqueKeys"] == [["land_code", "service_id", "as_of"]]
    units = {field["name"]: field.get("unit") for field in coverage["schema"]["fields"]}
    assert units["coverage_authority_share"] == "share" and units["land_code"] is None


def test_the_profile_would_refuse_a_wrong_descriptor(published: House, profile: jsonschema.Draft7Validator) -> None:
    package = json.loads((published.settings.current / "datapackage.json").read_text())
    wrong = [
        package | {"resources": []},
        package | {"created": 5},
        package | {"resources": [{**package["resources"][0], "path": "../audit.json"}]},
        package | {"licenses": [{"title": "nothing else"}]},
    ]
    assert all(list(profile.iter_errors(one)) for one in wrong)


def test_public_data_package_names_no_delivery(published: House) -> None:
    current = published.settings.current
    exact, public = ((current / tier / "datapackage.json").read_text() for tier in ("", "public"))
    names = {
        name for (name,) in rows(current, "select delivery_id from meta.landing_file union select sha256 from meta.landing_file")
    }
    assert all(name in exact for name in names)
    assert not [name for name in names if name in public]
    package = json.loads(public)
    assert {source["source"] for source in package["sources"]} == {
        "anbindungen", "datahub", "fallzahlen", "gemeindeverzeichnis", "kosten", "nutzung"
    }  # fmt: skip
    assert all(source["licence"] and source["attribution"] for source in package["sources"])
    assert all(resource["licenses"] and resource["attribution"] for resource in package["resources"] if resource.get("type"))
    assert "licenses" not in json.loads(exact)  # the exact tier is licensed to nobody


# ----------------------------------------------------------------------------------------------------------------- catalogue entry

_EU, _DE = "http://publications.europa.eu/resource/authority", "http://dcat-ap.de/def"
#: The vocabularies are not at hand: of each, the terms that are used, copied from its publication.
VOCABULARY = {
    f"{_EU}/data-theme": ["GOVE"],
    f"{_EU}/language": ["DEU"],
    f"{_EU}/frequency": ["DAILY"],
    f"{_EU}/file-type": ["CSV", "PARQUET"],
    f"{_EU}/planned-availability": ["AVAILABLE"],
    f"{_DE}/licenses": ["dl-by-de/2.0", "dl-zero-de/2.0", "cc-by/4.0", "cc-zero", "other-open"],
    f"{_DE}/politicalGeocoding/stateKey": ["06"],
    f"{_DE}/politicalGeocoding/Level": ["state"],
    f"{_DE}/contributors": ["beispiel"],
}
_SHACL = rdflib.Namespace("http://www.w3.org/ns/shacl#")


@pytest.fixture(scope="module")
def shapes(shared_data: Path) -> rdflib.Graph:
    """The official SHACL shapes of DCAT-AP.de 2.0."""
    graph = rdflib.Graph()
    found = sorted((shared_data / "standards" / "dcat-ap-de-2.0").glob("*.ttl"))
    assert len(found) == 5
    for path in found:
        graph.parse(path)
    return graph


def violations(data: rdflib.Graph, shapes: rdflib.Graph) -> Counter[str]:
    """What the shapes find, by the last part of the property that it is about."""
    from pyshacl import validate

    known = rdflib.Graph()
    for scheme, terms in VOCABULARY.items():
        for term in terms:
            known.add((rdflib.URIRef(f"{scheme}/{term}"), rdflib.SKOS.inScheme, rdflib.URIRef(scheme)))
    _, report, _ = validate(data + known, shacl_graph=shapes, do_owl_imports=False, inference="none")
    assert isinstance(report, rdflib.Graph)
    return Counter(
        str(report.value(result, _SHACL.resultPath)).rpartition("/")[2]
        for result in report.subjects(rdflib.RDF.type, _SHACL.ValidationResult)
        if report.value(result, _SHACL.resultSeverity) == _SHACL.Violation
    )


def entry(folder: Path) -> rdflib.Graph:
    return rdflib.Graph().parse(folder / dcat.NAME, publicID="https://served.example/")


def test_catalogue_entry_meets_the_official_shapes(configured: Path, shapes: rdflib.Graph) -> None:
    data = entry(configured / "public")
    assert violations(data, shapes) == Counter()
    datasets = set(data.subjects(rdflib.RDF.type, rdflib.DCAT.Dataset))
    assert len(datasets) == len(tables(configured / "public"))
    assert len(set(data.subjects(rdflib.RDF.type, rdflib.DCAT.Distribution))) == 2 * len(datasets)
    base = "https://daten.example.de/rollin/"
    for address in data.objects(None, rdflib.DCAT.downloadURL):
        assert str(address).startswith(base) and (configured / "public" / str(address)[len(base) :]).is_file()
    dataset = rdflib.URIRef(f"{base}#metrics.coverage_daily")
    attributions = set(data.objects(rdflib.URIRef(f"{base}#metrics.coverage_daily.csv"), dcat._DCATDE.licenseAttributionByText))
    assert all("Hessen: anbindungen (dl-de/by-2-0" in text and "Destatis" in text for text in attributions) and attributions
    assert any("Synthetische" in str(text) for text in data.objects(dataset, rdflib.DCTERMS.description))
    # and the shapes would find what is wrong
    for predicate, value in (
        (rdflib.DCTERMS.license, rdflib.URIRef("https://www.govdata.de/dl-de/by-2-0")),
        (rdflib.DCAT.byteSize, rdflib.Literal("many")),
    ):
        broken = rdflib.Graph() + data
        distribution = rdflib.URIRef(f"{base}#metrics.coverage_daily.csv")
        assert (distribution, predicate, None) in broken
        broken.set((distribution, predicate, value))
        assert violations(broken, shapes)


def test_without_a_publisher_nobody_is_invented(published: House, shapes: rdflib.Graph) -> None:
    """What then lacks for GovData is what only the publisher can say: who it is, and the identifier that GovData assigned."""
    folder = published.settings.current / "public"
    data, count = entry(folder), len(tables(folder))
    assert violations(data, shapes) == Counter({"contributorID": count, "publisher": count})
    assert not list(data.subjects(rdflib.RDF.type, rdflib.FOAF.Agent))
    addresses = [str(address) for address in data.objects(None, rdflib.DCAT.downloadURL)]
    assert len(addresses) == 2 * count  # relative to wherever the folder is served
    assert all((folder / address.removeprefix("https://served.example/")).is_file() for address in addresses)


def test_a_publisher_that_cannot_be_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    for name, value in (
        ("ROLLIN_PUBLIC_URL", "daten.example.de"),
        ("ROLLIN_PUBLISHER_URL", "https://x.example/<script>"),
        ("ROLLIN_CONTACT_EMAIL", "nobody"),
        ("ROLLIN_CONTRIBUTOR_ID", "zwei Worte"),
    ):
        with pytest.raises(UsageError, match=f"{name} is no"):
            Publisher.from_environ({name: value})
    result = refresh(Settings(home=tmp_path / "home", environ={"ROLLIN_CONTACT_EMAIL": "nobody"}))
    assert (result.outcome, result.exit_code) == ("misconfigured", 2) and "ROLLIN_CONTACT_EMAIL" in result.message
    assert not (tmp_path / "home" / "landing").exists()
    assert Publisher.from_environ({}) == Publisher()


# ------------------------------------------------------------------------------------------------------------------------ workbook


def as_shown(table: pl.DataFrame) -> pl.DataFrame:
    """A table as a spreadsheet gives it back: numbers are DOUBLE, instants have no zone, what would run is text."""
    text = pl.col(pl.String)
    return table.with_columns(
        pl.col(pl.Decimal).cast(pl.Float64),
        pl.col(pl.Datetime).dt.replace_time_zone(None).dt.cast_time_unit("ms"),
        pl.when(text.str.contains(r"^[=+\-@\t\r]")).then("'" + text).otherwise(text).fill_null("").name.keep(),
    )


def family(kind: pl.DataType) -> str:
    """What a spreadsheet tells apart: it knows numbers, days and instants (of the first of January 1900 it cannot say which), text, truth."""
    return "number" if kind.is_numeric() else "time" if kind.is_temporal() else str(kind)


@pytest.mark.parametrize("tier", ["", "public"])
def test_workbook_holds_every_cell_of_every_table(published: House, tier: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = published.settings.current / tier
    reader = fastexcel.read_excel(folder / "rollin.xlsx")
    assert reader.sheet_names[0] == workbook.NOTES
    notes = reader.load_sheet(0, header_row=None).to_polars().cast(pl.String)
    said = {text for column in notes.iter_columns() for text in column if text}
    assert published.current in said and any("erfunden" in text for text in said)
    compared = 0
    for table in tables(folder):
        assert table in said
        expected = as_shown(pl.read_parquet(folder / "parquet" / f"{table.replace('.', '/')}.parquet"))
        sheet = reader.load_sheet(table.split(".")[1], schema_sample_rows=None, dtype_coercion="coerce")
        shown = sheet.to_polars()
        assert shown.columns == expected.columns and shown.height == expected.height, table
        for name, kind in expected.schema.items():
            if expected[name].is_not_null().any():  # what the cells are, not what was asked for
                assert family(shown[name].dtype) == family(kind), (table, name)
        shown = shown.with_columns(pl.col(name).cast(kind) for name, kind in expected.schema.items())
        assert_frame_equal(shown.with_columns(pl.col(pl.String).fill_null("")), expected, rel_tol=1e-12, abs_tol=1e-12)
        compared += shown.height * shown.width
    with capsys.disabled():
        print(f"\n  {tier or 'exact'} workbook: {len(reader.sheet_names)} sheets, {compared} cells compared")


def table_of(folder: Path, statements: str, columns: list[tuple[str, str, str | None]], rows_: list[tuple[Any, ...]]) -> Path:
    """A tier with one table, as small as a workbook needs it."""
    (folder / "parquet" / "core").mkdir(parents=True)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute("create schema core; create schema meta")
        con.execute("create table meta.release (published_at timestamptz)")
        con.execute("insert into meta.release values ('2026-06-15 22:00:00+00')")
        con.execute('create table meta."column" (schema_name text, table_name text, column_name text, position int, data_type text,'
                    " description text, unit text)")  # fmt: skip
        con.execute(statements)
        for position, (name, kind, unit) in enumerate(columns, 1):
            con.execute("insert into meta.\"column\" values ('core', 'odd', ?, ?, ?, '', ?)", [name, position, kind, unit])
        for row in rows_:
            con.execute(f"insert into core.odd values ({', '.join('?' * len(row))})", row)
        con.execute(f"copy core.odd to '{folder}/parquet/core/odd.parquet' (format parquet)")
    return folder


def test_nothing_in_a_workbook_runs_or_breaks_it(tmp_path: Path) -> None:
    hostile = [
        '=HYPERLINK("https://evil.example";"x")', "+1+1", "-2", "@SUM(A1)", "\t=1", "<b>&amp;</b>", "]]>", "a\x00\x01\x0bb", "_x0041_",
        "ä\U0001f600", " two  blanks ", "line\nbreak", "a\rb", "x" * 40_000, "", None,
    ]  # fmt: skip
    path = table_of(
        tmp_path,
        "create table core.odd (word text, day date, seen_at timestamptz, yes boolean, amount decimal(18,2), ratio double, n bigint)",
        [("word", "VARCHAR", None), ("day", "DATE", None), ("seen_at", "TIMESTAMP WITH TIME ZONE", None), ("yes", "BOOLEAN", None),
         ("amount", "DECIMAL(18,2)", "EUR"), ("ratio", "DOUBLE", "share"), ("n", "BIGINT", "rows")],
        [(word, date(2026, 1, 1), "2026-06-15 21:59:59+00", i % 2 == 0, "-1234.50", float("inf") if i == 3 else 0.25, 10**12 + i)
         for i, word in enumerate(hostile)],
    )  # fmt: skip
    assert workbook.write(tmp_path / "odd.xlsx", path, [("=1+1", "=cmd|' /C calc'!A0")]) == []
    book = openpyxl.load_workbook(tmp_path / "odd.xlsx")
    sheet = book["odd"]
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref == f"A1:G{len(hostile) + 1}"
    shown = [row[0].value for row in sheet.iter_rows(min_row=2)]
    # "_x0041_" would be read as an A: it is escaped, which this library shows as it stands
    assert shown[:5] == ["'" + str(text) for text in hostile[:5]]
    assert shown[5:12] == ["<b>&amp;</b>", "]]>", "ab", "_x005F_x0041_", "ä\U0001f600", " two  blanks ", "line\nbreak"]
    assert shown[5:13][-1] == "a\rb" and len(shown[13]) == 16_383 and shown[14:] == ["", None]
    assert all(c.data_type != "f" for page in book for row in page.iter_rows() for c in row)
    assert [c.number_format for c in sheet[2]] == [
        "General",
        "yyyy-mm-dd",
        "yyyy-mm-dd hh:mm:ss",
        "General",
        "#,##0.00",
        "0.0 %",
        "#,##0",
    ]
    assert [c.value for c in sheet[2]][1:] == [
        datetime(2026, 1, 1),
        datetime(2026, 6, 15, 21, 59, 59),
        True,
        -1234.5,
        0.25,
        10**12,
    ]
    assert sheet["F5"].value is None  # a spreadsheet knows no infinity


def test_days_about_1900_are_those_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    """Spreadsheets count from 1 January 1900 and believe in a 29 February of that year."""
    days = ["1899-12-31", "1900-01-01", "1900-02-28", "1900-03-01", "9999-12-31"]
    values = ", ".join(f"(date '{day}')" for day in days)
    path = table_of(tmp_path, f"create table core.odd as select * from (values {values}) as t (day)", [("day", "DATE", None)], [])
    workbook.write(tmp_path / "odd.xlsx", path, [])
    shown = [row[0].value for row in openpyxl.load_workbook(tmp_path / "odd.xlsx")["odd"].iter_rows(min_row=2)]
    assert shown == [None, *(datetime.fromisoformat(day) for day in days[1:])]


def test_a_table_too_long_for_a_sheet_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table_of(tmp_path, "create table core.odd as select range as n from range(50)", [("n", "BIGINT", "rows")], [])
    monkeypatch.setattr(workbook, "SHEET_CELLS", 49)
    assert workbook.write(tmp_path / "odd.xlsx", path, []) == ["core.odd"]
    book = openpyxl.load_workbook(tmp_path / "odd.xlsx")
    assert "odd" not in book.sheetnames
    notes = [str(c) for row in book[workbook.NOTES].iter_rows(values_only=True) for c in row]
    assert any("Zu lang für ein Blatt, siehe csv/core/odd.csv" in text for text in notes)


def test_a_workbook_is_written_a_hundred_thousand_rows_a_second_or_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table_of(
        tmp_path,
        "create table core.odd as select range as n, range / 7.0 as ratio, 'Wort ' || range as word, date '2026-01-01' as day"
        " from range(100000)",
        [("n", "BIGINT", None), ("ratio", "DOUBLE", None), ("word", "VARCHAR", None), ("day", "DATE", None)],
        [],
    )
    began = time.perf_counter()
    workbook.write(tmp_path / "odd.xlsx", path, [])
    seconds = time.perf_counter() - began
    with capsys.disabled():
        print(f"\n  workbook: 400,000 cells in {seconds:.2f} s, {400_000 / seconds:,.0f} a second")
    assert seconds < 6  # a row at a time in Python takes that long on an idle machine


# ------------------------------------------------------------------------------------------------------------------------ licences


def test_licences_are_a_closed_list() -> None:
    by, zero, destatis = (licences.read(text) for text in ("dl-de/by-2-0", "DL-DE/Zero-2-0", DESTATIS))
    assert by and zero and destatis
    assert by.needs_attribution and not zero.needs_attribution and destatis.needs_attribution
    for unknown in (
        None,
        "",
        "intern",
        "© Statistisches Bundesamt (Destatis)",
        "frei",
        "dl-de/by-2-0 nur intern",
        "CC-BY-NC-4.0",
    ):
        assert licences.read(unknown) is None, unknown
    assert licences.combined([]) is None
    assert licences.combined([zero, zero]) == zero and licences.combined([zero, by]) == by
    mixed = licences.combined([by, destatis, zero])
    assert mixed and mixed.dcat.endswith("/other-open") and mixed.needs_attribution
    assert (
        licences.attribution(destatis, "Bund", "verzeichnis")
        == "© Statistisches Bundesamt (Destatis) (verzeichnis); Daten verarbeitet"
    )
    assert licences.attribution(by, "Hessen", "kosten") == (
        "Hessen: kosten (dl-de/by-2-0, https://www.govdata.de/dl-de/by-2-0); Daten verarbeitet"
    )


def source(land_code: str, name: str, table: str, stated: str | None) -> lineage.Source:
    return lineage.Source(land_code, name, table, land_code, stated, licences.read(stated), ())


def test_what_is_withheld_where_a_source_states_no_licence() -> None:
    traced = lineage.Lineage(
        {"metrics.a": frozenset({"costs"}), "metrics.b": frozenset({"listings"}), "core.c": frozenset({"competences"}), "meta.d": frozenset()},
        (
            source("00", "verzeichnis", "regions", DESTATIS),
            source("00", "katalog", "listings", None),
            source("06", "kosten", "costs", "intern"),
            source("09", "kosten", "costs", "dl-de/by-2-0"),
        ),
    )  # fmt: skip
    key = ["land_code", "eur"]
    assert lineage.restriction(traced, "metrics.a", key) == "land_code is not null and land_code not in ('00', '06')"
    assert lineage.restriction(traced, "metrics.a", ["eur"]) == lineage.NOTHING  # whose rows they are is not said
    assert lineage.restriction(traced, "metrics.b", key) == lineage.NOTHING  # a federal source tells of every Land
    assert lineage.restriction(traced, "core.c", key) is None and lineage.restriction(traced, "meta.d", key) is None
    assert [one.land_code for one in traced.published("metrics.a", key)] == ["09"]
    assert traced.published("metrics.b", key) == []
    assert lineage.restriction(traced, "metrics.unheard_of", key) == lineage.NOTHING  # taken to rest on everything


def test_a_source_without_a_licence_does_not_leave_the_house(published: House, tmp_path: Path, shapes: rdflib.Graph) -> None:
    release = publish_again(published, tmp_path / "home", PUBLISHER, without=("kosten", "nutzung"))
    before = published.settings.current
    for table, stays in (
        ("metrics.cost_per_connection", False),
        ("core.fct_usage_monthly", False),
        ("metrics.adoption_monthly", False),
        ("metrics.coverage_daily", True),
        ("core.dim_authority", True),
    ):
        count = f"select count(*) from {table}"
        assert rows(release, count) == rows(before, count)  # the exact tier is whole
        [(public,)], [(licensed,)] = rows(release / "public", count), rows(before / "public", count)
        assert licensed > 0 and public == (licensed if stays else 0), table
        names = [row[0] for row in rows(release / "public", f"describe {table}")]
        assert names == [row[0] for row in rows(before / "public", f"describe {table}")]  # readers find their columns
    text = (release / "public" / "LICENCES.md").read_text()
    assert "| 06/kosten | – |" in text and "| 06/nutzung | – |" in text and "metrics.cost\\_per\\_connection" not in text
    package = json.loads((release / "public" / "datapackage.json").read_text())
    assert {one["source"] for one in package["sources"]} == {"anbindungen", "datahub", "fallzahlen", "gemeindeverzeichnis"}
    costs = next(one for one in package["resources"] if one["name"] == "metrics.cost_per_connection")
    assert "kosten" not in json.dumps(costs.get("sources", []))
    assert "Hessen: kosten" not in (release / "public" / dcat.NAME).read_text()
    assert violations(entry(release / "public"), shapes) == Counter()
    assert publication.verify(release.resolve()) == [] and publication.verify(release / "public") == []
    assert rows(release, "select distinct source from meta.lineage where not is_licensed order by 1") == [
        ("kosten",),
        ("nutzung",),
    ]


# ------------------------------------------------------------------------------------------------------------------------- lineage


def test_every_published_table_leads_back_to_bytes_in_landing(published: House) -> None:
    current = published.settings.current
    own = {"meta.release", "meta.check_result", "meta.column", "meta.lineage", "meta.landing_file"}
    from_nothing = {"core.dim_service", "meta.metric", "meta.source_status", "meta.quarantine_summary"}
    traced: dict[str, set[str]] = {}
    for table, name in rows(current, "select schema_name || '.' || table_name, source from meta.lineage"):
        traced.setdefault(table, set()).add(name)
    assert set(traced) == set(tables(current)) - own - from_nothing
    assert traced["core.dim_region"] == {"gemeindeverzeichnis"}
    assert traced["core.fct_cost"] == {
        "kosten",
        "gemeindeverzeichnis",
    }  # whose successor an authority is follows from the directory
    assert traced["metrics.adoption_monthly"] >= {"nutzung", "anbindungen", "gemeindeverzeichnis"}
    versions = "select distinct code_version from meta.lineage"
    assert rows(current, versions) == rows(current, "select code_version from meta.release")
    objects = published.home / "landing" / "objects"
    files_ = rows(current, "select sha256, bytes, source, land_code, delivery_id from meta.landing_file")
    for sha256, size, *_ in files_:
        content = (objects / sha256[:2] / sha256).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256 and len(content) == size
    in_force = rows(current, "select source, land_code, delivery_id from meta.delivery where is_admitted and is_in_force")
    assert {tuple(rest) for _, _, *rest in files_} == set(in_force) and in_force
    package = json.loads((current / "datapackage.json").read_text())
    assert {file["sha256"] for one in package["sources"] for file in one["files"]} == {row[0] for row in files_}


def test_the_gate_knows_what_the_publisher_adds() -> None:
    """Else the next night would miss those tables in its build, and be refused."""
    assert {f"meta.{name}" for name in publication._OWN} == release._ADDED_BY_THE_PUBLISHER


def test_without_its_sidecar_nothing_is_published(published: House, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(published.home / "landing" / "06", home / "landing" / "06")
    run = max((p for p in published.settings.build.iterdir() if (p / "audit.json").is_file()), key=os.path.getmtime)
    with pytest.raises(lineage.LineageError, match="restore landing from a back-up"):
        lineage.read(run / "warehouse.duckdb", home, None)
