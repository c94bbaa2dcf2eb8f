"""The report in a real browser: it loads from disk alone, says what its tables say, and can be used by everybody.

Pages are those of the night that all tests share; what a night without data, costs or findings would show comes from copies of its
warehouse, changed by SQL.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations import page as gate_page
from expectations.results import CheckResult
from orchestration import report
from orchestration.report import drawing, figures, words
from tests import browser as browsers
from tests.browser import (
    Browser,
    axe_violations,
    cited_problems,
    loose_numbers,
    open_everything,
    sentences,
    shorten,
    visible_language,
)
from tests.house import House

PAGES = ("index.html", "land-06.html", "service-ummeldung.html")
WIDTHS = (320, 768, 1440)
#: A page of each kind, and of each tier.
KINDS = [("exact", "index.html"), ("exact", "land-06.html"), ("public", "index.html"), ("public", "service-ummeldung.html")]


@pytest.fixture(scope="module")
def tiers(published: House) -> dict[str, Path]:
    """The folders of both tiers of the published release."""
    exact = published.settings.current.resolve()
    return {"exact": exact, "public": exact / "public"}


@pytest.fixture(scope="module")
def browser(published: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests; started after the night, with which it would share the thread's event loop."""
    with browsers.started(tmp_path_factory.mktemp("artefacts")) as browser:
        yield browser


def page_of(tiers: dict[str, Path], tier: str, name: str) -> Path:
    return tiers[tier] / report.FOLDER / name


# ------------------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(("tier", "name"), KINDS)
def test_every_number_is_that_of_its_table_in_both_languages(
    browser: Browser, tiers: dict[str, Path], tier: str, name: str
) -> None:
    with browser.page(page_of(tiers, tier, name)) as page:
        problems, compared = cited_problems(page, tiers[tier] / "warehouse.duckdb")
        assert problems == []
        assert compared > 50
        page.get_by_role("button", name="English").click()
        problems, again = cited_problems(page, tiers[tier] / "warehouse.duckdb")
        assert problems == []
        assert again == compared
        with duckdb.connect(str(tiers[tier] / "warehouse.duckdb"), read_only=True) as con:
            [(failed,)] = con.execute(
                "select gates_failed from metrics.scale_verdict where (claim, outcome) = ('C1', 'cost')"
            ).fetchall()
        # the conditions of the verdict are sentences with numbers in them: they are those of the table
        told = {text for gate in words.gates(failed) for text in (gate.de, gate.en)}
        assert set(loose_numbers(page)) - told == set()


def test_a_number_that_was_changed_is_found(browser: Browser, tiers: dict[str, Path], tmp_path: Path) -> None:
    source, warehouse = page_of(tiers, "exact", "index.html"), tiers["exact"] / "warehouse.duckdb"
    text = source.read_text(encoding="utf-8")
    number = re.search(r'<span data-cite="n\d+">(\d[\d.,]*)', text)
    cell = re.search(r"<td class=n>(\d[\d.,]*)", text)
    assert number and cell
    for at in (number, cell):
        doctored = tmp_path / "page.html"
        doctored.write_text(text[: at.start(1)] + f"7{at[1]}" + text[at.end(1) :], encoding="utf-8")
        with browser.page(doctored) as page:
            problems, _ = cited_problems(page, warehouse)
        assert problems and f"7{at[1]}" in problems[0]
    # and so is a table that changed under the page
    shutil.copyfile(warehouse, tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute("update metrics.programme_status set authority_service_pairs_lacking = authority_service_pairs_lacking + 1")
    with browser.page(source) as page:
        problems, _ = cited_problems(page, tmp_path / "warehouse.duckdb")
    assert any("authorities_lacking" in problem for problem in problems)


@pytest.mark.parametrize(("tier", "name"), [("exact", "index.html"), ("public", "land-06.html")])
def test_figures_say_what_their_tables_say(browser: Browser, tiers: dict[str, Path], tier: str, name: str) -> None:
    """The sentences of figures are made anew of the warehouse: title, reservation, and what the picture says."""
    with duckdb.connect(str(tiers[tier] / "warehouse.duckdb"), read_only=True) as con:
        made = figures.for_index(con, tier) if name == "index.html" else figures.for_land(con, "06", tier)
    with browser.page(page_of(tiers, tier, name)) as page:
        told = sentences(page)
    expected: dict[str, Any] = {}
    for figure in made:
        said = dict.fromkeys(one for one in (figure.title, figure.note, figure.alt) if one)  # a note may say all there is to say
        is_drawn = figure.chart is not None
        expected[figure.figure_id] = {"de": [one.de for one in said], "en": [one.en for one in said], "is_drawn": is_drawn}
    assert {name: told.get(name) for name in expected} == expected
    assert sum(figure["is_drawn"] for figure in told.values()) >= 5


# ------------------------------------------------------------------------------------------------------------------ using its tables


def cells(page: Any, table: str, column: str) -> list[str]:
    """What the rows that are seen say in a column."""
    return list(
        page.evaluate(
            """([id, column]) => {
                const table = document.getElementById(id);
                const at = Array.from(table.tHead.rows[0].cells).findIndex((head) => head.dataset.column === column);
                return Array.from(table.tBodies[0].rows).filter((row) => row.checkVisibility()).map((row) => row.cells[at].textContent.trim());
            }""",
            [table, column],
        )
    )


@pytest.fixture
def authorities(browser: Browser, tiers: dict[str, Path]) -> Iterator[tuple[Any, str]]:
    """The page of Hessen, and the id of its table of authorities."""
    with browser.page(page_of(tiers, "exact", "land-06.html")) as page:
        yield page, page.locator("section#behoerden table").get_attribute("id")


def number(text: str) -> float:
    return float(text.replace(".", "").replace(",", "."))


def test_sorting_is_by_value_in_both_directions_with_the_unknown_last(authorities: tuple[Any, str]) -> None:
    page, table = authorities
    head = page.locator(f"#{table} th[data-column=population]")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    upwards = [number(text) for text in cells(page, table, "population") if text != "unbekannt"]
    assert upwards == sorted(upwards) and len(set(upwards)) > 100
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [number(text) for text in cells(page, table, "population") if text != "unbekannt"] == upwards[::-1]
    since = page.locator(f"#{table} th[data-column=phase_since]")
    since.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), since.get_attribute("aria-sort")) == ("none", "ascending")
    days = cells(page, table, "phase_since")
    known = ["-".join(reversed(day.split("."))) for day in days if day != "unbekannt"]
    assert known == sorted(known)
    assert days[len(known) :] == ["unbekannt"] * (len(days) - len(known)) and len(known) < len(days)


def test_filter_and_search_show_what_fits_and_say_how_much(authorities: tuple[Any, str]) -> None:
    page, table = authorities
    total = len(cells(page, table, "authority"))
    page.locator("select[data-column=service_id]").select_option(label="Ummeldung")
    registering = cells(page, table, "service_id")
    assert set(registering) == {"Ummeldung"} and len(registering) == 421 < total
    page.locator("select[data-column=phase]").select_option(label="in Betrieb")
    operational = cells(page, table, "authority")
    assert set(cells(page, table, "phase")) == {"in Betrieb"} and 0 < len(operational) < 421
    page.locator("[data-search]").fill("gemeinde 06431")
    assert all("06431" in key for key in cells(page, table, "authority_id"))
    page.locator("[data-search]").fill("gibt es nicht")
    assert cells(page, table, "authority") == []
    assert page.locator("[data-count]").inner_text() == f"0 von {total:,} Zeilen".replace(",", ".")
    page.locator("[data-search]").fill("")
    assert cells(page, table, "authority") == operational


def test_the_download_holds_exactly_the_rows_that_are_shown(authorities: tuple[Any, str]) -> None:
    page, table = authorities
    page.locator("select[data-column=service_id]").select_option(label=words.term("service", "fuehrerschein").de)
    page.locator(f"#{table} th[data-column=authority] button").click()
    for language, separator in (("Deutsch", ";"), ("English", ",")):
        page.get_by_role("button", name=language).click()
        with page.expect_download() as waiting:
            page.locator("[data-download]").click()
        assert waiting.value.suggested_filename == "rollin-land-06.csv"
        text = Path(waiting.value.path()).read_bytes().decode("utf-8")
        assert text.startswith("\ufeff")
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator))
        heads = [head.strip() for head in page.locator(f"#{table} thead th").all_inner_texts()]
        assert list(rows[0]) == heads
        assert len(rows) == 27
        for column, head in zip(columns(page, table), heads, strict=True):
            told, shown = [row[head] for row in rows], cells(page, table, column)
            if column in ("population", "phase_since", "wave"):  # as programs read them
                told = [written(text, language) for text in told]
            assert told == shown, column


def written(text: str, language: str) -> str:
    """A number or day of a download as the page writes it."""
    day = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)
    said = words.day(date.fromisoformat(text)) if day else words.number(int(text)) if text else words.UNKNOWN
    return said.de if language == "Deutsch" else said.en


def columns(page: Any, table: str) -> list[str]:
    return [str(head.get_attribute("data-column")) for head in page.locator(f"#{table} thead th").all()]


def test_a_formula_in_a_name_is_text_in_the_download(browser: Browser, tiers: dict[str, Path], tmp_path: Path) -> None:
    text = page_of(tiers, "exact", "land-06.html").read_text(encoding="utf-8")
    names = re.findall(r"<td>(Stadt Kassel|Gemeinde [A-Z]\w+|Stadt [A-Z]\w+)(?=<td)", text)
    doctored = tmp_path / "land-06.html"
    first, second, *_ = dict.fromkeys(names)
    bad = text.replace(f"<td>{first}<", '<td>=HYPERLINK("http://x.example";"hier; klicken")<').replace(
        f"<td>{second}<", "<td>@SUM(1)<"
    )
    doctored.write_text(bad, encoding="utf-8")
    with browser.page(doctored) as page:
        with page.expect_download() as waiting:
            page.locator("[data-download]").click()
        rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8-sig"), newline=""), delimiter=";"))
    every = [cell for row in rows for cell in row]
    assert '\'=HYPERLINK("http://x.example";"hier; klicken")' in every and "'@SUM(1)" in every
    assert not [cell for cell in every if re.match(r"[=+@\t\r]|-\D", cell)]
    assert len({len(row) for row in rows}) == 1


# ---------------------------------------------------------------------------------------------------------------- language and light


@pytest.mark.parametrize(
    ("tier", "name"), [("exact", "index.html"), ("exact", "land-06.html"), ("public", "service-ummeldung.html")]
)
def test_the_language_switch_leaves_nothing_behind(browser: Browser, tiers: dict[str, Path], tier: str, name: str) -> None:
    with browser.page(page_of(tiers, tier, name)) as page:
        open_everything(page)
        assert page.evaluate("document.documentElement.lang") == "de"
        german = visible_language(page, "en")
        page.get_by_role("button", name="English").click()
        assert page.evaluate("document.documentElement.lang") == "en"
        english = visible_language(page, "de")
        assert german["title"] != english["title"]
        assert (german["left"], english["left"]) == ([], [])
        # what is marked as German and has an English of its own is seen nowhere, marked or not
        swapped = {text for text in english["hidden"] if len(text) > 3} - set(german["hidden"])
        assert len(swapped) > 30
        assert sorted(swapped & set(english["texts"])) == []
        page.reload()
        assert page.evaluate("document.documentElement.lang") == "en"


def test_light_and_dark_follow_the_system_and_the_switch(browser: Browser, tiers: dict[str, Path]) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    backgrounds = {}
    for scheme in ("light", "dark"):
        with browser.page(page_of(tiers, "exact", "index.html"), scheme=scheme) as page:
            backgrounds[scheme] = page.evaluate(colour)
            page.locator("[data-theme-switch]").click()
            backgrounds[f"{scheme} switched"] = page.evaluate(colour)
            page.reload()
            assert page.evaluate(colour) == backgrounds[f"{scheme} switched"]
    assert backgrounds["light"] == backgrounds["dark switched"] != backgrounds["dark"] == backgrounds["light switched"]


# ------------------------------------------------------------------------------------------------------------------- used by everybody


def test_the_keyboard_alone_suffices(browser: Browser, tiers: dict[str, Path]) -> None:
    with browser.page(page_of(tiers, "exact", "land-06.html")) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        assert page.url.endswith("#inhalt")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
        page.evaluate("() => { document.activeElement.blur(); location.hash = ''; }")
        page.reload()
        # one stop after the other in the order of the page, and each is seen to be there
        stops = page.evaluate(
            """() => Array.from(document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]'))
                .filter((one) => one.checkVisibility() && !one.disabled).map((one, at) => { one.dataset.stop = at; return at; })"""
        )
        order, unseen = [], []
        for _ in stops[:120]:
            page.keyboard.press("Tab")
            stop, is_seen, what = page.evaluate(
                """() => {
                    const one = document.activeElement, style = getComputedStyle(one);
                    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                    return [Number(one.dataset.stop), outlined || one.matches('.skip'), one.outerHTML.slice(0, 90)];
                }"""
            )
            order.append(stop)
            unseen += [] if is_seen else [what]
        assert order == stops[:120]
        assert unseen == []


def test_details_sorting_and_switches_answer_to_keys(browser: Browser, tiers: dict[str, Path]) -> None:
    with browser.page(page_of(tiers, "exact", "land-06.html")) as page:
        details = page.locator("main details").first
        was = details.evaluate("(one) => one.open")
        details.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert details.evaluate("(one) => one.open") is not was
        head = page.locator("section#behoerden th[data-column=authority]")
        head.get_by_role("button").focus()
        page.keyboard.press("Space")
        assert head.get_attribute("aria-sort") == "ascending"
        page.locator("[data-language=en]").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.locator("[data-language=en]").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize(("tier", "name"), [kind for kind in KINDS if kind != ("public", "index.html")])
def test_axe_finds_nothing(browser: Browser, tiers: dict[str, Path], tier: str, name: str) -> None:
    with browser.page(page_of(tiers, tier, name)) as page:
        if name == "index.html":  # colours are the same on every page, and within what is folded
            page.locator("[data-theme-switch]").click()
            assert axe_violations(page, "color-contrast") == []
            page.locator("[data-theme-switch]").click()
        open_everything(page)
        shorten(page)
        assert axe_violations(page) == []


def test_without_script_it_is_a_german_document(browser: Browser, tiers: dict[str, Path]) -> None:
    with browser.page(page_of(tiers, "exact", "land-06.html"), script=False) as page:
        assert page.locator("h1").inner_text() == "Hessen"
        assert "Zuständige Behörden" in page.locator("section#behoerden").inner_text()
        assert page.locator("section#behoerden tbody tr").count() == 421 + 27 + 33 + 33 + 3
        assert page.locator("[data-language]:visible, [data-theme-switch]:visible, .controls:visible").count() == 0
        assert page.locator(":visible.en").count() == 0
        details = page.locator("main details").first
        details.locator("summary").first.click()
        assert details.get_attribute("open") is not None


# ------------------------------------------------------------------------------------------------------------------------ every width


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_at_any_width(browser: Browser, tiers: dict[str, Path], name: str) -> None:
    with browser.page(page_of(tiers, "exact", name)) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            beyond = page.evaluate(
                """() => document.documentElement.scrollWidth <= innerWidth ? [] :
                    Array.from(document.querySelectorAll('body *')).filter((one) => one.getBoundingClientRect().right > innerWidth + 1
                        && !one.parentElement.closest('.scroll, .picture, pre')).slice(0, 5).map((one) => one.outerHTML.slice(0, 120))"""
            )
            assert beyond == [], width
            picture = browser.artefacts / f"{name.removesuffix('.html')}-{width}.jpeg"
            page.screenshot(path=picture, full_page=True, type="jpeg", quality=70)
            assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_whole(browser: Browser, tiers: dict[str, Path], name: str) -> None:
    with browser.page(page_of(tiers, "exact", name), width=718) as page:  # A4 less its margins
        page.emulate_media(media="print")
        cut = page.evaluate(
            """() => Array.from(document.querySelectorAll('main *')).filter((one) => one.checkVisibility()
                && getComputedStyle(one).overflow !== 'visible' && (one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)
                && !one.closest('svg')).map((one) => one.outerHTML.slice(0, 120))"""
        )
        assert cut == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 719
        assert page.locator(".switches:visible, .controls:visible, .skip:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        # what is folded says what it would show
        unsaid = page.evaluate(
            """() => Array.from(document.querySelectorAll("main details:not([open]) > summary")).filter((summary) =>
                !summary.parentElement.parentElement.closest("details:not([open])") && !summary.checkVisibility()).length"""
        )
        assert unsaid == 0
        pdf = page.pdf(format="A4", path=browser.artefacts / f"{name.removesuffix('.html')}.pdf")
        assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 2


# ------------------------------------------------------------------------------------------------------- nights with little to tell

#: Figures that need costs.
COSTS = ("cost-by-wave", "degression", "running-cost", "budget", "learning-curve", "forecast")


def prepared(tiers: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch, *changes: str) -> Path:
    """The report of a copy of the exact warehouse that was changed by SQL, with one service: the folder that it lies in."""
    monkeypatch.setattr(drawing, "write_files", lambda *_, **__: [])  # pictures for slides take their time and are not looked at
    shutil.copyfile(tiers["exact"] / "warehouse.duckdb", folder / "warehouse.duckdb")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        for change in ("delete from metrics.coverage_daily where service_id <> 'ummeldung'", *changes):
            con.execute(change)
    report.write(folder, folder / "warehouse.duckdb", tier="exact")
    return folder / report.FOLDER


#: A Land joins and has delivered nothing yet; the other one has delivered all but its costs.
NO_LAND_NO_COSTS = (
    "update core.dim_land set is_participating = true, programme_start = date '2026-06-01', target_on = date '2026-12-31',"
    " target_share = 1.0 where land_code = '09'",
    *(
        f"delete from {table}"
        for table in (
            "core.fct_cost", "metrics.cost_per_connection", "metrics.cost_by_wave", "metrics.programme_cost_by_wave",
            "metrics.cost_bridge", "metrics.budget_status", "metrics.running_cost_per_transaction", "metrics.total_cost_of_ownership",
            "metrics.scale_observation", "metrics.learning_curve", "metrics.scale_estimate", "metrics.cost_forecast",
        )
    ),
    "update metrics.scale_verdict set verdict = 'not_due', estimate = null, se = null, ci_low = null, ci_high = null, n = 0",
    "update meta.source_status set last_delivered_at = null, last_delivery_id = null, status = 'missing', age_days = null, deliveries = 0,"
    " deliveries_refused = 0, rows_delivered = 0, rows_quarantined = 0 where table_name = 'costs'",
    "delete from meta.delivery where table_name = 'costs'",
)  # fmt: skip

#: Everything was delivered, and nothing follows from it.
INCONCLUSIVE = (
    "update metrics.scale_verdict set verdict = 'inconclusive', label = null, gates_failed = null, frozen_on = date '2026-06-01',"
    " estimate = 0.01, se = 0.1, ci_low = -0.2, ci_high = 0.2",
    "update metrics.commitment_status set open_predicted_count = null, open_predicted_low_count = null, open_predicted_high_count = null,"
    " coverage_predicted_share = null, coverage_predicted_low_share = null, coverage_predicted_high_share = null,"
    " area_wide_probability = null, prediction_reason = 'too_few'",
    "update metrics.programme_status set services_predicted = 0, services_likely = 0",
    "update metrics.dormant_connection set answer = 'unknown', death_evidence = null, p_value = null, q_value = null",
    "update metrics.cost_forecast set total_predicted = null, total_low = null, total_high = null, per_connection_predicted = null,"
    " per_connection_low = null, per_connection_high = null, reason = 'too_few'",
)


def test_an_empty_land_and_one_without_costs_are_said_to_be(
    browser: Browser, tiers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = prepared(tiers, tmp_path, monkeypatch, *NO_LAND_NO_COSTS)
    with browser.page(pages / "index.html") as page:
        empty, other = page.locator("#land-09"), page.locator("#land-06")
        assert empty.locator(".big").inner_text() == "noch nicht gemessen"
        assert "Das ist keine Abdeckung von null" in empty.inner_text()
        assert not re.search(r"\d", empty.inner_text()) and empty.locator(".meter").count() == 0
        assert "Kosten hat dieses Land nicht geliefert" in other.inner_text()
        assert "Eine Schätzung ist noch nicht möglich" in page.locator("#urteil").inner_text()
        told = sentences(page)
        for figure in COSTS:
            assert not told[figure]["is_drawn"] and all(len(text) > 10 for text in told[figure]["de"]), figure
        assert told["coverage-over-time"]["is_drawn"]
        open_everything(page)
        assert not re.search(r"\d\s?€", page.locator("main").inner_text())
        page.get_by_role("button", name="English").click()
        assert empty.locator(".big").inner_text() == "not measured yet"
        assert "has delivered no costs" in other.inner_text()
    with browser.page(pages / "land-09.html") as page:
        assert page.locator("h1").inner_text() == "Bayern"
        assert [name for name, figure in sentences(page).items() if figure["is_drawn"]] == []
        assert "Zur Zusage liegt nichts vor." in page.locator("#zusage").inner_text()
        assert cited_problems(page, tmp_path / "warehouse.duckdb")[0] == []


def test_what_is_not_decided_is_said_not_to_be(
    browser: Browser, tiers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = prepared(tiers, tmp_path, monkeypatch, *INCONCLUSIVE)
    with browser.page(pages / "index.html") as page:
        costs = page.locator("#urteil")
        assert costs.locator(".big").inner_text() == words.term("verdict", "inconclusive").de
        assert "Das heißt nicht, dass sie nicht sinken." in costs.inner_text()
        assert "\u221220,0\N{NO-BREAK SPACE}% und 20,0" in costs.inner_text()
        assert not re.search("belegt\\b|widerlegt", costs.locator(".big, .lead").first.inner_text())
        assert "Eine Vorhersage ist noch nicht möglich" in page.locator("#land-06").inner_text()
        told = sentences(page)
        assert not told["outlook"]["is_drawn"] and not told["forecast"]["is_drawn"] and not told["dormant"]["is_drawn"]
        assert words.term("verdict", "inconclusive").de in " ".join(told["learning-curve"]["de"])
        assert cited_problems(page, tmp_path / "warehouse.duckdb")[0] == []


def test_a_refused_night_makes_the_page_say_how_old_it_is(browser: Browser, tiers: dict[str, Path]) -> None:
    """A refused night leaves the release as it is: what tells of it is the page's age, and the gate's page of that night."""
    with duckdb.connect(str(tiers["exact"] / "warehouse.duckdb"), read_only=True) as con:
        [(published,)] = con.execute("select epoch(published_at) from meta.release").fetchall()
    for hours, german, english in ((5, "", ""), (30, "Seit einem Tag kein neuer Stand.", "No new status for one day."),
                                   (80, "Seit 3 Tagen kein neuer Stand.", "No new status for 3 days.")):  # fmt: skip
        with browser.page(page_of(tiers, "exact", "index.html"), now=published + hours * 3600) as page:
            assert page.locator("#age").inner_text() == german
            assert page.locator("#age-why").is_visible() == (hours == 80)
            page.get_by_role("button", name="English").click()
            assert page.locator("#age").inner_text() == english


def test_the_gates_page_of_a_refused_night_loads_from_disk_too(browser: Browser, tmp_path: Path) -> None:
    result = CheckResult(
        "release", "core.fct_cost", "grain_unique", None, "error", False, False, "2 row(s)", "one row", 2, "Eindeutig.", "Unique."
    )
    path = tmp_path / "index.html"
    path.write_text(
        gate_page.render(
            run_id="r", as_of=date(2026, 6, 16), outcome="refused", message="", is_synthetic=True, results=[result.to_dict()]
        ),
        encoding="utf-8",
    )
    with browser.page(path, width=320) as page:
        assert "Zurückgewiesen: nichts wird veröffentlicht" in page.locator("body").inner_text()
        assert axe_violations(page) == []
