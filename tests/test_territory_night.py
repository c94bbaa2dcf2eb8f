"""A night that reports on another territorial status than that of its day."""

from __future__ import annotations

from datetime import date

import pytest

from orchestration.night import Night
from orchestration.settings import Settings, UsageError
from tests.house import House

STATUS = "select territory_on from meta.release"
COMPETENT = "select distinct authorities_competent from metrics.coverage_daily where service_id = 'fuehrerschein'"


def test_the_status_is_chosen_recorded_and_part_of_what_makes_a_night_new(house: House) -> None:
    assert house.query(STATUS) == [(house.now.date(),)]
    assert house.query(COMPETENT) == [(27,)]  # on every day, also of 2025
    before = house.query("select sum(submitted), sum(amount_eur) from core.fct_usage_monthly, core.fct_cost")
    result = house.night(territory=date(2025, 6, 1))
    assert result.outcome == "published", result.message
    assert house.query(STATUS) == [(date(2025, 6, 1),)]
    assert house.query(COMPETENT) == [(26,)]
    # Hanau's licensing authority is not there yet: its facts keep its key and count for the Kreis that was competent
    assert house.query(
        "select reported_authority_id from core.dim_authority where authority_id = 'fahrerlaubnisbehoerde/06415'"
    ) == [("fahrerlaubnisbehoerde/06435",)]
    assert house.query("select sum(submitted), sum(amount_eur) from core.fct_usage_monthly, core.fct_cost") == before
    assert house.night(territory=date(2025, 6, 1)).outcome == "unchanged"


def test_a_day_that_is_none_or_that_nobody_knows_is_refused(house: House) -> None:
    with pytest.raises(UsageError, match=r"ROLLIN_TERRITORY.*2026-01-31"):
        Settings.from_environ({"ROLLIN_TERRITORY": "newest"})
    assert Settings.from_environ({"ROLLIN_TERRITORY": "2025-06-01"}).territory == date(2025, 6, 1)
    assert Settings.from_environ({}).territory is None
    result = house.night(territory=date(1899, 12, 31))
    assert result.outcome == "misconfigured" and "--territory 1899-12-31" in result.message
    assert Night(house.settings, "run").territory_on == Night(house.settings, "run").as_of
