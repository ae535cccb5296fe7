"""How it stands with each authority: whether it answers, rests after it did not, and how many orders it had of late.

One that does not answer is left in peace by all sites together. Read next: `keeper.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from everyhop.acme.backoff import LONGEST_S, MOST_ORDERS, ORDERS_WITHIN, delay_s
from everyhop.acme.directory import Authority
from everyhop.acme.problem import Problem, Stopped
from everyhop.acme.state import Standing, standings
from everyhop.acme.store import Store

FILE = "authorities.json"
Silence = tuple[float, Problem]
"""Until when nobody can be asked, and why."""


class Standings:
    """Kept in the store; what cannot be written there is known until the next start."""

    def __init__(
        self, store: Store, authorities: Sequence[Authority], clock: Callable[[], dt.datetime], lot: Callable[[], float]
    ) -> None:
        self.store, self.authorities, self.clock, self.lot = store, authorities, clock, lot
        try:
            self.by_url = standings(store, FILE)
        except Stopped:
            self.by_url = {}
        for it in self.by_url.values():
            if it.problem is not None and it.problem.kind == "here":
                # Whoever mended it here has started us anew.
                it.failures, it.rests_until, it.problem = 0, 0.0, None

    def of(self, url: str) -> Standing:
        return self.by_url.setdefault(url, Standing())

    def free_at(self, url: str, now: float) -> float:
        it = self.of(url)
        # A clock that was set back must not keep anybody waiting for years.
        it.rests_until = min(it.rests_until, now + LONGEST_S["limited"])
        return it.rests_until

    def may_order_at(self, url: str, now: float) -> float:
        """Below what an account may order (`backoff`)."""
        within = ORDERS_WITHIN.total_seconds()
        counted = sorted(at for at in self.of(url).orders if now - within < at <= now)
        return now if len(counted) < MOST_ORDERS else counted[-MOST_ORDERS] + within

    def ordered(self, url: str, now: float) -> None:
        it = self.of(url)
        within = ORDERS_WITHIN.total_seconds()
        it.orders = [*(at for at in it.orders if now - within < at <= now), now]
        self.save()

    def answers(self, url: str) -> None:
        it = self.of(url)
        if it.failures or it.problem:
            it.failures, it.rests_until, it.problem = 0, 0.0, None
            self.save()

    def silent(self, url: str, problem: Problem, now: float) -> None:
        """It did not answer as an authority does."""
        it = self.of(url)
        it.failures += 1
        it.problem = problem
        it.rests_until = now + delay_s(problem.kind, it.failures, problem.retry_after_s, self.lot())
        self.save()

    def silence(self, now: float) -> Silence | None:
        """Where nobody can be asked: until when, and why, of the first that would be."""
        found = [self.of(it.url) for it in self.authorities]
        if any(it.rests_until <= now for it in found) or found[0].problem is None:
            return None
        return min(it.rests_until for it in found), found[0].problem

    def save(self) -> None:
        try:
            self.store.write_json(FILE, {url: it.as_json() for url, it in self.by_url.items()})
        except Stopped:
            return
