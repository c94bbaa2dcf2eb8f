"""The dbt project: from clean Parquet to metrics, in DuckDB. Every metric formula lives here and nowhere else.

Belongs here: SQL models, their contracts and tests, and the seeds that name services, phases and metrics. Does not: reading
deliveries (``ingest``), judging a release (``expectations``), running dbt (``orchestration``).
"""

from __future__ import annotations

from pathlib import Path

#: Folder of ``dbt_project.yml`` and ``profiles.yml``: both ``--project-dir`` and ``--profiles-dir``.
PROJECT_DIR = Path(__file__).resolve().parent
