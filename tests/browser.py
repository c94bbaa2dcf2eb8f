"""A real browser for tests: the system's Chromium, driven by Playwright, that opens files and nothing else.

Whatever a page asks for beside itself, and whatever it or the browser complains of, fails the test that opened it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from orchestration.report import words

#: Rules that a page must keep: WCAG 2.0 to 2.2, levels A and AA.
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Browser:
    """``engine``: Playwright's browser. ``artefacts``: the folder for screenshots, kept where ``ROLLIN_ARTEFACTS`` names one."""

    engine: Any
    artefacts: Path

    @contextmanager
    def page(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        script: bool = True,
        now: float | None = None,
    ) -> Iterator[Any]:
        """A file in a window of its own. Afterwards it must have asked for nothing, and nobody complained.

        ``now``: the instant that the page takes for the present, in seconds since 1970.
        """
        seen = Seen(path.as_uri())
        context = self.engine.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=script,
            accept_downloads=True,
        )
        try:
            context.set_offline(True)
            page = context.new_page()
            page.on("request", lambda request: seen.ask(request.url))
            page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.set_default_timeout(10_000)
            if now is not None:
                page.clock.set_fixed_time(now)
            page.goto(path.as_uri(), wait_until="load")
            yield page
        finally:
            context.close()
        assert seen.foreign == [], f"{path.name} asked for {seen.foreign[:5]}"
        assert seen.complaints == [], f"{path.name}: {seen.complaints[:5]}"


@dataclass
class Seen:
    """What a page asked for, and what was complained of. Data and blobs within the page ask for nothing."""

    own: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, url: str) -> None:
        """Note a request that leaves the page."""
        if url.partition("#")[0] != self.own and not url.startswith(("data:", "blob:")):
            self.foreign.append(url)


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """The browser; the test is skipped where there is none. ``folder``: for screenshots, unless ``ROLLIN_ARTEFACTS`` names another."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    from playwright import sync_api as playwright

    artefacts = Path(os.environ.get("ROLLIN_ARTEFACTS") or folder)
    artefacts.mkdir(parents=True, exist_ok=True)
    # Chromium's own sandbox does not work for root, as in containers; only files of the test are opened
    arguments = ["--disable-gpu", "--font-render-hinting=none", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with playwright.sync_playwright() as driver:
        engine = driver.chromium.launch(executable_path=program, args=arguments)
        try:
            yield Browser(engine, artefacts)
        finally:
            engine.close()


# ----------------------------------------------------------------------------------------------------------------- what is checked

#: What of a page a check of its numbers needs, in one question.
_CITED = """() => {
    const record = JSON.parse(document.getElementById("cited").textContent);
    const numbers = [], tables = [];
    for (const element of document.querySelectorAll("[data-cite]")) {
        if (element.matches("table")) {
            tables.push({
                name: element.dataset.cite,
                columns: Array.from(element.querySelectorAll("thead th"), (head) => head.dataset.column),
                rows: Array.from(element.tBodies[0].rows, (row) => Array.from(row.cells, (cell) => cell.textContent.trim())),
                cut: element.closest(".tabular").querySelector(".cut") !== null,
            });
        } else {
            numbers.push([element.dataset.cite, element.closest("[lang]").lang, element.textContent.trim(), !!element.closest(".de, .en")]);
        }
    }
    return {language: document.documentElement.lang, record, numbers, tables};
}"""


def cited_problems(page: Any, warehouse: Path) -> tuple[list[str], int]:
    """Where a page shows something else than the queries that it names, asked again of the warehouse; and how much was compared."""
    found = page.evaluate(_CITED)
    record, problems, compared = found["record"], [], 0
    with duckdb.connect(str(warehouse), read_only=True, config={"enable_external_access": "false"}) as con:
        con.execute("set TimeZone = 'UTC'")

        @cache
        def answer(sql: str) -> pl.DataFrame:
            result = con.sql(sql)
            return pl.DataFrame(result.fetchall(), schema=result.columns, orient="row", infer_schema_length=None)

        for name, language, text, is_marked in found["numbers"]:
            entry = record.get(name)
            if entry is None:
                problems.append(f"{name}: '{text}' names no query")
                continue
            if entry["table"] not in entry["sql"]:
                problems.append(f"{name}: the query does not read {entry['table']}")
            rows = answer(entry["sql"])
            value = rows[entry["column"]][entry["row"]] if entry["row"] < rows.height else None
            said = words.shown(value, entry["form"], entry["places"])
            compared += 1
            expected = said.de if language == "de" else said.en
            if text != expected or (not is_marked and said.de != said.en):
                problems.append(f"{name}: '{text}' is {value!r}, '{expected}', in {entry['table']}.{entry['column']}")
        for table in found["tables"]:
            entry = record[table["name"]]
            rows = answer(entry["sql"])
            if set(table["columns"]) - set(entry["columns"]):
                problems.append(f"{table['name']}: columns {table['columns']} are not all recorded")
                continue
            if len(table["rows"]) > rows.height or (len(table["rows"]) < rows.height and not table["cut"]):
                problems.append(
                    f"{table['name']}: {len(table['rows'])} rows are shown of {rows.height}, and nothing is said of it"
                )
                continue
            columns = [
                [
                    words.shown(value, entry["columns"][column]["form"], entry["columns"][column]["places"])
                    for value in rows[column].head(len(table["rows"]))
                ]
                for column in table["columns"]
            ]
            for number, (row, values) in enumerate(zip(table["rows"], zip(*columns, strict=True), strict=True)):
                for column, text, said in zip(table["columns"], row, values, strict=True):
                    compared += 1
                    expected = said.de if found["language"] == "de" else said.en
                    if text != " ".join(expected.split(" ")).strip():
                        problems.append(f"{table['name']} row {number} {column}: '{text}' is '{expected}' in {entry['table']}")
    unused = set(record) - {name for name, *_ in found["numbers"]} - {table["name"] for table in found["tables"]}
    problems += [f"{name}: recorded, and nowhere shown" for name in sorted(unused)]
    return problems, compared


#: Digits that are seen and belong to no cited element: what a page says beside its numbers. Code, names of tables and pictures are
#: no statements of their own (a picture stands beside its table); sentences of figures are checked as a whole (``sentences``).
_LOOSE = """() => {
    const loose = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, element = node.parentElement;
        if (!/[0-9]/.test(node.data) || element.closest("[data-cite], code, pre, svg, script, style, option, dl.terms, [data-count], #age")
            || element.matches("summary") && element.querySelector("code") || element.closest("figure :is(figcaption, .note, .nothing)")) continue;
        loose.push(node.data.trim());
    }
    return loose;
}"""


def loose_numbers(page: Any) -> list[str]:
    """Texts with digits that stand outside everything that is cited."""
    return list(page.evaluate(_LOOSE))


_SENTENCES = """() => Object.fromEntries(Array.from(document.querySelectorAll("figure[id]"), (figure) => {
    const told = (place, language) => Array.from(figure.querySelectorAll(place), (one) => {
        const said = one.querySelector(`:scope > .${language}, :scope > * > .${language}`);
        return (said ?? one).textContent.trim();
    });
    const of = (language) => [...told("h3", language), ...told(":is(p.note, p.nothing)", language), ...told("figcaption", language)];
    const once = (language) => Array.from(new Set(of(language)));
    return [figure.id, {de: once("de"), en: once("en"), is_drawn: figure.querySelector("svg") !== null}];
}))"""


def sentences(page: Any) -> dict[str, Any]:
    """By figure what a page says with it, in both languages (title, note, caption), and whether it is drawn."""
    return dict(page.evaluate(_SENTENCES))


_LANGUAGES = """(other) => {
    const seen = (element) => element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
    const left = [], texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, element = node.parentElement;
        const text = node.data.replace(/\\s+/g, " ").trim();
        if (!/\\p{L}{2}/u.test(text) || element.closest("script, style, [data-language], pre.changes") || !seen(element)) continue;
        texts.push(text);
        if (element.closest("[lang]").lang === other) left.push(text);
    }
    const hidden = Array.from(document.querySelectorAll(`[lang=${other}]`), (element) => element.textContent.replace(/\\s+/g, " ").trim());
    return {left, texts, hidden, title: document.title};
}"""


def visible_language(page: Any, other: str) -> dict[str, Any]:
    """What is seen: ``texts``; of it what is marked as the ``other`` language: ``left``; what of that language is in the page: ``hidden``.

    What changed is published in German alone; the page says so beside it.
    """
    return dict(page.evaluate(_LANGUAGES, other))


def open_everything(page: Any) -> None:
    """Open what is folded."""
    page.evaluate("() => { for (const details of document.querySelectorAll('details')) details.open = true; }")


def shorten(page: Any) -> None:
    """Leave a few of what there is many of, one like the other: rows, definitions, marks of a picture. axe takes its time for each."""
    page.evaluate(
        """() => {
            for (const one of document.querySelectorAll("tbody tr:nth-child(n+5), dl.terms > div:nth-child(n+3), svg path:nth-child(n+9)")) one.remove();
        }"""
    )


def axe_violations(page: Any, *rules: str) -> list[str]:
    """What axe-core finds against WCAG A and AA (or against some rules only), one line for each element."""
    from axe_playwright_python import sync_playwright as axe

    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(AXE_TAGS)}
    found = axe.Axe().run(page, options={"runOnly": only, "resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {node['target']} {json.dumps(node.get('failureSummary', ''), ensure_ascii=False)[:300]}"
        for violation in found.response["violations"]
        for node in violation["nodes"][:5]
    ]
