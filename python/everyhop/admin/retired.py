"""Engines that were followed by another (`upgrade.py`): they accept no more, carry what they carry to its end, and leave by
themselves, `[engine] retire_s` after they were followed at the latest. What a reload closes is closed there as well: one
that cannot take the plan that runs ends.

Read next: `keeper.py`, which keeps the one that accepts.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from everyhop.admin.inspection import Inspection
from everyhop.admin.keyholding import Keyholding
from everyhop.admin.orders import give_plan
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost
from everyhop.engine.process import Found, Started, find
from everyhop.engine.resolver import Places

MOST = 8
"""Each has its memory and its threads."""
LOOK_S, PATIENCE_S = 1.0, 10.0
"""For what it carries, which is only shown; for an order."""
LATE_S = 10.0
"""After its time one that is still there is ended."""
NAME = ".retired-"


def name_of(path: Path, pid: int) -> Path:
    """Where an engine is found that gave the name `path` to the next."""
    return path.with_name(f"{path.name}{NAME}{pid}")


@dataclass
class Retired:
    """One of them. `until_s` is of a clock that nobody sets."""

    control: Control
    process: Started | Found | None
    pid: int
    version: str
    path: Path
    until_s: float

    def is_gone(self) -> bool:
        return self.control.is_closed() if self.process is None else self.process.is_over()

    def conversation(self, patience_s: float = PATIENCE_S) -> Control:
        """What an order is given by; anew where the one before broke off, be it that an answer came too late.

        Raises `Lost`.
        """
        if self.control.is_closed():
            self.control = Control.connect(self.path, patience_s)
        self.control.sock.settimeout(patience_s)
        return self.control

    def connections(self) -> int | None:
        """How many it carries; `None` where it does not say."""
        try:
            seen = self.conversation(LOOK_S).must(m.Status(), m.Seen).model_dump(mode="json")
        except (Lost, EngineRefused):
            return None
        found = seen.get("connections")
        return found if isinstance(found, int) else None

    def end(self) -> None:
        self.control.close()
        if self.process is not None:
            self.process.end()
        self.path.unlink(missing_ok=True)


class Retirement:
    """All of them."""

    def __init__(self, inspection: Inspection, keyholding: Keyholding) -> None:
        self.inspection, self.keyholding = inspection, keyholding
        self.all: list[Retired] = []

    def take(self, it: Retired, retire_s: int) -> None:
        """It accepts no more from now on. One that does not obey ends: two would serve two plans."""
        self.all.append(it)
        try:
            it.conversation().must(m.Retire(retire_s=retire_s), m.Draining)
        except (Lost, EngineRefused) as e:
            self.lose(it, f"does not retire ({e})")

    def adopt(self, path: Path, retire_s: int) -> None:
        """Those that another supervisor had beside the engine at `path`, and what it did not bring to an end."""
        for left in beside(path):
            try:
                control = Control.connect(left)
                welcome = control.must(m.Hello(), m.Welcome)
            except (Lost, EngineRefused):
                left.unlink(missing_ok=True)
                continue
            process = find(welcome.pid)
            it = Retired(control, process, welcome.pid, welcome.version, left, time.monotonic())
            if not left.name.startswith(f"{path.name}{NAME}"):
                # It was begun and never took over.
                it.end()
            elif welcome.leaves_in_s is None:
                it.until_s += retire_s
                self.take(it, retire_s)
            else:
                it.until_s += welcome.leaves_in_s
                self.all.append(it)

    def look(self) -> None:
        """Who left is told and forgotten."""
        for it in list(self.all):
            if it.is_gone():
                self.all.remove(it)
                it.end()
                say(f"the engine before, pid {it.pid}, carried everything to its end and left")
            elif time.monotonic() > it.until_s + LATE_S:
                self.lose(it, "did not leave in time")

    def bring(self, compiled: Compiled, names: Places, logs: Mapping[str, int]) -> None:
        """The plan that runs now, for what they still carry."""
        for it in list(self.all):
            try:
                give_plan(it.conversation(), compiled, names, logs, self.inspection, self.keyholding)
            except (Lost, EngineRefused) as e:
                if not it.is_gone():
                    self.lose(it, f"cannot take the plan that runs now ({e})")

    def logs(self, fds: Mapping[str, int]) -> None:
        """As their lines go where those of the next one go."""
        self.each(m.Log(logs=list(fds)), m.Reopened, list(fds.values()))

    def names(self, found: Places) -> None:
        self.each(m.Names(names=found), m.Named)

    def drain(self, drain_s: int) -> None:
        """What they still carry has `drain_s`, as what the next one carries."""
        self.each(m.Drain(drain_s=drain_s), m.Draining)

    def each(self, ask: m.Ask, of: type[m.Answer], fds: list[int] | None = None) -> None:
        for it in list(self.all):
            try:
                it.conversation().must(ask, of, fds or [])
            except (Lost, EngineRefused) as e:
                if not it.is_gone():
                    self.lose(it, f"does not obey ({e})")

    def lose(self, it: Retired, why: str) -> None:
        say(f"the engine before, pid {it.pid}, {why}: what it still carries ends")
        self.all.remove(it)
        it.end()

    def end(self) -> None:
        while self.all:
            self.all.pop().end()

    def told(self) -> list[dict[str, object]]:
        """For `status`."""
        now, now_s = dt.datetime.now(dt.UTC), time.monotonic()
        return [
            {
                "pid": it.pid,
                "version": it.version,
                "connections": it.connections(),
                "until": f"{now + dt.timedelta(seconds=it.until_s - now_s):%Y-%m-%dT%H:%M:%SZ}",
            }
            for it in self.all
        ]

    def has(self, pid: int) -> bool:
        return any(it.pid == pid for it in self.all)


def beside(path: Path) -> list[Path]:
    """What bears its name and more."""
    with contextlib.suppress(OSError):
        return [it for it in path.parent.iterdir() if it.name.startswith(f"{path.name}.")]
    return []


def move_aside(path: Path, pid: int) -> Path:
    """Another name for the socket at `path`, by which the engine behind it is found once the next one has its name."""
    aside = name_of(path, pid)
    aside.unlink(missing_ok=True)
    # One that has lost its name already has no other: the conversation with it goes on.
    with contextlib.suppress(FileNotFoundError):
        os.link(path, aside)
    return aside
