"""Every published number of adoption of two sample worlds against its recomputation from the truth."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from tests import recompute_adoption
from tests.recompute import Night, Truth, differences, night  # noqa: F401 (a fixture)

PUBLISHED: list[tuple[str, Callable[[Truth], pl.DataFrame], list[str]]] = [
    ("metrics.adoption_by_account", recompute_adoption.adoption_by_account, ["land_code", "service_id", "month", "account"]),
    ("metrics.adoption_curve", recompute_adoption.adoption_curve, ["stratum_kind", "stratum", "full_month"]),
    ("metrics.adoption_seasonality", recompute_adoption.adoption_seasonality, ["land_code", "service_id", "month_of_year"]),
    ("metrics.dormant_connection", recompute_adoption.dormant_connection, ["authority_id", "service_id"]),
]


@pytest.mark.parametrize(("table", "recomputed", "grain"), PUBLISHED, ids=[name for name, *_ in PUBLISHED])
def test_every_number_of_adoption_equals_its_recomputation(
    night: Night,  # noqa: F811
    table: str,
    recomputed: Callable[[Truth], pl.DataFrame],
    grain: list[str],
) -> None:
    expected = recomputed(night.truth)
    assert expected.height >= 20
    assert differences(expected, night.published(table), grain) == []


def test_only_connections_that_the_world_made_dead_are_called_dead(night: Night) -> None:  # noqa: F811
    dead = night.published("metrics.dormant_connection").filter(pl.col("answer").str.starts_with("dead"))
    plan = night.truth.told(night.truth.table("plan").select("authority_id", "service_id", "is_dead"))
    found = dead.join(plan, on=["authority_id", "service_id"], how="left")
    assert found.filter(~pl.col("is_dead").fill_null(False)).height <= 0.05 * found.height
