"""`everyhop drain`: a backend that takes nothing new, whatever is reloaded or started anew, and no request that is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.process import children
from tests.kit.raw import OK, answering, head
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
KEPT = "[limits]\nupstream_idle_s = 3600\n"


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    both = [Backend(f"b{i}") for i in range(2)]
    yield both
    for it in both:
        it.close()


def routes(*ports: int, more: str = "") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "shop"\nhost = "a.test"\ntls = "plaintext"\nto = [{to}]\n{more}'


def drain(it: EdgeKit, port: int, *more: str) -> tuple[int, str]:
    told = it.cli("drain", "shop", f"127.0.0.1:{port}", *more, "--config", str(it.config))
    return told.returncode, " ".join((told.stdout + told.stderr).split())


def ask(it: EdgeKit, pki: Pki, count: int = 1) -> list[int]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return [exchange(sock, GET).status for _ in range(count)]


def test_a_drained_backend_takes_nothing_new_through_reload_engine_and_supervisor(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    one, other = backends
    it = edge(routes(one.port, other.port))
    before = it.status()["plan_digest"]
    code, told = drain(it, one.port)
    assert code == 0 and told.startswith(f"127.0.0.1:{one.port} of route shop takes nothing new"), told
    it.edge.wait_for(f"backend 127.0.0.1:{one.port} of route shop is drained: it takes nothing new")

    def is_left_alone() -> None:
        seen = len(one.seen)
        assert ask(it, pki, 4) == [200] * 4
        assert len(one.seen) == seen

    is_left_alone()
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert f"drained: 127.0.0.1:{one.port} of route shop, 0 connection(s) still open to it" in shown, shown
    assert it.reload(routes(one.port, other.port, more="websocket = false\n"))["reloaded"]
    is_left_alone()
    (engine,) = children(it.edge.process.pid)
    os.kill(engine, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    is_left_alone()
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)
    it.edge.wait_for(f"backend 127.0.0.1:{one.port} of route shop is drained")
    is_left_alone()
    assert it.reload(routes(one.port, other.port))["reloaded"]
    assert drain(it, one.port, "--off") == (0, f"127.0.0.1:{one.port} of route shop takes its share again")
    assert it.status()["plan_digest"] == before, "what is decided runs again, to the byte"
    seen = len(one.seen)
    assert ask(it, pki, 4) == [200] * 4 and len(one.seen) == seen + 2


def test_the_last_backend_is_drained_only_if_that_is_said_and_then_requests_are_told_so(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    one, other = backends
    it = edge(routes(one.port, other.port))
    assert drain(it, one.port)[0] == 0
    code, told = drain(it, other.port)
    assert code == 1 and "is the last backend of route 'shop'" in told and "--last-too" in told, told
    assert ask(it, pki) == [200]
    code, told = drain(it, other.port, "--last-too")
    assert code == 0 and "No other backend takes anything: requests are refused" in told, told
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert answer.status == 503 and "hop/drained" in answer.text, answer
    assert it.line(lambda line: line["status"] == 503)["end"] == "hop/drained"


def test_what_is_under_way_ends_in_its_own_time_and_what_was_kept_is_closed(edge: Edges, pki: Pki, raw: Raws) -> None:
    """By HTTP/1.1, to a backend that answers when it is told to."""
    go, asked = threading.Event(), threading.Event()

    def holds(sock, record) -> None:  # type: ignore[no-untyped-def]
        first = True
        while head(sock, record) is not None:
            if b"/held" in record and first:
                first = False
                asked.set()
                go.wait(20)
            sock.sendall(OK)

    slow, other = raw(holds), raw(answering(OK))
    it = edge(routes(slow.port, other.port), more=KEPT)
    assert ask(it, pki, 4) == [200] * 4
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(2):
            sock.sendall(GET.replace("/ ", "/held ").encode())
            if until(lambda: asked.is_set() or other.received.count(b"/held") or None) is True:
                break
            exchange(sock, GET)
        assert asked.is_set()
        assert drain(it, slow.port)[0] == 0
        shown = it.cli("status", "--config", str(it.config)).stdout
        assert f"127.0.0.1:{slow.port} of route shop, 1 connection(s) still open to it" in shown, shown
        assert ask(it, pki, 4) == [200] * 4
        go.set()
        assert b"200 OK" in sock.recv(4096)
    until(lambda: all(record.ended for record in slow.records) or None)
    until(lambda: it.status()["routes"][0]["backends"][0]["open"] == 0 or None)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_no_request_is_lost_while_backends_are_drained_and_brought_back_under_load(
    edge: Edges, pki: Pki, backends: list[Backend], protocol: str
) -> None:
    """POST too, which is never sent twice: what a client is answered, one backend did, once."""
    it = edge(routes(*(b.port for b in backends)), threads=2)
    over = threading.Event()
    wrong: list[str] = []

    def load(number: int) -> int:
        post = f"POST /{number} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok"
        count = 0
        while not over.is_set():
            with contextlib.ExitStack() as opened:
                if protocol == "h2":
                    speaker = opened.enter_context(Speaker(it, pki))
                else:
                    sock = opened.enter_context(tls(it.port, "a.test", pki.public.file))
                for _ in range(20):
                    if protocol == "h2":
                        stream = speaker.headers(("content-length", "2"), method="POST", path=f"/{number}", end=False)
                        speaker.h2.send_data(stream, b"ok", end_stream=True)
                        speaker.flush()
                        status = speaker.outcome(stream)
                    else:
                        status = str(exchange(sock, post).status)
                    count += 1
                    if status != "200":
                        wrong.append(status)
        return count

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, n) for n in range(4)]
        for _ in range(5):
            for backend in backends:
                other = next(b for b in backends if b is not backend)
                at = f"127.0.0.1:{backend.port}"
                told = it.admin("drain", route="shop", at=at, off=False, last_too=False)
                assert told["switched"], told
                until(lambda port=backend.port: is_free(it, port) or None)  # type: ignore[misc]
                seen, others = len(backend.seen), len(other.seen)
                until(lambda o=other, n=others: len(o.seen) > n + 5 or None)  # type: ignore[misc]
                assert len(backend.seen) == seen, "nothing goes there"
                assert it.admin("drain", route="shop", at=at, off=True, last_too=False)["switched"]
                until(lambda b=backend, n=seen: len(b.seen) > n or None)  # type: ignore[misc]
        over.set()
        asked = sum(future.result(60) for future in loads)
    assert wrong == []
    assert asked == sum(len(b.seen) for b in backends), "each once"


def is_free(it: EdgeKit, port: int) -> bool:
    found = it.status()["routes"][0]["backends"]
    return next(bool(b["open"] == 0) for b in found if b["at"] == f"127.0.0.1:{port}")
