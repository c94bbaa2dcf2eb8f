"""What one process runs with. Belongs here: paths, switches and what they default to. Does not: Land files, thresholds, state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from dbt_project import PROJECT_DIR
from ingest import clock

#: Set before a library that would phone home or fetch extensions is imported; nothing of Rollin talks to a third party.
QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


#: Where the heavy models can be computed.
ENGINES = ("duckdb", "spark")


class UsageError(Exception):
    """What the user asked for or configured cannot work: one sentence with its remedy (exit code 2)."""


class Refused(Exception):
    """dbt's tests or the gate refuse the release (exit code 3)."""


@dataclass(frozen=True)
class Settings:
    """Where a night keeps its state and how it is run.

    ``home``: the folder of all state. ``laender``: a folder of Land files instead of the packaged ones. ``as_of``: rebuild what was
    known at the end of that day, fetch nothing, never become ``current``. ``is_sample``: what is fetched is synthetic.
    ``again_from``, ``again_to``: days whose changes are asked for again from portals that can answer changes.
    ``territory``: the day whose territorial status (Gebietsstand) the metrics are reported on; the run's own day where None.
    ``engine``: where the heavy models are computed, ``duckdb`` or ``spark``.
    ``environ``: where ``${VAR}`` of Land files and secrets come from.
    """

    home: Path
    laender: Path | None = None
    as_of: date | None = None
    full: bool = False
    is_sample: bool = False
    again_from: date | None = None
    again_to: date | None = None
    territory: date | None = None
    engine: str = ENGINES[0]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """``ROLLIN_HOME`` (default ./var), ``ROLLIN_LAENDER``, ``ROLLIN_SAMPLE`` (set for a synthetic world), ``ROLLIN_TERRITORY``,
        ``ROLLIN_ENGINE`` (default duckdb).

        Raises UsageError where ``ROLLIN_TERRITORY`` is no day or ``ROLLIN_ENGINE`` no engine.
        """
        environ = os.environ if environ is None else environ
        laender = environ.get("ROLLIN_LAENDER")
        territory = environ.get("ROLLIN_TERRITORY")
        try:
            territory_on = date.fromisoformat(territory) if territory else None
        except ValueError:
            raise UsageError(f"ROLLIN_TERRITORY is no day ({territory}): write it as 2026-01-31 or unset it.") from None
        engine = environ.get("ROLLIN_ENGINE") or ENGINES[0]
        if engine not in ENGINES:
            raise UsageError(f"ROLLIN_ENGINE is '{engine}': set it to {' or '.join(ENGINES)}.")
        return cls(
            home=Path(environ.get("ROLLIN_HOME", "var")).absolute(),
            laender=Path(laender).absolute() if laender else None,
            is_sample=bool(environ.get("ROLLIN_SAMPLE")),
            territory=territory_on,
            engine=engine,
            environ=environ,
        )

    @property
    def build(self) -> Path:
        """Builds, one folder per run; nobody but the run itself opens them."""
        return self.home / "build"

    @property
    def published(self) -> Path:
        """Releases and the pointer ``current``."""
        return self.home / "published"

    @property
    def current(self) -> Path:
        """The release that readers open."""
        return self.published / "current"

    @property
    def boundaries(self) -> Path | None:
        """File of boundaries (VG250) for the maps of the report: ``ROLLIN_BOUNDARIES``."""
        value = self.environ.get("ROLLIN_BOUNDARIES")
        return Path(value).absolute() if value else None

    @property
    def has_report(self) -> bool:
        """Whether releases carry a report: not where ``ROLLIN_REPORT`` is no."""
        return self.environ.get("ROLLIN_REPORT", "").lower() not in ("no", "off", "0")

    def now(self) -> datetime:
        """The instant of this run; with ``as_of`` the last microsecond of that day in Berlin."""
        try:
            present = clock.now()
        except ValueError as error:
            raise UsageError(str(error)) from None
        if self.as_of is None:
            return present
        if self.as_of > clock.day_of(present):
            raise UsageError(f"--as-of {self.as_of} lies in the future: name a day up to {clock.day_of(present)}.")
        return min(present, clock.last_instant_of(self.as_of))


@cache
def code_version() -> str:
    """Version of the package and 12 hex digits over its own sources: two builds with the same one run the same code."""
    root = PROJECT_DIR.parent
    sha = hashlib.sha256()
    for package in ("ingest", "dbt_project", "expectations", "orchestration"):
        for path in sorted((root / package).rglob("*")):
            relative = path.relative_to(root)
            if path.suffix in {".py", ".sql", ".yml", ".yaml", ".csv"} and not {"target", "logs"} & set(relative.parts):
                sha.update(str(relative).encode())
                sha.update(path.read_bytes())
    return f"{version('rollin')}+{sha.hexdigest()[:12]}"
