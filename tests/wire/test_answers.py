"""What a backend answers passes unchanged: its reason phrase, its fields, whatever the method; and what is not as RFC 9112
has it passes only where a route asks for that, written afresh. F08."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import OK, Record, answering, head, rest
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, Client, fields, frame

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
ROUTE = '[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def route(port: int, more: str = "", name: str = "r", host: str = "a.test") -> str:
    return ROUTE.format(name=name, host=host, port=port, more=more)


def got(it: EdgeKit, pki: Pki, host: str = "a.test", method: str = "GET") -> bytes:
    """Every byte of the answer to the last request of a connection."""
    out = b""
    with tls(it.port, host, pki.public.file) as sock:
        sock.sendall(f"{method} / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            while data := sock.recv(65536):
                out += data
    return out


@pytest.mark.parametrize(
    ("line", "passed"),
    [
        (b"200 Very Fine", b"200 Very Fine"),
        (b"207 Multi-Status", b"207 Multi-Status"),
        (b"423 Gesperrt, f\xfcr jetzt", b"423 Gesperrt, f\xfcr jetzt"),
        (b"299 ", b"299 Unknown"),
        (b"507", b"507 Insufficient Storage"),
        (b"200 " + b"x" * 300, b"200 OK"),
    ],
)
def test_the_reason_of_a_backend_reaches_a_client_of_http1(
    edge: Edges, raw: Raws, pki: Pki, line: bytes, passed: bytes
) -> None:
    """F08."""
    answer = b"HTTP/1.1 " + line + b"\r\nContent-Length: 2\r\n\r\nok"
    it = edge(route(raw(answering(answer)).port))
    assert got(it, pki).startswith(b"HTTP/1.1 " + passed + b"\r\n")


def test_the_reason_of_what_comes_before_the_answer_passes_too(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F08."""
    it = edge(route(raw(answering(b"HTTP/1.1 102 Still At It\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n" + OK)).port))
    assert got(it, pki).startswith(
        b"HTTP/1.1 102 Still At It\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
    )


def test_a_reason_with_a_control_in_it_is_no_answer(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n")).port))
    assert got(it, pki).startswith(b"HTTP/1.1 502 ")


class Told(Client):
    """Keeps the fields of answers."""

    told: tuple[tuple[str, str], ...] = ()

    def note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind != HEADERS:
            return super().note(kind, flags, stream, body)
        self.told += tuple((str(name), str(value)) for name, value in self.decoder.decode(body))
        self.statuses[stream] = dict(self.told)[":status"]
        if flags & END_STREAM:
            self.ended.add(stream)


def test_two_cookies_are_two_for_either_protocol(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F08. Which no list is: they cannot be joined (RFC 9110 §5.3)."""
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1, x\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    it = edge(route(raw(answering(answer)).port))
    assert got(it, pki).count(b"\r\nSet-Cookie: a=1, x\r\nSet-Cookie: b=2\r\n") == 1
    sock = tls(it.port, "a.test", pki.public.file, alpn=["h2"])
    client = Told(sock)
    client.ask(1, fields("a.test"))
    assert [v for k, v in client.told if k == "set-cookie"] == ["a=1, x", "b=2"]


METHODS = [
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "QUERY",
    "GET",
    "DELETE",
]


def reads_body(sock: socket.socket, record: Record) -> None:
    while (asked := head(sock, record)) is not None:
        assert b"content-length: 7\r\n" in asked.lower()
        rest(sock, record, 7)
        sock.sendall(OK)


@pytest.mark.parametrize("method", METHODS)
def test_any_method_passes_with_its_body(edge: Edges, raw: Raws, pki: Pki, method: str) -> None:
    """F08."""
    backend = raw(reads_body)
    it = edge(route(backend.port))
    asked = f"{method} /x HTTP/1.1\r\nHost: a.test\r\nDepth: 1\r\nContent-Length: 7\r\n\r\n<body/>"
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(2):
            assert exchange(sock, asked, method).status == 200
    sock = tls(it.port, "a.test", pki.public.file, alpn=["h2"])
    client = Client(sock)
    more = ((b"depth", b"1"), (b"content-length", b"7"))
    client.send(
        frame(HEADERS, fields("a.test", *more, method=method.encode(), path=b"/x"), flags=END_HEADERS, stream=1)
    )
    client.send(frame(DATA, b"<body/>", flags=END_STREAM, stream=1))
    assert client.whole(1) == "200"
    (one, two, three) = bytes(backend.received).split(b"<body/>")[:3]
    for each in (one, two, three):
        assert each.startswith(f"{method} /x HTTP/1.1\r\n".encode()) and b"\r\ndepth: 1\r\n" in each.lower()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENIENT = {
    "bare LF": b"HTTP/1.1 200 Fine\nContent-Length: 5\nX-A: b\n\nhello",
    "two equal lengths": b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of equal lengths": b"HTTP/1.1 200 Fine\r\nContent-Length: 5, 5\r\n\r\nhello",
    "padded chunk sizes": CHUNKED + b"5   \r\nhello\r\n0   \r\n\r\n",
    "zeros before a chunk size": CHUNKED + b"00000000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunks that end with LF": CHUNKED + b"5\nhello\n0\n\n",
}


@pytest.mark.parametrize("case", LENIENT)
def test_an_answer_that_reads_in_one_way_passes_only_where_a_route_asks_for_it(
    edge: Edges, raw: Raws, pki: Pki, case: str
) -> None:
    """Behind the same address: what one route takes, the other does not, whoever opened the connection."""
    port = raw(answering(LENIENT[case])).port
    lenient = route(port, 'answers = "lenient"', "lenient", "b.test")
    it = edge(route(port) + lenient)
    for _ in range(2):
        answer = got(it, pki, "b.test")
        head_, _, body = answer.partition(b"\r\n\r\n")
        assert head_.startswith(b"HTTP/1.1 200 ") and b"\n" not in head_.replace(b"\r\n", b""), answer
        assert head_.lower().count(b"content-length:") + head_.lower().count(b"transfer-encoding:") == 1
        assert body in {b"hello", b"5\r\nhello\r\n0\r\n\r\n"}
        strict = got(it, pki)
        assert strict.startswith(b"HTTP/1.1 502 ") or b"\r\n0\r\n" not in strict, "no whole answer"
    assert it.line(lambda x: x["route"] == "r")["end"] == "hop/bad-response"
    assert it.line(lambda x: x["route"] == "lenient")["end"] == "done"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\nA: b\rc\nContent-Length: 0\n\n",
    ],
)
def test_what_reads_in_two_ways_passes_nowhere(edge: Edges, raw: Raws, pki: Pki, answer: bytes) -> None:
    it = edge(route(raw(answering(answer)).port, 'answers = "lenient"'))
    assert got(it, pki).startswith(b"HTTP/1.1 502 ")


def test_a_request_is_read_strictly_whatever_its_route_takes_of_backends(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, 'answers = "lenient"'))
    for bad in (
        b"GET / HTTP/1.1\nHost: a.test\n\n",
        b"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
    ):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, bad).status == 400


def test_a_length_said_twice_is_said_once_where_it_is_all_there_is(edge: Edges, raw: Raws, pki: Pki) -> None:
    """In the answer to HEAD it tells of another answer, and goes on."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n"
    it = edge(route(raw(answering(answer)).port, 'answers = "lenient"'))
    assert got(it, pki, method="HEAD").lower().count(b"content-length: 5\r\n") == 1
