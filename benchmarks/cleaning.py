"""Reading and cleaning delivered CSV, by the product and by the least that Polars needs for the same rows.

Belongs here: the two, on the usage files of one Land of a workload that a night has landed. Does not: whole nights (``benchmarks.night``).

The bare one scans each file lazily, maps words, reads dates and numbers, looks up the authority, and sinks Parquet, streaming. It checks
nothing, knows no quarantine, and takes every row to be good: it is the limit, not an alternative.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import meter

ROOT = Path(__file__).resolve().parents[1]


def measure(world: Path, home: Path, scratch: Path, land: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Both, each in a Python of its own: rows, bytes, cost and rows per second, and the product's throughput as a share of the bare one."""
    found: dict[str, Any] = {"land": land}
    for name in ("product", "bare"):
        _, output = meter.run(
            [sys.executable, "-m", "benchmarks.cleaning", name, world, home, scratch / f"clean-{name}", land],
            {**os.environ, "PYTHONPATH": str(ROOT), **environ},
            ROOT,
        )
        found[name] = json.loads(output.splitlines()[-1])
    if found["product"]["rows"] != found["bare"]["rows"]:
        raise meter.CommandError(f"Cleaning kept {found['product']['rows']} rows, the bare script {found['bare']['rows']}.")
    found["throughput_to_bare"] = round(found["product"]["rows_per_second"] / found["bare"]["rows_per_second"], 3)
    return found


def clean(name: str, world: Path, home: Path, out: Path, land: str) -> dict[str, Any]:
    """One of the two; ``home`` has landed the deliveries of ``world``."""
    import polars as pl

    from ingest.clean import clean_deliveries
    from orchestration.night import Night
    from orchestration.settings import Settings

    night = Night(Settings(home=home, laender=world / "laender"), "cleaning")
    file, source = night.source(land, "usage")
    deliveries = night.landing.deliveries(land, "usage", until=night.now + timedelta(microseconds=1))
    reference = night.reference(land)
    rows = 0
    cost = meter.Cost()
    out.mkdir(parents=True)
    if name == "product":
        assert reference.resolution  # made once a night, for all sources
        with meter.leg(cost):
            for record in clean_deliveries(out, night.landing, file, source, deliveries, reference, night.now):
                rows += record.rows_clean
    else:
        authorities = reference.competences.select(
            pl.col("service_id").cast(pl.String), "authority_id", pl.col("authority_id").str.split("/").list.last().alias("key")
        ).unique()
        words = source.values
        with meter.leg(cost):
            for delivery in deliveries:
                frame = pl.scan_csv(night.landing.path(delivery.parts[0]), separator=";", infer_schema=False)
                path = out / f"{delivery.delivery_id}.parquet"
                (
                    frame.select(
                        pl.col("Datum").str.to_date("%d.%m.%Y").alias("period"),
                        pl.col("Schlüssel").alias("key"),
                        pl.col("Leistung").replace_strict(words["service_id"], return_dtype=pl.String).alias("service_id"),
                        pl.col("Kanal").replace_strict(words["channel"], return_dtype=pl.String).alias("channel"),
                        pl.col("Konto").replace_strict(words["account"], default=None, return_dtype=pl.String).alias("account"),
                        pl.col("begonnen").cast(pl.Int64).alias("started"),
                        pl.col("eingereicht").cast(pl.Int64).alias("submitted"),
                    )
                    .join(authorities.lazy(), on=["service_id", "key"], how="inner", maintain_order="left")
                    .drop("key")
                    .with_columns(
                        grain=pl.lit("day"),
                        completed=pl.lit(None, pl.Int64),
                        is_test=pl.lit(False),
                        is_retracted=pl.lit(False),
                        land_code=pl.lit(land),
                        source=pl.lit("usage"),
                        delivery_id=pl.lit(delivery.delivery_id),
                        delivered_at=pl.lit(delivery.delivered_at),
                    )
                    .sink_parquet(path, compression="zstd")
                )
                rows += pl.scan_parquet(path).select(pl.len()).collect().item()
    delivered = sum(delivery.bytes for delivery in deliveries)
    return {
        "rows": rows,
        "delivered_mb": round(delivered / 1e6, 1),
        "rows_per_second": round(rows / cost.seconds),
        "cost": cost.to_dict(),
    }


if __name__ == "__main__":
    print(json.dumps(clean(sys.argv[1], *map(Path, sys.argv[2:5]), sys.argv[5])))
