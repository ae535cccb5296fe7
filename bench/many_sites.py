"""What thousands of sites with a certificate each cost the supervisor: a start, the renewal of one certificate, a reload.

    python -m bench.many_sites [SITES] [--engine] [--acme]

Seconds of this process's CPU (another's load changes them little), and how many certificates were judged. With `--engine` a
whole edge besides, as the time between an order and its answer; how long the supervisor left others without an answer
meanwhile; and the longest time between two of the messages that feed systemd's watchdog. With `--acme` the certificates are an
authority's, which is away, and they lie in the state folder: what that costs is what it takes to keep them, and to look after
them. A renewed one is put there by this program, and not by the edge: it is seen within ten seconds, and what the authority gives at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from everyhop.admin import Client
from everyhop.admin.renewal import again
from everyhop.compile import Compiled, compile_file
from everyhop.demo.certificates import Authority, put
from everyhop.demo.stage import Edge, free_port
from everyhop.model import AcmeSection

T = TypeVar("T")

HEAD = """\
version = 1
[admin]
socket = "{folder}/admin.sock"
[log]
access = "off"
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
"""
SITE = """\
[[site]]
name = "s{i}"
hosts = ["h{i}.test"]
certs = [{{ chain = "c{i}.pem", key = "file:c{i}.key" }}]
[[route]]
name = "r{i}"
host = "h{i}.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
"""


ACME = """\
[acme]
authority = ["https://127.0.0.1:{away}/directory"]
contact = ["mailto:ops@example.com"]
terms_agreed = true
"""


class Certificates:
    """Of the sites, where they are looked for."""

    def __init__(self, folder: Path, *, acme: bool) -> None:
        self.folder, self.acme = folder, acme
        self.authority = Authority(folder, "Public CA")

    def made(self, i: int) -> None:
        leaf = self.authority.leaf(f"c{i}", f"h{i}.test")
        if self.acme:
            path = self.folder / AcmeSection().issued(f"s{i}")[0]
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put(path, leaf.key.read_bytes() + leaf.chain.read_bytes(), 0o600)

    def written(self, site: str) -> str:
        return re.sub(r"certs = .*", 'certs = "acme"', site) if self.acme else site


def lay_out(folder: Path, sites: int, acme: bool) -> tuple[Path, Certificates]:
    """Certificates and a configuration of so many sites."""
    certificates = Certificates(folder, acme=acme)
    for i in range(sites):
        certificates.made(i)
    path = folder / "everyhop.toml"
    if acme:
        (folder / "acme").chmod(0o700)
    text = HEAD.format(folder=folder, port=free_port()) + (ACME.format(away=free_port()) if acme else "")
    every = (certificates.written(SITE.format(i=i, backend=1024 + i % 60000)) for i in range(sites))
    path.write_text(text + "".join(every))
    return path, certificates


def timed(what: str, step: Callable[[], T]) -> T:
    began, cpu = time.perf_counter(), time.process_time()
    done = step()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    judged = (
        f"  {done.readings.judged} certificates, authorities and lists judged" if isinstance(done, Compiled) else ""
    )
    print(f"{what:32} {cpu:7.2f} s CPU {wall:7.2f} s{judged}", flush=True)
    return done


def main(sites: int, *, engine: bool, acme: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-many-") as name:
        folder = Path(name)
        path, certificates = timed(f"{sites} certificates made", lambda: lay_out(folder, sites, acme))
        first: Compiled = timed("first", lambda: compile_file(path))
        certificates.made(7)
        second = timed("one certificate renewed", lambda: again(first))
        assert second.plan_digest == first.plan_digest and second.material.digest != first.material.digest
        path.write_text(path.read_text() + "[limits]\nidle_s = 61\n")
        timed("another limit", lambda: compile_file(path, known=second.readings))
        if engine:
            run(path, certificates)


def run(path: Path, certificates: Certificates) -> None:
    fed = Fed(path.parent / "notify")
    given = {"NOTIFY_SOCKET": str(fed.path), "WATCHDOG_USEC": str(WATCHDOG_US)}
    edge = Edge(path, under=["env", *(f"{k}={v}" for k, v in given.items())])
    timed("a whole start", lambda: edge.wait_for("ready:", 300))
    mark = len(edge.said)
    fed.longest()
    certificates.made(8)
    with asked(path) as answers:
        timed("renewed until it is served", lambda: edge.wait_for("certificates renewed", 120, after=mark))
    print(f"{'  status meanwhile':32} at most {max(answers):5.2f} s; watchdog fed each {fed.longest():.2f} s at most")
    timed("status", lambda: Client(str(path)).ask("status"))
    quiet(edge)
    path.write_text(path.read_text().replace("idle_s = 61", "idle_s = 62"))
    fed.longest()
    timed("a whole reload", lambda: Client(str(path), 300).ask("reload"))
    print(f"{'  watchdog meanwhile':32} fed each {fed.longest():.2f} s at most", flush=True)
    edge.stop()


QUIET_S = 20.0


def quiet(edge: Edge) -> None:
    """What the supervisor takes while nothing happens."""
    stat = Path(f"/proc/{edge.process.pid}/stat")

    def taken_s() -> float:
        return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    before = taken_s()
    time.sleep(QUIET_S)
    print(f"{'  nothing happens':32} {(taken_s() - before) / QUIET_S:7.2%} of a processor", flush=True)


WATCHDOG_US = 10_000_000
"""systemd would end who is silent for so long; it is fed three times in that."""


class Fed:
    """The end of systemd that listens, and when it was told that the supervisor lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = [time.monotonic()]
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        while data := self.sock.recv(4096):
            if data == b"WATCHDOG=1":
                self.at.append(time.monotonic())

    def longest(self) -> float:
        """The longest silence since this was asked last; the one that lasts counts, too."""
        now = time.monotonic()
        all_, self.at = [*self.at, now], [now]
        return max(b - a for a, b in itertools.pairwise(all_))


@contextlib.contextmanager
def asked(path: Path) -> Iterator[list[float]]:
    """Asks for the status again and again; how long each answer took."""
    took, over = [0.0], threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            began = time.monotonic()
            Client(str(path), 300).ask("status")
            took.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield took
    finally:
        over.set()
        asking.join()


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main(numbers[0] if numbers else 5000, engine="--engine" in sys.argv, acme="--acme" in sys.argv)
