"""The addresses behind backends' names, which change under a running configuration."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

TOGETHER = 64
"""Names that are asked for at the same time. What the C library waits for cannot be called off; as many that hang at once
hold back the rest of a first round, for as long as its resolver is patient."""
SLOW_S = 1.0
AGAIN_S = 5.0
"""A name that could not be resolved is asked for again after this, if not sooner."""
SOON_S = 1.0
"""One whose backend could not be reached is asked for again after this, then after twice as long and so on."""


class Target(NamedTuple):
    """Where a service is, of which one that has the lowest priority is used, by weight (RFC 2782)."""

    at: str
    """Address and port."""
    priority: int
    weight: int


Places = dict[str, list[str | Target]]
"""By the names of backends: IP addresses, or of a service its targets."""


class Found(NamedTuple):
    """Addresses of a name, in the order in which they are tried, and how long they hold, where somebody says it."""

    ips: list[str | Target]
    holds_s: float | None = None


def ask(name: str) -> Found:
    """Its addresses in the order of RFC 6724, in which they are tried; `fe80::1%eth0` names a link of this machine, too:
    no address that an engine could be told.

    Raises `OSError`, and `ValueError` for a name that cannot be asked for, such as one with a label that is too long.
    """
    infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    ips = dict.fromkeys(ip for info in infos if "%" not in (ip := str(info[4][0])))
    return Found([*ips])


class Resolver:
    """Resolves names side by side every `every_s`, or sooner where their answers hold for less; the last good answer of each stays. A name that is slow holds back no
    other: those that were quick to answer come first. `known` are answers of before, which hold until there are others."""

    def __init__(
        self,
        names: set[str],
        every_s: float = 30.0,
        *,
        known: Mapping[str, list[str | Target]] | None = None,
        ask: Callable[[str], Found] = ask,
        together: int = TOGETHER,
    ) -> None:
        self.names, self.every_s, self.ask = names, every_s, ask
        self.found: Places = {name: list(ips) for name, ips in (known or {}).items() if name in names}
        self.changed = threading.Condition()
        now = time.monotonic()
        self.due = dict.fromkeys(sorted(names), now)
        self.unknown = names - set(self.found)
        """Those that have not answered yet, be it that they do not exist."""
        self.failed: dict[str, str] = {}
        self.slow: set[str] = set()
        self.answered_at = dict.fromkeys(names, now)
        self.pause_s: dict[str, float] = {}
        """Of names whose backends cannot be reached: how soon after an answer they are asked for again."""
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
            began, found, why = time.monotonic(), None, ""
            try:
                found = self.ask(name)
            except (OSError, ValueError) as e:
                why = str(e)
            except BaseException as e:  # whatever it is: a thread that ended would ask for no name any more
                why = f"our fault: {type(e).__name__}: {e}"
            self.answered(name, found, why, slow=time.monotonic() - began > SLOW_S)

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

    def answered(self, name: str, found: Found | None, why: str = "", *, slow: bool = False) -> None:
        """`why` it has no addresses, where `found` is `None`."""
        now = time.monotonic()
        with self.changed:
            if found is None:
                self.failed[name] = why
                again_s = AGAIN_S
            else:
                self.failed.pop(name, None)
                again_s = self.every_s if found.holds_s is None else max(found.holds_s, SOON_S)
            (self.slow.add if slow else self.slow.discard)(name)
            self.answered_at[name] = now
            self.due[name] = now + min(again_s, self.every_s)
            self.unknown.discard(name)
            # A server that only turns its answer round says nothing new.
            if found is not None and set(self.found.get(name, ())) != set(found.ips):
                self.found[name] = found.ips
                self.pause_s.pop(name, None)
                self.fresh.set()
            self.changed.notify_all()

    def hasten(self, unreached: Iterable[str]) -> None:
        """Backends of these names cannot be reached, and of no others: they may have moved. Asked for again at once, and less and
        less often while they stay where they are."""
        now, names = time.monotonic(), set(unreached)
        with self.changed:
            self.pause_s = {name: pause for name, pause in self.pause_s.items() if name in names}
            for name in names & self.due.keys():
                pause_s = self.pause_s.get(name, SOON_S)
                if now >= self.answered_at[name] + pause_s:
                    self.due[name] = now
                    self.pause_s[name] = min(2 * pause_s, self.every_s)
            self.changed.notify_all()

    def answers(self, wait_s: float = 0.0) -> Places:
        """What is known; waits at most `wait_s` until each name was asked for once."""
        with self.changed:
            self.changed.wait_for(lambda: not self.unknown or self.stopped, wait_s)
            self.fresh.clear()
            return dict(self.found)

    def known(self) -> Places:
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
