"""What a full handshake costs with private keys in the engine, with a process of their own that signs, and with a token of SoftHSM where
that is installed, which is a process more and whatever the token does.

    python -m bench.keys_apart [HANDSHAKES] [ROUNDS]

All in one run, in turns, by CPU time of the engine, of the keyholder and of the module's process, as the kernel's scheduler counted it,
and by the time that a client waited, one after the other; each handshake without resumption, with one request. Needs a build to be measured by: `make demo` makes one.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
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
socket = "{folder}/{place}-{kind}.sock"
[log]
access = "off"
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "{kind}.pem", key = "{key}" }}]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
"""
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


SOFTHSM, PIN = "/usr/lib/softhsm/libsofthsm2.so", "4711"


class Subject:
    """An edge with its keys in one of the places."""

    def __init__(self, folder: Path, place: str, kind: str, backend: int) -> None:
        self.port, self.ca = free_port(), folder / "public-ca.pem"
        self.config = folder / f"{place}-{kind}.toml"
        keys = "engine" if place == "engine" else "apart"
        uri = f"pkcs11:token=bench;object={kind}?module-path={SOFTHSM}&pin-source=file:{folder}/pin"
        key = uri if place == "token" else f"file:{kind}.key"
        more = {"folder": folder, "place": place, "kind": kind, "port": self.port, "backend": backend}
        self.config.write_text(CONFIG.format(keys=keys, key=key, **more))
        self.edge = Edge(self.config)
        self.edge.wait_for("ready:", 60)
        answer: dict[str, Any] = Client(str(self.config)).ask("status")
        told = answer["supervisor"]["keyholder"]
        supervisor = self.edge.process.pid
        self.pids = [int(it) for it in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
        assert (told is not None) == (keys == "apart")
        assert len(self.pids) == {"engine": 1, "apart": 2, "token": 3}[place], self.pids

    def cpu_s(self) -> float:
        stats = (path for pid in self.pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(path.read_text().split()[0]) for path in stats) / 1e9

    def costs(self, handshakes: int) -> tuple[float, float]:
        """Microseconds each: of CPU, and that the client waited (the median)."""
        context = ssl.create_default_context(cafile=str(self.ca))
        before, waited = self.cpu_s(), []
        for _ in range(handshakes):
            begun = time.perf_counter()
            shake(context, self.port)
            waited.append(time.perf_counter() - begun)
        return (self.cpu_s() - before) / handshakes * 1e6, statistics.median(waited) * 1e6


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


def token(folder: Path) -> bool:
    """Whether there is one. Its keys come from files."""
    if shutil.which("softhsm2-util") is None or not Path(SOFTHSM).exists():
        print("softhsm2 is not installed: nothing is said of tokens", flush=True)
        return False
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    (pin := folder / "pin").touch(0o600)
    pin.write_text(PIN)
    softhsm("--init-token", "--free", "--label", "bench", "--so-pin", PIN, "--pin", PIN)
    return True


def softhsm(*words: str) -> None:
    subprocess.run(["softhsm2-util", *words], check=True, stdout=subprocess.DEVNULL)


def main(handshakes: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-keys-") as name, ExitStack() as stack:
        folder = Path(name)
        authority = Authority(folder, "Public CA")
        backend = Backend("b")
        places = ("engine", "apart", *(("token",) if token(folder) else ()))
        for n, kind in enumerate(("ec", "rsa")):
            key = authority.leaf(kind, "a.test", kind=kind).key
            if "token" in places:
                softhsm("--import", str(key), "--token", "bench", "--label", kind, "--id", f"0{n + 1}", "--pin", PIN)
            subjects = {place: Subject(folder, place, kind, backend.port) for place in places}
            for it in subjects.values():
                stack.callback(it.edge.stop)
                it.costs(max(handshakes // 10, 1))
            found = [{place: it.costs(handshakes) for place, it in subjects.items()} for _ in range(rounds)]
            for n, what in enumerate(("of CPU", "waited")):
                each = ", ".join(f"{it} {statistics.median(one[it][n] for one in found):.0f} us" for it in places)
                ratios = {it: statistics.median(one[it][n] / one["engine"][n] for one in found) for it in places[1:]}
                to_engine = ", ".join(f"{it} {ratio:.2f}" for it, ratio in ratios.items())
                print(f"{kind}, {what}: {each}; to the engine {to_engine}", flush=True)


if __name__ == "__main__":
    given = [int(it) for it in sys.argv[1:]]
    main(*[*given, *(1000, 5)[len(given) :]][:2])
