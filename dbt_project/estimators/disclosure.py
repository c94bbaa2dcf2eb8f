"""Which counts of people's cases the public tier does not show, so that no small one can be worked out.

Belongs here: primary and complementary suppression of cells, over releases. Does not: thresholds (seed ``disclosure_rule``), which
tables are public (``public_tier.yaml``), applying the mask (models of ``models/public``).

**The information that is public, at most.** A *cell* is the count of one authority × service × month × channel. A *group* is a Land
× service × month × channel; its total is published beside its cells. Suppressed cells of a group belong to *pools*. Whoever knows
every table of every public release knows no more than (a) the cells that are shown and (b) the sum of each pool: every number of
the public tier is a function of (a) and (b), and is left out where it would not be (a total is shown only if all suppressed cells
of its group are in safe pools; sums over channels, months and services are shown only if each of their totals is; sums over other
sets of cells only if they cut no pool).

**Why that is safe.** Each suppressed cell stands in exactly one equation, that of its pool. A pool is safe where it has at least
``pool_cells_min`` cells and its sum without its largest cell is at least twice the small count. So each cell's feasible interval is
[0, sum of the pool], which contains 0 to twice the small count, and still does for an authority that subtracts its own cell.

**Why over releases.** A cell that was suppressed stays suppressed, in its pool. A cell that everybody knows, because the release
before showed the same count, is never used to protect another. Cells that become suppressed later (reported late, corrected) could
be told by the difference of two totals: they make a pool of their own, and until they can, the total is withheld. Where a
suppressed cell vanishes (retracted, moved to another authority), the difference would tell it: its pool is broken, the group's
total stays withheld, and the counts of the Land, service and month that changed with it are suppressed too.

What is shown is therefore a function of the counts and of the release before; applied again to the same counts it changes nothing.
Suppression is with respect to what follows by arithmetic. Who also reasons about the order in which cells are chosen, or that a
cell is suppressed at all, learns what the rule says openly: most suppressed counts are small.
"""

from __future__ import annotations

import polars as pl

PART = ["land_code", "service_id", "month"]
#: A group, in which one total is published.
GROUP = [*PART, "channel"]
#: A cell.
CELL = [*GROUP, "authority_id"]

#: ``suppression_pool`` of a suppressed cell: no total that contains it is shown, for now ...
PENDING = 0
#: ... or ever again, because a cell of its pool vanished. Pools count from 1; cells outside every total have none (NULL).
BROKEN = -1


def mask(cells: pl.DataFrame, known: pl.DataFrame, *, pool_cells_min: int) -> pl.DataFrame:
    """Decide for every cell whether it is shown, given what the public release before showed.

    ``cells``: one row per cell with a count: CELL, ``submitted`` (not NULL), ``is_in_total`` (enters its group's total),
    ``is_paired`` (enters the paired totals), ``is_structural_zero`` (a zero that could not be otherwise), ``small_count_max``
    (counts up to it, and zeros that are not structural, are small; one value per group).
    ``known``: one row per cell of the public release before: CELL, ``submitted`` (NULL if suppressed or missing), ``is_suppressed``,
    ``suppression_pool``. Empty where there was none.

    Returns CELL with ``is_suppressed``, ``suppression_pool`` (NULL where shown), and the same for all cells of a group:
    ``is_total_shown`` (its total, over ``is_in_total``, may be published) and ``is_pairing_shown`` (so may its sum over
    ``is_paired``). Linear in the number of cells, apart from sorting those of new pools. Raises nothing for any counts.
    """
    before = known.select(*CELL, pl.col("submitted").alias("submitted_before"), "is_suppressed", "suppression_pool")
    state = (
        cells.join(cells.select(GROUP).unique().sort(GROUP).with_row_index("group"), on=GROUP)
        .join(before, on=CELL, how="left")
        .with_columns(
            was_suppressed=pl.col("is_suppressed").fill_null(value=False),
            is_known=pl.col("submitted_before").eq_missing(pl.col("submitted")),
            is_small=(pl.col("submitted") <= pl.col("small_count_max")) & ~pl.col("is_structural_zero"),
        )
    )
    gone = before.filter("is_suppressed").join(cells.filter("is_in_total"), on=CELL, how="anti")
    # a cell that never was in a total takes nothing with it
    gone = gone.filter(pl.col("suppression_pool").is_not_null() | ~_is_in(gone, cells))
    # ... and may have gone to any other cell of the Land, service and month
    lost = gone.select(PART).unique().with_columns(has_lost=pl.lit(value=True))
    broken = gone.filter(pl.col("suppression_pool") > 0).select(*GROUP, "suppression_pool").unique()
    state = (
        state.join(lost, on=PART, how="left")
        .join(broken.with_columns(is_broken=pl.lit(value=True)), on=[*GROUP, "suppression_pool"], how="left")
        .with_columns(
            is_suppressed=pl.col("was_suppressed")
            | (~pl.col("is_known") & (pl.col("is_small") | pl.col("has_lost").fill_null(value=False)))
        )
        .with_columns(
            suppression_pool=pl.when(~pl.col("is_suppressed") | ~pl.col("is_in_total"))
            .then(None)
            .when(pl.col("is_broken").fill_null(value=False))
            .then(BROKEN)
            .otherwise(pl.col("suppression_pool").fill_null(PENDING))
            .cast(pl.Int32)
        )
    )
    state = _pooled(state, ["group", "is_paired"], pool_cells_min)  # pools that no paired total cuts, where there can be such
    state = _pooled(state, ["group"], pool_cells_min)
    return _judged(state, pool_cells_min).select(*CELL, "is_suppressed", "suppression_pool", "is_total_shown", "is_pairing_shown")


def _is_in(gone: pl.DataFrame, cells: pl.DataFrame) -> pl.Series:
    """For each row of ``gone`` whether its cell still has a count, in a total or not."""
    there = cells.select(CELL).with_columns(is_there=pl.lit(value=True))
    return gone.join(there, on=CELL, how="left", maintain_order="left")["is_there"].fill_null(value=False)


def _pooled(state: pl.DataFrame, by: list[str], cells_min: int) -> pl.DataFrame:
    """Give the pending cells of each part (``by``) a pool of their own, with the smallest other cells it takes to be safe.

    Others may serve only if they were never shown: they are new in this release. Where no safe pool can be made, the pending cells
    stay pending.
    """
    is_pending = pl.col("suppression_pool") == PENDING
    may_serve = ~pl.col("is_suppressed") & pl.col("is_in_total") & pl.col("submitted_before").is_null()
    state = state.with_row_index("row").with_columns(
        is_pending=is_pending.fill_null(value=False), is_candidate=(is_pending.fill_null(value=False) | may_serve)
    )
    needy = state.filter("is_pending").select(by).unique()
    if needy.is_empty():
        return state.drop("row", "is_pending", "is_candidate")
    candidates = (
        state.filter("is_candidate")
        .join(needy, on=by, how="semi")
        .sort(*by, "is_pending", "submitted", "authority_id", descending=[False] * len(by) + [True, False, False])
        .with_columns(
            place=pl.int_range(1, pl.len() + 1).over(by),
            pending=pl.col("is_pending").sum().over(by),
            rest=(pl.col("submitted").cum_sum() - pl.col("submitted").cum_max()).over(by),
        )
        .with_columns(
            is_enough=(pl.col("place") >= pl.col("pending"))
            & (pl.col("place") >= cells_min)
            & (pl.col("rest") >= 2 * pl.col("small_count_max"))
        )
        .with_columns(last=pl.col("place").filter(pl.col("is_enough")).min().over(by))
    )
    chosen = candidates.filter(pl.col("place") <= pl.col("last")).select("row", is_chosen=pl.lit(value=True))
    highest = pl.max_horizontal(pl.col("suppression_pool").max().over("group"), pl.lit(0))
    # the paired and the unpaired part of a group may both get a pool in the same step
    number = highest + 1 + ((~pl.col("is_paired")).cast(pl.Int32) if "is_paired" in by else 0)
    return (
        state.join(chosen, on="row", how="left")
        .with_columns(is_chosen=pl.col("is_chosen").fill_null(value=False))
        .with_columns(
            suppression_pool=pl.when("is_chosen").then(number).otherwise("suppression_pool").cast(pl.Int32),
            is_suppressed=pl.col("is_suppressed") | pl.col("is_chosen"),
        )
        .drop("row", "is_pending", "is_candidate", "is_chosen")
    )


def _judged(state: pl.DataFrame, cells_min: int) -> pl.DataFrame:
    """Add to each cell whether its group's totals may be shown: every suppressed cell is in a pool that is safe today."""
    pools = (
        state.filter(pl.col("suppression_pool").is_not_null())
        .group_by("group", "suppression_pool")
        .agg(
            is_safe=(pl.col("suppression_pool").first() > 0)
            & (pl.len() >= cells_min)
            & (pl.col("submitted").sum() - pl.col("submitted").max() >= 2 * pl.col("small_count_max").first()),
            is_whole=pl.col("is_paired").n_unique() == 1,
        )
        .group_by("group")
        .agg(is_total_shown=pl.col("is_safe").all(), is_whole=pl.col("is_whole").all())
    )
    return (
        state.join(pools, on="group", how="left")
        .with_columns(pl.col("is_total_shown", "is_whole").fill_null(value=True))
        .with_columns(is_pairing_shown=pl.col("is_total_shown") & pl.col("is_whole"))
    )
