"""Land files: what one Land delivers, where, and in whose words. A Land joins by its file alone.

Belongs here: the form of a Land file, its validation with errors that name file, line and remedy, the expansion of ``${VAR}``,
and the JSON Schema. Does not: fetching (``ingest.fetch``), reading formats (``ingest.portals``), applying columns and values
(``ingest.clean``).

``python -m ingest.landfile`` writes ``laender/land.schema.json`` anew from the models below.
"""

from __future__ import annotations

import base64
import codecs
import difflib
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import dataframely as dy
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ingest import services
from ingest.landing import is_secret_parameter
from ingest.tables import FEDERAL, LAND_CODES, SERVICES, TABLES, Delivered

PACKAGED = Path(__file__).parent / "laender"
SCHEMA_PATH = PACKAGED / "land.schema.json"

#: Formats that are read.
FORMATS = (
    "json",
    "ndjson",
    "csv",
    "xlsx",
    "parquet",
    "open_pvog",
    "pvog_suchdienst",
    "fit_connect",
    "sdg_json",
    "ozg_nrw",
    "gv100ad",
    "gebietsaenderungen",
)
#: Formats whose content is always one and the same table.
FORMAT_TABLE = {
    "gv100ad": "regions",
    "gebietsaenderungen": "territory_changes",
    "open_pvog": "listings",
    "pvog_suchdienst": "listings",
    "fit_connect": "listings",
    "sdg_json": "page_visits",
    "ozg_nrw": "connections",
}
#: Of these, formats whose columns and words a Land file maps all the same.
MAPPED_FORMATS = ("ozg_nrw",)
#: Formats that answer one question (LeiKa key and area) at a time: whoever fetches says which.
QUESTION_FORMATS = ("pvog_suchdienst", "fit_connect")
#: A variable with this value switches off every source that needs it, also one that has a default.
OFF = "off"
#: Text encodings that a delivery may declare, as Python names them.
ENCODINGS = ("ascii", "utf-8", "utf-8-sig", "utf-16", "cp1252", "iso8859-1", "iso8859-15", "cp850", "cp437")

#: A service of the list in force. The schema offers those of the packaged list, and leaves others to the check of the file itself.
ServiceId = Annotated[
    Literal[*SERVICES],  # type: ignore[valid-type]
    WithJsonSchema({"type": "string", "anyOf": [{"enum": list(SERVICES)}, {"pattern": f"^{services.ID}$"}]}),
]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_BYTES = 1_000_000
_CHOICES_TOLD = 30


class LandFileError(ValueError):
    """A Land file that cannot be used; its text is ``file:line: what is wrong. remedy``."""


class NotConfigured(ValueError):
    """A source needs environment variables that are not set, or are set to ``off``; ``variables`` names them."""

    def __init__(self, variables: list[str], *, is_switched_off: bool = False):
        self.variables, self.is_switched_off = variables, is_switched_off
        super().__init__(f"not set: {', '.join(variables)}")


def _wrong(message: str, *path: str | int) -> PydanticCustomError:
    """An error of our own about the entry at ``path`` below the model that raises it."""
    return PydanticCustomError("land_file", "{message}", {"message": message, "path": path})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


# -- authentication ---------------------------------------------------------------------------------------------------------


class NoAuth(_Model):
    """The portal is open."""

    kind: Literal["none"] = "none"


class BasicAuth(_Model):
    """HTTP Basic (RFC 7617)."""

    kind: Literal["basic"]
    user: str
    password: SecretStr


class ApiKeyAuth(_Model):
    """A key in a header of its own."""

    kind: Literal["api_key"]
    header: str = Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    key: SecretStr


class BearerAuth(_Model):
    """A fixed bearer token (RFC 6750)."""

    kind: Literal["bearer"]
    token: SecretStr


class OAuth2Auth(_Model):
    """OAuth2 client credentials (RFC 6749 §4.4)."""

    kind: Literal["oauth2"]
    token_url: str
    client_id: str
    client_secret: SecretStr
    scope: str | None = None


class SshAuth(_Model):
    """A login on an SFTP server: with a password, a private key (PEM without passphrase) or the file that holds one.

    ``host_key`` is who the server must be: its fingerprint ("SHA256:…") or its line of a known_hosts file; several where it has several.
    """

    kind: Literal["ssh"]
    user: str
    password: SecretStr | None = None
    key: SecretStr | None = None
    key_file: str | None = None
    host_key: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(way is not None for way in (self.password, self.key, self.key_file)) != 1:
            raise _wrong("A login needs one of 'password', 'key' and 'key_file'. State exactly one.")
        if not _VARIABLE.search(self.host_key):
            try:
                pinned_keys(self.host_key)
            except ValueError as error:
                raise _wrong(str(error), "host_key") from None
        return self


Auth = Annotated[NoAuth | BasicAuth | ApiKeyAuth | BearerAuth | OAuth2Auth | SshAuth, Field(discriminator="kind")]


# -- pages ------------------------------------------------------------------------------------------------------------------


class NoPages(_Model):
    """The whole answer at once. ``items``: where its rows are, for JSON whose rows are not at the top."""

    kind: Literal["none"] = "none"
    items: str | None = None


class NumberedPages(_Model):
    """Numbered pages; totals at the top of the envelope or nested under ``page`` (Spring)."""

    kind: Literal["page"]
    items: str = "content"
    size: int = Field(default=500, ge=1, le=100_000)
    page_parameter: str = "page"
    size_parameter: str = "size"
    first: int = Field(default=0, ge=0, le=1)


class HydraPages(_Model):
    """Hydra collections: the next page's address is in the view."""

    kind: Literal["hydra"]
    items: str = "hydra:member"
    size: int | None = Field(default=None, ge=1, le=100_000)
    size_parameter: str = "itemsPerPage"


class OffsetPages(_Model):
    """Offset and limit; ``total`` is where the envelope promises the number of rows."""

    kind: Literal["offset"]
    items: str
    size: int = Field(default=500, ge=1, le=100_000)
    offset_parameter: str = "offset"
    limit_parameter: str = "limit"
    total: str


class TokenPages(_Model):
    """The next page is asked for with an opaque token; ``total``: where the number of rows is promised, if it is."""

    kind: Literal["token"]
    items: str
    token: str
    token_parameter: str
    total: str | None = None


Pages = Annotated[NoPages | NumberedPages | HydraPages | OffsetPages | TokenPages, Field(discriminator="kind")]


# -- a source ---------------------------------------------------------------------------------------------------------------


class Since(_Model):
    """The portal can answer what changed since an instant, given in this query parameter (ISO, UTC)."""

    parameter: str = Field(min_length=1)


class Reading(_Model):
    """How text becomes values: ``header_row`` counts from 1, ``date`` is a strptime format.

    ``decimal`` (a point unless stated) and ``thousands`` are about numbers written as text; what a workbook, JSON or Parquet holds
    as a number keeps its value.
    """

    date: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    decimal: Literal[",", "."] | None = None
    thousands: Literal[",", ".", " ", "'", "\u00a0", "\u202f"] | None = None
    encoding: str | None = None
    sheet: str | None = None
    header_row: int = Field(default=1, ge=1, le=1000)

    # a delimiter may be a tab and a thousands separator a blank: they are not to be stripped
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=False)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            name = ""
        if name not in ENCODINGS:
            raise _wrong(f"'{encoding}' is no encoding that is read here. Use one of {', '.join(ENCODINGS)}.")
        return name

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, delimiter: str | None) -> str | None:
        if delimiter in ('"', "\n", "\r", "\0"):
            raise _wrong('A quotation mark or line break cannot separate fields. Use one of ; , | or a tab ("\\t").')
        return delimiter

    @model_validator(mode="after")
    def _distinct_separators(self) -> Self:
        if self.thousands and self.thousands == (self.decimal or "."):
            raise _wrong(
                "'decimal' (a point unless stated) and 'thousands' are the same character. State which one separates decimals.",
                "thousands",
            )
        return self


Scalar = StrictStr | StrictBool | StrictInt | StrictFloat | date
Key = Annotated[StrictStr, Field(min_length=1)]


class Source(_Model):
    """One thing that a portal or office delivers: where it is, what it holds, and how its words become ours."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    table: Literal[*TABLES]  # type: ignore[valid-type]
    format: Literal[*FORMATS]  # type: ignore[valid-type]
    location: str = Field(min_length=1)
    auth: Auth = NoAuth()
    pages: Pages = NoPages()
    since: Since | None = None
    delivers: Literal["changes", "snapshot"]
    required: bool = False
    columns: dict[Key, Key] = {}
    constants: dict[Key, Scalar] = {}
    values: dict[Key, dict[Key, StrictStr | StrictBool | StrictInt]] = {}
    reading: Reading = Reading()
    max_age_days: int = Field(default=7, ge=1, le=3660)
    every_days: int | None = Field(default=None, ge=1, le=366)
    requests_per_second: float | None = Field(default=None, gt=0, le=100)
    verification_key: str | None = None
    licence: str | None = None

    _folder: Path = PrivateAttr(default_factory=Path)
    _environ: Mapping[str, str] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (table := FORMAT_TABLE.get(self.format)) and self.table != table:
            raise _wrong(f"Format '{self.format}' holds the table '{table}'. Write table: {table}.", "table")
        if self.format in FORMAT_TABLE and self.format not in MAPPED_FORMATS and (self.columns or self.values):
            raise _wrong(
                f"Format '{self.format}' has columns of its own. Remove 'columns' and 'values'.",
                "columns" if self.columns else "values",
            )
        for name in ("service_id", "phase") if self.format == "ozg_nrw" else ():
            if not self.values.get(name):
                raise _wrong(
                    f"The OZG-Datenbank lists every public service. State in 'values' what becomes which '{name}' of the programme.",
                    "values",
                )
        if self.pages.kind != "none" and self.format != "json":
            raise _wrong(f"Format '{self.format}' has no pages to state. Remove 'pages' or use format json.", "pages")
        if self.since and self.delivers == "snapshot":
            raise _wrong(
                "A snapshot cannot be asked for what changed since. Write delivers: changes, or remove 'since'.", "since"
            )
        is_sftp = self.location.startswith("sftp://")
        if self.since and (is_sftp or not self.is_remote):
            raise _wrong("A file cannot be asked for what changed since. Remove 'since'.", "since")
        if self.pages.kind != "none" and is_sftp:
            raise _wrong("A file has no pages. Remove 'pages'.", "pages")
        if self.auth.kind != "none" and not self.is_remote:
            raise _wrong("A file needs no 'auth'. Remove it, or state an https or sftp location.", "auth")
        if not self.location.startswith("${") and (problem := self._login_problem(self.location)):
            raise _wrong(problem, "auth")
        if self.every_days and self.every_days > self.max_age_days:
            raise _wrong(
                "The source would be too old before it is asked again. Make 'max_age_days' at least 'every_days'.", "every_days"
            )
        if self.requests_per_second and not self.is_remote:
            raise _wrong("A file needs no pace. Remove 'requests_per_second'.", "requests_per_second")
        if self.verification_key is not None and self.format != "fit_connect":
            raise _wrong(f"Format '{self.format}' has no signatures. Remove 'verification_key'.", "verification_key")
        if self.verification_key is not None and not _VARIABLE.fullmatch(self.verification_key):
            raise _wrong(
                'A key does not belong into a file. Set an environment variable and write verification_key: "${NAME_OF_IT}".',
                "verification_key",
            )
        self._check_columns()
        self._check_addresses()
        return self

    def _check_columns(self) -> None:
        table = TABLES[self.table]
        schema = table.schema.columns()
        known = [name for name in table.polars_schema() if name not in Delivered.column_names()]
        if table.day:
            known.append("region_key")
        for group in ("columns", "constants", "values"):
            for name in getattr(self, group):
                if name not in known:
                    raise _wrong(f"Table '{self.table}' has no column '{name}'.{_did_you_mean(name, known)}", group, name)
        for name in self.constants:
            if name in self.columns:
                raise _wrong(f"Column '{name}' is both delivered and constant. Remove one of the two.", "constants", name)
        for name, words in self.values.items():
            if isinstance(domain := schema.get(name), dy.Enum):
                for word, value in words.items():
                    if value not in domain.categories:
                        raise _wrong(
                            f"'{value}' is no value of '{name}'.{_did_you_mean(str(value), domain.categories)}",
                            "values",
                            name,
                            word,
                        )
        for name, constant in self.constants.items():
            if isinstance(domain := schema.get(name), dy.Enum) and constant not in domain.categories:
                raise _wrong(
                    f"'{constant}' is no value of '{name}'.{_did_you_mean(str(constant), domain.categories)}", "constants", name
                )

    def _check_addresses(self) -> None:
        addresses: dict[tuple[str, ...], str] = {("location",): self.location}
        if isinstance(self.auth, OAuth2Auth):
            addresses["auth", "token_url"] = self.auth.token_url
        for path, address in addresses.items():
            checked = location_problem if path == ("location",) else address_problem
            if not address.startswith("${") and "://" in address and (problem := checked(address)):
                raise _wrong(problem, *path)
        for name, value in parse_qsl(self.location.partition("?")[2].removesuffix("}")) if "://" in self.location else ():
            if is_secret_parameter(name) and not _VARIABLE.search(value):
                raise _wrong(
                    f"A secret does not belong into a file. Set an environment variable and write {name}=${{NAME_OF_IT}} in the address.",
                    "location",
                )
        for name, secret in _secrets(self.auth).items():
            if not _VARIABLE.search(secret):
                raise _wrong(
                    f'A secret does not belong into a file. Set an environment variable and write {name}: "${{NAME_OF_IT}}".',
                    "auth",
                    name,
                )

    def _login_problem(self, location: str) -> str | None:
        """Why this authentication is none for that location."""
        if location.startswith("sftp://") and self.auth.kind != "ssh":
            return "An sftp location needs a login. State auth: {kind: ssh, user: .., key: .., host_key: ..}."
        if self.auth.kind == "ssh" and not location.startswith("sftp://"):
            return "A login by ssh is for sftp locations. Write sftp://host/path, or another kind of 'auth'."
        return None

    @property
    def is_remote(self) -> bool:
        """Whether the location is an address rather than a path; one that begins with a variable counts as both."""
        return "://" in self.location or self.location.startswith("${")

    @property
    def is_folder(self) -> bool:
        """Whether the location is a pattern, so that every file that matches it is a delivery of its own."""
        try:
            return is_pattern(self.resolved_location())
        except ValueError:
            return is_pattern(_VARIABLE.sub(lambda match: match[2] or "", self.location))

    def missing_variables(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """Environment variables that location and auth need and that are unset, empty or ``off``, without duplicates."""
        environ = self._environment(environ)
        texts = [self.location, *_texts(self.auth)]
        names = [match[1] for text in texts for match in _VARIABLE.finditer(text) if _is_missing(match, environ)]
        return list(dict.fromkeys(names))

    def is_configured(self, environ: Mapping[str, str] | None = None) -> bool:
        """Whether every variable that the source needs is set. A source that is not configured is skipped and reported."""
        return not self.missing_variables(environ)

    def resolved_location(self, environ: Mapping[str, str] | None = None) -> str:
        """The address (https, sftp), or the absolute path or glob (relative ones start at the Land file's folder).

        Raises NotConfigured when a variable is unset, ValueError (with its remedy) when the address is unusable.
        """
        location = self._expand(self.location, environ)
        if "://" in location:
            if problem := location_problem(location) or self._login_problem(location):
                raise ValueError(problem)
            return location
        if problem := self._login_problem(location):
            raise ValueError(problem)
        return os.path.normpath(self._folder / Path(location).expanduser())

    def resolved_auth(self, environ: Mapping[str, str] | None = None) -> Auth:
        """The authentication with its variables filled in; secrets stay wrapped. Raises like ``resolved_location``."""
        filled: dict[str, Any] = {
            name: SecretStr(self._expand(value.get_secret_value(), environ))
            if isinstance(value, SecretStr)
            else self._expand(value, environ)
            for name, value in self.auth
            if value is not None
        }
        if isinstance(self.auth, SshAuth):
            pinned_keys(filled["host_key"])
        for name, value in filled.items():
            text = (value.get_secret_value() if isinstance(value, SecretStr) else value).strip()
            if isinstance(self.auth, SshAuth) and name in ("key", "host_key"):  # these have lines
                text = "".join(text.split())
            if not text.isprintable():
                raise ValueError(
                    f"'{name}' of 'auth' has a line break or a character that is none. Set its environment variable anew."
                )
        auth = type(self.auth)(**filled)
        if isinstance(auth, OAuth2Auth) and (problem := address_problem(auth.token_url)):
            raise ValueError(problem)
        if isinstance(auth, SshAuth) and auth.key_file:
            path = os.path.normpath(self._folder / Path(auth.key_file).expanduser())
            auth = auth.model_copy(update={"key_file": path})
        return auth

    def resolved_verification_key(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The public key (PEM, JWK or JWK set) that signatures are checked with; None where none is configured."""
        if self.verification_key is None:
            return None
        try:
            return self._expand(self.verification_key, environ).strip() or None
        except NotConfigured:
            return None

    def _environment(self, environ: Mapping[str, str] | None) -> Mapping[str, str]:
        if environ is not None:
            return environ
        return self._environ if self._environ is not None else os.environ

    def _expand(self, text: str, environ: Mapping[str, str] | None) -> str:
        environ = self._environment(environ)
        missing = [match[1] for match in _VARIABLE.finditer(text) if _is_missing(match, environ)]
        if missing:
            is_off = all(environ.get(name) == OFF for name in missing)
            raise NotConfigured(list(dict.fromkeys(missing)), is_switched_off=is_off)
        return _VARIABLE.sub(lambda match: environ.get(match[1]) or match[2] or "", text)


# -- the file ---------------------------------------------------------------------------------------------------------------


class Target(_Model):
    """The commitment: this share of the competent authorities is operational on that day."""

    date: date
    share: float = Field(gt=0, le=1)


class Programme(_Model):
    """What a Land has committed to. ``baseline``: operational connections per service before the start (count)."""

    start: date
    target: Target
    services: list[ServiceId] = Field(min_length=1)
    baseline: dict[ServiceId, Annotated[int, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for index, service in enumerate(self.services):
            if service in self.services[:index]:
                raise _wrong(f"Service '{service}' is listed twice. Remove one.", "services", index)
        for service in self.baseline:
            if service not in self.services:
                raise _wrong(
                    f"'{service}' is no service of this programme. Add it to 'services' or remove it here.", "baseline", service
                )
        if self.target.date <= self.start:
            raise _wrong("The target lies before the start. Correct one of the two dates.", "target", "date")
        return self


Ags = Annotated[StrictStr, Field(pattern=r"^\d{8}$")]


class Competence(_Model):
    """Who is competent for a service: every unit of ``level``, and the exceptions by AGS.

    ``plus``: an own authority, cut out of the Kreis; ``also``: an own authority for a part of the cases, the Kreis keeps the others.
    """

    level: Literal["gemeinde", "verband", "kreis", "regierungsbezirk", "land"]
    plus: list[Ags] = []
    also: list[Ags] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        listed: set[str] = set()
        for group in ("plus", "also"):
            for index, ags in enumerate(getattr(self, group)):
                if ags in listed:
                    raise _wrong(f"Municipality '{ags}' is listed twice. Remove one.", group, index)
                listed.add(ags)
        return self


class Change(_Model):
    """A territory change that no official file holds yet: ``old`` becomes ``new`` (AGS) on that day."""

    old: Ags
    new: Ags
    kind: Literal["dissolution", "part_transfer", "key_change", "name_change"]
    on: date


class LandFile(_Model):
    """One Land, or the federal sources (``land_code`` "00")."""

    land_code: Literal[FEDERAL, *LAND_CODES]  # type: ignore[valid-type]
    name: str = Field(min_length=1)
    is_synthetic: bool = False
    programme: Programme | None = None
    competences: dict[ServiceId, Competence] = {}
    sources: list[Source] = []
    changes: list[Change] = []

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """The file that it was read from; None for one that was made otherwise."""
        return self._path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names: set[str] = set()
        for index, source in enumerate(self.sources):
            if source.name in names:
                raise _wrong(f"Two sources are called '{source.name}'. Rename one.", "sources", index, "name")
            names.add(source.name)
        if self.land_code == FEDERAL:
            if self.programme:
                raise _wrong("The federal file has no programme. State it in a Land's file.", "programme")
            if self.competences:
                raise _wrong("The federal file has no competences. State them in a Land's file.", "competences")
            return self
        if self.changes:
            raise _wrong('Territory changes belong into the federal file (land_code "00"). Move them there.', "changes")
        if not self.programme:
            raise _wrong("'programme' is missing. State start, target and services of the Land's programme.")
        for service, rule in self.competences.items():
            for group in ("plus", "also"):
                for position, ags in enumerate(getattr(rule, group)):
                    if not ags.startswith(self.land_code):
                        raise _wrong(
                            f"'{ags}' lies in another Land than {self.land_code}. Correct the key.",
                            "competences",
                            service,
                            group,
                            position,
                        )
        if not any(source.table == "competences" for source in self.sources):
            for position, service in enumerate(self.programme.services):
                if service not in self.competences:
                    raise _wrong(
                        f"Nobody is competent for '{service}'. Add it to 'competences', or a source with table: competences.",
                        "programme",
                        "services",
                        position,
                    )
        return self


class _Loader(yaml.SafeLoader):
    """YAML with the truth values of YAML 1.2: ``on``, ``off``, ``yes`` and ``no`` are words, as in ``changes: [{..., on: 2026-01-01}]``."""


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


# -- loading ----------------------------------------------------------------------------------------------------------------


def load(directory: Path | None = None, environ: Mapping[str, str] | None = None) -> dict[str, LandFile]:
    """All Land files by land_code, in the order of the codes.

    ``directory`` replaces the packaged folder, except for ``deutschland.yaml`` where it has no "00". ``environ`` is what
    ``${VAR}`` is taken from later (default: the process environment at that moment).
    Raises LandFileError for the first thing that is wrong.
    """
    folder = Path(directory) if directory is not None else PACKAGED
    if not folder.is_dir():
        raise LandFileError(f"{folder}:1: There is no such folder. Name a folder that holds Land files (*.yaml).")
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not paths:
        raise LandFileError(f"{folder}:1: The folder holds no Land file. Add one per Land, named like bayern.yaml.")
    laender: dict[str, LandFile] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        land = load_file(path, environ)
        if land.land_code in laender:
            raise LandFileError(
                f'{path}:{_line_of(path, "land_code")}: land_code "{land.land_code}" is already in {origin[land.land_code].name}. '
                "Keep one file per Land."
            )
        laender[land.land_code] = land
        origin[land.land_code] = path
    if FEDERAL not in laender and (federal := PACKAGED / "deutschland.yaml").is_file():
        laender[FEDERAL] = load_file(federal, environ)
    return dict(sorted(laender.items()))


def load_file(path: Path, environ: Mapping[str, str] | None = None) -> LandFile:
    """One Land file. Raises LandFileError, whose text is ``file:line: what is wrong. remedy``."""
    node = _compose(path)
    loader = _Loader("")
    try:
        data = loader.construct_document(node)
    except (yaml.MarkedYAMLError, ValueError) as error:
        raise LandFileError(_yaml_problem(path, error)) from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise LandFileError(f'{path}:1: The file is not a mapping. Start it with land_code: "..".')
    try:
        land = LandFile.model_validate(data)
    except ValidationError as error:
        raise LandFileError(
            min((_located(path, node, one) for one in error.errors(include_url=False)), key=lambda p: p[0])[1]
        ) from None
    for source in land.sources:
        source._folder = path.resolve().parent
        source._environ = environ
    land._path = path.resolve()
    return land


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a Land file, for editors and for a Land's own checks."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **LandFile.model_json_schema(),
        "title": "Rollin Land file",
    }


def address_problem(address: str) -> str | None:
    """Why an address is not to be called: one sentence with the remedy, or None. Plain http is for loopback alone."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises on a port that is none
    except ValueError:
        return "The address is not a valid URL. Write https://host/path."
    if not host or parts.scheme not in ("http", "https") or not address.isprintable():
        return "The address is not a valid URL. Write https://host/path."
    if parts.username or parts.password:
        return "The address holds a user or password. Remove them and state 'auth' with variables."
    if parts.scheme == "http" and not _is_loopback(host):
        return "The address is not encrypted. Write https:// (http is for this machine only)."
    return None


def location_problem(location: str) -> str | None:
    """Like ``address_problem``, for the location of a source: an SFTP server's folder is one too."""
    if not location.startswith("sftp://"):
        return address_problem(location)
    try:
        _, _, path = split_sftp(location)
    except ValueError as error:
        return str(error)
    levels = path.split("/")[1:]
    if "" in levels or ".." in levels or "." in levels:
        return "The path of an sftp location has an empty level or dots. Write every folder by its name, and no / at the end."
    if any("**" in level for level in levels):
        return "An sftp location cannot search folders of any depth. Write one * for each level of folders."
    return None


def split_sftp(location: str) -> tuple[str, int, str]:
    """Host, port and absolute path of an sftp location; the path is taken as it is written, it has no query and no escapes.

    Raises ValueError with the remedy.
    """
    match = re.fullmatch(r"sftp://([^/@\s\[\]:]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(/[^\0\r\n]+)", location)
    if match is None and "@" in location.removeprefix("sftp://").partition("/")[0]:
        raise ValueError("The address holds a user or password. Remove them and state 'auth' with variables.")
    port = int(match[2] or 22) if match else 0
    if match is None or not 0 < port < 65_536:
        raise ValueError(
            "The address is not a valid sftp location. Write sftp://host/folder/*.csv or sftp://host:port/folder/*.csv."
        )
    return match[1].strip("[]"), port, match[3]


def pinned_keys(host_key: str) -> set[tuple[str | None, bytes]]:
    """What ``auth.host_key`` pins: kind (None where only the fingerprint is known) and SHA-256 digest of each key.

    Raises ValueError with the remedy. The name in front of a line of known_hosts is not compared: the pin is this source's own.
    """
    pins: set[tuple[str | None, bytes]] = set()
    for line in filter(None, (line.strip() for line in host_key.splitlines())):
        if line.startswith("#"):
            continue
        if match := re.fullmatch(r"SHA256:([A-Za-z0-9+/]{43})=?", line):
            pins.add((None, base64.b64decode(match[1] + "=")))
        elif match := re.fullmatch(
            r"(?:[^@\s]\S*\s+)?(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d{3})\s+([A-Za-z0-9+/]+={0,2})(?:\s.*)?", line
        ):
            try:
                pins.add((match[1], hashlib.sha256(base64.b64decode(match[2], validate=True)).digest()))
            except ValueError:
                raise ValueError(_HOST_KEY_ADVICE) from None
        else:
            raise ValueError(_HOST_KEY_ADVICE)
    if not pins:
        raise ValueError(_HOST_KEY_ADVICE)
    return pins


_HOST_KEY_ADVICE = "'host_key' is no host key. Write the server's fingerprint (SHA256:…) as its operator states it, or its line of a known_hosts file."


def is_pattern(location: str) -> bool:
    """Whether a resolved location is a pattern of files; the signs mean something else in an address for HTTP."""
    return (location.startswith("sftp://") or "://" not in location) and any(sign in location for sign in "*?[")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_missing(variable: re.Match[str], environ: Mapping[str, str]) -> bool:
    """Whether a variable of a text has neither a value nor a default, or is switched off."""
    value = environ.get(variable[1])
    return value == OFF or (variable[2] is None and not value)


def _secrets(auth: BaseModel) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in auth if isinstance(value, SecretStr)}


def _texts(auth: BaseModel) -> list[str]:
    return [value.get_secret_value() if isinstance(value, SecretStr) else value for _, value in auth if value is not None]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Use one of {', '.join(known)}."


def _compose(path: Path) -> yaml.Node:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise LandFileError(f"{path}:1: The file is larger than 1 MB. A Land file is a page of text; check what this is.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LandFileError(f"{path}:1: The file cannot be read ({error.strerror}). Check its rights.") from error
    except UnicodeDecodeError as error:
        raise LandFileError(f"{path}:1: The file is not UTF-8. Save it as UTF-8.") from error
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise LandFileError(_yaml_problem(path, error)) from error
    except RecursionError as error:
        raise LandFileError(
            f"{path}:1: The file is nested too deeply. A Land file has few levels; check what this is."
        ) from error
    if node is None:
        raise LandFileError(f'{path}:1: The file is empty. Start it with land_code: "..".')
    _refuse_duplicates(path, node, set())
    return node


def _refuse_duplicates(path: Path, node: yaml.Node, seen: set[int]) -> None:
    """YAML would silently keep the last of two equal entries."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys if isinstance(key, yaml.ScalarNode) else False:
                raise LandFileError(f"{path}:{key.start_mark.line + 1}: Entry '{key.value}' is stated twice. Remove one.")
            if isinstance(key, yaml.ScalarNode):
                keys.add(key.value)
            _refuse_duplicates(path, value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(path, item, seen)


def _yaml_problem(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{path}:{mark.line + 1 if mark else 1}: This is no valid YAML ({problem}). Check indentation, colons and quotes of this line."


def _line_of(path: Path, key: str) -> int:
    return _find(_compose(path), (key,))[0].start_mark.line + 1


def _find(node: yaml.Node, path: Iterable[str | int]) -> tuple[yaml.Node, yaml.Node | None]:
    """The node at a path, as far as it exists, and the node of its key; parts that name no entry (union tags) are passed over."""
    key_node: yaml.Node | None = None
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, key_node = node.value[part], None
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part) or _Loader("").construct_object(key) == part:
                    node, key_node = value, key
                    break
    return node, key_node


def _located(path: Path, root: yaml.Node, error: Any) -> tuple[int, str]:
    """Line and text of one validation error."""
    kind, loc, context = error["type"], tuple(error["loc"]), error.get("ctx", {})
    if kind == "land_file":
        loc += tuple(context["path"])
    is_key = bool(loc) and loc[-1] == "[key]"
    if is_key:
        loc = loc[:-1]
    node, key_node = _find(root, loc)
    entry = next((str(part) for part in reversed(loc) if isinstance(part, str)), "file")
    at = key_node if key_node is not None and (is_key or kind == "extra_forbidden") else node
    line = at.start_mark.line + 1
    written = at.value if isinstance(at, yaml.ScalarNode) else None
    if kind == "land_file":
        text = context["message"]
    elif kind == "missing":
        text = f"'{entry}' is missing. Add it."
    elif kind == "extra_forbidden":
        text = f"'{entry}' is no entry of a Land file here. Remove it or correct its spelling."
    elif (
        written is not None
        and isinstance(at, yaml.ScalarNode)
        and at.tag != "tag:yaml.org,2002:str"
        and _wants_text(kind, context)
    ):
        text = (
            f"'{entry}' is text, but {written} without quotes is read as {_tag(at)}"
            + (" and loses its leading zero" if written.startswith("0") else "")
            + f'. Write "{written}" in quotes.'
        )
    elif kind in ("literal_error", "enum"):
        text = f"'{written}' is not valid for '{entry}'. Use {_choices(str(written), context['expected'])}."
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        expected = context.get("expected_tags", "one of the documented kinds")
        text = f"'{entry}' has no valid 'kind'. Use one of {expected}."
    elif kind == "string_pattern_mismatch":
        text = f"'{written}' is not valid for '{entry}'. It must match {context['pattern']}."
    else:
        text = f"'{entry}' is not valid: {error['msg'].rstrip('.').lower()}. Correct it."
    return line, f"{path}:{line}: {text}"


def _choices(written: str, expected: str) -> str:
    """What may stand there; of very many, those that look most like what was written."""
    words = re.findall("'([^']*)'", expected)
    if len(words) <= _CHOICES_TOLD:
        return f"one of {expected.replace(' or ', ', ')}"
    near = difflib.get_close_matches(written, words, 3) or words[:3]
    return f"one of {len(words)} words, such as {', '.join(repr(word) for word in near)}"


def _wants_text(kind: str, context: Any) -> bool:
    return kind == "string_type" or (kind == "literal_error" and "'" in str(context.get("expected", "")))


def _tag(node: yaml.ScalarNode) -> str:
    return {"int": "a number", "float": "a number", "bool": "yes or no", "timestamp": "a date", "null": "nothing"}.get(
        node.tag.rpartition(":")[2], "something else"
    )


if __name__ == "__main__":
    SCHEMA_PATH.write_text(json.dumps(json_schema(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
