"""Guard rails: instructions, allocations and system calls a request, compared with `bench/guard.json`.

Instructions are counted by callgrind, so that neither the machine's load nor its clock matters; of our own and the
libraries' Rust code alone, since the C library and the cryptography choose their code by the processor. A path that
grew by more than 5 % fails, and so does one that shrank so much without the file saying so (`--update` writes it): a gain
that is not written down is lost again unseen. With another compiler than the file's, 25 % are allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import subjects
from bench.__main__ import prove, stage, stop
from bench.cells import connections, h2load
from bench.subjects import Subject, everyhop, wait_port

FILE = Path(__file__).parent / "guard.json"
COUNTED = ("recvfrom", "sendto", "epoll_ctl", "connect", "accept4", "close", "shutdown", "getsockname", "splice")
"""Not `epoll_wait`: how much one call tells of depends on when it is asked."""
FOREIGN = re.compile(r"aws[_-]lc|s2n-bignum|sysdeps|\?\?\?:|libmimalloc|\[[^]]*/(libc|ld-linux|libm|libgcc)[^/]*\]$")

ALLOCATES = re.compile(r"mi_(new|(m|z|c|re|rez)alloc)")
"""The allocator's ways in; a call from one of its own functions is no other allocation."""

Drive = Callable[[Path, Subject], float]
# One after the other on one connection: then the count is the same each time.
PATHS: dict[str, Drive] = {
    "HTTP/1.1, plaintext behind": h2load("plaintext", 1000, "--h1", "-c", "1"),
    "HTTP/1.1, mutual behind": h2load("mutual", 1000, "--h1", "-c", "1"),
    "HTTP/2, plaintext behind": h2load("plaintext", 1000, "-c", "1", "-m", "1"),
    "HTTP/1.1 passed through": h2load("passthrough", 1000, "--h1", "-c", "1"),
    "full handshake with one request": connections("plaintext", 24, threads=1),
}


def rustc() -> str:
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def instructions(folder: Path, run: Callable[[Subject], dict[str, float]]) -> dict[str, float]:
    """Under callgrind, with what the C library is told set beforehand: the engine would start anew to set it."""
    plain = subjects.pinned

    def pinned(cpu: str, command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        if command[0].endswith("everyhop-engine"):
            out = folder / "callgrind.out"
            watched = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--instr-atstart=no"]
            return plain(cpu, [*watched, *command], {"GLIBC_TUNABLES": "glibc.malloc.check=0"})
        return plain(cpu, command, env)

    subjects.pinned = pinned
    try:
        return run_with(folder, run)
    finally:
        subjects.pinned = plain


def run_with(folder: Path, run: Callable[[Subject], dict[str, float]]) -> dict[str, float]:
    with stage(folder) as back:
        subject = everyhop(folder, back)
        try:
            wait_port(subject.ports["plaintext"])
            prove(folder, subject)
            return run(subject)
        finally:
            stop(subject)


def count_in_callgrind(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Instructions and allocations."""

    def control(subject: Subject, *words: str) -> None:
        done = subprocess.run(
            ["callgrind_control", *words, str(subject.process.pid)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"callgrind_control {' '.join(words)}: {done.stdout}{done.stderr}")

    allocated: dict[str, float] = {}

    def run(subject: Subject) -> dict[str, float]:
        found: dict[str, float] = {}
        for number, (name, drive) in enumerate(PATHS.items(), 1):
            drive(folder, subject)
            control(subject, "-i", "on")
            control(subject, "-z")
            units = drive(folder, subject)
            control(subject, "-d")
            control(subject, "-i", "off")
            profile = folder / f"callgrind.out.{number}"
            found[name] = round(ours(profile) / units)
            allocated[name] = round(allocations(profile) / units, 2)
        return found

    return instructions(folder, run), allocated


def allocations(profile: Path) -> int:
    """Calls into the allocator that allocate. The format: valgrind's manual, "Callgrind Format Specification"."""
    names: dict[str, str] = {}
    caller = callee = ""
    count = 0
    for line in profile.read_text().splitlines():
        if match := re.match(r"(c?fn)=(\(\d+\))(?: (.*))?$", line):
            kind, number, name = match.groups()
            if name is not None:
                names[number] = name
            if kind == "fn":
                caller = names[number]
            else:
                callee = names[number]
        elif line.startswith("calls=") and ALLOCATES.match(callee) and not re.match(r"_?mi_", caller):
            count += int(line[6:].split()[0])
    return count


def ours(profile: Path) -> int:
    out = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", str(profile)], capture_output=True, text=True, check=True
    ).stdout
    lines = re.findall(r"^ *([\d,]+) \([ \d.]+%\)  (.*:.*)$", out, re.M)
    return sum(int(count.replace(",", "")) for count, place in lines if not FOREIGN.search(place))


def count_calls(folder: Path) -> dict[str, float] | None:
    """`None` where tracing is not permitted."""

    def run(subject: Subject) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, drive in PATHS.items():
            drive(folder, subject)
            out = folder / "strace.out"
            command = ["strace", "-f", "-qq", "-c", "-U", "name,calls", "-p", str(subject.process.pid), "-o", str(out)]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
                until_traced(subject, tracer)
                units = drive(folder, subject)
                tracer.send_signal(signal.SIGINT)
            calls = dict(re.findall(r"^ *(\w+) +(\d+)$", out.read_text(), re.M))
            found[name] = round(sum(int(calls.get(c, 0)) for c in COUNTED) / units, 2)
        return found

    try:
        return run_with(folder, run)
    except PermissionError:
        return None


def until_traced(subject: Subject, tracer: subprocess.Popen[str]) -> None:
    tasks = list(Path(f"/proc/{subject.process.pid}/task").iterdir())
    for _ in range(200):
        if tracer.poll() is not None:
            raise PermissionError(tracer.stderr.read() if tracer.stderr else "")
        if all("TracerPid:\t0\n" not in (t / "status").read_text() for t in tasks):
            return
        time.sleep(0.02)
    raise SystemExit("strace did not attach")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the file anew")
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(subjects.LOAD_CPU)})
    with tempfile.TemporaryDirectory(prefix="eh-guard-") as one, tempfile.TemporaryDirectory(prefix="eh-guard-") as two:
        for name in (one, two):
            Path(name).chmod(0o755)  # nginx reads as nobody
        counted, allocated = count_in_callgrind(Path(one))
        found = {"instructions": counted, "allocations": allocated, "system calls": count_calls(Path(two))}
    if given.update:
        FILE.write_text(json.dumps({"rustc": rustc(), **found}, indent=1) + "\n")
    written = json.loads(FILE.read_text())
    allowed = 0.05 if written["rustc"] == rustc() else 0.25
    grew = False
    for kind, counts in found.items():
        if counts is None:
            print(f"{kind}: not counted, since tracing is not permitted here")
            continue
        for name, count in counts.items():
            before = written.get(kind, {}).get(name, 0)
            off = abs(count - before) > max(before * allowed, 0.05)
            grew |= off
            print(f"{kind:<13} {name:<34} {count:>9,.6g}  written: {before:>9,.6g}{'  CHANGED' * off}")
    if grew:
        print(f"a path changed by more than {allowed:.0%}: mend it, or say so with `make guard ARGS=--update`")
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
