"""Certificates that authorities issue, for sites with `certs = "acme"`: a thread of its own takes one step after the other, and what it
answers to challenges is told to the engine from the loop. What is issued lies in files, which are watched like any others.

Read next: `../acme/keeper.py`, which knows what is to be done; `renewal.py`, which sees the files.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everyhop.admin.rounds import AFTER_OURS_S, AT_LAST_S
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.compile.names import dns_server
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost
from everyhop.errors import EveryhopError, Surroundings
from everyhop.identity import Unusable
from everyhop.model import AcmeSection
from everyhop.model.acme import DnsHttp

if TYPE_CHECKING:
    # Read where there is a use for it: it takes time and memory.
    from everyhop.acme import Keeper, Publisher, Status

TOLD_S = 10.0
"""How long a challenge waits for the engine to know of it."""
AT_ONCE_S = 1.0
"""How long the loop waits for a step to end that was told to, while it has more to do. What waits for a program or the DNS may take longer,
and is left alone: whatever is on the disk is whole, and the next keeper goes on from there."""

NO_PROBLEMS: Mapping[str, str] = {}


class Answers:
    """What the engine is to answer. Put there by the thread of orders, told by the loop."""

    def __init__(self, kinds: Collection[str], wake: Callable[[], object]) -> None:
        self.allowed = kinds
        self.changed = threading.Condition()
        self.all: dict[tuple[str, str, str], m.ShownInTls | m.SaidInTheClear] = {}
        self.version = self.told = 0
        self.wake = wake
        self.leaving = False

    @property
    def kinds(self) -> Collection[str]:
        return self.allowed

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        """Returns once the engine answers. Raises `OSError` where it does not hear of it."""
        from everyhop.acme.problem import Leaving
        from everyhop.acme.tls_alpn import challenge_pair

        it: m.ShownInTls | m.SaidInTheClear
        if kind == "tls-alpn-01":
            chain, key = challenge_pair(name, key_authorization, dt.datetime.now(dt.UTC))
            it = m.ShownInTls(name=name, certificate=m.Shown(chain=chain.decode(), key=key.decode()))
        else:
            it = m.SaidInTheClear(name=name, token=token, text=key_authorization)
        with self.changed:
            self.all[kind, name, token] = it
            self.version += 1
            version = self.version
            self.wake()
            told = self.changed.wait_for(lambda: self.leaving or self.told >= version, TOLD_S)
            if self.leaving:
                raise Leaving
            if not told:
                raise OSError("the engine could not be told what to answer")
        return 0.0

    def leave(self) -> None:
        """Nobody tells the engine any more."""
        with self.changed:
            self.leaving = True
            self.changed.notify_all()

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        with self.changed:
            if self.all.pop((kind, name, token), None) is not None:
                self.version += 1


class Issuing:
    """Of one supervisor. `look` is called in its loop."""

    def __init__(self, config: Path) -> None:
        self.base = config.absolute().parent
        self.wake: Callable[[], object] = lambda: None
        self.hasten: Callable[[], object] = lambda: None
        """Whoever looks at the files looks at them soon."""
        self.did = False
        """A step was taken, and files may have changed by it."""
        self.of: Compiled | None = None
        self.shown: frozenset[str] = frozenset()
        """What sites show now, by the marks of their chains."""
        self.seen: Compiled | None = None
        self.begun_with: tuple[AcmeSection, bool] | None = None
        """What the keeper was made for: its section, and whether a listener speaks in the clear."""
        self.keeper: Keeper | None = None
        self.answers: Answers | None = None
        self.pid = 0
        """Of the engine that was told last."""
        self.fault: BaseException | None = None
        """Of ours, in a step: it is told in the loop, and everything goes on."""
        self.said: dict[str, str] = {}
        """By site, what was in the way when it was said last."""
        self.heard: Sequence[Status] | None = None
        """The standing of all sites as it was looked through last, and what stands in the way of some of them."""
        self.wrong: Mapping[str, str] = NO_PROBLEMS
        self.due = threading.Event()
        self.stopped = False
        self.thread: threading.Thread | None = None

    def look(self, decided: Compiled, control: Control | None, pid: int) -> None:
        """Follows what runs, and tells the engine what to answer."""
        if decided is not self.seen:
            self.seen, entries = decided, decided.material.entries
            self.shown = frozenset(str(it["chain_sha256"]) for it in entries if str(it["id"]).startswith("site/"))
            # What waits until its successor is shown may go on.
            self.due.set()
        if decided is not self.of:
            self.follow(decided)
            # What stands in the way is met, and told, again and again until it is gone.
            self.of = decided
        self.speak()
        if self.did:
            self.did = False
            self.hasten()
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        if self.answers is not None and control is not None:
            self.tell(self.answers, control, pid)

    def follow(self, compiled: Compiled) -> None:
        config = compiled.config
        wanted = [it.name for it in config.site if it.is_by_acme]
        if not wanted and self.keeper is None:
            return
        from everyhop.acme import Site

        acme = config.acme
        hosts = {it.name: tuple(it.hosts) for it in compiled.plan.sites}
        sites = [Site(name, hosts[name], tuple(acme.keys), acme.profile, tuple(acme.challenges)) for name in wanted]
        in_the_clear = any(it.speaks == "http" for it in config.listener)
        if self.keeper is None or self.begun_with != (acme, in_the_clear):
            self.begin(acme, in_the_clear=in_the_clear)
        assert self.keeper is not None
        self.keeper.configure(sites)
        self.due.set()

    def begin(self, section: AcmeSection, *, in_the_clear: bool) -> None:
        """With other authorities, or at first. What was under way goes on from the store."""
        from everyhop.acme import Keeper, Publishers, Store, authority

        before = self.thread
        self.end(AT_ONCE_S)
        ca = None if section.ca is None else self.base / section.ca
        authorities = [authority(text, ca) for text in section.authority]
        self.answers = Answers(["tls-alpn-01", *["http-01"] * in_the_clear], self.wake)
        changes = zone_of(section, self.base)
        by_kind: dict[str, Publisher] = dict.fromkeys(self.answers.kinds, self.answers)
        by_kind |= {} if changes is None else {"dns-01": changes}
        store = Store(self.base / section.state)
        keeper = Keeper(
            store,
            authorities,
            Publishers(by_kind),
            contact=section.contact,
            terms_agreed=section.terms_agreed,
            is_shown=lambda mark: mark in self.shown,
        )
        self.keeper, self.stopped, self.pid, self.begun_with = keeper, False, 0, (section, in_the_clear)
        self.thread = threading.Thread(target=self.run, args=(keeper, before), name="acme", daemon=True)
        self.thread.start()

    def run(self, keeper: Keeper, before: threading.Thread | None) -> None:
        from everyhop.acme.site import Stepped

        if before is not None:
            # Two of them in one folder would write over each other.
            before.join()
        while not self.stopped and keeper is self.keeper:
            try:
                stepped = keeper.step()
            except BaseException as e:  # of ours, and nobody's site's: a thread that ended would renew nothing any more
                self.fault, stepped = e, Stepped(AFTER_OURS_S)
            self.did = True
            self.wake()
            if self.stopped or keeper is not self.keeper:
                return
            self.fault = stepped.fault or self.fault
            for name in stepped.changed if stepped.is_new else ():
                say(f"site {name!r} has a new certificate")
            for said in stepped.said:
                say(said)
            if self.due.wait(stepped.wait_s):
                self.due.clear()

    def tell(self, answers: Answers, control: Control, pid: int) -> None:
        with answers.changed:
            version, all_ = answers.version, list(answers.all.values())
        # An engine that was there before us may have answers of another supervisor's.
        if version == answers.told and pid == self.pid:
            return
        try:
            control.must(m.Challenges(challenges=all_), m.Heard)
        except (EngineRefused, Lost) as e:
            raise EveryhopError(f"the engine was not told what to answer: {e}") from e
        self.pid = pid
        with answers.changed:
            answers.told = version
            answers.changed.notify_all()

    def by_hand(self) -> Keeper | None:
        """Whom to ask; also where sites wanted certificates once and none does any more."""
        if self.keeper is None and self.of is not None and (self.base / self.of.config.acme.state).is_dir():
            self.begin(self.of.config.acme, in_the_clear=False)
            assert self.keeper is not None
            self.keeper.configure([])
        return self.keeper

    def end(self, wait_s: float = AT_LAST_S) -> None:
        """A step that is under way is told to end, and waited for."""
        keeper, self.keeper, self.stopped = self.keeper, None, True
        self.due.set()
        if self.answers is not None:
            self.answers.leave()
        if keeper is not None:
            keeper.leave()
        if self.thread is not None:
            self.thread.join(wait_s)
        if keeper is not None:
            keeper.close()
        self.due.clear()

    def speak(self) -> None:
        """What an authority says no by, once: `status` tells it for as long as it is so."""
        keeper = self.keeper
        every = () if keeper is None else keeper.status()
        if every is self.heard:
            return
        failing = [it for it in every if it.problem]
        now = {it.site: str(it.problem) for it in failing}
        again = {it.site: f"{it.problem}; tried again at {it.next_try:%Y-%m-%dT%H:%M:%SZ}" for it in failing}
        self.heard, self.wrong = every, again or NO_PROBLEMS
        for name in sorted(it for it in now if self.said.get(it) != now[it]):
            say(f"no certificate for site {name!r}: {now[name]}")
        self.said = now

    def problems(self) -> Mapping[str, str]:
        """By site: what keeps its certificate from coming. The same object for as long as it is the same."""
        self.speak()
        return self.wrong

    def told(self) -> list[dict[str, object]]:
        """For `status`."""
        if self.keeper is None:
            return []
        every = [*self.keeper.revocations.all.values()]
        return [
            {
                "site": it.site,
                "names": list(it.names),
                "until": None if it.until is None else it.until.isoformat(),
                "next_try": it.next_try.isoformat(),
                "pending": it.pending,
                "problem": None if it.problem is None else str(it.problem),
                "authority": it.authority,
                "revoking": [one.told() for one in every if one.site == it.site and one.at != "revoked"],
            }
            for it in self.keeper.status()
        ]


def zone_of(section: AcmeSection, base: Path) -> Publisher | None:
    """Who changes the zone for `dns-01`, if anybody does."""
    if section.dns_hook is not None:
        from everyhop.acme.hook import Hook

        return Hook(section.dns_hook)
    if section.dns_http is not None:
        return asked(section.dns_http, base)
    if (it := section.dns_update) is None or (at := dns_server(it.server)) is None:
        return None
    from everyhop.acme.rfc2136 import Update
    from everyhop.compile.passwords import read_password

    def changing() -> Update:
        try:
            password = read_password(it.secret, base, os.environ)
        except Unusable as e:
            raise Surroundings(f"the key of updates: {e.what}", e.mend) from e
        secret = base64.b64decode(password.sealed).decode()
        return Update(at[0], at[1], it.key, secret, it.algorithm, it.zone, settle_s=it.settle_s)

    changing()
    return Read(changing)


def asked(it: DnsHttp, base: Path) -> Publisher:
    """The service that changes the zone."""
    from everyhop.acme.http_hook import HttpHook
    from everyhop.compile.passwords import read_token
    from everyhop.identity.certificates import system_roots

    roots = str(base / it.ca) if it.ca is not None else str(system_roots()) if it.url.startswith("https://") else ""

    def changing() -> HttpHook:
        try:
            token = None if it.token is None else read_token(it.token, base, os.environ)
        except Unusable as e:
            raise Surroundings(f"the token of the hook {it.url}: {e.what}", e.mend) from e
        return HttpHook(it.url, token, roots, settle_s=it.settle_s)

    changing()
    return Read(changing)


class Read:
    """Reads the key of updates, or the token, whenever it is used: one that was renewed on the disk is the one that counts."""

    kinds = ("dns-01",)

    def __init__(self, changing: Callable[[], Publisher]) -> None:
        self.changing = changing

    def now(self) -> Publisher:
        try:
            return self.changing()
        except EveryhopError as e:
            raise OSError(str(e)) from e

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        return self.now().publish(kind, name, token, key_authorization)

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        self.now().withdraw(kind, name, token, key_authorization)
