"""What our codec decided and what real servers and clients read, side by side: a disagreement about where a message ends
is how requests are smuggled. Streams come from a grammar of framing, spelling, repetition, order and pipelining."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h11
import httptools
import pytest

from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.raw import head
from tests.kit.servers import ByH11, ByHttptools, Nginx, Node, Seen, Server, seen
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, fields, frame, literal
from tests.threats.talk import Talk, dial

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

SERVERS: dict[str, str] = {"nginx": "a.test", "node": "b.test", "h11": "c.test", "httptools": "d.w.test"}


@dataclass
class Sides:
    edge: EdgeKit
    pki: Pki
    servers: dict[str, Server]


@pytest.fixture(scope="module")
def sides(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {"nginx": Nginx(folder("nginx")), "h11": ByH11(), "httptools": ByHttptools()}
        if Node.is_there():
            servers["node"] = Node(folder("node"))
        for it in servers.values():
            stack.callback(it.close)
        text = "".join(
            f'[[route]]\nname = "{name}"\nhost = "{SERVERS[name]}"\ntls = "plaintext"\nto = ["127.0.0.1:{it.port}"]\n'
            for name, it in servers.items()
        )
        edge = EdgeKit(pki, text)
        stack.callback(edge.close)
        yield Sides(edge, pki, servers)


def server_of(sides: Sides, name: str) -> Server:
    if name not in sides.servers:
        pytest.skip("there is no node on this machine")
    return sides.servers[name]


# Requests.

METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH")
INNER = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.test\r\nX: "
BODIES = (b"", b"hello", INNER, b"0\r\n\r\n" + INNER, b"5\r\nhello\r\n0\r\n\r\n")


def chunked(body: bytes, size: int = 7, *, ext: bytes = b"", trailers: bytes = b"", form: bytes = b"%x") -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join((form % len(p)) + ext + b"\r\n" + p + b"\r\n" for p in pieces) + b"0\r\n" + trailers + b"\r\n"


def framings(body: bytes) -> Iterator[tuple[list[bytes], bytes]]:
    """Field lines with the bytes behind the head: those that fit, and those of which some reader thinks that they do."""
    n = b"%d" % len(body)
    cl, te = b"Content-Length: " + n, b"Transfer-Encoding: chunked"
    yield [cl], body
    yield [b"content-length:" + n], body
    yield [b"CONTENT-LENGTH:\t " + n + b" \t"], body
    yield [b"Content-Length: 00" + n], body
    yield [te], chunked(body)
    yield [b"transfer-encoding:Chunked"], chunked(body, 1)
    yield [b"TRANSFER-ENCODING: \tCHUNKED\t"], chunked(body, form=b"%X")
    yield [te], chunked(body, 1 << 20, form=b"%08x")
    yield [te], chunked(body, ext=b";a=b")
    yield [te], chunked(body, ext=b' ; a="b;c"')
    yield [te, b"Trailer: X-Sum"], chunked(body, trailers=b"X-Sum: 1\r\nContent-Length: 9\r\n")
    yield [te, b"Trailer: Content-Length"], chunked(body, trailers=b"Transfer-Encoding: chunked\r\nHost: x\r\n")
    for twin in (b"Content_Length: 3", b"Content.Length: 3", b"Transfer_Encoding: chunked", b"X-Content-Length: 3"):
        yield [twin, cl], body
        yield [te, twin], chunked(body)
    for nominated in (b"Content-Length", b"Transfer-Encoding", b"close, Content-Length", b"Host, Transfer-Encoding"):
        yield [b"Connection: " + nominated, cl], body
        yield [te, b"Connection: " + nominated], chunked(body)
    for more in (b"TE: trailers, chunked", b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Upgrade: h2c"):
        yield [more, b"Connection: TE, Keep-Alive, Upgrade", cl], body
    yield [b"Expect: 100-continue", cl], body
    yield [b"X: " + b"y" * 4000, cl], body
    # Refused by us, or read in one way by all.
    yield [cl, cl], body
    yield [cl, te], chunked(body)
    yield [te, cl], chunked(body)
    yield [te, te], chunked(body)
    yield [b"Content-Length: " + n + b", " + n], body
    yield [b"Content-Length: +" + n], body
    yield [b"Content-Length : " + n], body
    yield [b"Content-Length:\x0b" + n], body
    yield [b"Transfer-Encoding: identity", cl], body
    yield [b"Transfer-Encoding: chunked, identity"], chunked(body)
    yield [b"Transfer-Encoding:\x0bchunked", cl], body
    yield [b"Transfer-Encoding: xchunked", cl], body
    yield [b"X: y\r\n Content-Length: 3", cl], body
    yield [b"X: y\rContent-Length: 3", cl], body
    yield [b"X: y\nContent-Length: 3", cl], body
    yield [te], chunked(body).replace(b"\r\n", b"\n")
    yield [te], chunked(body, ext=b";\n")
    yield [te], chunked(body, form=b"0x%x")
    yield [te], chunked(body).replace(b"0\r\n\r\n", b"0\r\n\n")


def streams(host: bytes) -> Iterator[tuple[bytes, list[Seen]]]:
    """A connection's bytes, and the requests in it as its author meant them: framed, one plain, one that ends it."""
    number = 0
    for method, body in itertools.product(METHODS, BODIES):
        for lines, behind in framings(body):
            number += 1
            # Each method and body meets a part of the framings, each framing all methods and bodies.
            if number % 2:
                continue
            before = number % 2
            ordered = [*lines, b"Host: " + host] if before else [b"Host: " + host, *lines]
            first = b"%s /first-%d?q=%d HTTP/1.1\r\n" % (method, number, len(body))
            data = first + b"".join(line + b"\r\n" for line in ordered) + b"\r\n" + behind
            data += b"GET /second-%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (number, host)
            data += b"POST /last-%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend" % (
                number,
                host,
            )
            yield (
                data,
                [
                    seen(method.decode(), f"/first-{number}?q={len(body)}", body),
                    seen("GET", f"/second-{number}", b""),
                    seen("POST", f"/last-{number}", b"end"),
                ],
            )


def read_all(sock: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(OSError):
        while data := sock.recv(65536):
            got += data
    return got


Decided = tuple[str, str, int]


def decided(sides: Sides, name: str) -> list[Decided]:
    """What the access log says went to that server since this was asked last: method, path, bytes of the body.

    One thread writes the log in order: when the line of a last request is there, all are.
    """
    server = sides.servers[name]
    mark = f"/mark-{name}-{len(server.requests())}"
    with Talk(sides.edge.port, sides.pki, SERVERS[name], "http/1.1") as talk:
        assert talk.ask(mark.encode()).status == 200
    sides.edge.line(lambda x: x["path"] == mark)
    lines = [x for x in sides.edge.lines() if x["route"] == name]
    paths = [x["path"] for x in lines]
    start = max((i for i, path in enumerate(paths[:-1]) if path.startswith("/mark-")), default=-1) + 1
    # A body that turned out to be malformed has a line too, and must not be complete over there.
    return [(x["method"], x["path"], x["bytes_in"]) for x in lines[start:-1] if x["end"] == "done"]


def shown(requests: list[Seen]) -> list[Decided]:
    """The same of what a server saw."""
    return [(x.method, x.target.split("?")[0], x.length) for x in requests if not x.target.startswith("/mark-")]


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_reads_the_requests_that_we_decided_and_no_other(sides: Sides, name: str) -> None:
    """H01 to H07, H10. Some nine hundred streams: of each the server saw a beginning of what was meant, request
    by request with target and body, and the access log tells the same number, paths and bytes."""
    server, host = server_of(sides, name), SERVERS[name]
    meant: list[list[Seen]] = []
    statuses: list[int] = []
    before = len(server.requests())
    for data, requests in streams(host.encode()):
        with dial(sides.edge.port, sides.pki, host, alpn=["http/1.1"]) as sock:
            sock.sendall(data)
            got = read_all(sock)
        assert got.startswith(b"HTTP/1.1 "), (data, got)
        statuses.append(int(got[9:12]) if not got.startswith(b"HTTP/1.1 100") else 200)
        meant.append(requests)
    assert server.complaints() == [], "it could read everything that we wrote"
    ours = decided(sides, name)
    # nginx writes its log after it has answered.
    arrived = until(lambda: r if len(shown(r := server.requests()[before:])) >= len(ours) else None)
    assert not [x for x in arrived if "smuggled" in x.target]
    assert sorted(ours) == sorted(shown(arrived))
    by_stream: dict[str, list[Seen]] = {}
    for x in arrived:
        if x.target.startswith("/mark-"):
            continue
        by_stream.setdefault(x.target.split("?")[0].rpartition("-")[2], []).append(x)
    whole = 0
    for requests, status in zip(meant, statuses, strict=True):
        number = requests[1].target.rpartition("-")[2]
        found = by_stream.pop(number, [])
        # What was refused took the rest of its connection along; `Connection: close` within ends it as well.
        assert found == requests[: len(found)], (requests, found)
        assert (status < 400) == bool(found), (requests, status, found)
        whole += len(found) == len(requests)
    assert not by_stream
    assert whole > len(meant) // 2 and 400 in statuses, (whole, len(meant))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_reads_what_came_by_http2_as_it_came(sides: Sides, name: str) -> None:
    """P04, P05. With and without a length, with trailers, in one frame or many: the same requests and bodies."""
    server, host = server_of(sides, name), SERVERS[name]
    before = len(server.requests())
    meant: list[Seen] = []
    with Talk(sides.edge.port, sides.pki, host, "h2") as talk:
        talk.open()
        it = talk.h2
        assert it is not None
        cases = itertools.product(METHODS, (b"", *BODIES[1:], b"x" * 40_000), (True, False), (True, False), (1, 3))
        for number, (method, body, told, trailers, frames) in enumerate(cases):
            if number % 3:
                continue
            stream = 2 * number + 1
            path = f"/h2-{number}?q"
            more = [(b"content-length", b"%d" % len(body))] if told else []
            block = fields(host, *more, method=method, path=path.encode())
            it.send(frame(HEADERS, block, flags=END_HEADERS, stream=stream))
            size = max(1, min(len(body) // frames + 1, 16_000))
            pieces = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
            for at, piece in enumerate(pieces):
                last = at == len(pieces) - 1 and not trailers
                it.send(frame(DATA, piece, flags=END_STREAM if last else 0, stream=stream))
            if trailers:
                block = literal(b"x-sum", b"1") + literal(b"content-length", b"7")
                it.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream))
            assert it.whole(stream) == "200", (method, body[:20], told, trailers)
            meant.append(seen(method.decode(), path, body))
    assert server.complaints() == []
    arrived = until(lambda: found if len(found := server.requests()[before:]) >= len(meant) else None)
    assert sorted(arrived) == sorted(meant)
    assert sorted(decided(sides, name)) == sorted(shown(meant))


# Responses.

Read = tuple[int, bytes]


def reads_h11(data: bytes, method: str) -> Read | None:
    """The first final response as h11 reads it, where the connection ends behind `data`; `None` where it refuses."""
    it = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    it.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    it.send(h11.EndOfMessage())
    it.receive_data(data)
    it.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = it.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


def reads_httptools(data: bytes) -> Read | None:
    """The same by llhttp, which must be told nothing of HEAD: not for such answers."""
    found: list[Read] = []

    class Handler:
        body = b""

        def on_message_begin(self) -> None:
            self.body = b""

        def on_body(self, body: bytes) -> None:
            self.body += body

        def on_message_complete(self) -> None:
            found.append((parser.get_status_code(), self.body))

        def on_headers_complete(self) -> None:
            self.status = parser.get_status_code()

    handler = Handler()
    parser = httptools.HttpResponseParser(handler)
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        parser.feed_data(data)
    final = [x for x in found if x[0] >= 200]
    if final:
        return final[0]
    # Until the connection's end: llhttp says nothing of it, but has given the body.
    lower = data.lower()
    framed = b"content-length" in lower or b"transfer-encoding" in lower
    status = getattr(handler, "status", 0)
    return (status, handler.body) if status >= 200 and not framed else None


RESPONSE_LINES: list[list[bytes]] = [
    [b"Content-Length: 5"],
    [b"content-length:5"],
    [b"Content-Length: 005 \t"],
    [b"Content-Length: 0"],
    [b"Content-Length: 5", b"Content-Length: 5"],
    [b"Content-Length: 5", b"Content-Length: 6"],
    [b"Content-Length: 5, 5"],
    [b"Content-Length: +5"],
    [b"Content-Length: 0x5"],
    [b"Content-Length: 5 5"],
    [b"Content-Length : 5"],
    [b"Content-Length:\x0b5"],
    [b"Content-Length: 5\x00"],
    [b"Content-Length:"],
    [b"Content_Length: 3", b"Content-Length: 5"],
    [b"X: y\r\n Content-Length: 3", b"Content-Length: 5"],
    [b"X: y\rContent-Length: 3", b"Content-Length: 5"],
    [b"X: y\nContent-Length: 3", b"Content-Length: 5"],
    [b"Connection: Content-Length", b"Content-Length: 5"],
    [b"Connection: close", b"Content-Length: 5"],
    [b"Transfer-Encoding: chunked"],
    [b"transfer-encoding:CHUNKED"],
    [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
    [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: gzip, chunked"],
    [b"Transfer-Encoding: chunked, gzip"],
    [b"Transfer-Encoding: identity"],
    [b"Transfer-Encoding : chunked"],
    [b"Transfer-Encoding:\x0bchunked"],
    [b"Transfer_Encoding: chunked", b"Content-Length: 5"],
    [b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"],
    [],
]
FIRST_LINES = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 404 Not \xe9",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK",
)
RESPONSE_BODIES = (
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"",
)


def answers() -> list[bytes]:
    return [
        first + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body
        for first, lines, body in itertools.product(FIRST_LINES, RESPONSE_LINES, RESPONSE_BODIES)
    ]


def test_an_answer_is_refused_or_reads_as_independent_clients_read_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U01, U02. Fifteen hundred answers, each read by h11 and llhttp as the backend sent it and as we wrote it anew: what
    we pass on as complete has the status and the body that both saw where they saw one."""
    sent = answers()

    def script(sock: socket.socket, record: bytearray) -> None:
        request = head(sock, record)
        assert request
        sock.sendall(sent[int(request.split(b" ")[1].strip(b"/"))])
        sock.shutdown(socket.SHUT_WR)
        # The edge closes when it has read to the end or has had enough.
        while sock.recv(4096):
            pass

    it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{raw(script).port}"]\n')
    tally = {"refused": 0, "cut": 0, "whole": 0}
    for number, data in enumerate(sent):
        if number % 2:
            continue
        with Talk(it.port, pki, "a.test", "http/1.1") as talk:
            sock = talk.open()
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" % number)
            got = read_all(sock)
        ours = reads_h11(got, "GET")
        if ours is None:
            tally["cut"] += 1
            assert reads_httptools(got) is None, (data, got)
            continue
        assert reads_httptools(got) == ours, (data, got)
        if ours[0] == 502:
            tally["refused"] += 1
            continue
        tally["whole"] += 1
        theirs = [reads_h11(data, "GET"), reads_httptools(data)]
        assert {x for x in theirs if x is not None} == {ours}, (data, got, theirs)
    assert min(tally.values()) > 50, tally


@pytest.mark.parametrize("name", SERVERS)
def test_bodies_of_every_length_have_one_digest_on_both_sides(sides: Sides, name: str) -> None:
    """H04, U01. Around the sizes at which buffers, records and frames end."""
    server, host = server_of(sides, name), SERVERS[name]
    before = len(server.requests())
    lengths = [n + d for n in (1, 4096, 16_384, 65_536, 131_072) for d in (-1, 0, 1)]
    bodies = [hashlib.sha256(b"%d" % n).hexdigest().encode() * (n // 64 + 1) for n in lengths]
    with Talk(sides.edge.port, sides.pki, host, "http/1.1") as talk:
        for n, text in zip(lengths, bodies, strict=True):
            assert talk.ask(f"/{n}".encode(), method=b"POST", body=text[:n]).status == 200
    meant = [seen("POST", f"/{n}", text[:n]) for n, text in zip(lengths, bodies, strict=True)]
    arrived = until(lambda: r if len(r := server.requests()[before:]) >= len(meant) else None)
    assert arrived == meant
    assert decided(sides, name) == shown(meant)
