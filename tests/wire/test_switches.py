"""Upgrades to other protocols than WebSocket: what a route lists may become a tunnel, whole and at both ends, and nothing else
does. Read next: `test_tunnel_ends.py`, `test_h2_websocket.py`."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable

import pytest

from everyhop.compile.rules_upgrades import UNJUDGED
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.h2_socket import Client
from tests.kit.raw import OK, Record, answering, head, rest
from tests.kit.settle import settle
from tests.wire.test_tunnel_ends import end_of

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

LISTED = 'upgrades = ["tcp", "SPDY/3.1"]\n'
BODY = b'{"Cmd":["cat"]}'


def route(port: int, more: str = LISTED, name: str = "r", host: str = "a.test") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


def asking(to: str = "tcp", body: bytes = BODY, host: str = "a.test", more: str = "") -> bytes:
    head = f"POST /exec HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def agreeing(to: str = "tcp") -> bytes:
    return f"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n".encode()


def whole(sock: socket.socket, record: Record) -> None:
    """A request, with its body."""
    asked = head(sock, record) or b""
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", asked)
    rest(sock, record, int(length[1]) if length else 0)


class Daemon:
    """Reads a request with its body, says what it says, and then sends everything back in capitals."""

    def __init__(self, *says: bytes) -> None:
        self.says = says or (agreeing() + b"hi",)

    def __call__(self, sock: socket.socket, record: Record) -> None:
        whole(sock, record)
        for it in self.says:
            sock.sendall(it)
        while data := record.take(sock, 4096):
            sock.sendall(data.upper())


def until_there(sock: ssl.SSLSocket, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        data = sock.recv(4096)
        assert data, got
        got += data
    return got


@pytest.mark.parametrize("to", ["tcp", "TCP", "SPDY/3.1", "spdy/3.1"])
def test_a_listed_protocol_becomes_a_tunnel_behind_the_body_that_asks_for_it(
    edge: Edges, raw: Raws, pki: Pki, to: str
) -> None:
    """H09. What comes early goes on behind the backend's word, and not before."""
    backend = raw(Daemon(agreeing(to.lower()) + b"hi"))
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking(to) + b"early")
        got = until_there(sock, b"hiEARLY")
        assert got.startswith(b"HTTP/1.1 101 ") and f"upgrade: {to}\r\n".encode() in got
        sock.sendall(b"more")
        until_there(sock, b"MORE")
        sock.unwrap()
    asked = backend.received
    assert f"\r\nupgrade: {to}\r\nconnection: Upgrade\r\n".encode() in asked and asked.endswith(BODY + b"earlymore")
    line = it.line(lambda x: x["status"] == 101)
    assert (line["bytes_in"], line["bytes_out"], line["end"], line["method"]) == (9, 11, "done", "POST")


def test_a_switch_waits_for_the_end_of_the_body_that_asks_for_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H09. A backend may agree at once: no byte of the body is taken for the tunnel's, and none of the tunnel's for the body."""

    def eager(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(agreeing() + b"hi")
        while data := record.take(sock, 4096):
            sock.sendall(data.upper())

    backend = raw(eager)
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking()[:-5])
        settle(it, backend)
        assert backend.received.endswith(BODY[:-5])
        sock.settimeout(0.0)
        with pytest.raises(ssl.SSLWantReadError):
            sock.recv(1)
        sock.settimeout(20)
        sock.sendall(BODY[-5:] + b"more")
        got = until_there(sock, b"MORE")
        assert got.startswith(b"HTTP/1.1 101 ") and got.endswith(b"hi" + BODY.upper() + b"MORE")
    assert it.line(lambda x: x["status"] == 101)["bytes_in"] == len("more")


@pytest.mark.parametrize(
    "more", ["", "websocket = true\n", "websocket = false\n", "upgrades = []\n", 'upgrades = ["websocket"]\n']
)
def test_what_is_not_listed_is_refused_and_asks_nobody(edge: Edges, raw: Raws, pki: Pki, more: str) -> None:
    """H09."""
    backend = raw(Daemon())
    it = edge(route(backend.port, more))
    for to in (
        "tcp",
        "SPDY/3.1",
        "tcp/1",
        "websocket, tcp",
        "tcp, h2c",
        "t@p",
        "a/b/c",
        "tcp\r\nUpgrade: h2c",
        "h2c\r\nUpgrade: tcp",
    ):
        with tls(it.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, asking(to).decode())
            assert answer.status == 400 and "request/upgrade-refused" in answer.text, to
    settle(it, backend)
    assert backend.received == b"", "without its upgrade it would be another request"


def test_an_empty_list_refuses_a_websocket_and_one_without_it_too(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(Daemon())
    it = edge(route(backend.port, "upgrades = []\n") + route(backend.port, LISTED, "b", "b.test"))
    for host in ("a.test", "b.test"):
        shake = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        with tls(it.port, host, pki.public.file) as sock:
            answer = exchange(sock, shake)
            assert answer.status == 400 and "request/upgrade-refused" in answer.text, host
    settle(it, backend)
    assert backend.received == b""


@pytest.mark.parametrize("name", sorted(UNJUDGED))
@pytest.mark.parametrize("version", ["", "/2.0"])
def test_a_version_of_http_or_tls_is_answered_as_if_it_was_not_offered(
    edge: Edges, raw: Raws, pki: Pki, name: str, version: str
) -> None:
    """H09. What may never be listed is what the engine never lets become a tunnel."""
    backend = raw(Daemon(OK))
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking(f"{name.upper()}{version}"))
        assert read_answer(sock).status == 200
    assert b"upgrade" not in backend.received.lower()


@pytest.mark.parametrize(
    "answer",
    [
        agreeing("spdy/3.1"),
        agreeing("tcp/1"),
        agreeing("tcp, spdy/3.1"),
        agreeing("tcp\r\nUpgrade: tcp"),
        agreeing("websocket"),
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["another", "a version", "two", "twice", "websocket", "none"],
)
def test_a_backend_that_switches_to_what_was_not_asked_for_is_a_bad_gateway(
    edge: Edges, raw: Raws, pki: Pki, answer: bytes
) -> None:
    """H09, U02."""
    it = edge(route(raw(Daemon(answer)).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking())
        got = read_answer(sock)
        assert got.status == 502 and "hop/bad-response" in got.text
    (failed,) = it.line(lambda x: x["end"] == "hop/bad-response")["failed_hops"]
    assert "not asked for" in failed["detail"]


def test_a_switch_that_nobody_asked_for_is_a_bad_gateway(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H09, U02."""
    it = edge(route(raw(Daemon(agreeing("tcp"))).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        got = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert got.status == 502 and "hop/bad-response" in got.text


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"


def test_what_comes_early_is_no_request_where_the_backend_does_not_switch(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H09. Who sends it may have it from somebody else: the connection ends behind the answer."""
    backend = raw(Daemon(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"))
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking() + SMUGGLED)
        answer = read_answer(sock)
        assert (answer.status, answer.text) == (200, "no") and answer.headers["connection"] == "close"
        assert sock.recv(1) == b""
    settle(it, backend)
    assert b"/smuggled" not in backend.received
    assert all("/smuggled" not in x["path"] for x in it.lines())


def test_what_comes_early_is_no_request_where_the_edge_refuses(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H09."""
    backend = raw(Daemon())
    it = edge(route(backend.port, ""))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking() + SMUGGLED)
        assert read_answer(sock).status == 400 and sock.recv(1) == b""
    settle(it, backend)
    assert backend.received == b""


def test_a_tunnel_without_a_goodbye_of_its_own_is_broken_off_where_tls_was(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U01. Somebody on the way may have cut it: an end of TCP without TLS's is none."""
    heard: list[str] = []

    def daemon(sock: socket.socket, record: Record) -> None:
        whole(sock, record)
        sock.sendall(agreeing() + b"hi")
        heard.append(end_of(sock))

    it = edge(route(raw(daemon).port))
    sock = tls(it.port, "a.test", pki.public.file)
    sock.sendall(asking())
    until_there(sock, b"hi")
    with socket.socket(fileno=sock.detach()) as below:
        below.shutdown(socket.SHUT_WR)
        until(lambda: heard or None)
    assert heard == ["reset"]
    assert it.line(lambda x: x["status"] == 101)["end"] == "connection/broken"


def test_an_open_tunnel_ends_with_the_list_that_it_was_on_and_outlives_other_changes(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """F06."""
    backend = raw(Daemon())
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking())
        until_there(sock, b"hi")
        assert it.reload(route(backend.port, 'upgrades = ["websocket", "TCP"]\n'))["reloaded"]
        sock.sendall(b"still")
        until_there(sock, b"STILL")
        assert it.reload(route(backend.port, 'upgrades = ["websocket"]\n'))["reloaded"]
        assert sock.recv(1) == b""
    assert it.line(lambda x: x["status"] == 101)["end"] == "tunnel/route-gone"


def test_a_route_that_answers_itself_answers_whoever_asks_for_a_switch(edge: Edges, pki: Pki) -> None:
    it = edge('[[route]]\nname = "r"\nhost = "a.test"\nanswer = { status = 503, text = "later" }\n')
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking("tcp"))
        answer = read_answer(sock)
        assert (answer.status, answer.text, answer.headers["connection"]) == (503, "later", "close")


def test_over_http2_nothing_but_a_websocket_is_opened_whatever_is_listed(edge: Edges, raw: Raws, pki: Pki) -> None:
    """X02."""
    backend = raw(answering(OK))
    it = edge(route(backend.port))
    client = Client(it.port, pki.public.file)
    for protocol in (b"tcp", b"SPDY/3.1", b"websocket"):
        assert client.connect(b"/exec", protocol=protocol).status in (0, 400), protocol
        assert client.get(b"/").status == 200, "the connection goes on"
    settle(it, backend)
    assert b"/exec" not in backend.received
