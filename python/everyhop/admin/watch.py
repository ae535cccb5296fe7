"""Watches what is wrong: puts together what the supervisor and the engine see, tells the engine our part (for `/metrics` and
`/readyz`), and says in a line each when something broke and when it is well again.

Which lines others say already stands in `SAID`; what comes and goes with single requests is shown by `status` alone.
Read next: `troubles.py`.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from everyhop.admin.fetching import Fetching
from everyhop.admin.foreseen import Foreseen
from everyhop.admin.issuing import NO_PROBLEMS, Issuing
from everyhop.admin.keeper import Keeper
from everyhop.admin.key_answers import Set
from everyhop.admin.key_servers import Server
from everyhop.admin.loop import Loop
from everyhop.admin.reload import Reload
from everyhop.admin.renewing import Renewing
from everyhop.admin.telling import say
from everyhop.admin.troubles import (
    LATELY,
    SENTENCES,
    UNREADY,
    Uncertified,
    rank,
    trouble,
    unidentified,
    unlisted,
)
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost
from everyhop.evidence.trouble import Told

EVERY_S = 1.0
PATIENCE_S = 2.0
"""For an answer."""
SILENCE_S = 10.0
"""After none came, until it is asked again."""
MOST_LINES = 8
"""Of one look: where a whole network is gone, the first tell of it."""

SAID = {
    "reload-refused",
    "log-not-opened",
    "engine-gone",
    "engine-restarted",
    "renewal-refused",
    "upgrade-failed",
    "supervisor-fault",
    "supervisor-gone",
}
"""Whoever finds these says so with more than is known here."""
HEALED = {"reload-refused", "upgrade-failed", "engine-gone", "engine-restarted", "supervisor-gone"}
"""And says that they are over, too."""
STAGED = {"certificate-ends-soon", "certificate-doubted", "revocation-ends-soon"}
"""Said again whenever more is said of it."""
QUIET = {"backend-failing"}
"""Comes and goes with single requests."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Wrong:
    """A trouble, with the moment from which on it is known."""

    it: m.Trouble
    since: dt.datetime

    def told(self) -> dict[str, object]:
        """For `status`."""
        return Told(
            kind=self.it.kind,
            about=self.it.about,
            why=self.it.why,
            since=f"{self.since:%Y-%m-%dT%H:%M:%SZ}",
            unready=self.it.kind in UNREADY,
            sentence=SENTENCES.get(self.it.kind, ""),
        ).model_dump()


class Watch:
    """Of one supervisor."""

    def __init__(
        self,
        keeper: Keeper,
        changes: Reload,
        loop: Loop,
        issuing: Issuing | None = None,
        renewing: Renewing | None = None,
        fetching: Fetching | None = None,
    ) -> None:
        self.keeper, self.changes, self.loop, self.issuing, self.renewing = keeper, changes, loop, issuing, renewing
        self.fetching = fetching
        self.known: dict[Key, Wrong] = {}
        self.foreseen, self.uncertified = Foreseen(), Uncertified()
        self.next_s = 0.0
        self.ear: Control | None = None
        """A conversation of its own: an engine that is slow to answer here is not taken for one that is gone."""
        self.deaf = False
        """The engine is of a version that does not know the question."""
        self.silent_until_s = 0.0
        self.seen: list[m.Trouble] = []
        """What the engine saw when it was asked last."""
        self.pid = 0

    def look(self) -> None:
        """Once a second."""
        now_s = time.monotonic()
        if now_s >= self.next_s:
            self.next_s = now_s + EVERY_S
            self.now()

    def now(self) -> list[Wrong]:
        """What is wrong at this moment, the worst first; what changed since the last time is said."""
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        mine = self.ours(now)
        self.note([*mine, *self.theirs(mine)], now)
        return sorted(self.known.values(), key=lambda w: (rank(w.it.kind), w.since, w.it.about))

    def sees(self, kind: str) -> bool:
        """Whether the engine saw it when it was asked last."""
        return any(it.kind == kind for it in self.seen)

    def is_silent(self) -> bool:
        """Whether the engine did not answer just now."""
        return ("engine-silent", "") in self.known

    # What there is.

    def ours(self, now: dt.datetime) -> list[m.Trouble]:
        keeper, changes = self.keeper, self.changes
        found = [*self.foreseen(keeper.running, now)]
        found += self.uncertified(keeper.running, NO_PROBLEMS if self.issuing is None else self.issuing.problems())
        found += unidentified(keeper.running, {} if self.renewing is None else self.renewing.problems())
        found += unlisted(keeper.running, {} if self.fetching is None else self.fetching.problems())
        if keeper.control is None:
            found.append(trouble("engine-gone", why=keeper.died))
        if keeper.restarted is not None and now - keeper.restarted < LATELY:
            why = f"{keeper.restarts} time(s) so far, last at {keeper.restarted:%Y-%m-%dT%H:%M:%SZ}"
            found.append(trouble("engine-restarted", why="; ".join(filter(None, (why, keeper.died)))))
        if keeper.upgrade_wrong is not None:
            found.append(trouble("upgrade-failed", why=keeper.upgrade_wrong))
        if changes.wrong is not None:
            found.append(trouble("reload-refused", str(changes.path), changes.wrong))
        renewal = changes.renewal
        if renewal.wrong is not None:
            found.append(trouble("renewal-refused", ", ".join(map(str, renewal.unused())), renewal.wrong))
        main = keeper.running.plan.log.access.place
        for place, why in sorted(keeper.log.wrong.items()):
            found.append(trouble("log-not-opened", "" if place == main else place, why))
        for name, why in keeper.resolver.unresolved().items():
            found.append(trouble("name-unresolved", name, why))
        found += [of_keys(server, used) for server, used in self.keys_failing()]
        found += [trouble("supervisor-fault", name, text) for name, text in self.loop.failing().items()]
        return found

    def keys_failing(self) -> list[tuple[Server, Set | None]]:
        servers = self.keeper.key_servers
        return [] if servers is None else servers.failing()

    def theirs(self, mine: list[m.Trouble]) -> list[m.Trouble]:
        """What the engine sees; while it does not say, what it saw last: silence is no recovery."""
        began = time.monotonic()
        if self.keeper.control is None:
            self.hang_up()
        elif began >= self.silent_until_s:
            try:
                self.seen = self.asked(mine)
            except EngineRefused:
                self.deaf, self.seen = True, []
                say("the engine is of another version and does not tell what it sees wrong; a restart of it mends that")
            except Lost as e:
                self.hang_up()
                # One that closed is being followed by another; one that let us wait may only be slow.
                if time.monotonic() - began >= PATIENCE_S:
                    self.silent_until_s = time.monotonic() + SILENCE_S
                    silent = trouble("engine-silent", why=str(e))
                    self.seen = [silent, *(it for it in self.seen if it.kind != silent.kind)]
        return self.seen

    def asked(self, mine: list[m.Trouble]) -> list[m.Trouble]:
        """The engine's own word.

        Raises `Lost` and `EngineRefused`.
        """
        if self.ear is not None and (self.ear.is_closed() or self.pid != self.keeper.pid):
            self.hang_up()
        if self.ear is None:
            self.ear, self.deaf = Control.connect(self.keeper.path, PATIENCE_S), False
            if self.pid != self.keeper.pid:
                # Another engine: what the one before saw neither holds of it nor is well again.
                for it in self.seen:
                    self.known.pop((it.kind, it.about), None)
                self.pid, self.seen = self.keeper.pid, []
        if self.deaf:
            return []
        told = self.ear.must(m.Troubles(troubles=mine), m.Troubled)
        self.keeper.resolver.hasten(told.unreached)
        found = list(told.troubles)
        if told.plan_digest is not None and told.plan_digest != self.keeper.running.plan_digest:
            found.append(trouble("other-plan", why=f"it runs plan {told.plan_digest[:16]}"))
        return found

    def hang_up(self) -> None:
        if self.ear is not None:
            self.ear.close()
        self.ear = None

    # What is new, and what is over.

    def note(self, found: list[m.Trouble], now: dt.datetime) -> None:
        there = {(it.kind, it.about): it for it in found}
        broke = [it for key, it in there.items() if key not in self.known or self.says_more(key, it)]
        healed = [wrong for key, wrong in self.known.items() if key not in there]
        since = {key: wrong.since for key, wrong in self.known.items()}
        self.known = {key: Wrong(it, since.get(key, now)) for key, it in there.items()}
        tell([broke_line(it) for it in broke if it.kind not in SAID | QUIET])
        tell([healed_line(w, now) for w in healed if w.it.kind not in HEALED | QUIET])

    def says_more(self, key: Key, it: m.Trouble) -> bool:
        """Whether what is known of it for long has come closer."""
        return it.kind in STAGED and self.known[key].it.why != it.why


def of_keys(server: Server, used: Set | None) -> m.Trouble:
    about = f"issuer {server.issuer.name}"
    if used is None:
        return trouble("keys-missing", about, f"{server.keys}: {server.why}")
    since = dt.datetime.fromtimestamp(used.fetched_s, dt.UTC)
    return trouble("keys-stale", about, f"{server.keys}: {server.why}; those of {since:%Y-%m-%dT%H:%M:%SZ} are used")


def tell(sentences: list[str]) -> None:
    for sentence in sentences[:MOST_LINES]:
        say(sentence)
    if len(sentences) > MOST_LINES:
        say(f"and {len(sentences) - MOST_LINES} more of this second; all of them: everyhop status")


def broke_line(it: m.Trouble) -> str:
    why = f" ({it.why})" if it.why else ""
    return f"wrong: {it.about or 'the edge'}: {SENTENCES.get(it.kind, it.kind)}{why}  [{it.kind}]"


def healed_line(wrong: Wrong, now: dt.datetime) -> str:
    lasted = int((now - wrong.since).total_seconds())
    return f"well again: {wrong.it.about or 'the edge'}, after {lasted} s  [{wrong.it.kind}]"
