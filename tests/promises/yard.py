"""The yard: one edge with all four patterns, counting backends behind it, and what its engine holds by the kernel's books."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from everyhop.admin import engine_socket
from everyhop.engine.control import Control
from everyhop.engine.messages import Hello, Welcome
from tests.kit import EdgeKit, Pki
from tests.kit.edge import EVERY_PATTERN, until
from tests.promises.backend import Counting

HOSTS = {"plaintext": "a.test", "reencrypt": "b.test", "mutual": "c.test", "passthrough": "pass.test"}

ROOT = Path(__file__).resolve().parents[2]
LOAD = ROOT / "target/release/everyhop-load"

SWEPT = "[limits]\nupstream_idle_s = 1\n"
"""Pools that are swept soon: what stays open after that is forgotten, not kept."""

PANICS: list[int] = []
"""What each engine said of its panics when its yard closed: promise 16 is judged over all of them."""


class Yard:
    def __init__(
        self,
        pki: Pki,
        *,
        extra: str = "",
        more: str = "",
        drain_s: int = 10,
        threads: int = 2,
        under: Sequence[str] = (),
    ) -> None:
        self.pki = pki
        self.backends = {
            "plaintext": Counting(name="-p"),
            "reencrypt": Counting(pki.backend, name="-r"),
            "mutual": Counting(pki.backend, clients=pki.internal.file, name="-m"),
            "passthrough": Counting(pki.pass_leaf, name="-t"),
        }
        self.routes = EVERY_PATTERN.format(**{name: it.port for name, it in self.backends.items()}) + extra
        self.edge = EdgeKit(pki, self.routes, threads=threads, drain_s=drain_s, more=more, under=under)

    @property
    def port(self) -> int:
        return self.edge.port

    @property
    def ca(self) -> Path:
        return self.pki.public.file

    def pid(self) -> int:
        control = Control.connect(engine_socket(self.edge.folder / "admin.sock"))
        try:
            return control.must(Hello(), Welcome).pid
        finally:
            control.close()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            # An edge that a promise has stopped says nothing more.
            PANICS.append(int(self.edge.status()["panics"]))
        self.edge.close()
        for it in self.backends.values():
            it.close()


@contextlib.contextmanager
def yard(pki: Pki, **more: object) -> Iterator[Yard]:
    it = Yard(pki, **more)  # type: ignore[arg-type]
    try:
        yield it
    finally:
        it.close()


def rss_kib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def descriptors(pid: int) -> int:
    """The engine lets nobody but root look; for everyone else its connections are what can be counted."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def cpu_s(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e9


def resting(pid: int, seconds: float = 30.0) -> int:
    """The engine's descriptors once nothing comes or goes any more: pools have been swept, log files have been closed."""
    end, seen, since = time.monotonic() + seconds, -1, 0.0
    while time.monotonic() < end:
        now = descriptors(pid)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() > since + 1.6:
            break
        time.sleep(0.1)
    return seen


def settled(pid: int, at_most: int, seconds: float = 40.0) -> int:
    """The engine's descriptors once they are back to `at_most`, or what they stayed at."""
    with contextlib.suppress(AssertionError):
        until(lambda: descriptors(pid) <= at_most or None, seconds)
    return descriptors(pid)


def quiet(it: Yard, seconds: float = 20.0) -> None:
    """Until the engine holds no client connection."""
    until(lambda: it.edge.status()["connections"] == 0 or None, seconds)


def pace(until_s: float) -> Iterator[float]:
    """Seconds that are left, until none are."""
    end = time.monotonic() + until_s
    while (left := end - time.monotonic()) > 0:
        yield left
