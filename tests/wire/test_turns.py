"""How many requests a route takes at once, judged at a backend that answers when it is told to."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, head
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Holding:
    """A script that answers each request when it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.lock = threading.Lock()
        self.go = threading.Semaphore(0)

    def __call__(self, sock: socket.socket, record: bytearray) -> None:
        while head(sock, record) is not None:
            with self.lock:
                self.asked += 1
            self.go.acquire()
            sock.sendall(OK)


@pytest.fixture
def holding(raw: Raws) -> Iterator[tuple[Holding, int]]:
    script = Holding()
    yield script, raw(script).port
    script.go.release(1000)


def route(port: int, most: str, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\nmost = {{ {most} }}\n{more}\n'


def status_port() -> tuple[int, str]:
    port = free_port()
    return port, f'[status]\nbind = "127.0.0.1:{port}"\n'


def gauge(port: int, name: str) -> float:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f'{name}{{route="r"}} ')]
    return float(line.rpartition(" ")[2])


def each(port: int, name: str) -> dict[str, int]:
    """A gauge of backends, by their addresses."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    found = re.findall(rf'^{name}{{route="r",backend="(.*?)"}} (\d+)$', text, re.MULTILINE)
    return {at: int(value) for at, value in found}


def under_way(port: int, count: int) -> None:
    until(lambda: gauge(port, "everyhop_route_requests_under_way") == count or None)


def waiting(port: int, count: int) -> None:
    until(lambda: gauge(port, "everyhop_route_requests_waiting") == count or None)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_over_the_bound_waits_its_turn_and_what_finds_no_place_is_told_so_at_once(
    edge: Edges, pki: Pki, holding: tuple[Holding, int], threads: int
) -> None:
    script, port = holding
    metrics, more = status_port()
    it = edge(route(port, "requests = 2, waiting = 1, wait_s = 60"), threads=threads, more=more)
    socks = [tls(it.port, "a.test", pki.public.file) for _ in range(4)]
    for sock in socks[:2]:
        sock.sendall(ASK)
    until(lambda: script.asked == 2 or None)
    socks[2].sendall(ASK)
    waiting(metrics, 1)
    refused = exchange(socks[3], ASK)
    assert refused.status == 503 and "request/too-many-at-once" in refused.text
    assert refused.headers["retry-after"] == "1" and refused.headers.get("connection") != "close"
    assert script.asked == 2, "what waits or is refused has not reached the backend"
    script.go.release()
    until(lambda: script.asked == 3 or None)
    script.go.release(2)
    assert [read_answer(sock).status for sock in socks[:3]] == [200, 200, 200]
    under_way(metrics, 0)
    script.go.release()
    assert exchange(socks[3], ASK).status == 200


def test_whoever_waits_too_long_is_told_so(edge: Edges, pki: Pki, holding: tuple[Holding, int]) -> None:
    script, port = holding
    it = edge(route(port, "requests = 1, waiting = 5, wait_s = 1"))
    first, second = (tls(it.port, "a.test", pki.public.file) for _ in range(2))
    first.sendall(ASK)
    until(lambda: script.asked == 1 or None)
    assert exchange(second, ASK).status == 503
    assert script.asked == 1
    line = until(lambda: next((x for x in it.lines() if x["end"] == "request/too-many-at-once"), None))
    assert line["route"] == "r" and line["status"] == 503


def test_a_client_that_leaves_while_it_waits_makes_room_for_another(
    edge: Edges, pki: Pki, holding: tuple[Holding, int]
) -> None:
    script, port = holding
    metrics, more = status_port()
    it = edge(route(port, "requests = 1, waiting = 1, wait_s = 60"), more=more)
    first, leaves, stays = (tls(it.port, "a.test", pki.public.file) for _ in range(3))
    first.sendall(ASK)
    until(lambda: script.asked == 1 or None)
    leaves.sendall(ASK)
    waiting(metrics, 1)
    leaves.close()
    waiting(metrics, 0)
    stays.sendall(ASK)
    waiting(metrics, 1)
    script.go.release(2)
    assert read_answer(first).status == 200 and read_answer(stays).status == 200
    assert script.asked == 2


def test_streams_of_one_connection_take_turns_too(edge: Edges, pki: Pki, holding: tuple[Holding, int]) -> None:
    script, port = holding
    it = edge(route(port, "requests = 1, waiting = 1, wait_s = 60"))
    speaker = Speaker(it, pki)
    streams = [speaker.headers() for _ in range(3)]
    assert speaker.outcome(streams[2]) == "503"
    script.go.release(2)
    answered: set[int] = set()
    for event in speaker.events():
        if isinstance(event, h2.events.ResponseReceived):
            answered.add(event.stream_id or 0)
        if answered == set(streams[:2]):
            break
    assert script.asked == 2


def test_a_websocket_is_under_way_until_it_ends(edge: Edges, pki: Pki, raw: Raws) -> None:
    def script(sock: socket.socket, record: bytearray) -> None:
        asked = head(sock, record)
        while asked is not None:
            if b"upgrade: websocket" not in asked.lower():
                sock.sendall(OK)
                asked = head(sock, record)
                continue
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while sock.recv(100):
                pass
            return

    metrics, more = status_port()
    it = edge(route(raw(script).port, "requests = 1"), more=more)
    upgrade = b"GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    tunnel, other = (tls(it.port, "a.test", pki.public.file) for _ in range(2))
    tunnel.sendall(upgrade)
    assert (head(tunnel, bytearray()) or b"").startswith(b"HTTP/1.1 101")
    assert exchange(other, ASK).status == 503
    tunnel.close()
    under_way(metrics, 0)
    assert exchange(other, ASK).status == 200


def test_a_reload_forgets_nothing_that_is_under_way(edge: Edges, pki: Pki, holding: tuple[Holding, int]) -> None:
    script, port = holding
    it = edge(route(port, "requests = 1"))
    first, second = (tls(it.port, "a.test", pki.public.file) for _ in range(2))
    first.sendall(ASK)
    until(lambda: script.asked == 1 or None)
    assert it.reload(route(port, "requests = 1", "response = { remove = ['server'] }"))["reloaded"]
    assert exchange(second, ASK).status == 503
    assert it.reload(route(port, "requests = 2"))["reloaded"]
    script.go.release(2)
    assert exchange(second, ASK).status == 200


def test_a_backend_has_as_many_connections_as_it_may_and_whoever_finds_none_is_told_so_at_once(
    edge: Edges, pki: Pki, holding: tuple[Holding, int]
) -> None:
    script, port = holding
    metrics, more = status_port()
    it = edge(route(port, "connections = 2"), threads=1, more=more)
    socks = [tls(it.port, "a.test", pki.public.file) for _ in range(3)]
    for sock in socks[:2]:
        sock.sendall(ASK)
    until(lambda: script.asked == 2 or None)
    assert each(metrics, "everyhop_backend_connections") == {f"127.0.0.1:{port}": 2}
    assert each(metrics, "everyhop_backend_connections_limit") == {f"127.0.0.1:{port}": 2}
    refused = exchange(socks[2], ASK)
    assert refused.status == 503 and "hop/too-many-connections" in refused.text
    assert refused.headers["retry-after"] == "1" and refused.headers.get("connection") != "close"
    line = it.line(lambda line: line["status"] == 503)
    assert line["end"] == "hop/too-many-connections" and line["route"] == "r"
    (backend,) = it.status()["routes"][0]["backends"]
    assert backend["state"] == "up" and backend["failures"] == 0, "it does what it may, and nothing is wrong with it"
    assert backend["failed"] == {"hop/too-many-connections": 1} and backend["open"] == 2
    assert script.asked == 2
    script.go.release(3)
    assert [read_answer(sock).status for sock in socks[:2]] == [200, 200]
    assert exchange(socks[2], ASK).status == 200, "one that is free again takes it"
    assert each(metrics, "everyhop_backend_connections") == {f"127.0.0.1:{port}": 2}


def test_what_finds_no_room_at_one_backend_goes_to_another(edge: Edges, pki: Pki, raw: Raws) -> None:
    one, other = Holding(), Holding()
    ports = [raw(one).port, raw(other).port]
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = [{to}]\nmost = {{ connections = 1 }}\n',
        threads=1,
    )
    socks = [tls(it.port, "a.test", pki.public.file) for _ in range(3)]
    for sock in socks[:2]:
        sock.sendall(ASK)
    until(lambda: one.asked + other.asked == 2 or None)
    assert (one.asked, other.asked) == (1, 1)
    assert exchange(socks[2], ASK).status == 503
    one.go.release(100)
    other.go.release(100)
    assert [read_answer(sock).status for sock in socks[:2]] == [200, 200]
    assert [exchange(socks[2], ASK).status for _ in range(4)] == [200] * 4


def test_a_call_that_finds_no_room_is_told_so_as_calls_are(edge: Edges, pki: Pki, raw: Raws) -> None:
    """At a backend that takes one stream a connection."""

    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        """It answers nothing."""

    backend = H2Backend(on, streams=1)
    it = edge(route(raw(backend).port, "connections = 1", 'upstream_protocol = "h2"'), threads=1)
    speaker = Speaker(it, pki)
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    speaker.headers(*fields, method="POST", end=False)
    until(lambda: backend.asked or None)
    late = speaker.headers(*fields, method="POST", end=False)
    answers = (e for e in speaker.events() if isinstance(e, h2.events.ResponseReceived) and e.stream_id == late)
    told = {bytes(k): bytes(v) for k, v in next(answers).headers or []}
    assert told[b":status"] == b"200" and told[b"grpc-status"] == b"14", told
    assert b"hop/too-many-connections" in told[b"grpc-message"] + told[b"proxy-status"]


def test_a_storm_on_three_threads_loses_no_turn(edge: Edges, pki: Pki, raw: Raws) -> None:
    most, now, peak = 3, 0, 0
    lock = threading.Lock()

    def script(sock: socket.socket, record: bytearray) -> None:
        nonlocal now, peak
        while head(sock, record) is not None:
            with lock:
                now += 1
                peak = max(peak, now)
            with lock:
                now -= 1
            sock.sendall(OK)

    metrics, more = status_port()
    it = edge(route(raw(script).port, f"requests = {most}, waiting = 100, wait_s = 60"), threads=3, more=more)

    def client(_: int) -> list[int]:
        with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
            return [exchange(sock, ASK).status for _ in range(20)]

    with ThreadPoolExecutor(12) as pool:
        assert {status for answers in pool.map(client, range(12)) for status in answers} == {200}
    assert 1 <= peak <= most
    under_way(metrics, 0)
    waiting(metrics, 0)
