"""Telling people that something is wrong, or well again. Belongs here: the message and its ways. Does not: deciding that it is wrong.

Ways: the log, always; a webhook (``ROLLIN_ALERT_WEBHOOK``); e-mail (``ROLLIN_ALERT_MAIL_TO`` by ``ROLLIN_SMTP_URL``).
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid
from urllib.parse import unquote, urlsplit

from orchestration.settings import Settings, UsageError

log = logging.getLogger("rollin.alert")

_TIMEOUT_SECONDS = 10.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SUBJECT_CHARACTERS = 120


def send(settings: Settings, *, outcome: str, message: str, run_id: str) -> None:
    """Log it and send it by every way that is set; never raises, an alert must not do harm, and one way's failure leaves the others.

    The webhook's body is JSON: ``text`` (one sentence, as chat tools expect it), ``outcome``, ``run_id`` (empty where no run is meant).
    """
    if outcome == "recovered":
        log.info("%s: %s", outcome, message)
    else:
        log.error("%s: %s", outcome, message)
    _post(settings.environ, outcome, message, run_id)
    _mail(settings.environ, outcome, message, run_id)


def _post(environ: Mapping[str, str], outcome: str, message: str, run_id: str) -> None:
    address = environ.get("ROLLIN_ALERT_WEBHOOK")
    if not address:
        return
    import httpx

    body = {"text": f"Rollin: {outcome}. {message}", "outcome": outcome, "run_id": run_id}
    try:
        httpx.post(address, json=body, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # the address may carry a token: only the kind of failure is told
        log.error("The alert could not be delivered (%s): check ROLLIN_ALERT_WEBHOOK.", type(error).__name__)


def _mail(environ: Mapping[str, str], outcome: str, message: str, run_id: str) -> None:
    try:
        server, mail = mail_server(environ), _letter(environ, outcome, message, run_id)
        if (server is None) != (mail is None):
            log.error("The alert could not be mailed: set both ROLLIN_SMTP_URL and ROLLIN_ALERT_MAIL_TO, or neither.")
        if server is not None and mail is not None:
            server.deliver(mail)
    except UsageError as error:
        log.error("The alert could not be mailed: %s", error)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        # what a server answers may repeat what it was sent
        log.error("The alert could not be mailed (%s): check ROLLIN_SMTP_URL and ROLLIN_ALERT_MAIL_TO.", type(error).__name__)


def _letter(environ: Mapping[str, str], outcome: str, message: str, run_id: str) -> EmailMessage | None:
    """The e-mail in plain text; None where nobody is to get one. Raises UsageError for an address that is none."""
    to = _addresses(environ, "ROLLIN_ALERT_MAIL_TO")
    if not to:
        return None
    sender = (_addresses(environ, "ROLLIN_ALERT_MAIL_FROM") or ["rollin@localhost"])[0]
    letter = EmailMessage()
    letter["From"], letter["To"] = sender, ", ".join(to)
    # a message may hold what a portal wrote: no line of it becomes a header
    letter["Subject"] = " ".join(f"Rollin: {outcome}. {message}".split())[:_SUBJECT_CHARACTERS]
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid("rollin", domain=sender.rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    run = f"\n\nrun_id: {run_id}" if run_id else ""
    letter.set_content(f"{message}{run}\n\n'rollin status' shows what is published and how fresh it is.\n")
    return letter


def _addresses(environ: Mapping[str, str], name: str) -> list[str]:
    stated = environ.get(name, "")
    found = [address for _, address in getaddresses([stated]) if address]
    if (stated and not found) or any("@" not in address or not address.isascii() for address in found):
        raise UsageError(f"{name} holds no e-mail addresses: write them as amt@example.org, separated by commas.")
    return found


class MailServer:
    """Where e-mail is handed in, from an address such as ``smtps://user:password@mail.example.org``.

    ``smtps``: TLS from the first byte (port 465). ``smtp``: STARTTLS (port 587), demanded before anything is said; without TLS only on
    this machine itself (port 25) and without a password. Certificates are checked (``SSL_CERT_FILE`` names further authorities).
    Raises UsageError for an address that is none.
    """

    def __init__(self, url: str):
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("smtp", "smtps") or not host:
            # the address may hold a password: it is not repeated
            raise UsageError(
                "ROLLIN_SMTP_URL is no address of a mail server: write smtps://user:password@host or smtp://host:587."
            )
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.is_tls, self.is_local = parts.scheme == "smtps", host in _LOOPBACK
        self.needs_starttls = not self.is_tls and (not self.is_local or bool(self.user))
        self.host = host
        self.port = port or (465 if self.is_tls else 587 if self.needs_starttls else 25)

    def deliver(self, letter: EmailMessage) -> None:
        """Hand a letter in. Raises OSError or SMTPException where that fails."""
        context = ssl.create_default_context()
        if self.is_tls:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            connection = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        with connection:
            if self.needs_starttls:
                connection.starttls(context=context)
            if self.user:
                connection.login(self.user, self.password)
            connection.send_message(letter)


def mail_server(environ: Mapping[str, str]) -> MailServer | None:
    """The server that ``ROLLIN_SMTP_URL`` names, None where it is unset. Raises UsageError for an address that is none."""
    url = environ.get("ROLLIN_SMTP_URL")
    return MailServer(url) if url else None
