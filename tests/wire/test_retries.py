"""Requests that go to another backend after an answer that was none, and how much and how long a request may be: judged at the
backends and at the client."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering, head, take
from tests.wire.test_http2 import Speaker
from tests.wire.test_turns import Holding

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

BUSY = b"HTTP/1.1 503 Busy\r\nX-From: busy\r\nContent-Length: 4\r\n\r\nbusy"
OVER = "everyhop_retries_over_budget_total"
ON = "retries = { on = [503] }\n"


def route(ports: list[int], more: str = ON) -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = [{to}]\n{more}\n'


def ask(it: EdgeKit, pki: Pki, method: str = "GET", more: str = "") -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, f"{method} / HTTP/1.1\r\nHost: a.test\r\n{more}\r\n", method).status


def asked(backend: Raw) -> int:
    return backend.received.count(b" HTTP/1.1\r\n")


def counted(port: int, name: str) -> float:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f'{name}{{route="r"}} ')]
    return float(line.rpartition(" ")[2])


def status_port() -> tuple[int, str]:
    port = free_port()
    return port, f'[status]\nbind = "127.0.0.1:{port}"\n'


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_one_backend_answers_with_503_another_is_asked_and_it_is_counted_and_logged(
    edge: Edges, pki: Pki, raw: Raws, method: str
) -> None:
    bare = BUSY.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else BUSY
    busy, well = raw(answering(bare)), raw(answering(OK if method == "GET" else OK[:-2]))
    metrics, more = status_port()
    it = edge(route([busy.port, well.port]), more=more)
    assert [ask(it, pki, method) for _ in range(4)] == [200] * 4
    assert asked(busy) == counted(metrics, "everyhop_retries_total") >= 1 and asked(well) == 4
    line = it.line(lambda line: bool(line["failed_hops"]))
    assert line["status"] == 200 and [f["end"] for f in line["failed_hops"]] == ["hop/status-retried"]


@pytest.mark.parametrize(
    ("method", "more"),
    [("POST", "Content-Length: 0\r\n"), ("DELETE", ""), ("OPTIONS", ""), ("GET", "Content-Length: 1\r\n\r\nx")],
)
def test_what_may_happen_once_never_goes_twice(edge: Edges, pki: Pki, raw: Raws, method: str, more: str) -> None:
    backends = [raw(answering(BUSY)), raw(answering(BUSY))]
    it = edge(route([it.port for it in backends]))
    with tls(it.port, "a.test", pki.public.file) as sock:
        end = "" if more.endswith("x") else "\r\n"
        assert exchange(sock, f"{method} / HTTP/1.1\r\nHost: a.test\r\n{more}{end}", method).status == 503
    assert sum(map(asked, backends)) == 1


@pytest.mark.parametrize("more", ["", "retries = { on = [502, 504] }\n"])
def test_an_answer_after_which_nobody_said_to_ask_again_goes_on_as_it_is(
    edge: Edges, pki: Pki, raw: Raws, more: str
) -> None:
    backends = [raw(answering(BUSY)), raw(answering(BUSY))]
    it = edge(route([it.port for it in backends], more))
    assert ask(it, pki) == 503 and sum(map(asked, backends)) == 1


def test_the_last_backend_that_is_asked_has_its_answer_handed_on(edge: Edges, pki: Pki, raw: Raws) -> None:
    backends = [raw(answering(BUSY)) for _ in range(3)]
    it = edge(route([it.port for it in backends], "retries = { attempts = 3, on = [503] }\n"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert (answer.status, answer.text, answer.headers["x-from"]) == (503, "busy", "busy")
    assert [asked(it) for it in backends] == [1, 1, 1], "each once"


def test_retries_stay_within_their_budget_so_that_they_do_not_become_the_outage(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """Of twelve requests three may go again; the answers to the others go on."""
    slow = Holding()
    busy, well = raw(answering(BUSY)), raw(slow)
    metrics, more = status_port()
    it = edge(route([busy.port, well.port]), more=more, threads=1)
    socks = [tls(it.port, "a.test", pki.public.file) for _ in range(12)]
    try:
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: slow.asked + counted(metrics, OVER) == 12 or None)
        assert counted(metrics, "everyhop_retries_total") == 3 and counted(metrics, OVER) == asked(busy) - 3 > 0
    finally:
        slow.go.release(1000)
    with ThreadPoolExecutor(len(socks)) as pool:
        statuses = [answer.status for answer in pool.map(read_answer, socks)]
    assert sorted(statuses) == [200] * slow.asked + [503] * (12 - slow.asked)
    assert ask(it, pki) == 200, "what has ended makes room"


def silent(sock: socket.socket, record: bytearray) -> None:
    while head(sock, record) is not None:
        pass


def test_a_try_that_is_not_answered_in_time_is_followed_by_another(edge: Edges, pki: Pki, raw: Raws) -> None:
    quiet, well = raw(silent), raw(answering(OK))
    it = edge(route([quiet.port, well.port], "retries = { on = [], per_try_s = 1 }\n"), threads=1)
    assert [ask(it, pki) for _ in range(2)] == [200, 200] and asked(quiet) >= 1
    line = it.line(lambda line: bool(line["failed_hops"]))
    assert [f["end"] for f in line["failed_hops"]] == ["hop/first-byte-timeout"]


def test_the_same_holds_over_http2_on_both_sides(edge: Edges, pki: Pki, raw: Raws) -> None:
    def saying(status: bytes) -> H2Backend:
        def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
            if isinstance(event, h2.events.StreamEnded):
                spoken.answer(asked.stream, status=status)

        return H2Backend(on)

    busy, well = saying(b"503"), saying(b"200")
    it = edge(route([raw(busy).port, raw(well).port], 'upstream_protocol = "h2"\n' + ON))
    with Speaker(it, pki) as speaker:
        assert [speaker.outcome(speaker.headers()) for _ in range(4)] == ["200"] * 4
    assert busy.asked and len(well.asked) == 4


LIMITED = "limits = { body_bytes = 10 }\n"


@pytest.mark.parametrize("rest", ["Content-Length: 11\r\n\r\n12345678901", "Content-Length: 99999999999\r\n\r\n"])
def test_a_body_that_declares_too_much_is_refused_before_a_backend_sees_it(
    edge: Edges, pki: Pki, raw: Raws, rest: str
) -> None:
    backend = raw(answering(OK))
    it = edge(route([backend.port], LIMITED))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, f"POST / HTTP/1.1\r\nHost: a.test\r\n{rest}")
    assert answer.status == 413 and "request/body-too-long" in answer.text and not backend.received


def when_whole(sock: socket.socket, record: bytearray) -> None:
    """Answers once the last chunk is there: an answer may come before, and then it stands."""
    if head(sock, record) is not None:
        while b"0\r\n\r\n" not in record:
            if not take(sock, record, 1):
                return
        sock.sendall(OK)


def test_a_body_that_turns_out_too_long_is_broken_off_and_one_that_fits_passes(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = raw(when_whole)
    it = edge(route([backend.port], LIMITED))
    start = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body, status in (("a\r\n1234567890\r\n0\r\n\r\n", 200), ("6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n", 413)):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, start + body).status == status
    assert b"1234567890" in backend.received and b"ghijk" not in backend.received
    assert backend.received.count(b"0\r\n\r\n") == 1, "a backend never takes what was broken off for a whole one"


def test_a_body_by_http2_is_held_to_the_same_length(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route([raw(when_whole).port], LIMITED))
    with Speaker(it, pki) as speaker:
        stream = speaker.headers(method="POST", end=False)
        speaker.h2.send_data(stream, b"x" * 11, end_stream=True)
        speaker.flush()
        assert speaker.outcome(stream) == "413"


TRICKLE = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"


def test_an_answer_has_a_time_for_all_of_it(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route([raw(silent).port], "limits = { total_s = 1 }\n"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert answer.status == 504 and "hop/total-timeout" in answer.text
    assert it.reload(route([raw(answering(TRICKLE)).port], "limits = { total_s = 4 }\n"))["reloaded"]
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        got = b""
        while more := sock.recv(4096):
            got += more
    assert got.endswith(b"begun"), "what had begun is broken off, and not told as whole"
    assert it.line(lambda line: line["status"] == 200)["end"] == "hop/total-timeout"
