"""Maps of the Kreise: how much of the inhabitants' services is connected, and how much of the submissions is made online.

Belongs here: where a Kreis lies, and the two maps. Does not: what else is drawn (``figures``).

Without boundaries a Kreis is a circle at its seat (``kreis_seats.csv``, whose head says from what it was computed), as large as its
inhabitants, filled as far as the share says: the map needs no colours to be read. With boundaries, a GeoJSON or TopoJSON file of the
BKG's VG250 (municipalities or Kreise) that ``ROLLIN_BOUNDARIES`` names, it is its area, in six steps.
"""

from __future__ import annotations

import functools
import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.drawing import BETWEEN, PALETTE, STEPS
from orchestration.report.figure import Figure, Texts, View, both, capital, figure_of, joined
from orchestration.report.words import NOTHING, Words

log = logging.getLogger("rollin.report")

_SEATS = Path(__file__).with_name("kreis_seats.csv")

_WIDTH, _LARGEST = 430, 22.0

#: What the position of the circles, or the areas, are made from; the licence wants to be named.
CREDIT = Words(
    "Lage der Kreise: © BKG, VG250 (dl-de/by-2-0), Daten verändert",
    "Position of the Kreise: © BKG, VG250 (dl-de/by-2-0), data changed",
)


#: Rings of longitude and latitude by Kreis.
Outlines = dict[str, list[list[tuple[float, float]]]]


class UnreadableBoundaries(ValueError):
    """The file of boundaries is not one, or has no keys of municipalities or Kreise."""


@functools.cache
def seats() -> dict[str, tuple[float, float]]:
    """Longitude and latitude at which each Kreis is drawn, by its five-digit key."""
    frame = pl.read_csv(_SEATS, comment_prefix="#", schema_overrides={"kreis_code": pl.String})
    return {code: (lon, lat) for code, lon, lat in frame.iter_rows()}


def coverage(view: View) -> Figure:
    """By Kreis: share of its inhabitants for whom a service is connected, in the mean of the services."""
    table = "metrics.coverage_by_kreis" if view.service_id else "metrics.programme_coverage_by_kreis"
    of_a_service = "population_competent as population, authorities_operational, authorities_competent"
    of_all = (
        "population, authority_service_pairs_operational as authorities_operational,"
        " authority_service_pairs_competent as authorities_competent"
    )
    cited = view.cite(
        table,
        f"""select land_code, kreis_code, kreis_name, {of_a_service if view.service_id else of_all}, coverage_population_share
        from {table} where {view.where} and as_of = (select max(as_of) from {table}) order by land_code, kreis_code""",
    )
    several = Words("", "") if view.service_id else Words(", Mittel der Leistungen", ", mean of the services")

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        return _drawn(
            view,
            frame,
            texts,
            "coverage_population_share",
            what=both(
                "Einwohner mit angebundener Behörde{several}",
                "inhabitants whose authority is connected{several}",
                several=several,
            ),
            unknown=Words("niemand zuständig", "nobody competent"),
            note=Words(
                "Ein Einwohner zählt, wenn jede für ihn zuständige Behörde in Betrieb ist.",
                "An inhabitant counts if every authority competent for them is operational.",
            ),
        )

    return _credited(figure_of(view, "map-coverage", Words("Abdeckung nach Kreisen", "Coverage by Kreis"), cited, table, draw))


def take_up(view: View) -> Figure:
    """By Kreis: share of submissions made online over the last three whole months, where both are reported, over all services.

    In the public tier months of authorities with a suppressed count are left out of it.
    """
    table = "metrics.programme_adoption_by_kreis"
    suppressed = "authority_months_suppressed" if view.has(f"{table}.authority_months_suppressed") else "0"
    cited = view.cite(
        table,
        f"""select land_code, kreis_code, kreis_name, population, paired_online_count, paired_total_count, take_up_share,
        {suppressed} as suppressed_count from {table} where {view.where} order by land_code, kreis_code""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        note = Words(
            "Nur Behörden, die online und auf anderem Weg melden, und deren Zuständigkeit in einem Kreis liegt; letzte drei volle Monate,"
            " soweit gemeldet.",
            "Only authorities that report both online and otherwise and that are competent within one Kreis; last three whole months, as far"
            " as reported.",
        )
        hidden_count = int(frame["suppressed_count"].sum())
        if hidden_count:
            note = joined(
                [
                    note,
                    both(
                        "{n} Monate einzelner Behörden sind nicht veröffentlicht (kleine Zahlen) und nicht darin: die Anteile sind damit eher"
                        " zu hoch.",
                        "{n} months of single authorities are not published (small numbers) and not in it: the shares are rather too high for"
                        " it.",
                        n=words.number(hidden_count),
                    ),
                ]
            )
        return _drawn(
            view,
            frame,
            texts,
            "take_up_share",
            what=Words("Anteil der Anträge, die online gestellt sind", "share of submissions made online"),
            unknown=Words("nichts gemeldet oder nicht veröffentlicht", "nothing reported or not published"),
            note=note,
        )

    return _credited(
        figure_of(view, "map-take-up", Words("Online-Anträge nach Kreisen", "Online submissions by Kreis"), cited, table, draw)
    )


def _credited(figure: Figure) -> Figure:
    return replace(figure, source=joined([figure.source, CREDIT], ". "))


def _drawn(
    view: View, frame: pl.DataFrame, texts: Texts, column: str, *, what: Words, unknown: Words, note: Words
) -> tuple[Any, Words, Words]:
    """Chart, alt and note of one share by Kreis."""
    known = frame.filter(pl.col(column).is_not_null())
    if known.is_empty():
        return (
            None,
            NOTHING,
            both("Für keinen Kreis lässt sich das sagen: {why}.", "It cannot be told of any Kreis: {why}.", why=unknown),
        )
    ordered = known.sort(column, "kreis_code")
    low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
    full = known.filter(pl.col(column) >= 1).height
    none = known.filter(pl.col(column) <= 0).height
    median = known[column].median()
    alt_text = both(
        "{what}, {n} Kreise: am wenigsten {low} ({low_share}), am meisten {high} ({high_share}), in der Mitte {median}; {full} ganz, {none} gar"
        " nicht.",
        "{what}, {n} Kreise: least {low} ({low_share}), most {high} ({high_share}), in the middle {median}; {full} wholly, {none} not at all.",
        what=capital(what),
        n=words.number(known.height),
        low=_named(low),
        high=_named(high),
        low_share=words.share(low[column]),
        high_share=words.share(high[column]),
        median=words.share(median),  # type: ignore[arg-type]
        full=words.number(full),
        none=words.number(none),
    )
    if known.height < frame.height:
        alt_text = joined(
            [
                alt_text,
                both(
                    "Von {n} Kreisen ist es unbekannt ({why}).",
                    "Of {n} Kreise it is unknown ({why}).",
                    n=words.number(frame.height - known.height),
                    why=unknown,
                ),
            ]
        )
    rings = None
    if view.boundaries is not None:
        try:
            rings = outlines(view.boundaries)
        except UnreadableBoundaries as error:  # a map with circles is still one
            log.warning("%s", error)
            unread = Words(
                "Die Datei mit Grenzen ist nicht lesbar, deshalb Kreise statt Flächen.",
                "The file of boundaries cannot be read: circles and no areas.",
            )
            note = joined([note, unread])
    size = (
        Words("Ein Kreis ist so groß wie seine Einwohnerzahl.", "A circle is as large as its inhabitants are many.")
        if rings is None
        else Words(
            "Große Flächen wiegen nicht mehr als kleine: die Einwohner stehen in der Tabelle.",
            "Large areas do not weigh more than small ones: the inhabitants stand in the table.",
        )
    )
    note = joined([note, size])
    lost = [row for row in frame.iter_rows(named=True) if row["kreis_code"] not in (seats() if rings is None else rings)]
    if lost:
        note = joined(
            [
                note,
                both(
                    "Nicht gezeichnet, weil ihre Lage nicht bekannt ist: {kreise}.",
                    "Not drawn as their position is not known: {kreise}.",
                    kreise=", ".join(f"{row['kreis_name']} ({row['kreis_code']})" for row in lost),
                ),
            ]
        )
    note = joined([note, Words(f"{CREDIT.de}.", f"{CREDIT.en}.")])
    hovers = {row["kreis_code"]: _hover(row, column, unknown) for row in frame.iter_rows(named=True)}
    areas = None if rings is None else _areas(frame, rings, column, hovers, texts, what)
    chart = _circles(frame, column, hovers, texts, what) if areas is None else areas
    if chart is None:
        return None, NOTHING, note
    return chart, alt_text, note


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['kreis_name'] or row['kreis_code']} ({row['kreis_code']})"


def _hover(row: Mapping[str, Any], column: str, unknown: Words) -> str:
    value = words.share(row[column]) if row[column] is not None else unknown
    people = both("{n} Einwohner", "{n} inhabitants", n=words.number(row["population"]))
    return BETWEEN.join(f"{_named(row)}: {share}, {count}" for share, count in ((value.de, people.de), (value.en, people.en)))


def _circles(frame: pl.DataFrame, column: str, hovers: Mapping[str, str], texts: Texts, what: Words) -> Any:
    import altair as alt

    placed = [(row, *seats()[row["kreis_code"]]) for row in frame.iter_rows(named=True) if row["kreis_code"] in seats()]
    if not placed:
        return None
    project, height = _projection(((lon, lat) for _, lon, lat in placed), _WIDTH)
    people = [max(row["population"] or 0, 1) for row, _, _ in placed]
    # at most a third of the map is circles, so that neighbours can be told apart
    radius = min(_LARGEST, math.sqrt(0.3 * _WIDTH * height * max(people) / (math.pi * sum(people))))
    rows: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    paper, ink, blue = (PALETTE[name].light for name in ("paper", "ink", "blue"))
    # the large ones first, so that none hides a smaller one
    for row, lon, lat in sorted(placed, key=lambda item: (-(item[0]["population"] or 0), item[0]["kreis_code"])):
        x, y = project(lon, lat)
        r = max(2.0, radius * math.sqrt(max(row["population"] or 0, 1) / max(people)))
        share = row[column]
        at = {"x": x, "y": y}
        dash = [1, 0] if share is not None else [2, 2]
        rows.append({**at, "size": 4 * r * r, "fill": paper, "stroke": ink, "dash": dash, "hover": hovers[row["kreis_code"]]})
        if share:
            rows.append({**at, "size": 4 * r * r * share, "fill": blue, "stroke": blue, "dash": [1, 0], "hover": ""})
        is_free = all(abs(y - name["y"]) > 18 or abs(x - name["x"]) > 150 for name in names)
        if len(names) < 6 and is_free and row["kreis_name"]:
            names.append({**at, "x": x + r + 4, "name": row["kreis_name"].split(",")[0]})
    scale_x, scale_y = (alt.Scale(domain=[0, size], nice=False, zero=False) for size in (_WIDTH, height))
    x, y = alt.X("x:Q", scale=scale_x, axis=None), alt.Y("y:Q", scale=scale_y, axis=None)
    circles = (
        alt.Chart(texts.data(rows))
        .mark_point(shape="circle", strokeWidth=1, aria=True)
        .encode(
            x,
            y,
            size=alt.Size("size:Q", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("stroke:N", scale=None),
            strokeDash=alt.StrokeDash("dash:N", scale=None),
            description=alt.Description("hover:N"),
        )
    )
    halo: dict[str, Any] = {"stroke": paper, "strokeWidth": 3}
    label = (
        alt.Chart(texts.data(names))
        .mark_text(align="left", baseline="middle", fontSize=11, **halo)
        .encode(x, y, text=alt.Text("name:N"))
    )
    title = _explained(texts(both("Gefüllt: {what}", "Filled: {what}", what=what)))
    return alt.layer(circles, label).properties(width=_WIDTH, height=height, title=title)


def _projection(points: Iterable[tuple[float, float]], width: float) -> tuple[Any, float]:
    """From degrees to pixels, upwards from the lower left corner (equirectangular, true to scale at the middle), and the height."""
    known = list(points)
    west, east = min(lon for lon, _ in known), max(lon for lon, _ in known)
    south, north = min(lat for _, lat in known), max(lat for _, lat in known)
    narrowed = math.cos(math.radians((south + north) / 2))
    wide, high = max((east - west) * narrowed, 0.4), max(north - south, 0.4)
    border = 26.0
    unit = min((width - 2 * border) / wide, (560 - 2 * border) / high)
    height = max(120.0, high * unit + 2 * border)
    shift = (width - wide * unit) / 2

    def project(lon: float, lat: float) -> tuple[float, float]:
        return shift + (lon - west) * narrowed * unit, (height - high * unit) / 2 + (lat - south) * unit

    return project, height


# ------------------------------------------------------------------------------------------------------------------------- boundaries


def _areas(frame: pl.DataFrame, rings: Outlines, column: str, hovers: Mapping[str, str], texts: Texts, what: Words) -> Any:
    import altair as alt

    wanted = {row["kreis_code"]: row for row in frame.iter_rows(named=True)}
    shapes = {code: rings[code] for code in wanted if code in rings}
    if not shapes:
        return None
    project, height = _projection(((lon, lat) for parts in shapes.values() for part in parts for lon, lat in part), _WIDTH)
    labels = [
        texts(words_)
        for words_ in (
            Words("0 %", "0 %"),
            Words("bis 25 %", "up to 25 %"),
            Words("bis 50 %", "up to 50 %"),
            Words("bis 75 %", "up to 75 %"),
            Words("unter 100 %", "below 100 %"),
            Words("100 %", "100 %"),
            Words("unbekannt", "unknown"),
        )
    ]
    features = []
    for code, parts in shapes.items():
        drawn = []
        for part in parts:
            points = [(round(x, 1), round(height - y, 1)) for x, y in (project(lon, lat) for lon, lat in part)]
            kept = [point for at, point in enumerate(points) if at == 0 or point != points[at - 1]]
            if len(kept) > 3:
                drawn.append([kept])
        share = wanted[code][column]
        step = len(labels) - 1 if share is None else 0 if share <= 0 else 5 if share >= 1 else 1 + min(3, int(share * 4))
        geometry = {"type": "MultiPolygon", "coordinates": drawn}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"step": labels[step], "hover": hovers[code]}})
    colours = [STEPS[f"step{at}"].light for at in range(6)] + [PALETTE["grid"].light]
    return (
        alt.Chart(texts.data(features))
        .mark_geoshape(stroke=PALETTE["muted"].light, strokeWidth=0.6, aria=True)
        .encode(
            color=alt.Color(
                "properties.step:N",
                scale=alt.Scale(domain=labels, range=colours),
                legend=alt.Legend(orient="right", direction="vertical"),
            ),
            description=alt.Description("properties.hover:N"),
        )
        .project(type="identity")
        .properties(width=_WIDTH, height=height, title=_explained(texts(capital(what))))
    )


def _explained(text: str) -> Any:
    import altair as alt

    return alt.TitleParams(text, anchor="start", fontSize=12, fontWeight="normal", color=PALETTE["muted"].light, offset=10)


def outlines(path: Path) -> Outlines:
    """The outlines of each Kreis in a GeoJSON or TopoJSON file (WGS 84) of municipalities or Kreise, by its key.

    Raises UnreadableBoundaries where the file is something else.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        raise UnreadableBoundaries(f"{path} is not there: correct ROLLIN_BOUNDARIES or unset it.") from None
    return _outlines(path, changed)


@functools.lru_cache(maxsize=2)
def _outlines(path: Path, _changed: int) -> Outlines:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rings = _of_topology(document) if document.get("type") == "Topology" else _of_collection(document)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UnreadableBoundaries(
            f"{path} cannot be read as boundaries ({type(error).__name__}): ROLLIN_BOUNDARIES wants GeoJSON or TopoJSON in degrees with AGS as keys."
        ) from None
    degrees = all(-180 <= lon <= 180 and -90 <= lat <= 90 for parts in rings.values() for part in parts for lon, lat in part[:1])
    if not rings or not degrees:
        raise UnreadableBoundaries(
            f"{path} has no Kreise in degrees: ROLLIN_BOUNDARIES wants GeoJSON or TopoJSON (WGS 84) with AGS as keys."
        )
    return rings


def _key(properties: Mapping[str, Any], identifier: Any) -> str | None:
    value = str(properties.get("AGS") or properties.get("ags") or properties.get("kreis_code") or identifier or "")
    return value[:5] if value.isdigit() and len(value) in (5, 8) else None


def _of_collection(document: Mapping[str, Any]) -> Outlines:
    rings: Outlines = {}
    for feature in document["features"]:
        key = _key(feature.get("properties") or {}, feature.get("id"))
        geometry = feature.get("geometry")
        if key is None or not geometry:
            continue
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        rings.setdefault(key, []).extend([(float(lon), float(lat)) for lon, lat, *_ in polygon[0]] for polygon in polygons)
    return rings


def _of_topology(document: Mapping[str, Any]) -> Outlines:
    """Arcs that two municipalities of one Kreis share lie within it: the others, chained, are its outline."""
    scale, shift = document.get("transform", {}).get("scale", [1, 1]), document.get("transform", {}).get("translate", [0, 0])
    is_delta = "transform" in document
    arcs: list[list[tuple[float, float]]] = []
    for arc in document["arcs"]:
        x = y = 0.0
        points = []
        for step in arc:
            x, y = (x + step[0], y + step[1]) if is_delta else (step[0], step[1])
            points.append((x * scale[0] + shift[0], y * scale[1] + shift[1]))
        arcs.append(points)
    used: dict[str, Counter[int]] = {}
    for member in document["objects"].values():
        for geometry in member.get("geometries", [member]):
            key = _key(geometry.get("properties") or {}, geometry.get("id"))
            if key is None or geometry.get("type") not in ("Polygon", "MultiPolygon"):
                continue
            polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
            used.setdefault(key, Counter()).update(arc for polygon in polygons for ring in polygon for arc in ring)
    return {key: _chained([arc for arc in counted if ~arc not in counted], arcs) for key, counted in used.items()}


def _chained(outer: list[int], arcs: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
    """Rings from arcs (negative: backwards) in whatever order."""
    starts: dict[tuple[float, float], list[list[tuple[float, float]]]] = {}
    for arc in outer:
        points = arcs[arc] if arc >= 0 else arcs[~arc][::-1]
        starts.setdefault(points[0], []).append(points)
    rings = []
    while starts:
        first = next(iter(starts))
        ring = list(_taken(starts, first))
        while ring[-1] != first and ring[-1] in starts:
            ring += _taken(starts, ring[-1])[1:]
        if ring[-1] == first:
            rings.append(ring)
    return rings


def _taken(
    starts: dict[tuple[float, float], list[list[tuple[float, float]]]], at: tuple[float, float]
) -> list[tuple[float, float]]:
    points = starts[at].pop()
    if not starts[at]:
        del starts[at]
    return points
