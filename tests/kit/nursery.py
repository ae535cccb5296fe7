"""Edges and commands that are born with everything imported: most of what starting one costs is Python reading the same modules again.

A process imports what `everyhop run` does and waits; each edge is a fork of it that goes on in `main` with a command line of its
own. From there it is the product: its sockets, its engine, its end. Edges whose start is what a test is about, or that begin under
another command, are begun as users do (`Edge`). Commands (`everyhop`) are forks of another process, which imports what any does.

    pytest  --asks-->  nursery  --forks-->  minder  --forks-->  the edge

The minder waits for its one child and tells how it ended, so that this process need not be its parent. Read next: `forks.py`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from everyhop.demo.stage import Edge

AT_A_START = ("PYTHON", "LD_", "GLIBC_", "MALLOC_", "LANG", "LC_", "TZ")
BEFORE = dict(os.environ)
"""Before any test changed it."""
FORKS = Path(__file__).with_name("forks.py")


class Born(subprocess.Popen[str]):
    """What `subprocess` would have given of such a process."""

    _child_created = False  # by nobody here: there is nothing to reap

    def __init__(self, args: Sequence[str], status: int, stderr: int | None = None) -> None:
        self.args = args
        self.stdin = self.stdout = None
        self.stderr = None if stderr is None else os.fdopen(stderr, encoding="utf-8")
        self.returncode = None
        self.status = os.fdopen(status, "rb", buffering=0)
        self.telling = threading.Lock()
        self.pid = int(self.told())

    def told(self) -> bytes:
        return self.status.read(11)

    def poll(self) -> int | None:
        return self.ended(0)

    def ended(self, seconds: float | None) -> int | None:
        with self.telling:
            if self.returncode is None and select.select([self.status], [], [], seconds)[0]:
                self.returncode = int(self.told())
                self.status.close()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if (code := self.ended(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code


class Nursery:
    def __init__(self, imports: str) -> None:
        self.asking = threading.Lock()
        self.door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Nothing of the tests is imported there: -P keeps the modules beside it from being taken for others of their names.
        command = [sys.executable, "-P", str(FORKS), str(theirs.fileno()), imports]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=BEFORE)
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        self.door.close()
        self.process.wait()

    def bear(self, words: Sequence[str]) -> Born:
        """A process of `everyhop` with these words, this environment and this folder, whose errors are read as they come."""
        stderr, says = os.pipe()
        try:
            with open(os.devnull, "r+b") as nothing:
                status = self.asked(words, os.environ, Path.cwd(), [nothing.fileno(), nothing.fileno(), says])
        finally:
            os.close(says)
        return Born(["everyhop", *words], status, stderr)

    def asked(self, words: Sequence[str], environment: Mapping[str, str], folder: Path, streams: list[int]) -> int:
        """Where the process tells its number and its end."""
        status, tells = os.pipe()
        asked = json.dumps({"words": list(words), "environment": dict(environment), "folder": str(folder)})
        with self.asking:
            socket.send_fds(self.door, [asked.encode()], [tells, *streams])
        os.close(tells)
        return status


@cache
def nursery(imports: str = "run") -> Nursery:
    return Nursery(imports)


def everyhop(
    *words: str,
    given: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """A command as `subprocess.run` would have run it: what it printed, apart, and how it ended."""
    environment = os.environ if env is None else env
    if of_a_start(environment) != of_a_start(BEFORE):
        command = [sys.executable, "-m", "everyhop", *words]
        return subprocess.run(
            command, input=given, cwd=cwd, env=environment, timeout=timeout, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write((given or "").encode())
        stdin.seek(0)
        streams = [stdin.fileno(), stdout.fileno(), stderr.fileno()]
        born = Born(["everyhop", *words], nursery("all").asked(words, environment, cwd or Path.cwd(), streams))
        try:
            code = born.wait(timeout)
        except subprocess.TimeoutExpired:
            born.kill()
            born.wait(60)
            raise
        said = [whole(it) for it in (stdout, stderr)]
    return subprocess.CompletedProcess(["everyhop", *words], code, *said)


def whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def of_a_start(environment: Mapping[str, str]) -> dict[str, str]:
    """What of it takes effect where a process begins, and not in a fork."""
    return {name: value for name, value in environment.items() if name.startswith(AT_A_START)}


class Quick(Edge):
    """`everyhop run`, begun by the nursery; where the environment asks for a start of its own, as users do."""

    def begun(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        if of_a_start(os.environ) != of_a_start(BEFORE):
            return super().begun(arguments)
        return nursery().bear(["run", "--config", str(self.config), *arguments])
