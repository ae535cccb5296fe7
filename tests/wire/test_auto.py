"""`upstream_protocol = "auto"`: on each connection the backend chooses by ALPN which HTTP it is spoken to in. What it chose is
told, no request is lost where it changes its mind, and what needs one of the two gets that or a refusal."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.grpc_peer import channel
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, Record, answering, head, server_context
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, Client, fields, frame
from tests.wire.test_tunnel_ends import AGREED, ASKED

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
BOTH = ["h2", "http/1.1"]


def route(*ports: int, more: str = "") -> str:
    to = json.dumps([f"127.0.0.1:{port}" for port in ports])
    named = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = {to}\n'
    return named + VERIFY + 'upstream_protocol = "auto"\n' + more


class Either:
    """A backend that speaks what `speaks` says on the connections that are opened from then on, and answers with what it
    spoke; a call of gRPC gets its own bytes back. `lasts`: answers of HTTP/1.1 after which it ends a connection."""

    def __init__(self, raw: Raws, pki: Pki, speaks: list[str], lasts: int = 1_000_000) -> None:
        self.pki, self.lasts = pki, lasts
        self.over_h2 = H2Backend(self.on)
        self.asked: list[bytes] = []
        self.raw = raw(self.speak, pki.backend, alpn=speaks)

    def will_speak(self, *speaks: str) -> None:
        self.raw.context = server_context(self.pki.backend, alpn=list(speaks))

    def speak(self, sock: socket.socket, record: Record) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        if sock.selected_alpn_protocol() == "h2":
            return self.over_h2(sock, record)
        for answered in range(1, self.lasts + 1):
            if (asked := head(sock, record)) is None:
                return
            self.asked.append(asked)
            if b"upgrade: websocket" in asked:
                sock.sendall(AGREED)
                while some := record.take(sock, 4096):
                    sock.sendall(some)
                return
            size = next((int(line[16:]) for line in asked.split(b"\r\n") if line.startswith(b"content-length: ")), 0)
            while size > 0:
                size -= len(record.take(sock, size))
            last = b"Connection: close\r\n" if answered == self.lasts else b""
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n" + last + b"\r\nhttp/1.1")

    def on(self, it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.StreamEnded):
            return
        if asked.fields.get(b"content-type") != b"application/grpc":
            return it.answer(asked.stream, b"h2")
        it.h2.send_headers(asked.stream, [(b":status", b"200"), (b"content-type", b"application/grpc")])
        it.h2.send_data(asked.stream, asked.body)
        it.h2.send_headers(asked.stream, [(b"grpc-status", b"0")], end_stream=True)


def ask(it: EdgeKit, request: str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", alpn: str = "http/1.1") -> Answer:
    with tls(it.port, "a.test", it.pki.public.file, alpn=[alpn]) as sock:
        return exchange(sock, request)


def hops(it: EdgeKit, count: int) -> list[dict[str, Any]]:
    it.line(lambda _: len(it.lines()) >= count)
    return [line["backend_hop"] for line in it.lines()]


@pytest.mark.parametrize(
    ("speaks", "chosen", "spoken"),
    [(BOTH, "h2", b"h2"), (["h2"], "h2", b"h2"), (["http/1.1"], "http/1.1", b"http/1.1"), ([], None, b"http/1.1")],
    ids=["both", "h2 alone", "http/1.1 alone", "no ALPN"],
)
def test_a_backend_is_spoken_to_in_what_it_chose_and_that_is_told(
    edge: Edges, raw: Raws, pki: Pki, speaks: list[str], chosen: str | None, spoken: bytes
) -> None:
    it = edge(route(Either(raw, pki, speaks).raw.port))
    assert [ask(it).body for _ in range(3)] == [spoken] * 3
    told = hops(it, 3)
    assert [(hop["alpn"], hop["reused"]) for hop in told] == [(chosen, False), (chosen, True), (chosen, True)]
    last = it.status()["routes"][0]["last"]
    assert last["backend_hop"]["alpn"] == chosen, last


def test_no_request_is_lost_while_a_backend_changes_its_mind(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F03. Connections of both protocols are open at the same time, and those of HTTP/1.1 end now and then."""
    backend = Either(raw, pki, BOTH, lasts=3)
    it = edge(route(backend.raw.port), threads=2)
    post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"
    with ThreadPoolExecutor(8) as several:
        for speaks in (["http/1.1"], BOTH, [], ["h2"], ["http/1.1"]):
            backend.will_speak(*speaks)
            got = [
                *several.map(lambda n: ask(it, post if n % 3 else "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), range(40))
            ]
            assert {answer.status for answer in got} == {200}
    chosen = {hop["alpn"] for hop in hops(it, 200)}
    assert {"h2", "http/1.1"} <= chosen, chosen


def call(it: EdgeKit) -> bytes:
    with channel(it.port, "a.test", it.pki.public.file) as opened:
        answer: bytes = opened.unary_unary("/pkg.Echo/One")(b"hello", timeout=20)
        return answer


def test_a_call_of_grpc_goes_where_http2_was_chosen_and_is_refused_in_its_own_words_elsewhere(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """P05. The backend that chose otherwise is well: it is not left alone for that, and is sent no byte of the call."""
    backend = Either(raw, pki, ["http/1.1"])
    it = edge(route(backend.raw.port, more="limits = { connect_s = 5 }\n"))
    for _ in range(4):
        with pytest.raises(grpc.RpcError) as refused:
            call(it)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "hop/h2-not-offered" in refused.value.details(), refused.value.details()
    assert backend.asked == [] and ask(it).body == b"http/1.1"
    line = it.line(lambda line: line["path"] == "/pkg.Echo/One")
    assert (line["grpc_status"], line["end"], line["failed_hops"][0]["end"]) == (
        14,
        "hop/h2-not-offered",
        "hop/h2-not-offered",
    )
    backend.will_speak(*BOTH)
    assert call(it) == b"hello"


def test_a_call_of_grpc_goes_on_to_a_backend_that_chose_http2(edge: Edges, raw: Raws, pki: Pki) -> None:
    old, new = Either(raw, pki, ["http/1.1"]), Either(raw, pki, BOTH)
    it = edge(route(old.raw.port, new.raw.port))
    assert [call(it) for _ in range(8)] == [b"hello"] * 8
    assert old.asked == []
    # That it chose otherwise, more often than it may fail in a row, did not make it rest.
    assert {ask(it).body for _ in range(4)} == {b"http/1.1", b"h2"}


def test_a_websocket_is_opened_where_http1_alone_is_offered(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Also beside an open connection of HTTP/2."""
    backend = Either(raw, pki, BOTH)
    it = edge(route(backend.raw.port))
    assert ask(it).body == b"h2"
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
        sock.sendall(ASKED)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += sock.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"there and back")
        assert sock.recv(100) == b"there and back"
    assert it.line(lambda line: line["status"] == 101)["backend_hop"]["alpn"] == "http/1.1"
    assert ask(it).body == b"h2"


def test_a_backend_of_http2_alone_is_no_worse_for_a_websocket_that_it_cannot_take(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """Another edge, which ends a handshake without a common protocol. What it says no to is told as what it is, and it is not
    left alone for that."""
    behind = raw(answering(OK))
    plain = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{behind.port}"]\n'
    backend = edge(plain, site='alpn = ["h2"]')
    it = edge(route(backend.port).replace("internal-ca", "public-ca").replace("backend.internal", "a.test"))
    assert ask(it).status == 200
    for _ in range(4):
        answer = ask(it, ASKED.decode())
        assert answer.status == 502 and "hop/http1-not-offered" in answer.text
    assert ask(it).status == 200


@pytest.mark.parametrize("speaks", [BOTH, ["http/1.1"]], ids=["h2", "http/1.1"])
def test_who_waits_for_100_continue_gets_it_whatever_the_backend_chose(
    edge: Edges, raw: Raws, pki: Pki, speaks: list[str]
) -> None:
    backend = Either(raw, pki, speaks)
    it = edge(route(backend.raw.port))
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert exchange(sock, "hi").status == 200
    assert not any(b"expect" in asked for asked in backend.asked)


@pytest.mark.parametrize("speaks", [BOTH, ["http/1.1"]], ids=["h2", "http/1.1"])
def test_who_waits_for_100_continue_over_http2_gets_it_too(edge: Edges, raw: Raws, pki: Pki, speaks: list[str]) -> None:
    backend = Either(raw, pki, speaks)
    it = edge(route(backend.raw.port))
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        sock.settimeout(20)
        client = Client(sock)
        asks = fields("a.test", (b"content-length", b"2"), (b"expect", b"100-continue"), method=b"POST")
        client.send(frame(HEADERS, asks, flags=END_HEADERS, stream=1))
        assert client.outcome(1) == "100"
        del client.statuses[1]
        client.send(frame(DATA, b"hi", flags=END_STREAM, stream=1))
        assert client.whole(1) == "200"
        # Whoever does not wait is told nothing, and answered.
        client.send(frame(HEADERS, asks, flags=END_HEADERS, stream=3) + frame(DATA, b"hi", flags=END_STREAM, stream=3))
        assert client.whole(3) in ("100", "200")
    assert not any(b"expect" in asked for asked in backend.asked)


@pytest.mark.parametrize("speaks", [BOTH, ["http/1.1"]], ids=["h2", "http/1.1"])
def test_a_target_that_cannot_stand_in_both_is_refused_whatever_the_backend_chose(
    edge: Edges, raw: Raws, pki: Pki, speaks: list[str]
) -> None:
    it = edge(route(Either(raw, pki, speaks).raw.port))
    assert ask(it, "GET /?a=<b> HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 400
