"""Who is asked in the words of Envoy's ext_authz, judged at an authorizer by gRPC's own server and at the backend: what it is told and
what it is not, what its answers come to, and what becomes of a request about which it says nothing that can be believed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.authorizer import route
from tests.kit.clients import Answer
from tests.kit.edge import until
from tests.kit.ext_authz import OK, Authorizer, Check, Says, no, option, put, yes
from tests.kit.otlp import Collector
from tests.kit.raw import OK as ANSWER
from tests.kit.raw import Record, answering
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Authorizers = Callable[..., Authorizer]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
UNASKED = 'when_down = "pass"\npass_acceptance = { owner = "me", why = "test", since = 2026-11-01, until = 2027-06-01 }'


@pytest.fixture
def authorizer() -> Iterator[Authorizers]:
    opened: list[Authorizer] = []

    def start(says: Says | bytes = OK, *args: object, **more: object) -> Authorizer:
        opened.append(Authorizer(says, *args, **more))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for it in opened:
        it.close()


def block(port: int, more: str = "", tls_to: str = "plaintext") -> str:
    verify = {
        "plaintext": "",
        "reencrypt": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n',
        "mutual": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\n',
    }[tls_to]
    return (
        f'[[authorizer]]\nname = "sso"\nspeaks = "envoy"\nto = ["127.0.0.1:{port}"]\ntls = "{tls_to}"\n{verify}{more}\n'
    )


class Stage:
    """An edge with one route that asks, its backend and whoever is asked."""

    def __init__(
        self, edge: Edges, raw: Raws, pki: Pki, who: int, by: str = "", more: str = "", tls_to: str = "plaintext"
    ) -> None:
        self.pki, self.raw = pki, raw(answering(ANSWER))
        self.edge = edge(block(who, by, tls_to) + route(self.raw.port, more))

    def ask(self, request: str = GET) -> Answer:
        with tls(self.edge.port, "a.test", self.pki.public.file) as sock:
            return exchange(sock, request)

    def line(self) -> dict[str, object]:
        return self.edge.all_lines()[-1]


@pytest.mark.parametrize("tls_to", ["plaintext", "reencrypt", "mutual"])
def test_it_is_told_what_is_asked_for_and_by_whom_and_of_fields_those_that_are_named(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers, tls_to: str
) -> None:
    leaf = None if tls_to == "plaintext" else pki.backend
    who = authorizer(OK, leaf, pki.internal.file if tls_to == "mutual" else None)
    it = Stage(
        edge, raw, pki, who.port, 'sends = ["cookie", "authorization", "x-a"]\ndeadline_ms = 30000', tls_to=tls_to
    )
    request = (
        "POST /%7Ea/b?x=%2f&y HTTP/1.1\r\nHost: A.test\r\nCookie: a=b\r\nAuthorization: Basic YTpi\r\nX-Secret: s\r\nX-A: 1\r\nX-a: 2\r\n"
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nContent-Length: 5\r\n\r\nhello"
    )
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, request).status == 200
        own = sock.getsockname()
    (check,) = who.checks
    told = (check.method, check.path, check.host, check.scheme, check.protocol)
    assert told == ("POST", "/~a/b?x=%2f&y", "a.test", "https", "HTTP/1.1")
    assert check.headers == {"cookie": "a=b", "authorization": "Basic YTpi", "x-a": "1,2"}
    assert (check.source.address, check.source.port) == own and check.source.principal == check.source.certificate == ""
    assert (check.body, check.query, check.other) == (b"", "", set()), "and nothing else"
    assert who.methods == ["/envoy.service.auth.v3.Authorization/Check"]
    assert check.left_s is not None and 0 < check.left_s <= 30
    assert set(check.metadata) == {"user-agent"}
    line = it.line()
    assert line["ask"] == {"by": "sso", "verdict": "passed", "status": 200, "duration_us": line["ask"]["duration_us"]}  # type: ignore[index]
    assert check.id == line["id"]
    assert b"POST /%7Ea/b?x=%2f&y HTTP/1.1\r\n" in it.raw.received, "the backend gets it as it came"


def test_a_request_by_http2_is_told_as_one(edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers) -> None:
    who = authorizer()
    it = Stage(edge, raw, pki, who.port, 'sends = ["cookie"]')
    with Speaker(it.edge, pki) as h2:
        assert h2.outcome(h2.headers(("cookie", "a=b"), ("cookie", "c=d"), ("x-secret", "s"))) == "200"
    (check,) = who.checks
    assert (check.protocol, check.scheme, check.host) == ("HTTP/2", "https", "a.test")
    assert check.headers == {"cookie": "a=b; c=d"}


def test_a_verified_client_is_told_by_its_uri(edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers) -> None:
    who = authorizer()
    it = edge(block(who.port) + route(raw(answering(ANSWER)).port), site='clients = { ca = "{pki}/public-ca.pem" }')
    with tls(it.port, "a.test", pki.public.file, leaf=pki.client) as sock:
        assert exchange(sock, GET).status == 200
    assert who.checks[0].source.principal == "spiffe://test/client"


def test_behind_a_trusted_proxy_it_is_told_the_client_that_it_vouches_for(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers
) -> None:
    who = authorizer()
    it = edge(block(who.port) + route(raw(answering(ANSWER)).port), listener='trusted_proxies = ["127.0.0.1"]')
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")).status == 200
    assert (who.checks[0].source.address, who.checks[0].source.port) == ("192.0.2.7", 0)


@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_what_is_taken_of_a_yes_goes_on_and_what_a_client_says_there_never_does(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers, speaks: str
) -> None:
    says = [
        option("X-User", "kim"),
        option("x-role", "a", append=True),
        option("x-role", "b", append=True),
        option("x-group", "never"),
        option("x-group", b"staff", append=False),
        option("x-other", "o"),
        option("set-cookie", "not=this"),
    ]
    answers = [yes(*says, removes=("x_user",), tells=(option("set-cookie", "s=1"), option("x-tell", "t"))), OK]
    who = authorizer(lambda _: answers.pop(0))
    it = Stage(edge, raw, pki, who.port, 'takes = ["x-user", "x-role", "x-group"]')
    forged = ["X-User: root", "x_user: root", "X.User: root", "X_ROLE: root", "x-group: wheel"]
    for expected in (["x-group: staff", "x-role: a, b", "x-user: kim"], []):
        mark = it.raw.mark()
        if speaks == "h2":
            with Speaker(it.edge, pki) as h2:
                pairs = [(name.lower(), value) for name, _, value in (x.partition(": ") for x in forged)]
                assert h2.outcome(h2.headers(*pairs)) == "200"
        else:
            answer = it.ask(GET.replace("\r\n\r\n", "\r\n" + "\r\n".join(forged) + "\r\n\r\n"))
            assert (answer.status, answer.headers.get("set-cookie")) == (200, "s=1" if expected else None)
            assert "x-tell" not in answer.headers
        (got,) = it.raw.since(mark)
        names = ("x-user", "x_user", "x.user", "x-role", "x_role", "x-group", "x-other")
        assert sorted(x for x in got.decode().split("\r\n") if x.partition(":")[0].lower() in names) == expected


NO = {
    "a status alone": (put(1, put(1, 7)), 403, {}, ""),
    "a status beside an empty no": (no(), 403, {}, ""),
    "a no with its words": (
        no(401, option("WWW-Authenticate", "Basic realm=x"), option("x-inner", "secret"), body="no"),
        401,
        {"www-authenticate": "Basic realm=x"},
        "no",
    ),
    "where one signs in": (
        no(302, option("location", "https://login.test/"), option("set-cookie", "csrf=1")),
        302,
        {"location": "https://login.test/", "set-cookie": "csrf=1"},
        "",
    ),
    "a no beside what a yes would say": (put(1, put(1, 16)) + put(3, b""), 403, {}, ""),
    "a no without a code": (put(2, put(1, put(1, 401))), 401, {}, ""),
}


@pytest.mark.parametrize("word", NO)
def test_a_no_goes_to_the_client_with_what_leads_it_further_and_nothing_else(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers, word: str
) -> None:
    said, status, fields, body = NO[word]
    it = Stage(edge, raw, pki, authorizer(said).port)
    answer = it.ask()
    assert (answer.status, answer.text, answer.headers["cache-control"]) == (status, body, "no-store")
    assert {name: answer.headers.get(name) for name in fields} == fields
    assert "x-inner" not in answer.headers and it.raw.received == b""
    line = it.line()
    assert (line["end"], line["ask"]["status"]) == ("ask/denied", status)  # type: ignore[index]


ODD: dict[str, tuple[bytes | grpc.StatusCode, str]] = {
    "its own failure": (grpc.StatusCode.INTERNAL, "answered gRPC status 13"),
    "not there": (grpc.StatusCode.UNAVAILABLE, "answered gRPC status 14"),
    "late by its own word": (grpc.StatusCode.DEADLINE_EXCEEDED, "answered gRPC status 4"),
    "nothing": (b"", "answered with neither a status nor a response"),
    "no message": (b"<html>", "answered what is no CheckResponse"),
    "a yes and a no": (put(1, b"") + put(2, b"") + put(3, b""), "answered with a yes and a no"),
    "a yes beside a no": (put(1, b"") + put(2, b""), "answered with a yes and a no"),
    "an error": (put(1, put(1, 13)) + put(5, put(1, put(1, 500))), "answered with an error_response"),
    "a no with a status of yes": (no(200), "answered a no with status 200"),
    "another status": (no(404), "answered 404"),
    "a redirect to nowhere": (no(302), "answered 302"),
    "two lines in a field": (yes(option("x-user", "a\r\nx-role: root")), "answered x-user, which is no field"),
    "another path": (yes(option(":path", "/admin")), "answered :path, which is no field"),
    "a field to be removed that goes on": (yes(removes=("authorization",)), "would have authorization removed"),
    "another query": (yes(more=put(7, put(1, "a"))), "would have another query"),
    "too long": (yes(option("x-user", "x" * 70_000)), "answered too long a message"),
    "too many fields": (yes(*[option("x-user", "1")] * 300), "answered with too many fields"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_that_is_neither_yes_nor_no_lets_nobody_pass(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers, odd: str
) -> None:
    """Nor where requests may pass unasked."""
    said, detail = ODD[odd]
    it = Stage(edge, raw, pki, authorizer(lambda _: said).port, f'takes = ["x-user"]\n{UNASKED}')
    answer = it.ask()
    assert (answer.status, "ask/unfit-answer" in answer.text) == (503, True), answer.text
    line = it.line()
    assert line["ask"]["verdict"] == "unfit" and detail in str(line["detail"])  # type: ignore[index]
    assert it.raw.received == b""


def test_a_compressed_answer_is_none(edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers) -> None:
    """Nobody said that it may be: no grpc-accept-encoding goes there."""
    who = authorizer(yes(option("x-user", "k" * 5000)), compression=grpc.Compression.Gzip)
    it = Stage(edge, raw, pki, who.port, 'takes = ["x-user"]')
    answer = it.ask()
    assert "grpc-accept-encoding" not in who.checks[0].metadata
    # A server that heeds that does not compress.
    if answer.status == 200:
        assert b"x-user: " + b"k" * 5000 in it.raw.received
    else:
        assert (answer.status, it.line()["detail"]) == (503, "answered a compressed message")


class Scripted:
    """Speaks HTTP/2 frame by frame: what gRPC's own servers never answer."""

    def __init__(self, *frames: bytes, closes: bool = False) -> None:
        self.frames, self.closes = frames, closes

    def __call__(self, sock: socket.socket, record: Record) -> None:
        sock.sendall(frame(4, 0, 0, b""))
        while not asked(bytes(record)):
            if not record.take(sock, 65536):
                return
        for it in self.frames:
            sock.sendall(it)
        if self.closes:
            sock.shutdown(socket.SHUT_WR)
        while record.take(sock, 65536):
            pass


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def asked(record: bytes) -> bool:
    """A whole request is there: its last DATA ended its stream."""
    at = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    while at + 9 <= len(record):
        length, kind, flags = int.from_bytes(record[at : at + 3], "big"), record[at + 3], record[at + 4]
        if kind == 0 and flags & 1 and at + 9 + length <= len(record):
            return True
        at += 9 + length
    return False


def literal(name: str, value: str) -> bytes:
    """A field of HPACK, written out."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


TYPE = literal("content-type", "application/grpc")
HEAD = frame(1, 4, 1, b"\x88" + TYPE)
ENDS, FAILS = literal("grpc-status", "0"), literal("grpc-status", "7")


def data(message: bytes, flags: int = 0, compressed: int = 0) -> bytes:
    return frame(0, flags, 1, bytes([compressed]) + len(message).to_bytes(4, "big") + message)


BROKEN = {
    "trailers alone that say OK": ((frame(1, 5, 1, b"\x88" + TYPE + ENDS),), "answered without a message"),
    "trailers alone": ((frame(1, 5, 1, b"\x88" + TYPE + FAILS),), "answered gRPC status 7"),
    "no status": ((HEAD, data(OK, flags=1)), "answered without a status of gRPC"),
    "a yes with a status that fails": ((HEAD, data(OK), frame(1, 5, 1, FAILS)), "answered gRPC status 7"),
    "compressed": ((HEAD, data(OK, compressed=1), frame(1, 5, 1, ENDS)), "answered a compressed message"),
    "two messages": ((HEAD, data(OK), data(OK), frame(1, 5, 1, ENDS)), "answered more than one message"),
    "half a message": ((HEAD, frame(0, 0, 1, b"\x00\x00\x00\x00\x02\x0a"), frame(1, 5, 1, ENDS)), "without a message"),
    "a length beyond its bound": ((HEAD, frame(0, 0, 1, b"\x00\x7f\xff\xff\xff")), "answered too long a message"),
    "no gRPC": (
        (frame(1, 4, 1, b"\x88" + literal("content-type", "text/html")), frame(0, 1, 1, OK)),
        "no answer of gRPC",
    ),
    "another status": ((frame(1, 5, 1, b"\x8d"),), "answered 404, which is no answer of gRPC"),
    "a reset": ((frame(3, 0, 1, b"\x00\x00\x00\x02"),), "hop/reset"),
    "frames that are none": ((frame(1, 4, 1, b"\xff\xff\xff\xff"),), "hop/bad-response"),
}


@pytest.mark.parametrize("tale", BROKEN)
def test_what_is_no_answer_of_grpc_lets_nobody_pass(edge: Edges, raw: Raws, pki: Pki, tale: str) -> None:
    frames, detail = BROKEN[tale]
    it = Stage(edge, raw, pki, raw(Scripted(*frames)).port, UNASKED)
    answer = it.ask()
    assert (answer.status, "ask/unfit-answer" in answer.text) == (503, True), answer.text
    assert detail in str(it.line()["detail"]) and it.raw.received == b""


def test_an_answer_byte_by_byte_is_one(edge: Edges, raw: Raws, pki: Pki) -> None:
    said = yes(option("x-user", "kim"))
    whole = bytes([0]) + len(said).to_bytes(4, "big") + said
    pieces = [frame(0, 0, 1, bytes([byte])) for byte in whole]
    it = Stage(edge, raw, pki, raw(Scripted(HEAD, *pieces, frame(1, 5, 1, ENDS))).port, 'takes = ["x-user"]')
    assert it.ask().status == 200
    assert b"x-user: kim\r\n" in it.raw.received


def test_a_slow_one_is_waited_for_no_longer_than_its_time_and_is_told_how_long_that_is(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers
) -> None:
    go = threading.Event()

    def says(_: Check) -> bytes:
        go.wait(20)
        return OK

    who = authorizer(says)
    it = Stage(edge, raw, pki, who.port, "deadline_ms = 700")
    answer = it.ask()
    go.set()
    assert (answer.status, "ask/late" in answer.text) == (503, True), answer.text
    # Where the machine is busy the question may have come too late to be read.
    assert all(check.left_s is not None and check.left_s <= 0.7 for check in who.checks)
    assert it.raw.received == b""


def test_nobody_there_is_503_or_passes_by_somebodys_word(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = Stage(edge, raw, pki, free_port())
    assert "ask/unreached" in it.ask().text and it.raw.received == b""
    it = Stage(edge, raw, pki, free_port(), UNASKED)
    assert it.ask().status == 200
    assert it.line()["ask"]["verdict"] == "passed-unasked"  # type: ignore[index]


def test_one_that_does_not_prove_who_it_is_hears_nothing(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers
) -> None:
    who = authorizer(OK, pki.other)
    it = Stage(edge, raw, pki, who.port, tls_to="reencrypt")
    assert "ask/unreached" in it.ask().text
    assert (who.methods, it.raw.received) == ([], b"")


def test_one_that_speaks_no_http2_hears_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    who = raw(answering(ANSWER), pki.backend, alpn=["http/1.1"])
    it = Stage(edge, raw, pki, who.port, tls_to="reencrypt")
    assert "ask/unreached" in it.ask().text
    assert (who.received, it.raw.received) == (b"", b"")


def test_many_are_asked_about_over_one_connection(edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers) -> None:
    who = authorizer(lambda check: yes(option("x-path", check.path)), pki.backend)
    it = Stage(edge, raw, pki, who.port, 'takes = ["x-path"]', tls_to="reencrypt")
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        for i in range(50):
            assert exchange(sock, GET.replace("/ ", f"/{i} ")).status == 200
            assert f"x-path: /{i}\r\n".encode() in it.raw.received
    assert len(who.checks) == 50


def test_one_that_came_back_is_asked_again(edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers) -> None:
    """A connection that died of age costs no request anything."""
    who = raw(Scripted(HEAD, data(OK), frame(1, 5, 1, ENDS), closes=True))
    it = Stage(edge, raw, pki, who.port)
    assert [it.ask().status for _ in range(3)] == [200, 200, 200]
    assert len(who.records) == 3


def test_a_client_that_leaves_while_somebody_is_asked_sends_nothing_on(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers
) -> None:
    go = threading.Event()

    def says(_: Check) -> bytes:
        go.wait(20)
        return OK

    who = authorizer(says)
    it = Stage(edge, raw, pki, who.port, "deadline_ms = 20000")
    sock = tls(it.edge.port, "a.test", pki.public.file)
    sock.sendall(GET.encode())
    until(lambda: len(who.checks) == 1 or None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    sock.close()
    line = it.edge.line(lambda line: line["route"] == "r")
    go.set()
    assert (line["end"], line["ask"]["verdict"]) == ("request/client-gone", "client-left")
    assert it.ask().status == 200, "and the next is asked about over the same connection"
    assert it.raw.received.count(b"GET / ") == 1


def test_a_trace_has_the_question_as_a_span_that_the_authorizer_is_told_of(
    edge: Edges, raw: Raws, pki: Pki, authorizer: Authorizers
) -> None:
    who, to = authorizer(), Collector()
    traces = (
        f'[[collector]]\nname = "otel"\nto = ["127.0.0.1:{to.port}"]\ntls = "plaintext"\n'
        '[traces]\ncollector = "otel"\nratio = 1.0\n'
    )
    try:
        it = edge(block(who.port) + route(raw(answering(ANSWER)).port) + traces)
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET.replace("/ ", "/yes ")).status == 200
        server, *spans = to.whole(3, **{"url.path": "/yes"})
        question = min(spans, key=lambda span: span.began_ns)
        assert (question.said["everyhop.verdict"], question.failed) == ("passed", False)
        assert who.checks[0].metadata["traceparent"] == f"00-{server.trace}-{question.id}-01"
    finally:
        to.close()
