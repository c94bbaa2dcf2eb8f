"""Which tables and columns of a release are public, read from ``public_tier.yaml``.

Belongs here: reading and validating that file. Does not: the disclosure rule (``estimators/disclosure.py``), writing (``orchestration``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

PATH = Path(__file__).with_name("public_tier.yaml")


class PublicTierError(ValueError):
    """The file cannot be used; the message names file, table and remedy."""


class PublicTable(BaseModel):
    """What of one table is public: its ``columns``, or none of it and why (``not_public``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    columns: list[str] = []
    is_masked: bool = False
    left_out: str | None = Field(default=None, min_length=20)
    not_public: str | None = Field(default=None, min_length=20)

    @model_validator(mode="after")
    def _says_one_thing(self) -> PublicTable:
        if bool(self.columns) == bool(self.not_public):
            raise ValueError("either 'columns' or 'not_public' with a reason")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("a column stands there twice")
        return self


def load(path: Path = PATH) -> Mapping[str, PublicTable]:
    """Every decided table by ``schema.table``, in the order of the file. Raises :class:`PublicTierError` where it cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
        raw: Any = yaml.safe_load(text)
        twice = [table for table, count in Counter(re.findall(r"^([\w.]+):", text, re.MULTILINE)).items() if count > 1]
        if twice:
            raise PublicTierError(f"{path}: {twice[0]} stands there twice: keep one of the two entries.")
        return TypeAdapter(dict[str, PublicTable]).validate_python(raw)
    except yaml.YAMLError as error:
        raise PublicTierError(f"{path}: not valid YAML ({str(error).splitlines()[0]}). Correct the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        table = first["loc"][0] if first["loc"] else "file"
        raise PublicTierError(f"{path}: {table}: {first['msg']}. Correct the entry as the file's head says.") from error
