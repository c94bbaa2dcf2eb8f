"""What a person sees while a night runs. Belongs here: the terminal. Does not: what is told (the modules log it)."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def show_progress(*, verbose: bool = False) -> Iterator[None]:
    """Print what Rollin's loggers tell, with the time, to standard error; other libraries stay quiet unless ``verbose``."""
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=verbose, log_time_format="%H:%M:%S")
    handler.setFormatter(logging.Formatter("%(message)s"))
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
