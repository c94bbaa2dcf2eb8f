"""What a figure of the report is, and what the charts share: how they say things in both languages, their axes and legends.

Belongs here: ``Figure``, ``View``, and the parts of sentences and charts that several figures need. Does not: a single figure
(``chart_…``, ``map``), which figures stand on which page (``figures``), the look (``drawing``).

A figure draws nothing where there is nothing to draw or where its tier does not hold the numbers, and then its note says why. Axes of
shares run from 0 to 1, those of costs from 0; where one is logarithmic, the axis says so. Colours are never alone: lines differ by
dashes, bars by their place, and what matters is written beside its mark.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from orchestration.report import words
from orchestration.report.cited import FOCUS, Cited, cite, has_others
from orchestration.report.drawing import PALETTE
from orchestration.report.words import NOTHING, Words

if TYPE_CHECKING:
    import altair

CELL, HIGH = 245, 105
ROW = 20
#: Rows of one picture that a reader still goes through; all of them are in its table.
MOST_ROWS = 120


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture and what is said with it.

    ``figure_id``: unique in the report, also the name of its files. ``alt``: what the picture says, in a sentence made of its numbers.
    ``note``: the reservation that belongs to it; where ``chart`` is None, why nothing is drawn. ``cited``: the rows behind it; its
    ``sql`` is empty where the tier does not hold the table. ``texts``: what is written in the picture, from German to English.
    ``datasets``: the rows of its marks, by the names that the chart has for them.
    ``source``: whose numbers of which day they are, and whether they are invented.
    """

    figure_id: str
    title: Words
    alt: Words
    note: Words
    cited: Cited
    chart: altair.TopLevelMixin | Any | None
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    source: Words = NOTHING
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    @property
    def is_drawn(self) -> bool:
        """Whether there is a picture."""
        return self.chart is not None

    @functools.cached_property
    def specification(self) -> dict[str, Any]:
        """The chart and its rows as Vega-Lite, without the look (``drawing``)."""
        assert self.chart is not None
        return {**self.chart.to_dict(validate=False), "datasets": self.datasets}


@dataclass(frozen=True)
class View:
    """What a page looks at: a tier, all Länder or one, all services or one."""

    connection: duckdb.DuckDBPyConnection
    tier: str
    land_code: str | None = None
    service_id: str | None = None
    #: File of boundaries for maps; circles without one.
    boundaries: Path | None = None

    def __post_init__(self) -> None:
        for value in (self.land_code, self.service_id):
            if value is not None and not re.fullmatch(r"[a-z0-9_]+", value):
                raise ValueError(f"This is no code: {value}")

    @property
    def by(self) -> str:
        """What the rows of a figure are: the services of one Land, else the Länder."""
        return "service_id" if self.land_code else "land_code"

    @property
    def where(self) -> str:
        """The rows of this view, as a condition in SQL."""
        parts = [f"land_code = '{self.land_code}'"] if self.land_code else []
        parts += [f"service_id = '{self.service_id}'"] if self.service_id else []
        return " and ".join(parts) or "true"

    @functools.cached_property
    def one_by_one(self) -> str:
        """The rows of this view where each is of one service: those of the focus, where there are others."""
        return f"{self.where} and {FOCUS}" if self.service_id is None and has_others(self.connection, self.where) else self.where

    @property
    def prefix(self) -> str:
        """The beginning of the ids of its figures."""
        land = f"land-{self.land_code}-" if self.land_code else ""
        return land + (f"service-{self.service_id}-" if self.service_id else "")

    @functools.cached_property
    def _columns(self) -> frozenset[str]:
        query = "select schema_name || '.' || table_name as name, column_name from duckdb_columns() where not internal"
        return frozenset(
            each for table, column in self.connection.execute(query).fetchall() for each in (table, f"{table}.{column}")
        )

    def has(self, name: str) -> bool:
        """Whether this tier holds a table (schema.table) or a column (schema.table.column)."""
        return name in self._columns

    @functools.cached_property
    def source(self) -> Words:
        """Whose numbers of which day these are, and whether they are invented."""
        rows = self.connection.execute("select as_of, is_synthetic from meta.release").fetchall()
        if not rows:
            return NOTHING
        as_of, is_synthetic = rows[0]
        said = both("Rollin, Stand {day}", "Rollin, as of {day}", day=words.day(as_of))
        invented = Words("Synthetische Daten: erfunden, nicht gemessen", "Synthetic data: invented, not measured")
        return joined([said, invented], ". ") if is_synthetic else said

    def row(self, value: Any) -> Words:
        """The name of a row: a Land or a service."""
        return words.term("service" if self.by == "service_id" else "land", value)

    def cite(self, table: str, sql: str, *, needs: Iterable[str] = ()) -> Cited | None:
        """The rows of a query, None where this tier does not hold its table, or one of those that it also ``needs``."""
        if not all(self.has(each) for each in (table, *needs)):
            return None
        return cite(self.connection, table, sql)


class Texts(dict[str, str]):
    """The texts of one picture, German to English, as they are written into its chart, and the rows that its marks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, list[dict[str, Any]]] = {}

    def data(self, rows: list[dict[str, Any]]) -> Any:
        """A name for rows. They join the specification at the end: every step of Altair would copy them."""
        import altair as alt

        name = f"rows{len(self.datasets)}"
        self.datasets[name] = rows
        return alt.NamedData(name=name)

    def __call__(self, said: Words) -> str:
        if said.de != said.en:
            self[said.de] = said.en
        return said.de


# ----------------------------------------------------------------------------------------------------------------- saying in both


def joined(parts: Iterable[Words], between: str = " ") -> Words:
    """One after the other; those that say nothing are left out."""
    parts = [part for part in parts if part]
    return Words(between.join(part.de for part in parts), between.join(part.en for part in parts))


def listed(parts: Sequence[Words]) -> Words:
    """a, b und c."""
    if len(parts) < 2:
        return joined(parts)
    head = joined(parts[:-1], ", ")
    return Words(f"{head.de} und {parts[-1].de}", f"{head.en} and {parts[-1].en}")


def place(row: dict[str, Any], between: str) -> Words:
    """Land and service of a row."""
    return joined([words.term("land", row["land_code"]), words.term("service", row["service_id"])], between)


def level(value: float) -> Words:
    """A share that somebody chose: 95 % and not 95,0 %, but 97,5 %."""
    return words.share(value, 0 if abs(100 * value - round(100 * value)) < 1e-9 else 1)


def capital(said: Words) -> Words:
    """As the beginning of a sentence."""
    return Words(said.de[:1].upper() + said.de[1:], said.en[:1].upper() + said.en[1:])


def few(value: float) -> Words:
    """A mean of counts: with a decimal where it is small."""
    return words.number(value, 1 if value < 10 else 0)


def both(german: str, english: str, **values: Words | str | int) -> Words:
    """The same said in both languages, with its ``{placeholders}`` filled."""
    return Words(german, english).with_(**values)


NO_TABLE = Words(
    "Nicht veröffentlicht: die öffentliche Stufe enthält diese Zahlen nicht.",
    "Not published: the public tier does not hold these numbers.",
)
NO_ROWS = Words("Dazu liegen keine Daten vor.", "There are no data on this.")
OF_FOCUS = Words("Nur Leistungen des Schwerpunkts.", "Services of the focus only.")


def figure_of(
    view: View,
    name: str,
    title: Words,
    cited: Cited | None,
    table: str,
    draw: Callable[[pl.DataFrame, Texts], tuple[Any, Words, Words]],
    *,
    absent: Words = NO_TABLE,
    empty: Words = NO_ROWS,
) -> Figure:
    """A figure, or the note why there is none. ``draw`` gives chart, alt and note; a chart of None leaves its note as the reason."""
    texts = Texts()
    scope = []
    if view.land_code:
        scope.append(words.term("land", view.land_code))
    if view.service_id:
        scope.append(words.term("service", view.service_id))
    title = joined([title, *scope], ": ") if len(scope) < 2 else joined([title, joined(scope, ", ")], ": ")
    identifier = f"{view.prefix}{name}"
    if cited is None:
        return Figure(identifier, title, absent, absent, Cited(table, "", pl.DataFrame()), None, texts, view.source)
    of_focus = OF_FOCUS if FOCUS in cited.sql else NOTHING
    if cited.frame.is_empty():
        empty = joined([empty, of_focus])
        return Figure(identifier, title, empty, empty, cited, None, texts, view.source)
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):  # our own charts need no validation each night; the tests draw every one
        chart, alt, note = draw(cited.frame, texts)
    note = joined([of_focus, note])
    # a picture may be shown alone, without its note
    source = joined([view.source, Words(of_focus.de.rstrip("."), of_focus.en.rstrip("."))], ". ")
    return Figure(identifier, title, alt if chart is not None else note, note, cited, chart, dict(texts), source, texts.datasets)


# -------------------------------------------------------------------------------------------------------------------- parts of charts


def hue(name: str) -> str:
    """A colour of the palette, as charts carry it: on paper."""
    return PALETTE[name].light


def share_axis(field_: str, *, values: Sequence[float] = (0, 0.5, 1), axis: type | None = None, **more: Any) -> Any:
    """An axis from 0 to 1; ``axis``: altair.X or altair.Y, which is the usual one."""
    import altair as alt

    kind: Any = axis or alt.Y
    return kind(
        f"{field_}:Q",
        title=more.pop("title", None),
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", values=list(values)),
        **more,
    )


def day_axis(field_: str = "day", *, months: int = 3) -> Any:
    """An axis of days, with a label every so many months."""
    import altair as alt

    return alt.X(
        f"{field_}:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(format="%b %y", tickCount=alt.TimeIntervalStep(interval="month", step=months), labelFlush=True),
    )


def styled(kinds: Sequence[tuple[str, str, Sequence[int]]], field_: str = "kind") -> dict[str, Any]:
    """Colour and dash of kinds (name, colour, dashes) with one legend for both."""
    import altair as alt

    names = [name for name, _, _ in kinds]
    return {
        "color": alt.Color(
            f"{field_}:N",
            scale=alt.Scale(domain=names, range=[hue(colour) for _, colour, _ in kinds]),
            legend=alt.Legend(symbolType="stroke"),
        ),
        "strokeDash": alt.StrokeDash(f"{field_}:N", scale=alt.Scale(domain=names, range=[list(dash) for _, _, dash in kinds])),
    }


def square(**more: Any) -> Any:
    """A legend of areas."""
    import altair as alt

    return alt.Legend(symbolType="square", symbolStrokeWidth=1, symbolOpacity=1, **more)


def only(**wanted: str) -> str:
    """A condition on the rows of a mark."""
    return " && ".join(f"datum.{name} === '{value}'" for name, value in wanted.items())


def iso(value: date | None) -> str | None:
    """A day as rows carry it."""
    return value.isoformat() if value else None


def facet(layers: Sequence[Any], data: Any, names: Sequence[str], *, width: int = CELL, height: int = HIGH) -> Any:
    """Small multiples by ``row``, in the order of ``names``, all with the same axes."""
    import altair as alt

    base = alt.layer(*layers, data=data).properties(width=width if len(names) > 1 else 2 * width, height=height)
    if len(names) == 1:
        return base
    chart = base.facet(facet=alt.Facet("row:N", title=None, sort=list(names)), columns=2, spacing={"row": 36, "column": 36})
    # a common axis stands below the last row, also where that has no second picture
    return chart.resolve_axis(x="independent") if len(names) % 2 else chart


def row_names(view: View, frame: pl.DataFrame, texts: Texts, column: str | None = None) -> dict[str, str]:
    """The rows of a frame by code, in alphabetical order of their German names."""
    found = {code: view.row(code) for code in frame[column or view.by].unique().to_list() if code is not None}
    return {code: texts(said) for code, said in sorted(found.items(), key=lambda item: item[1].de)}


def last_value() -> list[Any]:
    """The newest value of each of the small multiples, as a dot with its number."""
    import altair as alt

    base = alt.Chart().encode(alt.X("day:T"), alt.Y("share:Q")).transform_filter(only(kind="label"))
    return [
        base.mark_point(),
        base.mark_text(align="right", dx=-6, dy=-11, fontWeight="bold", stroke=hue("paper"), strokeWidth=3).encode(
            text=alt.Text("text:N")
        ),
    ]
