"""What a full handshake costs with private keys in the engine, and with a process of their own that signs.

    python -m bench.keys_apart [HANDSHAKES] [ROUNDS]

Both in one run, in turns, by CPU time of the engine and of the keyholder, as the kernel's scheduler counted it; each handshake
without resumption, with one request. Needs a build to be measured by: `make demo` makes one.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from everyhop.admin import Client
from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority
from everyhop.demo.stage import Edge, free_port

CONFIG = """\
version = 1
[engine]
threads = 1
keys = "{keys}"
[admin]
socket = "{folder}/{keys}-{kind}.sock"
[log]
access = "off"
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "{kind}.pem", key = "file:{kind}.key" }}]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
"""
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


class Subject:
    """An edge with its keys in one of the two places."""

    def __init__(self, folder: Path, keys: str, kind: str, backend: int) -> None:
        self.port, self.ca = free_port(), folder / "public-ca.pem"
        self.config = folder / f"{keys}-{kind}.toml"
        self.config.write_text(CONFIG.format(folder=folder, keys=keys, kind=kind, port=self.port, backend=backend))
        self.edge = Edge(self.config)
        self.edge.wait_for("ready:", 60)
        answer: dict[str, Any] = Client(str(self.config)).ask("status")
        told = answer["supervisor"]["keyholder"]
        supervisor = self.edge.process.pid
        self.pids = [int(it) for it in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
        assert (told is not None) == (keys == "apart") and len(self.pids) == 1 + (told is not None)

    def cpu_s(self) -> float:
        stats = (path for pid in self.pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(path.read_text().split()[0]) for path in stats) / 1e9

    def costs(self, handshakes: int) -> float:
        """Microseconds of CPU each."""
        context = ssl.create_default_context(cafile=str(self.ca))
        before = self.cpu_s()
        for _ in range(handshakes):
            shake(context, self.port)
        return (self.cpu_s() - before) / handshakes * 1e6


def shake(context: ssl.SSLContext, port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context.wrap_socket(raw, server_hostname="a.test") as sock,
    ):
        assert not sock.session_reused
        sock.sendall(GET)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]


def main(handshakes: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-keys-") as name, ExitStack() as stack:
        folder = Path(name)
        authority = Authority(folder, "Public CA")
        backend = Backend("b")
        for kind in ("ec", "rsa"):
            authority.leaf(kind, "a.test", kind=kind)
            subjects = {keys: Subject(folder, keys, kind, backend.port) for keys in ("engine", "apart")}
            for it in subjects.values():
                stack.callback(it.edge.stop)
                it.costs(max(handshakes // 10, 1))
            found = [{keys: it.costs(handshakes) for keys, it in subjects.items()} for _ in range(rounds)]
            ratio = statistics.median(one["apart"] / one["engine"] for one in found)
            each = ", ".join(f"{k} {statistics.median(one[k] for one in found):.0f} us" for k in subjects)
            print(f"{kind}: {each}; apart to engine {ratio:.2f}", flush=True)


if __name__ == "__main__":
    given = [int(it) for it in sys.argv[1:]]
    main(*[*given, *(1000, 5)[len(given) :]][:2])
