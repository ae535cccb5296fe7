"""Guard rails: instructions, allocations and system calls that one more request costs, and the memory that one more idle
connection holds, compared with `bench/guard.json`.

What counts depends on no clock and no load: time stands still (`still.c`), nothing is sent before the engine sleeps
(`steps.py`), and what a run sets up is taken away by counting a run and one three times as long. Instructions are those
of our own and the libraries' Rust code alone, since the C library and the cryptography choose their code by the
processor. A path that changed fails, also for the better (`--update` writes it): a gain not written down is lost unseen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import guarding, idle, steps, subjects
from bench.__main__ import prove
from bench.stage import stage, stop
from bench.subjects import Origin, Subject, everyhop, wait_port

FILE = Path(__file__).parent / "guard.json"
COUNTED = ("recvfrom", "sendto", "epoll_ctl", "connect", "accept4", "close", "shutdown", "getsockname", "splice")
"""Not `epoll_wait`: how much one call tells of depends on when it is asked."""
FOREIGN = re.compile(r"aws[_-]lc|s2n-bignum|sysdeps|\?\?\?:|libmimalloc|\[[^]]*/(libc|ld-linux|libm|libgcc)[^/]*\]$")

ALLOCATES = re.compile(r"mi_(new|(m|z|c|re|rez)alloc)")
"""The allocator's ways in; a call from one of its own functions is no other allocation."""

WARM = 10
"""Requests that are not counted: connections are made, buffers grow."""
PATHS: dict[str, tuple[steps.Begin, int]] = {
    "HTTP/1.1, plaintext behind": (steps.http1("plaintext"), 100),
    "HTTP/1.1, mutual behind": (steps.http1("mutual"), 100),
    "HTTP/2, plaintext behind": (steps.http2("plaintext"), 100),
    "HTTP/2, mutual behind": (steps.http2("mutual"), 100),
    "HTTP/1.1 passed through": (steps.http1("passthrough"), 100),
    "full handshake with one request": (steps.handshakes("plaintext"), 10),
}
"""With how many requests a run is as long as another is three times."""

ALLOWED = 0.005
"""Runs on idle, busy and throttled processors differed by 1 in 60,000 instructions and by 0.2 % of a handshake's
allocations (tables that grow), else by nothing."""
ALLOWED_ELSEWHERE = 0.25
LEAST = 0.05
"""Of a call or an allocation: less is rounding."""
CHOOSING = frozenset({"ssse3", "sse4_2", "avx", "avx2", "bmi1", "bmi2"})
"""What libraries choose their code by, as far as valgrind lets them see it."""

Counted = dict[str, float]
Run = Callable[[Subject, steps.Sleep], None]
Engine = tuple[Callable[[Path, Origin], Subject], Callable[[Path, Subject], None], dict[str, tuple[steps.Begin, int]]]
"""How it is begun, what shows that it does what is counted, and the paths through it."""
ENGINES: tuple[Engine, ...] = ((everyhop, prove, PATHS), (guarding.everyhop, guarding.prove, guarding.PATHS))
"""Two, since a route more is another path through one."""


def tools() -> dict[str, str]:
    """What the numbers depend on beside our code."""

    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    told = Path("/proc/cpuinfo").read_text()
    flags = re.search(r"^flags\s*: (.*)$", told, re.M)
    instructions = sorted(CHOOSING & set(flags[1].split())) if flags else []
    return {
        "compiler": said("rustc", "--version"),
        "valgrind": said("valgrind", "--version"),
        "client": ssl.OPENSSL_VERSION,
        "processor": " ".join([platform.machine(), *instructions]),
    }


def run_with(
    folder: Path, run: Run, *watched: str, engine: Engine | None = None, told: dict[str, str] | None = None
) -> None:
    """An engine and backends whose time stands still; the engine is started by the command `watched`, if there is one, and `told`
    is its environment's."""
    begun, proves, _ = engine or ENGINES[0]
    plain = subjects.pinned
    still = folder / "still.so"
    source = Path(__file__).with_name("still.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(still), str(source)], check=True)

    def pinned(
        cpu: str, command: list[str], env: dict[str, str] | None = None, stdin: int | None = None
    ) -> subprocess.Popen[bytes]:
        # What the C library is told is set beforehand: the engine would start anew to set it.
        env = {"GLIBC_TUNABLES": "glibc.malloc.check=0", "LD_PRELOAD": str(still), **(told or {})}
        is_engine = command[0].endswith("everyhop-engine")
        return plain(cpu, [*(watched if is_engine else ()), *command], env, stdin)

    subjects.pinned = pinned
    try:
        with stage(folder) as back:
            subject = begun(folder, back)
            try:
                for port in subject.ports.values():
                    wait_port(port)
                proves(folder, subject)
                with contextlib.closing(steps.Sleep(subject.process.pid)) as sleep:
                    # Until what was tried is over, and its descriptors with it.
                    sleep.wait()
                    if ticks := ticking(subject):
                        raise SystemExit(f"the engine's time does not stand still: {ticks}")
                    run(subject, sleep)
            finally:
                stop(subject)
    finally:
        subjects.pinned = plain


def ticking(subject: Subject) -> list[str]:
    """Timers of the engine that run. There must be some that do not: one a thread."""
    told: list[str] = []
    for file in Path(f"/proc/{subject.process.pid}/fdinfo").iterdir():
        # A connection may end meanwhile.
        with contextlib.suppress(FileNotFoundError):
            told.append(file.read_text())
    timers = [x for x in told if "it_value:" in x]
    return [x for x in timers if "it_value: (0, 0)" not in x] if timers else ["no timer was found"]


def count_in_callgrind(folder: Path, engine: Engine) -> tuple[Counted, Counted]:
    """Instructions and allocations."""
    counted: Counted = {}
    allocated: Counted = {}

    def run(subject: Subject, sleep: steps.Sleep) -> None:
        def control(*words: str) -> None:
            command = ["callgrind_control", *words, str(subject.process.pid)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"callgrind_control {' '.join(words)}: {done.stdout}{done.stderr}")
            sleep.wait()

        control("-i", "on")
        number = 0
        for name, (begin, count) in engine[2].items():
            found: list[tuple[int, int]] = []
            with begin(folder, subject, sleep) as go:
                go(WARM)
                for times in (1, 3):
                    control("-z")
                    go(times * count)
                    control("-d")
                    number += 1
                    profile = folder / f"callgrind.out.{number}"
                    found.append((ours(profile), allocations(profile)))
            (short, few), (long, many) = found
            counted[name] = round((long - short) / (2 * count))
            allocated[name] = round((many - few) / (2 * count), 2)

    out = folder / "callgrind.out"
    run_with(
        folder, run, "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--instr-atstart=no", engine=engine
    )
    return counted, allocated


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


def count_calls(folder: Path, engine: Engine) -> Counted | None:
    """`None` where tracing is not permitted."""
    counted: Counted = {}

    def run(subject: Subject, sleep: steps.Sleep) -> None:
        for name, (begin, count) in engine[2].items():
            found: list[int] = []
            with begin(folder, subject, sleep) as go:
                go(WARM)
                for times in (1, 3):
                    with traced(folder, subject) as out:
                        sleep.wait()
                        go(times * count)
                    calls = dict(re.findall(r"^ *(\w+) +(\d+)$", out.read_text(), re.M))
                    found.append(sum(int(calls.get(c, 0)) for c in COUNTED))
            short, long = found
            counted[name] = round((long - short) / (2 * count), 2)

    try:
        run_with(folder, run, engine=engine)
    except PermissionError:
        return None
    return counted


@contextlib.contextmanager
def traced(folder: Path, subject: Subject) -> Iterator[Path]:
    out = folder / "strace.out"
    command = ["strace", "-f", "-qq", "-c", "-U", "name,calls", "-p", str(subject.process.pid), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        until_traced(subject, tracer)
        yield out
        tracer.send_signal(signal.SIGINT)


def until_traced(subject: Subject, tracer: subprocess.Popen[str]) -> None:
    tasks = list(Path(f"/proc/{subject.process.pid}/task").iterdir())
    for _ in range(200):
        if tracer.poll() is not None:
            raise PermissionError(tracer.stderr.read() if tracer.stderr else "")
        if all("TracerPid:\t0\n" not in (t / "status").read_text() for t in tasks):
            return
        time.sleep(0.02)
    raise SystemExit("strace did not attach")


def count_bytes(folder: Path) -> Counted:
    counted: Counted = {}

    def run(subject: Subject, sleep: steps.Sleep) -> None:
        counted.update(idle.count(folder, subject, sleep))

    run_with(folder, run, told=idle.GIVEN_BACK)
    return counted


def each(
    kinds: tuple[str, ...], counts: Callable[[Path, Engine], tuple[Counted | None, ...]]
) -> dict[str, Counted | None]:
    """Of all engines, each in a folder of its own."""
    found: dict[str, Counted | None] = {}
    for engine in ENGINES:
        with place() as folder:
            for kind, its in zip(kinds, counts(folder, engine), strict=True):
                before = found.get(kind, {})
                found[kind] = None if its is None or before is None else {**before, **its}
    return found


@contextlib.contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="eh-guard-") as name:
        Path(name).chmod(0o755)  # nginx reads as nobody
        yield Path(name)


def counted_bytes() -> dict[str, Counted | None]:
    with place() as folder:
        return {"bytes, idle": count_bytes(folder)}


KINDS: dict[str, Callable[[], dict[str, Counted | None]]] = {
    "callgrind": lambda: each(("instructions", "allocations"), count_in_callgrind),
    "calls": lambda: each(("system calls",), lambda folder, engine: (count_calls(folder, engine),)),
    "idle": counted_bytes,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the file anew, what is counted of it")
    parser.add_argument("--only", choices=KINDS, help="count nothing else")
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(subjects.LOAD_CPU)})
    found: dict[str, Counted | None] = {}
    for kind, counts in KINDS.items():
        if given.only in (None, kind):
            found |= counts()
    here = tools()
    if given.update:
        kept = json.loads(FILE.read_text()) if given.only else {}
        if kept and kept["with"] != here:
            parser.error("the rest of the file was counted with other tools: update all of it")
        FILE.write_text(json.dumps({**kept, "with": here, **found}, indent=1) + "\n")
    return int(compared(found, here))


def compared(found: dict[str, Counted | None], here: dict[str, str]) -> bool:
    """Tells each figure beside the written one, and whether one changed."""
    written = json.loads(FILE.read_text())
    others = sorted(name for name, it in written["with"].items() if here.get(name) != it)
    if others:
        print(
            f"counted with another {', '.join(others)} than the file: {ALLOWED_ELSEWHERE:.0%} are allowed instead of {ALLOWED:.1%}"
        )
    changed = []
    for kind, counts in found.items():
        if counts is None:
            print(f"{kind}: not counted, since tracing is not permitted here")
            continue
        allowed = ALLOWED_ELSEWHERE if others else idle.ALLOWED if kind == "bytes, idle" else ALLOWED
        for name, count in counts.items():
            before = written.get(kind, {}).get(name, 0)
            off = abs(count - before) > max(before * allowed, LEAST)
            changed += [name] * off
            print(f"{kind:<13} {name:<34} {count:>9,.6g}  written: {before:>9,.6g}{'  CHANGED' * off}")
    if changed:
        print("a path changed by more than is allowed: mend it, or say so with `make guard ARGS=--update`")
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
