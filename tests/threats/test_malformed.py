"""A request that is malformed is refused and not repaired (RFC 9113 section 8.1.1), as far as the `h2` crate shows what was
wrong with it; and what is well formed and not for a backend does not reach it."""

from __future__ import annotations

import pytest

from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, Client, fields, frame, literal
from tests.threats.ground import Ground, response, watched
from tests.threats.talk import PROTOCOLS, Pair, Talk, dial

NAMED: list[Pair] = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/attack")]


def without(name: bytes) -> list[Pair]:
    return [it for it in NAMED if it[0] != name]


def told(name: bytes, value: bytes) -> list[Pair]:
    return [(n, value if n == name else v) for n, v in NAMED]


UNNAMED = without(b":authority")
MALFORMED: dict[str, list[Pair]] = {
    "two hosts": [*UNNAMED, (b"host", b"a.test"), (b"host", b"b.test")],
    "two hosts that are the same": [*UNNAMED, (b"host", b"a.test"), (b"host", b"a.test")],
    "two hosts beside the authority": [*NAMED, (b"host", b"a.test"), (b"host", b"b.test")],
    "another host than the authority": [*NAMED, (b"host", b"b.test")],
    "no host": UNNAMED,
    "an empty authority": told(b":authority", b""),
    "a user in the authority": told(b":authority", b"u@a.test"),
    "a scheme that is none of HTTP": told(b":scheme", b"ftp"),
    "a scheme with more behind it": told(b":scheme", b"https://b.test/"),
    "no scheme": without(b":scheme"),
    "no path": without(b":path"),
    "an empty path": told(b":path", b""),
    "a path that names a host": told(b":path", b"https://b.test/attack"),
    "a path that names a host by its scheme alone": told(b":path", b"http:b.test"),
    "a path without its slash": told(b":path", b"attack"),
    "two paths": [*NAMED, (b":path", b"/other")],
    "two methods": [*NAMED, (b":method", b"POST")],
    "a pseudo-field behind a field": [*NAMED[:3], (b"a", b"b"), NAMED[3]],
    "a pseudo-field of answers": [(b":status", b"200"), *NAMED],
    "a pseudo-field that nobody knows": [*NAMED, (b":secret", b"x")],
    "a protocol": [*NAMED, (b":protocol", b"websocket")],
}


@pytest.mark.parametrize("how", MALFORMED)
def test_a_malformed_request_is_refused_and_reaches_nobody(ground: Ground, how: str) -> None:
    """P07."""
    block = b"".join(literal(n, v) for n, v in MALFORMED[how])
    with watched(ground, "plaintext") as seen, dial(ground.edge.port, ground.pki, "a.test", alpn=["h2"]) as sock:
        client = Client(sock)
        client.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=1))
        assert client.whole(1) in {"400", "reset", "gone"}
    assert seen == []
    ground.clean("plaintext")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_field_that_a_program_would_take_for_its_own_way_out_goes_to_no_backend(
    ground: Ground, protocol: str
) -> None:
    """X02. `Proxy` becomes HTTP_PROXY to a CGI program."""
    with watched(ground, "plaintext") as seen, Talk(ground.edge.port, ground.pki, "a.test", protocol) as talk:
        for name in (b"Proxy", b"proxy", b"PROXY"):
            assert talk.ask(b"/", (name, b"http://6.6.6.6:3128"), (b"X-Proxy", b"mine")).status == 200
    arrived = b"".join(seen).lower()
    assert b"6.6.6.6" not in arrived and arrived.count(b"x-proxy: mine") == 3
    ground.clean("plaintext")


def test_connect_is_refused_and_nothing_behind_it_is_a_request(ground: Ground) -> None:
    """H09. Whoever sends it may send behind it what is for somebody else."""
    with watched(ground, "plaintext") as seen, dial(ground.edge.port, ground.pki, "a.test") as sock:
        sock.sendall(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /attack HTTP/1.1\r\nHost: a.test\r\n\r\n")
        status, _, found = response(sock)
        assert (status, found["connection"]) == (405, "close")
        assert sock.recv(1000) == b""
    assert seen == []
    with watched(ground, "plaintext") as seen, dial(ground.edge.port, ground.pki, "a.test", alpn=["h2"]) as sock:
        client = Client(sock)
        block = literal(b":method", b"CONNECT") + literal(b":authority", b"a.test:443")
        client.send(frame(HEADERS, block, flags=END_HEADERS, stream=1))
        assert client.whole(1) == "405"
        client.send(frame(DATA, b"GET /attack HTTP/1.1\r\nHost: a.test\r\n\r\n", flags=END_STREAM, stream=1))
        assert client.ask(3, fields("a.test", path=b"/fine")) == "200"
    assert b"/attack" not in b"".join(seen) and b"/fine" in b"".join(seen)
    ground.clean("plaintext")
