"""Starting the engine: a process of its own, with the door loaded by its path and nothing else of Python.

It gets one descriptor, its control socket, and leads its own session, so that a terminal's Ctrl-C reaches only us.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass

from everyhop import _door

# -I: no environment, no user site. -S: no site packages. What runs is this and the door.
CODE = (
    "import sys, importlib.machinery as m, importlib.util as u\n"
    "l = m.ExtensionFileLoader('_door', sys.argv[1])\n"
    "d = u.module_from_spec(u.spec_from_loader('_door', l))\n"
    "l.exec_module(d)\n"
    "d.main(int(sys.argv[2]))\n"
)


TUNABLES = "GLIBC_TUNABLES"


@dataclass
class Started:
    """An engine that is our child."""

    process: subprocess.Popen[bytes]

    def is_over(self) -> bool:
        return self.process.poll() is not None


def start(control: socket.socket) -> Started:
    """Starts an engine that listens for us on `control`, which it inherits."""
    fd = control.fileno()
    command = [sys.executable, "-I", "-S", "-c", CODE, str(_door.__file__), str(fd)]
    process = subprocess.Popen(
        command, pass_fds=[fd], start_new_session=True, stdin=subprocess.DEVNULL, env=environment(dict(os.environ))
    )
    return Started(process)


def environment(ours: dict[str, str]) -> dict[str, str]:
    """Ours, with what the C library must know before it starts; tunables that someone set by hand come last and win."""
    return {**ours, TUNABLES: ":".join(filter(None, [_door.LIBC_TUNABLES, ours.get(TUNABLES)]))}
