"""A client comes back to its backend by a cookie of the edge's own: judged at the backends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from everyhop.admin.kept import Kept
from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge, free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.process import children
from tests.kit.raw import answering
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
STICKY = 'sticky = { cookie = "edge" }'
NAME = "__Host-edge"


def bare(request: BaseHTTPRequestHandler, caller: str) -> None:
    """Sets no cookie of its own."""
    request.send_response(200)
    request.send_header("content-length", "2")
    request.end_headers()
    request.wfile.write(b"ok")


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    all_of_them = [Backend(f"b{i}", answer=bare) for i in range(3)]
    yield all_of_them
    for it in all_of_them:
        it.close()


def route(ports: list[int], more: str = STICKY, weights: tuple[int, ...] = (1, 1, 1), name: str = "r") -> str:
    to = ", ".join(f'{{ at = "127.0.0.1:{p}", weight = {w} }}' for p, w in zip(ports, weights, strict=False))
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = [{to}]\n{more}\n'


def ports(backends: list[Backend]) -> list[int]:
    return [b.port for b in backends]


def ask(it: EdgeKit, pki: Pki, cookies: str = "", head: str = "GET / HTTP/1.1") -> Answer:
    field = f"Cookie: {cookies}\r\n" if cookies else ""
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, f"{head}\r\nHost: a.test\r\n{field}\r\n")


def taker(backends: list[Backend]) -> int:
    """Which one was asked, and that no other was."""
    (found,) = [i for i, b in enumerate(backends) if b.seen]
    backends[found].seen.clear()
    return found


def pinned(it: EdgeKit, pki: Pki, backends: list[Backend], cookies: str = "") -> tuple[str, int]:
    """What a client is told that the edge does not know, and whose it is then."""
    answer = ask(it, pki, cookies)
    pair, _, rest = answer.headers["set-cookie"].partition("; ")
    assert answer.status == 200 and pair.startswith(f"{NAME}="), answer
    assert rest == "Path=/; Secure; HttpOnly; SameSite=Lax"
    return pair, taker(backends)


def test_a_client_comes_back_to_the_backend_that_answered_it_and_is_told_once(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    it = edge(route(ports(backends)), threads=2)
    clients = [pinned(it, pki, backends) for _ in range(6)]
    assert {whose for _, whose in clients} == {0, 1, 2}, "who comes first goes by turns"
    for pair, whose in clients * 3:
        answer = ask(it, pki, f"a=b; {pair}; c=d")
        assert answer.status == 200 and "set-cookie" not in answer.headers
        assert taker(backends) == whose


def test_it_shows_no_backend_and_no_backend_is_shown_it(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    it = edge(route(ports(backends)))
    pair, _ = pinned(it, pki, backends)
    assert all(str(b.port) not in pair and b.name not in pair for b in backends) and "127.0.0.1" not in pair
    for cookies, goes_on in ((f"a=b; {pair}; c=d", "a=b; c=d"), (pair, None), (f"{pair}; {NAME}=x", None)):
        assert ask(it, pki, cookies).status == 200
        (seen,) = [s for b in backends for s in b.seen]
        assert seen.get("cookie") == goes_on, seen
        taker(backends)


def test_what_is_forged_or_of_another_edge_or_route_is_as_if_it_were_not_there(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    it = edge(route(ports(backends)) + route(ports(backends), 'path = "/o"\nsticky = { cookie = "o" }', name="o"))
    pair, whose = pinned(it, pki, backends)
    value = pair.partition("=")[2]
    other = ask(it, pki, head="GET /o HTTP/1.1").headers["set-cookie"].partition(";")[0].partition("=")[2]
    taker(backends)
    assert other != value
    for wrong in (other, value[:-1], f"{value}A", value.swapcase(), "", "A" * 4000, f"127.0.0.1:{backends[0].port}"):
        met = {pinned(it, pki, backends, f"{NAME}={wrong}")[1] for _ in range(6)}
        assert met == {0, 1, 2}, (wrong, met)
    assert ask(it, pki, f"{NAME}=forged; {pair}").status == 200
    assert taker(backends) == whose, "one of ours beside it counts"


def test_who_has_lost_its_backend_is_sent_to_another_and_stays_there(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    """By weight 0, as a drain gives it, and by a backend that was removed."""
    all_of_them = ports(backends)
    it = edge(route(all_of_them))
    pair, whose = pinned(it, pki, backends)
    weights = tuple(int(i != whose) for i in range(3))
    assert it.reload(route(all_of_them, weights=weights))["reloaded"]
    again, second = pinned(it, pki, backends, pair)
    assert second != whose and again != pair
    assert "set-cookie" not in ask(it, pki, again).headers and taker(backends) == second
    assert it.reload(route([p for i, p in enumerate(all_of_them) if i != second]))["reloaded"]
    _, third = pinned(it, pki, backends, again)
    assert third != second
    assert "set-cookie" not in ask(it, pki, pair).headers and taker(backends) == whose, "the first is back"


def test_who_is_of_a_backend_that_is_left_alone_is_sent_to_another(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    def closing(request: BaseHTTPRequestHandler, caller: str) -> None:
        request.send_response(200)
        request.send_header("content-length", "0")
        request.send_header("connection", "close")
        request.end_headers()

    port = free_port()
    gone = Backend("gone", port=port, answer=closing)
    rest = backends[:2]
    limits = "[limits]\neject_after = 1\neject_s = 3600\n"
    it = edge(route([port, *ports(rest)]), more=limits)
    with contextlib.closing(gone):
        told = until(lambda: next((p for p, w in [pinned(it, pki, [gone, *rest])] if w == 0), None))
    until(lambda: ask(it, pki, told).headers.get("set-cookie") or None)
    until(lambda: it.status()["routes"][0]["backends"][0]["state"] == "ejected" or None)
    for b in rest:
        b.seen.clear()
    again, whose = pinned(it, pki, rest, told)
    assert "set-cookie" not in ask(it, pki, again).headers and taker(rest) == whose


def test_it_holds_through_a_reload_and_another_engine_and_another_supervisor(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    it = edge(route(ports(backends)))
    pair, whose = pinned(it, pki, backends)

    def stays() -> None:
        for _ in range(3):
            answer = ask(it, pki, pair)
            assert answer.status == 200 and "set-cookie" not in answer.headers and taker(backends) == whose

    assert it.reload(route(ports(backends), STICKY + "\nwebsocket = false"))["reloaded"]
    stays()
    (engine,) = children(it.edge.process.pid)
    os.kill(engine, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    stays()
    assert it.cli("upgrade", "--config", str(it.config)).returncode == 0
    stays()
    it.edge.process.kill()
    it.edge.process.wait(20)
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)
    stays()


def test_the_key_is_ours_alone_and_in_no_plan_and_no_status(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    it = edge(route(ports(backends)))
    pair, _ = pinned(it, pki, backends)
    shown = (
        it.cli("plan", "--config", str(it.config)).stdout
        + it.cli("status", "--json", "--config", str(it.config)).stdout
    )
    key = json.loads(Kept(it.config, "sticky", "").path.read_text())["kept"]["key"]
    assert NAME in shown and pair.partition("=")[2] not in shown and key not in shown
    kept = Kept(it.config, "sticky", "").path
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_it_goes_by_streams_of_http2_too(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    """In which cookies come apart, each a field of its own (RFC 9113 §8.2.3)."""
    it = edge(route(ports(backends)))
    pair, whose = pinned(it, pki, backends)
    speaker = Speaker(it, pki)
    for _ in range(4):
        stream = speaker.headers(("cookie", "a=b"), ("cookie", pair), ("cookie", "c=d"))
        assert speaker.outcome(stream) == "200"
        (seen,) = backends[whose].seen
        assert seen["cookie"] == "a=b; c=d"
        assert taker(backends) == whose


def test_a_backend_cannot_set_it(edge: Edges, pki: Pki, raw: Raws) -> None:
    forged = (
        f"HTTP/1.1 200 OK\r\nSet-Cookie: {NAME}=mine; Path=/; Secure\r\nSet-Cookie: own=1\r\nContent-Length: 0\r\n\r\n"
    )
    it = edge(route([raw(answering(forged.encode())).port, raw(answering(forged.encode())).port]))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        whole = b"".join(iter(lambda: sock.recv(4096), b"")).decode().lower()
    assert whole.count("set-cookie:") == 2 and "=mine" not in whole and "own=1" in whole
