"""Clients of every kind that go on until they are told to stop, and tell what went wrong and how long each step took."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.kit import tls
from tests.promises.yard import HOSTS, Yard
from tests.threats.frames import Client, fields

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
IDS = itertools.count()


class Own(threading.local):
    """What the thread opened, where it ends what it opens."""

    socks: list[ssl.SSLSocket] | None = None


OWN = Own()


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Each connection that this thread opens meanwhile ends with it: a load opens thousands."""
    OWN.socks = []
    try:
        yield
    finally:
        for sock in OWN.socks:
            sock.close()
        OWN.socks = None


def connect(it: Yard, pattern: str = "plaintext", alpn: list[str] | None = None) -> ssl.SSLSocket:
    """Ends with the thread's own scope, else with the promise."""
    sock = tls(it.port, HOSTS[pattern], it.ca, alpn=alpn, kept=OWN.socks is None)
    if OWN.socks is not None:
        # Of those that were closed meanwhile nothing is owed.
        OWN.socks = [*(s for s in OWN.socks if s.fileno() >= 0), sock]
    sock.settimeout(30)
    return sock


def get(
    sock: ssl.SSLSocket, host: str, *, path: str = "/", method: str = "GET", id_: str = "", close: bool = False
) -> tuple[int, bytes]:
    """A request and its answer's status and body. The body has a length: what else would come is a fault of the edge."""
    end = "Connection: close\r\n" if close else ""
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Id: {id_ or next(IDS)}\r\n{end}\r\n".encode())
    return answer(sock)[:2]


def answer(sock: ssl.SSLSocket) -> tuple[int, bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(f[15:]) for f in head.lower().split(b"\r\n") if f.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += more(sock)
    if len(body) > length:
        raise ValueError("more came than was asked for")
    return int(head[9:12]), body, head


def more(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("the connection ended")
    return data


def upgraded(it: Yard, pattern: str = "plaintext") -> ssl.SSLSocket:
    sock = connect(it, pattern)
    sock.sendall(UPGRADE.format(host=HOSTS[pattern]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += more(sock)
    if not head.startswith(b"HTTP/1.1 101"):
        raise ValueError(f"no upgrade: {head[:40]!r}")
    return sock


def echoed(sock: socket.socket, message: bytes) -> None:
    sock.sendall(message)
    got = b""
    while len(got) < len(message):
        got += more(sock)
    if got != message:
        raise ValueError("the echo differs")


def echoes(sock: socket.socket, message: bytes) -> bool:
    """False once nothing comes back: the tunnel is cut."""
    try:
        echoed(sock, message)
    except (OSError, ValueError):
        return False
    return True


def h2(it: Yard, pattern: str = "plaintext") -> Client:
    sock = connect(it, pattern, ["h2"])
    assert sock.selected_alpn_protocol() == "h2"
    return Client(sock)


Step = Callable[[], None]


def h1_steps(it: Yard, pattern: str) -> Step:
    sock, host = connect(it, pattern), HOSTS[pattern]

    def step() -> None:
        status, body = get(sock, host)
        if status != 200 or not body.startswith(b"ok"):
            raise ValueError(f"{status} {body[:80]!r}")

    return step


def fresh_steps(it: Yard, pattern: str) -> Step:
    """A connection a request."""

    def step() -> None:
        with connect(it, pattern) as sock:
            status, body = get(sock, HOSTS[pattern], close=True)
            if status != 200 or not body.startswith(b"ok"):
                raise ValueError(f"{status} {body[:80]!r}")

    return step


def h2_steps(it: Yard, pattern: str) -> Step:
    client, host, streams = h2(it, pattern), HOSTS[pattern], itertools.count(1, 2)

    def step() -> None:
        found = client.ask(next(streams), fields(host, (b"x-id", str(next(IDS)).encode()), path=b"/"))
        if found != "200":
            raise ValueError(f"HTTP/2: {found}, GOAWAY {client.goaway}")

    return step


def websocket_steps(it: Yard, pattern: str) -> Step:
    sock = upgraded(it, pattern)
    return lambda: echoed(sock, b"m" * 512)


def passing_steps(it: Yard, _: str) -> Step:
    return h1_steps(it, "passthrough")


Kind = tuple[str, Callable[[Yard, str], Step], str]
"""What it is called, how its steps are made, and in which pattern."""

MIX: list[Kind] = [
    ("h1", h1_steps, "plaintext"),
    ("h1", h1_steps, "mutual"),
    ("new", fresh_steps, "reencrypt"),
    ("h2", h2_steps, "plaintext"),
    ("h2", h2_steps, "mutual"),
    ("websocket", websocket_steps, "reencrypt"),
    ("websocket", websocket_steps, "plaintext"),
    ("passthrough", passing_steps, "passthrough"),
    ("new passthrough", fresh_steps, "passthrough"),
]


@dataclass
class Load:
    """Threads that each take step after step, `gap_s` apart. `again`: one that failed opens anew, else it ends."""

    it: Yard
    gap_s: float = 0.01
    again: bool = False
    mix: list[Kind] = field(default_factory=lambda: list(MIX))
    errors: list[str] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)
    steps: list[tuple[float, str, float]] = field(default_factory=list)
    """When each ended, of which kind, how long it took; of a long load only how many there were."""
    keep: bool = True
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self.go, args=m, daemon=True) for m in self.mix]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def go(self, kind: str, steps: Callable[[Yard, str], Step], pattern: str) -> None:
        while not self.stop.is_set():
            with ending():
                if not self.steps_of(kind, steps, pattern):
                    return

    def steps_of(self, kind: str, steps: Callable[[Yard, str], Step], pattern: str) -> bool:
        """Until one fails, or it is told to stop. Whether another may begin."""
        step: Step | None = None
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                step = step or steps(self.it, pattern)
                step()
            except (OSError, ValueError, AssertionError) as e:
                self.failed_at.append(time.monotonic())
                self.errors.append(f"{kind} {pattern}: {type(e).__name__} {e}")
                self.stop.wait(0.02)
                return self.again
            now = time.monotonic()
            with self.lock:
                self.done[(kind, pattern)] += 1
            if self.keep:
                self.steps.append((now, kind, now - began))
            self.stop.wait(self.gap_s)
        return False

    def between(self, begin: float, end: float, *kinds: str) -> list[float]:
        """Sorted times of what ended then."""
        return sorted(t for at, kind, t in list(self.steps) if begin <= at < end and (not kinds or kind in kinds))
