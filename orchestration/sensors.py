"""Dagster's own eyes: a run that failed, a release that grew old. Belongs here: sensors. Does not: judging (``health``), telling
(``alerts``), the freshness policies that Dagster's page shows (``assets``).

A night tells by itself how it failed (``Night.step``). What it cannot tell is that it was killed, or never began: that is seen here.
"""

from __future__ import annotations

import dagster as dg

from orchestration import alerts, health
from orchestration.settings import Settings, UsageError

#: How often a release's age is looked at.
_FRESHNESS_SECONDS = 15 * 60


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Sends the alert of a failed run that could not send it itself."""

    @dg.run_failure_sensor(
        name="failed_run",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=60,
        description="Meldet einen gescheiterten Lauf, der es nicht selbst melden konnte (getötet, nicht gestartet).",
    )
    def failed_run(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        run_id = context.dagster_run.run_id
        told = told_itself(settings, run_id)
        if told is not None:
            return dg.SkipReason(f"Run {run_id} told itself how it ended: {told}.")
        message = f"Run {run_id[:8]} failed before it could say why: {' '.join((context.failure_event.message or '').split())}"
        alerts.send(
            settings,
            outcome="failed",
            message=f"{message} Look into it with 'rollin dev'; the next run needs no repair.",
            run_id=run_id,
        )
        return None

    return failed_run


def told_itself(settings: Settings, run_id: str) -> str | None:
    """How a run that recorded its end says it ended; None where it recorded none, or only that it was stopped."""
    from orchestration.refresh import read_run

    record = read_run(settings, run_id)
    return None if record is None or record["outcome"] == "incomplete" else str(record["outcome"])


def freshness_sensor(settings: Settings) -> dg.SensorDefinition:
    """Sends an alert when the release is stale, a required source is, or the last run published nothing; and when all is well again."""

    @dg.sensor(
        name="freshness",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_FRESHNESS_SECONDS,
        description="Meldet einmal am Tag, was veraltet oder gescheitert ist, und einmal, dass alles wieder gut ist.",
    )
    def freshness(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from orchestration.status import read_status

        try:
            state = read_status(settings)
            now = settings.now()
            found = health.problems(settings, state, now)
            sent = health.tell(settings, found, now)
        except UsageError as error:
            alerts.send(settings, outcome="misconfigured", message=str(error), run_id="")
            return dg.SkipReason(str(error))
        errors = [problem.message_en for problem in found if problem.severity == "error"]
        if not errors:
            return dg.SkipReason("All is well.")
        return dg.SkipReason(f"{len(sent)} told now, {len(errors) - len(sent)} told before: {' '.join(errors)}")

    return freshness
