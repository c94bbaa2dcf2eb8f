"""The release gate: a good build passes, and every check has a way to fail that it finds."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest

from expectations import agreement, thresholds
from expectations.release import GRAIN, audit
from expectations.results import CheckResult, passed, refusal
from orchestration import publication

# Two Länder, two services, January 2026: three municipalities with an authority each; the first is operational from day 1 on.
GOOD = """
create schema core;
create schema metrics;
create schema meta;

create table core.dim_land as
from (values ('09', 'Bayern', date '2026-01-01', true), ('06', 'Hessen', date '2026-01-01', true))
as l(land_code, name, programme_start, is_participating);

create table core.dim_service as from (values ('ummeldung'), ('fuehrerschein')) as s(service_id);

create table core.dim_region as
select
    land_code, land_code || '17100' || n as ags, 1000 * n as population, 12.5::double as area_km2,
    date '1900-01-01' as valid_from, null::date as valid_to, true as is_reported
from core.dim_land, range(1, 4) as r(n);

create table core.dim_authority as
select 'amt/' || ags as authority_id, land_code, valid_from, valid_to from core.dim_region;

create table core.bridge_competence as
select land_code, 'amt/' || ags as authority_id, service_id, ags, false as is_partial, valid_from, valid_to,
    is_reported
from core.dim_region, core.dim_service;

create table core.bridge_region_successor as
select ags, valid_from, ags as reported_ags, 1.0::double as population_share, 1.0::double as area_share from core.dim_region;

create table core.bridge_authority_successor as
select authority_id, valid_from, authority_id as reported_authority_id, 1.0::double as population_share from core.dim_authority;

create table core.fct_connection_phase as
select land_code, authority_id, service_id, phase, since as valid_from, until as valid_to
from core.bridge_competence, (values
    ('onboarding', date '2025-12-01', date '2026-01-01'), ('operational', date '2026-01-01', null)
) as p(phase, since, until)
where ags like '%1';

create table core.fct_usage_monthly as
select
    land_code, authority_id, service_id, m::date as month, 'online' as channel, null::varchar as account,
    60::bigint as started, 50::bigint as submitted, 9::bigint as completed, 30::bigint as days_reported, 30::bigint as live_days,
    'reported' as reporting_status
from core.fct_connection_phase, generate_series(timestamp '2025-11-01', timestamp '2026-01-01', interval 1 month) as s(m)
where phase = 'operational';

create table core.fct_cost as
select
    land_code, 'kosten' as source, 'e' || n as entry_id, authority_id, service_id, 'integration' as category,
    (1000 + n)::decimal(18, 2) as amount_eur
from core.fct_connection_phase, range(20) as r(n)
where phase = 'operational' and service_id = 'ummeldung';

create table core.fct_listing (
    land_code varchar, source varchar, leika_key varchar, ars varchar, url varchar, evidence varchar, first_observed_on date,
    authority_id varchar
);

create table core.fct_connection_evidence as
select
    land_code, authority_id, service_id, 'reported' as evidence, 'anbindungen' as source, null::boolean as is_verified,
    valid_from as first_observed_on, valid_to is null as is_current
from core.fct_connection_phase
where phase = 'operational'
union all
select '09', 'amt/09171002', 'ummeldung', 'listed', 'datahub', true, date '2026-01-10', true;

create table metrics.evidence_conflict as
from (values
    ('09', 'amt/09171001', 'ummeldung', 'reported_not_listed'), ('09', 'amt/09171002', 'ummeldung', 'listed_not_reported')
) as c(land_code, authority_id, service_id, kind);

create table metrics.coverage_daily as
select
    land_code, service_id, d::date as as_of,
    3::bigint as authorities_competent, 1::bigint as authorities_operational, 1 / 3.0::double as coverage_authority_share,
    6000::bigint as population_competent, 1000::bigint as population_operational, 1 / 6.0::double as coverage_population_share,
    null::bigint as cases_competent, null::bigint as cases_operational, null::double as coverage_case_share,
    3::bigint as municipalities_competent, 1::bigint as municipalities_operational,
    false as is_area_wide, 0::bigint as authorities_verified, 0.0::double as verified_share
from core.dim_land, core.dim_service, generate_series(timestamp '2026-01-01', timestamp '2026-01-31', interval 1 day) as s(d);

create table metrics.programme_status as
select
    land_code, 2::bigint as services, 2::bigint as services_predicted, 1::bigint as services_likely, 0::bigint as services_in_time,
    0::bigint as authority_service_pairs_verified, 2::bigint as authority_service_pairs_verifiable, 0.0::double as verified_share
from metrics.coverage_daily
where service_id = 'ummeldung' and as_of = date '2026-01-31';

create table metrics.programme_coverage_daily as
select
    land_code, as_of, 6::bigint as authority_service_pairs_competent, 2::bigint as authority_service_pairs_operational,
    2 / 6.0::double as coverage_micro_share
from metrics.coverage_daily
where service_id = 'ummeldung';

create table metrics.phase_funnel_daily as
select land_code, service_id, as_of, phase, n::bigint as authorities_current_count, m::bigint as authorities_reached_count
from metrics.coverage_daily, (values ('none', 2, 3), ('onboarding', 0, 1), ('operational', 1, 1)) as p(phase, n, m);

create table metrics.programme_phase_funnel as
select
    land_code, phase, 2 * authorities_current_count as authority_service_pairs_current,
    2 * authorities_reached_count as authority_service_pairs_reached
from metrics.phase_funnel_daily
where service_id = 'ummeldung' and as_of = date '2026-01-31';

create table metrics.adoption_monthly as
select
    land_code, service_id, m::date as month, 50::bigint as submitted_online_count, 100::bigint as submitted_total_count,
    40::bigint as paired_online_count, 80::bigint as paired_total_count, 0.5::double as take_up_share,
    500.0::double as inhabitant_years, 100.0::double as submissions_per_1000_inhabitants,
    1::bigint as reporting_authorities, 1::bigint as live_authorities
from core.dim_land, core.dim_service, generate_series(timestamp '2025-11-01', timestamp '2026-01-01', interval 1 month) as s(m);

create table metrics.service_adoption_monthly as
select service_id, month, sum(paired_online_count)::bigint as paired_online_count, sum(paired_total_count)::bigint as paired_total_count,
    0.5::double as take_up_share,
    sum(reporting_authorities)::bigint as reporting_authorities, sum(live_authorities)::bigint as live_authorities
from metrics.adoption_monthly
group by all;

create table metrics.programme_adoption_by_kreis as
select land_code, land_code || '171' as kreis_code, 80::bigint as paired_online_count, 160::bigint as paired_total_count,
    0.5::double as take_up_share
from core.dim_land;

create table metrics.cost_per_connection as
select
    land_code, 'ummeldung' as service_id, 1::bigint as wave, payer, 2::bigint as connections_begun,
    1::bigint as connections_completed, eur::decimal(18, 2) as cost_variable_eur, eur::decimal(18, 2) as cost_full_eur,
    eur::decimal(18, 2) as cost_variable_per_connection_eur, eur::decimal(18, 2) as cost_per_connection_eur
from core.dim_land, (values ('bund', 12000), ('land', 8000), ('total', 20000)) as p(payer, eur);

create table meta.source_status as
select land_code, 'kosten' as source, true as is_required, 'current' as status, null::varchar as message_de, 1::bigint as deliveries,
    0::bigint as deliveries_refused, 25::bigint as rows_delivered, 1::bigint as rows_quarantined
from core.dim_land;

create table meta.delivery as
select
    land_code, 'kosten' as source, 'costs' as table_name, land_code || '-1' as delivery_id, true as is_admitted,
    25::bigint as rows_delivered, 24::bigint as rows_clean, 1::bigint as rows_quarantined,
    4::bigint as rows_superseded, 20::bigint as rows_current
from core.dim_land;

create table meta.quarantine_summary as
select land_code, 'kosten' as source, 'malformed' as rule, 1::bigint as row_count from core.dim_land;

create table metrics.cost_bridge as
select land_code, service_id, null::bigint as wave, category, 'variable' as behaviour, 'land' as payer, false as recurring,
    'invoiced' as entry_status, date '2026-01-01' as month, count(*) as entries_count, sum(amount_eur)::decimal(18, 2) as amount_eur
from core.fct_cost
group by all;

create table metrics.cost_by_wave as select land_code, service_id, wave, 'nominal' as price_basis from metrics.cost_per_connection
where payer = 'total';

create table metrics.programme_cost_by_wave as
select land_code, wave, connections_begun, connections_completed, 1::bigint as connections_invoiced, 1.0::double as invoiced_share
from metrics.cost_per_connection
where payer = 'total';

create table metrics.running_cost_per_transaction as select land_code, service_id, 10.00::decimal(18, 2) as running_cost_eur
from core.dim_land, core.dim_service;

create table metrics.total_cost_of_ownership as select land_code, service_id, payer from metrics.cost_per_connection;

create table metrics.budget_status as select land_code, payer, false as recurring from metrics.cost_per_connection;

create table metrics.coverage_by_kreis as
select
    land_code, service_id, land_code || '171' as kreis_code, as_of, authorities_competent, authorities_operational, coverage_authority_share,
    population_competent, population_operational, coverage_population_share, municipalities_competent, municipalities_operational
from metrics.coverage_daily
where as_of = date '2026-01-31';

create table metrics.programme_coverage_by_kreis as
select
    land_code, kreis_code, 6000::bigint as population, 6::bigint as authority_service_pairs_competent,
    2::bigint as authority_service_pairs_operational, 12000::bigint as population_service_pairs_competent,
    2000::bigint as population_service_pairs_operational, 1 / 6.0::double as coverage_population_share
from metrics.coverage_by_kreis
where service_id = 'ummeldung';

create table metrics.coverage_class_comparison as
select land_code, service_id, kreis_code, null::boolean as is_equal, 'not_comparable' as difference_reason from metrics.coverage_by_kreis;

create table metrics.pilot_coverage_daily as
select
    land_code, service_id, as_of, is_pilot, if(is_pilot, 1, 2)::bigint as authorities_competent,
    if(is_pilot, 1, 0)::bigint as authorities_operational, if(is_pilot, 1, 0)::double as coverage_authority_share
from metrics.coverage_daily, (values (true), (false)) as p(is_pilot);

create table metrics.time_in_phase as
select land_code, service_id, phase, authorities_current_count as authorities_in_phase, 0::bigint as authorities_stuck
from metrics.phase_funnel_daily
where as_of = date '2026-01-31';

create table metrics.adoption_by_account as
select
    land_code, service_id, month, account, 1::bigint as submitted_online_count, 2::bigint as all_accounts_online_count,
    0.5::double as account_share
from metrics.adoption_monthly, (values ('bundid'), ('none')) as a(account);

create table metrics.adoption_curve as
select
    'all' as stratum_kind, 'all' as stratum, 1::bigint as full_month, 2::bigint as connections_due, 1::bigint as at_risk_count,
    1::bigint as submitted_online_count, 2.0::double as inhabitant_years, 500.0::double as submissions_per_1000_inhabitants,
    1::bigint as paired_online_count, 2::bigint as paired_total_count, 0.5::double as take_up_share,
    1::bigint as first_month_submitted_online_count, 2.0::double as first_month_inhabitant_years,
    500.0::double as first_month_per_1000_inhabitants;

create table metrics.adoption_seasonality as
select
    land_code, service_id, 1::bigint as month_of_year, 2::bigint as submitted_total_count, 8::bigint as submitted_total_12_months_count,
    0.25::double as total_month_share, 1::bigint as submitted_online_count, 4::bigint as submitted_online_12_months_count,
    0.25::double as online_month_share
from metrics.coverage_by_kreis;

create table metrics.dormant_connection as
select land_code, authority_id, service_id, 'active' as answer from core.fct_usage_monthly where channel = 'online' group by all;

create table metrics.regression (
    land_code varchar, authority_id varchar, service_id varchar, regressed_on date, to_phase varchar, interrupted_days bigint
);

create table metrics.regression_monthly as
select land_code, service_id, month, 0::bigint as regressions_count, 0::bigint as authorities_interrupted from metrics.adoption_monthly;

create table metrics.operational_use as
select land_code, service_id, authorities_operational, 1::bigint as authorities_used_count from metrics.coverage_by_kreis;

create table metrics.commitment_status as
select land_code, service_id, authorities_competent, authorities_operational, 2::bigint as authorities_open from metrics.coverage_by_kreis;

create table metrics.time_to_operational as
select 'all' as stratum_kind, 'all' as stratum, 30::bigint as days, 0.5::double as survival_share;

create table metrics.time_to_operational_summary as select stratum_kind, stratum, 30::bigint as median_days from metrics.time_to_operational;

create table metrics.scale_observation as
select authority_id, service_id, land_code, 10::bigint as cumulative_connections, 5::bigint as baseline_connections
from core.fct_usage_monthly
group by all;

create table metrics.learning_curve as
select
    authority_id, service_id, land_code, cumulative_connections, 10.0::double as experience_geometric_mean, 1.0::double as experience_ratio,
    500::decimal(18, 2) as cost_variable_eur, 1000.0::double as cost_variable_geometric_mean_eur, 0.5::double as cost_variable_ratio
from metrics.scale_observation;

create table metrics.scale_estimate as
select 'C1' as claim, 'cost' as outcome, 'S2' as specification, 'ln_n' as term, -0.15::double as coefficient;

create table metrics.scale_verdict as
select
    claim, outcome, verdict, gates as gates_failed, date '2027-03-01' as look_on, if(frozen, date '2027-03-01', null) as frozen_on,
    0.05::double as delta, 1 - 2 ** (-w) as estimate, 1 - 2 ** (-w + h) as ci_low, 1 - 2 ** (-w - h) as ci_high
from (
    values
    ('C1', 'cost', 'supported', true, null, 0.16::double, 0.05::double),
    ('C1', 'person_days', 'inconclusive', true, 'too few clusters', 0.16, 0.05),
    ('C2', 'cost', 'contradicted', true, null, -0.1, 0.05),
    ('C2', 'person_days', 'not_due', false, null, null, null)
) as v(claim, outcome, verdict, frozen, gates, w, h);

create table metrics.cost_forecast as
select
    outcome, service_id, 0.2::double as land_effect_sd, 2::bigint as hindcast_clusters, 1::bigint as hindcast_covered_clusters,
    0.5::double as hindcast_covered_share
from (values ('cost'), ('person_days')) as o(outcome), (values (null), ('ummeldung')) as s(service_id);

create table meta.metric as
select 'coverage_authority_share' as metric_id, '1' as version, 'a' as definition_sha256, 'b' as computation_md5;
"""

_COVERAGE, _PROGRAMME, _FUNNEL = "metrics.coverage_daily", "metrics.programme_coverage_daily", "metrics.phase_funnel_daily"
_ADOPTION, _COST = "metrics.adoption_monthly", "metrics.cost_per_connection"
_CONFLICT = "metrics.evidence_conflict"

PROGRAMME = {"09": ["ummeldung", "fuehrerschein"], "06": ["ummeldung", "fuehrerschein"]}
AS_OF = dt.date(2026, 1, 31)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("build") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(GOOD)
    return path


def changed(good: Path, to: Path, *statements: str) -> Path:
    shutil.copy(good, to)
    with duckdb.connect(str(to)) as connection:
        for statement in statements:
            connection.execute(statement)
    return to


def check(build: Path, previous: Path | None, **also: object) -> list[CheckResult]:
    return audit(build, previous, "run-1", as_of=AS_OF, programme=PROGRAMME, **also)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def good_results(good: Path) -> list[CheckResult]:
    return check(good, good)


def test_a_good_build_passes_whole(good_results: list[CheckResult]) -> None:
    assert [r for r in good_results if not r.passed] == []
    assert passed(good_results)
    assert refusal(good_results) is None
    assert len({(r.table, r.name, r.column) for r in good_results}) == len(good_results)


# -- every check finds what it is for --------------------------------------------------------------

LAST = "as_of = date '2026-01-31'"
PAIR = "land_code = '09' and service_id = 'ummeldung'"


def coverage(change: str) -> str:
    """``change`` in one row of coverage_daily."""
    return f"update metrics.coverage_daily set {change} where {PAIR} and {LAST}"


#: The damage of another entry of its group does it.
SAME = "select 1"

#: Groups of damages that do not hide each other: table, check, column, and the damage.
DAMAGES: dict[str, list[tuple[str, str, str | None, str]]] = {
    "tables": [
        ("metrics.adoption_monthly", "not_empty", None, "delete from metrics.adoption_monthly"),
        ("core.surprise", "grain_declared", None, "create table core.surprise as select 1 as x"),
        ("core.dim_land", "grain_unique", None, "insert into core.dim_land from core.dim_land where land_code = '09'"),
        ("core.fct_cost", "key_not_null", None, "update core.fct_cost set entry_id = null where entry_id = 'e7'"),
        (
            "core.dim_region",
            "count_not_negative",
            None,
            "update core.dim_region set population = -1 where ags = '06171002'",
        ),
        (
            "core.dim_region",
            "intervals_disjoint",
            None,
            """
            insert into core.dim_region
            select * replace (date '2020-01-01' as valid_from) from core.dim_region where ags = '09171003'
            """,
        ),
        ("core.dim_region", "numbers_finite", None, "update core.dim_region set area_km2 = 'nan' where ags = '09171001'"),
        (
            "core.fct_cost",
            "reference_known",
            "authority_id",
            "update core.fct_cost set authority_id = 'x/1' where entry_id = 'e3'",
        ),
        ("core.fct_cost", "reference_known", "service_id", "update core.fct_cost set service_id = 'x' where entry_id = 'e4'"),
        (
            "meta.quarantine_summary",
            "reference_known",
            "land_code",
            "update meta.quarantine_summary set land_code = '17' where land_code = '06'",
        ),
        (
            "metrics.scale_verdict",
            "verdicts_complete",
            None,
            "delete from metrics.scale_verdict where claim = 'C2' and outcome = 'person_days'",
        ),
        (
            "metrics.scale_verdict",
            "verdict_follows_from_its_numbers",
            "verdict",
            "update metrics.scale_verdict set verdict = 'supported' where gates_failed is not null",
        ),
        (
            "metrics.scale_verdict",
            "interval_belongs_to_its_estimate",
            "ci_low",
            "update metrics.scale_verdict set ci_high = ci_high - 0.001 where claim = 'C2'",
        ),
        (_COVERAGE, "share_in_range", None, coverage("coverage_authority_share = 1.01")),
        (_COVERAGE, "quotient_of_its_parts", "coverage_authority_share", SAME),
        (_COVERAGE, "quotient_of_its_parts", "coverage_population_share", coverage("coverage_population_share = null")),
        (_COVERAGE, "area_wide_means_all", "is_area_wide", coverage("is_area_wide = true")),
        (_COVERAGE, "part_within_whole", "municipalities_operational", coverage("municipalities_operational = 4")),
        (_COVERAGE, "population_within_land", "population_competent", coverage("population_competent = 60000")),
        (
            _COVERAGE,
            "programme_complete",
            None,
            "delete from metrics.coverage_daily where land_code = '06' and service_id = 'fuehrerschein'",
        ),
        (_COVERAGE, "programme_kept", None, SAME),
        (
            _COVERAGE,
            "same_first_day",
            "as_of",
            """
            delete from metrics.coverage_daily
            where land_code = '09' and service_id = 'fuehrerschein' and as_of = date '2026-01-01'
            """,
        ),
        (_PROGRAMME, "sums_of_services", None, SAME),
        (
            _PROGRAMME,
            "days_complete",
            "as_of",
            "delete from metrics.programme_coverage_daily where land_code = '06' and as_of = date '2026-01-09'",
        ),
        (
            _COST,
            "total_is_sum_of_payers",
            "cost_full_eur",
            "update metrics.cost_per_connection set cost_full_eur = 7999.98 where land_code = '09' and payer = 'land'",
        ),
        (
            _COST,
            "cost_plausible",
            "cost_per_connection_eur",
            "update metrics.cost_per_connection set cost_per_connection_eur = 20 where land_code = '06' and payer = 'total'",
        ),
        (_COST, "cost_change", "cost_per_connection_eur", SAME),
        (_COST, "quotient_of_its_parts", "cost_per_connection_eur", SAME),
        (
            _FUNNEL,
            "funnel_is_coverage",
            "authorities_current_count",
            "update metrics.phase_funnel_daily set authorities_current_count = 3 where phase = 'none' and as_of = date '2026-01-05'",
        ),
        (
            _CONFLICT,
            "conflicts_within_coverage",
            "kind",
            """
            insert into metrics.evidence_conflict
            select '09', authority_id, 'fuehrerschein', 'reported_not_listed' from core.dim_authority where land_code = '09'
            """,
        ),
        ("meta.delivery", "rows_add_up", "rows_delivered", "update meta.delivery set rows_delivered = 26 where land_code = '09'"),
        (
            "core.fct_cost",
            "unit_unchanged",
            "amount_eur",
            "update core.fct_cost set amount_eur = amount_eur / 1000 where land_code = '09' and entry_id > 'e10'",
        ),
        (
            "core.fct_cost",
            "unit_of_new_rows",
            "amount_eur",
            """
            insert into core.fct_cost
            select * replace ('new' || entry_id as entry_id, amount_eur * 100 as amount_eur) from core.fct_cost where land_code = '06'
            """,
        ),
        ("core.fct_cost", "ledger_whole", None, SAME),
        ("metrics.cost_bridge", "bridge_is_ledger", "amount_eur", SAME),
        (
            "meta.metric",
            "definitions_unchanged",
            "definition_sha256",
            "update meta.metric set definition_sha256 = 'x', computation_md5 = 'y'",
        ),
        ("meta.metric", "computations_unchanged", "computation_md5", SAME),
        ("meta.metric", "version_follows_definition", "version", SAME),
        (
            "meta.source_status",
            "required_has_data",
            "status",
            "update meta.source_status set status = 'missing' where land_code = '06'",
        ),
        ("meta.source_status", "trouble_is_explained", "message_de", SAME),
        (
            "core.bridge_competence",
            "one_authority_each",
            None,
            "update core.bridge_competence set ags = '09171003' where ags = '09171002' and service_id = 'fuehrerschein'",
        ),
        (
            "core.bridge_region_successor",
            "shares_add_up",
            "area_share",
            "update core.bridge_region_successor set area_share = 0.9 where ags = '09171001'",
        ),
        (
            "core.bridge_authority_successor",
            "shares_add_up",
            "population_share",
            "update core.bridge_authority_successor set population_share = 0.9 where authority_id = 'amt/09171001'",
        ),
    ],
    "changes": [
        ("release", "tables_kept", None, "drop table core.fct_listing"),
        ("core.fct_listing", "present", None, SAME),
        (
            "core.dim_service",
            "not_empty",
            None,
            "alter table core.dim_region rename area_km2 to area_m2; delete from core.dim_service",
        ),
        ("release", "columns_kept", None, SAME),
        ("release", "rows_kept", None, "delete from core.fct_cost where entry_id not in ('e1', 'e2')"),
        ("release", "rows_nearly_kept", None, SAME),
        ("core.fct_cost", "ledger_kept", "entry_id", SAME),
        (
            _COVERAGE,
            "days_complete",
            "as_of",
            "delete from metrics.coverage_daily where land_code = '06' and as_of = date '2026-01-31'",
        ),
        (
            _COVERAGE,
            "competent_as_in_bridge",
            "authorities_competent",
            f"update metrics.coverage_daily set authorities_competent = 6 where {PAIR}",
        ),
        (_COVERAGE, "competent_change", "authorities_competent", SAME),
        (_COVERAGE, "population_change", "population_competent", coverage("population_competent = 5000")),
        (
            _ADOPTION,
            "months_kept",
            "month",
            "delete from metrics.adoption_monthly where land_code = '09' and month = date '2025-11-01'",
        ),
        (_ADOPTION, "submitted_kept", "submitted_online_count", SAME),
        (_ADOPTION, "submitted_as_in_facts", "submitted_online_count", SAME),
        (
            _ADOPTION,
            "months_complete",
            "month",
            "delete from metrics.adoption_monthly where land_code = '06' and month = date '2025-12-01'",
        ),
    ],
    # as if twenty more had been live in the release before
    "operational": [
        (_COVERAGE, "operational_drop", "authorities_operational", SAME),
        (_COVERAGE, "history_kept", "authorities_operational", SAME),
        (
            _COVERAGE,
            "operational_as_in_phases",
            "authorities_operational",
            """
            update core.fct_connection_phase set phase = 'suspended'
            where authority_id = 'amt/09171001' and phase = 'operational'
            """,
        ),
    ],
}

#: The release before, where it is not the good build itself.
BEFORE = {"operational": f"update metrics.coverage_daily set authorities_operational = 21 where {PAIR}"}


@pytest.fixture(scope="module", params=DAMAGES)
def damaged(
    request: pytest.FixtureRequest, good: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[CheckResult]]:
    folder = tmp_path_factory.mktemp("damaged")
    build = changed(good, folder / "build.duckdb", *(damage for *_, damage in DAMAGES[request.param]))
    previous = changed(good, folder / "previous.duckdb", BEFORE.get(request.param, "select 1"))
    return request.param, check(build, previous)


def test_every_damage_is_found(damaged: tuple[str, list[CheckResult]]) -> None:
    group, results = damaged
    failed = {(r.table, r.name, r.column) for r in results if not r.passed}
    assert {(table, name, column) for table, name, column, _ in DAMAGES[group]} - failed == set()
    assert not passed(results)


def test_only_a_missing_table_breaks_a_check(damaged: tuple[str, list[CheckResult]]) -> None:
    group, results = damaged
    broken = {r.table for r in results if r.is_broken}
    assert broken == ({"core.fct_listing"} if group == "changes" else set())
    assert not any(r.passed for r in results if r.is_broken)


def test_failures_show_keys_and_nothing_else(damaged: tuple[str, list[CheckResult]]) -> None:
    for result in damaged[1]:
        assert len(result.examples) <= 5
        allowed = {*GRAIN.get(result.table, ()), result.column, "table_name"}
        assert all(set(example) <= allowed for example in result.examples), result
        assert CheckResult.from_dict(result.to_dict()) == result


def test_no_check_is_without_its_damage(good_results: list[CheckResult], good: Path, tmp_path: Path) -> None:
    damaged_checks = {name for damages in DAMAGES.values() for _, name, _, _ in damages}
    jump = {"operational_jump"}  # test_a_wave_that_goes_live_is_reported_and_passes
    agreed = {rule.name for rule in (*agreement.SUMS, *agreement.ROWS)}  # these and what follows from names: test_gate_rules
    agreed |= {"value_known", "not_in_the_future", "measure_not_negative", "of_the_reporting_day", "keys_kept", "reference_kept"}
    agreed |= {
        "filled_as_before",
        "sign_as_before",
        "unit_as_before",
        "magnitude_as_before",
        "not_emptied",
        "expected_authorities_report",
    }
    assert {r.name for r in good_results} - damaged_checks - jump - agreed == set()


def test_no_verdict_says_more_or_less_than_its_numbers(good: Path, tmp_path: Path) -> None:
    other = {"supported": "not_due", "inconclusive": "supported", "contradicted": "immaterial", "not_due": "inconclusive"}
    cases = " ".join(f"when '{said}' then '{instead}'" for said, instead in other.items())
    build = changed(good, tmp_path / "build.duckdb", f"update metrics.scale_verdict set verdict = case verdict {cases} end")
    [failed] = [r for r in check(build, None) if not r.passed]
    assert (failed.name, failed.unexpected_count) == ("verdict_follows_from_its_numbers", 4)


def test_a_wave_that_goes_live_is_reported_and_passes(good: Path, tmp_path: Path) -> None:
    # ten more authorities exist in both releases, and go live on the last day
    ten = "range(10) as r(n)"
    funnel_of_all = f"""
        update metrics.programme_phase_funnel as programme
        set authority_service_pairs_current = services.present, authority_service_pairs_reached = services.reached
        from (
            select land_code, phase, sum(authorities_current_count) as present, sum(authorities_reached_count) as reached
            from metrics.phase_funnel_daily where {LAST} group by all
        ) as services
        where programme.land_code = services.land_code and programme.phase = services.phase
        """
    more = [
        f"insert into core.dim_authority select 'amt/' || n, '09', '1900-01-01', null from {ten}",
        f"insert into core.dim_region select '09', '0918100' || n, 0, 1, '1900-01-01', null, true from {ten}",
        f"""
        insert into core.bridge_competence
        select '09', 'amt/' || n, 'ummeldung', '0918100' || n, false, '1900-01-01', null, true from {ten}
        """,
        f"insert into core.bridge_authority_successor select 'amt/' || n, '1900-01-01', 'amt/' || n, 1 from {ten}",
        f"""
        update metrics.coverage_daily set authorities_competent = 13, coverage_authority_share = 1 / 13.0::double
        where {PAIR}
        """,
        f"""
        update metrics.phase_funnel_daily set authorities_current_count = 12, authorities_reached_count = 13
        where {PAIR} and phase = 'none'
        """,
        """
        update metrics.programme_coverage_daily
        set authority_service_pairs_competent = 16, coverage_micro_share = 2 / 16.0::double
        where land_code = '09'
        """,
        f"""
        update metrics.pilot_coverage_daily set authorities_competent = 12, coverage_authority_share = 0
        where {PAIR} and not is_pilot
        """,
        funnel_of_all,
    ]
    live = [
        f"""
        insert into core.fct_connection_phase
        select '09', 'amt/' || n, 'ummeldung', 'operational', '2026-01-31', null from {ten}
        """,
        coverage("authorities_operational = 11, coverage_authority_share = 11 / 13.0::double"),
        f"update metrics.phase_funnel_daily set authorities_current_count = 2 where {PAIR} and phase = 'none' and {LAST}",
        f"""
        update metrics.phase_funnel_daily set authorities_current_count = 11, authorities_reached_count = 11
        where {PAIR} and phase = 'operational' and {LAST}
        """,
        f"""
        update metrics.programme_coverage_daily
        set authority_service_pairs_operational = 12, coverage_micro_share = 12 / 16.0::double
        where land_code = '09' and {LAST}
        """,
        f"""
        update metrics.pilot_coverage_daily set authorities_operational = 10, coverage_authority_share = 10 / 12.0::double
        where {PAIR} and not is_pilot and {LAST}
        """,
        funnel_of_all,
        "update metrics.programme_status set authority_service_pairs_verifiable = 12 where land_code = '09'",
    ]
    previous = changed(good, tmp_path / "previous.duckdb", *more)
    results = check(changed(previous, tmp_path / "build.duckdb", *live), previous)
    [failed] = [r for r in results if not r.passed]
    assert (failed.name, failed.severity) == ("operational_jump", "warn")
    assert failed.examples == [{"land_code": "09", "service_id": "ummeldung"}]
    assert failed.observed == "1 row(s): 09/ummeldung: 11 after 1"
    assert passed(results)


def test_a_table_that_this_run_did_not_build_is_refused(good: Path) -> None:
    names = [table.partition(".")[2] for table in GRAIN]
    assert [r for r in check(good, None, rebuilt=names) if not r.passed] == []
    [failed] = [r for r in check(good, None, rebuilt=names[1:]) if not r.passed]
    assert (failed.name, failed.severity, failed.observed) == ("rebuilt_in_this_run", "error", "1 row(s): core.dim_land")


# -- the edges -------------------------------------------------------------------------------------


def test_the_first_release_is_not_compared(good: Path, good_results: list[CheckResult]) -> None:
    names = {r.name for r in check(good, None)}
    assert "rows_kept" not in names
    assert "grain_unique" in names
    assert "rows_kept" in {r.name for r in good_results}


def test_what_the_publisher_adds_is_not_missed(good: Path, tmp_path: Path) -> None:
    added = [f'create table meta."{name}" as select 1 as x' for name in publication.own_tables()]
    results = check(good, changed(good, tmp_path / "previous.duckdb", *added))
    assert [r for r in results if not r.passed] == []


def test_a_build_for_an_earlier_day_is_not_judged_by_its_volume(good: Path, tmp_path: Path) -> None:
    early = "as_of > date '2026-01-10'"
    build = changed(
        good,
        tmp_path / "early.duckdb",
        *(
            f"delete from metrics.{t} where {early}"
            for t in ("coverage_daily", "programme_coverage_daily", "phase_funnel_daily", "pilot_coverage_daily")
        ),
        "update metrics.coverage_by_kreis set as_of = '2026-01-10'",
    )
    results = audit(build, good, "run-1")
    assert [r for r in results if not r.passed] == []
    assert "rows_kept" not in {r.name for r in results}
    assert "competent_change" in {r.name for r in results}


def test_a_missing_mart_is_broken_and_refused(good: Path, tmp_path: Path) -> None:
    results = check(changed(good, tmp_path / "build.duckdb", "drop table metrics.cost_per_connection"), None)
    mart = [r for r in results if r.table == "metrics.cost_per_connection"]
    assert mart
    assert all(r.is_broken and not r.passed for r in mart)
    assert [r for r in results if not r.passed and r.table != "metrics.cost_per_connection"] == []
    sentences = refusal(results)
    assert sentences is not None
    assert "konnte nicht laufen" in sentences[0]
    assert "cost_per_connection" in sentences[1]


@pytest.mark.parametrize("content", [None, b"this is not a database"])
def test_a_build_that_cannot_be_opened_is_refused(good: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "warehouse.duckdb"
    if content is not None:
        path.write_bytes(content)
    for results in (check(path, good), check(good, path)):
        [result] = results
        assert result.is_broken
        assert not result.passed
        assert not passed(results)


def test_nothing_stays_open(good: Path, good_results: list[CheckResult]) -> None:
    # a reader would keep a writer out, a writer a reader
    duckdb.connect(str(good)).close()


def test_limits_come_from_the_thresholds(good: Path, tmp_path: Path) -> None:
    limits = dict(thresholds.load())
    limits["release_cost_per_connection_range_eur"] = limits["release_cost_per_connection_range_eur"].model_copy(
        update={"value": [30_000, 40_000], "severity": "warn"}
    )
    failed = [r for r in check(good, None, thresholds=limits) if not r.passed]
    assert {(r.name, r.severity, r.unexpected_count) for r in failed} == {("cost_plausible", "warn", 2)}


def test_an_empty_table_passes_only_where_a_reason_is_written(good: Path, tmp_path: Path) -> None:
    limits = dict(thresholds.load())
    allowed = limits["release_empty_tables_allowed"]
    assert isinstance(allowed.value, dict)
    limits["release_empty_tables_allowed"] = allowed.model_copy(update={"value": {}})
    failed = [r for r in check(good, None, thresholds=limits) if not r.passed]
    assert {(r.table, r.name) for r in failed} == {("core.fct_listing", "not_empty"), ("metrics.regression", "not_empty")}
