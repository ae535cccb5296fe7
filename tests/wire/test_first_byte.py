"""What a backend took to begin its answer, apart from what the whole request took: judged at /metrics, against what the backend
held by its own clock. It is never less than that, and nothing that was no waiting for a backend is in it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, Record, answering, head
from tests.wire.test_http2 import Speaker
from tests.wire.test_metrics import Figures, Told

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
FIRST = "backend_first_byte_seconds"
WHOLE = "request_duration_seconds"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


def route(*ports: int, more: str = "", tls_: str = "plaintext") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = [{to}]\n{more}\n'


def some_time() -> None:
    """Passes when there was time enough to tell."""
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 0.3, 20)


class Holds:
    """A script that begins each answer when it is let go, and ends it when it is let go again; it measures how long it held."""

    def __init__(self) -> None:
        self.asked = 0
        self.began_s: list[float] = []
        self.may_begin, self.may_end = threading.Semaphore(0), threading.Semaphore(0)

    def comes(self, count: int) -> None:
        until(lambda: self.asked == count)

    def __call__(self, sock: socket.socket, record: bytearray) -> None:
        while head(sock, record) is not None:
            began = time.monotonic()
            self.asked += 1
            self.may_begin.acquire(timeout=60)
            self.began_s.append(time.monotonic() - began)
            sock.sendall(OK[:-2])
            self.may_end.acquire(timeout=60)
            sock.sendall(OK[-2:])


def told(it: Told, count: int, classes: dict[str, int]) -> Figures:
    """Once so many were answered; the histogram is one, and what is in it is of those classes and no others."""
    found = it.comes(request_duration_seconds_count=count)
    counts = {k: v for k, v in found.items() if k.startswith(f"everyhop_{FIRST}_count")}
    assert counts == {f'everyhop_{FIRST}_count{{route="r",class="{c}"}}': n for c, n in classes.items()}
    for of, n in classes.items():
        line = f'everyhop_{FIRST}_bucket{{route="r",class="{of}",le='
        buckets = [v for k, v in found.items() if k.startswith(line)]
        assert len(buckets) == 11 and buckets == sorted(buckets) and found[line + '"+Inf"}'] == n
    return found


def apart(it: Told, found: Figures) -> tuple[float, float]:
    """What the backends took, and what the requests took beside it."""
    first = it.one(found, f"{FIRST}_sum")
    return first, it.one(found, f"{WHOLE}_sum") - first


def test_the_time_to_an_answers_head_is_what_the_backend_held_and_the_rest_of_the_answer_is_not_in_it(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    script = Holds()
    it = Told(edge, route(raw(script).port))
    assert not [k for k in it.figures() if FIRST in k], "a class is told of once it was seen"
    kept_s = 0.0
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        for asked in (1, 2):  # Over a new connection to the backend, then over the one that was kept.
            sock.sendall(ASK)
            script.comes(asked)
            some_time()
            script.may_begin.release()
            begun = b""
            while b"\r\n\r\n" not in begun:
                begun += sock.recv(1)
            since = time.monotonic()
            some_time()
            kept_s += time.monotonic() - since
            script.may_end.release()
            assert sock.recv(2) == b"ok"
            found = told(it, asked, {"2xx": asked})
    first, beside = apart(it, found)
    assert first >= sum(script.began_s) >= 0.6
    assert beside >= kept_s >= 0.6
    assert found[f'everyhop_{FIRST}_bucket{{route="r",class="2xx",le="0.100000"}}'] == 0


def test_an_answer_that_comes_all_at_once_is_measured_as_well(edge: Edges, pki: Pki, raw: Raws) -> None:
    """No clock is asked for it but that of the request's end."""
    script = Holds()
    script.may_end.release(100)
    it = Told(edge, route(raw(script).port))
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        for asked in (1, 2, 3):
            sock.sendall(ASK)
            script.comes(asked)
            some_time()
            script.may_begin.release()
            assert read_answer(sock).status == 200
    first, beside = apart(it, told(it, 3, {"2xx": 3}))
    assert first >= sum(script.began_s) >= 0.9 and beside >= 0


@pytest.mark.parametrize("client", ["h1", "h2"])
def test_the_same_is_told_of_a_backend_of_http_2(edge: Edges, pki: Pki, raw: Raws, client: str) -> None:
    held: list[float] = []

    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            began = time.monotonic()
            some_time()
            held.append(time.monotonic() - began)
            spoken.answer(asked.stream, status=b"404")

    it = Told(edge, route(raw(H2Backend(on)).port, more='upstream_protocol = "h2"'))
    if client == "h2":
        speaker = Speaker(it.it, pki)
        speaker.outcome(speaker.headers())
    else:
        with tls(it.it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, ASK).status == 404
    first, beside = apart(it, told(it, 1, {"4xx": 1}))
    assert first >= sum(held) >= 0.3 and beside >= 0


@pytest.mark.parametrize("ends", ["answered", "left"])
@pytest.mark.parametrize("client", ["h1", "h2"])
def test_a_request_is_under_way_until_it_is_over_also_where_its_client_leaves(
    edge: Edges, pki: Pki, raw: Raws, client: str, ends: str
) -> None:
    script = Holds()
    it = Told(edge, route(raw(script).port))
    it.comes(route_requests_under_way=0)
    if client == "h2":
        speaker = Speaker(it.it, pki)
        stream = speaker.headers()
        script.comes(1)
        it.comes(route_requests_under_way=1)
        if ends == "answered":
            script.may_begin.release()
            script.may_end.release()
            speaker.outcome(stream)
        else:
            speaker.sock.close()
    else:
        with tls(it.it.port, "a.test", pki.public.file) as sock:
            sock.sendall(ASK)
            script.comes(1)
            it.comes(route_requests_under_way=1)
            if ends == "answered":
                script.may_begin.release()
                script.may_end.release()
                assert read_answer(sock).status == 200
    it.comes(route_requests_under_way=0)
    script.may_begin.release()
    script.may_end.release()


def test_a_turn_that_was_waited_for_is_not_the_backends_time(edge: Edges, pki: Pki, raw: Raws) -> None:
    script = Holds()
    script.may_end.release(100)
    it = Told(edge, route(raw(script).port, more="most = { requests = 1, waiting = 1, wait_s = 60 }"))
    with tls(it.it.port, "a.test", pki.public.file) as one, tls(it.it.port, "a.test", pki.public.file) as two:
        one.sendall(ASK)
        until(lambda: script.asked == 1)
        two.sendall(ASK)
        it.comes(route_requests_waiting=1, route_requests_under_way=1)
        since = time.monotonic()
        some_time()
        waited_s = time.monotonic() - since
        script.may_begin.release(2)
        assert [read_answer(sock).status for sock in (one, two)] == [200, 200]
    first, beside = apart(it, told(it, 2, {"2xx": 2}))
    assert first >= sum(script.began_s) and beside >= waited_s >= 0.3


def test_a_handshake_with_the_backend_is_not_its_time_to_answer(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK), pki.backend)
    came, may_go = threading.Event(), threading.Event()
    held: list[float] = []
    serve = backend.serve

    def late(sock: socket.socket, record: Record) -> None:
        began = time.monotonic()
        came.set()
        may_go.wait(60)
        held.append(time.monotonic() - began)
        serve(sock, record)

    backend.serve = late  # type: ignore[method-assign]
    verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
    it = Told(edge, route(backend.port, more=verify, tls_="reencrypt"), "[limits]\nconnect_s = 60\n")
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        sock.sendall(ASK)
        assert came.wait(20)
        some_time()
        may_go.set()
        assert read_answer(sock).status == 200
    _, beside = apart(it, told(it, 1, {"2xx": 1}))
    # It is accepted by the system before the script is told.
    assert beside >= held[0] >= 0.3


def test_each_backend_that_was_asked_is_counted_by_its_own_answer(edge: Edges, pki: Pki, raw: Raws) -> None:
    """The second one's time begins when it is asked, not when the first was."""
    first, second = Holds(), raw(answering(OK))

    def busy(sock: socket.socket, record: bytearray) -> None:
        while head(sock, record) is not None:
            began = time.monotonic()
            some_time()
            first.began_s.append(time.monotonic() - began)
            sock.sendall(BUSY)

    it = Told(edge, route(raw(busy).port, second.port, more="retries = { on = [503] }"))
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        until(lambda: exchange(sock, ASK).status == 200 and first.began_s)
    asked = second.received.count(b" HTTP/1.1\r\n")
    found = told(it, asked, {"2xx": asked, "5xx": len(first.began_s)})
    assert found[f'everyhop_{FIRST}_sum{{route="r",class="5xx"}}'] >= sum(first.began_s)
    of_second = found[f'everyhop_{FIRST}_sum{{route="r",class="2xx"}}']
    assert it.one(found, f"{WHOLE}_sum") - of_second >= sum(first.began_s) >= 0.3
    it.comes(route_requests_under_way=0)


def test_what_no_backend_answered_is_not_in_it_and_a_tunnel_is_when_it_opens(edge: Edges, pki: Pki, raw: Raws) -> None:
    def switches(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        head(sock, record)

    opens = (
        b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    it = Told(edge, route(free_port()))
    assert it.ask(pki) == 502
    told(it, 1, {})
    assert it.it.reload(route(raw(switches).port))["reloaded"]
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        sock.sendall(opens)
        assert sock.recv(4096).startswith(b"HTTP/1.1 101")
        it.comes(backend_first_byte_seconds_count=1)
        told(it, 1, {"1xx": 1})
        it.comes(route_requests_under_way=1)
    told(it, 2, {"1xx": 1})
    it.comes(route_requests_under_way=0)


def test_ejections_are_counted_by_the_rule_and_the_backend_and_stand_at_nought_before(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    fails, dead = raw(answering(BUSY)), free_port()
    serves = [raw(answering(OK)).port for _ in range(2)]
    limits = "[limits]\neject_after = 2\neject_s = 3600\n"
    it = Told(edge, route(fails.port, dead, *serves, more='eject_on = ["5xx"]'), limits)

    def name(port: int, rule: str) -> str:
        return f'everyhop_ejections_total{{route="r",backend="127.0.0.1:{port}",rule="{rule}"}}'

    rules = [name(port, rule) for port in (fails.port, dead, *serves) for rule in ("connects", "5xx")]
    found = {k: v for k, v in it.figures().items() if "ejections" in k}
    assert found == dict.fromkeys(rules, 0)
    with tls(it.it.port, "a.test", pki.public.file) as sock:

        def both() -> bool:
            exchange(sock, ASK)
            return it.one(it.figures(), "ejections_total") == 2

        until(both, 30)
    found = {k: v for k, v in it.figures().items() if "ejections" in k and v}
    assert found == {name(fails.port, "5xx"): 1, name(dead, "connects"): 1}


def test_a_backends_requests_under_way_are_told_of_routes_that_spread_them(edge: Edges, pki: Pki, raw: Raws) -> None:
    script = Holds()
    script.may_end.release(100)
    port, other = raw(script).port, free_port()
    it = Told(edge, route(port, more='balance = "least-requests"'))
    name = f'everyhop_backend_requests_under_way{{route="r",backend="127.0.0.1:{port}"}}'
    assert it.figures()[name] == 0
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        sock.sendall(ASK)
        it.comes(backend_requests_under_way=1)
        script.may_begin.release()
        assert read_answer(sock).status == 200
        assert it.comes(backend_requests_under_way=0)[name] == 0
    assert it.it.reload(route(other))["reloaded"]
    assert not [k for k in it.figures() if "backend_requests_under_way" in k], "nobody counts them there"
