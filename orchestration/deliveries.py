"""What became of every delivery, read from what the nights left on disk.

Belongs here: the list for ``rollin deliveries`` and ``rollin status``. Does not: judging a delivery (``night``), withdrawing one
(``withdrawals``), reading Parquet: it answers at once, whatever the size of the home.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest.landing import Delivery, Landing
from orchestration import withdrawals
from orchestration.settings import Settings


@dataclass(frozen=True)
class DeliveryState:
    """One delivery. ``state``: admitted, refused, withdrawn, or unjudged (received, but no run has cleaned it yet).

    ``file``: the first file's name, with the number of further ones. ``rows_delivered`` and ``rows_clean`` are None where unjudged.
    ``reason_de``, ``reason_en``: why it does not count, one sentence; None where it does or is unjudged.
    """

    land_code: str
    source: str
    delivery_id: str
    delivered_at: datetime
    file: str
    rows_delivered: int | None
    rows_clean: int | None
    state: str
    reason_de: str | None
    reason_en: str | None

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON types."""
        return asdict(self) | {"delivered_at": self.delivered_at.isoformat()}


def delivery_states(settings: Settings, land_code: str | None = None, source: str | None = None) -> list[DeliveryState]:
    """Every delivery of a home, or of one source, in the order of receipt within each source."""
    landing = Landing(settings.home)
    return [
        state
        for code, name in sources_of(landing)
        if (land_code is None or (code, name) == (land_code, source))
        for state in _of_source(settings, landing, code, name)
    ]


def sources_of(landing: Landing) -> Iterator[tuple[str, str]]:
    """(land_code, source) of everything that ever delivered to a landing, sorted."""
    for folder in sorted(landing.root.glob("[0-9][0-9]/*")):
        if folder.is_dir() and re.fullmatch(r"[a-z][a-z0-9_]*", folder.name):
            yield folder.parent.name, folder.name


def judgements(home: Path, land_code: str, source: str) -> dict[str, dict[str, Any]]:
    """What the delivery checks last said about each delivery of a source, by delivery_id: ``is_admitted``, ``refusal_de``,
    ``refusal_en``. Deliveries that were never judged are not in it."""
    return _newest_of_each(home / "clean" / "admissions" / land_code / source, read_verdict)


def verdict_text(verdict: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> str:
    """The file of a judgement: the verdict is its first line, for every night reads those of all deliveries; the checks are its second."""
    return "".join(json.dumps(part, ensure_ascii=False, default=str) + "\n" for part in (verdict, checks))


def read_verdict(path: str | Path) -> dict[str, Any]:
    """The verdict of a judgement's file. Raises OSError or ValueError where there is none."""
    verdict: dict[str, Any] = json.loads(Path(path).read_bytes().partition(b"\n")[0])
    return verdict


def read_checks(path: str | Path) -> list[dict[str, Any]]:
    """The checks of a judgement's file. Raises OSError or ValueError where there are none."""
    checks: list[dict[str, Any]] = json.loads(Path(path).read_bytes().partition(b"\n")[2])
    return checks


def _newest_of_each(folder: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the files ``<delivery_id>.<fingerprint>.json`` the one written last for each delivery."""
    found: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("[!.]*.json"):
        delivery_id = path.name.partition(".")[0]
        written = (path.stat().st_mtime_ns, path)
        found[delivery_id] = max(written, found.get(delivery_id, written))
    documents: dict[str, dict[str, Any]] = {}
    for delivery_id, (_, path) in found.items():
        with contextlib.suppress(OSError, ValueError):
            documents[delivery_id] = read(path)
    return documents


def _of_source(settings: Settings, landing: Landing, land_code: str, source: str) -> Iterator[DeliveryState]:
    deliveries = landing.deliveries(land_code, source)
    withdrawn = withdrawals.withdrawn(landing, land_code, source, deliveries, settings.now())
    records = _newest_of_each(
        settings.home / "clean" / "records" / land_code / source, lambda path: json.loads(path.read_bytes())
    )
    judged = judgements(settings.home, land_code, source)
    for delivery in deliveries:
        record, judgement = records.get(delivery.delivery_id, {}), judged.get(delivery.delivery_id)
        reason_de, reason_en = None, None
        if (withdrawal := withdrawn.get(delivery.delivery_id)) is not None:
            state, reason_de, reason_en = "withdrawn", withdrawal.sentence_de, withdrawal.sentence_en
        elif judgement is None:
            state = "unjudged"
        elif judgement["is_admitted"]:
            state = "admitted"
        else:
            state, reason_de, reason_en = "refused", judgement["refusal_de"], judgement["refusal_en"]
        yield DeliveryState(
            land_code,
            source,
            delivery.delivery_id,
            delivery.delivered_at,
            _file(delivery),
            record.get("rows_delivered"),
            record.get("rows_clean"),
            state,
            reason_de,
            reason_en,
        )


def _file(delivery: Delivery) -> str:
    if not delivery.parts:
        return ""
    more = len(delivery.parts) - 1
    return delivery.parts[0].name + (f" (+{more})" if more else "")
