"""What share of random damage to a release the gate sees: measured, printed (``pytest -s``), and held."""

from __future__ import annotations

import pytest

from orchestration import publication
from tests import mutations
from tests.house import House

COUNT = 220


def test_the_gate_catches_most_random_mutations(published: House, capsys: pytest.CaptureFixture[str]) -> None:
    release = published.settings.current / "warehouse.duckdb"
    with mutations.laboratory(release, release) as connection:
        for added in publication.own_tables():  # the publisher's; no build has them
            connection.execute(f'drop table build.meta."{added}"')
        drawn = mutations.draw(connection, seed=20260615, count=COUNT)
        outcomes = [mutations.suffer(connection, mutation) for mutation in drawn]
    with capsys.disabled():
        print("\n" + mutations.table_of(outcomes).partition("\n  ")[0])
    kinds = {kind: [o.verdict for o in outcomes if o.mutation.kind == kind] for kind in mutations.KINDS}
    for kind in ("column", "duplicate"):
        assert set(kinds[kind]) == {"refused"}, mutations.table_of(outcomes)
    # a table of last night's faults, or of the day's contradictions, may be empty; every other is refused
    lost = {o.mutation.table for o in outcomes if o.mutation.kind == "table" and o.verdict != "refused"}
    assert lost <= {"metrics.evidence_conflict", "meta.quarantine_summary"}, mutations.table_of(outcomes)
    refused, caught = (sum(o.verdict in verdicts for o in outcomes) / COUNT for verdicts in (("refused",), ("refused", "warned")))
    assert refused >= 0.6, mutations.table_of(outcomes)
    assert caught >= 0.8, mutations.table_of(outcomes)
