"""What a guard costs its backend's requests, beside what the edge in front of it pays for the same ones, its mutual hop included.

    python -m bench.guarded [REQUESTS] [ROUNDS]

Both on one way, by CPU time of each engine as the kernel's scheduler counted it: one kept connection, one request after the other, with a
guard that reads HTTP and with one that does not, all on one core: to wake one that sleeps costs more than a request, and whom it falls to is
chance. Needs a build to be measured by: `make demo` makes one.
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
from pathlib import Path

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


def main(requests: int, rounds: int) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    backend = Backend("box")
    for kind, more in (("HTTP", []), ("TCP", ["--tcp"])):
        with tempfile.TemporaryDirectory(prefix="eh-guarded-") as name, ExitStack() as stack:
            folder = Path(name)
            public, internal = Authority(folder, "Public CA"), Authority(folder, "Internal CA")
            public.leaf("site", "a.test")
            internal.leaf("edge", "edge.internal")
            internal.leaf("box", "box.internal")
            ports = {"port": free_port(), "guard": free_port()}
            (folder / "everyhop.toml").write_text(CONFIG.format(folder=folder, **ports))
            files = [f"--{flag}={folder / file}" for flag, file in FILES.items()]
            there = [
                f"--listen=127.0.0.1:{ports['guard']}",
                f"--to=127.0.0.1:{backend.port}",
                f"--state={folder / 'guard'}",
            ]
            guard = Guard(folder / "guard" / "guard.toml", arguments=[*there, *files, "--admit=edge.internal", *more])
            stack.callback(guard.stop)
            guard.wait_for("ready:", 60)
            edge = Edge(folder / "everyhop.toml")
            stack.callback(edge.stop)
            edge.wait_for("ready:", 60)
            context = ssl.create_default_context(cafile=str(folder / "public-ca.pem"))
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", ports["port"]), 10))
            sock = stack.enter_context(context.wrap_socket(raw, server_hostname="a.test"))
            costs(sock, (edge, guard), max(requests // 10, 1))
            found = [costs(sock, (edge, guard), requests) for _ in range(rounds)]
            ratio = statistics.median(mine / its for its, mine in found)
            its, mine = (statistics.median(one[n] for one in found) for n in range(2))
            print(
                f"{kind}: the edge {its:.1f} us, its guard {mine:.1f} us a request; guard to edge {ratio:.2f}",
                flush=True,
            )


FILES = {"cert": "box.pem", "key": "box.key", "ca": "internal-ca.pem"}

if __name__ == "__main__":
    given = [int(it) for it in sys.argv[1:]]
    main(*[*given, *(5000, 5)[len(given) :]][:2])
