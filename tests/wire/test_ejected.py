"""A backend that takes requests and does not answer is left alone, says why, and is found well again by the edge itself."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
ROUTE = """
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{one}", "127.0.0.1:{other}"]
{more}
"""
LIMITS = "[limits]\neject_after = 2\neject_s = {eject_s}\nfirst_byte_s = 3\nupstream_idle_s = 1\n"
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def statuses(it: EdgeKit, pki: Pki, count: int) -> list[int]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return [exchange(sock, GET).status for _ in range(count)]


def trouble(it: EdgeKit) -> tuple[str, str] | None:
    told = it.admin("status")["supervisor"]["troubles"]
    return next(((t["about"], t["why"]) for t in told if t["kind"] == "backend-ejected"), None)


def rule(it: EdgeKit) -> dict[str, object] | None:
    """What the first backend is ejected by, with its figures."""
    (address,) = it.status()["routes"][0]["backends"][0]["addresses"]
    return address["ejected"]  # type: ignore[no-any-return]


def test_the_rule_that_ejects_is_named_with_its_figures_and_gone_with_the_backends_return(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """By connects that fail, at most half of a route's backends, and one of two all the same."""
    dead, serves = free_port(), raw(answering(OK))
    it = edge(ROUTE.format(one=dead, other=serves.port, more=""), more=LIMITS.format(eject_s=1))
    assert rule(it) is None
    assert statuses(it, pki, 4) == [200] * 4
    told = until(lambda: rule(it), 20)
    assert told["row"] in {2, 3} and told | {"row": 2} == {"rule": "connects", "row": 2, "after": 2, "every_s": 1}
    back = Backend("back", port=dead)
    with contextlib.closing(back):
        until(lambda: it.status()["routes"][0]["backends"][0]["state"] == "up" or None, 30)
        assert rule(it) is None


def test_a_backend_that_never_answers_is_left_alone_and_told_of(edge: Edges, raw: Raws, pki: Pki) -> None:
    """It takes connections, so it comes back each `eject_s`, and one request finds out again."""
    ended = threading.Event()

    def never(sock: socket.socket, record: bytearray) -> None:
        if head(sock, record) is not None:
            ended.wait(20)

    hangs, serves = raw(never), raw(answering(OK))
    it = edge(ROUTE.format(one=hangs.port, other=serves.port, more=""), more=LIMITS.format(eject_s=3600))
    got = statuses(it, pki, 12)
    ended.set()
    assert got.count(504) == 2 and set(got[6:]) == {200}, got
    assert rule(it) == {"rule": "timeouts", "row": 2, "after": 2, "every_s": 3600}
    shown = " ".join(it.cli("status", "--config", str(it.config)).stdout.split())
    said = "ejected by timeouts: requests without an answer within first_byte_s, 2 in a row (eject_after = 2)"
    assert f"127.0.0.1:{hangs.port} {said}; looked at again every 3600 s" in shown, shown
    why = until(lambda: trouble(it), 10)
    assert why == (f"backend 127.0.0.1:{hangs.port} of route r", "hop/first-byte-timeout")


def test_a_backend_that_answers_5xx_to_everything_is_left_alone_where_its_route_says_so(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    fails, serves = raw(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")), raw(answering(OK))
    said = ROUTE.format(one=fails.port, other=serves.port, more='eject_on = ["5xx"]')
    it = edge(said, more=LIMITS.format(eject_s=3600))
    got = statuses(it, pki, 12)
    assert got.count(500) == 2 and set(got[6:]) == {200}, got
    assert rule(it) == {"rule": "5xx", "row": 2, "after": 2, "every_s": 3600}
    assert until(lambda: trouble(it), 10) == (f"backend 127.0.0.1:{fails.port} of route r", "its answers are 5xx")
    silent = edge(ROUTE.format(one=fails.port, other=serves.port, more=""), more=LIMITS.format(eject_s=3600))
    assert statuses(silent, pki, 12).count(500) == 6, "an application's own business"


def test_a_backend_that_is_back_is_found_by_a_handshake_and_by_no_request(edge: Edges, raw: Raws, pki: Pki) -> None:
    """In the pattern of its route: what listens and is not it is not taken for it."""
    more = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
    serves = raw(answering(OK), pki.backend)
    other = raw(answering(OK), pki.other)
    routes = ROUTE.format(one=other.port, other=serves.port, more=more).replace('"plaintext"', '"reencrypt"')
    it = edge(routes, more=LIMITS.format(eject_s=1))
    assert set(statuses(it, pki, 6)) == {200}
    tried = len(other.failures) + len(other.records)
    until(lambda: len(other.failures) + len(other.records) >= tried + 2 or None, 20)
    assert trouble(it) is not None or it.status()["routes"][0]["backends"][0]["state"] == "ejected"
    assert not other.received, "no request came"
    other.context = serves.context
    until(lambda: it.status()["routes"][0]["backends"][0]["state"] == "up" or None, 20)
    assert not other.received, "it was asked without one"
    assert set(statuses(it, pki, 4)) == {200}
    assert other.received
