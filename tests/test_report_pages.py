"""The report's pages: every number equals its query, both languages are whole, nothing is asked from elsewhere, markup of deliveries stays text,
and what is missing is said. What a browser does with them is in the browser tests.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import duckdb
import polars as pl
import pytest

from orchestration import report
from orchestration.assets import RELEASE
from orchestration.report import figures, pages, words
from orchestration.report.cited import FOCUS, Citations, Cited, block, cite, literal
from orchestration.report.figure import OF_FOCUS
from tests.house import House

MEBIBYTE = 1 << 20
TIERS = ("exact", "public")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}\"'&"

_CITED = re.compile(r'<script type="application/json" id="(cited|terms)">(.*?)</script>', re.S)
_TABLE = re.compile(r'<table id="(t\d+)"[^>]*>(.*?)</table>', re.S)
_ENGLISH = re.compile(r'<span class="en" lang="en">(?:[^<]|<span[^>]*>[^<]*</span>|<(?!/?span)[^>]*>)*</span>')
_TAG = re.compile(r"<[^>]+>")


def folder_of(house: House, tier: str) -> Path:
    return house.settings.current / ("public" if tier == "public" else "")


def written(house: House, tier: str) -> Iterator[tuple[str, str]]:
    """Every page of a tier: its name and its HTML."""
    for path in sorted((folder_of(house, tier) / report.FOLDER).glob("*.html")):
        yield path.name, path.read_text(encoding="utf-8")


def data(page: str) -> dict[str, dict[str, Any]]:
    return {name: json.loads(content) for name, content in _CITED.findall(page)}


def open_tier(house: House, tier: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(folder_of(house, tier) / "warehouse.duckdb"), read_only=True)
    con.execute("set TimeZone = 'UTC'")
    return con


def said(markup: str) -> str:
    return html.unescape(_TAG.sub("", markup))


def spoken(page: str) -> Iterator[tuple[str, str, str]]:
    """Each shown number: its entry, the language that it is in (empty where it is the same in both), its text."""
    languages: list[str] = []
    for part in re.finditer(r"<span\b([^>]*)>|</span>", page):
        if part[0] == "</span>":
            languages.pop()
            continue
        language = re.search(r'lang="(de|en)"', part[1])
        languages.append(language[1] if language else "")
        name = re.search(r'data-cite="(n\d+)"', part[1])
        if name:
            inside = page[part.end() : page.index("</span>", part.end())]
            own = re.match(r'<span class="(de|en)"', inside)
            if own is None:
                yield name[1], next((one for one in reversed(languages) if one), ""), said(inside)


# ------------------------------------------------------------------------------------------------------------------------ numbers


#: What of a query computes: sums, means, quotients. Counting the rows that are listed, and taking the newest day of a table, do not.
_COMPUTES = re.compile(
    r"\b(?:sum|avg|mean|median|min|max|any_value|bool_\w+|count|exp|ln|log|power|sqrt|stddev\w*|quantile\w*)\s*\(|\bover\b|/",
    re.I,
)
_ALLOWED = re.compile(r"\(select max\((?:as_of|month)\)(?: as last_on)? from [\w.]+\)|\bcount\(\*\)")


def test_queries_of_the_report_choose_published_numbers_and_compute_none(published: House) -> None:
    """Formulas are the marts' business. The list of authorities alone joins several rows of one authority into a line."""
    queries = {
        entry["sql"]: entry["table"]
        for tier in TIERS
        for _, page in written(published, tier)
        for entry in data(page)["cited"].values()
    }
    judged = [sql for sql, table in queries.items() if table != "core.fct_connection_phase"]
    assert len(judged) > 50
    assert [sql for sql in judged if _COMPUTES.search(_ALLOWED.sub("", sql))] == []


@pytest.mark.parametrize("tier", TIERS)
def test_every_number_is_what_its_query_answers(published: House, tier: str) -> None:
    answers: dict[str, pl.DataFrame] = {}
    numbers = cells = 0
    with open_tier(published, tier) as con:
        for name, page in written(published, tier):
            cited = data(page)["cited"]
            for entry in cited.values():
                if entry["sql"] not in answers:
                    assert entry["table"] in entry["sql"]
                    answers[entry["sql"]] = cite(con, entry["table"], entry["sql"]).frame
            shown = set()
            for key, language, text in spoken(page):
                entry = cited[key]
                value = answers[entry["sql"]][entry["column"]][entry["row"]]
                expected = words.shown(value, entry["form"], entry["places"])
                assert text in ({"de": {expected.de}, "en": {expected.en}}.get(language) or {expected.de, expected.en}), (
                    name,
                    entry,
                )
                shown.add(key)
                numbers += 1
            for key, table in _TABLE.findall(page):
                entry = cited[key]
                columns = re.findall(r'<th [^>]*data-column="([^"]+)"', table)
                assert columns == list(entry["columns"])
                rows = [re.split(r"<td[^>]*>", row)[1:] for row in table.split("<tbody>")[1].split("<tr>")[1:]]
                frame = answers[entry["sql"]].head(len(rows))
                assert frame.height == len(rows) and (
                    frame.height == answers[entry["sql"]].height or "Gezeigt sind die ersten" in page
                )
                for at, column in enumerate(columns):
                    form = entry["columns"][column]
                    expected_cells = [words.shown(value, form["form"], form["places"]).de for value in frame[column]]
                    assert [said(row[at]).strip() for row in rows] == [text.strip() for text in expected_cells], (name, column)
                    cells += len(rows)
                shown.add(key)
            assert shown == set(cited), name  # the record names nothing that is not shown
    assert numbers > 100 and cells > 5_000


@pytest.mark.parametrize("tier", TIERS)
def test_the_authorities_of_a_land_are_those_that_are_counted(published: House, tier: str) -> None:
    [page] = [page for name, page in written(published, tier) if name == "land-06.html"]
    [(key, entry)] = [(key, one) for key, one in data(page)["cited"].items() if one["table"] == "core.fct_connection_phase"]
    with open_tier(published, tier) as con:
        counted = con.execute(
            "select service_id, authorities_competent, authorities_operational from metrics.coverage_daily"
            " where land_code = '06' and as_of = (select as_of from meta.release) order by 1"
        ).fetchall()
        listed = cite(con, entry["table"], entry["sql"]).frame
    found = listed.group_by("service_id").agg(pl.len(), (pl.col("phase") == "operational").sum()).sort("service_id").rows()
    assert found == counted
    assert listed.height == page.split(f'id="{key}"')[1].split("</table>")[0].count("<tr>") - 1


# -------------------------------------------------------------------------------------------------------------------- the whole page


@pytest.mark.parametrize("tier", TIERS)
def test_both_languages_are_whole(published: House, tier: str) -> None:
    for name, page in written(published, tier):
        assert page.count('<span class="de" lang="de">') == page.count('<span class="en" lang="en">') > 50
        assert not re.search(r'<span class="(?:de|en)" lang="(?:de|en)">\s*</span>', page), name
        assert re.search(r'<html lang="de">', page)
        title = re.search(r'<title data-de="([^"]+)" data-en="([^"]+)">', page)
        assert title and title[1] and title[2]
        # every term in a table can be said in English
        terms = data(page)["terms"]
        for _, table in _TABLE.findall(page):
            forms = re.findall(r'<th [^>]*data-form="([^"]+)"', table)
            for at, form in enumerate(forms):
                if form in words.TERMS:
                    cells = {
                        said(re.split(r"<td[^>]*>", row)[at + 1]).strip() for row in table.split("<tbody>")[1].split("<tr>")[1:]
                    }
                    assert cells <= {*terms[form], words.UNKNOWN.de}, (name, form)


@pytest.mark.parametrize("tier", TIERS)
def test_what_a_figure_shows_is_defined_in_both_languages(published: House, tier: str) -> None:
    """A column whose German is not in ``report/columns.csv``, or no longer fits its English, is marked as English; there is none."""
    defined = 0
    for name, page in written(published, tier):
        assert re.findall(r'<dd><span lang="en">([^<]*)', page) == [], (
            name,
            "add its German to orchestration/report/columns.csv",
        )
        defined += len(re.findall(r'<dd><span class="de" lang="de">[^<]', page))
    assert defined > 150
    with open_tier(published, tier) as con:
        units = con.execute('select unit from meta.metric union select unit from meta."column" where unit is not null').fetchall()
    assert {unit for (unit,) in units} - {"km2"} <= set(words.TERMS["unit"]), "add its German to words.TERMS"


@pytest.mark.parametrize("tier", TIERS)
def test_a_page_asks_for_nothing_beside_itself(published: House, tier: str) -> None:
    folder = folder_of(published, tier) / report.FOLDER
    for name, page in written(published, tier):
        assert len(page.encode()) < 3 * MEBIBYTE, name
        for tag, attributes in re.findall(r"<([a-z]+)\b([^>]*)>", page):
            assert not re.search(r"(?<![\w-])(?:src|srcset|poster|action|data|on[a-z]+)=", attributes), (name, tag)
            for address in re.findall(r'\bhref="([^"]*)"', attributes):
                assert (tag, address) == ("link", "data:,") or tag == "a", (name, tag, address)
                if tag == "a":  # what is beside it is there
                    path, _, anchor = address.partition("#")
                    assert not path or (folder / path).is_file(), (name, address)
                    assert not anchor or f'id="{anchor}"' in (page if not path else (folder / path).read_text("utf-8")), (
                        name,
                        address,
                    )
        style = page[page.index("<style>") : page.index("</style>")]
        assert "url(" not in style and "@import" not in style
        [script] = re.findall(r"<script>(.*?)</script>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        assert html.unescape(policy).startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in html.unescape(policy)
        identifiers = re.findall(r'\bid="([^"]+)"', page)
        assert len(identifiers) == len(set(identifiers)), name


def test_a_release_carries_both_reports_and_their_pictures(published: House) -> None:
    for tier in TIERS:
        folder = folder_of(published, tier)
        names = {name for name, _ in written(published, tier)}
        assert {"index.html", "land-06.html", "service-ummeldung.html"} <= names
        sums = (folder / "SHA256SUMS").read_text("utf-8")
        files = {
            path.relative_to(folder / report.FOLDER).as_posix() for path in (folder / report.FOLDER / "figures").rglob("*.*")
        }
        assert all(f"  {report.FOLDER}/{path}\n" in sums for path in files)
        # below each picture of each page lead links to its files, and no file is without
        led = set()
        for name, page in written(published, tier):
            place = "" if name == "index.html" else f"{name.removesuffix('.html')}/"
            for figure, content in re.findall(r'<figure id="([^"]+)"(.*?)</figure>', page, re.S):
                is_drawn = "<svg" in content
                short = figure.removeprefix(place.replace("/", "-"))
                expected = [f"figures/{place}{short}.{kind}" for kind in ("svg", "en.svg", "png")] if is_drawn else []
                assert re.findall(r'href="(figures/[^"]+)" download', content) == expected, (name, figure)
                led |= set(expected)
        assert led == files and len({path.split("/")[1] for path in files if path.count("/") == 2}) >= 6
    [index] = [page for name, page in written(published, "exact") if name == "index.html"]
    assert "Synthetische Daten" in index and 'href="../gate/index.html"' in index and "Genaue Stufe" in index


def test_a_night_can_be_looked_at_in_dagster(published: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The asset of the release carries the overview's pictures; Dagster shows pictures of Markdown that lie in ``data:`` addresses."""
    pictures = published.settings.current / report.FOLDER / report.FIGURES
    monkeypatch.setenv("DAGSTER_HOME", str(published.home / "dagster"))
    with dg.DagsterInstance.from_config(str(published.home / "dagster")) as instance:
        event = instance.get_latest_materialization_event(RELEASE)
    assert event is not None and event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    shown = {name.removeprefix("chart_"): value for name, value in metadata.items() if name.startswith("chart_")}
    files = [path for path in sorted(pictures.glob("*.svg")) if not path.name.endswith(".en.svg")]
    assert set(shown) == {path.stem.replace("-", "_") for path in files} and len(shown) >= 10
    for path in files:
        value = shown[path.stem.replace("-", "_")]
        assert isinstance(value, dg.MarkdownMetadataValue) and value.md_str
        found = re.match(r"!\[(.+?)\]\(data:image/svg\+xml;base64,([^)]+)\)\n\n(.+)", value.md_str, re.S)
        assert found and base64.b64decode(found[2]) == path.read_bytes()
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert [re.sub(r"\\(\W)", r"\1", said) for said in (found[1], found[3])] == [
            root.findtext("{*}title"),
            root.findtext("{*}desc"),
        ]


def test_the_public_report_is_made_of_the_public_warehouse_alone(
    published: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again, by two processes: the same bytes."""
    monkeypatch.setattr(report, "_MANY_PAGES", 1)
    public = folder_of(published, "public")
    for name in ("warehouse.duckdb", "rollin.xlsx", "LICENCES.md"):
        shutil.copyfile(public / name, tmp_path / name)
    shutil.copytree(public / "csv", tmp_path / "csv")
    again = report.write(tmp_path, tmp_path / "warehouse.duckdb", tier="public", drawn_before=public)
    assert sorted(path.relative_to(tmp_path) for path in again) == sorted(
        path.relative_to(public) for path in (public / report.FOLDER).rglob("*") if path.is_file()
    )
    for path in again:
        assert path.read_bytes() == (public / path.relative_to(tmp_path)).read_bytes(), path.name
    index = (tmp_path / report.FOLDER / "index.html").read_text("utf-8")
    assert "Öffentliche Stufe" in index and "nicht veröffentlicht" in index
    for internal in ("gate/index.html", "CHANGES.md", "scale_observation", "entry_id"):
        assert internal not in index


# ------------------------------------------------------------------------------------------------------------- what may be delivered


@pytest.fixture
def changed(published: House, tmp_path: Path) -> Iterator[Any]:
    """A tier after some statements; without pictures."""

    def tier(*statements: str, name: str = "exact") -> pages.Tier:
        path = tmp_path / f"warehouse-{len(connections)}.duckdb"
        shutil.copyfile(folder_of(published, name) / "warehouse.duckdb", path)
        path.chmod(0o644)
        with duckdb.connect(str(path)) as con:
            for statement in statements:
                con.execute(statement)
        connections.append(duckdb.connect(str(path), read_only=True))
        return pages.Tier(connections[-1], name, frozenset({"CHANGES.md"}), changes=f"# Änderungen {HOSTILE}")

    connections: list[duckdb.DuckDBPyConnection] = []
    yield tier
    for connection in connections:
        connection.close()


def test_what_a_delivery_says_stays_text(changed: Any) -> None:
    hostile = literal(HOSTILE)
    tier = changed(
        f"update core.dim_authority set name = {hostile}",
        f"update core.dim_region set kreis_name = {hostile}",
        f"update core.dim_land set name = {hostile} where land_code = '06'",
        f"update core.dim_service set name_de = {hostile}, name_en = {hostile}",
        f"update meta.source_status set source = {hostile}, message_de = {hostile}, message_en = null",
        f"update meta.quarantine_summary set source = {hostile}",
        f"update metrics.scale_verdict set label = {hostile}, gates_failed = {hostile}",
        f"update meta.metric set name_de = {hostile}, caveats = {hostile}",
    )
    [land] = [one for one in tier.laender if one.code == "06"]
    for page in (pages.index(tier, []), pages.land(tier, land, []), pages.service(tier, tier.services[0], [])):
        assert "<script>alert" not in page and "<img" not in page and "49" not in re.findall(r"alert\(2\)&gt;(.{0,12})", page)
        assert page.count("</script>") == 3 and len(data(page)["cited"]) > 5
        assert html.escape(HOSTILE, quote=False).split("&amp;")[0][:30] in page


def test_a_code_that_is_none_has_no_page(changed: Any) -> None:
    tier = changed("update core.dim_land set land_code = '../x', is_participating = true where land_code = '16'")
    assert {land.file for land in tier.laender} == {f"land-{code:02}.html" for code in range(1, 16)}


def test_what_is_missing_is_said(changed: Any) -> None:
    cases: list[tuple[list[str], list[str]]] = [
        (  # a Land that joined and has delivered nothing
            ["update core.dim_land set is_participating = true, programme_start = date '2026-06-01' where land_code = '16'"],
            ["noch nicht gemessen", "Thüringen nimmt am Programm teil, aber bisher liegen keine Anbindungen vor."],
        ),
        (  # one that delivered no costs
            ["update meta.source_status set last_delivered_at = null where table_name = 'costs'"],
            ["Kosten hat dieses Land nicht geliefert"],
        ),
        (
            ["update metrics.scale_verdict set verdict = 'inconclusive', gates_failed = null, label = 'not robust'"],
            ["nicht entschieden", "Die Daten reichen nicht", "Vorbehalte: nicht robust."],
        ),
        (["delete from metrics.scale_verdict"], ["dazu liegt nichts vor"]),
        (
            ["update metrics.programme_status set target_on = null, days_to_target = null, services_predicted = 0"],
            ["kein Zieltag genannt"],
        ),
        (
            ["update metrics.programme_coverage_daily set authority_service_pairs_operational = 0, coverage_micro_share = 0"],
            ["Noch keine Behörde ist angebunden."],
        ),
        (
            ["update core.dim_land set is_participating = false", "delete from metrics.coverage_daily"],
            ["Kein Land nimmt am Programm teil."],
        ),
        (["update meta.release set is_synthetic = false"], []),
    ]
    for statements, sentences in cases:
        page = pages.index(changed(*statements), [])
        text = re.sub(r"\s+", " ", said(_ENGLISH.sub("", page)))
        for sentence in sentences:
            assert sentence in text, statements
        assert ("Synthetische Daten" in text) == ("is_synthetic = false" not in statements[0])


def test_a_warehouse_without_its_tables_has_no_report(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute("create schema core; create table core.dim_land as select '06' as land_code")
    assert report.write(tmp_path, tmp_path / "warehouse.duckdb", tier="exact") == []
    assert not (tmp_path / report.FOLDER).exists()


# ------------------------------------------------------------------------------------------------------------ more services than drawn


#: A catalogue of 30: Hesse's five, of which two make the focus, and 25 invented ones with the history of another.
_CATALOGUE = 30
_FOCUS = {"aufenthalt", "ummeldung"}


@pytest.fixture(scope="module")
def catalogue(published: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pages.Tier]:
    path = tmp_path_factory.mktemp("catalogue") / "warehouse.duckdb"
    shutil.copyfile(folder_of(published, "exact") / "warehouse.duckdb", path)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute(f"update core.dim_service set is_focus = service_id in {tuple(sorted(_FOCUS))}")
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_columns() where column_name = 'service_id' and schema_name in ('core', 'metrics')"
        ).fetchall():
            con.execute(
                f"insert into {schema}.{table} select old.* replace ('leistung_' || number as service_id) from {schema}.{table} as old,"
                f" range(100, {100 + _CATALOGUE - 5}) as numbers(number) where service_id = 'fuehrerschein'"
            )
        con.execute(f"update metrics.programme_status set services = {_CATALOGUE}")
    with duckdb.connect(str(path), read_only=True) as con:
        yield pages.Tier(con, "exact", frozenset())


def test_of_many_services_those_of_the_focus_stand_one_by_one(catalogue: pages.Tier, published: House) -> None:
    con = catalogue.connection
    with open_tier(published, "exact") as before:
        unchanged = {
            figure.figure_id: figure for figure in (*figures.for_index(before, "exact"), *figures.for_land(before, "06", "exact"))
        }
    limited = set()
    for figure in (*figures.for_index(con, "exact"), *figures.for_land(con, "06", "exact")):
        frame, whole = figure.cited.frame, unchanged[figure.figure_id].cited.frame
        if FOCUS in figure.cited.sql:
            assert figure.note.de.endswith(OF_FOCUS.de) or OF_FOCUS.de in figure.note.de
            assert OF_FOCUS.en in figure.note.en and "Schwerpunkt" in figure.source.de and "focus" in figure.source.en
            assert set(frame["service_id"]) <= _FOCUS
            assert frame.equals(whole.filter(pl.col("service_id").is_in(_FOCUS))), figure.figure_id
            limited.add(figure.figure_id)
        else:  # what counts the programme counts all of it, and no service stands alone in it
            assert "Schwerpunkt" not in f"{figure.note.de} {figure.source.de} {figure.cited.sql}"
            assert "service_id" not in frame.columns or figure.figure_id == "learning-curve"
    assert limited == {
        *("outlook", "take-up", "running-cost"),
        *(
            f"land-06-{name}"
            for name in ("coverage-over-time", "phase-funnel", "time-in-phase", "take-up", "dormant", "running-cost")
        ),
    }


def test_a_page_says_which_services_it_shows_and_lists_no_others(catalogue: pages.Tier, published: House) -> None:
    [place] = catalogue.participating
    for name, page in (
        ("index.html", pages.index(catalogue, pages.chapters([]))),
        ("land-06.html", pages.land(catalogue, place, [])),
    ):
        text = re.sub(r"\s+", " ", said(_ENGLISH.sub("", page)))
        assert "zeigen Bilder und Tabellen 2 von 30 Leistungen (Schwerpunkt)" in text and "zählen alle 30 Leistungen" in text
        assert set(re.findall(r'href="(service-[^"#]+)', page)) == {one.file for one in catalogue.services}
        assert set(data(page)["terms"]["service"]) == {words.term("service", one).de for one in _FOCUS}
        for entry in data(page)["cited"].values():
            frame = cite(catalogue.connection, entry["table"], entry["sql"]).frame
            assert "service_id" not in frame.columns or set(frame["service_id"]) == _FOCUS, entry
        [whole] = [page for other, page in written(published, "exact") if other == name]
        assert "Schwerpunkt" not in whole  # of five services none is left out, and nothing is said
    one = pages.service(catalogue, catalogue.services[0], [])
    assert "Schwerpunkt" not in one and len(data(one)["cited"]) > 3


def test_a_list_of_authorities_is_whole_or_on_another_page(catalogue: pages.Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    [place] = catalogue.participating

    def listed() -> tuple[str, pl.DataFrame]:
        page = pages.land(catalogue, place, [])
        [entry] = [one for one in data(page)["cited"].values() if one["table"] == "core.fct_connection_phase"]
        return page, cite(catalogue.connection, entry["table"], entry["sql"]).frame

    page, whole = listed()
    assert "Zu viele für diese Seite" not in page
    monkeypatch.setattr(pages, "LISTED_ROWS", whole.height - 1)
    page, part = listed()
    assert "Zu viele für diese Seite" in page and 'href="service-ummeldung.html#behoerden"' in page
    assert part.equals(whole.filter(pl.col("service_id") != "ummeldung")) and page.count("<tr>") >= part.height


# ---------------------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "form", "places", "german", "english"),
    [
        (1234567.285, "number", 2, "1.234.567,29", "1,234,567.29"),
        (-0.4, "number", 0, "0", "0"),
        (-1234.5, "euro", 0, "−1.235 €", "−€1,235"),
        (0.633, "share", 1, "63,3 %", "63.3 %"),
        (0.99996, "share", 1, "> 99,9 %", "> 99.9 %"),
        (0.00001, "share", 1, "< 0,1 %", "< 0.1 %"),
        (1.0, "share", 1, "100 %", "100 %"),
        (0.0, "share", 1, "0 %", "0 %"),
        (float("nan"), "share", 1, "unbekannt", "unknown"),
        (None, "number", 0, "unbekannt", "unknown"),
        (date(2026, 3, 1), "day", None, "01.03.2026", "1 Mar 2026"),
        (date(2026, 3, 1), "month", None, "März 2026", "Mar 2026"),
        ("operational", "phase", None, "in Betrieb", "operational"),
        ("of_tomorrow", "phase", None, "of_tomorrow", "of_tomorrow"),
    ],
)
def test_a_value_in_both_languages(value: Any, form: str, places: int | None, german: str, english: str) -> None:
    found = words.shown(value, form, places)
    assert (found.de, found.en) == (german.replace(" %", "\xa0%").replace(" €", "\xa0€").replace("> ", ">\xa0").replace("< ", "<\xa0")
        if form in ("share", "euro") else german.replace(" ", "\xa0") if form == "month" else german,
        english.replace(" %", "\xa0%").replace("> ", ">\xa0").replace("< ", "<\xa0")
        if form == "share" else english.replace(" ", "\xa0") if form in ("day", "month") else english)  # fmt: skip


def test_conditions_of_the_verdict_in_german() -> None:
    told = words.gates("connections invoiced: 65.7 %, needed at least 95.0 %; something new: 3; <b>")
    assert [one.de for one in told] == ["abgerechnete Anbindungen: 65,7 %, nötig mindestens 95,0 %", "something new: 3", "<b>"]


def test_the_record_of_a_page_ends_no_element() -> None:
    citations = Citations()
    citations.table(Cited("t", f"select {HOSTILE}", pl.DataFrame()), {"a": ("text", None)})
    script = str(citations.script())
    assert script.count("<") == 2 and json.loads(_CITED.findall(script)[0][1])["t0"]["sql"] == f"select {HOSTILE}"
    assert "\u2028" not in str(block("x", "\u2028"))


def test_a_query_that_leaves_its_order_open_is_none() -> None:
    with duckdb.connect() as con:
        con.execute("create schema m; create table m.t as select range as i from range(3)")
        with pytest.raises(ValueError, match="order"):
            cite(con, "m.t", "select i from m.t")
        with pytest.raises(ValueError, match="does not read"):
            cite(con, "m.u", "select i from m.t order by i")
        assert cite(con, "m.t", "select i from m.t\n order by i").frame["i"].to_list() == [0, 1, 2]
