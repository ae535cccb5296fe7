"""Promises about change while it runs: reloads, broken ones, certificates (1, 2, 8)."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit import Pki
from tests.kit.edge import until
from tests.promises.clients import MIX, Load
from tests.promises.outcome import Outcome, Scale, percentile
from tests.promises.yard import HOSTS, LOAD, SWEPT, Yard, quiet, resting, rss_kib, settled, yard

OTHER = '[[route]]\nname = "n{n}"\nhost = "a.test"\npath = "/n{n}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


def reloads_lose_nothing(pki: Pki, scale: Scale) -> Outcome:
    """As many reloads as there is time for at 200 a minute, under load; then as fast as it goes, up to a thousand."""
    out = Outcome(1, "a reload loses nothing")
    with yard(pki, more=SWEPT) as it:
        pid = it.pid()
        with Load(it) as warm:
            until(lambda: len(warm.steps) > 200 or None, 60)
        quiet(it)
        for n in range(3):
            reload(it, n)
        base_rss, base_fds = rss_kib(pid), resting(pid)
        with Load(it) as load:
            calm = scale.seconds * 0.2
            spent(calm)
            begin = time.monotonic()
            count, seconds = 0, scale.seconds * 0.5
            while (now := time.monotonic()) < begin + seconds:
                reload(it, count)
                count += 1
                spent(max(0.0, now + 0.3 - time.monotonic()))
            end = time.monotonic()
            before = load.between(begin - calm, begin)
            during = load.between(begin, end)
            fast = 0
            until_s = time.monotonic() + scale.seconds * 0.3
            while time.monotonic() < until_s and count + fast < 1000:
                reload(it, count + fast)
                fast += 1
        p99 = percentile(before, 0.99), percentile(during, 0.99)
        generation = it.edge.status()["generation"]
        elsewhere = {k: v for k, v in it.edge.status()["refused"].items() if v}
        of_routes = sum(sum(r["refused"].values()) for r in it.edge.status()["routes"])
        quiet(it)
        reload(it, 0)
        fds = settled(pid, base_fds)
        rss = rss_kib(pid)
    total = count + fast
    out.must(f"errors over {total} reloads and {len(load.steps)} steps", load.errors[:3] or 0, "0", not load.errors)
    out.must("refused", elsewhere or of_routes, "0", not elsewhere and not of_routes)
    out.must("plans applied", generation, str(total + 4), generation == total + 4)
    out.must("descriptors afterwards", f"{fds}, before {base_fds}", "back to base", fds <= base_fds)
    rate = f"{count} in {end - begin:.0f} s"
    ratio = p99[1] / p99[0] if p99[0] else 0.0
    figure = f"{p99[0] * 1000:.1f} to {p99[1] * 1000:.1f} ms ({ratio:.2f}x) with {rate}"
    out.timed(scale, "p99 of a step", figure, "2x", ratio <= 2)
    grown = 100 * (rss - base_rss) / base_rss
    out.timed(scale, f"RSS after {total} reloads", f"{base_rss} to {rss} KiB ({grown:+.1f} %)", "5 %", grown <= 5)
    return out


def reload(it: Yard, n: int) -> None:
    """Another route each time, so that each is another plan."""
    answer = it.edge.reload(it.routes + OTHER.format(n=n, port=it.backends["plaintext"].port))
    assert answer["reloaded"], answer


def spent(seconds: float) -> None:
    threading.Event().wait(seconds)


def broken_reloads_change_nothing(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(2, "a bad reload changes nothing")
    kinds = breakages()
    wanted = 50 if scale.whole else len(kinds)
    with yard(pki) as it, socket.create_server(("127.0.0.1", 0)) as taken:
        good = it.edge.config.read_text()
        before = it.edge.status()
        told = 0
        with Load(it, gap_s=0.02) as load:
            until(lambda: len(load.steps) > 20 or None, 30)
            for n in range(wanted):
                name, pattern, instead = kinds[n % len(kinds)]
                broken = re.sub(pattern, instead.format(taken=taken.getsockname()[1], folder=it.edge.folder), good)
                assert broken != good, name
                it.edge.config.write_text(broken)
                answer = it.edge.admin("reload")
                assert answer["answer"] == "reload" and not answer["reloaded"], (name, answer)
                told += bool(answer["findings"] or answer.get("why"))
            it.edge.config.write_text(good)
        after = it.edge.status()
        same = all(before[k] == after[k] for k in ("plan_digest", "material_digest", "generation"))
    out.must(f"plan, material and generation after {wanted}", "the same" if same else "others", "the same", same)
    out.must("refusals that say why", told, str(wanted), told == wanted)
    out.must(f"errors over {len(load.steps)} steps", load.errors[:3] or 0, "0", not load.errors)
    return out


def breakages() -> list[tuple[str, str, str]]:
    """Name, what is replaced in a good file, by what."""
    end = r"\Z"
    return [
        ("syntax", end, "\n[[route\n"),
        ("unknown key", end, "\nnonsense = 1\n"),
        ("route twice", end, '\n[[route]]\nname = "mutual"\nhost = "a.test"\npath = "/x"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'),
        ("the same match twice", end, '\n[[route]]\nname = "tie"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'),
        ("key of another certificate", r"file:([^\"]*)/edge\.key", r"file:\1/client.key"),
        ("no such key", r"/edge\.key", "/nobody.key"),
        ("no such roots", r"internal-ca\.pem", "nobody.pem"),
        ("no name to expect", r", name = \"backend\.internal\"", ""),
        ("no identity of that name", r"present = \"edge\"", 'present = "nobody"'),
        ("a port in use", r"bind = \[\"127\.0\.0\.1:\d+\"\]", 'bind = ["127.0.0.1:{taken}"]'),
        ("other threads", r"threads = 2", "threads = 3"),
        ("passed and terminated", r"host = \"pass\.test\"", 'host = ["pass.test", "a.test"]'),
        ("plaintext elsewhere without acceptance", end, '\n[[route]]\nname = "far"\nhost = "a.test"\npath = "/x"\ntls = "plaintext"\nto = ["192.0.2.1:1"]\n'),
        ("a host of no site", end, '\n[[route]]\nname = "far"\nhost = "z.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'),
        ("not a version", r"version = 1", "version = 2"),
        ("no listener", r"(?s)\[\[listener\]\].*?(?=\[\[site)", ""),
        ("a log that cannot be written", r"access = \"[^\"]*\"", 'access = "{folder}/no/access.log"'),
    ]  # fmt: skip


def certificates_rotate(pki: Pki, scale: Scale) -> Outcome:
    """Rotations under handshakes; each handshake tells which leaf it was shown."""
    out = Outcome(8, "certificate rotation")
    rotations = 100 if scale.whole else 3
    seen, more = (100, 400) if scale.timed else (50, 0)
    folder = Path(tempfile.mkdtemp(prefix="eh-pki-"))
    try:
        mine = Pki(folder)
        with yard(mine) as it:
            shaking = Handshakes(it, seen, threads=4)
            late: list[float] = []
            began = time.monotonic()
            with shaking, many_more(it, more, scale.seconds) as beside:
                until(lambda: shaking.done > 10 or None, 30)
                for n in range(rotations):
                    due = began + (n + 1) * scale.seconds / rotations
                    serial = rotate(mine)
                    swapped = time.monotonic()
                    took = until(lambda s=serial: shaking.first.get(s), 30)  # type: ignore[misc]
                    late.append(took - swapped)
                    spent(max(0.0, due - time.monotonic()))
            seconds = time.monotonic() - began
            failed = it.edge.status()["handshakes"]["failed"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    done = shaking.done
    errors = shaking.errors + beside.errors
    figure = f"{len(errors)} of {done + beside.done} {errors[:2] or ''}"
    out.must(f"failed handshakes over {rotations} rotations", figure, "0", not errors and not failed)
    out.must("leaves seen", len(shaking.first), str(rotations + 1), len(shaking.first) == rotations + 1)
    out.timed(scale, "a new leaf served after, worst", f"{max(late):.2f} s", "1 s", max(late) <= 1)
    reached = done / seconds + beside.rate
    wanted = seen + more
    out.timed(scale, "handshakes a second", f"{reached:.0f}", f"90 % of {wanted} at least", reached >= wanted * 0.9)
    return out


@dataclass
class Beside:
    """What a load beside ours came to."""

    done: int = 0
    rate: float = 0.0
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def many_more(it: Yard, rate: int, seconds: float) -> Iterator[Beside]:
    """Handshakes, each with a request, at a rate that Python does not reach beside its own."""
    out = Beside()
    if not rate:
        yield out
        return
    count = round(rate * seconds)
    words = [f"to=127.0.0.1:{it.port}", "name=a.test", f"ca={it.ca}", f"count={count}", "threads=4", f"rate={rate}"]
    began = time.monotonic()
    load = subprocess.Popen(
        [str(LOAD), "handshakes", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield out
    said, wrong = load.communicate(timeout=seconds + 120)
    if load.returncode or not said.startswith(f"done {count} "):
        out.errors.append(said + wrong)
    else:
        out.done, out.rate = count, count / (time.monotonic() - began)


def rotate(pki: Pki) -> int:
    """A fresh leaf in the old one's files, each replaced wholly; gives its serial number."""
    chain, key = pki.folder / "edge.pem", pki.folder / "edge.key"
    pki.public.leaf("fresh", "a.test", "b.test", "c.test", "*.w.test")
    (pki.folder / "fresh.key").replace(key)
    (pki.folder / "fresh.pem").replace(chain)
    return serial_of(
        ssl.PEM_cert_to_DER_cert(
            chain.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        )
    )


def serial_of(der: bytes) -> int:
    from cryptography import x509

    return x509.load_der_x509_certificate(der).serial_number


class Handshakes:
    """New connections at a rate over all threads, each of which was late begins at once. `first`: when each leaf came."""

    def __init__(self, it: Yard, rate: float, threads: int) -> None:
        self.it, self.gap, self.count = it, threads / rate, threads
        self.done = 0
        self.errors: list[str] = []
        self.first: dict[int, float] = {}
        self.known: dict[bytes, int] = {}
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.context = ssl.create_default_context(cafile=str(it.ca))

    def __enter__(self) -> Handshakes:
        self.threads = [threading.Thread(target=self.go, daemon=True) for _ in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def go(self) -> None:
        due = time.monotonic()
        while not self.stop.is_set():
            self.stop.wait(max(0.0, due - time.monotonic()))
            due += self.gap
            try:
                with self.context.wrap_socket(
                    socket.create_connection(("127.0.0.1", self.it.port), 20), server_hostname="a.test"
                ) as sock:
                    self.saw(sock.getpeercert(binary_form=True) or b"")
            except OSError as e:
                self.errors.append(f"{type(e).__name__} {e}")

    def saw(self, der: bytes) -> None:
        now = time.monotonic()
        with self.lock:
            self.done += 1
            serial = self.known.get(der)
            if serial is None:
                serial = self.known[der] = serial_of(der)
            self.first.setdefault(serial, now)


__all__ = ["HOSTS", "MIX", "broken_reloads_change_nothing", "certificates_rotate", "reloads_lose_nothing"]
