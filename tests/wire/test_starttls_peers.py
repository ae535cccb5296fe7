"""Clients and servers that others wrote ask the edge for TLS and are asked by it: SMTP, IMAP and LDAP."""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.clients import opened, tls
from tests.kit.edge import until
from tests.kit.raw import Record, rest, server_context
from tests.wire.test_starttls_mail import SMTP as SMTP_WORDS
from tests.wire.test_starttls_mail import asked, opening
from tests.wire.test_tcp import is_end, receive, route, site

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test", "127.0.0.1")


class Mailbox:
    """Takes mail, and tells by whom it came over TLS."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, bytes, bool]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert envelope.mail_from is not None and isinstance(envelope.content, bytes)
        is_secured = server.transport is not None and server.transport.get_extra_info("ssl_object") is not None
        self.mails.append((envelope.mail_from, envelope.content, is_secured))
        return "250 2.0.0 taken"


@pytest.fixture
def mailbox(pki: Pki) -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    """Starts aiosmtpd: asked for TLS, `at_once` with it, or without any."""
    started = []

    def start(*, clients: Path | None = None, secures: str = "asked") -> tuple[Mailbox, int]:
        box, port = Mailbox(), free_port()
        context = server_context(pki.backend, clients=clients)
        ways: dict[str, dict[str, Any]] = {
            "asked": {"tls_context": context, "require_starttls": True},
            "at once": {"ssl_context": context},
            "never": {},
        }
        # What it asks itself at its start goes over its own port.
        it = Quiet(box, hostname="127.0.0.1", port=port, **ways[secures])
        it.start()
        started.append(it)
        return box, port

    yield start
    for one in started:
        one.stop()


class Quiet(Controller):
    """Its own look at whether it runs would have no certificate."""

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.port), 10):
            pass


def post(port: int, ca: Path, *, starttls: bool) -> bytes:
    """Sends a mail as smtplib does; gives what the server's EHLO offers within TLS."""
    context = ssl.create_default_context(cafile=str(ca))
    if starttls:
        it = smtplib.SMTP(timeout=30)
        it.connect("127.0.0.1", port)
        it._host = "mq.test"  # type: ignore[attr-defined]  # what it asks the certificate for
        with pytest.raises(smtplib.SMTPException, match="STARTTLS"):
            it.sendmail("a@client.test", ["b@server.test"], b"Subject: in the clear\r\n\r\nsecret\r\n")
        it.starttls(context=context)
    else:
        it = Implicit("mq.test", port, timeout=30, context=context)
    with it:
        it.ehlo("client.test")
        offers = it.ehlo_resp or b""
        it.sendmail("a@client.test", ["b@server.test"], b"Subject: hop\r\n\r\n" + b"line of a mail\r\n" * 5000)
    return offers


class Implicit(smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", port), timeout)
        return opened(self.context.wrap_socket(sock, server_hostname=host))


@pytest.mark.parametrize("client", ["asks", "begins"])
@pytest.mark.parametrize("secures", ["asked", "at once", "never", "mutual"])
def test_mail_goes_from_smtplib_to_aiosmtpd_however_each_begins_tls(
    edge: Edges, pki: Pki, mailbox: Callable[..., tuple[Mailbox, int]], client: str, secures: str
) -> None:
    clients = pki.internal.file if secures == "mutual" else None
    box, port = mailbox(clients=clients, secures="asked" if clients else secures)
    pattern = {"never": "plaintext", "mutual": "mutual"}.get(secures, "reencrypt")
    more = 'starttls = "smtp"' if secures in ("asked", "mutual") else ""
    it = edge(route(port, tls=pattern, more=more) + site(), listener='starttls = "smtp"' if client == "asks" else "")
    offers = post(it.port, pki.public.file, starttls=client == "asks")
    assert b"8BITMIME" in offers and b"STARTTLS" not in offers
    ((sender, content, was_secured),) = box.mails
    assert sender == "a@client.test" and content.count(b"line of a mail") == 5000
    assert was_secured == (secures != "never")
    line = it.line(is_end)
    # smtplib closes its socket behind the last word, whoever speaks TLS.
    assert line["pattern"] == pattern and line["end"] in ("done", "connection/broken")
    if clients:
        assert line["backend_hop"]["identity"] == "demanded"


@pytest.mark.parametrize("words", ["smtp", "imap", "ldap"])
def test_openssl_asks_for_tls_in_each_protocols_words(edge: Edges, raw: Raws, pki: Pki, words: str) -> None:
    backend = raw(lambda sock, record: None)
    it = edge(route(backend.port) + site(), listener=f'starttls = "{words}"')
    command = ["openssl", "s_client", "-starttls", words, "-connect", f"127.0.0.1:{it.port}", "-servername", "mq.test"]
    command += ["-CAfile", str(pki.public.file), "-verify_hostname", "mq.test", "-verify_return_error", "-brief"]
    it_said = subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False)
    assert b"Verification: OK" in it_said.stderr + it_said.stdout, it_said
    assert it.line(is_end)["client_hop"]["tls"] == "ended"


def test_a_proxy_header_comes_before_the_greeting_on_either_side(edge: Edges, raw: Raws, pki: Pki) -> None:
    seen: list[bytes] = []
    script = asked(pki, SMTP_WORDS)

    def behind(sock: socket.socket, record: Any) -> None:
        head = receive(sock, 16)
        seen.append(head + receive(sock, int.from_bytes(head[14:], "big")))
        script(sock, record)

    peer = raw(behind)
    more = 'starttls = "smtp"\nsend_proxy = "v2"'
    it = edge(
        route(peer.port, tls="reencrypt", more=more) + site(),
        listener='starttls = "smtp"\naccept_proxy = ["127.0.0.0/8"]',
    )
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 25\r\n")
        assert receive(sock, 4) == b"220 "
        opening(sock, SMTP_WORDS)
        context = ssl.create_default_context(cafile=str(pki.public.file))
        with context.wrap_socket(sock, server_hostname="mq.test") as inside:
            inside.sendall(SMTP_WORDS.inside[0])
            assert receive(inside, len(SMTP_WORDS.inside[1])) == SMTP_WORDS.inside[1]
    (header,) = seen
    assert header.startswith(b"\r\n\r\n\0\r\nQUIT\n") and socket.inet_aton("192.0.2.7") in header
    assert it.line(is_end)["client"] == "192.0.2.7"


DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
ssl_ca = <{folder}/clients.pem
ssl_require_crl = no
ssl_verify_client_cert = {demands}
auth_ssl_require_client_cert = {demands}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {secured}
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={folder}/home
}}
mail_location = maildir:{folder}/home/mail
first_valid_uid = 1
"""


class Imap(imaplib.IMAP4):
    def __init__(self, port: int) -> None:
        super().__init__("mq.test", port, 30)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)


class ImapAtOnce(imaplib.IMAP4_SSL):
    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("mq.test", port, ssl_context=context, timeout=30)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout)
        secured: ssl.SSLSocket = self.ssl_context.wrap_socket(sock, server_hostname=self.host)
        return secured


@pytest.fixture
def dovecot(pki: Pki) -> Iterator[tuple[int, int]]:
    """Dovecot that knows nobody without TLS and a certificate; its port, and that for TLS at once."""
    if shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin") is None or os.geteuid() != 0:
        pytest.skip("Dovecot of Debian is not installed, or may not be started here")
    folder = Path(tempfile.mkdtemp(prefix="eh-imap-"))
    folder.chmod(0o755)
    (folder / "home").mkdir()
    os.chown(folder / "home", 65534, 65534)
    for name, to in (("backend.pem", "server.pem"), ("backend.key", "server.key"), ("internal-ca.pem", "clients.pem")):
        shutil.copy(pki.folder / name, folder / to)
    port, secured = free_port(), free_port()
    config = folder / "dovecot.conf"
    config.write_text(DOVECOT.format(folder=folder, port=port, secured=secured, demands="yes"))
    server = subprocess.Popen(
        ["dovecot", "-F", "-c", config], env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    )
    try:
        until(lambda: (is_open(port) and is_open(secured)) or None, 60)
        yield port, secured
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("client", ["asks", "begins"])
@pytest.mark.parametrize("backend", ["asked", "at once"])
def test_imaplib_reads_its_mail_at_dovecot_through_mutual_tls_however_each_begins_it(
    edge: Edges, pki: Pki, dovecot: tuple[int, int], client: str, backend: str
) -> None:
    more = 'starttls = "imap"' if backend == "asked" else ""
    it = edge(
        route(dovecot[backend == "at once"], tls="mutual", more=more) + site(),
        listener='starttls = "imap"' if client == "asks" else "",
    )
    context = ssl.create_default_context(cafile=str(pki.public.file))
    if client == "asks":
        mail: imaplib.IMAP4 = Imap(it.port)
        with pytest.raises(imaplib.IMAP4.error, match="STARTTLS first"):
            mail.login("alice", "secret")
        mail.starttls(context)
    else:
        mail = ImapAtOnce(it.port, context)
    assert "STARTTLS" not in mail.capabilities
    mail.login("alice", "secret")
    assert mail.append("INBOX", "", "", b"Subject: hop\r\n\r\n" + b"line\r\n" * 20000)[0] == "OK"
    mail.select("INBOX")
    (_, text), *_ = mail.fetch("1", "(BODY[TEXT])")[1]  # type: ignore[misc]
    assert text.count(b"line") == 20000  # type: ignore[union-attr]
    mail.logout()
    line = it.line(is_end)
    assert (line["end"], line["backend_hop"]["identity"]) == ("done", "demanded")


SLAPD = """
include /etc/ldap/schema/core.schema
pidfile {folder}/pid
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
TLSCACertificateFile {folder}/clients.pem
TLSVerifyClient demand
security ssf=128
"""


@pytest.fixture
def slapd(pki: Pki) -> Iterator[int]:
    """OpenLDAP's server that answers nobody without TLS and a certificate."""
    if not Path("/usr/sbin/slapd").exists() or shutil.which("ldapsearch") is None:
        pytest.skip("slapd and ldapsearch of Debian are not installed")
    folder = Path(tempfile.mkdtemp(prefix="eh-ldap-"))
    for name, to in (("backend.pem", "server.pem"), ("backend.key", "server.key"), ("internal-ca.pem", "clients.pem")):
        shutil.copy(pki.folder / name, folder / to)
    port, config = free_port(), folder / "slapd.conf"
    config.write_text(SLAPD.format(folder=folder))
    command = ["/usr/sbin/slapd", "-d", "0", "-f", str(config), "-h", f"ldap://127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=folder)
    try:
        until(lambda: is_open(port) or None, 60)
        yield port
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("client", ["ldap", "ldaps"])
def test_ldapsearch_speaks_with_slapd_through_mutual_tls_that_each_side_asked_for(
    edge: Edges, pki: Pki, slapd: int, client: str
) -> None:
    it = edge(
        route(slapd, tls="mutual", more='starttls = "ldap"') + site(),
        listener='starttls = "ldap"\nno_sni = "streams"',
    )
    command = ["ldapsearch", "-x", "-LLL", "-H", f"{client}://127.0.0.1:{it.port}"]
    command += ["-b", "", "-s", "base", "supportedExtension"]
    env = {**os.environ, "LDAPTLS_CACERT": str(pki.public.file), "LDAPTLS_REQCERT": "demand"}
    asks = ["-ZZ"] if client == "ldap" else []
    said = subprocess.run([*command, *asks], capture_output=True, text=True, timeout=60, check=False, env=env)
    assert said.returncode == 0 and "1.3.6.1.4.1.1466.20037" in said.stdout, said
    line = it.line(lambda line: line["route"] == "mq")
    assert (line["end"], line["backend_hop"]["identity"]) == ("done", "demanded")
    if client == "ldap":
        clear = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
        assert clear.returncode == 13 and "this port takes TLS only" in clear.stderr, clear
        assert it.line(lambda line: line["end"] == "hello/tls-not-asked")["route"] is None


def test_a_backend_that_knows_no_starttls_of_ldap_gets_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    """T16."""
    no = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"
    says = [no, b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00", b"220 hello\r\n"]
    told = ["it does not know StartTLS (protocolError)", None, "what it said is no answer of LDAP"]
    now = iter(says)

    def script(sock: socket.socket, record: Record) -> None:
        rest(sock, record, 31)
        sock.sendall(next(now))
        record.take(sock, 1)

    backend = raw(script)
    it = edge(route(backend.port, tls="reencrypt", more='starttls = "ldap"') + site())
    for n, detail in enumerate(told):
        sock = tls(it.port, "mq.test", pki.public.file)
        with contextlib.suppress(OSError):
            sock.sendall(b"x")
            assert sock.recv(1) == b""
        (failed,) = until(lambda n=n: it.lines()[n:] or None)[0]["failed_hops"]  # type: ignore[misc]
        assert (failed["end"] == "hop/not-ready") == (detail is None)
        assert detail in (None, failed["detail"])
    assert len(backend.received) == 31 * len(told)
