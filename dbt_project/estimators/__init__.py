"""Statistics that need more than SQL, as plain functions on frames; thin dbt Python models call them.

Belongs here: estimators and the disclosure mask, tested by pytest. Does not: metric formulas (SQL models), reading or writing files.
"""
