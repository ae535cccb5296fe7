"""What `advise` writes for a service that does not speak HTTP runs as it stands: its clients come as its protocol has it, and so
does the edge to its backend, over each pattern."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from everyhop.advise.spoken import SPOKEN, Protocol
from everyhop.demo.certificates import Leaf
from tests.kit import Pki, Raw
from tests.kit.advised import AdvisedStream
from tests.kit.clients import opened
from tests.kit.raw import Record, Script, rest, server_context
from tests.wire.test_starttls import SSL_REQUEST
from tests.wire.test_starttls_mail import IMAP, SMTP, Words, line, opening
from tests.wire.test_tcp import echo, receive

Raws = Callable[..., Raw]
MAIL: dict[str, Words] = {"smtp": SMTP, "imap": IMAP}
START_LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
YES_OF_LDAP = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
CANARY = b"what only the two of them know"


@pytest.fixture
def advised(pki: Pki) -> Iterator[Callable[[Protocol, str, int], AdvisedStream]]:
    started: list[AdvisedStream] = []

    def start(protocol: Protocol, pattern: str, port: int) -> AdvisedStream:
        started.append(AdvisedStream(pki, protocol, pattern, port))
        return started[-1]

    yield start
    for it in started:
        it.close()


def begins(sock: socket.socket, record: Record, protocol: str) -> None:
    """A server's part of what goes before TLS."""
    if protocol == "postgres":
        rest(sock, record, len(SSL_REQUEST))
        sock.sendall(b"S")
    elif protocol == "ldap":
        rest(sock, record, len(START_LDAP))
        sock.sendall(YES_OF_LDAP)
    elif protocol in MAIL:
        words = MAIL[protocol]
        sock.sendall(words.greeting)
        while b"STARTTLS" not in (said := line(sock, record)):
            sock.sendall(next(a for asked, a in words.clear.items() if said.startswith(asked)))
        sock.sendall(next(a for asked, a in words.clear.items() if said.startswith(asked)))


def server(pki: Pki, protocol: str, pattern: str) -> Script:
    """As strict as the pattern lets it be, and an echo within its session."""
    leaf: Leaf = pki.pass_leaf if pattern == "passthrough" else pki.backend
    context = server_context(leaf, clients=pki.internal.file if pattern == "mutual" else None)

    def script(sock: socket.socket, record: Record) -> None:
        if pattern == "plaintext":
            if protocol in MAIL:
                sock.sendall(MAIL[protocol].greeting)
            return echo(sock, record)
        begins(sock, record, protocol)
        with context.wrap_socket(sock, server_side=True) as session:
            echo(session, record)

    return script


def asks(sock: socket.socket, protocol: str) -> None:
    """A client's part of what goes before TLS."""
    if protocol == "postgres":
        sock.sendall(SSL_REQUEST)
        assert receive(sock, 1) == b"S"
    elif protocol == "ldap":
        sock.sendall(START_LDAP)
        head = receive(sock, 2)
        assert head[:1] == b"\x30" and b"\x0a\x01\x00" in receive(sock, head[1]), "success"
    elif protocol in MAIL:
        opening(sock, MAIL[protocol])


@pytest.mark.parametrize(
    ("protocol", "pattern"),
    [
        *((protocol, "mutual") for protocol in SPOKEN),
        ("postgres", "reencrypt"),
        ("imap", "reencrypt"),
        ("smtp", "plaintext"),
        ("postgres", "plaintext"),
        ("redis", "plaintext"),
        ("postgres", "passthrough"),
        ("smtp", "passthrough"),
        ("mqtt", "passthrough"),
    ],
)
def test_a_client_of_the_protocol_reaches_its_server_by_what_was_advised(
    advised: Callable[[Protocol, str, int], AdvisedStream], raw: Raws, pki: Pki, protocol: Protocol, pattern: str
) -> None:
    backend = raw(server(pki, protocol, pattern))
    it = advised(protocol, pattern, backend.port)
    sock = opened(socket.create_connection(("127.0.0.1", it.port), 20))
    asks(sock, protocol)
    context = ssl.create_default_context(cafile=str(pki.public.file))
    with opened(context.wrap_socket(sock, server_hostname=it.host)) as session:
        session.sendall(CANARY)
        assert receive(session, len(CANARY)) == CANARY
        session.unwrap()
    told = it.line(lambda one: one["end"] == "done")
    assert (told["route"], told["pattern"]) == ("backend", pattern)
    assert told["client_hop"]["tls"] == ("passed" if pattern == "passthrough" else "ended")
    if pattern == "mutual":
        assert told["backend_hop"]["identity"] == "demanded"
    assert backend.received.endswith(CANARY)


def test_a_client_of_postgresql_17_begins_tls_at_once_by_its_protocols_name(
    advised: Callable[[Protocol, str, int], AdvisedStream], raw: Raws, pki: Pki
) -> None:
    """libpq's `sslnegotiation=direct` takes no session without it."""
    it = advised("postgres", "mutual", raw(server(pki, "postgres", "mutual")).port)
    context = ssl.create_default_context(cafile=str(pki.public.file))
    context.set_alpn_protocols(["postgresql"])
    sock = opened(socket.create_connection(("127.0.0.1", it.port), 20))
    with opened(context.wrap_socket(sock, server_hostname=it.host)) as session:
        assert session.selected_alpn_protocol() == "postgresql"
        session.sendall(CANARY)
        assert receive(session, len(CANARY)) == CANARY
