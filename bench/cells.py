"""What is measured: each cell is a load on one pattern, counted in its own unit."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.subjects import LOAD_CPU, NAMES, Subject, load, which

GIB = 1024.0**3


@dataclass(frozen=True)
class Cell:
    """`drive` puts the load on a subject and gives how many units it made; cost is CPU time by that, times `scale`."""

    key: str
    pattern: str
    title: str
    unit: str
    scale: float
    drive: Callable[[Path, Subject], float]
    floor: str = ""
    """Another of the floor's ports, where it has its own."""


def run(*command: str) -> str:
    done = subprocess.run(["taskset", "-c", LOAD_CPU, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def h2load(pattern: str, count: int, *arguments: str, path: str = "/") -> Callable[[Path, Subject], float]:
    def drive(_: Path, subject: Subject) -> float:
        port, name = subject.ports[pattern], NAMES[pattern]
        where = ["--connect-to", f"127.0.0.1:{port}", f"https://{name}:{port}{path}"]
        out = run(which("h2load") or "h2load", "-n", str(count), "-t", "1", *arguments, *where)
        found = re.search(r"(\d+) succeeded, (\d+) failed", out)
        if not found or int(found[1]) != count:
            raise SystemExit(f"{subject.name} failed requests:\n{out}")
        return count

    return drive


def bodies(pattern: str, path: str, size: int, count: int) -> Callable[[Path, Subject], float]:
    drive = h2load(pattern, count, "--h1", "-c", "4", path=path)
    return lambda folder, subject: drive(folder, subject) * size / GIB


def uploads(pattern: str, size: int, count: int) -> Callable[[Path, Subject], float]:
    def drive(folder: Path, subject: Subject) -> float:
        body = str(folder / "www" / "big")
        return h2load(pattern, count, "--h1", "-c", "4", "-d", body, path="/up")(folder, subject) * size / GIB

    return drive


def common(folder: Path, subject: Subject, pattern: str) -> list[str]:
    name = NAMES[pattern]
    return [f"to=127.0.0.1:{subject.ports[pattern]}", f"name={name}", f"ca={folder / 'bench-ca.pem'}"]


def connections(
    pattern: str, count: int, *, resume: bool = False, threads: int = 8
) -> Callable[[Path, Subject], float]:
    def drive(folder: Path, subject: Subject) -> float:
        out = run(
            *load("handshakes", *common(folder, subject, pattern), f"count={count}", f"threads={threads}"),
            *(["resume=1"] if resume else []),
        )
        resumed = int(out.split()[-1])
        if resume and resumed < count * 0.9:
            raise Cannot(f"only {resumed} of {count} sessions were resumed")
        return count

    return drive


def messages(count: int) -> Callable[[Path, Subject], float]:
    def drive(folder: Path, subject: Subject) -> float:
        words = [*common(folder, subject, "plaintext"), f"count={count}", "threads=16", "size=256"]
        return float(run(*load("websocket", *words)).split()[-1])

    return drive


class Cannot(Exception):
    """This subject does not do that; the reason is printed in the cell."""


def all_cells(scale: float) -> list[Cell]:
    def n(count: int) -> int:
        return max(8, int(count * scale))

    big, kib64 = 10 * 1024 * 1024, 64 * 1024
    cells = []
    for pattern in ("passthrough", "plaintext", "mutual"):
        small = h2load(pattern, n(15_000), "--h1", "-c", "32")
        cells.append(Cell("h1", pattern, "HTTP/1.1 keep-alive, 256 bytes", "us/request", 1e6, small))
        if pattern != "passthrough":
            streams = h2load(pattern, n(15_000), "-c", "16", "-m", "32")
            cells.append(Cell("h2", pattern, "HTTP/2, 16 x 32 streams, 256 bytes", "us/request", 1e6, streams))
        full = connections(pattern, n(400))
        cells.append(Cell("full", pattern, "full handshake with one request", "us/connection", 1e6, full))
        again = connections(pattern, n(400), resume=True)
        cells.append(Cell("resumed", pattern, "resumed handshake with one request", "us/connection", 1e6, again))
        floor = "splice" if pattern == "passthrough" else ""
        cells.append(Cell("big", pattern, "10 MiB bodies", "s/GiB", 1, bodies(pattern, "/big", big, n(24)), floor))
        cells.append(Cell("64k", pattern, "64 KiB bodies", "s/GiB", 1, bodies(pattern, "/64k", kib64, n(1000))))
        cells.append(Cell("up", pattern, "10 MiB uploads", "s/GiB", 1, uploads(pattern, big, n(16)), floor))
    cells.append(Cell("ws", "plaintext", "WebSocket, 256 bytes", "us/message", 1e6, messages(n(6_000))))
    return cells
