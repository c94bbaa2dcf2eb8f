"""A look at a release with DuckDB, Polars and Altair: open it as a notebook (VS Code, Jupytext), or run it as it is.

    python examples/look_at_a_release.py [RELEASE] [FOLDER]

RELEASE: a release or its folder public/ (else ROLLIN_RELEASE, else var/published/current). FOLDER: charts are written there as SVG.
Cells need nothing but the first one. Questions in SQL alone: docs/questions.md.
"""

# %% Which release: the link is resolved once, so that every cell reads the same one
from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

import altair as alt
import duckdb
import polars as pl

given = [Path(argument) for argument in sys.argv[1:3] if not argument.startswith("-")]  # a notebook's kernel has its own
folder = given[1] if len(given) > 1 else None
start = (
    given[0]
    if len(given) > 1 or (given and given[0].is_dir())
    else Path(os.environ.get("ROLLIN_RELEASE", "var/published/current"))
)
release = start.resolve(strict=True)
pl.Config.set_tbl_cols(-1).set_tbl_width_chars(160)
connection = duckdb.connect(str(release / "warehouse.duckdb"), read_only=True)


def ask(query: str) -> pl.DataFrame:
    """SQL to Polars; keys stay text, days stay days, money stays decimal."""
    result = connection.sql(query)
    return pl.DataFrame(result.fetchall(), schema=result.columns, orient="row", infer_schema_length=None)


def table(name: str) -> pl.LazyFrame:
    """A whole table without SQL: Polars reads of the Parquet file what it needs."""
    return pl.scan_parquet(release / "parquet" / f"{name.replace('.', '/')}.parquet")


def show(name: str, chart: alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart) -> alt.TopLevelMixin:
    """The chart, for the notebook; with a FOLDER also as a file."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        chart.save(folder / f"{name}.svg")
    return chart


told = ask("select release_id, as_of, is_synthetic from meta.release").row(0, named=True)
as_of: date = told["as_of"]
print(f"{told['release_id']}, day {as_of}{', SYNTHETIC: every number is invented' if told['is_synthetic'] else ''}")

# %% Coverage today: part, whole and share
coverage = ask(
    "select land.name as land, service_id, authorities_operational, authorities_competent, coverage_authority_share"
    " from metrics.coverage_daily join core.dim_land as land using (land_code) join meta.release using (as_of)"
    " order by land, coverage_authority_share desc, service_id"
)
print(coverage)

# %% Over time, with the target. A share has an axis from 0 to 1, whatever its course
course = (
    table("metrics.coverage_daily")
    .filter(pl.col("as_of").dt.weekday() == 1, pl.col("as_of") >= date(2026, 1, 1))
    .join(table("core.dim_land").select("land_code", "name", "programme_start", "target_on"), on="land_code")
    .select("name", "service_id", "as_of", "coverage_authority_share", "target_on")
    .collect()
)
share = alt.Y("coverage_authority_share:Q", title="competent authorities operational", scale=alt.Scale(domain=[0, 1])).axis(
    format="%"
)
lines = alt.Chart(course).mark_line().encode(alt.X("as_of:T", title=None), share, alt.Color("service_id:N", title=None))
target = alt.Chart(course).mark_rule(strokeDash=[4, 4]).encode(alt.X("target_on:T"))
show("coverage", (lines + target).properties(width=280, height=200).facet(alt.Column("name:N", title=None)))

# %% Take-up by month: numerators and denominators are added up, shares never averaged. A month without reports is a gap, no zero
use = (
    table("metrics.adoption_monthly")
    .filter(pl.col("month") >= date(2026, 1, 1))
    .group_by("land_code", "month")
    .agg(
        pl.col("paired_online_count", "paired_total_count").sum(),
        pl.col("paired_total_count").count().alias("services_counted"),
        pl.col("reporting_authorities", "live_authorities").sum(),
    )
    .with_columns(
        pl.when(pl.col("services_counted") > 0)
        .then(pl.col("paired_online_count") / pl.col("paired_total_count"))
        .alias("take_up_share"),
        (pl.col("reporting_authorities") / pl.col("live_authorities")).alias("reporting_share"),
    )
    .sort("land_code", "month")
    .collect()
)
print(use.tail(6))
seen = alt.Chart(use).encode(alt.X("month:T", title=None), alt.Color("land_code:N", title="Land"))
show(
    "take_up",
    seen.mark_line(point=True).encode(alt.Y("take_up_share:Q", title="take-up").scale(domain=[0, 1]).axis(format="%"))
    | seen.mark_line(point=True).encode(
        alt.Y("reporting_share:Q", title="authorities reporting").scale(domain=[0, 1]).axis(format="%")
    ),
)

# %% Cost per connection by wave. `total` is a payer; unfinished waves are left out: their cost is not low, it is not known.
# Late invoices still raise the newest ones (exact tier: scale_observation.is_invoiced)
waves = ask(
    "select land_code, service_id, wave, connections_begun as begun, connections_completed as completed, cost_full_eur as full_eur,"
    " cost_full_eur - cost_variable_eur as fixed_eur from metrics.cost_per_connection where payer = 'total'"
)
together = pl.col("service_id").is_null()  # the public tier adds services up where single ones are suppressed
waves = waves.filter(together if waves.select(together.any()).item() else ~together)
cost = (
    waves.group_by("land_code", "wave")
    .agg(pl.col("begun", "completed", "full_eur", "fixed_eur").sum(), pl.col("full_eur").count().alias("known"))
    .filter(pl.col("completed") == pl.col("begun"), pl.col("known") > 0)
    .with_columns(
        (pl.col("fixed_eur") / pl.col("completed")).cast(pl.Float64).alias("fixed"),
        ((pl.col("full_eur") - pl.col("fixed_eur")) / pl.col("completed")).cast(pl.Float64).alias("variable"),
    )
    .sort("land_code", "wave")
)
print(cost.select("land_code", "wave", "completed", pl.col("fixed", "variable").round(0)))
parts = cost.unpivot(["variable", "fixed"], index=["land_code", "wave"], variable_name="part", value_name="eur")
bars = (
    alt.Chart(parts)
    .mark_bar()
    .encode(
        alt.X("wave:O"),
        alt.Y("eur:Q", title="EUR per connection").scale(zero=True),
        alt.Color("part:N", title=None),
        alt.Column("land_code:N"),
    )
)
show("cost", bars.properties(width=200, height=180))

# %% Beside one's own data: here a grouping of the Kreise by inhabitants per km²; yours comes from pl.read_csv, with keys as text
groups = (
    table("core.dim_region")
    .filter(pl.col("is_reported"))
    .group_by("kreis_code")
    .agg(pl.col("population").sum(), pl.col("area_km2").sum())
    .filter(pl.col("area_km2") > 0)
    .select(
        "kreis_code",
        group=pl.when(pl.col("population") / pl.col("area_km2") < 200).then(pl.lit("thin")).otherwise(pl.lit("dense")),
    )
)
by_group = (
    table("metrics.coverage_by_kreis")
    .filter(pl.col("as_of") == as_of)
    .join(groups, on="kreis_code", how="left")  # a Kreis that your data does not know stays, and shows
    .group_by("land_code", "service_id", "group")
    .agg(pl.col("population_operational", "population_competent").sum())
    .with_columns((pl.col("population_operational") / pl.col("population_competent")).round(3).alias("coverage_population_share"))
    .sort("land_code", "service_id", "group")
    .collect()
)
print(by_group)
