"""Locations that hold files: a path or a pattern on this machine, or on an SFTP server.

Belongs here: which files are there, reading one into landing whole or not at all, who the server is. Does not: what is new among
them (``ingest.fetch``), HTTP (``ingest.transport``).

A pattern has ``*``, ``?`` and ``[...]`` (and, on this machine, ``**``); a name that begins with a point must be asked for as such.
A server is known by the host key that the Land file pins and by nothing else: no list of this machine is consulted or written.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import glob
import hashlib
import io
import itertools
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ingest.landfile import SshAuth, is_pattern, pinned_keys, split_sftp
from ingest.landing import Landing, LandingError, Part
from ingest.transport import Limits, TransportError

if TYPE_CHECKING:
    import paramiko

MAX_FILES = 10_000
#: Entries of one folder, and folders that a pattern may lead through.
MAX_ENTRIES, MAX_FOLDERS = 100_000, 1_000
_CHUNK = 1024**2
#: A file younger than this may still grow: it is looked at again after a moment.
_YOUNG_SECONDS = 60.0
_SETTLE_SECONDS = 1.0

# its threads tell of failures that are told here, in one sentence
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Found:
    """A file of a location. ``address``: where it is, fit to be written down; ``modified_ns``: its time of change."""

    address: str
    path: str
    bytes: int
    modified_ns: int

    @property
    def modified_at(self) -> datetime:
        """When it was changed last, by the clock of its machine, to the second."""
        return datetime.fromtimestamp(self.modified_ns // 10**9, UTC)

    @property
    def last_modified(self) -> str:
        """The same as HTTP writes it (RFC 9110 §5.6.7)."""
        return formatdate(self.modified_ns // 10**9, usegmt=True)


class Location(Protocol):
    """A place with files. Every method raises TransportError for what the other side does wrong."""

    def files(self) -> list[Found]:
        """Files in natural order of their names (2 before 10), at most ``MAX_FILES``; a location without pattern is one file."""

    def look(self, found: Found) -> Found:
        """The same file as it is now."""

    def open(self, found: Found) -> AbstractContextManager[BinaryIO]:
        """Its bytes."""

    def settled(self, found: Sequence[Found]) -> set[str]:
        """Addresses of those that nobody is writing, as far as can be told before reading them."""


@contextmanager
def open_location(location: str, auth: Any, limits: Limits | None = None) -> Iterator[Location]:
    """The place that a resolved location names; a server's connection is closed at the end. Raises TransportError."""
    if "://" not in location:
        yield _Local(location)
        return
    with _connected(location, auth, limits or Limits()) as remote:
        yield remote


def land_file(landing: Landing, place: Location, found: Found, limits: Limits | None = None) -> Part:
    """Copy a file into landing. Raises TransportError for one that is missing, too large, unreadable, too slow or being written."""
    limits = limits or Limits()
    deadline = time.monotonic() + limits.request_seconds
    with place.open(found) as file, landing.incoming() as incoming:
        while chunk := file.read(_CHUNK):
            incoming.write(chunk)
            if incoming.bytes > limits.total_bytes:
                raise TransportError(
                    f"{found.address} ist größer als {limits.total_bytes:,} Bytes: in Teilen liefern.",
                    f"{found.address} is larger than {limits.total_bytes:,} bytes: deliver it in parts.",
                )
            if time.monotonic() > deadline:
                raise _too_slow(found.address)
        after = place.look(found)
        if (found.bytes, found.modified_ns) != (after.bytes, after.modified_ns) or incoming.bytes != after.bytes:
            raise being_written(found)
        sha256 = incoming.commit()
    return Part(
        address=found.address,
        sha256=sha256,
        bytes=incoming.bytes,
        status=None,
        etag=None,
        last_modified=found.last_modified,
        content_type=None,
        name=PurePosixPath(found.path).name,
    )


def being_written(found: Found) -> TransportError:
    """The error about a file that changes while it is looked at."""
    return TransportError(
        f"{found.address} wird gerade geschrieben: der nächste Lauf liest die Datei, wenn sie fertig ist.",
        f"{found.address} is being written: the next run reads the file once it is done.",
    )


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(t), "") if t.isdecimal() and len(t) < 4000 else (-1, t) for t in re.split(r"(\d+)", path)]


def _missing(address: str) -> TransportError:
    return TransportError(
        f"Die Datei {address} fehlt: die Lieferung ablegen oder 'location' im Land-File prüfen.",
        f"The file {address} is missing: put the delivery there or check 'location' in the Land file.",
    )


def _unreadable(address: str, error: OSError) -> TransportError:
    return TransportError(
        f"Die Datei {address} ist nicht lesbar ({error.strerror or type(error).__name__}): Rechte und Laufwerk prüfen.",
        f"The file {address} cannot be read ({error.strerror or type(error).__name__}): check its rights and the drive.",
    )


def _too_slow(address: str) -> TransportError:
    return TransportError(
        f"{address} ist nach der erlaubten Zeit noch nicht fertig: in kleineren Dateien liefern oder den Betreiber fragen.",
        f"{address} is not done within the time allowed: deliver smaller files or ask the operator.",
    )


# -- on this machine --------------------------------------------------------------------------------------------------------


class _Local:
    def __init__(self, location: str):
        self._location = location
        self._is_pattern = is_pattern(location) and not Path(location).is_file()

    def files(self) -> list[Found]:
        if not self._is_pattern:
            return [self._found(self._location)]
        found = []
        paths = (path for path in glob.iglob(self._location, recursive=True) if os.path.isfile(path))
        for path in sorted(itertools.islice(paths, MAX_FILES), key=_natural):
            with contextlib.suppress(TransportError):  # gone since it was listed
                found.append(self._found(path))
        return found

    def look(self, found: Found) -> Found:
        return self._found(found.path)

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        with _local_errors(found.path), Path(found.path).open("rb") as file:
            yield file

    def settled(self, found: Sequence[Found]) -> set[str]:
        return {one.address for one in found}  # reading takes no time here: ``land_file`` looks before and after

    @staticmethod
    def _found(path: str) -> Found:
        with _local_errors(path):
            state = os.stat(path)
            if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
                raise OSError(0, "keine Datei")
            return Found(path, path, state.st_size, state.st_mtime_ns)


@contextmanager
def _local_errors(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _unreadable(path, error) from error


# -- on a server ------------------------------------------------------------------------------------------------------------


@contextmanager
def _connected(location: str, auth: SshAuth, limits: Limits) -> Iterator[_Remote]:
    """A connection that ends, whatever the server does, after ``limits.total_seconds``."""
    from fsspec.implementations.sftp import SFTPFileSystem

    host, port, path = split_sftp(location)
    name = f"[{host}]" if ":" in host else host
    shown = f"sftp://{name if port == 22 else f'{name}:{port}'}"
    pins = pinned_keys(auth.host_key)
    kinds = {kind for kind, _ in pins}
    options: dict[str, Any] = {}
    if None not in kinds:  # a server has a key of each kind: it is to show one that is pinned
        others = [name for name in _KEY_KINDS if _KEY_KINDS[name] not in kinds]
        options["disabled_algorithms"] = {"keys": others}
    if auth.password:
        options["password"] = auth.password.get_secret_value()
    else:
        options["pkey"] = _private_key(auth)
    filesystem = None
    expired = threading.Event()

    def hang_up() -> None:
        expired.set()
        if filesystem is not None:
            filesystem.client.close()

    watchdog = threading.Timer(limits.total_seconds, hang_up)
    watchdog.daemon = True
    try:
        with _remote_errors(shown, auth.user, expired):
            filesystem = SFTPFileSystem(
                host,
                port=port,
                username=auth.user,
                host_key_policy=_pinned(shown, {digest for _, digest in pins}),
                allow_agent=False,
                look_for_keys=False,
                timeout=limits.connect_seconds,
                banner_timeout=limits.connect_seconds,
                auth_timeout=limits.read_seconds,
                channel_timeout=limits.read_seconds,
                skip_instance_cache=True,
                **options,
            )
            watchdog.start()
            filesystem.ftp.get_channel().settimeout(limits.read_seconds)
        yield _Remote(filesystem.ftp, shown, path, lambda: _remote_errors(shown, auth.user, expired), limits.total_bytes)
    finally:
        watchdog.cancel()
        if filesystem is not None:
            filesystem.client.close()


#: Signature algorithms of host keys, and the kind of key that each belongs to.
_KEY_KINDS = {
    "ssh-ed25519": "ssh-ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384": "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521": "ecdsa-sha2-nistp521",
    "rsa-sha2-512": "ssh-rsa",
    "rsa-sha2-256": "ssh-rsa",
}


def _pinned(shown: str, digests: set[bytes]) -> paramiko.MissingHostKeyPolicy:
    """Accepts a server whose key has one of these SHA-256 digests; every other one is refused before anything is told to it."""
    import paramiko

    class Pinned(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            digest = hashlib.sha256(key.asbytes()).digest()
            if digest not in digests:
                client.close()
                is_other = f"{key.get_name()} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
                raise TransportError(
                    f"{shown} weist sich mit einem anderen Schlüssel aus ({is_other}) als das Land-File verlangt: den Fingerabdruck beim "
                    "Betreiber erfragen und, wenn er stimmt, als auth.host_key eintragen; bis dahin wird nichts übertragen.",
                    f"{shown} shows another host key ({is_other}) than the Land file demands: ask the operator for the fingerprint and, "
                    "if it is right, enter it as auth.host_key; until then nothing is transferred.",
                )

    return Pinned()


def _private_key(auth: SshAuth) -> paramiko.PKey:
    """The key of a Land file. Raises TransportError, which quotes nothing of it."""
    import paramiko

    origin_de, origin_en = "auth.key", "auth.key"
    try:
        if auth.key_file:
            origin_de, origin_en = f"der Datei {auth.key_file}", f"the file {auth.key_file}"
            text = Path(auth.key_file).read_text(encoding="ascii")
        else:
            assert auth.key is not None
            text = auth.key.get_secret_value().replace("\\n", "\n")  # as it has to be written in files of variables
    except OSError as error:
        raise _unreadable(str(auth.key_file), error) from None
    except UnicodeDecodeError:
        text = ""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text.strip() + "\n"))
        except paramiko.PasswordRequiredException:
            break
        except Exception:  # noqa: S112 - a parser of keys raises anything on other kinds; the last word is ours
            continue
    raise TransportError(
        f"Der private Schlüssel aus {origin_de} ist nicht lesbar: einen Ed25519-, ECDSA- oder RSA-Schlüssel im PEM-Format ohne Kennwort "
        "angeben.",
        f"The private key of {origin_en} cannot be read: give an Ed25519, ECDSA or RSA key in PEM format without a passphrase.",
    ) from None


class _Remote:
    def __init__(
        self,
        sftp: paramiko.SFTPClient,
        shown: str,
        path: str,
        errors: Callable[[], AbstractContextManager[None]],
        allowed_bytes: int,
    ):
        self._sftp, self._shown, self._path, self._errors, self._allowed_bytes = sftp, shown, path, errors, allowed_bytes

    def files(self) -> list[Found]:
        with self._errors():
            if not is_pattern(f"{self._shown}{self._path}"):
                return [self._found(self._path, self._sftp.stat(self._path))]
            *folders, name = self._path.split("/")[1:]
            places = [""]
            for level in folders:
                places = [path for place in places for path, state in self._matching(place, level) if stat.S_ISDIR(_mode(state))]
                if len(places) > MAX_FOLDERS:
                    raise self._too_many(MAX_FOLDERS)
            # links are not followed: they may lead out of the folder
            found = [
                self._found(path, state)
                for place in places
                for path, state in self._matching(place, name)
                if stat.S_ISREG(_mode(state))
            ]
        return sorted(found, key=lambda one: _natural(one.path))[:MAX_FILES]

    def look(self, found: Found) -> Found:
        with self._errors():
            return self._found(found.path, self._sftp.stat(found.path))

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        if found.bytes > self._allowed_bytes:
            raise TransportError(
                f"{found.address} ist größer als {self._allowed_bytes:,} Bytes: in Teilen liefern.",
                f"{found.address} is larger than {self._allowed_bytes:,} bytes: deliver it in parts.",
            )
        with self._errors(), self._sftp.open(found.path, "rb") as file:
            file.prefetch(found.bytes, max_concurrent_requests=64)
            yield file

    def settled(self, found: Sequence[Found]) -> set[str]:
        now = time.time()
        young = [one for one in found if abs(now - one.modified_ns / 10**9) < _YOUNG_SECONDS]
        if young:
            time.sleep(_SETTLE_SECONDS)
        growing = set()
        for one in young:
            try:
                is_same = self.look(one) == one
            except TransportError:
                is_same = False
            if not is_same:
                growing.add(one.address)
        return {one.address for one in found} - growing

    def _matching(self, place: str, level: str) -> list[tuple[str, Any]]:
        """Entries of a folder that one level of the pattern matches, with their state; a level without signs is looked up."""
        if not any(sign in level for sign in "*?["):
            try:
                return [(f"{place}/{level}", self._sftp.stat(f"{place}/{level}"))]
            except FileNotFoundError:
                if place and any(sign in self._path.removesuffix(f"/{level}") for sign in "*?["):
                    return []  # another folder that the pattern leads through may have it
                raise
        entries = list(itertools.islice(self._sftp.listdir_iter(place or "/"), MAX_ENTRIES + 1))
        if len(entries) > MAX_ENTRIES:
            raise self._too_many(MAX_ENTRIES)
        return [
            (f"{place}/{entry.filename}", entry)
            for entry in entries
            # what a server calls a file is a name, never a way out of its folder
            if entry.filename.isprintable() and "/" not in entry.filename and entry.filename not in (".", "..")
            if fnmatch.fnmatchcase(entry.filename, level) and entry.filename.startswith(".") <= level.startswith(".")
        ]

    def _found(self, path: str, state: Any) -> Found:
        if not stat.S_ISREG(_mode(state)):
            raise TransportError(
                f"{self._shown}{path} ist keine Datei: 'location' im Land-File auf die Datei oder ein Muster wie *.csv setzen.",
                f"{self._shown}{path} is no file: set 'location' in the Land file to the file or a pattern like *.csv.",
            )
        return Found(f"{self._shown}{path}", path, state.st_size or 0, (state.st_mtime or 0) * 10**9)

    def _too_many(self, limit: int) -> TransportError:
        return TransportError(
            f"{self._shown}{self._path} trifft auf mehr als {limit:,} Einträge: das Muster enger fassen oder alte Lieferungen wegräumen.",
            f"{self._shown}{self._path} meets more than {limit:,} entries: narrow the pattern or clear away old deliveries.",
        )


def _mode(state: Any) -> int:
    """Kind and rights of an entry; a server that tells none has a file there."""
    return stat.S_IFREG if state.st_mode is None else int(state.st_mode)


@contextmanager
def _remote_errors(shown: str, user: str, expired: threading.Event) -> Iterator[None]:
    """Turns what paramiko raises into a TransportError; its texts are left out, a server could write into them."""
    import paramiko

    try:
        yield
    except (TransportError, LandingError):
        raise
    except paramiko.AuthenticationException:
        raise TransportError(
            f"{shown} lehnt die Anmeldung von {user!r} ab: Umgebungsvariablen der Quelle und Freischaltung des Schlüssels prüfen.",
            f"{shown} refuses the login of {user!r}: check the source's environment variables and that the key is admitted.",
        ) from None
    except FileNotFoundError:
        raise TransportError(
            f"Auf {shown} fehlt die Datei oder der Ordner: die Lieferung ablegen oder 'location' im Land-File prüfen.",
            f"On {shown} the file or folder is missing: put the delivery there or check 'location' in the Land file.",
        ) from None
    except PermissionError:
        raise TransportError(
            f"Auf {shown} fehlt {user!r} das Leserecht: die Rechte beim Betreiber klären.",
            f"On {shown} {user!r} has no right to read: settle the rights with the operator.",
        ) from None
    except Exception as error:
        if expired.is_set():
            raise _too_slow(shown) from None
        if isinstance(error, TimeoutError):
            raise TransportError(
                f"{shown} antwortet nicht rechtzeitig: Erreichbarkeit prüfen oder später erneut versuchen.",
                f"{shown} does not answer in time: check that it is up, or try again later.",
            ) from None
        if isinstance(error, paramiko.SSHException | EOFError | ValueError):
            raise TransportError(
                f"Die Verbindung zu {shown} brach ab oder spricht kein SFTP ({type(error).__name__}): Adresse prüfen, später erneut "
                "versuchen.",
                f"The connection to {shown} broke off or speaks no SFTP ({type(error).__name__}): check the address, try again later.",
            ) from None
        if isinstance(error, OSError):
            raise TransportError(
                f"{shown} ist nicht erreichbar: Adresse und Netz prüfen.",
                f"{shown} cannot be reached: check address and network.",
            ) from None
        raise
