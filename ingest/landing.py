"""Landing: every byte exactly as it was received, content-addressed and never changed.

Belongs here: where received bytes and their sidecars lie, how they get there without ever being half there, and how they are
found again. Does not: talking to portals (``ingest.transport``), deciding what to fetch (``ingest.fetch``), reading formats
(``ingest.portals``).

On disk, under the home folder::

    landing/objects/<sha256[:2]>/<sha256>                  the bytes
    landing/<land_code>/<source>/<delivery_id>.json        the sidecar of a delivery, written after its objects
    landing/tmp/                                           what is being received; whatever a killed run left there is harmless

Objects and sidecars are written aside, synced and renamed, so that a reader sees a whole file or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

_SECRET_PARAMETER = re.compile(
    r"(^|[_.-])(key|token|secret|password|passwd|passwort|pwd|auth|authorization|credential|signature|sig)$"
    r"|^(api|access|subscription|refresh|id|client)_?(key|token|secret)$",
    re.IGNORECASE,
)
_STALE_SECONDS = 24 * 3600


class LandingError(RuntimeError):
    """Our own store cannot be written or read: a full disk, missing rights, a damaged sidecar. Never the portal's fault."""


@dataclass(frozen=True)
class Part:
    """One response or file of a delivery.

    ``address`` is the URL without secrets, or the path; ``sha256`` and ``bytes`` describe the object; ``status`` is the HTTP
    status (None for a file); ``name`` the file name to show to people.
    """

    address: str
    sha256: str
    bytes: int
    status: int | None
    etag: str | None
    last_modified: str | None
    content_type: str | None
    name: str


@dataclass(frozen=True)
class Delivery:
    """What one fetch of one source brought: one or more parts that are read together. ``delivered_at`` is the instant of receipt."""

    land_code: str
    source: str
    table: str
    format: str
    delivery_id: str
    delivered_at: datetime
    parts: tuple[Part, ...]
    licence: str | None
    is_synthetic: bool

    @property
    def bytes(self) -> int:
        """Size of all parts together."""
        return sum(part.bytes for part in self.parts)


def is_secret_parameter(name: str) -> bool:
    """Whether the value of a query parameter of this name looks like a secret."""
    return _SECRET_PARAMETER.search(name) is not None


def public_address(address: str) -> str:
    """An address fit to be written down: no user or password, and no value of a query parameter that looks like a secret."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = urlencode(
        [(name, "" if is_secret_parameter(name) else value) for name, value in parse_qsl(parts.query, keep_blank_values=True)],
        quote_via=quote,
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


class Incoming:
    """An object being received, as a context manager: ``write`` bytes, then ``commit``; leaving it uncommitted removes it."""

    def __init__(self, root: Path):
        self._root = root
        self._sha = hashlib.sha256()
        self.bytes = 0
        try:
            make_folder(root / "tmp")
            handle, name = tempfile.mkstemp(dir=root / "tmp", prefix="incoming-")
        except OSError as error:
            raise LandingError(_disk(error)) from error
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Append received bytes. Raises LandingError when the disk refuses them."""
        self._sha.update(chunk)
        self.bytes += len(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise LandingError(_disk(error)) from error

    def commit(self) -> str:
        """Make the bytes an object and return their sha256; an object of the same content is kept as it is."""
        sha256 = self._sha.hexdigest()
        target = object_path(self._root, sha256)
        if not (target.is_file() and target.stat().st_size == self.bytes):
            self.publish(target)
        return sha256

    def publish(self, target: Path) -> None:
        """Move the bytes to their place, whole and durable. Raises LandingError when the disk refuses."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            os.chmod(self._path, 0o444)
            make_folder(target.parent)
            os.replace(self._path, target)
            _sync(target.parent)
        except OSError as error:
            raise LandingError(_disk(error)) from error


def object_path(root: Path, sha256: str) -> Path:
    """Where the object with this content lies under the landing folder."""
    return root / "objects" / sha256[:2] / sha256


class Landing:
    """The landing folder of one home."""

    def __init__(self, home: Path):
        self.root = Path(home) / "landing"
        self._swept = False
        self._read: dict[str, Delivery] = {}  # sidecars never change

    def incoming(self) -> Incoming:
        """Begin to receive an object."""
        if not self._swept:  # what killed runs left behind, old enough to belong to nobody
            self._swept = True
            for path in (self.root / "tmp").glob("*"):
                try:
                    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                        path.unlink()
                except OSError:
                    continue
        return Incoming(self.root)

    def put(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Receive a whole object; returns its sha256 and its size in bytes."""
        with self.incoming() as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return incoming.commit(), incoming.bytes

    def path(self, part: Part) -> Path:
        """The file with the bytes of a part; nothing is verified."""
        return object_path(self.root, part.sha256)

    def verify(self, part: Part) -> bool:
        """Whether the bytes of a part are there and still are what their name says."""
        try:
            with self.path(part).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256
        except OSError:
            return False

    def store(
        self,
        *,
        land_code: str,
        source: str,
        table: str,
        format: str,  # noqa: A002 - as in the sidecar
        delivered_at: datetime,
        parts: Iterable[Part],
        licence: str | None = None,
        is_synthetic: bool = False,
        sequence: int = 1,
    ) -> Delivery:
        """Write the sidecar of a delivery whose objects are committed, and return it.

        ``sequence`` numbers the deliveries of one fetch from 1, so that ``delivery_id`` sorts by receipt.
        Raises LandingError when an object is missing or the disk refuses.
        """
        parts = tuple(parts)
        delivered_at = delivered_at.astimezone(UTC)
        for part in parts:
            if not self.path(part).is_file():
                raise LandingError(f"The object {part.sha256} of '{part.name}' is not in landing: receive it before its sidecar.")
        content = hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()
        delivery = Delivery(
            land_code=land_code,
            source=source,
            table=table,
            format=format,
            delivery_id=f"{delivered_at:%Y%m%dT%H%M%SZ}-{sequence:03d}-{content[:8]}",
            delivered_at=delivered_at,
            parts=parts,
            licence=licence,
            is_synthetic=is_synthetic,
        )
        document = asdict(delivery) | {"delivered_at": delivered_at.isoformat()}
        folder = self._folder(land_code, source)
        with self.incoming() as incoming:
            incoming.write(json.dumps(document, ensure_ascii=False, indent=1).encode())
            incoming.publish(folder / f"{delivery.delivery_id}.json")
        return delivery

    def deliveries(self, land_code: str, source: str, until: datetime | None = None) -> list[Delivery]:
        """All deliveries of a source in the order of receipt; with ``until``, those received before that instant."""
        deliveries = [self._delivery(file) for file in sorted(self._sidecars(land_code, source))]
        return [delivery for delivery in deliveries if until is None or delivery.delivered_at < until]

    def newest(self, land_code: str, source: str) -> Delivery | None:
        """The delivery received last, without reading the older ones."""
        file = max(self._sidecars(land_code, source), default=None)
        return self._delivery(file) if file else None

    def _sidecars(self, land_code: str, source: str) -> list[str]:
        folder = self._folder(land_code, source)
        try:
            return [entry.path for entry in os.scandir(folder) if entry.name.endswith(".json")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _delivery(self, file: str) -> Delivery:
        known = self._read.get(file)
        if known is None:
            known = self._read[file] = _read(file)
        return known

    def _folder(self, land_code: str, source: str) -> Path:
        if not re.fullmatch(r"\d{2}", land_code) or not re.fullmatch(r"[a-z][a-z0-9_]*", source):
            raise LandingError(
                f"'{land_code}/{source}' names no source: a land_code has two digits, a source name matches [a-z][a-z0-9_]*."
            )
        return self.root / land_code / source


def _read(path: str) -> Delivery:
    try:
        document = json.loads(Path(path).read_bytes())
        document["delivered_at"] = datetime.fromisoformat(document["delivered_at"])
        document["parts"] = tuple(Part(**part) for part in document["parts"])
        return Delivery(**document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LandingError(f"The sidecar {path} cannot be read ({error}): restore it from a backup or move it away.") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, durable on return: a new folder is an entry of its parent, which a power cut
    loses with everything in it where the parent is not synced. Raises OSError where the disk refuses."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make a rename in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk(error: OSError) -> str:
    return f"Landing cannot be written ({error.strerror or error}): check free space and rights of the home folder."
