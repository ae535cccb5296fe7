"""What must end: a tunnel with the acceptance that its hop lives by, and everything with its drain. The log says by what.

The clock is the test's own, as in `tests/promises/clock.py`: nothing waits for a date to come.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.promises.backend import Counting
from tests.promises.clients import UPGRADE, echoed
from tests.promises.clock import Wall, can_run

Edges = Callable[..., EdgeKit]

ACCEPTED = """
[[route]]
name = "accepted"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
off_host = true
[route.acceptance]
owner = "test@example.com"
why = "to see it end"
context = "legacy"
since = {since}
until = {until}
"""
PASSED = '[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{port}"]\n'


@pytest.fixture
def wall() -> Iterator[Wall]:
    with tempfile.TemporaryDirectory(prefix="eh-clock-") as folder:
        it = Wall(Path(folder))
        with it.over():
            yield it


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def tunnel(it: EdgeKit, pki: Pki) -> ssl.SSLSocket:
    sock = tls(it.port, "a.test", pki.public.file)
    sock.settimeout(30)
    assert exchange(sock, UPGRADE.format(host="a.test")).status == 101
    echoed(sock, b"there")
    return sock


def status(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status


def ended(sock: ssl.SSLSocket) -> bool:
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def accepted(port: int, lasts: dt.timedelta) -> str:
    now = dt.datetime.now(dt.UTC)
    return ACCEPTED.format(port=port, since=now.date().isoformat(), until=(now + lasts).isoformat())


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_a_tunnel_over_an_accepted_hop_outlives_the_acceptance_by_a_drain_and_no_more(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    """What has a date obeys the date, not how long it seemed to be when the tunnel was opened."""
    it = edge(accepted(backend.port, dt.timedelta(hours=1)), drain_s=600)
    with tunnel(it, pki) as sock:
        wall.jump(3600 + 60)
        until(lambda: status(it, pki) == 503 or None, 20)
        echoed(sock, b"its request was let in")
        wall.jump(3600 + 660)

        def gone() -> bool:
            try:
                echoed(sock, b"more")
            except (OSError, ValueError):
                return True
            return False

        until(lambda: gone() or None, 20)
    line = it.line(lambda x: x["route"] == "accepted" and x["status"] == 101)
    assert line["end"] == "hop/acceptance-expired"


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_an_idle_tunnel_over_an_accepted_hop_ends_when_the_clock_is_put_past_its_end(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    """Nothing moves on it that could remind anybody."""
    it = edge(accepted(backend.port, dt.timedelta(hours=1)), drain_s=1)
    with tunnel(it, pki) as sock:
        wall.jump(2 * 3600)
        assert ended(sock)
    line = it.line(lambda x: x["route"] == "accepted" and x["status"] == 101)
    assert line["end"] == "hop/acceptance-expired"


def test_what_outlasts_a_drain_ends_with_it_and_each_has_its_line(edge: Edges, pki: Pki, backend: Counting) -> None:
    """A tunnel and a session that is not ours alike."""
    passed = Counting(pki.pass_leaf)
    plain = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(plain + PASSED.format(port=passed.port), drain_s=1)
    with tunnel(it, pki) as one, tls(it.port, "pass.test", pki.public.file) as two:
        assert exchange(two, "GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n").status == 200
        it.edge.process.terminate()
        it.edge.wait_for("draining", 20)
        assert ended(one) and ended(two)
        assert it.edge.process.wait(30) == 0
    lines = {line["route"]: line["end"] for line in it.lines()}
    assert lines == {"r": "connection/draining", "pass": "connection/draining"}
    passed.close()
