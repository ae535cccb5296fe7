"""No client holds what it did not pay for: each state that a connection can stay in has a deadline or a budget, another
client is served meanwhile, and afterwards nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, hello_bytes, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering, head, take
from tests.threats.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    fields,
    frame,
    literal,
)
from tests.threats.ground import HOSTS, TERMINATING, Ground, response, watched
from tests.threats.measure import cpu_s, descriptors, engine_pid, established, rss_kib

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

LIMITS = """[limits]
handshake_s = 1
head_s = 1
body_progress_s = 1
answer_silence_s = 1
idle_s = 1
first_byte_s = 2
tunnel_idle_s = 1
max_age_s = 3
"""
ROUTES = """
[[route]]
name = "plain"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plain}"]
websocket = true
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{passed}"]
"""
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
PATIENCE_S = 20
"""Far above each limit above: a busy machine is late, and only what never ends is wrong."""


def pouring(sock: socket.socket, record: bytearray) -> None:
    """`/big` gets an answer without end, `/ws` an upgrade that echoes, a POST none, the rest `ok`."""
    while (request := head(sock, record)) is not None:
        if request.startswith(b"GET /big"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
            while True:
                sock.sendall(b"x" * 65536)
        if request.startswith(b"GET /ws"):
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            return echoing(sock, record)
        if request.startswith(b"POST"):
            return swallowing(sock, record)
        sock.sendall(OK)


def swallowing(sock: socket.socket, record: bytearray) -> None:
    while data := sock.recv(65536):
        record += data


def echoing(sock: socket.socket, record: bytearray) -> None:
    while data := sock.recv(65536):
        record += data
        sock.sendall(data)


@dataclass
class Tight:
    """An edge whose limits are a second each."""

    edge: EdgeKit
    pki: Pki

    def connect(self, host: str = "a.test", alpn: list[str] | None = None) -> ssl.SSLSocket:
        sock = tls(self.edge.port, host, self.pki.public.file, alpn=alpn)
        sock.settimeout(PATIENCE_S)
        return sock

    def raw(self) -> socket.socket:
        return opened(socket.create_connection(("127.0.0.1", self.edge.port), PATIENCE_S))

    def clean(self) -> None:
        with self.connect() as sock:
            assert exchange(sock, GET).status == 200

    def ended(self, slug: str) -> int:
        """How often that was the end, of a connection or a request."""
        status = self.edge.status()
        routes: int = sum(r["refused"].get(slug, 0) for r in status["routes"])
        elsewhere: int = status["refused"].get(slug, 0)
        return routes + elsewhere

    def is_empty(self) -> bool:
        return bool(self.edge.status()["connections"] == 0)


@pytest.fixture(scope="module")
def tight(pki: Pki) -> Iterator[Tight]:
    plain, passed = Raw(pouring), Raw(echoing, pki.pass_leaf)
    it = EdgeKit(pki, ROUTES.format(plain=plain.port, passed=passed.port), more=LIMITS)
    yield Tight(it, pki)
    it.close()
    plain.close()
    passed.close()


def drip(sock: socket.socket, data: bytes) -> bytes:
    """Sends a byte every tenth of a second until the other side ends it; gives what it said."""
    said = b""
    sock.settimeout(0.1)
    for at in range(len(data)):
        with contextlib.suppress(OSError):
            sock.sendall(data[at : at + 1])
        try:
            more = sock.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return said
        if not more:
            return said
        said += more
    raise AssertionError("all of it was taken: nobody held it to a deadline")


def closes(sock: socket.socket) -> bytes:
    """Reads to the end, which must come; gives what came before."""
    said = b""
    sock.settimeout(PATIENCE_S)
    try:
        while more := sock.recv(65536):
            said += more
    except TimeoutError:
        raise AssertionError("it was not closed") from None
    except OSError:
        pass
    return said


def breaks(act: Callable[[], None]) -> None:
    """Acts again and again until the connection breaks; that the other side takes nothing more is no break."""
    try:
        while True:
            act()
    except TimeoutError:
        raise AssertionError("it stands and is not closed") from None
    except OSError:
        pass


def slow_hello(it: Tight, host: str) -> None:
    with it.raw() as sock:
        assert drip(sock, hello_bytes(host)) == b""


def half_open(it: Tight) -> None:
    with it.raw() as sock:
        sock.sendall(hello_bytes("a.test"))
        said = closes(sock)
        assert said.startswith(b"\x16\x03\x03"), "we had answered, and then it was the client's turn"


def slow_head(it: Tight) -> None:
    with it.connect() as sock:
        assert drip(sock, b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Long: " + b"x" * 300).startswith(b"HTTP/1.1 408 ")


def slow_body(it: Tight) -> None:
    with it.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nx")
        said = closes(sock)
        assert said.startswith(b"HTTP/1.1 408 ") and b"request/body-too-slow" in said, said


def slow_chunks(it: Tight) -> None:
    with it.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        assert closes(sock).startswith(b"HTTP/1.1 408 ")


SLOW_READER = ("/big", "http/1.1", "request/client-gone")


def slow_read(it: Tight) -> None:
    with it.connect() as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n")
        it.edge.line(lambda x: (x["path"], x["protocol"], x["end"]) == SLOW_READER, PATIENCE_S)


def idle(it: Tight) -> None:
    with it.connect() as sock:
        assert exchange(sock, GET).status == 200
        assert closes(sock) == b""


def never_closing(it: Tight) -> None:
    """We said goodbye; the client does not. The connection is gone all the same."""
    with it.connect() as sock:
        assert exchange(sock, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).status == 200
        until(it.is_empty, PATIENCE_S)


def h2_no_preface(it: Tight) -> None:
    with it.connect(alpn=["h2"]) as sock:
        assert b"HTTP/1.1" not in closes(sock)


def h2_idle(it: Tight) -> None:
    with it.connect(alpn=["h2"]) as sock:
        client = Client(sock)
        assert client.ask(1, fields("a.test")) == "200"
        assert client.outcome(3) == "gone" and client.closed, "GOAWAY, and then the end, though nobody answered it"


def h2_half_head(it: Tight) -> None:
    with it.connect(alpn=["h2"]) as sock:
        client = Client(sock)
        client.send(frame(HEADERS, fields("a.test"), flags=END_STREAM, stream=1))
        assert client.outcome(1) == "gone"


def h2_slow_body(it: Tight) -> None:
    """The stream gets its 408; its connection lives, while it is used."""
    with it.connect(alpn=["h2"]) as sock:
        client = Client(sock)
        client.send(frame(HEADERS, fields("a.test", method=b"POST"), flags=END_HEADERS, stream=1))
        client.send(frame(DATA, b"x", stream=1))
        assert client.outcome(1) == "408"
        assert client.ask(3, fields("a.test")) == "200"


def h2_slow_read(it: Tight) -> None:
    """No window: an answer's head goes out, its body never; then the stream is reset."""
    with it.connect(alpn=["h2"]) as sock:
        client = Client(sock, b"\0\x04\0\0\0\0")
        client.send(frame(HEADERS, fields("a.test", path=b"/big"), flags=END_HEADERS | END_STREAM, stream=1))
        assert client.outcome(1) == "200"
        for _ in client.read():
            if 1 in client.resets or client.closed:
                break
        assert 1 in client.resets or client.closed


def h2_deaf(it: Tight) -> None:
    """All windows wide open, and nothing is read from the socket."""
    with it.connect(alpn=["h2"]) as sock:
        client = Client(sock, b"\0\x04\x7f\xff\xff\xff")
        client.send(frame(WINDOW_UPDATE, b"\x7f\xff\0\0"))
        for stream in range(1, 21, 2):
            block = fields("a.test", path=b"/big")
            client.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream))
        until(it.is_empty, PATIENCE_S)


def tunnel_idle(it: Tight) -> None:
    with it.connect("pass.test") as sock:
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
        assert closes(sock) == b""


def tunnel_deaf(it: Tight) -> None:
    """What the client sends comes back, and it takes nothing of it."""
    with it.connect("pass.test") as sock:
        breaks(lambda: sock.sendall(b"x" * 65536))


def tunnel_old(it: Tight) -> None:
    with it.connect("pass.test") as sock:

        def talk() -> None:
            sock.sendall(b"ping")
            if sock.recv(4) != b"ping":
                raise ConnectionResetError

        breaks(talk)


UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"


def websocket_idle(it: Tight) -> None:
    with it.connect() as sock:
        assert exchange(sock, UPGRADE).status == 101
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
        assert closes(sock) == b""


def websocket_deaf(it: Tight) -> None:
    with it.connect() as sock:
        assert exchange(sock, UPGRADE).status == 101
        breaks(lambda: sock.sendall(b"x" * 65536))


SLOW: dict[str, tuple[Callable[[Tight], None], str | None]] = {
    "a hello, a byte at a time": (lambda it: slow_hello(it, "a.test"), "hello/too-slow"),
    "a hello for passthrough, a byte at a time": (lambda it: slow_hello(it, "pass.test"), "hello/too-slow"),
    "half a handshake": (half_open, "handshake/too-slow"),
    "a head, a byte at a time": (slow_head, "request/head-too-slow"),
    "half a body": (slow_body, "request/body-too-slow"),
    "half a chunk": (slow_chunks, "request/body-too-slow"),
    "a reader that takes nothing": (slow_read, "request/client-gone"),
    "nothing between requests": (idle, None),
    "no goodbye": (never_closing, None),
    "h2: no preface": (h2_no_preface, None),
    "h2: nothing between requests": (h2_idle, None),
    "h2: half a head": (h2_half_head, None),
    "h2: half a body": (h2_slow_body, "request/body-too-slow"),
    "h2: a reader without a window": (h2_slow_read, "request/client-gone"),
    "h2: a reader that takes nothing": (h2_deaf, "request/client-gone"),
    "a silent tunnel": (tunnel_idle, "tunnel/idle"),
    "a tunnel whose client takes nothing": (tunnel_deaf, "tunnel/idle"),
    "an old tunnel": (tunnel_old, "tunnel/max-age"),
    "a silent websocket": (websocket_idle, "tunnel/idle"),
    "a websocket whose client takes nothing": (websocket_deaf, "tunnel/idle"),
}


@dataclass
class Outcome:
    """What became of all of them at once."""

    failures: dict[str, BaseException]
    ended: dict[str, int]
    served: int
    """Requests of another client meanwhile."""


@pytest.fixture(scope="module")
def outcome(tight: Tight) -> Outcome:
    """All of them at the same time, while another client comes again and again."""
    slugs = {slug for _, slug in SLOW.values() if slug}
    before = {slug: tight.ended(slug) for slug in slugs}
    failures: dict[str, BaseException] = {}

    def attack(what: str) -> None:
        try:
            SLOW[what][0](tight)
        except BaseException as e:
            failures[what] = e

    attackers = [threading.Thread(target=attack, args=(what,)) for what in SLOW]
    for it in attackers:
        it.start()
    served = 0
    while any(it.is_alive() for it in attackers):
        tight.clean()
        served += 1
        threading.Event().wait(0.05)
    until(tight.is_empty, PATIENCE_S)
    return Outcome(failures, {slug: tight.ended(slug) - before[slug] for slug in slugs}, served)


@pytest.mark.parametrize("what", list(SLOW))
def test_whoever_stands_still_is_let_go(outcome: Outcome, what: str) -> None:
    """H11, T03. At the deadline of what they wait with, in HTTP with a status that says so."""
    if what in outcome.failures:
        raise outcome.failures[what]


def test_others_are_served_beside_all_who_stand_still_and_nothing_is_left_of_them(
    tight: Tight, outcome: Outcome
) -> None:
    """H11, D01. Each end is counted by its reason."""
    assert outcome.served >= 5
    for slug, count in outcome.ended.items():
        assert count >= sum(it == slug for _, it in SLOW.values()), (slug, outcome.ended)
    tight.clean()
    until(tight.is_empty, PATIENCE_S)


def test_five_hundred_halves_of_a_handshake_are_let_go_in_bounded_memory(tight: Tight) -> None:
    """T03, D01. Half of them stop within the hello, half after our answer to it."""
    tight.clean()
    rss, whole = rss_kib(tight.edge), hello_bytes("a.test")
    with contextlib.ExitStack() as stack:
        for i in range(500):
            sock = stack.enter_context(tight.raw())
            sock.sendall(whole if i % 2 else whole[: len(whole) // 2])
        tight.clean()
        grown = rss_kib(tight.edge) - rss
        until(tight.is_empty, PATIENCE_S)
    assert grown < 64 * 1024, grown
    tight.clean()


def test_bytes_without_end_that_are_no_hello_hold_no_thread(tight: Tight) -> None:
    """H11, T09. Refused at the first of them: what follows is not read for as long as it comes."""
    stop = threading.Event()
    clients: list[threading.Thread] = []

    def pour() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), tight.raw() as sock:
                while not stop.is_set():
                    sock.sendall(b"GET / HTTP/1.1\r\n" * 65536)

    for _ in range(2):
        clients.append(threading.Thread(target=pour))
        clients[-1].start()
    try:
        until(lambda: tight.ended("hello/not-tls") > 50, PATIENCE_S, lambda: str(tight.edge.status()["refused"]))
        tight.clean()
    finally:
        stop.set()
        for it in clients:
            it.join()
    until(tight.is_empty, PATIENCE_S)


def test_windows_that_open_by_crumbs_end_the_connection(tight: Tight) -> None:
    """P03, CVE-2019-9511. Each byte let through would make a frame, a record and a system call of it."""
    with tight.connect(alpn=["h2"]) as sock:
        client = Client(sock, b"\0\x04\0\0\0\0")
        cpu, rss = cpu_s(tight.edge), rss_kib(tight.edge)
        client.send(frame(HEADERS, fields("a.test", path=b"/big"), flags=END_HEADERS | END_STREAM, stream=1))
        crumb = frame(WINDOW_UPDATE, b"\0\0\0\x01", stream=1)
        took = client.flood(crumb for _ in range(60_000))
        assert client.closed or client.goaway, f"{took} crumbs and still open"
    assert rss_kib(tight.edge) - rss < 64 * 1024 and cpu_s(tight.edge) - cpu < 5
    assert until(lambda: tight.ended("request/http2-flood"), PATIENCE_S)
    tight.clean()


def test_http2_windows_that_are_opened_beyond_their_end_close_what_they_belong_to(tight: Tight) -> None:
    """P03. RFC 9113 section 6.9.1: of a stream the stream, of the connection the connection."""
    most = frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff", stream=1)
    with tight.connect(alpn=["h2"]) as sock:
        client = Client(sock, b"\0\x04\0\0\0\0")
        client.send(frame(HEADERS, fields("a.test", path=b"/big"), flags=END_HEADERS | END_STREAM, stream=1))
        client.send(most + most)
        for _ in client.read():
            if 1 in client.resets or client.goaway:
                break
        assert client.resets.get(1) == 3 or client.goaway == 3, "FLOW_CONTROL_ERROR"
    with tight.connect(alpn=["h2"]) as sock:
        client = Client(sock)
        client.send(frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff"))
        assert client.outcome(1) == "gone" and client.goaway == 3
    with tight.connect(alpn=["h2"]) as sock:
        client = Client(sock, b"\0\x04\x80\0\0\0")
        assert client.outcome(1) == "gone" and client.goaway in {1, 3}, "a first window beyond its end"
    tight.clean()


def test_http_connections_that_are_busy_for_ever_end_at_their_age(tight: Tight) -> None:
    """T14. What the handshake proved holds for `max_age_s`; then HTTP/1 ends after an answer, HTTP/2 by a GOAWAY."""
    with tight.connect() as sock:

        def again() -> bool:
            answer = exchange(sock, GET)
            assert answer.status == 200
            return answer.headers.get("connection") == "close"

        until(again, PATIENCE_S)
        assert closes(sock) == b""
    with tight.connect(alpn=["h2"]) as sock:
        client, stream = Client(sock), 1
        while client.goaway is None and stream < 2001:
            assert client.ask(stream, fields("a.test")) in {"200", "gone"}
            stream += 2
            time.sleep(0.02)
        assert client.goaway == 0 and stream > 3, "in order, and not at once"
    tight.clean()


@pytest.mark.parametrize("pattern", TERMINATING)
def test_what_is_too_large_is_told_so_and_reaches_nobody(ground: Ground, pattern: str) -> None:
    """H11. 101 fields, a field of 64 KiB, a head that never ends, a target of a megabyte; each byte of it counted."""
    host = HOSTS[pattern].encode()
    start = b"GET /attack HTTP/1.1\r\nHost: " + host + b"\r\n"
    cases = [
        (start + b"X: y\r\n" * 100 + b"\r\n", 431),
        (start + b"X: " + b"y" * 65_536 + b"\r\n\r\n", 431),
        (start + b"X: " + b"y" * 1_000_000, 431),
        (start + b"X" * 65_536, 431),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 414),
        (b"GET /attack?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 414),
    ]
    rss = rss_kib(ground.edge)
    for sent, status in cases:
        with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(sent)
            assert response(sock)[0] == status, sent[:60]
            assert closes(sock) == b""
        assert not seen, seen
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(start + b"X: y\r\n" * 99 + b"\r\n")
        assert response(sock)[0] == 200, "a hundred fields are not too many"
        ground.clean(pattern, sock)
    assert len(seen) == 1
    assert rss_kib(ground.edge) - rss < 64 * 1024


@pytest.mark.parametrize("pattern", TERMINATING)
def test_a_thousand_requests_at_once_are_answered_one_after_the_other(ground: Ground, pattern: str) -> None:
    """H11. One connection to the backend at a time, another client served meanwhile."""
    host = HOSTS[pattern].encode()
    rss = rss_kib(ground.edge)
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        many = b"".join(b"GET /n%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (n, host) for n in range(1000))
        sender = threading.Thread(target=sock.sendall, args=(many,))
        sender.start()
        ground.clean(pattern)
        for _ in range(1000):
            assert response_of(sock) == 200
        sender.join()
    assert rss_kib(ground.edge) - rss < 64 * 1024
    arrived = b"".join(seen)
    order = [int(part.split(b" ")[0]) for part in arrived.split(b"GET /n")[1:]]
    assert sorted(order) == list(range(1000))


def response_of(sock: socket.socket) -> int:
    """The status of the next of many answers; reads not a byte of the one after it."""
    said = b""
    while not said.endswith(b"\r\n\r\nok"):
        more = sock.recv(1)
        assert more, said
        said += more
    return int(said.split(b" ")[1])


def is_told_of_too_many(sock: socket.socket) -> None:
    sock.sendall(GET)
    said = b""
    while b"hop/too-many-informational" not in said:
        more = sock.recv(65536)
        assert more, said[-200:]
        said += more
    assert said.count(b"HTTP/1.1 103") <= 16 and said.count(b"HTTP/1.1 502") == 1


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_backend_that_says_continue_for_ever_is_cut_off(edge: Edges, raw: Raws, pki: Pki, protocol: str) -> None:
    """H11, H08. Sixteen informational answers pass, and not one more of ten thousand."""

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 10_000 + OK)

    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{raw(script).port}"]\n'
    it = edge(route)
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"] if protocol == "h2" else None) as sock:
        if protocol == "h2":
            client = Client(sock)
            client.send(frame(HEADERS, fields("a.test"), flags=END_HEADERS | END_STREAM, stream=1))
            heads = 0
            for kind, _, stream, _ in client.read():
                heads += kind == HEADERS and stream == 1
                if 1 in client.ended or 1 in client.resets:
                    break
            assert client.statuses[1] == "502" and heads <= 17
        else:
            is_told_of_too_many(sock)
    assert it.line(lambda x: x["route"] == "r")["end"] == "hop/too-many-informational"


def test_a_backend_of_http2_that_says_continue_for_ever_is_cut_off(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H11, H08. A hundred thousand in one go."""
    count = 100_000

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            early = frame(HEADERS, literal(b":status", b"103"), flags=END_HEADERS, stream=asked.stream)
            # The edge may end it in between.
            with contextlib.suppress(OSError):
                it.sock.sendall(early * count)

    port = raw(H2Backend(on)).port
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nupstream_protocol = "h2"\nto = ["127.0.0.1:{port}"]\n'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        is_told_of_too_many(sock)
    assert it.line(lambda x: x["route"] == "r")["end"] == "hop/too-many-informational"


def test_a_backend_that_takes_nothing_keeps_no_descriptor(edge: Edges, raw: Raws, pki: Pki) -> None:
    """D01, U03. A shared HTTP/2 connection into which no byte goes: when nobody uses it, it is gone."""
    stop = threading.Event()

    def script(sock: socket.socket, record: bytearray) -> None:
        take(sock, record, 24)
        sock.sendall(frame(SETTINGS, b"\0\x04\x7f\xff\xff\xff") + frame(WINDOW_UPDATE, b"\x7f\xff\0\0"))
        stop.wait(60)

    backend = raw(script)
    limits = "[limits]\nbody_progress_s = 1\nanswer_silence_s = 1\nfirst_byte_s = 1\nupstream_idle_s = 1\n"
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\nupstream_protocol = "h2"\n'
    it = edge(route, more=limits)
    with contextlib.suppress(OSError), tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)
    assert it.line(lambda x: x["route"] == "r", PATIENCE_S)["end"].startswith(("hop/", "request/"))

    until(lambda: not established(it, backend.port), PATIENCE_S)
    stop.set()


# Of one source.

SHARED = """[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{passed}"]
"""


@dataclass
class Crowd:
    """An edge behind a proxy that says for whom it speaks: one machine can be many."""

    edge: EdgeKit
    pki: Pki

    def knock(self, source: str) -> socket.socket:
        """The PROXY header of that source and a hello."""
        sock = opened(socket.create_connection(("127.0.0.1", self.edge.port), PATIENCE_S))
        sock.sendall(said(source) + hello_bytes("a.test"))
        return sock

    def arrive(self, source: str) -> ssl.SSLSocket | None:
        """An open connection of that source, that was served; `None` if it may not come in."""
        sock = opened(socket.create_connection(("127.0.0.1", self.edge.port), PATIENCE_S))
        context = ssl.create_default_context(cafile=str(self.pki.public.file))
        try:
            sock.sendall(said(source))
            it = context.wrap_socket(sock, server_hostname="a.test")
            assert exchange(it, GET).status == 200
        except OSError:
            sock.close()
            return None
        return it

    def refused(self, slug: str) -> int:
        found: int = self.edge.status()["refused"].get(slug, 0)
        return found


def said(source: str) -> bytes:
    family, us = ("TCP6", "2001:db8:ffff::1") if ":" in source else ("TCP4", "192.0.2.254")
    return f"PROXY {family} {source} {us} 40000 443\r\n".encode()


@pytest.fixture
def crowd(edge: Edges, raw: Raws, pki: Pki) -> Callable[[str], Crowd]:
    def start(limits: str) -> Crowd:
        routes = SHARED.format(port=raw(answering(OK)).port, passed=raw(echoing, pki.pass_leaf).port)
        return Crowd(edge(routes, listener='accept_proxy = ["127.0.0.0/8"]', more=f"[limits]\n{limits}\n"), pki)

    return start


Crowds = Callable[[str], Crowd]


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
        ("2001:db8:0:1::1", ["2001:db8:0:1::2", "2001:db8:0:1:ffff:ffff:ffff:ffff"], "2001:db8:0:2::1"),
    ],
    ids=["IPv4, mapped or not", "a /64 of IPv6"],
)
def test_a_source_has_as_many_connections_as_it_may_and_no_other_is_concerned(
    crowd: Crowds, one: str, same: list[str], other: str
) -> None:
    """L01, D01. Shed before the handshake: not a byte is answered."""
    it = crowd("connections_per_source = 2")
    held = [it.arrive(one), it.arrive(same[0])]
    assert all(held)
    before = it.edge.status()["handshakes"]["ok"]
    for source in [one, *same]:
        with it.knock(source) as sock:
            assert closes(sock) == b"", source
    assert until(lambda: it.refused("connection/source-limit") == 1 + len(same), PATIENCE_S)
    assert it.edge.status()["handshakes"]["ok"] == before
    neighbour = it.arrive(other)
    assert neighbour, "another source is not concerned"
    for mine in held:
        assert mine and exchange(mine, GET).status == 200, "who is in stays in"
        mine.close()
    again = until(lambda: it.arrive(same[-1]), PATIENCE_S)
    again.close()
    neighbour.close()


def test_a_source_begins_as_many_handshakes_as_it_may_and_no_other_is_concerned(crowd: Crowds) -> None:
    """L01, D01. The rate comes back with time; hellos for passthrough count as well, since each costs a backend's."""
    it = crowd("handshakes_per_source = 1")
    with contextlib.ExitStack() as stack:

        def too_many() -> bool:
            for _ in range(10):
                stack.enter_context(it.knock("192.0.2.1"))
            return it.refused("connection/source-rate") >= 5

        until(too_many, PATIENCE_S)
        neighbour = it.arrive("192.0.2.2")
        assert neighbour
        neighbour.close()
    until(lambda: it.arrive("192.0.2.1"), PATIENCE_S).close()


# Descriptors.


def small(it: EdgeKit, fds: int) -> None:
    """Has the engine run with no more than `fds` descriptors: the next one inherits it."""
    resource.prlimit(it.edge.process.pid, resource.RLIMIT_NOFILE, (fds, fds))
    os.kill(engine_pid(it), signal.SIGKILL)
    it.edge.wait_for("the engine is back", 30)
    held = Path(f"/proc/{engine_pid(it)}/limits").read_text()
    assert re.search(rf"Max open files\s+{fds}\s+{fds}\s", held), held


def share_of_a_core(it: EdgeKit, seconds: float) -> float:
    """What the engine spends while nothing is asked of it."""
    began, spent = time.monotonic(), cpu_s(it)
    threading.Event().wait(seconds)
    return (cpu_s(it) - spent) / (time.monotonic() - began)


def metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text


def test_a_process_full_of_connections_spins_not_and_still_answers_and_serves_who_is_in(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """D01. 300 connections of clients that say nothing, and 256 descriptors. Scrapers that say nothing besides."""
    status = free_port()
    routes = SHARED.format(port=raw(answering(OK)).port, passed=raw(echoing, pki.pass_leaf).port)
    more = f'[status]\nbind = "127.0.0.1:{status}"\n[limits]\nhandshake_s = 600\nidle_s = 600\n'
    it = edge(routes, more=more)
    small(it, 256)
    inside = [tls(it.port, "a.test", pki.public.file) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", it.port), PATIENCE_S)) for _ in range(300)]
        until(lambda: it.status()["refused"].get("connection/descriptors", 0) >= 200, PATIENCE_S)
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", status), PATIENCE_S))
        assert it.status()["connections"] <= 64
        share = share_of_a_core(it, 1.5)
        assert share < 0.3, share
        for sock in inside:
            assert exchange(sock, GET).status == 200, "with a connection to the backend that was not there before"
        text = until(lambda: scraped(status), PATIENCE_S)
        assert 'slug="connection/descriptors"' in text
        assert descriptors(it) < 250
        assert len(crowd) == 300

    def recovered() -> bool:
        try:
            with tls(it.port, "a.test", pki.public.file) as sock:
                return exchange(sock, GET).status == 200
        except OSError:
            return False

    until(recovered, PATIENCE_S)
    for sock in inside:
        sock.close()


def scraped(port: int) -> str | None:
    with contextlib.suppress(OSError):
        return metrics(port)
    return None


def test_bulk_and_many_streams_leave_descriptors_for_who_comes(edge: Edges, raw: Raws, pki: Pki) -> None:
    """D01. Pipes of passthrough and backends' connections of HTTP/2 streams take what is there and no more: who is in is
    served or told 503, the backend is not blamed, nothing spins, and all of it comes back."""
    release = threading.Event()

    def waiting(sock: socket.socket, record: bytearray) -> None:
        while (request := head(sock, record)) is not None:
            if request.startswith(b"GET /wait"):
                release.wait(60)
            sock.sendall(OK)

    routes = SHARED.format(port=raw(waiting).port, passed=raw(flooding, pki.pass_leaf).port)
    it = edge(routes, more="[limits]\nidle_s = 600\n")
    small(it, 256)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(tls(it.port, "pass.test", pki.public.file))
        clients = []
        for _ in range(3):
            sock = stack.enter_context(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
            sock.settimeout(PATIENCE_S)
            clients.append(Client(sock))
            for stream in range(1, 181, 2):
                block = fields("a.test", path=b"/wait")
                clients[-1].send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream))
        assert clients[-1].outcome(179) == "503"
        line = it.line(lambda x: x["end"] == "hop/descriptors", PATIENCE_S)
        assert line["route"] == "r" and line["status"] == 503
        share = share_of_a_core(it, 1.5)
        assert share < 0.3, share
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).status == 503, "who comes now comes in, and is told"
        backend = it.status()["routes"][0]["backends"][0]
        assert backend["state"] == "up" and backend["failures"] == 0, "it was not the backend's fault"
        release.set()
        assert clients[0].whole(1) == "200"
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    until(lambda: it.status()["connections"] == 0, PATIENCE_S)


def flooding(sock: socket.socket, record: bytearray) -> None:
    """Sends without end, to a client that takes nothing."""
    while True:
        sock.sendall(b"x" * 65536)


def test_stopping_waits_for_nobody_longer_than_it_says(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H11. Clients in each state that never end by themselves, and a log that nobody reads."""
    routes = SHARED.format(port=raw(pouring).port, passed=raw(flooding, pki.pass_leaf).port)
    it = edge(routes, drain_s=1)
    pipe = it.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    it.config.write_text(it.config.read_text().replace(f'access = "{it.log}"', f'access = "{pipe}"'))
    assert it.admin("reload")["reloaded"]
    with contextlib.ExitStack() as stack:
        half = stack.enter_context(socket.create_connection(("127.0.0.1", it.port), PATIENCE_S))
        half.sendall(hello_bytes("a.test")[:40])
        reading = stack.enter_context(tls(it.port, "a.test", pki.public.file))
        reading.sendall(b"GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n")
        stack.enter_context(tls(it.port, "pass.test", pki.public.file))
        sock = stack.enter_context(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
        client = Client(sock)
        client.send(frame(HEADERS, fields("a.test", method=b"POST"), flags=END_HEADERS, stream=1))
        busy = stack.enter_context(tls(it.port, "a.test", pki.public.file))
        for _ in range(1000):
            assert exchange(busy, GET).status == 200, "though its lines have filled the pipe"
        assert it.edge.stop() == 0
    os.close(reader)
