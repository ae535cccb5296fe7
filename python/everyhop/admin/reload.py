"""Takes a configuration that was read anew, or certificates that were renewed, as far as `change.py` lets it; what is
refused changes nothing, and is told. `keeper.py` brings it to the engine, `renewal.py` says what was renewed."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

from everyhop.admin.change import DATES, Apply, Identity, Refuse, RestartNeeded, dated, decide, past
from everyhop.admin.fetching import brought_in, fetch_now
from everyhop.admin.keeper import Keeper
from everyhop.admin.lastgood import LastGood
from everyhop.admin.notify import notify
from everyhop.admin.renewal import Renewal, again, what_changed
from everyhop.admin.shortfalls import shortfalls
from everyhop.admin.telling import say, tell
from everyhop.compile import Compiled
from everyhop.compile.elsewhere import compile_elsewhere
from everyhop.engine.frames import Lost
from everyhop.engine.logs import CannotOpen
from everyhop.engine.sockets import cores
from everyhop.errors import EveryhopError, Refused
from everyhop.garbage import stays, uncollected
from everyhop.refusals import Finding, merged, to_json


class Reload:
    """Of the file at `path`, for the engine of `keeper`."""

    def __init__(self, path: Path, keeper: Keeper) -> None:
        self.path, self.keeper = path, keeper
        self.last_good = LastGood(path)
        self.renewal = Renewal(keeper.decided, time.monotonic())
        self.last: dict[str, object] = {}
        self.wrong: str | None = None
        """Why the last reload was refused; `None` once one was taken."""

    @property
    def running(self) -> Compiled:
        return self.keeper.running

    def reload(self) -> dict[str, object]:
        """Reads the configuration anew. A refused one changes nothing."""
        notify("RELOADING=1")
        try:
            outcome = self.reloaded()
        finally:
            notify("READY=1")
        at = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.last = outcome | {"plan_digest": self.running.plan_digest, "at": at}
        return self.last

    def reloaded(self) -> dict[str, object]:
        try:
            compiled = self.compiled()
            if lists := brought_in(self.running, compiled):
                problems = fetch_now(lists, compiled)
                compiled = self.compiled()
                if lacking := [url for url in brought_in(self.running, compiled) if url in problems]:
                    return self.failed(
                        f"revocation list {lacking[0]} is not there, and nobody would pass who is verified by it: "
                        f"{problems[lacking[0]]}; mend the URL or its server, and reload once more"
                    )
        except Refused as e:
            return self.refused(dated(e.findings, self.over(e.findings)), e.text)
        except EveryhopError as e:
            return self.failed(str(e))
        holds = self.keeper.holds
        counted = self.running.plan.engine.threads.count == "cores"
        match decide(holds, self.over(compiled.findings), compiled, holds.threads if counted else cores()):
            case Refuse(findings):
                return self.refused(findings, compiled.text)
            case RestartNeeded() as it:
                return self.failed(it.why)
            case Apply():
                pass
        try:
            self.keeper.reload(compiled)
        except CannotOpen as e:
            from everyhop.compile.rules_log import unopened

            found = unopened(compiled.document, compiled.config, e.place, e.why)
            return self.refused([found], compiled.text)
        except Refused as e:
            return self.refused(e.findings, e.text)
        except (EveryhopError, OSError) as e:
            return self.failed(str(e))
        if self.keeper.key_servers is not None:
            self.keeper.key_servers.ask_all()
        self.renewal.follows(compiled)
        self.last_good.keep(compiled.text, compiled.document.included)
        tell(compiled.findings, self.path, compiled.text)
        for shortfall in shortfalls(compiled.plan, self.keeper.bound):
            say(shortfall)
        mended = "; what was refused before is mended" if self.wrong is not None else ""
        self.wrong = None
        say(f"reloaded, plan {compiled.plan_digest[:16]}{mended}")
        return {"reloaded": True, "findings": to_json(merged(compiled.findings))}

    def compiled(self) -> Compiled:
        with uncollected():
            found = compile_elsewhere(self.path, past_dates="close", before=self.running)
            stays(after_another=True)
        return found

    def over(self, findings: list[Finding]) -> frozenset[Identity]:
        """Which dates of what runs are past by now; asked only where it matters, for it reads the certificates again."""
        if not any(f.slug in DATES for f in findings):
            return frozenset()
        try:
            return past(again(self.running).findings)
        except Refused as e:
            return past([f for f in e.findings if f.severity != "refused"])

    def refused(self, findings: list[Finding], text: str | None) -> dict[str, object]:
        tell(findings, self.path, text)
        found = merged(findings)
        first = next((f for f in found if f.severity == "refused"), found[0])
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        self.wrong = f"{first.place}: [{first.slug}] {first.what}{more}"
        say(f"reload refused, {len(found)} finding(s); plan {self.running.plan_digest[:16]} keeps running")
        return {"reloaded": False, "findings": to_json(found)}

    def failed(self, why: str) -> dict[str, object]:
        self.wrong = why
        say(f"reload failed: {why}; plan {self.running.plan_digest[:16]} keeps running")
        return {"reloaded": False, "why": why, "findings": []}

    def renew(self) -> None:
        """Certificate files changed: the new ones if they are good, the last good ones else. Where neither came of it, and whatever
        that was, they are tried again."""
        renewal = self.renewal
        if not (renewal.is_due(time.monotonic()) and renewal.changed()):
            return
        try:
            self.renewed()
        except Lost:
            renewal.forget()
            raise
        except BaseException as e:  # not `Exception`: a panic of a library's Rust is none
            renewal.fails(f"they could not be taken: {type(e).__name__}: {e}; they are tried again")
            raise

    def renewed(self) -> None:
        compiled = self.renewal.read()
        if compiled is None:
            return
        try:
            self.keeper.renew(compiled)
        except Lost:
            raise  # `renew` sees to it
        except Refused as e:
            why = "; ".join(f"[{it.slug}] {it.what}" for it in merged(e.findings))
            self.renewal.wrong = f"a token does not sign by them: {why}"
            say(f"files changed and a token does not sign by them; what was good stays: {why}")
            return
        except EveryhopError as e:
            if self.renewal.fails(f"the engine cannot use them: {e}"):
                say(f"files changed and the engine cannot use them; the last good ones stay: {e}")
            return
        tell(self.renewal.untold(compiled.findings), self.path, compiled.text)
        what = what_changed(self.renewal.running.material, compiled.material)
        self.renewal.follows(compiled)
        say(f"{what} renewed, material {compiled.material.digest[:16]}")

    def warn_of_dates(self) -> None:
        tell(self.renewal.near(time.monotonic()), self.path, self.running.text)
