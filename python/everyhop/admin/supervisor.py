"""The supervisor: it compiles, binds, starts or adopts the engine, and keeps it running with the last good plan.

One thread and one loop. The engine does not need it to move bytes: a dead supervisor stops nothing, and the next one
takes over what runs. Longer than a file should be: what must not be interleaved stands together. Read next: `server.py`,
which answers the admin socket.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Literal

from everyhop import _door
from everyhop.admin.lastgood import LastGood
from everyhop.admin.notify import notify
from everyhop.admin.pace import Pace
from everyhop.admin.paths import admin_socket, engine_socket
from everyhop.admin.server import Server
from everyhop.compile import Compiled, compile_file
from everyhop.engine import Bound, Control, Lost, Resolver, Started, Watcher, bind_all, listening, open_log, start
from everyhop.engine.control import sealed
from everyhop.errors import EveryhopError, Refused, Surroundings
from everyhop.model import Config
from everyhop.refusals import Finding, merged, render

TICK_S = 0.25
DATES_S = 3600.0
AFTER_DRAIN_S = 10
DATES = {"acceptance/expired", "certificate/expired"}


def say(text: str) -> None:
    print(f"everyhop: {text}", file=sys.stderr, flush=True)


def give_up_what_is_not_needed() -> None:
    """No program that we start gains a privilege; keys that we read reach no core file and no other process.

    Raises `Surroundings`. Comes before the first thread: what one gives up, others keep.
    """
    try:
        _door.close_supervisor()
    except OSError as e:
        raise Surroundings(f"cannot close the supervisor's process: {e.strerror or e}") from e


class Supervisor:
    """Runs one configuration until it is told to stop."""

    def __init__(self, path: Path, *, strict: bool = False, socket_path: Path | None = None) -> None:
        give_up_what_is_not_needed()
        self.path, self.strict = path, strict
        self.last_good = LastGood(path)
        self.compiled = self.first()
        self.tell(self.compiled.findings)
        configured = self.configured()
        self.admin_path = socket_path or admin_socket(configured.admin.socket)
        self.sandbox, self.user = configured.engine.sandbox, configured.engine.user
        self.engine_path = engine_socket(self.admin_path)
        self.threads = self.compiled.plan.engine.threads
        self.bound: list[Bound] = []
        self.control: Control | None = None
        self.child: Started | None = None
        self.adopted: int | None = None
        """A descriptor of the process of an engine that was there before us."""
        self.engine_pid = 0
        self.resolver = Resolver(self.compiled.names)
        self.watcher = Watcher(self.compiled.watched)
        self.selector = selectors.DefaultSelector()
        self.wanted: set[signal.Signals] = set()
        self.stopping = False
        self.last_reload: dict[str, object] = {}
        self.started_at = dt.datetime.now(dt.UTC)
        self.restarts = 0
        self.pace = Pace()
        self.told = {f.what for f in self.compiled.findings}
        self.next_dates = time.monotonic() + DATES_S

    def configured(self) -> Config:
        """What concerns us alone and stands in no plan."""
        from everyhop.compile.reading import read

        return read(self.path, self.compiled.text)[1]

    def first(self) -> Compiled:
        """The file as it is; if it is refused and everything died while it was in order, what ran then."""
        past: Literal["refuse", "close"] = "refuse" if self.strict else "close"
        try:
            return compile_file(self.path, past_dates=past)
        except Refused as e:
            kept = self.last_good.text()
            if kept is None:
                raise
            try:
                compiled = compile_file(self.path, past_dates=past, text=kept)
            except Refused:
                raise e from None
            self.tell(e.findings)
            say("the file is refused and the supervisor before did not end in order; the last good plan comes back")
            return compiled

    def tell(self, findings: list[Finding]) -> None:
        if findings:
            text = {str(self.path): self.path.read_text(encoding="utf-8", errors="replace")}
            print(render(merged(findings), text), file=sys.stderr, flush=True)

    # Life.

    def run(self) -> int:
        """Until SIGTERM or SIGINT; gives the exit code."""
        self.refuse_a_second()
        with Server(self, self.admin_path) as server:
            self.catch_signals()
            self.attach()
            self.last_good.keep(self.compiled.text)
            self.say_ready()
            notify("READY=1")
            try:
                while not self.stopping:
                    self.turn(server)
            finally:
                notify("STOPPING=1")
            return self.finish()

    def refuse_a_second(self) -> None:
        try:
            Control.connect(self.admin_path, 2.0).close()
        except Lost:
            return
        raise Surroundings(f"a supervisor answers at {self.admin_path} already; ask it: everyhop status")

    def catch_signals(self) -> None:
        reading, writing = socket.socketpair()
        writing.setblocking(False)
        reading.setblocking(False)
        self.selector.register(reading, selectors.EVENT_READ, lambda: reading.recv(64))
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self.wakeup = writing
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda n, _: self.wanted.add(signal.Signals(n)))

    def turn(self, server: Server) -> None:
        for key, _ in self.selector.select(self.pace.patience(time.monotonic(), TICK_S)):
            if callable(key.data):
                key.data()
        server.serve_waiting()
        try:
            while self.wanted:
                self.obey(self.wanted.pop())
            if not self.stopping:
                self.look()
        except Lost as e:
            # It went between two questions; the next look sees to that.
            say(f"the engine does not answer: {e}")
        notify("WATCHDOG=1")

    def obey(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR1:
            self.reopen_log()
        else:
            self.stopping = True

    def look(self) -> None:
        """What a quarter of a second may have brought: a dead engine, new certificates, new addresses."""
        if self.engine_is_gone():
            self.start_another()
            return
        if self.watcher.changed():
            self.renew()
        if time.monotonic() >= self.next_dates:
            self.warn_of_dates()
        if self.resolver.fresh.is_set() and self.control:
            self.control.must("names", names=self.resolver.answers())

    # The engine.

    def attach(self) -> None:
        """Adopts a running engine, or starts one."""
        try:
            control = Control.connect(self.engine_path)
        except Lost:
            self.bound = bind_all(self.compiled, [], self.threads)
            self.launch()
            self.apply(self.compiled)
            return
        self.control = control
        welcome = control.must("hello")
        if welcome.get("draining"):
            raise Surroundings(f"the engine at {self.engine_path} is draining; wait until it is gone")
        self.engine_pid = int(str(welcome.get("pid")))
        self.threads = int(str(welcome.get("threads") or self.threads))
        answer, fds = control.ask("adopt")
        sockets = answer.get("sockets")
        assert isinstance(sockets, list)
        self.bound = [Bound(s["listener"], s["bind"], s["thread"], fd) for s, fd in zip(sockets, fds, strict=False)]
        for fd in fds[len(sockets) :]:
            os.close(fd)
        self.pace.begins(time.monotonic())
        with contextlib.suppress(OSError):
            self.adopted = os.pidfd_open(int(str(welcome.get("pid"))))
        say(f"adopted the engine with pid {welcome.get('pid')}, plan {str(welcome.get('plan_digest'))[:16]}")
        self.bring(self.compiled)

    def launch(self) -> None:
        self.pace.begins(time.monotonic())
        with listening(self.engine_path) as control:
            self.child = start(control, self.sandbox, self.user)
        self.engine_pid = self.child.process.pid
        self.control = Control.connect(self.engine_path)
        self.listen(self.bound)

    def listen(self, sockets: list[Bound], *, status: bool = True) -> None:
        assert self.control is not None
        bind = None
        fds = [b.fd for b in sockets]
        wanted = self.compiled.plan.status
        status_fd = -1
        if status and wanted.kind == "bound":
            from everyhop.engine.sockets import one

            bind, status_fd = wanted.bind, one(wanted.bind, shared=True).detach()
            fds.append(status_fd)
        self.control.must("listen", fds, threads=self.threads, sockets=[b.told() for b in sockets], status=bind)
        if status_fd >= 0:
            os.close(status_fd)

    def bring(self, compiled: Compiled) -> None:
        """Makes the engine run `compiled`: new sockets first, then the plan; sockets that it does not name go."""
        fresh = bind_all(compiled, self.bound, self.threads)
        try:
            if fresh:
                self.listen(fresh, status=False)
            self.apply(compiled)
        except EveryhopError:
            # All or nothing: the engine forgets what came ahead of a plan that it refused, and so do we.
            for bound in fresh:
                os.close(bound.fd)
            raise
        self.bound += fresh
        named = {(n.name, b) for n in compiled.plan.listeners for b in n.bind}
        for bound in [b for b in self.bound if (b.listener, b.bind) not in named]:
            os.close(bound.fd)
            self.bound.remove(bound)

    def apply(self, compiled: Compiled) -> None:
        assert self.control is not None
        log = open_log(compiled)
        material = sealed(compiled.material.blob)
        try:
            self.control.must(
                "apply",
                [material, *([log] if log is not None else [])],
                plan=compiled.plan_json,
                plan_digest=compiled.plan_digest,
                material=compiled.material.entries,
                material_digest=compiled.material.digest,
                names=self.resolver.answers(3.0),
                log=log is not None,
            )
        finally:
            os.close(material)
            if log is not None:
                os.close(log)
        self.pace.runs()

    def engine_is_gone(self) -> bool:
        if self.child is not None and self.child.is_over():
            return True
        if self.control is None:
            return True
        try:
            # Between questions the engine says nothing: readable means that it closed.
            self.control.sock.setblocking(False)
            return not self.control.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            with contextlib.suppress(OSError):
                self.control.sock.settimeout(10.0)

    def start_another(self) -> None:
        """At once; only a row of engines that die as soon as they are started is no reason to give up, but to slow down."""
        now = time.monotonic()
        self.pace.died(now)
        if self.pace.may_start(now):
            self.restart()

    def restart(self) -> None:
        """The same sockets, the last good plan; the engine that ran, if it answers after all."""
        if self.control:
            self.control.close()
        self.pace.begins(time.monotonic())
        if self.answers_again():
            return
        self.restarts += 1
        say(f"the engine is gone; starting another ({self.restarts})")
        self.end_engine()
        try:
            self.launch()
            self.apply(self.compiled)
        except (EveryhopError, OSError) as e:
            self.control = None
            if self.child and not self.child.is_over():
                # It took sockets and no plan: it would hold what nobody serves.
                self.child.process.kill()
            say(f"the engine did not start: {e}")
            return
        say(f"the engine is back, plan {self.compiled.plan_digest[:16]}")

    def answers_again(self) -> bool:
        """True if it was only not understood, such as an answer that came too late; it runs the last good plan then."""
        try:
            self.control = Control.connect(self.engine_path)
            self.apply(self.compiled)
        except (EveryhopError, OSError):
            return False
        say(f"the engine answers again, plan {self.compiled.plan_digest[:16]}")
        return True

    def end_engine(self) -> None:
        """Two of them on the same sockets would serve two plans: one that answers nobody ends before another begins."""
        if self.child is not None and not self.child.is_over():
            self.child.process.kill()
            self.child.process.wait()
        if self.adopted is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.adopted, signal.SIGKILL)
            os.close(self.adopted)
            self.adopted = None

    # Changes.

    def reload(self) -> dict[str, object]:
        """Reads the configuration anew. A refused one changes nothing."""
        notify("RELOADING=1")
        try:
            compiled = self.recompile()
            if compiled.plan.engine.threads != self.threads:
                raise Surroundings(
                    f"restart needed: threads cannot change from {self.threads} to {compiled.plan.engine.threads} while running"
                )
            if compiled.plan.status != self.compiled.plan.status:
                raise Surroundings("restart needed: [status] bind cannot change while running")
            resolver = Resolver(compiled.names) if compiled.names != self.resolver.names else self.resolver
            before, self.resolver = self.resolver, resolver
            try:
                self.bring(compiled)
            except EveryhopError:
                self.resolver = before
                if resolver is not before:
                    resolver.stop()
                raise
            if resolver is not before:
                before.stop()
        except Refused as e:
            self.tell(e.findings)
            refused = merged(e.findings)
            say(f"reload refused, {len(refused)} finding(s); plan {self.compiled.plan_digest[:16]} keeps running")
            outcome: dict[str, object] = {"reloaded": False, "findings": [vars_of(f) for f in refused]}
        except EveryhopError as e:
            say(f"reload failed: {e}; plan {self.compiled.plan_digest[:16]} keeps running")
            outcome = {"reloaded": False, "why": str(e), "findings": []}
        else:
            self.compiled = compiled
            self.last_good.keep(compiled.text)
            self.watcher = Watcher(compiled.watched)
            self.tell(compiled.findings)
            say(f"reloaded, plan {compiled.plan_digest[:16]}")
            outcome = {"reloaded": True, "findings": [vars_of(f) for f in merged(compiled.findings)]}
        notify("READY=1")
        self.last_reload = outcome | {"plan_digest": self.compiled.plan_digest}
        return self.last_reload

    def recompile(self) -> Compiled:
        """A date that is over refuses a reload that introduces it; one that was over before stays closed."""
        try:
            return compile_file(self.path)
        except Refused as e:
            try:
                now = compile_file(self.path, past_dates="close", text=self.compiled.text)
            except Refused:
                raise e from None
            known = {f.what for f in now.findings if f.slug in DATES}
            refused = [f for f in e.findings if f.severity == "refused"]
            if all(f.slug in DATES and f.what in known for f in refused):
                return compile_file(self.path, past_dates="close")
            raise

    def renew(self) -> None:
        """Certificate files changed: the new ones if they are good, the last good ones else. The plan stays."""
        try:
            compiled = compile_file(self.path, past_dates="close", text=self.compiled.text)
        except Refused as e:
            refused = [f for f in merged(e.findings) if f.severity == "refused"]
            say(f"certificate files changed and cannot be used; the last good ones stay: {refused[0].what}")
            return
        if compiled.material.digest == self.compiled.material.digest:
            return
        try:
            self.apply(compiled)
        except Lost:
            self.watcher.forget()
            raise
        except EveryhopError as e:
            say(f"certificate files changed and the engine cannot use them; the last good ones stay: {e}")
            return
        self.compiled = compiled
        say(f"certificates renewed, material {compiled.material.digest[:16]}")

    def warn_of_dates(self) -> None:
        """What ends in 30, 7 or 1 days is told as it draws near, not only at a reload."""
        self.next_dates = time.monotonic() + DATES_S
        try:
            now = compile_file(self.path, past_dates="close", text=self.compiled.text)
        except Refused:
            return  # `renew` tells of files that cannot be used
        fresh = [f for f in now.findings if f.what not in self.told]
        self.told.update(f.what for f in fresh)
        self.tell(fresh)

    def reopen_log(self) -> None:
        log = open_log(self.compiled)
        if log is not None and self.control:
            self.control.must("log", [log])
            os.close(log)
            say("access log reopened")

    # The end.

    def finish(self) -> int:
        """Drains and stops the engine; what is in flight has `drain_s`."""
        drain_s = self.compiled.plan.engine.drain_s
        say(f"draining for at most {drain_s} s")
        # Beyond the unit's own TimeoutStopSec, where `drain_s` is longer.
        notify(f"EXTEND_TIMEOUT_USEC={(drain_s + AFTER_DRAIN_S) * 1_000_000}")
        deadline = time.monotonic() + drain_s + 2
        try:
            if self.control:
                self.control.must("drain", drain_s=drain_s)
            # Whoever connects now is refused and can go elsewhere; a queue that nobody serves would hold them.
            while self.bound:
                os.close(self.bound.pop().fd)
        except EveryhopError:
            deadline = time.monotonic()
        while (
            not self.engine_is_gone()
            and time.monotonic() < deadline
            and not {signal.SIGINT, signal.SIGTERM} & self.wanted
        ):
            self.selector.select(TICK_S)
        try:
            if self.control and not self.engine_is_gone():
                self.control.ask("stop")
        except Lost:
            pass  # it went between the question and its answer
        if self.child:
            self.child.process.wait(5)
        self.resolver.stop()
        self.engine_path.unlink(missing_ok=True)
        self.last_good.forget()
        say("stopped")
        return 0

    def say_ready(self) -> None:
        where = ", ".join(sorted({b.bind for b in self.bound}))
        say(f"ready: {len(self.compiled.plan.routes)} route(s) on {where}, plan {self.compiled.plan_digest[:16]}")


def vars_of(finding: Finding) -> dict[str, object]:
    from everyhop.refusals import to_json

    return to_json([finding])[0]
