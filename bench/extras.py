"""What is no CPU time a unit: memory of idle connections, latency at a fixed rate, and what Everyhop's own choices cost."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.cells import common, h2load, run
from bench.subjects import LOAD_CPU, Origin, Subject, begun_with, everyhop, load, wait_port

RATE = 2500
"""Requests a second: below what any subject can do on one core, Caddy too."""
LATENCY_ROUNDS = 10


def memory(folder: Path, subjects: list[Subject], pattern: str, count: int) -> dict[str, object]:
    """What each of `count` connections that did one request holds, with a fifth as many held before: what a process
    sets up once is not theirs."""
    values = {}
    for subject in [s for s in subjects if pattern in s.ports]:
        with holding(folder, subject, pattern, count // 5):
            before = subject.memory_kib()
            with holding(folder, subject, pattern, count):
                values[subject.name] = round((subject.memory_kib() - before) / count, 2)
    title = f"idle connection, one of {count:,}"
    print(f"{pattern:<12} {title:<36} KiB            {values}", flush=True)
    return {"key": "idle", "pattern": pattern, "title": title, "unit": "KiB", "values": values}


@contextlib.contextmanager
def holding(folder: Path, subject: Subject, pattern: str, count: int) -> Iterator[None]:
    command = ["taskset", "-c", LOAD_CPU, *load("idle", *common(folder, subject, pattern), f"count={count}")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None and held.stdin is not None
        if held.stdout.readline() != "ready\n":
            raise SystemExit(f"{subject.name} could not hold {count} connections")
        yield
        held.stdin.close()


def latency(folder: Path, subjects: list[Subject], seconds: int) -> list[dict[str, object]]:
    """An open loop at a fixed rate; ten rounds for each percentile, each begun with another subject: a tail is mostly the
    machine's, and fewer say little."""
    rows: list[dict[str, object]] = []
    for pattern in ("passthrough", "plaintext", "mutual"):
        runs: dict[str, list[list[int]]] = {}
        able = [s for s in subjects if pattern in s.ports]
        for number in range(LATENCY_ROUNDS):
            for subject in begun_with(able, number):
                words = [*common(folder, subject, pattern), f"rate={RATE}", f"seconds={seconds}", "threads=16"]
                try:
                    said = run(*load("rate", *words)).split()
                except SystemExit as e:
                    raise SystemExit(f"{subject.name}, {pattern}: {e}") from e
                runs.setdefault(subject.name, []).append([int(said[i]) for i in (1, 3, 5)])
        for at, percentile in enumerate(("p50", "p99", "p99.9")):
            costs = {k: [r[at] for r in v] for k, v in runs.items()}
            title = f"latency {percentile} at {RATE:,} requests/s"
            row = {"key": percentile, "pattern": pattern, "title": title, "unit": "us", "costs": costs}
            rows.append({**row, "cannot": {}, "noisy": False})
            medians = {k: statistics.median(v) for k, v in costs.items()}
            print(f"{pattern:<12} {title:<36} us             {medians}", flush=True)
    return rows


def own(folder: Path, back: Origin, rounds: int, scale: float) -> list[dict[str, object]]:
    """Everyhop against itself: the log on, 5,000 routes, two threads."""
    log = folder / "access.log"
    variants = {
        "as measured": everyhop(folder, back, name="base"),
        "access log on": everyhop(folder, back, name="logging", log=str(log)),
        "5,000 routes": everyhop(folder, back, name="many", routes=5000),
        "two threads": everyhop(folder, back, name="two", threads=2),
    }
    costs: dict[str, list[float]] = {k: [] for k in variants}
    try:
        for subject in variants.values():
            wait_port(subject.ports["plaintext"])
        drive = h2load("plaintext", int(12_000 * scale), "--h1", "-c", "32")
        for number in range(rounds + 1):
            for name, subject in variants.items():
                before = subject.cpu_s()
                done = drive(folder, subject)
                if number:
                    costs[name].append((subject.cpu_s() - before) * 1e6 / done)
        lines = log.read_text().count("\n")
        if lines < int(12_000 * scale) * rounds:
            raise SystemExit(f"the log has {lines} lines only")
    finally:
        for subject in variants.values():
            subject.process.kill()
    rows: list[dict[str, object]] = [
        {"title": k, "unit": "us/request", "costs": [round(c, 3) for c in v]} for k, v in costs.items()
    ]
    for row in rows:
        print(
            f"everyhop     {row['title']:<36} us/request     {statistics.median(costs[str(row['title'])]):.2f}",
            flush=True,
        )
    return rows
