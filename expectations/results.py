"""What a check found: one record per check, the same for deliveries and releases.

Belongs here: the record, its JSON form and the one sentence that a refusal is told in. Does not: running checks (``runner``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warn"]

#: How many rows a result may show; they carry key columns only, never a payload.
EXAMPLES_MAX = 5


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check on one table.

    ``name`` is a stable id within (suite, table, column). ``is_broken``: the check could not run; it then counts as failed.
    ``unexpected_count``: rows that break the rule, None where the rule is not about rows. ``examples``: at most five of them,
    key columns only.
    """

    suite: str
    table: str
    name: str
    column: str | None
    severity: Severity
    passed: bool
    is_broken: bool
    observed: str
    expected: str
    unexpected_count: int | None
    description_de: str
    description_en: str
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def blocks(self) -> bool:
        """Whether this result alone refuses the delivery or the release."""
        return not self.passed and self.severity == "error"

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> CheckResult:
        """The inverse of :meth:`to_dict`; raises ``TypeError`` on a record of another shape."""
        return cls(**record)


def passed(results: Iterable[CheckResult]) -> bool:
    """Whether nothing blocks. No result at all does not pass: a gate that checked nothing has not been passed."""
    results = list(results)
    return bool(results) and not any(r.blocks for r in results)


def refusal(results: Iterable[CheckResult]) -> tuple[str, str] | None:
    """Why these results refuse, as one sentence in German and one in English; None where nothing blocks.

    The first blocking result is told in full, the others are counted. Results on unreadable deliveries already are a sentence.
    """
    results = list(results)
    blocking = [r for r in results if r.blocks]
    if not blocking:
        return None if results else ("Es wurde nichts geprüft.", "Nothing was checked.")
    first = blocking[0]
    if first.name == "readable" and not first.is_broken:
        return first.description_de, first.description_en
    where = first.table if first.column is None else f"{first.table}.{first.column}"
    more_de = f" (und {len(blocking) - 1} weitere Prüfung(en))" if len(blocking) > 1 else ""
    more_en = f" (and {len(blocking) - 1} more check(s))" if len(blocking) > 1 else ""
    if first.is_broken:
        return (
            f"{where}: Die Prüfung {first.name} konnte nicht laufen: {first.observed}{more_de}.",
            f"{where}: the check {first.name} could not run: {first.observed}{more_en}.",
        )
    return (
        f"{where}: {first.description_de} Gefunden: {first.observed}; erwartet: {first.expected}{more_de}.",
        f"{where}: {first.description_en} Found: {first.observed}; expected: {first.expected}{more_en}.",
    )
