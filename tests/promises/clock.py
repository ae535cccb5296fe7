"""Promise 11: the wall clock jumps while clients are connected. What lasts a while goes on; what has a date obeys it."""

from __future__ import annotations

import contextlib
import datetime as dt
import mmap
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit import Pki, hello_bytes
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.promises.backend import Counting
from tests.promises.clients import connect, echoed, get, h2, upgraded
from tests.promises.death import gate, held_back, result
from tests.promises.outcome import Outcome, Scale
from tests.promises.yard import Yard, yard
from tests.threats.frames import fields

HOUR, DAY = 3600, 86400
NEEDS = "cc"
BURST = 20

EXTRA = """
[[route]]
name = "accepted"
host = "a.test"
path = "/accepted"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
off_host = true
[route.acceptance]
owner = "test@example.com"
why = "to see it end"
context = "legacy"
since = {since}
until = {until}
[[route]]
name = "pair"
host = "a.test"
path = "/pair"
tls = "plaintext"
to = ["127.0.0.1:{one}", "127.0.0.1:{two}"]
"""
LIMITS = f"[limits]\nhandshakes_per_source = {BURST}\nhead_s = 2\neject_s = 1\nupstream_idle_s = 1\n"


class Wall:
    """The wall clock of the processes that are started within `over`, in seconds from the real one."""

    def __init__(self, folder: Path) -> None:
        self.shim, page = folder / "clock.so", folder / "offset"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self.shim), str(source)], check=True)
        page.write_bytes(bytes(16))
        with page.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), 16)
        # An engine is given what begins as what loaders read, and nothing else of our environment.
        self.env = {"LD_PRELOAD": str(self.shim), "LD_PRELOAD_CLOCK": str(page)}
        # The engine belongs to nobody, if we are root.
        folder.chmod(0o755)

    @contextlib.contextmanager
    def over(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def jump(self, seconds: int) -> None:
        self.page[:8] = struct.pack("=q", seconds)

    def passes(self, seconds: int) -> None:
        """So much time has passed by the clock that nobody sets, since the processes were started."""
        self.page[8:] = struct.pack("=q", seconds)


def can_run() -> bool:
    return shutil.which(NEEDS) is not None


def the_clock_jumps(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(11, "the clock jumps")
    folder = Path(tempfile.mkdtemp(prefix="eh-clock-"))
    one, two = Counting(name="-one"), Counting(name="-two")
    try:
        wall = Wall(folder)
        now = dt.datetime.now(dt.UTC)
        ends = now + dt.timedelta(minutes=30)
        since = now.date().isoformat()
        extra = EXTRA.format(port=one.port, one=one.port, two=two.port, since=since, until=ends.isoformat())
        with wall.over(), yard(pki, extra=extra, more=LIMITS, drain_s=30) as it:
            Jumps(it, wall, out).all(one)
            ends_in_order(it, wall, out)
    finally:
        one.close()
        two.close()
        shutil.rmtree(folder, ignore_errors=True)
    return out


class Jumps:
    """Clients that stay connected over all jumps, and what each jump must and must not change."""

    def __init__(self, it: Yard, wall: Wall, out: Outcome) -> None:
        self.it, self.wall, self.out = it, wall, out
        self.h1, self.passed = connect(it), connect(it, "passthrough")
        self.h2, self.tunnel = h2(it), upgraded(it, "reencrypt")
        self.stream = 1

    def all(self, one: Counting) -> None:
        self.at(0, "before", served=True, accepted=True)
        self.at(HOUR, "+1 h", served=True, accepted=False)
        self.at(0, "back", served=True, accepted=True)
        self.at(-DAY, "-1 d", served=True, accepted=True)
        self.at(400 * DAY, "+400 d", served=False, accepted=False)
        self.at(0, "back again", served=True, accepted=True)
        self.ejected_for_a_while(one)
        self.late_at_its_time()
        for sock in (self.h1, self.passed, self.h2.sock, self.tunnel):
            sock.close()

    def at(self, offset: int, name: str, *, served: bool, accepted: bool) -> None:
        self.wall.jump(offset)
        want = 200 if served else 503
        # A tick at most until the threads have seen it; then it stays so.
        until(lambda: self.statuses() == [want, want] or None, 20, lambda: f"{name}: {self.statuses()}")
        found = [*self.statuses(), *self.statuses()]
        self.out.must(f"{name}: requests on open connections", found, f"{want} each", found == [want] * 4)
        echoed(self.tunnel, b"still there")
        status, body = get(self.passed, "pass.test")
        self.out.must(f"{name}: tunnel and passthrough", (status, body), "served", (status, body) == (200, b"ok-t"))

        def dated() -> bool:
            got = get(self.h1, "a.test", path="/accepted")
            closed = got[0] == 503 and (b"hop/acceptance-expired" in got[1] or not served)
            return got[0] == 200 if accepted else closed

        until(lambda: dated() or None, 20, lambda: f"{name}: the accepted hop")
        self.out.must(f"{name}: the accepted hop", "as it must" if dated() else "not so", str(accepted), dated())
        if not served:
            slug = b"site/certificate-expired" in get(self.h1, "a.test")[1]
            self.out.must(f"{name}: why", "its slug" if slug else "another", "site/certificate-expired", slug)
        self.limiter(name)
        self.log(offset, name)

    def statuses(self) -> list[int]:
        found = self.h2.ask(self.stream, fields("a.test", path=b"/"))
        self.stream += 2
        return [get(self.h1, "a.test")[0], int(found) if found.isdigit() else 0]

    def limiter(self, name: str) -> None:
        """A source begins as many handshakes as it may, no more and no fewer, whatever the day."""
        began, served, tried, took = time.monotonic(), 0, 0, 0.0
        while took < 0.5:
            served, tried = served + burst(self.it.port, 20), tried + 20
            took = time.monotonic() - began
        fine = took * BURST / 2 <= served <= BURST + took * BURST + 1
        self.out.must(f"{name}: handshakes let in", f"{served} of {tried} in {took:.1f} s", f"{BURST}/s", fine)

    def log(self, offset: int, name: str) -> None:
        status = get(self.h1, "a.test", path=f"/log{offset}")[0]
        line = self.it.edge.line(lambda x: x["path"] == f"/log{offset}" and x["status"] == status, 20)
        when = dt.datetime.fromisoformat(str(line["time"]))
        differs = (when - dt.datetime.now(dt.UTC)).total_seconds() - offset
        self.out.must(f"{name}: the log's time", f"{differs:+.0f} s off", "follows", abs(differs) < 120)
        took = int(line["duration_us"])
        self.out.must(f"{name}: the log's duration", f"{took} us", "unmoved", 0 <= took < 30_000_000)

    def ejected_for_a_while(self, one: Counting) -> None:
        """A backend that is left alone for a second is not left alone for a day."""
        one.fall()
        until(lambda: state(self.it) == "ejected" or get(self.h1, "a.test", path="/pair")[0] == 0 or None, 20)
        self.wall.jump(-DAY)
        one.rise()
        back = until(lambda: get(self.h1, "a.test", path="/pair")[1] == b"ok-one" or None, 20)
        self.out.must("an ejected backend over a jump back", "returns" if back else "stays away", "returns", bool(back))
        self.wall.jump(0)

    def late_at_its_time(self) -> None:
        """A head that never ends is ended at its deadline, over a jump."""
        with connected(self.it) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX")
            self.wall.jump(-DAY)
            got = sock.recv(4096)[:12]
            self.out.must("a slow head over a jump back", got, "408 at its deadline", got == b"HTTP/1.1 408")
        self.wall.jump(0)


def connected(it: Yard) -> ssl.SSLSocket:
    """A new connection, once the limiter lets it."""

    def one() -> ssl.SSLSocket | None:
        try:
            return connect(it)
        except OSError:
            return None

    return until(one, 20)


def state(it: Yard) -> str:
    routes: list[dict[str, Any]] = it.edge.status()["routes"]
    return str(next(r for r in routes if r["name"] == "pair")["backends"][0]["state"])


def burst(port: int, count: int) -> int:
    """Hellos at once; how many were greeted back."""
    hello = hello_bytes("a.test")
    socks = []
    for _ in range(count):
        sock = opened(socket.create_connection(("127.0.0.1", port), 20))
        socks.append(sock)
        sock.sendall(hello)
    greeted = 0
    for sock in socks:
        with sock, contextlib.suppress(ConnectionError):
            greeted += sock.recv(1) == b"\x16"
    return greeted


def ends_in_order(it: Yard, wall: Wall, out: Outcome) -> None:
    """A drain lasts as long as it may by no calendar."""
    gate(it, is_open=False)
    slow = until(lambda: held_back_or_none(it), 20)
    it.edge.edge.process.terminate()
    it.edge.edge.wait_for("draining", 20)
    for offset in (HOUR, 400 * DAY, -DAY):
        wall.jump(offset)
    wall.jump(HOUR)
    slow.join(1.5)
    gate(it, is_open=True)
    status = result(slow)
    out.must("in flight in a drain over jumps", status, "200", status == 200)
    code = it.edge.edge.process.wait(40)
    out.must("exit code", code, "0", code == 0)
    wall.jump(0)


def held_back_or_none(it: Yard) -> Any:
    """The limiter may still hold the last burst against us."""
    connected(it).close()
    return held_back(it)
