"""A backend whose answers begin late is left alone where its route says how late that is, and where another is quick."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering, head, rest
from tests.wire.test_ejected import LIMITS, ROUTE, rule, statuses, trouble

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
SLOW = "eject_on = [{ slow_ms = 400 }]"
LATE_S = 1.0
"""Later than that, which is so much that the other one is quicker on a busy machine, too."""
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Late:
    """Answers each head after some seconds; at once when it is woken for good."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.awake = seconds, threading.Event()

    def __call__(self, sock: socket.socket, record: bytearray) -> None:
        while head(sock, record) is not None:
            self.awake.wait(self.seconds)
            sock.sendall(OK)


@pytest.fixture
def late() -> Iterator[Callable[[float], Late]]:
    made: list[Late] = []

    def make(seconds: float) -> Late:
        made.append(Late(seconds))
        return made[-1]

    yield make
    for it in made:
        it.awake.set()


def test_a_backend_whose_answers_begin_late_is_left_alone_and_found_well_by_the_edge(
    edge: Edges, raw: Raws, pki: Pki, late: Callable[[float], Late]
) -> None:
    script = late(LATE_S)
    slow, quick = raw(script), raw(answering(OK))
    it = edge(ROUTE.format(one=slow.port, other=quick.port, more=SLOW), more=LIMITS.format(eject_s=3600))
    assert statuses(it, pki, 12) == [200] * 12
    assert slow.received.count(b"GET / ") == 2, "eject_after"
    assert rule(it) == {"rule": "slow", "row": 2, "after": 2, "every_s": 3600, "slow_ms": 400}
    shown = " ".join(it.cli("status", "--config", str(it.config)).stdout.split())
    said = "ejected by slow: answers that began later than 400 ms, 2 in a row (eject_after = 2)"
    assert f"127.0.0.1:{slow.port} {said}; looked at again every 3600 s" in shown, shown
    assert until(lambda: trouble(it), 10) == (f"backend 127.0.0.1:{slow.port} of route r", "its answers begin late")
    script.awake.set()
    it.more = LIMITS.format(eject_s=1)
    again = edge(ROUTE.format(one=slow.port, other=quick.port, more=SLOW), more=LIMITS.format(eject_s=1))
    assert statuses(again, pki, 4) == [200] * 4 and rule(again) is None


def test_one_that_comes_back_is_on_trial_and_its_next_late_answer_is_enough(
    edge: Edges, raw: Raws, pki: Pki, late: Callable[[float], Late]
) -> None:
    script = late(LATE_S)
    slow, quick = raw(script), raw(answering(OK))
    it = edge(ROUTE.format(one=slow.port, other=quick.port, more=SLOW), more=LIMITS.format(eject_s=1))

    def state() -> str:
        return str(it.status()["routes"][0]["backends"][0]["state"])

    assert statuses(it, pki, 4) == [200] * 4 and state() == "ejected"
    until(lambda: state() == "up" or None, 20)
    before = slow.received.count(b"GET / ")
    assert statuses(it, pki, 2) == [200] * 2
    assert slow.received.count(b"GET / ") == before + 1 and state() == "ejected"
    script.awake.set()
    until(lambda: state() == "up" or None, 20)
    assert statuses(it, pki, 8) == [200] * 8 and state() == "up"


def test_where_all_are_slow_none_is_left_alone(edge: Edges, raw: Raws, pki: Pki, late: Callable[[float], Late]) -> None:
    """What they share is slow then, and fewer of them would be slower."""
    one, other = raw(late(LATE_S)), raw(late(LATE_S))
    it = edge(ROUTE.format(one=one.port, other=other.port, more=SLOW), more=LIMITS.format(eject_s=3600))
    # The first to reach its row meets one whose last answer was late too.
    assert statuses(it, pki, 8) == [200] * 8
    assert [b["state"] for b in it.status()["routes"][0]["backends"]] == ["up", "up"]
    assert one.received.count(b"GET / ") == other.received.count(b"GET / ") == 4


def test_a_client_that_sends_or_reads_slowly_makes_no_backend_slow(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Nor does an answer that goes on for long: what counts is from the request's end to the answer's beginning."""
    waits = threading.Event()

    def answers(sock: socket.socket, record: bytearray) -> None:
        while (got := head(sock, record)) is not None:
            rest(sock, record, 2 if got.startswith(b"POST") else 0)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            waits.wait(LATE_S)
            sock.sendall(b"k")

    one, other = raw(answers), raw(answers)
    it = edge(ROUTE.format(one=one.port, other=other.port, more=SLOW), more=LIMITS.format(eject_s=3600))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(6):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nh")
            waits.wait(LATE_S)
            assert exchange(sock, b"i").status == 200
    assert [b["state"] for b in it.status()["routes"][0]["backends"]] == ["up", "up"]


def test_clients_that_did_not_wait_for_a_late_answer_count_too(
    edge: Edges, raw: Raws, pki: Pki, late: Callable[[float], Late]
) -> None:
    """Else the slowest backend would be the one that is never found out."""
    slow, quick = raw(late(60)), raw(answering(OK))
    limits = LIMITS.format(eject_s=3600).replace("first_byte_s = 3", "first_byte_s = 3600")
    it = edge(ROUTE.format(one=slow.port, other=quick.port, more=SLOW), more=limits)
    for n in range(2):
        with contextlib.ExitStack() as stack:
            while slow.received.count(b"GET / ") == n:
                sock = stack.enter_context(tls(it.port, "a.test", pki.public.file, kept=False))
                sock.sendall(GET.encode())
                until(lambda seen=n: slow.received.count(b"GET / ") > seen or quick.is_at_rest() or None)  # type: ignore[misc]
            threading.Event().wait(LATE_S)
    until(lambda: it.status()["routes"][0]["backends"][0]["state"] == "ejected" or None, 20)
    told = rule(it)
    assert told is not None and told["rule"] == "slow"
    assert statuses(it, pki, 4) == [200] * 4
