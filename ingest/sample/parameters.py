"""What can be chosen about the synthetic world. Belongs here: the knobs, their meaning and bounds. Does not: any drawing."""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ingest import clock

#: The programme's first day, and the last day that the world knows.
PROGRAMME_START = date(2026, 1, 21)
LAST_DAY = date(2027, 12, 31)

Share = Annotated[float, Field(ge=0, le=0.5)]


def _known_laender(laender: tuple[str, ...]) -> tuple[str, ...]:
    if not laender or set(laender) - {"05", "06", "09"} or len(set(laender)) < len(laender):
        raise ValueError(
            "the sample knows the Länder 09 (Bayern), 06 (Hessen) and 05 (Nordrhein-Westfalen): name one or more, each once"
        )
    return tuple(sorted(laender, reverse=True))


class Parameters(BaseModel):
    """The known truth of a synthetic world; two equal ``Parameters`` make the same world, byte for byte.

    A world is prefix-stable: whatever happened or was first reported by some day is the same in every world with a later ``end``.
    Faulty rows are copies of reported ones and come with them; but the one faulty row of every kind in a source's monthly files
    appears once that month is large enough to bear them, so that a month that has only begun may lack them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=20260121, ge=0)
    laender: Annotated[tuple[str, ...], AfterValidator(_known_laender)] = ("09", "06")
    end: date = Field(default=date(2026, 10, 31), ge=PROGRAMME_START, le=LAST_DAY, description="last day that has been reported")

    # Costs and person-days of a connection:
    # ln y = a - w ln N + b ln population + d difficulty + (e - 1) ln Q + shock(contractor, wave) + effect(team) + noise
    learning_rate: float = Field(
        default=0.10,
        ge=-0.5,
        le=0.6,
        description="saving per doubling of experience N: w = -log2(1 - learning_rate); 0 is no learning",
    )
    scale_elasticity: float = Field(
        default=1.0,
        ge=0.3,
        le=1.5,
        description="e: cost of a call-off grows with its size Q to this power; 1 is no economy of scale",
    )
    population_elasticity: float = Field(default=0.08, ge=-1, le=1, description="b")
    difficulty_effect: float = Field(
        default=0.25, ge=-2, le=2, description="d, per standard deviation of the recorded difficulty"
    )
    difficulty_order_correlation: float = Field(
        default=0.2,
        ge=-1,
        le=1,
        description="between difficulty and place in the order: positive is easy first, negative hard first",
    )
    shock_sd: float = Field(default=0.08, ge=0, le=1, description="shared by all connections of a contractor's wave")
    team_sd: float = Field(default=0.05, ge=0, le=1, description="of a team's lasting effect")
    noise_sd: float = Field(default=0.25, ge=0, le=2, description="of a single connection")
    price_drift_per_year: float = Field(
        default=0.0, ge=-0.2, le=0.2, description="nominal = real x exp(drift x years since 2026-01-01); 0 keeps both equal"
    )

    dirty_share: Share = Field(default=0.005, description="faulty rows added per delivered row; the sound rows stay, 0 adds none")
    missing_share: Share = Field(default=0.01, description="authority x month (or day) of usage that nobody ever reports")
    late_share: Share = Field(default=0.02, description="usage rows that arrive a month late")
    correction_share: Share = Field(default=0.02, description="usage and ledger rows first reported wrong, corrected later")
    dead_share: Share = Field(default=0.05, description="connections that never see one online submission")
    unfinished_share: Share = Field(default=0.01, description="begun connections that never become operational")
    suspended_share: Share = Field(default=0.04, description="operational connections that are suspended for a time or for good")
    listed_share: float = Field(
        default=0.8, ge=0, le=1, description="operational authorities with an entry of their own in the catalogue"
    )

    @property
    def night(self) -> datetime:
        """The last minute (UTC) of ``end`` in Berlin: the instant at which a run sees exactly this world."""
        return clock.end_of(self.end) - timedelta(minutes=1)

    @property
    def learning_exponent(self) -> float:
        """w of Wright's law, from the learning rate per doubling."""
        return float(-np.log2(1 - self.learning_rate))

    def rng(self, *names: object) -> np.random.Generator:
        """The generator of one table, Land or month: independent of every other, and of what is drawn elsewhere."""
        key = tuple(zlib.crc32(str(name).encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def instant(day: date, hour: int = 8) -> datetime:
    """An instant (UTC) within a day."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
