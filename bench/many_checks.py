"""What the health checks of a thousand backends cost the engine: its CPU while nothing else happens, as a part of one core.

    python -m bench.many_checks [BACKENDS] [SECONDS] [--write]

Checks as they are by default (`health = { path = "/healthz" }`, every 5 s), to backends that answer, in plaintext and by mutual
TLS: some keep the connection for the checks after it, which end it within a minute, some close it behind each answer. It is
looked at for a minute after the first one, so that each such connection was opened anew about once. All backends are this
process, at as many ports, and count what they answered. Another's load changes the figure little: it is the engine's own time
alone. `--write` puts the figures into `bench/results.json` and renders the page.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import ssl
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.stage import put
from bench.subjects import released
from everyhop.demo.certificates import Authority
from everyhop.demo.stage import free_port

KEEPS = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CLOSES = KEEPS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
FIRST_S = 60
"""As long as a connection is kept at most."""
HEAD = """\
version = 1
[log]
access = "off"
[engine]
threads = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "{folder}/a.pem", key = "file:{folder}/a.key" }}]
[[identity]]
name = "edge"
chain = "{folder}/edge.pem"
key = "file:{folder}/edge.key"
[[route]]
name = "r"
host = "a.test"
to = [{to}]
health = {{ path = "/healthz" }}
{hop}
"""
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{ca}", name = "backend.test" }}',
}


class Backends:
    """A listener for each; threads shake hands, and one answers what comes over all that is open."""

    def __init__(self, context: ssl.SSLContext | None, count: int, says: bytes) -> None:
        self.context, self.says = context, says
        self.answered = 0
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
                sock.sendall(self.says)
                self.answered += 1
                return self.says == KEEPS and b"connection: close" not in asked
        return False

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.pool.shutdown()
        for key in list(self.selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


def of(pattern: str, says: bytes, count: int, seconds: float) -> dict[str, object]:
    """The part of a core that the released engine takes for them; each was asked twice before it is looked at."""
    keeps = says == KEEPS
    with tempfile.TemporaryDirectory(prefix="eh-checks-") as name:
        folder = Path(name)
        authority = Authority(folder, "CA")
        for leaf, host in (("a", "a.test"), ("edge", "edge.test"), ("backend", "backend.test")):
            authority.leaf(leaf, host)
        context = None
        if pattern == "mutual":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "backend.pem", folder / "backend.key")
            context.load_verify_locations(authority.file)
            context.verify_mode = ssl.CERT_REQUIRED
        backends = Backends(context, count, says)
        to = ", ".join(f'"127.0.0.1:{port}"' for port in backends.ports)
        hop = HOPS[pattern].format(ca=authority.file)
        text = HEAD.format(folder=folder, port=free_port(), to=to, hop=hop)
        subject = released(folder, "checks", text, {})
        try:
            while backends.answered < 2 * count:
                time.sleep(0.1)
            if keeps:
                time.sleep(FIRST_S)
            before, cpu, began = backends.answered, subject.cpu_s(), time.monotonic()
            time.sleep(seconds)
            spent, done, lasted = subject.cpu_s() - cpu, backends.answered - before, time.monotonic() - began
        finally:
            subject.process.kill()
            subject.process.wait()
            backends.close()
    part, us = spent / lasted, spent / max(done, 1) * 1e6
    does = "kept" if keeps else "closed"
    print(
        f"{pattern:<10} {does:<7} {count:,} backends: {part * 100:5.2f} % of a core; {done / lasted:,.0f} checks/s, {us:,.0f} us each",
        flush=True,
    )
    return {"hop": pattern, "kept": keeps, "part": round(part, 4), "us": round(us, 1)}


def measure(count: int, seconds: float) -> list[dict[str, object]]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return [of(pattern, says, count, seconds) for pattern in HOPS for says in (KEEPS, CLOSES)]


def main(count: int, seconds: float, write: bool) -> None:
    found = measure(count, seconds)
    if write:
        put("checks", found)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main(numbers[0] if numbers else 1000, numbers[1] if len(numbers) > 1 else 60, "--write" in sys.argv)
