"""From a portal to clean Parquet.

Belongs here: HTTP, formats, Land files, Polars. Does not: Dagster, dbt, DuckDB, Great Expectations, any metric.
"""
