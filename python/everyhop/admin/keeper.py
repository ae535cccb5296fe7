"""Keeps an engine: the sockets that outlive it, its process, its log, and the plan that it runs.

Adopts the engine that is there or starts one, brings plans to it, starts another when it dies. It never decides whether
a plan may take over: `change.py` does. Everything that the engine refuses is raised, with what ran before still there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from everyhop.admin.accesslog import AccessLog
from everyhop.admin.adoption import adopt
from everyhop.admin.change import Lasting, differing
from everyhop.admin.drains import Drains
from everyhop.admin.inspection import Inspection
from everyhop.admin.key_servers import KeyServers
from everyhop.admin.keyholding import Keyholding
from everyhop.admin.maintenance import Maintenance
from everyhop.admin.orders import give_plan, hand_over
from everyhop.admin.pace import Pace
from everyhop.admin.retired import Retirement
from everyhop.admin.stickiness import Stickiness
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost, listening
from everyhop.engine.logs import close, open_logs
from everyhop.engine.process import Found, Started, start
from everyhop.engine.resolver import Found as Addresses
from everyhop.engine.resolver import Resolver, Target
from everyhop.engine.resolver import ask as by_the_system
from everyhop.engine.sockets import Bound, bind_all
from everyhop.errors import EveryhopError

END_S = 5.0


def resolver_of(compiled: Compiled, known: Mapping[str, list[str | Target]] | None = None) -> Resolver:
    dns = compiled.config.dns
    ask: Callable[[str], Addresses] = by_the_system
    if dns.servers:
        # Imported where it is used: few configurations name servers, and every start would wait for it.
        from everyhop.engine.dns import asking

        ask = asking(dns.servers)
    return Resolver(compiled.names, dns.resolve_s, known=known, ask=ask)


class Keeper:
    """Of one engine after another, on the same sockets."""

    def __init__(
        self,
        path: Path,
        wanted: Lasting,
        running: Compiled,
        maintenance: Maintenance | None = None,
        drains: Drains | None = None,
        stickiness: Stickiness | None = None,
        zone: str | None = None,
        key_servers: KeyServers | None = None,
    ) -> None:
        self.key_servers = key_servers
        self.path, self.wanted = path, wanted
        self.maintenance, self.drains, self.stickiness = maintenance, drains, stickiness
        self.zone = zone
        """Where this edge is, whatever its file says; `None`: as that says."""
        self.decided = running
        """As its file has it, without what is down for maintenance or drained."""
        self.holds = wanted
        """What really holds: of an engine that was there before us, what it was started with."""
        self.running = self.switched(running)
        self.bound: list[Bound] = []
        self.control: Control | None = None
        self.process: Started | Found | None = None
        self.pid = 0
        self.log = AccessLog()
        self.resolver = resolver_of(running)
        self.restarts = 0
        self.restarted: dt.datetime | None = None
        self.died = ""
        """How the last engine ended, where that is known."""
        self.pace = Pace()
        self.adopted = ""
        """The version of an engine that was there before us."""
        self.inspection = Inspection()
        self.keyholding = Keyholding(wanted.sandbox)
        self.retired = Retirement(self.inspection, self.keyholding)
        self.upgrade_wrong: str | None = None
        """Why the last upgrade failed; `None` once another engine was started."""

    # A start.

    def attach(self) -> None:
        """Adopts a running engine, or starts one; one that was started and cannot go on is ended."""
        self.retired.adopt(self.path, self.running.config.engine.retire_s)
        try:
            control = Control.connect(self.path)
        except Lost:
            try:
                self.bound = bind_all(self.running.plan, [], self.holds.threads)
                self.log.keep(open_logs(self.running.plan))
                self.launch()
                self.apply(self.running, self.log.fds)
            except BaseException:
                # It has no plan and nobody to serve; the next supervisor would adopt it.
                self.end_engine()
                self.path.unlink(missing_ok=True)
                raise
        else:
            self.adopt(control)

    def launch(self) -> None:
        self.pace.begins(time.monotonic())
        with listening(self.path) as control:
            started = start(control, self.wanted.sandbox, self.wanted.user)
        self.process, self.pid, self.upgrade_wrong = started, started.process.pid, None
        self.control = Control.connect(self.path)
        self.holds = replace(self.wanted, threads=self.holds.threads)
        hand_over(self.control, self.holds.threads, self.bound, self.holds.status)

    def adopt(self, control: Control) -> None:
        found = adopt(control, self.wanted, counted=self.running.plan.engine.threads.count == "cores")
        self.control, self.process, self.pid, self.adopted = control, found.process, found.pid, found.version
        self.holds, self.bound = found.holds, found.bound
        self.pace.begins(time.monotonic())
        say(f"adopted the engine with pid {found.pid}, plan {str(found.plan_digest)[:16]}")
        self.have_status()
        for sentence in differing(self.holds, replace(self.wanted, threads=self.holds.threads)):
            say(f"restart needed: {sentence}")
        logs, wrong = self.log.anew(self.running.plan)
        for it in wrong:
            say(f"{it}; the engine goes on with the log that it has")
        self.bring(self.decided, logs)

    def have_status(self) -> None:
        """An engine that was started without the address of its status can still be given one."""
        if self.holds.status is None and self.wanted.status is not None:
            try:
                hand_over(self.must_control(), self.holds.threads, [], self.wanted.status)
            except EveryhopError as e:
                say(f"no status: {e}")
            else:
                self.holds = replace(self.holds, status=self.wanted.status)

    # A plan.

    def reload(self, compiled: Compiled) -> None:
        """As `bring`, with the log opened anew. All or nothing: where it raises, everything is as it was."""
        self.bring(compiled, open_logs(compiled.plan))

    def bring(self, decided: Compiled, logs: Mapping[str, int]) -> None:
        """Makes the engine run `decided`: new sockets first, then the plan; sockets that it does not name go."""
        before, compiled = self.resolver, self.switched(decided)
        fresh: list[Bound] = []
        try:
            fresh = bind_all(compiled.plan, self.bound, self.holds.threads)
            if (compiled.names, compiled.config.dns) != (before.names, self.running.config.dns):
                self.resolver = resolver_of(compiled, before.known())
            if fresh:
                hand_over(self.must_control(), self.holds.threads, fresh)
            self.apply(compiled, logs)
        except BaseException:
            # The engine forgets what came ahead of a plan that it refused, and so do we.
            for bound in fresh:
                os.close(bound.fd)
            if self.resolver is not before:
                self.resolver.stop()
                self.resolver = before
            close(logs)
            raise
        self.retired.bring(compiled, self.resolver.known(), logs)
        if self.resolver is not before:
            before.stop()
        self.decided, self.running = decided, compiled
        self.log.keep(logs)
        self.log.only(compiled.plan)
        self.bound += fresh
        named = {(n.name, b) for n in compiled.plan.listeners for b in n.bind}
        for bound in [b for b in self.bound if (b.listener, b.bind) not in named]:
            os.close(bound.fd)
            self.bound.remove(bound)

    def switched(self, decided: Compiled) -> Compiled:
        """With what is drained, what is down for maintenance, the key by which clients come back, the keys of issuers
        that were fetched, and where this edge is."""
        drained = decided if self.drains is None else self.drains.over(decided)
        served = drained if self.maintenance is None else self.maintenance.over(drained)
        kept = served if self.stickiness is None else self.stickiness.over(served)
        kept = kept if self.key_servers is None else self.key_servers.over(kept)
        return replace(kept, zone=self.zone or decided.config.engine.zone)

    def again(self) -> None:
        """What is down for maintenance, or drained, is another now."""
        self.bring(self.decided, {})

    def renew(self, decided: Compiled) -> None:
        """The same plan with other certificates. The log stays as it is."""
        compiled = self.switched(decided)
        self.apply(compiled, {})
        self.retired.bring(compiled, self.resolver.known(), {})
        self.decided, self.running = decided, compiled

    def apply(self, compiled: Compiled, logs: Mapping[str, int]) -> None:
        try:
            answers = self.resolver.answers(3.0)
            give_plan(self.must_control(), compiled, answers, logs, self.inspection, self.keyholding)
        except BaseException:
            # What was new of the names did not reach the engine.
            self.resolver.fresh.set()
            raise
        self.pace.runs()

    def must_control(self) -> Control:
        if self.control is None:
            raise Lost("there is no engine")
        return self.control

    # What may happen.

    def look(self) -> None:
        """A dead engine is followed at once; only a row of engines that die as soon as they are started is no reason to
        give up, but to slow down."""
        self.retired.look()
        if not self.is_gone():
            self.be_found()
            return
        now = time.monotonic()
        self.pace.died(now)
        if self.pace.may_start(now):
            self.restart()

    def look_at_keys(self) -> None:
        """A holder of keys that died, or that hangs, is followed by another at once."""
        engines = [self.control] if self.control and not self.is_gone() else []
        for it in self.retired.all:
            with contextlib.suppress(Lost):
                engines.append(it.conversation())
        self.keyholding.look(engines)

    def look_at_inspectors(self, *, given_up: bool) -> None:
        """One that died, or that the engine speaks with no more (`given_up`), is followed by another; and where an exclusion is
        over, its rule is asked again."""
        engines = {it.pid: it.control for it in self.retired.all}
        mine = {self.pid: self.control} if self.pid else {}
        self.inspection.look({**engines, **mine}, self.pid if given_up else 0)
        if self.control is not None and self.inspection.is_over_an_exclusion():
            say("an exclusion is over: its rule is asked again")
            self.renew(self.decided)

    def be_found(self) -> None:
        """Who cleans up temporary files takes the name of the engine's socket: the next supervisor would not find it, and
        start another beside it.

        Raises `Surroundings` where it cannot be put back.
        """
        if os.path.lexists(self.path):
            return
        with listening(self.path) as fresh:
            try:
                self.must_control().must(m.Reach(), m.Listening, [fresh.fileno()])
            except BaseException:
                self.path.unlink(missing_ok=True)
                raise
        say(f"the engine's socket {self.path} was gone and is back")

    def is_engine(self, pid: int) -> bool:
        return pid == self.pid or self.retired.has(pid)

    def is_all_gone(self) -> bool:
        """Those before, too."""
        self.retired.look()
        return self.is_gone() and not self.retired.all

    def is_gone(self) -> bool:
        if self.process is not None and self.process.is_over():
            return True
        return self.control is None or self.control.is_closed()

    def restart(self) -> None:
        """The same sockets, the last good plan; the engine that ran, if it answers after all."""
        self.hang_up()
        self.pace.begins(time.monotonic())
        if self.answers_again():
            return
        self.restarts += 1
        self.restarted = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self.died = self.process.how() if self.process else ""
        how = f" ({self.died})" if self.died else ""
        say(f"the engine is gone{how}; starting another ({self.restarts})")
        self.end_engine()
        try:
            self.launch()
            self.apply(self.running, self.log.opened(self.running))
        except (EveryhopError, OSError) as e:
            self.hang_up()
            # It took sockets and no plan: it would hold what nobody serves.
            self.end_engine()
            say(f"the engine did not start: {e}")
            return
        say(f"the engine is back, plan {self.running.plan_digest[:16]}")

    def answers_again(self) -> bool:
        """True if it was only not understood, such as an answer that came too late; it runs the last good plan then."""
        try:
            self.control = Control.connect(self.path)
            self.apply(self.running, {})
        except (EveryhopError, OSError):
            self.hang_up()
            return False
        say(f"the engine answers again, plan {self.running.plan_digest[:16]}")
        return True

    def hang_up(self) -> None:
        """Ends the conversation; whoever speaks with an engine next opens another."""
        if self.control:
            self.control.close()
        self.control = None

    def tell_names(self) -> None:
        if self.resolver.fresh.is_set() and self.control:
            found = self.resolver.answers()
            self.control.must(m.Names(names=found), m.Named)
            self.retired.names(found)

    def reopen_log(self) -> None:
        """Raises `CannotOpen` for a file that cannot be opened, after the others were; its lines go on to where they went."""
        logs, wrong = self.log.anew(self.running.plan)
        if logs:
            try:
                self.must_control().must(m.Log(logs=list(logs)), m.Reopened, list(logs.values()))
            except EveryhopError:
                close(logs)
                raise
            self.retired.logs(logs)
            self.log.keep(logs)
            say("access log reopened")
        if wrong:
            raise wrong[0]

    # An end.

    def drain(self, drain_s: int) -> None:
        """Accepting ends; what is in flight has `drain_s`."""
        try:
            self.must_control().must(m.Drain(drain_s=drain_s), m.Draining)
        finally:
            self.retired.drain(drain_s)
            # Whoever connects now is refused and can go elsewhere; a queue that nobody serves would hold them.
            while self.bound:
                os.close(self.bound.pop().fd)

    def stop(self) -> None:
        """Ends the engine, whether it answers or not."""
        with contextlib.suppress(Lost, EngineRefused):
            if self.control and not self.is_gone():
                self.control.must(m.Stop(), m.Stopping)
        if self.process:
            self.process.wait(END_S)
        self.end_engine()
        self.retired.end()
        self.keyholding.end()
        self.resolver.stop()
        if self.key_servers is not None:
            self.key_servers.stop()
        self.path.unlink(missing_ok=True)

    def end_engine(self) -> None:
        """Two of them on the same sockets would serve two plans: one that answers nobody ends before another begins."""
        if self.process:
            self.process.end()
            self.process = None
