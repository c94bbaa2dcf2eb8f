"""``CHANGES.md``: what moved between two releases, for whoever opens the newer one.

Belongs here: comparing two published warehouses and writing it down, in German with English headings. Does not: whether a change is
plausible (``expectations``), the numbers themselves (``dbt_project``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

#: Rows that a section shows; how many more there are is said.
SHOWN_ROWS = 60


@dataclass(frozen=True)
class _Section:
    """A table of changes. ``query`` reads the schemas of ``old`` and ``new``; ``needs``: columns that both must have, by table."""

    title: str
    needs: dict[str, str]
    heads: tuple[str, ...]
    query: str
    unchanged: str
    note: str = ""


_COVERAGE = """
    select
        coalesce(new.land_code, old.land_code) as land_code,
        coalesce(new.service_id, old.service_id) as service_id,
        old.authorities_operational,
        new.authorities_operational,
        old.authorities_competent,
        new.authorities_competent,
        100 * old.coverage_authority_share,
        100 * new.coverage_authority_share
    from (from old.metrics.coverage_daily where as_of = $old_day) as old
    full join (from new.metrics.coverage_daily where as_of = $new_day) as new using (land_code, service_id)
    where
        (old.authorities_operational, old.authorities_competent)
        is distinct from (new.authorities_operational, new.authorities_competent)
    order by 1, 2
"""

#: Days that both releases describe and that now read otherwise.
_PAST = """
    select
        coalesce(new.land_code, old.land_code),
        coalesce(new.service_id, old.service_id),
        count(*),
        min(as_of),
        max(as_of),
        min(coalesce(new.authorities_operational, 0) - coalesce(old.authorities_operational, 0)),
        max(coalesce(new.authorities_operational, 0) - coalesce(old.authorities_operational, 0))
    from (from old.metrics.coverage_daily where as_of <= least($old_day, $new_day)) as old
    full join (from new.metrics.coverage_daily where as_of <= least($old_day, $new_day)) as new using (land_code, service_id, as_of)
    where
        (old.authorities_operational, old.authorities_competent)
        is distinct from (new.authorities_operational, new.authorities_competent)
    group by all
    order by 1, 2
"""

_USAGE = """
    select
        coalesce(new.land_code, old.land_code),
        coalesce(new.service_id, old.service_id),
        count(*),
        min(month),
        max(month),
        sum(old.submitted_online_count),
        sum(new.submitted_online_count)
    from old.metrics.adoption_monthly as old
    full join new.metrics.adoption_monthly as new using (land_code, service_id, month)
    where
        month < date_trunc('month', least($old_day, $new_day))
        and (old.submitted_online_count, old.submitted_total_count, old.reporting_authorities)
        is distinct from (new.submitted_online_count, new.submitted_total_count, new.reporting_authorities)
    group by all
    order by 1, 2
"""

_LEDGER = """
    select
        coalesce(new.land_code, old.land_code),
        count(*) filter (where old.entry_id is null),
        count(*) filter (where new.entry_id is null),
        count(*) filter (where old.entry_id is not null and new.entry_id is not null),
        sum(old.amount_eur),
        sum(new.amount_eur)
    from old.core.fct_cost as old
    full join new.core.fct_cost as new using (land_code, source, entry_id)
    where (old.entry_id, old.amount_eur, old.entry_status) is distinct from (new.entry_id, new.amount_eur, new.entry_status)
    group by all
    order by 1
"""

_VERDICT = """
    select
        coalesce(new.claim, old.claim),
        coalesce(new.outcome, old.outcome),
        old.verdict,
        new.verdict,
        100 * old.estimate,
        100 * new.estimate,
        old.prereg_sha256[:12],
        new.prereg_sha256[:12]
    from old.metrics.scale_verdict as old
    full join new.metrics.scale_verdict as new using (claim, outcome)
    where
        (old.verdict, old.label, old.prereg_sha256, old.frozen_on)
        is distinct from (new.verdict, new.label, new.prereg_sha256, new.frozen_on)
        -- after a look the cohort is the same: another estimate comes from later entries and corrections
        or (new.frozen_on is not null and round(old.estimate, 6) is distinct from round(new.estimate, 6))
    order by 1, 2
"""

_DEFINITIONS = """
    select
        coalesce(new.metric_id, old.metric_id),
        case
            when old.metric_id is null then 'neu (new)'
            when new.metric_id is null then 'entfallen (removed)'
            when old.definition_sha256 <> new.definition_sha256 then 'Definition geändert (definition changed)'
            else 'Berechnung geändert (computation changed)'
        end,
        old.version,
        new.version
    from old.meta.metric as old
    full join new.meta.metric as new using (metric_id)
    where
        (old.definition_sha256, old.computation_md5) is distinct from (new.definition_sha256, new.computation_md5)
    order by 1
"""

_TABLES = """
    select
        schema_name || '.' || table_name,
        column_name,
        case when old.data_type is null then 'neu (new)' when new.data_type is null then 'entfallen (removed)' else 'anderer Typ (type)' end,
        old.data_type,
        new.data_type
    from old.meta.column as old
    full join new.meta.column as new using (schema_name, table_name, column_name)
    where old.data_type is distinct from new.data_type
    order by 1, 2
"""

_SOURCES = """
    with deliveries as (
        select
            land_code,
            source,
            count(*) filter (where old.delivery_id is null) as received,
            count(*) filter (where old.delivery_id is null and not new.is_admitted) as refused,
            count(*) filter (where old.withdrawn_at is null and new.withdrawn_at is not null) as withdrawn
        from new.meta.delivery as new
        left join old.meta.delivery as old using (land_code, source, delivery_id)
        group by all
    )

    select
        coalesce(new.land_code, old.land_code),
        coalesce(new.source, old.source),
        old.status,
        new.status,
        deliveries.received,
        deliveries.refused,
        deliveries.withdrawn
    from old.meta.source_status as old
    full join new.meta.source_status as new using (land_code, source)
    left join deliveries using (land_code, source)
    where
        old.status is distinct from new.status
        or deliveries.received > 0
        or deliveries.withdrawn > 0
    order by 1, 2
"""

SECTIONS = (
    _Section(
        "Abdeckung (coverage)",
        {
            "metrics.coverage_daily": "land_code service_id as_of authorities_operational authorities_competent coverage_authority_share"
        },
        ("Land", "Leistung", "in Betrieb vorher", "jetzt", "zuständig vorher", "jetzt", "Abdeckung vorher %", "jetzt %"),
        _COVERAGE,
        "An den Stichtagen beider Veröffentlichungen sind ebenso viele Behörden in Betrieb und zuständig.",
    ),
    _Section(
        "Geänderte Vergangenheit: Anbindungen (revised history: connections)",
        {"metrics.coverage_daily": "land_code service_id as_of authorities_operational authorities_competent"},
        ("Land", "Leistung", "Tage", "vom", "bis", "Behörden in Betrieb, kleinste Änderung", "größte Änderung"),
        _PAST,
        "Kein Tag, den auch die vorige Veröffentlichung beschreibt, hat andere Zahlen.",
    ),
    _Section(
        "Geänderte Vergangenheit: Nutzung (revised history: usage)",
        {
            "metrics.adoption_monthly": "land_code service_id month submitted_online_count submitted_total_count reporting_authorities"
        },
        ("Land", "Leistung", "Monate", "von", "bis", "online vorher", "jetzt"),
        _USAGE,
        "Kein abgeschlossener Monat hat andere Zahlen.",
        "Nur Monate vor dem des früheren Stichtags; Summen über die geänderten Monate.",
    ),
    _Section(
        "Buchungen (ledger)",
        {"core.fct_cost": "land_code source entry_id amount_eur entry_status"},
        ("Land", "neu", "entfallen", "geändert", "EUR vorher", "EUR jetzt"),
        _LEDGER,
        "Keine Buchung ist neu, entfallen oder geändert.",
        "Netto, nur die neuen, entfallenen und geänderten Buchungen.",
    ),
    _Section(
        "Urteil über die Skaleneffekte (verdict on the economies of scale)",
        {"metrics.scale_verdict": "claim outcome verdict label frozen_on estimate prereg_sha256"},
        (
            "Behauptung",
            "Größe",
            "Urteil vorher",
            "jetzt",
            "Ersparnis je Verdopplung vorher %",
            "jetzt %",
            "Regel (sha256) vorher",
            "jetzt",
        ),
        _VERDICT,
        "Urteile, Vorbehalte, die vorab festgelegte Regel und nach einer Auswertung die Ersparnis sind dieselben.",
    ),
    _Section(
        "Definitionen (definitions)",
        {"meta.metric": "metric_id definition_sha256 computation_md5 version"},
        ("Kennzahl", "Änderung", "Version vorher", "jetzt"),
        _DEFINITIONS,
        "Keine Kennzahl ist anders definiert oder berechnet.",
    ),
    _Section(
        "Tabellen und Spalten (tables and columns)",
        {"meta.column": "schema_name table_name column_name data_type"},
        ("Tabelle", "Spalte", "Änderung", "Typ vorher", "jetzt"),
        _TABLES,
        "Tabellen und Spalten sind dieselben.",
    ),
    _Section(
        "Quellen (sources)",
        {
            "meta.source_status": "land_code source status",
            "meta.delivery": "land_code source delivery_id is_admitted withdrawn_at",
        },
        ("Land", "Quelle", "Stand vorher", "jetzt", "Lieferungen seither", "davon zurückgewiesen", "zurückgezogen"),
        _SOURCES,
        "Keine Quelle hat geliefert oder ihren Stand geändert.",
    ),
)


def write(path: Path, new: Path, old: Path | None) -> None:
    """Write what is different in the warehouse ``new`` (closed, incl. its ``meta.release``) from ``old``, the release before it.

    Without ``old`` the page says that there is nothing to compare with. Raises ``duckdb.Error`` where a file is no warehouse.
    """
    path.write_text(compared(new, old), encoding="utf-8")


def compared(new: Path, old: Path | None) -> str:
    """The text of the page, see ``write``."""
    with duckdb.connect(config={"threads": "2", "autoinstall_known_extensions": "false"}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach {_text(new)} as new (read_only)")
        this = _release(con, "new")
        head = f"# Änderungen (changes)\n\nVeröffentlichung {this['release_id']}, Stichtag {_cell(this['as_of'])}"
        if old is None:
            return f"{head}.\n\nEs gibt keine frühere Veröffentlichung zum Vergleich. (There is no earlier release to compare with.)\n"
        con.execute(f"attach {_text(old)} as old (read_only)")
        before = _release(con, "old")
        lines = [f"{head}; verglichen mit {before['release_id']}, Stichtag {_cell(before['as_of'])}."]
        lines += _circumstances(before, this)
        days = {"old_day": before["as_of"], "new_day": this["as_of"]}
        for section in SECTIONS:
            lines += ["", f"## {section.title}", "", *_section(con, section, days)]
    return "\n".join(lines) + "\n"


def _circumstances(before: dict[str, Any], this: dict[str, Any]) -> list[str]:
    """What may explain everything below: other code, another territorial status."""
    told = {
        "code_version": "Version des Programms (code version)",
        "territory_on": "Gebietsstand (territorial status)",
        "is_synthetic": "synthetische Daten (synthetic data)",
    }
    if all(release.get("territory_on") == release["as_of"] for release in (before, this)):
        del told["territory_on"]  # both take the newest
    return [
        f"\n{words}: {_cell(before[name])} → {_cell(this[name])}"
        for name, words in told.items()
        if name in before and name in this and before[name] != this[name]
    ]


def _section(con: duckdb.DuckDBPyConnection, section: _Section, days: dict[str, Any]) -> list[str]:
    for database, whose in (("new", "Diese Veröffentlichung"), ("old", "Die vorige Veröffentlichung")):
        for table, columns in section.needs.items():
            if not set(columns.split()) <= _columns(con, database, table):
                return [f"{whose} enthält {table} nicht in vergleichbarer Form. (Not comparable.)"]
    asked = {name: day for name, day in days.items() if f"${name}" in section.query}
    try:
        rows = con.execute(section.query, asked).fetchall()
    except duckdb.Error as error:  # types that cannot be compared: no reason to withhold a release that passed the gate
        return [f"Nicht vergleichbar (not comparable): {_cell(str(error).splitlines()[0])}"]
    if not rows:
        return [f"{section.unchanged} (Unchanged.)"]
    lines = [section.note, ""] if section.note else []
    lines += [f"| {' | '.join(section.heads)} |", f"|{'---|' * len(section.heads)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows[:SHOWN_ROWS]]
    if len(rows) > SHOWN_ROWS:
        lines += ["", f"und {len(rows) - SHOWN_ROWS} weitere Zeilen (more rows)"]
    return lines


def _release(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, Any]:
    found = con.execute(f"from {database}.meta.release")
    names = [column[0] for column in found.description or []]
    return dict(zip(names, found.fetchall()[0], strict=True))


def _columns(con: duckdb.DuckDBPyConnection, database: str, table: str) -> set[str]:
    schema, _, name = table.partition(".")
    query = "select column_name from duckdb_columns() where database_name = ? and schema_name = ? and table_name = ?"
    return {column for (column,) in con.execute(query, [database, schema, name]).fetchall()}


def _cell(value: Any) -> str:
    """A value in a table of Markdown: delivered text can neither break out of its cell nor become markup."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if isinstance(value, float):
        return f"{value:.1f}"
    text = " ".join(str(value).split())
    for character in "\\|`*_<>[]":
        text = text.replace(character, f"\\{character}")
    return text


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
