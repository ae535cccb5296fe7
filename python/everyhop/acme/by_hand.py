"""What somebody asks for by hand: another certificate, one taken back, another key for accounts. Asked by any thread, done a step
at a time by the keeper's; the same limits and waits hold as for what is done by itself, and a no says when it may be tried.

What is begun is in the store, and goes on after a restart; only who asked for it is forgotten then. Read next: `taking_back.py`.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from everyhop.acme.account import Account
from everyhop.acme.judge import mark_of
from everyhop.acme.problem import Stopped, printable
from everyhop.acme.revocations import serial_of
from everyhop.acme.site import Stepped, Wanted
from everyhop.acme.state import Renewal, SiteState
from everyhop.acme.taking_back import TakingBack

if TYPE_CHECKING:
    from everyhop.acme.directory import Authority
    from everyhop.acme.keeper import Keeper

KEPT = 64
"""Of what was asked for: whoever asked is told for as long as not so many have asked since."""


@dataclass(frozen=True)
class Asked:
    """What is wanted."""

    do: Literal["renew", "revoke", "rollover"]
    site: str | None = None
    serial: str | None = None
    reason: str = "unspecified"
    only: bool = False


@dataclass
class Task:
    """What came of it so far."""

    asked: Asked
    taken: bool = False
    refused: str | None = None
    before: dict[str, str | None] = field(default_factory=dict)
    """By kind of key: what was in force."""
    serials: tuple[str, ...] = ()
    """What is taken back."""
    rolled: tuple[dict[str, object], ...] = ()
    left: int = 0
    """Accounts that are not asked yet."""


class No(Exception):
    """It is not begun; the text says why, and what to do."""


class ByHand:
    """Of one keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.taking_back = TakingBack(keeper)
        self.lock = threading.Lock()
        self.count = 0
        self.tasks: dict[int, Task] = {}
        self.queue: deque[Task] = deque()
        self.accounts: deque[tuple[Task, Authority]] = deque()

    def ask(self, asked: Asked) -> int:
        """A number by which to ask what came of it. Waits for nothing."""
        with self.lock:
            self.count += 1
            task = Task(asked)
            # Anew, not changed: another thread may be reading.
            self.tasks = {**dict(list(self.tasks.items())[1 - KEPT :]), self.count: task}
            self.queue.append(task)
            return self.count

    def wait_s(self, now: float) -> float:
        return 0.0 if self.queue or self.accounts else self.taking_back.wait_s(now)

    def step(self) -> Stepped | None:
        """Does one thing, if there is one."""
        if self.queue:
            task = self.queue.popleft()
            return self.begun(task)
        if self.accounts:
            task, authority = self.accounts.popleft()
            return self.rolled(task, authority)
        return self.taking_back.step()

    def begun(self, task: Task) -> Stepped:
        try:
            match task.asked.do:
                case "renew":
                    self.renew(task)
                case "revoke":
                    task.serials = self.revoke(task.asked)
                case "rollover":
                    self.roll(task)
        except (No, Stopped) as e:
            task.refused = str(e)
        except Exception as e:
            task.refused = printable(f"a fault of Everyhop's own: {type(e).__name__}: {e}")
            task.taken = True
            return Stepped(0.0, fault=e)
        task.taken = True
        return Stepped(0.0)

    def renew(self, task: Task) -> None:
        name = task.asked.site
        if name is None or (site := self.keeper.sites.get(name)) is None:
            known = ", ".join(self.keeper.sites) or "none"
            raise No(f"no site {name!r} has its certificates by ACME; those that have: {known}")
        state = self.keeper.states[name]
        every = [self.keeper.wanted[name, kind] for kind in site.keys]
        self.may(every, state, "another certificate may be asked for")
        for it in every:
            task.before[it.kind] = None if it.chain is None else serial_of(it.chain)
            state.renewals.setdefault(it.kind, Renewal(self.keeper.lot())).asked = True
        # What was in the way before is tried now.
        state.problem = None
        self.keeper.work.save(every[0], state)
        self.keeper.tell(name)

    def may(self, every: list[Wanted], state: SiteState, what: str, *, last_too: bool = False) -> None:
        """Raises `No` where a limit or a wait does not let another order be placed now."""
        now, moments = self.keeper.now(), self.keeper.moments
        at = now
        for it in every:
            if it.order is not None:
                at = max(at, moments.allowed(it, state, now))
            elif last_too:
                at = max(at, moments.may_order_at(it, state, now))
            else:
                at = max(at, moments.may_order_by_hand_at(it, state, now))
        if at <= now:
            return
        silence = self.keeper.standings.silence(now)
        problem = state.problem or (silence[1] if silence is not None else None)
        why = (
            str(problem)
            if problem is not None
            else "authorities issue so many for the same names, and as many were had"
        )
        raise No(f"{why}; {what} at {moment(at)}")

    def revoke(self, asked: Asked) -> tuple[str, ...]:
        found, before = self.taking_back.found(asked.site, asked.serial)
        if not found and not before:
            what = f"site {asked.site!r}" if asked.serial is None else f"the serial number {asked.serial}"
            raise No(f"no certificate of {what} is here: everyhop acme list shows those that are")
        for it in found:
            if not any(one.url == it.authority for one in self.keeper.authorities):
                raise No(
                    f"it was issued by {it.authority or 'nobody knows whom'}, which [acme] authority does not name: "
                    "name it there again, behind the others"
                )
            if it.chain.ends <= self.keeper.clock():
                raise No(f"{it.serial} ended at {moment(it.chain.ends.timestamp())}: there is nothing to take back")
            if not it.is_in_force and not asked.only and self.keeper.is_shown(mark_of(it.chain)):
                raise No(
                    f"{it.serial} is served, by a site that has it from this file: give that site another one, "
                    "or say --only"
                )
            if it.wanted is not None and it.is_in_force and not asked.only:
                what = f"--only takes {it.serial} back without another one; that may be asked for"
                state = self.keeper.states[it.wanted.site.name]
                self.may([it.wanted], state, what, last_too=asked.reason == "key-compromise")
        again = [self.taking_back.begin_again(it, asked.reason, only=asked.only) for it in before]
        return (*again, *(self.taking_back.begin(it, asked.reason, only=asked.only) for it in found))

    def roll(self, task: Task) -> None:
        there = [it for it in self.keeper.authorities if self.account(it).is_there()]
        if not there:
            raise No("there is no account with any authority yet: it is made with the first order")
        for wanted in self.keeper.wanted.values():
            if wanted.order is not None:
                # What is published for it is said by the key of now (RFC 8555 §8.1).
                raise No(f"an order of site {wanted.site.name!r} is under way; after that the key can be changed")
        task.left = len(there)
        self.accounts.extend((task, it) for it in there)

    def account(self, it: Authority) -> Account:
        return Account(self.keeper.store, it, self.keeper.work.contact, self.keeper.work.agreed)

    def rolled(self, task: Task, authority: Authority) -> Stepped:
        keeper, now = self.keeper, self.keeper.now()
        is_new, fault = False, None
        try:
            if (at := keeper.standings.free_at(authority.url, now)) > now:
                raise No(f"{keeper.standings.of(authority.url).problem}; asked again from {moment(at)} on")
            client, _ = keeper.work.talk(authority, now)
            is_new = self.account(authority).roll(client)
            said = "has a new key" if is_new else "keeps its key: the authority does not know the new one"
        except (No, Stopped) as e:
            said = f"its key is not changed: {e}"
            if (keeper.store.folder / self.account(authority).folder / "key.next.pem").exists():
                said = f"whether its key is changed is not known, and both are kept until the authority says: {e}"
        except Exception as e:
            fault, said = e, printable(f"a fault of Everyhop's own: {type(e).__name__}: {e}")
        finally:
            # Whoever speaks next reads what is on the disk.
            keeper.work.hang_up(authority)
        task.rolled = (*task.rolled, {"authority": authority.name, "changed": is_new, "said": said})
        task.left -= 1
        return Stepped(0.0, fault=fault, said=(f"the account with {authority.name}: {said}",))

    def seen(self, number: int) -> dict[str, object] | None:
        """What came of it, for any thread: `waiting`, `done`, `refused` before anything was asked, or `stopped` by what stands in
        the way of what goes on by itself."""
        task = self.tasks.get(number)
        if task is None:
            return None
        if task.refused is not None:
            return {"is": "refused", "why": task.refused}
        if not task.taken:
            return {"is": "asked"}
        match task.asked.do:
            case "renew":
                return self.renewal_seen(task)
            case "revoke":
                return self.taking_back.seen(task.serials)
        if task.left:
            return {"is": "waiting"}
        every = all(it["changed"] for it in task.rolled)
        return {"is": "done" if every else "stopped", "why": "", "accounts": list(task.rolled)}

    def renewal_seen(self, task: Task) -> dict[str, object]:
        told = next((it for it in self.keeper.status() if it.site == task.asked.site), None)
        if told is None:
            return {"is": "refused", "why": f"site {task.asked.site!r} is not configured any more"}
        new = [it for it in told.certificates if it.serial is not None and it.serial != task.before.get(it.kind)]
        if len(new) == len(told.certificates) and all(self.keeper.is_shown(it.mark or "") for it in new):
            return {"is": "done", "serials": [it.serial for it in new]}
        if told.problem is not None:
            return {"is": "stopped", "why": str(told.problem), "next_try": told.next_try.isoformat()}
        return {"is": "waiting"}


def moment(at: float) -> str:
    """The next whole second: who tries then is not too early."""
    return f"{dt.datetime.fromtimestamp(int(at) + 1, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
