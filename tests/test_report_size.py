"""The report of all of Germany: its largest pages are no larger than promised (``benchmarks/report.py`` measures all of it, and the time)."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.report import LIMIT_BYTES, germany, territory_of
from orchestration import report
from orchestration.report import drawing, pages
from tests.house import House


def test_the_largest_pages_of_sixteen_laender_stay_small(
    shared_data: Path, published: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, warehouse = published.settings.current, tmp_path / "warehouse.duckdb"
    territory = territory_of(shared_data / "destatis" / "GV100AD_30112025.txt", release / "warehouse.duckdb")
    assert germany(release / "warehouse.duckdb", territory, warehouse)["municipalities"] == 10_751
    # of the pages the overview, the Land with most municipalities and the service that each of them offers
    monkeypatch.setattr(pages.Tier, "participating", property(lambda tier: [land for land in tier.laender if land.code == "07"]))
    monkeypatch.setattr(drawing, "write_files", lambda *_, **__: [])
    with duckdb.connect(str(warehouse)) as con:
        con.execute("delete from metrics.coverage_daily where service_id <> 'ummeldung'")
    sizes = {path.name: path.stat().st_size for path in report.write(tmp_path, warehouse, tier="exact")}
    assert set(sizes) == {"index.html", "land-07.html", "service-ummeldung.html"}
    assert max(sizes.values()) < LIMIT_BYTES, sizes
    service = (tmp_path / report.FOLDER / "service-ummeldung.html").read_text(encoding="utf-8")
    assert service.count("<tr>") > 10_000  # all of them are there
