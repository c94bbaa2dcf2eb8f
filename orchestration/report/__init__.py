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
import multiprocessing
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
from markupsafe import Markup

#: The folder of a tier that holds its report.
FOLDER = "report"

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


def write(folder: Path, warehouse: Path, *, tier: str, leads: Collection[str] = (), boundaries: Path | None = None) -> list[Path]:
    """Write the report of a tier into ``folder/report`` and return its files.

    ``folder``: the tier's folder with its other files; ``warehouse``: its closed DuckDB file, from which alone the numbers come.
    ``tier``: exact or public. ``leads``: files, relative to the folder, that pages may lead to although they are written later.
    ``boundaries``: a file of boundaries for the maps (``map``). A warehouse without the tables ``NEEDED`` has no report: nothing is written.
    """
    from orchestration.report import pages
    from orchestration.report.cited import has_table

    present = {path for path in _LEADS if (folder / path).is_file()}
    present |= {"datapackage.json", *leads}  # written after it
    present |= {str(path.relative_to(folder)) for path in (folder / "csv").rglob("*.csv")}
    task = _Task(folder, warehouse, tier, frozenset(present), boundaries)
    with task.connected() as con:
        if not all(has_table(con, table) for table in NEEDED):
            return []
        shown = pages.Tier(con, tier, task.present, task.changes)
        files = ["index.html", *(land.file for land in shown.participating), *(service.file for service in shown.services)]
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    if len(files) <= _MANY_PAGES or (os.cpu_count() or 1) < 2:
        return task.write(files)
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as other:
        half = other.submit(task.write, files[1::2])
        return [*task.write(files[::2]), *half.result()]


@dataclass(frozen=True)
class _Task:
    """A tier whose report is written, by one process or by two."""

    folder: Path
    warehouse: Path
    tier: str
    present: frozenset[str]
    boundaries: Path | None

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

    def write(self, files: Collection[str]) -> list[Path]:
        """Write these of the report's pages, with the overview also its pictures for slides."""
        from orchestration.report import drawing, figures, pages

        report = self.folder / FOLDER
        written: list[Path] = []

        def drawn(shown: Sequence[figures.Figure], *, with_files: bool = False) -> list[pages.Drawn]:
            found = []
            for figure in shown:
                pictures = drawing.write_files(figure, report / "figures") if with_files else []
                written.extend(pictures)
                svg = Markup(drawing.svg(figure))  # noqa: S704 (its texts are escaped)
                found.append(pages.Drawn(figure, svg, [f"figures/{path.name}" for path in pictures]))
            return found

        def page(file: str, html: str) -> None:
            written.append(report / file)
            written[-1].write_text(html, encoding="utf-8")

        with self.connected() as con:
            shown = pages.Tier(con, self.tier, self.present, self.changes)
            if "index.html" in files:
                pictures = drawn(figures.for_index(con, self.tier, self.boundaries), with_files=True)
                page("index.html", pages.index(shown, pages.chapters(pictures)))
            for land in shown.participating:
                if land.file in files:
                    pictures = drawn(figures.for_land(con, land.code, self.tier, self.boundaries))
                    page(land.file, pages.land(shown, land, pages.chapters(pictures, f"land-{land.code}-")))
            for service in shown.services:
                if service.file in files:
                    pictures = drawn(figures.for_service(con, service.service_id, self.tier, self.boundaries))
                    chapters = pages.chapters(pictures, f"service-{service.service_id}-", with_data=False)
                    page(service.file, pages.service(shown, service, chapters))
        return written


def charts(folder: Path) -> dict[str, str]:
    """The charts of a tier's overview as Markdown that holds each picture, by the figure's id; for Dagster's pages."""
    texts = {}
    for path in sorted((folder / FOLDER / "figures").glob("*.svg")):
        if not path.name.endswith(".en.svg"):
            picture = base64.b64encode(path.read_bytes()).decode()
            texts[path.stem] = f"![{path.stem}](data:image/svg+xml;base64,{picture})"
    return texts
