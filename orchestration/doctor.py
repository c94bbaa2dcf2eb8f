"""What ``rollin doctor`` does: try every source once.

Belongs here: which sources are tried, what they are asked, the verdict on all of them. Does not: the question itself (``ingest.probe``),
printing (``cli``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl

from ingest import probe
from ingest.landfile import LandFile, LandFileError, load
from ingest.portals import Question
from ingest.portals.fit_connect import NOT_TRANSPORTED
from ingest.probe import ProbeOutcome
from ingest.tables import FEDERAL
from orchestration.questions import SEED
from orchestration.settings import Settings, UsageError

#: Sources tried at the same time: most of the time is waiting for others.
_AT_ONCE = 8


def examine(settings: Settings, land_code: str | None = None, limits: probe.Limits = probe.LIMITS) -> list[ProbeOutcome]:
    """Try every source of all Land files, or of one (and the federal ones only if asked for by "00"), in their order.

    Nothing is landed, nothing recorded. Raises UsageError where the Land files cannot be read or the Land is none of them.
    """
    try:
        laender = load(settings.laender, settings.environ)
    except LandFileError as error:
        raise UsageError(str(error)) from None
    if land_code is not None and land_code not in laender:
        raise UsageError(f"There is no Land file with land_code '{land_code}': use one of {', '.join(laender)}.")
    taking_part = _taking_part(laender, settings)
    tried = [(land, s) for code, land in laender.items() if land_code in (None, code) for s in land.sources]
    asked = [_question(taking_part)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        outcomes = pool.map(
            lambda pair: probe.probe_source(
                *pair,
                now=settings.now(),
                land_codes=taking_part[:1],
                questions=asked,
                environ=settings.environ,
                limits=limits,
            ),
            tried,
        )
        return list(outcomes)


def blocking(settings: Settings, outcomes: list[ProbeOutcome]) -> list[ProbeOutcome]:
    """Those of the outcomes that would stand in the way of a night: a required source that does not answer as it should.

    A source that is not configured counts where its Land takes part: the federal file, and Länder with a configured source of
    connections. A Land that is not configured at all is left out of a night, and is no fault.
    """
    taking_part = {FEDERAL, *_configured(load(settings.laender, settings.environ), settings)}
    return [
        one
        for one in outcomes
        if one.is_required and (one.status == "failing" or (one.status == "not_configured" and one.land_code in taking_part))
    ]


def _configured(laender: dict[str, LandFile], settings: Settings) -> list[str]:
    return [
        code
        for code, land in laender.items()
        if code != FEDERAL and any(s.table == "connections" and s.is_configured(settings.environ) for s in land.sources)
    ]


def _taking_part(laender: dict[str, LandFile], settings: Settings) -> list[str]:
    """Länder to ask federal catalogues about: the configured ones, else any."""
    return _configured(laender, settings) or [code for code in laender if code != FEDERAL] or ["09"]


def _question(land_codes: list[str]) -> Question:
    """One question that every catalogue understands: a verified key that all of them carry, for a whole Land."""
    keys = pl.read_csv(SEED, schema_overrides={"leika_key": pl.String})
    usable = keys.filter(pl.col("is_verified").cast(pl.Boolean) & ~pl.col("service_id").is_in(NOT_TRANSPORTED))
    service, key = usable.select("service_id", "leika_key").row(0)
    return Question(service, key, land_codes[0].ljust(12, "0"))
