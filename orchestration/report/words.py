"""Both languages of the report: terms, and how a number, a share, an amount and a day are written.

Belongs here: words that several parts show. Does not: sentences of one figure (``figures``) or of one page (``templates``).

German first, as the administration writes it; English beside it, never instead of it.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from dbt_project.estimators import scale
from ingest import services

#: A space at which no line breaks.
_TIED = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Words:
    """The same said in German and in English; either may be empty only if both are."""

    de: str
    en: str

    def __bool__(self) -> bool:
        return bool(self.de)

    def joined(self, *more: Words) -> Words:
        """Followed by others."""
        return Words(self.de + "".join(words.de for words in more), self.en + "".join(words.en for words in more))

    def with_(self, **values: Words | str | int) -> Words:
        """With its ``{placeholders}`` filled, Words in their language."""
        german = {name: value.de if isinstance(value, Words) else value for name, value in values.items()}
        english = {name: value.en if isinstance(value, Words) else value for name, value in values.items()}
        return Words(self.de.format(**german), self.en.format(**english))


NOTHING = Words("", "")
UNKNOWN = Words("unbekannt", "unknown")
#: Shown where the public tier has no number; never a zero, never a gap.
NOT_PUBLISHED = Words("nicht veröffentlicht", "not published")

_MONTHS_DE = ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."]
_MONTHS_EN = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


# --------------------------------------------------------------------------------------------------------------------- numbers


def number(value: float | Decimal | None, places: int = 0) -> Words:
    """1.234,5 and 1,234.5; unknown where there is none."""
    if value is None or not _is_finite(value):
        return UNKNOWN
    # by way of its shortest decimal writing, so that 0.285 is not 0.28499…
    text = f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}".replace("-", "\N{MINUS SIGN}")
    if not any(digit in text for digit in "123456789"):
        text = text.removeprefix("\N{MINUS SIGN}")
    return Words(text.translate(str.maketrans(",.", ".,")), text)


def share(value: float | None, places: int = 1) -> Words:
    """12,3 % and 12.3 %. What is not quite all is never written as 100 %, what is not quite nothing never as 0 %."""
    if value is None or not _is_finite(value):
        return UNKNOWN
    percent = Decimal(str(value)) * 100
    step = Decimal(1).scaleb(-places)
    rounded = percent.quantize(step, ROUND_HALF_UP)
    sign, shown_value = "", rounded
    if percent < 100 <= rounded:
        sign, shown_value = f">{_TIED}", Decimal(100) - step
    elif percent > 0 and rounded == 0:
        sign, shown_value = f"<{_TIED}", step
    if shown_value == shown_value.to_integral_value() and shown_value in (0, 100):
        places = 0
    words = number(shown_value, places)
    return Words(f"{sign}{words.de}{_TIED}%", f"{sign}{words.en}{_TIED}%")


def euro(value: float | Decimal | None, places: int = 0) -> Words:
    """1.234 € and €1,234."""
    if value is None or not _is_finite(value):
        return UNKNOWN
    words = number(value, places)
    minus = "\N{MINUS SIGN}" if words.en.startswith("\N{MINUS SIGN}") else ""
    return Words(f"{words.de}{_TIED}€", f"{minus}€{words.en.removeprefix(minus)}")


def day(value: date | None) -> Words:
    """31.10.2026 and 31 Oct 2026."""
    if value is None:
        return UNKNOWN
    return Words(f"{value:%d.%m.%Y}", f"{value.day}{_TIED}{_MONTHS_EN[value.month - 1]}{_TIED}{value.year}")


def month(value: date | None) -> Words:
    """Okt. 2026 and Oct 2026."""
    if value is None:
        return UNKNOWN
    at = value.month - 1
    return Words(f"{_MONTHS_DE[at]}{_TIED}{value.year}", f"{_MONTHS_EN[at]}{_TIED}{value.year}")


def instant(value: datetime | None) -> Words:
    """An instant in UTC: 31.10.2026, 02:14 UTC."""
    if value is None:
        return UNKNOWN
    at = day(value.date())
    return Words(f"{at.de}, {value:%H:%M}{_TIED}UTC", f"{at.en}, {value:%H:%M}{_TIED}UTC")


def shown(value: Any, form: str = "text", places: int | None = None) -> Words:
    """A value of a published table as the report writes it.

    ``form``: number, share, euro, day, month, instant, text, or a kind of terms (see :func:`term`). A missing value is said to be.
    """
    if value is None:
        return UNKNOWN
    if form in _NUMERIC:
        write, usual = _NUMERIC[form]
        return write(value, usual if places is None else places)
    if form in _DATED:
        return _DATED[form](value)
    if form == "text":
        return Words(str(value), str(value))
    return term(form, value)


_NUMERIC: dict[str, tuple[Any, int]] = {"number": (number, 0), "share": (share, 1), "euro": (euro, 0)}
_DATED: dict[str, Any] = {"day": day, "month": month, "instant": instant}


def _is_finite(value: float | Decimal) -> bool:
    return value == value and value not in (float("inf"), float("-inf"))


# ----------------------------------------------------------------------------------------------------------------------- terms


def _words(*entries: tuple[str, str, str]) -> dict[str, Words]:
    return {name: Words(german, english) for name, german, english in entries}


#: Values of the published tables, by kind. The kinds are called after the columns that hold them.
TERMS: dict[str, dict[str, Words]] = {
    "land": _words(
        ("00", "Bund", "Federation"),
        ("01", "Schleswig-Holstein", "Schleswig-Holstein"),
        ("02", "Hamburg", "Hamburg"),
        ("03", "Niedersachsen", "Lower Saxony"),
        ("04", "Bremen", "Bremen"),
        ("05", "Nordrhein-Westfalen", "North Rhine-Westphalia"),
        ("06", "Hessen", "Hesse"),
        ("07", "Rheinland-Pfalz", "Rhineland-Palatinate"),
        ("08", "Baden-Württemberg", "Baden-Württemberg"),
        ("09", "Bayern", "Bavaria"),
        ("10", "Saarland", "Saarland"),
        ("11", "Berlin", "Berlin"),
        ("12", "Brandenburg", "Brandenburg"),
        ("13", "Mecklenburg-Vorpommern", "Mecklenburg-Western Pomerania"),
        ("14", "Sachsen", "Saxony"),
        ("15", "Sachsen-Anhalt", "Saxony-Anhalt"),
        ("16", "Thüringen", "Thuringia"),
    ),
    "service": _words(
        ("ummeldung", "Ummeldung", "Change of residence"),
        ("fuehrerschein", "Führerschein (Erstantrag)", "Driving licence (first)"),
        ("bauantrag", "Bauvorbescheid und Baugenehmigung", "Building permits"),
        ("aufenthalt", "Aufenthaltsgenehmigung", "Residence permit"),
        ("waffen", "Waffenrechtliche Erlaubnisse", "Firearms permits"),
        ("unterhaltsvorschuss", "Unterhaltsvorschuss", "Advance child maintenance"),
        ("anlagengenehmigung", "Anlagengenehmigung", "Permits for installations"),
    ),
    "authority_kind": _words(
        ("meldebehoerde", "Meldebehörde", "Residents' registration office"),
        ("fahrerlaubnisbehoerde", "Fahrerlaubnisbehörde", "Driving licence authority"),
        ("bauaufsicht", "Bauaufsichtsbehörde", "Building control authority"),
        ("auslaenderbehoerde", "Ausländerbehörde", "Immigration office"),
        ("waffenbehoerde", "Waffenbehörde", "Firearms authority"),
        ("jugendamt", "Jugendamt", "Youth welfare office"),
        ("immissionsschutzbehoerde", "Immissionsschutzbehörde", "Immission control authority"),
    ),
    "phase": _words(
        ("none", "noch kein Ereignis", "no event yet"),
        ("planned", "geplant", "planned"),
        ("contracted", "Nachnutzungsvertrag gezeichnet", "reuse contract signed"),
        ("integrating", "technische Anbindung", "technical integration"),
        ("onboarding", "organisatorische Einführung", "organisational onboarding"),
        ("operational", "in Betrieb", "operational"),
        ("suspended", "ausgesetzt", "suspended"),
        ("withdrawn", "zurückgezogen", "withdrawn"),
    ),
    "channel": _words(
        ("online", "online", "online"),
        ("assisted", "online mit Hilfe", "assisted online"),
        ("counter", "am Schalter", "at the counter"),
        ("post", "per Post", "by post"),
        ("offline", "Schalter und Post", "counter and post"),
        ("other", "anders", "other"),
    ),
    "answer": _words(
        ("none", "–", "–"),  # not operational
        ("active", "genutzt", "used"),
        ("dead_technical", "tot: vermutlich technisch", "dead: probably technical"),
        ("dead_demand", "tot: keine Nachfrage", "dead: no demand"),
        ("too_small_or_too_early", "zu klein oder zu früh für ein Urteil", "too small or too early to tell"),
        ("unknown", "unbekannt: keine Meldung", "unknown: nothing reported"),
    ),
    "payer": _words(
        ("bund", "Bund", "Federation"),
        ("land", "Land", "Land"),
        ("kommune", "Kommune", "Municipality"),
        ("total", "alle zusammen", "all together"),
    ),
    "behaviour": _words(
        ("variable", "variabel: je Anbindung", "variable: per connection"),
        ("fixed_land", "fix: je Land", "fixed: per Land"),
        ("fixed_programme", "fix: Programm", "fixed: programme"),
    ),
    "entry_status": _words(
        ("planned", "geplant", "planned"),
        ("estimate", "geschätzt", "estimated"),
        ("invoiced", "abgerechnet", "invoiced"),
        ("reversal", "storniert", "reversed"),
    ),
    "claim": _words(
        ("C0", "Fixkostendegression", "Degression of fixed costs"),
        ("C1", "Sinkende Kosten (Lernen)", "Falling costs (learning)"),
        ("C2", "Skaleneffekte (größere Abrufe)", "Economies of scale (larger call-offs)"),
    ),
    "outcome": _words(
        ("cost", "Kosten", "cost"),
        ("person_days", "Personentage", "person-days"),
    ),
    "verdict": _words(
        ("supported", "belegt", "supported"),
        ("contradicted", "widerlegt", "contradicted"),
        ("immaterial", "unerheblich: die Ersparnis ist zu klein", "immaterial: the saving is too small"),
        ("inconclusive", "nicht entschieden", "inconclusive"),
        ("not_due", "noch nicht fällig", "not due yet"),
    ),
    "linear_arrival_reason": _words(
        ("none", "–", "–"),  # there is a date
        ("arrived", "schon erreicht", "reached already"),
        ("no_target", "kein Zieldatum genannt", "no target date stated"),
        ("too_early", "weniger als acht Wochen beobachtet", "observed for less than eight weeks"),
        ("no_progress", "kein Zuwachs in den letzten acht Wochen", "no gain over the last eight weeks"),
        ("more_than_a_century", "bei diesem Tempo nicht in hundert Jahren", "not within a century at this pace"),
        ("no_competent_authority", "keine zuständige Behörde", "no competent authority"),
    ),
    "prediction_reason": _words(
        ("no_target", "kein Zieldatum genannt", "no target date stated"),
        ("target_passed", "Zieldatum vorbei", "the target date has passed"),
        ("too_few_events", "zu wenige Abnahmen für eine Vorhersage", "too few acceptances for a prediction"),
        (
            "no_plan",
            "für zu viele offene Anbindungen fehlt ein geplanter Beginn",
            "too many open connections have no planned start",
        ),
        ("beyond_experience", "Vorhersage läge jenseits aller Erfahrung", "the prediction would lie beyond all experience"),
        ("no_competent_authority", "keine zuständige Behörde", "no competent authority"),
    ),
    "evidence_conflict": _words(
        ("none", "–", "–"),
        ("reported_not_listed", "gemeldet, aber in keinem Verzeichnis", "reported, but in no catalogue"),
        ("listed_not_reachable", "im Verzeichnis, aber nicht erreichbar", "listed, but not reachable"),
        ("listed_not_reported", "im Verzeichnis, aber nicht gemeldet", "listed, but not reported"),
    ),
    "status": _words(
        ("current", "aktuell", "current"),
        ("stale", "veraltet: Vorgänger gilt weiter", "stale: its predecessor still holds"),
        ("missing", "fehlt", "missing"),
        ("not_configured", "nicht angeschlossen", "not configured"),
    ),
    "rule": _words(
        ("malformed", "nicht lesbar", "malformed"),
        ("missing", "Angabe fehlt", "missing"),
        ("unknown_key", "unbekannter Schlüssel", "unknown key"),
        ("ambiguous_key", "mehrdeutiger Schlüssel", "ambiguous key"),
        ("unknown_value", "unbekannter Wert", "unknown value"),
        ("out_of_range", "außerhalb des Möglichen", "out of range"),
        ("wrong_unit", "falsche Einheit", "wrong unit"),
        ("future_date", "Datum in der Zukunft", "date in the future"),
        ("duplicate", "doppelt", "duplicate"),
        ("conflict", "widersprüchlich", "conflict"),
        ("wrong_land", "anderes Land", "another Land"),
    ),
    "unit": _words(
        ("share", "Anteil", "share"),
        ("EUR", "EUR", "EUR"),
        ("applications", "Anträge", "applications"),
        ("EUR per connection", "EUR je Anbindung", "EUR per connection"),
        ("authorities", "Behörden", "authorities"),
        ("days", "Tage", "days"),
        ("connections", "Anbindungen", "connections"),
        ("probability", "Wahrscheinlichkeit", "probability"),
        ("share per doubling", "Anteil je Verdoppelung", "share per doubling"),
        ("inhabitants", "Einwohner", "inhabitants"),
        ("authorities per week", "Behörden je Woche", "authorities per week"),
        ("connections per week", "Anbindungen je Woche", "connections per week"),
        ("deliveries", "Lieferungen", "deliveries"),
        ("municipalities", "Gemeinden", "municipalities"),
        ("person-days", "Personentage", "person-days"),
        ("applications per 1000 inhabitant-years", "Anträge je 1.000 Einwohnerjahre", "applications per 1000 inhabitant-years"),
        ("as unit says", "wie unit angibt", "as unit says"),
        ("dispersion", "Dispersion", "dispersion"),
        ("ratio", "Verhältnis", "ratio"),
        ("EUR per application", "EUR je Antrag", "EUR per application"),
        ("logarithm", "Logarithmus", "logarithm"),
        ("rows", "Zeilen", "rows"),
        ("boolean", "ja oder nein", "boolean"),
        ("inhabitant-years", "Einwohnerjahre", "inhabitant-years"),
        ("clusters", "Cluster", "clusters"),
        ("regressions", "Rückfälle", "regressions"),
        ("entries", "Buchungen oder Einträge", "entries"),
        ("person-days per connection", "Personentage je Anbindung", "person-days per connection"),
        ("months", "Monate", "months"),
        ("stretches", "Aufenthalte", "stretches"),
        ("doublings", "Verdoppelungen", "doublings"),
        ("years", "Jahre", "years"),
        ("share of a connection", "Anteil einer Anbindung", "share of a connection"),
        ("services", "Leistungen", "services"),
        ("as delivered", "wie geliefert", "as delivered"),
        ("as the column unit says", "wie die Spalte unit angibt", "as the column unit says"),
        ("cases per year", "Fälle je Jahr", "cases per year"),
        ("pairs", "Paare", "pairs"),
        ("authority-months", "Behördenmonate", "authority-months"),
        ("degrees of freedom", "Freiheitsgrade", "degrees of freedom"),
        ("observations", "Beobachtungen", "observations"),
        ("verdict", "Urteil", "verdict"),
        ("yes or no", "ja oder nein", "yes or no"),
        ("index", "Index", "index"),
        ("share per year", "Anteil je Jahr", "share per year"),
        ("EUR per year", "EUR je Jahr", "EUR per year"),
        (
            "logarithm (d ln y / d ln x); shares of cost for C0",
            "Logarithmus (d ln y / d ln x); bei C0 Anteile der Kosten",
            "logarithm (d ln y / d ln x); shares of cost for C0",
        ),
    ),
    "table_name": _words(
        ("regions", "Gemeindeverzeichnis", "directory of municipalities"),
        ("territory_changes", "Gebietsänderungen", "territory changes"),
        ("authorities", "Behörden", "authorities"),
        ("competences", "Zuständigkeiten", "competences"),
        ("connections", "Anbindungen", "connections"),
        ("usage", "Nutzung", "usage"),
        ("case_volumes", "Fallzahlen", "case volumes"),
        ("costs", "Kosten", "costs"),
        ("listings", "Verzeichniseinträge", "listings"),
        ("page_visits", "Seitenaufrufe", "page visits"),
    ),
}


#: A service of the list that has no short words above is called by its own name.
for _row in services.read():
    TERMS["service"].setdefault(str(_row["service_id"]), Words(str(_row["name_de"]), str(_row["name_en"])))


def term(kind: str, value: Any) -> Words:
    """A value of a published table in words; one that nobody translated stands as it is."""
    return TERMS.get(kind, {}).get(str(value), Words(str(value), str(value)))


@functools.cache
def _columns() -> dict[str, str]:
    with (Path(__file__).parent / "columns.csv").open(encoding="utf-8", newline="") as file:
        return {row["description_en"]: row["description_de"] for row in csv.DictReader(file)}


def column(description: str) -> Words:
    """The description of a column that is no metric: English from the release (``meta.column``), German from ``columns.csv``.

    That follows the English word by word: one that has changed, or that no figure shows, is English in both.
    """
    return Words(_columns().get(description, description), description)


def labels(text: str | None) -> list[Words]:
    """The reservations of ``scale_verdict.label``, which stand there in English, joined by a semicolon."""
    return [Words(scale.LABELS.get(label, label), label) for label in (text or "").split("; ") if label]


def gates(text: str | None) -> list[Words]:
    """The conditions of ``scale_verdict.gates_failed``, which stand there in English; one of another form stays as it is."""
    return [_gate(gate) for gate in (text or "").split("; ") if gate]


def _gate(english: str) -> Words:
    found = _GATE.fullmatch(english)
    name = {words[1]: words[0] for words in scale.GATE_WORDS.values()}.get(found["name"]) if found else None
    if found is None or name is None:
        return Words(english, english)
    value, threshold = (_number_in_german(found[part]) for part in ("value", "threshold"))
    side = "mindestens" if found["side"] == "at least" else "höchstens"
    only = " (nur für „belegt“ nötig)" if found["only"] else ""
    return Words(f"{name}: {value}, nötig {side} {threshold}{only}", english)


def _number_in_german(text: str) -> str:
    return "unbekannt" if text == "unknown" else text.replace(".", ",")


_GATE = re.compile(
    r"(?P<name>.+): (?P<value>[^,]+), needed (?P<side>at least|at most) (?P<threshold>[^()]+?)(?P<only> \(needed for supported only\))?"
)


def dictionary(more: Iterable[Words] = ()) -> dict[str, str]:
    """From German to English: all terms, and ``more``; for texts that are drawn once and shown in both languages."""
    every = [*(words for terms in TERMS.values() for words in terms.values()), UNKNOWN, NOT_PUBLISHED, *more]
    return {words.de: words.en for words in every if words}
