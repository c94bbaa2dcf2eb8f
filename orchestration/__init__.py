"""The night: Dagster assets and checks, the gate's consequences, the publication, the command line.

Belongs here: order, state, refusal, release. Does not: formats and cleaning (``ingest``), metrics (``dbt_project``), what good
data are (``expectations``).
"""
