"""WebSockets over HTTP/2 (RFC 8441): a tunnel is the same whichever protocol either side speaks, in what passes, how it ends, and
what is said of it. Read first `test_tunnel_ends.py`, the same of HTTP/1.1 alone."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Callable
from typing import Any

import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.h2_socket import Client
from tests.kit.raw import OK, Record, answering, head
from tests.wire.test_tunnel_ends import ASKED, breaks, end_of

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

KEY, ANSWER = b"MDEyMzQ1Njc4OWFiY2RlZg==", b"Wjt4Jz1XdOJ3ZH9hB7BKUTGSkOw="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
COMBINED = [
    (client, backend) for client in ("h1", "h2") for backend in ("h1", "h2") if (client, backend) != ("h1", "h1")
]
combined = pytest.mark.parametrize(("client", "backend"), COMBINED, ids=[f"{c} to {b}" for c, b in COMBINED])


def accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def route(port: int, protocol: str, more: str = "", name: str = "r", second: int | None = None) -> str:
    spoken = "h2" if protocol == "h2" else "http/1.1"
    to = json.dumps([f"127.0.0.1:{it}" for it in (port, second) if it])
    return (
        f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = {to}\n'
        f'upstream_protocol = "{spoken}"\n{more}'
    )


class Echoes:
    """Agrees to every tunnel and echoes; ends it by `end` or breaks it off by `cut` once it was sent that word. `ended`: how
    the other side ended each. `answer`: for the key of the handshake."""

    def __init__(
        self, raw: Raws, protocol: str, *, answer: Callable[[bytes], bytes] = accept, tunnels: bool = True
    ) -> None:
        self.answer = answer
        self.heads: list[dict[bytes, bytes]] = []
        self.ended: list[str] = []
        self.script = H2Backend(self.on, tunnels=tunnels)
        self.raw = raw(self.script if protocol == "h2" else self.over_h1)
        self.port = self.raw.port

    def over_h1(self, sock: socket.socket, record: Record) -> None:
        asked = head(sock, record)
        if asked is None:
            return
        first, *lines = asked.split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines if line)
        self.heads.append({b"": first, **fields})
        if fields.get(b"upgrade") != b"websocket":
            sock.sendall(OK)
            return
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n"
            b"Sec-WebSocket-Accept: " + self.answer(fields[b"sec-websocket-key"]) + b"\r\n\r\nhi"
        )
        try:
            while some := record.take(sock, 65_536):
                if some == b"cut":
                    return breaks(sock)
                if some == b"end":
                    return
                sock.sendall(some)
        except ConnectionError:
            self.ended.append("reset")
        else:
            self.ended.append("end")

    def on(self, it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        stream = asked.stream
        if isinstance(event, h2.events.RequestReceived):
            self.heads.append(asked.fields)
            if asked.fields[b":method"] != b"CONNECT":
                return it.answer(stream)
            it.h2.send_headers(stream, [(b":status", b"200"), (b"sec-websocket-protocol", b"chat")])
            it.tunnels.add(stream)
            it.owed[stream] = b"hi"
            it.pour()
        elif isinstance(event, h2.events.DataReceived) and event.data == b"cut":
            it.h2.reset_stream(stream, 8)
        elif isinstance(event, h2.events.DataReceived) and event.data == b"end":
            it.h2.end_stream(stream)
        elif isinstance(event, h2.events.DataReceived):
            it.owed[stream] = it.owed.get(stream, b"") + event.data
            it.pour()
        elif isinstance(event, h2.events.StreamEnded) and stream in it.tunnels:
            self.ended.append("end")
            it.h2.end_stream(stream)
        elif isinstance(event, h2.events.StreamReset):
            self.ended.append("reset" if event.error_code == 8 else f"reset by {event.error_code}")


class Caller:
    """A client with one open tunnel, that has had the backend's first bytes."""

    def __init__(self, it: EdgeKit, protocol: str, path: bytes = b"/ws?a=1") -> None:
        ca = it.pki.public.file
        self.fields: dict[bytes, bytes]
        if protocol == "h2":
            self.h2: Client | None = Client(it.port, ca)
            self.stream = self.h2.connect(path)
            self.status, self.fields = self.stream.status, self.stream.fields
        else:
            self.h2 = None
            self.sock = tls(it.port, "a.test", ca, alpn=["http/1.1"])
            self.sock.settimeout(20)
            self.sock.sendall(ASKED.replace(b"/ws", path))
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                got += self.sock.recv(1)
            self.status = int(got[9:12])
            self.fields = dict(line.split(b": ", 1) for line in got.split(b"\r\n")[1:] if line)
        assert self.receive(2) == b"hi"

    def send(self, data: bytes) -> None:
        if self.h2:
            self.h2.send(self.stream, data)
        else:
            self.sock.sendall(data)

    def receive(self, count: int) -> bytes:
        if self.h2:
            return self.h2.receive(self.stream, count)
        got = b""
        while len(got) < count:
            some = self.sock.recv(count - len(got))
            assert some
            got += some
        return got

    def end(self) -> None:
        if self.h2:
            self.h2.end(self.stream)
        else:
            self.sock.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        if self.h2:
            self.h2.reset(self.stream)
        else:
            breaks(self.sock)

    def ended(self) -> str:
        if self.h2:
            how = self.h2.ended(self.stream)
            return "reset" if how == 8 else str(how)
        return end_of(self.sock)


def line(it: EdgeKit) -> dict[str, Any]:
    return it.line(lambda line: line["path"] == "/ws")


def test_clients_of_http2_are_told_that_they_may_open_websockets(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(OK)).port, "h1"))
    assert Client(it.port, pki.public.file).offers


@combined
def test_bytes_pass_both_ways_and_the_line_tells_the_handshake(
    edge: Edges, raw: Raws, client: str, backend: str
) -> None:
    """Whichever protocol: GET, 101, and what was moved."""
    behind = Echoes(raw, backend)
    it = edge(route(behind.port, backend))
    caller = Caller(it, client)
    assert caller.status == (200 if client == "h2" else 101)
    piece = bytes(range(256)) * 256
    for _ in range(32):
        caller.send(piece)
        assert caller.receive(len(piece)) == piece
    caller.end()
    assert caller.ended() == "end"
    told = line(it)
    spoken = (told["method"], told["status"], told["protocol"], told["end"])
    assert spoken == ("GET", 101, "h2" if client == "h2" else "http/1.1", "done")
    assert (told["bytes_in"], told["bytes_out"]) == (32 * len(piece), 32 * len(piece) + 2)
    until(lambda: behind.ended == ["end"] or None)


@combined
def test_each_side_gets_the_handshake_of_its_own_protocol(edge: Edges, raw: Raws, client: str, backend: str) -> None:
    behind = Echoes(raw, backend)
    caller = Caller(edge(route(behind.port, backend)), client)
    [asked] = behind.heads
    if backend == "h1":
        assert asked[b""] == b"GET /ws?a=1 HTTP/1.1"
        assert (asked[b"upgrade"], asked[b"connection"]) == (b"websocket", b"Upgrade")
        assert len(base64.b64decode(asked[b"sec-websocket-key"], validate=True)) == 16
        assert asked[b"sec-websocket-key"] != KEY and b"content-length" not in asked
        assert b"transfer-encoding" not in asked
    else:
        pseudo = {name: value for name, value in asked.items() if name.startswith(b":")}
        assert pseudo == {
            b":method": b"CONNECT",
            b":protocol": b"websocket",
            b":scheme": b"https",
            b":path": b"/ws?a=1",
            b":authority": b"a.test",
        }
        assert not {b"sec-websocket-key", b"upgrade", b"connection", b"content-length"} & set(asked)
    assert asked[b"sec-websocket-version"] == b"13" and asked[b"x-forwarded-for"] == b"127.0.0.1"
    assert caller.fields.get(b"sec-websocket-accept") == (None if client == "h2" else accept(KEY))
    assert caller.fields[b"sec-websocket-protocol"] == b"chat"
    assert not {b"content-length", b"transfer-encoding"} & set(caller.fields)
    assert (b"upgrade" in caller.fields) == (client == "h1")


@combined
def test_the_head_that_opens_a_tunnel_is_edited_as_any_other(edge: Edges, raw: Raws, client: str, backend: str) -> None:
    behind = Echoes(raw, backend)
    edits = 'response = { remove = ["sec-websocket-protocol"], set = { x-edge = "here" } }\n'
    caller = Caller(edge(route(behind.port, backend, edits)), client)
    assert caller.fields[b"x-edge"] == b"here" and b"sec-websocket-protocol" not in caller.fields
    assert caller.fields.get(b"sec-websocket-accept") == (None if client == "h2" else accept(KEY))


def test_the_key_that_the_edge_answers_is_that_of_the_rfc() -> None:
    assert accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@combined
@pytest.mark.parametrize(("how", "told"), [("cut", "reset"), ("end", "end")])
def test_a_tunnel_ends_for_the_client_as_the_backend_ended_it(
    edge: Edges, raw: Raws, client: str, backend: str, how: str, told: str
) -> None:
    """U01."""
    it = edge(route(Echoes(raw, backend).port, backend))
    caller = Caller(it, client)
    caller.send(how.encode())
    assert caller.ended() == told
    if how == "end":
        caller.end()
    assert line(it)["end"] == ("connection/broken" if how == "cut" else "done")


@combined
@pytest.mark.parametrize(("how", "told"), [("cut", "reset"), ("end", "end")])
def test_a_tunnel_ends_for_the_backend_as_the_client_ended_it(
    edge: Edges, raw: Raws, client: str, backend: str, how: str, told: str
) -> None:
    """U01."""
    behind = Echoes(raw, backend)
    it = edge(route(behind.port, backend))
    caller = Caller(it, client)
    if how == "cut":
        caller.cut()
    else:
        caller.end()
    until(lambda: behind.ended or None)
    assert behind.ended == [told]
    assert line(it)["end"] == ("connection/broken" if how == "cut" else "done")


def test_requests_and_tunnels_share_a_connection_and_one_that_ends_leaves_the_others(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    behind = Echoes(raw, "h2")
    it = edge(route(behind.port, "h2"))
    client = Client(it.port, pki.public.file)
    one, two = client.connect(), client.connect()
    client.send(one, b"cut")
    assert client.ended(one) == 8
    assert client.get(b"/plain").data == b"ok"
    assert client.receive(two, 2) == b"hi"
    client.send(two, b"still here")
    assert client.receive(two, 10) == b"still here"
    assert {asked.connection for asked in behind.script.asked} == {1}


@pytest.mark.parametrize(
    "answer",
    [
        lambda key: accept(key[::-1]),
        lambda _: ANSWER,
        lambda _: b"",
        lambda key: accept(key) + b"\r\nSec-WebSocket-Accept: x",
    ],
    ids=["of another key", "of the same key always", "empty", "and another one"],
)
def test_a_backend_that_does_not_answer_our_key_is_believed_in_nothing(
    edge: Edges, raw: Raws, pki: Pki, answer: Callable[[bytes], bytes]
) -> None:
    """U02. The client of HTTP/2 has no key, so nobody else would look."""
    it = edge(route(Echoes(raw, "h1", answer=answer).port, "h1"))
    refused = Client(it.port, pki.public.file).connect()
    assert refused.status == 502
    assert (line(it)["end"], line(it)["status"]) == ("hop/bad-response", 502)


@pytest.mark.parametrize("client", ["h1", "h2"])
def test_a_backend_that_takes_no_tunnels_over_http2_is_sent_none_and_is_well_otherwise(
    edge: Edges, raw: Raws, pki: Pki, client: str
) -> None:
    behind = Echoes(raw, "h2", tunnels=False)
    second = Echoes(raw, "h2", tunnels=False)
    it = edge(route(behind.port, "h2", second=second.port))
    opened = Client(it.port, pki.public.file)
    for _ in range(8):
        if client == "h2":
            refused = opened.connect()
            opened.until(refused, lambda refused=refused: refused.ended is not None)
            status, body = refused.status, refused.data
        else:
            with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
                answer = exchange(sock, ASKED)
                status, body = answer.status, answer.body
        assert status == 502 and b"hop/websocket-not-offered" in body and b"upstream_protocol" in body
    assert [opened.get().data for _ in range(4)] == [b"ok"] * 4
    # Both still take their turn.
    assert len(behind.heads) == len(second.heads) == 2
    told = line(it)
    assert [failed["end"] for failed in told["failed_hops"]] == ["hop/websocket-not-offered"] * 2


def test_a_key_that_is_none_is_refused_where_the_edge_would_have_to_answer_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    behind = Echoes(raw, "h2")
    it = edge(route(behind.port, "h2"))
    for bad in (b"short", KEY + b"\r\nSec-WebSocket-Key: " + KEY, b""):
        with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
            answer = exchange(sock, ASKED.replace(KEY, bad))
        assert answer.status == 400 and "request/bad-fields" in answer.text, bad
    assert behind.heads == []


@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_a_refusal_of_the_backends_passes_as_any_answer(edge: Edges, raw: Raws, pki: Pki, backend: str) -> None:
    def refuses(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            it.answer(asked.stream, b"no", b"403")

    over_h1 = answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    it = edge(route(raw(H2Backend(refuses, tunnels=True) if backend == "h2" else over_h1).port, backend))
    client = Client(it.port, pki.public.file)
    refused = client.connect()
    assert client.ended(refused) is not None
    assert (refused.status, refused.data) == (403, b"no")
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
        answer = exchange(sock, ASKED)
        assert (answer.status, answer.body) == (403, b"no")


@pytest.mark.parametrize("status", [200, 204])
def test_a_success_that_opens_nothing_is_not_told_as_an_open_tunnel(
    edge: Edges, raw: Raws, pki: Pki, status: int
) -> None:
    """U02. To the client of HTTP/2 it would be one (RFC 8441 §5); to one of HTTP/1.1 it is an answer."""
    plain = b"HTTP/1.1 %d Fine\r\n%s\r\n" % (status, b"" if status == 204 else b"Content-Length: 2\r\n")
    it = edge(route(raw(answering(plain + (b"" if status == 204 else b"ok"))).port, "h1"))
    assert Client(it.port, pki.public.file).connect().status == 502
    assert line(it)["end"] == "hop/bad-response"
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
        assert exchange(sock, ASKED).status == status


def test_a_switch_of_protocols_within_http2_is_no_tunnel(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U02."""

    def switches(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            it.h2.send_headers(asked.stream, [(b":status", b"101")])

    it = edge(route(raw(H2Backend(switches, tunnels=True)).port, "h2"))
    assert Client(it.port, pki.public.file).connect().status == 502
    assert line(it)["end"] == "hop/bad-response"


@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_a_tunnel_without_a_byte_ends_at_tunnel_idle_s(edge: Edges, raw: Raws, pki: Pki, backend: str) -> None:
    behind = Echoes(raw, backend)
    it = edge(route(behind.port, backend, "limits = { tunnel_idle_s = 1 }\n"))
    caller = Caller(it, "h2")
    assert caller.ended() == "end"
    assert line(it)["end"] == "tunnel/idle"
    until(lambda: behind.ended or None)


@combined
def test_a_tunnel_outlives_reloads_of_what_is_not_its_own_and_ends_with_its_route(
    edge: Edges, raw: Raws, pki: Pki, client: str, backend: str
) -> None:
    """F06."""
    behind = Echoes(raw, backend)
    own = route(behind.port, backend)
    it = edge(own)
    caller = Caller(it, client)
    it.reload(own + route(behind.port, backend, 'path = "/other"\n', "other"))
    caller.send(b"still here")
    assert caller.receive(10) == b"still here"
    it.reload(route(behind.port, backend, "websocket = false\n"))
    assert caller.ended() == "end"
    assert line(it)["end"] == "tunnel/route-gone"


def test_a_drain_ends_a_tunnel_over_http2_when_its_time_is_over(edge: Edges, raw: Raws, pki: Pki) -> None:
    behind = Echoes(raw, "h1")
    it = edge(route(behind.port, "h1"), drain_s=1)
    Caller(it, "h2")
    it.edge.stop()
    assert line(it)["end"] == "connection/draining"
