"""`dns-01` by a program of the user's: `HOOK present NAME VALUE`, and `cleanup` at the end. No shell reads any of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from everyhop.acme.problem import printable
from everyhop.acme.publisher import record

TIMEOUT_S = 60.0
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
"""Of our environment: it may hold keys that are nobody else's."""


class Hook:
    """Waits for the program's end, and no longer than `timeout_s`; then it is killed, with all that it started."""

    kinds = ("dns-01",)

    def __init__(self, command: Sequence[str], *, timeout_s: float = TIMEOUT_S, settle_s: float = 0.0) -> None:
        self.command, self.timeout_s, self.settle_s = tuple(command), timeout_s, settle_s

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        self.run("present", name, key_authorization)
        return self.settle_s

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        self.run("cleanup", name, key_authorization)

    def run(self, act: str, name: str, key_authorization: str) -> None:
        """Raises `OSError`."""
        where, value = record(name, key_authorization)
        told = f"the hook {self.command[0]} {act} {where}"
        environment = {key: os.environ[key] for key in KEPT if key in os.environ}
        try:
            program = subprocess.Popen(
                [*self.command, act, where, value],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as e:
            must = "it must be there, executable, and a program or begin with #!"
            raise OSError(f"{told}: it cannot be started: {e.strerror or e}; {must}") from e
        with program:
            try:
                _, said = program.communicate(timeout=self.timeout_s)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)
                raise OSError(f"{told}: no end within {self.timeout_s:.0f} s") from None
        if program.returncode:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"{told}: it ended with {program.returncode}{': ' if last else ''}{printable(last)}")
