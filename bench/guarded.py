"""What a guard costs its backend's requests, beside what the edge in front of it pays for the same ones, its mutual hop included.

    python -m bench.guarded [REQUESTS] [ROUNDS]

Both on one way, by CPU time of each engine as the kernel's scheduler counted it, with a guard that reads HTTP and with one that does not.
First with one kept connection, one request after the other, all on one core: to wake one that sleeps costs more than a request, and whom it
falls to is chance. Then, where h2load and nginx are there, with 32 connections at once, both on one core, the load and the backend on
another. Needs a build to be measured by: `make demo` makes one.
"""

from __future__ import annotations

import os
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.cells import run
from bench.subjects import SUBJECT_CPU, nginx_behind, wait_port, which
from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority
from everyhop.demo.migrated import Guard
from everyhop.demo.stage import Edge, free_port

CONFIG = """\
version = 1
[engine]
threads = 1
[admin]
socket = "{folder}/admin.sock"
[log]
access = "{folder}/access.log"
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "site.pem", key = "file:site.key" }}]
[[identity]]
name = "edge"
chain = "edge.pem"
key = "file:edge.key"
[[route]]
name = "r"
host = "a.test"
tls = "mutual"
present = "edge"
to = ["127.0.0.1:{guard}"]
verify = {{ ca = "internal-ca.pem", name = "box.internal" }}
"""
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def cpu_s(it: Edge) -> float:
    """Of its engine."""
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    stats = (path for pid in children for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(path.read_text().split()[0]) for path in stats) / 1e9


def ask(sock: ssl.SSLSocket) -> None:
    sock.sendall(GET)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += sock.recv(65536)


def costs(sock: ssl.SSLSocket, edges: Sequence[Edge], requests: int) -> list[float]:
    """Microseconds of CPU a request, of each."""
    before = [cpu_s(it) for it in edges]
    for _ in range(requests):
        ask(sock)
    return [(cpu_s(it) - began) / requests * 1e6 for it, began in zip(edges, before, strict=True)]


def loaded(port: int, edges: Sequence[Edge], requests: int) -> list[float]:
    """As `costs`, of 32 connections."""
    before = [cpu_s(it) for it in edges]
    where = ["--connect-to", f"127.0.0.1:{port}", f"https://a.test:{port}/"]
    out = run(which("h2load") or "h2load", "--h1", "-n", str(requests), "-c", "32", "-t", "1", *where)
    if f" {requests} succeeded, 0 failed" not in out:
        raise SystemExit(f"requests failed:\n{out}")
    return [(cpu_s(it) - began) / requests * 1e6 for it, began in zip(edges, before, strict=True)]


def main(requests: int, rounds: int) -> None:
    both = os.sched_getaffinity(0)
    for at_once in (False, True):
        if at_once and not (which("h2load") and which("nginx") and len(both) > 1):
            print("32 at once: not measured, h2load, nginx or a second core is missing")
            break
        os.sched_setaffinity(0, {int(SUBJECT_CPU)} if at_once else {max(both)})
        for kind, more in (("HTTP", []), ("TCP", ["--tcp"])):
            measure(kind, more, requests, rounds, at_once=at_once)


def behind(folder: Path, stack: ExitStack, *, at_once: bool) -> int:
    """The port of what is guarded."""
    if not at_once:
        return Backend("box").port
    port = free_port()
    server = f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{'x' * 256}'; }} }}\n"
    stack.callback(nginx_behind(folder, "box", server).terminate)
    wait_port(port)
    return port


def measure(kind: str, more: list[str], requests: int, rounds: int, *, at_once: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-guarded-") as name, ExitStack() as stack:
        folder = Path(name)
        to = behind(folder, stack, at_once=at_once)
        public, internal = Authority(folder, "Public CA"), Authority(folder, "Internal CA")
        public.leaf("site", "a.test")
        internal.leaf("edge", "edge.internal")
        internal.leaf("box", "box.internal")
        ports = {"port": free_port(), "guard": free_port()}
        (folder / "everyhop.toml").write_text(CONFIG.format(folder=folder, **ports))
        files = [f"--{flag}={folder / file}" for flag, file in FILES.items()]
        there = [
            f"--listen=127.0.0.1:{ports['guard']}",
            f"--to=127.0.0.1:{to}",
            f"--state={folder / 'guard'}",
        ]
        guard = Guard(folder / "guard" / "guard.toml", arguments=[*there, *files, "--admit=edge.internal", *more])
        stack.callback(guard.stop)
        guard.wait_for("ready:", 60)
        edge = Edge(folder / "everyhop.toml")
        stack.callback(edge.stop)
        edge.wait_for("ready:", 60)
        if at_once:
            costing = partial(loaded, ports["port"])
        else:
            context = ssl.create_default_context(cafile=str(folder / "public-ca.pem"))
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", ports["port"]), 10))
            costing = partial(costs, stack.enter_context(context.wrap_socket(raw, server_hostname="a.test")))
        costing((edge, guard), max(requests // 10, 64))
        found = [costing((edge, guard), requests) for _ in range(rounds)]
        ratio = statistics.median(mine / its for its, mine in found)
        its, mine = (statistics.median(one[n] for one in found) for n in range(2))
        print(
            f"{kind}{', 32 at once' if at_once else ''}: the edge {its:.1f} us, its guard {mine:.1f} us a request; "
            f"guard to edge {ratio:.2f}",
            flush=True,
        )


FILES = {"cert": "box.pem", "key": "box.key", "ca": "internal-ca.pem"}

if __name__ == "__main__":
    given = [int(it) for it in sys.argv[1:]]
    main(*[*given, *(5000, 5)[len(given) :]][:2])
