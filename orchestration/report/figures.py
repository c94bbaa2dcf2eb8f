"""The figures of the report: which of them stand on which page.

Belongs here: the lists, and the calls by which a report asks for them. Does not: what a figure is (``figure``), what each
shows (``chart_…``, ``map``), the look (``drawing``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from orchestration.report import map as maps
from orchestration.report.chart_cost import budget, cost_by_wave, degression, running_cost
from orchestration.report.chart_coverage import (
    commitment_outlook,
    coverage_over_time,
    phase_funnel,
    time_in_phase,
    time_to_operational,
)
from orchestration.report.chart_data import deliveries, quarantine
from orchestration.report.chart_learning import forecast, learning_curve, learning_estimates
from orchestration.report.chart_use import adoption_curve, dormant_connections, take_up_over_time
from orchestration.report.figure import Figure, View

#: The figures of each kind of page, in their order.
FIGURES: dict[str, tuple[Callable[[View], Figure], ...]] = {
    "index": (
        coverage_over_time,
        commitment_outlook,
        phase_funnel,
        time_to_operational,
        maps.coverage,
        maps.take_up,
        take_up_over_time,
        adoption_curve,
        dormant_connections,
        cost_by_wave,
        degression,
        running_cost,
        budget,
        learning_curve,
        learning_estimates,
        forecast,
        deliveries,
        quarantine,
    ),
    "land": (
        coverage_over_time,
        phase_funnel,
        time_in_phase,
        time_to_operational,
        maps.coverage,
        maps.take_up,
        take_up_over_time,
        adoption_curve,
        dormant_connections,
        cost_by_wave,
        degression,
        running_cost,
        budget,
    ),
    "service": (coverage_over_time, time_to_operational, maps.coverage, take_up_over_time),
}


def for_index(connection: duckdb.DuckDBPyConnection, tier: str, boundaries: Path | None = None) -> list[Figure]:
    """All figures of the first page of a tier (exact or public), whether drawn or with their reason."""
    return _all(View(connection, tier, boundaries=boundaries), "index")


def for_land(connection: duckdb.DuckDBPyConnection, land_code: str, tier: str, boundaries: Path | None = None) -> list[Figure]:
    """All figures of the page of a Land."""
    return _all(View(connection, tier, land_code=land_code, boundaries=boundaries), "land")


def for_service(
    connection: duckdb.DuckDBPyConnection, service_id: str, tier: str, boundaries: Path | None = None
) -> list[Figure]:
    """All figures of the page of a service."""
    return _all(View(connection, tier, service_id=service_id, boundaries=boundaries), "service")


def _all(view: View, kind: str) -> list[Figure]:
    return [make(view) for make in FIGURES[kind]]
