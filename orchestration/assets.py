"""Dagster assets: what exists after a night, and what each thing is made of.

Belongs here: keys, groups, dependencies, descriptions, checks, what a step reports. Does not: the work itself (``night``,
``warehouse``, ``publication``), jobs and schedules (``definitions``).

Keys: ``landing/<land>/<source>`` (bytes), ``clean/<land>/<source>`` (Parquet), ``clean/deutschland/competences`` (who is competent
where), ``inputs/<table>`` (what dbt reads), ``<schema>/<model>`` (dbt), ``release/audit``, ``release/current``.
Assets carry no values from step to step: files do, so that a run can be looked at, and killed, at any point.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from expectations import release as release_suite
from expectations import results as verdicts
from ingest import clock
from ingest.landfile import QUESTION_FORMATS, LandFile, Source
from ingest.tables import FEDERAL, SERVICES, TABLES
from orchestration import disk, gate_report, publication, report, spark, warehouse
from orchestration.night import REFERENCE_TABLES, Night, NoData, Refused, SourceState, write_atomically
from orchestration.settings import Settings, code_version

log = logging.getLogger("rollin.night")

OWNERS = ["team:rollin"]

#: A release older than this is told on the asset's page and by Dagster's freshness daemon.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

#: The first day that has a partition, and the earliest that changes can be asked for again from.
PROGRAMME_START = date(2026, 1, 1)

COMPETENCES = dg.AssetKey(["clean", "deutschland", "competences"])
AUDIT = dg.AssetKey(["release", "audit"])
RELEASE = dg.AssetKey(["release", "current"])

#: What the run itself contributes to the inputs, beside the canonical tables.
RUN_TABLES = (
    "run",
    "land",
    "land_service",
    "service",
    "source",
    "delivery",
    "quarantine",
    "part",
    "region_successors",
    "authority_successors",
    "public_usage",
    "public_cost",
)


def nights() -> dg.DailyPartitionsDefinition:
    """One partition per Berlin day since the programme began; a clock set ahead by ``ROLLIN_NOW`` has its days too."""
    ahead = (clock.day_of(clock.now()) - clock.day_of(clock.real_now())).days
    return dg.DailyPartitionsDefinition(
        start_date=PROGRAMME_START.isoformat(), timezone="Europe/Berlin", end_offset=max(ahead, 0) + 1
    )


def slug(name: str) -> str:
    """A Land's name as part of an asset key: ``Baden-Württemberg`` becomes ``baden_wuerttemberg``."""
    text = name.lower()
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.replace(umlaut, plain)
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")


def landing_key(land: LandFile, source: Source) -> dg.AssetKey:
    """Key of the bytes that a source delivered."""
    return dg.AssetKey(["landing", slug(land.name), source.name])


def clean_key(land: LandFile, source: Source) -> dg.AssetKey:
    """Key of a source's clean rows."""
    return dg.AssetKey(["clean", slug(land.name), source.name])


# -------------------------------------------------------------------------------------------------------------------- from the Länder


def source_assets(land: LandFile, source: Source, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The two assets of one source: what arrived tonight, and its clean rows with the verdict on the delivery."""
    fetched = dg.AssetCheckSpec("fetched", asset=landing_key(land, source), description="Die Quelle hat geantwortet.")
    admitted = dg.AssetCheckSpec(
        "admitted",
        asset=clean_key(land, source),
        description="Die neueste Lieferung besteht ihre Prüfungen; sonst gilt ihre Vorgängerin weiter.",
    )

    @dg.asset(
        key=landing_key(land, source),
        deps=[COMPETENCES] if source.format in QUESTION_FORMATS else [],  # who is competent decides what is asked
        group_name=slug(land.name),
        owners=OWNERS,
        kinds={source.format},
        description=f"Bytes of {land.name}/{source.name} ({source.format}), exactly as received.",
        metadata={"licence": source.licence or "not stated", "location": source.location},
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=FRESHNESS,
        check_specs=[fetched],
        required_resource_keys={"night"},
    )
    def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with night.step("fetch"):
            again_from = _again_from(context, night)
            if not context.run.asset_selection:  # a whole night: nobody waits for another's portal
                night.begin_fetching(again_from)
            outcome = night.fetch(land.land_code, source.name, again_from)
        return dg.MaterializeResult(
            metadata={
                "status": outcome.status,
                "deliveries": len(outcome.deliveries),
                "requests": outcome.requests,
                "bytes": outcome.bytes,
                "problem": outcome.problem or "",
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="fetched",
                    passed=outcome.status != "failed",
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"problem": outcome.problem or "", "problem_en": outcome.problem_en or ""},
                )
            ],
        )

    table = TABLES[source.table]
    columns = dg.TableSchema([dg.TableColumn(name, str(dtype)) for name, dtype in table.polars_schema().items()])

    @dg.asset(
        key=clean_key(land, source),
        deps=[landing_key(land, source), *([COMPETENCES] if table.day else [])],
        group_name=slug(land.name),
        owners=OWNERS,
        kinds={"polars", "parquet"},
        description=f"Clean rows of {land.name}/{source.name}, table {source.table}; what cannot be used is in quarantine with its reason.",
        metadata={"dagster/column_schema": columns},
        check_specs=[admitted],
        required_resource_keys={"night"},
    )
    def clean(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with night.step("clean"):
            state = night.admit(land.land_code, source.name)
        return dg.MaterializeResult(metadata=_state_metadata(state), check_results=[_admitted(state)])

    return [landing, clean]


def _again_from(context: dg.AssetExecutionContext, night: Night) -> date | None:
    """The first day of a backfill: of the range that the run was given, or a day before tonight's. None in an ordinary night."""
    days = context.partition_key_range
    first = date.fromisoformat(days.start)
    return first if context.has_partition_key_range or first < clock.day_of(night.now) else None


def _state_metadata(state: SourceState) -> dict[str, Any]:
    newest = state.admissions[-1].record if state.admissions else None
    metadata: dict[str, Any] = {"status": state.status, "deliveries": len(state.admissions), "admitted": len(state.admitted)}
    if newest is not None:
        metadata |= {
            "dagster/row_count": newest.rows_clean,
            "rows_delivered": newest.rows_delivered,
            "quarantined": newest.quarantined,
            "unknown_columns": newest.unknown_columns,
        }
    return metadata


def _admitted(state: SourceState) -> dg.AssetCheckResult:
    newest = state.admissions[-1] if state.admissions else None
    failed = [check for check in (newest.checks if newest else []) if not check["passed"]]
    return dg.AssetCheckResult(
        check_name="admitted",
        passed=state.status in ("current", "not_configured"),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"message": state.message_de or "", "message_en": state.message_en or "", "failed_checks": failed},
    )


def competences_asset(laender: Mapping[str, LandFile]) -> dg.AssetsDefinition:
    """Who is competent for which service where, derived from the directory by the Land files' rules."""
    made_from = [
        clean_key(land, source) for land in laender.values() for source in land.sources if source.table in REFERENCE_TABLES
    ]

    @dg.asset(
        key=COMPETENCES,
        deps=made_from,
        group_name="deutschland",
        owners=OWNERS,
        kinds={"polars"},
        description="Municipalities, authorities and competences through time, from the directory and the Land files' rules.",
        required_resource_keys={"night"},
    )
    def competences(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with night.step("competences"):
            references = night.references
        counts = {
            f"{laender[code].name}/{service}": reference.competences.filter(
                (pl.col("service_id") == service)
                & (pl.col("valid_from") <= night.as_of)
                & (pl.col("valid_to").is_null() | (pl.col("valid_to") > night.as_of))
            )["authority_id"].n_unique()
            for code, reference in references.items()
            if code != FEDERAL
            for service in SERVICES
        }
        return dg.MaterializeResult(metadata={"authorities": counts, "findings": references[FEDERAL].findings})

    return competences


def inputs_asset(settings: Settings, laender: Mapping[str, LandFile]) -> dg.AssetsDefinition:
    """What dbt reads tonight. Nothing is materialised, and so nothing is built, where the current release was made of the same."""
    of_table: dict[str, set[dg.AssetKey]] = {table: set() for table in [*TABLES, *RUN_TABLES]}
    for land in laender.values():
        for source in land.sources:
            of_table[source.table].add(clean_key(land, source))
            of_table["quarantine"].add(clean_key(land, source))
    for table in ("regions", "authorities", "competences"):
        of_table[table].add(COMPETENCES)
    everything = set().union(*of_table.values())
    specs = [
        dg.AssetSpec(
            ["inputs", table],
            deps=of_table[table] or everything,
            group_name="inputs",
            owners=OWNERS,
            kinds={"parquet"},
            description=f"Admitted rows of table {table}." if table in TABLES else f"What tonight's run knows: table {table}.",
            skippable=True,
        )
        for table in of_table
    ]

    @dg.multi_asset(name="inputs", specs=specs, required_resource_keys={"night"})
    def inputs(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        night: Night = context.resources.night
        with night.step("inputs"):
            try:
                digest = night.assemble()
            except NoData as error:
                gate_report.write(night, [], outcome="no_data", message=str(error))
                raise
            if settings.as_of is None:
                publication.require_whole(settings, night.memory)
            write_atomically(night.folder / "inputs.sha256", digest)
            unchanged = not settings.full and settings.as_of is None and _is_published(settings, digest)
        if unchanged:
            release_id = publication.current_id(settings)
            night.conclude("unchanged", f"Nothing changed since release {release_id}.", release_id)
            return
        if settings.engine == "spark":
            with night.step("spark"):
                spark.compute(settings, night.folder)
        for spec in specs:
            yield dg.MaterializeResult(asset_key=spec.key)

    return inputs


def _is_published(settings: Settings, digest: str) -> bool:
    audit = publication.current_audit(settings)
    return audit is not None and audit.inputs_sha256 == digest


# ------------------------------------------------------------------------------------------------------------------------- the build


class _Translator(DagsterDbtTranslator):
    """dbt's folders as Dagster's groups."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS


def dbt_models(settings: Settings, manifest: dict[str, Any]) -> dg.AssetsDefinition:
    """All models, seeds and data tests of the dbt project, built in one go in this process."""
    translator = _Translator()
    models_count = sum(node["resource_type"] == "model" for node in manifest["nodes"].values())

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        exclude="resource_type:unit_test",
        name="dbt",
        required_resource_keys={"night"},
    )
    def models(context: dg.AssetExecutionContext) -> Iterator[Any]:
        night: Night = context.resources.night
        with night.step("build"):
            for left in night.folder.glob("warehouse.duckdb*"):
                left.unlink()
            log.info("building the warehouse: %d models", models_count)
            outcome = warehouse.build(manifest)
        yield from warehouse.dagster_events(outcome, manifest, translator, context)
        write_atomically(
            night.folder / "dbt.json",
            json.dumps({"rebuilt": sorted(outcome.rebuilt), "tests": outcome.tests}),
        )
        with night.step("build"):
            if not outcome.success:
                more = f" (and {len(outcome.failures) - 1} more)" if len(outcome.failures) > 1 else ""
                what = outcome.failures[0] if outcome.failures else "dbt build failed without naming a node"
                if disk.refusal(RuntimeError(" ".join(outcome.failures)), settings.home) is not None:
                    raise RuntimeError(" ".join(outcome.failures))  # nothing is wrong with the data
                sentence = f"dbt refuses tonight's build: {what}{more}."
                page = gate_report.write(night, outcome.tests, outcome="refused", message=sentence)
                raise Refused(f"{sentence} See {page} and {night.folder}/warehouse.duckdb.")

    return models


def audit_asset(settings: Settings, manifest: dict[str, Any]) -> dg.AssetsDefinition:
    """The gate: the closed build, opened read-only, against every expectation on a release."""
    marts = warehouse.marts(manifest)
    specs = [
        dg.AssetCheckSpec("gate", asset=AUDIT, blocking=True, description="Jede Erwartung an die Veröffentlichung ist erfüllt.")
    ]

    @dg.asset(
        key=AUDIT,
        deps=[dg.AssetKey([node["schema"], node["name"]]) for node in marts],
        group_name="release",
        owners=OWNERS,
        kinds={"greatexpectations"},
        description="What the gate found on tonight's build, tied to its bytes.",
        check_specs=specs,
        required_resource_keys={"night"},
    )
    def audit(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        night: Night = context.resources.night
        with night.step("gate"):
            log.info("checking the build at the gate")
            record = make_audit(settings, night)
            refusal = verdicts.refusal(verdicts.CheckResult.from_dict(result) for result in record.results)
            sentences = "" if refusal is None else refusal[0]
            outcome = "passed" if record.passed else "refused"
            page = gate_report.write(night, record.results, outcome=outcome, message=sentences)
        failed = [result for result in record.results if not result["passed"]]
        yield dg.MaterializeResult(
            metadata={
                "checks": len(record.results),
                "failed": len(failed),
                "build_sha256": record.build_sha256,
                "failures": failed,
                "gate_report": dg.MetadataValue.path(os.fspath(page)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="gate",
                    passed=record.passed,
                    metadata={"failures": failed, "gate_report": dg.MetadataValue.path(os.fspath(page))},
                )
            ],
        )
        with night.step("gate"):
            if refusal is not None:
                raise Refused(f"The gate refuses tonight's build: {refusal[1]} See {page}.")

    return audit


def make_audit(settings: Settings, night: Night) -> publication.Audit:
    """Check the closed build and write ``audit.json`` beside it."""
    build = night.folder / "warehouse.duckdb"
    dbt = json.loads((night.folder / "dbt.json").read_text(encoding="utf-8"))
    previous = settings.current / "warehouse.duckdb"
    programme = {
        code: list(land.programme.services) for code in night.measured() if (land := night.laender[code]).programme is not None
    }
    compare = previous if previous.is_file() and settings.as_of is None else None
    results = release_suite.audit(build, compare, night.run_id, as_of=night.as_of, programme=programme, rebuilt=dbt["rebuilt"])
    measured = (FEDERAL, *night.measured())
    record = publication.Audit(
        run_id=night.run_id,
        as_of=night.as_of,
        territory_on=night.territory_on,
        build_sha256=publication.sha256_of_build(build),
        inputs_sha256=(night.folder / "inputs.sha256").read_text(encoding="utf-8"),
        code_version=code_version(),
        is_synthetic=any(night.admit(c, s.name).is_synthetic for c in measured for s in night.laender[c].sources),
        passed=verdicts.passed(results),
        results=[*(result.to_dict() for result in results), *dbt["tests"]],
        rebuilt=dbt["rebuilt"],
    )
    write_atomically(build.with_name("audit.json"), record.to_json())
    return record


def release_asset(settings: Settings, manifest: dict[str, Any]) -> dg.AssetsDefinition:
    """The release: readers see it from the moment that this asset is materialised."""
    marts, masked, inputs = warehouse.marts(manifest), warehouse.masked(manifest), warehouse.inputs(manifest)

    @dg.asset(
        key=RELEASE,
        deps=[AUDIT],
        group_name="release",
        owners=OWNERS,
        kinds={"duckdb", "parquet", "csv"},
        description="The published release: warehouse.duckdb, Parquet, CSV, rollin.xlsx, the report, the public tier, audit.json, CHANGES.md, SHA256SUMS.",
        freshness_policy=FRESHNESS,
        required_resource_keys={"night"},
    )
    def current(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with night.step("publish"):
            log.info("publishing")
            build = night.folder / "warehouse.duckdb"
            # a rebuilt past is published today
            now = night.now if settings.as_of is None else clock.now()
            release_id = publication.publish(
                settings, build, run_id=night.run_id, now=now, marts=marts, masked=masked, inputs=inputs
            )
        night.conclude("published", f"Release {release_id} is published.", release_id)
        release = settings.published / "releases" / release_id
        page = release / report.FOLDER / "index.html"
        return dg.MaterializeResult(
            metadata={
                "release_id": release_id,
                "path": dg.MetadataValue.path(os.fspath(release)),
                **({"report": dg.MetadataValue.path(os.fspath(page))} if page.is_file() else {}),
                "gate_report": dg.MetadataValue.path(os.fspath(release / gate_report.FOLDER / "index.html")),
                **{f"chart_{name.replace('-', '_')}": dg.MetadataValue.md(text) for name, text in report.charts(release).items()},
            }
        )

    return current
