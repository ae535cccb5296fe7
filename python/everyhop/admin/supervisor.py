"""The supervisor: it compiles, keeps an engine that runs the last good plan, and answers at its own socket.

One thread and one loop. The engine does not need it to move bytes: a dead supervisor stops nothing, and the next one
takes over what runs. This wires them together: `loop.py` turns, `reload.py` takes changes, `keeper.py` keeps.
"""

from __future__ import annotations

import datetime as dt
import signal
import time
from pathlib import Path
from typing import Literal

from everyhop import _door
from everyhop.admin.answers import answered
from everyhop.admin.change import lasting
from everyhop.admin.drains import Drains
from everyhop.admin.fetching import Fetching
from everyhop.admin.issuing import Issuing
from everyhop.admin.keeper import Keeper
from everyhop.admin.key_servers import KeyServers
from everyhop.admin.key_talk import KeyTalk
from everyhop.admin.lastgood import LastGood
from everyhop.admin.loop import TICK_S, Loop
from everyhop.admin.maintenance import Maintenance
from everyhop.admin.notify import notify
from everyhop.admin.paths import admin_socket, engine_socket
from everyhop.admin.reload import Reload
from everyhop.admin.renewing import Renewing
from everyhop.admin.rounds import AT_LAST_S
from everyhop.admin.server import Server
from everyhop.admin.shortfalls import shortfalls
from everyhop.admin.stickiness import Stickiness
from everyhop.admin.telling import say, tell
from everyhop.admin.upgrade import Upgrade, attach
from everyhop.admin.watch import Watch
from everyhop.compile import Compiled
from everyhop.compile.elsewhere import compile_elsewhere
from everyhop.engine.frames import Lost, Nobody, connect
from everyhop.engine.sockets import cores
from everyhop.errors import Refused, Surroundings
from everyhop.garbage import stays, uncollected
from everyhop.plan import Here

AFTER_DRAIN_S = 10


def give_up_what_is_not_needed() -> None:
    """No program that we start gains a privilege; keys that we read reach no core file and no other process.

    Raises `Surroundings`. Comes before the first thread: what one gives up, others keep.
    """
    try:
        _door.close_supervisor()
    except OSError as e:
        raise Surroundings(f"cannot close the supervisor's process: {e.strerror or e}") from e


def nobody_in(running: Compiled) -> str | None:
    """What to say where the edge is in a zone in which no backend is: likely one of the names is wrong."""
    ways = (route.way for route in running.plan.routes)
    zones = {s.zone for way in ways if not isinstance(way, Here) and way.spread for s in way.spread.shares} - {None}
    if running.zone is None or not zones or running.zone in zones:
        return None
    there = ", ".join(sorted(map(str, zones)))
    return (
        f"this edge is in zone {running.zone}, and no backend is (they are in {there}): zones make no difference here"
    )


class Supervisor:
    """Runs one configuration until it is told to stop."""

    def __init__(
        self, path: Path, *, strict: bool = False, socket_path: Path | None = None, zone: str | None = None
    ) -> None:
        give_up_what_is_not_needed()
        self.path, self.strict = path, strict
        self.loop = Loop()
        self.loop.note_requests()
        with uncollected():
            running = self.first()
            stays()
        tell(running.findings, path, running.text)
        wanted = lasting(running, cores())
        self.admin_path = socket_path or admin_socket(wanted.admin)
        self.maintenance = Maintenance(path)
        self.drains = Drains(path)
        self.key_servers = KeyServers(path)
        self.keeper = Keeper(
            engine_socket(self.admin_path),
            wanted,
            running,
            self.maintenance,
            self.drains,
            Stickiness(path),
            zone,
            self.key_servers,
        )
        self.keys = KeyTalk(self.keeper, self.key_servers)
        self.issuing = Issuing(path)
        self.renewing = Renewing(path)
        self.fetching = Fetching(path)
        self.changes = Reload(path, self.keeper)
        self.issuing.hasten = self.changes.renewal.hasten
        self.upgrade = Upgrade(self.keeper)
        self.watch = Watch(self.keeper, self.changes, self.loop, self.issuing, self.renewing, self.fetching)
        self.started_at = dt.datetime.now(dt.UTC)

    def first(self) -> Compiled:
        """The file as it is; if it is refused and everything died while it was in order, what ran then."""
        closing: Literal["refuse", "close"] = "refuse" if self.strict else "close"
        try:
            return compile_elsewhere(self.path, past_dates=closing)
        except Refused as e:
            kept = LastGood(self.path).read()
            if kept is None:
                raise
            try:
                compiled = compile_elsewhere(self.path, past_dates=closing, text=kept[0], included=kept[1])
            except Refused:
                raise e from None
            tell(e.findings, self.path, e.text)
            say("the file is refused and the supervisor before did not end in order; the last good plan comes back")
            return compiled

    # Life.

    def run(self) -> int:
        """Until SIGTERM or SIGINT; gives the exit code."""
        self.refuse_a_second()
        keeper, loop = self.keeper, self.loop
        with Server(self.admin_path, loop.selector, lambda q: answered(self, q), keeper.is_engine) as server:
            loop.catch_signals()
            self.key_servers.wake = self.issuing.wake = loop.wake
            attach(keeper)
            running = keeper.running
            self.changes.last_good.keep(running.text, running.document.included)
            if (lonely := nobody_in(running)) is not None:
                say(lonely)
            for shortfall in shortfalls(running.plan, keeper.bound):
                say(shortfall)
            where = ", ".join(sorted({b.bind for b in keeper.bound}))
            say(f"ready: {len(running.plan.routes)} route(s) on {where}, plan {running.plan_digest[:16]}")
            for it in self.maintenance.told(running.plan):
                say(f"route {it['route']} is down for maintenance until {it['until']}")
            for it in self.drains.told(running.plan):
                say(f"backend {it['at']} of route {it['route']} is drained")
            notify("READY=1")
            looks = {
                "the engine": keeper.look,
                "certificate files": self.changes.renew,
                "maintenance": lambda: self.maintenance.look(keeper.again),
                "dates": self.changes.warn_of_dates,
                "backends' addresses": keeper.tell_names,
                "keys of issuers": self.keys.look,
                "the keyholder": keeper.look_at_keys,
                "certificates by ACME": lambda: self.issuing.look(keeper.decided, keeper.control, keeper.pid),
                "identities that come by themselves": lambda: self.renewing.look(keeper.decided),
                "revocation lists": lambda: self.fetching.look(keeper.decided),
                "inspectors": lambda: keeper.look_at_inspectors(
                    given_up=self.watch.sees("inspector-down") and not self.watch.is_silent()
                ),
                "what is wrong": self.watch.look,
                "the admin socket": lambda: server.look(time.monotonic()),
            }
            loop.run(self.obey, looks, lambda: keeper.pace.patience(time.monotonic(), TICK_S))
            notify("STOPPING=1")
            return self.finish()

    def refuse_a_second(self) -> None:
        try:
            connect(self.admin_path, 2.0).close()
        except Nobody:
            return
        except Lost as e:
            raise Surroundings(
                f"a supervisor may be at {self.admin_path} already: {e}; see to it first, or name another: [admin] socket"
            ) from e
        raise Surroundings(f"a supervisor answers at {self.admin_path} already; ask it: everyhop status")

    def obey(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            self.changes.reload()
        elif number == signal.SIGUSR1:
            self.keeper.reopen_log()
        elif number == signal.SIGUSR2:
            self.upgrade.upgrade()
        else:
            self.loop.stopping = True

    # The end.

    def end_steps(self) -> None:
        """Whoever brings certificates and lists is told to end, all at once, and waited for, all together."""
        until = time.monotonic() + AT_LAST_S
        for it in (*self.renewing.kept.values(), *self.fetching.kept.values()):
            it.end()
        for each in (self.issuing, self.renewing, self.fetching):
            each.end(max(until - time.monotonic(), 0.0))

    def finish(self) -> int:
        """Drains and stops the engine; what is in flight has `drain_s`. First done, then told: nobody may be there to hear."""
        drain_s, loop = self.keeper.running.plan.engine.drain_s, self.loop
        # Beyond the unit's own TimeoutStopSec, where `drain_s` is longer.
        notify(f"EXTEND_TIMEOUT_USEC={(drain_s + AFTER_DRAIN_S) * 1_000_000}")
        deadline = time.monotonic() + drain_s + 2
        if not loop.tried("the drain", lambda: self.keeper.drain(drain_s)):
            deadline = time.monotonic()
        say(f"draining for at most {drain_s} s")
        while (
            not self.keeper.is_all_gone()
            and time.monotonic() < deadline
            and not {signal.SIGINT, signal.SIGTERM} & loop.wanted
        ):
            loop.hear(TICK_S)
        loop.tried("the engine's end", self.keeper.stop)
        self.end_steps()
        self.changes.last_good.forget()
        say("stopped")
        return 0
