"""Counters and lines mean what their names say: a handshake is counted once, a refusal where it belongs, every exit somewhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.promises.backend import Counting
from tests.threats.frames import DATA, PREFACE, SETTINGS, frame

Edges = Callable[..., EdgeKit]
CLIENTS = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def route(name: str, *ports: int, path: str = "/", more: str = "") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\npath = "{path}"\ntls = "plaintext"\nto = [{to}]\n{more}\n'


def get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"


def of(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(route for route in status["routes"] if route["name"] == name)


def served(status: dict[str, Any], name: str) -> list[int]:
    """Requests of a route, then those that each of its backends got from it."""
    it = of(status, name)
    return [it["requests"], *(b["requests"] for b in it["backends"])]


def test_a_handshake_is_counted_once_whatever_its_requests_come_to(edge: Edges, pki: Pki, backend: Counting) -> None:
    it = edge(route("r", backend.port, path="/r"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(5):
            assert exchange(sock, get("/nowhere")).status == 404
        assert exchange(sock, get("/r")).status == 200
        status = it.status()
        assert status["handshakes"] == {"ok": 1, "failed": {}}
        assert status["refused"] == {"request/not-found": 5}
    with pytest.raises(ssl.SSLError):
        tls(it.port, "a.test", pki.public.file, alpn=["unheard-of"])
    with pytest.raises(ssl.SSLError):
        tls(it.port, "unknown.test", pki.public.file)
    failed = {"handshake/no-common-protocol": 1}
    until(lambda: it.status()["handshakes"] == {"ok": 1, "failed": failed} or None, told=lambda: str(it.status()))
    until(lambda: it.status()["refused"].get("hello/unknown-sni") or None)


def metrics(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def test_an_answer_that_the_edge_made_is_among_the_responses(edge: Edges, pki: Pki, backend: Counting) -> None:
    """Of the route that refused, or of none."""
    port = free_port()
    allow = '[route.allow]\nclients = ["boss.test"]'
    more = f'[status]\nbind = "127.0.0.1:{port}"\n'
    it = edge(route("r", backend.port, path="/r", more=allow), site=CLIENTS, more=more)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get("/r")).status == 403
        assert exchange(sock, get("/nowhere")).status == 404
        assert exchange(sock, get("/nowhere")).status == 404
    told = metrics(port)
    assert 'everyhop_responses_total{route="r",class="4xx"} 1\n' in told
    assert 'everyhop_responses_total{route="",class="4xx"} 2\n' in told
    assert "\neveryhop_handshakes_total 1\n" in told


def test_a_handshake_without_a_request_leaves_a_line(edge: Edges, pki: Pki, backend: Counting) -> None:
    it = edge(route("r", backend.port))
    for alpn in ("http/1.1", "h2"):
        with tls(it.port, "a.test", pki.public.file, alpn=[alpn]) as sock:
            if alpn == "h2":
                sock.sendall(PREFACE + frame(SETTINGS))
        line = it.line(lambda x, alpn=alpn: x["client_hop"]["alpn"] == alpn)  # type: ignore[misc]
        assert (line["end"], line["status"]) == ("connection/no-request", None)
    assert it.status()["refused"] == {"connection/no-request": 2}
    assert it.status()["handshakes"] == {"ok": 2, "failed": {}}


def test_a_connection_that_had_requests_leaves_their_lines_and_no_other(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route("r", backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, get("/")).status == 200
    with tls(it.port, "a.test", pki.public.file):
        pass
    it.line(lambda x: x["end"] == "connection/no-request")
    assert [line["end"] for line in it.lines()] == ["done", "connection/no-request"]


@pytest.mark.parametrize("bytes_", [frame(DATA, b"x"), b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"])
def test_a_session_that_breaks_http2_leaves_a_line_and_a_count(
    edge: Edges, pki: Pki, backend: Counting, bytes_: bytes
) -> None:
    """Behind the preface, or in its place."""
    it = edge(route("r", backend.port))
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        sock.sendall((PREFACE + frame(SETTINGS) if bytes_[:3] != b"GET" else b"") + bytes_)
        sock.settimeout(10)
        while sock.recv(65536):
            pass
    it.line(lambda x: x["end"] == "request/http2-broken")
    assert it.status()["refused"] == {"request/http2-broken": 1}


def test_a_log_that_cannot_be_written_refuses_in_every_pattern(edge: Edges, pki: Pki, backend: Counting) -> None:
    """Also what is not ours to read: nothing passes unrecorded."""
    passed = Counting(pki.pass_leaf)
    spliced = f'[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{passed.port}"]\n'
    it = edge(route("r", backend.port) + spliced)
    with tls(it.port, "pass.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n").status == 200
    text = it.config.read_text().replace(f'access = "{it.log}"', 'access = "/dev/full"\non_full = "refuse"')
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]

    def is_refused() -> bool:
        with tls(it.port, "a.test", pki.public.file) as sock:
            return exchange(sock, get("/")).status == 503

    until(is_refused)
    before = passed.total
    with pytest.raises(OSError):
        tls(it.port, "pass.test", pki.public.file)
    assert passed.total == before
    assert it.status()["refused"]["log/full"] >= 2
    passed.close()


def test_a_backend_of_two_routes_is_counted_for_each_and_fares_the_same_for_both(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    """However often the plan is read again."""
    dead = Counting()
    two = route("r", dead.port, backend.port, path="/r") + route("s", dead.port, backend.port, path="/s")
    it = edge(two, more="[limits]\neject_after = 1\neject_s = 600\nupstream_idle_s = 1\n")
    dead.close()

    def ask(path: str) -> None:
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, get(path)).status == 200

    for _ in range(4):
        ask("/r")
    states = [[b["state"] for b in of(it.status(), name)["backends"]] for name in "rs"]
    assert states == [["ejected", "up"]] * 2, "what one route found out, both know"
    until(lambda: served(it.status(), "r") == [4, 0, 4] or None, told=lambda: str(it.status()))
    assert served(it.status(), "s") == [0, 0, 0]
    for round_ in range(3):
        assert it.admin("reload")["reloaded"]
        assert served(it.status(), "r") == [4, 0, 4]
        ask("/s")
        until(lambda n=round_: served(it.status(), "s") == [n + 1, 0, n + 1] or None)  # type: ignore[misc]
    assert [[b["state"] for b in of(it.status(), name)["backends"]] for name in "rs"] == states
