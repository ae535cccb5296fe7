"""The addresses behind backends' names, which change under a running configuration."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping

TOGETHER = 64
"""Names that are asked for at the same time. What the C library waits for cannot be called off; as many that hang at once
hold back the rest of a first round, for as long as its resolver is patient."""
SLOW_S = 1.0


def ask(name: str) -> list[str]:
    """Its addresses in the order of RFC 6724, in which they are tried; `fe80::1%eth0` names a link of this machine, too:
    no address that an engine could be told.

    Raises `OSError`, and `ValueError` for a name that cannot be asked for, such as one with a label that is too long.
    """
    infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip for info in infos if "%" not in (ip := str(info[4][0]))))


class Resolver:
    """Resolves names side by side every `every_s`; the last good answer of each stays. A name that is slow holds back no
    other: those that were quick to answer come first. `known` are answers of before, which hold until there are others."""

    def __init__(
        self,
        names: set[str],
        every_s: float = 30.0,
        *,
        known: Mapping[str, list[str]] | None = None,
        ask: Callable[[str], list[str]] = ask,
        together: int = TOGETHER,
    ) -> None:
        self.names, self.every_s, self.ask = names, every_s, ask
        self.found = {name: list(ips) for name, ips in (known or {}).items() if name in names}
        self.changed = threading.Condition()
        now = time.monotonic()
        self.due = dict.fromkeys(sorted(names), now)
        self.unknown = names - set(self.found)
        """Those that have not answered yet, be it that they do not exist."""
        self.failed: dict[str, str] = {}
        self.slow: set[str] = set()
        self.fresh = threading.Event()
        self.stopped = False
        self.threads = [
            threading.Thread(target=self.run, name=f"resolver-{i}", daemon=True)
            for i in range(min(together, len(names)))
        ]
        for thread in self.threads:
            thread.start()

    def run(self) -> None:
        while (name := self.next()) is not None:
            began, ips, why = time.monotonic(), None, ""
            try:
                ips = self.ask(name)
            except (OSError, ValueError) as e:
                why = str(e)
            self.answered(name, ips, why, slow=time.monotonic() - began > SLOW_S)

    def next(self) -> str | None:
        """A name that is due, once one is; nobody else asks for it meanwhile. `None` once all is over."""
        with self.changed:
            while not self.stopped:
                now = time.monotonic()
                ripe = [name for name, at in self.due.items() if at <= now]
                if ripe:
                    name = min(ripe, key=lambda n: (n in self.slow, self.due[n]))
                    del self.due[name]
                    return name
                self.changed.wait(min(self.due.values(), default=now + self.every_s) - now)
            return None

    def answered(self, name: str, ips: list[str] | None, why: str = "", *, slow: bool = False) -> None:
        """`why` it has no addresses, where `ips` is `None`."""
        with self.changed:
            if ips is None:
                self.failed[name] = why
            else:
                self.failed.pop(name, None)
            (self.slow.add if slow else self.slow.discard)(name)
            self.due[name] = time.monotonic() + self.every_s
            self.unknown.discard(name)
            # A server that only turns its answer round says nothing new.
            if ips is not None and set(self.found.get(name, ())) != set(ips):
                self.found[name] = ips
                self.fresh.set()
            self.changed.notify_all()

    def answers(self, wait_s: float = 0.0) -> dict[str, list[str]]:
        """What is known; waits at most `wait_s` until each name was asked for once."""
        with self.changed:
            self.changed.wait_for(lambda: not self.unknown or self.stopped, wait_s)
            self.fresh.clear()
            return dict(self.found)

    def known(self) -> dict[str, list[str]]:
        """As `answers`, for whoever tells nobody."""
        with self.changed:
            return dict(self.found)

    def unresolved(self) -> dict[str, str]:
        """Names that did not resolve when they were asked for last, and why; their last good answers stay."""
        with self.changed:
            return dict(self.failed)

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
