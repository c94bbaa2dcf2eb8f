"""The module that ``dagster`` is pointed at (``-m orchestration.code_location``): the definitions of the home in the environment."""

from __future__ import annotations

from orchestration.definitions import build_defs
from orchestration.settings import Settings

defs = build_defs(Settings.from_environ())
