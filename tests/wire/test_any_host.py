"""A site of every name, and proxies in front that are believed for what they prove to be: what a guard beside a backend stands on.
Judged at the recording backend, in both protocols of a client's."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import opened
from tests.kit.edge import leaf
from tests.kit.raw import rest
from tests.threats.ground import serving
from tests.threats.talk import PROTOCOLS, Arrival, Noting, Talk, arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

EVERY = """\
[[site]]
name = "every"
hosts = ["*"]
certs = [{{ chain = "{pki}/backend.pem", key = "file:{pki}/backend.key" }}]
clients = {{ ca = "{pki}/public-ca.pem", mode = "{mode}" }}
"""
CLIENT = "spiffe://test/client"
ALL = '["address", "client-cert", "prefix", "proto", "host", "port", "request-id"]'
SHOWN = b":aGVsbG8="
"""What says to be a certificate, and is cut; with a colon behind it, one that nobody here has."""
FORGED = [
    (b"X-Forwarded-For", b"203.0.113.7"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"shop.test"),
    (b"X-Forwarded-Prefix", b"/app"),
    (b"X-Request-Id", b"of-the-edge"),
    (b"Client-Cert", SHOWN + b":"),
    (b"Client-Cert-Chain", SHOWN + b":, " + SHOWN + b":"),
]
WORDS = tuple(name.decode().lower() for name, _ in FORGED)


class Known(Talk):
    """Who shows a certificate and asks by a name of its choice, or by none."""

    def __init__(self, port: int, pki: Pki, sni: str | None, protocol: str, shows: str | None) -> None:
        super().__init__(port, pki, "asked.test", protocol)
        self.sni, self.shows = sni, shows

    def open(self) -> ssl.SSLSocket:
        if self.sock is None:
            self.sock = named(self.port, self.pki, self.sni, self.protocol, self.shows)
            self.h2 = Noting(self.sock) if self.protocol == "h2" else None
            self.stream = 1
        return self.sock


def named(port: int, pki: Pki, sni: str | None, protocol: str, shows: str | None) -> ssl.SSLSocket:
    """The certificate is for another name: what is asked for, a client of such a site knows by its own list."""
    context = ssl.create_default_context(cafile=str(pki.internal.file))
    context.check_hostname = False
    context.set_alpn_protocols([protocol])
    if shows:
        it = leaf(pki, shows)
        context.load_cert_chain(it.chain, it.key)
    return opened(context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname=sni))


def started(edge: Edges, pki: Pki, port: int, *, listener: str = "", mode: str = "require", more: str = "") -> EdgeKit:
    site = EVERY.format(pki=pki.folder, mode=mode)
    route = f'[[route]]\nname = "r"\nhost = "*"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'
    return edge(site + route, site=None, listener=listener)


def last(backend: Raw) -> Arrival:
    return list(arrivals([bytes(record) for record in backend.records]))[-1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_site_of_every_name_answers_to_whichever_and_to_none(edge: Edges, raw: Raws, pki: Pki, protocol: str) -> None:
    backend = raw(serving)
    it = started(edge, pki, backend.port)
    for sni in ("shop.test", "one", None):
        with Known(it.port, pki, sni, protocol, "client") as talk:
            for host in (b"shop.test", b"any.thing.test:8443", b"127.0.0.1", b"[::1]:9"):
                assert talk.ask(b"/", authority=host).status == 200, (sni, host)
                assert last(backend).one("host") == host.decode()
    found = it.cli("where", "whatever.test/", "--config", str(it.config), "--json")
    assert '"route": "r"' in found.stdout, found.stdout + found.stderr


def test_a_name_that_somebody_has_is_not_taken_by_a_site_of_every_name(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(serving)
    own = (
        '[[route]]\nname = "own"\nhost = "a.test"\nanswer = { status = 418 }\n'
        '[[site]]\nname = "own"\nhosts = ["a.test"]\n'
        f'certs = [{{ chain = "{pki.folder}/edge.pem", key = "file:{pki.folder}/edge.key" }}]\n'
    )
    it = started(edge, pki, backend.port, more=own)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 418
        # Whoever came by that name proved nothing, and gets nowhere by another.
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").status == 421
    with Known(it.port, pki, None, "http/1.1", "client") as talk:
        assert talk.ask(b"/", authority=b"a.test").status == 421
    assert not any(bytes(record) for record in backend.records)


def echoing(sock: socket.socket, record: bytearray) -> None:
    while data := rest(sock, record, 1):
        sock.sendall(data)


def test_bytes_that_are_not_read_reach_a_site_of_every_name_by_any_name(edge: Edges, raw: Raws, pki: Pki) -> None:
    echo = raw(echoing)
    it = started(edge, pki, echo.port, more='protocol = "tcp"\n')
    for sni in (None, "db.test"):
        with named(it.port, pki, sni, "x", "client") as sock:
            sock.sendall(b"hello")
            assert b"".join(iter(lambda: sock.recv(1), b"o")) == b"hell", sni


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_proves_to_be_the_proxy_is_believed_and_nobody_else_is(
    edge: Edges, raw: Raws, pki: Pki, protocol: str
) -> None:
    """X01: the same fields from the one that is believed, from another client that is let in, and from one that shows nothing."""
    backend = raw(serving)
    trusts = f'trusted_proxies = {{ clients = ["{CLIENT}"], believe = {ALL} }}'
    it = started(edge, pki, backend.port, listener=trusts, mode="ask", more='path = "/"\n')
    with Known(it.port, pki, None, protocol, "client") as talk:
        assert talk.ask(b"/", *FORGED).status == 200
    told = {name: last(backend).all(name) for name in WORDS}
    assert told == {
        "x-forwarded-for": ["203.0.113.7, 127.0.0.1"],
        "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["shop.test"],
        "x-forwarded-prefix": ["/app"],
        "x-request-id": ["of-the-edge"],
        "client-cert": [":aGVsbG8=:"],
        "client-cert-chain": [":aGVsbG8=:, :aGVsbG8=:"],
    }
    for shows in ("pass", None):
        with Known(it.port, pki, None, protocol, shows) as talk:
            assert talk.ask(b"/", *FORGED).status == 200
        got = last(backend)
        assert got.all("x-forwarded-for") == ["127.0.0.1"] and got.all("x-forwarded-proto") == ["https"]
        assert got.all("x-forwarded-host") == ["asked.test"] and got.all("x-forwarded-prefix") == []
        assert got.all("x-request-id") != ["of-the-edge"] and got.all("client-cert-chain") == []
        own = x509.load_pem_x509_certificate((pki.folder / "pass.pem").read_bytes()).public_bytes(Encoding.DER)
        assert got.all("client-cert") == ([f":{base64.b64encode(own).decode()}:"] if shows else [])


def test_the_proxys_own_certificate_is_never_told_as_its_clients(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Where the proxy says none, or what cannot be read, the client showed none."""
    backend = raw(serving)
    trusts = f'trusted_proxies = {{ clients = ["{CLIENT}"], believe = ["client-cert"] }}'
    it = started(edge, pki, backend.port, listener=trusts)
    two = [(b"Client-Cert", SHOWN + b":"), (b"Client-Cert", b":aGVsbG9v:")]
    with Known(it.port, pki, None, "http/1.1", "client") as talk:
        for shown in ([], [(b"Client-Cert", SHOWN)], two, [(b"Client-Cert-Chain", SHOWN + b":")]):
            assert talk.ask(b"/", *shown).status == 200
            assert last(backend).all("client-cert") == [] == last(backend).all("client-cert-chain"), shown


def test_where_networks_and_clients_are_named_both_must_hold(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(serving)
    for network, believed in (("127.0.0.1/32", "203.0.113.7, 127.0.0.1"), ("127.0.0.9/32", "127.0.0.1")):
        trusts = f'trusted_proxies = {{ networks = ["{network}"], clients = ["{CLIENT}"] }}'
        it = started(edge, pki, backend.port, listener=trusts, mode="ask")
        for shows, expected in (("client", believed), (None, "127.0.0.1")):
            with Known(it.port, pki, None, "http/1.1", shows) as talk:
                assert talk.ask(b"/", *FORGED[:1]).status == 200
            assert last(backend).all("x-forwarded-for") == [expected], (network, shows)
