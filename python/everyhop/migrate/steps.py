"""The order of it all: ask the backends, move one, reload, watch, and go on or go back; at the end the route itself is mutual.

    ask  ->  for each that answers:  note -> write -> reload -> watch -> (do well: next | do worse: put back, reload, end)
         ->  all mutual:             note -> write the route as mutual, without its acceptance -> reload

What is noted before each write is in `journal.py`. Killed anywhere in between, the file is one that `check` takes and the edge
serves; `go_on` takes it up, `back` takes it back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everyhop.compile import Compiled
from everyhop.errors import EveryhopError, Misuse, Surroundings
from everyhop.migrate.answering import Answer, answers
from everyhop.migrate.asked import Asked, entries, is_mutual, moved
from everyhop.migrate.edit import as_mutual, put_back, route_in, with_entry
from everyhop.migrate.journal import Journal, kept, place_of
from everyhop.migrate.running import Counts, Running, Silent, worse
from everyhop.migrate.written import Written, digest

PAUSE_S = 0.2
"""Between two looks at the edge while it is watched."""
BORNE_S = 20.0
"""That it may not say how a backend does: one late answer of the engine has the supervisor ask it nothing for ten seconds."""


@dataclass(frozen=True)
class Standing:
    """One backend: where it is now, where it will be, and how it stands there."""

    at: str
    to: str
    tls: str
    mutual: bool
    answer: Answer | None
    """`None` of one that is mutual already and not asked."""


class Migration:
    """Of the route `name` of the configuration `main`. `say` is told each step in a sentence as it is done."""

    def __init__(self, main: Path, name: str, asked: Asked, say: Callable[[str], None] = lambda _: None) -> None:
        self.written, self.running, self.name, self.say = Written(main, name), Running(main.absolute()), name, say
        self.said, self.base = asked, main.parent
        self.look()

    def look(self) -> None:
        """What is noted of it. Another may have been at work until now: whoever is alone looks again."""
        self.journal = kept(self.written.path, self.name)
        self.asked = self.said.over(self.journal.asked) if self.journal and self.is_ours() else self.said

    def is_ours(self) -> bool:
        """Whether the route stands as a migration left it, or as it was before."""
        assert self.journal is not None
        return digest(self.written.text()) in {*self.journal.ours, digest(self.journal.before)} or self.is_under_way()

    def is_under_way(self) -> bool:
        route = self.written.route()
        return route.get("tls") != "mutual" and any(is_mutual(it, route) for it in entries(route))

    # What there is.

    def fit(self) -> dict[str, Any]:
        """The route, which is one that can be moved. Raises `Misuse`."""
        route = self.written.route()
        if route.get("tls") == "passthrough":
            raise Misuse(f"route {self.name!r} passes TLS through: there is no hop of the edge's to protect")
        if not route.get("to"):
            raise Misuse(f"route {self.name!r} has nothing behind it")
        return dict(route)

    def wanted(self, text: str) -> tuple[str, Compiled]:
        """The text with every entry moved, and what it comes to. Raises `Refused`, `Misuse`."""
        route = self.fit()
        for i, entry in enumerate(entries(route)):
            if not is_mutual(entry, route):
                text = with_entry(text, self.name, i, self.moved(entry, route))
        return text, self.written.judged(text, past=True)

    def moved(self, entry: dict[str, Any], route: dict[str, Any]) -> dict[str, Any]:
        return moved(entry, route, self.written.identities, self.asked, self.base)

    def standings(self) -> list[Standing]:
        """Of each backend; those that are not mutual yet are asked."""
        route = self.fit()
        _, compiled = self.wanted(self.written.text())
        found = []
        for i, entry in enumerate(entries(route)):
            mutual = is_mutual(entry, route)
            to = str(entry["at"]) if mutual else str(self.moved(entry, route)["at"])
            tls = str(entry.get("tls") or route["tls"])
            found.append(
                Standing(str(entry["at"]), to, tls, mutual, None if mutual else answers(compiled, self.name, i))
            )
        return found

    # What is done.

    def go_on(self, watch_s: float) -> dict[str, Any]:
        """Moves whoever answers, from where it stands. `done`: the route is mutual; `left`: backends that are not moved, and why."""
        with self.written.alone():
            self.look()
            route = self.fit()
            if route["tls"] == "mutual":
                return self.is_mutual_already()
            journal = self.begun(route)
            first = route_in(journal.before, self.name)
            there = {i for i, it in enumerate(entries(first)) if is_mutual(it, first)}
            left: dict[str, str] = {}
            for i, it in enumerate(self.standings()):
                if it.answer is not None and not it.answer.ready:
                    left[it.at] = it.answer.why
                    self.say(f"{it.to}  stays {it.tls}: {it.answer.why}")
                elif i not in {*journal.watched, *there}:
                    if it.answer is not None:
                        self.say(f"{it.to}  {it.answer.why}")
                    if (why := self.move(journal, i, watch_s)) is not None:
                        return {"done": False, "left": {**left, it.at: why}, "gone_back": it.at}
            if left:
                return {"done": False, "left": left, "gone_back": None}
            self.finish(journal)
            return {"done": True, "left": {}, "gone_back": None}

    def is_mutual_already(self) -> dict[str, Any]:
        """Of one that was killed between the last write and the reload, the edge is told."""
        if self.journal is not None and digest(self.written.text()) in self.journal.ours:
            self.running.reload()
        return {"done": True, "left": {}, "gone_back": None}

    def begun(self, route: dict[str, Any]) -> Journal:
        """The journal, of this migration. Raises where the edge runs something else than the file says."""
        text, journal = self.written.text(), self.journal
        resumed = journal is not None and self.is_ours() and self.is_under_way()
        compiled = self.written.judged(text, past=True)
        if self.running.differs(compiled.plan_digest):
            if journal is None or digest(text) not in journal.ours:
                raise Surroundings(
                    f"the running edge runs something else than {self.written.main} says: nothing was moved",
                    "  have it read the file first: everyhop check && everyhop reload",
                )
            self.running.reload()
        if journal is None or not resumed:
            journal = Journal(
                place_of(self.written.path, self.name), text, [it["at"] for it in entries(route)], self.asked
            )
        if len(journal.entries) != len(entries(route)):
            raise Surroundings(
                f"route {self.name!r} has other backends than when its migration began; nothing was moved",
                f"  take it back (--back), or put {journal.path} away to begin anew",
            )
        self.journal = journal = replace(journal, asked=self.asked, ours=[digest(text)])
        return journal

    def write(self, journal: Journal, text: str, *, past: bool = False) -> None:
        """Notes that it will be so, writes it, and has the edge take it. Raises, and leaves what was, where it is refused."""
        before = self.written.text()
        self.written.judged(text, past=past)
        journal.ours = [digest(before), digest(text)]
        journal.keep()
        self.written.replace(text)
        try:
            self.running.reload()
        except EveryhopError:
            self.written.replace(before)
            with contextlib.suppress(EveryhopError):
                self.running.reload()
            raise

    def move(self, journal: Journal, i: int, watch_s: float) -> str | None:
        """Why it was put back; `None` where it did well."""
        text = self.written.text()
        route, then = route_in(text, self.name), route_in(journal.before, self.name)
        entry, before = entries(route)[i], entries(then)[i]
        new = entry if is_mutual(entry, route) else self.moved(entry, route)
        at = str(new["at"])
        plain = self.running.counts(self.name, journal.entries[i], str(before.get("tls") or then["tls"]))
        mark = self.running.counts(self.name, at, "mutual")
        if new is not entry:
            self.write(journal, with_entry(text, self.name, i, new), past=True)
            self.say(f"{entry['at']} -> {at}  moved; watching for {watch_s:g} s")
        else:
            self.say(f"{at}  was moved before; watching for {watch_s:g} s")
            mark = replace(mark, requests=0, failed=0)
        why, seen = self.watch(at, watch_s, plain, mark)
        if why is None:
            self.say(f"{at}  {well(seen)}")
            journal.watched.append(i)
            journal.keep()
            return None
        self.say(f"{at}  {why}")
        try:
            self.write(journal, self.without(journal, i), past=True)
        except EveryhopError as e:
            raise Surroundings(
                f"{at} is moved, and could not be put back: {e}",
                *e.more,
                f"  put the route back once that is mended: everyhop migrate {self.name} --back",
            ) from e
        self.say(f"{at} -> {journal.entries[i]}  put back")
        return why

    def without(self, journal: Journal, i: int) -> str:
        """The text with that entry as it was before."""
        then = entries(route_in(journal.before, self.name))[i]
        return with_entry(self.written.text(), self.name, i, then if len(then) > 1 else then["at"])

    def watch(self, at: str, seconds: float, plain: Counts, mark: Counts) -> tuple[str | None, Counts]:
        """Why it does worse, and what was seen of it last. One of which nothing is known for long does no better than worse."""
        heard, now = time.monotonic(), Counts()
        ends = heard + seconds
        while True:
            late = time.monotonic() >= ends
            try:
                now = self.running.counts(self.name, at, "mutual").since(mark)
            except Surroundings as e:
                if time.monotonic() - heard >= BORNE_S:
                    return f"how it does is not known: {e}", now
            else:
                heard = time.monotonic()
                if (why := worse(plain, now)) is not None or late:
                    return why, now
            threading.Event().wait(PAUSE_S)

    def finish(self, journal: Journal) -> None:
        owner = self.written.route().get("acceptance", {}).get("owner")
        self.write(journal, as_mutual(self.written.text(), self.name))
        gone = f"; the acceptance by {owner} is gone" if owner else ""
        self.say(f'{self.name}  is tls = "mutual" in {self.written.path}{gone}')

    def back(self) -> bool:
        """As it was before. Whether an edge took it: where none runs the file alone is put back."""
        with self.written.alone():
            self.look()
            if (journal := self.journal) is None:
                raise Misuse(
                    f"nothing is noted of a migration of route {self.name!r}: there is nothing to take back",
                    f"  it would stand in {place_of(self.written.path, self.name)}",
                )
            now = self.written.text()
            text = journal.before if digest(now) in journal.ours else put_back(now, journal.before, self.name)
            self.written.judged(text)
            self.written.replace(text)
            try:
                self.running.status()
            except Silent:
                self.written.replace(now)
                raise
            except Surroundings:
                journal.forget()
                return False
            try:
                self.running.reload()
            except EveryhopError:
                self.written.replace(now)
                raise
            journal.forget()
            return True


def well(seen: Counts) -> str:
    if not seen.requests:
        return "nobody asked for it meanwhile: its handshake is all that is known"
    return f"{seen.requests} request(s), {seen.failed} failed" + (", knows us" if seen.identity == "demanded" else "")
