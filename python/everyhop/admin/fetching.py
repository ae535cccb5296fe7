"""Revocation lists that are named by a URL: each is fetched again and again by a thread of its own, judged, and kept in a file, which is
watched like any other. The engine fetches nothing.

Nothing that is there is given up for what did not come, nor for an older list. Read next: `../identity/published.py`, which judges what
came; `renewal.py`, which sees the files.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from everyhop.admin.rounds import AT_LAST_S, Rounds, end_all
from everyhop.admin.standing import FIRST_S, MOST_S, Fetched
from everyhop.admin.telling import say
from everyhop.authority.folder import SECRET, replace
from everyhop.compile import Compiled
from everyhop.errors import EveryhopError, Surroundings
from everyhop.files import read_regular
from everyhop.identity import Unusable
from everyhop.identity.unusable import MOST_BYTES
from everyhop.model import CrlSection
from everyhop.model.identity import IDENTITIES

if TYPE_CHECKING:
    from everyhop.identity import Roots
    from everyhop.identity.published import Published

JITTER = 0.25
"""Not all edges at once: sooner, by as much as a quarter."""
LEAST_S = 60.0
"""A list that is about to end, or is over, is not asked for more often."""
FIRST_WAIT_S = 3.0
"""How long a reload waits for lists that it brings in, as it does for keys of issuers."""
WITHIN_S = 60.0
"""For all of a list, from the question to its last byte."""


class Fetcher(Rounds):
    """Keeps the list of one URL. `step` is for its thread; `standing` is for any."""

    standing: Fetched

    def __init__(
        self,
        url: str,
        section: CrlSection,
        base: Path,
        roots: tuple[Roots, ...],
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        lot: Callable[[], float] = random.SystemRandom().random,
        most_bytes: int = MOST_BYTES,
        within_s: float = WITHIN_S,
    ) -> None:
        super().__init__(f"list {url}")
        self.url, self.section, self.base, self.roots = url, section, base, roots
        self.clock, self.lot, self.most_bytes, self.within_s = clock, lot, most_bytes, within_s
        self.path = base / section.kept(url)
        self.failures = 0
        self.marks: dict[str, str] = {}
        """What the server calls the state of the list that is held."""
        self.standing = Fetched(url, None, None, None, clock(), None)

    def step(self) -> float:
        """Does what is due; gives the seconds until the next. What stands in the way is said once."""
        held = self.held()
        try:
            held = self.done(held)
        except Exception as e:  # a stranger's answer may be anything, and a thread that ended would ask nobody any more
            self.marks = {}
            if self.stopped:
                return 0.0  # nobody wants it any more, whatever it came to
            why = why_of(e)
            if self.failures == 0 or why != self.standing.problem:
                say(
                    f"revocation list {self.url}: not fetched: {why}; {'the one before stays' if held else 'there is none'}"
                )
            self.failures += 1
            wait_s = min(FIRST_S * 2.0 ** min(self.failures - 1, 20), MOST_S, self.section.refresh_s)
            self.tell(held, self.standing.asked, wait_s, why)
            return wait_s
        self.failures = 0
        half_s = (held.crl.next_update - self.clock()).total_seconds() / 2
        wait_s = min(self.section.refresh_s, max(half_s, LEAST_S)) * (1 - JITTER * self.lot())
        self.tell(held, self.clock(), wait_s, None)
        return wait_s

    def held(self) -> Published | None:
        """What is in force; `None` where there is nothing, or nothing that the roots of now take."""
        # Read where there is a use for it: it takes time and memory.
        from everyhop.identity.published import published

        try:
            return published(self.url, read_regular(self.path, MOST_BYTES)[0], self.roots, None, self.clock())
        except (OSError, Unusable):
            return None

    def done(self, held: Published | None) -> Published:
        from everyhop.download import download
        from everyhop.identity.published import published

        found = download(
            self.url,
            self.verified_by() if self.url.startswith("https://") else "",
            marks=self.marks if held else {},
            most_bytes=self.most_bytes,
            within_s=self.within_s,
        )
        if found is None:
            assert held is not None, "it was not asked for by its marks"
            return held
        now = published(self.url, found.body, self.roots, held, self.clock())
        if held is None or now.pem != held.pem:
            self.keep(now.pem)
            ends = now.crl.next_update
            say(
                f"revocation list {self.url}: a new one of {now.crl.this_update:%Y-%m-%dT%H:%M:%SZ}, good until {ends:%Y-%m-%dT%H:%M:%SZ}"
            )
        self.marks = found.marks
        return now

    def verified_by(self) -> str:
        from everyhop.identity.certificates import system_roots

        return str(system_roots() if self.section.ca is None else self.base / self.section.ca)

    def keep(self, pem: bytes) -> None:
        """Raises `Surroundings`."""
        from everyhop.compile.lists import is_writable

        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise Surroundings(f"cannot make {folder}: {e.strerror}") from e
        if (why := is_writable(folder)) is not None:
            raise Surroundings(why)
        replace(self.path, pem, SECRET)

    def tell(self, held: Published | None, asked: dt.datetime | None, wait_s: float, problem: str | None) -> None:
        self.standing = Fetched(
            self.url,
            None if held is None else held.crl.this_update,
            None if held is None else held.crl.next_update,
            asked,
            self.clock() + dt.timedelta(seconds=wait_s),
            problem,
        )


def why_of(e: Exception) -> str:
    if isinstance(e, Unusable):
        return f"{e.what}: {e.mend}"
    if isinstance(e, EveryhopError):
        return str(e)
    return (e.strerror if isinstance(e, OSError) else None) or f"{type(e).__name__}: {e}"


def brought_in(running: Compiled, after: Compiled) -> list[str]:
    """Lists that `after` would wait for, and what runs does not: what they are asked about would be open before and closed then."""

    def waits(it: Compiled) -> set[str]:
        there = {str(e["id"]) for e in it.material.entries}
        # Whoever signs it is yet to come by itself: that is told as that, and no question would help.
        return {url for url, signers in it.lists.items() if signers and f"crl/{url}" not in there}

    return sorted(waits(after) - waits(running))


def fetch_now(urls: list[str], after: Compiled, wait_s: float = FIRST_WAIT_S) -> dict[str, str]:
    """Asks for lists that nobody has asked for yet, all at once. Gives why one did not come; what comes later is kept all the same."""
    base = after.path.absolute().parent
    each = [Fetcher(url, after.config.crl, base, after.lists[url]) for url in urls]
    threads = [threading.Thread(target=it.stepped, name=f"list {it.url}", daemon=True) for it in each]
    until = time.monotonic() + wait_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    late = f"it did not come within {wait_s:.0f} s; what comes later is kept for the next reload"
    return {it.url: it.standing.problem or late for it in each if it.standing.next_update is None}


class Fetching:
    """Of one supervisor. `look` is called in its loop."""

    def __init__(self, config: Path) -> None:
        self.base = config.absolute().parent
        self.of: Compiled | None = None
        self.kept: dict[str, Fetcher] = {}

    def look(self, decided: Compiled) -> None:
        """Follows what runs. Whatever was reloaded, all are asked for at once: whoever reloads may have mended something."""
        if decided is self.of:
            return
        # Files that changed leave the document as it is.
        reloaded = self.of is None or decided.document is not self.of.document
        self.of = decided
        section = decided.config.crl
        # Nothing can be told of a list before it is known who may sign it.
        wanted = {url: roots for url, roots in decided.lists.items() if roots}
        before: dict[str, Fetcher] = {}
        for url in [url for url, it in self.kept.items() if url not in wanted or it.section != section]:
            before[url] = self.kept.pop(url)
            before[url].end()
        for url, roots in wanted.items():
            it = self.kept.get(url)
            if it is None:
                it = self.kept[url] = Fetcher(url, section, self.base, roots)
                it.before = before[url].thread if url in before else None
                it.thread.start()
            elif reloaded or it.roots != roots:
                it.roots = roots
                it.due.set()
        if reloaded and any((self.base / it).is_dir() for it in (section.state, IDENTITIES)):
            # Read where there is a use for it: it takes time and memory.
            from everyhop.admin.tidying import tidy

            for gone in tidy(decided.config, self.base, {*decided.lists}, dt.datetime.now(dt.UTC)):
                say(f"removed: {gone}")

    def end(self, within_s: float = AT_LAST_S) -> None:
        end_all(self.kept.values(), within_s)
        self.kept = {}

    def problems(self) -> dict[str, str]:
        """By URL: what keeps its list from coming, or its next one."""
        every = [it.standing for it in self.kept.values()]
        return {it.url: f"{it.problem}; tried again at {it.next_try:%Y-%m-%dT%H:%M:%SZ}" for it in every if it.problem}

    def told(self) -> list[dict[str, object]]:
        """For `status`."""

        def moment(it: dt.datetime | None) -> str | None:
            return None if it is None else it.isoformat(timespec="seconds")

        return [
            {
                "url": it.url,
                "this_update": moment(it.this_update),
                "next_update": moment(it.next_update),
                "asked": moment(it.asked),
                "next_try": moment(it.next_try),
                "problem": it.problem,
            }
            for it in (kept.standing for kept in self.kept.values())
        ]
