"""Keeps an inspector beside each engine whose plan has rules to inspect by: started with the policies of the plan, handed to the
engine by its socket, and followed by another when it dies. It speaks with its engine alone: a supervisor that is gone stops
nothing. Where none is there, its engine refuses what was to be inspected, and everything else goes on.

Read next: `../waf/inspector.py`, the process; `orders.py`, which asks for one before each plan.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost
from everyhop.engine.process import whom
from everyhop.engine.sockets import cores
from everyhop.errors import EveryhopError

if TYPE_CHECKING:
    from everyhop.waf import Inspector
    from everyhop.waf.frames import Policy

NICE = 5
"""Requests that are not inspected do not wait for those that are."""
LOADED_S = 10.0
LIVED_S = 10.0
SETTLED_S = 5.0
"""What an engine says of its inspector may be some seconds old."""
LONGEST_PAUSE_S = 60.0
QUESTIONS_PER_CORE = 2
"""What it has before it at once: one that it inspects and the next. The others wait in the engine, where they can be given up."""


@dataclass(frozen=True)
class Wanted:
    """What an inspector is started with."""

    policies: list[Policy]
    cores: int
    memory_mb: int
    user: tuple[int, int] | None
    ends_s: float
    """When an exclusion ends, so that another inspector is wanted."""

    @property
    def id(self) -> str:
        """By which the engine knows it."""
        from everyhop.compile.inspecting import known_by

        return f"{known_by(self.policies)}-{self.cores}-{self.memory_mb}"


@dataclass
class Beside:
    """The inspector of one engine."""

    wanted: Wanted
    running: Inspector | None
    began_s: float
    failures: int = 0
    again_s: float = 0.0

    def is_over(self) -> bool:
        return self.running is None or self.running.process.poll() is not None


def wanted_by(compiled: Compiled, now_s: float) -> Wanted | None:
    """Nothing where the plan has no rules to inspect by. `now_s`: Unix time."""
    wafs, given = compiled.plan.wafs, compiled.config.inspector
    if not wafs:
        return None
    # Read where there is something to inspect by.
    from everyhop.compile.inspecting import policies

    threads = compiled.plan.engine.threads
    many = threads.threads if threads.count == "fixed" else cores()
    ends = [one.closes_at_s for it in wafs for one in it.exclude if now_s < one.closes_at_s]
    return Wanted(
        policies=policies(wafs, compiled.rules, now_s),
        cores=given.cores or (many + 1) // 2,
        memory_mb=given.memory_mb,
        user=whom(compiled.config.engine.user),
        ends_s=min(ends, default=float("inf")),
    )


class Inspection:
    """Of one supervisor's engines."""

    def __init__(self) -> None:
        self.all: dict[int, Beside] = {}
        """By the pid of the engine."""
        self.leaving: list[Inspector] = []
        """Of plans before: each ends once its engine lets it go."""

    def ready(self, control: Control, compiled: Compiled) -> str | None:
        """Sees to it that the engine has the inspector that the plan wants; gives by what it is known. One that does not start
        refuses a plan where another inspects; else it refuses none: what is to be inspected is refused until it is there."""
        wanted = wanted_by(compiled, time.time())
        if wanted is None and not self.all:
            return None
        pid = control.must(m.Hello(), m.Welcome).pid
        if wanted is None:
            self.leave(pid)
            return None
        there = self.all.get(pid)
        if there is None or there.wanted.id != wanted.id or there.is_over():
            fresh = Beside(wanted, None, time.monotonic())
            self.start(fresh, control)
            if fresh.running is None and there is not None and not there.is_over():
                # What inspects goes on, and so does the plan that it is of.
                raise EveryhopError("the inspector does not start with these rules")
            self.leave(pid)
            self.all[pid] = fresh
        return wanted.id

    def start(self, it: Beside, control: Control) -> None:
        """Starts it and hands it over; what goes wrong is said, and tried again later."""
        from everyhop.waf import Inspector

        wanted = it.wanted
        it.running = None
        try:
            running = Inspector(
                wanted.policies,
                cores=wanted.cores,
                memory_mb=wanted.memory_mb,
                user=wanted.user,
                nice=NICE,
                loaded_s=LOADED_S,
            )
        except (EveryhopError, OSError) as e:
            self.failed(it, str(e))
            return
        try:
            question = m.Inspector(id=wanted.id, at_once=wanted.cores * QUESTIONS_PER_CORE)
            control.must(question, m.Heard, [running.socket.fileno()])
        except EngineRefused as e:
            running.close()
            self.failed(it, str(e))
            return
        except BaseException:
            running.close()
            raise
        # The engine has the only other end: when it lets go, the inspector ends.
        running.socket.close()
        it.running, it.began_s = running, time.monotonic()

    def failed(self, it: Beside, why: str) -> None:
        it.failures += 1
        it.again_s = time.monotonic() + min(2.0**it.failures, LONGEST_PAUSE_S)
        say(f"no inspector: {why}; what is to be inspected is refused, or passes by somebody's word")

    def look(self, engines: dict[int, Control | None], given_up: int = 0) -> None:
        """Starts another where one died; forgets those of engines that are gone. `engines`: all that there are, by their pids;
        `given_up`: of one that speaks with its inspector no more."""
        self.leaving = [it for it in self.leaving if it.process.poll() is None]
        for pid in self.all.keys() - engines.keys():
            self.leave(pid)
        for pid, it in self.all.items():
            control = engines[pid]
            now = time.monotonic()
            if pid == given_up and it.running is not None and now - it.began_s > SETTLED_S:
                # A rule held it, or something else does: it does not end by itself.
                it.running.process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    it.running.process.wait(1.0)
            if not it.is_over() or control is None or control.is_closed():
                continue
            if it.running is not None:
                self.died(it, it.running, now)
            if now >= it.again_s:
                try:
                    self.start(it, control)
                except Lost as e:
                    self.failed(it, str(e))
                if it.running is not None:
                    say("the inspector is back")

    def died(self, it: Beside, was: Inspector, now: float) -> None:
        """One that lived a while is followed at once."""
        lived = now - it.began_s > LIVED_S
        said = was.close().strip().splitlines()[:1]
        it.running = None
        it.failures = 0 if lived else it.failures
        self.failed(it, f"it ended ({'; '.join([*said, ended(was.process.returncode)])})")
        it.again_s = now if lived else it.again_s

    def is_over_an_exclusion(self) -> bool:
        """Some rule is asked again from now on."""
        return any(time.time() >= it.wanted.ends_s for it in self.all.values())

    def leave(self, pid: int) -> None:
        """The engine speaks with it until nobody waits for it any more."""
        gone = self.all.pop(pid, None)
        if gone is not None and gone.running is not None:
            self.leaving.append(gone.running)

    def told(self, pid: int) -> dict[str, object] | None:
        """For `status`: the inspector of that engine."""
        it = self.all.get(pid)
        if it is None:
            return None
        up = None if it.is_over() else it.running
        if up is None:
            return {"pid": None, "cores": it.wanted.cores, "engine": None, "rules": None}
        return {"pid": up.process.pid, "cores": it.wanted.cores, "engine": up.ready.engine, "rules": up.ready.rules}


def ended(code: int | None) -> str:
    return "it does not answer" if code is None else f"exit code {code}" if code >= 0 else f"signal {-code}"
