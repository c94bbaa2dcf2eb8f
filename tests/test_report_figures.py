"""The report's figures: what they say equals what they cite, they say it in both languages, and they do not draw what is not there."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import polars as pl
import pytest

from ingest.sample import directory
from orchestration.report import chart_cost, chart_coverage, chart_learning, drawing, figures, words
from orchestration.report import map as maps
from orchestration.report.cited import cite
from orchestration.report.figure import Figure, View
from orchestration.settings import Settings
from tests.house import House

LAND = "06"


def _warehouse(published: House, tier: str) -> Path:
    return published.settings.current / ("public" if tier == "public" else "") / "warehouse.duckdb"


@pytest.fixture(scope="module", params=["exact", "public"])
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def connection(published: House, tier: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(_warehouse(published, tier)), read_only=True) as con:
        yield con


@pytest.fixture(scope="module")
def every(connection: duckdb.DuckDBPyConnection, tier: str) -> list[Figure]:
    """All figures of a first page, of a Land and of two services: one of many authorities and one of few."""
    return [
        *figures.for_index(connection, tier),
        *figures.for_land(connection, LAND, tier),
        *(figure for service in ("ummeldung", "anlagengenehmigung") for figure in figures.for_service(connection, service, tier)),
    ]


@pytest.fixture
def copy(published: House, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The exact warehouse, free to be broken."""
    path = tmp_path / "warehouse.duckdb"
    shutil.copyfile(_warehouse(published, "exact"), path)
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        yield con


def _emptied(con: duckdb.DuckDBPyConnection, *kept: str) -> None:
    for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
        if f"{schema}.{table}" not in kept:
            con.execute(f'delete from {schema}."{table}"')


def _pages(con: duckdb.DuckDBPyConnection) -> list[Figure]:
    return [
        *figures.for_index(con, "exact"),
        *figures.for_land(con, LAND, "exact"),
        *figures.for_service(con, "ummeldung", "exact"),
    ]


# ------------------------------------------------------------------------------------------------------------------- what is said


def _digits(text: str) -> list[str]:
    return sorted(re.sub(r"\D", "", number) for number in re.findall(r"\d[\d.,]*", text))


def test_title_alt_and_note_are_said_in_both_languages_with_the_same_numbers(every: list[Figure]) -> None:
    for figure in every:
        for said in (figure.title, figure.alt, figure.note):
            assert said.de and said.en, figure.figure_id
        for said in (figure.alt, figure.note):
            english_days = re.sub(r"\b(\d{1,2})\s([A-Z][a-z]{2})\s(\d{4})", "\\1 \\3", said.en.replace("\N{NO-BREAK SPACE}", " "))
            german_days = re.sub(r"\b0?(\d{1,2})\.\d\d\.(\d{4})", r"\1 \2", said.de)
            assert _digits(german_days) == _digits(english_days), figure.figure_id
        assert "{" not in figure.alt.de + figure.alt.en + figure.note.de + figure.note.en
        assert not re.search(r"\bNone\b|\bnan\b|\bnull\b", figure.alt.en + figure.note.en), figure.figure_id


def test_what_is_cited_is_what_the_query_gives_again(every: list[Figure], connection: duckdb.DuckDBPyConnection) -> None:
    for figure in every:
        if figure.cited.sql:
            assert figure.cited.frame.equals(cite(connection, figure.cited.table, figure.cited.sql).frame), figure.figure_id
        else:
            assert not figure.is_drawn and figure.cited.frame.is_empty()


def test_ids_are_unique_and_titles_name_the_page(every: list[Figure]) -> None:
    names = [figure.figure_id for figure in every]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert all(
        "Hessen" in figure.title.de and "Hesse" in figure.title.en for figure in every if figure.figure_id.startswith("land-")
    )


def _named(every: list[Figure], name: str) -> Figure:
    return next(figure for figure in every if figure.figure_id == name)


def test_coverage_says_the_numbers_of_the_newest_day(every: list[Figure]) -> None:
    figure = _named(every, f"land-{LAND}-coverage-over-time")
    frame = figure.cited.frame
    newest = frame.filter(pl.col("as_of") == pl.col("as_of").max())
    assert newest.height == frame["service_id"].n_unique()
    for row in newest.iter_rows(named=True):
        part, whole = words.number(row["authorities_operational"]), words.number(row["authorities_competent"])
        said = f"{words.term('service', row['service_id']).de}: {words.share(row['coverage_authority_share']).de} ({part.de} von {whole.de})"
        assert said in figure.alt.de
    drawn = [row for row in figure.datasets["rows0"] if row["kind"] == "in Betrieb"]
    assert sorted(row["share"] for row in drawn) == sorted(frame["coverage_authority_share"].to_list())


def test_a_picture_of_too_much_draws_a_part_and_says_so(copy: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.execute(
        """update metrics.commitment_status set open_predicted_count = 1, open_predicted_low_count = 0, open_predicted_high_count = 2,
        coverage_predicted_share = length(service_id) / 100, coverage_predicted_low_share = 0, coverage_predicted_high_share = 1"""
    )
    copy.execute(
        "update metrics.running_cost_per_transaction set running_cost_per_submission_eur = length(service_id), null_reason = null"
    )
    copy.execute(
        """insert into metrics.learning_curve select learning_curve.* replace (number::varchar as authority_id, number + 1 as experience_ratio)
        from metrics.learning_curve, range(500) as numbers(number)"""
    )
    copy.execute(
        """update metrics.scale_estimate set status = 'available', coefficient = -0.1, ci_low = -0.2, ci_high = 0, rate = 0.1, rate_ci_low = 0,
        rate_ci_high = 0.2, ci_level = 0.95, n = 500, clusters = 12, is_descriptive = true where claim = 'C1' and outcome = 'cost' and specification = 'S2' and term = 'ln_n'"""
    )
    view = View(copy, "exact")
    whole = [figures.commitment_outlook(view), figures.running_cost(view), figures.learning_curve(view)]
    monkeypatch.setattr(chart_coverage, "MOST_ROWS", 2)
    monkeypatch.setattr(chart_cost, "MOST_ROWS", 2)
    monkeypatch.setattr(chart_learning, "_DOTS", 100)
    outlook, running, learning = figures.commitment_outlook(view), figures.running_cost(view), figures.learning_curve(view)
    for figure in whole:
        assert figure.is_drawn and "Gezeichnet" not in figure.note.de
    for figure, before in zip((outlook, running), whole, strict=False):
        assert figure.cited.frame.equals(before.cited.frame)  # the table holds all of it
    count = outlook.cited.frame.height
    assert f"Gezeichnet sind die 2 von {count} Fällen mit der niedrigsten" in outlook.note.de
    ordered = sorted(outlook.cited.frame["coverage_predicted_share"])
    assert sorted(row["share"] for row in outlook.datasets["rows0"] if "low" in row) == ordered[:2]
    assert "Gezeichnet sind die 2 höchsten von" in running.note.de
    assert sorted(row["value"] for row in running.datasets["rows0"]) == [
        float(value) for value in sorted(running.cited.frame["running_cost_per_submission_eur"])[-2:]
    ]
    drawn = sum(row["kind"] == "eine Anbindung" for row in learning.datasets["rows0"])
    assert (
        60 < drawn == learning.cited.frame.height < 140
        and f"{drawn} von {whole[2].cited.frame.height} Anbindungen" in learning.note.de
    )


def test_the_fall_of_the_average_is_split_without_rest(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "exact")), read_only=True) as con:
        figure = figures.degression(View(con, "exact", land_code=LAND))
        (fixed, variable, completed), *_ = con.execute(
            """select sum(f), sum(v), sum(n) from (select max(cost_fixed_eur) as f, sum(cost_variable_eur) as v, sum(connections_completed) as n
            from metrics.cost_by_wave where price_basis = 'nominal' group by service_id)"""
        ).fetchall()
    first, last = figure.cited.frame.row(0, named=True), figure.cited.frame.row(-1, named=True)
    assert last["connections_completed_cumulative"] == completed
    assert float(last["cost_fixed_average_eur"]) == pytest.approx(float(fixed) / float(completed), abs=0.01)
    assert float(last["cost_variable_average_eur"]) == pytest.approx(float(variable) / float(completed), abs=0.01)
    parts = ("cost_fixed_average_eur", "cost_variable_average_eur")
    for part in parts:
        assert words.euro(first[part] - last[part]).de in figure.alt.de
    assert words.euro(sum(first[part] for part in parts)).de in figure.alt.de
    assert "kein Lernen" in figure.note.de and "no learning" in figure.note.en


def test_take_up_by_kreis_adds_up_to_the_lands(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "exact")), read_only=True) as con:
        frame = maps.take_up(View(con, "exact", land_code=LAND)).cited.frame
        assert frame.height == 27, "every Kreis of Hesse has a row"
        expected = con.execute(
            """select sum(paired_online_count), sum(paired_total_count) from metrics.adoption_monthly, meta.release
            where land_code = ? and month >= date_trunc('month', as_of + 1) - interval 3 month
            and month < date_trunc('month', as_of + 1) and service_id in (
                -- whose authorities lie within a Kreis
                select service_id from (
                    select service_id, authority_id, count(distinct kreis_code) as kreise from core.bridge_competence
                    join core.dim_region using (ags) where bridge_competence.is_reported and dim_region.is_reported group by all
                ) group by service_id having max(kreise) = 1)""",
            [LAND],
        ).fetchall()[0]
        assert (frame["paired_online_count"].sum(), frame["paired_total_count"].sum()) == tuple(map(int, expected))


def test_the_verdict_stands_in_words_with_its_gates(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "public")), read_only=True) as con:
        frame = pl.DataFrame(con.sql("select * from metrics.scale_verdict where claim = 'C1' order by outcome"))
        note = figures.learning_estimates(View(con, "public")).note
    assert frame.height == 2
    for row in frame.iter_rows(named=True):
        assert words.term("verdict", row["verdict"]).de in note.de
        for gate in words.gates(row["gates_failed"]):
            assert gate.de in note.de and gate.en in note.en
        if row["estimate"] is not None:
            assert words.share(row["estimate"]).de in note.de


# ------------------------------------------------------------------------------------------------------------- what is not drawn


def test_an_empty_warehouse_draws_nothing_and_says_so(copy: duckdb.DuckDBPyConnection) -> None:
    _emptied(copy, "meta.release")
    for figure in _pages(copy):
        assert not figure.is_drawn, figure.figure_id
        assert figure.note.de and figure.note.en and drawing.svg(figure) == ""
        assert drawing.standalone(figure) == ""


def test_a_land_without_costs_and_a_world_that_decides_nothing_say_so(copy: duckdb.DuckDBPyConnection) -> None:
    for table in (
        "cost_per_connection",
        "cost_by_wave",
        "programme_cost_by_wave",
        "budget_status",
        "running_cost_per_transaction",
        "learning_curve",
        "scale_estimate",
    ):
        copy.execute(f"delete from metrics.{table}")
    copy.execute(
        "update metrics.scale_verdict set verdict = 'inconclusive', label = 'no estimate', look_on = null, estimate = null, ci_low = null,"
        " ci_high = null, power_10 = null, gates_failed = 'clusters (contractor × wave): 4, needed at least 12'"
    )
    copy.execute(
        "update metrics.cost_forecast set reason = 'too_few_clusters', total_predicted = null, total_low = null, total_high = null"
    )
    copy.execute("update metrics.commitment_status set open_predicted_count = null, prediction_reason = 'too_few_events'")
    found = {figure.figure_id: figure for figure in figures.for_index(copy, "exact")}
    for name in (
        "cost-by-wave",
        "degression",
        "budget",
        "running-cost",
        "learning-curve",
        "learning-estimates",
        "forecast",
        "outlook",
    ):
        assert not found[name].is_drawn, name
    assert words.term("verdict", "inconclusive").de in found["learning-estimates"].note.de
    assert "Cluster (Auftragnehmer × Welle): 4, nötig mindestens 12" in found["learning-estimates"].note.de
    assert "zu wenige Wellen" in found["forecast"].note.de
    land = next(f for f in figures.for_land(copy, LAND, "exact") if f.figure_id.endswith("coverage-over-time"))
    assert land.is_drawn and "Ohne Prognose" in land.note.de
    assert not any(row["kind"].startswith("Prognose") for row in land.datasets["rows0"])


def test_nobody_competent_is_no_coverage_of_zero(copy: duckdb.DuckDBPyConnection) -> None:
    copy.execute(
        "update metrics.coverage_daily set authorities_competent = 0, authorities_operational = 0, coverage_authority_share = null"
    )
    copy.execute("update metrics.phase_funnel_daily set authorities_current_count = 0, authorities_reached_count = 0")
    copy.execute("update metrics.programme_coverage_by_kreis set coverage_population_share = null")
    for make in (figures.coverage_over_time, figures.phase_funnel, maps.coverage):
        figure = make(View(copy, "exact", land_code=LAND))
        assert not figure.is_drawn and figure.note.de


def test_the_public_tier_does_not_draw_what_it_does_not_hold(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "public")), read_only=True) as con:
        found = {figure.figure_id: figure for figure in figures.for_index(con, "public")}
    for name in ("learning-curve", "dormant", "adoption-curve", "running-cost", "budget", "quarantine"):
        assert not found[name].is_drawn
        assert "nicht veröffentlicht" in found[name].note.de.lower() and "not published" in found[name].note.en.lower()


def test_a_suppressed_month_is_a_gap_and_no_zero(published: House, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    shutil.copyfile(_warehouse(published, "public"), path)
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        month = con.execute(
            "select max(month) from metrics.adoption_monthly where service_id = 'ummeldung' and take_up_share is not null"
        ).fetchall()[0][0]
        con.execute(
            "update metrics.adoption_monthly set paired_online_count = null, paired_total_count = null, take_up_share = null,"
            " is_suppressed = true where month = ?",
            [month],
        )
        figure = figures.take_up_over_time(View(con, "public", service_id="ummeldung"))
        assert "nicht veröffentlicht" in figure.note.de and "not published" in figure.note.en
        assert [row["share"] for row in figure.datasets["rows0"] if row["day"] == month.isoformat()] == [None]


def test_a_wave_that_is_not_published_is_marked_and_no_gap(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "public")), read_only=True) as con:
        figure = figures.cost_by_wave(View(con, "public", land_code=LAND))
    hidden = figure.cited.frame.filter("is_suppressed")
    assert hidden.height and hidden["cost_per_connection_eur"].null_count() == hidden.height
    if figure.is_drawn:
        marked = [row["wave"] for row in figure.datasets["rows0"] if row["kind"] == "hidden"]
        assert marked == hidden["wave"].to_list()
    assert "nicht veröffentlicht" in figure.note.de.lower()


# ------------------------------------------------------------------------------------------------------------------------ how


def _lightness(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_lightness(one), _lightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_stand_out_from_their_background_and_texts_can_be_read(theme: str) -> None:
    paper = getattr(drawing.BACKGROUND, theme)
    for name, colour in drawing.PALETTE.items():
        if colour.is_mark:
            assert _contrast(getattr(colour, theme), paper) >= 4.5, name  # 3 would do for marks; some of them colour a text
    for name in ("band", "haze"):  # areas are outlined in a colour of marks, and lines on them are seen
        for line in ("blue", "vermilion", "purple"):
            assert _contrast(getattr(drawing.PALETTE[line], theme), getattr(drawing.PALETTE[name], theme)) >= 3, (line, name)


#: What is left of red, green and blue (linear) without one kind of cones: Machado, Oliveira and Fernandes (2009), severity 1.
_BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.mark.parametrize("blindness", _BLIND)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_that_meet_in_one_picture_differ_with_any_colour_vision(theme: str, blindness: str) -> None:
    def seen(name: str) -> list[float]:
        code = getattr(drawing.PALETTE[name], theme)
        channels = [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return [
            max(0.0, sum(weight * c for weight, c in zip(row, linear, strict=True))) ** (1 / 2.2) for row in _BLIND[blindness]
        ]

    for pair in (
        ("blue", "vermilion"),
        ("vermilion", "green"),
        ("vermilion", "purple"),
        ("ink", "blue"),
        ("muted", "blue"),
        ("ink", "purple"),
    ):
        one, other = map(seen, pair)
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.1, pair


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


def test_a_picture_is_small_names_itself_and_asks_nobody(every: list[Figure]) -> None:
    for figure in every:
        svg = drawing.svg(figure)
        if not figure.is_drawn:
            assert svg == ""
            continue
        assert len(svg) < 100_000, figure.figure_id
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == f"{figure.figure_id}-title {figure.figure_id}-alt"
        assert not re.search(r"<script|<style|<foreignObject|<image|<use|href|url\(|https?:|\son\w+=|\sid=|@import", svg)
        assert not re.search(r"#[0-9a-f]{6}", svg), "every colour is one of the palette's classes"
        assert not re.search(r"\d\.\d\d", re.sub(r">[^<]*<|data-en=\"[^\"]*\"", "", svg)), "one decimal is enough"
        assert not re.search(r"NaN|undefined|null", svg), figure.figure_id


def test_every_text_of_a_picture_is_said_in_english_too(every: list[Figure]) -> None:
    for figure in every:
        if not figure.is_drawn:
            continue
        translations = {**words.dictionary(), **figure.texts}
        german = ElementTree.fromstring(drawing.svg(figure)).iter("text")
        for element in german:
            both = [span.text for span in element.iter("tspan")]
            text = element.text or ""
            if both:
                assert len(both) == 2 and both[0] != both[1]
                assert drawing.english(str(both[0]), translations) == both[1]
            elif re.search(r"[^\W\d_]", text) and not figure.figure_id.endswith(("map-coverage", "map-take-up")):
                # a name, a month, or a word that is the same in both
                assert re.fullmatch(r"(Jan|Feb|Apr|Jun|Jul|Aug|Sep|Nov) \d\d|[\d,. ]*", text) or text in _SAME, (
                    figure.figure_id,
                    text,
                )
    english = drawing.english
    assert (
        english("12.345", {}) == "12,345"
        and english("0,5", {}) == "0.5"
        and english("63,3\N{NO-BREAK SPACE}%", {}) == "63.3\N{NO-BREAK SPACE}%"
    )
    assert (
        english("Mrz 26", {}) == "Mar 26"
        and english("Okt 26", {}) == "Oct 26"
        and english("1.234\N{NO-BREAK SPACE}€", {}) == "€1,234"
    )


_SAME = {"Plan", *(said.de for terms in words.TERMS.values() for said in terms.values() if said.de == said.en)}


def test_axes_are_honest(every: list[Figure]) -> None:
    """Shares from 0 to 1, bars and costs from 0, logarithms only in the learning curve, which says so."""

    def scales(part: Any, mark: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
        if isinstance(part, dict):
            own = part.get("mark", mark)
            mark = own.get("type", mark) if isinstance(own, dict) else own
            for channel in ("x", "y"):
                encoding = part.get("encoding", {}).get(channel)
                if isinstance(encoding, dict) and encoding.get("type") == "quantitative":
                    yield mark, channel, encoding
            for key, value in part.items():
                if key != "datasets":
                    yield from scales(value, mark)
        elif isinstance(part, list):
            for value in part:
                yield from scales(value, mark)

    for figure in every:
        if not figure.is_drawn:
            continue
        for mark, _, encoding in scales(figure.specification):
            scale = encoding.get("scale") or {}
            if scale.get("type") == "log":
                assert figure.figure_id == "learning-curve" and "log" in encoding["title"]
            if encoding["field"] == "share":
                assert scale.get("domain", [0, 1])[:2] in ([0, 1], [0, 1.0]), figure.figure_id
            if mark in ("bar", "area") and figure.figure_id != "learning-curve":
                assert scale.get("zero", True) is not False, figure.figure_id


def test_files_for_slides_say_what_they_show_and_that_it_is_invented(every: list[Figure], tmp_path: Path) -> None:
    figure = _named(every, "coverage-over-time")
    paths = {path.name: path for path in drawing.write_files(figure, tmp_path / "figures")}
    # elsewhere under another name; the PNG comes from before where, and only where, the picture is the same
    marked = tmp_path / "before" / "short.png"
    marked.parent.mkdir()
    marked.write_bytes(b"drawn before")
    for before, expected in ((paths["coverage-over-time.svg"].read_bytes(), b"drawn before"), (b"<svg/>", None)):
        marked.with_suffix(".svg").write_bytes(before)
        again = drawing.write_files(figure, tmp_path / "again", "short", drawn_before=marked.parent)
        assert [path.name for path in again] == ["short.svg", "short.en.svg", "short.png"]
        assert again[2].read_bytes() == (expected or paths["coverage-over-time.png"].read_bytes())
    assert set(paths) == {"coverage-over-time.svg", "coverage-over-time.en.svg", "coverage-over-time.png"}
    png = paths["coverage-over-time.png"].read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and struct.unpack(">II", png[16:24])[0] > 600 and len(png) < 150_000
    for name, title, invented in (
        ("coverage-over-time.svg", figure.title.de, "Synthetische Daten"),
        ("coverage-over-time.en.svg", figure.title.en, "Synthetic data"),
    ):
        svg = paths[name].read_text(encoding="utf-8")
        texts = [re.sub(r"^\{.*\}", "", text) for text in _all_texts(svg)]
        assert title in texts and any(invented in text for text in texts)
        assert "var(" not in svg and "class=" not in svg
    assert "Bayern" not in paths["coverage-over-time.en.svg"].read_text(encoding="utf-8")


def _all_texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_an_empty_place_among_small_multiples_has_no_axis(every: list[Figure]) -> None:
    """Hesse has five services in two columns: there are as many axes as pictures, and none below the sixth place."""
    figure = _named(every, f"land-{LAND}-coverage-over-time")
    shown = len({row["row"] for row in figure.datasets["rows0"]})
    labels = [
        (float(x), float(y))
        for x, y, text in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)', drawing.svg(figure))
        if re.fullmatch(r"[A-Z]\w\w \d\d", text)
    ]
    per_axis = len({x for x, _ in labels}) / 2
    assert shown == 5 and per_axis >= 2 and len(labels) == shown * per_axis
    last = max(y for _, y in labels)
    assert max(x for x, y in labels if y == last) < min(x for x, y in labels if y < last and x > max(x for x, y in labels) / 2)


# ----------------------------------------------------------------------------------------------------------------------- maps


def test_every_kreis_of_the_packaged_directories_has_its_place() -> None:
    codes: set[str] = set()
    folder = Path(directory.__file__).parent
    with (folder / "kreise.csv").open(encoding="utf-8", newline="") as file:
        codes |= {row["kreis"] for row in csv.DictReader(file, delimiter=";")}
    with (folder / "municipalities.csv").open(encoding="utf-8", newline="") as file:
        codes |= {row["ags"][:5] for row in csv.DictReader(file, delimiter=";")}
    assert len(codes) > 100
    assert codes <= set(maps.seats())
    assert all(5.8 < lon < 15.1 and 47.2 < lat < 55.1 for lon, lat in maps.seats().values())
    assert len({code[:2] for code in maps.seats()}) == 16


def test_every_kreis_of_the_official_directory_has_its_place(shared_data: Path) -> None:
    lines = (shared_data / "destatis" / "GV100AD_30112025.txt").read_text(encoding="utf-8-sig").splitlines()
    codes = {line[10:15] for line in lines if line.startswith("40")}
    assert len(codes) == 400 and codes <= set(maps.seats())


def test_a_circle_is_as_large_as_its_inhabitants_and_filled_as_far_as_the_share(published: House) -> None:
    with duckdb.connect(str(_warehouse(published, "exact")), read_only=True) as con:
        figure = maps.coverage(View(con, "exact", land_code=LAND))
    rings = {row["hover"]: row for row in figure.datasets["rows0"] if row["hover"]}
    discs = {(row["x"], row["y"]): row for row in figure.datasets["rows0"] if not row["hover"]}
    assert len(rings) == figure.cited.frame.height
    by_code = {re.search(r"\((\d{5})\)", hover)[1]: row for hover, row in rings.items()}  # type: ignore[index]
    large = [row for row in figure.cited.frame.iter_rows(named=True) if row["population"] > 90_000]
    first = large[0]
    for row in large:
        ring = by_code[row["kreis_code"]]
        assert ring["size"] / by_code[first["kreis_code"]]["size"] == pytest.approx(row["population"] / first["population"])
        disc = discs.get((ring["x"], ring["y"]), {"size": 0})
        assert disc["size"] / ring["size"] == pytest.approx(row["coverage_population_share"])
    svg = drawing.svg(figure)
    assert svg.count("<title") == len(rings) and svg.count("data-en=") == len(rings)


def test_a_kreis_without_a_place_is_named_and_not_lost(copy: duckdb.DuckDBPyConnection) -> None:
    copy.execute("update metrics.programme_coverage_by_kreis set kreis_code = '06999' where kreis_code = '06411'")
    figure = maps.coverage(View(copy, "exact"))
    assert "(06999)" in figure.note.de and "(06999)" in figure.note.en
    assert figure.cited.frame.height == 27


def test_areas_are_drawn_from_the_boundaries_of_municipalities(published: House, shared_data: Path) -> None:
    path = shared_data / "bkg" / "vg250_gemeinden_simplified.topojson"
    with duckdb.connect(str(_warehouse(published, "exact")), read_only=True) as con:
        figure = maps.coverage(View(con, "exact", land_code=LAND, boundaries=path))
    features = {feature["properties"]["hover"]: feature for feature in figure.datasets["rows0"]}
    # 06415 became a Kreis after these boundaries were drawn
    assert len(features) >= 26
    svg = drawing.svg(figure)
    assert svg.count("<title") == len(features) and len(svg) < 400_000
    # the outline of a Kreis is not that of its municipalities: Fulda has 23 of them and one outline
    fulda = next(feature for hover, feature in features.items() if "(06631)" in hover)
    assert len(fulda["geometry"]["coordinates"]) == 1


def test_boundaries_in_geojson_and_what_is_none(tmp_path: Path, published: House) -> None:
    square = [[8.6, 49.8], [8.7, 49.8], [8.7, 49.9], [8.6, 49.9], [8.6, 49.8]]
    path = tmp_path / "kreise.geojson"
    feature = {"type": "Feature", "properties": {"AGS": "06411"}, "geometry": {"type": "Polygon", "coordinates": [square]}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    assert Settings(tmp_path, environ={"ROLLIN_BOUNDARIES": str(path)}).boundaries == path
    assert Settings(tmp_path, environ={}).boundaries is None
    with duckdb.connect(str(_warehouse(published, "exact")), read_only=True) as con:
        assert len(maps.coverage(View(con, "exact", land_code=LAND, boundaries=path)).datasets["rows0"]) == 1
        contents = ("no json", "[]", '{"type": "FeatureCollection", "features": []}', '{"type": "Topology"}', '{"type": 1}')
        bad = [tmp_path / f"bad{at}.json" for at in range(len(contents))]
        for file, content in zip(bad, contents, strict=True):
            file.write_text(content, encoding="utf-8")
        for file in (*bad, tmp_path / "nowhere"):
            with pytest.raises(maps.UnreadableBoundaries, match="ROLLIN_BOUNDARIES"):
                maps.outlines(file)
            figure = maps.coverage(View(con, "exact", land_code=LAND, boundaries=file))
            assert figure.is_drawn and "Kreise statt Flächen" in figure.note.de


def test_a_code_is_no_sql() -> None:
    with duckdb.connect() as con, pytest.raises(ValueError, match="no code"):
        View(con, "exact", land_code="06' or true --")


def test_pairs_of_a_palette_are_all_different() -> None:
    for theme in ("light", "dark"):
        colours = [getattr(colour, theme) for colour in (drawing.PALETTE | drawing.STEPS).values()]
        assert all(one != other for one, other in itertools.combinations(colours, 2))
