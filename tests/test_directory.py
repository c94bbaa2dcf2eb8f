"""Territory through time and competence by rule, on a small world and on the real directory where it is at hand."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import RULES
from ingest.clean.engine import Context, clean_frame
from ingest.directory import (
    GEMEINDEFREI,
    OPEN_START,
    Territory,
    build_references,
    build_territory,
    merge_periods,
    normalised_key,
)
from ingest.landfile import Source, load
from ingest.portals import PORTALS
from ingest.tables import TABLES, Authorities, Competences, Regions
from tests.clean_world import DELIVERED_AT, change, changes, directory, laender, references, region

HANAU_LEAVES = date(2026, 1, 1)


def on(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    """The rows of a valid-time frame that hold on a day."""
    return frame.filter((pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day)))


def row(territory: Territory, ags: str, day: date) -> dict:
    """The one row of a municipality on a day."""
    found = on(territory.regions, day).filter(pl.col("ags") == ags).to_dicts()
    assert len(found) == 1, f"{ags} on {day}: {len(found)} rows"
    return found[0]


def ags_on(territory: Territory, day: date) -> set[str]:
    held = on(territory.regions, day)["ags"]
    assert held.is_unique().all()
    return set(held)


# --------------------------------------------------------------------------------------------------------------------------- territory


def test_a_key_change_after_the_edition_makes_the_kreis() -> None:
    territory = build_territory(directory(), None, laender()["00"].changes)
    before, after = row(territory, "06435014", date(2025, 12, 31)), row(territory, "06415000", HANAU_LEAVES)
    assert "06415000" not in ags_on(territory, date(2025, 12, 31))
    assert "06435014" not in ags_on(territory, HANAU_LEAVES)
    assert before["valid_from"] == OPEN_START and after["valid_to"] is None
    assert (after["ars"], after["kreis_code"], after["kind"]) == ("064150000000", "06415", "kreisfreie_stadt")
    assert after["kreis_name"] == "Hanau, Brüder-Grimm-Stadt"
    assert after["regierungsbezirk_code"] == "064" and after["population"] == before["population"] == 98_000
    assert territory.findings == []
    assert Regions.is_valid(territory.regions)


def test_the_same_change_is_undone_where_the_edition_has_it_already() -> None:
    hanau = region("064150000000", "Hanau, Brüder-Grimm-Stadt", "kreisfreie_stadt", 98_000, 76.5)
    forward = build_territory(directory(), None, laender()["00"].changes)
    backward = build_territory(directory(hanau, without=("06435014",)), None, laender()["00"].changes)
    columns = ["ags", "ars", "kind", "kreis_code", "population", "valid_from", "valid_to"]
    assert backward.regions.select(columns).equals(forward.regions.select(columns))


def test_a_merger_into_a_living_municipality_takes_its_inhabitants_from_it() -> None:
    merged = change("06635005", "06635001", "dissolution", date(2023, 1, 1), population_moved=1_900, area_moved_m2=35_000_000)
    territory = build_territory(directory(), changes(merged | {"old_name": "Bromskirchen"}))
    assert row(territory, "06635005", date(2022, 12, 31)) | {"delivered_at": None} == region(
        "066350005005", "Bromskirchen", "gemeinde", 1_900, 35.0, valid_to=date(2023, 1, 1), delivered_at=None
    )
    assert row(territory, "06635001", date(2022, 12, 31))["population"] == 5_500
    assert row(territory, "06635001", date(2022, 12, 31))["area_km2"] == pytest.approx(40.0)
    assert row(territory, "06635001", date(2023, 1, 1))["population"] == 7_400
    assert "06635005" not in ags_on(territory, date(2023, 1, 1))


def test_a_merger_into_a_new_municipality_shares_all_its_inhabitants_among_the_old_ones() -> None:
    wesertal = region("066330030030", "Wesertal", "gemeinde", 4_713, 52.6)
    parts = [
        change("06633021", "06633030", "dissolution", date(2020, 1, 1), population_moved=3_158, area_moved_m2=41_173_299),
        change("06633027", "06633030", "dissolution", date(2020, 1, 1), population_moved=2_044, area_moved_m2=11_473_026),
    ]
    territory = build_territory(directory(wesertal), changes(*parts))
    day = date(2019, 12, 31)
    assert "06633030" not in ags_on(territory, day)
    old = [row(territory, ags, day)["population"] for ags in ("06633021", "06633027")]
    assert sum(old) == 4_713 and old[0] == 4_713 * 3_158 // 5_202
    assert row(territory, "06633030", date(2020, 1, 1))["population"] == 4_713


def test_a_split_and_a_chain_are_walked_through_both_ways() -> None:
    rows = [
        change("06635005", "06635001", "dissolution", date(2022, 1, 1), population_moved=600, area_moved_m2=10_000_000),
        change("06635005", "06635009", "dissolution", date(2022, 1, 1), population_moved=400, area_moved_m2=10_000_000),
        change("06635009", "06635001", "dissolution", date(2023, 1, 1), population_moved=1_400, area_moved_m2=30_000_000),
    ]
    new = build_territory(directory(), changes(*rows))
    population = {ags: row(new, ags, date(2021, 6, 1))["population"] for ags in ("06635001", "06635005", "06635009")}
    assert population == {"06635001": 5_400, "06635005": 1_000, "06635009": 1_000}
    old_edition = directory(
        *(region(f"06635{ags[5:].zfill(4)}{ags[5:]}", "Alt", "gemeinde", size, 20.0) for ags, size in population.items()),
        without=("06635001",),
    ).with_columns(pl.lit(date(2020, 12, 31)).alias("population_date"))
    forward = build_territory(old_edition, changes(*rows))
    assert row(forward, "06635001", date(2023, 1, 1))["population"] == 7_400
    for day in (date(2021, 6, 1), date(2022, 6, 1), date(2023, 6, 1)):
        assert ags_on(forward, day) == ags_on(new, day)
        assert on(forward.regions, day)["population"].sum() == on(new.regions, day)["population"].sum()


def test_joining_a_verband_changes_the_ars_and_nothing_else() -> None:
    joined = change("09184113", "09184113", "key_change", date(2021, 8, 1), old_ars="091840113113", new_ars="091845401113")
    territory = build_territory(directory(), changes(joined))
    before, after = row(territory, "09184113", date(2021, 7, 31)), row(territory, "09184113", date(2021, 8, 1))
    assert (before["verband_code"], before["verband_name"]) == ("091840113", "Brunnthal")
    assert (after["verband_code"], after["verband_name"]) == ("091845401", "Aying (VGem)")
    assert before["population"] == after["population"]


def test_changes_that_do_not_fit_are_findings_and_change_nothing() -> None:
    lives_on = change("06435001", "06635001", "dissolution", date(2020, 1, 1), population_moved=10)
    unknown = change("06777001", "06777002", "key_change", date(2020, 1, 1))
    stated = directory().with_columns(pl.lit(date(2025, 11, 30)).alias("valid_from"))
    territory = build_territory(stated, changes(lives_on, unknown))
    assert len(territory.findings) == 2
    assert ags_on(territory, date(2019, 1, 1)) == set(directory()["ags"])
    assert on(territory.regions, date(2019, 1, 1))["population"].sum() == directory()["population"].sum()


def test_an_empty_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        build_territory(directory().clear())


# -------------------------------------------------------------------------------------------------------------------------- competence


def competent(land: str, service: str, day: date) -> set[str]:
    return set(on(references()[land].competences, day).filter(pl.col("service_id") == service)["authority_id"])


def test_levels_plus_and_also() -> None:
    day = date(2026, 6, 1)
    assert competent("09", "ummeldung", day) == {
        "meldebehoerde/091610000",
        "meldebehoerde/091740115",
        "meldebehoerde/091740111",
        "meldebehoerde/091845401",
        "meldebehoerde/095750153",
        "meldebehoerde/095750112",
    }
    assert competent("09", "bauantrag", day) == {
        "bauaufsicht/09161",
        "bauaufsicht/09174",
        "bauaufsicht/09174115",
        "bauaufsicht/09184",
        "bauaufsicht/09575",
        "bauaufsicht/09575153",
    }
    of_dachau = references()["09"].competences.filter((pl.col("ags") == "09174115") & (pl.col("service_id") == "bauantrag"))
    assert of_dachau.select("authority_id", "is_partial").rows() == [("bauaufsicht/09174115", False)]
    of_neustadt = references()["09"].competences.filter((pl.col("ags") == "09575153") & (pl.col("service_id") == "bauantrag"))
    assert set(of_neustadt.select("authority_id", "is_partial").rows()) == {
        ("bauaufsicht/09575", False),
        ("bauaufsicht/09575153", True),
    }
    assert competent("06", "anlagengenehmigung", day) == {f"immissionsschutzbehoerde/{key}" for key in ("064", "065", "066")}


def test_hanau_is_competent_itself_from_the_day_it_leaves_its_kreis() -> None:
    before, after = competent("06", "fuehrerschein", date(2025, 12, 31)), competent("06", "fuehrerschein", HANAU_LEAVES)
    assert after - before == {"fahrerlaubnisbehoerde/06415"} and not before - after
    before, after = competent("06", "aufenthalt", date(2025, 12, 31)), competent("06", "aufenthalt", HANAU_LEAVES)
    assert (before - after, after - before) == ({"auslaenderbehoerde/06435014"}, {"auslaenderbehoerde/06415"})


def test_gemeindefreie_gebiete_have_no_authority() -> None:
    assert "09184444" not in set(references()["09"].competences["ags"])


def test_authorities_are_named_and_valid() -> None:
    names = dict(references()["09"].authorities.select("authority_id", "name").iter_rows())
    names |= dict(references()["06"].authorities.select("authority_id", "name").iter_rows())
    assert names["bauaufsicht/09174"] == "Landratsamt Dachau"
    assert names["bauaufsicht/09161"] == "Stadt Ingolstadt"
    assert names["meldebehoerde/091845401"] == "Verwaltungsgemeinschaft Aying"
    assert names["meldebehoerde/091740111"] == "Markt Altomünster"
    assert names["immissionsschutzbehoerde/065"] == "Regierungspräsidium Gießen"
    assert names["fahrerlaubnisbehoerde/06435"] == "Main-Kinzig-Kreis"
    assert names["fahrerlaubnisbehoerde/06531"] == "Landkreis Gießen"
    for reference in references().values():
        assert Authorities.is_valid(reference.authorities)
        assert Competences.is_valid(reference.competences)
        missing = reference.competences.join(reference.authorities, on="authority_id", how="anti")
        assert missing.is_empty()


def test_a_plus_that_is_no_municipality_is_a_finding() -> None:
    files = laender(bauantrag={"level": "kreis", "plus": ["09174999", "09184444"]})
    findings = build_references(files, directory())["09"].findings
    assert len(findings) == 2 and "09174999" in findings[0] and "09184444" in findings[1]


def test_delivered_competences_replace_the_rule_of_their_service_only() -> None:
    provenance = {"land_code": "09", "source": "zustaendigkeiten", "delivery_id": "d1", "delivered_at": DELIVERED_AT}
    delivered = pl.DataFrame(
        [
            {"authority_id": "fahrerlaubnisbehoerde/09161", "service_id": "fuehrerschein", "ags": ags, "is_partial": False}
            | {"valid_from": OPEN_START, "valid_to": None}
            | provenance
            for ags in ("09161000", "09174115")
        ],
        schema=TABLES["competences"].polars_schema(),
    )
    reference = build_references(laender(), directory(), competences=delivered)["09"]
    by_service = reference.competences.group_by(pl.col("service_id").cast(pl.String)).agg(pl.col("authority_id").n_unique())
    assert dict(by_service.iter_rows()) == {"ummeldung": 6, "fuehrerschein": 1, "bauantrag": 6}
    named = reference.authorities.filter(pl.col("authority_id") == "fahrerlaubnisbehoerde/09161")
    assert named["name"].to_list() == ["Stadt Ingolstadt"]


def test_the_fingerprint_follows_competence_and_not_inhabitants() -> None:
    same = build_references(laender(), directory().with_columns(pl.col("population") + 1))
    other = build_references(laender(bauantrag={"level": "kreis"}), directory())
    assert same["09"].fingerprint == references()["09"].fingerprint
    assert other["09"].fingerprint != references()["09"].fingerprint
    assert other["06"].fingerprint == references()["06"].fingerprint


def test_periods_that_touch_are_one_and_gaps_stay() -> None:
    periods = [(2020, 2021), (2021, 2023), (2022, 2022), (2025, None), (2024, 2025), (2010, 2012)]
    frame = pl.DataFrame(
        [
            {"key": "a", "valid_from": date(a, 1, 1), "valid_to": date(b, 6, 1) if b == a else b and date(b, 1, 1)}
            for a, b in periods
        ],
        schema={"key": pl.String, "valid_from": pl.Date, "valid_to": pl.Date},
    )
    assert merge_periods(frame, ["key"]).select("valid_from", "valid_to").rows() == [
        (date(2010, 1, 1), date(2012, 1, 1)),
        (date(2020, 1, 1), date(2023, 1, 1)),
        (date(2024, 1, 1), None),
    ]


def by_hand(periods: list[tuple[str, str | None, int, int | None]]) -> list[tuple[str, str | None, date, date | None]]:
    """The same, one period after the other."""
    found: list[tuple[str, str | None, date, date | None]] = []
    for who, what, a, b in sorted(periods, key=lambda one: (one[0], one[1] or "", one[2], one[3] or 9999)):
        begin, end = date(a, 1, 1), date(b, 1, 1) if b else None
        if found and found[-1][:2] == (who, what) and (found[-1][3] is None or begin <= found[-1][3]):
            ends = (found[-1][3], end)
            found[-1] = (who, what, found[-1][2], None if None in ends else max(ends))  # type: ignore[type-var]
        else:
            found.append((who, what, begin, end))
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from([None, "x", "y"]),
            st.integers(1990, 1999),
            st.one_of(st.none(), st.integers(1, 5)),
        ).map(lambda one: (*one[:3], one[3] and one[2] + one[3])),
        max_size=12,
    )
)
def test_periods_are_merged_as_by_hand(periods: list[tuple[str, str | None, int, int | None]]) -> None:
    frame = pl.DataFrame(
        [(who, what, date(a, 1, 1), date(b, 1, 1) if b else None) for who, what, a, b in periods],
        schema={"who": pl.String, "what": pl.String, "valid_from": pl.Date, "valid_to": pl.Date},
        orient="row",
    )
    assert merge_periods(frame, ["who", "what"]).rows() == by_hand(periods)


@pytest.mark.parametrize(
    ("key", "shortest"),
    [
        ("09184112", "09184112"),
        ("091845401112", "09184112"),
        ("09 1 84 5401 112", "09184112"),
        ("091845401000", "091845401"),
        ("091845401", "091845401"),
        ("091840000000", "09184"),
        ("09184", "09184"),
        ("09184000", "09184"),
        ("091610000000", "09161"),
        ("09161000", "09161"),
        ("091610000", "09161"),
        ("064000000000", "064"),
        ("064", "064"),
        ("060000000000", "06"),
        ("06", "06"),
        ("6411000", None),
        ("0641", None),
        ("", None),
        ("0641100a", None),
    ],
)
def test_keys_in_their_shortest_form(key: str, shortest: str | None) -> None:
    assert pl.select(normalised_key(pl.lit(key))).item() == shortest


# ------------------------------------------------------------------------------------------------------------------------ the real files


def real(paths: Path | list[Path], source: Source) -> pl.DataFrame:
    """Real files, each read and cleaned as a delivery of its own."""
    frames = []
    for path in [paths] if isinstance(paths, Path) else paths:
        raw = PORTALS[source.format].read([path], source)
        context = Context(TABLES[source.table], "00", source.name, path.stem, DELIVERED_AT, reading=source.reading)
        with tempfile.TemporaryDirectory() as folder:
            clean, quarantine = Path(folder) / "clean.parquet", Path(folder) / "quarantine.parquet"
            outcome = clean_frame(raw, context, RULES[source.table], clean, quarantine)
            assert outcome.problem is None and outcome.unknown_columns == [] and outcome.missing_columns == []
            assert sum(outcome.quarantined.values()) <= 1  # one official row of 2019 has nine digits of an ARS
            frames.append(pl.read_parquet(clean))
    return pl.concat(frames)


def municipalities(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("kind").cast(pl.String).is_in(GEMEINDEFREI))


@pytest.fixture(scope="module")
def real_world(request: pytest.FixtureRequest) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    folder = request.getfixturevalue("shared_data") / "destatis"
    directories = next(source for source in load()["00"].sources if source.format == "gv100ad")
    workbooks = Source(
        name="aenderungen", table="territory_changes", format="gebietsaenderungen", location="*.xlsx", delivers="changes"
    )
    return (
        real(folder / "GV100AD_30112025.txt", directories),
        real(folder / "GV100AD_30092018.ASC", directories),
        real(sorted((folder / "gebietsaenderungen").glob("*.xlsx")), workbooks),
    )


def test_germany_in_the_real_directory(real_world: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> None:
    new, old, _ = real_world
    assert (municipalities(new).height, new["population"].sum()) == (10_751, 83_577_140)
    by_land = dict(municipalities(new).group_by("land_code").len().iter_rows())
    assert (by_land["09"], by_land["06"]) == (2_056, 421)
    assert municipalities(old).height == 11_012


def test_the_real_changes_carry_each_real_edition_to_the_other(
    real_world: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    new, old, changes_ = real_world
    hanau = load()["00"].changes
    for edition in (new, old):
        territory = build_territory(edition, changes_, hanau)
        for day, other in ((date(2018, 9, 30), old), (date(2025, 11, 30), new)):
            held = on(territory.regions, day)
            assert held["ags"].is_unique().all()
            assert held["population"].sum() == edition["population"].sum() and held["population"].min() >= 0
            assert set(municipalities(held)["ars"]) == set(municipalities(other)["ars"])
        assert Regions.is_valid(territory.regions)


def test_competent_authorities_of_the_packaged_land_files(real_world: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> None:
    new, _, changes_ = real_world
    found = build_references(load(), new, changes_)

    def counts(land: str, day: date) -> dict[str, int]:
        held = on(found[land].competences, day)
        return dict(held.group_by(pl.col("service_id").cast(pl.String)).agg(pl.col("authority_id").n_unique()).iter_rows())

    assert found["09"].findings == found["06"].findings == []
    bavaria = {"ummeldung": 1_385, "fuehrerschein": 96, "bauantrag": 138, "aufenthalt": 96, "waffen": 96}
    hesse = {"ummeldung": 421, "fuehrerschein": 27, "aufenthalt": 33, "unterhaltsvorschuss": 33, "anlagengenehmigung": 3}
    assert counts("09", date(2026, 6, 30)) == bavaria
    assert counts("06", date(2026, 6, 30)) == hesse
    assert counts("06", date(2025, 12, 31)) == hesse | {"fuehrerschein": 26}
    assert on(found["00"].regions, date(2026, 6, 30))["population"].sum() == 83_577_140
