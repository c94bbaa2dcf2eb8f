"""Withdrawals: deliveries that must no longer count, whoever noticed it, from the instant of the withdrawal on.

Belongs here: the record of withdrawals and what it says about a delivery. Does not: what follows from it (``night`` admits no
withdrawn delivery), the listing of deliveries (``status``).

Under ``landing/withdrawals/<land_code>/<source>.jsonl``: one line per withdrawal and per undoing of one: ``at``, ``action``
(withdraw | undo), ``delivery_id``, ``reason``. Nothing that was received is changed or deleted. Who withdrew is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingest import clock
from ingest.landing import Delivery, Landing
from orchestration import journal
from orchestration.settings import UsageError

_REASON_CHARACTERS = 300
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True)
class Withdrawal:
    """One delivery that is withdrawn: since when, and why."""

    delivery_id: str
    at: datetime
    reason: str

    @property
    def sentence_de(self) -> str:
        """The withdrawal as one German sentence."""
        return f"Die Lieferung {self.delivery_id} wurde am {clock.day_of(self.at):%d.%m.%Y} zurückgezogen: {self._ended}"

    @property
    def sentence_en(self) -> str:
        """The same in English."""
        return f"The delivery {self.delivery_id} was withdrawn on {clock.day_of(self.at)}: {self._ended}"

    @property
    def _ended(self) -> str:
        return self.reason if self.reason.endswith((".", "!", "?")) else f"{self.reason}."


def recorded(landing: Landing, land_code: str, source: str, until: datetime) -> dict[str, Withdrawal]:
    """The withdrawals of a source that stand at an instant, by delivery_id."""
    standing: dict[str, Withdrawal] = {}
    for entry in journal.read(_path(landing, land_code, source), until):
        if entry.get("action") == "withdraw":
            standing[str(entry.get("delivery_id"))] = Withdrawal(
                str(entry.get("delivery_id")), entry["at"], str(entry.get("reason"))
            )
        elif entry.get("action") == "undo":
            standing.pop(str(entry.get("delivery_id")), None)
    return standing


def withdrawn(
    landing: Landing, land_code: str, source: str, deliveries: Sequence[Delivery], until: datetime
) -> dict[str, Withdrawal]:
    """Which of a source's ``deliveries`` (in the order of receipt) are withdrawn at an instant, by delivery_id.

    What is withdrawn is a content: a later delivery of the same bytes is withdrawn with it, so that a portal that goes on, or begins
    again, to serve them changes nothing.
    """
    standing = recorded(landing, land_code, source, until)
    found: dict[str, Withdrawal] = {}
    contents: dict[tuple[str, ...], Withdrawal] = {}
    for delivery in deliveries if standing else ():
        content = tuple(part.sha256 for part in delivery.parts)
        withdrawal = standing.get(delivery.delivery_id) or contents.get(content)
        if withdrawal is not None:
            found[delivery.delivery_id] = contents[content] = withdrawal
    return found


def withdraw(landing: Landing, land_code: str, source: str, delivery_id: str, reason: str, now: datetime) -> Withdrawal:
    """Withdraw a delivery from ``now`` on; durable on return. Raises UsageError for an unknown or already withdrawn delivery, or
    where the reason is none."""
    reason = _UNPRINTABLE.sub(" ", reason).strip()
    if not reason:
        raise UsageError("A withdrawal needs its reason: state it with --reason, it is published with the delivery.")
    if len(reason) > _REASON_CHARACTERS:
        raise UsageError(f"The reason has more than {_REASON_CHARACTERS} characters: say it in one sentence.")
    deliveries = _known(landing, land_code, source, delivery_id)
    standing = withdrawn(landing, land_code, source, deliveries, now).get(delivery_id)
    if standing is not None:
        raise UsageError(
            f"{delivery_id} is withdrawn already (as {standing.delivery_id} since {standing.at.isoformat()}): "
            "undo that first to state another reason."
        )
    journal.append(_path(landing, land_code, source), now, {"action": "withdraw", "delivery_id": delivery_id, "reason": reason})
    return Withdrawal(delivery_id, now, reason)


def undo(landing: Landing, land_code: str, source: str, delivery_id: str, reason: str | None, now: datetime) -> None:
    """Let a withdrawn delivery count again from ``now`` on. Raises UsageError for one that is unknown or was not withdrawn."""
    _known(landing, land_code, source, delivery_id)
    standing = recorded(landing, land_code, source, now)
    if delivery_id not in standing:
        known = ", ".join(standing) or "none"
        raise UsageError(f"{delivery_id} is not withdrawn itself, so there is nothing to undo. Withdrawn: {known}.")
    shown = _UNPRINTABLE.sub(" ", reason or "").strip()[:_REASON_CHARACTERS]
    journal.append(_path(landing, land_code, source), now, {"action": "undo", "delivery_id": delivery_id, "reason": shown})


def _known(landing: Landing, land_code: str, source: str, delivery_id: str) -> list[Delivery]:
    deliveries = landing.deliveries(land_code, source)
    if not any(delivery.delivery_id == delivery_id for delivery in deliveries):
        raise UsageError(
            f"{land_code}/{source} has no delivery {delivery_id!r}: 'rollin deliveries {land_code}/{source}' lists what there is."
        )
    return deliveries


def _path(landing: Landing, land_code: str, source: str) -> Path:
    return landing.root / "withdrawals" / land_code / f"{source}.jsonl"
