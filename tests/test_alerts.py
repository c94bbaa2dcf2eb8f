"""Telling people: by webhook and by e-mail, each on its own, over TLS where it leaves the machine, and never with a secret in the log."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import logging
import socketserver
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest

from orchestration import alerts
from orchestration.settings import Settings, UsageError

PASSWORD = "Geheim-7f3a9c51"


class Smtp(socketserver.ThreadingTCPServer):
    """A mail server on loopback that speaks enough of RFC 5321, 3207 and 4954. ``letters``: what was handed in; ``logins``: by whom."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, context: ssl.SSLContext | None = None, is_tls: bool = False, refuses: bool = False):
        self.context, self.is_tls, self.refuses = context, is_tls, refuses
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[str] = []
        self.plain_commands: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Session(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = cast(Smtp, self.server)
        connection = self.request
        is_secure = server.is_tls
        if is_secure and server.context:
            try:
                connection = server.context.wrap_socket(connection, server_side=True)
            except (ssl.SSLError, OSError):
                return
        lines = connection.makefile("rb")

        def say(text: str) -> None:
            connection.sendall(f"{text}\r\n".encode())

        say("220 ready")
        while line := lines.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if not is_secure:
                server.plain_commands.append(line)
            if verb in (b"EHLO", b"HELO"):
                offers = ["250-here", *(["250-STARTTLS"] if server.context and not is_secure else []), "250 AUTH PLAIN"]
                connection.sendall("".join(f"{offer}\r\n" for offer in offers).encode())
            elif verb == b"STARTTLS" and server.context:
                say("220 go ahead")
                try:
                    connection = server.context.wrap_socket(connection, server_side=True)
                except (ssl.SSLError, OSError):
                    return
                lines, is_secure = connection.makefile("rb"), True
            elif verb == b"AUTH":
                server.logins.append(base64.b64decode(line.split()[2]).decode())
                say(f"535 not with {server.logins[-1]}" if server.refuses else "235 welcome")
            elif verb == b"RCPT":
                server.recipients.append(line.decode().strip())
                say("250 ok")
            elif verb == b"DATA":
                say("354 go on")
                data = b""
                while (part := lines.readline()) != b".\r\n":
                    data += part
                server.letters.append(cast(EmailMessage, message_from_bytes(data, policy=policy.default)))
                say("250 ok")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file; nobody trusts it unless told to."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.org")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Smtp]:
    options: dict[str, Any] = dict(getattr(request, "param", {}))
    if options.pop("tls", True):
        options["context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options["context"].load_cert_chain(certificate)
    one = Smtp(**options)
    yield one
    one.shutdown()
    one.server_close()


def send(tmp_path: Path, message: str = "Hessen/kosten ist zu alt: bitte neu liefern.", **environ: str) -> None:
    settings = Settings(home=tmp_path, environ={"ROLLIN_ALERT_MAIL_TO": "a@example.org, B <b@example.org>", **environ})
    alerts.send(settings, outcome="no_data", message=message, run_id="7c7d680b")


def test_on_this_machine_without_a_password_it_goes_as_it_is(server: Smtp, tmp_path: Path) -> None:
    send(tmp_path, "Ein Satz\r\nBcc: c@example.org", ROLLIN_SMTP_URL=f"smtp://127.0.0.1:{server.port}")
    [letter] = server.letters
    assert (letter["To"], letter["From"]) == ("a@example.org, b@example.org", "rollin@localhost")
    assert letter["Subject"] == "Rollin: no_data. Ein Satz Bcc: c@example.org" and letter["Bcc"] is None
    assert letter["Auto-Submitted"] == "auto-generated" and letter["Date"] and letter["Message-ID"]
    assert "run_id: 7c7d680b" in letter.get_content()
    assert [line.split(":")[1].split(">")[0] for line in server.recipients] == ["<a@example.org", "<b@example.org"]


@pytest.mark.parametrize(("server", "scheme"), [({}, "smtp"), ({"is_tls": True}, "smtps")], indirect=["server"])
def test_a_password_is_said_behind_tls_only(
    server: Smtp,
    scheme: str,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"{scheme}://amt%40example:{PASSWORD}@127.0.0.1:{server.port}"
    send(tmp_path, ROLLIN_SMTP_URL=url)  # nobody vouches for the certificate
    assert (server.letters, server.logins) == ([], [])
    assert "could not be mailed (SSLCertVerificationError)" in caplog.text
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    send(tmp_path, ROLLIN_SMTP_URL=url, ROLLIN_ALERT_MAIL_FROM="rollin@example.org")
    assert len(server.letters) == 1 and server.logins == [f"\0amt@example\0{PASSWORD}"]
    assert server.letters[0]["From"] == "rollin@example.org"
    assert all(line.split()[0].upper() in (b"EHLO", b"STARTTLS") for line in server.plain_commands if line.strip().isascii())
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("server", [{"tls": False}], indirect=True)
def test_a_server_without_tls_is_not_told_a_password(server: Smtp, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    send(tmp_path, ROLLIN_SMTP_URL=f"smtp://amt:{PASSWORD}@127.0.0.1:{server.port}")
    assert (server.letters, server.logins) == ([], [])
    assert "could not be mailed (SMTPNotSupportedError)" in caplog.text and PASSWORD not in caplog.text


@pytest.mark.parametrize("server", [{"refuses": True}], indirect=True)
def test_a_server_that_repeats_the_password_does_not_bring_it_into_the_log(
    server: Smtp, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    caplog.set_level(logging.DEBUG)
    send(tmp_path, ROLLIN_SMTP_URL=f"smtp://amt:{PASSWORD}@127.0.0.1:{server.port}")
    assert server.logins and server.letters == []
    assert "could not be mailed (SMTPAuthenticationError)" in caplog.text and PASSWORD not in caplog.text


def test_one_way_that_fails_leaves_the_other(server: Smtp, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    send(tmp_path, ROLLIN_ALERT_WEBHOOK="http://127.0.0.1:9/hook", ROLLIN_SMTP_URL=f"smtp://localhost:{server.port}")
    assert len(server.letters) == 1 and "check ROLLIN_ALERT_WEBHOOK" in caplog.text


@pytest.mark.parametrize(
    ("url", "to", "named"),
    [
        (f"http://u:{PASSWORD}@mail.example.org", "a@example.org", "ROLLIN_SMTP_URL"),
        (f"smtp://u:{PASSWORD}@mail.example.org:hundert", "a@example.org", "ROLLIN_SMTP_URL"),
        (f"smtps://u:{PASSWORD}@[::1", "a@example.org", "ROLLIN_SMTP_URL"),
        ("smtp://localhost", "niemand", "ROLLIN_ALERT_MAIL_TO"),
    ],
)
def test_what_cannot_work_is_told_without_the_password(
    url: str, to: str, named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    send(tmp_path, ROLLIN_SMTP_URL=url, ROLLIN_ALERT_MAIL_TO=to)
    assert named in caplog.text and PASSWORD not in caplog.text


def test_ports_and_tls_follow_from_the_address() -> None:
    def shape(url: str) -> tuple[int, bool, bool]:
        server = alerts.MailServer(url)
        return server.port, server.is_tls, server.needs_starttls

    assert shape("smtps://mail.example.org") == (465, True, False)
    assert shape("smtp://mail.example.org") == (587, False, True)
    assert shape("smtp://localhost") == (25, False, False)
    assert shape("smtp://u:p@localhost") == (587, False, True)
    with pytest.raises(UsageError, match="ROLLIN_SMTP_URL"):
        alerts.MailServer("mail.example.org")
