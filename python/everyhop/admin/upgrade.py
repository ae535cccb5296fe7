"""Another engine takes the place of the one that runs, without a client who notices: the program that is installed now, on the
same listening sockets, with the same plan. Only once it serves, the one before accepts no more and carries what it carries
to its end (`retired.py`). Where the new one does not start or does not take the plan, nothing has changed.

Read next: `keeper.py`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from everyhop import __version__
from everyhop.admin.change import Lasting
from everyhop.admin.keeper import Keeper
from everyhop.admin.orders import give_plan, hand_over
from everyhop.admin.retired import MOST, Retired, move_aside
from everyhop.admin.telling import say
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost, listening
from everyhop.engine.process import Started, start
from everyhop.engine.sockets import Bound, bind_all
from everyhop.errors import EveryhopError, Surroundings


@dataclass
class Begun:
    """An engine that has nothing yet, at a name of its own."""

    process: Started
    control: Control
    path: Path

    def end(self) -> None:
        self.control.close()
        self.process.end()
        self.path.unlink(missing_ok=True)


class Upgrade:
    """Of the engine of `keeper`."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.last: dict[str, object] = {}

    def upgrade(self) -> dict[str, object]:
        """All or nothing, and told."""
        keeper, before = self.keeper, self.keeper.pid
        outcome: dict[str, object]
        try:
            welcome = follow(keeper)
        except (EveryhopError, OSError) as e:
            keeper.upgrade_wrong = str(e)
            say(f"upgrade failed: {e}; the engine before, pid {before}, goes on")
            outcome = {"upgraded": False, "why": str(e)}
        else:
            keeper.upgrade_wrong = None
            until = f"for at most {keeper.running.config.engine.retire_s} s"
            say(
                f"upgraded: engine {welcome.version}, pid {welcome.pid}, took over; pid {before} ends what it carries {until}"
            )
            outcome = {"upgraded": True, "version": welcome.version}
        at = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.last = outcome | {"pid": keeper.pid, "before": before, "at": at}
        return self.last


def attach(keeper: Keeper) -> None:
    """As `Keeper.attach`. An engine of another version that was there before us and cannot take the plan is followed."""
    try:
        keeper.attach()
    except EngineRefused as e:
        if keeper.adopted in {"", __version__}:
            raise
        say(f"the adopted engine is of version {keeper.adopted} and does not take the plan ({e}); another one follows")
        follow(keeper)


def follow(keeper: Keeper) -> m.Welcome:
    """Makes another engine that of `keeper`; where it raises, everything is as it was."""
    before = keeper.must_control()
    if len(keeper.retired.all) >= MOST:
        raise Surroundings(f"{MOST} engines before still carry something; wait until one of them is gone")
    version = before.must(m.Hello(), m.Welcome).version
    threads = keeper.holds.threads
    sockets = bind_all(keeper.running.plan, keeper.bound, threads)
    try:
        fresh = begin(keeper.path.with_name(f"{keeper.path.name}.next"), keeper.wanted)
    except BaseException:
        close(sockets)
        raise
    try:
        hand_over(fresh.control, threads, [*keeper.bound, *sockets])
        logs = keeper.log.opened(keeper.running)
        answers = keeper.resolver.answers()
        give_plan(fresh.control, keeper.running, answers, logs, keeper.inspection, keeper.keyholding)
        with status_of(before) as status_fd:
            # Not before: it would tell scrapers that it has no plan.
            hand_over(fresh.control, threads, [], keeper.holds.status, status_fd)
        welcome = fresh.control.must(m.Hello(), m.Welcome)
        aside = move_aside(keeper.path, keeper.pid)
        fresh.path.replace(keeper.path)
    except BaseException:
        fresh.end()
        close(sockets)
        raise
    keeper.bound += sockets
    retire_s = keeper.running.config.engine.retire_s
    old = Retired(before, keeper.process, keeper.pid, version, aside, time.monotonic() + retire_s)
    keeper.process, keeper.control, keeper.pid = fresh.process, fresh.control, welcome.pid
    keeper.holds = replace(keeper.wanted, threads=keeper.holds.threads, status=keeper.holds.status)
    keeper.pace.begins(time.monotonic())
    keeper.pace.runs()
    keeper.retired.take(old, retire_s)
    return welcome


def begin(path: Path, wanted: Lasting) -> Begun:
    with listening(path) as sock:
        process = start(sock, wanted.sandbox, wanted.user)
    try:
        control = Control.connect(path)
        control.must(m.Hello(), m.Welcome)
    except BaseException as e:
        process.wait(1.0)
        how = process.how()
        process.end()
        path.unlink(missing_ok=True)
        if isinstance(e, Lost) and how:
            raise Surroundings(f"the new engine did not start: {how}") from e
        raise
    return Begun(process, control, path)


def close(sockets: list[Bound]) -> None:
    for it in sockets:
        os.close(it.fd)


@contextlib.contextmanager
def status_of(control: Control) -> Iterator[int | None]:
    """The socket of its status address: who waits in its queue is answered by the next."""
    answer, fds = control.ask(m.Adopt(), m.Sockets)
    try:
        yield fds[-1] if answer.status is not None and fds else None
    finally:
        for fd in fds:
            os.close(fd)
