"""What a finished build must satisfy to be published.

Belongs here: the suites of the published tables (schemas ``core``, ``metrics``, ``meta``), alone, against each other and against
the current release. Does not: formulas (``dbt_project``), whether a model ran at all and what a refusal sets off
(``orchestration``).

A published table has a suite or is refused: :data:`GRAIN` names every table. Rules that follow from a column's name (``_share``,
``_count``, keys) hold for every table that has such a column and need no entry.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from expectations import agreement
from expectations import thresholds as limits
from expectations.results import CheckResult
from expectations.runner import Check, Suite, identifier, literal, reading, run

SUITE = "release"

_COVERAGE, _PROGRAMME, _FUNNEL = "metrics.coverage_daily", "metrics.programme_coverage_daily", "metrics.phase_funnel_daily"
_ADOPTION, _COST = "metrics.adoption_monthly", "metrics.cost_per_connection"
_ACCOUNT, _CURVE, _SEASON = "metrics.adoption_by_account", "metrics.adoption_curve", "metrics.adoption_seasonality"
_BRIDGE, _WAVE, _RUNNING = "metrics.cost_bridge", "metrics.cost_by_wave", "metrics.running_cost_per_transaction"
_OWNERSHIP, _BUDGET = "metrics.total_cost_of_ownership", "metrics.budget_status"
_EVIDENCE, _CONFLICT = "core.fct_connection_evidence", "metrics.evidence_conflict"
_KREIS, _PILOTS = "metrics.coverage_by_kreis", "metrics.pilot_coverage_daily"
_HEAD, _PROGRAMME_KREIS = "metrics.programme_status", "metrics.programme_coverage_by_kreis"
_PROGRAMME_FUNNEL, _PROGRAMME_WAVE = "metrics.programme_phase_funnel", "metrics.programme_cost_by_wave"
_ADOPTION_KREIS, _ADOPTION_SERVICE = "metrics.programme_adoption_by_kreis", "metrics.service_adoption_monthly"
_OBSERVATION, _VERDICT, _FORECAST = "metrics.scale_observation", "metrics.scale_verdict", "metrics.cost_forecast"

#: The published tables and the columns that identify a row of each.
GRAIN: dict[str, tuple[str, ...]] = {
    "core.dim_land": ("land_code",),
    "core.dim_service": ("service_id",),
    "core.dim_region": ("ags", "valid_from"),
    "core.dim_authority": ("authority_id",),
    "core.bridge_competence": ("authority_id", "service_id", "ags", "valid_from"),
    "core.bridge_region_successor": ("ags", "valid_from", "reported_ags"),
    "core.bridge_authority_successor": ("authority_id", "valid_from", "reported_authority_id"),
    "core.fct_connection_phase": ("land_code", "authority_id", "service_id", "valid_from"),
    "core.fct_usage_monthly": ("land_code", "authority_id", "service_id", "month", "channel", "account"),
    "core.fct_cost": ("land_code", "source", "entry_id"),
    "core.fct_listing": ("land_code", "source", "leika_key", "ars", "url", "evidence", "first_observed_on"),
    _EVIDENCE: ("land_code", "authority_id", "service_id", "evidence", "source", "is_verified", "first_observed_on"),
    _COVERAGE: ("land_code", "service_id", "as_of"),
    _PROGRAMME: ("land_code", "as_of"),
    _HEAD: ("land_code",),
    _PROGRAMME_FUNNEL: ("land_code", "phase"),
    _PROGRAMME_KREIS: ("land_code", "kreis_code"),
    _ADOPTION_KREIS: ("land_code", "kreis_code"),
    _ADOPTION_SERVICE: ("service_id", "month"),
    _PROGRAMME_WAVE: ("land_code", "wave"),
    _FUNNEL: ("land_code", "service_id", "as_of", "phase"),
    _ADOPTION: ("land_code", "service_id", "month"),
    _ACCOUNT: ("land_code", "service_id", "month", "account"),
    _CURVE: ("stratum_kind", "stratum", "full_month"),
    _SEASON: ("land_code", "service_id", "month_of_year"),
    "metrics.dormant_connection": ("authority_id", "service_id"),
    _COST: ("land_code", "service_id", "wave", "payer"),
    _BRIDGE: ("land_code", "service_id", "wave", "category", "behaviour", "payer", "recurring", "entry_status", "month"),
    _WAVE: ("land_code", "service_id", "wave", "price_basis"),
    _RUNNING: ("land_code", "service_id"),
    _OWNERSHIP: ("land_code", "service_id", "payer"),
    _BUDGET: ("land_code", "payer", "recurring"),
    _CONFLICT: ("land_code", "authority_id", "service_id", "kind"),
    _KREIS: ("land_code", "service_id", "kreis_code", "as_of"),
    "metrics.coverage_class_comparison": ("land_code", "service_id", "kreis_code"),
    _PILOTS: ("land_code", "service_id", "as_of", "is_pilot"),
    "metrics.time_in_phase": ("land_code", "service_id", "phase"),
    "metrics.regression": ("authority_id", "service_id", "regressed_on"),
    "metrics.regression_monthly": ("land_code", "service_id", "month"),
    "metrics.operational_use": ("land_code", "service_id"),
    "metrics.commitment_status": ("land_code", "service_id"),
    "metrics.time_to_operational": ("stratum_kind", "stratum", "days"),
    "metrics.time_to_operational_summary": ("stratum_kind", "stratum"),
    _OBSERVATION: ("authority_id", "service_id"),
    "metrics.learning_curve": ("authority_id", "service_id"),
    "metrics.scale_estimate": ("claim", "outcome", "specification", "term"),
    _VERDICT: ("claim", "outcome"),
    _FORECAST: ("outcome", "service_id", "land_effect_sd"),
    "meta.source_status": ("land_code", "source"),
    "meta.quarantine_summary": ("land_code", "source", "rule"),
    "meta.delivery": ("land_code", "source", "delivery_id"),
    "meta.metric": ("metric_id",),
}

#: Grain columns in which NULL is a value of its own.
NULL_ALLOWED = {
    ("core.fct_usage_monthly", "account"),
    (_COST, "wave"),
    (_EVIDENCE, "is_verified"),
    (_BRIDGE, "service_id"),
    (_BRIDGE, "wave"),
    (_RUNNING, "service_id"),
    (_OWNERSHIP, "service_id"),
    (_FORECAST, "service_id"),
}

#: (table, quotient, factor, numerator, denominator): the quotient is factor × numerator ÷ denominator, NULL where that is zero.
RATIOS = (
    (_COVERAGE, "coverage_authority_share", 1, "authorities_operational", "authorities_competent"),
    (_COVERAGE, "coverage_population_share", 1, "population_operational", "population_competent"),
    (_COVERAGE, "coverage_case_share", 1, "cases_operational", "cases_competent"),
    (_COVERAGE, "verified_share", 1, "authorities_verified", "authorities_operational"),
    (_KREIS, "coverage_authority_share", 1, "authorities_operational", "authorities_competent"),
    (_KREIS, "coverage_population_share", 1, "population_operational", "population_competent"),
    (_PILOTS, "coverage_authority_share", 1, "authorities_operational", "authorities_competent"),
    (_PROGRAMME, "coverage_micro_share", 1, "authority_service_pairs_operational", "authority_service_pairs_competent"),
    (_HEAD, "verified_share", 1, "authority_service_pairs_verified", "authority_service_pairs_verifiable"),
    (
        _PROGRAMME_KREIS,
        "coverage_population_share",
        1,
        "population_service_pairs_operational",
        "population_service_pairs_competent",
    ),
    (_ADOPTION_KREIS, "take_up_share", 1, "paired_online_count", "paired_total_count"),
    (_ADOPTION_SERVICE, "take_up_share", 1, "paired_online_count", "paired_total_count"),
    (_PROGRAMME_WAVE, "invoiced_share", 1, "connections_invoiced", "connections_completed"),
    ("metrics.learning_curve", "experience_ratio", 1, "cumulative_connections", "experience_geometric_mean"),
    ("metrics.learning_curve", "cost_variable_ratio", 1, "cost_variable_eur", "cost_variable_geometric_mean_eur"),
    (_ADOPTION, "take_up_share", 1, "paired_online_count", "paired_total_count"),
    (_ADOPTION, "submissions_per_1000_inhabitants", 1000, "submitted_online_count", "inhabitant_years"),
    (_ACCOUNT, "account_share", 1, "submitted_online_count", "all_accounts_online_count"),
    (_CURVE, "take_up_share", 1, "paired_online_count", "paired_total_count"),
    (_CURVE, "submissions_per_1000_inhabitants", 1000, "submitted_online_count", "inhabitant_years"),
    (_CURVE, "first_month_per_1000_inhabitants", 1000, "first_month_submitted_online_count", "first_month_inhabitant_years"),
    (_SEASON, "total_month_share", 1, "submitted_total_count", "submitted_total_12_months_count"),
    (_SEASON, "online_month_share", 1, "submitted_online_count", "submitted_online_12_months_count"),
    (_FORECAST, "hindcast_covered_share", 1, "hindcast_covered_clusters", "hindcast_clusters"),
)

#: (table, part, whole): the part is never more than the whole.
PARTS = (
    *((table, part, whole) for table, quotient, _, part, whole in RATIOS if quotient.endswith("_share")),
    (_COVERAGE, "municipalities_operational", "municipalities_competent"),
    (_KREIS, "municipalities_operational", "municipalities_competent"),
    (_FUNNEL, "authorities_current_count", "authorities_reached_count"),
    ("metrics.time_in_phase", "authorities_stuck", "authorities_in_phase"),
    ("metrics.operational_use", "authorities_used_count", "authorities_operational"),
    (_ADOPTION, "submitted_online_count", "submitted_total_count"),
    (_ADOPTION, "reporting_authorities", "live_authorities"),
    (_CURVE, "at_risk_count", "connections_due"),
    (_COST, "connections_completed", "connections_begun"),
    (_PROGRAMME_WAVE, "connections_completed", "connections_begun"),
    (_PROGRAMME_FUNNEL, "authority_service_pairs_current", "authority_service_pairs_reached"),
    (_PROGRAMME_KREIS, "authority_service_pairs_operational", "authority_service_pairs_competent"),
    (_ADOPTION_SERVICE, "reporting_authorities", "live_authorities"),
    (_HEAD, "services_likely", "services_predicted"),
    (_HEAD, "services_predicted", "services"),
    (_HEAD, "services_in_time", "services"),
    ("meta.source_status", "deliveries_refused", "deliveries"),
    ("meta.source_status", "rows_quarantined", "rows_delivered"),
    (_OBSERVATION, "baseline_connections", "cumulative_connections"),
)

#: (column, table it refers to, column there).
REFERENCES = (
    ("land_code", "core.dim_land", "land_code"),
    ("service_id", "core.dim_service", "service_id"),
    ("authority_id", "core.dim_authority", "authority_id"),
    ("reported_authority_id", "core.dim_authority", "authority_id"),
    ("reported_ags", "core.dim_region", "ags"),
)

#: The land_code of federal sources, which is no Land's.
FEDERAL = "00"

#: Added when a release is written; no build has them.
_ADDED_BY_THE_PUBLISHER = {"meta.release", "meta.check_result", "meta.column", "meta.lineage", "meta.landing_file"}

_FOREVER = "date '9999-12-31'"

Thresholds = Mapping[str, limits.Threshold]


@dataclass(frozen=True)
class _Catalog:
    """The published tables of one database: columns and their types by ``schema.table``."""

    tables: Mapping[str, Mapping[str, str]]
    last_day: date | None

    def has(self, table: str, *columns: str) -> bool:
        return table in self.tables and all(column in self.tables[table] for column in columns)


def audit(
    build: Path,
    previous: Path | None,
    run_id: str,
    *,
    as_of: date | None = None,
    programme: Mapping[str, Iterable[str]] | None = None,
    rebuilt: Collection[str] | None = None,
    thresholds: Thresholds | None = None,
) -> list[CheckResult]:
    """Check the closed ``build`` (a DuckDB file), also against ``previous``, the warehouse of the current release.

    ``as_of``: the day this build is for; where None, the last day of ``coverage_daily``. ``programme``: the services of each Land
    that must be covered, by land_code; ``rebuilt``: names of the models that this run built; where None, that is not checked. Files are opened read-only and closed again. A file that
    cannot be opened is a broken, failed result; nothing is raised for what a build holds.
    """
    limit = limits.load() if thresholds is None else thresholds
    databases = {"build": build} if previous is None else {"build": build, "previous": previous}
    for name, path in databases.items():
        problem = _unreadable(path)
        if problem is not None:
            return [_cannot_open(name, problem, run_id)]
    with reading(databases) as connection:
        return run(connection, declared(connection, previous is not None, as_of, programme, rebuilt, limit))


def declared(
    connection: duckdb.DuckDBPyConnection,
    has_previous: bool,
    as_of: date | None = None,
    programme: Mapping[str, Iterable[str]] | None = None,
    rebuilt: Collection[str] | None = None,
    limit: Thresholds | None = None,
    profiled: Collection[str] | None = None,
) -> list[Suite]:
    """Every rule on the database ``build`` that is attached to a connection, and against ``previous`` where that is; see :func:`audit`.

    ``profiled``: the tables whose columns are compared as a whole with the release before; all where None.
    """
    limit = limits.load() if limit is None else limit
    now = _catalog(connection, "build")
    suites = [
        *(_table(table, now, limit) for table in sorted({*GRAIN, *now.tables})),
        *_quotients(),
        *_completeness(as_of or now.last_day, programme),
        *_agreement(),
        *agreement.suites(now.tables, GRAIN, as_of or now.last_day, SUITE),
        *_costs(limit),
        *_usage(now, limit),
        _verdicts(),
        *_origin(),
    ]
    if rebuilt is not None:
        suites.append(_rebuilt(rebuilt))
    if has_previous:
        suites += _changes(connection, now, _catalog(connection, "previous"), limit, profiled)
    return _one_batch_per_table(suites)


def _unreadable(path: Path) -> str | None:
    if not path.is_file():
        return "no such file"
    try:
        with reading({"build": path}):
            return None
    except duckdb.Error as error:
        return str(error).splitlines()[0]


def _cannot_open(name: str, problem: str, run_id: str) -> CheckResult:
    if name == "build":
        german, english = f"Der Build {run_id} lässt sich öffnen.", f"The build {run_id} can be opened."
    else:
        german = "Die aktuelle Veröffentlichung lässt sich öffnen (Abhilfe: rollin verify, dann rollin rollback)."
        english = "The current release can be opened (remedy: rollin verify, then rollin rollback)."
    return CheckResult(SUITE, name, "can_be_opened", None, "error", False, True, problem, "DuckDB", None, german, english)


def _catalog(connection: duckdb.DuckDBPyConnection, database: str) -> _Catalog:
    rows = connection.execute(
        """
        select schema_name || '.' || table_name, column_name, data_type
        from duckdb_columns()
        where database_name = ? and schema_name in ('core', 'metrics', 'meta')
        order by schema_name, table_name, column_index
        """,
        [database],
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    last_day = None
    if tables.get(_COVERAGE, {}).get("as_of") == "DATE":
        [(last_day,)] = connection.execute(f"select max(as_of) from {database}.{_COVERAGE}").fetchall()
    return _Catalog(tables, last_day)


def _suite(table: str, *checks: Check) -> Suite:
    return Suite(SUITE, table, f"select * from build.{table}", list(checks))


def _one_batch_per_table(suites: Iterable[Suite]) -> list[Suite]:
    merged: dict[str, Suite] = {}
    for suite in suites:
        merged.setdefault(suite.query, Suite(suite.name, suite.table, suite.query)).checks.extend(suite.checks)
    return list(merged.values())


def _listed(threshold: limits.Threshold) -> Mapping[str, str]:
    """The tables a threshold names, with the reason for each."""
    if not isinstance(threshold.value, dict):
        raise limits.ThresholdError(
            f"{limits.PATH}: a list of tables with a reason each is expected where {threshold.value} stands."
        )
    return threshold.value


# -- one table -------------------------------------------------------------------------------------


def _table(table: str, catalog: _Catalog, limit: Thresholds) -> Suite:
    """Rules that hold for every published table: presence, grain, keys, domains that follow from names."""
    columns = catalog.tables.get(table, {})
    grain = GRAIN.get(table, ())
    checks = [_present(may_be_empty=table in _listed(limit["release_empty_tables_allowed"]))]
    checks += _identified(table, grain)
    shares = [column for column in columns if column.endswith("_share")]
    counts = [column for column, kind in columns.items() if _is_count(column, kind) and column not in shares]
    numbers = [column for column, kind in columns.items() if kind in ("DOUBLE", "FLOAT")]
    checks += [
        *_no_column(
            "share_in_range",
            shares,
            "{} < 0 or {} > 1",
            "0 .. 1",
            "Anteile liegen zwischen 0 und 1.",
            "Shares lie between 0 and 1.",
            grain,
        ),
        *_no_column("count_not_negative", counts, "{} < 0", ">= 0", "Keine Anzahl ist negativ.", "No count is negative.", grain),
        *_no_column(
            "numbers_finite",
            numbers,
            "not isfinite({})",
            "no NaN, no infinity",
            "Jede Zahl ist endlich.",
            "Every number is finite.",
            grain,
        ),
    ]
    for column, other, key in REFERENCES:
        if column in columns and table != other:
            checks.append(
                Check(
                    name="reference_known",
                    column=column,
                    severity="error",
                    expected=f"in {other}",
                    description_de="Jeder Verweis zeigt auf eine bekannte Zeile.",
                    description_en="Every reference points to a known row.",
                    rows=f"""
                        select distinct {column}
                        from t
                        where
                            {column} <> {literal(FEDERAL)}
                            and {column} not in (select {key} from build.{other} where {key} is not null)
                    """,
                    keys=(column,),
                )
            )
    if grain and {"valid_from", "valid_to"} <= columns.keys():
        owner = ", ".join(identifier(column) for column in grain if column != "valid_from")
        checks.append(
            Check(
                name="intervals_disjoint",
                severity="error",
                expected="valid_from < valid_to <= next valid_from",
                description_de="Zeiträume sind nicht leer und überschneiden sich nicht.",
                description_en="Periods are not empty and do not overlap.",
                rows=f"""
                    select *
                    from (select *, lead(valid_from) over (partition by {owner} order by valid_from) as next_from from t)
                    where valid_to <= valid_from or next_from < coalesce(valid_to, {_FOREVER})
                """,
                keys=grain,
            )
        )
    return _suite(table, *checks)


def _present(*, may_be_empty: bool) -> Check:
    return Check(
        name="present" if may_be_empty else "not_empty",
        severity="error",
        expected=f">= {0 if may_be_empty else 1} row(s)",
        description_de="Die Tabelle ist da." if may_be_empty else "Die Tabelle ist da und nicht leer.",
        description_en="The table is there." if may_be_empty else "The table is there and not empty.",
        stock=("ExpectTableRowCountToBeBetween", {"min_value": 0 if may_be_empty else 1}),
    )


def _no_column(
    name: str, columns: Iterable[str], breaks: str, expected: str, german: str, english: str, keys: tuple[str, ...]
) -> list[Check]:
    """One check of all ``columns``, none where there are none; a row that breaks the rule tells which of them did."""
    broken = {column: breaks.replace("{}", identifier(column)) for column in columns}
    if not broken:
        return []
    told = ", ".join(f"case when {condition} then {literal(column)} end" for column, condition in broken.items())
    return [
        Check(
            name=name,
            severity="error",
            expected=expected,
            description_de=german,
            description_en=english,
            rows=f"select *, concat_ws(', ', {told}) as observed from t where {' or '.join(broken.values())}",
            keys=keys,
        )
    ]


def _identified(table: str, grain: tuple[str, ...]) -> list[Check]:
    """What a row is, and that no two rows are the same."""
    if not grain:
        return [
            Check(
                name="grain_declared",
                severity="error",
                expected="an entry in the gate's list of tables",
                description_de="Für die Tabelle ist hinterlegt, was eine Zeile ist.",
                description_en="It is declared what a row of the table is.",
                rows="select 'not declared' as observed",
            )
        ]
    names = ", ".join(identifier(column) for column in grain)
    unique = Check(
        name="grain_unique",
        severity="error",
        expected=f"one row per {', '.join(grain)}",
        description_de="Jede Zeile ist durch ihren Schlüssel bestimmt.",
        description_en="Every row is identified by its key.",
        # as dbt's test of the grain: by one number, and by the columns only where two rows have the same
        rows=f"""
            select {names}
            from t
            where hash({names}) in (select hash({names}) from t group by hash({names}) having count(*) > 1)
            group by {names}
            having count(*) > 1
        """,
        keys=grain,
    )
    filled = [column for column in grain if (table, column) not in NULL_ALLOWED]
    german, english = "Schlüsselspalten sind gefüllt.", "Key columns are filled."
    return [unique, *_no_column("key_not_null", filled, "{} is null", "no NULL", german, english, grain)]


def _is_count(column: str, kind: str) -> bool:
    prefixes = ("authorities_", "authority_service_pairs_", "population_", "cases_", "municipalities_", "connections_", "rows_")
    named = (
        column.endswith("_count") or column.startswith(prefixes) or column in ("started", "submitted", "completed", "population")
    )
    return named and kind in ("BIGINT", "INTEGER", "UBIGINT", "HUGEINT", "DOUBLE")


# -- quotients and parts ---------------------------------------------------------------------------


def _quotients() -> list[Suite]:
    quotients = [
        _suite(
            table,
            Check(
                name="quotient_of_its_parts",
                column=quotient,
                severity="error",
                expected=f"{part} / {whole}" if factor == 1 else f"{factor} * {part} / {whole}",
                description_de="Der Wert ist der Quotient seiner beiden Zahlen.",
                description_en="The value is the quotient of its two numbers.",
                rows=f"""
                    select *
                    from t
                    where
                        case
                            when {quotient} is null then {part} is not null and {whole} > 0
                            when {whole} is null or {whole} = 0 or {part} is null then true
                            else
                                abs({quotient} - {factor} * cast({part} as double) / {whole})
                                > 1e-9 * greatest(abs({quotient}), 1)
                        end
                """,
                keys=GRAIN[table],
            ),
        )
        for table, quotient, factor, part, whole in RATIOS
    ]
    parts = [
        _suite(
            table,
            Check(
                name="part_within_whole",
                column=part,
                severity="error",
                expected=f"<= {whole}",
                description_de="Ein Teil ist nie mehr als das Ganze.",
                description_en="A part is never more than the whole.",
                rows=f"select * from t where {part} > {whole}",
                keys=GRAIN[table],
            ),
        )
        for table, part, whole in PARTS
    ]
    area_wide = Check(
        name="area_wide_means_all",
        column="is_area_wide",
        severity="error",
        expected="share = 1",
        description_de="Flächendeckend heißt: jede zuständige Behörde ist in Betrieb.",
        description_en="Area-wide means: every competent authority is operational.",
        rows="""
            select *
            from t
            where coalesce(is_area_wide, false) <> (authorities_competent > 0 and authorities_operational = authorities_competent)
        """,
        keys=GRAIN[_COVERAGE],
    )
    return [*quotients, *parts, _suite(_COVERAGE, area_wide)]


# -- completeness ----------------------------------------------------------------------------------


def _completeness(day: date | None, programme: Mapping[str, Iterable[str]] | None) -> list[Suite]:
    """No Land, service, day or month is missing; ``day`` is the last one of all series."""
    suites = []
    last = literal(day.isoformat()) if day is not None else "(select max(as_of) from t)"
    for table, owner in ((_COVERAGE, ("land_code", "service_id")), (_PROGRAMME, ("land_code",))):
        names, label = ", ".join(owner), " || '/' || ".join(owner)
        suites.append(
            _suite(
                table,
                Check(
                    name="days_complete",
                    column="as_of",
                    severity="error",
                    expected=f"every day up to {day or 'the last one'}",
                    description_de="Jeder Tag bis zum Stichtag ist da, keiner danach.",
                    description_en="Every day up to the reporting day is there, none after it.",
                    rows=f"""
                        select
                            {names},
                            {label} || ' ' || min(as_of) || ' .. ' || max(as_of) || ', ' || count(*) || ' days' as observed
                        from (select distinct {names}, as_of from t)
                        group by {names}
                        having max(as_of) <> {last} or count(*) <> date_diff('day', min(as_of), max(as_of)) + 1
                    """,
                    keys=owner,
                ),
            )
        )
    suites.append(
        _suite(
            _COVERAGE,
            Check(
                name="same_first_day",
                column="as_of",
                severity="error",
                expected="one first day per Land",
                description_de="Alle Zeitreihen eines Landes beginnen am selben Tag.",
                description_en="All series of a Land begin on the same day.",
                rows="""
                    select land_code
                    from (select land_code, service_id, min(as_of) as first_day from t group by land_code, service_id)
                    group by land_code
                    having count(distinct first_day) > 1
                """,
                keys=("land_code",),
            ),
        )
    )
    suites.append(
        _suite(
            _ADOPTION,
            Check(
                name="months_complete",
                column="month",
                severity="error",
                expected="every month up to that of the reporting day",
                description_de="Jeder Monat seit der ersten Anbindung ist da, keiner nach dem Stichtag.",
                description_en="Every month since the first connection is there, none after the reporting day.",
                rows=f"""
                    select
                        land_code,
                        service_id,
                        land_code || '/' || service_id || ' ' || min(month) || ' .. ' || max(month) as observed
                    from (select distinct land_code, service_id, month from t)
                    group by land_code, service_id
                    having
                        max(month) <> {f"date_trunc('month', date {last})" if day is not None else "(select max(month) from t)"}
                        or count(*) <> date_diff('month', min(month), max(month)) + 1
                """,
                keys=("land_code", "service_id"),
            ),
        )
    )
    if programme is not None:
        pairs = [f"({literal(land)}, {literal(service)})" for land, services in programme.items() for service in services]
        suites.append(
            _suite(
                _COVERAGE,
                Check(
                    name="programme_complete",
                    severity="error",
                    expected=f"{len(pairs)} Land x service",
                    description_de="Jede Leistung jedes Landes im Programm ist gemessen.",
                    description_en="Every service of every Land in the programme is measured.",
                    rows=f"""
                        select land_code, service_id, land_code || '/' || service_id || ' missing' as observed
                        from (values {", ".join(pairs) or "(null, null)"}) as expected(land_code, service_id)
                        where land_code is not null and (land_code, service_id) not in (select (land_code, service_id) from t)
                    """,
                    keys=("land_code", "service_id"),
                ),
            )
        )
    return suites


# -- tables that tell the same thing tell it alike -------------------------------------------------


def _agreement() -> list[Suite]:
    last = f"(select max(as_of) from build.{_COVERAGE})"

    def holds(row: str) -> str:
        return f"{row}.valid_from <= c.as_of and coalesce({row}.valid_to > c.as_of, true)"

    sums = Check(
        name="sums_of_services",
        severity="error",
        expected="sum over services of coverage_daily",
        description_de="Das Programm ist die Summe seiner Leistungen.",
        description_en="The programme is the sum of its services.",
        rows=f"""
            select land_code, as_of
            from t
            full outer join (
                select
                    land_code,
                    as_of,
                    sum(authorities_competent) as competent,
                    sum(authorities_operational) as operational
                from build.{_COVERAGE}
                group by land_code, as_of
            ) as services using (land_code, as_of)
            where
                t.authority_service_pairs_competent is distinct from services.competent
                or t.authority_service_pairs_operational is distinct from services.operational
        """,
        keys=GRAIN[_PROGRAMME],
    )
    funnel = Check(
        name="funnel_is_coverage",
        column="authorities_current_count",
        severity="error",
        expected="competent and operational of coverage_daily",
        description_de="Alle Phasen zusammen sind die zuständigen Behörden, die in Betrieb die der Abdeckung.",
        description_en="All phases together are the competent authorities, those operational are coverage's.",
        rows=f"""
            select land_code, service_id, as_of
            from (
                select
                    land_code,
                    service_id,
                    as_of,
                    sum(authorities_current_count) as competent,
                    sum(authorities_current_count) filter (phase = 'operational') as operational
                from t
                group by land_code, service_id, as_of
            ) as phases
            full outer join build.{_COVERAGE} as coverage using (land_code, service_id, as_of)
            where
                phases.competent is distinct from coverage.authorities_competent
                or phases.operational is distinct from coverage.authorities_operational
        """,
        keys=GRAIN[_COVERAGE],
    )
    competent = Check(
        name="competent_as_in_bridge",
        column="authorities_competent",
        severity="error",
        expected="authorities of bridge_competence",
        description_de="Die zuständigen Behörden sind die der Zuständigkeitstabelle auf dem berichteten Gebietsstand.",
        description_en="The competent authorities are those of the competence table on the reported status.",
        rows=f"""
            select
                c.land_code,
                c.service_id,
                c.land_code || '/' || c.service_id || ': ' || any_value(c.authorities_competent) || ' instead of '
                || count(distinct b.authority_id) as observed
            from t as c
            left join build.core.bridge_competence as b
                on b.land_code = c.land_code and b.service_id = c.service_id and b.is_reported
            where c.as_of = {last}
            group by c.land_code, c.service_id
            having any_value(c.authorities_competent) <> count(distinct b.authority_id)
        """,
        keys=("land_code", "service_id"),
    )
    operational = Check(
        name="operational_as_in_phases",
        column="authorities_operational",
        severity="error",
        expected="competent authorities whose phase is operational",
        description_de=(
            "In Betrieb sind am Stichtag die zuständigen Behörden, deren Phase es sagt; "
            "wer mehrere fortführt, höchstens dann, wenn es eine von ihnen sagt."
        ),
        description_en=(
            "On the reporting day operational are the competent authorities whose phase says so; "
            "one that continues several, at most where one of them says so."
        ),
        rows=f"""
            with days as (
                select land_code, service_id, as_of, authorities_operational from t where as_of = {last}
            ),
            pairs as (
                select distinct land_code, service_id, authority_id from build.core.bridge_competence where is_reported
            ),
            successions as (
                select distinct authority_id, reported_authority_id from build.core.bridge_authority_successor
            ),
            alone as (
                select reported_authority_id from successions group by reported_authority_id having count(*) = 1
            ),
            said as (
                select distinct c.land_code, c.service_id, s.reported_authority_id as authority_id
                from days as c
                inner join build.core.fct_connection_phase as f
                    on f.service_id = c.service_id and f.phase = 'operational' and {holds("f")}
                inner join successions as s on s.authority_id = f.authority_id
            )
            select
                c.land_code,
                c.service_id,
                c.land_code || '/' || c.service_id || ': ' || any_value(c.authorities_operational) || ' instead of '
                || count(said.authority_id) as observed
            from days as c
            left join pairs using (land_code, service_id)
            left join said using (land_code, service_id, authority_id)
            left join alone on alone.reported_authority_id = said.authority_id
            group by c.land_code, c.service_id
            having
                any_value(c.authorities_operational)
                not between count(alone.reported_authority_id) and count(said.authority_id)
        """,
        keys=("land_code", "service_id"),
    )
    people = Check(
        name="population_within_land",
        column="population_competent",
        severity="error",
        expected="<= inhabitants of the Land",
        description_de="Kein Land hat mehr Einwohner in Zuständigkeiten als im Gemeindeverzeichnis.",
        description_en="No Land has more inhabitants in competences than in the directory.",
        rows=f"""
            select
                c.land_code,
                c.service_id,
                c.land_code || '/' || c.service_id || ': ' || any_value(c.population_competent) || ' of '
                || coalesce(sum(r.population), 0) as observed
            from t as c
            left join build.core.dim_region as r on r.land_code = c.land_code and r.is_reported
            where c.as_of = {last}
            group by c.land_code, c.service_id
            having any_value(c.population_competent) > coalesce(sum(r.population), 0)
        """,
        keys=("land_code", "service_id"),
    )
    one_each = Check(
        name="one_authority_each",
        severity="error",
        expected="one competent authority",
        description_de="Je Gemeinde, Leistung und Tag ist höchstens eine Behörde umfassend zuständig.",
        description_en="For each municipality, service and day at most one authority is fully competent.",
        rows=f"""
            select distinct service_id, ags
            from (
                select
                    *,
                    lead(valid_from) over (partition by service_id, ags order by valid_from, authority_id) as next_from
                from t
                where not is_partial
            )
            where next_from < coalesce(valid_to, {_FOREVER})
        """,
        keys=("service_id", "ags"),
    )
    within = Check(
        name="conflicts_within_coverage",
        column="kind",
        severity="error",
        expected="no more than coverage leaves room for",
        description_de="Widersprüche gibt es nur unter Behörden, die nach der Abdeckung nicht belegt oder nicht in Betrieb sind.",
        description_en="There are conflicts only among authorities that coverage shows as not verified or not operational.",
        rows=f"""
            select land_code, service_id, kind, concat_ws('/', land_code, service_id, kind) || ': ' || conflicts || ' of ' || room as observed
            from (
                select
                    t.land_code,
                    t.service_id,
                    t.kind,
                    count(*) as conflicts,
                    coalesce(
                        any_value(
                            case t.kind
                                when 'reported_not_listed' then c.authorities_operational - c.authorities_verified
                                when 'listed_not_reported' then c.authorities_competent - c.authorities_operational
                                when 'listed_not_reachable' then c.authorities_verified
                            end
                        ),
                        0
                    ) as room
                from t
                left join build.{_COVERAGE} as c
                    on c.land_code = t.land_code and c.service_id = t.service_id and c.as_of = {last}
                group by t.land_code, t.service_id, t.kind
            )
            where conflicts > room
        """,
        keys=("land_code", "service_id", "kind"),
    )
    whole = [
        _suite(
            table,
            *(
                Check(
                    name="shares_add_up",
                    column=share,
                    severity="error",
                    expected="1",
                    description_de="Was ein Schlüssel war, geht ganz auf seine Nachfolger über.",
                    description_en="What a key was goes to its successors whole.",
                    rows=f"""
                        select {key}, valid_from, {key} || ' ' || valid_from || ': ' || sum({share}) as observed
                        from t
                        group by {key}, valid_from
                        having abs(sum({share}) - 1) > 1e-9
                    """,
                    keys=(key, "valid_from"),
                )
                for share in shares
            ),
        )
        for table, key, shares in (
            ("core.bridge_region_successor", "ags", ("population_share", "area_share")),
            ("core.bridge_authority_successor", "authority_id", ("population_share",)),
        )
    ]
    return [
        *whole,
        _suite(_PROGRAMME, sums),
        _suite(_CONFLICT, within),
        _suite(_FUNNEL, funnel),
        _suite(_COVERAGE, competent, operational, people),
        _suite("core.bridge_competence", one_each),
    ]


# -- cost ------------------------------------------------------------------------------------------


def _verdicts() -> Suite:
    """What a verdict says follows from the numbers that stand beside it. Robustness alone may turn one to inconclusive."""
    return _suite(
        _VERDICT,
        Check(
            name="verdicts_complete",
            severity="error",
            expected="C1 and C2, each on cost and person-days",
            description_de="Jede Behauptung hat ihr Urteil.",
            description_en="Every claim has its verdict.",
            rows="""
                select claim, outcome
                from (values ('C1', 'cost'), ('C1', 'person_days'), ('C2', 'cost'), ('C2', 'person_days')) as due(claim, outcome)
                anti join t using (claim, outcome)
            """,
            keys=GRAIN[_VERDICT],
        ),
        Check(
            name="verdict_follows_from_its_numbers",
            column="verdict",
            severity="error",
            expected="the decision rule",
            description_de="Das Urteil folgt aus Intervall, Schwelle und Bedingungen nach der Regel.",
            description_en="The verdict follows from interval, threshold and gates by the rule.",
            rows="""
                select
                    *,
                    claim || '/' || outcome || ': ' || verdict || ' at ' || concat_ws(', ', ci_low, estimate, ci_high) as observed
                from t
                where
                    verdict is distinct from
                    case
                        when frozen_on is null then 'not_due'
                        when gates_failed is not null or estimate is null or verdict = 'inconclusive' then 'inconclusive'
                        when ci_low > 0 and estimate >= delta then 'supported'
                        when ci_high < delta and ci_low > 0 then 'immaterial'
                        when ci_high < delta then 'contradicted'
                        else 'inconclusive'
                    end
            """,
            keys=GRAIN[_VERDICT],
        ),
        Check(
            name="interval_belongs_to_its_estimate",
            column="ci_low",
            severity="error",
            expected="symmetric on the scale of the logarithm",
            description_de="Das Intervall gehört zur Schätzung.",
            description_en="The interval belongs to the estimate.",
            rows="""
                select *, concat_ws(', ', ci_low, estimate, ci_high) as observed
                from t
                where
                    estimate is not null
                    and (
                        not (ci_low <= estimate and estimate <= ci_high and ci_high < 1)
                        or abs(ln(1 - ci_low) + ln(1 - ci_high) - 2 * ln(1 - estimate)) > 1e-9
                    )
            """,
            keys=GRAIN[_VERDICT],
        ),
    )


def _costs(limit: Thresholds) -> list[Suite]:
    cent = limit["release_cost_rounding_eur"]
    plausible = limit["release_cost_per_connection_range_eur"]
    low, high = plausible.value if isinstance(plausible.value, list) else (0, plausible.value)
    totals = [
        Check(
            name="total_is_sum_of_payers",
            column=column,
            severity=cent.severity,
            expected=f"half of {cent.value} EUR per rounded amount",
            description_de="Die Beträge der Zahlenden ergeben zusammen das Ganze.",
            description_en="The payers' amounts add up to the total.",
            rows=f"""
                select land_code, service_id, wave
                from t
                group by land_code, service_id, wave
                having
                    count(*) filter (payer = 'total') <> 1
                    or abs(
                        coalesce(sum({column}) filter (payer = 'total'), 0) - coalesce(sum({column}) filter (payer <> 'total'), 0)
                    ) > count(*) * {cent.value} / 2
            """,
            keys=("land_code", "service_id", "wave"),
        )
        for column in ("cost_variable_eur", "cost_full_eur")
    ]
    quotients = [
        Check(
            name="quotient_of_its_parts",
            column=column,
            severity=cent.severity,
            expected=f"{whole} / connections_completed",
            description_de="Der Wert ist der Quotient seiner beiden Zahlen.",
            description_en="The value is the quotient of its two numbers.",
            rows=f"""
                select *
                from t
                where
                    case
                        when {column} is null then {whole} is not null and connections_completed > 0
                        when {whole} is null or connections_completed = 0 then true
                        else abs({column} * connections_completed - {whole}) > {cent.value} * connections_completed
                    end
            """,
            keys=GRAIN[_COST],
        )
        for column, whole in (
            ("cost_per_connection_eur", "cost_full_eur"),
            ("cost_variable_per_connection_eur", "cost_variable_eur"),
        )
    ]
    magnitude = Check(
        name="cost_plausible",
        column="cost_per_connection_eur",
        severity=plausible.severity,
        expected=f"{low} .. {high} EUR",
        description_de="Die Kosten einer Anbindung liegen in einer denkbaren Größenordnung.",
        description_en="The cost of a connection is of a conceivable magnitude.",
        rows=f"""
            select
                *,
                concat_ws('/', land_code, service_id, wave) || ': ' || cost_per_connection_eur || ' EUR' as observed
            from t
            where payer = 'total' and cost_per_connection_eur not between {low} and {high}
        """,
        keys=("land_code", "service_id", "wave"),
    )
    bridge = Check(
        name="bridge_is_ledger",
        column="amount_eur",
        severity="error",
        expected="entries and euros of the ledger, to the cent",
        description_de="Jede Buchung steht in genau einer Zelle der Kostenbrücke, auf den Cent.",
        description_en="Every entry of the ledger is in exactly one cell of the cost bridge, to the cent.",
        rows="""
            select
                land_code,
                land_code || ': ' || coalesce(bridge.amount_eur, 0) || ' of ' || coalesce(ledger.amount_eur, 0) || ' EUR' as observed
            from (select land_code, sum(entries_count) as entries, sum(amount_eur) as amount_eur from t group by land_code) as bridge
            full outer join (
                select land_code, count(*) as entries, sum(amount_eur) as amount_eur
                from build.core.fct_cost
                group by land_code
            ) as ledger using (land_code)
            where
                bridge.entries is distinct from ledger.entries
                or bridge.amount_eur is distinct from ledger.amount_eur
        """,
        keys=("land_code",),
    )
    return [_suite(_COST, *totals, *quotients, magnitude), _suite(_BRIDGE, bridge)]


def _usage(now: _Catalog, limit: Thresholds) -> list[Suite]:
    """What is published of usage by month comes from the monthly facts: all of live authorities, and what others send may be left out.

    Where authorities merge, what one of them sends before all are live is left out too: that may lose a little."""
    lost = limit["release_usage_outside_share_max"]
    if not (
        now.has("core.fct_usage_monthly", "channel", "account", "live_days") and now.has(_ADOPTION, "submitted_online_count")
    ):
        return []
    check = Check(
        name="submitted_as_in_facts",
        column="submitted_online_count",
        severity=lost.severity,
        expected=f"submitted online in fct_usage_monthly, at most {lost.value:.0%} less than of live authorities",
        description_de="Die gestellten Anträge eines Monats sind die der Behörden.",
        description_en="The submissions of a month are those of the authorities.",
        rows=f"""
            select
                land_code,
                service_id,
                month,
                concat_ws('/', land_code, service_id, month) || ': ' || coalesce(cast(t.submitted_online_count as varchar), 'nothing')
                || ' of ' || concat_ws(' to ', facts.live_submitted, coalesce(facts.submitted, 0)) as observed
            from t
            full outer join (
                select land_code, service_id, month, sum(submitted) as submitted, sum(submitted) filter (is_live) as live_submitted
                from (
                    select
                        land_code,
                        authority_id,
                        service_id,
                        month,
                        bool_or(live_days > 0) as is_live,
                        coalesce(sum(submitted) filter (account is null), sum(submitted)) as submitted
                    from build.core.fct_usage_monthly
                    where channel = 'online'
                    group by all
                )
                group by all
            ) as facts using (land_code, service_id, month)
            where
                (facts.live_submitted > 0 and t.submitted_online_count is null)
                or t.submitted_online_count > coalesce(facts.submitted, 0)
                or t.submitted_online_count < (1 - {lost.value}) * facts.live_submitted
        """,
        keys=GRAIN[_ADOPTION],
    )
    return [_suite(_ADOPTION, check, *_reporting(now, limit))]


def _reporting(now: _Catalog, limit: Thresholds) -> list[Check]:
    """Expected to report are the authorities that were live in the month; the current month is not over."""
    least = limit["release_reporting_share_min"]
    if not now.has(_ADOPTION, "reporting_authorities", "live_authorities"):
        return []
    return [
        Check(
            name="expected_authorities_report",
            column="reporting_authorities",
            severity=least.severity,
            expected=f">= {least.value:.0%} of the live authorities",
            description_de="Im letzten abgeschlossenen Monat meldet mindestens ein guter Teil der Behörden in Betrieb ihre Nutzung.",
            description_en="In the last closed month, at least a good part of the live authorities report their use.",
            rows=f"""
                select
                    *,
                    concat_ws('/', land_code, service_id, month) || ': ' || coalesce(reporting_authorities, 0) || ' of ' || live_authorities
                    as observed
                from t
                where
                    month = (select max(month) from t where month < (select max(month) from t))
                    and coalesce(reporting_authorities, 0) < {least.value} * live_authorities
            """,
            keys=GRAIN[_ADOPTION],
        )
    ]


def _rebuilt(names: Collection[str]) -> Suite:
    left = sorted(table for table in GRAIN if table.partition(".")[2] not in names)
    check = Check(
        name="rebuilt_in_this_run",
        severity="error",
        expected="every published table",
        description_de="Jede Tabelle ist in diesem Lauf gebaut worden.",
        description_en="Every table was built in this run.",
        rows=f"select unnest(cast([{', '.join(literal(table) for table in left)}] as varchar[])) as observed",
    )
    return Suite(SUITE, "release", "select 1 as one", [check])


# -- origin ----------------------------------------------------------------------------------------


def _origin() -> list[Suite]:
    """Every delivered row is accounted for, every required source has data."""
    rows = Check(
        name="rows_add_up",
        column="rows_delivered",
        severity="error",
        expected="delivered = current + superseded + quarantined",
        description_de="Jede gelieferte Zeile ist gültig, abgelöst oder in Quarantäne.",
        description_en="Every delivered row is current, superseded or in quarantine.",
        rows="""
            select *
            from t
            where
                is_admitted
                and (rows_delivered <> rows_clean + rows_quarantined or rows_clean <> rows_current + rows_superseded)
        """,
        keys=GRAIN["meta.delivery"],
    )
    ledger = Check(
        name="ledger_whole",
        severity="error",
        expected="the current rows of the deliveries",
        description_de="Die Buchungen sind die der Lieferungen, keine fehlt.",
        description_en="The ledger holds the entries of the deliveries, none is missing.",
        rows="""
            select source, source || ': ' || coalesce(ledger.entries, 0) || ' of ' || coalesce(delivered.entries, 0) as observed
            from (select source, count(*) as entries from t group by source) as ledger
            full outer join (
                select source, sum(rows_current) as entries from build.meta.delivery where table_name = 'costs' group by source
            ) as delivered using (source)
            where coalesce(ledger.entries, 0) <> coalesce(delivered.entries, 0)
        """,
        keys=("source",),
    )
    required = Check(
        name="required_has_data",
        column="status",
        severity="error",
        expected="current or stale",
        description_de="Jede notwendige Quelle eines gemessenen Landes hat Daten.",
        description_en="Every required source of a Land that is measured has data.",
        rows=f"""
            select *, land_code || '/' || source || ' ' || status as observed
            from t
            where
                is_required and status not in ('current', 'stale')
                and (land_code = {literal(FEDERAL)} or land_code in (select land_code from build.core.dim_land where is_participating))
        """,
        keys=GRAIN["meta.source_status"],
    )
    explained = Check(
        name="trouble_is_explained",
        column="message_de",
        severity="error",
        expected="a message",
        description_de="Wo eine Quelle nicht aktuell ist, steht warum.",
        description_en="Where a source is not current it is said why.",
        rows="select * from t where status <> 'current' and coalesce(trim(message_de), '') = ''",
        keys=GRAIN["meta.source_status"],
    )
    return [
        _suite("meta.delivery", rows),
        _suite("core.fct_cost", ledger),
        _suite("meta.source_status", required, explained),
    ]


# -- against the current release -------------------------------------------------------------------


def _changes(
    connection: duckdb.DuckDBPyConnection, now: _Catalog, before: _Catalog, limit: Thresholds, profiled: Collection[str] | None
) -> list[Suite]:
    """What may not change much from one release to the next. Tables that the current release does not have are not compared.

    A build for a day before the current release's is compared on its own last day, and not by its volume.
    """
    goes_back = now.last_day is not None and before.last_day is not None and now.last_day < before.last_day
    suites = [_volume(now, before, limit, compare_rows=not goes_back)]
    needed = ("land_code", "service_id", "as_of", "authorities_competent", "authorities_operational", "population_competent")
    if before.has(_COVERAGE, *needed):
        suites.append(_coverage_changes(limit))
    if before.has(_ADOPTION, "month", "submitted_online_count") and not goes_back:
        suites.append(_adoption_changes(limit))
    if before.has("core.fct_cost", "source", "entry_id") and not goes_back:
        suites.append(_ledger_changes(limit, with_amounts=before.has("core.fct_cost", "category", "amount_eur")))
    if not goes_back:
        suites += [*_unexplained(now, before, limit), *_keys_kept(now, before, limit)]
        suites += _profiles(connection, now, before, limit, GRAIN if profiled is None else profiled)
    suites += _reference_changes(now, before, limit)
    if before.has(_COST, "wave", "payer", "cost_per_connection_eur"):
        suites.append(_cost_changes(limit))
    if before.has("meta.metric", *_DEFINITION) and now.has("meta.metric", *_DEFINITION):
        suites.append(_definition_changes())
    return suites


#: What of a metric says how it is defined and computed.
_DEFINITION = ("version", "definition_sha256", "computation_md5")


def _definition_changes() -> Suite:
    """A changed definition is no fault, but nobody should have to find it out: the gate names it in every release that brings one."""
    changed = {
        "definitions_unchanged": (
            "definition_sha256",
            "Definitionen sind die der vorigen Veröffentlichung.",
            "Definitions are those of the release before.",
        ),
        "computations_unchanged": (
            "computation_md5",
            "Kennzahlen werden gerechnet wie in der vorigen Veröffentlichung.",
            "Metrics are computed as in the release before.",
        ),
    }
    checks = [
        Check(
            name=name,
            column=column,
            severity="warn",
            expected="as in the current release",
            description_de=german,
            description_en=english,
            rows=f"""
                select n.metric_id, n.metric_id || ': version ' || n.version || ' after ' || o.version as observed
                from t as n
                inner join previous.meta.metric as o on o.metric_id = n.metric_id
                where n.{column} is distinct from o.{column}
            """,
            keys=("metric_id",),
        )
        for name, (column, german, english) in changed.items()
    ]
    versions = Check(
        name="version_follows_definition",
        column="version",
        severity="warn",
        expected="a new version with every new definition",
        description_de="Eine geänderte Definition hat eine neue Version.",
        description_en="A changed definition has a new version.",
        rows="""
            select n.metric_id, n.metric_id || ': still version ' || n.version as observed
            from t as n
            inner join previous.meta.metric as o on o.metric_id = n.metric_id
            where n.definition_sha256 <> o.definition_sha256 and n.version = o.version
        """,
        keys=("metric_id",),
    )
    return _suite("meta.metric", *checks, versions)


def _volume(now: _Catalog, before: _Catalog, limit: Thresholds, *, compare_rows: bool) -> Suite:
    lost = sorted(before.tables.keys() - now.tables.keys() - _ADDED_BY_THE_PUBLISHER)
    common = sorted(now.tables.keys() & before.tables.keys() - _listed(limit["release_volatile_tables"]).keys())
    few = limit["release_rows_drop_tolerated"]
    checks = [
        Check(
            name="tables_kept",
            severity="error",
            expected="every table of the current release",
            description_de="Keine veröffentlichte Tabelle fehlt.",
            description_en="No published table is missing.",
            rows=f"select unnest(cast([{', '.join(literal(table) for table in lost)}] as varchar[])) as observed",
        ),
        Check(
            name="columns_kept",
            severity="error",
            expected="every column of the current release, with its type",
            description_de="Keine veröffentlichte Spalte fehlt, und keine hat einen anderen Typ.",
            description_en="No published column is missing, and none has another type.",
            rows=f"select unnest(cast([{', '.join(literal(fault) for fault in _columns_lost(now, before))}] as varchar[])) as observed",
        ),
    ]
    if not compare_rows or not common:
        return Suite(SUITE, "release", "select 1 as one", checks)
    for name, entry in (("rows_kept", "release_rows_drop_share_max"), ("rows_nearly_kept", "release_rows_drop_warn_share_max")):
        drop = limit[entry]
        checks.append(
            Check(
                name=name,
                severity=drop.severity,
                expected=f"<= {drop.value:.0%} fewer rows",
                description_de="Keine Tabelle verliert viele ihrer Zeilen.",
                description_en="No table loses many of its rows.",
                rows=f"""
                    select *, table_name || ': ' || rows_now || ' after ' || rows_before as observed
                    from t
                    where rows_before - rows_now > greatest({few.value}, {drop.value} * rows_before)
                """,
                keys=("table_name",),
            )
        )
    counts = " union all ".join(
        f"select {literal(table)} as table_name, (select count(*) from build.{table}) as rows_now,"
        f" (select count(*) from previous.{table}) as rows_before"
        for table in common
    )
    return Suite(SUITE, "release", counts, checks)


def _columns_lost(now: _Catalog, before: _Catalog) -> list[str]:
    return [
        f"{table}.{column} {kind}"
        for table in sorted(now.tables.keys() & before.tables.keys())
        for column, kind in before.tables[table].items()
        if now.tables[table].get(column) != kind
    ]


#: Of the facts that name their delivery: what identifies a row, and what the delivery said.
_DELIVERED = {
    "core.fct_cost": (
        ("land_code", "source", "entry_id"),
        (
            "booked_on",
            "authority_id",
            "service_id",
            "wave",
            "category",
            "behaviour",
            "payer",
            "recurring",
            "entry_status",
            "amount_eur",
            "vat_nonrecoverable_eur",
            "contractor",
            "call_off",
            "period_start",
            "period_end",
        ),
    ),
    "core.fct_listing": (
        ("land_code", "source", "leika_key", "ars", "url", "evidence", "first_observed_on"),
        ("is_inherited", "coverage_class", "is_signature_verified", "service_id", "authority_id"),
    ),
    "core.fct_connection_phase": (
        ("land_code", "authority_id", "service_id", "valid_from"),
        ("phase", "wave", "team", "contractor", "call_off", "is_pilot", "difficulty", "person_days", "person_days_municipal"),
    ),
}


def _unexplained(now: _Catalog, before: _Catalog, limit: Thresholds) -> list[Suite]:
    """A row from the same delivery says the same as before; only changed rules of cleaning may change that."""
    severity = limit["release_unexplained_rows_max"]
    suites = []
    for table, (keys, said) in _DELIVERED.items():
        if not (now.has(table, "delivery_id", *keys, *said) and before.has(table, "delivery_id", *keys, *said)):
            continue
        same = " and ".join(f"n.{key} = o.{key}" for key in (*keys, "delivery_id"))
        told = ", ".join(f"case when n.{c} is distinct from o.{c} then {literal(c)} end" for c in said)
        suites.append(
            _suite(
                table,
                Check(
                    name="change_is_explained",
                    severity=severity.severity,
                    expected=f"<= {severity.value} row(s) of an old delivery that say something else",
                    description_de="Was sich ändert, hat eine neue Lieferung zum Grund.",
                    description_en="What changes has a new delivery as its reason.",
                    rows=f"""
                        select *, count(*) over () as changes
                        from (
                            select {", ".join(f"n.{key}" for key in keys)}, concat_ws(', ', {told}) as observed
                            from t as n
                            inner join previous.{table} as o on {same}
                        )
                        where observed <> ''
                        qualify changes > {severity.value}
                    """,
                    keys=keys,
                ),
            )
        )
    return suites


#: Tables of reference: what is in them changes by decisions, rarely, and each is worth a look. What changes with the day is left out.
_REFERENCE = (
    "core.dim_land",
    "core.dim_service",
    "core.dim_region",
    "core.dim_authority",
    "core.bridge_competence",
    "core.bridge_region_successor",
    "core.bridge_authority_successor",
    "meta.metric",
)
_OF_THE_DAY = {"is_current", "is_reported", "reported_authority_id", "reported_ags", "valid_to"}


def _reference_changes(now: _Catalog, before: _Catalog, limit: Thresholds) -> list[Suite]:
    """Rows of reference that came, went or changed; a release that has none is the rule, so each is told."""
    most = limit["release_reference_changes_max"]
    suites = []
    for table in _REFERENCE:
        columns = [c for c in before.tables.get(table, {}) if c in now.tables.get(table, {}) and c not in _OF_THE_DAY]
        keys = tuple(key for key in GRAIN[table] if key in columns)
        if not columns:
            continue
        names = ", ".join(identifier(column) for column in columns)
        suites.append(
            _suite(
                table,
                Check(
                    name="reference_kept",
                    severity=most.severity,
                    expected=f"<= {most.value} row(s) that differ from the current release",
                    description_de="Verzeichnisse und Zuständigkeiten sind die der vorigen Veröffentlichung.",
                    description_en="Directories and competences are those of the release before.",
                    rows=f"""
                        select *, count(*) over () as changes
                        from (
                            (select {names} from t except all select {names} from previous.{table})
                            union all
                            (select {names} from previous.{table} except all select {names} from t)
                        )
                        qualify changes > {most.value}
                    """,
                    keys=keys,
                ),
            )
        )
    return suites


_MEASURES = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "HUGEINT")


def _profile(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> list[tuple[float | None, ...]]:
    """By column: rows, NULLs, the least value, how many are not zero, their median size; of numbers only, and of measures."""
    facts = []
    for column, kind in columns.items():
        name = identifier(column)
        is_number = kind in _MEASURES or kind.startswith("DECIMAL")
        is_measure = (kind == "DOUBLE" or kind.startswith("DECIMAL")) and not column.endswith("_share")
        facts += [
            "count(*)",
            f"count(*) - count({name})",
            f"cast(min({name}) as double)" if is_number else "null",
            f"count(nullif({name}, 0))" if is_measure else "null",
            f"cast(median(abs(nullif({name}, 0))) as double)" if is_measure else "null",
        ]
    [row] = connection.execute(f"select {', '.join(facts)} from {table}").fetchall()
    return [row[n : n + 5] for n in range(0, len(row), 5)]


def _profiles(
    connection: duckdb.DuckDBPyConnection, now: _Catalog, before: _Catalog, limit: Thresholds, tables: Collection[str]
) -> list[Suite]:
    """Columns as a whole, against the release before: filled, of the same sign, of the same magnitude. One pass over each table;
    the batch is its result."""
    factor, least = limit["release_unit_slip_factor_max"], limit["release_magnitude_rows_min"]
    moved = limit["release_magnitude_change_factor_max"]
    rows = []
    for table in tables:
        if table not in now.tables or table not in before.tables:
            continue
        common = {c: kind for c, kind in now.tables[table].items() if before.tables[table].get(c) == kind}
        profiles = [_profile(connection, f"{database}.{table}", common) for database in ("build", "previous")]
        for column, today, then in zip(common, *profiles, strict=True):
            values = ", ".join(
                "null" if value is None or not math.isfinite(value) else repr(float(value)) for value in (*today, *then)
            )
            rows.append(f"({literal(f'{table}.{column}')}, {values})")
    if not rows:
        return []
    names = ", ".join(f"{fact}_{when}" for when in ("now", "before") for fact in ("rows", "nulls", "least", "some", "usual"))
    query = f"""
        select *, if(least(some_now, some_before) >= {least.value}, usual_now / usual_before, null) as factor
        from (values {", ".join(rows)}) as profile(name, {names})
    """

    def outside(limit: limits.Threshold) -> str:
        return f"factor not between 1.0 / {limit.value} and {limit.value}"

    few = limit["release_rows_drop_tolerated"]
    checks = [
        Check(
            name="not_emptied",
            severity=few.severity,
            expected=f"rows, where there were more than {few.value}",
            description_de="Keine gefüllte Tabelle ist über Nacht leer.",
            description_en="No filled table is empty overnight.",
            rows=f"""
                select distinct regexp_extract(name, '^[a-z]+.[a-z_]+') || ': ' || cast(rows_before as bigint) || ' before' as observed
                from t
                where rows_now = 0 and rows_before > {few.value}
            """,
        ),
        Check(
            name="filled_as_before",
            severity="warn",
            expected="no NULL where there was none",
            description_de="Spalten ohne Lücken haben auch heute keine.",
            description_en="Columns without gaps have none today.",
            rows="select name || ': ' || cast(nulls_now as bigint) || ' NULL' as observed from t where rows_before > 0 and nulls_before = 0 and nulls_now > 0",
        ),
        Check(
            name="sign_as_before",
            severity="warn",
            expected="nothing below zero where nothing was",
            description_de="Spalten ohne negative Werte haben auch heute keine.",
            description_en="Columns without negative values have none today.",
            rows="select name || ': ' || least_now as observed from t where least_before >= 0 and least_now < 0",
        ),
        Check(
            name="unit_as_before",
            severity=factor.severity,
            expected=f"factor < {factor.value}",
            description_de="Geld steht in Euro wie in der vorigen Veröffentlichung (nicht T€ oder Cent).",
            description_en="Money is in euros as in the release before (not thousands or cents).",
            rows=f"select name || ': factor ' || round(factor, 4) as observed from t where ends_with(name, '_eur') and {outside(factor)}",
        ),
        Check(
            name="magnitude_as_before",
            severity=moved.severity,
            expected=f"factor < {moved.value}",
            description_de="Der mittlere Wert einer Spalte hat die Größenordnung der vorigen Veröffentlichung.",
            description_en="The typical value of a column has the magnitude of the release before.",
            rows=f"select name || ': factor ' || round(factor, 4) as observed from t where not ends_with(name, '_eur') and {outside(moved)}",
        ),
    ]
    return [Suite(SUITE, "release", query, checks)]


#: Tables whose rows are those of one night and not of a history: a key may be gone tomorrow.
_OF_THE_NIGHT = {
    "core.fct_connection_phase",
    "metrics.cost_bridge",
    "metrics.dormant_connection",
    "metrics.time_to_operational",
    "metrics.time_to_operational_summary",
    "metrics.coverage_by_kreis",
    "metrics.programme_coverage_by_kreis",
    "metrics.programme_adoption_by_kreis",
    "metrics.coverage_class_comparison",
    "metrics.cost_forecast",
}


def _keys_kept(now: _Catalog, before: _Catalog, limit: Thresholds) -> list[Suite]:
    """Rows that the current release has and this build has not; shares of them are refused elsewhere, single ones are told."""
    most = limit["release_keys_lost_max"]
    suites = []
    volatile = _listed(limit["release_volatile_tables"]).keys() | _OF_THE_NIGHT | set(_REFERENCE)
    for table, grain in GRAIN.items():
        if table in volatile or not (now.has(table, *grain) and before.has(table, *grain)):
            continue
        # by one number, as the grain is told; of what was published in the types of today
        key = ", ".join(identifier(column) for column in grain)
        published = ", ".join(f"try_cast(o.{identifier(column)} as {now.tables[table][column]})" for column in grain)
        suites.append(
            _suite(
                table,
                Check(
                    name="keys_kept",
                    severity=most.severity,
                    expected=f"<= {most.value} row(s) fewer",
                    description_de="Was veröffentlicht ist, fällt nicht weg.",
                    description_en="What is published is not dropped.",
                    rows=f"""
                        select {", ".join(f"o.{identifier(key)}" for key in grain)}, count(*) over () as lost
                        from previous.{table} as o
                        where hash({published}) not in (select hash({key}) from t)
                        qualify lost > {most.value}
                    """,
                    keys=grain,
                ),
            )
        )
    return suites


def _coverage_changes(limit: Thresholds) -> Suite:
    keys = ("land_code", "service_id")

    def changed(column: str, condition: str) -> str:
        """Land x service whose ``column`` on the last day both releases have breaks ``condition`` on n(ow) and o(ld)."""
        return f"""
            select
                n.land_code,
                n.service_id,
                n.land_code || '/' || n.service_id || ': ' || n.{column} || ' after ' || o.{column} as observed
            from t as n
            inner join previous.{_COVERAGE} as o on o.land_code = n.land_code and o.service_id = n.service_id
            where
                n.as_of = (select max(as_of) from t)
                and o.as_of = (select least(max(as_of), (select max(as_of) from t)) from previous.{_COVERAGE})
                and {condition}
        """

    competent, people = limit["release_competent_change_share_max"], limit["release_population_change_share_max"]
    drop, jump = limit["release_operational_drop_share_max"], limit["release_operational_jump_share_max"]
    few, history = limit["release_operational_drop_count_tolerated"], limit["release_history_change_share_max"]
    return _suite(
        _COVERAGE,
        Check(
            name="programme_kept",
            severity="error",
            expected="every Land x service of the current release",
            description_de="Kein Land und keine Leistung fällt weg.",
            description_en="No Land and no service is dropped.",
            rows=f"""
                select distinct land_code, service_id, land_code || '/' || service_id || ' missing' as observed
                from previous.{_COVERAGE}
                where (land_code, service_id) not in (select (land_code, service_id) from t)
            """,
            keys=keys,
        ),
        Check(
            name="competent_change",
            column="authorities_competent",
            severity=competent.severity,
            expected=f"<= {competent.value:.0%}",
            description_de="Die Zahl der zuständigen Behörden ändert sich wenig.",
            description_en="The number of competent authorities changes little.",
            rows=changed(
                "authorities_competent",
                f"abs(n.authorities_competent - o.authorities_competent) > {competent.value} * o.authorities_competent",
            ),
            keys=keys,
        ),
        Check(
            name="population_change",
            column="population_competent",
            severity=people.severity,
            expected=f"<= {people.value:.0%}",
            description_de="Die Zahl der Einwohner ändert sich wenig.",
            description_en="The number of inhabitants changes little.",
            rows=changed(
                "population_competent",
                f"abs(n.population_competent - o.population_competent) > {people.value} * o.population_competent",
            ),
            keys=keys,
        ),
        Check(
            name="operational_drop",
            column="authorities_operational",
            severity=drop.severity,
            expected=f"<= {drop.value:.0%} fewer",
            description_de="Es fallen nicht viele Anbindungen auf einmal weg.",
            description_en="Not many connections are lost at once.",
            rows=changed(
                "authorities_operational",
                "o.authorities_operational - n.authorities_operational"
                f" > greatest({few.value}, {drop.value} * o.authorities_operational)",
            ),
            keys=keys,
        ),
        Check(
            name="operational_jump",
            column="authorities_operational",
            severity=jump.severity,
            expected=f"<= {jump.value:.0%} of the competent authorities more",
            description_de="Es kommen nicht sehr viele Anbindungen auf einmal hinzu.",
            description_en="Not very many connections are added at once.",
            rows=changed(
                "authorities_operational",
                "n.authorities_operational - o.authorities_operational"
                f" > greatest({few.value}, {jump.value} * n.authorities_competent)",
            ),
            keys=keys,
        ),
        Check(
            name="history_kept",
            column="authorities_operational",
            severity=history.severity,
            expected=f"<= {history.value:.0%}",
            description_de="Die Vergangenheit wird nicht umgeschrieben.",
            description_en="The past is not rewritten.",
            rows=f"""
                select
                    n.land_code,
                    n.service_id,
                    n.land_code || '/' || n.service_id || ': ' || sum(n.authorities_operational) || ' authority days after '
                    || sum(o.authorities_operational) as observed
                from t as n
                inner join previous.{_COVERAGE} as o
                    on o.land_code = n.land_code and o.service_id = n.service_id and o.as_of = n.as_of
                where n.as_of < (select max(as_of) from previous.{_COVERAGE})
                group by n.land_code, n.service_id
                having
                    abs(sum(n.authorities_operational) - sum(o.authorities_operational))
                    > {history.value} * sum(o.authorities_operational)
            """,
            keys=keys,
        ),
    )


def _adoption_changes(limit: Thresholds) -> Suite:
    drop = limit["release_submitted_drop_share_max"]
    return _suite(
        _ADOPTION,
        Check(
            name="months_kept",
            column="month",
            severity="error",
            expected="every month of the current release",
            description_de="Kein Monat fällt weg.",
            description_en="No month is dropped.",
            rows=f"""
                select land_code, service_id, month
                from previous.{_ADOPTION}
                where (land_code, service_id, month) not in (select (land_code, service_id, month) from t)
            """,
            keys=GRAIN[_ADOPTION],
        ),
        Check(
            name="submitted_kept",
            column="submitted_online_count",
            severity=drop.severity,
            expected=f"<= {drop.value:.0%} fewer",
            description_de="Anträge abgeschlossener Monate gehen nicht verloren.",
            description_en="Submissions of closed months are not lost.",
            rows=f"""
                select
                    o.land_code,
                    o.service_id,
                    o.land_code || '/' || o.service_id || ': ' || coalesce(sum(n.submitted_online_count), 0) || ' after '
                    || sum(o.submitted_online_count) as observed
                from previous.{_ADOPTION} as o
                left join t as n on n.land_code = o.land_code and n.service_id = o.service_id and n.month = o.month
                where o.month < (select max(month) from previous.{_ADOPTION})
                group by o.land_code, o.service_id
                having coalesce(sum(n.submitted_online_count), 0) < (1 - {drop.value}) * sum(o.submitted_online_count)
            """,
            keys=("land_code", "service_id"),
        ),
    )


def _ledger_changes(limit: Thresholds, *, with_amounts: bool) -> Suite:
    drop, few = limit["release_ledger_drop_share_max"], limit["release_ledger_drop_entries_tolerated"]
    factor, least = limit["release_unit_slip_factor_max"], limit["release_unit_slip_entries_min"]

    def slipped(pairs: str) -> str:
        """Sources whose amounts (now, before) in ``pairs`` differ by a median factor beyond the limit."""
        return f"""
            select
                land_code,
                source,
                land_code || '/' || source || ': factor ' || round(exp(median(ln(now / before))), 4) as observed
            from ({pairs})
            where now > 0 and before > 0
            group by land_code, source
            having count(*) >= {least.value} and abs(median(ln(now / before))) > ln({factor.value})
        """

    checks = [
        Check(
            name="ledger_kept",
            column="entry_id",
            severity=drop.severity,
            expected=f"<= {drop.value:.0%} fewer entries",
            description_de="Buchungen gehen nicht verloren.",
            description_en="Ledger entries are not lost.",
            rows=f"""
                select
                    o.land_code,
                    o.source,
                    o.land_code || '/' || o.source || ': ' || count(*) filter (n.entry_id is null) || ' of '
                    || count(*) || ' lost' as observed
                from previous.core.fct_cost as o
                left join t as n on n.land_code = o.land_code and n.source = o.source and n.entry_id = o.entry_id
                group by o.land_code, o.source
                having count(*) filter (n.entry_id is null) > greatest({few.value}, {drop.value} * count(*))
            """,
            keys=("land_code", "source"),
        )
    ]
    if with_amounts:
        checks += [
            Check(
                name="unit_unchanged",
                column="amount_eur",
                severity=factor.severity,
                expected=f"factor < {factor.value}",
                description_de="Geänderte Buchungen haben ihre Einheit behalten (Euro, nicht T€ oder Cent).",
                description_en="Changed entries kept their unit (euros, not thousands or cents).",
                rows=slipped(
                    """
                    select
                        n.land_code,
                        n.source,
                        cast(abs(n.amount_eur) as double) as now,
                        cast(abs(o.amount_eur) as double) as before
                    from t as n
                    inner join previous.core.fct_cost as o
                        on o.land_code = n.land_code and o.source = n.source and o.entry_id = n.entry_id
                    where n.amount_eur <> o.amount_eur
                    """
                ),
                keys=("land_code", "source"),
            ),
            Check(
                name="unit_of_new_rows",
                column="amount_eur",
                severity=factor.severity,
                expected=f"factor < {factor.value}",
                description_de="Neue Buchungen haben die Einheit der bekannten ihrer Art (Euro, nicht T€ oder Cent).",
                description_en="New entries have the unit of the known ones of their category (euros, not thousands or cents).",
                rows=slipped(
                    f"""
                    select n.land_code, n.source, cast(abs(n.amount_eur) as double) as now, usual.before
                    from t as n
                    inner join (
                        select land_code, source, category, cast(median(abs(amount_eur)) as double) as before
                        from previous.core.fct_cost
                        where amount_eur <> 0
                        group by land_code, source, category
                        having count(*) >= {least.value}
                    ) as usual using (land_code, source, category)
                    anti join previous.core.fct_cost as o
                        on o.land_code = n.land_code and o.source = n.source and o.entry_id = n.entry_id
                    """
                ),
                keys=("land_code", "source"),
            ),
        ]
    return _suite("core.fct_cost", *checks)


def _cost_changes(limit: Thresholds) -> Suite:
    factor = limit["release_cost_per_connection_change_factor_max"]
    return _suite(
        _COST,
        Check(
            name="cost_change",
            column="cost_per_connection_eur",
            severity=factor.severity,
            expected=f"factor < {factor.value}",
            description_de="Die Kosten einer Anbindung ändern sich nicht um ein Vielfaches.",
            description_en="The cost of a connection does not change several times over.",
            rows=f"""
                select
                    n.land_code,
                    n.service_id,
                    n.wave,
                    concat_ws('/', n.land_code, n.service_id, n.wave) || ': ' || n.cost_per_connection_eur || ' EUR after '
                    || o.cost_per_connection_eur as observed
                from t as n
                inner join previous.{_COST} as o
                    on
                        o.land_code = n.land_code
                        and o.service_id = n.service_id
                        and o.wave is not distinct from n.wave
                        and o.payer = n.payer
                where
                    n.payer = 'total'
                    and n.cost_per_connection_eur > 0
                    and o.cost_per_connection_eur > 0
                    and greatest(n.cost_per_connection_eur, o.cost_per_connection_eur)
                    > {factor.value} * least(n.cost_per_connection_eur, o.cost_per_connection_eur)
            """,
            keys=("land_code", "service_id", "wave"),
        ),
    )
