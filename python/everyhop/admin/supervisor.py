"""The supervisor: it compiles, keeps an engine that runs the last good plan, and answers at its own socket.

One thread and one loop. The engine does not need it to move bytes: a dead supervisor stops nothing, and the next one
takes over what runs. This wires them together: `loop.py` turns, `change.py` decides, `keeper.py` does, `renewal.py` watches.
"""

from __future__ import annotations

import datetime as dt
import signal
import time
from pathlib import Path
from typing import Literal

from everyhop import _door
from everyhop.admin.answers import answered
from everyhop.admin.change import DATES, Apply, Refuse, RestartNeeded, dated, decide, lasting, past
from everyhop.admin.keeper import Keeper
from everyhop.admin.lastgood import LastGood
from everyhop.admin.loop import TICK_S, Loop
from everyhop.admin.notify import notify
from everyhop.admin.paths import admin_socket, engine_socket
from everyhop.admin.renewal import Renewal, again
from everyhop.admin.server import Server
from everyhop.admin.telling import say, tell
from everyhop.compile import Compiled, compile_file
from everyhop.engine import Lost
from everyhop.engine.frames import connect
from everyhop.errors import EveryhopError, Refused, Surroundings
from everyhop.refusals import Finding, merged, to_json

AFTER_DRAIN_S = 10


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
        self.running = self.first()
        tell(self.running.findings, path, self.running.text)
        wanted = lasting(self.running)
        self.admin_path = socket_path or admin_socket(wanted.admin)
        self.loop = Loop()
        self.keeper = Keeper(engine_socket(self.admin_path), wanted, self.running)
        self.renewal = Renewal(self.running, time.monotonic())
        self.last_reload: dict[str, object] = {}
        self.started_at = dt.datetime.now(dt.UTC)

    def first(self) -> Compiled:
        """The file as it is; if it is refused and everything died while it was in order, what ran then."""
        closing: Literal["refuse", "close"] = "refuse" if self.strict else "close"
        try:
            return compile_file(self.path, past_dates=closing)
        except Refused as e:
            kept = self.last_good.text()
            if kept is None:
                raise
            try:
                compiled = compile_file(self.path, past_dates=closing, text=kept)
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
        with Server(
            self.admin_path, loop.selector, lambda q: answered(self, q), lambda pid: pid == keeper.pid
        ) as server:
            loop.catch_signals()
            keeper.attach()
            self.last_good.keep(self.running.text)
            where = ", ".join(sorted({b.bind for b in keeper.bound}))
            say(f"ready: {len(self.running.plan.routes)} route(s) on {where}, plan {self.running.plan_digest[:16]}")
            notify("READY=1")
            looks = {
                "the engine": keeper.look,
                "certificate files": self.renew,
                "dates": lambda: tell(self.renewal.near(time.monotonic()), self.path, self.running.text),
                "backends' addresses": keeper.tell_names,
                "the admin socket": lambda: server.let_go_of_the_silent(time.monotonic()),
            }
            loop.run(self.obey, looks, lambda: keeper.pace.patience(time.monotonic(), TICK_S))
            notify("STOPPING=1")
            return self.finish()

    def refuse_a_second(self) -> None:
        try:
            connect(self.admin_path, 2.0).close()
        except Lost:
            return
        raise Surroundings(f"a supervisor answers at {self.admin_path} already; ask it: everyhop status")

    def obey(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR1:
            self.keeper.reopen_log()
        else:
            self.loop.stopping = True

    # Changes.

    def reload(self) -> dict[str, object]:
        """Reads the configuration anew. A refused one changes nothing."""
        notify("RELOADING=1")
        try:
            outcome = self.reloaded()
        finally:
            notify("READY=1")
        self.last_reload = outcome | {"plan_digest": self.running.plan_digest}
        return self.last_reload

    def reloaded(self) -> dict[str, object]:
        try:
            compiled = compile_file(self.path, past_dates="close")
        except Refused as e:
            return self.kept(dated(e.findings, self.over(e.findings)), e.text)
        except EveryhopError as e:
            return self.failed(str(e))
        match decide(self.keeper.holds, self.over(compiled.findings), compiled):
            case Refuse(findings):
                return self.kept(findings, compiled.text)
            case RestartNeeded() as it:
                return self.failed(it.why)
            case Apply():
                pass
        try:
            self.keeper.reload(compiled)
        except (EveryhopError, OSError) as e:
            return self.failed(str(e))
        self.runs(compiled)
        self.last_good.keep(compiled.text)
        tell(compiled.findings, self.path, compiled.text)
        say(f"reloaded, plan {compiled.plan_digest[:16]}")
        return {"reloaded": True, "findings": to_json(merged(compiled.findings))}

    def over(self, findings: list[Finding]) -> frozenset[tuple[str, ...]]:
        """Which dates of what runs are past by now; asked only where it matters, for it reads the certificates again."""
        if not any(f.slug in DATES for f in findings):
            return frozenset()
        try:
            return past(again(self.running).findings)
        except Refused as e:
            return past([f for f in e.findings if f.severity != "refused"])

    def kept(self, findings: list[Finding], text: str | None) -> dict[str, object]:
        tell(findings, self.path, text)
        found = merged(findings)
        say(f"reload refused, {len(found)} finding(s); plan {self.running.plan_digest[:16]} keeps running")
        return {"reloaded": False, "findings": to_json(found)}

    def failed(self, why: str) -> dict[str, object]:
        say(f"reload failed: {why}; plan {self.running.plan_digest[:16]} keeps running")
        return {"reloaded": False, "why": why, "findings": []}

    def renew(self) -> None:
        """Certificate files changed: the new ones if they are good, the last good ones else."""
        compiled = self.renewal.read() if self.renewal.changed() else None
        if compiled is None:
            return
        try:
            self.keeper.renew(compiled)
        except Lost:
            self.renewal.forget()
            raise
        except EveryhopError as e:
            say(f"certificate files changed and the engine cannot use them; the last good ones stay: {e}")
            return
        self.runs(compiled)
        say(f"certificates renewed, material {compiled.material.digest[:16]}")

    def runs(self, compiled: Compiled) -> None:
        self.running = compiled
        self.renewal.follows(compiled)

    # The end.

    def finish(self) -> int:
        """Drains and stops the engine; what is in flight has `drain_s`. First done, then told: nobody may be there to hear."""
        drain_s, loop = self.running.plan.engine.drain_s, self.loop
        # Beyond the unit's own TimeoutStopSec, where `drain_s` is longer.
        notify(f"EXTEND_TIMEOUT_USEC={(drain_s + AFTER_DRAIN_S) * 1_000_000}")
        deadline = time.monotonic() + drain_s + 2
        if not loop.tried("the drain", lambda: self.keeper.drain(drain_s)):
            deadline = time.monotonic()
        say(f"draining for at most {drain_s} s")
        while (
            not self.keeper.is_gone()
            and time.monotonic() < deadline
            and not {signal.SIGINT, signal.SIGTERM} & loop.wanted
        ):
            loop.selector.select(TICK_S)
        loop.tried("the engine's end", self.keeper.stop)
        self.last_good.forget()
        say("stopped")
        return 0
