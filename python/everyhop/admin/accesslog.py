"""The access log's descriptor, as it was opened last. The next engine goes on with it where it cannot be opened any
more: a folder that is wrong costs the next lines their new place, not the clients their service."""

from __future__ import annotations

import os

from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine.sockets import open_log
from everyhop.errors import Surroundings
from everyhop.plan import Plan


class AccessLog:
    """Holds one descriptor, or none: for no log, or for one that only an engine before us holds."""

    def __init__(self) -> None:
        self.fd: int | None = None
        self.wrong: str | None = None
        """Why it could not be opened anew when that was asked for last; `None` where it could."""

    def keep(self, fd: int | None) -> None:
        """`fd` is the log now."""
        if self.fd is not None and self.fd != fd:
            os.close(self.fd)
        self.fd = fd

    def anew(self, plan: Plan) -> int | None:
        """A descriptor of it, opened now, which the caller owns.

        Raises `Surroundings`; what is open goes on.
        """
        try:
            fd = open_log(plan)
        except Surroundings as e:
            self.wrong = str(e)
            raise
        self.wrong = None
        return fd

    def opened(self, running: Compiled) -> int | None:
        """The log anew; as it was, where that cannot be."""
        try:
            self.keep(self.anew(running.plan))
        except Surroundings as e:
            say(f"{e}; {'the log that was open goes on' if self.fd is not None else 'lines go nowhere'}")
        return self.fd
