"""The pages of a report: what stands where, in which words, and that every number names its query.

Belongs here: an overview, a page for each Land of the programme and one for each service, made from one tier of a release. Does not: the
charts (``figures``, ``map``), how a number is written (``words``), where the pages lie (``write`` of the package).

A page is one file: styles, script and pictures are in it, and its Content-Security-Policy forbids everything else, scripts of a
delivery included. What comes from deliveries is text to be escaped, also within JSON and SQL.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ingest.services import ID as SERVICE_ID
from orchestration.report import drawing, words
from orchestration.report.cited import (
    FOCUS,
    Citations,
    Cited,
    block,
    both,
    cite,
    has_column,
    has_others,
    has_table,
    literal,
    sentence,
)
from orchestration.report.figures import Figure
from orchestration.report.words import Words

_FOLDER = Path(__file__).parent

#: Rows of a figure's table that a page shows; all of them are in the files of the release.
SHOWN_ROWS = 1000

#: Authorities that the page of a Land lists, to be searched; the page of a service lists all of its own.
LISTED_ROWS = 10_000

#: Columns whose values are terms, by the kind of term.
_TERMS = {
    "land_code": "land",
    "service_id": "service",
    "coverage_min_service_id": "service",
    "authority_kind": "authority_kind",
    "verdict": "verdict",
    "phase": "phase",
    "to_phase": "phase",
    "channel": "channel",
    "answer": "answer",
    "payer": "payer",
    "behaviour": "behaviour",
    "claim": "claim",
    "outcome": "outcome",
    "status": "status",
    "rule": "rule",
    "table_name": "table_name",
    "entry_status": "entry_status",
    "linear_arrival_reason": "linear_arrival_reason",
    "prediction_reason": "prediction_reason",
    "evidence_conflict": "evidence_conflict",
}
_DAY = re.compile(r".*_on$|^as_of$|^valid_from$|^valid_to$|^since$")


@dataclass(frozen=True)
class Place:
    """A Land, as its page and its headline tell of it."""

    code: str
    name: Words
    is_participating: bool
    #: Whether its connections were ever delivered.
    is_measured: bool

    @property
    def file(self) -> str:
        """Name of its page."""
        return f"land-{self.code}.html"


@dataclass(frozen=True)
class Service:
    """A service of the programme."""

    service_id: str
    name: Words
    short: Words

    @property
    def file(self) -> str:
        """Name of its page."""
        return f"service-{self.service_id}.html"


@dataclass(frozen=True)
class Definition:
    """What a column of a published table means."""

    column: str
    name: Words
    text: Words
    formula: str = ""
    caveats: Words = words.NOTHING
    unit: str = ""
    metric_id: str = ""


@dataclass(frozen=True)
class Drawn:
    """A figure with what a page needs of it. ``svg``: empty where there is nothing to draw; the figure's note then says why."""

    figure: Figure
    svg: Markup
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Chapter:
    """A question and the figures that answer it."""

    name: str
    title: Words
    question: Words
    figures: Sequence[Drawn]


@dataclass
class Tier:
    """One tier of a release, as its pages read it."""

    connection: duckdb.DuckDBPyConnection
    #: exact or public.
    name: str
    #: Files of the tier that a page may lead to, relative to its folder.
    files: frozenset[str]
    #: What CHANGES.md says, where the tier has one.
    changes: str = ""
    release: Cited = field(init=False)
    #: Whether there are services beside those of the focus: single ones are then told of the focus alone.
    has_others: bool = field(init=False)
    laender: list[Place] = field(init=False)
    services: list[Service] = field(init=False)
    definitions: dict[str, dict[str, Definition]] = field(init=False)

    def __post_init__(self) -> None:
        con = self.connection
        self.release = cite(
            con,
            "meta.release",
            "select release_id, as_of, territory_on, published_at, is_synthetic, code_version from meta.release",
        )
        self.has_others = has_others(con)
        measured = {row[0] for row in con.execute("select distinct land_code from metrics.coverage_daily").fetchall()}
        self.laender = [
            Place(code, _land(code, name), bool(participating), code in measured)
            for code, name, participating in con.execute(
                "select land_code, name, is_participating from core.dim_land order by land_code"
            ).fetchall()
            if re.fullmatch(r"\d{2}", code)
        ]
        self.services = [
            Service(service_id, Words(german, english), words.term("service", service_id))
            for service_id, german, english in con.execute(
                "select service_id, name_de, name_en from core.dim_service"
                " where is_focus and service_id in (select service_id from metrics.coverage_daily) order by service_id"
            ).fetchall()
            if re.fullmatch(SERVICE_ID, service_id)
        ]
        self.definitions = _definitions(con)

    @property
    def participating(self) -> list[Place]:
        """The Länder that have a page: those of the programme, and those of which connections are known."""
        return [land for land in self.laender if land.is_participating or land.is_measured]

    @property
    def is_public(self) -> bool:
        """Whether it is the tier that may leave the house."""
        return self.name == "public"

    def cite(self, table: str, sql: str) -> Cited | None:
        """The answer, or None where the tier does not hold the table."""
        return cite(self.connection, table, sql) if has_table(self.connection, table) else None


def _land(code: str, name: str) -> Words:
    term = words.term("land", code)
    return term if term.de == name else Words(name, name)


def _definitions(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Definition]]:
    """By ``schema.table`` and column: the metric where it is one, else the column's description, where we have it also in German."""
    found: dict[str, dict[str, Definition]] = {}
    for schema, table, column, text, unit in con.execute(
        'select schema_name, table_name, column_name, description, unit from meta."column" order by all'
    ).fetchall():
        name = _HEADS.get(column, Words(column, column))
        found.setdefault(f"{schema}.{table}", {})[column] = Definition(column, name, words.column(text or ""), unit=unit or "")
    for metric_id, table, column, name_de, name_en, text_de, text_en, formula, unit, caveats_de, caveats_en in con.execute(
        "select metric_id, table_name, column_name, name_de, name_en, definition_de, definition_en, formula, unit, caveats_de, caveats"
        " from meta.metric order by all"
    ).fetchall():
        if column in found.get(table, {}):
            found[table][column] = Definition(
                column,
                Words(name_de, name_en),
                Words(text_de, text_en),
                formula or "",
                Words(caveats_de or "", caveats_en or ""),
                unit or "",
                metric_id,
            )
    return found


# ---------------------------------------------------------------------------------------------------------------------- a page


class Page:
    """What the templates ask while one page is made."""

    def __init__(self, tier: Tier, file: str) -> None:
        self.tier = tier
        self.file = file
        self.citations = Citations()
        self._kinds: set[str] = set()
        self._services: set[str | None] = set()

    def render(self, template: str, **values: Any) -> str:
        """The page as HTML."""
        body = _environment().get_template(template).render(page=self, tier=self.tier, **values)
        # the record comes last: by now the page has asked for everything that it shows
        terms = {
            kind: {term.de: term.en for value, term in words.TERMS[kind].items() if self._is_shown(kind, value)}
            for kind in sorted(self._kinds)
        }
        data = block("terms", terms) + self.citations.script()
        return body.replace("<!--data-->", str(data))

    def _is_shown(self, kind: str, value: str) -> bool:
        """Whether a table may hold a term: of hundreds of services only those that one does."""
        return kind != "service" or not self.tier.has_others or value in self._services

    def number(self, cited: Cited, column: str, row: int = 0, form: str = "", places: int | None = None) -> Any:
        """One number of a query, see :meth:`Citations.number`; ``form`` follows from the column where none is given."""
        found, usual = self.form(cited, column)
        return self.citations.number(cited, column, row, form or found, usual if places is None else places)

    def form(self, cited: Cited, column: str) -> tuple[str, int | None]:
        """How the values of a column are written: form and places."""
        kind = cited.frame.schema[column]
        if kind.is_temporal():
            return (
                ("month", None)
                if column in ("month", "first_month")
                else ("instant", None)
                if kind == pl.Datetime
                else ("day", None)
            )
        if column in _TERMS:
            return _TERMS[column], None
        if kind.is_numeric():
            if column.endswith(("_share", "_probability")) or column in (
                "estimate",
                "ci_low",
                "ci_high",
                "delta",
                "learning_rate",
            ):
                return "share", 1
            if column.endswith("_eur"):
                return "euro", 0
            return "number", 0 if kind.is_integer() else 1
        return "text", None

    def head(self, table: str, column: str) -> Words:
        """What a column is called."""
        given = _HEADS.get(column)
        if given is not None:
            return given
        definitions = self.tier.definitions
        places = [definitions.get(table, {}), *definitions.values()]  # a column is called the same in every table
        return next(
            (found[column].name for found in places if column in found and found[column].metric_id), Words(column, column)
        )

    def table(
        self,
        cited: Cited,
        columns: Sequence[str] | None = None,
        *,
        caption: Words,
        links: Mapping[str, str] | None = None,
        rows: int = SHOWN_ROWS,
        is_tool: bool = False,
    ) -> Markup:
        """The rows of a query as a table. ``links``: by column the address that a value leads to, with ``{}`` for the value.

        ``is_tool``: it can be filtered, searched and downloaded, and is whole; otherwise ``rows`` of it are shown and the rest is named.
        """
        names = list(columns or cited.frame.columns)
        forms = {column: self.form(cited, column) for column in names}
        self._kinds |= {form for form, _ in forms.values() if form in words.TERMS}
        name = self.citations.table(cited, forms)
        shown = cited.frame if is_tool else cited.frame.head(rows)
        self._services.update(*(shown[column].unique() for column in names if forms[column][0] == "service"))
        body = "".join(
            f"<tr>{''.join(cells)}\n"
            for cells in zip(*(_cells(shown[column], *forms[column], (links or {}).get(column)) for column in names), strict=True)
        )
        heads = Markup("").join(
            Markup('<th scope="col" data-column="{}" data-form="{}"{}>{}</th>').format(
                column,
                forms[column][0],
                Markup(' class="n"') if forms[column][0] in _RIGHT else "",
                both(self.head(cited.table, column)),
            )
            for column in names
        )
        return (
            _environment()
            .get_template("table.html.jinja")
            .module.table(  # type: ignore[attr-defined]
                name=name,
                caption=caption,
                heads=heads,
                body=Markup(body),  # noqa: S704 (its cells are escaped)
                shown=shown.height,
                of=cited.frame.height,
                is_tool=is_tool,
                file=self.file.removesuffix(".html"),
                source=cited.table,
            )
        )

    def terms(self, cited: Cited) -> list[Definition]:
        """The definitions of the columns that a query shows."""
        known = self.tier.definitions.get(cited.table, {})
        return [known[column] for column in cited.frame.columns if column in known]

    def csv(self, table: str) -> str:
        """Where the whole table lies beside the report, empty where it does not."""
        schema, _, name = table.partition(".")
        path = f"csv/{schema}/{name}.csv"
        return f"../{path}" if path in self.tier.files else ""


#: Heads of columns that are no metric.
_HEADS = {
    "land_code": Words("Land", "Land"),
    "service_id": Words("Leistung", "Service"),
    "authority": Words("Behörde", "Authority"),
    "authority_id": Words("Schlüssel der Behörde", "Key of the authority"),
    "kreis_name": Words("Kreis", "Kreis"),
    "phase": Words("Phase", "Phase"),
    "phase_since": Words("seit", "since"),
    "wave": Words("Welle", "Wave"),
    "population": Words("Einwohner", "Inhabitants"),
    "answer": Words("Nutzung", "Use"),
    "evidence_conflict": Words("Widerspruch der Quellen", "Conflict of sources"),
    "as_of": Words("Tag", "Day"),
    "authorities_competent": Words("zuständig", "competent"),
    "authorities_operational": Words("in Betrieb", "operational"),
    "coverage_authority_share": Words("Abdeckung", "Coverage"),
    "coverage_population_share": Words("nach Einwohnern", "by inhabitants"),
    "cases_competent": Words("Fälle", "Cases"),
    "cases_operational": Words("davon angebunden", "of which connected"),
    "coverage_case_share": Words("nach Fällen", "by cases"),
    "authorities_verified": Words("im Verzeichnis bestätigt", "confirmed by a catalogue"),
    "verified_share": Words("Anteil bestätigt", "Share confirmed"),
    "required_pace_per_week": Words("nötig je Woche", "needed a week"),
    "actual_pace_per_week": Words("tatsächlich je Woche", "actual a week"),
    "open_predicted_count": Words("am Zieltag offen (Vorhersage)", "open on the target day (predicted)"),
    "open_predicted_low_count": Words("mindestens", "at least"),
    "open_predicted_high_count": Words("höchstens", "at most"),
    "area_wide_probability": Words("Wahrscheinlichkeit, dass keine offen ist", "Probability that none is open"),
    "month": Words("Monat", "Month"),
    "source": Words("Quelle", "Source"),
    "table_name": Words("Inhalt", "Content"),
    "status": Words("Stand", "Status"),
    "last_delivered_at": Words("letzte Lieferung", "Last delivery"),
    "rule": Words("Grund", "Reason"),
    "row_count": Words("Zeilen", "Rows"),
    "rows_delivered": Words("Zeilen geliefert", "Rows delivered"),
    "rows_quarantined": Words("davon in Quarantäne", "of which quarantined"),
    "deliveries": Words("Lieferungen", "Deliveries"),
    "deliveries_refused": Words("davon zurückgewiesen", "of which refused"),
    "target_on": Words("Zieltag", "Target day"),
    "linear_arrival_on": Words("Ziel erreicht bei diesem Tempo", "Target reached at this pace"),
    "linear_arrival_reason": Words("ohne Datum, weil", "no date because"),
    "payer": Words("Träger der Kosten", "Payer"),
    "claim": Words("Behauptung", "Claim"),
    "outcome": Words("Größe", "Outcome"),
    "verdict": Words("Urteil", "Verdict"),
}
_RIGHT = ("number", "share", "euro")


def _cells(column: pl.Series, form: str, places: int | None, link: str | None) -> Iterable[str]:
    """The cells of a column in German, escaped."""
    right = " class=n" if form in _RIGHT else ""
    write = functools.cache(lambda value: str(escape(words.shown(value, form, places).de)))
    if link is None:
        return [f"<td{right}>{write(value)}" for value in column]
    return [f'<td><a href="{escape(link.format(value))}">{write(value)}</a>' for value in column]


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {
        "s": sentence,
        "both": both,
        "Words": Words,
        "w": words,
        "style": Markup(drawing.stylesheet() + (_FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704 (files of the package)
        "script": Markup(script),  # noqa: S704
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    }
    return environment


# ------------------------------------------------------------------------------------------------------------------- the pages


@dataclass(frozen=True)
class Headline:
    """What is said first about a Land; a part is None where its table has no row of the Land."""

    land: Place
    programme: Cited | None
    commitment: Cited | None
    verified: Cited | None
    has_costs: bool

    @property
    def share(self) -> float:
        """Of the meter; 0 where there is nothing to measure."""
        return 0.0 if self.programme is None else float(self.programme.frame["coverage_micro_share"][0] or 0)

    def value(self, part: str, column: str) -> Any:
        """A value that decides what is said."""
        cited: Cited | None = getattr(self, part)
        return None if cited is None or cited.frame.is_empty() else cited.frame[column][0]


#: The questions, in their order, with the names of the figures that answer them (what their ids end in).
_CHAPTERS = (
    (
        "abdeckung",
        Words("Abdeckung", "Coverage"),
        Words(
            "Wie viele der zuständigen Behörden sind in Betrieb, und wird das Ziel erreicht?",
            "How many of the competent authorities are operational, and will the target be met?",
        ),
        ("coverage-over-time", "outlook", "map-coverage"),
    ),
    (
        "weg",
        Words("Der Weg in den Betrieb", "The way into operation"),
        Words(
            "Wo stehen die Anbindungen, und wie lange brauchen sie?", "Where do the connections stand, and how long do they take?"
        ),
        ("phase-funnel", "time-in-phase", "time-to-operational"),
    ),
    (
        "nutzung",
        Words("Nutzung", "Use"),
        Words(
            "Wird genutzt, was angebunden ist, und welche Anbindungen sind tot?",
            "Is it used where it is connected, and which connections are dead?",
        ),
        ("take-up", "map-take-up", "adoption-curve", "dormant"),
    ),
    (
        "kosten",
        Words("Kosten", "Costs"),
        Words(
            "Was kostet eine Anbindung, was der Betrieb, und was ist vom Plan verbraucht?",
            "What does a connection cost, what its operation, and what of the plan is spent?",
        ),
        ("cost-by-wave", "degression", "running-cost", "budget"),
    ),
    (
        "lernen",
        Words("Lernen und das nächste Land", "Learning and the next Land"),
        Words(
            "Kosten spätere Anbindungen weniger, und was wird das nächste Land kosten?",
            "Do later connections cost less, and what will the next Land cost?",
        ),
        ("learning-curve", "learning-estimates", "forecast"),
    ),
    (
        "daten",
        Words("Datenlage", "Data status"),
        Words(
            "Kann man den Zahlen trauen: was kam, was wurde zurückgewiesen, was hat sich geändert?",
            "Can the numbers be trusted: what came, what was refused, what changed?",
        ),
        ("deliveries", "quarantine"),
    ),
)


def chapters(drawn: Sequence[Drawn], prefix: str = "", *, with_data: bool = True) -> list[Chapter]:
    """The figures of a page by question; ``prefix`` is what their ids begin with. None is lost: what fits nowhere comes last.

    The chapter on data comes last and is there even without a figure, unless ``with_data`` is false.
    """
    left = {one.figure.figure_id.removeprefix(prefix): one for one in drawn}
    found = [(name, title, question, [left.pop(key) for key in keys if key in left]) for name, title, question, keys in _CHAPTERS]
    made = [Chapter(*one) for one in found if one[3] or (one[0] == "daten" and with_data)]
    if left:
        rest = Chapter("mehr", Words("Mehr", "More"), Words("Weitere Bilder", "Further pictures"), list(left.values()))
        made.insert(len(made) - with_data, rest)
    return made


def index(tier: Tier, chapters: Sequence[Chapter]) -> str:
    """The overview."""
    page = Page(tier, "index.html")
    focus = _focus(tier, "true")
    return page.render(
        "index.html.jinja",
        headlines=[headline(tier, land) for land in tier.participating],
        others=[land for land in tier.laender if land not in tier.participating],
        focus=focus,
        verdict=_verdict(tier),
        commitment=_commitment(tier, FOCUS if focus else ""),
        chapters=chapters,
        data=_data(tier, ""),
    )


def land(tier: Tier, place: Place, chapters: Sequence[Chapter]) -> str:
    """The page of a Land with its authorities."""
    page = Page(tier, place.file)
    where = f"land_code = {literal(place.code)}"
    focus = _focus(tier, where)
    one_by_one = f"{where} and {FOCUS}" if focus else where
    authorities, unlisted = _authorities_of_land(tier, one_by_one)
    return page.render(
        "land.html.jinja",
        land=place,
        headline=headline(tier, place),
        verdict=_verdict(tier),
        commitment=_commitment(tier, one_by_one),
        chapters=chapters,
        focus=focus,
        authorities=authorities,
        unlisted=unlisted,
        data=_data(tier, where),
    )


def service(tier: Tier, one: Service, chapters: Sequence[Chapter]) -> str:
    """The page of a service with its authorities in all Länder."""
    page = Page(tier, one.file)
    where = f"service_id = {literal(one.service_id)}"
    return page.render(
        "service.html.jinja",
        service=one,
        coverage=tier.cite(
            "metrics.coverage_daily",
            f"""select land_code, authorities_competent, authorities_operational, coverage_authority_share, coverage_population_share,
            cases_competent, cases_operational, coverage_case_share, authorities_verified, verified_share
            from metrics.coverage_daily where {where} and as_of = (select as_of from meta.release) order by land_code""",
        ),
        commitment=_commitment(tier, where),
        chapters=chapters,
        authorities=_authorities(tier, where, ["land_code"]),
    )


def _focus(tier: Tier, where: str) -> Cited | None:
    """How many services there are, and how many of the focus stand one by one; None where those are all."""
    if not has_others(tier.connection, where):
        return None
    measured = f"select service_id from metrics.coverage_daily where as_of = (select as_of from meta.release) and {where}"
    return tier.cite(
        "core.dim_service",
        f"""select count(*) as services, count(*) filter (where is_focus) as services_focus from core.dim_service
        where service_id in ({measured})""",
    )


def headline(tier: Tier, place: Place) -> Headline:
    """The queries behind what is said first about a Land."""
    where = f"land_code = {literal(place.code)}"
    programme = tier.cite(
        "metrics.programme_coverage_daily",
        f"""select as_of, services, authority_service_pairs_competent, authority_service_pairs_operational, coverage_micro_share,
        coverage_min_share, coverage_min_service_id
        from metrics.programme_coverage_daily where {where} order by as_of desc limit 1""",
    )
    commitment = tier.cite(
        "metrics.programme_status",
        f"""select services, target_on, target_share, days_to_target, authority_service_pairs_lacking as authorities_lacking,
        required_pace_per_week, actual_pace_per_week, before_programme_pace_per_week, services_in_time, services_likely, services_predicted
        from metrics.programme_status where {where}""",
    )
    verified = tier.cite(
        "metrics.programme_status",
        f"""select authority_service_pairs_verified as authorities_verified, authority_service_pairs_verifiable as authorities_verifiable
        from metrics.programme_status where {where} and authority_service_pairs_verifiable is not null""",
    )
    delivered = tier.connection.execute(
        f"select count(*) from meta.source_status where {where} and table_name = 'costs' and last_delivered_at is not null"
    ).fetchall()
    return Headline(place, _known(programme), _known(commitment), _known(verified), delivered[0][0] > 0)


def _known(cited: Cited | None) -> Cited | None:
    """None where there is no row."""
    return None if cited is None or cited.frame.is_empty() else cited


def _verdict(tier: Tier) -> Cited | None:
    """The programme's verdict comes first; it holds for all Länder together."""
    cited = tier.cite(
        "metrics.scale_verdict",
        """select claim, outcome, verdict, label, gates_failed, look_on, signed_on, estimate, ci_low, ci_high, delta, n, clusters,
        power_05, power_10, power_20
        from metrics.scale_verdict where claim = 'C1' and outcome = 'cost' order by all""",
    )
    return _known(cited)


def _commitment(tier: Tier, where: str) -> Cited | None:
    keys = _keys(where, "land_code", "service_id")
    cited = tier.cite(
        "metrics.commitment_status",
        f"""select {keys}, authorities_competent, authorities_operational, coverage_authority_share,
        required_pace_per_week, actual_pace_per_week, linear_arrival_on,
        coalesce(linear_arrival_reason, 'none') as linear_arrival_reason, open_predicted_count, open_predicted_low_count, open_predicted_high_count, area_wide_probability
        from metrics.commitment_status join metrics.coverage_daily
        using (land_code, service_id, as_of, authorities_competent, authorities_operational)
        {f"where {where}" if where else ""} order by {keys}""",
    )
    return _known(cited)


def _authorities_of_land(tier: Tier, where: str) -> tuple[Cited, list[Service]]:
    """The authorities of a Land, and the services that have too many of them to be listed with the others.

    Those stand on the pages of these services: what is listed of a service is whole.
    """
    counted = tier.connection.execute(
        f"select service_id, count(distinct authority_id) from core.bridge_competence where is_reported and {where}"
        " group by service_id order by all"
    ).fetchall()
    with_page, left, rows = {service.service_id: service for service in tier.services}, [], 0
    for service_id, count in sorted(counted, key=lambda one: one[1]):
        rows += count
        if rows > LISTED_ROWS and service_id in with_page:
            left.append(with_page[service_id])
    if left:
        where += f" and service_id not in ({', '.join(sorted(literal(service.service_id) for service in left))})"
    return _authorities(tier, where, ["service_id"]), left


def _authorities(tier: Tier, where: str, first: Sequence[str]) -> Cited:
    """The authorities competent for a service, with the phase of each; what the tier does not hold has no column."""
    con = tier.connection
    more, joins = "", ""
    if has_table(con, "metrics.dormant_connection"):
        more += ", coalesce(dormant_connection.answer, 'none') as answer"
        joins += " left join metrics.dormant_connection using (land_code, authority_id, service_id)"
    if has_table(con, "metrics.evidence_conflict"):
        more += ", coalesce(conflicts.evidence_conflict, 'none') as evidence_conflict"
        joins += (
            " left join (select land_code, authority_id, service_id, min(kind) as evidence_conflict"
            " from metrics.evidence_conflict group by all) as conflicts using (land_code, authority_id, service_id)"
        )
    reported = (
        "reported_authority_id" if has_column(con, "core.fct_connection_phase", "reported_authority_id") else "authority_id"
    )
    return cite(
        con,
        "core.fct_connection_phase",
        # several predecessors may lead to one authority: it is as far as the one that is least far
        f"""with competent as (
            select competences.land_code, authority_id, service_id,
            case when count(distinct kreis_name) = 1 then any_value(kreis_name) else '–' end as kreis_name
            from core.bridge_competence as competences left join core.dim_region as regions
            on competences.ags = regions.ags and regions.is_reported
            where competences.is_reported and {where.replace("land_code", "competences.land_code")} group by all
        ), phases as (
            select {reported} as authority_id, service_id, min_by(phase, nearness) as phase, max(valid_from) as phase_since,
            min_by(wave, nearness) as wave
            from (select *, list_position(['withdrawn', 'suspended', 'planned', 'contracted', 'integrating', 'onboarding', 'operational'],
            phase) as nearness from core.fct_connection_phase where is_current and {where}) group by all
        )
        select {", ".join(f"competent.{column}" for column in first)}, authorities.name as authority, competent.kreis_name,
        coalesce(phases.phase, 'none') as phase, phases.phase_since, phases.wave, authorities.population{more}, competent.authority_id
        from competent left join phases using (authority_id, service_id){joins}
        left join core.dim_authority as authorities
        on competent.authority_id = authorities.authority_id and authorities.is_reported
        order by all""",
    )


def _keys(where: str, *columns: str) -> str:
    """Those of some columns that a page is not about anyway."""
    return ", ".join(column for column in columns if not where.startswith(f"{column} = "))


def _data(tier: Tier, where: str) -> dict[str, Cited]:
    """What came, what was refused and why; the public tier holds the status of the sources only."""
    keys = _keys(where, "land_code", "source")
    conditions = f"where {where}" if where else ""
    message = ", message_de, message_en" if has_column(tier.connection, "meta.source_status", "message_de") else ""
    asked = {
        "sources": (
            "meta.source_status",
            f"select {keys}, table_name, status, last_delivered_at{message} from meta.source_status {conditions} order by {keys}",
        ),
        "deliveries": (
            "meta.source_status",
            f"""select {keys}, deliveries, deliveries_refused, rows_delivered, rows_quarantined
            from meta.source_status where deliveries > 0 {f"and {where}" if where else ""} order by {keys}""",
        ),
        "quarantine": (
            "meta.quarantine_summary",
            f"select {keys}, rule, row_count from meta.quarantine_summary {conditions} order by all",
        ),
    }
    if not has_column(tier.connection, "meta.source_status", "deliveries"):
        del asked["deliveries"]
    found = {name: tier.cite(table, sql) for name, (table, sql) in asked.items()}
    return {name: cited for name, cited in found.items() if cited is not None}
