"""One night's work up to the inputs of dbt, as plain functions on files.

Belongs here: what is fetched, which deliveries are admitted, how old a source may be, what tonight's build reads, and the record of
the run. Does not: Dagster (``assets``), building (``warehouse``), publishing (``publication``).

Under ``build/``::

    <run_id>/run.json               the record of the run: outcome, message, seconds per leg
    <run_id>/inputs/<table>/        what dbt reads (links to admitted clean files)
    <run_id>/warehouse.duckdb       the build, audit.json beside it
    <run_id>/spark/, spark.log      where the heavy models are computed on Spark (``orchestration.spark``)
    tonight                         link to the newest run: paths that dbt sees stay the same, so its parse can be kept
    dbt/                            dbt's own target: the project as it was parsed
    parts/                          monthly counts of a Land, computed once for all runs (``orchestration.parts``)

Under ``landing/attempts/<land_code>/<source>.jsonl``: one line per attempt to fetch, so that a source that answered "unchanged" is
known to be up to date, also when the past is rebuilt. ``since``: from when on changes were asked for, ``repeats``: the delivery whose
bytes came once more. Under ``landing/laender.jsonl``: one line whenever the Land files were others than before, their bytes among
landing's objects, so that the past is rebuilt in the words of its day.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
from filelock import FileLock, Timeout

from ingest import clock
from ingest.clean import QUARANTINE_SCHEMA, CleaningRecord, clean_deliveries
from ingest.directory import OPEN_START, Reference, authority_successors, build_references, region_successors
from ingest.fetch import FetchOutcome, fetch_source
from ingest.landfile import QUESTION_FORMATS, LandFile, LandFileError, Source, load
from ingest.landing import Delivery, Landing, make_folder, object_path
from ingest.portals import Question
from ingest.tables import FEDERAL, SERVICE_LIST, TABLES
from orchestration import alerts, disk, journal, licences, parts, settled, withdrawals
from orchestration.deliveries import judgements, read_checks, read_verdict, verdict_text
from orchestration.durable import sync_folder, write_atomically
from orchestration.questions import questions
from orchestration.settings import Refused, Settings, UsageError, code_version

log = logging.getLogger("rollin.night")

#: Tables that say who is competent where: read before everything that names an authority.
REFERENCE_TABLES = ("regions", "territory_changes", "authorities", "competences")

#: How many runs keep their build and inputs; their records stay.
_BUILDS_KEPT = 3

#: How many hosts are asked at the same time; of each, one source after the other.
_HOSTS_AT_ONCE = 8

#: Deliveries before one that its volume is compared with: two months of nights.
_NIGHTS_COMPARED = 60


class NoData(Exception):
    """A required source has no admissible data (exit code 4)."""


class Busy(Exception):
    """Another refresh of this home is running (exit code 5)."""


#: Records of this process' runs that the disk refused, by run_id.
UNWRITTEN: dict[str, dict[str, Any]] = {}

#: What an exception of ours says about the outcome of a run; every other one is unexpected.
_OUTCOMES: dict[type[Exception], str] = {Refused: "refused", NoData: "no_data", UsageError: "misconfigured"}


@dataclass(frozen=True)
class Admission:
    """Whether one cleaned delivery may be used. ``refusal_de``/``refusal_en``: why not, in one sentence.

    ``judged``: its checks, or the file that they stand in. ``withdrawn_at``, ``withdrawal_reason``: where somebody withdrew it; it is not
    judged then, and has no ``checks``.
    """

    record: CleaningRecord
    is_admitted: bool
    refusal_de: str | None
    refusal_en: str | None
    judged: list[dict[str, Any]] | str = field(default_factory=list)
    withdrawn_at: datetime | None = None
    withdrawal_reason: str | None = None

    @property
    def checks(self) -> list[dict[str, Any]]:
        """What was checked; read where it is asked for, for of most deliveries nobody does."""
        return read_checks(self.judged) if isinstance(self.judged, str) else self.judged


@dataclass(frozen=True)
class SourceState:
    """What tonight knows about one source.

    ``status``: ``current`` (its newest delivery is admitted and the last attempt worked), ``stale`` (a predecessor is carried
    forward), ``missing`` (nothing admissible), ``not_configured``. ``confirmed_at``: the last instant at which the admitted data
    were known to be what the source holds. A ``current`` source has a message where an older file of a folder is withdrawn.
    """

    land_code: str
    source: str
    status: str
    admissions: list[Admission]
    confirmed_at: datetime | None
    attempted_at: datetime | None
    message_de: str | None
    message_en: str | None
    is_synthetic: bool

    @property
    def admitted(self) -> list[Admission]:
        """The admitted deliveries in the order of receipt."""
        return [admission for admission in self.admissions if admission.is_admitted]


class Night:
    """One run: its clock, its Länder, its folder and its record. Made by ``open_night``."""

    def __init__(self, settings: Settings, run_id: str):
        self.settings = settings
        self.run_id = run_id
        self.now = settings.now()
        self.as_of: date = settings.as_of or clock.day_of(self.now)
        self.territory_on: date = settings.territory or self.as_of
        if self.territory_on < OPEN_START:
            raise UsageError(f"--territory {self.territory_on} lies before {OPEN_START}: name a later day.")
        try:
            self.laender = load(settings.laender, settings.environ)
        except LandFileError as error:
            raise UsageError(str(error)) from None
        self.landing = Landing(settings.home)
        self.folder = settings.build / run_id
        self.legs: dict[str, float] = {}
        self.states: dict[tuple[str, str], SourceState] = {}
        self._begun: dict[tuple[str, str], Future[FetchOutcome]] | None = None
        self._asking = ThreadPoolExecutor(_HOSTS_AT_ONCE, "fetch")
        self.outcome: str | None = None
        self.message: str | None = None
        self.release_id: str | None = None

    @functools.cached_property
    def memory(self) -> list[Path]:
        """The releases whose public tier everybody knows tonight, oldest first; none where the past is rebuilt."""
        if self.settings.as_of is not None:
            return []
        releases = self.settings.published / "releases"
        return sorted(r for r in releases.glob("[0-9]*") if not r.name.endswith("-asof") and (r / "public").is_dir())

    # ------------------------------------------------------------------------------------------------------------------ the record

    @contextlib.contextmanager
    def leg(self, name: str) -> Iterator[None]:
        """Count the wall seconds of a part of the night."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.legs[name] = self.legs.get(name, 0.0) + time.perf_counter() - begun

    def conclude(self, outcome: str, message: str, release_id: str | None = None) -> None:
        """Record how the run ended: published, unchanged, refused, no_data, misconfigured, failed or incomplete (parts only)."""
        self.outcome, self.message, self.release_id = outcome, message, release_id
        document = {
            "run_id": self.run_id,
            "started_at": self.now.isoformat(),
            "as_of": self.as_of.isoformat(),
            "outcome": outcome,
            "message": message,
            "release_id": release_id,
            "code_version": code_version(),
            "legs": {name: round(seconds, 3) for name, seconds in self.legs.items()},
        }
        try:
            write_atomically(self.folder / "run.json", json.dumps(document, ensure_ascii=False, indent=1))
        except OSError as error:  # a full disk must not hide what the run has to say
            log.error("The record of run %s could not be written: %s", self.run_id, error.strerror)
            UNWRITTEN[self.run_id] = document

    @contextlib.contextmanager
    def step(self, leg: str) -> Iterator[None]:
        """A part of the night: its seconds are counted, and how it fails becomes the outcome of the run, with an alert."""
        try:
            with self.leg(leg):
                yield
        except Exception as error:
            outcome = next((name for kind, name in _OUTCOMES.items() if isinstance(error, kind)), "failed")
            message = str(error) if outcome != "failed" else f"{leg}: {type(error).__name__}: {error}"
            if outcome == "failed" and (told := disk.refusal(error, self.settings.home)) is not None:
                message = f"{leg}: {told}"
            alerts.send(self.settings, outcome=outcome, message=message, run_id=self.run_id)
            self.conclude(outcome, message)
            raise

    # ------------------------------------------------------------------------------------------------------------------- the sources

    def source(self, land_code: str, name: str) -> tuple[LandFile, Source]:
        """A Land and one of its sources."""
        land = self.laender[land_code]
        return land, next(source for source in land.sources if source.name == name)

    def is_synthetic(self, land: LandFile) -> bool:
        """Whether what this Land delivers tonight is synthetic."""
        return self.settings.is_sample or land.is_synthetic

    def configured(self) -> list[str]:
        """Länder that take part: their connections come from a source that is configured or has delivered before."""
        return [
            code
            for code, land in self.laender.items()
            if code != FEDERAL and any(self._takes_part(code, s) for s in land.sources if s.table == "connections")
        ]

    def _takes_part(self, land_code: str, source: Source) -> bool:
        if self.settings.as_of is None:
            return source.is_configured(self.settings.environ) or self.landing.newest(land_code, source.name) is not None
        # today's environment says nothing about the past, what was asked and what was received then does
        attempts = self._attempts(land_code, source.name)
        if attempts and attempts[-1]["status"] != "not_configured":
            return True
        first = next(iter(self.landing.deliveries(land_code, source.name)), None)
        return first is not None and first.delivered_at <= self.now

    def measured(self) -> list[str]:
        """Länder of which connections are known: a configured one that has delivered nothing usable is not measured, and not at zero."""
        return [
            code
            for code in self.configured()
            if any(self.admit(code, s.name).admitted for s in self.laender[code].sources if s.table == "connections")
        ]

    def require_land(self) -> None:
        """Raise UsageError where no Land is configured, NoData where none was on the day to rebuild: there would be nothing to measure."""
        if self.configured():
            return
        if self.settings.as_of is not None:
            raise NoData(
                f"Nothing was known at the end of {self.settings.as_of}: no Land had been asked yet. Name a later day; "
                "'rollin deliveries' lists what was received when."
            )
        raise UsageError(
            "No Land is configured: set the addresses that its Land file names (see README, 'A Land file'), "
            "or try the embedded sample with --sample."
        )

    def begin_fetching(self, again_from: date | None = None) -> None:
        """Begin to ask every source whose question does not depend on others: several hosts at once, each of them one source after the
        other. ``fetch`` then waits for its own."""
        if self._begun is not None or self.settings.as_of is not None:
            return
        of_host: dict[str, list[tuple[str, str]]] = {}
        for code, land in self.laender.items():
            for source in land.sources:
                if source.format not in QUESTION_FORMATS:
                    of_host.setdefault(_host(source, self.settings) or code, []).append((code, source.name))
        self._begun = {key: Future() for keys in of_host.values() for key in keys}
        begun = dict(self._begun)

        def ask(keys: list[tuple[str, str]]) -> None:
            for key in keys:
                if not begun[key].set_running_or_notify_cancel():
                    continue
                try:
                    outcome = self._fetch(*key, again_from)
                except BaseException as error:  # told to whoever waits for it
                    begun[key].set_exception(error)
                else:
                    begun[key].set_result(outcome)

        for keys in of_host.values():
            self._asking.submit(contextvars.copy_context().run, ask, keys)

    def end_fetching(self) -> None:
        """Ask nobody any more, and wait for those that are being asked: nothing is landed after the home's lock is released."""
        for waiting in (self._begun or {}).values():
            waiting.cancel()
        self._asking.shutdown(cancel_futures=True)

    def fetch(self, land_code: str, name: str, again_from: date | None = None) -> FetchOutcome:
        """Ask one source; whatever the other side does, the outcome is recorded and the night goes on.

        ``again_from``: a portal that can answer changes is asked for those from this Berlin day on, known or not.
        Where the past is rebuilt nothing is asked and nothing recorded: what comes in today was not known then.
        """
        begun = self._begun.pop((land_code, name), None) if self._begun else None
        return self._fetch(land_code, name, again_from) if begun is None else begun.result()

    def _fetch(self, land_code: str, name: str, again_from: date | None) -> FetchOutcome:
        if self.settings.as_of is not None:
            return FetchOutcome("unchanged")
        land, source = self.source(land_code, name)
        self._guard(land, source)
        if not self._is_due(land_code, source):
            log.info("%s/%s: asked less than %s days ago", land.name, name, source.every_days)
            return FetchOutcome("unchanged")
        asked = self._questions() if source.format in QUESTION_FORMATS and source.is_configured(self.settings.environ) else []
        since = self._changes_since(land_code, source) if source.since else None
        if since is not None and again_from is not None:
            since = min(since, clock.start_of(again_from))
        outcome = fetch_source(
            land,
            source,
            self.landing,
            land_codes=self.configured(),
            now=self.now,
            since=since,
            questions=asked,
            environ=self.settings.environ,
            is_synthetic=self.is_synthetic(land),
        )
        attempt = {
            "status": outcome.status,
            "since": since.isoformat() if since else None,
            "repeats": outcome.repeats,
            "de": outcome.problem,
            "en": outcome.problem_en,
        }
        journal.append(self._attempts_path(land_code, name), self.now, attempt)
        if outcome.status == "failed":
            log.warning("%s/%s: %s", land.name, name, outcome.problem_en)
        elif outcome.status != "not_configured":
            log.info("%s/%s: %s (%d requests, %d bytes)", land.name, name, outcome.status, outcome.requests, outcome.bytes)
        return outcome

    def _is_due(self, land_code: str, source: Source) -> bool:
        """Whether a source that is asked only every so many days is to be asked tonight. What failed is asked again the next night."""
        if source.every_days is None:
            return True
        last = max(self._good_attempts(land_code, source.name, None), default=None)
        return last is None or (clock.day_of(self.now) - clock.day_of(last)).days >= source.every_days

    def _questions(self) -> list[Question]:
        """What a catalogue is asked about the Länder that take part, on this run's day."""
        return questions([self.laender[code] for code in self.configured()], self.references, clock.day_of(self.now))

    def admit(self, land_code: str, name: str) -> SourceState:
        """Clean what is new of a source, check it, and say what may be used tonight and how old that is."""
        if (known := self.states.get((land_code, name))) is not None:
            return known
        land, source = self.source(land_code, name)
        reference = self.reference(land_code) if TABLES[source.table].day else None
        deliveries = self.landing.deliveries(land_code, name, until=self.now + timedelta(microseconds=1))
        withdrawn = withdrawals.withdrawn(self.landing, land_code, name, deliveries, self.now)
        self._guard(land, source)
        admissions: list[Admission] = []
        predecessor: CleaningRecord | None = None
        records = clean_deliveries(self.settings.home, self.landing, land, source, deliveries, reference, self.now)
        for delivery, record in zip(deliveries, records, strict=True):
            log.debug("%s/%s: %s", land.name, name, delivery.delivery_id)
            if (taken_back := withdrawn.get(delivery.delivery_id)) is not None:
                admission = _withdrawn(record, taken_back)
            else:
                admission = self.judge(source, record, predecessor, admissions)
            admissions.append(admission)
            if admission.is_admitted:
                predecessor = record
        state = self._state(land, source, deliveries, admissions)
        self.states[land_code, name] = state
        in_force = [admission.record for admission in selected(source, state.admitted)]
        if in_force:
            faulty = sum(sum(record.quarantined.values()) for record in in_force)
            log.info("%s/%s: %d clean rows, %d in quarantine", land.name, name, sum(r.rows_clean for r in in_force), faulty)
        if state.status == "stale":
            log.warning("%s/%s is stale: %s", land.name, name, state.message_en)
        return state

    @functools.cached_property
    def references(self) -> dict[str, Reference]:
        """Who is competent where, per Land and, under "00", everywhere; from the admitted deliveries of the reference tables.

        Raises NoData where no municipal directory is admissible.
        """
        frames: dict[str, list[pl.DataFrame]] = {table: [] for table in REFERENCE_TABLES}
        for land in self.laender.values():
            for source in land.sources:
                if source.table in REFERENCE_TABLES:
                    for admission in selected(source, self.admit(land.land_code, source.name).admitted):
                        frames[source.table].append(pl.read_parquet(self.settings.home / admission.record.clean_path))
        directories = frames["regions"]  # the federal one comes first and describes all of Germany
        if not directories:
            raise NoData(self._no_directory())
        joined = {table: pl.concat(parts) if parts else None for table, parts in frames.items()}
        references = build_references(
            self.laender, directories[0], joined["territory_changes"], joined["authorities"], joined["competences"]
        )
        for reference in references.values():
            for finding in reference.findings:
                log.warning("%s", finding)
        return references

    def reference(self, land_code: str) -> Reference:
        """The reference that deliveries of a Land, or of the federation, are read with."""
        return self.references[land_code]

    def _no_directory(self) -> str:
        for land in self.laender.values():
            for source in land.sources:
                if source.table == "regions":
                    state = self.states[land.land_code, source.name]
                    why = state.message_en or "nothing was delivered"
                    return f"The municipal directory {land.name}/{source.name} has no admissible data: {why}"
        return "No source delivers the municipal directory: give deutschland.yaml a source with table: regions."

    def _guard(self, land: LandFile, source: Source) -> None:
        """Synthetic and real data never meet in one home."""
        newest = self.landing.newest(land.land_code, source.name)
        if newest is not None and newest.is_synthetic != self.is_synthetic(land):
            held, asked = ("synthetic", "real") if newest.is_synthetic else ("real", "synthetic")
            raise UsageError(
                f"{self.settings.home} holds {held} data of {land.name} and this run would add {asked} ones: "
                "name another folder with --home."
            )

    def _attempts_path(self, land_code: str, name: str) -> Path:
        return self.landing.root / "attempts" / land_code / f"{name}.jsonl"

    def _attempts(self, land_code: str, name: str) -> list[dict[str, Any]]:
        """Attempts up to this run's instant; a line that a kill cut short is no attempt."""
        return journal.read(self._attempts_path(land_code, name), self.now)

    def _good_attempts(self, land_code: str, name: str, before: datetime | None) -> list[datetime]:
        """When the source answered and nothing was wrong with the answer, so far as it was received before an instant."""
        return [
            attempt["at"]
            for attempt in self._attempts(land_code, name)
            if attempt["status"] in ("new", "unchanged") and (before is None or attempt["at"] < before)
        ]

    def _changes_since(self, land_code: str, source: Source) -> datetime | None:
        """From when on changes are asked for; what was refused, withdrawn or never judged is asked for again."""
        deliveries = self.landing.deliveries(land_code, source.name)
        withdrawn = withdrawals.withdrawn(self.landing, land_code, source.name, deliveries, self.now)
        judged = judgements(self.settings.home, land_code, source.name)
        good = {
            delivery.delivery_id
            for delivery in deliveries
            if delivery.delivery_id not in withdrawn and judged.get(delivery.delivery_id, {}).get("is_admitted")
        }
        return self._known_until(land_code, source, deliveries, good)

    def _known_until(self, land_code: str, source: Source, deliveries: list[Delivery], good: set[str]) -> datetime | None:
        """The instant up to which the ``good`` deliveries hold every change of a portal that answers changes; None where they do not
        begin at the beginning.

        An attempt tells what changed between the instant that it asked since and its own, unless what it brought is no longer good.
        """
        brought: dict[datetime, set[str]] = {}
        for delivery in deliveries:
            brought.setdefault(delivery.delivered_at, set()).add(delivery.delivery_id)
        spans = []
        for attempt in self._attempts(land_code, source.name):
            told = {*brought.get(attempt["at"], ()), *([attempt["repeats"]] if attempt.get("repeats") else [])}
            if attempt["status"] in ("new", "unchanged") and told <= good:
                spans.append((datetime.fromisoformat(attempt["since"]) if attempt.get("since") else None, attempt["at"]))
        known: datetime | None = None
        for since, at in spans:  # in the order of time: one that asked since later than all before it leaves a gap
            if since is None or (known is not None and since <= known):
                known = at if known is None else max(known, at)
        return known

    def judge(
        self, source: Source, record: CleaningRecord, predecessor: CleaningRecord | None, before: Sequence[Admission] = ()
    ) -> Admission:
        """The delivery checks of one record; what was judged already, against the same predecessor and limits, is not judged again.

        ``before``: what became of the deliveries before it; increments are compared with those of their weekday.
        """
        file = f"{record.delivery_id}.{record.fingerprint}.json"
        path = os.path.join(self.settings.home, "clean", "admissions", record.land_code, record.source, file)
        against = {
            "predecessor": f"{predecessor.delivery_id}.{predecessor.fingerprint}" if predecessor else None,
            "thresholds": self._limits,
        }
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = read_verdict(path)
            if known["against"] == against:
                return Admission(record, known["is_admitted"], known["refusal_de"], known["refusal_en"], path)
        from expectations import delivery as suite
        from expectations import results as verdicts

        table = TABLES[source.table]
        home = self.settings.home
        results = suite.check_delivery(
            home / record.clean_path,
            home / record.quarantine_path,
            table=source.table,
            land_code=record.land_code,
            source=record.source,
            key=table.key,
            delivers=source.delivers,
            expects_full_list=is_full_list(source),
            rows_delivered=record.rows_delivered,
            quarantined=record.quarantined,
            missing_columns=record.missing_columns,
            problem=record.problem,
            problem_en=record.problem_en,
            required=[name for name, column in table.schema.columns().items() if not column.nullable],
            predecessor_rows=predecessor.rows_clean if predecessor else None,
            predecessor_parquet=home / predecessor.clean_path if predecessor else None,
            words={
                name: words for name, column in table.schema.columns().items() if (words := getattr(column, "categories", None))
            },
            history=[(a.record.delivered_at, a.record.rows_clean) for a in before if a.is_admitted][-_NIGHTS_COMPARED:]
            if source.since
            else [],
        )
        refusal = verdicts.refusal(results)
        refusal_de, refusal_en = refusal or (None, None)
        admission = Admission(record, refusal is None, refusal_de, refusal_en, [r.to_dict() for r in results])
        if self.settings.as_of is None:  # what is judged again as it was known once must not overwrite what is known now
            verdict = {
                "is_admitted": admission.is_admitted,
                "refusal_de": refusal_de,
                "refusal_en": refusal_en,
                "against": against,
            }
            write_atomically(Path(path), verdict_text(verdict, admission.checks))
        return admission

    @functools.cached_property
    def _limits(self) -> str:
        """Which limits deliveries are judged by tonight."""
        from expectations import thresholds

        return hashlib.sha256(thresholds.PATH.read_bytes()).hexdigest()[:12]

    def _state(self, land: LandFile, source: Source, deliveries: list[Delivery], admissions: list[Admission]) -> SourceState:
        attempts = self._attempts(land.land_code, source.name)
        last = attempts[-1] if attempts else None
        admitted = [a for a in admissions if a.is_admitted]
        confirmed_at = None
        if source.since:  # what was not admitted stands until it has been asked for again and came well
            good = {a.record.delivery_id for a in admitted}
            known = self._known_until(land.land_code, source, deliveries, good)
            standing = [a for a in admissions if not a.is_admitted and (known is None or a.record.delivered_at > known)]
            carried = standing
            if admitted:
                confirmed_at = known or admitted[0].record.delivered_at
        else:
            # A refusal stands until the same file, or the same list, is delivered well; another file of a folder does not mend it.
            # A withdrawal is somebody's will: what else the folder brings later is new.
            is_folder = source.is_folder
            newest_of_address = {_address(d, is_folder): a for d, a in zip(deliveries, admissions, strict=True)}
            standing = sorted((a for a in newest_of_address.values() if not a.is_admitted), key=lambda a: a.record.delivery_id)
            newest = admitted[-1].record.delivery_id if admitted else ""
            carried = [a for a in standing if a.withdrawn_at is None or a.record.delivery_id > newest]
            if admitted:
                until = carried[0].record.delivered_at if carried else None
                confirmed_at = max([admitted[-1].record.delivered_at, *self._good_attempts(land.land_code, source.name, until)])
        message_de = message_en = None
        if standing:
            message_de, message_en = standing[-1].refusal_de, standing[-1].refusal_en
        has_failed = last is not None and last["status"] == "failed"
        if last is not None and has_failed:
            message_de, message_en = last["de"], last["en"]
        if not admitted and last is not None and last["status"] == "not_configured":
            status, message_de, message_en = "not_configured", last["de"], last["en"]
        elif not admitted:
            status = "missing"
        else:
            status = "stale" if carried or has_failed else "current"
        return SourceState(
            land.land_code,
            source.name,
            status,
            admissions,
            confirmed_at,
            last["at"] if last else None,
            message_de,
            message_en,
            any(delivery.is_synthetic for delivery in deliveries),
        )

    # -------------------------------------------------------------------------------------------------------------------- the inputs

    def demand(self) -> None:
        """Raise NoData where a required source of a Land that takes part has no admissible data young enough, or no Land has connections."""
        self.require_land()
        for code in (FEDERAL, *self.configured()):
            land = self.laender[code]
            for source in land.sources:
                state = self.admit(code, source.name)
                if not source.required:
                    continue
                where = f"{land.name}/{source.name}"
                if state.confirmed_at is None:
                    why = state.message_en or "nothing was delivered yet"
                    raise NoData(f"{where} is required and has no admissible data: {why}")
                age = (self._judged_at - state.confirmed_at) / timedelta(days=1)
                if age > source.max_age_days:
                    why = state.message_en or "it has not been fetched since"
                    raise NoData(
                        f"{where} is required and its last admissible data are {age:.1f} days old, more than "
                        f"max_age_days = {source.max_age_days}: {why}"
                    )
        if not self.measured():
            raise NoData("No Land has connections that can be used: " + " ".join(self.unmeasured().values()))

    def unmeasured(self) -> dict[str, str]:
        """Länder that take part and are not measured tonight, by code, each with the sentence that says why."""
        sentences = {}
        for code in sorted(set(self.configured()) - set(self.measured())):
            land = self.laender[code]
            states = [self.admit(code, s.name) for s in land.sources if s.table == "connections"]
            why = next((state.message_en for state in states if state.message_en), "nothing was delivered yet.")
            sentences[code] = f"{land.name} is not measured, its connections are not known: {why}"
        return sentences

    @functools.cached_property
    def _judged_at(self) -> datetime:
        """The instant at which ages are measured: now, or where the past is rebuilt that of its last run, which judged them then."""
        if self.settings.as_of is None:
            return self.now
        attempts = [self._attempts(code, source.name)[-1:] for code, land in self.laender.items() for source in land.sources]
        return max((attempt["at"] for last in attempts for attempt in last), default=self.now)

    def assemble(self) -> str:
        """Lay out what dbt reads tonight and return the sha256 of all of it: equal inputs make equal tables.

        Admitted deliveries are linked, of a snapshot the newest only (of listings all, they carry the history of the catalogue);
        derived regions, authorities and competences and the run's own tables are written.
        Raises NoData as ``demand`` does.
        """
        self.demand()
        inputs = self.folder / "inputs"
        shutil.rmtree(inputs, ignore_errors=True)
        for canonical in TABLES.values():
            (inputs / canonical.name).mkdir(parents=True)
            pl.DataFrame(schema=_enums_as_text(canonical.polars_schema())).write_parquet(
                inputs / canonical.name / "schema.parquet"
            )
        home = os.path.relpath(self.settings.home, (inputs / "quarantine").resolve())  # links hold wherever the home is moved
        (inputs / "quarantine").mkdir()
        pl.DataFrame(schema=QUARANTINE_SCHEMA).write_parquet(inputs / "quarantine" / "schema.parquet")

        sha = hashlib.sha256(code_version().encode())
        measured = self.measured()
        for sentence in self.unmeasured().values():
            log.warning("%s", sentence)
        codes = [FEDERAL, *measured]
        for code in codes:
            for source in self.laender[code].sources:
                for admission in selected(source, self.admit(code, source.name).admitted):
                    record = admission.record
                    file = f"{code}.{source.name}.{record.delivery_id}.{record.fingerprint}.parquet"
                    # a file without rows costs the build as much to open as one with rows
                    if record.quarantined:
                        os.symlink(os.path.join(home, record.quarantine_path), os.path.join(inputs, "quarantine", file))
                    if (
                        record.rows_clean and source.table not in REFERENCE_TABLES
                    ):  # these are read through what is derived from them
                        os.symlink(os.path.join(home, record.clean_path), os.path.join(inputs, source.table, file))
                    sha.update(f"{source.table} {file}\n".encode())

        everywhere = self.references[FEDERAL]
        derived = {"regions": everywhere.regions, "authorities": everywhere.authorities, "competences": everywhere.competences}
        for table, frame in derived.items():
            if table != "regions":
                frame = frame.filter(pl.col("land_code").is_in(measured))
            frame = frame.cast(_enums_as_text(TABLES[table].polars_schema()))
            frame.write_parquet(inputs / table / "derived.parquet")
            sha.update(frame.write_csv().encode())
        for table, frame in self._succession(measured).items():
            (inputs / table).mkdir()
            frame.write_parquet(inputs / table / f"{table}.parquet")
            sha.update(frame.write_csv().encode())

        self._recall(inputs)
        (inputs / "part").mkdir()  # what the usage tells already
        store = self.settings.build / parts.STORE
        parts.make_store(store, anew=self.settings.full)
        if self.settings.full:
            settled.forget(self.settings.build / settled.FOLDER)
        parts.lay_out(inputs, store).write_parquet(inputs / "part" / "part.parquet")
        for name, frame in self._own_tables(codes).items():
            (inputs / name).mkdir()
            frame.write_parquet(inputs / name / f"{name}.parquet")
            stamps = [column for column in ("run_id", "now_at", "last_attempt_at") if column in frame.columns]
            sha.update(frame.drop(stamps).write_csv().encode())
        del self.references  # a country's competences take a gigabyte, and what follows reads the inputs
        return sha.hexdigest()

    def _succession(self, measured: list[str]) -> dict[str, pl.DataFrame]:
        """Where the municipalities and the measured authorities of all days are on the status reported on: two tables of the inputs."""
        everywhere = self.references[FEDERAL]
        is_measured = pl.col("land_code").is_in(measured)
        regions = region_successors(everywhere.regions, everywhere.links, self.territory_on)
        authorities = authority_successors(
            everywhere.authorities.filter(is_measured),
            everywhere.competences.filter(is_measured),
            everywhere.regions,
            regions,
            self.territory_on,
        )
        return {"region_successors": regions, "authority_successors": authorities}

    def _recall(self, inputs: Path) -> None:
        """Link what the newest public tier shows: everybody knows it, and what it hid must not follow from what tonight's will show.

        No part of the inputs' sha256: it changes with every release. A rebuilt past has no public tier and recalls nothing.
        """
        for name, (table, schema) in _PUBLIC_MEMORY.items():
            (inputs / name).mkdir()
            pl.DataFrame(schema=schema).write_parquet(inputs / name / "schema.parquet")
            for release in self.memory[-1:]:
                shown = release / "public" / "parquet" / f"{table}.parquet"
                # where there is much usage, a folder with a file for each month
                files = [shown] if shown.is_file() else sorted(shown.glob("*.parquet"))
                if not files:
                    raise UsageError(
                        f"The public tier of release {release.name} lacks {table}, which tonight's must not contradict: "
                        "restore that release from the back-up."
                    )
                for file in files:
                    os.symlink(os.path.relpath(file, (inputs / name).resolve()), inputs / name / f"shown-{file.name}")

    def _own_tables(self, codes: list[str]) -> dict[str, pl.DataFrame]:
        """What a run knows about itself, as the tables ``run``, ``land``, ``land_service``, ``service``, ``source`` and ``delivery``."""
        states = {(c, s.name): self.admit(c, s.name) for c in self.laender for s in self.laender[c].sources}
        lands = [self.laender[code] for code in codes if code != FEDERAL]
        run = {
            "run_id": self.run_id,
            "as_of": self.as_of,
            "territory_on": self.territory_on,
            "now_at": self.now,
            "code_version": code_version(),
            "is_synthetic": any(states[c, s.name].is_synthetic for c in codes for s in self.laender[c].sources),
        }
        programmes = [(land, land.programme) for land in lands if land.programme is not None]
        return {
            "run": pl.DataFrame([run], schema_overrides={"now_at": pl.Datetime("us", "UTC")}),
            "land": pl.DataFrame(
                [
                    {
                        "land_code": land.land_code,
                        "name": land.name,
                        "programme_start": land.programme.start if land.programme else None,
                        "target_on": land.programme.target.date if land.programme else None,
                        "target_share": land.programme.target.share if land.programme else None,
                    }
                    for land in lands
                ],
                schema={
                    "land_code": pl.String,
                    "name": pl.String,
                    "programme_start": pl.Date,
                    "target_on": pl.Date,
                    "target_share": pl.Float64,
                },
            ),
            "land_service": pl.DataFrame(
                [
                    {"land_code": land.land_code, "service_id": service, "baseline_connections": programme.baseline.get(service)}
                    for land, programme in programmes
                    for service in programme.services
                ],
                schema={"land_code": pl.String, "service_id": pl.String, "baseline_connections": pl.Int64},
            ),
            "service": SERVICE_LIST,
            "source": pl.DataFrame(
                [self._source_row(self.laender[c], s, states[c, s.name]) for c in self.laender for s in self.laender[c].sources],
                schema=_SOURCE_SCHEMA,
            ),
            "delivery": pl.DataFrame(
                [
                    _delivery_row(admission, is_in_force=admission.record.delivery_id in in_force)
                    for code in codes
                    for s in self.laender[code].sources
                    for in_force in [{one.record.delivery_id for one in selected(s, states[code, s.name].admitted)}]
                    for admission in states[code, s.name].admissions
                ],
                schema=_DELIVERY_SCHEMA,
            ),
        }

    def _source_row(self, land: LandFile, source: Source, state: SourceState) -> dict[str, Any]:
        newest = state.admitted[-1].record if state.admitted else None
        return {
            "land_code": land.land_code,
            "source": source.name,
            "table_name": source.table,
            "format": source.format,
            "delivers": source.delivers,
            "is_required": source.required,
            "max_age_days": source.max_age_days,
            # what is invented may be published; what a Land's real source allows is for the Land to state
            "licence": source.licence or (licences.SAMPLE if self.settings.is_sample else None),
            "status": state.status,
            "last_delivery_id": newest.delivery_id if newest else None,
            "last_delivered_at": newest.delivered_at if newest else None,
            "last_attempt_at": state.attempted_at,
            "message_de": state.message_de,
            "message_en": state.message_en,
        }

    def open_folder(self) -> None:
        """Make the run's folder, point ``tonight`` to it, and clear what earlier runs no longer need."""
        make_folder(self.folder)
        pointer = self.settings.build / "tonight"
        aside = pointer.with_name(".tonight")
        aside.unlink(missing_ok=True)
        os.symlink(self.run_id, aside)
        os.replace(aside, pointer)
        runs = sorted(
            (p for p in self.settings.build.iterdir() if (p / "inputs").is_dir() and not p.is_symlink()),
            key=lambda p: p.stat().st_mtime,
        )
        for run in runs:  # one that was killed left what did not fit in memory: as much as a build, and more
            shutil.rmtree(run / "warehouse.duckdb.tmp", ignore_errors=True)
        for old in runs[:-_BUILDS_KEPT]:
            if old != self.folder:
                for name in ("inputs", "spark"):
                    shutil.rmtree(old / name, ignore_errors=True)
                for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
                    (old / name).unlink(missing_ok=True)
        parts.prune(self.settings.build / parts.STORE, [run / "inputs" for run in runs[-_BUILDS_KEPT:]])


@contextlib.contextmanager
def open_night(settings: Settings, run_id: str) -> Iterator[Night]:
    """A night with its home to itself: takes the lock, makes the run's folder, leaves a record however the run ends.

    Raises Busy where another refresh holds the lock, UsageError for a configuration that cannot work.
    """
    with lock(settings):
        night = Night(settings, run_id)
        night.open_folder()
        if settings.as_of is None:
            record_laender(night)
        try:
            yield night
        finally:
            night.end_fetching()
            if night.outcome is None:
                night.conclude(
                    "incomplete", "The run ended before the publication: parts of it were not asked for, or it was stopped."
                )


def _host(source: Source, settings: Settings) -> str | None:
    """Whom a source asks; None for files, and where nobody can be asked."""
    try:
        return urlsplit(source.resolved_location(settings.environ)).netloc.rpartition("@")[2].lower() or None
    except ValueError:
        return None


def record_laender(night: Night) -> None:
    """Keep the Land files that a run works with, so that its day can be rebuilt in their words."""
    files = {}
    for code, land in night.laender.items():
        if land.path is not None:
            sha256, _ = night.landing.put([land.path.read_bytes()])
            files[code] = {"name": land.path.name, "sha256": sha256}
    document = {"files": files, "code_version": code_version()}
    path = _laender_path(night.landing)
    last = journal.read(path, night.now)[-1:]
    if not last or last[0].get("files") != files or last[0].get("code_version") != document["code_version"]:
        journal.append(path, night.now, document)


def as_known_then(settings: Settings) -> Settings:
    """The settings to rebuild the past with: the Land files are those of its last run. Without ``as_of`` they stay as they are.

    What cannot be travelled in time is told: the code with its formulas, cleaning rules and limits is today's.
    Raises UsageError where the Land files of then are damaged, or cannot be used by this version.
    """
    if settings.as_of is None:
        return settings
    landing = Landing(settings.home)
    recorded = journal.read(_laender_path(landing), settings.now())[-1:]
    if not recorded:
        log.warning("Which Land files held on %s is not recorded: today's are used.", settings.as_of)
        return settings
    then = recorded[0]
    digest = hashlib.sha256(json.dumps(then["files"], sort_keys=True).encode()).hexdigest()[:12]
    folder = settings.build / "laender" / digest
    for code, file in then["files"].items():
        path = object_path(landing.root, file["sha256"])
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != file["sha256"]:
            raise UsageError(f"The Land file {file['name']} of {settings.as_of} is damaged: restore {path} from a backup.")
        write_atomically(folder / f"{code}-{Path(file['name']).name}", content.decode("utf-8"))
    try:
        load(folder, settings.environ)
    except LandFileError as error:
        raise UsageError(
            f"The Land files of {settings.as_of} cannot be used by this version of Rollin ({error}): "
            f"rebuild that day with the version of then, {then['code_version']}."
        ) from None
    if then["code_version"] != code_version():
        log.warning(
            "%s is rebuilt with the code of today; its formulas, cleaning rules and limits may differ from those of %s.",
            settings.as_of,
            then["code_version"],
        )
    return dataclasses.replace(settings, laender=folder)


def _laender_path(landing: Landing) -> Path:
    return landing.root / "laender.jsonl"


@contextlib.contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """One refresh at a time: a lock of the operating system, which a killed process cannot leave behind. Re-entrant."""
    held_by_us = False
    try:
        make_folder(settings.home)
        held = FileLock(settings.home / "refresh.lock", blocking=False, thread_local=False, is_singleton=True)
        with held:
            held_by_us = True
            yield
    except Timeout:
        raise Busy(
            f"Another refresh of {settings.home} is running: wait until it ends, 'rollin status' shows what it published."
        ) from None
    except OSError as error:
        if held_by_us:  # of what was done under the lock
            raise
        raise UsageError(
            f"{settings.home} cannot be written ({error.strerror}): correct its rights, free space, or name another folder with --home."
        ) from None


#: Inputs that hold what the public release before shows: its table, and the columns that are read of it.
_PUBLIC_MEMORY: dict[str, tuple[str, dict[str, Any]]] = {
    "public_usage": (
        "core/fct_usage_monthly",
        {
            "land_code": pl.String,
            "authority_id": pl.String,
            "service_id": pl.String,
            "month": pl.Date,
            "channel": pl.String,
            "submitted": pl.Int64,
            "is_suppressed": pl.Boolean,
            "suppression_pool": pl.Int32,
        },
    ),
    "public_cost": (
        "metrics/cost_per_connection",
        {"land_code": pl.String, "service_id": pl.String, "wave": pl.Int64, "connections_published": pl.Int64},
    ),
}

_SOURCE_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "source": pl.String,
    "table_name": pl.String,
    "format": pl.String,
    "delivers": pl.String,
    "is_required": pl.Boolean,
    "max_age_days": pl.Int64,
    "licence": pl.String,
    "status": pl.String,
    "last_delivery_id": pl.String,
    "last_delivered_at": pl.Datetime("us", "UTC"),
    "last_attempt_at": pl.Datetime("us", "UTC"),
    "message_de": pl.String,
    "message_en": pl.String,
}

_DELIVERY_SCHEMA: dict[str, Any] = {
    "land_code": pl.String,
    "source": pl.String,
    "table_name": pl.String,
    "delivery_id": pl.String,
    "delivered_at": pl.Datetime("us", "UTC"),
    "rows_delivered": pl.Int64,
    "rows_clean": pl.Int64,
    "rows_quarantined": pl.Int64,
    "is_admitted": pl.Boolean,
    "is_in_force": pl.Boolean,
    "refusal_de": pl.String,
    "refusal_en": pl.String,
    "withdrawn_at": pl.Datetime("us", "UTC"),
    "withdrawal_reason": pl.String,
}


def _delivery_row(admission: Admission, *, is_in_force: bool) -> dict[str, Any]:
    record = admission.record
    return {
        "land_code": record.land_code,
        "source": record.source,
        "table_name": record.table,
        "delivery_id": record.delivery_id,
        "delivered_at": record.delivered_at,
        "rows_delivered": record.rows_delivered,
        "rows_clean": record.rows_clean,
        "rows_quarantined": sum(record.quarantined.values()),
        "is_admitted": admission.is_admitted,
        "is_in_force": is_in_force,
        "refusal_de": admission.refusal_de,
        "refusal_en": admission.refusal_en,
        "withdrawn_at": admission.withdrawn_at,
        "withdrawal_reason": admission.withdrawal_reason,
    }


def _withdrawn(record: CleaningRecord, withdrawal: withdrawals.Withdrawal) -> Admission:
    return Admission(
        record,
        False,
        withdrawal.sentence_de,
        withdrawal.sentence_en,
        withdrawn_at=withdrawal.at,
        withdrawal_reason=withdrawal.reason,
    )


def is_full_list(source: Source) -> bool:
    """Whether each answer of this source is the whole list again: no increments, and no folder that files are added to."""
    return source.since is None and not source.is_folder


def _address(delivery: Delivery, is_folder: bool) -> str:
    """What a delivery is a new version of: its own file in a folder of files, else all that the source ever delivered."""
    return delivery.parts[0].name if is_folder and delivery.parts else ""


def selected(source: Source, admitted: list[Admission]) -> list[Admission]:
    """The admitted deliveries whose rows count: of a snapshot the newest, it retires what it no longer names; of deliveries under one
    id of their own the newest, it replaces the others whole."""
    if source.delivers == "snapshot" and source.table != "listings":
        return admitted[-1:]
    newest = {admission.record.statement_id: admission for admission in admitted}
    return [one for one in admitted if one.record.statement_id is None or newest[one.record.statement_id] is one]


def _enums_as_text(schema: pl.Schema) -> pl.Schema:
    return pl.Schema({name: pl.String() if isinstance(dtype, pl.Enum) else dtype for name, dtype in schema.items()})


__all__ = [
    "Admission",
    "Busy",
    "Night",
    "NoData",
    "Refused",
    "SourceState",
    "is_full_list",
    "lock",
    "open_night",
    "selected",
    "sync_folder",
    "write_atomically",
]
