"""``rollin check``: a Land's data officer tries a delivery before sending it.

Belongs here: the trial in a temporary home, what is told about it in German and English, the annotated copy of the file. Does not: any
rule. Rows are read by ``ingest.portals``, cleaned by ``ingest.clean`` and the delivery is judged by ``Night.judge``, as in a night.

The home is only read: its landing as it is, what it has cleaned and judged already through links into the temporary home.

The annotated copy is of the file's own kind where people open such files: CSV in its delimiter, encoding and line ends; XLSX with its
formatting, formulas replaced by their last values (pictures and charts are lost). Of other formats, of unreadable stylesheets and of
sheets beyond ``MAX_ANNOTATED_CELLS`` it is an XLSX list of the rows that are not accepted.
"""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import json
import logging
import os
import re
import stat
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ingest import portals
from ingest.clean import CleaningRecord, clean_delivery
from ingest.directory import Reference
from ingest.landfile import LandFile, NotConfigured, Source
from ingest.landing import Delivery, Landing, LandingError, Part
from ingest.portals import base as reading
from ingest.portals import csv as delimited
from ingest.tables import TABLES
from ingest.transport import Limits
from orchestration import withdrawals
from orchestration.night import REFERENCE_TABLES, Admission, Night, NoData
from orchestration.settings import Settings, UsageError

log = logging.getLogger("rollin.night")

Language = Literal["de", "en"]

#: Rows that the terminal shows; all of them are in the copy and in ``--json``.
SHOWN_ROWS = 20
#: Cells of a sheet that is given back as it came: beyond, its copy would take gigabytes.
MAX_ANNOTATED_CELLS = 1_000_000
#: Columns that the copy has more than the file.
RESULT, REASON = "Rollin Ergebnis", "Rollin Grund"

_WORDS = {"de": ("angenommen", "abgelehnt"), "en": ("accepted", "not accepted")}
_RULES_DE = {
    "wrong_unit": "falsche Einheit",
    "malformed": "nicht lesbar",
    "missing": "fehlt",
    "unknown_value": "unbekannter Wert",
    "wrong_land": "fremdes Land",
    "unknown_key": "unbekannter Schlüssel",
    "ambiguous_key": "mehrdeutiger Schlüssel",
    "out_of_range": "außerhalb des Wertebereichs",
    "future_date": "in der Zukunft",
    "duplicate": "doppelt",
    "conflict": "widersprüchlich",
}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHOWN_CHARACTERS = 60
_SHEET_ROWS, _SHEET_COLUMNS = 1_048_576, 16_384
_XML_ENTITIES = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """What a night would make of a file.

    ``rejected``: one row per row that is not accepted: ``row`` (as seen in the file), ``rule``, ``column`` and ``value`` as delivered,
    ``reason_de``, ``reason_en``. ``findings``: sentences of delivery checks that failed without refusing. ``notes``: what to know about
    this trial. Sentences are pairs of German and English. ``copy``: the annotated copy, None where the file cannot be read.
    """

    land: LandFile
    source: Source
    file: str
    record: CleaningRecord
    admission: Admission
    rejected: pl.DataFrame
    findings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    copy: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 where the delivery would be admitted, 3 where it would be refused."""
        return 0 if self.admission.is_admitted else 3

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types, every row included."""
        return {
            "land_code": self.land.land_code,
            "source": self.source.name,
            "file": self.file,
            "is_admitted": self.admission.is_admitted,
            "refusal_de": self.admission.refusal_de,
            "refusal_en": self.admission.refusal_en,
            "rows_delivered": self.record.rows_delivered,
            "rows_accepted": self.record.rows_clean,
            "rows_rejected": self.rejected.height,
            "rules": self.record.quarantined,
            "missing_columns": self.record.missing_columns,
            "unknown_columns": self.record.unknown_columns,
            "checks": self.admission.checks,
            "findings": [{"de": german, "en": english} for german, english in self.findings],
            "notes": [{"de": german, "en": english} for german, english in self.notes],
            "copy": str(self.copy) if self.copy else None,
            "rows": self.rejected.to_dicts(),
        }


def check(settings: Settings, file: Path, land: str, source: str, out: Path | None, language: Language) -> Verdict:
    """Try a file as the next delivery of a source, and write its annotated copy into ``out`` (default: the current folder).

    ``land``: a land_code or a Land's name. Nothing is landed, published or changed in the home.
    Raises UsageError for what is no file, no source or no place for the copy, and where no directory can be had.
    """
    with tempfile.TemporaryDirectory(prefix="rollin-check-") as folder, _told(language):
        temporary = Path(folder)
        night = _Trial(replace(settings, home=temporary / "home", as_of=None), "check")
        land_file, described = _named(night, land, source, language)
        trial = Landing(temporary / "trial")
        delivery = _landed(trial, night, land_file, described, file, language)
        target = _target(settings, land_file, described, file, out, language)
        notes: list[tuple[str, str]] = []
        night.landing = Landing(settings.home)
        deliveries = night.landing.deliveries(land_file.land_code, described.name)
        reference: Reference | None = None
        if TABLES[described.table].day:
            reference = _reference(night, settings, temporary, land_file, notes)
        _link_known(settings.home, night.settings.home, [(land_file, described)])
        predecessor = _predecessor(night, Landing(settings.home), land_file, described, notes)

        record = clean_delivery(trial.root.parent, trial, land_file, described, delivery, reference, night.now, as_seen=True)
        quarantine = pl.read_parquet(trial.root.parent / record.quarantine_path)
        placed = replace(
            record,
            clean_path=str(trial.root.parent / record.clean_path),
            quarantine_path=str(trial.root.parent / record.quarantine_path),
        )
        admission = night.judge(described, placed, predecessor)
        taken = withdrawals.withdrawn(
            Landing(settings.home), land_file.land_code, described.name, [*deliveries, delivery], night.now
        ).get(delivery.delivery_id)
        if taken is not None:
            admission = replace(admission, is_admitted=False, refusal_de=taken.sentence_de, refusal_en=taken.sentence_en)
        verdict = Verdict(
            land_file,
            described,
            file.name,
            record,
            admission,
            _rejected(quarantine, described),
            _findings(admission),
            notes,
        )
        if record.problem is not None and not record.rows_delivered:
            return verdict
        _annotate(trial.path(delivery.parts[0]), verdict, target, language)
        return replace(verdict, copy=target if target.exists() else _listed(target))


def told(verdict: Verdict, language: Language) -> list[str]:
    """The verdict for a terminal: lines without the rows."""
    german = language == "de"
    record, admission = verdict.record, verdict.admission
    number = (lambda n: f"{n:,}".replace(",", ".")) if german else (lambda n: f"{n:,}")
    lines = []
    rules = ", ".join(
        f"{_RULES_DE.get(rule, rule) if german else rule} {number(count)}" for rule, count in record.quarantined.items()
    )
    rejected = f" ({rules})" if rules else ""
    title = f"{verdict.land.name}/{verdict.source.name}, {_shown(verdict.file)}"
    if german:
        lines.append(
            f"{title}: {number(record.rows_delivered)} Zeilen, {number(record.rows_clean)} angenommen, "
            f"{number(verdict.rejected.height)} abgelehnt{rejected}."
        )
        lines.append(
            "Die Lieferung würde angenommen."
            if admission.is_admitted
            else f"Die Lieferung würde nicht angenommen: {admission.refusal_de}"
        )
    else:
        lines.append(
            f"{title}: {number(record.rows_delivered)} rows, {number(record.rows_clean)} accepted, "
            f"{number(verdict.rejected.height)} not accepted{rejected}."
        )
        lines.append(
            "The delivery would be admitted."
            if admission.is_admitted
            else f"The delivery would not be admitted: {admission.refusal_en}"
        )
    for columns, label_de, label_en in (
        (record.missing_columns, "Fehlende Spalten", "Missing columns"),
        (record.unknown_columns, "Unbekannte Spalten, die nicht gelesen werden", "Unknown columns, which are not read"),
    ):
        if columns:
            lines.append(f"{label_de if german else label_en}: {', '.join(_shown(column) for column in columns)}.")
    lines += [_shown(pair[0 if german else 1], 1_000) for pair in (*verdict.findings, *verdict.notes)]
    return lines


def shown_rows(verdict: Verdict, language: Language) -> tuple[list[str], list[list[str]], str | None]:
    """Headings and the first rows that are not accepted, and where the others are."""
    german = language == "de"
    names = ["Zeile", "Spalte", "geliefert", "Grund"] if german else ["row", "column", "delivered", "reason"]
    reason = "reason_de" if german else "reason_en"
    rows = [
        [str(row["row"]), row["column"] or "", row["value"] or "", row[reason]]
        for row in verdict.rejected.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    more = verdict.rejected.height - len(rows)
    if more <= 0:
        return names, rows, None
    return names, rows, f"… und {more} weitere Zeilen." if german else f"… and {more} further rows."


class _Trial(Night):
    """A night that only looks: nothing is added to any home, so real and synthetic data may meet in it."""

    def _guard(self, land: LandFile, source: Source) -> None:
        pass


# -- what is tried, and against what ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _told(language: Language) -> Iterator[None]:
    """Our own store's and the directory's troubles as a usage error."""
    try:
        yield
    except LandingError as error:
        raise UsageError(str(error)) from None
    except NoData as error:
        raise _usage(
            language,
            f"Ohne Gemeindeverzeichnis ist nicht zu sagen, welche Behörde gemeint ist ({error}): mit --home den Ordner eines Laufs nennen "
            "oder ROLLIN_GV100AD_LOCATION auf die Datei des Gemeindeverzeichnisses setzen.",
            f"Without a municipal directory nobody can say which authority is meant ({error}): name the folder of a run with --home, or "
            "set ROLLIN_GV100AD_LOCATION to the directory's file.",
        ) from None


def _usage(language: Language, german: str, english: str) -> UsageError:
    return UsageError(german if language == "de" else english)


def _named(night: Night, land: str, source: str, language: Language) -> tuple[LandFile, Source]:
    by_name = {one.name.casefold(): one for one in night.laender.values()}
    found = night.laender.get(land) or by_name.get(land.casefold())
    if found is None:
        known = ", ".join(f"{one.land_code} ({one.name})" for one in night.laender.values())
        raise _usage(
            language,
            f"'{land}' hat keine Länderdatei: mit --land eines von {known} nennen.",
            f"'{land}' has no Land file: name one of {known} with --land.",
        )
    for described in found.sources:
        if described.name == source:
            return found, described
    sources = ", ".join(one.name for one in found.sources)
    raise _usage(
        language,
        f"{found.name} hat keine Quelle '{source}': mit --source eine von {sources} nennen.",
        f"{found.name} has no source '{source}': name one of {sources} with --source.",
    )


def _landed(trial: Landing, night: Night, land: LandFile, source: Source, file: Path, language: Language) -> Delivery:
    """The file as a delivery of its own. Raises UsageError for anything that is no readable file of bearable size."""
    limit = Limits().total_bytes
    try:
        state = os.lstat(file)
        if stat.S_ISLNK(state.st_mode):
            raise _usage(
                language, f"{file} ist ein Verweis: die Datei selbst angeben.", f"{file} is a link: name the file itself."
            )
        if not stat.S_ISREG(state.st_mode):
            raise _usage(
                language, f"{file} ist keine Datei: die Datei der Lieferung angeben.", f"{file} is no file: name the file."
            )
        if state.st_size > limit:
            raise _usage(
                language,
                f"{file} ist größer als {limit:,} Bytes: in Teilen liefern.",
                f"{file} is larger than {limit:,} bytes: deliver it in parts.",
            )
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as opened:
            sha256, size = trial.put(iter(lambda: opened.read(1024**2), b""))
    except OSError as error:
        raise _usage(
            language,
            f"{file} ist nicht lesbar ({error.strerror}): Namen und Rechte der Datei prüfen.",
            f"{file} cannot be read ({error.strerror}): check its name and rights.",
        ) from None
    part = Part(str(file), sha256, size, None, None, None, None, file.name)
    return trial.store(
        land_code=land.land_code,
        source=source.name,
        table=source.table,
        format=source.format,
        delivered_at=night.now,
        parts=[part],
        licence=source.licence,
    )


def _reference(night: _Trial, settings: Settings, temporary: Path, land: LandFile, notes: list[tuple[str, str]]) -> Reference:
    """Who is competent where, as the home knows it; where it has no directory, from one that is fetched for this trial alone."""
    sources = [(one, s) for one in night.laender.values() for s in one.sources if s.table in REFERENCE_TABLES]
    directories = [(one, s) for one, s in sources if s.table == "regions"]
    if any(night.landing.newest(one.land_code, s.name) is not None for one, s in directories):
        _link_known(settings.home, night.settings.home, sources)
        reference = night.reference(land.land_code)
        if any(night.admit(one.land_code, s.name).is_synthetic for one, s in directories) and not night.is_synthetic(land):
            notes.append(
                (
                    f"Das Gemeindeverzeichnis in {settings.home} ist synthetisch.",
                    f"The municipal directory in {settings.home} is synthetic.",
                )
            )
        return reference
    night.landing = Landing(temporary / "home")
    for one, directory in directories:
        outcome = night.fetch(one.land_code, directory.name)
        if outcome.problem:
            log.warning("%s", outcome.problem_en)
    for own in land.sources:  # competences that a Land delivers itself count as much as derived ones
        if own.table in ("authorities", "competences"):
            night.fetch(land.land_code, own.name)
    notes.append(
        (
            f"In {settings.home} liegt kein Gemeindeverzeichnis: es wurde nur für diese Prüfung abgerufen.",
            f"There is no municipal directory in {settings.home}: it was fetched for this check alone.",
        )
    )
    return night.reference(land.land_code)


def _link_known(home: Path, temporary: Path, sources: Sequence[tuple[LandFile, Source]]) -> None:
    """Let the temporary home know what the home has cleaned and judged. Links: whoever writes there replaces them, not their targets."""
    for land, source in sources:
        below = Path(land.land_code) / source.name
        for kind in ("clean/records", "clean/admissions", f"clean/{source.table}", f"quarantine/{source.table}"):
            for path in (home / kind / below).glob("[!.]*"):
                link = temporary / kind / below / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to(path.absolute())


def _predecessor(
    night: _Trial, landing: Landing, land: LandFile, source: Source, notes: list[tuple[str, str]]
) -> CleaningRecord | None:
    """The newest delivery of the source that counts in the home; what a snapshot is compared with."""
    night.landing = landing
    admitted = night.admit(land.land_code, source.name).admitted if landing.newest(land.land_code, source.name) else []
    if not admitted:
        notes.append(
            (
                "Verglichen wurde mit keiner früheren Lieferung: hier liegt keine, die gilt.",
                "It was compared with no earlier delivery: there is none here that counts.",
            )
        )
        return None
    newest = admitted[-1].record
    notes.append(
        (
            f"Verglichen wurde mit der Lieferung {newest.delivery_id} ({newest.rows_clean} gültige Zeilen).",
            f"It was compared with the delivery {newest.delivery_id} ({newest.rows_clean} clean rows).",
        )
    )
    return newest


# -- what is told -----------------------------------------------------------------------------------------------------------


def _rejected(quarantine: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The quarantined rows under the names and with the values of the file."""
    names = [None if column is None else source.columns.get(column, column) for column in quarantine["column"]]
    values = [
        None if name is None else _cell(json.loads(raw).get(name)) for name, raw in zip(names, quarantine["raw"], strict=True)
    ]
    return pl.DataFrame(
        {
            "row": quarantine["row_number"],
            "rule": quarantine["rule"],
            "column": pl.Series([None if name is None else _shown(name) for name in names], dtype=pl.String),
            "value": pl.Series(values, dtype=pl.String),
            "reason_de": quarantine["reason"],
            "reason_en": quarantine["reason_en"],
        }
    )


def _findings(admission: Admission) -> list[tuple[str, str]]:
    """Delivery checks that failed but do not refuse, each as the sentence that a refusal would be."""
    from expectations.results import CheckResult, refusal

    failed = [CheckResult.from_dict(result) for result in admission.checks if not result["passed"]]
    sentences = [refusal([replace(result, severity="error")]) for result in failed if not result.blocks]
    return [(f"Hinweis: {pair[0]}", f"Note: {pair[1]}") for pair in sentences if pair is not None]


def _shown(text: str, characters: int = _SHOWN_CHARACTERS) -> str:
    """Text of a delivery for a terminal: no control characters, bounded."""
    clean = _UNPRINTABLE.sub("�", text)
    return clean if len(clean) <= characters else f"{clean[:characters]}…"


def _cell(value: Any) -> str | None:
    return None if value is None else _shown(str(value))


# -- the annotated copy -----------------------------------------------------------------------------------------------------


def _target(settings: Settings, land: LandFile, source: Source, file: Path, out: Path | None, language: Language) -> Path:
    """Where the copy goes. Raises UsageError where there is no folder, or where a night would take the copy for a delivery."""
    folder = out or Path.cwd()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _usage(
            language,
            f"{folder} ist kein Ordner für die Kopie ({error.strerror}): mit --out einen anderen nennen.",
            f"{folder} is no folder for the copy ({error.strerror}): name another one with --out.",
        ) from None
    target = folder / f"geprueft-{file.name}"
    with contextlib.suppress(NotConfigured, ValueError):
        location = source.resolved_location(settings.environ)
        if any(
            fnmatch.fnmatch(os.path.normpath(path.absolute()), os.path.normpath(location)) for path in (target, _listed(target))
        ):
            raise _usage(
                language,
                f"{target} würde als Lieferung von {land.name}/{source.name} gelesen: mit --out einen anderen Ordner nennen.",
                f"{target} would be read as a delivery of {land.name}/{source.name}: name another folder with --out.",
            )
    return target


def _listed(target: Path) -> Path:
    """The list of rows, where the file is not given back as it came."""
    return target.with_name(f"{target.name}.xlsx")


def _annotate(delivered: Path, verdict: Verdict, target: Path, language: Language) -> None:
    """Write the copy, or the list where there can be none; what an earlier check left there is replaced."""
    for old in (target, _listed(target)):
        if old.is_file() or old.is_symlink():
            old.unlink()
    written = False
    try:
        if verdict.source.format == "csv":
            _annotate_csv(delivered, verdict, target, language)
            written = True
        elif verdict.source.format == "xlsx":
            written = _annotate_xlsx(delivered, verdict, target, language)
        if not written:
            _list_rows(verdict, _listed(target), language)
    except OSError as error:
        raise _usage(
            language,
            f"{target} ist nicht zu schreiben ({error.strerror}): mit --out einen anderen Ordner nennen.",
            f"{target} cannot be written ({error.strerror}): name another folder with --out.",
        ) from None


def _verdicts(rows: pl.Series, verdict: Verdict, language: Language) -> pl.DataFrame:
    """For every row of a file: ``row``, ``result`` and ``reason`` (NULL where it is accepted), ``column``."""
    accepted, rejected = _WORDS[language]
    reasons = verdict.rejected.select("row", "column", pl.col(f"reason_{language}").alias("reason"))
    return (
        pl.DataFrame({"row": rows.cast(pl.Int64)})
        .join(reasons, on="row", how="left", maintain_order="left")
        .with_columns(pl.when(pl.col("reason").is_null()).then(pl.lit(accepted)).otherwise(pl.lit(rejected)).alias("result"))
    )


def _annotate_csv(delivered: Path, verdict: Verdict, target: Path, language: Language) -> None:
    """The same text with two further fields at the end of each row and of the header. Cells that begin a formula get a leading ``'``."""
    source = verdict.source
    data = delivered.read_bytes()
    encoding = source.reading.encoding or ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    if encoding == "utf-8" and data.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    text = reading.decode(data, source.reading.encoding)
    delimiter, width, rows = delimited.row_lines(text, source.reading.delimiter, source.reading.header_row)
    newline = next((sign for sign in ("\r\n", "\n", "\r") if sign in text), "\n")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    field_begins = re.compile(
        rf'(?m)(^|{re.escape(delimiter)})( *"? *)(?=[=@\t]|[+-](?! *[\d.,]+ *(?:€|EUR|%)? *"? *(?:{re.escape(delimiter)}|$)))'
        if delimiter != "\t"
        else r'(?m)(^|\t)( *"? *)(?=[=@]|[+-](?! *[\d.,]+ *(?:€|EUR|%)? *"? *(?:\t|$)))'
    )
    inert = field_begins.sub(r"\1\2'", lines)
    verdicts = _verdicts(rows["_row"], verdict, language).with_columns(rows["_last"])
    reason = pl.col("reason").str.replace_all('"', '""', literal=True)
    quoted = pl.when(reason.is_null()).then(pl.lit("")).otherwise(pl.concat_str(pl.lit('"'), reason, pl.lit('"')))
    ends = verdicts.select(
        pl.col("_last").alias("line"), pl.concat_str(pl.lit(delimiter), "result", pl.lit(delimiter), quoted).alias("end")
    )
    header = pl.DataFrame({"line": [source.reading.header_row], "end": [f"{delimiter}{RESULT}{delimiter}{REASON}"]})
    body = pl.DataFrame({"text": inert.split("\n")}).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line"))
    # a row that is too short is filled up, so that the result stands under its heading
    short = width - 1 - pl.col("text").str.count_matches(delimiter, literal=True).cast(pl.Int64)
    is_plain = pl.col("end").is_not_null() & ~pl.col("text").str.contains('"', literal=True) & (short > 0)
    filling = pl.when(is_plain).then(pl.lit(delimiter).repeat_by(pl.max_horizontal(short, 0)).list.join("")).otherwise(pl.lit(""))
    annotated = body.join(pl.concat([ends, header]), on="line", how="left", maintain_order="left").select(
        pl.concat_str("text", filling, pl.col("end").fill_null(""))
    )
    content = newline.join(annotated.to_series())
    target.write_bytes(_encoded(content, encoding))


def _encoded(text: str, encoding: str) -> bytes:
    """Text in the encoding of its file; quotation marks that it does not have become plain ones."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        plain = str.maketrans({"„": "'", "“": "'", "”": "'", "–": "-", "…": "...", "€": "EUR"})
        return text.translate(plain).encode(encoding, "replace")


def _annotate_xlsx(delivered: Path, verdict: Verdict, target: Path, language: Language) -> bool:
    """The same workbook with two further columns on its sheet and the cells in question coloured; False where it cannot be given back."""
    import openpyxl
    from openpyxl.styles import Alignment, PatternFill
    from openpyxl.worksheet.worksheet import Worksheet

    source = verdict.source
    frame = portals.PORTALS["xlsx"].read_as_seen(delivered, source).collect()  # type: ignore[attr-defined]
    if frame.height * frame.width > MAX_ANNOTATED_CELLS or _has_entities(delivered):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what it leaves out
            # values for formulas, and no links to other files: a copy computes nothing
            with delivered.open("rb") as file:
                book = openpyxl.load_workbook(file, data_only=True, keep_links=False)
            sheet = book[source.reading.sheet] if source.reading.sheet else book.worksheets[0]
            if not isinstance(sheet, Worksheet) or sheet.max_row * sheet.max_column > 4 * MAX_ANNOTATED_CELLS:
                return False
            header_row = source.reading.header_row
            filled = {cell.column for row in sheet.iter_rows() for cell in row if cell.value is not None}
            first = max(filled, default=0) + 1
            if first + 1 > _SHEET_COLUMNS:
                return False
            headings = {" ".join(str(cell.value).split()): cell.column for cell in sheet[header_row] if cell.value is not None}
            good, bad = (PatternFill("solid", start_color=colour) for colour in ("FFE2F0D9", "FFF8CBAD"))
            for offset, name in enumerate((RESULT, REASON)):
                cell = sheet.cell(header_row, first + offset, name)
                if first > 1:
                    cell._style = copy.copy(sheet.cell(header_row, first - 1)._style)
            sheet.column_dimensions[openpyxl.utils.get_column_letter(first)].width = 18
            sheet.column_dimensions[openpyxl.utils.get_column_letter(first + 1)].width = 90
            for row, column, reason, result in _verdicts(frame["_row"], verdict, language).iter_rows():
                cell = sheet.cell(row, first, result)
                cell.fill = good if reason is None else bad
                if reason is not None:
                    told = sheet.cell(row, first + 1, _UNPRINTABLE.sub("�", reason))
                    told.data_type, told.fill, told.alignment = "s", bad, Alignment(wrap_text=True, vertical="top")
                    if (place := headings.get(column)) is not None:
                        sheet.cell(row, place).fill = bad
            book.defined_names.clear()
            aside = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                book.save(aside)
                os.replace(aside, target)
            finally:
                aside.unlink(missing_ok=True)
    except OSError:
        raise
    except Exception:  # what a spreadsheet may hold is without end, and the list tells the same
        log.debug("no annotated copy", exc_info=True)
        return False
    return True


def _has_entities(path: Path) -> bool:
    """Whether a workbook declares entities, which a parser might multiply without bound; no spreadsheet program writes them."""
    return any(_XML_ENTITIES.search(reading.read_member(path, member)[:100_000]) for member in reading.check_zip(path))


def _list_rows(verdict: Verdict, target: Path, language: Language) -> None:
    """A workbook with one row for each row that is not accepted."""
    import xlsxwriter

    german = language == "de"
    head = ["Zeile", RESULT, "Regel", "Spalte", "geliefert", REASON]
    if not german:
        head = ["row", RESULT, "rule", "column", "delivered", REASON]
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    rows = verdict.rejected.select("row", "rule", "column", "value", f"reason_{language}").head(_SHEET_ROWS - 1)
    with xlsxwriter.Workbook(str(target), options) as book:
        sheet = book.add_worksheet("Rollin")
        sheet.write_row(0, 0, head, book.add_format({"bold": True}))
        sheet.set_column(0, 4, 18)
        sheet.set_column(5, 5, 90)
        for line, (number, rule, column, value, reason) in enumerate(rows.iter_rows(), 1):
            sheet.write_number(line, 0, number)
            for place, text in enumerate((_WORDS[language][1], rule, column, value, reason), 1):
                sheet.write_string(line, place, _UNPRINTABLE.sub("�", text or ""))


__all__ = ["Language", "Verdict", "check", "shown_rows", "told"]
