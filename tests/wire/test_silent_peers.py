"""How long a backend may acknowledge nothing, or take nothing, before the kernel gives its connection up: the kernel takes both
for one. Half a minute, or as long as a limit lets it pause: `body_progress_s` of a request, `tunnel_idle_s` of a tunnel."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, Record, head
from tests.wire.test_tcp import receive, route, site
from tests.wire.test_tunnel_ends import ASKED, Tunnel

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

PIDFD_GETFD = 438
"""The number of the system call, on every architecture."""
HALF_A_MINUTE, IDLE_S = 30_000, 77
LIMITS = f"limits = {{ tunnel_idle_s = {IDLE_S} }}"


def inode(port: int) -> str | None:
    """Of the one socket that is connected to that port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        if (int(remote.partition(":")[2], 16), state) == (port, "01"):
            return rest[5]
    return None


def below(pid: int) -> Iterator[int]:
    """With its children; threads and processes may end meanwhile."""
    yield pid
    threads: list[Path] = []
    with contextlib.suppress(OSError):
        threads = [*Path(f"/proc/{pid}/task").iterdir()]
    for thread in threads:
        children = ""
        with contextlib.suppress(OSError):
            children = (thread / "children").read_text()
        for child in children.split():
            yield from below(int(child))


def timeout_ms(it: EdgeKit, backend: Raw) -> int:
    """What the edge's own socket to the backend says."""
    wanted = until(lambda: inode(backend.port))
    for pid in below(it.edge.process.pid):
        links: list[Path] = []
        with contextlib.suppress(FileNotFoundError):
            links = [*Path(f"/proc/{pid}/fd").iterdir()]
        for link in links:
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(link) != f"socket:[{wanted}]":
                    continue
                with socket.socket(fileno=taken(pid, int(link.name))) as copy:
                    return copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    raise AssertionError("the edge has no such socket")


def taken(pid: int, number: int) -> int:
    """A descriptor of another process, as one of this one."""
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copy < 0:
        pytest.skip(f"sockets of another process are not shown here: {os.strerror(ctypes.get_errno())}")
    return int(copy)


@pytest.mark.parametrize(("limit", "wanted"), [(LIMITS, HALF_A_MINUTE), ("limits = { body_progress_s = 88 }", 88_000)])
def test_a_backend_of_requests_may_be_silent_for_half_a_minute_or_as_long_as_a_body_may_rest(
    edge: Edges, raw: Raws, pki: Pki, limit: str, wanted: int
) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        while head(sock, record) is not None:
            sock.sendall(OK)

    backend = raw(script)
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n{limit}\n'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
        assert timeout_ms(it, backend) == wanted


@pytest.mark.parametrize("pattern", ["passthrough", "plaintext"])
def test_one_of_a_tunnel_may_pause_for_as_long_as_the_tunnel_may_be_idle(
    edge: Edges, raw: Raws, pki: Pki, pattern: str
) -> None:
    """U01."""
    through = pattern == "passthrough"
    backend = raw(Tunnel("the client"), *[pki.public.leaf("through", "t.test")] * through)
    host = "t.test" if through else "a.test"
    it = edge(
        f'[[route]]\nname = "r"\nhost = "{host}"\ntls = "{pattern}"\nto = ["127.0.0.1:{backend.port}"]\n{LIMITS}\n'
    )
    with tls(it.port, host, pki.public.file) as sock:
        sock.sendall(ASKED)
        said = b""
        while not said.endswith(b"hi"):
            said += (more := sock.recv(4096))
            assert more, said
        assert timeout_ms(it, backend) == IDLE_S * 1000


def test_one_of_a_stream_may_pause_as_long_too_and_never_shorter_than_of_a_request(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")
    for idle_s, wanted in ((IDLE_S, IDLE_S * 1000), (20, HALF_A_MINUTE)):
        backend = raw(lambda sock, record: (sock.sendall(b"220 ready"), record.take(sock, 1)))
        it = edge(route(backend.port, more=f"limits = {{ tunnel_idle_s = {idle_s} }}") + site())
        with tls(it.port, "mq.test", pki.public.file) as sock:
            assert receive(sock, 9) == b"220 ready"
            assert timeout_ms(it, backend) == wanted
