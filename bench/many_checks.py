"""What the health checks of a thousand backends cost, beside who else has them: CPU while nothing else happens, as a part of one core.

    python -m bench.many_checks [BACKENDS] [SECONDS] [--peers everyhop,haproxy] [--write]

Checks as they are by default (`health = { path = "/healthz" }`, every 5 s), to backends that answer, in plaintext and by mutual
TLS: some keep the connection for the checks after it, which Everyhop ends within a minute, some close it behind each answer. Everyhop is
looked at a minute after the first one, so that each such connection was opened anew about once. All backends are this
process, at as many ports, and count whom they answered. Another's load changes the figure little: it is the subject's own time
alone. Each subject is tried first with two backends, one of which is not well: requests must reach the other alone. `--write` puts the
figures into `bench/results.json` and renders the page.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import selectors
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.checking_subjects import MAKERS, Checked
from bench.features import ask, masked
from bench.stage import absent, put, stop
from bench.subjects import LOAD_CPU, wait_port
from everyhop.demo.certificates import Authority

KEEPS = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CLOSES = KEEPS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
EVERY_S = 5
FIRST_S = 60
"""As long as Everyhop keeps a connection at most."""
SECONDS = 15
"""Three checks of each backend."""


class Backends:
    """A listener for each; threads shake hands, and one answers what comes over all that is open."""

    def __init__(self, context: ssl.SSLContext | None, count: int, says: bytes) -> None:
        self.context, self.says = context, says
        self.answered: Counter[str] = Counter()
        """Checks, by the name of who asks."""
        self.asked: set[int] = set()
        """At which ports."""
        self.requests: Counter[int] = Counter()
        """That are no checks, by the port."""
        self.sick = 0
        """The port of one that is not well."""
        self.over = threading.Event()
        self.pool = ThreadPoolExecutor(16)
        self.selector = selectors.DefaultSelector()
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        self.ports: list[int] = [it.getsockname()[1] for it in self.listeners]
        for listener in self.listeners:
            self.selector.register(listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while not self.over.is_set():
            for key, _ in self.selector.select(0.2):
                assert isinstance(key.fileobj, socket.socket)
                if key.data is None:
                    with contextlib.suppress(OSError):
                        self.pool.submit(self.begin, key.fileobj.accept()[0])
                elif not self.answer(key.fileobj):
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()

    def begin(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(5)
            spoken = self.context.wrap_socket(sock, server_side=True) if self.context else sock
            self.selector.register(spoken, selectors.EVENT_READ, "asks")

    def answer(self, sock: socket.socket) -> bool:
        """False where nothing more comes."""
        with contextlib.suppress(OSError):
            if asked := sock.recv(4096):
                path, port = asked.split(b" ", 2)[1].decode(), sock.getsockname()[1]
                checked = path.startswith("/healthz/")
                if checked:
                    self.answered[path.removeprefix("/healthz/")] += 1
                    self.asked.add(port)
                else:
                    self.requests[port] += 1
                sock.sendall(self.says.replace(b"200 OK", b"503 No") if checked and port == self.sick else self.says)
                return self.says == KEEPS and b"connection: close" not in asked.lower()
        return False

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.pool.shutdown()
        for key in list(self.selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


@contextlib.contextmanager
def behind(folder: Path, mutual: bool, count: int, says: bytes) -> Iterator[Backends]:
    authority = Authority(folder, "Bench CA")
    for leaf, host in (("edge", "a.test"), ("identity", "edge.test"), ("backend", "backend.test")):
        authority.leaf(leaf, host)
    context = None
    if mutual:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "backend.pem", folder / "backend.key")
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    with contextlib.closing(Backends(context, count, says)) as backends:
        yield backends


def until(held: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not held():
        if time.monotonic() > deadline:
            raise SystemExit(what)
        time.sleep(0.1)


def prove(name: str, mutual: bool) -> str:
    """Ends the run unless whoever is not well gets no request; gives the version, or nothing where the machine has not got it."""
    with tempfile.TemporaryDirectory(prefix="eh-checks-") as at:
        folder = Path(at)
        with behind(folder, mutual, 2, KEEPS) as backends:
            backends.sick = backends.ports[0]
            subject = MAKERS[name](Checked(folder, backends.ports, mutual, 1))
            if subject is None:
                return ""
            try:
                wait_port(subject.ports["checks"])
                until(lambda: backends.answered[name] >= 8, f"{name} does not do it: no checks")
                backends.requests.clear()
                seen = [ask(folder, subject, "checks", "/").status for _ in range(10)]
                if seen != [200] * 10 or set(backends.requests) != {backends.ports[1]}:
                    raise SystemExit(
                        f"{name} does not do it: {seen}, {backends.requests} and {backends.sick} is not well"
                    )
            finally:
                stop(subject)
    return subject.version


def of(name: str, pattern: str, says: bytes, count: int, seconds: float) -> tuple[dict[str, object], str]:
    """The part of a core that it takes for them, and its configuration; each backend was asked twice before it is looked at."""
    keeps = says == KEEPS
    with tempfile.TemporaryDirectory(prefix="eh-checks-") as at:
        folder = Path(at)
        with behind(folder, pattern == "mutual", count, says) as backends:
            subject = MAKERS[name](Checked(folder, backends.ports, pattern == "mutual", EVERY_S))
            assert subject is not None
            try:
                until(lambda: backends.answered[name] >= 2 * count, f"{name} does not ask {count} backends", 300)
                if len(backends.asked) != count:
                    raise SystemExit(f"{name} asks {len(backends.asked)} of {count} backends")
                if keeps and name == "everyhop":
                    time.sleep(FIRST_S)
                before, cpu, began = backends.answered[name], subject.cpu_s(), time.monotonic()
                time.sleep(seconds)
                spent, done, lasted = subject.cpu_s() - cpu, backends.answered[name] - before, time.monotonic() - began
            finally:
                stop(subject)
    part, us = spent / lasted, spent / max(done, 1) * 1e6
    does = "kept" if keeps else "closed"
    print(
        f"{pattern:<10} {does:<7} {name:<9} {count:,} backends: {part * 100:5.2f} % of a core; {done / lasted:,.0f} checks/s, {us:,.0f} us each",
        flush=True,
    )
    row = {"hop": pattern, "kept": keeps, "name": name, "part": round(part, 4), "us": round(us, 1)}
    return row, masked(subject.config, folder)


def measure(count: int, seconds: float, peers: Sequence[str]) -> dict[str, object]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    versions = {name: version for name in peers if (version := prove(name, False)) and prove(name, True)}
    rows, configs = [], {}
    for pattern in ("plaintext", "mutual"):
        for says in (KEEPS, CLOSES):
            for name in versions:
                row, configs[name] = of(name, pattern, says, count, seconds)
                rows.append(row)
    subjects = {name: {"version": version, "config": configs[name]} for name, version in versions.items()}
    return {"rows": rows, "subjects": subjects, "absent": absent(peers, versions)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="?", type=int, default=1000)
    parser.add_argument("seconds", nargs="?", type=float, default=SECONDS)
    parser.add_argument("--peers", default=",".join(MAKERS))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    found = measure(given.backends, given.seconds, given.peers.split(","))
    if given.write:
        put("checks", found)


if __name__ == "__main__":
    main()
