"""`everyhop run` on a clock that a test moves: `python -m tests.acme.moved SOCKET COMMAND...` is that command with its clock set
forward by as many seconds as each message at SOCKET says. The engine is another process and has the real one.
"""

from __future__ import annotations

import datetime as dt
import socket
import sys
import threading
from pathlib import Path

import time_machine

from everyhop.acme import client
from everyhop.admin.issuing import Issuing
from tests.acme.dated import orders_by


class Moved:
    """The other side: moves the clock of the supervisor, and tells it."""

    def __init__(self, at: Path) -> None:
        self.at, self.ahead = at, 0.0

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.ahead)

    def go_to(self, moment: dt.datetime) -> None:
        """Returns once it is so late there."""
        seconds = max((moment - self()).total_seconds(), 0.0) + 1.0
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as it:
            it.settimeout(30)
            it.connect(str(self.at))
            # Before it is: who judges by this clock meanwhile takes either time.
            self.ahead += seconds
            it.sendall(f"{seconds}\n".encode())
            assert it.recv(1) == b"."


def follow(at: str) -> None:
    """A thread that sets the clock forward as it is told."""
    travels = time_machine.travel(dt.datetime.now(dt.UTC), tick=True)
    traveller = travels.start()
    door = socket.create_server(at, family=socket.AF_UNIX)
    issuing: list[Issuing] = []
    made = Issuing.__init__

    def remembered(self: Issuing, config: Path) -> None:
        made(self, config)
        issuing.append(self)

    Issuing.__init__ = remembered  # type: ignore[method-assign]

    def serve() -> None:
        while True:
            it, _ = door.accept()
            with it:
                traveller.shift(float(it.recv(100)))
                # It waits for the time that it was, by a clock that nobody sets.
                for one in issuing:
                    one.due.set()
                it.sendall(b".")

    threading.Thread(target=serve, daemon=True).start()


if __name__ == "__main__":
    from everyhop.cli.app import main

    follow(sys.argv[1])
    client.new_order = orders_by(lambda: dt.datetime.now(dt.UTC))  # type: ignore[assignment]
    assert sys.argv[3:5] == ["-m", "everyhop"]
    sys.argv = ["everyhop", *sys.argv[5:]]
    main()
