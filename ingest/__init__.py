"""From a portal to clean Parquet.

Belongs here: HTTP, formats, Land files, Polars. Does not: Dagster, dbt, DuckDB, Great Expectations, any metric.
"""

import os

# Polars 2.1 panics while cleaning ("assertion failed: i < self.len()") where it has a single thread, as it takes on a single core.
if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == 1:
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
