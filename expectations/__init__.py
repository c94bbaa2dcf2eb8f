"""The gate: what a delivery must satisfy to be admitted, and what a build must satisfy to be published.

Belongs here: the Great Expectations suites, their thresholds, and the one way to run them. Does not: how a refusal is acted upon
(``orchestration``), how a row is cleaned (``ingest``), what a metric means (``dbt_project``).
"""
