"""The report of a release: pages that answer the programme's questions in pictures, each of which leads to its numbers.

Belongs here: what turns the published tables of one tier into ``report/``. Does not: any formula (``dbt_project``), what is published
(``publication``), the gate's own page (``gate_report``).

``cited`` every number with the query that it comes from · ``words`` both languages and their numbers · ``figure`` what a figure is ·
``chart_…`` the figures by subject, ``map`` those on a map, ``figures`` which stand where · ``drawing`` from a chart to a file · ``pages``
the pages themselves.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import multiprocessing
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import duckdb
from markupsafe import Markup

if TYPE_CHECKING:
    from orchestration.report import pages

#: The folder of a tier that holds its report.
FOLDER = "report"

#: The folder of a report that holds its pictures for slides.
FIGURES = "figures"

#: Tables without which there is nothing to report: a publication of parts of a warehouse has no report.
NEEDED = (
    "core.dim_land",
    "core.dim_service",
    "core.bridge_competence",
    "metrics.coverage_daily",
    "meta.metric",
    "meta.source_status",
)

#: What a page leads to, where the tier has it.
_LEADS = ("warehouse.duckdb", "rollin.xlsx", "LICENCES.md", "CHANGES.md")


#: So many pages are made by two processes, each of which has to start; fewer by this one alone.
_MANY_PAGES = 12


def write(
    folder: Path,
    warehouse: Path,
    *,
    tier: str,
    leads: Collection[str] = (),
    boundaries: Path | None = None,
    drawn_before: Path | None = None,
) -> list[Path]:
    """Write the report of a tier into ``folder/report`` and return its files.

    ``folder``: the tier's folder with its other files; ``warehouse``: its closed DuckDB file, from which alone the numbers come.
    ``tier``: exact or public. ``leads``: files, relative to the folder, that pages may lead to although they are written later.
    ``boundaries``: a file of boundaries for the maps (``map``). ``drawn_before``: the folder of a tier with a report already; a PNG of it
    is copied where the picture is the same (:func:`drawing.write_files`). A warehouse without the tables ``NEEDED`` has no report:
    nothing is written.
    """
    from orchestration.report import pages
    from orchestration.report.cited import has_table

    present = {path for path in _LEADS if (folder / path).is_file()}
    present |= {"datapackage.json", *leads}  # written after it
    present |= {str(path.relative_to(folder)) for path in (folder / "csv").rglob("*.csv")}
    task = _Task(folder, warehouse, tier, frozenset(present), boundaries, drawn_before)
    with task.connected() as con:
        if not all(has_table(con, table) for table in NEEDED):
            return []
        shown = pages.Tier(con, tier, task.present, task.changes)
        files = ["index.html", *(land.file for land in shown.participating), *(service.file for service in shown.services)]
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    if len(files) <= _MANY_PAGES or (os.cpu_count() or 1) < 2:
        return task.write(files)
    waiting, written = deque(files), list[Path]()
    with (
        ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as other,
        ThreadPoolExecutor(1) as hand,
    ):
        # this process takes pages from one end, the other from the other until none is left: neither waits for the other for long
        theirs = hand.submit(lambda: [path for file in _taken(waiting.pop) for path in other.submit(task.write, [file]).result()])
        try:
            written += task.write(_taken(waiting.popleft))
        finally:
            waiting.clear()
        return written + theirs.result()


def _taken(take: Callable[[], str]) -> Iterator[str]:
    """What ``take`` gives until nothing is left."""
    with contextlib.suppress(IndexError):
        while True:
            yield take()


@dataclass(frozen=True)
class _Task:
    """A tier whose report is written, by one process or by two."""

    folder: Path
    warehouse: Path
    tier: str
    present: frozenset[str]
    boundaries: Path | None
    drawn_before: Path | None

    @property
    def changes(self) -> str:
        path = self.folder / "CHANGES.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @contextlib.contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        settings: dict[str, str | bool | int | float | list[str]] = {"threads": 2, "autoinstall_known_extensions": False}
        with duckdb.connect(str(self.warehouse), read_only=True, config=settings) as con:
            con.execute("set TimeZone = 'UTC'")
            yield con

    def write(self, files: Iterable[str]) -> list[Path]:
        """Write these of the report's pages, each with its pictures for slides."""
        from orchestration.report import pages

        with self.connected() as con:
            tier = pages.Tier(con, self.tier, self.present, self.changes)
            return [path for file in files for path in self._page(tier, file)]

    def _page(self, tier: pages.Tier, file: str) -> list[Path]:
        """Write one page and its pictures: those of the overview into ``figures``, others into a folder there with the page's name."""
        from orchestration.report import drawing, figures, pages

        con, name = tier.connection, file.removesuffix(".html")
        of_page = {land.file: functools.partial(figures.for_land, con, land.code) for land in tier.participating}
        of_page |= {service.file: functools.partial(figures.for_service, con, service.service_id) for service in tier.services}
        of_page["index.html"] = functools.partial(figures.for_index, con)

        prefix = "" if file == "index.html" else f"{name}-"
        place = Path(FOLDER, FIGURES) / ("" if file == "index.html" else name)
        before = None if self.drawn_before is None else self.drawn_before / place
        written, drawn = [], []
        for figure in of_page[file](self.tier, self.boundaries):
            short = figure.figure_id.removeprefix(prefix)
            pictures = drawing.write_files(figure, self.folder / place, short, drawn_before=before)
            svg = Markup(drawing.svg(figure))  # noqa: S704 (its texts are escaped)
            leads = [path.relative_to(self.folder / FOLDER).as_posix() for path in pictures]
            drawn.append(pages.Drawn(figure, svg, leads))
            written += pictures

        land = next((land for land in tier.participating if land.file == file), None)
        service = next((service for service in tier.services if service.file == file), None)
        chapters = pages.chapters(drawn, prefix, with_data=service is None)
        if land:
            html = pages.land(tier, land, chapters)
        elif service:
            html = pages.service(tier, service, chapters)
        else:
            html = pages.index(tier, chapters)
        path = self.folder / FOLDER / file
        path.write_text(html, encoding="utf-8")
        return [path, *written]


def charts(folder: Path) -> dict[str, str]:
    """The charts of a tier's overview as Markdown, by the figure's id: the picture itself and what it says; for Dagster's pages."""
    texts = {}
    for path in sorted((folder / FOLDER / FIGURES).glob("*.svg")):
        if not path.name.endswith(".en.svg"):
            content = path.read_bytes()
            picture = base64.b64encode(content).decode()
            root = ElementTree.fromstring(content)  # noqa: S314 (our own)
            # names in it come from deliveries: they stay text, also in Markdown
            title, alt = (re.sub(r"([^\w\s])", r"\\\1", root.findtext(f"{{*}}{part}") or "") for part in ("title", "desc"))
            texts[path.stem] = f"![{title}](data:image/svg+xml;base64,{picture})\n\n{alt}"
    return texts
