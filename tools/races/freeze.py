"""Runs a command and stops its processes for moments, one after the other: `python -m tools.races.freeze 7 -- pytest -q FILE`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LEAST_S, MOST_S = 0.05, 0.4
"""How long a process stands still."""
BETWEEN_S = 0.15


def below(pid: int) -> Iterator[int]:
    """All processes that it started, and those that they did."""
    children = ""
    for task in tasks(pid):
        with contextlib.suppress(OSError):
            children += (task / "children").read_text() + " "
    for child in map(int, children.split()):
        yield child
        yield from below(child)


def tasks(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def still(pid: int) -> bool:
    """True if somebody else stopped it: it is theirs to go on."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return True


def freeze(pid: int, seconds: float) -> None:
    if still(pid):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)


def main(words: list[str]) -> int:
    at = words.index("--") if "--" in words else len(words)
    command = words[at + 1 :]
    if not command or at > 1:
        print(f"usage: {__doc__}")
        return 2
    chance = random.Random(int(words[0]) if at else time.time_ns())
    run = subprocess.Popen(command)
    frozen = 0
    while run.poll() is None:
        if found := list(below(run.pid)):
            freeze(chance.choice(found), chance.uniform(LEAST_S, MOST_S))
            frozen += 1
        time.sleep(chance.uniform(0, BETWEEN_S))
    print(f"stopped processes {frozen} times")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
