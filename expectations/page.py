"""The gate's page: what was expected of a night, what was found, and how that went over the last nights, as one static HTML file.

Belongs here: the page and what may be shown on it. Does not: where it lies and which nights it tells of (``orchestration``).

The page loads nothing from anywhere and runs no script. Keys of rows are shown where they are codes of the administration (Land,
service, authority, day); whatever else a row holds, free identifiers such as booking numbers included, is shown as the beginning of
its sha256, by which those who may see the table find the row: ``where left(sha256(entry_id), 10) = '…'``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from jinja2 import Environment

#: Key columns whose values are codes, with the shape that they must have to be shown.
_CODES = {
    "land_code": r"\d{2}",
    "service_id": r"[a-z][a-z0-9_]{0,39}",
    "authority_id": r"[a-z]{3,30}/\d{2,9}",
    "reported_authority_id": r"[a-z]{3,30}/\d{2,9}",
    "ags": r"\d{8}",
    "reported_ags": r"\d{8}",
    "ars": r"\d{12}",
    "kreis_code": r"\d{5}",
    "leika_key": r"\d{14}",
    "wave": r"-?\d{1,3}",
    "claim": r"C\d",
    "table_name": r"[a-z_.]{3,60}",
    "metric_id": r"[a-z0-9_.]{3,80}",
}
_WORDS = frozenset(
    [
        "phase",
        "payer",
        "channel",
        "account",
        "grain",
        "evidence",
        "category",
        "behaviour",
        "entry_status",
        "rule",
        "outcome",
        "kind",
        "stratum_kind",
        "price_basis",
        "term",
        "specification",
        "source",
        "recurring",
        "is_pilot",
        "is_verified",
    ]
)
_WORD, _DAY = re.compile(r"[A-Za-z_]{1,40}"), re.compile(r"\d{4}-\d{2}-\d{2}")
_DIGEST_DIGITS = 10

#: What a sentence of a check or of a library might quote from a delivery, or from an address.
_SECRET = (
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.I),
    re.compile(r"\b(?:bearer|basic|token|password|passwort|secret|key|apikey)\b\s*[:=]?\s*\S+", re.I),
    re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b"),
    re.compile(r"\b(?=[A-Za-z0-9+_-]*\d)(?=[A-Za-z0-9+_-]*[A-Za-z])[A-Za-z0-9+_-]{32,}={0,2}"),
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

#: What dbt's data tests check, by the beginning of their name.
_DBT = {
    "unique_grain_": ("Jede Zeile ist durch ihren Schlüssel bestimmt.", "Every row is identified by its key."),
    "not_null_": ("Die Spalte ist gefüllt.", "The column is filled."),
    "not_empty_": ("Die Tabelle ist nicht leer.", "The table is not empty."),
    "accepted_values_": ("Es kommen nur festgelegte Werte vor.", "Only agreed values occur."),
    "relationships_": ("Jeder Verweis zeigt auf eine bekannte Zeile.", "Every reference points to a known row."),
    "no_overlap_": ("Zeiträume überschneiden sich nicht.", "Periods do not overlap."),
    "share_holds_": ("Der Anteil ist Teil durch Ganzes.", "The share is part by whole."),
    "public_": ("Die öffentliche Stufe verrät keine kleinen Zahlen.", "The public tier gives no small number away."),
}


@dataclass(frozen=True)
class Night:
    """One night of the trend: the day it is for, how it ended, and for each check (see :func:`identity`) passed, warn, error or broken."""

    day: date
    outcome: str
    states: Mapping[str, str] = field(default_factory=dict)

    def count(self, *states: str) -> int:
        """How many checks ended so."""
        return sum(state in states for state in self.states.values())


def identity(result: Mapping[str, Any]) -> str:
    """What names one check over the nights."""
    return "/".join(str(result[part] or "") for part in ("suite", "table", "name", "column"))


def state_of(result: Mapping[str, Any]) -> str:
    """passed, warn, error, or broken where the check could not run (which is a failure of the gate, not of the data)."""
    if result["passed"]:
        return "passed"
    return "broken" if result["is_broken"] else str(result["severity"])


def safe_text(text: str, *, is_broken: bool = False) -> str:
    """A sentence without what may be a secret or a person: addresses, mail, tokens, account numbers; of a broken check all quotes too."""
    for pattern in _SECRET:
        text = pattern.sub("[…]", text)
    return (_QUOTED.sub("[…]", text) if is_broken else text)[:400]


def safe_example(example: Mapping[str, Any]) -> dict[str, str]:
    """The key of a row: codes as they are, everything else as the beginning of its sha256."""
    return {column: _safe_value(column, value) for column, value in example.items()}


def _safe_value(column: str, value: Any) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if isinstance(value, bool) or _DAY.fullmatch(text):
        return text
    if column in _CODES and re.fullmatch(_CODES[column], text):
        return text
    if column in _WORDS and _WORD.fullmatch(text):
        return text
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]}…"


def render(
    *,
    run_id: str,
    as_of: date,
    outcome: str,
    message: str,
    is_synthetic: bool,
    results: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]] = (),
    nights: Sequence[Night] = (),
    report: str = "",
) -> str:
    """The page of one night as HTML.

    ``outcome``: passed, refused or no_data; ``message``: why not, one sentence. ``results``: records of ``CheckResult.to_dict``.
    ``deliveries``: ``land_code``, ``source``, ``delivery_id``, ``is_admitted``, ``refusal_de``, ``refusal_en``, ``checks``.
    ``nights``: the trend, oldest first, this one last.
    ``report``: address of the report of what is published after this night, relative to the page.
    """
    checks = [_shown(result, nights) for result in results]
    order = {"broken": 0, "error": 1, "warn": 2, "passed": 3}
    tables: dict[str, list[dict[str, Any]]] = {}
    for check in sorted(checks, key=lambda c: (c["table"], order[c["state"]])):
        tables.setdefault(check["table"], []).append(check)
    return _TEMPLATE.render(
        run_id=run_id,
        as_of=as_of,
        outcome=outcome,
        message=safe_text(message),
        is_synthetic=is_synthetic,
        failed=sorted((c for c in checks if c["state"] != "passed"), key=lambda c: order[c["state"]]),
        counts={state: sum(c["state"] == state for c in checks) for state in order},
        tables=tables,
        deliveries=[_delivery(delivery) for delivery in deliveries],
        report=report,
        nights=nights,
        highest=max([1, *(night.count("error", "broken", "warn") for night in nights)]),
        marks={"passed": "✓", "warn": "!", "error": "✕", "broken": "⚠", "": "·"},
    )


def _shown(result: Mapping[str, Any], nights: Sequence[Night]) -> dict[str, Any]:
    german, english = result["description_de"], result["description_en"]
    if result["suite"] == "dbt":
        for start, texts in _DBT.items():
            if result["name"].startswith(start):
                german, english = texts
    name = identity(result)
    return {
        "state": state_of(result),
        "suite": result["suite"],
        "table": result["table"],
        "name": result["name"],
        "column": result["column"],
        "severity": result["severity"],
        **_found(result),
        "german": german,
        "english": english,
        "examples": [safe_example(example) for example in result["examples"]],
        "trend": _trend(name, nights),
    }


#: Words of a result, for those who read German.
_GERMAN = (
    ("row(s)", "Zeile(n)"),
    ("instead of", "statt"),
    ("nothing", "nichts"),
    ("missing", "fehlt"),
    ("usually", "sonst"),
    ("no NULL where there was none", "keine Lücke, wo keine war"),
    ("no NULL", "keine Lücke"),
    ("no NaN, no infinity", "eine endliche Zahl"),
    ("one row per", "eine Zeile je"),
    ("every day up to", "jeder Tag bis"),
    ("fewer rows", "weniger Zeilen"),
    ("as in the current release", "wie in der aktuellen Veröffentlichung"),
    ("as in", "wie in"),
    ("agreed words and shapes of", "festgelegte Wörter und Formen von"),
    ("row of", "Zeile von"),
    (" of ", " von "),
    (" after ", " nach "),
    (" and ", " und "),
)


def _found(result: Mapping[str, Any]) -> dict[str, str]:
    observed, expected = safe_text(str(result["observed"]), is_broken=bool(result["is_broken"])), str(result["expected"])
    german = {"observed_de": observed, "expected_de": expected}
    if not result["is_broken"]:
        for english, word in _GERMAN:
            german = {name: sentence.replace(english, word) for name, sentence in german.items()}
    return {"observed": observed, "expected": expected, **german}


def _trend(name: str, nights: Sequence[Night]) -> list[tuple[date, str]]:
    """How a check went, night by night; nothing where it never failed: that is most of them, on every page."""
    states = [(night.day, night.states.get(name, "")) for night in nights]
    return states if any(state not in ("", "passed") for _, state in states) else []


def _delivery(delivery: Mapping[str, Any]) -> dict[str, Any]:
    failed = [_shown(check, ()) for check in delivery["checks"] if not check["passed"]]
    sentences = {language: safe_text(delivery[f"refusal_{language}"] or "") for language in ("de", "en")}
    return {
        **{name: delivery[name] for name in ("land_code", "source", "delivery_id", "is_admitted")},
        **sentences,
        "failed": failed,
    }


_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
{% macro both(german, english) %}<span class="de" lang="de">{{ german }}</span><span class="en" lang="en">{{ english }}</span>{% endmacro %}
{% macro word(state) %}{{ {"passed": both("bestanden", "passed"), "warn": both("Hinweis", "warning"),
  "error": both("nicht bestanden", "failed"), "broken": both("Prüfung konnte nicht laufen", "check could not run")}[state] }}{% endmacro %}
{% macro told(check) %}<span class="de" lang="de">{{ check.observed_de }}<br>erwartet: {{ check.expected_de }}</span><span class="en" lang="en">{{ check.observed }}<br>expected: {{ check.expected }}</span>{% endmacro %}
{% macro trend(check) %}<span class="trend">{% for day, state in check.trend -%}
<i class="{{ state or 'none' }}" title="{{ day }}">{{ marks[state] }}</i>{%- endfor %}</span>{% endmacro %}
{% macro examples(check) %}{% if check.examples %}<table class="rows"><tr>{% for column in check.examples[0] %}<th>{{ column }}</th>{% endfor %}</tr>
{% for example in check.examples %}<tr>{% for value in example.values() %}<td>{{ value }}</td>{% endfor %}</tr>{% endfor %}</table>{% endif %}{% endmacro %}
<!doctype html>
<html lang="de"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Rollin: Prüfbericht {{ as_of }}</title>
<style>
body{font:16px/1.45 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}
#en:checked~main .de,#de:checked~main .en{display:none}
.banner{padding:.7rem 1rem;border-left:.5rem solid;margin:1rem 0;background:#f4f4f4}
.banner.passed{border-color:#1a7f37}.banner.refused,.banner.no_data{border-color:#b3261e}.notice{background:#fff4ce;padding:.4rem 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #ddd}
.rows{width:auto;font-size:.85rem;margin:.3rem 0}.trend i{display:inline-block;width:1.1em;text-align:center;font-style:normal}
.passed{color:#1a6b30}.warn{color:#8a5a00}.error,.broken{color:#b3261e}.none{color:#888}.banner,.banner *{color:#1b1b1b}
code{font-size:.85rem;overflow-wrap:anywhere}details{margin:.4rem 0}summary{cursor:pointer}svg{max-width:100%;height:auto}
</style></head><body>
<input type="radio" name="language" id="de" checked><label for="de">Deutsch</label>
<input type="radio" name="language" id="en"><label for="en">English</label>
<main>
<h1>{{ both("Prüfbericht", "Gate report") }} {{ as_of }}</h1>
{% if is_synthetic %}<p class="notice"><strong>{{ both("Synthetische Daten: erfunden, nicht gemessen.", "Synthetic data: invented, not measured.") }}</strong></p>{% endif %}
<div class="banner {{ outcome }}"><strong>
{%- if outcome == "passed" %}{{ both("Die Prüfung ist bestanden.", "The gate is passed.") }}
{%- elif outcome == "no_data" %}{{ both("Es fehlen zulässige Daten: nichts wird veröffentlicht, der bisherige Stand bleibt.", "Admissible data are missing: nothing is published, the release before stays.") }}
{%- else %}{{ both("Zurückgewiesen: nichts wird veröffentlicht, der bisherige Stand bleibt.", "Refused: nothing is published, the release before stays.") }}{% endif %}
</strong>{% if message %}<br>{{ message }}{% endif %}<br>
{{ counts.passed }} {{ both("bestanden", "passed") }}, {{ counts.warn }} {{ both("Hinweise", "warnings") }}, {{ counts.error }} {{ both("nicht bestanden", "failed") }}, {{ counts.broken }} {{ both("konnten nicht laufen", "could not run") }}.
<br><code>{{ run_id }}</code></div>
{% if report %}<p>{% if outcome == "passed" %}{{ both("Die Zahlen dieser Nacht in Bildern:", "The numbers of this night in pictures:") }}{% else %}{{ both("Was weiter gilt, in Bildern:", "What still holds, in pictures:") }}{% endif %} <a href="{{ report }}">{{ both("Bericht", "Report") }}</a></p>
{% endif %}{% if nights %}<h2>{{ both("Verlauf der letzten Nächte", "The last nights") }}</h2>
<svg role="img" width="{{ 44 * nights|length + 10 }}" height="130" viewBox="0 0 {{ 44 * nights|length + 10 }} 130">
<title>Nicht bestandene Prüfungen und Hinweise je Nacht / failed checks and warnings per night</title>
{% for night in nights %}{% set bad = night.count("error", "broken") %}{% set warn = night.count("warn") %}
{% set h1 = (80 * bad / highest)|round(1) %}{% set h2 = (80 * warn / highest)|round(1) %}
<g><title>{{ night.day }}: {{ night.outcome }}, ✕ {{ bad }}, ! {{ warn }}</title>
<rect x="{{ 44 * loop.index0 + 10 }}" y="{{ 95 - h1 }}" width="30" height="{{ h1 }}" fill="#b3261e"/>
<rect x="{{ 44 * loop.index0 + 10 }}" y="{{ 95 - h1 - h2 }}" width="30" height="{{ h2 }}" fill="#e0a100"/>
<text x="{{ 44 * loop.index0 + 25 }}" y="{{ 91 - h1 - h2 }}" text-anchor="middle" font-size="11">{{ bad + warn }}</text>
<text x="{{ 44 * loop.index0 + 25 }}" y="110" text-anchor="middle" font-size="10">{{ night.day.strftime("%d.%m.") }}</text>
<text x="{{ 44 * loop.index0 + 25 }}" y="124" text-anchor="middle" font-size="11">{{ "✓" if night.outcome == "passed" else "✕" }}</text></g>
{% endfor %}</svg>{% endif %}
{% if failed %}<h2>{{ both("Was auffiel", "What stood out") }}</h2>
<table><tr><th>{{ both("Ergebnis", "Result") }}</th><th>{{ both("Prüfung", "Check") }}</th><th>{{ both("Gefunden, erwartet", "Found, expected") }}</th><th>{{ both("Verlauf", "Trend") }}</th></tr>
{% for check in failed %}<tr><td class="{{ check.state }}">{{ marks[check.state] }} {{ word(check.state) }}</td>
<td>{{ both(check.german, check.english) }}<br><code>{{ check.table }}{% if check.column %}.{{ check.column }}{% endif %} · {{ check.name }}</code></td>
<td>{{ told(check) }}{{ examples(check) }}</td><td>{{ trend(check) }}</td></tr>{% endfor %}</table>
<p>{{ both("Von Zeilen stehen hier nur Schlüssel; was kein amtlicher Schlüssel ist, steht als Anfang seines sha256. Wer die Tabelle lesen darf, findet die Zeile mit", "Of rows only keys are shown; what is no official key is shown as the beginning of its sha256. Who may read the table finds the row by") }}
<code>where left(sha256(entry_id), 10) = '…'</code>.</p>{% endif %}
{% if deliveries %}<h2>{{ both("Lieferungen", "Deliveries") }}</h2>
<table><tr><th>Land</th><th>{{ both("Quelle", "Source") }}</th><th>{{ both("Lieferung", "Delivery") }}</th><th>{{ both("Ergebnis", "Result") }}</th></tr>
{% for d in deliveries %}<tr><td>{{ d.land_code }}</td><td>{{ d.source }}</td><td><code>{{ d.delivery_id }}</code></td><td>
{% if d.is_admitted %}<span class="passed">✓ {{ both("zugelassen", "admitted") }}</span>{% else %}<span class="error">✕ {{ both("nicht zugelassen", "not admitted") }}</span> {{ both(d.de, d.en) }}{% endif %}
{% for check in d.failed %}<br><span class="{{ check.state }}">{{ marks[check.state] }}</span> {{ both(check.german, check.english) }} {{ told(check) }}{{ examples(check) }}{% endfor %}</td></tr>{% endfor %}</table>{% endif %}
<h2>{{ both("Alle Prüfungen", "All checks") }}</h2>
{% for table, checks in tables.items() %}<details><summary><code>{{ table or "dbt" }}</code> {{ checks|length }}{% for check in checks if check.state != "passed" %} <span class="{{ check.state }}">{{ marks[check.state] }}</span>{% endfor %}</summary>
<table>{% for check in checks %}<tr><td class="{{ check.state }}" title="{{ check.state }}">{{ marks[check.state] }}</td><td>{{ both(check.german, check.english) }} <code>{% if check.column %}{{ check.column }} · {% endif %}{{ check.name }}</code></td>
<td>{{ told(check) }}</td><td>{{ trend(check) }}</td></tr>{% endfor %}</table></details>
{% endfor %}
</main></body></html>
"""
)
