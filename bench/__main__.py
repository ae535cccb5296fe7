"""CPU cost beside peers in one run, interleaved, one core each: `make bench`. Writes `bench/results.json` and renders it.

The machines that this runs on are noisy, so only ratios within one round count: their medians, and those of the CPU
time that the kernel's scheduler counted for all threads of the subject, divided by what was completed. Every subject is
asked for the right answers before it is measured; a cell whose rounds differ by much is repeated and marked.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import (
    checking_subjects,
    extras,
    feature_subjects,
    features,
    inspecting,
    many_checks,
    passing,
    passing_subjects,
    stalled_readers,
    times,
    uploads,
)
from bench.cells import Cannot, Cell, all_cells
from bench.stage import absent, machine, put, renew, stage, stop
from bench.subjects import ALL, LOAD_CPU, NAMES, Origin, Subject, before, begun_with, wait_port

NOISY = 0.2
"""A spread above this part of the median is repeated, up to twice as many rounds."""
LEAST_SCALE = 0.25
"""Of the load. Of less, some parts have nothing left to count."""


def fetch(folder: Path, port: int, name: str, path: str) -> tuple[bytes, str]:
    """The body, and the common name of the certificate that the client saw."""
    context = ssl.create_default_context(cafile=str(folder / "bench-ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        cert = tls.getpeercert() or {}
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        data = bytearray()
        with contextlib.suppress(ssl.SSLEOFError):
            while piece := tls.recv(1 << 20):
                data += piece
    names = [str(pair[1]) for pair in cert.get("subjectAltName", ()) if pair[0] == "DNS"]
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = b"".join(re.split(rb"(?:^|\r\n)[0-9a-f]+\r\n", body))
    return body, ",".join(names)


def prove(folder: Path, subject: Subject) -> None:
    """Right answers, from the right certificate, over the hop that the pattern names."""
    big = (folder / "www" / "big").read_bytes()
    for pattern, port in subject.ports.items():
        name = NAMES[pattern]
        body, seen = fetch(folder, port, name, "/")
        if body != b"x" * 256:
            raise SystemExit(f"{subject.name} gives wrong answers through {pattern}: {body[:200]!r}")
        if fetch(folder, port, name, "/big")[0] != big:
            raise SystemExit(f"{subject.name} gives wrong answers through {pattern}")
        if ("backend.test" in seen) != (pattern == "passthrough"):
            raise SystemExit(f"{subject.name}: the client saw {seen} through {pattern}")
        who = fetch(folder, port, name, "/who")[0]
        if (b"identity" in who) != (pattern == "mutual"):
            raise SystemExit(f"{subject.name}: the backend of {pattern} saw {who!r} as the client's certificate")


@contextlib.contextmanager
def started(folder: Path, back: Origin, peers: list[str]) -> Iterator[list[Subject]]:
    subjects = [s for s in (ALL[p](folder, back) for p in peers) if s is not None]
    try:
        for subject in subjects:
            for port in (*subject.ports.values(), *subject.more.values()):
                wait_port(port)
        yield subjects
    finally:
        for subject in subjects:
            stop(subject)


def measure(folder: Path, subjects: list[Subject], cell: Cell, rounds: int) -> dict[str, object]:
    """Interleaved rounds of one cell; the first warms up."""
    costs: dict[str, list[float]] = {}
    cannot: dict[str, str] = {}
    able = [s for s in subjects if cell.pattern in s.ports and (s.name != "floor" or cell.key in FLOOR)]
    done = 0
    while done < rounds + 1 or (noisy(costs) and done < 2 * rounds + 1):
        for subject in [s for s in begun_with(able, done) if s.name not in cannot]:
            at = subject
            if subject.name == "floor" and cell.floor:
                at = Subject("floor", "", {**subject.ports, cell.pattern: subject.more[cell.floor]}, subject.process)
            before = subject.cpu_s()
            try:
                units = cell.drive(folder, at)
            except Cannot as e:
                cannot[subject.name] = str(e)
                costs.pop(subject.name, None)
                continue
            if done:
                costs.setdefault(subject.name, []).append((subject.cpu_s() - before) * cell.scale / units)
        done += 1
    return {
        "key": cell.key,
        "pattern": cell.pattern,
        "title": cell.title,
        "unit": cell.unit,
        "costs": {k: [round(v, 4) for v in vs] for k, vs in costs.items()},
        "cannot": cannot,
        "noisy": noisy(costs),
    }


FLOOR = {"h1", "full", "big", "64k", "up"}
"""The floor relays bytes: it speaks no HTTP/2 and resumes nothing."""


def noisy(costs: dict[str, list[float]]) -> bool:
    return any((max(v) - min(v)) / statistics.median(v) > NOISY for k, v in costs.items() if k != "caddy")


def say(result: dict[str, object]) -> None:
    costs: dict[str, list[float]] = result["costs"]  # type: ignore[assignment]
    cells = "  ".join(f"{k} {statistics.median(v):.2f}" for k, v in costs.items())
    print(
        f"{result['pattern']:<12} {result['title']:<36} {result['unit']:<14} {cells}{'  (noisy)' * bool(result['noisy'])}",
        flush=True,
    )


def in_use(rounds: int, scale: float) -> dict[str, Callable[[], object]]:
    """What features cost, by the keys under which the page looks for them."""
    return {
        "features": lambda: features.figures(rounds, scale, list(feature_subjects.MAKERS)),
        "passing": lambda: passing.figures(rounds, scale, list(passing_subjects.MAKERS)),
        "inspecting": lambda: inspecting.figures(rounds, scale, list(inspecting.PEERS)),
        "checks": lambda: many_checks.measure(1000, many_checks.SECONDS, list(checking_subjects.MAKERS)),
    }


def parts(folder: Path, back: Origin, rounds: int, scale: float) -> dict[str, Callable[[], object]]:
    """What is measured behind the cells, as `in_use`."""
    return {
        "own": lambda: extras.own(folder, back, rounds, scale),
        "times": lambda: times.measure(folder, back),
        "stalled": lambda: stalled_readers.measure(folder, back, 64),
        "uploads": lambda: uploads.measure(folder, back, 100),
        **in_use(rounds, scale),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help=f"{LEAST_SCALE}, the least: a quarter of the load, to see that it works",
    )
    parser.add_argument("--only", default="", help="cells whose key or pattern is this; nothing is written")
    parser.add_argument("--peers", default=",".join(ALL), help="which of " + ", ".join(ALL))
    parser.add_argument(
        "--before",
        type=Path,
        help="another checkout with its engine built, measured beside this one; nothing is written",
    )
    parser.add_argument(
        "--features", action="store_true", help="what features cost alone, written into what was measured before"
    )
    given = parser.parse_args()
    if given.scale < LEAST_SCALE:
        parser.error(f"--scale is {LEAST_SCALE} at the least: of less, some parts have nothing left to count")
    if given.features:
        os.sched_setaffinity(0, {int(LOAD_CPU)})
        for key, part in in_use(given.rounds, given.scale).items():
            put(key, part())
        return 0
    if given.before:
        ALL["before"] = lambda folder, back: before(folder, back, given.before.resolve())
        given.peers += ",before"
    if not given.only and not given.before and not times.DOOR.exists():
        # What it is needed for comes after half an hour.
        raise SystemExit(f"{times.DOOR} is not built: cargo build --release -p everyhop-door")
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    with tempfile.TemporaryDirectory(prefix="eh-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        with stage(folder) as back:
            found: dict[str, object] = {"cells": [], "extras": []}
            peers = given.peers.split(",")
            if not given.only and not given.before:
                for pattern in ("plaintext", "passthrough"):
                    # Fresh processes: what another load freed would be used again and cost nothing.
                    with started(folder, back, peers) as subjects:
                        row = extras.memory(folder, subjects, pattern, int(5000 * min(1.0, given.scale)))
                        found["extras"].append(row)  # type: ignore[attr-defined]
            with started(folder, back, peers) as subjects:
                for subject in subjects:
                    prove(folder, subject)
                for cell in all_cells(given.scale):
                    if given.only in ("", cell.key, cell.pattern):
                        result = measure(folder, subjects, cell, given.rounds)
                        found["cells"].append(result)  # type: ignore[attr-defined]
                        say(result)
                if not given.only and not given.before:
                    found["absent"] = absent(peers, {s.name for s in subjects})
                    found["subjects"] = {
                        s.name: {"version": s.version, "config": masked(s.config, folder)} for s in subjects
                    }
                    found["machine"] = machine()
                    # What comes behind may fail, and the cells are a quarter of an hour.
                    renew(found)
                    found["extras"] += extras.latency(folder, subjects, 2 if given.scale >= 1 else 1)  # type: ignore[operator]
                    renew(found)
                    for key, part in parts(folder, back, given.rounds, given.scale).items():
                        found[key] = part()
                        renew(found)
    return 0


def masked(text: str, folder: Path) -> str:
    """Without this run's folder and ports."""
    return re.sub(r"(127\.0\.0\.1:|port_value\": |test:)\d+", r"\1PORT", text.replace(str(folder), "DIR"))


if __name__ == "__main__":
    sys.exit(main())
