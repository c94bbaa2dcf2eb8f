"""Keys followed to the municipalities and authorities of another day: the real files, small worlds, and any history."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.directory import Territory, authority_successors, build_references, build_territory, region_successors
from ingest.landfile import load
from tests.clean_world import change, changes, directory, laender, region
from tests.test_directory import municipalities, on, real_world  # noqa: F401 (a fixture)

OLD, NEW = date(2018, 9, 30), date(2025, 11, 30)
Real = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


def followed(territory: Territory, day: date, to: date) -> pl.DataFrame:
    """The crosswalk from the keys of one day to those of another, one row per key and successor."""
    successors = region_successors(territory.regions, territory.links, to)
    rows = on(territory.regions, day).select("ags", "valid_from", "name", "population", "area_km2")
    return rows.join(successors, on=["ags", "valid_from"])


def assert_conserves(territory: Territory, days: list[date]) -> None:
    """Shares add up to 1, nobody is lost on any way from day to day, and a key of the status is its own."""
    for to in days:
        successors = region_successors(territory.regions, territory.links, to)
        assert successors.join(territory.regions, on=["ags", "valid_from"], how="anti").is_empty()
        assert territory.regions.join(successors, on=["ags", "valid_from"], how="anti").is_empty()
        sums = successors.group_by("ags", "valid_from").agg(pl.col("population_share", "area_share").sum())
        assert (sums["population_share"] - 1).abs().max() < 1e-12 and (sums["area_share"] - 1).abs().max() < 1e-12  # type: ignore[operator]
        held = dict(on(territory.regions, to).select("ags", "population").iter_rows())
        assert set(successors["reported_ags"]) <= set(held)
        for day in days:
            here = followed(territory, day, to)
            arrived: dict[str, float] = defaultdict(float)
            for ags, people in here.select("reported_ags", pl.col("population") * pl.col("population_share")).iter_rows():
                arrived[ags] += people
            assert arrived.keys() == held.keys()
            assert all(people == pytest.approx(held[ags], abs=1e-6) for ags, people in arrived.items())
            if day == to:
                assert here["ags"].equals(here["reported_ags"]) and set(here["kind"]) == {"unchanged"}


# ---------------------------------------------------------------------------------------------------------------------- the real files


@pytest.fixture(scope="module")
def territory(real_world: Real) -> Territory:  # noqa: F811
    new, _, changes_ = real_world
    return build_territory(new, changes_, load()["00"].changes)


def test_all_keys_that_vanished_find_their_successors(territory: Territory, real_world: Real) -> None:  # noqa: F811
    new, old, _ = real_world
    gone = set(old["ags"]) - set(new["ags"])
    assert len(gone) == 341
    found = followed(territory, OLD, NEW).filter(pl.col("ags").is_in(gone))
    assert set(found["ags"]) == gone
    assert set(found["reported_ags"]) <= set(new["ags"])
    by_kind = dict(found.group_by("kind").agg(pl.col("ags").n_unique()).iter_rows())
    assert by_kind == {"split": 33, "merger": 295, "key_change": 13}
    sums = found.group_by("ags").agg(pl.col("population_share", "area_share").sum())
    assert (sums["population_share"] - 1).abs().max() < 1e-12 and (sums["area_share"] - 1).abs().max() < 1e-12  # type: ignore[operator]


def test_only_three_of_the_split_ones_are_municipalities(territory: Territory) -> None:
    found = followed(territory, OLD, NEW).join(municipalities(on(territory.regions, OLD)).select("ags"), on="ags")
    split = found.filter(pl.col("kind") == "split").sort("ags", "population_share")
    assert dict(split.group_by("ags", maintain_order=True).agg(pl.col("name").first()).select("ags", "name").iter_rows()) == {
        "16064014": "Dünwald",
        "16064055": "Rodeberg",
        "16064073": "Anrode",
    }
    largest = split.group_by("ags").agg(pl.col("reported_ags").last())
    assert set(largest["reported_ags"]) == {"16061118"}  # Dingelstädt, in another Kreis


def test_no_key_is_followed_over_more_than_two_changes(territory: Territory, real_world: Real) -> None:  # noqa: F811
    new, old, _ = real_world
    onward: dict[str, set[tuple[date, str]]] = defaultdict(set)
    for key, successor, day in territory.moves.select("old_ags", "new_ags", "on").iter_rows():
        onward[key].add((day, successor))

    def length(key: str, since: date) -> int:
        steps = [(day, successor) for day, successor in onward[key] if since < day <= NEW]
        return 1 + max(length(successor, day) for day, successor in steps) if steps and key not in set(new["ags"]) else 0

    assert max(length(key, OLD) for key in set(old["ags"]) - set(new["ags"])) == 2


def test_the_hessian_changes_by_name(territory: Territory) -> None:
    def of(day: date, *keys: str) -> list[tuple[Any, ...]]:
        found = followed(territory, day, date(2026, 6, 1)).filter(pl.col("ags").is_in(keys))
        return found.sort("ags").select("ags", "reported_ags", "population_share", "kind").rows()

    assert of(OLD, "06633021", "06633027") == [
        ("06633021", "06633030", 1.0, "merger"),
        ("06633027", "06633030", 1.0, "merger"),
    ]
    assert of(OLD, "06635005", "06635001") == [
        ("06635001", "06635001", 1.0, "unchanged"),  # a key that takes another in is no new key
        ("06635005", "06635001", 1.0, "merger"),
    ]
    oberzent = ["06437002", "06437008", "06437014", "06437015"]
    assert of(date(2017, 12, 31), *oberzent) == [(key, "06437016", 1.0, "merger") for key in oberzent]
    assert of(OLD, *oberzent) == []  # they had merged already
    assert of(OLD, "06435014") == [("06435014", "06415000", 1.0, "key_change")]
    names = dict(followed(territory, OLD, NEW).filter(pl.col("ags") == "09377142").select("ags", "name").iter_rows())
    assert names == {"09377142": "Neualbenreuth"}  # renamed in 2019
    assert of(OLD, "09377142") == [("09377142", "09377142", 1.0, "rename")]


def test_nobody_is_lost_between_any_two_days(territory: Territory, real_world: Real) -> None:  # noqa: F811
    _, old, changes_ = real_world
    days = [OLD, date(2019, 1, 1), date(2023, 1, 1), NEW, date(2026, 1, 1)]
    assert_conserves(territory, days)
    assert_conserves(build_territory(old, changes_, load()["00"].changes), days)


def test_the_old_edition_with_all_changes_applied_has_the_keys_of_the_new_one(real_world: Real) -> None:  # noqa: F811
    new, old, changes_ = real_world
    forward = on(build_territory(old, changes_).regions, NEW)
    assert set(municipalities(forward)["ags"]) == set(municipalities(new)["ags"])
    # all keys, but for two uninhabited areas that no file says anything about: a shared lake and one of Mecklenburg-Vorpommern
    assert set(new["ags"]) - set(forward["ags"]) == {"10042999", "13000998"}
    assert set(forward["ags"]) <= set(new["ags"])
    assert forward["population"].sum() == old["population"].sum()


# -------------------------------------------------------------------------------------------------------------------------- any history

_KINDS = ("merge", "absorb", "split", "rekey", "merge_onward")


@st.composite
def histories(draw: st.DrawFn) -> tuple[pl.DataFrame, list[dict[str, Any]], list[date]]:
    """An edition of municipalities of one Kreis, later changes of it, and days to look at it."""
    sizes = draw(st.lists(st.integers(0, 5_000), min_size=3, max_size=8))
    alive = [f"06635{n:03d}" for n in range(100, 100 + len(sizes))]
    rows = [
        region(
            f"066350{key[5:]}{key[5:]}", f"G{key}", "gemeinde", size, draw(st.floats(0.1, 90)), population_date=date(2017, 12, 31)
        )
        for key, size in zip(alive, sizes, strict=True)
    ]
    stated: list[dict[str, Any]] = []
    day, fresh = date(2018, 1, 1), 200
    days = [date(2017, 6, 1)]
    for kind in draw(st.lists(st.sampled_from(_KINDS), max_size=6)):
        day += timedelta(days=draw(st.integers(1, 400)))
        days.append(day)
        if len(alive) < 3:
            break
        chosen = draw(st.permutations(alive))[:3]
        moved = {
            "population_moved": draw(st.none() | st.integers(0, 3_000)),
            "area_moved_m2": draw(st.none() | st.integers(0, 10**7)),
        }
        new = [f"06635{fresh + n:03d}" for n in range(2)]
        fresh += 2
        if kind in ("merge", "merge_onward"):
            pairs = [(chosen[0], new[0]), (chosen[1], new[0])]
            if kind == "merge_onward":  # what the day makes it also ends
                pairs.append((new[0], new[1]))
            alive = [key for key in alive if key not in chosen[:2]] + [pairs[-1][1]]
        elif kind == "absorb":
            pairs = [(chosen[0], chosen[1])]
            alive.remove(chosen[0])
        elif kind == "split":
            pairs = [(chosen[0], new[0]), (chosen[0], chosen[1])]
            alive = [key for key in alive if key != chosen[0]] + [new[0]]
        else:
            pairs = [(chosen[0], new[0])]
            alive = [key for key in alive if key != chosen[0]] + [new[0]]
        for old, successor in pairs:
            stated.append(change(old, successor, "key_change" if kind == "rekey" else "dissolution", day, **moved))
    return directory(*rows, without=tuple(directory()["ags"])), stated, days


@given(histories())
def test_any_history_conserves_shares_and_inhabitants(world: tuple[pl.DataFrame, list[dict[str, Any]], list[date]]) -> None:
    edition, stated, days = world
    assert_conserves(build_territory(edition, changes(*stated)), days)


def test_part_transfers_and_self_rows_are_no_moves() -> None:
    rows = [
        change("06635001", "06531005", "part_transfer", date(2020, 1, 1), population_moved=3, area_moved_m2=10),
        change("06635001", "06635001", "part_transfer", date(2020, 1, 1), population_moved=7_397, area_moved_m2=10),
        change("06635001", "06635001", "key_change", date(2020, 1, 1), old_ars="066350001001", new_ars="066350001001"),
    ]
    territory = build_territory(directory(), changes(*rows))
    found = followed(territory, date(2019, 1, 1), date(2026, 6, 1)).filter(pl.col("ags") == "06635001")
    assert found.select("reported_ags", "population_share", "kind").rows() == [("06635001", 1.0, "unchanged")]


def test_a_day_before_anything_is_known_is_no_status() -> None:
    territory = build_territory(directory())
    with pytest.raises(ValueError, match="1899-12-31"):
        region_successors(territory.regions, territory.links, date(1899, 12, 31))


# --------------------------------------------------------------------------------------------------------------------------- authorities

WESERTAL = region("066330030030", "Wesertal", "gemeinde", 5_000, 50.0)
MERGED = [
    change("06633021", "06633030", "dissolution", date(2020, 1, 1), population_moved=3_000, area_moved_m2=30_000_000),
    change("06633027", "06633030", "dissolution", date(2020, 1, 1), population_moved=2_000, area_moved_m2=20_000_000),
]
SPLIT = [
    change("06635005", "06635001", "dissolution", date(2022, 1, 1), population_moved=1_000, area_moved_m2=10_000_000),
    change("06635005", "06531005", "dissolution", date(2022, 1, 1), population_moved=3_000, area_moved_m2=10_000_000),
]


def continued(
    to: date, *stated: dict[str, Any], edition: pl.DataFrame | None = None, **rules: Any
) -> dict[Any, dict[str, float]]:
    """(authority, first day) -> authority of the status -> share, where it is not simply itself."""
    files = laender(**rules)
    everywhere = build_references(files, directory() if edition is None else edition, changes(*stated))["00"]
    successors = region_successors(everywhere.regions, everywhere.links, to)
    found = authority_successors(everywhere.authorities, everywhere.competences, everywhere.regions, successors, to)
    assert set(found["authority_id"]) == set(everywhere.authorities["authority_id"])
    sums = found.group_by("authority_id", "valid_from").agg(pl.col("population_share").sum())
    assert (sums["population_share"] - 1).abs().max() < 1e-12  # type: ignore[operator]
    result: dict[Any, dict[str, float]] = defaultdict(dict)
    for row in found.iter_rows(named=True):
        result[row["authority_id"], row["valid_from"]][row["reported_authority_id"]] = row["population_share"]
    return {key: parts for key, parts in result.items() if parts != {key[0]: 1.0}}


FIRST = date(1900, 1, 1)


def test_hanaus_authorities_go_on_under_their_new_keys_and_a_new_one_begins() -> None:
    assert continued(date(2026, 6, 1)) == {
        ("auslaenderbehoerde/06435014", FIRST): {"auslaenderbehoerde/06415": 1.0},
        ("meldebehoerde/06435014", FIRST): {"meldebehoerde/06415000": 1.0},
    }
    # on the status of 2025 the new licensing authority's facts are the Kreis', to which its inhabitants belonged
    new = date(2026, 1, 1)
    assert continued(date(2025, 6, 1)) == {
        ("auslaenderbehoerde/06415", new): {"auslaenderbehoerde/06435014": 1.0},
        ("fahrerlaubnisbehoerde/06415", new): {"fahrerlaubnisbehoerde/06435": 1.0},
        ("meldebehoerde/06415000", new): {"meldebehoerde/06435014": 1.0},
    }


def test_a_merger_before_and_after_and_one_that_takes_another_over() -> None:
    edition = directory(WESERTAL)
    found = continued(date(2025, 6, 1), *MERGED, edition=edition)
    assert found["meldebehoerde/06633021", FIRST] == found["meldebehoerde/06633027", FIRST] == {"meldebehoerde/06633030": 1.0}
    earlier = continued(date(2019, 6, 1), *MERGED, edition=edition)
    assert earlier["meldebehoerde/06633030", date(2020, 1, 1)] == {
        "meldebehoerde/06633021": pytest.approx(0.6),
        "meldebehoerde/06633027": pytest.approx(0.4),
    }
    over = change("06635005", "06635001", "dissolution", date(2023, 1, 1), population_moved=1_850, area_moved_m2=35_000_000)
    assert continued(date(2025, 6, 1), over)["meldebehoerde/06635005", FIRST] == {"meldebehoerde/06635001": 1.0}
    # on the older status the one that lives on stands for both from the day on which it took the other over
    earlier = continued(date(2022, 6, 1), over)
    assert earlier["meldebehoerde/06635001", date(2023, 1, 1)] == {
        "meldebehoerde/06635001": pytest.approx(0.75),
        "meldebehoerde/06635005": pytest.approx(0.25),
    }
    assert ("meldebehoerde/06635001", FIRST) not in earlier


def test_a_split_is_shared_by_inhabitants_and_a_kreis_goes_on() -> None:
    found = continued(date(2026, 6, 1), *SPLIT)
    found = {key: parts for key, parts in found.items() if "06435014" not in key[0]}
    assert found == {("meldebehoerde/06635005", FIRST): {"meldebehoerde/06635001": 0.25, "meldebehoerde/06531005": 0.75}}


def test_a_verwaltungsgemeinschaft_takes_a_municipality_in() -> None:
    joined = change("09184113", "09184113", "key_change", date(2021, 8, 1), old_ars="091840113113", new_ars="091845401113")
    assert continued(date(2025, 6, 1), joined)["meldebehoerde/091840113", FIRST] == {"meldebehoerde/091845401": 1.0}


def test_who_takes_a_part_of_the_cases_is_continued_by_who_does_so() -> None:
    rekeyed = change("09575150", "09575153", "key_change", date(2021, 1, 1))
    rule = {"bauantrag": {"level": "kreis", "also": ["09575150", "09575153"]}}
    found = continued(date(2025, 6, 1), rekeyed, **rule)
    assert found["bauaufsicht/09575150", FIRST] == {"bauaufsicht/09575153": 1.0}
    without_its_successor = continued(date(2025, 6, 1), rekeyed, bauantrag={"level": "kreis", "also": ["09575150"]})
    assert without_its_successor["bauaufsicht/09575150", FIRST] == {"bauaufsicht/09575": 1.0}
