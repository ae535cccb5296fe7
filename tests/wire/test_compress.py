"""Answers compressed on the way: which are, in which coding, as they flow, and never a broken one made whole."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import threading
import zlib
from collections.abc import Callable
from typing import IO

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import Record, answering, head
from tests.wire.test_edits import fields
from tests.wire.test_http2 import Speaker
from tests.wire.test_own_answers import answers

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

CODINGS = ("zstd", "br", "gzip")
PROTOCOLS = ("--http1.1", "--http2")
WORDS = [
    "the",
    "edge",
    "ends",
    "here",
    "and",
    "a",
    "hop",
    "begins",
    "where",
    "bytes",
    "go",
    "on",
    "to",
    "whoever",
    "waits",
    "for",
    "them",
]
TEXT = " ".join(random.Random(7).choices(WORDS, k=60_000)).encode()
COMPRESS = 'compress = ["zstd", "br", "gzip"]\n'
PLAIN = "Content-Type: text/plain; charset=utf-8\r\n"


def route(port: int, more: str = COMPRESS) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


def whole(more: str = PLAIN, body: bytes = TEXT, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def ask(accept: str | None = "gzip", more: str = "", method: str = "GET", version: str = "1.1") -> str:
    named = "" if accept is None else f"Accept-Encoding: {accept}\r\n"
    return f"{method} / HTTP/{version}\r\nHost: a.test\r\n{named}{more}\r\n"


def command(it: EdgeKit, pki: Pki, *more: str) -> list[str]:
    curl = shutil.which("curl")
    assert curl is not None
    reach = ["--resolve", f"a.test:{it.port}:127.0.0.1", "--cacert", str(pki.public.file), "--max-time", "60"]
    return [curl, "-sS", *reach, "--compressed", *more, f"https://a.test:{it.port}/"]


def curled(it: EdgeKit, pki: Pki, *more: str) -> tuple[int, dict[str, list[str]], bytes]:
    """How curl ended, the answer's head, and the body as it decoded it."""
    ran = subprocess.run(command(it, pki, "-D", "/dev/stderr", *more), capture_output=True, check=False, timeout=90)
    return ran.returncode, fields(ran.stderr), ran.stdout


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("coding", CODINGS)
def test_text_comes_in_the_coding_that_the_client_takes_and_is_the_same(
    edge: Edges, pki: Pki, raw: Raws, coding: str, protocol: str
) -> None:
    more = f'{PLAIN}ETag: "one"\r\nAccept-Ranges: bytes\r\nVary: X-A\r\n'
    it = edge(route(raw(answering(whole(more))).port))
    code, got, body = curled(it, pki, protocol, "-H", f"Accept-Encoding: {coding}")
    assert (code, body) == (0, TEXT)
    assert got["content-encoding"] == [coding] and got["etag"] == ['W/"one"']
    assert got["vary"] == ["X-A", "Accept-Encoding"]
    assert "content-length" not in got and "accept-ranges" not in got
    line = it.line(lambda line: line["status"] == 200)
    assert 0 < line["bytes_out"] < len(TEXT) / 3


def encoded(
    edge: Edges, pki: Pki, raw: Raws, answer: bytes, asked: str, more: str = COMPRESS
) -> tuple[str, str, bytes]:
    """The answer's coding and what it says that it varies by, and its body as it came."""
    it = edge(route(raw(answering(answer)).port, more))
    got = exchange(tls(it.port, "a.test", pki.public.file), asked)
    return got.headers.get("content-encoding", ""), got.headers.get("vary", ""), got.body


SHORT = b"short " * 100
VARIES, NOT = "Accept-Encoding", ""


@pytest.mark.parametrize(
    ("answer", "asked", "varies"),
    [
        pytest.param(whole(f"{PLAIN}Content-Encoding: deflate\r\n"), ask(), NOT, id="coded"),
        pytest.param(whole(body=SHORT), ask(), VARIES, id="short"),
        pytest.param(whole("Content-Type: image/png\r\n"), ask(), NOT, id="a picture"),
        pytest.param(whole(""), ask(), NOT, id="of no type"),
        pytest.param(whole("Content-Type: application/grpc-web+json\r\n"), ask(), NOT, id="a call"),
        pytest.param(whole(f"{PLAIN}Cache-Control: public, No-Transform\r\n"), ask(), NOT, id="not to be changed"),
        pytest.param(whole(f"{PLAIN}Repr-Digest: sha-256=:AA==:\r\n"), ask(), NOT, id="vouched for"),
        pytest.param(whole(f"{PLAIN}Set-Cookie: a=b\r\n"), ask(), NOT, id="sets a cookie"),
        pytest.param(
            whole(f"{PLAIN}Content-Range: bytes 0-9/10\r\n", status="206 Partial Content"), ask(), NOT, id="a part"
        ),
        pytest.param(whole(), ask(None), VARIES, id="nothing said"),
        pytest.param(whole(), ask("deflate, identity"), VARIES, id="knows no coding"),
        pytest.param(whole(), ask("gzip;q=0, *;q=0.5, br;q=0, zstd;q=0"), VARIES, id="refuses them"),
        pytest.param(whole(), ask("gzip;q=0.5, identity"), VARIES, id="would rather have it plain"),
        pytest.param(whole(), ask(more="Cookie: a=b\r\n"), VARIES, id="cookie"),
        pytest.param(whole(), ask(more="Authorization: Basic YTpi\r\n"), VARIES, id="login"),
        pytest.param(whole(), ask(more="Cache-Control: no-transform\r\n"), VARIES, id="asked not to change"),
        pytest.param(whole(), ask(version="1.0"), NOT, id="HTTP/1.0"),
    ],
)
def test_what_would_not_gain_or_would_tell_a_secret_goes_on_as_it_is(
    edge: Edges, pki: Pki, raw: Raws, answer: bytes, asked: str, varies: str
) -> None:
    coding, said, body = encoded(edge, pki, raw, answer, asked)
    assert coding in ("", "deflate") and said == varies
    assert body == answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("answer", "asked", "more"),
    [
        pytest.param(whole(), ask(more="Cookie: a=b\r\nAuthorization: Basic YTpi\r\n"), "with", id="of whom is known"),
        pytest.param(whole(f"{PLAIN}Set-Cookie: a=b\r\n"), ask(), "with", id="sets a cookie"),
        pytest.param(whole(body=SHORT), ask("gzip, identity;q=0"), "", id="short, and not taken plain"),
        pytest.param(
            whole("Content-Type: APPLICATION/problem+JSON\r\n"), ask("x-gzip"), "", id="json, by another name"
        ),
        pytest.param(whole("Content-Type: image/svg+xml\r\n", status="404 Not Found"), ask(), "", id="an error"),
    ],
)
def test_what_gains_is_compressed_and_so_is_what_tells_secrets_where_that_is_asked_for(
    edge: Edges, pki: Pki, raw: Raws, answer: bytes, asked: str, more: str
) -> None:
    setting = 'compress = { with = ["gzip"], with_credentials = true }\n' if more else COMPRESS
    coding, varies, body = encoded(edge, pki, raw, answer, asked, setting)
    assert (coding, varies) == ("gzip", "Accept-Encoding")
    assert zlib.decompress(body, wbits=31) == answer.partition(b"\r\n\r\n")[2]


def test_a_client_that_is_known_by_its_certificate_gets_nothing_compressed(edge: Edges, pki: Pki, raw: Raws) -> None:
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(route(raw(answering(whole())).port), site=site)
    unknown = exchange(tls(it.port, "a.test", pki.public.file), ask())
    known = exchange(tls(it.port, "a.test", pki.public.file, leaf=pki.client), ask())
    assert unknown.headers["content-encoding"] == "gzip" and "content-encoding" not in known.headers
    assert known.body == TEXT and known.headers["vary"] == "Accept-Encoding"


def test_head_says_what_get_says_and_has_no_body(edge: Edges, pki: Pki, raw: Raws) -> None:
    told = whole(f'{PLAIN}ETag: "one"\r\nAccept-Ranges: bytes\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\n')
    bare = told.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    it = edge(route(raw(answering(bare, told)).port))
    sock = tls(it.port, "a.test", pki.public.file)
    asked_head = exchange(sock, ask(method="HEAD"), "HEAD")
    asked_get = exchange(sock, ask())
    assert asked_head.body == b"" and zlib.decompress(asked_get.body, wbits=31) == TEXT
    framing = {"transfer-encoding"}
    assert {n: v for n, v in asked_get.headers.items() if n not in framing} == asked_head.headers


def test_a_revalidated_answer_has_the_validator_that_it_was_sent_with(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(b'HTTP/1.1 304 Not Modified\r\nETag: "one"\r\n\r\n')).port))
    sock = tls(it.port, "a.test", pki.public.file)
    asked = 'If-None-Match: W/"one"\r\n'
    assert exchange(sock, ask(more=asked)).headers["etag"] == 'W/"one"'
    assert exchange(sock, ask(None, more=asked)).headers["etag"] == '"one"'


def test_what_the_edge_answers_itself_and_other_routes_stay_as_they_are(edge: Edges, pki: Pki, raw: Raws) -> None:
    port = raw(answering(whole())).port
    it = edge(route(port, ""))
    sock = tls(it.port, "a.test", pki.public.file)
    plain = exchange(sock, ask())
    assert plain.body == TEXT and "vary" not in plain.headers
    assert it.reload(route(port))["reloaded"]
    assert exchange(sock, ask()).headers["content-encoding"] == "gzip"
    refused = exchange(sock, ask().replace("a.test", "b.test"))
    assert refused.status == 404 and "content-encoding" not in refused.headers


def streamed(steps: threading.Semaphore, pieces: list[bytes]) -> Callable[[socket.socket, Record], None]:
    """An event stream, a piece each time it is told to."""

    def script(sock: socket.socket, record: Record) -> None:
        while head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                steps.acquire()
                sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            steps.acquire()
            sock.sendall(b"0\r\n\r\n")

    return script


def read(stream: IO[bytes], count: int) -> bytes:
    got = b""
    while len(got) < count and (more := stream.read(count - len(got))):
        got += more
    return got


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("coding", CODINGS)
def test_events_arrive_one_by_one_through_every_coding(
    edge: Edges, pki: Pki, raw: Raws, coding: str, protocol: str
) -> None:
    steps = threading.Semaphore(0)
    events = [f"data: event {n}\n\n".encode() for n in range(5)]
    it = edge(route(raw(streamed(steps, events)).port))
    asked = command(it, pki, "-N", protocol, "-H", f"Accept-Encoding: {coding}")
    with subprocess.Popen(asked, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        for event in events:
            steps.release()
            assert read(client.stdout, len(event)) == event
        steps.release()
        assert client.stdout.read() == b"" and client.wait(30) == 0


CUTS = {
    "short of its length": f"HTTP/1.1 200 OK\r\n{PLAIN}Content-Length: {len(TEXT) * 2}\r\n\r\n".encode() + TEXT,
    "within a chunk": f"HTTP/1.1 200 OK\r\n{PLAIN}Transfer-Encoding: chunked\r\n\r\n{len(TEXT) * 2:x}\r\n".encode()
    + TEXT,
    "before the last chunk": f"HTTP/1.1 200 OK\r\n{PLAIN}Transfer-Encoding: chunked\r\n\r\n{len(TEXT):x}\r\n".encode()
    + TEXT
    + b"\r\n",
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("coding", CODINGS)
def test_an_answer_that_breaks_off_is_a_broken_one_in_every_coding(
    edge: Edges, pki: Pki, raw: Raws, coding: str, protocol: str, cut: str
) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(CUTS[cut])

    it = edge(route(raw(script).port))
    code, got, body = curled(it, pki, protocol, "-H", f"Accept-Encoding: {coding}")
    assert code != 0 and got["content-encoding"] == [coding]
    assert TEXT.startswith(body)
    assert it.line(lambda line: line["route"] == "r")["end"] == "hop/truncated"


def test_who_reads_nothing_holds_the_backend_back(edge: Edges, pki: Pki, raw: Raws) -> None:
    """What does not compress comes as fast as it is read; a buffer or two a side is all that goes before."""
    noise = bytes(random.Random(1).randbytes(1 << 20))
    sent = [0]
    most = 64

    def script(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(f"HTTP/1.1 200 OK\r\n{PLAIN}Content-Length: {most << 20}\r\n\r\n".encode())
        for _ in range(most):
            sock.sendall(noise)
            sent[0] += 1

    it = edge(route(raw(script).port))
    sock = tls(it.port, "a.test", pki.public.file)
    sock.sendall(ask().encode())
    until(lambda: sent[0] > 0 or None)
    seen = -1

    def stands() -> bool | None:
        nonlocal seen
        before, seen = seen, sent[0]
        return before == seen or None

    until(stands)
    assert sent[0] < most / 2
    left = zlib.decompressobj(wbits=31)
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(65536)
    assert b"content-encoding: gzip" in got.partition(b"\r\n\r\n")[0].lower()
    total, rest = 0, got.partition(b"\r\n\r\n")[2]
    while not left.eof:
        size, _, rest = rest.partition(b"\r\n") if b"\r\n" in rest else (b"", b"", rest)
        if not size:
            rest += sock.recv(65536)
            continue
        count = int(size, 16)
        while len(rest) < count + 2:
            rest += sock.recv(1 << 20)
        total += len(left.decompress(rest[:count]))
        rest = rest[count + 2 :]
    assert total == most << 20


def test_http2_answers_at_once_each_in_its_own_coding(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(whole())).port))
    with Speaker(it, pki) as client:
        streams = [client.headers(("accept-encoding", coding)) for coding in ("gzip", "br", "identity", "zstd")]
        got = list(answers(client, *streams).values())
    assert [fields_.get("content-encoding") for fields_, _ in got] == ["gzip", "br", None, "zstd"]
    assert zlib.decompress(got[0][1], wbits=31) == TEXT and got[2][1] == TEXT
