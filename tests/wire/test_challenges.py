"""What certificate authorities are answered that ask whether a name is ours: the answer of a challenge that is pending, in the clear and
by a handshake, and nothing to anybody else."""

from __future__ import annotations

import datetime as dt
import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from everyhop.admin.paths import engine_socket
from everyhop.demo.stage import free_port
from everyhop.engine import messages as m
from everyhop.engine.control import Control
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (RFC 8737 §6.1)."""


def shown(name: str, key_authorization: str) -> m.ShownInTls:
    """As an ACME client makes it: self-signed, its critical extension says what the authority looks for (RFC 8737 §3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "challenge")])
    now = dt.datetime.now(dt.UTC)
    says = b"\x04\x20" + hashlib.sha256(key_authorization.encode()).digest()
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, now)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(IDENTIFIER, says), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return m.ShownInTls(name=name, certificate=m.Shown(chain=made.public_bytes(pem).decode(), key=secret))


def asks(port: int, name: str, alpn: list[str]) -> tuple[str | None, bytes]:
    """Who shakes hands as an authority does: what was agreed on, and what was shown; it verifies nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        found = sock.getpeercert(binary_form=True)
        assert found is not None
        if alpn == ["acme-tls/1"]:
            sock.settimeout(20)
            assert sock.recv(1) == b"", "nobody speaks with it"
        return sock.selected_alpn_protocol(), found


def plain(port: int, host: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


class Stage:
    """An edge of one site with a port of plain HTTP, and a conversation with its engine."""

    def __init__(self, edge: Edges, raw: Callable[..., Raw]) -> None:
        self.raw = raw(answering(OK))
        self.plain = free_port()
        self.edge = edge(
            f'[[listener]]\nname = "web"\nbind = ["127.0.0.1:{self.plain}"]\nspeaks = "http"\n'
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n'
        )
        self.engine = Control.connect(engine_socket(self.edge.folder / "admin.sock"))

    def pending(self, *all_: m.ShownInTls | m.SaidInTheClear) -> None:
        self.engine.must(m.Challenges(challenges=list(all_)), m.Heard)


@pytest.fixture
def stage(edge: Edges, raw: Callable[..., Raw]) -> Iterator[Stage]:
    it = Stage(edge, raw)
    yield it
    it.engine.close()


def test_a_handshake_for_a_challenge_shows_its_certificate_and_is_over(stage: Stage) -> None:
    port, given = stage.edge.port, shown("a.test", "t.k")
    stage.pending(given)
    agreed, found = asks(port, "a.test", ["acme-tls/1"])
    assert agreed == "acme-tls/1"
    assert x509.load_der_x509_certificate(found) == x509.load_pem_x509_certificate(given.certificate.chain.encode())
    line = stage.edge.line(lambda it: it["end"] == "hello/challenge-answered")
    assert line["sni"] == "a.test"
    with tls(port, "a.test", stage.edge.pki.public.file) as sock:
        assert exchange(sock, GET).status == 200, "who comes for the site gets the site"


@pytest.mark.parametrize(
    ("name", "alpn"),
    [("a.test", ["acme-tls/1", "h2"]), ("a.test", ["h2"]), ("other.test", ["acme-tls/1"])],
    ids=["beside another protocol", "another protocol", "another name"],
)
def test_the_certificate_of_a_challenge_is_shown_to_nobody_else(stage: Stage, name: str, alpn: list[str]) -> None:
    given = shown("a.test", "t.k")
    stage.pending(given)
    challenge = x509.load_pem_x509_certificate(given.certificate.chain.encode())
    try:
        _, found = asks(stage.edge.port, name, alpn)
    except ssl.SSLError:
        return
    assert x509.load_der_x509_certificate(found) != challenge


def test_the_answer_of_a_challenge_is_said_in_the_clear_where_it_is_asked_for_and_nowhere_else(stage: Stage) -> None:
    path = "/.well-known/acme-challenge/token"
    assert plain(stage.plain, "a.test", path)[0] == 404
    stage.pending(m.SaidInTheClear(name="a.test", token="token", text="token.key"))
    assert plain(stage.plain, "a.test", path) == (200, b"token.key")
    assert plain(stage.plain, "A.test:80", path) == (200, b"token.key")
    assert plain(stage.plain, "a.test", path, "HEAD") == (200, b"")
    for host, other in (("a.test", f"{path}x"), ("a.test", f"{path}/"), ("other.test", path), ("a.test", path[:-5])):
        assert plain(stage.plain, host, other)[0] in (404, 421), (host, other)
    assert plain(stage.plain, "a.test", "/token")[0] == 308
    stage.pending()
    assert plain(stage.plain, "a.test", path)[0] == 404
    assert stage.raw.received == b"", "no backend hears of it"
    ends = [line["end"] for line in stage.edge.all_lines()]
    assert ends.count("plain/challenge-answered") == 3 and "plain/no-challenge" in ends


def test_handshakes_for_a_challenge_are_counted_by_their_source_as_all_others_are(
    edge: Edges, raw: Callable[..., Raw]
) -> None:
    backend = raw(answering(OK))
    it = edge(
        '[limits]\nhandshakes_per_source = 1\n[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\n'
        f'to = ["127.0.0.1:{backend.port}"]\n'
    )
    with closing(Control.connect(engine_socket(it.folder / "admin.sock"))) as engine:
        engine.must(m.Challenges(challenges=[shown("a.test", "t.k")]), m.Heard)

    def refused() -> bool:
        try:
            return asks(it.port, "a.test", ["acme-tls/1"])[0] != "acme-tls/1"
        except OSError:
            return True

    until(refused)
    ends = {line["end"] for line in it.all_lines()}
    assert ends == {"hello/challenge-answered", "connection/source-rate"}


def missing(it: EdgeKit) -> list[str]:
    """Why a site has no certificate yet, as `status` tells it."""
    troubles = it.admin("status")["supervisor"]["troubles"]
    return [str(one["why"]) for one in troubles if one["kind"] == "certificate-missing"]


def test_a_site_whose_authority_has_not_issued_is_told_as_that_and_served_once_it_has(
    edge: Edges, raw: Callable[..., Raw], tmp_path: Path
) -> None:
    backend, state = raw(answering(OK)), tmp_path / "acme"
    it = edge(
        f'[acme]\nauthority = ["https://127.0.0.1:{free_port()}/dir"]\nterms_agreed = true\nstate = "{state}"\n'
        '[[site]]\nname = "new"\nhosts = ["new.test"]\ncerts = "acme"\n'
        f'[[route]]\nname = "r"\nhost = ["a.test", "new.test"]\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    )
    with pytest.raises(ssl.SSLError):
        tls(it.port, "new.test", it.pki.public.file)
    line = it.line(lambda found: found["sni"] == "new.test")
    assert line["end"] == "hello/no-certificate-yet"
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        assert exchange(sock, GET).status == 200, "every other site is served"
    until(lambda: any("tried again at" in why for why in missing(it)))
    leaf = it.pki.public.leaf("new", "new.test")
    (folder := state / "sites" / "new").mkdir(parents=True, mode=0o700, exist_ok=True)
    (beside := folder / "beside").write_bytes(leaf.key.read_bytes() + leaf.chain.read_bytes())
    beside.chmod(0o600)
    beside.rename(folder / "ecdsa-p256.pem")

    def served() -> bool:
        try:
            with tls(it.port, "new.test", it.pki.public.file) as sock:
                return exchange(sock, GET.replace("a.test", "new.test")).status == 200
        except ssl.SSLError:
            return False

    until(served)
    until(lambda: not missing(it))
