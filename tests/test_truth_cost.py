"""Every published cost of three sample worlds against its recomputation from the truth; one of them is long enough for running cost."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from tests import recompute_cost
from tests.recompute import Night, Truth, differences, long_night, night  # noqa: F401 (fixtures)

PUBLISHED: list[tuple[str, Callable[[Truth], pl.DataFrame], list[str]]] = [
    (
        "metrics.cost_bridge",
        recompute_cost.cost_bridge,
        ["land_code", "service_id", "wave", "category", "behaviour", "payer", "recurring", "entry_status", "month"],
    ),
    ("metrics.cost_per_connection", recompute_cost.cost_per_connection, ["land_code", "service_id", "wave", "payer"]),
    ("metrics.cost_by_wave", recompute_cost.cost_by_wave, ["land_code", "service_id", "wave", "price_basis"]),
    ("metrics.running_cost_per_transaction", recompute_cost.running_cost_per_transaction, ["land_code", "service_id"]),
    ("metrics.total_cost_of_ownership", recompute_cost.total_cost_of_ownership, ["land_code", "service_id", "payer"]),
    ("metrics.budget_status", recompute_cost.budget_status, ["land_code", "payer", "recurring"]),
]
IDS = [name for name, *_ in PUBLISHED]


@pytest.mark.parametrize(("table", "recomputed", "grain"), PUBLISHED, ids=IDS)
def test_every_cost_equals_its_recomputation(
    night: Night,  # noqa: F811
    table: str,
    recomputed: Callable[[Truth], pl.DataFrame],
    grain: list[str],
) -> None:
    expected = recomputed(night.truth)
    assert expected.height >= 10
    assert differences(expected, night.published(table), grain) == []


@pytest.mark.parametrize(("table", "recomputed", "grain"), PUBLISHED, ids=IDS)
def test_every_cost_after_more_than_a_year_equals_its_recomputation(
    long_night: Night,  # noqa: F811
    table: str,
    recomputed: Callable[[Truth], pl.DataFrame],
    grain: list[str],
) -> None:
    assert differences(recomputed(long_night.truth), long_night.published(table), grain) == []


def test_the_worlds_hold_what_the_comparison_is_about(night: Night, long_night: Night) -> None:  # noqa: F811
    cost = recompute_cost.cost_per_connection(night.truth)
    assert set(cost["payer"]) == {"bund", "land", "kommune", "total"}
    assert (cost["connections_begun"] > cost["connections_completed"]).any()
    assert (cost["connections_earned"] > cost["connections_completed"]).any()
    assert (cost["cost_full_net_eur"] < cost["cost_full_eur"]).any()
    assert cost["cost_per_connection_eur"].null_count() > 0
    bridge = pl.concat(recompute_cost.cost_bridge(one.truth) for one in (night, long_night))
    assert set(bridge["entry_status"]) == {"planned", "estimate", "invoiced", "reversal"}
    assert bridge["service_id"].null_count() and bridge["wave"].null_count()
    young, old = (recompute_cost.running_cost_per_transaction(one.truth) for one in (night, long_night))
    assert set(young["null_reason"]) == {"cost_shorter_than_12_months"}
    assert old["running_cost_per_digital_submission_eur"].drop_nulls().len() >= 4
    assert (old["reporting_share"] < 1).any()
    assert recompute_cost.total_cost_of_ownership(long_night.truth)["total_cost_of_ownership_eur"].null_count() == 0
    waves = recompute_cost.cost_by_wave(long_night.truth)
    assert (waves["degression_change_eur"] < 0).any() and (waves["variable_change_eur"] > 0).any()


def test_the_bridge_adds_up_to_the_ledger_to_the_cent(night: Night, long_night: Night) -> None:  # noqa: F811
    for one in (night, long_night):
        by_status = "select entry_status, count(*), sum(amount_eur), sum(gross_eur) from core.fct_cost group by all order by all"
        cells = "select entry_status, sum(entries_count), sum(amount_eur), sum(gross_eur) from metrics.cost_bridge group by all order by all"
        assert one.ask(by_status) == one.ask(cells)
        truth = recompute_cost.ledger(one.truth)
        assert one.ask("select sum(entries_count), sum(amount_eur) from metrics.cost_bridge") == [
            (len(truth), sum(entry["amount_eur"] for entry in truth))
        ]
