"""Promises about those who mean no good, and about being nothing but refused (6, 7, 13, 18)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from everyhop.demo.stage import free_port
from tests.kit import Pki, hello_bytes
from tests.kit.edge import until
from tests.promises.clients import Kind, Load, connect, get, h1_steps, h2_steps
from tests.promises.outcome import Outcome, Scale, percentile
from tests.promises.yard import LOAD, PANICS, ROOT, Yard, quiet, rss_kib, yard
from tests.threats.frames import fields
from tests.threats.ground import HOSTS, TERMINATING, Ground, response
from tests.threats.test_http2 import FORBIDDEN, floods, speak, spent
from tests.wire.test_lifecycle import NGINX

IDLE = "[limits]\nidle_s = 300\nhandshake_s = {s}\nhead_s = {s}\nconnections_per_source = 0\n"
GATE_KIB = 8.0
"""What an idle TLS connection may cost: the gate of the baseline."""
OTHERS: list[Kind] = [("h1", h1_steps, "plaintext"), ("h2", h2_steps, "mutual"), ("h1", h1_steps, "reencrypt")]


def room() -> int:
    """Connections that an engine takes here: half of the descriptors that it may have, without some for itself."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 128) // 2


def idle_and_slow(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(6, "idle and slow clients")
    count = min(10_000, room() - 100) if scale.whole else 150
    # The default; as many are opened a second as makes all of them wait at once.
    deadline_s = 10 if scale.whole else 3
    with yard(pki, more=IDLE.format(s=deadline_s)) as it:
        pid = it.pid()
        with idle(it, 100):
            pass
        quiet(it, 60)
        before = rss_kib(pid)
        with idle(it, count) as open_now:
            each = (rss_kib(pid) - before) / count
        out.must("idle TLS connections open at once", open_now, f"{count}", open_now >= count)
        out.timed(scale, "an idle TLS connection", f"{each:.2f} KiB", f"{GATE_KIB} KiB", each <= GATE_KIB)
        quiet(it, 60)
        slow(it, count, deadline_s, scale, out)
    if count < 10_000 and scale.whole:
        out.notes.append(f"{count} instead of 10,000: this machine lets a process have {2 * room() + 128} descriptors")
    return out


@contextlib.contextmanager
def idle(it: Yard, count: int) -> Iterator[int]:
    """Connections that did one request each and wait; gives how many the engine says there are."""
    if count > 1000:
        words = [f"to=127.0.0.1:{it.port}", "name=a.test", f"ca={it.ca}", f"count={count}"]
        held = subprocess.Popen([str(LOAD), "idle", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert held.stdout is not None and held.stdin is not None
        assert held.stdout.readline() == b"ready\n"
        yield int(it.edge.status()["connections"])
        held.stdin.close()
        held.wait(60)
        held.stdout.close()
        return
    socks = [connect(it) for _ in range(count)]
    for sock in socks:
        assert get(sock, "a.test")[0] == 200
    yield int(it.edge.status()["connections"])
    for sock in socks:
        sock.close()


def slow(it: Yard, count: int, deadline_s: int, scale: Scale, out: Outcome) -> None:
    """Hellos that never end, and some heads; each closed when its time is over, and not before."""
    words = [str(it.port), str(it.ca), str(count), str(1.05 * count / deadline_s)]
    command = [sys.executable, "-m", "tests.promises.slow", *words]

    def attack() -> list[float]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
        ages: list[float] = json.loads(done.stdout)
        return ages

    if scale.timed:
        # A guest gets memory that nobody has touched yet from its host, some of it tens of milliseconds late, whoever asks
        # for it. Once before, so that the engine is judged and not that.
        attack()
    with Load(it, mix=OTHERS) as load:
        begin = time.monotonic()
        spent_calmly = 10 if scale.timed else 1
        until(lambda: time.monotonic() > begin + spent_calmly or None, 30)
        calm_end = time.monotonic()
        ages = attack()
        calm, during = load.between(begin, calm_end), load.between(calm_end, time.monotonic())
    out.must("slow clients closed", len(ages), str(count), len(ages) == count)
    out.must(
        "the earliest", f"{min(ages):.1f} s", f"not before {deadline_s} s less a tick", min(ages) >= deadline_s - 0.2
    )
    out.timed(
        scale, "the latest", f"{max(ages):.1f} s", f"{deadline_s} s and a busy moment", max(ages) <= deadline_s + 3
    )
    ratio = percentile(during, 0.99) / max(percentile(calm, 0.99), 1e-9)
    figure = f"{percentile(calm, 0.99) * 1000:.1f} to {percentile(during, 0.99) * 1000:.1f} ms ({ratio:.2f}x)"
    out.timed(scale, "the others' p99", figure, "2x", ratio <= 2)
    out.must("errors of the others", load.errors[:3] or 0, "0", not load.errors)


def one_hostile_connection(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(7, "a hostile HTTP/2 connection")
    kinds = list(floods()) if scale.whole else ["rapid reset", "empty CONTINUATION"]
    ground = Ground.open(pki)
    try:
        for kind in kinds:
            cpu, rss = spent(ground)
            it = speak(ground)
            took = it.flood(floods()[kind])
            cpu_after, rss_after = spent(ground)
            cut, mib = it.closed or it.goaway is not None, (rss_after - rss) / 1024
            out.must(
                f"{kind}",
                f"cut after {took} frames, {mib:.1f} MiB" if cut else "goes on",
                "cut, 64 MiB",
                cut and mib <= 64,
            )
            out.timed(scale, f"{kind}, CPU", f"{cpu_after - cpu:.2f} s", "1 s", cpu_after - cpu <= 1)
            ground.clean()
        PANICS.append(int(ground.edge.status()["panics"]))
    finally:
        ground.close()
    return out


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    path = os.environ["PATH"] + ":/usr/sbin"
    process = subprocess.Popen(
        ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], env={**os.environ, "PATH": path}
    )

    def up() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(lambda: up() or None, 20)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def h2load(it: Yard, requests: float, clients: int) -> tuple[float, int]:
    """Requests a second that succeeded, and how many did not. By count: told a time, h2load waits for ever for a client that
    is connected only when the time is over."""
    where = ["--connect-to", f"127.0.0.1:{it.port}", f"https://a.test:{it.port}/busy"]
    command = ["h2load", "--h1", "-n", str(max(round(requests), 4 * clients)), "-c", str(clients), "-t", "1", *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    took = re.search(r"finished in ([\d.]+)(m?s)", done.stdout)
    assert found and took, done.stdout
    span = float(took[1]) / (1000 if took[2] == "ms" else 1)
    return int(found[2]) / span, int(found[3]) + int(found[5])


def overload(pki: Pki, scale: Scale) -> Outcome:
    """As many clients as give the peak, then five times as many; someone asks the admin meanwhile."""
    out = Outcome(13, "5x overload")
    each = scale.seconds / 4
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder)) as port:
        busy = (
            f'[[route]]\nname = "busy"\nhost = "a.test"\npath = "/busy"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        )
        with yard(pki, extra=busy) as it, connect(it) as probe:
            usual = sorted(timed(lambda: get(probe, "a.test", path="/busy")) for _ in range(100))
            rate, _ = h2load(it, 2000, 16)
            peak, failed = max(h2load(it, each * rate, 16), h2load(it, each * rate, 48))
            asked = Asked(it)
            with asked:
                goodput, also = h2load(it, each * rate, 48 * 5)
            ended = time.monotonic()
            normal = max(percentile(usual, 0.5) * 3, 0.005)
            until(lambda: timed(lambda: get(probe, "a.test", path="/busy")) <= normal or None, 60)
            recovered = time.monotonic() - ended
    out.must("requests failed at peak and over it", failed + also, "0", failed + also == 0)
    figure = f"{goodput:.0f} of {peak:.0f}/s ({100 * goodput / peak:.0f} %)"
    out.timed(scale, "goodput", figure, "80 %", goodput >= 0.8 * peak)
    out.must("admin questions answered meanwhile", len(asked.took), "all", bool(asked.took) and not asked.errors)
    out.timed(scale, "the slowest", f"{max(asked.took, default=99):.2f} s", "1 s", max(asked.took, default=99) <= 1)
    out.timed(scale, "recovered after", f"{recovered:.2f} s", "5 s", recovered <= 5)
    return out


def timed(what: Callable[[], object]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


class Asked:
    """Asks for the status again and again."""

    def __init__(self, it: Yard) -> None:
        self.it, self.took, self.errors = it, list[float](), list[str]()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.go, daemon=True)

    def __enter__(self) -> Asked:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(60)

    def go(self) -> None:
        while not self.stop.is_set():
            try:
                self.took.append(timed(self.it.edge.status))
            except Exception as e:  # whatever went wrong is the figure
                self.errors.append(repr(e))
            self.stop.wait(0.1)


REFUSED: list[tuple[str, bytes, set[int]]] = [
    ("two framings", b"POST / HTTP/1.1\r\nHost: {h}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("a coding of two", b"POST / HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: {h}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", {400}),
    ("a length with a sign", b"POST / HTTP/1.1\r\nHost: {h}\r\nContent-Length: +1\r\n\r\nx", {400}),
    ("a bare line feed", b"GET / HTTP/1.1\nHost: {h}\r\n\r\n", {400}),
    ("a folded field", b"GET / HTTP/1.1\r\nHost: {h}\r\nX: a\r\n b\r\n\r\n", {400}),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost: {h}\r\nX : a\r\n\r\n", {400}),
    ("a NUL", b"GET / HTTP/1.1\r\nHost: {h}\r\nX: a\0b\r\n\r\n", {400}),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", {400}),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: {h}\r\nHost: {h}\r\n\r\n", {400}),
    ("another version", b"GET / HTTP/1.2\r\nHost: {h}\r\n\r\n", {400, 505}),
    ("CONNECT", b"CONNECT {h}:443 HTTP/1.1\r\nHost: {h}:443\r\n\r\n", {405}),
    ("a fragment", b"GET /#x HTTP/1.1\r\nHost: {h}\r\n\r\n", {400}),
    ("a path that climbs", b"GET /a/%2e%2e%2f..%2fadm HTTP/1.1\r\nHost: {h}\r\n\r\n", {400}),
    ("a site that demands a certificate", b"GET / HTTP/1.1\r\nHost: m.test\r\n\r\n", {421}),
    ("a passthrough host", b"GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n", {421}),
    ("101 fields", b"GET / HTTP/1.1\r\nHost: {h}\r\n" + b"X: y\r\n" * 101 + b"\r\n", {431}),
    ("a head that is too long", b"GET / HTTP/1.1\r\nHost: {h}\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", {400, 431}),
]  # fmt: skip
HELLOS: list[tuple[str, bytes]] = [
    ("no server name", hello_bytes(None)),
    ("an unknown server name", hello_bytes("nobody.test")),
    ("plain HTTP", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("SSLv2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\0" * 37),
    ("half a hello", hello_bytes("pass.test")[:80]),
]


def refusals_reach_nobody(pki: Pki, scale: Scale) -> Outcome:
    """A table of refusals in each pattern; after each, a clean request."""
    out = Outcome(18, "every refusal is a refusal")
    ground = Ground.open(pki)
    tried, wrong = 0, list[str]()
    try:
        for name, sent in HELLOS:
            tried += 1
            wrong += reached(ground, name, partial(hello, ground, sent))
        for pattern in TERMINATING:
            host = HOSTS[pattern].encode()
            for name, sent, statuses in REFUSED:
                tried += 1
                asked = sent.replace(b"{h}", host)
                wrong += reached(ground, f"{pattern}, {name}", partial(h1_refused, ground, pattern, asked, statuses))
            for name, more in FORBIDDEN:
                tried += 1
                wrong += reached(ground, f"{pattern}, HTTP/2, {name}", partial(h2_refused, ground, pattern, more))
            ground.clean(pattern)
        PANICS.append(int(ground.edge.status()["panics"]))
    finally:
        ground.close()
    out.must(f"of {tried} refusals, not refused or with a byte upstream", wrong[:3] or 0, "0", not wrong)
    return out


def reached(ground: Ground, name: str, attack: Callable[[], str]) -> list[str]:
    before = len(ground.received)
    said = attack()
    if len(ground.received) != before:
        said += f" {len(ground.received) - before} bytes upstream"
    return [f"{name}: {said}"] if said else []


def hello(ground: Ground, sent: bytes) -> str:
    with socket.create_connection(("127.0.0.1", ground.edge.port), 20) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(4096):
                got += data
    return "" if not got or got[0] == 21 or got.startswith(b"HTTP/1.1 400") else f"answered {got[:20]!r}"


def h1_refused(ground: Ground, pattern: str, sent: bytes, statuses: set[int]) -> str:
    with ground.connect(pattern) as sock:
        sock.sendall(sent)
        status = response(sock)[0]
    return "" if status in statuses else f"status {status}"


def h2_refused(ground: Ground, pattern: str, more: list[tuple[bytes, bytes]]) -> str:
    it = speak(ground, pattern)
    found = it.ask(1, fields(HOSTS[pattern], *more))
    it.sock.close()
    return "" if found in {"400", "reset", "gone"} else found
