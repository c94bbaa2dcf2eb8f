"""What every canonical table's cleaning has in common: a raw frame of text becomes a clean frame and a quarantine frame.

Belongs here: mapping delivered columns and words, reading dates, instants, numbers and truth values, the rules that follow from the
declaration in ``ingest.tables``, the resolution of region keys, duplicates and conflicts. Does not: what is particular to one table
(its module beside this one), reading formats (``ingest.portals``), who is competent where (``ingest.directory``).

Every row gets at most one finding, the first in the order of ``RULE_ORDER``. Whether a row has one is a single expression over whole
columns; which one, and the sentence that explains it, is computed for the rows that have one. A delivery is read once and written by
streaming; only the keys are looked at a second time, for duplicates.

Where a reader hands over each column as codes of its distinct texts, the same expressions are tried on the distinct texts instead of on
every row (:class:`_Look`), and only rows with something wrong are looked at whole.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from ingest import clock
from ingest.directory import Reference, normalised_key
from ingest.tables import FEDERAL, LAND_CODES, TABLES, Delivered, Table

#: A row is quarantined under the first of these that it breaks.
RULE_ORDER = (
    "wrong_unit",
    "malformed",
    "missing",
    "unknown_value",
    "wrong_land",
    "unknown_key",
    "ambiguous_key",
    "out_of_range",
    "future_date",
    "duplicate",
    "conflict",
)

#: Columns of every quarantine file.
QUARANTINE_SCHEMA = pl.Schema(
    {
        "land_code": pl.String(),
        "source": pl.String(),
        "table": pl.String(),
        "delivery_id": pl.String(),
        "delivered_at": pl.Datetime("us", "UTC"),
        "row_number": pl.Int64(),
        "rule": pl.String(),
        "column": pl.String(),
        "reason": pl.String(),
        "reason_en": pl.String(),
        "raw": pl.String(),
    }
)

MAX_TEXT_CHARACTERS = 2_000
EARLIEST_DATE = date(1900, 1, 1)
LATEST_DATE = date(2100, 1, 1)
_SHOWN_CHARACTERS = 60
_PARTITION_ROWS = 20_000_000  # keys of so many rows are compared at once (about 1 GB)
_SLICE_ROWS = 1_000_000  # so many rows of codes become values at once (about 150 MB)

_PROVENANCE = tuple(Delivered.column_names())
_KNOWN_COLUMNS = {name for table in TABLES.values() for name in table.schema.columns()} - set(_PROVENANCE) | {"region_key"}

_CONTROL = r"[\p{Cc}\x{202A}-\x{202E}\x{2066}-\x{2069}]"  # control characters, and those that reverse what a reader sees
_FORMULA = r"^(?:[=@]|[+-].)"
_TRUE = ("ja", "j", "true", "wahr", "yes", "y", "x", "1", "1.0")
_FALSE = ("nein", "n", "false", "falsch", "no", "0", "0.0")

#: Units as people write them behind or before a number. A unit that a column does not expect is ``wrong_unit``.
_UNITS: Mapping[str, str] = {
    "eur": r"€|EUR|Euro",
    "thousand_eur": r"T\s?€|T\s?EUR|k\s?€|k\s?EUR|Tsd\.?\s?(?:€|EUR|Euro)",
    "million": r"Mio\.?(?:\s?(?:€|EUR|Euro))?|Mrd\.?(?:\s?(?:€|EUR|Euro))?",
    "thousand": r"Tsd\.?",
    "cent": r"ct\.?|Cents?|¢",
    "other_currency": r"US\$|USD|\$|CHF|£|GBP",
    "day": r"PT|Tage?|Personentage?",
    "hour": r"h|Std\.?|Stunden?",
    "longer_than_a_day": r"PW|PM|PJ|Wochen?|Monate?|Jahre?",
    "km2": r"km²|km2|qkm",
    "other_area": r"ha|m²|m2|qm",
    "percent": r"%",
}
_HEADER_UNIT = re.compile(r"(?i)(?:^|[^a-zäöüß])(?:T€|TEUR|k€|kEUR|Tsd\.?\s?(?:€|EUR|Euro)?|Mio\.?|ct|Cents?)(?:$|[^a-zäöüß])")


@dataclass(frozen=True)
class Context:
    """What cleaning one delivery knows besides its rows. ``reading`` has ``date``, ``decimal`` and ``thousands``."""

    table: Table
    land_code: str
    source: str
    delivery_id: str
    delivered_at: datetime
    reference: Reference | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reading: Any = None

    @property
    def delivered_on(self) -> date:
        """The Berlin day of receipt: no report lies after it."""
        return clock.day_of(self.delivered_at)

    @property
    def is_federal(self) -> bool:
        """Whether each row's own region tells its Land."""
        return self.land_code == FEDERAL

    @property
    def resolves(self) -> bool:
        """Whether rows of this table name an authority that is looked up."""
        return self.table.day is not None

    @property
    def mapped_columns(self) -> list[str]:
        """The columns that the Land file may map."""
        return [*self.own_columns, *(["region_key"] if self.resolves else [])]

    @functools.cached_property
    def own_columns(self) -> dict[str, pl.DataType]:
        """The canonical columns that a delivery brings, with their types."""
        return {name: dtype for name, dtype in self.table.polars_schema().items() if name not in _PROVENANCE}


@dataclass(frozen=True)
class Check:
    """One way to be wrong: the rows where ``breaks`` is true. ``column`` is canonical; ``expected`` completes "erwartet wird …".

    ``is_detail``: it says why a delivered text has no value of its type; a row with all its values cannot break it.
    """

    rule: str
    column: str | None
    breaks: pl.Expr
    expected: str
    expected_en: str
    is_detail: bool = False


@dataclass(frozen=True)
class TableRules:
    """What is particular to one table.

    ``prepare``: changes the text columns (canonical names) before they are typed.
    ``derive``: expressions over typed columns, each under the name of the typed column that it replaces.
    ``checks``: further checks over the typed columns; ``text(name)`` is a column as delivered.
    ``units``: units (keys of the list above) that a number of this column may carry.
    ``land_key``: the column whose first two digits tell the row's Land.
    ``day``: the day on which a row's key is resolved, where it is not simply the column ``Table.day``.
    ``may_lie_ahead``: rows that ``future_date`` leaves alone.
    ``optional``: non-nullable columns that ``prepare`` fills where they are not delivered.
    ``key``: what two rows have in common that are duplicates or conflict, where it is not simply the columns ``Table.key``.
    """

    prepare: Callable[[pl.LazyFrame, Context], pl.LazyFrame] | None = None
    derive: Callable[[Context], list[pl.Expr]] | None = None
    checks: Callable[[Context], Iterable[Check]] | None = None
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    land_key: str | None = None
    day: Callable[[Context], pl.Expr] | None = None
    may_lie_ahead: pl.Expr | None = None
    optional: tuple[str, ...] = ()
    key: Callable[[], list[pl.Expr]] | None = None


@dataclass(frozen=True)
class Outcome:
    """What cleaning one delivery found; the rows themselves are in the two files."""

    rows_delivered: int
    rows_clean: int
    quarantined: dict[str, int]
    unknown_columns: list[str]
    missing_columns: list[str]
    problem: str | None
    problem_en: str | None


def text(column: str) -> pl.Expr:
    """A canonical column as delivered: stripped text after the mapping of words, NULL where nothing was delivered."""
    return pl.col(f"text:{column}")


def clean_frame(raw: pl.LazyFrame, context: Context, rules: TableRules, clean_path: Path, quarantine_path: Path) -> Outcome:
    """Clean one delivery: write its clean rows (``Table.polars_schema()``) and its quarantined rows (``QUARANTINE_SCHEMA``).

    ``raw`` holds text columns (String, or all of them Categorical) under their delivered names, ``_row`` (1-based) and, where the
    format's reader could not read a row, ``_malformed`` with its reason in German. Where the reader put rows into other words, the
    struct ``_delivered`` is the row as it came. Every row ends in exactly one of the two files, both zstd Parquet.
    Memory: the frame streams, codes do not (4 bytes a cell); for duplicates a hash per row is held.
    """
    delivered = [name for name in raw.collect_schema().names() if name not in ("_row", "_malformed", "_delivered")]
    # by position: a delivered name may be anything, also a pattern for columns
    raw = raw.rename({name: f"raw:{position}" for position, name in enumerate(delivered)})
    mapping = _map_columns(delivered, context, rules)
    look = _Look.at(raw, delivered, mapping, context, rules)
    doubtful = raw if look is None else look.doubtful

    stage = clean_path.with_name(f"{clean_path.name}.stage")
    stage_bad = quarantine_path.with_name(f"{quarantine_path.name}.stage")
    try:
        if look is not None and look.rows_right == look.height:
            rows_delivered, clean, quarantined = look.height, look.rows(), pl.DataFrame(schema=QUARANTINE_SCHEMA).lazy()
        else:
            typed, checks = _checked(doubtful, delivered, mapping, context, rules)
            good = typed.filter(~pl.col("_is_wrong")).select("_row", *context.table.polars_schema().names())
            bad = _explained(typed.filter(pl.col("_is_wrong")), checks, mapping, delivered, context)
            rows_delivered = int(
                pl.collect_all(
                    [
                        doubtful.select(pl.len()),
                        good.sink_parquet(stage, lazy=True, compression="zstd", compression_level=1),
                        bad.sink_parquet(stage_bad, lazy=True, compression="zstd", compression_level=1),
                    ],
                    engine="streaming",
                )[0].item()
            )
            clean, quarantined = pl.scan_parquet(stage), pl.scan_parquet(stage_bad)
            if look is not None:
                rows_delivered += look.rows_right
                is_none_right = int(clean.select(pl.len()).collect().item()) == 0
                clean = look.rows() if is_none_right else pl.concat([look.rows(), clean]).sort("_row")
        counts = quarantined.group_by("rule").agg(pl.len()).collect()
        repeated = _repeated(clean, rules, context, look.constant if look is not None else frozenset())
        if repeated.height:
            counts = pl.concat([counts, repeated.group_by("rule").agg(pl.len())])
            again = _raw_text(raw.join(repeated.lazy(), on="_row", how="inner"), delivered)
            quarantined = pl.concat([quarantined, again.select(_quarantine_columns(context))])
            clean = clean.join(repeated.lazy().select("_row"), on="_row", how="anti", maintain_order="left")
        clean.drop("_row").sink_parquet(clean_path, compression="zstd")
        quarantined.sort("row_number", maintain_order=True).sink_parquet(quarantine_path, compression="zstd")
        rows_clean = int(pl.scan_parquet(clean_path).select(pl.len()).collect().item())
    finally:
        stage.unlink(missing_ok=True)
        stage_bad.unlink(missing_ok=True)

    by_rule = dict(counts.rows())
    problem, problem_en = _problem(mapping, context)
    return Outcome(
        rows_delivered=rows_delivered,
        rows_clean=rows_clean,
        quarantined={rule: by_rule[rule] for rule in RULE_ORDER if rule in by_rule},
        unknown_columns=mapping.unknown,
        missing_columns=mapping.missing,
        problem=problem,
        problem_en=problem_en,
    )


# ---------------------------------------------------------------------------------------------------------------- columns and words


@dataclass(frozen=True)
class _Mapping:
    """``delivered``: canonical -> delivered column name; ``missing``: delivered names that are not there; ``blocking``: canonical
    columns without which no row can be clean."""

    delivered: dict[str, str]
    missing: list[str]
    blocking: list[str]
    unknown: list[str]

    def shown(self, column: str | None, quotes: str) -> str | None:
        """A column in quotation marks under its delivered name, with ours where it differs."""
        if column is None:
            return None
        name = self.delivered.get(column, column)
        return f"{quotes[0]}{name}{quotes[1]}" + ("" if name == column else f" ({column})")


def _map_columns(delivered: list[str], context: Context, rules: TableRules) -> _Mapping:
    own = context.mapped_columns
    found: dict[str, str] = {}
    missing: list[str] = []
    for column in own:
        name = context.columns.get(column)
        if name is not None and name in delivered:
            found[column] = name
        elif name is not None:
            missing.append(name)
        elif column not in context.constants and column in delivered:
            found[column] = column
    needed = []
    declared = context.table.schema.columns()
    for column in context.own_columns:
        has_value = column in found or column in context.constants or column in (context.table.defaults or {})
        is_optional = column in rules.optional and column not in context.columns  # what a Land file maps must be there
        if declared[column].nullable or has_value or is_optional:
            continue
        if column == "authority_id" and context.resolves and ("region_key" in found or "region_key" in context.constants):
            continue
        needed.append(column)
    if not delivered:  # an answer without rows has no columns to miss
        missing, needed = [], []
    used = {*found.values(), *context.columns.values()}
    unknown = [name for name in delivered if name not in used and name not in _KNOWN_COLUMNS]
    for column in needed:
        if column not in context.columns:
            missing.append(column)
    return _Mapping(found, missing, needed, unknown)


def _problem(mapping: _Mapping, context: Context) -> tuple[str | None, str | None]:
    """The sentence about a delivery none of whose rows can be clean."""
    if mapping.blocking:
        names = ", ".join(f"„{context.columns.get(column, column)}“" for column in mapping.blocking)
        english = ", ".join(f'"{context.columns.get(column, column)}"' for column in mapping.blocking)
        return (
            f"Der Lieferung {context.land_code}/{context.source} fehlt die Spalte {names}: "
            "die Spalte liefern oder die Zuordnung „columns“ der Länderdatei anpassen.",
            f"The delivery {context.land_code}/{context.source} lacks the column {english}: "
            'deliver it or correct "columns" in the Land file.',
        )
    if context.resolves and context.reference is None:
        return (
            f"Die Behörden der Lieferung {context.land_code}/{context.source} können nicht zugeordnet werden, "
            "solange kein Gemeindeverzeichnis vorliegt: zuerst das Gemeindeverzeichnis liefern.",
            f"The authorities of the delivery {context.land_code}/{context.source} cannot be resolved without a municipal directory: "
            "deliver the directory first.",
        )
    return None, None


def _checked(
    raw: pl.LazyFrame, delivered: list[str], mapping: _Mapping, context: Context, rules: TableRules
) -> tuple[pl.LazyFrame, list[Check]]:
    """The frame with text and typed columns, provenance and ``_is_wrong``, and the checks of which such a row breaks at least one.

    Most checks only say what is wrong with a text that has no value, so they need not be tried on rows whose values are all there.
    """
    names = raw.collect_schema().names()
    malformed = pl.col("_malformed").cast(pl.String) if "_malformed" in names else pl.lit(None, pl.String)
    frame = raw.select(
        pl.col("_row").cast(pl.Int64),
        malformed.alias("_malformed"),
        *[pl.col(f"raw:{position}").cast(pl.String) for position in range(len(delivered))],
        *(["_delivered"] if "_delivered" in names else []),
    )
    frame = frame.with_columns(
        [_delivered_text(column, delivered, mapping, context).alias(f"text:{column}") for column in context.mapped_columns]
    )
    if rules.prepare:
        frame = rules.prepare(frame, context)
    for values in zip(*[_values(column, context, rules) for column in context.own_columns], strict=True):
        frame = frame.with_columns(values)
    if context.resolves:
        frame = _resolved(frame.with_columns(_epoch(context, rules), _region()), context)
    if rules.derive:
        frame = frame.with_columns(rules.derive(context))
    checks = _checks(mapping, context, rules)
    return frame.with_columns(
        pl.any_horizontal(_findings(checks, context)).fill_null(False).alias("_is_wrong"),
        _row_land(context, rules).alias("land_code"),
        *_provenance(context),
    ), checks


def _values(column: str, context: Context, rules: TableRules) -> tuple[pl.Expr, pl.Expr]:
    """A typed column from its text, in two steps: the value, and what stands for it where nothing was delivered."""
    typed = _typed(column, context.own_columns[column], context, rules).alias(column)
    defaults = context.table.defaults or {}
    if column not in defaults:
        return typed, pl.col(column)
    return typed, pl.when(text(column).is_null()).then(pl.lit(defaults[column])).otherwise(pl.col(column)).alias(column)


def _checks(mapping: _Mapping, context: Context, rules: TableRules) -> list[Check]:
    """Every check of a delivery's rows, in the order in which they tell."""
    checks = _resolution_checks(context) if context.resolves else []
    checks += _declared_checks(mapping, context, rules)
    checks += rules.checks(context) if rules.checks else []
    checks += _land_checks(context, rules)
    return sorted(checks, key=lambda check: RULE_ORDER.index(check.rule))


def _findings(checks: list[Check], context: Context) -> list[pl.Expr]:
    """What makes a row wrong, each true or not, or NULL where it cannot be said."""
    valueless = [
        text(column).is_not_null() & pl.col(column).is_null()
        for column, dtype in context.own_columns.items()
        if not isinstance(dtype, pl.String)
    ]
    return [*valueless, *[check.breaks for check in checks if not check.is_detail]]


def _provenance(context: Context) -> list[pl.Expr]:
    return [
        pl.lit(context.source).alias("source"),
        pl.lit(context.delivery_id).alias("delivery_id"),
        pl.lit(context.delivered_at).cast(pl.Datetime("us", "UTC")).alias("delivered_at"),
    ]


def _delivered_text(column: str, delivered_names: list[str], mapping: _Mapping, context: Context) -> pl.Expr:
    if column in mapping.delivered:
        stripped = pl.col(f"raw:{delivered_names.index(mapping.delivered[column])}").cast(pl.String).str.strip_chars()
        delivered = pl.when(stripped != "").then(stripped)
        words = {str(word).strip(): _word(value) for word, value in context.values.get(column, {}).items()}
        return delivered.replace(list(words), list(words.values())) if words else delivered
    if column in context.constants:
        return pl.lit(_word(context.constants[column]), pl.String)
    return pl.lit(None, pl.String)


def _word(value: Any) -> str | None:
    """A value of the Land file as the text that a delivery would carry."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # also a datetime
        return value.isoformat()
    return str(value)


# ---------------------------------------------------------------------------------------------------------------------------- types


def _typed(column: str, dtype: pl.DataType, context: Context, rules: TableRules) -> pl.Expr:
    """A text column as its canonical type, NULL where the text is no such value."""
    delivered = text(column)
    is_constant = column not in context.columns and column in context.constants
    reading = None if is_constant else context.reading
    if isinstance(dtype, pl.Enum):
        return delivered.cast(dtype, strict=False)
    if dtype == pl.Boolean:
        lower = delivered.str.to_lowercase()
        return pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False)
    if dtype == pl.Date:
        return _as_date(delivered, reading)
    if isinstance(dtype, pl.Datetime):
        return _as_instant(delivered, reading)
    if dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.Decimal):
        return _as_number(delivered, dtype, reading, rules.units.get(column, ()))
    declared = context.table.schema.columns()[column]
    is_digits = _is_digits(getattr(declared, "regex", None))
    return delivered.str.replace_all(" ", "", literal=True) if is_digits else delivered


def _is_digits(regex: str | None) -> bool:
    """Whether a declared pattern is a key of digits only, in which people leave spaces."""
    return regex is not None and re.fullmatch(r"\^(99)?\[0-9\]\{[0-9,]+\}\$", regex) is not None


def _option(reading: Any, name: str) -> str | None:
    value = getattr(reading, name, None)
    return value or None


def _date_formats(reading: Any) -> list[str]:
    stated = _option(reading, "date")
    return [stated] if stated else []


def _as_date(delivered: pl.Expr, reading: Any) -> pl.Expr:
    """A day: in the stated format, as ISO date or month (its first day), or as an instant (its day in Berlin)."""
    attempts = []
    for stated in _date_formats(reading):
        whole = stated if "%d" in stated or "%j" in stated or "%e" in stated else f"{stated}|%d"
        source = delivered if whole is stated else delivered + pl.lit("|01")
        attempts.append(source.str.to_date(whole, strict=False))
    attempts.append(delivered.str.to_date("%Y-%m-%d", strict=False))
    month = pl.when(delivered.str.len_bytes() <= 7).then(delivered)
    attempts.append((month + pl.lit("-01")).str.to_date("%Y-%m-%d", strict=False))
    attempts.append(_zoned(delivered).dt.convert_time_zone("Europe/Berlin").dt.date())
    attempts.append(_naive(delivered, reading).dt.date())
    return pl.coalesce(attempts)


def _as_instant(delivered: pl.Expr, reading: Any) -> pl.Expr:
    """An instant in UTC; one without offset is Berlin's, the earlier one in the doubled hour, NULL in the hour that is left out."""
    naive = pl.coalesce(
        _naive(delivered, reading),
        *[delivered.str.to_datetime(f"{stated} %H:%M:%S", strict=False, time_unit="us") for stated in _date_formats(reading)],
        *[delivered.str.to_datetime(f"{stated} %H:%M", strict=False, time_unit="us") for stated in _date_formats(reading)],
        *[
            delivered.str.to_date(stated, strict=False).cast(pl.Datetime("us"))
            for stated in _date_formats(reading)
            if "%d" in stated
        ],
        delivered.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
    )
    berlin = naive.dt.replace_time_zone("Europe/Berlin", ambiguous="earliest", non_existent="null")
    return pl.coalesce(_zoned(delivered), berlin.dt.convert_time_zone("UTC"))


def _long(delivered: pl.Expr) -> pl.Expr:
    """Only text that is longer than a day: what is NULL costs nothing to parse."""
    return pl.when(delivered.str.len_bytes() > 10).then(delivered)


def _zoned(delivered: pl.Expr) -> pl.Expr:
    iso = _long(delivered).str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r" ?([+-]\d{2}:?\d{2}|Z)$", "$1")
    return pl.coalesce(
        iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC"),
        iso.str.to_datetime("%Y-%m-%dT%H:%M%#z", strict=False, time_unit="us", time_zone="UTC"),
    )


def _naive(delivered: pl.Expr, reading: Any) -> pl.Expr:
    iso = _long(delivered).str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    return pl.coalesce(
        iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"),
        iso.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us"),
    )


def _as_number(delivered: pl.Expr, dtype: pl.DataType, reading: Any, units: tuple[str, ...]) -> pl.Expr:
    """A number without its expected unit. A DECIMAL is rounded to its scale, halves away from zero."""
    if dtype.is_integer():  # most are plain digits: only the others take the long way
        plain = delivered.cast(pl.Int64, strict=False)
        delivered = pl.when(plain.is_null()).then(delivered)
    bare = delivered.str.replace_all("−", "-", literal=True)
    if units:
        accepted = "|".join(_UNITS[unit] for unit in units)
        bare = bare.str.replace(rf"(?i)\s*(?:{accepted})$", "").str.replace(rf"(?i)^(?:{accepted})\s*", "")
    decimal, thousands = _option(reading, "decimal") or ".", _option(reading, "thousands")
    whole = r"\d+" if not thousands else rf"(?:\d+|\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+)"
    point = re.escape(decimal)
    pattern = rf"^[+-]?{whole}(?:{point}0+)?$" if dtype.is_integer() else rf"^[+-]?{whole}(?:{point}\d+)?(?:[eE][+-]?\d{{1,2}})?$"
    number: pl.Expr = pl.when(bare.str.contains(pattern)).then(bare)
    if thousands:
        number = number.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        number = number.str.replace(decimal, ".", literal=True)
    number = number.str.strip_prefix("+")
    if dtype.is_integer():
        return pl.coalesce(plain, number.str.replace(r"\..*$", "").cast(pl.Int64, strict=False))
    if dtype.is_float():
        value = number.cast(pl.Float64, strict=False)
        return pl.when(value.is_finite()).then(value)
    assert isinstance(dtype, pl.Decimal)
    return number.cast(pl.Decimal(38, 8), strict=False).round(dtype.scale, mode="half_away_from_zero").cast(dtype, strict=False)


# --------------------------------------------------------------------------------------------------------------------------- checks


def _declared_checks(mapping: _Mapping, context: Context, rules: TableRules) -> Iterable[Check]:
    """The checks that follow from the declaration of the table."""
    yield Check("malformed", None, pl.col("_malformed").is_not_null(), "eine lesbare Zeile", "a readable row")
    declared = context.table.schema.columns()
    for column, dtype in context.own_columns.items():
        delivered, typed = text(column), pl.col(column)
        is_given = delivered.is_not_null()
        numeric = dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.Decimal)
        regex = getattr(declared[column], "regex", None)
        if numeric:
            yield from _unit_checks(column, dtype, mapping, context, rules)
        if isinstance(dtype, (pl.String, pl.Enum)):
            yield from _hygiene_checks(column, is_detail=isinstance(dtype, pl.Enum))
        if column == "authority_id" and context.resolves:
            assert regex is not None
            yield Check("malformed", column, is_given & ~delivered.str.contains(regex), *_EXPECTED["authority_id"])
        elif regex is not None:
            yield Check(
                "malformed", column, is_given & typed.is_not_null() & ~typed.str.contains(regex), *_pattern(column, regex)
            )
        if not isinstance(dtype, (pl.String, pl.Enum)):
            too_large = delivered.str.contains(r"^[+-]?[\d.,']{17,}$") if numeric else pl.lit(False)
            valueless = is_given & typed.is_null()
            yield Check("malformed", column, valueless & ~too_large, *_expected(dtype, context), is_detail=True)
            if numeric:
                yield Check("out_of_range", column, valueless & too_large, *_range(declared[column]), is_detail=True)
        if isinstance(dtype, pl.Enum):
            categories = ", ".join(dtype.categories)
            valueless = is_given & typed.is_null()
            yield Check("unknown_value", column, valueless, f"eines von {categories}", f"one of {categories}", is_detail=True)
        is_resolved = column == "authority_id" and context.resolves  # checked where keys are resolved
        if not declared[column].nullable and not is_resolved:
            given = typed if column in rules.optional or column in (context.table.defaults or {}) else delivered
            yield Check("missing", column, given.is_null() & delivered.is_null(), "ein Wert", "a value")
        if numeric:
            low, high = getattr(declared[column], "min", None), getattr(declared[column], "max", None)
            if low is not None or high is not None:
                outside = (typed < low if low is not None else pl.lit(False)) | (
                    typed > high if high is not None else pl.lit(False)
                )
                yield Check("out_of_range", column, outside, *_range(declared[column]))
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            day = typed if dtype == pl.Date else typed.dt.convert_time_zone("Europe/Berlin").dt.date()
            yield Check(
                "out_of_range",
                column,
                (day < EARLIEST_DATE) | (day >= LATEST_DATE),
                f"ein Tag ab {EARLIEST_DATE:%d.%m.%Y} und vor {LATEST_DATE:%d.%m.%Y}",
                f"a day from {EARLIEST_DATE} on and before {LATEST_DATE}",
            )
            if column in context.table.past_only:
                ahead = day > context.delivered_on
                if rules.may_lie_ahead is not None:
                    ahead = ahead & ~(rules.may_lie_ahead.fill_null(False) if column == context.table.day else pl.lit(False))
                yield Check(
                    "future_date",
                    column,
                    ahead,
                    f"ein Tag bis zum Tag der Lieferung, {context.delivered_on:%d.%m.%Y}",
                    f"a day up to the day of delivery, {context.delivered_on}",
                )


def _hygiene_checks(column: str, is_detail: bool) -> Iterable[Check]:
    delivered = text(column)
    unsafe = delivered.str.contains(_CONTROL) | delivered.str.contains(_FORMULA)
    yield Check(
        "malformed",
        column,
        unsafe,
        "Text ohne Steuerzeichen, der nicht mit =, +, - oder @ beginnt",
        "text without control characters that does not begin with =, +, - or @",
        is_detail,
    )
    yield Check(
        "malformed",
        column,
        delivered.str.len_chars() > MAX_TEXT_CHARACTERS,
        f"höchstens {MAX_TEXT_CHARACTERS} Zeichen",
        f"at most {MAX_TEXT_CHARACTERS} characters",
        is_detail,
    )


def _unit_checks(column: str, dtype: pl.DataType, mapping: _Mapping, context: Context, rules: TableRules) -> Iterable[Check]:
    accepted = rules.units.get(column, ())
    wrong = "|".join(pattern for unit, pattern in _UNITS.items() if unit not in accepted)
    number = r"[+\-−]?\d[\d.,'\s]*"
    expected, expected_en = _UNIT_EXPECTED.get(
        accepted[0] if accepted else "", ("eine Zahl ohne Einheit", "a number without unit")
    )
    is_marked = text(column).str.contains(rf"(?i)^(?:{number}(?:{wrong})|(?:{wrong})\s*{number})$")
    names_unit = isinstance(dtype, pl.Decimal) and _HEADER_UNIT.search(mapping.delivered.get(column, "")) is not None
    if names_unit:
        is_marked = text(column).is_not_null()  # the header itself names the wrong unit
    yield Check("wrong_unit", column, is_marked, expected, expected_en, is_detail=not names_unit)


_UNIT_EXPECTED = {
    "eur": ("ein Betrag in Euro (EUR)", "an amount in EUR"),
    "day": ("Personentage (PT)", "person-days (PT)"),
    "km2": ("eine Fläche in km²", "an area in km²"),
}

_EXPECTED = {
    "authority_id": ("<Art>/<Schlüssel> wie meldebehoerde/09184112", "<kind>/<key> like meldebehoerde/09184112"),
    "region_key": (
        "ein AGS (8 Ziffern), ARS (12) oder dessen erste 2, 3, 5 oder 9 Ziffern, mit führender Null",
        "an AGS (8 digits), an ARS (12) or its first 2, 3, 5 or 9 digits, with the leading zero",
    ),
}


def _pattern(column: str, regex: str) -> tuple[str, str]:
    digits = re.fullmatch(r"\^(99)?\[0-9\]\{(\d+)\}\$", regex)
    if digits:
        count = int(digits[2]) + len(digits[1] or "")
        start = f", beginnend mit {digits[1]}" if digits[1] else ", mit führender Null"
        start_en = f" that begin with {digits[1]}" if digits[1] else ", with the leading zero"
        return f"{count} Ziffern{start}", f"{count} digits{start_en}"
    return f"ein Wert der Form {regex}", f"a value of the form {regex}"


def _expected(dtype: pl.DataType, context: Context) -> tuple[str, str]:
    formats = " oder ".join([*_spelt(context.reading, _GERMAN), "JJJJ-MM-TT"])
    english = " or ".join([*_spelt(context.reading, _ENGLISH), "YYYY-MM-DD"])
    if dtype == pl.Boolean:
        return "ja oder nein", "ja or nein (true or false)"
    if dtype == pl.Date:
        return f"ein Datum ({formats})", f"a date ({english})"
    if isinstance(dtype, pl.Datetime):
        return f"ein Zeitpunkt ({formats}Thh:mm:ss+hh:mm)", f"an instant ({english}Thh:mm:ss+hh:mm)"
    if dtype.is_integer():
        return "eine ganze Zahl", "a whole number"
    point = _option(context.reading, "decimal") or "."
    return f"eine Zahl mit „{point}“ als Dezimalzeichen", f'a number with "{point}" as decimal sign'


_GERMAN = {"%d": "TT", "%e": "T", "%m": "MM", "%y": "JJ", "%Y": "JJJJ"}
_ENGLISH = {"%d": "DD", "%e": "D", "%m": "MM", "%y": "YY", "%Y": "YYYY"}


def _spelt(reading: Any, letters: Mapping[str, str]) -> list[str]:
    """The stated date format as people write one."""
    return [re.sub(r"%\w", lambda code: letters.get(code[0], code[0]), stated) for stated in _date_formats(reading)]


def _range(column: Any) -> tuple[str, str]:
    low, high = getattr(column, "min", None), getattr(column, "max", None)
    if low is not None and high is not None:
        return f"ein Wert von {low} bis {high}", f"a value from {low} to {high}"
    return (f"ein Wert ab {low}", f"a value from {low} on") if high is None else (f"ein Wert bis {high}", f"a value up to {high}")


def _land_checks(context: Context, rules: TableRules) -> Iterable[Check]:
    if context.is_federal:
        expected = "der Schlüssel eines Landes (01 bis 16)", "the key of a Land (01 to 16)"
        allowed = [FEDERAL, *LAND_CODES]
    else:
        expected = (
            f"ein Schlüssel des eigenen Landes, beginnend mit {context.land_code}",
            f"a key of the Land itself, beginning with {context.land_code}",
        )
        allowed = [context.land_code]
    for column, digits in _land_digits(context, rules):
        yield Check("wrong_land", column, digits.is_not_null() & ~digits.is_in(allowed), *expected)


def _land_digits(context: Context, rules: TableRules) -> list[tuple[str, pl.Expr]]:
    """The columns that tell a row's Land, with the expression of their first two digits."""
    if rules.land_key is None and not context.resolves:
        return []
    authority = text("authority_id").str.extract(r"/([0-9]{2})", 1)
    if rules.land_key is None:  # an authority_id speaks for itself, the region_key beside it is not looked at
        return [("authority_id", authority), ("region_key", pl.col("_key").str.head(2))]
    return [(rules.land_key, authority if rules.land_key == "authority_id" else pl.col(rules.land_key).str.head(2))]


def _row_land(context: Context, rules: TableRules) -> pl.Expr:
    if not context.is_federal:
        return pl.lit(context.land_code)
    return pl.coalesce(*[digits for _, digits in _land_digits(context, rules)], pl.lit(FEDERAL))


# ---------------------------------------------------------------------------------------------------------------- keys of authorities


def _epoch(context: Context, rules: TableRules) -> pl.Expr:
    """The epoch of a row's day: the reference has so few days on which anything changes that it is a sum of comparisons."""
    assert context.table.day is not None
    day = rules.day(context) if rules.day else pl.col(context.table.day)
    starts = context.reference.resolution.starts[1:] if context.reference is not None else []
    epoch = pl.sum_horizontal([pl.lit(0, pl.Int32), *[(day >= start).cast(pl.Int32) for start in starts]])
    return epoch.fill_null(0).cast(pl.Int32).alias("_epoch")


def _region() -> pl.Expr:
    """The region key in its shortest form."""
    return normalised_key(text("region_key")).alias("_region")


def _resolved(frame: pl.LazyFrame, context: Context) -> pl.LazyFrame:
    """The frame with ``authority_id`` looked up for each row's ``_region`` in its ``_epoch``: two hash joins, for each epoch has one
    answer per key."""
    given = text("authority_id")
    frame = frame.with_columns(pl.when(given.is_null()).then(pl.col("_region")).alias("_key"))
    if context.reference is None:
        frame = frame.with_columns(pl.lit(None, pl.String).alias("_found"), pl.lit(0, pl.UInt32).alias("_candidates"))
    else:
        resolution = context.reference.resolution
        frame = (
            frame.with_columns(pl.col("service_id").cast(pl.String).fill_null("").alias("_service"))
            .join(
                resolution.ids.lazy(),
                left_on=["_service", "text:authority_id", "_epoch"],
                right_on=["service_id", "given_id", "epoch"],
                how="left",
                maintain_order="left",
            )
            .join(
                resolution.keys.lazy(),
                left_on=["_service", "_key", "_epoch"],
                right_on=["service_id", "key", "epoch"],
                how="left",
                maintain_order="left",
            )
            .with_columns(
                pl.when(given.is_not_null()).then(pl.col("id_authority")).otherwise(pl.col("key_authority")).alias("_found"),
                pl.when(given.is_not_null())
                .then(pl.col("id_authority").is_not_null().cast(pl.UInt32))
                .otherwise(pl.col("candidates").fill_null(0))
                .alias("_candidates"),
            )
        )
    return frame.with_columns(pl.col("_found").alias("authority_id"))


def _resolution_checks(context: Context) -> list[Check]:
    """The checks of the look-up."""
    given, region = text("authority_id"), text("region_key")
    declared = context.table.schema.columns()
    checks = [
        Check(
            "malformed",
            "region_key",
            given.is_null() & region.is_not_null() & pl.col("_key").is_null(),
            *_EXPECTED["region_key"],
        )
    ]
    if not declared["authority_id"].nullable:
        checks.append(Check("missing", "authority_id", given.is_null() & region.is_null(), "eine Behörde", "an authority"))
    if declared["service_id"].nullable:
        checks.append(
            Check(
                "missing",
                "service_id",
                given.is_null() & region.is_not_null() & text("service_id").is_null(),
                "die Leistung, ohne die der Schlüssel keine Behörde bezeichnet",
                "the service, without which the key names no authority",
            )
        )
    for column, is_named in (("authority_id", given.is_not_null()), ("region_key", given.is_null() & region.is_not_null())):
        checks.append(
            Check(
                "unknown_key",
                column,
                is_named & (pl.col("_candidates") == 0),
                "eine Behörde, die am Tag der Zeile für diese Leistung zuständig ist",
                "an authority that is competent for this service on the row's day",
            )
        )
    checks.append(
        Check(
            "ambiguous_key",
            "region_key",
            given.is_null() & region.is_not_null() & (pl.col("_candidates") > 1),
            "ein Schlüssel, in dessen Gebiet genau eine Behörde zuständig ist",
            "a key in whose area exactly one authority is competent",
        )
    )
    return checks


# ------------------------------------------------------------------------------------------------------------------- distinct texts


#: What the look-up of an authority is made of, besides the epoch, and what it makes of it.
_PLACE = ("authority_id", "region_key", "service_id")
_PLACE_ROOTS = {*[f"text:{column}" for column in _PLACE], "_key", "_candidates", "_found"}


@dataclass(frozen=True)
class _Texts:
    """The distinct texts of one column: ``text:<column>``, ``<column>`` and ``_is_wrong:<column>`` in ``frame``, by the codes that
    ``code`` tells of a row; the last one is that of a row without text. A column that is not delivered has one."""

    frame: pl.DataFrame
    code: pl.Expr

    def of_rows(self, name: str) -> pl.Expr:
        """A column of ``frame`` for every row."""
        values = self.frame[name]
        found = pl.lit(values[0], values.dtype) if len(values) == 1 else pl.lit(values).gather(self.code)
        return found.alias(name)


class _Look:
    """Rows whose columns are codes of distinct texts, typed and checked by these texts.

    An expression that asks for one column alone is tried on its distinct texts; what is about the authority on the distinct combinations
    of key, service and epoch; the rest, which compares values, on the rows. Rows with a finding are ``doubtful``; ``rows`` has the others.
    In the columns ``constant`` all rows are equal.
    """

    def __init__(
        self,
        coded: pl.DataFrame,
        texts: dict[str, _Texts],
        places: list[pl.Expr],
        across: list[pl.Expr],
        context: Context,
        rules: TableRules,
    ):
        self._coded, self._texts, self._places, self._across = coded, texts, places, across
        self._context, self._rules = context, rules
        self._schema = pl.Schema({"_row": pl.Int64(), **context.table.polars_schema()})
        self._last: tuple[int, pl.DataFrame] | None = None
        self.height = coded.height
        wrong = [self._slice(start)["_is_wrong"] for start in range(0, self.height, _SLICE_ROWS)]
        is_wrong = pl.concat(wrong) if wrong else pl.Series(dtype=pl.Boolean)
        self.rows_right = self.height - int(is_wrong.sum())
        self.doubtful = coded.filter(is_wrong).lazy()
        unchanging = {column for column, one in texts.items() if one.frame.height == 1}
        self.constant = unchanging - _changed(context, rules) | ({"source"} if context.is_federal else {"source", "land_code"})

    @classmethod
    def at(cls, raw: pl.LazyFrame, delivered: list[str], mapping: _Mapping, context: Context, rules: TableRules) -> _Look | None:
        """The rows of ``raw``, or None where they are not codes, cannot be told apart by them, or need more than single columns."""
        schema = raw.collect_schema()
        are_codes = all(isinstance(schema[f"raw:{position}"], pl.Categorical) for position in range(len(delivered)))
        if (
            not are_codes
            or len(schema) != len(delivered) + 1
            or rules.prepare
            or context.reference is None
            or not context.resolves
        ):
            return None
        alone: dict[str, list[pl.Expr]] = {column: [] for column in context.mapped_columns}
        places, across, changed = [], [], _changed(context, rules)
        for finding in _findings(_checks(mapping, context, rules), context):
            roots = set(finding.meta.root_names())
            columns = {root.removeprefix("text:") for root in roots} & alone.keys()
            if len(columns) == 1 and roots <= {f"text:{column}" for column in columns} | (columns - changed):
                alone[columns.pop()].append(finding)
            elif roots <= _PLACE_ROOTS:
                places.append(finding)
            elif roots != {"_malformed"}:
                across.append(finding)
        coded = raw.collect()
        texts = _texts(coded, alone, delivered, mapping, context, rules)
        if math.prod(texts[column].frame.height for column in _PLACE) >= 2**53:
            return None
        return cls(coded, texts, places, across, context, rules)

    def rows(self) -> pl.LazyFrame:
        """``_row`` and the canonical columns of the rows without a finding, in their order; made while they are read."""

        def right(start: int) -> pl.DataFrame:
            frame = self._slice(start)
            return frame.filter(~pl.col("_is_wrong")) if frame["_is_wrong"].any() else frame

        def source(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
        ) -> Iterator[pl.DataFrame]:
            for start in range(0, self.height, _SLICE_ROWS):
                frame = right(start)
                frame = frame if predicate is None else frame.filter(predicate)
                yield frame.select(columns or self._schema.names())

        if self.height <= _SLICE_ROWS:
            return right(0).lazy().select(self._schema.names())
        return register_io_source(source, schema=self._schema)

    def _slice(self, start: int) -> pl.DataFrame:
        """A slice of the rows: one that is the whole delivery is made once, others as often as they are asked for."""
        if self._last is None or self._last[0] != start:
            self._last = start, self._made(self._coded.slice(start, _SLICE_ROWS))
        return self._last[1]

    def _made(self, coded: pl.DataFrame) -> pl.DataFrame:
        """The canonical columns, ``_row`` and ``_is_wrong`` of some rows."""
        context, rules, texts = self._context, self._rules, self._texts
        needed = {root for finding in self._across for root in finding.meta.root_names() if root.startswith("text:")}
        doubted = [column for column, one in texts.items() if one.frame[f"_is_wrong:{column}"].any()]
        place = pl.col("_epoch").cast(pl.UInt64)
        for column in _PLACE:
            place = place * texts[column].frame.height + pl.col(f"_code:{column}")
        frame = (
            coded.lazy()
            .select(
                pl.col("_row").cast(pl.Int64),
                *[texts[column].of_rows(column) for column in context.own_columns if column != "authority_id"],
                *[texts[name.removeprefix("text:")].of_rows(name) for name in needed],
                *[texts[column].of_rows(f"_is_wrong:{column}") for column in doubted],
                *[texts[column].code.alias(f"_code:{column}") for column in _PLACE],
            )
            .with_columns(_epoch(context, rules))
            .with_columns(place.alias("_place"))
            .collect(engine="in-memory")
        )
        findings = [pl.col("_is_wrong:place"), *[pl.col(f"_is_wrong:{column}") for column in doubted], *self._across]
        return (
            frame.lazy()
            .join(self._looked_up(frame["_place"].unique()), on="_place", how="left", maintain_order="left")
            .with_columns(rules.derive(context) if rules.derive else [])
            .with_columns(pl.any_horizontal(findings).fill_null(False).alias("_is_wrong"), *_provenance(context))
            .select("_is_wrong", *self._schema.names())
            .collect(engine="in-memory")
        )

    def _looked_up(self, distinct: pl.Series) -> pl.LazyFrame:
        """The authority and the Land of every ``_place``, and whether anything is wrong with it."""
        codes, rest = [], pl.col("_place")
        for column in reversed(_PLACE):
            frame = self._texts[column].frame
            own = {f"text:{column}", "_region" if column == "region_key" else column} - {"authority_id"}
            codes += [pl.lit(frame[name]).gather(rest % frame.height).alias(name) for name in sorted(own)]
            rest = rest // frame.height
        places = distinct.to_frame().lazy().with_columns(*codes, rest.cast(pl.Int32).alias("_epoch"))
        return _resolved(places, self._context).select(
            "_place",
            "authority_id",
            _row_land(self._context, self._rules).alias("land_code"),
            pl.any_horizontal(self._places).fill_null(False).alias("_is_wrong:place"),
        )


def _changed(context: Context, rules: TableRules) -> set[str]:
    """Typed columns that hold something else than what follows from their own text."""
    return {"authority_id", *[expression.meta.output_name() for expression in (rules.derive(context) if rules.derive else [])]}


def _texts(
    coded: pl.DataFrame,
    findings: Mapping[str, list[pl.Expr]],
    delivered: list[str],
    mapping: _Mapping,
    context: Context,
    rules: TableRules,
) -> dict[str, _Texts]:
    """The distinct texts of every column, typed, with what ``findings`` say of them."""
    raw = {column: f"raw:{delivered.index(name)}" for column, name in mapping.delivered.items()}
    counts = {name: int(coded.select((pl.col(name).to_physical().max() + 1).fill_null(0)).item()) for name in raw.values()}

    def typed(frame: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
        frame = frame.select(_delivered_text(column, delivered, mapping, context).alias(f"text:{column}") for column in columns)
        frame = frame.with_columns(_region()) if "region_key" in columns else frame
        for values in zip(*[_values(c, context, rules) for c in columns if c in context.own_columns], strict=True):
            frame = frame.with_columns(values)
        return frame.with_columns(
            pl.any_horizontal(pl.lit(False), *findings[column]).fill_null(False).alias(f"_is_wrong:{column}")
            for column in columns
        )

    def distinct(name: str) -> pl.LazyFrame:
        code = pl.int_range(counts[name] + 1, dtype=pl.UInt32)
        known = pl.when(code < counts[name]).then(code)
        return pl.LazyFrame().select(known.cat.to(coded.schema[name]).alias(name))

    others = [column for column in findings if column not in raw]
    none = pl.LazyFrame({"": [None]}, schema={"": pl.String})
    frames = [typed(none, others), *[typed(distinct(raw[column]), [column]) for column in raw]]
    undelivered, *own = pl.collect_all(frames, engine="in-memory")
    return {column: _Texts(undelivered, pl.lit(0, pl.UInt32)) for column in others} | {
        column: _Texts(frame, pl.col(raw[column]).to_physical().fill_null(counts[raw[column]]))
        for column, frame in zip(raw, own, strict=True)
    }


# ---------------------------------------------------------------------------------------------------------------------- quarantine


def _explained(bad: pl.LazyFrame, checks: list[Check], mapping: _Mapping, delivered: list[str], context: Context) -> pl.LazyFrame:
    """The quarantine rows of the rows with a finding."""
    numbers = list(range(len(checks)))
    finding: pl.Expr = pl.lit(None, pl.Int32)
    for number in reversed(numbers):
        finding = pl.when(checks[number].breaks).then(pl.lit(number, pl.Int32)).otherwise(finding)
    bad = bad.with_columns(finding.alias("_finding"))

    def of_check(values: list[str | None]) -> pl.Expr:
        return pl.col("_finding").replace_strict(numbers, values, default=None, return_dtype=pl.String)

    value = pl.lit(None, pl.String)
    names = bad.collect_schema().names()
    for column in dict.fromkeys(check.column for check in checks if check.column and f"text:{check.column}" in names):
        value = pl.when(pl.col("column") == column).then(text(column)).otherwise(value)
    shown = value.str.replace_all(_CONTROL, "�")
    shown = (
        pl.when(shown.str.len_chars() > _SHOWN_CHARACTERS).then(shown.str.head(_SHOWN_CHARACTERS) + pl.lit("…")).otherwise(shown)
    )
    label = of_check([mapping.shown(check.column, "„“") for check in checks])
    label_en = of_check([mapping.shown(check.column, '""') for check in checks])
    expected = of_check([check.expected for check in checks])
    expected_en = of_check([check.expected_en for check in checks])
    unreadable = pl.col("_malformed").str.head(300).str.replace_all(_CONTROL, "�").str.strip_chars_end(".")
    bad = bad.with_columns(
        of_check([check.rule for check in checks]).alias("rule"), of_check([c.column for c in checks]).alias("column")
    )
    bad = bad.with_columns(shown.alias("_shown"), label.alias("_label"), label_en.alias("_label_en"))
    bad = bad.with_columns(
        pl.when(pl.col("column").is_null())
        .then(pl.concat_str(pl.lit("Die Zeile ist nicht lesbar: "), unreadable.fill_null("unbekannter Grund"), pl.lit(".")))
        .when(pl.col("_shown").is_null())
        .then(pl.format("Spalte {}: nicht gefüllt, erwartet wird {}.", "_label", expected))
        .otherwise(pl.format("Spalte {}: geliefert „{}“, erwartet wird {}.", "_label", "_shown", expected))
        .alias("reason"),
        pl.when(pl.col("column").is_null())
        .then(pl.lit("The row could not be read."))
        .when(pl.col("_shown").is_null())
        .then(pl.format("Column {}: empty, expected {}.", "_label_en", expected_en))
        .otherwise(pl.format('Column {}: delivered "{}", expected {}.', "_label_en", "_shown", expected_en))
        .alias("reason_en"),
    )
    return _raw_text(bad, delivered).select(_quarantine_columns(context))


def _raw_text(frame: pl.LazyFrame, delivered: list[str]) -> pl.LazyFrame:
    """The delivered row as JSON under ``raw``, each value bounded: the bytes themselves are in landing."""
    as_it_came = frame.collect_schema().get("_delivered")
    if isinstance(as_it_came, pl.Struct):
        delivered = [field.name for field in as_it_came.fields]
        positions = [f"raw:{position}" for position in range(len(delivered))]
        frame = frame.select(pl.exclude("^raw:.*$", "_delivered"), pl.col("_delivered").struct.rename_fields(positions)).unnest(
            "_delivered"
        )
    if not delivered:
        return frame.with_columns(pl.lit("{}").alias("raw"))
    values = [
        pl.col(f"raw:{position}").cast(pl.String).str.head(MAX_TEXT_CHARACTERS).alias(name)
        for position, name in enumerate(delivered)
    ]
    return frame.with_columns(pl.struct(values).struct.json_encode().alias("raw"))


def _quarantine_columns(context: Context) -> list[pl.Expr | str]:
    return [
        pl.lit(context.land_code).alias("land_code"),
        pl.lit(context.source).alias("source"),
        pl.lit(context.table.name).alias("table"),
        pl.lit(context.delivery_id).alias("delivery_id"),
        pl.lit(context.delivered_at).cast(pl.Datetime("us", "UTC")).alias("delivered_at"),
        pl.col("_row").cast(pl.Int64).alias("row_number"),
        "rule",
        "column",
        "reason",
        "reason_en",
        "raw",
    ]


def _repeated(rows: pl.LazyFrame, rules: TableRules, context: Context, constant: Container[str] = ()) -> pl.DataFrame:
    """The rows that repeat or contradict another one: ``_row``, rule, column, reason, reason_en.

    ``constant``: columns in which all rows are equal.

    Of identical rows the first is kept and the others are ``duplicate``; what is left under one key with different content is all
    ``conflict``. Keys are compared by hash first, and exactly where hashes meet.
    """
    names = list(context.own_columns)
    key = rules.key() if rules.key else [pl.col(name) for name in context.table.key if name in names]
    key = [pl.col("land_code"), *key]
    telling = [part for part in key if part.meta.output_name() not in constant] or key
    hashed = rows.select("_row", pl.struct(telling).hash(seed=7).alias("_hash")).collect(engine="streaming")
    partitions = 1 + hashed.height // _PARTITION_ROWS
    several = [pl.DataFrame(schema={"_row": pl.Int64})]
    for partition in range(partitions):
        part = hashed if partitions == 1 else hashed.filter(pl.col("_hash") % partitions == partition)
        if part["_hash"].n_unique() < part.height:
            several.append(part.filter(pl.col("_hash").is_duplicated()).select("_row"))
    suspects = pl.concat(several)
    empty = pl.DataFrame(
        schema={"_row": pl.Int64, "rule": pl.String, "column": pl.String, "reason": pl.String, "reason_en": pl.String}
    )
    if suspects.is_empty():
        return empty
    frame = (
        rows.join(suspects.lazy(), on="_row", how="semi")
        .with_columns(pl.struct(key).alias("_key"), pl.struct("land_code", *names).alias("_content"))
        .select("_row", "_key", "_content")
        .sort("_row")
        .collect()
    )
    frame = frame.with_columns(pl.col("_row").first().over("_key", "_content").alias("_first"))
    identical = frame.filter(pl.col("_row") != pl.col("_first"))
    left = frame.filter(pl.col("_row") == pl.col("_first"))
    conflicting = left.filter(pl.len().over("_key") > 1)
    shown_key = ", ".join(name for name in context.table.key if name != "source")
    duplicates = identical.select(
        "_row",
        pl.lit("duplicate").alias("rule"),
        pl.lit(None, pl.String).alias("column"),
        pl.format("Die Zeile wiederholt Zeile {} unverändert, erwartet wird jede Angabe einmal.", "_first").alias("reason"),
        pl.format("The row repeats row {} unchanged, expected is each statement once.", "_first").alias("reason_en"),
    )
    others = pl.col("_row").cast(pl.String).head(5).str.join(", ").over("_key")
    conflicts = conflicting.select(
        "_row",
        pl.lit("conflict").alias("rule"),
        pl.lit(None, pl.String).alias("column"),
        pl.format(
            "Die Zeilen {} widersprechen sich bei gleichem Schlüssel ({}), erwartet wird eine Angabe.", others, pl.lit(shown_key)
        ).alias("reason"),
        pl.format(
            "Rows {} contradict each other under the same key ({}), expected is one statement.", others, pl.lit(shown_key)
        ).alias("reason_en"),
    )
    return pl.concat([duplicates, conflicts]) if duplicates.height or conflicts.height else empty
