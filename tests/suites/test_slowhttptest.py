"""slowhttptest: heads, bodies and readers that take for ever, two hundred at once, beside a client that does not."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.suites.peers import Nginx, found

Edges = Callable[..., EdgeKit]

# It sends no server name, and what we are called by is what its address says.
ROUTE = """
[[site]]
name = "here"
hosts = ["localhost"]
certs = [{{ chain = "{{pki}}/here.pem", key = "file:{{pki}}/here.key" }}]
[[route]]
name = "slow"
host = "localhost"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
[[route]]
name = "fast"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
"""
LIMITS = "[limits]\nhandshake_s = 10\nhead_s = 2\nbody_progress_s = 2\nidle_s = 3\n"
CONNECTIONS = 200
# One wide buffer of ciphertext each, that the kernel does not take (`buf.rs`), one that the allocator keeps of a piece before it,
# where a machine that is busy has them come to their second piece all at once, and what handshakes need.
GROWTH_BYTES = CONNECTIONS * 2 * 272 * 1024 + 32 * 1024 * 1024
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

WAYS = {
    "head": (["-H", "-i", "1"], "/", "request/head-too-slow"),
    "body": (["-B", "-i", "5"], "/h", "request/body-too-slow"),
    # A window of a byte or two, of which a byte a second is read.
    "reader": (["-X", "-w", "1", "-y", "2", "-n", "1", "-z", "1"], "/files/big", "request/client-gone"),
}


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


class Bystander:
    """Asks again and again, each time on a new connection, until it is told to stop."""

    def __init__(self, port: int, pki: Pki) -> None:
        self.port, self.pki = port, pki
        self.answered, self.failures = 0, list[str]()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.over.wait(0.05):
            try:
                with tls(self.port, "a.test", self.pki.public.file) as sock:
                    assert exchange(sock, GET).text == "ok"
                self.answered += 1
            except (OSError, AssertionError) as e:
                self.failures.append(repr(e))

    def stop(self) -> None:
        self.over.set()
        self.thread.join(30)


def ended(it: EdgeKit, end: str) -> int:
    return sum(one["end"] == end for one in it.lines())


@pytest.mark.parametrize("way", WAYS)
def test_slow_clients_are_closed_at_their_deadline_and_others_are_served(
    edge: Edges, nginx: Nginx, pki: Pki, way: str
) -> None:
    """H11, promise 6."""
    arguments, path, end = WAYS[way]
    pki.public.leaf("here", "localhost")
    (nginx.files / "big").write_bytes(b"x" * 8_000_000)
    it = edge(ROUTE.format(port=nginx.ports["plaintext"]), listener='no_sni = "here"', more=LIMITS, threads=2)
    (pid,) = map(int, Path(f"/proc/{it.edge.process.pid}/task/{it.edge.process.pid}/children").read_text().split())
    before = resident_bytes(pid)
    bystander = Bystander(it.port, pki)
    command = [
        found("slowhttptest"),
        *arguments,
        "-l",
        "60",
        "-p",
        "10",
        "-c",
        str(CONNECTIONS),
        "-r",
        str(CONNECTIONS),
    ]
    with subprocess.Popen(
        [*command, "-u", f"https://localhost:{it.port}{path}"], stdout=subprocess.PIPE, text=True
    ) as attack:
        try:
            # Judged here: who reads a byte a second learns only much later that it was cut. Of its connections one or another
            # does not come as far as to be slow, where the machine is.
            until(lambda: ended(it, end) >= CONNECTIONS * 0.95, 60, lambda: f"{ended(it, end)} ended")
            peak = resident_bytes(pid)
            attack.send_signal(signal.SIGINT)  # upon which it tells how it went
            told, _ = attack.communicate(timeout=60)
        finally:
            attack.kill()
    bystander.stop()
    assert bystander.failures == [] and bystander.answered > 5
    told = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", told)
    assert set(re.findall(r"service available:\s+(\w+)", told)) == {"YES"}, told
    assert peak - before < GROWTH_BYTES, (before, peak)
    until(lambda: it.status()["connections"] == 0, 20, lambda: str(it.status()["connections"]))
