"""That the tables of a release tell one story: the same quantity is the same wherever it is published.

Belongs here: sums, words and shapes of published columns, rules within a row, as data (``SUMS``, ``ROWS``, ``WORDS``, ``SHAPES``).
Does not: what a metric means (``dbt_project``): nothing here computes one anew, it only compares what is published twice; rules
against the release before (``release``).

A rule is asked where its table has its columns. That columns do not get lost is a rule of its own (``release``), and contract of dbt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from expectations.runner import Check, Suite, identifier, literal

_NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "DECIMAL(18,2)", "HUGEINT")

Tables = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Sum:
    """Rows of ``table`` (where ``of`` holds), matched by ``keys`` with what ``source`` selects: ``columns`` (and theirs) are equal.

    ``whole``: each side's rows need a partner. ``columns``: a column of ``table``, or an aggregate of it by ``keys``, by its name in
    ``source``. ``needs``: columns by table that ``source`` reads, besides those of ``table``.
    """

    name: str
    table: str
    keys: tuple[str, ...]
    columns: Mapping[str, str]
    source: str
    needs: Mapping[str, tuple[str, ...]]
    german: str
    english: str
    of: str = "true"
    whole: bool = True

    @property
    def check(self) -> Check:
        """The rule: rows whose partner is missing or tells something else."""
        names = ", ".join(identifier(key) for key in self.keys)
        told = ", ".join(f"{expression} as own_{name}" for name, expression in self.columns.items())
        partner = " and ".join(f"own.{identifier(key)} is not distinct from other.{identifier(key)}" for key in self.keys)
        differs = " or ".join(f"own.own_{name} is distinct from other.{name}" for name in self.columns)
        values = ", ".join(
            f"own.own_{name} || ' instead of ' || coalesce(cast(other.{name} as varchar), 'nothing')" for name in self.columns
        )
        keys = ", ".join(f"coalesce(own.{identifier(key)}, other.{identifier(key)}) as {identifier(key)}" for key in self.keys)
        return Check(
            name=self.name,
            severity="error",
            expected=f"as in {', '.join(self.needs) or 'its own rows'}",
            description_de=self.german,
            description_en=self.english,
            rows=f"""
                select {keys}, concat_ws(', ', {values}) as observed
                from (select {names}, {told} from t where {self.of} group by {names}) as own
                {"full outer" if self.whole else "left"} join ({self.source}) as other on {partner}
                where {differs}
            """,
            keys=self.keys,
        )


@dataclass(frozen=True)
class Row:
    """A rule within a row of ``table``: ``broken`` is SQL that is true where it does not hold; ``needs`` are the columns it reads."""

    name: str
    table: str
    needs: tuple[str, ...]
    broken: str
    expected: str
    german: str
    english: str
    source: str = "t"


_PAIR, _DAY = ("land_code", "service_id"), ("land_code", "service_id", "as_of")
_COVERAGE, _KREIS, _PILOTS = "metrics.coverage_daily", "metrics.coverage_by_kreis", "metrics.pilot_coverage_daily"
_PROGRAMME, _FUNNEL, _STATUS = "metrics.programme_coverage_daily", "metrics.phase_funnel_daily", "metrics.commitment_status"
_ADOPTION, _USAGE, _ACCOUNT = "metrics.adoption_monthly", "core.fct_usage_monthly", "metrics.adoption_by_account"
_LEDGER, _BRIDGE, _BUDGET, _WAVE = "core.fct_cost", "metrics.cost_bridge", "metrics.budget_status", "metrics.cost_by_wave"
_COST, _RUNNING, _OWNERSHIP = (
    "metrics.cost_per_connection",
    "metrics.running_cost_per_transaction",
    "metrics.total_cost_of_ownership",
)
_PHASE, _SURVIVAL, _SUMMARY = "core.fct_connection_phase", "metrics.time_to_operational", "metrics.time_to_operational_summary"
_DORMANT, _CONFLICT, _OBSERVATION = "metrics.dormant_connection", "metrics.evidence_conflict", "metrics.scale_observation"

_CELL = ("land_code", "service_id", "wave", "category", "behaviour", "payer", "recurring", "entry_status")
_OPERATIONAL = ("authorities_competent", "authorities_operational")
_AREA = ("population_competent", "population_operational", "municipalities_competent", "municipalities_operational")


def _same(columns: tuple[str, ...], aggregate: str) -> dict[str, str]:
    return {column: f"{aggregate}({column})" for column in columns}


SUMS = (
    Sum(
        "sum_of_kreise",
        _KREIS,
        _DAY,
        _same(_AREA, "sum"),
        f"select * from build.{_COVERAGE}",
        {_COVERAGE: _AREA},
        "Einwohner und Gemeinden der Kreise ergeben zusammen die des Landes.",
        "Inhabitants and municipalities of the Kreise add up to the Land's.",
        whole=False,
    ),
    Sum(
        "sum_of_pilots_and_others",
        _PILOTS,
        _DAY,
        _same(_OPERATIONAL, "sum"),
        f"select * from build.{_COVERAGE}",
        {_COVERAGE: _OPERATIONAL},
        "Pilotbehörden und übrige ergeben zusammen alle Behörden.",
        "Pilot authorities and the others add up to all.",
    ),
    Sum(
        "operational_as_in_coverage",
        _STATUS,
        _DAY,
        _same(_OPERATIONAL, "any_value"),
        f"select * from build.{_COVERAGE}",
        {_COVERAGE: _OPERATIONAL},
        "Der Stand der Zusage ist der der Abdeckung.",
        "The commitment's status is coverage's.",
        whole=False,
    ),
    Sum(
        "operational_as_in_coverage",
        "metrics.operational_use",
        _DAY,
        _same(("authorities_operational",), "any_value"),
        f"select * from build.{_COVERAGE}",
        {_COVERAGE: ("authorities_operational",)},
        "In Betrieb sind so viele Behörden wie in der Abdeckung.",
        "As many authorities are operational as in coverage.",
        whole=False,
    ),
    Sum(
        "one_answer_per_operational",
        _DORMANT,
        _DAY,
        {"authorities_operational": "count(*)"},
        f"select * from build.{_COVERAGE}",
        {_COVERAGE: ("authorities_operational",)},
        "Jede Behörde in Betrieb hat eine Antwort, ob sie genutzt wird.",
        "Every operational authority has an answer on its use.",
        whole=False,
    ),
    Sum(
        "in_phase_as_in_funnel",
        "metrics.time_in_phase",
        (*_DAY, "phase"),
        {"authorities_current_count": "sum(authorities_in_phase)"},
        f"select * from build.{_FUNNEL}",
        {_FUNNEL: ("authorities_current_count",)},
        "In jeder Phase stehen so viele Behörden wie im Trichter.",
        "As many authorities are in each phase as in the funnel.",
        whole=False,
    ),
    Sum(
        "mean_and_least_of_services",
        _PROGRAMME,
        ("land_code", "as_of"),
        {
            "services": "any_value(services)",
            "least": "round(any_value(coverage_min_share), 9)",
            "mean": "round(any_value(coverage_mean_share), 9)",
        },
        f"""select land_code, as_of, count(*) as services, round(min(coverage_authority_share), 9) as least,
            round(avg(coverage_authority_share), 9) as mean from build.{_COVERAGE} group by land_code, as_of""",
        {_COVERAGE: ("coverage_authority_share",)},
        "Mittel und Kleinstes des Programms sind die seiner Leistungen.",
        "Mean and least of the programme are those of its services.",
    ),
    Sum(
        "sum_of_services",
        "metrics.programme_status",
        ("land_code",),
        {
            "services": "any_value(services)",
            "lacking": "any_value(authority_service_pairs_lacking)",
            "predicted": "any_value(services_predicted)",
            "arrived": "any_value(services_in_time)",
        },
        f"""select land_code, count(*) as services, count(area_wide_probability) as predicted,
            if(count(authorities_lacking) = count(*), sum(authorities_lacking), null) as lacking,
            count(*) filter (linear_arrival_reason = 'arrived' or linear_arrival_on <= target_on) as arrived
            from build.{_STATUS} group by all""",
        {
            _STATUS: (
                "authorities_lacking",
                "area_wide_probability",
                "linear_arrival_on",
                "linear_arrival_reason",
                "target_on",
            )
        },
        "Der Stand des Programms ist die Summe seiner Leistungen.",
        "The programme's status is the sum of its services.",
    ),
    Sum(
        "verified_as_in_coverage",
        "metrics.programme_status",
        ("land_code",),
        {
            "verified": "any_value(authority_service_pairs_verified)",
            "verifiable": "any_value(authority_service_pairs_verifiable)",
        },
        f"""select land_code, sum(authorities_verified) as verified,
            sum(authorities_operational) filter (authorities_verified is not null) as verifiable
            from build.{_COVERAGE} where as_of = (select max(as_of) from build.{_COVERAGE}) group by all""",
        {_COVERAGE: ("authorities_verified", "authorities_operational")},
        "Belegt sind im Programm so viele Anbindungen wie in der Abdeckung.",
        "As many connections are verified in the programme as in coverage.",
        whole=False,
    ),
    Sum(
        "sum_of_services",
        "metrics.programme_phase_funnel",
        ("land_code", "phase"),
        {
            "present": "any_value(authority_service_pairs_current)",
            "reached": "any_value(authority_service_pairs_reached)",
        },
        f"""select land_code, phase, sum(authorities_current_count) as present, sum(authorities_reached_count) as reached
            from build.{_FUNNEL} where as_of = (select max(as_of) from build.{_FUNNEL}) group by all""",
        {_FUNNEL: ("authorities_current_count", "authorities_reached_count")},
        "Der Trichter des Programms ist die Summe seiner Leistungen.",
        "The programme's funnel is the sum of its services.",
    ),
    Sum(
        "sum_of_services",
        "metrics.programme_coverage_by_kreis",
        ("land_code", "kreis_code"),
        {
            "people": "any_value(population_service_pairs_competent)",
            "reached": "any_value(population_service_pairs_operational)",
            "most": "any_value(population)",
        },
        f"""select land_code, kreis_code, sum(population_competent) as people, sum(population_operational) as reached,
            max(population_competent) as most from build.{_KREIS} where as_of = (select max(as_of) from build.{_KREIS}) group by all""",
        {_KREIS: ("population_competent", "population_operational")},
        "Die Abdeckung eines Kreises ist die Summe seiner Leistungen.",
        "The coverage of a Kreis is the sum of its services.",
    ),
    Sum(
        "sum_of_laender",
        "metrics.service_adoption_monthly",
        ("service_id", "month"),
        {
            name: f"any_value({name})"
            for name in (
                "paired_online_count",
                "paired_total_count",
                "submitted_online_count",
                "reporting_authorities",
                "live_authorities",
            )
        },
        f"""select service_id, month, sum(paired_online_count) as paired_online_count, sum(paired_total_count) as paired_total_count,
            sum(submitted_online_count) as submitted_online_count, sum(reporting_authorities) as reporting_authorities,
            sum(live_authorities) as live_authorities from build.{_ADOPTION} group by all""",
        {
            _ADOPTION: (
                "paired_online_count",
                "paired_total_count",
                "submitted_online_count",
                "reporting_authorities",
                "live_authorities",
            )
        },
        "Die Nutzung einer Leistung ist die Summe der Länder.",
        "The use of a service is the sum of the Länder.",
    ),
    Sum(
        "sum_of_services",
        "metrics.programme_cost_by_wave",
        ("land_code", "wave"),
        {
            "begun": "any_value(connections_begun)",
            "completed": "any_value(connections_completed)",
            "full": "any_value(cost_full_eur)",
        },
        f"""select land_code, wave, sum(connections_begun) as begun, sum(connections_completed) as completed,
            if(count(*) filter (connections_completed > 0 and cost_full_eur is null) = 0,
                coalesce(sum(cost_full_eur) filter (connections_completed > 0), 0), null) as full
            from build.{_COST} where payer = 'total' and wave is not null group by all""",
        {_COST: ("connections_begun", "connections_completed", "cost_full_eur")},
        "Die Kosten einer Welle sind die Summe ihrer Leistungen.",
        "The cost of a wave is the sum of its services.",
    ),
    Sum(
        "deliveries_counted",
        "meta.source_status",
        ("land_code", "source"),
        {
            "received": "any_value(deliveries)",
            "refused": "any_value(deliveries_refused)",
            "brought": "any_value(rows_delivered)",
            "quarantined": "any_value(rows_quarantined)",
        },
        """select land_code, source, count(d.delivery_id) as received, count(d.delivery_id) filter (not d.is_admitted) as refused,
            coalesce(sum(d.rows_delivered), 0) as brought, coalesce(sum(d.rows_quarantined), 0) as quarantined
            from build.meta.source_status left join build.meta.delivery as d using (land_code, source) group by all""",
        {"meta.delivery": ("delivery_id", "is_admitted", "rows_delivered", "rows_quarantined")},
        "Zu jeder Quelle sind ihre Lieferungen gezählt.",
        "The deliveries of every source are counted.",
    ),
    Sum(
        "regressions_counted",
        "metrics.regression_monthly",
        ("land_code", "service_id", "month"),
        {"regressions_count": "nullif(sum(regressions_count), 0)"},
        """select land_code, service_id, cast(date_trunc('month', regressed_on) as date) as month, count(*) as regressions_count
            from build.metrics.regression group by all""",
        {"metrics.regression": ("regressed_on",)},
        "Die Rückschritte eines Monats sind gezählt.",
        "The regressions of a month are counted.",
    ),
    Sum(
        "cells_are_ledger",
        _BRIDGE,
        _CELL,
        {
            "entries": "sum(entries_count)",
            "net": "sum(amount_eur)",
            "tax": "sum(coalesce(vat_nonrecoverable_eur, 0))",
            "gross": "sum(gross_eur)",
        },
        f"""select {", ".join(_CELL)}, count(*) as entries, sum(amount_eur) as net,
            sum(coalesce(vat_nonrecoverable_eur, 0)) as tax, sum(gross_eur) as gross
            from build.{_LEDGER} group by all""",
        {_LEDGER: (*_CELL, "amount_eur", "vat_nonrecoverable_eur", "gross_eur")},
        "Jede Zelle der Kostenbrücke ist die Summe ihrer Buchungen, auf den Cent.",
        "Every cell of the cost bridge is the sum of its entries, to the cent.",
    ),
    Sum(
        "months_are_ledger",
        _BRIDGE,
        ("land_code", "month"),
        {"net": "sum(amount_eur)"},
        f"""select land_code, cast(date_trunc('month', booked_on) as date) as month, sum(amount_eur) as net
            from build.{_LEDGER} group by all""",
        {_LEDGER: ("booked_on", "amount_eur")},
        "Jeder Monat der Kostenbrücke ist die Summe seiner Buchungen.",
        "Every month of the cost bridge is the sum of its entries.",
    ),
    Sum(
        "budget_is_ledger",
        _BUDGET,
        ("land_code", "payer", "recurring"),
        {f"{said}": f"coalesce(any_value({said}_eur), 0)" for said in ("planned", "estimated", "invoiced")},
        f"""select land_code, payer, recurring, coalesce(sum(gross_eur) filter (entry_status = 'planned'), 0) as planned,
            coalesce(sum(gross_eur) filter (entry_status = 'estimate'), 0) as estimated,
            coalesce(sum(gross_eur) filter (entry_status in ('invoiced', 'reversal')), 0) as invoiced
            from build.{_LEDGER} group by all""",
        {_LEDGER: ("payer", "recurring", "entry_status", "gross_eur")},
        "Plan und Rechnungen des Haushalts sind die der Buchungen.",
        "Plan and invoices of the budget are those of the entries.",
        of="payer <> 'total'",
    ),
    Sum(
        "sum_of_accounts",
        _ACCOUNT,
        ("land_code", "service_id", "month"),
        {"total": "sum(submitted_online_count)"},
        f"select land_code, service_id, month, max(all_accounts_online_count) as total from build.{_ACCOUNT} group by all",
        {_ACCOUNT: ("all_accounts_online_count",)},
        "Die Anträge aller Konten ergeben zusammen das Ganze.",
        "The submissions of all accounts add up to the total.",
    ),
    Sum(
        "waves_add_up",
        _WAVE,
        (*_PAIR, "wave", "price_basis"),
        {"connections": "any_value(connections_completed_cumulative)"},
        f"""select land_code, service_id, wave, price_basis,
            sum(connections_completed) over earlier as connections from build.{_WAVE} where price_basis = 'nominal'
            window earlier as (partition by land_code, service_id, price_basis order by wave)""",
        {_WAVE: ("cost_variable_eur", "connections_completed", "price_basis")},
        "Die kumulierten Werte sind die Summe der Wellen bis dahin.",
        "Cumulated values are the sum of the waves so far.",
        of="price_basis = 'nominal'",
    ),
    Sum(
        "same_connections_for_all_payers",
        _COST,
        (*_PAIR, "wave"),
        {"completed": "max(connections_completed)", "begun": "max(connections_begun)"},
        f"""select land_code, service_id, wave, min(connections_completed) as completed, min(connections_begun) as begun
            from build.{_COST} group by all""",
        {_COST: ("connections_completed", "connections_begun")},
        "Wer zahlt, ändert die Zahl der Anbindungen nicht.",
        "Who pays does not change the number of connections.",
    ),
    Sum(
        "land_is_its_regions",
        "core.dim_land",
        ("land_code",),
        {"people": "any_value(population)", "places": "any_value(municipalities)"},
        """select land_code, sum(population) as people, count(*) filter (is_municipality) as places
            from build.core.dim_region where is_current group by land_code""",
        {"core.dim_region": ("is_municipality", "is_current", "population")},
        "Einwohner und Gemeinden eines Landes sind die des Gemeindeverzeichnisses.",
        "Inhabitants and municipalities of a Land are those of the directory.",
        of="population is not null or municipalities is not null",
    ),
    Sum(
        "authority_is_its_area",
        "core.dim_authority",
        ("authority_id",),
        {"people": "coalesce(any_value(population), 0)"},
        """select a.authority_id, coalesce(max(served.people), 0) as people from build.core.dim_authority as a left join (
            select b.authority_id, b.service_id, sum(r.population) as people from build.core.bridge_competence as b
            inner join build.core.dim_region as r on r.ags = b.ags and r.is_current where b.is_current and not b.is_partial
            group by all) as served using (authority_id) where a.is_current group by all""",
        {
            "core.bridge_competence": ("is_current", "is_partial"),
            "core.dim_region": ("is_current", "population"),
            "core.dim_authority": ("is_current",),
        },
        "Einwohner einer Behörde sind die ihrer Gemeinden.",
        "An authority's inhabitants are those of its municipalities.",
        of="is_current",
    ),
    *(
        Sum(
            "every_pair",
            table,
            _PAIR,
            {"day": "max(as_of)"},
            f"select land_code, service_id, max(as_of) as day from build.{_COVERAGE} group by all",
            {_COVERAGE: _PAIR},
            "Jede Leistung jedes Landes ist dabei, auf dem Stichtag.",
            "Every service of every Land is there, on the reporting day.",
        )
        for table in (_STATUS, "metrics.operational_use", "metrics.time_in_phase")
    ),
    Sum(
        "quarantine_counted",
        "meta.quarantine_summary",
        ("land_code", "source"),
        {"quarantined": "sum(row_count)"},
        """select land_code, source, sum(rows_quarantined) as quarantined from build.meta.delivery where is_in_force
            group by all having sum(rows_quarantined) > 0""",
        {"meta.delivery": ("is_in_force", "rows_quarantined")},
        "Die Quarantäne zählt, was den geltenden Lieferungen fehlt.",
        "The quarantine counts what the deliveries in force lack.",
    ),
    Sum(
        "started_as_reported",
        _OBSERVATION,
        ("authority_id", "service_id"),
        {"started_on": "any_value(started_on)"},
        # an authority that others were merged into began when the first of them did, under a key that no longer reports
        f"""select authority_id, service_id, coalesce(
                any_value(observed.started_on) filter (merged.is_merged), min(phase.valid_from) filter (phase.phase = 'integrating')
            ) as started_on
            from build.{_OBSERVATION} as observed
            left join build.{_PHASE} as phase using (authority_id, service_id)
            left join (
                select distinct reported_authority_id as authority_id, true as is_merged
                from build.core.bridge_authority_successor
                where authority_id <> reported_authority_id
            ) as merged using (authority_id)
            group by all""",
        {
            _PHASE: ("phase", "valid_from"),
            _OBSERVATION: ("authority_id", "service_id", "started_on"),
            "core.bridge_authority_successor": ("authority_id", "reported_authority_id"),
        },
        "Der Beginn jeder Anbindung ist der gemeldete.",
        "The start of every connection is the reported one.",
        whole=False,
    ),
    Sum(
        "phases_follow_on",
        _PHASE,
        ("land_code", "authority_id", "service_id", "valid_from"),
        {"valid_to": "any_value(valid_to)"},
        f"""select land_code, authority_id, service_id, valid_from,
            lead(valid_from) over (partition by land_code, authority_id, service_id order by valid_from) as valid_to from build.{_PHASE}""",
        {_PHASE: ("valid_from", "valid_to")},
        "Eine Phase endet, wo die nächste beginnt, die letzte ist offen.",
        "A phase ends where the next begins, the last one is open.",
    ),
)


def _quotient(table: str, euros: str, number: str, quotient: str) -> Row:
    return Row(
        f"quotient_{quotient}",
        table,
        (euros, number, quotient),
        f"abs({quotient} * {number} - {euros}) > 0.01 * {number}",
        f"{euros} / {number}",
        "Der Wert ist der Quotient seiner beiden Zahlen.",
        "The value is the quotient of its two numbers.",
    )


ROWS = (
    Row(
        "total_of_channels",
        _ADOPTION,
        ("submitted_online_count", "submitted_assisted_count", "submitted_offline_count", "submitted_total_count"),
        "submitted_total_count <> submitted_online_count + submitted_assisted_count + submitted_offline_count",
        "online + assisted + offline",
        "Alle Wege ergeben zusammen das Ganze.",
        "All channels add up to the total.",
    ),
    Row(
        "completion_at_most_one",
        _ADOPTION,
        ("completion_share", "completion_completed_count", "completion_started_count"),
        "completion_completed_count > completion_started_count or completion_share is distinct from "
        "cast(completion_completed_count as double) / nullif(completion_started_count, 0)",
        "completed / started <= 1",
        "Es wird nicht mehr abgeschlossen als begonnen.",
        "Not more is completed than was started.",
    ),
    Row(
        "completed_within_submitted",
        _USAGE,
        ("completed", "submitted"),
        "completed > submitted",
        "<= submitted",
        "Es werden nicht mehr Anträge abgeschlossen als gestellt.",
        "Not more applications are completed than submitted.",
    ),
    Row(
        "missing_means_no_count",
        _USAGE,
        ("reporting_status", "submitted"),
        "(reporting_status = 'missing') <> (submitted is null)",
        "NULL where missing, else a count",
        "Was fehlt, hat keine Zahl, auch keine Null.",
        "What is missing has no number, not even zero.",
    ),
    Row(
        "days_within_month",
        _USAGE,
        ("days_reported", "live_days", "month"),
        "days_reported > day(last_day(month)) or live_days > day(last_day(month)) or day(month) <> 1",
        "<= days of the month",
        "Ein Monat hat nicht mehr Tage als der Kalender.",
        "A month has no more days than the calendar.",
    ),
    Row(
        "gross_is_net_and_tax",
        _LEDGER,
        ("gross_eur", "amount_eur", "vat_nonrecoverable_eur"),
        "gross_eur <> amount_eur + coalesce(vat_nonrecoverable_eur, 0)",
        "net + tax that is not refunded",
        "Brutto ist netto und nicht erstattete Umsatzsteuer.",
        "Gross is net and the tax that is not refunded.",
    ),
    Row(
        "sign_follows_status",
        _LEDGER,
        ("entry_status", "amount_eur"),
        "(entry_status = 'reversal' and amount_eur > 0) or (entry_status in ('planned', 'estimate') and amount_eur < 0)",
        "reversals negative, plans positive",
        "Stornos sind negativ, Pläne positiv.",
        "Reversals are negative, plans positive.",
    ),
    Row(
        "budget_open",
        _BUDGET,
        ("open_eur", "planned_eur", "invoiced_eur"),
        "open_eur <> planned_eur - invoiced_eur",
        "planned - invoiced",
        "Offen ist, was geplant und nicht berechnet ist.",
        "Open is what is planned and not invoiced.",
    ),
    Row(
        "budget_ratio",
        _BUDGET,
        ("invoiced_to_planned_ratio", "planned_eur", "invoiced_eur"),
        "abs(invoiced_to_planned_ratio - cast(invoiced_eur as double) / nullif(planned_eur, 0)) > 1e-9 * greatest(invoiced_to_planned_ratio, 1)",
        "invoiced / planned",
        "Das Verhältnis ist Rechnungen durch Plan.",
        "The ratio is invoices by plan.",
    ),
    Row(
        "ownership_adds_up",
        _OWNERSHIP,
        (
            "total_cost_of_ownership_eur",
            "one_off_cost_eur",
            "running_cost_discounted_eur",
            "running_cost_annual_eur",
            "present_value_factor",
        ),
        "abs(total_cost_of_ownership_eur - one_off_cost_eur - running_cost_discounted_eur) > 0.01 "
        "or abs(running_cost_discounted_eur - running_cost_annual_eur * present_value_factor) > 0.01",
        "one-off + discounted running costs",
        "Gesamtkosten sind einmalige und abgezinste laufende.",
        "Total cost is one-off and discounted running cost.",
    ),
    Row(
        "running_adds_up",
        _RUNNING,
        (
            "submitted_digital_count",
            "submitted_online_count",
            "submitted_assisted_count",
            "submitted_total_count",
            "submitted_offline_count",
        ),
        "submitted_digital_count <> submitted_online_count + submitted_assisted_count "
        "or submitted_total_count <> submitted_digital_count + submitted_offline_count",
        "digital = online + assisted; total = digital + offline",
        "Alle Wege ergeben zusammen das Ganze.",
        "All channels add up to the total.",
    ),
    _quotient(_RUNNING, "running_cost_eur", "submitted_total_count", "running_cost_per_submission_eur"),
    _quotient(_RUNNING, "running_cost_eur", "submitted_digital_count", "running_cost_per_digital_submission_eur"),
    _quotient(_RUNNING, "running_cost_eur", "completed_digital_count", "running_cost_per_digital_completed_eur"),
    *(
        _quotient(_COST, f"cost_{kind}", "connections_completed", f"cost_{quotient}_per_connection_eur")
        for kind, quotient in (
            ("full_net_eur", "net"),
            ("variable_net_eur", "variable_net"),
            ("full_real_eur", "real"),
            ("variable_real_eur", "variable_real"),
            ("full_cpi_eur", "cpi"),
            ("variable_cpi_eur", "variable_cpi"),
        )
    ),
    _quotient(_COST, "cost_full_begun_eur", "connections_earned", "cost_per_earned_connection_eur"),
    _quotient(_COST, "cost_variable_begun_eur", "connections_earned", "cost_variable_per_earned_connection_eur"),
    _quotient(_COST, "person_days", "connections_with_person_days", "person_days_per_connection"),
    _quotient(_COST, "person_days_municipal", "connections_with_person_days_municipal", "person_days_municipal_per_connection"),
    Row(
        "average_adds_up",
        _WAVE,
        (
            "cost_average_eur",
            "cost_variable_average_eur",
            "cost_fixed_average_eur",
            "cost_variable_cumulative_eur",
            "connections_completed_cumulative",
        ),
        "abs(cost_average_eur - cost_variable_average_eur - cost_fixed_average_eur) > 0.011 or "
        "abs(cost_variable_average_eur * connections_completed_cumulative - cost_variable_cumulative_eur) > 0.01 * connections_completed_cumulative",
        "variable + fixed",
        "Der Durchschnitt ist der variable und der fixe.",
        "The average is the variable and the fixed one.",
    ),
    Row(
        "pace_adds_up",
        _STATUS,
        (
            "authorities_open",
            *_OPERATIONAL,
            "days_to_target",
            "target_on",
            "as_of",
            "authorities_lacking",
            "target_share",
            "required_pace_per_week",
            "actual_pace_per_week",
            "pace_gap_per_week",
        ),
        "authorities_open <> authorities_competent - authorities_operational or days_to_target <> target_on - as_of "
        "or authorities_lacking <> greatest(ceil(target_share * authorities_competent) - authorities_operational, 0) "
        "or abs(required_pace_per_week - 7.0 * authorities_lacking / nullif(days_to_target, 0)) > 1e-9 "
        "or abs(pace_gap_per_week - (required_pace_per_week - actual_pace_per_week)) > 1e-9",
        "open, lacking, days and pace of each other",
        "Offene, Tage und Tempo passen zueinander.",
        "Open ones, days and pace fit together.",
    ),
    Row(
        "area_wide_means_all",
        _KREIS,
        ("is_area_wide", *_OPERATIONAL),
        "coalesce(is_area_wide, false) <> (authorities_competent > 0 and authorities_operational = authorities_competent)",
        "share = 1",
        "Flächendeckend heißt: jede zuständige Behörde ist in Betrieb.",
        "Area-wide means: every competent authority is operational.",
    ),
    Row(
        "funnel_narrows",
        _FUNNEL,
        ("phase_order", "authorities_reached_count"),
        "authorities_reached_count > reached_before",
        "<= the phase before",
        "Keine Phase haben mehr erreicht als die davor.",
        "No phase was reached by more than the one before.",
        source="""(select *, lag(authorities_reached_count) over (partition by land_code, service_id, as_of order by phase_order)
            as reached_before from t where phase_order between 0 and 5)""",
    ),
    Row(
        "survival_is_product",
        _SURVIVAL,
        (
            "survival_share",
            "operational_share",
            "event_count",
            "at_risk_count",
            "survival_low_share",
            "survival_high_share",
            "days",
        ),
        "abs(survival_share + operational_share - 1) > 1e-9 or survival_share not between survival_low_share and survival_high_share "
        "or abs(survival_share - before * (1 - event_count / cast(nullif(at_risk_count, 0) as double))) > 1e-9",
        "product over the days so far",
        "Der Verlauf ist das Produkt der Tage bis dahin.",
        "The curve is the product of the days so far.",
        source="(select *, lag(survival_share, 1, 1) over (partition by stratum_kind, stratum order by days) as before from t)",
    ),
    Row(
        "quantiles_ordered",
        _SUMMARY,
        (
            "connections_begun",
            "connections_completed",
            "connections_censored",
            "p25_days",
            "median_days",
            "p75_days",
            "p90_days",
            "median_low_days",
            "median_high_days",
        ),
        "connections_begun <> connections_completed + connections_censored or p25_days > median_days or median_days > p75_days "
        "or p75_days > p90_days or median_days < median_low_days or median_days > median_high_days",
        "ascending",
        "Die Quantile steigen, und alle Anbindungen sind gezählt.",
        "Quantiles ascend, and all connections are counted.",
    ),
    Row(
        "probabilities",
        _DORMANT,
        ("p_value", "q_value", "window_1_first_month", "window_2_last_month"),
        "p_value not between 0 and 1 or q_value not between 0 and 1 or q_value < p_value - 1e-12 or window_2_last_month >= window_1_first_month",
        "0 <= p <= q <= 1",
        "Wahrscheinlichkeiten sind welche.",
        "Probabilities are such.",
    ),
    Row(
        "days_counted",
        _CONFLICT,
        ("conflict_days", "as_of", "conflict_since_on"),
        "conflict_days <> as_of - conflict_since_on",
        "as_of - conflict_since_on",
        "Die Tage seit dem Widerspruch sind gezählt.",
        "The days since the conflict are counted.",
    ),
    Row(
        "accepted_has_a_day",
        _OBSERVATION,
        ("is_accepted", "accepted_on", "started_on", "wave_started_on"),
        "is_accepted <> (accepted_on is not null) or accepted_on < started_on or started_on < wave_started_on",
        "wave <= start <= acceptance",
        "Eine Welle beginnt, dann die Anbindung, dann die Abnahme.",
        "A wave begins, then the connection, then acceptance.",
    ),
    Row(
        "resumed_or_interrupted",
        "metrics.regression",
        ("is_interrupted", "resumed_on", "regressed_on"),
        "is_interrupted <> (resumed_on is null) or resumed_on < regressed_on",
        "interrupted until resumed",
        "Unterbrochen ist, was nicht wieder aufgenommen ist.",
        "Interrupted is what has not been resumed.",
    ),
    Row(
        "current_is_open",
        _PHASE,
        ("is_current", "valid_to"),
        "is_current <> (valid_to is null)",
        "current without end",
        "Gültig ist die Phase ohne Ende.",
        "Current is the phase without an end.",
    ),
    Row(
        "observed_in_order",
        "core.fct_connection_evidence",
        ("first_observed_on", "last_observed_on", "retired_on", "is_current"),
        "first_observed_on > last_observed_on or is_current <> (retired_on is null)",
        "first <= last",
        "Gesehen wird zuerst, dann zuletzt.",
        "First seen is before last seen.",
    ),
    Row(
        "observed_in_order",
        "core.fct_listing",
        ("first_observed_on", "last_observed_on"),
        "first_observed_on > last_observed_on",
        "first <= last",
        "Gesehen wird zuerst, dann zuletzt.",
        "First seen is before last seen.",
    ),
    Row(
        "keys_nested",
        "core.dim_region",
        ("ags", "ars", "kreis_code", "verband_code", "land_code"),
        "left(ags, 2) <> land_code or left(ars, 2) <> land_code or kreis_code <> left(ags, 5) or verband_code <> left(ars, 9)",
        "one within the other",
        "Die Schlüssel von Gemeinde, Verband, Kreis und Land enthalten einander.",
        "The keys of municipality, Verband, Kreis and Land contain each other.",
    ),
    Row(
        "kind_is_in_key",
        "core.dim_authority",
        ("authority_id", "kind"),
        "split_part(authority_id, '/', 1) <> kind",
        "<kind>/<key>",
        "Die Art der Behörde steht in ihrem Schlüssel.",
        "The kind of an authority is in its key.",
    ),
    Row(
        "kind_is_of_a_service",
        "core.dim_authority",
        ("authority_id", "kind"),
        "kind not in (select authority_kind from build.core.dim_service)",
        "competent for some service",
        "Jede Art von Behörde ist für eine Leistung zuständig.",
        "Every kind of authority is competent for a service.",
    ),
    Row(
        "month_of_its_month",
        "metrics.adoption_seasonality",
        ("month", "month_of_year"),
        "month_of_year <> month(month)",
        "month of year",
        "Der Monat ist der seines Datums.",
        "The month is that of its date.",
    ),
)

_PHASES = "none planned contracted integrating onboarding operational suspended withdrawn"
_PAYERS = "bund land kommune"
_CATEGORIES = "general_contractor roll_in_team integration onboarding training licence hosting support programme_office"

#: The words a column may hold, by table and column; NULL is no word.
WORDS: dict[tuple[str, str], str] = {
    (_PHASE, "phase"): _PHASES,
    (_FUNNEL, "phase"): _PHASES,
    ("metrics.time_in_phase", "phase"): _PHASES,
    ("metrics.regression", "to_phase"): _PHASES,
    (_CONFLICT, "kind"): "reported_not_listed listed_not_reported listed_not_reachable",
    ("core.fct_connection_evidence", "evidence"): "reported listed reachable addressable",
    ("core.fct_listing", "evidence"): "listed reachable addressable",
    (_USAGE, "channel"): "online assisted counter post other",
    (_USAGE, "account"): "bundid unternehmenskonto other none",
    (_USAGE, "grain"): "day month",
    (_USAGE, "reporting_status"): "reported partial missing",
    (_ACCOUNT, "account"): "bundid unternehmenskonto other none",
    (_LEDGER, "category"): _CATEGORIES,
    (_LEDGER, "behaviour"): "variable fixed_land fixed_programme",
    (_LEDGER, "payer"): _PAYERS,
    (_LEDGER, "entry_status"): "planned estimate invoiced reversal",
    (_LEDGER, "price_mechanism"): "actual fixed_price step_price",
    (_BRIDGE, "payer"): _PAYERS,
    (_BRIDGE, "category"): _CATEGORIES,
    (_BUDGET, "payer"): f"{_PAYERS} total",
    (_COST, "payer"): f"{_PAYERS} total",
    (_OWNERSHIP, "payer"): f"{_PAYERS} total",
    (_WAVE, "price_basis"): "nominal real",
    (_DORMANT, "answer"): "active dead_technical dead_demand too_small_or_too_early unknown",
    ("metrics.scale_verdict", "verdict"): "supported contradicted immaterial inconclusive not_due",
    ("metrics.scale_verdict", "claim"): "C1 C2",
    ("metrics.scale_estimate", "claim"): "C0 C1 C2",
    ("metrics.scale_estimate", "status"): "available unavailable",
    **{(f"metrics.scale_{table}", "outcome"): "cost person_days" for table in ("estimate", "verdict")},
    ("metrics.cost_forecast", "outcome"): "cost person_days",
    ("metrics.adoption_curve", "stratum_kind"): "all land service land_service",
    **{
        (table, "stratum_kind"): "all land service land_service rollout size_class difficulty_class"
        for table in (_SURVIVAL, _SUMMARY)
    },
    ("meta.source_status", "status"): "current stale missing not_configured",
    ("meta.source_status", "delivers"): "changes snapshot",
    ("meta.quarantine_summary", "rule"): (
        "malformed missing unknown_key ambiguous_key unknown_value out_of_range wrong_unit future_date duplicate conflict wrong_land"
    ),
}

#: What a column of this name looks like, in every table.
SHAPES = {
    "land_code": "[0-9]{2}",
    "ags": "[0-9]{8}",
    "reported_ags": "[0-9]{8}",
    "ars": "[0-9]{12}",
    "kreis_code": "[0-9]{5}",
    "regierungsbezirk_code": "[0-9]{3}",
    "verband_code": "[0-9]{9}",
    "authority_id": "[a-z]+/[0-9]+",
    "reported_authority_id": "[a-z]+/[0-9]+",
    "leika_key": "[0-9]{14}",
}

#: Names of numbers that are never below zero, in every table: lengths, areas, spreads, factors, numbers of waves.
NOT_NEGATIVE = r"(?!days_to_).*_(days|km2|years)|se|wave|planned_wave|.*_factor|power_\d+|days|phase_order|max_age_days|n|clusters|horizon_years"

#: Days on which something happened, by table: none lies after the reporting day; None where all may, else SQL for those that may.
HAPPENED: dict[tuple[str, str], str] = {
    (_PHASE, "valid_from"): "false",
    (_LEDGER, "booked_on"): "entry_status = 'planned'",
    ("core.fct_listing", "first_observed_on"): "false",
    ("core.fct_connection_evidence", "first_observed_on"): "false",
    (_USAGE, "month"): "false",
    ("metrics.regression", "regressed_on"): "false",
    (_OBSERVATION, "started_on"): "false",
    (_OBSERVATION, "accepted_on"): "false",
}


def suites(tables: Tables, grains: Mapping[str, tuple[str, ...]], day: date | None, suite: str) -> Iterator[Suite]:
    """The rules whose tables have their columns. ``tables``: columns and their types; ``grains``: what identifies a row of each;
    ``day``: the reporting day, None where it is not known (then no day can be too late)."""

    def has(table: str, columns: tuple[str, ...]) -> bool:
        return table in tables and all(column in tables[table] for column in columns)

    def of(table: str, check: Check) -> Suite:
        return Suite(suite, table, f"select * from build.{table}", [check])

    for total in SUMS:
        if has(total.table, (*total.keys, *_read(total))) and all(has(t, c) for t, c in total.needs.items()):
            yield of(total.table, total.check)
    for row in ROWS:
        if has(row.table, row.needs):
            yield of(row.table, _row(row, grains.get(row.table, ())))
    for table, columns in tables.items():
        broken = {c: f"not regexp_full_match({c}, '{shape}')" for c, shape in SHAPES.items() if columns.get(c) == "VARCHAR"}
        for (other, column), words in WORDS.items():
            if other == table and column in columns:
                broken[column] = f"{column} not in ({', '.join(literal(word) for word in words.split())})"
        if broken:
            yield of(table, _known(broken))
        negative = {c: f"{c} < 0" for c, t in columns.items() if t in _NUMBERS and re.fullmatch(NOT_NEGATIVE, c)}
        if negative:
            yield of(table, _not_negative(negative, grains.get(table, ())))
        if columns.get("as_of") == "DATE" and day is not None:
            yield of(table, _of_the_day(day, "<=" if "as_of" in grains.get(table, ()) else "=", grains.get(table, ())))
    for (table, column), may in HAPPENED.items():
        if day is not None and has(table, (column,)) and (may == "false" or has(table, ("entry_status",))):
            yield of(table, _past(table, column, may, day, grains.get(table, ())))


def _read(total: Sum) -> tuple[str, ...]:
    """The columns of its own table that a sum reads: the words of its expressions that are no functions."""
    words = {
        w
        for e in [*total.columns.values(), total.of]
        for w in re.findall(r"[a-z_][a-z_0-9]*(?![a-z_0-9]*\()", re.sub(r"'[^']*'", "", e))
    }
    return tuple(sorted(words - {"true", "is", "not", "null", "or", "and"}))


def _row(row: Row, grain: tuple[str, ...]) -> Check:
    return Check(
        name=row.name,
        severity="error",
        expected=row.expected,
        description_de=row.german,
        description_en=row.english,
        rows=f"select * from {row.source} where {row.broken}" if row.source != "t" else f"select * from t where {row.broken}",
        keys=grain,
    )


def _known(broken: Mapping[str, str]) -> Check:
    """One check of all columns; what is told is the column, never the value: that may be anything. Asked of every value once."""
    found = [
        f"select {literal(column)} as observed from (select distinct {column} from t) where {condition}"
        for column, condition in broken.items()
    ]
    return Check(
        name="value_known",
        severity="error",
        expected=f"agreed words and shapes of {', '.join(broken)}",
        description_de="Jeder Wert ist eines der festgelegten Wörter oder ein Schlüssel seiner Form.",
        description_en="Every value is one of the agreed words, or a key of its shape.",
        rows=" union all ".join(found),
    )


def _not_negative(broken: Mapping[str, str], grain: tuple[str, ...]) -> Check:
    told = ", ".join(f"case when {condition} then {literal(column)} end" for column, condition in broken.items())
    return Check(
        name="measure_not_negative",
        severity="error",
        expected=">= 0",
        description_de="Keine Dauer, Fläche oder Streuung ist negativ.",
        description_en="No length of time, area or spread is negative.",
        rows=f"select *, concat_ws(', ', {told}) as observed from t where {' or '.join(broken.values())}",
        keys=grain,
    )


def _of_the_day(day: date, relation: str, grain: tuple[str, ...]) -> Check:
    return Check(
        name="of_the_reporting_day",
        column="as_of",
        severity="error",
        expected=f"{relation} {day}",
        description_de="Was für einen Tag gilt, gilt für den Stichtag, und keine Reihe reicht über ihn hinaus.",
        description_en="What holds for one day holds for the reporting day, and no series goes beyond it.",
        rows=f"select * from t where not coalesce(as_of {relation} date {literal(day.isoformat())}, false)",
        keys=grain,
    )


def _past(table: str, column: str, may: str, day: date, grain: tuple[str, ...]) -> Check:
    return Check(
        name="not_in_the_future",
        column=column,
        severity="error",
        expected=f"2000-01-01 .. {day}",
        description_de="Geschehenes liegt nicht nach dem Stichtag und nicht vor aller Zeit.",
        description_en="What happened lies neither after the reporting day nor before all time.",
        rows=f"select * from t where ({column} > date {literal(day.isoformat())} and not ({may})) or {column} < date '2000-01-01'",
        keys=grain,
    )
