"""Identities that an agent of SPIFFE gives (`from = "spiffe"`): each is followed by a thread of its own, and what comes lies in files, which
are watched like any others.

Nothing that is there is given up for what did not come. Read next: `../identity/agent.py`; `renewing.py`, which keeps those of authorities.
"""

from __future__ import annotations

import datetime as dt
import queue
import random
from collections.abc import Callable
from pathlib import Path

from everyhop.admin.rounds import Rounds
from everyhop.admin.standing import FIRST_S, JITTER, MOST_S, Standing
from everyhop.admin.telling import say
from everyhop.authority.folder import content
from everyhop.authority.held import Held
from everyhop.errors import EveryhopError, Surroundings
from everyhop.identity.agent import Agent
from everyhop.identity.workload import Svid
from everyhop.model import SpiffeIdentity

LATE = 0.6
"""Of a certificate's life: agents renew at half of it, and one that has not by then is asked again, since a connection that has died may
be as silent as one on which nothing happens."""
AGAIN = 0.1
"""Of it, from one such question to the next."""
LEAST_S = 1.0


class Follower(Rounds):
    """Keeps one identity. Everything is for its thread but `end`, `due` and `standing`."""

    standing: Standing

    def __init__(
        self,
        it: SpiffeIdentity,
        base: Path,
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        lot: Callable[[], float] = random.SystemRandom().random,
    ) -> None:
        super().__init__(f"identity {it.name}")
        self.it, self.base, self.clock, self.lot = it, base, clock, lot
        self.held = Held(base / it.folder)
        self.failures = 0
        self.standing = Standing(it.name, f"spiffe {it.agent}", None, None, clock(), None)
        self.came: queue.SimpleQueue[Svid | str] = queue.SimpleQueue()
        """What came, or why nothing more does."""

    def step(self) -> float:
        """Lasts for as long as the agent gives something; gives the seconds until it is asked again."""
        why = self.followed()
        if self.stopped:
            return 0.0
        if self.failures == 0 or why != self.standing.problem:
            say(f"identity {self.it.name!r}: {why}")
        self.failures += 1
        wait_s = min(FIRST_S * 2.0 ** min(self.failures - 1, 20), MOST_S) * (1 + JITTER * self.lot())
        self.tell(wait_s, why)
        return wait_s

    def end(self) -> None:
        super().end()
        self.came.put("")

    def followed(self) -> str:
        """Asks, takes what comes for as long as it comes, and gives why that ended."""
        try:
            agent = Agent(self.it.agent)
        except EveryhopError as e:
            return str(e)
        try:
            # A question of its own, since a stream that fails does not give the agent's words.
            self.keep(agent.now(self.it.id))
            came: queue.SimpleQueue[Svid | str] = queue.SimpleQueue()
            self.came = came
            cancel = agent.follow(self.it.id, came.put, came.put)
            try:
                while not self.stopped:
                    try:
                        got = came.get(timeout=self.patience_s())
                    except queue.Empty:
                        got = agent.now(self.it.id)
                    if isinstance(got, str):
                        return got
                    self.keep(got)
            finally:
                cancel()
        except EveryhopError as e:
            return str(e)
        finally:
            agent.close()
        return ""

    def keep(self, got: Svid) -> None:
        """Raises `Surroundings`."""
        if got.ends <= self.clock():
            raise Surroundings(
                f"the agent at {self.it.agent} gives a certificate that ended at {got.ends:%Y-%m-%dT%H:%M:%SZ}"
            )
        with self.held.alone():
            there = self.there()
            if there != (got.pair, got.roots, got.bundles):
                self.held.keep(got.pair, got.roots, None, got.bundles)
                only_roots = there is not None and there[0] == got.pair
                say(f"identity {self.it.name!r} has {'other roots' if only_roots else 'a new certificate'}")
        self.failures = 0
        self.tell(self.patience_s(), None)

    def there(self) -> tuple[bytes, bytes, dict[str, bytes]] | None:
        """What is held, if it can be read: what cannot is replaced like what is not there."""
        try:
            if self.held.leaf() is None:
                return None
            return content(self.held.pair), content(self.held.roots), self.held.bundles()
        except EveryhopError:
            return None

    def patience_s(self) -> float:
        """How long nothing may come before that is odd. Raises `Surroundings`."""
        leaf = self.held.leaf()
        if leaf is None:
            return LEAST_S
        begins, life = leaf.not_valid_before_utc, leaf.not_valid_after_utc - leaf.not_valid_before_utc
        late_s = (begins + life * LATE - self.clock()).total_seconds()
        return max(late_s, (life * AGAIN).total_seconds(), LEAST_S)

    def tell(self, wait_s: float, problem: str | None) -> None:
        try:
            leaf = self.held.leaf()
        except EveryhopError:
            leaf = None
        until = None if leaf is None else leaf.not_valid_after_utc
        next_try = self.clock() + dt.timedelta(seconds=wait_s)
        self.standing = Standing(self.it.name, f"spiffe {self.it.agent}", until, None, next_try, problem)
