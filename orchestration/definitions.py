"""What Dagster loads: assets, one job, its schedule. Belongs here: the assembly. Does not: any asset's work (``assets``).

One job does the whole night in one run and one process: every step that started a process of its own would import everything again.
"""

from collections.abc import Iterator

import dagster as dg

from ingest import landfile
from orchestration import assets, sensors, warehouse
from orchestration.night import Night, open_night
from orchestration.settings import Settings

NIGHTLY = "nightly"

#: For ``dagster.yaml`` of a home: no telemetry, no sign-up form. That one run goes at a time is the home's lock's business: a slot of
#: Dagster's pools stays taken when its run is killed, and the next run would wait for it for ever.
INSTANCE_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
"""

#: Where Dagster keeps runs, events and schedules: files of the home, or PostgreSQL where its address is set. The address stays in the
#: environment: ``dagster.yaml`` names the variable only.
STORAGE_YAML = """\
event_log_storage:
  module: orchestration.event_log
  class: PooledEventLogStorage
"""
POSTGRES_VARIABLE = "ROLLIN_DAGSTER_POSTGRES_URL"
POSTGRES_YAML = f"""\
storage:
  postgres:
    postgres_url:
      env: {POSTGRES_VARIABLE}
"""


def build_defs(settings: Settings) -> dg.Definitions:
    """All definitions for one home and one set of Land files.

    Raises LandFileError for a Land file that cannot be used, DbtError for a dbt project that does not parse.
    """
    laender = landfile.load(settings.laender, settings.environ)
    manifest = warehouse.load_manifest(warehouse.prepare(settings))
    partitions = assets.nights()

    @dg.resource(description="The run: its clock, its Länder, its folder; holds the lock of the home.")
    def night(context: dg.InitResourceContext) -> Iterator[Night]:
        assert context.run_id is not None
        with open_night(settings, context.run_id) as opened:
            yield opened

    job = dg.define_asset_job(
        NIGHTLY,
        selection=dg.AssetSelection.all(),
        partitions_def=partitions,
        executor_def=dg.in_process_executor,
        description="The whole night: fetch, clean, build, gate, publish.",
    )

    @dg.schedule(
        job=job, cron_schedule="0 2 * * *", execution_timezone="Europe/Berlin", default_status=dg.DefaultScheduleStatus.RUNNING
    )
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.strftime("%Y-%m-%d")
        return dg.RunRequest(run_key=day, partition_key=day)

    per_source = [
        asset for land in laender.values() for source in land.sources for asset in assets.source_assets(land, source, partitions)
    ]
    return dg.Definitions(
        assets=[
            *per_source,
            assets.competences_asset(laender),
            assets.inputs_asset(settings, laender),
            assets.dbt_models(settings, manifest),
            assets.audit_asset(settings, manifest),
            assets.release_asset(settings, manifest),
        ],
        jobs=[job],
        schedules=[every_night],
        sensors=[sensors.failure_sensor(settings), sensors.freshness_sensor(settings)],
        resources={"night": night},
        executor=dg.in_process_executor,  # also for what the web page starts outside the job: each process would want the home's lock
    )
