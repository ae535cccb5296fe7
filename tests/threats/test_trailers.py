"""Trailers: as long as a head may be they pass both ways between any two protocols, longer ones fail their own request alone,
and what must not stand in them is never taken for what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack
import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import Record, head
from tests.threats.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Client,
    fields,
    frame,
    literal,
)
from tests.threats.ground import until_crlf
from tests.threats.talk import PROTOCOLS, Pair, Talk

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
DETAILS = b"grpc-status-details-bin"
# What an application says in a trailer is its own, also where it looks like the edge's.
SAID: list[Pair] = [(b"x-request-id", b"its own"), (b"x-forwarded-thing", b"y"), (b"date", b"yesterday")]


def route(port: int, protocol: str) -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        f'upstream_protocol = "{protocol}"\n'
    )


class Backend:
    """Answers `/N` in its protocol with trailers of which one is N bytes long, and keeps those that it was sent."""

    def __init__(self, protocol: str) -> None:
        self.trailers: list[dict[bytes, bytes]] = []
        self.script = H2Backend(self.on) if protocol == "h2" else self.over_h1

    def answers(self, path: bytes) -> list[Pair]:
        return [*SAID, (DETAILS, b"a" * int(path[1:]))]

    def over_h1(self, sock: object, record: Record) -> None:
        while (request := head(sock, record)) is not None:  # type: ignore[arg-type]
            while until_crlf(sock, record) not in {b"0\r\n", b""}:  # type: ignore[arg-type]
                pass
            found: dict[bytes, bytes] = {}
            while (line := until_crlf(sock, record)) not in {b"\r\n", b""}:  # type: ignore[arg-type]
                name, _, value = line.partition(b":")
                found[name] = value.strip()
            if line != b"\r\n":
                return
            self.trailers.append(found)
            more = b"".join(b"%s: %s\r\n" % it for it in self.answers(request.split(b" ")[1]))
            sock.sendall(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + more + b"\r\n"
            )

    def on(self, it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.TrailersReceived):
            self.trailers.append(dict(event.headers))
        if isinstance(event, h2.events.StreamEnded):
            it.h2.send_headers(asked.stream, [(b":status", b"200")])
            it.h2.send_data(asked.stream, b"ok")
            # Longer than the library itself would take.
            it.h2.send_headers(asked.stream, self.answers(asked.fields[b":path"]), end_stream=True)


class Asking:
    """One connection of a client that sends and reads trailers."""

    def __init__(self, port: int, pki: Pki, protocol: str) -> None:
        self.protocol = protocol
        self.sock = tls(port, "a.test", pki.public.file, alpn=[protocol])
        self.sock.settimeout(20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        if protocol == "h2":
            self.h2.initiate_connection()

    def ask(self, path: bytes, trailers: list[Pair]) -> tuple[int, list[Pair] | None]:
        """The status, and the answer's trailers if it was whole."""
        return self.over_h2(path, trailers) if self.protocol == "h2" else self.over_h1(path, trailers)

    def over_h1(self, path: bytes, trailers: list[Pair]) -> tuple[int, list[Pair] | None]:
        lines = b"".join(b"%s: %s\r\n" % it for it in trailers)
        start = b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" % path
        self.sock.sendall(start + lines + b"\r\n")
        found = b""
        while not re.search(rb"\r\n\r\n2\r\nok\r\n0\r\n(.*\r\n)?\r\n$|^HTTP/1.1 [45]", found, re.S):
            try:
                more = self.sock.recv(65_536)
            except ConnectionError:
                more = b""
            if not more:
                return int(found[9:12] or 0), None
            found += more
        tail = found.partition(b"\r\n0\r\n")[2].split(b"\r\n")
        pairs = [(n, v.strip()) for n, _, v in (line.partition(b":") for line in tail if line)]
        return int(found[9:12]), pairs

    def over_h2(self, path: bytes, trailers: list[Pair]) -> tuple[int, list[Pair] | None]:
        stream = self.h2.get_next_available_stream_id()
        names = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", path)]
        self.h2.send_headers(stream, names)
        self.h2.send_data(stream, b"hello")
        self.h2.send_headers(stream, trailers, end_stream=True)
        self.sock.sendall(self.h2.data_to_send())
        status, found = 0, None
        while data := self.sock.recv(65_536):
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.TrailersReceived):
                    found = list(event.headers)
                elif isinstance(event, h2.events.StreamReset):
                    return status, None
                elif isinstance(event, h2.events.StreamEnded):
                    return status, found
        return 0, None


def names_the_limit(line: dict[str, Any]) -> bool:
    return any("limits.head_bytes" in (f["detail"] or "") for f in line["failed_hops"])


@pytest.mark.parametrize("behind", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_trailers_as_long_as_a_head_pass_both_ways_and_longer_ones_fail_alone(
    edge: Edges, raw: Raws, pki: Pki, client: str, behind: str
) -> None:
    """F08. Details of a gRPC status are some kilobytes."""
    backend = Backend(behind)
    it = edge(route(raw(backend.script).port, behind))
    for size in (10, 16_384, 32_000):
        asking = Asking(it.port, pki, client)
        status, got = asking.ask(b"/%d" % size, [(DETAILS, b"b" * size), (b"x-sum", b"1")])
        assert (status, got) == (200, [*SAID, (DETAILS, b"a" * size)]), size
        assert backend.trailers[-1] == {DETAILS: b"b" * size, b"x-sum": b"1"}, size
    many = len(backend.trailers)
    # 70,000 bytes are more than the `h2` crate takes of a list, so that it leaves some out.
    for size in (33_000, 70_000):
        asking = Asking(it.port, pki, client)
        status, _ = asking.ask(b"/1", [(b"x-sum", b"1"), (DETAILS, b"b" * size)])
        assert status == 431, size
        line = it.line(lambda line: line["end"] == "request/trailers-too-long")
        assert line["status"] == 431
        assert len(backend.trailers) == many, "no backend took it for a whole request"
        if client == "h2":
            assert asking.ask(b"/2", [(b"x-sum", b"1")])[0] == 200, "the connection lives"
            many += 1
    for size in (33_000, 70_000):
        asking = Asking(it.port, pki, client)
        assert asking.ask(b"/%d" % size, [(b"x-sum", b"1")])[1] is None, "what was left out is never an end"
        line = it.line(names_the_limit)
        assert line["end"] == "hop/bad-response"
        if client == "h2":
            assert asking.ask(b"/2", [(b"x-sum", b"1")])[0] == 200, "the connection lives"


def trailing(*pieces: bytes, pad: bytes | None = None) -> bytes:
    """Trailers of stream 1 in so many frames."""
    first, *rest = pieces
    flags = END_STREAM
    if pad is not None:
        first, flags = bytes([len(pad)]) + first + pad, flags | 8
    last = len(rest)
    out = frame(HEADERS, first, flags=flags | (0 if rest else END_HEADERS), stream=1)
    for at, piece in enumerate(rest, 1):
        out += frame(CONTINUATION, piece, flags=END_HEADERS if at == last else 0, stream=1)
    return out


@pytest.mark.parametrize("behind", PROTOCOLS)
@pytest.mark.parametrize("how", ["plain", "padded", "in two frames", "with another field", "from the table"])
def test_a_request_with_a_pseudo_field_in_its_trailers_is_refused(
    edge: Edges, raw: Raws, pki: Pki, how: str, behind: str
) -> None:
    """P07. The `h2` crate takes them for nothing; RFC 9113 section 8.1 calls them malformed."""
    backend = Backend(behind)
    it = edge(route(raw(backend.script).port, behind))
    pseudo = literal(b":path", b"/other")
    sent = {
        "plain": trailing(pseudo),
        "padded": trailing(pseudo, pad=bytes(7)),
        "in two frames": trailing(pseudo[:4], pseudo[4:]),
        "with another field": trailing(pseudo + literal(b"x-sum", b"1")),
        # `:path: /`, by its place in the static table alone.
        "from the table": trailing(b"\x84"),
    }[how]
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        client = Client(sock)
        client.send(frame(HEADERS, fields("a.test", method=b"POST", path=b"/1"), flags=END_HEADERS, stream=1))
        client.send(frame(DATA, b"hello", stream=1))
        client.send(sent)
        assert client.whole(1) in {"400", "reset", "gone"}
        assert backend.trailers == []
        assert it.line(lambda line: line["end"] != "done")
        if how == "in two frames":
            return
        # The connection, with its table of fields, lives.
        assert client.goaway is None
        later = fields("a.test", method=b"POST", path=b"/1")
        client.send(frame(HEADERS, later, flags=END_HEADERS, stream=3))
        client.send(frame(HEADERS, literal(b"x-sum", b"1"), flags=END_HEADERS | END_STREAM, stream=3))
        assert client.whole(3) == "200"
    assert backend.trailers == [{b"x-sum": b"1"}]


def test_an_answer_with_a_pseudo_field_in_its_trailers_is_no_whole_answer(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P07."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            it.h2.send_headers(asked.stream, [(b":status", b"200")])
            it.h2.send_data(asked.stream, b"ok")
            late = literal(b":status", b"204") if asked.fields[b":path"] == b"/attack" else literal(b"x-sum", b"1")
            late = frame(HEADERS, late, flags=END_HEADERS | END_STREAM, stream=asked.stream)
            it.sock.sendall(it.h2.data_to_send() + late)

    it = edge(route(raw(H2Backend(on)).port, "h2"))
    with Talk(it.port, pki, "a.test", "h2") as talk:
        assert not talk.ask(b"/attack").whole
        assert talk.ask(b"/fine").whole
    assert it.line(lambda line: line["end"] == "hop/bad-response")


def test_the_table_of_fields_is_the_same_behind_trailers_that_were_too_long(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P05. Fields that trailers put into the table are there for the next request's."""
    backend = Backend("h2")
    it = edge(route(raw(backend.script).port, "h2"))
    encoder = hpack.Encoder()
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        client = Client(sock)
        for stream in (1, 3, 5):
            names = [(":method", "POST"), (":scheme", "https"), (":authority", "a.test"), (":path", "/1")]
            client.send(frame(HEADERS, encoder.encode(names), flags=END_HEADERS, stream=stream))
            late = encoder.encode([("x-sum", f"it is {stream // 3}"), ("x-other", "the same"), ("x-long", "é" * 3)])
            client.send(frame(HEADERS, late, flags=END_HEADERS | END_STREAM, stream=stream))
            assert client.whole(stream) == "200", stream
    assert [t[b"x-other"] for t in backend.trailers] == [b"the same"] * 3
    assert [t[b"x-sum"] for t in backend.trailers] == [b"it is 0", b"it is 1", b"it is 1"]
