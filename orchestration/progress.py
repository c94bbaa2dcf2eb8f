"""What a night says while it runs, to a person or to a program. Belongs here: the terminal and the form of a log line. Does not: what is
told (the modules log it).

``ROLLIN_LOG=json``: one JSON document per line on standard error, for journald, Loki, Elasticsearch and their like: ``at`` (UTC),
``level``, ``logger``, ``message``, ``run_id`` where a run is on, ``traceback`` where there is one. Default: text for people.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime

from orchestration.settings import UsageError

#: The run that this process works on.
run_id: ContextVar[str | None] = ContextVar("rollin_run_id", default=None)


class JsonLines(logging.Formatter):
    """A log record as one JSON document on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        line: dict[str, str | None] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (run := run_id.get()) is not None:
            line["run_id"] = run
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def is_json() -> bool:
    """Whether logs are for programs. Raises UsageError where ``ROLLIN_LOG`` is neither json nor text."""
    form = os.environ.get("ROLLIN_LOG") or "text"
    if form not in ("json", "text"):
        raise UsageError(f"ROLLIN_LOG is '{form}': set it to json or text.")
    return form == "json"


def _handler(*, verbose: bool) -> logging.Handler:
    if is_json():
        lines = logging.StreamHandler(sys.stderr)
        lines.setFormatter(JsonLines())
        return lines
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=verbose, log_time_format="%H:%M:%S")
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


@contextlib.contextmanager
def show_progress(*, verbose: bool = False) -> Iterator[None]:
    """Print what Rollin's loggers tell, with the time, to standard error; other libraries stay quiet unless ``verbose``."""
    handler = _handler(verbose=verbose)
    logger = logging.getLogger("rollin")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    silence = logging.NullHandler()  # what nobody handles would otherwise be printed by Python's handler of last resort
    if not verbose:
        logging.getLogger().addHandler(silence)
    try:
        with warnings.catch_warnings():
            if not verbose:
                warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)
        logging.getLogger().removeHandler(silence)
        logger.setLevel(level)
        logger.propagate = propagate
