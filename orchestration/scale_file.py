"""``rollin test-scale``: the pre-registered test on a table that somebody brings along.

Belongs here: reading the file, taking a look at it, saying in German or English what came out. Does not: the rule
(``dbt_project/preregistration.yml``) and how it is applied (``dbt_project.estimators.scale``), which a release uses as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from dbt_project import preregistration
from dbt_project.estimators import scale
from dbt_project.preregistration import Look, Preregistration, PreregistrationError
from ingest.portals import base, xlsx
from ingest.portals import csv as delimited
from ingest.portals.base import UnreadableDelivery
from orchestration.settings import UsageError

Language = Literal["de", "en"]

#: A scale_observation of sixteen Länder and the whole catalogue has a tenth of this.
MAX_BYTES = 2 * 1024**3

_VERDICTS_DE = {
    "supported": "belegt",
    "contradicted": "widerlegt",
    "immaterial": "unerheblich (die Ersparnis ist kleiner als delta)",
    "inconclusive": "nicht entschieden",
    "not_due": "noch nicht fällig",
}
_CLAIMS = {
    "C1": ("Sinkende Kosten (Lernen)", "Falling costs (learning)", "der Erfahrung", "of experience"),
    "C2": ("Skaleneffekte (größere Abrufe)", "Economies of scale (larger call-offs)", "der Abrufgröße", "of the call-off"),
}
_OUTCOMES = {"cost": ("Kosten", "cost"), "person_days": ("Personentage", "person-days")}


@dataclass(frozen=True)
class Tested:
    """What the test found. ``look``: the look that was taken or is coming; ``is_as_if``: it is none of the registered ones."""

    rows: int
    rule: Preregistration
    look: Look | None
    is_as_if: bool
    verdicts: list[scale.Verdict]
    estimates: list[scale.Estimate]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "rows": self.rows,
            "prereg_sha256": self.rule.sha256,
            "is_as_if": self.is_as_if,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "estimates": [asdict(estimate) for estimate in self.estimates],
        }


def run(path: Path, as_of: date, *, as_if: bool = False, rule_path: Path | None = None, lang: Language = "de") -> Tested:
    """Test the table in ``path`` with what was known on ``as_of``.

    ``as_if``: everything accepted so far is judged as if the first look were taken at it now, which decides nothing that was
    registered. ``rule_path``: another pre-registration. Raises UsageError, one sentence in ``lang``, for what cannot be tested.
    """
    try:
        rule = preregistration.load(rule_path or preregistration.PATH)
    except PreregistrationError as error:
        raise UsageError(str(error)) from None
    try:
        observations = scale.check(read(path))
        look = _as_if(observations, rule) if as_if else scale.due_look(observations, rule, as_of)
        day = max(as_of, look.look_on) if as_if and look else as_of
        verdicts = scale.judge(observations, rule, as_of=day, first_cost_on=None, look=look)
        estimates = scale.estimate(observations, rule, look)
    except UnreadableDelivery as error:
        raise UsageError(f"{path.name}: {error.sentence_de if lang == 'de' else error.sentence_en}") from None
    except scale.ScaleError as error:
        raise UsageError(f"{path.name}: {error.german if lang == 'de' else error}") from None
    return Tested(observations.height, rule, look, as_if, verdicts, estimates)


def read(path: Path) -> pl.DataFrame:
    """A CSV (comma or semicolon, decimal comma with the latter), XLSX (first sheet) or Parquet file as it stands.

    Raises UnreadableDelivery for a file that is none of these, and UsageError where there is none or it is too large.
    """
    try:
        size = path.stat().st_size
        head = path.open("rb").read(2000) if path.is_file() else b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): name a file.") from None
    if not path.is_file():
        raise UsageError(f"{path} is no file: name a CSV, XLSX or Parquet file.")
    if size > MAX_BYTES:
        raise UsageError(
            f"{path.name} has more than {MAX_BYTES // 1024**3} GiB: give only the columns and rows of scale_observation."
        )
    if head.startswith(b"PAR1"):
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UsageError(f"{path.name} is a damaged Parquet file: write it again ({str(error).splitlines()[0]}).") from None
    if head.startswith(b"PK"):
        return _with_names(xlsx.sheet_rows(path))
    text = base.decode(path.read_bytes(), None)
    frame = delimited.read_text(text)
    _whole(frame)
    is_german = ";" in text.partition("\n")[0]
    return frame.with_columns(_with_point(name) for name in _numbers(frame)) if is_german else frame


def _with_names(sheet: pl.DataFrame) -> pl.DataFrame:
    """The first row of a sheet names its columns."""
    _whole(sheet)
    rows = sheet.drop("_malformed", strict=False)
    names = rows.row(0) if rows.height else ()
    kept = {column: str(name).strip() for column, name in zip(rows.columns, names, strict=False) if name}
    if len(set(kept.values())) != len(kept):
        raise UnreadableDelivery("Zwei Spalten heißen gleich: eine umbenennen.", "Two columns have the same name: rename one.")
    frame = rows.slice(1).select(list(kept)).rename(kept)
    return frame.filter(~pl.all_horizontal(pl.all().is_null())).with_columns(_day(name) for name in _days(frame))


def _whole(frame: pl.DataFrame) -> None:
    if "_malformed" not in frame.columns:
        return
    bad = frame.filter(pl.col("_malformed").is_not_null())
    if bad.height:
        raise UnreadableDelivery(
            f"{bad.height} Zeilen sind nicht lesbar ({bad['_malformed'][0]}): berichtigen oder entfernen.",
            f"{bad.height} rows cannot be read ({bad['_malformed'][0]}): correct or remove them.",
        )


def _numbers(frame: pl.DataFrame) -> list[str]:
    return [n for n, kind in scale.OBSERVATION_SCHEMA.items() if n in frame.columns and kind in (pl.Float64, pl.Int64)]


def _days(frame: pl.DataFrame) -> list[str]:
    return [n for n, kind in scale.OBSERVATION_SCHEMA.items() if n in frame.columns and kind == pl.Date]


def _with_point(name: str) -> pl.Expr:
    """A number as German spreadsheets write it: 1.234,5; without a comma it stays as it is."""
    text = pl.col(name)
    return (
        pl.when(text.str.contains(",", literal=True))
        .then(text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        .otherwise(text)
    )


def _day(name: str) -> pl.Expr:
    """A day that a sheet holds with a time of day."""
    return pl.col(name).str.replace(r"^(\d{4}-\d{2}-\d{2})[ T]00:00:00(\.0+)?$", "$1")


def _as_if(observations: pl.DataFrame, rule: Preregistration) -> Look:
    last = observations["accepted_on"].max()
    accepted_by = last if isinstance(last, date) else rule.looks[0].accepted_by
    return Look(name="as_if", accepted_by=accepted_by, look_on=accepted_by + timedelta(days=1), ci_level=rule.looks[0].ci_level)


# ------------------------------------------------------------------------------------------------------------------------ what is told


def told(tested: Tested, lang: Language) -> Iterator[str]:
    """The verdicts in sentences, the programme's first."""
    german = lang == "de"
    first = tested.verdicts[0]
    yield (
        f"Programm: {_VERDICTS_DE[first.verdict]}" if german else f"Programme: {first.verdict.replace('_', ' ')}"
    ) + f"  ({_named(first, german)})"
    if tested.is_as_if:
        yield (
            "Als ob jetzt ausgewertet würde: keine der vorab festgelegten Auswertungen, entscheidet nichts."
            if german
            else "As if the look were taken now: none of the registered looks, decides nothing."
        )
    elif first.verdict == "not_due":
        yield (
            f"Die Auswertung ist für den {first.look_on} festgelegt. Bis dahin beschreiben die Zahlen und entscheiden nichts."
            if german
            else f"The look is set for {first.look_on}. Until then the numbers describe and decide nothing."
        )
    for verdict in tested.verdicts:
        yield ""
        yield from _one(verdict, german)
    yield ""
    sha = tested.rule.sha256
    yield f"{'Regel' if german else 'Rule'}: preregistration.yml sha256 {sha}"


def _one(verdict: scale.Verdict, german: bool) -> Iterator[str]:
    words = _VERDICTS_DE[verdict.verdict] if german else verdict.verdict.replace("_", " ")
    yield f"{_named(verdict, german)}: {words}"
    if verdict.estimate is not None and verdict.ci_low is not None and verdict.ci_high is not None:
        of = _CLAIMS[verdict.claim][2 if german else 3]
        interval = f"{verdict.estimate:.1%} [{verdict.ci_low:.1%}; {verdict.ci_high:.1%}]"
        yield (
            f"  Ersparnis je Verdopplung {of}: {interval}, verlangt {verdict.delta:.0%}; n = {verdict.n}, Cluster {verdict.clusters}"
            if german
            else f"  saving per doubling {of}: {interval}, demanded {verdict.delta:.0%}; n = {verdict.n}, clusters {verdict.clusters}"
        )
    powers = [
        (size, power)
        for size, power in ((5, verdict.power_05), (10, verdict.power_10), (20, verdict.power_20))
        if power is not None
    ]
    if powers:
        listed = ", ".join(f"{power:.0%} ({size} %)" for size, power in powers)
        yield f"  {'Aussicht auf „belegt“ bei wahrer Ersparnis' if german else 'chance of “supported” at a true saving'}: {listed}"
    if verdict.label:
        labels = [scale.LABELS.get(label, label) if german else label for label in verdict.label.split("; ")]
        yield f"  {'Vorbehalte' if german else 'reservations'}: {'; '.join(labels)}"
    for gate in verdict.gates:
        if not gate.passed:
            yield f"  {'nicht erfüllt' if german else 'not met'}: {gate.words_de if german else gate.words_en}"


def _named(verdict: scale.Verdict, german: bool) -> str:
    which = 0 if german else 1
    return f"{verdict.claim} {_CLAIMS[verdict.claim][which]}, {_OUTCOMES[verdict.outcome][which]}"


def unavailable(tested: Tested, lang: Language) -> list[str]:
    """The specifications that the table cannot answer, each with its reason."""
    rows = {f"{one.claim} {one.outcome} {one.specification}": one.reason for one in tested.estimates if one.status != "available"}
    word = "nicht verfügbar" if lang == "de" else "unavailable"
    return [f"{name}: {word} ({reason})" for name, reason in rows.items()]
