"""Starting the engine, and the keyholder: each a process of its own, with the door loaded by its path and nothing else of Python.

It gets one descriptor, its control socket, and leads its own session, so that a terminal's Ctrl-C reaches only us.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

from everyhop import _door
from everyhop.errors import Surroundings

# -I: no environment, no user site. -S: no site packages. What runs is this and the door. `importlib.util`, which would say it in fewer
# words, brings twenty modules: a seventh of what an idle engine holds for itself.
CODE = (
    "import sys, importlib.machinery as m\n"
    "l = m.ExtensionFileLoader('_door', sys.argv[1])\n"
    "try:\n"
    " d = l.create_module(m.ModuleSpec('_door', l, origin=sys.argv[1]))\n"
    " l.exec_module(d)\n"
    "except Exception as e: sys.exit(f'everyhop: the engine cannot be loaded: {e}')\n"
    "f = getattr(d, sys.argv[2])\n"
    "f(int(sys.argv[3]), sys.argv[4], (int(sys.argv[5]), int(sys.argv[6])) if sys.argv[5:] else None)\n"
)


TUNABLES = "GLIBC_TUNABLES"


@dataclass
class Started:
    """An engine that is our child."""

    process: subprocess.Popen[bytes]

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def how(self) -> str:
        """How it ended; empty while it has not."""
        code = self.process.poll()
        if code is None:
            return ""
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"

    def wait(self, seconds: float) -> bool:
        """Until it is over, or for as long; whether it is."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.is_over()

    def end(self) -> None:
        if not self.is_over():
            self.process.kill()
            self.process.wait()


@dataclass
class Found:
    """An engine that was there before us, by a descriptor of its process: another one may have its number by now."""

    process: int

    def how(self) -> str:
        """Only its parent is told how it ended, and that is gone."""
        return ""

    def is_over(self) -> bool:
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Until it is over, or for as long; whether it is."""
        ended = select.poll()
        ended.register(self.process, select.POLLIN)
        return bool(ended.poll(seconds * 1000))

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)
        self.wait(1.0)
        os.close(self.process)


def find(pid: int) -> Found | None:
    """The process `pid`; `None` where there is none that we may see."""
    try:
        return Found(os.pidfd_open(pid))
    except OSError:
        return None


NOBODY = "nobody"


def whom(user: str | None) -> tuple[int, int] | None:
    """Numbers of the user and group that the engine becomes; `None`: it stays who we are.

    Raises `Surroundings` where that cannot be: an engine that keeps root by mistake is not started.
    """
    if os.geteuid() != 0:
        # By number: whoever runs in a container may have no name.
        if user is not None and named(user).pw_uid != os.geteuid():
            raise Surroundings(
                f"[engine] user = {user!r} needs root to become it; start as root, or as {user}, or leave it out"
            )
        return None
    found = named(user or NOBODY)
    return (found.pw_uid, found.pw_gid)


def named(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise Surroundings(f"[engine] user: this machine has no user {user!r}") from None


def start(control: socket.socket, sandbox: str = "best-effort", user: str | None = None) -> Started:
    """Starts an engine that listens for us on `control`, which it inherits."""
    return run("main", control, [sandbox, *map(str, whom(user) or ())], few(dict(os.environ)))


def start_keyholder(control: socket.socket, sandbox: str) -> Started:
    """Starts a keyholder that hears us on `control`, which it inherits. It stays who we are, so that an engine that is started by
    root is of another user than the one that holds the keys."""
    return run("hold", control, [sandbox], few(dict(os.environ)))


def start_module(control: socket.socket, sandbox: str) -> Started:
    """Starts a process for a PKCS#11 module, which is told to it on `control`; as a keyholder, it stays who we are."""
    return run("hold_tokens", control, [sandbox], without_keys(dict(os.environ)))


def run(what: str, control: socket.socket, words: list[str], given: dict[str, str]) -> Started:
    fd = control.fileno()
    process = subprocess.Popen(
        command(str(_door.__file__), what, fd, words),
        pass_fds=[fd],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        env=environment(given),
    )
    return Started(process)


def command(door: str, what: str, fd: int, words: list[str]) -> list[str]:
    """What runs: the function `what` of the door at that path."""
    return [sys.executable, "-I", "-S", "-c", CODE, door, what, str(fd), *words]


FEW = ("LD_", "GLIBC_", "MALLOC_", "MIMALLOC_", "RUST_", "LLVM_", "ASAN_", "LANG", "LC_", "TZ")
"""Beginnings of what loaders, allocators and tools of whoever looks for a fault read."""


def few(ours: dict[str, str]) -> dict[str, str]:
    """What an engine or a keyholder may have of our environment, in which keys, PINs and passwords may stand (`env:NAME`)."""
    return {name: value for name, value in ours.items() if name.startswith(FEW)}


def without_keys(ours: dict[str, str]) -> dict[str, str]:
    """What a module may have: it looks for its settings there, by names that nobody lists."""
    return {name: value for name, value in ours.items() if "PRIVATE KEY-----" not in value}


def environment(ours: dict[str, str]) -> dict[str, str]:
    """What is given of ours, with what the C library must know before it starts; tunables that someone set by hand come last and win."""
    return {**ours, TUNABLES: ":".join(filter(None, [_door.LIBC_TUNABLES, ours.get(TUNABLES)]))}
