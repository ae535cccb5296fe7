"""What only more than two threads show: everyone accepts, what is shared is shared by all, sums are sums of all.

The kernel spreads connections over the threads' sockets by their addresses: of 48, none of four threads is left out but
once in 250,000 times.
"""

from __future__ import annotations

import contextlib
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
THREADS, CLIENTS = 4, 48


def route(*ports: int, pattern: str = "plaintext", more: str = "") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{pattern}"\nto = [{to}]\n{more}\n'


def get(path: str = "/") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"


@contextlib.contextmanager
def clients(it: EdgeKit, pki: Pki, count: int = CLIENTS) -> Iterator[list[ssl.SSLSocket]]:
    """Connections of which each was served once."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(tls(it.port, "a.test", pki.public.file)) for _ in range(count)]
        for number, sock in enumerate(socks):
            assert exchange(sock, get(f"/first/{number}")).status == 200
        yield socks


def listening(port: int) -> list[int]:
    """How many connections wait at each socket that listens on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # State 0A is LISTEN; its receive queue counts connections that nobody accepted yet.
    return [int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]


def test_every_thread_has_a_socket_of_its_own_and_leaves_nobody_waiting(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(OK)).port), threads=THREADS)
    with clients(it, pki):
        assert listening(it.port) == [0] * THREADS


def test_what_the_threads_counted_is_told_as_one_sum(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Nothing is lost between threads, nothing told twice, and no two things have one id."""
    it = edge(route(raw(answering(OK)).port), threads=THREADS)
    with clients(it, pki) as socks:
        for number, sock in enumerate(socks):
            assert exchange(sock, get(f"/again/{number}")).status == 200
        # An answer may overtake its being counted.
        until(lambda: it.status()["routes"][0]["requests"] >= 2 * CLIENTS or None)
        status = it.status()
        assert (status["connections"], status["handshakes"]["ok"]) == (CLIENTS, CLIENTS)
        assert status["routes"][0]["requests"] == 2 * CLIENTS
        names = {":".join(map(str, sock.getsockname())) for sock in socks}
    until(lambda: it.status()["connections"] == 0)
    lines = until(lambda: told if len(told := it.lines()) >= 2 * CLIENTS else None)
    asked = sorted(f"/{word}/{number}" for word in ("first", "again") for number in range(CLIENTS))
    assert sorted(str(line["path"]) for line in lines) == asked
    assert len({line["id"] for line in lines}) == 2 * CLIENTS
    assert {line["peer"] for line in lines} == names


def test_a_reload_holds_at_once_for_open_connections_of_every_thread(edge: Edges, raw: Raws, pki: Pki) -> None:
    before, after = raw(answering(OK)), raw(answering(OK.replace(b"ok", b"no")))
    it = edge(route(before.port), threads=THREADS)
    with clients(it, pki) as socks:
        assert it.reload(route(after.port))["reloaded"]
        came = len(before.received)
        assert [exchange(sock, get()).body for sock in socks] == [b"no"] * CLIENTS
        settle(it, before, after)
        assert len(before.received) == came


def test_a_backend_that_failed_is_left_alone_by_every_thread(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Three failures in a row are three of all threads together, not three of each."""
    bad, good = raw(lambda sock, record: None), raw(answering(OK), pki.backend)
    verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
    limits = "[limits]\neject_after = 3\neject_s = 3600\n"
    it = edge(route(bad.port, good.port, pattern="reencrypt", more=verify), threads=THREADS, more=limits)
    with clients(it, pki) as socks:
        for sock in socks:
            assert exchange(sock, get()).status == 200
    settle(it, good)
    states = {b["at"]: b["state"] for b in it.status()["routes"][0]["backends"]}
    assert states == {f"127.0.0.1:{bad.port}": "ejected", f"127.0.0.1:{good.port}": "up"}
    assert len(bad.records) == 3


@pytest.mark.parametrize("limit", ["of a source", "of a listener"])
def test_a_limit_of_connections_is_one_over_all_threads(edge: Edges, raw: Raws, pki: Pki, limit: str) -> None:
    more, listener = "", ""
    if limit == "of a source":
        more = f"[limits]\nconnections_per_source = {CLIENTS}\n"
    else:
        listener = f"connections = {CLIENTS}"
    it = edge(route(raw(answering(OK)).port), threads=THREADS, more=more, listener=listener)
    with clients(it, pki):
        for _ in range(CLIENTS):
            with pytest.raises(OSError):
                tls(it.port, "a.test", pki.public.file).close()
        assert it.status()["connections"] == CLIENTS
    until(lambda: it.status()["connections"] == 0)
    with clients(it, pki):
        pass


def test_a_drain_ends_idle_connections_of_every_thread(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(OK)).port), threads=THREADS)
    with clients(it, pki) as socks:
        it.edge.process.send_signal(signal.SIGTERM)
        assert [sock.recv(1) for sock in socks] == [b""] * CLIENTS
    assert it.edge.process.wait(20) == 0
