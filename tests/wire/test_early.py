"""A final answer before the request's end reaches the client, whatever it does with the rest of its upload, and costs the
edge a bounded time. F04, RFC 9112 §9.6, RFC 9113 §8.1."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.raw import OK, answering, head
from tests.threats.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    fields,
    frame,
    window,
)
from tests.threats.test_windows import slowly

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Before = Callable[[socket.socket], None]

SIZE = 30_000_000
NO = b"HTTP/1.1 413 Far Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch"
ROUTES = """
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
[[route]]
name = "nobody"
host = "b.test"
path = "/there"
tls = "plaintext"
to = ["127.0.0.1:{nobody}"]
"""


def left(sock: socket.socket) -> None:
    """Until the other side is gone; nothing is read of what it sends."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll(20_000)


def read_all(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 16):
            pass


def half(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    read_all(sock)


AFTER: dict[str, Before] = {
    "reads nothing more and stays": left,
    "closes over what was not read": lambda sock: None,
    "ends its direction and reads on": half,
    "reads everything": read_all,
}


def says_no(after: Before, answer: bytes = NO) -> Callable[[socket.socket, bytearray], None]:
    def script(sock: socket.socket, record: bytearray) -> None:
        if head(sock, record) is not None:
            sock.sendall(answer)
            after(sock)

    return script


def put(host: str = "a.test", path: str = "/", size: int = SIZE, more: str = "") -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n{more}\r\n".encode()


def sends_first(sock: ssl.SSLSocket, request: bytes, size: int = SIZE, read_on: bool = False) -> int:
    """As many libraries do: nothing is read before everything is sent. `read_on`: a backend reads it all the same."""
    sock.sendall(request)
    piece = bytes(1 << 20)
    for at in range(0, size, len(piece)):
        sock.sendall(piece[: min(len(piece), size - at)])
    answer = read_answer(sock, "PUT")
    if answer.headers.get("connection") != "close":
        assert read_on, "the rest of the request is read by nobody"
        # A backend that reads on may have taken all of it before its answer was looked at.
        assert exchange(sock, request.replace(f": {size}".encode(), b": 0"), "PUT").status == answer.status
    return answer.status


@pytest.mark.parametrize("after", AFTER)
def test_who_sends_everything_first_reads_the_answer(edge: Edges, raw: Raws, pki: Pki, after: str) -> None:
    it = edge(ROUTES.format(port=raw(says_no(AFTER[after])).port, nobody=free_port()))
    for _ in range(3):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert sends_first(sock, put(), read_on=AFTER[after] in (half, read_all)) == 413


def test_refusals_of_the_edge_itself_are_read_by_who_sends_everything_first(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(ROUTES.format(port=raw(answering(OK)).port, nobody=free_port()))
    for path, status in [("/there", 502), ("/elsewhere", 404), ("/%2e%2e/", 400)]:
        with tls(it.port, "b.test", pki.public.file) as sock:
            assert sends_first(sock, put("b.test", path)) == status


@pytest.mark.parametrize("path", ["/there", "/elsewhere"])
def test_a_refusal_does_not_wait_for_the_upload(edge: Edges, raw: Raws, pki: Pki, path: str) -> None:
    """Whatever its length, declared or not: no byte of the body is there yet."""
    it = edge(ROUTES.format(port=raw(answering(OK)).port, nobody=free_port()))
    chunked = f"PUT {path} HTTP/1.1\r\nHost: b.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    for request in (put("b.test", path), put("b.test", path, 100), chunked):
        with tls(it.port, "b.test", pki.public.file) as sock:
            began = time.monotonic()
            assert exchange(sock, request, "PUT").status in (404, 502)
            assert time.monotonic() - began < 0.9, "it was waited for"


def test_a_short_rest_is_read_and_the_connection_goes_on(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(ROUTES.format(port=raw(answering(OK)).port, nobody=free_port()))
    with tls(it.port, "b.test", pki.public.file) as sock:
        answer = exchange(sock, put("b.test", "/elsewhere", 100), "PUT")
        assert answer.status == 404 and "connection" not in answer.headers
        sock.sendall(bytes(100))
        assert exchange(sock, put("b.test", "/elsewhere", 0), "PUT").status == 404


def test_what_is_sent_behind_the_last_answer_is_bounded_in_time_and_bytes(edge: Edges, raw: Raws, pki: Pki) -> None:
    port = raw(says_no(left)).port
    routes = ROUTES.format(port=port, nobody=free_port())
    it = edge(routes, more="[limits]\nlinger_s = 2\n")
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, put(), "PUT").status == 413
        assert it.status()["connections"] == 1
        began = time.monotonic()
        with pytest.raises(OSError):
            # It moves on all the time, and so is never silent.
            while time.monotonic() - began < 30:
                sock.sendall(bytes(100))
                time.sleep(0.05)
        assert 1 < time.monotonic() - began < 15
    it = edge(routes, more="[limits]\nlinger_bytes = 1_000_000\n")
    with tls(it.port, "a.test", pki.public.file) as sock, pytest.raises(OSError):
        sock.sendall(put())
        for _ in range(SIZE // 1000):
            sock.sendall(bytes(1000))


def test_who_is_silent_behind_the_last_answer_is_not_waited_for_long(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(ROUTES.format(port=raw(says_no(left)).port, nobody=free_port()))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, put(), "PUT").status == 413
        began = time.monotonic()
        until(lambda: it.status()["connections"] == 0 or None, 20)
        assert time.monotonic() - began < 15


def test_a_long_error_page_reaches_who_sends_everything_first(edge: Edges, raw: Raws, pki: Pki) -> None:
    """The backend takes nothing more; what the client sends meanwhile must not stand in the way of what it will read."""
    page = bytes(16_000_000)
    answer = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page)

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(answer + page)
        left(sock)

    it = edge(ROUTES.format(port=raw(script).port, nobody=free_port()))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert sends_first(sock, put()) == 413


# HTTP/2


def upload(it: EdgeKit, pki: Pki, host: str = "a.test", path: bytes = b"/", far: bool = False) -> Client:
    sock = (
        opened(until(lambda: slowly(it.port, pki, host))) if far else tls(it.port, host, pki.public.file, alpn=["h2"])
    )
    sock.settimeout(20)
    client = Client(sock)
    block = fields(host, (b"content-length", str(SIZE).encode()), method=b"PUT", path=path)
    client.send(frame(HEADERS, block, flags=END_HEADERS, stream=1))
    return client


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@pytest.mark.parametrize("path", [b"/", b"/there", b"/elsewhere"])
def test_over_http2_the_whole_upload_may_come_before_the_answer_is_read(
    edge: Edges, raw: Raws, pki: Pki, path: bytes, far: bool
) -> None:
    """Some clients stop reading answers while they wait for room to send, and take a reset for an error: they get room."""
    it = edge(ROUTES.format(port=raw(says_no(left)).port, nobody=free_port()), more="[limits]\nlinger_s = 120\n")
    client = upload(it, pki, "a.test" if path == b"/" else "b.test", path, far)
    room, of_streams = {0: 65535, 1: 65535}, 65535
    sent = 0
    while sent < SIZE:
        if (n := min(16384, SIZE - sent, *room.values())) > 0:
            sent += n
            for at in room:
                room[at] -= n
            client.send(frame(DATA, bytes(n), flags=END_STREAM if sent == SIZE else 0, stream=1))
            continue
        for kind, flags, stream, body in client.read():
            if kind == WINDOW_UPDATE:
                room[stream] += int.from_bytes(body, "big")
                break
            # Who took long to shake hands, also where the machine is busy, seems far away and may send more ahead.
            if kind == SETTINGS and not flags & ACK and (told := window(body)) is not None:
                room[1] += told - of_streams
                of_streams = told
                break
        assert not client.resets and not client.closed, f"{client.resets} after {sent} bytes"
    assert client.whole(1) in {"413", "502", "404"} and not client.resets


def test_over_http2_an_answer_comes_before_the_reset_that_tells_to_stop(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(ROUTES.format(port=raw(says_no(left)).port, nobody=free_port()), more="[limits]\nlinger_s = 1\n")
    client = upload(it, pki)
    for _ in client.read():
        if client.resets:
            break
    assert (client.statuses[1], client.bodies[1], client.ended) == ("413", b"much", {1})
    assert client.resets == {1: 0}, "NO_ERROR"
    assert client.ask(3, fields("b.test", path=b"/elsewhere")) in {"404", "421"}, "the connection goes on"


# Real clients

NODE = """
const https = require("https"), fs = require("fs")
const [url, ca, how] = process.argv.slice(2), body = Buffer.alloc(SIZE)
process.env.NODE_EXTRA_CA_CERTS || process.exit(9)
if (how === "fetch") {
  fetch(url, { method: "PUT", body }).then(r => console.log(r.status), e => { console.log(e.cause || e); process.exit(1) })
} else {
  const lookup = (h, o, done) => o.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)
  const asked = https.request(url, { method: "PUT", lookup, headers: { "Content-Length": body.length } }, r => {
    console.log(r.statusCode); r.resume(); r.on("end", () => process.exit(0))
  })
  asked.on("error", e => { console.log(e); process.exit(1) })
  asked.end(body)
}
""".replace("SIZE", str(SIZE))


def spoken(command: list[str], **env: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **env})
    return done.stdout + done.stderr


@pytest.fixture
def no(edge: Edges, raw: Raws, pki: Pki) -> EdgeKit:
    """Answers every upload to `a.test` at once, and is not there for `b.test`."""
    return edge(ROUTES.format(port=raw(says_no(left)).port, nobody=free_port()))


URLS = {"413": ("a.test", "/"), "502": ("b.test", "/there"), "404": ("b.test", "/elsewhere")}


@pytest.mark.parametrize("status", URLS)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_reads_it(no: EdgeKit, tmp_path: Path, version: str, status: str) -> None:
    host, path = URLS[status]
    body = tmp_path / "body"
    body.write_bytes(bytes(SIZE))
    for expects in ("Expect:", "Expect: 100-continue"):
        command = ["curl", "-sS", "--max-time", "50", version, "--cacert", str(no.pki.public.file), "-T", str(body)]
        command += ["-H", expects, "-o", os.devnull, "-w", "%{http_code}", "--resolve", f"{host}:{no.port}:127.0.0.1"]
        assert spoken([*command, f"https://{host}:{no.port}{path}"]) == status


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
@pytest.mark.parametrize("how", ["http", "fetch"])
def test_node_reads_it(no: EdgeKit, pki: Pki, raw: Raws, edge: Edges, tmp_path: Path, how: str) -> None:
    script = tmp_path / "put.js"
    script.write_text(NODE)
    if how == "fetch":
        # It cannot be told another address for a name.
        local = pki.public.leaf("local", "localhost")
        port = raw(says_no(left)).port
        site = f'[[site]]\nname = "local"\nhosts = ["localhost"]\ncerts = [{{ chain = "{local.chain}", key = "file:{local.key}" }}]\n'
        route = (
            f'[[route]]\nname = "l"\nhost = "localhost"\npath = "/413"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        )
        no = edge(site + route)
        wanted = {"413": ("localhost", "/413"), "404": ("localhost", "/elsewhere")}
    else:
        wanted = URLS
    for status, (host, path) in wanted.items():
        url, ca = f"https://{host}:{no.port}{path}", str(pki.public.file)
        assert spoken(["node", str(script), url, ca, how], NODE_EXTRA_CA_CERTS=ca).strip() == status
