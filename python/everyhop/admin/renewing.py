"""Identities that an authority issues (`from = "ca"`): each is enrolled by its token, renewed at half of its life, and asked after for
roots and revocation lists, by a thread of its own. What came lies in files, which are watched like any others.

Nothing that is there is given up for what did not come. Read next: `../authority/held.py`; `renewal.py`, which sees the files.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from everyhop.admin.rounds import AT_LAST_S, Rounds, end_all
from everyhop.admin.standing import FIRST_S, JITTER, MOST_S, Standing
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.errors import EveryhopError
from everyhop.files import must_take
from everyhop.identity import Unusable
from everyhop.model import CaIdentity, ComingIdentity, SpiffeIdentity

if TYPE_CHECKING:
    from cryptography import x509

    from everyhop.admin.agents import Follower
    from everyhop.authority.client import Given
    from everyhop.authority.held import Held

ASK_S = 60.0
"""Between questions for roots and lists: that is how long who was revoked may still be taken for somebody, and how long a rotation
waits between its steps at least."""
SPREAD = 12
"""Those that were issued together are renewed within a twelfth of their life."""


class Renewer(Rounds):
    """Keeps one identity. `step` is for its thread; `standing` is for any."""

    standing: Standing

    def __init__(
        self,
        it: CaIdentity,
        base: Path,
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        lot: Callable[[], float] = random.SystemRandom().random,
    ) -> None:
        from everyhop.authority.held import Held

        super().__init__(f"identity {it.name}")
        self.it, self.base, self.clock, self.lot = it, base, clock, lot
        self.held: Held = Held(base / it.folder)
        self.given: Given | None = None
        """What came and could not be kept yet: a token is good once, and each renewal is another certificate of the authority's."""
        self.failures = 0
        self.drawn: tuple[int, float] | None = None
        """For which certificate, by its serial, which lot was drawn."""
        self.standing = Standing(it.name, f"ca {it.authority}", None, None, clock(), None)

    def step(self) -> float:
        """Does what is due; gives the seconds until the next. What stands in the way is said once."""
        try:
            with self.held.alone():
                self.done()
        except (EveryhopError, Unusable, OSError) as e:
            why = e.what if isinstance(e, Unusable) else str(e)
            if self.failures == 0 or why != self.standing.problem:
                say(f"identity {self.it.name!r}: {self.doing()}: {why}")
            self.failures += 1
            wait_s = min(FIRST_S * 2.0 ** min(self.failures - 1, 20), MOST_S) * (1 + JITTER * self.lot())
            self.tell(wait_s, why)
            return wait_s
        self.failures = 0
        wait_s = ASK_S * (1 + JITTER * self.lot())
        self.tell(wait_s, None)
        if self.standing.renewed_at is not None:
            wait_s = min(wait_s, max((self.standing.renewed_at - self.clock()).total_seconds(), 0.0))
        return wait_s

    def doing(self) -> str:
        return "not enrolled" if self.standing.until is None else "not renewed"

    def done(self) -> None:
        if self.given is None:
            self.given = self.asked()
        if self.given is None:
            return
        self.held.keep(self.given.key_pem + self.given.chain_pem, self.given.roots_pem, self.given.lists_pem)
        self.given = None
        say(f"identity {self.it.name!r} has a new certificate")

    def asked(self) -> Given | None:
        """Its first certificate or its next one; `None` while none is due, when its roots and lists are asked for and kept."""
        from everyhop.authority import client
        from everyhop.authority.enrolment import token_of

        host, _, port = self.it.authority.rpartition(":")
        where = host.strip("[]"), int(port)
        leaf, now = self.held.leaf(), self.clock()
        if leaf is None or (now >= leaf.not_valid_after_utc and self.it.token is not None):
            must_take(self.held.at)
            return client.enroll(token_of(self.token()), *where)
        if now >= self.half(leaf):
            must_take(self.held.at)
            return client.renew(self.held.roots.read_bytes(), self.held.pair, self.held.pair, *where)
        roots, lists = client.published(self.held.roots.read_bytes(), *where)
        if self.held.published(roots, lists):
            say(f"identity {self.it.name!r}: its authority has other roots or lists")
        return None

    def token(self) -> str:
        if self.it.token is None:
            raise EveryhopError("it has no certificate, and no token to be enrolled by")
        from everyhop.identity.keys import key_bytes

        return key_bytes(self.it.token, self.base, os.environ)[0].decode(errors="replace").strip()

    def half(self, leaf: x509.Certificate) -> dt.datetime:
        """Half of its life from when it was issued, and a little more by lot."""
        from everyhop.authority.certify import BACKDATED

        if self.drawn is None or self.drawn[0] != leaf.serial_number:
            self.drawn = leaf.serial_number, self.lot()
        begins = leaf.not_valid_before_utc + BACKDATED
        life = leaf.not_valid_after_utc - begins
        return begins + life / 2 + life / SPREAD * self.drawn[1]

    def tell(self, wait_s: float, problem: str | None) -> None:
        try:
            leaf = self.held.leaf()
        except EveryhopError:
            leaf = None
        self.standing = Standing(
            self.it.name,
            f"ca {self.it.authority}",
            None if leaf is None else leaf.not_valid_after_utc,
            None if leaf is None else self.half(leaf),
            self.clock() + dt.timedelta(seconds=wait_s),
            problem,
        )


def keeper(it: ComingIdentity, base: Path) -> Renewer | Follower:
    if isinstance(it, CaIdentity):
        return Renewer(it, base)
    assert isinstance(it, SpiffeIdentity)
    from everyhop.admin.agents import Follower

    return Follower(it, base)


class Renewing:
    """Those of one supervisor, by whoever they come. `look` is called in its loop."""

    def __init__(self, config: Path) -> None:
        self.base = config.absolute().parent
        self.of: Compiled | None = None
        self.kept: dict[str, Renewer | Follower] = {}

    def look(self, decided: Compiled) -> None:
        """Follows what runs. Whatever was reloaded, all are asked after at once: whoever reloads may have mended something."""
        if decided is self.of:
            return
        # Files that changed leave the document as it is.
        reloaded = self.of is None or decided.document is not self.of.document
        self.of = decided
        wanted = {it.name: it for it in decided.config.identity if isinstance(it, ComingIdentity)}
        for name in [name for name, kept in self.kept.items() if wanted.get(name) != kept.it]:
            self.kept.pop(name).end()
        for name, it in wanted.items():
            if name not in self.kept:
                self.kept[name] = keeper(it, self.base)
                self.kept[name].thread.start()
            elif reloaded:
                self.kept[name].due.set()

    def end(self, within_s: float = AT_LAST_S) -> None:
        end_all(self.kept.values(), within_s)
        self.kept = {}

    def problems(self) -> dict[str, tuple[bool, str]]:
        """By identity: whether it is there, and what keeps it from coming, or its next one."""
        return {
            name: (it.until is not None, f"{it.problem}; tried again at {it.next_try:%Y-%m-%dT%H:%M:%SZ}")
            for name, it in ((name, kept.standing) for name, kept in self.kept.items())
            if it.problem is not None
        }

    def told(self) -> list[dict[str, object]]:
        """For `status`."""
        return [
            {
                "identity": it.name,
                "from": it.by,
                "until": None if it.until is None else it.until.isoformat(),
                "renewed_at": None if it.renewed_at is None else it.renewed_at.isoformat(),
                "next_try": it.next_try.isoformat(),
                "problem": it.problem,
            }
            for it in (kept.standing for kept in self.kept.values())
        ]
