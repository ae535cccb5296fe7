"""Under systemd: what the supervisor tells it, the sockets that it is given, and what the unit forbids."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge
from everyhop.errors import Surroundings
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.process import open_files

Edges = Callable[..., EdgeKit]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{}"]\n'


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


class Manager:
    """The end of systemd that listens: every datagram, as its lines, and the process that sent it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(path)
        self.sock.settimeout(30)

    def next(self, but: str = "WATCHDOG=1") -> tuple[dict[str, str], int]:
        """The next message that is none of `but`, and its sender."""
        while True:
            data, ancillary, _, _ = self.sock.recvmsg(4096, 256)
            (pid,) = (int.from_bytes(value[:4], sys.byteorder) for _, _, value in ancillary)
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            if data.decode() != but:
                return message, pid

    def close(self) -> None:
        self.sock.close()


@contextlib.contextmanager
def run_with(it: EdgeKit, more: Mapping[str, str]) -> Iterator[Edge]:
    """Runs the edge again with more in its environment."""
    assert it.edge.stop() == 0
    it.edge = Edge(it.config, under=["env", *(f"{name}={value}" for name, value in more.items())])
    yield it.edge


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_of_ready_reloading_watchdog_and_stopping(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path, abstract: bool
) -> None:
    it = edge(ROUTE.format(backend.port))
    name = f"everyhop-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager = Manager("\0" + name if abstract else name)
    with run_with(it, {"NOTIFY_SOCKET": "@" + name if abstract else name}) as running:
        assert manager.next() == ({"READY": "1"}, running.process.pid)
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).status == 200, "ready means that it serves"
        assert manager.next(but="") == ({"WATCHDOG": "1"}, running.process.pid)

        before = time.monotonic_ns() // 1000
        running.process.send_signal(signal.SIGHUP)
        reloading, sender = manager.next()
        assert sender == running.process.pid and reloading.keys() == {"RELOADING", "MONOTONIC_USEC"}
        # systemd takes the READY=1 that ends a reload by this: it is of after the signal, by the machine's clock.
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.next()[0] == {"READY": "1"}

        it.config.write_text(it.config.read_text() + "nonsense = 1\n")
        running.process.send_signal(signal.SIGHUP)
        assert manager.next()[0].keys() == {"RELOADING", "MONOTONIC_USEC"}
        assert manager.next()[0] == {"READY": "1"}, "a refused reload is over as well"
        running.wait_for("reload refused", 10)

        running.process.terminate()
        assert manager.next()[0] == {"STOPPING": "1"}
        assert manager.next()[0] == {"EXTEND_TIMEOUT_USEC": "15000000"}, "its drain has five seconds, and then some"
        assert running.process.wait(30) == 0
    manager.close()


def test_the_watchdog_is_fed_while_a_reload_of_many_routes_lasts(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    """The loop, which feeds it else, does not go round meanwhile."""
    many = "".join(
        ROUTE.format(backend.port).replace('"r"', f'"r{i}"').replace("tls", f'path = "/{i}"\ntls', 1)
        for i in range(400)
    )
    it = edge(ROUTE.format(backend.port))
    manager = Manager(str(tmp_path / "notify"))
    with run_with(it, {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "30000"}) as running:
        assert manager.next()[0] == {"READY": "1"}
        it.write(many + ROUTE.format(backend.port))
        running.process.send_signal(signal.SIGHUP)
        assert manager.next()[0].keys() == {"RELOADING", "MONOTONIC_USEC"}
        fed = 0
        while (message := manager.next(but="")[0]) != {"READY": "1"}:
            assert message == {"WATCHDOG": "1"}
            fed += 1
        assert fed > 0
        assert running.wait_for("reloaded, plan", 10)
    manager.close()


def test_a_refused_start_never_says_ready(edge: Edges, backend: Backend, tmp_path: Path) -> None:
    it = edge(ROUTE.format(backend.port))
    good = it.config.read_text()
    manager = Manager(str(tmp_path / "notify"))
    it.config.write_text(good + "nonsense = 1\n")
    with run_with(it, {"NOTIFY_SOCKET": manager.path}) as running:
        assert running.process.wait(30) == 1
    manager.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        manager.next()
    manager.close()
    it.config.write_text(good)
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)


# What systemd does with a socket unit: the socket as descriptor 3, and the process that it is meant for.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=sys.argv[2] or str(os.getpid()), LISTEN_FDNAMES="public")
os.execvp(sys.argv[3], sys.argv[3:])
"""


def activated(it: EdgeKit, sock: socket.socket, pid: str = "") -> Edge:
    """Runs `it` with `sock` as systemd gives it, for the process `pid`: by default the one that is started."""
    sock.set_inheritable(True)
    under = [sys.executable, "-c", ACTIVATE, str(sock.fileno()), pid]
    return Edge(it.config, under=under, pass_fds=[sock.fileno()])


def inode(sock: socket.socket) -> str:
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]"


@pytest.mark.skipif(os.geteuid() != 0, reason="descriptors of a process that is closed are for root's eyes")
def test_a_socket_from_systemd_is_used_for_its_listener(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(ROUTE.format(backend.port), threads=2)
    assert it.edge.stop() == 0
    # As systemd does: bound, listening, blocking, and waited for by a client before anybody serves.
    with socket.create_server(("127.0.0.1", it.port), backlog=64) as given:
        early = opened(socket.create_connection(("127.0.0.1", it.port), 20))
        it.edge = activated(it, given)
        it.edge.wait_for("ready:", 60)
        mine = inode(given)
        assert mine in open_files(it.edge.process.pid)
    # Ours is closed: theirs is the one that listens.
    for _ in range(20):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).status == 200
    early.close()
    assert it.reload(ROUTE.format(backend.port) + "priority = 1\n")["reloaded"]
    assert mine in open_files(it.edge.process.pid)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200


def test_a_socket_that_is_meant_for_another_process_is_not_taken(edge: Edges, backend: Backend) -> None:
    it = edge(ROUTE.format(backend.port))
    assert it.edge.stop() == 0
    with socket.create_server(("127.0.0.1", it.port)) as given:
        it.edge = activated(it, given, pid="1")
        with pytest.raises(Surroundings, match="is in use by another process"):
            it.edge.wait_for("ready:", 60)
        assert it.edge.process.wait(30) == 4
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)


ACCEPTED = """off_host = true
[route.acceptance]
owner = "me"
why = "test"
context = "legacy"
since = {since}
until = {until}
"""


def test_a_strict_start_exits_where_a_date_is_past(edge: Edges, backend: Backend, pki: Pki) -> None:
    today = dt.datetime.now(dt.UTC).date()
    route = ROUTE.format(backend.port)
    it = edge(route + ACCEPTED.format(since=today - dt.timedelta(days=100), until=today + dt.timedelta(days=60)))
    assert it.edge.stop() == 0
    it.edge = Edge(it.config, arguments=["--strict"])
    it.edge.wait_for("ready:", 60)
    assert it.edge.stop() == 0, "the baseline: with a date to come it starts"

    it.write(route + ACCEPTED.format(since=today - dt.timedelta(days=100), until=today - dt.timedelta(days=2)))
    it.edge = Edge(it.config, arguments=["--strict"])
    with pytest.raises(Surroundings, match=r"refused \[acceptance/expired\]"):
        it.edge.wait_for("ready:", 60)
    assert it.edge.process.wait(30) == 1

    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 503
    assert backend.seen == []


# PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN: what MemoryDenyWriteExecute=yes asks for where the kernel has it (6.3).
WITHOUT_NEW_CODE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(65, 1, 0, 0, 0) == 0, ctypes.get_errno()
assert libc.prctl(66, 0, 0, 0, 0) == 1
libc.mmap.restype = ctypes.c_void_p
assert libc.mmap(None, 4096, 7, 0x22, -1, 0) == ctypes.c_void_p(-1).value, "the baseline: it is forbidden"
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3), reason="this kernel cannot forbid it by itself"
)
def test_memory_that_is_written_need_never_become_code(edge: Edges, backend: Backend, pki: Pki) -> None:
    """`MemoryDenyWriteExecute=yes`: Python, what it binds to and the engine do without."""
    it = edge(ROUTE.format(backend.port))
    assert it.edge.stop() == 0
    it.edge = Edge(it.config, under=[sys.executable, "-c", WITHOUT_NEW_CODE])
    it.edge.wait_for("ready:", 60)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    assert it.reload(ROUTE.format(backend.port) + "priority = 1\n")["reloaded"]
    until(lambda: it.status()["generation"] == 2)
