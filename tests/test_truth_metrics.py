"""Every published number of two sample worlds against its recomputation from the truth, and what must hold in any release."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from tests import recompute
from tests.recompute import Night, Truth, differences, night  # noqa: F401 (a fixture)

#: Table, its recomputation, its grain, and columns that say where a row came from rather than what is true.
PUBLISHED: list[tuple[str, Callable[[Truth], pl.DataFrame], list[str], list[str]]] = [
    ("core.bridge_competence", recompute.bridge_competence, ["authority_id", "service_id", "ags", "valid_from"], []),
    ("core.fct_cost", recompute.fct_cost, ["land_code", "source", "entry_id"], ["delivery_id"]),
    ("core.fct_connection_phase", recompute.fct_connection_phase, ["authority_id", "service_id", "valid_from"], ["delivery_id"]),
    (
        "core.fct_usage_monthly",
        recompute.fct_usage_monthly,
        ["authority_id", "service_id", "month", "channel", "account"],
        [],
    ),
    (
        "metrics.evidence_conflict",
        recompute.evidence_conflict,
        ["land_code", "authority_id", "service_id", "kind"],
        ["listing_sources", "is_addressable"],
    ),
    ("metrics.coverage_daily", recompute.coverage_daily, ["land_code", "service_id", "as_of"], []),
    ("metrics.programme_coverage_daily", recompute.programme_coverage_daily, ["land_code", "as_of"], []),
    ("metrics.phase_funnel_daily", recompute.phase_funnel_daily, ["land_code", "service_id", "as_of", "phase"], []),
    ("metrics.adoption_monthly", recompute.adoption_monthly, ["land_code", "service_id", "month"], []),
]


@pytest.mark.parametrize(("table", "recomputed", "grain", "but"), PUBLISHED, ids=[name for name, *_ in PUBLISHED])
def test_every_number_equals_its_recomputation(
    night: Night,  # noqa: F811
    table: str,
    recomputed: Callable[[Truth], pl.DataFrame],
    grain: list[str],
    but: list[str],
) -> None:
    expected = recomputed(night.truth)
    assert expected.height > 100
    assert differences(expected, night.published(table), grain, but) == []


def test_the_worlds_hold_what_the_comparison_is_about(night: Night) -> None:  # noqa: F811
    """Regressions, missing and partial months, dead waves, verified services, conflicts: an empty case proves nothing."""
    phases = set(recompute.fct_connection_phase(night.truth)["phase"])
    assert phases == set(recompute.PHASE_ORDER) - {"none"}
    assert set(recompute.fct_usage_monthly(night.truth)["reporting_status"]) == {"reported", "partial", "missing"}
    coverage = recompute.coverage_daily(night.truth)
    assert coverage["authorities_verified"].sum() > 0
    assert coverage["cases_competent"].null_count() > 0
    conflicts = recompute.evidence_conflict(night.truth)
    assert set(conflicts["kind"]) == {"reported_not_listed", "listed_not_reported", "listed_not_reachable"}
    assert len(set(conflicts["reported_phase"])) > 2
    is_reported_missing = conflicts["kind"] == "reported_not_listed"
    waiting = coverage.filter(as_of=night.truth.as_of)
    waiting_count = (waiting["authorities_operational"] - waiting["authorities_verified"]).sum() - is_reported_missing.sum()
    assert waiting_count > 0  # operational for less than 72 hours: unverified, and no conflict yet


def test_the_comparison_finds_a_wrong_number_and_a_missing_or_extra_row_and_column() -> None:
    table = pl.DataFrame({"key": ["a", "b", None], "share": [0.1, 1e-9, None], "euros": [1, 2, None]})
    assert differences(table, table.reverse(), ["key"]) == []
    assert differences(table, table.with_columns(pl.col("share") * (1 + 1e-13)), ["key"]) == []
    assert len(differences(table, table.with_columns(pl.col("share") * (1 + 1e-11)), ["key"])) == 1
    assert len(differences(table, table.with_columns(pl.col("euros").fill_null(0)), ["key"])) == 1
    assert len(differences(table, table.with_columns(pl.col("share").fill_null(0)), ["key"])) == 1
    assert len(differences(table, table.head(2), ["key"])) == 1
    assert len(differences(table.head(2), table, ["key"])) == 1
    assert len(differences(table, table.drop("share"), ["key"])) == 1
    assert differences(table, table.drop("share"), ["key"], but=["share"]) == []
    assert len(differences(table, pl.concat([table, table.head(1)]), ["key"])) == 1


# -- what must hold in any release ------------------------------------------------------------------------------------------


def test_verified_is_a_part_of_operational_and_needs_a_local_entry_under_a_verified_key(night: Night) -> None:  # noqa: F811
    """Only services with a key that the operator confirms can be verified, and no more authorities than have an entry of their own."""
    assert night.ask("select count(*) from metrics.coverage_daily where authorities_verified > authorities_operational") == [(0,)]
    verifiable = night.ask("select service_id from core.dim_service where verified_leika_keys is not null order by 1")
    assert verifiable == [("ummeldung",), ("waffen",)]
    verified = night.ask("select distinct service_id from metrics.coverage_daily where verified_share is not null order by 1")
    assert verified == verifiable
    own_entries = """
        select coverage.authorities_verified, coverage.authorities_verified / coverage.authorities_operational, verified_share,
            (
                select count(distinct phases.authority_id)
                from core.fct_connection_phase as phases
                inner join core.fct_listing as listings
                    on listings.authority_id = phases.authority_id and listings.service_id = phases.service_id
                inner join core.dim_service as services on services.service_id = phases.service_id
                where phases.land_code = coverage.land_code and phases.service_id = coverage.service_id
                    and phases.phase = 'operational' and phases.is_current
                    and not listings.is_inherited and listings.evidence <> 'addressable' and listings.retired_on is null
                    and list_contains(string_split(services.verified_leika_keys, ' '), listings.leika_key)
            )
        from metrics.coverage_daily as coverage
        where authorities_verified is not null and as_of = (select as_of from meta.release)
    """
    found = night.ask(own_entries)
    assert len(found) == 3  # Ummeldung in both Länder, Waffen in Bavaria
    for verified_count, share, published_share, counted in found:
        assert verified_count == counted > 0
        assert 0 < share == published_share < 1


def test_evidence_is_what_each_source_says(night: Night) -> None:  # noqa: F811
    """What the Land reports and the Data Hub lists equals its recomputation; the other catalogues, where they are asked, know nobody else."""
    published = night.published("core.fct_connection_evidence")
    expected = recompute.fct_connection_evidence(night.truth)
    grain = ["authority_id", "service_id", "evidence", "source", "is_verified", "first_observed_on"]
    is_theirs = pl.col("source").is_in(expected["source"].unique().implode())
    assert differences(expected, published.filter(is_theirs), grain) == []
    hub = expected.filter(evidence="listed").select("authority_id", "service_id")
    others = published.filter(~is_theirs)
    assert set(others["evidence"]) <= {"listed", "addressable"}
    assert others.join(hub, on=["authority_id", "service_id"], how="anti").is_empty()
    sources = night.ask("select distinct unnest(string_split(listing_sources, ' ')) from metrics.evidence_conflict")
    assert (night.truth.catalogue,) in sources
    addressed = (
        "select distinct authority_id, service_id from core.fct_connection_evidence where evidence = 'addressable' and is_current"
    )
    named = "select authority_id, service_id from metrics.evidence_conflict where is_addressable"
    assert night.ask(f"{named} except {addressed}") == []


def test_towns_beside_their_kreis_count_as_authorities_and_their_inhabitants_once(night: Night) -> None:  # noqa: F811
    """Five Bavarian towns take a part of the building cases; they are covered when both they and their Landratsamt are operational."""
    partial = night.ask("select distinct authority_id from core.bridge_competence where is_partial order by 1")
    assert partial == [(f"bauaufsicht/{ags}",) for ags in ("09186143", "09377158", "09479169", "09575153", "09778116")]
    inhabitants = "select sum(population) from core.dim_region where land_code = '09' and is_municipality and is_current"
    assert night.ask("select distinct population_competent from metrics.coverage_daily where service_id = 'bauantrag'") == [
        night.ask(inhabitants)[0]
    ]
    counts = "select distinct authorities_competent, municipalities_competent from metrics.coverage_daily where service_id = 'bauantrag'"
    assert night.ask(counts) == [(138, 2056)]
    assert night.ask("select sum(population) from core.dim_authority where kind = 'bauaufsicht'") == night.ask(inhabitants)
    # every town's state on every day, from the periods of both its authorities
    both = """
        with days as (select distinct as_of from metrics.coverage_daily where service_id = 'bauantrag'),
        states as (
            select days.as_of, competences.ags, bool_and(phases.authority_id is not null) as is_operational
            from days
            cross join core.bridge_competence as competences
            left join core.fct_connection_phase as phases
                on phases.authority_id = competences.authority_id and phases.service_id = 'bauantrag'
                and phases.phase = 'operational' and phases.valid_from <= days.as_of
                and (phases.valid_to is null or phases.valid_to > days.as_of)
            where competences.service_id = 'bauantrag'
            group by days.as_of, competences.ags
        )
        select count(*)
        from (
            select states.as_of, sum(regions.population) filter (states.is_operational) as population
            from states inner join core.dim_region as regions on regions.ags = states.ags
            group by states.as_of
        ) as expected
        inner join metrics.coverage_daily as coverage on coverage.as_of = expected.as_of and coverage.service_id = 'bauantrag'
        where coverage.population_operational is distinct from coalesce(expected.population, 0)
    """
    assert night.ask(both) == [(0,)]


def test_hanau_has_one_history_under_two_keys(night: Night) -> None:  # noqa: F811
    """A town of the Main-Kinzig-Kreis (06435014) to the end of 2025, kreisfrei (06415000) from 2026: never twice, never away."""
    regions = "select ags, kreis_code, valid_from::varchar, valid_to::varchar, is_current from core.dim_region where ags in ('06435014', '06415000') order by valid_from"
    assert night.ask(regions) == [
        ("06435014", "06435", "1900-01-01", "2026-01-01", False),
        ("06415000", "06415", "2026-01-01", None, True),
    ]
    assert night.ask("select count(distinct population) from core.dim_region where ags in ('06435014', '06415000')") == [(1,)]
    competent = """
        select service_id, authority_id, valid_to::varchar
        from core.bridge_competence
        where ags in ('06435014', '06415000') and service_id in ('fuehrerschein', 'aufenthalt', 'ummeldung')
        order by service_id, valid_from
    """
    assert night.ask(competent) == [
        ("aufenthalt", "auslaenderbehoerde/06435014", "2026-01-01"),
        ("aufenthalt", "auslaenderbehoerde/06415", None),
        ("fuehrerschein", "fahrerlaubnisbehoerde/06435", "2026-01-01"),
        ("fuehrerschein", "fahrerlaubnisbehoerde/06415", None),
        ("ummeldung", "meldebehoerde/06435014", "2026-01-01"),
        ("ummeldung", "meldebehoerde/06415000", None),
    ]
    around = """
        select service_id, as_of::varchar, authorities_competent, municipalities_competent
        from metrics.coverage_daily
        where land_code = '06' and as_of in (date '2025-12-31', date '2026-01-01')
        order by all
    """
    # all days are told on one territorial status, that of the last day
    counts = {"anlagengenehmigung": 3, "aufenthalt": 33, "fuehrerschein": 27, "ummeldung": 421, "unterhaltsvorschuss": 33}
    assert night.ask(around) == [
        (service, day, authorities, 421) for service, authorities in counts.items() for day in ("2025-12-31", "2026-01-01")
    ]
    assert night.ask("select territory_on = as_of from meta.release") == [(True,)]
    continued = (
        "select authority_id, reported_authority_id from core.dim_authority where authority_id like '%/06435014' order by 1"
    )
    assert night.ask(continued) == [
        ("auslaenderbehoerde/06435014", "auslaenderbehoerde/06415"),
        ("jugendamt/06435014", "jugendamt/06415"),
        ("meldebehoerde/06435014", "meldebehoerde/06415000"),
    ]
    inhabitants = "select count(distinct population_competent) from metrics.coverage_daily where land_code = '06'"
    assert night.ask(inhabitants) == [(1,)]
    gone = "select count(*) from core.fct_connection_phase where authority_id like '%/06435014'"
    assert night.ask(gone) == [(0,)]


def test_area_wide_is_all_or_nothing(night: Night) -> None:  # noqa: F811
    """True exactly where every competent authority is operational; then every inhabitant, case and municipality is covered too."""
    wrong = """
        select count(*)
        from metrics.coverage_daily
        where is_area_wide <> (authorities_competent > 0 and authorities_operational = authorities_competent)
            or (is_area_wide and coverage_authority_share <> 1)
            or (is_area_wide and municipalities_operational <> municipalities_competent)
            or (is_area_wide and population_operational <> population_competent)
            or (is_area_wide and cases_operational <> cases_competent)
            or (not is_area_wide and population_operational = population_competent)
    """
    assert night.ask(wrong) == [(0,)]
