"""Telling people that a night went wrong. Belongs here: the message and its ways. Does not: deciding that it went wrong."""

from __future__ import annotations

import logging

from orchestration.settings import Settings

log = logging.getLogger("rollin.alert")

_TIMEOUT_SECONDS = 10.0


def send(settings: Settings, *, outcome: str, message: str, run_id: str) -> None:
    """Log a night's failure and post it to ``ROLLIN_ALERT_WEBHOOK`` where that is set; never raises, an alert must not do harm.

    The body is JSON: ``text`` (one sentence, as chat tools expect it), ``outcome``, ``run_id``.
    """
    log.error("%s: %s", outcome, message)
    address = settings.environ.get("ROLLIN_ALERT_WEBHOOK")
    if not address:
        return
    import httpx

    body = {"text": f"Rollin: {outcome}. {message}", "outcome": outcome, "run_id": run_id}
    try:
        httpx.post(address, json=body, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # the address may carry a token: only the kind of failure is told
        log.error("The alert could not be delivered (%s): check ROLLIN_ALERT_WEBHOOK.", type(error).__name__)
