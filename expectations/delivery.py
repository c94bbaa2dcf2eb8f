"""What one cleaned delivery must satisfy to be admitted.

Belongs here: rules on one delivery, alone and against its predecessor. Does not: rules on single rows that cleaning already
quarantines by (``ingest.clean``), nor what happens to a refused delivery (``orchestration``).

The delivery is summed up in a batch of one row (``t``); every rule is SQL over it, joined with the clean rows (``clean``) where
it is about rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from expectations import thresholds as limits
from expectations.results import CheckResult
from expectations.runner import Check, Suite, identifier, literal, reading_again, run

SUITE = "delivery"

#: Every clean row says where it came from.
PROVENANCE = ("land_code", "source", "delivery_id", "delivered_at")

#: The column with the day on which a row's fact happened: it lies in the past, not before the services existed.
_HAPPENED = {
    "connections": "effective_on",
    "usage": "period",
    "costs": "booked_on",
    "listings": "observed_on",
    "page_visits": "period_start",
}

#: Facts that may lie ahead: announcements.
_ANNOUNCED = {"connections": "phase = 'planned'", "costs": "entry_status = 'planned'"}

#: Dates whose name does not end in _on.
_DATES = ("period", "period_start", "period_end", "valid_from", "valid_to", "population_date")

#: Whole numbers that are no counts.
_NOT_COUNTS = ("wave", "planned_wave", "year")

#: A file of so many bytes is held in memory while it is checked.
_SMALL_BYTES = 200_000

Thresholds = Mapping[str, limits.Threshold]


def check_delivery(
    clean_parquet: Path,
    quarantine_parquet: Path,
    *,
    table: str,
    land_code: str,
    source: str,
    key: Sequence[str],
    delivers: str,
    expects_full_list: bool,
    rows_delivered: int,
    quarantined: Mapping[str, int],
    missing_columns: Sequence[str],
    problem: str | None,
    predecessor_rows: int | None,
    problem_en: str | None = None,
    required: Sequence[str] = (),
    predecessor_parquet: Path | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
    history: Sequence[tuple[datetime, int]] = (),
    thresholds: Thresholds | None = None,
) -> list[CheckResult]:
    """Check one cleaned delivery; ``expectations.results.passed`` and ``refusal`` say what follows from the results.

    ``key``: columns whose combination is unique in the delivery (where the table has an ``event_id``, that where it is given).
    ``expects_full_list``: the address gives the whole list each time, so the volume is compared with ``predecessor_rows``, the
    clean rows of the newest admitted delivery of this source. ``quarantined``: rows by rule. ``required``: columns that are never
    NULL, besides the provenance. ``predecessor_parquet``: its clean file, against which a slip of the unit is measured, and what became
    of identifiers and authorities. ``words``: the values that a column may hold, by column. ``history``: when earlier increments came
    and how many rows they had, oldest first; a night is compared with the nights of its weekday.
    ``problem``: why the delivery could not be read at all; it is then the only result. Raises nothing for what a delivery holds.
    """
    if problem is not None:
        return [_unreadable(table, problem, problem, problem_en or problem, is_broken=False)]
    limit = limits.load() if thresholds is None else thresholds
    with reading_again() as connection:
        try:
            columns = _open(connection, clean_parquet, quarantine_parquet, predecessor_parquet)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            german, english = "Die bereinigten Daten der Lieferung sind lesbar.", "The delivery's clean data can be read."
            return [_unreadable(table, reason, german, english, is_broken=True)]
        faults = {rule: n for rule, n in quarantined.items() if rule != "duplicate"}
        facts = {
            "rows_delivered": rows_delivered,
            "rows_quarantined": sum(quarantined.values()),
            "rows_faulty": sum(faults.values()),
            "rows_wrong_land": quarantined.get("wrong_land", 0),
            "rows_predecessor": predecessor_rows,
        }
        values = ", ".join(f"cast({'null' if n is None else int(n)} as bigint) as {name}" for name, n in facts.items())
        told = ", ".join(f"{rule} {n}" for rule, n in sorted(faults.items(), key=lambda fault: -fault[1]) if n)
        connection.execute(
            f"""
            create table profile as
            select
                {values},
                {literal(told)} as faults,
                (select count(*) from clean) as rows_clean,
                (select count(*) from quarantine) as rows_in_quarantine
            """
        )
        checks = _completeness(missing_columns, limit)
        if expects_full_list or delivers == "snapshot":
            checks.insert(1, _not_empty())
        if expects_full_list and predecessor_rows is not None:
            checks += _volume(limit)
        checks += _shape(columns, key, required, land_code, source)
        checks += _domains(columns, words or {})
        checks += _plausibility(table, columns, limit)
        checks += _freshness(table, columns, limit)
        if history:
            checks += _weekday(history, limit)
        if predecessor_parquet is not None:
            checks += _identity(columns, limit, whole=expects_full_list)
            if "amount_eur" in columns:
                checks += _unit(key, limit)
        return run(connection, [Suite(SUITE, table, "select * from profile", checks, at_once=True)])


def _unreadable(table: str, observed: str, german: str, english: str, *, is_broken: bool) -> CheckResult:
    return CheckResult(
        SUITE, table, "readable", None, "error", False, is_broken, observed, "lesbar / readable", None, german, english
    )


def _open(connection: duckdb.DuckDBPyConnection, clean: Path, quarantine: Path, predecessor: Path | None) -> dict[str, str]:
    """Name the files ``clean``, ``quarantine`` and ``predecessor``; return the clean columns with their types.

    A small file is read once, for opening it again for every check takes longer than the checks.
    """
    for name, path in (("clean", clean), ("predecessor", predecessor)):
        if path is not None:
            kind = "table" if path.exists() and path.stat().st_size < _SMALL_BYTES else "view"
            connection.execute(f"create {kind} {name} as select * from read_parquet({literal(path)})")
    if quarantine.exists():
        connection.execute(f"create view quarantine as select * from read_parquet({literal(quarantine)})")
    else:  # nothing was quarantined; where something was, `rows_add_up` fails
        connection.execute("create view quarantine as select 1 as row_number where false")
    return {name: str(kind) for name, kind, *_ in connection.execute("describe clean").fetchall()}


# -- is it all there, and can it be used? ----------------------------------------------------------


def _completeness(missing_columns: Sequence[str], limit: Thresholds) -> list[Check]:
    faulty, few = limit["delivery_quarantine_share_max"], limit["delivery_quarantine_rows_tolerated"]
    strayed, strays = limit["delivery_wrong_land_share_max"], limit["delivery_wrong_land_rows_tolerated"]
    return [
        Check(
            name="columns_complete",
            severity="error",
            expected="no column missing",
            description_de="Alle Pflichtspalten sind geliefert.",
            description_en="All required columns are delivered.",
            rows=f"select name || ' missing' as observed from t, unnest({_list(missing_columns)}) as missing(name)",
        ),
        Check(
            name="some_rows_usable",
            severity="error",
            expected=">= 1 clean row",
            description_de="Mindestens eine gelieferte Zeile ist verwendbar.",
            description_en="At least one delivered row can be used.",
            rows="""
                select 'none of ' || rows_delivered || ' (' || faults || ')' as observed
                from t
                where rows_delivered > 0 and rows_clean = 0
            """,
        ),
        Check(
            name="wrong_land_share",
            severity=strayed.severity,
            expected=f"<= {strayed.value:.0%}",
            description_de="Die Zeilen gehören zu diesem Land, höchstens wenige zu einem anderen.",
            description_en="The rows belong to this Land, at most a few to another.",
            rows=f"""
                select rows_wrong_land || ' of ' || rows_clean + rows_faulty as observed
                from t
                where rows_wrong_land > greatest({strays.value}, {strayed.value} * (rows_clean + rows_faulty))
            """,
        ),
        Check(
            name="quarantine_share",
            severity=faulty.severity,
            expected=f"<= {faulty.value:.0%}",
            description_de="Höchstens wenige Zeilen sind fehlerhaft (Dubletten zählen nicht).",
            description_en="At most a few rows are faulty (duplicates do not count).",
            rows=f"""
                select rows_faulty || ' of ' || rows_clean + rows_faulty || ' (' || faults || ')' as observed
                from t
                where rows_faulty > greatest({few.value}, {faulty.value} * (rows_clean + rows_faulty))
            """,
        ),
        Check(
            name="rows_add_up",
            severity="error",
            expected="delivered = clean + quarantined",
            description_de="Jede gelieferte Zeile ist bereinigt oder in Quarantäne, keine fehlt.",
            description_en="Every delivered row is clean or in quarantine, none is lost.",
            rows="""
                select
                    rows_delivered || ' delivered, ' || rows_clean || ' clean, ' || rows_in_quarantine || ' in quarantine'
                    as observed
                from t
                where rows_delivered <> rows_clean + rows_in_quarantine or rows_in_quarantine <> rows_quarantined
            """,
        ),
    ]


def _not_empty() -> Check:
    return Check(
        name="not_empty",
        severity="error",
        expected=">= 1 row",
        description_de="Eine vollständige Liste ist nicht leer.",
        description_en="A full list is not empty.",
        rows="select * from t where rows_delivered = 0",
    )


def _volume(limit: Thresholds) -> list[Check]:
    drop, few = limit["delivery_volume_drop_share_max"], limit["delivery_volume_drop_rows_tolerated"]
    jump, many = limit["delivery_volume_jump_factor_max"], limit["delivery_volume_jump_rows_tolerated"]
    return [
        Check(
            name="volume_drop",
            severity=drop.severity,
            expected=f"<= {drop.value:.0%} fewer rows",
            description_de="Die vollständige Liste ist nicht wesentlich kürzer als ihre Vorgängerin.",
            description_en="The full list is not much shorter than its predecessor.",
            rows=f"""
                select rows_clean || ' rows after ' || rows_predecessor as observed
                from t
                where rows_predecessor - rows_clean > greatest({few.value}, {drop.value} * rows_predecessor)
            """,
        ),
        Check(
            name="volume_jump",
            severity=jump.severity,
            expected=f"<= {jump.value} times the rows",
            description_de="Die vollständige Liste ist nicht um ein Vielfaches länger als ihre Vorgängerin.",
            description_en="The full list is not several times as long as its predecessor.",
            rows=f"""
                select rows_clean || ' rows after ' || rows_predecessor as observed
                from t
                where rows_clean - rows_predecessor > greatest({many.value}, ({jump.value} - 1) * rows_predecessor)
            """,
        ),
    ]


# -- types, NULLs, keys, provenance ----------------------------------------------------------------


def _shape(columns: Mapping[str, str], key: Sequence[str], required: Sequence[str], land_code: str, source: str) -> list[Check]:
    needed = dict.fromkeys([*PROVENANCE, *required])
    absent = [f"{name} missing" for name in dict.fromkeys([*needed, *key]) if name not in columns]
    mistyped = [f"{name} is {kind}" for name, kind in columns.items() if kind != _type_of(name, kind)]
    filled = [identifier(name) for name in needed if name in columns]
    unique = [name for name in dict.fromkeys(["land_code", *key]) if name in columns]
    key_of_row = {name: identifier(name) for name in unique}
    if "event_id" in columns and "event_id" not in unique:
        # an event is the one its id names; the natural key counts where no id was given
        key_of_row = {name: f"case when event_id is null then {part} end" for name, part in key_of_row.items()}
        key_of_row = {"event_id": "event_id", **key_of_row}
        unique = ["event_id", *unique]
    number = f"hash({', '.join(key_of_row.values())})"  # by which rows are compared first: many are
    checks = [
        Check(
            name="columns_typed",
            severity="error",
            expected="canonical columns and types",
            description_de="Alle kanonischen Spalten sind da und haben ihren Typ.",
            description_en="All canonical columns are there and have their type.",
            rows=f"select fault as observed from t, unnest({_list([*absent, *mistyped])}) as faults(fault)",
        ),
        Check(
            name="required_filled",
            severity="error",
            expected="no NULL",
            description_de="Pflichtspalten sind gefüllt.",
            description_en="Required columns are filled.",
            rows=f"select clean.* from clean, t where {' or '.join(f'clean.{name} is null' for name in filled) or 'false'}",
            keys=tuple(unique),
        ),
        Check(
            name="key_unique",
            severity="error",
            expected="one row per key",
            description_de="Jeder Schlüssel kommt einmal vor.",
            description_en="Every key occurs once.",
            rows=f"""
                select {", ".join(f"{part} as {identifier(name)}" for name, part in key_of_row.items())}
                from clean, t
                where {number} in (select {number} from clean group by all having count(*) > 1)
                group by all
                having count(*) > 1
            """,
            keys=tuple(unique),
        ),
        Check(
            name="one_delivery",
            severity="error",
            expected=f"source {source}, 1 delivery",
            description_de="Alle Zeilen nennen diese Quelle und dieselbe Lieferung.",
            description_en="All rows name this source and the same delivery.",
            rows=f"""
                select distinct clean.source, clean.delivery_id
                from clean, t
                where clean.source <> {literal(source)} or (select count(distinct delivery_id) from clean) > 1
            """,
        ),
    ]
    if land_code != "00":  # federal sources hold rows of all Länder
        checks.append(
            Check(
                name="land_is_own",
                column="land_code",
                severity="error",
                expected=land_code,
                description_de="Alle Zeilen tragen den Schlüssel des Landes.",
                description_en="All rows carry the Land's code.",
                rows=f"select distinct clean.land_code from clean, t where clean.land_code <> {literal(land_code)}",
                keys=("land_code",),
            )
        )
    return checks


def _type_of(name: str, kind: str) -> str:
    """The type that a canonical column of this name has; ``kind`` itself where the name says nothing."""
    if name.endswith("_on") or name in _DATES:
        return "DATE"
    if name.endswith("_at"):
        return "TIMESTAMP WITH TIME ZONE"
    if name.endswith("_eur"):
        return "DECIMAL(18,2)"
    if name.startswith("is_"):
        return "BOOLEAN"
    return kind


# -- dates, counts and proportions that cannot be --------------------------------------------------


def _plausibility(table: str, columns: Mapping[str, str], limit: Thresholds) -> list[Check]:
    earliest, horizon = limit["delivery_earliest_year"], limit["delivery_planning_horizon_years"]
    day = "cast(clean.delivered_at at time zone 'Europe/Berlin' as date)"
    happened = _HAPPENED.get(table, "")
    dates = [identifier(name) for name, kind in columns.items() if kind == "DATE"]
    counts = [identifier(name) for name, kind in columns.items() if _is_count(name, kind)]
    checks = []
    if dates:
        checks.append(
            Check(
                name="dates_within_horizon",
                severity=horizon.severity,
                expected=f"<= {horizon.value} years ahead",
                description_de="Kein Datum liegt unplausibel weit in der Zukunft.",
                description_en="No date lies implausibly far ahead.",
                rows=f"""
                    select clean.*
                    from clean, t
                    where {" or ".join(f"year(clean.{name}) > year({day}) + {horizon.value}" for name in dates)}
                """,
            )
        )
    if columns.get(happened) == "DATE":
        checks.append(
            Check(
                name="dates_plausible",
                column=happened,
                severity=earliest.severity,
                expected=f"{earliest.value} .. day of delivery",
                description_de="Geschehenes liegt zwischen dem Beginn der Dienste und der Lieferung.",
                description_en="What happened lies between the services' beginning and the delivery.",
                rows=f"""
                    select clean.*
                    from clean, t
                    where year({happened}) < {earliest.value} or ({happened} > {day} and not ({_ANNOUNCED.get(table, "false")}))
                """,
                keys=(happened,),
            )
        )
    if table == "case_volumes" and "year" in columns:
        checks.append(
            Check(
                name="dates_plausible",
                column="year",
                severity=earliest.severity,
                expected=f"{earliest.value} .. year of delivery",
                description_de="Das Jahr liegt zwischen dem Beginn der Dienste und der Lieferung.",
                description_en="The year lies between the services' beginning and the delivery.",
                rows=f"select clean.* from clean, t where clean.year not between {earliest.value} and year({day})",
                keys=("year",),
            )
        )
    if counts:
        checks.append(
            Check(
                name="counts_non_negative",
                severity="error",
                expected=">= 0",
                description_de="Keine Anzahl ist negativ.",
                description_en="No count is negative.",
                rows=f"select clean.* from clean, t where {' or '.join(f'clean.{name} < 0' for name in counts)}",
            )
        )
    if "channel" in columns and "started" in columns:
        checks += [_within_started(column, german) for column, german in _OUTCOMES.items() if column in columns]
        checks.append(_mostly_within_started(limit))
    return checks


#: What an application that was started can become, with the German word for it.
_OUTCOMES = {"submitted": "gestellt", "completed": "abgeschlossen"}


def _within_started(column: str, german: str) -> Check:
    return Check(
        name="sum_within_started",
        column=column,
        severity="error",
        expected=f"sum({column}) <= sum(started)",
        description_de=f"In der Summe sind online nicht mehr Anträge {german} als begonnen.",
        description_en=f"In sum, no more online applications are {column} than started.",
        rows=f"""
            select {column} || ' of ' || started || ' started' as observed
            from (
                select sum({column}) as {column}, sum(started) as started
                from clean, t
                where channel = 'online' and started is not null and {column} is not null
            )
            where {column} > started
        """,
    )


def _mostly_within_started(limit: Thresholds) -> Check:
    exceeding = limit["delivery_submitted_over_started_share_max"]
    return Check(
        name="submitted_within_started",
        column="submitted",
        severity=exceeding.severity,
        expected=f"<= {exceeding.value:.0%} of the rows exceed",
        description_de="Online werden kaum je mehr Anträge gestellt als begonnen.",
        description_en="Hardly ever are more online applications submitted than started.",
        rows=f"""
            select exceeding || ' of ' || known || ' rows' as observed
            from (
                select count(*) filter (submitted > started) as exceeding, count(*) as known
                from clean, t
                where channel = 'online' and started is not null and submitted is not null
            )
            where exceeding > {exceeding.value} * known
        """,
    )


def _is_count(name: str, kind: str) -> bool:
    whole = kind in ("BIGINT", "INTEGER", "UBIGINT") and name not in _NOT_COUNTS
    return whole or name.startswith("person_days") or name.endswith("_km2")


# -- words, age, the weekday, identifiers, authorities ---------------------------------------------


def _domains(columns: Mapping[str, str], words: Mapping[str, Sequence[str]]) -> list[Check]:
    broken = {
        name: f"cast(clean.{identifier(name)} as varchar) not in ({', '.join(map(literal, allowed))})"
        for name, allowed in words.items()
        if name in columns and allowed
    }
    if not broken:
        return []
    told = ", ".join(f"case when {condition} then {literal(name)} end" for name, condition in broken.items())
    return [
        Check(
            name="words_known",
            severity="error",
            expected=f"canonical words of {', '.join(broken)}",
            description_de="Wo es eine Liste der Wörter gibt, kommt kein anderes vor.",
            description_en="Where there is a list of words, no other occurs.",
            rows=f"select concat_ws(', ', {told}) as observed from clean, t where {' or '.join(broken.values())}",
        )
    ]


def _freshness(table: str, columns: Mapping[str, str], limit: Thresholds) -> list[Check]:
    """Whether anything in the delivery is recent: an export of last year may be flawless."""
    silence, happened = limit["delivery_silence_days_max"], _HAPPENED.get(table, "")
    if columns.get(happened) != "DATE":
        return []
    return [
        Check(
            name="fresh",
            column=happened,
            severity=silence.severity,
            expected=f"<= {silence.value} days before the delivery",
            description_de="Das Jüngste der Lieferung ist nicht lange her.",
            description_en="The newest of the delivery is not long ago.",
            rows=f"""
                select 'newest ' || newest || ', delivered ' || delivered as observed
                from (
                    select max({happened}) as newest, max(cast(clean.delivered_at at time zone 'Europe/Berlin' as date)) as delivered
                    from clean, t
                )
                where date_diff('day', newest, delivered) > {silence.value}
            """,
        )
    ]


def _weekday(history: Sequence[tuple[datetime, int]], limit: Thresholds) -> list[Check]:
    """Increments of one night against those of the same weekday: offices work from Monday to Friday."""
    drop, jump = limit["delivery_weekday_drop_share_max"], limit["delivery_weekday_jump_factor_max"]
    least, few = limit["delivery_weekday_nights_min"], limit["delivery_weekday_rows_tolerated"]
    nights = ", ".join(f"(timestamptz {literal(at.isoformat())}, {int(rows)})" for at, rows in history)
    return [
        Check(
            name="volume_of_weekday",
            severity=drop.severity,
            expected=f">= {1 - float(drop.value):.0%}, <= {jump.value} times the usual of the weekday",  # type: ignore[arg-type]
            description_de="Es kommen so viele Zeilen wie sonst an diesem Wochentag.",
            description_en="As many rows come as usual on this weekday.",
            rows=f"""
                select rows_clean || ' rows, usually ' || usual as observed
                from (
                    select t.rows_clean, median(nights.row_count) as usual, count(*) as nights
                    from t
                    cross join (values {nights}) as nights(received_at, row_count)
                    where
                        dayofweek(nights.received_at at time zone 'Europe/Berlin')
                        = (select dayofweek(max(delivered_at) at time zone 'Europe/Berlin') from clean)
                    group by t.rows_clean
                )
                where
                    nights >= {least.value}
                    and abs(rows_clean - usual) > {few.value}
                    and (rows_clean < (1 - {drop.value}) * usual or rows_clean > {jump.value} * usual)
            """,
        )
    ]


#: What identifies a row in its portal, what the row is about, and the day by which portals number.
_IDENTIFIED = {
    "event_id": (("authority_id", "service_id"), "reported_at"),
    "entry_id": (("category", "payer", "authority_id", "service_id"), "booked_on"),
}


def _identity(columns: Mapping[str, str], limit: Thresholds, *, whole: bool) -> list[Check]:
    """Identifiers against the predecessor's: they keep their meaning, and rise where they rose. Of whole lists also: who is missing."""
    checks = []
    for name, (about, day) in _IDENTIFIED.items():
        if name not in columns or day not in columns or not columns.keys() >= set(about):
            continue
        checks.append(_identifiers_kept(name, about, limit))
        if whole:
            checks.append(_identifiers_rise(name, day, limit))
    unit = next((name for name in ("authority_id", "ags") if name in columns), None)
    if whole and unit is not None:
        lost, few = limit["delivery_authorities_lost_share_max"], limit["delivery_authorities_lost_tolerated"]
        checks.append(
            Check(
                name="authorities_complete",
                column=unit,
                severity=lost.severity,
                expected=f"<= {lost.value:.0%} fewer than in the delivery before",
                description_de="Die vollständige Liste nennt dieselben Behörden oder Gemeinden wie ihre Vorgängerin.",
                description_en="The full list names the same authorities or municipalities as its predecessor.",
                rows=f"""
                    select lost || ' of ' || known || ' missing' as observed
                    from (
                        select count(*) as known, count(*) filter ({unit} not in (select {unit} from clean where {unit} is not null)) as lost
                        from (select distinct {unit} from predecessor, t where {unit} is not null)
                    )
                    where lost > greatest({few.value}, {lost.value} * known)
                """,
            )
        )
    return checks


def _identifiers_kept(name: str, about: Sequence[str], limit: Thresholds) -> Check:
    changed, least = limit["delivery_identifiers_changed_share_max"], limit["delivery_identifiers_rows_min"]
    differs = " or ".join(f"n.{column} is distinct from o.{column}" for column in about)
    return Check(
        name="identifiers_kept",
        column=name,
        severity=changed.severity,
        expected=f"<= {changed.value:.0%} name something else",
        description_de="Bekannte Kennungen bezeichnen noch dasselbe, nichts wurde neu nummeriert.",
        description_en="Known identifiers still name the same, nothing was renumbered.",
        rows=f"""
            select changed || ' of ' || known as observed
            from (
                select count(*) as known, count(*) filter ({differs}) as changed
                from clean as n
                inner join predecessor as o using ({name})
                cross join t
            )
            where known >= {least.value} and changed > {changed.value} * known
        """,
    )


def _identifiers_rise(name: str, day: str, limit: Thresholds) -> Check:
    """Asked where the predecessor's numbers rise from day to day (per text before the number)."""
    behind, least = limit["delivery_identifiers_behind_rows_max"], limit["delivery_identifiers_rows_min"]
    parts = f"regexp_extract({name}, '^(.*?)([0-9]{{1,15}})$', 1) as stem, try_cast(regexp_extract({name}, '([0-9]{{1,15}})$', 1) as bigint) as number"
    return Check(
        name="identifiers_rise",
        column=name,
        severity=behind.severity,
        expected=f"<= {behind.value} new ones below the highest known",
        description_de="Neue Kennungen folgen auf die bekannten, wo fortlaufend nummeriert wird.",
        description_en="New identifiers follow the known ones where numbers rise.",
        rows=f"""
            with known as (
                select {name}, {parts}, cast({day} as timestamp) as told_at from predecessor
            ),
            stems as (
                select stem, max(number) as highest
                from (
                    select
                        stem,
                        number,
                        max(number) over (
                            partition by stem order by told_at range between unbounded preceding and interval 1 microsecond preceding
                        ) as highest_before
                    from known
                    where number is not null
                )
                group by stem
                having count(*) >= {least.value} and bool_and(coalesce(number > highest_before, true))
                    and max(number) - min(number) < 100 * count(*)
            ),
            counted as (
                select count(*) as behind
                from (select {name}, {parts} from clean, t where {name} not in (select {name} from predecessor where {name} is not null)) as new
                inner join stems using (stem)
                where new.number < stems.highest
            )
            select behind || ' new ones below the highest known' as observed from counted where behind > {behind.value}
        """,
    )


# -- the unit of amounts ---------------------------------------------------------------------------


def _unit(key: Sequence[str], limit: Thresholds) -> list[Check]:
    """Amounts against the predecessor's: the same entries, and new entries against known ones of their category."""
    factor, least = limit["delivery_unit_slip_factor_max"], limit["delivery_unit_slip_rows_min"]
    same = " and ".join(f"n.{name} is not distinct from o.{name}" for name in map(identifier, dict.fromkeys(["land_code", *key])))

    def slipped(pairs: str) -> str:
        """The median factor between amounts (now, before) of ``pairs``, where it is beyond the limit."""
        return f"""
            select 'amounts changed by a factor of ' || round(factor, 4) as observed
            from (select exp(median(ln(now / before))) as factor, count(*) as rows from t, ({pairs}) where now > 0 and before > 0)
            where rows >= {least.value} and factor not between 1.0 / {factor.value} and {factor.value}
        """

    return [
        Check(
            name="unit_unchanged",
            column="amount_eur",
            severity=factor.severity,
            expected=f"factor < {factor.value}",
            description_de="Bekannte Buchungen haben ihre Einheit behalten (Euro, nicht T€ oder Cent).",
            description_en="Known bookings kept their unit (euros, not thousands or cents).",
            rows=slipped(
                f"""
                select cast(abs(n.amount_eur) as double) as now, cast(abs(o.amount_eur) as double) as before
                from clean as n
                inner join predecessor as o on {same}
                """
            ),
        ),
        Check(
            name="unit_of_new_rows",
            column="amount_eur",
            severity=factor.severity,
            expected=f"factor < {factor.value}",
            description_de="Neue Buchungen haben die Einheit der bekannten (Euro, nicht T€ oder Cent).",
            description_en="New bookings have the unit of the known ones (euros, not thousands or cents).",
            rows=slipped(
                f"""
                select cast(abs(n.amount_eur) as double) as now, usual.before
                from clean as n
                inner join (
                    select category, cast(median(abs(amount_eur)) as double) as before
                    from predecessor
                    where amount_eur <> 0
                    group by category
                    having count(*) >= {least.value}
                ) as usual on usual.category = n.category
                where not exists (select 1 from predecessor as o where {same})
                """
            ),
        ),
    ]


def _list(texts: Sequence[str]) -> str:
    """``texts`` as a SQL list, also where there are none."""
    return f"cast([{', '.join(literal(text) for text in texts)}] as varchar[])"
