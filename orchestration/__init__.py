"""The night: Dagster assets and checks, the gate's consequences, the publication, the command line.

Belongs here: order, state, refusal, release. Does not: formats and cleaning (``ingest``), metrics (``dbt_project``), what good
data are (``expectations``).
"""

import os

# Read when numpy is loaded. The estimators' matrices are small, and a second thread of BLAS waits by spinning: beside DuckDB's own threads
# an estimate took five times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
