"""The one clock. Belongs here: what time it is. Does not: schedules, durations."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")


def now() -> datetime:
    """The present instant in UTC; ``ROLLIN_NOW`` (an ISO instant, UTC where it names no offset) sets it for runs and tests.

    Raises ValueError with the remedy when ``ROLLIN_NOW`` is not an ISO instant.
    """
    stated = os.environ.get("ROLLIN_NOW")
    if not stated:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(stated)
    except ValueError:
        raise ValueError(f"ROLLIN_NOW is '{stated}', which is no ISO instant: write it like 2026-10-31T02:00:00+01:00.") from None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def day_of(instant: datetime) -> date:
    """The calendar day in Berlin on which an instant falls: every day of Rollin ends at midnight there."""
    return instant.astimezone(BERLIN).date()


def end_of(day: date) -> datetime:
    """The first instant (UTC) that no longer belongs to a Berlin day."""
    return datetime.combine(day + timedelta(days=1), time(), BERLIN).astimezone(UTC)


def start_of(day: date) -> datetime:
    """The first instant (UTC) of a Berlin day."""
    return datetime.combine(day, time(), BERLIN).astimezone(UTC)


def last_instant_of(day: date) -> datetime:
    """The last microsecond (UTC) of a Berlin day."""
    return end_of(day) - timedelta(microseconds=1)


def real_now() -> datetime:
    """The present instant in UTC, whatever ``ROLLIN_NOW`` says: for what depends on the machine's own clock."""
    return datetime.now(UTC)
