"""The tunable limits of the gate, read from ``thresholds.yaml``.

Belongs here: reading and validating that file. Does not: any limit itself; a number that a person may want to change stands in
the file with who decided it, when and why.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

PATH = Path(__file__).with_name("thresholds.yaml")


class ThresholdError(ValueError):
    """The thresholds file cannot be used; the message names file, entry and remedy."""


class Threshold(BaseModel):
    """One limit: ``value``, how hard it is (``error`` refuses, ``warn`` reports), who owns it and the dated reason for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    value: float | int | list[float | int] | dict[str, str]
    severity: Literal["error", "warn"]
    owner: str = Field(min_length=3)
    decided_on: date
    reason: str = Field(min_length=20)


@functools.cache
def load(path: Path = PATH) -> Mapping[str, Threshold]:
    """All thresholds by name, read once per process. Raises :class:`ThresholdError` on a file that is no mapping of complete entries."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return MappingProxyType(TypeAdapter(dict[str, Threshold]).validate_python(raw))
    except yaml.YAMLError as error:
        raise ThresholdError(f"{path}: not valid YAML ({str(error).splitlines()[0]}). Correct the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise ThresholdError(
            f"{path}: {entry or 'file'}: {first['msg']}. Every entry needs value, severity, owner, decided_on, reason."
        ) from error
