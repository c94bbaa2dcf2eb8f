"""From a chart to a picture: SVG inside a page, SVG and PNG for slides.

Belongs here: the palette, the look that all charts share, rendering, and making SVG small. Does not: what a chart shows (``figures``).

Charts are drawn once, in German and in the colours of paper. Inside a page colours are classes over CSS custom properties
(:func:`stylesheet`), so that the page's switch of light and dark holds for its pictures, and texts stand there in both languages, as two
``tspan`` with ``lang``. Vega's own SVG says everything about every mark; what is kept here is what is seen.
"""

from __future__ import annotations

import functools
import html
import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from orchestration.report import words

if TYPE_CHECKING:
    from orchestration.report.figure import Figure


@dataclass(frozen=True)
class Colour:
    """A colour on paper or a light screen, and on a dark one. ``is_mark``: it carries meaning, and so needs contrast."""

    light: str
    dark: str
    is_mark: bool = True


#: Backgrounds that the contrasts are meant for; the page's own are these or further from the colours.
BACKGROUND = Colour("#ffffff", "#161718", is_mark=False)

#: All colours of all charts. Blue, vermilion, green and purple are told apart with any colour vision; no chart rests on that alone.
PALETTE: dict[str, Colour] = {
    "paper": BACKGROUND,
    "ink": Colour("#1b1b1b", "#f1f1f1"),
    "muted": Colour("#5a5a5a", "#b4b4b4"),
    "grid": Colour("#dddddd", "#3b3e45", is_mark=False),
    "blue": Colour("#0067a5", "#62b5ee"),
    "vermilion": Colour("#b84300", "#ff9a5c"),
    "green": Colour("#00735a", "#3fc79f"),
    "purple": Colour("#8a3d87", "#dc96d6"),
    "band": Colour("#bcd7ea", "#234a66", is_mark=False),
    "haze": Colour("#f3d4c0", "#5e371f", is_mark=False),
}

#: Steps of a share on a map with boundaries, from nothing to all; the outline and the table carry the value, too.
STEPS: dict[str, Colour] = {
    "step0": Colour("#fefefe", "#17191e", is_mark=False),
    "step1": Colour("#c6dcec", "#17344a", is_mark=False),
    "step2": Colour("#8fbadb", "#1f547c", is_mark=False),
    "step3": Colour("#4f93c4", "#3380b5", is_mark=False),
    "step4": Colour("#1f6fa8", "#58a9e0", is_mark=False),
    "step5": Colour("#0a3d63", "#b5dcf7", is_mark=False),
}

#: Between the German and the English of a hover text, as a mark's description carries them.
BETWEEN = "\N{SYMBOL FOR RECORD SEPARATOR}"

#: Pixels of a PNG for each of a picture: wide enough for a slide.
SCALE = 1.5

_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
_SIZE = 12

#: The look that all charts share (Vega-Lite's ``config``).
_CONFIG: dict[str, Any] = {
    "aria": False,
    "background": None,
    "font": _FONT,
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": PALETTE["muted"].light,
        "titleColor": PALETTE["muted"].light,
        "labelFont": f"size {_SIZE}",
        "labelFontSize": 0,
        "titleFont": f"size {_SIZE}",
        "titleFontSize": 0,
        "titleFontWeight": "normal",
        "gridColor": PALETTE["grid"].light,
        "domainColor": PALETTE["muted"].light,
        "tickColor": PALETTE["muted"].light,
        "labelLimit": 0,
        "titleLimit": 0,
    },
    # what a baseline takes from the size of its font is added here: see _unmeasured
    "axisX": {"grid": False, "labelFlush": False, "labelOverlap": False, "labelPadding": 12, "titlePadding": 18},
    "axisY": {"domain": False, "ticks": False, "labelOffset": 4, "minExtent": 46},
    "header": {
        "labelFont": f"size {_SIZE}",
        "labelFontSize": 0,
        "labelFontWeight": "bold",
        "labelColor": PALETTE["ink"].light,
        "labelAnchor": "start",
        "labelPadding": 7,
        "labelLimit": 0,
        "title": None,
    },
    "legend": {
        "labelFontSize": _SIZE,
        "labelColor": PALETTE["ink"].light,
        "labelLimit": 400,
        "title": None,
        "orient": "top",
        "direction": "horizontal",
        "symbolSize": 180,
        "symbolStrokeWidth": 2.5,
        "columnPadding": 24,
    },
    "line": {"strokeWidth": 2, "color": PALETTE["blue"].light},
    "point": {"filled": True, "size": 45, "color": PALETTE["blue"].light, "opacity": 1},
    "area": {"color": PALETTE["band"].light, "opacity": 1},
    "bar": {"color": PALETTE["blue"].light},
    "rule": {"color": PALETTE["muted"].light},
    "text": {"fontSize": _SIZE, "color": PALETTE["ink"].light},
    "tick": {"color": PALETTE["ink"].light},
}

#: German numbers as d3-format takes them; the space before the sign of per cent is one at which no line breaks.
_LOCALE = {
    "decimal": ",",
    "thousands": ".",
    "grouping": [3],
    "currency": ["", "\N{NO-BREAK SPACE}€"],
    "percent": "\N{NO-BREAK SPACE}%",
}

_MONTHS = {"Mrz": "Mar", "Mai": "May", "Okt": "Oct", "Dez": "Dec"}
_MONTH = re.compile(r"(Mrz|Mai|Okt|Dez)(?= \d\d|$)")
_NUMBER = re.compile(r"[−-]?\d{1,3}(?:\.\d{3})*(?:,\d+)?(?:[\N{NO-BREAK SPACE} ]?[%€×])?|[−-]?\d+,\d+")
_TRANSLATE = re.compile(r"translate\(([^,)]+),([^)]+)\)")
_LATER_DECIMALS, _NOTHING_AFTER = re.compile(r"(?<=\.\d)\d+"), re.compile(r"\.0(?![\de])")


# ------------------------------------------------------------------------------------------------------------------ what callers use


def svg(figure: Figure) -> str:
    """The picture for a page: named and described by the elements with the ids ``<figure_id>-title`` and ``<figure_id>-alt``.

    Empty where there is nothing to draw. Needs :func:`stylesheet`; hover texts carry their English as ``data-en`` of the ``title``.
    """
    if figure.chart is None:
        return ""
    picture = _picture(figure)
    return (
        f'<svg role="img" aria-labelledby="{figure.figure_id}-title {figure.figure_id}-alt" class="chart"'
        f' viewBox="0 0 {picture.width} {picture.height}" width="{picture.width}" height="{picture.height}">'
        # the sentence and the table say it; a screen reader need not go through hundreds of marks
        f'<g aria-hidden="true">{_body(picture, _in_page, _translations(figure))}</g></svg>'
    )


def standalone(figure: Figure, language: str = "de") -> str:
    """The picture as a file of its own, in one language and in the colours of paper, with its title above and its source below.

    Whoever shows it alone still shows what it is and whether it is invented. Empty where there is nothing to draw.
    """
    if figure.chart is None:
        return ""
    picture = _picture(figure)
    translations = _translations(figure)
    said = (figure.title, figure.alt, figure.source)
    title, alt, source = (each.de if language == "de" else each.en for each in said)
    width = max(picture.width, 420)
    heads, feet = _wrapped(title, width, 8.6), _wrapped(source, width, 5.6)
    top, height = 14 + 20 * len(heads), 34 + 20 * len(heads) + picture.height + 14 * len(feet)
    lines = [
        *(
            f'<text x="8" y="{20 + 20 * at}" font-size="16" font-weight="bold">{_text(line)}</text>'
            for at, line in enumerate(heads)
        ),
        *(
            f'<text x="8" y="{top + picture.height + 18 + 14 * at}" font-size="11" fill="{PALETTE["muted"].light}">{_text(line)}</text>'
            for at, line in enumerate(feet)
        ),
    ]
    body = _body(picture, _on_paper(language), translations)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" lang="{language}" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="{_FONT}" font-size="{_SIZE}"><title>{_text(title)}</title><desc>{_text(alt)}</desc>'
        f'<rect width="{width}" height="{height}" fill="{BACKGROUND.light}"/>'
        f'{"".join(lines)}<g transform="translate(0,{top})">{body}</g></svg>'
    )


#: What a picture is written as: German, English, and German for programs that take no SVG.
KINDS = ("svg", "en.svg", "png")


def write_files(figure: Figure, folder: Path, name: str = "", *, drawn_before: Path | None = None) -> list[Path]:
    """Write ``<name>.svg``, ``<name>.en.svg`` and ``<name>.png`` for slides; nothing where nothing is drawn.

    ``name``: the figure's id where none is given. ``drawn_before``: a folder whose PNG is copied where its German SVG of that name is the
    same, byte for byte: a PNG costs as much time as drawing the chart.
    """
    if figure.chart is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name or figure.figure_id}.{kind}" for kind in KINDS}
    german = standalone(figure).encode()
    paths["svg"].write_bytes(german)
    paths["en.svg"].write_bytes(standalone(figure, "en").encode())
    before = None if drawn_before is None else drawn_before / paths["png"].name
    if before is not None and before.is_file() and before.with_suffix(".svg").read_bytes() == german:
        shutil.copyfile(before, paths["png"])
    else:
        paths["png"].write_bytes(_png(german.decode(), SCALE))
    return list(paths.values())


def stylesheet() -> str:
    """CSS of the pictures in a page: the palette as custom properties, light, dark by the system, dark and light by ``data-theme``."""
    colours = PALETTE | STEPS
    light = "".join(f"--{name}:{colour.light};" for name, colour in colours.items())
    dark = "".join(f"--{name}:{colour.dark};" for name, colour in colours.items())
    classes = "".join(f".chart .f-{name}{{fill:var(--{name})}}.chart .s-{name}{{stroke:var(--{name})}}" for name in colours)
    return (
        f":root{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f"@media screen{{:root[data-theme=dark]{{{dark}}}}}"
        f".chart{{font:{_SIZE}px {_FONT};max-width:100%;height:auto;overflow:visible}}.chart *{{pointer-events:none}}"
        f".chart :has(>title){{pointer-events:all}}.chart text[class*=s-]{{paint-order:stroke}}{classes}"
    )


# ------------------------------------------------------------------------------------------------------------------------- rendering


@dataclass(frozen=True)
class _Mark:
    """One thing that is seen: its place, its shape, how it is painted, what it says, and what it says on hover."""

    tag: str
    at: tuple[float, float]
    shape: str
    style: tuple[tuple[str, str], ...]
    said: str = ""
    hover: str = ""


@dataclass(frozen=True)
class _Drawn:
    width: int
    height: int
    marks: tuple[_Mark, ...] = field(repr=False)


@functools.lru_cache(maxsize=1)  # a figure is written several times on end: in a page and as files
def _picture(figure: Figure) -> _Drawn:
    spec = _unmeasured(figure.specification)
    # a legend stands above the heads of small multiples, of which the renderer does not know the height either
    legend = {**_CONFIG["legend"], "offset": 26 if "facet" in spec else 10}
    return _drawn(json.dumps(spec | {"config": {**_CONFIG, "legend": legend}}))


#: How far a text lies below the line that its baseline is set to, in sizes of its font.
_BELOW = {"top": 0.79, "middle": 0.3, "bottom": -0.21, "alphabetic": 0.0}


def _unmeasured(spec: dict[str, Any]) -> dict[str, Any]:
    """A specification whose labels the renderer need not measure: that is where most of its time goes.

    Texts without size are not measured. Their size travels in the name of their font, what their baseline would take from it is added,
    and how much room they need is estimated when the picture is written (:func:`_drawn`). Legends, which are laid out by the widths of
    their labels, are measured.
    """
    spec = dict(spec)
    for part in ("layer", "vconcat"):
        if part in spec:
            spec[part] = [_unmeasured(each) for each in spec[part]]
    if "spec" in spec:
        spec["spec"] = _unmeasured(spec["spec"])
    mark = spec.get("mark")
    if isinstance(mark, dict) and mark.get("type") == "text":
        size = mark.get("fontSize", _SIZE)
        below = _BELOW[mark.get("baseline", "middle")] * size
        spec["mark"] = {**mark, "fontSize": 0, "font": f"size {size}", "dy": round(mark.get("dy", 0) + below, 1)}
    return spec


@functools.lru_cache(maxsize=256)
def _drawn(spec: str) -> _Drawn:
    """What a specification shows. Remembered: both tiers, page and file draw the same where their numbers are."""
    raw = _renderer().vegalite_to_svg(spec, format_locale=_LOCALE, time_format_locale="de-DE")
    root = ElementTree.fromstring(raw)  # noqa: S314 - the renderer's own, made from our numbers
    marks = list(_marks(root, (0.0, 0.0), {}, ""))
    # the room that texts take beyond what the renderer knew of
    boxes = [_box(mark) for mark in marks if mark.tag == "text"]
    left = min(0.0, *(box[0] for box in boxes)) if boxes else 0.0
    top = min(0.0, *(box[1] for box in boxes)) if boxes else 0.0
    right = max([float(root.get("width", 0)), *(box[2] for box in boxes)])
    bottom = max([float(root.get("height", 0)), *(box[3] for box in boxes)])
    moved = [replace(mark, at=(mark.at[0] - left, mark.at[1] - top)) for mark in marks]
    return _Drawn(math.ceil(right - left), math.ceil(bottom - top), tuple(_merged(moved)))


#: Widths of letters in sizes of the font, for Arial and its like; others are as wide as n.
_LETTERS = {
    letter: width
    for letters, width in (
        ("ijl.,:;|'!", 0.24),
        ("ftr()[]-/ \N{NO-BREAK SPACE}I", 0.32),
        ("mwMW%", 0.86),
        ("ABCDEFGHKLNOPQRSTUVXYZÄÖÜ&", 0.69),
    )
    for letter in letters
}


#: A font that stands in for Arial may be wider.
_SLACK = 1.1


def width_of(text: str, size: float = _SIZE, *, is_bold: bool = False) -> float:
    """About how wide a text is, in pixels, rather too wide."""
    return _SLACK * size * (1.06 if is_bold else 1) * sum(_LETTERS.get(letter, 0.557) for letter in text)


def _box(mark: _Mark) -> tuple[float, float, float, float]:
    """About where a text is: left, top, right, bottom."""
    style = dict(mark.style)
    size = float(style.get("font-size", _SIZE))
    wide = width_of(mark.said, size, is_bold=style.get("font-weight") == "bold")
    begin = {"end": -wide, "middle": -wide / 2}.get(style.get("text-anchor", ""), 0.0)
    x, y = mark.at
    if "rotate(-90)" in mark.shape:
        return x - size, y - begin - wide - 2, x + 2, y - begin + 2
    return x + begin - 3, y - size, x + begin + wide + 3, y + 0.3 * size


_STYLE = (
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-linecap",
    "fill-opacity",
    "stroke-opacity",
    "opacity",
    "font-size",
    "font-weight",
    "text-anchor",
)


def _marks(element: ElementTree.Element, at: tuple[float, float], style: Mapping[str, str], hover: str) -> Iterator[_Mark]:
    """What an element and those in it show, in painter's order, at places within the whole picture."""
    tag = element.tag.rpartition("}")[2]
    if element.get("display") == "none" or element.get("opacity") == "0":
        return
    transform = element.get("transform", "")
    moved = _TRANSLATE.match(transform)
    if moved:
        at = (at[0] + float(moved[1]), at[1] + float(moved[2]))
        transform = transform[moved.end() :].strip()
    own = {name: value for name in _STYLE if (value := element.get(name)) is not None}
    style = {**style, **own}
    hover = element.get("aria-label", hover)
    if tag in ("g", "svg"):
        for child in element:
            yield from _marks(child, at, style, hover)
        return
    mark = _mark(element, tag, at, transform, style, hover)
    if mark is not None:
        yield mark


def _mark(
    element: ElementTree.Element, tag: str, at: tuple[float, float], transform: str, style: Mapping[str, str], hover: str
) -> _Mark | None:
    painted = {name: value.removesuffix("px") for name, value in style.items()}
    if tag == "text":
        text = "".join(element.itertext())
        kept = ("fill", "stroke", "stroke-width", "font-size", "font-weight", "text-anchor", "opacity")
        keep = {name: painted[name] for name in kept if name in painted}
        if (family := element.get("font-family", "")).startswith("size "):
            keep["font-size"] = family.removeprefix("size ")
        keep = _without(keep, {"font-size": str(_SIZE), "text-anchor": "start", "font-weight": "normal", "opacity": "1"})
        return _Mark("text", at, transform, tuple(keep.items()), text) if text else None
    if tag == "line":
        shape = f"M0,0L{element.get('x2', '0')},{element.get('y2', '0')}"
    elif tag == "path":
        shape = element.get("d", "")
    else:
        return None
    keep = {name: painted[name] for name in _STYLE[:8] if name in painted}
    if keep.get("fill") in ("none", "transparent"):
        keep.pop("fill", None)
    if keep.get("stroke") in ("none", "transparent") or keep.get("stroke-width") == "0":
        keep.pop("stroke", None)
    if "stroke" not in keep:
        keep = {name: value for name, value in keep.items() if not name.startswith("stroke")}
    if not shape or not {"fill", "stroke"} & set(keep):
        return None
    usual = {"stroke-width": "1", "opacity": "1", "fill-opacity": "1", "stroke-opacity": "1", "stroke-linecap": "butt"}
    keep = _without(keep, usual)
    if transform:  # a turned or scaled shape keeps its own place
        return _Mark("path", at, f"{shape}\0{transform}", tuple(keep.items()), hover=hover)
    return _Mark("path", at, shape, tuple(keep.items()), hover=hover)


def _without(style: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in style.items() if usual.get(name) != value}


def _merged(marks: Iterable[_Mark]) -> Iterator[_Mark]:
    """Straight lines of one kind that follow each other, such as a grid, as one path; so, too, many equal dots."""
    waiting: list[_Mark] = []
    for mark in marks:
        if waiting and _kin(waiting[-1], mark):
            waiting.append(mark)
            continue
        yield from _joined(waiting)
        waiting = [mark]
    yield from _joined(waiting)


def _is_simple(mark: _Mark) -> bool:
    return mark.tag == "path" and not mark.hover and "\0" not in mark.shape


_ROUND = re.compile(r"M([\d.]+),0A[A\d.,\s-]+Z?")
_STRAIGHT = re.compile(r"M0,0L(-?[\d.]+),(-?[\d.]+)")


def _kin(one: _Mark, other: _Mark) -> bool:
    if not (_is_simple(one) and _is_simple(other)) or one.style != other.style:
        return False
    if _STRAIGHT.fullmatch(one.shape):
        return bool(_STRAIGHT.fullmatch(other.shape))
    return (
        one.shape == other.shape and bool(_ROUND.match(one.shape)) and set(dict(one.style)) <= {"fill", "fill-opacity", "opacity"}
    )


def _joined(marks: list[_Mark]) -> Iterator[_Mark]:
    if len(marks) < 2:
        yield from marks
        return
    first = marks[0]
    if _STRAIGHT.fullmatch(first.shape):
        parts = []
        for mark in marks:
            line = _STRAIGHT.fullmatch(mark.shape)
            assert line is not None
            parts.append(f"M{mark.at[0]},{mark.at[1]}l{line[1]},{line[2]}")
        yield _Mark("path", (0.0, 0.0), "".join(parts), first.style)
        return
    dot = _ROUND.match(first.shape)
    assert dot is not None
    style = dict(first.style)
    paint = {"stroke": style["fill"], "stroke-width": str(2 * float(dot[1])), "stroke-linecap": "round"}
    if "opacity" in style or "fill-opacity" in style:
        paint["stroke-opacity"] = style.get("fill-opacity", style.get("opacity", "1"))
    yield _Mark("path", (0.0, 0.0), "".join(f"M{mark.at[0]},{mark.at[1]}h0" for mark in marks), tuple(paint.items()))


# --------------------------------------------------------------------------------------------------------------------------- writing


def _translations(figure: Figure) -> dict[str, str]:
    return {**words.dictionary(), **figure.texts}


def english(text: str, translations: Mapping[str, str]) -> str:
    """A text of a chart in English: a known one, or a number or a month on an axis; else as it is."""
    if text in translations:
        return translations[text]
    if _NUMBER.fullmatch(text):
        swapped = text.translate(str.maketrans(",.", ".,"))
        return f"€{swapped[:-1].strip()}" if swapped.endswith("€") else swapped
    return _MONTH.sub(lambda found: _MONTHS[found[1]], text)


def _in_page(mark: _Mark, german: str, translated: str) -> tuple[str, str, str]:
    """Attributes, text and hover text of a mark in a page."""
    classes, rest = [], []
    for name, value in mark.style:
        token = _TOKENS.get(value.lower()) if name in ("fill", "stroke") else None
        if token:
            classes.append(f"{name[0]}-{token}")
        else:
            rest.append(f' {name}="{_round(value)}"')
    if mark.tag == "path" and not any(name == "fill" for name, _ in mark.style):
        rest.append(' fill="none"')
    attributes = (f' class="{" ".join(classes)}"' if classes else "") + "".join(rest)
    said = (
        _text(german)
        if german == translated
        else (f'<tspan class="de" lang="de">{_text(german)}</tspan><tspan class="en" lang="en">{_text(translated)}</tspan>')
    )
    return attributes, said, ""


def _on_paper(language: str) -> Any:
    def paint(mark: _Mark, german: str, translated: str) -> tuple[str, str, str]:
        rest = "".join(f' {name}="{_round(value) if name not in ("fill", "stroke") else value}"' for name, value in mark.style)
        if mark.tag == "path" and not any(name == "fill" for name, _ in mark.style):
            rest += ' fill="none"'
        if mark.tag == "text" and "stroke=" in rest:
            rest += ' paint-order="stroke"'
        return rest, _text(german if language == "de" else translated), language

    return paint


def _body(picture: _Drawn, paint: Any, translations: Mapping[str, str]) -> str:
    parts = []
    for mark in picture.marks:
        attributes, text, language = paint(mark, mark.said, english(mark.said, translations))
        place = f"{_short(mark.at[0])},{_short(mark.at[1])}"
        if mark.tag == "text":
            turned = f' transform="translate({place}){_round(mark.shape)}"' if mark.shape else ""
            where = turned or f' x="{_short(mark.at[0])}" y="{_short(mark.at[1])}"'
            parts.append(f"<text{where}{attributes}>{text}</text>")
            continue
        shape, _, transform = mark.shape.partition("\0")
        dot = _ROUND.fullmatch(shape) if not transform else None
        moved = "" if mark.at == (0.0, 0.0) and not transform else f' transform="translate({place}){_round(transform)}"'
        if dot:
            tag, path = "circle", f'<circle cx="{_short(mark.at[0])}" cy="{_short(mark.at[1])}" r="{_round(dot[1])}"{attributes}'
        else:
            tag, path = "path", f'<path d="{_round(shape)}"{moved}{attributes}'
        if mark.hover:
            german, _, foreign = mark.hover.partition(BETWEEN)
            if language:
                hover = f"<title>{_text(german if language == 'de' else foreign or german)}</title>"
            else:
                hover = f'<title data-en="{_text(foreign or german)}">{_text(german)}</title>'
            parts.append(f"{path}>{hover}</{tag}>")
        else:
            parts.append(f"{path}/>")
    return "".join(parts)


_TOKENS = {colour.light: name for name, colour in (PALETTE | STEPS).items()}


def _short(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0").replace("-0.", "-.") if text != "-0.0" else "0"


def _round(text: str) -> str:
    """Numbers of a path or transform with one decimal: cut off, not rounded, which takes a third of the time and shows nowhere."""
    return _NOTHING_AFTER.sub("", _LATER_DECIMALS.sub("", text))


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _wrapped(text: str, width: int, letter: float) -> list[str]:
    """Lines of about ``width``, at letters that are ``letter`` wide on average."""
    lines, room = [""], int((width - 16) / letter)
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line]


def _png(picture: str, scale: float) -> bytes:
    return _packed(bytes(_renderer().svg_to_png(picture, scale=scale)))


@functools.cache
def _renderer() -> Any:
    """vl_convert, with its own fonts alone (fonts.conf): it looks for others when it first draws."""
    import vl_convert

    before = os.environ.get("FONTCONFIG_FILE")
    os.environ["FONTCONFIG_FILE"] = str(Path(__file__).with_name("fonts.conf"))
    try:
        vl_convert.svg_to_png('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><text>a</text></svg>')
    finally:
        if before is None:
            del os.environ["FONTCONFIG_FILE"]
        else:
            os.environ["FONTCONFIG_FILE"] = before
    return vl_convert


def _packed(png: bytes) -> bytes:
    """The same PNG, less than half as large: the renderer packs for speed. Level 4 takes half the time of 6 and a twentieth more room."""
    at, chunks, pixels = 8, list[tuple[bytes, bytes]](), b""
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels += content
        else:
            chunks.append((kind, content))
        at += 12 + length
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 4)))
    packed = (len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4) for kind, content in chunks)
    return png[:8] + b"".join(packed)
