"""The mask: cases worked by hand, and random worlds over releases, attacked by a linear programme that knows everything public."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbt_project.estimators.disclosure import BROKEN, CELL, PENDING, mask
from tests.disclosure_attack import System, link, published, remember

MONTH = date(2026, 3, 1)
SCHEMA = {
    "land_code": pl.String,
    "service_id": pl.String,
    "month": pl.Date,
    "channel": pl.String,
    "authority_id": pl.String,
    "submitted": pl.Int64,
    "is_in_total": pl.Boolean,
    "is_paired": pl.Boolean,
    "is_structural_zero": pl.Boolean,
    "small_count_max": pl.Int64,
}
KNOWN = {name: SCHEMA[name] for name in [*CELL, "submitted"]} | {"is_suppressed": pl.Boolean, "suppression_pool": pl.Int32}
NOTHING = pl.DataFrame(schema=KNOWN)


def cells(counts: dict[str, Any], *, small: int = 2, channel: str = "online", **flags: Any) -> pl.DataFrame:
    """One group, by authority: a count, or a count with its flags."""
    rows = []
    for authority, count in counts.items():
        own = count if isinstance(count, dict) else {"submitted": count}
        rows.append(
            {
                "land_code": "09",
                "service_id": "ummeldung",
                "month": MONTH,
                "channel": channel,
                "authority_id": authority,
                "is_in_total": True,
                "is_paired": True,
                "is_structural_zero": False,
                "small_count_max": small,
                **flags,
                **own,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def run(now: pl.DataFrame, before: pl.DataFrame = NOTHING) -> pl.DataFrame:
    """The public cells of a release: what the next one knows."""
    masked = mask(now, before, pool_cells_min=3)
    return now.join(masked, on=CELL).with_columns(pl.when(~pl.col("is_suppressed")).then("submitted").alias("submitted"))


def shown(public: pl.DataFrame) -> dict[str, int | None]:
    return dict(public.sort("authority_id").select("authority_id", "submitted").iter_rows())


def pools(public: pl.DataFrame) -> dict[str, int | None]:
    return dict(public.sort("authority_id").select("authority_id", "suppression_pool").iter_rows())


def is_total_shown(public: pl.DataFrame) -> bool:
    [value] = public["is_total_shown"].unique()
    return bool(value)


def test_nothing_small_means_nothing_is_suppressed() -> None:
    public = run(cells({"a": 3, "b": 4, "c": 500}))
    assert shown(public) == {"a": 3, "b": 4, "c": 500} and is_total_shown(public)


def test_a_small_count_takes_the_smallest_others_along_until_its_pool_is_safe() -> None:
    # without its largest cell, a pool holds at least twice the small count: 1 + 3 = 4
    public = run(cells({"a": 1, "b": 3, "c": 9, "d": 90, "e": 900}))
    assert shown(public) == {"a": None, "b": None, "c": None, "d": 90, "e": 900}
    assert pools(public)["a"] == pools(public)["b"] == pools(public)["c"] == 1 and is_total_shown(public)
    # up to four is small in a sensitive service, and the pool needs more: 1 + 7 = 8, but 1 + 6 is less
    assert shown(run(cells({"a": 1, "b": 7, "c": 9, "d": 90}, small=4))) == {"a": None, "b": None, "c": None, "d": 90}
    assert shown(run(cells({"a": 1, "b": 6, "c": 9, "d": 90, "e": 900}, small=4)))["d"] is None


def test_zero_is_small_unless_it_could_not_be_otherwise() -> None:
    public = run(cells({"a": 0, "b": 7, "c": 8, "d": 9}))
    assert shown(public)["a"] is None
    public = run(cells({"a": {"submitted": 0, "is_structural_zero": True, "is_in_total": False}, "b": 7, "c": 8, "d": 9}))
    assert shown(public) == {"a": 0, "b": 7, "c": 8, "d": 9}


def test_a_total_that_would_tell_is_withheld() -> None:
    one = run(cells({"a": 1}))
    assert pools(one) == {"a": PENDING} and not is_total_shown(one)
    two = run(cells({"a": 1, "b": 1000}))  # whoever knows b would know a
    assert shown(two) == {"a": None, "b": 1000} and not is_total_shown(two)
    zeros = run(cells({"a": 0, "b": 0, "c": 0, "d": 0}))
    assert set(shown(zeros).values()) == {None} and not is_total_shown(zeros)


def test_outside_totals_only_small_counts_are_suppressed() -> None:
    public = run(cells({"a": 1, "b": 3}, is_in_total=False))
    assert shown(public) == {"a": None, "b": 3} and set(pools(public).values()) == {None}


def test_a_paired_total_that_cuts_a_pool_is_withheld() -> None:
    unpaired = {"submitted": 1, "is_paired": False}
    public = run(cells({"a": 2, "b": 2, "c": 9, "d": 90, "e": 91, "u": unpaired}))
    assert public["is_pairing_shown"].unique().to_list() == [False] and is_total_shown(public)
    larger = {name: {"submitted": count, "is_paired": False} for name, count in (("u", 1), ("v", 9), ("w", 10), ("x", 11))}
    public = run(cells({"a": 2, "b": 2, "c": 9, "d": 90, **larger}))
    assert public["is_pairing_shown"].unique().to_list() == [True]
    assert pools(public)["a"] != pools(public)["u"] and shown(public)["d"] == 90 and shown(public)["x"] == 11


def test_the_same_counts_again_change_nothing() -> None:
    first = run(cells({"a": 1, "b": 3, "c": 9, "d": 90}))
    assert run(cells({"a": 1, "b": 3, "c": 9, "d": 90}), first).equals(first)


def test_a_late_small_count_withholds_the_total_until_others_join_it() -> None:
    base = {"a": 1, "b": 3, "c": 9, "d": 90}
    first = run(cells(base))
    late = run(cells({**base, "l": 2}), first)
    assert pools(late) == {"a": 1, "b": 1, "c": 1, "d": None, "l": PENDING} and not is_total_shown(late)
    assert shown(late)["d"] == 90  # everybody knows it: it cannot protect
    more = run(cells({**base, "l": 2, "m": 2, "n": 7}), late)
    assert pools(more) == {"a": 1, "b": 1, "c": 1, "d": None, "l": 2, "m": 2, "n": 2} and is_total_shown(more)


def test_what_was_suppressed_stays_suppressed_and_what_is_known_is_not_hidden_again() -> None:
    first = run(cells({"a": 1, "b": 3, "c": 9, "d": 90}))
    corrected = run(cells({"a": 50, "b": 3, "c": 9, "d": 90}), first)
    assert shown(corrected)["a"] is None and is_total_shown(corrected)
    raised = run(cells({"a": 1, "b": 3, "c": 9, "d": 90, "e": 4}, small=4), run(cells({"a": 1, "b": 3, "c": 9, "d": 90, "e": 4})))
    assert shown(raised)["d"] == 90


def test_a_count_corrected_to_a_small_one_is_suppressed() -> None:
    first = run(cells({"a": 10, "b": 30, "c": 90}))
    corrected = run(cells({"a": 1, "b": 30, "c": 90}), first)
    assert shown(corrected) == {"a": None, "b": 30, "c": 90} and not is_total_shown(corrected)


def test_a_suppressed_count_that_moves_to_another_authority_is_not_told_by_the_difference() -> None:
    first = run(cells({"a": 1, "b": 3, "c": 9, "d": 90}))
    merged = run(cells({"b": 3, "c": 9, "d": 91}), first)
    assert shown(merged) == {"b": None, "c": None, "d": None} and not is_total_shown(merged)
    assert pools(merged) == {"b": BROKEN, "c": BROKEN, "d": PENDING}
    assert not is_total_shown(run(cells({"b": 3, "c": 9, "d": 91}), merged))  # not in the next release either


# ---------------------------------------------------------------------------------------------------------------------------- attack

_count = st.one_of(st.integers(0, 5), st.integers(0, 40))


@st.composite
def histories(draw: Any) -> list[pl.DataFrame]:
    """A group of two channels over three releases: counts arrive late, are corrected, are withdrawn."""
    names = [f"a{i}" for i in range(draw(st.integers(1, 9)))]
    small = draw(st.sampled_from([2, 4]))
    paired = {name: draw(st.integers(0, 4)) > 0 for name in names}
    live = {name: draw(st.integers(0, 6)) > 0 for name in names}
    counts: dict[str, dict[str, int]] = {
        channel: {name: draw(_count) for name in names if draw(st.integers(0, 3)) > 0} for channel in ("online", "post")
    }
    releases = []
    for _ in range(3):
        frames = [
            cells(
                {
                    name: {
                        "submitted": count,
                        "is_paired": paired[name],
                        "is_in_total": live[name],
                        "is_structural_zero": count == 0 and not live[name],
                    }
                    for name, count in values.items()
                },
                small=small,
                channel=channel,
            )
            for channel, values in counts.items()
        ]
        releases.append(pl.concat(frames))
        for values in counts.values():
            for name in names:
                what = draw(st.integers(0, 11))
                if what == 0:
                    values[name] = draw(_count)  # late, or a correction
                elif what == 1:
                    values.pop(name, None)
    return releases


def assert_safe(history: list[pl.DataFrame]) -> int:
    """Nothing public, of all releases together, bounds a suppressed count more closely than the rule allows. Returns cells attacked.

    The attacker is told more than anybody can know: which of the counts are the same in two releases that both suppress them.
    """
    system, known, publics = System(), NOTHING, []
    for number, now in enumerate(history):
        masked = mask(now, known, pool_cells_min=3)
        public, totals = published(now, masked)
        remember(system, public, totals, number)
        publics.append(public)
        known = public
    for number in range(1, len(history)):
        same = history[number - 1].join(history[number], on=[*CELL, "submitted"], how="semi")
        changed = history[number].join(history[number - 1], on=[*CELL, "submitted"], how="anti").select(CELL)
        # where a pool changed, who changed cannot be told: only the cells of unchanged groups and parts are linked
        suspects = publics[number].join(changed, on=CELL, how="semi").filter(pl.col("suppression_pool") > 0)
        linked = (
            publics[number]
            .join(same, on=CELL, how="semi")
            .join(suspects, on=["land_code", "service_id", "month", "channel", "suppression_pool"], how="anti")
        )
        linked = pl.concat([linked, publics[number].join(same, on=CELL, how="semi").filter(pl.col("suppression_pool").is_null())])
        link(system, publics[number - 1], publics[number], linked, number - 1, number)
    attacked = 0
    for number, (now, public) in enumerate(zip(history, publics, strict=True)):
        limits = dict(zip(now.select(CELL).iter_rows(), now["small_count_max"], strict=True))
        hidden = [tuple(r) for r in public.filter("is_suppressed").select(CELL).iter_rows()]
        for name, (low, high) in system.intervals([(number, *cell) for cell in hidden]).items():
            assert low <= 1e-6 and high >= 2 * limits[name[1:]] - 1e-6, (name, low, high)
            attacked += 1
    return attacked


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories())
def test_nothing_follows_by_subtraction_over_cells_channels_pairs_and_releases(history: list[pl.DataFrame]) -> None:
    assert_safe(history)


@settings(max_examples=60)
@given(histories())
def test_small_counts_are_never_shown_first_and_shown_counts_are_exact(history: list[pl.DataFrame]) -> None:
    known = NOTHING
    for now in history:
        public = run(now, known)
        both = public.join(now.select(*CELL, exact="submitted"), on=CELL)
        assert both.filter(~pl.col("is_suppressed") & (pl.col("submitted") != pl.col("exact"))).is_empty()
        small = (pl.col("exact") <= pl.col("small_count_max")) & ~pl.col("is_structural_zero")
        first = both.join(known.filter(~pl.col("is_suppressed")), on=CELL, how="anti")
        assert first.filter(small & ~pl.col("is_suppressed")).is_empty()
        assert run(now, public).sort(CELL).equals(public.sort(CELL))  # again: no change
        assert run(now.sample(fraction=1.0, shuffle=True, seed=7), known).sort(CELL).equals(public.sort(CELL))  # in any order
        known = public


def test_the_attacker_finds_a_count_that_is_hidden_badly() -> None:
    """The attack can succeed: a lone suppressed cell under a published total is found exactly."""
    now = cells({"a": 1, "b": 30})
    naive = now.select(CELL).with_columns(
        is_suppressed=now["submitted"] <= 2,
        suppression_pool=pl.lit(None, pl.Int32),
        is_total_shown=pl.lit(value=True),
        is_pairing_shown=pl.lit(value=True),
    )
    system = System()
    remember(system, *published(now, naive), 0)
    name = (0, "09", "ummeldung", MONTH, "online", "a")
    assert system.intervals([name])[name] == pytest.approx((1, 1))


def test_a_large_world_takes_seconds() -> None:
    """10,000 authorities × 5 services × 24 months, with a release before it and one count in fifty corrected."""
    generator = np.random.default_rng(1)
    authorities = pl.DataFrame(
        {"authority_id": [f"meldebehoerde/{i:09d}" for i in range(10_000)], "size": generator.lognormal(2, 1.2, 10_000)}
    )
    world = (
        authorities.with_columns(land_code=pl.Series(generator.integers(1, 17, 10_000)).cast(pl.String).str.zfill(2))
        .join(pl.DataFrame({"service_id": ["ummeldung", "fuehrerschein", "bauantrag", "aufenthalt", "waffen"]}), how="cross")
        .join(pl.DataFrame({"month": pl.date_range(date(2024, 1, 1), date(2025, 12, 1), "1mo", eager=True)}), how="cross")
    )
    world = world.with_columns(
        submitted=pl.Series(generator.poisson(world["size"].to_numpy())).cast(pl.Int64),
        channel=pl.lit("online"),
        is_in_total=pl.lit(value=True),
        is_paired=pl.lit(value=True),
        is_structural_zero=pl.lit(value=False),
        small_count_max=pl.when(pl.col("service_id").is_in(["aufenthalt", "waffen"])).then(4).otherwise(2).cast(pl.Int64),
    ).select(list(SCHEMA))
    first = run(world)
    noise = pl.Series(generator.integers(0, 50, world.height) == 0)
    corrected = world.with_columns(pl.when(noise).then(pl.col("submitted") + 1).otherwise("submitted").alias("submitted"))
    begun = time.perf_counter()
    second = run(corrected, first)
    seconds = time.perf_counter() - begun
    print(f"{world.height:,} cells: {seconds:.1f} s; {second['is_suppressed'].mean():.1%} suppressed")
    assert seconds < 60
