"""HTTP/1.1: strict in, written afresh out. Judged at the recording backend as well as at the client."""

from __future__ import annotations

import os
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.raw import OK, Record, answering, head, rest
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def route(port: int, more: str = "", name: str = "r", host: str = "a.test") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def get(path: str = "/", more: str = "", host: str = "a.test") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


def fields(request: bytes) -> dict[str, str]:
    lines = request.decode().split("\r\n")[1:]
    return {k.lower(): v for k, v in (line.split(": ", 1) for line in lines if line)}


REFUSED = [
    ("bare-lf", b"GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400),
    ("space-before-colon", b"GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", 400),
    ("fold", b"GET / HTTP/1.1\r\nHost: a.test\r\nA: b\r\n c\r\n\r\n", 400),
    (
        "cl-te",
        b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("two-cl", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("te-other", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("two-hosts", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", 400),
    ("no-host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("bad-host", b"GET / HTTP/1.1\r\nHost: a test\r\n\r\n", 400),
    ("userinfo", b"GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", 400),
    ("version", b"GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 505),
    ("connect", b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ("asterisk", b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("dots", b"GET /../adm HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("encoded-dots", b"GET /%2e%2e/adm HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("matrix", b"GET /..;/adm HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("encoded-slash", b"GET /a/..%2f../b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("expect", b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417),
    ("long-target", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n", 414),
    ("many-fields", b"GET / HTTP/1.1\r\nHost: a.test\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    ("long-head", b"GET / HTTP/1.1\r\nHost: a.test\r\nA: " + b"b" * 40_000 + b"\r\n\r\n", 431),
    ("two-authorizations", b"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
    ("bad-chunk", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
]


@pytest.fixture(scope="module")
def shared(pki: Pki) -> object:
    """One edge and backend for all that is refused before a backend is asked."""
    backend = Raw(answering(OK))
    kit = EdgeKit(pki, route(backend.port))
    yield kit, backend
    kit.close()
    backend.close()


@pytest.mark.parametrize(("request_", "status"), [(r, s) for _, r, s in REFUSED], ids=[n for n, _, _ in REFUSED])
def test_what_is_ambiguous_is_refused_and_never_reaches_the_backend(
    shared: tuple[EdgeKit, Raw], pki: Pki, request_: bytes, status: int
) -> None:
    """H01 to H06, H09, R01, R03."""
    it, backend = shared
    before = len(backend.received)
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, request_)
        assert answer.status == status, answer.text
        assert "reason: " in answer.text and answer.headers["proxy-status"].startswith("everyhop; error=")
        if "bad-chunk" not in str(request_):
            settle(it, backend)
            assert len(backend.received) == before or b"0x1" in request_
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get()).status == 200, "the next one is served"


def test_a_connection_serves_many_requests_also_pipelined_and_byte_by_byte(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(3):
            assert exchange(sock, get()).body == b"ok"
        sock.sendall((get("/1") + get("/2") + get("/3")).encode())
        for _ in range(3):
            assert read_answer(sock).status == 200
        for byte in get("/slow").encode():
            sock.sendall(bytes([byte]))
        assert read_answer(sock).status == 200
    assert [r.split()[1] for r in backend.received.split(b"\r\n\r\n") if r][-4:] == [b"/1", b"/2", b"/3", b"/slow"]
    assert len(backend.records) == 1, "one backend connection served them all"


def test_bodies_of_every_framing_pass_both_ways(edge: Edges, raw: Raws, pki: Pki) -> None:
    big = os.urandom(300_000)

    def script(sock: socket.socket, record: bytearray) -> None:
        while (request := head(sock, record)) is not None:
            if b"chunked" in request:
                body = bytearray()
                while True:
                    size_line = bytearray()
                    while not size_line.endswith(b"\r\n"):
                        size_line += rest(sock, record, 1)
                    size = int(size_line, 16)
                    body += rest(sock, record, size)
                    rest(sock, record, 2) if size else None
                    if not size:
                        trailer = bytearray()
                        while not (trailer.endswith(b"\r\n\r\n") or trailer == b"\r\n"):
                            trailer += rest(sock, record, 1)
                        break
                assert body == big
                chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (big[:7], big[7:100_000], big[100_000:]))
                sock.sendall(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunks
                    + b"0\r\nX-Sum: 1\r\nHost: bad\r\n\r\n"
                )
            elif b"/close" in request:
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + big)
                return
            else:
                assert rest(sock, record, len(big)) == big
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(big), big))

    backend = raw(script)
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (len(big), big))
        assert answer.body == big and answer.headers["content-length"] == str(len(big))
        chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(c), c) for c in (big[:1], big[1:200_000], big[200_000:]))
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks
            + b"0\r\nX-T: 1\r\nAuthorization: no\r\n\r\n"
        )
        answer = read_answer(sock)
        assert answer.body == big and answer.headers["transfer-encoding"] == "chunked"
        assert exchange(sock, get("/close")).body == big
    seen = backend.received
    assert b"ext=1" not in seen and b"x-t: 1" in seen.lower() and b"Authorization" not in seen


def test_answers_without_a_body_leave_the_connection_right(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H08."""

    def script(sock: socket.socket, record: bytearray) -> None:
        while (request := head(sock, record)) is not None:
            path = request.split()[1]
            if request.startswith(b"HEAD"):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            elif path == b"/204":
                sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            elif path == b"/304":
                sock.sendall(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
            elif path == b"/hints":
                sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK)
            else:
                sock.sendall(OK)

    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HEAD")
        assert answer.headers["content-length"] == "5000" and answer.body == b""
        assert exchange(sock, get("/204")).status == 204
        assert exchange(sock, get("/304")).status == 304
        sock.sendall(get("/hints").encode())
        early = sock.recv(4096)
        assert early.startswith(b"HTTP/1.1 103 Early Hints\r\n") and b"Link: </x>" in early
        if b"200 OK" not in early:
            assert read_answer(sock).status == 200
        assert exchange(sock, get("/after")).status == 200


def test_expect_is_passed_on_and_answered_by_the_backend(edge: Edges, raw: Raws, pki: Pki) -> None:
    def script(sock: socket.socket, record: bytearray) -> None:
        request = head(sock, record)
        assert request is not None and fields(request)["expect"] == "100-continue"
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        rest(sock, record, 5)
        sock.sendall(OK)

    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert read_answer(sock).status == 200


def test_an_answer_before_the_whole_request_does_not_confuse_the_next(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H07."""
    backend = raw(answering(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"))
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        assert read_answer(sock).status == 413
        assert sock.recv(1) == b"", "the rest is not waited for"
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get()).status == 413
    assert len(backend.records) == 2, "the unfinished connection was not used again"


def test_streams_flow_both_ways_before_either_ends(edge: Edges, raw: Raws, pki: Pki) -> None:
    gate = threading.Event()

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        gate.wait(10)
        sock.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(get().encode())
        got = b""
        while b"first" not in got:
            got += sock.recv(4096)
        assert b"second" not in got
        gate.set()
        while b"second" not in got:
            got += sock.recv(4096)


def test_hosts_and_paths_lead_where_they_should(edge: Edges, raw: Raws, pki: Pki) -> None:
    """R02, R04; 421 by RFC 9110 section 15.5.20."""
    one, two, three = (raw(answering(OK.replace(b"ok", name))) for name in (b"1.", b"2.", b"3."))
    more = route(two.port, 'path = "/v2"', "v2") + route(three.port, 'path_exact = "/v2/x"\nmethod = "POST"', "x")
    it = edge(
        route(one.port)
        + more
        + route(one.port, name="wild", host="*.w.test")
        + '[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:9"]\n'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        for path, body in (
            ("/", b"1."),
            ("/v2", b"2."),
            ("/v2/", b"2."),
            ("/v2example", b"1."),
            ("/v2/x", b"2."),
        ):
            assert exchange(sock, get(path)).body == body, path
    with tls(it.port, "a.test", pki.public.file) as sock:
        # It goes on as it came, and to a backend that decodes nothing it is no path of `v2`.
        assert exchange(sock, get("/%76%32/y")).status == 400
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "POST /v2/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n").body == b"3."
        assert exchange(sock, get("http://a.test/v2")).body == b"2.", "an absolute target's authority wins"
        assert exchange(sock, get(host="deep.w.test")).status == 200
        assert exchange(sock, get(host="b.test")).status == 404
        for host in ("pass.test", "nowhere.test", "w.test"):
            assert exchange(sock, get(host=host)).status == 421, host


def test_only_the_edge_says_who_the_client_is(edge: Edges, raw: Raws, pki: Pki) -> None:
    """X01, X02, H10."""
    backend = raw(answering(OK))
    it = edge(route(backend.port))
    forged = (
        "X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX.Real.IP: 6.6.6.6\r\nClient-Cert: :x:\r\n"
        "X-SSL-Client-Verify: SUCCESS\r\nX-Forwarded-Client-Cert: x\r\nX-Request-Id: mine\r\nKeep-Alive: 5\r\nTE: gzip\r\n"
        "Connection: X-Forwarded-For, X-Real-IP, Host, Authorization, X-Kept\r\nX-Kept: no\r\nX-Other: yes\r\n"
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get(more=forged)).status == 200
    given = fields(backend.received)
    assert "6.6.6.6" not in backend.received.decode()
    assert given["x-forwarded-for"] == given["x-real-ip"] == "127.0.0.1"
    assert given["x-forwarded-proto"] == "https" and given["x-forwarded-host"] == "a.test"
    assert given["forwarded"] == 'for=127.0.0.1;proto=https;host="a.test"'
    assert given["host"] == "a.test" and given["x-other"] == "yes"
    for name in (
        "x_forwarded_for",
        "x.real.ip",
        "client-cert",
        "x-ssl-client-verify",
        "x-forwarded-client-cert",
        "keep-alive",
        "te",
        "x-kept",
        "connection",
    ):
        assert name not in given, name
    assert given["x-request-id"] == it.line(lambda x: x["route"] == "r")["id"]


def test_a_trusted_proxy_is_believed_up_to_the_first_stranger(edge: Edges, raw: Raws, pki: Pki) -> None:
    """X01."""
    backend = raw(answering(OK))
    it = edge(route(backend.port), listener='trusted_proxies = ["127.0.0.0/8", "10.1.0.0/16"]')
    with tls(it.port, "a.test", pki.public.file) as sock:
        exchange(sock, get(more="X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-For: 10.1.2.3\r\n"))
        exchange(sock, get(more="X-Forwarded-For: 203.0.113.9, nonsense\r\n"))
    first, second = (fields(r + b"\r\n") for r in backend.received.split(b"\r\n\r\n")[:2])
    assert first["x-forwarded-for"] == "203.0.113.9, 10.1.2.3, 127.0.0.1" and first["x-real-ip"] == "203.0.113.9"
    assert second["x-forwarded-for"] == "127.0.0.1"


def test_a_stale_pooled_connection_is_not_the_clients_problem(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U03."""

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(OK)
        head(sock, record)  # the next request gets no answer

    backend = raw(script)
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get("/1")).status == 200
        assert exchange(sock, get("/2")).status == 200, "sent again on a fresh connection"
        answer = exchange(sock, "POST /3 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
        assert answer.status == 502 and "hop/closed" in answer.text, "a POST is never sent twice"
    assert backend.received.count(b"POST /3") == 1


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "hop/bad-response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "hop/bad-response"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "hop/bad-response"),
        (b"HTTP/1.1 99 x\r\n\r\n", "hop/bad-response"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hop/bad-response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n", "hop/bad-response"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 17, "hop/too-many-informational"),
        (b"", "hop/closed"),
    ],
    ids=["cl-te", "two-cl", "bare-lf", "status-99", "h2-preface", "other-upgrade", "1xx-flood", "nothing"],
)
def test_a_backend_that_answers_wrongly_is_a_bad_gateway(
    edge: Edges, raw: Raws, pki: Pki, answer: bytes, slug: str
) -> None:
    """U02, H08, H09."""

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(answer)

    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(get().encode())
        got = read_answer(sock)
        assert got.status == 502 and slug in got.text
    assert it.line(lambda x: x["end"] == slug)


@pytest.mark.parametrize(
    "start",
    [b"Content-Length: 100\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"],
    ids=["length", "chunked"],
)
def test_a_short_answer_never_becomes_a_complete_one(edge: Edges, raw: Raws, pki: Pki, start: bytes) -> None:
    """U01."""

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + start)

    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(get().encode())
        got = b""
        with pytest.raises(OSError):
            while data := sock.recv(4096):
                got += data
            raise OSError("ended")
        body = got.partition(b"\r\n\r\n")[2]
        assert b"short".startswith(body) if b"content-length: 100" in got else not body.endswith(b"0\r\n\r\n")
    assert it.line(lambda x: x["end"] == "hop/truncated")["status"] == 200


def test_websocket_becomes_a_tunnel_only_after_101(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H09."""
    key = b64encode(b"0123456789abcdef").decode()
    accept = b64encode(sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()

    def script(sock: socket.socket, record: bytearray) -> None:
        while (request := head(sock, record)) is not None:
            given = fields(request)
            if given.get("upgrade") != "websocket":
                sock.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
                continue
            sock.sendall(
                f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\nhi".encode()
            )
            while data := sock.recv(4096):
                record += data
                sock.sendall(data.upper())

    backend = raw(script)
    it = edge(route(backend.port) + route(backend.port, "websocket = false", "no", "b.test"))
    upgrade = f"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall((get("/ws", upgrade) + "early").encode())
        got = b""
        while not got.endswith(b"hiEARLY"):
            got += sock.recv(4096)
        assert got.startswith(b"HTTP/1.1 101 ") and accept.encode() in got
        sock.sendall(b"more")
        assert sock.recv(100) == b"MORE"
    line = it.line(lambda x: x["status"] == 101)
    assert (line["bytes_in"], line["bytes_out"], line["end"]) == (9, 11, "done"), "the tunnel is observed at its end"
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert (
            exchange(
                sock,
                get(
                    "/up", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                ),
            ).status
            == 426
        )
        assert b"Upgrade: h2c" not in backend.received and b"HTTP2-Settings" not in backend.received
    with tls(it.port, "a.test", pki.public.file) as sock:
        # Some say by a length of 0 that their handshake has no body.
        sock.sendall(get("/ws", upgrade + "Content-Length: 0\r\n").encode())
        assert read_answer(sock).status == 101
    assert b"content-length" not in bytes(backend.records[-1]).lower()
    for to in ("tcp", "SPDY/3.1", "websocket, tcp"):
        before = backend.received
        with tls(it.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, get("/exec", f"Upgrade: {to}\r\nConnection: Upgrade\r\n"))
            assert answer.status == 400 and "request/upgrade-refused" in answer.text, to
        settle(it, backend)
        assert backend.received == before, "without its upgrade it would be another request"
    with tls(it.port, "b.test", pki.public.file) as sock:
        answer = exchange(sock, get("/ws", upgrade, "b.test"))
        assert answer.status == 400 and "request/upgrade-refused" in answer.text
    line = it.line(lambda x: x["end"] == "request/upgrade-refused" and x["host"] == "b.test")
    assert line["route"] is not None and line["status"] == 400, "a route that takes no upgrade says so of itself"


def test_a_route_has_the_patience_that_it_says(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H11, F05. An answer may be silent for longer where its route says so; the file's limit goes on for the others."""
    go_on = threading.Event()

    def script(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        go_on.wait(60)
        sock.sendall(b"k")

    backend = raw(script)
    patient = "limits = { answer_silence_s = 600 }"
    it = edge(
        route(backend.port) + route(backend.port, patient, "patient", "b.test"), more="[limits]\nanswer_silence_s = 1\n"
    )
    with tls(it.port, "a.test", pki.public.file) as hasty, tls(it.port, "b.test", pki.public.file) as calm:
        calm.sendall(get("/", host="b.test").encode())
        hasty.sendall(get().encode())
        assert it.line(lambda x: x["host"] == "a.test")["end"] == "hop/body-too-slow"
        go_on.set()
        assert read_answer(calm).body == b"ok"


LIMITS = "[limits]\nhead_s = 1\nbody_progress_s = 1\nanswer_silence_s = 1\nfirst_byte_s = 1\nidle_s = 1\nconnect_s = 1\nhandshake_s = 1\n"


def test_nobody_holds_what_they_do_not_use(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H11, U03."""

    def silent(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        rest(sock, record, 1000)

    def stalls(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        rest(sock, record, 1000)

    it = edge(route(raw(silent).port) + route(raw(stalls).port, 'path = "/stall"', "stall"), more=LIMITS)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        assert sock.recv(1) == b"", "slow hello"
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"GET / HT")
        assert read_answer(sock).status == 408, "slow head"
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert sock.recv(1) == b"", "idle"
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nx")
        assert answer.status == 408 and "request/body-too-slow" in answer.text
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, get())
        assert answer.status == 504 and "hop/first-byte-timeout" in answer.text
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(get("/stall").encode())
        with pytest.raises(OSError):
            while sock.recv(4096):
                pass
            raise OSError("ended")
    assert it.line(lambda x: x["end"] == "hop/body-too-slow")


def test_a_client_that_leaves_ends_the_work_for_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    left = threading.Event()

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        try:
            if sock.recv(1) == b"":
                left.set()
        except ConnectionResetError:
            left.set()

    it = edge(route(raw(script).port), more="[limits]\nhalf_closed_s = 1\n")
    sock = tls(it.port, "a.test", pki.public.file)
    sock.sendall(get().encode())
    until(lambda: it.status()["connections"] or None)
    sock.close()
    assert left.wait(10)
    assert it.line(lambda x: x["end"] == "request/client-gone")["status"] == 499


def test_a_log_line_is_one_json_object_and_holds_no_secrets(edge: Edges, raw: Raws, pki: Pki) -> None:
    """G01, G02."""
    it = edge(route(raw(answering(OK)).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        exchange(sock, get("/p%22%5D?token=secret1", "Authorization: Bearer secret2\r\nCookie: s=secret3\r\n"))
    line = it.line(lambda x: x["route"] == "r")
    assert line["path"] == "/p%22%5D" and line["host"] == "a.test" and line["method"] == "GET"
    assert line["plan"] and line["material"] and line["bytes_out"] == 2
    assert "secret" not in it.log.read_text()
