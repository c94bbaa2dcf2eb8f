"""What every portal format has in common: the protocol, the error, raw frames, bounded archives.

Belongs here: helpers that two or more formats need. Does not: anything that only one format knows.
"""

from __future__ import annotations

import errno
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import polars as pl

from ingest.landfile import ENCODINGS, Source
from ingest.landing import Part
from ingest.tables import TABLES, Delivered
from ingest.transport import Client

#: What a compressed delivery may become: bytes of all members together, of one member, and uncompressed ÷ compressed.
MAX_ARCHIVE_BYTES = 1024**3
MAX_ARCHIVE_MEMBERS = 5_000
MAX_ARCHIVE_RATIO = 250
_RATIO_COUNTS_FROM_BYTES = 1024**2
#: Cells that one delivery may have.
MAX_CELLS = 500_000_000

_RESERVED = ("_row", "_last", "_index", "_malformed", "_delivered")


class UnreadableDelivery(Exception):
    """A delivery that cannot be read: one German and one English sentence that say what came and what to do."""

    def __init__(self, sentence_de: str, sentence_en: str):
        self.sentence_de, self.sentence_en = sentence_de, sentence_en
        super().__init__(sentence_en)


class IncompleteDelivery(Exception):
    """A portal whose pages do not add up to what it promised. Sentences like ``UnreadableDelivery``."""

    def __init__(self, sentence_de: str, sentence_en: str):
        self.sentence_de, self.sentence_en = sentence_de, sentence_en
        super().__init__(sentence_en)


class Question(NamedTuple):
    """What a catalogue is asked: is there anything under this LeiKa key (14 digits) for the area with this ARS (12 digits)?

    The keys of one ``service_id`` are a set: what is found under one of them need not be asked for under the others.
    """

    service_id: str
    leika_key: str
    ars: str


@dataclass(frozen=True)
class Request:
    """What a fetch asks for: the resolved address, the Länder that take part, the instant since which changes are wanted.

    ``questions``: for formats of ``ingest.landfile.QUESTION_FORMATS``, in the order in which they are to be asked.
    """

    address: str
    land_codes: tuple[str, ...] = ()
    since: datetime | None = None
    questions: tuple[Question, ...] = ()


class Portal(Protocol):
    """One portal format.

    ``fetch`` lands the parts of one delivery; none means that there is nothing new. It raises TransportError,
    UnreadableDelivery or IncompleteDelivery for what the other side does wrong.

    ``read`` turns the files of one delivery into a raw frame: every column as text (String, or all of them Categorical) exactly as
    delivered, NULL where nothing was delivered, nested names joined by dots, ``_row`` (Int64, unique, from 1 in delivered order) and,
    where a row could not be read, ``_malformed`` with the reason in German. A format that puts rows into the words of
    ``ingest.tables`` adds the struct ``_delivered``, the row as it came under its delivered names. It raises UnreadableDelivery for
    anything else than that format.
    """

    def fetch(self, client: Client, source: Source, request: Request) -> list[Part]:
        """Land the parts of one delivery."""

    def read(self, paths: Sequence[Path], source: Source) -> pl.LazyFrame:
        """The raw frame of one delivery."""


@runtime_checkable
class QuestionedPortal(Portal, Protocol):
    """A portal whose answers do not say what they answer: that stands in the address that was asked.

    Its ``read`` raises UnreadableDelivery, for a file alone says too little.
    """

    def read_answers(self, answers: Sequence[tuple[Part, Path]], source: Source) -> pl.LazyFrame:
        """The raw frame of one delivery, from each part and the file with its bytes."""


@runtime_checkable
class FilePortal(Portal, Protocol):
    """A format whose files people open: its rows are found again by the number that stands beside them."""

    def read_as_seen(self, path: Path, source: Source) -> pl.LazyFrame:
        """The raw frame of one file, ``_row`` being the line of the text or the row of the sheet."""


def not_an_answer(portal: str) -> UnreadableDelivery:
    """The error for files that should be read without their addresses."""
    return UnreadableDelivery(
        f"Eine Datei allein sagt nicht, welche Frage der {portal} beantwortet hat: die Quelle abrufen statt eine Datei zu lesen.",
        f"A file alone does not say which question the {portal} answered: fetch the source instead of reading a file.",
    )


def nothing_to_ask(portal_de: str, portal_en: str) -> IncompleteDelivery:
    """The error for a fetch without questions."""
    return IncompleteDelivery(
        f"Für den {portal_de} gibt es nichts zu fragen: ein Land mit einer Leistung aufnehmen, deren LeiKa-Schlüssel bekannt sind.",
        f"There is nothing to ask {portal_en}: add a Land with a service whose LeiKa keys are known.",
    )


def question_of(part: Part, key_parameter: str, area_parameter: str) -> tuple[str, str]:
    """The LeiKa key and the ARS that a part answers, from its address. Raises UnreadableDelivery where they do not stand there."""
    asked = dict(parse_qsl(urlsplit(part.address).query))
    try:
        return asked[key_parameter], asked[area_parameter]
    except KeyError:
        raise UnreadableDelivery(
            f"Der Adresse {part.address[:200]} ist nicht anzusehen, wonach gefragt wurde: die Quelle erneut abrufen.",
            f"The address {part.address[:200]} does not say what was asked: fetch the source again.",
        ) from None


def padded(key: str) -> str:
    """A regional key (ARS of 2, 3, 5, 9 or 12 digits) with 12 digits; anything else as it is."""
    return key.ljust(12, "0") if re.fullmatch(r"[0-9]{2}|[0-9]{3}|[0-9]{5}|[0-9]{9}|[0-9]{12}", key) else key


def get_whole(client: Client, source: Source, request: Request, accept: str) -> list[Part]:
    """The whole answer of one address as the only part."""
    return [client.get(request.address, accept, since_parameter(source, request))]


def since_parameter(source: Source, request: Request) -> dict[str, str | int]:
    """The query parameter that asks for changes only (ISO instant, UTC, whole seconds), or none."""
    if source.since and request.since:
        return {source.since.parameter: f"{request.since:%Y-%m-%dT%H:%M:%SZ}"}
    return {}


# -- raw frames -------------------------------------------------------------------------------------------------------------


def raw_frame(frame: pl.DataFrame) -> pl.LazyFrame:
    """A frame of text columns as a raw frame: ``_row`` is added."""
    return frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row")).lazy()


def column_names(delivered: Iterable[str | None]) -> list[str]:
    """Delivered column names made usable: stripped, unique, never empty, none of ours. Repeated ones are numbered."""
    names: list[str] = []
    taken = set(_RESERVED)
    for position, name in enumerate(delivered, 1):
        base = re.sub(r"\s+", " ", name or "").strip("\ufeff \u00a0") or f"spalte_{position}"
        unique, number = base, 2
        while unique in taken:
            unique, number = f"{base}_{number}", number + 1
        taken.add(unique)
        names.append(unique)
    return names


def expected_columns(source: Source) -> set[str]:
    """Delivered names that a source may have: those it maps, and canonical ones."""
    canonical = set(TABLES[source.table].schema.column_names()) - set(Delivered.column_names())
    return {*source.columns.values(), *(canonical - source.columns.keys()), "region_key"}


def require_columns(names: Iterable[str], source: Source, advice_de: str, advice_en: str) -> None:
    """Raises UnreadableDelivery when none of the source's columns is there: then something else was delivered."""
    names = list(names)
    if not expected_columns(source).intersection(names):
        shown = ", ".join(repr(name[:40]) for name in names[:5]) or "keine"
        raise UnreadableDelivery(
            f"Die Lieferung enthält keine der erwarteten Spalten, sondern {shown}: {advice_de}.",
            f"The delivery has none of the expected columns but {shown}: {advice_en}.",
        )


def guarded(read: Callable[[], pl.DataFrame], problem: UnreadableDelivery) -> pl.DataFrame:
    """What a library reads, or ``problem`` for whatever it raises on hostile bytes.

    Native readers panic on some damaged files; a panic is a BaseException of a class that each library makes for itself.
    """
    try:
        return read()
    except UnreadableDelivery:
        raise
    except Exception as error:
        raise problem from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise problem from error


# -- text -------------------------------------------------------------------------------------------------------------------

_BINARY_STARTS: Mapping[bytes, str] = {
    b"PK\x03\x04": "ein ZIP-Archiv oder eine Office-Datei",
    b"%PDF": "ein PDF",
    b"\x1f\x8b": "eine gzip-Datei",
    b"\xd0\xcf\x11\xe0": "eine alte Excel-Datei (.xls)",
    b"PAR1": "eine Parquet-Datei",
}
_BINARY_ENGLISH = {
    "ein ZIP-Archiv oder eine Office-Datei": "a ZIP archive or Office file",
    "ein PDF": "a PDF",
    "eine gzip-Datei": "a gzip file",
    "eine alte Excel-Datei (.xls)": "an old Excel file (.xls)",
    "eine Parquet-Datei": "a Parquet file",
    "eine HTML-Seite": "an HTML page",
    "ein XML-Dokument": "an XML document",
    "ein JSON-Dokument": "a JSON document",
    "eine leere Datei": "an empty file",
    "unbekannter Inhalt": "unknown content",
}


def kind_of(head: bytes) -> str:
    """What a delivery looks like by its first bytes, in German with its article."""
    for start, name in _BINARY_STARTS.items():
        if head.startswith(start):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:2000].lower()
    if not text:
        return "eine leere Datei" if not head.strip(b"\xef\xbb\xbf \t\r\n") else "unbekannter Inhalt"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or (text.startswith(b"<") and b"<html" in text):
        return "eine HTML-Seite"
    if text.startswith(b"<"):
        return "ein XML-Dokument"
    if text.startswith((b"{", b"[")):
        return "ein JSON-Dokument"
    return "unbekannter Inhalt"


def instead(head: bytes, wanted_de: str, wanted_en: str, advice_de: str, advice_en: str) -> UnreadableDelivery:
    """The error that says what came instead of what was wanted."""
    kind = kind_of(head)
    return UnreadableDelivery(
        f"Statt {wanted_de} kam {kind}: {advice_de}.", f"Instead of {wanted_en} came {_BINARY_ENGLISH[kind]}: {advice_en}."
    )


def decode(data: bytes, encoding: str | None) -> str:
    """Text of a delivery, strictly: in the declared encoding, else UTF-8 (or UTF-16 where a byte order mark says so).

    Raises UnreadableDelivery for other bytes, and where UTF-8 comes under the name of a one-byte encoding: accepting it would
    garble every umlaut without anybody noticing.
    """
    assert encoding is None or encoding in ENCODINGS
    if encoding is None and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    name = encoding or "utf-8"
    try:
        text = data.decode("utf-8-sig" if name == "utf-8" else name)
    except UnicodeError as error:
        position = getattr(error, "start", 0)
        raise UnreadableDelivery(
            f"Byte {position + 1:,} der Lieferung ist kein {name}: die Kodierung im Land-File unter reading.encoding angeben "
            "(oft cp1252) oder als UTF-8 liefern.",
            f"Byte {position + 1:,} of the delivery is no {name}: state the encoding in the Land file under reading.encoding "
            "(often cp1252) or deliver UTF-8.",
        ) from None
    if name not in ("utf-8", "utf-8-sig", "utf-16", "ascii") and _is_utf8(data):
        raise UnreadableDelivery(
            f"Die Lieferung ist UTF-8 und nicht {name}: reading.encoding im Land-File auf utf-8 setzen.",
            f"The delivery is UTF-8 and not {name}: set reading.encoding in the Land file to utf-8.",
        )
    if "\0" in text:
        raise instead(data[:2000], "Text", "text", "die Quelle prüfen", "check the source")
    return text


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# -- archives ---------------------------------------------------------------------------------------------------------------


def check_zip(path: Path) -> list[zipfile.ZipInfo]:
    """Inflate every member of a ZIP once, within bounds, and return the members.

    The sizes that an archive states about itself may lie, so they are measured.
    Raises UnreadableDelivery for archives that are damaged, encrypted, too large or too tightly compressed.
    """
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if len(members) > MAX_ARCHIVE_MEMBERS or sum(member.file_size for member in members) > MAX_ARCHIVE_BYTES:
            raise _bomb()
        with path.open("rb") as file:
            for member in members:
                if member.flag_bits & 0x1:
                    raise UnreadableDelivery(
                        "Das Archiv ist mit einem Kennwort geschützt: ohne Kennwort liefern.",
                        "The archive is protected by a password: deliver it without.",
                    )
                total += _inflate(file, member, MAX_ARCHIVE_BYTES - total)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        IndexError,
    ) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's failure, not the archive's: a verdict would outlast it
        with path.open("rb") as file:
            head = file.read(2000)
        if not head.startswith(b"PK"):
            raise instead(head, "eines Archivs", "an archive", "die Quelle prüfen", "check the source") from error
        raise UnreadableDelivery(
            "Das Archiv ist beschädigt oder unvollständig: erneut liefern.",
            "The archive is damaged or incomplete: deliver it again.",
        ) from error
    return members


def read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    """The content of one member of an archive that ``check_zip`` has passed."""
    pieces: list[bytes] = []
    with path.open("rb") as file:
        _inflate(file, member, MAX_ARCHIVE_BYTES, pieces)
    return b"".join(pieces)


def _inflate(file: BinaryIO, member: zipfile.ZipInfo, allowed: int, pieces: list[bytes] | None = None) -> int:
    """Measured size of one member; raises BadZipFile where it is not what the archive says."""
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04" or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.compress_type == zipfile.ZIP_DEFLATED else None
    remaining, size, checksum = member.compress_size, 0, 0
    while remaining:
        pending = file.read(min(65_536, remaining))
        if not pending:
            raise zipfile.BadZipFile
        remaining -= len(pending)
        while pending:
            piece = inflater.decompress(pending, 1024**2) if inflater else pending
            pending = inflater.unconsumed_tail if inflater else b""
            size += len(piece)
            checksum = zlib.crc32(piece, checksum)
            if size > allowed or size > max(_RATIO_COUNTS_FROM_BYTES, MAX_ARCHIVE_RATIO * member.compress_size):
                raise _bomb()
            if pieces is not None:
                pieces.append(piece)
    if (inflater and not inflater.eof) or size != member.file_size or checksum != member.CRC:
        raise zipfile.BadZipFile
    return size


def _bomb() -> UnreadableDelivery:
    return UnreadableDelivery(
        f"Das Archiv wird beim Entpacken unverhältnismäßig groß (mehr als {MAX_ARCHIVE_BYTES // 1024**2} MB oder das "
        f"{MAX_ARCHIVE_RATIO}-Fache): kleiner oder unkomprimiert liefern.",
        f"The archive becomes disproportionately large when unpacked (more than {MAX_ARCHIVE_BYTES // 1024**2} MB or "
        f"{MAX_ARCHIVE_RATIO} times its size): deliver it smaller or uncompressed.",
    )
